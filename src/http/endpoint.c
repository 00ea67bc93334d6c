/* endpoint.c - the server that a client speaks to; see endpoint.h. */
#include "http/endpoint.h"

#include <stdlib.h>
#include <string.h>

#include "http/headers.h"
#include "http/redact.h"

static const char out_of_memory[] = "out of memory";

/* --- headers ------------------------------------------------------------ */

/* An empty value is written "name;", which makes libcurl send an empty header. */
int endpoint_add_header(struct curl_slist **list, const char *name, size_t name_len, const char *value,
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
  struct header field, other;
  size_t at = 0;
  while (headers_next(lines, &at, &field)) {
    if (over != NULL && headers_find(over, field.name, field.name_len, &other)) continue;
    if (endpoint_add_header(list, field.name, field.name_len, field.value, field.value_len) != 0) return -1;
  }
  return 0;
}

/* Adds one of sora's own headers, unless the user gave one of that name. */
static int add_own(struct curl_slist **list, const struct buffer *lines, const struct buffer *more, const char *name,
                   const char *value) {
  struct header field;
  if (headers_find(lines, name, strlen(name), &field)) return 0;
  if (more != NULL && headers_find(more, name, strlen(name), &field)) return 0;
  return endpoint_add_header(list, name, strlen(name), value, strlen(value));
}

static int add_key(struct curl_slist **list, const struct endpoint *endpoint, const struct buffer *more,
                   const char *key) {
  static const char *const names[] = {
      [AUTH_BEARER] = "Authorization",
      [AUTH_API_KEY] = "api-key",
      [AUTH_X_API_KEY] = "x-api-key",
      [AUTH_RAW] = "Authorization",
  };
  struct buffer value = {0};
  int result = -1;
  if (key == NULL) key = endpoint->key;
  if (key == NULL || endpoint->auth == AUTH_NONE) return 0;
  if (buffer_puts(&value, endpoint->auth == AUTH_BEARER ? "Bearer " : "") == 0 && buffer_puts(&value, key) == 0 &&
      buffer_string(&value) != NULL)
    result = add_own(list, &endpoint->lines, more, names[endpoint->auth], value.data);
  buffer_free(&value);
  return result;
}

/* No Accept header: libcurl's own, for any type, fits JSON and files alike. */
struct curl_slist *endpoint_make_headers(const struct endpoint *endpoint, const struct buffer *lines, const char *key) {
  struct curl_slist *list = NULL;
  if (add_own(&list, &endpoint->lines, lines, "User-Agent", endpoint->user_agent) == 0 &&
      add_key(&list, endpoint, lines, key) == 0 && add_lines(&list, &endpoint->lines, lines) == 0 &&
      (lines == NULL || add_lines(&list, lines, NULL) == 0))
    return list;
  curl_slist_free_all(list);
  return NULL;
}

/* --- URLs --------------------------------------------------------------- */

/* Reads a part of a URL; *text is NULL if the URL has none, else freed by curl_free. 0, or -1: memory is out. */
static int url_part(CURLU *url, CURLUPart part, unsigned flags, char **text) {
  CURLUcode code = curl_url_get(url, part, text, flags);
  if (code == CURLUE_OK) return 0;
  *text = NULL;
  return code == CURLUE_OUT_OF_MEMORY ? -1 : 0;
}

int endpoint_is_scheme(CURLU *url, const char *scheme) {
  char *text;
  int same = url_part(url, CURLUPART_SCHEME, 0, &text);
  if (same == 0) same = text != NULL && strcmp(text, scheme) == 0;
  curl_free(text);
  return same;
}

static int is_same_part(CURLU *a, CURLU *b, CURLUPart part) {
  char *ours, *theirs = NULL;
  int same = url_part(a, part, CURLU_DEFAULT_PORT, &ours);
  if (same == 0) same = url_part(b, part, CURLU_DEFAULT_PORT, &theirs);
  if (same == 0)
    same = ours != NULL && theirs != NULL && strlen(ours) == strlen(theirs) && headers_same(ours, theirs, strlen(ours));
  curl_free(ours);
  curl_free(theirs);
  return same;
}

int endpoint_is_origin(const struct endpoint *endpoint, CURLU *url) {
  static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
  size_t i;
  int same = 1;
  for (i = 0; same == 1 && i < sizeof parts / sizeof parts[0]; i++) same = is_same_part(endpoint->base, url, parts[i]);
  return same;
}

static char *copy(const char *text) {
  size_t size = strlen(text) + 1;
  char *twin = malloc(size);
  return twin != NULL ? memcpy(twin, text, size) : NULL;
}

/* Keeps a copy of an option that may be absent; 0 or -1. */
static int keep(char **target, const char *text) {
  return text == NULL || (*target = copy(text)) != NULL ? 0 : -1;
}

/* Keeps a part of a URL in our own memory; NULL if the URL has none. 0 or -1. */
static int keep_part(char **target, CURLU *url, CURLUPart part) {
  char *text;
  int result = url_part(url, part, 0, &text);
  if (result == 0) result = keep(target, text);
  curl_free(text);
  return result;
}

/* Keeps scheme, host and port. */
static int keep_address(struct endpoint *endpoint) {
  CURLU *url = curl_url_dup(endpoint->base);
  int result = -1;
  if (url != NULL && curl_url_set(url, CURLUPART_PATH, "", 0) == CURLUE_OK &&
      curl_url_set(url, CURLUPART_QUERY, NULL, 0) == CURLUE_OK)
    result = keep_part(&endpoint->address, url, CURLUPART_URL);
  curl_url_cleanup(url);
  if (endpoint->address == NULL) return -1;
  endpoint->address[strcspn(endpoint->address + 8, "/") + 8] = '\0';
  return result;
}

static int begins_with(const char *text, const char *start) {
  return strlen(text) >= strlen(start) && headers_same(text, start, strlen(start));
}

/* Checks the fragment of the base URL; NULL, or what is wrong. */
static const char *check_fragment(struct endpoint *endpoint) {
  char *fragment;
  if (url_part(endpoint->base, CURLUPART_FRAGMENT, 0, &fragment) != 0) return out_of_memory;
  if (fragment == NULL) return NULL;
  curl_free(fragment);
  return "has a fragment (#…), which is never sent: remove it";
}

/* Returns NULL, or what is wrong with the base URL. */
static const char *parse_base(struct endpoint *endpoint, const char *text) {
  const char *why;
  size_t len;
  if (!begins_with(text, "http://") && !begins_with(text, "https://")) return "must begin with http:// or https://";
  if ((endpoint->base = curl_url()) == NULL) return out_of_memory;
  switch (curl_url_set(endpoint->base, CURLUPART_URL, text, CURLU_DISALLOW_USER)) {
    case CURLUE_OK: break;
    case CURLUE_OUT_OF_MEMORY: return out_of_memory;
    case CURLUE_USER_NOT_ALLOWED: return "holds a user name or password: send those as headers = { Authorization = … }";
    default: return "is not a valid URL: write one such as https://gateway.example/v1";
  }
  why = check_fragment(endpoint);
  if (why != NULL) return why;
  if (keep_address(endpoint) != 0 || keep_part(&endpoint->path, endpoint->base, CURLUPART_PATH) != 0 ||
      keep_part(&endpoint->query, endpoint->base, CURLUPART_QUERY) != 0)
    return out_of_memory;
  if (endpoint->path == NULL && (endpoint->path = copy("")) == NULL) return out_of_memory;
  for (len = strlen(endpoint->path); len > 0 && endpoint->path[len - 1] == '/'; len--) endpoint->path[len - 1] = '\0';
  endpoint->secure = strncmp(endpoint->address, "https:", 6) == 0;
  return NULL;
}

/* --- making one --------------------------------------------------------- */

/* Where libcurl looks for a proxy. */
static const char *const proxy_variables[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
#define PROXY_VARIABLES (sizeof proxy_variables / sizeof proxy_variables[0])

/* Adds the password in "scheme://user:password@host". */
static int add_proxy_secret(struct buffer *secrets, const char *proxy) {
  const char *start = proxy != NULL ? strstr(proxy, "://") : NULL, *at, *colon;
  if (proxy == NULL) return 0;
  start = start != NULL ? start + 3 : proxy;
  at = strrchr(start, '@');
  colon = at != NULL ? memchr(start, ':', (size_t)(at - start)) : NULL;
  return colon != NULL ? redact_add(secrets, colon + 1, (size_t)(at - colon - 1)) : 0;
}

static int collect_secrets(struct endpoint *endpoint) {
  struct buffer *secrets = &endpoint->secrets;
  size_t i;
  for (i = 0; i < PROXY_VARIABLES; i++)
    if (add_proxy_secret(secrets, getenv(proxy_variables[i])) != 0) return -1;
  if (endpoint->key != NULL && redact_add(secrets, endpoint->key, strlen(endpoint->key)) != 0) return -1;
  if (redact_add_headers(secrets, &endpoint->lines) != 0 || redact_add_query(secrets, endpoint->query) != 0) return -1;
  return add_proxy_secret(secrets, endpoint->proxy);
}

/* Keeps the proxy. Without one in the options libcurl asks the environment on every transfer; where the environment has
 * none now, "" spares that. */
static int keep_proxy(struct endpoint *endpoint, const char *proxy) {
  size_t i;
  for (i = 0; proxy == NULL && i < PROXY_VARIABLES; i++)
    if (getenv(proxy_variables[i]) != NULL) return 0;
  return keep(&endpoint->proxy, proxy != NULL ? proxy : "");
}

/* Copies the options; 0, or -1: memory is out. */
static int keep_options(struct endpoint *endpoint, const struct endpoint_options *options) {
  endpoint->auth = options->auth;
  endpoint->verify = options->verify;
  endpoint->limits = options->limits;
  if (keep_proxy(endpoint, options->proxy) != 0 || keep(&endpoint->key, options->api_key) != 0 ||
      keep(&endpoint->ca_file, options->ca_file) != 0 || keep(&endpoint->ca_path, options->ca_path) != 0 ||
      keep(&endpoint->user_agent, options->user_agent) != 0 || keep(&endpoint->cert_file, options->cert_file) != 0 ||
      keep(&endpoint->key_file, options->key_file) != 0 || keep(&endpoint->unix_socket, options->unix_socket) != 0)
    return -1;
  return buffer_add(&endpoint->lines, options->headers.data, options->headers.len);
}

struct endpoint *endpoint_new(const struct endpoint_options *options, const char **why, int *config) {
  static const struct buffer nothing = {0};
  struct endpoint *endpoint = calloc(1, sizeof *endpoint);
  *why = out_of_memory;
  *config = 0;
  if (endpoint == NULL) return NULL;
  endpoint->holders = 1;
  *why = parse_base(endpoint, options->base_url);
  if (*why == NULL && options->cert_file != NULL && !endpoint->secure)
    *why = "begins with http://, where no certificate is sent: write https://, or leave cert_file out";
  *config = *why != NULL && *why != out_of_memory;
  if (*why == NULL && keep_options(endpoint, options) == 0 && collect_secrets(endpoint) == 0 &&
      (endpoint->headers = endpoint_make_headers(endpoint, NULL, NULL)) != NULL &&
      add_own(&endpoint->public_headers, &nothing, NULL, "User-Agent", endpoint->user_agent) == 0)
    return endpoint;
  if (*why == NULL) *why = out_of_memory;
  endpoint_drop(endpoint);
  return NULL;
}

void endpoint_hold(struct endpoint *endpoint) {
  endpoint->holders++;
}

void endpoint_drop(struct endpoint *endpoint) {
  if (--endpoint->holders > 0) return;
  curl_url_cleanup(endpoint->base);
  curl_slist_free_all(endpoint->headers);
  curl_slist_free_all(endpoint->public_headers);
  buffer_free(&endpoint->lines);
  buffer_free(&endpoint->secrets);
  free(endpoint->address);
  free(endpoint->key);
  free(endpoint->path);
  free(endpoint->query);
  free(endpoint->proxy);
  free(endpoint->ca_file);
  free(endpoint->ca_path);
  free(endpoint->user_agent);
  free(endpoint->cert_file);
  free(endpoint->key_file);
  free(endpoint->unix_socket);
  free(endpoint);
}
