/* receive.c - what an attempt receives; see receive.h. */
#include "http/receive.h"

#include <limits.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/inflate.h"
#include "base/media.h"
#include "base/part_file.h"
#include "base/sys.h"
#include "http/headers.h"

#define MAX_HEADERS (256 * 1024)   /* bytes of an answer's headers, with those of all 1xx before it */
#define MAX_ERROR_BODY (64 * 1024) /* bytes kept of an answer that is not a 2xx */
#define MAX_ERROR_READ (1 << 20)   /* bytes read of it, for the sake of its connection */
#define MAX_PENDING (256 * 1024)   /* bytes queued for a sink before the transfer is paused */
#define FILM_HEAD 8                /* bytes that tell a film */
#define NEVER 1000000L             /* s */
#define KEPT_HEAD 1024             /* bytes of memory kept after a file's head */
#define MAX_ENCODING 32            /* bytes of the name of an encoding */
#define COMPRESSED                                                                                                     \
  "the server sent the file compressed, which was not asked for: is Accept-Encoding among your headers?"
#define CHANGED "the file changed in the middle of the download"

static int is_success(int status) {
  return status >= 200 && status < 300;
}

/* "HTTP/1.1 200 OK" begins a header block. libcurl has read the status: two readers might differ. */
static void start_headers(struct request *r, const char *line) {
  long status = 0;
  curl_easy_getinfo(r->easy->handle, CURLINFO_RESPONSE_CODE, &status);
  r->outcome.status = (int)status;
  r->outcome.headers_complete = 0;
  r->outcome.http_version = line[5] - '0';
  r->outcome.headers.len = 0;
}

/* Whether a header block begins: it is the first one, or the one after a 1xx. A header or a trailer may look like a
 * status line, too. */
static int is_block_due(const struct outcome *out) {
  return out->status == 0 || (out->headers_complete && out->status < 200);
}

static size_t on_header(char *line, size_t size, size_t count, void *context) {
  struct request *r = context;
  struct buffer *headers = &r->outcome.headers;
  size_t len = size * count;
  r->outcome.header_bytes += len;
  if (r->outcome.header_bytes > MAX_HEADERS) {
    request_fail(r, KIND_TOO_LARGE, "expected at most 256 KiB of headers, got more");
    return 0;
  }
  if (len > 5 && headers_same(line, "HTTP/", 5) && is_block_due(&r->outcome)) {
    start_headers(r, line);
    return len;
  }
  if (len > 0 && (*line == '\r' || *line == '\n')) r->outcome.headers_complete = 1; /* as libcurl tells it */
  return buffer_add(headers, line, len) == 0 ? len : 0;
}

static int fail(struct request *r, enum failure_kind kind, const char *message) {
  request_fail(r, kind, message);
  return -1;
}

/* Fails if the answer is larger than `most` bytes. 0 or -1. */
static int fail_above(struct request *r, size_t len, size_t most) {
  char text[128];
  if (len <= most) return 0;
  snprintf(text, sizeof text, "the answer is larger than max_response_bytes (%lu): raise that option, or ask for less",
           (unsigned long)most);
  return fail(r, KIND_TOO_LARGE, text);
}

/* --- compressed answers ----------------------------------------------------------- */

/* libcurl decodes nothing that it has not asked for, and to ask would cost each request. */
enum packing { PACKING_NONE, PACKING_KNOWN, PACKING_UNKNOWN };

static int is_word(const char *a, const char *b) {
  return strlen(a) == strlen(b) && headers_same(a, b, strlen(b));
}

/* Tells how bytes are compressed, and what the server calls that. The bytes count more than the label, which some
 * servers get wrong ("utf-8"), and some leave to a file that is not compressed. */
static enum packing packing_of(const struct request *r, const char *data, size_t len, char label[MAX_ENCODING]) {
  label[0] = '\0';
  if (inflate_is_gzip(data, len)) return PACKING_KNOWN;
  if (len == 0 || memchr("{[<\" \t\r\n\xEF", *data, 9) != NULL || media_of_bytes(data, len) != NULL ||
      !headers_copy(&r->outcome.headers, "content-encoding", label, MAX_ENCODING))
    return PACKING_NONE;
  if (is_word(label, "deflate")) return PACKING_KNOWN;
  return is_word(label, "br") || is_word(label, "zstd") || is_word(label, "compress") ? PACKING_UNKNOWN : PACKING_NONE;
}

/* --- files ---------------------------------------------------------------------- */

/* Tells a file from JSON, HTML, XML and what is compressed, which never become a file: by the type, or by the first
 * bytes that are neither blank nor a byte order mark. */
static enum content sniff(const struct request *r, const char *data, size_t len) {
  char type[64] = "", label[MAX_ENCODING];
  headers_copy(&r->outcome.headers, "content-type", type, sizeof type);
  if (headers_same(type, "application/json", 16) || headers_same(type, "text/", 5)) return CONTENT_TEXT;
  if (r->outcome.status == 206 && r->file.ranged) return CONTENT_FILE; /* any bytes, from the middle of the file */
  if (packing_of(r, data, len, label) != PACKING_NONE) return CONTENT_TEXT;
  if (len == 1 && *data == '\x1F') return CONTENT_UNKNOWN; /* perhaps gzip */
  while (len > 0 && memchr(" \t\r\n\xEF\xBB\xBF", *data, 7) != NULL) data++, len--;
  if (len == 0) return CONTENT_UNKNOWN;
  return memchr("{[<", *data, 3) != NULL ? CONTENT_TEXT : CONTENT_FILE;
}

/* Whether the answer to a create is the film itself: only what surely is one, because anything else is an error. */
static enum content sniff_film(const struct request *r, const char *data, size_t len) {
  char type[64] = "";
  enum content plain = sniff(r, data, len);
  if (plain != CONTENT_FILE) return plain;
  headers_copy(&r->outcome.headers, "content-type", type, sizeof type);
  if (headers_same(type, "video/", 6)) return CONTENT_FILE;
  if (len < FILM_HEAD) return CONTENT_UNKNOWN;
  return memcmp(data + 4, "ftyp", 4) == 0 || memcmp(data, "\x1A\x45\xDF\xA3", 4) == 0 ? CONTENT_FILE : CONTENT_TEXT;
}

/* Fails with what went wrong at the part file. */
static int fail_file(struct request *r) {
  char text[512];
  part_file_explain(r->file.target, text, sizeof text);
  return fail(r, KIND_FILE, text);
}

/* Reads "bytes 100-199/1000" (RFC 9110, 14.4) into *start, *end (200) and *total (-1 for "*"); returns whether it is
 * that. */
static int read_range(const struct request *r, long long *start, long long *stop, long long *total) {
  char text[80], *at, *end;
  if (!headers_copy(&r->outcome.headers, "content-range", text, sizeof text) || !headers_same(text, "bytes ", 6))
    return 0;
  *start = strtoll(text + 6, &end, 10);
  if (end == text + 6 || *end != '-') return 0;
  at = end + 1;
  *stop = strtoll(at, &end, 10);
  if (end == at || *end != '/' || *start < 0 || *stop < *start || *stop == LLONG_MAX) return 0;
  ++*stop;
  at = end + 1;
  *total = *at == '*' ? -1 : strtoll(at, &end, 10);
  return *total < 0 ? *at == '*' : end != at && *stop <= *total;
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

/* What comes is not of the version that we have a part of, or not its length. A part file is started over by another
 * attempt; a sink can't be. */
static int fail_changed(struct request *r, const char *message) {
  if (r->file.target == NULL) return fail(r, KIND_API, message);
  r->file.outdated = 1;
  return fail(r, KIND_TRANSPORT, message);
}

/* The whole file comes, though we have a part of it: rewinds the part file, or drops the bytes that the sink has had.
 */
static int start_over(struct request *r, const struct buffer *validator) {
  struct file *f = &r->file;
  if (f->received == 0) return 0;
  if (f->target == NULL) {
    if (validator->len == 0 || !is_same(validator, &f->validator)) return fail_changed(r, CHANGED);
    f->skip = f->received;
    return 0;
  }
  f->received = 0;
  return part_file_cut(f->target, 0) == 0 ? 0 : fail_file(r);
}

/* Reads the headers of a whole file. */
static int start_whole(struct request *r, const struct buffer *validator, long long total) {
  struct file *f = &r->file;
  int same = validator->len != 0 && is_same(validator, &f->validator);
  if (total < 0 && same) total = f->total;
  if (start_over(r, validator) != 0) return -1;
  if (f->skip > 0 && f->total >= 0 && total != f->total) return fail_changed(r, CHANGED);
  f->total = total;
  return 0;
}

/* Reads the headers of a partial answer (206): it must continue the part that we have, or be the whole file. */
static int start_part(struct request *r, const struct buffer *validator) {
  struct file *f = &r->file;
  long long start = 0, total = -1;
  int known = read_range(r, &start, &f->end, &total);
  if (known && !f->ranged && start == 0 && f->end == total) return start_whole(r, validator, total);
  if (!known || !f->ranged || start != f->received)
    return fail(r, KIND_API, "the server sent a different part of the file than the one requested");
  if (validator->len != 0 && !is_same(validator, &f->validator)) return fail_changed(r, CHANGED); /* If-Range ignored */
  if (total < 0) total = f->total;
  if (total < 0) return fail_changed(r, "the server sent a part of a file without the file's length");
  if (f->total >= 0 && total != f->total) return fail_changed(r, CHANGED);
  f->total = total;
  return 0;
}

/* Reads the number that a field's value begins with; -1: it begins with none. */
static long long read_number(const struct header *field) {
  char text[32], *end;
  size_t len = field->value_len < sizeof text ? field->value_len : sizeof text - 1;
  long long number;
  memcpy(text, field->value, len);
  text[len] = '\0';
  number = strtoll(text, &end, 10);
  return end == text ? -1 : number;
}

/* The length that an answer names, or -1: it names none, or is chunked (RFC 9112, 6.3). Of several the largest counts,
 * so that nothing short passes for the whole. */
static long long read_length(const struct request *r) {
  struct header field;
  size_t at = 0;
  long long length = -1;
  while (headers_next(&r->outcome.headers, &at, &field)) {
    if (field.name_len == 17 && headers_same(field.name, "transfer-encoding", 17)) return -1;
    if (field.name_len == 14 && headers_same(field.name, "content-length", 14)) {
      long long one = read_number(&field);
      if (one > length) length = one;
    }
  }
  return length;
}

/* Reads the headers of a file when its first bytes are here. 0, or -1: the request has failed. */
static int start_file(struct request *r) {
  struct file *f = &r->file;
  struct buffer validator = {0};
  int result = read_validator(r, &validator);
  f->unread = 1;
  if (result == 0 && r->outcome.status == 206) {
    result = start_part(r, &validator);
    if (result == 0 && validator.len == 0 && f->ranged) return 0; /* ours still names this version */
  } else if (result == 0 && (r->outcome.status == 200 || r->takes_film)) {
    result = start_whole(r, &validator, read_length(r));
  } else if (result == 0) {
    char text[64];
    snprintf(text, sizeof text, "expected status 200 or 206 for a download, got %d", r->outcome.status);
    result = fail(r, KIND_API, text);
  }
  buffer_free(&f->validator);
  f->validator = validator;
  return result;
}

static int keep_bytes(struct request *r, const char *data, size_t len) {
  struct file *f = &r->file;
  long long most = f->end >= 0 ? f->end : f->total;
  if (len == 0) return 0;
  if (f->skip > 0) {
    size_t known = (long long)len < f->skip ? len : (size_t)f->skip;
    f->skip -= (long long)known;
    data += known;
    len -= known;
  }
  if (most >= 0 && (long long)len > most - f->received)
    return fail_changed(r, "the server sent more bytes than the file has");
  if (f->target == NULL && buffer_add(&f->pending, data, len) != 0) return -1;
  if (f->target != NULL && part_file_write(f->target, data, len) != 0) return fail_file(r);
  f->received += (long long)len;
  if (f->listened) f->unread = 1;
  return 0;
}

/* --- bodies --------------------------------------------------------------------- */

static size_t keep_answer(struct request *r, const char *data, size_t len) {
  size_t most = r->endpoint->limits.max_response_bytes;
  struct buffer *body = &r->outcome.body;
  if (r->takes_film && r->file.content == CONTENT_FILE) most = SIZE_MAX;
  if (r->file.expected && len > most - body->len && inflate_is_gzip(body->data, body->len)) {
    request_fail(r, KIND_API, COMPRESSED);
    return 0;
  }
  if (fail_above(r, body->len + len, most) != 0) return 0;
  return buffer_add(body, data, len) == 0 ? len : 0;
}

/* Keeps the answer to a create, which may be the film. */
static size_t keep_created(struct request *r, const char *data, size_t len) {
  if (r->takes_film && r->file.content == CONTENT_UNKNOWN) {
    const struct buffer *body = &r->outcome.body;
    r->file.content = body->len >= FILM_HEAD ? sniff_film(r, body->data, body->len) : sniff_film(r, data, len);
  }
  return keep_answer(r, data, len);
}

/* Keeps the first bytes where a file is expected, until they tell what it is. 0 or -1. */
static int keep_head(struct request *r, const char *data, size_t len) {
  struct buffer *body = &r->outcome.body;
  if (buffer_add(body, data, len) != 0) return -1;
  r->file.content = r->takes_film ? sniff_film(r, body->data, body->len) : sniff(r, body->data, body->len);
  if (r->file.content != CONTENT_FILE) return fail_above(r, body->len, r->endpoint->limits.max_response_bytes);
  if (start_file(r) != 0 || keep_bytes(r, body->data, body->len) != 0) return -1;
  buffer_clear(body, KEPT_HEAD);
  return 0;
}

/* Keeps bytes where a file is expected. */
static size_t keep_file(struct request *r, const char *data, size_t len) {
  struct file *f = &r->file;
  if (f->pending.len >= MAX_PENDING) {
    f->paused = 1;
    return CURL_WRITEFUNC_PAUSE;
  }
  if (f->content == CONTENT_UNKNOWN) return keep_head(r, data, len) == 0 ? len : 0;
  if (f->content != CONTENT_FILE) return keep_answer(r, data, len);
  return keep_bytes(r, data, len) == 0 ? len : 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *context) {
  struct request *r = context;
  size_t len = size * count, left;
  if (is_success(r->outcome.status)) return r->file.expected ? keep_file(r, data, len) : keep_created(r, data, len);
  if (len > MAX_ERROR_READ - r->outcome.error_bytes) {
    r->outcome.cut = 1;
    return 0;
  }
  r->outcome.error_bytes += len;
  left = r->outcome.body.len < MAX_ERROR_BODY ? MAX_ERROR_BODY - r->outcome.body.len : 0;
  return buffer_add(&r->outcome.body, data, len < left ? len : left) == 0 ? len : 0;
}

/* Ends a transfer that stands still, but not one that waits for its own reader. libcurl's test is late, because it
 * takes the mean of five seconds; but while one is set, libcurl calls this each second. */
static int on_progress(void *context, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up) {
  struct request *r = context;
  struct motion *m = &r->motion;
  double time = sys_clock();
  (void)total;
  (void)up_total;
  if (!is_success(r->outcome.status)) now = 0; /* an error must not keep a transfer alive byte by byte */
  if (now + up != m->bytes || r->file.paused) {
    m->bytes = now + up;
    m->at = time;
  }
  m->stalled = time - m->at > r->timeout;
  return m->stalled;
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
  if (!request_is_stream(r)) return code;
  EASY_SET(CURLOPT_XFERINFOFUNCTION, on_progress);
  EASY_SET(CURLOPT_XFERINFODATA, r);
  EASY_SET(CURLOPT_NOPROGRESS, 0L);
  EASY_SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
  EASY_SET(CURLOPT_LOW_SPEED_TIME, NEVER);
  snprintf(range, sizeof range, "%lld-", r->file.received);
  EASY_SET(CURLOPT_RANGE, r->file.ranged ? range : NULL);
  return code;
}

int receive_begin(struct request *r) {
  struct file *f = &r->file;
  r->motion.bytes = -1;
  r->motion.stalled = 0;
  f->content = CONTENT_UNKNOWN;
  if (!f->expected) return 0;
  f->skip = f->outdated = f->paused = 0;
  f->end = -1;
  f->ranged = f->received > 0 && f->validator.len != 0 && f->may_resume;
  if (f->ranged || f->received == 0 || f->target == NULL) return 0;
  f->received = 0;
  return part_file_cut(f->target, 0) == 0 ? 0 : fail_file(r);
}

/* Puts what compressed data stands for in its place. Of an error's body a part is better than nothing. */
static enum inflate_result unpack_body(struct request *r) {
  struct buffer *body = &r->outcome.body, plain = {0};
  int is_error = !is_success(r->outcome.status);
  size_t most = is_error ? MAX_ERROR_BODY : r->endpoint->limits.max_response_bytes;
  enum inflate_result result = inflate(body->data, body->len, most, &plain);
  if (result == INFLATE_DONE || (is_error && plain.len > 0)) {
    buffer_free(body);
    *body = plain;
  } else {
    buffer_free(&plain);
  }
  return is_error ? INFLATE_DONE : result;
}

static void fail_unknown(struct request *r, const char *label) {
  char text[160];
  snprintf(text, sizeof text,
           "the answer is compressed as '%s', which was not asked for; the header Accept-Encoding must not name it",
           label);
  request_fail(r, KIND_DECODE, text);
}

int receive_unpack(struct request *r) {
  struct buffer *body = &r->outcome.body;
  char label[MAX_ENCODING];
  enum packing packing = packing_of(r, body->data, body->len, label);
  if (packing == PACKING_UNKNOWN && is_success(r->outcome.status)) fail_unknown(r, label);
  if (packing != PACKING_KNOWN) return 0;
  switch (unpack_body(r)) {
    case INFLATE_DONE: break;
    case INFLATE_NO_MEMORY: request_fail(r, KIND_TRANSPORT, "out of memory"); return 0;
    case INFLATE_TOO_LARGE: (void)fail_above(r, SIZE_MAX, r->endpoint->limits.max_response_bytes); return 0;
    case INFLATE_BROKEN: request_fail(r, KIND_DECODE, "the answer is compressed, and its data is damaged"); return 1;
  }
  if (!is_success(r->outcome.status)) return 0;
  if (r->file.expected && sniff(r, body->data, body->len) == CONTENT_FILE) request_fail(r, KIND_API, COMPRESSED);
  if (r->takes_film && !r->file.expected) r->file.content = sniff_film(r, body->data, body->len);
  return 0;
}

int receive_is_film(const struct request *r) {
  return r->takes_film && r->file.content == CONTENT_FILE;
}

int receive_is_whole(const struct request *r) {
  long long length = read_length(r);
  if (!r->outcome.headers_complete || r->outcome.status < 200 || length < 0) return 0;
  if (r->file.expected && r->file.content == CONTENT_FILE) return r->file.received == r->file.total;
  return (long long)r->outcome.body.len == length;
}

int receive_resume(struct request *r) {
  CURLcode code;
  if (!r->file.paused || r->easy == NULL) return 0;
  r->file.paused = 0;
  r->motion.at = sys_clock();
  code =
      curl_easy_pause(r->easy->handle, CURLPAUSE_CONT); /* any other code is the transfer's own, which tells it, too */
  return code == CURLE_ABORTED_BY_CALLBACK || code == CURLE_OUT_OF_MEMORY ? -1 : 0;
}
