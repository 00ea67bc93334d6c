/* form.h - a multipart/form-data body (RFC 7578): fields, and files that are streamed from disk.
 *
 * Owns copies of what is sent; files are named, never read into memory.
 * Invariant: a file in a form could be read when it was added. */
#ifndef SORA_FORM_H
#define SORA_FORM_H

#include <stddef.h>

/* One part: `data`, or the file at `path`. NULL: not given. */
struct part {
  char *name, *data, *path, *filename, *type;
  size_t len; /* of `data` */
};

struct form {
  struct part *parts;
  size_t count;
};

/* Copies a part into the form. 0, or an errno: the file can't be read (EISDIR for a folder), or ENOMEM. */
int form_add(struct form *form, const struct part *part);

/* The form as a curl_mime of this CURL handle, or NULL when memory is out. */
void *form_mime(const struct form *form, void *easy);
void form_free_mime(void *mime);

void form_free(struct form *form);

#endif
