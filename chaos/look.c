/* look.c -- what nodes say about themselves. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/fs.h"
#include "chaos.h"

#define CONNECT_MS 2000
#define ANSWER_MS 10000
#define HEALTH_MS 500

bool look_open(struct chaos *c)
{
	static const char *const names[] = {
	    "admin/root.pem", "admin/operator.pem", "admin/operator.key"};
	struct buf pem[3] = {0};
	struct err e = {0};
	enum code rc = E_OK;

	for (size_t i = 0; i < 3 && rc == E_OK; i++) {
		char path[PATH_MAX];

		world_path(c, path, names[i]);
		rc = fs_read(path, 65536, &pem[i], &e);
	}
	for (size_t i = 0; i < NODES && rc == E_OK; i++) {
		const char *server = c->nodes[i].ip;
		const struct client_options o = {.servers = &server,
		    .servers_n = 1,
		    .root_pem = buf_span(&pem[0]),
		    .cert_pem = buf_span(&pem[1]),
		    .key_pem = buf_span(&pem[2]),
		    .connect_ms = CONNECT_MS,
		    .answer_ms = ANSWER_MS};

		rc = client_open(&c->client[i], &o, &e);
	}
	for (size_t i = 0; i < 3; i++)
		buf_free(&pem[i]);
	if (rc != E_OK)
		fprintf(stderr, "quorate-chaos: %s\n", e.text);
	return rc == E_OK;
}

void look_close(struct chaos *c)
{
	for (size_t i = 0; i < NODES; i++) {
		client_close(c->client[i]);
		c->client[i] = NULL;
	}
}

json_t *look_json(struct chaos *c, size_t node, const char *path, struct err *e)
{
	json_t *o = NULL;

	return client_get_json(c->client[node], path, &o, e) == E_OK ? o : NULL;
}

static uint64_t number_of(const json_t *o, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(o, name));
}

bool look_status(struct chaos *c, size_t node, struct look *out, char why[400])
{
	struct err e = {0};
	json_t *o = look_json(c, node, "/v1/status", &e);
	const char *role = json_string_value(json_object_get(o, "role"));

	*out = (struct look){.term = number_of(o, "term"),
	    .applied = number_of(o, "applied"),
	    .commit = number_of(o, "commit"),
	    .leads = role != NULL && strcmp(role, "leader") == 0};
	snprintf(why, 400, "%s", e.text);
	json_decref(o);
	return o != NULL;
}

size_t look_leader(struct chaos *c)
{
	size_t best = NODES;
	uint64_t term = 0;
	char why[400];

	for (size_t i = 0; i < NODES; i++) {
		struct look l;

		if (c->nodes[i].pid != 0 && look_status(c, i, &l, why) &&
		    l.leads && l.term > term) {
			term = l.term;
			best = i;
		}
	}
	return best;
}

/* ---- Health, plain HTTP/1.0 ---- */

static int dial(const struct node *n)
{
	const struct timeval tv = {0, HEALTH_MS * 1000};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9090)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (inet_pton(AF_INET, n->ip, &a.sin_addr) == 1 &&
	    connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

bool look_ready(const struct node *n, char why[400])
{
	static const char ask[] = "GET /readyz HTTP/1.0\r\n\r\n";
	char in[1024] = "";
	size_t len = 0;
	const char *body;
	ssize_t got = 0;
	int fd = dial(n);
	bool ok;

	snprintf(why, 400, "no answer");
	if (fd < 0)
		return false;
	if (send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL) > 0)
		while (len < sizeof(in) - 1 &&
		       (got = recv(fd, in + len, sizeof(in) - 1 - len, 0)) > 0)
			len += (size_t)got;
	close(fd);
	in[len] = '\0';
	ok = strncmp(in, "HTTP/1.", 7) == 0 && strncmp(in + 8, " 200", 4) == 0;
	body = strstr(in, "\r\n\r\n");
	if (!ok && body != NULL) {
		snprintf(why, 400, "%.390s", body + 4);
		why[strcspn(why, "\n")] = '\0';
	}
	return ok;
}
