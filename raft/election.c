/* election.c -- campaigns and votes [3.4], PreVote [9.6]. */
#include "internal.h"

#include <stdlib.h>

bool raft_promotable(const struct raft *r)
{
	const struct progress *p =
	    tracker_find((struct tracker *)&r->tracker, r->id);

	return p != NULL && RAFT_GUARD(CAMPAIGN_VOTER, !p->learner) &&
	       RAFT_GUARD(CAMPAIGN_SNAPSHOT, r->log.snapshot == NULL) &&
	       RAFT_GUARD(REPAIR_CAMPAIGN, r->config.repairing == 0);
}

/* Is a committed membership change not applied yet?  Then this node does not
 * know who votes (etcd #7280, #12359). */
static bool unapplied_conf_change(struct raft *r)
{
	raft_index lo = r->log.applied + 1, hi = r->log.committed + 1;
	bool found = false;

	while (!found && lo < hi) {
		struct raft_entry *e = NULL;
		size_t n = 0;
		int rc = log_slice(
		    &r->log, lo, hi, r->config.max_size_per_msg, &e, &n);

		if (rc != RAFT_OK || n == 0) {
			raft_fail(r, rc);
			free(e);
			return true;
		}
		for (size_t i = 0; i < n; i++)
			found |= e[i].type == RAFT_ENTRY_CONF_CHANGE;
		lo += n;
		free(e);
	}
	return found;
}

void raft_campaign_as(struct raft *r, enum campaign kind)
{
	struct raft_entry_id last = {0, 0};
	struct raft_message m = {0};
	bool pre = kind == CAMPAIGN_PRE;

	if (pre)
		raft_become_pre_candidate(r);
	else
		raft_become_candidate(r);
	if (raft_fail(r, log_last(&r->log, &last)) != RAFT_OK)
		return;
	raft_tell(r, RAFT_TRACE_CAMPAIGN, 0, last.index, last.term);
	m.term = RAFT_GUARD(PRE_VOTE_NEXT_TERM, pre) ? r->term + 1 : r->term;
	for (size_t i = 0; i < r->tracker.n; i++) {
		m.to = r->tracker.peers[i].id;
		if (RAFT_GUARD(ASK_VOTER, !tracker_is_voter(&r->tracker, m.to)))
			continue;
		if (m.to == r->id) {
			/* One's own vote counts when the disk holds it. */
			m.type =
			    pre ? RAFT_MSG_PRE_VOTE_RESP : RAFT_MSG_VOTE_RESP;
			m.index = m.log_term = m.context = m.priority = 0;
		} else {
			raft_tell(
			    r, RAFT_TRACE_ASK, m.to, last.index, last.term);
			m.type = pre ? RAFT_MSG_PRE_VOTE : RAFT_MSG_VOTE;
			m.index = last.index;
			m.log_term = last.term;
			m.priority = r->config.priority;
			m.context = kind == CAMPAIGN_TRANSFER
					? RAFT_CAMPAIGN_TRANSFER_CONTEXT
					: 0;
		}
		raft_send(r, m);
	}
}

void raft_hup(struct raft *r, enum campaign kind)
{
	if (RAFT_GUARD(CAMPAIGN_LEADER, r->state == RAFT_LEADER))
		return;
	if (!raft_promotable(r) ||
	    RAFT_GUARD(
		LEASE_CAMPAIGN, kind != CAMPAIGN_TRANSFER && raft_promised(r) &&
				    !tracker_only_voter(&r->tracker, r->id)) ||
	    RAFT_GUARD(CONF_BEFORE_CAMPAIGN, unapplied_conf_change(r))) {
		raft_tell(r, RAFT_TRACE_NO_HUP, 0, 0, 0);
		return;
	}
	raft_tell(r, RAFT_TRACE_HUP, 0, 0, 0);
	raft_campaign_as(r, kind);
}

/* A voter of higher priority, with as new a log, would rather lead itself. */
static bool too_humble(struct raft *r, const struct raft_message *m)
{
	struct raft_entry_id own;

	return m->priority < r->config.priority &&
	       RAFT_GUARD(PRIORITY_TRANSFER,
		   m->context != RAFT_CAMPAIGN_TRANSFER_CONTEXT) &&
	       RAFT_GUARD(PRIORITY_LEADS, raft_promotable(r)) &&
	       log_last(&r->log, &own) == RAFT_OK &&
	       RAFT_GUARD(PRIORITY_LOG,
		   own.term == m->log_term && own.index == m->index);
}

/* What it lost could be what its vote must protect. */
static bool has_log(const struct raft *r, bool pre)
{
	bool whole = r->config.repairing == 0;

	return (pre || RAFT_GUARD(REPAIR_VOTE, whole)) &&
	       (!pre || RAFT_GUARD(REPAIR_PRE_VOTE, whole));
}

/* RequestVote and its question in advance [3.4, 3.6.1, 9.6]. */
void raft_handle_vote(struct raft *r, const struct raft_message *m)
{
	bool pre = m->type == RAFT_MSG_PRE_VOTE;
	struct raft_entry_id last = {m->log_term, m->index};
	bool may =
	    r->vote == m->from ||
	    (r->vote == 0 && RAFT_GUARD(VOTE_NO_LEADER, r->leader == 0)) ||
	    (RAFT_GUARD(PRE_VOTE_FREE, pre) && m->term > r->term);
	struct raft_message resp = {.to = m->from,
	    .type = pre ? RAFT_MSG_PRE_VOTE_RESP : RAFT_MSG_VOTE_RESP};
	bool grant =
	    RAFT_GUARD(VOTE_ONCE, may) &&
	    RAFT_GUARD(VOTE_UP_TO_DATE, log_up_to_date(&r->log, last)) &&
	    !RAFT_GUARD(PRIORITY, too_humble(r, m)) && has_log(r, pre);

	raft_tell(r, RAFT_TRACE_VOTE, m->from, grant, 0);
	if (grant) {
		resp.term = m->term; /* of a question: the term asked for */
		if (RAFT_GUARD(PRE_VOTE_NO_VOTE, !pre)) {
			r->election_elapsed = 0;
			r->vote = m->from;
		}
	} else {
		resp.term = r->term;
		resp.reject = true;
	}
	raft_send(r, resp);
}

static enum vote_result poll_vote(struct raft *r, const struct raft_message *m)
{
	struct progress *p = tracker_find(&r->tracker, m->from);
	size_t yes = 0, no = 0;

	raft_tell(r, RAFT_TRACE_POLL, m->from, !m->reject, 0);
	if (p != NULL && RAFT_GUARD(VOTE_FIRST, p->vote == VOTE_NONE))
		p->vote = m->reject ? VOTE_NO : VOTE_YES;
	for (size_t i = 0; i < r->tracker.n; i++) {
		p = &r->tracker.peers[i];
		yes += p->vote == VOTE_YES && !p->learner;
		no += p->vote == VOTE_NO && !p->learner;
	}
	raft_tell(r, RAFT_TRACE_TALLY, 0, yes, no);
	return tracker_votes(&r->tracker);
}

static void count_vote(struct raft *r, const struct raft_message *m)
{
	enum vote_result v = poll_vote(r, m);

	if (RAFT_GUARD(ELECTION_QUORUM, v == VOTE_WON)) {
		if (r->state == RAFT_PRE_CANDIDATE) {
			raft_campaign_as(r, CAMPAIGN_ELECTION);
		} else {
			raft_become_leader(r);
			leader_broadcast_append(r);
		}
	} else if (RAFT_GUARD(ELECTION_LOST, v == VOTE_LOST)) {
		raft_become_follower(r, r->term, 0);
	}
}

int step_candidate(struct raft *r, const struct raft_message *m)
{
	enum raft_message_type mine = r->state == RAFT_PRE_CANDIDATE
					  ? RAFT_MSG_PRE_VOTE_RESP
					  : RAFT_MSG_VOTE_RESP;

	switch (m->type) {
	case RAFT_MSG_PROP:
		raft_tell(r, RAFT_TRACE_DROPPED, 0, 0, 0);
		return RAFT_EDROPPED;
	case RAFT_MSG_APP:
		raft_become_follower(r, m->term, m->from);
		follower_append(r, m);
		break;
	case RAFT_MSG_HEARTBEAT:
		raft_become_follower(r, m->term, m->from);
		follower_heartbeat(r, m);
		break;
	case RAFT_MSG_SNAP:
		raft_become_follower(r, m->term, m->from);
		follower_snapshot(r, m);
		break;
	default:
		if (RAFT_GUARD(ANSWER_KIND, m->type == mine))
			count_vote(r, m);
		break;
	}
	return RAFT_OK;
}
