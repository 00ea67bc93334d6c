/* handle.c - handles: what a script gets for a call that it started.
 *
 * The client keeps a started call alive until it is delivered: FIELD_STARTED refers to its handle. Where the call
 * receives a file, it refers to the call itself, and the call ends with its handle, because nobody else could read the
 * bytes; its on_done only says that there is something to read.
 *
 * Invariants: a call is anchored after everything that may raise, so either its handle is returned or nothing was
 * started. A handle has no __gc, and refers to nothing that has one once the call is delivered and the results are
 * taken: Lua keeps an object with a finalizer, and everything it refers to, for one more cycle of the collector. */
#include "lua/binding.h"

#define HANDLE_TYPE "sora.handle"
#define GUARD_TYPE "sora.guard"
#define OWNERS_FIELD "sora.owners" /* of the registry: address of a client -> the table that Lua has for it */

/* Fields of a handle's table. */
#define FIELD_ON_DONE 1 /* or false; of a call that receives a file: its guard */
#define FIELD_CALL 2    /* or false */
#define FIELD_RESULTS 3 /* the first of them */

struct handle {
  struct call *call; /* in FIELD_CALL; NULL once the results are there instead */
  int count;         /* of the results */
};

/* Pops what goes into FIELD_ON_DONE, and pushes a handle for the call at `self`. */
static void push_handle(lua_State *L, struct call *call, int self) {
  struct handle *handle = compat_newuserdata(L, sizeof *handle);
  handle->call = call;
  handle->count = 0;
  lua_insert(L, -2);
  lua_createtable(L, FIELD_CALL, 0);
  lua_insert(L, -2);
  lua_rawseti(L, -2, FIELD_ON_DONE);
  lua_pushvalue(L, self);
  lua_rawseti(L, -2, FIELD_CALL);
  compat_settable(L, -2);
  luaL_getmetatable(L, HANDLE_TYPE);
  lua_setmetatable(L, -2);
}

/* Pushes on_done of the options at `opts` (0: none). */
static void push_listener(lua_State *L, int opts) {
  if (opts != 0) {
    lua_getfield(L, opts, "on_done");
  } else {
    lua_pushnil(L);
  }
}

/* Gives a call to the loop. */
static void run(struct client *client, struct call *call) {
  if (client->endpoint == NULL) { /* a finalizer has closed it since */
    request_fail(&call->request, KIND_CLOSED, "the client was closed before the call was done");
    call->request.state = REQUEST_DONE;
    return;
  }
  call->request.announced = 1;
  loop_add(&client->loop, &call->request);
  loop_arm(&client->loop);
}

/* --- calls that receive a file ----------------------------------------------------- */

/* Pushes a userdata that ends the call at `self` when it is collected, with the handle that refers to it. */
static void push_guard(lua_State *L, int self) {
  (void)compat_newuserdata(L, 1);
  lua_createtable(L, 1, 0);
  lua_pushvalue(L, self);
  lua_rawseti(L, -2, 1);
  compat_settable(L, -2);
  luaL_getmetatable(L, GUARD_TYPE);
  lua_setmetatable(L, -2);
}

/* The guard's __gc: the next update delivers the call to nobody. The part file is let go at once. */
static int abandon(lua_State *L) {
  struct call *call;
  compat_gettable(L, 1);
  lua_rawgeti(L, -1, 1);
  call = call_at(L, -1);
  if (!call_is_active(call) || call_is_forked(call)) return 0;
  loop_cancel(&call->client->loop, &call->request, KIND_CANCELLED,
              "the download was abandoned: its handle was collected");
  loop_arm(&call->client->loop);
  call->request.file.target = NULL;
  compat_gettable(L, -1);
  lua_pushnil(L);
  lua_rawseti(L, -2, STREAM_FILE);
  return 0;
}

static int start_file(lua_State *L, struct client *client, int table, struct call *call, int opts) {
  int self = lua_gettop(L);
  if (!call_prepare(L, client, table, call)) return 2;
  compat_gettable(L, self);
  push_listener(L, opts);
  lua_rawseti(L, -2, STREAM_LISTENER);
  push_guard(L, self);
  push_handle(L, call, self);
  lua_rawgeti(L, table, FIELD_STARTED);
  lua_pushvalue(L, self);
  call->anchor = luaL_ref(L, -2);
  lua_pop(L, 1);
  run(client, call);
  return 1;
}

/* Pushes what FIELD_STARTED has of a call; `is_last`: and takes it out there. Never raises. */
static void push_anchored(lua_State *L, int table, struct call *call, int is_last) {
  lua_rawgeti(L, table, FIELD_STARTED);
  lua_rawgeti(L, -1, call->anchor);
  if (is_last) {
    luaL_unref(L, -2, call->anchor);
    call->anchor = LUA_NOREF;
  }
  lua_remove(L, -2);
}

int handle_notify(lua_State *L, int table, struct call *call) {
  int base = lua_gettop(L), failed = 0;
  push_anchored(L, table, call, call->request.state == REQUEST_DONE);
  compat_gettable(L, -1);
  lua_rawgeti(L, -1, STREAM_LISTENER);
  if (lua_isfunction(L, -1)) failed = lua_pcall(L, 0, 0, 0) != 0;
  if (failed) lua_replace(L, base + 1);
  lua_settop(L, base + failed);
  return failed;
}

/* --- other calls ------------------------------------------------------------------- */

int handle_start(lua_State *L, struct client *client, int table, struct call *call, int opts) {
  int self = lua_gettop(L);
  luaL_checkstack(L, 8, NULL);
  if (call_is_read(call)) return start_file(L, client, table, call, opts);
  if (!call_prepare(L, client, table, call)) return 2;
  lua_rawgeti(L, table, FIELD_STARTED);
  push_listener(L, opts);
  push_handle(L, call, self);
  lua_pushvalue(L, -1);
  call->anchor = luaL_ref(L, -3); /* last: it may raise, and what follows can't */
  run(client, call);
  return 1;
}

static void forget(lua_State *L, int fields, int field) {
  lua_pushboolean(L, 0);
  lua_rawseti(L, fields, field);
}

void handle_take(lua_State *L, int table, struct call *call) {
  int handle = lua_gettop(L) + 1, fields = handle + 1;
  push_anchored(L, table, call, 1);
  compat_gettable(L, handle);
  lua_rawgeti(L, fields, FIELD_ON_DONE);
  lua_rawgeti(L, fields, FIELD_CALL);
  forget(L, fields, FIELD_ON_DONE);
  if (((struct handle *)lua_touserdata(L, handle))->call == NULL) forget(L, fields, FIELD_CALL);
  lua_remove(L, fields);
}

/* Adds the results of the call to the table on top. */
static void take_results(lua_State *L, struct handle *handle) {
  struct call *call = handle->call;
  int table = lua_gettop(L), i;
  lua_rawgeti(L, table, FIELD_CALL); /* a finalizer may take the results, too */
  handle->count = result_push(L, call);
  for (i = handle->count - 1; i >= 0; i--) lua_rawseti(L, table, FIELD_RESULTS + i);
  handle->call = NULL;
  lua_settop(L, table);
  if (call->anchor == LUA_NOREF) forget(L, table, FIELD_CALL);
  if (call_is_read(call)) forget(L, table, FIELD_ON_DONE);
}

int handle_push_results(lua_State *L, int index) {
  struct handle *handle = lua_touserdata(L, index);
  int i;
  luaL_checkstack(L, 8, NULL);
  compat_gettable(L, index);
  if (handle->call != NULL) take_results(L, handle);
  for (i = 0; i < handle->count; i++) lua_rawgeti(L, -1 - i, FIELD_RESULTS + i);
  return handle->count;
}

struct call *handle_call(lua_State *L, int index) {
  return ((struct handle *)luaL_checkudata(L, index, HANDLE_TYPE))->call;
}

void handle_detach(lua_State *L, int index) {
  struct handle *handle = lua_touserdata(L, index);
  handle->call = NULL;
}

/* --- methods ------------------------------------------------------------------ */

static struct handle *check(lua_State *L) {
  return luaL_checkudata(L, 1, HANDLE_TYPE);
}

static int is_done(const struct handle *handle) {
  return handle->call == NULL || handle->call->request.state == REQUEST_DONE;
}

/* handle:done() */
static int handle_done(lua_State *L) {
  lua_pushboolean(L, is_done(check(L)));
  return 1;
}

/* handle:result(): the call's results; raises while it is running. */
static int handle_result(lua_State *L) {
  struct handle *handle = check(L);
  if (handle->call != NULL && call_is_forked(handle->call))
    return error_return(L, KIND_FORKED, "the call belongs to another process: ask for its result there");
  if (!is_done(handle))
    return error_blame(L, "the call is not done yet: ask handle:done() first, or call handle:wait()");
  return handle_push_results(L, 1);
}

/* handle:cancel(): ends a call that is running; returns whether it was. */
static int handle_cancel(lua_State *L) {
  struct call *call = check(L)->call;
  int active = call != NULL && call_is_active(call) && !call_is_forked(call);
  if (active) {
    loop_cancel(&call->client->loop, &call->request, KIND_CANCELLED, "the call was cancelled");
    loop_arm(&call->client->loop);
  }
  lua_pushboolean(L, active);
  return 1;
}

/* "sora.handle (running)" */
static int handle_tostring(lua_State *L) {
  lua_pushstring(L, is_done(check(L)) ? "sora.handle (done)" : "sora.handle (running)");
  return 1;
}

/* core.adopt(client): remembers the table that Lua has for a client, for core.owner. */
static int adopt(lua_State *L) {
  struct client *client = client_check(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, OWNERS_FIELD);
  lua_pushlightuserdata(L, client);
  lua_pushvalue(L, 1);
  lua_rawset(L, -3);
  return 0;
}

/* core.owner(handle): the client of a call that is running, or nil. */
static int owner(lua_State *L) {
  const struct call *call = check(L)->call;
  if (call == NULL || !call_is_active(call)) return 0;
  lua_getfield(L, LUA_REGISTRYINDEX, OWNERS_FIELD);
  lua_pushlightuserdata(L, call->client);
  lua_rawget(L, -2);
  return 1;
}

/* Makes the table of clients, which keeps none of them alive. */
static void make_owners(lua_State *L) {
  lua_newtable(L);
  lua_newtable(L);
  set_string(L, "__mode", "v");
  lua_setmetatable(L, -2);
  lua_setfield(L, LUA_REGISTRYINDEX, OWNERS_FIELD);
}

void handle_open(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"done", handle_done},
      {"result", handle_result},
      {"cancel", handle_cancel},
      {NULL, NULL},
  };
  static const luaL_Reg functions[] = {{"adopt", adopt}, {"owner", owner}, {NULL, NULL}};
  make_owners(L);
  compat_setfuncs(L, functions);
  luaL_newmetatable(L, HANDLE_TYPE);
  set_string(L, "__name", HANDLE_TYPE); /* Lua 5.1 does not */
  lua_pushcfunction(L, handle_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_newtable(L);
  compat_setfuncs(L, methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, -4, "handle_methods"); /* of the core: pump.lua adds those that wait */
  lua_setfield(L, -2, "__index");
  luaL_newmetatable(L, GUARD_TYPE);
  lua_pushcfunction(L, abandon);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 2);
}
