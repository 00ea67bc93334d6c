/* loop.h - drives requests: libcurl's multi handle over one epoll descriptor.
 *
 * Owns the multi handle, the descriptor that watches its sockets and the heap
 * of requests that wait for their next attempt; elsewhere than on Linux
 * curl_multi_poll watches. Invariant: a request is in `active` from loop_add
 * until it is done or cancelled, and nothing of a request is touched after. */
#ifndef SORA_LOOP_H
#define SORA_LOOP_H

#include <stdint.h>

#include "request.h"
#include "timers.h"

/* Told of what happens to requests, from loop_add and loop_step, never from inside libcurl. `delay` is
 * the wait before a retry, in seconds. */
enum loop_event { LOOP_REQUEST, LOOP_RETRY, LOOP_RESPONSE };
typedef void loop_observer(void *context, const struct request *r, enum loop_event event, double delay);

struct loop {
  void *multi;  /* CURLM */
  int watcher;  /* epoll descriptor, or -1 */
  double alarm; /* monotonic: when libcurl wants to be called, or -1 */
  struct request *active;
  struct timers timers;
  uint64_t seed; /* of the jitter */
  loop_observer *observer;
  void *context;
};

/* Monotonic seconds. */
double loop_now(void);

/* Opens a loop whose fields are zero; 0, or -1. */
int loop_open(struct loop *loop, int max_connections);

/* Starts a request. It may be done when this returns, if it can't even be tried. */
void loop_add(struct loop *loop, struct request *r);

/* Waits at most `seconds` for something to happen and does what there is to do. Returns -1 when a
 * signal ended the wait, else 0. */
int loop_step(struct loop *loop, double seconds);

/* Ends a request before it is done, with this reason. */
void loop_cancel(struct loop *loop, struct request *r, enum error_kind kind, const char *message);

/* Ends all requests as `closed` and lets go of everything. In a process that did not open the loop only the
 * descriptor is closed: the multi handle's connections are the parent's. Idempotent. */
void loop_close(struct loop *loop, int forked);

#endif
