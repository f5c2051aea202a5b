/* Envelopes: what an operator signs is what a node reads and can check. */
#include "help.h"

static struct chain chain;
static EVP_PKEY *operator_key;
static struct buf operator_spki;

static int make_keys(void **state)
{
	(void)state;
	chain_make(&chain, false);
	MUST(pki_key_new(PKI_P256, &operator_key, &err));
	spki_of(&operator_spki, operator_key);
	return 0;
}

static int free_keys(void **state)
{
	(void)state;
	chain_free(&chain);
	EVP_PKEY_free(operator_key);
	buf_free(&operator_spki);
	return 0;
}

static struct ca_admin *two_commands(void)
{
	struct ca_admin *c = calloc(2, sizeof(*c));

	assert_non_null(c);
	c[0].kind = CA_ADMIN_SET_OPERATOR;
	c[0].u.set_operator.name = span_str("bob");
	c[0].u.set_operator.spki = buf_span(&operator_spki);
	c[0].u.set_operator.roles = CA_ROLE_AUDITOR;
	c[1].kind = CA_ADMIN_ADD_ISSUER;
	c[1].u.add_issuer.cert = buf_span(&chain.issuer);
	c[1].u.add_issuer.node = 7;
	return c;
}

static void an_envelope_is_read_and_its_signature_holds(void **state)
{
	struct ca_crypto crypto = pki_ca_crypto();
	struct ca_admin *commands = two_commands();
	struct ca_envelope env;
	struct wire_memory *mem = NULL;
	struct buf out = {0};

	(void)state;
	MUST(pki_envelope_sign(
	    &out, operator_key, span_str(TD), NOW_S * 1000, commands, 2, &err));
	MUST(wire_envelope_decode(buf_span(&out), &env, &mem, &err));
	assert_true(span_eq_str(env.trust_domain, TD));
	assert_true(env.expires_ms == NOW_S * 1000);
	assert_int_equal(env.commands_n, 2);
	assert_int_equal(env.commands[0].kind, CA_ADMIN_SET_OPERATOR);
	assert_true(span_eq_str(env.commands[0].u.set_operator.name, "bob"));
	assert_int_equal(env.commands[1].u.add_issuer.node, 7);
	assert_true(span_eq(
	    env.commands[1].u.add_issuer.cert, buf_span(&chain.issuer)));
	assert_int_equal(env.signatures_n, 1);
	assert_true(span_eq(env.signatures[0].spki, buf_span(&operator_spki)));
	assert_int_equal(memcmp(env.signed_bytes.p, WIRE_CONTEXT_ADMIN,
			     sizeof(WIRE_CONTEXT_ADMIN)),
	    0); /* with its zero */
	MUST(crypto.verify(crypto.ctx, env.signatures[0].spki, env.signed_bytes,
	    env.signatures[0].sig, &err));
	wire_free(mem);
	buf_free(&out);
	free(commands);
}

/* Whatever octet changes: it does not decode, or its signature, or its signer,
 * is no longer what it was. */
static void an_altered_envelope_does_not_hold(void **state)
{
	struct ca_admin *commands = two_commands();
	struct buf out = {0};

	(void)state;
	MUST(pki_envelope_sign(
	    &out, operator_key, span_str(TD), NOW_S * 1000, commands, 2, &err));
	for (size_t i = 0; i < out.len; i++) {
		struct ca_envelope env;
		struct wire_memory *mem = NULL;

		out.p[i] ^= 1;
		if (wire_envelope_decode(buf_span(&out), &env, &mem, NULL) ==
			E_OK &&
		    env.signatures_n == 1 &&
		    span_eq(env.signatures[0].spki, buf_span(&operator_spki)) &&
		    pki_verify(env.signatures[0].spki, env.signed_bytes,
			env.signatures[0].sig))
			fail_msg("octet %zu may change", i);
		wire_free(mem);
		out.p[i] ^= 1;
	}
	buf_free(&out);
	free(commands);
}

static void two_envelopes_never_have_one_nonce(void **state)
{
	struct ca_admin *commands = two_commands();
	struct ca_envelope a, b;
	struct wire_memory *mem_a, *mem_b;
	struct buf one = {0}, two = {0};

	(void)state;
	MUST(pki_envelope_sign(
	    &one, operator_key, span_str(TD), 1, commands, 2, &err));
	MUST(pki_envelope_sign(
	    &two, operator_key, span_str(TD), 1, commands, 2, &err));
	MUST(wire_envelope_decode(buf_span(&one), &a, &mem_a, &err));
	MUST(wire_envelope_decode(buf_span(&two), &b, &mem_b, &err));
	assert_memory_not_equal(a.nonce, b.nonce, CA_NONCE_LEN);
	wire_free(mem_a);
	wire_free(mem_b);
	buf_free(&one);
	buf_free(&two);
	free(commands);
}

static void another_kind_of_key_signs_nothing(void **state)
{
	struct ca_admin *commands = two_commands();
	struct buf out = {0};
	EVP_PKEY *rsa;

	(void)state;
	MUST(pki_key_new(PKI_RSA2048, &rsa, &err));
	REFUSED(
	    pki_envelope_sign(&out, rsa, span_str(TD), 1, commands, 2, &err),
	    E_INVAL, "P-256");
	assert_int_equal(out.len, 0);
	EVP_PKEY_free(rsa);
	free(commands);
}

static struct ca_genesis *genesis_of(const struct buf *crl)
{
	struct ca_genesis *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	g->trust_domain = span_str(TD);
	g->root_cert = buf_span(&chain.root);
	g->root_crl = buf_span(crl);
	g->op.name = span_str("alice");
	g->op.spki = buf_span(&operator_spki);
	g->op.roles = CA_ROLE_ADMIN;
	g->cluster.name = span_str("east");
	g->cluster.audiences[g->cluster.audiences_n++] = span_str("istio-ca");
	g->node.id = 1;
	g->node.cluster = span_str("east");
	g->node.mesh_address = span_str("127.0.1.1:7700");
	g->node.api_spki = buf_span(&operator_spki);
	g->node.has_issuer = true;
	memcpy(g->node.issuer, chain.from.key_id, CA_KEY_ID_LEN);
	g->issuer_cert = buf_span(&chain.issuer);
	return g;
}

static void genesis_is_signed_with_the_root_key(void **state)
{
	struct ca_crypto crypto = pki_ca_crypto();
	struct ca_entry *entry = calloc(1, sizeof(*entry));
	struct wire_memory *mem = NULL;
	struct ca_cert_facts root, issuer;
	struct buf crl = {0}, out = {0}, raw = {0};
	const struct ca_genesis *got;
	struct ca_genesis *g;

	(void)state;
	assert_non_null(entry);
	crl_make(&crl, buf_span(&chain.root), chain.root_key, 1, NULL, 0);
	g = genesis_of(&crl);
	MUST(pki_genesis_sign(&out, chain.root_key, g, &err));
	MUST(wire_signed_entry(
	    &raw, CA_GENESIS, NOW_S * 1000, 1, buf_span(&out), &err));
	MUST(wire_entry_decode(buf_span(&raw), entry, &mem, &err));
	assert_int_equal(entry->kind, CA_GENESIS);
	got = &entry->u.genesis;
	MUST(crypto.root(crypto.ctx, got->root_cert, &root, &err));
	MUST(crypto.issuer(
	    crypto.ctx, got->issuer_cert, got->root_cert, &issuer, &err));
	MUST(crypto.verify(
	    crypto.ctx, root.spki, got->signed_bytes, got->signature, &err));
	REFUSED(crypto.verify(crypto.ctx, issuer.spki, got->signed_bytes,
		    got->signature, &err),
	    E_INVAL, "bad signature");
	wire_free(mem);
	free(entry);
	free(g);
	buf_free(&crl);
	buf_free(&out);
	buf_free(&raw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_envelope_is_read_and_its_signature_holds),
	    cmocka_unit_test(an_altered_envelope_does_not_hold),
	    cmocka_unit_test(two_envelopes_never_have_one_nonce),
	    cmocka_unit_test(another_kind_of_key_signs_nothing),
	    cmocka_unit_test(genesis_is_signed_with_the_root_key),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
