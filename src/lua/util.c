/* util.c - memory with an owner, table fields, and functions that need no client.
 *
 * Owns the box: a userdata that frees a buffer and closes a part file when Lua collects it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/sys.h"
#include "lua/binding.h"

#define BOX_TYPE "sora.box"

static int collect(lua_State *L) {
  struct box *box = lua_touserdata(L, 1);
  buffer_free(&box->buffer);
  part_file_close(&box->part);
  return 0;
}

struct box *util_box(lua_State *L) {
  struct box *box = compat_newuserdata(L, sizeof *box);
  memset(box, 0, sizeof *box);
  part_file_init(&box->part);
  luaL_getmetatable(L, BOX_TYPE);
  lua_setmetatable(L, -2);
  return box;
}

/* --- fields of the table on top ------------------------------------------ */

void util_set_string(lua_State *L, const char *field, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, field);
}

void util_set_bytes(lua_State *L, const char *field, const char *value, size_t len) {
  lua_pushlstring(L, value, len);
  lua_setfield(L, -2, field);
}

void util_set_flag(lua_State *L, const char *field, int value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, field);
}

void util_set_count(lua_State *L, const char *field, long long value) {
  compat_pushcount(L, value);
  lua_setfield(L, -2, field);
}

void util_set_number(lua_State *L, const char *field, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, field);
}

/* --- functions ------------------------------------------------------------ */

/* core.unbase64(text): the bytes, or nil if the text is not base64. */
static int unbase64(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  char *out = lua_newuserdata(L, len / 4 * 3 + 3);
  long written = base64_decode(text, len, out);
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
    return luaL_error(L, "the system's library has no HMAC-SHA256");
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

/* core.save(path, bytes): true, or nil, err. Saves as a download of these bytes would. */
static int save(lua_State *L) {
  size_t len;
  const char *path = luaL_checkstring(L, 1), *bytes = luaL_checklstring(L, 2, &len);
  struct part_file *part = &util_box(L)->part;
  char message[512];
  if (part_file_open(part, path, 0) == 0 && part_file_write(part, bytes, len) == 0 && part_file_commit(part) == 0) {
    lua_pushboolean(L, 1);
    return 1;
  }
  part_file_explain(part, message, sizeof message);
  part_file_close(part);
  return error_return(L, KIND_FILE, message);
}

/* core.append(path, line): true, or nil, err. The line is on disk when it returns. */
static int append(lua_State *L) {
  size_t len;
  const char *path = luaL_checkstring(L, 1), *line = luaL_checklstring(L, 2, &len);
  char message[512];
  if (sys_file_append(path, line, len) == 0) {
    lua_pushboolean(L, 1);
    return 1;
  }
  snprintf(message, sizeof message, "cannot write %s: %s", path, strerror(errno));
  return error_return(L, KIND_FILE, message);
}

/* core.now(): monotonic seconds. */
static int now(lua_State *L) {
  lua_pushnumber(L, sys_clock());
  return 1;
}

/* core.random(): in [0, 1). math.random is not seeded before Lua 5.4. */
static int random_number(lua_State *L) {
  lua_pushnumber(L, sys_random(lua_touserdata(L, lua_upvalueindex(1))));
  return 1;
}

void util_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"unbase64", unbase64}, {"hmac_sha256", hmac_sha256}, {"equal", equal}, {"save", save},
      {"append", append},     {"now", now},                 {NULL, NULL},
  };
  uint64_t *seed;
  luaL_newmetatable(L, BOX_TYPE);
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  compat_setfuncs(L, functions);
  seed = lua_newuserdata(L, sizeof *seed);
  *seed = sys_seed(seed);
  lua_pushcclosure(L, random_number, 1);
  lua_setfield(L, -2, "random");
}
