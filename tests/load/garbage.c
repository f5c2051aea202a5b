/* quorate-garbage: what nobody should send, to a node's ports.  Seeded; each
 * connection is one of the kinds below, and its first bytes are right more
 * often than chance would have it, so that later parsers get their share.
 * Prints what it did; exit status 1 if nearly nothing could be delivered. */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#define TARGETS_MAX 64
#define THREADS 8
#define CHUNK 65536
#define HELD_MAX 4096

enum port { MESH, TLS, HTTP };

struct target {
	enum port port;
	char host[256], service[8];
};

static struct target targets[TARGETS_MAX];
static size_t targets_n;
static uint64_t seed = 1, connections = 2000, held;
static SSL_CTX *tls;
static atomic_uint_fast64_t next, delivered, sent_bytes, unreachable;
static int held_fds[HELD_MAX];

/* ---- Seeded bytes (splitmix64) ---- */

static uint64_t draw(uint64_t *s)
{
	uint64_t z = (*s += 0x9e3779b97f4a7c15U);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

static size_t below(uint64_t *s, size_t n)
{
	return (size_t)(draw(s) % n);
}

static size_t noise(uint8_t *out, uint64_t *s, size_t max)
{
	size_t n = 1 + below(s, max);

	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)draw(s);
	return n;
}

/* ---- Connections ---- */

static int dial(const struct target *t)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	const struct timeval limit = {.tv_usec = 300000};
	struct addrinfo *a = NULL;
	int fd = -1;

	if (getaddrinfo(t->host, t->service, &hints, &a) != 0)
		return -1;
	fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		if (connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(a);
	return fd;
}

static void send_raw(int fd, const void *p, size_t n)
{
	ssize_t done = send(fd, p, n, MSG_NOSIGNAL);

	if (done > 0)
		sent_bytes += (uint64_t)done;
}

static void drain(int fd)
{
	uint8_t in[4096];

	for (int i = 0; i < 16 && recv(fd, in, sizeof(in), 0) > 0; i++)
		;
}

/* ---- Kinds ---- */

/* nng's TCP: 0 'S' 'P' 0, the protocol's number, 0 0, then frames with an
 * eight-byte length; PUSH is 0x50, PULL 0x51. */
static size_t mesh_hello(uint8_t *out, uint64_t *s)
{
	const uint8_t hello[8] = {
	    0, 'S', 'P', 0, 0, below(s, 8) == 0 ? 0x51 : 0x50, 0, 0};

	memcpy(out, hello, sizeof(hello));
	return sizeof(hello);
}

static size_t mesh_frame(uint8_t *out, uint64_t *s)
{
	size_t n = noise(out + 8, s, CHUNK / 4);
	uint64_t len = n;

	if (below(s, 6) == 0)
		len = draw(s); /* announces what never comes */
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(len >> (56 - 8 * i));
	if (below(s, 2) == 0)
		out[8] = 1; /* the version of a sealed message */
	return 8 + n;
}

static void to_mesh(int fd, uint64_t *s, uint8_t *chunk)
{
	size_t n = mesh_hello(chunk, s);

	for (size_t i = below(s, 4); i < 4; i++)
		n += mesh_frame(chunk + n, s);
	send_raw(fd, chunk, n);
}

/* A frame's header (RFC 9113 §4.1) that is sometimes right. */
static size_t h2_frame(uint8_t *out, uint64_t *s)
{
	size_t n = noise(out + 9, s, 600);
	size_t says = below(s, 8) == 0 ? below(s, 1 << 24) : n;

	out[0] = (uint8_t)(says >> 16);
	out[1] = (uint8_t)(says >> 8);
	out[2] = (uint8_t)says;
	out[3] = (uint8_t)below(s, 12);
	out[4] = (uint8_t)draw(s);
	memset(out + 5, 0, 3);
	out[8] = (uint8_t)below(s, 6);
	return 9 + n;
}

static size_t h2_noise(uint8_t *out, uint64_t *s)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	/* an empty SETTINGS frame follows */
	size_t n = sizeof(preface) - 1;

	memcpy(out, preface, n);
	memset(out + n, 0, 9);
	out[n + 3] = 4;
	n += 9;
	for (size_t i = below(s, 20); i < 20; i++)
		n += h2_frame(out + n, s);
	return n;
}

static size_t http_noise(uint8_t *out, uint64_t *s)
{
	static const char *const starts[] = {"GET / HTTP/1.1\r\n",
	    "POST /v1/join HTTP/1.1\r\nContent-Type: application/json\r\n"
	    "Content-Length: 99999999999\r\n\r\n",
	    "POST /v1/admin HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
	    "GET /v1/certs?after=-1&limit=1e9 HTTP/1.0\r\n\r\n",
	    "GET /../../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
	    "OPTIONS * HTTP/1.1\r\nHost:\r\nX: ", "GET /metrics", ""};
	const char *start = starts[below(s, 8)];
	size_t n = strlen(start);

	memcpy(out, start, n);
	return n + noise(out + n, s, CHUNK / 2);
}

static void inside_tls(int fd, uint64_t *s, uint8_t *chunk)
{
	static const unsigned char h2[] = "\2h2", http[] = "\10http/1.1";
	bool grpc = below(s, 2) == 0;
	SSL *ssl = SSL_new(tls);
	size_t n;

	SSL_set_fd(ssl, fd);
	SSL_set_alpn_protos(ssl, grpc ? h2 : http,
	    (unsigned)(grpc ? sizeof(h2) : sizeof(http)) - 1);
	if (SSL_connect(ssl) == 1) {
		switch (below(s, 3)) {
		case 0: n = noise(chunk, s, CHUNK); break;
		case 1: n = http_noise(chunk, s); break;
		default: n = h2_noise(chunk, s); break;
		}
		if (SSL_write(ssl, chunk, (int)n) > 0)
			sent_bytes += n;
		for (int i = 0; i < 4; i++)
			if (SSL_read(ssl, chunk, CHUNK) <= 0)
				break;
	}
	ERR_clear_error();
	SSL_free(ssl);
}

static void to_tls(int fd, uint64_t *s, uint8_t *chunk)
{
	/* a ClientHello's record header, and not much of one behind it */
	static const uint8_t record[] = {22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3};
	size_t n = sizeof(record);

	if (below(s, 3) > 0) {
		inside_tls(fd, s, chunk);
		return;
	}
	memcpy(chunk, record, n);
	send_raw(fd, chunk, n + noise(chunk + n, s, 400));
}

static void bother(const struct target *t, uint64_t *s, uint8_t *chunk)
{
	int fd = dial(t);

	if (fd < 0) {
		unreachable++;
		return;
	}
	if (below(s, 4) == 0)
		send_raw(fd, chunk, noise(chunk, s, CHUNK));
	else if (t->port == MESH)
		to_mesh(fd, s, chunk);
	else if (t->port == TLS)
		to_tls(fd, s, chunk);
	else
		send_raw(fd, chunk, http_noise(chunk, s));
	if (below(s, 2) == 0)
		shutdown(fd, SHUT_WR);
	if (below(s, 2) == 0)
		drain(fd);
	close(fd);
	delivered++;
}

/* ---- The whole ---- */

static void *work(void *arg)
{
	uint8_t *chunk = malloc((size_t)2 * CHUNK);
	uint64_t i;

	(void)arg;
	while (chunk != NULL && (i = next++) < connections) {
		uint64_t s = seed * 1000003 + i;

		bother(&targets[below(&s, targets_n)], &s, chunk);
	}
	free(chunk);
	return NULL;
}

static bool take_target(const char *text)
{
	static const struct {
		const char *name;
		enum port port;
	} kinds[] = {{"mesh=", MESH}, {"tls=", TLS}, {"http=", HTTP}};
	struct target *t = &targets[targets_n];
	const char *colon = strrchr(text, ':');

	for (size_t i = 0; colon != NULL && i < 3; i++) {
		size_t n = strlen(kinds[i].name);
		size_t host = (size_t)(colon - text) - n;

		if (strncmp(text, kinds[i].name, n) != 0)
			continue;
		if (targets_n == TARGETS_MAX || host >= sizeof(t->host) ||
		    strlen(colon + 1) >= sizeof(t->service))
			return false;
		t->port = kinds[i].port;
		memcpy(t->host, text + n, host);
		memcpy(t->service, colon + 1, strlen(colon));
		targets_n++;
		return true;
	}
	return false;
}

static bool take_options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:s:k:")) != -1) {
		uint64_t v = c == '?' ? 0 : strtoull(optarg, NULL, 10);

		switch (c) {
		case 'n': connections = v; break;
		case 's': seed = v; break;
		case 'k': held = v; break;
		default: return false;
		}
	}
	for (; optind < argc; optind++)
		if (!take_target(argv[optind]))
			return false;
	return targets_n > 0 && connections <= 1000000 && held <= HELD_MAX;
}

/* Some connect and say nothing for as long as this runs. */
static void hold(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	for (uint64_t i = 0; i < held; i++)
		held_fds[i] = dial(&targets[i % targets_n]);
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	if (!take_options(argc, argv)) {
		fputs("usage: quorate-garbage [-n CONNECTIONS] [-s SEED] "
		      "[-k HELD-OPEN] mesh|tls|http=HOST:PORT...\n",
		    stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	tls = SSL_CTX_new(TLS_client_method());
	hold();
	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, NULL) != 0)
			return 1;
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (uint64_t i = 0; i < held; i++)
		if (held_fds[i] >= 0)
			close(held_fds[i]);
	SSL_CTX_free(tls);
	printf("seed %" PRIu64 ": %" PRIuFAST64 " connections, %" PRIuFAST64
	       " bytes, %" PRIuFAST64 " unreachable\n",
	    seed, delivered, sent_bytes, unreachable);
	return delivered * 10 >= connections * 9 ? 0 : 1;
}
