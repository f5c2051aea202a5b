/* floor: what no design can go below here: one round trip over loopback TCP,
 * and one durable write of a record's size.  Medians, as one JSON object.
 * usage: floor FOLDER (where the nodes keep their data) */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define ROUNDS 400
#define RECORD 512

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t median(uint64_t *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_size);
	return v[n / 2];
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

/* ---- A round trip ---- */

static void *echo(void *arg)
{
	int fd = accept(*(int *)arg, NULL, NULL);
	char c[RECORD];
	ssize_t n;

	while ((n = recv(fd, c, sizeof(c), 0)) > 0)
		if (send(fd, c, (size_t)n, 0) != n)
			break;
	close(fd);
	return NULL;
}

static int dial_echo(pthread_t *thread, int *server)
{
	struct sockaddr_in a = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	const int on = 1;
	int fd;

	*server = socket(AF_INET, SOCK_STREAM, 0);
	must(bind(*server, (struct sockaddr *)&a, len) == 0 &&
		 listen(*server, 1) == 0 &&
		 getsockname(*server, (struct sockaddr *)&a, &len) == 0 &&
		 pthread_create(thread, NULL, echo, server) == 0,
	    "listening");
	fd = socket(AF_INET, SOCK_STREAM, 0);
	must(connect(fd, (struct sockaddr *)&a, len) == 0, "connecting");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static uint64_t round_trip_us(void)
{
	static uint64_t took[ROUNDS];
	char record[RECORD] = "";
	pthread_t thread;
	int server, fd = dial_echo(&thread, &server);

	for (size_t i = 0; i < ROUNDS; i++) {
		uint64_t begin = clock_mono_us();

		must(
		    send(fd, record, sizeof(record), 0) == RECORD &&
			recv(fd, record, sizeof(record), MSG_WAITALL) == RECORD,
		    "a round trip");
		took[i] = clock_mono_us() - begin;
	}
	close(fd);
	pthread_join(thread, NULL);
	close(server);
	return median(took, ROUNDS);
}

/* ---- A durable write ---- */

static uint64_t sync_us(const char *dir)
{
	static uint64_t took[ROUNDS];
	char path[4096], page[4096] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/floor", dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	must(fd >= 0, path);
	for (size_t i = 0; i < ROUNDS; i++) {
		uint64_t begin = clock_mono_us();

		must(write(fd, page, sizeof(page)) == sizeof(page) &&
			 fdatasync(fd) == 0,
		    path);
		took[i] = clock_mono_us() - begin;
	}
	close(fd);
	unlink(path);
	return median(took, ROUNDS);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fputs("usage: floor FOLDER\n", stderr);
		return 2;
	}
	printf("{\"rtt_us\":%llu,\"fsync_us\":%llu}\n",
	    (unsigned long long)round_trip_us(),
	    (unsigned long long)sync_us(argv[1]));
	return 0;
}
