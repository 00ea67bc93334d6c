/* part_file.h - a file that is either the old one or the whole new one.
 *
 * Owns a download's file on disk: bytes go to "<path>.part" beside the target; only part_file_commit, after fsync,
 * renames that over it. A note beside the part ("<path>.part.json") says what it is a part of. Invariants: whatever
 * fails, the file at `path` is untouched until the rename; while it is open, a part file has one owner (a lock, where
 * the file system has them), and a forked child is not it; a note never outlives the bytes that it describes. */
#ifndef SORA_PART_FILE_H
#define SORA_PART_FILE_H

#include <stddef.h>

#pragma GCC visibility push(hidden)

struct part_file {
  int fd;              /* of the part file, or -1 */
  unsigned generation; /* of the process that owns it */
  char *path;          /* the target, symbolic links followed */
  char *part;          /* the target's name with ".part" after it */
  char *note;          /* and with ".part.json" */
  int made;            /* what is in the part file is ours */
  int quick;           /* committing does not wait for the disk */
  int has_mode;        /* there is an old file, and these are its permissions */
  unsigned mode;
  long long bytes;   /* written so far, or left by another process */
  long long flushed; /* of those, on their way to the disk */
  const char *verb;  /* what failed, for the message: "open", "replace", "rewind", "write", "sync", "rename" */
  const char *why;   /* or NULL: the text of `code` */
  int code;          /* errno of the failure */
};

/* Makes a closed part file; part_file_close on it does nothing. */
void part_file_init(struct part_file *f);

/* Opens and locks the part file for `path`, and leaves what is in it: `bytes` says how much. 0, or -1 with `verb` and
 * `code` set, as in all functions here. */
int part_file_open(struct part_file *f, const char *path);

/* Keeps the first `from` bytes and drops the rest; with 0 also what the note says. */
int part_file_cut(struct part_file *f, long long from);

/* Appends bytes; the first ones replace what another process left, unless part_file_cut kept it. */
int part_file_write(struct part_file *f, const char *data, size_t size);

/* Syncs the finished file and renames it to the target, whose permissions it takes. */
int part_file_commit(struct part_file *f);

/* Writes the note. Reads it into `text`; returns how many bytes, 0 if the file has no note. */
int part_file_write_note(struct part_file *f, const char *text, size_t size);
size_t part_file_read_note(const struct part_file *f, char *text, size_t size);

/* Writes the last failure as text: "cannot write /tmp/a.mp4.part: No space left on device". */
void part_file_explain(const struct part_file *f, char *text, size_t size);

/* Closes the file and removes it unless it was committed or holds what another process left. In a forked
 * child it closes the child's descriptor and nothing else. Idempotent. */
void part_file_close(struct part_file *f);

#pragma GCC visibility pop

#endif
