/* box.c - memory with an owner: a userdata that frees a buffer when Lua collects it. */
#include <string.h>

#include "lua/binding.h"

#define BOX_TYPE "sora.box"

static int collect(lua_State *L) {
  struct box *box = lua_touserdata(L, 1);
  buffer_free(&box->buffer);
  return 0;
}

struct box *box_push(lua_State *L) {
  struct box *box = compat_newuserdata(L, sizeof *box);
  memset(box, 0, sizeof *box);
  luaL_getmetatable(L, BOX_TYPE);
  lua_setmetatable(L, -2);
  return box;
}

void box_open(lua_State *L) {
  luaL_newmetatable(L, BOX_TYPE);
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}
