/* repair.c -- logs that are damaged, set aside and fetched again (ADR 0017).
 *
 * A node whose log is found damaged at a start keeps term and vote and what its
 * machine durably holds; sometimes that is lost too.  What nodes say to each
 * other about it goes its own way: late, doubled, lost, answered by who led
 * once.  Only in seeds of a class of their own. */
#include "sim.h"

#include <stdlib.h>

#define ULL(x) ((unsigned long long)(x))
#define ONE_OF 16
#define TURN 9

void repair_tune(struct world *w)
{
	struct tuning *t = &w->t;

	if (w->seed % ONE_OF != TURN)
		return;
	t->repairs = true;
	t->story = STORY_NONE;
	t->losses = false;
	t->crashes = true;
	t->nemesis_ms = 60 + sim_below(w, 80);
	t->client_ms += 15;
	t->run_ms += 4000;
	t->flush = 20 + sim_below(w, 81);
	if (sim_chance(w, 30))
		t->delay_max = 30 + sim_below(w, 100);
	if (sim_chance(w, 50))
		t->voters = 3;
	if (t->drop > 100 && sim_chance(w, 70))
		t->drop /= 10;
	/* One of both (see tune.c); and who led once may go on to answer. */
	t->pre_vote = sim_chance(w, 80);
	t->check_quorum = !t->pre_vote || sim_chance(w, 40);
	t->burst = sim_chance(w, 20);
}

/* ---- The loss ---- */

void repair_forget(struct node *n, raft_index applied, raft_term term)
{
	struct disk *d = &n->disk;

	if (disk_last(d) > d->lost_upto)
		d->lost_upto = disk_last(d);
	if (d->machine_lost)
		n->machine = d->machine = (struct machine){0};
	n->w->count[SIM_LOG_LOST]++;
	n->w->count[SIM_STATE_LOST] += d->machine_lost;
	d->repairing = true;
	d->damaged = d->machine_lost = false;
	d->base = d->hard.commit = d->commit_synced = applied;
	d->base_term = term;
	d->n = 0;
	sim_say(n->w, "n%llu has set its log aside; it begins after %llu",
	    ULL(n->id), ULL(applied));
}

/* The model's disk: its log holds the last entry that its machine does. */
void repair_found(struct node *n)
{
	const struct disk *d = &n->disk;
	raft_index i = d->machine.applied;

	if (d->machine_lost)
		repair_forget(n, 0, 0);
	else
		repair_forget(
		    n, i, i == d->base ? d->base_term : disk_entry(d, i)->term);
}

/* Those that can vote must be a quorum without it. */
static bool may_forget(struct world *w, const struct node *n)
{
	const struct node *leader = sim_leader(w);
	const struct raft_conf_state *c;
	size_t gone = 1;

	if (leader == NULL || n->lost || n->disk.damaged || n->disk.n == 0)
		return false;
	/* Of a second loss a real store does not tell. */
	if (n->disk.repairing && sim_store != NULL)
		return false;
	c = &leader->raft->tracker.conf;
	for (size_t i = 0; i < c->voters_n; i++) {
		const struct node *o = &w->node[c->voters[i]];

		if (o->lost)
			return false;
		gone += o != n && (o->disk.damaged || o->disk.repairing);
	}
	return gone <= (c->voters_n - 1) / 2 && loss_settled(w, n, c);
}

static void strike(struct node *n)
{
	struct world *w = n->w;

	loss_spoil(n);
	n->disk.machine_lost = sim_chance(w, 30);
	if (n->up && sim_chance(w, 97)) {
		node_crash(n);
		node_restart_in(n, 5 + sim_below(w, 60));
	}
}

/* One on that side, but that one. */
static struct node *lose(struct world *w, bool minority, raft_id spared)
{
	struct node *n = sim_any(w);

	for (size_t i = 0; i < SIM_NODES; i++) {
		if (n->id != spared && w->minority[n->id] == minority &&
		    may_forget(w, n)) {
			strike(n);
			return n;
		}
		n = &w->node[1 + n->id % w->nodes];
	}
	return NULL;
}

/* ---- Who acts on it ---- */

static void apart(struct world *w, const bool *side)
{
	net_heal(w);
	for (raft_id a = 1; a <= w->nodes; a++)
		for (raft_id b = 1; b <= w->nodes; b++)
			w->cut[a][b] = side[a] != side[b];
}

static void cut_off_some(struct world *w, const struct node *leader)
{
	size_t few = (w->t.voters - 1) / 2;

	for (raft_id id = 1; id <= SIM_NODES; id++)
		w->minority[id] = false;
	if (leader != NULL && sim_chance(w, 50))
		w->minority[leader->id] = few-- > 0;
	while (few-- > 0)
		w->minority[1 + sim_below(w, w->t.voters)] = true;
	apart(w, w->minority);
}

/* One of those that go on loses its log, and is alone with who was cut off:
 * together they may be as many as elect.  Or its leader falls, and does not
 * know any more what it committed. */
static void turn(struct world *w, struct node *leader)
{
	struct node *n = lose(w, false, leader->id);

	if (n == NULL)
		return;
	w->minority[n->id] = true;
	if (sim_chance(w, 60)) {
		apart(w, w->minority);
	} else if (leader->up) {
		net_heal(w);
		node_crash(leader);
		node_restart_in(leader, 5 + sim_below(w, 50));
	}
}

/* Others lead by now: who is cut off must not answer from what was once so. */
static void read_there(struct world *w)
{
	for (raft_id id = 1; id <= w->nodes; id++) {
		struct node *n = &w->node[id];

		if (!w->minority[id] || !n->up || w->now < n->paused_until)
			continue;
		client_read(n);
		node_after(n);
	}
}

static bool any_marked(const struct world *w)
{
	for (raft_id id = 1; id <= w->nodes; id++)
		if (w->node[id].disk.repairing || w->node[id].disk.damaged)
			return true;
	return false;
}

/* Some are cut off, the leader perhaps; the others go on without them. */
void repair_act(struct world *w)
{
	struct node *leader = sim_leader(w);

	switch (w->stage) {
	case 0: cut_off_some(w, leader); break;
	case 1:
		if (leader == NULL || w->minority[leader->id]) {
			w->stage = sim_chance(w, 95) ? 1 : 0;
			return;
		}
		read_there(w);
		if (sim_chance(w, 50))
			return;
		turn(w, leader);
		break;
	case 2:
		if (sim_chance(w, 75)) /* an election takes its time */
			return;
		break;
	default:
		net_heal(w);
		if (sim_chance(w, 10))
			lose(w, sim_chance(w, 50), 0);
		if (any_marked(w) && sim_chance(w, 90))
			return;
		break;
	}
	w->stage = (w->stage + 1) % 4;
}

static raft_id led_before(const struct world *w, const struct node *leader)
{
	raft_term t = leader->raft->term;

	while (t > 0 && (w->leader_of[t] == 0 || w->leader_of[t] == leader->id))
		t--;
	return w->leader_of[t];
}

/* Those that have everything are gone at once: had it too little, they would
 * be missed. */
static void pounce(struct world *w, const struct node *n)
{
	struct node *leader = sim_leader(w);
	raft_id before;

	if (leader == NULL || leader == n || w->healing || sim_chance(w, 50))
		return;
	before = led_before(w, leader);
	for (raft_id id = 1; id <= w->nodes; id++)
		w->minority[id] =
		    id == leader->id || (id == before && w->t.voters > 4);
	apart(w, w->minority);
	w->stage = 2;
}

/* ---- What nodes say ---- */

static void put(struct node *n, raft_id to, unsigned delay)
{
	struct raft_repair *said = malloc(sizeof(*said));

	if (said == NULL)
		abort();
	raft_repair_say(n->raft, to, said);
	sim_schedule(n->w, (struct event){.at = n->w->now + delay,
			       .kind = EV_SAID,
			       .node = to,
			       .src = n->id,
			       .said = said});
}

/* The mark goes once what was lost is back. */
static void see(struct node *n, unsigned flushes)
{
	raft_index upto;

	if (!n->disk.repairing)
		return;
	if (sim_chance(n->w, flushes))
		disk_flush(n);
	if (!raft_repair_done(n->raft, n->disk.machine.applied, &upto))
		return;
	if (sim_store != NULL)
		sim_store->repaired(n);
	n->disk.repairing = false;
	n->disk.lost_upto = 0;
	raft_repaired(n->raft);
	n->w->count[SIM_REPAIRED]++;
	sim_say(
	    n->w, "n%llu is whole again, up to %llu", ULL(n->id), ULL(upto));
	n->w->whole_again = n->id;
	pounce(n->w, n);
}

static void next(struct node *n, unsigned ms)
{
	sim_schedule(
	    n->w, (struct event){.at = n->w->now + 1 + sim_below(n->w, ms),
		      .kind = EV_SAY,
		      .node = n->id,
		      .incarnation = n->incarnation});
}

void repair_booted(struct node *n)
{
	if (n->w->t.repairs)
		next(n, 10);
}

void repair_say(struct node *n, unsigned incarnation)
{
	struct world *w = n->w;

	if (!n->up || n->incarnation != incarnation)
		return;
	for (raft_id to = 1; to <= w->nodes; to++) {
		if (to == n->id)
			continue;
		put(n, to, 1 + sim_below(w, w->t.delay_max));
		if (!w->healing && sim_chance(w, 10))
			put(n, to, 100 + sim_below(w, 3000));
	}
	see(n, 50);
	/* A second time, while answers of then are still under way. */
	if (n->id == w->whole_again && !w->healing && sim_chance(w, 5) &&
	    may_forget(w, n)) {
		w->whole_again = 0;
		strike(n);
	}
	next(n, n->disk.repairing ? 15 : 120);
}

void repair_said(struct world *w, struct event *e)
{
	struct node *n = &w->node[e->node];

	if (w->now < w->clog[e->src][e->node]) {
		e->at = w->clog[e->src][e->node];
		sim_schedule(w, *e);
		e->said = NULL;
		return;
	}
	if (w->cut[e->src][e->node] || !n->up ||
	    (!w->healing && sim_below(w, 1000) < w->t.drop))
		return;
	if (raft_repair_hear(n->raft, e->src, e->said)) {
		sim_say(w, "n%llu hears that n%llu lost its log", ULL(n->id),
		    ULL(e->src));
		put(n, e->src, 1 + sim_below(w, w->t.delay_max));
		for (size_t i = 0; i < 3 && !w->healing; i++)
			put(n, e->src, 50 + sim_below(w, 800));
	}
	see(n, 20);
	node_after(n);
}
