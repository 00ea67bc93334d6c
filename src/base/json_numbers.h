/* json_numbers.h - finds the numbers in JSON text that a decoder into doubles would get wrong.
 *
 * lua-cjson reads every number as a double: 9007199254740993 loses its last digit, and 4.0 looks like 4. The few
 * numbers that this would change are marked: written as strings that begin with a mark, which the binding turns back
 * into numbers. Invariants: text without such numbers is not copied; text that is not JSON does not become JSON. */
#ifndef SORA_JSON_NUMBERS_H
#define SORA_JSON_NUMBERS_H

#include "base/buffer.h"

/* Scans the text. 0: no number needs a mark; 1: `out` holds the marked text; -1: memory is out. With `integers`, the
 * decoder's user tells integers from floats, so numbers such as 4.0 and 1e3 are marked too. `mark` is a string that no
 * answer can know. *mendable: the decoded value may hold what the binding must look at: nulls, numbers, or
 * what cjson takes for one. */
int json_numbers_scan(const char *text, size_t len, int integers, const char *mark, struct buffer *out, int *mendable);

#endif
