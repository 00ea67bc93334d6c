/* form.c - a multipart/form-data body; see form.h. */
#include "http/form.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"

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

int form_add(struct form *form, const struct form_part *part) {
  struct form_part *parts, *twin;
  int code = part->path != NULL && sys_file_check(part->path) != 0 ? errno : 0;
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
