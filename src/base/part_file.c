/* part_file.c - a file that is either the old one or the whole new one; see part_file.h. */
#include "base/part_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"

void part_file_init(struct part_file *f) {
  memset(f, 0, sizeof *f);
  f->fd = -1;
}

static int fail(struct part_file *f, const char *verb, int code) {
  f->verb = verb;
  f->code = code;
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

int part_file_open(struct part_file *f, const char *path, long long from) {
  if (*path == '\0') return fail(f, "open", ENOENT);
  f->path = join(path, "");
  if (f->path == NULL) return fail(f, "open", ENOMEM);
  if (sys_is_folder(path)) return fail(f, "replace", EISDIR);
  f->part = join(path, ".part");
  if (f->part == NULL) return fail(f, "open", ENOMEM);
  f->fd = sys_file_open(f->part);
  f->made = f->fd >= 0;
  if (!f->made) return fail(f, "open", errno);
  if (sys_file_cut(f->fd, from) != 0 && (from != 0 || errno != EINVAL)) /* EINVAL: a device, which has no length */
    return fail(f, "rewind", errno);
  f->bytes = from;
  return 0;
}

int part_file_write(struct part_file *f, const char *data, size_t size) {
  long long written;
  int result = sys_file_write(f->fd, data, size, &written);
  f->bytes += written;
  return result == 0 ? 0 : fail(f, "write", errno);
}

int part_file_rewind(struct part_file *f) {
  f->bytes = 0;
  return sys_file_cut(f->fd, 0) == 0 ? 0 : fail(f, "rewind", errno);
}

int part_file_commit(struct part_file *f) {
  int fd = f->fd;
  if (sys_file_sync(fd) != 0) return fail(f, "sync", errno);
  f->fd = -1;
  if (sys_file_close(fd) != 0) return fail(f, "write", errno);
  if (sys_file_replace(f->part, f->path) != 0) return fail(f, "rename", errno);
  f->made = 0;
  return 0;
}

void part_file_explain(const struct part_file *f, char *text, size_t size) {
  const char *name = f->part != NULL ? f->part : f->path != NULL ? f->path : "the file";
  snprintf(text, size, "cannot %s %s: %s", f->verb, name, strerror(f->code));
}

void part_file_close(struct part_file *f) {
  if (f->fd >= 0) (void)sys_file_close(f->fd);
  if (f->made && !f->kept) sys_file_remove(f->part);
  free(f->part);
  free(f->path);
  part_file_init(f);
}
