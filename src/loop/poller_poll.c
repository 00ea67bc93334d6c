/* poller_poll.c - poller.h for other platforms: poll(), which has neither a descriptor nor a timer. */
#include "loop/poller.h"

#ifdef POLLER_POLL

#include <stdlib.h>
#include <string.h>

#ifdef _WIN32

#include <winsock2.h>

#include <windows.h>

/* WSAPoll fails where there is no socket. Before Windows 10 2004 it does not report a connect that failed: such a
 * request ends at its connect_timeout. */
static int wait_for(struct pollfd *sockets, size_t count, int ms) {
  if (count > 0) return WSAPoll(sockets, (ULONG)count, ms);
  Sleep((DWORD)ms);
  return 0;
}

#else

#include <poll.h>

static int wait_for(struct pollfd *sockets, size_t count, int ms) {
  return poll(sockets, (nfds_t)count, ms);
}

#endif

int poller_open(struct poller *p) {
  memset(p, 0, sizeof *p);
  p->fd = p->timer = -1;
  p->armed = -1;
  return 0;
}

void poller_close(struct poller *p, int forked) {
  (void)forked;
  free(p->sockets);
  free(p->tags);
  p->sockets = NULL;
  p->tags = NULL;
  p->count = p->capacity = 0;
}

static int grow(struct poller *p) {
  size_t capacity = p->capacity != 0 ? p->capacity * 2 : 8;
  struct pollfd *sockets = realloc(p->sockets, capacity * sizeof *sockets);
  unsigned *tags;
  if (sockets == NULL) return -1;
  p->sockets = sockets;
  tags = realloc(p->tags, capacity * sizeof *tags);
  if (tags == NULL) return -1;
  p->tags = tags;
  p->capacity = capacity;
  return 0;
}

static void remove_socket(struct poller *p, size_t i) {
  p->count--;
  p->sockets[i] = p->sockets[p->count];
  p->tags[i] = p->tags[p->count];
}

int poller_set(struct poller *p, sys_socket fd, int mask, unsigned tag, int known) {
  size_t i = 0;
  (void)known;
  while (i < p->count && p->sockets[i].fd != fd) i++;
  if (mask == 0) {
    if (i < p->count) remove_socket(p, i);
    return 0;
  }
  if (i == p->capacity && grow(p) != 0) return -1;
  if (i == p->count) p->count++;
  p->sockets[i].fd = fd;
  p->sockets[i].events = (short)((mask & POLLER_READ ? POLLIN : 0) | (mask & POLLER_WRITE ? POLLOUT : 0));
  p->tags[i] = tag;
  return 0;
}

int poller_wait(struct poller *p, struct poller_event *events, int ms) {
  int left = wait_for(p->sockets, p->count, ms), found = 0;
  size_t i;
  for (i = 0; i < p->count && left > 0 && found < POLLER_EVENTS; i++) {
    int had = p->sockets[i].revents;
    if (had == 0) continue;
    left--;
    events[found].fd = p->sockets[i].fd;
    events[found].tag = p->tags[i];
    events[found++].mask = (had & POLLIN ? POLLER_READ : 0) | (had & POLLOUT ? POLLER_WRITE : 0) |
                           (had & (POLLERR | POLLHUP | POLLNVAL) ? POLLER_ERROR : 0);
  }
  return found;
}

int poller_fileno(struct poller *p) {
  (void)p;
  return -1;
}

void poller_arm(struct poller *p, double seconds) {
  (void)p;
  (void)seconds;
}

#endif
