/* poller_epoll.c - poller.h for Linux: epoll, with a timerfd in it. */
#define _GNU_SOURCE /* epoll_create1 */
#include "loop/poller.h"

#ifdef POLLER_EPOLL

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/sys.h"

#define TIMER_EVENT UINT64_MAX /* sockets have the tag and the descriptor */

int poller_open(struct poller *p) {
  memset(p, 0, sizeof *p);
  p->timer = -1;
  p->armed = -1;
  p->fd = epoll_create1(EPOLL_CLOEXEC);
  return p->fd < 0 ? -1 : 0;
}

/* A child inherits both descriptors, so it closes its own copies. */
void poller_close(struct poller *p, int forked) {
  (void)forked;
  if (p->timer >= 0) close(p->timer);
  if (p->fd >= 0) close(p->fd);
  p->timer = p->fd = -1;
}

/* A descriptor number may come back with another socket behind it before libcurl says so: tries the other operation
 * then. */
int poller_set(struct poller *p, sys_socket fd, int mask, unsigned tag, int known) {
  struct epoll_event event;
  memset(&event, 0, sizeof event);
  event.data.u64 = (uint64_t)tag << 32 | (uint32_t)fd;
  if (mask & POLLER_READ) event.events |= EPOLLIN;
  if (mask & POLLER_WRITE) event.events |= EPOLLOUT;
  if (mask == 0) return epoll_ctl(p->fd, EPOLL_CTL_DEL, fd, &event);
  if (epoll_ctl(p->fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) == 0) return 0;
  if (errno == EEXIST && !known) return epoll_ctl(p->fd, EPOLL_CTL_MOD, fd, &event);
  if (errno == ENOENT && known) return epoll_ctl(p->fd, EPOLL_CTL_ADD, fd, &event);
  return -1;
}

/* A timer that has fired stays readable until it is read. */
static void read_timer(struct poller *p) {
  uint64_t times;
  ssize_t got = read(p->timer, &times, sizeof times);
  (void)got; /* nothing: it was set anew in between */
  p->armed = -1;
}

int poller_wait(struct poller *p, struct poller_event *events, int ms) {
  struct epoll_event ready[POLLER_EVENTS];
  int count = epoll_wait(p->fd, ready, POLLER_EVENTS, ms), i, found = 0;
  for (i = 0; i < count; i++) {
    uint64_t data = ready[i].data.u64;
    uint32_t had = ready[i].events;
    if (data == TIMER_EVENT) {
      read_timer(p);
      continue;
    }
    events[found].fd = (int)(data & 0xFFFFFFFF);
    events[found].tag = (unsigned)(data >> 32);
    events[found++].mask = (had & EPOLLIN ? POLLER_READ : 0) | (had & EPOLLOUT ? POLLER_WRITE : 0) |
                           (had & (EPOLLERR | EPOLLHUP) ? POLLER_ERROR : 0);
  }
  return found;
}

static int open_timer(int poller) {
  struct epoll_event event;
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  memset(&event, 0, sizeof event);
  event.events = EPOLLIN;
  event.data.u64 = TIMER_EVENT;
  if (timer < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, timer, &event) == 0) return timer;
  close(timer);
  return -1;
}

int poller_fileno(struct poller *p) {
  if (p->timer < 0) p->timer = open_timer(p->fd);
  return p->timer < 0 ? -1 : p->fd;
}

/* Sets the timerfd; negative seconds switch it off, as would 0 in both fields. */
static int set_timer(int timer, double seconds) {
  struct itimerspec when;
  memset(&when, 0, sizeof when);
  if (seconds >= 0) {
    when.it_value.tv_sec = (time_t)seconds;
    when.it_value.tv_nsec = (long)((seconds - (double)when.it_value.tv_sec) * 1e9);
    if (when.it_value.tv_sec == 0 && when.it_value.tv_nsec == 0) when.it_value.tv_nsec = 1;
  }
  return timerfd_settime(timer, 0, &when, NULL);
}

void poller_arm(struct poller *p, double seconds) {
  double at = seconds < 0 ? -1 : seconds == 0 ? 0 : sys_clock() + seconds;
  if (p->timer < 0 || poller_is_armed(p->armed, at)) return;
  if (set_timer(p->timer, seconds) == 0) p->armed = at;
}

#endif
