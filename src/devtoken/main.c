/* quorate-dev-token: service-account tokens as a Kubernetes API server would
 * mint them, with a key of its own.  For demos and tests: not installed. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "pki/pki.h"

#define SUB_PREFIX "system:serviceaccount:"
#define TTL_DEFAULT_S 3600
#define ISSUER_DEFAULT "https://kubernetes.default.svc.cluster.local"

struct options {
	const char *key, *alg, *sub, *aud, *iss, *pod, *pod_uid, *kid, *jwks;
	uint64_t ttl_s;
	bool new_key, expired;
};

static const char help[] =
    "usage: quorate-dev-token --key FILE [options]\n"
    "Mints a service-account token as an API server would: tests and demos "
    "only.\n\n"
    "  --key FILE      signing key, PEM\n"
    "  --new-key       make FILE if it is not there\n"
    "  --alg A         RS256 or ES256, for a new key (RS256)\n"
    "  --sub S         system:serviceaccount:NAMESPACE:NAME\n"
    "  --aud A[,...]   audiences (istio-ca)\n"
    "  --iss URL       issuer (" ISSUER_DEFAULT ")\n"
    "  --ttl SECONDS   lifetime (3600)\n"
    "  --expired       a token that ended a minute ago\n"
    "  --pod NAME      pod it is bound to (NAME-0); --pod '' leaves it out\n"
    "  --pod-uid UID   its UID (made from the names)\n"
    "  --kid ID        key id (made from the key)\n"
    "  --jwks FILE     write the public key there, as a JSON Web Key Set\n";

/* ---- The key ---- */

static enum code make_key(
    const struct options *o, EVP_PKEY **out, struct err *e)
{
	bool ec = strcmp(o->alg, "ES256") == 0;
	struct buf pem;
	enum code rc;

	buf_init(&pem);
	rc = pki_key_new(ec ? PKI_P256 : PKI_RSA2048, out, e);
	if (rc == E_OK)
		rc = pki_key_to_pem(&pem, *out, e);
	if (rc == E_OK)
		rc = fs_create(o->key, buf_span(&pem), 0600, e);
	pki_wipe(&pem);
	return rc;
}

static enum code load_key(
    const struct options *o, EVP_PKEY **out, struct err *e)
{
	struct buf pem;
	enum code rc;

	buf_init(&pem);
	rc = fs_read(o->key, 65536, &pem, e);
	if (rc == E_OK)
		rc = pki_key_from_pem(buf_span(&pem), out, e);
	else if (rc == E_NOTFOUND && o->new_key)
		rc = make_key(o, out, e);
	pki_wipe(&pem);
	return rc;
}

/* As an API server does: SHA-256 of the SubjectPublicKeyInfo. */
static enum code key_kid(
    const struct options *o, EVP_PKEY *key, struct buf *out, struct err *e)
{
	uint8_t sum[SHA256_LEN];
	struct buf spki;
	enum code rc;

	if (o->kid != NULL)
		return buf_add_str(out, o->kid) ? E_OK : err_nomem(e);
	buf_init(&spki);
	rc = pki_key_spki(&spki, key, e);
	sha256_of(sum, buf_span(&spki));
	if (rc == E_OK &&
	    !base64_encode(out, span_of(sum, sizeof(sum)), BASE64_URL))
		rc = err_nomem(e);
	buf_free(&spki);
	return rc;
}

/* ---- JWKS (RFC 7517, RFC 7518 §6) ---- */

/* A number of the key, at least len bytes wide, in base64url. */
static json_t *key_number(EVP_PKEY *key, const char *param, int len)
{
	BIGNUM *n = NULL;
	uint8_t raw[1024];
	json_t *out = NULL;
	struct buf text;

	buf_init(&text);
	if (EVP_PKEY_get_bn_param(key, param, &n) == 1) {
		int size = BN_num_bytes(n) > len ? BN_num_bytes(n) : len;

		if (size <= (int)sizeof(raw) &&
		    BN_bn2binpad(n, raw, size) == size &&
		    base64_encode(
			&text, span_of(raw, (size_t)size), BASE64_URL))
			out = json_stringn((const char *)text.p, text.len);
	}
	BN_free(n);
	buf_free(&text);
	return out;
}

static json_t *key_jwk(EVP_PKEY *key, bool ec, struct span kid)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s%}", "use", "sig", "kty",
	    ec ? "EC" : "RSA", "alg", ec ? "ES256" : "RS256", "kid", kid.p,
	    kid.len);

	if (ec) {
		json_object_set_new(o, "crv", json_string("P-256"));
		json_object_set_new(
		    o, "x", key_number(key, OSSL_PKEY_PARAM_EC_PUB_X, 32));
		json_object_set_new(
		    o, "y", key_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, 32));
	} else {
		json_object_set_new(
		    o, "n", key_number(key, OSSL_PKEY_PARAM_RSA_N, 1));
		json_object_set_new(
		    o, "e", key_number(key, OSSL_PKEY_PARAM_RSA_E, 1));
	}
	return o;
}

static enum code write_jwks(
    const char *file, EVP_PKEY *key, bool ec, struct span kid, struct err *e)
{
	json_t *o = json_pack("{s:[o]}", "keys", key_jwk(key, ec, kid));
	char *text = o != NULL ? json_dumps(o, JSON_INDENT(1)) : NULL;
	enum code rc = text == NULL ? err_nomem(e)
				    : fs_write(file, span_str(text), 0644, e);

	free(text);
	json_decref(o);
	return rc;
}

/* ---- The token (RFC 7519, RFC 7515 §7.1) ---- */

static json_t *audiences(const char *list)
{
	json_t *out = json_array();

	for (;;) {
		size_t len = strcspn(list, ",");

		json_array_append_new(out, json_stringn(list, len));
		if (list[len] == '\0')
			return out;
		list += len + 1;
	}
}

static json_t *bound_to(const struct options *o, const char *ns, const char *sa)
{
	json_t *k = json_pack("{s:s, s:{s:s, s:s+}}", "namespace", ns,
	    "serviceaccount", "name", sa, "uid", "uid-sa-", sa);
	char pod[300], uid[64];

	snprintf(pod, sizeof(pod), "%s-0", sa);
	snprintf(uid, sizeof(uid), "uid-%.25s-%.25s", ns, sa);
	if (o->pod == NULL || o->pod[0] != '\0')
		json_object_set_new(k, "pod",
		    json_pack("{s:s, s:s}", "name",
			o->pod != NULL ? o->pod : pod, "uid",
			o->pod_uid != NULL ? o->pod_uid : uid));
	return k;
}

static enum code make_claims(
    const struct options *o, json_t **out, struct err *e)
{
	uint64_t now = clock_unix_ms() / 1000;
	uint64_t from = o->expired ? now - o->ttl_s - 60 : now;
	const char *ns = o->sub + sizeof(SUB_PREFIX) - 1, *colon;
	char name[64];

	colon = strncmp(o->sub, SUB_PREFIX, sizeof(SUB_PREFIX) - 1) == 0
		    ? strchr(ns, ':')
		    : NULL;
	if (colon == NULL || colon - ns >= (int)sizeof(name))
		return err_set(
		    e, E_INVAL, "--sub is not " SUB_PREFIX "NAMESPACE:NAME");
	snprintf(name, sizeof(name), "%.*s", (int)(colon - ns), ns);
	*out = json_pack("{s:s, s:s, s:o, s:I, s:I, s:I, s:o}", "iss", o->iss,
	    "sub", o->sub, "aud", audiences(o->aud), "iat", (json_int_t)from,
	    "nbf", (json_int_t)from, "exp",
	    (json_int_t)from + (json_int_t)o->ttl_s, "kubernetes.io",
	    bound_to(o, name, colon + 1));
	return *out != NULL ? E_OK : err_nomem(e);
}

static bool add_part(struct buf *out, const json_t *o)
{
	char *text = json_dumps(o, JSON_COMPACT);
	bool ok =
	    text != NULL && base64_encode(out, span_str(text), BASE64_URL);

	free(text);
	return ok;
}

/* r and s, each 32 bytes (RFC 7518 §3.4). */
static bool ecdsa_raw(const uint8_t *der, size_t len, uint8_t raw[64])
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
	bool ok = sig != NULL &&
		  BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 32) == 32 &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 32, 32) == 32;

	ECDSA_SIG_free(sig);
	return ok;
}

static enum code add_signature(
    struct buf *token, EVP_PKEY *key, bool ec, struct err *e)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t sig[1024], raw[64];
	size_t len = sizeof(sig);
	bool ok = md != NULL &&
		  EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
		  EVP_DigestSign(md, sig, &len, token->p, token->len) == 1;

	if (ok && ec) {
		ok = ecdsa_raw(sig, len, raw);
		memcpy(sig, raw, sizeof(raw));
		len = sizeof(raw);
	}
	EVP_MD_CTX_free(md);
	if (!ok)
		return err_set(e, E_INTERNAL, "cannot sign");
	buf_add_str(token, ".");
	return base64_encode(token, span_of(sig, len), BASE64_URL)
		   ? buf_check(token, e)
		   : err_nomem(e);
}

static enum code print_token(const struct options *o, EVP_PKEY *key, bool ec,
    struct span kid, struct err *e)
{
	json_t *claims = NULL;
	json_t *header = json_pack("{s:s, s:s%, s:s}", "alg",
	    ec ? "ES256" : "RS256", "kid", kid.p, kid.len, "typ", "JWT");
	struct buf token;
	enum code rc = make_claims(o, &claims, e);

	buf_init(&token);
	if (rc == E_OK &&
	    (!add_part(&token, header) || !buf_add_str(&token, ".") ||
		!add_part(&token, claims)))
		rc = err_nomem(e);
	if (rc == E_OK)
		rc = add_signature(&token, key, ec, e);
	if (rc == E_OK)
		printf("%.*s\n", (int)token.len, (const char *)token.p);
	json_decref(claims);
	json_decref(header);
	buf_free(&token);
	return rc;
}

/* ---- Options ---- */

static bool take_options(struct options *o, int argc, char **argv)
{
	enum {
		KEY,
		NEW,
		ALG,
		SUB,
		AUD,
		ISS,
		TTL,
		EXPIRED,
		POD,
		UID,
		KID,
		JWKS
	};
	static const struct option rows[] = {{"key", 1, 0, KEY},
	    {"new-key", 0, 0, NEW}, {"alg", 1, 0, ALG}, {"sub", 1, 0, SUB},
	    {"aud", 1, 0, AUD}, {"iss", 1, 0, ISS}, {"ttl", 1, 0, TTL},
	    {"expired", 0, 0, EXPIRED}, {"pod", 1, 0, POD},
	    {"pod-uid", 1, 0, UID}, {"kid", 1, 0, KID}, {"jwks", 1, 0, JWKS},
	    {0, 0, 0, 0}};
	char *end = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "", rows, NULL)) != -1)
		switch (c) {
		case KEY: o->key = optarg; break;
		case NEW: o->new_key = true; break;
		case ALG: o->alg = optarg; break;
		case SUB: o->sub = optarg; break;
		case AUD: o->aud = optarg; break;
		case ISS: o->iss = optarg; break;
		case TTL:
			o->ttl_s = strtoull(optarg, &end, 10);
			if (*end != '\0' || o->ttl_s > 1ULL << 32)
				return false;
			break;
		case EXPIRED: o->expired = true; break;
		case POD: o->pod = optarg; break;
		case UID: o->pod_uid = optarg; break;
		case KID: o->kid = optarg; break;
		case JWKS: o->jwks = optarg; break;
		default: return false;
		}
	return optind == argc && o->key != NULL &&
	       (o->sub != NULL || o->jwks != NULL) &&
	       (strcmp(o->alg, "RS256") == 0 || strcmp(o->alg, "ES256") == 0);
}

int main(int argc, char **argv)
{
	struct options o = {.alg = "RS256",
	    .aud = "istio-ca",
	    .iss = ISSUER_DEFAULT,
	    .ttl_s = TTL_DEFAULT_S};
	EVP_PKEY *key = NULL;
	struct err e = {0};
	struct buf kid;
	bool ec = false;
	enum code rc;

	if (sodium_init() < 0 || !take_options(&o, argc, argv)) {
		fputs(help, stderr);
		return 2;
	}
	buf_init(&kid);
	rc = load_key(&o, &key, &e);
	if (rc == E_OK) {
		ec = EVP_PKEY_get_base_id(key) == EVP_PKEY_EC;
		rc = key_kid(&o, key, &kid, &e);
	}
	if (rc == E_OK && o.jwks != NULL)
		rc = write_jwks(o.jwks, key, ec, buf_span(&kid), &e);
	if (rc == E_OK && o.sub != NULL)
		rc = print_token(&o, key, ec, buf_span(&kid), &e);
	if (rc != E_OK)
		fprintf(stderr, "quorate-dev-token: %s\n", e.text);
	EVP_PKEY_free(key);
	buf_free(&kid);
	return rc == E_OK ? 0 : 1;
}
