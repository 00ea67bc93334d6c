/* core.c - opens sora.core: the functions that the Lua layer is built on. */
#include <stdint.h>

#include "compat.h"
#include "lsora.h"
#include "process.h"

/* core.now(): monotonic seconds. */
static int now(lua_State *L) {
  lua_pushnumber(L, request_clock());
  return 1;
}

/* core.random(): in [0, 1), seeded by the clock and the process; math.random is not seeded before 5.4. */
static int random_number(lua_State *L) {
  static uint64_t seed;
  if (seed == 0) seed = loop_seed(&seed);
  lua_pushnumber(L, loop_random(&seed));
  return 1;
}

int luaopen_sora_core(lua_State *L);

__attribute__((visibility("default"))) int luaopen_sora_core(lua_State *L) {
  const char *problem = process_open();
  static const luaL_Reg functions[] = {
      {"new", lclient_new},
      {"close", lclient_close},
      {"update", lupdate_update},
      {"wake", lupdate_wake},
      {"fileno", lupdate_fileno},
      {"timeout", lupdate_timeout},
      {"get_video", lvideo_get},
      {"get_video_from", lvideo_get_from},
      {"call", lvideo_call},
      {"start_get_video", lvideo_start_get},
      {"start_poll", lvideo_start_poll},
      {"start", lvideo_start},
      {"escape", lvideo_escape},
      {"check_call", lcall_check},
      {"unbase64", lfile_unbase64},
      {"hmac_sha256", lhmac_sha256},
      {"equal", lhmac_equal},
      {"append", lfile_append},
      {"save", lfile_save},
      {"decode_json", ljson_decode_text},
      {"own", lblame_own},
      {"complain", lblame_complain},
      {"nearest", loptions_nearest},
      {"error", lerror_make},
      {"usable", lclient_is_usable},
      {"set_get_path", lclient_set_get_path},
      {"now", now},
      {"random", random_number},
      {NULL, NULL},
  };
  if (problem != NULL) return luaL_error(L, "libcurl: %s", problem);
  compat_keepmainthread(L);
  lblame_open(L);
  lerror_open(L);
  lclient_open(L);
  lcall_open(L);
  lhandle_open(L);
  lua_newtable(L);
  compat_setfuncs(L, functions);
  ljson_open(L);
  lua_pushliteral(L, SORA_VERSION);
  lua_setfield(L, -2, "_VERSION");
  return 1;
}
