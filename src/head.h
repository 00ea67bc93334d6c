/* head.h - looks up fields in the raw header block of an answer.
 *
 * Headers are kept as they came and searched when somebody asks, so that an
 * answer nobody asks about pays one copy for them. Invariant: the block is a
 * run of lines, each ended by CR LF or LF, without the status line.
 * Field rules: RFC 9110, section 5. */
#ifndef SORA_HEAD_H
#define SORA_HEAD_H

#include <stddef.h>

#include "buffer.h"

/* One field; `name` and `value` point into the block, the value without blanks around it. */
struct head_field {
  const char *name, *value;
  size_t name_len, value_len;
};

/* Steps through the fields: start with *at = 0; returns 0 when there are no more. */
int head_next(const struct buffer *head, size_t *at, struct head_field *field);

/* Finds the first field called `name` (any case); returns whether there is one. */
int head_find(const struct buffer *head, const char *name, size_t name_len, struct head_field *field);

/* Copies the value of the first field called `name` into `out` as a C string, cut to fit `size`;
 * returns whether there is one. */
int head_copy(const struct buffer *head, const char *name, char *out, size_t size);

/* Whether `len` bytes at both places are the same word in any case (ASCII). */
int head_same(const char *a, const char *b, size_t len);

#endif
