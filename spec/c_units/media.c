/* Specs of src/base/media.c. */
#include "base/media.h"

#include <string.h>

#include "check.h"

static int is(const char *type, const char *wanted) {
  return type == NULL || wanted == NULL ? type == wanted : strcmp(type, wanted) == 0;
}

static void of_names(void) {
  CHECK(is(media_of_name("a.png"), "image/png"));
  CHECK(is(media_of_name("/b.mp4/c.d.JPeG"), "image/jpeg"));
  CHECK(is(media_of_name(".mov"), "video/quicktime"));
  CHECK(is(media_of_name("a.mp4/film"), NULL));
  CHECK(is(media_of_name("a.pn"), NULL));
  CHECK(is(media_of_name("a.pngs"), NULL));
  CHECK(is(media_of_name("png"), NULL));
  CHECK(is(media_of_name("a."), NULL));
  CHECK(is(media_of_name(""), NULL));
}

/* A copy of exactly the text's size, so that the sanitizer detects a read beyond its end. */
static const char *of_bytes(const char *bytes, size_t len) {
  char *copy = malloc(len != 0 ? len : 1);
  const char *type;
  memcpy(copy, bytes, len);
  type = media_of_bytes(copy, len);
  free(copy);
  return type;
}

static void of_heads(void) {
  static const char webp[] = "RIFF\x24\0\0\0WEBPVP8 ",
                    mp4[] = "\0\0\0\x20"
                            "ftypisom",
                    mov[] = "\0\0\0\x14"
                            "ftypqt  ";
  size_t len;
  CHECK(is(of_bytes("\x89PNG\r\n\x1A\n", 8), "image/png"));
  CHECK(is(of_bytes("\xFF\xD8\xFF\xE1", 4), "image/jpeg"));
  CHECK(is(of_bytes("GIF87a", 6), "image/gif"));
  CHECK(is(of_bytes("\x1A\x45\xDF\xA3", 4), "video/webm"));
  CHECK(is(of_bytes("{\"id\":1}", 8), NULL));
  for (len = 0; len < sizeof webp; len++) CHECK(is(of_bytes(webp, len), len < 12 ? NULL : "image/webp"));
  for (len = 0; len < sizeof mp4; len++) CHECK(is(of_bytes(mp4, len), len < 8 ? NULL : "video/mp4"));
  for (len = 0; len < sizeof mov; len++)
    CHECK(is(of_bytes(mov, len), len < 8 ? NULL : len < 12 ? "video/mp4" : "video/quicktime"));
}

static void extensions(void) {
  CHECK(is(media_extension("image/jpeg"), ".jpg"));
  CHECK(is(media_extension("Video/MP4"), ".mp4"));
  CHECK(is(media_extension("text/x-none"), ""));
}

int main(void) {
  of_names();
  of_heads();
  extensions();
  return summary();
}
