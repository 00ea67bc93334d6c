/* site.c - what the requests of one client share; see site.h. */
#define _GNU_SOURCE /* SOCK_CLOEXEC */
#include "site.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOCK_CLOEXEC
#include <fcntl.h>
#endif

#include "head.h"
#include "slot.h"

#define SPARE_SLOTS 8 /* kept beside as many as are in use: a new one costs as much as a third of a request */

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
};

const char *site_address(const struct site *site) {
  return site->address;
}

size_t site_sockets(const struct site *site) {
  return site->sockets;
}

int site_starved(const struct site *site) {
  return site->starved;
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

/* --- secrets ------------------------------------------------------------ */

static int sensitive(const char *name, size_t len) {
  static const char *const words[] = {"auth", "key", "token", "secret", "cookie", "password", "signature"};
  size_t i, at;
  for (i = 0; i < sizeof words / sizeof words[0]; i++)
    for (at = 0; at + strlen(words[i]) <= len; at++)
      if (head_same(words[i], name + at, strlen(words[i]))) return 1;
  return 0;
}

/* The secret itself. */
static int add_plain(struct buffer *secrets, const char *text, size_t len) {
  return buffer_add(secrets, text, len) != 0 || buffer_add(secrets, "", 1) != 0 ? -1 : 0;
}

/* The secret as JSON may write it: with a backslash before '"', '\\' and, in some encoders, '/'. */
static int add_escaped(struct buffer *secrets, const char *text, size_t len, const char *escaped) {
  size_t i, start = secrets->len;
  for (i = 0; i < len; i++)
    if ((strchr(escaped, text[i]) != NULL && buffer_add(secrets, "\\", 1) != 0) ||
        buffer_add(secrets, text + i, 1) != 0)
      return -1;
  if (secrets->len - start != len) return buffer_add(secrets, "", 1);
  secrets->len = start; /* it is the plain one */
  return 0;
}

/* One spelling, and as JSON writes it. */
static int add_spelling(struct buffer *secrets, const char *text, size_t len) {
  return add_escaped(secrets, text, len, "\"\\/") != 0 || add_escaped(secrets, text, len, "\"\\") != 0 ||
                 add_plain(secrets, text, len) != 0
             ? -1
             : 0;
}

/* All its spellings: an answer may echo any of them. In a URL it is percent-encoded, and the other side reads it
 * decoded. */
static int add_secret(struct buffer *secrets, const char *text, size_t len) {
  int decoded_len = 0, result;
  char *decoded;
  if (len == 0) return 0;
  if (add_spelling(secrets, text, len) != 0) return -1;
  if (memchr(text, '%', len) == NULL) return 0;
  decoded = curl_easy_unescape(NULL, text, (int)len, &decoded_len);
  if (decoded == NULL) return -1;
  result = add_spelling(secrets, decoded, strlen(decoded));
  curl_free(decoded);
  return result;
}

int site_add_secret(struct buffer *secrets, const char *text) {
  return add_secret(secrets, text, strlen(text));
}

int site_collect_secrets(struct buffer *secrets, const struct buffer *lines) {
  struct head_field field;
  size_t at = 0;
  while (head_next(lines, &at, &field)) {
    const char *space = memchr(field.value, ' ', field.value_len);
    if (!sensitive(field.name, field.name_len)) continue;
    /* "Bearer abc": the word abc must not be shown by itself either. */
    if (space != NULL && add_secret(secrets, space + 1, field.value_len - (size_t)(space + 1 - field.value)) != 0)
      return -1;
    if (add_secret(secrets, field.value, field.value_len) != 0) return -1;
  }
  return 0;
}

int site_collect_query_secrets(struct buffer *secrets, const char *query) {
  while (query != NULL && *query != '\0') {
    size_t len = strcspn(query, "&"), name = strcspn(query, "=&");
    if (name < len && sensitive(query, name) && add_secret(secrets, query + name + 1, len - name - 1) != 0) return -1;
    query += len + (query[len] == '&');
  }
  return 0;
}

void site_redact(const struct buffer *secrets, char *text, size_t len) {
  const char *secret = secrets->data, *end = secrets->data + secrets->len;
  for (; secret != end; secret += strlen(secret) + 1) {
    size_t size = strlen(secret), at;
    for (at = 0; at + size <= len; at++)
      if (memcmp(text + at, secret, size) == 0) memset(text + at, '*', size);
  }
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

const char *site_path(const struct site *site) {
  return site->path;
}

const char *site_query(const struct site *site) {
  return site->query;
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
  return colon != NULL ? add_secret(secrets, colon + 1, (size_t)(at - colon - 1)) : 0;
}

static int collect_secrets(struct site *site) {
  if (site->key != NULL && add_secret(&site->secrets, site->key, strlen(site->key)) != 0) return -1;
  if (site_collect_secrets(&site->secrets, &site->lines) != 0) return -1;
  if (site_collect_query_secrets(&site->secrets, site->query) != 0) return -1;
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

static void slot_free(struct slot *slot) {
  curl_easy_cleanup(slot->easy);
  curl_url_cleanup(slot->url);
  buffer_free(&slot->path);
  free(slot);
}

static struct slot *take_spare(struct site *site) {
  struct slot *slot = site->spare;
  site->spare = slot->next;
  site->spares--;
  return slot;
}

void site_hold(struct site *site) {
  site->holders++;
}

void site_drop(struct site *site) {
  if (--site->holders > 0) return;
  while (site->spare != NULL) slot_free(take_spare(site));
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

/* --- easy handles ------------------------------------------------------- */

/* A socket that a child process does not inherit. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
  struct site *site = context;
  curl_socket_t fd;
  (void)purpose;
#ifdef SOCK_CLOEXEC
  fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
#else
  fd = socket(address->family, address->socktype, address->protocol);
  if (fd != CURL_SOCKET_BAD) fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
  site->starved = fd == CURL_SOCKET_BAD && (errno == EMFILE || errno == ENFILE);
  if (fd != CURL_SOCKET_BAD) site->sockets++;
  return fd;
}

static int close_socket(void *context, curl_socket_t fd) {
  struct site *site = context;
  site->sockets--;
  return close(fd);
}

static CURLcode limit_protocols(CURL *easy) {
#if LIBCURL_VERSION_NUM >= 0x075500
  return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
  return curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

#define SET(option, value) (code != CURLE_OK ? code : (code = curl_easy_setopt(easy, option, value)))

static CURLcode set_up(struct site *site, struct slot *slot) {
  CURL *easy = slot->easy;
  CURLcode code = limit_protocols(easy);
  SET(CURLOPT_CURLU, slot->url);
  SET(CURLOPT_ERRORBUFFER, slot->error);
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_PATH_AS_IS, 1L);
  /* To wait and see whether a connection carries many requests pays only where HTTP/2 can be agreed upon. */
  SET(CURLOPT_PIPEWAIT, site_is_secure(site) ? 1L : 0L);
  SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
  SET(CURLOPT_OPENSOCKETDATA, site);
  SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
  SET(CURLOPT_CLOSESOCKETDATA, site);
  SET(CURLOPT_CONNECTTIMEOUT_MS, site_milliseconds(site->limits.connect_timeout));
#if LIBCURL_VERSION_NUM >= 0x075700
  SET(CURLOPT_QUICK_EXIT, 1L); /* a time-out during DNS must not wait for the resolver's thread */
#endif
  SET(CURLOPT_BUFFERSIZE, slot->for_file ? FILE_BUFFER : JSON_BUFFER);
  SET(CURLOPT_SHARE, site->share);
  if (site->proxy != NULL) SET(CURLOPT_PROXY, site->proxy);
  if (site->proxy != NULL && site->proxy[0] == '\0') {
    /* Where there is no proxy, there are no exceptions from it to ask the environment for, and no certificates to trust
     * it by to be copied for each request (1k instructions). */
    SET(CURLOPT_NOPROXY, "");
    (void)curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, NULL); /* a libcurl that has no such option copies nothing */
    (void)curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
  }
  if (site->ca_file != NULL) SET(CURLOPT_CAINFO, site->ca_file);
  if (site->ca_path != NULL) SET(CURLOPT_CAPATH, site->ca_path);
  if (!site->verify) {
    SET(CURLOPT_SSL_VERIFYPEER, 0L);
    SET(CURLOPT_SSL_VERIFYHOST, 0L);
  }
  return code;
}

static struct slot *new_slot(struct site *site, int for_file) {
  struct slot *slot = calloc(1, sizeof *slot);
  if (slot == NULL) return NULL;
  slot->for_file = for_file;
  slot->timeout = -1;
  slot->easy = curl_easy_init();
  slot->url = curl_url_dup(site->base);
  if (slot->easy != NULL && slot->url != NULL && set_up(site, slot) == CURLE_OK) return slot;
  slot_free(slot);
  return NULL;
}

struct slot *site_take(struct site *site, int for_file) {
  struct slot *slot = site->spare != NULL && !for_file ? take_spare(site) : new_slot(site, for_file);
  if (slot != NULL) site->used++;
  return slot;
}

void site_give(struct site *site, struct slot *slot) {
  site->used--;
  if (slot->moved || slot->for_file) {
    slot_free(slot);
  } else {
    slot->next = site->spare;
    site->spare = slot;
    site->spares++;
  }
  while (site->spares > site->used + SPARE_SLOTS) slot_free(take_spare(site));
}
