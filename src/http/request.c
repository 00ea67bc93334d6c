/* request.c - the record of one API call; see request.h. */
#include "http/request.h"

#include <string.h>

#define LARGE_BODY (64 * 1024) /* bytes of JSON that may take a while to send: a data URL is in it */
#define KEPT_MEMORY (8 * 1024) /* bytes a buffer keeps between two calls: hundreds of requests may wait for reuse */

void request_init(struct request *r, struct endpoint *endpoint) {
  memset(r, 0, sizeof *r);
  r->endpoint = endpoint;
}

static void free_headers(struct request *r) {
  curl_slist_free_all(r->headers);
  r->headers = NULL;
}

void request_clear_outcome(struct request *r) {
  struct buffer headers = r->outcome.headers, body = r->outcome.body, message = r->outcome.message;
  memset(&r->outcome, 0, sizeof r->outcome);
  headers.len = body.len = message.len = 0;
  r->outcome.headers = headers;
  r->outcome.body = body;
  r->outcome.message = message;
  r->outcome.retry_after = -1;
}

/* Forgets a download, but keeps the memory of its buffers. */
static void clear_file(struct file *f) {
  struct buffer pending = f->pending, validator = f->validator;
  memset(f, 0, sizeof *f);
  pending.len = validator.len = 0;
  f->pending = pending;
  f->validator = validator;
  f->total = f->end = -1;
}

int request_is_stream(const struct request *r) {
  return r->file.expected || r->form.count != 0 || r->body.len > LARGE_BODY;
}

int request_reset(struct request *r, const char *method) {
  const struct limits *limits = &r->endpoint->limits;
  free_headers(r);
  form_free(&r->form);
  clear_file(&r->file);
  request_clear_outcome(r);
  r->method = r->verb = method;
  r->timeout = limits->timeout;
  r->max_retries = limits->max_retries;
  r->repeatable = strcmp(method, "POST") != 0;
  r->path.len = r->query.len = r->url.len = r->body.len = r->secrets.len = r->content_type.len = 0;
  r->state = REQUEST_IDLE;
  r->attempts = r->redirects = r->cross_origin = r->announced = r->takes_film = 0;
  r->started = r->ended = 0;
  return buffer_puts(&r->path, r->endpoint->path);
}

void request_fail(struct request *r, enum failure_kind kind, const char *message) {
  struct buffer *text = &r->outcome.message;
  r->outcome.kind = kind;
  text->len = 0;
  if (buffer_puts(text, message) != 0 || buffer_string(text) == NULL) text->len = 0;
}

const char *request_message(const struct request *r) {
  return r->outcome.message.len != 0 ? r->outcome.message.data : "";
}

void request_trim(struct request *r) {
  buffer_clear(&r->body, KEPT_MEMORY);
  buffer_clear(&r->outcome.headers, KEPT_MEMORY);
  buffer_clear(&r->outcome.body, KEPT_MEMORY);
  buffer_clear(&r->file.pending, 0);
  form_free(&r->form);
}

void request_forget(struct request *r) {
  free_headers(r);
  form_free(&r->form);
  buffer_free(&r->path);
  buffer_free(&r->query);
  buffer_free(&r->url);
  buffer_free(&r->content_type);
  buffer_free(&r->body);
  buffer_free(&r->secrets);
  buffer_free(&r->file.pending);
  buffer_free(&r->file.validator);
  buffer_free(&r->outcome.headers);
  buffer_free(&r->outcome.body);
  buffer_free(&r->outcome.message);
}

void request_free(struct request *r) {
  request_forget(r);
}
