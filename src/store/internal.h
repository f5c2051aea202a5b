/* store/internal.h -- what the files of this module share. */
#ifndef QUORATE_STORE_INTERNAL_H
#define QUORATE_STORE_INTERNAL_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/sha256.h"
#include "store/store.h"

/* ---- env.c: one LMDB environment ---- */

enum env_kind { ENV_RAFT = 1, ENV_STATE = 2 }; /* on disk */

struct env {
	MDB_env *mdb;
	MDB_dbi rows, meta;
	unsigned refs; /* under store.lock */
	char *path;
	atomic_bool
	    *damaged; /* the store's: something that was read is wrong */
};

/* Open, or make, DIR/name.  flags come on top of MDB_NOTLS; with MDB_RDONLY
 * only the table of named rows is there. */
enum code env_open(struct env **out, struct store *s, const char *name,
    enum env_kind kind, unsigned flags, struct err *e) MUST_CHECK;
void env_close(struct env *v); /* NULL is fine */
/* Whoever lets go last closes it. */
struct env *env_ref(struct store *s, struct env *v);
void env_unref(struct store *s, struct env *v); /* NULL is fine */
/* The code and the text for LMDB's rc. */
enum code env_fail(
    const struct env *v, int rc, const char *what, struct err *e);
enum code env_begin(const struct env *v, unsigned flags, MDB_txn **out,
    struct err *e) MUST_CHECK;
/* Commits and forgets *txn, whatever comes of it. */
enum code env_commit(
    const struct env *v, MDB_txn **txn, struct err *e) MUST_CHECK;
enum code env_sync_dir(const char *path, struct err *e) MUST_CHECK;

/* ---- pages.c: data.mdb before LMDB opens it ---- */

/* E_CORRUPT: a page is not what it should be, and the text says which; then
 * *meta_whole says whether the table of named rows can still be read.  No file,
 * or an empty one, is fine: LMDB makes it.  Other errors: E_UNSUPPORTED,
 * E_DENIED, E_NOMEM, E_IO. */
enum code pages_check(
    const char *path, bool *meta_whole, struct err *e) MUST_CHECK;

/* ---- meta.c: named rows, each with a CRC ---- */

#define META_FORMAT "format"
#define META_IDENTITY "identity"
#define META_HARD "hard"
#define META_BOUNDARY "boundary"
#define META_INSTALL "install"
#define META_APPLIED "applied"
#define META_VOTED "voted"   /* in state/: the hard state, once more */
#define META_REPAIR "repair" /* the log was lost: why */

/* *out borrows from the transaction.  E_NOTFOUND without a text. */
enum code meta_get(const struct env *v, MDB_txn *txn, const char *name,
    struct span *out, struct err *e) MUST_CHECK;
enum code meta_put(const struct env *v, MDB_txn *txn, const char *name,
    struct span payload, struct err *e) MUST_CHECK;
enum code meta_del(const struct env *v, MDB_txn *txn, const char *name,
    struct err *e) MUST_CHECK;

struct applied { /* where the state machine is */
	uint64_t index, term;
	struct raft_conf_state conf;
};
enum code applied_put(const struct env *v, MDB_txn *txn, const char *name,
    const struct applied *a, struct err *e) MUST_CHECK;
/* Zero if there is no such row. */
enum code applied_get(const struct env *v, MDB_txn *txn, const char *name,
    struct applied *out, struct err *e) MUST_CHECK;
/* Zero if there is no such row. */
enum code hard_put(const struct env *v, MDB_txn *txn, const char *name,
    const struct raft_hard_state *hs, struct err *e) MUST_CHECK;
enum code hard_get(const struct env *v, MDB_txn *txn, const char *name,
    struct raft_hard_state *out, struct err *e) MUST_CHECK;
enum code identity_put(const struct env *v, MDB_txn *txn,
    const struct store_identity *id, struct err *e) MUST_CHECK;
enum code identity_get(const struct env *v, MDB_txn *txn,
    struct store_identity *out, struct err *e) MUST_CHECK;

struct log_point { /* an entry, without its data */
	uint64_t index, term;
	uint8_t chain[SHA256_LEN];
};

/* ---- bulk.c: rows of indexes, put in order ---- */

struct bulk {
	enum code (*put)(void *ctx, enum ca_table t, struct span key,
	    struct span val, struct err *e);
	void *ctx;
	struct buf waiting, sorted_bytes;
	const uint8_t **sorted; /* rows of sorted_bytes */
	size_t waiting_n, sorted_n, sorted_at;
};

/* Is a row of that table and size one for bulk_add? */
bool bulk_takes(enum ca_table t, size_t key_len, size_t val_len);
/* put is called now or later, for this row or others. */
enum code bulk_add(struct bulk *b, enum ca_table t, struct span key,
    struct span val, struct err *e) MUST_CHECK;
/* All are put. */
enum code bulk_flush(struct bulk *b, struct err *e) MUST_CHECK;
void bulk_free(struct bulk *b);

/* ---- store.c ---- */

struct install {
	struct env *env;
	MDB_txn *txn;
	size_t dirty, puts; /* bytes and rows since the last commit */
	struct buf scratch;
	struct bulk bulk;
};

struct store {
	char *dir;
	uint64_t map_size, reserve;
	unsigned raft_flags, state_flags;
	bool has_peers;
	int lock_fd; /* DIR/store.lock */

	/* Of `state` as readers see it, env.refs, and the readers. */
	pthread_mutex_t lock;
	struct env *raft, *state;
	struct store_read *readers;

	bool bound;
	struct store_identity identity;

	struct raft_hard_state hard;
	struct raft_hard_state voted; /* as of the last commit of state/ */
	struct log_point boundary, last;
	char log_damage[STORE_DAMAGE_MAX]; /* at start: what is wrong with it */
	char repairing[STORE_DAMAGE_MAX];  /* why it was; empty: it is whole */
	bool state_lost;                   /* at start, and it was told */
	atomic_bool damaged;               /* found while running */
	MDB_txn *log_read;                 /* reset between uses */
	struct err fault;

	MDB_txn *txn; /* the open one of state/, or NULL */
	bool dirty;   /* something was put into it */
	struct applied applied, durable;
	struct buf scratch;

	struct install *install;
};

char *store_path(const struct store *s, const char *name); /* to free() */
enum code store_bind_state(struct store *s, struct err *e) MUST_CHECK;

/* ---- log.c ---- */

#define LOG_HEAD (4 + 8 + 1 + SHA256_LEN) /* CRC, term, type, chain */

struct log_row {
	uint64_t term;
	enum raft_entry_type type;
	const uint8_t *chain;
	struct span data;
};
/* Check the CRC of a row and take it apart; E_CORRUPT. */
enum code log_row_parse(const struct store *s, uint64_t index, struct span v,
    struct log_row *out, struct err *e) MUST_CHECK;
/* And that it follows on prev, which becomes it. */
enum code log_row_follow(const struct store *s, const struct log_row *row,
    struct log_point *prev, struct err *e) MUST_CHECK;
enum code log_point_at(const struct store *s, MDB_txn *txn, uint64_t index,
    struct log_point *out, struct err *e) MUST_CHECK;
/* At start: hard state, boundary and the mark of a repair. */
enum code log_load(struct store *s, struct err *e) MUST_CHECK;
/* Every row; E_CORRUPT. */
enum code log_verify(struct store *s, struct err *e) MUST_CHECK;
/* An empty log behind a, in an environment that has none. */
enum code log_begin(const struct env *v, MDB_txn *txn, const struct applied *a,
    struct raft_hard_state *hard, struct log_point *begin,
    struct err *e) MUST_CHECK;
/* Empty the log; it goes on behind meta.  Notes that an installation waits. */
enum code log_restart(struct store *s, const struct raft_snapshot *meta,
    const struct raft_hard_state *hs, struct err *e) MUST_CHECK;

/* ---- state.c ---- */

enum code state_load(struct store *s, struct err *e) MUST_CHECK;
void state_drop(struct store *s); /* the open transaction */
/* The rows of any transaction. */
enum code rows_get(const struct env *v, MDB_txn *txn, enum ca_table t,
    struct span key, struct span *val, struct err *e) MUST_CHECK;
/* Through scratch: key and val may borrow from the transaction. */
enum code rows_put(const struct env *v, MDB_txn *txn, struct buf *scratch,
    enum ca_table t, struct span key, struct span val,
    struct err *e) MUST_CHECK;
enum code rows_del(const struct env *v, MDB_txn *txn, enum ca_table t,
    struct span key, struct err *e) MUST_CHECK;
enum code rows_seek(const struct env *v, MDB_txn *txn, enum ca_table t,
    struct span from, bool after, struct span *key, struct span *val,
    struct err *e) MUST_CHECK;

/* As ca_db's scan. */
enum code rows_scan(const struct env *v, MDB_txn *txn, enum ca_table t,
    struct span from, ca_row_fn *fn, void *arg, struct err *e) MUST_CHECK;

/* ---- snapshot.c ---- */

struct table_class {
	enum ca_table table;
	enum ca_table_class cls;
};
extern const struct table_class store_tables[];
extern const size_t store_tables_n;

/* ---- folder.c: names are of folders in DIR ---- */

enum code folder_exists(const struct store *s, const char *name, bool *out,
    struct err *e) MUST_CHECK;
enum code folder_remove(
    const struct store *s, const char *name, struct err *e) MUST_CHECK;
enum code folder_rename(const struct store *s, const char *from, const char *to,
    struct err *e) MUST_CHECK;

/* ---- heal.c: what a start finds damaged ---- */

#define STORE_REPLACE "remove this node and join a new one"

/* raft/, as far as it can be read: log_damage says what cannot. */
enum code heal_open_raft(struct store *s, struct err *e) MUST_CHECK;
/* state/, or an empty one. */
enum code heal_open_state(struct store *s, struct err *e) MUST_CHECK;
/* With both open: a log that is damaged, or does not reach back to the state,
 * is begun anew. */
enum code heal_log(struct store *s, struct err *e) MUST_CHECK;

/* ---- install.c ---- */

/* At start, with raft/ open and state/ not: finish what a crash interrupted,
 * and remove what it left over. */
enum code install_recover(struct store *s, struct err *e) MUST_CHECK;
/* At start, with state/ open: it is the one that was being installed. */
enum code install_settle(struct store *s, struct err *e) MUST_CHECK;

#endif
