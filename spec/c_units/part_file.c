/* Specs of src/base/part_file.c, in a folder of its own that is removed at the end. */
#define _GNU_SOURCE /* mkdtemp, symlink, setrlimit */
#include "base/part_file.h"
#include "base/sys.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char folder[] = "/tmp/sora-part-XXXXXX";
static char path[64], part[80];

/* Sets the target and its part file, a different one for each spec. */
static void name(const char *file) {
  snprintf(path, sizeof path, "%s/%s", folder, file);
  snprintf(part, sizeof part, "%s.part", path);
}

static void put(const char *file, const char *text) {
  FILE *f = fopen(file, "wb");
  CHECK(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

static int holds(const char *file, const char *text) {
  char got[64];
  FILE *f = fopen(file, "rb");
  size_t len;
  if (f == NULL) return 0;
  len = fread(got, 1, sizeof got, f);
  fclose(f);
  return len == strlen(text) && memcmp(got, text, len) == 0;
}

static int exists(const char *file) {
  struct stat info;
  return lstat(file, &info) == 0;
}

static int explains(const struct part_file *s, const char *wanted) {
  char text[256];
  part_file_explain(s, text, sizeof text);
  if (strcmp(text, wanted) == 0) return 1;
  printf("%s\n", text);
  return 0;
}

static void commit(void) {
  struct part_file s;
  name("new");
  part_file_init(&s);
  CHECK(part_file_open(&s, path) == 0 && exists(part) && !exists(path));
  CHECK(part_file_write(&s, "hello ", 6) == 0 && part_file_write(&s, "", 0) == 0 &&
        part_file_write(&s, "world", 5) == 0);
  CHECK(s.bytes == 11 && !exists(path));
  CHECK(part_file_commit(&s) == 0 && holds(path, "hello world") && !exists(part));
  part_file_close(&s);
  CHECK(holds(path, "hello world"));
  part_file_close(&s);
  CHECK(holds(path, "hello world"));
}

static void replace(void) {
  struct part_file s;
  name("old");
  put(path, "old");
  put(part, "left by a process that died, and longer");
  part_file_init(&s);
  CHECK(part_file_open(&s, path) == 0 && holds(path, "old") && s.bytes == 39);
  CHECK(part_file_write(&s, "new", 3) == 0 && holds(path, "old"));
  CHECK(part_file_commit(&s) == 0 && holds(path, "new") && !exists(part));
  part_file_close(&s);
}

static void close_without_commit(void) {
  struct part_file s;
  name("kept");
  put(path, "old");
  part_file_init(&s);
  part_file_close(&s); /* closed: harmless */
  CHECK(part_file_open(&s, path) == 0 && part_file_write(&s, "half", 4) == 0);
  part_file_close(&s);
  CHECK(holds(path, "old") && !exists(part));
  CHECK(s.fd == -1 && s.path == NULL && s.part == NULL && s.bytes == 0);
  part_file_close(&s);
  name("never");
  CHECK(part_file_open(&s, path) == 0);
  part_file_close(&s);
  CHECK(!exists(path) && !exists(part));
}

static void rewinding(void) {
  struct part_file s;
  name("again");
  part_file_init(&s);
  CHECK(part_file_open(&s, path) == 0 && part_file_cut(&s, 0) == 0 && s.bytes == 0);
  CHECK(part_file_write(&s, "a long first attempt", 20) == 0 && s.bytes == 20);
  CHECK(part_file_cut(&s, 0) == 0 && s.bytes == 0 && holds(part, ""));
  CHECK(part_file_write(&s, "short", 5) == 0 && s.bytes == 5);
  CHECK(part_file_commit(&s) == 0 && holds(path, "short"));
  part_file_close(&s);
}

static void opening_fails(void) {
  struct part_file s;
  char wanted[256];
  part_file_init(&s);
  CHECK(part_file_open(&s, "") != 0 && s.code == ENOENT && strcmp(s.verb, "open") == 0);
  CHECK(explains(&s, "cannot open the file: No such file or directory"));
  part_file_close(&s);

  name("missing/file");
  CHECK(part_file_open(&s, path) != 0 && s.code == ENOENT && strcmp(s.verb, "open") == 0);
  snprintf(wanted, sizeof wanted, "cannot open %s: No such file or directory", part);
  CHECK(explains(&s, wanted));
  part_file_close(&s);

  name("plain");
  put(path, "a file");
  name("plain/below");
  CHECK(part_file_open(&s, path) != 0 && s.code == ENOTDIR);
  part_file_close(&s);
  name("plain");
  CHECK(holds(path, "a file"));

  CHECK(part_file_open(&s, folder) != 0 && s.code == EISDIR);
  snprintf(wanted, sizeof wanted, "cannot replace %s: Is a directory", folder);
  CHECK(explains(&s, wanted));
  part_file_close(&s);
  CHECK(exists(folder));
}

/* A folder at "<path>.part" is not the client's, and stays. */
static void part_of_others(void) {
  struct part_file s;
  name("taken");
  CHECK(mkdir(part, 0777) == 0);
  part_file_init(&s);
  CHECK(part_file_open(&s, path) != 0 && s.code == EISDIR && strcmp(s.verb, "open") == 0);
  part_file_close(&s);
  CHECK(exists(part) && !exists(path));
}

static int refuses(const char *verb, int code, const char *why) {
  struct part_file s;
  char text[256];
  int refused;
  part_file_init(&s);
  refused = part_file_open(&s, path) != 0 && s.code == code && strcmp(s.verb, verb) == 0;
  if (refused && why != NULL) {
    part_file_explain(&s, text, sizeof text);
    refused = strstr(text, why) != NULL;
  }
  part_file_close(&s);
  return refused;
}

/* What exists and is no regular file is nobody's to replace. */
static void kinds_of_targets(void) {
  struct part_file s;
  struct stat info;
  char other[80];
  name("pipe");
  CHECK(mkfifo(path, 0600) == 0 && refuses("replace", EEXIST, "it is not a regular file") && !exists(part));
  name("null");
  CHECK(symlink("/dev/null", path) == 0 && refuses("replace", EEXIST, "it is not a regular file"));
  name("linked");
  CHECK(symlink("/etc/hostname", part) == 0 && refuses("open", ELOOP, "symbolic link") && exists(part));
  name("pipe-part");
  CHECK(mkfifo(part, 0600) == 0 && refuses("open", EEXIST, "not a regular file") && exists(part));
  name("circle");
  CHECK(symlink("circle", path) == 0 && refuses("open", ELOOP, NULL));

  /* A link is followed, also one to a file that is missing; an old file keeps its permissions. */
  name("real");
  put(path, "old");
  CHECK(chmod(path, 0640) == 0);
  snprintf(other, sizeof other, "%s/link", folder);
  CHECK(symlink("real", other) == 0);
  part_file_init(&s);
  CHECK(part_file_open(&s, other) == 0 && exists(part) && part_file_write(&s, "new", 3) == 0 &&
        part_file_commit(&s) == 0);
  part_file_close(&s);
  CHECK(lstat(other, &info) == 0 && S_ISLNK(info.st_mode) && holds(path, "new"));
  CHECK(stat(path, &info) == 0 && (info.st_mode & 0777) == 0640);
  CHECK(unlink(path) == 0 && part_file_open(&s, other) == 0 && part_file_write(&s, "x", 1) == 0 &&
        part_file_commit(&s) == 0);
  part_file_close(&s);
  CHECK(holds(path, "x"));
  name("read-only");
  put(path, "old");
  CHECK(chmod(path, 0400) == 0 && part_file_open(&s, path) == 0 && part_file_write(&s, "new", 3) == 0);
  CHECK(stat(part, &info) == 0 && (info.st_mode & 0777) == 0600 && part_file_commit(&s) == 0);
  part_file_close(&s);
  CHECK(stat(path, &info) == 0 && (info.st_mode & 0777) == 0400);
}

/* A part file has one owner, also in this process; a forked child is not it. */
static void owners(void) {
  struct part_file s, other;
  int status;
  name("owned");
  part_file_init(&s);
  part_file_init(&other);
  CHECK(part_file_open(&s, path) == 0 && part_file_write(&s, "mine", 4) == 0);
  CHECK(refuses("open", EWOULDBLOCK, "another download is writing it") && holds(part, "mine"));
  if (fork() == 0) { /* its close neither removes nor unlocks */
    part_file_close(&s);
    _exit(0);
  }
  CHECK(wait(&status) > 0 && status == 0 && holds(part, "mine"));
  CHECK(refuses("open", EWOULDBLOCK, NULL));
  CHECK(part_file_commit(&s) == 0 && holds(path, "mine"));
  CHECK(part_file_open(&other, path) == 0); /* free again, with a new part file */
  part_file_close(&s);
  part_file_close(&other);
  CHECK(!exists(part) && holds(path, "mine"));
}

/* What another process has left stays, unless we write over it; its note goes with its bytes. */
static void leftovers(void) {
  struct part_file s;
  char text[64], note[96];
  name("left");
  snprintf(note, sizeof note, "%s.json", part);
  put(part, "half of it");
  put(note, "{\"id\":1}");
  part_file_init(&s);
  CHECK(part_file_open(&s, path) == 0 && s.bytes == 10 && part_file_read_note(&s, text, sizeof text) == 8);
  part_file_close(&s);
  CHECK(holds(part, "half of it") && exists(note));
  CHECK(part_file_open(&s, path) == 0 && part_file_cut(&s, 4) == 0 && part_file_write(&s, "!", 1) == 0 && exists(note));
  CHECK(holds(part, "half!") && part_file_write_note(&s, "a", 1) == 0 && holds(note, "a"));
  CHECK(part_file_cut(&s, 0) == 0 && !exists(note) && holds(part, ""));
  CHECK(part_file_write(&s, "x", 1) == 0 && part_file_write_note(&s, "b", 1) == 0 && part_file_commit(&s) == 0);
  part_file_close(&s);
  CHECK(holds(path, "x") && !exists(note) && !exists(part));
  put(part, "other");
  CHECK(part_file_open(&s, path) == 0 && part_file_write(&s, "new", 3) == 0 && holds(part, "new"));
  part_file_close(&s);
  CHECK(!exists(part));
}

/* A write may store some of the bytes before it fails. */
static void disk_fills(void) {
  struct part_file s;
  struct rlimit limit;
  char block[1000];
  memset(block, 'x', sizeof block);
  name("limited");
  put(path, "old");
  part_file_init(&s);
  CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
  signal(SIGXFSZ, SIG_IGN);
  limit.rlim_cur = 2500;
  CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  CHECK(part_file_open(&s, path) == 0 && part_file_write(&s, block, 1000) == 0 &&
        part_file_write(&s, block, 1000) == 0);
  CHECK(part_file_write(&s, block, 1000) != 0 && s.code == EFBIG && s.bytes == 2500);
  limit.rlim_cur = limit.rlim_max;
  CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  part_file_close(&s);
  CHECK(holds(path, "old") && !exists(part));
}

static void renaming_fails(void) {
  struct part_file s;
  name("turned");
  part_file_init(&s);
  CHECK(part_file_open(&s, path) == 0 && part_file_write(&s, "x", 1) == 0);
  CHECK(mkdir(path, 0777) == 0); /* another program creates a folder there meanwhile */
  CHECK(part_file_commit(&s) != 0 && strcmp(s.verb, "rename") == 0 && s.code == EISDIR);
  part_file_close(&s);
  CHECK(exists(path) && !exists(part));
}

/* Names without a slash, whose folder is the current one. */
static void beside_us(void) {
  struct part_file s;
  CHECK(chdir(folder) == 0);
  part_file_init(&s);
  CHECK(part_file_open(&s, "here") == 0 && part_file_write(&s, "x", 1) == 0 && part_file_commit(&s) == 0);
  part_file_close(&s);
  CHECK(holds("here", "x") && !exists("here.part"));
  CHECK(chdir("/") == 0);
}

int main(void) {
  char command[128];
  if (mkdtemp(folder) == NULL || sys_count_forks() != 0) return EXIT_FAILURE;
  commit();
  replace();
  close_without_commit();
  rewinding();
  opening_fails();
  part_of_others();
  kinds_of_targets();
  owners();
  leftovers();
  disk_fills();
  renaming_fails();
  beside_us();
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  CHECK(system(command) == 0);
  return summary();
}
