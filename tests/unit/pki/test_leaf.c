/* Leaves: read back by OpenSSL, field by field, and the same bytes for ever. */
#include "help.h"

#include <openssl/err.h>

#include "base/text.h"

static struct chain chain;
static struct buf p256, rsa;

static int make_chain(void **state)
{
	EVP_PKEY *key;

	(void)state;
	chain_make(&chain, false);
	MUST(pki_key_new(PKI_P256, &key, &err));
	spki_of(&p256, key);
	EVP_PKEY_free(key);
	MUST(pki_key_new(PKI_RSA2048, &key, &err));
	spki_of(&rsa, key);
	EVP_PKEY_free(key);
	return 0;
}

static int free_chain(void **state)
{
	(void)state;
	chain_free(&chain);
	buf_free(&p256);
	buf_free(&rsa);
	return 0;
}

/* An extension's value; NULL if it is not there once. */
static const ASN1_OCTET_STRING *ext_value(X509 *x, int nid, bool critical)
{
	int at = X509_get_ext_by_NID(x, nid, -1);
	X509_EXTENSION *ext = X509_get_ext(x, at);

	assert_non_null(ext);
	assert_int_equal(X509_get_ext_by_NID(x, nid, at), -1);
	assert_int_equal(X509_EXTENSION_get_critical(ext), critical);
	return X509_EXTENSION_get_data(ext);
}

static void expect_ext(X509 *x, int nid, bool critical, const char *hex)
{
	const ASN1_OCTET_STRING *v = ext_value(x, nid, critical);
	char got[512];

	assert_true(ASN1_STRING_length(v) < 256);
	hex_encode(
	    got, ASN1_STRING_get0_data(v), (size_t)ASN1_STRING_length(v));
	assert_string_equal(got, hex);
}

static void expect_name(
    const GENERAL_NAMES *names, int i, int type, const void *bytes, size_t len)
{
	const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
	int got;
	const ASN1_STRING *s = GENERAL_NAME_get0_value(n, &got);

	assert_int_equal(got, type);
	assert_int_equal(ASN1_STRING_length(s), len);
	assert_memory_equal(ASN1_STRING_get0_data(s), bytes, len);
}

static void expect_key_ids(X509 *x, struct span spki)
{
	const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(x);
	const ASN1_OCTET_STRING *aki = X509_get0_authority_key_id(x);
	uint8_t id[CA_KEY_ID_LEN];

	MUST(pki_key_id(spki, id, &err));
	assert_int_equal(ASN1_STRING_length(ski), CA_KEY_ID_LEN);
	assert_memory_equal(ASN1_STRING_get0_data(ski), id, CA_KEY_ID_LEN);
	assert_int_equal(ASN1_STRING_length(aki), CA_KEY_ID_LEN);
	assert_memory_equal(
	    ASN1_STRING_get0_data(aki), chain.from.key_id, CA_KEY_ID_LEN);
}

static void a_workload_leaf_is_read_back(void **state)
{
	struct ca_issue i = issue_plain(&chain, buf_span(&p256));
	X509 *x, *issuer = x509_of(&chain.issuer);
	GENERAL_NAMES *names;
	struct buf der = {0};
	const ASN1_INTEGER *serial;
	const ASN1_BIT_STRING *sig;

	(void)state;
	leaf_make(&der, &i, &chain);
	x = x509_of(&der);
	assert_int_equal(X509_get_version(x), X509_VERSION_3);
	serial = X509_get0_serialNumber(x);
	assert_int_equal(ASN1_STRING_length(serial), CA_SERIAL_LEN);
	assert_memory_equal(
	    ASN1_STRING_get0_data(serial), i.serial, CA_SERIAL_LEN);
	assert_int_equal(X509_get_signature_nid(x), NID_ecdsa_with_SHA256);
	X509_get0_signature(&sig, NULL, x);
	assert_int_equal(sig->flags & 7, 0);
	assert_int_equal(X509_NAME_cmp(X509_get_issuer_name(x),
			     X509_get_subject_name(issuer)),
	    0);
	assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(x)), 0);
	assert_int_equal(
	    ASN1_TIME_cmp_time_t(X509_get0_notBefore(x), NOW_S - 120), 0);
	assert_int_equal(
	    ASN1_TIME_cmp_time_t(X509_get0_notAfter(x), NOW_S + 86400), 0);
	assert_int_equal(X509_get_ext_count(x), 6);
	expect_ext(x, NID_basic_constraints, true, "3000");
	expect_ext(x, NID_key_usage, true, "03020780");
	expect_ext(x, NID_ext_key_usage, false,
	    "301406082b0601050507030106082b06010505070302");
	expect_key_ids(x, i.spki);
	names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	ext_value(x, NID_subject_alt_name, true);
	assert_int_equal(sk_GENERAL_NAME_num(names), 1);
	expect_name(names, 0, GEN_URI, i.uri.p, i.uri.len);
	assert_int_equal(X509_verify(x, X509_get0_pubkey(issuer)), 1);
	GENERAL_NAMES_free(names);
	X509_free(x);
	X509_free(issuer);
	buf_free(&der);
}

static void a_node_leaf_has_all_its_names(void **state)
{
	static const uint8_t v6[16] = {0xfd, 1, [15] = 9};
	struct ca_issue i = issue_plain(&chain, buf_span(&p256));
	GENERAL_NAMES *names;
	struct buf der = {0};
	X509_NAME *subject;
	char cn[80];
	X509 *x;

	(void)state;
	i.profile = CA_PROFILE_NODE;
	i.uri = SPAN_EMPTY;
	i.common_name = span_str("east");
	i.dns[i.dns_n++] = span_str("ca.east.example");
	i.dns[i.dns_n++] = span_str("localhost");
	i.ip[i.ip_n++] = span_of("\x7f\x00\x01\x01", 4);
	i.ip[i.ip_n++] = span_of(v6, sizeof(v6));
	leaf_make(&der, &i, &chain);
	x = x509_of(&der);
	subject = X509_get_subject_name(x);
	assert_int_equal(X509_NAME_entry_count(subject), 1);
	assert_int_equal(
	    X509_NAME_get_text_by_NID(subject, NID_commonName, cn, 80), 4);
	assert_string_equal(cn, "east");
	ext_value(x, NID_subject_alt_name, false);
	names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	assert_int_equal(sk_GENERAL_NAME_num(names), 4);
	expect_name(names, 0, GEN_DNS, "ca.east.example", 15);
	expect_name(names, 1, GEN_DNS, "localhost", 9);
	expect_name(names, 2, GEN_IPADD, "\x7f\x00\x01\x01", 4);
	expect_name(names, 3, GEN_IPADD, v6, 16);
	assert_int_equal(X509_check_host(x, "ca.east.example", 0, 0, NULL), 1);
	assert_int_equal(X509_check_ip_asc(x, "127.0.1.1", 0), 1);
	GENERAL_NAMES_free(names);
	X509_free(x);
	buf_free(&der);
}

static void rsa_may_encipher_keys(void **state)
{
	struct ca_issue i = issue_plain(&chain, buf_span(&rsa));
	struct buf der = {0};
	X509 *x;

	(void)state;
	leaf_make(&der, &i, &chain);
	x = x509_of(&der);
	expect_ext(x, NID_key_usage, true, "030205a0");
	expect_key_ids(x, i.spki);
	X509_free(x);
	buf_free(&der);
}

/* 64 names of the longest kind: lengths of three octets everywhere. */
static void the_largest_record_is_encoded(void **state)
{
	struct ca_issue i = issue_plain(&chain, buf_span(&rsa));
	char host[254];
	struct buf der = {0};
	GENERAL_NAMES *names;
	X509 *x;

	(void)state;
	memset(host, 'a', sizeof(host));
	for (i.dns_n = 0; i.dns_n < CA_LIST_MAX; i.dns_n++)
		i.dns[i.dns_n] = span_of(host, 253);
	leaf_make(&der, &i, &chain);
	x = x509_of(&der);
	names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	assert_int_equal(sk_GENERAL_NAME_num(names), 65);
	GENERAL_NAMES_free(names);
	X509_free(x);
	buf_free(&der);
}

/* What OpenSSL says of leaf -> issuer -> root, strictly; with CRLs for both
 * CAs if there are any. */
static int verify(struct buf *leaf, const struct chain *c, bool crls)
{
	X509_VERIFY_PARAM *param = X509_VERIFY_PARAM_new();
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *untrusted = sk_X509_new_null();
	X509 *root = x509_of(&c->root), *x = x509_of(leaf);
	X509 *issuer = x509_of(&c->issuer);
	int result;

	sk_X509_push(untrusted, issuer);
	X509_STORE_add_cert(store, root);
	if (crls) {
		struct buf a = {0}, b = {0};
		X509_CRL *of_root, *of_issuer;

		crl_make(&a, buf_span(&c->root), c->root_key, 1, NULL, 0);
		crl_make(&b, buf_span(&c->issuer), c->issuer_key, 1, NULL, 0);
		of_root = crl_of(&a);
		of_issuer = crl_of(&b);
		X509_STORE_add_crl(store, of_root);
		X509_STORE_add_crl(store, of_issuer);
		X509_CRL_free(of_root);
		X509_CRL_free(of_issuer);
		buf_free(&a);
		buf_free(&b);
	}
	X509_VERIFY_PARAM_set_time(param, (time_t)NOW_S);
	X509_VERIFY_PARAM_set_flags(param,
	    X509_V_FLAG_X509_STRICT |
		(crls ? X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL : 0));
	X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
	X509_STORE_set1_param(store, param);
	assert_int_equal(X509_STORE_CTX_init(ctx, store, x, untrusted), 1);
	X509_verify_cert(ctx);
	result = X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	X509_VERIFY_PARAM_free(param);
	sk_X509_free(untrusted);
	X509_free(root);
	X509_free(issuer);
	X509_free(x);
	return result;
}

static void the_chain_holds_strictly(void **state)
{
	struct ca_issue i = issue_plain(&chain, buf_span(&p256));
	struct buf der = {0};

	(void)state;
	leaf_make(&der, &i, &chain);
	assert_int_equal(verify(&der, &chain, false), X509_V_OK);
	assert_int_equal(verify(&der, &chain, true), X509_V_OK);
	der.p[der.len - 1] ^= 1; /* in the signature */
	assert_int_equal(
	    verify(&der, &chain, false), X509_V_ERR_CERT_SIGNATURE_FAILURE);
	ERR_clear_error();
	buf_free(&der);
}

static void constraints_hold_names_in_the_trust_domain(void **state)
{
	static const struct {
		const char *why, *uri, *dns;
		int want;
	} rows[] = {
	    {"own", "spiffe://" TD "/ns/a/sa/b", NULL, X509_V_OK},
	    {"below", "spiffe://" TD "/ns/a/sa/b", "x." TD, X509_V_OK},
	    {"other", "spiffe://eu.example/ns/a/sa/b", NULL,
		X509_V_ERR_PERMITTED_VIOLATION},
	    {"below as URI", "spiffe://x." TD "/ns/a/sa/b", NULL,
		X509_V_ERR_PERMITTED_VIOLATION},
	    {"no dot boundary", "spiffe://" TD "/ns/a/sa/b", "evil" TD,
		X509_V_ERR_PERMITTED_VIOLATION},
	};
	struct chain c;

	(void)state;
	chain_make(&c, true);
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct ca_issue issue = issue_plain(&c, buf_span(&p256));
		struct buf der = {0};

		issue.uri = span_str(rows[i].uri);
		if (rows[i].dns != NULL)
			issue.dns[issue.dns_n++] = span_str(rows[i].dns);
		leaf_make(&der, &issue, &c);
		if (verify(&der, &c, false) != rows[i].want)
			fail_msg(
			    "%s: %d", rows[i].why, verify(&der, &c, false));
		buf_free(&der);
	}
	ERR_clear_error();
	chain_free(&c);
}

static void the_same_record_gives_the_same_bytes(void **state)
{
	struct ca_issue i = issue_plain(&chain, buf_span(&p256));
	struct pki_issuer again;
	struct buf a = {0}, b = {0};

	(void)state;
	MUST(pki_issuer_from_cert(buf_span(&chain.issuer), &again, &err));
	MUST(pki_leaf_tbs(&a, &i, &chain.from, &err));
	MUST(pki_leaf_tbs(&b, &i, &again, &err));
	assert_true(span_eq(buf_span(&a), buf_span(&b)));
	buf_free(&a);
	buf_free(&b);
}

/* Encoder version 1 ▣: logs hold signatures over these bytes.  If this fails,
 * the encoder changed, and that needs a new version. */
static void encoder_1_never_changes(void **state)
{
	static const uint8_t name[] = {0x30, 0x0f, 0x31, 0x0d, 0x30, 0x0b, 0x06,
	    0x03, 0x55, 0x04, 0x03, 0x0c, 0x04, 'e', 'a', 's', 't'};
	uint8_t spki[CA_P256_SPKI_LEN], sum[SHA256_LEN];
	struct pki_issuer issuer = {
	    .name = span_of(name, sizeof(name)),
	    .key_id = {1, 2, 3},
	    .not_after_s = 4000000000,
	};
	struct chain fixed = {.from = issuer};
	struct ca_issue i;
	struct buf der = {0};
	char hex[2 * SHA256_LEN + 1];

	(void)state;
	MUST(hex_decode(spki, sizeof(spki),
	    "3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c"
	    "4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f"
	    "9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
	    &err));
	i = issue_plain(&fixed, span_of(spki, sizeof(spki)));
	i.common_name = span_str("cart");
	i.dns[i.dns_n++] = span_str("cart.shop.svc");
	i.ip[i.ip_n++] = span_of("\x0a\x00\x00\x01", 4);
	i.not_after_s = 2600000000; /* 2052: a GeneralizedTime */
	i.signature = span_str("signature");
	MUST(pki_leaf_der(&der, &i, &issuer, &err));
	sha256_of(sum, buf_span(&der));
	hex_encode(hex, sum, sizeof(sum));
	assert_string_equal(hex,
	    "dd7862939b8e68e0bce2bb259bfd01f15bce3909135e3e55ee2372e3ec3d36e4");
	buf_free(&der);
}

enum fault {
	BAD_ENCODER,
	BAD_SERIAL,
	BAD_ISSUER,
	TOO_LONG,
	BACKWARDS,
	NAMELESS,
	LONG_CN,
	CN_CONTROL,
	URI_SPACE,
	URI_LONG,
	DNS_EMPTY,
	DNS_NUL,
	IP_FIVE,
	NO_KEY,
	KEY_TAIL,
};

static void break_record(struct ca_issue *i, enum fault f, struct buf *spki)
{
	static char a700[700];

	memset(a700, 'a', sizeof(a700));
	switch (f) {
	case BAD_ENCODER: i->encoder = 2; break;
	case BAD_SERIAL: i->serial[0] = 0x80; break;
	case BAD_ISSUER: i->issuer[0] ^= 1; break;
	case TOO_LONG: i->not_after_s = chain.from.not_after_s + 1; break;
	case BACKWARDS: i->not_before_s = i->not_after_s + 1; break;
	case NAMELESS: i->uri = SPAN_EMPTY; break;
	case LONG_CN: i->common_name = span_of(a700, 65); break;
	case CN_CONTROL: i->common_name = span_str("a\nb"); break;
	case URI_SPACE: i->uri = span_str("spiffe://a b"); break;
	case URI_LONG: i->uri = span_of(a700, CA_URI_MAX + 1); break;
	case DNS_EMPTY: i->dns[i->dns_n++] = SPAN_EMPTY; break;
	case DNS_NUL: i->dns[i->dns_n++] = span_of("a\0b", 3); break;
	case IP_FIVE: i->ip[i->ip_n++] = span_of("12345", 5); break;
	case NO_KEY: i->spki = SPAN_EMPTY; break;
	case KEY_TAIL:
		buf_add_u8(spki, 0);
		i->spki = buf_span(spki);
		break;
	}
}

static void records_that_give_no_certificate_are_refused(void **state)
{
	static const struct {
		enum fault fault;
		enum code code;
		const char *word;
	} rows[] = {
	    {BAD_ENCODER, E_UNSUPPORTED, "version 2"},
	    {BAD_SERIAL, E_INVAL, "serial"},
	    {BAD_ISSUER, E_INVAL, "another issuer"},
	    {TOO_LONG, E_INVAL, "outlive"},
	    {BACKWARDS, E_INVAL, "before it begins"},
	    {NAMELESS, E_INVAL, "nothing"},
	    {LONG_CN, E_INVAL, "common name"},
	    {CN_CONTROL, E_INVAL, "common name"},
	    {URI_SPACE, E_INVAL, "URI"},
	    {URI_LONG, E_INVAL, "URI"},
	    {DNS_EMPTY, E_INVAL, "DNS name 1"},
	    {DNS_NUL, E_INVAL, "DNS name 1"},
	    {IP_FIVE, E_INVAL, "5 octets"},
	    {NO_KEY, E_INVAL, "SubjectPublicKeyInfo"},
	    {KEY_TAIL, E_INVAL, "SubjectPublicKeyInfo"},
	};

	(void)state;
	for (size_t k = 0; k < ROWS(rows); k++) {
		struct ca_issue i = issue_plain(&chain, buf_span(&p256));
		struct buf out = {0}, spki = {0};

		buf_add_span(&spki, buf_span(&p256));
		break_record(&i, rows[k].fault, &spki);
		REFUSED(pki_leaf_tbs(&out, &i, &chain.from, &err), rows[k].code,
		    rows[k].word);
		assert_int_equal(out.len, 0);
		buf_free(&out);
		buf_free(&spki);
	}
}

static void a_record_without_signature_is_refused(void **state)
{
	struct ca_issue i = issue_plain(&chain, buf_span(&p256));
	struct buf out = {0};

	(void)state;
	REFUSED(
	    pki_leaf_der(&out, &i, &chain.from, &err), E_INVAL, "signature");
	assert_int_equal(out.len, 0);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_workload_leaf_is_read_back),
	    cmocka_unit_test(a_node_leaf_has_all_its_names),
	    cmocka_unit_test(rsa_may_encipher_keys),
	    cmocka_unit_test(the_largest_record_is_encoded),
	    cmocka_unit_test(the_chain_holds_strictly),
	    cmocka_unit_test(constraints_hold_names_in_the_trust_domain),
	    cmocka_unit_test(the_same_record_gives_the_same_bytes),
	    cmocka_unit_test(encoder_1_never_changes),
	    cmocka_unit_test(records_that_give_no_certificate_are_refused),
	    cmocka_unit_test(a_record_without_signature_is_refused),
	};

	return cmocka_run_group_tests(tests, make_chain, free_chain);
}
