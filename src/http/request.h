/* request.h - the record of one API call: what to send, how far it is, what came back.
 *
 * Owns the memory of a call and of its answer. Its owner fills it in, hands it to a loop, and reads it when it is done;
 * attempt.c and receive.c carry it out. Invariant: what an attempt found out is one struct, cleared as one, so nothing
 * of an earlier attempt or call is ever reported. */
#ifndef SORA_REQUEST_H
#define SORA_REQUEST_H

#include <curl/curl.h>

#include "base/buffer.h"
#include "http/easy.h"
#include "http/endpoint.h"
#include "http/failure.h"
#include "http/form.h"

#pragma GCC visibility push(hidden)

struct list;
struct multi;
struct part_file;

enum request_state {
  REQUEST_IDLE,    /* being filled in */
  REQUEST_QUEUED,  /* waits until a connection is free */
  REQUEST_RUNNING, /* in a multi handle */
  REQUEST_PAUSED,  /* waits for its next attempt */
  REQUEST_DONE
};

/* What an attempt found out; the buffers keep their memory when it is cleared. */
struct outcome {
  enum failure_kind kind; /* KIND_NONE for a 2xx */
  CURLcode code;
  int status;           /* HTTP status; 0: no answer */
  int headers_complete; /* the end of the headers was received */
  size_t header_bytes;  /* of this answer and the 1xx before it */
  size_t error_bytes;   /* read of a body that is not a 2xx's */
  int cut;              /* such a body is too long: the rest was refused, and nothing is wrong but the status */
  int http_version;     /* the major number */
  double retry_after;   /* seconds the server asked to wait, or -1 */
  int retryable, ambiguous;
  struct buffer headers; /* of the answer */
  struct buffer body;    /* of the answer; of a file only what is no file */
  struct buffer message; /* why it failed: see request_message */
};

/* What a download received: text goes to the outcome's body instead of the file. */
enum content { CONTENT_UNKNOWN, CONTENT_FILE, CONTENT_TEXT };

/* The file that a download receives, over all its attempts. */
struct file {
  int expected;             /* the request is a download */
  struct part_file *target; /* where the bytes go; NULL: to `pending`, for a sink */
  struct buffer pending;    /* bytes for the owner to take */
  int paused;               /* libcurl waits until `pending` is taken */
  int listened;             /* the owner is notified of all bytes, not only of the first ones of an attempt */
  int unread;               /* bytes came that the owner has not been notified of */
  int may_resume;           /* a broken transfer may be resumed */
  int outdated;             /* the part that we have belongs to another version: start over */
  int restarted;            /* it has been started over, which is granted once */
  int ranged;               /* this attempt asked for the rest only */
  int failures;             /* attempts in a row without bytes that can be resumed from */
  long long received;       /* bytes that we have, over all attempts */
  long long furthest;       /* the most that `received` has ever been when an attempt ended */
  long long total;          /* of the version that `validator` names, or -1 */
  long long end;            /* where this attempt's part ends, or -1 */
  long long skip;           /* bytes to drop: the sink has had them */
  struct buffer validator;  /* for If-Range (RFC 9110, 13.1.5): a strong ETag, or Last-Modified */
  enum content content;
};

/* How a transfer moves whose timeout is for standing still. */
struct motion {
  long long bytes; /* in both directions when it last moved, and when that was */
  double at;
  int stalled; /* no byte came or went for longer than the timeout */
};

struct request {
  struct endpoint *endpoint;

  /* the call */
  const char *method;          /* "GET", "POST" or "DELETE": static */
  struct buffer path;          /* with the base path, encoded */
  struct buffer query;         /* beside the base URL's own, encoded; empty: none */
  struct buffer url;           /* instead of path and query: an address of any origin; empty: none */
  struct curl_slist *headers;  /* NULL: the endpoint's */
  struct buffer content_type;  /* of a POST's body; empty: `headers` have it, or libcurl makes it */
  struct buffer body;          /* what is sent */
  struct form form;            /* sent instead of the body, if it has parts */
  struct buffer secrets;       /* of this call alone */
  double timeout;              /* s, one attempt */
  int max_retries, repeatable; /* see struct retry_facts */
  int takes_film;              /* a POST that some servers answer with the film itself */
  struct file file;
  struct motion motion;

  /* how far it is */
  enum request_state state;
  int attempts, redirects;
  int cross_origin;      /* a redirect or `url` led to another origin */
  const char *verb;      /* the method in use: `method`, or GET after a 303 */
  double started, ended; /* monotonic seconds */
  struct outcome outcome;

  /* the running attempt's, see attempt.c */
  struct easy_pool *pool; /* that `easy` is from */
  struct easy *easy;
  struct curl_slist *extra_headers; /* this attempt's own list, in place of the call's */
  curl_mime *mime;

  /* the loop's */
  int announced; /* loop_take_done gives it once it is done */
  struct request *prev, *next;
  struct list *list;   /* that it is in, or NULL */
  struct multi *multi; /* while it is running */
  int exclusive;       /* shares its connection with no other request */
  double due;          /* monotonic: when a paused request is tried again */
  size_t index;        /* in the heap of timers */
};

void request_init(struct request *r, struct endpoint *endpoint);

/* Prepares a request for another call with `method`: memory is kept, options are the endpoint's, the path is the base
 * path. 0, or -1: memory is out. */
int request_reset(struct request *r, const char *method);

/* Whether it may take as long as it moves: files in either direction, and large bodies. */
int request_is_stream(const struct request *r);

/* Clears what the last attempt found out. */
void request_clear_outcome(struct request *r);

/* Ends a request with a failure of our own. */
void request_fail(struct request *r, enum failure_kind kind, const char *message);

/* Why the request failed, where libcurl or sora said it; "" where the answer's body says it. */
const char *request_message(const struct request *r);

/* Frees large buffers; frees all buffers. */
void request_trim(struct request *r);
void request_forget(struct request *r);

/* Frees everything; no attempt may be running. */
void request_free(struct request *r);

#pragma GCC visibility pop

#endif
