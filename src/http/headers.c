/* headers.c - looks up fields in a raw header block; see headers.h. */
#include "http/headers.h"

#include <string.h>

static char lower(char c) {
  return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

int headers_same(const char *a, const char *b, size_t len) {
  size_t i;
  for (i = 0; i < len; i++)
    if (lower(a[i]) != lower(b[i])) return 0;
  return 1;
}

static int blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

int headers_next(const struct buffer *block, size_t *at, struct header *field) {
  while (*at < block->len) {
    const char *line = block->data + *at;
    const char *end = memchr(line, '\n', block->len - *at);
    const char *colon;
    size_t len = end != NULL ? (size_t)(end - line) : block->len - *at;
    *at += len + (end != NULL);
    colon = memchr(line, ':', len);
    if (colon == NULL) continue;
    field->name = line;
    field->name_len = (size_t)(colon - line);
    field->value = colon + 1;
    field->value_len = len - field->name_len - 1;
    while (field->value_len > 0 && blank(*field->value)) field->value++, field->value_len--;
    while (field->value_len > 0 && blank(field->value[field->value_len - 1])) field->value_len--;
    return 1;
  }
  return 0;
}

int headers_find(const struct buffer *block, const char *name, size_t name_len, struct header *field) {
  size_t at = 0;
  while (headers_next(block, &at, field))
    if (field->name_len == name_len && headers_same(field->name, name, name_len)) return 1;
  return 0;
}

int headers_copy(const struct buffer *block, const char *name, char *out, size_t size) {
  struct header field;
  if (!headers_find(block, name, strlen(name), &field)) return 0;
  if (field.value_len >= size) field.value_len = size - 1;
  memcpy(out, field.value, field.value_len);
  out[field.value_len] = '\0';
  return 1;
}
