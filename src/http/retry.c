/* retry.c - decides whether and when a call is tried again; see retry.h. */
#include "http/retry.h"

#include <stddef.h>

int retry_is_transient(int status) {
  return status == 408 || status == 409 || status == 425 || status == 429 || status >= 500;
}

/* A 503 that names a time comes from a server that is busy. Without one it may come from a mesh whose connection to the
 * server broke after the request was sent. */
static int is_put_off(const struct retry_facts *facts) {
  return facts->status == 503 && facts->retry_after >= 0;
}

/* Proxies answer 408 when the server took too long, so it says as little as a 5xx; and so does a 101. */
int retry_is_ambiguous(const struct retry_facts *facts) {
  if (facts->repeatable || facts->unsent) return 0;
  return facts->status < 200 || facts->status == 408 || (facts->status >= 500 && !is_put_off(facts));
}

static int worth_repeating(const struct retry_facts *facts) {
  if (facts->attempts > facts->max_retries || facts->advice < 0) return 0;
  if (facts->retry_after > RETRY_LONGEST_AFTER) return 0;
  if (facts->status == 0) return facts->transient && (facts->repeatable || facts->unsent);
  if (!facts->repeatable) return facts->status == 429 || is_put_off(facts);
  return facts->advice > 0 || retry_is_transient(facts->status);
}

double retry_delay(const struct retry_facts *facts) {
  double delay = RETRY_FIRST_DELAY;
  int i;
  if (!worth_repeating(facts)) return -1;
  if (facts->retry_after >= 0) return facts->retry_after;
  for (i = 1; i < facts->attempts && delay < RETRY_LONGEST_DELAY; i++) delay *= 2;
  if (delay > RETRY_LONGEST_DELAY) delay = RETRY_LONGEST_DELAY;
  return delay * (1 - RETRY_JITTER * facts->random);
}

/* Reads a plain decimal number, or -1. Not strtod, which accepts "inf", "0x1p3" and the locale's comma. */
static double number(const char *text) {
  double value = 0, unit = 1;
  int digits = 0;
  for (; *text >= '0' && *text <= '9'; text++, digits++) value = value * 10 + (*text - '0');
  if (*text == '.')
    for (text++; *text >= '0' && *text <= '9'; text++, digits++) value += (*text - '0') * (unit /= 10);
  return digits > 0 && *text == '\0' ? value : -1;
}

double retry_read_after(const char *ms, const char *after, double date, double now) {
  double seconds = ms != NULL ? number(ms) : -1;
  if (seconds >= 0) return seconds / 1000;
  if (after == NULL) return -1;
  seconds = number(after);
  if (seconds >= 0 || date < 0) return seconds;
  return date > now ? date - now : 0;
}
