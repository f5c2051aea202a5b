/* storage.c -- raft.h's view of what is durable.  Every row that is read is
 * checked: a damaged one is RAFT_EIO, and store_fault says which. */
#include <stdlib.h>
#include <string.h>

#include "store/internal.h"

static int failed(struct store *s, enum code rc)
{
	s->fault.code = rc;
	return rc == E_NOMEM ? RAFT_ENOMEM : RAFT_EIO;
}

/* One read transaction, renewed for each call. */
static enum code read_begin(struct store *s)
{
	int rc;

	if (s->log_read == NULL)
		return env_begin(s->raft, MDB_RDONLY, &s->log_read, &s->fault);
	rc = mdb_txn_renew(s->log_read);
	if (rc == 0)
		return E_OK;
	mdb_txn_abort(s->log_read);
	s->log_read = NULL;
	return env_fail(s->raft, rc, "reading", &s->fault);
}

static void read_end(struct store *s)
{
	mdb_txn_reset(s->log_read);
}

static int initial_state(
    void *ctx, struct raft_hard_state *hs, struct raft_conf_state *cs)
{
	const struct store *s = ctx;

	*hs = s->hard;
	*cs = s->durable.conf;
	return RAFT_OK;
}

static int first_index(void *ctx, raft_index *out)
{
	*out = store_first_index(ctx);
	return RAFT_OK;
}

static int last_index(void *ctx, raft_index *out)
{
	*out = store_last_index(ctx);
	return RAFT_OK;
}

static int term(void *ctx, raft_index i, raft_term *out)
{
	struct store *s = ctx;
	struct log_point p;
	enum code rc;

	*out = 0;
	if (i < s->boundary.index)
		return RAFT_ECOMPACTED;
	if (i > s->last.index)
		return RAFT_EUNAVAILABLE;
	if (i == s->last.index) {
		*out = s->last.term;
		return RAFT_OK;
	}
	if ((rc = read_begin(s)) != E_OK)
		return failed(s, rc);
	rc = log_point_at(s, s->log_read, i, &p, &s->fault);
	read_end(s);
	if (rc != E_OK)
		return failed(s, rc);
	*out = p.term;
	return RAFT_OK;
}

static enum code row_at(struct store *s, uint64_t index, struct span *out)
{
	MDB_val key = {.mv_size = sizeof(index), .mv_data = &index}, val;
	int rc = mdb_get(s->log_read, s->raft->rows, &key, &val);

	if (rc == MDB_NOTFOUND)
		return err_set(&s->fault, E_CORRUPT,
		    "%s: entry %llu of the raft log is missing", s->raft->path,
		    (unsigned long long)index);
	if (rc != 0)
		return env_fail(s->raft, rc, "reading", &s->fault);
	*out = span_of(val.mv_data, val.mv_size);
	return E_OK;
}

/* How many of [lo, hi) fit, and the bytes of their data. */
static enum code count_rows(struct store *s, uint64_t lo, uint64_t hi,
    size_t max_size, size_t *n, size_t *bytes)
{
	size_t sum = 0;
	struct span v = SPAN_EMPTY;
	enum code rc;

	*n = *bytes = 0;
	for (uint64_t i = lo; i < hi; i++, (*n)++) {
		if ((rc = row_at(s, i, &v)) != E_OK)
			return rc;
		if (v.len < LOG_HEAD)
			return err_set(&s->fault, E_CORRUPT,
			    "%s: entry %llu of the raft log is cut short",
			    s->raft->path, (unsigned long long)i);
		sum += STORE_ENTRY_SIZE(v.len - LOG_HEAD);
		if (*n > 0 && sum > max_size)
			break;
		*bytes += v.len - LOG_HEAD;
	}
	return E_OK;
}

static enum code copy_rows(
    struct store *s, uint64_t lo, size_t n, struct raft_entry *out)
{
	uint8_t *p = (uint8_t *)(out + n);
	struct log_point prev;
	struct log_row row = {0};
	struct span v = SPAN_EMPTY;
	enum code rc = log_point_at(s, s->log_read, lo - 1, &prev, &s->fault);

	for (size_t i = 0; i < n && rc == E_OK; i++) {
		if ((rc = row_at(s, lo + i, &v)) != E_OK ||
		    (rc = log_row_parse(s, lo + i, v, &row, &s->fault)) !=
			E_OK ||
		    (rc = log_row_follow(s, &row, &prev, &s->fault)) != E_OK)
			break;
		if (row.data.len > 0)
			memcpy(p, row.data.p, row.data.len);
		out[i] = (struct raft_entry){
		    .term = row.term,
		    .index = lo + i,
		    .type = row.type,
		    .data = {.p = row.data.len > 0 ? p : NULL,
			.len = row.data.len},
		};
		p += row.data.len;
	}
	return rc;
}

static int entries(void *ctx, raft_index lo, raft_index hi, size_t max_size,
    struct raft_entry **out, size_t *n)
{
	struct store *s = ctx;
	struct raft_entry *block = NULL;
	size_t bytes;
	enum code rc;

	*out = NULL;
	*n = 0;
	if (lo <= s->boundary.index)
		return RAFT_ECOMPACTED;
	if (hi > s->last.index + 1 || lo >= hi)
		return RAFT_EUNAVAILABLE;
	if ((rc = read_begin(s)) != E_OK)
		return failed(s, rc);
	rc = count_rows(s, lo, hi, max_size, n, &bytes);
	if (rc == E_OK && *n > 0) {
		block = malloc(*n * sizeof(*block) + bytes);
		rc = block == NULL ? err_nomem(&s->fault)
				   : copy_rows(s, lo, *n, block);
	}
	read_end(s);
	if (rc == E_OK) {
		*out = block;
		return RAFT_OK;
	}
	free(block);
	*n = 0;
	return failed(s, rc);
}

/* What a receiver needs is streamed from the durably applied state
 * (store_snapshot_open); this names it. */
static int snapshot(void *ctx, struct raft_snapshot *out)
{
	const struct store *s = ctx;

	*out = (struct raft_snapshot){0};
	if (s->durable.index == 0)
		return RAFT_ESNAP_NOT_READY;
	out->index = s->durable.index;
	out->term = s->durable.term;
	out->conf_state = s->durable.conf;
	return RAFT_OK;
}

void store_raft_storage(struct store *s, struct raft_storage *out)
{
	*out = (struct raft_storage){
	    .ctx = s,
	    .initial_state = initial_state,
	    .entries = entries,
	    .term = term,
	    .first_index = first_index,
	    .last_index = last_index,
	    .snapshot = snapshot,
	};
}

const struct err *store_fault(const struct store *s)
{
	return &s->fault;
}

uint64_t store_first_index(const struct store *s)
{
	return s->boundary.index + 1;
}

uint64_t store_last_index(const struct store *s)
{
	return s->last.index;
}
