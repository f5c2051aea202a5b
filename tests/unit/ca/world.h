/* world.h -- a state machine over memory, with made-up keys: a signature is
 * SHA-256(spki ‖ message), a certificate is its facts and such a signature.
 * What the functions make lives until world_close. */
#ifndef TESTS_CA_WORLD_H
#define TESTS_CA_WORLD_H

#include "ca/ca.h"
#include "mem.h"

#define T0 1700000000000ULL /* when Genesis is */

struct world {
	struct mem mem;
	struct ca *ca;
	uint64_t index;  /* of the last entry applied */
	uint64_t leaves; /* entries applied */
	uint64_t now_ms; /* stamped into what is made */
	uint64_t made;   /* serials, nonces and entries so far */
	bool quick;      /* leave out the digest of all rows */
	struct ca_result result;
	struct world_block *blocks;
};

void world_open(struct world *w);    /* empty */
void world_started(struct world *w); /* after Genesis: east, node 1, alice */
void world_close(struct world *w);
void *world_get(struct world *w, size_t n); /* zeroed */
struct span world_text(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

struct ca_crypto fake_crypto(void);
struct span fake_key(struct world *w, const char *name);
struct span fake_sign(struct world *w, const char *name, struct span msg);
void fake_key_id(uint8_t out[CA_KEY_ID_LEN], struct span spki);
struct span fake_root(struct world *w, const char *name);
/* Signed by the root key of that name. */
struct span fake_issuer(struct world *w, const char *root, const char *name);

struct ca_entry *world_entry(struct world *w, enum ca_kind kind);
struct ca_entry *world_genesis(struct world *w);
/* One workload certificate of cluster east, by node 1. */
struct ca_entry *world_issue(struct world *w, const char *uri);
/* The same, renewed by showing the parent. */
struct ca_entry *world_renew(struct world *w, const struct ca_entry *parent);
/* The next CRL of a node's issuer, seven days from now. */
struct ca_entry *world_freeze(struct world *w, uint64_t node);
/* The signature over what is frozen, by the node's issuer. */
struct ca_entry *world_sign_crl(struct world *w, uint64_t node);
/* An envelope without signatures; the commands are copied. */
struct ca_entry *world_envelope(
    struct world *w, const struct ca_admin *commands, size_t n);
void world_sign(struct world *w, struct ca_entry *en, const char *operator);
/* The same, signed by alice. */
struct ca_entry *world_admin(struct world *w, const struct ca_admin *command);

void fill_node(struct world *w, struct ca_node *n, uint64_t id);
void fill_cluster(struct world *w, struct ca_cluster *c, const char *name);
void fill_operator(struct world *w, struct ca_operator *o, const char *name);
void fill_policy(struct ca_policy *p);
/* Commands with what the fillers give. */
struct ca_admin cmd_node(struct world *w, uint64_t id);
struct ca_admin cmd_issuer(struct world *w, uint64_t node);
struct ca_admin cmd_cluster(struct world *w, const char *name);
struct ca_admin cmd_policy(void);
struct ca_admin cmd_token(struct world *w, const char *secret);
struct ca_admin cmd_operator(struct world *w, const char *name);
struct ca_admin cmd_revoke(const struct ca_entry *issued);
struct ca_admin cmd_revoke_all(enum ca_revoke_by by, const char *what);
struct ca_admin cmd_lift(enum ca_revoke_by by, const char *what);
struct ca_admin cmd_retire(struct world *w, uint64_t node);
/* The root's CRL with that number lists the issuers of nodes 1 to n. */
struct span fake_root_crl(struct world *w, uint64_t number, unsigned n);
struct ca_admin cmd_revoke_issuer(
    struct world *w, uint64_t node, struct span root_crl);
struct ca_admin cmd_root_crl(struct span root_crl);
/* Roots of those names; none (NULL): taken away.  Our own trust domain's is
 * signed with the root key, for the sequence that comes next. */
struct ca_admin cmd_bundle(
    struct world *w, const char *trust_domain, const char *root);

/* Apply, with bytes that no other entry has, and check what must hold after
 * every entry: digest, record, head.  The outcome; w->result has the rest. */
enum ca_outcome world_apply(struct world *w, const struct ca_entry *en);
enum ca_outcome world_apply_raw(
    struct world *w, const struct ca_entry *en, struct span raw);
/* Apply one command signed by alice. */
enum ca_outcome world_do(struct world *w, struct ca_admin command);
struct ca_view *world_view(struct world *w); /* the caller's to unref */
void world_reopen(struct world *w);          /* as a restart would */
/* As a snapshot would: the LOG and SMALL rows of from into an empty world (to
 * be closed whatever the answer), then ca_restore_check. */
enum code world_restore(
    struct world *to, const struct mem *from, struct err *e) MUST_CHECK;

#endif
