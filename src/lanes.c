/* lanes.c - the connections that requests run over; see lanes.h. */
#define _GNU_SOURCE /* getrlimit */
#include "lanes.h"

#include <curl/curl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "watch.h"

/* Requests that one HTTP/2 connection carries: libcurl's own limit, and no usual server's is lower. */
#define STREAMS 100
#define LANE_SIZE 250       /* with 10,000 requests in flight, one handle takes twice as long as forty of this size */
#define KEPT_SECONDS 60     /* an empty lane keeps its connections so long, as many servers do */
#define SPARE_CONNECTIONS 3 /* kept beside those: another host's, perhaps */
#define KEPT_DESCRIPTORS 32
#define SCARCE_SECONDS 1 /* how long to get along with the descriptors there are */

static int is_shared(const struct lanes *l) {
  return l->protocol == PROTOCOL_HTTP_2;
}

/* A POST goes over a new connection (request.c says why), and another host may speak another protocol. */
static int is_sole(const struct request *r) {
  return !r->repeatable || r->away;
}

/* For so many requests, of which `sole` share no connection. */
static size_t connections(const struct lanes *l, size_t running, size_t sole) {
  return is_shared(l) ? (running - sole + STREAMS - 1) / STREAMS + sole : running;
}

size_t lanes_wanted(const struct lanes *l, const struct request *r) {
  return connections(l, l->running + 1, l->sole + (size_t)is_sole(r));
}

/* Whether the server may yet turn out to speak HTTP/2. Over that a hundred requests share a connection, so several say
 * no; two may be one that is tried at two addresses. */
static int may_share(const struct loop *loop) {
  return loop->lanes.protocol == PROTOCOL_UNKNOWN && site_sockets(loop->site) <= loop->lanes.sole + 2;
}

int lanes_have_room(const struct loop *loop, const struct request *r) {
  const struct lanes *l = &loop->lanes;
  size_t limit = l->most;
  if (l->lane[0]->polled) return 0; /* what is started from its callbacks waits for its end */
  /* More than share one connection would open one each. It is also one name to resolve, not ten thousand at once. */
  if (limit > STREAMS && may_share(loop)) limit = STREAMS;
  if (l->scarce != 0 && l->ceiling < limit && request_clock() < l->scarce) limit = l->ceiling;
  return lanes_wanted(l, r) <= limit;
}

/* --- lanes --------------------------------------------------------------------- */

static void close_lane(struct lane *lane, int forked) {
  if (!forked) curl_multi_cleanup(lane->multi); /* in a child its connections are the parent's */
  free(lane);
}

static struct lane *open_lane(struct loop *loop) {
  struct lanes *l = &loop->lanes;
  struct lane *lane;
  if (l->count == l->room) {
    unsigned room = l->room != 0 ? l->room * 2 : 1;
    struct lane **more = realloc(l->lane, room * sizeof *more);
    if (more == NULL) return NULL;
    l->lane = more;
    l->room = room;
  }
  lane = calloc(1, sizeof *lane);
  if (lane == NULL) return NULL;
  lane->loop = loop;
  lane->index = l->count;
  lane->alarm = -1;
  lane->multi = curl_multi_init();
  if (lane->multi != NULL && watch_lane(lane) == 0) return l->lane[l->count++] = lane;
  if (lane->multi != NULL) curl_multi_cleanup(lane->multi);
  free(lane);
  return NULL;
}

/* How many connections there are descriptors for. Those that are open lie below the next one; some are left for files,
 * the resolver and whatever else the process does. */
static size_t affordable(void) {
  struct rlimit limit;
  rlim_t taken;
  int next = socket(AF_INET, SOCK_STREAM, 0);
  if (next < 0) return 1;
  close(next);
  taken = (rlim_t)next + KEPT_DESCRIPTORS;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
  if (limit.rlim_cur <= taken) return 1;
  return (size_t)((limit.rlim_cur - taken) / 100 * 99 + 1); /* a lane itself takes two or three */
}

int lanes_open(struct loop *loop, size_t most) {
  size_t least = affordable();
  loop->lanes.most = most < least ? most : least;
  return open_lane(loop) != NULL ? 0 : -1;
}

void lanes_close(struct lanes *l, int forked) {
  while (l->count > 0) close_lane(l->lane[--l->count], forked);
  free(l->lane);
  l->lane = NULL;
  l->room = 0;
}

/* The lane for one request more, or NULL when memory is out. */
static struct lane *choose(struct loop *loop) {
  struct lanes *l = &loop->lanes;
  struct lane *last = l->lane[l->count - 1];
  unsigned i;
  if (is_shared(l) || !watch_has_lanes()) return l->lane[0];
  if (last->index > 0 && last->running == 0 && request_clock() - last->emptied > KEPT_SECONDS) {
    l->count--;
    close_lane(last, 0);
  }
  for (i = 0; i < l->count; i++)
    if (l->lane[i]->running < LANE_SIZE) return l->lane[i];
  return open_lane(loop);
}

/* Idle connections are kept for as many requests as ever ran at once: by itself libcurl keeps four for each that runs
 * now, and a wave would begin with few. Yet each POST leaves one behind, so it is no more than that. */
static int keep_connections(struct lane *lane) {
  if (lane->running <= lane->most) return CURLM_OK;
  lane->most = lane->running;
  return (int)curl_multi_setopt(lane->multi, CURLMOPT_MAXCONNECTS, (long)lane->most + SPARE_CONNECTIONS);
}

/* libcurl's limit is for each host by itself, so one that a redirect led to has as many. */
static int set_cap(const struct lanes *l, struct lane *lane) {
  size_t cap = is_shared(l) ? connections(l, l->running, l->sole) : l->most - (size_t)lane->index * LANE_SIZE;
  if (cap > LANE_SIZE && !is_shared(l) && watch_has_lanes()) cap = LANE_SIZE;
  if (cap == lane->cap) return CURLM_OK;
  lane->cap = cap;
  return (int)curl_multi_setopt(lane->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)cap);
}

/* One call that is waited for, and nothing beside it: for its socket to go in and out of the epoll set would cost two
 * system calls and 3.4k instructions. A file is not such a call: what it brings is handed to functions that may call,
 * too. */
static int is_alone(const struct loop *loop, const struct request *r) {
  return watch_has_lanes() && !r->announced && !r->file.expected && loop_active(loop) == 1;
}

int lanes_enter(struct loop *loop, struct request *r) {
  struct lanes *l = &loop->lanes;
  struct lane *lane = choose(loop);
  int code;
  if (lane == NULL) return CURLM_OUT_OF_MEMORY;
  r->lane = lane;
  lane->polled = is_alone(loop, r);
  r->sole = is_sole(r);
  lane->running++;
  l->running++;
  l->sole += (size_t)r->sole;
  code = set_cap(l, lane);
  if (code == CURLM_OK) code = keep_connections(lane);
  return code == CURLM_OK ? (int)curl_multi_add_handle(lane->multi, request_easy(r)) : code;
}

void lanes_leave(struct loop *loop, struct request *r) {
  struct lanes *l = &loop->lanes;
  struct lane *lane = r->lane;
  if (lane == NULL) return;
  curl_multi_remove_handle(lane->multi, request_easy(r));
  r->lane = NULL;
  lane->polled = 0;
  l->running--;
  l->sole -= (size_t)r->sole;
  if (--lane->running == 0 && lane->index > 0) lane->emptied = request_clock();
}

static int was_sent(const struct request *r) {
  long size = 0;
  curl_easy_getinfo(request_easy(r), CURLINFO_REQUEST_SIZE, &size);
  return size > 0;
}

void lanes_observe(struct loop *loop) {
  const struct request *first = loop->running.first, *second = first != NULL ? first->next : NULL;
  if (loop->lanes.protocol != PROTOCOL_UNKNOWN || second == NULL || first->sole || second->sole) return;
  if (site_sockets(loop->site) <= loop->lanes.sole + 1 && was_sent(first) && was_sent(second))
    lanes_learn(&loop->lanes, 2);
}

void lanes_learn(struct lanes *l, int version) {
  l->protocol = version == 2 ? PROTOCOL_HTTP_2 : PROTOCOL_HTTP_1;
}

void lanes_starve(struct lanes *l) {
  l->ceiling = connections(l, l->running, l->sole);
  l->scarce = request_clock() + SCARCE_SECONDS;
}
