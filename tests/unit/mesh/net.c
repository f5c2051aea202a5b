#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <nng/nng.h>
#include <poll.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

#ifdef QUORATE_SANITIZED
/* nng 1.5.2 loses a listener that closes while a peer is still greeting it.
 * A node closes one only as it ends; what a running node keeps is measured in
 * test_garbage. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libnng.so\n";
}

/* nng counts references with atomics that TSan, which did not compile it, does
 * not see: the last one destroys a mutex that another thread has used. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:pthread_mutex_destroy\n";
}
#endif

static struct sockaddr_in address_of(const char *ip, int port)
{
	struct sockaddr_in a = {
	    .sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	assert_int_equal(inet_pton(AF_INET, ip, &a.sin_addr), 1);
	return a;
}

static int bound(const char *ip, int port)
{
	struct sockaddr_in a = address_of(ip, port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* A port P such that P + 1 is free as well. */
static uint16_t free_port(const char *ip)
{
	for (int tries = 0; tries < 100; tries++) {
		struct sockaddr_in a;
		socklen_t len = sizeof(a);
		int fd = bound(ip, 0), next, port;

		assert_int_equal(
		    getsockname(fd, (struct sockaddr *)&a, &len), 0);
		port = ntohs(a.sin_port);
		next = port < 65000 ? bound(ip, port + 1) : -1;
		close(fd);
		if (next < 0)
			continue;
		close(next);
		return (uint16_t)port;
	}
	fail_msg("no two free ports on %s", ip);
	return 0;
}

void net_node_init(struct net_node *n, uint64_t id)
{
	assert_true(sodium_init() >= 0);
	*n = (struct net_node){.id = id};
	memset(n->secret, (int)id, sizeof(n->secret));
	assert_int_equal(crypto_scalarmult_base(n->public, n->secret), 0);
	snprintf(n->ip, sizeof(n->ip), "127.0.7.%u", (unsigned)(uint8_t)id);
	n->port = free_port(n->ip);
}

void net_node_start(struct net_node *n, const struct mesh_config *limits)
{
	struct mesh_config c = {0};
	struct err e = {0};

	if (limits != NULL)
		c = *limits;
	c.listen_ip = n->ip;
	c.port = n->port;
	c.trust_domain = span_str(NET_TD);
	c.self = n->id;
	memcpy(c.secret, n->secret, sizeof(c.secret));
	memcpy(c.public, n->public, sizeof(c.public));
	if (mesh_start(&n->mesh, &c, &e) != E_OK)
		fail_msg("%s", e.text);
}

void net_node_stop(struct net_node *n)
{
	mesh_stop(n->mesh);
	n->mesh = NULL;
}

void net_meet(struct net_node *n, const struct net_node *other)
{
	char address[32];
	struct err e = {0};

	snprintf(address, sizeof(address), "%s:%u", other->ip, other->port);
	if (mesh_peer_set(n->mesh, other->id, other->public, span_str(address),
		&e) != E_OK)
		fail_msg("%s", e.text);
}

void net_connected(struct net_node *n, uint64_t peer)
{
	uint64_t until = clock_mono_ms() + NET_WAIT_MS;
	struct mesh_peer_status s;

	do {
		struct pollfd p = {.fd = mesh_fd(n->mesh), .events = POLLIN};
		struct mesh_event ev;

		assert_true(mesh_peer_status(n->mesh, peer, &s));
		if (s.connected[0] && s.connected[1])
			return;
		poll(&p, 1, 10);
		if (mesh_receive(n->mesh, &ev))
			buf_free(&ev.payload);
	} while (clock_mono_ms() < until);
	fail_msg(
	    "node %u did not reach node %u", (unsigned)n->id, (unsigned)peer);
}

void net_meet_all(struct net_node *nodes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < count; k++)
			if (i != k)
				net_meet(&nodes[i], &nodes[k]);
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < count; k++)
			if (i != k)
				net_connected(&nodes[i], nodes[k].id);
}

void net_event(struct net_node *n, struct mesh_event *out)
{
	struct pollfd p = {.fd = mesh_fd(n->mesh), .events = POLLIN};
	uint64_t until = clock_mono_ms() + NET_WAIT_MS;

	while (clock_mono_ms() < until) {
		if (mesh_receive(n->mesh, out))
			return;
		poll(&p, 1, 1000);
	}
	fail_msg("node %u waits for an event", (unsigned)n->id);
}

void net_event_of(
    struct net_node *n, enum mesh_event_kind kind, struct mesh_event *out)
{
	for (;;) {
		net_event(n, out);
		if (out->kind == kind)
			return;
		buf_free(&out->payload);
	}
}

void net_expect(struct net_node *n, uint64_t from, enum mesh_channel channel,
    const char *text)
{
	struct mesh_event ev;

	net_event_of(n, MESH_MESSAGE, &ev);
	assert_int_equal(ev.peer, from);
	assert_int_equal(ev.channel, channel);
	assert_true(span_eq_str(buf_span(&ev.payload), text));
	buf_free(&ev.payload);
}

size_t net_drain(struct net_node *n, int ms)
{
	uint64_t now, until = clock_mono_ms() + (uint64_t)ms;
	struct mesh_event ev;
	size_t count = 0;

	do {
		struct pollfd p = {.fd = mesh_fd(n->mesh), .events = POLLIN};

		while (mesh_receive(n->mesh, &ev)) {
			count += ev.kind == MESH_MESSAGE;
			buf_free(&ev.payload);
		}
		now = clock_mono_ms();
		if (now < until)
			poll(&p, 1, (int)(until - now));
	} while (now < until);
	return count;
}

void net_send(struct net_node *n, uint64_t to, enum mesh_channel channel,
    const char *text)
{
	assert_int_equal(mesh_send(n->mesh, to, channel, span_str(text)), E_OK);
}

void net_deliver(struct net_node *from, struct net_node *to, const char *text)
{
	uint64_t until = clock_mono_ms() + NET_WAIT_MS;

	do {
		enum code rc = mesh_send(
		    from->mesh, to->id, MESH_MESSAGES, span_str(text));

		assert_true(rc == E_OK || rc == E_UNAVAILABLE);
		if (net_drain(to, 100) > 0)
			return;
	} while (clock_mono_ms() < until);
	fail_msg("node %u does not hear node %u", (unsigned)to->id,
	    (unsigned)from->id);
}

struct mesh_stats net_stats(struct net_node *n)
{
	struct mesh_stats s;

	mesh_stats(n->mesh, &s);
	return s;
}

int net_dial(const struct net_node *n, enum mesh_channel channel)
{
	struct sockaddr_in a = address_of(n->ip, n->port + (int)channel);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

int net_listen(const struct net_node *n, enum mesh_channel channel)
{
	int fd = bound(n->ip, n->port + (int)channel);

	assert_true(fd >= 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static void write_all(int fd, const void *p, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = send(
		    fd, (const uint8_t *)p + done, len - done, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		assert_true(n > 0);
		done += (size_t)n;
	}
}

void net_greet(int fd, bool push)
{
	/* NUL S P, version 0, protocol 5.0 (PUSH) or 5.1 (PULL), reserved */
	uint8_t mine[8] = {0, 'S', 'P', 0, 0, push ? 0x50 : 0x51, 0, 0};
	uint8_t theirs[8] = {0};

	write_all(fd, mine, sizeof(mine));
	assert_int_equal(recv(fd, theirs, sizeof(theirs), MSG_WAITALL), 8);
	assert_int_equal(theirs[5], push ? 0x51 : 0x50);
}

void net_frame(int fd, struct span body)
{
	uint8_t len[8];

	put_u64be(len, body.len);
	write_all(fd, len, sizeof(len));
	write_all(fd, body.p, body.len);
}

int net_end(void **state)
{
	(void)state;
	nng_fini();
	return 0;
}
