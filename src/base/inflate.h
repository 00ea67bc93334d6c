/* inflate.h - reads compressed data: gzip (RFC 1952), zlib (RFC 1950) and bare DEFLATE (RFC 1951).
 *
 * For answers that a server compresses though nobody asked for that. Invariant: no input makes it read beyond its end,
 * or write more than it may. */
#ifndef SORA_INFLATE_H
#define SORA_INFLATE_H

#include "base/buffer.h"

#pragma GCC visibility push(hidden)

enum inflate_result { INFLATE_DONE, INFLATE_BROKEN, INFLATE_TOO_LARGE, INFLATE_NO_MEMORY };

/* Whether data begins like gzip. */
int inflate_is_gzip(const char *data, size_t len);

/* Appends what the data stands for to `out`, at most `most` bytes; also where it fails, as far as it comes. */
enum inflate_result inflate(const char *data, size_t len, size_t most, struct buffer *out);

#pragma GCC visibility pop

#endif
