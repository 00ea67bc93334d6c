/* pool.c - the connections that requests run over; see pool.h. */
#include "loop/pool.h"

#include <stdlib.h>

#include "base/sys.h"
#include "http/curl_compat.h"
#include "http/receive.h"

#define STREAMS 100 /* requests that one HTTP/2 connection carries: libcurl's limit, and no usual server's is lower */
#define MULTI_SIZE 250      /* HTTP/1 requests in one multi handle */
#define EMPTY_SECONDS 60    /* a further multi handle keeps its idle connections so long, as many servers do */
#define SPARE_CONNECTIONS 3 /* idle ones kept beyond as many as requests ever ran at once */
#define SCARCE_SECONDS 1

/* --- what libcurl tells --------------------------------------------------------------------------------- */

/* Whether a handle's transfer waits for its reader: it has a connection, but waits for no socket. */
static int is_paused(CURL *handle) {
  struct request *r = NULL;
  curl_easy_getinfo(handle, CURLINFO_PRIVATE, (char **)&r);
  return r != NULL && r->file.paused;
}

/* `known` is not NULL once the socket is set in the poller. */
static int on_socket(CURL *handle, curl_socket_t fd, int what, void *context, void *known) {
  struct multi *multi = context;
  int mask = what == CURL_POLL_REMOVE
                 ? 0
                 : (what & CURL_POLL_IN ? POLLER_READ : 0) | (what & CURL_POLL_OUT ? POLLER_WRITE : 0);
  int result = poller_set(multi->pool->poller, fd, mask, multi->index, known != NULL);
  if (multi->pool->easies->checks_idle) easy_set_idle(multi->pool->easies, fd, mask == 0 && !is_paused(handle));
  if (mask == 0) return 0; /* the socket may be closed already */
  if (result != 0) {
    multi->failure = CURLM_INTERNAL_ERROR; /* some versions of libcurl, such as 7.74, do not notice the -1 */
    return -1;
  }
  if (known == NULL) curl_multi_assign(multi->handle, fd, multi);
  return 0;
}

static int on_timer(CURLM *handle, long ms, void *context) {
  struct multi *multi = context;
  (void)handle;
  multi->alarm = ms < 0 ? -1 : sys_clock() + (double)ms / 1000;
  return 0;
}

/* Before 7.87.0 libcurl lets OpenSSL write to the socket, which causes a SIGPIPE if the server has closed it: wherever
 * libcurl may write or close, it is kept away from the process. */
static int causes_signals(void) {
  return curl_version_info(CURLVERSION_NOW)->version_num < 0x075700;
}

static void hold_signals(const struct pool *pool, struct sys_pipe_guard *guard) {
  if (pool->signals) sys_hold_sigpipe(guard);
}

static void release_signals(const struct pool *pool, const struct sys_pipe_guard *guard) {
  if (pool->signals) sys_release_sigpipe(guard);
}

/* Lets libcurl work. A multi handle that says no is not driven any further: memory that ran out leaves libcurl's tables
 * half made, and the next call divides by zero. */
static void act(struct multi *multi, curl_socket_t fd, int what) {
  struct sys_pipe_guard guard;
  int running;
  CURLMcode code;
  if (multi->handle == NULL || multi->failure != CURLM_OK) return;
  hold_signals(multi->pool, &guard);
  code = curl_multi_socket_action(multi->handle, fd, what, &running);
  release_signals(multi->pool, &guard);
  multi->worked = 1;
  if (code != CURLM_OK) multi->failure = code;
}

/* Lets libcurl do what its timer asks for, if that is due. */
static void act_if_due(struct multi *multi, double now) {
  if (multi->alarm < 0 || now < multi->alarm) return;
  multi->alarm = -1;
  act(multi, CURL_SOCKET_TIMEOUT, 0);
}

void pool_wait(struct pool *pool, int ms) {
  struct poller_event events[POLLER_EVENTS];
  int count = poller_wait(pool->poller, events, ms), i;
  double now;
  unsigned m;
  for (i = 0; i < count; i++) {
    int mask = events[i].mask;
    int what = (mask & POLLER_READ ? CURL_CSELECT_IN : 0) | (mask & POLLER_WRITE ? CURL_CSELECT_OUT : 0) |
               (mask & POLLER_ERROR ? CURL_CSELECT_ERR : 0);
    if (events[i].tag < pool->count) act(pool->multi[events[i].tag], events[i].fd, what);
  }
  now = sys_clock();
  for (m = 0; m < pool->count; m++) act_if_due(pool->multi[m], now);
}

/* --- multi handles -------------------------------------------------------------------------------------- */

/* Makes a multi handle of libcurl that tells what it waits for; NULL when memory is out. */
static CURLM *new_handle(struct multi *multi) {
  CURLM *handle = curl_multi_init();
  if (handle == NULL) return NULL;
  /* Closing a multi handle must not wait for a resolver's thread; libcurl before 8.20.0 has no such option. */
  (void)curl_multi_setopt(handle, CURLMOPT_QUICK_EXIT, 1L);
  if (curl_multi_setopt(handle, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
      curl_multi_setopt(handle, CURLMOPT_SOCKETDATA, multi) == CURLM_OK &&
      curl_multi_setopt(handle, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
      curl_multi_setopt(handle, CURLMOPT_TIMERDATA, multi) == CURLM_OK)
    return handle;
  curl_multi_cleanup(handle);
  return NULL;
}

static struct multi *open_multi(struct pool *pool) {
  struct multi *multi;
  if (pool->count == pool->capacity) {
    unsigned capacity = pool->capacity != 0 ? pool->capacity * 2 : 1;
    struct multi **more = realloc(pool->multi, capacity * sizeof *more);
    if (more == NULL) return NULL;
    pool->multi = more;
    pool->capacity = capacity;
  }
  multi = calloc(1, sizeof *multi);
  if (multi == NULL) return NULL;
  multi->pool = pool;
  multi->index = pool->count;
  multi->alarm = -1;
  multi->handle = new_handle(multi);
  if (multi->handle != NULL) return pool->multi[pool->count++] = multi;
  free(multi);
  return NULL;
}

/* Closes the connections. */
static void close_handle(const struct pool *pool, CURLM *handle) {
  struct sys_pipe_guard guard;
  if (handle == NULL) return;
  hold_signals(pool, &guard);
  curl_multi_cleanup(handle);
  release_signals(pool, &guard);
}

static void close_multi(struct multi *multi, int forked) {
  if (!forked) close_handle(multi->pool, multi->handle);
  free(multi);
}

struct multi *pool_failed(const struct pool *pool) {
  unsigned i;
  for (i = 0; i < pool->count; i++)
    if (pool->multi[i]->failure != CURLM_OK) return pool->multi[i];
  return NULL;
}

void pool_replace(struct multi *multi) {
  close_handle(multi->pool, multi->handle);
  multi->handle = new_handle(multi);
  multi->failure = CURLM_OK;
  multi->limit = multi->peak = 0;
  multi->alarm = -1;
}

int pool_open(struct pool *pool, struct easy_pool *easies, struct poller *poller) {
  size_t wanted = (size_t)easies->endpoint->limits.max_connections, affordable = sys_free_descriptors();
  pool->easies = easies;
  pool->poller = poller;
  pool->signals = causes_signals();
  if (affordable > 100) affordable -= affordable / 100; /* each multi handle has two or three of its own */
  pool->max_connections = wanted < affordable ? wanted : affordable;
  return open_multi(pool) != NULL ? 0 : -1;
}

void pool_close(struct pool *pool, int forked) {
  while (pool->count > 0) close_multi(pool->multi[--pool->count], forked);
  free(pool->multi);
  pool->multi = NULL;
  pool->capacity = 0;
}

/* --- how many connections ------------------------------------------------------------------------------- */

static int is_shared(const struct pool *pool) {
  return pool->protocol == PROTOCOL_HTTP_2;
}

/* A request that may be paid for takes a new connection (attempt.c says why), and another host may speak another
 * protocol. */
static int is_exclusive(const struct request *r) {
  return !r->repeatable || r->cross_origin;
}

/* Connections for so many requests, of which `exclusive` share none. */
static size_t connections(const struct pool *pool, size_t running, size_t exclusive) {
  return is_shared(pool) ? (running - exclusive + STREAMS - 1) / STREAMS + exclusive : running;
}

static size_t connections_with(const struct pool *pool, const struct request *r) {
  return connections(pool, pool->running + 1, pool->exclusive + (size_t)is_exclusive(r));
}

int pool_has_capacity(const struct pool *pool, const struct request *r) {
  size_t limit = pool->max_connections;
  /* Until the protocol is known, no more requests than one HTTP/2 connection carries: each further one would open one
   * of its own, and resolve the name by itself. */
  if (limit > STREAMS && pool->protocol == PROTOCOL_UNKNOWN) limit = STREAMS;
  if (pool->scarce_until != 0 && pool->scarce_limit < limit && sys_clock() < pool->scarce_until)
    limit = pool->scarce_limit;
  return connections_with(pool, r) <= limit;
}

/* libcurl keeps idle connections, so a new one is opened only beyond those. */
int pool_needs_connection(const struct pool *pool, const struct request *r) {
  return !r->repeatable || connections_with(pool, r) > pool->easies->sockets;
}

static void learn(struct pool *pool, int version) {
  pool->protocol = version == 2 ? PROTOCOL_HTTP_2 : PROTOCOL_HTTP_1;
}

/* How many connections libcurl has opened for a request that it is sending; -1: it has not begun to send. */
static long opened_for(const struct request *r) {
  long sent = 0, opened = 0;
  curl_easy_getinfo(r->easy->handle, CURLINFO_REQUEST_SIZE, &sent);
  curl_easy_getinfo(r->easy->handle, CURLINFO_NUM_CONNECTS, &opened);
  return sent > 0 ? opened : -1;
}

/* A request that is being sent and opened no connection runs over that of another one. */
void pool_observe(struct pool *pool, const struct request *first, const struct request *second) {
  long one, two;
  if (pool->protocol != PROTOCOL_UNKNOWN || first->exclusive || second->exclusive) return;
  one = opened_for(first);
  two = opened_for(second);
  if (one >= 0 && two >= 0) learn(pool, one == 0 || two == 0 ? 2 : 1);
}

void pool_starve(struct pool *pool) {
  pool->scarce_limit = connections(pool, pool->running, pool->exclusive);
  pool->scarce_until = sys_clock() + SCARCE_SECONDS;
}

double pool_next_alarm(const struct pool *pool, int queued) {
  double next = queued && pool->scarce_until != 0 ? pool->scarce_until : -1;
  unsigned i;
  for (i = 0; i < pool->count; i++) {
    double alarm = pool->multi[i]->alarm;
    if (alarm >= 0 && (next < 0 || alarm < next)) next = alarm;
  }
  return next;
}

/* --- requests ------------------------------------------------------------------------------------------- */

/* The multi handle for one more request, or NULL when memory is out. */
static struct multi *choose(struct pool *pool) {
  struct multi *last = pool->multi[pool->count - 1];
  unsigned i;
  if (is_shared(pool)) return pool->multi[0];
  if (last->index > 0 && last->running == 0 && sys_clock() - last->emptied > EMPTY_SECONDS) {
    pool->count--;
    close_multi(last, 0);
  }
  for (i = 0; i < pool->count; i++)
    if (pool->multi[i]->running < MULTI_SIZE) return pool->multi[i];
  return open_multi(pool);
}

/* Limits connections to each host by itself, so one that a redirect led to has as many. */
static CURLMcode set_limit(const struct pool *pool, struct multi *multi) {
  size_t limit = pool->max_connections - (size_t)multi->index * MULTI_SIZE;
  if (is_shared(pool)) {
    limit = connections(pool, pool->running, pool->exclusive);
  } else if (limit > MULTI_SIZE) {
    limit = MULTI_SIZE;
  }
  if (limit == multi->limit) return CURLM_OK;
  multi->limit = limit;
  return curl_multi_setopt(multi->handle, CURLMOPT_MAX_HOST_CONNECTIONS, (long)limit);
}

/* Keeps idle connections for as many requests as ever ran at once, and no more: each POST leaves one behind. libcurl's
 * own limit follows the requests that run now, so the next wave would begin with few. */
static CURLMcode keep_connections(struct multi *multi) {
  if (multi->running <= multi->peak) return CURLM_OK;
  multi->peak = multi->running;
  return curl_multi_setopt(multi->handle, CURLMOPT_MAXCONNECTS, (long)multi->peak + SPARE_CONNECTIONS);
}

CURLMcode pool_add(struct pool *pool, struct request *r) {
  struct multi *multi = choose(pool);
  CURLMcode code;
  if (multi != NULL && multi->handle == NULL) multi->handle = new_handle(multi); /* there was no memory for it */
  if (multi == NULL || multi->handle == NULL) return CURLM_OUT_OF_MEMORY;
  r->multi = multi;
  r->exclusive = is_exclusive(r);
  multi->running++;
  pool->running++;
  pool->exclusive += (size_t)r->exclusive;
  if (r->repeatable && !is_shared(pool)) easy_check_idle(pool->easies);
  code = set_limit(pool, multi);
  if (code == CURLM_OK) code = keep_connections(multi);
  if (code == CURLM_OK) code = curl_multi_add_handle(multi->handle, r->easy->handle);
  if (code == CURLM_OK) {
    act_if_due(multi, sys_clock());
  } else if (code != CURLM_OUT_OF_MEMORY) {
    multi->failure = code;
  }
  return code;
}

void pool_remove(struct pool *pool, struct request *r) {
  struct sys_pipe_guard guard;
  struct multi *multi = r->multi;
  if (multi == NULL) return;
  hold_signals(pool, &guard);
  curl_multi_remove_handle(multi->handle, r->easy->handle);
  release_signals(pool, &guard);
  r->multi = NULL;
  pool->running--;
  pool->exclusive -= (size_t)r->exclusive;
  if (--multi->running == 0 && multi->index > 0) multi->emptied = sys_clock();
}

void pool_resume(struct request *r) {
  struct multi *multi = r->multi;
  if (receive_resume(r) != 0 && multi != NULL) multi->failure = CURLM_OUT_OF_MEMORY;
}

/* The next request that libcurl has finished in one multi handle. */
static struct request *next_finished(struct pool *pool, struct multi *multi, CURLcode *code) {
  int left;
  CURLMsg *message = multi->handle != NULL ? curl_multi_info_read(multi->handle, &left) : NULL;
  struct request *r = NULL;
  if (message == NULL) {
    multi->worked = 0;
    return NULL;
  }
  *code = message->data.result;
  curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&r);
  if (r->outcome.headers_complete && !r->cross_origin) learn(pool, r->outcome.http_version);
  pool_remove(pool, r); /* `message` is gone after this */
  return r;
}

struct request *pool_next_finished(struct pool *pool, CURLcode *code) {
  unsigned i;
  for (i = 0; i < pool->count; i++) {
    struct request *r = pool->multi[i]->worked ? next_finished(pool, pool->multi[i], code) : NULL;
    if (r != NULL) return r;
  }
  return NULL;
}
