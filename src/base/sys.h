/* sys.h - what sora needs of the operating system: clock, random numbers, once, forks, files, sockets, HMAC.
 *
 * Owns all feature macros and platform #ifdefs of the C code, except those of the pollers: sys_posix.c implements
 * this page for POSIX. Invariant: nothing here is inherited by a child process that runs another program. */
#ifndef SORA_SYS_H
#define SORA_SYS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* --- time and chance ---------------------------------------------------------------------------------------------- */

/* Monotonic seconds: the clock of every time in the C code. */
double sys_clock(void);

/* The next number of the sequence behind `seed`, in [0, 1); good enough for jitter. */
double sys_random(uint64_t *seed);

/* A seed that differs between processes and between addresses. */
uint64_t sys_seed(const void *address);

/* --- the process -------------------------------------------------------------------------------------------------- */

typedef pthread_once_t sys_once_flag;
#define SYS_ONCE_INIT PTHREAD_ONCE_INIT

/* Runs `run` once for each flag, whatever threads call it. */
void sys_once(sys_once_flag *flag, void (*run)(void));

/* Starts to count forks; 0, or -1. Call it once. */
int sys_count_forks(void);

/* A number that changes in each forked child: who keeps it can tell without a system call whether it still runs in the
 * process where it got it. */
unsigned sys_generation(void);

/* Keeps the library that `address` belongs to loaded until the process ends. */
void sys_stay_loaded(const void *address);

/* --- files: 0, or -1 with errno set --------------------------------------------------------------------------------- */

/* Opens a file for writing, made if it is missing; a descriptor, or -1. */
int sys_file_open(const char *path);

/* Whether the path is a folder. */
int sys_is_folder(const char *path);

/* Whether the path can be opened for reading and is not a folder. */
int sys_file_check(const char *path);

/* Writes all bytes; *written says how many were, also after a failure. */
int sys_file_write(int fd, const char *data, size_t size, long long *written);

/* Cuts the file to `size` bytes; the next write appends to them. */
int sys_file_cut(int fd, long long size);

int sys_file_sync(int fd);
int sys_file_close(int fd);
void sys_file_remove(const char *path);

/* Renames `from` to `to`, which it replaces, and makes that durable where the file system can. */
int sys_file_replace(const char *from, const char *to);

/* Which file it is, whatever it is called. */
struct sys_file_id {
  unsigned long long device, number;
};

/* Opens a regular file for appending, made for its owner alone if it is missing; a descriptor, or -1. Never waits, as it
 * would for the reader of a FIFO: for what is no regular file errno is EINVAL, or EISDIR. */
int sys_file_open_append(const char *path, struct sys_file_id *id);

/* Whether the path is still that of the file. */
int sys_file_is(const char *path, const struct sys_file_id *id);

/* Writes with one call, so that what several processes append does not mix; how many bytes were written, or -1. */
long sys_file_write_once(int fd, const char *data, size_t size);

/* 1: a regular file; 0: nothing has the path; -1: something else (EINVAL, EISDIR), or nobody can tell. */
int sys_file_is_regular(const char *path);

/* --- sockets ------------------------------------------------------------------------------------------------------ */

/* A socket, or -1. */
int sys_socket_open(int family, int type, int protocol);
int sys_socket_close(int fd);

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

#endif
