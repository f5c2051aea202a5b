/* net.c -- a simulated network. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

static void put(
    struct world *w, raft_id src, const struct raft_message *m, uint64_t delay)
{
	struct raft_message *copy = raft_message_copy(m);

	if (copy == NULL)
		abort();
	sim_schedule(w, (struct event){.at = w->now + delay,
			    .kind = EV_PACKET,
			    .node = m->to,
			    .src = src,
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

void net_send(struct node *from, const struct raft_message *m)
{
	struct world *w = from->w;
	unsigned delay = 1 + sim_below(w, w->t.delay_max);

	check_send(from, m);
	if (m->to == 0 || m->to > SIM_NODES) {
		sim_fail(w, "message to nobody");
		return;
	}
	if (sim_below(w, 1000) < w->t.duplicate && !w->healing) {
		w->count[SIM_DUPLICATE]++;
		put(w, from->id, m, delay + sim_below(w, 200));
	}
	if (sim_below(w, 1000) < w->t.replay && !w->healing) {
		w->count[SIM_REPLAY]++;
		put(w, from->id, m, 300 + sim_below(w, 3000));
	}
	/* Now and then one message is late, and others overtake it. */
	if (sim_chance(w, 3) && !w->healing) {
		w->count[SIM_REORDER]++;
		delay += 20 + sim_below(w, 300);
	}
	put(w, from->id, m, delay);
}

void net_deliver(struct world *w, struct event *e)
{
	struct node *n = &w->node[e->node];
	bool cut = w->cut[e->src][e->node];

	if (cut || !n->up || (!w->healing && sim_below(w, 1000) < w->t.drop)) {
		if (!cut && n->up)
			w->count[SIM_DROP]++;
		report(w, e, false);
		return;
	}
	report(w, e, true);
	node_step(n, e->m);
	node_after(n);
}

void net_heal(struct world *w)
{
	memset(w->cut, 0, sizeof(w->cut));
}
