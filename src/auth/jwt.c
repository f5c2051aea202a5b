/* jwt.c -- JSON Web Signatures: parse, and verify against one key. */
#include <string.h>

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#include "auth/internal.h"
#include "base/text.h"

/* No HMAC (a public key must never become a shared secret) and no "none". */
static const struct jwt_alg algs[] = {
    {"RS256", "SHA256", EVP_PKEY_RSA, 2048, false},
    {"RS384", "SHA384", EVP_PKEY_RSA, 2048, false},
    {"RS512", "SHA512", EVP_PKEY_RSA, 2048, false},
    {"PS256", "SHA256", EVP_PKEY_RSA, 2048, true},
    {"ES256", "SHA256", EVP_PKEY_EC, 256, false},
    {"ES384", "SHA384", EVP_PKEY_EC, 384, false},
};

const struct jwt_alg *jwt_alg_find(struct span name)
{
	for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++)
		if (span_eq_str(name, algs[i].name))
			return &algs[i];
	return NULL;
}

bool jwt_alg_fits(const struct jwt_alg *a, const EVP_PKEY *key)
{
	int bits = EVP_PKEY_get_bits(key);
	char group[32] = "";

	if (EVP_PKEY_get_base_id(key) != a->key_type)
		return false;
	if (a->key_type == EVP_PKEY_RSA)
		return bits >= a->bits && bits <= 8192;
	if (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1)
		return false;
	return strcmp(group, a->bits == 256 ? "prime256v1" : "secp384r1") == 0;
}

static enum code malformed(struct err *e, const char *what)
{
	return err_set(e, E_UNAUTH, "the token is malformed: %s", what);
}

/* One base64url part holding a JSON object (RFC 7515 §3.1). */
static enum code read_object(
    struct span part, const char *what, json_t **out, struct err *e)
{
	struct buf text;
	enum code rc;

	*out = NULL;
	buf_init(&text);
	rc = base64_decode(&text, part, BASE64_URL, NULL);
	if (rc == E_OK)
		*out = json_loadb((const char *)text.p, text.len,
		    JSON_REJECT_DUPLICATES, NULL);
	if (rc == E_NOMEM)
		rc = err_nomem(e);
	else if (rc != E_OK || !json_is_object(*out))
		rc = malformed(e, what);
	if (rc != E_OK) {
		json_decref(*out);
		*out = NULL;
	}
	buf_free(&text);
	return rc;
}

static enum code read_header(struct jwt *j, struct span part, struct err *e)
{
	enum code rc = read_object(part, "its header", &j->header, e);
	json_t *alg, *kid;

	if (rc != E_OK)
		return rc;
	/* RFC 7515 §4.1.11: what we do not understand we must refuse. */
	if (json_object_get(j->header, "crit") != NULL)
		return err_set(
		    e, E_UNAUTH, "the token has critical extensions");
	alg = json_object_get(j->header, "alg");
	if (!json_is_string(alg))
		return malformed(e, "its header has no alg");
	j->alg = jwt_alg_find(
	    span_of(json_string_value(alg), json_string_length(alg)));
	if (j->alg == NULL)
		return err_set(e, E_UNAUTH,
		    "the token's algorithm is not taken; RS256, RS384, RS512, "
		    "PS256, ES256 and ES384 are");
	kid = json_object_get(j->header, "kid");
	if (kid != NULL && !json_is_string(kid))
		return malformed(e, "its kid is not text");
	if (kid != NULL)
		j->kid =
		    span_of(json_string_value(kid), json_string_length(kid));
	return E_OK;
}

enum code jwt_parse(struct span token, struct jwt *out, struct err *e)
{
	const uint8_t *end = token.p + token.len, *dot1, *dot2;
	enum code rc;

	*out = (struct jwt){0};
	if (token.len == 0)
		return err_set(e, E_UNAUTH, "the token is empty");
	if (token.len > JWT_MAX)
		return err_set(
		    e, E_UNAUTH, "the token is longer than %d bytes", JWT_MAX);
	dot1 = memchr(token.p, '.', token.len);
	dot2 = dot1 == NULL ? NULL
			    : memchr(dot1 + 1, '.', (size_t)(end - dot1 - 1));
	if (dot2 == NULL ||
	    memchr(dot2 + 1, '.', (size_t)(end - dot2 - 1)) != NULL)
		return malformed(e, "it is not three parts");
	out->input = span_of(token.p, (size_t)(dot2 - token.p));
	out->payload = span_of(dot1 + 1, (size_t)(dot2 - dot1 - 1));
	rc = read_header(out, span_of(token.p, (size_t)(dot1 - token.p)), e);
	if (rc == E_OK) {
		rc = base64_decode(&out->sig,
		    span_of(dot2 + 1, (size_t)(end - dot2 - 1)), BASE64_URL,
		    NULL);
		if (rc == E_INVAL)
			rc = malformed(e, "its signature");
	}
	if (rc != E_OK)
		jwt_free(out);
	return rc;
}

void jwt_free(struct jwt *j)
{
	json_decref(j->header);
	buf_free(&j->sig);
	*j = (struct jwt){0};
}

enum code jwt_claims(const struct jwt *j, json_t **out, struct err *e)
{
	*out = NULL;
	return read_object(j->payload, "its claims", out, e);
}

/* r and s as fixed-width integers (RFC 7518 §3.4) to the DER OpenSSL wants;
 * the length, or 0.  *out is freed with OPENSSL_free. */
static size_t ecdsa_der(const struct jwt *j, uint8_t **out)
{
	size_t half = (size_t)j->alg->bits / 8;
	ECDSA_SIG *sig;
	BIGNUM *r, *s;
	int len = -1;

	*out = NULL;
	if (j->sig.len != 2 * half)
		return 0;
	sig = ECDSA_SIG_new();
	r = BN_bin2bn(j->sig.p, (int)half, NULL);
	s = BN_bin2bn(j->sig.p + half, (int)half, NULL);
	if (sig != NULL && r != NULL && s != NULL &&
	    ECDSA_SIG_set0(sig, r, s) == 1) {
		r = s = NULL; /* sig owns them */
		len = i2d_ECDSA_SIG(sig, out);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return len > 0 ? (size_t)len : 0;
}

static bool verify_init(EVP_MD_CTX *md, const struct jwt_alg *a, EVP_PKEY *key)
{
	EVP_PKEY_CTX *ctx = NULL;

	if (EVP_DigestVerifyInit_ex(
		md, &ctx, a->digest, NULL, NULL, key, NULL) != 1)
		return false;
	/* RFC 7518 §3.5: the salt is as long as the hash. */
	return !a->pss ||
	       (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
		   EVP_PKEY_CTX_set_rsa_pss_saltlen(
		       ctx, RSA_PSS_SALTLEN_DIGEST) == 1);
}

bool jwt_verify(const struct jwt *j, EVP_PKEY *key)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t *der = NULL;
	const uint8_t *sig = j->sig.p;
	size_t len = j->sig.len;
	bool ok;

	if (j->alg->key_type == EVP_PKEY_EC) {
		len = ecdsa_der(j, &der);
		sig = der;
	}
	ok = md != NULL && len > 0 && verify_init(md, j->alg, key) &&
	     EVP_DigestVerify(md, sig, len, j->input.p, j->input.len) == 1;
	OPENSSL_free(der);
	EVP_MD_CTX_free(md);
	return ok;
}
