/* client.c - the client userdata: an endpoint and a loop, and who may use them.
 *
 * Invariant: close, __gc and __close are one function, which may be called at any time and any number of times; a
 * client is used only in the process that made it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/pem.h"
#include "base/sys.h"
#include "http/easy.h"
#include "lua/binding.h"

#define CLIENT_TYPE "sora.client"

struct client *client_find(lua_State *L, int index) {
  struct client **box;
  if (lua_istable(L, index)) {
    lua_rawgeti(L, index, 1);
    box = compat_testudata(L, -1, CLIENT_TYPE);
    lua_pop(L, 1); /* the table keeps it */
  } else {
    box = compat_testudata(L, index, CLIENT_TYPE);
  }
  return box != NULL ? *box : NULL;
}

struct client *client_check(lua_State *L, int index) {
  struct client *client = client_find(L, index);
  if (client == NULL)
    luaL_argerror(L, index, lua_pushfstring(L, "expected a sora client, got %s", luaL_typename(L, index)));
  return client;
}

int client_push_table(lua_State *L, int index) {
  if (lua_istable(L, index)) {
    lua_rawgeti(L, index, 1);
    compat_gettable(L, -1);
    lua_remove(L, -2);
  } else {
    compat_gettable(L, index);
  }
  return lua_gettop(L);
}

int client_is_usable(lua_State *L, const struct client *client) {
  if (client->endpoint == NULL) {
    error_return(L, KIND_CLOSED, "the client is closed: make another with sora.new");
    return 0;
  }
  if (client->generation != sys_generation()) {
    error_return(L, KIND_FORKED, "the client belongs to another process: call sora.new in each process");
    return 0;
  }
  return 1;
}

/* core.usable(client): true, or nil, err. */
static int usable(lua_State *L) {
  if (!client_is_usable(L, client_check(L, 1))) return 2;
  lua_pushboolean(L, 1);
  return 1;
}

/* core.close(client) */
static int close_client(lua_State *L) {
  struct client *client = client_check(L, 1);
  struct endpoint *endpoint = client->endpoint;
  int forked = client->generation != sys_generation();
  if (endpoint == NULL) return 0;
  client->endpoint = NULL;
  events_free(client);
  loop_close(&client->loop, forked);
  if (!forked) endpoint_drop(endpoint); /* in a child its header lists belong to the parent's transfers */
  return 0;
}

static int collect(lua_State *L) {
  struct client **box = lua_touserdata(L, 1);
  if (*box == NULL) return 0;
  (void)close_client(L);
  buffer_free(&(*box)->options.headers); /* of a client that failed to open */
  buffer_free(&(*box)->get_path);
  buffer_free(&(*box)->secrets);
  buffer_free(&(*box)->call_secrets);
  free(*box);
  *box = NULL;
  return 0;
}

static void set_path(lua_State *L, struct client *client, const char *path) {
  client->get_path.len = 0;
  if (buffer_puts(&client->get_path, path) != 0 || buffer_string(&client->get_path) == NULL) raise_memory(L);
}

/* core.set_get_path(client, template) */
static int set_get_path(lua_State *L) {
  struct client *client = client_check(L, 1);
  set_path(L, client, luaL_checkstring(L, 2));
  return 0;
}

/* Pushes a closed client, and its table above it. The userdata only points to the client, whose memory stays there even
 * if Lua skips the __gc, because calls point to it, too. */
static struct client *push_client(lua_State *L) {
  struct client **box = compat_newuserdata(L, sizeof *box), *client;
  *box = NULL;
  lua_newtable(L);
  lua_newtable(L);
  lua_rawseti(L, -2, FIELD_SPARES);
  lua_newtable(L);
  lua_pushboolean(L, 1);
  luaL_unref(L, -1, luaL_ref(L, -2)); /* the first one makes a field, for which memory may be out later */
  lua_rawseti(L, -2, FIELD_STARTED);
  lua_pushvalue(L, -1);
  compat_settable(L, -3);
  luaL_getmetatable(L, CLIENT_TYPE);
  lua_setmetatable(L, -3);
  client = *box = calloc(1, sizeof *client);
  if (client == NULL) raise_memory(L);
  client->generation = sys_generation();
  return client;
}

/* Pushes what is wrong with the file of an option and returns that; NULL: it holds a certificate, a key that needs no
 * passphrase, or both, as `wanted` says. */
static const char *push_pem_fault(lua_State *L, const char *option, const char *path, int wanted) {
  int found = pem_read(path);
  if (found < 0 && errno == ENOMEM) raise_memory(L);
  if (found < 0)
    return lua_pushfstring(L, "cannot read %s '%s': %s", option, path,
                           errno == EINVAL ? "it is not a regular file" : strerror(errno));
  if ((wanted & PEM_CERTIFICATE) && !(found & PEM_CERTIFICATE))
    return lua_pushfstring(
        L, "%s '%s' holds no certificate: expected a PEM file, with a line -----BEGIN CERTIFICATE-----", option, path);
  if ((wanted & PEM_KEY) && !(found & PEM_KEY))
    return lua_pushfstring(L, "%s '%s' holds no private key: %s", option, path,
                           wanted & PEM_CERTIFICATE ? "name the key's own file with key_file = '…'"
                                                    : "expected a PEM file, with a line -----BEGIN PRIVATE KEY-----");
  if ((wanted & PEM_KEY) && (found & PEM_ENCRYPTED))
    return lua_pushfstring(L,
                           "the private key in %s '%s' has a passphrase, which nobody can be asked for: write it "
                           "without one (openssl pkey -in … -out …)",
                           option, path);
  return NULL;
}

/* Pushes what is wrong with the options of the client certificate and the socket and returns that, or NULL. */
static const char *push_fault(lua_State *L, const struct endpoint_options *o) {
  const char *why = NULL;
  if (o->cert_file != NULL)
    why = push_pem_fault(L, "cert_file", o->cert_file, PEM_CERTIFICATE | (o->key_file == NULL ? PEM_KEY : 0));
  if (why == NULL && o->key_file != NULL) why = push_pem_fault(L, "key_file", o->key_file, PEM_KEY);
  if (why != NULL || o->unix_socket == NULL) return why;
  if (!easy_has_unix_sockets()) return "unix_socket: this libcurl was built without Unix domain sockets";
  if (strlen(o->unix_socket) > sys_socket_longest_path())
    return lua_pushfstring(L, "unix_socket '%s' is too long: expected a path of at most %d bytes, got %d",
                           o->unix_socket, (int)sys_socket_longest_path(), (int)strlen(o->unix_socket));
  return NULL;
}

/* core.new(options, who): a client, or nil, err. */
static int new_client(lua_State *L) {
  struct client *client;
  const char *who = luaL_checkstring(L, 2), *why;
  int config, code;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  lua_insert(L, 1); /* keeps `who` below what follows */
  client = push_client(L);
  options_read_client(L, 2, who, client, 4);
  if (client->options.base_url == NULL)
    return error_return(
        L, KIND_CONFIG,
        "base_url is missing: set SORA_BASE_URL and SORA_API_KEY (or OPENAI_BASE_URL and OPENAI_API_KEY) "
        "in the environment, or call sora.configure{ base_url = ..., api_key = ... }");
  why = push_fault(L, &client->options);
  if (why != NULL) return error_return(L, KIND_CONFIG, why);
  set_path(L, client, "/videos/{id}");
  client->endpoint = endpoint_new(&client->options, &why, &config);
  buffer_free(&client->options.headers);
  if (client->endpoint == NULL && config) return error_return(L, KIND_CONFIG, lua_pushfstring(L, "base_url %s", why));
  if (client->endpoint == NULL ||
      buffer_add(&client->secrets, client->endpoint->secrets.data, client->endpoint->secrets.len) != 0)
    return raise_memory(L);
  code = loop_open(&client->loop, client->endpoint);
  if (code == LOOP_NO_DESCRIPTOR) {
    (void)error_return(L, KIND_TRANSPORT,
                       "no file descriptor is left for the client: close files or clients, or raise `ulimit -n`");
    set_flag(L, "retryable", 1);
    return 2;
  }
  if (code != 0 || (client->listened && events_start(L, client, 4) != 0)) return raise_memory(L);
  lua_settop(L, 3);
  return 1;
}

void client_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"new", new_client}, {"close", close_client}, {"usable", usable}, {"set_get_path", set_get_path}, {NULL, NULL},
  };
  luaL_newmetatable(L, CLIENT_TYPE);
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, close_client);
  lua_setfield(L, -2, "__close");
  lua_pop(L, 1);
  compat_setfuncs(L, functions);
}
