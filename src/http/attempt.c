/* attempt.c - one transfer of a request; see attempt.h. */
#include "http/attempt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http/curl_compat.h"
#include "http/headers.h"
#include "http/receive.h"
#include "http/retry.h"

#define MAX_REDIRECTS 5
#define NO_MEMORY "out of memory"
#define LONG_HEADERS "expected header lines of at most 100 KiB, got a longer one, or memory ran out"
#define BAD_ADDRESS "expected an http(s) URL, got another address, or one that leads from https to http"

static int is_post(const struct request *r) {
  return strcmp(r->verb, "POST") == 0;
}

static int is_success(int status) {
  return status >= 200 && status < 300;
}

/* --- setting it up -------------------------------------------------------- */

static CURLcode set_method(struct request *r) {
  CURL *handle = r->easy->handle;
  CURLcode code = CURLE_OK;
  int get = strcmp(r->verb, "GET") == 0;
  EASY_SET(is_post(r) ? CURLOPT_POST : CURLOPT_HTTPGET, 1L);
  EASY_SET(CURLOPT_CUSTOMREQUEST, get || is_post(r) ? NULL : r->verb);
  return code;
}

/* Adds a header that libcurl must not send. */
static int suppress(struct curl_slist **list, const char *name) {
  struct curl_slist *longer = curl_slist_append(*list, name);
  if (longer == NULL) return -1;
  *list = longer;
  return 0;
}

/* Adds the headers that belong to this attempt. libcurl would send Expect before a large body, which costs a second
 * each time with servers that ignore it, and the type of a form where there is no body. */
static int add_extra_headers(struct request *r, struct curl_slist **list) {
  const struct buffer *validator = &r->file.validator, *type = &r->content_type;
  if (r->file.ranged && endpoint_add_header(list, "If-Range", 8, validator->data, validator->len) != 0) return -1;
  if (!is_post(r)) return 0;
  if (suppress(list, "Expect:") != 0) return -1;
  if (type->len == 0 && r->body.len == 0 && r->form.count == 0) return suppress(list, "Content-Type:");
  return type->len == 0 ? 0 : endpoint_add_header(list, "Content-Type", 12, type->data, type->len);
}

/* Chooses the header list: another origin sees nothing of the user's. 0, or -1: memory is out. */
static int choose_headers(struct request *r, struct curl_slist **list) {
  struct curl_slist *base = r->cross_origin      ? r->endpoint->public_headers
                            : r->headers != NULL ? r->headers
                                                 : r->endpoint->headers;
  *list = base;
  curl_slist_free_all(r->extra_headers);
  r->extra_headers = NULL;
  if (!r->file.ranged && !is_post(r)) return 0;
  if (add_extra_headers(r, &r->extra_headers) != 0) return -1;
  for (; base != NULL; base = base->next) {
    struct curl_slist *longer = curl_slist_append(r->extra_headers, base->data);
    if (longer == NULL) return -1;
    r->extra_headers = longer;
  }
  *list = r->extra_headers;
  return 0;
}

static CURLcode set_headers(struct request *r) {
  struct curl_slist *list;
  if (choose_headers(r, &list) != 0) return CURLE_OUT_OF_MEMORY;
  return curl_easy_setopt(r->easy->handle, CURLOPT_HTTPHEADER, list);
}

static void drop_mime(struct request *r) {
  if (r->mime != NULL) curl_easy_setopt(r->easy->handle, CURLOPT_MIMEPOST, NULL);
  curl_mime_free(r->mime);
  r->mime = NULL;
}

static CURLcode set_body(struct request *r) {
  CURL *handle = r->easy->handle;
  CURLcode code = CURLE_OK;
  if (!is_post(r)) return code;
  if (r->form.count != 0) {
    r->mime = form_mime(&r->form, handle);
    if (r->mime == NULL) {
      request_fail(r, KIND_FILE, "a file to upload can no longer be read, or memory ran out");
      return CURLE_READ_ERROR;
    }
    EASY_SET(CURLOPT_MIMEPOST, r->mime);
  } else {
    EASY_SET(CURLOPT_POSTFIELDS, r->body.len != 0 ? r->body.data : "");
    EASY_SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
  }
  return code;
}

/* Sets the options of this attempt. A file may take as long as it moves: receive.c ends a transfer that stands still.
 * libcurl resends by itself on a kept connection that turns out dead, so a request that may be paid for takes a new
 * connection. */
static CURLcode set_options(struct request *r) {
  CURL *handle = r->easy->handle;
  CURLcode code = set_method(r);
  EASY_SET(CURLOPT_TIMEOUT_MS, request_is_stream(r) ? 0L : easy_milliseconds(r->timeout));
  EASY_SET(CURLOPT_FRESH_CONNECT, r->repeatable ? 0L : 1L);
  EASY_SET(CURLOPT_PRIVATE, r);
  if (code == CURLE_OK) code = receive_set_options(r);
  if (code == CURLE_OK) code = set_headers(r);
  if (code == CURLE_OK) code = easy_set_private(r->pool, r->easy, !r->cross_origin);
  return code == CURLE_OK ? set_body(r) : code;
}

/* --- its address ---------------------------------------------------------- */

static CURLcode url_failure(CURLUcode code) {
  return code == CURLUE_OK ? CURLE_OK : code == CURLUE_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY : CURLE_URL_MALFORMAT;
}

/* Points the handle at a URL, which may be relative to its present one. It must be http or https, and not fall from
 * https to http. */
static CURLcode set_url(struct request *r, struct buffer *text) {
  CURLU *url = r->easy->url;
  int was_secure = endpoint_is_scheme(url, "https"), secure, plain, origin;
  CURLcode code;
  r->easy->moved = 1;
  if (buffer_string(text) == NULL || was_secure < 0) return CURLE_OUT_OF_MEMORY;
  code = url_failure(curl_url_set(url, CURLUPART_URL, text->data, CURLU_DISALLOW_USER));
  if (code != CURLE_OK) return code;
  secure = endpoint_is_scheme(url, "https");
  plain = endpoint_is_scheme(url, "http");
  origin = endpoint_is_origin(r->endpoint, url);
  if (secure < 0 || plain < 0 || origin < 0) return CURLE_OUT_OF_MEMORY;
  if (!secure && (was_secure || !plain)) return CURLE_URL_MALFORMAT;
  r->cross_origin = !origin;
  return CURLE_OK;
}

/* Changing the parts of a URL object costs libcurl far less than parsing a new URL. */
static CURLcode set_path(struct request *r) {
  CURLU *url = r->easy->url;
  const char *base = r->endpoint->query;
  CURLUcode code;
  if (buffer_string(&r->path) == NULL || buffer_string(&r->query) == NULL) return CURLE_OUT_OF_MEMORY;
  code = curl_url_set(url, CURLUPART_PATH, r->path.data, 0);
  if (code == CURLUE_OK) code = curl_url_set(url, CURLUPART_QUERY, base, 0);
  if (code == CURLUE_OK && r->query.len != 0)
    code = curl_url_set(url, CURLUPART_QUERY, r->query.data, base != NULL ? CURLU_APPENDQUERY : 0);
  return url_failure(code);
}

/* --- beginning and releasing ------------------------------------------------ */

static void release(struct request *r) {
  if (r->easy != NULL) {
    drop_mime(r);
    easy_give(r->pool, r->easy);
  }
  r->easy = NULL;
  curl_slist_free_all(r->extra_headers);
  r->extra_headers = NULL;
}

/* Takes a handle for a new attempt and gives it the request's address. */
static CURLcode take_handle(struct request *r, struct easy_pool *pool) {
  r->pool = pool;
  r->easy = easy_take(pool, request_is_stream(r));
  r->cross_origin = r->redirects = 0;
  r->verb = r->method;
  r->attempts++;
  if (r->easy == NULL) return CURLE_OUT_OF_MEMORY;
  return r->url.len != 0 ? set_url(r, &r->url) : set_path(r);
}

int attempt_begin(struct request *r, struct easy_pool *pool) {
  CURLcode code;
  request_clear_outcome(r);
  code = r->easy == NULL ? take_handle(r, pool) : CURLE_OK;
  if (code == CURLE_OK && receive_begin(r) == 0) {
    r->easy->error[0] = '\0';
    code = set_options(r);
    r->state = REQUEST_RUNNING;
    if (code == CURLE_OK) return 0;
  }
  if (r->outcome.kind == KIND_NONE)
    request_fail(r, failure_of(code)->kind, code == CURLE_URL_MALFORMAT ? BAD_ADDRESS : curl_easy_strerror(code));
  r->outcome.code = code;
  r->state = REQUEST_DONE;
  release(r);
  return -1;
}

void attempt_postpone(struct request *r) {
  release(r);
  request_clear_outcome(r);
  r->attempts--;
  r->state = REQUEST_QUEUED;
}

/* --- redirects ------------------------------------------------------------ */

static int is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Points the handle at the answer's Location (RFC 9110, 15.4); NULL, or why it is not followed. */
static const char *follow(struct request *r) {
  struct header field;
  struct buffer location = {0};
  int was_secure = endpoint_is_scheme(r->easy->url, "https");
  CURLcode code = CURLE_OUT_OF_MEMORY;
  if (!headers_find(&r->outcome.headers, "location", 8, &field) || field.value_len == 0)
    return "the server sent a redirect without a Location header";
  if (++r->redirects > MAX_REDIRECTS) return "the server sent more than 5 redirects";
  /* Browsers turn such a POST into a GET, whose answer would look like a created job's. */
  if (is_post(r) && (r->outcome.status == 301 || r->outcome.status == 302))
    return "the server redirected a POST, which is not followed: set base_url to the address behind the redirect";
  if (buffer_add(&location, field.value, field.value_len) == 0) code = set_url(r, &location);
  buffer_free(&location);
  if (code == CURLE_URL_MALFORMAT)
    return was_secure && endpoint_is_scheme(r->easy->url, "http") == 1
               ? "the server redirected from https to http, which is not followed"
               : "the server redirected to something other than an http(s) URL";
  drop_mime(r);
  if (code != CURLE_OK || easy_renew(r->pool, r->easy) != 0) return NO_MEMORY;
  if (r->outcome.status == 303) r->verb = "GET";
  return NULL;
}

/* --- the outcome ---------------------------------------------------------- */

/* Reads the wait that a server asks for, in the header `ms` (milliseconds) or in Retry-After. */
static double read_after(const struct request *r, const char *ms) {
  const struct buffer *headers = &r->outcome.headers;
  char in_ms[32], after[64];
  int has_ms = headers_copy(headers, ms, in_ms, sizeof in_ms);
  int has_after = headers_copy(headers, "retry-after", after, sizeof after);
  double date = has_after ? (double)curl_getdate(after, NULL) : -1;
  return retry_read_after(has_ms ? in_ms : NULL, has_after ? after : NULL, date, (double)time(NULL));
}

double attempt_poll_after(const struct request *r) {
  struct header field;
  const char *own = "openai-poll-after-ms";
  return read_after(r, headers_find(&r->outcome.headers, own, strlen(own), &field) ? own : "retry-after-ms");
}

/* A time in the transfer, such as when its connection was made; 0: it never came to that. */
static curl_off_t time_of(const struct request *r, CURLINFO info) {
  curl_off_t time = 0;
  curl_easy_getinfo(r->easy->handle, info, &time);
  return time;
}

/* Whether an attempt that failed in the transport had sent nothing of its request: names, addresses, handshakes and
 * proxies that refuse the tunnel all come before the first byte. libcurl 8.22 sets the pretransfer time even if it
 * never connected. */
static int never_left(const struct request *r, const struct failure *failure) {
  long sent = 0, tunnel = 0;
  if (failure->kind == KIND_DNS || failure->kind == KIND_CONNECT || failure->kind == KIND_TLS) return 1;
  curl_easy_getinfo(r->easy->handle, CURLINFO_HTTP_CONNECTCODE, &tunnel);
  curl_easy_getinfo(r->easy->handle, CURLINFO_REQUEST_SIZE, &sent);
  if (tunnel >= 300) return 1;
  if (failure->kind != KIND_TIMEOUT || sent != 0) return 0;
  return time_of(r, CURLINFO_PRETRANSFER_TIME_T) == 0 || time_of(r, CURLINFO_CONNECT_TIME_T) == 0 ||
         (endpoint_is_scheme(r->easy->url, "https") == 1 && time_of(r, CURLINFO_APPCONNECT_TIME_T) == 0);
}

/* Forgets what names the part that we have. The first time, the attempt that found that out does not count: none has
 * been made for the new version yet. */
static void start_over(struct file *f, struct retry_facts *facts) {
  f->validator.len = 0;
  f->total = -1;
  if (!f->restarted) facts->attempts = --f->failures;
  f->restarted = 1;
}

/* Whether there is memory for a line of headers. `volatile`: compilers drop what is only freed. */
static int has_memory(void) {
  void *volatile line = malloc(CURL_MAX_HTTP_HEADER);
  int found = line != NULL;
  free(line);
  return found;
}

/* Whether libcurl gave up because of the length of a header, which most versions call a lack of memory. */
static int has_long_headers(const struct request *r) {
  const char *why = r->easy->error;
  long sent = 0;
  curl_easy_getinfo(r->easy->handle, CURLINFO_REQUEST_SIZE, &sent);
  if (r->outcome.kind != KIND_NONE || sent == 0) return 0;
  if (r->outcome.code == CURLE_TOO_LARGE) return 1;
  if (strncmp(why, "Too large response headers", 26) == 0) return 1;
  return r->outcome.code == CURLE_OUT_OF_MEMORY && has_memory();
}

/* What a client certificate or the Unix socket has to do with a failure; fails the request with that. */
static void explain_private(struct request *r) {
  const struct endpoint *endpoint = r->endpoint;
  const char *cert = endpoint->cert_file, *key = endpoint->key_file, *why = r->easy->error;
  char text[1024];
  long code = 0;
  text[0] = '\0';
  if (r->outcome.code == CURLE_SSL_CLIENTCERT && r->cross_origin) {
    snprintf(text, sizeof text,
             "another server demands a client certificate; cert_file goes to the server of base_url alone (%s)", why);
  } else if (r->outcome.code == CURLE_SSL_CLIENTCERT && cert == NULL) {
    snprintf(text, sizeof text, "the server demands a client certificate: write cert_file = '…' (%s)", why);
  } else if (r->outcome.code == CURLE_SSL_CLIENTCERT) {
    snprintf(text, sizeof text, "the server refused the certificate of cert_file '%.400s' (%s)", cert, why);
  } else if (r->outcome.code == CURLE_SSL_CERTPROBLEM && cert != NULL && !r->cross_origin) {
    snprintf(text, sizeof text, "expected a certificate in cert_file '%.300s' and its own private key in '%.300s' (%s)",
             cert, key != NULL ? key : cert, why);
  } else if (r->outcome.code == CURLE_COULDNT_CONNECT && endpoint->unix_socket != NULL && !r->cross_origin) {
    curl_easy_getinfo(r->easy->handle, CURLINFO_OS_ERRNO, &code);
    snprintf(text, sizeof text, "cannot connect to unix_socket '%.400s': %s", endpoint->unix_socket,
             code != 0 ? strerror((int)code) : "its server accepts no connection");
  }
  if (text[0] != '\0') request_fail(r, failure_of(r->outcome.code)->kind, text);
}

static void read_transport(struct request *r, struct retry_facts *facts) {
  const struct failure *failure = failure_of(r->outcome.code);
  facts->unsent = never_left(r, failure);
  if (has_long_headers(r)) /* bytes without a status line are no HTTP */
    request_fail(r, r->outcome.status != 0 ? KIND_TOO_LARGE : KIND_TRANSPORT, LONG_HEADERS);
  facts->transient = r->outcome.kind == KIND_NONE && failure->transient;
  if (r->file.outdated) {
    facts->transient = 1;
    start_over(&r->file, facts);
  }
  if (r->outcome.kind == KIND_NONE) explain_private(r);
  if (r->outcome.kind == KIND_NONE)
    request_fail(r, failure->kind, r->easy->error[0] != '\0' ? r->easy->error : curl_easy_strerror(r->outcome.code));
}

static void read_status(struct request *r, struct retry_facts *facts) {
  char advice[8];
  facts->status = r->outcome.status;
  if (headers_copy(&r->outcome.headers, "x-should-retry", advice, sizeof advice))
    facts->advice = strcmp(advice, "true") == 0 ? 1 : strcmp(advice, "false") == 0 ? -1 : 0;
  r->outcome.retry_after = facts->retry_after = read_after(r, "retry-after-ms");
  if (r->outcome.kind == KIND_NONE) r->outcome.kind = KIND_API;
  if (r->outcome.status == 416 && r->file.ranged) { /* the part that we have is of no use: start over */
    start_over(&r->file, facts);
    facts->advice = 1;
  }
}

/* Counts attempts in a row that brought a download no further than it has ever been. */
static void count_failures(struct file *f) {
  f->failures = f->received > f->furthest && f->validator.len != 0 ? 1 : f->failures + 1;
  if (f->received > f->furthest) f->furthest = f->received;
}

/* Whether the file ends before its known length, or the part before its announced end. */
static int is_short(const struct request *r) {
  const struct file *f = &r->file;
  return f->expected && is_success(r->outcome.status) && f->content == CONTENT_FILE &&
         (f->skip > 0 || f->received < f->total || f->received < f->end);
}

/* Whether a server ended the TLS handshake because of the client certificate. With TLS 1.3 it does so when libcurl has
 * sent the request already, which the server then never reads. */
static int is_certificate_alert(const struct request *r, CURLcode code) {
  const char *why = r->easy->error;
  if (code != CURLE_RECV_ERROR && code != CURLE_SEND_ERROR && code != CURLE_SSL_CONNECT_ERROR) return 0;
  if (r->outcome.header_bytes != 0 || strstr(why, " alert ") == NULL) return 0;
  return strstr(why, "ertificate") != NULL || strstr(why, "unknown ca") != NULL || strstr(why, "access denied") != NULL;
}

/* What libcurl said of the transfer, or what it could not know. */
static CURLcode true_code(struct request *r, CURLcode code) {
  /* What breaks after the whole answer has come, while the request was still being sent, changes nothing. */
  if (r->outcome.kind == KIND_NONE && (r->outcome.cut || (code != CURLE_OK && receive_is_whole(r)))) return CURLE_OK;
  if (r->motion.stalled) {
    snprintf(r->easy->error, sizeof r->easy->error, "nothing was sent or received for %g s, the timeout of this call",
             r->timeout);
    return CURLE_OPERATION_TIMEDOUT;
  }
  /* Its address was read before, so libcurl had no memory to read it again. */
  if (code == CURLE_URL_MALFORMAT && strcmp(r->easy->error, "No URL set") == 0) {
    r->easy->error[0] = '\0';
    return CURLE_OUT_OF_MEMORY;
  }
  if (is_certificate_alert(r, code)) return CURLE_SSL_CLIENTCERT;
  if (code != CURLE_OK) return code;
  /* To libcurl a connection that is closed among the headers ends them. */
  return is_short(r) || !r->outcome.headers_complete ? CURLE_PARTIAL_FILE : CURLE_OK;
}

/* Decides after a finished transfer: another attempt in *delay seconds, or the end. */
static enum attempt_result conclude(struct request *r, struct retry_facts *facts, double *delay) {
  struct outcome *out = &r->outcome;
  *delay = out->kind != KIND_NONE ? retry_delay(facts) : -1;
  r->state = *delay >= 0 ? REQUEST_PAUSED : REQUEST_DONE;
  if (r->state == REQUEST_PAUSED) return ATTEMPT_LATER;
  out->ambiguous = out->kind != KIND_NONE && retry_is_ambiguous(facts);
  out->retryable = !out->ambiguous && (facts->transient || facts->advice > 0 ||
                                       (facts->advice == 0 && facts->status != 0 && retry_is_transient(facts->status)));
  return ATTEMPT_FINISHED;
}

enum attempt_result attempt_end(struct request *r, CURLcode code, double random, double *delay) {
  struct retry_facts facts = {0};
  facts.retry_after = -1;
  facts.max_retries = r->max_retries;
  facts.repeatable = r->repeatable;
  facts.random = random;
  r->outcome.code = true_code(r, code);
  if (r->outcome.code == CURLE_OK && is_redirect(r->outcome.status)) {
    const char *why = follow(r);
    if (why == NULL) return ATTEMPT_AGAIN;
    request_fail(r, strcmp(why, NO_MEMORY) == 0 ? KIND_TRANSPORT : KIND_API, why);
  }
  if (r->outcome.code == CURLE_OK) facts.transient = receive_unpack(r);
  if (r->file.expected) count_failures(&r->file);
  facts.attempts = r->file.expected ? r->file.failures : r->attempts;
  if (r->outcome.code != CURLE_OK) {
    read_transport(r, &facts);
  } else if (!is_success(r->outcome.status)) {
    read_status(r, &facts);
  }
  /* A sink can't take back what it has had. */
  if (r->file.expected && r->file.target == NULL && r->file.received > 0 && r->file.validator.len == 0)
    facts.max_retries = 0;
  release(r);
  /* A POST that was redirected has reached a server, which may have acted on it. */
  if (r->redirects > 0 && !r->repeatable) facts.max_retries = facts.unsent = 0;
  return conclude(r, &facts, delay);
}
