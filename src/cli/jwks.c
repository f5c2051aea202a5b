#include "cli/jwks.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/text.h"
#include "pki/pki.h"

/* SubjectPublicKeyInfo up to the uncompressed point's coordinates: algorithm,
 * named curve (RFC 5480 §2.1.1), BIT STRING, 04. */
static const uint8_t p256_head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
static const uint8_t p384_head[] = {0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22, 0x03, 0x62, 0x00, 0x04};
/* AlgorithmIdentifier rsaEncryption, NULL (RFC 3279 §2.3.1). */
static const uint8_t rsa_algorithm[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86,
    0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};

/* ---- DER ---- */

static void add_header(struct buf *out, uint8_t tag, size_t len)
{
	buf_add_u8(out, tag);
	if (len >= 0x100) {
		buf_add_u8(out, 0x82);
		buf_add_u8(out, (uint8_t)(len >> 8));
	} else if (len >= 0x80) {
		buf_add_u8(out, 0x81);
	}
	buf_add_u8(out, (uint8_t)len);
}

static void add_integer(struct buf *out, struct span n)
{
	bool pad;

	while (n.len > 1 && n.p[0] == 0) {
		n.p++;
		n.len--;
	}
	pad = n.len == 0 || (n.p[0] & 0x80) != 0;
	add_header(out, 0x02, n.len + pad);
	if (pad)
		buf_add_u8(out, 0);
	buf_add_span(out, n);
}

static void add_rsa(struct buf *out, struct span n, struct span exponent)
{
	struct buf pair, key;

	buf_init(&pair);
	buf_init(&key);
	add_integer(&pair, n);
	add_integer(&pair, exponent);
	add_header(&key, 0x30, pair.len);
	buf_add_span(&key, buf_span(&pair));
	add_header(out, 0x30,
	    sizeof(rsa_algorithm) + key.len + 1 +
		(key.len + 1 >= 0x100 ? 4 : 3));
	buf_add(out, rsa_algorithm, sizeof(rsa_algorithm));
	add_header(out, 0x03, key.len + 1);
	buf_add_u8(out, 0); /* no unused bits */
	buf_add_span(out, buf_span(&key));
	out->failed = out->failed || pair.failed || key.failed;
	buf_free(&pair);
	buf_free(&key);
}

/* ---- One key ---- */

static enum code member(
    const json_t *o, const char *name, struct buf *out, struct err *e)
{
	const char *s = json_string_value(json_object_get(o, name));

	buf_clear(out);
	if (s == NULL || strlen(s) > 2048 ||
	    base64_decode(out, span_str(s), BASE64_URL, NULL) != E_OK ||
	    out->len == 0)
		return err_set(
		    e, E_INVAL, "\"%s\" is missing or damaged", name);
	return E_OK;
}

static enum code rsa_spki(const json_t *o, struct buf *out, struct err *e)
{
	struct buf n, exponent;
	enum code rc;

	buf_init(&n);
	buf_init(&exponent);
	rc = member(o, "n", &n, e);
	if (rc == E_OK)
		rc = member(o, "e", &exponent, e);
	if (rc == E_OK && (n.len < 256 || n.len > 513 || exponent.len > 8))
		rc = err_set(e, E_INVAL,
		    "RSA keys of 2048 to 4096 bits are "
		    "taken");
	if (rc == E_OK)
		add_rsa(out, buf_span(&n), buf_span(&exponent));
	buf_free(&n);
	buf_free(&exponent);
	return rc;
}

static enum code ec_spki(
    const json_t *o, bool p384, struct buf *out, struct err *e)
{
	static const char *const names[] = {"x", "y"};
	size_t want = p384 ? 48 : 32;
	struct buf part;
	enum code rc = E_OK;

	buf_init(&part);
	if (p384)
		buf_add(out, p384_head, sizeof(p384_head));
	else
		buf_add(out, p256_head, sizeof(p256_head));
	for (size_t i = 0; i < 2 && rc == E_OK; i++) {
		rc = member(o, names[i], &part, e);
		if (rc == E_OK && part.len != want)
			rc = err_set(e, E_INVAL,
			    "\"%s\" has %zu bytes, "
			    "expected %zu",
			    names[i], part.len, want);
		buf_add_span(out, buf_span(&part));
	}
	buf_free(&part);
	return rc;
}

struct kind {
	const char *kty, *crv;
	const char *algs[5]; /* the first if the key names none */
};
static const struct kind kinds[] = {
    {"RSA", NULL, {"RS256", "RS384", "RS512", "PS256", NULL}},
    {"EC", "P-256", {"ES256", NULL}},
    {"EC", "P-384", {"ES384", NULL}},
};

static const struct kind *kind_of(const json_t *o)
{
	const char *kty = json_string_value(json_object_get(o, "kty"));
	const char *crv = json_string_value(json_object_get(o, "crv"));

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kty != NULL && strcmp(kty, kinds[i].kty) == 0 &&
		    (kinds[i].crv == NULL ||
			(crv != NULL && strcmp(crv, kinds[i].crv) == 0)))
			return &kinds[i];
	return NULL;
}

static const char *alg_of(const json_t *o, const struct kind *k)
{
	const json_t *v = json_object_get(o, "alg");
	const char *alg = json_string_value(v);

	if (v == NULL)
		return k->algs[0];
	for (size_t i = 0; alg != NULL && k->algs[i] != NULL; i++)
		if (strcmp(alg, k->algs[i]) == 0)
			return k->algs[i];
	return NULL;
}

static enum code take_spki(
    const json_t *o, const struct kind *k, struct buf *out, struct err *e)
{
	EVP_PKEY *key = NULL;
	enum code rc;

	rc = k->crv == NULL ? rsa_spki(o, out, e)
			    : ec_spki(o, strcmp(k->crv, "P-384") == 0, out, e);
	if (rc == E_OK)
		rc = buf_check(out, e);
	if (rc == E_OK) /* such as a point that is not on the curve */
		rc = pki_key_from_spki(buf_span(out), &key, e);
	EVP_PKEY_free(key);
	return rc;
}

static enum code take_key(struct jwks *j, const json_t *o, struct err *e)
{
	const char *kid = json_string_value(json_object_get(o, "kid"));
	const struct kind *k = kind_of(o);
	const char *alg = k != NULL ? alg_of(o, k) : NULL;
	struct ca_token_key *out = &j->keys[j->n];
	struct buf *b = &j->bytes[j->n];
	size_t kid_len = kid != NULL ? strlen(kid) : 0;
	enum code rc;

	if (alg == NULL)
		return err_set(e, E_INVAL,
		    "not a kind that is taken: RS256, RS384, RS512, PS256, "
		    "ES256 and ES384 are");
	if (kid_len > 255)
		return err_set(e, E_INVAL, "\"kid\" is too long");
	rc = take_spki(o, k, b, e);
	if (rc == E_OK && kid_len > 0 && !buf_add(b, kid, kid_len))
		rc = err_nomem(e);
	if (rc != E_OK)
		return rc;
	out->spki = span_of(b->p, b->len - kid_len);
	out->kid = span_of(b->p + b->len - kid_len, kid_len);
	out->alg = span_str(alg);
	j->n++;
	return E_OK;
}

/* ---- The set ---- */

static enum code take_set(struct jwks *j, const json_t *o, struct err *e)
{
	const json_t *keys = json_object_get(o, "keys");
	size_t n = json_array_size(keys);
	enum code rc = E_OK;

	if (n == 0)
		return err_set(e, E_INVAL,
		    "no keys are in it; expected {\"keys\": [...]}, such as "
		    "`kubectl get --raw /openid/v1/jwks` prints");
	for (size_t i = 0; i < n && rc == E_OK; i++) {
		const json_t *row = json_array_get(keys, i);
		const char *use =
		    json_string_value(json_object_get(row, "use"));

		if (use != NULL && strcmp(use, "sig") != 0)
			continue;
		if (json_object_get(row, "d") != NULL)
			return err_set(e, E_INVAL,
			    "key %zu is a PRIVATE key: register its public "
			    "half, and replace it if this file was shared",
			    i + 1);
		if (j->n == CA_LIST_MAX)
			return err_set(
			    e, E_INVAL, "more than %d keys", CA_LIST_MAX);
		rc = take_key(j, row, e);
		if (rc != E_OK)
			rc = err_wrap(e, rc, "key %zu", i + 1);
	}
	if (rc == E_OK && j->n == 0)
		rc = err_set(e, E_INVAL, "no signing key is in it");
	return rc;
}

enum code jwks_parse(struct span text, struct jwks **out, struct err *e)
{
	struct jwks *j = calloc(1, sizeof(*j));
	json_error_t why;
	json_t *o;
	enum code rc;

	*out = NULL;
	if (j == NULL)
		return err_nomem(e);
	o = json_loadb((const char *)text.p, text.len, 0, &why);
	rc = o == NULL ? err_set(e, E_INVAL, "not JSON: line %d: %s", why.line,
			     why.text)
		       : take_set(j, o, e);
	json_decref(o);
	if (rc != E_OK) {
		jwks_free(j);
		return rc;
	}
	*out = j;
	return E_OK;
}

void jwks_free(struct jwks *j)
{
	if (j == NULL)
		return;
	for (size_t i = 0; i < CA_LIST_MAX; i++)
		buf_free(&j->bytes[i]);
	free(j);
}
