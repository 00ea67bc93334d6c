/* levents.c - what on_event hears: requests, retries and responses.
 *
 * The loop tells of them while libcurl may be in the middle of something, so
 * they are written down there and handed to Lua between two steps. Invariant:
 * an event holds no header, no query and no key; on_event can neither break a
 * call nor be called from inside itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "lsora.h"
#include "secrets.h"

struct event {
  struct event *next;
  enum loop_event what;
  const char *method;
  enum error_kind kind;
  int attempt, status;
  double seconds, delay;
  char url[]; /* without the query */
};

struct levents {
  struct event *first, **last;
  int draining;
};

/* The site's address and the request's path; secrets in them (a key used as an id) are overwritten. */
static void write_url(char *url, const struct request *r, size_t address_len) {
  memcpy(url, site_address(r->site), address_len);
  memcpy(url + address_len, r->path.data, r->path.len);
  url[address_len + r->path.len] = '\0';
  secrets_redact(site_secrets(r->site), url, address_len + r->path.len);
  secrets_redact(&r->secrets, url, address_len + r->path.len);
}

/* An event that memory has no room for is not told. */
static void observe(void *context, const struct request *r, enum loop_event what, double delay) {
  struct levents *events = context;
  size_t address_len = strlen(site_address(r->site));
  struct event *e = malloc(sizeof *e + address_len + r->path.len + 1);
  if (e == NULL) return;
  memset(e, 0, sizeof *e);
  e->what = what;
  e->method = r->method;
  e->kind = r->kind;
  e->attempt = r->attempts;
  e->status = r->status;
  e->seconds = request_clock() - r->started;
  e->delay = delay;
  write_url(e->url, r, address_len);
  *events->last = e;
  events->last = &e->next;
}

int levents_open(struct lclient *client) {
  struct levents *events = calloc(1, sizeof *events);
  if (events == NULL) return -1;
  events->last = &events->first;
  client->events = events;
  client->loop.observer = observe;
  client->loop.context = events;
  return 0;
}

static struct event *take(struct levents *events) {
  struct event *e = events->first;
  if (e == NULL) return NULL;
  events->first = e->next;
  if (events->first == NULL) events->last = &events->first;
  return e;
}

static void set_number(lua_State *L, const char *field, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, field);
}

static void set_integer(lua_State *L, const char *field, int value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, field);
}

static void set_string(lua_State *L, const char *field, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, field);
}

/* Called with an event as light userdata: pushes its table. Runs protected, so it may throw. */
static int push_event(lua_State *L) {
  static const char *const names[] = {"request", "retry", "response"};
  const struct event *e = lua_touserdata(L, 1);
  lua_newtable(L);
  set_string(L, "event", names[e->what]);
  set_string(L, "method", e->method);
  set_string(L, "url", e->url);
  set_integer(L, "attempt", e->attempt);
  if (e->what == LOOP_REQUEST) return 1;
  set_number(L, "seconds", e->seconds);
  if (e->status != 0) set_integer(L, "status", e->status);
  if (e->kind != ERROR_NONE) set_string(L, "error", error_kind_name(e->kind));
  if (e->what == LOOP_RETRY) set_number(L, "delay", e->delay);
  return 1;
}

void levents_drain(lua_State *L, struct lclient *client, int table) {
  struct levents *events = client->events;
  struct event *e;
  if (events == NULL || events->draining) return;
  events->draining = 1;
  luaL_checkstack(L, 4, NULL);
  /* on_event may close the client: `events` is looked up again each time */
  while (client->events == events && (e = take(events)) != NULL) {
    int failed;
    lua_rawgeti(L, table, FIELD_EVENT);
    lua_pushcfunction(L, push_event);
    lua_pushlightuserdata(L, e);
    failed = lua_pcall(L, 1, 1, 0) != 0;
    free(e);
    if (failed) {
      lua_pop(L, 2);
    } else if (lua_pcall(L, 1, 0, 0) != 0) {
      const char *text = lua_tostring(L, -1);
      fprintf(stderr, "sora: on_event raised an error: %s\n", text != NULL ? text : luaL_typename(L, -1));
      lua_pop(L, 1);
    }
  }
  if (client->events == events) events->draining = 0;
}

void levents_free(struct lclient *client) {
  struct event *e;
  if (client->events == NULL) return;
  client->loop.observer = NULL;
  while ((e = take(client->events)) != NULL) free(e);
  free(client->events);
  client->events = NULL;
}
