/* timers.h - a binary heap of requests by their `due`.
 *
 * Invariant: heap[0] is due first, and every request in the heap knows its index. */
#ifndef SORA_TIMERS_H
#define SORA_TIMERS_H

#include <stddef.h>

#pragma GCC visibility push(hidden)

struct request;

struct timers {
  struct request **heap;
  size_t count, capacity;
};

/* Adds a request whose `due` is set; 0, or -1 when memory is out. */
int timers_add(struct timers *t, struct request *r);

/* Removes a request that is in the heap. */
void timers_remove(struct timers *t, struct request *r);

/* The request that is due first, or NULL. */
struct request *timers_first(const struct timers *t);

void timers_free(struct timers *t);

#pragma GCC visibility pop

#endif
