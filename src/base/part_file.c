/* part_file.c - a file that is either the old one or the whole new one; see part_file.h. */
#include "base/part_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"

#define FLUSH_EVERY (8 * 1024 * 1024) /* bytes, so that little is left for the fsync at the end */

void part_file_init(struct part_file *f) {
  memset(f, 0, sizeof *f);
  f->fd = -1;
}

static int fail(struct part_file *f, const char *verb, int code) {
  f->verb = verb;
  f->code = code;
  f->why = NULL;
  return -1;
}

static int fail_with(struct part_file *f, const char *verb, int code, const char *why) {
  (void)fail(f, verb, code);
  f->why = why;
  return -1;
}

/* `text` with `suffix` after it, or NULL when memory is out. */
static char *join(const char *text, const char *suffix) {
  size_t len = strlen(text), more = strlen(suffix) + 1;
  char *both = malloc(len + more);
  if (both == NULL) return NULL;
  memcpy(both, text, len);
  memcpy(both + len, suffix, more);
  return both;
}

static int open_part(struct part_file *f) {
  f->fd = sys_file_own(f->part);
  if (f->fd < 0 && errno == EWOULDBLOCK) return fail_with(f, "open", EWOULDBLOCK, "another download is writing it");
  if (f->fd < 0 && errno == ELOOP) return fail_with(f, "open", ELOOP, "it is a symbolic link");
  if (f->fd < 0 && (errno == EEXIST || errno == ENXIO)) return fail_with(f, "open", EEXIST, "it is not a regular file");
  if (f->fd < 0) return fail(f, "open", errno);
  f->generation = sys_generation();
  f->bytes = sys_file_size(f->fd);
  if (f->bytes < 0) return fail(f, "open", errno);
  f->made = f->bytes == 0;
  return 0;
}

int part_file_open(struct part_file *f, const char *path) {
  enum sys_kind kind = sys_file_kind(path, &f->mode);
  if (*path == '\0') return fail(f, "open", ENOENT);
  f->path = sys_file_resolve(path);
  if (f->path == NULL) {
    int code = errno;
    f->path = join(path, "");
    return fail(f, "open", code);
  }
  if (kind == SYS_FOLDER) return fail(f, "replace", EISDIR);
  if (kind == SYS_OTHER) return fail_with(f, "replace", EEXIST, "it is not a regular file");
  f->has_mode = kind == SYS_REGULAR;
  f->part = join(f->path, ".part");
  f->note = join(f->path, ".part.json");
  if (f->part == NULL || f->note == NULL) return fail(f, "open", ENOMEM);
  return open_part(f);
}

int part_file_cut(struct part_file *f, long long from) {
  if (from == 0) sys_file_remove(f->note); /* first, so that it never describes other bytes */
  if (sys_file_cut(f->fd, from) != 0) return fail(f, "rewind", errno);
  /* Nobody may read a new file who could not read the old one; we may write to it. */
  if (f->has_mode) (void)sys_file_set_mode(f->fd, f->mode | 0200); /* some file systems have none */
  f->made = 1;
  f->bytes = f->flushed = from;
  return 0;
}

int part_file_write(struct part_file *f, const char *data, size_t size) {
  long long written;
  int result;
  if (f->fd < 0) return fail(f, "write", EBADF);
  if ((!f->made || f->bytes == 0) && part_file_cut(f, 0) != 0) return -1;
  result = sys_file_write(f->fd, data, size, &written);
  f->bytes += written;
  if (result != 0) return fail(f, "write", errno);
  if (!f->quick && f->bytes - f->flushed >= FLUSH_EVERY) {
    sys_file_start_sync(f->fd, f->flushed, f->bytes - f->flushed);
    f->flushed = f->bytes;
  }
  return 0;
}

int part_file_commit(struct part_file *f) {
  unsigned mode;
  enum sys_kind kind = sys_file_kind(f->path, &mode);
  if (kind == SYS_FOLDER) return fail(f, "rename", EISDIR);
  if (kind == SYS_OTHER) return fail_with(f, "replace", EEXIST, "it is not a regular file");
  if (kind == SYS_REGULAR) (void)sys_file_set_mode(f->fd, mode);
  if (!f->quick && sys_file_sync(f->fd) != 0) return fail(f, "sync", errno);
  if (sys_file_flush(f->fd) != 0) return fail(f, "write", errno);
  if (sys_file_replace(f->part, f->path, !f->quick) != 0) return fail(f, "rename", errno);
  sys_file_remove(f->note);
  sys_file_release(f->fd); /* the lock is held until the name is another's */
  f->fd = -1;
  f->made = 0;
  return 0;
}

int part_file_write_note(struct part_file *f, const char *text, size_t size) {
  long long written;
  int result, code, fd = sys_file_own(f->note);
  if (fd < 0) return fail(f, "write", errno);
  result = sys_file_cut(fd, 0) != 0 ? -1 : sys_file_write(fd, text, size, &written);
  code = errno;
  sys_file_release(fd);
  return result == 0 ? 0 : fail(f, "write", code);
}

size_t part_file_read_note(const struct part_file *f, char *text, size_t size) {
  long len = sys_file_read(f->note, text, size);
  return len > 0 ? (size_t)len : 0;
}

void part_file_explain(const struct part_file *f, char *text, size_t size) {
  const char *name = f->part != NULL ? f->part : f->path != NULL ? f->path : "the file";
  snprintf(text, size, "cannot %s %s: %s", f->verb, name, f->why != NULL ? f->why : strerror(f->code));
}

void part_file_close(struct part_file *f) {
  if (f->fd >= 0 && f->generation != sys_generation()) {
    sys_file_drop(f->fd);
  } else if (f->fd >= 0) {
    if (f->made) {
      sys_file_remove(f->note);
      sys_file_remove(f->part);
    }
    sys_file_release(f->fd);
  }
  free(f->note);
  free(f->part);
  free(f->path);
  part_file_init(f);
}
