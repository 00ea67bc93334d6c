/* request.c - one API call: its attempts, redirects and answer; see request.h. */
#define _GNU_SOURCE /* clock_gettime */
#include "request.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "head.h"
#include "retry.h"
#include "sink.h"
#include "slot.h"

#define MAX_REDIRECTS 5
#define MAX_HEAD (256 * 1024)      /* bytes of response headers */
#define MAX_ERROR_BODY (64 * 1024) /* bytes kept of an answer that is not a 2xx */
#define KEPT_MEMORY (64 * 1024)    /* bytes a buffer keeps between two calls */

double request_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- callbacks: they fill C buffers and nothing else --------------------- */

/* "HTTP/1.1 200 OK" begins a new header block (after a 100, or a proxy's own answer). */
static size_t on_header(char *line, size_t size, size_t count, void *context) {
  struct request *r = context;
  size_t len = size * count;
  if (len > 5 && memcmp(line, "HTTP/", 5) == 0) {
    const char *space = memchr(line, ' ', len);
    r->status = r->headed = 0;
    r->head.len = 0;
    if (space == NULL) return len;
    for (space++; space < line + len && *space >= '0' && *space <= '9' && r->status < 1000; space++)
      r->status = r->status * 10 + (*space - '0');
    return len;
  }
  if (len <= 2) r->headed = 1;
  if (r->head.len + len > MAX_HEAD) {
    request_fail(r, ERROR_TOO_LARGE, "the answer's headers are larger than 256 KiB");
    return 0;
  }
  return buffer_add(&r->head, line, len) == 0 ? len : 0;
}

static int is_success(int status) {
  return status >= 200 && status < 300;
}

/* JSON, HTML or XML where a file should be is read as an answer and never becomes a file: told by the type, or by the
 * first byte that is no blank and no part of a byte order mark. */
static enum content sniff(const struct request *r, const char *data, size_t len) {
  char type[64] = "";
  head_copy(&r->head, "content-type", type, sizeof type);
  if (head_same(type, "application/json", 16) || head_same(type, "text/", 5)) return CONTENT_TEXT;
  while (len > 0 && memchr(" \t\r\n\xEF\xBB\xBF", *data, 7) != NULL) data++, len--;
  if (len == 0) return CONTENT_UNKNOWN;
  return memchr("{[<", *data, 3) != NULL ? CONTENT_TEXT : CONTENT_FILE;
}

static void fail_at_sink(struct request *r) {
  r->kind = ERROR_FILE;
  sink_explain(r->sink, r->message, sizeof r->message);
}

static size_t to_sink(struct request *r, const char *data, size_t len) {
  if (r->answer.len != 0 && sink_write(r->sink, r->answer.data, r->answer.len) != 0) {
    fail_at_sink(r);
    return 0;
  }
  r->answer.len = 0; /* what was held back until it was known */
  if (sink_write(r->sink, data, len) == 0) return len;
  fail_at_sink(r);
  return 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *context) {
  struct request *r = context;
  size_t len = size * count;
  if (!is_success(r->status)) {
    size_t room = r->answer.len < MAX_ERROR_BODY ? MAX_ERROR_BODY - r->answer.len : 0;
    return buffer_add(&r->answer, data, len < room ? len : room) == 0 ? len : 0;
  }
  if (r->sink != NULL && r->content == CONTENT_UNKNOWN) r->content = sniff(r, data, len);
  if (r->content == CONTENT_FILE) return to_sink(r, data, len);
  if (len > site_limits(r->site)->max_response_bytes - r->answer.len) {
    snprintf(r->message, sizeof r->message, "the answer is larger than max_response_bytes (%lu)",
             (unsigned long)site_limits(r->site)->max_response_bytes);
    r->kind = ERROR_TOO_LARGE;
    return 0;
  }
  return buffer_add(&r->answer, data, len) == 0 ? len : 0;
}

/* libcurl's own test for a transfer that stands still takes the mean of five seconds, so it is late; while one is set,
 * this is called each second. */
static int on_progress(void *context, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up) {
  struct request *r = context;
  double time = request_clock();
  (void)total;
  (void)up_total;
  if (now + up != r->moved) {
    r->moved = now + up;
    r->moved_at = time;
  }
  if (time - r->moved_at <= r->timeout) return 0;
  r->stalled = 1;
  return 1;
}

/* --- life ----------------------------------------------------------------- */

void request_init(struct request *r, struct site *site) {
  memset(r, 0, sizeof *r);
  r->site = site;
}

static void free_headers(struct request *r) {
  if (r->type != NULL) r->type->next = NULL; /* the rest is somebody else's */
  curl_slist_free_all(r->type);
  curl_slist_free_all(r->headers);
  r->type = r->headers = NULL;
}

void request_reset(struct request *r, const char *method) {
  const struct limits *limits = site_limits(r->site);
  free_headers(r);
  r->sink = NULL;
  r->method = method;
  r->timeout = limits->timeout;
  r->max_retries = limits->max_retries;
  r->repeatable = strcmp(method, "POST") != 0;
  r->path.len = r->query.len = r->secrets.len = 0;
  buffer_clear(&r->body, KEPT_MEMORY);
  buffer_clear(&r->answer, KEPT_MEMORY);
  r->state = REQUEST_IDLE;
  r->attempts = 0;
  r->announced = 0;
  r->ended = 0;
  (void)buffer_puts(&r->path, site_path(r->site)); /* checked by request_begin: a path has a '/' */
}

void request_forget(struct request *r) {
  free_headers(r);
  buffer_free(&r->path);
  buffer_free(&r->query);
  buffer_free(&r->body);
  buffer_free(&r->secrets);
  buffer_free(&r->head);
  buffer_free(&r->answer);
}

void request_free(struct request *r) {
  if (r->slot != NULL) site_give(r->site, r->slot);
  r->slot = NULL;
  request_forget(r);
}

static void release(struct request *r) {
  if (r->slot != NULL) site_give(r->site, r->slot);
  r->slot = NULL;
}

void request_fail(struct request *r, enum error_kind kind, const char *message) {
  r->kind = kind;
  snprintf(r->message, sizeof r->message, "%s", message);
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

/* The header list of this attempt: another origin sees nothing of the user's. */
static struct curl_slist *header_list(struct request *r) {
  struct curl_slist *list = r->away              ? site_public_headers(r->site)
                            : r->headers != NULL ? r->headers
                                                 : site_headers(r->site);
  if (r->type == NULL || strcmp(r->verb, "POST") != 0) return list;
  r->type->next = list;
  return r->type;
}

static CURLcode set_call(struct request *r) {
  struct slot *slot = r->slot;
  CURL *easy = slot->easy;
  CURLcode code = slot->verb == r->verb ? CURLE_OK : set_method(slot, r->verb);
  if (!slot->wired) {
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    slot->wired = 1;
  }
  SET(CURLOPT_HEADERDATA, r);
  SET(CURLOPT_WRITEDATA, r);
  SET(CURLOPT_XFERINFODATA, r);
  SET(CURLOPT_PRIVATE, r);
  /* A file may take as long as it takes, so its time-out is for a transfer that stands still. */
  SET(CURLOPT_TIMEOUT_MS, r->sink == NULL ? site_milliseconds(r->timeout) : 0L);
  SET(CURLOPT_LOW_SPEED_TIME, r->sink == NULL ? 0L : (site_milliseconds(r->timeout) + 999) / 1000);
  SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
  SET(CURLOPT_NOPROGRESS, r->sink == NULL ? 1L : 0L);
  SET(CURLOPT_HTTPHEADER, header_list(r));
  /* libcurl sends a request again by itself when a kept-alive connection turns out to be dead. For
   * one that may be paid for, only a connection that is new keeps it from doing so. */
  SET(CURLOPT_FRESH_CONNECT, r->repeatable ? 0L : 1L);
  if (strcmp(r->verb, "POST") == 0) {
    SET(CURLOPT_POSTFIELDS, r->body.len != 0 ? r->body.data : "");
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
  }
  return code;
}

/* Changing the path of a URL object that libcurl has seen is 12.8k instructions cheaper than a new URL. */
static CURLcode set_address(struct request *r) {
  struct slot *slot = r->slot;
  const char *base = site_query(r->site);
  if (buffer_string(&r->path) == NULL) return CURLE_OUT_OF_MEMORY;
  if (curl_url_set(slot->url, CURLUPART_PATH, r->path.data, 0) != CURLUE_OK) return CURLE_URL_MALFORMAT;
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
  if (r->slot == NULL) {
    r->slot = site_take(r->site);
    r->away = r->redirects = 0;
    r->verb = r->method;
    r->attempts++;
    code = r->slot != NULL ? set_address(r) : CURLE_OUT_OF_MEMORY;
  }
  r->kind = ERROR_NONE;
  r->status = r->headed = 0;
  r->content = CONTENT_UNKNOWN;
  r->head.len = r->answer.len = 0;
  r->message[0] = '\0';
  r->wish = -1;
  r->moved = -1;
  r->stalled = 0;
  if (code == CURLE_OK) {
    r->slot->error[0] = '\0';
    code = set_call(r);
  }
  if (code == CURLE_OK && r->sink != NULL && sink_rewind(r->sink) != 0) {
    fail_at_sink(r);
  } else if (code == CURLE_OK) {
    r->state = REQUEST_RUNNING;
    return 0;
  } else {
    request_fail(r, failure_of((int)code)->kind, curl_easy_strerror(code));
  }
  r->code = (int)code;
  r->retryable = r->ambiguous = 0;
  r->state = REQUEST_DONE;
  release(r);
  return -1;
}

int request_set_type(struct request *r, const char *type) {
  struct buffer line = {0};
  if (buffer_puts(&line, "Content-Type: ") == 0 && buffer_puts(&line, type) == 0 && buffer_string(&line) != NULL)
    r->type = curl_slist_append(NULL, line.data);
  buffer_free(&line);
  return r->type != NULL ? 0 : -1;
}

void *request_easy(const struct request *r) {
  return r->slot->easy;
}

/* --- redirects ------------------------------------------------------------ */

static int redirects(const struct request *r) {
  return r->status == 301 || r->status == 302 || r->status == 303 || r->status == 307 || r->status == 308;
}

static int is_scheme(CURLU *url, const char *scheme) {
  char *text = NULL;
  int same = curl_url_get(url, CURLUPART_SCHEME, &text, 0) == CURLUE_OK && strcmp(text, scheme) == 0;
  curl_free(text);
  return same;
}

/* Points the slot at the answer's Location; NULL, or why it is not followed. RFC 9110, 15.4. */
static const char *follow(struct request *r) {
  struct slot *slot = r->slot;
  struct head_field field;
  struct buffer location = {0};
  int post = strcmp(r->verb, "POST") == 0, secure = is_scheme(slot->url, "https"), set;
  if (!head_find(&r->head, "location", 8, &field) || field.value_len == 0) return "a redirect without a Location";
  if (++r->redirects > MAX_REDIRECTS) return "more than 5 redirects";
  /* Browsers turn such a POST into a GET, whose answer would look like a created job's. */
  if (post && (r->status == 301 || r->status == 302)) return "a POST was redirected: base_url is not the server's own";
  if (buffer_add(&location, field.value, field.value_len) != 0 || buffer_string(&location) == NULL) {
    buffer_free(&location);
    return "out of memory";
  }
  slot->moved = 1;
  set = curl_url_set(slot->url, CURLUPART_URL, location.data, CURLU_DISALLOW_USER) == CURLUE_OK;
  buffer_free(&location);
  if (!set || !(is_scheme(slot->url, "https") || is_scheme(slot->url, "http")))
    return "a redirect to what is no http or https URL";
  if (secure && !is_scheme(slot->url, "https")) return "a redirect from https to http";
  if (r->status == 303) r->verb = "GET";
  r->away = !site_is_origin(r->site, slot->url);
  return NULL;
}

/* --- the outcome ---------------------------------------------------------- */

/* The wait a server asks for in the header `ms` (milliseconds) or in Retry-After. */
static double wish(const struct request *r, const char *ms) {
  char in_ms[32], after[64];
  int has_ms = head_copy(&r->head, ms, in_ms, sizeof in_ms);
  int has_after = head_copy(&r->head, "retry-after", after, sizeof after);
  double date = has_after ? (double)curl_getdate(after, NULL) : -1;
  return retry_wish(has_ms ? in_ms : NULL, has_after ? after : NULL, date, (double)time(NULL));
}

double request_poll_hint(const struct request *r) {
  char text[32];
  return wish(r, head_copy(&r->head, "openai-poll-after-ms", text, sizeof text) ? "openai-poll-after-ms"
                                                                                : "retry-after-ms");
}

/* Whether an attempt that failed in the transport had sent nothing of its request. A proxy that
 * refuses the tunnel, a name, an address or a handshake that fails all come before the first byte. */
static int never_left(const struct request *r, const struct failure *failure) {
  long sent = 0, tunnel = 0;
  curl_off_t pretransfer = 0;
  CURL *easy = r->slot->easy;
  if (failure->kind == ERROR_DNS || failure->kind == ERROR_CONNECT || failure->kind == ERROR_TLS) return 1;
  curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &tunnel);
  curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &sent);
  curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer);
  if (tunnel >= 300) return 1;
  return failure->kind == ERROR_TIMEOUT && sent == 0 && pretransfer == 0;
}

static void read_transport(struct request *r, struct retry_facts *facts) {
  const struct failure *failure = failure_of(r->code);
  facts->unsent = never_left(r, failure);
  facts->broken = r->kind == ERROR_NONE && failure->broken;
  if (r->kind == ERROR_NONE)
    request_fail(r, failure->kind, r->slot->error[0] != '\0' ? r->slot->error : curl_easy_strerror((CURLcode)r->code));
}

static void read_status(struct request *r, struct retry_facts *facts) {
  char advice[8];
  facts->status = r->status;
  if (head_copy(&r->head, "x-should-retry", advice, sizeof advice))
    facts->advice = strcmp(advice, "true") == 0 ? 1 : strcmp(advice, "false") == 0 ? -1 : 0;
  r->wish = facts->wish = wish(r, "retry-after-ms");
  if (r->kind == ERROR_NONE) r->kind = ERROR_API;
}

enum request_step request_end(struct request *r, int code, double random, double *delay) {
  struct retry_facts facts = {0};
  facts.wish = -1;
  facts.attempts = r->attempts;
  facts.max_retries = r->max_retries;
  facts.repeatable = r->repeatable;
  facts.random = random;
  if (r->stalled) code = CURLE_OPERATION_TIMEDOUT;
  if (code == CURLE_OK && !r->headed) code = CURLE_PARTIAL_FILE; /* to libcurl a close among the headers ends them */
  r->code = code;
  if (r->stalled) snprintf(r->slot->error, CURL_ERROR_SIZE, "no byte came for %g s", r->timeout);
  if (code == CURLE_OK && redirects(r)) {
    const char *why = follow(r);
    if (why == NULL) return REQUEST_AGAIN;
    request_fail(r, ERROR_API, why);
  }
  if (code != CURLE_OK) {
    read_transport(r, &facts);
  } else if (!is_success(r->status)) {
    read_status(r, &facts);
  }
  release(r);
  /* A POST that was redirected has reached a server: where it stands is no longer known. */
  if (r->redirects > 0 && !r->repeatable) facts.max_retries = facts.unsent = 0;
  *delay = r->kind != ERROR_NONE ? retry_delay(&facts) : -1;
  r->state = *delay >= 0 ? REQUEST_PAUSED : REQUEST_DONE;
  if (r->state == REQUEST_PAUSED) return REQUEST_LATER;
  r->ambiguous = r->kind != ERROR_NONE && retry_is_ambiguous(&facts);
  r->retryable = !r->ambiguous && (facts.broken || facts.advice > 0 ||
                                   (facts.advice == 0 && facts.status != 0 && retry_status_passes(facts.status)));
  return REQUEST_FINISHED;
}
