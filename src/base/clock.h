/* clock.h -- the one place that reads a clock or draws random bytes. */
#ifndef QUORATE_BASE_CLOCK_H
#define QUORATE_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t clock_unix_ms(void); /* CLOCK_REALTIME */
uint64_t clock_unix_us(void);
uint64_t clock_mono_ms(void); /* CLOCK_MONOTONIC */
uint64_t clock_mono_us(void);
uint64_t clock_boot_ms(void); /* CLOCK_BOOTTIME: goes on while suspended */
void random_bytes(void *p, size_t len); /* libsodium; never fails */
uint64_t random_u64(void);

#endif
