/* retry.h - whether and when a call is tried again.
 *
 * Pure: facts in, a delay out; no clock, no random source, no network.
 * Invariant: a request that may be paid for is never repeated unless it
 * provably never left, or the server refused it. */
#ifndef SORA_RETRY_H
#define SORA_RETRY_H

#define RETRY_FIRST_DELAY 0.5    /* s; doubled with each attempt */
#define RETRY_LONGEST_DELAY 8.0  /* s; of our own choosing */
#define RETRY_JITTER 0.25        /* at most this part is taken off */
#define RETRY_LONGEST_WISH 120.0 /* s; a server that asks for more is not waited for */

struct retry_facts {
  int attempts;    /* made so far, at least 1 */
  int max_retries; /* allowed beyond the first attempt */
  int repeatable;  /* repeating cannot be paid for twice: GET, DELETE, or an idempotency key */
  int status;      /* HTTP status, 0 where there was no answer */
  int broken;      /* no answer for a reason that may pass: connect, broken transfer, time-out */
  int unsent;      /* the request provably never left */
  int advice;      /* x-should-retry: 1 true, -1 false, 0 not said */
  double wish;     /* seconds the server asked for, negative when it did not */
  double random;   /* in [0, 1) */
};

/* Seconds to wait before the next attempt, or a negative number: there is none. */
double retry_delay(const struct retry_facts *facts);

/* Whether an answer with this status may be different the next time: 408, 409, 425, 429, 5xx. */
int retry_status_passes(int status);

/* Whether, after the facts' outcome, the server may be working on a request it was not meant to repeat. */
int retry_is_ambiguous(const struct retry_facts *facts);

/* The wait a server asks for, in seconds, or -1. `ms` is the text of a header in milliseconds
 * (retry-after-ms, openai-poll-after-ms), `after` that of Retry-After (RFC 9110, 10.2.3), `date` the
 * time it names if it is a date (seconds since 1970, else -1), `now` the same clock. NULL: not sent. */
double retry_wish(const char *ms, const char *after, double date, double now);

#endif
