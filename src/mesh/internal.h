/* internal.h -- what mesh.c, link.c and receive.c share.
 *
 * The owner is the thread that calls mesh.h.  It alone writes peers, links and
 * the send counter.  mesh.lock guards what the receiver threads and nng's
 * callbacks touch: it is held for short copies only, and never across a call
 * into nng, whose own locks may be held when a callback asks for it. */
#ifndef QUORATE_MESH_INTERNAL_H
#define QUORATE_MESH_INTERNAL_H

#include <nng/nng.h>
#include <pthread.h>

#include "mesh/mesh.h"
#include "mesh/seal.h"
#include "mesh/window.h"

struct link;

/* One message on its way: its length (64 bits), then its bytes. */
struct frame {
	uint8_t *p;
	size_t len;
};

enum lane_step { LANE_DIAL, LANE_GREET, LANE_HEAR, LANE_SLEEP };

/* The sending end of a pipeline: one TCP connection to a PULL listener, dialled
 * again whenever it breaks.  (nng 1.5.2's own PUSH socket writes into freed
 * memory when a connection breaks under load, nng #1653, and cannot bound the
 * time of a dial: so this end stands on nng_stream.)
 *
 * `work` makes the connection; then `in` waits for its end and `out` writes.
 * The stream is freed, and work takes over again, when neither flag is set. */
struct lane {
	struct link *link;
	enum mesh_channel channel;
	size_t room; /* frames in the queue */
	nng_stream_dialer *dialer;
	nng_aio *work, *out, *in;
	/* work's, while nobody sends or receives: */
	enum lane_step step;
	nng_duration backoff;
	uint8_t greeting[8], stray[8];
	size_t greeted;
	nng_stream *stream;
	/* whoever set sending: */
	struct frame current;
	size_t done;
	/* under mesh.lock: */
	bool up, sending, receiving, closing;
	bool fell; /* it broke, and has not been dialled with an answer since */
	bool told_down, told_gone, told_up; /* wait for mesh_receive */
	uint64_t up_ms;
	struct frame queue[MESH_SEND_MESSAGES];
	size_t head, count;
};

/* Our way to a peer. */
struct link {
	struct link *next;
	struct mesh *mesh;
	uint64_t peer;
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
enum code mesh_link_open(struct mesh *m, uint64_t peer, struct span address,
    struct link **out, struct err *e) MUST_CHECK;
void mesh_link_close(struct link *l); /* NULL is fine */
void mesh_lane_hurry(struct lane *lane);
/* Send one frame, or free it.  heard_ms: when the peer was heard last. */
enum code mesh_lane_send(
    struct lane *lane, struct frame f, uint64_t heard_ms) MUST_CHECK;

/* ---- receive.c ---- */

enum code mesh_inlet_open(struct inlet *in, const char *ip, uint16_t port,
    size_t payload_max, struct err *e) MUST_CHECK;
enum code mesh_inlet_start(struct inlet *in, struct err *e) MUST_CHECK;
/* Close, join, free what waits. */
void mesh_inlet_stop(struct inlet *in);

#endif
