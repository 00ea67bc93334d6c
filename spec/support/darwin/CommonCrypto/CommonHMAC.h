/* The part of <CommonCrypto/CommonHMAC.h> that src/base/sys_hmac.c needs, so that it can be compiled (not linked) on
 * Linux. Written from Apple's manual page CCHmac(3cc). */
#ifndef SORA_SPEC_COMMON_HMAC_H
#define SORA_SPEC_COMMON_HMAC_H

#include <stddef.h>
#include <stdint.h>

typedef uint32_t CCHmacAlgorithm;
#define kCCHmacAlgSHA256 2

void CCHmac(CCHmacAlgorithm algorithm, const void *key, size_t key_length, const void *data, size_t data_length,
            void *mac_out);

#endif
