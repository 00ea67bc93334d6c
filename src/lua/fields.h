/* fields.h - sets fields of the table on top of the stack. Owns nothing. */
#ifndef SORA_FIELDS_H
#define SORA_FIELDS_H

#include "lua/compat.h"

static inline void set_string(lua_State *L, const char *field, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, field);
}

static inline void set_bytes(lua_State *L, const char *field, const char *value, size_t len) {
  lua_pushlstring(L, value, len);
  lua_setfield(L, -2, field);
}

static inline void set_flag(lua_State *L, const char *field, int value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, field);
}

static inline void set_count(lua_State *L, const char *field, long long value) {
  compat_pushcount(L, value);
  lua_setfield(L, -2, field);
}

static inline void set_number(lua_State *L, const char *field, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, field);
}

#endif
