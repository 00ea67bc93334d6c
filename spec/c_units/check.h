/* check.h - shared by the C specs: counted checks, and pseudo-random numbers that are the same in every run.
 *
 * Each program ends with `return summary();`, which prints how many checks ran. The spec fails if none did. */
#ifndef SORA_CHECK_H
#define SORA_CHECK_H

#include <stdio.h>
#include <stdlib.h>

static long checks, failures;

/* Checks a condition. The further arguments, as of printf, say which case it is. */
#define CHECK_CASE(condition, ...)                        \
  do {                                                    \
    checks++;                                             \
    if (!(condition) && ++failures <= 20) {               \
      printf("%s:%d: %s: ", __FILE__, __LINE__, #condition); \
      printf(__VA_ARGS__);                                \
      putchar('\n');                                      \
    }                                                     \
  } while (0)

#define CHECK(condition) CHECK_CASE(condition, "is false")

static inline int summary(void) {
  printf("%ld checks, %ld failed\n", checks, failures);
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Returns a pseudo-random integer from 0 to limit - 1. */
static inline unsigned pick(unsigned limit) {
  static unsigned long long state = 20260924;
  state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  return (unsigned)(state >> 33) % limit;
}

#endif
