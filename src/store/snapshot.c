/* snapshot.c -- the sender's side: the small tables as of one index, taken at
 * once; then the immutable rows up to it, range by range, each in a short read
 * transaction, so that no page is held back for long (RAFT.md §7). */
#include <stdlib.h>
#include <string.h>

#include "store/internal.h"

const struct table_class store_tables[] = {
#define X(sym, n, c, what) {CA_T_##sym, CA_TABLE_##c},
    CA_TABLES(X)
#undef X
};
const size_t store_tables_n = sizeof(store_tables) / sizeof(store_tables[0]);

/* The one table of class LOG: a position in it is a raft index. */
#define LOG_TABLE CA_T_RECORD

/* Rows, copied: offsets into one buffer while it grows, spans once it rests. */
struct rows {
	struct buf bytes;
	struct store_row *rows;
	size_t n, cap;
};

struct store_snapshot {
	struct store *store;
	struct env *env;
	struct applied at;
	struct rows small, log;
	struct store_row piece;
};

static enum code rows_add(struct rows *r, enum ca_table t, struct span key,
    struct span val, struct err *e)
{
	if (r->n == r->cap) {
		size_t cap = r->cap == 0 ? 64 : r->cap * 2;
		void *p = realloc(r->rows, cap * sizeof(*r->rows));

		if (p == NULL)
			return err_nomem(e);
		r->rows = p;
		r->cap = cap;
	}
	if (key.len > 0)
		buf_add_span(&r->bytes, key);
	if (val.len > 0)
		buf_add_span(&r->bytes, val);
	r->rows[r->n++] = (struct store_row){
	    .table = t, .key.len = key.len, .val.len = val.len};
	return buf_check(&r->bytes, e);
}

static void rows_settle(struct rows *r)
{
	const uint8_t *p = r->bytes.p;

	for (size_t i = 0; i < r->n; i++) {
		r->rows[i].key.p = p;
		r->rows[i].val.p = p + r->rows[i].key.len;
		p += r->rows[i].key.len + r->rows[i].val.len;
	}
}

static void rows_free(struct rows *r)
{
	buf_free(&r->bytes);
	free(r->rows);
}

static enum code take_row(
    void *arg, enum ca_table t, struct span key, struct span val, struct err *e)
{
	return rows_add(arg, t, key, val, e);
}

static enum code take_table(
    struct store_snapshot *n, MDB_txn *txn, enum ca_table t, struct err *e)
{
	enum code rc =
	    rows_scan(n->env, txn, t, SPAN_EMPTY, take_row, &n->small, e);

	return rc == E_NOTFOUND ? E_OK : rc;
}

static enum code take_small(struct store_snapshot *n, struct err *e)
{
	MDB_txn *txn;
	enum code rc = env_begin(n->env, MDB_RDONLY, &txn, e);

	if (rc != E_OK)
		return rc;
	rc = applied_get(n->env, txn, META_APPLIED, &n->at, e);
	for (size_t i = 0; i < store_tables_n && rc == E_OK; i++) {
		if (store_tables[i].cls == CA_TABLE_SMALL)
			rc = take_table(n, txn, store_tables[i].table, e);
	}
	mdb_txn_abort(txn);
	rows_settle(&n->small);
	return rc;
}

enum code store_snapshot_open(struct store *s, uint64_t min_index,
    struct store_snapshot **out, struct err *e)
{
	struct store_snapshot *n;
	enum code rc;

	*out = NULL;
	if ((rc = store_state_commit(s, e)) != E_OK)
		return rc;
	if (s->durable.index == 0 || s->durable.index < min_index)
		return err_set(e, E_UNAVAILABLE,
		    "entry %llu is applied, a snapshot of %llu or "
		    "later was asked for",
		    (unsigned long long)s->durable.index,
		    (unsigned long long)min_index);
	if ((n = calloc(1, sizeof(*n))) == NULL)
		return err_nomem(e);
	n->store = s;
	n->env = env_ref(s, s->state);
	if ((rc = take_small(n, e)) != E_OK) {
		store_snapshot_close(n);
		return rc;
	}
	*out = n;
	return E_OK;
}

void store_snapshot_close(struct store_snapshot *n)
{
	if (n == NULL)
		return;
	rows_free(&n->small);
	rows_free(&n->log);
	env_unref(n->store, n->env);
	free(n);
}

void store_snapshot_meta(
    const struct store_snapshot *n, struct raft_snapshot *out)
{
	*out = (struct raft_snapshot){
	    .index = n->at.index,
	    .term = n->at.term,
	    .conf_state = n->at.conf,
	};
}

static size_t row_size(const struct store_row *r)
{
	return 1 + r->key.len + r->val.len;
}

static size_t next_small(
    const struct store_snapshot *n, uint64_t from, size_t max_bytes)
{
	size_t bytes = 0, i = (size_t)from;

	for (; i < n->small.n; i++) {
		bytes += row_size(&n->small.rows[i]);
		if (i > from && (bytes > max_bytes ||
				    n->small.rows[i].val.len > STORE_PIECE_MAX))
			break;
	}
	return i - (size_t)from;
}

static void next_piece(struct store_snapshot *n, struct store_snapshot_pos *pos)
{
	size_t left = n->small.rows[pos->small].val.len - pos->piece;

	n->piece = n->small.rows[pos->small];
	n->piece.more = left > STORE_PIECE_MAX;
	n->piece.val = span_of(n->piece.val.p + pos->piece,
	    n->piece.more ? STORE_PIECE_MAX : left);
	pos->piece = n->piece.more ? pos->piece + STORE_PIECE_MAX : 0;
	pos->small += !n->piece.more;
}

struct range { /* of LOG rows */
	struct store_snapshot *snapshot;
	struct store_snapshot_pos *pos;
	size_t bytes, max_bytes;
};

/* E_NOTFOUND: no more of them now. */
static enum code range_add(
    void *arg, enum ca_table t, struct span key, struct span val, struct err *e)
{
	struct range *r = arg;
	struct store_snapshot *n = r->snapshot;
	enum code rc;

	if (key.len != 8)
		return err_set(e, E_CORRUPT,
		    "%s: a record's key has %zu bytes, expected 8",
		    n->env->path, key.len);
	r->bytes += 1 + key.len + val.len;
	if (get_u64be(key.p) > n->at.index ||
	    (n->log.n > 0 && r->bytes > r->max_bytes))
		return E_NOTFOUND;
	rc = rows_add(&n->log, t, key, val, e);
	if (rc == E_OK)
		r->pos->log = get_u64be(key.p) + 1;
	return rc;
}

static enum code next_log(struct store_snapshot *n, MDB_txn *txn,
    struct store_snapshot_pos *pos, size_t max_bytes, struct err *e)
{
	struct range r = {.snapshot = n, .pos = pos, .max_bytes = max_bytes};
	uint8_t from[8];
	enum code rc;

	n->log.n = 0;
	buf_clear(&n->log.bytes);
	put_u64be(from, pos->log);
	rc = rows_scan(
	    n->env, txn, LOG_TABLE, span_of(from, 8), range_add, &r, e);
	rows_settle(&n->log);
	return rc == E_NOTFOUND ? E_OK : rc;
}

enum code store_snapshot_next(struct store_snapshot *n,
    struct store_snapshot_pos *pos, size_t max_bytes,
    const struct store_row **rows, size_t *rows_n, struct err *e)
{
	MDB_txn *txn;
	enum code rc;

	*rows = NULL;
	*rows_n = 0;
	if (pos->small < n->small.n &&
	    n->small.rows[pos->small].val.len > STORE_PIECE_MAX) {
		next_piece(n, pos);
		*rows = &n->piece;
		*rows_n = 1;
		return E_OK;
	}
	if (pos->small < n->small.n) {
		*rows = n->small.rows + pos->small;
		*rows_n = next_small(n, pos->small, max_bytes);
		pos->small += *rows_n;
		return E_OK;
	}
	if (pos->log > n->at.index)
		return E_OK;
	if ((rc = env_begin(n->env, MDB_RDONLY, &txn, e)) != E_OK)
		return rc;
	rc = next_log(n, txn, pos, max_bytes, e);
	mdb_txn_abort(txn);
	if (rc == E_OK) {
		*rows = n->log.rows;
		*rows_n = n->log.n;
	}
	return rc;
}
