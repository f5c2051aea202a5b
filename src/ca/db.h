/* ca/db.h -- the ordered key-value tables the state machine lives in.
 * src/store implements them on the open LMDB state transaction, tests in
 * memory.  One owner, one thread. */
#ifndef QUORATE_CA_DB_H
#define QUORATE_CA_DB_H

#include "base/buf.h"

#define CA_DB_KEY_MAX 500 /* LMDB's own limit is 511, less the table byte */

/* How a table travels in a snapshot. */
enum ca_table_class {
	CA_TABLE_SMALL,   /* mutable; read whole, in one transaction, at the
			     snapshot's index */
	CA_TABLE_LOG,     /* rows never change; key = u64 BE raft index; read in
			     ranges up to the snapshot's index */
	CA_TABLE_DERIVED, /* rebuilt from the LOG rows by ca_restore_row */
};

/* X(symbol, number, class, what).  Numbers are on disk and in digests ▣. */
#define CA_TABLES(X)                                                           \
	X(META, 1, SMALL, "scalars: trust domain, root, times, tlog frontier") \
	X(RECORD, 2, LOG, "raft index -> applied entry and its outcome")       \
	X(SERIAL, 3, DERIVED, "serial -> raft index of its record")            \
	X(IDENTITY, 4, DERIVED, "SHA-256(identity) + raft index -> nothing")   \
	X(TREE, 5, DERIVED, "level, position -> Merkle node hash")             \
	X(ISSUER, 6, SMALL, "key id -> issuer")                                \
	X(CLUSTER, 7, SMALL, "name -> cluster")                                \
	X(NODE, 8, SMALL, "raft id BE -> node")                                \
	X(OPERATOR, 9, SMALL, "SHA-256(spki) -> operator")                     \
	X(POLICY, 10, SMALL, "version BE -> policy")                           \
	X(TOKEN, 11, SMALL, "secret hash -> join token")                       \
	X(NONCE, 12, SMALL, "expiry BE + nonce -> nothing")                    \
	X(CHECKPOINT, 13, SMALL, "the newest checkpoints")                     \
	X(QUOTA, 14, SMALL, "hour BE + scope hash -> count")                   \
	X(REVOKED, 15, SMALL, "issuer key id + serial -> when and why")        \
	X(BLOCK, 16, SMALL, "u8 kind + SHA-256(name) -> who gets nothing")     \
	X(CRL, 17, SMALL, "issuer key id -> its CRL, frozen and signed")       \
	X(CRL_BYTES, 18, SMALL, "issuer key id + number BE -> TBSCertList")    \
	X(CHILD, 19, DERIVED, "parent's serial + raft index -> nothing")       \
	X(POD, 20, DERIVED, "SHA-256(pod UID) + raft index -> nothing")        \
	X(BUNDLE, 21, SMALL, "trust domain -> whom to trust for it")           \
	X(OTHER, 22, DERIVED, "raft index that issued nothing -> nothing")

enum ca_table {
#define X(sym, n, cls, what) CA_T_##sym = n,
	CA_TABLES(X)
#undef X
};

typedef enum code ca_row_fn(void *arg, enum ca_table t, struct span key,
    struct span val, struct err *e);

struct ca_db_ops {
	/* E_NOTFOUND (no text needed) if there is no such row.  *val borrows
	 * until the next put or del on this db. */
	enum code (*get)(void *db, enum ca_table t, struct span key,
	    struct span *val, struct err *e);
	enum code (*put)(void *db, enum ca_table t, struct span key,
	    struct span val, struct err *e);
	/* No error if there is no such row. */
	enum code (*del)(
	    void *db, enum ca_table t, struct span key, struct err *e);
	/* First row of t with key >= from (or > from if after).  E_NOTFOUND
	 * past the last.  Both spans borrow until the next put or del. */
	enum code (*seek)(void *db, enum ca_table t, struct span from,
	    bool after, struct span *key, struct span *val, struct err *e);
	/* fn for each row of t with key >= from, in order, until one does not
	 * return E_OK: then that; E_NOTFOUND past the last.  fn does not write
	 * to this db.  NULL: whoever wants this seeks from row to row. */
	enum code (*scan)(void *db, enum ca_table t, struct span from,
	    ca_row_fn *fn, void *arg, struct err *e);
};

struct ca_db {
	const struct ca_db_ops *ops;
	void *ctx;
};

#endif
