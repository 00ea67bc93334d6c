/* receive.c - what comes back; see receive.h. */
#include "receive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "head.h"
#include "request.h"
#include "sink.h"
#include "slot.h"

#define MAX_HEAD (256 * 1024)      /* bytes of response headers */
#define MAX_ERROR_BODY (64 * 1024) /* bytes kept of an answer that is not a 2xx */
#define MAX_PENDING (256 * 1024)   /* bytes that wait for the owner before the transfer is held */

/* "HTTP/1.1 200 OK" begins a new header block (after a 100, or a proxy's own answer). */
static size_t on_header(char *line, size_t size, size_t count, void *context) {
  struct request *r = context;
  size_t len = size * count;
  if (len > 5 && memcmp(line, "HTTP/", 5) == 0) {
    const char *space = memchr(line, ' ', len);
    r->status = r->headed = 0;
    r->version = line[5] - '0';
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

/* --- files ---------------------------------------------------------------------- */

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

static int fail_at_sink(struct request *r) {
  char text[512];
  sink_explain(r->file.sink, text, sizeof text);
  request_fail(r, ERROR_FILE, text);
  return -1;
}

static int fail(struct request *r, enum error_kind kind, const char *message) {
  request_fail(r, kind, message);
  return -1;
}

/* Reads "bytes 100-199/1000" (RFC 9110, 14.4) into *start and *total (-1 for "*"); whether it is that. */
static int read_range(const struct request *r, long long *start, long long *total) {
  char text[80], *end;
  if (!head_copy(&r->head, "content-range", text, sizeof text) || !head_same(text, "bytes ", 6)) return 0;
  *start = strtoll(text + 6, &end, 10);
  if (end == text + 6 || *end != '-') return 0;
  end = strchr(end, '/');
  *total = end == NULL || end[1] == '*' ? -1 : strtoll(end + 1, NULL, 10);
  return 1;
}

/* What a later attempt can say it has a part of, into `out`; empty: nothing (weak ETags are of no use here). */
static int read_validator(const struct request *r, struct buffer *out) {
  struct head_field field;
  out->len = 0;
  if (head_find(&r->head, "etag", 4, &field) && field.value_len > 0 && field.value[0] == '"')
    return buffer_add(out, field.value, field.value_len);
  if (head_find(&r->head, "last-modified", 13, &field)) return buffer_add(out, field.value, field.value_len);
  return 0;
}

static int same_bytes(const struct buffer *a, const struct buffer *b) {
  return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* What is kept is of another file than what comes: a file is begun again, by another attempt; what is handed on can't
 * be. */
static int changed(struct request *r) {
  if (r->file.sink == NULL) return fail(r, ERROR_API, "the file changed in the middle of the download");
  r->file.outdated = 1;
  return fail(r, ERROR_TRANSPORT, "the file changed in the middle of the download");
}

/* A whole file came, though something is kept of it. */
static int start_over(struct request *r, const struct buffer *validator) {
  struct file *f = &r->file;
  if (f->received == 0) return 0;
  if (f->sink == NULL) { /* what is handed on can't be taken back: the same bytes are passed over */
    if (validator->len == 0 || !same_bytes(validator, &f->validator)) return changed(r);
    f->skip = f->received;
    return 0;
  }
  f->received = 0;
  return sink_rewind(f->sink) == 0 ? 0 : fail_at_sink(r);
}

/* The first bytes of a file are here: is it what was asked for? */
static int start_file(struct request *r) {
  struct file *f = &r->file;
  struct buffer validator = {0};
  long long start = 0;
  char length[32];
  int result = read_validator(r, &validator);
  f->total = -1;
  if (r->status == 206) {
    if (!f->ranged || !read_range(r, &start, &f->total) || start != f->received)
      result = fail(r, ERROR_API, "the server sent a part of the file that nobody asked for");
    else if (result == 0 && validator.len != 0 && !same_bytes(&validator, &f->validator))
      result = changed(r); /* If-Range was not obeyed: this is a part of another file */
    if (validator.len == 0 && result == 0) {
      buffer_free(&validator);
      return 0;
    }
  } else if (r->status == 200) {
    if (head_copy(&r->head, "content-length", length, sizeof length)) f->total = strtoll(length, NULL, 10);
    if (result == 0) result = start_over(r, &validator);
  } else {
    result = fail(r, ERROR_API, "the server answered with a status that no file has");
  }
  buffer_free(&f->validator);
  f->validator = validator;
  return result;
}

static int keep_bytes(struct request *r, const char *data, size_t len) {
  struct file *f = &r->file;
  if (f->skip > 0) {
    size_t known = (long long)len < f->skip ? len : (size_t)f->skip;
    f->skip -= (long long)known;
    data += known;
    len -= known;
  }
  if (f->sink != NULL ? sink_write(f->sink, data, len) != 0 : buffer_add(&f->pending, data, len) != 0)
    return f->sink != NULL ? fail_at_sink(r) : -1;
  f->received += (long long)len;
  f->news = 1;
  return 0;
}

/* --- bodies --------------------------------------------------------------------- */

static size_t keep_answer(struct request *r, const char *data, size_t len) {
  size_t most = site_limits(r->site)->max_response_bytes;
  char text[80];
  if (len <= most - r->answer.len) return buffer_add(&r->answer, data, len) == 0 ? len : 0;
  snprintf(text, sizeof text, "the answer is larger than max_response_bytes (%lu)", (unsigned long)most);
  request_fail(r, ERROR_TOO_LARGE, text);
  return 0;
}

/* `answer` holds what came before the content was known. */
static size_t keep_file(struct request *r, const char *data, size_t len) {
  struct file *f = &r->file;
  if (f->pending.len >= MAX_PENDING) {
    f->held = 1;
    return CURL_WRITEFUNC_PAUSE;
  }
  if (f->content == CONTENT_UNKNOWN) {
    f->content = sniff(r, data, len);
    if (f->content == CONTENT_FILE && (start_file(r) != 0 || keep_bytes(r, r->answer.data, r->answer.len) != 0))
      return 0;
    if (f->content == CONTENT_FILE) r->answer.len = 0;
  }
  if (f->content != CONTENT_FILE) return keep_answer(r, data, len);
  return keep_bytes(r, data, len) == 0 ? len : 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *context) {
  struct request *r = context;
  size_t len = size * count, room;
  if (r->status >= 200 && r->status < 300)
    return r->file.expected ? keep_file(r, data, len) : keep_answer(r, data, len);
  room = r->answer.len < MAX_ERROR_BODY ? MAX_ERROR_BODY - r->answer.len : 0;
  return buffer_add(&r->answer, data, len < room ? len : room) == 0 ? len : 0;
}

/* libcurl's own test for a transfer that stands still takes the mean of five seconds, so it is late; while one is set,
 * this is called each second. */
static int on_progress(void *context, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up) {
  struct request *r = context;
  struct file *f = &r->file;
  double time = request_clock();
  (void)total;
  (void)up_total;
  if (now + up != f->moved) {
    f->moved = now + up;
    f->moved_at = time;
  }
  if (time - f->moved_at <= r->timeout) return 0;
  f->stalled = 1;
  return 1;
}

/* --- attempts ------------------------------------------------------------------- */

#define SET(option, value) (code != CURLE_OK ? code : (code = curl_easy_setopt(easy, option, value)))

int receive_wire(struct request *r) {
  CURL *easy = r->slot->easy;
  CURLcode code = CURLE_OK;
  const struct file *f = &r->file;
  char range[32];
  if (r->slot->wired == NULL) {
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
  }
  if (r->slot->wired != r) {
    SET(CURLOPT_HEADERDATA, r);
    SET(CURLOPT_WRITEDATA, r);
    SET(CURLOPT_XFERINFODATA, r);
    SET(CURLOPT_PRIVATE, r);
    r->slot->wired = r;
  }
  if (!f->expected) return (int)code;
  snprintf(range, sizeof range, "%lld-", f->received);
  SET(CURLOPT_NOPROGRESS, 0L);
  SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
  SET(CURLOPT_LOW_SPEED_TIME, (site_milliseconds(r->timeout) + 999) / 1000);
  SET(CURLOPT_RANGE, f->ranged ? range : NULL);
  return (int)code;
}

int receive_begin(struct request *r) {
  struct file *f = &r->file;
  if (!f->expected) return 0;
  f->content = CONTENT_UNKNOWN;
  f->moved = -1;
  f->stalled = 0;
  f->skip = 0;
  if (f->outdated) f->validator.len = 0;
  f->outdated = 0;
  f->ranged = f->received > 0 && f->validator.len != 0 && f->resumes;
  f->before = f->received;
  if (f->ranged || f->received == 0 || f->sink == NULL) return 0;
  f->received = f->before = 0;
  return sink_rewind(f->sink) == 0 ? 0 : fail_at_sink(r);
}

void receive_resume(struct request *r) {
  if (!r->file.held || r->slot == NULL) return;
  r->file.held = 0;
  curl_easy_pause(r->slot->easy, CURLPAUSE_CONT);
}
