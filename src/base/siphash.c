#include "base/siphash.h"

#include <sodium.h>

_Static_assert(SIPHASH_LEN == crypto_shorthash_siphashx24_BYTES, "the hash");
_Static_assert(SIPHASH_LEN == crypto_shorthash_siphashx24_KEYBYTES, "its key");

void siphash(
    uint8_t out[SIPHASH_LEN], const uint8_t key[SIPHASH_LEN], struct span in)
{
	crypto_shorthash_siphashx24(out, in.p, in.len, key);
}
