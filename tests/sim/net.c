/* net.c -- a simulated network. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

static void put(struct world *w, raft_id src, const struct raft_message *m,
    uint64_t delay, bool old)
{
	struct raft_message *copy = raft_message_copy(m);

	if (copy == NULL)
		abort();
	sim_schedule(w, (struct event){.at = w->now + delay,
			    .kind = EV_PACKET,
			    .node = m->to,
			    .src = src,
			    .old = old,
			    .m = copy});
}

static void report(struct world *w, const struct event *e, bool ok)
{
	if (e->m->type == RAFT_MSG_SNAP || (!ok && sim_chance(w, 20)))
		sim_schedule(
		    w, (struct event){.at = w->now + 1 + sim_below(w, 30),
			   .kind = EV_REPORT,
			   .node = e->src,
			   .src = e->node,
			   .ok = ok,
			   .snapshot = e->m->type == RAFT_MSG_SNAP});
}

static void spread(struct world *w, struct node *from,
    const struct raft_message *m, unsigned delay)
{
	if (sim_below(w, 1000) < w->t.duplicate && !w->healing) {
		w->count[SIM_DUPLICATE]++;
		history_copied(w, m);
		put(w, from->id, m, delay + sim_below(w, 200), false);
	}
	if (sim_below(w, 1000) < w->t.replay && !w->healing) {
		w->count[SIM_REPLAY]++;
		history_copied(w, m);
		put(w, from->id, m, w->t.slower * (300 + sim_below(w, 3000)),
		    true);
	}
	/* Now and then one message is late, and others overtake it. */
	if (sim_chance(w, 3) && !w->healing) {
		w->count[SIM_REORDER]++;
		delay += 20 + sim_below(w, 300);
	}
	put(w, from->id, m, delay, false);
	if (m->type == RAFT_MSG_SNAP && w->t.compaction && sim_chance(w, 50))
		sim_schedule(
		    w, (struct event){.at = w->now + sim_below(w, delay),
			   .kind = EV_COMPACT,
			   .node = from->id});
}

void net_send(struct node *from, const struct raft_message *m)
{
	struct world *w = from->w;
	unsigned delay = 1 + sim_below(w, w->t.delay_max);
	struct raft_message with = *m;

	check_send(from, m);
	if (m->to == 0 || m->to > SIM_NODES) {
		sim_fail(w, "message to nobody");
		return;
	}
	delay += far_delay(w, from->id, m->to);
	/* The rows go along, as of now. */
	if (m->snapshot != NULL && sim_store != NULL)
		with.snapshot = sim_store->snapshot(from, m->snapshot->index);
	spread(w, from, &with, delay);
	if (with.snapshot != m->snapshot)
		free(with.snapshot);
}

/* Below the reserve nothing is accepted that would be appended. */
static bool refused(struct node *n, const struct raft_message *m)
{
	if (n->w->now >= n->low_until || m->type != RAFT_MSG_APP ||
	    m->entries_n == 0)
		return false;
	n->w->count[SIM_LOW]++;
	return true;
}

void net_deliver(struct world *w, struct event *e)
{
	struct node *n = &w->node[e->node];
	bool cut = w->cut[e->src][e->node];

	if (w->now < w->clog[e->src][e->node]) {
		w->count[SIM_CLOG]++;
		e->at = w->clog[e->src][e->node];
		sim_schedule(w, *e);
		e->m = NULL;
		return;
	}
	if (cut || !n->up || (!w->healing && sim_below(w, 1000) < w->t.drop)) {
		if (!cut && n->up)
			w->count[SIM_DROP]++;
		report(w, e, false);
		return;
	}
	if (far_lost(w, e->src, e->node)) {
		report(w, e, false);
		return;
	}
	report(w, e, true);
	if (refused(n, e->m))
		return;
	w->count[SIM_REPLAY_TERM] += e->old && e->m->term < n->raft->term;
	node_step(n, e->m);
	node_after(n);
}

void net_heal(struct world *w)
{
	memset(w->cut, 0, sizeof(w->cut));
	memset(w->clog, 0, sizeof(w->clog));
}
