/* redact.c - overwrites secrets in texts that are shown; see redact.h. */
#include "http/redact.h"

#include <string.h>

#include "http/headers.h"

/* Whether a header or query field of this name holds a credential. */
static int is_credential(const char *name, size_t len) {
  static const char *const words[] = {"auth", "key", "token", "secret", "cookie", "password", "signature"};
  size_t i, at;
  for (i = 0; i < sizeof words / sizeof words[0]; i++)
    for (at = 0; at + strlen(words[i]) <= len; at++)
      if (headers_same(words[i], name + at, strlen(words[i]))) return 1;
  return 0;
}

static int add_plain(struct buffer *secrets, const char *text, size_t len) {
  return buffer_add(secrets, text, len) != 0 || buffer_add(secrets, "", 1) != 0 ? -1 : 0;
}

/* Adds the secret as JSON may write it: with a backslash before '"', '\\' and, in some encoders, '/'. */
static int add_escaped(struct buffer *secrets, const char *text, size_t len, const char *escaped) {
  size_t i, start = secrets->len;
  for (i = 0; i < len; i++)
    if ((strchr(escaped, text[i]) != NULL && buffer_add(secrets, "\\", 1) != 0) ||
        buffer_add(secrets, text + i, 1) != 0)
      return -1;
  if (secrets->len - start != len) return buffer_add(secrets, "", 1);
  secrets->len = start; /* nothing was escaped */
  return 0;
}

/* Adds a spelling, plain and as JSON writes it. */
static int add_spelling(struct buffer *secrets, const char *text, size_t len) {
  return add_escaped(secrets, text, len, "\"\\/") != 0 || add_escaped(secrets, text, len, "\"\\") != 0 ||
                 add_plain(secrets, text, len) != 0
             ? -1
             : 0;
}

/* Appends the text percent-decoded, up to a zero byte; 0 or -1. */
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

/* Adds all spellings that an answer may echo: a secret in a URL is percent-encoded, and servers read it decoded. */
int redact_add(struct buffer *secrets, const char *text, size_t len) {
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

int redact_add_headers(struct buffer *secrets, const struct buffer *lines) {
  struct header field;
  size_t at = 0;
  while (headers_next(lines, &at, &field)) {
    const char *space = memchr(field.value, ' ', field.value_len);
    if (!is_credential(field.name, field.name_len)) continue;
    /* "Bearer abc": abc must not be shown by itself either. */
    if (space != NULL && redact_add(secrets, space + 1, field.value_len - (size_t)(space + 1 - field.value)) != 0)
      return -1;
    if (redact_add(secrets, field.value, field.value_len) != 0) return -1;
  }
  return 0;
}

int redact_add_query(struct buffer *secrets, const char *query) {
  while (query != NULL && *query != '\0') {
    size_t len = strcspn(query, "&"), name = strcspn(query, "=&");
    if (name < len && is_credential(query, name) && redact_add(secrets, query + name + 1, len - name - 1) != 0)
      return -1;
    query += len + (query[len] == '&');
  }
  return 0;
}

void redact_text(const struct buffer *secrets, char *text, size_t len) {
  size_t i, at, size;
  for (i = 0; i < secrets->len; i += size + 1) {
    const char *secret = secrets->data + i;
    size = strlen(secret);
    for (at = 0; at + size <= len; at++)
      if (memcmp(text + at, secret, size) == 0) memset(text + at, '*', size);
  }
}
