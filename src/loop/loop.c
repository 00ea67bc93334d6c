/* loop.c - drives requests from their start to their end; see loop.h. */
#include "loop/loop.h"

#include <limits.h>

#include "base/part_file.h"
#include "base/sys.h"
#include "http/attempt.h"

/* New connections that fit into a frame of 16 ms: a TLS handshake takes about 1 ms, a plain connect 50 µs. */
#define SECURE_A_STEP 2
#define PLAIN_A_STEP 20

static void observe(struct loop *loop, const struct request *r, enum loop_event event, double delay) {
  if (loop->observer != NULL) loop->observer(loop->context, r, event, delay);
}

/* --- which list a request is in ---------------------------------------------- */

/* Moves a request to the end of a list; NULL: to none. */
static void move(struct request *r, struct list *to) {
  struct list *from = r->list;
  if (from != NULL) {
    *(r->prev != NULL ? &r->prev->next : &from->first) = r->next;
    *(r->next != NULL ? &r->next->prev : &from->last) = r->prev;
    from->count--;
  }
  r->list = to;
  r->prev = r->next = NULL;
  if (to == NULL) return;
  r->prev = to->last;
  *(r->prev != NULL ? &r->prev->next : &to->first) = r;
  to->last = r;
  to->count++;
}

static void finish(struct loop *loop, struct request *r) {
  if (r->file.expected) loop->files--;
  move(r, r->announced ? &loop->done : NULL);
  r->state = REQUEST_DONE;
  r->ended = sys_clock();
  observe(loop, r, LOOP_RESPONSE, 0);
}

/* Hands the next attempt to libcurl, which connects or sends at once; a request that can't be set up is finished. */
static void begin(struct loop *loop, struct request *r) {
  CURLMcode code;
  move(r, &loop->running);
  if (attempt_begin(r, &loop->easies) != 0) {
    finish(loop, r);
    return;
  }
  observe(loop, r, LOOP_REQUEST, 0);
  code = pool_add(&loop->pool, r);
  if (code != CURLM_OK) loop_cancel(loop, r, KIND_TRANSPORT, curl_multi_strerror(code));
}

/* Whether the first request of the queue may start now. The queue is our own, because in libcurl's the wait would
 * count against the request's timeout. */
static int has_capacity(const struct loop *loop) {
  return loop->queued.first != NULL && pool_has_capacity(&loop->pool, loop->queued.first);
}

static void start_queued(struct loop *loop) {
  const struct request *first = loop->running.first;
  if (loop->queued.first != NULL && first != NULL && first->next != NULL) pool_observe(&loop->pool, first, first->next);
  while (has_capacity(loop)) {
    struct request *r = loop->queued.first;
    if (pool_needs_connection(&loop->pool, r) && loop->new_connections-- <= 0) return;
    begin(loop, r);
  }
}

void loop_resume(struct loop *loop, struct request *r) {
  pool_resume(r);
  loop_arm(loop);
}

void loop_cancel(struct loop *loop, struct request *r, enum failure_kind kind, const char *message) {
  double delay;
  if (r->state == REQUEST_PAUSED) timers_remove(&loop->timers, r);
  request_fail(r, kind, message);
  if (r->state == REQUEST_RUNNING) {
    pool_remove(&loop->pool, r);
    r->max_retries = 0;
    attempt_end(r, CURLE_ABORTED_BY_CALLBACK, 0, &delay);
  }
  finish(loop, r);
}

void loop_drop(struct loop *loop, struct request *r) {
  if (r->state != REQUEST_DONE)
    loop_cancel(loop, r, KIND_CANCELLED, "the download was abandoned: its handle was collected");
  move(r, NULL);
}

static void pause_request(struct loop *loop, struct request *r, double delay) {
  r->due = sys_clock() + delay;
  observe(loop, r, LOOP_RETRY, delay);
  if (timers_add(&loop->timers, r) == 0) {
    move(r, &loop->paused);
  } else {
    finish(loop, r);
  }
}

/* Queues a request again when there was no descriptor for its connection: until another request has ended or the
 * process has closed something, but with nothing else running no longer than an attempt may take. */
static int starved(struct loop *loop, struct request *r, CURLcode code) {
  if (code != CURLE_COULDNT_CONNECT || !loop->easies.out_of_descriptors) return 0;
  if (loop->pool.running == 0 && sys_clock() - r->started > r->timeout) return 0;
  pool_starve(&loop->pool);
  attempt_postpone(r);
  move(r, &loop->queued);
  return 1;
}

static void end_attempt(struct loop *loop, struct request *r, CURLcode code) {
  double delay = 0;
  if (starved(loop, r, code)) return;
  switch (attempt_end(r, code, sys_random(&loop->seed), &delay)) {
    case ATTEMPT_FINISHED: finish(loop, r); break;
    case ATTEMPT_AGAIN: begin(loop, r); break;
    case ATTEMPT_LATER: pause_request(loop, r, delay); break;
  }
}

/* --- stepping --------------------------------------------------------------- */

/* Ends the requests of multi handles that libcurl can no longer drive, and replaces those. */
static void replace_failed(struct loop *loop) {
  struct multi *multi;
  while ((multi = pool_failed(&loop->pool)) != NULL) {
    struct request *r = loop->running.first, *next;
    for (; r != NULL; r = next) {
      next = r->next;
      if (r->multi == multi) loop_cancel(loop, r, KIND_TRANSPORT, curl_multi_strerror(multi->failure));
    }
    pool_replace(multi);
  }
}

/* Ends the attempts that libcurl has finished; returns how many. */
static int reap(struct loop *loop) {
  struct request *r;
  CURLcode code;
  int ended = 0;
  while ((r = pool_next_finished(&loop->pool, &code)) != NULL) {
    end_attempt(loop, r, code);
    ended++;
  }
  replace_failed(loop);
  return ended;
}

static void start_due(struct loop *loop) {
  struct request *first;
  double now;
  if (loop->timers.count == 0) return;
  now = sys_clock();
  while ((first = timers_first(&loop->timers)) != NULL && first->due <= now) {
    timers_remove(&loop->timers, first);
    first->state = REQUEST_QUEUED;
    move(first, &loop->queued);
  }
}

/* Does all that can be done without waiting: an answer may come while its request is being started, and frees a
 * connection for another. */
static void settle(struct loop *loop) {
  do {
    start_due(loop);
    start_queued(loop);
  } while (reap(loop) > 0);
}

void loop_add(struct loop *loop, struct request *r) {
  r->started = sys_clock();
  r->state = REQUEST_QUEUED;
  if (r->file.expected) loop->files++;
  move(r, &loop->queued);
  settle(loop);
}

/* Sets *until to a time that comes before it; negative times are never. */
static void earlier(double *until, double time) {
  if (time >= 0 && (*until < 0 || time < *until)) *until = time;
}

double loop_timeout(const struct loop *loop) {
  const struct request *first = timers_first(&loop->timers);
  double until, now;
  if (loop->done.first != NULL || has_capacity(loop) || loop_next_unread(loop) != NULL) return 0;
  until = pool_next_alarm(&loop->pool, loop->queued.first != NULL);
  if (first != NULL) earlier(&until, first->due);
  earlier(&until, loop->wake);
  if (until < 0) return -1;
  now = sys_clock();
  return until > now ? until - now : 0;
}

/* In milliseconds, rounded up, so that a wait that is nearly over is not spun through. */
static int wait_time(const struct loop *loop, double seconds) {
  double left;
  if (seconds <= 0) return 0;
  left = loop_timeout(loop);
  if (left >= 0 && left < seconds) seconds = left;
  return seconds < 3600 ? (int)(seconds * 1000 + 0.999) : 3600 * 1000;
}

static int connections_a_step(const struct loop *loop) {
  return loop->easies.endpoint->secure ? SECURE_A_STEP : PLAIN_A_STEP;
}

void loop_step(struct loop *loop, double seconds) {
  loop->new_connections = seconds > 0 ? INT_MAX : connections_a_step(loop);
  settle(loop);
  if (seconds <= 0 && loop->running.count == 0) return;
  pool_wait(&loop->pool, wait_time(loop, seconds));
  settle(loop);
}

struct request *loop_take_done(struct loop *loop) {
  struct request *r = loop->done.first;
  if (r != NULL) move(r, NULL);
  return r;
}

struct request *loop_next_unread(const struct loop *loop) {
  struct request *r;
  if (loop->files == 0) return NULL;
  for (r = loop->running.first; r != NULL; r = r->next)
    if (r->file.unread) return r;
  return NULL;
}

size_t loop_active(const struct loop *loop) {
  return loop->queued.count + loop->running.count + loop->paused.count;
}

int loop_fileno(struct loop *loop) {
  int fd = poller_fileno(&loop->poller);
  loop_arm(loop);
  return fd;
}

void loop_arm(struct loop *loop) {
  if (loop->poller.timer >= 0) poller_arm(&loop->poller, loop_timeout(loop));
}

/* --- life ------------------------------------------------------------------- */

int loop_open(struct loop *loop, const struct endpoint *endpoint) {
  int code = -1;
  loop->open = 1;
  loop->wake = -1;
  loop->seed = sys_seed(loop);
  if (poller_open(&loop->poller) != 0) {
    code = sys_out_of_descriptors() ? LOOP_NO_DESCRIPTOR : -1;
  } else if (easy_pool_open(&loop->easies, endpoint) == 0 &&
             pool_open(&loop->pool, &loop->easies, &loop->poller) == 0) {
    loop->new_connections = connections_a_step(loop);
    return 0;
  }
  loop_close(loop, 0);
  return code;
}

static void close_all(struct loop *loop, struct list *list, int forked) {
  struct request *r;
  while ((r = list->first) != NULL) {
    if (forked) { /* the parent's transfer still uses the handle */
      r->easy = NULL;
      if (r->file.target != NULL) part_file_close(r->file.target);
      request_fail(r, KIND_FORKED, "the client belongs to another process: call sora.new in each process");
      r->state = REQUEST_DONE;
    } else if (r->state != REQUEST_DONE) {
      loop_cancel(loop, r, KIND_CLOSED, "the client was closed before the call was done");
    }
    move(r, NULL);
  }
}

void loop_close(struct loop *loop, int forked) {
  if (!loop->open) return;
  loop->open = 0;
  close_all(loop, &loop->queued, forked);
  close_all(loop, &loop->paused, forked);
  close_all(loop, &loop->running, forked);
  close_all(loop, &loop->done, forked);
  pool_close(&loop->pool, forked);
  if (!forked) easy_pool_close(&loop->easies);
  timers_free(&loop->timers);
  poller_close(&loop->poller, forked);
}
