/* lclient.c - the client userdata: a site and a loop, and who may use them.
 *
 * Invariant: close, __gc and __close are one function, which may be called at
 * any time and any number of times; a client is used only in the process that
 * made it. */
#include <string.h>

#include "compat.h"
#include "lsora.h"
#include "process.h"

#define TICK_FIELD "sora.tick" /* an empty Lua function: calling it runs hooks that are due */
#define SLICE 0.1              /* s; a wait lets hooks in at least so often */

struct lclient *lclient_check(lua_State *L, int index) {
  struct lclient *client;
  if (lua_istable(L, index)) {
    lua_rawgeti(L, index, 1);
    client = compat_testudata(L, -1, CLIENT_TYPE);
    lua_pop(L, 1); /* the table keeps it */
  } else {
    client = compat_testudata(L, index, CLIENT_TYPE);
  }
  if (client == NULL)
    luaL_argerror(L, index, lua_pushfstring(L, "a sora client expected, got %s", luaL_typename(L, index)));
  return client;
}

int lclient_push_table(lua_State *L, int index) {
  if (lua_istable(L, index)) {
    lua_rawgeti(L, index, 1);
    compat_gettable(L, -1);
    lua_remove(L, -2);
  } else {
    compat_gettable(L, index);
  }
  return lua_gettop(L);
}

int lclient_usable(lua_State *L, const struct lclient *client) {
  if (client->site == NULL) {
    lerror_return(L, ERROR_CLOSED, "the client is closed");
    return 0;
  }
  if (client->generation != process_generation()) {
    lerror_return(L, ERROR_FORKED, "the client belongs to the process that made it: make one in each process");
    return 0;
  }
  return 1;
}

int lclient_is_usable(lua_State *L) {
  if (!lclient_usable(L, lclient_check(L, 1))) return 2;
  lua_pushboolean(L, 1);
  return 1;
}

int lclient_close(lua_State *L) {
  struct lclient *client = lclient_check(L, 1);
  int forked = client->generation != process_generation();
  if (client->site == NULL) return 0;
  levents_free(client);
  loop_close(&client->loop, forked);
  if (!forked) site_drop(client->site); /* in a child its handles belong to the parent's transfers */
  client->site = NULL;
  return 0;
}

/* __gc alone: a client that failed half-way is not closed, but must let go of what it has. */
static int collect(lua_State *L) {
  struct lclient *client = lua_touserdata(L, 1);
  buffer_free(&client->settings.headers);
  buffer_free(&client->get_path);
  return lclient_close(L);
}

static void set_get_path(lua_State *L, struct lclient *client, const char *path) {
  client->get_path.len = 0;
  if (buffer_puts(&client->get_path, path) != 0 || buffer_string(&client->get_path) == NULL)
    luaL_error(L, "out of memory");
}

/* core.new(options, who): see lsora.h. */
int lclient_new(lua_State *L) {
  struct lclient *client;
  const char *who = luaL_checkstring(L, 2);
  char why[128];
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  lua_insert(L, 1); /* keeps `who` below what follows */
  client = compat_newuserdata(L, sizeof *client);
  memset(client, 0, sizeof *client);
  client->generation = process_generation();
  lua_newtable(L);
  lua_newtable(L);
  lua_rawseti(L, 4, FIELD_SPARES);
  lua_newtable(L);
  lua_rawseti(L, 4, FIELD_STARTED);
  lua_pushvalue(L, 4);
  compat_settable(L, 3);
  luaL_getmetatable(L, CLIENT_TYPE);
  lua_setmetatable(L, 3);

  loptions_client(L, 2, who, client, 4);
  if (client->settings.base_url == NULL)
    return lerror_return(L, ERROR_CONFIG,
                         "no server is set: set SORA_BASE_URL and SORA_API_KEY (or OPENAI_BASE_URL and OPENAI_API_KEY) "
                         "in the environment, or call sora.configure{ base_url = ..., api_key = ... }");
  client->site = site_new(&client->settings, why, sizeof why);
  buffer_free(&client->settings.headers);
  if (client->site == NULL) return lerror_return(L, ERROR_CONFIG, lua_pushfstring(L, "base_url %s", why));
  if (loop_open(&client->loop, client->site) != 0 || (client->listened && levents_open(client) != 0))
    return luaL_error(L, "out of memory or file descriptors");
  set_get_path(L, client, "/videos/{id}");
  lua_settop(L, 3);
  return 1;
}

/* core.set_get_path(client, template) */
int lclient_set_get_path(lua_State *L) {
  struct lclient *client = lclient_check(L, 1);
  set_get_path(L, client, luaL_checkstring(L, 2));
  return 0;
}

/* --- waiting ---------------------------------------------------------------- */

/* Runs the hooks that are due, such as the one that Ctrl-C sets in the stand-alone interpreter: that one is
 * the main thread's, so in a coroutine it is borrowed. Returns 0, or pushes what a hook raised. */
static int run_hooks(lua_State *L) {
  lua_State *main = NULL;
  lua_Hook borrowed = NULL;
  int failed, is_main = lua_pushthread(L);
  lua_pop(L, 1);
  if (!is_main) main = compat_mainthread(L);
  if (main != NULL && lua_gethook(L) == NULL) borrowed = lua_gethook(main);
  if (borrowed == NULL && lua_gethook(L) == NULL) return 0;
  if (borrowed != NULL) lua_sethook(L, borrowed, lua_gethookmask(main), lua_gethookcount(main));
  lua_getfield(L, LUA_REGISTRYINDEX, TICK_FIELD);
  failed = lua_pcall(L, 0, 0, 0);
  if (borrowed != NULL) lua_sethook(L, NULL, 0, 0);
  return failed;
}

/* Whether the time has come that the owner of the loop asked for. */
static int woken(const struct loop *loop) {
  return loop->wake >= 0 && loop->wake <= request_clock();
}

/* A hook has raised in the middle of a wait: ends the call that was waited for, and goes on raising. */
static void interrupt(lua_State *L, struct lclient *client, int table, struct lcall *call) {
  if (call != NULL && client->site != NULL && call->request.state != REQUEST_DONE)
    loop_cancel(&client->loop, &call->request, ERROR_CANCELLED, "the call was interrupted");
  if (call != NULL && call->listens) lcall_anchor(L, table, call, 0);
  if (call != NULL) sink_close(&call->sink);
  lua_error(L);
}

void lclient_pump(lua_State *L, struct lclient *client, int table, struct lcall *until, double seconds) {
  double deadline = until == NULL ? request_clock() + seconds : 0;
  luaL_checkstack(L, 4, NULL);
  for (;;) {
    double left;
    levents_drain(L, client, table); /* before the wait: who listens may want to know what it is for */
    lfile_news(L, client, table);
    if (run_hooks(L) != 0) interrupt(L, client, table, until);
    if (client->site == NULL) return;
    left = until != NULL ? SLICE : deadline - request_clock();
    if (until != NULL && until->request.state == REQUEST_DONE) return;
    if (until == NULL && (left <= 0 || client->loop.done.first != NULL || woken(&client->loop))) return;
    loop_step(&client->loop, left < SLICE ? left : SLICE);
  }
}

void lclient_open(lua_State *L) {
  luaL_newmetatable(L, CLIENT_TYPE);
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, lclient_close);
  lua_setfield(L, -2, "__close");
  lua_pop(L, 1);
  if (luaL_loadstring(L, "") != 0) lua_error(L);
  lua_setfield(L, LUA_REGISTRYINDEX, TICK_FIELD);
}
