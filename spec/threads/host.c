/* host.c - a program with a Lua state in each of many threads: `host SCRIPT THREADS SECONDS ARGUMENTS…`.
 *
 * Owns the threads. Each runs the script in a new state, again and again until the seconds have passed; all start at
 * once, so that even the loading of modules is concurrent. The script gets the thread's number and the arguments, and
 * returns how many calls it made. Invariant: no state is used by two threads; they share only what modules do. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

struct program {
  const char *script;
  char **arguments;
  int count;
  double end;
  pthread_barrier_t start;
};

struct thread {
  struct program *program;
  pthread_t id;
  int number, states, failed;
  long calls;
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Runs the script once. Returns how many calls it made, or -1. */
static long run_state(const struct thread *thread) {
  const struct program *program = thread->program;
  lua_State *L = luaL_newstate();
  long calls = -1;
  int i;
  if (L == NULL) return -1;
  luaL_openlibs(L);
  if (luaL_loadfile(L, program->script) == 0) {
    lua_pushinteger(L, thread->number);
    for (i = 0; i < program->count; i++) lua_pushstring(L, program->arguments[i]);
    if (lua_pcall(L, program->count + 1, 1, 0) == 0) calls = (long)lua_tonumber(L, -1);
  }
  if (calls < 0) fprintf(stderr, "thread %d: %s\n", thread->number, lua_tostring(L, -1));
  lua_close(L);
  return calls;
}

static void *run_thread(void *context) {
  struct thread *thread = context;
  pthread_barrier_wait(&thread->program->start);
  do {
    long calls = run_state(thread);
    thread->failed = calls < 0;
    thread->calls += calls;
    thread->states++;
  } while (!thread->failed && now() < thread->program->end);
  return NULL;
}

int main(int argc, char **argv) {
  struct program program;
  struct thread *threads;
  long calls = 0, states = 0;
  int i, failed = 0, count = argc > 3 ? atoi(argv[2]) : 0;
  if (count < 1) {
    fputs("usage: host SCRIPT THREADS SECONDS ARGUMENTS...\n", stderr);
    return 2;
  }
  program.script = argv[1];
  program.arguments = argv + 4;
  program.count = argc - 4;
  program.end = now() + atof(argv[3]);
  threads = calloc((size_t)count, sizeof *threads);
  if (threads == NULL || pthread_barrier_init(&program.start, NULL, (unsigned)count) != 0) return 2;
  for (i = 0; i < count; i++) {
    threads[i].program = &program;
    threads[i].number = i + 1;
    if (pthread_create(&threads[i].id, NULL, run_thread, &threads[i]) != 0) return 2;
  }
  for (i = 0; i < count; i++) {
    pthread_join(threads[i].id, NULL);
    calls += threads[i].calls;
    states += threads[i].states;
    failed += threads[i].failed;
  }
  pthread_barrier_destroy(&program.start);
  free(threads);
  printf("%d threads, %ld states, %ld calls, %d failed\n", count, states, calls, failed);
  return failed == 0 && calls > 0 ? 0 : 1;
}
