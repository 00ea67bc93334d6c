/* lupdate.c - the client as something to pump: update, and what an event loop needs to know.
 *
 * Owns the delivery of started calls. Invariant: a call is delivered once, from
 * update alone, and whatever its on_done does, the others are delivered too. */
#include "compat.h"
#include "lsora.h"

/* on_done(results): called protected, with the function, the call, its handle and the client's table as arguments. A
 * file is put in place by this even if nobody listens. */
static int call_on_done(lua_State *L) {
  struct lcall *call = lua_touserdata(L, 2);
  int count;
  if (call->polls) lhandle_drop(L, 3);
  count = call->polls ? lresult_push_poll(L, call) : lhandle_results(L, 3);
  lcall_spare(L, call->client, 4, 2);
  if (lua_isnil(L, 1)) return 0;
  lua_pushvalue(L, 1);
  lua_insert(L, -count - 1);
  lua_call(L, count, 0);
  return 0;
}

/* Hands finished calls to their on_done; returns how many of those raised, with the first error in `slot`. */
static void deliver(lua_State *L, struct lclient *client, int table, int slot) {
  struct request *r;
  luaL_checkstack(L, 10, NULL);
  while (client->site != NULL && (r = loop_take_done(&client->loop)) != NULL) {
    lua_pushcfunction(L, call_on_done);
    lhandle_take(L, table, (struct lcall *)r);
    if (((struct lcall *)r)->listens) client->listening--;
    if (lua_isnil(L, -3) && !r->file.expected) { /* the handle will be asked */
      lua_pop(L, 4);
      continue;
    }
    lua_pushvalue(L, table);
    if (lua_pcall(L, 4, 0, 0) == 0) continue;
    if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
      lua_pushliteral(L, "an on_done raised nil");
    }
    if (lua_isnil(L, slot)) {
      lua_replace(L, slot);
    } else {
      lua_pop(L, 1);
    }
  }
}

/* core.update(client [, seconds]): works for at most `seconds`, or until a started call is done or the time of
 * core.wake has come; then delivers what is done. Returns how many calls are running, and what the first on_done raised
 * or nil; nil, err where the client can't be used. */
int lupdate_update(lua_State *L) {
  struct lclient *client = lclient_check(L, 1);
  double seconds = luaL_optnumber(L, 2, 0);
  int table;
  luaL_argcheck(L, seconds >= 0, 2, "a number of seconds, 0 or more, expected");
  if (!lclient_usable(L, client)) return 2;
  lua_settop(L, 2);
  table = lclient_push_table(L, 1);
  lua_pushnil(L);
  if (seconds > 0) {
    lclient_pump(L, client, table, NULL, seconds);
  } else {
    loop_step(&client->loop, 0);
    levents_drain(L, client, table);
    lfile_news(L, client, table);
  }
  deliver(L, client, table, table + 1);
  if (client->site != NULL) loop_arm(&client->loop);
  lua_pushinteger(L, client->site != NULL ? (lua_Integer)loop_active(&client->loop) : 0);
  lua_pushvalue(L, table + 1);
  return 2;
}

/* core.wake(client, when): when, by core.now(), the caller has work of its own; nil: it has none. */
int lupdate_wake(lua_State *L) {
  struct lclient *client = lclient_check(L, 1);
  double when = luaL_optnumber(L, 2, -1);
  if (!lclient_usable(L, client)) return 2;
  client->loop.wake = when;
  loop_arm(&client->loop);
  return 0;
}

/* core.fileno(client): the descriptor, or nil where the platform has none. */
int lupdate_fileno(lua_State *L) {
  struct lclient *client = lclient_check(L, 1);
  int fd;
  if (!lclient_usable(L, client)) return 2;
  fd = loop_fileno(&client->loop);
  if (fd < 0) return 0;
  lua_pushinteger(L, fd);
  return 1;
}

/* core.timeout(client): seconds until update(0) has work by the clock, or nil. */
int lupdate_timeout(lua_State *L) {
  struct lclient *client = lclient_check(L, 1);
  double left;
  if (!lclient_usable(L, client)) return 2;
  left = loop_timeout(&client->loop);
  if (left < 0) return 0;
  lua_pushnumber(L, left);
  return 1;
}
