/* lanes.h - the connections that requests run over: libcurl's multi handles, and how many connections each may have.
 *
 * libcurl looks at every connection of a multi handle for every request that
 * begins or ends, so over HTTP/1, where each request has a connection, several
 * handles of bounded size share the work. Over HTTP/2 one connection carries
 * many requests, and one handle has them all. Invariants: a running request is
 * in exactly one lane; lane n + 1 is used only while lanes 0 to n are full, so all together never
 * open more than `most` connections to the server. */
#ifndef SORA_LANES_H
#define SORA_LANES_H

#include <stddef.h>

struct loop;
struct request;

/* What the server speaks: known once it has answered, or once two requests share a connection. */
enum protocol { PROTOCOL_UNKNOWN, PROTOCOL_HTTP_1, PROTOCOL_HTTP_2 };

struct lane {
  void *multi; /* CURLM */
  struct loop *loop;
  unsigned index;
  size_t running, most; /* requests, and how many there ever were at once */
  size_t cap;           /* connections it may have */
  double alarm;         /* monotonic: when libcurl wants to be called, or -1 */
  double emptied;       /* monotonic: when its last request left */
  int stirred;          /* libcurl has worked, so requests may be done */
  int polled; /* libcurl waits for its socket itself; nothing else is waited for, so there is no other request */
};

struct lanes {
  struct lane **lane;
  unsigned count, room;
  size_t most;    /* connections to one host */
  size_t running; /* in all lanes */
  size_t sole;    /* of those: with a connection each, whatever the protocol */
  size_t ceiling; /* connections there may be until `scarce` */
  double scarce;  /* monotonic: descriptors have run out, and may be there again at this time; or 0 */
  enum protocol protocol;
};

/* Opens the first lane; 0, or -1. */
int lanes_open(struct loop *loop, size_t most);

/* How many connections there must be for this request to run beside the others, and whether there may be so many. */
size_t lanes_wanted(const struct lanes *l, const struct request *r);
int lanes_have_room(const struct loop *loop, const struct request *r);

/* Puts a request that has begun into a lane, or takes it out. The result of lanes_enter is a CURLMcode. */
int lanes_enter(struct loop *loop, struct request *r);
void lanes_leave(struct loop *loop, struct request *r);

/* Looks whether requests share a connection though none is answered yet: that is HTTP/2, and what waits for the first
 * answer need not. */
void lanes_observe(struct loop *loop);

/* Told that an answer came by HTTP/`version`, and that there was no descriptor for another connection. */
void lanes_learn(struct lanes *l, int version);
void lanes_starve(struct lanes *l);

/* Closes all connections. */
void lanes_close(struct lanes *l, int forked);

#endif
