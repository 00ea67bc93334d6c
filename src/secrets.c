/* secrets.c - what must never be shown; see secrets.h. */
#include "secrets.h"

#include <string.h>

#include "head.h"

static int sensitive(const char *name, size_t len) {
  static const char *const words[] = {"auth", "key", "token", "secret", "cookie", "password", "signature"};
  size_t i, at;
  for (i = 0; i < sizeof words / sizeof words[0]; i++)
    for (at = 0; at + strlen(words[i]) <= len; at++)
      if (head_same(words[i], name + at, strlen(words[i]))) return 1;
  return 0;
}

/* The secret itself. */
static int add_plain(struct buffer *secrets, const char *text, size_t len) {
  return buffer_add(secrets, text, len) != 0 || buffer_add(secrets, "", 1) != 0 ? -1 : 0;
}

/* The secret as JSON may write it: with a backslash before '"', '\\' and, in some encoders, '/'. */
static int add_escaped(struct buffer *secrets, const char *text, size_t len, const char *escaped) {
  size_t i, start = secrets->len;
  for (i = 0; i < len; i++)
    if ((strchr(escaped, text[i]) != NULL && buffer_add(secrets, "\\", 1) != 0) ||
        buffer_add(secrets, text + i, 1) != 0)
      return -1;
  if (secrets->len - start != len) return buffer_add(secrets, "", 1);
  secrets->len = start; /* it is the plain one */
  return 0;
}

/* One spelling, and as JSON writes it. */
static int add_spelling(struct buffer *secrets, const char *text, size_t len) {
  return add_escaped(secrets, text, len, "\"\\/") != 0 || add_escaped(secrets, text, len, "\"\\") != 0 ||
                 add_plain(secrets, text, len) != 0
             ? -1
             : 0;
}

/* What stands behind the percent signs, up to a zero byte. 0 or -1. */
static int add_decoded(struct buffer *out, const char *text, size_t len) {
  static const char digits[] = "0123456789abcdef0123456789ABCDEF";
  size_t i;
  for (i = 0; i < len; i++) {
    const char *high = NULL, *low = NULL;
    char c = text[i];
    if (c == '%' && i + 2 < len) {
      high = memchr(digits, text[i + 1], sizeof digits - 1);
      low = memchr(digits, text[i + 2], sizeof digits - 1);
    }
    if (high != NULL && low != NULL) {
      c = (char)((high - digits) % 16 * 16 + (low - digits) % 16);
      i += 2;
    }
    if (c == '\0') return 0;
    if (buffer_add(out, &c, 1) != 0) return -1;
  }
  return 0;
}

/* All its spellings: an answer may echo any of them. In a URL it is percent-encoded, and the other side reads it
 * decoded. */
int secrets_add(struct buffer *secrets, const char *text, size_t len) {
  struct buffer decoded = {0};
  int result;
  if (len == 0) return 0;
  if (add_spelling(secrets, text, len) != 0) return -1;
  if (memchr(text, '%', len) == NULL) return 0;
  result = add_decoded(&decoded, text, len);
  if (result == 0 && decoded.len != 0) result = add_spelling(secrets, decoded.data, decoded.len);
  buffer_free(&decoded);
  return result;
}

int secrets_collect(struct buffer *secrets, const struct buffer *lines) {
  struct head_field field;
  size_t at = 0;
  while (head_next(lines, &at, &field)) {
    const char *space = memchr(field.value, ' ', field.value_len);
    if (!sensitive(field.name, field.name_len)) continue;
    /* "Bearer abc": the word abc must not be shown by itself either. */
    if (space != NULL && secrets_add(secrets, space + 1, field.value_len - (size_t)(space + 1 - field.value)) != 0)
      return -1;
    if (secrets_add(secrets, field.value, field.value_len) != 0) return -1;
  }
  return 0;
}

int secrets_collect_query(struct buffer *secrets, const char *query) {
  while (query != NULL && *query != '\0') {
    size_t len = strcspn(query, "&"), name = strcspn(query, "=&");
    if (name < len && sensitive(query, name) && secrets_add(secrets, query + name + 1, len - name - 1) != 0) return -1;
    query += len + (query[len] == '&');
  }
  return 0;
}

void secrets_redact(const struct buffer *secrets, char *text, size_t len) {
  const char *secret = secrets->data, *end = secrets->data + secrets->len;
  for (; secret != end; secret += strlen(secret) + 1) {
    size_t size = strlen(secret), at;
    for (at = 0; at + size <= len; at++)
      if (memcmp(text + at, secret, size) == 0) memset(text + at, '*', size);
  }
}
