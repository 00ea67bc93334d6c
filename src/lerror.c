/* lerror.c - error tables: { kind, message, ... } with __tostring.
 *
 * Owns how an outcome becomes a table. Invariant: every string that came from
 * outside passes push_clean, so that no error ever shows a secret. What the
 * error bodies of servers mean is read by the Lua module sora.normalize. */
#include <stdio.h>
#include <string.h>

#include "compat.h"
#include "head.h"
#include "lsora.h"
#include "secrets.h"

#define ERROR_TYPE "sora.error"
#define SHOWN_BODY 1024 /* bytes of the answer that an error carries */

/* --- the table -------------------------------------------------------------- */

static void add_part(lua_State *L, const char **join, const char *label, const char *field) {
  lua_getfield(L, 1, field);
  if (lua_isstring(L, -1)) {
    lua_pushfstring(L, "%s%s%s", *join, label, lua_tostring(L, -1));
    lua_remove(L, -2);
    *join = ", ";
  } else {
    lua_pop(L, 1);
    lua_pushliteral(L, "");
  }
}

/* "sora: api: Video not found (HTTP 404, code not_found, request req_1)" */
static int error_tostring(lua_State *L) {
  const char *join = " (";
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_getfield(L, 1, "kind");
  lua_getfield(L, 1, "message");
  lua_pushfstring(L, "sora: %s: %s", lua_isstring(L, 2) ? lua_tostring(L, 2) : "?",
                  lua_isstring(L, 3) ? lua_tostring(L, 3) : "?");
  add_part(L, &join, "HTTP ", "status");
  add_part(L, &join, "code ", "code");
  add_part(L, &join, "", "curl");
  add_part(L, &join, "request ", "request_id");
  lua_pushstring(L, *join == ',' ? ")" : "");
  lua_concat(L, lua_gettop(L) - 3);
  return 1;
}

void lerror_open(lua_State *L) {
  luaL_newmetatable(L, ERROR_TYPE);
  lua_pushcfunction(L, error_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pop(L, 1);
}

/* core.error{ kind =, message =, … }: gives a table made in Lua the metatable of errors. */
int lerror_make(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_getmetatable(L, ERROR_TYPE);
  lua_setmetatable(L, 1);
  return 1;
}

void lerror_push(lua_State *L, enum error_kind kind, const char *message) {
  lua_newtable(L);
  lua_pushstring(L, error_kind_name(kind));
  lua_setfield(L, -2, "kind");
  lua_pushstring(L, message);
  lua_setfield(L, -2, "message");
  luaL_getmetatable(L, ERROR_TYPE);
  lua_setmetatable(L, -2);
}

int lerror_return(lua_State *L, enum error_kind kind, const char *message) {
  lua_pushnil(L);
  lerror_push(L, kind, message);
  return 2;
}

/* --- from a call ------------------------------------------------------------ */

/* Pushes a string in which every secret is overwritten. */
static void push_clean(lua_State *L, struct lcall *call, const char *text, size_t len) {
  struct buffer *b = &call->scratch;
  b->len = 0;
  if (buffer_add(b, text, len) != 0) luaL_error(L, "out of memory");
  secrets_redact(site_secrets(call->request.site), b->data, b->len);
  secrets_redact(&call->request.secrets, b->data, b->len);
  lua_pushlstring(L, b->len != 0 ? b->data : "", b->len);
}

static void set_text(lua_State *L, struct lcall *call, const char *field, const char *text, size_t len) {
  push_clean(L, call, text, len);
  lua_setfield(L, -2, field);
}

/* Pushes sora.normalize's function of that name. */
static void push_reader(lua_State *L, const char *name) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "sora.normalize");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
}

/* Copies the text fields of the table on top into the error below it, and pops it. */
static void take_fields(lua_State *L, struct lcall *call) {
  static const char *const names[] = {"message", "code", "type", "param", "request_id"};
  size_t i, len;
  for (i = 0; i < sizeof names / sizeof names[0]; i++) {
    const char *text;
    lua_getfield(L, -1, names[i]);
    text = lua_tolstring(L, -1, &len);
    if (text != NULL) {
      push_clean(L, call, text, len);
      lua_setfield(L, -4, names[i]);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* What the server said, into the error on top. */
static void read_body(lua_State *L, struct lcall *call) {
  const struct buffer *answer = &call->request.answer;
  if (answer->len == 0) return;
  if (ljson_decode(L, answer->data, answer->len, &call->scratch)) {
    push_reader(L, "failure");
    lua_insert(L, -2);
    lua_call(L, 1, 1);
    if (lua_istable(L, -1)) {
      take_fields(L, call);
    } else {
      lua_pop(L, 1);
    }
    return;
  }
  lua_pop(L, 1);
  push_reader(L, "text");
  lua_pushlstring(L, answer->data, answer->len);
  lua_call(L, 1, 1);
  if (lua_isstring(L, -1)) {
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    push_clean(L, call, text, len);
    lua_setfield(L, -3, "message");
  }
  lua_pop(L, 1);
}

static void set_body(lua_State *L, struct lcall *call) {
  const struct buffer *answer = &call->request.answer;
  if (answer->len == 0) return;
  lua_pushlstring(L, answer->data, answer->len < SHOWN_BODY ? answer->len : SHOWN_BODY);
  lua_setfield(L, -2, "body");
}

static void set_number(lua_State *L, const char *field, double value) {
  if (value == (double)(lua_Integer)value) {
    lua_pushinteger(L, (lua_Integer)value);
  } else {
    lua_pushnumber(L, value);
  }
  lua_setfield(L, -2, field);
}

static void set_flag(lua_State *L, const char *field, int value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, field);
}

static void set_request_id(lua_State *L, struct lcall *call) {
  static const char *const names[] = {"x-request-id", "request-id", "apim-request-id", "x-oneapi-request-id"};
  struct head_field field;
  size_t i;
  for (i = 0; i < sizeof names / sizeof names[0]; i++)
    if (head_find(&call->request.head, names[i], strlen(names[i]), &field)) {
      set_text(L, call, "request_id", field.value, field.value_len);
      return;
    }
}

static void set_default_message(lua_State *L, const struct request *r) {
  lua_getfield(L, -1, "message");
  if (!lua_isstring(L, -1) || lua_tostring(L, -1)[0] == '\0') {
    lua_pushfstring(L, "the server answered %d", r->status);
    lua_setfield(L, -3, "message");
  }
  lua_pop(L, 1);
}

void lerror_push_call(lua_State *L, struct lcall *call) {
  struct request *r = &call->request;
  lerror_push(L, r->kind, "");
  /* Before anything is cut from it: half a key is a secret too. What JSON writes otherwise is found by push_clean. */
  secrets_redact(site_secrets(r->site), r->answer.data, r->answer.len);
  secrets_redact(&r->secrets, r->answer.data, r->answer.len);
  set_request_id(L, call);
  if (r->kind == ERROR_API && request_message(r)[0] == '\0') {
    read_body(L, call);
    set_default_message(L, r);
  } else {
    set_text(L, call, "message", request_message(r), strlen(request_message(r)));
  }
  if (r->status != 0) set_number(L, "status", r->status);
  if (r->code != 0) {
    lua_pushstring(L, failure_of(r->code)->name);
    lua_setfield(L, -2, "curl");
  }
  if (r->wish >= 0) set_number(L, "retry_after", r->wish);
  set_number(L, "attempts", r->attempts);
  set_flag(L, "retryable", r->retryable);
  if (r->ambiguous) set_flag(L, "ambiguous", 1);
  set_body(L, call);
}
