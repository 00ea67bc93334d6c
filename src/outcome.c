/* outcome.c - what comes of an attempt: an answer, a redirect, another attempt, or a failure; see request.h.
 *
 * Invariant: what may have reached a server and may cost money is not sent again. */
#include <curl/curl.h>
#include <string.h>
#include <time.h>

#include "head.h"
#include "request.h"
#include "retry.h"
#include "slot.h"

#define MAX_REDIRECTS 5

static int is_success(int status) {
  return status >= 200 && status < 300;
}

/* --- redirects ------------------------------------------------------------ */

static int redirects(const struct request *r) {
  return r->status == 301 || r->status == 302 || r->status == 303 || r->status == 307 || r->status == 308;
}

/* Points the slot at the answer's Location; NULL, or why it is not followed. RFC 9110, 15.4. */
static const char *follow(struct request *r) {
  struct slot *slot = r->slot;
  struct head_field field;
  struct buffer location = {0};
  int post = strcmp(r->verb, "POST") == 0, secure = slot_is_scheme(slot->url, "https"), set;
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
  if (!set || !(slot_is_scheme(slot->url, "https") || slot_is_scheme(slot->url, "http")))
    return "a redirect to what is no http or https URL";
  if (secure && !slot_is_scheme(slot->url, "https")) return "a redirect from https to http";
  if (slot_renew(r->site, slot) != 0) return "out of memory";
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
  if (r->file.expected && r->file.outdated) {
    facts->broken = 1;
    facts->attempts = --r->file.fruitless;
  }
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
  if (r->status == 416 && r->file.expected && r->file.ranged) { /* what is kept is of no use: from the beginning */
    r->file.validator.len = 0;
    facts->attempts = --r->file.fruitless; /* it has not been tried from there yet */
    facts->advice = 1;
  }
}

/* A download goes on as long as attempts bring it further. */
static void count_fruitless(struct file *f) {
  f->fruitless = f->received > f->before && f->validator.len != 0 ? 1 : f->fruitless + 1;
}

/* A file whose end never came, though what was announced for this attempt did. */
static int is_short(const struct request *r) {
  const struct file *f = &r->file;
  return f->expected && is_success(r->status) && f->content == CONTENT_FILE && f->total >= 0 && f->received < f->total;
}

enum request_step request_end(struct request *r, int code, double random, double *delay) {
  struct retry_facts facts = {0};
  facts.wish = -1;
  facts.max_retries = r->max_retries;
  facts.repeatable = r->repeatable;
  facts.random = random;
  if (r->file.stalled) code = CURLE_OPERATION_TIMEDOUT;
  if (code == CURLE_OK && is_short(r)) code = CURLE_PARTIAL_FILE;
  if (code == CURLE_OK && !r->headed) code = CURLE_PARTIAL_FILE; /* to libcurl a close among the headers ends them */
  r->code = code;
  if (r->file.stalled) snprintf(r->slot->error, CURL_ERROR_SIZE, "no byte came for %g s", r->timeout);
  if (code == CURLE_OK && redirects(r)) {
    const char *why = follow(r);
    if (why == NULL) return REQUEST_AGAIN;
    request_fail(r, ERROR_API, why);
  }
  if (r->file.expected) count_fruitless(&r->file);
  facts.attempts = r->file.expected ? r->file.fruitless : r->attempts;
  if (code != CURLE_OK) {
    read_transport(r, &facts);
  } else if (!is_success(r->status)) {
    read_status(r, &facts);
  }
  if (r->file.expected && r->file.sink == NULL && r->file.received > 0 && r->file.validator.len == 0)
    facts.max_retries = 0; /* what is handed on can't be taken back */
  request_release(r);
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
