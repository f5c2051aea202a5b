/* The root's CRL and trust anchors, as every node reads them: what OpenSSL
 * makes is taken if it is what we asked for, and nothing else is. */
#include "help.h"

#include <openssl/err.h>
#include <openssl/rsa.h>

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

static const struct ca_revoked some[] = {
    {.serial = {0x42, 1}, .revoked_s = NOW_S, .reason = 0},
    {.serial = {0x42, 2}, .revoked_s = NOW_S - 5, .reason = 1},
    {.serial = {0x7f, 3}, .revoked_s = 2524608000, .reason = 9},
};

/* ---- Our own --------------------------------------------------------------
 */

static void our_own_is_read(void **state)
{
	struct pki_crl_facts f;
	struct buf der = {0};

	(void)state;
	for (size_t n = 0; n <= ROWS(some); n++) {
		buf_clear(&der);
		crl_make(&der, buf_span(&chain.root), chain.root_key,
		    n == 0 ? UINT64_MAX : n - 1, some, n);
		MUST(pki_crl_read(buf_span(&der), buf_span(&chain.root),
		    SPAN_EMPTY, &f, &err));
		assert_true(f.number == (n == 0 ? UINT64_MAX : n - 1));
		assert_int_equal(f.this_s, NOW_S - 600);
		assert_int_equal(f.next_s, NOW_S + 7 * 86400);
		assert_int_equal(f.entries, n);
	}
	buf_free(&der);
}

static void rows_come_back(void **state)
{
	struct ca_revoked *rows;
	struct buf der = {0};
	size_t n;

	(void)state;
	crl_make(
	    &der, buf_span(&chain.root), chain.root_key, 1, some, ROWS(some));
	MUST(pki_crl_rows(buf_span(&der), &rows, &n, &err));
	assert_int_equal(n, ROWS(some));
	for (size_t i = 0; i < n; i++) {
		assert_memory_equal(
		    rows[i].serial, some[i].serial, CA_SERIAL_LEN);
		assert_int_equal(rows[i].revoked_s, some[i].revoked_s);
		assert_int_equal(rows[i].reason, some[i].reason);
	}
	free(rows);
	buf_clear(&der);
	crl_make(&der, buf_span(&chain.root), chain.root_key, 1, NULL, 0);
	MUST(pki_crl_rows(buf_span(&der), &rows, &n, &err));
	assert_int_equal(n, 0);
	free(rows);
	buf_free(&der);
}

static void what_it_must_list_is_looked_for(void **state)
{
	struct buf with = {0}, without = {0};
	struct ca_revoked row = {.revoked_s = NOW_S, .reason = 2};
	struct pki_crl_facts f;
	struct span root = buf_span(&chain.root);

	(void)state;
	MUST(pki_cert_serial(buf_span(&chain.issuer), row.serial, &err));
	crl_make(&with, root, chain.root_key, 2, &row, 1);
	crl_make(&without, root, chain.root_key, 2, some, ROWS(some));
	MUST(pki_crl_read(
	    buf_span(&with), root, buf_span(&chain.issuer), &f, &err));
	REFUSED(pki_crl_read(buf_span(&without), root, buf_span(&chain.issuer),
		    &f, &err),
	    E_INVAL, "does not list");
	REFUSED(pki_crl_read(buf_span(&with), root, span_str("no certificate"),
		    &f, &err),
	    E_INVAL, "serial");
	buf_free(&with);
	buf_free(&without);
}

static void it_is_signed_by_that_root(void **state)
{
	struct pki_crl_facts f;
	struct buf der = {0};
	struct span root = buf_span(&chain.root);

	(void)state;
	crl_make(&der, buf_span(&chain.issuer), chain.issuer_key, 1, NULL, 0);
	REFUSED(pki_crl_read(buf_span(&der), root, SPAN_EMPTY, &f, &err),
	    E_INVAL, "another issuer");
	buf_clear(&der);
	crl_make(&der, root, chain.issuer_key, 1, NULL, 0);
	REFUSED(pki_crl_read(buf_span(&der), root, SPAN_EMPTY, &f, &err),
	    E_INVAL, "signature");
	REFUSED(pki_crl_read(buf_span(&der), SPAN_EMPTY, SPAN_EMPTY, &f, &err),
	    E_INVAL, "");
	REFUSED(pki_crl_read(SPAN_EMPTY, root, SPAN_EMPTY, &f, &err), E_INVAL,
	    "not a v2 CRL");
	buf_free(&der);
}

/* ---- OpenSSL's -------------------------------------------------------------
 */

enum twist {
	PLAIN,
	AKI_TOO,
	NOTE,
	V1,
	NO_NEXT,
	NO_NUMBER,
	TWO_NUMBERS,
	CRITICAL_NUMBER,
	LONG_NUMBER,
	NEGATIVE_NUMBER,
	CRITICAL_NOTE,
	PARTITIONED,
	DELTA,
	SHA_384,
	ENDS_FIRST,
	SHORT_SERIAL,
	ENTRY_NOTE,
	ENTRY_CRITICAL,
	REMOVED,
	UNUSED_REASON,
};

static void add(X509_CRL *crl, int nid, const char *value, bool critical)
{
	X509V3_CTX ctx;
	X509_EXTENSION *x;

	X509V3_set_ctx(&ctx, NULL, NULL, NULL, crl, 0);
	x = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(x);
	X509_EXTENSION_set_critical(x, critical);
	assert_int_equal(X509_CRL_add_ext(crl, x, -1), 1);
	X509_EXTENSION_free(x);
}

/* An extension that nobody knows. */
static X509_EXTENSION *note(bool critical)
{
	ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.99999.1", 1);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *x;

	ASN1_OCTET_STRING_set(value, (const uint8_t *)"\x05", 2);
	x = X509_EXTENSION_create_by_OBJ(NULL, oid, critical, value);
	assert_non_null(x);
	ASN1_OBJECT_free(oid);
	ASN1_OCTET_STRING_free(value);
	return x;
}

static void add_entry(X509_CRL *crl, enum twist t)
{
	X509_REVOKED *r = X509_REVOKED_new();
	ASN1_TIME *when = ASN1_TIME_set(NULL, (time_t)NOW_S);
	ASN1_INTEGER *serial = ASN1_INTEGER_new();
	ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();
	uint8_t number[CA_SERIAL_LEN] = {0x42, 7};
	BIGNUM *bn = BN_bin2bn(
	    number, t == SHORT_SERIAL ? 3 : (int)sizeof(number), NULL);

	BN_to_ASN1_INTEGER(bn, serial);
	X509_REVOKED_set_serialNumber(r, serial);
	X509_REVOKED_set_revocationDate(r, when);
	ASN1_ENUMERATED_set(
	    reason, t == REMOVED ? 8 : (t == UNUSED_REASON ? 7 : 4));
	X509_REVOKED_add1_ext_i2d(r, NID_crl_reason, reason, 0, 0);
	if (t == ENTRY_NOTE || t == ENTRY_CRITICAL) {
		X509_EXTENSION *x = note(t == ENTRY_CRITICAL);

		X509_REVOKED_add_ext(r, x, -1);
		X509_EXTENSION_free(x);
	}
	assert_int_equal(X509_CRL_add0_revoked(crl, r), 1);
	BN_free(bn);
	ASN1_INTEGER_free(serial);
	ASN1_TIME_free(when);
	ASN1_ENUMERATED_free(reason);
}

static void add_number(X509_CRL *crl, enum twist t)
{
	ASN1_INTEGER *n = ASN1_INTEGER_new();
	BIGNUM *bn = NULL;

	assert_true(BN_hex2bn(&bn, t == LONG_NUMBER       ? "010000000000000000"
				   : t == NEGATIVE_NUMBER ? "-1"
							  : "07") > 0);
	BN_to_ASN1_INTEGER(bn, n);
	for (int i = 0; i < (t == NO_NUMBER        ? 0
				: t == TWO_NUMBERS ? 2
						   : 1);
	     i++)
		assert_int_equal(X509_CRL_add1_ext_i2d(crl, NID_crl_number, n,
				     t == CRITICAL_NUMBER, X509V3_ADD_APPEND),
		    1);
	BN_free(bn);
	ASN1_INTEGER_free(n);
}

static void add_twist(X509_CRL *crl, X509 *root, enum twist t)
{
	X509_EXTENSION *x;

	if (t == AKI_TOO) {
		X509V3_CTX ctx;

		X509V3_set_ctx(&ctx, root, NULL, NULL, crl, 0);
		x = X509V3_EXT_conf_nid(
		    NULL, &ctx, NID_authority_key_identifier, "keyid");
		assert_non_null(x);
		X509_CRL_add_ext(crl, x, -1);
		X509_EXTENSION_free(x);
	} else if (t == NOTE || t == CRITICAL_NOTE) {
		x = note(t == CRITICAL_NOTE);
		X509_CRL_add_ext(crl, x, -1);
		X509_EXTENSION_free(x);
	} else if (t == PARTITIONED) {
		add(crl, NID_issuing_distribution_point, "onlyuser:TRUE", true);
	} else if (t == DELTA) {
		ASN1_INTEGER *n = ASN1_INTEGER_new();

		ASN1_INTEGER_set(n, 1);
		X509_CRL_add1_ext_i2d(crl, NID_delta_crl, n, 1, 0);
		ASN1_INTEGER_free(n);
	}
}

static void openssl_crl(struct buf *out, enum twist t)
{
	X509 *root = x509_of(&chain.root);
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *when = ASN1_TIME_set(NULL, (time_t)NOW_S);
	uint8_t *der = NULL;
	int len;

	X509_CRL_set_version(
	    crl, t == V1 ? X509_CRL_VERSION_1 : X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(root));
	X509_CRL_set1_lastUpdate(crl, when);
	ASN1_TIME_set(when, (time_t)NOW_S + (t == ENDS_FIRST ? -1 : 86400));
	if (t != NO_NEXT)
		X509_CRL_set1_nextUpdate(crl, when);
	add_entry(crl, t);
	add_number(crl, t);
	add_twist(crl, root, t);
	X509_CRL_sort(crl);
	assert_true(X509_CRL_sign(crl, chain.root_key,
			t == SHA_384 ? EVP_sha384() : EVP_sha256()) > 0);
	len = i2d_X509_CRL(crl, &der);
	assert_true(len > 0);
	buf_clear(out);
	assert_true(buf_add(out, der, (size_t)len));
	OPENSSL_free(der);
	ASN1_TIME_free(when);
	X509_CRL_free(crl);
	X509_free(root);
}

static void what_openssl_makes_is_taken_or_not(void **state)
{
	static const struct {
		enum twist twist;
		const char *why; /* NULL: taken */
	} rows[] = {
	    {PLAIN, NULL},
	    {AKI_TOO, NULL},
	    {NOTE, NULL},
	    {ENTRY_NOTE, NULL},
	    {V1, "v2 CRL"},
	    {NO_NEXT, "v2 CRL"},
	    {NO_NUMBER, "v2 CRL"},
	    {TWO_NUMBERS, "v2 CRL"},
	    {CRITICAL_NUMBER, "v2 CRL"},
	    {LONG_NUMBER, "v2 CRL"},
	    {NEGATIVE_NUMBER, "v2 CRL"},
	    {CRITICAL_NOTE, "v2 CRL"},
	    {PARTITIONED, "v2 CRL"},
	    {DELTA, "v2 CRL"},
	    {SHA_384, "v2 CRL"},
	    {ENDS_FIRST, "ends before it begins"},
	    {SHORT_SERIAL, "entry 1"},
	    {ENTRY_CRITICAL, "entry 1"},
	    {REMOVED, "entry 1"},
	    {UNUSED_REASON, "entry 1"},
	};
	struct pki_crl_facts f;
	struct buf der = {0};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		openssl_crl(&der, rows[i].twist);
		if (rows[i].why != NULL) {
			REFUSED(
			    pki_crl_read(buf_span(&der), buf_span(&chain.root),
				SPAN_EMPTY, &f, &err),
			    E_INVAL, rows[i].why);
			continue;
		}
		MUST(pki_crl_read(buf_span(&der), buf_span(&chain.root),
		    SPAN_EMPTY, &f, &err));
		assert_int_equal(f.number, 7);
		assert_int_equal(f.entries, 1);
	}
	buf_free(&der);
	no_leftovers();
}

/* ---- Damage ----------------------------------------------------------------
 */

/* In memory of just that size, so that a sanitizer sees what is read beyond. */
static enum code read_exact(struct span in)
{
	struct pki_crl_facts f;
	struct ca_revoked *rows;
	uint8_t *p = malloc(in.len == 0 ? 1 : in.len);
	size_t n;
	enum code rc;

	assert_non_null(p);
	if (in.len > 0)
		memcpy(p, in.p, in.len);
	if (pki_crl_rows(span_of(p, in.len), &rows, &n, &err) == E_OK)
		free(rows);
	rc = pki_crl_read(span_of(p, in.len), buf_span(&chain.root),
	    buf_span(&chain.issuer), &f, &err);
	free(p);
	return rc;
}

static void each_altered_bit_is_found(void **state)
{
	struct ca_revoked rows[2] = {
	    {.revoked_s = NOW_S, .reason = 2}, some[1]};
	struct buf der = {0};

	(void)state;
	MUST(pki_cert_serial(buf_span(&chain.issuer), rows[0].serial, &err));
	crl_make(&der, buf_span(&chain.root), chain.root_key, 7, rows, 2);
	assert_int_equal(read_exact(buf_span(&der)), E_OK);
	for (size_t len = 0; len < der.len; len++)
		assert_int_equal(read_exact(span_of(der.p, len)), E_INVAL);
	for (size_t i = 0; i < 8 * der.len; i++) {
		der.p[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(read_exact(buf_span(&der)), E_INVAL);
		der.p[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	assert_true(buf_add_u8(&der, 0));
	assert_int_equal(read_exact(buf_span(&der)), E_INVAL);
	buf_free(&der);
	no_leftovers();
}

/* ---- Trust anchors ----------------------------------------------------------
 */

static enum code anchor(struct span cert)
{
	struct ca_crypto c = pki_ca_crypto();

	return c.anchor(c.ctx, cert, &err);
}

/* A self-signed certificate with whatever key. */
static void foreign_root(
    struct buf *out, EVP_PKEY *key, const EVP_MD *md, const char *constraints)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	uint8_t *der = NULL;
	int len;

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
	X509_NAME_add_entry_by_txt(
	    name, "CN", MBSTRING_UTF8, (const uint8_t *)"foreign", -1, -1, 0);
	X509_set_issuer_name(x, name);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, key);
	if (constraints != NULL) {
		X509_EXTENSION *ext = X509V3_EXT_conf_nid(
		    NULL, NULL, NID_basic_constraints, constraints);

		assert_non_null(ext);
		X509_add_ext(x, ext, -1);
		X509_EXTENSION_free(ext);
	}
	assert_true(X509_sign(x, key, md) > 0);
	len = i2d_X509(x, &der);
	assert_true(len > 0);
	buf_clear(out);
	assert_true(buf_add(out, der, (size_t)len));
	OPENSSL_free(der);
	X509_free(x);
}

static void an_anchor_is_a_ca_certificate(void **state)
{
	static const struct {
		const char *constraints;
		bool good;
	} rows[] = {{"critical,CA:TRUE", true}, {"CA:TRUE,pathlen:3", true},
	    {"CA:FALSE", false}, {"critical,CA:FALSE", false}, {NULL, false}};
	EVP_PKEY *keys[] = {EVP_RSA_gen(2048), EVP_EC_gen("P-384"),
	    EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
	const EVP_MD *mds[] = {EVP_sha256(), EVP_sha384(), NULL};
	struct buf der = {0};

	(void)state;
	assert_int_equal(anchor(buf_span(&chain.root)), E_OK);
	assert_int_equal(anchor(buf_span(&chain.issuer)), E_OK);
	for (size_t k = 0; k < ROWS(keys); k++)
		for (size_t i = 0; i < ROWS(rows); i++) {
			foreign_root(
			    &der, keys[k], mds[k], rows[i].constraints);
			assert_int_equal(anchor(buf_span(&der)),
			    rows[i].good ? E_OK : E_INVAL);
		}
	for (size_t k = 0; k < ROWS(keys); k++)
		EVP_PKEY_free(keys[k]);
	buf_free(&der);
}

static void a_leaf_or_less_is_no_anchor(void **state)
{
	struct buf spki, leaf = {0};
	struct ca_issue i;
	struct span root = buf_span(&chain.root);

	(void)state;
	spki_of(&spki, chain.root_key);
	i = issue_plain(&chain, buf_span(&spki));
	leaf_make(&leaf, &i, &chain);
	assert_int_equal(anchor(buf_span(&leaf)), E_INVAL);
	for (size_t len = 0; len < root.len; len++) {
		uint8_t *p = malloc(len == 0 ? 1 : len);

		assert_non_null(p);
		memcpy(p, root.p, len);
		assert_int_equal(anchor(span_of(p, len)), E_INVAL);
		free(p);
	}
	assert_true(buf_add_u8(&chain.root, 0));
	assert_int_equal(anchor(buf_span(&chain.root)), E_INVAL);
	chain.root.len--;
	for (size_t k = 0; k < 8 * root.len; k++) { /* whatever comes of it */
		chain.root.p[k / 8] ^= (uint8_t)(1u << k % 8);
		(void)anchor(root);
		chain.root.p[k / 8] ^= (uint8_t)(1u << k % 8);
	}
	buf_free(&spki);
	buf_free(&leaf);
	no_leftovers();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(our_own_is_read),
	    cmocka_unit_test(rows_come_back),
	    cmocka_unit_test(what_it_must_list_is_looked_for),
	    cmocka_unit_test(it_is_signed_by_that_root),
	    cmocka_unit_test(what_openssl_makes_is_taken_or_not),
	    cmocka_unit_test(each_altered_bit_is_found),
	    cmocka_unit_test(an_anchor_is_a_ca_certificate),
	    cmocka_unit_test(a_leaf_or_less_is_no_anchor),
	};

	return cmocka_run_group_tests(tests, make_chain, free_chain);
}
