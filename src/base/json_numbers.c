/* json_numbers.c - finds what a decoder would get wrong or refuse; see json_numbers.h. */
#include "base/json_numbers.h"

#include <string.h>

#define EXACT_DIGITS 15 /* every integer of so many digits is a double */
#define ESCAPE 6        /* bytes of "\\ud83d" */

/* --- numbers ----------------------------------------------------------------- */

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

/* Returns the end of the number that begins at `at`. *marked: it needs a mark, as any number does with `all`. The
 * grammar is RFC 8259's, section 6, except that leading zeros are allowed, as in cjson. */
static const char *read_number(const char *at, const char *end, int all, int *marked) {
  const char *whole = at + (*at == '-'), *point = skip_digits(whole, end), *stop = point;
  int valid = point > whole;
  if (stop < end && *stop == '.') {
    stop = skip_digits(point + 1, end);
    valid = valid && stop > point + 1;
  }
  if (stop < end && (*stop == 'e' || *stop == 'E')) {
    const char *digits = stop + 1 + (stop + 1 < end && (stop[1] == '+' || stop[1] == '-'));
    stop = skip_digits(digits, end);
    valid = valid && stop > digits;
  }
  for (; stop < end && *stop != '\0' && strchr("0123456789.eE+-", *stop) != NULL; stop++) valid = 0;
  *marked = valid && (all || stop > point || stop - whole > EXACT_DIGITS);
  return stop;
}

/* Whether a colon follows: a number there is no value, and as a string it would become a valid key. */
static int is_key(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')) at++;
  return at < end && *at == ':';
}

/* Appends the text from `copied` to `number`, and the number up to `end` with its mark. */
static int add_marked(const char *copied, const char *number, const char *end, struct buffer *out) {
  static const char opening[] = {'"', JSON_MARK};
  return buffer_add(out, copied, (size_t)(number - copied)) == 0 && buffer_add(out, opening, sizeof opening) == 0 &&
                 buffer_add(out, number, (size_t)(end - number)) == 0 && buffer_puts(out, "\"") == 0
             ? 0
             : -1;
}

/* --- strings ----------------------------------------------------------------- */

/* The UTF-16 code unit of the escape at `at`, "\\uXXXX"; 0: none. */
static unsigned read_unit(const char *at, const char *end) {
  static const char digits[] = "0123456789abcdef0123456789ABCDEF";
  unsigned unit = 0, i;
  if (end - at < ESCAPE || at[0] != '\\' || at[1] != 'u') return 0;
  for (i = 2; i < ESCAPE; i++) {
    const char *digit = memchr(digits, at[i], sizeof digits - 1);
    if (digit == NULL) return 0;
    unit = unit * 16 + (unsigned)(digit - digits) % 16;
  }
  return unit;
}

static int is_high(unsigned unit) {
  return unit >= 0xD800 && unit < 0xDC00;
}

static int is_low(unsigned unit) {
  return unit >= 0xDC00 && unit < 0xE000;
}

/* Whether what follows the opening quote at `at` is the byte of a mark, as it is or escaped. */
static int looks_marked(const char *at, const char *end) {
  return end - at > 1 && (at[1] == JSON_MARK || read_unit(at + 1, end) == JSON_MARK);
}

/* Replaces the escapes in the string from `at` to `end` that are half a character (RFC 8259, 8.2) by U+FFFD, as
 * decoders in other languages do. Moves *copied on as the text before them is copied. 0, or -1: memory is out. */
static int mend_string(const char *at, const char *end, const char **copied, struct buffer *out) {
  while ((at = memchr(at, '\\', (size_t)(end - at))) != NULL && end - at >= 2) {
    unsigned unit = read_unit(at, end);
    if (is_high(unit) && is_low(read_unit(at + ESCAPE, end))) {
      at += 2 * ESCAPE;
    } else if (is_high(unit) || is_low(unit)) {
      if (buffer_add(out, *copied, (size_t)(at - *copied)) != 0 || buffer_puts(out, "\\ufffd") != 0) return -1;
      *copied = at += ESCAPE;
    } else {
      at += 2;
    }
  }
  return 0;
}

/* --- the text ---------------------------------------------------------------- */

int json_numbers_scan(const char *text, size_t len, int integers, int all, struct buffer *out, int *mendable) {
  static const char mark = JSON_MARK;
  const char *at = text, *end = text + len, *copied = text;
  int escapes = memchr(text, '\\', len) != NULL;
  *mendable = 0;
  while (at < end) {
    const char *start = at;
    int marked = 0;
    if (*start == '"') {
      at = skip_string(start, end);
      if (looks_marked(start, at) && !is_key(at, end)) {
        if (buffer_add(out, copied, (size_t)(start + 1 - copied)) != 0 || buffer_add(out, &mark, 1) != 0) return -1;
        copied = start + 1;
        *mendable = 1;
      }
      if (escapes && mend_string(start, at, &copied, out) != 0) return -1;
    } else if (*start == '-' || (*start >= '0' && *start <= '9')) {
      at = read_number(start, end, all, &marked);
      marked = marked && !is_key(at, end);
      if (marked) {
        if (add_marked(copied, start, at, out) != 0) return -1;
        copied = at;
      }
      if (integers || marked || skip_digits(start + (*start == '-'), end) != at) *mendable = 1;
    } else {
      if ((*start | 0x20) == 'n' || (*start | 0x20) == 'i') *mendable = 1; /* null, NaN, Infinity in any case */
      at++;
    }
  }
  if (copied == text) return 0;
  return buffer_add(out, copied, (size_t)(end - copied)) == 0 ? 1 : -1;
}
