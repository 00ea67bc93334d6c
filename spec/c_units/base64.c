/* Specs of src/base/base64.c: decodes what an encoder written here has made. */
#include "base/base64.h"

#include <string.h>

#include "check.h"

#define MOST 300
#define DECODED(len) ((len) / 4 * 3 + 3)
#define GUARD 0x5A

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char urls[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Returns the length of the text. `breaks` inserts a line break now and then. */
static size_t encode(const unsigned char *bytes, size_t len, const char *alphabet, int padded, int breaks, char *out) {
  size_t at = 0, i;
  for (i = 0; i < len; i += 3) {
    unsigned long bits = (unsigned long)bytes[i] << 16;
    size_t left = len - i, j;
    if (left > 1) bits |= (unsigned long)bytes[i + 1] << 8;
    if (left > 2) bits |= bytes[i + 2];
    for (j = 0; j < 4; j++) {
      if (breaks && pick(8) == 0) out[at++] = "\r\n"[pick(2)];
      if (j <= left) {
        out[at++] = alphabet[bits >> (18 - 6 * j) & 63];
      } else if (padded) {
        out[at++] = '=';
      }
    }
  }
  if (breaks && pick(2) == 0) out[at++] = '\n';
  return at;
}

/* Decodes from and to memory of exactly the documented sizes, so that a sanitizer detects any access beyond them.
 * Without a sanitizer, the guard byte detects a write beyond the end. */
static long decode(const char *text, size_t len, char *out) {
  char *target = malloc(DECODED(len) + 1), *exact = malloc(len > 0 ? len : 1);
  long written;
  if (target == NULL || exact == NULL) exit(EXIT_FAILURE);
  memcpy(exact, text, len);
  target[DECODED(len)] = GUARD;
  written = base64_decode(exact, len, target);
  CHECK(target[DECODED(len)] == GUARD);
  CHECK(written <= (long)DECODED(len));
  if (written > 0) memcpy(out, target, (size_t)written);
  free(exact);
  free(target);
  return written;
}

static void round_trips(void) {
  unsigned char bytes[MOST];
  char text[MOST * 3], out[MOST * 3];
  size_t len, i;
  int kind;
  for (len = 0; len < MOST; len++) {
    for (i = 0; i < len; i++) bytes[i] = (unsigned char)pick(256);
    for (kind = 0; kind < 8; kind++) {
      size_t size = encode(bytes, len, kind & 1 ? urls : plain, kind & 2, kind & 4, text);
      long written = decode(text, size, out);
      CHECK_CASE(written == (long)len, "%lu bytes, kind %d: %ld", (unsigned long)len, kind, written);
      CHECK_CASE(written != (long)len || memcmp(out, bytes, len) == 0, "%lu bytes, kind %d", (unsigned long)len, kind);
    }
  }
}

static int gives(const char *text, const char *wanted) {
  char out[64];
  long written = decode(text, strlen(text), out);
  return written == (long)strlen(wanted) && memcmp(out, wanted, (size_t)written) == 0;
}

/* The examples of RFC 4648, section 10, and endings without padding. */
static void examples(void) {
  CHECK(gives("", ""));
  CHECK(gives("Zg==", "f"));
  CHECK(gives("Zm8=", "fo"));
  CHECK(gives("Zm9v", "foo"));
  CHECK(gives("Zm9vYg==", "foob"));
  CHECK(gives("Zm9vYmE=", "fooba"));
  CHECK(gives("Zm9vYmFy", "foobar"));
  CHECK(gives("Zg", "f"));
  CHECK(gives("Zm8", "fo"));
  CHECK(gives("Zg=", "f"));
  CHECK(gives("Zm9v\r\nYmFy\r\n", "foobar"));
  CHECK(gives("\nZg==\n", "f"));
  CHECK(gives("Zg=\n=", "f"));
  CHECK(gives("\r\n", ""));
  CHECK(gives("====", ""));
}

static int is_none(const char *text, size_t len) {
  char out[64];
  return decode(text, len, out) == -1;
}

/* Every character that base64 does not use, in every position. */
static void junk(void) {
  char text[9];
  int c, place;
  for (c = 0; c < 256; c++) {
    int known = c == '\r' || c == '\n' || c == '=' || (c != 0 && (strchr(plain, c) != NULL || strchr(urls, c) != NULL));
    for (place = 0; place < 8; place++) {
      memcpy(text, "Zm9vYmFy", 9);
      text[place] = (char)c;
      if (!known) CHECK_CASE(is_none(text, 8), "character %d in place %d", c, place);
    }
  }
  CHECK(is_none("Z", 1));
  CHECK(is_none("Zm9vY", 5));
  CHECK(is_none("Z===", 4));
  CHECK(is_none("Zg==Zg==", 8));
  CHECK(is_none("=Zg=", 4));
  CHECK(is_none("Zg== ", 5));
  CHECK(is_none("<html>", 6));
  CHECK(is_none("{\"a\":1}", 7));
}

/* Random texts: nothing is written beyond the output memory. */
static void noise(void) {
  static const char letters[] = "ABYZabyz019+/-_==\r\n *";
  char text[40], out[64];
  int i;
  for (i = 0; i < 20000; i++) {
    size_t len = pick(sizeof text), j;
    for (j = 0; j < len; j++) text[j] = letters[pick(i % 2 != 0 ? sizeof letters - 1 : 15)];
    CHECK(decode(text, len, out) >= -1);
  }
}

int main(void) {
  round_trips();
  examples();
  junk();
  noise();
  return summary();
}
