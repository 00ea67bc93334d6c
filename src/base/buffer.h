/* buffer.h - a byte string that grows.
 *
 * Owns the memory of one byte string. Invariant: `len <= cap`, `data` is NULL only while `cap` is 0, and a failed
 * append leaves the buffer as it was. */
#ifndef SORA_BUFFER_H
#define SORA_BUFFER_H

#include <stddef.h>

#pragma GCC visibility push(hidden)

struct buffer {
  char *data;
  size_t len, cap;
};

/* Appends `size` bytes; 0, or -1 when memory is out. */
int buffer_add(struct buffer *b, const void *bytes, size_t size);

/* Appends a C string without its '\0'; 0 or -1. */
int buffer_puts(struct buffer *b, const char *text);

/* Writes `size` bytes percent-encoded: every byte outside RFC 3986's unreserved set, except those in `also`, as %XX.
 * `out` has space for three times as many. Returns how many it wrote. */
size_t percent_encode(char *out, const char *bytes, size_t size, const char *also);

/* Appends the same; 0 or -1. */
int buffer_add_encoded(struct buffer *b, const char *bytes, size_t size, const char *also);

/* The bytes as a C string ('\0' is not counted in `len`), or NULL when memory is out. */
const char *buffer_string(struct buffer *b);

/* Empties the buffer, and frees its memory if that is more than `keep` bytes. */
void buffer_clear(struct buffer *b, size_t keep);

void buffer_free(struct buffer *b);

#pragma GCC visibility pop

#endif
