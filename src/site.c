/* site.c - what the requests of one client share; see site.h. */
#include "site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "head.h"
#include "secrets.h"
#include "slot.h"

const char *site_address(const struct site *site) {
  return site->address;
}

int site_is_secure(const struct site *site) {
  return strncmp(site->address, "https:", 6) == 0;
}

const struct limits *site_limits(const struct site *site) {
  return &site->limits;
}

const struct buffer *site_secrets(const struct site *site) {
  return &site->secrets;
}

struct curl_slist *site_headers(const struct site *site) {
  return site->headers;
}

struct curl_slist *site_public_headers(const struct site *site) {
  return site->public_headers;
}

/* --- headers ------------------------------------------------------------ */

/* Appends "name: value"; an empty value is written "name;", which is how libcurl is told to send one. */
static int add_header(struct curl_slist **list, const char *name, size_t name_len, const char *value,
                      size_t value_len) {
  struct buffer line = {0};
  struct curl_slist *longer = NULL;
  if (buffer_add(&line, name, name_len) == 0 && buffer_puts(&line, value_len != 0 ? ": " : ";") == 0 &&
      buffer_add(&line, value, value_len) == 0 && buffer_string(&line) != NULL)
    longer = curl_slist_append(*list, line.data);
  buffer_free(&line);
  if (longer == NULL) return -1;
  *list = longer;
  return 0;
}

/* Adds the fields of `lines` whose names are not in `over` (which may be NULL). */
static int add_lines(struct curl_slist **list, const struct buffer *lines, const struct buffer *over) {
  struct head_field field, other;
  size_t at = 0;
  while (head_next(lines, &at, &field)) {
    if (over != NULL && head_find(over, field.name, field.name_len, &other)) continue;
    if (add_header(list, field.name, field.name_len, field.value, field.value_len) != 0) return -1;
  }
  return 0;
}

/* Adds one header of our own, unless the user gave one of that name. */
static int add_own(struct curl_slist **list, const struct buffer *lines, const struct buffer *more, const char *name,
                   const char *value) {
  struct head_field field;
  if (head_find(lines, name, strlen(name), &field)) return 0;
  if (more != NULL && head_find(more, name, strlen(name), &field)) return 0;
  return add_header(list, name, strlen(name), value, strlen(value));
}

static int add_key(struct curl_slist **list, const struct site *site, const struct buffer *more, const char *key) {
  static const char *const names[] = {
      [AUTH_BEARER] = "Authorization",
      [AUTH_API_KEY] = "api-key",
      [AUTH_X_API_KEY] = "x-api-key",
      [AUTH_RAW] = "Authorization",
  };
  struct buffer value = {0};
  int result = -1;
  if (key == NULL) key = site->key;
  if (key == NULL || site->auth == AUTH_NONE) return 0;
  if (buffer_puts(&value, site->auth == AUTH_BEARER ? "Bearer " : "") == 0 && buffer_puts(&value, key) == 0 &&
      buffer_string(&value) != NULL)
    result = add_own(list, &site->lines, more, names[site->auth], value.data);
  buffer_free(&value);
  return result;
}

/* The Accept header is libcurl's own, any type: that fits JSON and files alike. (A byte of a header costs 95
 * instructions.) */
struct curl_slist *site_make_headers(const struct site *site, const struct buffer *lines, const char *key) {
  struct curl_slist *list = NULL;
  if (add_own(&list, &site->lines, lines, "User-Agent", site->user_agent) == 0 &&
      add_key(&list, site, lines, key) == 0 && add_lines(&list, &site->lines, lines) == 0 &&
      (lines == NULL || add_lines(&list, lines, NULL) == 0))
    return list;
  curl_slist_free_all(list);
  return NULL;
}

/* --- the base URL ------------------------------------------------------- */

static char *copy(const char *text) {
  size_t size = strlen(text) + 1;
  char *twin = malloc(size);
  return twin != NULL ? memcpy(twin, text, size) : NULL;
}

/* Keeps a copy of an option that may be absent; 0 or -1. */
static int keep(char **place, const char *text) {
  return text == NULL || (*place = copy(text)) != NULL ? 0 : -1;
}

/* One part of a URL as our own string; absent parts stay NULL. */
static int keep_part(char **place, CURLU *url, CURLUPart part) {
  char *text = NULL;
  int result = 0;
  if (curl_url_get(url, part, &text, 0) == CURLUE_OK) result = keep(place, text);
  curl_free(text);
  return result;
}

static int keep_address(struct site *site) {
  CURLU *url = curl_url_dup(site->base);
  int result = -1;
  if (curl_url_set(url, CURLUPART_PATH, "", 0) == CURLUE_OK && curl_url_set(url, CURLUPART_QUERY, NULL, 0) == CURLUE_OK)
    result = keep_part(&site->address, url, CURLUPART_URL);
  curl_url_cleanup(url);
  if (result == 0 && site->address != NULL) site->address[strcspn(site->address + 8, "/") + 8] = '\0';
  return site->address != NULL ? result : -1;
}

/* Returns NULL, or what is wrong with the base URL. */
static const char *parse_base(struct site *site, const char *text) {
  char *scheme = NULL, *fragment = NULL;
  const char *why = NULL;
  size_t len;
  if ((site->base = curl_url()) == NULL) return "out of memory";
  switch (curl_url_set(site->base, CURLUPART_URL, text, CURLU_DISALLOW_USER)) {
    case CURLUE_OK: break;
    case CURLUE_USER_NOT_ALLOWED: return "holds a user name or password: send those as a header instead";
    case CURLUE_BAD_SCHEME: return "must begin with http:// or https://";
    case CURLUE_UNSUPPORTED_SCHEME: return "must begin with http:// or https://";
    default: return "is not a URL";
  }
  curl_url_get(site->base, CURLUPART_SCHEME, &scheme, 0);
  curl_url_get(site->base, CURLUPART_FRAGMENT, &fragment, 0);
  if (scheme == NULL || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
    why = "must begin with http:// or https://";
  else if (fragment != NULL)
    why = "has a fragment (#…), which is never sent";
  curl_free(scheme);
  curl_free(fragment);
  if (why != NULL) return why;
  if (keep_address(site) != 0 || keep_part(&site->path, site->base, CURLUPART_PATH) != 0) return "out of memory";
  if (keep_part(&site->query, site->base, CURLUPART_QUERY) != 0) return "out of memory";
  if (site->path == NULL && (site->path = copy("")) == NULL) return "out of memory";
  for (len = strlen(site->path); len > 0 && site->path[len - 1] == '/'; len--) site->path[len - 1] = '\0';
  return NULL;
}

int site_is_origin(const struct site *site, CURLU *url) {
  static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
  size_t i;
  int same = 1;
  for (i = 0; same && i < sizeof parts / sizeof parts[0]; i++) {
    char *ours = NULL, *theirs = NULL;
    same = curl_url_get(site->base, parts[i], &ours, CURLU_DEFAULT_PORT) == CURLUE_OK &&
           curl_url_get(url, parts[i], &theirs, CURLU_DEFAULT_PORT) == CURLUE_OK && strlen(ours) == strlen(theirs) &&
           head_same(ours, theirs, strlen(ours));
    curl_free(ours);
    curl_free(theirs);
  }
  return same;
}

/* Rounded up: to libcurl 0 means no limit at all. */
long site_milliseconds(double seconds) {
  return (long)(seconds * 1000 + 0.999);
}

/* --- making one --------------------------------------------------------- */

/* The password in "scheme://user:password@host". */
static int collect_proxy_secret(struct buffer *secrets, const char *proxy) {
  const char *start = proxy != NULL ? strstr(proxy, "://") : NULL, *at, *colon;
  if (proxy == NULL) return 0;
  start = start != NULL ? start + 3 : proxy;
  at = strrchr(start, '@');
  colon = at != NULL ? memchr(start, ':', (size_t)(at - start)) : NULL;
  return colon != NULL ? secrets_add(secrets, colon + 1, (size_t)(at - colon - 1)) : 0;
}

static int collect_secrets(struct site *site) {
  if (site->key != NULL && secrets_add(&site->secrets, site->key, strlen(site->key)) != 0) return -1;
  if (secrets_collect(&site->secrets, &site->lines) != 0) return -1;
  if (secrets_collect_query(&site->secrets, site->query) != 0) return -1;
  return collect_proxy_secret(&site->secrets, site->proxy);
}

/* Without a proxy in the options libcurl asks the environment for one on every transfer (1.1k
 * instructions); where the environment has none when the client is made, it is told so once. */
static int keep_proxy(struct site *site, const char *proxy) {
  static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
  size_t i;
  for (i = 0; proxy == NULL && i < sizeof names / sizeof names[0]; i++)
    if (getenv(names[i]) != NULL) return 0;
  return keep(&site->proxy, proxy != NULL ? proxy : "");
}

/* Returns NULL, or what went wrong. */
static const char *fill(struct site *site, const struct settings *settings) {
  static const char memory[] = "out of memory";
  const char *why = parse_base(site, settings->base_url);
  if (why != NULL) return why;
  site->auth = settings->auth;
  site->verify = settings->verify;
  site->limits = (struct limits){settings->timeout, settings->connect_timeout, settings->max_retries,
                                 settings->max_connections, settings->max_response_bytes};
  if (keep_proxy(site, settings->proxy) != 0 || keep(&site->key, settings->api_key) != 0 ||
      keep(&site->ca_file, settings->ca_file) != 0 || keep(&site->ca_path, settings->ca_path) != 0 ||
      keep(&site->user_agent, settings->user_agent) != 0 ||
      buffer_add(&site->lines, settings->headers.data, settings->headers.len) != 0 || collect_secrets(site) != 0)
    return memory;
  site->headers = site_make_headers(site, NULL, NULL);
  site->reuses = slot_may_be_reused();
  site->share = curl_share_init();
  if (site->share == NULL || curl_share_setopt(site->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) != CURLSHE_OK ||
      curl_share_setopt(site->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) != CURLSHE_OK)
    return memory;
  if (site->headers == NULL ||
      add_header(&site->public_headers, "User-Agent", 10, site->user_agent, strlen(site->user_agent)) != 0)
    return memory;
  return NULL;
}

struct site *site_new(const struct settings *settings, char *why, size_t size) {
  struct site *site = calloc(1, sizeof *site);
  const char *wrong = site != NULL ? fill(site, settings) : "out of memory";
  if (site != NULL) site->holders = 1;
  if (wrong == NULL) return site;
  snprintf(why, size, "%s", wrong);
  if (site != NULL) site_drop(site);
  return NULL;
}

void site_hold(struct site *site) {
  site->holders++;
}

void site_drop(struct site *site) {
  if (--site->holders > 0) return;
  site_free_slots(site);
  curl_share_cleanup(site->share);
  curl_url_cleanup(site->base);
  curl_slist_free_all(site->headers);
  curl_slist_free_all(site->public_headers);
  buffer_free(&site->lines);
  buffer_free(&site->secrets);
  free(site->address);
  free(site->key);
  free(site->path);
  free(site->query);
  free(site->proxy);
  free(site->ca_file);
  free(site->ca_path);
  free(site->user_agent);
  free(site);
}
