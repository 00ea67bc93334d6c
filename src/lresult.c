/* lresult.c - the results of a call that is done.
 *
 * Owns what counts as an answer: a JSON object that is not the server's refusal
 * in disguise, or the file. Invariant: a call gives its answer or nil, err, and
 * the response table in third place where it was asked for. */
#include <stdint.h>
#include <string.h>

#include "compat.h"
#include "head.h"
#include "lsora.h"

#define ANSWER_FIELD "sora.answer" /* on its way into an error */

static int fail(struct request *r, enum error_kind kind, const char *message) {
  request_fail(r, kind, message);
  r->retryable = kind == ERROR_DECODE && r->repeatable;
  r->ambiguous = kind == ERROR_DECODE && !r->repeatable;
  return 0;
}

static int has_string(lua_State *L, const char *field) {
  int found;
  lua_pushstring(L, field);
  lua_rawget(L, -2);
  found = lua_type(L, -1) == LUA_TSTRING;
  lua_pop(L, 1);
  return found;
}

static int is_empty(lua_State *L) {
  lua_pushnil(L);
  if (!lua_next(L, -2)) return 1;
  lua_pop(L, 2);
  return 0;
}

/* Whether the table on top is "no" said with a 200: sora.normalize judges. */
static int is_refusal(lua_State *L) {
  int refused;
  lua_getglobal(L, "require");
  lua_pushliteral(L, "sora.normalize");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "refusal");
  lua_pushvalue(L, -3);
  lua_call(L, 1, 1);
  refused = lua_toboolean(L, -1);
  lua_pop(L, 2);
  return refused;
}

/* Pushes the answer as a table and returns 1; 0: the request has failed after all. */
static int push_json(lua_State *L, struct lcall *call) {
  struct request *r = &call->request;
  if (r->answer.len == 0) {
    if (r->status != 204 && strcmp(r->method, "DELETE") != 0) return fail(r, ERROR_DECODE, "the answer is empty");
    lua_newtable(L);
    return 1;
  }
  if (!ljson_decode(L, r->answer.data, r->answer.len, &call->scratch)) {
    fail(r, ERROR_DECODE, lua_tostring(L, -1));
  } else if (has_string(L, "id") && has_string(L, "status")) {
    return 1; /* a job, which is never a refusal */
  } else if (is_empty(L)) {
    fail(r, ERROR_DECODE, "the answer is an empty object");
  } else if (is_refusal(L)) {
    fail(r, ERROR_API, "");
  } else {
    return 1;
  }
  lua_pop(L, 1);
  return 0;
}

static void set_integer(lua_State *L, const char *field, long long value) {
  compat_pushcount(L, value);
  lua_setfield(L, -2, field);
}

/* Text in place of a file: the error carries what it says as `answer`, for whoever knows where else the file may be. */
static int read_text(lua_State *L, struct lcall *call) {
  if (!push_json(L, call)) return 0;
  lua_setfield(L, LUA_REGISTRYINDEX, ANSWER_FIELD);
  return fail(&call->request, ERROR_API, "the server answered JSON in place of the file");
}

/* Pushes { path =, bytes =, content_type = } for a file that is in place now, or was handed on. */
static int push_file(lua_State *L, struct lcall *call) {
  struct request *r = &call->request;
  struct file *f = &r->file;
  char type[128], text[512];
  if (f->content != CONTENT_FILE && r->answer.len != 0) return read_text(L, call);
  if (f->received == 0) return fail(r, ERROR_DECODE, "the file is empty");
  if (f->sink != NULL && sink_commit(f->sink) != 0) {
    sink_explain(f->sink, text, sizeof text);
    return fail(r, ERROR_FILE, text);
  }
  lua_newtable(L);
  if (f->sink != NULL) {
    lua_pushstring(L, f->sink->path);
    lua_setfield(L, -2, "path");
  }
  set_integer(L, "bytes", f->received);
  if (head_copy(&r->head, "content-type", type, sizeof type)) {
    lua_pushstring(L, type);
    lua_setfield(L, -2, "content_type");
  }
  return 1;
}

/* How far a download that failed has come: { bytes =, validator = }, into the error on top. A part file stays only if
 * it can be gone on with; what was handed on can't be taken back, so that is told in any case. */
static void set_partial(lua_State *L, struct lcall *call) {
  struct file *f = &call->request.file;
  if (f->received == 0 || (f->sink != NULL && (!call->keeps_part || f->validator.len == 0))) return;
  call->sink.kept = f->sink != NULL;
  lua_newtable(L);
  set_integer(L, "bytes", f->received);
  if (f->validator.len != 0) {
    lua_pushlstring(L, f->validator.data, f->validator.len);
    lua_setfield(L, -2, "validator");
  }
  lua_setfield(L, -2, "partial");
}

/* --- the response table -------------------------------------------------------- */

/* name -> value, names in lower case, the values of a repeated name joined by ", " (RFC 9110, 5.3). */
static void push_headers(lua_State *L, const struct buffer *head) {
  struct head_field field;
  size_t at = 0, i;
  lua_newtable(L);
  while (head_next(head, &at, &field)) {
    luaL_Buffer name;
    luaL_buffinit(L, &name);
    for (i = 0; i < field.name_len; i++) {
      char c = field.name[i];
      luaL_addchar(&name, (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c));
    }
    luaL_pushresult(&name);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    if (lua_isstring(L, -1)) {
      lua_pushliteral(L, ", ");
      lua_pushlstring(L, field.value, field.value_len);
      lua_concat(L, 3);
    } else {
      lua_pop(L, 1);
      lua_pushlstring(L, field.value, field.value_len);
    }
    lua_rawset(L, -3);
  }
}

static void push_response(lua_State *L, struct lcall *call) {
  struct request *r = &call->request;
  double hint = request_poll_hint(r);
  lua_newtable(L);
  lua_pushinteger(L, r->status);
  lua_setfield(L, -2, "status");
  push_headers(L, &r->head);
  lua_getfield(L, -1, "x-request-id");
  lua_setfield(L, -3, "request_id");
  lua_setfield(L, -2, "headers");
  lua_pushinteger(L, r->attempts);
  lua_setfield(L, -2, "attempts");
  lua_pushnumber(L, r->ended - r->started);
  lua_setfield(L, -2, "seconds");
  if (hint >= 0) {
    lua_pushnumber(L, hint);
    lua_setfield(L, -2, "poll_after");
  }
}

/* FNV-1a, in as many bits as a Lua number holds: of 9 * 10^15 changes one is overlooked. */
static double digest(const struct buffer *b) {
  uint64_t hash = UINT64_C(14695981039346656037);
  size_t i;
  for (i = 0; i < b->len; i++) hash = (hash ^ (unsigned char)b->data[i]) * UINT64_C(1099511628211);
  return (double)((hash ^ hash >> 53) & UINT64_C(0x1fffffffffffff));
}

/* An answer that is known is not decoded (24k instructions). */
int lresult_push_poll(lua_State *L, struct lcall *call) {
  struct request *r = &call->request;
  double hint = request_poll_hint(r), seen = digest(&r->answer);
  if (r->kind == ERROR_NONE && seen == call->seen) {
    lua_pushboolean(L, 1);
    lua_pushnil(L);
  } else if (r->kind == ERROR_NONE && push_json(L, call)) {
    lua_pushnil(L);
  } else {
    lua_pushnil(L);
    lerror_push_call(L, call);
  }
  if (hint >= 0) {
    lua_pushnumber(L, hint);
  } else {
    lua_pushnil(L);
  }
  lua_pushnumber(L, seen);
  if (!call->wants_response) return 4;
  push_response(L, call);
  return 5;
}

int lresult_push(lua_State *L, struct lcall *call) {
  struct request *r = &call->request;
  int is_file = r->file.expected;
  int pushed = r->kind == ERROR_NONE && (is_file ? push_file(L, call) : push_json(L, call));
  if (!pushed) {
    lua_pushnil(L);
    lerror_push_call(L, call);
    if (is_file) {
      set_partial(L, call);
      lua_getfield(L, LUA_REGISTRYINDEX, ANSWER_FIELD);
      lua_setfield(L, -2, "answer");
      lua_pushnil(L);
      lua_setfield(L, LUA_REGISTRYINDEX, ANSWER_FIELD);
    }
  } else if (call->wants_response) {
    lua_pushnil(L);
  }
  sink_close(&call->sink);
  if (!call->wants_response) return pushed ? 1 : 2;
  push_response(L, call);
  return 3;
}
