/* sha256.c -- the plain functions of OpenSSL: those of EVP look an algorithm up
 * and allocate, which costs more than the hash of a short row. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/sha256.h"

#include <openssl/sha.h>

_Static_assert(sizeof(struct sha256) >= sizeof(SHA256_CTX),
    "SHA256_CTX does not fit struct sha256");

static SHA256_CTX *ctx_of(struct sha256 *h)
{
	return (SHA256_CTX *)(void *)h;
}

void sha256_init(struct sha256 *h)
{
	SHA256_Init(ctx_of(h));
}

void sha256_add(struct sha256 *h, const void *p, size_t len)
{
	if (len > 0)
		SHA256_Update(ctx_of(h), p, len);
}

void sha256_end(struct sha256 *h, uint8_t out[SHA256_LEN])
{
	SHA256_Final(out, ctx_of(h));
}

void sha256_of(uint8_t out[SHA256_LEN], struct span in)
{
	struct sha256 h;

	sha256_init(&h);
	sha256_add(&h, in.p, in.len);
	sha256_end(&h, out);
}
