/* internal.h -- what the files of src/auth share. */
#ifndef QUORATE_AUTH_INTERNAL_H
#define QUORATE_AUTH_INTERNAL_H

#include <jansson.h>
#include <openssl/evp.h>

#include "auth/auth.h"

/* ---- jwt.c: JSON Web Signature, compact form (RFC 7515 §7.1) ---- */

#define JWT_MAX 16384

struct jwt_alg {
	const char *name;
	const char *digest;
	int key_type; /* EVP_PKEY_RSA, EVP_PKEY_EC */
	int bits;     /* RSA: at least; EC: exactly */
	bool pss;
};
/* The algorithms we take (RFC 7518 §3.1): all asymmetric; NULL for others. */
const struct jwt_alg *jwt_alg_find(struct span name);
/* Is this key of the kind and size the algorithm asks for? */
bool jwt_alg_fits(const struct jwt_alg *a, const EVP_PKEY *key);

struct jwt {
	const struct jwt_alg *alg;
	json_t *header;
	struct span kid;     /* of header; may be empty */
	struct span input;   /* what is signed; borrows from the token */
	struct span payload; /* base64url; borrows from the token */
	struct buf sig;
};
/* Take a token apart; nothing in it is to be believed yet.  E_UNAUTH. */
enum code jwt_parse(
    struct span token, struct jwt *out, struct err *e) MUST_CHECK;
void jwt_free(struct jwt *j);
bool jwt_verify(const struct jwt *j, EVP_PKEY *key);
/* The claims of a token that has been verified. */
enum code jwt_claims(
    const struct jwt *j, json_t **out, struct err *e) MUST_CHECK;

/* ---- keys.c ---- */

struct auth_key {
	const struct ca_cluster *cluster;
	struct span kid; /* may be empty */
	const struct jwt_alg *alg;
	EVP_PKEY *pkey;
};
/* The cluster whose key verifies the token; NULL if none does. */
const struct ca_cluster *keys_verify(
    const struct auth_keys *k, const struct jwt *j);
const struct ca_view *keys_view(const struct auth_keys *k);

#endif
