/* mixed.c -- two configurations in one cluster, as while it is upgraded node by
 * node, or taken back: whoever starts has one of the two.
 *
 * Not mixed is what no cluster may have (changes that nobody validates,
 * requests for votes before the disk), nor what all must have: leases, if one
 * has them; PreVote or CheckQuorum, or a node in a later term ignores its
 * leader for ever; and PreVote, if timeouts or priorities differ (see far.c).
 */
#include "sim.h"

/* One seed of sixteen, and some of the far ones. */
#define ONE_OF 16
#define TURN 1

void mixed_tune(struct world *w)
{
	struct tuning *t = &w->t;
	struct raft_config *o = &t->other;

	t->mixed = w->seed % ONE_OF == TURN || (t->far && sim_chance(w, 50));
	if (!t->mixed)
		return;
	o->max_size_per_msg = 20 + sim_below(w, 2000);
	o->max_committed_size_per_ready =
	    sim_chance(w, 50) ? 0 : 20 + sim_below(w, 300);
	o->max_uncommitted_size =
	    sim_chance(w, 50) ? 0 : 50 + sim_below(w, 2000);
	o->max_inflight_msgs = 1 + sim_below(w, 64);
	o->max_inflight_bytes =
	    sim_chance(w, 50) ? 0 : o->max_size_per_msg + sim_below(w, 500);
	o->step_down_on_removal = sim_chance(w, 50);
	o->disable_proposal_forwarding = sim_chance(w, 30);
	o->pre_vote = t->far || sim_chance(w, 60);
	o->check_quorum = t->lease_ms != 0 || !o->pre_vote || sim_chance(w, 60);
	t->check_quorum |= !t->pre_vote;
	o->election_ticks = SIM_ELECTION_TICKS;
	o->heartbeat_ticks = 1 + sim_below(w, 3);
	if (o->pre_vote && t->pre_vote) {
		o->election_ticks += sim_below(w, 6);
		o->priority = sim_below(w, 4);
	}
	o->commit_groups = t->far && sim_chance(w, 50) ? 2 : 0;
}

void mixed_config(struct node *n, struct raft_config *c)
{
	struct world *w = n->w;
	const struct raft_config *o = &w->t.other;

	if (!w->t.mixed || sim_chance(w, 50))
		return;
	c->max_size_per_msg = o->max_size_per_msg;
	c->max_committed_size_per_ready = o->max_committed_size_per_ready;
	c->max_uncommitted_size = o->max_uncommitted_size;
	c->max_inflight_msgs = o->max_inflight_msgs;
	c->max_inflight_bytes = o->max_inflight_bytes;
	c->step_down_on_removal = o->step_down_on_removal;
	c->disable_proposal_forwarding = o->disable_proposal_forwarding;
	c->pre_vote = o->pre_vote;
	c->check_quorum = o->check_quorum;
	c->election_ticks = o->election_ticks;
	c->heartbeat_ticks = o->heartbeat_ticks;
	c->priority = o->priority;
	c->commit_groups = o->commit_groups;
	w->count[SIM_MIXED]++;
	sim_say(
	    w, "n%llu has the other configuration", (unsigned long long)n->id);
}
