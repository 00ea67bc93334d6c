/* poller_kqueue.c - poller.h for macOS and the BSDs: kqueue, with an EVFILT_TIMER in it. */
#define _GNU_SOURCE /* struct timespec, where this is compiled on Linux */
#include "loop/poller.h"

#ifdef POLLER_KQUEUE

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <sys/event.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/sys.h"

#define TIMER_ID 1   /* timers and descriptors are numbered apart */
#define LONGEST 3600 /* s */

int poller_open(struct poller *p) {
  memset(p, 0, sizeof *p);
  p->timer = -1;
  p->armed = -1;
  p->fd = kqueue();
  if (p->fd < 0) return -1;
  fcntl(p->fd, F_SETFD, FD_CLOEXEC);
  return 0;
}

/* A kqueue is not inherited: in a child the number belongs to some other descriptor. */
void poller_close(struct poller *p, int forked) {
  if (p->fd >= 0 && !forked) close(p->fd);
  p->timer = p->fd = -1;
}

/* Sets one direction; removing one that is not set fails, which does no harm. */
static int set_filter(struct poller *p, int fd, short filter, int wanted, unsigned tag) {
  struct kevent change;
  EV_SET(&change, (uintptr_t)fd, filter, wanted ? EV_ADD : EV_DELETE, 0, 0, (void *)(uintptr_t)tag);
  return kevent(p->fd, &change, 1, NULL, 0, NULL) == 0 || !wanted ? 0 : -1;
}

int poller_set(struct poller *p, sys_socket fd, int mask, unsigned tag, int known) {
  int read = set_filter(p, fd, EVFILT_READ, mask & POLLER_READ, tag);
  int write = set_filter(p, fd, EVFILT_WRITE, mask & POLLER_WRITE, tag);
  (void)known;
  return read == 0 && write == 0 ? 0 : -1;
}

int poller_wait(struct poller *p, struct poller_event *events, int ms) {
  struct kevent ready[POLLER_EVENTS];
  struct timespec limit;
  int count, i, found = 0;
  limit.tv_sec = ms / 1000;
  limit.tv_nsec = ms % 1000 * 1000000L;
  count = kevent(p->fd, NULL, 0, ready, POLLER_EVENTS, &limit);
  for (i = 0; i < count; i++) {
    if (ready[i].filter == EVFILT_TIMER) {
      p->armed = -1;
      continue;
    }
    events[found].fd = (int)ready[i].ident;
    events[found].tag = (unsigned)(uintptr_t)ready[i].udata;
    events[found++].mask = ready[i].filter == EVFILT_WRITE ? POLLER_WRITE : POLLER_READ;
  }
  return found;
}

int poller_fileno(struct poller *p) {
  p->timer = TIMER_ID;
  return p->fd;
}

/* At least 1 ms: NetBSD refuses a timer of 0. */
static int set_timer(struct poller *p, double seconds) {
  struct kevent change;
  int ms = seconds < LONGEST ? (int)(seconds * 1000 + 0.999) : LONGEST * 1000;
  if (ms < 1) ms = 1;
  EV_SET(&change, TIMER_ID, EVFILT_TIMER, seconds < 0 ? EV_DELETE : EV_ADD | EV_ONESHOT, 0, ms, 0);
  return kevent(p->fd, &change, 1, NULL, 0, NULL) == 0 || seconds < 0 ? 0 : -1;
}

void poller_arm(struct poller *p, double seconds) {
  double at = seconds < 0 ? -1 : seconds == 0 ? 0 : sys_clock() + seconds;
  if (p->timer < 0 || poller_is_armed(p->armed, at)) return;
  if (set_timer(p, seconds) == 0) p->armed = at;
}

#endif
