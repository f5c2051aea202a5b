/* disk.c -- a simulated disk: what is on it survives, the rest does not. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

raft_index disk_last(const struct disk *d)
{
	return d->base + d->n;
}

const struct sim_entry *disk_entry(const struct disk *d, raft_index i)
{
	return i <= d->base || i > disk_last(d) ? NULL
						: &d->log[i - d->base - 1];
}

bool disk_holds(const struct disk *d, raft_index i, raft_term term)
{
	const struct sim_entry *e = disk_entry(d, i);

	/* Below its base everything is committed. */
	return e != NULL ? e->term == term : i <= d->base;
}

void disk_free(struct disk *d)
{
	free(d->log);
}

/* ---- The core's read side ---- */

bool disk_read_fails(struct node *n)
{
	if (n->w->checking || !n->read_fails)
		return false;
	n->w->count[SIM_EIO_READ]++;
	n->read_fails = false;
	n->must_stop = n->read_failed = true;
	return true;
}

/* The row of entry i is read: it may fail, or fail its checksum. */
static bool unreadable(struct node *n, raft_index i)
{
	if (disk_read_fails(n))
		return true;
	if (n->w->checking || !n->disk.damaged || !disk_entry(&n->disk, i)->bad)
		return false;
	sim_say(n->w, "n%llu cannot read entry %llu", (unsigned long long)n->id,
	    (unsigned long long)i);
	n->must_stop = n->read_failed = true;
	return true;
}

static int on_initial_state(
    void *ctx, struct raft_hard_state *hs, struct raft_conf_state *cs)
{
	struct node *n = ctx;

	*hs = n->disk.hard;
	*cs = n->machine.conf;
	return RAFT_OK;
}

static int on_entries(void *ctx, raft_index lo, raft_index hi, size_t max_size,
    struct raft_entry **out, size_t *count)
{
	struct node *n = ctx;
	const struct disk *d = &n->disk;
	struct raft_entry *e;
	size_t want = (size_t)(hi - lo), size = 0, k;
	uint8_t *data;

	if (lo <= d->base)
		return RAFT_ECOMPACTED;
	if (hi > disk_last(d) + 1)
		return RAFT_EUNAVAILABLE;
	e = malloc(want * (sizeof(*e) + SIM_DATA));
	if (e == NULL)
		return RAFT_ENOMEM;
	data = (uint8_t *)(e + want);
	for (k = 0; k < want; k++, data += SIM_DATA) {
		const struct sim_entry *s = disk_entry(d, lo + k);

		if (unreadable(n, lo + k)) {
			free(e);
			return RAFT_EIO;
		}
		size += s->len + 16;
		if (k > 0 && size > max_size)
			break;
		memcpy(data, s->data, s->len);
		e[k] = (struct raft_entry){
		    s->term, lo + k, s->type, {data, s->len}};
	}
	*out = e;
	*count = k;
	return RAFT_OK;
}

static int on_term(void *ctx, raft_index i, raft_term *out)
{
	struct node *n = ctx;
	const struct disk *d = &n->disk;

	if (i < d->base)
		return RAFT_ECOMPACTED;
	if (i > disk_last(d))
		return RAFT_EUNAVAILABLE;
	/* What is at either end is kept in memory. */
	if (i > d->base && i < disk_last(d) && unreadable(n, i))
		return RAFT_EIO;
	*out = i == d->base ? d->base_term : disk_entry(d, i)->term;
	return RAFT_OK;
}

static int on_first_index(void *ctx, raft_index *out)
{
	*out = ((struct node *)ctx)->disk.base + 1;
	return RAFT_OK;
}

static int on_last_index(void *ctx, raft_index *out)
{
	*out = disk_last(&((struct node *)ctx)->disk);
	return RAFT_OK;
}

static int on_snapshot(void *ctx, struct raft_snapshot *out)
{
	struct node *n = ctx;

	if (n->machine.applied == 0 || (!n->w->healing && sim_chance(n->w, 10)))
		return RAFT_ESNAP_NOT_READY;
	memcpy(n->snapshot_data, &n->machine.is, sizeof(n->machine.is));
	*out = (struct raft_snapshot){.index = n->machine.applied,
	    .conf_state = n->machine.conf,
	    .data = {n->snapshot_data, sizeof(n->snapshot_data)}};
	return on_term(n, out->index, &out->term);
}

struct raft_storage disk_storage(struct node *n)
{
	return (struct raft_storage){n, on_initial_state, on_entries, on_term,
	    on_first_index, on_last_index, on_snapshot};
}

/* ---- The write side ---- */

static void install(struct node *n, const struct raft_snapshot *s)
{
	struct disk *d = &n->disk;

	if (s->index <= n->machine.applied) {
		sim_fail(n->w, "n%llu: snapshot %llu behind applied %llu",
		    (unsigned long long)n->id, (unsigned long long)s->index,
		    (unsigned long long)n->machine.applied);
		return;
	}
	if (n->id > n->w->t.nodes && n->machine.applied == 0)
		n->w->count[SIM_REJOIN]++;
	d->base = s->index;
	d->base_term = s->term;
	d->n = 0;
	n->machine.applied = s->index;
	memcpy(&n->machine.is, s->data.p, sizeof(n->machine.is));
	n->machine.conf = s->conf_state;
	d->machine = n->machine;
	check_installed(n);
	n->w->count[SIM_SNAPSHOT]++;
}

static void write_entries(struct node *n, const struct raft_message *m)
{
	struct disk *d = &n->disk;
	raft_index from = m->entries[0].index;

	if (from <= d->base || from > disk_last(d) + 1) {
		sim_fail(n->w, "n%llu: append at %llu leaves a gap",
		    (unsigned long long)n->id, (unsigned long long)from);
		return;
	}
	if (from <= d->hard.commit)
		sim_fail(n->w, "n%llu: append at %llu replaces committed",
		    (unsigned long long)n->id, (unsigned long long)from);
	if (from <= disk_last(d))
		n->w->count[SIM_TRUNCATION]++;
	d->n = (size_t)(from - d->base - 1);
	d->log =
	    sim_grow(d->log, &d->cap, d->n + m->entries_n, sizeof(*d->log));
	for (size_t i = 0; i < m->entries_n; i++) {
		const struct raft_entry *e = &m->entries[i];
		struct sim_entry *s = &d->log[d->n++];

		*s = (struct sim_entry){
		    .term = e->term, .type = e->type, .len = e->data.len};
		if (e->data.len > 0)
			memcpy(s->data, e->data.p, e->data.len);
	}
}

static void write_hard(struct node *n, const struct raft_message *m)
{
	struct raft_hard_state *h = &n->disk.hard;

	if (m->term < h->term)
		sim_fail(n->w, "n%llu: durable term goes back",
		    (unsigned long long)n->id);
	if (m->term == h->term && h->vote != 0 && m->vote != h->vote)
		sim_fail(n->w, "n%llu: vote of term %llu changed",
		    (unsigned long long)n->id, (unsigned long long)h->term);
	if (m->commit < h->commit)
		sim_fail(n->w, "n%llu: durable commit goes back",
		    (unsigned long long)n->id);
	if (m->term != h->term || m->vote != h->vote)
		n->disk.commit_synced = m->commit;
	*h = (struct raft_hard_state){m->term, m->vote, m->commit};
}

/* One storage message, in one transaction. */
bool disk_append(struct node *n, const struct raft_message *m)
{
	if (sim_store != NULL && !sim_store->append(n, m))
		return false;
	disk_note(n, m);
	return true;
}

void disk_note(struct node *n, const struct raft_message *m)
{
	if (m->snapshot != NULL)
		install(n, m->snapshot);
	if (m->entries_n > 0 && !n->w->failed)
		write_entries(n, m);
	if (m->term != 0)
		write_hard(n, m);
	if (m->entries_n > 0 || m->snapshot != NULL)
		n->disk.commit_synced = n->disk.hard.commit;
}

void disk_append_part(struct node *n, const struct raft_message *m, size_t k)
{
	struct raft_message part = *m;

	part.entries_n = k;
	if (part.commit >= m->entries[k].index)
		part.commit = m->entries[k].index - 1;
	disk_note(n, &part);
}

static void change_conf(struct node *n, const struct raft_entry *e)
{
	struct machine *s = &n->machine;
	struct raft_conf_change c;
	struct raft_conf_state next;
	bool joint = s->conf.voters_outgoing_n > 0;

	if (raft_conf_change_decode(e->data, &c) != RAFT_OK) {
		sim_fail(n->w, "n%llu: conf change %llu does not decode",
		    (unsigned long long)n->id, (unsigned long long)e->index);
		return;
	}
	/* Meanwhile the core may ask for a snapshot: of before this entry. */
	if (raft_apply_conf_change(n->raft, &c, &next) != RAFT_OK)
		return;
	if (s->conf.voters_n == 3 && next.voters_n == 5)
		n->w->count[SIM_GROW]++;
	if (s->conf.voters_n == 5 && next.voters_n == 3)
		n->w->count[SIM_SHRINK]++;
	s->conf = next;
	if (joint && s->conf.voters_outgoing_n == 0)
		n->w->count[SIM_LEAVE_JOINT]++;
	else if (s->conf.voters_outgoing_n > 0)
		n->w->count[SIM_JOINT_CHANGE]++;
	else
		n->w->count[SIM_SIMPLE_CHANGE]++;
	for (size_t i = 0; i < c.n; i++)
		n->w->count[SIM_LEARNER] +=
		    c.changes[i].type == RAFT_ADD_LEARNER;
}

void machine_apply(struct node *n, const struct raft_entry *e)
{
	struct machine *s = &n->machine;

	if (e->index <= s->applied)
		return;
	if (e->index != s->applied + 1) {
		sim_fail(n->w, "n%llu: applies %llu after %llu",
		    (unsigned long long)n->id, (unsigned long long)e->index,
		    (unsigned long long)s->applied);
		return;
	}
	if (e->type == RAFT_ENTRY_CONF_CHANGE)
		change_conf(n, e);
	check_applied(n, e);
	history_applied(n, e);
	s->applied = e->index;
	check_conf(n);
	if (sim_store != NULL)
		sim_store->apply(n, e);
}

void disk_cut(struct disk *d, raft_index upto)
{
	size_t gone = (size_t)(upto - d->base);

	d->base_term = disk_entry(d, upto)->term;
	memmove(d->log, d->log + gone, (d->n - gone) * sizeof(*d->log));
	d->n -= gone;
	d->base = upto;
}

/* The log may be cut only below what the machine would not lose. */
void disk_compact(struct node *n)
{
	struct disk *d = &n->disk;
	raft_index upto = d->machine.applied;

	if (upto > disk_last(d))
		upto = disk_last(d);
	if (upto <= d->base)
		return;
	upto = d->base + 1 + sim_below(n->w, (unsigned)(upto - d->base));
	if (sim_store != NULL && !sim_store->compact(n, upto)) {
		n->must_stop = true;
		return;
	}
	disk_cut(d, upto);
	n->w->count[SIM_COMPACTION]++;
}

void disk_flush(struct node *n)
{
	if (sim_store != NULL)
		sim_store->flush(n);
	n->disk.machine = n->machine;
}

void disk_crash(struct node *n)
{
	struct disk *d = &n->disk;

	if (n->machine.applied > d->machine.applied)
		n->w->count[SIM_LOST_APPLY]++;
	n->machine = d->machine;
	/* Of a real disk, the next start shows it. */
	if (sim_store != NULL)
		return;
	if (d->hard.commit > d->commit_synced && sim_chance(n->w, 50)) {
		d->hard.commit = d->commit_synced;
		n->w->count[SIM_LOST_COMMIT]++;
	}
}
