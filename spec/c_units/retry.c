/* Specs of src/http/retry.c: compares it with the rules, written a second time, for every combination of facts. */
#include "http/retry.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "check.h"

/* Makes the facts of a first attempt. `status` 0: no response came; `broken`: because of a transient error. */
static struct retry_facts facts(int status, int broken, int repeatable, int unsent, int advice) {
  struct retry_facts f;
  memset(&f, 0, sizeof f);
  f.attempts = 1;
  f.max_retries = 2;
  f.status = status;
  f.transient = broken;
  f.repeatable = repeatable;
  f.unsent = unsent;
  f.advice = advice;
  f.retry_after = -1;
  return f;
}

static int passes(int status) {
  return status == 408 || status == 409 || status == 425 || status == 429 || (status >= 500 && status <= 599);
}

static void statuses(void) {
  int status;
  for (status = 100; status <= 599; status++) CHECK_CASE(retry_is_transient(status) == passes(status), "%d", status);
}

/* Every status, with each value of x-should-retry (`advice`). A POST is repeated after 429, and after a 503 with a time
 * to come back at; 408, any other 5xx and a 1xx may hide a job that was made. */
static void answers(double retry_after) {
  int status, repeatable, unsent, advice;
  for (status = 100; status <= 599; status++)
    for (repeatable = 0; repeatable <= 1; repeatable++)
      for (unsent = 0; unsent <= 1; unsent++)
        for (advice = -1; advice <= 1; advice++) {
          struct retry_facts f = facts(status, 0, repeatable, unsent, advice);
          int again, ambiguous, put_off = status == 503 && retry_after >= 0;
          f.retry_after = retry_after;
          if (advice > 0 && status < 400) continue; /* advice to retry comes only with an error status */
          if (advice < 0)
            again = 0;
          else if (repeatable)
            again = advice > 0 || passes(status);
          else
            again = status == 429 || put_off;
          if (retry_after > 120) again = 0;
          ambiguous = !repeatable && !unsent && !put_off && (status >= 500 || status == 408 || status < 200);
          CHECK_CASE((retry_delay(&f) >= 0) == again, "status %d repeatable %d unsent %d advice %d after %g", status,
                     repeatable, unsent, advice, retry_after);
          CHECK_CASE(!retry_is_ambiguous(&f) == !ambiguous, "status %d repeatable %d unsent %d advice %d after %g",
                     status, repeatable, unsent, advice, retry_after);
          CHECK_CASE(!(again && ambiguous), "status %d is repeated though it may be paid for twice", status);
        }
}

static void no_answer(void) {
  int broken, repeatable, unsent;
  for (broken = 0; broken <= 1; broken++)
    for (repeatable = 0; repeatable <= 1; repeatable++)
      for (unsent = 0; unsent <= 1; unsent++) {
        struct retry_facts f = facts(0, broken, repeatable, unsent, 0);
        CHECK_CASE((retry_delay(&f) >= 0) == (broken && (repeatable || unsent)), "broken %d repeatable %d unsent %d",
                   broken, repeatable, unsent);
        CHECK_CASE(!retry_is_ambiguous(&f) == (repeatable || unsent), "repeatable %d unsent %d", repeatable, unsent);
      }
}

static void how_often(void) {
  int attempts, max_retries;
  for (max_retries = 0; max_retries <= 5; max_retries++)
    for (attempts = 1; attempts <= 8; attempts++) {
      struct retry_facts f = facts(503, 0, 1, 0, 0);
      f.attempts = attempts;
      f.max_retries = max_retries;
      CHECK_CASE((retry_delay(&f) >= 0) == (attempts <= max_retries), "attempt %d of 1 + %d", attempts, max_retries);
    }
}

static void how_long(void) {
  static const double wanted[] = {0.5, 1, 2, 4, 8, 8, 8};
  size_t i;
  int j;
  struct retry_facts f = facts(500, 0, 1, 0, 0);
  f.max_retries = 2147483647;
  for (i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
    f.attempts = (int)i + 1;
    f.random = 0;
    CHECK_CASE(retry_delay(&f) == wanted[i], "%g", retry_delay(&f));
    f.random = 0.5;
    CHECK_CASE(fabs(retry_delay(&f) - wanted[i] * 0.875) < 1e-9, "%g", retry_delay(&f));
    for (j = 0; j < 100; j++) {
      double delay;
      f.random = pick(1000000) / 1e6;
      delay = retry_delay(&f);
      CHECK_CASE(delay <= wanted[i] && delay > wanted[i] * 0.75, "attempt %d: %g", f.attempts, delay);
    }
  }
  f.attempts = 2147483647;
  f.random = 0;
  CHECK(retry_delay(&f) == 8);
}

static void of_retry_after(void) {
  struct retry_facts f = facts(429, 0, 1, 0, 0);
  f.random = 0.9;
  f.retry_after = 0;
  CHECK(retry_delay(&f) == 0);
  f.retry_after = 3.5;
  CHECK(retry_delay(&f) == 3.5); /* exactly, without jitter: an earlier retry would be refused */
  f.retry_after = 120;
  CHECK(retry_delay(&f) == 120);
  f.retry_after = 120.001;
  CHECK(retry_delay(&f) < 0); /* no retry if the server asks for a longer wait */
  f.retry_after = HUGE_VAL;
  CHECK(retry_delay(&f) < 0);
  f.retry_after = 1;
  f.status = 404;
  CHECK(retry_delay(&f) < 0); /* retry-after alone does not cause a retry */
  f.advice = 1;
  CHECK(retry_delay(&f) == 1);
  f.attempts = 3;
  CHECK(retry_delay(&f) < 0);
}

static void read_wishes(void) {
  static const struct {
    const char *ms, *after;
    double date, now, wanted;
  } cases[] = {
      {NULL, NULL, -1, 1000, -1},      {"1500", NULL, -1, 1000, 1.5},
      {"0", NULL, -1, 1000, 0},        {"0.5", NULL, -1, 1000, 0.0005},
      {"1500", "7", -1, 1000, 1.5}, /* retry-after-ms takes precedence */
      {"soon", "7", -1, 1000, 7},      {"", "7", -1, 1000, 7},
      {"-5", "7", -1, 1000, 7},        {"-5", NULL, -1, 1000, -1},
      {NULL, "7", -1, 1000, 7},        {NULL, "0", -1, 1000, 0},
      {NULL, "2.5", -1, 1000, 2.5},    {NULL, "", -1, 1000, -1},
      {NULL, "-7", -1, 1000, -1},      {NULL, "+7", -1, 1000, -1},
      {NULL, "7s", -1, 1000, -1},      {NULL, "7 ", -1, 1000, -1},
      {NULL, "1,5", -1, 1000, -1},     {NULL, "1e3", -1, 1000, -1},
      {NULL, "0x10", -1, 1000, -1},    {NULL, "inf", -1, 1000, -1},
      {NULL, "nan", -1, 1000, -1},     {NULL, ".", -1, 1000, -1},
      {NULL, "1.2.3", -1, 1000, -1},   {NULL, "a date", 1030, 1000, 30},
      {NULL, "a date", 1000, 1000, 0}, {NULL, "a date", 400, 1000, 0}, /* a date in the past: no wait */
      {NULL, "no date", -1, 1000, -1}, {"250", "a date", 1030, 1000, 0.25},
  };
  char digits[400];
  size_t i;
  for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    double got = retry_read_after(cases[i].ms, cases[i].after, cases[i].date, cases[i].now);
    CHECK_CASE(fabs(got - cases[i].wanted) < 1e-9, "ms %s, after %s: %g", cases[i].ms ? cases[i].ms : "-",
               cases[i].after ? cases[i].after : "-", got);
  }
  memset(digits, '9', sizeof digits - 1);
  digits[sizeof digits - 1] = '\0';
  CHECK(retry_read_after(NULL, digits, -1, 1000) > RETRY_LONGEST_AFTER);
}

int main(void) {
  statuses();
  answers(-1);
  answers(0);
  answers(7);
  answers(121); /* too long to wait for, and still no job */
  no_answer();
  how_often();
  how_long();
  of_retry_after();
  read_wishes();
  return summary();
}
