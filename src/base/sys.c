/* sys.c - the part of sys.h that no platform changes. Pure, except for the thread's locale. */
#include "base/sys.h"

#include <stdlib.h>
#include <string.h>

/* xorshift64* */
double sys_random(uint64_t *seed) {
  *seed ^= *seed >> 12;
  *seed ^= *seed << 25;
  *seed ^= *seed >> 27;
  return (double)((*seed * UINT64_C(2685821657736338717)) >> 11) / 9007199254740992.0;
}

double sys_read_number(const char *text) {
  void *before;
  double value;
  if (strcmp(sys_decimal_point(), ".") == 0) return strtod(text, NULL);
  before = sys_enter_c_locale();
  value = strtod(text, NULL);
  sys_leave_c_locale(before);
  return value;
}

/* volatile keeps the compiler from leaving the loop at the first difference. */
int sys_same(const char *a, const char *b, size_t len) {
  const volatile unsigned char *x = (const volatile unsigned char *)a, *y = (const volatile unsigned char *)b;
  unsigned char difference = 0;
  size_t i;
  for (i = 0; i < len; i++) difference |= (unsigned char)(x[i] ^ y[i]);
  return difference == 0;
}
