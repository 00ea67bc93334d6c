/* sys_hmac.c - sys_hmac_sha256 by the system's own library: CommonCrypto on macOS, BCrypt on Windows, elsewhere
 * OpenSSL. Owns every include of those. */
#include "base/sys.h"

#if defined(__APPLE__)

#include <CommonCrypto/CommonHMAC.h>

int sys_hmac_sha256(const char *key, size_t key_len, const char *data, size_t len, unsigned char *digest) {
  CCHmac(kCCHmacAlgSHA256, key, key_len, data, len, digest);
  return 0;
}

#elif defined(_WIN32)

#include <windows.h>

#include <bcrypt.h>

/* BCrypt counts in 32 bits. */
static int add(BCRYPT_HASH_HANDLE hash, const char *data, size_t len) {
  while (len > 0) {
    ULONG part = len < 0x40000000 ? (ULONG)len : 0x40000000;
    if (BCryptHashData(hash, (PUCHAR)data, part, 0) < 0) return -1;
    data += part;
    len -= part;
  }
  return 0;
}

int sys_hmac_sha256(const char *key, size_t key_len, const char *data, size_t len, unsigned char *digest) {
  BCRYPT_ALG_HANDLE algorithm;
  BCRYPT_HASH_HANDLE hash;
  int result = -1;
  if (key_len > 0x7fffffff) return -1;
  if (BCryptOpenAlgorithmProvider(&algorithm, BCRYPT_SHA256_ALGORITHM, NULL, BCRYPT_ALG_HANDLE_HMAC_FLAG) < 0)
    return -1;
  if (BCryptCreateHash(algorithm, &hash, NULL, 0, (PUCHAR)key, (ULONG)key_len, 0) >= 0) {
    if (add(hash, data, len) == 0 && BCryptFinishHash(hash, digest, SYS_SHA256_SIZE, 0) >= 0) result = 0;
    BCryptDestroyHash(hash);
  }
  BCryptCloseAlgorithmProvider(algorithm, 0);
  return result;
}

#else

#include <openssl/evp.h>
#include <openssl/hmac.h>

int sys_hmac_sha256(const char *key, size_t key_len, const char *data, size_t len, unsigned char *digest) {
  unsigned int size = SYS_SHA256_SIZE;
  if (key_len > 0x7fffffff) return -1;
  return HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)data, len, digest, &size) != NULL ? 0 : -1;
}

#endif
