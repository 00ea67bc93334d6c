/* lcall.c - the call userdata: one request, from its options to its end.
 *
 * Invariant: a call that is collected or raises on its way takes its transfer
 * with it. Nobody but C has a call, so it is used again: call after call makes
 * no garbage but its answer. */
#include <string.h>

#include "compat.h"
#include "lsora.h"
#include "process.h"
#include "secrets.h"

#define MOST_SPARES 256 /* as many as end in one step */

/* Only then is the client looked at. */
int lcall_is_active(const struct lcall *call) {
  enum request_state state = call->request.state;
  return state == REQUEST_QUEUED || state == REQUEST_RUNNING || state == REQUEST_PAUSED;
}

/* In a process that did not make the client, the loop's parts are the parent's. */
int lcall_is_forked(const struct lcall *call) {
  return lcall_is_active(call) && call->client->generation != process_generation();
}

static int collect(lua_State *L) {
  struct lcall *call = lua_touserdata(L, 1);
  struct request *r = &call->request;
  if (lcall_is_forked(call)) return 0;
  if (call->listens && lcall_is_active(call)) call->client->listening--;
  if (lcall_is_active(call)) loop_cancel(&call->client->loop, r, ERROR_CANCELLED, "the call was collected");
  sink_close(&call->sink);
  request_free(r);
  buffer_free(&call->lines);
  buffer_free(&call->scratch);
  if (r->site != NULL) site_drop(r->site);
  r->site = NULL;
  return 0;
}

struct lcall *lcall_box(lua_State *L) {
  struct lcall *call = compat_newuserdata(L, sizeof *call);
  memset(call, 0, sizeof *call);
  call->anchor = call->waiter = call->handle = LUA_NOREF;
  sink_init(&call->sink);
  luaL_getmetatable(L, CALL_TYPE);
  lua_setmetatable(L, -2);
  return call;
}

/* core.check_call(options, who): raises what is wrong with the options of a call. */
int lcall_check(lua_State *L) {
  const char *who = luaL_checkstring(L, 2);
  struct lcall *call = lcall_box(L);
  loptions_call(L, 1, who, call, 0);
  return 0;
}

void lcall_spare(lua_State *L, struct lclient *client, int table, int index) {
  struct lcall *call = lua_touserdata(L, index);
  if (client->spares >= MOST_SPARES) {
    request_forget(&call->request);
    return;
  }
  request_trim(&call->request);
  buffer_clear(&call->scratch, 0);
  lua_rawgeti(L, table, FIELD_SPARES);
  lua_pushvalue(L, index);
  lua_rawseti(L, -2, ++client->spares);
  lua_pop(L, 1);
}

/* Pushes a call that is used again, or nil. */
static struct lcall *take_spare(lua_State *L, struct lclient *client, int table) {
  lua_rawgeti(L, table, FIELD_SPARES);
  lua_rawgeti(L, -1, client->spares);
  if (client->spares > 0) {
    lua_pushnil(L);
    lua_rawseti(L, -3, client->spares--);
  }
  lua_remove(L, -2);
  return lua_touserdata(L, -1);
}

struct lcall *lcall_new(lua_State *L, struct lclient *client, int table, const char *method) {
  struct lcall *call = take_spare(L, client, table);
  if (call == NULL) {
    lua_pop(L, 1);
    call = lcall_box(L);
    request_init(&call->request, client->site);
    site_hold(client->site);
    call->client = client;
  }
  request_reset(&call->request, method);
  call->lines.len = 0;
  call->wants_response = call->keeps_part = call->listens = call->polls = 0;
  return call;
}

/* Asks the client's function for the key of this request; pushes it, or nil, err and returns 0. */
static int ask_key(lua_State *L, struct lcall *call, int table) {
  size_t len, i;
  const char *key;
  lua_rawgeti(L, table, FIELD_KEY);
  lua_call(L, 0, 1);
  key = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
  for (i = 0; key != NULL && i < len; i++)
    if ((unsigned char)key[i] < 0x20 || key[i] == 0x7f) key = NULL;
  if (key == NULL || len == 0) {
    lerror_return(L, ERROR_CONFIG, "the api_key function must return a string with no control characters");
    return 0;
  }
  if (secrets_add(&call->request.secrets, key, len) != 0) luaL_error(L, "out of memory");
  return 1;
}

/* The header list of a call that has headers or a key of its own. 1, or pushes nil, err and returns 0. */
static int make_headers(lua_State *L, struct lclient *client, int table, struct lcall *call) {
  const char *key = NULL;
  if (client->asks_key) {
    if (!ask_key(L, call, table)) return 0;
    key = lua_tostring(L, -1);
  }
  call->request.headers = site_make_headers(client->site, &call->lines, key);
  if (call->request.headers == NULL || secrets_collect(&call->request.secrets, &call->lines) != 0)
    luaL_error(L, "out of memory");
  return 1;
}

int lcall_prepare(lua_State *L, struct lclient *client, int table, struct lcall *call) {
  struct request *r = &call->request;
  if (r->query.len != 0 && (buffer_string(&r->query) == NULL || secrets_collect_query(&r->secrets, r->query.data) != 0))
    return luaL_error(L, "out of memory");
  if (!(client->asks_key || call->lines.len != 0) || make_headers(L, client, table, call)) return 1;
  sink_close(&call->sink);
  return 0;
}

void lcall_anchor(lua_State *L, int table, struct lcall *call, int index) {
  luaL_checkstack(L, 3, NULL);
  if (call->listens) call->client->listening += index != 0 ? 1 : -1;
  lua_rawgeti(L, table, FIELD_STARTED);
  if (index != 0) {
    lua_pushvalue(L, index);
    call->anchor = luaL_ref(L, -2);
  } else {
    luaL_unref(L, -1, call->anchor);
    call->anchor = LUA_NOREF;
  }
  lua_pop(L, 1);
}

int lcall_run(lua_State *L, struct lclient *client, int table, struct lcall *call) {
  int self = lua_gettop(L), results;
  if (!lcall_prepare(L, client, table, call)) return 2;
  if (call->listens) lcall_anchor(L, table, call, self);
  loop_add(&client->loop, &call->request);
  lclient_pump(L, client, table, call, 0);
  if (call->listens) lcall_anchor(L, table, call, 0);
  lfile_flush(L, call, self);
  if (client->site != NULL) loop_arm(&client->loop); /* others may have been brought further */
  results = lresult_push(L, call);
  lcall_spare(L, client, table, self);
  return results;
}

void lcall_open(lua_State *L) {
  luaL_newmetatable(L, CALL_TYPE);
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}
