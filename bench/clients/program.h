/* program.h - what the C programs of the benchmark share: the command line, the options of a transfer, the check of an
 * answer, and the line of figures that each prints at its end.
 *
 * Invariant: a program that prints its line has had nothing but right answers. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <curl/curl.h>
#include <stddef.h>

#define PROGRAM_CANNOT 3 /* the exit status of a program that has no such WHAT */

struct program {
  const char *what, *url, *extra; /* extra: "" when there is none */
  long count, flight;
  struct curl_slist *headers;
  double wall, cpu; /* when the measured section began */
  long rss;         /* KiB, then */
};

/* An answer in memory, which the next one reuses. */
struct body {
  char *data;
  size_t len, room;
};

/* Reads "WHAT URL COUNT FLIGHT [EXTRA]"; "probe" prints libcurl's version and ends the program. */
void program_open(struct program *program, int argc, char **argv);
void program_close(struct program *program);

/* A handle with the options that all requests of a program have. Its answer goes to `body`, if there is one. */
CURL *program_handle(const struct program *program, struct body *body);
size_t program_take(char *data, size_t size, size_t count, void *body);

/* The program ends with a message when an answer is not as it must be. */
void program_check(CURL *easy, CURLcode code, const struct body *body);
void program_fail(const char *what, const char *why);

/* Around the measured section. */
void program_start(struct program *program);
void program_report(const struct program *program);

#endif
