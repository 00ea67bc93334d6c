/* form.c - a multipart/form-data body; see form.h. */
#include "http/form.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/media.h"
#include "base/sys.h"

#define UNKNOWN "application/octet-stream"

static void free_part(struct form_part *part) {
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

/* Chooses the type of a file that has none: by its name, else by its first bytes. */
static const char *choose_type(const struct form_part *part, const char *head, size_t len) {
  const char *type = part->filename != NULL ? media_of_name(part->filename) : NULL;
  if (type == NULL && part->path != NULL) type = media_of_name(part->path);
  if (type == NULL) type = media_of_bytes(head, len);
  return type != NULL ? type : UNKNOWN;
}

/* Names a file that has no name after its field and its type. 0, or ENOMEM. */
static int make_filename(struct form_part *part) {
  const char *extension = media_extension(part->type);
  size_t len = strlen(part->name), more = strlen(extension) + 1;
  char *filename = malloc(len + more);
  if (filename == NULL) return ENOMEM;
  memcpy(filename, part->name, len);
  memcpy(filename + len, extension, more);
  free(part->filename);
  part->filename = filename;
  return 0;
}

/* Copies a part, and gives a file what it lacks. `head`: how the file begins. 0, or ENOMEM. */
static int copy_part(struct form_part *to, const struct form_part *from, const char *head, size_t len) {
  const char *type = from->type;
  if (type == NULL && (from->path != NULL || from->filename != NULL)) type = choose_type(from, head, len);
  to->len = from->len;
  if (copy_text(&to->name, from->name) != 0 || copy(&to->data, from->data, from->len) != 0 ||
      copy_text(&to->path, from->path) != 0 || copy_text(&to->filename, from->filename) != 0 ||
      copy_text(&to->type, type) != 0)
    return ENOMEM;
  return to->filename != NULL && to->filename[0] == '\0' ? make_filename(to) : 0;
}

int form_add(struct form *form, const struct form_part *part) {
  struct form_part *parts, *twin;
  char bytes[MEDIA_HEAD];
  const char *head = part->path != NULL ? bytes : part->data;
  size_t given = part->len < MEDIA_HEAD ? part->len : MEDIA_HEAD;
  long len = part->path != NULL ? sys_file_peek(part->path, bytes, sizeof bytes) : (long)given;
  if (len < 0) return errno;
  parts = realloc(form->parts, (form->count + 1) * sizeof *parts);
  if (parts == NULL) return ENOMEM;
  form->parts = parts;
  twin = &parts[form->count];
  memset(twin, 0, sizeof *twin);
  if (copy_part(twin, part, head, (size_t)len) != 0) {
    free_part(twin);
    return ENOMEM;
  }
  form->count++;
  return 0;
}

static CURLcode fill(curl_mimepart *to, const struct form_part *part) {
  CURLcode code = curl_mime_name(to, part->name);
  if (code == CURLE_OK)
    code = part->path != NULL ? curl_mime_filedata(to, part->path) : curl_mime_data(to, part->data, part->len);
  if (code == CURLE_OK && part->filename != NULL) code = curl_mime_filename(to, part->filename);
  if (code == CURLE_OK && part->type != NULL) code = curl_mime_type(to, part->type);
  return code;
}

curl_mime *form_mime(const struct form *form, CURL *handle) {
  curl_mime *mime = curl_mime_init(handle);
  size_t i;
  for (i = 0; mime != NULL && i < form->count; i++) {
    curl_mimepart *part = curl_mime_addpart(mime);
    if (part != NULL && fill(part, &form->parts[i]) == CURLE_OK) continue;
    curl_mime_free(mime);
    return NULL;
  }
  return mime;
}

void form_free(struct form *form) {
  size_t i;
  for (i = 0; i < form->count; i++) free_part(&form->parts[i]);
  free(form->parts);
  form->parts = NULL;
  form->count = 0;
}
