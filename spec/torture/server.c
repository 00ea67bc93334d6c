/* server.c - the HTTP/1.1 server of the campaign: a process that answers as the site in shared memory says.
 *
 * Invariant: a request counts before a byte of its answer is sent, so whoever has the answer sees the count. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "torture.h"

#define CONNECTIONS 256
#define MAX_HEAD 512
#define TLS_HANDSHAKE 22 /* the first byte of a connection */
#define VALIDATOR "\"campaign\""

struct connection {
  int fd; /* -1: unused */
  char *in;
  size_t in_len, in_size;
  char head[MAX_HEAD]; /* what is being sent: headers that we wrote, then bytes of the site */
  size_t head_len, at, len, sent;
  int busy;
  enum ending ending;
};

static struct connection connections[CONNECTIONS];

static void drop(struct connection *c, int reset) {
  struct linger linger = {1, 0};
  if (reset) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  close(c->fd);
  free(c->in);
  memset(c, 0, sizeof *c);
  c->fd = -1;
}

/* The value of a header in a head that ends with '\0', or NULL. */
static const char *find_header(const char *head, const char *name) {
  size_t len = strlen(name);
  const char *line = head;
  while ((line = strchr(line, '\n')) != NULL) {
    line++;
    if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
      const char *value = line + len + 1;
      return value + strspn(value, " ");
    }
  }
  return NULL;
}

/* Sends a file, or the part of it that a range asks for. */
static void answer_file(struct connection *c, const struct answer *answer, const char *head) {
  const char *range = find_header(head, "Range");
  size_t from = 0;
  if (range != NULL && strncmp(range, "bytes=", 6) == 0) from = strtoul(range + 6, NULL, 10);
  if (from >= answer->len) range = NULL, from = 0;
  c->at = answer->at + from;
  c->len = answer->len - from;
  c->head_len =
      (size_t)snprintf(c->head, sizeof c->head,
                       "HTTP/1.1 %s\r\nContent-Type: video/mp4\r\nETag: " VALIDATOR "\r\nContent-Length: %zu\r\n",
                       range != NULL ? "206 Partial Content" : "200 OK", c->len);
  if (range != NULL)
    c->head_len += (size_t)snprintf(c->head + c->head_len, sizeof c->head - c->head_len,
                                    "Content-Range: bytes %zu-%zu/%zu\r\n", from, answer->len - 1, answer->len);
  c->head_len += (size_t)snprintf(c->head + c->head_len, sizeof c->head - c->head_len, "\r\n");
  if (answer->cut >= 0 && (size_t)answer->cut < c->len) {
    c->len = (size_t)answer->cut;
    c->ending = ENDING_CLOSE;
  }
}

/* Finds the answer to a request whose head ends with '\0'. */
static void answer_request(struct site *site, struct connection *c, const char *head) {
  char method[16], target[512], key[sizeof site->routes[0].key];
  unsigned run = 0, i;
  int skip = 0;
  c->busy = 1;
  c->sent = c->at = c->len = 0;
  c->ending = ENDING_CLOSE;
  c->head_len = (size_t)snprintf(c->head, sizeof c->head, "HTTP/1.1 599 Stray\r\nContent-Length: 0\r\n\r\n");
  if (sscanf(head, "%15s %511s", method, target) != 2) return;
  target[strcspn(target, "?")] = '\0';
  if (sscanf(target, "/r%u/v1%n", &run, &skip) != 1 || run != site->run) return;
  snprintf(key, sizeof key, "%s %s", method, target + skip);
  for (i = 0; i < site->count; i++) {
    struct route *route = &site->routes[i];
    const struct answer *answer;
    if (strcmp(route->key, key) != 0) continue;
    answer = &route->answers[route->used < route->count ? route->used : route->count - 1];
    route->used++;
    c->head_len = 0;
    c->ending = answer->ending;
    c->at = answer->at;
    c->len = answer->ending == ENDING_HOLD ? 0 : answer->len;
    if (answer->is_file) answer_file(c, answer, head);
    return;
  }
  site->strays++;
}

static void send_more(const struct site *site, struct connection *c) {
  while (c->ending != ENDING_HOLD && c->sent < c->head_len + c->len) {
    int in_head = c->sent < c->head_len;
    const char *from = in_head ? c->head + c->sent : site->bytes + c->at + (c->sent - c->head_len);
    size_t left = in_head ? c->head_len - c->sent : c->head_len + c->len - c->sent;
    ssize_t n = send(c->fd, from, left, MSG_NOSIGNAL | MSG_DONTWAIT | (in_head && c->len > 0 ? MSG_MORE : 0));
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      drop(c, 0);
      return;
    }
    c->sent += (size_t)n;
  }
  if (c->ending == ENDING_HOLD) return;
  if (c->ending == ENDING_KEEP) {
    c->busy = 0;
  } else {
    drop(c, c->ending == ENDING_RESET);
  }
}

/* Answers the request at the beginning of the input, if all of it is there. */
static void take_request(struct site *site, struct connection *c) {
  char *end;
  const char *length;
  size_t whole;
  if (c->busy || c->in_len == 0) return;
  if (c->in[0] == TLS_HANDSHAKE) { /* this server speaks none */
    drop(c, 0);
    return;
  }
  c->in[c->in_len] = '\0';
  end = strstr(c->in, "\r\n\r\n");
  if (end == NULL) return;
  whole = (size_t)(end - c->in) + 4;
  end[2] = '\0';
  length = find_header(c->in, "Content-Length");
  if (length != NULL) whole += strtoul(length, NULL, 10);
  if (c->in_len < whole) {
    end[2] = '\r';
    return;
  }
  answer_request(site, c, c->in);
  memmove(c->in, c->in + whole, c->in_len - whole);
  c->in_len -= whole;
  send_more(site, c);
}

static void receive(struct site *site, struct connection *c) {
  ssize_t n;
  if (c->in_size - c->in_len < 65536) {
    char *more = realloc(c->in, c->in_size + 262144);
    if (more == NULL) abort();
    c->in = more;
    c->in_size += 262144;
  }
  n = recv(c->fd, c->in + c->in_len, c->in_size - c->in_len - 1, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) {
    drop(c, 0);
    return;
  }
  c->in_len += (size_t)n;
  take_request(site, c);
}

static void accept_one(int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), i, one = 1;
  if (fd < 0) return;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  for (i = 0; i < CONNECTIONS; i++) {
    if (connections[i].fd >= 0) continue;
    connections[i].fd = fd;
    return;
  }
  close(fd);
}

static void serve(int listener, int local, struct site *site) {
  struct pollfd polled[CONNECTIONS + 2];
  int i;
  for (i = 0; i < CONNECTIONS; i++) connections[i].fd = -1;
  for (;;) {
    polled[CONNECTIONS].fd = listener;
    polled[CONNECTIONS + 1].fd = local;
    polled[CONNECTIONS].events = polled[CONNECTIONS + 1].events = POLLIN;
    for (i = 0; i < CONNECTIONS; i++) {
      const struct connection *c = &connections[i];
      polled[i].fd = c->fd;
      polled[i].events = (short)(c->busy && c->ending != ENDING_HOLD ? POLLOUT | POLLRDHUP : POLLIN);
      polled[i].revents = 0;
    }
    if (poll(polled, CONNECTIONS + 2, -1) < 0) continue;
    for (i = 0; i < CONNECTIONS; i++) {
      struct connection *c = &connections[i];
      if (c->fd < 0 || polled[i].revents == 0) continue;
      if (polled[i].revents & POLLOUT) {
        send_more(site, c);
        if (c->fd >= 0) take_request(site, c); /* it may be there already */
      } else {
        receive(site, c);
      }
    }
    if (polled[CONNECTIONS].revents != 0) accept_one(listener);
    if (polled[CONNECTIONS + 1].revents != 0) accept_one(local);
  }
}

/* Listens on a Unix domain socket; -1 if it can't. */
static int listen_local(const char *path) {
  struct sockaddr_un address;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 256) != 0) return -1;
  return fd;
}

int server_start(struct site *site, const char *path) {
  struct sockaddr_in address;
  socklen_t len = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), local = listen_local(path);
  pid_t parent = getpid(), child;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (local < 0 || listener < 0 || bind(listener, (struct sockaddr *)&address, len) != 0 || listen(listener, 256) != 0 ||
      getsockname(listener, (struct sockaddr *)&address, &len) != 0)
    return -1;
  child = fork();
  if (child < 0) return -1;
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0);
    serve(listener, local, site);
  }
  close(listener);
  close(local);
  return ntohs(address.sin_port);
}
