/* leader.c -- replication [3.5], its pipeline [10.2.1], transfer [3.10]. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* ---- Sending ---- */

static bool send_snapshot(struct raft *r, struct progress *p)
{
	struct raft_snapshot s;
	int rc;

	/* A peer that has not spoken lately would not hear it either. */
	if (RAFT_GUARD(SNAP_ACTIVE, !p->recent_active))
		return false;
	rc = r->config.storage.snapshot(r->config.storage.ctx, &s);
	if (rc == RAFT_ESNAP_NOT_READY)
		return false;
	if (rc == RAFT_OK && s.index == 0)
		rc = RAFT_EIO;
	if (raft_fail(r, rc) != RAFT_OK)
		return false;
	raft_tell(r, RAFT_TRACE_SNAP_SENT, p->id, s.index, s.term);
	progress_become_snapshot(p, s.index);
	raft_tell(r, RAFT_TRACE_SNAP_WAITS, p->id, s.index, s.term);
	raft_send(r, (struct raft_message){
			 .to = p->id, .type = RAFT_MSG_SNAP, .snapshot = &s});
	return true;
}

size_t raft_payload(const struct raft_entry *e, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += e[i].data.len;
	return sum;
}

/* Send what p lacks; an empty APP only if if_empty.  false: nothing sent. */
bool leader_send_append(struct raft *r, struct progress *p, bool if_empty)
{
	struct raft_message m = {.to = p->id, .type = RAFT_MSG_APP};
	raft_index last = 0;
	int rc;

	if (r->fatal != RAFT_OK || progress_paused(p))
		return false;
	m.index = p->next - 1;
	rc = log_term(&r->log, m.index, &m.log_term);
	if (rc == RAFT_ECOMPACTED || rc == RAFT_EUNAVAILABLE)
		return send_snapshot(r, p);
	if (raft_fail(r, rc) != RAFT_OK ||
	    raft_fail(r, log_last_index(&r->log, &last)) != RAFT_OK)
		return false;
	if (p->state != RAFT_REPLICATE ||
	    !inflights_full(&p->inflights, &r->tracker)) {
		rc = log_slice(&r->log, p->next, last + 1,
		    r->config.max_size_per_msg, &m.entries, &m.entries_n);
		if (rc == RAFT_ECOMPACTED)
			return send_snapshot(r, p);
		if (raft_fail(r, rc) != RAFT_OK)
			return false;
	}
	if (m.entries_n == 0 && !if_empty) {
		free(m.entries);
		return false;
	}
	m.commit = r->log.committed;
	raft_send(r, m);
	raft_fail(r, progress_sent(p, m.entries_n,
			 raft_payload(m.entries, m.entries_n), &r->tracker));
	p->sent_commit = r->log.committed;
	free(m.entries);
	return true;
}

void leader_broadcast_append(struct raft *r)
{
	for (size_t i = 0; i < r->tracker.n; i++)
		if (r->tracker.peers[i].id != r->id)
			leader_send_append(r, &r->tracker.peers[i], true);
}

void leader_broadcast_heartbeat(struct raft *r)
{
	uint64_t round = reads_begin_round(r);

	for (size_t i = 0; i < r->tracker.n; i++) {
		struct progress *p = &r->tracker.peers[i];
		raft_index commit = r->log.committed;

		if (p->id == r->id)
			continue;
		/* Past its match its log may be another's. */
		if (RAFT_GUARD(HEARTBEAT_COMMIT, commit > p->match))
			commit = p->match;
		p->sent_commit = commit;
		raft_send(r, (struct raft_message){.to = p->id,
				 .type = RAFT_MSG_HEARTBEAT,
				 .commit = commit,
				 .context = round});
	}
}

/* ---- Appending and committing ---- */

static bool take_quota(struct raft *r, size_t bytes)
{
	size_t max = r->config.max_uncommitted_size;

	/* One proposal always passes, however large; empty ones too: a
	 * leader must be able to commit its no-op and leave a joint. */
	if (max != 0 && RAFT_GUARD(QUOTA_EMPTY, bytes > 0) &&
	    RAFT_GUARD(QUOTA_ONE, r->uncommitted_size > 0) &&
	    RAFT_GUARD(QUOTA, r->uncommitted_size + bytes > max))
		return false;
	r->uncommitted_size += bytes;
	return true;
}

void leader_reduce_uncommitted(struct raft *r, size_t payload)
{
	r->uncommitted_size -=
	    payload < r->uncommitted_size ? payload : r->uncommitted_size;
}

/* Entries of one's own term at the end of the log; false: over the quota. */
bool leader_append(struct raft *r, const struct raft_entry *e, size_t n)
{
	raft_index last = 0;
	struct raft_entry *own;

	if (raft_fail(r, log_last_index(&r->log, &last)) != RAFT_OK ||
	    !take_quota(r, raft_payload(e, n)))
		return false;
	own = calloc(n, sizeof(*own));
	if (own == NULL) {
		raft_fail(r, RAFT_ENOMEM);
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		own[i] = e[i];
		own[i].term = r->term;
		own[i].index = last + 1 + i;
		raft_tell_entry(r, &own[i]);
	}
	if (raft_fail(r, log_append(&r->log, own, n)) == RAFT_OK)
		/* The leader's own copy counts once its disk holds it: its
		 * followers' disks work meanwhile [10.2.1]. */
		raft_send(r, (struct raft_message){.to = r->id,
				 .type = RAFT_MSG_APP_RESP,
				 .index = last + n});
	free(own);
	return r->fatal == RAFT_OK;
}

/* Only entries of the own term are committed by counting [3.6.2]. */
bool leader_maybe_commit(struct raft *r)
{
	struct raft_entry_id at = {r->term, tracker_committed(&r->tracker)};

	if (!log_maybe_commit(&r->log, at))
		return false;
	raft_tell(r, RAFT_TRACE_COMMIT, 0, at.index, 0);
	return true;
}

bool leader_committed_own_term(struct raft *r)
{
	raft_term t;

	return log_term(&r->log, r->log.committed, &t) == RAFT_OK &&
	       t == r->term;
}

/* ---- Proposals ---- */

/* May this change follow those up to `pending` [4.1, 4.3]? */
static enum raft_conf_fault change_fault(
    const struct raft *r, const struct raft_entry *e, raft_index pending)
{
	struct raft_conf_change c;
	bool joint = r->tracker.conf.voters_outgoing_n > 0;
	bool readable = raft_conf_change_decode(e->data, &c) == RAFT_OK;
	bool leave;

	if (RAFT_GUARD(CONF_DECODES, !readable))
		return RAFT_CONF_INVALID;
	leave = c.n == 0 && c.transition == RAFT_AUTO;
	if (RAFT_GUARD(CONF_PENDING, pending > r->log.applied))
		return RAFT_CONF_PENDING;
	if (RAFT_GUARD(CONF_IN_JOINT, joint == leave))
		return RAFT_CONF_FINE;
	return joint ? RAFT_CONF_JOINT : RAFT_CONF_NOT_JOINT;
}

/* A change that may not be made now becomes an empty entry; what is left makes
 * *pending its index. */
static void refuse_changes(struct raft *r, struct raft_entry *e, size_t n,
    raft_index last, raft_index *pending)
{
	for (size_t i = 0; i < n; i++) {
		enum raft_conf_fault fault;

		if (e[i].type != RAFT_ENTRY_CONF_CHANGE)
			continue;
		fault = change_fault(r, &e[i], *pending);
		if (fault == RAFT_CONF_FINE ||
		    r->config.disable_conf_change_validation) {
			*pending = last + 1 + i;
		} else {
			raft_tell(r, RAFT_TRACE_CONF_REFUSED, 0, i, fault);
			e[i] = (struct raft_entry){.type = RAFT_ENTRY_NORMAL};
		}
	}
}

static int propose(struct raft *r, const struct raft_message *m)
{
	raft_index last = 0, pending = r->pending_conf;
	struct raft_entry *e;
	bool taken, member = tracker_find(&r->tracker, r->id) != NULL;

	if (RAFT_GUARD(PROPOSE_MEMBER, !member) ||
	    RAFT_GUARD(TRANSFER_STOPS_PROPOSALS, r->transferee != 0))
		return RAFT_EDROPPED;
	if (raft_fail(r, log_last_index(&r->log, &last)) != RAFT_OK)
		return r->fatal;
	e = malloc(m->entries_n * sizeof(*e));
	if (e == NULL)
		return raft_fail(r, RAFT_ENOMEM);
	memcpy(e, m->entries, m->entries_n * sizeof(*e));
	refuse_changes(r, e, m->entries_n, last, &pending);
	taken = leader_append(r, e, m->entries_n);
	free(e);
	if (!taken)
		return r->fatal != RAFT_OK ? r->fatal : RAFT_EDROPPED;
	r->pending_conf = pending;
	leader_broadcast_append(r);
	return RAFT_OK;
}

/* A joint configuration that leaves by itself is left by its leader once the
 * change that entered it is applied [4.3]. */
void leader_leave_joint(struct raft *r)
{
	struct raft_entry leave = {.type = RAFT_ENTRY_CONF_CHANGE};
	struct raft_message m = {.type = RAFT_MSG_PROP,
	    .from = r->id,
	    .entries = &leave,
	    .entries_n = 1};

	if (RAFT_GUARD(LEAVE_IF_TOLD, r->tracker.conf.auto_leave) &&
	    RAFT_GUARD(LEAVE_BY_LEADER, r->state == RAFT_LEADER) &&
	    RAFT_GUARD(LEAVE_ONCE, r->log.applied >= r->pending_conf) &&
	    propose(r, &m) == RAFT_OK)
		raft_tell(r, RAFT_TRACE_CONF_LEAVE, 0, 0, 0);
}

/* ---- Responses ---- */

static void append_rejected(
    struct raft *r, struct progress *p, const struct raft_message *m)
{
	raft_index next = m->reject_hint;
	raft_term ignored;

	raft_tell(r, RAFT_TRACE_REFUSED, p->id, m->index, m->reject_hint);
	if (RAFT_GUARD(REPAIR_LATE_ACK, p->lost_ask != 0) &&
	    repair_refused(r, p, m->index))
		return;
	/* Skip what cannot match: entries of a later term than the peer has
	 * at its hint. */
	if (m->log_term > 0)
		log_find_conflict(
		    &r->log, m->reject_hint, m->log_term, &next, &ignored);
	if (!progress_maybe_decrement(p, m->index, next))
		return;
	raft_tell(r, RAFT_TRACE_DECREASED, p->id, p->next, 0);
	if (RAFT_GUARD(REJECT_PROBES, p->state == RAFT_REPLICATE))
		progress_become_probe(p);
	leader_send_append(r, p, true);
}

static void progress_moved(
    struct raft *r, struct progress *p, const struct raft_message *m)
{
	raft_index first = 0;

	switch (p->state) {
	case RAFT_PROBE: progress_become_replicate(p); break;
	case RAFT_SNAPSHOTTING:
		raft_fail(r, log_first_index(&r->log, &first));
		if (RAFT_GUARD(SNAP_CAUGHT_UP, p->match + 1 >= first)) {
			raft_tell(r, RAFT_TRACE_SNAP_ENOUGH, p->id, p->match,
			    p->pending_snapshot);
			progress_become_probe(p);
			progress_become_replicate(p);
		}
		break;
	case RAFT_REPLICATE: inflights_free_to(&p->inflights, m->index); break;
	}
}

static void send_timeout_now(struct raft *r, raft_id to)
{
	raft_tell(r, RAFT_TRACE_TIMEOUT_NOW, to, 0, 0);
	raft_send(
	    r, (struct raft_message){.to = to, .type = RAFT_MSG_TIMEOUT_NOW});
}

static void append_accepted(
    struct raft *r, struct progress *p, const struct raft_message *m)
{
	raft_id id = p->id;
	raft_index last = 0;

	if (raft_fail(r, log_last_index(&r->log, &last)) != RAFT_OK ||
	    RAFT_GUARD(ACK_OF_SENT, m->index > last))
		return; /* nobody holds what was never sent */
	if (!progress_maybe_update(p, m->index) &&
	    !(p->match == m->index && p->state == RAFT_PROBE))
		return;
	progress_moved(r, p, m);
	if (leader_maybe_commit(r)) {
		reads_release(r);
		leader_broadcast_append(r);
	} else if (id != r->id &&
		   RAFT_GUARD(COMMIT_TOLD, r->log.committed > p->sent_commit) &&
		   p->sent_commit < p->next - 1) {
		leader_send_append(r, p, true);
	}
	if (id == r->id)
		return;
	while (leader_send_append(r, p, false))
		;
	if (id == r->transferee &&
	    RAFT_GUARD(TRANSFER_CAUGHT_UP, p->match == last))
		send_timeout_now(r, id);
}

static void heartbeat_answered(
    struct raft *r, struct progress *p, const struct raft_message *m)
{
	raft_index last = 0;
	bool lost, again;

	p->recent_active = true;
	p->flow_paused = false;
	again = m->reject && RAFT_GUARD(REPAIR_LATE_COMMIT, p->lost_ask != 0) &&
		repair_refused(r, p, m->index);
	raft_fail(r, log_last_index(&r->log, &last));
	lost = p->match < last || p->state == RAFT_PROBE; /* or never sent */
	if (!again && RAFT_GUARD(HEARTBEAT_RESENDS, lost))
		leader_send_append(r, p, true);
	if (m->context != 0)
		reads_ack(r, p, m->context);
}

static void snapshot_reported(struct progress *p, const struct raft_message *m)
{
	if (p->state != RAFT_SNAPSHOTTING)
		return;
	if (RAFT_GUARD(SNAP_FAILED, m->reject))
		p->pending_snapshot = 0;
	progress_become_probe(p);
	/* Wait for its APP_RESP, or a heartbeat, before the next append. */
	p->flow_paused = true;
}

/* ---- Transfer [3.10] ---- */

void leader_abort_transfer(struct raft *r)
{
	raft_tell(r, RAFT_TRACE_TRANSFER, r->transferee, 1, 0);
	r->transferee = 0;
}

static void transfer(struct raft *r, struct progress *p)
{
	bool aborts = r->transferee != 0;
	raft_index last = 0;

	if (RAFT_GUARD(TRANSFER_VOTER, p->learner) ||
	    RAFT_GUARD(TRANSFER_AGAIN, r->transferee == p->id))
		return;
	if (aborts)
		leader_abort_transfer(r);
	if (p->id == r->id) {
		if (aborts) /* the end of a joint may have waited for that */
			leader_leave_joint(r);
		return;
	}
	r->election_elapsed = 0; /* it has one election timeout */
	r->reads.lease_off = true;
	r->transferee = p->id;
	raft_tell(r, RAFT_TRACE_TRANSFER, p->id, 0, 0);
	raft_fail(r, log_last_index(&r->log, &last));
	if (RAFT_GUARD(TRANSFER_CAUGHT_UP, p->match == last))
		send_timeout_now(r, p->id);
	else
		leader_send_append(r, p, true);
}

/* ---- The table ---- */

/* A leader that hears no quorum steps down [6.2]. */
static void check_quorum(struct raft *r)
{
	struct progress *self = tracker_find(&r->tracker, r->id);

	if (self != NULL)
		self->recent_active = true;
	if (RAFT_GUARD(CHECK_QUORUM, !tracker_quorum_active(&r->tracker))) {
		raft_tell(r, RAFT_TRACE_NO_QUORUM, 0, 0, 0);
		raft_become_follower(r, r->term, 0);
	}
	for (size_t i = 0; i < r->tracker.n; i++)
		if (RAFT_GUARD(CHECK_LATELY, r->tracker.peers[i].id != r->id))
			r->tracker.peers[i].recent_active = false;
}

static void step_from_peer(
    struct raft *r, struct progress *p, const struct raft_message *m)
{
	switch (m->type) {
	case RAFT_MSG_APP_RESP:
		p->recent_active = true;
		if (m->reject)
			append_rejected(r, p, m);
		else
			append_accepted(r, p, m);
		break;
	case RAFT_MSG_HEARTBEAT_RESP: heartbeat_answered(r, p, m); break;
	case RAFT_MSG_SNAP_STATUS: snapshot_reported(p, m); break;
	case RAFT_MSG_UNREACHABLE:
		/* In-flight messages are probably lost: probe. */
		if (RAFT_GUARD(UNREACHABLE_PROBES, p->state == RAFT_REPLICATE))
			progress_become_probe(p);
		raft_tell(r, RAFT_TRACE_UNREACHABLE, p->id, 0, 0);
		break;
	case RAFT_MSG_TRANSFER_LEADER: transfer(r, p); break;
	default: break;
	}
}

int step_leader(struct raft *r, const struct raft_message *m)
{
	struct progress *p;

	switch (m->type) {
	case RAFT_MSG_BEAT: leader_broadcast_heartbeat(r); return RAFT_OK;
	case RAFT_MSG_CHECK_QUORUM: check_quorum(r); return RAFT_OK;
	case RAFT_MSG_PROP: return propose(r, m);
	case RAFT_MSG_READ_INDEX: reads_request(r, m); return RAFT_OK;
	case RAFT_MSG_FORGET_LEADER: return RAFT_OK;
	default: break;
	}
	p = tracker_find(&r->tracker, m->from);
	if (p != NULL)
		step_from_peer(r, p, m);
	return RAFT_OK;
}
