/* diff.h -- our core and etcd's module under one random schedule.
 *
 * A seed draws a tuning and then, step by step, what happens: plan.  Here and
 * in the oracle (a Go program) the same nodes do it, each side with its own
 * disks and its own network.  What a step shows is text, in one form on both
 * sides; the oracle answers with the hash of each. */
#ifndef QUORATE_TESTS_RAFT_DIFF_H
#define QUORATE_TESTS_RAFT_DIFF_H

#include "internal.h"

#define DIFF_NODES 6     /* ids 1..6, members or not */
#define DIFF_DATA 64     /* bytes in an entry, at most */
#define DIFF_TERMS 4096  /* more than a schedule reaches */
#define DIFF_STEPS 60000 /* at most */

/* ---- What happens: numbers of the protocol with the oracle ---- */

enum op_kind {
	OP_TICK,        /* a: how many */
	OP_DELIVER,     /* a: which of all messages sent */
	OP_DISK,        /* the oldest write */
	OP_APPLY,       /* the oldest apply; sync storage: and advance */
	OP_READY,       /* nothing, but take what is ready */
	OP_PROPOSE,     /* a: entries, b: bytes of each, c: mark */
	OP_CHANGE,      /* a: transition, b: changes, c: how many */
	OP_TRANSFER,    /* a: to whom */
	OP_READ,        /* a: context */
	OP_CAMPAIGN,    /* at once */
	OP_FORGET,      /* the leader */
	OP_UNREACHABLE, /* a: who */
	OP_REPORT,      /* of a snapshot; a: whose, b: 1 if it arrived */
	OP_SNAPSHOT,    /* b: 1 if storage has one to give from now on;
			   then a: the index of the new one */
	OP_COMPACT,     /* a: the last index that goes */
	OP_CRASH,       /* and lose what is not durable */
	OP_RESTART,     /* a: applied */
	OP_KINDS
};

enum {
	OP_TAKE_READY = 1,   /* after it, if there is one */
	OP_SKIP_CHANGES = 2, /* OP_APPLY: before a snapshot that waits */
	OP_TWO_CHANGES = 4   /* OP_CHANGE: the same again in one message */
};

struct op {
	uint32_t kind, node, flags, a, b, c;
	uint32_t timeout; /* ours after it: the oracle takes the same */
};

/* b of OP_CHANGE: 8 bits each, the first lowest: type << 4 | id */
#define CHANGE_BITS(type, id) ((uint32_t)(type) << 4 | (uint32_t)(id))

struct tuning {
	uint32_t voters, learners; /* ids 1.., and those that follow */
	uint32_t election_ticks, heartbeat_ticks;
	uint32_t max_size_per_msg, max_committed_size;
	uint32_t max_inflight_msgs, max_inflight_bytes, max_uncommitted;
	uint32_t check_quorum, pre_vote, lease, no_forwarding, no_validation;
	uint32_t step_down, async, early_votes;
};

/* ---- text.c: what a step shows ---- */

struct text {
	char p[1 << 18];
	size_t n;
};

void text_add(struct text *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void text_ready(struct text *t, const struct raft_ready *rd);
void text_status(struct text *t, const struct raft *r);
void text_message(struct text *t, const struct raft_message *m);
void text_op(struct text *t, const struct op *op);

/* ---- disk.c: the storage of one node ---- */

struct kept_entry {
	raft_term term;
	enum raft_entry_type type;
	size_t len;
	char data[DIFF_DATA];
};

struct kept_conf { /* since the entry of this index is applied */
	raft_index index;
	struct raft_conf_state conf;
};

struct disk {
	struct raft_hard_state hard;
	raft_index base; /* the log begins after it */
	raft_term base_term;
	struct kept_entry *log;
	size_t n, cap;
	raft_index applied;
	struct kept_conf *confs;
	size_t confs_n, confs_cap;
	struct raft_snapshot snapshot;
	bool snapshot_refused;
};

struct raft_storage disk_storage(struct disk *d);
void disk_start(struct disk *d, const struct raft_conf_state *conf);
void disk_free(struct disk *d);
raft_index disk_last(const struct disk *d);
const struct raft_conf_state *disk_conf(const struct disk *d);
void disk_write(struct disk *d, const struct raft_message *m);
void disk_applied(
    struct disk *d, raft_index i, const struct raft_conf_state *changed);
void disk_snapshot(struct disk *d, raft_index i);
void disk_compact(struct disk *d, raft_index to);
void disk_rewind(struct disk *d, raft_index applied);
/* As protobuf would encode it in etcd's module. */
size_t entry_size(const struct raft_entry *e);
void entry_sizes_forget(void);

/* ---- world.c: our side ---- */

enum { WORK_WRITE, WORK_APPLY, WORKS };

struct work_queue {
	struct raft_message **m;
	size_t n, cap;
};

struct node {
	struct world *w;
	raft_id id;
	struct raft *raft; /* NULL: down */
	struct disk disk;
	struct work_queue work[WORKS];
	bool taken; /* sync storage: a ready is not advanced yet */
};

/* X(name, how often in 1000 schedules at the least, what they did) */
#define DIFF_COUNTS(X)                                                         \
	X(ELECTION, 50, "elections won")                                       \
	X(SIMPLE, 50, "simple membership changes")                             \
	X(JOINT, 50, "joint changes entered")                                  \
	X(LEAVE, 50, "joint changes left")                                     \
	X(LEARNER, 50, "learners added")                                       \
	X(TWO, 50, "messages with two changes")                                \
	X(REFUSED, 50, "changes refused by the leader")                        \
	X(IMPOSSIBLE, 50, "changes that could not be applied")                 \
	X(COMMITTED, 50, "entries applied")                                    \
	X(TRUNCATED, 50, "logs cut back by another leader")                    \
	X(DROPPED, 50, "proposals dropped")                                    \
	X(QUOTA, 50, "proposals past the quota")                               \
	X(INFLIGHT, 50, "in-flight windows full")                              \
	X(PAGED, 50, "appends cut by size")                                    \
	X(PAUSED, 50, "applies paused by size")                                \
	X(SNAP_SENT, 50, "snapshots sent")                                     \
	X(SNAP_STORED, 50, "snapshots installed")                              \
	X(SNAP_TWICE, 5, "snapshots taken in before the last was installed")   \
	X(SNAP_TERM, 20, "snapshots installed in a later term")                \
	X(SNAP_CHANGE, 4, "changes from before a snapshot")                    \
	X(REWRITTEN, 5, "entries replaced while they were written")            \
	X(COMPACTED, 50, "logs compacted")                                     \
	X(READ, 50, "reads answered")                                          \
	X(TRANSFER, 50, "transfers that called an election")                   \
	X(FORGET, 50, "leaders forgotten")                                     \
	X(UNREACHABLE, 50, "peers reported unreachable")                       \
	X(REPORT, 50, "snapshots reported")                                    \
	X(RESTART, 50, "restarts")                                             \
	X(LOST, 50, "messages lost")                                           \
	X(TWICE, 50, "messages delivered twice")                               \
	X(REORDERED, 50, "messages out of order")                              \
	X(ASYNC, 50, "schedules with async storage")                           \
	X(SYNC, 50, "schedules with sync storage")

enum diff_count {
#define X(name, least, what) COUNT_##name,
	DIFF_COUNTS(X)
#undef X
	    COUNTS
};

struct world {
	struct tuning tuning;
	struct node node[DIFF_NODES + 1];
	struct raft_message **sent; /* all of the schedule */
	size_t sent_n, sent_cap;
	uint64_t count[COUNTS];
	bool stopped; /* a node has: a difference, even if etcd's has too */
};

void world_start(struct world *w, const struct tuning *t);
void world_free(struct world *w);
/* Do op, fill in its timeout; out: what is seen. */
void world_do(struct world *w, struct op *op, struct text *out);
void *grown(void *p, size_t *cap, size_t n, size_t size);

/* ---- plan.c: what a seed draws ---- */

struct plan {
	uint64_t rng;
	struct world *w;
	uint32_t weight[OP_KINDS];
	uint32_t ready, lose, twice, reorder, cut, stall; /* per cent */
	uint32_t *waiting; /* messages not delivered yet */
	size_t waiting_n, waiting_cap;
	size_t known;               /* of w->sent */
	bool apart[DIFF_NODES + 1]; /* cut off from the others */
	bool slow[WORKS][DIFF_NODES + 1];
	enum { STORY_NONE, STORY_BEHIND, STORY_REPLACED } story;
	raft_id hero; /* whom the story is about */
	enum { PHASE_TOGETHER, PHASE_APART, PHASE_BACK, PHASES } phase;
	uint32_t left;     /* steps of this phase */
	uint32_t patience; /* how often it may wait for its end */
	uint32_t pace;     /* per cent: of what is slow, when its turn comes */
	uint32_t marks, begun;
};

void plan_draw(uint64_t seed, struct plan *p, struct tuning *t);
/* How many steps it takes, of how many asked for: a story takes longer. */
uint32_t plan_length(const struct plan *p, uint32_t steps);
void plan_free(struct plan *p);
struct op plan_next(struct plan *p);

/* ---- oracle.c: the other side ---- */

struct oracle {
	int in, out;
	long pid;
};

int oracle_start(struct oracle *o, const char *program);
void oracle_stop(struct oracle *o);
int oracle_hashes(struct oracle *o, const struct tuning *t,
    const struct op *ops, uint32_t n, uint64_t *hashes);
/* The text of step `at` alone; malloc'ed. */
char *oracle_text(struct oracle *o, const struct tuning *t,
    const struct op *ops, uint32_t n, uint32_t at);

#endif
