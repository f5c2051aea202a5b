/* crc32c.h -- CRC-32C (Castagnoli, RFC 3720 appendix B.4). */
#ifndef QUORATE_BASE_CRC32C_H
#define QUORATE_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Start with crc = 0; chain by passing the last result. */
uint32_t crc32c(uint32_t crc, const void *p, size_t len);

#endif
