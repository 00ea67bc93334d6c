/* loop.c - drives requests; see loop.h.
 *
 * libcurl tells on_socket which sockets it waits for and on_timer when it
 * wants to be called; loop_step waits for both and for the requests in the
 * heap, and hands each finished attempt to request_end. */
#define _GNU_SOURCE /* clock_gettime, epoll_create1 */
#include "loop.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if defined(__linux__) && !defined(SORA_NO_EPOLL)
#define SORA_EPOLL 1
#include <sys/epoll.h>
#else
#define SORA_EPOLL 0
#endif

#define EVENTS_A_STEP 64

double loop_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* xorshift64*: jitter needs no better. */
static double random_part(struct loop *loop) {
  loop->seed ^= loop->seed >> 12;
  loop->seed ^= loop->seed << 25;
  loop->seed ^= loop->seed >> 27;
  return (double)((loop->seed * UINT64_C(2685821657736338717)) >> 11) / 9007199254740992.0;
}

static void tell(struct loop *loop, const struct request *r, enum loop_event event, double delay) {
  if (loop->observer != NULL) loop->observer(loop->context, r, event, delay);
}

/* --- which requests there are ----------------------------------------------- */

static void link_request(struct loop *loop, struct request *r) {
  r->prev = NULL;
  r->next = loop->active;
  if (r->next != NULL) r->next->prev = r;
  loop->active = r;
}

static void finish(struct loop *loop, struct request *r) {
  if (r->prev != NULL) r->prev->next = r->next;
  if (r->next != NULL) r->next->prev = r->prev;
  if (loop->active == r) loop->active = r->next;
  r->prev = r->next = NULL;
  r->state = REQUEST_DONE;
  r->ended = loop_now();
  tell(loop, r, LOOP_RESPONSE, 0);
}

static void call_libcurl(struct loop *loop);

/* Hands the next attempt to libcurl, which connects or sends at once; a request that can't be set up is finished. */
static void begin(struct loop *loop, struct request *r) {
  CURLMcode code;
  if (request_begin(r) != 0) {
    finish(loop, r);
    return;
  }
  tell(loop, r, LOOP_REQUEST, 0);
  code = curl_multi_add_handle(loop->multi, request_easy(r));
  if (code == CURLM_OK) {
    call_libcurl(loop);
  } else {
    loop_cancel(loop, r, ERROR_TRANSPORT, curl_multi_strerror(code));
  }
}

void loop_add(struct loop *loop, struct request *r) {
  link_request(loop, r);
  r->started = loop_now();
  begin(loop, r);
}

void loop_cancel(struct loop *loop, struct request *r, enum error_kind kind, const char *message) {
  double delay;
  if (r->state == REQUEST_PAUSED) timers_remove(&loop->timers, r);
  request_fail(r, kind, message);
  if (r->state == REQUEST_RUNNING) {
    curl_multi_remove_handle(loop->multi, request_easy(r));
    r->max_retries = 0;
    request_end(r, CURLE_ABORTED_BY_CALLBACK, 0, &delay);
  }
  finish(loop, r);
}

static void pause_request(struct loop *loop, struct request *r, double delay) {
  r->due = loop_now() + delay;
  tell(loop, r, LOOP_RETRY, delay);
  if (timers_add(&loop->timers, r) == 0) return;
  r->state = REQUEST_DONE;
  finish(loop, r);
}

static void end_attempt(struct loop *loop, struct request *r, CURLcode code) {
  double delay = 0;
  switch (request_end(r, (int)code, random_part(loop), &delay)) {
    case REQUEST_FINISHED: finish(loop, r); break;
    case REQUEST_AGAIN: begin(loop, r); break;
    case REQUEST_LATER: pause_request(loop, r, delay); break;
  }
}

/* --- libcurl's wishes ------------------------------------------------------- */

#if SORA_EPOLL
/* `known` is not NULL once the socket is in the epoll set. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known) {
  struct loop *loop = context;
  struct epoll_event event;
  (void)easy;
  memset(&event, 0, sizeof event);
  event.data.fd = fd;
  if (what == CURL_POLL_REMOVE) {
    epoll_ctl(loop->watcher, EPOLL_CTL_DEL, fd, &event);
    return 0;
  }
  if (what & CURL_POLL_IN) event.events |= EPOLLIN;
  if (what & CURL_POLL_OUT) event.events |= EPOLLOUT;
  if (epoll_ctl(loop->watcher, known != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0) return -1;
  if (known == NULL) curl_multi_assign(loop->multi, fd, loop);
  return 0;
}

static int on_timer(CURLM *multi, long ms, void *context) {
  struct loop *loop = context;
  (void)multi;
  loop->alarm = ms < 0 ? -1 : loop_now() + (double)ms / 1000;
  return 0;
}

/* Lets libcurl do what its timer asks for, if that is due. */
static void call_libcurl(struct loop *loop) {
  int running;
  if (loop->alarm < 0 || loop_now() < loop->alarm) return;
  loop->alarm = -1;
  curl_multi_socket_action(loop->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

static int wait_for_sockets(struct loop *loop, int ms) {
  struct epoll_event events[EVENTS_A_STEP];
  int count = epoll_wait(loop->watcher, events, EVENTS_A_STEP, ms), running, i;
  for (i = 0; i < count; i++) {
    uint32_t had = events[i].events;
    int what = (had & EPOLLIN ? CURL_CSELECT_IN : 0) | (had & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (had & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    curl_multi_socket_action(loop->multi, events[i].data.fd, what, &running);
  }
  call_libcurl(loop);
  return count < 0 && errno == EINTR ? -1 : 0;
}

static CURLMcode open_watcher(struct loop *loop) {
  CURLMcode code;
  loop->watcher = epoll_create1(EPOLL_CLOEXEC);
  if (loop->watcher < 0) return CURLM_OUT_OF_MEMORY;
  code = curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  if (code == CURLM_OK) code = curl_multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop);
  if (code == CURLM_OK) code = curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION, on_timer);
  if (code == CURLM_OK) code = curl_multi_setopt(loop->multi, CURLMOPT_TIMERDATA, loop);
  return code;
}
#else
static void call_libcurl(struct loop *loop) {
  int running;
  curl_multi_perform(loop->multi, &running);
}

static int wait_for_sockets(struct loop *loop, int ms) {
  curl_multi_poll(loop->multi, NULL, 0, ms, NULL);
  call_libcurl(loop);
  return 0;
}

static CURLMcode open_watcher(struct loop *loop) {
  loop->watcher = -1;
  return CURLM_OK;
}
#endif

/* --- stepping --------------------------------------------------------------- */

/* Milliseconds to wait: rounded up, so that a wait that is nearly over is not spun through. */
static int wait_time(const struct loop *loop, double seconds) {
  struct request *first = timers_first(&loop->timers);
  double now, until;
  if (seconds <= 0) return 0;
  if (seconds > 3600) seconds = 3600;
  now = loop_now();
  until = now + seconds;
  if (loop->alarm >= 0 && loop->alarm < until) until = loop->alarm;
  if (first != NULL && first->due < until) until = first->due;
  return until > now ? (int)((until - now) * 1000 + 0.999) : 0;
}

static void reap(struct loop *loop) {
  CURLMsg *message;
  int left;
  while ((message = curl_multi_info_read(loop->multi, &left)) != NULL) {
    struct request *r = NULL;
    CURL *easy = message->easy_handle;
    CURLcode code = message->data.result;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&r);
    curl_multi_remove_handle(loop->multi, easy); /* `message` is gone after this */
    end_attempt(loop, r, code);
  }
}

static void start_due(struct loop *loop) {
  struct request *first;
  double now;
  if (loop->timers.count == 0) return;
  now = loop_now();
  while ((first = timers_first(&loop->timers)) != NULL && first->due <= now) {
    timers_remove(&loop->timers, first);
    begin(loop, first);
  }
}

int loop_step(struct loop *loop, double seconds) {
  int result = wait_for_sockets(loop, wait_time(loop, seconds));
  reap(loop);
  start_due(loop);
  return result;
}

/* --- life ------------------------------------------------------------------- */

int loop_open(struct loop *loop, int max_connections) {
  CURLMcode code;
  loop->watcher = -1;
  loop->alarm = -1;
  loop->seed = ((uint64_t)(uintptr_t)loop ^ (uint64_t)(loop_now() * 1e9)) | 1;
  loop->multi = curl_multi_init();
  if (loop->multi == NULL) return -1;
  code = curl_multi_setopt(loop->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)max_connections);
  if (code == CURLM_OK) code = open_watcher(loop);
  if (code == CURLM_OK) return 0;
  loop_close(loop, 0);
  return -1;
}

void loop_close(struct loop *loop, int forked) {
  if (loop->multi == NULL) return;
  while (loop->active != NULL) {
    struct request *r = loop->active;
    if (forked) { /* what the parent's transfer holds stays as it is */
      r->slot = NULL;
      r->state = REQUEST_IDLE;
      request_fail(r, ERROR_FORKED, "the client belongs to the process that made it");
      loop->active = r->next;
      r->prev = r->next = NULL;
    } else {
      loop_cancel(loop, r, ERROR_CLOSED, "the client was closed");
    }
  }
  if (!forked) curl_multi_cleanup(loop->multi);
  loop->multi = NULL;
  timers_free(&loop->timers);
  if (loop->watcher >= 0) close(loop->watcher);
  loop->watcher = -1;
}
