/* nemesis.c -- who acts on the cluster: faults, operators and clients. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

static void tune_story(struct world *w)
{
	struct tuning *t = &w->t;
	unsigned draw = sim_below(w, 10);

	if (draw == 0) {
		t->story = STORY_CHURN;
		t->voters = t->nodes = 5;
		t->max_size = t->inflight = 1;
		t->nemesis_ms = 200 + sim_below(w, 300);
		t->client_ms = 5 + sim_below(w, 20);
		t->delay_max = 5 + sim_below(w, 40);
		t->pre_vote = sim_chance(w, 50);
		t->check_quorum = sim_chance(w, 50);
		t->drop = t->read = 0;
	} else if (draw == 1) {
		t->story = STORY_LAG;
		t->voters = 3;
		t->nodes = 5;
		t->nemesis_ms = 300 + sim_below(w, 200);
		t->drop = 0;
	} else if (draw == 2) {
		t->story = STORY_JOINT;
		t->voters = t->nodes = 5;
		t->nemesis_ms = 300 + sim_below(w, 200);
		t->delay_max = 2 + sim_below(w, 10);
		t->client_ms = 5 + sim_below(w, 20);
		t->drop = 0;
	}
}

void nemesis_tune(struct world *w)
{
	struct tuning *t = &w->t;
	bool quiet = sim_chance(w, 10);

	t->voters = 3 + sim_below(w, 3);
	t->nodes = t->voters + sim_below(w, SIM_NODES - t->voters + 1);
	t->drop = quiet || sim_chance(w, 30) ? 0 : sim_below(w, 300);
	t->duplicate = sim_chance(w, 40) ? 0 : sim_below(w, 100);
	t->replay = sim_chance(w, 50) ? 0 : sim_below(w, 60);
	t->delay_max = 2 + sim_below(w, sim_chance(w, 50) ? 10 : 60);
	t->disk_max = sim_chance(w, 30) ? 0 : sim_below(w, 40);
	t->client_ms = 5 + sim_below(w, 60);
	t->nemesis_ms = 60 + sim_below(w, 300);
	t->run_ms = 5000 + sim_below(w, 3000);
	t->lazy_ready = sim_chance(w, 50) ? 0 : sim_below(w, 60);
	t->flush = sim_chance(w, 30) ? 100 : sim_below(w, 60);
	t->read = sim_below(w, 50);
	t->pre_vote = sim_chance(w, 75);
	t->check_quorum = sim_chance(w, 75);
	t->step_down = sim_chance(w, 50);
	t->burst = sim_chance(w, 50);
	t->slow_apply = sim_chance(w, 40);
	t->changes = sim_chance(w, 60);
	t->crashes = !quiet && sim_chance(w, 75);
	t->cuts = !quiet && sim_chance(w, 75);
	t->pauses = !quiet && sim_chance(w, 40);
	t->compaction = sim_chance(w, 70);
	t->max_size = sim_chance(w, 50) ? 4096 : 20 + sim_below(w, 300);
	t->max_committed = sim_chance(w, 50) ? 0 : 20 + sim_below(w, 300);
	t->max_uncommitted = sim_chance(w, 50) ? 0 : 50 + sim_below(w, 2000);
	t->inflight = 1 + sim_below(w, sim_chance(w, 50) ? 4 : 64);
	t->inflight_bytes =
	    sim_chance(w, 70) ? 0 : t->max_size + sim_below(w, 500);
	tune_story(w);
	/* Without both, a member that may not campaign and got to a later term
	 * ignores its leader for ever: etcd's rule, kept. */
	if (!t->pre_vote && !t->check_quorum &&
	    (t->changes || t->story == STORY_LAG || t->story == STORY_JOINT))
		t->check_quorum = true;
}

struct node *sim_leader(struct world *w)
{
	struct node *best = NULL;

	for (raft_id id = 1; id <= w->t.nodes; id++) {
		struct node *n = &w->node[id];

		if (n->up && n->raft->state == RAFT_LEADER &&
		    (best == NULL || n->raft->term > best->raft->term))
			best = n;
	}
	return best;
}

static struct node *any(struct world *w)
{
	return &w->node[1 + sim_below(w, w->t.nodes)];
}

/* ---- Faults ---- */

static void cut(struct world *w)
{
	bool one_way = sim_chance(w, 40);
	bool side[SIM_NODES + 1] = {false};
	unsigned kind = sim_below(w, 3);

	net_heal(w);
	if (kind == 0) /* one alone */
		side[any(w)->id] = true;
	else if (kind == 1 && sim_leader(w) != NULL)
		side[sim_leader(w)->id] = true;
	else
		for (raft_id id = 1; id <= w->t.nodes; id++)
			side[id] = sim_chance(w, 50);
	for (raft_id a = 1; a <= w->t.nodes; a++)
		for (raft_id b = 1; b <= w->t.nodes; b++)
			w->cut[a][b] =
			    one_way ? side[a] && !side[b] : side[a] != side[b];
	w->count[one_way ? SIM_CUT_ONE_WAY : SIM_CUT]++;
	sim_say(w, "cut%s: %d%d%d%d%d%d", one_way ? " one way" : "", side[1],
	    side[2], side[3], side[4], side[5], side[6]);
}

static void set_cut(struct world *w, raft_id a, raft_id b)
{
	w->cut[a][b] = w->cut[b][a] = true;
}

static void crash(struct world *w)
{
	struct node *n = sim_chance(w, 40) ? sim_leader(w) : any(w);

	if (n == NULL || !n->up)
		return;
	node_crash(n);
	sim_schedule(w,
	    (struct event){
		.at = w->now + 5 + sim_below(w, sim_chance(w, 50) ? 60 : 1500),
		.kind = EV_RESTART,
		.node = n->id});
}

static void pause_one(struct world *w)
{
	struct node *n = sim_chance(w, 50) ? sim_leader(w) : any(w);
	unsigned ms = 50 + sim_below(w, 1000);

	if (n == NULL || !n->up || w->now < n->paused_until)
		return;
	n->paused_until = w->now + ms;
	n->missed_ticks = w->t.burst ? ms / SIM_TICK_MS : 0;
	w->count[SIM_PAUSE]++;
	sim_say(w, "n%llu pauses for %u ms", (unsigned long long)n->id, ms);
}

static void slow_disk(struct world *w)
{
	any(w)->append.slow_until = w->now + 100 + sim_below(w, 1000);
	w->count[SIM_SLOW_DISK]++;
}

/* Some apply late what they know to be committed. */
static void slow_apply(struct world *w)
{
	uint64_t until = w->now + 500 + sim_below(w, 2000);

	for (raft_id id = 1; id <= w->t.nodes; id++)
		if (sim_chance(w, 40))
			w->node[id].apply.slow_until = until;
	w->count[SIM_SLOW_APPLY]++;
}

/* ---- Operators ---- */

static void transfer(struct world *w)
{
	struct node *n = sim_chance(w, 80) ? sim_leader(w) : any(w);

	if (n == NULL || !n->up || w->now < n->paused_until)
		return;
	if (raft_transfer_leader(n->raft, any(w)->id) == RAFT_OK)
		w->count[SIM_TRANSFER]++;
	node_after(n);
}

static void campaign(struct world *w)
{
	struct node *n = any(w);

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
	struct node *n = sim_chance(w, 85) ? sim_leader(w) : any(w);
	struct raft_conf_change c = {.n = 1};

	if (n == NULL || !n->up || w->now < n->paused_until)
		return;
	if (n->raft->tracker.conf.voters_outgoing_n > 0 && sim_chance(w, 70)) {
		c.n = 0;
	} else if (sim_chance(w, 40)) {
		c.n = 1 + sim_below(w, 3);
		c.transition = sim_chance(w, 60) ? RAFT_JOINT_IMPLICIT
						 : RAFT_JOINT_EXPLICIT;
	}
	for (size_t i = 0; i < c.n; i++)
		c.changes[i] =
		    (struct raft_change){types[sim_below(w, 4)], any(w)->id};
	/* What is forwarded may arrive much later: only the leader shrinks. */
	if (!enough_stay(&n->raft->tracker.conf, &c) ||
	    (n->raft->state != RAFT_LEADER && !only_adds(&c)))
		return;
	raft_propose_conf_change(n->raft, &c);
	node_after(n);
}

static void compact(struct world *w)
{
	struct node *n = any(w);
	const struct disk *d = &n->disk;

	if (!n->up || d->machine.applied <= d->base)
		return;
	disk_compact(
	    n, d->base + 1 +
		   sim_below(w, (unsigned)(d->machine.applied - d->base)));
	check_node(n);
}

/* ---- Stories ---- */

/* The leader and one other, or none, apart from the rest. */
static void churn(struct world *w)
{
	struct node *leader = sim_leader(w);
	raft_id with = any(w)->id;

	net_heal(w);
	if (leader == NULL || sim_chance(w, 20))
		return;
	if (sim_chance(w, 50)) {
		node_crash(leader);
		sim_schedule(
		    w, (struct event){.at = w->now + 20 + sim_below(w, 300),
			   .kind = EV_RESTART,
			   .node = leader->id});
		return;
	}
	for (raft_id id = 1; id <= w->t.nodes; id++)
		if (id != leader->id && id != with)
			set_cut(w, leader->id, id);
}

/* Two join or leave at once; then two that have not applied it are alone. */
static void lag(struct world *w)
{
	struct node *leader = sim_leader(w);
	struct raft_conf_change c = {
	    RAFT_JOINT_IMPLICIT, 2, {{RAFT_ADD_VOTER, 4}, {RAFT_ADD_VOTER, 5}}};
	raft_id a = any(w)->id, b = any(w)->id;

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
		for (raft_id id = 1; id <= w->t.nodes; id++)
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

static void mischief(struct world *w)
{
	const struct tuning *t = &w->t;

	switch (sim_below(w, 15)) {
	case 0:
	case 1:
		if (t->cuts)
			cut(w);
		break;
	case 2: net_heal(w); break;
	case 3:
	case 4:
		if (t->crashes)
			crash(w);
		break;
	case 5:
		if (t->pauses)
			pause_one(w);
		break;
	case 6: slow_disk(w); break;
	case 7: transfer(w); break;
	case 8: campaign(w); break;
	case 9:
	case 10:
	case 11:
		if (t->changes)
			change(w);
		break;
	case 12:
		if (t->slow_apply)
			slow_apply(w);
		break;
	default:
		if (t->compaction)
			compact(w);
		break;
	}
}

void nemesis_act(struct world *w)
{
	const struct tuning *t = &w->t;

	if (w->healing)
		return;
	switch (t->story) {
	case STORY_NONE: mischief(w); break;
	case STORY_CHURN: churn(w); break;
	case STORY_LAG: lag(w); break;
	case STORY_JOINT: joint(w); break;
	}
	sim_schedule(w, (struct event){.at = w->now + t->nemesis_ms / 2 +
					     sim_below(w, t->nemesis_ms),
			    .kind = EV_NEMESIS});
}

/* ---- Clients ---- */

static int propose(struct node *n)
{
	uint8_t data[SIM_DATA] = {0};
	struct raft_span span = {data, 8 + sim_below(n->w, 40)};
	uint64_t value = n->w->next_value++;

	memcpy(data, &value, sizeof(value));
	return raft_propose(n->raft, &span, 1);
}

static void read_index(struct node *n)
{
	struct world *w = n->w;

	w->read =
	    sim_grow(w->read, &w->read_cap, w->read_n + 1, sizeof(*w->read));
	w->read[w->read_n++] =
	    (struct pending_read){w->next_context, w->max_commit};
	raft_read_index(n->raft, w->next_context++);
}

/* Linearizable: nothing that was committed when it was asked is missed. */
void client_read_done(struct node *n, const struct raft_read_state *s)
{
	struct world *w = n->w;

	for (size_t i = 0; i < w->read_n; i++) {
		if (w->read[i].context != s->context)
			continue;
		if (s->index < w->read[i].at_least)
			sim_fail(w, "stale read on n%llu: %llu, committed %llu",
			    (unsigned long long)n->id,
			    (unsigned long long)s->index,
			    (unsigned long long)w->read[i].at_least);
		w->count[SIM_READ]++;
		w->read[i] = w->read[--w->read_n];
		return;
	}
}

void client_act(struct world *w)
{
	struct node *n = sim_chance(w, 60) ? sim_leader(w) : any(w);

	if (w->healing)
		return;
	if (n != NULL && n->up && w->now >= n->paused_until) {
		if (sim_chance(w, w->t.read))
			read_index(n);
		else
			propose(n);
		node_after(n);
	}
	sim_schedule(w,
	    (struct event){.at = w->now + 1 + sim_below(w, 2 * w->t.client_ms),
		.kind = EV_CLIENT});
}

/* ---- Healing ---- */

static bool member(const struct node *leader, raft_id id)
{
	return tracker_find(&leader->raft->tracker, id) != NULL;
}

/* Members run, all others are switched off, as operators would do. */
static void set_members(struct world *w, struct node *leader)
{
	bool run[SIM_NODES + 1] = {false};

	for (raft_id id = 1; id <= w->t.nodes; id++)
		run[id] = leader == NULL || member(leader, id);
	for (raft_id id = 1; id <= w->t.nodes; id++) {
		struct node *n = &w->node[id];

		n->append.slow_until = n->apply.slow_until = 0;
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
	sim_schedule(w, (struct event){.at = w->now + 100, .kind = EV_HEAL});
	if (leader == NULL || !leader->up)
		return;
	if (leader->raft->tracker.conf.voters_outgoing_n > 0 &&
	    !leader->raft->tracker.conf.auto_leave) {
		raft_propose_conf_change(leader->raft, &leave);
	} else if (w->marker_term != leader->raft->term &&
		   propose(leader) == RAFT_OK) {
		log_last_index(&leader->raft->log, &w->marker);
		w->marker_term = leader->raft->term;
	}
	node_after(leader);
}

bool heal_done(struct world *w)
{
	struct node *leader = sim_leader(w);

	if (leader == NULL || w->marker == 0 ||
	    leader->raft->term != w->marker_term ||
	    leader->machine.applied < w->marker ||
	    leader->raft->tracker.conf.voters_outgoing_n > 0)
		return false;
	for (raft_id id = 1; id <= w->t.nodes; id++) {
		const struct node *n = &w->node[id];

		if (member(leader, id) &&
		    (!n->up || n->machine.applied != leader->machine.applied ||
			n->machine.hash != leader->machine.hash))
			return false;
	}
	return true;
}
