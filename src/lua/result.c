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

#define SHOWN_PAGE 8192 /* bytes of a web page that are looked at */

/* Returns where the JSON of a body begins: after blanks and a byte order mark. */
static size_t skip_blanks(const struct buffer *body) {
  size_t at = body->len >= 3 && memcmp(body->data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
  while (at < body->len && strchr(" \t\r\n", body->data[at]) != NULL && body->data[at] != '\0') at++;
  return at;
}

static int is_blank(const struct buffer *body) {
  return skip_blanks(body) == body->len;
}

static int is_array(const struct buffer *body) {
  size_t at = skip_blanks(body);
  return at < body->len && body->data[at] == '[';
}

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

/* Whether an answer without a body says something: that there is nothing more to say, or nothing yet. */
static int may_be_empty(const struct call *call) {
  int status = call->request.outcome.status;
  return !call->creates && (status == 202 || status == 204 || strcmp(call->request.method, "DELETE") == 0);
}

/* Fails a call whose answer is not JSON; why stands on top. */
static int fail_text(lua_State *L, struct call *call) {
  struct request *r = &call->request;
  const struct buffer *body = &r->outcome.body;
  const char *what, *hint = "";
  lua_pushlstring(L, body->data, body->len < SHOWN_PAGE ? body->len : SHOWN_PAGE);
  json_read(L, JSON_PAGE);
  what = lua_tostring(L, -1);
  if (what != NULL && strncmp(what, "a web page", 10) == 0)
    hint = strstr(r->endpoint->path, "/v1") == NULL ? ": does base_url lack /v1?" : ": is base_url the API's?";
  if (what != NULL) lua_pushfstring(L, "the answer is %s, not JSON%s", what, hint);
  fail(r, KIND_DECODE, lua_tostring(L, what != NULL ? -1 : -2));
  lua_pop(L, what != NULL ? 2 : 1);
  return 0;
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
  if (is_blank(body)) {
    if (!may_be_empty(call)) return fail(r, KIND_DECODE, "expected a JSON object, got an empty answer");
    lua_newtable(L);
    return 1;
  }
  if (!json_decode(L, body->data, body->len, &call->scratch)) {
    fail_text(L, call);
  } else if (is_array(body) && !call->lists) {
    fail(r, KIND_DECODE, "expected a JSON object, got an array");
  } else if (has_string(L, "id") && has_string(L, "status")) {
    return 1; /* a job, which is never a refusal */
  } else if (is_empty(L)) {
    fail(r, KIND_DECODE, "expected a job, got an empty JSON object");
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

/* Fails a download whose answer has no bytes; what an earlier attempt has left of the file does not count. */
static int fail_empty(struct request *r) {
  if (r->outcome.status == 202) return fail(r, KIND_API, "the server answered 202: the file is not there yet");
  return fail(r, KIND_DECODE, "expected a file, got an empty answer");
}

/* Pushes { bytes =, content_type = } for a file that has come, and returns 1; 0: the request has failed after all. */
static int push_file(lua_State *L, struct call *call) {
  struct request *r = &call->request;
  if (r->file.received == 0) return fail_empty(r);
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
    if (r->file.content == CONTENT_FILE) {
      if (push_file(L, call)) return 1;
    } else if (is_blank(&r->outcome.body) && !r->takes_film) {
      (void)fail_empty(r);
    } else {
      has_answer = push_json(L, call);
      if (has_answer && r->takes_film) return 1;
      if (has_answer) fail(r, KIND_API, "expected a file, got JSON");
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
  int is_new = 0;
  if (r->outcome.kind == KIND_NONE && seen == call->seen && !is_blank(&r->outcome.body)) {
    lua_pushboolean(L, 1);
    lua_pushnil(L);
  } else if (r->outcome.kind == KIND_NONE && push_json(L, call)) {
    lua_pushnil(L);
    is_new = 1;
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
  if (!call->wants_response && !is_new) return 4;
  if (call->wants_response) {
    push_response(L, call);
  } else {
    lua_pushnil(L);
  }
  if (!is_new) return 5;
  error_push_request_id(L, call);
  return 6;
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
