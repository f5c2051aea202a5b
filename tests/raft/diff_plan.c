/* diff_plan.c -- what a seed draws: a tuning, how likely each kind of step is,
 * and the steps, by what our side has on its way. */
#include <stdlib.h>
#include <string.h>

#include "diff.h"

static uint64_t draw(struct plan *p) /* splitmix64 */
{
	uint64_t z = (p->rng += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint32_t upto(struct plan *p, uint64_t n) /* 0..n-1 */
{
	return (uint32_t)(draw(p) % n);
}

static bool chance(struct plan *p, uint32_t percent)
{
	return upto(p, 100) < percent;
}

/* Mostly `usual`, else between lo and hi. */
static uint32_t mostly(struct plan *p, uint32_t usual, uint32_t lo, uint32_t hi)
{
	return chance(p, 50) ? usual : lo + upto(p, hi - lo + 1);
}

static void draw_tuning(struct plan *p, struct tuning *t)
{
	*t = (struct tuning){0}; /* one after the other: draws have an order */
	t->voters = chance(p, 85) ? 3 + upto(p, 3) : 1 + upto(p, 2);
	t->learners = chance(p, 25);
	t->election_ticks = 3 + upto(p, 8);
	t->heartbeat_ticks = 1 + chance(p, 25);
	t->max_size_per_msg = mostly(p, 1 << 20, 1, 200);
	t->max_committed_size = mostly(p, 0, 1, 200);
	t->max_inflight_msgs = mostly(p, 256, 1, 4);
	t->max_uncommitted = mostly(p, 0, 40, 300);
	t->check_quorum = chance(p, 60);
	t->pre_vote = chance(p, 60);
	t->no_forwarding = chance(p, 15);
	t->no_validation = chance(p, 5);
	t->step_down = chance(p, 40);
	t->async = chance(p, 70);
	t->early_votes = chance(p, 25);
	if (chance(p, 30)) /* not less than a message */
		t->max_inflight_bytes = t->max_size_per_msg + upto(p, 100);
	t->lease = t->check_quorum && chance(p, 20);
}

/* Spots that chance rarely finds: a member is cut off, needs a snapshot, and is
 * slow to store it and to apply what came before; or a leader is cut off, goes
 * on with entries that come to nothing, and takes those of another leader
 * before its disk is done with its own. */
static void tell_story(struct plan *p, struct tuning *t)
{
	p->story = chance(p, 50)   ? STORY_NONE
		   : chance(p, 60) ? STORY_BEHIND
				   : STORY_REPLACED;
	if (p->story == STORY_NONE)
		return;
	p->phase = PHASE_BACK;
	p->cut = p->stall = p->lose = 0;
	p->pace = 2 + upto(p, 6);
	if (chance(p, 70))
		p->twice = p->reorder = 0;
	p->weight[OP_CRASH] = chance(p, 30);
	p->weight[OP_CAMPAIGN] = p->story == STORY_REPLACED ? 20 : 4;
	p->weight[OP_PROPOSE] = 40;
	t->async = 1;
	t->voters = 3;
	t->learners = 0;
	t->election_ticks = 3 + upto(p, 3);
	if (p->story == STORY_REPLACED && chance(p, 70))
		t->check_quorum = t->pre_vote = t->lease = 0;
	if (p->story == STORY_BEHIND) {
		p->weight[OP_SNAPSHOT] = p->weight[OP_COMPACT] = 100;
		p->weight[OP_CHANGE] = 20;
		p->weight[OP_REPORT] = 30;
	}
}

void plan_draw(uint64_t seed, struct plan *p, struct tuning *t)
{
	static const uint32_t usual[OP_KINDS] = {[OP_TICK] = 40,
	    [OP_DELIVER] = 300,
	    [OP_DISK] = 200,
	    [OP_APPLY] = 120,
	    [OP_READY] = 100,
	    [OP_PROPOSE] = 24,
	    [OP_CHANGE] = 10,
	    [OP_TRANSFER] = 3,
	    [OP_READ] = 12,
	    [OP_CAMPAIGN] = 2,
	    [OP_FORGET] = 2,
	    [OP_UNREACHABLE] = 3,
	    [OP_REPORT] = 3,
	    [OP_SNAPSHOT] = 16,
	    [OP_COMPACT] = 16,
	    [OP_CRASH] = 2,
	    [OP_RESTART] = 40};
	static const uint32_t times[] = {0, 1, 1, 2, 4};

	*p = (struct plan){.rng = seed * 0x2545f4914f6cdd1du + 1};
	draw_tuning(p, t);
	for (int i = 0; i < OP_KINDS; i++)
		p->weight[i] =
		    usual[i] *
		    (i < OP_PROPOSE || i == OP_RESTART ? 1 : times[upto(p, 5)]);
	p->ready = chance(p, 50) ? 100 : 30 + upto(p, 70);
	p->lose = chance(p, 50) ? 0 : upto(p, 20);
	p->twice = chance(p, 50) ? 0 : upto(p, 20);
	p->reorder = chance(p, 50) ? 0 : upto(p, 50);
	p->cut = chance(p, 50) ? 0 : 1 + upto(p, 3);
	p->stall = chance(p, 50) ? 0 : 1 + upto(p, 5);
	p->pace = 2 + upto(p, 20);
	tell_story(p, t);
}

uint32_t plan_length(const struct plan *p, uint32_t steps)
{
	return p->story == STORY_NONE ? steps : 3 * steps;
}

void plan_free(struct plan *p)
{
	free(p->waiting);
}

/* ---- Messages on their way ---- */

static void look(struct plan *p)
{
	for (; p->known < p->w->sent_n; p->known++) {
		p->waiting = grown(p->waiting, &p->waiting_cap,
		    p->waiting_n + 1, sizeof(*p->waiting));
		p->waiting[p->waiting_n++] = (uint32_t)p->known;
	}
}

static uint32_t take(struct plan *p, size_t i)
{
	uint32_t id = p->waiting[i];

	memmove(&p->waiting[i], &p->waiting[i + 1],
	    (--p->waiting_n - i) * sizeof(*p->waiting));
	return id;
}

/* What our core refuses to a leader that is the only voter, or that no longer
 * votes: etcd's answers at once (docs/raft.md). */
static bool lone(const struct raft *r)
{
	return r->state == RAFT_LEADER && r->tracker.conf.voters_n == 1 &&
	       r->tracker.conf.voters_outgoing_n == 0 &&
	       (r->tracker.conf.voters[0] != r->id ||
		   !leader_committed_own_term((struct raft *)r));
}

static bool over_quota(const struct raft *r, size_t bytes)
{
	return r->state == RAFT_LEADER && r->config.max_uncommitted_size > 0 &&
	       r->uncommitted_size > 0 &&
	       r->uncommitted_size + bytes > r->config.max_uncommitted_size;
}

/* Is this one of the cases in which the two are meant to differ? */
static bool excepted(const struct raft *r, const struct raft_message *m)
{
	raft_index last = 0;

	switch (m->type) {
	case RAFT_MSG_APP_RESP:
		log_last_index(&r->log, &last);
		return r->state == RAFT_LEADER && !m->reject && m->index > last;
	case RAFT_MSG_READ_INDEX: return lone(r);
	case RAFT_MSG_PROP:
		return m->entries[0].type == RAFT_ENTRY_CONF_CHANGE &&
		       over_quota(r, raft_payload(m->entries, m->entries_n));
	case RAFT_MSG_TRANSFER_LEADER:
		return r->state == RAFT_FOLLOWER && r->leader != 0 &&
		       m->term == r->term;
	default: return false;
	}
}

static bool passes(struct plan *p, const struct raft_message *m)
{
	const struct raft *r =
	    m->to <= DIFF_NODES ? p->w->node[m->to].raft : NULL;

	return r != NULL && p->apart[m->from] == p->apart[m->to] &&
	       !excepted(r, m);
}

/* The next message that arrives; false: none. */
static bool deliver(struct plan *p, struct op *op)
{
	uint64_t *count = p->w->count;

	if (p->known > 0 && p->twice > 0 && chance(p, p->twice)) {
		size_t span = p->known < 200 ? p->known : 200;

		op->a = (uint32_t)(p->known - 1 - upto(p, span));
		if (passes(p, p->w->sent[op->a])) {
			count[COUNT_TWICE]++;
			op->node = (uint32_t)p->w->sent[op->a]->to;
			return true;
		}
	}
	while (p->waiting_n > 0) {
		bool late = chance(p, p->reorder);

		op->a = take(p, late ? upto(p, p->waiting_n) : 0);
		if (!passes(p, p->w->sent[op->a]) || chance(p, p->lose)) {
			count[COUNT_LOST]++;
			continue;
		}
		count[COUNT_REORDERED] += late;
		op->node = (uint32_t)p->w->sent[op->a]->to;
		return true;
	}
	return false;
}

/* ---- The other kinds ---- */

/* Mostly a member, as far as it knows itself. */
static struct node *some_node(struct plan *p, bool up)
{
	uint32_t first = upto(p, DIFF_NODES);
	bool any = chance(p, 10);
	struct node *found = NULL;

	for (uint32_t i = 0; i < DIFF_NODES; i++) {
		struct node *n = &p->w->node[1 + (first + i) % DIFF_NODES];

		if ((n->raft != NULL) != up)
			continue;
		if (any || !up ||
		    tracker_find(&n->raft->tracker, n->id) != NULL)
			return n;
		found = n;
	}
	return found;
}

static struct node *the_leader(struct plan *p)
{
	struct node *found = NULL;

	for (raft_id id = 1; id <= DIFF_NODES; id++) {
		struct node *n = &p->w->node[id];

		if (n->raft != NULL && n->raft->state == RAFT_LEADER &&
		    (found == NULL || n->raft->term > found->raft->term))
			found = n;
	}
	return found;
}

/* Without a leader most of what it is asked would come to nothing. */
static struct node *leader_or_any(struct plan *p)
{
	struct node *n = the_leader(p);

	if (n == NULL)
		return chance(p, 10) ? some_node(p, true) : NULL;
	return chance(p, 75) ? n : some_node(p, true);
}

static bool propose(struct plan *p, struct op *op)
{
	struct node *n = leader_or_any(p);

	if (n == NULL)
		return false;
	op->node = (uint32_t)n->id;
	op->a = 1 + (chance(p, 25) ? upto(p, 4) : 0);
	op->b = 1 + upto(p, chance(p, 20) ? DIFF_DATA : 12);
	op->c = ++p->marks;
	return true;
}

/* One change that does something, most of the time. */
static uint32_t one_change(struct plan *p, const struct raft *r)
{
	raft_id id = 1 + upto(p, DIFF_NODES);
	const struct raft_conf_state *c = &r->tracker.conf;
	bool voter = id_in(c->voters, c->voters_n, id);

	if (chance(p, 10))
		return CHANGE_BITS(upto(p, 4), id);
	if (!voter)
		return CHANGE_BITS(
		    chance(p, 70) ? RAFT_ADD_VOTER : RAFT_ADD_LEARNER, id);
	if (c->voters_n <= 2 && chance(p, 75))
		return CHANGE_BITS(RAFT_NOP, id);
	return CHANGE_BITS(chance(p, 70) ? RAFT_REMOVE : RAFT_ADD_LEARNER, id);
}

static bool change(struct plan *p, struct op *op)
{
	struct node *n = leader_or_any(p);
	const struct raft *r;
	bool joint;

	if (n == NULL)
		return false;
	r = n->raft;
	joint = r->tracker.conf.voters_outgoing_n > 0;
	op->node = (uint32_t)n->id;
	if (chance(p, joint ? 70 : 5)) {
		op->a = RAFT_AUTO; /* leave */
	} else {
		op->a = chance(p, 60) ? (uint32_t)RAFT_AUTO : upto(p, 3);
		op->c = 1 + (chance(p, 40) ? upto(p, 3) : 0);
		for (uint32_t i = 0; i < op->c; i++)
			op->b |= one_change(p, r) << (8 * i);
		if (op->c > 1 && chance(p, 15)) /* one goes, and comes back */
			op->b = (op->b & ~0xffffu) |
				CHANGE_BITS(RAFT_REMOVE, op->b & 15) |
				(op->b & 0xff) << 8;
	}
	if (chance(p, 15))
		op->flags |= OP_TWO_CHANGES;
	return !over_quota(r, op->c == 0 ? 0 : 2 * (2 + 9 * op->c));
}

/* A peer that this node knows; false: none. */
static bool peer(struct plan *p, struct op *op)
{
	struct node *n = leader_or_any(p);
	const struct tracker *t;

	if (n == NULL || n->raft->tracker.n == 0)
		return false;
	t = &n->raft->tracker;
	op->node = (uint32_t)n->id;
	op->a = (uint32_t)t->peers[upto(p, t->n)].id;
	return true;
}

static bool report(struct plan *p, struct op *op)
{
	op->b = chance(p, 50);
	if (!peer(p, op))
		return false;
	if (p->story == STORY_BEHIND)
		op->a = (uint32_t)p->hero;
	return true;
}

/* In one story every disk takes long over a snapshot. */
static bool slow(const struct plan *p, const struct node *n, int which)
{
	return p->slow[which][n->id] ||
	       (p->story == STORY_BEHIND && n->raft->log.snapshot != NULL);
}

static bool work(struct plan *p, struct op *op, int which)
{
	uint32_t first = upto(p, DIFF_NODES);

	for (uint32_t i = 0; i < DIFF_NODES; i++) {
		struct node *n = &p->w->node[1 + (first + i) % DIFF_NODES];

		if (n->work[which].n == 0 ||
		    (!p->w->tuning.async && which == WORK_APPLY &&
			n->work[WORK_WRITE].n > 0) ||
		    (slow(p, n, which) && !chance(p, p->pace)))
			continue;
		op->node = (uint32_t)n->id;
		if (which == WORK_APPLY && n->raft->log.snapshot != NULL)
			op->flags |= OP_SKIP_CHANGES;
		return true;
	}
	return false;
}

static raft_index durable(const struct disk *d)
{
	return d->applied < d->hard.commit ? d->applied : d->hard.commit;
}

static bool snapshot(struct plan *p, struct op *op)
{
	struct node *n = leader_or_any(p);
	const struct disk *d;
	raft_index newest;

	if (n == NULL)
		return false;
	d = &n->disk;
	newest = durable(d);
	op->node = (uint32_t)n->id;
	op->b = !chance(p, 15);
	if (newest <= d->snapshot.index)
		return op->b == 0;
	op->a = (uint32_t)newest;
	return true;
}

static bool compact(struct plan *p, struct op *op)
{
	struct node *n = leader_or_any(p);
	const struct disk *d;

	if (n == NULL)
		return false;
	d = &n->disk;
	if (d->snapshot.index <= d->base)
		return false;
	op->node = (uint32_t)n->id;
	op->a = (uint32_t)(chance(p, 60)
			       ? d->snapshot.index
			       : d->base + 1 +
				     upto(p, d->snapshot.index - d->base));
	return true;
}

static bool restart(struct plan *p, struct op *op)
{
	struct node *n = some_node(p, false);
	const struct disk *d;
	raft_index first, last;

	if (n == NULL)
		return false;
	d = &n->disk;
	first = d->snapshot.index;
	last = durable(d);
	op->node = (uint32_t)n->id;
	op->a = (uint32_t)(chance(p, 50) ? last
					 : first + upto(p, last - first + 1));
	return true;
}

static bool read_index(struct plan *p, struct op *op)
{
	struct node *n = leader_or_any(p);

	if (n == NULL || lone(n->raft))
		return false;
	op->node = (uint32_t)n->id;
	op->a = ++p->marks;
	return true;
}

static bool draw_op(struct plan *p, struct op *op)
{
	struct node *n = some_node(p, true);

	if (op->kind == OP_RESTART)
		return restart(p, op);
	if (n == NULL)
		return false;
	op->node = (uint32_t)n->id;
	switch ((enum op_kind)op->kind) {
	case OP_TICK: op->a = 1 + (chance(p, 20) ? upto(p, 5) : 0); return true;
	case OP_READY:
		return (!n->taken && raft_has_ready(n->raft)) || chance(p, 5);
	case OP_DELIVER: return deliver(p, op);
	case OP_DISK: return work(p, op, WORK_WRITE);
	case OP_APPLY: return work(p, op, WORK_APPLY);
	case OP_PROPOSE: return propose(p, op);
	case OP_CHANGE: return change(p, op);
	case OP_TRANSFER: return peer(p, op);
	case OP_READ: return read_index(p, op);
	case OP_UNREACHABLE: return peer(p, op);
	case OP_REPORT: return report(p, op);
	case OP_SNAPSHOT: return snapshot(p, op);
	case OP_COMPACT: return compact(p, op);
	default: return true;
	}
}

/* For a while some are cut off from the others, or slow; often the leader. */
static void move_faults(struct plan *p, raft_id leader)
{
	raft_id id =
	    leader != 0 && chance(p, 40) ? leader : 1 + upto(p, DIFF_NODES);
	int which = (int)upto(p, WORKS);

	if (chance(p, p->cut)) {
		if (chance(p, 50))
			memset(p->apart, 0, sizeof(p->apart));
		else
			p->apart[id] = true;
	}
	if (chance(p, p->stall)) {
		if (chance(p, 50))
			memset(p->slow[which], 0, sizeof(p->slow[which]));
		else
			p->slow[which][id] = true;
	}
}

static bool has_change_to_apply(const struct node *n)
{
	const struct work_queue *q = &n->work[WORK_APPLY];

	for (size_t i = 0; i < q->n; i++)
		for (size_t k = 0; k < q->m[i]->entries_n; k++)
			if (q->m[i]->entries[k].type == RAFT_ENTRY_CONF_CHANGE)
				return true;
	return false;
}

/* Round after round: all together, the hero apart, the hero back.  Who is to be
 * left behind first has a change to apply, if it comes to that. */
static void move_story(struct plan *p, raft_id leader)
{
	bool behind = p->story == STORY_BEHIND;

	if (p->left > 0 && --p->left > 0)
		return;
	if (behind && p->phase == PHASE_TOGETHER && p->patience > 0 &&
	    !has_change_to_apply(&p->w->node[p->hero])) {
		p->patience--;
		p->left = 5;
		return;
	}
	p->left = (behind ? 60 : 20) + upto(p, 60);
	p->patience = 20;
	p->phase = (p->phase + 1) % PHASES;
	if (p->phase == (behind ? PHASE_TOGETHER : PHASE_APART))
		p->hero = behind || leader == 0 ? 1 + upto(p, 3) : leader;
	memset(p->apart, 0, sizeof(p->apart));
	memset(p->slow, 0, sizeof(p->slow));
	p->apart[p->hero] = p->phase == PHASE_APART;
	p->slow[WORK_APPLY][p->hero] = behind;
	p->slow[WORK_WRITE][p->hero] = !behind && p->phase != PHASE_TOGETHER;
}

struct op plan_next(struct plan *p)
{
	struct node *leader = the_leader(p);
	uint32_t sum = 0;

	/* The oracle hears of each node's election timeout. */
	if (p->begun++ < DIFF_NODES)
		return (struct op){
		    .kind = p->begun == 1 ? OP_CAMPAIGN : OP_READY,
		    .node = p->begun};
	look(p);
	if (p->story == STORY_NONE)
		move_faults(p, leader == NULL ? 0 : leader->id);
	else
		move_story(p, leader == NULL ? 0 : leader->id);
	for (int i = 0; i < OP_KINDS; i++)
		sum += p->weight[i];
	for (;;) {
		struct op op = {0};
		uint32_t at = upto(p, sum);

		while (at >= p->weight[op.kind])
			at -= p->weight[op.kind++];
		if (!draw_op(p, &op))
			continue;
		if (op.kind == OP_READY || chance(p, p->ready))
			op.flags |= OP_TAKE_READY;
		return op;
	}
}
