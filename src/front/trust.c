#include "front/trust.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/text.h"
#include "front/http.h"
#include "pki/pki.h"

/* ---- Roots ---- */

enum code trust_roots_pem(
    const struct ca_view *v, struct buf *out, struct err *e)
{
	const struct ca_bundle *more = ca_view_bundle(v, v->trust_domain);
	enum code rc = pki_pem_add(out, "CERTIFICATE", v->root_cert, e);

	for (size_t i = 0; rc == E_OK && more != NULL && i < more->certs_n; i++)
		rc = pki_pem_add(out, "CERTIFICATE", more->certs[i], e);
	return rc;
}

/* ---- Keys as JWK (RFC 7517, RFC 7518 §6) ---- */

static json_t *json_base64url(struct span s)
{
	struct buf text;
	json_t *out = NULL;

	buf_init(&text);
	if (base64_encode(&text, s, BASE64_URL))
		out = json_span(buf_span(&text));
	buf_free(&text);
	return out;
}

static json_t *json_number(EVP_PKEY *key, const char *param, int len)
{
	BIGNUM *n = NULL;
	uint8_t bytes[1024];
	json_t *out = NULL;

	if (EVP_PKEY_get_bn_param(key, param, &n) == 1) {
		if (len == 0)
			len = BN_num_bytes(n);
		if (len <= (int)sizeof(bytes) &&
		    BN_bn2binpad(n, bytes, len) == len)
			out = json_base64url(span_of(bytes, (size_t)len));
	}
	BN_free(n);
	return out;
}

static bool put_ec(json_t *o, EVP_PKEY *key)
{
	static const struct {
		const char *group, *crv;
		int len;
	} curves[] = {{"prime256v1", "P-256", 32}, {"secp384r1", "P-384", 48},
	    {"secp521r1", "P-521", 66}};
	char name[64];
	size_t len;

	if (EVP_PKEY_get_utf8_string_param(
		key, "group", name, sizeof(name), &len) != 1)
		return false;
	for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++) {
		if (strcmp(name, curves[i].group) != 0)
			continue;
		json_set(o, "kty", json_string("EC"));
		json_set(o, "crv", json_string(curves[i].crv));
		json_set(o, "x", json_number(key, "qx", curves[i].len));
		json_set(o, "y", json_number(key, "qy", curves[i].len));
		return true;
	}
	return false;
}

/* RFC 8037 §2 */
static bool put_okp(json_t *o, EVP_PKEY *key, const char *crv)
{
	uint8_t x[64];
	size_t len = sizeof(x);

	if (EVP_PKEY_get_raw_public_key(key, x, &len) != 1)
		return false;
	json_set(o, "kty", json_string("OKP"));
	json_set(o, "crv", json_string(crv));
	json_set(o, "x", json_base64url(span_of(x, len)));
	return true;
}

static bool put_key(json_t *o, EVP_PKEY *key)
{
	switch (key == NULL ? 0 : EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_EC: return put_ec(o, key);
	case EVP_PKEY_ED25519: return put_okp(o, key, "Ed25519");
	case EVP_PKEY_ED448: return put_okp(o, key, "Ed448");
	case EVP_PKEY_RSA:
		json_set(o, "kty", json_string("RSA"));
		json_set(o, "n", json_number(key, "n", 0));
		json_set(o, "e", json_number(key, "e", 0));
		return true;
	default: return false;
	}
}

/* E_NOTFOUND: a key that has no JWK here. */
static enum code jwk_of(json_t **out, struct span cert, struct err *e)
{
	const uint8_t *p = cert.p;
	X509 *x = d2i_X509(NULL, &p, (long)cert.len);
	json_t *o = json_object(), *chain = json_array();
	bool ok = x != NULL && put_key(o, X509_get0_pubkey(x));
	enum code rc = E_OK;

	json_array_append_new(chain, json_base64(cert));
	json_set(o, "use", json_string("x509-svid"));
	json_set(o, "x5c", chain);
	X509_free(x);
	ERR_clear_error();
	if (!ok)
		rc = E_NOTFOUND;
	else if (json_failed(o) || json_array_size(chain) != 1)
		rc = err_nomem(e);
	if (rc == E_OK)
		*out = o;
	else
		json_decref(o);
	return rc;
}

/* ---- Bundles ---- */

/* One that has no JWK is in the PEM bundle alone: what one foreign root looks
 * like must not keep our own CRLs from being published. */
static enum code add_key(json_t *keys, struct span cert, struct err *e)
{
	json_t *jwk = NULL;
	enum code rc = jwk_of(&jwk, cert, e);

	if (rc != E_OK)
		return rc == E_NOTFOUND ? E_OK : rc;
	return json_array_append_new(keys, jwk) == 0 ? E_OK : err_nomem(e);
}

/* first: empty, or before the bundle's own. */
static enum code bundle_of(json_t **out, struct span first,
    const struct ca_bundle *b, uint64_t sequence, struct err *e)
{
	json_t *o = json_object(), *keys = json_array();
	enum code rc = E_OK;

	if (first.len > 0)
		rc = add_key(keys, first, e);
	for (size_t i = 0; rc == E_OK && b != NULL && i < b->certs_n; i++)
		rc = add_key(keys, b->certs[i], e);
	json_set(o, "keys", keys);
	json_set(o, "spiffe_sequence", json_u64(sequence));
	json_set(o, "spiffe_refresh_hint", json_integer(TRUST_REFRESH_HINT_S));
	if (rc == E_OK && json_failed(o))
		rc = err_nomem(e);
	if (rc == E_OK) {
		*out = o;
		return E_OK;
	}
	json_decref(o);
	return rc;
}

/* Takes o. */
static enum code dump(struct buf *out, json_t *o, struct err *e)
{
	char *text = json_failed(o)
			 ? NULL
			 : json_dumps(o, JSON_INDENT(1) | JSON_SORT_KEYS);
	bool ok =
	    text != NULL && buf_add_str(out, text) && buf_add_str(out, "\n");

	free(text);
	json_decref(o);
	return ok ? E_OK : err_nomem(e);
}

enum code trust_bundle_json(
    const struct ca_view *v, struct buf *out, struct err *e)
{
	const struct ca_bundle *more = ca_view_bundle(v, v->trust_domain);
	uint64_t sequence = 1 + (more == NULL ? 0 : more->sequence);
	json_t *o = NULL;
	enum code rc = bundle_of(&o, v->root_cert, more, sequence, e);

	return rc == E_OK ? dump(out, o, e) : rc;
}

enum code trust_federated_json(
    const struct ca_view *v, struct buf *out, struct err *e)
{
	json_t *o = json_object(), *domains = json_object();
	enum code rc = E_OK;

	for (size_t i = 0; rc == E_OK && i < v->bundles_n; i++) {
		const struct ca_bundle *b = &v->bundles[i];
		char *name = span_dup_str(b->trust_domain);
		json_t *one = NULL;

		if (name == NULL)
			rc = err_nomem(e);
		else if (b->certs_n > 0 &&
			 !span_eq(b->trust_domain, v->trust_domain))
			rc = bundle_of(&one, SPAN_EMPTY, b, b->sequence, e);
		if (rc == E_OK && one != NULL)
			json_set(domains, name, one);
		free(name);
	}
	json_set(o, "trust_domains", domains);
	if (rc == E_OK)
		return dump(out, o, e);
	json_decref(o);
	return rc;
}

/* ---- CRLs ---- */

enum code trust_crl_der(const struct ca *ca, const struct ca_view *v,
    const uint8_t issuer[CA_KEY_ID_LEN], struct buf *out, struct err *e)
{
	const struct ca_crl *c = ca_view_crl(v, issuer);
	struct span tbs;
	enum code rc;

	if (c == NULL || c->number == 0)
		return err_set(e, E_NOTFOUND, "this issuer has no CRL yet");
	rc = ca_crl_tbs(ca, issuer, c->number, &tbs, e);
	if (rc == E_NOTFOUND)
		return err_set(e, E_CORRUPT, "a signed CRL has no bytes");
	return rc == E_OK ? pki_crl_der(out, tbs, c->signature, e) : rc;
}

enum code trust_crls_pem(const struct ca *ca, const struct ca_view *v,
    struct buf *out, struct err *e)
{
	enum code rc = pki_pem_add(out, "X509 CRL", v->root_crl, e);
	struct buf der;

	buf_init(&der);
	for (size_t i = 0; rc == E_OK && i < v->crls_n; i++) {
		buf_clear(&der);
		if (v->crls[i].number == 0)
			continue; /* no leaf of it is out yet */
		rc = trust_crl_der(ca, v, v->crls[i].issuer, &der, e);
		if (rc == E_OK)
			rc = pki_pem_add(out, "X509 CRL", buf_span(&der), e);
	}
	buf_free(&der);
	return rc;
}
