/* Specs of src/base/json_numbers.c. In the cases below a marked number is written as <number>, the mark of a string as
 * ^. */
#include "base/json_numbers.h"

#include <string.h>

#include "check.h"

#define MARK "\001"

/* Returns the text with each <…> and ^ turned into real marks. */
static struct buffer with_marks(const char *text) {
  struct buffer b = {0};
  for (; *text != '\0'; text++) {
    if (*text == '<')
      buffer_puts(&b, "\"" MARK);
    else if (*text == '^')
      buffer_puts(&b, MARK);
    else
      buffer_add(&b, *text == '>' ? "\"" : text, 1);
  }
  return b;
}

/* Scans a copy of exactly the text's size, so that the sanitizer detects a read beyond its end. */
static int mark(const char *text, size_t len, int all, struct buffer *out) {
  char *copy = malloc(len != 0 ? len : 1);
  int result, mendable;
  memcpy(copy, text, len);
  result = json_numbers_scan(copy, len, 1, all, out, &mendable);
  CHECK(result != 1 || mendable || strstr(buffer_string(out), MARK) == NULL);
  free(copy);
  return result;
}

/* Checks `mendable`: the binding must look at a value with nulls, marks, what may be
 * no finite number or, in a Lua with integers, numbers. */
static void mendable(void) {
  static const struct {
    const char *text;
    int nulls, all;
  } table[] = {
      {"{}", 0, 0},
      {"{\"a\":\"b\",\"c\":true}", 0, 0},
      {"{\"a\":1}", 0, 1},
      {"{\"a\":-2.5}", 1, 1},
      {"{\"a\":\"null 1\"}", 0, 0},
      {"{\"a\":\"\\\\\",\"b\":null}", 1, 1},
      {"{\"a\":[[{\"b\":null}]]}", 1, 1},
      {"[1]", 0, 1},
      {"null", 1, 1},
      {"{\"a\":9007199254740993}", 1, 1},
      {"{\"a\":4.0}", 1, 1},
      {"[NaN]", 1, 1},
      {"[inf]", 1, 1},
      {"[1e999]", 1, 1},
  };
  size_t i;
  for (i = 0; i < sizeof table / sizeof table[0]; i++) {
    struct buffer out = {0};
    int found;
    CHECK(json_numbers_scan(table[i].text, strlen(table[i].text), 0, 0, &out, &found) >= 0);
    CHECK_CASE(found == table[i].nulls, "%s", table[i].text);
    out.len = 0;
    CHECK(json_numbers_scan(table[i].text, strlen(table[i].text), 1, 0, &out, &found) >= 0);
    CHECK_CASE(found == table[i].all, "%s (integers)", table[i].text);
    buffer_free(&out);
  }
}

static void check_case(const char *text, int all, const char *wanted) {
  struct buffer out = {0}, marked = with_marks(wanted);
  int result = mark(text, strlen(text), all, &out);
  CHECK_CASE(result == (strcmp(text, wanted) != 0), "%s (all %d)", text, all);
  if (result == 0)
    CHECK_CASE(out.len == 0, "%s is copied for nothing", text);
  else
    CHECK_CASE(out.len == marked.len && memcmp(out.data, marked.data, out.len) == 0, "%s (all %d): %.*s", text, all,
               (int)out.len, out.data);
  buffer_free(&out);
  buffer_free(&marked);
}

static void cases(void) {
  static const struct {
    const char *text, *plain, *all; /* plain, all: the result without and with that option; NULL: unchanged */
  } table[] = {
      {"", NULL, NULL},
      {"{}", NULL, NULL},
      {"0", NULL, "<0>"},
      {"-0", NULL, "<-0>"},
      {"{\"progress\":45,\"n\":-7}", NULL, "{\"progress\":<45>,\"n\":<-7>}"},
      {"[1,5]", NULL, "[<1>,<5>]"},
      {"123456789012345", NULL, "<123456789012345>"}, /* 15 digits: exact as a double */
      {"-123456789012345", NULL, "<-123456789012345>"},
      {"1234567890123456", "<1234567890123456>", "<1234567890123456>"},
      {"-9007199254740993", "<-9007199254740993>", "<-9007199254740993>"},
      {"{\"seed\":9007199254740993}", "{\"seed\":<9007199254740993>}", "{\"seed\":<9007199254740993>}"},
      {"[9007199254740993,1,9007199254740995]", "[<9007199254740993>,1,<9007199254740995>]",
       "[<9007199254740993>,<1>,<9007199254740995>]"},
      {"[ 9007199254740993 ]", "[ <9007199254740993> ]", "[ <9007199254740993> ]"},
      {"18446744073709551616", "<18446744073709551616>", "<18446744073709551616>"},
      {"4.0", "<4.0>", "<4.0>"}, /* a float, though its value is an integer */
      {"-4.000", "<-4.000>", "<-4.000>"},
      {"0.0", "<0.0>", "<0.0>"},
      {"4.5", "<4.5>", "<4.5>"},
      {"[4.0,4.5,4]", "[<4.0>,<4.5>,4]", "[<4.0>,<4.5>,<4>]"},
      {"1e3", "<1e3>", "<1e3>"},
      {"1E+3", "<1E+3>", "<1E+3>"},
      {"-2.5e-3", "<-2.5e-3>", "<-2.5e-3>"},
      {"[1e3,1]", "[<1e3>,1]", "[<1e3>,<1>]"},
      {"0.12345678901234567", "<0.12345678901234567>", "<0.12345678901234567>"},
      /* a number where a key must be is invalid JSON, and a mark would turn it into a key */
      {"{4.0:1}", NULL, "{4.0:<1>}"},
      {"{4:1.5}", "{4:<1.5>}", "{4:<1.5>}"},
      {"{9007199254740993 : \"\"}", NULL, NULL},
      /* digits inside strings are text */
      {"\"9007199254740993\"", NULL, NULL},
      {"{\"id\":\"9007199254740993\",\"n\":1}", NULL, "{\"id\":\"9007199254740993\",\"n\":<1>}"},
      {"{\"9007199254740993\":4.0}", "{\"9007199254740993\":<4.0>}", "{\"9007199254740993\":<4.0>}"},
      {"[\"a\\\"9007199254740993\",true]", NULL, NULL}, /* an escaped quote does not end a string */
      {"[\"a\\\\\",9007199254740993]", "[\"a\\\\\",<9007199254740993>]", "[\"a\\\\\",<9007199254740993>]"},
      {"[\"a\\\\\\\",9007199254740993\"]", NULL, NULL},
      {"[\"\\u0022 9007199254740993\"]", NULL, NULL},
      {"[\"\",9007199254740993,\"\"]", "[\"\",<9007199254740993>,\"\"]", "[\"\",<9007199254740993>,\"\"]"},
      {"\"caf\xC3\xA9 4.0\"", NULL, NULL},
      /* a string that begins like a marked number gets a mark, too; a key needs none */
      {"[\"\\u00011\",\"\\u0001\\u0001\"]", "[\"^\\u00011\",\"^\\u0001\\u0001\"]",
       "[\"^\\u00011\",\"^\\u0001\\u0001\"]"},
      {"{\"a\":\"\0011\",\"b\":4.5}", "{\"a\":\"^\0011\",\"b\":<4.5>}", "{\"a\":\"^\0011\",\"b\":<4.5>}"},
      {"{\"\\u00011\" : \"a\\u0001\"}", NULL, NULL},
      {"\"\\u0001\\ud83d\"", "\"^\\u0001\\ufffd\"", "\"^\\u0001\\ufffd\""},
      {"\"\\u000", NULL, NULL},
      /* truncated or invalid JSON stays unchanged, so that the decoder rejects it */
      {"-", NULL, NULL},
      {"[-", NULL, NULL},
      {"\"", NULL, NULL},
      {"\"\\", NULL, NULL},
      {"\"abc", NULL, NULL},
      {"{\"a\":\"9007199254740993", NULL, NULL},
      {"{\"a\":\"9007199254740993\\", NULL, NULL},
      {"[1e]", NULL, NULL},
      {"[1.]", NULL, NULL},
      {"[1e+]", NULL, NULL},
      {"[1.0.0]", NULL, NULL},
      {"[1e2e3]", NULL, NULL},
      {"[1-2]", NULL, NULL},
      /* half a character, beside whole ones and other escapes */
      {"\"\\ud83d\"", "\"\\ufffd\"", "\"\\ufffd\""},
      {"\"\\uDE00\"", "\"\\ufffd\"", "\"\\ufffd\""},
      {"\"\\ud83d\\ude00\"", NULL, NULL},
      {"\"a\\ud83d\\ude00\\ud83db\\n\"", "\"a\\ud83d\\ude00\\ufffdb\\n\"", "\"a\\ud83d\\ude00\\ufffdb\\n\""},
      {"\"\\ud83d\\ud83d\\ude00\"", "\"\\ufffd\\ud83d\\ude00\"", "\"\\ufffd\\ud83d\\ude00\""},
      {"\"\\ude00\\ud83d\"", "\"\\ufffd\\ufffd\"", "\"\\ufffd\\ufffd\""},
      {"\"\\ud83d\\u0041\"", "\"\\ufffd\\u0041\"", "\"\\ufffd\\u0041\""},
      {"\"\\ud83d \\ude00\"", "\"\\ufffd \\ufffd\"", "\"\\ufffd \\ufffd\""},
      {"\"\\\\ud83d\"", NULL, NULL}, /* an escaped backslash, and letters */
      {"\"\\\\\\ud83d\"", "\"\\\\\\ufffd\"", "\"\\\\\\ufffd\""},
      {"{\"\\ud83d\":\"\\udbff\",\"n\":4.5}", "{\"\\ufffd\":\"\\ufffd\",\"n\":<4.5>}",
       "{\"\\ufffd\":\"\\ufffd\",\"n\":<4.5>}"},
      {"\"\\ud83", NULL, NULL},
      {"\"\\ud8g0\"", NULL, NULL},
      {"\"\\ud83d\\", "\"\\ufffd\\", "\"\\ufffd\\"},
      {"\\udead", NULL, NULL}, /* outside of strings nothing is mended */
  };
  static const char page[] = "<html>12 1.5:</html>"; /* here '<' is text */
  struct buffer out = {0};
  size_t i;
  for (i = 0; i < sizeof table / sizeof table[0]; i++) {
    check_case(table[i].text, 0, table[i].plain != NULL ? table[i].plain : table[i].text);
    check_case(table[i].text, 1, table[i].all != NULL ? table[i].all : table[i].text);
  }
  CHECK(mark(page, strlen(page), 0, &out) == 0 && out.len == 0);
  buffer_free(&out);
}

/* Every prefix of a text with all kinds of values: none is read beyond its end. */
static void truncated(void) {
  static const char text[] = "{\"a\":[-9007199254740993,4.0,1.5e-7,\"\\\"\\\\\\u00e9 12\",{\"b\":null}],\"c\":0.10}";
  size_t len;
  for (len = 0; len <= sizeof text - 1; len++) {
    struct buffer out = {0};
    int result = mark(text, len, 1, &out);
    CHECK_CASE(result == 0 || result == 1, "%u bytes", (unsigned)len);
    CHECK_CASE(result == 1 ? out.len >= len + 3 : out.len == 0, "%u bytes", (unsigned)len);
    buffer_free(&out);
  }
}

/* Removes the marks. Returns NULL if a mark is not followed by a number and a closing quote. */
static char *without_marks(const struct buffer *marked, size_t *len) {
  static const char opening[] = "\"" MARK;
  char *text = malloc(marked->len + 1);
  size_t at = 0;
  *len = 0;
  while (at < marked->len) {
    if (marked->len - at >= sizeof opening - 1 && memcmp(marked->data + at, opening, sizeof opening - 1) == 0) {
      size_t digits = 0;
      for (at += sizeof opening - 1; at < marked->len && marked->data[at] != '"'; digits++)
        text[(*len)++] = marked->data[at++];
      if (digits == 0 || at++ == marked->len) {
        free(text);
        return NULL;
      }
    } else {
      text[(*len)++] = marked->data[at++];
    }
  }
  return text;
}

/* Random texts: removing the marks restores the original. */
static void anything(void) {
  static const char *const pieces[] = {"\"",
                                       "\\",
                                       "9007199254740993",
                                       "1",
                                       "-",
                                       "+",
                                       ".",
                                       "0",
                                       "e",
                                       "E",
                                       "4.0",
                                       "1e3",
                                       ",",
                                       "[",
                                       "]",
                                       "{",
                                       "}",
                                       ":",
                                       " ",
                                       "\n",
                                       "true",
                                       "null",
                                       "\"a\"",
                                       "\"\\\"\"",
                                       "\"\\ud83d\\ude00\"",
                                       "\xFF",
                                       "\xC3\xA9"};
  unsigned round, i;
  for (round = 0; round < 20000; round++) {
    struct buffer text = {0}, out = {0};
    int all = (int)pick(2), result;
    unsigned count = pick(12);
    for (i = 0; i < count; i++) {
      const char *piece = pieces[pick(sizeof pieces / sizeof pieces[0])];
      CHECK(buffer_puts(&text, piece) == 0);
    }
    result = mark(text.data != NULL ? text.data : "", text.len, all, &out);
    CHECK_CASE(result == 0 || result == 1, "round %u", round);
    if (result == 1) {
      size_t len;
      char *back = without_marks(&out, &len);
      CHECK_CASE(back != NULL && len == text.len && memcmp(back, text.data, len) == 0, "%.*s became %.*s",
                 (int)text.len, text.data, (int)out.len, out.data);
      free(back);
    } else {
      CHECK_CASE(out.len == 0, "round %u", round);
    }
    buffer_free(&text);
    buffer_free(&out);
  }
}

int main(void) {
  cases();
  mendable();
  truncated();
  anything();
  return summary();
}
