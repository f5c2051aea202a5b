/* real.h -- quorate's own store under a simulated node, on a disk that
 * forgets (tests/power). */
#ifndef QUORATE_TESTS_REAL_H
#define QUORATE_TESTS_REAL_H

#include "../power/power.h"
#include "../sim/sim.h"
#include "store/store.h"

struct real {
	char dir[64];
	struct power power;
	struct store *store; /* NULL: the node is down */
	struct raft_storage inner;
	/* What a crash interrupted, or may have: */
	struct raft_message *torn; /* NULL: none */
	raft_index cut;            /* a compaction; 0: none */
	raft_index flushed;        /* a commit of the state; 0: none */
};

struct real *real_of(struct node *n); /* made at the first use */
/* Until the matching call, this node's disk is the one that is written. */
void real_begin(struct real *r);
void real_end(void);

/* rows.c: what a node's state is in tables. */
enum code rows_apply(struct ca_db db, const struct raft_entry *e,
    const struct content *is, struct err *e_out);
/* A snapshot's data: the content, then every row. */
enum code rows_pack(struct store_snapshot *from, const struct content *is,
    struct buf *out, struct err *e);
enum code rows_unpack(struct ca_db db, struct raft_span data, struct err *e);
/* The rows are those of exactly the entries up to applied; fills *is. */
enum code rows_check(struct ca_db db, struct world *w, raft_index applied,
    struct content *is, struct err *e);

/* start.c: what is on the disk when a node starts, against its model. */
bool real_open(struct node *n);

/* damage.c */
void real_damage(struct node *n, raft_index i, raft_index from);

extern const struct sim_store real_store;

#endif
