/* watch.c - how a loop learns that sockets are ready; see watch.h. */
#define _GNU_SOURCE /* epoll_create1 */
#include "watch.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "loop.h"

#if defined(__linux__) && !defined(SORA_NO_EPOLL)

#include <sys/epoll.h>
#include <sys/timerfd.h>

#define EVENTS_A_STEP 64
#define TIMER_SLACK 0.0005 /* s; the timer is not set anew for less */

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
  loop->alarm = ms < 0 ? -1 : request_clock() + (double)ms / 1000;
  return 0;
}

int watch_open(struct loop *loop) {
  CURLMcode code;
  loop->watcher = epoll_create1(EPOLL_CLOEXEC);
  if (loop->watcher < 0) return -1;
  code = curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  if (code == CURLM_OK) code = curl_multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop);
  if (code == CURLM_OK) code = curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION, on_timer);
  if (code == CURLM_OK) code = curl_multi_setopt(loop->multi, CURLMOPT_TIMERDATA, loop);
  return code == CURLM_OK ? 0 : -1;
}

void watch_call_libcurl(struct loop *loop) {
  int running;
  if (loop->alarm < 0 || request_clock() < loop->alarm) return;
  loop->alarm = -1;
  curl_multi_socket_action(loop->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

/* The timer has fired: it stays readable until it is read. */
static void quiet_timer(struct loop *loop) {
  uint64_t times;
  ssize_t got = read(loop->timer, &times, sizeof times);
  (void)got; /* it may have been set anew in between, which is as good */
  loop->armed = -1;
}

int watch_wait(struct loop *loop, int ms) {
  struct epoll_event events[EVENTS_A_STEP];
  int count = epoll_wait(loop->watcher, events, EVENTS_A_STEP, ms), failure = errno, running, i;
  for (i = 0; i < count; i++) {
    uint32_t had = events[i].events;
    int what = (had & EPOLLIN ? CURL_CSELECT_IN : 0) | (had & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (had & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    if (events[i].data.fd == loop->timer) {
      quiet_timer(loop);
    } else {
      curl_multi_socket_action(loop->multi, events[i].data.fd, what, &running);
    }
  }
  watch_call_libcurl(loop);
  return count < 0 && failure == EINTR ? -1 : 0;
}

int watch_fileno(struct loop *loop) {
  struct epoll_event event;
  if (loop->timer >= 0) return loop->watcher;
  memset(&event, 0, sizeof event);
  event.events = EPOLLIN;
  event.data.fd = loop->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (loop->timer < 0) return -1;
  if (epoll_ctl(loop->watcher, EPOLL_CTL_ADD, loop->timer, &event) == 0) return loop->watcher;
  close(loop->timer);
  loop->timer = -1;
  return -1;
}

/* Whether the timer can stay as it is. */
static int near(double a, double b) {
  return a == b || (a > 0 && b > 0 && a - b < TIMER_SLACK && b - a < TIMER_SLACK);
}

void watch_arm(struct loop *loop, double seconds) {
  struct itimerspec when;
  double at = seconds < 0 ? -1 : seconds == 0 ? 0 : request_clock() + seconds;
  if (near(at, loop->armed)) return;
  memset(&when, 0, sizeof when);
  if (at >= 0) {
    when.it_value.tv_sec = (time_t)seconds;
    when.it_value.tv_nsec = (long)((seconds - (double)when.it_value.tv_sec) * 1e9);
    if (when.it_value.tv_sec == 0 && when.it_value.tv_nsec == 0) when.it_value.tv_nsec = 1; /* 0 would switch it off */
  }
  if (timerfd_settime(loop->timer, 0, &when, NULL) == 0) loop->armed = at;
}

void watch_close(struct loop *loop) {
  if (loop->timer >= 0) close(loop->timer);
  if (loop->watcher >= 0) close(loop->watcher);
  loop->timer = loop->watcher = -1;
}

#else

int watch_open(struct loop *loop) {
  (void)loop;
  return 0;
}

void watch_call_libcurl(struct loop *loop) {
  int running;
  curl_multi_perform(loop->multi, &running);
}

int watch_wait(struct loop *loop, int ms) {
  curl_multi_poll(loop->multi, NULL, 0, ms, NULL);
  watch_call_libcurl(loop);
  return 0;
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

#endif
