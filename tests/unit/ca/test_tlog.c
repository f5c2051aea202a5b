/* test_tlog.c -- the Merkle log against RFC 9162 §2.1, computed here the slow
 * way, and against published roots. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "ca/internal.h"
#include "ca/tlog.h"
#include "world.h"

#define SIZES 200

static struct world w;
static uint8_t leaves[SIZES][SHA256_LEN]; /* hashes */

/* ---- RFC 9162 §2.1, word by word -------------------------------------------
 */

static void hash_node(
    uint8_t out[SHA256_LEN], const uint8_t *left, const uint8_t *right)
{
	uint8_t in[1 + 2 * SHA256_LEN] = {1};

	memcpy(in + 1, left, SHA256_LEN);
	memcpy(in + 1 + SHA256_LEN, right, SHA256_LEN);
	sha256_of(out, span_of(in, sizeof(in)));
}

static size_t below(size_t n) /* largest power of two smaller than n */
{
	size_t k = 1;

	while (2 * k < n)
		k *= 2;
	return k;
}

static void mth(uint8_t out[SHA256_LEN], size_t lo, size_t n)
{
	uint8_t left[SHA256_LEN], right[SHA256_LEN];

	if (n == 0) {
		sha256_of(out, SPAN_EMPTY);
	} else if (n == 1) {
		memcpy(out, leaves[lo], SHA256_LEN);
	} else {
		mth(left, lo, below(n));
		mth(right, lo + below(n), n - below(n));
		hash_node(out, left, right);
	}
}

static void path(struct tlog_proof *p, size_t m, size_t lo, size_t n)
{
	size_t k = below(n);

	if (n == 1)
		return;
	if (m < k) {
		path(p, m, lo, k);
		mth(p->hash[p->n++], lo + k, n - k);
	} else {
		path(p, m - k, lo + k, n - k);
		mth(p->hash[p->n++], lo, k);
	}
}

static void sub_proof(
    struct tlog_proof *p, size_t m, size_t lo, size_t n, bool whole)
{
	size_t k = below(n);

	if (m == n) {
		if (!whole)
			mth(p->hash[p->n++], lo, n);
	} else if (m <= k) {
		sub_proof(p, m, lo, k, whole);
		mth(p->hash[p->n++], lo + k, n - k);
	} else {
		sub_proof(p, m - k, lo + k, n - k, false);
		mth(p->hash[p->n++], lo, k);
	}
}

/* ---- The tree under test
 * ----------------------------------------------------- */

static int setup(void **state)
{
	struct err e;

	(void)state;
	world_open(&w);
	for (size_t i = 0; i < SIZES; i++) {
		struct span leaf = world_text(&w, "leaf %zu", i);

		tlog_leaf(leaves[i], leaf);
		if (tlog_append(w.ca, leaves[i], &e) != E_OK)
			return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

static void roots_are_the_rfcs(void **state)
{
	uint8_t want[SHA256_LEN], got[SHA256_LEN];
	struct err e;

	(void)state;
	for (size_t n = 0; n <= SIZES; n++) {
		mth(want, 0, n);
		assert_int_equal(tlog_root(w.ca, n, got, &e), E_OK);
		assert_memory_equal(got, want, SHA256_LEN);
	}
	assert_int_equal(tlog_root(w.ca, SIZES + 1, got, &e), E_NOTFOUND);
}

static void same_proof(const struct tlog_proof *a, const struct tlog_proof *b)
{
	assert_int_equal(a->n, b->n);
	assert_memory_equal(a->hash, b->hash, a->n * SHA256_LEN);
}

/* Each way to alter a proof that keeps its size, and its size. */
static void altered_inclusion(
    size_t leaf, size_t size, struct tlog_proof *p, uint8_t root[SHA256_LEN])
{
	uint8_t bit = (uint8_t)(1 << leaf % 8), *at;

	if (p->n > 0) {
		at = &p->hash[(leaf + size) % p->n][leaf % SHA256_LEN];
		*at ^= bit;
		assert_false(
		    tlog_verify_inclusion(leaves[leaf], leaf, size, p, root));
		*at ^= bit;
		p->n--;
		assert_false(
		    tlog_verify_inclusion(leaves[leaf], leaf, size, p, root));
		p->n++;
	}
	memset(p->hash[p->n++], 0, SHA256_LEN);
	assert_false(tlog_verify_inclusion(leaves[leaf], leaf, size, p, root));
	p->n--;
	root[size % SHA256_LEN] ^= bit;
	assert_false(tlog_verify_inclusion(leaves[leaf], leaf, size, p, root));
	root[size % SHA256_LEN] ^= bit;
	assert_false(tlog_verify_inclusion(
	    leaves[(leaf + 1) % SIZES], leaf, size, p, root));
	if (size > 1)
		assert_false(tlog_verify_inclusion(
		    leaves[leaf], (leaf + 1) % size, size, p, root));
	assert_false(tlog_verify_inclusion(leaves[leaf], size, size, p, root));
}

static void inclusion_is_proved(void **state)
{
	struct err e;

	(void)state;
	for (size_t size = 1; size <= SIZES; size++) {
		uint8_t root[SHA256_LEN];

		mth(root, 0, size);
		for (size_t leaf = 0; leaf < size; leaf++) {
			struct tlog_proof got, want = {.n = 0};

			path(&want, leaf, 0, size);
			assert_int_equal(
			    tlog_inclusion(w.ca, leaf, size, &got, &e), E_OK);
			same_proof(&got, &want);
			assert_true(tlog_verify_inclusion(
			    leaves[leaf], leaf, size, &got, root));
			altered_inclusion(leaf, size, &got, root);
		}
	}
}

static void altered_consistency(size_t first, size_t second,
    struct tlog_proof *p, uint8_t r1[SHA256_LEN], uint8_t r2[SHA256_LEN])
{
	uint8_t bit = (uint8_t)(1 << first % 8), *at;

	if (p->n > 0) {
		at = &p->hash[(first + second) % p->n][first % SHA256_LEN];
		*at ^= bit;
		assert_false(tlog_verify_consistency(first, second, r1, r2, p));
		*at ^= bit;
		p->n--;
		assert_false(tlog_verify_consistency(first, second, r1, r2, p));
		p->n++;
	}
	memset(p->hash[p->n++], 0, SHA256_LEN);
	assert_false(tlog_verify_consistency(first, second, r1, r2, p));
	p->n--;
	r1[second % SHA256_LEN] ^= bit;
	assert_false(tlog_verify_consistency(first, second, r1, r2, p));
	r1[second % SHA256_LEN] ^= bit;
	if (first != 0) { /* nothing binds the second to nothing */
		r2[second % SHA256_LEN] ^= bit;
		assert_false(tlog_verify_consistency(first, second, r1, r2, p));
		r2[second % SHA256_LEN] ^= bit;
	}
	if (first != second)
		assert_false(tlog_verify_consistency(second, first, r2, r1, p));
}

static void consistency_is_proved(void **state)
{
	struct err e;

	(void)state;
	for (size_t second = 0; second <= SIZES; second++) {
		uint8_t r1[SHA256_LEN], r2[SHA256_LEN];

		mth(r2, 0, second);
		for (size_t first = 0; first <= second; first++) {
			struct tlog_proof got, want = {.n = 0};

			mth(r1, 0, first);
			if (first != 0)
				sub_proof(&want, first, 0, second, true);
			assert_int_equal(
			    tlog_consistency(w.ca, first, second, &got, &e),
			    E_OK);
			same_proof(&got, &want);
			assert_true(tlog_verify_consistency(
			    first, second, r1, r2, &got));
			altered_consistency(first, second, &got, r1, r2);
		}
	}
}

static void what_is_not_there_is_not_proved(void **state)
{
	struct tlog_proof p;
	struct err e;

	(void)state;
	assert_int_equal(tlog_inclusion(w.ca, 5, 5, &p, &e), E_INVAL);
	assert_int_equal(tlog_inclusion(w.ca, 0, 0, &p, &e), E_INVAL);
	assert_int_equal(
	    tlog_inclusion(w.ca, 0, SIZES + 1, &p, &e), E_NOTFOUND);
	assert_int_equal(tlog_consistency(w.ca, 6, 5, &p, &e), E_INVAL);
	assert_int_equal(
	    tlog_consistency(w.ca, 1, SIZES + 1, &p, &e), E_NOTFOUND);
}

static void a_proof_is_never_longer_than_its_array(void **state)
{
	static struct tlog_proof p = {.n = TLOG_PROOF_MAX + 1};
	uint8_t root[SHA256_LEN] = {0};

	(void)state;
	assert_false(tlog_verify_inclusion(leaves[0], 0, UINT64_MAX, &p, root));
	assert_false(
	    tlog_verify_consistency(1, UINT64_MAX, leaves[0], leaves[1], &p));
	assert_false(tlog_verify_consistency(
	    UINT64_MAX - 1, UINT64_MAX, leaves[0], leaves[1], &p));
}

static void a_missing_node_is_corruption(void **state)
{
	struct ca_db db = mem_db(&w.mem);
	uint8_t key[9] = {5}, root[SHA256_LEN]; /* leaves 32 to 63 */
	struct tlog_proof p;
	struct err e = {0};

	(void)state;
	put_u64be(key + 1, 1);
	assert_int_equal(
	    db.ops->del(db.ctx, CA_T_TREE, span_of(key, sizeof(key)), &e),
	    E_OK);
	assert_int_equal(tlog_root(w.ca, 63, root, &e), E_OK);
	assert_int_equal(tlog_inclusion(w.ca, 0, 64, &p, &e), E_CORRUPT);
	assert_non_null(strstr(e.text, "node 5/1"));
}

/* The eight inputs and the roots after each that Certificate Transparency's
 * implementations are tested with: google/certificate-transparency,
 * cpp/merkletree/merkle_tree_test.cc, and transparency-dev/merkle. */
static void published_roots(void **state)
{
	static const struct {
		const char *leaf, *root;
	} rows[] = {
	    {"", "6e340b9cffb37a989ca544e6bb780a2c"
		 "78901d3fb33738768511a30617afa01d"},
	    {"00", "fac54203e7cc696cf0dfcb42c92a1d9d"
		   "baf70ad9e621f4bd8d98662f00e3c125"},
	    {"10", "aeb6bcfe274b70a14fb067a5e5578264"
		   "db0fa9b51af5e0ba159158f329e06e77"},
	    {"2021", "d37ee418976dd95753c1c73862b9398f"
		     "a2a2cf9b4ff0fdfe8b30cd95209614b7"},
	    {"3031", "4e3bbb1f7b478dcfe71fb631631519a3"
		     "bca12c9aefca1612bfce4c13a86264d4"},
	    {"40414243", "76e67dadbcdf1e10e1b74ddc608abd2f"
			 "98dfb16fbce75277b5232a127f2087ef"},
	    {"5051525354555657", "ddb89be403809e325750d3d263cd7892"
				 "9c2942b7942a34b77e122c9594a74c8c"},
	    {"606162636465666768696a6b6c6d6e6f",
		"5dc9da79a70659a9ad559cb701ded9a2"
		"ab9d823aad2f4960cfe370eff4604328"},
	};
	struct world ct;
	struct err e;

	(void)state;
	world_open(&ct);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint8_t leaf[16], hash[SHA256_LEN], root[SHA256_LEN];
		char hex[2 * SHA256_LEN + 1];
		size_t len = strlen(rows[i].leaf) / 2;

		assert_int_equal(hex_decode(leaf, len, rows[i].leaf, &e), E_OK);
		tlog_leaf(hash, span_of(leaf, len));
		assert_int_equal(tlog_append(ct.ca, hash, &e), E_OK);
		assert_int_equal(tlog_root(ct.ca, i + 1, root, &e), E_OK);
		hex_encode(hex, root, sizeof(root));
		assert_string_equal(hex, rows[i].root);
	}
	world_close(&ct);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(roots_are_the_rfcs),
	    cmocka_unit_test(inclusion_is_proved),
	    cmocka_unit_test(consistency_is_proved),
	    cmocka_unit_test(what_is_not_there_is_not_proved),
	    cmocka_unit_test(a_proof_is_never_longer_than_its_array),
	    cmocka_unit_test(a_missing_node_is_corruption),
	    cmocka_unit_test(published_roots),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
