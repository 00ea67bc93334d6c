/* slot.h - the inside of a site and of its easy handles' slots, for the files that speak to libcurl.
 *
 * Invariant: `easy` reads its address from `url`; `moved` is set while `url`
 * is not the site's base with another path and query. */
#ifndef SORA_SLOT_H
#define SORA_SLOT_H

#include <curl/curl.h>

#include "buffer.h"
#include "site.h"

struct request;

/* libcurl's receive buffer, in bytes. Each request has one while it runs: with libcurl's own 16 KiB, that is three
 * quarters of what a request in flight takes, and most heads and answers come in one piece of 1 KiB. The size can't be
 * changed later: a handle whose request shared a connection keeps its buffer. */
#define JSON_BUFFER 1024L
#define FILE_BUFFER (256 * 1024L)

struct slot {
  CURL *easy;
  CURLU *url;
  struct slot *next;
  struct request *wired; /* whose data the callbacks have */
  int for_file;          /* with the larger buffer; not used again */
  int moved;             /* points somewhere else after a redirect */
  int queried;           /* the query is not the base's */
  /* What the handle is set to: setting it again would cost some 60 instructions each, and 500 the path. */
  const char *verb;
  struct curl_slist *headers;
  double timeout;
  int fresh;
  struct buffer path;
  char error[CURL_ERROR_SIZE];
};

struct site {
  int holders;
  CURLU *base;
  char *address; /* scheme, host and port */
  char *key;     /* NULL: none */
  char *path;    /* the base path without a slash at its end */
  char *query;   /* the base query, or NULL */
  struct curl_slist *headers, *public_headers;
  struct buffer lines;   /* the client's own headers */
  struct buffer secrets; /* each with its '\0' */
  enum auth auth;
  struct limits limits;
  char *proxy, *ca_file, *ca_path, *user_agent;
  int verify;
  CURLSH *share; /* names that were resolved, and TLS sessions: for all the loop's lanes */
  struct slot *spare;
  size_t spares, used;
  size_t sockets; /* open */
  int starved;
  int reuses; /* an easy handle may serve more than one transfer */
};

/* Whether this libcurl can use an easy handle again. */
int slot_may_be_reused(void);

/* Replaces the easy handle of a slot by a new one with the same address, where the next transfer needs that; 0, or -1:
 * memory is out. Nothing of the transfer before may still refer to the old one. */
int slot_renew(struct site *site, struct slot *slot);

/* Frees those that wait for the next request. */
void site_free_slots(struct site *site);

/* A time option as libcurl takes it; at least 1 for any positive time. */
long site_milliseconds(double seconds);

/* Whether a URL has this scheme; whether it has the scheme, host and port of the base URL. */
int slot_is_scheme(CURLU *url, const char *scheme);
int site_is_origin(const struct site *site, CURLU *url);

#endif
