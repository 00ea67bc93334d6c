/* Specs of sys_hmac_sha256, with test cases of RFC 4231. */
#include <string.h>

#include "base/sys.h"
#include "check.h"

static int gives(const char *key, size_t key_len, const char *data, size_t len, const char *wanted) {
  unsigned char digest[SYS_SHA256_SIZE];
  char text[2 * SYS_SHA256_SIZE + 1];
  size_t i;
  if (sys_hmac_sha256(key, key_len, data, len, digest) != 0) return 0;
  for (i = 0; i < SYS_SHA256_SIZE; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
  return strcmp(text, wanted) == 0;
}

int main(void) {
  static const char greeting[] = "Hi There", question[] = "what do ya want for nothing?";
  static const char larger[] = "Test Using Larger Than Block-Size Key - Hash Key First";
  char key[131];
  memset(key, 0x0b, 20);
  CHECK(gives(key, 20, greeting, sizeof greeting - 1,
              "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"));
  CHECK(gives("Jefe", 4, question, sizeof question - 1,
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
  memset(key, 0xaa, sizeof key);
  CHECK(gives(key, sizeof key, larger, sizeof larger - 1,
              "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"));
  CHECK(gives("", 0, "", 0, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"));
  return summary();
}
