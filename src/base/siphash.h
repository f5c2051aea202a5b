/* siphash.h -- SipHash-2-4 of 128 bits, over libsodium: short strings, much
 * cheaper than SHA-256. */
#ifndef QUORATE_BASE_SIPHASH_H
#define QUORATE_BASE_SIPHASH_H

#include "base/buf.h"

#define SIPHASH_LEN 16

void siphash(
    uint8_t out[SIPHASH_LEN], const uint8_t key[SIPHASH_LEN], struct span in);

#endif
