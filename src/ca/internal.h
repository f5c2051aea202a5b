/* internal.h -- what the files of src/ca share, and nobody else includes. */
#ifndef QUORATE_CA_INTERNAL_H
#define QUORATE_CA_INTERNAL_H

#include "ca/ca.h"

/* Scalars of the META table, one row: what ca_open must know. */
struct ca_meta {
	uint64_t applied; /* raft index of the last entry applied */
	uint64_t time_ms; /* monotone time of the last entry */
	uint64_t genesis_ms;
	uint64_t tree_size;
	uint64_t last_node_id; /* ids up to this were used */
	uint64_t policy_version;
	uint8_t digest[SHA256_LEN]; /* sum of all counted rows */
};

struct ca {
	struct ca_db db;
	struct ca_crypto crypto;
	struct ca_meta meta;
	bool started;         /* Genesis is applied */
	uint64_t at;          /* index of the entry being applied */
	struct ca_view *view; /* the small rows; NULL: reload */
	/* during one apply */
	struct sha256 effect;
	bool admin_changed;
	bool journaling; /* keep what is needed to undo */
	struct undo *undo;
	size_t undo_n, undo_cap;
	struct buf row; /* scratch, reused */
	struct buf pod; /* of a renewal's parent */
};

/* rows.c: one encoding a kind of row ▣.  Decoders' spans borrow from val. */
void row_operator(struct buf *out, const struct ca_operator *o);
enum code row_operator_read(
    struct span val, struct ca_operator *o, struct err *e);
void row_cluster(struct buf *out, const struct ca_cluster *c);
enum code row_cluster_read(
    struct span val, struct ca_cluster *c, struct err *e);
void row_node(struct buf *out, const struct ca_node *n);
enum code row_node_read(struct span val, struct ca_node *n, struct err *e);
void row_issuer(struct buf *out, const struct ca_issuer *i);
enum code row_issuer_read(struct span val, struct ca_issuer *i, struct err *e);
void row_policy(struct buf *out, const struct ca_policy *p);
enum code row_policy_read(struct span val, struct ca_policy *p, struct err *e);
void row_token(struct buf *out, const struct ca_join_token *t);
enum code row_token_read(
    struct span val, struct ca_join_token *t, struct err *e);
void row_meta(struct buf *out, const struct ca_meta *m);
enum code row_meta_read(struct span val, struct ca_meta *m, struct err *e);
/* RECORD: what was applied.  The last three are empty but for an issued
 * certificate: the DERIVED rows are made from them without decoding the entry.
 * token_ms: when the token was shown that this certificate goes back to. */
struct record_row {
	struct ca_record record;
	struct span serial, identity;
	uint64_t token_ms;
	struct span issuer, parent, pod; /* parent, pod: may be empty */
	uint64_t not_after_s;
};
void row_record(struct buf *out, const struct record_row *r);
enum code row_record_read(
    struct span val, uint64_t index, struct record_row *r, struct err *e);

/* What a row was before a batch that may yet be refused. */
struct undo {
	enum ca_table table;
	bool had;
	struct buf key, val;
};

/* state.c: every write of a row goes through these, so that digest and effect
 * follow. */
enum code state_put(struct ca *ca, enum ca_table t, struct span key,
    struct span val, struct err *e) MUST_CHECK;
enum code state_del(
    struct ca *ca, enum ca_table t, struct span key, struct err *e) MUST_CHECK;
enum code state_get(const struct ca *ca, enum ca_table t, struct span key,
    struct span *val, struct err *e) MUST_CHECK;
void state_begin(struct ca *ca); /* a new entry: empty effect */
void state_journal(struct ca *ca);
void state_keep(struct ca *ca);
enum code state_undo(struct ca *ca, struct err *e) MUST_CHECK;
bool state_counts(enum ca_table t, struct span key);
void digest_add(
    uint8_t sum[SHA256_LEN], enum ca_table t, struct span key, struct span val);
void digest_sub(
    uint8_t sum[SHA256_LEN], enum ca_table t, struct span key, struct span val);
void digest_join(uint8_t sum[SHA256_LEN], const uint8_t other[SHA256_LEN]);
/* The rows agree with the scalars, if this is what they add up to. */
enum code state_agrees(struct ca *ca, const struct ca_meta *built, bool started,
    const uint8_t digest[SHA256_LEN], struct err *e) MUST_CHECK;
/* Rows in META besides the scalars. */
#define META_SCALARS "scalars" /* not in the digest: it holds the digest */
#define META_TRUST_DOMAIN "trust-domain"
#define META_ROOT_CERT "root-cert"
#define META_ROOT_CRL "root-crl"
#define META_GENESIS "genesis"

/* admin.c, issue.c: one entry each.  *why is written when refused. */
enum code apply_genesis(struct ca *ca, const struct ca_genesis *g,
    struct span raw, struct ca_result *out, struct err *e) MUST_CHECK;
enum code apply_admin(struct ca *ca, const struct ca_envelope *env,
    struct ca_result *out, struct err *e) MUST_CHECK;
enum code apply_refresh(struct ca *ca, const struct ca_entry *en,
    struct ca_result *out, struct err *e) MUST_CHECK;
enum code apply_issue(struct ca *ca, const struct ca_entry *en, struct span raw,
    struct record_row *row, struct ca_result *out, struct err *e) MUST_CHECK;
/* The DERIVED rows of a record, but for the tree's. */
enum code derived_rows(const struct record_row *row, ca_row_fn *put, void *arg,
    struct err *e) MUST_CHECK;
/* checkpoint.c: this node's own, every CA_CHECKPOINT_EVERY leaves, and what the
 * leader had logged. */
enum code checkpoint_take(
    struct ca *ca, uint64_t index, struct err *e) MUST_CHECK;
enum code apply_checkpoint(struct ca *ca, const struct ca_checkpoint *c,
    struct ca_result *out, struct err *e) MUST_CHECK;

/* Set a refusal; always E_OK, so that callers return it. */
enum code refuse(struct ca_result *out, enum ca_outcome o, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* revoke.c, crl.c */
void row_block(struct buf *out, const struct ca_block *b);
enum code row_block_read(struct span val, struct ca_block *b, struct err *e);
void row_crl(struct buf *out, const struct ca_crl *c);
enum code row_crl_read(struct span val, struct ca_crl *c, struct err *e);
void row_bundle(struct buf *out, const struct ca_bundle *b);
enum code row_bundle_read(struct span val, struct ca_bundle *b, struct err *e);
/* A row of REVOKED: what its CRL says, and how long it has to. */
struct revoked_row {
	struct ca_revoked revoked; /* without the serial, which is the key */
	uint64_t not_after_s;
};
void row_revoked(struct buf *out, const struct revoked_row *r);
enum code row_revoked_read(
    struct span val, struct revoked_row *r, struct err *e);
#define REVOKED_KEY_LEN (CA_KEY_ID_LEN + CA_SERIAL_LEN)

enum code apply_revoke(struct ca *ca, const struct ca_revoke *r,
    struct ca_result *out, struct err *e) MUST_CHECK;
enum code apply_lift(struct ca *ca, const struct ca_revoke *r,
    struct ca_result *out, struct err *e) MUST_CHECK;
/* Refuses if the identity or the pod of a request is blocked. */
enum code block_check(struct ca *ca, struct span identity, struct span pod,
    struct ca_result *out, struct err *e) MUST_CHECK;
enum code apply_freeze(struct ca *ca, const struct ca_freeze_crl *f,
    struct ca_result *out, struct err *e) MUST_CHECK;
enum code apply_sign_crl(struct ca *ca, const struct ca_sign_crl *s,
    struct ca_result *out, struct err *e) MUST_CHECK;
/* Another leaf of this issuer is revoked: its CRL is due. */
enum code crl_dirty(
    struct ca *ca, struct span issuer, struct err *e) MUST_CHECK;
/* Every CRL's bytes are those its row names. */
enum code crl_check_bytes(const struct ca *ca, struct err *e) MUST_CHECK;
/* The row of an index; E_NOTFOUND. */
enum code record_row_get(const struct ca *ca, uint64_t index,
    struct record_row *out, struct err *e) MUST_CHECK;

/* tlog.c on the TREE table */
enum code tlog_append(
    struct ca *ca, const uint8_t leaf[SHA256_LEN], struct err *e) MUST_CHECK;
void tlog_leaf(uint8_t out[SHA256_LEN], struct span leaf);
void tlog_node(uint8_t out[SHA256_LEN], const uint8_t left[SHA256_LEN],
    const uint8_t right[SHA256_LEN]);
#define TREE_KEY_LEN 9
struct span tlog_key(uint8_t key[TREE_KEY_LEN], unsigned level, uint64_t i);
/* The hash of a record's leaf. */
void record_leaf(uint8_t out[SHA256_LEN], const struct ca_record *rec);

/* state.c: every table, and how it travels. */
extern const enum ca_table all_tables[];
extern const size_t all_tables_n;
enum ca_table_class table_class(enum ca_table t);

/* state.c: fn for each row of t with key >= from, until it does not return
 * E_OK; E_NOTFOUND from it says: enough. */
enum code each_row(struct ca_db db, enum ca_table t, struct span from,
    ca_row_fn *fn, void *arg, struct err *e) MUST_CHECK;
/* ca.c: the small rows as the entry being applied sees them. */
enum code ca_small(
    struct ca *ca, const struct ca_view **out, struct err *e) MUST_CHECK;
bool cluster_serves(const struct ca_cluster *c); /* not removed */
bool name_valid(struct span name);               /* a DNS label */
/* A small row changed: the next ca_small loads anew. */
void small_changed(struct ca *ca);
/* What an operator, the root or a node wants to store: refused if it cannot
 * be.  v may be NULL (Genesis). */
enum code cluster_check(
    const struct ca_view *v, const struct ca_cluster *c, struct ca_result *out);
enum code node_check(const struct ca_node *n, struct ca_result *out);
enum code operator_check(const struct ca_operator *o, struct ca_result *out);
enum code policy_check(
    const struct ca_policy *p, size_t admins, struct ca_result *out);
/* One administrative command.  v is held by the caller. */
typedef enum code admin_fn(struct ca *ca, const struct ca_view *v,
    const struct ca_admin *c, struct ca_result *out, struct err *e) MUST_CHECK;
/* trust.c */
admin_fn trust_retire_issuer, trust_revoke_issuer, trust_set_root_crl,
    trust_set_bundle;
/* Writes of one kind of row. */
enum code put_cluster(
    struct ca *ca, const struct ca_cluster *c, struct err *e) MUST_CHECK;
enum code put_node(
    struct ca *ca, const struct ca_node *n, struct err *e) MUST_CHECK;
enum code put_operator(
    struct ca *ca, const struct ca_operator *o, struct err *e) MUST_CHECK;
enum code put_policy(
    struct ca *ca, const struct ca_policy *p, struct err *e) MUST_CHECK;
enum code put_issuer(
    struct ca *ca, const struct ca_issuer *i, struct err *e) MUST_CHECK;
enum code put_bundle(
    struct ca *ca, const struct ca_bundle *b, struct err *e) MUST_CHECK;

#endif
