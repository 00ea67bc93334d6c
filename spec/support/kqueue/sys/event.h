/* The part of <sys/event.h> that src/loop/poller_kqueue.c needs, so that it can be compiled (not linked) on Linux.
 * Written from FreeBSD's manual page kqueue(2). */
#ifndef SORA_SPEC_EVENT_H
#define SORA_SPEC_EVENT_H

#include <stdint.h>
#include <time.h>

struct kevent {
  uintptr_t ident;
  short filter;
  unsigned short flags;
  unsigned int fflags;
  int64_t data;
  void *udata;
};

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EVFILT_TIMER (-7)
#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_ONESHOT 0x0010

#define EV_SET(event, a, b, c, d, e, f)                                                                                \
  (*(event) = (struct kevent){(a), (b), (unsigned short)(c), (d), (e), (f)})

int kqueue(void);
int kevent(int kq, const struct kevent *changes, int change_count, struct kevent *events, int event_count,
           const struct timespec *timeout);

#endif
