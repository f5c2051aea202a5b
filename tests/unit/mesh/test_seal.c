/* Sealing: what opens, what does not, and what is refused before a key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/seal.h"

#define TD "mesh.example"

struct side {
	uint8_t secret[SEAL_KEY_LEN], public[SEAL_KEY_LEN];
	struct seal_self self;
};

/* Nodes 1, 2 and 3 of one trust domain. */
static struct side a, b, c;
static struct seal_keys a_to_b, b_to_a;
static const uint8_t nonce[SEAL_NONCE_LEN] = {1, 2, 3};

static void side_make(struct side *s, uint8_t seed, const char *td)
{
	memset(s->secret, seed, sizeof(s->secret));
	assert_int_equal(crypto_scalarmult_base(s->public, s->secret), 0);
	assert_int_equal(
	    mesh_self_make(&s->self, s->secret, s->public, span_str(td), NULL),
	    E_OK);
}

static int setup(void **state)
{
	(void)state;
	if (sodium_init() < 0)
		return -1;
	side_make(&a, 1, TD);
	side_make(&b, 2, TD);
	side_make(&c, 3, TD);
	if (mesh_keys_make(&a_to_b, &a.self, b.public, NULL) != E_OK)
		return -1;
	return mesh_keys_make(&b_to_a, &b.self, a.public, NULL) != E_OK;
}

static const struct seal_header header = {
    .channel = 1, .from = 1, .to = 2, .boot = 7, .counter = 9};

static struct span seal_text(uint8_t *out, const char *text)
{
	mesh_seal(out, &a.self, &a_to_b, &header, nonce, span_str(text));
	return span_of(out, SEAL_OVERHEAD + strlen(text));
}

static void what_one_seals_the_other_opens(void **state)
{
	static const char *texts[] = {"", "x", "a vote for node 1"};
	uint8_t sealed[128], opened[64];
	struct seal_header h;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct span s = seal_text(sealed, texts[i]);

		assert_int_equal(
		    mesh_header_read(&h, &b.self, 1, 2, s, NULL), E_OK);
		assert_int_equal(h.channel, 1);
		assert_int_equal(h.from, 1);
		assert_int_equal(h.to, 2);
		assert_int_equal(h.boot, 7);
		assert_int_equal(h.counter, 9);
		assert_int_equal(mesh_unseal(opened, &b_to_a, s, NULL), E_OK);
		assert_memory_equal(opened, texts[i], strlen(texts[i]));
	}
}

/* What is on the wire cannot change: this is version 1, whole. */
static void version_1_has_this_header(void **state)
{
	static const uint8_t want[SEAL_HEADER_LEN] = {1, 1,
	    /* SHA-256("mesh.example") */
	    0x42, 0x77, 0xca, 0x2f, 0x97, 0x7b, 0x73, 0x75, /* trust domain */
	    0, 0, 0, 0, 0, 0, 0, 1,                         /* from */
	    0, 0, 0, 0, 0, 0, 0, 2,                         /* to */
	    0, 0, 0, 0, 0, 0, 0, 7,                         /* boot */
	    0, 0, 0, 0, 0, 0, 0, 9,                         /* counter */
	    1, 2, 3};                                       /* nonce */
	uint8_t sealed[128];
	struct span s = seal_text(sealed, "x");

	(void)state;
	assert_int_equal(s.len, SEAL_HEADER_LEN + 1 + SEAL_TAG_LEN);
	assert_memory_equal(s.p, want, sizeof(want));
}

static void every_changed_bit_is_refused(void **state)
{
	uint8_t sealed[128], opened[64];
	struct span s = seal_text(sealed, "append");

	(void)state;
	for (size_t bit = 0; bit < s.len * 8; bit++) {
		sealed[bit / 8] ^= (uint8_t)(1U << (bit % 8));
		memset(opened, 0xee, sizeof(opened));
		assert_int_equal(
		    mesh_unseal(opened, &b_to_a, s, NULL), E_DENIED);
		for (size_t i = 0; i < strlen("append"); i++)
			assert_int_equal(opened[i], 0);
		sealed[bit / 8] ^= (uint8_t)(1U << (bit % 8));
	}
	assert_int_equal(mesh_unseal(opened, &b_to_a, s, NULL), E_OK);
}

static void headers_are_refused_before_any_key(void **state)
{
	static const struct {
		const char *why;
		size_t offset;
		uint8_t value;
	} rows[] = {
	    {"version 0", 0, 0},
	    {"version 2", 0, 2},
	    {"the other channel", 1, 0},
	    {"no such channel", 1, 200},
	    {"trust domain, first byte", 2, 0},
	    {"trust domain, last byte", 9, 0},
	    {"another recipient", 25, 3},
	    {"recipient with a high byte", 18, 1},
	};
	uint8_t sealed[128];
	struct seal_header h;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span s = seal_text(sealed, "x");

		sealed[rows[i].offset] = rows[i].value;
		assert_int_equal(
		    mesh_header_read(&h, &b.self, 1, 2, s, &e), E_INVAL);
	}
}

static void an_unnamed_node_is_never_the_recipient(void **state)
{
	struct seal_header to_nobody = header, h;
	uint8_t sealed[128];

	(void)state;
	to_nobody.to = 0;
	mesh_seal(sealed, &a.self, &a_to_b, &to_nobody, nonce, SPAN_EMPTY);
	assert_int_equal(mesh_header_read(&h, &b.self, 1, 0,
			     span_of(sealed, SEAL_OVERHEAD), NULL),
	    E_INVAL);
}

static void every_truncation_is_refused(void **state)
{
	uint8_t sealed[128], opened[64];
	struct span s = seal_text(sealed, "append entries");
	struct seal_header h;

	(void)state;
	for (size_t len = 0; len < s.len; len++) {
		struct span cut = span_of(malloc(len + 1), len);

		memcpy((uint8_t *)cut.p, s.p, len);
		if (mesh_header_read(&h, &b.self, 1, 2, cut, NULL) == E_OK)
			assert_int_equal(
			    mesh_unseal(opened, &b_to_a, cut, NULL), E_DENIED);
		else
			assert_true(len < SEAL_OVERHEAD);
		free((uint8_t *)cut.p);
	}
}

static void only_the_right_key_opens(void **state)
{
	struct seal_keys other;
	uint8_t sealed[128], opened[64];
	struct span s = seal_text(sealed, "x");
	struct side d;

	(void)state;
	/* the recipient expects c, or c listens in */
	assert_int_equal(mesh_keys_make(&other, &b.self, c.public, NULL), E_OK);
	assert_int_equal(mesh_unseal(opened, &other, s, NULL), E_DENIED);
	assert_int_equal(mesh_keys_make(&other, &c.self, a.public, NULL), E_OK);
	assert_int_equal(mesh_unseal(opened, &other, s, NULL), E_DENIED);
	/* reflected to its sender */
	assert_int_equal(mesh_unseal(opened, &a_to_b, s, NULL), E_DENIED);
	/* the same keys in another trust domain */
	side_make(&d, 2, "other.example");
	assert_int_equal(mesh_keys_make(&other, &d.self, a.public, NULL), E_OK);
	assert_int_equal(mesh_unseal(opened, &other, s, NULL), E_DENIED);
}

/* Node 3 says it is node 1: it has no key that node 2 would try for 1. */
static void a_forged_from_does_not_open(void **state)
{
	struct seal_keys c_to_b;
	uint8_t sealed[128] = {0}, opened[64];
	struct span s = span_of(sealed, SEAL_OVERHEAD + 1);

	(void)state;
	assert_int_equal(
	    mesh_keys_make(&c_to_b, &c.self, b.public, NULL), E_OK);
	mesh_seal(sealed, &c.self, &c_to_b, &header, nonce, span_str("x"));
	assert_int_equal(mesh_unseal(opened, &b_to_a, s, NULL), E_DENIED);
}

static void the_two_directions_have_keys_of_their_own(void **state)
{
	(void)state;
	assert_memory_equal(a_to_b.send, b_to_a.receive, SEAL_KEY_LEN);
	assert_memory_equal(a_to_b.receive, b_to_a.send, SEAL_KEY_LEN);
	assert_memory_not_equal(a_to_b.send, a_to_b.receive, SEAL_KEY_LEN);
}

static void bad_keys_are_refused(void **state)
{
	/* points of order 1, 2 and 8 (RFC 7748 §6.1 wants them detected) */
	static const struct {
		const char *why;
		uint8_t key[SEAL_KEY_LEN];
	} rows[] = {
	    {"zero", {0}},
	    {"one", {1}},
	    {"order eight",
		{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56,
		    0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb,
		    0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
		    0xb8, 0x00}},
	};
	struct seal_keys k;
	struct seal_self s;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(
		    mesh_keys_make(&k, &a.self, rows[i].key, NULL), E_INVAL);
	assert_int_equal(mesh_keys_make(&k, &a.self, a.public, NULL), E_INVAL);
	assert_int_equal(
	    mesh_self_make(&s, a.secret, b.public, span_str(TD), NULL),
	    E_INVAL);
	assert_int_equal(
	    mesh_self_make(&s, a.secret, a.public, SPAN_EMPTY, NULL), E_INVAL);
}

/* Random lengths and bytes, half of them with a plausible start. */
static void no_bytes_upset_the_parser(void **state)
{
	uint8_t seed[randombytes_SEEDBYTES] = {42}, bytes[200], opened[200];
	struct seal_header h;

	(void)state;
	for (uint32_t i = 0; i < 100000; i++) {
		struct span s;
		size_t len;

		put_u32be(seed, i);
		randombytes_buf_deterministic(bytes, sizeof(bytes), seed);
		len = bytes[199] % sizeof(bytes);
		if (i % 2 == 0) {
			seal_text(opened, "x");
			memcpy(bytes, opened, bytes[198] % SEAL_HEADER_LEN);
		}
		/* at the end of the array, where ASan sees an overrun */
		s = span_of(bytes + sizeof(bytes) - len, len);
		memmove(bytes + sizeof(bytes) - len, bytes, len);
		if (mesh_header_read(&h, &b.self, 1, 2, s, NULL) == E_OK)
			assert_int_equal(
			    mesh_unseal(opened, &b_to_a, s, NULL), E_DENIED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_one_seals_the_other_opens),
	    cmocka_unit_test(version_1_has_this_header),
	    cmocka_unit_test(every_changed_bit_is_refused),
	    cmocka_unit_test(headers_are_refused_before_any_key),
	    cmocka_unit_test(an_unnamed_node_is_never_the_recipient),
	    cmocka_unit_test(every_truncation_is_refused),
	    cmocka_unit_test(only_the_right_key_opens),
	    cmocka_unit_test(a_forged_from_does_not_open),
	    cmocka_unit_test(the_two_directions_have_keys_of_their_own),
	    cmocka_unit_test(bad_keys_are_refused),
	    cmocka_unit_test(no_bytes_upset_the_parser),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
