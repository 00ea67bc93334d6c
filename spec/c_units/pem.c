/* Specs of src/base/pem.c. */
#include "base/pem.h"

#include <errno.h>
#include <string.h>

#include "check.h"

#define KEY(label) "-----BEGIN " label "-----\nAAAA\n-----END " label "-----\n"
#define PATH "build/pem-unit.pem"

static int of_text(const char *text, size_t len) {
  FILE *file = fopen(PATH, "wb");
  int found;
  if (file == NULL || fwrite(text, 1, len, file) != len || fclose(file) != 0) return -2;
  found = pem_read(PATH);
  remove(PATH);
  return found;
}

static int of(const char *text) {
  return of_text(text, strlen(text));
}

static void of_contents(void) {
  CHECK(of("") == 0);
  CHECK(of("hello") == 0);
  CHECK(of(KEY("CERTIFICATE")) == PEM_CERTIFICATE);
  CHECK(of(KEY("TRUSTED CERTIFICATE")) == PEM_CERTIFICATE);
  CHECK(of(KEY("CERTIFICATE REQUEST")) == 0);
  CHECK(of(KEY("PUBLIC KEY")) == 0);
  CHECK(of(KEY("PRIVATE KEY")) == PEM_KEY);
  CHECK(of(KEY("EC PRIVATE KEY")) == PEM_KEY);
  CHECK(of(KEY("PRIVATE KEY") "text\n" KEY("CERTIFICATE")) == (PEM_KEY | PEM_CERTIFICATE));
  CHECK(of(KEY("ENCRYPTED PRIVATE KEY")) == (PEM_KEY | PEM_ENCRYPTED));
  CHECK(of("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAA\n-----END RSA PRIVATE KEY-----\n") ==
        (PEM_KEY | PEM_ENCRYPTED));
  CHECK(of_text("\x30\x82\0\1\0", 5) == 0);
}

static void of_files_that_are_none(void) {
  CHECK(pem_read("/nonexistent/x.pem") == -1 && errno == ENOENT);
  CHECK(pem_read("/") == -1 && errno == EISDIR);
  CHECK(pem_read("/dev/null") == -1 && errno == EINVAL);
}

int main(void) {
  of_contents();
  of_files_that_are_none();
  return summary();
}
