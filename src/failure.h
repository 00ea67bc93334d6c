/* failure.h - what went wrong, in the words of the public API.
 *
 * Owns the error kinds and the one table that reads libcurl's result codes
 * as kinds. Invariant: `kind` words are API; the order of the enum is not. */
#ifndef SORA_FAILURE_H
#define SORA_FAILURE_H

enum error_kind {
  ERROR_NONE,
  ERROR_CONFIG,
  ERROR_DNS,
  ERROR_CONNECT,
  ERROR_TLS,
  ERROR_TIMEOUT,
  ERROR_TRANSPORT,
  ERROR_API,
  ERROR_DECODE,
  ERROR_TOO_LARGE,
  ERROR_FILE,
  ERROR_CANCELLED,
  ERROR_CLOSED,
  ERROR_FORKED
};

/* How one libcurl result code reads. */
struct failure {
  int code;             /* the CURLcode */
  enum error_kind kind; /* what users call it */
  int broken;           /* may pass: worth another attempt */
  const char *name;     /* libcurl's name for it */
};

/* The reading of a CURLcode; one that is not in the table is a `transport` failure that does not pass. */
const struct failure *failure_of(int code);

/* The word for a kind, such as "too_large". */
const char *error_kind_name(enum error_kind kind);

#endif
