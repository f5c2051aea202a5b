/* internal.h -- what the files of raft/ share, and nobody else includes. */
#ifndef QUORATE_RAFT_INTERNAL_H
#define QUORATE_RAFT_INTERNAL_H

#include "guard.h"
#include "raft.h"

/* ---- log.c: the log, its unstable tail in memory ---- */

struct raft_log {
	struct raft *raft; /* whose log this is */
	const struct raft_config *config;
	/* Entries and a snapshot that storage does not hold yet.  Entry i of
	 * `tail` has index offset + i; its data is owned here. */
	struct raft_entry *tail;
	size_t tail_n, tail_cap;
	raft_index offset;
	raft_index offset_in_progress;  /* first entry not handed out yet */
	struct raft_snapshot *snapshot; /* owned; NULL: none */
	bool snapshot_in_progress;

	raft_index committed;
	raft_index applying; /* handed out to be applied */
	raft_index applied;
	size_t applying_size, max_applying_size;
	bool applying_paused;
};

struct raft_entry_id {
	raft_term term;
	raft_index index;
};

size_t raft_entry_bytes(
    const struct raft_config *c, const struct raft_entry *e);
size_t raft_entries_bytes(
    const struct raft_config *c, const struct raft_entry *e, size_t n);

int log_init(struct raft_log *l, struct raft *r);
void log_free(struct raft_log *l);
int log_first_index(const struct raft_log *l, raft_index *out);
int log_last_index(const struct raft_log *l, raft_index *out);
int log_term(const struct raft_log *l, raft_index i, raft_term *out);
int log_last(const struct raft_log *l, struct raft_entry_id *out);
bool log_matches(const struct raft_log *l, struct raft_entry_id id);
bool log_up_to_date(const struct raft_log *l, struct raft_entry_id last);
/* A malloc'ed block of entries [lo, hi) within max bytes (at least one). */
int log_slice(const struct raft_log *l, raft_index lo, raft_index hi,
    size_t max, struct raft_entry **out, size_t *n);
/* Append after whatever precedes entries[0]; replaces a conflicting tail. */
int log_append(struct raft_log *l, const struct raft_entry *e, size_t n);
/* A follower's append: *ok is false if prev does not match. */
int log_maybe_append(struct raft_log *l, struct raft_entry_id prev,
    const struct raft_entry *e, size_t n, raft_index commit, bool *ok,
    raft_index *last);
/* The largest index <= i whose term is <= term; *out_term 0 if unknown. */
void log_find_conflict(const struct raft_log *l, raft_index i, raft_term term,
    raft_index *out, raft_term *out_term);
int log_commit_to(struct raft_log *l, raft_index i);
bool log_maybe_commit(struct raft_log *l, struct raft_entry_id at);
int log_restore(struct raft_log *l, const struct raft_snapshot *s);
void log_stable_to(struct raft_log *l, struct raft_entry_id id);
void log_snapshot_stored(struct raft_log *l, raft_index i);
void log_applied_to(struct raft_log *l, raft_index i, size_t size);
void log_accept_applying(
    struct raft_log *l, raft_index i, size_t size, bool unstable_too);
bool log_has_committed(const struct raft_log *l, bool unstable_too);
int log_next_committed(const struct raft_log *l, bool unstable_too,
    struct raft_entry **out, size_t *n);
struct raft_snapshot *raft_snapshot_copy(const struct raft_snapshot *s);

/* ---- tracker.c: what a leader knows of its peers ---- */

struct inflight {
	raft_index last;
	size_t bytes;
};

struct inflights { /* a ring of APPs on their way */
	struct inflight *ring;
	size_t start, n, cap;
	size_t bytes;
};

struct progress {
	raft_id id;
	raft_index match, next;
	raft_index sent_commit; /* highest commit index sent */
	raft_index pending_snapshot;
	uint64_t read_round;  /* highest it has answered in this term */
	uint64_t lost_ask;    /* it lost its log, says this number; 0: no */
	raft_index lost_upto; /* the leader's last index when it was told */
	struct inflights inflights;
	enum raft_progress_state state;
	enum { VOTE_NONE, VOTE_YES, VOTE_NO } vote;
	bool recent_active, flow_paused, learner;
};

struct tracker {
	struct raft_conf_state conf;
	struct progress peers[RAFT_PEERS_MAX]; /* sorted by id */
	size_t n;
	size_t max_inflight_msgs, max_inflight_bytes;
	const struct raft_config *config; /* of groups; NULL: there are none */
};

enum vote_result { VOTE_PENDING, VOTE_LOST, VOTE_WON };

struct progress *tracker_find(struct tracker *t, raft_id id);
struct progress *tracker_add(struct tracker *t, raft_id id);
void tracker_drop(struct tracker *t, raft_id id);
void tracker_free(struct tracker *t);
bool id_in(const raft_id *ids, size_t n, raft_id id);
bool tracker_only_voter(const struct tracker *t, raft_id id);
bool tracker_is_voter(const struct tracker *t, raft_id id);
raft_index tracker_committed(struct tracker *t);
enum vote_result tracker_votes(struct tracker *t);
/* The same rule for any set of yes and no: by id. */
enum vote_result tracker_tally(const struct tracker *t,
    int (*says)(const void *arg, raft_id id), const void *arg);
bool tracker_quorum_active(struct tracker *t);

int inflights_add(struct inflights *f, raft_index last, size_t bytes,
    const struct tracker *t);
bool inflights_full(const struct inflights *f, const struct tracker *t);
void inflights_free_to(struct inflights *f, raft_index to);
void inflights_reset(struct inflights *f);

void progress_become_probe(struct progress *p);
void progress_become_replicate(struct progress *p);
void progress_become_snapshot(struct progress *p, raft_index i);
bool progress_maybe_update(struct progress *p, raft_index i);
bool progress_maybe_decrement(
    struct progress *p, raft_index rejected, raft_index hint);
bool progress_paused(const struct progress *p);
int progress_sent(
    struct progress *p, size_t entries, size_t bytes, const struct tracker *t);

/* ---- confchange.c: membership [4] ---- */

enum conf_way { CONF_SIMPLE, CONF_ENTER_JOINT, CONF_LEAVE_JOINT };
/* Change t; on error it is unchanged.  RAFT_EINVAL, RAFT_ENOMEM. */
int conf_apply_as(struct tracker *t, enum conf_way way,
    const struct raft_conf_change *c, raft_index last);
/* In the way that the change itself asks for. */
int conf_apply(
    struct tracker *t, const struct raft_conf_change *c, raft_index last);
int conf_restore(
    struct tracker *t, const struct raft_conf_state *cs, raft_index last);

/* ---- read_index.c [6.4] ---- */

struct read_request {
	uint64_t round;   /* made by this leader, once in its term */
	uint64_t context; /* the asker's */
	raft_id from;
	raft_index index; /* commit index when it was asked */
};

/* Heartbeats that a lease may stand on: when the round left. */
#define LEASE_BEATS 8
struct beat {
	uint64_t round, at_ms;
};

struct reads {
	struct read_request *queue; /* in order of round */
	size_t n, cap;
	uint64_t rounds; /* of this term */
	struct beat beats[LEASE_BEATS];
	size_t beats_n; /* since the term began: the last ones are kept */
	bool lease_off; /* a transfer was begun in this term */
	struct raft_message *waiting; /* for the term's first commit */
	size_t waiting_n, waiting_cap;
};

/* ---- raft.c ---- */

struct raft_queue { /* of owned messages */
	struct raft_message **m;
	size_t n, cap;
};

struct raft {
	struct raft_config config;
	struct raft_log log;
	struct tracker tracker;
	int fatal; /* RAFT_OK, or what every call answers */
	const struct raft_message *handled; /* for the trace; NULL: none */
	bool begun;                         /* raft_init is done */
	raft_id id, vote, leader, transferee;
	raft_term term;
	enum raft_state state;
	bool learner;
	raft_index pending_conf; /* no second change below this [4.1] */
	size_t uncommitted_size;
	bool repair_answered; /* up to there it has everything again: */
	raft_index repair_upto;
	unsigned election_elapsed, heartbeat_elapsed, election_timeout;
	unsigned promise_elapsed; /* since a heartbeat was answered, or init */
	uint64_t now_ms;          /* raft_clock's */
	uint64_t rng;
	struct reads reads;
	struct raft_queue out, after_append, on_advance;
	struct raft_read_state *read_states;
	size_t read_states_n, read_states_cap;
	/* ready.c: what was last handed out */
	raft_id prev_leader;
	enum raft_state prev_state;
	struct raft_hard_state prev_hard;
	struct raft_message *given; /* array of the last raft_ready */
	struct raft_queue given_owned;
	struct raft_entry *given_entries, *given_committed;
	struct raft_snapshot *given_snapshot;
	struct raft_read_state *given_reads;
};

int raft_fail(struct raft *r, int rc); /* remembers a fatal rc; returns it */
void raft_tell(struct raft *r, enum raft_trace_kind kind, raft_id peer,
    uint64_t a, uint64_t b);
void raft_tell_entry(struct raft *r, const struct raft_entry *e);

/* message.c */
int queue_add(struct raft_queue *q, const struct raft_message *m);
void queue_free(struct raft_queue *q);
struct raft_entry *raft_entries_copy(const struct raft_entry *e, size_t n);

/* raft.c: terms, states, sending */
void raft_send(struct raft *r, struct raft_message m);
int raft_step_any(struct raft *r, const struct raft_message *m);
void raft_become_follower(struct raft *r, raft_term term, raft_id leader);
void raft_become_candidate(struct raft *r);
void raft_become_pre_candidate(struct raft *r);
void raft_become_leader(struct raft *r);
struct raft_hard_state raft_hard(const struct raft *r);
/* Does another's lease stand on this node?  Then it elects nobody. */
bool raft_promised(const struct raft *r);

/* election.c */
enum campaign { CAMPAIGN_PRE, CAMPAIGN_ELECTION, CAMPAIGN_TRANSFER };
void raft_hup(struct raft *r, enum campaign kind);
void raft_campaign_as(struct raft *r, enum campaign kind);
void raft_handle_vote(struct raft *r, const struct raft_message *m);
bool raft_promotable(const struct raft *r);
int step_candidate(struct raft *r, const struct raft_message *m);

/* leader.c */
int step_leader(struct raft *r, const struct raft_message *m);
void leader_broadcast_append(struct raft *r);
void leader_broadcast_heartbeat(struct raft *r);
bool leader_send_append(struct raft *r, struct progress *p, bool if_empty);
bool leader_maybe_commit(struct raft *r);
bool leader_append(struct raft *r, const struct raft_entry *e, size_t n);
void leader_reduce_uncommitted(struct raft *r, size_t payload);
size_t raft_payload(const struct raft_entry *e, size_t n);
void leader_abort_transfer(struct raft *r);
void leader_leave_joint(struct raft *r); /* if it is due */
bool leader_committed_own_term(struct raft *r);

/* follower.c */
int step_follower(struct raft *r, const struct raft_message *m);
void follower_append(struct raft *r, const struct raft_message *m);
void follower_heartbeat(struct raft *r, const struct raft_message *m);
void follower_snapshot(struct raft *r, const struct raft_message *m);
void raft_switch_conf(struct raft *r);

/* repair.c */
/* A leader's peer does not hold that entry.  true: it had acknowledged it, lost
 * it since, and is sent it again. */
bool repair_refused(struct raft *r, struct progress *p, raft_index at);

/* read_index.c */
void reads_reset(struct reads *s);
void reads_free(struct reads *s);
void reads_request(struct raft *r, const struct raft_message *m);
void reads_ack(struct raft *r, struct progress *p, uint64_t round);
void reads_release(struct raft *r);
uint64_t reads_begin_round(struct raft *r); /* for a heartbeat; 0: none */
void reads_add_state(struct raft *r, raft_index i, uint64_t context);

/* ready.c */
void raft_applied_to(struct raft *r, raft_index i, size_t size);
void ready_free(struct raft *r);

#define RAFT_CAMPAIGN_TRANSFER_CONTEXT 1

#endif
