/* guard.h -- the rules whose absence a test must notice.
 * In a normal build RAFT_GUARD(name, cond) is cond.  Built with -DRAFT_MUTATE,
 * one guard may be broken: it is then the fixed value of its row.  `make
 * raft-mutants` breaks each in turn (tests/mutants). */
#ifndef QUORATE_RAFT_GUARD_H
#define QUORATE_RAFT_GUARD_H

#include <stdbool.h>

/* X(name, value when broken, what the rule is) */
#define RAFT_GUARDS(X)                                                         \
	X(VOTE_ONCE, true, "one vote a term [3.4]")                            \
	X(VOTE_UP_TO_DATE, true, "no vote for a log behind one's own [3.6.1]") \
	X(VOTE_AFTER_DISK, false, "votes and acks leave after the disk [3.8]") \
	X(COMMIT_OWN_TERM, true, "commit only entries of one's term [3.6.2]")  \
	X(COMMIT_QUORUM, false, "commit what a quorum holds [3.5]")            \
	X(APPEND_MATCH, true, "append only after a matching entry [3.5]")      \
	X(APPEND_CONFLICT, false, "find where logs conflict [3.5]")            \
	X(STALE_TERM, false, "ignore messages of earlier terms [3.3]")         \
	X(STABLE_TERM, true, "a storage ack names the term it wrote")          \
	X(CONF_PENDING, false, "one membership change at a time [4.1]")        \
	X(CONF_BEFORE_CAMPAIGN, false, "apply changes, then campaign")         \
	X(READ_OWN_TERM, true, "no read before the term's no-op [6.4]")        \
	X(READ_QUORUM, true, "a quorum confirms the leader of a read [6.4]")   \
	X(ELECTION_QUORUM, true, "a quorum elects [3.4]")                      \
	X(HEARTBEAT_COMMIT, false, "a heartbeat commits only what matches")    \
	X(JOINT_COMMITS, false, "both halves of a joint commit [4.3]")         \
	X(JOINT_ELECTS, false, "both halves of a joint elect [4.3]")

enum raft_guard {
#define X(name, broken, what) RAFT_GUARD_##name,
	RAFT_GUARDS(X)
#undef X
	    RAFT_GUARD_COUNT
};

#ifdef RAFT_MUTATE
bool raft_guard_value(enum raft_guard g, bool cond);
#define RAFT_GUARD(name, cond) raft_guard_value(RAFT_GUARD_##name, (cond))
#else
#define RAFT_GUARD(name, cond) (cond)
#endif

#endif
