/* wait.c - lets the loop work until something has happened, and the host in between.
 *
 * Invariant: nothing is raised from here: what a signal handler or a hook raises is handed to the caller, who cleans up
 * first. */
#include "base/sys.h"
#include "lua/binding.h"

#define TICK_FIELD "sora.tick" /* an empty Lua function: calling it runs the hooks that are due */
#define SLICE 0.1              /* s; a wait runs hooks at least so often */

/* Runs the hooks that are due, such as the one that Ctrl-C sets in the stand-alone interpreter: it belongs to the main
 * thread, so a coroutine borrows it. After core.catch_interrupt, Ctrl-C is raised here. Returns 0, or 1 with what was
 * raised on the stack. */
static int run_hooks(lua_State *L) {
  lua_State *main = NULL;
  lua_Hook borrowed = NULL;
  int failed, is_main;
  if (sys_take_interrupt()) {
    lua_pushliteral(L, "interrupted!");
    return 1;
  }
  is_main = lua_pushthread(L);
  lua_pop(L, 1);
  if (!is_main) main = compat_mainthread(L);
  if (main != NULL && lua_gethook(L) == NULL) borrowed = lua_gethook(main);
  if (borrowed == NULL && lua_gethook(L) == NULL) return 0;
  if (borrowed != NULL) lua_sethook(L, borrowed, lua_gethookmask(main), lua_gethookcount(main));
  lua_getfield(L, LUA_REGISTRYINDEX, TICK_FIELD);
  failed = lua_pcall(L, 0, 0, 0) != 0;
  if (borrowed != NULL) lua_sethook(L, NULL, 0, 0);
  return failed;
}

/* Whether there is something to deliver, or the time of core.wake has come. */
static int has_work(const struct loop *loop) {
  return loop->done.first != NULL || loop_next_unread(loop) != NULL || (loop->wake >= 0 && loop->wake <= sys_clock());
}

int wait_until(lua_State *L, struct client *client, int table, const struct call *call, double seconds) {
  double deadline = call == NULL ? sys_clock() + seconds : 0;
  luaL_checkstack(L, 4, NULL);
  if (call == NULL && has_work(&client->loop)) loop_step(&client->loop, 0); /* not for ever put off by it */
  for (;;) {
    double left;
    events_deliver(L, client, table); /* before the wait: a listener may want to know what it is for */
    if (run_hooks(L) != 0) return 1;
    if (client->endpoint == NULL) return 0;
    left = call != NULL ? SLICE : deadline - sys_clock();
    if (call != NULL && call->request.state == REQUEST_DONE) return 0;
    if (call == NULL && (left <= 0 || has_work(&client->loop))) return 0;
    loop_step(&client->loop, left < SLICE ? left : SLICE);
  }
}

void wait_open(lua_State *L) {
  if (luaL_loadstring(L, "") != 0) lua_error(L);
  lua_setfield(L, LUA_REGISTRYINDEX, TICK_FIELD);
}
