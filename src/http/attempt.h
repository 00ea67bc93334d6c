/* attempt.h - one transfer of a request: set up, and what follows from how it ended.
 *
 * Owns the decision whether a request is finished, redirected or tried again. Invariants: from attempt_begin to
 * attempt_end a request holds an easy handle, and at no other time; a request that may have reached a server and may
 * cost money is not sent again. */
#ifndef SORA_ATTEMPT_H
#define SORA_ATTEMPT_H

#include "http/request.h"

#pragma GCC visibility push(hidden)

enum attempt_result { ATTEMPT_FINISHED, ATTEMPT_AGAIN /* at once: a redirect */, ATTEMPT_LATER /* after a delay */ };

/* Sets up the next attempt with a handle of the pool, or after a redirect with the one that it has. Afterwards r->easy
 * belongs into a multi handle. 0, or -1: the request is finished with an error. */
int attempt_begin(struct request *r, struct easy_pool *pool);

/* Reads the outcome of an attempt whose handle has left the multi handle. `random` is in [0, 1). With ATTEMPT_LATER,
 * *delay is in seconds. */
enum attempt_result attempt_end(struct request *r, CURLcode code, double random, double *delay);

/* Instead of attempt_end: takes back an attempt for which no descriptor was left. */
void attempt_postpone(struct request *r);

/* Seconds that the answer asks to wait before the next poll (openai-poll-after-ms, retry-after-ms, Retry-After), or
 * -1. */
double attempt_poll_after(const struct request *r);

#pragma GCC visibility pop

#endif
