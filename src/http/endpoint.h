/* endpoint.h - the server that a client speaks to: where it is, what to send it, and what to keep secret.
 *
 * Owns what all requests of a client share: the parsed base URL, the header lists, the secrets, the TLS and proxy
 * options and the limits. Invariant: immutable after endpoint_new. */
#ifndef SORA_ENDPOINT_H
#define SORA_ENDPOINT_H

#include <curl/curl.h>
#include <stddef.h>

#include "base/buffer.h"

#pragma GCC visibility push(hidden)

enum auth { AUTH_BEARER, AUTH_API_KEY, AUTH_X_API_KEY, AUTH_RAW, AUTH_NONE };

/* The part of the options that a request looks at while it runs; times in seconds. */
struct limits {
  double timeout, connect_timeout;
  int max_retries, max_connections; /* connections: to one host */
  size_t max_response_bytes;
};

/* A client's options. The strings are borrowed: endpoint_new copies what it keeps. */
struct endpoint_options {
  const char *base_url;
  const char *api_key; /* NULL: none, or a function gives one for each request */
  enum auth auth;
  struct buffer headers; /* lines "Name: value\r\n" */
  struct limits limits;
  const char *proxy, *ca_file, *ca_path, *user_agent;
  const char *cert_file, *key_file, *unix_socket;
  int verify;
};

struct endpoint {
  int holders;
  CURLU *base;
  char *address; /* scheme, host and port: "https://gateway.example:8443" */
  char *key;     /* NULL: none */
  char *path;    /* of the base URL, without a slash at its end */
  char *query;   /* of the base URL, or NULL */
  int secure;    /* the base URL is https */
  enum auth auth;
  struct limits limits;
  char *proxy, *ca_file, *ca_path, *user_agent;
  char *cert_file, *key_file, *unix_socket; /* for the base URL's own origin alone */
  int verify;
  struct buffer lines;               /* the client's own headers */
  struct buffer secrets;             /* each with its '\0': what must never be shown */
  struct curl_slist *headers;        /* of requests that add none of their own */
  struct curl_slist *public_headers; /* for other origins: no credential and no header of the user's */
};

/* Makes an endpoint, or returns NULL with the reason in `why`. *config: the reason is a wrong base URL, otherwise
 * memory is out. */
struct endpoint *endpoint_new(const struct endpoint_options *options, const char **why, int *config);

/* Counts holders: the endpoint is freed when the last one drops it. The caller of endpoint_new is the first. */
void endpoint_hold(struct endpoint *endpoint);
void endpoint_drop(struct endpoint *endpoint);

/* Appends "name: value" to a list that may be NULL; 0, or -1: memory is out, and the list is as it was. */
int endpoint_add_header(struct curl_slist **list, const char *name, size_t name_len, const char *value,
                        size_t value_len);

/* Makes a header list of `lines` (may be NULL), those of the client's own headers that they don't replace, and `key`,
 * or the client's key if that is NULL. NULL when memory is out. Free it with curl_slist_free_all. */
struct curl_slist *endpoint_make_headers(const struct endpoint *endpoint, const struct buffer *lines, const char *key);

/* Whether a URL has this scheme, and whether it has the scheme, host and port of the base URL; -1: memory is out. */
int endpoint_is_scheme(CURLU *url, const char *scheme);
int endpoint_is_origin(const struct endpoint *endpoint, CURLU *url);

#pragma GCC visibility pop

#endif
