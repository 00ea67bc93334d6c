/* easy.h - libcurl's easy handles: set up for an endpoint, and pooled for the next request.
 *
 * Owns libcurl's global state and every open socket. Invariants: an easy handle reads its address from the URL object
 * beside it; a pool keeps a handle only while nobody else has changed its address and its libcurl can reuse handles. */
#ifndef SORA_EASY_H
#define SORA_EASY_H

#include <curl/curl.h>
#include <stddef.h>

#include "http/endpoint.h"

#pragma GCC visibility push(hidden)

/* Sets an option of `handle`, unless an earlier one failed: `code` holds the first failure. Both are variables of the
 * function that uses this. */
#define EASY_SET(option, value) (code = code != CURLE_OK ? code : curl_easy_setopt(handle, option, value))

struct easy {
  CURL *handle; /* NULL in the pool of a libcurl that can't reuse handles */
  CURLU *url;
  struct easy *next; /* in the pool */
  int for_file;      /* with a large receive buffer */
  int moved;         /* its URL has left the base URL: a redirect, or an address that an answer named */
  char error[CURL_ERROR_SIZE];
};

struct easy_pool {
  const struct endpoint *endpoint;
  CURLSH *share; /* resolved names and TLS sessions, for all multi handles */
  struct easy *spare;
  size_t spares, used;
  size_t sockets;      /* open */
  int checks_idle;     /* this libcurl uses a kept connection without a look at what waits in it */
  curl_socket_t *idle; /* then these are the idle sockets */
  size_t idle_count, idle_capacity;
  double checked;         /* monotonic: when there were many */
  int out_of_descriptors; /* the last socket could not be opened for want of a descriptor */
  int reuses;             /* this libcurl can use an easy handle more than once */
};

/* Sets libcurl up, once for the process; NULL, or why it can't be used. */
const char *easy_init_libcurl(void);

/* Opens a pool whose fields are zero; 0, or -1: memory is out. Closing is idempotent. */
int easy_pool_open(struct easy_pool *pool, const struct endpoint *endpoint);
void easy_pool_close(struct easy_pool *pool);

/* Takes a handle for JSON or for a file, or NULL: memory is out; gives it back. */
struct easy *easy_take(struct easy_pool *pool, int for_file);
void easy_give(struct easy_pool *pool, struct easy *easy);

/* Makes a handle ready for a second transfer to its present URL: a redirect. 0, or -1: memory is out. */
int easy_renew(struct easy_pool *pool, struct easy *easy);

/* Sets what only the base URL's own origin may see, or takes it away: the client certificate and the Unix socket. */
CURLcode easy_set_private(const struct easy_pool *pool, struct easy *easy, int own_origin);

/* Whether this libcurl can connect to Unix domain sockets. */
int easy_has_unix_sockets(void);

/* Notes that a socket is idle, or in use. */
void easy_set_idle(struct easy_pool *pool, curl_socket_t fd, int idle);

/* Before a request that may use a kept connection: ends those with bytes that nobody has asked for, which would be
 * taken for its answer. */
void easy_check_idle(struct easy_pool *pool);

/* Seconds as libcurl's options take them: milliseconds, at least 1 for any positive time. */
long easy_milliseconds(double seconds);

#pragma GCC visibility pop

#endif
