/* slot.h - the inside of an easy handle's slot, for the files that speak to libcurl.
 *
 * Invariant: `easy` reads its address from `url`; `moved` is set while `url`
 * is not the site's base with another path and query. */
#ifndef SORA_SLOT_H
#define SORA_SLOT_H

#include <curl/curl.h>

struct site;

struct slot {
  CURL *easy;
  CURLU *url;
  struct slot *next;
  int wired;        /* the request's callbacks are set */
  int for_file;     /* set up for a file */
  int moved;        /* points somewhere else after a redirect */
  int queried;      /* the query is not the base's */
  const char *verb; /* the method that the handle is set to */
  char error[CURL_ERROR_SIZE];
};

/* The base URL's path without a slash at its end, and its query (NULL if it has none). */
const char *site_path(const struct site *site);
const char *site_query(const struct site *site);

/* A time option as libcurl takes it; at least 1 for any positive time. */
long site_milliseconds(double seconds);

/* Whether a URL has the scheme, host and port of the base URL. */
int site_is_origin(const struct site *site, CURLU *url);

#endif
