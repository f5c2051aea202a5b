/* Keys and requests that we take apart ourselves, beside OpenSSL's parsers. */
#include "help.h"

#include <openssl/err.h>

#include "pki/internal.h"

#define URI "spiffe://corp.example/ns/shop/sa/cart"

/* ---- Keys ---- */

static void imports_what_openssl_decodes(void **state)
{
	static const enum pki_key_kind kinds[] = {
	    PKI_P256, PKI_P384, PKI_RSA2048, PKI_RSA4096};

	(void)state;
	for (size_t i = 0; i < ROWS(kinds); i++) {
		EVP_PKEY *key, *ours;
		struct buf spki;

		buf_init(&spki);
		MUST(pki_key_new(kinds[i], &key, &err));
		spki_of(&spki, key);
		ours = spki_import(buf_span(&spki));
		assert_non_null(ours);
		assert_int_equal(EVP_PKEY_eq(key, ours), 1);
		EVP_PKEY_free(ours);
		EVP_PKEY_free(key);
		buf_free(&spki);
	}
	no_leftovers();
}

static void not_imported(struct span spki)
{
	EVP_PKEY *key = spki_import(spki);

	ERR_clear_error();
	assert_null(key);
}

static void a_point_must_be_on_its_curve(void **state)
{
	EVP_PKEY *key;
	struct buf spki;

	(void)state;
	buf_init(&spki);
	MUST(pki_key_new(PKI_P256, &key, &err));
	spki_of(&spki, key);
	spki.p[spki.len - 1] ^= 1;
	not_imported(buf_span(&spki));
	memset(spki.p + 27, 0, 64);
	not_imported(buf_span(&spki));
	memset(spki.p + 27, 0xff, 64);
	not_imported(buf_span(&spki));
	EVP_PKEY_free(key);
	buf_free(&spki);
}

/* Cut anywhere, or longer: a key is all of its bytes. */
static void a_key_is_whole(void **state)
{
	static const enum pki_key_kind kinds[] = {PKI_P256, PKI_RSA2048};

	(void)state;
	for (size_t i = 0; i < ROWS(kinds); i++) {
		EVP_PKEY *key;
		struct buf spki;

		buf_init(&spki);
		MUST(pki_key_new(kinds[i], &key, &err));
		spki_of(&spki, key);
		for (size_t n = 0; n < spki.len; n++)
			not_imported(span_of(spki.p, n));
		assert_true(buf_add_u8(&spki, 0));
		not_imported(buf_span(&spki));
		EVP_PKEY_free(key);
		buf_free(&spki);
	}
}

static void put_rsa(struct buf *out, struct span n, struct span e, bool null)
{
	size_t at;
	struct buf numbers;

	buf_init(&numbers);
	buf_clear(out);
	der_put(&numbers, DER_INTEGER, n);
	der_put(&numbers, DER_INTEGER, e);
	der_end(&numbers, 0, DER_SEQUENCE);
	at = der_begin(out);
	der_oid(out, OID_RSA);
	if (null)
		der_put(out, DER_NULL, SPAN_EMPTY);
	der_end(out, at, DER_SEQUENCE);
	der_bits(out, buf_span(&numbers));
	der_end(out, 0, DER_SEQUENCE);
	assert_false(out->failed);
	buf_free(&numbers);
}

static void rsa_numbers_are_plain(void **state)
{
	static const uint8_t e[] = {1, 0, 1},
			     long_e[] = {1, 0, 0, 0, 0, 0, 0, 0, 1},
			     padded_e[] = {0, 1, 0, 1}, minus[] = {0x81};
	static uint8_t n[257], big[514];
	const struct span modulus = span_of(n, sizeof(n));
	const struct {
		const char *why;
		struct span n, e;
		bool null, ok;
	} rows[] = {
	    {"plain", modulus, span_of(e, 3), true, true},
	    {"no NULL", modulus, span_of(e, 3), false, false},
	    {"an exponent of 65 bits", modulus, span_of(long_e, 9), true,
		false},
	    {"a needless zero", modulus, span_of(padded_e, 4), true, false},
	    {"negative", modulus, span_of(minus, 1), true, false},
	    {"negative modulus", span_of(n + 1, 256), span_of(e, 3), true,
		false},
	    {"no exponent", modulus, SPAN_EMPTY, true, false},
	    {"more than 4096 bits", span_of(big, sizeof(big)), span_of(e, 3),
		true, false},
	};
	struct buf spki;

	(void)state;
	buf_init(&spki);
	memset(n + 1, 0xc5, sizeof(n) - 1);
	memset(big + 1, 0xc5, sizeof(big) - 1);
	for (size_t i = 0; i < ROWS(rows); i++) {
		EVP_PKEY *key;

		put_rsa(&spki, rows[i].n, rows[i].e, rows[i].null);
		key = spki_import(buf_span(&spki));
		ERR_clear_error();
		if ((key != NULL) != rows[i].ok)
			fail_msg("%s", rows[i].why);
		EVP_PKEY_free(key);
	}
	buf_free(&spki);
}

/* ---- Requests ---- */

/* What OpenSSL makes of the same bytes: its key and the signature by it. */
static bool openssl_takes(struct span der, struct buf *spki)
{
	const uint8_t *p = der.p;
	X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)der.len);
	EVP_PKEY *key = req != NULL ? X509_REQ_get0_pubkey(req) : NULL;
	bool ok = key != NULL && p == der.p + der.len &&
		  X509_REQ_verify(req, key) == 1;

	if (ok)
		spki_of(spki, key);
	X509_REQ_free(req);
	ERR_clear_error();
	return ok;
}

static void compare(struct span der, size_t *taken)
{
	struct buf pem, spki;
	struct pki_csr csr;
	enum code rc;

	buf_init(&pem);
	buf_init(&spki);
	MUST(pki_pem_add(&pem, "CERTIFICATE REQUEST", der, &err));
	rc = pki_csr_parse(buf_span(&pem), &csr, &err);
	if (rc == E_OK) {
		assert_true(openssl_takes(der, &spki));
		assert_true(span_eq(buf_span(&csr.spki), buf_span(&spki)));
		(*taken)++;
	}
	pki_csr_free(&csr);
	buf_free(&spki);
	buf_free(&pem);
	no_leftovers();
}

/* Sign whatever stands in the place of the info; false if nothing does. */
static bool sign_again(struct buf *out, struct span der, EVP_PKEY *key)
{
	static const uint8_t algorithm[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
	    0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
	struct span all, skip, info;
	struct buf sig;

	if (!der_take(&der, DER_SEQUENCE, &all, NULL) ||
	    !der_take(&all, DER_SEQUENCE, &skip, &info))
		return false;
	buf_init(&sig);
	MUST(sign_sha256(&sig, key, info, &err));
	buf_add_span(out, info);
	buf_add(out, algorithm, sizeof(algorithm));
	der_bits(out, buf_span(&sig));
	der_end(out, 0, DER_SEQUENCE);
	assert_false(out->failed);
	buf_free(&sig);
	return true;
}

/* One bit flipped, and signed again half of the time, so that what lies behind
 * the signature is reached: we take nothing that OpenSSL would not, and read
 * the same key in it. */
static void takes_no_request_that_openssl_refuses(void **state)
{
	struct buf pem, der, whole;
	EVP_PKEY *key;
	size_t taken = 0;

	(void)state;
	buf_init(&pem);
	buf_init(&der);
	buf_init(&whole);
	MUST(pki_key_new(PKI_P256, &key, &err));
	MUST(pki_csr_make(&pem, key, span_str(URI), NULL, 0, &err));
	MUST(pki_pem_first(buf_span(&pem), "CERTIFICATE REQUEST", &der, &err));
	for (size_t i = 0; i < 16 * der.len; i++) {
		uint8_t bit = (uint8_t)(1U << (i % 8)), *at = &der.p[i / 16];

		*at ^= bit;
		buf_clear(&whole);
		if (i % 16 < 8 || !sign_again(&whole, buf_span(&der), key))
			compare(buf_span(&der), &taken);
		else
			compare(buf_span(&whole), &taken);
		*at ^= bit;
	}
	assert_true(taken > 100); /* bits of names, which are not judged here */
	EVP_PKEY_free(key);
	buf_free(&whole);
	buf_free(&der);
	buf_free(&pem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(imports_what_openssl_decodes),
	    cmocka_unit_test(a_point_must_be_on_its_curve),
	    cmocka_unit_test(a_key_is_whole),
	    cmocka_unit_test(rsa_numbers_are_plain),
	    cmocka_unit_test(takes_no_request_that_openssl_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
