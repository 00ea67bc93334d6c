/* watch.c - how a loop learns that sockets are ready; see watch.h.
 *
 * What is the same everywhere stands at the end; before it, for each kind of
 * platform, the four things that differ: opening, setting a socket, setting the
 * timer, and waiting. */
#define _GNU_SOURCE /* epoll_create1 */
#include "watch.h"

#include <curl/curl.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"

#define EVENTS_A_STEP 256
#define TIMER_SLACK 0.0005 /* s; the timer is not set anew for less */

#if defined(SORA_NO_EPOLL)
#define SORA_POLL
#elif defined(__linux__)
#define SORA_EPOLL
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) ||                     \
    defined(__DragonFly__)
#define SORA_KQUEUE
#else
#define SORA_POLL
#endif

static void perform(struct lane *lane) {
  int running;
  lane->stirred = 1;
  curl_multi_perform(lane->multi, &running);
}

static void poll_lane(struct lane *lane, int ms) {
  curl_multi_poll(lane->multi, NULL, 0, ms, NULL);
  perform(lane);
}

#ifndef SORA_POLL

static void act(struct lane *lane, curl_socket_t fd, int what) {
  int running;
  lane->stirred = 1;
  curl_multi_socket_action(lane->multi, fd, what, &running);
}

#endif
#ifdef SORA_EPOLL /* --- Linux: epoll, and a timerfd in it ------------------------------------------------------- */

#include <sys/epoll.h>
#include <sys/timerfd.h>

#define TIMER_EVENT UINT64_MAX /* sockets have the lane's index and the descriptor */

static int open_watcher(void) {
  return epoll_create1(EPOLL_CLOEXEC);
}

/* `known`: the socket is in the set. */
static int set_socket(const struct lane *lane, int fd, int what, int known) {
  struct epoll_event event;
  memset(&event, 0, sizeof event);
  event.data.u64 = (uint64_t)lane->index << 32 | (uint32_t)fd;
  if (what & CURL_POLL_IN) event.events |= EPOLLIN;
  if (what & CURL_POLL_OUT) event.events |= EPOLLOUT;
  return epoll_ctl(lane->loop->watcher,
                   what == CURL_POLL_REMOVE ? EPOLL_CTL_DEL
                   : known                  ? EPOLL_CTL_MOD
                                            : EPOLL_CTL_ADD,
                   fd, &event);
}

static int open_timer(int watcher) {
  struct epoll_event event;
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  memset(&event, 0, sizeof event);
  event.events = EPOLLIN;
  event.data.u64 = TIMER_EVENT;
  if (timer < 0 || epoll_ctl(watcher, EPOLL_CTL_ADD, timer, &event) == 0) return timer;
  close(timer);
  return -1;
}

/* Negative seconds switch it off. */
static int set_timer(const struct loop *loop, double seconds) {
  struct itimerspec when;
  memset(&when, 0, sizeof when);
  if (seconds >= 0) {
    when.it_value.tv_sec = (time_t)seconds;
    when.it_value.tv_nsec = (long)((seconds - (double)when.it_value.tv_sec) * 1e9);
    if (when.it_value.tv_sec == 0 && when.it_value.tv_nsec == 0) when.it_value.tv_nsec = 1; /* 0 would switch it off */
  }
  return timerfd_settime(loop->timer, 0, &when, NULL);
}

static void close_timer(int timer) {
  close(timer);
}

/* A timer that has fired stays readable until it is read. */
static void quiet_timer(struct loop *loop) {
  uint64_t times;
  ssize_t got = read(loop->timer, &times, sizeof times);
  (void)got; /* it may have been set anew in between, which is as good */
  loop->armed = -1;
}

static void wait_for_events(struct loop *loop, int ms) {
  struct epoll_event events[EVENTS_A_STEP];
  int count = epoll_wait(loop->watcher, events, EVENTS_A_STEP, ms), i;
  for (i = 0; i < count; i++) {
    uint32_t had = events[i].events;
    int what = (had & EPOLLIN ? CURL_CSELECT_IN : 0) | (had & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (had & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    uint64_t which = events[i].data.u64;
    if (which == TIMER_EVENT) {
      quiet_timer(loop);
    } else {
      act(loop->lanes.lane[which >> 32], (curl_socket_t)(which & 0xFFFFFFFF), what);
    }
  }
}

#endif
#ifdef SORA_KQUEUE /* --- BSD and macOS: kqueue, and EVFILT_TIMER in it ------------------------------------------ */

#include <fcntl.h>
#include <sys/event.h>

#define TIMER_ID 1 /* idents of timers are apart from those of descriptors */

static int open_watcher(void) {
  int watcher = kqueue();
  if (watcher >= 0) fcntl(watcher, F_SETFD, FD_CLOEXEC);
  return watcher;
}

/* Each direction is an event of its own; taking out one that is not there fails, and that is as good. */
static int set_socket(struct lane *lane, int fd, int what, int known) {
  struct kevent change;
  int result = 0, watcher = lane->loop->watcher;
  EV_SET(&change, fd, EVFILT_READ, what & CURL_POLL_IN ? EV_ADD : EV_DELETE, 0, 0, lane);
  if (kevent(watcher, &change, 1, NULL, 0, NULL) != 0 && (what & CURL_POLL_IN)) result = -1;
  EV_SET(&change, fd, EVFILT_WRITE, what & CURL_POLL_OUT ? EV_ADD : EV_DELETE, 0, 0, lane);
  if (kevent(watcher, &change, 1, NULL, 0, NULL) != 0 && (what & CURL_POLL_OUT)) result = -1;
  (void)known;
  return what == CURL_POLL_REMOVE ? 0 : result;
}

static int open_timer(int watcher) {
  (void)watcher;
  return TIMER_ID;
}

static int set_timer(const struct loop *loop, double seconds) {
  struct kevent change;
  int ms = seconds < 0 ? 0 : seconds < 3600 ? (int)(seconds * 1000 + 0.999) : 3600 * 1000;
  EV_SET(&change, TIMER_ID, EVFILT_TIMER, seconds < 0 ? EV_DELETE : EV_ADD | EV_ONESHOT, 0, ms, 0);
  return kevent(loop->watcher, &change, 1, NULL, 0, NULL) == 0 || seconds < 0 ? 0 : -1;
}

static void close_timer(int timer) {
  (void)timer;
}

static void wait_for_events(struct loop *loop, int ms) {
  struct kevent events[EVENTS_A_STEP];
  struct timespec limit;
  int count, i;
  limit.tv_sec = ms / 1000;
  limit.tv_nsec = ms % 1000 * 1000000L;
  count = kevent(loop->watcher, NULL, 0, events, EVENTS_A_STEP, &limit);
  for (i = 0; i < count; i++) {
    int what = events[i].filter == EVFILT_WRITE ? CURL_CSELECT_OUT : CURL_CSELECT_IN;
    if (events[i].filter == EVFILT_TIMER) {
      loop->armed = -1;
    } else {
      act(events[i].udata, (curl_socket_t)events[i].ident, what);
    }
  }
}

#endif
#ifdef SORA_POLL /* --- elsewhere: libcurl's own poll; there is no descriptor ------------------------------------- */

int watch_open(struct loop *loop) {
  (void)loop;
  return 0;
}

int watch_lane(struct lane *lane) {
  (void)lane;
  return 0;
}

int watch_has_lanes(void) {
  return 0;
}

void watch_call_libcurl(struct lane *lane) {
  perform(lane);
}

void watch_wait(struct loop *loop, int ms) {
  poll_lane(loop->lanes.lane[0], ms);
}

int watch_fileno(struct loop *loop) {
  (void)loop;
  return -1;
}

void watch_arm(struct loop *loop, double seconds) {
  (void)loop;
  (void)seconds;
}

void watch_close(struct loop *loop) {
  (void)loop;
}

#else /* --- the same for epoll and kqueue --------------------------------------------------------------------- */

/* `known` is not NULL once the socket is in the set. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known) {
  struct lane *lane = context;
  (void)easy;
  if (set_socket(lane, fd, what, known != NULL) != 0 && what != CURL_POLL_REMOVE) return -1;
  if (known == NULL && what != CURL_POLL_REMOVE) curl_multi_assign(lane->multi, fd, lane);
  return 0;
}

static int on_timer(CURLM *multi, long ms, void *context) {
  struct lane *lane = context;
  (void)multi;
  lane->alarm = ms < 0 || lane->polled ? -1 : request_clock() + (double)ms / 1000; /* curl_multi_poll knows its own */
  return 0;
}

int watch_open(struct loop *loop) {
  loop->watcher = open_watcher();
  return loop->watcher < 0 ? -1 : 0;
}

int watch_lane(struct lane *lane) {
  CURLMcode code = curl_multi_setopt(lane->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  if (code == CURLM_OK) code = curl_multi_setopt(lane->multi, CURLMOPT_SOCKETDATA, lane);
  if (code == CURLM_OK) code = curl_multi_setopt(lane->multi, CURLMOPT_TIMERFUNCTION, on_timer);
  if (code == CURLM_OK) code = curl_multi_setopt(lane->multi, CURLMOPT_TIMERDATA, lane);
  return code == CURLM_OK ? 0 : -1;
}

int watch_has_lanes(void) {
  return 1;
}

void watch_call_libcurl(struct lane *lane) {
  if (lane->polled) {
    perform(lane);
  } else if (lane->alarm >= 0 && request_clock() >= lane->alarm) {
    lane->alarm = -1;
    act(lane, CURL_SOCKET_TIMEOUT, 0);
  }
}

void watch_wait(struct loop *loop, int ms) {
  unsigned i;
  if (loop->lanes.lane[0]->polled) {
    poll_lane(loop->lanes.lane[0], ms);
    return;
  }
  wait_for_events(loop, ms);
  for (i = 0; i < loop->lanes.count; i++) watch_call_libcurl(loop->lanes.lane[i]);
}

int watch_fileno(struct loop *loop) {
  if (loop->timer < 0) loop->timer = open_timer(loop->watcher);
  return loop->timer < 0 ? -1 : loop->watcher;
}

/* Whether the timer can stay as it is. */
static int near(double a, double b) {
  return a == b || (a > 0 && b > 0 && a - b < TIMER_SLACK && b - a < TIMER_SLACK);
}

void watch_arm(struct loop *loop, double seconds) {
  double at = seconds < 0 ? -1 : seconds == 0 ? 0 : request_clock() + seconds;
  if (!near(at, loop->armed) && set_timer(loop, seconds) == 0) loop->armed = at;
}

void watch_close(struct loop *loop) {
  if (loop->timer >= 0) close_timer(loop->timer);
  if (loop->watcher >= 0) close(loop->watcher);
  loop->timer = loop->watcher = -1;
}

#endif
