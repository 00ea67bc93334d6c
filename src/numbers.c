/* numbers.c - marks the JSON numbers that a double would change; see numbers.h. */
#include "numbers.h"

#include <string.h>

#define EXACT_DIGITS 15 /* any integer of so many digits is a double */

/* The place after the string that begins at `at`, or `end`. */
static const char *skip_string(const char *at, const char *end) {
  for (at++; at < end; at += 2) {
    const char *quote = memchr(at, '"', (size_t)(end - at));
    const char *escape = quote != NULL ? memchr(at, '\\', (size_t)(quote - at)) : NULL;
    if (quote == NULL) return end;
    if (escape == NULL) return quote + 1;
    at = escape; /* and over what it escapes */
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

int numbers_mark(const char *text, size_t len, int floats, const char *mark, struct buffer *out) {
  const char *at = text, *end = text + len, *copied = text;
  int found = 0;
  while (at < end) {
    const char *start = at;
    int marked;
    if (*at == '"') {
      at = skip_string(at, end);
    } else if (*at == '-' || (*at >= '0' && *at <= '9')) {
      at = read_number(at, end, floats, &marked);
      if (!marked) continue;
      found = 1;
      if (buffer_add(out, copied, (size_t)(start - copied)) != 0 || buffer_puts(out, "\"") != 0 ||
          buffer_puts(out, mark) != 0 || buffer_add(out, start, (size_t)(at - start)) != 0 ||
          buffer_puts(out, "\"") != 0)
        return -1;
      copied = at;
    } else {
      at++;
    }
  }
  if (found && buffer_add(out, copied, (size_t)(end - copied)) != 0) return -1;
  return found;
}
