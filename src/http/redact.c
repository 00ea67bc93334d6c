/* redact.c - overwrites secrets in texts that are shown; see redact.h. */
#include "http/redact.h"

#include <stdlib.h>
#include <string.h>

#include "http/headers.h"

#define SHORT 6                   /* bytes; what is shorter may be any word */
#define LEVELS 2                  /* how often a text may be encoded: JSON in JSON, a URL in JSON */
#define LONGEST_UNIT 24           /* bytes that one character may take, encoded */
#define CUT 4                     /* bytes of a secret that are redacted where a text is cut off in it */
#define MOST_REMEMBERED (1 << 18) /* bytes */

/* --- reading a text decoded ------------------------------------------------ */

struct reader {
  const char *at, *end;
  char rest[LEVELS][2]; /* of a character of several bytes, last byte first */
  unsigned char left[LEVELS];
};

static int next(struct reader *r, int level);

/* The value of a hexadecimal digit, or -1. */
static int digit_value(int c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Each read_ function returns a character, or -1 if there is none. */
static int read_hex(struct reader *r, int level, int digits) {
  int code = 0;
  for (; digits > 0; digits--) {
    int value = digit_value(next(r, level));
    if (value < 0) return -1;
    code = code * 16 + value;
  }
  return code;
}

/* After a backslash: JSON's \/ and \u003d. */
static int read_escape(struct reader *r, int level) {
  int c = next(r, level);
  if (c == 'u') return read_hex(r, level, 4);
  return c == '"' || c == '\\' || c == '/' ? c : -1;
}

/* After '&': HTML's "amp;", "#61;" and "#x3d;". */
static int read_entity(struct reader *r, int level) {
  static const char *const names[] = {"&amp", "<lt", ">gt", "\"quot", "'apos"};
  char word[8], *rest;
  size_t len = 0, i;
  int c, hex;
  long code;
  while ((c = next(r, level)) > 0 && c != ';' && len < sizeof word - 1) word[len++] = (char)c;
  word[len] = '\0';
  if (c != ';') return -1;
  for (i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strcmp(word, names[i] + 1) == 0) return names[i][0];
  if (word[0] != '#') return -1;
  hex = word[1] == 'x' || word[1] == 'X';
  code = strtol(word + 1 + hex, &rest, hex ? 16 : 10);
  return *rest == '\0' && code > 0 && code <= 0xffff ? (int)code : -1;
}

/* Returns the first byte of a character in UTF-8 and keeps the others. */
static int split(struct reader *r, int level, int code) {
  char *rest = r->rest[level - 1];
  if (code < 0x80) return code;
  rest[0] = (char)(0x80 | (code & 0x3f));
  rest[1] = (char)(0x80 | (code >> 6 & 0x3f));
  r->left[level - 1] = code < 0x800 ? 1 : 2;
  return code < 0x800 ? 0xc0 | code >> 6 : 0xe0 | code >> 12;
}

/* Reads the next byte of a text that is decoded `level` times; -1 at its end. */
static int next(struct reader *r, int level) {
  struct reader ahead;
  int byte, code;
  if (level == 0) return r->at < r->end ? (unsigned char)*r->at++ : -1;
  if (r->left[level - 1] > 0) return (unsigned char)r->rest[level - 1][--r->left[level - 1]];
  byte = next(r, level - 1);
  if (byte != '%' && byte != '\\' && byte != '&') return byte;
  ahead = *r;
  code = byte == '%'    ? read_hex(&ahead, level - 1, 2)
         : byte == '\\' ? read_escape(&ahead, level - 1)
                        : read_entity(&ahead, level - 1);
  if (code < 0) return byte;
  *r = ahead;
  return byte == '%' ? code : split(r, level, code);
}

/* --- collecting ------------------------------------------------------------ */

static int is_known(const struct buffer *secrets, size_t end, const char *text) {
  size_t at, size;
  for (at = 0; at < end; at += size + 1) {
    size = strlen(secrets->data + at);
    if (strcmp(secrets->data + at, text) == 0) return 1;
  }
  return 0;
}

/* Adds a text decoded `level` times, up to a zero byte, unless it is empty or known. */
static int add_decoded(struct buffer *secrets, const char *text, size_t len, int level) {
  struct reader r = {NULL, NULL, {{0}}, {0}};
  size_t start = secrets->len;
  int c;
  r.at = text;
  r.end = text + len;
  do {
    char byte;
    c = next(&r, level);
    byte = c > 0 ? (char)c : '\0';
    if (buffer_add(secrets, &byte, 1) != 0) {
      secrets->len = start;
      return -1;
    }
  } while (c > 0);
  if (secrets->len - start == 1 || is_known(secrets, start, secrets->data + start)) secrets->len = start;
  return 0;
}

/* A secret in a URL is percent-encoded, and servers echo it decoded. */
int redact_add(struct buffer *secrets, const char *text, size_t len) {
  if (len == 0) return 0;
  return add_decoded(secrets, text, len, 0) != 0 || add_decoded(secrets, text, len, 1) != 0 ? -1 : 0;
}

static int add_value(struct buffer *secrets, const char *text, size_t len) {
  return len < SHORT ? 0 : redact_add(secrets, text, len);
}

int redact_remember(struct buffer *secrets, const struct buffer *more) {
  size_t at, size;
  for (at = 0; at < more->len; at += size) {
    const char *secret = more->data + at;
    size = strlen(secret) + 1;
    if (!is_known(secrets, secrets->len, secret) && buffer_add(secrets, secret, size) != 0) return -1;
  }
  while (secrets->len > MOST_REMEMBERED) {
    size = strlen(secrets->data) + 1;
    secrets->len -= size;
    memmove(secrets->data, secrets->data + size, secrets->len);
  }
  return 0;
}

/* --- names of credentials --------------------------------------------------- */

static int is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}

static int is_lower_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Whether a new word begins at `at`: "api_key", "apiKey", "APIKey" and "X-Api-Key" have the word "key". */
static int begins_word(const char *name, size_t len, size_t at) {
  if (!is_upper(name[at])) return 0;
  return is_lower_or_digit(name[at - 1]) || (is_upper(name[at - 1]) && at + 1 < len && is_lower_or_digit(name[at + 1]));
}

static int is_word(const char *text, size_t len, const char *word) {
  return strlen(word) == len && headers_same(text, word, len);
}

/* Whether a header or query field of this name holds a credential. */
static int is_credential(const char *name, size_t len) {
  static const char *const words[] = {"auth",        "authorization", "key",       "apikey",    "token",
                                      "secret",      "cookie",        "password",  "passwd",    "signature",
                                      "sig",         "credential",    "accesskey", "secretkey", "credentials",
                                      "accesstoken", "authtoken",     "jwt"};
  size_t start, end, i;
  for (start = 0; start<len; start = end> start ? end : start + 1) {
    end = start;
    while (end < len && (is_upper(name[end]) || is_lower_or_digit(name[end])) &&
           (end == start || !begins_word(name, len, end)))
      end++;
    if (is_word(name + start, end - start, "idempotency")) return 0;
    for (i = 0; i < sizeof words / sizeof words[0]; i++)
      if (is_word(name + start, end - start, words[i])) return 1;
  }
  return 0;
}

/* Adds what "Bearer abc" and "a=b; session=abc" hold. */
static int add_parts(struct buffer *secrets, const struct header *field) {
  const char *value = field->value, *end = value + field->value_len, *at;
  for (at = value; at < end; at++) {
    const char *stop = *at == '=' ? memchr(at, ';', (size_t)(end - at)) : NULL;
    int is_cookie = *at == '=' && is_word(field->name, field->name_len, "cookie");
    if (!is_cookie && *at != ' ') continue;
    if (add_value(secrets, at + 1, (size_t)((is_cookie && stop != NULL ? stop : end) - at - 1)) != 0) return -1;
    if (!is_cookie) return 0;
    at = stop != NULL ? stop + 1 : end - 1;
  }
  return 0;
}

int redact_add_headers(struct buffer *secrets, const struct buffer *lines) {
  struct header field;
  size_t at = 0;
  while (headers_next(lines, &at, &field))
    if (is_credential(field.name, field.name_len) &&
        (add_value(secrets, field.value, field.value_len) != 0 || add_parts(secrets, &field) != 0))
      return -1;
  return 0;
}

int redact_add_query(struct buffer *secrets, const char *query) {
  while (query != NULL && *query != '\0') {
    size_t len = strcspn(query, "&"), name = strcspn(query, "=&");
    if (name < len && is_credential(query, name) && add_value(secrets, query + name + 1, len - name - 1) != 0)
      return -1;
    query += len + (query[len] == '&');
  }
  return 0;
}

/* --- finding ---------------------------------------------------------------- */

/* Returns how many bytes of a text that is decoded `level` times are the secret; 0: they are not. */
static size_t match(const char *text, size_t len, const char *secret, int level, int cut) {
  struct reader r = {NULL, NULL, {{0}}, {0}};
  size_t i;
  r.at = text;
  r.end = text + len;
  for (i = 0; secret[i] != '\0'; i++)
    if (next(&r, level) != (unsigned char)secret[i]) return cut && i >= CUT && r.end - r.at < LONGEST_UNIT ? len : 0;
  return (size_t)(r.at - text);
}

static int in_word(char c) {
  return is_upper(c) || is_lower_or_digit(c) || c == '_' || c == '-';
}

/* Whether a match is no part of a longer word; an escape such as \n or %3D before it belongs to no word. */
static int is_whole(const char *text, size_t len, size_t at, size_t size) {
  if (at + size < len && in_word(text[at + size])) return 0;
  return at == 0 || !in_word(text[at - 1]) || (at >= 2 && text[at - 2] == '\\') || (at >= 3 && text[at - 3] == '%') ||
         (at >= 6 && text[at - 6] == '\\' && text[at - 5] == 'u');
}

/* Returns the length of the longest secret at `at`, or 0. */
static size_t longest(const struct buffer *secrets, const char *text, size_t len, size_t at, int cut) {
  size_t i, size, found, best = 0;
  int level;
  for (i = 0; i < secrets->len; i += size + 1) {
    const char *secret = secrets->data + i;
    size = strlen(secret);
    for (level = 0; level <= LEVELS; level++) {
      found = match(text + at, len - at, secret, level, cut);
      if (found > best && (size >= SHORT || is_whole(text, len, at, found))) best = found;
    }
  }
  return best;
}

/* Finds the next secret from *at on; its length, or 0. */
static size_t find(const struct buffer *secrets, const char *text, size_t len, size_t *at, int cut) {
  char starts[256] = {0};
  size_t i, size = 0;
  starts['\\'] = starts['%'] = starts['&'] = 1;
  for (i = 0; i < secrets->len; i += strlen(secrets->data + i) + 1) starts[(unsigned char)secrets->data[i]] = 1;
  for (; secrets->len != 0 && *at < len; ++*at)
    if (starts[(unsigned char)text[*at]] && (size = longest(secrets, text, len, *at, cut)) != 0) return size;
  return 0;
}

int redact_finds(const struct buffer *secrets, const char *text, size_t len) {
  size_t at = 0;
  return find(secrets, text, len, &at, 0) != 0;
}

static void overwrite(const struct buffer *secrets, char *text, size_t len, int cut) {
  size_t at, size;
  for (at = 0; (size = find(secrets, text, len, &at, cut)) != 0; at += size) memset(text + at, '*', size);
}

void redact_text(const struct buffer *secrets, char *text, size_t len) {
  overwrite(secrets, text, len, 0);
}

void redact_cut_text(const struct buffer *secrets, char *text, size_t len) {
  overwrite(secrets, text, len, 1);
}
