/* net.h -- meshes on loopback for the tests of this folder, and raw peers
 * that speak as much of SP as the test wants. */
#ifndef TESTS_MESH_NET_H
#define TESTS_MESH_NET_H

#include "mesh/mesh.h"

#define NET_TD "mesh.example"
#define NET_WAIT_MS 20000 /* an upper bound: nothing waits this long */

/* A node of a test: its keys come from its id. */
struct net_node {
	uint64_t id;
	char ip[16];
	uint16_t port; /* stays over stop and start */
	uint8_t secret[MESH_KEY_LEN], public[MESH_KEY_LEN];
	struct mesh *mesh;
};

/* An address 127.0.7.<id> whose ports P and P + 1 are free, and keys. */
void net_node_init(struct net_node *n, uint64_t id);
/* Listen; config (NULL: defaults) gives the limits. */
void net_node_start(struct net_node *n, const struct mesh_config *limits);
void net_node_stop(struct net_node *n);
/* n learns who other is and dials it. */
void net_meet(struct net_node *n, const struct net_node *other);
/* The same for each pair of count nodes; returns when all links are up. */
void net_meet_all(struct net_node *nodes, size_t count);

/* The next event within NET_WAIT_MS; the test fails without one. */
void net_event(struct net_node *n, struct mesh_event *out);
/* The next event of that kind; others are dropped. */
void net_event_of(
    struct net_node *n, enum mesh_event_kind kind, struct mesh_event *out);
/* Take a message and compare it. */
void net_expect(struct net_node *n, uint64_t from, enum mesh_channel channel,
    const char *text);
/* Take events for ms milliseconds; returns how many were messages. */
size_t net_drain(struct net_node *n, int ms);
void net_send(struct net_node *n, uint64_t to, enum mesh_channel channel,
    const char *text);
/* After a link broke: nng may lose the first message of the next one, so send
 * until one arrives. */
void net_deliver(struct net_node *from, struct net_node *to, const char *text);
/* Wait until n's link to the peer is up on both channels. */
void net_connected(struct net_node *n, uint64_t peer);
struct mesh_stats net_stats(struct net_node *n);

/* The last thing a program does: nng ends its threads and frees what it reaps
 * behind their backs, so that a leak is one.  A group's teardown. */
int net_end(void **state);

/* A TCP connection to a node's channel; -1 if refused. */
int net_dial(const struct net_node *n, enum mesh_channel channel);
/* A listening TCP socket on the node's address. */
int net_listen(const struct net_node *n, enum mesh_channel channel);
/* The SP greeting of a PUSH or PULL socket, sent and the peer's read. */
void net_greet(int fd, bool push);
/* One SP frame: a 64-bit length, then the bytes. */
void net_frame(int fd, struct span body);

#endif
