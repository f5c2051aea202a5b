/* CRLs: read back by OpenSSL, and what they do to a chain. */
#include "help.h"

#include <openssl/err.h>

static struct chain chain;

static int make_chain(void **state)
{
	(void)state;
	chain_make(&chain, false);
	return 0;
}

static int free_chain(void **state)
{
	(void)state;
	chain_free(&chain);
	return 0;
}

static void expect_number(X509_CRL *crl, uint64_t want)
{
	ASN1_INTEGER *n = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
	uint64_t got;

	assert_non_null(n);
	assert_int_equal(ASN1_INTEGER_get_uint64(&got, n), 1);
	assert_true(got == want);
	ASN1_INTEGER_free(n);
}

static void a_crl_without_entries_is_read_back(void **state)
{
	X509 *issuer = x509_of(&chain.issuer);
	AUTHORITY_KEYID *aki;
	struct buf der = {0};
	X509_CRL *crl;

	(void)state;
	crl_make(&der, buf_span(&chain.issuer), chain.issuer_key, 1, NULL, 0);
	crl = crl_of(&der);
	assert_int_equal(X509_CRL_get_version(crl), X509_CRL_VERSION_2);
	assert_int_equal(
	    X509_CRL_get_signature_nid(crl), NID_ecdsa_with_SHA256);
	assert_int_equal(X509_NAME_cmp(X509_CRL_get_issuer(crl),
			     X509_get_subject_name(issuer)),
	    0);
	assert_int_equal(ASN1_TIME_cmp_time_t(X509_CRL_get0_lastUpdate(crl),
			     (time_t)NOW_S - 600),
	    0);
	assert_int_equal(ASN1_TIME_cmp_time_t(X509_CRL_get0_nextUpdate(crl),
			     (time_t)NOW_S + 7 * 86400),
	    0);
	assert_null(X509_CRL_get_REVOKED(crl)); /* absent, not empty */
	assert_int_equal(X509_CRL_get_ext_count(crl), 2);
	expect_number(crl, 1);
	aki =
	    X509_CRL_get_ext_d2i(crl, NID_authority_key_identifier, NULL, NULL);
	assert_non_null(aki);
	assert_int_equal(ASN1_STRING_length(aki->keyid), CA_KEY_ID_LEN);
	assert_memory_equal(ASN1_STRING_get0_data(aki->keyid),
	    chain.from.key_id, CA_KEY_ID_LEN);
	assert_int_equal(X509_CRL_verify(crl, X509_get0_pubkey(issuer)), 1);
	AUTHORITY_KEYID_free(aki);
	X509_CRL_free(crl);
	X509_free(issuer);
	buf_free(&der);
}

static void entries_are_read_back(void **state)
{
	static const struct ca_revoked rows[] = {
	    {.serial = {0x42, 1}, .revoked_s = NOW_S, .reason = 0},
	    {.serial = {0x42, 2}, .revoked_s = NOW_S - 5, .reason = 1},
	    {.serial = {0x42, 3}, .revoked_s = 2524608000, .reason = 10},
	};
	struct buf der = {0};
	X509_CRL *crl;
	STACK_OF(X509_REVOKED) * got;

	(void)state;
	crl_make(&der, buf_span(&chain.issuer), chain.issuer_key, UINT64_MAX,
	    rows, 3);
	crl = crl_of(&der);
	expect_number(crl, UINT64_MAX);
	got = X509_CRL_get_REVOKED(crl);
	assert_int_equal(sk_X509_REVOKED_num(got), 3);
	for (int i = 0; i < 3; i++) {
		const X509_REVOKED *r = sk_X509_REVOKED_value(got, i);
		ASN1_ENUMERATED *reason =
		    X509_REVOKED_get_ext_d2i(r, NID_crl_reason, NULL, NULL);
		const ASN1_INTEGER *s = X509_REVOKED_get0_serialNumber(r);

		assert_int_equal(ASN1_STRING_length(s), CA_SERIAL_LEN);
		assert_memory_equal(
		    ASN1_STRING_get0_data(s), rows[i].serial, CA_SERIAL_LEN);
		assert_int_equal(
		    ASN1_TIME_cmp_time_t(X509_REVOKED_get0_revocationDate(r),
			(time_t)rows[i].revoked_s),
		    0);
		assert_int_equal(reason == NULL, rows[i].reason == 0);
		if (reason != NULL)
			assert_int_equal(
			    ASN1_ENUMERATED_get(reason), rows[i].reason);
		ASN1_ENUMERATED_free(reason);
	}
	X509_CRL_free(crl);
	buf_free(&der);
}

/* Both CAs' CRLs are asked for, as Envoy does (CRL_CHECK_ALL). */
static int verify(
    struct buf *leaf, struct buf *issuer_crl, struct buf *root_crl)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *untrusted = sk_X509_new_null();
	X509 *root = x509_of(&chain.root), *issuer = x509_of(&chain.issuer);
	X509 *x = x509_of(leaf);
	struct buf *crls[] = {issuer_crl, root_crl};
	int result;

	sk_X509_push(untrusted, issuer);
	X509_STORE_add_cert(store, root);
	for (size_t i = 0; i < 2; i++) {
		X509_CRL *crl = crls[i] == NULL ? NULL : crl_of(crls[i]);

		if (crl != NULL)
			X509_STORE_add_crl(store, crl);
		X509_CRL_free(crl);
	}
	X509_STORE_set_flags(store, X509_V_FLAG_X509_STRICT |
					X509_V_FLAG_CRL_CHECK |
					X509_V_FLAG_CRL_CHECK_ALL);
	assert_int_equal(X509_STORE_CTX_init(ctx, store, x, untrusted), 1);
	X509_STORE_CTX_set_time(ctx, 0, (time_t)NOW_S);
	X509_verify_cert(ctx);
	result = X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	sk_X509_free(untrusted);
	X509_free(root);
	X509_free(issuer);
	X509_free(x);
	ERR_clear_error();
	return result;
}

static void a_revoked_serial_breaks_its_chain(void **state)
{
	struct ca_revoked row = {.revoked_s = NOW_S - 5, .reason = 1};
	struct buf spki, leaf = {0}, none = {0}, one = {0}, root = {0};
	struct ca_issue i;

	(void)state;
	spki_of(&spki, chain.root_key);
	i = issue_plain(&chain, buf_span(&spki));
	leaf_make(&leaf, &i, &chain);
	memcpy(row.serial, i.serial, CA_SERIAL_LEN);
	crl_make(&none, buf_span(&chain.issuer), chain.issuer_key, 1, NULL, 0);
	crl_make(&one, buf_span(&chain.issuer), chain.issuer_key, 2, &row, 1);
	crl_make(&root, buf_span(&chain.root), chain.root_key, 1, NULL, 0);
	assert_int_equal(verify(&leaf, &none, &root), X509_V_OK);
	assert_int_equal(verify(&leaf, &one, &root), X509_V_ERR_CERT_REVOKED);
	assert_int_equal(
	    verify(&leaf, &none, NULL), X509_V_ERR_UNABLE_TO_GET_CRL);
	assert_int_equal(
	    verify(&leaf, NULL, &root), X509_V_ERR_UNABLE_TO_GET_CRL);
	buf_free(&spki);
	buf_free(&leaf);
	buf_free(&none);
	buf_free(&one);
	buf_free(&root);
}

/* 15,000 entries: what Istio's ConfigMap holds. */
static void many_entries_are_one_crl(void **state)
{
	enum { MANY = 15000 };
	struct ca_revoked *rows = calloc(MANY, sizeof(*rows));
	struct buf a = {0}, b = {0}, sig = {0}, der = {0};
	X509_CRL *crl;

	(void)state;
	assert_non_null(rows);
	for (size_t i = 0; i < MANY; i++) {
		rows[i].serial[0] = 0x40;
		rows[i].serial[14] = (uint8_t)(i >> 8);
		rows[i].serial[15] = (uint8_t)i;
		rows[i].revoked_s = NOW_S;
		rows[i].reason = 4;
	}
	MUST(pki_crl_tbs(&a, buf_span(&chain.issuer), 9, NOW_S, NOW_S + 9, rows,
	    MANY, &err));
	MUST(pki_crl_tbs(&b, buf_span(&chain.issuer), 9, NOW_S, NOW_S + 9, rows,
	    MANY, &err));
	assert_true(span_eq(buf_span(&a), buf_span(&b)));
	MUST(pki_sign(&sig, chain.issuer_key, buf_span(&a), &err));
	MUST(pki_crl_der(&der, buf_span(&a), buf_span(&sig), &err));
	crl = crl_of(&der);
	assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), MANY);
	X509_CRL_free(crl);
	buf_free(&a);
	buf_free(&b);
	buf_free(&sig);
	buf_free(&der);
	free(rows);
}

static void what_cannot_stand_on_a_crl_is_refused(void **state)
{
	static const struct {
		const char *word;
		int reason;
		uint64_t revoked_s, next_s;
	} rows[] = {
	    {"reason", -1, NOW_S, NOW_S},
	    {"reason", 7, NOW_S, NOW_S},
	    {"reason", 8, NOW_S, NOW_S},
	    {"reason", 11, NOW_S, NOW_S},
	    {"9999", 1, UINT64_MAX, NOW_S},
	    {"9999", 1, NOW_S, UINT64_MAX},
	    {"before it begins", 1, NOW_S, NOW_S - 1},
	};
	struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct ca_revoked r = {.serial = {0x40},
		    .revoked_s = rows[i].revoked_s,
		    .reason = rows[i].reason};

		REFUSED(pki_crl_tbs(&out, buf_span(&chain.issuer), 1, NOW_S,
			    rows[i].next_s, &r, 1, &err),
		    E_INVAL, rows[i].word);
	}
	REFUSED(pki_crl_tbs(&out, SPAN_EMPTY, 1, NOW_S, NOW_S, NULL, 0, &err),
	    E_INVAL, "issuer certificate");
	REFUSED(pki_crl_der(&out, span_str("tbs"), SPAN_EMPTY, &err), E_INVAL,
	    "signature");
	assert_int_equal(out.len, 0);
	no_leftovers();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_crl_without_entries_is_read_back),
	    cmocka_unit_test(entries_are_read_back),
	    cmocka_unit_test(a_revoked_serial_breaks_its_chain),
	    cmocka_unit_test(many_entries_are_one_crl),
	    cmocka_unit_test(what_cannot_stand_on_a_crl_is_refused),
	};

	return cmocka_run_group_tests(tests, make_chain, free_chain);
}
