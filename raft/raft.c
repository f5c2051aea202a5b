/* raft.c -- a node's state, its term, and the way in and out of it. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

int raft_fail(struct raft *r, int rc)
{
	if (r->fatal == RAFT_OK && rc != RAFT_OK)
		r->fatal = rc;
	return rc;
}

int raft_fatal(const struct raft *r)
{
	return r->fatal;
}

static void tell(struct raft *r, struct raft_trace t)
{
	t.id = r->id;
	t.term = r->term;
	t.state = r->state;
	t.type = t.m == NULL ? RAFT_MSG_HUP : t.m->type;
	t.raft = r;
	r->config.trace(r->config.trace_ctx, &t);
}

void raft_tell(struct raft *r, enum raft_trace_kind kind, raft_id peer,
    uint64_t a, uint64_t b)
{
	if (r->config.trace != NULL)
		tell(r, (struct raft_trace){.kind = kind,
			    .peer = peer,
			    .a = a,
			    .b = b,
			    .m = r->handled});
}

void raft_tell_entry(struct raft *r, const struct raft_entry *e)
{
	if (r->config.trace != NULL)
		tell(r, (struct raft_trace){.kind = RAFT_TRACE_REPLICATE,
			    .m = r->handled,
			    .entry = e});
}

struct raft_hard_state raft_hard(const struct raft *r)
{
	return (struct raft_hard_state){r->term, r->vote, r->log.committed};
}

/* splitmix64: small, and the same everywhere */
static uint64_t draw(struct raft *r)
{
	uint64_t z = (r->rng += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static int config_check(const struct raft_config *c)
{
	if (c->id == 0 || c->id >= RAFT_APPLY_THREAD ||
	    c->heartbeat_ticks == 0 ||
	    c->election_ticks <= c->heartbeat_ticks ||
	    c->max_inflight_msgs == 0 ||
	    (c->max_inflight_bytes != 0 &&
		c->max_inflight_bytes < c->max_size_per_msg) ||
	    (c->read_mode == RAFT_READ_LEASE && !c->check_quorum) ||
	    (c->commit_groups > 1 && c->group_of == NULL))
		return RAFT_EINVAL;
	return RAFT_OK;
}

static int restart(struct raft *r)
{
	struct raft_hard_state hs = {0};
	struct raft_conf_state cs = {0};
	const struct raft_storage *s = &r->config.storage;
	raft_index last, applied;
	int rc;

	if ((rc = log_init(&r->log, r)) != RAFT_OK ||
	    (rc = s->initial_state(s->ctx, &hs, &cs)) != RAFT_OK ||
	    (rc = log_last_index(&r->log, &last)) != RAFT_OK ||
	    (rc = conf_restore(&r->tracker, &cs, last)) != RAFT_OK)
		return rc;
	raft_switch_conf(r);
	/* What was cut off the log, or applied, was committed, even if the
	 * disk lost that commit index. */
	applied = r->config.applied;
	if (RAFT_GUARD(RESTART_COMMIT, hs.commit > last) ||
	    RAFT_GUARD(RESTART_APPLIED, applied > last) ||
	    RAFT_GUARD(RESTART_GAP, applied != 0 && applied < r->log.applied))
		return RAFT_EINVAL;
	if (hs.commit > r->log.committed)
		r->log.committed = hs.commit;
	if (RAFT_GUARD(APPLIED_IS_COMMITTED, applied > r->log.committed))
		r->log.committed = applied;
	if (applied > r->log.applied)
		log_applied_to(&r->log, applied, 0);
	r->term = hs.term;
	r->vote = hs.vote;
	raft_become_follower(r, r->term, 0);
	r->prev_hard = raft_hard(r);
	if (hs.commit != 0)
		r->prev_hard.commit = hs.commit;
	r->prev_leader = r->leader;
	r->prev_state = r->state;
	return r->fatal;
}

int raft_init(struct raft **out, const struct raft_config *c)
{
	struct raft *r;
	int rc;

	if ((rc = config_check(c)) != RAFT_OK)
		return rc;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return RAFT_ENOMEM;
	r->config = *c;
	r->id = c->id;
	r->rng = c->seed;
	r->tracker.max_inflight_msgs = c->max_inflight_msgs;
	r->tracker.max_inflight_bytes = c->max_inflight_bytes;
	r->tracker.config = &r->config;
	if ((rc = restart(r)) != RAFT_OK) {
		raft_free(r);
		return rc;
	}
	r->begun = true;
	raft_tell(r, RAFT_TRACE_INIT, 0, r->log.applied, 0);
	*out = r;
	return RAFT_OK;
}

void raft_free(struct raft *r)
{
	if (r == NULL)
		return;
	log_free(&r->log);
	tracker_free(&r->tracker);
	reads_free(&r->reads);
	queue_free(&r->out);
	queue_free(&r->after_append);
	queue_free(&r->on_advance);
	free(r->read_states);
	ready_free(r);
	free(r);
}

/* ---- Sending ---- */

static bool carries_own_term(enum raft_message_type t)
{
	return t == RAFT_MSG_VOTE || t == RAFT_MSG_VOTE_RESP ||
	       t == RAFT_MSG_PRE_VOTE || t == RAFT_MSG_PRE_VOTE_RESP;
}

/* Acks and votes promise what the disk must hold first [3.8].  A request for
 * votes too: a candidate that forgot it in a crash could ask again in the same
 * term with a shorter log, and count the votes that its longer log was given.
 * (With sync storage everything but a leader's APPs waits.) */
static bool waits_for_disk(const struct raft *r, enum raft_message_type t)
{
	return RAFT_GUARD(ACK_AFTER_DISK, t == RAFT_MSG_APP_RESP) ||
	       RAFT_GUARD(VOTE_AFTER_DISK, t == RAFT_MSG_VOTE_RESP) ||
	       RAFT_GUARD(PRE_VOTE_AFTER_DISK, t == RAFT_MSG_PRE_VOTE_RESP) ||
	       RAFT_GUARD(REQUEST_AFTER_DISK,
		   t == RAFT_MSG_VOTE && r->config.async_storage &&
		       !r->config.early_vote_requests);
}

void raft_send(struct raft *r, struct raft_message m)
{
	struct raft_queue *q = &r->out;

	if (m.from == 0)
		m.from = r->id;
	/* Proposals and read requests are forwarded as they came. */
	if (!carries_own_term(m.type) && m.type != RAFT_MSG_PROP &&
	    m.type != RAFT_MSG_READ_INDEX)
		m.term = r->term;
	if (r->config.trace != NULL)
		tell(r, (struct raft_trace){
			    .kind = RAFT_TRACE_SEND, .peer = m.to, .m = &m});
	if (waits_for_disk(r, m.type))
		q = &r->after_append;
	raft_fail(r, queue_add(q, &m));
}

/* ---- States [3.3] ---- */

static void reset(struct raft *r, raft_term term)
{
	raft_index last = 0;

	if (RAFT_GUARD(VOTE_KEPT, r->term != term)) {
		r->term = term;
		r->vote = 0;
	}
	r->leader = 0;
	r->election_elapsed = r->heartbeat_elapsed = 0;
	r->election_timeout = r->config.election_ticks +
			      (unsigned)(draw(r) % r->config.election_ticks);
	r->transferee = 0;
	raft_fail(r, log_last_index(&r->log, &last));
	for (size_t i = 0; i < r->tracker.n; i++) {
		struct progress *p = &r->tracker.peers[i];

		p->match = RAFT_GUARD(MATCH_UNKNOWN, p->id != r->id) ? 0 : last;
		p->next = last + 1;
		p->sent_commit = 0;
		p->state = RAFT_PROBE;
		p->pending_snapshot = 0;
		p->lost_ask = 0;
		if (RAFT_GUARD(READ_ANEW, true))
			p->read_round = 0;
		p->recent_active = p->flow_paused = false;
		p->vote = VOTE_NONE;
		inflights_reset(&p->inflights);
	}
	r->pending_conf = 0;
	r->uncommitted_size = 0;
	if (RAFT_GUARD(READ_TERM, true))
		reads_reset(&r->reads);
}

static void became(struct raft *r, enum raft_state s)
{
	r->state = s;
	raft_tell(r, RAFT_TRACE_STATE, r->leader, 0, 0);
}

void raft_become_follower(struct raft *r, raft_term term, raft_id leader)
{
	reset(r, term);
	r->leader = leader;
	became(r, RAFT_FOLLOWER);
}

void raft_become_candidate(struct raft *r)
{
	reset(r, r->term + 1);
	r->vote = r->id;
	became(r, RAFT_CANDIDATE);
}

/* Asking does not change term or vote [9.6]. */
void raft_become_pre_candidate(struct raft *r)
{
	for (size_t i = 0; i < r->tracker.n; i++)
		r->tracker.peers[i].vote = VOTE_NONE;
	r->leader = 0;
	became(r, RAFT_PRE_CANDIDATE);
}

void raft_become_leader(struct raft *r)
{
	struct raft_entry noop = {.type = RAFT_ENTRY_NORMAL};
	struct progress *self;

	reset(r, r->term);
	r->leader = r->id;
	self = tracker_find(&r->tracker, r->id);
	if (self != NULL) {
		progress_become_replicate(self);
		self->recent_active = true;
	}
	/* Whatever is in the log might be a change that is not applied yet:
	 * none is taken before all of it is [4.1]. */
	if (RAFT_GUARD(CONF_AT_ELECTION, true))
		raft_fail(r, log_last_index(&r->log, &r->pending_conf));
	became(r, RAFT_LEADER);
	/* the term's no-op [3.6.2, 6.4] */
	leader_append(r, &noop, 1);
}

/* ---- Time ---- */

static void tick_election(struct raft *r)
{
	if (++r->election_elapsed < r->election_timeout || !raft_promotable(r))
		return;
	r->election_elapsed = 0;
	raft_hup(r, r->config.pre_vote ? CAMPAIGN_PRE : CAMPAIGN_ELECTION);
}

static void tick_leader(struct raft *r)
{
	struct raft_message local = {.from = r->id};
	bool aborted = false;

	r->heartbeat_elapsed++;
	if (++r->election_elapsed >= r->config.election_ticks) {
		r->election_elapsed = 0;
		if (r->config.check_quorum) {
			local.type = RAFT_MSG_CHECK_QUORUM;
			step_leader(r, &local);
		}
		/* A transfer that takes an election timeout is over [3.10]. */
		if (r->state == RAFT_LEADER &&
		    RAFT_GUARD(TRANSFER_ENDS, r->transferee != 0)) {
			leader_abort_transfer(r);
			aborted = true;
		}
	}
	if (r->state == RAFT_LEADER &&
	    r->heartbeat_elapsed >= r->config.heartbeat_ticks) {
		r->heartbeat_elapsed = 0;
		leader_broadcast_heartbeat(r);
	}
	if (aborted) /* the end of a joint may have waited for that */
		leader_leave_joint(r);
}

/* A leader may read by what this node answered, in this term or before; in this
 * life, or in one that a crash made it forget. */
bool raft_promised(const struct raft *r)
{
	return r->config.read_mode == RAFT_READ_LEASE &&
	       r->config.lease_ms != 0 &&
	       r->promise_elapsed < r->config.election_ticks;
}

void raft_clock(struct raft *r, uint64_t now_ms)
{
	r->now_ms = now_ms;
}

void raft_tick(struct raft *r)
{
	if (r->fatal != RAFT_OK)
		return;
	if (r->promise_elapsed < r->config.election_ticks)
		r->promise_elapsed++;
	if (r->state == RAFT_LEADER)
		tick_leader(r);
	else
		tick_election(r);
}

void raft_set_election_timeout(struct raft *r, unsigned ticks)
{
	r->election_timeout = ticks;
}

/* ---- Stepping ---- */

static void snapshot_stored(struct raft *r, const struct raft_snapshot *s)
{
	log_snapshot_stored(&r->log, s->index);
	raft_applied_to(r, s->index, 0);
}

/* A message of an earlier term [3.3]. */
static void step_stale(struct raft *r, const struct raft_message *m)
{
	if (RAFT_GUARD(STALE_LEADER_TOLD,
		r->config.check_quorum || r->config.pre_vote) &&
	    (m->type == RAFT_MSG_HEARTBEAT || m->type == RAFT_MSG_APP)) {
		/* A leader cut off by a higher term that we got to without it
		 * hears of that term, and steps down [6.2, 9.6]. */
		raft_send(r, (struct raft_message){
				 .to = m->from, .type = RAFT_MSG_APP_RESP});
	} else if (RAFT_GUARD(STALE_ASKER_TOLD, m->type == RAFT_MSG_PRE_VOTE)) {
		raft_tell(r, RAFT_TRACE_VOTE, m->from, 0, 0);
		raft_send(r, (struct raft_message){.to = m->from,
				 .term = r->term,
				 .type = RAFT_MSG_PRE_VOTE_RESP,
				 .reject = true});
	} else if (m->type == RAFT_MSG_STORAGE_APPEND_RESP) {
		/* The entries may have been replaced since; a snapshot is
		 * committed and cannot have been. */
		if (m->index != 0)
			raft_tell(
			    r, RAFT_TRACE_STALE_ACK, 0, m->index, m->log_term);
		if (RAFT_GUARD(STALE_SNAPSHOT, m->snapshot != NULL))
			snapshot_stored(r, m->snapshot);
	} else {
		raft_tell(r, RAFT_TRACE_IGNORED, m->from, 0, 0);
	}
}

/* A message of a later term; false: it is not to be looked at further. */
static bool step_newer(struct raft *r, const struct raft_message *m)
{
	bool vote = m->type == RAFT_MSG_VOTE || m->type == RAFT_MSG_PRE_VOTE;
	bool hears = r->config.check_quorum && r->leader != 0 &&
		     r->election_elapsed < r->config.election_ticks;

	/* Whoever hears a leader does not help to depose it [4.2.3]. */
	if (vote && RAFT_GUARD(LEASE, hears) &&
	    RAFT_GUARD(TRANSFER_FORCES,
		m->context != RAFT_CAMPAIGN_TRANSFER_CONTEXT)) {
		raft_tell(r, RAFT_TRACE_IGNORED, m->from, 0, 0);
		return false;
	}
	if (RAFT_GUARD(PRE_VOTE_NO_TERM,
		m->type == RAFT_MSG_PRE_VOTE ||
		    (m->type == RAFT_MSG_PRE_VOTE_RESP && !m->reject)))
		return true; /* a question changes no term */
	raft_tell(r, RAFT_TRACE_NEWER_TERM, m->from, 0, 0);
	raft_become_follower(r, m->term,
	    RAFT_GUARD(LEADER_LEADS, m->type == RAFT_MSG_APP ||
					 m->type == RAFT_MSG_HEARTBEAT ||
					 m->type == RAFT_MSG_SNAP)
		? m->from
		: 0);
	return true;
}

static void storage_appended(struct raft *r, const struct raft_message *m)
{
	if (m->index != 0)
		log_stable_to(
		    &r->log, (struct raft_entry_id){m->log_term, m->index});
	if (m->snapshot != NULL)
		snapshot_stored(r, m->snapshot);
}

static int step(struct raft *r, const struct raft_message *m)
{
	if ((m->type == RAFT_MSG_VOTE || m->type == RAFT_MSG_PRE_VOTE) &&
	    m->context != RAFT_CAMPAIGN_TRANSFER_CONTEXT &&
	    RAFT_GUARD(LEASE_PROMISE, raft_promised(r))) {
		raft_tell(r, RAFT_TRACE_IGNORED, m->from, 0, 0);
		return r->fatal;
	}
	if (m->term > r->term) {
		if (!step_newer(r, m))
			return r->fatal;
	} else if (m->term != 0 && m->term < r->term &&
		   RAFT_GUARD(STALE_TERM, true)) {
		step_stale(r, m);
		return r->fatal;
	}
	switch (m->type) {
	case RAFT_MSG_HUP:
		raft_hup(
		    r, r->config.pre_vote ? CAMPAIGN_PRE : CAMPAIGN_ELECTION);
		return r->fatal;
	case RAFT_MSG_STORAGE_APPEND_RESP: storage_appended(r, m); break;
	case RAFT_MSG_STORAGE_APPLY_RESP:
		leader_reduce_uncommitted(r, m->payload);
		raft_applied_to(r, m->index, m->size);
		break;
	case RAFT_MSG_VOTE:
	case RAFT_MSG_PRE_VOTE: raft_handle_vote(r, m); break;
	default: {
		int rc = r->state == RAFT_LEADER     ? step_leader(r, m)
			 : r->state == RAFT_FOLLOWER ? step_follower(r, m)
						     : step_candidate(r, m);

		return r->fatal != RAFT_OK ? r->fatal : rc;
	}
	}
	return r->fatal;
}

int raft_step_any(struct raft *r, const struct raft_message *m)
{
	int rc;

	r->handled = m;
	raft_tell(r, RAFT_TRACE_RECEIVE, m->from, 0, 0);
	rc = step(r, m);
	r->handled = NULL;
	return rc;
}

static bool local_type(enum raft_message_type t)
{
	return t == RAFT_MSG_HUP || t == RAFT_MSG_BEAT ||
	       t == RAFT_MSG_UNREACHABLE || t == RAFT_MSG_SNAP_STATUS ||
	       t == RAFT_MSG_CHECK_QUORUM || t == RAFT_MSG_STORAGE_APPEND ||
	       t == RAFT_MSG_STORAGE_APPLY || t == RAFT_MSG_FORGET_LEADER;
}

static bool storage_response(enum raft_message_type t)
{
	return t == RAFT_MSG_STORAGE_APPEND_RESP ||
	       t == RAFT_MSG_STORAGE_APPLY_RESP;
}

static bool is_response(enum raft_message_type t)
{
	return t == RAFT_MSG_APP_RESP || t == RAFT_MSG_VOTE_RESP ||
	       t == RAFT_MSG_HEARTBEAT_RESP || t == RAFT_MSG_PRE_VOTE_RESP ||
	       t == RAFT_MSG_READ_INDEX_RESP;
}

/* What a correct peer could have sent: the rest of the core relies on it. */
static bool well_formed(const struct raft_message *m)
{
	if ((unsigned)m->type >= RAFT_MSG_TYPES ||
	    RAFT_GUARD(PEER_LOCAL, local_type(m->type)))
		return false;
	for (size_t i = 0; i < m->entries_n && m->type == RAFT_MSG_APP; i++) {
		const struct raft_entry *e = &m->entries[i];
		bool follows =
		    e->index == m->index + 1 + i && e->term <= m->term;

		if (RAFT_GUARD(PEER_ENTRIES, !follows))
			return false;
	}
	switch (m->type) {
	case RAFT_MSG_PROP: return m->entries_n > 0 && m->term == 0;
	case RAFT_MSG_SNAP:
		return m->snapshot != NULL && m->snapshot->index != 0 &&
		       m->term != 0;
	case RAFT_MSG_READ_INDEX: return m->term == 0;
	case RAFT_MSG_TRANSFER_LEADER: return m->from != 0;
	default:
		return RAFT_GUARD(PEER_TERM, m->term != 0) ||
		       storage_response(m->type);
	}
}

int raft_step(struct raft *r, const struct raft_message *m)
{
	if (r->fatal != RAFT_OK)
		return r->fatal;
	if (!well_formed(m) ||
	    RAFT_GUARD(PEER_STORAGE, storage_response(m->type) &&
					 m->from != RAFT_APPEND_THREAD &&
					 m->from != RAFT_APPLY_THREAD))
		return RAFT_EINVAL;
	/* A response from somebody who is no longer a member. */
	if (RAFT_GUARD(PEER_MEMBER, is_response(m->type)) &&
	    tracker_find(&r->tracker, m->from) == NULL)
		return RAFT_ENOTFOUND;
	return raft_step_any(r, m);
}

/* ---- The caller's own events ---- */

static int step_local(struct raft *r, const struct raft_message *m)
{
	return r->fatal != RAFT_OK ? r->fatal : raft_step_any(r, m);
}

int raft_propose(struct raft *r, const struct raft_span *data, size_t n)
{
	struct raft_entry *e;
	struct raft_message m = {.type = RAFT_MSG_PROP, .from = r->id};
	int rc;

	if (n == 0)
		return RAFT_EINVAL;
	e = calloc(n, sizeof(*e));
	if (e == NULL)
		return raft_fail(r, RAFT_ENOMEM);
	for (size_t i = 0; i < n; i++)
		e[i].data = data[i];
	m.entries = e;
	m.entries_n = n;
	rc = step_local(r, &m);
	free(e);
	return rc;
}

int raft_propose_conf_change(struct raft *r, const struct raft_conf_change *c)
{
	uint8_t bytes[RAFT_CONF_CHANGE_MAX];
	struct raft_entry e = {.type = RAFT_ENTRY_CONF_CHANGE};
	struct raft_message m = {.type = RAFT_MSG_PROP,
	    .from = r->id,
	    .entries = &e,
	    .entries_n = 1};

	if (c->n > RAFT_PEERS_MAX)
		return RAFT_EINVAL;
	if (c->n > 0 || c->transition != RAFT_AUTO)
		e.data = (struct raft_span){
		    bytes, raft_conf_change_encode(c, bytes)};
	return step_local(r, &m);
}

int raft_apply_conf_change(struct raft *r, const struct raft_conf_change *c,
    struct raft_conf_state *out)
{
	raft_index last;
	int rc;

	if (r->fatal != RAFT_OK)
		return r->fatal;
	rc = log_last_index(&r->log, &last);
	/* The configuration of a snapshot that waits for the disk is later
	 * than any change still to be applied. */
	if (rc == RAFT_OK &&
	    RAFT_GUARD(CONF_BEFORE_SNAPSHOT, r->log.snapshot == NULL))
		rc = conf_apply(&r->tracker, c, last);
	if (rc == RAFT_OK)
		raft_switch_conf(r);
	else if (rc != RAFT_EINVAL)
		raft_fail(r, rc);
	if (out != NULL)
		*out = r->tracker.conf;
	return rc;
}

int raft_read_index(struct raft *r, uint64_t ctx)
{
	return step_local(
	    r, &(struct raft_message){
		   .type = RAFT_MSG_READ_INDEX, .from = r->id, .context = ctx});
}

int raft_campaign(struct raft *r)
{
	return step_local(r, &(struct raft_message){.type = RAFT_MSG_HUP});
}

int raft_transfer_leader(struct raft *r, raft_id to)
{
	if (tracker_find(&r->tracker, to) == NULL)
		return RAFT_ENOTFOUND;
	return step_local(r, &(struct raft_message){
				 .type = RAFT_MSG_TRANSFER_LEADER, .from = to});
}

int raft_forget_leader(struct raft *r)
{
	return step_local(
	    r, &(struct raft_message){.type = RAFT_MSG_FORGET_LEADER});
}

void raft_report_unreachable(struct raft *r, raft_id id)
{
	step_local(r,
	    &(struct raft_message){.type = RAFT_MSG_UNREACHABLE, .from = id});
}

void raft_report_snapshot(struct raft *r, raft_id id, bool ok)
{
	step_local(
	    r, &(struct raft_message){
		   .type = RAFT_MSG_SNAP_STATUS, .from = id, .reject = !ok});
}

void raft_status(const struct raft *r, struct raft_status *out)
{
	*out = (struct raft_status){.id = r->id,
	    .leader = r->leader,
	    .transferee = r->transferee,
	    .state = r->state,
	    .hard = raft_hard(r),
	    .applied = r->log.applied,
	    .pending_conf = r->pending_conf,
	    .conf = r->tracker.conf};
	if (log_last_index(&r->log, &out->last_index) != RAFT_OK)
		out->last_index = r->log.committed;
	if (r->state != RAFT_LEADER)
		return;
	for (size_t i = 0; i < r->tracker.n; i++) {
		const struct progress *p = &r->tracker.peers[i];

		out->peers[out->peers_n++] =
		    (struct raft_peer_status){.id = p->id,
			.match = p->match,
			.next = p->next,
			.state = p->state,
			.learner = p->learner,
			.recent_active = p->recent_active,
			.paused = progress_paused(p),
			.pending_snapshot = p->pending_snapshot};
	}
}
