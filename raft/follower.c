/* follower.c -- what a follower does with its leader's messages [3.5]. */
#include <stdlib.h>

#include "internal.h"

void follower_append(struct raft *r, const struct raft_message *m)
{
	struct raft_message resp = {.to = m->from, .type = RAFT_MSG_APP_RESP};
	struct raft_entry_id prev = {m->log_term, m->index};
	raft_index last = 0;
	bool ok = false;

	if (RAFT_GUARD(APPEND_BELOW_COMMIT, m->index < r->log.committed)) {
		/* Below the commit index everything matches already. */
		resp.index = r->log.committed;
		raft_send(r, resp);
		return;
	}
	if (raft_fail(r, log_maybe_append(&r->log, prev, m->entries,
			     m->entries_n, m->commit, &ok, &last)) != RAFT_OK)
		return;
	if (ok) {
		resp.index = last;
	} else {
		/* Name the last index whose term could match, so that the
		 * leader skips whole terms [3.5]. */
		raft_index hint = 0;

		raft_fail(r, log_last_index(&r->log, &hint));
		if (hint > m->index)
			hint = m->index;
		log_find_conflict(&r->log, hint, m->log_term, &resp.reject_hint,
		    &resp.log_term);
		resp.reject = true;
		resp.index = m->index;
		raft_tell(
		    r, RAFT_TRACE_REJECT, m->from, m->index, resp.reject_hint);
	}
	raft_send(r, resp);
}

void follower_heartbeat(struct raft *r, const struct raft_message *m)
{
	struct raft_message resp = {.to = m->from,
	    .type = RAFT_MSG_HEARTBEAT_RESP,
	    .context = m->context};
	raft_index last = 0;

	raft_fail(r, log_last_index(&r->log, &last));
	/* The leader may not know yet that what it heard of was lost. */
	if (RAFT_GUARD(
		REPAIR_COMMIT, r->config.repairing != 0 && m->commit > last)) {
		resp.reject = true;
		resp.index = m->commit;
	} else {
		raft_fail(r, log_commit_to(&r->log, m->commit));
	}
	r->promise_elapsed = 0;
	raft_send(r, resp);
}

/* A changed configuration takes effect [4.1]. */
void raft_switch_conf(struct raft *r)
{
	const struct raft_conf_state *c = &r->tracker.conf;
	struct progress *self = tracker_find(&r->tracker, r->id);

	raft_tell(r, RAFT_TRACE_CONF, 0, c->voters_n, c->learners_n);
	r->learner = self != NULL && self->learner;
	if ((self == NULL || r->learner) && r->state == RAFT_LEADER) {
		/* It leads without counting itself until the change is
		 * committed, or steps down at once if told so [4.2.2]. */
		if (RAFT_GUARD(STEPS_DOWN, r->config.step_down_on_removal))
			raft_become_follower(r, r->term, 0);
		return;
	}
	if (r->state != RAFT_LEADER || c->voters_n == 0)
		return;
	if (leader_maybe_commit(r)) {
		leader_broadcast_append(r);
	} else {
		for (size_t i = 0; i < r->tracker.n; i++)
			if (r->tracker.peers[i].id != r->id)
				leader_send_append(
				    r, &r->tracker.peers[i], false);
	}
	if (r->transferee != 0 &&
	    RAFT_GUARD(TRANSFER_TO_LEAVER,
		!tracker_is_voter(&r->tracker, r->transferee)))
		leader_abort_transfer(r);
}

/* false: not wanted, or not needed [5.1]. */
static bool restore(struct raft *r, const struct raft_snapshot *s)
{
	const struct raft_conf_state *c = &s->conf_state;
	struct raft_entry_id at = {s->term, s->index};
	bool member = id_in(c->voters, c->voters_n, r->id) ||
		      id_in(c->learners, c->learners_n, r->id) ||
		      id_in(c->voters_outgoing, c->voters_outgoing_n, r->id);
	raft_index last = 0;

	if (RAFT_GUARD(SNAP_OLD, s->index <= r->log.committed))
		return false;
	if (RAFT_GUARD(SNAP_FOR_US, !member))
		return false;
	if (RAFT_GUARD(SNAP_MATCHES, log_matches(&r->log, at))) {
		/* The log has it all: only the commit index was behind. */
		raft_fail(r, log_commit_to(&r->log, s->index));
		return false;
	}
	raft_tell(r, RAFT_TRACE_RESTORE, 0, s->index, s->term);
	if (raft_fail(r, log_restore(&r->log, s)) != RAFT_OK ||
	    raft_fail(r, log_last_index(&r->log, &last)) != RAFT_OK ||
	    raft_fail(r, conf_restore(&r->tracker, c, last)) != RAFT_OK)
		return false;
	raft_switch_conf(r);
	raft_tell(r, RAFT_TRACE_SNAPSHOT, 0, s->index, s->term);
	return true;
}

void follower_snapshot(struct raft *r, const struct raft_message *m)
{
	struct raft_message resp = {.to = m->from, .type = RAFT_MSG_APP_RESP};

	resp.index =
	    restore(r, m->snapshot) ? m->snapshot->index : r->log.committed;
	raft_send(r, resp);
}

static int forward(struct raft *r, const struct raft_message *m)
{
	struct raft_message copy = *m;

	if (RAFT_GUARD(FORWARD_TO_LEADER, r->leader == 0) ||
	    (m->type == RAFT_MSG_PROP &&
		r->config.disable_proposal_forwarding)) {
		if (m->type != RAFT_MSG_PROP)
			return RAFT_OK;
		raft_tell(r, RAFT_TRACE_DROPPED, r->leader, 0, 0);
		return RAFT_EDROPPED;
	}
	copy.to = r->leader;
	raft_send(r, copy);
	return RAFT_OK;
}

/* Stop believing in a leader: votes may be given at once. */
static void forget(struct raft *r)
{
	if (r->config.read_mode == RAFT_READ_LEASE) {
		raft_tell(r, RAFT_TRACE_NO_FORGET, r->leader, 0, 0);
	} else if (r->leader != 0) {
		raft_tell(r, RAFT_TRACE_FORGET, r->leader, 0, 0);
		r->leader = 0;
	}
}

static void heard(struct raft *r, const struct raft_message *m)
{
	r->election_elapsed = 0;
	r->leader = m->from;
}

int step_follower(struct raft *r, const struct raft_message *m)
{
	switch (m->type) {
	case RAFT_MSG_APP:
		heard(r, m);
		follower_append(r, m);
		break;
	case RAFT_MSG_HEARTBEAT:
		heard(r, m);
		follower_heartbeat(r, m);
		break;
	case RAFT_MSG_SNAP:
		heard(r, m);
		follower_snapshot(r, m);
		break;
	case RAFT_MSG_PROP:
	case RAFT_MSG_READ_INDEX:
	case RAFT_MSG_TRANSFER_LEADER: return forward(r, m);
	case RAFT_MSG_TIMEOUT_NOW:
		raft_tell(r, RAFT_TRACE_TIMEOUT_NOW, m->from, 0, 0);
		/* The leader asks: no PreVote, it would be refused [3.10]. */
		raft_hup(r, CAMPAIGN_TRANSFER);
		break;
	case RAFT_MSG_FORGET_LEADER: forget(r); break;
	case RAFT_MSG_READ_INDEX_RESP:
		reads_add_state(r, m->index, m->context);
		break;
	default: break;
	}
	return RAFT_OK;
}
