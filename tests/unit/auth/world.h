/* world.h -- a small trust domain in memory for the tests of the edge: a root,
 * an issuer, an operator, two clusters with token keys, and the state machine
 * that holds them. */
#ifndef QUORATE_TESTS_WORLD_H
#define QUORATE_TESTS_WORLD_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "ca/ca.h"
#include "wire/wire.h"

#define WORLD_TD "mesh.example"
#define WORLD_NOW_S 1800000000ULL /* of the token tests */

struct memdb;

struct world {
	EVP_PKEY *root_key, *issuer_key, *operator_key, *stranger_key;
	EVP_PKEY *rsa, *p256, *p384, *west; /* token keys */
	struct buf root, issuer;            /* DER */
	struct memdb *db;
	struct ca *ca;
	struct ca_view *view;
	uint64_t index;
	uint64_t log_s; /* the log's time: an hour ago */
};
void world_make(struct world *w);
void world_free(struct world *w);
/* Apply one administrative command and load the view again. */
void world_admin(struct world *w, const struct ca_admin *c);
/* Apply an issued certificate (through the wire format); its outcome. */
enum ca_outcome world_issue(struct world *w, const struct ca_issue *i);
/* Freeze the issuer's next CRL, and sign it with the issuer's key. */
void world_crl(struct world *w);

EVP_PKEY *world_key(const char *kind); /* "P-256", "P-384", "RSA" */
void world_spki(struct buf *out, EVP_PKEY *key);
/* A certificate for key, signed by by (issuer NULL: self-signed).  names is
 * OpenSSL's subjectAltName text, or NULL. */
struct world_cert {
	const char *cn, *names, *constraints, *usage;
	EVP_PKEY *key, *by;
	const struct buf *issuer; /* DER */
	long life_s;
	uint8_t serial[16];
};
void world_cert(struct buf *der, const struct world_cert *c);
void world_pem(struct buf *out, const struct buf *der);
void world_key_pem(struct buf *out, EVP_PKEY *key);

/* A compact JWS: header and claims are JSON text, alg says how to sign. */
char *world_token(
    EVP_PKEY *key, const char *alg, const char *header, const char *claims);
/* Good claims of ns/sa with one text replaced by another (both may be NULL). */
char *world_claims(uint64_t exp_s, const char *ns, const char *sa,
    const char *from, const char *to);

#endif
