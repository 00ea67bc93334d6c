/* json.c - bodies of answers as Lua tables.
 *
 * lua-cjson decodes; this file makes the result what the API promises: JSON integers are Lua integers (5.3 and later)
 * or exact text; null, NaN and what is infinite as a double are absent fields. It also owns the Lua functions that say
 * what an answer means. Invariants: the cjson instance is our own, so nobody's configuration is read or changed; no Lua
 * module is looked up by name after the module is loaded. */
#include <string.h>

#include "base/json_numbers.h"
#include "base/sys.h"
#include "lua/binding.h"

#define DECODE_FIELD "sora.decode"
#define READERS_FIELD "sora.readers"
#define BOM "\xEF\xBB\xBF"
#define BOM_LEN 3
#define MAX_EXACT 9007199254740992.0 /* 2^53 */

/* --- decoding ----------------------------------------------------------------- */

/* Whether it is neither NaN, which some servers write, nor larger than a double. */
static int is_finite(lua_Number n) {
  return n - n == 0;
}

/* Pushes the integer that a marked string stands for; one that no Lua number holds stays a string. */
static void push_integer(lua_State *L, const char *digits) {
#if COMPAT_HAS_INTEGERS
  if (lua_stringtonumber(L, digits) != 0) {
    if (lua_isinteger(L, -1)) return;
    lua_pop(L, 1); /* beyond 64 bits */
  }
#else
  double value = sys_read_number(digits);
  if (value > -MAX_EXACT && value < MAX_EXACT) {
    lua_pushnumber(L, value);
    return;
  }
#endif
  lua_pushstring(L, digits);
}

/* Pushes the number that a marked string stands for; nil when it is infinite as a double. */
static void push_number(lua_State *L, const char *digits) {
  double value;
  if (digits[strcspn(digits, ".eE")] == '\0') {
    push_integer(L, digits);
    return;
  }
  value = sys_read_number(digits);
  if (is_finite(value)) {
    lua_pushnumber(L, value);
  } else {
    lua_pushnil(L);
  }
}

/* Pushes what the value on top should have been and returns 1; 0 when it is right as it is. */
static int push_mended(lua_State *L, int marked) {
  switch (lua_type(L, -1)) {
    case LUA_TLIGHTUSERDATA: /* cjson.null */ lua_pushnil(L); return 1;
    case LUA_TNUMBER: {
      lua_Number n = lua_tonumber(L, -1);
      if (!is_finite(n)) {
        lua_pushnil(L);
        return 1;
      }
#if COMPAT_HAS_INTEGERS
      if (!(n >= -MAX_EXACT && n <= MAX_EXACT) || n != (lua_Number)(lua_Integer)n) return 0;
      lua_pushinteger(L, (lua_Integer)n);
      return 1;
#else
      return 0;
#endif
    }
    case LUA_TSTRING:
      if (marked) {
        size_t len;
        const char *text = lua_tolstring(L, -1, &len);
        if (text[0] != JSON_MARK) return 0;
        if (text[1] == JSON_MARK) {
          lua_pushlstring(L, text + 1, len - 1);
        } else {
          push_number(L, text + 1);
        }
        return 1;
      }
      return 0;
    default: return 0;
  }
}

/* Mends the table on top, to any depth: assigning to a field that exists is allowed during lua_next. */
static void mend(lua_State *L, int marked) {
  luaL_checkstack(L, 6, "the answer is nested too deeply");
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    if (lua_type(L, -1) == LUA_TTABLE) {
      mend(L, marked);
    } else if (push_mended(L, marked)) {
      lua_pushvalue(L, -3);
      lua_insert(L, -2);
      lua_rawset(L, -5);
    }
    lua_pop(L, 1);
  }
}

int json_decode(lua_State *L, const char *text, size_t len, struct buffer *scratch) {
  int marked, mendable;
  if (len >= BOM_LEN && memcmp(text, BOM, BOM_LEN) == 0) text += BOM_LEN, len -= BOM_LEN;
  scratch->len = 0;
  marked = json_numbers_scan(text, len, COMPAT_HAS_INTEGERS, strcmp(sys_decimal_point(), ".") != 0, scratch, &mendable);
  if (marked < 0) return raise_memory(L);
  lua_getfield(L, LUA_REGISTRYINDEX, DECODE_FIELD);
  if (marked) {
    lua_pushlstring(L, scratch->data, scratch->len);
  } else {
    lua_pushlstring(L, text, len);
  }
  lua_call(L, 1, 2);
  if (lua_istable(L, -2)) {
    lua_pop(L, 1);
    if (mendable) mend(L, marked);
    return 1;
  }
  if (lua_isnil(L, -2) && lua_isstring(L, -1)) {
    lua_pushfstring(L, "expected JSON, got a text that is none (%s)", lua_tostring(L, -1));
  } else {
    lua_pushfstring(L, "expected a JSON object, got a %s", lua_islightuserdata(L, -2) ? "null" : luaL_typename(L, -2));
  }
  lua_replace(L, -3);
  lua_pop(L, 1);
  return 0;
}

/* core.decode_json(text): a table, or nil and what is wrong with the text. */
static int decode_json(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  struct box *box = box_push(L);
  if (json_decode(L, text, len, &box->buffer)) return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

/* --- readers ------------------------------------------------------------------ */

/* core.use_readers(failure, text, refusal, id, flaw, page, reason): Lua functions that read an error body, an error
 * body that is not JSON, a refusal in an answer that looks like success, the id in a table that stands for a job, what
 * the answer to a create lacks to be a job, what an answer is that should be JSON, and the reason in an error's fields.
 */
static int use_readers(lua_State *L) {
  int i;
  lua_settop(L, JSON_READERS);
  lua_createtable(L, JSON_READERS, 0);
  for (i = 1; i <= JSON_READERS; i++) {
    luaL_checktype(L, i, LUA_TFUNCTION);
    lua_pushvalue(L, i);
    lua_rawseti(L, JSON_READERS + 1, i);
  }
  lua_setfield(L, LUA_REGISTRYINDEX, READERS_FIELD);
  return 0;
}

void json_read(lua_State *L, enum json_reader reader) {
  lua_getfield(L, LUA_REGISTRYINDEX, READERS_FIELD);
  if (lua_istable(L, -1)) {
    lua_rawgeti(L, -1, (int)reader + 1);
    lua_pushvalue(L, -3);
    lua_call(L, 1, 1);
    lua_replace(L, -3);
  } else {
    lua_pushnil(L);
    lua_replace(L, -3);
  }
  lua_pop(L, 1);
}

/* Pushes an instance of cjson of our own. */
static int new_cjson(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson.safe");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "new");
  lua_call(L, 0, 1);
  lua_getfield(L, -1, "decode_array_with_array_mt"); /* so that decoded arrays are sent as arrays, where cjson can */
  if (lua_isfunction(L, -1)) {
    lua_pushboolean(L, 1);
    lua_call(L, 1, 0);
  } else {
    lua_pop(L, 1);
  }
  return 1;
}

/* cjson ends the process where the decimal point has several bytes. It asks for it here alone, and keeps it for all its
 * instances, so in other locales it has to see the true one. */
static void push_cjson(lua_State *L) {
  int is_wide = strlen(sys_decimal_point()) > 1, raised;
  void *before = is_wide ? sys_enter_c_locale() : NULL;
  lua_pushcfunction(L, new_cjson);
  raised = lua_pcall(L, 0, 1, 0);
  if (is_wide) sys_leave_c_locale(before);
  if (raised) lua_error(L);
}

/* core.cjson: the instance. */
void json_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"decode_json", decode_json}, {"use_readers", use_readers}, {NULL, NULL}};
  compat_setfuncs(L, functions);
  push_cjson(L);
  lua_getfield(L, -1, "decode");
  lua_setfield(L, LUA_REGISTRYINDEX, DECODE_FIELD);
  lua_setfield(L, -2, "cjson");
}
