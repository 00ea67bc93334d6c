/* stream.c - bytes for and from calls: forms, part files, and what a download has received.
 *
 * Owns the fields of a description that concern files:
 *   parts = { { name =, data = or path =, filename =, content_type = }, … }   a multipart body
 *   file = a part file, or sink = true       where the bytes of the answer go: there, or to core.read
 *   partial = { bytes =, validator =, total = }, resume     to resume what another call left
 * Invariant: no function of the user's is known here; whoever made the call reads its bytes when it likes, and the
 * transfer waits for that. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/part_file.h"
#include "lua/binding.h"

#define MAX_COUNT 9007199254740992.0 /* 2^53, below which every whole number is a double */

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
  snprintf(message, sizeof message, "cannot read %s: %s", part.path != NULL ? part.path : part.name,
           code == EINVAL ? "it is not a regular file" : strerror(code));
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

/* A field of the table on top that is a number of bytes, or -1. It may be from a note that anybody can have written. */
static long long count_field(lua_State *L, const char *name) {
  lua_Number count;
  lua_getfield(L, -1, name);
  count = lua_tonumber(L, -1);
  if (!lua_isnumber(L, -1) || !(count >= 0 && count <= MAX_COUNT)) count = -1;
  lua_pop(L, 1);
  return (long long)count;
}

/* Reads what another call has left of the file; a part file knows its own length. */
static void read_partial(lua_State *L, int spec, struct file *f) {
  size_t len;
  const char *validator;
  lua_getfield(L, spec, "partial");
  if (lua_istable(L, -1)) {
    f->received = f->target != NULL ? f->target->bytes : count_field(L, "bytes");
    f->total = count_field(L, "total");
    validator = text_field(L, "validator", &len);
    if (validator != NULL && buffer_add(&f->validator, validator, len) != 0) raise_memory(L);
    if (f->total >= 0 && f->received >= f->total) /* there must be something to ask for */
      f->received = f->received == f->total && f->total > 0 ? f->total - 1 : 0;
    f->furthest = f->received;
  }
  lua_pop(L, 1);
}

int stream_read(lua_State *L, int spec, struct call *call) {
  struct request *r = &call->request;
  struct file *f = &r->file;
  char message[512];
  int kept;
  if (!read_parts(L, spec, &r->form)) return 0;
  lua_getfield(L, spec, "creates");
  r->takes_film = lua_istable(L, -1);
  lua_getfield(L, spec, "resume");
  f->may_resume = !r->takes_film && (lua_isnil(L, -1) || lua_toboolean(L, -1));
  lua_getfield(L, spec, "sink");
  lua_getfield(L, spec, "file");
  f->target = part_at(L, -1);
  f->expected = f->target != NULL || lua_toboolean(L, -2);
  if (f->expected) { /* the call's own table keeps the part file */
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, STREAM_FILE);
    compat_settable(L, -6);
  }
  lua_pop(L, 4);
  if (!f->expected) return 1;
  read_partial(L, spec, f);
  kept = f->target == NULL || r->takes_film || part_file_cut(f->target, f->received) == 0;
  if (kept) return 1;
  part_file_explain(f->target, message, sizeof message);
  error_return(L, KIND_FILE, message);
  return 0;
}

/* core.read(handle [, all]): the bytes that came for a sink, or nil; how many came in all; the file's length, or nil;
 * and what names its version, or nil. Lets the transfer continue. `all`: the call's on_done is called for all bytes
 * that come; otherwise only for the first ones of each attempt, and at the end. */
static int read_bytes(lua_State *L) {
  struct call *call = handle_call(L, 1);
  struct file *f;
  if (call == NULL) return 0;
  f = &call->request.file;
  f->unread = 0;
  f->listened = lua_toboolean(L, 2);
  if (f->pending.len != 0) {
    lua_pushlstring(L, f->pending.data, f->pending.len);
    f->pending.len = 0;
  } else {
    lua_pushnil(L);
  }
  compat_pushcount(L, f->received);
  if (f->total >= 0) {
    compat_pushcount(L, f->total);
  } else {
    lua_pushnil(L);
  }
  if (f->validator.len != 0) {
    lua_pushlstring(L, f->validator.data, f->validator.len);
  } else {
    lua_pushnil(L);
  }
  if (call->request.state == REQUEST_RUNNING && f->paused) { /* last: more bytes may come at once */
    loop_resume(&call->client->loop, &call->request);
  }
  return 4;
}

void stream_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"read", read_bytes}, {NULL, NULL}};
  compat_setfuncs(L, functions);
}
