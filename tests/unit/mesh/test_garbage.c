/* Strangers with garbage on many connections: no message of theirs is
 * delivered, none of ours is lost, the links stay up, memory comes back. */
#include <dirent.h>
#include <malloc.h>
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
#include <sodium.h>

#include "base/clock.h"
#include "net.h"

#define CONNECTIONS 40 /* of each kind, half of them on each channel */
#define ROUNDS 5
#define SLACK (8 << 10) /* bytes, where a round has 280 connections */

static uint32_t drawn; /* the garbage is the same in each run */

static void random_fill(uint8_t *p, size_t len)
{
	uint8_t seed[randombytes_SEEDBYTES] = {7};

	put_u32be(seed, ++drawn);
	randombytes_buf_deterministic(p, len, seed);
}

/* Errors do not matter here: the node may have hung up. */
static void spit(int fd, const void *p, size_t len)
{
	if (send(fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
}

static void random_bytes_only(int fd)
{
	uint8_t b[512];

	random_fill(b, sizeof(b));
	spit(fd, b, sizeof(b));
}

static void half_a_greeting(int fd)
{
	spit(fd, "\0SP\0", 4);
}

static void a_foreign_greeting(int fd)
{
	spit(fd, "\0SP\0\0\x10\0\0garbage", 15); /* a PAIR socket */
}

static void silence(int fd)
{
	(void)fd;
}

static void a_frame_without_end(int fd)
{
	uint8_t b[8];

	net_greet(fd, true);
	put_u64be(b, 16U << 20); /* within the bound, and never sent */
	spit(fd, b, sizeof(b));
	random_bytes_only(fd);
}

static void a_frame_too_long(int fd)
{
	uint8_t b[8];

	net_greet(fd, true);
	put_u64be(b, UINT64_MAX);
	spit(fd, b, sizeof(b));
	random_bytes_only(fd);
}

static void frames_of_garbage(int fd)
{
	uint8_t b[300];

	net_greet(fd, true);
	for (size_t len = 0; len < sizeof(b); len += 60) {
		random_fill(b, sizeof(b));
		b[0] = 1; /* the right version */
		b[1] = 0;
		net_frame(fd, span_of(b, len));
	}
}

typedef void stranger(int fd);
static stranger *const strangers[] = {random_bytes_only, half_a_greeting,
    a_foreign_greeting, silence, a_frame_without_end, a_frame_too_long,
    frames_of_garbage};
#define KINDS (sizeof(strangers) / sizeof(strangers[0]))

static struct net_node nodes[2];
static uint64_t talked;

/* A message each way; anything but these two is a failure. */
static void talk(void)
{
	for (int i = 0; i < 2; i++) {
		struct mesh_event ev;
		char text[32];

		snprintf(text, sizeof(text), "message %u", (unsigned)talked);
		net_send(&nodes[i], nodes[!i].id, MESH_MESSAGES, text);
		net_event(&nodes[!i], &ev);
		assert_int_equal(ev.kind, MESH_MESSAGE);
		assert_int_equal(ev.peer, nodes[i].id);
		assert_true(span_eq_str(buf_span(&ev.payload), text));
		buf_free(&ev.payload);
	}
	talked++;
}

static void one_round(void)
{
	int fds[CONNECTIONS * KINDS];
	size_t n = 0;

	for (size_t i = 0; i < CONNECTIONS; i++)
		for (size_t k = 0; k < KINDS; k++) {
			fds[n] = net_dial(&nodes[0],
			    i % 2 == 0 ? MESH_MESSAGES : MESH_SNAPSHOTS);
			assert_true(fds[n] >= 0);
			strangers[k](fds[n]);
			n++;
			talk();
		}
	while (n > 0)
		close(fds[--n]);
	talk();
}

static size_t in_use(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static size_t descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* The node is rid of its strangers when it has no more descriptors than
 * before, and of what they cost when it has the memory back. */
static void settle(size_t fds, size_t bytes)
{
	uint64_t until = clock_mono_ms() + NET_WAIT_MS;

	while (descriptors() > fds || in_use() > bytes) {
		if (clock_mono_ms() > until)
			fail_msg("%zu descriptors and %zu bytes left, "
				 "%zu and %zu before",
			    descriptors(), in_use(), fds, bytes);
		talk();
		usleep(5000);
	}
}

static void garbage_neither_enters_nor_stays(void **state)
{
	size_t fds, bytes;

	(void)state;
	for (int i = 0; i < 2; i++) {
		net_node_init(&nodes[i], (uint64_t)i + 11);
		net_node_start(&nodes[i], NULL);
	}
	net_meet_all(nodes, 2);
	net_drain(&nodes[0], 0);
	net_drain(&nodes[1], 0);
	talk();
	fds = descriptors();
	bytes = in_use();
	for (int i = 0; i < ROUNDS; i++) {
		one_round();
		settle(fds, bytes + SLACK);
	}
	assert_int_equal(net_stats(&nodes[0]).received, talked);
	assert_int_equal(net_stats(&nodes[1]).received, talked);
	/* a frame may be lost with its connection */
	assert_in_range(net_stats(&nodes[0]).rejected, ROUNDS * CONNECTIONS * 4,
	    ROUNDS * CONNECTIONS * 5);
	assert_int_equal(net_stats(&nodes[0]).duplicates, 0);
	net_node_stop(&nodes[0]);
	net_node_stop(&nodes[1]);
}

/* malloc's caches for each thread count as in use: without them the count is
 * exact.  They can be turned off before a program starts only. */
static void without_thread_caches(char *argv[])
{
	static const char tunables[] = "glibc.malloc.tcache_count=0";

	if (getenv("GLIBC_TUNABLES") != NULL)
		return;
	if (setenv("GLIBC_TUNABLES", tunables, 1) == 0)
		execv("/proc/self/exe", argv);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(garbage_neither_enters_nor_stays),
	};

	(void)argc;
	without_thread_caches(argv);
	return cmocka_run_group_tests(tests, NULL, net_end);
}
