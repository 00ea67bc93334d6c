/* sink.c - a file that is either the old one or the whole new one; see sink.h. */
#define _GNU_SOURCE /* O_CLOEXEC, fsync */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void sink_init(struct sink *s) {
  memset(s, 0, sizeof *s);
  s->fd = -1;
}

static int fail(struct sink *s, const char *verb, int code) {
  s->verb = verb;
  s->code = code;
  return -1;
}

int sink_open(struct sink *s, const char *path, long long from) {
  size_t len = strlen(path);
  struct stat info;
  if (len == 0) return fail(s, "open", ENOENT);
  s->path = malloc(len + 1);
  if (s->path == NULL) return fail(s, "open", ENOMEM);
  memcpy(s->path, path, len + 1);
  if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) return fail(s, "replace", EISDIR);
  s->part = malloc(len + sizeof ".part");
  if (s->part == NULL) return fail(s, "open", ENOMEM);
  memcpy(s->part, path, len);
  memcpy(s->part + len, ".part", sizeof ".part");
  s->fd = open(s->part, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  s->ours = s->fd >= 0;
  if (!s->ours) return fail(s, "open", errno);
  if (ftruncate(s->fd, from) != 0 || lseek(s->fd, from, SEEK_SET) != from) {
    if (from != 0 || errno != EINVAL) return fail(s, "rewind", errno); /* EINVAL: a device, which has no length */
  }
  s->bytes = from;
  return 0;
}

int sink_write(struct sink *s, const char *data, size_t size) {
  while (size > 0) {
    ssize_t n = write(s->fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(s, "write", errno);
    data += n;
    size -= (size_t)n;
    s->bytes += n;
  }
  return 0;
}

int sink_rewind(struct sink *s) {
  s->bytes = 0;
  if (lseek(s->fd, 0, SEEK_SET) != 0 || ftruncate(s->fd, 0) != 0) return fail(s, "rewind", errno);
  return 0;
}

/* A rename is durable once its folder is on disk. A folder that can't be opened or synced (some
 * network file systems) does not undo a file that is whole and in place. */
static void sync_folder(const char *path) {
  const char *slash = strrchr(path, '/');
  size_t len = slash != NULL ? (size_t)(slash - path) + 1 : 0;
  char *folder = malloc(len + sizeof "."); /* "dir/." or "." */
  int fd;
  if (folder == NULL) return;
  memcpy(folder, path, len);
  memcpy(folder + len, ".", sizeof ".");
  fd = open(folder, O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    (void)fsync(fd);
    close(fd);
  }
  free(folder);
}

int sink_commit(struct sink *s) {
  int fd = s->fd;
  if (fsync(fd) != 0) return fail(s, "sync", errno);
  s->fd = -1;
  if (close(fd) != 0) return fail(s, "write", errno);
  if (rename(s->part, s->path) != 0) return fail(s, "rename", errno);
  s->ours = 0;
  sync_folder(s->path);
  return 0;
}

void sink_explain(const struct sink *s, char *text, size_t size) {
  snprintf(text, size, "cannot %s %s: %s", s->verb,
           s->part != NULL   ? s->part
           : s->path != NULL ? s->path
                             : "the file",
           strerror(s->code));
}

void sink_close(struct sink *s) {
  if (s->fd >= 0) close(s->fd);
  if (s->ours && !s->kept) (void)unlink(s->part);
  free(s->part);
  free(s->path);
  sink_init(s);
}
