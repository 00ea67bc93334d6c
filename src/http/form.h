/* form.h - a multipart/form-data body (RFC 7578): fields, and files that are streamed from disk.
 *
 * Owns copies of the fields; files are kept by name and never read into memory. Invariant: a file in a form could be
 * read when it was added. */
#ifndef SORA_FORM_H
#define SORA_FORM_H

#include <curl/curl.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* One part: `data`, or the file at `path`; fields that are not given are NULL. A part with a path or a filename is a
 * file; its type is told by its name or its first bytes, and the filename "" is made of `name` and the type. */
struct form_part {
  char *name, *data, *path, *filename, *type;
  size_t len; /* of `data` */
};

struct form {
  struct form_part *parts;
  size_t count;
};

/* Copies a part into the form. 0, or the errno: the file can't be read (EISDIR for a folder), or ENOMEM. */
int form_add(struct form *form, const struct form_part *part);

/* Makes the form a curl_mime of this easy handle; NULL when memory is out. */
curl_mime *form_mime(const struct form *form, CURL *handle);

void form_free(struct form *form);

#pragma GCC visibility pop

#endif
