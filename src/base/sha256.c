#include "base/sha256.h"

void sha256_init(struct sha256 *h)
{
	crypto_hash_sha256_init(&h->s);
}

void sha256_add(struct sha256 *h, const void *p, size_t len)
{
	if (len > 0)
		crypto_hash_sha256_update(&h->s, p, len);
}

void sha256_end(struct sha256 *h, uint8_t out[SHA256_LEN])
{
	crypto_hash_sha256_final(&h->s, out);
}

void sha256_of(uint8_t out[SHA256_LEN], struct span in)
{
	struct sha256 h;

	sha256_init(&h);
	sha256_add(&h, in.p, in.len);
	sha256_end(&h, out);
}
