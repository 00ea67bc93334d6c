/* pool.h - the connections that requests run over: a multi handle, and how many connections it may open.
 *
 * Reads best as one multi handle. Over HTTP/2 it is one: requests share connections, a hundred each. Over HTTP/1 each
 * request has a connection of its own, and libcurl looks at all of them for each request that begins or ends; so above
 * 250 there are further multi handles of that size. Invariants: a running request is in one multi handle; a further
 * handle is used only while those before it are full; all together open at most `max_connections` to the server. */
#ifndef SORA_POOL_H
#define SORA_POOL_H

#include <curl/curl.h>
#include <stddef.h>

#include "http/request.h"
#include "loop/poller.h"

#pragma GCC visibility push(hidden)

enum protocol { PROTOCOL_UNKNOWN, PROTOCOL_HTTP_1, PROTOCOL_HTTP_2 };

struct multi {
  CURLM *handle;
  struct pool *pool;
  unsigned index;
  size_t running, peak; /* requests now, and at most so far */
  size_t limit;         /* connections that it may have */
  double alarm;         /* monotonic: when libcurl wants to be called, or -1 */
  double emptied;       /* monotonic: when its last request left */
  int worked;           /* libcurl was called, so requests may have finished */
  CURLMcode failure;    /* libcurl can no longer drive it */
};

struct pool {
  struct easy_pool *easies;
  struct poller *poller;
  struct multi **multi;
  unsigned count, capacity;
  size_t max_connections; /* to one host */
  size_t running;         /* requests in all multi handles */
  size_t exclusive;       /* of those: with a connection each, whatever the protocol */
  enum protocol protocol; /* of the endpoint */
  size_t scarce_limit;    /* connections there may be until `scarce_until` */
  double scarce_until;    /* monotonic: descriptors had run out; or 0 */
  int signals;            /* libcurl may cause a SIGPIPE: see pool.c */
};

/* Opens a pool whose fields are zero; 0, or -1. */
int pool_open(struct pool *pool, struct easy_pool *easies, struct poller *poller);

/* Closes all connections; in a forked child they are the parent's and are left alone. */
void pool_close(struct pool *pool, int forked);

/* Whether there is a connection for the request now, and whether it would be a new one. */
int pool_has_capacity(const struct pool *pool, const struct request *r);
int pool_needs_connection(const struct pool *pool, const struct request *r);

/* Puts a request whose attempt has begun into a multi handle and lets libcurl start it; takes it out. */
CURLMcode pool_add(struct pool *pool, struct request *r);
void pool_remove(struct pool *pool, struct request *r);

/* Lets a paused request continue. */
void pool_resume(struct request *r);

/* Waits at most `ms` milliseconds and lets libcurl work on what happened, also by the clock. */
void pool_wait(struct pool *pool, int ms);

/* Takes out the next request that libcurl has finished, or NULL. */
struct request *pool_next_finished(struct pool *pool, CURLcode *code);

/* Monotonic time when libcurl, or the wait for descriptors, next wants attention; or -1. */
double pool_next_alarm(const struct pool *pool, int queued);

/* Learns the protocol before the first answer, from two running requests: those that share a connection speak
 * HTTP/2. */
void pool_observe(struct pool *pool, const struct request *first, const struct request *second);

/* Gets along with the connections there are for a second: no descriptor was left for another one. */
void pool_starve(struct pool *pool);

/* A multi handle that failed, or NULL; and a new one in its place, once its requests have left it. */
struct multi *pool_failed(const struct pool *pool);
void pool_replace(struct multi *multi);

#pragma GCC visibility pop

#endif
