/* multi.c - the reference for many calls at once: C and libcurl's multi interface with curl_multi_socket_action and
 * epoll, the fastest way to drive it. FLIGHT easy handles are made once; each takes another request when it is done.
 *
 * With "capped" as EXTRA it knows in advance what a client must learn: the server speaks HTTP/2 and lets 100 requests
 * share a connection. It then limits itself to the fewest connections that carry FLIGHT requests.
 *
 * Invariant: what a good C programmer would write by hand, and no more. JSON is not parsed. */
#define _GNU_SOURCE /* epoll_create1 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "program.h"

#define STREAMS 100  /* requests that share a connection */
#define EVENTS 256   /* the most events of one epoll_wait */
#define LONGEST 1000 /* ms; the wait when libcurl has no timer */

struct transfer {
  CURL *easy;
  struct body body;
};

struct engine {
  CURLM *multi;
  int epoll;
  long wait; /* ms until libcurl wants to be called; -1: never */
};

static int on_timer(CURLM *multi, long milliseconds, void *context) {
  struct engine *engine = context;
  (void)multi;
  engine->wait = milliseconds;
  return 0;
}

/* Changes what epoll watches. `known` is not NULL if the socket is watched already. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known) {
  struct engine *engine = context;
  struct epoll_event event = {0};
  (void)easy;
  event.data.fd = fd;
  if (what & CURL_POLL_IN) event.events |= EPOLLIN;
  if (what & CURL_POLL_OUT) event.events |= EPOLLOUT;
  epoll_ctl(engine->epoll,
            what == CURL_POLL_REMOVE ? EPOLL_CTL_DEL
            : known != NULL          ? EPOLL_CTL_MOD
                                     : EPOLL_CTL_ADD,
            fd, &event);
  if (known == NULL) curl_multi_assign(engine->multi, fd, engine);
  return 0;
}

static void open_engine(struct engine *engine, const struct program *program) {
  long connections = (program->flight + STREAMS - 1) / STREAMS;
  engine->multi = curl_multi_init();
  engine->epoll = epoll_create1(EPOLL_CLOEXEC);
  engine->wait = -1;
  if (engine->multi == NULL || engine->epoll < 0) program_fail("libcurl", "it can't be set up");
  curl_multi_setopt(engine->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(engine->multi, CURLMOPT_SOCKETDATA, engine);
  curl_multi_setopt(engine->multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(engine->multi, CURLMOPT_TIMERDATA, engine);
  curl_multi_setopt(engine->multi, CURLMOPT_MAXCONNECTS, program->flight); /* the default would close idle ones */
  if (strcmp(program->extra, "capped") != 0) return;
  curl_multi_setopt(engine->multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
  curl_multi_setopt(engine->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections);
}

static void begin(struct engine *engine, const struct program *program, struct transfer *transfer) {
  transfer->body.len = 0;
  curl_easy_setopt(transfer->easy, CURLOPT_URL, program->url);
  if (curl_multi_add_handle(engine->multi, transfer->easy) != CURLM_OK) program_fail("a request", "it can't begin");
}

static struct transfer *make_transfers(struct engine *engine, const struct program *program) {
  struct transfer *transfers = calloc((size_t)program->flight, sizeof *transfers);
  const char *http = getenv("BENCH_HTTP");
  long i;
  if (transfers == NULL) program_fail("the transfers", "out of memory");
  for (i = 0; i < program->flight; i++) {
    transfers[i].easy = program_handle(program, &transfers[i].body);
    curl_easy_setopt(transfers[i].easy, CURLOPT_PRIVATE, &transfers[i]);
    /* PIPEWAIT delays a request until it is known whether it can share a connection: only HTTP/2 can */
    if (http != NULL && strcmp(http, "2") == 0) curl_easy_setopt(transfers[i].easy, CURLOPT_PIPEWAIT, 1L);
    begin(engine, program, &transfers[i]);
  }
  return transfers;
}

static void step(struct engine *engine) {
  struct epoll_event events[EVENTS];
  int running, i, count = epoll_wait(engine->epoll, events, EVENTS, (int)(engine->wait >= 0 ? engine->wait : LONGEST));
  if (count < 0 && errno != EINTR) program_fail("epoll_wait", strerror(errno));
  for (i = 0; i < count; i++) {
    unsigned had = events[i].events;
    int what = (had & EPOLLIN ? CURL_CSELECT_IN : 0) | (had & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (had & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    curl_multi_socket_action(engine->multi, events[i].data.fd, what, &running);
  }
  if (engine->wait == 0 || (engine->wait > 0 && count == 0)) {
    engine->wait = -1; /* libcurl may set it again in this call */
    curl_multi_socket_action(engine->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  }
}

/* Checks the finished transfers and reuses their handles while `left` requests remain. Returns how many finished. */
static long reap(struct engine *engine, const struct program *program, long *left) {
  CURLMsg *message;
  int waiting;
  long done = 0;
  while ((message = curl_multi_info_read(engine->multi, &waiting)) != NULL) {
    struct transfer *transfer = NULL;
    CURLcode code = message->data.result;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
    program_check(transfer->easy, code, &transfer->body);
    curl_multi_remove_handle(engine->multi, transfer->easy);
    if (*left > 0) {
      begin(engine, program, transfer);
      (*left)--;
    }
    done++;
  }
  return done;
}

static void many(struct program *program) {
  struct engine engine;
  struct transfer *transfers;
  long left = program->count - program->flight, done = 0, i;
  if (left < 0) program_fail("usage", "COUNT is less than FLIGHT");
  program_start(program);
  open_engine(&engine, program);
  transfers = make_transfers(&engine, program);
  while (done < program->count) {
    step(&engine);
    done += reap(&engine, program, &left);
  }
  program_report(program);
  for (i = 0; i < program->flight; i++) {
    curl_easy_cleanup(transfers[i].easy);
    free(transfers[i].body.data);
  }
  free(transfers);
  curl_multi_cleanup(engine.multi);
  close(engine.epoll);
}

int main(int argc, char **argv) {
  struct program program;
  int status = 0;
  program_open(&program, argc, argv);
  if (strcmp(program.what, "many") == 0)
    many(&program);
  else
    status = PROGRAM_CANNOT;
  program_close(&program);
  return status;
}
