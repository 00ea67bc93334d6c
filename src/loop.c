/* loop.c - drives requests; see loop.h.
 *
 * libcurl tells which sockets it waits for and when it wants to be called
 * (watch.c); loop_step waits for both, for the requests in the heap and for
 * room for those in the queue (lanes.c), and hands each finished attempt to
 * request_end. */
#define _GNU_SOURCE /* getpid */
#include "loop.h"

#include <curl/curl.h>
#include <limits.h>
#include <unistd.h>

#include "watch.h"

/* What a frame of 16 ms has room for: a TLS handshake takes about 1 ms, a plain connect 50 µs. */
#define FRESH_SECURE 2
#define FRESH_PLAIN 20

/* xorshift64*: jitter needs no better. */
double loop_random(uint64_t *seed) {
  *seed ^= *seed >> 12;
  *seed ^= *seed << 25;
  *seed ^= *seed >> 27;
  return (double)((*seed * UINT64_C(2685821657736338717)) >> 11) / 9007199254740992.0;
}

uint64_t loop_seed(const void *address) {
  return ((uint64_t)(uintptr_t)address ^ (uint64_t)(request_clock() * 1e9) ^ (uint64_t)getpid() << 40) | 1;
}

static void tell(struct loop *loop, const struct request *r, enum loop_event event, double delay) {
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
  move(r, r->announced ? &loop->done : NULL);
  r->state = REQUEST_DONE;
  r->ended = request_clock();
  tell(loop, r, LOOP_RESPONSE, 0);
}

/* Hands the next attempt to libcurl, which connects or sends at once; a request that can't be set up is finished. */
static void begin(struct loop *loop, struct request *r) {
  CURLMcode code;
  move(r, &loop->running);
  if (request_begin(r) != 0) {
    finish(loop, r);
    return;
  }
  tell(loop, r, LOOP_REQUEST, 0);
  code = (CURLMcode)lanes_enter(loop, r);
  if (code == CURLM_OK) {
    watch_call_libcurl(r->lane);
  } else {
    loop_cancel(loop, r, ERROR_TRANSPORT, curl_multi_strerror(code));
  }
}

/* Whether the request would open a connection: libcurl keeps those that no request uses. */
static int needs_connection(const struct loop *loop, const struct request *r) {
  return !r->repeatable || lanes_wanted(&loop->lanes, r) > site_sockets(loop->site);
}

/* Whether the request at the head of the queue may go now. A queue of our own: in libcurl's the wait would count
 * against the request's time-out. */
static int has_room(const struct loop *loop) {
  return loop->queued.first != NULL && lanes_have_room(loop, loop->queued.first);
}

static void start_queued(struct loop *loop) {
  if (loop->queued.first != NULL) lanes_observe(loop);
  while (has_room(loop)) {
    struct request *r = loop->queued.first;
    if (needs_connection(loop, r) && loop->fresh-- <= 0) return;
    begin(loop, r);
  }
}

void loop_cancel(struct loop *loop, struct request *r, enum error_kind kind, const char *message) {
  double delay;
  if (r->state == REQUEST_PAUSED) timers_remove(&loop->timers, r);
  request_fail(r, kind, message);
  if (r->state == REQUEST_RUNNING) {
    lanes_leave(loop, r);
    r->max_retries = 0;
    request_end(r, CURLE_ABORTED_BY_CALLBACK, 0, &delay);
  }
  finish(loop, r);
}

static void pause_request(struct loop *loop, struct request *r, double delay) {
  r->due = request_clock() + delay;
  tell(loop, r, LOOP_RETRY, delay);
  if (timers_add(&loop->timers, r) == 0) {
    move(r, &loop->paused);
  } else {
    finish(loop, r);
  }
}

/* There was no descriptor for a connection. The request waits until there is one again: until another has ended, or the
 * process has closed something else, but with nothing else under way no longer than an attempt may take. */
static int starved(struct loop *loop, struct request *r, CURLcode code) {
  if (code != CURLE_COULDNT_CONNECT || !site_starved(loop->site)) return 0;
  if (loop->lanes.running == 0 && request_clock() - r->started > r->timeout) return 0;
  lanes_starve(&loop->lanes);
  request_postpone(r);
  move(r, &loop->queued);
  return 1;
}

static void end_attempt(struct loop *loop, struct request *r, CURLcode code) {
  double delay = 0;
  if (starved(loop, r, code)) return;
  switch (request_end(r, (int)code, loop_random(&loop->seed), &delay)) {
    case REQUEST_FINISHED: finish(loop, r); break;
    case REQUEST_AGAIN: begin(loop, r); break;
    case REQUEST_LATER: pause_request(loop, r, delay); break;
  }
}

/* --- stepping --------------------------------------------------------------- */

/* Ends the attempts that libcurl is done with in one lane; returns how many. */
static int reap_lane(struct loop *loop, struct lane *lane) {
  CURLMsg *message;
  int left, ended = 0;
  lane->stirred = 0;
  while ((message = curl_multi_info_read(lane->multi, &left)) != NULL) {
    struct request *r = NULL;
    CURL *easy = message->easy_handle;
    CURLcode code = message->data.result;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&r);
    if (r->headed && !r->away) lanes_learn(&loop->lanes, r->version);
    lanes_leave(loop, r); /* `message` is gone after this */
    end_attempt(loop, r, code);
    ended++;
  }
  return ended;
}

static int reap(struct loop *loop) {
  unsigned i;
  int ended = 0;
  for (i = 0; i < loop->lanes.count; i++)
    if (loop->lanes.lane[i]->stirred) ended += reap_lane(loop, loop->lanes.lane[i]);
  return ended;
}

static void start_due(struct loop *loop) {
  struct request *first;
  double now;
  if (loop->timers.count == 0) return;
  now = request_clock();
  while ((first = timers_first(&loop->timers)) != NULL && first->due <= now) {
    timers_remove(&loop->timers, first);
    first->state = REQUEST_QUEUED;
    move(first, &loop->queued);
  }
}

/* Does all that can be done without waiting: an answer may come while its request is being started, and makes room for
 * another. */
static void settle(struct loop *loop) {
  do {
    start_due(loop);
    start_queued(loop);
  } while (reap(loop) > 0);
}

void loop_add(struct loop *loop, struct request *r) {
  r->started = request_clock();
  r->state = REQUEST_QUEUED;
  move(r, &loop->queued);
  settle(loop);
}

/* Takes over a time that comes before *until; negative ones are none. */
static void earlier(double *until, double time) {
  if (time >= 0 && (*until < 0 || time < *until)) *until = time;
}

double loop_timeout(const struct loop *loop) {
  const struct request *first = timers_first(&loop->timers);
  double until = -1, now;
  unsigned i;
  if (loop->done.first != NULL || has_room(loop)) return 0;
  for (i = 0; i < loop->lanes.count; i++) earlier(&until, loop->lanes.lane[i]->alarm);
  if (first != NULL) earlier(&until, first->due);
  if (loop->queued.first != NULL && loop->lanes.scarce != 0) earlier(&until, loop->lanes.scarce);
  earlier(&until, loop->wake);
  if (until < 0) return -1;
  now = request_clock();
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

void loop_step(struct loop *loop, double seconds) {
  loop->fresh = seconds > 0 ? INT_MAX : site_is_secure(loop->site) ? FRESH_SECURE : FRESH_PLAIN;
  settle(loop);
  if (seconds <= 0 && loop->running.count == 0) return;
  watch_wait(loop, wait_time(loop, seconds));
  settle(loop);
}

struct request *loop_take_done(struct loop *loop) {
  struct request *r = loop->done.first;
  if (r != NULL) move(r, NULL);
  return r;
}

size_t loop_active(const struct loop *loop) {
  return loop->queued.count + loop->running.count + loop->paused.count;
}

int loop_fileno(struct loop *loop) {
  int fd = watch_fileno(loop);
  loop_arm(loop);
  return fd;
}

void loop_arm(struct loop *loop) {
  if (loop->timer >= 0) watch_arm(loop, loop_timeout(loop));
}

/* --- life ------------------------------------------------------------------- */

int loop_open(struct loop *loop, struct site *site) {
  loop->site = site;
  loop->watcher = loop->timer = -1;
  loop->armed = loop->wake = -1;
  loop->fresh = site_is_secure(site) ? FRESH_SECURE : FRESH_PLAIN;
  loop->seed = loop_seed(loop);
  if (watch_open(loop) == 0 && lanes_open(loop, (size_t)site_limits(site)->max_connections) == 0) return 0;
  lanes_close(&loop->lanes, 0);
  watch_close(loop);
  return -1;
}

static void close_all(struct loop *loop, struct list *list, int forked) {
  struct request *r;
  while ((r = list->first) != NULL) {
    if (forked) { /* what the parent's transfer holds stays as it is */
      r->slot = NULL;
      request_fail(r, ERROR_FORKED, "the client belongs to the process that made it");
      r->state = REQUEST_DONE;
    } else if (r->state != REQUEST_DONE) {
      loop_cancel(loop, r, ERROR_CLOSED, "the client was closed");
    }
    move(r, NULL);
  }
}

void loop_close(struct loop *loop, int forked) {
  if (loop->lanes.count == 0) return;
  close_all(loop, &loop->queued, forked);
  close_all(loop, &loop->paused, forked);
  close_all(loop, &loop->running, forked);
  close_all(loop, &loop->done, forked);
  lanes_close(&loop->lanes, forked);
  timers_free(&loop->timers);
  watch_close(loop);
}
