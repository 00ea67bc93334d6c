/* numbers.h - keeps JSON numbers exact on their way through a decoder that reads them all as doubles.
 *
 * lua-cjson turns every number into a double: 9007199254740993 loses its last
 * digit and 4.0 can't be told from 4. The few numbers that this would change
 * are marked: written as strings that begin with a mark, which the binding
 * turns back. Invariants: a text without such numbers is not copied; what is no JSON is not made into it. */
#ifndef SORA_NUMBERS_H
#define SORA_NUMBERS_H

#include "buffer.h"

/* Looks for numbers that need a mark. 0: there are none; 1: `out` holds the marked text; -1: memory
 * is out. With `floats`, numbers such as 4.0 and 1e3 are marked too, which are not integers though their value is.
 * `mark` is a string that no answer can know. */
int numbers_mark(const char *text, size_t len, int floats, const char *mark, struct buffer *out);

#endif
