/* A trust domain to test signers with: root, operators, a sealed blob, and the
 * log entries that operators would have signed. */
#ifndef TESTS_SIGNER_WORLD_H
#define TESTS_SIGNER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "signer/internal.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define TD "mesh.example"
#define OPERATORS 3

/* seccomp and the sanitizers' runtimes do not go together. */
#ifdef QUORATE_SANITIZED
#define SANITIZED true
#else
#define SANITIZED false
#endif

struct world {
	char dir[64], keys[96], seal[96];
	struct signer_public public;
	uint64_t now_s;
	EVP_PKEY *root_key, *op[OPERATORS], *other;
	struct buf root, crl, issuer;
	struct buf op_spki[OPERATORS];
	struct buf api_spki[4]; /* of nodes 1, 2, 3, and of nobody */
	struct buf other_spki;  /* another signer's issuer key */
	struct buf genesis;     /* entry 1 */
};

void world_open(struct world *w);
void world_close(struct world *w);
/* Genesis as world_open signed it, to be changed and signed again. */
void world_genesis(const struct world *w, struct ca_genesis *g);
void world_sign_genesis(const struct world *w, const struct ca_genesis *g,
    EVP_PKEY *key, struct buf *entry);
/* An entry with one envelope. */
struct envelope {
	const char *td;        /* NULL: TD */
	uint64_t expires_ms;   /* 0: in an hour */
	uint64_t time_ms;      /* of the entry; 0: now */
	EVP_PKEY *signers[4];  /* the first NULL ends them */
	bool broken_signature; /* of the last signer */
	const struct ca_admin *commands;
	size_t n;
};
void world_envelope(
    const struct world *w, const struct envelope *env, struct buf *entry);
/* Commands */
struct ca_admin world_set_node(const struct world *w, uint64_t id);
struct ca_admin world_remove_node(uint64_t id);
struct ca_admin world_set_policy(uint64_t ttl_max_s, uint32_t signatures);
struct ca_admin world_set_operator(
    const struct world *w, size_t op, uint32_t roles, bool removed);
struct ca_admin world_add_issuer(struct span cert, uint64_t node);

/* A leaf for a workload, with a key of its own. */
struct ca_issue world_leaf(const struct world *w, const char *uri);
/* The certificate of an answer, checked by OpenSSL against the issuer. */
void world_check_leaf(const struct world *w, const struct ca_issue *i);

#endif
