/* fill.h -- quorate-fill: the data directories of stopped nodes, and what is
 * appended to all of them alike. */
#ifndef QUORATE_TESTS_FILL_H
#define QUORATE_TESTS_FILL_H

#include <pthread.h>
#include <stdio.h>

#include "ca/ca.h"
#include "signer/signer.h"
#include "store/store.h"
#include "wire/wire.h"

#define FILL_NODES_MAX 16
#define FILL_BATCH 65536 /* entries in one transaction */

struct batch {
	struct raft_entry entries[FILL_BATCH];
	struct buf raw[FILL_BATCH];
	size_t n; /* 0: it is the end */
};

struct fill_node {
	const char *dir;
	uint64_t id;
	struct signer *signer;
	struct store *store;
	struct raft_storage log;
	struct ca_db db;
	struct ca *ca;
	char refused[260]; /* the last entry that was, and why; or empty */
	pthread_t thread;
};

/* Ends the program. */
_Noreturn void fill_fail(const char *where, const char *fmt, ...)
    PRINTF_LIKE(2, 3);
void fill_must(enum code rc, const char *where, const struct err *e);

/* The signer is forked first, before any thread. */
void node_start_signer(struct fill_node *n);
void node_open(struct fill_node *n);
/* All have the longest log of them, and have applied it: same state. */
void nodes_level(struct fill_node *nodes, size_t n);
/* Administration that the signer must know. */
void node_feed_signer(struct fill_node *n);
/* Before another thread has the node. */
void node_rest(struct fill_node *n);
/* Into the log, the state, and out of the log again. */
void node_take(struct fill_node *n, const struct batch *b);
void node_close(struct fill_node *n);

#endif
