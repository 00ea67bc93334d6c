/* json_numbers.c - finds the numbers that a decoder into doubles would get wrong; see json_numbers.h. */
#include "base/json_numbers.h"

#include <string.h>

#define EXACT_DIGITS 15    /* every integer of so many digits is a double */
#define LARGEST_DIGITS 308 /* the largest double has one more */

/* Returns the end of the string that begins at `at`. A quote is escaped by an odd number of backslashes. */
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

/* Returns the end of the number that begins at `at`. *inexact: it needs a mark. The grammar is RFC 8259's, section 6,
 * except that leading zeros are allowed, as in cjson. */
static const char *read_number(const char *at, const char *end, int floats, int *inexact) {
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
    *inexact = valid && stop - whole > EXACT_DIGITS;
  } else {
    *inexact = valid && floats && (exponent || zeros == stop || stop - whole > EXACT_DIGITS);
  }
  return stop;
}

/* Whether a number may be infinite as a double: it has an exponent, or as many digits as the largest double. */
static int may_overflow(const char *at, const char *end) {
  return end - at > LARGEST_DIGITS || memchr(at, 'e', (size_t)(end - at)) != NULL ||
         memchr(at, 'E', (size_t)(end - at)) != NULL;
}

/* Whether a colon follows: a number there is no value, and as a string it would become a valid key. */
static int is_key(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')) at++;
  return at < end && *at == ':';
}

/* Appends the text from `copied` to `number`, and the number up to `end` with its mark. */
static int add_marked(const char *copied, const char *number, const char *end, const char *mark, struct buffer *out) {
  return buffer_add(out, copied, (size_t)(number - copied)) == 0 && buffer_puts(out, "\"") == 0 &&
                 buffer_puts(out, mark) == 0 && buffer_add(out, number, (size_t)(end - number)) == 0 &&
                 buffer_puts(out, "\"") == 0
             ? 0
             : -1;
}

int json_numbers_scan(const char *text, size_t len, int integers, const char *mark, struct buffer *out, int *mendable) {
  const char *at = text, *end = text + len, *copied = text;
  *mendable = 0;
  while (at < end) {
    const char *start = at;
    int inexact = 0;
    if (*start == '"') {
      at = skip_string(start, end);
    } else if (*start == '-' || (*start >= '0' && *start <= '9')) {
      at = read_number(start, end, integers, &inexact);
      if (inexact && !is_key(at, end)) {
        if (add_marked(copied, start, at, mark, out) != 0) return -1;
        copied = at;
      }
      if (integers || copied == at || may_overflow(start, at)) *mendable = 1;
    } else {
      if ((*start | 0x20) == 'n' || (*start | 0x20) == 'i') *mendable = 1; /* null, NaN, Infinity in any case */
      at++;
    }
  }
  if (copied == text) return 0;
  return buffer_add(out, copied, (size_t)(end - copied)) == 0 ? 1 : -1;
}
