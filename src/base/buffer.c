/* buffer.c - a byte string that grows; see buffer.h. */
#include "base/buffer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 64 /* bytes; most paths fit, and a queued request keeps no more */

/* Makes space for `more` bytes that don't fit. */
static int grow(struct buffer *b, size_t more) {
  size_t cap = b->cap != 0 ? b->cap : FIRST_SIZE;
  char *data;
  if (more > SIZE_MAX / 2 - b->len) return -1;
  while (cap < b->len + more) cap *= 2;
  data = realloc(b->data, cap);
  if (data == NULL) return -1;
  b->data = data;
  b->cap = cap;
  return 0;
}

static int reserve(struct buffer *b, size_t more) {
  return more <= b->cap - b->len ? 0 : grow(b, more);
}

int buffer_add(struct buffer *b, const void *bytes, size_t size) {
  if (reserve(b, size) != 0) return -1;
  if (size != 0) memcpy(b->data + b->len, bytes, size);
  b->len += size;
  return 0;
}

int buffer_puts(struct buffer *b, const char *text) {
  return buffer_add(b, text, strlen(text));
}

/* Not isalnum: the set is the RFC's, whatever the locale. A bit for each of "-.", digits; letters, "_"; letters, "~".
 */
static int unreserved(unsigned char c) {
  static const uint32_t set[8] = {0, 0x03FF6000, 0x87FFFFFE, 0x47FFFFFE, 0, 0, 0, 0};
  return (set[c >> 5] >> (c & 31)) & 1;
}

size_t percent_encode(char *out, const char *bytes, size_t size, const char *also) {
  static const char hex[] = "0123456789ABCDEF";
  char *start = out;
  size_t i;
  for (i = 0; i < size; i++) {
    unsigned char c = (unsigned char)bytes[i];
    if (unreserved(c) || (c != 0 && strchr(also, c) != NULL)) {
      *out++ = bytes[i];
    } else {
      *out++ = '%';
      *out++ = hex[c >> 4];
      *out++ = hex[c & 15];
    }
  }
  return (size_t)(out - start);
}

int buffer_add_encoded(struct buffer *b, const char *bytes, size_t size, const char *also) {
  if (size > SIZE_MAX / 8 || reserve(b, size * 3) != 0) return -1;
  b->len += percent_encode(b->data + b->len, bytes, size, also);
  return 0;
}

const char *buffer_string(struct buffer *b) {
  if (reserve(b, 1) != 0) return NULL;
  b->data[b->len] = '\0';
  return b->data;
}

void buffer_clear(struct buffer *b, size_t keep) {
  if (b->cap > keep) buffer_free(b);
  b->len = 0;
}

void buffer_free(struct buffer *b) {
  free(b->data);
  b->data = NULL;
  b->len = b->cap = 0;
}
