/* node.h -- a running node: what main starts, runs and stops.  Its thread is
 * the node loop; signer, store, mesh and front hang on it. */
#ifndef QUORATE_NODE_NODE_H
#define QUORATE_NODE_NODE_H

#include "node/provision.h"

struct node;

/* A node over a data directory.  Forks the signer: nothing else may have
 * started a thread or opened a socket.  Opens the metrics port.
 * raft_trace: a file to which raft's steps are appended; NULL: none. */
enum code node_open(struct node **out, const char *dir, const char *raft_trace,
    struct err *e) MUST_CHECK;
/* Until node_stop: waits to be approved, if it still joins, then serves.  E_OK:
 * asked to stop.  Any other code: the process must end, and the text says
 * why. */
enum code node_run(struct node *n, struct err *e) MUST_CHECK;
/* Async-signal-safe. */
void node_stop(struct node *n);
void node_close(struct node *n); /* NULL is fine */

#endif
