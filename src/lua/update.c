/* update.c - drives a client: update, and what an event loop needs to know.
 *
 * Owns the delivery of started calls. Invariants: a call is delivered once, from update only, and whatever its on_done
 * does, the others are delivered too; where memory runs out, a call stays in the loop, or its on_done gets an error
 * that was made before. */
#include "lua/binding.h"

#define LARGEST_FRAME 300 /* slots: a Lua function has at most 255 */
#define FRAMES 24
#define NEST "local function nest(n) if n > 0 then nest(n - 1) end end return nest"

/* What callbacks raised: a list at a stack index, or nil there. */
struct problems {
  int index, count;
};

/* Keeps what is on top. */
static void keep_problem(lua_State *L, struct problems *problems) {
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushliteral(L, "a callback raised nil");
  }
  if (problems->count == 0) {
    lua_newtable(L);
    lua_replace(L, problems->index);
  }
  lua_rawseti(L, problems->index, ++problems->count);
}

/* --- delivery ------------------------------------------------------------------------ */

/* Calls on_done with the results. Called protected, with the handle, its on_done, the call, the client's table, and
 * where to say that the results are there. */
static int call_on_done(lua_State *L) {
  struct call *call = call_at(L, 3);
  int *ready = lua_touserdata(L, 5), count;
  if (call->polls) handle_detach(L, 1);
  count = call->polls ? result_push_poll(L, call) : handle_push_results(L, 1);
  call_recycle(L, call->client, 4, 3);
  *ready = 1;
  lua_pushvalue(L, 2);
  lua_insert(L, -count - 1);
  lua_call(L, count, 0);
  return 0;
}

/* Has Lua allocate what on_done needs to get control: stack, and frames, of which each failed pcall frees half. */
static void reserve_frames(lua_State *L) {
  if (!lua_checkstack(L, LARGEST_FRAME)) raise_memory(L);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushinteger(L, FRAMES);
  lua_call(L, 1, 0);
}

/* Has an error ready for an answer that memory has no space for. It can be changed then without a new field. */
static void reserve_error(lua_State *L, int table) {
  lua_rawgeti(L, table, FIELD_SPARE_ERROR);
  if (lua_isnil(L, -1)) {
    error_push(L, KIND_TRANSPORT, "not enough memory for the answer");
    set_flag(L, "retryable", 0);
    set_flag(L, "ambiguous", 1);
    lua_rawseti(L, table, FIELD_SPARE_ERROR);
  }
  lua_pop(L, 1);
}

/* Returns the next call to deliver, or NULL. What its delivery needs is there; for want of it this raises, and the call
 * stays in the loop. A poll that is lost is noticed by its wait. */
static struct call *take_done(lua_State *L, struct client *client, int table) {
  const struct request *first = client->endpoint != NULL ? client->loop.done.first : NULL;
  if (first == NULL) return NULL;
  reserve_error(L, table);
  if (!((const struct call *)first)->polls) reserve_frames(L);
  return client->endpoint != NULL ? (struct call *)loop_take_done(&client->loop) : NULL; /* a finalizer may close it */
}

/* Pushes that error. */
static void take_error(lua_State *L, int table, int ambiguous) {
  lua_rawgeti(L, table, FIELD_SPARE_ERROR);
  if (!ambiguous) {
    set_flag(L, "retryable", 1);
    lua_pushnil(L);
    lua_setfield(L, -2, "ambiguous");
  }
  lua_pushnil(L);
  lua_rawseti(L, table, FIELD_SPARE_ERROR);
}

/* Delivers the call whose handle, on_done and call are on top, and pops them. */
static void deliver_call(lua_State *L, struct call *call, int table, struct problems *problems) {
  int base = lua_gettop(L) - 2, ready = 0, attempt, failed = 0;
  for (attempt = 0; attempt < 2 && !ready; attempt++) { /* Lua may have freed memory meanwhile */
    lua_settop(L, base + 2);
    lua_pushvalue(L, lua_upvalueindex(1)); /* call_on_done */
    lua_pushvalue(L, base);
    lua_pushvalue(L, base + 1);
    lua_pushvalue(L, base + 2);
    lua_pushvalue(L, table);
    lua_pushlightuserdata(L, &ready);
    failed = lua_pcall(L, 5, 0, 0) != 0;
  }
  if (!ready) {
    lua_settop(L, base + 1);
    lua_pushnil(L);
    take_error(L, table, !call->request.repeatable);
    failed = lua_pcall(L, 2, 0, 0) != 0;
  }
  if (failed) keep_problem(L, problems);
  lua_settop(L, base - 1);
}

/* Notifies the owners of calls that have bytes to read. */
static void notify_readers(lua_State *L, struct client *client, int table, struct problems *problems) {
  struct request *r;
  while (client->endpoint != NULL && (r = loop_next_unread(&client->loop)) != NULL) {
    r->file.unread = 0;
    if (handle_notify(L, table, (struct call *)r) != 0) keep_problem(L, problems);
  }
}

/* Delivers finished calls. */
static void deliver(lua_State *L, struct client *client, int table, struct problems *problems) {
  struct call *call;
  luaL_checkstack(L, 14, NULL);
  notify_readers(L, client, table, problems);
  while ((call = take_done(L, client, table)) != NULL) {
    if (call_is_read(call)) { /* its owner takes the results */
      if (handle_notify(L, table, call) != 0) keep_problem(L, problems);
      continue;
    }
    handle_take(L, table, call);
    if (lua_toboolean(L, -2)) {
      deliver_call(L, call, table, problems);
    } else { /* the handle will be asked */
      lua_pop(L, 3);
    }
  }
}

/* core.update(client [, seconds]): works for at most `seconds`, or until a started call is done or has bytes to read,
 * or the time of core.wake has come; then delivers what is done. Returns how many calls are running, and a list of what
 * callbacks raised or nil; or nil, err where the client can't be used. */
static int update(lua_State *L) {
  struct client *client = client_check(L, 1);
  double seconds = luaL_optnumber(L, 2, 0);
  struct problems problems = {0, 0};
  int table;
  luaL_argcheck(L, seconds >= 0, 2, "a number of seconds, 0 or more, expected");
  if (!client_is_usable(L, client)) return 2;
  lua_settop(L, 2);
  table = client_push_table(L, 1);
  lua_pushnil(L);
  problems.index = lua_gettop(L);
  if (seconds > 0) {
    if (wait_until(L, client, table, NULL, seconds) != 0) return lua_error(L);
  } else {
    loop_step(&client->loop, 0);
    events_deliver(L, client, table);
  }
  deliver(L, client, table, &problems);
  if (client->endpoint != NULL) loop_arm(&client->loop);
  lua_pushinteger(L, client->endpoint != NULL ? (lua_Integer)loop_active(&client->loop) : 0);
  lua_pushvalue(L, problems.index);
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
  static const luaL_Reg functions[] = {{"wake", wake}, {"fileno", fileno_of}, {"timeout", timeout}, {NULL, NULL}};
  compat_setfuncs(L, functions);
  lua_pushcfunction(L, call_on_done);
  if (luaL_loadstring(L, NEST) != 0) lua_error(L);
  lua_call(L, 0, 1);
  lua_pushcclosure(L, update, 2);
  lua_setfield(L, -2, "update");
}
