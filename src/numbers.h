/* numbers.h - keeps JSON numbers exact on their way through a decoder that reads them all as doubles.
 *
 * lua-cjson turns every number into a double: 9007199254740993 loses its last
 * digit and 4.0 can't be told from 4. The few numbers that this would change
 * are marked: written as strings that begin with NUMBER_MARK, which the
 * binding turns back. Invariant: a text without such numbers is not copied. */
#ifndef SORA_NUMBERS_H
#define SORA_NUMBERS_H

#include "buffer.h"

#define NUMBER_MARK "\001\002"
#define NUMBER_MARK_LEN 2

/* Looks for numbers that need a mark. 0: there are none; 1: `out` holds the marked text; -1: memory
 * is out. With `floats`, numbers such as 4.0 and 1e3 are marked too, which are not integers though their value is. */
int numbers_mark(const char *text, size_t len, int floats, struct buffer *out);

#endif
