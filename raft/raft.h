/* raft.h -- the whole of consensus that quorate uses.
 *
 * A pure state machine with the semantics of etcd/raft: no I/O, no clock, no
 * threads, no global state.  The caller has the disk, the network and the time:
 *
 *	raft_tick, raft_step, raft_propose ...	events go in
 *	raft_ready				work comes out
 *	raft_advance, or stepping responses	the work is done
 *
 * One thread owns a struct raft.  Sections in brackets are those of Ongaro's
 * dissertation, "Consensus: Bridging Theory and Practice" (2014). */
#ifndef QUORATE_RAFT_H
#define QUORATE_RAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t raft_id; /* 0: nobody */
typedef uint64_t raft_term;
typedef uint64_t raft_index; /* the first entry has index 1 */

#define RAFT_PEERS_MAX 64 /* voters, learners and leavers together */
/* Addressees of storage messages (async storage). */
#define RAFT_APPEND_THREAD ((raft_id)UINT64_MAX)
#define RAFT_APPLY_THREAD ((raft_id)UINT64_MAX - 1)

enum raft_rc {
	RAFT_OK = 0,
	RAFT_EDROPPED = -1,     /* no leader, quota spent, transfer under way */
	RAFT_ECOMPACTED = -2,   /* storage: below the first index */
	RAFT_EUNAVAILABLE = -3, /* storage: past the last index */
	RAFT_ESNAP_NOT_READY = -4, /* storage: no snapshot now, ask again */
	RAFT_EINVAL = -5,    /* a message or configuration that cannot be */
	RAFT_ENOTFOUND = -6, /* no such peer */
	RAFT_ENOMEM = -7,    /* fatal: every later call answers the same; the
				caller stops, as after a crash */
	RAFT_EIO = -8,       /* storage could not read: fatal in the same way */
};
const char *raft_strerror(int rc);

struct raft_span {
	const void *p;
	size_t len;
};

enum raft_entry_type { RAFT_ENTRY_NORMAL = 0, RAFT_ENTRY_CONF_CHANGE = 1 };

struct raft_entry {
	raft_term term;
	raft_index index;
	enum raft_entry_type type;
	struct raft_span data; /* a leader's no-op is empty */
};

struct raft_hard_state { /* durable before anything that depends on it */
	raft_term term;
	raft_id vote;
	raft_index commit;
};

/* ---- Membership [4] ---- */

/* A change takes effect when it is applied.  If fewer of the old voters stay
 * than their quorum (two become one), and the leader is lost before the rest
 * hear that the change is committed, they cannot elect one of themselves. */

struct raft_conf_state {
	raft_id voters[RAFT_PEERS_MAX];
	size_t voters_n;
	raft_id learners[RAFT_PEERS_MAX];
	size_t learners_n;
	raft_id voters_outgoing[RAFT_PEERS_MAX]; /* not empty: joint [4.3] */
	size_t voters_outgoing_n;
	raft_id learners_next[RAFT_PEERS_MAX]; /* learners after the joint */
	size_t learners_next_n;
	bool auto_leave; /* the leader leaves the joint configuration itself */
};

enum raft_change_type {
	RAFT_ADD_VOTER = 0,
	RAFT_REMOVE = 1,
	RAFT_NOP = 2,
	RAFT_ADD_LEARNER = 3,
};
enum raft_transition {
	RAFT_AUTO = 0, /* simple if one change, else joint, left by itself */
	RAFT_JOINT_IMPLICIT = 1, /* joint, left by itself */
	RAFT_JOINT_EXPLICIT = 2, /* joint until an empty change */
};
struct raft_change {
	enum raft_change_type type;
	raft_id id;
};
struct raft_conf_change {
	enum raft_transition transition;
	size_t n; /* none: leave the joint configuration */
	struct raft_change changes[RAFT_PEERS_MAX];
};

/* An entry's data: u8 transition, u8 n, then n times u8 type, u64 id (big
 * endian).  Encode returns the length; out holds RAFT_CONF_CHANGE_MAX. */
#define RAFT_CONF_CHANGE_MAX (2 + RAFT_PEERS_MAX * 9)
size_t raft_conf_change_encode(const struct raft_conf_change *c, uint8_t *out);
int raft_conf_change_decode(struct raft_span in, struct raft_conf_change *out);

/* ---- Messages ---- */

/* Numbers travel between nodes: never renumber. */
enum raft_message_type {
	RAFT_MSG_HUP = 0,  /* local: campaign */
	RAFT_MSG_BEAT = 1, /* local: send heartbeats */
	RAFT_MSG_PROP = 2, /* a proposal, forwarded to the leader */
	RAFT_MSG_APP = 3,  /* AppendEntries [3.5] */
	RAFT_MSG_APP_RESP = 4,
	RAFT_MSG_VOTE = 5, /* RequestVote [3.4] */
	RAFT_MSG_VOTE_RESP = 6,
	RAFT_MSG_SNAP = 7, /* InstallSnapshot [5.1] */
	RAFT_MSG_HEARTBEAT = 8,
	RAFT_MSG_HEARTBEAT_RESP = 9,
	RAFT_MSG_UNREACHABLE = 10,     /* local */
	RAFT_MSG_SNAP_STATUS = 11,     /* local */
	RAFT_MSG_CHECK_QUORUM = 12,    /* local [6.2] */
	RAFT_MSG_TRANSFER_LEADER = 13, /* [3.10] */
	RAFT_MSG_TIMEOUT_NOW = 14,
	RAFT_MSG_READ_INDEX = 15, /* [6.4] */
	RAFT_MSG_READ_INDEX_RESP = 16,
	RAFT_MSG_PRE_VOTE = 17, /* [9.6] */
	RAFT_MSG_PRE_VOTE_RESP = 18,
	RAFT_MSG_STORAGE_APPEND = 19,
	RAFT_MSG_STORAGE_APPEND_RESP = 20,
	RAFT_MSG_STORAGE_APPLY = 21,
	RAFT_MSG_STORAGE_APPLY_RESP = 22,
	RAFT_MSG_FORGET_LEADER = 23, /* local */
	RAFT_MSG_TYPES
};

struct raft_snapshot {
	raft_index index; /* 0: no snapshot */
	raft_term term;
	struct raft_conf_state conf_state;
	struct raft_span data; /* opaque to the core */
};

struct raft_message {
	enum raft_message_type type;
	raft_id to, from;
	raft_term term;     /* 0: local */
	raft_term log_term; /* APP: of the entry before; VOTE: last;
			       reject: of reject_hint */
	raft_index index;   /* APP: of the entry before; RESP: acknowledged */
	raft_index commit;
	raft_id vote; /* STORAGE_APPEND: the vote to make durable */
	bool reject;
	raft_index reject_hint;
	uint64_t context;  /* READ_INDEX and HEARTBEAT: the read's; VOTE:
			      1 for a leadership transfer */
	uint32_t priority; /* VOTE and PRE_VOTE: the candidate's */
	size_t size;       /* STORAGE_APPLY_RESP: bytes applied, */
	size_t payload;    /* and of them the entries' own data */
	struct raft_entry *entries;
	size_t entries_n;
	struct raft_snapshot *snapshot; /* NULL: none */
	struct raft_message *responses; /* storage messages */
	size_t responses_n;
};
const char *raft_message_name(enum raft_message_type t);
/* A deep copy in one block, to give to free(); NULL if memory is short. */
struct raft_message *raft_message_copy(const struct raft_message *m);

/* ---- Storage: pure reads of what is durable ---- */

/* What is cut off the log was applied before, and its STORAGE_APPLY_RESP has
 * been stepped; the snapshot covers it. */
struct raft_storage {
	void *ctx;
	int (*initial_state)(
	    void *ctx, struct raft_hard_state *hs, struct raft_conf_state *cs);
	/* Entries [lo, hi), at least one, then only while their sizes
	 * (entry_size) stay within max_size.  *out is one block from malloc
	 * that holds the array and the data; the core frees it.
	 * RAFT_ECOMPACTED, RAFT_EUNAVAILABLE. */
	int (*entries)(void *ctx, raft_index lo, raft_index hi, size_t max_size,
	    struct raft_entry **out, size_t *n);
	/* first_index - 1 is answered too: the snapshot's term. */
	int (*term)(void *ctx, raft_index i, raft_term *out);
	int (*first_index)(void *ctx, raft_index *out);
	int (*last_index)(void *ctx, raft_index *out);
	/* The newest snapshot; data borrows until the next call.
	 * RAFT_ESNAP_NOT_READY: not now, ask again. */
	int (*snapshot)(void *ctx, struct raft_snapshot *out);
};

/* ---- What happens, as typed events (config.trace) ---- */

enum raft_trace_kind {
	/* elections */
	RAFT_TRACE_STATE,       /* became `state` in `term`; peer: the leader */
	RAFT_TRACE_HUP,         /* will campaign */
	RAFT_TRACE_NO_HUP,      /* may not */
	RAFT_TRACE_CAMPAIGN,    /* a: last index, b: its term */
	RAFT_TRACE_ASK,         /* peer is asked; a: last index, b: its term */
	RAFT_TRACE_VOTE,        /* vote cast for peer; a: 1 if granted */
	RAFT_TRACE_POLL,        /* vote heard from peer; a: 1 if granted */
	RAFT_TRACE_TALLY,       /* votes heard so far; a: granted, b: not */
	RAFT_TRACE_NEWER_TERM,  /* peer's message is of a later term */
	RAFT_TRACE_IGNORED,     /* a message of `type` from peer was ignored */
	RAFT_TRACE_NO_QUORUM,   /* a leader that hears none steps down */
	RAFT_TRACE_FORGET,      /* leader forgotten: peer */
	RAFT_TRACE_NO_FORGET,   /* not while leases are trusted */
	RAFT_TRACE_TRANSFER,    /* leadership to peer; a: 0 begun, 1 aborted */
	RAFT_TRACE_TIMEOUT_NOW, /* peer shall campaign, or says so */
	/* replication */
	RAFT_TRACE_DROPPED,     /* a proposal: there is no leader */
	RAFT_TRACE_COMMIT,      /* commit index moved to a */
	RAFT_TRACE_REJECT,      /* append from peer refused at a; hint b */
	RAFT_TRACE_REFUSED,     /* peer refused an append */
	RAFT_TRACE_DECREASED,   /* and is probed further back */
	RAFT_TRACE_UNREACHABLE, /* messages to peer were lost */
	RAFT_TRACE_CONFLICT,    /* entry at a gives way to one of term b */
	RAFT_TRACE_REPLACE,     /* the tail in memory starts anew at a */
	RAFT_TRACE_STALE_ACK,   /* storage: not of the entry at a, term b */
	/* snapshots */
	RAFT_TRACE_SNAP_SENT,   /* snapshot at a, term b, will go to peer */
	RAFT_TRACE_SNAP_WAITS,  /* and all else for peer waits */
	RAFT_TRACE_SNAP_ENOUGH, /* peer is past the need of it */
	RAFT_TRACE_RESTORE,     /* to be restored at a, term b */
	RAFT_TRACE_SNAPSHOT,    /* restored at a, term b */
	/* membership */
	RAFT_TRACE_CONF, /* switched configuration; a: voters, b: learners */
	RAFT_TRACE_CONF_REFUSED, /* entry a of m became a no-op; b: fault */
	RAFT_TRACE_CONF_LEAVE,   /* the leader itself leaves the joint */
	/* every step: what raft_trace.h makes of them */
	RAFT_TRACE_INIT,      /* the node begins, from what its storage holds */
	RAFT_TRACE_RECEIVE,   /* m is about to be handled */
	RAFT_TRACE_SEND,      /* m will go to peer, or to itself */
	RAFT_TRACE_REPLICATE, /* a leader is about to append `entry` */
	RAFT_TRACE_READY,     /* work was handed out */
};
enum raft_conf_fault { /* why a proposed change is refused */
	RAFT_CONF_FINE,
	RAFT_CONF_INVALID,
	RAFT_CONF_PENDING,   /* one before it is not applied yet */
	RAFT_CONF_JOINT,     /* the joint must be left first */
	RAFT_CONF_NOT_JOINT, /* there is none to leave */
};
enum raft_state {
	RAFT_FOLLOWER,
	RAFT_CANDIDATE,
	RAFT_LEADER,
	RAFT_PRE_CANDIDATE
};
const char *raft_state_name(enum raft_state s);

struct raft_trace {
	enum raft_trace_kind kind;
	raft_id id, peer;
	raft_term term;
	enum raft_state state;
	enum raft_message_type type; /* of m */
	uint64_t a, b;
	const struct raft_message *m;   /* being handled, or sent; NULL: none */
	const struct raft_entry *entry; /* NULL: none */
	const struct raft *raft;        /* as it is now; not to be called */
};

/* ---- Configuration ---- */

enum raft_read_mode {
	RAFT_READ_SAFE,  /* a round of heartbeats confirms the leader [6.4] */
	RAFT_READ_LEASE, /* trusts the clocks: see lease_ms */
};

struct raft_config {
	raft_id id;
	uint64_t seed; /* of the randomised election timeout */
	unsigned election_ticks, heartbeat_ticks;
	struct raft_storage storage;
	raft_index applied;      /* on restart: what the caller has applied */
	size_t max_size_per_msg; /* bytes of entries in one APP */
	size_t max_committed_size_per_ready; /* 0: as max_size_per_msg */
	size_t max_inflight_msgs;
	size_t max_inflight_bytes;   /* 0: no limit */
	size_t max_uncommitted_size; /* 0: no limit; else proposals past it
					are dropped */
	bool check_quorum, pre_vote;
	enum raft_read_mode read_mode; /* LEASE needs check_quorum */
	/* With LEASE: for so long after a heartbeat left that a quorum then
	 * answered, a leader reads without another round [6.4.1].  Nobody who
	 * answered helps to elect another for election_ticks, which must be
	 * longer by every node's clock, less one tick; and all members must
	 * have a lease_ms.  0: a lease lasts until CheckQuorum ends it, as in
	 * etcd, and that is up to an election timeout too late. */
	uint64_t lease_ms;
	bool disable_proposal_forwarding;
	bool disable_conf_change_validation;
	bool step_down_on_removal;
	bool async_storage;       /* see raft_ready */
	bool early_vote_requests; /* with it: they do not wait for the disk, as
				     in etcd.  Only tests: ADR 15 */
	/* Over long distances, and not in the dissertation: a voter refuses a
	 * candidate of lesser priority whose log is no newer than its own,
	 * unless leadership is handed over to it.  Wants pre_vote: without it
	 * a lesser one with a faster clock asks again before the others' turn
	 * comes, and by each new term makes them wait anew. */
	uint32_t priority;
	/* A leader commits what members of so many groups hold (of as many as
	 * the voters have, if those are fewer), and a majority as ever.  0 and
	 * 1: any majority. */
	unsigned commit_groups;
	uint64_t (*group_of)(void *ctx, raft_id id);
	void *group_ctx;
	/* Not 0: the disk lost entries that this node acknowledged; term and
	 * vote it kept.  A random number, new at each start.  Until
	 * raft_repaired the node neither votes nor campaigns. */
	uint64_t repairing;
	/* Size of an entry for the limits; NULL: its data and 16 bytes. */
	size_t (*entry_size)(const struct raft_entry *e);
	void (*trace)(void *ctx, const struct raft_trace *t); /* may be NULL */
	void *trace_ctx;
};

struct raft;

/* A node from what its storage holds.  An empty configuration is a node that
 * waits to be added.  To start a cluster, the log of its first node holds a
 * committed conf change that adds it, which is applied when it starts.
 * config.applied may be past the commit index that the disk holds, not past
 * the last index.
 * RAFT_EINVAL: the configuration cannot be; RAFT_ENOMEM; RAFT_EIO. */
int raft_init(struct raft **out, const struct raft_config *c);
void raft_free(struct raft *r); /* NULL is fine */

/* ---- Events ---- */

void raft_tick(struct raft *r); /* one tick of the caller's clock */
/* Where there is a lease_ms, after what may ask for a read has come in and
 * before raft_read_index or raft_step: the caller's clock, which goes on while
 * the process stands still, and never back. */
void raft_clock(struct raft *r, uint64_t now_ms);
/* A message from a peer, or a response to a storage message.  The bytes are
 * copied.  RAFT_EINVAL: local types, which peers may not send. */
int raft_step(struct raft *r, const struct raft_message *m);
/* Entries of type NORMAL; the bytes are copied. */
int raft_propose(struct raft *r, const struct raft_span *data, size_t n);
int raft_propose_conf_change(struct raft *r, const struct raft_conf_change *c);
/* Called for each committed conf change entry, with the change, or an empty
 * RAFT_NOP change (n = 1) to refuse it.  out may be NULL.
 * A leader may ask storage for a snapshot from inside this call: what it gets
 * must agree in index and configuration, so let both move on together, after
 * it.  RAFT_EINVAL: the change cannot be; the configuration stays, on every
 * node alike, and the entry counts as applied. */
int raft_apply_conf_change(struct raft *r, const struct raft_conf_change *c,
    struct raft_conf_state *out);
/* Ask for a read state (see raft_ready).  Lost silently when there is no
 * leader: ask again.  ctx is the caller's own, unique for each request. */
int raft_read_index(struct raft *r, uint64_t ctx);
/* Campaign now, if this node may: a voter that has applied every committed
 * change. */
int raft_campaign(struct raft *r);
/* Ask the leader to hand over; proposals are dropped meanwhile, for an
 * election timeout at most.  RAFT_ENOTFOUND: no such peer.  A learner, or a
 * peer that does not catch up in time, is not an error: nothing changes. */
int raft_transfer_leader(struct raft *r, raft_id to);
/* Stop refusing votes for the sake of a leader that is known to be gone. */
int raft_forget_leader(struct raft *r);
/* Of a leader's peer: messages to it were lost. */
void raft_report_unreachable(struct raft *r, raft_id id);
/* The fate of a snapshot: without this, or an answer of the peer itself,
 * nothing more is sent to it. */
void raft_report_snapshot(struct raft *r, raft_id id, bool ok);

/* ---- A log that was lost ----
 *
 * Whoever lost entries may have acknowledged some that are committed.  While it
 * does not vote, those that do elect only leaders that have them: a quorum less
 * one node still meets every quorum.  It asks a leader, of its own term or a
 * later one, which stops counting what it acknowledged and tells the last index
 * that it has then: all that was ever acknowledged and committed is up to
 * there.  Once it has applied that much it is what it was (Protocol-Aware
 * Recovery, FAST '18). */

/* What each node says to each other, now and then, however it gets there: it
 * may be lost, late, or come twice. */
struct raft_repair {
	uint64_t ask;   /* not 0: the sender lost its log: config.repairing */
	uint64_t of;    /* not 0: a leader's answer to the recipient's `ask`: */
	raft_term term; /* its term, */
	raft_index upto; /* and its last index when it heard of it */
};

void raft_repair_say(const struct raft *r, raft_id to, struct raft_repair *out);
/* true: this node leads, and did not know that the sender lost its log. */
bool raft_repair_hear(
    struct raft *r, raft_id from, const struct raft_repair *m);
/* All that was lost is up to *upto, and applied: the mark may go.  false: not
 * yet, or nobody has answered. */
bool raft_repair_done(
    const struct raft *r, raft_index applied, raft_index *upto);
/* The mark is gone, durably: from now on this node votes. */
void raft_repaired(struct raft *r);

/* ---- Work ---- */

struct raft_read_state {
	raft_index index; /* a read is linearizable once this is applied */
	uint64_t context;
};

struct raft_ready {
	bool soft_changed; /* leader or state are new */
	raft_id leader;
	enum raft_state state;
	bool hard_changed;
	struct raft_hard_state hard; /* valid if hard_changed */
	bool must_sync;
	const struct raft_read_state *read_states;
	size_t read_states_n;
	const struct raft_entry *entries; /* to append to storage */
	size_t entries_n;
	const struct raft_snapshot *snapshot; /* to install first; or NULL */
	const struct raft_entry *committed;   /* to apply */
	size_t committed_n;
	/* Send these.  Sync storage: after hard, entries and snapshot are
	 * durable (a leader's APPs may go at once, [10.2.1]).
	 * Async storage: at once; those to RAFT_APPEND_THREAD and
	 * RAFT_APPLY_THREAD are work: do it durably, in order, then for each
	 * of the message's responses: step it if it is to this node, else send
	 * it.  Nothing else acknowledges: raft_advance is not called, and
	 * entries, hard, snapshot and committed are only information. */
	const struct raft_message *messages;
	size_t messages_n;
};

bool raft_has_ready(const struct raft *r); /* false once a call was fatal */
/* RAFT_OK, or what the fatal call answered.  RAFT_EINVAL: a leader says that
 * entries are committed here which this log does not hold, or holds others. */
int raft_fatal(const struct raft *r);
/* Everything is borrowed until the next raft_ready or raft_advance. */
int raft_ready(struct raft *r, struct raft_ready *out);
/* Sync storage only: what the last raft_ready gave is stored and applied. */
int raft_advance(struct raft *r);

/* ---- Looking ---- */

enum raft_progress_state { RAFT_PROBE, RAFT_REPLICATE, RAFT_SNAPSHOTTING };

struct raft_peer_status {
	raft_id id;
	raft_index match, next;
	enum raft_progress_state state;
	bool learner, recent_active, paused;
	raft_index pending_snapshot;
};

struct raft_status {
	raft_id id, leader, transferee;
	enum raft_state state;
	struct raft_hard_state hard;
	raft_index applied, last_index;
	raft_index pending_conf; /* > applied: a conf change is under way */
	struct raft_conf_state conf;
	struct raft_peer_status peers[RAFT_PEERS_MAX]; /* leader only */
	size_t peers_n;
};
void raft_status(const struct raft *r, struct raft_status *out);

/* Tests: the randomised election timeout, in ticks. */
void raft_set_election_timeout(struct raft *r, unsigned ticks);

#endif
