/* Keys: their forms, their ids, their signatures. */
#include "help.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/text.h"

static EVP_PKEY *key_of(enum pki_key_kind kind)
{
	EVP_PKEY *key = NULL;

	MUST(pki_key_new(kind, &key, &err));
	return key;
}

static void every_kind_survives_its_forms(void **state)
{
	static const enum pki_key_kind kinds[] = {
	    PKI_P256, PKI_P384, PKI_RSA2048};

	(void)state;
	for (size_t i = 0; i < ROWS(kinds); i++) {
		EVP_PKEY *key = key_of(kinds[i]), *back, *public;
		struct buf pem = {0}, spki;

		MUST(pki_key_to_pem(&pem, key, &err));
		assert_memory_equal(pem.p, "-----BEGIN PRIVATE KEY-----\n", 28);
		MUST(pki_key_from_pem(buf_span(&pem), &back, &err));
		assert_int_equal(EVP_PKEY_eq(key, back), 1);
		spki_of(&spki, key);
		MUST(pki_key_from_spki(buf_span(&spki), &public, &err));
		assert_int_equal(EVP_PKEY_eq(key, public), 1);
		EVP_PKEY_free(key);
		EVP_PKEY_free(back);
		EVP_PKEY_free(public);
		pki_wipe(&pem);
		buf_free(&spki);
		no_leftovers();
	}
}

static void rsa_keys_have_the_bits_asked_for(void **state)
{
	static const struct {
		enum pki_key_kind kind;
		int bits;
	} rows[] = {{PKI_RSA2048, 2048}, {PKI_RSA3072, 3072}};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		EVP_PKEY *key = key_of(rows[i].kind);

		assert_int_equal(EVP_PKEY_get_bits(key), rows[i].bits);
		EVP_PKEY_free(key);
	}
}

/* RFC 7093 §2 method 1, computed another way: OpenSSL's own reading of the
 * bits. */
static void the_key_id_is_that_of_rfc_7093(void **state)
{
	EVP_PKEY *key = key_of(PKI_P256);
	uint8_t id[CA_KEY_ID_LEN], sum[SHA256_LEN];
	X509_PUBKEY *pub = NULL;
	const uint8_t *bits;
	struct buf spki;
	int len;

	(void)state;
	spki_of(&spki, key);
	MUST(pki_key_id(buf_span(&spki), id, &err));
	assert_int_equal(X509_PUBKEY_set(&pub, key), 1);
	X509_PUBKEY_get0_param(NULL, &bits, &len, NULL, pub);
	sha256_of(sum, span_of(bits, (size_t)len));
	assert_memory_equal(id, sum, CA_KEY_ID_LEN);
	X509_PUBKEY_free(pub);
	for (size_t cut = 0; cut < spki.len; cut++)
		assert_int_equal(
		    pki_key_id(span_of(spki.p, cut), id, NULL), E_INVAL);
	buf_add_u8(&spki, 0);
	REFUSED(pki_key_id(buf_span(&spki), id, &err), E_INVAL,
	    "SubjectPublicKeyInfo");
	buf_free(&spki);
	EVP_PKEY_free(key);
}

/* P-256's base point; SHA-256 of its 65 octets, leftmost 160 bits. */
static void the_key_id_of_a_known_key(void **state)
{
	static const char spki[] =
	    "3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c"
	    "4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f"
	    "9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
	uint8_t der[CA_P256_SPKI_LEN], id[CA_KEY_ID_LEN];
	char hex[2 * CA_KEY_ID_LEN + 1];

	(void)state;
	MUST(hex_decode(der, sizeof(der), spki, &err));
	MUST(pki_key_id(span_of(der, sizeof(der)), id, &err));
	hex_encode(hex, id, sizeof(id));
	assert_string_equal(hex, "698bea63dc44a344663ff1429aea10842df27b6b");
}

static void a_signature_holds_for_its_message_and_key_only(void **state)
{
	EVP_PKEY *key = key_of(PKI_P256), *other = key_of(PKI_P256);
	struct span msg = span_str("committed"), no = span_str("Committed");
	struct buf sig = {0}, spki, wrong;

	(void)state;
	spki_of(&spki, key);
	spki_of(&wrong, other);
	MUST(pki_sign(&sig, key, msg, &err));
	assert_true(pki_verify(buf_span(&spki), msg, buf_span(&sig)));
	assert_false(pki_verify(buf_span(&spki), no, buf_span(&sig)));
	assert_false(pki_verify(buf_span(&wrong), msg, buf_span(&sig)));
	assert_false(pki_verify(SPAN_EMPTY, msg, buf_span(&sig)));
	assert_false(pki_verify(buf_span(&spki), msg, SPAN_EMPTY));
	for (size_t i = 0; i < sig.len; i++) {
		sig.p[i] ^= 1;
		assert_false(pki_verify(buf_span(&spki), msg, buf_span(&sig)));
		sig.p[i] ^= 1;
	}
	buf_add_u8(&sig, 0);
	assert_false(pki_verify(buf_span(&spki), msg, buf_span(&sig)));
	no_leftovers();
	buf_free(&sig);
	buf_free(&spki);
	buf_free(&wrong);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

/* The empty message is one too. */
static void the_empty_message_can_be_signed(void **state)
{
	EVP_PKEY *key = key_of(PKI_P256);
	struct buf sig = {0}, spki;

	(void)state;
	spki_of(&spki, key);
	MUST(pki_sign(&sig, key, SPAN_EMPTY, &err));
	assert_true(pki_verify(buf_span(&spki), SPAN_EMPTY, buf_span(&sig)));
	buf_free(&sig);
	buf_free(&spki);
	EVP_PKEY_free(key);
}

static void only_p256_signs(void **state)
{
	static const enum pki_key_kind kinds[] = {PKI_P384, PKI_RSA2048};

	(void)state;
	for (size_t i = 0; i < ROWS(kinds); i++) {
		EVP_PKEY *key = key_of(kinds[i]);
		struct buf sig = {0}, spki;

		REFUSED(pki_sign(&sig, key, span_str("m"), &err), E_INVAL,
		    "not P-256");
		assert_int_equal(sig.len, 0);
		spki_of(&spki, key);
		assert_false(pki_verify(
		    buf_span(&spki), span_str("m"), span_str("sig")));
		no_leftovers();
		buf_free(&spki);
		EVP_PKEY_free(key);
	}
}

static void what_is_no_key_is_refused(void **state)
{
	static const char *const texts[] = {
	    "",
	    "garbage",
	    "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
	    "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
	};
	EVP_PKEY *key = key_of(PKI_P256), *out;
	struct buf spki;
	char *locked;
	long len;
	BIO *bio = BIO_new(BIO_s_mem());

	(void)state;
	for (size_t i = 0; i < ROWS(texts); i++) {
		REFUSED(pki_key_from_pem(span_str(texts[i]), &out, &err),
		    E_INVAL, "private key");
		REFUSED(pki_key_from_spki(span_str(texts[i]), &out, &err),
		    E_INVAL, "public key");
		assert_null(out);
	}
	/* Under a passphrase: refused at once, nobody is asked. */
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key,
			     EVP_aes_128_cbc(), "pass", 4, NULL, NULL),
	    1);
	len = BIO_get_mem_data(bio, &locked);
	REFUSED(pki_key_from_pem(span_of(locked, (size_t)len), &out, &err),
	    E_INVAL, "unencrypted");
	BIO_free(bio);
	spki_of(&spki, key);
	buf_add_u8(&spki, 0);
	REFUSED(pki_key_from_spki(buf_span(&spki), &out, &err), E_INVAL,
	    "public key");
	no_leftovers();
	buf_free(&spki);
	EVP_PKEY_free(key);
}

static void pem_blocks_are_found_by_label(void **state)
{
	uint8_t bytes[100];
	struct buf pem = {0}, der = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	buf_add_str(&pem, "text around\n");
	MUST(pki_pem_add(&pem, "FIRST", span_of(bytes, 3), &err));
	for (size_t n = 0; n < sizeof(bytes); n++) {
		MUST(pki_pem_add(&pem, "OTHER", span_of(bytes, n + 1), &err));
		buf_clear(&der);
		MUST(pki_pem_first(buf_span(&pem), "OTHER", &der, &err));
		assert_int_equal(der.len, 1);
	}
	buf_clear(&der);
	MUST(pki_pem_first(buf_span(&pem), "FIRST", &der, &err));
	assert_memory_equal(der.p, bytes, 3);
	REFUSED(pki_pem_first(buf_span(&pem), "THIRD", &der, &err), E_NOTFOUND,
	    "THIRD");
	REFUSED(pki_pem_first(SPAN_EMPTY, "THIRD", &der, &err), E_NOTFOUND,
	    "THIRD");
	no_leftovers();
	buf_free(&pem);
	buf_free(&der);
}

static void every_length_survives_pem(void **state)
{
	uint8_t bytes[200] = {7};

	(void)state;
	for (size_t n = 1; n < sizeof(bytes); n++) {
		struct buf pem = {0}, der = {0};

		MUST(pki_pem_add(&pem, "BYTES", span_of(bytes, n), &err));
		MUST(pki_pem_first(buf_span(&pem), "BYTES", &der, &err));
		assert_true(span_eq(buf_span(&der), span_of(bytes, n)));
		buf_free(&pem);
		buf_free(&der);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_kind_survives_its_forms),
	    cmocka_unit_test(rsa_keys_have_the_bits_asked_for),
	    cmocka_unit_test(the_key_id_is_that_of_rfc_7093),
	    cmocka_unit_test(the_key_id_of_a_known_key),
	    cmocka_unit_test(a_signature_holds_for_its_message_and_key_only),
	    cmocka_unit_test(the_empty_message_can_be_signed),
	    cmocka_unit_test(only_p256_signs),
	    cmocka_unit_test(what_is_no_key_is_refused),
	    cmocka_unit_test(pem_blocks_are_found_by_label),
	    cmocka_unit_test(every_length_survives_pem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
