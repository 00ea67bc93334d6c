/* torture.h - what the files of the fault-injection host share. */
#ifndef TORTURE_H
#define TORTURE_H

#include <stddef.h>

/* --- from faults.c: which allocation or system call fails --- */

enum source { SOURCE_LUA, SOURCE_MALLOC, SOURCE_CURL, SOURCE_SYSTEM, SOURCES };
enum flavour { FLAVOUR_ERROR, FLAVOUR_INTERRUPT, FLAVOUR_SHORT, FLAVOURS };

struct mode {
  const char *name;
  enum source source;
  long span; /* how many points in a row fail; 0: all that follow */
  enum flavour flavour;
};

#define FAULT_MODES 11
extern const struct mode fault_modes[FAULT_MODES];

/* Lets the point-th call of the mode's source fail, counted from 1; 0: none. */
void fault_arm(const struct mode *mode, long point);

/* Ends that. */
void fault_disarm(void);

/* How many points for a mode there were since fault_arm. */
long fault_points(const struct mode *mode);

/* Whether a call has failed since fault_arm. */
int fault_happened(void);

/* A lua_Alloc. */
void *fault_lua_alloc(void *data, void *block, size_t old, size_t size);

/* Initializes libcurl with allocators that can fail; 0 or -1. */
int fault_init_curl(void);

/* Blocks that the module and libcurl have now. */
long fault_live_module(void);
long fault_live_curl(void);

/* --- from server.c: the HTTP server that the scenarios talk to --- */

#define SITE_ROUTES 32
#define SITE_ANSWERS 8
#define SITE_BYTES (4 * 1024 * 1024)

enum ending { ENDING_KEEP, ENDING_CLOSE, ENDING_RESET, ENDING_HOLD };

struct answer {
  size_t at, len;     /* in `bytes`: a whole response, or a file */
  int is_file;        /* the server writes the headers, and obeys Range */
  long cut;           /* bytes of the file to send before the connection is closed; -1: all */
  enum ending ending; /* HOLD: sends nothing */
};

struct route {
  char key[96]; /* "GET /videos/ok" */
  unsigned count;
  volatile unsigned used;              /* requests that had it */
  struct answer answers[SITE_ANSWERS]; /* the last one repeats */
};

/* In memory that host and server share: the host writes answers, the server counts requests. Requests of an earlier
 * run, which the path tells, count no more. */
struct site {
  volatile unsigned run;
  volatile unsigned strays; /* requests without a route */
  unsigned count;
  size_t used;
  struct route routes[SITE_ROUTES];
  char bytes[SITE_BYTES];
};

/* Starts the server as a process that ends with this one, on a port and a Unix domain socket; the port, or -1. */
int server_start(struct site *site, const char *path);

#endif
