/* fuzz.h -- what every fuzz target offers: see rules.mk for how to add one. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Any bytes; 0.  A fault is a crash: abort(), or what a sanitizer sees. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
