/* request.c - one API call: its attempts, redirects and answer; see request.h. */
#define _GNU_SOURCE /* clock_gettime */
#include "request.h"

#include <string.h>
#include <time.h>

#include "head.h"
#include "slot.h"

#define BAD_ADDRESS "the address is no http or https URL, or falls from https to http"
#define KEPT_MEMORY                                                                                                    \
  (8 * 1024) /* bytes a buffer keeps between two calls: there may be hundreds that wait for the next */

double request_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- life ----------------------------------------------------------------- */

void request_init(struct request *r, struct site *site) {
  memset(r, 0, sizeof *r);
  r->site = site;
}

static void free_headers(struct request *r) {
  if (r->posted_end != NULL) r->posted_end->next = NULL; /* the rest is somebody else's */
  curl_slist_free_all(r->posted);
  curl_slist_free_all(r->headers);
  r->posted = r->posted_end = r->headers = NULL;
}

void request_reset(struct request *r, const char *method) {
  const struct limits *limits = site_limits(r->site);
  free_headers(r);
  form_free(&r->form);
  r->file.expected = 0;
  r->url.len = 0;
  r->method = method;
  r->timeout = limits->timeout;
  r->max_retries = limits->max_retries;
  r->repeatable = strcmp(method, "POST") != 0;
  r->path.len = r->query.len = r->secrets.len = 0;
  r->body.len = r->answer.len = 0;
  r->state = REQUEST_IDLE;
  r->attempts = 0;
  r->announced = 0;
  r->ended = 0;
  (void)buffer_puts(&r->path, r->site->path); /* checked by request_begin: a path has a '/' */
}

void request_trim(struct request *r) {
  buffer_clear(&r->body, KEPT_MEMORY);
  buffer_clear(&r->head, KEPT_MEMORY);
  buffer_clear(&r->answer, KEPT_MEMORY);
  buffer_clear(&r->file.pending, 0);
  form_free(&r->form);
}

void request_forget(struct request *r) {
  free_headers(r);
  form_free(&r->form);
  buffer_free(&r->url);
  buffer_free(&r->file.pending);
  buffer_free(&r->file.validator);
  buffer_free(&r->path);
  buffer_free(&r->query);
  buffer_free(&r->body);
  buffer_free(&r->secrets);
  buffer_free(&r->head);
  buffer_free(&r->message);
  buffer_free(&r->answer);
}

void request_release(struct request *r) {
  if (r->slot != NULL) {
    if (r->mime != NULL) curl_easy_setopt(r->slot->easy, CURLOPT_MIMEPOST, NULL);
    site_give(r->site, r->slot);
  }
  r->slot = NULL;
  form_free_mime(r->mime);
  r->mime = NULL;
  if (r->if_range != NULL) r->if_range->next = NULL; /* the rest is somebody else's */
  curl_slist_free_all(r->if_range);
  r->if_range = NULL;
}

void request_free(struct request *r) {
  request_release(r);
  request_forget(r);
}

void request_fail(struct request *r, enum error_kind kind, const char *message) {
  r->kind = kind;
  r->message.len = 0;
  if (buffer_puts(&r->message, message) != 0 || buffer_string(&r->message) == NULL) r->message.len = 0;
}

const char *request_message(const struct request *r) {
  return r->message.len != 0 ? r->message.data : "";
}

/* --- an attempt ----------------------------------------------------------- */

#define SET(option, value) (code != CURLE_OK ? code : (code = curl_easy_setopt(easy, option, value)))

/* The options that stay as they are while the slot belongs to the same method. */
static CURLcode set_method(struct slot *slot, const char *method) {
  CURL *easy = slot->easy;
  CURLcode code = CURLE_OK;
  int post = strcmp(method, "POST") == 0, get = strcmp(method, "GET") == 0;
  if (post) {
    SET(CURLOPT_POST, 1L);
  } else {
    SET(CURLOPT_HTTPGET, 1L);
  }
  SET(CURLOPT_CUSTOMREQUEST, post || get ? NULL : method);
  slot->verb = method;
  return code;
}

/* The header list of this attempt: another origin sees nothing of the user's. What the attempt adds is put in front. */
static struct curl_slist *header_list(struct request *r) {
  struct curl_slist *list = r->away              ? site_public_headers(r->site)
                            : r->headers != NULL ? r->headers
                                                 : site_headers(r->site);
  if (r->if_range != NULL) {
    r->if_range->next = list;
    list = r->if_range;
  }
  if (r->posted == NULL || strcmp(r->verb, "POST") != 0) return list;
  r->posted_end->next = list;
  return r->posted;
}

static int set_if_range(struct request *r) {
  struct buffer line = {0};
  if (buffer_puts(&line, "If-Range: ") == 0 && buffer_add(&line, r->file.validator.data, r->file.validator.len) == 0 &&
      buffer_string(&line) != NULL)
    r->if_range = curl_slist_append(NULL, line.data);
  buffer_free(&line);
  return r->if_range != NULL ? 0 : -1;
}

static CURLcode set_body(struct request *r) {
  CURL *easy = r->slot->easy;
  CURLcode code = CURLE_OK;
  if (r->form.count != 0) {
    form_free_mime(r->mime);
    r->mime = form_mime(&r->form, easy);
    if (r->mime == NULL) {
      request_fail(r, ERROR_FILE, "a file of the form can't be read any more, or memory is out");
      return CURLE_READ_ERROR;
    }
    SET(CURLOPT_MIMEPOST, r->mime);
    r->slot->verb = NULL; /* the next call sets its method anew */
  } else {
    SET(CURLOPT_POSTFIELDS, r->body.len != 0 ? r->body.data : "");
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
  }
  return code;
}

static CURLcode set_call(struct request *r) {
  struct slot *slot = r->slot;
  CURL *easy = slot->easy;
  CURLcode code = slot->verb == r->verb ? CURLE_OK : set_method(slot, r->verb);
  struct curl_slist *headers;
  if (code == CURLE_OK) code = (CURLcode)receive_wire(r);
  if (r->file.expected && r->file.ranged && r->if_range == NULL && set_if_range(r) != 0) return CURLE_OUT_OF_MEMORY;
  headers = header_list(r);
  /* A file may take as long as it takes, so its time-out is for a transfer that stands still. */
  if (slot->timeout != r->timeout) SET(CURLOPT_TIMEOUT_MS, r->file.expected ? 0L : site_milliseconds(r->timeout));
  if (slot->headers != headers) SET(CURLOPT_HTTPHEADER, headers);
  /* libcurl sends a request again by itself when a kept-alive connection turns out to be dead. For
   * one that may be paid for, only a connection that is new keeps it from doing so. */
  if (slot->fresh != !r->repeatable) SET(CURLOPT_FRESH_CONNECT, r->repeatable ? 0L : 1L);
  slot->timeout = r->timeout;
  slot->headers = headers;
  slot->fresh = !r->repeatable;
  if (code == CURLE_OK && strcmp(r->verb, "POST") == 0) code = set_body(r);
  return code;
}

/* An address that the user or an answer names, perhaps of another origin. */
static CURLcode set_url(struct request *r) {
  struct slot *slot = r->slot;
  int secure = slot_is_scheme(slot->url, "https");
  slot->moved = 1;
  if (buffer_string(&r->url) == NULL) return CURLE_OUT_OF_MEMORY;
  if (curl_url_set(slot->url, CURLUPART_URL, r->url.data, CURLU_DISALLOW_USER) != CURLUE_OK) return CURLE_URL_MALFORMAT;
  if (!slot_is_scheme(slot->url, "https") && (secure || !slot_is_scheme(slot->url, "http"))) return CURLE_URL_MALFORMAT;
  r->away = !site_is_origin(r->site, slot->url);
  return CURLE_OK;
}

/* Changing the path of a URL object that libcurl has seen is 12.8k instructions cheaper than a new URL; and polls of a
 * job have the same path again and again. */
static CURLcode set_path(struct slot *slot, const struct buffer *path) {
  const char *text;
  if (slot->path.len == path->len && memcmp(slot->path.data, path->data, path->len) == 0) return CURLE_OK;
  slot->path.len = 0;
  if (buffer_add(&slot->path, path->data, path->len) != 0 || (text = buffer_string(&slot->path)) == NULL)
    return CURLE_OUT_OF_MEMORY;
  if (curl_url_set(slot->url, CURLUPART_PATH, text, 0) == CURLUE_OK) return CURLE_OK;
  slot->path.len = 0;
  return CURLE_URL_MALFORMAT;
}

static CURLcode set_address(struct request *r) {
  struct slot *slot = r->slot;
  const char *base = r->site->query;
  CURLcode code;
  if (r->url.len != 0) return set_url(r);
  code = set_path(slot, &r->path);
  if (code != CURLE_OK) return code;
  if (r->query.len == 0 && !slot->queried) return CURLE_OK;
  slot->queried = r->query.len != 0;
  if (curl_url_set(slot->url, CURLUPART_QUERY, base, 0) != CURLUE_OK) return CURLE_URL_MALFORMAT;
  if (r->query.len == 0) return CURLE_OK;
  if (buffer_string(&r->query) == NULL) return CURLE_OUT_OF_MEMORY;
  return curl_url_set(slot->url, CURLUPART_QUERY, r->query.data, base != NULL ? CURLU_APPENDQUERY : 0) == CURLUE_OK
             ? CURLE_OK
             : CURLE_URL_MALFORMAT;
}

int request_begin(struct request *r) {
  CURLcode code = CURLE_OK;
  r->kind = ERROR_NONE;
  r->status = r->headed = 0;
  r->head.len = r->answer.len = 0;
  r->message.len = 0;
  r->wish = -1;
  if (r->slot == NULL) {
    r->slot = site_take(r->site, r->file.expected);
    r->away = r->redirects = 0;
    r->verb = r->method;
    r->attempts++;
    code = r->slot != NULL ? set_address(r) : CURLE_OUT_OF_MEMORY;
  }
  if (code == CURLE_OK && receive_begin(r) == 0) {
    r->slot->error[0] = '\0';
    code = set_call(r);
    r->state = REQUEST_RUNNING;
    if (code == CURLE_OK) return 0;
  }
  if (r->kind == ERROR_NONE)
    request_fail(r, failure_of((int)code)->kind, code == CURLE_URL_MALFORMAT ? BAD_ADDRESS : curl_easy_strerror(code));
  r->code = (int)code;
  r->retryable = r->ambiguous = 0;
  r->state = REQUEST_DONE;
  request_release(r);
  return -1;
}

void request_postpone(struct request *r) {
  request_release(r);
  r->attempts--;
  r->state = REQUEST_QUEUED;
}

/* "Expect:" with nothing behind it keeps libcurl from asking before it sends a large body: servers that don't know the
 * question cost a second each time. */
int request_set_type(struct request *r, const char *type) {
  struct buffer line = {0};
  struct curl_slist *both;
  r->posted = r->posted_end = curl_slist_append(NULL, "Expect:");
  if (r->posted == NULL || type == NULL) return r->posted != NULL ? 0 : -1;
  both = buffer_puts(&line, "Content-Type: ") == 0 && buffer_puts(&line, type) == 0 && buffer_string(&line) != NULL
             ? curl_slist_append(r->posted, line.data)
             : NULL;
  buffer_free(&line);
  if (both == NULL) return -1;
  r->posted_end = both->next;
  return 0;
}

void *request_easy(const struct request *r) {
  return r->slot->easy;
}
