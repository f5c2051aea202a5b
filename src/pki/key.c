/* key.c -- key pairs, public keys, signatures. */
#include "pki/internal.h"

#include <limits.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#define PEM_MAX 65536

/* SubjectPublicKeyInfo up to the point's coordinates (RFC 5480 §2). */
static const uint8_t p256_prefix[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
static const uint8_t p384_prefix[] = {0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22, 0x03, 0x62, 0x00, 0x04};

enum code openssl_done(enum code rc, struct err *e)
{
	unsigned long n;
	bool memory = false;

	while ((n = ERR_get_error()) != 0)
		memory |= ERR_GET_REASON(n) == ERR_R_MALLOC_FAILURE;
	return rc != E_OK && memory ? err_nomem(e) : rc;
}

enum code openssl_fault(struct err *e, const char *what)
{
	return openssl_done(err_set(e, E_INTERNAL, "%s", what), e);
}

enum code pki_key_new(enum pki_key_kind kind, EVP_PKEY **out, struct err *e)
{
	static const unsigned rsa_bits[] = {
	    [PKI_RSA2048] = 2048,
	    [PKI_RSA3072] = 3072,
	    [PKI_RSA4096] = 4096,
	};

	if (kind == PKI_P256 || kind == PKI_P384)
		*out = EVP_EC_gen(kind == PKI_P256 ? "P-256" : "P-384");
	else
		*out = EVP_RSA_gen(rsa_bits[kind]);
	if (*out == NULL)
		return openssl_fault(e, "could not make a key pair");
	return openssl_done(E_OK, e);
}

enum code pki_key_spki(struct buf *out, EVP_PKEY *key, struct err *e)
{
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(key, &der);

	if (len <= 0)
		return openssl_fault(e, "could not encode a public key");
	buf_add(out, der, (size_t)len);
	OPENSSL_free(der);
	return openssl_done(buf_check(out, e), e);
}

/* Whatever else OpenSSL knows. */
static EVP_PKEY *decode_any(struct span spki)
{
	const uint8_t *p = spki.p;
	EVP_PKEY *key = NULL;

	if (spki.len > 0 && spki.len <= PEM_MAX)
		key = d2i_PUBKEY(NULL, &p, (long)spki.len);
	if (key != NULL && p == spki.p + spki.len)
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

enum code pki_key_from_spki(struct span spki, EVP_PKEY **out, struct err *e)
{
	enum code rc = E_OK;

	*out = spki_import(spki);
	if (*out == NULL)
		*out = decode_any(spki);
	if (*out == NULL)
		rc = err_set(
		    e, E_INVAL, "not a public key (SubjectPublicKeyInfo)");
	return openssl_done(rc, e);
}

enum code pki_key_to_pem(struct buf *out, EVP_PKEY *key, struct err *e)
{
	BIO *bio = BIO_new(BIO_s_mem());
	enum code rc = E_OK;
	char *text;
	long len;

	if (bio == NULL || PEM_write_bio_PKCS8PrivateKey(
			       bio, key, NULL, NULL, 0, NULL, NULL) != 1) {
		rc = openssl_fault(e, "could not encode a private key");
		goto out;
	}
	len = BIO_get_mem_data(bio, &text);
	buf_add(out, text, (size_t)len);
	rc = buf_check(out, e);
out:
	BIO_free(bio); /* wipes what it held */
	return openssl_done(rc, e);
}

/* Nobody is asked for a passphrase. */
static int no_passphrase(char *text, int size, int writing, void *ctx)
{
	(void)text;
	(void)size;
	(void)writing;
	(void)ctx;
	return -1;
}

enum code pki_key_from_pem(struct span pem, EVP_PKEY **out, struct err *e)
{
	enum code rc = E_OK;
	BIO *bio = NULL;

	*out = NULL;
	if (pem.len > 0 && pem.len <= PEM_MAX)
		bio = BIO_new_mem_buf(pem.p, (int)pem.len);
	if (bio != NULL)
		*out = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (*out == NULL)
		rc = err_set(
		    e, E_INVAL, "not a private key in PEM, unencrypted");
	return openssl_done(rc, e);
}

static bool has_prefix(struct span s, size_t len, const uint8_t *p, size_t n)
{
	return s.len == len && memcmp(s.p, p, n) == 0;
}

bool spki_is_p256(struct span spki)
{
	return has_prefix(
	    spki, CA_P256_SPKI_LEN, p256_prefix, sizeof(p256_prefix));
}

bool spki_is_p384(struct span spki)
{
	return has_prefix(spki, 120, p384_prefix, sizeof(p384_prefix));
}

enum code spki_split(struct span spki, struct spki_parts *out, struct err *e)
{
	struct span all, algorithm;

	if (!der_take(&spki, DER_SEQUENCE, &all, NULL) || spki.len != 0 ||
	    !der_take(&all, DER_SEQUENCE, &algorithm, NULL) ||
	    !der_take(&algorithm, DER_OID, &out->algorithm, NULL) ||
	    !der_take(&all, DER_BIT_STRING, &out->bits, NULL) || all.len != 0 ||
	    out->bits.len < 2 || out->bits.p[0] != 0)
		return err_set(e, E_INVAL, "not a SubjectPublicKeyInfo");
	out->bits = span_of(out->bits.p + 1, out->bits.len - 1);
	return E_OK;
}

enum code pki_key_id(
    struct span spki, uint8_t out[CA_KEY_ID_LEN], struct err *e)
{
	struct spki_parts parts = {0};
	uint8_t sum[SHA256_LEN];
	enum code rc = spki_split(spki, &parts, e);

	if (rc != E_OK)
		return rc;
	sha256_of(sum, parts.bits);
	memcpy(out, sum, CA_KEY_ID_LEN);
	return E_OK;
}

enum code sign_sha256(
    struct buf *sig, EVP_PKEY *key, struct span msg, struct err *e)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t out[512]; /* RSA-4096 */
	size_t len = sizeof(out);
	enum code rc;

	if (ctx == NULL ||
	    EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) != 1 ||
	    EVP_DigestSign(ctx, out, &len, msg.p, msg.len) != 1 ||
	    len > sizeof(out)) { /* OpenSSL 3.0 when it is out of memory */
		rc = openssl_fault(e, "could not sign");
		goto out;
	}
	buf_add(sig, out, len);
	rc = buf_check(sig, e);
out:
	EVP_MD_CTX_free(ctx);
	return openssl_done(rc, e);
}

enum code pki_sign(
    struct buf *sig, EVP_PKEY *key, struct span msg, struct err *e)
{
	char group[32] = "";

	if (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1 ||
	    strcmp(group, "prime256v1") != 0)
		return openssl_done(
		    err_set(e, E_INVAL, "the signing key is not P-256"), e);
	return sign_sha256(sig, key, msg, e);
}

/* ECDSA-Sig-Value (RFC 3279 §2.2.3).  Bytes that are not one are refused here:
 * to OpenSSL they are a failure like any other. */
static bool is_ecdsa_signature(struct span sig)
{
	struct span numbers, r, s;

	return der_take(&sig, DER_SEQUENCE, &numbers, NULL) && sig.len == 0 &&
	       der_take_uint(&numbers, &r) && der_take_uint(&numbers, &s) &&
	       numbers.len == 0;
}

enum code verify_sha256(
    struct span spki, struct span msg, struct span sig, struct err *e)
{
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *ctx = NULL;
	uint8_t sum[SHA256_LEN];
	enum code rc = E_INVAL;
	int holds = -1;

	if (spki_is_p256(spki) && is_ecdsa_signature(sig))
		rc = pki_key_from_spki(spki, &key, e);
	if (rc != E_OK)
		return rc == E_INVAL ? err_set(e, rc, "bad signature") : rc;
	sha256_of(sum, msg);
	ctx = EVP_PKEY_CTX_new(key, NULL);
	if (ctx != NULL && EVP_PKEY_verify_init(ctx) == 1)
		holds = EVP_PKEY_verify(ctx, sig.p, sig.len, sum, sizeof(sum));
	if (holds < 0)
		rc = openssl_fault(e, "could not check a signature");
	else if (holds == 0)
		rc = err_set(e, E_INVAL, "bad signature");
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	return openssl_done(rc, e);
}

bool pki_verify(struct span spki, struct span msg, struct span sig)
{
	return verify_sha256(spki, msg, sig, NULL) == E_OK;
}
