/* compat.h - Lua 5.1 to 5.5 and LuaJIT behind one small shim.
 *
 * Owns every `#if LUA_VERSION_NUM` of the project. Invariant: the rest of the binding is written once, against the
 * names below and the part of the C API that all versions share. The names have a prefix of their own because LuaJIT
 * ships some of the 5.2 functions and not others. */
#ifndef SORA_COMPAT_H
#define SORA_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

#if LUA_VERSION_NUM >= 503
#define COMPAT_HAS_INTEGERS 1
#else
#define COMPAT_HAS_INTEGERS 0
#endif

/* luaL_setfuncs without upvalues: into the table on top of the stack. */
static inline void compat_setfuncs(lua_State *L, const luaL_Reg *list) {
  for (; list->name != NULL; list++) {
    lua_pushcfunction(L, list->func);
    lua_setfield(L, -2, list->name);
  }
}

/* luaL_testudata: the userdata at `index` if its metatable is `name`'s, or NULL. */
static inline void *compat_testudata(lua_State *L, int index, const char *name) {
  void *data = lua_touserdata(L, index);
  if (data == NULL || !lua_getmetatable(L, index)) return NULL;
  luaL_getmetatable(L, name);
  if (!lua_rawequal(L, -1, -2)) data = NULL;
  lua_pop(L, 2);
  return data;
}

/* A userdata that can have one table of its own: a user value, or on 5.1 its environment. */
static inline void *compat_newuserdata(lua_State *L, size_t size) {
#if LUA_VERSION_NUM >= 504
  return lua_newuserdatauv(L, size, 1);
#else
  return lua_newuserdata(L, size);
#endif
}

/* Pops a table and keeps it as the table of the userdata at `index`. */
static inline void compat_settable(lua_State *L, int index) {
#if LUA_VERSION_NUM >= 504
  lua_setiuservalue(L, index, 1);
#elif LUA_VERSION_NUM >= 502
  lua_setuservalue(L, index);
#else
  lua_setfenv(L, index);
#endif
}

/* Pushes the table of the userdata at `index`. */
static inline void compat_gettable(lua_State *L, int index) {
#if LUA_VERSION_NUM >= 504
  lua_getiuservalue(L, index, 1);
#elif LUA_VERSION_NUM >= 502
  lua_getuservalue(L, index);
#else
  lua_getfenv(L, index);
#endif
}

static inline int compat_isinteger(lua_State *L, int index) {
#if COMPAT_HAS_INTEGERS
  return lua_isinteger(L, index);
#else
  lua_Number n = lua_tonumber(L, index);
  return lua_type(L, index) == LUA_TNUMBER && n >= -9007199254740992.0 && n <= 9007199254740992.0 &&
         n == (lua_Number)(long long)n;
#endif
}

/* A number of bytes: an integer where Lua has them, whatever its size. */
static inline void compat_pushcount(lua_State *L, long long count) {
#if COMPAT_HAS_INTEGERS
  lua_pushinteger(L, (lua_Integer)count);
#else
  lua_pushnumber(L, (lua_Number)count);
#endif
}

/* On 5.1 the registry does not hold the main thread: keeps it, if the module is opened in it. */
static inline void compat_keepmainthread(lua_State *L) {
#if LUA_VERSION_NUM < 502
  if (lua_pushthread(L))
    lua_setfield(L, LUA_REGISTRYINDEX, "sora.main");
  else
    lua_pop(L, 1);
#else
  (void)L;
#endif
}

/* The main thread, or NULL if it is not known. */
static inline lua_State *compat_mainthread(lua_State *L) {
  lua_State *main;
#if LUA_VERSION_NUM >= 502
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
#else
  lua_getfield(L, LUA_REGISTRYINDEX, "sora.main");
#endif
  main = lua_tothread(L, -1);
  lua_pop(L, 1);
  return main;
}

/* 1 or 0; -1: this Lua can't tell. Lua 5.3 and later can, and LuaJIT 2.1, whose API is that of 5.1 otherwise; but
 * Windows has no weak symbols to ask that with. */
#if LUA_VERSION_NUM < 503 && !defined(_WIN32)
extern int lua_isyieldable(lua_State *L) __attribute__((weak));
#endif
static inline int compat_isyieldable(lua_State *L) {
#if LUA_VERSION_NUM < 503 && defined(_WIN32)
  (void)L;
  return -1;
#else
#if LUA_VERSION_NUM < 503
  if (lua_isyieldable == NULL) return -1;
#endif
  return lua_isyieldable(L) != 0;
#endif
}

#endif
