/* call.c - the call userdata: one request, from its options to its end.
 *
 * Invariants: a call that is collected or raises on its way takes its transfer with it; a call object is used again for
 * another call only when no frame and no table refers to it. Calls in a row make no garbage but their answers. */
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "http/redact.h"
#include "lua/binding.h"

#define CALL_TYPE "sora.call"
#define MAX_SPARES 256 /* as many as may end in one step */

int call_is_read(const struct call *call) {
  return call->request.file.expected && !call->request.takes_film;
}

int call_is_active(const struct call *call) {
  enum request_state state = call->request.state;
  return state == REQUEST_QUEUED || state == REQUEST_RUNNING || state == REQUEST_PAUSED;
}

int call_is_forked(const struct call *call) {
  return call->request.list != NULL && call->client->generation != sys_generation();
}

struct call *call_at(lua_State *L, int index) {
  return *(struct call **)lua_touserdata(L, index);
}

static int collect(lua_State *L) {
  struct call **box = lua_touserdata(L, 1), *call = *box;
  struct request *r;
  if (call == NULL || call_is_forked(call)) return 0;
  *box = NULL;
  r = &call->request;
  if (r->list != NULL) loop_drop(&call->client->loop, r);
  request_free(r);
  buffer_free(&call->lines);
  buffer_free(&call->scratch);
  if (r->endpoint != NULL) endpoint_drop(r->endpoint);
  free(call);
  return 0;
}

/* Pushes a call that belongs to no client yet. Like a client, it lives outside its userdata. */
static struct call *push_call(lua_State *L) {
  struct call **box = compat_newuserdata(L, sizeof *box), *call;
  *box = NULL;
  luaL_getmetatable(L, CALL_TYPE);
  lua_setmetatable(L, -2);
  call = *box = calloc(1, sizeof *call);
  if (call == NULL) raise_memory(L);
  call->anchor = LUA_NOREF;
  return call;
}

/* core.check_call(options, who): raises if the options of a call are wrong; returns a copy without a metatable. */
static int check_call(lua_State *L) {
  const char *who = luaL_checkstring(L, 2);
  options_read_call(L, 1, who, push_call(L), 0);
  lua_settop(L, 1);
  return 1;
}

/* --- reuse ---------------------------------------------------------------------- */

void call_recycle(lua_State *L, struct client *client, int table, int index) {
  struct call *call = call_at(L, index);
  if (client->spares >= MAX_SPARES) {
    request_forget(&call->request);
    return;
  }
  request_trim(&call->request);
  buffer_clear(&call->scratch, 0);
  lua_rawgeti(L, table, FIELD_SPARES);
  lua_pushvalue(L, index);
  lua_rawseti(L, -2, client->spares + 1);
  client->spares++;
  lua_pop(L, 1);
}

/* Pushes a recycled call, or returns NULL. */
static struct call *take_spare(lua_State *L, struct client *client, int table) {
  if (client->spares == 0) return NULL;
  lua_rawgeti(L, table, FIELD_SPARES);
  lua_rawgeti(L, -1, client->spares);
  lua_pushnil(L);
  lua_rawseti(L, -3, client->spares--);
  lua_remove(L, -2);
  return call_at(L, -1);
}

struct call *call_new(lua_State *L, struct client *client, int table, const char *method) {
  struct call *call = take_spare(L, client, table);
  if (call == NULL) {
    call = push_call(L);
    if (!client_is_usable(L, client)) return NULL; /* a finalizer has closed it */
    request_init(&call->request, client->endpoint);
    endpoint_hold(client->endpoint);
    call->client = client;
  }
  call->lines.len = 0;
  call->wants_response = call->creates = call->lists = call->polls = 0;
  if (request_reset(&call->request, method) != 0) raise_memory(L);
  return call;
}

/* --- running -------------------------------------------------------------------- */

/* Calls the client's function for the key of this request; pushes the key, or nil, err and returns 0. */
static int ask_key(lua_State *L, struct call *call, int table) {
  size_t len = 0, i;
  const char *key;
  lua_rawgeti(L, table, FIELD_KEY);
  lua_call(L, 0, 1);
  key = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
  for (i = 0; key != NULL && i < len; i++)
    if ((unsigned char)key[i] < 0x20 || key[i] == 0x7f) key = NULL;
  if (key == NULL || len == 0) {
    error_return(L, KIND_CONFIG,
                 lua_pushfstring(L,
                                 "expected the api_key function to return a string without control characters, got %s",
                                 lua_type(L, -1) != LUA_TSTRING ? luaL_typename(L, -1)
                                 : len == 0                     ? "an empty one"
                                                                : "one with such a character"));
    return 0;
  }
  if (redact_add(&call->request.secrets, key, len) != 0) raise_memory(L);
  return 1;
}

/* Makes the header list of a call that has headers or a key of its own. 1, or pushes nil, err and returns 0. */
static int make_headers(lua_State *L, struct client *client, int table, struct call *call) {
  struct request *r = &call->request;
  const char *key = NULL;
  if (client->asks_key) {
    if (!ask_key(L, call, table)) return 0;
    key = lua_tostring(L, -1);
  }
  r->headers = endpoint_make_headers(r->endpoint, &call->lines, key);
  if (r->headers == NULL || redact_add_headers(&r->secrets, &call->lines) != 0) raise_memory(L);
  return 1;
}

int call_prepare(lua_State *L, struct client *client, int table, struct call *call) {
  struct request *r = &call->request;
  if (r->query.len != 0 && (buffer_string(&r->query) == NULL || redact_add_query(&r->secrets, r->query.data) != 0))
    return raise_memory(L);
  if ((!(client->asks_key || call->lines.len != 0) || make_headers(L, client, table, call)) &&
      client_is_usable(L, client)) {
    if (redact_remember(&client->call_secrets, &r->secrets) != 0) raise_memory(L);
    return 1;
  }
  return 0;
}

/* Ends a call in whose wait a hook raised what is on the stack, and raises that. */
static int interrupt(lua_State *L, struct client *client, struct call *call) {
  if (call_is_active(call)) loop_cancel(&client->loop, &call->request, KIND_CANCELLED, "the call was interrupted");
  return lua_error(L);
}

int call_run(lua_State *L, struct client *client, int table, struct call *call) {
  int self = lua_gettop(L), raised, results;
  if (!call_prepare(L, client, table, call)) return 2;
  if (client->endpoint != NULL) {
    loop_add(&client->loop, &call->request);
  } else { /* a finalizer has closed it since */
    request_fail(&call->request, KIND_CLOSED, "the client was closed before the call was done");
  }
  raised = wait_until(L, client, table, call, 0);
  if (raised) return interrupt(L, client, call);
  if (client->endpoint != NULL) loop_arm(&client->loop); /* other calls may have moved on */
  results = result_push(L, call);
  call_recycle(L, client, table, self);
  return results;
}

void call_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"check_call", check_call}, {NULL, NULL}};
  luaL_newmetatable(L, CALL_TYPE);
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  compat_setfuncs(L, functions);
}
