/* raft_trace.h -- the core's steps as etcd's specification knows them.
 *
 * etcd/raft comes with a TLA+ specification that replays what a program did
 * (tla/Traceetcdraft.tla): one JSON object a line.  Here a typed event of the
 * core becomes a step of that trace, and a step becomes a line.  Pure, as the
 * core is: no files, and nothing is allocated. */
#ifndef QUORATE_RAFT_TRACE_H
#define QUORATE_RAFT_TRACE_H

#include "raft.h"

/* X(symbol, name in the trace, has a message) */
#define RAFT_STEPS(X)                                                          \
	X(INIT, "InitState", false)                                            \
	X(CANDIDATE, "BecomeCandidate", false)                                 \
	X(FOLLOWER, "BecomeFollower", false)                                   \
	X(LEADER, "BecomeLeader", false)                                       \
	X(COMMIT, "Commit", false)                                             \
	X(REPLICATE, "Replicate", false)                                       \
	X(CHANGE_CONF, "ChangeConf", false)                                    \
	X(APPLY_CONF, "ApplyConfChange", false)                                \
	X(READY, "Ready", false)                                               \
	X(SEND_APPEND, "SendAppendEntriesRequest", true)                       \
	X(RECEIVE_APPEND, "ReceiveAppendEntriesRequest", true)                 \
	X(SEND_APPEND_RESP, "SendAppendEntriesResponse", true)                 \
	X(RECEIVE_APPEND_RESP, "ReceiveAppendEntriesResponse", true)           \
	X(SEND_VOTE, "SendRequestVoteRequest", true)                           \
	X(RECEIVE_VOTE, "ReceiveRequestVoteRequest", true)                     \
	X(SEND_VOTE_RESP, "SendRequestVoteResponse", true)                     \
	X(RECEIVE_VOTE_RESP, "ReceiveRequestVoteResponse", true)               \
	X(SEND_SNAPSHOT, "SendSnapshot", true)                                 \
	X(RECEIVE_SNAPSHOT, "ReceiveSnapshot", true)

enum raft_step_kind {
#define X(symbol, name, message) RAFT_STEP_##symbol,
	RAFT_STEPS(X)
#undef X
	    RAFT_STEP_KINDS
};
extern const char *const raft_step_names[RAFT_STEP_KINDS];
extern const char *const raft_role_names[4]; /* by enum raft_state */

#define RAFT_STEP_UNKNOWN UINT64_MAX

struct raft_step_message {
	enum raft_message_type type;
	raft_term term, log_term;
	raft_id from, to, vote;
	raft_index index, commit, reject_hint;
	uint64_t entries; /* their number; SNAP: the snapshot's index */
	bool reject;
};

struct raft_step {
	enum raft_step_kind kind;
	raft_id id;
	struct raft_hard_state state;
	enum raft_state role;
	raft_index last;                    /* of the log */
	const struct raft_conf_state *conf; /* borrowed */
	struct raft_step_message m;         /* of steps that have one */
	struct raft_conf_change
	    change; /* CHANGE_CONF; n = 0: leave the joint */
	/* INIT: beyond etcd's schema, as properties. */
	raft_index applied; /* RAFT_STEP_UNKNOWN in the trace of another */
	raft_term last_term;
	bool lost; /* the disk lost what it had acknowledged */
};

/* The step that an event is; false: it is none of the trace's.
 * *out borrows from t->raft until the core is called again. */
bool raft_step_of(const struct raft_trace *t, struct raft_step *out);

#define RAFT_STEP_LINE_MAX 8192
/* The step as a line, with its end and without a zero byte; returns its
 * length.  at_ns orders the lines of several files: any clock that never gives
 * one number twice. */
size_t raft_step_line(
    const struct raft_step *s, uint64_t at_ns, char out[RAFT_STEP_LINE_MAX]);

#endif
