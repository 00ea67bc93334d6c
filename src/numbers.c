/* numbers.c - finds what a decoder into doubles would get wrong; see numbers.h. */
#include "numbers.h"

#include <string.h>

#define EXACT_DIGITS 15 /* any integer of so many digits is a double */

/* The place after the string that begins at `at`, or `end`. A quote is escaped by an odd number of backslashes. */
static const char *skip_string(const char *at, const char *end) {
  const char *quote = at;
  while ((quote = memchr(quote + 1, '"', (size_t)(end - quote - 1))) != NULL) {
    const char *escape = quote;
    while (escape[-1] == '\\') escape--;
    if ((quote - escape) % 2 == 0) return quote + 1;
  }
  return end;
}

static const char *skip_digits(const char *at, const char *end) {
  while (at < end && *at >= '0' && *at <= '9') at++;
  return at;
}

/* The place after the number that begins at `at`; *marked: whether it needs a mark. The grammar is RFC 8259's, section
 * 6, save that leading zeros pass, as they do in cjson. */
static const char *read_number(const char *at, const char *end, int floats, int *marked) {
  const char *whole = at + (*at == '-'), *point = skip_digits(whole, end), *stop = point, *zeros = point;
  int valid = point > whole, integer = 1, exponent = 0;
  if (stop < end && *stop == '.') {
    for (zeros = stop + 1; zeros < end && *zeros == '0';) zeros++;
    stop = skip_digits(point + 1, end);
    valid = valid && stop > point + 1;
    integer = 0;
  }
  if (stop < end && (*stop == 'e' || *stop == 'E')) {
    const char *digits = stop + 1 + (stop + 1 < end && (stop[1] == '+' || stop[1] == '-'));
    stop = skip_digits(digits, end);
    valid = valid && stop > digits;
    integer = 0;
    exponent = 1;
  }
  if (stop < end && (*stop == '.' || *stop == 'e' || *stop == 'E' || *stop == '-' || *stop == '+')) valid = 0;
  if (integer) {
    *marked = valid && stop - whole > EXACT_DIGITS;
  } else {
    *marked = valid && floats && (exponent || zeros == stop || stop - whole > EXACT_DIGITS);
  }
  return stop;
}

/* How far the scan is. */
struct scan {
  const char *at, *end;
  const char *copied;              /* so far `out` has the text */
  const char *string, *string_end; /* the last one, with its quotes */
  const char *key, *key_end;       /* of the outermost object's member that `at` is in, likewise */
  int depth;
  struct places *places;
};

/* A number or a null begins here. */
static void note_place(struct scan *s) {
  struct places *p = s->places;
  if (s->depth != 1 || s->key == NULL || p->count == NUMBERS_PLACES ||
      memchr(s->key, '\\', (size_t)(s->key_end - s->key)) != NULL) {
    p->elsewhere = 1;
    return;
  }
  p->member[p->count].key = s->key + 1;
  p->member[p->count++].len = (size_t)(s->key_end - s->key) - 2;
}

/* Copies what has not been copied yet, and the number from `start` to `at` with its mark. */
static int add_marked(struct scan *s, const char *start, const char *mark, struct buffer *out) {
  if (buffer_add(out, s->copied, (size_t)(start - s->copied)) != 0 || buffer_puts(out, "\"") != 0 ||
      buffer_puts(out, mark) != 0 || buffer_add(out, start, (size_t)(s->at - start)) != 0 ||
      buffer_puts(out, "\"") != 0)
    return -1;
  s->copied = s->at;
  s->places->elsewhere = 1;
  return 0;
}

int numbers_scan(const char *text, size_t len, int integers, const char *mark, struct buffer *out,
                 struct places *places) {
  struct scan s = {0};
  s.at = s.copied = text;
  s.end = text + len;
  s.places = places;
  places->count = places->elsewhere = 0;
  while (s.at < s.end) {
    const char *start = s.at;
    int marked = 0;
    if (*start == '"') {
      s.string = start;
      s.string_end = s.at = skip_string(start, s.end);
      continue;
    }
    if (*start == '-' || (*start >= '0' && *start <= '9')) {
      s.at = read_number(start, s.end, integers, &marked);
      if (integers) note_place(&s);
      if (marked && add_marked(&s, start, mark, out) != 0) return -1;
      continue;
    }
    if (*start == 'n') note_place(&s);
    if (*start == '{' || *start == '[') s.depth++;
    if (*start == '}' || *start == ']') s.depth--;
    if (*start == ':' && s.depth == 1) s.key = s.string, s.key_end = s.string_end;
    s.at++;
  }
  if (s.copied == text) return 0;
  return buffer_add(out, s.copied, (size_t)(s.end - s.copied)) == 0 ? 1 : -1;
}
