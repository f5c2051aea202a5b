/* start.c -- a node starts: what its store kept must be what the model says. */
#include <stdlib.h>
#include <string.h>

#include "real.h"

#define ULL(x) ((unsigned long long)(x))

static bool same_entry(const struct sim_entry *m, const struct raft_entry *e)
{
	return m != NULL && m->term == e->term && m->type == e->type &&
	       m->len == e->data.len &&
	       (m->len == 0 || memcmp(m->data, e->data.p, m->len) == 0);
}

static bool same_log(struct node *n, const struct raft_hard_state *hs)
{
	struct real *r = real_of(n);
	const struct disk *d = &n->disk;
	raft_index i = store_first_index(r->store),
		   end = store_last_index(r->store) + 1;
	bool same = i == d->base + 1 && end == disk_last(d) + 1 &&
		    hs->term == d->hard.term && hs->vote == d->hard.vote;
	struct raft_entry *e;
	size_t k;

	while (same && i < end) {
		if (r->inner.entries(r->inner.ctx, i, end, 65536, &e, &k) !=
		    RAFT_OK)
			return false;
		for (size_t j = 0; j < k && same; j++, i++)
			same = same_entry(disk_entry(d, i), &e[j]);
		free(e);
	}
	return same;
}

/* The model is moved on by what was interrupted, as far as it got. */
static bool catch_up(struct node *n, const struct raft_hard_state *hs)
{
	struct real *r = real_of(n);
	struct disk *d = &n->disk;

	if (r->cut != 0 && store_first_index(r->store) == r->cut + 1 &&
	    r->cut > d->base)
		disk_cut(d, r->cut);
	if (same_log(n, hs))
		return true;
	if (r->torn == NULL)
		return false;
	if (r->torn->snapshot != NULL && r->torn->entries_n > 0 &&
	    store_last_index(r->store) == r->torn->snapshot->index) {
		r->torn->commit = r->torn->snapshot->index;
		r->torn->entries_n = 0;
	}
	disk_note(n, r->torn);
	return same_log(n, hs);
}

static enum code check_state(struct node *n, struct err *e)
{
	struct real *r = real_of(n);
	struct machine *m = &n->machine;
	struct raft_hard_state hs;
	raft_index applied = store_durable_applied(r->store);
	struct ca_db db;
	enum code rc;

	if (applied != n->disk.machine.applied && applied != r->flushed)
		return err_set(e, E_CORRUPT,
		    "applied %llu is durable, but it was %llu or %llu",
		    ULL(applied), ULL(n->disk.machine.applied),
		    ULL(r->flushed));
	store_state_db(r->store, &db);
	rc = rows_check(db, n->w, applied, &m->is, e);
	real_begin(r); /* term and vote may be new to state/ */
	if (rc == E_OK)
		rc = store_state_commit(r->store, e);
	real_end();
	if (rc != E_OK)
		return rc;
	m->applied = applied;
	r->inner.initial_state(r->inner.ctx, &hs, &m->conf);
	if (applied > 1)
		check_installed(n);
	n->disk.machine = *m;
	return E_OK;
}

static void check(struct node *n)
{
	struct real *r = real_of(n);
	struct disk *d = &n->disk;
	struct raft_hard_state hs;
	struct raft_conf_state cs;
	struct err e = {0};

	r->inner.initial_state(r->inner.ctx, &hs, &cs);
	if (!catch_up(n, &hs))
		sim_fail(n->w,
		    "n%llu: the log is %llu..%llu, term %llu, vote %llu; it "
		    "was %llu..%llu, %llu, %llu",
		    ULL(n->id), ULL(store_first_index(r->store)),
		    ULL(store_last_index(r->store)), ULL(hs.term), ULL(hs.vote),
		    ULL(d->base + 1), ULL(disk_last(d)), ULL(d->hard.term),
		    ULL(d->hard.vote));
	else if (check_state(n, &e) != E_OK)
		sim_fail(n->w, "n%llu: %s", ULL(n->id), e.text);
	else if (hs.commit < d->commit_synced ||
		 (hs.commit > d->hard.commit && hs.commit > n->machine.applied))
		sim_fail(n->w, "n%llu: commit %llu on the disk, was %llu..%llu",
		    ULL(n->id), ULL(hs.commit), ULL(d->commit_synced),
		    ULL(d->hard.commit));
	if (hs.commit < d->hard.commit)
		n->w->count[SIM_LOST_COMMIT]++;
	d->hard = hs;
	d->commit_synced = hs.commit;
	/* A damaged row is out of the way by now. */
	d->damaged = d->machine_lost = false;
	for (size_t i = 0; i < d->n; i++)
		d->log[i].bad = false;
	free(r->torn);
	r->torn = NULL;
	r->cut = r->flushed = 0;
}

/* Where peers can mend it, a log is begun anew in the store, and so it is in
 * the model: what the start keeps is applied, and a hard state that was
 * perhaps being written. */
static void begun_anew(struct node *n)
{
	struct real *r = real_of(n);
	struct raft_hard_state hs, *hard = &n->disk.hard;
	struct raft_conf_state cs;
	raft_index applied = store_durable_applied(r->store);
	raft_term term = 0;

	r->inner.initial_state(r->inner.ctx, &hs, &cs);
	if (applied > 0 &&
	    r->inner.term(r->inner.ctx, applied, &term) != RAFT_OK)
		sim_fail(n->w, "n%llu: a log that begins nowhere", ULL(n->id));
	if (r->torn != NULL && r->torn->term == hs.term &&
	    r->torn->vote == hs.vote)
		*hard = hs;
	free(r->torn);
	r->torn = NULL;
	r->cut = 0;
	repair_forget(n, applied, term);
}

static void repairs(struct node *n)
{
	struct real *r = real_of(n);
	bool marked = store_repairing(r->store)[0] != '\0';

	if (n->disk.repairing && !marked)
		sim_fail(n->w, "n%llu votes without its log", ULL(n->id));
	else if (marked && !n->disk.repairing && !n->disk.damaged)
		sim_fail(
		    n->w, "n%llu: %s", ULL(n->id), store_repairing(r->store));
	else if (marked && !n->disk.repairing)
		begun_anew(n);
}

static enum code open_store(struct node *n, struct err *e)
{
	struct real *r = real_of(n);
	struct store_config c = {
	    .dir = r->dir, .map_size = 16U << 20, .has_peers = n->w->t.repairs};
	struct store_identity id = {.node_id = n->id};
	enum code rc = store_open(&r->store, &c, e);

	if (rc == E_OK)
		rc = store_bind(r->store, &id, e);
	if (rc == E_OK && n->disk.machine_lost)
		rc = store_state_discard(r->store, "its rows do not fit", e);
	return rc;
}

bool real_open(struct node *n)
{
	struct real *r = real_of(n);
	struct err e = {0};
	enum code rc;

	/* The power may go again before the node is back.  One that was never
	 * there has nothing to lose: an operator would begin anew. */
	if (n->incarnation > 0 && !n->w->healing && sim_chance(n->w, 5))
		r->power.cut_in = 1 + sim_below(n->w, 60);
	real_begin(r);
	rc = open_store(n, &e);
	real_end();
	r->power.cut_in = 0;
	if (r->power.off) {
		store_close(r->store);
		r->store = NULL;
		power_cut(&r->power);
		return false;
	}
	if (rc == E_CORRUPT && n->disk.damaged && !n->w->t.repairs) {
		sim_say(n->w, "%s", e.text);
		return true; /* and it is lost */
	}
	if (rc != E_OK) {
		sim_fail(n->w, "n%llu: %s", ULL(n->id), e.text);
		return true;
	}
	store_raft_storage(r->store, &r->inner);
	repairs(n);
	if (!n->w->failed)
		check(n);
	return true;
}
