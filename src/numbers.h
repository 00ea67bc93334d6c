/* numbers.h - what a decoder that reads all JSON numbers as doubles would get wrong, found before it reads.
 *
 * lua-cjson turns every number into a double: 9007199254740993 loses its last
 * digit and 4.0 can't be told from 4. The few numbers that this would change
 * are marked: written as strings that begin with a mark, which the binding
 * turns back. Whatever else has to be put right afterwards (45.0, which was written 45, and nulls) is told by
 * its place. Invariants: a text without numbers to mark is not copied; what is no JSON is not made into it. */
#ifndef SORA_NUMBERS_H
#define SORA_NUMBERS_H

#include "buffer.h"

#define NUMBERS_PLACES 16

/* Where numbers and nulls stand: the members of the outermost object, by their keys as written in the text. */
struct places {
  struct {
    const char *key;
    size_t len;
  } member[NUMBERS_PLACES];
  int count;
  int elsewhere; /* there are some further inside, too, or more, or under keys with escapes */
};

/* Looks through the text. 0: no number needs a mark; 1: `out` holds the marked text; -1: memory is out. With
 * `integers`, the decoder's user tells integers from floats: places has the numbers beside the nulls, and numbers such
 * as 4.0 and 1e3 are marked, too, which are not integers though their value is. `mark` is a string that no answer can
 * know. */
int numbers_scan(const char *text, size_t len, int integers, const char *mark, struct buffer *out,
                 struct places *places);

#endif
