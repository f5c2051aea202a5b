/* heal.c -- the faults are over: the cluster must agree and move on. */
#include "sim.h"

static bool member(const struct node *leader, raft_id id)
{
	return tracker_find(&leader->raft->tracker, id) != NULL;
}

/* Members run, all others are switched off, as operators would do. */
static void set_members(struct world *w, struct node *leader)
{
	bool run[SIM_NODES + 1] = {false};

	for (raft_id id = 1; id <= w->nodes; id++)
		run[id] = leader == NULL || member(leader, id);
	for (raft_id id = 1; id <= w->nodes; id++) {
		struct node *n = &w->node[id];

		n->append.slow_until = n->apply.slow_until = 0;
		n->low_until = n->full_until = 0;
		n->write_fails = n->read_fails = n->write_cut = false;
		if (n->disk.damaged)
			node_crash(n);
		if (run[id])
			node_boot(n);
		else
			node_crash(n);
	}
}

void heal_act(struct world *w)
{
	struct node *leader = sim_leader(w);
	struct raft_conf_change leave = {0};

	set_members(w, leader);
	sim_schedule(w,
	    (struct event){.at = w->now + 100 * w->t.slower, .kind = EV_HEAL});
	if (leader == NULL || !leader->up)
		return;
	if (leader->raft->tracker.conf.voters_outgoing_n > 0 &&
	    !leader->raft->tracker.conf.auto_leave) {
		raft_propose_conf_change(leader->raft, &leave);
	} else if (loss_replace(w, leader)) {
		sim_say(w, "n%llu replaces what is lost",
		    (unsigned long long)leader->id);
	} else if (w->marker_term != leader->raft->term &&
		   client_propose(leader) == RAFT_OK) {
		log_last_index(&leader->raft->log, &w->marker);
		w->marker_term = leader->raft->term;
	}
	node_after(leader);
	for (raft_id id = 1; id <= w->nodes; id++) {
		struct node *n = &w->node[id];

		if (n->up && !n->healed_read && member(leader, id)) {
			client_read(n);
			node_after(n);
		}
	}
}

bool heal_done(struct world *w)
{
	struct node *leader = sim_leader(w);

	if (leader == NULL || w->marker == 0 ||
	    leader->raft->term != w->marker_term ||
	    leader->machine.applied < w->marker ||
	    leader->raft->tracker.conf.voters_outgoing_n > 0)
		return false;
	for (raft_id id = 1; id <= w->nodes; id++) {
		const struct node *n = &w->node[id];

		if (member(leader, id) &&
		    (!n->up || n->machine.applied != leader->machine.applied ||
			n->machine.is.hash != leader->machine.is.hash ||
			!n->healed_read))
			return false;
	}
	return true;
}
