/* headers.h - looks up fields in the raw header block of an answer.
 *
 * Headers are kept as they came and searched when somebody asks, so that an answer whose headers nobody reads costs one
 * copy. Invariant: the block is a run of lines, each ended by CR LF or LF, without the status line. Field rules:
 * RFC 9110, section 5. */
#ifndef SORA_HEADERS_H
#define SORA_HEADERS_H

#include <stddef.h>

#include "base/buffer.h"

#pragma GCC visibility push(hidden)

/* One field; both texts point into the block, the value without blanks around it. */
struct header {
  const char *name, *value;
  size_t name_len, value_len;
};

/* Steps through the fields: start with *at = 0; returns 0 after the last one. */
int headers_next(const struct buffer *block, size_t *at, struct header *field);

/* Finds the first field called `name`, in any case; returns whether there is one. */
int headers_find(const struct buffer *block, const char *name, size_t name_len, struct header *field);

/* Copies the value of the first field called `name` into `out` as a C string, cut to fit `size`; returns whether there
 * is one. */
int headers_copy(const struct buffer *block, const char *name, char *out, size_t size);

/* Whether two texts of `len` bytes are equal in any case (ASCII). */
int headers_same(const char *a, const char *b, size_t len);

#pragma GCC visibility pop

#endif
