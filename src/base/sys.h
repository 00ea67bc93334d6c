/* sys.h - what sora needs of the operating system: clock, random numbers, locale, once, forks, files, sockets, HMAC.
 *
 * Owns all feature macros and platform #ifdefs of the C code, except those of the pollers. Implemented by sys_posix.c
 * or sys_win32.c, of which one compiles to nothing, by sys_hmac.c and, for what no platform changes, by sys.c.
 * Invariants: nothing here is inherited by a child process that runs another program; paths are UTF-8 on Windows. */
#ifndef SORA_SYS_H
#define SORA_SYS_H

#include <stddef.h>
#include <stdint.h>

#ifndef _WIN32
#include <pthread.h>
#endif

#pragma GCC visibility push(hidden)

/* --- time and chance ---------------------------------------------------------------------------------------------- */

/* Monotonic seconds: the clock of every time in the C code. */
double sys_clock(void);

/* The next number of the sequence behind `seed`, in [0, 1); good enough for jitter. */
double sys_random(uint64_t *seed);

/* A seed that differs between processes and between addresses. */
uint64_t sys_seed(const void *address);

/* --- numbers, whatever the locale --------------------------------------------------------------------------------- */

/* Reads a decimal number with a '.', such as "-2.5e-3". */
double sys_read_number(const char *text);

/* The locale's decimal point: what printf writes, and Lua's tostring. */
const char *sys_decimal_point(void);

/* Puts this thread, and no other, into the C locale; gives what sys_leave_c_locale takes to go back. */
void *sys_enter_c_locale(void);
void sys_leave_c_locale(void *before);

/* --- the terminal ------------------------------------------------------------------------------------------------- */

/* How many columns the terminal behind a descriptor has; 0: there is none behind it. */
int sys_terminal_columns(int fd);

/* Shows or hides what is typed on standard input; 0, or -1 if that is no terminal. While it is hidden, Ctrl-C is a
 * character, 3, which ends the line. */
int sys_terminal_echo(int on);

/* From now on Ctrl-C is only noted, once; a second one ends the process. 0, or -1. */
int sys_catch_interrupt(void);

/* Whether Ctrl-C was noted since the last call. */
int sys_take_interrupt(void);

/* --- the process -------------------------------------------------------------------------------------------------- */

#ifdef _WIN32
typedef struct {
  void *state; /* an INIT_ONCE */
} sys_once_flag;
#define SYS_ONCE_INIT                                                                                                  \
  { NULL }
#else
typedef pthread_once_t sys_once_flag;
#define SYS_ONCE_INIT PTHREAD_ONCE_INIT
#endif

/* Runs `run` once for each flag, whatever threads call it. */
void sys_once(sys_once_flag *flag, void (*run)(void));

/* Starts to count forks; 0, or -1. Call it once. */
int sys_count_forks(void);

/* A number that changes in each forked child: who keeps it can tell without a system call whether it still runs in the
 * process where it got it. */
unsigned sys_generation(void);

/* Keeps the library that `address` belongs to loaded until the process ends. */
void sys_stay_loaded(const void *address);

/* Keeps SIGPIPE away from the process while this thread runs code that may cause one, in pairs; `guard` is the
 * caller's. The process's own handler and mask are left as they are. */
struct sys_pipe_guard {
  int blocked, was_pending;
};
void sys_hold_sigpipe(struct sys_pipe_guard *guard);
void sys_release_sigpipe(const struct sys_pipe_guard *guard);

/* --- files: 0, or -1 with errno set ---------------------------------------------------------------------------------
 */

/* Where a path leads: symbolic links followed, also one to a file that is missing. The caller frees it; NULL: errno. */
char *sys_file_resolve(const char *path);

/* The one absolute path of what is at a path: without links, "." and "..". The caller frees it; NULL: errno. */
char *sys_file_real_path(const char *path);

/* What is at a path, and the permissions of a regular file. */
enum sys_kind { SYS_MISSING, SYS_REGULAR, SYS_FOLDER, SYS_OTHER /* a device, a pipe … */ };
enum sys_kind sys_file_kind(const char *path, unsigned *mode);

/* Opens a regular file for writing, made if it is missing, and locks it where the file system can. Never follows a
 * symbolic link (ELOOP), never waits; EWOULDBLOCK: another process or descriptor has the lock. A descriptor, or -1. */
int sys_file_own(const char *path);

/* Reads the beginning of a regular file, also through symbolic links; how many bytes, or -1. Never waits; for what is
 * no regular file errno is EINVAL, or EISDIR. */
long sys_file_peek(const char *path, char *data, size_t size);

/* Writes all bytes; *written says how many were, also after a failure. */
int sys_file_write(int fd, const char *data, size_t size, long long *written);

/* Reads the beginning of a regular file; how many bytes, or -1. Never waits. */
long sys_file_read(const char *path, char *data, size_t size);

/* The file's length, or -1. */
long long sys_file_size(int fd);

/* Cuts the file to `size` bytes; the next write appends to them. */
int sys_file_cut(int fd, long long size);

int sys_file_set_mode(int fd, unsigned mode);

/* Begins to write a range of the file to the disk, and does not wait for it. */
void sys_file_start_sync(int fd, long long from, long long size);
int sys_file_sync(int fd);

/* Reports what a close would, and keeps the descriptor and its lock. */
int sys_file_flush(int fd);

/* Closes a descriptor of sys_file_own, and unlocks the file for all copies of it. sys_file_drop only closes: in a
 * forked child the lock stays with the parent. */
void sys_file_release(int fd);
void sys_file_drop(int fd);
void sys_file_remove(const char *path);

/* Renames `from` to `to`, which it replaces; `durable`: and makes that durable where the file system can. */
int sys_file_replace(const char *from, const char *to, int durable);

/* Which file it is, whatever it is called. */
struct sys_file_id {
  unsigned long long device, number;
};

/* Opens a regular file for appending, made for its owner alone if it is missing; a descriptor, or -1. Never waits, as
 * it would for the reader of a FIFO: for what is no regular file errno is EINVAL, or EISDIR. */
int sys_file_open_append(const char *path, struct sys_file_id *id);

/* Whether the path is still that of the file. */
int sys_file_is(const char *path, const struct sys_file_id *id);

/* Writes with one call, so that what several processes append does not mix; how many bytes were written, or -1. */
long sys_file_write_once(int fd, const char *data, size_t size);

/* 1: a regular file; 0: nothing has the path; -1: something else (EINVAL, EISDIR), or nobody can tell. */
int sys_file_is_regular(const char *path);

/* Makes a folder, which only its owner may enter if `is_private`; 0, also if there is one already, or -1. */
int sys_make_folder(const char *path, int is_private);

/* --- sockets ------------------------------------------------------------------------------------------------------ */

/* As libcurl has it: an int, or a SOCKET. */
#ifdef _WIN32
typedef uintptr_t sys_socket;
#else
typedef int sys_socket;
#endif
#define SYS_NO_SOCKET ((sys_socket)-1)

/* A socket, or SYS_NO_SOCKET. */
sys_socket sys_socket_open(int family, int type, int protocol);
int sys_socket_close(sys_socket fd);

/* Ends a connection on which bytes wait that nobody has asked for, and drops them: reading from it gives the end. */
void sys_socket_reject_input(sys_socket fd);

/* Bytes of the longest path that a Unix domain socket can have. */
size_t sys_socket_longest_path(void);

/* Whether the last call failed because the process or the system has no descriptor left. */
int sys_out_of_descriptors(void);

/* How many further descriptors the process may open, at least 1. */
size_t sys_free_descriptors(void);

/* --- cryptography ------------------------------------------------------------------------------------------------- */

#define SYS_SHA256_SIZE 32

/* HMAC-SHA256 (RFC 2104, FIPS 180-4); 0, or -1 where the system's library has none. */
int sys_hmac_sha256(const char *key, size_t key_len, const char *data, size_t len, unsigned char *digest);

/* Whether two texts of the same length are equal, in a time that does not depend on where they differ. */
int sys_same(const char *a, const char *b, size_t len);

#pragma GCC visibility pop

#endif
