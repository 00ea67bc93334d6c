/* secrets.h - what must never be shown: keys and the like, in every spelling that an answer may echo.
 *
 * A collection is a buffer of strings, each with its '\0'. Invariant: what is in
 * one is found by secrets_redact as it stands, as JSON writes it, and percent-decoded. */
#ifndef SORA_SECRETS_H
#define SORA_SECRETS_H

#include <stddef.h>

#include "buffer.h"

/* Adds a secret; 0, or -1 when memory is out. */
int secrets_add(struct buffer *secrets, const char *text, size_t len);

/* Adds the values of those header lines ("Name: value\r\n") whose names say that they are credentials. */
int secrets_collect(struct buffer *secrets, const struct buffer *lines);

/* The same for the values in a query ("a=1&key=abc"). */
int secrets_collect_query(struct buffer *secrets, const char *query);

/* Overwrites every secret in `text` with asterisks. */
void secrets_redact(const struct buffer *secrets, char *text, size_t len);

#endif
