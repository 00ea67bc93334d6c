/* redact.h - overwrites keys and other secrets in texts that are shown.
 *
 * A collection of secrets is a buffer of strings, each with its '\0'. Invariant: a secret is found as it is, and as
 * JSON, a URL, HTML, or two of them in each other write it. Of a secret below 6 bytes only a whole word is overwritten:
 * a server's message keeps its numbers. */
#ifndef SORA_REDACT_H
#define SORA_REDACT_H

#include <stddef.h>

#include "base/buffer.h"

#pragma GCC visibility push(hidden)

/* Adds a key of any length; 0, or -1 when memory is out. */
int redact_add(struct buffer *secrets, const char *text, size_t len);

/* Adds the values of those header lines ("Name: value\r\n") whose names have a word such as "key", if they have at
 * least 6 bytes; 0 or -1. */
int redact_add_headers(struct buffer *secrets, const struct buffer *lines);

/* Adds the values of such fields of a query ("a=1&api_key=abc"); 0 or -1. */
int redact_add_query(struct buffer *secrets, const char *query);

/* Adds the secrets of `more`, and forgets the oldest where they become too many; 0 or -1. */
int redact_remember(struct buffer *secrets, const struct buffer *more);

/* Whether a secret is in the text. */
int redact_finds(const struct buffer *secrets, const char *text, size_t len);

/* Overwrites every secret with asterisks. */
void redact_text(const struct buffer *secrets, char *text, size_t len);

/* The same for a text that breaks off, perhaps in the middle of a secret. */
void redact_cut_text(const struct buffer *secrets, char *text, size_t len);

#pragma GCC visibility pop

#endif
