/* loss.c -- disks that are damaged or lost.  Their nodes never come back under
 * their ids; an operator has the leader put new ones in their place.
 *
 * Raft survives the loss of one disk of three, not of a second one before the
 * first is replaced: so one is lost only where each member has durably applied
 * a configuration without any that is, and no change is on its way. */
#include "sim.h"

static bool gone(const struct node *n)
{
	return n->lost || n->disk.damaged || n->disk.repairing;
}

static bool any_gone(struct world *w, const raft_id *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (gone(&w->node[ids[i]]))
			return true;
	return false;
}

static bool same_voters(
    const struct raft_conf_state *a, const struct raft_conf_state *b)
{
	if (a->voters_n != b->voters_n || a->voters_outgoing_n > 0)
		return false;
	for (size_t i = 0; i < a->voters_n; i++)
		if (!id_in(b->voters, b->voters_n, a->voters[i]))
			return false;
	return true;
}

static bool change_behind(
    const struct raft_entry *e, size_t n, raft_index applied)
{
	for (size_t i = 0; i < n; i++)
		if (e[i].type == RAFT_ENTRY_CONF_CHANGE && e[i].index > applied)
			return true;
	return false;
}

/* No change in its log that it has not durably applied. */
static bool settled(const struct node *n, const struct raft_conf_state *conf)
{
	const struct disk *d = &n->disk;
	raft_index applied = d->machine.applied;

	if (!same_voters(&d->machine.conf, conf))
		return false;
	for (raft_index i = applied + 1; i <= disk_last(d); i++)
		if (disk_entry(d, i) != NULL &&
		    disk_entry(d, i)->type == RAFT_ENTRY_CONF_CHANGE)
			return false;
	return !n->up ||
	       !change_behind(n->raft->log.tail, n->raft->log.tail_n, applied);
}

static bool may_lose(struct world *w, const struct node *n)
{
	const struct node *leader = sim_leader(w);
	const struct raft_conf_state *c;

	if (leader == NULL || w->nodes == SIM_NODES)
		return false;
	c = &leader->raft->tracker.conf;
	if (any_gone(w, c->voters, c->voters_n) ||
	    any_gone(w, c->learners, c->learners_n) || !far_may_lose(w, n, c))
		return false;
	return loss_settled(w, n, c);
}

bool loss_settled(
    struct world *w, const struct node *n, const struct raft_conf_state *c)
{
	const struct node *leader = sim_leader(w);

	if (c->voters_n < 3 || c->voters_outgoing_n > 0 ||
	    !id_in(c->voters, c->voters_n, n->id))
		return false;
	for (size_t i = 0; i < c->voters_n; i++)
		if (!settled(&w->node[c->voters[i]], c))
			return false;
	for (size_t i = 0; i < w->heap_n; i++) {
		const struct raft_message *m = w->heap[i].m;

		if (m != NULL && change_behind(m->entries, m->entries_n,
				     leader->disk.machine.applied))
			return false;
	}
	return true;
}

/* One that was never there takes its place, on the same machine. */
void loss_take(struct node *n)
{
	struct world *w = n->w;

	node_crash(n);
	n->lost = true;
	sim_new_node(w);
	n->heir = w->nodes;
	w->t.place[n->heir] = w->t.place[n->id];
	sim_say(w, "n%llu is lost for ever; n%llu waits to replace it",
	    (unsigned long long)n->id, (unsigned long long)n->heir);
	node_boot(&w->node[n->heir]);
}

void loss_wipe(struct world *w)
{
	struct node *n = sim_any(w);

	if (!may_lose(w, n))
		return;
	w->count[SIM_WIPE]++;
	loss_take(n);
}

/* One bit of a row; or a write that hit another row than its own, so that
 * neither is what it should be.  Found when it is read: by the running node,
 * or when it starts. */
void loss_spoil(struct node *n)
{
	struct world *w = n->w;
	struct disk *d = &n->disk;
	size_t a, b;

	a = sim_below(w, (unsigned)d->n);
	b = sim_chance(w, 50) ? a : sim_below(w, (unsigned)d->n);
	d->log[a].bad = d->log[b].bad = true;
	w->count[a == b ? SIM_BIT_FLIP : SIM_MISDIRECTED]++;
	if (sim_store != NULL)
		sim_store->damage(
		    n, d->base + 1 + a, a == b ? 0 : d->base + 1 + b);
	d->damaged = true;
	sim_say(w, "n%llu: its disk is damaged", (unsigned long long)n->id);
}

void loss_damage(struct world *w)
{
	struct node *n = sim_any(w);

	if (w->t.repairs || n->disk.n < 2 || !may_lose(w, n))
		return;
	loss_spoil(n);
	if (n->up && sim_chance(w, 60)) {
		node_crash(n);
		node_restart_in(n, 5 + sim_below(w, 500));
	}
}

static raft_id first_lost(struct world *w, const raft_id *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (w->node[ids[i]].lost)
			return ids[i];
	return 0;
}

bool loss_replace(struct world *w, struct node *leader)
{
	const struct raft_conf_state *conf = &leader->raft->tracker.conf;
	raft_id id = first_lost(w, conf->voters, conf->voters_n);
	struct raft_conf_change c = {.transition = sim_chance(w, 70)
						       ? RAFT_JOINT_IMPLICIT
						       : RAFT_JOINT_EXPLICIT,
	    .n = 2};

	if (id == 0)
		id = first_lost(w, conf->learners, conf->learners_n);
	if (id == 0)
		return any_gone(w, conf->voters, conf->voters_n);
	if (conf->voters_outgoing_n > 0)
		return true;
	c.changes[0] = (struct raft_change){RAFT_REMOVE, id};
	c.changes[1] = (struct raft_change){RAFT_ADD_VOTER, w->node[id].heir};
	raft_propose_conf_change(leader->raft, &c);
	node_after(leader);
	return true;
}
