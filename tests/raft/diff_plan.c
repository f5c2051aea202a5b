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
	*t = (struct tuning){
	    .voters = chance(p, 85) ? 3 + upto(p, 3) : 1 + upto(p, 2),
	    .learners = chance(p, 25),
	    .election_ticks = 3 + upto(p, 8),
	    .heartbeat_ticks = 1 + chance(p, 25),
	    .max_size_per_msg = mostly(p, 1 << 20, 1, 200),
	    .max_committed_size = mostly(p, 0, 1, 200),
	    .max_inflight_msgs = mostly(p, 256, 1, 4),
	    .max_uncommitted = mostly(p, 0, 40, 300),
	    .check_quorum = chance(p, 60),
	    .pre_vote = chance(p, 60),
	    .no_forwarding = chance(p, 15),
	    .no_validation = chance(p, 5),
	    .step_down = chance(p, 40),
	    .async = chance(p, 70)};
	if (chance(p, 30)) /* not less than a message */
		t->max_inflight_bytes = t->max_size_per_msg + upto(p, 100);
	t->lease = t->check_quorum && chance(p, 20);
}

void plan_draw(uint64_t seed, struct plan *p, struct tuning *t)
{
	static const uint32_t usual[OP_KINDS] = {[OP_TICK] = 20,
	    [OP_DELIVER] = 60,
	    [OP_DISK] = 40,
	    [OP_APPLY] = 20,
	    [OP_READY] = 10,
	    [OP_PROPOSE] = 8,
	    [OP_CHANGE] = 4,
	    [OP_TRANSFER] = 1,
	    [OP_READ] = 4,
	    [OP_CAMPAIGN] = 1,
	    [OP_FORGET] = 1,
	    [OP_UNREACHABLE] = 1,
	    [OP_REPORT] = 1,
	    [OP_SNAPSHOT] = 4,
	    [OP_COMPACT] = 4,
	    [OP_CRASH] = 1,
	    [OP_RESTART] = 12};
	static const uint32_t times[] = {0, 1, 1, 2, 4};

	*p = (struct plan){.rng = seed * 0x2545f4914f6cdd1du + 1};
	draw_tuning(p, t);
	for (int i = 0; i < OP_KINDS; i++)
		p->weight[i] =
		    usual[i] > 10 ? usual[i] : usual[i] * times[upto(p, 5)];
	p->ready = chance(p, 50) ? 100 : 30 + upto(p, 70);
	p->lose = chance(p, 50) ? 0 : upto(p, 20);
	p->twice = chance(p, 50) ? 0 : upto(p, 20);
	p->reorder = chance(p, 50) ? 0 : upto(p, 50);
	p->cut = chance(p, 50) ? 0 : 1 + upto(p, 3);
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
	switch (m->type) {
	case RAFT_MSG_READ_INDEX: return lone(r);
	case RAFT_MSG_PROP:
		return m->entries[0].type == RAFT_ENTRY_CONF_CHANGE &&
		       over_quota(r, m->entries[0].data.len);
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

static struct node *some_node(struct plan *p, bool up)
{
	uint32_t first = upto(p, DIFF_NODES);

	for (uint32_t i = 0; i < DIFF_NODES; i++) {
		struct node *n = &p->w->node[1 + (first + i) % DIFF_NODES];

		if ((n->raft != NULL) == up)
			return n;
	}
	return NULL;
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

static struct node *leader_or_any(struct plan *p)
{
	struct node *n = chance(p, 75) ? the_leader(p) : NULL;

	return n == NULL ? some_node(p, true) : n;
}

static bool propose(struct plan *p, struct op *op)
{
	op->node = (uint32_t)leader_or_any(p)->id;
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
	if (c->voters_n <= 2 && chance(p, 90))
		return CHANGE_BITS(RAFT_NOP, id);
	return CHANGE_BITS(chance(p, 70) ? RAFT_REMOVE : RAFT_ADD_LEARNER, id);
}

static bool change(struct plan *p, struct op *op)
{
	struct node *n = leader_or_any(p);
	const struct raft *r = n->raft;
	bool joint = r->tracker.conf.voters_outgoing_n > 0;

	op->node = (uint32_t)n->id;
	if (chance(p, joint ? 70 : 5)) {
		op->a = RAFT_AUTO; /* leave */
	} else {
		op->a = chance(p, 60) ? (uint32_t)RAFT_AUTO : upto(p, 3);
		op->c = 1 + (chance(p, 40) ? upto(p, 3) : 0);
		for (uint32_t i = 0; i < op->c; i++)
			op->b |= one_change(p, r) << (8 * i);
	}
	return !over_quota(r, op->c == 0 ? 0 : 2 + 9 * op->c);
}

/* A peer that this node knows; false: none. */
static bool peer(struct plan *p, struct op *op)
{
	struct node *n = leader_or_any(p);
	const struct tracker *t = &n->raft->tracker;

	if (t->n == 0)
		return false;
	op->node = (uint32_t)n->id;
	op->a = (uint32_t)t->peers[upto(p, t->n)].id;
	return true;
}

static bool report(struct plan *p, struct op *op)
{
	op->b = chance(p, 50);
	return peer(p, op);
}

static bool work(struct plan *p, struct op *op, int which)
{
	uint32_t first = upto(p, DIFF_NODES);

	for (uint32_t i = 0; i < DIFF_NODES; i++) {
		struct node *n = &p->w->node[1 + (first + i) % DIFF_NODES];

		if (n->work[which].n == 0 ||
		    (!p->w->tuning.async && which == WORK_APPLY &&
			n->work[WORK_WRITE].n > 0))
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
	const struct disk *d = &n->disk;
	raft_index newest = durable(d);

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
	const struct disk *d = &n->disk;

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

	op->node = (uint32_t)n->id;
	op->a = ++p->marks;
	return !lone(n->raft);
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

/* Members come and go: sometimes one is cut off for a while. */
static void move_cut(struct plan *p)
{
	if (p->cut == 0 || !chance(p, p->cut))
		return;
	if (chance(p, 50))
		memset(p->apart, 0, sizeof(p->apart));
	else
		p->apart[1 + upto(p, DIFF_NODES)] = true;
}

struct op plan_next(struct plan *p)
{
	uint32_t sum = 0;

	/* The oracle hears of each node's election timeout. */
	if (p->begun < DIFF_NODES)
		return (struct op){.kind = OP_READY, .node = ++p->begun};
	look(p);
	move_cut(p);
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
