/* media.h - what kind of file it is: by its name, or by its first bytes.
 *
 * Owns the media types (RFC 6838) of pictures and films. Invariant: what is not surely known is NULL. */
#ifndef SORA_MEDIA_H
#define SORA_MEDIA_H

#include <stddef.h>

#pragma GCC visibility push(hidden)

#define MEDIA_HEAD 16 /* bytes that are enough to tell */

/* The type that the extension of a name stands for, or that a file begins like; NULL: unknown. */
const char *media_of_name(const char *name);
const char *media_of_bytes(const char *head, size_t len);

/* The extension of files of a type, such as ".png"; "": unknown. */
const char *media_extension(const char *type);

#pragma GCC visibility pop

#endif
