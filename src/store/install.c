/* install.c -- the receiver's side of a snapshot: a fresh environment beside
 * the live one, then a swap that a crash may interrupt anywhere.
 *
 *   1. state.new is complete and synced
 *   2. one transaction on raft/: the log begins behind the snapshot, and the
 *      row META_INSTALL says that state.new is the state from now on
 *   3. state -> state.old, state.new -> state
 *   4. META_INSTALL goes, then state.old
 *
 * Before 2 the old state holds and a start drops state.new; from 2 on a start
 * carries on where it was interrupted. */
#include <stdlib.h>

#include "store/internal.h"

#define LIVE "state"
#define FRESH "state.new"
#define OLD "state.old"
/* Then rows are written out: LMDB holds a page for each that is not near
 * another, 4 KB. */
#define COMMIT_BYTES (8U << 20)
#define COMMIT_PUTS 4096

/* Step 3, from wherever it stands. */
static enum code swap_folders(const struct store *s, struct err *e)
{
	bool fresh = false, live = false;
	enum code rc;

	if ((rc = folder_exists(s, FRESH, &fresh, e)) != E_OK || !fresh)
		return rc;
	if ((rc = folder_exists(s, LIVE, &live, e)) != E_OK)
		return rc;
	if (live && ((rc = folder_remove(s, OLD, e)) != E_OK ||
			(rc = folder_rename(s, LIVE, OLD, e)) != E_OK))
		return rc;
	return folder_rename(s, FRESH, LIVE, e);
}

/* ---- After a crash ---- */

static enum code waiting(
    const struct store *s, struct applied *out, struct err *e)
{
	MDB_txn *txn;
	enum code rc = env_begin(s->raft, MDB_RDONLY, &txn, e);

	if (rc != E_OK)
		return rc;
	rc = applied_get(s->raft, txn, META_INSTALL, out, e);
	mdb_txn_abort(txn);
	return rc;
}

enum code install_recover(struct store *s, struct err *e)
{
	struct applied a;
	enum code rc = waiting(s, &a, e);

	if (rc != E_OK)
		return rc;
	return a.index != 0 ? swap_folders(s, e) : folder_remove(s, FRESH, e);
}

/* Step 4. */
static enum code settle(struct store *s, struct err *e)
{
	MDB_txn *txn;
	enum code rc = env_begin(s->raft, 0, &txn, e);

	if (rc != E_OK)
		return rc;
	rc = meta_del(s->raft, txn, META_INSTALL, e);
	if (rc == E_OK)
		rc = env_commit(s->raft, &txn, e);
	mdb_txn_abort(txn);
	return rc == E_OK ? folder_remove(s, OLD, e) : rc;
}

enum code install_settle(struct store *s, struct err *e)
{
	struct applied a;
	enum code rc = waiting(s, &a, e);

	if (rc != E_OK)
		return rc;
	if (a.index == 0)
		return folder_remove(s, OLD, e);
	if (a.index != s->durable.index)
		return err_set(e, E_CORRUPT,
		    "%s: a snapshot of entry %llu was being installed, but "
		    "state/ is at %llu: remove this node and join a new one",
		    s->dir, (unsigned long long)a.index,
		    (unsigned long long)s->durable.index);
	return settle(s, e);
}

/* ---- Filling ---- */

static enum code fresh_txn(struct install *in, struct err *e)
{
	return in->txn != NULL ? E_OK : env_begin(in->env, 0, &in->txn, e);
}

static enum code fresh_commit(struct install *in, struct err *e)
{
	in->dirty = in->puts = 0;
	return in->txn == NULL ? E_OK : env_commit(in->env, &in->txn, e);
}

static enum code put_now(
    void *db, enum ca_table t, struct span key, struct span val, struct err *e)
{
	struct store *s = db;
	struct install *in = s->install;
	enum code rc = fresh_txn(in, e);

	if (rc == E_OK)
		rc = rows_put(in->env, in->txn, &in->scratch, t, key, val, e);
	in->dirty += key.len + val.len;
	in->puts++;
	if (rc == E_OK &&
	    (in->dirty >= COMMIT_BYTES || in->puts >= COMMIT_PUTS))
		rc = fresh_commit(in, e);
	return rc;
}

static enum code install_put(
    void *db, enum ca_table t, struct span key, struct span val, struct err *e)
{
	if (!bulk_takes(t, key.len, val.len))
		return put_now(db, t, key, val, e);
	return bulk_add(&((struct store *)db)->install->bulk, t, key, val, e);
}

/* Before rows are read or deleted that may still wait. */
static enum code settle_index(
    struct install *in, enum ca_table t, struct err *e)
{
	return bulk_takes(t, 0, 0) ? bulk_flush(&in->bulk, e) : E_OK;
}

static enum code install_get(
    void *db, enum ca_table t, struct span key, struct span *val, struct err *e)
{
	struct install *in = ((struct store *)db)->install;
	enum code rc = settle_index(in, t, e);

	if (rc == E_OK)
		rc = fresh_txn(in, e);
	return rc == E_OK ? rows_get(in->env, in->txn, t, key, val, e) : rc;
}

static enum code install_del(
    void *db, enum ca_table t, struct span key, struct err *e)
{
	struct install *in = ((struct store *)db)->install;
	enum code rc = settle_index(in, t, e);

	if (rc == E_OK)
		rc = fresh_txn(in, e);
	return rc == E_OK ? rows_del(in->env, in->txn, t, key, e) : rc;
}

static enum code install_seek(void *db, enum ca_table t, struct span from,
    bool after, struct span *key, struct span *val, struct err *e)
{
	struct install *in = ((struct store *)db)->install;
	enum code rc = settle_index(in, t, e);

	if (rc == E_OK)
		rc = fresh_txn(in, e);
	return rc == E_OK
		   ? rows_seek(in->env, in->txn, t, from, after, key, val, e)
		   : rc;
}

static enum code install_scan(void *db, enum ca_table t, struct span from,
    ca_row_fn *fn, void *arg, struct err *e)
{
	struct install *in = ((struct store *)db)->install;
	enum code rc = settle_index(in, t, e);

	if (rc == E_OK)
		rc = fresh_txn(in, e);
	return rc == E_OK ? rows_scan(in->env, in->txn, t, from, fn, arg, e)
			  : rc;
}

static const struct ca_db_ops install_ops = {
    .get = install_get,
    .put = install_put,
    .del = install_del,
    .seek = install_seek,
    .scan = install_scan,
};

enum code store_install_begin(struct store *s, struct err *e)
{
	struct install *in;
	enum code rc;

	store_install_abort(s);
	if ((rc = folder_remove(s, FRESH, e)) != E_OK)
		return rc;
	if ((in = calloc(1, sizeof(*in))) == NULL)
		return err_nomem(e);
	/* Nothing here is acknowledged before install_finish syncs it. */
	rc = env_open(&in->env, s, FRESH, ENV_STATE, MDB_NOSYNC, e);
	if (rc != E_OK) {
		free(in);
		return rc;
	}
	in->bulk.put = put_now;
	in->bulk.ctx = s;
	s->install = in;
	return E_OK;
}

static enum code none_begun(struct err *e)
{
	return err_set(e, E_INTERNAL, "no snapshot is being installed");
}

enum code store_install_db(struct store *s, struct ca_db *out, struct err *e)
{
	if (s->install == NULL)
		return none_begun(e);
	*out = (struct ca_db){.ops = &install_ops, .ctx = s};
	return E_OK;
}

enum code store_install_rest(struct store *s, struct err *e)
{
	return s->install == NULL ? E_OK : fresh_commit(s->install, e);
}

enum code store_install_sync(struct store *s, struct err *e)
{
	struct install *in = s->install;
	enum code rc = in == NULL ? none_begun(e) : bulk_flush(&in->bulk, e);
	int lrc;

	if (rc == E_OK)
		rc = fresh_commit(in, e);
	if (rc == E_OK && (lrc = mdb_env_sync(in->env->mdb, 1)) != 0)
		rc = env_fail(in->env, lrc, "syncing", e);
	return rc;
}

static enum code clear_table(struct store *s, enum ca_table t, struct err *e)
{
	struct span key, val;
	enum code rc;

	while ((rc = install_seek(s, t, SPAN_EMPTY, false, &key, &val, e)) ==
	       E_OK) {
		if ((rc = install_del(s, t, key, e)) != E_OK)
			return rc;
	}
	return rc == E_NOTFOUND ? E_OK : rc;
}

enum code store_install_clear_small(struct store *s, struct err *e)
{
	enum code rc = s->install == NULL ? none_begun(e) : E_OK;

	for (size_t i = 0; i < store_tables_n && rc == E_OK; i++) {
		if (store_tables[i].cls == CA_TABLE_SMALL)
			rc = clear_table(s, store_tables[i].table, e);
	}
	return rc;
}

/* ---- The swap ---- */

/* Step 1. */
static enum code seal_fresh(
    struct store *s, const struct raft_snapshot *meta, struct err *e)
{
	struct install *in = s->install;
	const struct applied a = {
	    .index = meta->index, .term = meta->term, .conf = meta->conf_state};
	enum code rc = bulk_flush(&in->bulk, e);

	if (rc == E_OK)
		rc = fresh_txn(in, e);
	if (rc == E_OK && s->bound)
		rc = identity_put(in->env, in->txn, &s->identity, e);
	if (rc == E_OK)
		rc = applied_put(in->env, in->txn, META_APPLIED, &a, e);
	if (rc == E_OK)
		rc = store_install_sync(s, e);
	if (rc == E_OK)
		rc = env_sync_dir(in->env->path, e);
	if (rc == E_OK)
		rc = env_sync_dir(s->dir, e);
	return rc;
}

static void install_free(struct store *s)
{
	bulk_free(&s->install->bulk);
	buf_free(&s->install->scratch);
	mdb_txn_abort(s->install->txn);
	env_close(s->install->env);
	free(s->install);
	s->install = NULL;
}

static void replace_state(struct store *s, struct env *fresh)
{
	struct env *old = s->state;

	pthread_mutex_lock(&s->lock);
	s->state = fresh;
	pthread_mutex_unlock(&s->lock);
	env_unref(s, old);
}

enum code store_install_finish(struct store *s,
    const struct raft_snapshot *meta, const struct raft_hard_state *hs,
    struct err *e)
{
	struct env *fresh;
	enum code rc;

	if (s->install == NULL)
		return none_begun(e);
	if (meta->index <= s->applied.index)
		return err_set(e, E_CONFLICT,
		    "a snapshot of entry %llu, and %llu is applied already",
		    (unsigned long long)meta->index,
		    (unsigned long long)s->applied.index);
	if ((rc = seal_fresh(s, meta, e)) != E_OK)
		return err_wrap(e, rc, "installing a snapshot");
	install_free(s);
	state_drop(s);
	if ((rc = log_restart(s, meta, hs, e)) != E_OK ||
	    (rc = swap_folders(s, e)) != E_OK ||
	    (rc = env_open(&fresh, s, LIVE, ENV_STATE, 0, e)) != E_OK)
		return err_wrap(e, rc, "installing a snapshot");
	replace_state(s, fresh);
	if ((rc = state_load(s, e)) != E_OK ||
	    (rc = install_settle(s, e)) != E_OK)
		return err_wrap(e, rc, "installing a snapshot");
	return E_OK;
}

void store_install_abort(struct store *s)
{
	struct err ignored;

	if (s->install == NULL)
		return;
	install_free(s);
	/* What stays behind is removed by the next begin, or open. */
	if (folder_remove(s, FRESH, &ignored) != E_OK)
		return;
}
