/* program.c - code shared by the C programs of the benchmark; see program.h. */
#define _GNU_SOURCE /* clock_gettime */
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define TIMEOUT_MS 60000L

static const char *const header_lines[] = {"Accept: */*", "User-Agent: bench/1",
                                           "Authorization: Bearer sk-bench"};

void program_fail(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void tell_version(void) {
  const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
  printf("libcurl %s, %s, nghttp2 %s\n", info->version, info->ssl_version,
         info->nghttp2_version != NULL ? info->nghttp2_version : "none");
}

void program_open(struct program *program, int argc, char **argv) {
  size_t i;
  memset(program, 0, sizeof *program);
  if (argc == 2 && strcmp(argv[1], "probe") == 0) {
    tell_version();
    exit(0);
  }
  if (argc < 5) program_fail("usage", "WHAT URL COUNT FLIGHT [EXTRA]");
  program->what = argv[1];
  program->url = argv[2];
  program->count = atol(argv[3]);
  program->flight = atol(argv[4]);
  program->extra = argc > 5 ? argv[5] : "";
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) program_fail("libcurl", "it can't be initialized");
  for (i = 0; i < sizeof header_lines / sizeof header_lines[0]; i++)
    program->headers = curl_slist_append(program->headers, header_lines[i]);
}

void program_close(struct program *program) {
  curl_slist_free_all(program->headers);
  curl_global_cleanup();
}

/* --- transfers ---------------------------------------------------------------------------------------------------- */

size_t program_take(char *data, size_t size, size_t count, void *context) {
  struct body *body = context;
  size_t more = size * count;
  if (body->len + more + 1 > body->room) {
    size_t room = (body->len + more + 1) * 2;
    char *longer = realloc(body->data, room);
    if (longer == NULL) return 0;
    body->data = longer;
    body->room = room;
  }
  memcpy(body->data + body->len, data, more);
  body->len += more;
  body->data[body->len] = '\0';
  return more;
}

#define SET(option, value) (code != CURLE_OK ? code : (code = curl_easy_setopt(easy, option, value)))

CURL *program_handle(const struct program *program, struct body *body) {
  const char *ca = getenv("BENCH_CA"), *http = getenv("BENCH_HTTP");
  CURL *easy = curl_easy_init();
  CURLcode code = easy != NULL ? CURLE_OK : CURLE_OUT_OF_MEMORY;
  SET(CURLOPT_HTTPHEADER, program->headers);
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
  SET(CURLOPT_HTTP_VERSION,
      (long)(http != NULL && strcmp(http, "2") == 0 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
  if (ca != NULL) SET(CURLOPT_CAINFO, ca);
  if (body != NULL) {
    SET(CURLOPT_WRITEFUNCTION, program_take);
    SET(CURLOPT_WRITEDATA, body);
  }
  if (code != CURLE_OK) program_fail("a handle", curl_easy_strerror(code));
  return easy;
}

void program_check(CURL *easy, CURLcode code, const struct body *body) {
  long status = 0;
  if (code != CURLE_OK) program_fail("a request", curl_easy_strerror(code));
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  if (status != 200) program_fail("a request", "its status is not 200");
  if (body != NULL && (body->len == 0 || strstr(body->data, "\"id\":\"video_123\"") == NULL))
    program_fail("a request", "its answer is another job's");
}

/* --- figures ------------------------------------------------------------------------------------------------------ */

static double wall_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_seconds(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
         (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

/* Reads a memory size of this process in KiB: "VmRSS:" is the current one, "VmHWM:" the peak. */
static long memory(const char *name) {
  char line[256];
  long kib = 0;
  FILE *file = fopen("/proc/self/status", "r");
  if (file == NULL) return 0;
  while (fgets(line, sizeof line, file) != NULL)
    if (strncmp(line, name, strlen(name)) == 0) kib = atol(line + strlen(name));
  fclose(file);
  return kib;
}

void program_start(struct program *program) {
  program->rss = memory("VmRSS:");
  program->cpu = cpu_seconds();
  program->wall = wall_seconds();
}

void program_report(const struct program *program) {
  double wall = wall_seconds() - program->wall, cpu = cpu_seconds() - program->cpu;
  long most = memory("VmHWM:");
  printf("%ld %.6f %.6f %ld %ld\n", program->count, wall, cpu, most, most - program->rss);
}
