/* receive.h - what comes back: headers, JSON, and files that are written, resumed or handed on piece by piece.
 *
 * Owns libcurl's callbacks. Invariant: they fill C buffers and files and nothing
 * else; what a user's function hears, it hears later. */
#ifndef SORA_RECEIVE_H
#define SORA_RECEIVE_H

#include "buffer.h"

struct request;
struct sink;

/* What came where a file was expected; text went to the request's `answer`. */
enum content { CONTENT_UNKNOWN, CONTENT_FILE, CONTENT_TEXT };

/* A file that a request expects. */
struct file {
  int expected;
  struct sink *sink;       /* where it goes; NULL: to `pending` */
  struct buffer pending;   /* for the owner to take */
  int held;                /* libcurl waits until `pending` is taken */
  int news;                /* bytes came since the owner looked */
  int resumes;             /* a transfer that broke off may be gone on with */
  int outdated;            /* what is kept is of another file: begin again */
  int ranged;              /* this attempt asked for the rest alone */
  int fruitless;           /* attempts in a row that brought nothing to go on from */
  long long received;      /* bytes that are kept, over all attempts */
  long long before;        /* the same when the attempt began */
  long long total;         /* of the whole file, or -1 */
  long long skip;          /* bytes that come again and are passed over */
  struct buffer validator; /* what If-Range says (RFC 9110, 13.1.5): a strong ETag, or Last-Modified */
  enum content content;
  long long moved; /* bytes when the transfer last moved, and when that was */
  double moved_at;
  int stalled;
};

/* Sets the callbacks of the request's handle; the result is a CURLcode. */
int receive_wire(struct request *r);

/* Before each attempt: whatever is kept of a file is gone on from, where the server can, or dropped. 0, or -1: the
 * request has failed. */
int receive_begin(struct request *r);

/* Lets a held transfer go on, once `pending` is taken. */
void receive_resume(struct request *r);

#endif
