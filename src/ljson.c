/* ljson.c - bodies of answers as Lua tables.
 *
 * lua-cjson decodes; this file makes the result what the API promises: JSON
 * integers are Lua integers (5.3 and later) or exact text, null is an absent
 * field. Invariant: the cjson instance is our own, so nobody's configuration is
 * read or changed. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "lsora.h"
#include "numbers.h"

#define DECODE_FIELD "sora.decode"
#define MARK_LEN 19

/* "\001n" and 16 digits that no server can foresee: an answer can't hold it by design or by chance. */
static char mark[MARK_LEN + 1];
#define MAX_EXACT 9007199254740992.0 /* 2^53 */

void ljson_open(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson.safe");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "new");
  lua_call(L, 0, 1);
  if (mark[0] == '\0')
    snprintf(mark, sizeof mark, "\001n:%016llx",
             (unsigned long long)(request_clock() * 1e9) ^ (unsigned long long)(uintptr_t)L * 0x9E3779B97F4A7C15ULL);
  lua_getfield(L, -1, "decode");
  lua_setfield(L, LUA_REGISTRYINDEX, DECODE_FIELD);
  lua_pop(L, 2);
}

/* Pushes the number that a marked string stands for; one that no Lua number holds stays a string. */
static void push_marked(lua_State *L, const char *digits) {
#if COMPAT_HAS_INTEGERS
  if (lua_stringtonumber(L, digits) == 0) {
    lua_pushstring(L, digits);
  } else if (!lua_isinteger(L, -1) && digits[strcspn(digits, ".eE")] == '\0') {
    lua_pop(L, 1); /* an integer beyond 64 bits */
    lua_pushstring(L, digits);
  }
#else
  double value = strtod(digits, NULL);
  if (value > -MAX_EXACT && value < MAX_EXACT) {
    lua_pushnumber(L, value);
  } else {
    lua_pushstring(L, digits);
  }
#endif
}

/* Pushes what the value on top should have been and returns 1; 0 when it is right as it is. */
static int push_mended(lua_State *L, int marked) {
  switch (lua_type(L, -1)) {
    case LUA_TLIGHTUSERDATA: /* cjson.null */ lua_pushnil(L); return 1;
#if COMPAT_HAS_INTEGERS
    case LUA_TNUMBER: {
      lua_Number n = lua_tonumber(L, -1);
      if (!(n >= -MAX_EXACT && n <= MAX_EXACT) || n != (lua_Number)(lua_Integer)n) return 0;
      lua_pushinteger(L, (lua_Integer)n);
      return 1;
    }
#endif
    case LUA_TSTRING:
      if (marked) {
        const char *text = lua_tostring(L, -1);
        if (strncmp(text, mark, MARK_LEN) != 0) return 0;
        push_marked(L, text + MARK_LEN);
        return 1;
      }
      return 0;
    default: return 0;
  }
}

/* Mends the table on top, to any depth: assigning to a field that exists is allowed during lua_next. */
static void mend_all(lua_State *L, int marked) {
  luaL_checkstack(L, 6, "the answer is nested too deeply");
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    if (lua_type(L, -1) == LUA_TTABLE) {
      mend_all(L, marked);
    } else if (push_mended(L, marked)) {
      lua_pushvalue(L, -3);
      lua_insert(L, -2);
      lua_rawset(L, -5);
    }
    lua_pop(L, 1);
  }
}

/* Mends the fields of the table on top that need it: 1.6k instructions less than to walk through a small answer. */
static void mend_places(lua_State *L, const struct places *places) {
  int i;
  for (i = 0; i < places->count; i++) {
    lua_pushlstring(L, places->member[i].key, places->member[i].len);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    if (push_mended(L, 0)) {
      lua_remove(L, -2);
      lua_rawset(L, -3);
    } else {
      lua_pop(L, 2);
    }
  }
}

int ljson_decode(lua_State *L, const char *text, size_t len, struct buffer *scratch) {
  struct places places;
  int marked;
  scratch->len = 0;
  marked = numbers_scan(text, len, COMPAT_HAS_INTEGERS, mark, scratch, &places);
  if (marked < 0) return luaL_error(L, "out of memory");
  lua_getfield(L, LUA_REGISTRYINDEX, DECODE_FIELD);
  if (marked) {
    lua_pushlstring(L, scratch->data, scratch->len);
  } else {
    lua_pushlstring(L, text, len);
  }
  lua_call(L, 1, 2);
  if (lua_istable(L, -2)) {
    lua_pop(L, 1);
    if (places.elsewhere) {
      mend_all(L, marked);
    } else {
      mend_places(L, &places);
    }
    return 1;
  }
  if (lua_isnil(L, -2) && lua_isstring(L, -1)) {
    lua_pushfstring(L, "the answer is no JSON: %s", lua_tostring(L, -1));
  } else {
    lua_pushfstring(L, "the answer is no JSON object but a %s",
                    lua_islightuserdata(L, -2) ? "null" : luaL_typename(L, -2));
  }
  lua_replace(L, -3);
  lua_pop(L, 1);
  return 0;
}

/* core.decode_json(text): a table, or nil and what is wrong with the text. */
int ljson_decode_text(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  struct lcall *box = lcall_box(L); /* owns the scratch memory */
  if (ljson_decode(L, text, len, &box->scratch)) return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}
