/* pem.c - what a PEM file holds; see pem.h. */
#include "base/pem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"

#define MOST_READ (256 * 1024) /* bytes; chains of certificates have some KiB */

static int find_labels(const char *text) {
  int found = 0;
  if (strstr(text, "CERTIFICATE-----") != NULL) found |= PEM_CERTIFICATE;
  if (strstr(text, "PRIVATE KEY-----") != NULL) found |= PEM_KEY;
  if (strstr(text, "ENCRYPTED PRIVATE KEY-----") != NULL || strstr(text, "Proc-Type: 4,ENCRYPTED") != NULL)
    found |= PEM_ENCRYPTED;
  return found;
}

/* Overwrites the text; `volatile`: compilers drop a write that nobody reads. */
static void wipe(volatile char *text, size_t size) {
  while (size > 0) text[--size] = 0;
}

int pem_read(const char *path) {
  char *text = malloc(MOST_READ + 1);
  int found = -1, code = ENOMEM;
  if (text != NULL) {
    long len = sys_file_peek(path, text, MOST_READ);
    code = errno;
    if (len >= 0) {
      text[len] = '\0';
      found = find_labels(text);
      wipe(text, (size_t)len);
    }
    free(text);
  }
  errno = code;
  return found;
}
