/* mesh.h -- sealed messages between nodes, over nng PUSH/PULL.
 *
 * Two channels: messages on port P, snapshot chunks on P + 1, so a heartbeat
 * never queues behind a chunk.  For each channel one PULL listener, one thread
 * that opens what arrives, and one connection per peer.  Payloads are opaque.
 *
 * Delivery is best effort: a message may be lost, late, reordered, or arrive
 * again after its sender restarted (never twice within one boot of sender and
 * receiver).  E_OK from mesh_send proves nothing.  A delivered payload was
 * sealed by the holder of the mesh key set for event.peer.
 *
 * Threads: one thread (the node loop) calls everything; only mesh_fd's
 * descriptor may be polled elsewhere.  nng does not live through fork: fork
 * before the first mesh_start of the process, never after. */
#ifndef QUORATE_MESH_MESH_H
#define QUORATE_MESH_MESH_H

#include "base/buf.h"

#define MESH_KEY_LEN 32 /* X25519, public and secret */
#define MESH_PEERS_MAX 256
#define MESH_ADDRESS_MAX 261  /* bytes of "host:port" */
#define MESH_SEND_MESSAGES 64 /* queued for a peer before a drop */
#define MESH_SEND_CHUNKS 16   /* the same on the snapshot channel */
#define MESH_MESSAGE_MAX_DEFAULT (17U << 20) /* bytes of a payload */
#define MESH_CHUNK_MAX_DEFAULT (1U << 20)
#define MESH_QUEUE_COUNT_DEFAULT 4096U
#define MESH_QUEUE_BYTES_DEFAULT (64U << 20)

enum mesh_channel { MESH_MESSAGES, MESH_SNAPSHOTS, MESH_CHANNELS };

struct mesh_config {
	const char *listen_ip;    /* numeric; "[::]" style brackets for IPv6 */
	uint16_t port;            /* messages; chunks on port + 1 */
	struct span trust_domain; /* its name */
	uint8_t secret[MESH_KEY_LEN];
	uint8_t public[MESH_KEY_LEN]; /* must be the secret's */
	uint64_t
	    self; /* raft id; 0: not known yet, nothing is sent or opened */
	/* 0: the default.  Larger payloads are refused on both sides. */
	size_t message_max, chunk_max;
	/* Bound of what waits for mesh_receive, for each channel; 0: default.
	 * What arrives beyond it is dropped and counted. */
	size_t queue_count, queue_bytes;
};

struct mesh;

/* Listen and start.  The config is copied, and the secret with it.
 * Errors: E_INVAL (address, key pair, trust domain), E_CONFLICT (the address
 * is in use or not ours), E_NOMEM, E_IO. */
enum code mesh_start(struct mesh **out, const struct mesh_config *config,
    struct err *e) MUST_CHECK;
/* Stop the threads, drop what waits, wipe the keys; in two seconds at most, and
 * if nng does not let go by then, its memory is not freed.  NULL is fine. */
void mesh_stop(struct mesh *m);

void mesh_set_self(struct mesh *m, uint64_t self);

/* Who peer id is and where it listens ("host:port" of its message channel;
 * empty: it may talk to us, and is not dialled).  Setting the same again does
 * nothing; a new key forgets the old one at once; a new address dials anew.
 * Host names are resolved again at each reconnection.
 * Errors: E_INVAL (id 0, our own key, a key of low order, address),
 * E_EXHAUSTED (MESH_PEERS_MAX), E_NOMEM, E_IO; then the peer is as it was. */
enum code mesh_peer_set(struct mesh *m, uint64_t id,
    const uint8_t public[MESH_KEY_LEN], struct span address,
    struct err *e) MUST_CHECK;
/* Nothing more is sent to it or opened from it.  Unknown ids are fine. */
void mesh_peer_remove(struct mesh *m, uint64_t id);

/* Seal and queue; never waits.  The payload is copied.  A peer that is sent to
 * and not heard for three seconds is dialled anew: so whoever is alive says
 * something to each peer at least once a second.
 * Errors (no text: this is the hot path): E_NOTFOUND no such peer, or our own
 * id is not known; E_UNAVAILABLE no link to it now; E_EXHAUSTED its queue is
 * full, which also makes an UNREACHABLE event; E_INVAL too large; E_NOMEM.
 * Anything but E_OK: dropped and counted. */
enum code mesh_send(struct mesh *m, uint64_t to, enum mesh_channel channel,
    struct span payload) MUST_CHECK;

enum mesh_event_kind {
	MESH_MESSAGE,     /* from peer on channel */
	MESH_UNREACHABLE, /* the link of that channel broke, or its queue is
			   * full.  A paused peer shows only as the latter:
			   * watch for silence too. */
	MESH_GONE,        /* the link of that channel broke, and then nobody
			   * listened there: the peer's process has ended, or
			   * something between says so.  Once for each break. */
	MESH_REACHABLE,   /* the link of that channel came up */
};

struct mesh_event {
	enum mesh_event_kind kind;
	enum mesh_channel channel;
	uint64_t peer;
	struct buf payload; /* the receiver's: buf_free; empty but in MESSAGE */
};

/* An eventfd, readable while something waits.  Only poll it. */
int mesh_fd(const struct mesh *m);
/* Take the next event; call until it says false.  Link events first, then
 * messages, then chunks. */
bool mesh_receive(struct mesh *m, struct mesh_event *out);

struct mesh_peer_status {
	bool connected[MESH_CHANNELS]; /* our link to it */
	uint64_t heard_ms; /* clock_mono_ms of its last message; 0: never */
};
/* False: no such peer. */
bool mesh_peer_status(
    struct mesh *m, uint64_t id, struct mesh_peer_status *out);

/* Counts since mesh_start (the metrics count for the process). */
/* The time of day was set.  nng 1.5.2 waits by it: what it lets sleep would,
 * set back, sleep on until that time has come again.  Connections that do not
 * stand are tried at once.  The owner's thread. */
void mesh_clock_set(struct mesh *m);

struct mesh_stats {
	uint64_t sent, send_dropped;
	uint64_t received;        /* opened and queued */
	uint64_t receive_dropped; /* opened, and the queue was full */
	uint64_t rejected;        /* malformed, not for us, unknown, forged */
	uint64_t duplicates;      /* seen in this boot of the sender */
};
void mesh_stats(struct mesh *m, struct mesh_stats *out);

#endif
