/* Specs of the poller of this platform, or of the one that SORA_USE_POLL or SORA_USE_KQUEUE chooses, with connections
 * on loopback. */
#include "loop/poller.h"

#include <string.h>

#ifdef _WIN32
#include <winsock2.h>

#include <windows.h>
#else
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#endif

#include "check.h"

#define PATIENCE 10000 /* ms */

static struct poller_event events[POLLER_EVENTS];

/* A connection on loopback: both ends of it. */
static int open_pair(sys_socket *here, sys_socket *there) {
  struct sockaddr_in address;
  struct sockaddr *at = (struct sockaddr *)&address;
#ifdef _WIN32
  int size = sizeof address;
#else
  socklen_t size = sizeof address;
#endif
  sys_socket listener = sys_socket_open(AF_INET, SOCK_STREAM, 0);
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  *here = sys_socket_open(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, at, size) != 0 || listen(listener, 1) != 0 || getsockname(listener, at, &size) != 0) return -1;
  if (connect(*here, at, size) != 0) return -1;
  *there = accept(listener, NULL, NULL);
  sys_socket_close(listener);
  return *there != SYS_NO_SOCKET ? 0 : -1;
}

/* Whether the next wait gives one event, with this mask and tag. */
static int gives(struct poller *p, sys_socket fd, int mask, unsigned tag) {
  return poller_wait(p, events, PATIENCE) == 1 && events[0].fd == fd && (events[0].mask & ~POLLER_ERROR) == mask &&
         events[0].tag == tag;
}

static void directions(struct poller *p) {
  sys_socket here, there;
  char byte;
  CHECK(open_pair(&here, &there) == 0);
  CHECK(poller_set(p, here, POLLER_READ, 7, 0) == 0 && poller_wait(p, events, 0) == 0);
  CHECK(send(there, "x", 1, 0) == 1 && gives(p, here, POLLER_READ, 7));
  CHECK(recv(here, &byte, 1, 0) == 1 && poller_wait(p, events, 0) == 0);
  CHECK(poller_set(p, here, POLLER_WRITE, 8, 1) == 0 && gives(p, here, POLLER_WRITE, 8));
  CHECK(poller_set(p, here, 0, 8, 1) == 0 && poller_wait(p, events, 0) == 0);
  CHECK(poller_set(p, here, POLLER_READ, 9, 0) == 0);
  sys_socket_close(there);
  CHECK(poller_wait(p, events, PATIENCE) == 1 && events[0].mask != 0 && recv(here, &byte, 1, 0) == 0);
  CHECK(poller_set(p, here, 0, 9, 1) == 0);
  sys_socket_close(here);
}

/* Each of many sockets is waited for under its own tag, also after others were removed. */
static void many(struct poller *p) {
  enum { COUNT = 20 };
  sys_socket here[COUNT], there[COUNT];
  unsigned i;
  for (i = 0; i < COUNT; i++)
    CHECK(open_pair(&here[i], &there[i]) == 0 && poller_set(p, here[i], POLLER_READ, i, 0) == 0);
  for (i = 0; i < COUNT; i += 2) CHECK(poller_set(p, here[i], 0, i, 1) == 0);
  for (i = 0; i < COUNT; i++) {
    CHECK(send(there[i], "x", 1, 0) == 1);
    if (i % 2 == 1) CHECK(gives(p, here[i], POLLER_READ, i) && poller_set(p, here[i], 0, i, 1) == 0);
  }
  CHECK(poller_wait(p, events, 0) == 0);
  for (i = 0; i < COUNT; i++) {
    sys_socket_close(here[i]);
    sys_socket_close(there[i]);
  }
}

/* The timer wakes a wait of its descriptor, where the platform has one. */
static void timer(struct poller *p) {
  double start = sys_clock();
  CHECK(poller_wait(p, events, 20) == 0 && sys_clock() - start >= 0.015);
  if (poller_fileno(p) < 0) return;
  poller_arm(p, 0.02);
  start = sys_clock();
  CHECK(poller_wait(p, events, PATIENCE) == 0 && sys_clock() - start < PATIENCE / 2000.0);
  poller_arm(p, 3600);
  poller_arm(p, -1);
  CHECK(poller_wait(p, events, 1) == 0);
}

int main(void) {
  struct poller p;
#ifdef _WIN32
  WSADATA data;
  CHECK(WSAStartup(MAKEWORD(2, 2), &data) == 0);
#endif
  CHECK(poller_open(&p) == 0);
  directions(&p);
  many(&p);
  timer(&p);
  poller_close(&p, 0);
  return summary();
}
