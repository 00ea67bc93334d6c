/* Specs of src/base/buffer.c. */
#include "base/buffer.h"

#include <stdint.h>
#include <string.h>

#include "check.h"

static void growing(void) {
  struct buffer b = {0};
  unsigned i, wanted = 0;
  CHECK(buffer_add(&b, NULL, 0) == 0);
  CHECK(b.len == 0);
  for (i = 0; i < 2000; i++) {
    char piece[64];
    unsigned size = pick(sizeof piece + 1);
    memset(piece, (int)(i % 251), size);
    CHECK(buffer_add(&b, piece, size) == 0);
    wanted += size;
    CHECK_CASE(b.len == wanted && b.len <= b.cap && b.data != NULL, "after piece %u", i);
    CHECK_CASE(size == 0 || (unsigned char)b.data[b.len - 1] == i % 251, "the last byte of piece %u", i);
  }
  buffer_free(&b);
  CHECK(b.data == NULL && b.len == 0 && b.cap == 0);
  buffer_free(&b);
  CHECK(b.data == NULL);
}

static void strings(void) {
  struct buffer b = {0};
  unsigned i;
  CHECK(strcmp(buffer_string(&b), "") == 0);
  CHECK(b.len == 0);
  CHECK(buffer_puts(&b, "") == 0 && b.len == 0);
  for (i = 1; i <= 1100; i++) { /* long enough to reach a full buffer, where the '\0' needs more memory */
    CHECK(buffer_puts(&b, "x") == 0);
    CHECK(strlen(buffer_string(&b)) == i && b.len == i);
  }
  CHECK(buffer_add(&b, "\0y", 2) == 0);
  CHECK(b.len == 1102 && b.data[1101] == 'y' && buffer_string(&b)[1102] == '\0');
  buffer_free(&b);
}

static void too_large(void) {
  struct buffer b = {0};
  const char *before;
  CHECK(buffer_puts(&b, "kept") == 0);
  before = b.data;
  CHECK(buffer_add(&b, "x", SIZE_MAX) != 0);
  CHECK(buffer_add(&b, "x", SIZE_MAX / 2) != 0);
  CHECK(buffer_add_encoded(&b, "x", SIZE_MAX / 3, "") != 0);
  CHECK(b.len == 4 && b.data == before && memcmp(b.data, "kept", 4) == 0);
  buffer_free(&b);
}

static void clearing(void) {
  struct buffer b = {0};
  size_t i;
  buffer_clear(&b, 0);
  CHECK(b.data == NULL);
  CHECK(buffer_puts(&b, "abc") == 0);
  buffer_clear(&b, b.cap);
  CHECK(b.len == 0 && b.data != NULL); /* small enough to keep */
  for (i = 0; i < 1000; i++) CHECK(buffer_puts(&b, "abcdefgh") == 0);
  buffer_clear(&b, 4096);
  CHECK(b.len == 0 && b.data == NULL && b.cap == 0);
  CHECK(buffer_puts(&b, "again") == 0 && b.len == 5);
  buffer_free(&b);
}

static int is_unreserved(int c) {
  return c != 0 && strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~", c) != NULL;
}

static void encoding(void) {
  char all[256], out[3 * 256], hex[4];
  struct buffer b = {0};
  const char *at;
  size_t size;
  int c;
  for (c = 0; c < 256; c++) all[c] = (char)c;
  for (c = 0; c < 256; c++) {
    int plain = is_unreserved(c);
    snprintf(hex, sizeof hex, "%%%02X", (unsigned)c);
    size = percent_encode(out, all + c, 1, "");
    CHECK_CASE(size == (plain ? 1u : 3u), "byte %d", c);
    CHECK_CASE(plain ? out[0] == (char)c : memcmp(out, hex, 3) == 0, "byte %d", c);
    size = percent_encode(out, all + c, 1, ":/\xC3");
    CHECK_CASE(size == (plain || c == ':' || c == '/' || c == 0xC3 ? 1u : 3u), "byte %d with others allowed", c);
  }
  CHECK(percent_encode(out, all, 0, "") == 0);
  CHECK(buffer_puts(&b, "p=") == 0 && buffer_add_encoded(&b, all, sizeof all, "") == 0);
  for (c = 0, at = b.data + 2; c < 256; c++) {
    if (is_unreserved(c)) {
      CHECK_CASE(*at == (char)c, "byte %d among all", c);
      at++;
    } else {
      snprintf(hex, sizeof hex, "%%%02X", (unsigned)c);
      CHECK_CASE(memcmp(at, hex, 3) == 0, "byte %d among all", c);
      at += 3;
    }
  }
  CHECK(at == b.data + b.len);
  buffer_free(&b);
}

int main(void) {
  growing();
  strings();
  too_large();
  clearing();
  encoding();
  return summary();
}
