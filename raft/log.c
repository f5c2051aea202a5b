/* log.c -- the raft log [3.5]: what storage holds, and the tail it does not. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

size_t raft_entry_bytes(const struct raft_config *c, const struct raft_entry *e)
{
	return c->entry_size != NULL ? c->entry_size(e) : e->data.len + 16;
}

size_t raft_entries_bytes(
    const struct raft_config *c, const struct raft_entry *e, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += raft_entry_bytes(c, &e[i]);
	return sum;
}

int log_init(struct raft_log *l, struct raft *r)
{
	const struct raft_config *c = &r->config;
	raft_index first, last;
	int rc;

	*l = (struct raft_log){.raft = r, .config = c};
	l->max_applying_size = c->max_committed_size_per_ready != 0
				   ? c->max_committed_size_per_ready
				   : c->max_size_per_msg;
	if (l->max_applying_size == 0)
		l->max_applying_size = 1; /* one entry at a time */
	if ((rc = c->storage.first_index(c->storage.ctx, &first)) != RAFT_OK ||
	    (rc = c->storage.last_index(c->storage.ctx, &last)) != RAFT_OK)
		return rc;
	l->offset = l->offset_in_progress = last + 1;
	l->committed = l->applying = l->applied = first - 1;
	return RAFT_OK;
}

static void tail_drop(struct raft_log *l, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		free((void *)l->tail[i].data.p);
}

void log_free(struct raft_log *l)
{
	tail_drop(l, 0, l->tail_n);
	free(l->tail);
	free(l->snapshot);
	*l = (struct raft_log){0};
}

int log_first_index(const struct raft_log *l, raft_index *out)
{
	if (l->snapshot != NULL) {
		*out = l->snapshot->index + 1;
		return RAFT_OK;
	}
	return l->config->storage.first_index(l->config->storage.ctx, out);
}

int log_last_index(const struct raft_log *l, raft_index *out)
{
	if (l->tail_n > 0)
		*out = l->offset + l->tail_n - 1;
	else if (l->snapshot != NULL)
		*out = l->snapshot->index;
	else
		return l->config->storage.last_index(
		    l->config->storage.ctx, out);
	return RAFT_OK;
}

int log_term(const struct raft_log *l, raft_index i, raft_term *out)
{
	raft_index first, last;
	int rc;

	if (i >= l->offset && i - l->offset < l->tail_n) {
		*out = l->tail[i - l->offset].term;
		return RAFT_OK;
	}
	if (l->snapshot != NULL && l->snapshot->index == i) {
		*out = l->snapshot->term;
		return RAFT_OK;
	}
	if ((rc = log_first_index(l, &first)) != RAFT_OK ||
	    (rc = log_last_index(l, &last)) != RAFT_OK)
		return raft_fail(l->raft, rc);
	if (i + 1 < first)
		return RAFT_ECOMPACTED;
	if (i > last)
		return RAFT_EUNAVAILABLE;
	rc = l->config->storage.term(l->config->storage.ctx, i, out);
	/* Callers take an entry without a term for one that does not match:
	 * one that is there and cannot be read is not that. */
	return rc == RAFT_ECOMPACTED || rc == RAFT_EUNAVAILABLE
		   ? rc
		   : raft_fail(l->raft, rc);
}

int log_last(const struct raft_log *l, struct raft_entry_id *out)
{
	int rc = log_last_index(l, &out->index);

	return rc != RAFT_OK ? rc : log_term(l, out->index, &out->term);
}

bool log_matches(const struct raft_log *l, struct raft_entry_id id)
{
	raft_term t = 0;

	return log_term(l, id.index, &t) == RAFT_OK && t == id.term;
}

/* A log is newer by its last term, then by its length [3.6.1]. */
bool log_up_to_date(const struct raft_log *l, struct raft_entry_id last)
{
	struct raft_entry_id mine;

	if (log_last(l, &mine) != RAFT_OK)
		return false;
	return last.term > mine.term ||
	       (RAFT_GUARD(LOG_TERM, last.term == mine.term) &&
		   RAFT_GUARD(LOG_LENGTH, last.index >= mine.index));
}

/* Entries of storage below the tail: at least one, at most hi - lo. */
static int slice_stored(const struct raft_log *l, raft_index lo, raft_index hi,
    size_t max, struct raft_entry **out, size_t *n)
{
	const struct raft_storage *s = &l->config->storage;
	int rc = s->entries(s->ctx, lo, hi, max, out, n);

	if (rc == RAFT_OK && (*out == NULL || *n == 0 || *n > hi - lo)) {
		free(*out);
		*out = NULL;
		*n = 0;
		return RAFT_EIO;
	}
	return rc;
}

/* How many of e[0..n) fit: the first always does. */
static size_t fitting(
    const struct raft_log *l, const struct raft_entry *e, size_t n, size_t max)
{
	size_t sum = 0, i;

	for (i = 0; i < n; i++) {
		sum += raft_entry_bytes(l->config, &e[i]);
		if (i > 0 && sum > max)
			break;
	}
	return i;
}

/* One block with both runs of entries and their data. */
static struct raft_entry *join(const struct raft_entry *a, size_t an,
    const struct raft_entry *b, size_t bn)
{
	struct raft_entry *both, *out;

	if (an == 0)
		return raft_entries_copy(b, bn);
	both = malloc((an + bn) * sizeof(*both));
	if (both == NULL)
		return NULL;
	memcpy(both, a, an * sizeof(*a));
	memcpy(both + an, b, bn * sizeof(*b));
	out = raft_entries_copy(both, an + bn);
	free(both);
	return out;
}

int log_slice(const struct raft_log *l, raft_index lo, raft_index hi,
    size_t max, struct raft_entry **out, size_t *n)
{
	struct raft_entry *stored = NULL;
	const struct raft_entry *tail;
	raft_index first;
	size_t stored_n = 0, size = 0, take;
	int rc;

	*out = NULL;
	*n = 0;
	if (lo >= hi)
		return RAFT_OK;
	if ((rc = log_first_index(l, &first)) != RAFT_OK)
		return rc;
	if (lo < first)
		return RAFT_ECOMPACTED;
	if (lo < l->offset) {
		raft_index end = hi < l->offset ? hi : l->offset;

		rc = slice_stored(l, lo, end, max, &stored, &stored_n);
		if (rc != RAFT_OK)
			return rc;
		if (hi <= l->offset || stored_n < end - lo) {
			*out = stored;
			*n = stored_n;
			return RAFT_OK;
		}
		size = raft_entries_bytes(l->config, stored, stored_n);
		lo = l->offset;
	}
	tail = &l->tail[lo - l->offset];
	if (stored_n > 0 &&
	    (size >= max || size + raft_entry_bytes(l->config, tail) > max)) {
		*out = stored;
		*n = stored_n;
		return RAFT_OK;
	}
	take = fitting(l, tail, (size_t)(hi - lo), max - size);
	*out = join(stored, stored_n, tail, take);
	*n = stored_n + take;
	free(stored);
	return *out == NULL ? RAFT_ENOMEM : RAFT_OK;
}

static int tail_reserve(struct raft_log *l, size_t n)
{
	size_t cap = l->tail_cap == 0 ? 16 : l->tail_cap;
	struct raft_entry *p;

	if (n <= l->tail_cap)
		return RAFT_OK;
	while (cap < n)
		cap *= 2;
	p = realloc(l->tail, cap * sizeof(*p));
	if (p == NULL)
		return RAFT_ENOMEM;
	l->tail = p;
	l->tail_cap = cap;
	return RAFT_OK;
}

int log_append(struct raft_log *l, const struct raft_entry *e, size_t n)
{
	raft_index from;
	size_t keep;
	int rc;

	if (n == 0)
		return RAFT_OK;
	from = e[0].index;
	if (from <= l->committed)
		return RAFT_EINVAL; /* the leader contradicts a commit */
	keep = from <= l->offset ? 0 : (size_t)(from - l->offset);
	if (keep > l->tail_n)
		return RAFT_EINVAL;
	if ((rc = tail_reserve(l, keep + n)) != RAFT_OK)
		return rc;
	if (from < l->offset || (from == l->offset && l->tail_n > 0))
		raft_tell(l->raft, RAFT_TRACE_REPLACE, 0, from, 0);
	tail_drop(l, keep, l->tail_n);
	l->tail_n = keep;
	if (from <= l->offset)
		l->offset = l->offset_in_progress = from;
	else if (RAFT_GUARD(REPLACED_WRITTEN, l->offset_in_progress > from))
		l->offset_in_progress = from;
	for (size_t i = 0; i < n; i++) {
		struct raft_entry copy = e[i];

		if (copy.data.len > 0) {
			void *p = malloc(copy.data.len);

			if (p == NULL)
				return RAFT_ENOMEM;
			memcpy(p, e[i].data.p, copy.data.len);
			copy.data.p = p;
		} else {
			copy.data.p = NULL;
		}
		l->tail[l->tail_n++] = copy;
	}
	return RAFT_OK;
}

/* Index of the first entry that conflicts with, or is past, what we have; 0 if
 * there is none. */
static raft_index conflict(
    const struct raft_log *l, const struct raft_entry *e, size_t n)
{
	raft_term mine;

	for (size_t i = 0; i < n; i++) {
		struct raft_entry_id id = {e[i].term, e[i].index};

		if (!RAFT_GUARD(APPEND_CONFLICT, !log_matches(l, id)))
			continue;
		if (log_term(l, id.index, &mine) == RAFT_OK)
			raft_tell(
			    l->raft, RAFT_TRACE_CONFLICT, 0, id.index, id.term);
		return id.index;
	}
	return 0;
}

int log_maybe_append(struct raft_log *l, struct raft_entry_id prev,
    const struct raft_entry *e, size_t n, raft_index commit, bool *ok,
    raft_index *last)
{
	raft_index at;
	int rc;

	*ok = RAFT_GUARD(APPEND_MATCH, log_matches(l, prev));
	if (!*ok)
		return RAFT_OK;
	*last = prev.index + n;
	at = conflict(l, e, n);
	if (at != 0) {
		rc = log_append(
		    l, e + (at - e[0].index), n - (size_t)(at - e[0].index));
		if (rc != RAFT_OK)
			return rc;
	}
	return log_commit_to(
	    l, RAFT_GUARD(APPEND_COMMIT, commit > *last) ? *last : commit);
}

void log_find_conflict(const struct raft_log *l, raft_index i, raft_term term,
    raft_index *out, raft_term *out_term)
{
	raft_term mine = 0;

	for (; i > 0; i--) {
		if (log_term(l, i, &mine) != RAFT_OK) {
			*out = i;
			*out_term = 0;
			return;
		}
		if (mine <= term) {
			*out = i;
			*out_term = mine;
			return;
		}
	}
	*out = 0;
	*out_term = 0;
}

int log_commit_to(struct raft_log *l, raft_index i)
{
	raft_index last;
	int rc;

	if (RAFT_GUARD(COMMIT_FORWARD, i <= l->committed))
		return RAFT_OK;
	if ((rc = log_last_index(l, &last)) != RAFT_OK)
		return rc;
	if (RAFT_GUARD(COMMIT_IN_LOG, i > last))
		return RAFT_EINVAL; /* this log was truncated, or lost */
	l->committed = i;
	return RAFT_OK;
}

bool log_maybe_commit(struct raft_log *l, struct raft_entry_id at)
{
	if (at.index <= l->committed ||
	    !RAFT_GUARD(COMMIT_OWN_TERM, log_matches(l, at)))
		return false;
	return log_commit_to(l, at.index) == RAFT_OK;
}

int log_restore(struct raft_log *l, const struct raft_snapshot *s)
{
	struct raft_snapshot *copy = raft_snapshot_copy(s);

	if (copy == NULL)
		return RAFT_ENOMEM;
	tail_drop(l, 0, l->tail_n);
	l->tail_n = 0;
	free(l->snapshot);
	l->snapshot = copy;
	l->snapshot_in_progress = false;
	l->offset = l->offset_in_progress = s->index + 1;
	l->committed = s->index;
	return RAFT_OK;
}

/* Storage holds the log up to id.  An ack for entries that were since replaced
 * names another term and is not believed (etcd #1690). */
void log_stable_to(struct raft_log *l, struct raft_entry_id id)
{
	size_t n =
	    id.index < l->offset ? 0 : (size_t)(id.index - l->offset) + 1;

	if (n == 0 || n > l->tail_n ||
	    !RAFT_GUARD(STABLE_TERM, l->tail[n - 1].term == id.term)) {
		raft_tell(l->raft, RAFT_TRACE_STALE_ACK, 0, id.index, id.term);
		return;
	}
	tail_drop(l, 0, n);
	memmove(l->tail, l->tail + n, (l->tail_n - n) * sizeof(*l->tail));
	l->tail_n -= n;
	l->offset = id.index + 1;
}

void log_snapshot_stored(struct raft_log *l, raft_index i)
{
	if (l->snapshot == NULL ||
	    RAFT_GUARD(SNAP_STORED, l->snapshot->index != i))
		return;
	free(l->snapshot);
	l->snapshot = NULL;
	l->snapshot_in_progress = false;
}

void log_applied_to(struct raft_log *l, raft_index i, size_t size)
{
	l->applied = i;
	if (l->applying < i)
		l->applying = i;
	l->applying_size -= size < l->applying_size ? size : l->applying_size;
	l->applying_paused = l->applying_size >= l->max_applying_size;
}

static raft_index max_appliable(const struct raft_log *l, bool unstable_too)
{
	return RAFT_GUARD(APPLY_DURABLE, !unstable_too) &&
		       l->committed >= l->offset
		   ? l->offset - 1
		   : l->committed;
}

void log_accept_applying(
    struct raft_log *l, raft_index i, size_t size, bool unstable_too)
{
	l->applying = i;
	l->applying_size += size;
	l->applying_paused = l->applying_size >= l->max_applying_size ||
			     i < max_appliable(l, unstable_too);
}

bool log_has_committed(const struct raft_log *l, bool unstable_too)
{
	return RAFT_GUARD(APPLY_PAUSES, !l->applying_paused) &&
	       RAFT_GUARD(APPLY_AFTER_SNAPSHOT, l->snapshot == NULL) &&
	       l->applying < max_appliable(l, unstable_too);
}

int log_next_committed(const struct raft_log *l, bool unstable_too,
    struct raft_entry **out, size_t *n)
{
	*out = NULL;
	*n = 0;
	if (!log_has_committed(l, unstable_too))
		return RAFT_OK;
	return log_slice(l, l->applying + 1, max_appliable(l, unstable_too) + 1,
	    l->max_applying_size - l->applying_size, out, n);
}
