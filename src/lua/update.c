/* update.c - drives a client: update, and what an event loop needs to know.
 *
 * Owns the delivery of started calls. Invariant: a call is delivered once, from update only, and whatever its on_done
 * does, the others are delivered too. */
#include "lua/binding.h"

/* Calls on_done with the results. Called protected, with on_done, the call, its handle and the client's table. */
static int call_on_done(lua_State *L) {
  struct call *call = lua_touserdata(L, 2);
  int count;
  if (call->polls) handle_detach(L, 3);
  count = call->polls ? result_push_poll(L, call) : handle_push_results(L, 3);
  call_recycle(L, call->client, 4, 2);
  lua_pushvalue(L, 1);
  lua_insert(L, -count - 1);
  lua_call(L, count, 0);
  return 0;
}

/* Keeps what a callback raised, which is on top, in `first` if that is nil. */
static void keep_first(lua_State *L, int first) {
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushliteral(L, "an on_done raised nil");
  }
  if (lua_isnil(L, first)) {
    lua_replace(L, first);
  } else {
    lua_pop(L, 1);
  }
}

/* Notifies the owners of calls that have bytes to read. */
static void notify_readers(lua_State *L, struct client *client, int table, int first) {
  struct request *r;
  while (client->endpoint != NULL && (r = loop_next_unread(&client->loop)) != NULL) {
    r->file.unread = 0;
    if (handle_notify(L, table, (struct call *)r) != 0) keep_first(L, first);
  }
}

/* Delivers finished calls. The first error that an on_done raises goes to the stack index `first`. */
static void deliver(lua_State *L, struct client *client, int table, int first) {
  struct request *r;
  luaL_checkstack(L, 10, NULL);
  notify_readers(L, client, table, first);
  while (client->endpoint != NULL && (r = loop_take_done(&client->loop)) != NULL) {
    struct call *call = (struct call *)r;
    if (call_is_read(call)) { /* its owner takes the results */
      if (handle_notify(L, table, call) != 0) keep_first(L, first);
      continue;
    }
    lua_pushcfunction(L, call_on_done);
    handle_take(L, table, call);
    if (lua_isnil(L, -3)) { /* the handle will be asked */
      lua_pop(L, 4);
      continue;
    }
    lua_pushvalue(L, table);
    if (lua_pcall(L, 4, 0, 0) != 0) keep_first(L, first);
  }
}

/* core.update(client [, seconds]): works for at most `seconds`, or until a started call is done or has bytes to read,
 * or the time of core.wake has come; then delivers what is done. Returns how many calls are running, and what the first
 * on_done raised or nil; or nil, err where the client can't be used. */
static int update(lua_State *L) {
  struct client *client = client_check(L, 1);
  double seconds = luaL_optnumber(L, 2, 0);
  int table, first;
  luaL_argcheck(L, seconds >= 0, 2, "a number of seconds, 0 or more, expected");
  if (!client_is_usable(L, client)) return 2;
  lua_settop(L, 2);
  table = client_push_table(L, 1);
  lua_pushnil(L);
  first = table + 1;
  if (seconds > 0) {
    if (wait_until(L, client, table, NULL, seconds) != 0) return lua_error(L);
  } else {
    loop_step(&client->loop, 0);
    events_deliver(L, client, table);
  }
  deliver(L, client, table, first);
  if (client->endpoint != NULL) loop_arm(&client->loop);
  lua_pushinteger(L, client->endpoint != NULL ? (lua_Integer)loop_active(&client->loop) : 0);
  lua_pushvalue(L, first);
  return 2;
}

/* core.wake(client, when): when, by core.now(), the caller has work of its own; nil: it has none. */
static int wake(lua_State *L) {
  struct client *client = client_check(L, 1);
  double when = luaL_optnumber(L, 2, -1);
  if (!client_is_usable(L, client)) return 2;
  client->loop.wake = when;
  loop_arm(&client->loop);
  return 0;
}

/* core.fileno(client): the descriptor, or nil where the platform has none. */
static int fileno_of(lua_State *L) {
  struct client *client = client_check(L, 1);
  int fd;
  if (!client_is_usable(L, client)) return 2;
  fd = loop_fileno(&client->loop);
  if (fd < 0) return 0;
  lua_pushinteger(L, fd);
  return 1;
}

/* core.timeout(client): seconds until update(0) has work by the clock, or nil. */
static int timeout(lua_State *L) {
  struct client *client = client_check(L, 1);
  double left;
  if (!client_is_usable(L, client)) return 2;
  left = loop_timeout(&client->loop);
  if (left < 0) return 0;
  lua_pushnumber(L, left);
  return 1;
}

void update_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"update", update}, {"wake", wake}, {"fileno", fileno_of}, {"timeout", timeout}, {NULL, NULL},
  };
  compat_setfuncs(L, functions);
}
