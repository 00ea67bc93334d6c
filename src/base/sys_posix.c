/* sys_posix.c - sys.h for POSIX: Linux, macOS, the BSDs. */
#define _GNU_SOURCE          /* newlocale, O_CLOEXEC, SOCK_CLOEXEC, dladdr, RTLD_NODELETE, flock, sync_file_range */
#define _NETBSD_SOURCE       /* the same where -std=c99 hides them */
#define _FILE_OFFSET_BITS 64 /* files above 2 GiB on 32-bit systems; off_t is used in this file alone */
#include "base/sys.h"

#ifndef _WIN32

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#ifdef __APPLE__
#include <xlocale.h>
#endif
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define MAX_LINKS 40            /* symbolic links in a row, as the kernel has it */
#define MAX_LINK 4096           /* bytes of one */
#define DEFAULT_COLUMNS 80      /* of a terminal that does not tell */
#define MAX_REPLACED 100        /* times that a file is renamed while it is being opened */
#define RESERVED_DESCRIPTORS 32 /* left for files, the resolver and the rest of the process */

/* --- time and chance ---------------------------------------------------------------------------------------------- */

double sys_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

uint64_t sys_seed(const void *address) {
  return ((uint64_t)(uintptr_t)address ^ (uint64_t)(sys_clock() * 1e9) ^ (uint64_t)getpid() << 40) | 1;
}

/* --- numbers, whatever the locale --------------------------------------------------------------------------------- */

const char *sys_decimal_point(void) {
  return nl_langinfo(RADIXCHAR);
}

/* The C locale needs no memory, so it is there; without it the thread stays in its own. */
void *sys_enter_c_locale(void) {
  locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  return uselocale(c);
}

void sys_leave_c_locale(void *before) {
  locale_t c = uselocale((locale_t)before);
  if (c != (locale_t)before) freelocale(c);
}

/* --- the terminal ------------------------------------------------------------------------------------------------- */

int sys_terminal_columns(int fd) {
  struct winsize size;
  if (!isatty(fd)) return 0;
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : DEFAULT_COLUMNS;
}

/* While nothing is shown, Ctrl-C ends the line instead of the process, which would leave the terminal as it is then. */
int sys_terminal_echo(int on) {
  static struct termios before;
  static int hidden;
  struct termios state;
  if (tcgetattr(STDIN_FILENO, &state) != 0) return -1;
  if (on == !hidden) return 0;
  if (!on) {
    before = state;
    state.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    state.c_cc[VEOL] = state.c_cc[VINTR];
  }
  hidden = !on;
  return tcsetattr(STDIN_FILENO, TCSAFLUSH, on ? &before : &state);
}

static volatile sig_atomic_t interrupted;

static void note_interrupt(int number) {
  (void)number;
  interrupted = 1;
}

/* Without SA_RESTART, so that a system call that waits ends. */
int sys_catch_interrupt(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = note_interrupt;
  action.sa_flags = (int)SA_RESETHAND;
  return sigaction(SIGINT, &action, NULL);
}

int sys_take_interrupt(void) {
  int noted = interrupted;
  if (noted) interrupted = 0;
  return noted;
}

/* --- the process -------------------------------------------------------------------------------------------------- */

void sys_once(sys_once_flag *flag, void (*run)(void)) {
  pthread_once(flag, run);
}

static unsigned generation;

static void count_fork(void) {
  generation++;
}

int sys_count_forks(void) {
  return pthread_atfork(NULL, NULL, count_fork) == 0 ? 0 : -1;
}

unsigned sys_generation(void) {
  return generation;
}

void sys_stay_loaded(const void *address) {
#ifdef RTLD_NODELETE
  Dl_info info;
  if (dladdr(address, &info) != 0) (void)dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE);
#else
  (void)address;
#endif
}

static int is_pending(void) {
  sigset_t pending;
  return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

static void only_sigpipe(sigset_t *set) {
  sigemptyset(set);
  sigaddset(set, SIGPIPE);
}

void sys_hold_sigpipe(struct sys_pipe_guard *guard) {
  sigset_t set, before;
  only_sigpipe(&set);
  guard->was_pending = is_pending();
  guard->blocked = pthread_sigmask(SIG_BLOCK, &set, &before) == 0 && sigismember(&before, SIGPIPE) == 0;
}

/* Takes the signal that came meanwhile; one that was pending before is somebody else's. */
void sys_release_sigpipe(const struct sys_pipe_guard *guard) {
  sigset_t set;
  int number;
  only_sigpipe(&set);
  if (!guard->was_pending && is_pending()) (void)sigwait(&set, &number);
  if (guard->blocked) (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* --- files -------------------------------------------------------------------------------------------------------- */

/* The path of a symbolic link's target: `link`, beside `path` unless it is absolute. */
static char *beside(const char *path, const char *link) {
  const char *slash = link[0] == '/' ? NULL : strrchr(path, '/');
  size_t folder = slash != NULL ? (size_t)(slash - path) + 1 : 0, len = strlen(link) + 1;
  char *both = malloc(folder + len);
  if (both == NULL) return NULL;
  memcpy(both, path, folder);
  memcpy(both + folder, link, len);
  return both;
}

char *sys_file_resolve(const char *path) {
  char *at = strdup(path), *next;
  int links;
  for (links = 0; at != NULL; links++) {
    char link[MAX_LINK];
    ssize_t len = readlink(at, link, sizeof link - 1);
    if (len < 0 && (errno == EINVAL || errno == ENOENT)) return at; /* no link, or nothing there */
    if (len >= 0 && links == MAX_LINKS) errno = ELOOP;
    if (len < 0 || links == MAX_LINKS) break;
    link[len] = '\0';
    next = beside(at, link);
    free(at);
    at = next;
  }
  free(at);
  return NULL;
}

char *sys_file_real_path(const char *path) {
  return realpath(path, NULL);
}

enum sys_kind sys_file_kind(const char *path, unsigned *mode) {
  struct stat info;
  if (stat(path, &info) != 0) return SYS_MISSING;
  *mode = (unsigned)info.st_mode & 0777;
  return S_ISREG(info.st_mode) ? SYS_REGULAR : S_ISDIR(info.st_mode) ? SYS_FOLDER : SYS_OTHER;
}

/* Locks the file; 0, or -1 with EWOULDBLOCK. File systems without locks (some of NFS) go on without. */
static int lock(int fd) {
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    return errno == EWOULDBLOCK ? -1 : 0;
  }
  return 0;
}

/* Whether the descriptor's file is the one that has this name now. */
static int is_named(const char *path, const struct stat *own) {
  struct stat named;
  return lstat(path, &named) == 0 && named.st_dev == own->st_dev && named.st_ino == own->st_ino;
}

int sys_file_own(const char *path) {
  int tries, code;
  for (tries = 0; tries < MAX_REPLACED; tries++) {
    struct stat info;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (fd < 0) return -1;
    code = fstat(fd, &info) != 0 ? errno : !S_ISREG(info.st_mode) ? EEXIST : lock(fd) != 0 ? EWOULDBLOCK : 0;
    if (code == 0 && is_named(path, &info)) return fd;
    close(fd); /* the owner before renamed or removed it */
    errno = code;
    if (code != 0) return -1;
  }
  errno = EWOULDBLOCK;
  return -1;
}

long sys_file_peek(const char *path, char *data, size_t size) {
  struct stat info;
  ssize_t len = -1;
  int code = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for its writer */
  if (fd < 0) return -1;
  if (fstat(fd, &info) == 0 && !S_ISREG(info.st_mode)) {
    code = S_ISDIR(info.st_mode) ? EISDIR : EINVAL;
  } else {
    do len = read(fd, data, size);
    while (len < 0 && errno == EINTR);
    if (len < 0) code = errno;
  }
  close(fd);
  errno = code;
  return (long)len;
}

int sys_file_write(int fd, const char *data, size_t size, long long *written) {
  *written = 0;
  while (size > 0) {
    ssize_t n = write(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    data += n;
    size -= (size_t)n;
    *written += n;
  }
  return 0;
}

long sys_file_read(const char *path, char *data, size_t size) {
  struct stat info;
  ssize_t len = -1;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return -1;
  if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) len = read(fd, data, size);
  close(fd);
  return (long)len;
}

long long sys_file_size(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 ? (long long)info.st_size : -1;
}

int sys_file_cut(int fd, long long size) {
  return ftruncate(fd, size) == 0 && lseek(fd, size, SEEK_SET) == size ? 0 : -1;
}

int sys_file_set_mode(int fd, unsigned mode) {
  return fchmod(fd, (mode_t)mode);
}

void sys_file_start_sync(int fd, long long from, long long size) {
#ifdef SYNC_FILE_RANGE_WRITE
  (void)sync_file_range(fd, from, size, SYNC_FILE_RANGE_WRITE);
#else
  (void)fd, (void)from, (void)size;
#endif
}

/* On macOS fsync stops at the drive's cache; F_FULLFSYNC empties it, where the file system can. */
int sys_file_sync(int fd) {
#ifdef F_FULLFSYNC
  if (fcntl(fd, F_FULLFSYNC) == 0) return 0;
#endif
  return fsync(fd);
}

int sys_file_flush(int fd) {
  int copy = dup(fd);
  return copy < 0 ? 0 : close(copy);
}

void sys_file_release(int fd) {
  (void)flock(fd, LOCK_UN);
  close(fd);
}

void sys_file_drop(int fd) {
  close(fd);
}

void sys_file_remove(const char *path) {
  (void)unlink(path);
}

/* Makes a rename durable. A folder that can't be opened or synced (some network file systems) does not undo a file
 * that is whole and in place. */
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
    (void)sys_file_sync(fd);
    close(fd);
  }
  free(folder);
}

int sys_file_replace(const char *from, const char *to, int durable) {
  if (rename(from, to) != 0) return -1;
  if (durable) sync_folder(to);
  return 0;
}

static struct sys_file_id id_of(const struct stat *info) {
  struct sys_file_id id;
  id.device = (unsigned long long)info->st_dev;
  id.number = (unsigned long long)info->st_ino;
  return id;
}

static int open_append(const char *path, int more) {
  return open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | more, 0600);
}

int sys_file_open_append(const char *path, struct sys_file_id *id) {
  struct stat info;
  int fd, code = 0;
  if (sys_file_is_regular(path) < 0) return -1;
  fd = open_append(path, 0);
  if (fd < 0 && errno == ENOENT) {
    fd = open_append(path, O_CREAT);
    if (fd >= 0) sync_folder(path);
  }
  if (fd < 0) return -1;
  if (fstat(fd, &info) != 0) code = errno;
  if (code == 0 && !S_ISREG(info.st_mode)) code = EINVAL; /* it took the place of one just now */
  if (code == 0) {
    *id = id_of(&info);
    return fd;
  }
  close(fd);
  errno = code;
  return -1;
}

int sys_file_is(const char *path, const struct sys_file_id *id) {
  struct stat info;
  struct sys_file_id now;
  if (stat(path, &info) != 0) return 0;
  now = id_of(&info);
  return now.device == id->device && now.number == id->number;
}

long sys_file_write_once(int fd, const char *data, size_t size) {
  ssize_t written;
  do written = write(fd, data, size);
  while (written < 0 && errno == EINTR);
  return (long)written;
}

int sys_file_is_regular(const char *path) {
  struct stat info;
  if (stat(path, &info) != 0) return errno == ENOENT ? 0 : -1;
  if (S_ISREG(info.st_mode)) return 1;
  errno = S_ISDIR(info.st_mode) ? EISDIR : EINVAL;
  return -1;
}

int sys_make_folder(const char *path, int is_private) {
  unsigned mode;
  if (mkdir(path, is_private ? 0700 : 0777) == 0) return 0;
  return errno == EEXIST && sys_file_kind(path, &mode) == SYS_FOLDER ? 0 : -1;
}

/* --- sockets ------------------------------------------------------------------------------------------------------ */

sys_socket sys_socket_open(int family, int type, int protocol) {
#ifdef SOCK_CLOEXEC
  return socket(family, type | SOCK_CLOEXEC, protocol);
#else
  int fd = socket(family, type, protocol);
  if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
  return fd;
#endif
}

int sys_socket_close(sys_socket fd) {
  return close(fd);
}

void sys_socket_reject_input(sys_socket fd) {
  char bytes[4096];
  int left = 256; /* times: who sends faster than this reads is cut off elsewhere */
  if (recv(fd, bytes, 1, MSG_PEEK | MSG_DONTWAIT) <= 0) return;
  shutdown(fd, SHUT_RDWR);
  while (left-- > 0 && recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0) continue;
}

size_t sys_socket_longest_path(void) {
  return sizeof((struct sockaddr_un *)0)->sun_path - 1;
}

int sys_out_of_descriptors(void) {
  return errno == EMFILE || errno == ENFILE;
}

/* All open descriptors lie below the next one, or nearly so: the system gives out the lowest number that is free. */
size_t sys_free_descriptors(void) {
  struct rlimit limit;
  rlim_t taken;
  int next = socket(AF_INET, SOCK_STREAM, 0);
  if (next < 0) return 1;
  close(next);
  taken = (rlim_t)next + RESERVED_DESCRIPTORS;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
  return limit.rlim_cur <= taken ? 1 : (size_t)(limit.rlim_cur - taken);
}

#endif
