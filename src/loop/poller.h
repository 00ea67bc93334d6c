/* poller.h - waits for sockets and a timer: epoll on Linux, kqueue on macOS and the BSDs, poll() elsewhere
 * (on Windows WSAPoll).
 *
 * Owns the descriptors of a loop. It knows neither libcurl nor sora: a socket has a mask of directions and a tag that
 * comes back with its events. Invariant: only the sockets that were set are waited for, in just those directions. */
#ifndef SORA_POLLER_H
#define SORA_POLLER_H

#include <stddef.h>

#include "base/sys.h"

#pragma GCC visibility push(hidden)

/* SORA_USE_POLL and SORA_USE_KQUEUE choose one on any platform. */
#if defined(SORA_USE_POLL)
#define POLLER_POLL
#elif defined(SORA_USE_KQUEUE)
#define POLLER_KQUEUE
#elif defined(__linux__)
#define POLLER_EPOLL
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) ||                     \
    defined(__DragonFly__)
#define POLLER_KQUEUE
#else
#define POLLER_POLL
#endif

#define POLLER_READ 1
#define POLLER_WRITE 2
#define POLLER_ERROR 4 /* in events alone */

#define POLLER_EVENTS 256 /* that one wait returns at most */

struct poller_event {
  sys_socket fd;
  int mask;
  unsigned tag;
};

struct pollfd;

struct poller {
  int fd;                 /* epoll or kqueue descriptor, or -1 */
  int timer;              /* -1 until poller_fileno was called */
  double armed;           /* monotonic seconds when the timer fires, or -1 */
  struct pollfd *sockets; /* of poll(), with their tags */
  unsigned *tags;
  size_t count, capacity;
};

/* 0, or -1. */
int poller_open(struct poller *p);

/* Closes the poller. In a forked child only what is the child's own: the sockets are the parent's. */
void poller_close(struct poller *p, int forked);

/* Sets the directions that a socket is waited for in; 0 removes it. `known`: it is set already. 0, or -1. */
int poller_set(struct poller *p, sys_socket fd, int mask, unsigned tag, int known);

/* Waits at most `ms` milliseconds, or until a signal; returns how many of POLLER_EVENTS events there are. */
int poller_wait(struct poller *p, struct poller_event *events, int ms);

/* One descriptor that is readable when there are events or the timer has fired, or -1: poll() has none. */
int poller_fileno(struct poller *p);

/* Sets the timer to fire in so many seconds; negative: never. Does nothing before poller_fileno was called. */
void poller_arm(struct poller *p, double seconds);

#define POLLER_SLACK 0.0005 /* s; a timer is not set again for less */

/* Whether a timer that fires at `a` may stay when `b` is wanted. */
static inline int poller_is_armed(double a, double b) {
  return a == b || (a > 0 && b > 0 && a - b < POLLER_SLACK && b - a < POLLER_SLACK);
}

#pragma GCC visibility pop

#endif
