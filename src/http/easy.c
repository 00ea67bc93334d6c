/* easy.c - libcurl's easy handles; see easy.h. */
#include "http/easy.h"

#include <limits.h>
#include <stdlib.h>

#include "base/sys.h"
#include "http/curl_compat.h"

#define MANY_IDLE 64         /* sockets */
#define CHECK_INTERVAL 0.001 /* s; between two checks of more than that */

#define SPARES 8 /* kept beyond as many as are in use: a new handle costs a third of a request */

/* libcurl's receive buffer, in bytes: every running request has one, so 1 KiB instead of libcurl's 16 KiB saves most
 * of its memory. It can't be changed later: a handle whose request shared a connection keeps its buffer. */
#define JSON_BUFFER 1024L
#define FILE_BUFFER (256 * 1024L)

/* --- libcurl ------------------------------------------------------------- */

static CURLcode global_code;

/* Keeps the library loaded: lua_close unloads C modules, and libcurl with them, while a resolver thread may still run
 * libcurl's code. */
static void init_libcurl(void) {
  global_code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (global_code == CURLE_OK && sys_count_forks() != 0) global_code = CURLE_OUT_OF_MEMORY;
  sys_stay_loaded(&global_code);
}

const char *easy_init_libcurl(void) {
  static sys_once_flag once = SYS_ONCE_INIT;
  sys_once(&once, init_libcurl);
  return global_code != CURLE_OK ? curl_easy_strerror(global_code) : NULL;
}

/* libcurl 7.83.0 to 8.1.0 keeps a pointer to a freed header of the handle's last transfer; a server that folds its
 * first header line makes it write there (curl's pull request 11103). */
static int can_reuse_handles(void) {
  unsigned version = curl_version_info(CURLVERSION_NOW)->version_num;
  return version < 0x075300 || version > 0x080100;
}

/* libcurl 7.88 takes for alive whatever is not closed; those before and after it use no connection with unread input.
 */
static int uses_dirty_connections(void) {
  unsigned version = curl_version_info(CURLVERSION_NOW)->version_num;
  return version >= 0x075800 && version < 0x080000;
}

int easy_has_unix_sockets(void) {
  return (curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_UNIX_SOCKETS) != 0;
}

/* --- a handle ------------------------------------------------------------ */

/* Opens a socket that child processes don't inherit. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
  struct easy_pool *pool = context;
  curl_socket_t fd = sys_socket_open(address->family, address->socktype, address->protocol);
  (void)purpose;
  pool->out_of_descriptors = fd == CURL_SOCKET_BAD && sys_out_of_descriptors();
  if (fd != CURL_SOCKET_BAD) pool->sockets++;
  return fd;
}

static int close_socket(void *context, curl_socket_t fd) {
  struct easy_pool *pool = context;
  pool->sockets--;
  easy_set_idle(pool, fd, 0);
  return sys_socket_close(fd);
}

static CURLcode limit_protocols(CURL *handle) {
  CURLcode code = curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  if (code != CURLE_UNKNOWN_OPTION) return code;
  return curl_easy_setopt(handle, CURLOPT_PROTOCOL_BITS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
}

/* Rounds up: 0 would mean no limit. A long of 32 bits ends at 24 days. */
long easy_milliseconds(double seconds) {
  double ms = seconds * 1000 + 0.999;
  return ms < INT_MAX ? (long)ms : INT_MAX;
}

static CURLcode set_proxy(CURL *handle, const char *proxy) {
  CURLcode code = CURLE_OK;
  if (proxy == NULL) return code; /* libcurl asks the environment */
  EASY_SET(CURLOPT_PROXY, proxy);
  if (proxy[0] != '\0') return code;
  /* Without a proxy there are no exceptions to ask the environment for, and no certificates to copy. */
  EASY_SET(CURLOPT_NOPROXY, "");
  (void)curl_easy_setopt(handle, CURLOPT_PROXY_CAINFO, NULL); /* a libcurl without this option copies nothing */
  (void)curl_easy_setopt(handle, CURLOPT_PROXY_CAPATH, NULL);
  return code;
}

static CURLcode set_tls(CURL *handle, const struct endpoint *endpoint) {
  CURLcode code = CURLE_OK;
  if (endpoint->ca_file != NULL) EASY_SET(CURLOPT_CAINFO, endpoint->ca_file);
  if (endpoint->ca_path != NULL) EASY_SET(CURLOPT_CAPATH, endpoint->ca_path);
  if (endpoint->verify) return code;
  EASY_SET(CURLOPT_SSL_VERIFYPEER, 0L);
  EASY_SET(CURLOPT_SSL_VERIFYHOST, 0L);
  return code;
}

/* libcurl would speak to a proxy through the Unix socket; the proxy is for the other origins. */
CURLcode easy_set_private(const struct easy_pool *pool, struct easy *easy, int own_origin) {
  const struct endpoint *endpoint = pool->endpoint;
  CURL *handle = easy->handle;
  CURLcode code = CURLE_OK;
  if (endpoint->cert_file != NULL) {
    EASY_SET(CURLOPT_SSLCERT, own_origin ? endpoint->cert_file : NULL);
    EASY_SET(CURLOPT_SSLKEY, own_origin ? endpoint->key_file : NULL);
  }
  if (endpoint->unix_socket != NULL) {
    EASY_SET(CURLOPT_UNIX_SOCKET_PATH, own_origin ? endpoint->unix_socket : NULL);
    EASY_SET(CURLOPT_PROXY, own_origin ? "" : endpoint->proxy);
  }
  return code;
}

/* Sets the options that are the same for all requests to an endpoint. */
static CURLcode set_up(struct easy_pool *pool, struct easy *easy) {
  const struct endpoint *endpoint = pool->endpoint;
  CURL *handle = easy->handle;
  CURLcode code = limit_protocols(handle);
  EASY_SET(CURLOPT_CURLU, easy->url);
  EASY_SET(CURLOPT_ERRORBUFFER, easy->error);
  EASY_SET(CURLOPT_NOSIGNAL, 1L);
  EASY_SET(CURLOPT_PATH_AS_IS, 1L);
  /* Waiting to see whether a connection can be shared pays only where HTTP/2 can be agreed upon. */
  EASY_SET(CURLOPT_PIPEWAIT, endpoint->secure ? 1L : 0L);
  EASY_SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  EASY_SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
  EASY_SET(CURLOPT_OPENSOCKETDATA, pool);
  EASY_SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
  EASY_SET(CURLOPT_CLOSESOCKETDATA, pool);
  EASY_SET(CURLOPT_CONNECTTIMEOUT_MS, easy_milliseconds(endpoint->limits.connect_timeout));
  /* A timeout during DNS must not wait for the resolver's thread; libcurl before 7.87.0 has no such option. */
  (void)curl_easy_setopt(handle, CURLOPT_QUICK_EXIT, 1L);
  EASY_SET(CURLOPT_BUFFERSIZE, easy->for_file ? FILE_BUFFER : JSON_BUFFER);
  EASY_SET(CURLOPT_SHARE, pool->share);
  if (code == CURLE_OK) code = set_proxy(handle, endpoint->proxy);
  return code == CURLE_OK ? set_tls(handle, endpoint) : code;
}

static int open_handle(struct easy_pool *pool, struct easy *easy) {
  easy->handle = curl_easy_init();
  return easy->handle != NULL && set_up(pool, easy) == CURLE_OK ? 0 : -1;
}

static void close_handle(struct easy *easy) {
  curl_easy_cleanup(easy->handle);
  easy->handle = NULL;
}

static void free_easy(struct easy *easy) {
  close_handle(easy);
  curl_url_cleanup(easy->url);
  free(easy);
}

static struct easy *new_easy(struct easy_pool *pool, int for_file) {
  struct easy *easy = calloc(1, sizeof *easy);
  if (easy == NULL) return NULL;
  easy->for_file = for_file;
  easy->url = curl_url_dup(pool->endpoint->base);
  if (easy->url != NULL) return easy;
  free_easy(easy);
  return NULL;
}

int easy_renew(struct easy_pool *pool, struct easy *easy) {
  if (pool->reuses) return 0;
  close_handle(easy);
  return open_handle(pool, easy);
}

/* --- the pool ------------------------------------------------------------- */

static struct easy *take_spare(struct easy_pool *pool) {
  struct easy *easy = pool->spare;
  pool->spare = easy->next;
  pool->spares--;
  return easy;
}

struct easy *easy_take(struct easy_pool *pool, int for_file) {
  struct easy *easy = pool->spare != NULL && !for_file ? take_spare(pool) : new_easy(pool, for_file);
  if (easy == NULL) return NULL;
  if (easy->handle == NULL && open_handle(pool, easy) != 0) {
    free_easy(easy);
    return NULL;
  }
  pool->used++;
  return easy;
}

/* Where libcurl can't reuse handles, what is left to reuse is the URL object. */
void easy_give(struct easy_pool *pool, struct easy *easy) {
  pool->used--;
  if (!pool->reuses) close_handle(easy);
  if (easy->moved || easy->for_file) {
    free_easy(easy);
  } else {
    easy->next = pool->spare;
    pool->spare = easy;
    pool->spares++;
  }
  while (pool->spares > pool->used + SPARES) free_easy(take_spare(pool));
}

/* --- idle connections ------------------------------------------------------ */

/* Returns the place for one more socket, or NULL: memory is out, so that the socket will not be checked. */
static curl_socket_t *add_idle(struct easy_pool *pool) {
  if (pool->idle_count == pool->idle_capacity) {
    size_t capacity = pool->idle_capacity != 0 ? pool->idle_capacity * 2 : 8;
    curl_socket_t *more = realloc(pool->idle, capacity * sizeof *more);
    if (more == NULL) return NULL;
    pool->idle = more;
    pool->idle_capacity = capacity;
  }
  return &pool->idle[pool->idle_count++];
}

void easy_set_idle(struct easy_pool *pool, curl_socket_t fd, int idle) {
  curl_socket_t *place;
  size_t i = 0;
  if (!pool->checks_idle) return;
  while (i < pool->idle_count && pool->idle[i] != fd) i++;
  if (i < pool->idle_count && !idle) pool->idle[i] = pool->idle[--pool->idle_count];
  if (i < pool->idle_count || !idle) return;
  place = add_idle(pool);
  if (place != NULL) *place = fd;
}

/* A thousand requests that start at once must not check a thousand sockets each. */
void easy_check_idle(struct easy_pool *pool) {
  size_t i;
  if (pool->idle_count > MANY_IDLE && sys_clock() - pool->checked < CHECK_INTERVAL) return;
  if (pool->idle_count > MANY_IDLE) pool->checked = sys_clock();
  for (i = 0; i < pool->idle_count; i++) sys_socket_reject_input(pool->idle[i]);
}

/* --- opening and closing --------------------------------------------------- */

int easy_pool_open(struct easy_pool *pool, const struct endpoint *endpoint) {
  pool->endpoint = endpoint;
  pool->reuses = can_reuse_handles();
  pool->checks_idle = uses_dirty_connections();
  pool->share = curl_share_init();
  return pool->share != NULL && curl_share_setopt(pool->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) == CURLSHE_OK &&
                 curl_share_setopt(pool->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) == CURLSHE_OK
             ? 0
             : -1;
}

void easy_pool_close(struct easy_pool *pool) {
  while (pool->spare != NULL) free_easy(take_spare(pool));
  curl_share_cleanup(pool->share);
  pool->share = NULL;
  free(pool->idle);
  pool->idle = NULL;
  pool->idle_count = pool->idle_capacity = 0;
}
