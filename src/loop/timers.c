/* timers.c - a binary heap of requests; see timers.h. */
#include "loop/timers.h"

#include <stdlib.h>

#include "http/request.h"

static void put(struct timers *t, size_t index, struct request *r) {
  t->heap[index] = r;
  r->index = index;
}

/* Moves the request at `index` towards the root or the leaves until the heap is in order. */
static void settle(struct timers *t, size_t index) {
  struct request *r = t->heap[index];
  while (index > 0 && r->due < t->heap[(index - 1) / 2]->due) {
    put(t, index, t->heap[(index - 1) / 2]);
    index = (index - 1) / 2;
  }
  for (;;) {
    size_t child = 2 * index + 1;
    if (child + 1 < t->count && t->heap[child + 1]->due < t->heap[child]->due) child++;
    if (child >= t->count || t->heap[child]->due >= r->due) break;
    put(t, index, t->heap[child]);
    index = child;
  }
  put(t, index, r);
}

int timers_add(struct timers *t, struct request *r) {
  if (t->count == t->capacity) {
    size_t capacity = t->capacity != 0 ? t->capacity * 2 : 16;
    struct request **heap = realloc(t->heap, capacity * sizeof *heap);
    if (heap == NULL) return -1;
    t->heap = heap;
    t->capacity = capacity;
  }
  put(t, t->count++, r);
  settle(t, t->count - 1);
  return 0;
}

void timers_remove(struct timers *t, struct request *r) {
  size_t index = r->index;
  struct request *last = t->heap[--t->count];
  if (last == r) return;
  put(t, index, last);
  settle(t, index);
}

struct request *timers_first(const struct timers *t) {
  return t->count > 0 ? t->heap[0] : NULL;
}

void timers_free(struct timers *t) {
  free(t->heap);
  t->heap = NULL;
  t->count = t->capacity = 0;
}
