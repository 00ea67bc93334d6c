/* handle.c - handles: what a script gets for a call that it started.
 *
 * The client keeps a started call alive until it is delivered; but one that receives a file only as long as somebody
 * has its handle, because nobody else could read its bytes. Its on_done only says that there is something to read.
 *
 * Invariant: a handle has no __gc, and refers to nothing that has one once it holds the results: Lua keeps an object
 * with a finalizer, and everything it refers to, for one more cycle of the collector. */
#include "lua/binding.h"

#define HANDLE_TYPE "sora.handle"

struct handle {
  struct call *call; /* in the handle's table at [1]; NULL once its results are there instead */
  int count;         /* of the results */
};

static struct handle *push_handle(lua_State *L, struct call *call, int index) {
  struct handle *handle = compat_newuserdata(L, sizeof *handle);
  handle->call = call;
  handle->count = 0;
  lua_createtable(L, 1, 0);
  lua_pushvalue(L, index);
  lua_rawseti(L, -2, 1);
  compat_settable(L, -2);
  luaL_getmetatable(L, HANDLE_TYPE);
  lua_setmetatable(L, -2);
  return handle;
}

/* Keeps on_done in the table of the call on top of the stack, whose first handle_notify is to find it. */
static void keep_listener(lua_State *L, int table, struct call *call, int opts) {
  lua_rawgeti(L, table, FIELD_FILES);
  lua_pushlightuserdata(L, call);
  lua_pushvalue(L, -3);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  compat_gettable(L, -1);
  lua_getfield(L, opts, "on_done");
  lua_rawseti(L, -2, 1);
  lua_pop(L, 1);
}

int handle_notify(lua_State *L, int table, struct call *call) {
  lua_rawgeti(L, table, FIELD_FILES);
  lua_pushlightuserdata(L, call);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (lua_isnil(L, -1)) { /* it is being collected */
    lua_pop(L, 1);
    return 0;
  }
  compat_gettable(L, -1);
  lua_remove(L, -2);
  lua_rawgeti(L, -1, 1);
  lua_remove(L, -2);
  if (lua_isfunction(L, -1)) return lua_pcall(L, 0, 0, 0) != 0;
  lua_pop(L, 1);
  return 0;
}

/* Gives the call at `self` to the loop. */
static void run(struct client *client, struct call *call) {
  if (client->endpoint == NULL) { /* a finalizer has closed it since */
    request_fail(&call->request, KIND_CLOSED, "the client was closed");
    call->request.state = REQUEST_DONE;
    return;
  }
  call->request.announced = 1;
  loop_add(&client->loop, &call->request);
  loop_arm(&client->loop);
}

/* The same for a call that receives a file. */
static int start_file(lua_State *L, struct client *client, int table, struct call *call, int opts) {
  int self = lua_gettop(L);
  if (!call_prepare(L, client, table, call)) return 2;
  lua_pushvalue(L, self);
  if (opts != 0) keep_listener(L, table, call, opts);
  push_handle(L, call, self);
  run(client, call);
  return 1;
}

int handle_start(lua_State *L, struct client *client, int table, struct call *call, int opts) {
  int self = lua_gettop(L);
  luaL_checkstack(L, 8, NULL);
  if (call_is_read(call)) return start_file(L, client, table, call, opts);
  if (!call_prepare(L, client, table, call)) return 2;
  call_anchor(L, table, call, self);
  push_handle(L, call, self);
  lua_rawgeti(L, table, FIELD_STARTED);
  lua_pushvalue(L, -2);
  call->handle = luaL_ref(L, -2);
  if (opts != 0) {
    lua_getfield(L, opts, "on_done");
    call->on_done = luaL_ref(L, -2);
  }
  lua_pop(L, 1);
  run(client, call);
  return 1;
}

void handle_take(lua_State *L, int table, struct call *call) {
  int *references[3], i;
  references[0] = &call->on_done;
  references[1] = &call->anchor;
  references[2] = &call->handle;
  lua_rawgeti(L, table, FIELD_STARTED);
  for (i = 0; i < 3; i++) {
    lua_rawgeti(L, -1 - i, *references[i]);
    luaL_unref(L, -2 - i, *references[i]);
    *references[i] = LUA_NOREF;
  }
  lua_remove(L, -4);
}

/* Replaces the call at [1] of the table on top by its results. */
static void take_results(lua_State *L, struct handle *handle) {
  struct call *call = handle->call;
  int table = lua_gettop(L), i;
  lua_rawgeti(L, table, 1);
  handle->count = result_push(L, call);
  for (i = handle->count; i >= 1; i--) lua_rawseti(L, table, i);
  handle->call = NULL;
  lua_settop(L, table);
}

int handle_push_results(lua_State *L, int index) {
  struct handle *handle = lua_touserdata(L, index);
  int i;
  luaL_checkstack(L, 8, NULL);
  compat_gettable(L, index);
  if (handle->call != NULL) take_results(L, handle);
  for (i = 1; i <= handle->count; i++) lua_rawgeti(L, -i, i);
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
    return error_return(L, KIND_FORKED, "the call belongs to the process that made it");
  if (!is_done(handle)) return luaL_error(L, "the call is not done yet: ask handle:done() first");
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

void handle_open(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"done", handle_done},
      {"result", handle_result},
      {"cancel", handle_cancel},
      {NULL, NULL},
  };
  luaL_newmetatable(L, HANDLE_TYPE);
  lua_newtable(L);
  compat_setfuncs(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
