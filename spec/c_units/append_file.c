/* Specs of src/base/append_file.c, in a folder of its own that is removed at the end. `write` and `fsync` below stand
 * in for the system's, to fail as that may. */
#define _GNU_SOURCE /* mkdtemp, syscall */
#include "base/append_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "check.h"

static char folder[] = "/tmp/sora-append-XXXXXX";
static char path[64];

/* What the next calls of write do: > 0: writes that many bytes; < 0: fails with that errno; 0: what it should. */
static long script[16];
static size_t played, interrupted_syncs;

ssize_t write(int fd, const void *data, size_t size) {
  long next = played < sizeof script / sizeof script[0] ? script[played] : 0;
  played++;
  if (next < 0) {
    errno = (int)-next;
    return -1;
  }
  return syscall(SYS_write, fd, data, next > 0 && (size_t)next < size ? (size_t)next : size);
}

int fsync(int fd) {
  if (interrupted_syncs > 0) {
    interrupted_syncs--;
    errno = EINTR;
    return -1;
  }
  return (int)syscall(SYS_fsync, fd);
}

static void play(long a, long b, long c) {
  memset(script, 0, sizeof script);
  script[0] = a;
  script[1] = b;
  script[2] = c;
  played = 0;
}

static void name(const char *file) {
  snprintf(path, sizeof path, "%s/%s", folder, file);
  play(0, 0, 0);
}

static int holds(const char *file, const char *text) {
  char got[256];
  FILE *f = fopen(file, "rb");
  size_t len;
  if (f == NULL) return 0;
  len = fread(got, 1, sizeof got, f);
  fclose(f);
  return len == strlen(text) && memcmp(got, text, len) == 0;
}

static int append(struct append_file *f, const char *line) {
  return append_file_write(f, path, line, strlen(line));
}

static void lines(void) {
  struct append_file f, other;
  struct stat info;
  name("lines");
  append_file_init(&f);
  append_file_init(&other);
  CHECK(append(&f, "\none\n") == 0 && append(&other, "\ntwo\n") == 0 && append(&f, "\nthree\n") == 0);
  CHECK(holds(path, "\none\n\ntwo\n\nthree\n"));
  CHECK(stat(path, &info) == 0 && (info.st_mode & 0777) == 0600);
  append_file_close(&f);
  append_file_close(&f);
  CHECK(f.fd == -1 && append(&f, "\nfour\n") == 0 && holds(path, "\none\n\ntwo\n\nthree\n\nfour\n"));
  append_file_close(&f);
  append_file_close(&other);
}

static void one_descriptor(void) {
  struct append_file f;
  int fd;
  name("one");
  append_file_init(&f);
  CHECK(append(&f, "\na\n") == 0);
  fd = f.fd;
  CHECK(append(&f, "\nb\n") == 0 && f.fd == fd && fcntl(fd, F_GETFD) == FD_CLOEXEC);
  append_file_close(&f);
}

static void interrupted(void) {
  struct append_file f;
  name("interrupted");
  append_file_init(&f);
  play(-EINTR, -EINTR, 0);
  interrupted_syncs = 2;
  CHECK(append(&f, "\nline\n") == 0 && holds(path, "\nline\n") && interrupted_syncs == 0);
  append_file_close(&f);
}

static void short_writes(void) {
  struct append_file f;
  name("short");
  append_file_init(&f);
  play(3, -EINTR, 1);
  CHECK(append(&f, "\nline\n") == 0 && holds(path, "\nli\n\nline\n"));
  play(2, -ENOSPC, 0);
  CHECK(append(&f, "\nlost\n") == -1 && errno == ENOSPC);
  CHECK(append(&f, "\nnext\n") == 0 && holds(path, "\nli\n\nline\n\nl\nnext\n"));
  play(1, 1, 1);
  memcpy(script + 3, script, 3 * sizeof script[0]);
  script[6] = script[7] = 1;
  CHECK(append(&f, "\nnever\n") == -1 && errno == ENOSPC && played == 8);
  append_file_close(&f);
}

static void moved(void) {
  struct append_file f;
  char old[80];
  name("moved");
  snprintf(old, sizeof old, "%s.old", path);
  append_file_init(&f);
  CHECK(append(&f, "\none\n") == 0 && rename(path, old) == 0);
  CHECK(append(&f, "\ntwo\n") == 0 && holds(old, "\none\n") && holds(path, "\ntwo\n"));
  CHECK(rename(old, path) == 0 && append(&f, "\nthree\n") == 0 && holds(path, "\none\n\nthree\n"));
  CHECK(unlink(path) == 0 && append(&f, "\nfour\n") == 0 && holds(path, "\nfour\n"));
  append_file_close(&f);
}

static void no_regular_file(void) {
  struct append_file f;
  append_file_init(&f);
  name("fifo");
  CHECK(mkfifo(path, 0600) == 0);
  CHECK(append(&f, "\na\n") == -1 && errno == EINVAL && f.fd == -1); /* and does not wait for a reader */
  CHECK(sys_file_is_regular(path) == -1 && errno == EINVAL);
  name("folder");
  CHECK(mkdir(path, 0700) == 0 && append(&f, "\na\n") == -1 && errno == EISDIR);
  name("none/file");
  CHECK(append(&f, "\na\n") == -1 && errno == ENOENT && sys_file_is_regular(path) == 0);
  snprintf(path, sizeof path, "/dev/null");
  CHECK(append(&f, "\na\n") == -1 && errno == EINVAL);
  name("fifo");
  CHECK(unlink(path) == 0);
  name("folder");
  CHECK(rmdir(path) == 0);
}

static void clean(void) {
  static const char *const files[] = {"lines", "one", "interrupted", "short", "moved"};
  size_t i;
  for (i = 0; i < sizeof files / sizeof files[0]; i++) {
    name(files[i]);
    CHECK(unlink(path) == 0);
  }
  CHECK(rmdir(folder) == 0);
}

int main(void) {
  CHECK(mkdtemp(folder) != NULL);
  lines();
  one_descriptor();
  interrupted();
  short_writes();
  moved();
  no_regular_file();
  clean();
  return summary();
}
