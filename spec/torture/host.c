/* host.c - runs every scenario again and again, and lets another allocation or system call fail each time.
 *
 * The module is linked in, so that the linker can wrap its calls (faults.c). A child process runs the points of a
 * scenario, each in a new Lua state (point.lua); after a crash another child goes on behind it.
 * Invariant: a point counts as good only if Lua's verdict, descriptors and live blocks are all right. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "torture.h"

#define MAX_DESCRIPTORS 256
#define PATIENCE 20    /* s; for one point */
#define CRASH_LINES 60 /* of a crashed child's stderr */
#define MAX_SCENARIOS 128

int luaopen_sora_core(lua_State *L);

/* Leaks that no counter of ours sees, such as Lua's and OpenSSL's; absent without the sanitizer. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));
const char *__asan_default_options(void);
const char *__lsan_default_suppressions(void);

const char *__asan_default_options(void) {
  return "leak_check_at_exit=0:allocator_may_return_null=1:quarantine_size_mb=16";
}

/* lua-cjson loses its buffer where memory runs out while it decodes: see spec/valgrind.supp. */
const char *__lsan_default_suppressions(void) {
  return "leak:strbuf_new\n";
}

/* How far a scenario is: what its child tells the parent. */
struct progress {
  long totals[FAULT_MODES]; /* points of each mode */
  long points[FAULT_MODES]; /* that were run */
  int mode;                 /* that is running */
  long index;               /* of the next point, in the order of `order` */
  long point;               /* that is running; 0: the run without faults */
  long failed;
  int left; /* scenarios and modes that share the time until the deadline */
};

struct shared {
  struct progress progress;
  struct site site;
};

static struct {
  const char *only, *mode;
  long point, points;
  double seconds;
} wanted;

static struct shared *shared;
static int port;
static char folder[32], errors[64], local[64];
static const struct mode *mode;
static const char *scenario;
static long point;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- what point.lua calls ----------------------------------------------------------------------------------------- */

/* host.attempt(f, argument): calls f while faults are on; like pcall, with up to three results. */
static int attempt(lua_State *L) {
  int good;
  lua_settop(L, 2);
  luaL_checkstack(L, 10, NULL);
  fault_arm(mode, point);
  good = lua_pcall(L, 1, 3, 0) == 0;
  fault_disarm();
  lua_pushboolean(L, good);
  lua_insert(L, 1);
  return lua_gettop(L);
}

/* host.happened(): whether a call has failed. */
static int happened(lua_State *L) {
  lua_pushboolean(L, fault_happened());
  return 1;
}

/* host.clear(): forgets all routes and counts; returns the new base URL. */
static int clear_site(lua_State *L) {
  struct site *site = &shared->site;
  site->run++;
  site->count = 0;
  site->used = 0;
  site->strays = 0;
  lua_pushfstring(L, "http://127.0.0.1:%d/r%d/v1", port, (int)site->run);
  return 1;
}

/* host.route(key, bytes, ending, is_file, cut): adds an answer to requests such as "GET /videos/ok". */
static int add_answer(lua_State *L) {
  static const char *const endings[] = {"keep", "close", "reset", "hold", NULL};
  struct site *site = &shared->site;
  const char *key = luaL_checkstring(L, 1), *bytes;
  struct route *route;
  struct answer *answer;
  size_t len;
  unsigned i;
  bytes = luaL_checklstring(L, 2, &len);
  for (i = 0; i < site->count && strcmp(site->routes[i].key, key) != 0; i++) continue;
  route = &site->routes[i];
  if (i == SITE_ROUTES || strlen(key) >= sizeof route->key || len > SITE_BYTES - site->used)
    return luaL_error(L, "the site is full");
  if (i == site->count) {
    memset(route, 0, sizeof *route);
    strcpy(route->key, key);
  }
  if (route->count == SITE_ANSWERS) return luaL_error(L, "too many answers to %s", key);
  answer = &route->answers[route->count];
  answer->at = site->used;
  answer->len = len;
  answer->ending = (enum ending)luaL_checkoption(L, 3, "keep", endings);
  answer->is_file = lua_toboolean(L, 4);
  answer->cut = (long)luaL_optinteger(L, 5, -1);
  memcpy(site->bytes + site->used, bytes, len);
  site->used += len;
  route->count++;
  if (i == site->count) site->count++;
  return 0;
}

/* host.hits(key): how many requests had that route. */
static int hits(lua_State *L) {
  const char *key = luaL_checkstring(L, 1);
  unsigned i;
  for (i = 0; i < shared->site.count; i++)
    if (strcmp(shared->site.routes[i].key, key) == 0) break;
  lua_pushinteger(L, i < shared->site.count ? (lua_Integer)shared->site.routes[i].used : 0);
  return 1;
}

/* host.files(): the names in the folder. */
static int files(lua_State *L) {
  DIR *list = opendir(folder);
  struct dirent *entry;
  int count = 0;
  lua_newtable(L);
  while (list != NULL && (entry = readdir(list)) != NULL) {
    if (entry->d_name[0] == '.') continue;
    lua_pushstring(L, entry->d_name);
    lua_rawseti(L, -2, ++count);
  }
  if (list != NULL) closedir(list);
  return 1;
}

static void open_host(lua_State *L) {
  static const struct {
    const char *name;
    lua_CFunction function;
  } functions[] = {{"attempt", attempt},  {"happened", happened}, {"clear", clear_site},
                   {"route", add_answer}, {"hits", hits},         {"files", files}};
  size_t i;
  lua_newtable(L);
  for (i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    lua_pushcfunction(L, functions[i].function);
    lua_setfield(L, -2, functions[i].name);
  }
  lua_pushstring(L, folder);
  lua_setfield(L, -2, "folder");
  lua_pushstring(L, local);
  lua_setfield(L, -2, "socket");
  lua_pushboolean(L, mode != NULL && mode->source != SOURCE_SYSTEM);
  lua_setfield(L, -2, "starves");
  lua_setglobal(L, "host");
}

/* --- one point ---------------------------------------------------------------------------------------------------- */

/* A Lua state with the module; NULL: this Lua takes no allocator. */
static lua_State *new_state(void) {
  lua_State *L = lua_newstate(fault_lua_alloc, NULL);
  if (L == NULL) return NULL;
  luaL_openlibs(L);
  /* LuaJIT's own compiler does not survive that memory runs out. */
  if (luaL_loadstring(L, "if jit then jit.off() end") != 0 || lua_pcall(L, 0, 0, 0) != 0) abort();
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, luaopen_sora_core);
  lua_setfield(L, -2, "sora.core");
  lua_pop(L, 2);
  open_host(L);
  return L;
}

static void list_descriptors(char *open) {
  int fd;
  for (fd = 0; fd < MAX_DESCRIPTORS; fd++) open[fd] = fcntl(fd, F_GETFD) >= 0;
}

/* Whether the file of a chunk is left open: by `require`, as nothing else opens one. LuaJIT 2.1's luaL_loadfilex does
 * so where its collector, which runs before the file is closed, finds no memory. */
static int is_left_by_require(const char *path, size_t len) {
  return len > 4 && memcmp(path + len - 4, ".lua", 4) == 0;
}

/* Writes what is open now and was not before to `text`, if anything is. */
static void find_descriptors(const char *before, char *text, size_t size) {
  char after[MAX_DESCRIPTORS], path[32], target[128];
  int fd;
  list_descriptors(after);
  for (fd = 0; fd < MAX_DESCRIPTORS; fd++) {
    ssize_t len;
    if (!after[fd] || before[fd]) continue;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    len = readlink(path, target, sizeof target - 1);
    if (len < 0) len = 0;
    if (is_left_by_require(target, (size_t)len)) continue;
    snprintf(text, size, "leaks a descriptor: %.*s", (int)len, target);
    return;
  }
}

/* Waits for libcurl's resolver: where memory is out it may start a thread for an address that is a number, and a client
 * that is closed leaves that alone. */
static void wait_for_threads(void) {
  int tries, count;
  for (tries = 0; tries < 5000; tries++) {
    DIR *tasks = opendir("/proc/self/task");
    for (count = 0; tasks != NULL && readdir(tasks) != NULL; count++) continue;
    if (tasks != NULL) closedir(tasks);
    if (count <= 3) return; /* "." and ".." */
    usleep(1000);
  }
}

static void empty_folder(void) {
  DIR *list = opendir(folder);
  struct dirent *entry;
  char path[384];
  while (list != NULL && (entry = readdir(list)) != NULL) {
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (entry->d_name[0] != '.') unlink(path);
  }
  if (list != NULL) closedir(list);
}

static lua_State *timed;
static char place[512]; /* where Lua was when a point had taken too long */

/* Ends the point by an error wherever Lua is, without faults. */
static void stop_lua(lua_State *L, lua_Debug *debug) {
  lua_Debug frame;
  int level;
  size_t len = 0;
  (void)debug;
  fault_disarm();
  for (level = 0; place[0] == '\0' || level > 0; level++) {
    if (len + 1 >= sizeof place || !lua_getstack(L, level, &frame)) break;
    lua_getinfo(L, "Sl", &frame);
    if (frame.currentline < 0) continue;
    len += (size_t)snprintf(place + len, sizeof place - len, " %s:%d", frame.short_src, frame.currentline);
  }
  luaL_error(L, "took too long");
}

/* A second alarm ends the process, which may wait in C. */
static void on_alarm(int signal_number) {
  lua_sethook(timed, stop_lua, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
  signal(signal_number, SIG_DFL);
  alarm(PATIENCE / 4);
}

/* Runs the scenario once; `problem` is "" if all is well. */
static void run_point(long at, char *problem, size_t size) {
  char descriptors[MAX_DESCRIPTORS];
  long module = fault_live_module(), curl = fault_live_curl();
  lua_State *L;
  problem[0] = '\0';
  shared->progress.point = point = at;
  list_descriptors(descriptors);
  L = timed = new_state();
  place[0] = '\0';
  signal(SIGALRM, on_alarm);
  alarm(PATIENCE);
  if (luaL_loadfile(L, "spec/torture/point.lua") != 0) {
    snprintf(problem, size, "%s", lua_tostring(L, -1));
  } else {
    lua_pushstring(L, scenario);
    if (lua_pcall(L, 1, 1, 0) != 0 || lua_isstring(L, -1)) snprintf(problem, size, "%s", lua_tostring(L, -1));
  }
  fault_disarm();
  lua_sethook(L, NULL, 0, 0);
  alarm(0);
  lua_close(L);
  wait_for_threads();
  if (place[0] != '\0') snprintf(problem, size, "hangs at%s", place);
  if (problem[0] == '\0') find_descriptors(descriptors, problem, size);
  if (problem[0] == '\0' && fault_live_module() != module)
    snprintf(problem, size, "the module leaks %ld blocks", fault_live_module() - module);
  if (problem[0] == '\0' && fault_live_curl() != curl)
    snprintf(problem, size, "libcurl leaks %ld blocks", fault_live_curl() - curl);
  empty_folder();
}

/* --- a scenario ------------------------------------------------------------------------------------------------------
 */

static void report(long at, const char *problem) {
  shared->progress.failed++;
  if (at > 0) {
    printf("FAILED  %s (ONLY=%s MODE=%s POINT=%ld)\n", problem, scenario, mode->name, at);
  } else {
    printf("FAILED  %s (ONLY=%s MODE=%s)\n", problem, scenario, mode->name);
  }
  fflush(stdout);
}

/* The index-th point of `total`, in an order whose beginnings are spread over all of them. */
static long order(long index, long total) {
  long step = (long)((double)total * 0.6180339887), a, b;
  for (;; step++) { /* until it has no divisor in common with the total */
    for (a = total, b = step > 0 ? step : 1; b != 0;) {
      long rest = a % b;
      a = b;
      b = rest;
    }
    if (a == 1) break;
  }
  return (long)((long long)(index + 1) * (step > 0 ? step : 1) % total) + 1;
}

static int is_wanted(const char *list, const char *name) {
  size_t len = strlen(name);
  const char *at = list;
  if (list == NULL || *list == '\0') return 1;
  for (; (at = strstr(at, name)) != NULL; at += len)
    if ((at == list || at[-1] == ',') && (at[len] == '\0' || at[len] == ',')) return 1;
  return 0;
}

/* Runs points of one mode until its share of the time is over. */
static void run_mode(struct progress *p, double deadline) {
  char problem[1024];
  long total = p->totals[p->mode], limit = wanted.points > 0 && wanted.points < total ? wanted.points : total;
  double until = now() + (deadline - now()) / p->left;
  for (; wanted.point > 0 ? p->index == 0 : p->index < limit; p->index++) {
    long at = wanted.point > 0 ? wanted.point : order(p->index, total);
    if (wanted.seconds > 0 && p->index > 0 && now() > until) break;
    p->points[p->mode]++;
    run_point(at, problem, sizeof problem);
    if (problem[0] != '\0') report(at, problem);
  }
}

static void run_child(double deadline) {
  struct progress *p = &shared->progress;
  char problem[1024];
  int fd = open(errors, O_WRONLY | O_CREAT | O_TRUNC, 0600), i;
  if (fd >= 0) dup2(fd, 2);
  if (fd > 2) close(fd);
  mode = &fault_modes[p->mode];
  run_point(0, problem, sizeof problem); /* fills what is kept for the whole process */
  run_point(0, problem, sizeof problem);
  if (problem[0] != '\0') {
    report(0, problem);
    _exit(0);
  }
  for (i = 0; i < FAULT_MODES; i++)
    if (p->points[i] == 0) p->totals[i] = fault_points(&fault_modes[i]);
  for (; p->mode < FAULT_MODES; p->mode++, p->index = 0) {
    mode = &fault_modes[p->mode];
    if (!is_wanted(wanted.mode, mode->name)) continue;
    run_mode(p, deadline);
    p->left--;
  }
  if (__lsan_do_recoverable_leak_check != NULL && __lsan_do_recoverable_leak_check() != 0) _exit(3);
  _exit(0);
}

/* Prints the beginning of what a child wrote to stderr before it ended. */
static void show_errors(void) {
  FILE *file = fopen(errors, "r");
  char line[512];
  int lines = 0;
  while (file != NULL && lines < CRASH_LINES && fgets(line, sizeof line, file) != NULL) {
    if (strstr(line, "a callback raised an error") != NULL) continue;
    printf("  | %s", line);
    lines++;
  }
  if (file != NULL) fclose(file);
}

/* Tells how a child ended that did not end well. */
static void report_end(const struct progress *p, int status) {
  char problem[64];
  mode = &fault_modes[p->mode < FAULT_MODES ? p->mode : 0];
  if (WIFEXITED(status) && WEXITSTATUS(status) == 3) {
    report(wanted.point, "leaks, says the sanitizer");
  } else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
    report(p->point, "hangs");
  } else {
    snprintf(problem, sizeof problem, "crashes, %s %d", WIFSIGNALED(status) ? "signal" : "status",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    report(p->point, problem);
  }
  show_errors();
}

static void run_children(double deadline) {
  struct progress *p = &shared->progress;
  int status;
  do {
    pid_t child;
    fflush(stdout);
    child = fork();
    if (child < 0) exit(2);
    if (child == 0) run_child(deadline);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
    report_end(p, status);
    p->index++;
  } while (p->point != 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 3));
}

/* --- the campaign ------------------------------------------------------------------------------------------------- */

/* The names of the scenarios, which the state keeps alive. */
static int read_names(lua_State *L, const char **names) {
  int count = 0;
  if (luaL_loadfile(L, "spec/torture/scenarios.lua") != 0 || lua_pcall(L, 0, 1, 0) != 0) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    exit(2);
  }
  for (; count < MAX_SCENARIOS; count++) {
    lua_rawgeti(L, -1, count + 1);
    if (lua_isnil(L, -1)) break;
    lua_getfield(L, -1, "name");
    names[count] = lua_tostring(L, -1);
    lua_pop(L, 2);
  }
  return count;
}

static void read_arguments(int argc, char **argv) {
  int i;
  for (i = 1; i < argc; i++) {
    char *value = strchr(argv[i], '=');
    size_t len = value != NULL ? (size_t)(value - argv[i]) : 0;
    if (value != NULL) value++;
    if (len == 4 && strncmp(argv[i], "ONLY", len) == 0)
      wanted.only = value;
    else if (len == 4 && strncmp(argv[i], "MODE", len) == 0)
      wanted.mode = value;
    else if (len == 5 && strncmp(argv[i], "POINT", len) == 0)
      wanted.point = atol(value);
    else if (len == 6 && strncmp(argv[i], "POINTS", len) == 0)
      wanted.points = atol(value);
    else if (len == 7 && strncmp(argv[i], "SECONDS", len) == 0)
      wanted.seconds = atof(value);
    else {
      fprintf(stderr, "usage: %s [ONLY=scenario,…] [MODE=mode,…] [POINT=n] [POINTS=n] [SECONDS=n]\n", argv[0]);
      exit(2);
    }
  }
}

/* Runs one scenario in all modes; returns how many points failed and adds up how many there were. */
static long run_scenario(double deadline, long *points) {
  struct progress *p = &shared->progress;
  double began = now();
  int left = p->left, i;
  memset(p, 0, sizeof *p);
  p->left = left;
  run_children(deadline);
  printf("%-20s", scenario);
  for (i = 0; i < FAULT_MODES; i++) {
    if (p->points[i] > 0) printf("  %s %ld/%ld", fault_modes[i].name, p->points[i], p->totals[i]);
    *points += p->points[i];
  }
  printf("  %.1f s%s\n", now() - began, p->failed != 0 ? "  FAILED" : "");
  fflush(stdout);
  return p->failed;
}

int main(int argc, char **argv) {
  const char *names[MAX_SCENARIOS];
  long points = 0, failed = 0;
  int count, i, modes = 0;
  double began = now();
  lua_State *kept;
  read_arguments(argc, argv);
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  strcpy(folder, "/tmp/sora-torture-XXXXXX");
  if (mkdtemp(folder) == NULL) return 2;
  snprintf(errors, sizeof errors, "%s.stderr", folder);
  snprintf(local, sizeof local, "%s.socket", folder);
  if (shared == MAP_FAILED || (port = server_start(&shared->site, local)) < 0 || fault_init_curl() != 0) return 2;
  kept = new_state(); /* keeps cjson loaded, so that the sanitizer can name its functions */
  if (kept == NULL) {
    fprintf(stderr, "this Lua takes no allocator of its host\n");
    return 2;
  }
  if (luaL_loadstring(kept, "require 'cjson'") != 0 || lua_pcall(kept, 0, 0, 0) != 0) {
    fprintf(stderr, "%s\n", lua_tostring(kept, -1));
    return 2;
  }
  count = read_names(kept, names);
  for (i = 0; i < FAULT_MODES; i++) modes += is_wanted(wanted.mode, fault_modes[i].name);
  for (i = 0; i < count; i++) shared->progress.left += is_wanted(wanted.only, names[i]) ? modes : 0;
  for (i = 0; i < count; i++) {
    scenario = names[i];
    if (is_wanted(wanted.only, scenario)) failed += run_scenario(began + wanted.seconds, &points);
  }
  lua_close(kept);
  rmdir(folder);
  unlink(local);
  unlink(errors);
  printf("%ld points, %ld failed (%.0f s)\n", points, failed, now() - began);
  return failed != 0 || points == 0;
}
