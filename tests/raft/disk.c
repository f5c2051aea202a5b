/* disk.c -- hard state, entries and the snapshots that were applied. */
#include "disk.h"

#include <stdlib.h>
#include <string.h>

raft_index disk_last(const struct disk *d)
{
	return d->before.index + d->n;
}

static int on_initial_state(
    void *ctx, struct raft_hard_state *hs, struct raft_conf_state *cs)
{
	const struct disk *d = ctx;

	*hs = d->hard;
	*cs = d->conf;
	return RAFT_OK;
}

static int on_entries(void *ctx, raft_index lo, raft_index hi, size_t max_size,
    struct raft_entry **out, size_t *n)
{
	const struct disk *d = ctx;
	struct raft_entry *e;
	size_t size = 0, k;

	if (lo <= d->before.index)
		return RAFT_ECOMPACTED;
	if (hi > disk_last(d) + 1)
		return RAFT_EUNAVAILABLE;
	e = calloc((size_t)(hi - lo) + 1, sizeof(*e));
	if (e == NULL)
		return RAFT_ENOMEM;
	for (k = 0; k < hi - lo; k++) {
		e[k] = *d->entries[lo - d->before.index - 1 + k];
		size += e[k].data.len + 16;
		if (k > 0 && size > max_size)
			break;
	}
	*out = e;
	*n = k;
	return RAFT_OK;
}

static int on_term(void *ctx, raft_index i, raft_term *out)
{
	const struct disk *d = ctx;

	if (i < d->before.index)
		return RAFT_ECOMPACTED;
	if (i > disk_last(d))
		return RAFT_EUNAVAILABLE;
	*out = i == d->before.index ? d->before.term
				    : d->entries[i - d->before.index - 1]->term;
	return RAFT_OK;
}

static int on_first_index(void *ctx, raft_index *out)
{
	*out = ((const struct disk *)ctx)->before.index + 1;
	return RAFT_OK;
}

static int on_last_index(void *ctx, raft_index *out)
{
	*out = disk_last(ctx);
	return RAFT_OK;
}

static int on_snapshot(void *ctx, struct raft_snapshot *out)
{
	*out = *disk_newest(ctx);
	return RAFT_OK;
}

struct raft_storage disk_storage(struct disk *d)
{
	return (struct raft_storage){d, on_initial_state, on_entries, on_term,
	    on_first_index, on_last_index, on_snapshot};
}

static void cut(struct disk *d, size_t keep)
{
	while (d->n > keep)
		free(d->entries[--d->n]);
}

void disk_free(struct disk *d)
{
	cut(d, 0);
	free(d->entries);
	free(d->history);
}

static void install(struct disk *d, const struct raft_snapshot *s)
{
	cut(d, 0);
	d->before = (struct raft_entry_id){s->term, s->index};
	d->conf = s->conf_state;
}

void disk_append(struct disk *d, const struct raft_hard_state *hard,
    const struct raft_entry *e, size_t n, const struct raft_snapshot *s)
{
	if (hard != NULL)
		d->hard = *hard;
	if (s != NULL)
		install(d, s);
	if (n == 0)
		return;
	cut(d, (size_t)(e[0].index - d->before.index - 1));
	d->entries =
	    realloc(d->entries, (d->n + n) * sizeof(struct raft_entry *));
	if (d->entries == NULL)
		abort();
	for (size_t i = 0; i < n; i++)
		d->entries[d->n++] = raft_entries_copy(&e[i], 1);
}

int disk_compact(struct disk *d, raft_index to)
{
	size_t gone = (size_t)(to - d->before.index);

	if (to <= d->before.index)
		return RAFT_ECOMPACTED;
	if (to > disk_last(d))
		return RAFT_EUNAVAILABLE;
	d->before = (struct raft_entry_id){d->entries[gone - 1]->term, to};
	for (size_t i = 0; i < gone; i++)
		free(d->entries[i]);
	d->n -= gone;
	memmove(d->entries, d->entries + gone, d->n * sizeof(*d->entries));
	return RAFT_OK;
}

void disk_remember(struct disk *d, const struct raft_snapshot *s)
{
	d->history =
	    realloc(d->history, (d->history_n + 1) * sizeof(*d->history));
	if (d->history == NULL)
		abort();
	d->history[d->history_n++] = *s;
}

const struct raft_snapshot *disk_newest(const struct disk *d)
{
	return &d->history[d->history_n - 1];
}
