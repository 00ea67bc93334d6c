/* site.h - one server as a client sees it: where it is, how to talk to it, what to show it.
 *
 * Owns what all requests of a client share: the parsed base URL, the header
 * lists, the secrets, the TLS and proxy options, and the easy handles that
 * wait to be used again. Invariant: immutable after site_new, save for the
 * spare handles. */
#ifndef SORA_SITE_H
#define SORA_SITE_H

#include <stddef.h>

#include "buffer.h"

struct curl_slist;

enum auth { AUTH_BEARER, AUTH_API_KEY, AUTH_X_API_KEY, AUTH_RAW, AUTH_NONE };

/* A client's options. The strings are borrowed: site_new copies what it keeps. */
struct settings {
  const char *base_url;
  const char *api_key; /* NULL: none, or asked of a function for each request */
  enum auth auth;
  struct buffer headers; /* lines "Name: value\r\n" */
  double timeout;        /* s, one attempt */
  double connect_timeout;
  int max_retries;
  size_t max_response_bytes;
  int max_connections; /* a host */
  const char *proxy, *ca_file, *ca_path, *user_agent;
  int verify;
};

/* The part of the settings that a request looks at while it runs. */
struct limits {
  double timeout, connect_timeout;
  int max_retries, max_connections;
  size_t max_response_bytes;
};

struct site;

/* An easy handle with the URL object that belongs to it. */
struct slot;

/* A new site, or NULL and the reason in `why`. */
struct site *site_new(const struct settings *settings, char *why, size_t size);

/* A site lives as long as somebody holds it; site_new's caller is the first. */
void site_hold(struct site *site);
void site_drop(struct site *site);

/* "https://gateway.example:8443": where requests go, without path and query. */
const char *site_address(const struct site *site);

const struct limits *site_limits(const struct site *site);

/* Strings, each with its '\0', that must never be shown. */
const struct buffer *site_secrets(const struct site *site);

/* The header list of requests that add nothing of their own, and the one for other origins,
 * which holds no credential and no header of the user's. */
struct curl_slist *site_headers(const struct site *site);
struct curl_slist *site_public_headers(const struct site *site);

/* A header list with `lines` (may be NULL) and those of the client's own that they don't replace, and with `key` or,
 * if that is NULL, the client's key. NULL when memory is out. Freed with curl_slist_free_all. */
struct curl_slist *site_make_headers(const struct site *site, const struct buffer *lines, const char *key);

/* How many sockets are open, and whether the last one could not be opened for want of a descriptor. */
size_t site_sockets(const struct site *site);
int site_starved(const struct site *site);

/* Whether the base URL is https. */
int site_is_secure(const struct site *site);

/* Takes an easy handle that is set up for this site and for a file or JSON, or NULL; gives it back. */
struct slot *site_take(struct site *site, int for_file);
void site_give(struct site *site, struct slot *slot);

#endif
