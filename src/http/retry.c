/* retry.c - decides whether and when a call is tried again; see retry.h. */
#include "http/retry.h"

#include <stddef.h>

int retry_is_transient(int status) {
  return status == 408 || status == 409 || status == 425 || status == 429 || status >= 500;
}

/* Whether the server says that it did nothing: any other 5xx may come after the job was made. */
static int refused(int status) {
  return (status >= 400 && status < 500) || status == 503;
}

int retry_is_ambiguous(const struct retry_facts *facts) {
  if (facts->repeatable || facts->unsent) return 0;
  return facts->status == 0 || (facts->status >= 500 && !refused(facts->status));
}

static int worth_repeating(const struct retry_facts *facts) {
  if (facts->attempts > facts->max_retries || facts->advice < 0) return 0;
  if (facts->retry_after > RETRY_LONGEST_AFTER) return 0;
  if (facts->status == 0) return facts->transient && (facts->repeatable || facts->unsent);
  if (!facts->repeatable) return facts->status == 429 || facts->status == 503;
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
