--- A few lines of C for what plain Lua cannot do, compiled when a spec needs them.
-- Owns how they are compiled. The functions are loaded with `package.loadlib`. They ignore the Lua state, so
-- they need no Lua headers; returning 1 returns the last argument, so f(true) is true or nothing.
local process = require "spec.support.process"

local native = {}

-- fork(true) returns true in the parent and nothing in the child.
local FORK = [[
#include <sys/wait.h>
#include <unistd.h>
int spec_fork(void *lua) { (void)lua; return fork() != 0; }
int spec_wait(void *lua) { (void)lua; wait(0); return 0; }
int spec_exit(void *lua) { (void)lua; _exit(0); }
]]

-- A resolver for LD_PRELOAD that answers only when the process exits. It blocks each caller until the Lua
-- state is closed, and then waits for the callers, so that libcurl's resolver threads return while the
-- process exits. resolving(true) returns true once a caller is blocked.
local RESOLVER = [[
#include <dirent.h>
#include <netdb.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>
static sem_t gate;
static volatile int held;
static int threads(void) {
  int count = -2; /* . and .. */
  DIR *tasks = opendir("/proc/self/task");
  while (tasks != NULL && readdir(tasks) != NULL) count++;
  closedir(tasks);
  return count;
}
static void finish(void) {
  int patience = 500;
  sem_post(&gate);
  while (threads() > 1 && patience-- > 0) usleep(10000);
  if (threads() > 1) _exit(75);
}
__attribute__((constructor)) static void prepare(void) { sem_init(&gate, 0, 0); }
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result) {
  (void)node, (void)service, (void)hints, (void)result;
  if (!held) atexit(finish);
  held = 1;
  while (sem_wait(&gate) != 0) continue;
  sem_post(&gate);
  return EAI_NONAME;
}
int spec_resolving(void *lua) { (void)lua; return held; }
]]

-- spec_starve(n): in this Lua state the n-th allocation from now fails, and the one after it, because Lua 5.4
-- asks again after a collection; 0: none does. The last argument is given back if one has failed since. The
-- library stays loaded, because the state frees its memory last.
local STARVE = [[
#include <stddef.h>
typedef void *(*alloc)(void *, void *, size_t, size_t);
extern alloc lua_getallocf(void *, void **);
extern void lua_setallocf(void *, alloc, void *);
extern double lua_tonumber(void *, int) __attribute__((weak));
extern double lua_tonumberx(void *, int, int *) __attribute__((weak));
static alloc own;
static void *own_data;
static long left;
static int failed;
static void *starve(void *data, void *block, size_t old, size_t size) {
  if (left > 0 && size > 0 && (block == NULL || size > old) && --left < 2) {
    failed = 1;
    return NULL;
  }
  return own(own_data, block, old, size);
}
int spec_starve(void *lua) {
  int was = failed;
  long count = (long)(lua_tonumberx ? lua_tonumberx(lua, 1, NULL) : lua_tonumber(lua, 1));
  if (own == NULL) {
    own = lua_getallocf(lua, &own_data);
    lua_setallocf(lua, starve, NULL);
  }
  left = count > 0 ? count + 1 : 0;
  failed = 0;
  return was;
}
]]

-- A libcurl for LD_PRELOAD that says it is 7.74.0, whose OpenSSL writes to a closed socket: each time that it
-- is called to work, the thread gets a SIGPIPE.
local SIGPIPE = [[
#define _GNU_SOURCE
#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
curl_version_info_data *curl_version_info(CURLversion stamp) {
  static curl_version_info_data older;
  older = *((curl_version_info_data *(*)(CURLversion))dlsym(RTLD_NEXT, "curl_version_info"))(stamp);
  older.version_num = 0x074a00;
  return &older;
}
CURLMcode curl_multi_socket_action(CURLM *multi, curl_socket_t fd, int what, int *running) {
  pthread_kill(pthread_self(), SIGPIPE);
  return ((CURLMcode (*)(CURLM *, curl_socket_t, int, int *))dlsym(RTLD_NEXT, "curl_multi_socket_action"))(
    multi, fd, what, running);
}
CURLMcode curl_multi_remove_handle(CURLM *multi, CURL *easy) {
  pthread_kill(pthread_self(), SIGPIPE);
  return ((CURLMcode (*)(CURLM *, CURL *))dlsym(RTLD_NEXT, "curl_multi_remove_handle"))(multi, easy);
}
CURLMcode curl_multi_cleanup(CURLM *multi) {
  pthread_kill(pthread_self(), SIGPIPE);
  return ((CURLMcode (*)(CURLM *))dlsym(RTLD_NEXT, "curl_multi_cleanup"))(multi);
}
]]

-- An epoll_ctl for LD_PRELOAD: spec_fail(true) makes all calls fail that are not for removing a descriptor,
-- spec_mend(true) none.
local EPOLL = [[
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/epoll.h>
static int fails;
int spec_fail(void *lua) { (void)lua; fails = 1; return 0; }
int spec_mend(void *lua) { (void)lua; fails = 0; return 0; }
int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event) {
  if (fails && what != EPOLL_CTL_DEL) {
    errno = ENOSPC;
    return -1;
  }
  return ((int (*)(int, int, int, struct epoll_event *))dlsym(RTLD_NEXT, "epoll_ctl"))(
    epoll, what, fd, event);
}
]]

-- Compiles a library. LD_PRELOAD may hold a sanitizer, which is only for the process of the specs.
local function compile(source, libraries)
  local path = process.lines("mktemp")[1]
  local command = "unset LD_PRELOAD; cc -shared -fPIC -pthread -Wl,-z,nodelete -x c - -o " .. path
    .. " " .. (libraries or "")
  local pipe = assert(io.popen(command, "w"))
  pipe:write(source)
  local good = pipe:close()
  assert(good ~= false, "cc failed")
  return path
end

--- Compiles a library with spec_fork, spec_wait and spec_exit. The caller removes the file.
function native.fork() return compile(FORK) end

--- Compiles a library with spec_starve. The caller removes the file.
function native.starve() return compile(STARVE) end

--- Compiles a library with spec_resolving, for LD_PRELOAD. The caller removes the file.
function native.resolver() return compile(RESOLVER) end

--- Compiles a library for LD_PRELOAD with which libcurl causes signals. The caller removes the file.
function native.sigpipe() return compile(SIGPIPE, "-Wl,--no-as-needed -lcurl") end

--- Compiles a library with spec_fail and spec_mend, for LD_PRELOAD. The caller removes the file.
function native.epoll() return compile(EPOLL) end

return native
