/* CSRs: which are taken, and why the others are not. */
#include "help.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "pki/der.h"

#define URI "spiffe://" TD "/ns/shop/sa/cart"
#define URI2 "spiffe://" TD "/ns/shop/sa/till"

static EVP_PKEY *p256;

static int make_key(void **state)
{
	(void)state;
	MUST(pki_key_new(PKI_P256, &p256, &err));
	return 0;
}

static int free_key(void **state)
{
	(void)state;
	EVP_PKEY_free(p256);
	return 0;
}

/* As OpenSSL makes one.  md NULL: as EVP_PKEY_sign does without a digest. */
static void foreign(struct buf *pem, EVP_PKEY *key, const EVP_MD *md,
    const char *names, bool pss)
{
	X509_REQ *req = X509_REQ_new();
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	BIO *bio = BIO_new(BIO_s_mem());
	EVP_PKEY_CTX *pctx = NULL;
	char *text;
	long len;

	X509_REQ_set_version(req, X509_REQ_VERSION_1);
	X509_REQ_set_pubkey(req, key);
	if (names != NULL) {
		STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();

		sk_X509_EXTENSION_push(exts, X509V3_EXT_conf_nid(NULL, NULL,
						 NID_subject_alt_name, names));
		X509_REQ_add_extensions(req, exts);
		sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	}
	assert_int_equal(EVP_DigestSignInit(ctx, &pctx, md, NULL, key), 1);
	if (pss)
		EVP_PKEY_CTX_set_rsa_padding(pctx, 6 /* PSS */);
	assert_true(X509_REQ_sign_ctx(req, ctx) > 0);
	PEM_write_bio_X509_REQ(bio, req);
	len = BIO_get_mem_data(bio, &text);
	buf_add(pem, text, (size_t)len);
	BIO_free(bio);
	EVP_MD_CTX_free(ctx);
	X509_REQ_free(req);
}

static EVP_PKEY *key_of(const char *kind)
{
	EVP_PKEY *key;

	if (strcmp(kind, "Ed25519") == 0)
		key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	else if (strncmp(kind, "RSA-", 4) == 0)
		key = EVP_RSA_gen((unsigned)atoi(kind + 4));
	else
		key = EVP_EC_gen(kind);
	assert_non_null(key);
	return key;
}

static void keys_are_taken_by_kind(void **state)
{
	static const struct {
		const char *kind;
		bool digest, pss;
		const char *word; /* of the refusal; NULL: taken */
	} rows[] = {
	    {"P-256", true, false, NULL},
	    {"P-384", true, false, NULL},
	    {"RSA-2048", true, false, NULL},
	    {"RSA-3072", true, false, NULL},
	    {"RSA-4096", true, false, NULL},
	    {"RSA-1024", true, false, "1024 bits; take P-256"},
	    {"RSA-2056", true, false, "2056 bits; take P-256"},
	    {"RSA-2048", true, true, "PKCS #1 v1.5"},
	    {"Ed25519", false, false, "take P-256"},
	    {"P-521", true, false, "take P-256"},
	    {"secp256k1", true, false, "take P-256"},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		EVP_PKEY *key = key_of(rows[i].kind);
		struct buf pem = {0}, spki;
		struct pki_csr csr;

		foreign(&pem, key, rows[i].digest ? EVP_sha256() : NULL,
		    "URI:" URI, rows[i].pss);
		spki_of(&spki, key);
		if (rows[i].word == NULL) {
			MUST(pki_csr_parse(buf_span(&pem), &csr, &err));
			assert_int_equal(csr.rsa, rows[i].kind[0] == 'R');
			assert_true(
			    span_eq(buf_span(&csr.spki), buf_span(&spki)));
			assert_true(csr.spki.len <= CA_SPKI_MAX);
			assert_true(span_eq_str(buf_span(&csr.uri), URI));
		} else {
			REFUSED(pki_csr_parse(buf_span(&pem), &csr, &err),
			    E_INVAL, rows[i].word);
			assert_null(csr.spki.p);
		}
		no_leftovers();
		pki_csr_free(&csr);
		buf_free(&pem);
		buf_free(&spki);
		EVP_PKEY_free(key);
	}
}

static void names_are_read(void **state)
{
	static const struct {
		const char *names, *uri;
		bool many;
	} rows[] = {
	    {NULL, "", false},
	    {"DNS:a.example,IP:10.0.0.1", "", false},
	    {"critical,URI:" URI, URI, false},
	    {"DNS:a.example,URI:" URI, URI, false},
	    {"URI:" URI ",URI:" URI2, URI, true},
	    {"URI:" URI ",URI:" URI, URI, true},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct buf pem = {0};
		struct pki_csr csr;

		foreign(&pem, p256, EVP_sha256(), rows[i].names, false);
		MUST(pki_csr_parse(buf_span(&pem), &csr, &err));
		assert_true(span_eq_str(buf_span(&csr.uri), rows[i].uri));
		assert_int_equal(csr.many_uris, rows[i].many);
		pki_csr_free(&csr);
		buf_free(&pem);
	}
}

static void other_digests(void **state)
{
	const struct {
		const EVP_MD *md;
		bool ok;
	} rows[] = {
	    {EVP_sha384(), true},
	    {EVP_sha512(), true},
	    {EVP_sha1(), false},
	    {EVP_sha224(), false},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct buf pem = {0};
		struct pki_csr csr;

		foreign(&pem, p256, rows[i].md, NULL, false);
		assert_int_equal(
		    pki_csr_parse(buf_span(&pem), &csr, &err) == E_OK,
		    rows[i].ok);
		pki_csr_free(&csr);
		buf_free(&pem);
	}
}

/* A request of this content with a signature that holds. */
static void sign_info(struct buf *pem, struct buf *info)
{
	struct buf sig = {0}, der = {0};
	size_t at;

	MUST(pki_sign(&sig, p256, buf_span(info), &err));
	buf_add_span(&der, buf_span(info));
	at = der_begin(&der);
	der_oid(&der, OID_ECDSA_SHA256);
	der_end(&der, at, DER_SEQUENCE);
	der_bits(&der, buf_span(&sig));
	der_end(&der, 0, DER_SEQUENCE);
	MUST(pki_pem_add(pem, "CERTIFICATE REQUEST", buf_span(&der), &err));
	buf_free(&sig);
	buf_free(&der);
}

/* Well signed, and odd inside. */
static void odd_requests_are_refused(void **state)
{
	static const struct {
		const char *word;
		uint64_t version;
		bool cut_exts; /* extensionRequest that is no sequence */
		size_t names;  /* 1: not a sequence; else a URI's length */
		const char *uri;
	} rows[] = {
	    {"version", 1, false, 0, ""},
	    {"extensions", 0, true, 0, ""},
	    {"alternative names", 0, false, 1, ""},
	    {"NUL", 0, false, 3, "a\0b"},
	    {"empty", 0, false, 0, ""},
	};
	struct buf spki;

	(void)state;
	spki_of(&spki, p256);
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct buf info = {0}, pem = {0};
		struct pki_csr csr;
		size_t attrs, exts, ext, value;

		der_u64(&info, DER_INTEGER, rows[i].version);
		der_put(&info, DER_SEQUENCE, SPAN_EMPTY);
		buf_add_span(&info, buf_span(&spki));
		attrs = der_begin(&info);
		der_oid(&info, OID_EXTENSION_REQUEST);
		exts = ext = der_begin(&info);
		der_oid(&info, OID_SUBJECT_ALT_NAME);
		value = der_begin(&info);
		if (rows[i].names == 1) {
			der_put(&info, DER_NULL, SPAN_EMPTY);
		} else {
			der_put(&info, DER_CONTEXT_0 + 6,
			    span_of(rows[i].uri, rows[i].names));
			der_end(&info, value, DER_SEQUENCE);
		}
		der_end(&info, value, DER_OCTET_STRING);
		der_end(&info, ext, DER_SEQUENCE);
		der_end(&info, exts,
		    rows[i].cut_exts ? DER_OCTET_STRING : DER_SEQUENCE);
		der_end(&info, exts, DER_SET);
		der_end(&info, attrs, DER_SEQUENCE);
		der_end(&info, attrs, DER_CONSTRUCTED_0);
		der_end(&info, 0, DER_SEQUENCE);
		sign_info(&pem, &info);
		REFUSED(pki_csr_parse(buf_span(&pem), &csr, &err), E_INVAL,
		    rows[i].word);
		no_leftovers();
		buf_free(&info);
		buf_free(&pem);
	}
	buf_free(&spki);
}

static void a_compressed_point_is_refused(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct buf pem = {0};
	struct pki_csr csr;

	(void)state;
	assert_int_equal(
	    EVP_PKEY_set_utf8_string_param(key, "point-format", "compressed"),
	    1);
	foreign(&pem, key, EVP_sha256(), NULL, false);
	REFUSED(
	    pki_csr_parse(buf_span(&pem), &csr, &err), E_INVAL, "compressed");
	buf_free(&pem);
	EVP_PKEY_free(key);
}

static void texts_that_are_no_request_are_refused(void **state)
{
	static const struct {
		const char *word, *text;
	} rows[] = {
	    {"0 PEM blocks", ""},
	    {"0 PEM blocks", "garbage\n"},
	    {"CERTIFICATE REQUEST",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END "
		"CERTIFICATE-----\n"},
	    {"broken", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"},
	    {"broken", "-----BEGIN CERTIFICATE REQUEST-----\n=!\n"
		       "-----END CERTIFICATE REQUEST-----\n"},
	    {"PKCS #10", "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n"
			 "-----END CERTIFICATE REQUEST-----\n"},
	};
	struct pki_csr csr;

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		REFUSED(pki_csr_parse(span_str(rows[i].text), &csr, &err),
		    E_INVAL, rows[i].word);
		assert_null(csr.spki.p);
		no_leftovers();
	}
}

static void exactly_one_request_of_16_kib(void **state)
{
	struct buf pem = {0}, two = {0}, both = {0};
	struct pki_csr csr;

	(void)state;
	MUST(pki_csr_make(&pem, p256, span_str(URI), NULL, 0, &err));
	buf_add_span(&two, buf_span(&pem));
	buf_add_span(&two, buf_span(&pem));
	REFUSED(
	    pki_csr_parse(buf_span(&two), &csr, &err), E_INVAL, "2 PEM blocks");
	buf_add_span(&both, buf_span(&pem));
	MUST(pki_pem_add(&both, "CERTIFICATE", span_str("x"), &err));
	REFUSED(pki_csr_parse(buf_span(&both), &csr, &err), E_INVAL,
	    "2 PEM blocks");
	while (pem.len < 16384)
		buf_add_u8(&pem, '\n');
	MUST(pki_csr_parse(buf_span(&pem), &csr, &err));
	pki_csr_free(&csr);
	pem.p[pem.len - 1] = 0;
	REFUSED(pki_csr_parse(buf_span(&pem), &csr, &err), E_INVAL, "NUL");
	pem.p[pem.len - 1] = '\n';
	buf_add_u8(&pem, '\n');
	REFUSED(pki_csr_parse(buf_span(&pem), &csr, &err), E_INVAL,
	    "at most 16384");
	buf_free(&pem);
	buf_free(&two);
	buf_free(&both);
}

/* Each octet of the DER changed, and each prefix of it: refused, because the
 * signature covers the request, and DER of a signature is unique. */
static void any_damage_is_refused(void **state)
{
	struct buf pem = {0}, der = {0};
	struct pki_csr csr;

	(void)state;
	MUST(pki_csr_make(&pem, p256, span_str(URI), NULL, 0, &err));
	MUST(pki_pem_first(buf_span(&pem), "CERTIFICATE REQUEST", &der, &err));
	for (size_t i = 0; i < 2 * der.len; i++) {
		struct buf bad = {0}, text = {0};

		buf_add(&bad, der.p, i < der.len ? der.len : i - der.len);
		if (i < der.len)
			bad.p[i] ^= (uint8_t)(1 << i % 8);
		MUST(pki_pem_add(
		    &text, "CERTIFICATE REQUEST", buf_span(&bad), &err));
		assert_int_equal(
		    pki_csr_parse(buf_span(&text), &csr, NULL), E_INVAL);
		no_leftovers();
		buf_free(&bad);
		buf_free(&text);
	}
	buf_add_u8(&der, 0);
	buf_clear(&pem);
	MUST(pki_pem_add(&pem, "CERTIFICATE REQUEST", buf_span(&der), &err));
	REFUSED(pki_csr_parse(buf_span(&pem), &csr, &err), E_INVAL, "DER");
	buf_free(&pem);
	buf_free(&der);
}

static void another_signer_is_refused(void **state)
{
	struct buf pem = {0}, der = {0};
	X509_REQ *req = X509_REQ_new();
	EVP_PKEY *other = EVP_EC_gen("P-256");
	struct pki_csr csr;
	uint8_t *out = NULL;
	int len;

	(void)state;
	X509_REQ_set_pubkey(req, p256);
	X509_REQ_sign(req, other, EVP_sha256());
	len = i2d_X509_REQ(req, &out);
	MUST(pki_pem_add(
	    &pem, "NEW CERTIFICATE REQUEST", span_of(out, (size_t)len), &err));
	REFUSED(pki_csr_parse(buf_span(&pem), &csr, &err), E_INVAL,
	    "not signed with its own key");
	no_leftovers();
	OPENSSL_free(out);
	X509_REQ_free(req);
	EVP_PKEY_free(other);
	buf_free(&pem);
	buf_free(&der);
}

static void what_we_make_is_taken(void **state)
{
	static const enum pki_key_kind kinds[] = {
	    PKI_P256, PKI_P384, PKI_RSA2048};
	const struct span dns[] = {span_str("a.example"), span_str("b")};

	(void)state;
	for (size_t i = 0; i < 3 * ROWS(kinds); i++) {
		struct span uri = i % 3 == 0 ? SPAN_EMPTY : span_str(URI);
		struct buf pem = {0};
		struct pki_csr csr;
		EVP_PKEY *key;
		BIO *bio;
		X509_REQ *req;

		MUST(pki_key_new(kinds[i / 3], &key, &err));
		MUST(pki_csr_make(&pem, key, uri, dns, i % 3, &err));
		MUST(pki_csr_parse(buf_span(&pem), &csr, &err));
		assert_true(span_eq(buf_span(&csr.uri), uri));
		assert_false(csr.many_uris);
		bio = BIO_new_mem_buf(pem.p, (int)pem.len);
		req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
		assert_non_null(req);
		assert_int_equal(X509_REQ_verify(req, key), 1);
		assert_int_equal(
		    X509_NAME_entry_count(X509_REQ_get_subject_name(req)), 0);
		X509_REQ_free(req);
		BIO_free(bio);
		pki_csr_free(&csr);
		buf_free(&pem);
		EVP_PKEY_free(key);
	}
	pki_csr_free(NULL);
}

static void names_that_are_none_are_not_asked_for(void **state)
{
	struct span empty = SPAN_EMPTY;
	struct buf pem = {0};

	(void)state;
	REFUSED(pki_csr_make(&pem, p256, span_str("a b"), NULL, 0, &err),
	    E_INVAL, "URI");
	REFUSED(pki_csr_make(&pem, p256, SPAN_EMPTY, &empty, 1, &err), E_INVAL,
	    "DNS name 1");
	assert_int_equal(pem.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keys_are_taken_by_kind),
	    cmocka_unit_test(names_are_read),
	    cmocka_unit_test(other_digests),
	    cmocka_unit_test(odd_requests_are_refused),
	    cmocka_unit_test(a_compressed_point_is_refused),
	    cmocka_unit_test(texts_that_are_no_request_are_refused),
	    cmocka_unit_test(exactly_one_request_of_16_kib),
	    cmocka_unit_test(any_damage_is_refused),
	    cmocka_unit_test(another_signer_is_refused),
	    cmocka_unit_test(what_we_make_is_taken),
	    cmocka_unit_test(names_that_are_none_are_not_asked_for),
	};

	return cmocka_run_group_tests(tests, make_key, free_key);
}
