/* form.c - a multipart/form-data body; see form.h. */
#define _GNU_SOURCE /* O_CLOEXEC */
#include "form.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether the file can be opened and is one: 0, or an errno. */
static int try_file(const char *path) {
  struct stat info;
  int code = 0, fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  if (fstat(fd, &info) != 0) code = errno;
  if (code == 0 && S_ISDIR(info.st_mode)) code = EISDIR;
  close(fd);
  return code;
}

static void free_part(struct part *part) {
  free(part->name);
  free(part->data);
  free(part->path);
  free(part->filename);
  free(part->type);
}

/* 0, or ENOMEM. */
static int copy(char **to, const char *from, size_t len) {
  if (from == NULL) return 0;
  *to = malloc(len + 1);
  if (*to == NULL) return ENOMEM;
  memcpy(*to, from, len);
  (*to)[len] = '\0';
  return 0;
}

static int copy_text(char **to, const char *from) {
  return copy(to, from, from != NULL ? strlen(from) : 0);
}

int form_add(struct form *form, const struct part *part) {
  struct part *parts, *twin;
  int code = part->path != NULL ? try_file(part->path) : 0;
  if (code != 0) return code;
  parts = realloc(form->parts, (form->count + 1) * sizeof *parts);
  if (parts == NULL) return ENOMEM;
  form->parts = parts;
  twin = &parts[form->count];
  memset(twin, 0, sizeof *twin);
  twin->len = part->len;
  if (copy_text(&twin->name, part->name) != 0 || copy(&twin->data, part->data, part->len) != 0 ||
      copy_text(&twin->path, part->path) != 0 || copy_text(&twin->filename, part->filename) != 0 ||
      copy_text(&twin->type, part->type) != 0) {
    free_part(twin);
    return ENOMEM;
  }
  form->count++;
  return 0;
}

static CURLcode fill(curl_mimepart *to, const struct part *part) {
  CURLcode code = curl_mime_name(to, part->name);
  if (code == CURLE_OK)
    code = part->path != NULL ? curl_mime_filedata(to, part->path) : curl_mime_data(to, part->data, part->len);
  if (code == CURLE_OK && part->filename != NULL) code = curl_mime_filename(to, part->filename);
  if (code == CURLE_OK && part->type != NULL) code = curl_mime_type(to, part->type);
  return code;
}

void *form_mime(const struct form *form, void *easy) {
  curl_mime *mime = curl_mime_init(easy);
  size_t i;
  for (i = 0; mime != NULL && i < form->count; i++) {
    curl_mimepart *part = curl_mime_addpart(mime);
    if (part != NULL && fill(part, &form->parts[i]) == CURLE_OK) continue;
    curl_mime_free(mime);
    return NULL;
  }
  return mime;
}

void form_free_mime(void *mime) {
  curl_mime_free(mime);
}

void form_free(struct form *form) {
  size_t i;
  for (i = 0; i < form->count; i++) free_part(&form->parts[i]);
  free(form->parts);
  form->parts = NULL;
  form->count = 0;
}
