/* error.c - errors: tables that calls return, { kind, message, … } with __tostring, and misuse, which is raised.
 *
 * Owns how an outcome becomes a table, and the set of the module's own chunks: the first line outside them is where the
 * user misused it. Invariant: every string from outside passes error_push_clean, so that no error ever shows a secret;
 * as text, an error does a terminal no harm. */
#include <stdio.h>
#include <string.h>

#include "http/headers.h"
#include "http/redact.h"
#include "lua/binding.h"

#define ERROR_TYPE "sora.error"
#define OWN_FIELD "sora.own" /* chunk name -> true */
#define SHOWN_BODY 1024      /* bytes of the answer that an error carries */

/* --- misuse ------------------------------------------------------------------- */

/* core.own(): the chunk that calls this is the module's own. */
static int own(lua_State *L) {
  lua_Debug frame;
  luaL_checkstack(L, 4, NULL);
  if (!lua_getstack(L, 1, &frame) || !lua_getinfo(L, "S", &frame)) return 0;
  lua_getfield(L, LUA_REGISTRYINDEX, OWN_FIELD);
  lua_pushstring(L, frame.source);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  return 0;
}

static int is_own(lua_State *L, const char *source) {
  int found;
  lua_getfield(L, LUA_REGISTRYINDEX, OWN_FIELD);
  lua_getfield(L, -1, source);
  found = lua_toboolean(L, -1);
  lua_pop(L, 2);
  return found;
}

/* Pushes "file:line: " of the user's code, or "". A call passes through Lua functions of the module, some of them by
 * tail calls, so no fixed level finds it. */
static void push_location(lua_State *L) {
  lua_Debug frame;
  int level;
  for (level = 1; lua_getstack(L, level, &frame); level++)
    if (lua_getinfo(L, "Sl", &frame) && frame.currentline > 0 && !is_own(L, frame.source)) {
      lua_pushfstring(L, "%s:%d: ", frame.short_src, frame.currentline);
      return;
    }
  lua_pushliteral(L, "");
}

int error_blame(lua_State *L, const char *text) {
  push_location(L);
  lua_pushstring(L, text);
  lua_concat(L, 2);
  return lua_error(L);
}

int error_misuse(lua_State *L, const char *who, int arg, const char *text) {
  return error_blame(L, arg > 0 ? lua_pushfstring(L, "bad argument #%d to '%s' (%s)", arg, who, text)
                                : lua_pushfstring(L, "bad argument to '%s' (%s)", who, text));
}

/* core.blame(text): raises the text at the user's line. */
static int blame(lua_State *L) {
  return error_blame(L, luaL_checkstring(L, 1));
}

/* core.complain(who, text [, arg]): raises "bad argument to 'who' (text)". */
static int complain(lua_State *L) {
  return error_misuse(L, luaL_checkstring(L, 1), (int)luaL_optinteger(L, 3, 0), luaL_checkstring(L, 2));
}

/* --- as text ------------------------------------------------------------------ */

static int is_tail(unsigned char c) {
  return (c & 0xc0) == 0x80;
}

/* Returns the length of the UTF-8 character (RFC 3629) at `s` that a terminal may get; 0: a control character, or none.
 */
static size_t printable_length(const char *text, size_t left) {
  const unsigned char *s = (const unsigned char *)text;
  if (s[0] < 0x80) return s[0] >= 0x20 && s[0] != 0x7f;
  if (left < 2 || s[0] < 0xc2 || s[0] > 0xf4 || !is_tail(s[1])) return 0;
  if (s[0] < 0xe0) return s[0] == 0xc2 && s[1] < 0xa0 ? 0 : 2;
  if (left < 3 || !is_tail(s[2])) return 0;
  if (s[0] < 0xf0) return (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ? 0 : 3;
  if (left < 4 || !is_tail(s[3])) return 0;
  return (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f) ? 0 : 4;
}

/* Adds "\n" or "\x1b" for a byte. */
static void add_escaped(luaL_Buffer *b, char byte) {
  static const char names[] = "\nn\rr\tt";
  const char *name = byte != '\0' ? strchr(names, byte) : NULL;
  char text[8];
  if (name != NULL && (unsigned char)byte < 0x20) {
    snprintf(text, sizeof text, "\\%c", name[1]);
  } else {
    snprintf(text, sizeof text, "\\x%02x", (unsigned)(unsigned char)byte);
  }
  luaL_addstring(b, text);
}

/* Replaces the string on top by one that does a terminal no harm. */
static void make_printable(lua_State *L) {
  size_t len, at, size;
  const char *text = lua_tolstring(L, -1, &len);
  luaL_Buffer b;
  for (at = 0; at < len && (size = printable_length(text + at, len - at)) != 0;) at += size;
  if (at == len) return;
  luaL_buffinit(L, &b);
  for (at = 0; at < len; at += size != 0 ? size : 1) {
    size = printable_length(text + at, len - at);
    if (size != 0) {
      luaL_addlstring(&b, text + at, size);
    } else {
      add_escaped(&b, text[at]);
    }
  }
  luaL_pushresult(&b);
  lua_remove(L, -2);
}

/* core.printable(text): the text with its control characters, and bytes that are no UTF-8, escaped. */
static int printable(lua_State *L) {
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  make_printable(L);
  return 1;
}

/* Pushes what joins, the label and the field of the error at 1, if it has that. */
static void push_part(lua_State *L, const char **join, const char *label, const char *field) {
  lua_getfield(L, 1, field);
  if (!lua_isstring(L, -1)) {
    lua_pop(L, 1);
    return;
  }
  lua_pushfstring(L, "%s%s", *join, label);
  lua_insert(L, -2);
  *join = ", ";
}

/* Pushes the field of the error at 1, or "?". */
static void push_text(lua_State *L, const char *field) {
  lua_getfield(L, 1, field);
  if (lua_isstring(L, -1)) return;
  lua_pop(L, 1);
  lua_pushliteral(L, "?");
}

/* "sora: api: Video not found (HTTP 404, code not_found, request req_1)" */
static int error_tostring(lua_State *L) {
  const char *join = " (";
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_pushliteral(L, "sora: ");
  push_text(L, "kind");
  lua_pushliteral(L, ": ");
  push_text(L, "message");
  push_part(L, &join, "HTTP ", "status");
  push_part(L, &join, "code ", "code");
  push_part(L, &join, "", "curl");
  push_part(L, &join, "request ", "request_id");
  lua_pushstring(L, *join == ',' ? ")" : "");
  lua_concat(L, lua_gettop(L) - 1);
  make_printable(L);
  return 1;
}

/* error .. "text" and "text" .. error */
static int error_concat(lua_State *L) {
  int i;
  lua_settop(L, 2);
  for (i = 1; i <= 2; i++) {
    if (!luaL_callmeta(L, i, "__tostring")) lua_pushvalue(L, i);
    if (!lua_isstring(L, -1))
      return error_blame(L, lua_pushfstring(L, "attempt to concatenate a %s value", luaL_typename(L, i)));
  }
  lua_concat(L, 2);
  return 1;
}

/* --- the table ---------------------------------------------------------------- */

void error_set_type(lua_State *L) {
  luaL_getmetatable(L, ERROR_TYPE);
  lua_setmetatable(L, -2);
}

void error_push(lua_State *L, enum failure_kind kind, const char *message) {
  lua_newtable(L);
  set_string(L, "kind", failure_kind_name(kind));
  set_string(L, "message", message);
  error_set_type(L);
}

int error_return(lua_State *L, enum failure_kind kind, const char *message) {
  lua_pushnil(L);
  error_push(L, kind, message);
  return 2;
}

/* --- from a call -------------------------------------------------------------- */

/* Overwrites the secrets of a client, and those of a call. */
static void redact(const struct secrets *s, char *text, size_t len) {
  redact_text(s->lasting, text, len);
  redact_text(s->passing, text, len);
}

void error_push_clean(lua_State *L, const struct secrets *s, const char *text, size_t len) {
  char *copy = lua_newuserdata(L, len + 1); /* not on the C heap: pushing the string may raise */
  memcpy(copy, text, len);
  redact(s, copy, len);
  lua_pushlstring(L, copy, len);
  lua_remove(L, -2);
}

static struct secrets secrets_of(const struct call *call) {
  struct secrets s;
  s.lasting = &call->request.endpoint->secrets;
  s.passing = &call->request.secrets;
  return s;
}

/* Sets a field of the error at `index`, which is below the top. */
static void set_clean(lua_State *L, const struct call *call, int index, const char *field, const char *text,
                      size_t len) {
  struct secrets s = secrets_of(call);
  error_push_clean(L, &s, text, len);
  lua_setfield(L, index, field);
}

/* Copies the text fields of the table on top into the error below it, and pops it. */
static void take_fields(lua_State *L, const struct call *call) {
  static const char *const names[] = {"message", "code", "type", "param", "request_id", "reason"};
  size_t i, len;
  for (i = 0; i < sizeof names / sizeof names[0]; i++) {
    const char *text;
    lua_getfield(L, -1, names[i]);
    text = lua_tolstring(L, -1, &len);
    if (text != NULL) set_clean(L, call, lua_gettop(L) - 2, names[i], text, len);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* Reads what the server said, JSON or text, into the error on top. */
static void read_body(lua_State *L, struct call *call) {
  const struct buffer *body = &call->request.outcome.body;
  size_t len;
  const char *text;
  if (body->len == 0) return;
  if (json_decode(L, body->data, body->len, &call->scratch)) {
    json_read(L, JSON_FAILURE);
    if (lua_istable(L, -1)) {
      take_fields(L, call);
    } else {
      lua_pop(L, 1);
    }
    return;
  }
  lua_pop(L, 1);
  lua_pushlstring(L, body->data, body->len);
  json_read(L, JSON_TEXT);
  text = lua_tolstring(L, -1, &len);
  if (text != NULL) set_clean(L, call, lua_gettop(L) - 1, "message", text, len);
  lua_pop(L, 1);
}

void error_push_request_id(lua_State *L, const struct call *call) {
  static const char *const names[] = {"x-request-id", "request-id", "apim-request-id", "x-oneapi-request-id"};
  struct header field;
  size_t i;
  for (i = 0; i < sizeof names / sizeof names[0]; i++)
    if (headers_find(&call->request.outcome.headers, names[i], strlen(names[i]), &field)) {
      struct secrets s = secrets_of(call);
      error_push_clean(L, &s, field.value, field.value_len);
      return;
    }
  lua_pushnil(L);
}

static void set_message(lua_State *L, struct call *call) {
  const struct request *r = &call->request;
  const char *message = request_message(r);
  if (r->outcome.kind != KIND_API || message[0] != '\0') {
    set_clean(L, call, lua_gettop(L), "message", message, strlen(message));
    return;
  }
  read_body(L, call);
  lua_getfield(L, -1, "message");
  if (!lua_isstring(L, -1) || lua_tostring(L, -1)[0] == '\0') {
    lua_pushfstring(L, "the server answered %d", r->outcome.status);
    lua_setfield(L, -3, "message");
  }
  lua_pop(L, 1);
}

/* Sets `retry_after`, an integer where it is whole. */
static void set_retry_after(lua_State *L, double seconds) {
  if (seconds < 0) return;
  if (seconds < 1e15 && seconds == (double)(long long)seconds) {
    set_count(L, "retry_after", (long long)seconds);
  } else {
    set_number(L, "retry_after", seconds);
  }
}

/* Redacts the answer's body, of which a part may be missing if the transfer failed. */
static void redact_body(struct call *call) {
  struct outcome *out = &call->request.outcome;
  struct secrets s = secrets_of(call);
  redact(&s, out->body.data, out->body.len);
  if (out->code == CURLE_OK) return;
  redact_cut_text(s.lasting, out->body.data, out->body.len);
  redact_cut_text(s.passing, out->body.data, out->body.len);
}

/* Sets `reason` in the error on top, where the body has not said it. */
static void set_reason(lua_State *L) {
  lua_getfield(L, -1, "reason");
  if (lua_isnil(L, -1)) {
    lua_pushvalue(L, -2);
    json_read(L, JSON_REASON);
    lua_setfield(L, -3, "reason");
  }
  lua_pop(L, 1);
}

void error_push_call(lua_State *L, struct call *call) {
  struct request *r = &call->request;
  struct outcome *out = &r->outcome;
  error_push(L, out->kind, "");
  redact_body(call); /* before anything is cut off: half a key is a secret too */
  error_push_request_id(L, call);
  lua_setfield(L, -2, "request_id");
  set_message(L, call);
  if (out->status != 0) set_count(L, "status", out->status);
  if (out->kind == KIND_API) set_reason(L);
  if (out->code != CURLE_OK) set_string(L, "curl", failure_of(out->code)->name);
  set_retry_after(L, out->retry_after);
  set_count(L, "attempts", r->attempts);
  set_flag(L, "retryable", out->retryable);
  if (out->ambiguous) set_flag(L, "ambiguous", 1);
  if (out->body.len != 0) set_bytes(L, "body", out->body.data, out->body.len < SHOWN_BODY ? out->body.len : SHOWN_BODY);
}

void error_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"own", own}, {"complain", complain}, {"blame", blame}, {"printable", printable}, {NULL, NULL},
  };
  luaL_newmetatable(L, ERROR_TYPE);
  lua_pushcfunction(L, error_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushcfunction(L, error_concat);
  lua_setfield(L, -2, "__concat");
  set_string(L, "__name", ERROR_TYPE); /* Lua 5.1 does not */
  lua_pop(L, 1);
  lua_newtable(L);
  lua_setfield(L, LUA_REGISTRYINDEX, OWN_FIELD);
  compat_setfuncs(L, functions);
}
