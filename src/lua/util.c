/* util.c - functions that need no client: base64, HMAC, files and folders, the terminal, clock, random numbers. */
#include "base/base64.h"
#include "base/sys.h"
#include "lua/binding.h"

#include <errno.h>
#include <string.h>

/* core.unbase64(text): the bytes, or nil if the text is not base64. */
static int unbase64(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  char *out = lua_newuserdata(L, len / 4 * 3 + 3);
  ptrdiff_t written = base64_decode(text, len, out);
  if (written < 0) return 0;
  lua_pushlstring(L, out, (size_t)written);
  return 1;
}

/* core.hmac_sha256(key, data): 32 bytes. */
static int hmac_sha256(lua_State *L) {
  unsigned char digest[SYS_SHA256_SIZE];
  size_t key_len, len;
  const char *key = luaL_checklstring(L, 1, &key_len), *data = luaL_checklstring(L, 2, &len);
  if (sys_hmac_sha256(key, key_len, data, len, digest) != 0)
    return luaL_error(L, "the system's cryptography library has no HMAC-SHA256, which webhooks need");
  lua_pushlstring(L, (const char *)digest, sizeof digest);
  return 1;
}

/* core.equal(a, b): whether two strings are the same, in a time that tells nothing but their lengths. */
static int equal(lua_State *L) {
  size_t la, lb;
  const char *a = luaL_checklstring(L, 1, &la), *b = luaL_checklstring(L, 2, &lb);
  lua_pushboolean(L, la == lb && sys_same(a, b, la));
  return 1;
}

/* core.file_kind(path): "file", "folder", "other", or nil if nothing has the path; and its permissions. */
static int file_kind(lua_State *L) {
  static const char *const names[] = {
      [SYS_MISSING] = NULL, [SYS_REGULAR] = "file", [SYS_FOLDER] = "folder", [SYS_OTHER] = "other"};
  unsigned mode = 0;
  enum sys_kind kind = sys_file_kind(luaL_checkstring(L, 1), &mode);
  lua_pushstring(L, names[kind]);
  if (kind == SYS_MISSING) return 1;
  lua_pushinteger(L, (lua_Integer)mode);
  return 2;
}

static int system_error(lua_State *L, const char *path) {
  int code = errno;
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", path, strerror(code));
  return 2;
}

/* core.make_folder(path [, shared]): makes a folder, for its owner alone unless `shared`; true, also if there is one,
 * or nil and why not. */
static int make_folder(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  if (sys_make_folder(path, !lua_toboolean(L, 2)) != 0) return system_error(L, path);
  lua_pushboolean(L, 1);
  return 1;
}

/* core.real_path(path): the one absolute path of what is at a path; nil and why not. */
static int real_path(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct box *box = box_push(L);
  box->buffer.data = sys_file_real_path(path);
  if (box->buffer.data == NULL) return system_error(L, path);
  lua_pushstring(L, box->buffer.data);
  return 1;
}

/* core.columns(fd): how many columns the terminal behind a descriptor has; nil if there is none. */
static int columns(lua_State *L) {
  int count = sys_terminal_columns((int)luaL_checknumber(L, 1));
  if (count == 0) return 0;
  lua_pushinteger(L, count);
  return 1;
}

/* core.echo(on): shows or hides what is typed; false if standard input is no terminal. */
static int echo(lua_State *L) {
  lua_pushboolean(L, sys_terminal_echo(lua_toboolean(L, 1)) == 0);
  return 1;
}

/* core.catch_interrupt(): from now on Ctrl-C raises "interrupted!" in waits alone, where nothing is half done; true, or
 * false where that cannot be. */
static int catch_interrupt(lua_State *L) {
  lua_pushboolean(L, sys_catch_interrupt() == 0);
  return 1;
}

/* core.now(): monotonic seconds. */
static int now(lua_State *L) {
  lua_pushnumber(L, sys_clock());
  return 1;
}

struct sequence {
  uint64_t seed;
  unsigned generation; /* of the process that has it: a forked child starts its own */
};

static void start_sequence(struct sequence *numbers) {
  numbers->seed = sys_seed(numbers);
  numbers->generation = sys_generation();
}

/* core.random(): in [0, 1), another sequence in each process. math.random is not seeded before Lua 5.4. */
static int random_number(lua_State *L) {
  struct sequence *numbers = lua_touserdata(L, lua_upvalueindex(1));
  if (numbers->generation != sys_generation()) start_sequence(numbers);
  lua_pushnumber(L, sys_random(&numbers->seed));
  return 1;
}

/* core.isyieldable(): whether the running coroutine can yield here, or nil where Lua can't tell. C asks, because
 * lua-nginx-module takes coroutine.isyieldable away. */
static int isyieldable(lua_State *L) {
  int answer = compat_isyieldable(L);
  if (answer < 0) return 0;
  lua_pushboolean(L, answer);
  return 1;
}

void util_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"unbase64", unbase64},
      {"hmac_sha256", hmac_sha256},
      {"equal", equal},
      {"now", now},
      {"isyieldable", isyieldable},
      {"file_kind", file_kind},
      {"make_folder", make_folder},
      {"real_path", real_path},
      {"columns", columns},
      {"echo", echo},
      {"catch_interrupt", catch_interrupt},
      {NULL, NULL},
  };
  struct sequence *numbers;
  compat_setfuncs(L, functions);
  numbers = lua_newuserdata(L, sizeof *numbers);
  start_sequence(numbers);
  lua_pushcclosure(L, random_number, 1);
  lua_setfield(L, -2, "random");
}
