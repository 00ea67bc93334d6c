/* binding.h - what the files of the Lua binding share.
 *
 * A client userdata owns an endpoint and a loop; a call userdata owns one request. Invariants: a userdata is in its
 * closed state before it gets its metatable and acquires only afterwards, so that __gc is right at any moment; but Lua
 * may skip a __gc when memory runs out, so what the loop points to never depends on one; Lua is never entered from
 * inside libcurl; everything that lives across a call into Lua is owned by a userdata on the stack; after a call into
 * Lua the client is looked at again, because it may be closed. */
#ifndef SORA_BINDING_H
#define SORA_BINDING_H

#include "http/request.h"
#include "loop/loop.h"
#include "lua/compat.h"
#include "lua/fields.h"

#pragma GCC visibility push(hidden)

#define SORA_VERSION "0.2.0"

struct events;

struct client {
  struct endpoint *endpoint; /* NULL: closed */
  struct loop loop;
  unsigned generation;        /* of the process that may use it */
  int asks_key;               /* api_key is a function, in the client's table */
  int listened;               /* on_event is there, in the client's table */
  int spares;                 /* calls in FIELD_SPARES */
  struct buffer get_path;     /* a C string: where get_video finds a job, perhaps with a query, with "{id}" in it */
  struct events *events;      /* that on_event has yet to receive */
  struct buffer secrets;      /* the endpoint's, also after the client is closed */
  struct buffer call_secrets; /* those of its calls, for errors that Lua makes */
  struct endpoint_options options; /* only while the client is made */
};

/* A call may outlive its client: it holds the endpoint, and looks at the client only while the request is in the loop,
 * which closing the client ends. */
struct call {
  struct request request;
  struct client *client;
  struct buffer lines; /* headers of this call */
  struct buffer scratch;
  const char *idempotency_key; /* only while options are read */
  int wants_response;
  int creates; /* the answer has to be a job */
  int lists;   /* the answer may be an array */
  int polls;   /* it asks about a watched job: see result_push_poll */
  double seen; /* the digest of the answer before, or -1 */
  /* Its reference in FIELD_STARTED, or LUA_NOREF. A number, because a table whose keys are addresses is rehashed again
   * and again while calls come and go. */
  int anchor;
};

/* Fields of the table of a call that receives a file: its on_done, and the part file. */
#define STREAM_LISTENER 1
#define STREAM_FILE 2

/* Fields of the client's table (its user value). */
#define FIELD_SPARES 1      /* a list of calls for reuse */
#define FIELD_KEY 2         /* the function that gives the api_key */
#define FIELD_EVENT 3       /* on_event */
#define FIELD_STARTED 4     /* keeps started calls alive until they are delivered: see handle.c */
#define FIELD_MAKER 5       /* events.c: the C function that makes an event's table */
#define FIELD_SPARE_ERROR 6 /* update.c: the error for an answer that memory has no space for */

static inline int raise_memory(lua_State *L) {
  return luaL_error(L, "out of memory");
}

/* Each X_open registers the functions of its file in the module's table, which is on top of the stack. */

/* From box.c: pushes a userdata that frees what is in it when it is collected. */
struct box {
  struct buffer buffer;
};
struct box *box_push(lua_State *L);
void box_open(lua_State *L);

/* From util.c: functions that need no client. */
void util_open(lua_State *L);

/* From append.c: files that lines are appended to. */
void append_open(lua_State *L);

/* From part.c: the part file at `index`, or NULL for any other value. */
struct part_file *part_at(lua_State *L, int index);
void part_open(lua_State *L);

/* From error.c: error tables that are returned, and misuse, which is raised with the place of the user's call. */
void error_push(lua_State *L, enum failure_kind kind, const char *message);
void error_push_call(lua_State *L, struct call *call);
void error_push_request_id(lua_State *L, const struct call *call); /* the id in the answer's headers, or nil */
int error_return(lua_State *L, enum failure_kind kind, const char *message); /* nil, err */
int error_misuse(lua_State *L, const char *who, int arg, const char *text);  /* arg 0: not named */
int error_blame(lua_State *L, const char *text);                             /* raises it at the user's line */
void error_set_type(lua_State *L);                                           /* makes the table on top an error */

/* What a text is cleaned of: the secrets that last, and those of a call or of some. Pushes the text without them. */
struct secrets {
  const struct buffer *lasting, *passing;
};
void error_push_clean(lua_State *L, const struct secrets *s, const char *text, size_t len);
void error_open(lua_State *L);

/* From clean.c: errors that Lua makes. */
void clean_open(lua_State *L);

/* From json.c. json_decode pushes the table and returns 1, or pushes the reason and returns 0. */
int json_decode(lua_State *L, const char *text, size_t len, struct buffer *scratch);

/* The Lua functions that read tables, handed over once by core.use_readers: calls one with the value on top, which its
 * result replaces; nil before they are handed over. */
enum json_reader {
  JSON_FAILURE,
  JSON_TEXT,
  JSON_REFUSAL,
  JSON_ID,
  JSON_FLAW,
  JSON_PAGE,
  JSON_REASON,
  JSON_READERS /* how many */
};
void json_read(lua_State *L, enum json_reader reader);
void json_open(lua_State *L);

/* From options.c: option tables, checked and read. Misuse names `who`, or else the argument of the running function. */
void options_read_client(lua_State *L, int index, const char *who, struct client *client, int table);
void options_read_call(lua_State *L, int index, const char *who, struct call *call, int starting);
void options_open(lua_State *L);

/* From events.c: what on_event receives; `table` is the stack index of the client's table. */
int events_start(lua_State *L, struct client *client, int table);
void events_deliver(lua_State *L, struct client *client, int table);
void events_free(struct client *client);

/* From client.c: the client at `index`, the userdata or a table that holds it at [1]. client_find gives NULL for any
 * other value, where client_check raises. */
struct client *client_find(lua_State *L, int index);
struct client *client_check(lua_State *L, int index);

/* Whether it is open and in the process that made it; otherwise pushes nil, err. */
int client_is_usable(lua_State *L, const struct client *client);

/* Pushes the client's table; returns its stack index. */
int client_push_table(lua_State *L, int index);
void client_open(lua_State *L);

/* From stream.c: bytes for and from calls. stream_read takes the fields of a description that concern files, for the
 * call on top of the stack: 1, or pushes nil, err and returns 0. */
int stream_read(lua_State *L, int spec, struct call *call);
void stream_open(lua_State *L);

/* From wait.c. Works until the call is done; or, where that is NULL, for `seconds` or until a started call is done.
 * Runs signal handlers and hooks in between. 0, or 1 with what a hook raised on the stack. */
int wait_until(lua_State *L, struct client *client, int table, const struct call *call, double seconds);
void wait_open(lua_State *L);

/* From result.c: pushes the results of a call that is done; returns how many. Those of a poll are: the answer, or true
 * where it is byte for byte the one before, or nil; the error or nil; how many seconds the server asks to wait, or nil;
 * the digest of the answer; the response table, if it was asked for, or nil; and the request's id, if the answer is new
 * and has one. */
int result_push(lua_State *L, struct call *call);
int result_push_poll(lua_State *L, struct call *call);

/* From call.c. call_new pushes a call that is ready to be filled in, or nil, err and returns NULL; call_run performs it
 * and returns how many results it pushed: the answer, or nil, err; and the response table where the call asks for it.
 */
struct call *call_new(lua_State *L, struct client *client, int table, const char *method);
int call_run(lua_State *L, struct client *client, int table, struct call *call);

/* Prepares what has to be there before the call is sent. 1, or pushes nil, err and returns 0. */
int call_prepare(lua_State *L, struct client *client, int table, struct call *call);

/* The call of the userdata at `index`. */
struct call *call_at(lua_State *L, int index);

/* Keeps the call at `index`, which nobody refers to any more, for another one. */
void call_recycle(lua_State *L, struct client *client, int table, int index);

int call_is_read(const struct call *call);   /* whether its owner reads what comes, and takes its results */
int call_is_active(const struct call *call); /* whether the loop has it */
int call_is_forked(const struct call *call); /* and belongs to another process */
void call_open(lua_State *L);

/* From handle.c: started calls. handle_start starts the call on top of the stack, with on_done from the options at
 * `opts` (0: none), and pushes its handle; or nil, err. */
int handle_start(lua_State *L, struct client *client, int table, struct call *call, int opts);

/* Calls the on_done of a call that receives a file: there are bytes to read, or it is done, and no longer kept alive.
 * 0, or 1 with what it raised on the stack. */
int handle_notify(lua_State *L, int table, struct call *call);

/* The call of the handle at `index`; NULL: its results have been taken. */
struct call *handle_call(lua_State *L, int index);

/* Pushes the handle, its on_done or false, and the call, and lets go of them: the call is being delivered. Never
 * raises. */
void handle_take(lua_State *L, int table, struct call *call);

/* Pushes the results of the handle at `index`, as often as it is called; returns how many. */
int handle_push_results(lua_State *L, int index);

/* Parts the handle at `index` from its call: it is done, and has no results. */
void handle_detach(lua_State *L, int index);
void handle_open(lua_State *L);

/* From update.c and api.c: the functions that Lua drives a client and makes calls with. */
void update_open(lua_State *L);
void api_open(lua_State *L);

#pragma GCC visibility pop

#endif
