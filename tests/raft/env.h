/* env.h -- the nodes and the network of an interaction script. */
#ifndef QUORATE_TESTS_RAFT_ENV_H
#define QUORATE_TESTS_RAFT_ENV_H

#include "disk.h"
#include "out.h"
#include "script.h"
#include "words.h"

#define NODES_MAX 16

struct node {
	raft_id id;
	struct raft *raft;
	struct raft_config config;
	struct disk disk;
	struct raft_queue append_work, apply_work;
};

struct env {
	struct node nodes[NODES_MAX]; /* node i has id i + 1 */
	size_t n;
	struct raft_queue messages; /* on their way */
	struct v1_changes v1;
	struct out *out; /* of the command that runs */
};

struct env *env_new(void);
void env_free(struct env *e);
/* NULL: no such node. */
struct node *env_node(struct env *e, raft_id id);
/* Start one more node from a snapshot (index 0: from nothing).  NULL, or what
 * is wrong. */
const char *env_add_node(struct env *e, const struct raft_config *config,
    const struct raft_snapshot *s);

void env_process_ready(struct env *e, struct node *n);
void env_process_append(struct env *e, struct node *n);
void env_process_apply(struct env *e, struct node *n);
/* Hand over, or drop, the messages to a node; of one type, or of all
 * (RAFT_MSG_TYPES).  How many there were. */
size_t env_deliver(
    struct env *e, raft_id to, enum raft_message_type type, bool drop);
void env_stabilize(struct env *e, struct node **nodes, size_t n);

/* One command of an interaction script; ctx is a struct env. */
run_command env_run;

#endif
