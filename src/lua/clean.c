/* clean.c - errors that Lua makes, cleaned of the secrets of their client.
 *
 * Invariant: every error with text from outside passes core.error with its client; then no secret of the client, or of
 * one of its calls, is in it at any depth. Answers are never changed: where a table of one holds a secret, the error
 * gets a copy. */
#include "http/redact.h"
#include "lua/binding.h"

#define DEEPEST 1100 /* tables in each other that are copied: more than JSON may have */

/* Whether a secret is in the string or table at `index`, at any depth; `seen` is a table for those that were looked at.
 */
static int finds(lua_State *L, const struct secrets *s, int index, int seen, int depth) {
  int found = 0;
  size_t len;
  const char *text;
  if (lua_type(L, index) == LUA_TSTRING) {
    text = lua_tolstring(L, index, &len);
    return redact_finds(s->lasting, text, len) || redact_finds(s->passing, text, len);
  }
  if (!lua_istable(L, index)) return 0;
  if (depth > DEEPEST) return 1; /* push_copy leaves it out */
  luaL_checkstack(L, 5, NULL);
  lua_pushvalue(L, index);
  lua_rawget(L, seen);
  found = lua_toboolean(L, -1);
  lua_pop(L, 1);
  if (found) return 0;
  lua_pushvalue(L, index);
  lua_pushboolean(L, 1);
  lua_rawset(L, seen);
  lua_pushnil(L);
  while (!found && lua_next(L, index)) {
    int value = lua_gettop(L);
    found = finds(L, s, value - 1, seen, depth + 1) || finds(L, s, value, seen, depth + 1);
    lua_pop(L, found ? 2 : 1);
  }
  return found;
}

/* Pushes a copy of the value at `index` without secrets; `copies` is a table from originals to their copies. */
static void push_copy(lua_State *L, const struct secrets *s, int index, int copies, int depth) {
  size_t len;
  const char *text;
  int copy;
  luaL_checkstack(L, 6, NULL);
  if (lua_type(L, index) == LUA_TSTRING) {
    text = lua_tolstring(L, index, &len);
    error_push_clean(L, s, text, len);
    return;
  }
  lua_pushvalue(L, index);
  if (!lua_istable(L, index)) return;
  lua_rawget(L, copies);
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  lua_newtable(L);
  copy = lua_gettop(L);
  lua_pushvalue(L, index);
  lua_pushvalue(L, copy);
  lua_rawset(L, copies);
  if (lua_getmetatable(L, index)) lua_setmetatable(L, copy);
  lua_pushnil(L);
  while (lua_next(L, index)) {
    int value = lua_gettop(L);
    if (depth < DEEPEST || !(lua_istable(L, value) || lua_istable(L, value - 1))) {
      push_copy(L, s, value - 1, copies, depth + 1);
      push_copy(L, s, value, copies, depth + 1);
      lua_rawset(L, copy);
    }
    lua_settop(L, value - 1);
  }
}

/* Cleans the fields of the table at 1. Where a secret is found, tables in it are replaced by copies: a program may have
 * them as answers. */
static void clean_fields(lua_State *L, const struct secrets *s) {
  lua_settop(L, 1);
  lua_newtable(L);
  if (!finds(L, s, 1, 2, 0)) return;
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    lua_pushvalue(L, 4);
    push_copy(L, s, 5, 3, 1);
    lua_rawset(L, 1);
    lua_settop(L, 4);
  }
}

/* core.error(fields [, client]): makes a table an error, or cleans one again. Only texts of our own need no client. */
static int make_error(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  if (!lua_isnil(L, 2)) {
    const struct client *client = client_check(L, 2);
    struct secrets s;
    s.lasting = &client->secrets;
    s.passing = &client->call_secrets;
    clean_fields(L, &s);
  }
  lua_settop(L, 1);
  error_set_type(L);
  return 1;
}

void clean_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"error", make_error}, {NULL, NULL}};
  compat_setfuncs(L, functions);
}
