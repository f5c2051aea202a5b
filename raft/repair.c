/* repair.c -- a node that lost its log, and the leader that it asks.
 *
 * What counts is when: the leader takes its last index after the loss, for the
 * number is random and new.  It has all that was committed before its term, and
 * whatever the node acknowledged to it is in its log too. */
#include "internal.h"

/* It will say itself where its log ends. */
static void lost(struct raft *r, struct progress *p, raft_index last)
{
	if (RAFT_GUARD(REPAIR_MATCH, true))
		p->match = p->sent_commit = p->pending_snapshot = 0;
	progress_become_probe(p);
	p->next = last + 1;
	leader_send_append(r, p, true);
}

/* What was acknowledged before the loss may be heard of after it. */
bool repair_refused(struct raft *r, struct progress *p, raft_index at)
{
	raft_index last = 0;

	if (at > p->match ||
	    raft_fail(r, log_last_index(&r->log, &last)) != RAFT_OK)
		return false;
	lost(r, p, last);
	return true;
}

static void take_answer(struct raft *r, const struct raft_repair *m)
{
	if (r->config.repairing == 0 ||
	    RAFT_GUARD(REPAIR_NUMBER, m->of != r->config.repairing) ||
	    RAFT_GUARD(REPAIR_TERM, m->term < r->term))
		return;
	r->repair_answered = true;
	r->repair_upto = m->upto;
}

bool raft_repair_hear(struct raft *r, raft_id from, const struct raft_repair *m)
{
	struct progress *p = tracker_find(&r->tracker, from);
	raft_index last = 0;

	if (r->fatal != RAFT_OK)
		return false;
	take_answer(r, m);
	if (RAFT_GUARD(REPAIR_LEADER, r->state != RAFT_LEADER) || p == NULL ||
	    from == r->id || m->ask == p->lost_ask)
		return false;
	p->lost_ask = m->ask;
	if (m->ask == 0 ||
	    raft_fail(r, log_last_index(&r->log, &last)) != RAFT_OK)
		return false;
	p->lost_upto = RAFT_GUARD(REPAIR_UPTO, true) ? last : r->log.committed;
	lost(r, p, last);
	return true;
}

void raft_repair_say(const struct raft *r, raft_id to, struct raft_repair *out)
{
	const struct progress *p =
	    tracker_find((struct tracker *)&r->tracker, to);

	*out = (struct raft_repair){.ask = r->config.repairing};
	if (p == NULL || p->lost_ask == 0)
		return;
	out->of = p->lost_ask;
	out->term = r->term;
	out->upto = p->lost_upto;
}

bool raft_repair_done(
    const struct raft *r, raft_index applied, raft_index *upto)
{
	*upto = r->repair_upto;
	return r->config.repairing != 0 && r->repair_answered &&
	       RAFT_GUARD(REPAIR_APPLIED, applied >= r->repair_upto);
}

void raft_repaired(struct raft *r)
{
	r->config.repairing = 0;
	r->repair_answered = false;
}
