/* sys_win32.c - sys.h for Windows, from version 7 on.
 *
 * Paths are UTF-8 outside of this file and UTF-16 inside. A descriptor is the C library's, with a handle behind it that
 * is read and written directly, so that no byte is translated. Invariant: each failure sets errno. */
#include "base/sys.h"

#ifdef _WIN32

#include <winsock2.h>

#include <windows.h>

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_PLAIN 240       /* UTF-16 units of a path that needs no \\?\ prefix, with space for a name in it */
#define LARGEST_WRITE (1 << 30) /* bytes: the system counts in 32 bits */

/* --- time and chance ---------------------------------------------------------------------------------------------- */

double sys_clock(void) {
  LARGE_INTEGER ticks, frequency;
  QueryPerformanceFrequency(&frequency);
  QueryPerformanceCounter(&ticks);
  return (double)ticks.QuadPart / (double)frequency.QuadPart;
}

uint64_t sys_seed(const void *address) {
  return ((uint64_t)(uintptr_t)address ^ (uint64_t)(sys_clock() * 1e9) ^ (uint64_t)GetCurrentProcessId() << 40) | 1;
}

/* --- numbers, whatever the locale --------------------------------------------------------------------------------- */

const char *sys_decimal_point(void) {
  return localeconv()->decimal_point;
}

/* Keeps the name of the thread's locale. NULL: memory is out, and the thread stays in its own. */
void *sys_enter_c_locale(void) {
  char *before;
  (void)_configthreadlocale(_ENABLE_PER_THREAD_LOCALE);
  before = _strdup(setlocale(LC_ALL, NULL));
  if (before != NULL) (void)setlocale(LC_ALL, "C");
  return before;
}

void sys_leave_c_locale(void *before) {
  if (before != NULL) (void)setlocale(LC_ALL, before);
  free(before);
}

/* --- the terminal ------------------------------------------------------------------------------------------------- */

#ifndef ENABLE_VIRTUAL_TERMINAL_PROCESSING
#define ENABLE_VIRTUAL_TERMINAL_PROCESSING 4
#endif

/* A console that does not take the escape sequences of terminals (before Windows 10) counts as none. */
int sys_terminal_columns(int fd) {
  HANDLE console = (HANDLE)_get_osfhandle(fd);
  CONSOLE_SCREEN_BUFFER_INFO info;
  DWORD mode;
  if (!GetConsoleScreenBufferInfo(console, &info) || !GetConsoleMode(console, &mode)) return 0;
  if (!SetConsoleMode(console, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING)) return 0;
  return info.srWindow.Right - info.srWindow.Left + 1;
}

int sys_terminal_echo(int on) {
  HANDLE input = GetStdHandle(STD_INPUT_HANDLE);
  DWORD mode;
  if (!GetConsoleMode(input, &mode)) return -1;
  mode = on ? mode | ENABLE_ECHO_INPUT | ENABLE_PROCESSED_INPUT
            : mode & ~(DWORD)(ENABLE_ECHO_INPUT | ENABLE_PROCESSED_INPUT);
  return SetConsoleMode(input, mode) ? 0 : -1;
}

static volatile sig_atomic_t interrupted;

/* The C library puts the default action back before it calls this. */
static void note_interrupt(int number) {
  (void)number;
  interrupted = 1;
}

int sys_catch_interrupt(void) {
  return signal(SIGINT, note_interrupt) == SIG_ERR ? -1 : 0;
}

int sys_take_interrupt(void) {
  int noted = interrupted;
  if (noted) interrupted = 0;
  return noted;
}

/* --- the process -------------------------------------------------------------------------------------------------- */

static BOOL CALLBACK run_once(PINIT_ONCE once, PVOID run, PVOID *context) {
  (void)once;
  (void)context;
  (*(void (**)(void))run)();
  return TRUE;
}

void sys_once(sys_once_flag *flag, void (*run)(void)) {
  InitOnceExecuteOnce((PINIT_ONCE)&flag->state, run_once, (PVOID)&run, NULL);
}

/* Windows has no fork. */
int sys_count_forks(void) {
  return 0;
}

unsigned sys_generation(void) {
  return 0;
}

void sys_stay_loaded(const void *address) {
  HMODULE module;
  (void)GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN, (LPCWSTR)address,
                           &module);
}

/* Windows has no signals. */
void sys_hold_sigpipe(struct sys_pipe_guard *guard) {
  (void)guard;
}

void sys_release_sigpipe(const struct sys_pipe_guard *guard) {
  (void)guard;
}

/* --- errors and paths --------------------------------------------------------------------------------------------- */

/* Sets errno to what the last call's failure means; -1. */
static int fail(void) {
  static const struct {
    DWORD error;
    int code;
  } table[] = {
      {ERROR_FILE_NOT_FOUND, ENOENT},
      {ERROR_PATH_NOT_FOUND, ENOENT},
      {ERROR_INVALID_NAME, ENOENT},
      {ERROR_BAD_PATHNAME, ENOENT},
      {ERROR_INVALID_DRIVE, ENOENT},
      {ERROR_BAD_NETPATH, ENOENT},
      {ERROR_BAD_NET_NAME, ENOENT},
      {ERROR_ACCESS_DENIED, EACCES},
      {ERROR_SHARING_VIOLATION, ETXTBSY} /* another has it open */,
      {ERROR_LOCK_VIOLATION, EACCES},
      {ERROR_WRITE_PROTECT, EROFS},
      {ERROR_DISK_FULL, ENOSPC},
      {ERROR_HANDLE_DISK_FULL, ENOSPC},
      {ERROR_FILE_EXISTS, EEXIST},
      {ERROR_ALREADY_EXISTS, EEXIST},
      {ERROR_TOO_MANY_OPEN_FILES, EMFILE},
      {ERROR_NOT_ENOUGH_MEMORY, ENOMEM},
      {ERROR_OUTOFMEMORY, ENOMEM},
      {ERROR_INVALID_HANDLE, EBADF},
      {ERROR_CANT_RESOLVE_FILENAME, ELOOP},
  };
  DWORD error = GetLastError();
  size_t i = 0;
  while (i < sizeof table / sizeof table[0] && table[i].error != error) i++;
  errno = i < sizeof table / sizeof table[0] ? table[i].code : EIO;
  return -1;
}

/* The absolute form of a long path with the prefix that lifts the limit of 260 characters. Frees `path`. */
static wchar_t *lift_limit(wchar_t *path) {
  static const wchar_t local[] = L"\\\\?\\", remote[] = L"\\\\?\\UNC"; /* before "C:\…" and before "\\server\…" */
  DWORD size = GetFullPathNameW(path, 0, NULL, NULL);
  wchar_t *full = size != 0 ? malloc((size + 8) * sizeof *full) : NULL;
  DWORD len = full != NULL ? GetFullPathNameW(path, size, full + 8, NULL) : 0;
  int is_remote = len > 2 && full[8] == L'\\' && full[9] == L'\\';
  free(path);
  if (len == 0 || len >= size) {
    free(full);
    errno = ENOMEM;
    return NULL;
  }
  if (is_remote) {
    memcpy(full, remote, 7 * sizeof *full);
    memmove(full + 7, full + 9, len * sizeof *full); /* with the L'\0', without one of two backslashes */
  } else {
    memcpy(full, local, 4 * sizeof *full);
    memmove(full + 4, full + 8, (len + 1) * sizeof *full);
  }
  return full;
}

/* The path in UTF-16, which the caller frees; NULL: errno. What is not UTF-8 is of the system's code page: os.getenv
 * and arg of plain Lua give that. */
static wchar_t *widen(const char *path) {
  int utf8 = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, NULL, 0);
  UINT page = utf8 > 0 ? CP_UTF8 : CP_ACP;
  int size = utf8 > 0 ? utf8 : MultiByteToWideChar(page, 0, path, -1, NULL, 0);
  wchar_t *wide = size > 0 ? malloc((size_t)size * sizeof *wide) : NULL;
  if (wide == NULL) {
    errno = size > 0 ? ENOMEM : EILSEQ;
    return NULL;
  }
  MultiByteToWideChar(page, 0, path, -1, wide, size);
  return size <= LONGEST_PLAIN || wcsncmp(wide, L"\\\\?\\", 4) == 0 ? wide : lift_limit(wide);
}

/* The path in UTF-8, without the prefix of lift_limit for a local file; the caller frees it. */
static char *narrow(const wchar_t *path) {
  char *text;
  int size;
  if (wcsncmp(path, L"\\\\?\\", 4) == 0 && wcsncmp(path + 4, L"UNC\\", 4) != 0) path += 4;
  size = WideCharToMultiByte(CP_UTF8, 0, path, -1, NULL, 0, NULL, NULL);
  text = size > 0 ? malloc((size_t)size) : NULL;
  if (text != NULL) WideCharToMultiByte(CP_UTF8, 0, path, -1, text, size, NULL, NULL);
  return text;
}

/* --- handles ------------------------------------------------------------------------------------------------------ */

#define SHARE_ALL (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)

/* A handle that no child process inherits, or INVALID_HANDLE_VALUE with errno set. */
static HANDLE open_handle(const char *path, DWORD access, DWORD share, DWORD creation, DWORD flags) {
  wchar_t *wide = widen(path);
  HANDLE handle;
  if (wide == NULL) return INVALID_HANDLE_VALUE;
  handle = CreateFileW(wide, access, share, NULL, creation, flags | FILE_ATTRIBUTE_NORMAL, NULL);
  if (handle == INVALID_HANDLE_VALUE) (void)fail();
  free(wide);
  return handle;
}

/* A handle of a file or a folder that asks for nothing but its attributes. */
static HANDLE open_attributes(const char *path, DWORD flags) {
  return open_handle(path, FILE_READ_ATTRIBUTES, SHARE_ALL, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | flags);
}

static HANDLE handle_of(int fd) {
  return (HANDLE)_get_osfhandle(fd);
}

/* A descriptor for the handle, which is its own from now on; or -1, and the handle is closed. */
static int descriptor(HANDLE handle) {
  int fd = _open_osfhandle((intptr_t)handle, _O_BINARY | _O_NOINHERIT);
  if (fd < 0) CloseHandle(handle);
  return fd;
}

static enum sys_kind kind_of(HANDLE handle, BY_HANDLE_FILE_INFORMATION *info) {
  if (GetFileType(handle) != FILE_TYPE_DISK || !GetFileInformationByHandle(handle, info)) return SYS_OTHER;
  return info->dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY ? SYS_FOLDER : SYS_REGULAR;
}

/* What is at the path; SYS_MISSING with errno set also when nobody can tell. */
static enum sys_kind look(const char *path, BY_HANDLE_FILE_INFORMATION *info) {
  enum sys_kind kind;
  HANDLE handle = open_attributes(path, 0);
  if (handle == INVALID_HANDLE_VALUE) return SYS_MISSING;
  kind = kind_of(handle, info);
  CloseHandle(handle);
  return kind;
}

static int is_link(const char *path) {
  FILE_ATTRIBUTE_TAG_INFO info;
  int found;
  HANDLE handle = open_attributes(path, FILE_FLAG_OPEN_REPARSE_POINT);
  if (handle == INVALID_HANDLE_VALUE) return 0;
  found = GetFileInformationByHandleEx(handle, FileAttributeTagInfo, &info, sizeof info) &&
          (info.FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) && info.ReparseTag == IO_REPARSE_TAG_SYMLINK;
  CloseHandle(handle);
  return found;
}

/* --- files -------------------------------------------------------------------------------------------------------- */

/* The path of an open file, or NULL. */
static char *path_of(HANDLE handle) {
  DWORD size = GetFinalPathNameByHandleW(handle, NULL, 0, 0);
  wchar_t *wide = size != 0 ? malloc(((size_t)size + 1) * sizeof *wide) : NULL;
  char *path = NULL;
  if (wide != NULL && GetFinalPathNameByHandleW(handle, wide, size + 1, 0) <= size) path = narrow(wide);
  free(wide);
  return path;
}

/* A link to a file that is missing is ENOENT here. */
char *sys_file_real_path(const char *path) {
  HANDLE handle = open_attributes(path, 0);
  char *target;
  if (handle == INVALID_HANDLE_VALUE) return NULL;
  target = path_of(handle);
  CloseHandle(handle);
  if (target == NULL) errno = ENOMEM;
  return target;
}

char *sys_file_resolve(const char *path) {
  return is_link(path) ? sys_file_real_path(path) : _strdup(path);
}

/* Windows keeps permissions elsewhere: a new file has those of its folder. */
enum sys_kind sys_file_kind(const char *path, unsigned *mode) {
  BY_HANDLE_FILE_INFORMATION info;
  *mode = 0666;
  return look(path, &info);
}

int sys_file_set_mode(int fd, unsigned mode) {
  (void)fd;
  (void)mode;
  return 0;
}

/* Whoever has the file open for writing is its owner. Sharing FILE_SHARE_DELETE lets the owner rename it. */
int sys_file_own(const char *path) {
  BY_HANDLE_FILE_INFORMATION info;
  HANDLE handle;
  if (is_link(path)) {
    errno = ELOOP;
    return -1;
  }
  handle = open_handle(path, GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_DELETE, OPEN_ALWAYS, 0);
  if (handle == INVALID_HANDLE_VALUE) {
    if (errno == ETXTBSY) {
      errno = EWOULDBLOCK;
    } else if (errno == EACCES && look(path, &info) == SYS_FOLDER) {
      errno = EISDIR;
    }
    return -1;
  }
  if (kind_of(handle, &info) == SYS_REGULAR) return descriptor(handle);
  CloseHandle(handle);
  errno = EEXIST;
  return -1;
}

/* Opens a regular file for reading. */
static HANDLE open_regular(const char *path) {
  BY_HANDLE_FILE_INFORMATION info;
  enum sys_kind kind;
  HANDLE handle = open_handle(path, GENERIC_READ, SHARE_ALL, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS);
  if (handle == INVALID_HANDLE_VALUE) return handle;
  kind = kind_of(handle, &info);
  if (kind == SYS_REGULAR) return handle;
  CloseHandle(handle);
  errno = kind == SYS_FOLDER ? EISDIR : EINVAL;
  return INVALID_HANDLE_VALUE;
}

int sys_file_write(int fd, const char *data, size_t size, long long *written) {
  *written = 0;
  while (size > 0) {
    DWORD n, part = size < LARGEST_WRITE ? (DWORD)size : LARGEST_WRITE;
    if (!WriteFile(handle_of(fd), data, part, &n, NULL)) return fail();
    data += n;
    size -= n;
    *written += n;
  }
  return 0;
}

long sys_file_peek(const char *path, char *data, size_t size) {
  DWORD n = 0;
  BOOL good;
  HANDLE handle = open_regular(path);
  if (handle == INVALID_HANDLE_VALUE) return -1;
  good = ReadFile(handle, data, size < LARGEST_WRITE ? (DWORD)size : LARGEST_WRITE, &n, NULL);
  if (!good) (void)fail();
  CloseHandle(handle);
  return good ? (long)n : -1;
}

long sys_file_read(const char *path, char *data, size_t size) {
  return is_link(path) ? -1 : sys_file_peek(path, data, size);
}

long long sys_file_size(int fd) {
  LARGE_INTEGER size;
  return GetFileSizeEx(handle_of(fd), &size) ? size.QuadPart : fail();
}

int sys_file_cut(int fd, long long size) {
  LARGE_INTEGER to;
  to.QuadPart = size;
  return SetFilePointerEx(handle_of(fd), to, NULL, FILE_BEGIN) && SetEndOfFile(handle_of(fd)) ? 0 : fail();
}

/* Windows can only flush a whole file, and waits for it. */
void sys_file_start_sync(int fd, long long from, long long size) {
  (void)fd;
  (void)from;
  (void)size;
}

int sys_file_sync(int fd) {
  return FlushFileBuffers(handle_of(fd)) ? 0 : fail();
}

/* Closing a handle reports nothing. */
int sys_file_flush(int fd) {
  (void)fd;
  return 0;
}

void sys_file_release(int fd) {
  (void)_close(fd);
}

void sys_file_drop(int fd) {
  (void)_close(fd);
}

void sys_file_remove(const char *path) {
  wchar_t *wide = widen(path);
  if (wide != NULL) (void)DeleteFileW(wide);
  free(wide);
}

int sys_file_replace(const char *from, const char *to, int durable) {
  wchar_t *source = widen(from), *target = widen(to);
  DWORD flags = MOVEFILE_REPLACE_EXISTING | (durable ? MOVEFILE_WRITE_THROUGH : 0);
  int result = -1;
  if (source != NULL && target != NULL) result = MoveFileExW(source, target, flags) ? 0 : fail();
  free(source);
  free(target);
  return result;
}

static struct sys_file_id id_of(const BY_HANDLE_FILE_INFORMATION *info) {
  struct sys_file_id id;
  id.device = info->dwVolumeSerialNumber;
  id.number = (unsigned long long)info->nFileIndexHigh << 32 | info->nFileIndexLow;
  return id;
}

/* With FILE_APPEND_DATA and without FILE_WRITE_DATA the system puts each write at the file's end. */
int sys_file_open_append(const char *path, struct sys_file_id *id) {
  BY_HANDLE_FILE_INFORMATION info;
  HANDLE handle;
  if (sys_file_is_regular(path) < 0) return -1;
  handle = open_handle(path, FILE_APPEND_DATA | FILE_READ_ATTRIBUTES | SYNCHRONIZE, SHARE_ALL, OPEN_ALWAYS, 0);
  if (handle == INVALID_HANDLE_VALUE) return -1;
  if (kind_of(handle, &info) == SYS_REGULAR) {
    *id = id_of(&info);
    return descriptor(handle);
  }
  CloseHandle(handle);
  errno = EINVAL;
  return -1;
}

int sys_file_is(const char *path, const struct sys_file_id *id) {
  BY_HANDLE_FILE_INFORMATION info;
  struct sys_file_id now;
  if (look(path, &info) != SYS_REGULAR) return 0;
  now = id_of(&info);
  return now.device == id->device && now.number == id->number;
}

long sys_file_write_once(int fd, const char *data, size_t size) {
  DWORD n;
  if (!WriteFile(handle_of(fd), data, size < LARGEST_WRITE ? (DWORD)size : LARGEST_WRITE, &n, NULL)) return fail();
  return (long)n;
}

int sys_file_is_regular(const char *path) {
  BY_HANDLE_FILE_INFORMATION info;
  enum sys_kind kind = look(path, &info);
  if (kind == SYS_REGULAR) return 1;
  if (kind == SYS_MISSING) return errno == ENOENT ? 0 : -1;
  errno = kind == SYS_FOLDER ? EISDIR : EINVAL;
  return -1;
}

int sys_make_folder(const char *path, int is_private) {
  wchar_t *wide = widen(path);
  unsigned mode;
  int result = -1;
  (void)is_private; /* a new folder has the permissions of the one above it */
  if (wide != NULL) result = CreateDirectoryW(wide, NULL) ? 0 : fail();
  free(wide);
  return result == 0 || sys_file_kind(path, &mode) == SYS_FOLDER ? 0 : -1;
}

/* --- sockets ------------------------------------------------------------------------------------------------------ */

#ifndef WSA_FLAG_NO_HANDLE_INHERIT
#define WSA_FLAG_NO_HANDLE_INHERIT 0x80
#endif

sys_socket sys_socket_open(int family, int type, int protocol) {
  return WSASocketW(family, type, protocol, NULL, 0, WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
}

int sys_socket_close(sys_socket fd) {
  return closesocket(fd);
}

/* libcurl's sockets do not block. */
void sys_socket_reject_input(sys_socket fd) {
  char bytes[4096];
  int left = 256; /* times: who sends faster than this reads is cut off elsewhere */
  if (recv(fd, bytes, 1, MSG_PEEK) <= 0) return;
  shutdown(fd, SD_BOTH);
  while (left-- > 0 && recv(fd, bytes, sizeof bytes, 0) > 0) continue;
}

/* UNIX_PATH_MAX of <afunix.h>, which older headers lack. */
size_t sys_socket_longest_path(void) {
  return 107;
}

int sys_out_of_descriptors(void) {
  return WSAGetLastError() == WSAEMFILE;
}

/* Sockets are limited by memory alone. */
size_t sys_free_descriptors(void) {
  return SIZE_MAX;
}

#endif
