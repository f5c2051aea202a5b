/* internal.h -- what mesh.c, link.c and receive.c share.
 *
 * The owner is the thread that calls mesh.h.  It alone writes peers, links and
 * the send counter.  mesh.lock guards what the receiver threads and nng's pipe
 * callbacks touch: it is held for short copies only, and never across a call
 * into nng, whose own locks are held when a callback asks for it. */
#ifndef QUORATE_MESH_INTERNAL_H
#define QUORATE_MESH_INTERNAL_H

#include <nng/nng.h>
#include <pthread.h>

#include "mesh/mesh.h"
#include "mesh/seal.h"
#include "mesh/window.h"

struct link;

/* One PUSH socket and its dialer.  nng calls back with a pointer to it until
 * the socket is closed. */
struct lane {
	struct link *link;
	enum mesh_channel channel;
	nng_socket socket;
	nng_dialer dialer;
	bool open;
	/* under mesh.lock: */
	int pipe;      /* the pipe that is up; 0: none */
	int gone;      /* the last one that went: its removal can overtake its
			* arrival */
	bool down, up; /* events that wait for mesh_receive */
};

/* Our way to one address.  Made once and closed in mesh_stop only: nng 1.5.2
 * uses freed memory when dialers close under load (nng #1657, #1658).  A link
 * without a peer is parked: it dials slowly and nothing is sent on it. */
struct link {
	struct link *next;
	struct mesh *mesh;
	uint64_t peer; /* under mesh.lock; 0: parked */
	char address[MESH_ADDRESS_MAX + 1];
	struct lane lanes[MESH_CHANNELS];
};

struct peer {
	uint64_t id;
	uint8_t public[MESH_KEY_LEN];
	struct seal_keys keys;
	struct link *link; /* NULL: not dialled */
	uint64_t heard_ms;
	struct window windows[MESH_CHANNELS];
};

struct item {
	struct item *next;
	uint64_t peer;
	struct buf payload;
};

/* A listener, its thread, and what it received; the queue is under
 * mesh.lock. */
struct inlet {
	struct mesh *mesh;
	enum mesh_channel channel;
	nng_socket socket;
	bool open, running;
	pthread_t thread;
	struct item *first, **last;
	size_t count, bytes;
};

struct mesh {
	pthread_mutex_t lock;
	int event_fd;
	struct seal_self self; /* constant */
	uint64_t boot;         /* constant */
	size_t payload_max[MESH_CHANNELS], queue_count, queue_bytes;
	struct link *links; /* the owner's */
	size_t links_n;
	uint64_t counter;
	struct inlet inlets[MESH_CHANNELS];
	/* under lock; the owner reads peers and self_id without: */
	uint64_t self_id;
	struct peer *peers[MESH_PEERS_MAX];
	size_t peers_n;
	bool signalled, link_events, stopping;
	struct mesh_stats stats;
	uint64_t reject_logged_ms, reject_unlogged;
};

/* Make the eventfd readable; with the lock held. */
void mesh_signal(struct mesh *m);
struct peer *mesh_peer_find(const struct mesh *m, uint64_t id);
/* "nng: <what>: <reason>" as an error of ours. */
enum code mesh_nng_error(struct err *e, int rv, const char *what);

/* ---- link.c: the owner's thread ---- */

/* E_INVAL: not a host and a port below 65535. */
enum code mesh_address_check(struct span address, struct err *e) MUST_CHECK;
/* A link to the address for peer: a parked one, or a new one. */
enum code mesh_link_take(struct mesh *m, uint64_t peer, struct span address,
    struct link **out, struct err *e) MUST_CHECK;
void mesh_link_park(struct link *l); /* NULL is fine */
void mesh_links_close(struct mesh *m);
/* Send one sealed message; takes msg. */
enum code mesh_lane_send(struct lane *lane, nng_msg *msg) MUST_CHECK;

/* ---- receive.c ---- */

enum code mesh_inlet_open(struct inlet *in, const char *ip, uint16_t port,
    size_t payload_max, struct err *e) MUST_CHECK;
enum code mesh_inlet_start(struct inlet *in, struct err *e) MUST_CHECK;
/* Close, join, free what waits. */
void mesh_inlet_stop(struct inlet *in);

#endif
