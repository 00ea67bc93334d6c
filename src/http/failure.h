/* failure.h - error kinds, and which kind each libcurl result code is.
 *
 * Owns the words of `err.kind`. Invariant: the words are API; the order of the enum is not. */
#ifndef SORA_FAILURE_H
#define SORA_FAILURE_H

#include <curl/curl.h>

#pragma GCC visibility push(hidden)

enum failure_kind {
  KIND_NONE,
  KIND_CONFIG,
  KIND_DNS,
  KIND_CONNECT,
  KIND_TLS,
  KIND_TIMEOUT,
  KIND_TRANSPORT,
  KIND_API,
  KIND_DECODE,
  KIND_TOO_LARGE,
  KIND_FILE,
  KIND_CANCELLED,
  KIND_CLOSED,
  KIND_FORKED
};

/* What a libcurl result code means. */
struct failure {
  CURLcode code;
  enum failure_kind kind;
  int transient;    /* another attempt may succeed */
  const char *name; /* libcurl's name for the code */
};

/* Looks up a result code. One that is not in the table is a `transport` failure that is not transient. */
const struct failure *failure_of(CURLcode code);

/* The word for a kind, such as "too_large". */
const char *failure_kind_name(enum failure_kind kind);

#pragma GCC visibility pop

#endif
