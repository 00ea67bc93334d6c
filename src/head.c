/* head.c - looks up fields in a raw header block; see head.h. */
#include "head.h"

#include <string.h>

static char lower(char c) {
  return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

int head_same(const char *a, const char *b, size_t len) {
  size_t i;
  for (i = 0; i < len; i++)
    if (lower(a[i]) != lower(b[i])) return 0;
  return 1;
}

static int blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

int head_next(const struct buffer *head, size_t *at, struct head_field *field) {
  while (*at < head->len) {
    const char *line = head->data + *at;
    const char *end = memchr(line, '\n', head->len - *at);
    const char *colon;
    size_t len = end != NULL ? (size_t)(end - line) : head->len - *at;
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

int head_find(const struct buffer *head, const char *name, size_t name_len, struct head_field *field) {
  size_t at = 0;
  while (head_next(head, &at, field))
    if (field->name_len == name_len && head_same(field->name, name, name_len)) return 1;
  return 0;
}

int head_copy(const struct buffer *head, const char *name, char *out, size_t size) {
  struct head_field field;
  if (!head_find(head, name, strlen(name), &field)) return 0;
  if (field.value_len >= size) field.value_len = size - 1;
  memcpy(out, field.value, field.value_len);
  out[field.value_len] = '\0';
  return 1;
}
