/* Specs of src/http/redact.c. */
#include "http/redact.h"

#include <string.h>

#include "check.h"

/* Checks a text that is redacted with one secret. */
static void check_redacted(const char *secret, const char *text, const char *wanted) {
  struct buffer secrets = {0};
  char copy[256];
  snprintf(copy, sizeof copy, "%s", text);
  CHECK(redact_add(&secrets, secret, strlen(secret)) == 0);
  redact_text(&secrets, copy, strlen(copy));
  CHECK_CASE(strcmp(copy, wanted) == 0, "%s in %s: %s", secret, text, copy);
  buffer_free(&secrets);
}

static void spellings(void) {
  check_redacted("abc", "", "");
  check_redacted("abc", "ab", "ab");
  check_redacted("abc", "xabcabcx", "x******x");
  check_redacted("abc", "Abc aBc", "Abc aBc");
  check_redacted("aa", "aaa", "**a"); /* overlapping matches leave a part of the secret, never all of it */
  check_redacted("a\"b", "{\"k\":\"a\\\"b\"}", "{\"k\":\"****\"}");
  check_redacted("a\\b", "a\\b a\\\\b", "*** ****");
  check_redacted("a/b", "a/b a\\/b", "*** ****");
  check_redacted("a%2Fb", "a%2Fb a/b a\\/b", "***** *** ****");
  check_redacted("%41%42c", "ABc %41%42c", "*** *******");
  check_redacted("%4a%4B", "JK", "**");
}

/* A '%' that is not followed by two hexadecimal digits is an ordinary character. */
static void halves(void) {
  check_redacted("ab%", "ab%", "***");
  check_redacted("ab%4", "ab%4", "****");
  check_redacted("ab%4g", "ab%4g", "*****");
  check_redacted("ab%g4%43", "ab%g4C", "******");
  check_redacted("%00abc", "%00abc abc", "****** abc"); /* decoded, the secret ends at the zero byte and is empty */
  check_redacted("ab%00c", "ab ab%00c", "** ******");
}

static void collect(void) {
  static const char lines[] = "Authorization: Bearer word\r\nAccept: */*\r\nX-My-Token: t0ken\r\n";
  struct buffer header = {0}, secrets = {0};
  char text[] = "Bearer word, word, t0ken, */*, q-s, b";
  CHECK(buffer_puts(&header, lines) == 0);
  CHECK(redact_add_headers(&secrets, &header) == 0);
  CHECK(redact_add_query(&secrets, "a=b&api_key=q-s&key=&token") == 0);
  CHECK(redact_add_query(&secrets, NULL) == 0);
  CHECK(redact_add_query(&secrets, "") == 0);
  redact_text(&secrets, text, sizeof text - 1);
  CHECK_CASE(strcmp(text, "Bearer ****, ****, *****, */*, ***, b") == 0, "%s", text);
  buffer_free(&header);
  buffer_free(&secrets);
}

/* Random secrets: each is redacted completely from its own text. The memory is exactly as long as the text, so that the
 * sanitizer detects an access beyond its end. */
static void anything(void) {
  static const char alphabet[] = "a%4fF\"\\/0";
  unsigned round;
  for (round = 0; round < 5000; round++) {
    struct buffer secrets = {0};
    size_t len = 1 + pick(8), i;
    char *secret = malloc(len), *text = malloc(len);
    for (i = 0; i < len; i++) secret[i] = alphabet[pick(sizeof alphabet - 1)];
    memcpy(text, secret, len);
    CHECK(redact_add(&secrets, secret, len) == 0);
    redact_text(&secrets, text, len);
    for (i = 0; i < len; i++) CHECK_CASE(text[i] == '*', "round %u", round);
    buffer_free(&secrets);
    free(secret);
    free(text);
  }
}

int main(void) {
  spellings();
  halves();
  collect();
  anything();
  return summary();
}
