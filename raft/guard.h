/* guard.h -- the rules whose absence a test must notice.
 * In a normal build RAFT_GUARD(name, cond) is cond.  Built with -DRAFT_MUTATE,
 * one guard may be broken: it is then the fixed value of its row.  `make
 * raft-mutants` breaks each in turn (tests/mutants). */
#ifndef QUORATE_RAFT_GUARD_H
#define QUORATE_RAFT_GUARD_H

#include <stdbool.h>

/* X(name, value when broken, who must notice, what the rule is)
 * SIM: a cluster would come to harm, and the simulator must see it; ANY: one of
 * the judges must. */
#define RAFT_GUARDS(X)                                                         \
	/* Elections */                                                        \
	X(VOTE_ONCE, true, SIM, "one vote a term [3.4]")                       \
	X(VOTE_KEPT, true, SIM,                                                \
	    "a vote is forgotten with its term, not before [3.4]")             \
	X(VOTE_NO_LEADER, true, ANY,                                           \
	    "no vote once the term's leader is known")                         \
	X(VOTE_UP_TO_DATE, true, SIM,                                          \
	    "no vote for a log behind one's own [3.6.1]")                      \
	X(LOG_TERM, true, SIM,                                                 \
	    "of two logs the later term wins, not the length [3.6.1]")         \
	X(LOG_LENGTH, true, SIM,                                               \
	    "of one last term the longer log wins [3.6.1]")                    \
	X(ELECTION_QUORUM, true, SIM, "a quorum elects [3.4]")                 \
	X(ELECTION_LOST, false, ANY,                                           \
	    "a quorum of refusals ends a campaign [3.4]")                      \
	X(VOTE_FIRST, true, ANY,                                               \
	    "of a voter's answers the first counts [3.4]")                     \
	X(ANSWER_KIND, true, SIM, "answers to a question are no votes [9.6]")  \
	X(ASK_VOTER, false, ANY, "only voters are asked [4.2.1]")              \
	X(CAMPAIGN_LEADER, false, ANY, "a leader does not campaign")           \
	X(CAMPAIGN_VOTER, true, ANY, "a learner does not campaign [4.2.1]")    \
	X(CAMPAIGN_SNAPSHOT, true, ANY, "store a snapshot, then campaign")     \
	X(CONF_BEFORE_CAMPAIGN, false, SIM, "apply changes, then campaign")    \
	X(STALE_TERM, false, SIM, "ignore messages of earlier terms [3.3]")    \
	X(STALE_LEADER_TOLD, false, ANY,                                       \
	    "a leader of an earlier term is told [6.2]")                       \
	X(STALE_ASKER_TOLD, false, ANY,                                        \
	    "who asks in an earlier term is told [9.6]")                       \
	X(LEADER_LEADS, true, ANY,                                             \
	    "only a leader's messages make it one's leader")                   \
	X(PRE_VOTE_NEXT_TERM, false, ANY,                                      \
	    "a question is for the next term [9.6]")                           \
	X(PRE_VOTE_FREE, false, ANY,                                           \
	    "a question is answered whoever has the vote [9.6]")               \
	X(PRE_VOTE_NO_VOTE, true, SIM,                                         \
	    "an answer to a question is no vote [9.6]")                        \
	X(PRE_VOTE_NO_TERM, false, ANY, "a question changes no term [9.6]")    \
	X(LEASE, false, ANY, "who hears a leader does not depose it [4.2.3]")  \
	X(CHECK_QUORUM, false, ANY,                                            \
	    "a leader that hears no quorum steps down [6.2]")                  \
	X(CHECK_LATELY, false, ANY, "heard means since the last check [6.2]")  \
	/* Replication */                                                      \
	X(APPEND_MATCH, true, SIM, "append only after a matching entry [3.5]") \
	X(APPEND_CONFLICT, false, SIM, "find where logs conflict [3.5]")       \
	X(APPEND_BELOW_COMMIT, false, ANY,                                     \
	    "what is committed is not compared again [3.5]")                   \
	X(APPEND_COMMIT, false, SIM,                                           \
	    "an append commits what it vouches for [3.5]")                     \
	X(HEARTBEAT_COMMIT, false, SIM,                                        \
	    "a heartbeat commits only what matches [3.5]")                     \
	X(COMMIT_OWN_TERM, true, SIM,                                          \
	    "commit only entries of one's term [3.6.2]")                       \
	X(COMMIT_QUORUM, false, SIM, "commit what a quorum holds [3.5]")       \
	X(COMMIT_FORWARD, false, SIM,                                          \
	    "the commit index never goes back [3.3]")                          \
	X(COMMIT_IN_LOG, false, ANY,                                           \
	    "commit nothing that the log does not hold")                       \
	X(MATCH_UNKNOWN, false, SIM,                                           \
	    "a new leader knows of no peer's log [3.5]")                       \
	X(MATCH_FORWARD, false, ANY,                                           \
	    "a late acknowledgement changes nothing [3.5]")                    \
	X(ACK_OF_SENT, false, ANY, "nobody holds what was never sent")         \
	X(NEXT_PAST_MATCH, true, ANY,                                          \
	    "a refusal does not undo an acknowledgement")                      \
	X(NEXT_FOLLOWS, false, ANY, "what is acknowledged is not sent again")  \
	X(COMMIT_TOLD, false, ANY,                                             \
	    "who acknowledges is told of the commit [3.5]")                    \
	X(REJECT_OLD, false, ANY, "a refusal of what matched since is late")   \
	X(REJECT_PROBED, false, ANY,                                           \
	    "only the refusal of the last probe counts")                       \
	X(REJECT_PROBES, false, ANY, "who refused is probed [10.2.1]")         \
	X(HEARTBEAT_RESENDS, false, ANY,                                       \
	    "a heartbeat's answer restarts what was lost")                     \
	X(UNREACHABLE_PROBES, false, ANY,                                      \
	    "who cannot be reached is probed [10.2.1]")                        \
	X(PROBE_ONE, false, ANY, "one probe at a time")                        \
	X(WINDOW_MSGS, false, ANY,                                             \
	    "a window bounds the messages in flight [10.2.1]")                 \
	X(WINDOW_BYTES, false, ANY,                                            \
	    "a window bounds the bytes in flight [10.2.1]")                    \
	X(QUOTA, false, ANY, "uncommitted proposals are bounded")              \
	X(QUOTA_ONE, true, ANY, "one proposal passes, however large")          \
	X(QUOTA_EMPTY, true, ANY, "what is empty passes any quota")            \
	X(FORWARD_TO_LEADER, false, ANY, "nothing is forwarded to nobody")     \
	X(PROPOSE_MEMBER, false, ANY,                                          \
	    "a leader that was removed takes no proposals")                    \
	/* Durability */                                                       \
	X(ACK_AFTER_DISK, false, SIM, "acks leave after the disk [3.8]")       \
	X(VOTE_AFTER_DISK, false, SIM, "votes leave after the disk [3.8]")     \
	X(PRE_VOTE_AFTER_DISK, false, ANY,                                     \
	    "answers leave after the disk [3.8]")                              \
	X(REQUEST_AFTER_DISK, false, SIM,                                      \
	    "requests for votes leave after the disk [3.8]")                   \
	X(HARD_TERM, false, SIM, "a new term goes to the disk [3.8]")          \
	X(HARD_VOTE, false, SIM, "a vote goes to the disk [3.8]")              \
	X(HARD_COMMIT, false, ANY, "a commit index goes to the disk")          \
	X(SYNC_ENTRIES, false, ANY, "entries are synced [3.8]")                \
	X(SYNC_VOTE, false, ANY, "a vote is synced [3.8]")                     \
	X(SYNC_TERM, false, ANY, "a term is synced [3.8]")                     \
	X(ANSWERS_KEPT, true, ANY, "an answer that needs no write leaves too") \
	X(STABLE_TERM, true, SIM, "a storage ack names the term it wrote")     \
	X(REPLACED_WRITTEN, false, SIM,                                        \
	    "what replaces an entry is written again [3.5]")                   \
	X(APPLY_DURABLE, false, SIM, "apply only what the disk holds")         \
	X(APPLY_PAUSES, true, ANY, "what is being applied is bounded")         \
	X(APPLIED_FORWARD, true, ANY, "the applied index never goes back")     \
	X(APPLIED_IS_COMMITTED, false, SIM, "what was applied was committed")  \
	X(RESTART_COMMIT, false, ANY,                                          \
	    "no start without what was committed [3.8]")                       \
	X(RESTART_APPLIED, false, ANY,                                         \
	    "no start without what was applied [3.8]")                         \
	X(RESTART_GAP, false, ANY, "no start with a gap before the log [5.1]") \
	/* Membership */                                                       \
	X(CONF_PENDING, false, SIM, "one membership change at a time [4.1]")   \
	X(CONF_AT_ELECTION, false, SIM,                                        \
	    "a new leader takes its log for pending [4.1]")                    \
	X(CONF_IN_JOINT, true, ANY,                                            \
	    "in a joint, leave; else there is none to leave [4.3]")            \
	X(CONF_DECODES, false, ANY, "no change is taken that cannot be read")  \
	X(CONF_BEFORE_SNAPSHOT, true, ANY,                                     \
	    "a change from before a snapshot is late")                         \
	X(JOINT_COMMITS, false, SIM, "both halves of a joint commit [4.3]")    \
	X(JOINT_ELECTS, false, SIM, "both halves of a joint elect [4.3]")      \
	X(JOINT_ONCE, false, ANY, "no joint inside a joint [4.3]")             \
	X(JOINT_OF_NOBODY, false, ANY, "no joint of an empty half [4.3]")      \
	X(SIMPLE_IN_JOINT, false, ANY,                                         \
	    "no simple change inside a joint [4.3]")                           \
	X(SOMEBODY_VOTES, false, ANY, "no change leaves nobody to vote [4]")   \
	X(LEARNERS_NEXT, false, SIM,                                           \
	    "a voter of the old half stays one until it ends [4.3]")           \
	X(OUTGOING_STAYS, true, SIM,                                           \
	    "who leaves is a peer while the old half votes [4.3]")             \
	X(LEAVE_IF_TOLD, true, ANY,                                            \
	    "a joint leaves itself only if told so [4.3]")                     \
	X(LEAVE_BY_LEADER, true, SIM, "a leader leaves a joint [4.3]")         \
	X(LEAVE_ONCE, true, ANY,                                               \
	    "a joint is left once, after it is entered [4.3]")                 \
	X(LEAVE_WHAT, false, ANY, "what is no joint is not left [4.3]")        \
	X(LEAVE_KEEPS_VOTERS, true, ANY,                                       \
	    "who leaves with the old half is no voter [4.3]")                  \
	X(LEAVE_KEEPS_LEARNERS, true, ANY,                                     \
	    "who leaves with the old half is no learner [4.3]")                \
	X(STEPS_DOWN, false, ANY,                                              \
	    "a removed leader steps down if told so [4.2.2]")                  \
	/* Reads */                                                            \
	X(READ_OWN_TERM, true, SIM, "no read before the term's no-op [6.4]")   \
	X(READ_QUORUM, true, SIM,                                              \
	    "a quorum confirms the leader of a read [6.4]")                    \
	X(READ_ROUND, true, SIM, "an answer confirms no later round [6.4]")    \
	X(READ_TERM, false, SIM, "a read does not outlive its term [6.4]")     \
	X(READ_ANEW, false, ANY,                                               \
	    "what was answered in an earlier term is forgotten [6.4]")         \
	X(READ_SAFE, true, SIM, "no lease unless asked for [6.4.1]")           \
	X(LEASE_ENDS, true, ANY, "a lease ends [6.4.1]")                       \
	X(LEASE_QUORUM, true, ANY, "a quorum grants a lease [6.4.1]")          \
	X(LEASE_PROMISE, false, ANY,                                           \
	    "who a lease stands on elects nobody [6.4.1]")                     \
	X(LEASE_CAMPAIGN, false, ANY, "nor itself, unless it is told to")      \
	X(LEASE_TRANSFER, false, ANY,                                          \
	    "a term in which leadership was handed over has no lease")         \
	X(LONE_IN_JOINT, true, ANY,                                            \
	    "one voter and an old half are not one [6.4]")                     \
	X(LONE_ITSELF, true, ANY, "a removed leader is no lone voter [6.4]")   \
	/* Transfer */                                                         \
	X(TRANSFER_VOTER, false, ANY, "leadership goes to no learner [3.10]")  \
	X(TRANSFER_CAUGHT_UP, true, ANY,                                       \
	    "who gets leadership has the whole log [3.10]")                    \
	X(TRANSFER_STOPS_PROPOSALS, false, ANY,                                \
	    "no proposals during a transfer [3.10]")                           \
	X(TRANSFER_ENDS, false, ANY,                                           \
	    "a transfer has one election timeout [3.10]")                      \
	X(TRANSFER_AGAIN, false, ANY,                                          \
	    "asking again gives no more time [3.10]")                          \
	X(TRANSFER_TO_LEAVER, false, ANY,                                      \
	    "no transfer to one that leaves [3.10]")                           \
	X(TRANSFER_FORCES, true, ANY,                                          \
	    "a transfer deposes a leader that is heard [4.2.3]")               \
	/* Snapshots */                                                        \
	X(SNAP_OLD, false, ANY, "a snapshot never goes back [5.1]")            \
	X(SNAP_FOR_US, false, ANY, "a snapshot without us is not ours [5.1]")  \
	X(SNAP_MATCHES, false, ANY,                                            \
	    "a snapshot cuts no log that holds it [5.1]")                      \
	X(SNAP_STORED, false, ANY, "of two snapshots the later stays")         \
	X(STALE_SNAPSHOT, false, ANY,                                          \
	    "a snapshot is stored, whatever the term")                         \
	X(APPLY_AFTER_SNAPSHOT, true, SIM,                                     \
	    "nothing is applied across a snapshot")                            \
	X(SNAP_CAUGHT_UP, true, ANY,                                           \
	    "a snapshot is waited for until it is passed")                     \
	X(SNAP_FAILED, false, ANY, "a snapshot that failed is no progress")    \
	X(SNAP_PROBED_PAST, false, ANY,                                        \
	    "a snapshot that arrived is probed past")                          \
	X(SNAP_ACTIVE, false, ANY, "no snapshot to one that is not heard")     \
	/* A log that was lost */                                              \
	X(REPAIR_VOTE, true, SIM, "who lost its log does not vote")            \
	X(REPAIR_PRE_VOTE, true, ANY, "nor answer who asks in advance")        \
	X(REPAIR_CAMPAIGN, true, SIM, "nor campaign, even if it is told to")   \
	X(REPAIR_COMMIT, false, SIM,                                           \
	    "a commit index beyond what is left of a log waits")               \
	X(REPAIR_LEADER, false, SIM, "only a leader knows what was lost")      \
	X(REPAIR_MATCH, false, SIM,                                            \
	    "what was acknowledged before the loss does not count")            \
	X(REPAIR_LATE_ACK, false, ANY,                                         \
	    "it is taken back if it is heard of after the loss")               \
	X(REPAIR_LATE_COMMIT, false, ANY,                                      \
	    "even where there is nothing to append")                           \
	X(REPAIR_UPTO, false, SIM,                                             \
	    "what was acknowledged may be committed later")                    \
	X(REPAIR_NUMBER, false, SIM, "an answer is to one question")           \
	X(REPAIR_TERM, false, SIM, "an earlier leader may lack what was lost") \
	X(REPAIR_APPLIED, true, SIM, "who lost its log votes once it is back") \
	/* Far nodes */                                                        \
	X(PRIORITY, false, SIM, "who would rather lead refuses a lesser one")  \
	X(PRIORITY_LOG, true, SIM, "but not one whose log is newer [3.6.1]")   \
	X(PRIORITY_LEADS, true, ANY, "and not if it may not lead itself")      \
	X(PRIORITY_TRANSFER, true, SIM, "a transfer minds no priority [3.10]") \
	X(COMMIT_GROUPS, false, SIM,                                           \
	    "commit what enough groups hold, if asked")                        \
	/* What peers say */                                                   \
	X(PEER_LOCAL, false, ANY, "peers send no local messages")              \
	X(PEER_ENTRIES, false, ANY, "entries come in order, of no later term") \
	X(PEER_TERM, true, ANY, "a peer's message has a term")                 \
	X(PEER_STORAGE, false, ANY, "peers do not answer for the disk")        \
	X(PEER_MEMBER, false, ANY, "only members answer [4.2.3]")

enum raft_guard {
#define X(name, broken, judge, what) RAFT_GUARD_##name,
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
