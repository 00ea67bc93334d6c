/* timers.c - a binary heap of requests; see timers.h. */
#include "timers.h"

#include <stdlib.h>

#include "request.h"

static void put(struct timers *t, size_t place, struct request *r) {
  t->heap[place] = r;
  r->place = place;
}

/* Moves the request at `place` to where it belongs, towards the root or the leaves. */
static void settle(struct timers *t, size_t place) {
  struct request *r = t->heap[place];
  while (place > 0 && r->due < t->heap[(place - 1) / 2]->due) {
    put(t, place, t->heap[(place - 1) / 2]);
    place = (place - 1) / 2;
  }
  for (;;) {
    size_t child = 2 * place + 1;
    if (child + 1 < t->count && t->heap[child + 1]->due < t->heap[child]->due) child++;
    if (child >= t->count || t->heap[child]->due >= r->due) break;
    put(t, place, t->heap[child]);
    place = child;
  }
  put(t, place, r);
}

int timers_add(struct timers *t, struct request *r) {
  if (t->count == t->room) {
    size_t room = t->room != 0 ? t->room * 2 : 16;
    struct request **heap = realloc(t->heap, room * sizeof *heap);
    if (heap == NULL) return -1;
    t->heap = heap;
    t->room = room;
  }
  put(t, t->count++, r);
  settle(t, t->count - 1);
  return 0;
}

void timers_remove(struct timers *t, struct request *r) {
  size_t place = r->place;
  struct request *last = t->heap[--t->count];
  if (last == r) return;
  put(t, place, last);
  settle(t, place);
}

struct request *timers_first(const struct timers *t) {
  return t->count > 0 ? t->heap[0] : NULL;
}

void timers_free(struct timers *t) {
  free(t->heap);
  t->heap = NULL;
  t->count = t->room = 0;
}
