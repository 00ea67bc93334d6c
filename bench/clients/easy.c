/* easy.c - the reference for sequential calls and for downloads: C and libcurl's easy interface. One handle makes all
 * requests and gets its URL set for each; a download writes to a file.
 *
 * Invariant: what a good C programmer would write by hand, and no more. JSON is not parsed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

#define WARM_UP 3
#define FILE_BUFFER (256 * 1024L) /* bytes that libcurl reads at once in a download; its default is 16 KiB */

static void request(const struct program *program, CURL *easy, struct body *body) {
  CURLcode code;
  body->len = 0;
  code = curl_easy_setopt(easy, CURLOPT_URL, program->url);
  if (code == CURLE_OK) code = curl_easy_perform(easy);
  program_check(easy, code, body);
}

static void one(struct program *program) {
  struct body body = {0};
  CURL *easy = program_handle(program, &body);
  long i;
  for (i = 0; i < WARM_UP; i++) request(program, easy, &body);
  program_start(program);
  for (i = 0; i < program->count; i++) request(program, easy, &body);
  program_report(program);
  curl_easy_cleanup(easy);
  free(body.data);
}

/* Downloads with libcurl's default write function, which calls fwrite. */
static void download(struct program *program) {
  CURL *easy = program_handle(program, NULL);
  curl_off_t announced = -1, received = 0;
  long i;
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, FILE_BUFFER);
  curl_easy_setopt(easy, CURLOPT_URL, program->url);
  program_start(program);
  for (i = 0; i < program->count; i++) {
    FILE *file = fopen(program->extra, "wb");
    if (file == NULL) program_fail(program->extra, "it can't be opened");
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, file);
    program_check(easy, curl_easy_perform(easy), NULL);
    if (fclose(file) != 0) program_fail(program->extra, "it can't be written");
    curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
    curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
    if (received != announced) program_fail(program->extra, "it is not whole");
  }
  program_report(program);
  curl_easy_cleanup(easy);
}

int main(int argc, char **argv) {
  struct program program;
  int status = 0;
  program_open(&program, argc, argv);
  if (strcmp(program.what, "one") == 0)
    one(&program);
  else if (strcmp(program.what, "download") == 0)
    download(&program);
  else
    status = PROGRAM_CANNOT;
  program_close(&program);
  return status;
}
