/* tlog.h -- the Merkle log: RFC 9162 §2.1 hashing over the TREE table, which
 * holds the hash of every complete subtree, so that roots and proofs cost
 * O(log n) reads. */
#ifndef QUORATE_CA_TLOG_H
#define QUORATE_CA_TLOG_H

#include "ca/ca.h"

#define TLOG_PROOF_MAX 64

struct tlog_proof {
	uint8_t hash[TLOG_PROOF_MAX][SHA256_LEN];
	size_t n;
};

/* Root of the first `size` leaves (at most what is there). */
enum code tlog_root(const struct ca *ca, uint64_t size, uint8_t out[SHA256_LEN],
    struct err *e) MUST_CHECK;
/* RFC 9162 §2.1.3.1: leaf at `leaf` (0-based) in the tree of `size`. */
enum code tlog_inclusion(const struct ca *ca, uint64_t leaf, uint64_t size,
    struct tlog_proof *out, struct err *e) MUST_CHECK;
/* RFC 9162 §2.1.4.1: from the tree of `first` to that of `second`. */
enum code tlog_consistency(const struct ca *ca, uint64_t first, uint64_t second,
    struct tlog_proof *out, struct err *e) MUST_CHECK;

/* Pure verifiers, §2.1.3.2 and §2.1.4.2. */
bool tlog_verify_inclusion(const uint8_t leaf_hash[SHA256_LEN], uint64_t leaf,
    uint64_t size, const struct tlog_proof *p, const uint8_t root[SHA256_LEN]);
bool tlog_verify_consistency(uint64_t first, uint64_t second,
    const uint8_t root1[SHA256_LEN], const uint8_t root2[SHA256_LEN],
    const struct tlog_proof *p);

#endif
