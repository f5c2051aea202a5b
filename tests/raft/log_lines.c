/* log_lines.c -- the core's events as the lines that etcd logs for them.
 *
 * An event says what happened; what a line adds about the node itself is read
 * from it. */
#include "words.h"

#define ID(t) ULL((t)->id)
#define PEER(t) ULL((t)->peer)
#define TERM(t) ULL((t)->term)
#define NAME(t) raft_message_name((t)->type)

static struct raft_entry_id last_of(const struct raft *r)
{
	struct raft_entry_id last = {0, 0};

	log_last(&r->log, &last);
	return last;
}

static raft_term term_at(const struct raft *r, raft_index i)
{
	raft_term t;

	return log_term(&r->log, i, &t) == RAFT_OK ? t : 0;
}

static void say_peer_progress(struct out *o, const struct raft_trace *t)
{
	const struct tracker *all = &t->raft->tracker;

	for (size_t i = 0; i < all->n; i++)
		if (all->peers[i].id == t->peer) {
			say(o, " [");
			say_progress(o, &all->peers[i], all);
			say(o, "]");
		}
}

/* ---- Elections ---- */

static void state(struct out *o, const struct raft_trace *t)
{
	say(o, "%llx became %s at term %llu", ID(t), raft_state_name(t->state),
	    TERM(t));
}

static void hup(struct out *o, const struct raft_trace *t)
{
	say(o, "%llx is starting a new election at term %llu", ID(t), TERM(t));
}

static void no_hup(struct out *o, const struct raft_trace *t)
{
	if (raft_promotable(t->raft))
		say(o,
		    "%llx cannot campaign at term %llu since there are still "
		    "pending configuration changes to apply",
		    ID(t), TERM(t));
	else
		say(o, "%llx is unpromotable and can not campaign", ID(t));
}

static void ask(struct out *o, const struct raft_trace *t)
{
	say(o,
	    "%llx [logterm: %llu, index: %llu] sent Msg%s request to %llx at "
	    "term %llu",
	    ID(t), ULL(t->b), ULL(t->a),
	    t->state == RAFT_PRE_CANDIDATE ? "PreVote" : "Vote", PEER(t),
	    TERM(t));
}

/* "1 [logterm: 1, index: 2, vote: 0] VERB MsgVote FROM 2 [logterm: ..." */
static void say_question(struct out *o, const struct raft_trace *t,
    const char *verb, const char *from)
{
	struct raft_entry_id last = last_of(t->raft);

	say(o,
	    "%llx [logterm: %llu, index: %llu, vote: %llx] %s Msg%s %s %llx "
	    "[logterm: %llu, index: %llu] at term %llu",
	    ID(t), ULL(last.term), ULL(last.index), ULL(t->raft->vote), verb,
	    NAME(t), from, PEER(t), ULL(t->m->log_term), ULL(t->m->index),
	    TERM(t));
}

static void vote(struct out *o, const struct raft_trace *t)
{
	say_question(o, t, t->a ? "cast" : "rejected", t->a ? "for" : "from");
}

static void poll(struct out *o, const struct raft_trace *t)
{
	say(o, "%llx received Msg%s%s from %llx at term %llu", ID(t), NAME(t),
	    t->a ? "" : " rejection", PEER(t), TERM(t));
}

static void tally(struct out *o, const struct raft_trace *t)
{
	say(o, "%llx has received %llu Msg%s votes and %llu vote rejections",
	    ID(t), ULL(t->a), NAME(t), ULL(t->b));
}

static void newer_term(struct out *o, const struct raft_trace *t)
{
	say(o,
	    "%llx [term: %llu] received a Msg%s message with higher term from "
	    "%llx [term: %llu]",
	    ID(t), TERM(t), NAME(t), PEER(t), ULL(t->m->term));
}

static void ignored(struct out *o, const struct raft_trace *t)
{
	const struct raft *r = t->raft;

	if (t->m->term < t->term) {
		say(o,
		    "%llx [term: %llu] ignored a Msg%s message with lower term "
		    "from %llx [term: %llu]",
		    ID(t), TERM(t), NAME(t), PEER(t), ULL(t->m->term));
		return;
	}
	say_question(o, t, "ignored", "from");
	say(o, ": lease is not expired (remaining ticks: %u)",
	    r->config.election_ticks - r->election_elapsed);
}

static void no_quorum(struct out *o, const struct raft_trace *t)
{
	say(o, "%llx stepped down to follower since quorum is not active",
	    ID(t));
}

static void forget(struct out *o, const struct raft_trace *t)
{
	say(o, "%llx forgetting leader %llx at term %llu", ID(t), PEER(t),
	    TERM(t));
}

static void no_forget(struct out *o, const struct raft_trace *t)
{
	(void)t;
	say(o, "ignoring MsgForgetLeader due to ReadOnlyLeaseBased");
}

static void transfer(struct out *o, const struct raft_trace *t)
{
	say(o, "%llx [term %llu] %s %llx", ID(t), TERM(t),
	    t->a ? "abort previous transferring leadership to"
		 : "starts to transfer leadership to",
	    PEER(t));
}

static void timeout_now(struct out *o, const struct raft_trace *t)
{
	if (t->state != RAFT_LEADER)
		say(o,
		    "%llx [term %llu] received MsgTimeoutNow from %llx and "
		    "starts an election to get leadership.",
		    ID(t), TERM(t), PEER(t));
	else if (t->type == RAFT_MSG_APP_RESP)
		say(o,
		    "%llx sent MsgTimeoutNow to %llx after received MsgAppResp",
		    ID(t), PEER(t));
	else
		say(o,
		    "%llx sends MsgTimeoutNow to %llx immediately as %llx "
		    "already has up-to-date log",
		    ID(t), PEER(t), PEER(t));
}

/* ---- Replication ---- */

static void dropped(struct out *o, const struct raft_trace *t)
{
	if (t->peer == 0)
		say(o, "%llx no leader at term %llu; dropping proposal", ID(t),
		    TERM(t));
	else
		say(o,
		    "%llx not forwarding to leader %llx at term %llu; dropping "
		    "proposal",
		    ID(t), PEER(t), TERM(t));
}

static void reject(struct out *o, const struct raft_trace *t)
{
	say(o,
	    "%llx [logterm: %llu, index: %llu] rejected MsgApp [logterm: %llu, "
	    "index: %llu] from %llx",
	    ID(t), ULL(term_at(t->raft, t->a)), ULL(t->a), ULL(t->m->log_term),
	    ULL(t->a), PEER(t));
}

static void refused(struct out *o, const struct raft_trace *t)
{
	say(o,
	    "%llx received MsgAppResp(rejected, hint: (index %llu, term %llu)) "
	    "from %llx for index %llu",
	    ID(t), ULL(t->b), ULL(t->m->log_term), PEER(t), ULL(t->a));
}

static void decreased(struct out *o, const struct raft_trace *t)
{
	say(o, "%llx decreased progress of %llx to", ID(t), PEER(t));
	say_peer_progress(o, t);
}

static void unreachable(struct out *o, const struct raft_trace *t)
{
	say(o, "%llx failed to send message to %llx because it is unreachable",
	    ID(t), PEER(t));
	say_peer_progress(o, t);
}

static void conflict(struct out *o, const struct raft_trace *t)
{
	say(o,
	    "found conflict at index %llu [existing term: %llu, conflicting "
	    "term: %llu]",
	    ULL(t->a), ULL(term_at(t->raft, t->a)), ULL(t->b));
}

static void replace(struct out *o, const struct raft_trace *t)
{
	say(o, "replace the unstable entries from index %llu", ULL(t->a));
}

static void stale_ack(struct out *o, const struct raft_trace *t)
{
	const struct raft_log *l = &t->raft->log;

	if (t->m->term < t->term)
		say(o,
		    "%llx [term: %llu] ignored entry appends from a Msg%s "
		    "message with lower term [term: %llu]",
		    ID(t), TERM(t), NAME(t), ULL(t->m->term));
	else if (t->a < l->offset || t->a - l->offset >= l->tail_n)
		say(o,
		    "entry at index %llu missing from unstable log; ignoring",
		    ULL(t->a));
	else
		say(o,
		    "entry at (index,term)=(%llu,%llu) mismatched with entry "
		    "at (%llu,%llu) in unstable log; ignoring",
		    ULL(t->a), ULL(t->b), ULL(t->a),
		    ULL(term_at(t->raft, t->a)));
}

/* ---- Snapshots ---- */

static void snap_sent(struct out *o, const struct raft_trace *t)
{
	raft_index first = 0;

	log_first_index(&t->raft->log, &first);
	say(o,
	    "%llx [firstindex: %llu, commit: %llu] sent snapshot[index: %llu, "
	    "term: %llu] to %llx",
	    ID(t), ULL(first), ULL(t->raft->log.committed), ULL(t->a),
	    ULL(t->b), PEER(t));
	say_peer_progress(o, t);
}

static void snap_waits(struct out *o, const struct raft_trace *t)
{
	say(o, "%llx paused sending replication messages to %llx", ID(t),
	    PEER(t));
	say_peer_progress(o, t);
}

static void snap_enough(struct out *o, const struct raft_trace *t)
{
	say(o,
	    "%llx recovered from needing snapshot, resumed sending replication "
	    "messages to %llx",
	    ID(t), PEER(t));
	say_peer_progress(o, t);
}

static void restore(struct out *o, const struct raft_trace *t)
{
	const struct raft_log *l = &t->raft->log;

	say(o,
	    "log [committed=%llu, applied=%llu, applying=%llu, "
	    "unstable.offset=%llu, unstable.offsetInProgress=%llu, "
	    "len(unstable.Entries)=%zu] starts to restore snapshot [index: "
	    "%llu, term: %llu]",
	    ULL(l->committed), ULL(l->applied), ULL(l->applying),
	    ULL(l->offset), ULL(l->offset_in_progress), l->tail_n, ULL(t->a),
	    ULL(t->b));
}

static void restored(struct out *o, const struct raft_trace *t)
{
	struct raft_entry_id last = last_of(t->raft);
	unsigned long long commit = ULL(t->raft->log.committed);

	say(o,
	    "%llx [commit: %llu, lastindex: %llu, lastterm: %llu] restored "
	    "snapshot [index: %llu, term: %llu]\n",
	    ID(t), commit, ULL(last.index), ULL(last.term), ULL(t->a),
	    ULL(t->b));
	say(o,
	    "INFO %llx [commit: %llu] restored snapshot [index: %llu, term: "
	    "%llu]",
	    ID(t), commit, ULL(t->a), ULL(t->b));
}

/* ---- Membership ---- */

static void conf(struct out *o, const struct raft_trace *t)
{
	say(o, "%llx switched to configuration ", ID(t));
	say_conf(o, &t->raft->tracker.conf);
}

static void conf_leave(struct out *o, const struct raft_trace *t)
{
	say(o, "initiating automatic transition out of joint configuration ");
	say_conf(o, &t->raft->tracker.conf);
}

static void say_change(struct out *o, struct raft_span data)
{
	static const char *const transitions[] = {
	    "Auto", "JointImplicit", "JointExplicit"};
	static const char *const types[] = {
	    "AddNode", "RemoveNode", "UpdateNode", "AddLearnerNode"};
	struct raft_conf_change c;

	if (raft_conf_change_decode(data, &c) != RAFT_OK)
		return;
	say(o, "transition:ConfChangeTransition%s", transitions[c.transition]);
	for (size_t i = 0; i < c.n; i++)
		say(o, " changes:{type:ConfChange%s node_id:%llu}",
		    types[c.changes[i].type], ULL(c.changes[i].id));
}

static void conf_refused(struct out *o, const struct raft_trace *t)
{
	say(o, "%llx ignoring conf change ", ID(t));
	say_change(o, t->m->entries[t->a].data);
	say(o, " at config ");
	say_conf(o, &t->raft->tracker.conf);
	switch ((enum raft_conf_fault)t->b) {
	case RAFT_CONF_PENDING:
		say(o,
		    ": possible unapplied conf change at index %llu (applied "
		    "to %llu)",
		    ULL(t->raft->pending_conf), ULL(t->raft->log.applied));
		break;
	case RAFT_CONF_JOINT:
		say(o, ": must transition out of joint config first");
		break;
	case RAFT_CONF_NOT_JOINT:
		say(o, ": not in joint state; refusing empty conf change");
		break;
	default: break;
	}
}

/* ---- The table; what is not in it is no line of etcd's ---- */

static const struct {
	enum level level;
	void (*words)(struct out *o, const struct raft_trace *t);
} lines[] = {
    [RAFT_TRACE_STATE] = {LEVEL_INFO, state},
    [RAFT_TRACE_HUP] = {LEVEL_INFO, hup},
    [RAFT_TRACE_NO_HUP] = {LEVEL_WARN, no_hup},
    [RAFT_TRACE_ASK] = {LEVEL_INFO, ask},
    [RAFT_TRACE_VOTE] = {LEVEL_INFO, vote},
    [RAFT_TRACE_POLL] = {LEVEL_INFO, poll},
    [RAFT_TRACE_TALLY] = {LEVEL_INFO, tally},
    [RAFT_TRACE_NEWER_TERM] = {LEVEL_INFO, newer_term},
    [RAFT_TRACE_IGNORED] = {LEVEL_INFO, ignored},
    [RAFT_TRACE_NO_QUORUM] = {LEVEL_WARN, no_quorum},
    [RAFT_TRACE_FORGET] = {LEVEL_INFO, forget},
    [RAFT_TRACE_NO_FORGET] = {LEVEL_ERROR, no_forget},
    [RAFT_TRACE_TRANSFER] = {LEVEL_INFO, transfer},
    [RAFT_TRACE_TIMEOUT_NOW] = {LEVEL_INFO, timeout_now},
    [RAFT_TRACE_DROPPED] = {LEVEL_INFO, dropped},
    [RAFT_TRACE_REJECT] = {LEVEL_DEBUG, reject},
    [RAFT_TRACE_REFUSED] = {LEVEL_DEBUG, refused},
    [RAFT_TRACE_DECREASED] = {LEVEL_DEBUG, decreased},
    [RAFT_TRACE_UNREACHABLE] = {LEVEL_DEBUG, unreachable},
    [RAFT_TRACE_CONFLICT] = {LEVEL_INFO, conflict},
    [RAFT_TRACE_REPLACE] = {LEVEL_INFO, replace},
    [RAFT_TRACE_STALE_ACK] = {LEVEL_INFO, stale_ack},
    [RAFT_TRACE_SNAP_SENT] = {LEVEL_DEBUG, snap_sent},
    [RAFT_TRACE_SNAP_WAITS] = {LEVEL_DEBUG, snap_waits},
    [RAFT_TRACE_SNAP_ENOUGH] = {LEVEL_DEBUG, snap_enough},
    [RAFT_TRACE_RESTORE] = {LEVEL_INFO, restore},
    [RAFT_TRACE_SNAPSHOT] = {LEVEL_INFO, restored},
    [RAFT_TRACE_CONF] = {LEVEL_INFO, conf},
    [RAFT_TRACE_CONF_REFUSED] = {LEVEL_INFO, conf_refused},
    [RAFT_TRACE_CONF_LEAVE] = {LEVEL_INFO, conf_leave},
};

void say_trace(void *ctx, const struct raft_trace *t)
{
	struct out *o = ctx;
	size_t kind = (size_t)t->kind;

	/* Of an abort that nobody asked for etcd says nothing. */
	if (t->kind == RAFT_TRACE_TRANSFER && t->a && t->m == NULL)
		return;
	if (kind >= sizeof(lines) / sizeof(lines[0]) ||
	    lines[kind].words == NULL || lines[kind].level < o->level)
		return;
	say(o, "%s ", level_name(lines[kind].level));
	lines[kind].words(o, t);
	say(o, "\n");
}
