/* append_file.c - a file that several processes append lines to; see append_file.h. */
#include "base/append_file.h"

#include <errno.h>

#define MAX_TRIES 8 /* to write one line whole */

void append_file_init(struct append_file *f) {
  f->fd = -1;
}

void append_file_close(struct append_file *f) {
  if (f->fd >= 0) sys_file_drop(f->fd);
  f->fd = -1;
}

static int sync_file(int fd) {
  int code;
  do code = sys_file_sync(fd);
  while (code != 0 && errno == EINTR);
  return code;
}

int append_file_write(struct append_file *f, const char *path, const char *line, size_t size) {
  int tries;
  if (f->fd >= 0 && !sys_file_is(path, &f->id)) append_file_close(f); /* moved away, removed or replaced */
  if (f->fd < 0) f->fd = sys_file_open_append(path, &f->id);
  if (f->fd < 0) return -1;
  for (tries = 0; tries < MAX_TRIES; tries++) { /* a short write is followed by the whole line again */
    long written = sys_file_write_once(f->fd, line, size);
    if (written < 0) return -1;
    if ((size_t)written == size) return sync_file(f->fd);
  }
  errno = ENOSPC;
  return -1;
}
