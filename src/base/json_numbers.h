/* json_numbers.h - finds what a JSON decoder into doubles would get wrong or refuse.
 *
 * lua-cjson reads every number as a double, by strtod, which knows the locale's decimal point alone: 9007199254740993
 * loses its last digit, 4.0 looks like 4, 37.5 may be an error, and [1,5] may be 1.5. So numbers are marked: written as
 * strings that begin with a mark, which the binding turns back into numbers. A string that begins so itself gets one
 * more mark. Half a character ("\\ud83d" alone) becomes U+FFFD. Invariants: text without these is not copied; text that
 * is not JSON does not become JSON; no string of an answer is taken for a number. */
#ifndef SORA_JSON_NUMBERS_H
#define SORA_JSON_NUMBERS_H

#include "base/buffer.h"

#pragma GCC visibility push(hidden)

#define JSON_MARK '\001'

/* Scans the text. 0: it is right as it is; 1: `out` holds the text to decode; -1: memory is out. Marks all numbers but
 * integers of up to 15 digits, and those, too, with `all`: for a locale without '.'. *mendable: the decoded value may
 * hold what the binding must look at: marks, nulls, what cjson takes for a number (NaN), and integers if its Lua has
 * `integers`. */
int json_numbers_scan(const char *text, size_t len, int integers, int all, struct buffer *out, int *mendable);

#pragma GCC visibility pop

#endif
