/* lsora.h - what the files of the Lua binding share.
 *
 * A client userdata owns a site and a loop; a call userdata owns one request
 * of it. Invariants: a userdata is in its closed state before it gets its
 * metatable and acquires only afterwards, so that __gc is right at any moment;
 * Lua is never entered from inside libcurl; everything that lives across a
 * call into Lua is owned by a userdata that is on the stack. */
#ifndef SORA_LSORA_H
#define SORA_LSORA_H

#include <lauxlib.h>
#include <lua.h>

#include "loop.h"
#include "request.h"
#include "sink.h"

#define CLIENT_TYPE "sora.client"
#define CALL_TYPE "sora.call"

#define SORA_VERSION "0.1.0"

struct levents;

struct lclient {
  struct site *site; /* NULL: closed */
  struct loop loop;
  unsigned generation; /* of the process that may use it */
  int asks_key;        /* api_key is a function, in the client's table */
  int listened;        /* on_event is there, in the client's table */
  struct buffer
      get_path;  /* where get_video finds a job: a path as a C string, perhaps with a query, with "{id}" in it */
  int listening; /* calls that listen and are not done */
  int spares;    /* how many there are in FIELD_SPARES */
  struct levents *events;   /* what on_event has yet to hear */
  struct settings settings; /* only while the client is made */
};

/* A call may outlive its client: it holds the site, and looks at the client only while the request is
 * running or paused, which closing the client ends. */
struct lcall {
  struct request request;
  struct lclient *client;
  struct sink sink;
  struct buffer lines; /* headers of this call */
  struct buffer scratch;
  const char *idempotency_key; /* only while options are read */
  int wants_response;
  int keeps_part; /* what came of a file stays on disk if the rest does not */
  int listens;    /* functions for its bytes and its progress are in the call's table */
  int polls;      /* it asks after a watched job: see lresult_push_poll */
  double seen;    /* the digest of the answer before, or -1 */
  /* The places of itself, its on_done and its handle in FIELD_STARTED, or LUA_NOREF. By number: a table whose keys are
   * addresses is laid out anew again and again while calls come and go, which was 20k instructions a call with 2,000.
   */
  int anchor, waiter, handle;
};

/* Fields of the client's table (its user value). */
#define FIELD_SPARES 1  /* a list of calls that wait to be used again */
#define FIELD_KEY 2     /* the function that gives the api_key */
#define FIELD_EVENT 3   /* on_event */
#define FIELD_STARTED 4 /* what keeps started calls alive until they are delivered: they, their on_done and handle */

/* lerror.c: error tables. */
void lerror_open(lua_State *L);
void lerror_push(lua_State *L, enum error_kind kind, const char *message);
void lerror_push_call(lua_State *L, struct lcall *call);
int lerror_return(lua_State *L, enum error_kind kind, const char *message); /* nil, err */
int lerror_make(lua_State *L);                                              /* core.error */

/* lblame.c: errors of misuse, with the place of the user's call. */
void lblame_open(lua_State *L);
int lblame_raise(lua_State *L, const char *who, int arg, const char *text); /* arg 0: not named */
int lblame_complain(lua_State *L);                                          /* core.complain(who, text) */
int lblame_own(lua_State *L);                                               /* core.own() */

/* ljson.c: bodies. ljson_decode pushes the table and returns 1, or pushes the reason and returns 0. */
void ljson_open(lua_State *L);
int ljson_decode(lua_State *L, const char *text, size_t len, struct buffer *scratch);
int ljson_decode_text(lua_State *L); /* core.decode_json(text) */

/* loptions.c: tables of options. Misuse names `who`, or else the argument of the function that runs. */
void loptions_client(lua_State *L, int index, const char *who, struct lclient *client, int table);
void loptions_call(lua_State *L, int index, const char *who, struct lcall *call, int starting);
int loptions_nearest(lua_State *L); /* core.nearest */

/* levents.c: what on_event hears; `table` is the stack index of the client's table. */
int levents_open(struct lclient *client);
void levents_drain(lua_State *L, struct lclient *client, int table);
void levents_free(struct lclient *client);

/* lclient.c: clients. */
void lclient_open(lua_State *L);
int lclient_new(lua_State *L);          /* core.new(options, who) -> client, or nil, err */
int lclient_close(lua_State *L);        /* core.close(client) */
int lclient_set_get_path(lua_State *L); /* core.set_get_path(client, template) */
int lclient_is_usable(lua_State *L);    /* core.usable(client) -> true, or nil, err */

/* The client at `index`: the userdata, or a table that holds it at [1]. */
struct lclient *lclient_check(lua_State *L, int index);

/* Whether it is open and in the process that made it; otherwise pushes nil, err. */
int lclient_usable(lua_State *L, const struct lclient *client);

/* Pushes the client's table; returns its stack index. */
int lclient_push_table(lua_State *L, int index);

/* Works until the call is done; or, where that is NULL, for so many seconds or until a started call is done. Lets
 * signals and hooks in between: what a hook raises ends the call, and goes on. */
void lclient_pump(lua_State *L, struct lclient *client, int table, struct lcall *until, double seconds);

/* lupdate.c: the client as something to pump. */
int lupdate_update(lua_State *L);  /* core.update(client [, seconds]) -> how many calls are running, error */
int lupdate_wake(lua_State *L);    /* core.wake(client, when) */
int lupdate_fileno(lua_State *L);  /* core.fileno(client) */
int lupdate_timeout(lua_State *L); /* core.timeout(client) */

/* lcall.c: calls. lcall_new pushes one that is ready to be filled in; lcall_run performs it and returns how many
 * results it pushed: the answer, or nil, err; and the response table where the call asks for it. */
void lcall_open(lua_State *L);
struct lcall *lcall_box(lua_State *L); /* pushes one that has no client: an owner of memory */
struct lcall *lcall_new(lua_State *L, struct lclient *client, int table, const char *method);
int lcall_run(lua_State *L, struct lclient *client, int table, struct lcall *call);

/* Keeps the call at `index`, whose results are out and which nobody else has, for another one. */
void lcall_spare(lua_State *L, struct lclient *client, int table, int index);

/* What has to be there before the call is sent. 1, or pushes nil, err and returns 0. */
int lcall_prepare(lua_State *L, struct lclient *client, int table, struct lcall *call);
int lcall_is_active(const struct lcall *call); /* whether the loop has it */
int lcall_is_forked(const struct lcall *call); /* and is another process's */

int lcall_check(lua_State *L); /* core.check_call(options, who) */

/* Keeps the call at `index` in the client's table of started calls; 0: no longer. */
void lcall_anchor(lua_State *L, int table, struct lcall *call, int index);

/* lhandle.c: started calls. lhandle_start starts the call on top of the stack, with on_done from the options at `opts`
 * (0: none), and pushes its handle; or nil, err. */
void lhandle_open(lua_State *L);
int lhandle_start(lua_State *L, struct lclient *client, int table, struct lcall *call, int opts);

/* Pushes on_done or nil, the call and its handle, and lets go of them: the call is being delivered. */
void lhandle_take(lua_State *L, int table, struct lcall *call);

/* Pushes the results, now or again; returns how many. `index` is the handle's. */
int lhandle_results(lua_State *L, int index);

/* Parts the handle at `index` from its call without results: it is done, and has none. */
void lhandle_drop(lua_State *L, int index);

/* lfile.c: files for and from calls. lfile_read takes the fields of a description that concern files, for the call
 * below it on top of the stack: 1, or pushes nil, err and returns 0. */
int lfile_read(lua_State *L, int spec, struct lcall *call);
void lfile_news(lua_State *L, struct lclient *client, int table); /* tells those who listen what came */
void lfile_flush(lua_State *L, struct lcall *call, int index);    /* the rest, once the call at `index` is done */
int lfile_unbase64(lua_State *L);                                 /* core.unbase64(text) -> bytes, or nil */
int lfile_save(lua_State *L);                                     /* core.save(path, bytes) -> true, or nil, err */
int lfile_append(lua_State *L);                                   /* core.append(path, line) -> true, or nil, err */

/* lhmac.c: for webhooks. */
int lhmac_sha256(lua_State *L); /* core.hmac_sha256(key, data) */
int lhmac_equal(lua_State *L);  /* core.equal(a, b) */

/* lresult.c: pushes the results of a call that is done; returns how many. Those of a poll are the answer, or true where
 * it is the one before, byte for byte, or nil; the error or nil; how many seconds the server asks to wait, or nil; the
 * digest of the answer; and the response table where the call asks for it. */
int lresult_push(lua_State *L, struct lcall *call);
int lresult_push_poll(lua_State *L, struct lcall *call);

/* lvideo.c: the calls that Lua can make. */
int lvideo_get(lua_State *L);       /* core.get_video(client, id [, opts]) */
int lvideo_get_from(lua_State *L);  /* core.get_video_from(default) -> sora.get_video */
int lvideo_call(lua_State *L);      /* core.call(client, spec [, opts]) */
int lvideo_start_get(lua_State *L); /* core.start_get_video(client, id [, opts]) -> handle */
int lvideo_start_poll(lua_State *L);
int lvideo_start(lua_State *L);  /* core.start(client, spec [, opts]) -> handle */
int lvideo_escape(lua_State *L); /* core.escape(id) */

#endif
