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

/* The place after the number that begins at `at`; *marked: whether it needs a mark. */
static const char *read_number(const char *at, const char *end, int floats, int *marked) {
  int digits = 0, fraction = 0, exponent = 0, zeros = 1;
  if (*at == '-') at++;
  for (; at < end; at++) {
    if (*at >= '0' && *at <= '9') {
      digits++;
      if (fraction && *at != '0') zeros = 0;
    } else if (*at == '.') {
      fraction = 1;
    } else if (*at == 'e' || *at == 'E') {
      exponent = 1;
    } else if (!((*at == '+' || *at == '-') && exponent)) {
      break;
    }
  }
  if (digits == 0)
    *marked = 0;
  else if (fraction || exponent)
    *marked = floats && (exponent || zeros || digits > EXACT_DIGITS);
  else
    *marked = digits > EXACT_DIGITS;
  return at;
}

int numbers_mark(const char *text, size_t len, int floats, struct buffer *out) {
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
      if (buffer_add(out, copied, (size_t)(start - copied)) != 0 || buffer_puts(out, "\"" NUMBER_MARK) != 0 ||
          buffer_add(out, start, (size_t)(at - start)) != 0 || buffer_puts(out, "\"") != 0)
        return -1;
      copied = at;
    } else {
      at++;
    }
  }
  if (found && buffer_add(out, copied, (size_t)(end - copied)) != 0) return -1;
  return found;
}
