/* state.c -- the state machine's tables: one LMDB table, key = table ‖ key,
 * on the write transaction that stays open across turns, or on a reader's. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "store/internal.h"

#define CRC_LEN 4

/* ---- Rows of any transaction ---- */

struct row_key {
	uint8_t p[1 + CA_DB_KEY_MAX];
	MDB_val val;
};

static enum code key_make(const struct env *v, struct row_key *k,
    enum ca_table t, struct span key, struct err *e)
{
	k->val = (MDB_val){.mv_size = 1 + key.len, .mv_data = k->p};
	if (key.len > CA_DB_KEY_MAX)
		return err_set(e, E_INTERNAL,
		    "%s: a key of %zu bytes, at most %d fit", v->path, key.len,
		    CA_DB_KEY_MAX);
	k->p[0] = (uint8_t)t;
	if (key.len > 0)
		memcpy(k->p + 1, key.p, key.len);
	return E_OK;
}

/* A row's value is the CRC-32C of key and value, then the value. */
static uint32_t row_crc(const MDB_val *key, const uint8_t *p, size_t len)
{
	return crc32c(crc32c(0, key->mv_data, key->mv_size), p, len);
}

static enum code row_parse(const struct env *v, const MDB_val *key,
    const MDB_val *row, struct span *val, struct err *e)
{
	const uint8_t *p = row->mv_data;

	if (row->mv_size >= CRC_LEN &&
	    get_u32be(p) == row_crc(key, p + CRC_LEN, row->mv_size - CRC_LEN)) {
		*val = span_of(p + CRC_LEN, row->mv_size - CRC_LEN);
		return E_OK;
	}
	atomic_store(v->damaged, true);
	return err_set(e, E_CORRUPT,
	    "%s: a row of table %d fails its CRC: this disk changed what was "
	    "written",
	    v->path, key->mv_size > 0 ? *(const uint8_t *)key->mv_data : 0);
}

enum code rows_get(const struct env *v, MDB_txn *txn, enum ca_table t,
    struct span key, struct span *val, struct err *e)
{
	struct row_key k;
	MDB_val out;
	enum code rc = key_make(v, &k, t, key, e);
	int lrc;

	*val = SPAN_EMPTY;
	if (rc != E_OK)
		return rc;
	lrc = mdb_get(txn, v->rows, &k.val, &out);
	if (lrc == MDB_NOTFOUND)
		return E_NOTFOUND;
	if (lrc != 0)
		return env_fail(v, lrc, "reading", e);
	return row_parse(v, &k.val, &out, val, e);
}

enum code rows_put(const struct env *v, MDB_txn *txn, struct buf *scratch,
    enum ca_table t, struct span key, struct span val, struct err *e)
{
	struct row_key k;
	MDB_val in;
	enum code rc = key_make(v, &k, t, key, e);
	int lrc;

	if (rc != E_OK)
		return rc;
	buf_clear(scratch);
	buf_add_u32be(scratch, row_crc(&k.val, val.p, val.len));
	if (val.len > 0)
		buf_add_span(scratch, val);
	if ((rc = buf_check(scratch, e)) != E_OK)
		return rc;
	in = (MDB_val){.mv_size = scratch->len, .mv_data = scratch->p};
	lrc = mdb_put(txn, v->rows, &k.val, &in, 0);
	return lrc == 0 ? E_OK : env_fail(v, lrc, "writing", e);
}

enum code rows_del(const struct env *v, MDB_txn *txn, enum ca_table t,
    struct span key, struct err *e)
{
	struct row_key k;
	enum code rc = key_make(v, &k, t, key, e);
	int lrc;

	if (rc != E_OK)
		return rc;
	lrc = mdb_del(txn, v->rows, &k.val, NULL);
	return lrc == 0 || lrc == MDB_NOTFOUND ? E_OK
					       : env_fail(v, lrc, "writing", e);
}

enum code rows_seek(const struct env *v, MDB_txn *txn, enum ca_table t,
    struct span from, bool after, struct span *key, struct span *val,
    struct err *e)
{
	struct row_key k;
	MDB_cursor *c;
	MDB_val at, out;
	enum code rc = key_make(v, &k, t, from, e);
	int lrc;

	*key = *val = SPAN_EMPTY;
	if (rc != E_OK)
		return rc;
	if ((lrc = mdb_cursor_open(txn, v->rows, &c)) != 0)
		return env_fail(v, lrc, "reading", e);
	at = k.val;
	lrc = mdb_cursor_get(c, &at, &out, MDB_SET_RANGE);
	if (lrc == 0 && after && at.mv_size == k.val.mv_size &&
	    memcmp(at.mv_data, k.p, at.mv_size) == 0)
		lrc = mdb_cursor_get(c, &at, &out, MDB_NEXT);
	mdb_cursor_close(c);
	if (lrc != 0)
		return lrc == MDB_NOTFOUND ? E_NOTFOUND
					   : env_fail(v, lrc, "reading", e);
	if (at.mv_size < 1 || *(const uint8_t *)at.mv_data != (uint8_t)t)
		return E_NOTFOUND;
	*key = span_of((const uint8_t *)at.mv_data + 1, at.mv_size - 1);
	return row_parse(v, &at, &out, val, e);
}

enum code rows_scan(const struct env *v, MDB_txn *txn, enum ca_table t,
    struct span from, ca_row_fn *fn, void *arg, struct err *e)
{
	struct row_key k;
	MDB_cursor *c;
	MDB_val at, out;
	struct span val = SPAN_EMPTY;
	enum code rc = key_make(v, &k, t, from, e);
	int lrc;

	if (rc != E_OK)
		return rc;
	if ((lrc = mdb_cursor_open(txn, v->rows, &c)) != 0)
		return env_fail(v, lrc, "reading", e);
	at = k.val;
	lrc = mdb_cursor_get(c, &at, &out, MDB_SET_RANGE);
	while (lrc == 0 && at.mv_size >= 1 &&
	       *(const uint8_t *)at.mv_data == (uint8_t)t) {
		if ((rc = row_parse(v, &at, &out, &val, e)) != E_OK ||
		    (rc = fn(arg, t,
			 span_of(
			     (const uint8_t *)at.mv_data + 1, at.mv_size - 1),
			 val, e)) != E_OK)
			break;
		lrc = mdb_cursor_get(c, &at, &out, MDB_NEXT);
	}
	mdb_cursor_close(c);
	if (rc == E_OK && lrc != 0 && lrc != MDB_NOTFOUND)
		return env_fail(v, lrc, "reading", e);
	return rc == E_OK ? E_NOTFOUND : rc;
}

/* ---- The open transaction ---- */

static enum code open_txn(struct store *s, struct err *e)
{
	return s->txn != NULL ? E_OK : env_begin(s->state, 0, &s->txn, e);
}

static enum code state_get(
    void *db, enum ca_table t, struct span key, struct span *val, struct err *e)
{
	struct store *s = db;
	enum code rc = open_txn(s, e);

	return rc == E_OK ? rows_get(s->state, s->txn, t, key, val, e) : rc;
}

static enum code state_put(
    void *db, enum ca_table t, struct span key, struct span val, struct err *e)
{
	struct store *s = db;
	enum code rc = open_txn(s, e);

	s->dirty = true;
	return rc == E_OK
		   ? rows_put(s->state, s->txn, &s->scratch, t, key, val, e)
		   : rc;
}

static enum code state_del(
    void *db, enum ca_table t, struct span key, struct err *e)
{
	struct store *s = db;
	enum code rc = open_txn(s, e);

	s->dirty = true;
	return rc == E_OK ? rows_del(s->state, s->txn, t, key, e) : rc;
}

static enum code state_seek(void *db, enum ca_table t, struct span from,
    bool after, struct span *key, struct span *val, struct err *e)
{
	struct store *s = db;
	enum code rc = open_txn(s, e);

	return rc == E_OK
		   ? rows_seek(s->state, s->txn, t, from, after, key, val, e)
		   : rc;
}

static enum code state_scan(void *db, enum ca_table t, struct span from,
    ca_row_fn *fn, void *arg, struct err *e)
{
	struct store *s = db;
	enum code rc = open_txn(s, e);

	return rc == E_OK ? rows_scan(s->state, s->txn, t, from, fn, arg, e)
			  : rc;
}

static const struct ca_db_ops state_ops = {
    .get = state_get,
    .put = state_put,
    .del = state_del,
    .seek = state_seek,
    .scan = state_scan,
};

void store_state_db(struct store *s, struct ca_db *out)
{
	*out = (struct ca_db){.ops = &state_ops, .ctx = s};
}

enum code state_load(struct store *s, struct err *e)
{
	MDB_txn *txn;
	enum code rc = env_begin(s->state, MDB_RDONLY, &txn, e);

	if (rc != E_OK)
		return rc;
	rc = applied_get(s->state, txn, META_APPLIED, &s->durable, e);
	if (rc == E_OK)
		rc = hard_get(s->state, txn, META_VOTED, &s->voted, e);
	mdb_txn_abort(txn);
	s->applied = s->durable;
	return rc;
}

void state_drop(struct store *s)
{
	mdb_txn_abort(s->txn);
	s->txn = NULL;
	s->dirty = false;
	s->applied = s->durable;
}

enum code store_state_set_applied(struct store *s, uint64_t index,
    uint64_t term, const struct raft_conf_state *cs, struct err *e)
{
	if (index <= s->applied.index || index > s->last.index)
		return err_set(e, E_INTERNAL,
		    "entry %llu cannot be applied: %llu is, and the log ends "
		    "at %llu",
		    (unsigned long long)index,
		    (unsigned long long)s->applied.index,
		    (unsigned long long)s->last.index);
	s->applied.index = index;
	s->applied.term = term;
	if (cs != NULL)
		s->applied.conf = *cs;
	s->dirty = true;
	return E_OK;
}

enum code store_state_commit(struct store *s, struct err *e)
{
	enum code rc;

	if (!s->dirty && s->hard.term == s->voted.term &&
	    s->hard.vote == s->voted.vote) {
		mdb_txn_abort(s->txn);
		s->txn = NULL;
		return E_OK;
	}
	if ((rc = open_txn(s, e)) == E_OK &&
	    (rc = applied_put(
		 s->state, s->txn, META_APPLIED, &s->applied, e)) == E_OK &&
	    (rc = hard_put(s->state, s->txn, META_VOTED, &s->hard, e)) == E_OK)
		rc = env_commit(s->state, &s->txn, e);
	if (rc != E_OK) {
		state_drop(s);
		return err_wrap(e, rc == E_NOMEM ? rc : E_IO,
		    "the state cannot be written");
	}
	s->durable = s->applied;
	s->voted = s->hard;
	s->dirty = false;
	return E_OK;
}

uint64_t store_applied(const struct store *s)
{
	return s->applied.index;
}

uint64_t store_durable_applied(const struct store *s)
{
	return s->durable.index;
}

uint64_t store_state_pending(const struct store *s)
{
	return s->applied.index - s->durable.index;
}

void store_state_conf(const struct store *s, struct raft_conf_state *out)
{
	*out = s->applied.conf;
}

/* ---- Readers ---- */

struct store_read {
	struct store_read *prev, *next; /* the store's, under its lock */
	uint64_t began_ms;
	struct store *store;
	struct env *env;
	MDB_txn *txn;
	uint64_t applied;
};

static enum code read_get(
    void *db, enum ca_table t, struct span key, struct span *val, struct err *e)
{
	const struct store_read *r = db;

	return rows_get(r->env, r->txn, t, key, val, e);
}

static enum code read_put(
    void *db, enum ca_table t, struct span key, struct span val, struct err *e)
{
	const struct store_read *r = db;

	(void)key;
	(void)val;
	return err_set(e, E_INTERNAL, "%s: a reader writes to table %d",
	    r->env->path, (int)t);
}

static enum code read_del(
    void *db, enum ca_table t, struct span key, struct err *e)
{
	return read_put(db, t, key, SPAN_EMPTY, e);
}

static enum code read_seek(void *db, enum ca_table t, struct span from,
    bool after, struct span *key, struct span *val, struct err *e)
{
	const struct store_read *r = db;

	return rows_seek(r->env, r->txn, t, from, after, key, val, e);
}

static enum code read_scan(void *db, enum ca_table t, struct span from,
    ca_row_fn *fn, void *arg, struct err *e)
{
	const struct store_read *r = db;

	return rows_scan(r->env, r->txn, t, from, fn, arg, e);
}

static const struct ca_db_ops read_ops = {
    .get = read_get,
    .put = read_put,
    .del = read_del,
    .seek = read_seek,
    .scan = read_scan,
};

enum code store_read_begin(
    struct store *s, struct store_read **out, struct ca_db *db, struct err *e)
{
	struct store_read *r = calloc(1, sizeof(*r));
	struct applied a;
	enum code rc;

	*out = NULL;
	if (r == NULL)
		return err_nomem(e);
	r->store = s;
	r->began_ms = clock_mono_ms();
	pthread_mutex_lock(&s->lock);
	r->env = s->state;
	r->env->refs++;
	r->next = s->readers;
	if (r->next != NULL)
		r->next->prev = r;
	s->readers = r;
	pthread_mutex_unlock(&s->lock);
	if ((rc = env_begin(r->env, MDB_RDONLY, &r->txn, e)) == E_OK)
		rc = applied_get(r->env, r->txn, META_APPLIED, &a, e);
	if (rc != E_OK) {
		store_read_end(r);
		return rc;
	}
	r->applied = a.index;
	*db = (struct ca_db){.ops = &read_ops, .ctx = r};
	*out = r;
	return E_OK;
}

uint64_t store_read_applied(const struct store_read *r)
{
	return r->applied;
}

void store_read_end(struct store_read *r)
{
	if (r == NULL)
		return;
	mdb_txn_abort(r->txn);
	pthread_mutex_lock(&r->store->lock);
	*(r->prev != NULL ? &r->prev->next : &r->store->readers) = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
	pthread_mutex_unlock(&r->store->lock);
	env_unref(r->store, r->env);
	free(r);
}

uint64_t store_oldest_read_ms(struct store *s)
{
	uint64_t now = clock_mono_ms(), oldest = now;

	pthread_mutex_lock(&s->lock);
	for (const struct store_read *r = s->readers; r != NULL; r = r->next)
		if (r->began_ms < oldest)
			oldest = r->began_ms;
	pthread_mutex_unlock(&s->lock);
	return now - oldest;
}
