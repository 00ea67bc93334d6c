/* host.c - runs a fuzz target, which is a Lua file, under libFuzzer.
 *
 * Owns the Lua state, a server on loopback that answers with bytes of the target's choice, and the coverage of the Lua
 * layer. Invariants: the name of the program is the name of the target; an input that makes the target raise ends the
 * process; the server is every client's proxy, so nothing is ever sent to another machine. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base64.h"
#include "http/headers.h"
#include "http/retry.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#define MAX_ANSWERS 16
#define MAX_REQUESTS 64
#define MAX_REQUEST 65536 /* bytes */
#define PAUSE 300         /* microseconds between the two pieces of an answer */

static lua_State *state;

static void check(int condition, const char *what) {
  if (condition) return;
  fprintf(stderr, "host.c: %s\n", what);
  abort();
}

/* --- the server ----------------------------------------------------------------- */

struct text {
  char *data;
  size_t len;
};

static struct {
  pthread_mutex_t lock;
  int fd, port, in_pieces;
  struct text answers[MAX_ANSWERS]; /* one a connection; the last one again and again */
  int count, next;
  struct text requests[MAX_REQUESTS];
  int received;
} server = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct text copy(const char *data, size_t len) {
  struct text text = {malloc(len + 1), len};
  check(text.data != NULL, "out of memory");
  memcpy(text.data, data, len);
  text.data[len] = '\0';
  return text;
}

/* How many bytes the request in `text` has, or 0 as long as its header isn't complete. */
static size_t request_size(const char *text) {
  const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\nContent-Length:");
  if (end == NULL) return 0;
  return (size_t)(end + 4 - text) + (length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0);
}

/* Reads the request before the answer is sent, because a close with unread bytes would reset the connection. */
static void read_request(int fd) {
  static char text[MAX_REQUEST];
  size_t len = 0;
  ssize_t got = 1;
  text[0] = '\0';
  while (got > 0 && len + 1 < sizeof text && (request_size(text) == 0 || len < request_size(text))) {
    got = recv(fd, text + len, sizeof text - 1 - len, 0);
    if (got > 0) len += (size_t)got;
    text[len] = '\0';
  }
  pthread_mutex_lock(&server.lock);
  if (len > 0 && server.received < MAX_REQUESTS) server.requests[server.received++] = copy(text, len);
  pthread_mutex_unlock(&server.lock);
}

static void send_all(int fd, const char *data, size_t len) {
  while (len > 0) {
    ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
    if (sent <= 0) return;
    data += sent;
    len -= (size_t)sent;
  }
}

static void answer(int fd) {
  struct text text = {NULL, 0};
  size_t first;
  int in_pieces;
  pthread_mutex_lock(&server.lock);
  in_pieces = server.in_pieces;
  if (server.count > 0) {
    const struct text *next = &server.answers[server.next];
    text = copy(next->data, next->len);
    if (server.next + 1 < server.count) server.next++;
  }
  pthread_mutex_unlock(&server.lock);
  first = in_pieces ? text.len / 2 : text.len;
  send_all(fd, text.data, first);
  if (first < text.len) {
    usleep(PAUSE);
    send_all(fd, text.data + first, text.len - first);
  }
  free(text.data);
}

/* libFuzzer's timer must interrupt the target, not the server. */
static void *run_server(void *unused) {
  sigset_t all;
  int fd;
  (void)unused;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, NULL);
  while ((fd = accept(server.fd, NULL, NULL)) >= 0) {
    read_request(fd);
    answer(fd);
    close(fd);
  }
  check(0, "the server cannot accept a connection");
  return NULL;
}

static void start_server(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  pthread_t thread;
  server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(server.fd >= 0 && bind(server.fd, (struct sockaddr *)&address, size) == 0 && listen(server.fd, 64) == 0 &&
            getsockname(server.fd, (struct sockaddr *)&address, &size) == 0 &&
            pthread_create(&thread, NULL, run_server, NULL) == 0,
        "cannot start the server");
  server.port = ntohs(address.sin_port);
}

static void forget_requests(void) {
  while (server.received > 0) free(server.requests[--server.received].data);
}

static void forget_answers(void) {
  while (server.count > 0) free(server.answers[--server.count].data);
}

/* host.serve(answers, in_pieces): what the server answers from now on; forgets the requests so far. */
static int serve(lua_State *L) {
  lua_Integer i, count;
  luaL_checktype(L, 1, LUA_TTABLE);
  count = luaL_len(L, 1);
  pthread_mutex_lock(&server.lock);
  forget_requests();
  forget_answers();
  server.in_pieces = lua_toboolean(L, 2);
  server.next = 0;
  for (i = 1; i <= count && i <= MAX_ANSWERS; i++) {
    size_t len;
    const char *data;
    lua_rawgeti(L, 1, i);
    data = lua_tolstring(L, -1, &len);
    server.answers[server.count++] = copy(data, len);
    lua_pop(L, 1);
  }
  pthread_mutex_unlock(&server.lock);
  return 0;
}

/* host.requests(): the requests since `serve`, as they came. */
static int requests(lua_State *L) {
  int i;
  lua_newtable(L);
  pthread_mutex_lock(&server.lock);
  for (i = 0; i < server.received; i++) {
    lua_pushlstring(L, server.requests[i].data, server.requests[i].len);
    lua_rawseti(L, -2, i + 1);
  }
  pthread_mutex_unlock(&server.lock);
  return 1;
}

/* A retry needs no real delay here; see --wrap in the Makefile. */
double __real_retry_delay(const struct retry_facts *facts);
double __wrap_retry_delay(const struct retry_facts *facts);
double __wrap_retry_delay(const struct retry_facts *facts) {
  double delay = __real_retry_delay(facts);
  check(delay < 0 || delay <= RETRY_LONGEST_AFTER, "retry_delay: longer than the longest delay");
  return delay > 0 ? 0 : delay;
}

/* --- C functions that the module does not give to Lua ------------------------------ */

static int is_inside(const struct buffer *block, const char *text, size_t len) {
  return text >= block->data && len <= block->len && (size_t)(text - block->data) <= block->len - len;
}

/* Reads every field of a header block, each in memory of just its size, as a wait and as base64. */
static void read_fields(const struct buffer *block) {
  struct header field, found;
  size_t at = 0;
  while (headers_next(block, &at, &field)) {
    char *value = malloc(field.value_len + 1), *out = malloc(field.value_len / 4 * 3 + 3), name[32] = "", few[4];
    size_t name_len = field.name_len < sizeof name ? field.name_len : sizeof name - 1;
    double wait;
    long bytes;
    check(value != NULL && out != NULL, "out of memory");
    check(is_inside(block, field.name, field.name_len) && is_inside(block, field.value, field.value_len),
          "headers_next: a field outside the block");
    check(headers_find(block, field.name, field.name_len, &found) && found.name <= field.name,
          "headers_find: does not find a field");
    memcpy(name, field.name, name_len);
    if (headers_copy(block, name, few, sizeof few)) check(strlen(few) < sizeof few, "headers_copy: too long");
    memcpy(value, field.value, field.value_len);
    value[field.value_len] = '\0';
    wait = retry_read_after(value, value, -1, 1e9);
    check(wait >= 0 || wait == -1, "retry_read_after: neither a time nor -1");
    bytes = base64_decode(field.value, field.value_len, out);
    check(bytes >= -1 && bytes <= (long)(field.value_len / 4 * 3 + 3), "base64_decode: impossible length");
    free(value);
    free(out);
  }
}

/* host.headers(block) */
static int headers(lua_State *L) {
  struct buffer block = {0};
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  block.data = malloc(len > 0 ? len : 1);
  check(block.data != NULL, "out of memory");
  memcpy(block.data, text, len);
  block.len = block.cap = len;
  read_fields(&block);
  buffer_free(&block);
  return 0;
}

/* --- coverage of the Lua layer ------------------------------------------------------ */

/* libFuzzer takes these for counters of its own. */
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[1 << 15];

/* Counts how often one line of lua/sora followed another. */
static void on_line(lua_State *L, lua_Debug *line) {
  static const char *source;
  static uint32_t hash, before;
  static int counts;
  uint32_t here;
  uint8_t *counter;
  lua_getinfo(L, "S", line);
  if (line->source != source) {
    const char *c;
    source = line->source;
    counts = strncmp(source, "@./lua/sora/", 12) == 0;
    for (hash = 2166136261U, c = source; *c != '\0'; c++) hash = (hash ^ (uint8_t)*c) * 16777619U;
  }
  if (!counts) return;
  here = (hash ^ (uint32_t)line->currentline * 2654435761U) >> 8;
  counter = &counters[(here ^ before) % sizeof counters];
  if (*counter < 255) (*counter)++;
  before = here >> 1;
}

/* --- libFuzzer ---------------------------------------------------------------------- */

int luaopen_sora_core(lua_State *L);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char setup[] = "local name = ...\n"
                            "package.path = './?.lua;./lua/?.lua;./lua/?/init.lua;' .. package.path\n"
                            "return require('spec.fuzz.targets.' .. name)";

/* So that what is still referred to is no leak. */
static void finish(void) {
  lua_close(state);
  pthread_mutex_lock(&server.lock);
  forget_requests();
  forget_answers();
  pthread_mutex_unlock(&server.lock);
}

static int add_traceback(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

static void call(int args, int results) {
  int handler = lua_gettop(state) - args;
  lua_pushcfunction(state, add_traceback);
  lua_insert(state, handler);
  if (lua_pcall(state, args, results, handler) != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(state, -1));
    abort();
  }
  lua_remove(state, handler);
}

/* require "spec.fuzz.host": the functions above, `url` of the server, and a `folder` for files. */
static void open_host(lua_State *L) {
  static const luaL_Reg functions[] = {{"serve", serve}, {"requests", requests}, {"headers", headers}, {NULL, NULL}};
  const char *folder = getenv("TMPDIR");
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  luaL_newlib(L, functions);
  lua_pushfstring(L, "http://127.0.0.1:%d", server.port);
  lua_setfield(L, -2, "url");
  lua_pushstring(L, folder != NULL ? folder : "/tmp");
  lua_setfield(L, -2, "folder");
  lua_setfield(L, -2, "spec.fuzz.host");
  lua_pop(L, 1);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  static const char *const hidden[] = {"SORA_BASE_URL",  "SORA_API_KEY", "SORA_DEBUG", "OPENAI_BASE_URL",
                                       "OPENAI_API_KEY", "no_proxy",     "NO_PROXY"};
  const char *slash = strrchr((*argv)[0], '/');
  size_t i;
  (void)argc;
  for (i = 0; i < sizeof hidden / sizeof hidden[0]; i++) unsetenv(hidden[i]);
  start_server();
  state = luaL_newstate();
  check(state != NULL, "out of memory");
  luaL_openlibs(state);
  luaL_getsubtable(state, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(state, luaopen_sora_core);
  lua_setfield(state, -2, "sora.core");
  lua_pop(state, 1);
  open_host(state);
  check(luaL_loadstring(state, setup) == LUA_OK, "the setup is no Lua");
  lua_pushstring(state, slash != NULL ? slash + 1 : (*argv)[0]);
  call(1, 1);
  lua_sethook(state, on_line, LUA_MASKLINE, 0);
  atexit(finish);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  lua_pushvalue(state, -1);
  lua_pushlstring(state, (const char *)data, size);
  call(1, 0);
  return 0;
}
