/* tlog.c -- RFC 9162 §2.1.  Node (level, i) is the hash of the complete subtree
 * over leaves [i << level, (i + 1) << level). */
#include "ca/tlog.h"

#include <string.h>

#include "ca/internal.h"

void tlog_leaf(uint8_t out[SHA256_LEN], struct span leaf)
{
	struct sha256 h;

	sha256_init(&h);
	sha256_add(&h, "\0", 1);
	sha256_add(&h, leaf.p, leaf.len);
	sha256_end(&h, out);
}

void tlog_node(uint8_t out[SHA256_LEN], const uint8_t left[SHA256_LEN],
    const uint8_t right[SHA256_LEN])
{
	struct sha256 h;

	sha256_init(&h);
	sha256_add(&h, "\1", 1);
	sha256_add(&h, left, SHA256_LEN);
	sha256_add(&h, right, SHA256_LEN);
	sha256_end(&h, out);
}

struct span tlog_key(uint8_t key[TREE_KEY_LEN], unsigned level, uint64_t i)
{
	key[0] = (uint8_t)level;
	put_u64be(key + 1, i);
	return span_of(key, TREE_KEY_LEN);
}

static enum code tree_get(const struct ca *ca, unsigned level, uint64_t i,
    uint8_t out[SHA256_LEN], struct err *e)
{
	uint8_t key[TREE_KEY_LEN];
	struct span val;
	enum code rc =
	    state_get(ca, CA_T_TREE, tlog_key(key, level, i), &val, e);

	if (rc == E_NOTFOUND || (rc == E_OK && val.len != SHA256_LEN))
		return err_set(e, E_CORRUPT,
		    "Merkle log: node %u/%llu is missing", level,
		    (unsigned long long)i);
	if (rc == E_OK)
		memcpy(out, val.p, SHA256_LEN);
	return rc;
}

enum code tlog_append(
    struct ca *ca, const uint8_t leaf[SHA256_LEN], struct err *e)
{
	uint8_t key[TREE_KEY_LEN], hash[SHA256_LEN], left[SHA256_LEN];
	uint64_t i = ca->meta.tree_size;
	enum code rc;

	memcpy(hash, leaf, SHA256_LEN);
	rc = state_put(
	    ca, CA_T_TREE, tlog_key(key, 0, i), span_of(hash, SHA256_LEN), e);
	/* Each trailing one bit completes a subtree a level up. */
	for (unsigned level = 0; rc == E_OK && (i & 1) != 0; level++) {
		rc = tree_get(ca, level, i - 1, left, e);
		if (rc != E_OK)
			break;
		tlog_node(hash, left, hash);
		i >>= 1;
		rc = state_put(ca, CA_T_TREE, tlog_key(key, level + 1, i),
		    span_of(hash, SHA256_LEN), e);
	}
	if (rc == E_OK)
		ca->meta.tree_size++;
	return rc;
}

/* Largest power of two smaller than n, n > 1. */
static uint64_t split(uint64_t n)
{
	uint64_t k = 1;

	while (k < n - k)
		k <<= 1;
	return k;
}

static unsigned log2_of(uint64_t n)
{
	unsigned level = 0;

	while (n > 1) {
		n >>= 1;
		level++;
	}
	return level;
}

/* MTH over leaves [lo, lo + n): lo is a multiple of the subtree's size. */
static enum code subtree(const struct ca *ca, uint64_t lo, uint64_t n,
    uint8_t out[SHA256_LEN], struct err *e)
{
	uint8_t right[SHA256_LEN];
	unsigned level = log2_of(n);
	uint64_t k;
	enum code rc;

	if (n == 0) {
		sha256_of(out, SPAN_EMPTY);
		return E_OK;
	}
	if (n == (uint64_t)1 << level)
		return tree_get(ca, level, lo >> level, out, e);
	k = split(n);
	if ((rc = subtree(ca, lo, k, out, e)) != E_OK ||
	    (rc = subtree(ca, lo + k, n - k, right, e)) != E_OK)
		return rc;
	tlog_node(out, out, right);
	return E_OK;
}

static enum code size_check(const struct ca *ca, uint64_t size, struct err *e)
{
	if (size > ca->meta.tree_size)
		return err_set(e, E_NOTFOUND,
		    "the log has %llu leaves, not %llu",
		    (unsigned long long)ca->meta.tree_size,
		    (unsigned long long)size);
	return E_OK;
}

enum code tlog_root(
    const struct ca *ca, uint64_t size, uint8_t out[SHA256_LEN], struct err *e)
{
	enum code rc = size_check(ca, size, e);

	return rc == E_OK ? subtree(ca, 0, size, out, e) : rc;
}

static enum code proof_add(const struct ca *ca, uint64_t lo, uint64_t n,
    struct tlog_proof *p, struct err *e)
{
	return subtree(ca, lo, n, p->hash[p->n++], e);
}

enum code tlog_inclusion(const struct ca *ca, uint64_t leaf, uint64_t size,
    struct tlog_proof *out, struct err *e)
{
	uint64_t lo = 0, n = size, sib_lo[TLOG_PROOF_MAX],
		 sib_n[TLOG_PROOF_MAX];
	size_t depth = 0;
	enum code rc = size_check(ca, size, e);

	out->n = 0;
	if (rc != E_OK)
		return rc;
	if (leaf >= size)
		return err_set(e, E_INVAL, "leaf %llu is not in a tree of %llu",
		    (unsigned long long)leaf, (unsigned long long)size);
	while (n > 1) {
		uint64_t k = split(n);

		if (leaf - lo < k) {
			sib_lo[depth] = lo + k;
			sib_n[depth] = n - k;
			n = k;
		} else {
			sib_lo[depth] = lo;
			sib_n[depth] = k;
			lo += k;
			n -= k;
		}
		depth++;
	}
	while (rc == E_OK && depth > 0) {
		depth--;
		rc = proof_add(ca, sib_lo[depth], sib_n[depth], out, e);
	}
	return rc;
}

/* SUBPROOF(m, D[lo, lo + n), complete) of §2.1.4.1. */
static enum code subproof(const struct ca *ca, uint64_t m, uint64_t lo,
    uint64_t n, bool complete, struct tlog_proof *p, struct err *e)
{
	uint64_t k;
	enum code rc;

	if (m == n)
		return complete ? E_OK : proof_add(ca, lo, n, p, e);
	k = split(n);
	if (m <= k) {
		rc = subproof(ca, m, lo, k, complete, p, e);
		return rc == E_OK ? proof_add(ca, lo + k, n - k, p, e) : rc;
	}
	rc = subproof(ca, m - k, lo + k, n - k, false, p, e);
	return rc == E_OK ? proof_add(ca, lo, k, p, e) : rc;
}

enum code tlog_consistency(const struct ca *ca, uint64_t first, uint64_t second,
    struct tlog_proof *out, struct err *e)
{
	enum code rc = size_check(ca, second, e);

	out->n = 0;
	if (rc != E_OK)
		return rc;
	if (first > second)
		return err_set(e, E_INVAL, "a tree of %llu has no past of %llu",
		    (unsigned long long)second, (unsigned long long)first);
	if (first == 0 || first == second)
		return E_OK;
	return subproof(ca, first, 0, second, true, out, e);
}

bool tlog_verify_inclusion(const uint8_t leaf_hash[SHA256_LEN], uint64_t leaf,
    uint64_t size, const struct tlog_proof *p, const uint8_t root[SHA256_LEN])
{
	uint8_t r[SHA256_LEN];
	uint64_t fn = leaf, sn;

	if (leaf >= size || p->n > TLOG_PROOF_MAX)
		return false;
	sn = size - 1;
	memcpy(r, leaf_hash, SHA256_LEN);
	for (size_t i = 0; i < p->n; i++) {
		if (sn == 0)
			return false;
		if ((fn & 1) != 0 || fn == sn) {
			tlog_node(r, p->hash[i], r);
			while ((fn & 1) == 0 && fn != 0) {
				fn >>= 1;
				sn >>= 1;
			}
		} else {
			tlog_node(r, r, p->hash[i]);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && memcmp(r, root, SHA256_LEN) == 0;
}

bool tlog_verify_consistency(uint64_t first, uint64_t second,
    const uint8_t root1[SHA256_LEN], const uint8_t root2[SHA256_LEN],
    const struct tlog_proof *p)
{
	uint8_t fr[SHA256_LEN], sr[SHA256_LEN];
	uint64_t fn = first - 1, sn = second - 1;
	size_t i = 0;

	if (first > second || p->n > TLOG_PROOF_MAX)
		return false;
	if (first == second)
		return p->n == 0 && memcmp(root1, root2, SHA256_LEN) == 0;
	if (first == 0) { /* before everything: the hash of nothing */
		sha256_of(fr, SPAN_EMPTY);
		return p->n == 0 && memcmp(root1, fr, SHA256_LEN) == 0;
	}
	while ((fn & 1) != 0) {
		fn >>= 1;
		sn >>= 1;
	}
	/* A complete first tree is its own starting point. */
	if (fn == 0) {
		memcpy(fr, root1, SHA256_LEN);
	} else {
		if (p->n == 0)
			return false;
		memcpy(fr, p->hash[i++], SHA256_LEN);
	}
	memcpy(sr, fr, SHA256_LEN);
	for (; i < p->n; i++) {
		if (sn == 0)
			return false;
		if ((fn & 1) != 0 || fn == sn) {
			tlog_node(fr, p->hash[i], fr);
			tlog_node(sr, p->hash[i], sr);
			while ((fn & 1) == 0 && fn != 0) {
				fn >>= 1;
				sn >>= 1;
			}
		} else {
			tlog_node(sr, sr, p->hash[i]);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && memcmp(fr, root1, SHA256_LEN) == 0 &&
	       memcmp(sr, root2, SHA256_LEN) == 0;
}
