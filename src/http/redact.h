/* redact.h - overwrites keys and other secrets in texts that are shown.
 *
 * A collection of secrets is a buffer of strings, each with its '\0'. Invariant: a secret in a collection is found by
 * redact_text as it is, as JSON writes it, and percent-decoded. */
#ifndef SORA_REDACT_H
#define SORA_REDACT_H

#include <stddef.h>

#include "base/buffer.h"

/* Adds a secret; 0, or -1 when memory is out. */
int redact_add(struct buffer *secrets, const char *text, size_t len);

/* Adds the values of those header lines ("Name: value\r\n") whose names mean credentials; 0 or -1. */
int redact_add_headers(struct buffer *secrets, const struct buffer *lines);

/* Adds the values of those fields of a query ("a=1&key=abc") whose names mean credentials; 0 or -1. */
int redact_add_query(struct buffer *secrets, const char *query);

/* Overwrites every secret in `text` with asterisks. */
void redact_text(const struct buffer *secrets, char *text, size_t len);

#endif
