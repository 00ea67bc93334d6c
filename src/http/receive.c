/* receive.c - what an attempt receives; see receive.h. */
#include "http/receive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/part_file.h"
#include "base/sys.h"
#include "http/headers.h"

#define MAX_HEADERS (256 * 1024)   /* bytes of an answer's headers */
#define MAX_ERROR_BODY (64 * 1024) /* bytes kept of an answer that is not a 2xx */
#define MAX_PENDING (256 * 1024)   /* bytes queued for a sink before the transfer is paused */

/* "HTTP/1.1 200 OK" begins a new header block: the last one was a 1xx, or a proxy's own. */
static void start_headers(struct request *r, const char *line, size_t len) {
  const char *space = memchr(line, ' ', len);
  r->outcome.status = r->outcome.headers_complete = 0;
  r->outcome.http_version = line[5] - '0';
  r->outcome.headers.len = 0;
  if (space == NULL) return;
  for (space++; space < line + len && *space >= '0' && *space <= '9' && r->outcome.status < 1000; space++)
    r->outcome.status = r->outcome.status * 10 + (*space - '0');
}

static size_t on_header(char *line, size_t size, size_t count, void *context) {
  struct request *r = context;
  struct buffer *headers = &r->outcome.headers;
  size_t len = size * count;
  if (len > 5 && memcmp(line, "HTTP/", 5) == 0) {
    start_headers(r, line, len);
    return len;
  }
  if (len <= 2) r->outcome.headers_complete = 1;
  if (headers->len + len > MAX_HEADERS) {
    request_fail(r, KIND_TOO_LARGE, "the answer's headers are larger than 256 KiB");
    return 0;
  }
  return buffer_add(headers, line, len) == 0 ? len : 0;
}

/* --- files ---------------------------------------------------------------------- */

/* Tells a file from JSON, HTML or XML, which never become a file: by the type, or by the first byte that is neither
 * blank nor part of a byte order mark. */
static enum content sniff(const struct request *r, const char *data, size_t len) {
  char type[64] = "";
  headers_copy(&r->outcome.headers, "content-type", type, sizeof type);
  if (headers_same(type, "application/json", 16) || headers_same(type, "text/", 5)) return CONTENT_TEXT;
  while (len > 0 && memchr(" \t\r\n\xEF\xBB\xBF", *data, 7) != NULL) data++, len--;
  if (len == 0) return CONTENT_UNKNOWN;
  return memchr("{[<", *data, 3) != NULL ? CONTENT_TEXT : CONTENT_FILE;
}

static int fail(struct request *r, enum failure_kind kind, const char *message) {
  request_fail(r, kind, message);
  return -1;
}

/* Fails with what went wrong at the part file. */
static int fail_file(struct request *r) {
  char text[512];
  part_file_explain(r->file.target, text, sizeof text);
  return fail(r, KIND_FILE, text);
}

/* Reads "bytes 100-199/1000" (RFC 9110, 14.4) into *start and *total (-1 for "*"); returns whether it is that. */
static int read_range(const struct request *r, long long *start, long long *total) {
  char text[80], *end;
  if (!headers_copy(&r->outcome.headers, "content-range", text, sizeof text) || !headers_same(text, "bytes ", 6))
    return 0;
  *start = strtoll(text + 6, &end, 10);
  if (end == text + 6 || *end != '-') return 0;
  end = strchr(end, '/');
  *total = end == NULL || end[1] == '*' ? -1 : strtoll(end + 1, NULL, 10);
  return 1;
}

/* Reads into `out` what a later attempt can name this version of the file by; empty: nothing (a weak ETag can't be used
 * with a range). 0 or -1. */
static int read_validator(const struct request *r, struct buffer *out) {
  struct header field;
  out->len = 0;
  if (headers_find(&r->outcome.headers, "etag", 4, &field) && field.value_len > 0 && field.value[0] == '"')
    return buffer_add(out, field.value, field.value_len);
  if (headers_find(&r->outcome.headers, "last-modified", 13, &field))
    return buffer_add(out, field.value, field.value_len);
  return 0;
}

static int is_same(const struct buffer *a, const struct buffer *b) {
  return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* The server has another version of the file now. A part file is started over by another attempt; a sink can't be. */
static int fail_changed(struct request *r) {
  if (r->file.target == NULL) return fail(r, KIND_API, "the file changed in the middle of the download");
  r->file.outdated = 1;
  return fail(r, KIND_TRANSPORT, "the file changed in the middle of the download");
}

/* The whole file comes, though we have a part of it: rewinds the part file, or drops the bytes that the sink has had. */
static int start_over(struct request *r, const struct buffer *validator) {
  struct file *f = &r->file;
  if (f->received == 0) return 0;
  if (f->target == NULL) {
    if (validator->len == 0 || !is_same(validator, &f->validator)) return fail_changed(r);
    f->skip = f->received;
    return 0;
  }
  f->received = 0;
  return part_file_rewind(f->target) == 0 ? 0 : fail_file(r);
}

/* Checks a partial answer (206): it must continue the part that we have. */
static int check_part(struct request *r, const struct buffer *validator) {
  struct file *f = &r->file;
  long long start = 0;
  if (!f->ranged || !read_range(r, &start, &f->total) || start != f->received)
    return fail(r, KIND_API, "the server sent a part of the file that nobody asked for");
  if (validator->len != 0 && !is_same(validator, &f->validator)) return fail_changed(r); /* If-Range was ignored */
  return 0;
}

/* Reads the headers of a file when its first bytes are here. 0, or -1: the request has failed. */
static int start_file(struct request *r) {
  struct file *f = &r->file;
  struct buffer validator = {0};
  char length[32];
  int result = read_validator(r, &validator);
  f->total = -1;
  if (result == 0 && r->outcome.status == 206) {
    result = check_part(r, &validator);
    if (result == 0 && validator.len == 0) return 0; /* the one that we have still names this version */
  } else if (result == 0 && r->outcome.status == 200) {
    if (headers_copy(&r->outcome.headers, "content-length", length, sizeof length))
      f->total = strtoll(length, NULL, 10);
    result = start_over(r, &validator);
  } else if (result == 0) {
    result = fail(r, KIND_API, "the server answered with a status that no file has");
  }
  buffer_free(&f->validator);
  f->validator = validator;
  return result;
}

static int keep_bytes(struct request *r, const char *data, size_t len) {
  struct file *f = &r->file;
  if (len == 0) return 0;
  if (f->skip > 0) {
    size_t known = (long long)len < f->skip ? len : (size_t)f->skip;
    f->skip -= (long long)known;
    data += known;
    len -= known;
  }
  if (f->target == NULL && buffer_add(&f->pending, data, len) != 0) return -1;
  if (f->target != NULL && part_file_write(f->target, data, len) != 0) return fail_file(r);
  f->received += (long long)len;
  f->updated = 1;
  return 0;
}

/* --- bodies --------------------------------------------------------------------- */

static size_t keep_answer(struct request *r, const char *data, size_t len) {
  size_t most = r->endpoint->limits.max_response_bytes;
  char text[80];
  if (len <= most - r->outcome.body.len) return buffer_add(&r->outcome.body, data, len) == 0 ? len : 0;
  snprintf(text, sizeof text, "the answer is larger than max_response_bytes (%lu)", (unsigned long)most);
  request_fail(r, KIND_TOO_LARGE, text);
  return 0;
}

/* Keeps bytes where a file is expected. Until its content is known, they are in the outcome's body. */
static size_t keep_file(struct request *r, const char *data, size_t len) {
  struct file *f = &r->file;
  struct buffer *body = &r->outcome.body;
  if (f->pending.len >= MAX_PENDING) {
    f->paused = 1;
    return CURL_WRITEFUNC_PAUSE;
  }
  if (f->content == CONTENT_UNKNOWN) {
    f->content = sniff(r, data, len);
    if (f->content == CONTENT_FILE) {
      if (start_file(r) != 0 || keep_bytes(r, body->data, body->len) != 0) return 0;
      body->len = 0;
    }
  }
  if (f->content != CONTENT_FILE) return keep_answer(r, data, len);
  return keep_bytes(r, data, len) == 0 ? len : 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *context) {
  struct request *r = context;
  size_t len = size * count, left;
  if (r->outcome.status >= 200 && r->outcome.status < 300)
    return r->file.expected ? keep_file(r, data, len) : keep_answer(r, data, len);
  left = r->outcome.body.len < MAX_ERROR_BODY ? MAX_ERROR_BODY - r->outcome.body.len : 0;
  return buffer_add(&r->outcome.body, data, len < left ? len : left) == 0 ? len : 0;
}

/* Ends a transfer that stands still. libcurl's own test is late, because it takes the mean of five seconds; but while
 * one is set, libcurl calls this each second. */
static int on_progress(void *context, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up) {
  struct request *r = context;
  struct file *f = &r->file;
  double time = sys_clock();
  (void)total;
  (void)up_total;
  if (now + up != f->progress) {
    f->progress = now + up;
    f->progress_at = time;
  }
  f->stalled = time - f->progress_at > r->timeout;
  return f->stalled;
}

/* --- attempts ------------------------------------------------------------------- */

CURLcode receive_set_options(struct request *r) {
  CURL *handle = r->easy->handle;
  CURLcode code = CURLE_OK;
  char range[32];
  EASY_SET(CURLOPT_HEADERFUNCTION, on_header);
  EASY_SET(CURLOPT_HEADERDATA, r);
  EASY_SET(CURLOPT_WRITEFUNCTION, on_body);
  EASY_SET(CURLOPT_WRITEDATA, r);
  if (!r->file.expected) return code;
  snprintf(range, sizeof range, "%lld-", r->file.received);
  EASY_SET(CURLOPT_XFERINFOFUNCTION, on_progress);
  EASY_SET(CURLOPT_XFERINFODATA, r);
  EASY_SET(CURLOPT_NOPROGRESS, 0L);
  EASY_SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
  EASY_SET(CURLOPT_LOW_SPEED_TIME, (easy_milliseconds(r->timeout) + 999) / 1000);
  EASY_SET(CURLOPT_RANGE, r->file.ranged ? range : NULL);
  return code;
}

int receive_begin(struct request *r) {
  struct file *f = &r->file;
  if (!f->expected) return 0;
  f->content = CONTENT_UNKNOWN;
  f->progress = -1;
  f->stalled = 0;
  f->skip = 0;
  if (f->outdated) f->validator.len = 0;
  f->outdated = 0;
  f->ranged = f->received > 0 && f->validator.len != 0 && f->may_resume;
  f->before = f->received;
  if (f->ranged || f->received == 0 || f->target == NULL) return 0;
  f->received = f->before = 0;
  return part_file_rewind(f->target) == 0 ? 0 : fail_file(r);
}

void receive_resume(struct request *r) {
  if (!r->file.paused || r->easy == NULL) return;
  r->file.paused = 0;
  (void)curl_easy_pause(r->easy->handle, CURLPAUSE_CONT); /* the transfer's own result tells of a failure */
}
