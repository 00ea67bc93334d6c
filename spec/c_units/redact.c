/* Specs of src/http/redact.c. */
#include "http/redact.h"

#include <string.h>

#include "check.h"

/* Checks a text that is redacted with one secret. */
static void check_with(void (*redact)(const struct buffer *, char *, size_t), const char *secret, const char *text,
                       const char *wanted) {
  struct buffer secrets = {0};
  size_t len = strlen(text);
  char *copy = malloc(len != 0 ? len : 1); /* exactly as long as the text, for the sanitizer */
  memcpy(copy, text, len);
  CHECK(redact_add(&secrets, secret, strlen(secret)) == 0);
  CHECK_CASE(redact_finds(&secrets, copy, len) == (strcmp(text, wanted) != 0) || redact == redact_cut_text, "%s in %s",
             secret, text);
  redact(&secrets, copy, len);
  CHECK_CASE(len == strlen(wanted) && memcmp(copy, wanted, len) == 0, "%s in %s: %.*s", secret, text, (int)len, copy);
  buffer_free(&secrets);
  free(copy);
}

static void check_redacted(const char *secret, const char *text, const char *wanted) {
  check_with(redact_text, secret, text, wanted);
}

static void spellings(void) {
  check_redacted("abcdef", "", "");
  check_redacted("abcdef", "abcde", "abcde");
  check_redacted("abcdef", "xabcdefabcdefx", "x************x");
  check_redacted("abcdef", "Abcdef aBcdef", "Abcdef aBcdef");
  check_redacted("aaaaaa", "aaaaaaa", "******a"); /* overlapping matches leave a part of the secret, never all of it */
  check_redacted("abcd\"f", "{\"k\":\"abcd\\\"f\"}", "{\"k\":\"*******\"}");
  check_redacted("abcd\\f", "abcd\\f abcd\\\\f", "****** *******");
  check_redacted("abcd/f", "abcd/f abcd\\/f abcd\\u002ff abcd\\u002Ff", "****** ******* *********** ***********");
  check_redacted("abcd/f", "abcd%2Ff abcd%2ff abcd%252Ff", "******** ******** **********");
  check_redacted("abcd=f", "abcd&#61;f abcd&#061;f abcd&#x3d;f abcd&#X3D;f",
                 "********** *********** *********** ***********");
  check_redacted("a<>&'\"", "a&lt;&gt;&amp;&apos;&quot;!", "**************************!");
  check_redacted("abcd=f", "abcd\\\\u003df abcd\\u00253Df abcd%5Cu003df", "************ ************* *************");
  check_redacted("abcd\\=", "abcd\\\\\\\\\\u003d", "**************");
  check_redacted("abcdef", "\\u0061\\u0062%63%64&#101;f", "*************************");
  check_redacted("abcd%2Ff", "abcd%2Ff abcd/f abcd%2ff abcd\\/f", "******** ****** ******** *******");
  check_redacted("%61%62cdef", "abcdef %61%62cdef", "****** **********");
  check_redacted("%6a%6B%6a%6B%6a%6B", "jkjkjk", "******");
  check_redacted("sch\303\274ssel\342\202\254", "sch\303\274ssel\342\202\254 sch\\u00fcssel\\u20ac",
                 "************ *******************");
}

/* A '%', '\' or '&' that begins no such spelling is an ordinary character, also at the end of the text. */
static void halves(void) {
  static const char *const ends[] = {"%",   "%4",   "%4g",         "\\",        "\\u",   "\\u00", "\\u00g0",
                                     "\\x", "&",    "&#",          "&#x",       "&#x3d", "&#;",   "&#x;",
                                     "&am", "&amp", "&#99999999;", "&nothing;", "&#0;",  "%g4"};
  size_t i;
  for (i = 0; i < sizeof ends / sizeof ends[0]; i++) {
    char secret[32], text[80], wanted[80];
    snprintf(secret, sizeof secret, "abcdef%s", ends[i]);
    snprintf(text, sizeof text, "%s %s.", secret, secret);
    memset(wanted, '*', sizeof wanted);
    wanted[strlen(secret)] = ' ';
    strcpy(wanted + 2 * strlen(secret) + 1, ".");
    check_redacted(secret, text, wanted);
    check_redacted("abcdef", ends[i], ends[i]);
  }
  check_redacted("%00abc", "%00abc abc", "****** abc"); /* decoded, the secret ends at the zero byte and is empty */
}

/* A secret below 6 bytes is redacted where it is a whole word. */
static void short_ones(void) {
  check_redacted("7", "7 of 17, 7.", "* of 17, *.");
  check_redacted("test", "test contest tests test_1 my-test 'test'", "**** contest tests test_1 my-test '****'");
  check_redacted("test", "{\"k\":\"test\"} a%3Dtest a\\u003dtest a\\ntest \345\257\206test",
                 "{\"k\":\"****\"} a%3D**** a\\u003d**** a\\n**** \345\257\206****");
  check_redacted("a=b", "a%3Db a\\u003db xa%3Db", "***** ******** xa%3Db");
  check_redacted("abcd%2Ff", "xabcd/f", "x******"); /* 6 bytes as they are decoded */
}

/* Where a text breaks off, so may a secret. */
static void cut_off(void) {
  check_with(redact_cut_text, "abcdef", "abcdef abcd", "****** ****");
  check_with(redact_cut_text, "abcdef", "abc", "abc");
  check_with(redact_cut_text, "abcdefg=", "abcdefg\\u00", "***********");
  check_with(redact_cut_text, "abcdef", "abcd and very much more than that", "abcd and very much more than that");
}

/* The longest secret wins, so that none leaves its end behind. */
static void longest_first(void) {
  struct buffer secrets = {0};
  char text[] = "abcdef abcdefgh abcdefghi";
  CHECK(redact_add(&secrets, "abcdef", 6) == 0 && redact_add(&secrets, "abcdefgh", 8) == 0);
  redact_text(&secrets, text, sizeof text - 1);
  CHECK_CASE(strcmp(text, "****** ******** ********i") == 0, "%s", text);
  buffer_free(&secrets);
}

static int is_redacted(const char *name, int in_header) {
  struct buffer line = {0}, secrets = {0};
  char text[80], value[] = "s3cret";
  snprintf(text, sizeof text, in_header ? "%s: s3cret\r\n" : "%s=s3cret", name);
  CHECK(buffer_puts(&line, text) == 0 && buffer_string(&line) != NULL);
  CHECK((in_header ? redact_add_headers(&secrets, &line) : redact_add_query(&secrets, line.data)) == 0);
  redact_text(&secrets, value, 6);
  buffer_free(&line);
  buffer_free(&secrets);
  return value[0] == '*';
}

static void names(void) {
  static const char *const secret[] = {"key",         "KEY",       "api_key",  "apiKey",          "APIKey",
                                       "APIKEY",      "x-api-key", "xApiKey",  "Authorization",   "Cookie",
                                       "auth",        "X-Auth-1",  "sig",      "x.token",         "access_token",
                                       "accessToken", "password",  "my2Token", "X-Amz-Signature", "client_secret",
                                       "_key",        "key_",      "--token"};
  static const char *const plain[] = {
      "max_tokens", "tokens",  "author",          "monkey",    "keyframe", "X-Keyboard", "signatures", "tokenize",
      "k-e-y",      "authors", "Idempotency-Key", "passwords", "cookies",  "seed",       "keyFrames2", ""};
  size_t i;
  int in_header;
  for (in_header = 0; in_header < 2; in_header++) {
    for (i = 0; i < sizeof secret / sizeof secret[0]; i++)
      CHECK_CASE(is_redacted(secret[i], in_header), "%s", secret[i]);
    for (i = 0; i < sizeof plain / sizeof plain[0]; i++)
      CHECK_CASE(is_redacted(plain[i], in_header) == (strcmp(plain[i], "keyFrames2") == 0), "%s", plain[i]);
  }
}

static void collect(void) {
  static const char lines[] = "Authorization: Bearer wordword\r\nAccept: */*\r\nX-My-Token: t0ken!\r\nX-Key: short\r\n"
                              "Cookie: lang=en; session=cookie-1; id=cookie==2\r\nX-Key:\r\nX-Secret: a b c d\r\n";
  struct buffer header = {0}, secrets = {0};
  char text[] = "Bearer wordword, wordword, t0ken!, */*, query-1, b, short, en, cookie-1, cookie==2, a b c d, Bearer";
  CHECK(buffer_puts(&header, lines) == 0);
  CHECK(redact_add_headers(&secrets, &header) == 0);
  CHECK(redact_add_query(&secrets, "a=b&api_key=query-1&key=&token&max_tokens=b&key=short") == 0);
  CHECK(redact_add_query(&secrets, NULL) == 0);
  CHECK(redact_add_query(&secrets, "") == 0);
  redact_text(&secrets, text, sizeof text - 1);
  CHECK_CASE(strcmp(text, "***************, ********, ******, */*, *******, b, short, en, ********, *********, "
                          "*******, Bearer") == 0,
             "%s", text);
  buffer_free(&header);
  buffer_free(&secrets);
}

/* A collection has each secret once, and of those to remember the latest. */
static void remember(void) {
  struct buffer secrets = {0}, some = {0};
  char secret[1024];
  unsigned i;
  memset(secret, 'x', sizeof secret);
  for (i = 0; i < 1000; i++) {
    some.len = 0;
    snprintf(secret, sizeof secret, "key-%04u", i);
    secret[8] = 'x';
    CHECK(redact_add(&some, secret, sizeof secret - 1) == 0);
    CHECK(redact_add(&some, secret, sizeof secret - 1) == 0);
    CHECK(some.len == sizeof secret);
    CHECK(redact_remember(&secrets, &some) == 0);
    CHECK(redact_remember(&secrets, &some) == 0);
    CHECK(redact_finds(&secrets, secret, sizeof secret - 1));
    CHECK(secrets.len <= 256 * sizeof secret);
  }
  CHECK(secrets.len == 256 * sizeof secret);
  snprintf(secret, sizeof secret, "key-%04u", 999 - 255);
  secret[8] = 'x';
  CHECK(redact_finds(&secrets, secret, sizeof secret - 1));
  snprintf(secret, sizeof secret, "key-%04u", 999 - 256);
  secret[8] = 'x';
  CHECK(!redact_finds(&secrets, secret, sizeof secret - 1));
  buffer_free(&secrets);
  buffer_free(&some);
}

/* Random secrets: each is redacted completely from its own text. The memory is exactly as long as the text, so that the
 * sanitizer detects an access beyond its end. */
static void anything(void) {
  static const char alphabet[] = "a%4fF\"\\/0&#;u";
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
  short_ones();
  cut_off();
  longest_first();
  names();
  collect();
  remember();
  anything();
  return summary();
}
