/* core.c - opens sora.core: the functions that the Lua layer is built on. */
#include "lua/binding.h"

/* The only symbol that the module exports. The headers hide all others, because LuaRocks passes no -fvisibility:
   otherwise those of the host take their place, such as Neovim's own loop_close. */
#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

int luaopen_sora_core(lua_State *L);

EXPORT int luaopen_sora_core(lua_State *L) {
  static void (*const open[])(lua_State *) = {box_open,     json_open,   error_open, util_open, append_open,
                                              options_open, client_open, clean_open, wait_open, call_open,
                                              handle_open,  update_open, api_open,   part_open, stream_open};
  const char *problem = easy_init_libcurl();
  size_t i;
  if (problem != NULL) return luaL_error(L, "libcurl: %s", problem);
  compat_keepmainthread(L);
  lua_newtable(L);
  for (i = 0; i < sizeof open / sizeof open[0]; i++) open[i](L);
  set_string(L, "_VERSION", SORA_VERSION);
  return 1;
}
