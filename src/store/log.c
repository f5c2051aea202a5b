/* log.c -- raft's log: rows by index, each with a CRC and a hash chain.
 *
 * Row: u32 CRC-32C of the index and the rest; u64 term; u8 type; the chain,
 * SHA-256(chain before ‖ term ‖ index ‖ type ‖ data); the data.  The chain
 * begins with zeroes at index 0, and behind a snapshot with a hash of its
 * index and term: it is this node's own. */
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "store/internal.h"

static MDB_val key_of(const uint64_t *index)
{
	return (MDB_val){.mv_size = sizeof(*index), .mv_data = (void *)index};
}

static uint32_t row_crc(uint64_t index, const uint8_t *row, size_t len)
{
	uint8_t key[8];

	put_u64be(key, index);
	return crc32c(crc32c(0, key, sizeof(key)), row + 4, len - 4);
}

static void chain_add(struct log_point *p, uint64_t term, uint64_t index,
    enum raft_entry_type type, struct span data)
{
	uint8_t head[17];
	struct sha256 h;

	put_u64be(head, term);
	put_u64be(head + 8, index);
	head[16] = (uint8_t)type;
	sha256_init(&h);
	sha256_add(&h, p->chain, SHA256_LEN);
	sha256_add(&h, head, sizeof(head));
	sha256_add(&h, data.p, data.len);
	sha256_end(&h, p->chain);
	p->index = index;
	p->term = term;
}

static enum code damaged(
    const struct store *s, uint64_t index, const char *what, struct err *e)
{
	err_set(e, E_CORRUPT,
	    "%s: entry %llu of the raft log %s: this disk changed what was "
	    "written",
	    s->raft->path, (unsigned long long)index, what);
	return E_CORRUPT;
}

enum code log_row_parse(const struct store *s, uint64_t index, struct span v,
    struct log_row *out, struct err *e)
{
	if (v.len < LOG_HEAD || get_u32be(v.p) != row_crc(index, v.p, v.len))
		return damaged(s, index, "fails its CRC", e);
	out->term = get_u64be(v.p + 4);
	out->type = v.p[12] == RAFT_ENTRY_NORMAL ? RAFT_ENTRY_NORMAL
						 : RAFT_ENTRY_CONF_CHANGE;
	if (v.p[12] > RAFT_ENTRY_CONF_CHANGE)
		return damaged(s, index, "has an unknown type", e);
	out->chain = v.p + 13;
	out->data = span_of(v.p + LOG_HEAD, v.len - LOG_HEAD);
	return E_OK;
}

enum code log_row_follow(const struct store *s, const struct log_row *row,
    struct log_point *prev, struct err *e)
{
	uint64_t index = prev->index + 1;

	if (row->term < prev->term)
		return damaged(s, index, "has a smaller term than before", e);
	chain_add(prev, row->term, index, row->type, row->data);
	return memcmp(prev->chain, row->chain, SHA256_LEN) == 0
		   ? E_OK
		   : damaged(s, index, "breaks the hash chain", e);
}

enum code log_point_at(const struct store *s, MDB_txn *txn, uint64_t index,
    struct log_point *out, struct err *e)
{
	MDB_val key = key_of(&index), val;
	struct log_row row;
	enum code rc;
	int lrc;

	if (index == s->boundary.index) {
		*out = s->boundary;
		return E_OK;
	}
	lrc = mdb_get(txn, s->raft->rows, &key, &val);
	if (lrc == MDB_NOTFOUND)
		return damaged(s, index, "is missing", e);
	if (lrc != 0)
		return env_fail(s->raft, lrc, "reading", e);
	rc =
	    log_row_parse(s, index, span_of(val.mv_data, val.mv_size), &row, e);
	if (rc != E_OK)
		return rc;
	out->index = index;
	out->term = row.term;
	memcpy(out->chain, row.chain, SHA256_LEN);
	return E_OK;
}

/* ---- Boundary ---- */

static enum code boundary_put(
    const struct env *v, MDB_txn *txn, const struct log_point *b, struct err *e)
{
	uint8_t row[16 + SHA256_LEN];

	put_u64be(row, b->index);
	put_u64be(row + 8, b->term);
	memcpy(row + 16, b->chain, SHA256_LEN);
	return meta_put(v, txn, META_BOUNDARY, span_of(row, sizeof(row)), e);
}

static enum code boundary_get(struct store *s, MDB_txn *txn, struct err *e)
{
	struct span row = SPAN_EMPTY;
	enum code rc = meta_get(s->raft, txn, META_BOUNDARY, &row, e);

	if (rc != E_OK)
		return rc == E_NOTFOUND ? E_OK : rc;
	if (row.len != 16 + SHA256_LEN)
		return err_set(e, E_CORRUPT,
		    "%s: the log's boundary has %zu bytes, expected %d",
		    s->raft->path, row.len, 16 + SHA256_LEN);
	s->boundary.index = get_u64be(row.p);
	s->boundary.term = get_u64be(row.p + 8);
	memcpy(s->boundary.chain, row.p + 16, SHA256_LEN);
	return E_OK;
}

/* ---- Start ---- */

static enum code verify_rows(struct store *s, MDB_txn *txn, struct err *e)
{
	MDB_cursor *c;
	MDB_val key, val;
	struct log_row row;
	uint64_t index;
	enum code rc = E_OK;
	int lrc = mdb_cursor_open(txn, s->raft->rows, &c);

	if (lrc != 0)
		return env_fail(s->raft, lrc, "reading", e);
	s->last = s->boundary;
	while (rc == E_OK &&
	       (lrc = mdb_cursor_get(c, &key, &val, MDB_NEXT)) == 0) {
		memcpy(&index, key.mv_data, sizeof(index));
		if (index != s->last.index + 1)
			rc = damaged(s, s->last.index + 1, "is missing", e);
		if (rc == E_OK)
			rc = log_row_parse(s, index,
			    span_of(val.mv_data, val.mv_size), &row, e);
		if (rc == E_OK)
			rc = log_row_follow(s, &row, &s->last, e);
	}
	mdb_cursor_close(c);
	if (rc == E_OK && lrc != MDB_NOTFOUND)
		rc = env_fail(s->raft, lrc, "reading", e);
	return rc;
}

enum code log_load(struct store *s, struct err *e)
{
	struct span why = SPAN_EMPTY;
	MDB_txn *txn;
	enum code rc = env_begin(s->raft, MDB_RDONLY, &txn, e);

	if (rc != E_OK)
		return rc;
	if ((rc = hard_get(s->raft, txn, META_HARD, &s->hard, e)) == E_OK &&
	    (rc = boundary_get(s, txn, e)) == E_OK)
		rc = meta_get(s->raft, txn, META_REPAIR, &why, e);
	if (rc == E_OK)
		snprintf(s->repairing, sizeof(s->repairing), "%.*s",
		    (int)why.len, (const char *)why.p);
	mdb_txn_abort(txn);
	s->last = s->boundary;
	return rc == E_NOTFOUND ? E_OK : rc;
}

enum code log_verify(struct store *s, struct err *e)
{
	MDB_txn *txn;
	enum code rc = env_begin(s->raft, MDB_RDONLY, &txn, e);

	if (rc != E_OK)
		return rc;
	rc = verify_rows(s, txn, e);
	mdb_txn_abort(txn);
	if (rc == E_OK && s->hard.commit > s->last.index)
		rc = damaged(s, s->hard.commit, "is committed but missing", e);
	return rc;
}

/* ---- Append ---- */

static enum code check_entries(const struct store *s,
    const struct raft_entry *entries, size_t n, struct err *e)
{
	if (n == 0)
		return E_OK;
	if (entries[0].index > s->last.index + 1 ||
	    entries[0].index <= s->applied.index ||
	    entries[0].index <= s->boundary.index)
		return err_set(e, E_INTERNAL,
		    "entries from %llu on do not fit a log that is applied "
		    "up to %llu and ends at %llu",
		    (unsigned long long)entries[0].index,
		    (unsigned long long)s->applied.index,
		    (unsigned long long)s->last.index);
	for (size_t i = 1; i < n; i++) {
		if (entries[i].index != entries[0].index + i)
			return err_set(e, E_INTERNAL,
			    "entry %llu follows entry %llu",
			    (unsigned long long)entries[i].index,
			    (unsigned long long)entries[i - 1].index);
	}
	return E_OK;
}

static enum code delete_rows(const struct store *s, MDB_txn *txn, uint64_t from,
    uint64_t to, struct err *e)
{
	for (uint64_t i = from; i <= to; i++) {
		MDB_val key = key_of(&i);
		int rc = mdb_del(txn, s->raft->rows, &key, NULL);

		if (rc != 0)
			return env_fail(s->raft, rc, "cutting the log of", e);
	}
	return E_OK;
}

static enum code put_row(const struct store *s, MDB_txn *txn,
    const struct raft_entry *entry, struct log_point *at, struct err *e)
{
	struct span data = span_of(entry->data.p, entry->data.len);
	MDB_val key = key_of(&entry->index),
		val = {.mv_size = LOG_HEAD + data.len};
	uint8_t *row;
	int rc =
	    mdb_put(txn, s->raft->rows, &key, &val, MDB_RESERVE | MDB_APPEND);

	if (rc != 0)
		return env_fail(s->raft, rc, "appending to", e);
	chain_add(at, entry->term, entry->index, entry->type, data);
	row = val.mv_data;
	put_u64be(row + 4, entry->term);
	row[12] = (uint8_t)entry->type;
	memcpy(row + 13, at->chain, SHA256_LEN);
	if (data.len > 0)
		memcpy(row + LOG_HEAD, data.p, data.len);
	put_u32be(row, row_crc(entry->index, row, val.mv_size));
	return E_OK;
}

static enum code put_rows(const struct store *s, MDB_txn *txn,
    const struct raft_entry *entries, size_t n, struct log_point *last,
    struct err *e)
{
	enum code rc;

	if (n == 0)
		return E_OK;
	if (entries[0].index <= s->last.index) {
		rc = log_point_at(s, txn, entries[0].index - 1, last, e);
		if (rc == E_OK)
			rc = delete_rows(
			    s, txn, entries[0].index, s->last.index, e);
		if (rc != E_OK)
			return rc;
	}
	for (size_t i = 0; i < n; i++) {
		if ((rc = put_row(s, txn, &entries[i], last, e)) != E_OK)
			return rc;
	}
	return E_OK;
}

/* An error of the disk during a write: the process must end (RAFT.md §7). */
static enum code write_failed(enum code rc, struct err *e)
{
	if (rc == E_OK || rc == E_NOMEM || rc == E_INTERNAL)
		return rc;
	return err_wrap(e, E_IO, "the raft log cannot be written");
}

enum code store_append(struct store *s, const struct raft_hard_state *hs,
    const struct raft_entry *entries, size_t n, struct err *e)
{
	const struct raft_hard_state hard = hs != NULL ? *hs : s->hard;
	struct log_point last = s->last;
	MDB_txn *txn;
	enum code rc = check_entries(s, entries, n, e);

	if (rc != E_OK)
		return rc;
	if (hard.commit > (n > 0 ? entries[n - 1].index : s->last.index))
		return err_set(e, E_INTERNAL,
		    "commit index %llu is past the end of the log",
		    (unsigned long long)hard.commit);
	if (n == 0 && hard.term == s->hard.term && hard.vote == s->hard.vote) {
		s->hard.commit = hard.commit;
		return E_OK;
	}
	if ((rc = env_begin(s->raft, 0, &txn, e)) == E_OK &&
	    (rc = put_rows(s, txn, entries, n, &last, e)) == E_OK &&
	    (rc = hard_put(s->raft, txn, META_HARD, &hard, e)) == E_OK)
		rc = env_commit(s->raft, &txn, e);
	mdb_txn_abort(txn);
	if (rc != E_OK)
		return write_failed(rc, e);
	s->hard = hard;
	s->last = last;
	return E_OK;
}

/* ---- Cut ---- */

enum code store_compact(struct store *s, uint64_t upto, struct err *e)
{
	struct log_point cut = {0};
	MDB_txn *txn;
	enum code rc;

	if (upto > s->durable.index)
		upto = s->durable.index;
	if (upto <= s->boundary.index)
		return E_OK;
	if ((rc = env_begin(s->raft, 0, &txn, e)) == E_OK &&
	    (rc = log_point_at(s, txn, upto, &cut, e)) == E_OK &&
	    (rc = delete_rows(s, txn, s->boundary.index + 1, upto, e)) ==
		E_OK &&
	    (rc = boundary_put(s->raft, txn, &cut, e)) == E_OK &&
	    (rc = hard_put(s->raft, txn, META_HARD, &s->hard, e)) == E_OK)
		rc = env_commit(s->raft, &txn, e);
	mdb_txn_abort(txn);
	if (rc != E_OK)
		return write_failed(rc, e);
	s->boundary = cut;
	return E_OK;
}

/* Where a log that begins behind a snapshot takes its chain from. */
static void chain_begin(const struct applied *a, struct log_point *p)
{
	static const char context[] = "quorate log behind a snapshot";
	uint8_t at[16];
	struct sha256 h;

	*p = (struct log_point){.index = a->index, .term = a->term};
	if (a->index == 0)
		return;
	put_u64be(at, a->index);
	put_u64be(at + 8, a->term);
	sha256_init(&h);
	sha256_add(&h, context, sizeof(context));
	sha256_add(&h, at, sizeof(at));
	sha256_end(&h, p->chain);
}

enum code log_begin(const struct env *v, MDB_txn *txn, const struct applied *a,
    struct raft_hard_state *hard, struct log_point *begin, struct err *e)
{
	enum code rc;

	chain_begin(a, begin);
	hard->commit = a->index; /* where the log ends, for now */
	if (hard->term < a->term) {
		hard->term = a->term;
		hard->vote = 0;
	}
	if ((rc = boundary_put(v, txn, begin, e)) != E_OK)
		return rc;
	return hard_put(v, txn, META_HARD, hard, e);
}

enum code log_restart(struct store *s, const struct raft_snapshot *meta,
    const struct raft_hard_state *hs, struct err *e)
{
	struct raft_hard_state hard = hs != NULL ? *hs : s->hard;
	const struct applied a = {
	    .index = meta->index, .term = meta->term, .conf = meta->conf_state};
	struct log_point begin;
	MDB_txn *txn;
	int lrc;
	enum code rc = env_begin(s->raft, 0, &txn, e);

	if (rc != E_OK)
		return rc;
	if ((lrc = mdb_drop(txn, s->raft->rows, 0)) != 0)
		rc = env_fail(s->raft, lrc, "emptying the log of", e);
	if (rc == E_OK &&
	    (rc = log_begin(s->raft, txn, &a, &hard, &begin, e)) == E_OK &&
	    (rc = applied_put(s->raft, txn, META_INSTALL, &a, e)) == E_OK)
		rc = env_commit(s->raft, &txn, e);
	mdb_txn_abort(txn);
	if (rc != E_OK)
		return write_failed(rc, e);
	s->hard = hard;
	s->boundary = s->last = begin;
	return E_OK;
}
