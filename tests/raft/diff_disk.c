/* diff_disk.c -- the storage of one node, of which all but the log's writes and
 * the applied index is as durable as memory. */
#include <stdlib.h>
#include <string.h>

#include "diff.h"

void *grown(void *p, size_t *cap, size_t n, size_t size)
{
	if (n <= *cap)
		return p;
	while (*cap < n)
		*cap = *cap == 0 ? 64 : *cap * 2;
	p = realloc(p, *cap * size);
	if (p == NULL)
		abort();
	return p;
}

raft_index disk_last(const struct disk *d)
{
	return d->base + d->n;
}

static const struct kept_entry *at(const struct disk *d, raft_index i)
{
	return &d->log[i - d->base - 1];
}

const struct raft_conf_state *disk_conf(const struct disk *d)
{
	return &d->confs[d->confs_n - 1].conf;
}

/* ---- Sizes ---- */

/* The first entry of each term: its leader's no-op. */
static raft_index first_of_term[DIFF_TERMS];

void entry_sizes_forget(void)
{
	memset(first_of_term, 0, sizeof(first_of_term));
}

static size_t varint(uint64_t v)
{
	size_t n = 1;

	for (; v > 127; v >>= 7)
		n++;
	return n;
}

size_t entry_size(const struct raft_entry *e)
{
	size_t n = 2 + varint(e->term) + varint(e->index);
	raft_index *first;

	if (e->term >= DIFF_TERMS)
		abort();
	first = &first_of_term[e->term];
	if (*first == 0 || e->index < *first)
		*first = e->index;
	/* etcd names the type of a change, and of the empty entry that a
	 * refused change becomes.  No proposal here is empty. */
	if (e->type == RAFT_ENTRY_CONF_CHANGE ||
	    (e->data.len == 0 && e->index != *first))
		n += 2;
	if (e->data.len > 0)
		n += 1 + varint(e->data.len) + e->data.len;
	return n;
}

/* ---- The core's read side ---- */

static int on_initial_state(
    void *ctx, struct raft_hard_state *hs, struct raft_conf_state *cs)
{
	const struct disk *d = ctx;

	*hs = d->hard;
	*cs = *disk_conf(d);
	return RAFT_OK;
}

static int on_entries(void *ctx, raft_index lo, raft_index hi, size_t max_size,
    struct raft_entry **out, size_t *count)
{
	const struct disk *d = ctx;
	size_t want = (size_t)(hi - lo), size = 0, k;
	struct raft_entry *e;
	char *data;

	if (lo <= d->base)
		return RAFT_ECOMPACTED;
	if (hi > disk_last(d) + 1)
		return RAFT_EUNAVAILABLE;
	e = malloc(want * (sizeof(*e) + DIFF_DATA));
	if (e == NULL)
		return RAFT_ENOMEM;
	data = (char *)(e + want);
	for (k = 0; k < want; k++, data += DIFF_DATA) {
		const struct kept_entry *s = at(d, lo + k);

		memcpy(data, s->data, s->len);
		e[k] = (struct raft_entry){
		    s->term, lo + k, s->type, {data, s->len}};
		size += entry_size(&e[k]);
		if (k > 0 && size > max_size)
			break;
	}
	*out = e;
	*count = k;
	return RAFT_OK;
}

static int on_term(void *ctx, raft_index i, raft_term *out)
{
	const struct disk *d = ctx;

	if (i < d->base)
		return RAFT_ECOMPACTED;
	if (i > disk_last(d))
		return RAFT_EUNAVAILABLE;
	*out = i == d->base ? d->base_term : at(d, i)->term;
	return RAFT_OK;
}

static int on_first_index(void *ctx, raft_index *out)
{
	*out = ((struct disk *)ctx)->base + 1;
	return RAFT_OK;
}

static int on_last_index(void *ctx, raft_index *out)
{
	*out = disk_last(ctx);
	return RAFT_OK;
}

static int on_snapshot(void *ctx, struct raft_snapshot *out)
{
	const struct disk *d = ctx;

	if (d->snapshot_refused)
		return RAFT_ESNAP_NOT_READY;
	*out = d->snapshot;
	return RAFT_OK;
}

struct raft_storage disk_storage(struct disk *d)
{
	return (struct raft_storage){d, on_initial_state, on_entries, on_term,
	    on_first_index, on_last_index, on_snapshot};
}

/* ---- The write side ---- */

static void keep_conf(
    struct disk *d, raft_index i, const struct raft_conf_state *conf)
{
	d->confs =
	    grown(d->confs, &d->confs_cap, d->confs_n + 1, sizeof(*d->confs));
	d->confs[d->confs_n++] = (struct kept_conf){i, *conf};
}

void disk_start(struct disk *d, const struct raft_conf_state *conf)
{
	static const struct raft_conf_state nobody;

	if (conf == NULL) {
		keep_conf(d, 0, &nobody);
		return;
	}
	d->base = d->base_term = d->applied = 1;
	d->hard = (struct raft_hard_state){1, 0, 1};
	d->snapshot =
	    (struct raft_snapshot){.index = 1, .term = 1, .conf_state = *conf};
	keep_conf(d, 1, conf);
}

void disk_free(struct disk *d)
{
	free(d->log);
	free(d->confs);
}

static void install(struct disk *d, const struct raft_snapshot *s)
{
	d->snapshot = *s;
	d->snapshot.data = (struct raft_span){0};
	d->base = d->applied = s->index;
	d->base_term = s->term;
	d->n = d->confs_n = 0;
	keep_conf(d, s->index, &s->conf_state);
}

static void append(struct disk *d, const struct raft_entry *e, size_t n)
{
	if (e[0].index <= d->base || e[0].index > disk_last(d) + 1)
		abort();
	d->n = (size_t)(e[0].index - d->base - 1);
	d->log = grown(d->log, &d->cap, d->n + n, sizeof(*d->log));
	for (size_t i = 0; i < n; i++) {
		struct kept_entry *k = &d->log[d->n++];

		*k = (struct kept_entry){
		    e[i].term, e[i].type, e[i].data.len, {0}};
		if (k->len > 0)
			memcpy(k->data, e[i].data.p, k->len);
	}
}

void disk_write(struct disk *d, const struct raft_message *m)
{
	if (m->snapshot != NULL)
		install(d, m->snapshot);
	if (m->entries_n > 0)
		append(d, m->entries, m->entries_n);
	if (m->term != 0)
		d->hard = (struct raft_hard_state){m->term, m->vote, m->commit};
}

void disk_applied(
    struct disk *d, raft_index i, const struct raft_conf_state *changed)
{
	d->applied = i;
	if (changed != NULL)
		keep_conf(d, i, changed);
}

static const struct raft_conf_state *conf_at(
    const struct disk *d, raft_index i, size_t *n)
{
	*n = d->confs_n;
	while (*n > 1 && d->confs[*n - 1].index > i)
		(*n)--;
	return &d->confs[*n - 1].conf;
}

void disk_snapshot(struct disk *d, raft_index i)
{
	size_t n;

	d->snapshot = (struct raft_snapshot){
	    .index = i, .conf_state = *conf_at(d, i, &n)};
	on_term(d, i, &d->snapshot.term);
}

void disk_compact(struct disk *d, raft_index to)
{
	size_t gone = (size_t)(to - d->base);

	d->base_term = at(d, to)->term;
	d->n -= gone;
	memmove(d->log, d->log + gone, d->n * sizeof(*d->log));
	d->base = to;
}

/* The state machine lost what came after `applied`. */
void disk_rewind(struct disk *d, raft_index applied)
{
	conf_at(d, applied, &d->confs_n);
	d->applied = applied;
}
