/* test_mesh.c -- what nodes send each other, and what Istio's agents send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sample.h"

#define ROUNDS 300
#ifdef QUORATE_SANITIZED
#define DAMAGED 10 /* messages */
#else
#define DAMAGED 40
#endif

static void assert_same(const struct buf *a, const struct buf *b)
{
	assert_false(a->failed || b->failed);
	assert_true(span_eq(buf_span(a), buf_span(b)));
}

static void mesh_messages_come_back(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		struct buf a, b, told, heard;
		static struct wire_mesh in, out;
		struct wire_memory *mem;
		struct err e = {0};
		struct sample s;

		sample_init(&s, seed);
		buf_init(&a);
		buf_init(&b);
		buf_init(&told);
		buf_init(&heard);
		sample_mesh(&s, (enum wire_mesh_kind)(1 + seed % 5), &in);
		assert_int_equal(wire_mesh_encode(&a, &in, NULL), E_OK);
		if (wire_mesh_decode(buf_span(&a), &out, &mem, &e) != E_OK)
			fail_msg("seed %d: %s", (int)seed, e.text);
		tell_mesh(&told, &in);
		tell_mesh(&heard, &out);
		assert_same(&told, &heard);
		assert_int_equal(wire_mesh_encode(&b, &out, NULL), E_OK);
		assert_same(&a, &b);
		wire_free(mem);
		buf_free(&a);
		buf_free(&b);
		buf_free(&told);
		buf_free(&heard);
		sample_free(&s);
	}
}

static void configurations_come_back(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		struct raft_conf_state in, out;
		struct buf a, told, heard;
		struct wire_memory *mem;
		struct sample s;

		sample_init(&s, seed);
		buf_init(&a);
		buf_init(&told);
		buf_init(&heard);
		sample_conf(&s, &in);
		assert_int_equal(wire_conf_state_encode(&a, &in, NULL), E_OK);
		assert_int_equal(
		    wire_conf_state_decode(buf_span(&a), &out, &mem, NULL),
		    E_OK);
		tell_conf(&told, &in);
		tell_conf(&heard, &out);
		assert_same(&told, &heard);
		wire_free(mem);
		buf_free(&a);
		buf_free(&told);
		buf_free(&heard);
		sample_free(&s);
	}
}

static void an_empty_configuration_is_no_bytes(void **state)
{
	struct raft_conf_state c = {0};
	struct wire_memory *mem;
	struct buf b;

	(void)state;
	buf_init(&b);
	assert_int_equal(wire_conf_state_encode(&b, &c, NULL), E_OK);
	assert_int_equal(b.len, 0);
	assert_int_equal(
	    wire_conf_state_decode(buf_span(&b), &c, &mem, NULL), E_OK);
	wire_free(mem);
	buf_free(&b);
}

static void csr_requests_come_back(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		struct wire_csr_request in, out;
		struct buf a, told, heard;
		struct wire_memory *mem;
		struct sample s;

		sample_init(&s, seed);
		buf_init(&a);
		buf_init(&told);
		buf_init(&heard);
		sample_csr(&s, &in);
		assert_int_equal(wire_csr_request_encode(&a, &in, NULL), E_OK);
		assert_int_equal(
		    wire_csr_request_decode(buf_span(&a), &out, &mem, NULL),
		    E_OK);
		tell_csr(&told, &in);
		tell_csr(&heard, &out);
		assert_same(&told, &heard);
		wire_free(mem);
		buf_free(&a);
		buf_free(&told);
		buf_free(&heard);
		sample_free(&s);
	}
}

static void csr_chains_come_back(void **state)
{
	(void)state;
	for (size_t n = 0; n <= 65; n++) {
		struct span chain[65], *out;
		struct wire_memory *mem;
		struct sample s;
		struct buf b;
		enum code rc;
		size_t got;

		sample_init(&s, n);
		buf_init(&b);
		for (size_t i = 0; i < n; i++)
			chain[i] = sample_name(&s, 3000);
		assert_int_equal(
		    wire_csr_response_encode(&b, chain, n, NULL), E_OK);
		rc = wire_csr_response_decode(
		    buf_span(&b), &out, &got, &mem, NULL);
		assert_int_equal(rc, n <= 64 ? E_OK : E_INVAL);
		assert_int_equal(got, rc == E_OK ? n : 0);
		assert_true((out != NULL) == (rc == E_OK));
		for (size_t i = 0; i < got; i++)
			assert_true(span_eq(out[i], chain[i]));
		wire_free(mem);
		buf_free(&b);
		sample_free(&s);
	}
}

/* ---- Refusals -------------------------------------------------------------
 */

static void expect_mesh(const struct wire_mesh *m, const char *says)
{
	struct wire_memory *mem;
	struct wire_mesh out;
	struct err e = {0};
	struct buf b;
	enum code rc;

	buf_init(&b);
	assert_int_equal(wire_mesh_encode(&b, m, NULL), E_OK);
	rc = wire_mesh_decode(buf_span(&b), &out, &mem, &e);
	if (rc != E_INVAL || strstr(e.text, says) == NULL)
		fail_msg(
		    "%s \"%s\", expected \"%s\"", code_name(rc), e.text, says);
	assert_null(mem);
	buf_free(&b);
}

static void raft_messages_have_known_types(void **state)
{
	struct raft_entry entry = {.type = (enum raft_entry_type)2};
	struct wire_mesh m = {.kind = WIRE_RAFT};

	(void)state;
	m.u.raft.type = RAFT_MSG_TYPES;
	expect_mesh(&m, "of type 24");
	m.u.raft.type = RAFT_MSG_APP;
	m.u.raft.entries = &entry;
	m.u.raft.entries_n = 1;
	expect_mesh(&m, "an entry of a kind");
}

static void a_status_names_whole_key_ids(void **state)
{
	struct wire_mesh m = {.kind = WIRE_STATUS};
	struct span ids[RAFT_PEERS_MAX * 4 + 1];
	struct ca_checkpoint cps[65] = {{0}};
	uint8_t id[CA_KEY_ID_LEN + 1] = {0};

	(void)state;
	m.u.status.crl_published = ids;
	m.u.status.crl_published_n = 1;
	ids[0] = span_of(id, CA_KEY_ID_LEN - 1);
	expect_mesh(&m, "key id: 19 bytes");
	ids[0] = span_of(id, CA_KEY_ID_LEN + 1);
	expect_mesh(&m, "key id: 21 bytes");
	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++)
		ids[i] = span_of(id, CA_KEY_ID_LEN);
	m.u.status.crl_published_n = sizeof(ids) / sizeof(*ids);
	expect_mesh(&m, "too much");
	m.u.status.crl_published_n = 0;
	m.u.status.checkpoints = cps;
	m.u.status.checkpoints_n = 65;
	expect_mesh(&m, "too much");
}

static void a_chunk_has_short_keys(void **state)
{
	struct wire_mesh m = {.kind = WIRE_CHUNK};
	static uint8_t key[501];
	struct wire_row row = {.key = {key, sizeof(key)}};

	(void)state;
	m.u.chunk.rows = &row;
	m.u.chunk.rows_n = 1;
	expect_mesh(&m, "row key: 501 bytes");
}

static void snapshots_have_members_and_not_too_many(void **state)
{
	/* MeshMessage{raft{snapshot{index 1}}} */
	static const uint8_t none[] = {0x0a, 0x04, 0x4a, 0x02, 0x08, 0x01};
	uint8_t many[2 + RAFT_PEERS_MAX + 1] = {0x0a, RAFT_PEERS_MAX + 1};
	struct raft_conf_state c;
	struct wire_memory *mem;
	struct wire_mesh m;
	struct err e = {0};

	(void)state;
	assert_int_equal(
	    wire_mesh_decode(span_of(none, sizeof(none)), &m, &mem, &e),
	    E_INVAL);
	assert_non_null(strstr(e.text, "without members"));
	assert_int_equal(
	    wire_conf_state_decode(span_of(many, sizeof(many)), &c, &mem, &e),
	    E_INVAL);
	assert_non_null(strstr(e.text, "65 members"));
	many[1] = RAFT_PEERS_MAX;
	assert_int_equal(wire_conf_state_decode(
			     span_of(many, sizeof(many) - 1), &c, &mem, &e),
	    E_OK);
	assert_int_equal(c.voters_n, RAFT_PEERS_MAX);
	wire_free(mem);
}

/* Two bytes each, and a hundred when unpacked. */
static void many_small_parts_are_too_many(void **state)
{
	const size_t n = 100000;
	struct wire_memory *mem;
	struct wire_mesh m;
	struct err e = {0};
	struct buf b;

	(void)state;
	buf_init(&b);
	buf_add(&b, "\x0a\xc0\x9a\x0c", 4); /* raft, 200,000 bytes */
	for (size_t i = 0; i < n; i++)
		buf_add(&b, "\x3a\x00", 2); /* an empty entry */
	assert_int_equal(wire_mesh_decode(buf_span(&b), &m, &mem, &e), E_INVAL);
	assert_string_equal(e.text, "mesh message: it has too many parts");
	buf_free(&b);
}

static void mesh_messages_of_no_known_kind(void **state)
{
	struct wire_mesh m = {.kind = (enum wire_mesh_kind)6};
	struct wire_memory *mem;
	struct buf b;

	(void)state;
	buf_init(&b);
	assert_int_equal(wire_mesh_encode(&b, &m, NULL), E_INVAL);
	m.kind = (enum wire_mesh_kind)0;
	assert_int_equal(wire_mesh_encode(&b, &m, NULL), E_INVAL);
	assert_int_equal(b.len, 0);
	assert_int_equal(wire_mesh_decode(SPAN_EMPTY, &m, &mem, NULL), E_INVAL);
	assert_int_equal(
	    wire_mesh_decode(span_of("\x32\x00", 2), &m, &mem, NULL), E_INVAL);
	buf_free(&b);
}

static void csr_requests_are_bounded(void **state)
{
	static uint8_t long_one[16385];
	static const struct {
		const char *says;
		size_t csr, signer, impersonated;
	} rows[] = {
	    {"csr: 16385", 16385, 0, 0},
	    {"CertSigner: 256", 1, 256, 0},
	    {"ImpersonatedIdentity: 641", 1, 255, CA_URI_MAX + 1},
	};
	struct wire_csr_request r, out;
	struct wire_memory *mem;
	struct err e = {0};
	struct buf b;

	(void)state;
	buf_init(&b);
	memset(long_one, 'x', sizeof(long_one));
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		r = (struct wire_csr_request){
		    .csr = span_of(long_one, rows[i].csr),
		    .cert_signer = span_of(long_one, rows[i].signer),
		    .impersonated = span_of(long_one, rows[i].impersonated)};
		buf_clear(&b);
		assert_int_equal(wire_csr_request_encode(&b, &r, NULL), E_OK);
		assert_int_equal(
		    wire_csr_request_decode(buf_span(&b), &out, &mem, &e),
		    E_INVAL);
		assert_non_null(strstr(e.text, rows[i].says));
	}
	r = (struct wire_csr_request){.csr = span_of("a\0b", 3)};
	buf_clear(&b);
	assert_int_equal(wire_csr_request_encode(&b, &r, NULL), E_OK);
	assert_int_equal(
	    wire_csr_request_decode(buf_span(&b), &out, &mem, &e), E_INVAL);
	buf_free(&b);
}

/* A client may send metadata that is not for us, of types we do not read. */
static void foreign_metadata_is_skipped(void **state)
{
	static const uint8_t csr[] = {0x0a, 1, 'x'};
	static const uint8_t flag[] = {/* "k": true */
	    0x0a, 7, 0x0a, 1, 'k', 0x12, 2, 0x20, 1};
	static const uint8_t num[] = {/* "n": 0.0 */
	    0x0a, 14, 0x0a, 1, 'n', 0x12, 9, 0x09, 0, 0, 0, 0, 0, 0, 0, 0};
	static const uint8_t bare[] = {/* a key without a value */
	    0x0a, 12, 0x0a, 10, 'C', 'e', 'r', 't', 'S', 'i', 'g', 'n', 'e',
	    'r'};
	struct wire_csr_request out;
	struct wire_memory *mem;
	struct buf b;

	(void)state;
	buf_init(&b);
	buf_add(&b, csr, sizeof(csr));
	buf_add_u8(&b, 0x22);
	buf_add_u8(&b, sizeof(flag) + sizeof(num) + sizeof(bare));
	buf_add(&b, flag, sizeof(flag));
	buf_add(&b, num, sizeof(num));
	buf_add(&b, bare, sizeof(bare));
	assert_int_equal(
	    wire_csr_request_decode(buf_span(&b), &out, &mem, NULL), E_OK);
	assert_true(span_eq_str(out.csr, "x"));
	assert_int_equal(out.cert_signer.len, 0);
	assert_int_equal(out.impersonated.len, 0);
	wire_free(mem);
	buf_free(&b);
}

/* ---- Damage ----------------------------------------------------------------
 */

static void try_all(struct span in)
{
	struct wire_csr_request csr;
	struct raft_conf_state conf;
	struct wire_memory *mem;
	struct wire_mesh m;
	struct span *chain;
	size_t n;
	enum code rc;

	rc = wire_mesh_decode(in, &m, &mem, NULL);
	assert_true(rc == E_OK || rc == E_INVAL);
	if (rc == E_OK) {
		struct buf b;

		buf_init(&b);
		tell_mesh(&b, &m);
		assert_false(b.failed);
		buf_free(&b);
	}
	wire_free(mem);
	rc = wire_conf_state_decode(in, &conf, &mem, NULL);
	assert_true(rc == E_OK || rc == E_INVAL);
	wire_free(mem);
	rc = wire_csr_request_decode(in, &csr, &mem, NULL);
	assert_true(rc == E_OK || rc == E_INVAL);
	wire_free(mem);
	rc = wire_csr_response_decode(in, &chain, &n, &mem, NULL);
	assert_true(rc == E_OK || rc == E_INVAL);
	wire_free(mem);
}

static void damage(const struct buf *b)
{
	for (size_t n = 0; n < b->len; n++) {
		uint8_t *p = malloc(n + 1);

		assert_non_null(p);
		memcpy(p, b->p, n);
		try_all(span_of(n == 0 ? NULL : p, n));
		free(p);
	}
	for (size_t bit = 0; bit < 8 * b->len; bit++) {
		b->p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		try_all(buf_span(b));
		b->p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void truncated_and_flipped_messages(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < DAMAGED; seed++) {
		struct wire_csr_request r;
		struct wire_mesh m;
		struct sample s;
		struct buf b;

		sample_init(&s, seed);
		buf_init(&b);
		do {
			buf_clear(&b);
			sample_mesh(
			    &s, (enum wire_mesh_kind)(1 + seed % 5), &m);
			assert_int_equal(wire_mesh_encode(&b, &m, NULL), E_OK);
		} while (b.len > 3000);
		damage(&b);
		do {
			buf_clear(&b);
			sample_csr(&s, &r);
			assert_int_equal(
			    wire_csr_request_encode(&b, &r, NULL), E_OK);
		} while (b.len > 3000);
		damage(&b);
		buf_free(&b);
		sample_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(mesh_messages_come_back),
	    cmocka_unit_test(configurations_come_back),
	    cmocka_unit_test(an_empty_configuration_is_no_bytes),
	    cmocka_unit_test(csr_requests_come_back),
	    cmocka_unit_test(csr_chains_come_back),
	    cmocka_unit_test(raft_messages_have_known_types),
	    cmocka_unit_test(a_status_names_whole_key_ids),
	    cmocka_unit_test(a_chunk_has_short_keys),
	    cmocka_unit_test(snapshots_have_members_and_not_too_many),
	    cmocka_unit_test(many_small_parts_are_too_many),
	    cmocka_unit_test(mesh_messages_of_no_known_kind),
	    cmocka_unit_test(csr_requests_are_bounded),
	    cmocka_unit_test(foreign_metadata_is_skipped),
	    cmocka_unit_test(truncated_and_flipped_messages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
