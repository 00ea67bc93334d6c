/* part_file.h - a file that is either the old one or the whole new one.
 *
 * Owns a download's file on disk: bytes go to "<path>.part" beside the target; only part_file_commit, after fsync,
 * renames that over it. Invariant: whatever fails, the file at `path` is untouched until the rename. */
#ifndef SORA_PART_FILE_H
#define SORA_PART_FILE_H

#include <stddef.h>

struct part_file {
  int fd;           /* of the part file, or -1 */
  char *path;       /* the target */
  char *part;       /* the target's name with ".part" after it */
  int made;         /* the part file exists because we made it */
  int kept;         /* closing leaves the part file, so that a later download can resume it */
  long long bytes;  /* written so far */
  const char *verb; /* what failed, for the message: "open", "replace", "rewind", "write", "sync", "rename" */
  int code;         /* errno of the failure */
};

/* Makes a closed part file; part_file_close on it does nothing. */
void part_file_init(struct part_file *f);

/* Opens the part file for `path`, keeps its first `from` bytes and drops the rest. 0, or -1 with `verb` and `code` set,
 * as in all functions here. */
int part_file_open(struct part_file *f, const char *path, long long from);
int part_file_write(struct part_file *f, const char *data, size_t size);

/* Drops all that was written. */
int part_file_rewind(struct part_file *f);

/* Syncs the finished file and renames it to the target. */
int part_file_commit(struct part_file *f);

/* Writes the last failure as text: "cannot write /tmp/a.mp4.part: No space left on device". */
void part_file_explain(const struct part_file *f, char *text, size_t size);

/* Closes the file and removes it unless it was committed or is kept. Idempotent. */
void part_file_close(struct part_file *f);

#endif
