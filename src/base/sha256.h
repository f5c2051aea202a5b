/* sha256.h -- SHA-256 (FIPS 180-4), over OpenSSL's, which uses what the machine
 * has for it. */
#ifndef QUORATE_BASE_SHA256_H
#define QUORATE_BASE_SHA256_H

#include "base/buf.h"

#define SHA256_LEN 32

struct sha256 {
	uint64_t state[16]; /* OpenSSL's SHA256_CTX */
};
void sha256_init(struct sha256 *h);
void sha256_add(struct sha256 *h, const void *p, size_t len);
void sha256_end(struct sha256 *h, uint8_t out[SHA256_LEN]);
void sha256_of(uint8_t out[SHA256_LEN], struct span in);

#endif
