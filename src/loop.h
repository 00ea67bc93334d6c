/* loop.h - drives requests: libcurl's multi handles over one epoll descriptor.
 *
 * Owns the lanes, the descriptor that watches their sockets and a timer,
 * the queue of requests that wait for their turn and the heap of those that
 * wait for their next attempt. Elsewhere than on Linux curl_multi_poll watches.
 * Invariant: a request is in one of the lists from loop_add until it is done
 * (and, if it is announced, taken) or cancelled, and is not touched after. */
#ifndef SORA_LOOP_H
#define SORA_LOOP_H

#include <stdint.h>

#include "lanes.h"
#include "request.h"
#include "timers.h"

struct list {
  struct request *first, *last;
  size_t count;
};

/* Told of what happens to requests, from loop_add and loop_step, never from inside libcurl. `delay` is
 * the wait before a retry, in seconds. */
enum loop_event { LOOP_REQUEST, LOOP_RETRY, LOOP_RESPONSE };
typedef void loop_observer(void *context, const struct request *r, enum loop_event event, double delay);

struct loop {
  struct lanes lanes;
  struct site *site;                   /* whose sockets are counted */
  int watcher;                         /* epoll descriptor, or -1 */
  int timer;                           /* timerfd, or -1 until somebody asks for the descriptor */
  double armed;                        /* monotonic: when the timer fires, or -1 */
  double wake;                         /* monotonic: when the owner has work of its own, or -1 */
  struct list queued, running, paused; /* `running` are in a lane */
  struct list done;                    /* announced and not yet taken */
  struct timers timers;                /* of the paused */
  int fresh;                           /* new connections that may still be opened in this step */
  uint64_t seed;                       /* of the jitter */
  loop_observer *observer;
  void *context;
};

/* The next number of a sequence, in [0, 1); a seed for one. */
double loop_random(uint64_t *seed);
uint64_t loop_seed(const void *address);

/* Opens a loop whose fields are zero; 0, or -1. */
int loop_open(struct loop *loop, struct site *site);

/* Starts a request, or queues it. It may be done when this returns, if it can't even be tried. */
void loop_add(struct loop *loop, struct request *r);

/* Waits at most `seconds` for something to happen and does what there is to do; with 0 it never waits, and
 * opens only so many new connections that a frame of a game has room for them. A signal ends the wait. */
void loop_step(struct loop *loop, double seconds);

/* The next announced request that is done, or NULL. */
struct request *loop_take_done(struct loop *loop);

/* Requests that are not done. */
size_t loop_active(const struct loop *loop);

/* One descriptor that is readable whenever loop_step(0) or loop_take_done has something to do, or -1. From the first
 * call on, loop_arm keeps the timer behind it right; call it when the loop is left. */
int loop_fileno(struct loop *loop);
void loop_arm(struct loop *loop);

/* Seconds until loop_step has something to do by the clock; 0 when it has now, negative when never. */
double loop_timeout(const struct loop *loop);

/* Ends a request before it is done, with this reason. */
void loop_cancel(struct loop *loop, struct request *r, enum error_kind kind, const char *message);

/* Ends all requests as `closed` and lets go of everything. In a process that did not open the loop only the
 * descriptors are closed: the multi handle's connections are the parent's. Idempotent. */
void loop_close(struct loop *loop, int forked);

#endif
