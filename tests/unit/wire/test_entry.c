/* test_entry.c -- log entries and what operators sign: round trips, refusals,
 * and bytes that nobody meant to send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "sample.h"

#define ROUNDS 300
#ifdef QUORATE_SANITIZED
#define DAMAGED 10 /* messages */
#else
#define DAMAGED 40
#endif

static const enum ca_kind kinds[] = {CA_GENESIS, CA_ISSUE, CA_ADMIN,
    CA_CHECKPOINT, CA_REFRESH_KEYS, CA_FREEZE_CRL, CA_SIGN_CRL};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

static void assert_same(const struct buf *a, const struct buf *b)
{
	assert_false(a->failed || b->failed);
	assert_true(span_eq(buf_span(a), buf_span(b)));
}

/* What the decoder makes of in, encoded again. */
static void encode_again(const struct ca_entry *en, struct buf *out)
{
	struct err e;
	struct buf msg;
	enum code rc = E_INTERNAL;

	buf_init(&msg);
	switch (en->kind) {
	case CA_ISSUE:
		rc = wire_issue_encode(
		    out, en->time_ms, en->proposer, &en->u.issue, &e);
		break;
	case CA_CHECKPOINT:
		rc = wire_checkpoint_encode(
		    out, en->time_ms, en->proposer, &en->u.checkpoint, &e);
		break;
	case CA_REFRESH_KEYS:
		rc = wire_refresh_encode(
		    out, en->time_ms, en->proposer, &en->u.refresh, &e);
		break;
	case CA_FREEZE_CRL:
		rc = wire_freeze_encode(
		    out, en->time_ms, en->proposer, &en->u.freeze_crl, &e);
		break;
	case CA_SIGN_CRL:
		rc = wire_sign_crl_encode(
		    out, en->time_ms, en->proposer, &en->u.sign_crl, &e);
		break;
	case CA_GENESIS:
		rc = sample_signed_genesis(&msg, &en->u.genesis, &e);
		break;
	case CA_ADMIN: rc = sample_signed(&msg, &en->u.admin, &e); break;
	}
	if (msg.len != 0)
		rc = wire_signed_entry(out, en->kind, en->time_ms, en->proposer,
		    buf_span(&msg), &e);
	assert_int_equal(rc, E_OK);
	buf_free(&msg);
}

static void decoded(
    struct span in, struct ca_entry *en, struct wire_memory **mem)
{
	struct err e = {0};
	enum code rc = wire_entry_decode(in, en, mem, &e);

	if (rc != E_OK)
		fail_msg("%s: %s", code_name(rc), e.text);
}

static void entries_survive_decoding_and_encoding(void **state)
{
	static struct ca_entry en;

	(void)state;
	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		struct wire_memory *mem;
		struct sample s;
		struct buf a, b;

		sample_init(&s, seed);
		buf_init(&a);
		buf_init(&b);
		assert_int_equal(
		    sample_entry(&s, kinds[seed % KINDS], &a, NULL), E_OK);
		decoded(buf_span(&a), &en, &mem);
		assert_int_equal(en.kind, kinds[seed % KINDS]);
		encode_again(&en, &b);
		/* explicit zeroes of wire_signed_entry are the same bytes */
		assert_same(&a, &b);
		wire_free(mem);
		buf_free(&a);
		buf_free(&b);
		sample_free(&s);
	}
}

/* Each generator's struct against the decoded one, field by field. */
static void every_field_arrives(void **state)
{
	static struct ca_entry in, out;

	(void)state;
	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		struct wire_memory *mem;
		struct sample s;
		struct buf bytes, told, heard;

		buf_init(&bytes);
		buf_init(&told);
		buf_init(&heard);
		sample_init(&s, seed);
		memset(&in, 0, sizeof(in));
		in.kind = kinds[seed % KINDS];
		in.format = CA_FORMAT_VERSION;
		in.time_ms = sample_u64(&s);
		in.proposer = sample_u64(&s);
		switch (in.kind) {
		case CA_GENESIS: sample_genesis(&s, &in.u.genesis); break;
		case CA_ISSUE: sample_issue(&s, &in.u.issue); break;
		case CA_ADMIN: sample_envelope(&s, &in.u.admin); break;
		case CA_CHECKPOINT:
			sample_checkpoint(&s, &in.u.checkpoint);
			break;
		case CA_REFRESH_KEYS: sample_refresh(&s, &in.u.refresh); break;
		case CA_FREEZE_CRL: sample_freeze(&s, &in.u.freeze_crl); break;
		case CA_SIGN_CRL: sample_sign_crl(&s, &in.u.sign_crl); break;
		}
		encode_again(&in, &bytes);
		decoded(buf_span(&bytes), &out, &mem);
		tell_entry(&told, &in);
		tell_entry(&heard, &out);
		assert_same(&told, &heard);
		wire_free(mem);
		buf_free(&bytes);
		buf_free(&told);
		buf_free(&heard);
		sample_free(&s);
	}
}

static void what_is_signed_is_context_zero_payload(void **state)
{
	static struct ca_entry en;
	struct ca_envelope env, alone;
	struct wire_memory *mem, *mem2;
	struct buf payload, input, msg, entry;
	struct sample s;

	(void)state;
	sample_init(&s, 7);
	buf_init(&payload);
	buf_init(&input);
	buf_init(&msg);
	buf_init(&entry);
	sample_envelope(&s, &env);
	assert_int_equal(
	    wire_admin_payload(&payload, env.trust_domain, env.nonce,
		env.expires_ms, env.commands, env.commands_n, NULL),
	    E_OK);
	assert_int_equal(wire_signature_input(&input, WIRE_CONTEXT_ADMIN,
			     buf_span(&payload), NULL),
	    E_OK);
	assert_int_equal(input.len, sizeof(WIRE_CONTEXT_ADMIN) + payload.len);
	assert_memory_equal(
	    input.p, WIRE_CONTEXT_ADMIN, sizeof(WIRE_CONTEXT_ADMIN));
	assert_int_equal(sample_signed(&msg, &env, NULL), E_OK);
	assert_int_equal(
	    wire_signed_entry(&entry, CA_ADMIN, 1, 2, buf_span(&msg), NULL),
	    E_OK);
	decoded(buf_span(&entry), &en, &mem);
	assert_int_equal(
	    wire_envelope_decode(buf_span(&msg), &alone, &mem2, NULL), E_OK);
	assert_true(span_eq(en.u.admin.signed_bytes, buf_span(&input)));
	assert_true(span_eq(alone.signed_bytes, buf_span(&input)));
	wire_free(mem);
	wire_free(mem2);
	buf_free(&payload);
	buf_free(&input);
	buf_free(&msg);
	buf_free(&entry);
	sample_free(&s);
}

/* ---- Refusals -------------------------------------------------------------
 */

/* A span inside a struct, its bound, and whether a NUL may be in it. */
struct field {
	const char *name;
	size_t at, max;
	bool binary;
};

static struct span *span_at(void *p, size_t at)
{
	return (struct span *)(void *)((uint8_t *)p + at);
}

#define IN_ISSUE(f) offsetof(struct ca_issue, f)

static void expect_issue(
    const struct ca_issue *i, const char *field, const char *says)
{
	static struct ca_entry en;
	struct wire_memory *mem;
	struct err e = {0};
	struct buf b;
	enum code rc;

	buf_init(&b);
	assert_int_equal(wire_issue_encode(&b, 1, 1, i, NULL), E_OK);
	rc = wire_entry_decode(buf_span(&b), &en, &mem, &e);
	if (says == NULL ? rc != E_OK
			 : rc != E_INVAL || strstr(e.text, says) == NULL)
		fail_msg("%s: %s \"%s\", expected \"%s\"", field, code_name(rc),
		    e.text, says == NULL ? "ok" : says);
	assert_true((mem != NULL) == (rc == E_OK));
	wire_free(mem);
	buf_free(&b);
}

static void an_issue_has_bounds(void **state)
{
	static const struct field rows[] = {
	    {"uri", IN_ISSUE(uri), CA_URI_MAX, false},
	    {"dns", IN_ISSUE(dns[1]), 253, false},
	    {"common name", IN_ISSUE(common_name), 64, false},
	    {"spki", IN_ISSUE(spki), CA_SPKI_MAX, true},
	    {"cluster", IN_ISSUE(cluster), CA_NAME_MAX, false},
	    {"requester", IN_ISSUE(requester), CA_URI_MAX, false},
	    {"pod name", IN_ISSUE(pod_name), 253, false},
	    {"pod uid", IN_ISSUE(pod_uid), 63, false},
	    {"signature", IN_ISSUE(signature), CA_SIG_MAX, true},
	};
	static uint8_t long_one[1000];
	struct sample s;

	(void)state;
	memset(long_one, 'x', sizeof(long_one));
	sample_init(&s, 3);
	for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++) {
		const struct field *r = &rows[k];
		struct ca_issue i;

		sample_issue(&s, &i);
		i.dns_n = 2;
		i.dns[0] = i.dns[1] = span_str("a");
		*span_at(&i, r->at) = span_of(long_one, r->max);
		expect_issue(&i, r->name, NULL);
		*span_at(&i, r->at) = span_of(long_one, r->max + 1);
		expect_issue(&i, r->name, r->name);
		*span_at(&i, r->at) = span_of("a\0b", 3);
		expect_issue(&i, r->name, r->binary ? NULL : "NUL");
		*span_at(&i, r->at) = span_of("a\0", 2);
		expect_issue(&i, r->name, r->binary ? NULL : r->name);
	}
	sample_free(&s);
}

static void an_issue_has_known_enums(void **state)
{
	struct ca_issue good, i;
	struct sample s;

	(void)state;
	sample_init(&s, 4);
	sample_issue(&s, &good);
	expect_issue(&good, "all", NULL);
	for (unsigned bad = 0; bad < 2; bad++) {
		i = good;
		i.profile = (enum ca_profile)(bad == 0 ? 0 : 5);
		expect_issue(&i, "profile", "profile");
		i = good;
		i.via = (enum ca_via)(bad == 0 ? 0 : 4);
		expect_issue(&i, "via", "profile");
		i = good;
		i.encoder = bad == 0 ? 0 : 2;
		expect_issue(&i, "encoder", "profile");
	}
	i = good;
	i.ip_n = 1;
	i.ip[0] = span_of("12345", 5);
	expect_issue(&i, "ip", "address of 5 bytes");
	i.ip[0] = SPAN_EMPTY;
	expect_issue(&i, "ip", "address of 0 bytes");
	sample_free(&s);
}

static void expect_command(
    struct ca_admin *c, const char *field, const char *says)
{
	uint8_t nonce[CA_NONCE_LEN] = {0};
	struct wire_memory *mem;
	struct ca_envelope env;
	struct buf payload, msg;
	struct err e = {0};
	enum code rc;

	buf_init(&payload);
	buf_init(&msg);
	assert_int_equal(
	    wire_admin_payload(&payload, span_str("td"), nonce, 1, c, 1, NULL),
	    E_OK);
	assert_int_equal(
	    wire_signed_encode(&msg, buf_span(&payload), NULL, 0, NULL), E_OK);
	rc = wire_envelope_decode(buf_span(&msg), &env, &mem, &e);
	if (says == NULL ? rc != E_OK
			 : rc != E_INVAL || strstr(e.text, says) == NULL)
		fail_msg("%s: %s \"%s\", expected \"%s\"", field, code_name(rc),
		    e.text, says == NULL ? "ok" : says);
	wire_free(mem);
	buf_free(&payload);
	buf_free(&msg);
}

#define IN_ADMIN(f) offsetof(struct ca_admin, u.f)

static void commands_have_bounds(void **state)
{
	static const struct {
		enum ca_admin_kind kind;
		struct field f;
	} rows[] = {
	    {1, {"cluster", IN_ADMIN(set_node.cluster), 63, false}},
	    {1, {"mesh address", IN_ADMIN(set_node.mesh_address), 299, false}},
	    {1, {"api addr", IN_ADMIN(set_node.api_addresses[0]), 255, false}},
	    {1, {"api key", IN_ADMIN(set_node.api_spki), 800, true}},
	    {2, {"issuer", IN_ADMIN(add_issuer.cert), 8192, true}},
	    {3, {"cluster", IN_ADMIN(set_cluster.name), 63, false}},
	    {3, {"kid", IN_ADMIN(set_cluster.keys[0].kid), 255, false}},
	    {3, {"alg", IN_ADMIN(set_cluster.keys[0].alg), 16, false}},
	    {3, {"token key", IN_ADMIN(set_cluster.keys[0].spki), 800, true}},
	    {3, {"token issuer", IN_ADMIN(set_cluster.issuer), 511, false}},
	    {3, {"audience", IN_ADMIN(set_cluster.audiences[0]), 255, false}},
	    {3, {"alias", IN_ADMIN(set_cluster.aliases[0]), 255, false}},
	    {3, {"api addr", IN_ADMIN(set_cluster.api_address), 299, false}},
	    {3, {"namespace", IN_ADMIN(set_cluster.namespaces[0]), 63, false}},
	    {5, {"cluster", IN_ADMIN(create_join_token.cluster), 63, false}},
	    {6, {"operator", IN_ADMIN(set_operator.name), 63, false}},
	    {6, {"operator key", IN_ADMIN(set_operator.spki), 800, true}},
	};
	static uint8_t long_one[8200];

	(void)state;
	memset(long_one, 'x', sizeof(long_one));
	for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++) {
		const struct field *f = &rows[k].f;
		static struct ca_admin c;

		memset(&c, 0, sizeof(c));
		c.kind = rows[k].kind;
		if (c.kind == CA_ADMIN_SET_NODE)
			c.u.set_node.api_addresses_n = 1;
		if (c.kind == CA_ADMIN_SET_CLUSTER)
			c.u.set_cluster.keys_n = c.u.set_cluster.audiences_n =
			    c.u.set_cluster.aliases_n =
				c.u.set_cluster.namespaces_n = 1;
		*span_at(&c, f->at) = span_of(long_one, f->max);
		expect_command(&c, f->name, NULL);
		*span_at(&c, f->at) = span_of(long_one, f->max + 1);
		expect_command(&c, f->name, f->name);
		*span_at(&c, f->at) = span_of("\0", 1);
		expect_command(&c, f->name, f->binary ? NULL : "NUL");
	}
}

static void only_signed_kinds_are_wrapped(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	assert_int_equal(
	    wire_signed_entry(&b, CA_ISSUE, 1, 1, span_str("x"), NULL),
	    E_INVAL);
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

static void a_command_of_no_kind_is_not_encoded(void **state)
{
	static struct ca_admin c;
	uint8_t nonce[CA_NONCE_LEN] = {0};
	struct buf b;

	(void)state;
	buf_init(&b);
	c.kind = (enum ca_admin_kind)13;
	assert_int_equal(
	    wire_admin_payload(&b, span_str("td"), nonce, 1, &c, 1, NULL),
	    E_INVAL);
	buf_free(&b);
}

/* ---- Damage ----------------------------------------------------------------
 */

static void try_all(struct span in)
{
	static struct ca_entry en;
	struct wire_memory *mem;
	struct ca_envelope env;
	enum code rc;

	rc = wire_entry_decode(in, &en, &mem, NULL);
	assert_true(rc == E_OK || rc == E_INVAL);
	assert_true((mem != NULL) == (rc == E_OK));
	if (rc == E_OK) { /* every byte it names can be read */
		struct buf b;

		buf_init(&b);
		tell_entry(&b, &en);
		assert_false(b.failed);
		buf_free(&b);
	}
	wire_free(mem);
	rc = wire_envelope_decode(in, &env, &mem, NULL);
	assert_true(rc == E_OK || rc == E_INVAL);
	wire_free(mem);
}

static void truncated_and_flipped_entries(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < DAMAGED; seed++) {
		struct sample s;
		struct buf b;
		uint8_t *p;

		sample_init(&s, seed);
		buf_init(&b);
		do {
			buf_clear(&b);
			assert_int_equal(
			    sample_entry(&s, kinds[seed % KINDS], &b, NULL),
			    E_OK);
		} while (b.len > 4000);
		/* a block of its own: a read past it is seen */
		for (size_t n = 0; n < b.len; n++) {
			p = malloc(n + 1);
			assert_non_null(p);
			memcpy(p, b.p, n);
			try_all(span_of(n == 0 ? NULL : p, n));
			free(p);
		}
		for (size_t bit = 0; bit < 8 * b.len; bit++) {
			b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
			try_all(buf_span(&b));
			b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		buf_free(&b);
		sample_free(&s);
	}
}

/* ---- The format is a contract ---------------------------------------------
 */

static void check_golden(const char *name, const struct buf *b, const char *hex)
{
	char *got = malloc(2 * b->len + 1);

	assert_non_null(got);
	hex_encode(got, b->p, b->len);
	if (strcmp(got, hex) != 0)
		fail_msg("%s is now\n%s\nand was\n%s", name, got, hex);
	free(got);
}

static void an_issue_entry_is_these_bytes(void **state)
{
	static struct ca_issue i = {
	    .profile = CA_PROFILE_WORKLOAD,
	    .encoder = 1,
	    .not_before_s = 1700000000,
	    .not_after_s = 1700086400,
	    .via = CA_VIA_CERT,
	    .has_parent = true,
	    .policy_version = 3,
	    .signer_boot = 0x0102030405060708,
	    .signer_seq = 300,
	};
	struct buf b;

	(void)state;
	buf_init(&b);
	memset(i.serial, 0x41, sizeof(i.serial));
	memset(i.issuer, 0xaa, sizeof(i.issuer));
	memset(i.parent, 0x42, sizeof(i.parent));
	memset(i.cert_sha256, 0xcc, sizeof(i.cert_sha256));
	i.uri = span_str("spiffe://td/ns/a/sa/b");
	i.spki = span_str("spki");
	i.cluster = span_str("east");
	i.requester = span_str("system:serviceaccount:a:b");
	i.pod_name = span_str("p-0");
	i.pod_uid = span_str("u-1");
	i.signature = span_str("sig");
	i.dns_n = 1;
	i.dns[0] = span_str("d");
	i.ip_n = 1;
	i.ip[0] = span_of("\x7f\0\0\1", 4);
	assert_int_equal(
	    wire_issue_encode(&b, 1700000000123, 2, &i, NULL), E_OK);
	check_golden("the Issue entry", &b,
	    "08011ad9010a10414141414141414141414141414141411214aaaaaaaaaa"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa180120012a157370696666653a2f2f"
	    "74642f6e732f612f73612f623201643a047f0000014a0473706b695080e2"
	    "cfaa06588085d5aa0660026a0465617374721973797374656d3a73657276"
	    "6963656163636f756e743a613a627a03702d30820103752d318a01104242"
	    "424242424242424242424242424290010399010807060504030201a001ac"
	    "02aa0103736967b20120cccccccccccccccccccccccccccccccccccccccc"
	    "cccccccccccccccccccccccc8001fbd095ffbc31880102");
	buf_free(&b);
}

static void an_admin_payload_is_these_bytes(void **state)
{
	static struct ca_admin c[2] = {
	    {.kind = CA_ADMIN_SET_POLICY}, {.kind = CA_ADMIN_SET_OPERATOR}};
	uint8_t nonce[CA_NONCE_LEN];
	struct buf b;

	(void)state;
	buf_init(&b);
	memset(nonce, 0x11, sizeof(nonce));
	c[0].u.set_policy = (struct ca_policy){.ttl_default_s = 3600,
	    .ttl_max_s = 86400,
	    .renew_max_s = 86400,
	    .issuer_settle_ms = 120000,
	    .quota_identity_per_h = 60,
	    .admin_signatures = 1,
	    .name_constraints = true};
	c[1].u.set_operator = (struct ca_operator){.name = span_str("alice"),
	    .spki = span_str("key"),
	    .roles = CA_ROLE_ADMIN};
	assert_int_equal(wire_admin_payload(&b, span_str("eu.example"), nonce,
			     1700000000123, c, 2, NULL),
	    E_OK);
	check_golden("the admin payload", &b,
	    "0a0a65752e6578616d706c65121011111111111111111111111111111111"
	    "18fbd095ffbc312217221510901c1880a3052080a30528c0a907303c4001"
	    "48012210320e0a05616c69636512036b65791801");
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(entries_survive_decoding_and_encoding),
	    cmocka_unit_test(every_field_arrives),
	    cmocka_unit_test(what_is_signed_is_context_zero_payload),
	    cmocka_unit_test(an_issue_has_bounds),
	    cmocka_unit_test(an_issue_has_known_enums),
	    cmocka_unit_test(commands_have_bounds),
	    cmocka_unit_test(only_signed_kinds_are_wrapped),
	    cmocka_unit_test(a_command_of_no_kind_is_not_encoded),
	    cmocka_unit_test(truncated_and_flipped_entries),
	    cmocka_unit_test(an_issue_entry_is_these_bytes),
	    cmocka_unit_test(an_admin_payload_is_these_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
