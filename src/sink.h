/* sink.h - a file that is either the old one or the whole new one.
 *
 * Owns a download's place on disk. Bytes go to "<path>.part" beside the target;
 * only sink_commit, after fsync, renames that over it. Invariant: whatever
 * fails, the file at `path` is untouched until the rename. */
#ifndef SORA_SINK_H
#define SORA_SINK_H

#include <stddef.h>

struct sink {
  int fd;           /* of the part file, or -1 */
  char *path;       /* the target */
  char *part;       /* the target's name with ".part" after it */
  int ours;         /* the part file is there because we made it */
  int kept;         /* it stays when the sink is closed: somebody will go on with it */
  long long bytes;  /* written so far */
  const char *verb; /* what failed, for the message: "open", "replace", "rewind", "write", "sync", "rename" */
  int code;         /* errno of it */
};

/* Makes a sink closed; sink_close on it is harmless. */
void sink_init(struct sink *s);

/* Opens the part file for `path` and goes on behind its first `from` bytes; the rest is dropped. 0, or -1 with `verb`
 * and `code` set, as in all of these. */
int sink_open(struct sink *s, const char *path, long long from);
int sink_write(struct sink *s, const char *data, size_t size);

/* Starts again with nothing written. */
int sink_rewind(struct sink *s);

/* Puts the finished file in place: fsync, rename, fsync of the folder. */
int sink_commit(struct sink *s);

/* "cannot write /tmp/a.mp4.part: No space left on device" */
void sink_explain(const struct sink *s, char *text, size_t size);

/* Lets go of everything; removes the part file unless it was committed. Idempotent. */
void sink_close(struct sink *s);

#endif
