/* events.c - what on_event receives: requests, retries and responses.
 *
 * The loop reports them while libcurl may be in the middle of something, so they are queued there and handed to Lua
 * between two steps. Invariant: an event holds no header, no query and no key; on_event can neither break a call nor be
 * called from inside itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "http/redact.h"
#include "lua/binding.h"

struct event {
  struct event *next;
  enum loop_event what;
  const char *method;
  enum failure_kind kind;
  int attempt, status;
  double seconds, delay;
  char url[]; /* without the query */
};

struct events {
  struct event *first, **last;
  int delivering;
};

/* Writes the address and path of a request; secrets in them (a key used as an id) are overwritten. */
static void write_url(char *url, const struct request *r, size_t address_len) {
  size_t len = address_len + r->path.len;
  memcpy(url, r->endpoint->address, address_len);
  memcpy(url + address_len, r->path.data, r->path.len);
  url[len] = '\0';
  redact_text(&r->endpoint->secrets, url, len);
  redact_text(&r->secrets, url, len);
}

/* Queues an event; one that memory has no space for is dropped. */
static void observe(void *context, const struct request *r, enum loop_event what, double delay) {
  struct events *events = context;
  size_t address_len = strlen(r->endpoint->address);
  struct event *e = malloc(sizeof *e + address_len + r->path.len + 1);
  if (e == NULL) return;
  memset(e, 0, sizeof *e);
  e->what = what;
  e->method = r->method;
  e->kind = r->outcome.kind;
  e->attempt = r->attempts;
  e->status = r->outcome.status;
  e->seconds = sys_clock() - r->started;
  e->delay = delay;
  write_url(e->url, r, address_len);
  *events->last = e;
  events->last = &e->next;
}

static struct event *take(struct events *events) {
  struct event *e = events->first;
  if (e == NULL) return NULL;
  events->first = e->next;
  if (events->first == NULL) events->last = &events->first;
  return e;
}

/* Pushes the table of an event, which is light userdata. Runs protected, so it may raise. */
static int push_event(lua_State *L) {
  static const char *const names[] = {"request", "retry", "response"};
  const struct event *e = lua_touserdata(L, 1);
  lua_newtable(L);
  set_string(L, "event", names[e->what]);
  set_string(L, "method", e->method);
  set_string(L, "url", e->url);
  set_count(L, "attempt", e->attempt);
  if (e->what == LOOP_REQUEST) return 1;
  set_number(L, "seconds", e->seconds);
  if (e->status != 0) set_count(L, "status", e->status);
  if (e->kind != KIND_NONE) set_string(L, "error", failure_kind_name(e->kind));
  if (e->what == LOOP_RETRY) set_number(L, "delay", e->delay);
  return 1;
}

int events_start(lua_State *L, struct client *client, int table) {
  struct events *events;
  lua_pushcfunction(L, push_event);
  lua_rawseti(L, table, FIELD_MAKER);
  events = calloc(1, sizeof *events);
  if (events == NULL) return -1;
  events->last = &events->first;
  client->events = events;
  client->loop.observer = observe;
  client->loop.context = events;
  return 0;
}

/* Calls on_event with an event and frees that. Never raises, so that the next one is delivered, too. */
static void deliver(lua_State *L, int table, struct event *e) {
  int failed;
  lua_rawgeti(L, table, FIELD_EVENT);
  lua_rawgeti(L, table, FIELD_MAKER);
  lua_pushlightuserdata(L, e);
  failed = lua_pcall(L, 1, 1, 0) != 0;
  free(e);
  if (failed) { /* memory is out */
    lua_pop(L, 2);
  } else if (lua_pcall(L, 1, 0, 0) != 0) {
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -1);
    fprintf(stderr, "sora: on_event raised an error: %s\n", text);
    lua_pop(L, 1);
  }
}

void events_deliver(lua_State *L, struct client *client, int table) {
  struct events *events = client->events;
  struct event *e;
  if (events == NULL || events->delivering || events->first == NULL) return;
  luaL_checkstack(L, 4, NULL);
  events->delivering = 1;
  /* on_event may close the client, which frees `events` */
  while (client->events == events && (e = take(events)) != NULL) deliver(L, table, e);
  if (client->events == events) events->delivering = 0;
}

void events_free(struct client *client) {
  struct event *e;
  if (client->events == NULL) return;
  client->loop.observer = NULL;
  while ((e = take(client->events)) != NULL) free(e);
  free(client->events);
  client->events = NULL;
}
