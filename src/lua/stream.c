/* stream.c - bytes for and from calls: forms, target files, and functions that receive bytes as they come.
 *
 * Owns the fields of a description that concern files:
 *   parts = { { name =, data = or path =, filename =, content_type = }, … }   a multipart body
 *   file = path, or sink = function(chunk)                                    where the answer goes
 *   on_progress = function(received, total)                                   `false` stops the call
 *   keep_part, partial = { bytes =, validator = }                             to resume what another call left
 * Invariant: the functions are called between two steps of the loop; what one of them raises ends its own call. */
#include <stdio.h>
#include <string.h>

#include "http/receive.h"
#include "lua/binding.h"

/* Fields of the table of a call that listens. */
#define FIELD_SINK 1
#define FIELD_PROGRESS 2

/* --- what is sent -------------------------------------------------------------------- */

/* A string field of the table on top, which keeps it alive, or NULL. */
static char *text_field(lua_State *L, const char *name, size_t *len) {
  char *text;
  lua_getfield(L, -1, name);
  text = (char *)lua_tolstring(L, -1, len); /* only read */
  lua_pop(L, 1);
  return text;
}

/* Adds the part on top; 1, or pushes nil, err and returns 0. */
static int read_part(lua_State *L, struct form *form) {
  struct form_part part;
  size_t len;
  int code;
  char message[512];
  memset(&part, 0, sizeof part);
  part.data = text_field(L, "data", &part.len);
  part.name = text_field(L, "name", &len);
  part.path = text_field(L, "path", &len);
  part.filename = text_field(L, "filename", &len);
  part.type = text_field(L, "content_type", &len);
  code = form_add(form, &part);
  if (code == 0) return 1;
  snprintf(message, sizeof message, "cannot read %s: %s", part.path != NULL ? part.path : part.name, strerror(code));
  error_return(L, KIND_FILE, message);
  return 0;
}

static int read_parts(lua_State *L, int spec, struct form *form) {
  int i, ok = 1;
  lua_getfield(L, spec, "parts");
  for (i = 1; lua_istable(L, -1); i++) {
    lua_rawgeti(L, -1, i);
    if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
      break;
    }
    ok = read_part(L, form);
    if (!ok) return 0;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return ok;
}

/* --- what comes ---------------------------------------------------------------------- */

/* Reads what another call has left of the file. */
static void read_partial(lua_State *L, int spec, struct file *f) {
  size_t len;
  const char *validator;
  lua_getfield(L, spec, "partial");
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "bytes");
    f->received = (long long)lua_tonumber(L, -1);
    lua_pop(L, 1);
    validator = text_field(L, "validator", &len);
    if (validator != NULL && buffer_add(&f->validator, validator, len) != 0) raise_memory(L);
  }
  lua_pop(L, 1);
}

/* Keeps sink and on_progress in the table of the call on top. */
static void read_listeners(lua_State *L, int spec, struct call *call) {
  lua_newtable(L);
  lua_getfield(L, spec, "sink");
  call->listens = lua_isfunction(L, -1);
  lua_rawseti(L, -2, FIELD_SINK);
  lua_getfield(L, spec, "on_progress");
  call->listens = call->listens || lua_isfunction(L, -1);
  lua_rawseti(L, -2, FIELD_PROGRESS);
  compat_settable(L, -2);
}

/* The flag spec[name], `missing` if it is nil. */
static int flag_field(lua_State *L, int spec, const char *name, int missing) {
  int flag;
  lua_getfield(L, spec, name);
  flag = lua_isnil(L, -1) ? missing : lua_toboolean(L, -1);
  lua_pop(L, 1);
  return flag;
}

int stream_read(lua_State *L, int spec, struct call *call) {
  struct file *f = &call->request.file;
  char message[512];
  const char *path;
  if (!read_parts(L, spec, &call->request.form)) return 0;
  lua_getfield(L, spec, "file");
  path = lua_tostring(L, -1);
  lua_getfield(L, spec, "sink");
  f->expected = path != NULL || lua_isfunction(L, -1);
  lua_pop(L, 2);
  if (!f->expected) return 1;
  f->may_resume = flag_field(L, spec, "resume", 1);
  call->keeps_part = flag_field(L, spec, "keep_part", 0);
  read_listeners(L, spec, call);
  read_partial(L, spec, f);
  if (path == NULL) return 1;
  f->target = &call->part;
  if (part_file_open(f->target, path, f->received) == 0) return 1;
  part_file_explain(f->target, message, sizeof message);
  part_file_close(f->target);
  error_return(L, KIND_FILE, message);
  return 0;
}

/* Ends the call for the reason on top of the stack, which it pops. */
static void stop(lua_State *L, struct call *call) {
  struct request *r = &call->request;
  const char *why = lua_tostring(L, -1);
  if (r->state == REQUEST_DONE) {
    request_fail(r, KIND_CANCELLED, why);
  } else {
    loop_cancel(&call->client->loop, r, KIND_CANCELLED, why);
  }
  lua_pop(L, 1);
}

/* Calls a listener with so many arguments; what it raises, or `false`, ends the call. */
static void call_listener(lua_State *L, struct call *call, int arguments, const char *name) {
  if (lua_pcall(L, arguments, 1, 0) != 0) {
    lua_pushfstring(L, "%s raised an error: %s", name,
                    lua_isstring(L, -1) ? lua_tostring(L, -1) : luaL_typename(L, -1));
    lua_remove(L, -2);
  } else if (lua_isboolean(L, -1) && !lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    lua_pushfstring(L, "%s stopped the download", name);
  } else {
    lua_pop(L, 1);
    return;
  }
  stop(L, call);
}

/* Calls the listeners of the call at `index` with what came since the last time. */
static void deliver(lua_State *L, struct call *call, int index) {
  struct file *f = &call->request.file;
  luaL_checkstack(L, 6, NULL);
  f->updated = 0;
  compat_gettable(L, index);
  lua_rawgeti(L, -1, FIELD_SINK);
  if (lua_isfunction(L, -1) && f->pending.len != 0) {
    lua_pushlstring(L, f->pending.data, f->pending.len);
    f->pending.len = 0;
    call_listener(L, call, 1, "sink");
  } else {
    lua_pop(L, 1);
  }
  lua_rawgeti(L, -1, FIELD_PROGRESS);
  if (lua_isfunction(L, -1) && call->request.outcome.kind == KIND_NONE) {
    compat_pushcount(L, f->received);
    if (f->total >= 0) {
      compat_pushcount(L, f->total);
    } else {
      lua_pushnil(L);
    }
    call_listener(L, call, 2, "on_progress");
  } else {
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  if (call->request.state == REQUEST_RUNNING) receive_resume(&call->request);
}

/* A running call that listens and received something, or NULL. */
static struct call *next_updated(const struct loop *loop) {
  struct request *r;
  for (r = loop->running.first; r != NULL; r = r->next)
    if (r->file.expected && r->file.updated && ((struct call *)r)->listens) return (struct call *)r;
  return NULL;
}

void stream_deliver(lua_State *L, struct client *client, int table) {
  struct call *call;
  while (client->listening > 0 && client->endpoint != NULL && (call = next_updated(&client->loop)) != NULL) {
    lua_rawgeti(L, table, FIELD_STARTED);
    lua_rawgeti(L, -1, call->anchor);
    deliver(L, call, lua_gettop(L));
    lua_pop(L, 2);
  }
}

void stream_finish(lua_State *L, struct call *call, int index) {
  if (!call->listens) return;
  call->listens = 0;
  /* Also where the call failed: what counts as received must have been delivered. */
  if (call->request.file.updated && call->request.outcome.kind != KIND_CANCELLED) deliver(L, call, index);
  lua_newtable(L); /* the call will be used again and must not keep its listeners alive */
  compat_settable(L, index);
}
