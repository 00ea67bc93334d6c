/* retry.h - decides whether and when a call is tried again.
 *
 * Pure: facts in, a delay out; no clock, no random source, no network. Invariant: a request that may be paid for is
 * never repeated unless it provably never left, or the server put it off: 429, or 503 with a time to come back at. */
#ifndef SORA_RETRY_H
#define SORA_RETRY_H

#pragma GCC visibility push(hidden)

#define RETRY_FIRST_DELAY 0.5    /* s; doubled with each attempt */
#define RETRY_LONGEST_DELAY 8.0  /* s; where the server does not ask for another one */
#define RETRY_JITTER 0.25        /* at most this fraction is taken off */
#define RETRY_LONGEST_AFTER 120. /* s; a server that asks for more ends the retries */

struct retry_facts {
  int attempts;       /* made so far, at least 1 */
  int max_retries;    /* allowed beyond the first attempt */
  int repeatable;     /* repeating cannot be paid for twice: GET, DELETE, or an idempotency key */
  int status;         /* HTTP status, 0 where there was no answer */
  int transient;      /* no answer, for a reason that may pass: connect, broken transfer, timeout */
  int unsent;         /* the request provably never left */
  int advice;         /* x-should-retry: 1 true, -1 false, 0 not sent */
  double retry_after; /* seconds the server asked for, negative when it did not */
  double random;      /* in [0, 1) */
};

/* Seconds to wait before the next attempt; negative: no further attempt. */
double retry_delay(const struct retry_facts *facts);

/* Whether an answer with this status may be different the next time: 408, 409, 425, 429, 5xx. */
int retry_is_transient(int status);

/* Whether the server may have acted on a request that is not repeatable, so that nobody knows if there is a job. */
int retry_is_ambiguous(const struct retry_facts *facts);

/* Reads how long a server asks to wait, in seconds, or -1. `ms` is the text of a header in milliseconds
 * (retry-after-ms, openai-poll-after-ms), `after` that of Retry-After (RFC 9110, 10.2.3), `date` the time it names if
 * it is a date (seconds since 1970, else -1), `now` the current time on the same clock. NULL: not sent. */
double retry_read_after(const char *ms, const char *after, double date, double now);

#pragma GCC visibility pop

#endif
