/* append_file.h - a file that several processes append lines to.
 *
 * Owns its descriptor, which stays open between two lines. Invariant: a line that is reported as written is whole and
 * on disk, in the file that has the path now; no line of another process is ever cut or overwritten. */
#ifndef SORA_APPEND_FILE_H
#define SORA_APPEND_FILE_H

#include <stddef.h>

#include "base/sys.h"

#pragma GCC visibility push(hidden)

struct append_file {
  int fd; /* -1: closed */
  struct sys_file_id id;
};

void append_file_init(struct append_file *f);

/* Appends a line; 0, or -1 with errno set. The line must begin with a newline as well as end with one: that ends a line
 * that was cut off, and empty lines mean nothing. */
int append_file_write(struct append_file *f, const char *path, const char *line, size_t size);

/* May be called again; the next line opens the file anew. */
void append_file_close(struct append_file *f);

#pragma GCC visibility pop

#endif
