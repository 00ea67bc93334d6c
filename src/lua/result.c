/* result.c - the results of a call that is done.
 *
 * Owns what counts as an answer: a JSON object that is not a refusal in disguise, or the file. Invariant: a call gives
 * its answer or nil, err, and the response table in third place where it was asked for. */
#include <stdint.h>
#include <string.h>

#include "http/attempt.h"
#include "http/headers.h"
#include "http/receive.h"
#include "lua/binding.h"

/* Fails a call whose transfer succeeded; returns 0. */
static int fail(struct request *r, enum failure_kind kind, const char *message) {
  request_fail(r, kind, message);
  r->outcome.retryable = kind == KIND_DECODE && r->repeatable;
  r->outcome.ambiguous = kind == KIND_DECODE && !r->repeatable;
  return 0;
}

/* --- JSON ------------------------------------------------------------------------ */

/* Whether the table on top has a string that is not empty at `field`. */
static int has_string(lua_State *L, const char *field) {
  int found;
  lua_pushstring(L, field);
  lua_rawget(L, -2);
  found = lua_type(L, -1) == LUA_TSTRING && lua_tostring(L, -1)[0] != '\0';
  lua_pop(L, 1);
  return found;
}

static int is_empty(lua_State *L) {
  lua_pushnil(L);
  if (!lua_next(L, -2)) return 1;
  lua_pop(L, 2);
  return 0;
}

/* Whether the table on top is a refusal that came with status 200. */
static int is_refusal(lua_State *L) {
  int refused;
  lua_pushvalue(L, -1);
  json_read(L, JSON_REFUSAL);
  refused = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return refused;
}

/* Fails a create whose answer, which is on top, is no job. The server may have made one. */
static int is_job(lua_State *L, struct call *call) {
  lua_pushvalue(L, -1);
  json_read(L, JSON_FLAW);
  if (lua_type(L, -1) == LUA_TSTRING) fail(&call->request, KIND_DECODE, lua_tostring(L, -1));
  lua_pop(L, 1);
  return call->request.outcome.kind == KIND_NONE;
}

/* Whether a POST got a status that means nothing for one: 300, 304 and the like, which no redirect is followed for. */
static int is_puzzling(const struct request *r) {
  int status = r->outcome.status;
  return r->outcome.kind == KIND_API && strcmp(r->method, "POST") == 0 &&
         (status == 300 || (status >= 304 && status <= 306) || (status > 308 && status < 400));
}

/* Pushes the answer as a table and returns 1; 0: the request has failed after all. */
static int push_json(lua_State *L, struct call *call) {
  struct request *r = &call->request;
  const struct buffer *body = &r->outcome.body;
  if (body->len == 0) {
    if (call->creates || (r->outcome.status != 204 && strcmp(r->method, "DELETE") != 0))
      return fail(r, KIND_DECODE, "the answer is empty");
    lua_newtable(L);
    return 1;
  }
  if (!json_decode(L, body->data, body->len, &call->scratch)) {
    fail(r, KIND_DECODE, lua_tostring(L, -1));
  } else if (has_string(L, "id") && has_string(L, "status")) {
    return 1; /* a job, which is never a refusal */
  } else if (is_empty(L)) {
    fail(r, KIND_DECODE, "the answer is an empty object");
  } else if (is_refusal(L)) {
    fail(r, KIND_API, "");
  } else if (!call->creates || is_job(L, call)) {
    return 1;
  }
  lua_pop(L, 1);
  return 0;
}

/* --- files ----------------------------------------------------------------------- */

static void set_type(lua_State *L, const struct request *r) {
  char type[128];
  if (headers_copy(&r->outcome.headers, "content-type", type, sizeof type)) set_string(L, "content_type", type);
}

/* Pushes { bytes =, content_type = } for a file that has come, and returns 1; 0: the request has failed after all. */
static int push_file(lua_State *L, struct call *call) {
  struct request *r = &call->request;
  if (r->file.received == 0) return fail(r, KIND_DECODE, "the file is empty");
  lua_newtable(L);
  set_count(L, "bytes", r->file.received);
  set_type(L, r);
  if (r->takes_film) set_string(L, "status", "completed");
  return 1;
}

/* Pushes the job that a create stands for whose answer is the film itself: it is in the field `data`. */
static int push_film(lua_State *L, struct call *call) {
  const struct buffer *body = &call->request.outcome.body;
  lua_newtable(L);
  set_string(L, "status", "completed");
  set_type(L, &call->request);
  set_bytes(L, "data", body->data, body->len);
  return 1;
}

/* Says in the error on top how far a failed download has come, for another call that resumes it. */
static void set_partial(lua_State *L, struct call *call) {
  struct file *f = &call->request.file;
  if (f->received == 0) return;
  lua_newtable(L);
  set_count(L, "bytes", f->received);
  if (f->total >= 0) set_count(L, "total", f->total);
  if (f->validator.len != 0) set_bytes(L, "validator", f->validator.data, f->validator.len);
  lua_setfield(L, -2, "partial");
}

/* Pushes the answer of a download; 1, or nil, err and 2. Text in place of the file is the answer of a create; otherwise
 * an error that carries the text's table as `answer`, for whoever knows where else the file may be. */
static int push_download(lua_State *L, struct call *call) {
  struct request *r = &call->request;
  int top = lua_gettop(L), has_answer = 0;
  if (r->outcome.kind == KIND_NONE) {
    if (r->file.content == CONTENT_FILE || (r->outcome.body.len == 0 && !r->takes_film)) {
      if (push_file(L, call)) return 1;
    } else {
      has_answer = push_json(L, call);
      if (has_answer && r->takes_film) return 1;
      if (has_answer) fail(r, KIND_API, "the server answered JSON in place of the file");
    }
  }
  lua_settop(L, top + has_answer);
  error_push_call(L, call);
  set_partial(L, call);
  if (has_answer) {
    lua_insert(L, -2);
    lua_setfield(L, -2, "answer");
  }
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

/* --- the response table -------------------------------------------------------- */

/* Pushes name -> value: names in lower case, the values of a repeated name joined by ", " (RFC 9110, 5.3). */
static void push_headers(lua_State *L, const struct buffer *block) {
  struct header field;
  size_t at = 0, i;
  lua_newtable(L);
  while (headers_next(block, &at, &field)) {
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

static void push_response(lua_State *L, struct call *call) {
  struct request *r = &call->request;
  double poll_after = attempt_poll_after(r);
  lua_newtable(L);
  set_count(L, "status", r->outcome.status);
  push_headers(L, &r->outcome.headers);
  lua_getfield(L, -1, "x-request-id");
  lua_setfield(L, -3, "request_id");
  lua_setfield(L, -2, "headers");
  set_count(L, "attempts", r->attempts);
  set_number(L, "seconds", r->ended - r->started);
  if (poll_after >= 0) set_number(L, "poll_after", poll_after);
}

/* --- results ------------------------------------------------------------------- */

/* FNV-1a, in as many bits as a Lua number holds: one in 9 * 10^15 changes is overlooked. */
static double digest(const struct buffer *b) {
  uint64_t hash = UINT64_C(14695981039346656037);
  size_t i;
  for (i = 0; i < b->len; i++) hash = (hash ^ (unsigned char)b->data[i]) * UINT64_C(1099511628211);
  return (double)((hash ^ hash >> 53) & UINT64_C(0x1fffffffffffff));
}

/* Does not decode an answer that is known: that saves a third of a poll. */
int result_push_poll(lua_State *L, struct call *call) {
  struct request *r = &call->request;
  double poll_after = attempt_poll_after(r), seen = digest(&r->outcome.body);
  if (r->outcome.kind == KIND_NONE && seen == call->seen) {
    lua_pushboolean(L, 1);
    lua_pushnil(L);
  } else if (r->outcome.kind == KIND_NONE && push_json(L, call)) {
    lua_pushnil(L);
  } else {
    lua_pushnil(L);
    error_push_call(L, call);
  }
  if (poll_after >= 0) {
    lua_pushnumber(L, poll_after);
  } else {
    lua_pushnil(L);
  }
  lua_pushnumber(L, seen);
  if (!call->wants_response) return 4;
  push_response(L, call);
  return 5;
}

int result_push(lua_State *L, struct call *call) {
  int pushed;
  if (is_puzzling(&call->request))
    fail(&call->request, KIND_DECODE, "the server answered a POST with a status for a GET");
  if (call->request.file.expected) {
    pushed = push_download(L, call);
  } else if (call->request.outcome.kind == KIND_NONE &&
             (receive_is_film(&call->request) ? push_film(L, call) : push_json(L, call))) {
    pushed = 1;
  } else {
    lua_pushnil(L);
    error_push_call(L, call);
    pushed = 2;
  }
  if (!call->wants_response) return pushed;
  if (pushed == 1) lua_pushnil(L);
  push_response(L, call);
  return 3;
}
