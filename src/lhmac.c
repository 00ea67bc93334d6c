/* lhmac.c - what verifying a webhook needs of libcrypto: HMAC-SHA256 and a comparison that takes the same time
 * wherever two texts differ.
 *
 * libcrypto is there already, under libcurl's TLS. Owns nothing. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "compat.h"
#include "lsora.h"

/* core.hmac_sha256(key, data): 32 bytes (RFC 2104, FIPS 180-4). */
int lhmac_sha256(lua_State *L) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  size_t key_len, len;
  const char *key = luaL_checklstring(L, 1, &key_len), *data = luaL_checklstring(L, 2, &len);
  if (HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)data, len, digest, &size) == NULL)
    return luaL_error(L, "libcrypto has no HMAC-SHA256");
  lua_pushlstring(L, (const char *)digest, size);
  return 1;
}

/* core.equal(a, b): whether two strings are the same, in a time that tells nothing but their lengths. */
int lhmac_equal(lua_State *L) {
  size_t la, lb;
  const char *a = luaL_checklstring(L, 1, &la), *b = luaL_checklstring(L, 2, &lb);
  lua_pushboolean(L, la == lb && CRYPTO_memcmp(a, b, la) == 0);
  return 1;
}
