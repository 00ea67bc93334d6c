/* lhandle.c - handles: what a script has of a call that it started.
 *
 * Invariant: a handle has no finalizer, and holds nothing that has one once the
 * results are in it: what hangs below a finalizer stays for a further cycle of
 * the collector, which then takes it for alive and falls behind. */
#include "compat.h"
#include "lsora.h"

#define HANDLE_TYPE "sora.handle"

struct lhandle {
  struct lcall *call; /* in the handle's table at [1]; NULL once its results are there instead */
  int count;          /* of the results */
};

static struct lhandle *push_handle(lua_State *L, struct lcall *call, int index) {
  struct lhandle *handle = compat_newuserdata(L, sizeof *handle);
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

int lhandle_start(lua_State *L, struct lclient *client, int table, struct lcall *call, int opts) {
  int self = lua_gettop(L);
  if (!lcall_prepare(L, client, table, call)) return 2;
  lcall_anchor(L, table, call, self);
  luaL_checkstack(L, 6, NULL);
  push_handle(L, call, self);
  lua_rawgeti(L, table, FIELD_STARTED);
  lua_pushvalue(L, -2);
  call->handle = luaL_ref(L, -2);
  if (opts != 0) {
    lua_getfield(L, opts, "on_done");
    call->waiter = luaL_ref(L, -2);
  }
  lua_pop(L, 1);
  call->request.announced = 1;
  loop_add(&client->loop, &call->request);
  loop_arm(&client->loop);
  return 1;
}

void lhandle_take(lua_State *L, int table, struct lcall *call) {
  int *places[3], i;
  places[0] = &call->waiter;
  places[1] = &call->anchor;
  places[2] = &call->handle;
  lua_rawgeti(L, table, FIELD_STARTED);
  for (i = 0; i < 3; i++) {
    lua_rawgeti(L, -1 - i, *places[i]);
    luaL_unref(L, -2 - i, *places[i]);
    *places[i] = LUA_NOREF;
  }
  lua_remove(L, -4);
}

/* Takes the results of the call at [1] of the table on top into that table. */
static void take_results(lua_State *L, struct lhandle *handle) {
  struct lcall *call = handle->call;
  int table = lua_gettop(L), i;
  lua_rawgeti(L, table, 1);
  lfile_flush(L, call, table + 1);
  handle->count = lresult_push(L, call);
  for (i = handle->count; i >= 1; i--) lua_rawseti(L, table, i);
  handle->call = NULL;
  lua_settop(L, table);
}

int lhandle_results(lua_State *L, int index) {
  struct lhandle *handle = lua_touserdata(L, index);
  int i;
  luaL_checkstack(L, 8, NULL);
  compat_gettable(L, index);
  if (handle->call != NULL) take_results(L, handle);
  for (i = 1; i <= handle->count; i++) lua_rawgeti(L, -i, i);
  return handle->count;
}

void lhandle_drop(lua_State *L, int index) {
  struct lhandle *handle = lua_touserdata(L, index);
  handle->call = NULL;
}

/* --- methods ------------------------------------------------------------------ */

static struct lhandle *check(lua_State *L) {
  return luaL_checkudata(L, 1, HANDLE_TYPE);
}

static int is_done(const struct lhandle *handle) {
  return handle->call == NULL || handle->call->request.state == REQUEST_DONE;
}

/* handle:done(): whether it is. */
static int handle_done(lua_State *L) {
  lua_pushboolean(L, is_done(check(L)));
  return 1;
}

/* handle:result(): what the call gives; raises while it is running. */
static int handle_result(lua_State *L) {
  struct lhandle *handle = check(L);
  if (handle->call != NULL && lcall_is_forked(handle->call))
    return lerror_return(L, ERROR_FORKED, "the call belongs to the process that made it");
  if (!is_done(handle)) return luaL_error(L, "the call is not done yet: ask handle:done() first");
  return lhandle_results(L, 1);
}

/* handle:cancel(): ends a call that is running; whether it was. */
static int handle_cancel(lua_State *L) {
  struct lcall *call = check(L)->call;
  int active = call != NULL && lcall_is_active(call) && !lcall_is_forked(call);
  if (active) {
    loop_cancel(&call->client->loop, &call->request, ERROR_CANCELLED, "the call was cancelled");
    loop_arm(&call->client->loop);
  }
  lua_pushboolean(L, active);
  return 1;
}

void lhandle_open(lua_State *L) {
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
