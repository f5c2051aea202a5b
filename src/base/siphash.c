#include "base/siphash.h"

#include <sodium.h>

_Static_assert(SIPHASH_LEN == crypto_shorthash_siphashx24_BYTES &&
		   SIPHASH_LEN == crypto_shorthash_siphashx24_KEYBYTES,
    "the lengths of libsodium");

void siphash(
    uint8_t out[SIPHASH_LEN], const uint8_t key[SIPHASH_LEN], struct span in)
{
	crypto_shorthash_siphashx24(out, in.p, in.len, key);
}
