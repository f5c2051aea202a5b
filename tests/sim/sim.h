/* sim.h -- a whole cluster in one process, from one seed.
 *
 * Virtual time, a network that drops, doubles, delays and cuts, disks that
 * lose what was not synced, nodes that crash, pause and come back.  After each
 * event the rules of Raft are checked (check.c); at the end everything is
 * healed and the cluster must agree and move on. */
#ifndef QUORATE_SIM_H
#define QUORATE_SIM_H

#include <stdio.h>

#include "internal.h"
#include "node/pace.h"

#define SIM_NODES 9 /* ids 1..9 */
#define SIM_FIRST 6 /* of them there from the first; the rest replace */
#define SIM_DATA 64 /* bytes of an entry, at most */
#define SIM_BURST 4 /* entries of one proposal, at most */
#define SIM_TICK_MS 20
#define SIM_TICK_LEAST_MS 14 /* of a clock that is fast */
#define SIM_ELECTION_TICKS 10
#define SIM_PLACES 3

/* X(name, what it counts).  Each kind must happen often over a long run. */
#define SIM_COUNTERS(X)                                                        \
	X(DROP, "messages dropped")                                            \
	X(DUPLICATE, "messages duplicated")                                    \
	X(REORDER, "messages overtaken")                                       \
	X(REPLAY, "old messages replayed")                                     \
	X(REPLAY_TERM, "old messages that came in a later term")               \
	X(CLOG, "messages held by a clogged link")                             \
	X(FAR, "messages over long links")                                     \
	X(FAR_LOST, "of them, lost, one way more than the other")              \
	X(PACE, "timeouts that follow a measured round trip")                  \
	X(WAIT_PLACE, "commits that waited for a second place")                \
	X(HUMBLE, "candidates refused for their priority")                     \
	X(MIXED, "starts with another configuration than the rest")            \
	X(CUT, "symmetric partitions")                                         \
	X(CUT_ONE_WAY, "asymmetric partitions")                                \
	X(CRASH, "crashes")                                                    \
	X(CRASH_WRITE, "crashes in the middle of a write")                     \
	X(LOST_WRITE, "crashes that lost unsynced writes")                     \
	X(SYNCED_UNSAID, "crashes after the sync, before the acknowledgement") \
	X(LOST_COMMIT, "commit indexes lost in a crash")                       \
	X(LOST_APPLY, "applied entries lost in a crash")                       \
	X(TORN, "crashes that tore an append")                                 \
	X(EIO_WRITE, "writes that failed")                                     \
	X(EIO_READ, "reads that failed")                                       \
	X(ENOSPC, "writes that found no space")                                \
	X(LOW, "appends refused for want of space")                            \
	X(BIT_FLIP, "bits flipped on a disk")                                  \
	X(MISDIRECTED, "writes that went astray")                              \
	X(DAMAGE_FOUND, "nodes stopped by a damaged disk")                     \
	X(LOG_LOST, "logs found damaged and set aside")                        \
	X(STATE_LOST, "of them, with the state")                               \
	X(REPAIRED, "nodes that got their log back from peers")                \
	X(WIPE, "disks lost")                                                  \
	X(REJOIN, "nodes replaced under a new id")                             \
	X(PAUSE, "pauses")                                                     \
	X(SKEW, "clocks that run fast or slow")                                \
	X(SLOW_DISK, "slow disks")                                             \
	X(SLOW_APPLY, "slow state machines")                                   \
	X(TRANSFER, "leadership transfers")                                    \
	X(CAMPAIGN, "campaigns out of turn")                                   \
	X(FORGET, "leaders forgotten")                                         \
	X(SIMPLE_CHANGE, "simple membership changes applied")                  \
	X(JOINT_CHANGE, "joint membership changes applied")                    \
	X(LEAVE_JOINT, "joint configurations left")                            \
	X(LEARNER, "learners added")                                           \
	X(GROW, "three voters that become five")                               \
	X(SHRINK, "five voters that become three")                             \
	X(COMPACTION, "log compactions")                                       \
	X(COMPACTION_MID, "log compactions under a snapshot in flight")        \
	X(SNAPSHOT, "snapshots installed")                                     \
	X(TRUNCATION, "conflicting entries cut off a disk")                    \
	X(ELECTION, "leaders elected")                                         \
	X(WRITE, "writes acknowledged")                                        \
	X(WRITE_UNKNOWN, "writes of which nobody was told")                    \
	X(WRITE_SILENT, "of them, in the log all the same")                    \
	X(WRITE_REFUSED, "writes refused")                                     \
	X(WRITE_TWICE, "writes in the log again, by a doubled message")        \
	X(READ, "reads answered")                                              \
	X(READ_FOLLOWER, "of them, by another than the leader")                \
	X(READ_LOST, "reads lost")                                             \
	X(COMMIT, "entries committed")

enum sim_counter {
#define X(name, what) SIM_##name,
	SIM_COUNTERS(X)
#undef X
	    SIM_COUNTER_N
};
extern const char *const sim_counter_text[SIM_COUNTER_N];

struct sim_entry {
	raft_term term;
	enum raft_entry_type type;
	size_t len;
	bool bad; /* fails its checksum */
	uint8_t data[SIM_DATA];
};

struct content {
	uint64_t hash;   /* over all that was applied */
	uint64_t len;    /* the list of the clients' values, each once: */
	uint64_t values; /* a hash over it */
};

struct machine { /* the replicated state */
	raft_index applied;
	struct content is;
	struct raft_conf_state conf;
};

struct disk { /* what a crash leaves */
	struct raft_hard_state hard;
	raft_index commit_synced; /* of commit, what a crash cannot lose */
	raft_index base;          /* log[i] has index base + 1 + i */
	raft_term base_term;
	struct sim_entry *log;
	size_t n, cap;
	struct machine machine;
	bool damaged; /* found at the next start, if not before */
	/* repair.c: so is the machine; until the log is back, up to where it
	 * was lost. */
	bool machine_lost, repairing;
	raft_index lost_upto;
};

struct lane { /* storage messages, done one after the other */
	struct raft_message **op;
	size_t n, cap;
	bool busy;
	uint64_t slow_until;
};

/* Why a write was not completed. */
enum sim_fault { FAULT_POWER, FAULT_EIO, FAULT_ENOSPC };

struct node {
	struct world *w;
	raft_id id;
	bool up, lost; /* lost: its disk is, and it never comes back */
	raft_id heir;  /* of a lost one */
	unsigned incarnation;
	struct raft *raft;
	struct disk disk;
	struct machine machine;    /* in memory: disk.machine or newer */
	struct lane append, apply; /* the disk's, and the state machine's */
	bool ready_due;
	uint64_t paused_until;
	unsigned missed_ticks; /* of a pause, to come all at once */
	unsigned tick_ms;      /* by its own clock SIM_TICK_MS */
	unsigned pace_ms;      /* of a tick, for its round trips */
	uint64_t boot_ms, heard_ms[SIM_NODES + 1]; /* far.c */
	struct rtt rtt[SIM_NODES + 1];
	bool write_fails, read_fails; /* the next one */
	bool write_cut;               /* down in the middle of the next write */
	enum sim_fault fault;         /* that the node stops for */
	void *real;                   /* of sim_store */
	bool must_stop, read_failed;  /* a read failed: so must the core */
	uint64_t low_until, full_until; /* little space, and none */
	uint8_t snapshot_data[sizeof(struct content)];
	unsigned reads_due; /* confirmed, and not applied that far */
	bool healed_read;   /* answered one since the faults stopped */
	/* check.c: as of the last event */
	raft_term seen_term;
	raft_index seen_commit, seen_applied, seen_last;
	raft_term seen_last_term;
	enum raft_state seen_state;
	raft_index waits_for; /* far.c: counted */
	raft_index tail_offset;
	size_t tail_n;
};

enum sim_event_kind {
	EV_PACKET,
	EV_TICK,
	EV_APPEND,
	EV_APPLY,
	EV_CLIENT,
	EV_NEMESIS,
	EV_RESTART,
	EV_HEAL,
	EV_COMPACT,
	EV_REPORT, /* of a snapshot's fate, to its sender */
	EV_SAY,    /* who lost its log, and who was told of it */
	EV_SAID
};

struct event {
	uint64_t at, seq;
	enum sim_event_kind kind;
	raft_id node, src;
	unsigned incarnation;
	bool ok, snapshot, old;
	struct raft_message *m;
	struct raft_repair *said; /* EV_SAID */
};

enum sim_story { /* some seeds press on one weak spot */
	STORY_NONE,
	STORY_CHURN, /* leaders fall as soon as they rise */
	STORY_LAG,   /* membership moves on while some apply late */
	STORY_JOINT, /* a leader does not know yet that it is in a joint */
	STORY_PLACE  /* a place is cut off, and asked all the same */
};

struct tuning { /* drawn anew for each seed */
	unsigned voters, nodes;
	unsigned drop, duplicate, replay; /* per thousand */
	unsigned delay_max, disk_max;     /* ms */
	unsigned client_ms, nemesis_ms, run_ms;
	unsigned lazy_ready, flush, read; /* per cent */
	bool pre_vote, check_quorum, step_down;
	unsigned lease_ms; /* 0: reads take a round */
	bool burst;        /* a paused node gets all its ticks at once */
	enum sim_story story;
	bool slow_apply, changes, crashes, cuts, pauses, compaction;
	bool clogs, skew, slow_disks, disk_errors, full_disks, losses,
	    transfers, repairs;
	size_t max_size, max_committed, max_uncommitted, inflight,
	    inflight_bytes;
	bool mixed; /* mixed.c */
	struct raft_config other;
	bool far;        /* far.c: places, and links from and to */
	unsigned slower; /* so many times all that takes time */
	unsigned place[SIM_NODES + 1], priority[SIM_PLACES];
	unsigned link_ms[SIM_PLACES][SIM_PLACES];
	unsigned link_drop[SIM_PLACES][SIM_PLACES]; /* per thousand */
};

struct variant { /* one content of a log position */
	raft_term term, prev_term;
	uint64_t hash;
};

struct position { /* what any log ever held at an index, and what won */
	struct variant *v;
	size_t n, cap;
	bool committed, applied;
	raft_term term, in_term; /* of the entry; of the leader that did it */
	uint64_t hash, chain, conf;
};

struct write {          /* of one value */
	uint64_t after; /* how long the list was known to be when it began */
	raft_id node;   /* whose client wrote it */
	unsigned incarnation;
	uint64_t len;            /* of the list with it; 0: it is not there */
	raft_index index;        /* in the log, the first time */
	unsigned copies, in_log; /* by the network; all of them */
	bool refused, acked;
};

struct read {
	uint64_t context, after;
	raft_index at_least, index; /* index 0: not confirmed yet */
	raft_id node;
	unsigned incarnation;
};

struct wish { /* of whoever runs a seed */
	bool verbose;
	bool trace_only; /* no other rule ends the run */
	FILE *trace;     /* the steps of all nodes; NULL: nowhere */
};

struct world {
	uint64_t seed, rng, now, seq, events;
	struct tuning t;
	struct node node[SIM_NODES + 1];
	unsigned nodes;                         /* ids 1..nodes are in use */
	bool cut[SIM_NODES + 1][SIM_NODES + 1]; /* from, to */
	uint64_t clog[SIM_NODES + 1][SIM_NODES + 1]; /* until */
	bool checking; /* what is read now is read by a check */
	struct event *heap;
	size_t heap_n, heap_cap;
	struct position *pos;
	size_t pos_cap;
	raft_id *leader_of; /* by term */
	size_t terms_cap;
	raft_index max_commit;
	struct read *read;
	size_t read_n, read_cap;
	uint64_t next_context, next_value;
	struct write *write; /* by value */
	size_t write_cap;
	uint64_t *list; /* by length, the hash over the values so far */
	size_t list_cap;
	uint64_t list_len;
	uint64_t known_len;    /* of the list, by what is answered */
	raft_index list_index; /* applied by the first node */
	bool healing;
	raft_index marker; /* healed: the cluster must apply past this */
	raft_term marker_term;
	unsigned stage; /* of a story */
	bool minority[SIM_NODES + 1];
	raft_id whole_again; /* the last that was repaired */
	uint64_t count[SIM_COUNTER_N];
	struct trace_check *trace;
	uint64_t steps; /* of the trace */
	bool trace_failed;
	struct wish wish;
	bool failed;
	char why[400];
};

/* Run one seed; false: a rule was broken, and w->why says which. */
bool sim_run(struct world *w, uint64_t seed, const struct wish *wish);
void sim_free(struct world *w);

/* world.c */
void sim_new_node(struct world *w); /* id nodes + 1, with an empty disk */
uint64_t sim_random(struct world *w);
unsigned sim_below(struct world *w, unsigned n); /* 0 .. n-1 */
bool sim_chance(struct world *w, unsigned per_cent);
void sim_fail(struct world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void sim_say(struct world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void sim_schedule(struct world *w, struct event e);
void *sim_grow(void *p, size_t *cap, size_t want, size_t size);

/* disk.c */
struct raft_storage disk_storage(struct node *n);
raft_index disk_last(const struct disk *d);
/* NULL: not there; disk.base is not there either. */
const struct sim_entry *disk_entry(const struct disk *d, raft_index i);
bool disk_holds(const struct disk *d, raft_index i, raft_term term);
/* false: the disk is damaged, and nothing was done. */
bool disk_append(struct node *n, const struct raft_message *m);
/* The same, in the model alone. */
void disk_note(struct node *n, const struct raft_message *m);
/* The first k entries of it, and the hard state. */
void disk_append_part(struct node *n, const struct raft_message *m, size_t k);
void disk_compact(struct node *n); /* some of what it may cut */
void disk_cut(struct disk *d, raft_index upto);
void disk_flush(struct node *n);
bool disk_read_fails(struct node *n);
void disk_crash(struct node *n);
void disk_free(struct disk *d);
void machine_apply(struct node *n, const struct raft_entry *e);

/* node.c */
void node_boot(struct node *n);
void node_crash(struct node *n);
void node_restart_in(struct node *n, unsigned ms);
void node_free(struct node *n);
void node_step(struct node *n, const struct raft_message *m);
void node_ready(struct node *n);
void node_append_done(struct node *n);
void node_apply_done(struct node *n);
void node_after(struct node *n); /* each event ends with this */

/* net.c */
void net_send(struct node *from, const struct raft_message *m);
void net_deliver(struct world *w, struct event *e);
void net_heal(struct world *w);

/* A disk under each node beside the model, which says what must be on it.
 * append and compact answer false if damage is in the way: the node must stop.
 * Other errors there are only in a crash. */
struct sim_store {
	void (*found)(struct node *n); /* a first member, as of its model */
	/* The disk holds what the model does, or also the write that a crash
	 * interrupted: then that is done in the model.  false: not now. */
	bool (*open)(struct node *n);
	struct raft_storage (*storage)(struct node *n);
	bool (*append)(struct node *n, const struct raft_message *m);
	void (*apply)(struct node *n, const struct raft_entry *e);
	void (*flush)(struct node *n);
	bool (*compact)(struct node *n, raft_index upto);
	/* Of what is applied, which becomes durable; one block to free. */
	struct raft_snapshot *(*snapshot)(struct node *n, raft_index least);
	/* In the middle of m, or of what else it writes. */
	void (*crash)(struct node *n, const struct raft_message *m);
	/* The row of entry i is damaged, or, if from is not 0, overwritten
	 * with that one. */
	void (*damage)(struct node *n, raft_index i, raft_index from);
	void (*repaired)(struct node *n);
	void (*free)(struct node *n);
};
extern const struct sim_store *sim_store; /* NULL: the model alone */
extern const char *sim_replay;            /* the command, without the seed */
int sim_main(int argc, char **argv);

/* tune.c */
void nemesis_tune(struct world *w);

/* far.c: clusters a continent apart */
void far_tune(struct world *w);
void far_story(struct world *w);
uint64_t far_place(void *ctx, raft_id id);
unsigned far_delay(struct world *w, raft_id from, raft_id to);
bool far_lost(struct world *w, raft_id from, raft_id to);
void far_boot(struct node *n);
unsigned far_tick_ms(struct node *n);
void far_check_commit(struct node *n, const raft_id *ids, size_t ids_n,
    raft_index i, raft_term term);
void far_check_waits(struct node *n, raft_index last);
void far_check_vote(struct node *n, const struct raft_trace *t);
bool far_may_lose(const struct world *w, const struct node *n,
    const struct raft_conf_state *c);

/* mixed.c: two configurations in one cluster */
void mixed_tune(struct world *w);
void mixed_config(struct node *n, struct raft_config *c);

/* nemesis.c */
void nemesis_act(struct world *w);
struct node *sim_leader(struct world *w); /* of the highest term, or NULL */
struct node *sim_any(struct world *w);

/* loss.c: disks that are lost, and who takes the place of their nodes. */
void loss_damage(struct world *w);
void loss_wipe(struct world *w);
void loss_take(struct node *n); /* it never comes back */
/* The leader has a member that is lost: true, and its replacement proposed.
 * Also true for one that is damaged, and will be lost. */
bool loss_replace(struct world *w, struct node *leader);

bool loss_settled(
    struct world *w, const struct node *n, const struct raft_conf_state *c);
void loss_spoil(struct node *n); /* some rows of its log */

/* repair.c */
void repair_tune(struct world *w);
void repair_act(struct world *w);
void repair_booted(struct node *n);
void repair_say(struct node *n, unsigned incarnation);
void repair_said(struct world *w, struct event *e);
/* A start found the log damaged, or the machine: it begins after that. */
void repair_found(struct node *n);
void repair_forget(struct node *n, raft_index applied, raft_term term);

/* client.c */
int client_propose(struct node *n);
void client_act(struct world *w);
void client_read(struct node *n);
void client_answer(struct node *n);
void client_read_done(struct node *n, const struct raft_read_state *s);

/* history.c: what clients see is linearizable. */
uint64_t history_write(struct node *n); /* a new value */
void history_refused(struct world *w, uint64_t value);
void history_copied(struct world *w, const struct raft_message *m);
void history_applied(struct node *n, const struct raft_entry *e);
void history_read(struct node *n, struct read *r);
void history_answer(struct node *n, const struct read *r);
void history_end(struct world *w);
void history_free(struct world *w);

/* heal.c */
void heal_act(struct world *w); /* until the cluster agrees */
bool heal_done(struct world *w);

/* trace.c */
void trace_open(struct world *w);
void trace_close(struct world *w);
void trace_event(struct node *n, const struct raft_trace *t);

/* check.c */
uint64_t check_entry_hash(enum raft_entry_type type, const void *p, size_t len);
void check_booted(struct node *n);
void check_node(struct node *n);
void check_all(struct world *w);
void check_send(struct node *n, const struct raft_message *m);
void check_applied(struct node *n, const struct raft_entry *e);
void check_conf(struct node *n); /* as of what it has applied */
void check_installed(struct node *n);
/* This is what is committed at i. */
bool check_is_committed(struct world *w, raft_index i,
    enum raft_entry_type type, const void *p, size_t len);
/* On its disk, or lost there and not counted yet as lost. */
bool check_holds(const struct node *n, raft_index i, raft_term term);
void check_free(struct world *w);

#endif
