/* slots.c - easy handles: how they are set up for a site, and kept for the next request; see site.h. */
#define _GNU_SOURCE /* SOCK_CLOEXEC */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOCK_CLOEXEC
#include <fcntl.h>
#endif

#include "site.h"
#include "slot.h"

#define SPARE_SLOTS 8 /* kept beside as many as are in use: a new one costs as much as a third of a request */

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

int slot_is_scheme(CURLU *url, const char *scheme) {
  char *text = NULL;
  int same = curl_url_get(url, CURLUPART_SCHEME, &text, 0) == CURLUE_OK && strcmp(text, scheme) == 0;
  curl_free(text);
  return same;
}

/* libcurl 7.83.0 to 8.1.0 leaves a handle with a pointer to a freed header of its last transfer, and a server that folds
 * its first header line makes it write there (curl's pull request 11103). */
int slot_may_be_reused(void) {
  unsigned version = curl_version_info(CURLVERSION_NOW)->version_num;
  return version < 0x075300 || version > 0x080100;
}

static int slot_open(struct site *site, struct slot *slot) {
  slot->timeout = -1;
  slot->verb = NULL;
  slot->headers = NULL;
  slot->fresh = 0;
  slot->wired = NULL;
  slot->easy = curl_easy_init();
  return slot->easy != NULL && set_up(site, slot) == CURLE_OK ? 0 : -1;
}

int slot_renew(struct site *site, struct slot *slot) {
  if (site->reuses) return 0;
  curl_easy_cleanup(slot->easy);
  return slot_open(site, slot);
}

static struct slot *new_slot(struct site *site, int for_file) {
  struct slot *slot = calloc(1, sizeof *slot);
  if (slot == NULL) return NULL;
  slot->for_file = for_file;
  slot->url = curl_url_dup(site->base);
  if (slot->url != NULL && slot_open(site, slot) == 0) return slot;
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
  if (slot->moved || slot->for_file || !site->reuses) {
    slot_free(slot);
  } else {
    slot->next = site->spare;
    site->spare = slot;
    site->spares++;
  }
  while (site->spares > site->used + SPARE_SLOTS) slot_free(take_spare(site));
}

size_t site_sockets(const struct site *site) {
  return site->sockets;
}

int site_starved(const struct site *site) {
  return site->starved;
}

void site_free_slots(struct site *site) {
  while (site->spare != NULL) slot_free(take_spare(site));
}
