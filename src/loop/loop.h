/* loop.h - drives requests from their start to their end.
 *
 * Owns the queue of requests that wait for a connection, the heap of those that wait for their next attempt, and, below
 * them, the pool of connections, the easy handles and the poller. Invariant: a request is in one of the lists from
 * loop_add until it is done (and, if it is announced, taken) or cancelled, and is not touched after. */
#ifndef SORA_LOOP_H
#define SORA_LOOP_H

#include <stdint.h>

#include "http/request.h"
#include "loop/poller.h"
#include "loop/pool.h"
#include "loop/timers.h"

#pragma GCC visibility push(hidden)

struct list {
  struct request *first, *last;
  size_t count;
};

/* Called with what happens to requests, from loop_add and loop_step, never from inside libcurl. `delay` is the wait
 * before a retry, in seconds. */
enum loop_event { LOOP_REQUEST, LOOP_RETRY, LOOP_RESPONSE };
typedef void loop_observer(void *context, const struct request *r, enum loop_event event, double delay);

struct loop {
  int open;
  struct easy_pool easies;
  struct poller poller;
  struct pool pool;
  struct list queued, running, paused;
  struct list done;     /* announced and not yet taken */
  struct timers timers; /* of the paused */
  double wake;          /* monotonic: when the owner has work of its own, or -1 */
  size_t files;         /* requests that receive a file */
  int new_connections;  /* that may still be opened in this step */
  uint64_t seed;        /* of the jitter */
  loop_observer *observer;
  void *context;
};

/* Opens a loop whose fields are zero; 0, -1 (memory is out) or LOOP_NO_DESCRIPTOR. */
#define LOOP_NO_DESCRIPTOR (-2)
int loop_open(struct loop *loop, const struct endpoint *endpoint);

/* Starts a request, or queues it. It may be done when this returns, if it can't even be tried. */
void loop_add(struct loop *loop, struct request *r);

/* Waits at most `seconds` for something to happen and does what there is to do. With 0 it never waits, and opens only
 * so many new connections as fit into a frame of a game. A signal ends the wait. */
void loop_step(struct loop *loop, double seconds);

/* The next announced request that is done, or NULL. */
struct request *loop_take_done(struct loop *loop);

/* A running request whose owner has to be notified of bytes (see struct file), or NULL. */
struct request *loop_next_unread(const struct loop *loop);

/* Requests that are not done. */
size_t loop_active(const struct loop *loop);

/* One descriptor that is readable whenever loop_step(0) or loop_take_done has something to do, or -1. After the first
 * call, call loop_arm whenever the loop is left: it sets the timer behind the descriptor. */
int loop_fileno(struct loop *loop);
void loop_arm(struct loop *loop);

/* Seconds until loop_step has something to do by the clock: 0 when it has now, negative when never. */
double loop_timeout(const struct loop *loop);

/* Ends a request before it is done, with this reason. */
void loop_cancel(struct loop *loop, struct request *r, enum failure_kind kind, const char *message);

/* Lets a paused request continue, once its `pending` bytes are taken. */
void loop_resume(struct loop *loop, struct request *r);

/* Takes a request out of the loop, wherever it is, because its owner is gone. */
void loop_drop(struct loop *loop, struct request *r);

/* Ends all requests as `closed` and frees everything. In a forked child it ends them as `forked` and closes only the
 * child's own descriptors: handles and connections are the parent's. Idempotent. */
void loop_close(struct loop *loop, int forked);

#pragma GCC visibility pop

#endif
