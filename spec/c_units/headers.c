/* Specs of src/http/headers.c. */
#include "http/headers.h"

#include <string.h>

#include "check.h"

static struct buffer block(const char *text) {
  struct buffer b = {0};
  /* exactly as large as the text, so that the sanitizer detects a read beyond its end */
  b.len = b.cap = strlen(text);
  b.data = malloc(b.len != 0 ? b.len : 1);
  memcpy(b.data, text, b.len);
  return b;
}

static int is(const char *at, size_t len, const char *wanted) {
  return len == strlen(wanted) && memcmp(at, wanted, len) == 0;
}

static void fields(void) {
  static const struct {
    const char *text;
    const char *wanted[8]; /* name, value, …, NULL */
  } cases[] = {
      {"", {NULL}},
      {"\r\n", {NULL}},
      {"A: 1\r\n", {"A", "1", NULL}},
      {"A: 1\r\nB: 2\r\nA: 3\r\n\r\n", {"A", "1", "B", "2", "A", "3", NULL}},
      {"A: 1\nB: 2\n", {"A", "1", "B", "2", NULL}},           /* line ends without CR */
      {"A: 1\r\nB: 2", {"A", "1", "B", "2", NULL}},           /* no line end after the last line */
      {"A:1\r\n", {"A", "1", NULL}},                          /* no blank */
      {"A: \t 1 2\t \r\n", {"A", "1 2", NULL}},               /* blanks around, and within */
      {"A:\r\nB: \r\nC:\t\n", {"A", "", "B", "", "C", ""}},   /* empty values */
      {"no colon\r\nA: 1\r\n\r\nnone\r\n", {"A", "1", NULL}}, /* lines without a colon are skipped */
      {"A: b: c\r\n", {"A", "b: c", NULL}},                   /* the first colon counts */
      {"Date: Thu, 24 Sep 2026 10:00:00 GMT\r\n", {"Date", "Thu, 24 Sep 2026 10:00:00 GMT", NULL}},
      {": 1\r\n", {"", "1", NULL}},
      {":", {"", "", NULL}},
      {"A:\xC3\xBC\r\n", {"A", "\xC3\xBC", NULL}},
  };
  size_t i;
  for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct buffer b = block(cases[i].text);
    struct header field;
    size_t at = 0, n;
    for (n = 0; n < 8 && cases[i].wanted[n] != NULL; n += 2) {
      CHECK_CASE(headers_next(&b, &at, &field), "case %u, field %u", (unsigned)i, (unsigned)n / 2);
      CHECK_CASE(is(field.name, field.name_len, cases[i].wanted[n]), "case %u, name %u", (unsigned)i, (unsigned)n / 2);
      CHECK_CASE(is(field.value, field.value_len, cases[i].wanted[n + 1]), "case %u, value %u: \"%.*s\"", (unsigned)i,
                 (unsigned)n / 2, (int)field.value_len, field.value);
    }
    CHECK_CASE(!headers_next(&b, &at, &field), "case %u has one field too many", (unsigned)i);
    CHECK_CASE(at == b.len, "case %u is not read to its end", (unsigned)i);
    CHECK_CASE(!headers_next(&b, &at, &field), "case %u begins again", (unsigned)i);
    free(b.data);
  }
}

static void finding(void) {
  struct buffer b = block("Retry-After: 5\r\nretry-after: 6\r\nX-Retry-After: 7\r\nRetry-After-Ms: 8\r\nBlank : 9\r\n");
  struct buffer none = {0};
  struct header field;
  char out[16];
  CHECK(headers_find(&b, "retry-after", 11, &field) && is(field.value, field.value_len, "5")); /* the first */
  CHECK(headers_find(&b, "RETRY-AFTER", 11, &field) && is(field.value, field.value_len, "5"));
  CHECK(headers_find(&b, "x-retry-after", 13, &field) && is(field.value, field.value_len, "7"));
  CHECK(headers_find(&b, "retry-after-ms", 14, &field) && is(field.value, field.value_len, "8"));
  CHECK(!headers_find(&b, "retry", 5, &field)); /* the whole name must match */
  CHECK(!headers_find(&b, "retry-after-ms-x", 16, &field));
  CHECK(!headers_find(&b, "blank", 5, &field)); /* RFC 9112, 5.1: no blank before the colon */
  CHECK(!headers_find(&b, "", 0, &field));
  CHECK(!headers_find(&none, "retry-after", 11, &field));
  CHECK(headers_copy(&b, "retry-after", out, sizeof out) && strcmp(out, "5") == 0);
  strcpy(out, "as before");
  CHECK(!headers_copy(&b, "location", out, sizeof out) && strcmp(out, "as before") == 0);
  free(b.data);
}

static void cutting(void) {
  struct buffer b = block("Name: 0123456789\r\nEmpty:\r\n");
  char out[32];
  size_t size;
  for (size = 1; size <= 12; size++) {
    memset(out, '#', sizeof out);
    CHECK(headers_copy(&b, "name", out, size));
    CHECK_CASE(strlen(out) == (size <= 10 ? size - 1 : 10), "a buffer of %u", (unsigned)size);
    CHECK_CASE(memcmp(out, "0123456789", strlen(out)) == 0, "a buffer of %u", (unsigned)size);
    CHECK_CASE(out[size < 11 ? size : 11] == '#', "a buffer of %u", (unsigned)size);
  }
  CHECK(headers_copy(&b, "empty", out, sizeof out) && out[0] == '\0');
  free(b.data);
}

static void letters(void) {
  int a, b;
  for (a = 0; a < 256; a++)
    for (b = 0; b < 256; b++) {
      char x = (char)a, y = (char)b;
      int same = a == b || (a - b == 32 && a >= 'a' && a <= 'z') || (b - a == 32 && b >= 'a' && b <= 'z');
      CHECK_CASE(!headers_same(&x, &y, 1) == !same, "%d and %d", a, b);
    }
  CHECK(headers_same("", "", 0));
  CHECK(headers_same("abcX", "ABCy", 3) && !headers_same("abcX", "ABCy", 4));
}

/* Random bytes are read to their end, and every field lies inside the block. */
static void anything(void) {
  static const char alphabet[] = {'A', ':', ' ', '\t', '\r', '\n', '\0', '\xFF'};
  unsigned round;
  for (round = 0; round < 5000; round++) {
    struct buffer b = {0};
    struct header field;
    size_t at = 0, i, before, inside = 1, steps = 0;
    b.len = b.cap = pick(40);
    b.data = malloc(b.len != 0 ? b.len : 1);
    for (i = 0; i < b.len; i++) b.data[i] = alphabet[pick(sizeof alphabet)];
    for (before = at; headers_next(&b, &at, &field); before = at, steps++) {
      inside = inside && at > before && field.name >= b.data && field.value >= field.name + field.name_len + 1 &&
               field.value + field.value_len <= b.data + at && memchr(field.value, '\n', field.value_len) == NULL;
    }
    CHECK_CASE(inside && at == b.len && steps <= b.len, "round %u", round);
    free(b.data);
  }
}

int main(void) {
  fields();
  finding();
  cutting();
  letters();
  anything();
  return summary();
}
