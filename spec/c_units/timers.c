/* Specs of src/loop/timers.c: compares the heap with a plain list. */
#include "loop/timers.h"

#include <string.h>

#include "check.h"
#include "http/request.h"

#define MANY 300

static struct request requests[MANY];
static int inside[MANY];

static double earliest(void) {
  double due = 1e9;
  int i;
  for (i = 0; i < MANY; i++)
    if (inside[i] && requests[i].due < due) due = requests[i].due;
  return due;
}

/* Checks the invariant of timers.h, and that no request is missing. */
static int whole(const struct timers *t) {
  size_t i, count = 0;
  int n;
  for (n = 0; n < MANY; n++) count += (size_t)inside[n];
  if (t->count != count || t->count > t->capacity) return 0;
  for (i = 0; i < t->count; i++) {
    if (t->heap[i]->index != i || !inside[t->heap[i] - requests]) return 0;
    if (i > 0 && t->heap[(i - 1) / 2]->due > t->heap[i]->due) return 0;
  }
  return t->count == 0 ? timers_first(t) == NULL : timers_first(t)->due == earliest();
}

static void put(struct timers *t, int n, double due) {
  requests[n].due = due;
  inside[n] = 1;
  CHECK(timers_add(t, &requests[n]) == 0);
}

static void take(struct timers *t, int n) {
  inside[n] = 0;
  timers_remove(t, &requests[n]);
}

static void by_hand(void) {
  struct timers t = {0};
  CHECK(timers_first(&t) == NULL);
  put(&t, 0, 5);
  CHECK(timers_first(&t) == &requests[0]);
  put(&t, 1, 3);
  put(&t, 2, 4);
  CHECK(timers_first(&t) == &requests[1]);
  take(&t, 1);
  CHECK(timers_first(&t) == &requests[2]);
  take(&t, 0);
  CHECK(timers_first(&t) == &requests[2]);
  take(&t, 2);
  CHECK(timers_first(&t) == NULL && t.count == 0);
  timers_free(&t);
  CHECK(t.heap == NULL && t.capacity == 0);
  timers_free(&t);
  CHECK(timers_first(&t) == NULL);
}

/* The last leaf replaces a removed one. In another branch it may have to move up. */
static void removal_moves_up(void) {
  static const double dues[] = {1, 10, 2, 11, 12, 3, 4, 20, 21};
  struct timers t = {0};
  int i;
  for (i = 0; i < 9; i++) put(&t, i, dues[i]);
  put(&t, 9, 13);
  put(&t, 10, 14);
  put(&t, 11, 5); /* the last leaf: in the branch of 3, and earlier than all in the branch of 10 */
  CHECK(whole(&t));
  take(&t, 7);
  CHECK(whole(&t));
  for (i = 0; i < MANY; i++)
    if (inside[i]) take(&t, i);
  CHECK(whole(&t));
  timers_free(&t);
}

static void at_random(void) {
  struct timers t = {0};
  int round;
  for (round = 0; round < 20000; round++) {
    int n = (int)pick(MANY);
    if (inside[n])
      take(&t, n);
    else
      put(&t, n, pick(round % 2 ? 8 : 100000)); /* with 8, many are due at the same time */
    if (round % 7 == 0) CHECK_CASE(whole(&t), "round %d", round);
  }
  timers_free(&t);
  memset(inside, 0, sizeof inside);
}

static void in_order(void) {
  struct timers t = {0};
  double last = -1;
  int i;
  for (i = 0; i < MANY; i++) put(&t, i, pick(1000));
  for (i = 0; i < MANY; i++) {
    struct request *first = timers_first(&t);
    CHECK_CASE(first != NULL && first->due >= last, "the one at %d", i);
    last = first->due;
    take(&t, (int)(first - requests));
  }
  CHECK(timers_first(&t) == NULL);
  timers_free(&t);
}

int main(void) {
  by_hand();
  removal_moves_up();
  at_random();
  in_order();
  return summary();
}
