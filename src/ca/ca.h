/* ca/ca.h -- the replicated certificate authority: apply and read.
 *
 * Pure: reads no clock, draws no randomness, never signs, does no I/O but
 * through struct ca_db.  The same entries in the same order give the same rows
 * and the same digest on every node.  Not thread-safe: the node loop owns the
 * writing instance; readers make one of their own on a read transaction. */
#ifndef QUORATE_CA_CA_H
#define QUORATE_CA_CA_H

#include "ca/db.h"
#include "ca/types.h"

struct ca_cert_facts { /* what apply needs to know of a CA certificate */
	uint8_t key_id[CA_KEY_ID_LEN];
	struct span spki; /* borrows from the certificate */
	uint64_t not_before_s, not_after_s;
};

/* Cryptography comes in as functions: they must be deterministic.
 * src/pki provides them (pki_ca_crypto). */
struct ca_crypto {
	/* ECDSA P-256 with SHA-256 over msg, signature in DER.  E_INVAL if it
	 * does not hold; any other error if that could not be found out. */
	enum code (*verify)(void *ctx, struct span spki, struct span msg,
	    struct span sig, struct err *e);
	/* Is cert a self-signed root we take?  E_INVAL with the reason. */
	enum code (*root)(void *ctx, struct span cert,
	    struct ca_cert_facts *out, struct err *e);
	/* Is cert an issuer (CA:TRUE, pathlen 0, keyCertSign and cRLSign)
	 * signed by root?  E_INVAL with the reason. */
	enum code (*issuer)(void *ctx, struct span cert, struct span root,
	    struct ca_cert_facts *out, struct err *e);
	/* Is crl a root CRL: signed by root?  *number is its CRL number; lists
	 * (a certificate, or empty) must stand on it.  E_INVAL. */
	enum code (*root_crl)(void *ctx, struct span crl, struct span root,
	    struct span lists, uint64_t *number, struct err *e);
	/* Can cert be a trust anchor: a CA certificate?  E_INVAL. */
	enum code (*anchor)(void *ctx, struct span cert, struct err *e);
	/* Append the TBSCertList (RFC 5280 §5.1.2) of these rows. */
	enum code (*crl_tbs)(void *ctx, struct buf *out, struct span issuer,
	    uint64_t number, uint64_t this_s, uint64_t next_s,
	    const struct ca_revoked *rows, size_t n, struct err *e);
	void *ctx;
};

struct ca;

/* A state machine over db (empty, or as an earlier one left it).  db and
 * crypto are copied; what their ctx points to must outlive it.
 * Errors: E_NOMEM, E_CORRUPT, E_IO. */
enum code ca_open(struct ca **out, struct ca_db db, struct ca_crypto crypto,
    struct err *e) MUST_CHECK;
void ca_close(struct ca *ca); /* NULL is fine */

/* Apply one committed entry.  raw: the exact entry bytes; entry: those bytes
 * decoded, or NULL if they do not decode (outcome CA_BAD_FORMAT).  A refusal is
 * a result, not an error: every error (E_NOMEM, E_IO, E_CORRUPT) must end the
 * process, because the rows are half written. */
enum code ca_apply(struct ca *ca, uint64_t index, const struct ca_entry *entry,
    struct span raw, struct ca_result *out, struct err *e) MUST_CHECK;

uint64_t ca_applied(const struct ca *ca); /* index of the last entry applied */
uint64_t ca_time_ms(const struct ca *ca); /* the log's own, made monotone */

struct ca_head {
	uint64_t index;                   /* raft index of the last leaf */
	uint64_t tree_size;               /* leaves */
	uint8_t root[SHA256_LEN];         /* RFC 9162 §2.1.1 */
	uint8_t state_digest[SHA256_LEN]; /* ARCHITECTURE §4 */
};
enum code ca_head(
    const struct ca *ca, struct ca_head *out, struct err *e) MUST_CHECK;

/* Every CA_CHECKPOINT_EVERY leaves each node notes its own head. */
#define CA_CHECKPOINT_EVERY 1024
/* The newest of them, and whether a Checkpoint entry has confirmed it;
 * E_NOTFOUND before the first. */
enum code ca_checkpoint_newest(const struct ca *ca, struct ca_checkpoint *out,
    bool *confirmed, struct err *e) MUST_CHECK;
/* This node's own at that index; E_NOTFOUND if it is not (or no longer) kept.
 */
enum code ca_checkpoint_at(const struct ca *ca, uint64_t index,
    struct ca_checkpoint *out, struct err *e) MUST_CHECK;
/* Recompute the state digest from all rows: tests and start-up checks. */
enum code ca_digest_rows(
    const struct ca *ca, uint8_t out[SHA256_LEN], struct err *e) MUST_CHECK;

/* ---- Snapshots ----------------------------------------------------------- */

/* A LOG row received from a peer, already put into db: rebuild what derives
 * from it.  Rows must come in order of index. */
enum code ca_restore_row(struct ca *ca, enum ca_table t, struct span key,
    struct span val, struct err *e) MUST_CHECK;
/* After the last row: the digest, the tree and the scalars of META agree with
 * the rows, or E_CORRUPT.  ca must have been opened on an empty db. */
enum code ca_restore_check(struct ca *ca, struct err *e) MUST_CHECK;

/* Is the state in db one whole?  Digest, tree, scalars, CRLs and indexes all
 * follow from the records and each other; an empty one is.  Reads every row:
 * for a start.  E_CORRUPT. */
enum code ca_check(
    struct ca_db db, struct ca_crypto crypto, struct err *e) MUST_CHECK;
/* The same in parts, each once, in any order, and by several threads at once:
 * each with a db of its own, all on the same rows.  Any error decides; end
 * comes after the last part. */
struct ca_check;
enum code ca_check_begin(
    struct ca_check **out, struct ca_db db, struct err *e) MUST_CHECK;
size_t ca_check_parts(const struct ca_check *c); /* an empty state has none */
enum code ca_check_part(
    struct ca_check *c, size_t part, struct ca_db db, struct err *e) MUST_CHECK;
enum code ca_check_end(const struct ca_check *c, struct ca_db db,
    struct ca_crypto crypto, struct err *e) MUST_CHECK;
void ca_check_free(struct ca_check *c); /* NULL is fine */

/* ---- The view: everything small, as one immutable object ------------------
 */

/* Shared between threads by reference count; never changes. */
struct ca_view {
	uint64_t applied; /* index it was made at */
	struct span trust_domain, root_cert, root_crl;
	struct ca_cert_facts root;
	uint64_t genesis_ms;
	struct span genesis_raw; /* entry 1, exactly */
	struct ca_cluster *clusters;
	size_t clusters_n;
	struct ca_node *nodes; /* removed ones included: ids are not reused */
	size_t nodes_n;
	struct ca_issuer *issuers;
	size_t issuers_n;
	struct ca_operator *operators;
	size_t operators_n;
	struct ca_join_token *tokens;
	size_t tokens_n;
	struct ca_crl *crls;
	size_t crls_n;
	struct ca_bundle *bundles; /* without certificates: taken away */
	size_t bundles_n;
	struct ca_policy policy;
};
enum code ca_view_load(
    const struct ca *ca, struct ca_view **out, struct err *e) MUST_CHECK;
struct ca_view *ca_view_ref(struct ca_view *v);
void ca_view_unref(struct ca_view *v); /* NULL is fine; any thread */
const struct ca_cluster *ca_view_cluster(
    const struct ca_view *v, struct span name);
const struct ca_node *ca_view_node(const struct ca_view *v, uint64_t id);
const struct ca_issuer *ca_view_issuer(
    const struct ca_view *v, const uint8_t key_id[CA_KEY_ID_LEN]);
const struct ca_operator *ca_view_operator(
    const struct ca_view *v, struct span spki);
const struct ca_crl *ca_view_crl(
    const struct ca_view *v, const uint8_t key_id[CA_KEY_ID_LEN]);
const struct ca_bundle *ca_view_bundle(
    const struct ca_view *v, struct span trust_domain);
/* The namespace rule of struct ca_cluster; used at the edge and in apply. */
bool ca_namespace_allowed(const struct ca_cluster *c, struct span ns);

/* Which roles may sign these commands; any one of them is enough. */
uint32_t ca_roles_for(const struct ca_envelope *env);
/* What the root key signs so that more roots of its own trust domain are
 * taken; b->sequence is one more than that of the bundle they replace. */
bool ca_bundle_input(struct buf *out, const struct ca_bundle *b);

/* ---- Revocation --------------------------------------------------------- */

/* The rows a CRL of this issuer would have now; *rows is for free(). */
enum code ca_crl_rows(const struct ca *ca, const uint8_t issuer[CA_KEY_ID_LEN],
    struct ca_revoked **rows, size_t *n, struct err *e) MUST_CHECK;
/* The TBSCertList of a CRL that is frozen or signed; borrows until the next
 * write.  E_NOTFOUND: it was superseded, or never was. */
enum code ca_crl_tbs(const struct ca *ca, const uint8_t issuer[CA_KEY_ID_LEN],
    uint64_t number, struct span *tbs, struct err *e) MUST_CHECK;
/* Is a leaf revoked?  E_NOTFOUND: no. */
enum code ca_revoked_get(const struct ca *ca,
    const uint8_t issuer[CA_KEY_ID_LEN], const uint8_t serial[CA_SERIAL_LEN],
    struct ca_revoked *out, struct err *e) MUST_CHECK;
/* The block after key (33 bytes; zeroes: the first), whose key it becomes.
 * E_NOTFOUND past the last. */
#define CA_BLOCK_KEY_LEN (1 + SHA256_LEN)
enum code ca_block_next(const struct ca *ca, uint8_t key[CA_BLOCK_KEY_LEN],
    struct ca_block *out, struct err *e) MUST_CHECK;

/* ---- Reads of the log ------------------------------------------------------
 */

/* One RECORD row: what was applied and what came of it. */
struct ca_record {
	uint64_t index;
	uint64_t leaf;    /* position in the Merkle log, from 0 */
	uint64_t time_ms; /* the entry's time, made monotone */
	enum ca_outcome outcome;
	uint8_t effect[SHA256_LEN];
	struct span raw; /* the entry bytes; decode with wire_entry_decode */
};
enum code ca_record_get(const struct ca *ca, uint64_t index,
    struct ca_record *out, struct err *e) MUST_CHECK;
/* The record that issued this serial; E_NOTFOUND. */
enum code ca_record_by_serial(const struct ca *ca,
    const uint8_t serial[CA_SERIAL_LEN], struct ca_record *out,
    struct err *e) MUST_CHECK;
/* The next record after `after` (0: from the start) with that identity (empty:
 * any issued certificate); E_NOTFOUND past the last. */
enum code ca_record_next(const struct ca *ca, struct span identity,
    uint64_t after, struct ca_record *out, struct err *e) MUST_CHECK;
/* The next record after `after` that took effect and issued nothing: Genesis,
 * administration, checkpoints; E_NOTFOUND past the last. */
enum code ca_record_next_other(const struct ca *ca, uint64_t after,
    struct ca_record *out, struct err *e) MUST_CHECK;

#endif
