/* lblame.c - errors of misuse that point at the user's line.
 *
 * A call passes through functions of the Lua layer, some of them by tail calls,
 * so no fixed level finds the line where the user called. Owns the set of chunks
 * that are the module's own; the first line outside them is to blame. */
#include "compat.h"
#include "lsora.h"

#define OWN_FIELD "sora.own" /* chunk name -> true */

/* core.own(): the chunk that calls this is the module's own. */
int lblame_own(lua_State *L) {
  lua_Debug frame;
  luaL_checkstack(L, 4, NULL);
  if (!lua_getstack(L, 1, &frame) || !lua_getinfo(L, "S", &frame)) return 0;
  lua_getfield(L, LUA_REGISTRYINDEX, OWN_FIELD);
  lua_pushstring(L, frame.source);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  return 0;
}

static int is_own(lua_State *L, const char *source) {
  int own;
  lua_getfield(L, LUA_REGISTRYINDEX, OWN_FIELD);
  lua_getfield(L, -1, source);
  own = lua_toboolean(L, -1);
  lua_pop(L, 2);
  return own;
}

/* Pushes "file:line: " of the user's code, or "". */
static void push_place(lua_State *L) {
  lua_Debug frame;
  int level;
  for (level = 1; lua_getstack(L, level, &frame); level++)
    if (lua_getinfo(L, "Sl", &frame) && frame.currentline > 0 && !is_own(L, frame.source)) {
      lua_pushfstring(L, "%s:%d: ", frame.short_src, frame.currentline);
      return;
    }
  lua_pushliteral(L, "");
}

int lblame_raise(lua_State *L, const char *who, int arg, const char *text) {
  push_place(L);
  if (arg > 0) {
    lua_pushfstring(L, "bad argument #%d to '%s' (%s)", arg, who, text);
  } else {
    lua_pushfstring(L, "bad argument to '%s' (%s)", who, text);
  }
  lua_concat(L, 2);
  return lua_error(L);
}

/* core.complain(who, text [, arg]): raises "bad argument to 'who' (text)". */
int lblame_complain(lua_State *L) {
  return lblame_raise(L, luaL_checkstring(L, 1), (int)luaL_optinteger(L, 3, 0), luaL_checkstring(L, 2));
}

void lblame_open(lua_State *L) {
  lua_newtable(L);
  lua_setfield(L, LUA_REGISTRYINDEX, OWN_FIELD);
}
