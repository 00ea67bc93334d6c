/* program.h - shared by the C programs of the benchmark: the command line, the options of a transfer, the check of a
 * response, and the line of figures at the end.
 *
 * Invariant: the line is printed only if every response was right. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <curl/curl.h>
#include <stddef.h>

#define PROGRAM_CANNOT 3 /* the exit status of a program that does not support WHAT */

struct program {
  const char *what, *url, *extra; /* extra: "" if it was not given */
  long count, flight;
  struct curl_slist *headers;
  double wall, cpu; /* seconds at the start of the measurement */
  long rss;         /* KiB at the same moment */
};

/* A response body; its memory is reused by the next one. */
struct body {
  char *data;
  size_t len, room;
};

/* Reads "WHAT URL COUNT FLIGHT [EXTRA]". "probe" instead prints libcurl's version and exits. */
void program_open(struct program *program, int argc, char **argv);
void program_close(struct program *program);

/* Creates an easy handle with the options of all requests. The response is written to `body` unless it is NULL. */
CURL *program_handle(const struct program *program, struct body *body);
size_t program_take(char *data, size_t size, size_t count, void *body);

/* Exits with a message if the response is wrong. */
void program_check(CURL *easy, CURLcode code, const struct body *body);
/* Exits with a message. */
void program_fail(const char *what, const char *why);

/* Starts the measurement. */
void program_start(struct program *program);
/* Ends the measurement and prints the line of figures. */
void program_report(const struct program *program);

#endif
