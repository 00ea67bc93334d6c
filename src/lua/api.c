/* api.c - the calls that Lua can make: get_video, and any other by description.
 *
 * Owns how ids become paths. Invariant: an id is one path segment, whatever bytes it holds. */
#include <stdio.h>
#include <string.h>

#include "http/headers.h"
#include "lua/binding.h"

/* ids of gateways hold ':' ("sora-2:task_01k7"), which a path segment may (RFC 3986, 3.3). */
#define ALSO_IN_IDS ":"

/* Replaces the table at `index` by the id in it, if there is one. */
static int replace_by_id(lua_State *L, int index) {
  int found;
  luaL_checkstack(L, 6, NULL);
  lua_pushvalue(L, index);
  json_read(L, JSON_ID);
  found = lua_type(L, -1) == LUA_TSTRING;
  if (found) {
    lua_replace(L, index);
  } else {
    lua_pop(L, 1);
  }
  return found;
}

/* Whether a path segment means this folder or the one above (RFC 3986, 5.2.4). */
static int is_dots(const char *text, size_t len) {
  return text[0] == '.' && (len == 1 || (len == 2 && text[1] == '.'));
}

/* The id at `index`: a string; an integer, as some servers number their jobs; or a table that JSON_ID finds one in,
 * which it replaces. NULL: pushes what is wrong with it. */
static const char *read_id(lua_State *L, int index, size_t *len) {
  const char *id;
  if (lua_istable(L, index) && !replace_by_id(L, index)) {
    lua_pushliteral(L, "id: expected an id, or a job, view, ticket or result that has one; got a table without an id");
    return NULL;
  }
  if (lua_type(L, index) != LUA_TSTRING && !(lua_type(L, index) == LUA_TNUMBER && compat_isinteger(L, index))) {
    lua_pushfstring(L, "id: expected a string, got %s", luaL_typename(L, index));
    return NULL;
  }
  if (!COMPAT_HAS_INTEGERS && lua_type(L, index) == LUA_TNUMBER) { /* not "9.007199254741e+15" */
    char digits[32];
    snprintf(digits, sizeof digits, "%.0f", (double)lua_tonumber(L, index));
    lua_pushstring(L, digits);
    lua_replace(L, index);
  }
  id = lua_tolstring(L, index, len);
  if (*len != 0 && !is_dots(id, *len)) return id;
  lua_pushstring(L, *len == 0 ? "id: expected an id, got an empty string"
                              : "id: expected an id, got '.' or '..', which mean a folder");
  return NULL;
}

/* core.escape(id): the id as a path segment, or nil and what is wrong with it. */
static int escape(lua_State *L) {
  size_t len;
  const char *id;
  char *out;
  lua_settop(L, 1);
  if ((id = read_id(L, 1, &len)) == NULL) {
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
  }
  out = lua_newuserdata(L, len * 3);
  lua_pushlstring(L, out, percent_encode(out, id, len, ALSO_IN_IDS));
  return 1;
}

/* Appends a template to the path and, after a '?', to the query, with the id in place of "{id}". */
static int add_address(struct request *r, const char *template, const char *id, size_t len) {
  struct buffer *to = &r->path;
  const char *at = template;
  while (*at != '\0') {
    size_t plain = strcspn(at, "?{");
    if (buffer_add(to, at, plain) != 0) return -1;
    at += plain;
    if (strncmp(at, "{id}", 4) == 0) {
      if (buffer_add_encoded(to, id, len, ALSO_IN_IDS) != 0) return -1;
      at += 4;
    } else if (*at == '?') {
      to = &r->query;
      at++;
    } else if (*at == '{') {
      if (buffer_add(to, at++, 1) != 0) return -1;
    }
  }
  return 0;
}

enum mode { BLOCKING, STARTED, POLLED };

/* Raises: `name` was called with a dot, so its first argument is not the client. */
static int blame_dot(lua_State *L, const char *name) {
  return error_blame(L, lua_pushfstring(L, "%s is a method: write client:%s(…)", name, name));
}

/* GET of a job, with the client at `client_index`, the id at `id_index` and options after it. */
static int get(lua_State *L, int client_index, int id_index, enum mode mode) {
  struct client *client = client_find(L, client_index);
  struct call *call;
  size_t len;
  const char *id = client != NULL ? read_id(L, id_index, &len) : NULL;
  int table, has_opts, starting = mode != BLOCKING;
  const char *who = starting ? "get_video" : NULL; /* the user called `start` */
  if (client == NULL) return blame_dot(L, "get_video");
  if (id == NULL && starting) return error_misuse(L, who, 0, lua_tostring(L, -1));
  if (id == NULL) return luaL_argerror(L, id_index, lua_tostring(L, -1));
  if (!client_is_usable(L, client)) return 2;
  table = client_push_table(L, client_index);
  call = call_new(L, client, table, "GET");
  if (call == NULL) return 2;
  if (add_address(&call->request, client->get_path.data, id, len) != 0) return raise_memory(L);
  has_opts = !lua_isnil(L, id_index + 1);
  call->polls = mode == POLLED;
  if (has_opts) options_read_call(L, id_index + 1, who, call, starting);
  if (mode == POLLED) call->seen = luaL_optnumber(L, id_index + 2, -1);
  if (starting) return handle_start(L, client, table, call, has_opts ? id_index + 1 : 0);
  return call_run(L, client, table, call);
}

/* core.get_video(client, id [, opts]) */
static int get_video(lua_State *L) {
  lua_settop(L, 3);
  return get(L, 1, 2, BLOCKING);
}

/* core.start_get_video(client, id [, opts]): a handle. */
static int start_get_video(lua_State *L) {
  lua_settop(L, 3);
  return get(L, 1, 2, STARTED);
}

/* core.start_poll(client, id, opts, seen): the same for a watched job, whose answer before has the digest `seen`, if
 * there was one. on_done gets what result_push_poll says, and must drop the handle: its call is used again. */
static int start_poll(lua_State *L) {
  lua_settop(L, 4);
  return get(L, 1, 2, POLLED);
}

/* sora.get_video(id [, opts]): with the default client, which the function in upvalue 1 gives; the module itself in
 * upvalue 2 tells a call with a colon. */
static int get_from_default(lua_State *L) {
  lua_settop(L, 2);
  if (lua_rawequal(L, 1, lua_upvalueindex(2)))
    return error_blame(L, "get_video is a function of the module: write sora.get_video(…)");
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_call(L, 0, 2);
  if (lua_isnil(L, 3)) return 2;
  lua_settop(L, 3);
  return get(L, 3, 1, BLOCKING);
}

/* core.get_video_from(default, module): sora.get_video. */
static int get_video_from(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_pushcclosure(L, get_from_default, 2);
  return 1;
}

/* --- any call ------------------------------------------------------------------- */

/* spec[name] as a string that the spec keeps alive, or NULL. */
static const char *spec_string(lua_State *L, const char *name, size_t *len) {
  const char *text;
  lua_getfield(L, 2, name);
  text = lua_tolstring(L, -1, len);
  lua_pop(L, 1);
  return text;
}

static int spec_has(lua_State *L, const char *name) {
  int found;
  lua_getfield(L, 2, name);
  found = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return found;
}

static void add_string(lua_State *L, const char *name, struct buffer *b) {
  size_t len;
  const char *text = spec_string(L, name, &len);
  if (text != NULL && buffer_add(b, text, len) != 0) raise_memory(L);
}

static const char *method_of(lua_State *L) {
  static const char *const methods[] = {"GET", "POST", "DELETE"};
  size_t len, i;
  const char *given = spec_string(L, "method", &len);
  for (i = 0; given != NULL && i < sizeof methods / sizeof methods[0]; i++)
    if (strcmp(given, methods[i]) == 0) return methods[i];
  luaL_argerror(L, 2, "expected the method 'GET', 'POST' or 'DELETE'");
  return NULL;
}

/* `spec` describes a call: `name` is what the user called; `method`; `path` and `query`, encoded already, or a whole
 * `url`; `body` with its `content_type`, or `parts`; `creates` if it makes a job; `lists` if it
 * gives a list; and for a file what stream.c says.
 * endpoints.lua makes them. */
static int call_spec(lua_State *L, int starting) {
  struct client *client = client_check(L, 1);
  struct call *call;
  struct request *r;
  struct header field;
  size_t len;
  int table;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 3);
  if (!client_is_usable(L, client)) return 2;
  table = client_push_table(L, 1);
  call = call_new(L, client, table, method_of(L));
  if (call == NULL) return 2;
  call->creates = spec_has(L, "creates");
  call->lists = spec_has(L, "lists");
  r = &call->request;
  add_string(L, "url", &r->url);
  add_string(L, "path", &r->path);
  add_string(L, "query", &r->query);
  add_string(L, "body", &r->body);
  if (!lua_isnil(L, 3)) options_read_call(L, 3, spec_string(L, "name", &len), call, starting);
  if (!headers_find(&call->lines, "Content-Type", 12, &field)) add_string(L, "content_type", &r->content_type);
  if (!stream_read(L, 2, call)) return 2;
  if (starting) return handle_start(L, client, table, call, lua_isnil(L, 3) ? 0 : 3);
  return call_run(L, client, table, call);
}

/* core.call(client, spec [, opts]) */
static int call_described(lua_State *L) {
  return call_spec(L, 0);
}

/* core.start(client, spec [, opts]): a handle. */
static int start_described(lua_State *L) {
  return call_spec(L, 1);
}

void api_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"get_video", get_video},
      {"get_video_from", get_video_from},
      {"start_get_video", start_get_video},
      {"start_poll", start_poll},
      {"call", call_described},
      {"start", start_described},
      {"escape", escape},
      {NULL, NULL},
  };
  compat_setfuncs(L, functions);
}
