/* import.c -- public keys of the kinds we take, from the bytes of their
 * SubjectPublicKeyInfo.  OpenSSL 3.0's general decoder tries every format it
 * knows and takes longer than the verification of a signature; which kind it
 * is, we know from the first bytes. */
#include "pki/internal.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/param_build.h>

#define POINT_AT_P256 26 /* in the SPKI; the last byte of the prefix is 04 */
#define POINT_AT_P384 23

/* ---- Points (RFC 5480 §2.2) ---- */

/* A key of each curve, whose group others take over: it is only read. */
static CRYPTO_ONCE made = CRYPTO_ONCE_STATIC_INIT;
static EVP_PKEY *of_p256, *of_p384;

static void make_templates(void)
{
	of_p256 = EVP_EC_gen("P-256");
	of_p384 = EVP_EC_gen("P-384");
}

/* NULL if it is not a point on the curve. */
static EVP_PKEY *import_point(const EVP_PKEY *curve, struct span point)
{
	EVP_PKEY *key = curve != NULL ? EVP_PKEY_new() : NULL;

	if (key != NULL && EVP_PKEY_copy_parameters(key, curve) == 1 &&
	    EVP_PKEY_set1_encoded_public_key(key, point.p, point.len) == 1)
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

/* ---- RSA (RFC 8017 §A.1.1) ---- */

static EVP_PKEY *rsa_from(const BIGNUM *n, const BIGNUM *e)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM *params = NULL;
	EVP_PKEY *key = NULL;

	if (bld != NULL && ctx != NULL &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) == 1 &&
	    (params = OSSL_PARAM_BLD_to_param(bld)) != NULL &&
	    EVP_PKEY_fromdata_init(ctx) == 1 &&
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_BLD_free(bld);
	return key;
}

/* A positive INTEGER of at most 4096 bits, with no needless octet. */
static bool take_number(struct span *in, struct span *out)
{
	if (!der_take(in, DER_INTEGER, out, NULL) || out->len == 0 ||
	    (out->p[0] & 0x80) != 0)
		return false;
	if (out->p[0] != 0)
		return out->len <= 512;
	*out = span_of(out->p + 1, out->len - 1);
	return out->len > 0 && out->len <= 512 && (out->p[0] & 0x80) != 0;
}

/* rsaEncryption with its NULL (RFC 3279 §2.3.1).  An exponent is as long as a
 * verification may take: 64 bits. */
static EVP_PKEY *import_rsa(struct span spki)
{
	static const uint8_t rsa[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7,
	    0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};
	struct span all, algorithm, bits, numbers, n, e;
	BIGNUM *bn, *be;
	EVP_PKEY *key = NULL;

	if (!der_take(&spki, DER_SEQUENCE, &all, NULL) || spki.len != 0 ||
	    !der_take(&all, DER_SEQUENCE, &algorithm, NULL) ||
	    !span_eq(algorithm, span_of(rsa, sizeof(rsa))) ||
	    !der_take(&all, DER_BIT_STRING, &bits, NULL) || all.len != 0 ||
	    bits.len < 2 || bits.p[0] != 0)
		return NULL;
	bits = span_of(bits.p + 1, bits.len - 1);
	if (!der_take(&bits, DER_SEQUENCE, &numbers, NULL) || bits.len != 0 ||
	    !take_number(&numbers, &n) || !take_number(&numbers, &e) ||
	    numbers.len != 0 || e.len > 8)
		return NULL;
	bn = BN_bin2bn(n.p, (int)n.len, NULL);
	be = BN_bin2bn(e.p, (int)e.len, NULL);
	if (bn != NULL && be != NULL)
		key = rsa_from(bn, be);
	BN_free(bn);
	BN_free(be);
	return key;
}

/* ---- Either ---- */

EVP_PKEY *spki_import(struct span spki)
{
	if (CRYPTO_THREAD_run_once(&made, make_templates) != 1)
		return NULL;
	if (spki_is_p256(spki))
		return import_point(of_p256,
		    span_of(spki.p + POINT_AT_P256, spki.len - POINT_AT_P256));
	if (spki_is_p384(spki))
		return import_point(of_p384,
		    span_of(spki.p + POINT_AT_P384, spki.len - POINT_AT_P384));
	return import_rsa(spki);
}
