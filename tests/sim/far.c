/* far.c -- clusters a continent apart: links of 30 to 200 ms each way, not the
 * same both ways, and lossy in one direction more than in the other.  Nodes are
 * in three places, some places lead rather than others, and a commit wants two
 * of them.  Ticks follow the round trips that are measured, as those of a real
 * node do; all else that takes time here takes so much longer. */
#include "sim.h"

#include <string.h>

/* One seed of sixteen: the others stay what they are. */
#define ONE_OF 16
#define TURN 5
#define ELECTION_MS (SIM_TICK_MS * SIM_ELECTION_TICKS)
#define IN_TOUCH_MS 10000 /* as a node has it */

#define ULL(x) ((unsigned long long)(x))

static unsigned link_ms(const struct world *w, raft_id from, raft_id to)
{
	return w->t.link_ms[w->t.place[from]][w->t.place[to]];
}

/* Those in a place that is cut off know for some time no better than that they
 * lead, and what they then answer may be old. */
static void tune_story(struct world *w)
{
	struct tuning *t = &w->t;

	t->story = STORY_PLACE;
	t->nemesis_ms = 400 + sim_below(w, 400);
	t->client_ms = 5 + sim_below(w, 10);
	t->read = 30 + sim_below(w, 40);
	t->drop = 0;
	t->losses = t->burst = false;
	t->check_quorum = true;
	t->lease_ms = (SIM_ELECTION_TICKS - 1) *
		      (t->skew ? SIM_TICK_LEAST_MS : SIM_TICK_MS);
}

/* One place is cut off, rather the leader's; then it is not. */
void far_story(struct world *w)
{
	struct node *leader = sim_leader(w);
	bool one_way = sim_chance(w, 30);
	unsigned place = sim_below(w, SIM_PLACES);

	net_heal(w);
	if (w->stage++ % 2 == 1)
		return;
	if (leader != NULL && sim_chance(w, 80))
		place = w->t.place[leader->id];
	for (raft_id a = 1; a <= w->nodes; a++)
		for (raft_id b = 1; b <= w->nodes; b++) {
			bool from = w->t.place[a] == place;
			bool to = w->t.place[b] == place;

			w->cut[a][b] = one_way ? from && !to : from != to;
		}
	w->count[one_way ? SIM_CUT_ONE_WAY : SIM_CUT]++;
	sim_say(w, "cut%s: place %u", one_way ? " one way" : "", place);
}

void far_tune(struct world *w)
{
	struct tuning *t = &w->t;
	unsigned farthest = 0;

	t->slower = 1;
	if (w->seed % ONE_OF != TURN)
		return;
	t->far = true;
	/* As in a node.  Without it those whose timeouts are longest hear from
	 * those whose are shortest before their turn comes, and wait anew: one
	 * of no use as a leader keeps all others from being one. */
	t->pre_vote = true;
	if (sim_chance(w, 40))
		tune_story(w);
	for (int i = 0; i < SIM_PLACES; i++)
		for (int k = 0; k < SIM_PLACES; k++)
			if (i != k) {
				t->link_ms[i][k] = 30 + sim_below(w, 171);
				t->link_drop[i][k] = sim_below(w, 150);
			}
	/* Often a majority of the voters is in one place. */
	for (raft_id id = 1; id <= SIM_NODES; id++)
		t->place[id] = id == 2             ? 1
			       : sim_chance(w, 60) ? 0
						   : sim_below(w, SIM_PLACES);
	for (int i = 0; i < SIM_PLACES; i++) {
		t->priority[i] = sim_below(w, 4);
		for (int k = 0; k < SIM_PLACES; k++)
			if (t->link_ms[i][k] + t->link_ms[k][i] > farthest)
				farthest = t->link_ms[i][k] + t->link_ms[k][i];
	}
	t->slower =
	    pace_tick_ms(SIM_TICK_MS, ELECTION_MS, farthest) / SIM_TICK_MS;
	t->run_ms *= t->slower;
	t->client_ms *= t->slower;
	t->nemesis_ms *= t->slower;
}

uint64_t far_place(void *ctx, raft_id id)
{
	const struct world *w = ctx;

	return w->t.place[id];
}

/* ---- Links ---- */

unsigned far_delay(struct world *w, raft_id from, raft_id to)
{
	unsigned ms = link_ms(w, from, to);

	w->count[SIM_FAR] += ms > 0;
	return ms;
}

bool far_lost(struct world *w, raft_id from, raft_id to)
{
	unsigned drop = w->t.link_drop[w->t.place[from]][w->t.place[to]];

	if (w->healing || drop == 0 || sim_below(w, 1000) >= drop)
		return false;
	w->count[SIM_FAR_LOST]++;
	return true;
}

/* ---- Pace ---- */

/* What two nodes tell each other all the time, and how long it takes; a node
 * that has just started has not heard it yet. */
static void measure(struct node *n, struct node *peer)
{
	struct world *w = n->w;
	uint64_t ms = link_ms(w, n->id, peer->id) + link_ms(w, peer->id, n->id);

	if (!peer->up || w->now < peer->paused_until ||
	    w->cut[n->id][peer->id] || w->cut[peer->id][n->id])
		return;
	ms += sim_below(w, w->t.delay_max);
	if (w->now < n->boot_ms + ms || w->now < peer->boot_ms + ms)
		return;
	rtt_note(&n->rtt[peer->id], w->now, ms);
	n->heard_ms[peer->id] = w->now;
}

unsigned far_tick_ms(struct node *n)
{
	struct world *w = n->w;
	uint64_t farthest = 0;
	unsigned ms;

	if (!w->t.far)
		return n->tick_ms;
	for (raft_id id = 1; id <= w->nodes; id++) {
		if (id == n->id)
			continue;
		measure(n, &w->node[id]);
		if (n->heard_ms[id] != 0 &&
		    w->now - n->heard_ms[id] < IN_TOUCH_MS &&
		    rtt_ms(&n->rtt[id]) > farthest)
			farthest = rtt_ms(&n->rtt[id]);
	}
	ms = pace_tick_ms(n->tick_ms, ELECTION_MS, farthest);
	if (ms != n->pace_ms) {
		w->count[SIM_PACE]++;
		sim_say(w, "n%llu: a tick is %u ms", ULL(n->id), ms);
	}
	n->pace_ms = ms;
	return ms;
}

void far_boot(struct node *n)
{
	n->boot_ms = n->w->now;
	n->pace_ms = n->tick_ms;
	memset(n->rtt, 0, sizeof(n->rtt));
	memset(n->heard_ms, 0, sizeof(n->heard_ms));
}

/* ---- Places ---- */

/* Of how many places these are, and in how many an entry is on a disk. */
struct places {
	size_t all, hold;
};

static struct places places(
    struct world *w, const raft_id *ids, size_t n, raft_index i, raft_term term)
{
	bool there[SIM_PLACES] = {false}, holds[SIM_PLACES] = {false};
	struct places p = {0, 0};

	for (size_t k = 0; k < n; k++) {
		there[w->t.place[ids[k]]] = true;
		holds[w->t.place[ids[k]]] |=
		    check_holds(&w->node[ids[k]], i, term);
	}
	for (int k = 0; k < SIM_PLACES; k++) {
		p.all += there[k];
		p.hold += holds[k];
	}
	return p;
}

/* What a leader commits that wants so many places is on disks in as many, or
 * in as many as the voters have. */
void far_check_commit(struct node *n, const raft_id *ids, size_t ids_n,
    raft_index i, raft_term term)
{
	unsigned want = n->raft->config.commit_groups;
	struct places p;

	if (want < 2)
		return;
	p = places(n->w, ids, ids_n, i, term);
	if (p.hold < want && p.hold < p.all)
		sim_fail(n->w,
		    "n%llu commits %llu/%llu, durable in %zu of %zu places",
		    ULL(n->id), ULL(term), ULL(i), p.hold, p.all);
}

/* The next entry is on the disks of a majority, and all in one place. */
void far_check_waits(struct node *n, raft_index last)
{
	const struct raft_conf_state *c = &n->raft->tracker.conf;
	raft_index i = n->raft->log.committed + 1;
	size_t holds = 0;
	struct places p;

	if (n->raft->config.commit_groups < 2 || i > last || i <= n->waits_for)
		return;
	for (size_t k = 0; k < c->voters_n; k++)
		holds +=
		    check_holds(&n->w->node[c->voters[k]], i, n->raft->term);
	p = places(n->w, c->voters, c->voters_n, i, n->raft->term);
	if (holds <= c->voters_n / 2 || p.hold > 1 || p.all < 2)
		return;
	n->w->count[SIM_WAIT_PLACE]++;
	n->waits_for = i;
}

/* ---- Priority ---- */

/* A voter refuses whom it would rather lead itself, and nobody else for that
 * reason: not one whose log is newer, nor one that was handed leadership, nor
 * if it could not lead. */
void far_check_vote(struct node *n, const struct raft_trace *t)
{
	const struct raft *r = t->raft;
	const struct raft_message *m = t->m;
	struct raft_entry_id own;
	bool pre, rather, may;

	if (t->kind != RAFT_TRACE_VOTE || m == NULL || m->term < r->term ||
	    m->priority >= r->config.priority || n->read_failed ||
	    r->config.repairing)
		return;
	n->w->checking = true;
	if (log_last(&r->log, &own) != RAFT_OK)
		own = (struct raft_entry_id){0, 0};
	n->w->checking = false;
	pre = m->type == RAFT_MSG_PRE_VOTE;
	rather = m->context != RAFT_CAMPAIGN_TRANSFER_CONTEXT &&
		 tracker_is_voter(&r->tracker, r->id) &&
		 r->log.snapshot == NULL && own.term == m->log_term &&
		 own.index == m->index;
	may = (r->vote == m->from || (r->vote == 0 && r->leader == 0) ||
		  (pre && m->term > r->term)) &&
	      (m->log_term > own.term ||
		  (m->log_term == own.term && m->index >= own.index));
	n->w->count[SIM_HUMBLE] += may && rather;
	if (t->a != (may && !rather))
		sim_fail(n->w, "n%llu %s n%llu, of lesser priority", ULL(n->id),
		    t->a != 0 ? "votes for" : "refuses", ULL(m->from));
}

/* ---- Losses ---- */

/* Those that remain can still commit what puts another in its place. */
bool far_may_lose(const struct world *w, const struct node *n,
    const struct raft_conf_state *c)
{
	bool there[SIM_PLACES] = {false};
	size_t left = 0;

	for (size_t k = 0; k < c->voters_n; k++)
		if (c->voters[k] != n->id)
			there[w->t.place[c->voters[k]]] = true;
	for (int k = 0; k < SIM_PLACES; k++)
		left += there[k];
	return !w->t.far || left > 1 || there[w->t.place[n->id]];
}
