/* append.c - a file that lines are appended to, as an object.
 *
 * Owns how its failures are told. Invariant: the descriptor is closed with the object at the latest. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/append_file.h"
#include "lua/binding.h"

#define APPENDER_TYPE "sora.appender"

struct appender {
  struct append_file file;
  char path[1]; /* as long as it needs to be */
};

static struct appender *check(lua_State *L) {
  return luaL_checkudata(L, 1, APPENDER_TYPE);
}

/* nil, err, for what errno says. */
static int fail(lua_State *L, const char *verb, const char *path) {
  const char *why = errno == EINVAL ? "it is not a regular file" : strerror(errno);
  lua_pushfstring(L, "cannot %s %s: %s", verb, path, why);
  return error_return(L, KIND_FILE, lua_tostring(L, -1));
}

/* core.appender(path) */
static int new_appender(lua_State *L) {
  size_t len;
  const char *path = luaL_checklstring(L, 1, &len);
  struct appender *self = compat_newuserdata(L, sizeof *self + len);
  append_file_init(&self->file);
  memcpy(self->path, path, len + 1);
  luaL_getmetatable(L, APPENDER_TYPE);
  lua_setmetatable(L, -2);
  return 1;
}

/* appender:append(line): true, or nil, err. The line is on disk when it returns. */
static int append(lua_State *L) {
  struct appender *self = check(L);
  size_t len;
  const char *line = luaL_checklstring(L, 2, &len);
  if (append_file_write(&self->file, self->path, line, len) != 0) return fail(L, "write", self->path);
  lua_pushboolean(L, 1);
  return 1;
}

/* appender:exists(): whether there is a file to read; or nil, err where something else has the path. */
static int exists(lua_State *L) {
  struct appender *self = check(L);
  int found = sys_file_is_regular(self->path);
  if (found < 0) return fail(L, "read", self->path);
  lua_pushboolean(L, found);
  return 1;
}

/* appender:close() */
static int close_appender(lua_State *L) {
  append_file_close(&check(L)->file);
  return 0;
}

void append_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"appender", new_appender}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"append", append}, {"exists", exists}, {"close", close_appender}, {NULL, NULL}};
  luaL_newmetatable(L, APPENDER_TYPE);
  lua_newtable(L);
  compat_setfuncs(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, close_appender);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  compat_setfuncs(L, functions);
}
