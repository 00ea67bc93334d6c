/* options.c - option tables, checked and read by one table of rules.
 *
 * Owns the names, types and bounds of every option that C reads. Invariants: misuse raises and names the option, what
 * was given and what was expected; a value is never shown, because it may be a key; options are read from a copy, which
 * no metamethod or finalizer can change meanwhile. */
#include <string.h>

#include "base/sys.h"
#include "lua/binding.h"

#define MAX_SECONDS 1e9
#define LONGEST_WORD 32

/* What is being read, for messages. */
struct where {
  lua_State *L;
  int value;       /* stack index of the option's value */
  int arg;         /* the argument to name; 0: none */
  const char *who; /* the function to name, where the user called another than this one */
  const char *name;
};

struct option {
  const char *name;
  void (*read)(const struct where *at, void *target);
  size_t offset; /* of the field in the target */
};

/* --- spelling --------------------------------------------------------------- */

/* Edits between two words, where two letters that changed places are one (optimal string alignment); words too long to
 * be options count as far away. */
static size_t distance(const char *a, const char *b) {
  size_t rows[3][LONGEST_WORD + 1], *before = rows[0], *above = rows[1], *row = rows[2];
  size_t la = strlen(a), lb = strlen(b), i, j;
  if (la > LONGEST_WORD || lb > LONGEST_WORD) return LONGEST_WORD;
  for (j = 0; j <= lb; j++) row[j] = j;
  for (i = 1; i <= la; i++) {
    size_t *oldest = before;
    before = above;
    above = row;
    row = oldest;
    row[0] = i;
    for (j = 1; j <= lb; j++) {
      size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
      if (above[j] + 1 < best) best = above[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
        best = before[j - 2] + 1;
      row[j] = best;
    }
  }
  return row[lb];
}

/* Keeps in *best the word that is spelled more like `given`, if it is close at all. */
static void keep_closer(const char *given, const char *word, const char **best, size_t *least) {
  size_t d = distance(given, word);
  if (d < *least && d <= strlen(word) / 2) {
    *least = d;
    *best = word;
  }
}

/* Returns the word of the list at 2 that is spelled most like `given`, or NULL. */
static const char *find_nearest(lua_State *L, const char *given, size_t *edits) {
  const char *best = NULL;
  int i;
  *edits = LONGEST_WORD;
  luaL_checktype(L, 2, LUA_TTABLE);
  for (i = 1; lua_rawgeti(L, 2, i), lua_type(L, -1) == LUA_TSTRING; i++) {
    keep_closer(given, lua_tostring(L, -1), &best, edits);
    lua_pop(L, 1); /* the list keeps the string */
  }
  return best;
}

/* core.nearest(word, list): the word of the list that is spelled most like it, and by how many edits; or nil. */
static int nearest(lua_State *L) {
  size_t edits;
  const char *best = find_nearest(L, luaL_checkstring(L, 1), &edits);
  if (best == NULL) return 0;
  lua_pushstring(L, best);
  lua_pushinteger(L, (lua_Integer)edits);
  return 2;
}

/* Names that users of other clients bring along, the option that does the same here, and how to write that (NULL: its
 * name says it). */
struct alias {
  const char *given, *option, *text;
};

static const struct alias aliases[] = {
    {"api_base", "base_url", NULL},
    {"baseURL", "base_url", NULL},
    {"baseUrl", "base_url", NULL},
    {"base_uri", "base_url", NULL},
    {"endpoint", "base_url", NULL},
    {"host", "base_url", NULL},
    {"url", "base_url", NULL},
    {"azure_endpoint", "base_url", "'base_url', with dialect = 'azure'"},
    {"api_version", "base_url", "it into base_url: '…/v1?api-version=…'"},
    {"default_query", "base_url", "it into base_url: '…/v1?name=value'"},
    {"defaultQuery", "base_url", "it into base_url: '…/v1?name=value'"},
    {"apiKey", "api_key", NULL},
    {"key", "api_key", NULL},
    {"token", "api_key", NULL},
    {"organization", "headers", "headers = { ['OpenAI-Organization'] = … }"},
    {"project", "headers", "headers = { ['OpenAI-Project'] = … }"},
    {"default_headers", "headers", NULL},
    {"defaultHeaders", "headers", NULL},
    {"extra_headers", "headers", NULL},
    {"extraHeaders", "headers", NULL},
    {"extra_query", "query", NULL},
    {"extraQuery", "query", NULL},
    {"timeout_ms", "timeout", "'timeout', in seconds"},
    {"timeoutMs", "timeout", "'timeout', in seconds"},
    {"max_wait", "timeout", NULL},
    {"max_wait_ms", "timeout", "'timeout', in seconds"},
    {"max_wait_seconds", "timeout", NULL},
    {"deadline", "timeout", "'timeout', in seconds from now"},
    {"poll_interval", "interval", NULL},
    {"pollInterval", "interval", NULL},
    {"poll_interval_ms", "interval", "'interval', in seconds"},
    {"pollIntervalMs", "interval", "'interval', in seconds"},
    {"maxRetries", "max_retries", NULL},
    {"retries", "max_retries", NULL},
    {"idempotencyKey", "idempotency_key", NULL},
    {"onProgress", "on_progress", NULL},
    {"on_update", "on_progress", NULL},
    {"callback", "on_done", NULL},
    {"on_complete", "on_done", NULL},
    {"with_response", "response", "response = true"},
    {"http_proxy", "proxy", NULL},
    {"ssl_verify", "verify", NULL},
    {"verify_ssl", "verify", NULL},
    {"insecure", "verify", "verify = false"},
    {"cacert", "ca_file", NULL},
    {"cert", "cert_file", NULL},
    {"sslcert", "cert_file", NULL},
    {"ssl_cert", "cert_file", NULL},
    {"client_cert", "cert_file", NULL},
    {"clientCert", "cert_file", NULL},
    {"sslkey", "key_file", NULL},
    {"ssl_key", "key_file", NULL},
    {"client_key", "key_file", NULL},
    {"private_key", "key_file", NULL},
    {"socket_path", "unix_socket", NULL},
    {"socketPath", "unix_socket", NULL},
    {"uds", "unix_socket", NULL},
    {"debug", "on_event", "on_event = function(event) … end, or set SORA_DEBUG=1"},
    {"logger", "on_event", NULL},
    {"concurrency", "jobs", NULL},
    {"max_concurrency", "jobs", NULL},
    {"folder", "dir", NULL},
    {"output_dir", "dir", NULL},
    {"file", "path", NULL},
    {"output", "path", NULL},
    {"filename", "path", NULL},
    {"retrieve_video", "get_video", NULL},
    {"create_and_poll", "create_and_wait", NULL},
    {"download_content", "download_video", NULL},
    {NULL, NULL, NULL},
};

static const char *const params[] = {"prompt",    "model", "seconds",    "size", "input_reference",
                                     "reference", "n",     "extra_body", NULL};

/* Returns the alias for a name, or NULL. */
static const struct alias *find_alias(const char *given) {
  const struct alias *a = aliases;
  while (a->given != NULL && strcmp(a->given, given) != 0) a++;
  return a->given != NULL ? a : NULL;
}

static int is_param(const char *given) {
  const char *const *name = params;
  while (*name != NULL && strcmp(*name, given) != 0) name++;
  return *name != NULL;
}

/* Pushes what to write in place of an unknown option: "; …", or "". The alias counts if it is not NULL. */
static const char *push_hint(lua_State *L, const char *given, const struct alias *alias, const char *closest) {
  if (alias != NULL && alias->text != NULL) return lua_pushfstring(L, "; write %s", alias->text);
  if (alias != NULL) return lua_pushfstring(L, "; write '%s'", alias->option);
  if (strcmp(given, "reference") == 0)
    return lua_pushliteral(L, "; it belongs to the params: create_video{ input_reference = … }"), lua_tostring(L, -1);
  if (is_param(given)) return lua_pushfstring(L, "; it belongs to the params: create_video{ %s = … }", given);
  if (closest != NULL) return lua_pushfstring(L, "; did you mean '%s'?", closest);
  return lua_pushliteral(L, ""), lua_tostring(L, -1);
}

/* core.suggest(word, list): what to write in place of an unknown name, where the known ones are those of the list. */
static int suggest(lua_State *L) {
  const char *given = luaL_checkstring(L, 1), *closest;
  const struct alias *alias = find_alias(given);
  size_t edits;
  int i, known = 0;
  closest = find_nearest(L, given, &edits);
  for (i = 1; alias != NULL && !known && (lua_rawgeti(L, 2, i), lua_type(L, -1) == LUA_TSTRING); i++) {
    known = strcmp(lua_tostring(L, -1), alias->option) == 0;
    lua_pop(L, 1);
  }
  push_hint(L, given, known ? alias : NULL, closest);
  return 1;
}

/* --- complaints --------------------------------------------------------------- */

static int complain(const struct where *at, const char *text) {
  return at->who != NULL ? error_misuse(at->L, at->who, at->arg, text) : luaL_argerror(at->L, at->arg, text);
}

static int wrong(const struct where *at, const char *expected) {
  return complain(at, lua_pushfstring(at->L, "option '%s': expected %s, got %s", at->name, expected,
                                      luaL_typename(at->L, at->value)));
}

static int bad(const struct where *at, const char *what) {
  return complain(at, lua_pushfstring(at->L, "option '%s' %s", at->name, what));
}

/* For a value of the right type: `got` describes it without showing it. */
static int unexpected(const struct where *at, const char *expected, const char *got) {
  return complain(at, lua_pushfstring(at->L, "option '%s': expected %s, got %s", at->name, expected, got));
}

/* --- readers, one for each type ------------------------------------------------ */

/* The text of a number, which no option keeps secret where it expects one. */
static const char *shown_number(const struct where *at) {
  lua_pushvalue(at->L, at->value);
  return lua_tostring(at->L, -1);
}

static void read_seconds(const struct where *at, void *target) {
  static const char expected[] = "a positive number of seconds";
  lua_Number n = lua_tonumber(at->L, at->value);
  if (lua_type(at->L, at->value) != LUA_TNUMBER) wrong(at, expected);
  if (!(n > 0)) unexpected(at, expected, shown_number(at));
  *(double *)target = n < MAX_SECONDS ? n : MAX_SECONDS;
}

static lua_Number whole(const struct where *at, lua_Number least, const char *expected) {
  lua_Number n = lua_tonumber(at->L, at->value);
  if (lua_type(at->L, at->value) != LUA_TNUMBER) wrong(at, expected);
  if (!(n >= least && n <= 2147483647.0) || n != (lua_Number)(int)n) unexpected(at, expected, shown_number(at));
  return n;
}

static void read_retries(const struct where *at, void *target) {
  *(int *)target = (int)whole(at, 0, "a whole number, 0 or more");
}

static void read_connections(const struct where *at, void *target) {
  *(int *)target = (int)whole(at, 1, "a whole number, 1 or more");
}

static void read_bytes(const struct where *at, void *target) {
  *(size_t *)target = (size_t)whole(at, 1, "a whole number of bytes below 2^31, 1 or more");
}

static void read_flag(const struct where *at, void *target) {
  if (!lua_isboolean(at->L, at->value)) wrong(at, "a boolean");
  *(int *)target = lua_toboolean(at->L, at->value);
}

static int has_control(const char *text, size_t len) {
  size_t i;
  for (i = 0; i < len; i++)
    if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) return 1;
  return 0;
}

static void read_string(const struct where *at, void *target) {
  size_t len;
  const char *text;
  if (lua_type(at->L, at->value) != LUA_TSTRING) wrong(at, "a string");
  text = lua_tolstring(at->L, at->value, &len);
  if (len == 0) unexpected(at, "a string", "an empty one");
  if (has_control(text, len))
    unexpected(at, "a string without control characters",
               text[len - 1] == '\n' ? "one with a newline at its end" : "one with such a character");
  *(const char **)target = text;
}

/* "": no proxy, whatever the environment says. */
static void read_proxy(const struct where *at, void *target) {
  size_t len = 1;
  if (lua_type(at->L, at->value) == LUA_TSTRING) (void)lua_tolstring(at->L, at->value, &len);
  if (len == 0)
    *(const char **)target = "";
  else
    read_string(at, target);
}

static void read_auth(const struct where *at, void *target) {
  static const char *const words[] = {"bearer", "api-key", "x-api-key", "raw", "none"};
  const char *given;
  int i;
  if (lua_type(at->L, at->value) != LUA_TSTRING) wrong(at, "a string");
  given = lua_tostring(at->L, at->value);
  for (i = 0; i <= AUTH_NONE; i++)
    if (strcmp(given, words[i]) == 0) {
      *(enum auth *)target = (enum auth)i;
      return;
    }
  unexpected(at, "'bearer', 'api-key', 'x-api-key', 'raw' or 'none'", "another string");
}

/* The key itself, or a function: the caller looks for that (the target stays NULL). */
static void read_key(const struct where *at, void *target) {
  if (lua_isfunction(at->L, at->value)) return;
  if (lua_type(at->L, at->value) != LUA_TSTRING) wrong(at, "a string or a function");
  read_string(at, target);
}

static void not_here(const struct where *at, void *target) {
  (void)target;
  bad(at, "is read by sora.new, not by the core");
}

static void read_function(const struct where *at, void *target) {
  (void)target;
  if (!lua_isfunction(at->L, at->value)) wrong(at, "a function");
}

/* RFC 9110, 5.6.2. */
static int is_token(const char *text, size_t len) {
  size_t i;
  for (i = 0; i < len; i++)
    if ((unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f ||
        strchr("\"(),/:;<=>?@[\\]{}", text[i]) != NULL)
      return 0;
  return len > 0;
}

static void add(const struct where *at, struct buffer *b, const char *text, size_t len) {
  if (buffer_add(b, text, len) != 0) raise_memory(at->L);
}

/* The text of the string or number on top, which it replaces; a number's has a '.' in any locale. */
static const char *take_text(lua_State *L, size_t *len) {
  int is_number = lua_type(L, -1) == LUA_TNUMBER;
  const char *text = lua_tolstring(L, -1, len), *point = sys_decimal_point();
  if (!is_number || strcmp(point, ".") == 0) return text;
  luaL_gsub(L, text, point, ".");
  lua_replace(L, -2);
  return lua_tolstring(L, -1, len);
}

/* Checks the name below the value on top; `is_right` says whether the value has one of the types that `expected`
 * describes. */
static void check_pair(const struct where *at, const char *expected, int is_right) {
  lua_State *L = at->L;
  int name = lua_gettop(L) - 1, value = name + 1;
  if (lua_type(L, name) != LUA_TSTRING)
    unexpected(at, "names that are strings", lua_pushfstring(L, "a %s as a name", luaL_typename(L, name)));
  if (!is_right)
    unexpected(at, lua_pushfstring(L, "values that are %s", expected),
               lua_pushfstring(L, "a %s as the value of '%s'", luaL_typename(L, value), lua_tostring(L, name)));
}

/* { name = value }, as lines. */
static void read_headers(const struct where *at, void *target) {
  lua_State *L = at->L;
  struct buffer *lines = target;
  if (!lua_istable(L, at->value)) wrong(at, "a table of names and values");
  lua_pushnil(L);
  while (lua_next(L, at->value)) {
    size_t name_len, value_len;
    const char *name, *value;
    check_pair(at, "strings, as in { ['X-Name'] = 'value' }",
               lua_type(L, -1) == LUA_TSTRING || lua_type(L, -1) == LUA_TNUMBER);
    name = lua_tolstring(L, -2, &name_len);
    value = take_text(L, &value_len);
    if (!is_token(name, name_len))
      unexpected(at, "names of letters, digits and '-', as in 'X-Name'", "one that no header may have (RFC 9110, 5.1)");
    if (has_control(value, value_len))
      unexpected(at, "values without control characters", lua_pushfstring(L, "one in the value of '%s'", name));
    add(at, lines, name, name_len);
    add(at, lines, ": ", 2);
    add(at, lines, value, value_len);
    add(at, lines, "\r\n", 2);
    lua_pop(L, 1);
  }
}

static void add_encoded(const struct where *at, struct buffer *b, const char *text, size_t len) {
  if (buffer_add_encoded(b, text, len, "") != 0) raise_memory(at->L);
}

/* { name = value }, as a=b&c=d. */
static void read_query(const struct where *at, void *target) {
  lua_State *L = at->L;
  struct buffer *query = target;
  if (!lua_istable(L, at->value)) wrong(at, "a table of names and values");
  lua_pushnil(L);
  while (lua_next(L, at->value)) {
    int type = lua_type(L, -1);
    size_t name_len, value_len;
    const char *name, *value;
    check_pair(at, "strings, numbers or booleans, as in { page = 2 }",
               type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TBOOLEAN);
    if (query->len != 0) add(at, query, "&", 1);
    name = lua_tolstring(L, -2, &name_len);
    add_encoded(at, query, name, name_len);
    add(at, query, "=", 1);
    if (type == LUA_TBOOLEAN) {
      lua_pushstring(L, lua_toboolean(L, -1) ? "true" : "false");
      lua_replace(L, -2);
    }
    value = take_text(L, &value_len);
    add_encoded(at, query, value, value_len);
    lua_pop(L, 1);
  }
}

/* --- the tables ------------------------------------------------------------------ */

#define CLIENT(name, reader)                                                                                           \
  { #name, reader, offsetof(struct endpoint_options, name) }
#define LIMIT(name, reader)                                                                                            \
  { #name, reader, offsetof(struct endpoint_options, limits.name) }
static const struct option client_options[] = {
    CLIENT(base_url, read_string),
    CLIENT(api_key, read_key),
    CLIENT(auth, read_auth),
    CLIENT(headers, read_headers),
    LIMIT(timeout, read_seconds),
    LIMIT(connect_timeout, read_seconds),
    LIMIT(max_retries, read_retries),
    LIMIT(max_response_bytes, read_bytes),
    LIMIT(max_connections, read_connections),
    CLIENT(proxy, read_proxy),
    CLIENT(ca_file, read_string),
    CLIENT(ca_path, read_string),
    CLIENT(cert_file, read_string),
    CLIENT(key_file, read_string),
    CLIENT(unix_socket, read_string),
    CLIENT(verify, read_flag),
    CLIENT(user_agent, read_string),
    {"on_event", read_function, 0},
    /* The Lua layer keeps these to itself; they are here so that a misspelling finds them. */
    {"paths", not_here, 0},
    {"multipart", not_here, 0},
    {"journal", not_here, 0},
    {"journal_until", not_here, 0},
    {"dialect", not_here, 0},
    {NULL, NULL, 0},
};

#define CALL(name, reader, field)                                                                                      \
  { #name, reader, offsetof(struct call, field) }
static const struct option call_options[] = {
    CALL(timeout, read_seconds, request.timeout),
    CALL(max_retries, read_retries, request.max_retries),
    CALL(headers, read_headers, lines),
    CALL(query, read_query, request.query),
    CALL(response, read_flag, wants_response),
    CALL(idempotency_key, read_string, idempotency_key),
    {"on_done", read_function, 0},
    {NULL, NULL, 0},
};

static const struct option *find(const struct option *options, const char *name) {
  while (options->name != NULL && strcmp(options->name, name) != 0) options++;
  return options->name != NULL ? options : NULL;
}

static void fail_unknown(const struct where *at, const struct option *options) {
  const struct alias *alias = find_alias(at->name);
  const struct option *o;
  const char *best = NULL;
  size_t least = LONGEST_WORD;
  for (o = options; o->name != NULL; o++) keep_closer(at->name, o->name, &best, &least);
  if (alias != NULL && find(options, alias->option) == NULL) alias = NULL;
  complain(at, lua_pushfstring(at->L, "unknown option '%s'%s", at->name, push_hint(at->L, at->name, alias, best)));
}

/* Replaces the table at `index` by a copy: its own fields, whose names must be known, and the known ones that its
 * metatable gives. */
static void take_copy(struct where *at, int index, const struct option *options) {
  lua_State *L = at->L;
  int copy, has_more = lua_getmetatable(L, index);
  lua_settop(L, lua_gettop(L) - has_more);
  lua_newtable(L);
  copy = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, index)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      complain(at, lua_pushfstring(L, "options: expected names that are strings, as in { timeout = 60 }, got a %s",
                                   luaL_typename(L, -2)));
    at->name = lua_tostring(L, -2);
    if (find(options, at->name) == NULL) fail_unknown(at, options);
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, copy);
  }
  for (; has_more && options->name != NULL; options++) {
    lua_getfield(L, index, options->name);
    lua_setfield(L, copy, options->name);
  }
  lua_replace(L, index);
}

/* `is_ours`: a table of the Lua layer, which nobody else can change. */
static void read_options(lua_State *L, int index, int arg, const char *who, const struct option *options, void *target,
                         int is_ours) {
  struct where at = {L, 0, arg, who, NULL};
  luaL_checkstack(L, 10, NULL);
  if (!lua_istable(L, index))
    complain(&at, lua_pushfstring(L, "options: expected a table, got %s", luaL_typename(L, index)));
  if (!is_ours) take_copy(&at, index, options);
  lua_pushnil(L);
  while (lua_next(L, index)) {
    const struct option *o;
    at.value = lua_gettop(L);
    at.name = lua_tostring(L, -2);
    o = find(options, at.name);
    if (o == NULL) fail_unknown(&at, options);
    o->read(&at, (char *)target + o->offset);
    lua_settop(L, at.value - 1);
  }
}

/* Keeps the function at options[name], if it is one, in the client's table. */
static int keep_function(lua_State *L, int index, const char *name, int table, int field) {
  int found;
  lua_getfield(L, index, name);
  found = lua_isfunction(L, -1);
  if (found) {
    lua_rawseti(L, table, field);
  } else {
    lua_pop(L, 1);
  }
  return found;
}

void options_read_client(lua_State *L, int index, const char *who, struct client *client, int table) {
  struct endpoint_options *o = &client->options;
  struct where key = {L, 0, 1, who, "key_file"};
  o->limits.timeout = 60;
  o->limits.connect_timeout = 10;
  o->limits.max_retries = 2;
  o->limits.max_response_bytes = 8 * 1024 * 1024;
  o->limits.max_connections = 64;
  o->verify = 1;
  o->user_agent = "sora/" SORA_VERSION;
  read_options(L, index, 1, who, client_options, o, 0);
  if (o->key_file != NULL && o->cert_file == NULL) bad(&key, "needs its certificate: write cert_file = '…', too");
  client->asks_key = keep_function(L, index, "api_key", table, FIELD_KEY);
  client->listened = keep_function(L, index, "on_event", table, FIELD_EVENT);
}

void options_read_call(lua_State *L, int index, const char *who, struct call *call, int starting) {
  int arg = who == NULL ? index : 0;
  struct where at = {L, index, arg, who, "on_done"};
  call->idempotency_key = NULL;
  read_options(L, index, arg, who, call_options, call, call->polls);
  lua_getfield(L, index, "on_done");
  if (!starting && !lua_isnil(L, -1))
    bad(&at, "is for calls that are started: write client:start(name, …, { on_done = … })");
  lua_pop(L, 1);
  if (call->idempotency_key == NULL) return;
  if (buffer_puts(&call->lines, "Idempotency-Key: ") != 0 || buffer_puts(&call->lines, call->idempotency_key) != 0 ||
      buffer_puts(&call->lines, "\r\n") != 0)
    raise_memory(L);
  call->request.repeatable = 1;
}

/* core.client_option(name): the option of a client that a name stands for, also as other clients call it; or nil. */
static int client_option(lua_State *L) {
  const char *given = luaL_checkstring(L, 1);
  const struct alias *alias = find_alias(given);
  const struct option *o = find(client_options, alias != NULL ? alias->option : given);
  lua_pushstring(L, o != NULL ? o->name : NULL);
  return 1;
}

void options_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"nearest", nearest}, {"suggest", suggest}, {"client_option", client_option}, {NULL, NULL}};
  compat_setfuncs(L, functions);
}
