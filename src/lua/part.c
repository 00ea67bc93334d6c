/* part.c - part files for Lua: a file that is being made, from its lock to its place.
 *
 * Invariant: a part file that is collected is closed, and removed unless it holds what another process left. */
#include <errno.h>

#include "base/part_file.h"
#include "lua/binding.h"

#define PART_TYPE "sora.part"
#define MAX_NOTE 4096 /* bytes */

struct part_file *part_at(lua_State *L, int index) {
  return compat_testudata(L, index, PART_TYPE);
}

static struct part_file *check(lua_State *L) {
  return luaL_checkudata(L, 1, PART_TYPE);
}

/* Returns true, or nil, err. */
static int result(lua_State *L, struct part_file *part, int code) {
  char message[512];
  if (code == 0) {
    lua_pushboolean(L, 1);
    return 1;
  }
  part_file_explain(part, message, sizeof message);
  return error_return(L, KIND_FILE, message);
}

static struct part_file *push_part(lua_State *L) {
  struct part_file *part = lua_newuserdata(L, sizeof *part);
  part_file_init(part);
  luaL_getmetatable(L, PART_TYPE);
  lua_setmetatable(L, -2);
  return part;
}

/* core.part(path [, sync]): a part file that nobody else has, with what another process left in it; or nil, err. */
static int new_part(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  int quick = lua_isboolean(L, 2) && !lua_toboolean(L, 2), code;
  struct part_file *part = push_part(L);
  part->quick = quick;
  code = part_file_open(part, path);
  if (code == 0) return 1;
  (void)result(L, part, code);
  if (part->code == EWOULDBLOCK) set_string(L, "code", "locked");
  part_file_close(part);
  return 2;
}

/* part:save(bytes): puts a file of these bytes in place; true, or nil, err. */
static int save(lua_State *L) {
  struct part_file *part = check(L);
  size_t len;
  const char *bytes = luaL_checklstring(L, 2, &len);
  int code = part_file_cut(part, 0);
  if (code == 0) code = part_file_write(part, bytes, len);
  return result(L, part, code == 0 ? part_file_commit(part) : code);
}

/* part:commit(): puts what was written in place; true, or nil, err. */
static int commit(lua_State *L) {
  struct part_file *part = check(L);
  return result(L, part, part_file_commit(part));
}

/* part:note([text]): writes the note, or returns it or nil. */
static int note(lua_State *L) {
  struct part_file *part = check(L);
  char text[MAX_NOTE];
  size_t len;
  if (part->fd < 0) return 0;
  if (lua_isstring(L, 2)) {
    const char *given = lua_tolstring(L, 2, &len);
    return result(L, part, part_file_write_note(part, given, len));
  }
  len = part_file_read_note(part, text, sizeof text);
  if (len == 0) return 0;
  lua_pushlstring(L, text, len);
  return 1;
}

/* part:close(): gives it up. */
static int close_part(lua_State *L) {
  part_file_close(check(L));
  return 0;
}

void part_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"part", new_part}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"save", save}, {"commit", commit}, {"note", note}, {"close", close_part}, {NULL, NULL},
  };
  luaL_newmetatable(L, PART_TYPE);
  lua_pushcfunction(L, close_part);
  lua_setfield(L, -2, "__gc");
  lua_newtable(L);
  compat_setfuncs(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  compat_setfuncs(L, functions);
}
