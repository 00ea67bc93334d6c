/* lfile.c - files for and from calls: forms, targets, and functions that hear of bytes as they come.
 *
 * Owns the fields of a description that concern files:
 *   parts = { { name =, data = or path =, filename =, content_type = }, … }   a multipart body
 *   file = path, or sink = function(chunk)                                    where the answer goes
 *   on_progress = function(received, total)                                   `false` stops the call
 *   keep_part, partial = { bytes =, validator = }                             to go on with what another call kept
 * Invariant: the functions are called between two steps of the loop; what one of them raises ends its own call. */
#define _GNU_SOURCE /* O_CLOEXEC, fsync */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base64.h"
#include "compat.h"
#include "lsora.h"

/* Places in a listening call's table. */
#define CHUNK 1
#define PROGRESS 2

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
  struct part part;
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
  lerror_return(L, ERROR_FILE, message);
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

/* What another call has kept. */
static void read_partial(lua_State *L, int spec, struct file *f) {
  size_t len;
  const char *validator;
  lua_getfield(L, spec, "partial");
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "bytes");
    f->received = (long long)lua_tonumber(L, -1);
    lua_pop(L, 1);
    validator = text_field(L, "validator", &len);
    if (validator != NULL && buffer_add(&f->validator, validator, len) != 0) luaL_error(L, "out of memory");
  }
  lua_pop(L, 1);
}

/* Keeps the functions in the table of the call on top. */
static void read_listeners(lua_State *L, int spec, struct lcall *call) {
  lua_newtable(L);
  lua_getfield(L, spec, "sink");
  call->listens = lua_isfunction(L, -1);
  lua_rawseti(L, -2, CHUNK);
  lua_getfield(L, spec, "on_progress");
  call->listens = call->listens || lua_isfunction(L, -1);
  lua_rawseti(L, -2, PROGRESS);
  compat_settable(L, -2);
}

int lfile_read(lua_State *L, int spec, struct lcall *call) {
  char message[512];
  struct file *f = &call->request.file;
  const char *path;
  if (!read_parts(L, spec, &call->request.form)) return 0;
  lua_getfield(L, spec, "file");
  path = lua_tostring(L, -1);
  lua_getfield(L, spec, "sink");
  f->expected = path != NULL || lua_isfunction(L, -1);
  lua_pop(L, 2);
  if (!f->expected) return 1;
  f->received = 0;
  f->total = -1;
  f->validator.len = f->pending.len = 0;
  f->held = f->news = f->fruitless = f->outdated = 0;
  lua_getfield(L, spec, "resume");
  f->resumes = lua_isnil(L, -1) || lua_toboolean(L, -1);
  lua_pop(L, 1);
  read_listeners(L, spec, call);
  read_partial(L, spec, f);
  lua_getfield(L, spec, "keep_part");
  call->keeps_part = lua_toboolean(L, -1);
  lua_pop(L, 1);
  f->sink = path != NULL ? &call->sink : NULL;
  if (path == NULL || sink_open(&call->sink, path, f->received) == 0) return 1;
  sink_explain(&call->sink, message, sizeof message);
  sink_close(&call->sink);
  lerror_return(L, ERROR_FILE, message);
  return 0;
}

/* Ends the call for the reason on top of the stack, which it pops. */
static void stop(lua_State *L, struct lcall *call) {
  struct request *r = &call->request;
  const char *why = lua_tostring(L, -1);
  if (r->state == REQUEST_DONE) {
    request_fail(r, ERROR_CANCELLED, why);
  } else {
    loop_cancel(&call->client->loop, r, ERROR_CANCELLED, why);
  }
  lua_pop(L, 1);
}

/* Calls a listener with so many arguments; what it raises, or `false`, ends the call. */
static void hear(lua_State *L, struct lcall *call, int arguments, const char *name) {
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

/* Tells the listeners of the call at `index` what came since they last heard. */
static void tell(lua_State *L, struct lcall *call, int index) {
  struct file *f = &call->request.file;
  luaL_checkstack(L, 6, NULL);
  f->news = 0;
  compat_gettable(L, index);
  lua_rawgeti(L, -1, CHUNK);
  if (lua_isfunction(L, -1) && f->pending.len != 0) {
    lua_pushlstring(L, f->pending.data, f->pending.len);
    f->pending.len = 0;
    hear(L, call, 1, "sink");
  } else {
    lua_pop(L, 1);
  }
  lua_rawgeti(L, -1, PROGRESS);
  if (lua_isfunction(L, -1) && call->request.kind == ERROR_NONE) {
    compat_pushcount(L, f->received);
    if (f->total >= 0) {
      compat_pushcount(L, f->total);
    } else {
      lua_pushnil(L);
    }
    hear(L, call, 2, "on_progress");
  } else {
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  if (call->request.state == REQUEST_RUNNING) receive_resume(&call->request);
}

static struct lcall *with_news(const struct loop *loop) {
  struct request *r;
  for (r = loop->running.first; r != NULL; r = r->next)
    if (r->file.expected && r->file.news && ((struct lcall *)r)->listens) return (struct lcall *)r;
  return NULL;
}

void lfile_news(lua_State *L, struct lclient *client, int table) {
  struct lcall *call;
  while (client->listening > 0 && client->site != NULL && (call = with_news(&client->loop)) != NULL) {
    lua_rawgeti(L, table, FIELD_STARTED);
    lua_rawgeti(L, -1, call->anchor);
    tell(L, call, lua_gettop(L));
    lua_pop(L, 2);
  }
}

void lfile_flush(lua_State *L, struct lcall *call, int index) {
  if (!call->listens) return;
  call->listens = 0;
  /* Also where the call failed: what is counted as received must have been handed on. */
  if (call->request.file.news && call->request.kind != ERROR_CANCELLED) tell(L, call, index);
  lua_newtable(L); /* the call is used again, and lets go of who listened */
  compat_settable(L, index);
}

/* --- small tools ----------------------------------------------------------------------- */

int lfile_unbase64(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  char *room = lua_newuserdata(L, len / 4 * 3 + 3);
  long written = base64_decode(text, len, room);
  if (written < 0) return 0;
  lua_pushlstring(L, room, (size_t)written);
  return 1;
}

/* core.save(path, bytes): as a download of these bytes would be saved. */
int lfile_save(lua_State *L) {
  size_t len;
  const char *path = luaL_checkstring(L, 1), *bytes = luaL_checklstring(L, 2, &len);
  struct lcall *box = lcall_box(L);
  char message[512];
  if (sink_open(&box->sink, path, 0) == 0 && sink_write(&box->sink, bytes, len) == 0 && sink_commit(&box->sink) == 0) {
    lua_pushboolean(L, 1);
    return 1;
  }
  sink_explain(&box->sink, message, sizeof message);
  sink_close(&box->sink);
  return lerror_return(L, ERROR_FILE, message);
}

/* One write to a file opened for appending, so that lines of several processes do not mix; on disk when it returns. */
static int append(const char *path, const char *line, size_t len) {
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), code = 0;
  ssize_t written;
  if (fd < 0) return errno;
  written = write(fd, line, len);
  if (written < 0 || fsync(fd) != 0) code = errno;
  if (written >= 0 && (size_t)written != len) code = ENOSPC;
  close(fd);
  return code;
}

int lfile_append(lua_State *L) {
  size_t len;
  const char *path = luaL_checkstring(L, 1), *line = luaL_checklstring(L, 2, &len);
  int code = append(path, line, len);
  char message[512];
  if (code == 0) {
    lua_pushboolean(L, 1);
    return 1;
  }
  snprintf(message, sizeof message, "cannot write %s: %s", path, strerror(code));
  return lerror_return(L, ERROR_FILE, message);
}
