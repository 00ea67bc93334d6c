/* base64.h - decodes base64 (RFC 4648, 4), as servers put files into JSON.
 *
 * Pure. Invariant: never writes more than 3 bytes for each 4 it reads. */
#ifndef SORA_BASE64_H
#define SORA_BASE64_H

#include <stddef.h>

#pragma GCC visibility push(hidden)

/* Decodes `len` characters into `out`, which has space for len / 4 * 3 + 3 bytes. Skips line breaks; accepts the URL
 * alphabet and missing padding too. Returns the number of bytes, or -1 if the text is not base64. */
ptrdiff_t base64_decode(const char *text, size_t len, char *out);

#pragma GCC visibility pop

#endif
