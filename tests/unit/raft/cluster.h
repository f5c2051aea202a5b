/* cluster.h -- a few nodes, a network and disks in memory, and the whole story
 * as text.  Nothing moves by itself: a test says what happens next. */
#ifndef QUORATE_TEST_CLUSTER_H
#define QUORATE_TEST_CLUSTER_H

#include "raft.h"

#define CLUSTER_NODES 7 /* ids 1..7 */

enum {                   /* what is told */
	TELL_EVENTS = 1, /* the core's typed trace */
	TELL_SENT = 2,   /* messages as they leave for the network */
	TELL_DISK = 4,   /* storage messages as they are done */
	TELL_APPLIED = 8
};

struct stored {
	raft_term term;
	enum raft_entry_type type;
	size_t len;
	char data[600];
};

struct peer {
	struct cluster *c;
	raft_id id;
	struct raft *raft; /* NULL: not running */
	struct raft_config config;
	/* the disk */
	struct raft_hard_state hard;
	struct raft_snapshot snapshot; /* the log begins after it */
	struct stored log[400];
	size_t log_n;
	raft_index applied;
	struct raft_conf_state conf;
	bool snapshot_refused; /* RAFT_ESNAP_NOT_READY */
	/* storage messages not done yet */
	struct raft_message *op[200];
	size_t op_n;
	bool slow_disk;  /* they wait for cluster_disk */
	bool slow_apply; /* the same, for applies only */
};

struct cluster {
	struct peer peer[CLUSTER_NODES + 1];
	struct raft_message *net[2000];
	size_t net_n;
	bool cut[CLUSTER_NODES + 1][CLUSTER_NODES + 1];
	unsigned tell;
	char text[64 * 1024];
	size_t text_n;
};

/* Voters 1..n that share a log of one entry, 1/1, and run with c->peer[i]'s
 * configuration as `tune` (may be NULL) left it. */
struct cluster *cluster_new(
    size_t voters, void (*tune)(struct raft_config *config));
void cluster_free(struct cluster *c);
/* A node with an empty disk. */
void cluster_join(
    struct cluster *c, raft_id id, void (*tune)(struct raft_config *config));
void cluster_start(struct cluster *c, raft_id id);
void cluster_crash(struct cluster *c, raft_id id); /* unsynced work is lost */

struct raft *node(struct cluster *c, raft_id id);
struct raft_status cluster_status(struct cluster *c, raft_id id);

void cluster_ready(struct cluster *c, raft_id id); /* fetch and do the work */
bool cluster_disk(struct cluster *c, raft_id id);  /* one storage message */
void cluster_disk_all(struct cluster *c, raft_id id);
bool cluster_deliver(struct cluster *c); /* the oldest message */
void cluster_settle(struct cluster *c);  /* until nothing moves */
void cluster_drop(struct cluster *c);    /* all that is on its way */
void cluster_cut(struct cluster *c, raft_id from, raft_id to);
void cluster_isolate(struct cluster *c, raft_id id);
void cluster_heal(struct cluster *c);
void cluster_tick(struct cluster *c, raft_id id, unsigned n);
void cluster_elect(struct cluster *c, raft_id id); /* and settle */
int cluster_propose(struct cluster *c, raft_id id, const char *text);
/* "v4 r2 l5": voters, removals, learners; "" leaves a joint. */
int cluster_change(struct cluster *c, raft_id id, enum raft_transition how,
    const char *changes);
void cluster_compact(struct cluster *c, raft_id id, raft_index to);
void cluster_step(struct cluster *c, raft_id to, struct raft_message m);

/* A message on its way, taken out; and given to its node, and freed. */
struct raft_message *cluster_take(
    struct cluster *c, enum raft_message_type type, raft_id to);
void cluster_give(struct cluster *c, struct raft_message *m);
/* Node id has crashed: its log after 1/1 becomes entries of these terms. */
void cluster_write_log(struct cluster *c, raft_id id, const char *terms);

void cluster_say(struct cluster *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void cluster_say_log(struct cluster *c, raft_id id);
void cluster_say_conf(struct cluster *c, raft_id id);
void cluster_say_progress(struct cluster *c, raft_id leader);
void cluster_hush(struct cluster *c); /* forget the story so far */
/* The story since the last time is exactly this. */
#define cluster_expect(c, story)                                               \
	cluster_expect_at((c), (story), __FILE__, __LINE__)
void cluster_expect_at(
    struct cluster *c, const char *story, const char *file, int line);

#endif
