/* request.h - one API call: its attempts, redirects and answer.
 *
 * A request is plain memory that its owner fills in, hands to a loop, and
 * reads when it is done. Invariant: between request_begin and request_end it
 * holds a slot, which is in the loop's multi handle; at all other times it
 * holds none. */
#ifndef SORA_REQUEST_H
#define SORA_REQUEST_H

#include "buffer.h"
#include "failure.h"
#include "form.h"
#include "receive.h"
#include "site.h"

struct curl_slist;
struct lane;

enum request_state {
  REQUEST_IDLE,    /* being filled in */
  REQUEST_QUEUED,  /* waits for its turn */
  REQUEST_RUNNING, /* in the multi handle */
  REQUEST_PAUSED,  /* waits for its next attempt */
  REQUEST_DONE
};

enum request_step { REQUEST_FINISHED, REQUEST_AGAIN /* at once */, REQUEST_LATER /* after a delay */ };

struct request {
  struct site *site;

  /* the call */
  const char *method;         /* "GET", "POST" or "DELETE": static */
  struct buffer path;         /* with the base path, encoded */
  struct buffer query;        /* beside the base URL's own, encoded; empty: none */
  struct buffer body;         /* what is sent */
  struct curl_slist *headers; /* NULL: the site's */
  struct curl_slist *posted_end;
  struct curl_slist *posted; /* the headers of `body`; put before whichever list is sent, while it is */
  struct buffer secrets;     /* of this call alone */
  struct buffer url;         /* instead of path and query: an address of any origin; empty: none */
  struct form form;          /* instead of the body, if it has parts */
  double timeout;            /* s, one attempt */
  int max_retries;
  int repeatable; /* see struct retry_facts */

  /* how far it is */
  enum request_state state;
  struct slot *slot;
  int attempts, redirects;
  int away;              /* a redirect led to another origin */
  const char *verb;      /* the method in use: `method`, or GET after a 303 */
  double started, ended; /* monotonic seconds */

  /* the answer; `kind` is ERROR_NONE for a 2xx */
  enum error_kind kind;
  int code;    /* CURLcode */
  int status;  /* HTTP */
  int headed;  /* the headers came to their end */
  int version; /* of HTTP, without what is behind its point */
  struct buffer head, answer;
  struct buffer message; /* why it failed: see request_message */
  double wish;           /* seconds the server asked to wait, or -1 */
  int retryable, ambiguous;

  struct file file;
  struct curl_slist *if_range; /* of this attempt */
  void *mime;                  /* of this attempt */

  /* the loop's */
  int announced; /* loop_take_done gives it once it is done */
  struct request *prev, *next;
  struct list *list; /* that it is in, or NULL */
  struct lane *lane; /* while it is running */
  int sole;          /* shares no connection there */
  double due;        /* monotonic: when a paused request goes on */
  size_t place;      /* in the loop's heap */
};

/* Monotonic seconds: the clock of all times here. */
double request_clock(void);

void request_init(struct request *r, struct site *site);

/* Makes a request ready for another call with `method`: memory is kept, options are the site's, the path is the base
 * path. */
void request_reset(struct request *r, const char *method);

/* Says what the body is; NULL: that stands elsewhere. For every POST. 0, or -1: memory is out. */
int request_set_type(struct request *r, const char *type);

/* Sets up the next attempt. Afterwards the handle of request_easy belongs into the multi handle. 0, or -1: finished
 * with an error. */
int request_begin(struct request *r);

/* The CURL handle of the running attempt. */
void *request_easy(const struct request *r);

/* Reads the outcome of an attempt whose handle has left the multi handle. `random` is in [0, 1). With REQUEST_LATER,
 * *delay says how many seconds. */
enum request_step request_end(struct request *r, int code, double random, double *delay);

/* Instead of request_end: takes back an attempt that could not be made for want of a descriptor. */
void request_postpone(struct request *r);

/* Lets go of what belongs to an attempt; libcurl must be done with it. */
void request_release(struct request *r);

/* Says why a request failed, when that is for a reason of our own. */
void request_fail(struct request *r, enum error_kind kind, const char *message);
const char *request_message(const struct request *r);

/* Seconds the answer asks to wait before the next poll (openai-poll-after-ms, retry-after-ms, Retry-After), or -1. */
double request_poll_hint(const struct request *r);

/* Lets go of what was sent and answered: of all its memory, or but for what most calls need. */
void request_trim(struct request *r);
void request_forget(struct request *r);

void request_free(struct request *r);

#endif
