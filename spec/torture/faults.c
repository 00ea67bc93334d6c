/* faults.c - makes the n-th allocation or system call fail.
 *
 * Owns the wrappers that the linker puts in front of the module's calls (ld --wrap); libcurl's own system calls are not
 * wrapped. Invariant: between fault_disarm and fault_arm nothing fails. */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "torture.h"

const struct mode fault_modes[FAULT_MODES] = {
    {"lua", SOURCE_LUA, 1, FLAVOUR_ERROR},
    {"lua-retry", SOURCE_LUA, 2, FLAVOUR_ERROR}, /* Lua 5.4 asks again after a collection */
    {"lua-all", SOURCE_LUA, 0, FLAVOUR_ERROR},
    {"malloc", SOURCE_MALLOC, 1, FLAVOUR_ERROR},
    {"malloc-all", SOURCE_MALLOC, 0, FLAVOUR_ERROR},
    {"curl", SOURCE_CURL, 1, FLAVOUR_ERROR},
    {"curl-all", SOURCE_CURL, 0, FLAVOUR_ERROR},
    {"system", SOURCE_SYSTEM, 1, FLAVOUR_ERROR},
    {"system-all", SOURCE_SYSTEM, 0, FLAVOUR_ERROR},
    {"interrupt", SOURCE_SYSTEM, 1, FLAVOUR_INTERRUPT},
    {"short", SOURCE_SYSTEM, 1, FLAVOUR_SHORT},
};

static const struct mode *armed;
static long counted[SOURCES][FLAVOURS], first;
static int happened;
static long live_module, live_curl;

void fault_arm(const struct mode *mode, long point) {
  memset(counted, 0, sizeof counted);
  first = point;
  happened = 0;
  armed = mode;
}

void fault_disarm(void) {
  armed = NULL;
}

long fault_points(const struct mode *mode) {
  return counted[mode->source][mode->flavour];
}

int fault_happened(void) {
  return happened;
}

/* Counts a point; whether it is one that fails. */
static int strikes(enum source source, enum flavour flavour) {
  long point;
  if (armed == NULL) return 0;
  point = ++counted[source][flavour];
  if (armed->source != source || armed->flavour != flavour || first == 0 || point < first) return 0;
  if (armed->span != 0 && point >= first + armed->span) return 0;
  happened = 1;
  return 1;
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);
char *__wrap_strdup(const char *text);

void *fault_lua_alloc(void *data, void *block, size_t old, size_t size) {
  (void)data;
  if (size == 0) {
    __real_free(block);
    return NULL;
  }
  if ((block == NULL || size > old) && strikes(SOURCE_LUA, FLAVOUR_ERROR)) return NULL;
  return __real_realloc(block, size);
}

static int no_memory(enum source source) {
  if (!strikes(source, FLAVOUR_ERROR)) return 0;
  errno = ENOMEM;
  return 1;
}

/* Adds a block that is no longer, or not yet, there. */
static void *count(long *live, void *block) {
  if (block != NULL) __atomic_add_fetch(live, 1, __ATOMIC_RELAXED); /* libcurl may resolve a name in a thread */
  return block;
}

void *__wrap_malloc(size_t size) {
  return no_memory(SOURCE_MALLOC) ? NULL : count(&live_module, __real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size) {
  return no_memory(SOURCE_MALLOC) ? NULL : count(&live_module, __real_calloc(n, size));
}

void *__wrap_realloc(void *block, size_t size) {
  if (no_memory(SOURCE_MALLOC)) return NULL;
  return block == NULL ? count(&live_module, __real_malloc(size)) : __real_realloc(block, size);
}

void __wrap_free(void *block) {
  if (block != NULL) __atomic_sub_fetch(&live_module, 1, __ATOMIC_RELAXED);
  __real_free(block);
}

char *__wrap_strdup(const char *text) {
  return no_memory(SOURCE_MALLOC) ? NULL : count(&live_module, __real_strdup(text));
}

static void *curl_malloc(size_t size) {
  return no_memory(SOURCE_CURL) ? NULL : count(&live_curl, __real_malloc(size));
}

static void *curl_calloc(size_t n, size_t size) {
  return no_memory(SOURCE_CURL) ? NULL : count(&live_curl, __real_calloc(n, size));
}

static void *curl_realloc(void *block, size_t size) {
  if (no_memory(SOURCE_CURL)) return NULL;
  return block == NULL ? count(&live_curl, __real_malloc(size)) : __real_realloc(block, size);
}

static void curl_release(void *block) {
  if (block != NULL) __atomic_sub_fetch(&live_curl, 1, __ATOMIC_RELAXED);
  __real_free(block);
}

static char *curl_copy(const char *text) {
  return no_memory(SOURCE_CURL) ? NULL : count(&live_curl, __real_strdup(text));
}

int fault_init_curl(void) {
  return curl_global_init_mem(CURL_GLOBAL_DEFAULT, curl_malloc, curl_release, curl_realloc, curl_copy, curl_calloc) ==
                 CURLE_OK
             ? 0
             : -1;
}

long fault_live_module(void) {
  return live_module;
}

long fault_live_curl(void) {
  return live_curl;
}

/* --- system calls ------------------------------------------------------------------------------------------------- */

/* Whether the call fails: with `code`, or with EINTR if it may be interrupted. */
static int fails(int code, int may_be_interrupted) {
  if (strikes(SOURCE_SYSTEM, FLAVOUR_ERROR)) {
    errno = code;
    return 1;
  }
  if (may_be_interrupted && strikes(SOURCE_SYSTEM, FLAVOUR_INTERRUPT)) {
    errno = EINTR;
    return 1;
  }
  return 0;
}

/* WRAP(type, name, parameters, arguments, code, may_be_interrupted) */
#define WRAP(type, name, parameters, arguments, code, interrupts)                                                      \
  type __real_##name parameters;                                                                                       \
  type __wrap_##name parameters;                                                                                       \
  type __wrap_##name parameters {                                                                                      \
    return fails(code, interrupts) ? -1 : __real_##name arguments;                                                     \
  }

/* Without a descriptor a call waits for one, at most for its timeout: one failure takes a second, all that follow must
 * not. */
static int socket_code(void) {
  return armed != NULL && armed->span == 1 ? EMFILE : ENOBUFS;
}

WRAP(int, socket, (int family, int type, int protocol), (family, type, protocol), socket_code(), 0)
WRAP(int, epoll_create1, (int flags), (flags), EMFILE, 0)
WRAP(int, epoll_wait, (int fd, struct epoll_event *events, int size, int ms), (fd, events, size, ms), EINTR, 0)
WRAP(int, timerfd_create, (int clock, int flags), (clock, flags), EMFILE, 0)
WRAP(int, timerfd_settime, (int fd, int flags, const struct itimerspec *when, struct itimerspec *old),
     (fd, flags, when, old), ENOMEM, 0)
WRAP(int, fsync, (int fd), (fd), EIO, 1)
WRAP(int, rename, (const char *from, const char *to), (from, to), EACCES, 0)
WRAP(int, ftruncate, (int fd, off_t size), (fd, size), EIO, 1)
WRAP(off_t, lseek, (int fd, off_t to, int whence), (fd, to, whence), EIO, 0)
WRAP(int, fstat, (int fd, struct stat *info), (fd, info), EIO, 0)
WRAP(int, stat, (const char *path, struct stat *info), (path, info), EACCES, 0)
WRAP(int, lstat, (const char *path, struct stat *info), (path, info), EACCES, 0)
WRAP(int, flock, (int fd, int operation), (fd, operation), ENOLCK, 1)
WRAP(int, dup, (int fd), (fd), EMFILE, 0)
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode), EPERM, 0)
WRAP(ssize_t, readlink, (const char *path, char *to, size_t size), (path, to, size), EACCES, 0)

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...) {
  va_list list;
  mode_t mode = 0;
  if (flags & O_CREAT) {
    va_start(list, flags);
    mode = va_arg(list, mode_t);
    va_end(list);
  }
  return fails(EMFILE, 1) ? -1 : __real_open(path, flags, mode);
}

/* A descriptor is closed even if close fails. */
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd) {
  int fail = fails(EIO, 1), code = errno, result = __real_close(fd);
  if (!fail) return result;
  errno = code;
  return -1;
}

/* Removing a socket never lacks memory. */
int __real_epoll_ctl(int fd, int what, int other, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int what, int other, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int what, int other, struct epoll_event *event) {
  if (what != EPOLL_CTL_DEL && fails(ENOMEM, 0)) return -1;
  return __real_epoll_ctl(fd, what, other, event);
}

static size_t shorten(size_t size) {
  return size > 1 && strikes(SOURCE_SYSTEM, FLAVOUR_SHORT) ? size / 2 : size;
}

ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size) {
  return fails(ENOSPC, 1) ? -1 : __real_write(fd, data, shorten(size));
}

ssize_t __real_read(int fd, void *data, size_t size);
ssize_t __wrap_read(int fd, void *data, size_t size);
ssize_t __wrap_read(int fd, void *data, size_t size) {
  return fails(EIO, 1) ? -1 : __real_read(fd, data, size);
}
