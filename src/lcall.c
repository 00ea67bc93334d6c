/* lcall.c - the call userdata: one request, from its options to its end.
 *
 * Invariant: a call that is collected or raises on its way takes its transfer
 * with it. Each client keeps one finished call to use again, so that call after
 * call makes no garbage but its answer. */
#define _GNU_SOURCE /* getpid */
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "lsora.h"

static int collect(lua_State *L) {
  struct lcall *call = lua_touserdata(L, 1);
  struct request *r = &call->request;
  if (r->site == NULL) return 0;
  if ((r->state == REQUEST_RUNNING || r->state == REQUEST_PAUSED) && call->client->pid == getpid())
    loop_cancel(&call->client->loop, r, ERROR_CANCELLED, "the call was collected");
  sink_close(&call->sink);
  request_free(r);
  buffer_free(&call->lines);
  buffer_free(&call->scratch);
  site_drop(r->site);
  r->site = NULL;
  return 0;
}

struct lcall *lcall_new(lua_State *L, struct lclient *client, int table, const char *method) {
  struct lcall *call;
  lua_rawgeti(L, table, FIELD_SPARE);
  call = lua_touserdata(L, -1);
  if (call != NULL) {
    lua_pushnil(L);
    lua_rawseti(L, table, FIELD_SPARE);
  } else {
    lua_pop(L, 1);
    call = lua_newuserdata(L, sizeof *call);
    memset(call, 0, sizeof *call);
    luaL_getmetatable(L, CALL_TYPE);
    lua_setmetatable(L, -2);
    request_init(&call->request, client->site);
    site_hold(client->site);
    call->client = client;
    sink_init(&call->sink);
  }
  request_reset(&call->request, method);
  call->lines.len = 0;
  call->wants_response = 0;
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
  if (buffer_add(&call->request.secrets, key, len + 1) != 0) luaL_error(L, "out of memory");
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
  if (call->request.headers == NULL || site_collect_secrets(&call->request.secrets, &call->lines) != 0)
    luaL_error(L, "out of memory");
  return 1;
}

int lcall_run(lua_State *L, struct lclient *client, int table, struct lcall *call) {
  int self = lua_gettop(L), results;
  if ((client->asks_key || call->lines.len != 0) && !make_headers(L, client, table, call)) return 2;
  loop_add(&client->loop, &call->request);
  lclient_pump(L, client, table, call, 0);
  results = lresult_push(L, call);
  lua_pushvalue(L, self);
  lua_rawseti(L, table, FIELD_SPARE);
  return results;
}

void lcall_open(lua_State *L) {
  luaL_newmetatable(L, CALL_TYPE);
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}
