/* Meshes on loopback: delivery, restarts, stalls, forgeries. */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "mesh/seal.h"
#include "net.h"

static struct net_node nodes[3];

static int start_nodes(size_t count)
{
	memset(nodes, 0, sizeof(nodes));
	for (size_t i = 0; i < count; i++) {
		net_node_init(&nodes[i], i + 1);
		net_node_start(&nodes[i], NULL);
	}
	return 0;
}

static int one(void **state)
{
	(void)state;
	return start_nodes(1);
}

static int two(void **state)
{
	(void)state;
	return start_nodes(2);
}

static int three(void **state)
{
	(void)state;
	return start_nodes(3);
}

static int stop(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++)
		net_node_stop(&nodes[i]);
	return 0;
}

static void two_nodes_talk_on_both_channels(void **state)
{
	(void)state;
	net_meet_all(nodes, 2);
	net_send(&nodes[0], 2, MESH_MESSAGES, "vote");
	net_expect(&nodes[1], 1, MESH_MESSAGES, "vote");
	net_send(&nodes[1], 1, MESH_MESSAGES, "granted");
	net_expect(&nodes[0], 2, MESH_MESSAGES, "granted");
	net_send(&nodes[0], 2, MESH_SNAPSHOTS, "chunk");
	net_expect(&nodes[1], 1, MESH_SNAPSHOTS, "chunk");
	net_send(&nodes[0], 2, MESH_MESSAGES, "");
	net_expect(&nodes[1], 1, MESH_MESSAGES, "");
	assert_int_equal(net_stats(&nodes[0]).sent, 3);
	assert_int_equal(net_stats(&nodes[1]).received, 3);
	assert_int_equal(net_stats(&nodes[1]).rejected, 0);
}

static void three_nodes_hear_each_other(void **state)
{
	char text[32];

	(void)state;
	net_meet_all(nodes, 3);
	for (uint64_t from = 1; from <= 3; from++)
		for (uint64_t to = 1; to <= 3; to++) {
			if (from == to)
				continue;
			snprintf(text, sizeof(text), "%u to %u", (unsigned)from,
			    (unsigned)to);
			net_send(&nodes[from - 1], to, MESH_MESSAGES, text);
			net_expect(&nodes[to - 1], from, MESH_MESSAGES, text);
		}
}

static void chunks_of_256_kib_arrive_whole(void **state)
{
	enum { LEN = 256 << 10, CHUNKS = 20 };
	uint8_t *chunk = malloc(LEN);
	struct mesh_event ev;

	(void)state;
	assert_non_null(chunk);
	net_meet_all(nodes, 2);
	for (int i = 0; i < CHUNKS; i++) {
		memset(chunk, i, LEN);
		assert_int_equal(mesh_send(nodes[0].mesh, 2, MESH_SNAPSHOTS,
				     span_of(chunk, LEN)),
		    E_OK);
		net_event_of(&nodes[1], MESH_MESSAGE, &ev);
		assert_int_equal(ev.channel, MESH_SNAPSHOTS);
		assert_int_equal(ev.payload.len, LEN);
		assert_memory_equal(ev.payload.p, chunk, LEN);
		buf_free(&ev.payload);
	}
	free(chunk);
}

static void sizes_are_bounded_on_both_sides(void **state)
{
	struct mesh_config small = {.message_max = 1000, .chunk_max = 2000};
	uint8_t bytes[2001] = {0};

	(void)state;
	net_node_stop(&nodes[1]);
	net_node_start(&nodes[1], &small);
	net_meet_all(nodes, 2);
	assert_int_equal(
	    mesh_send(nodes[1].mesh, 1, MESH_MESSAGES, span_of(bytes, 1001)),
	    E_INVAL);
	assert_int_equal(
	    mesh_send(nodes[1].mesh, 1, MESH_SNAPSHOTS, span_of(bytes, 2001)),
	    E_INVAL);
	/* at the bound it arrives; past it the receiver ends the connection,
	 * and the next one works */
	assert_int_equal(
	    mesh_send(nodes[0].mesh, 2, MESH_MESSAGES, span_of(bytes, 1000)),
	    E_OK);
	assert_int_equal(net_drain(&nodes[1], 200), 1);
	assert_int_equal(
	    mesh_send(nodes[0].mesh, 2, MESH_MESSAGES, span_of(bytes, 1001)),
	    E_OK);
	net_event_of(
	    &nodes[0], MESH_UNREACHABLE, &(struct mesh_event){.kind = 0});
	net_connected(&nodes[0], 2);
	net_deliver(&nodes[0], &nodes[1], "small");
}

static void a_stopped_peer_is_unreachable_and_then_returns(void **state)
{
	struct mesh_event ev;

	(void)state;
	net_meet_all(nodes, 2);
	net_node_stop(&nodes[1]);
	do
		net_event_of(&nodes[0], MESH_UNREACHABLE, &ev);
	while (ev.channel != MESH_MESSAGES);
	assert_int_equal(ev.peer, 2);
	assert_int_equal(
	    mesh_send(nodes[0].mesh, 2, MESH_MESSAGES, span_str("lost")),
	    E_UNAVAILABLE);
	net_node_start(&nodes[1], NULL);
	net_meet(&nodes[1], &nodes[0]);
	do
		net_event_of(&nodes[0], MESH_REACHABLE, &ev);
	while (ev.channel != MESH_MESSAGES);
	net_connected(&nodes[0], 2);
	net_connected(&nodes[1], 1);
	net_deliver(&nodes[0], &nodes[1], "again");
	/* a new boot begins its counters anew */
	net_deliver(&nodes[1], &nodes[0], "back");
}

static size_t gone_within(struct net_node *n, uint64_t ms)
{
	uint64_t until = clock_mono_ms() + ms;
	struct mesh_event ev;
	size_t count = 0;

	while (clock_mono_ms() < until) {
		while (mesh_receive(n->mesh, &ev)) {
			count += ev.kind == MESH_GONE;
			buf_free(&ev.payload);
		}
		usleep(10000);
	}
	return count;
}

static void a_peer_that_ended_is_gone_and_one_that_never_came_is_not(
    void **state)
{
	struct net_node nobody;
	struct mesh_event ev;

	(void)state;
	net_meet_all(nodes, 2);
	net_node_stop(&nodes[1]);
	for (int c = 0; c < MESH_CHANNELS; c++) {
		net_event_of(&nodes[0], MESH_GONE, &ev);
		assert_int_equal(ev.peer, 2);
	}
	net_node_init(&nobody, 3);
	net_meet(&nodes[0], &nobody);
	/* some dials of each later */
	assert_int_equal(gone_within(&nodes[0], 1500), 0);
}

/* The recorded bytes of a message, as an eavesdropper has them. */
static struct span record(uint8_t *out, const struct net_node *from,
    const struct net_node *to, uint64_t boot, uint64_t counter,
    const char *text)
{
	struct seal_header h = {
	    .from = from->id, .to = to->id, .boot = boot, .counter = counter};
	uint8_t nonce[SEAL_NONCE_LEN];
	struct seal_keys keys;
	struct seal_self self;

	assert_int_equal(mesh_self_make(&self, from->secret, from->public,
			     span_str(NET_TD), NULL),
	    E_OK);
	assert_int_equal(mesh_keys_make(&keys, &self, to->public, NULL), E_OK);
	randombytes_buf(nonce, sizeof(nonce));
	mesh_seal(out, &self, &keys, &h, nonce, span_str(text));
	return span_of(out, SEAL_OVERHEAD + strlen(text));
}

/* Wait until the node has seen count messages of all fates. */
static struct mesh_stats after(struct net_node *n, uint64_t count)
{
	uint64_t until = clock_mono_ms() + NET_WAIT_MS;
	struct mesh_stats s = {0};

	while (clock_mono_ms() < until) {
		s = net_stats(n);
		if (s.received + s.rejected + s.duplicates +
			s.receive_dropped >=
		    count)
			return s;
		usleep(1000);
	}
	fail_msg("%u messages did not arrive", (unsigned)count);
	return s;
}

static void replays_are_dropped_within_a_boot(void **state)
{
	struct net_node a, *b = &nodes[0];
	struct mesh_stats s;
	uint8_t bytes[128];
	struct span m;
	int fd;

	(void)state;
	net_node_init(&a, 2);
	assert_int_equal(
	    mesh_peer_set(b->mesh, a.id, a.public, SPAN_EMPTY, NULL), E_OK);
	fd = net_dial(b, MESH_MESSAGES);
	net_greet(fd, true);
	m = record(bytes, &a, b, 77, 1, "once");
	for (int i = 0; i < 10; i++)
		net_frame(fd, m);
	net_expect(b, 2, MESH_MESSAGES, "once");
	s = after(b, 10);
	assert_int_equal(s.received, 1);
	assert_int_equal(s.duplicates, 9);
	/* reordered is fine */
	net_frame(fd, record(bytes, &a, b, 77, 3, "third"));
	net_expect(b, 2, MESH_MESSAGES, "third");
	net_frame(fd, record(bytes, &a, b, 77, 2, "second"));
	net_expect(b, 2, MESH_MESSAGES, "second");
	assert_int_equal(net_drain(b, 20), 0);
	close(fd);
}

/* By design (Raft tolerates it): the receiver forgot when it restarted. */
static void replays_across_boots_are_accepted_once(void **state)
{
	struct net_node a, *b = &nodes[0];
	struct mesh_stats s;
	uint8_t bytes[128];
	struct span m;
	int fd;

	(void)state;
	net_node_init(&a, 2);
	m = record(bytes, &a, b, 77, 1, "old");
	for (int boot = 0; boot < 2; boot++) {
		assert_int_equal(
		    mesh_peer_set(b->mesh, a.id, a.public, SPAN_EMPTY, NULL),
		    E_OK);
		fd = net_dial(b, MESH_MESSAGES);
		net_greet(fd, true);
		net_frame(fd, m);
		net_frame(fd, m);
		net_expect(b, 2, MESH_MESSAGES, "old");
		s = after(b, 2);
		assert_int_equal(s.received, 1);
		assert_int_equal(s.duplicates, 1);
		close(fd);
		net_node_stop(b);
		net_node_start(b, NULL);
	}
}

static void forgeries_are_rejected_and_counted(void **state)
{
	struct net_node a, c, stranger, *b = &nodes[0];
	struct mesh_stats s;
	uint8_t bytes[128];
	struct span m;
	int fd;

	(void)state;
	net_node_init(&a, 2);
	net_node_init(&c, 3);
	net_node_init(&stranger, 4);
	assert_int_equal(
	    mesh_peer_set(b->mesh, a.id, a.public, SPAN_EMPTY, NULL), E_OK);
	assert_int_equal(
	    mesh_peer_set(b->mesh, c.id, c.public, SPAN_EMPTY, NULL), E_OK);
	fd = net_dial(b, MESH_MESSAGES);
	net_greet(fd, true);
	/* unknown, and unknown under a known name */
	net_frame(fd, record(bytes, &stranger, b, 1, 1, "x"));
	stranger.id = a.id;
	net_frame(fd, record(bytes, &stranger, b, 1, 1, "x"));
	/* a member under another's name */
	c.id = a.id;
	net_frame(fd, record(bytes, &c, b, 1, 1, "x"));
	/* for another node, cut, changed, empty */
	net_frame(fd, record(bytes, &a, &c, 1, 1, "x"));
	m = record(bytes, &a, b, 1, 1, "x");
	net_frame(fd, span_of(m.p, m.len - 1));
	bytes[m.len - 1] ^= 1;
	net_frame(fd, m);
	net_frame(fd, SPAN_EMPTY);
	s = after(b, 7);
	assert_int_equal(s.rejected, 7);
	assert_int_equal(s.received, 0);
	/* the connection is still good, and no counter was used up */
	net_frame(fd, record(bytes, &a, b, 1, 1, "genuine"));
	net_expect(b, 2, MESH_MESSAGES, "genuine");
	close(fd);
}

static void a_message_counts_on_its_own_channel_only(void **state)
{
	struct net_node a, *b = &nodes[0];
	uint8_t bytes[128];
	int fd;

	(void)state;
	net_node_init(&a, 2);
	assert_int_equal(
	    mesh_peer_set(b->mesh, a.id, a.public, SPAN_EMPTY, NULL), E_OK);
	fd = net_dial(b, MESH_SNAPSHOTS);
	net_greet(fd, true);
	net_frame(fd, record(bytes, &a, b, 1, 1, "x"));
	assert_int_equal(after(b, 1).rejected, 1);
	close(fd);
}

static void keys_and_peers_can_change(void **state)
{
	struct net_node other;
	uint8_t bytes[128];
	int fd;

	(void)state;
	net_meet_all(nodes, 2);
	/* node 2 is known by another key: neither side opens the other */
	net_node_init(&other, 9);
	other.id = 2;
	other.port = nodes[1].port;
	memcpy(other.ip, nodes[1].ip, sizeof(other.ip));
	net_meet(&nodes[0], &other);
	net_send(&nodes[0], 2, MESH_MESSAGES, "x");
	assert_int_equal(after(&nodes[1], 1).rejected, 1);
	net_send(&nodes[1], 1, MESH_MESSAGES, "x");
	assert_int_equal(after(&nodes[0], 1).rejected, 1);
	/* and back */
	net_meet(&nodes[0], &nodes[1]);
	net_send(&nodes[0], 2, MESH_MESSAGES, "good");
	net_expect(&nodes[1], 1, MESH_MESSAGES, "good");
	/* a removed peer is a stranger */
	mesh_peer_remove(nodes[0].mesh, 2);
	mesh_peer_remove(nodes[0].mesh, 2);
	assert_int_equal(
	    mesh_send(nodes[0].mesh, 2, MESH_MESSAGES, span_str("x")),
	    E_NOTFOUND);
	fd = net_dial(&nodes[0], MESH_MESSAGES);
	net_greet(fd, true);
	net_frame(fd, record(bytes, &nodes[1], &nodes[0], 1, 1, "x"));
	assert_int_equal(after(&nodes[0], 2).rejected, 2);
	close(fd);
	/* it comes back on the parked link; its counters went on */
	net_meet(&nodes[0], &nodes[1]);
	net_connected(&nodes[0], 2);
	net_send(&nodes[0], 2, MESH_MESSAGES, "welcome");
	net_expect(&nodes[1], 1, MESH_MESSAGES, "welcome");
}

static void an_address_can_change_and_change_back(void **state)
{
	struct net_node moved;

	(void)state;
	net_meet_all(nodes, 2);
	for (int i = 0; i < 3; i++) {
		/* node 2 starts again somewhere else */
		moved = nodes[1];
		net_node_init(&nodes[1], 2);
		nodes[1].mesh = moved.mesh;
		net_node_stop(&nodes[1]);
		net_node_start(&nodes[1], NULL);
		net_meet(&nodes[0], &nodes[1]);
		net_meet(&nodes[1], &nodes[0]);
		net_connected(&nodes[0], 2);
		net_deliver(&nodes[0], &nodes[1], "there");
	}
	/* and once more where it was before */
	net_node_stop(&nodes[1]);
	nodes[1].port = moved.port;
	net_node_start(&nodes[1], NULL);
	net_meet(&nodes[0], &nodes[1]);
	net_connected(&nodes[0], 2);
	net_meet(&nodes[1], &nodes[0]);
	net_deliver(&nodes[0], &nodes[1], "here");
}

static void bad_peers_are_refused(void **state)
{
	static const struct {
		const char *why, *address;
		enum code want;
	} rows[] = {
	    {"a name", "node-2.example.:7700", E_OK},
	    {"IPv6", "[::1]:7700", E_OK},
	    {"no port", "127.0.0.1", E_INVAL},
	    {"no host", ":7700", E_INVAL},
	    {"port 0", "127.0.0.1:0", E_INVAL},
	    {"no port for chunks", "127.0.0.1:65535", E_INVAL},
	    {"a port too long", "127.0.0.1:000080", E_INVAL},
	    {"an URL", "tcp://127.0.0.1:80", E_INVAL},
	    {"a space", "127.0.0.1 :80", E_INVAL},
	    {"words after it", "127.0.0.1:80/x", E_INVAL},
	};
	struct net_node a;
	char longest[300];

	(void)state;
	net_node_init(&a, 2);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(mesh_peer_set(nodes[0].mesh, 2, a.public,
				     span_str(rows[i].address), NULL),
		    rows[i].want);
	memset(longest, 'a', sizeof(longest));
	memcpy(longest + sizeof(longest) - 5, ":80", 4);
	assert_int_equal(
	    mesh_peer_set(nodes[0].mesh, 2, a.public, span_str(longest), NULL),
	    E_INVAL);
	assert_int_equal(
	    mesh_peer_set(nodes[0].mesh, 0, a.public, SPAN_EMPTY, NULL),
	    E_INVAL);
	assert_int_equal(
	    mesh_peer_set(nodes[0].mesh, 3, nodes[0].public, SPAN_EMPTY, NULL),
	    E_INVAL);
}

static void a_bad_start_is_refused(void **state)
{
	struct mesh_config c = {.listen_ip = nodes[0].ip,
	    .port = nodes[0].port,
	    .trust_domain = span_str(NET_TD)};
	struct mesh *m = NULL;

	(void)state;
	memcpy(c.secret, nodes[0].secret, sizeof(c.secret));
	memcpy(c.public, nodes[0].public, sizeof(c.public));
	/* taken, not ours, not an address, wrong key, no port */
	assert_int_equal(mesh_start(&m, &c, NULL), E_CONFLICT);
	c.listen_ip = "192.0.2.1";
	assert_int_equal(mesh_start(&m, &c, NULL), E_CONFLICT);
	c.listen_ip = "no such address";
	assert_int_not_equal(mesh_start(&m, &c, NULL), E_OK);
	c.listen_ip = nodes[0].ip;
	c.public[0] ^= 1;
	assert_int_equal(mesh_start(&m, &c, NULL), E_INVAL);
	c.port = 0;
	assert_int_equal(mesh_start(&m, &c, NULL), E_INVAL);
	assert_null(m);
	mesh_stop(NULL);
}

static void a_node_without_an_id_is_silent_until_it_has_one(void **state)
{
	(void)state;
	net_meet_all(nodes, 2);
	mesh_set_self(nodes[1].mesh, 0);
	assert_int_equal(
	    mesh_send(nodes[1].mesh, 1, MESH_MESSAGES, span_str("x")),
	    E_NOTFOUND);
	net_send(&nodes[0], 2, MESH_MESSAGES, "x");
	assert_int_equal(after(&nodes[1], 1).rejected, 1);
	mesh_set_self(nodes[1].mesh, 2);
	net_send(&nodes[0], 2, MESH_MESSAGES, "now");
	net_expect(&nodes[1], 1, MESH_MESSAGES, "now");
}

static void the_queue_is_bounded(void **state)
{
	struct mesh_config limits = {.queue_count = 10};
	struct mesh_stats s;

	(void)state;
	net_node_stop(&nodes[1]);
	net_node_start(&nodes[1], &limits);
	net_meet_all(nodes, 2);
	net_drain(&nodes[1], 0);
	for (uint64_t i = 1; i <= 25; i++) {
		net_send(&nodes[0], 2, MESH_MESSAGES, "x");
		after(&nodes[1], i);
	}
	s = net_stats(&nodes[1]);
	assert_int_equal(s.received, 10);
	assert_int_equal(s.receive_dropped, 15);
	/* each channel has its own bound */
	net_send(&nodes[0], 2, MESH_SNAPSHOTS, "chunk");
	assert_int_equal(after(&nodes[1], 26).received, 11);
	assert_int_equal(net_drain(&nodes[1], 0), 11);
	net_send(&nodes[0], 2, MESH_MESSAGES, "room");
	net_expect(&nodes[1], 1, MESH_MESSAGES, "room");
}

/* Node 3 accepts the connections and never reads. */
static void a_stalled_peer_does_not_slow_another(void **state)
{
	enum { ROUNDS = 3000 };
	uint8_t bulk[64 << 10] = {0};
	struct mesh_event ev;
	struct net_node stuck;
	bool full = false;
	int listener, fd;

	(void)state;
	net_node_init(&stuck, 3);
	listener = net_listen(&stuck, MESH_MESSAGES);
	net_meet_all(nodes, 2);
	net_meet(&nodes[0], &stuck);
	fd = accept(listener, NULL, NULL);
	net_greet(fd, false);
	do
		net_event_of(&nodes[0], MESH_REACHABLE, &ev);
	while (ev.peer != 3);
	for (int i = 0; i < ROUNDS; i++) {
		full |= mesh_send(nodes[0].mesh, 3, MESH_MESSAGES,
			    span_of(bulk, sizeof(bulk))) == E_EXHAUSTED;
		net_send(&nodes[0], 2, MESH_MESSAGES, "on time");
		net_expect(&nodes[1], 1, MESH_MESSAGES, "on time");
		net_send(&nodes[1], 1, MESH_MESSAGES, "heard");
	}
	assert_true(full);
	net_event_of(&nodes[0], MESH_UNREACHABLE, &ev);
	assert_int_equal(ev.peer, 3);
	assert_int_equal(net_stats(&nodes[1]).received, ROUNDS);
	close(fd);
	close(listener);
}

/* Without a word from the peer its connection is not trusted for long: after a
 * partition the old one would wait for TCP. */
static void a_silent_peer_is_dialled_again(void **state)
{
	uint64_t until = clock_mono_ms() + NET_WAIT_MS;
	enum code rc = E_UNAVAILABLE;
	struct mesh_event ev;
	struct net_node mute;
	int listener, fd;

	(void)state;
	net_node_init(&mute, 3);
	listener = net_listen(&mute, MESH_MESSAGES);
	net_meet(&nodes[0], &mute);
	fd = accept(listener, NULL, NULL);
	net_greet(fd, false);
	net_event_of(&nodes[0], MESH_REACHABLE, &ev);
	do {
		usleep(50000);
		rc = mesh_send(
		    nodes[0].mesh, 3, MESH_MESSAGES, span_str("hello?"));
	} while (rc == E_OK && clock_mono_ms() < until);
	assert_int_equal(rc, E_UNAVAILABLE);
	net_event_of(&nodes[0], MESH_UNREACHABLE, &ev);
	close(fd);
	fd = accept(listener, NULL, NULL);
	net_greet(fd, false);
	net_event_of(&nodes[0], MESH_REACHABLE, &ev);
	net_send(&nodes[0], 3, MESH_MESSAGES, "hello again");
	close(fd);
	close(listener);
}

/* A false PULL peer that sends instead of reading gets nowhere. */
static void a_hostile_listener_is_cut_off(void **state)
{
	uint8_t bytes[4096] = {0};
	struct mesh_event ev;
	struct net_node bad;
	int listener, fd;

	(void)state;
	net_node_init(&bad, 3);
	listener = net_listen(&bad, MESH_MESSAGES);
	net_meet(&nodes[0], &bad);
	for (int i = 0; i < 3; i++) {
		fd = accept(listener, NULL, NULL);
		net_greet(fd, false);
		net_event_of(&nodes[0], MESH_REACHABLE, &ev);
		put_u64be(bytes, UINT64_MAX >> i);
		assert_true(send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0);
		net_event_of(&nodes[0], MESH_UNREACHABLE, &ev);
		assert_int_equal(ev.peer, 3);
		close(fd);
	}
	close(listener);
}

/* Two connections more than the backlog takes: from then on a SYN is dropped,
 * as by a firewall or a host that is gone. */
static void fill_backlog(const struct net_node *n, int listener, int fds[3])
{
	struct sockaddr_in a = {
	    .sin_family = AF_INET, .sin_port = htons(n->port)};

	assert_int_equal(listen(listener, 0), 0);
	assert_int_equal(inet_pton(AF_INET, n->ip, &a.sin_addr), 1);
	for (int i = 0; i < 3; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		assert_true(fds[i] >= 0);
		(void)connect(fds[i], (struct sockaddr *)&a, sizeof(a));
	}
}

/* Whoever is still there has sent its greeting. */
static bool is_greeted(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte;

	return poll(&p, 1, 500) == 1 && recv(fd, &byte, 1, MSG_PEEK) == 1;
}

static void a_peer_that_swallows_dials_is_dialled_again(void **state)
{
	struct mesh_event ev;
	struct net_node hole;
	int listener, fd, fds[3];

	(void)state;
	net_node_init(&hole, 3);
	listener = net_listen(&hole, MESH_MESSAGES);
	fill_backlog(&hole, listener, fds);
	net_meet(&nodes[0], &hole);
	assert_int_equal(net_drain(&nodes[0], 3500), 0); /* some dials */
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	assert_int_equal(listen(listener, 16), 0);
	do { /* what was in the backlog comes first */
		fd = accept(listener, NULL, NULL);
		assert_true(fd >= 0);
		if (is_greeted(fd))
			break;
		close(fd);
	} while (true);
	net_greet(fd, false);
	net_event_of(&nodes[0], MESH_REACHABLE, &ev);
	assert_int_equal(ev.peer, 3);
	close(fd);
	close(listener);
}

#define TEST(name, before) cmocka_unit_test_setup_teardown(name, before, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(two_nodes_talk_on_both_channels, two),
	    TEST(three_nodes_hear_each_other, three),
	    TEST(chunks_of_256_kib_arrive_whole, two),
	    TEST(sizes_are_bounded_on_both_sides, two),
	    TEST(a_stopped_peer_is_unreachable_and_then_returns, two),
	    TEST(a_peer_that_ended_is_gone_and_one_that_never_came_is_not, two),
	    TEST(replays_are_dropped_within_a_boot, one),
	    TEST(replays_across_boots_are_accepted_once, one),
	    TEST(forgeries_are_rejected_and_counted, one),
	    TEST(a_message_counts_on_its_own_channel_only, one),
	    TEST(keys_and_peers_can_change, two),
	    TEST(an_address_can_change_and_change_back, two),
	    TEST(bad_peers_are_refused, one),
	    TEST(a_bad_start_is_refused, one),
	    TEST(a_node_without_an_id_is_silent_until_it_has_one, two),
	    TEST(the_queue_is_bounded, two),
	    TEST(a_stalled_peer_does_not_slow_another, two),
	    TEST(a_silent_peer_is_dialled_again, one),
	    TEST(a_hostile_listener_is_cut_off, one),
	    TEST(a_peer_that_swallows_dials_is_dialled_again, one),
	};

	return cmocka_run_group_tests(tests, NULL, net_end);
}
