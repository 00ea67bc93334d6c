/* Specs of src/base/sys.h on every platform, and of what part_file.h and append_file.h make of it: this program runs on
 * Windows, too. Its files are in build/, below the folder that it is started in. */
#include "base/sys.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <direct.h>
#include <winsock2.h>
#define rmdir _rmdir
#else
#include <sys/socket.h>
#include <unistd.h>
#endif

#include "base/append_file.h"
#include "base/part_file.h"
#include "check.h"

#define FOLDER "build"

/* Names outside of ASCII, in UTF-8, and of the length that Windows must be asked for in another way. */
static char path[512], part[520], note[528];

static void name(const char *word) {
  static unsigned count;
  unsigned long long run = sys_seed(&count);
  snprintf(path, sizeof path, "%s/sys-%llx-%u-%s", FOLDER, run, count++, word);
  snprintf(part, sizeof part, "%s.part", path);
  snprintf(note, sizeof note, "%s.part.json", path);
}

static void remove_all(void) {
  sys_file_remove(path);
  sys_file_remove(part);
  sys_file_remove(note);
}

static int exists(const char *file) {
  unsigned mode;
  return sys_file_kind(file, &mode) == SYS_REGULAR;
}

static int holds(const char *file, const char *bytes, size_t size) {
  char got[256];
  long len = sys_file_read(file, got, sizeof got);
  return len == (long)size && memcmp(got, bytes, size) == 0;
}

static int holds_text(const char *file, const char *text) {
  return holds(file, text, strlen(text));
}

static int put(const char *file, const char *text) {
  long long written;
  int fd = sys_file_own(file), good;
  if (fd < 0) return 0;
  good = sys_file_cut(fd, 0) == 0 && sys_file_write(fd, text, strlen(text), &written) == 0;
  sys_file_release(fd);
  return good;
}

/* --- time, chance, once ------------------------------------------------------------------------------------------- */

static int runs;

static void run(void) {
  runs++;
}

static void process(void) {
  static sys_once_flag flag = SYS_ONCE_INIT;
  struct sys_pipe_guard guard;
  unsigned generation = sys_generation();
  uint64_t seed = sys_seed(path), other = sys_seed(part);
  double before = sys_clock(), now = before;
  int i;
  for (i = 0; i < 1000; i++) {
    double next = sys_clock(), chance = sys_random(&seed);
    CHECK(next >= now && chance >= 0 && chance < 1);
    now = next;
  }
  while (sys_clock() == before) continue;
  CHECK(sys_random(&seed) != sys_random(&seed) && sys_random(&seed) != sys_random(&other));
  sys_once(&flag, run);
  sys_once(&flag, run);
  CHECK(runs == 1);
  CHECK(sys_count_forks() == 0 && sys_generation() == generation);
  sys_stay_loaded(&runs);
  sys_hold_sigpipe(&guard);
  sys_release_sigpipe(&guard);
  CHECK(sys_same("abc", "abc", 3) && !sys_same("abc", "abd", 3) && !sys_same("xbc", "abc", 3) && sys_same("a", "b", 0));
}

/* A comma is tried where such a locale is installed. */
static void locales(void) {
  void *before;
  CHECK(sys_read_number("-2.5e-1") == -0.25 && sys_decimal_point()[0] == '.');
  if (setlocale(LC_ALL, "German_Germany.1252") == NULL && setlocale(LC_ALL, "de_DE.UTF-8") == NULL) return;
  if (sys_decimal_point()[0] == '.') return; /* musl takes any name for its own locale */
  CHECK(sys_decimal_point()[0] == ',' && sys_read_number("2.5") == 2.5 && sys_decimal_point()[0] == ',');
  before = sys_enter_c_locale();
  CHECK(sys_decimal_point()[0] == '.');
  sys_leave_c_locale(before);
  CHECK(sys_decimal_point()[0] == ',');
  setlocale(LC_ALL, "C");
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static void own(void) {
  static const char bytes[] = "\r\n\n\x1a\0\xFF"; /* no byte is translated */
  const size_t size = sizeof bytes - 1;
  long long written;
  unsigned mode;
  char *target, got[2];
  int fd;
  name("f\xC3\xAFlm \xE6\x97\xA5.mp4");
  CHECK(!exists(path) && sys_file_is_regular(path) == 0);
  fd = sys_file_own(path);
  CHECK(fd >= 0 && exists(path) && sys_file_size(fd) == 0);
  errno = 0;
  CHECK_CASE(sys_file_own(path) == -1 && errno == EWOULDBLOCK, "errno %d", errno);
  CHECK(sys_file_write(fd, bytes, size, &written) == 0 && written == (long long)size);
  CHECK(sys_file_size(fd) == (long long)size && holds(path, bytes, size));
  CHECK(sys_file_cut(fd, 2) == 0 && sys_file_write(fd, "ab", 2, &written) == 0 && holds_text(path, "\r\nab"));
  sys_file_start_sync(fd, 0, 4);
  CHECK(sys_file_sync(fd) == 0 && sys_file_flush(fd) == 0 && sys_file_set_mode(fd, 0644) == 0);
  sys_file_release(fd);
  CHECK(sys_file_kind(path, &mode) == SYS_REGULAR && (mode & 0600) == 0600);
  CHECK(sys_file_peek(path, got, sizeof got) == 2 && memcmp(got, "\r\n", 2) == 0 && sys_file_is_regular(path) == 1);
  fd = sys_file_own(path);
  CHECK(fd >= 0 && sys_file_size(fd) == 4);
  sys_file_drop(fd);
  target = sys_file_resolve(path);
  CHECK(target != NULL && strcmp(target, path) == 0);
  free(target);
  remove_all();
  CHECK(!exists(path));
}

static void large(void) {
  const long long size = 5LL << 30;
  long long written;
  int fd;
  name("large");
  fd = sys_file_own(path);
  CHECK(sys_file_cut(fd, size) == 0 && sys_file_size(fd) == size);
  CHECK(sys_file_write(fd, "end", 3, &written) == 0 && sys_file_size(fd) == size + 3);
  sys_file_release(fd);
  CHECK(sys_file_is_regular(path) == 1 && exists(path));
  remove_all();
}

static void refusals(void) {
  struct sys_file_id id;
  char byte;
  unsigned mode;
  name("missing");
  CHECK(sys_file_kind(path, &mode) == SYS_MISSING && sys_file_kind(FOLDER, &mode) == SYS_FOLDER);
  CHECK(sys_file_peek(path, &byte, 1) == -1 && errno == ENOENT);
  CHECK(sys_file_peek(FOLDER, &byte, 1) == -1 && errno == EISDIR);
  CHECK(sys_file_is_regular(FOLDER) == -1 && errno == EISDIR);
  CHECK(sys_file_open_append(FOLDER, &id) == -1 && errno == EISDIR);
  CHECK_CASE(sys_file_own(FOLDER) == -1 && errno == EISDIR, "errno %d", errno);
  CHECK(sys_file_own("build/no such folder/file") == -1 && errno == ENOENT);
  CHECK(sys_file_own("") == -1 && errno == ENOENT);
  CHECK(sys_file_read(path, &byte, 1) == -1 && sys_file_read(FOLDER, &byte, 1) == -1);
  CHECK(sys_file_replace(path, part, 1) == -1 && errno == ENOENT);
  sys_file_remove(path);
}

static void replace(void) {
  int fd;
  name("replace");
  CHECK(put(path, "old") && put(part, "the new one"));
  fd = sys_file_own(part);
  CHECK_CASE(sys_file_replace(part, path, 1) == 0, "errno %d", errno);
  sys_file_release(fd);
  CHECK(holds_text(path, "the new one") && !exists(part));
  remove_all();
}

static void long_name(void) {
  char word[201];
  int fd;
  memset(word, 'x', sizeof word - 1);
  word[sizeof word - 1] = '\0';
  name(word);
  fd = sys_file_own(path);
  CHECK_CASE(fd >= 0, "errno %d", errno);
  sys_file_release(fd);
  CHECK(sys_file_replace(path, part, 0) == 0 && exists(part));
  remove_all();
}

/* Several levels of folders are not made here: "." is repeated, until Windows must be asked in another way. */
static void long_path(void) {
  char far_away[600] = FOLDER, word[64];
  int i, fd;
  for (i = 0; i < 150; i++) strcat(far_away, "/.");
  name("far");
  snprintf(word, sizeof word, "%s", strrchr(path, '/'));
  strcat(far_away, word);
  fd = sys_file_own(far_away);
  CHECK_CASE(fd >= 0, "errno %d", errno);
  if (fd >= 0) sys_file_release(fd);
  CHECK(exists(path) && exists(far_away));
  remove_all();
}

static void append(void) {
  struct sys_file_id id, other_id;
  int one, two;
  name("append");
  one = sys_file_open_append(path, &id);
  two = sys_file_open_append(path, &other_id);
  CHECK(one >= 0 && two >= 0);
  CHECK(id.device == other_id.device && id.number == other_id.number && sys_file_is(path, &id));
  CHECK(sys_file_write_once(one, "a\n", 2) == 2 && sys_file_write_once(two, "b\r\n", 3) == 3);
  CHECK(sys_file_write_once(one, "c\n", 2) == 2 && sys_file_sync(one) == 0);
  CHECK(holds_text(path, "a\nb\r\nc\n"));
  CHECK(sys_file_replace(path, part, 0) == 0 && put(path, "another") && !sys_file_is(path, &id));
  sys_file_drop(one);
  sys_file_drop(two);
  remove_all();
  CHECK(!sys_file_is(path, &id));
}

/* --- what stands on it -------------------------------------------------------------------------------------------- */

static void download(void) {
  struct part_file f, second;
  char text[128], got[16];
  name("film.mp4");
  CHECK(put(path, "old"));
  part_file_init(&f);
  part_file_init(&second);
  CHECK(part_file_open(&f, path) == 0 && part_file_write(&f, "new", 3) == 0);
  CHECK(part_file_write_note(&f, "{}", 2) == 0 && part_file_read_note(&f, got, sizeof got) == 2);
  CHECK(part_file_open(&second, path) == -1 && second.code == EWOULDBLOCK);
  part_file_explain(&second, text, sizeof text);
  CHECK_CASE(strstr(text, "another download is writing it") != NULL, "%s", text);
  part_file_close(&second);
  CHECK(exists(part) && holds_text(path, "old"));
  CHECK_CASE(part_file_commit(&f) == 0, "%s: %d", f.verb, f.code);
  part_file_close(&f);
  CHECK(holds_text(path, "new") && !exists(part) && !exists(note));
  CHECK(part_file_open(&f, path) == 0 && part_file_write(&f, "x", 1) == 0);
  part_file_close(&f);
  CHECK(holds_text(path, "new") && !exists(part));
  remove_all();
}

static void journal(void) {
  struct append_file f;
  name("journal");
  append_file_init(&f);
  CHECK(append_file_write(&f, path, "\none\n", 5) == 0 && append_file_write(&f, path, "\ntwo\n", 5) == 0);
  CHECK(holds_text(path, "\none\n\ntwo\n"));
  CHECK(sys_file_replace(path, part, 0) == 0 && append_file_write(&f, path, "\nthree\n", 7) == 0);
  CHECK(holds_text(part, "\none\n\ntwo\n") && holds_text(path, "\nthree\n"));
  append_file_close(&f);
  append_file_close(&f);
  remove_all();
}

/* `path` is a folder. */
static void real_paths(void) {
  char longer[sizeof path + 16];
  char *real = sys_file_real_path(path), *same;
  (void)snprintf(longer, sizeof longer, "%s/../%s/.", path, strrchr(path, '/') + 1);
  same = sys_file_real_path(longer);
  CHECK(real != NULL && same != NULL && strcmp(real, same) == 0 && strcmp(real, path) != 0);
  free(real);
  free(same);
  CHECK(sys_file_real_path("build/missing") == NULL && errno == ENOENT);
}

static void folders(void) {
  unsigned mode;
  name("folder");
  CHECK(sys_make_folder(path, 1) == 0 && sys_file_kind(path, &mode) == SYS_FOLDER);
  CHECK(sys_make_folder(path, 0) == 0); /* there is one */
  real_paths();
  CHECK(rmdir(path) == 0 && sys_file_kind(path, &mode) == SYS_MISSING);
  CHECK(sys_make_folder("build/missing/folder", 0) != 0 && errno == ENOENT);
}

/* Standard input and output of this program are pipes and files. */
static void terminal(void) {
  CHECK(sys_take_interrupt() == 0 && sys_catch_interrupt() == 0);
  CHECK(raise(SIGINT) == 0 && sys_take_interrupt() == 1 && sys_take_interrupt() == 0);
  CHECK(sys_terminal_columns(-1) == 0);
}

static void sockets(void) {
  sys_socket fd;
#ifdef _WIN32
  WSADATA data;
  CHECK(WSAStartup(MAKEWORD(2, 2), &data) == 0);
#endif
  CHECK(sys_free_descriptors() >= 1);
  fd = sys_socket_open(AF_INET, SOCK_STREAM, 0);
  CHECK(fd != SYS_NO_SOCKET && sys_socket_close(fd) == 0);
  CHECK(sys_socket_open(-1, SOCK_STREAM, 0) == SYS_NO_SOCKET && !sys_out_of_descriptors());
}

int main(void) {
  process();
  locales();
  own();
  large();
  refusals();
  replace();
  long_name();
  long_path();
  append();
  download();
  journal();
  folders();
  terminal();
  sockets();
  return summary();
}
