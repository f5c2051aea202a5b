/* nemesis.c -- who acts on the cluster: faults and operators. */
#include "sim.h"

#include <stddef.h>

struct node *sim_leader(struct world *w)
{
	struct node *best = NULL;

	for (raft_id id = 1; id <= w->nodes; id++) {
		struct node *n = &w->node[id];

		if (n->up && n->raft->state == RAFT_LEADER &&
		    (best == NULL || n->raft->term > best->raft->term))
			best = n;
	}
	return best;
}

struct node *sim_any(struct world *w)
{
	return &w->node[1 + sim_below(w, w->nodes)];
}

/* ---- Faults ---- */

static void cut(struct world *w)
{
	bool one_way = sim_chance(w, 40);
	bool side[SIM_NODES + 1] = {false};
	unsigned kind = sim_below(w, 3);

	net_heal(w);
	if (kind == 0) /* one alone */
		side[sim_any(w)->id] = true;
	else if (kind == 1 && sim_leader(w) != NULL)
		side[sim_leader(w)->id] = true;
	else
		for (raft_id id = 1; id <= w->nodes; id++)
			side[id] = sim_chance(w, 50);
	for (raft_id a = 1; a <= w->nodes; a++)
		for (raft_id b = 1; b <= w->nodes; b++)
			w->cut[a][b] =
			    one_way ? side[a] && !side[b] : side[a] != side[b];
	w->count[one_way ? SIM_CUT_ONE_WAY : SIM_CUT]++;
	for (raft_id id = 1; id <= w->nodes; id++)
		if (side[id])
			sim_say(w, "cut%s: n%llu", one_way ? " one way" : "",
			    (unsigned long long)id);
}

static void set_cut(struct world *w, raft_id a, raft_id b)
{
	w->cut[a][b] = w->cut[b][a] = true;
}

static void crash(struct world *w)
{
	struct node *n = sim_chance(w, 40) ? sim_leader(w) : sim_any(w);

	if (n == NULL || !n->up)
		return;
	if (sim_chance(w, 40)) {
		n->write_cut = true;
		return;
	}
	node_crash(n);
	node_restart_in(
	    n, w->t.slower * (5 + sim_below(w, sim_chance(w, 50) ? 60 : 1500)));
}

/* A link, or all links from one node, hold what they are given; later they
 * let it through, in order. */
static void clog_link(struct world *w)
{
	raft_id from = sim_any(w)->id, to = sim_any(w)->id;
	uint64_t until = w->now + 50 + sim_below(w, 1200);
	bool all = sim_chance(w, 40);

	for (raft_id id = 1; id <= w->nodes; id++)
		if (all || id == to)
			w->clog[from][id] = until;
	sim_say(w, "n%llu to %s%llu is clogged until %llu ms",
	    (unsigned long long)from, all ? "all, also n" : "n",
	    (unsigned long long)to, (unsigned long long)until);
}

static void disk_error(struct world *w)
{
	struct node *n = sim_any(w);

	if (!n->up)
		return;
	if (sim_chance(w, 50))
		n->write_fails = true;
	else
		n->read_fails = true;
	sim_say(w, "n%llu: the next %s of its disk fails",
	    (unsigned long long)n->id, n->write_fails ? "write" : "read");
}

/* First what would be appended is refused; if others fill the rest of the
 * disk all the same, writes fail. */
static void full_disk(struct world *w)
{
	struct node *n = sim_any(w);

	n->low_until = w->now + 100 + sim_below(w, 1500);
	if (sim_chance(w, 60))
		n->full_until = w->now + 100 + sim_below(w, 800);
	sim_say(w, "n%llu has %s space", (unsigned long long)n->id,
	    n->full_until > w->now ? "no" : "little");
}

static void pause_one(struct world *w)
{
	struct node *n = sim_chance(w, 50) ? sim_leader(w) : sim_any(w);
	unsigned ms = 50 + sim_below(w, 1000);

	if (n == NULL || !n->up || w->now < n->paused_until)
		return;
	n->paused_until = w->now + ms * w->t.slower;
	n->missed_ticks = w->t.burst ? ms / SIM_TICK_MS : 0;
	w->count[SIM_PAUSE]++;
	sim_say(w, "n%llu pauses for %u ms", (unsigned long long)n->id,
	    ms * w->t.slower);
}

static void slow_disk(struct world *w)
{
	sim_any(w)->append.slow_until = w->now + 100 + sim_below(w, 1000);
	w->count[SIM_SLOW_DISK]++;
}

/* Some apply late what they know to be committed. */
static void slow_apply(struct world *w)
{
	uint64_t until = w->now + 500 + sim_below(w, 2000);

	for (raft_id id = 1; id <= w->nodes; id++)
		if (sim_chance(w, 40))
			w->node[id].apply.slow_until = until;
	w->count[SIM_SLOW_APPLY]++;
}

/* ---- Operators ---- */

static void transfer(struct world *w)
{
	struct node *n = sim_chance(w, 80) ? sim_leader(w) : sim_any(w);

	if (n == NULL || !n->up || w->now < n->paused_until)
		return;
	if (raft_transfer_leader(n->raft, sim_any(w)->id) == RAFT_OK)
		w->count[SIM_TRANSFER]++;
	node_after(n);
}

static void campaign(struct world *w)
{
	struct node *n = sim_any(w);

	if (!n->up || w->now < n->paused_until)
		return;
	if (sim_chance(w, 50)) {
		w->count[SIM_CAMPAIGN]++;
		raft_campaign(n->raft);
	} else {
		w->count[SIM_FORGET]++;
		raft_forget_leader(n->raft);
	}
	node_after(n);
}

/* A change takes effect when it is applied.  If fewer of the old voters stay
 * than their quorum, and the leader is lost before they hear of the commit,
 * they cannot elect one of themselves: no operator may ask for that. */
static bool enough_stay(
    const struct raft_conf_state *old, const struct raft_conf_change *c)
{
	size_t stay = old->voters_n;

	for (size_t k = 0; k < old->voters_n; k++)
		for (size_t i = 0; i < c->n; i++)
			if (c->changes[i].id == old->voters[k] &&
			    c->changes[i].type != RAFT_ADD_VOTER) {
				stay--;
				break;
			}
	return stay > old->voters_n / 2;
}

static bool only_adds(const struct raft_conf_change *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->changes[i].type == RAFT_REMOVE ||
		    c->changes[i].type == RAFT_ADD_LEARNER)
			return false;
	return true;
}

static void change(struct world *w)
{
	static const enum raft_change_type types[] = {
	    RAFT_ADD_VOTER, RAFT_ADD_VOTER, RAFT_REMOVE, RAFT_ADD_LEARNER};
	struct node *n = sim_chance(w, 85) ? sim_leader(w) : sim_any(w);
	struct raft_conf_change c = {.n = 1};

	if (n == NULL || !n->up || w->now < n->paused_until)
		return;
	/* Where disks get lost, only the leader asks, and one at a time. */
	if ((w->t.losses || w->t.repairs) &&
	    (n->raft->state != RAFT_LEADER || loss_replace(w, n)))
		return;
	if (n->raft->tracker.conf.voters_outgoing_n > 0 && sim_chance(w, 70)) {
		c.n = 0;
	} else if (sim_chance(w, 40)) {
		c.n = 1 + sim_below(w, 3);
		c.transition = sim_chance(w, 60) ? RAFT_JOINT_IMPLICIT
						 : RAFT_JOINT_EXPLICIT;
	}
	for (size_t i = 0; i < c.n; i++)
		c.changes[i] = (struct raft_change){
		    types[sim_below(w, 4)], sim_any(w)->id};
	for (size_t i = 0; i < c.n; i++)
		if (w->node[c.changes[i].id].lost)
			return;
	/* What is forwarded may arrive much later: only the leader shrinks. */
	if (!enough_stay(&n->raft->tracker.conf, &c) ||
	    (n->raft->state != RAFT_LEADER && !only_adds(&c)))
		return;
	raft_propose_conf_change(n->raft, &c);
	node_after(n);
}

static void compact(struct world *w)
{
	struct node *n = sim_any(w);

	if (!n->up)
		return;
	disk_compact(n);
	node_after(n);
}

/* ---- Stories ---- */

/* The leader and one other, or none, apart from the rest. */
static void churn(struct world *w)
{
	struct node *leader = sim_leader(w);
	raft_id with = sim_any(w)->id;

	net_heal(w);
	if (leader == NULL || sim_chance(w, 20))
		return;
	if (sim_chance(w, 50)) {
		node_crash(leader);
		node_restart_in(leader, 20 + sim_below(w, 300));
		return;
	}
	for (raft_id id = 1; id <= w->nodes; id++)
		if (id != leader->id && id != with)
			set_cut(w, leader->id, id);
}

/* Two join or leave at once; then two that have not applied it are alone. */
static void lag(struct world *w)
{
	struct node *leader = sim_leader(w);
	struct raft_conf_change c = {
	    RAFT_JOINT_IMPLICIT, 2, {{RAFT_ADD_VOTER, 4}, {RAFT_ADD_VOTER, 5}}};
	raft_id a = sim_any(w)->id, b = sim_any(w)->id;

	net_heal(w);
	if (leader == NULL || leader->paused_until > w->now)
		return;
	switch (w->stage++ % 3) {
	case 0:
		slow_apply(w);
		leader->apply.slow_until = 0;
		if (id_in(leader->raft->tracker.conf.voters,
			leader->raft->tracker.conf.voters_n, 5))
			c.changes[0].type = c.changes[1].type = RAFT_REMOVE;
		if (enough_stay(&leader->raft->tracker.conf, &c))
			raft_propose_conf_change(leader->raft, &c);
		node_after(leader);
		break;
	case 1:
		for (raft_id id = 1; id <= w->nodes; id++)
			if (id != a && id != b) {
				set_cut(w, a, id);
				set_cut(w, b, id);
			}
		break;
	default: break;
	}
}

/* Two of five leave or come back.  The leader is slow to apply it and stays
 * with two others, a majority of the five; those who remain know of the joint,
 * and are a majority of the three, but not of both. */
static void joint(struct world *w)
{
	struct node *leader = sim_leader(w);
	struct raft_conf_change c = {RAFT_JOINT_EXPLICIT, 2, {{RAFT_NOP, 0}}};
	raft_id a, b;

	if (w->stage % 3 == 0)
		net_heal(w);
	if (leader == NULL || leader->paused_until > w->now)
		return;
	a = 1 + leader->id % 5;
	b = 1 + a % 5;
	switch (w->stage++ % 3) {
	case 0:
		if (leader->raft->tracker.conf.voters_outgoing_n > 0) {
			c.n = 0;
			c.transition = RAFT_AUTO;
		} else {
			bool back = leader->raft->tracker.conf.voters_n == 5;

			leader->apply.slow_until = w->now + 1500;
			c.changes[0] = (struct raft_change){
			    back ? RAFT_REMOVE : RAFT_ADD_VOTER, a};
			c.changes[1] = (struct raft_change){
			    back ? RAFT_REMOVE : RAFT_ADD_VOTER, b};
		}
		raft_propose_conf_change(leader->raft, &c);
		node_after(leader);
		break;
	case 1:
		for (raft_id x = 1; x <= 5; x++)
			for (raft_id y = 1; y <= 5; y++)
				if ((x == leader->id || x == a || x == b) &&
				    y != leader->id && y != a && y != b)
					set_cut(w, x, y);
		break;
	default: break;
	}
}

static const struct act {
	unsigned weight;
	void (*act)(struct world *w);
	size_t allowed; /* where in struct tuning */
} acts[] = {
#define IF(member) offsetof(struct tuning, member)
    {2, cut, IF(cuts)},
    {1, net_heal, IF(cuts)},
    {1, clog_link, IF(clogs)},
    {2, crash, IF(crashes)},
    {1, pause_one, IF(pauses)},
    {1, slow_disk, IF(slow_disks)},
    {1, slow_apply, IF(slow_apply)},
    {2, disk_error, IF(disk_errors)},
    {1, full_disk, IF(full_disks)},
    {4, loss_damage, IF(losses)},
    {3, loss_wipe, IF(losses)},
    {1, transfer, IF(transfers)},
    {1, campaign, IF(transfers)},
    {3, change, IF(changes)},
    {2, compact, IF(compaction)},
#undef IF
};

static void mischief(struct world *w)
{
	const size_t n = sizeof(acts) / sizeof(acts[0]);
	unsigned draw = sim_below(w, 26);

	for (size_t i = 0; i < n; draw -= acts[i++].weight) {
		const bool *allowed =
		    (const bool *)((const char *)&w->t + acts[i].allowed);

		if (draw >= acts[i].weight)
			continue;
		if (*allowed)
			acts[i].act(w);
		return;
	}
}

void nemesis_act(struct world *w)
{
	const struct tuning *t = &w->t;

	if (w->healing)
		return;
	switch (t->story) {
	case STORY_NONE:
		if (t->repairs && sim_chance(w, 80))
			repair_act(w);
		else
			mischief(w);
		break;
	case STORY_CHURN: churn(w); break;
	case STORY_LAG: lag(w); break;
	case STORY_JOINT: joint(w); break;
	case STORY_PLACE: far_story(w); break;
	}
	sim_schedule(w, (struct event){.at = w->now + t->nemesis_ms / 2 +
					     sim_below(w, t->nemesis_ms),
			    .kind = EV_NEMESIS});
}
