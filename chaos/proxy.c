/* proxy.c -- the network between the nodes, in a process of its own: each node
 * is dialled by its peers through here, and what passes from one to another can
 * be held back.  Held connections stay open and say nothing, as when a firewall
 * or a switch drops packets; afterwards what was held arrives late, or the
 * connection is reset.  Clients reach the nodes directly. */
#include <arpa/inet.h>
#include <dirent.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "chaos.h"

#define TICK_MS 10
#define PORTS 2 /* messages and snapshots */
#define MESH_PORT 7700
#define HELD_MAX (1 << 20) /* bytes on their way in one connection */

struct proxy;

/* One connection of a peer, and ours to the node it is for. */
struct pipe {
	struct proxy *proxy;
	struct pipe *prev, *next;
	size_t from, to; /* nodes; from may be NODES: not known */
	bool held;
	struct bufferevent *in, *out;
};

struct door {
	struct proxy *proxy;
	size_t to;
	uint16_t port;
	struct evconnlistener *listener;
};

struct proxy {
	struct chaos *chaos;
	struct event_base *base;
	struct door doors[NODES * PORTS];
	struct pipe *pipes;
};

/* ---- Who dials? ---- */

/* The inode of the socket whose own port this is (Linux, /proc/net/tcp). */
static uint64_t inode_of(uint16_t port)
{
	FILE *f = fopen("/proc/net/tcp", "re");
	uint64_t inode = 0;
	char line[300];

	while (
	    f != NULL && inode == 0 && fgets(line, sizeof(line), f) != NULL) {
		unsigned own;
		uint64_t n;

		if (sscanf(line,
			" %*d: %*x:%x %*x:%*x %*x %*s %*s %*s %*d %*d %" SCNu64,
			&own, &n) == 2 &&
		    own == port)
			inode = n;
	}
	if (f != NULL)
		fclose(f);
	return inode;
}

static bool owns(pid_t pid, uint64_t inode)
{
	char path[64], link[64], want[64];
	struct dirent *row;
	bool found = false;
	DIR *d;

	snprintf(want, sizeof(want), "socket:[%" PRIu64 "]", inode);
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	if (pid <= 0 || (d = opendir(path)) == NULL)
		return false;
	while (!found && (row = readdir(d)) != NULL) {
		ssize_t n =
		    readlinkat(dirfd(d), row->d_name, link, sizeof(link) - 1);

		link[n > 0 ? n : 0] = '\0';
		found = strcmp(link, want) == 0;
	}
	closedir(d);
	return found;
}

static size_t who_dials(const struct chaos *c, const struct sockaddr *peer)
{
	const struct sockaddr_in *a = (const void *)peer;
	uint64_t inode = inode_of(ntohs(a->sin_port));

	for (size_t i = 0; i < NODES && inode != 0; i++)
		if (owns(c->shared->pids[i], inode))
			return i;
	return NODES;
}

/* ---- Connections ---- */

static void pipe_free(struct pipe *p)
{
	*(p->prev != NULL ? &p->prev->next : &p->proxy->pipes) = p->next;
	if (p->next != NULL)
		p->next->prev = p->prev;
	if (p->in != NULL)
		bufferevent_free(p->in);
	if (p->out != NULL)
		bufferevent_free(p->out);
	free(p);
}

static void pipe_hold(struct pipe *p, bool held)
{
	const short both = EV_READ | EV_WRITE;

	p->held = held;
	if (held) {
		bufferevent_disable(p->in, both);
		bufferevent_disable(p->out, both);
	} else {
		bufferevent_enable(p->in, both);
		bufferevent_enable(p->out, both);
	}
}

static struct bufferevent *other(struct pipe *p, struct bufferevent *b)
{
	return b == p->in ? p->out : p->in;
}

static void on_read(struct bufferevent *b, void *arg)
{
	struct pipe *p = arg;
	struct bufferevent *to = other(p, b);

	bufferevent_write_buffer(to, bufferevent_get_input(b));
	if (evbuffer_get_length(bufferevent_get_output(to)) > HELD_MAX)
		bufferevent_disable(b, EV_READ);
}

/* All was written: more may be read. */
static void on_written(struct bufferevent *b, void *arg)
{
	struct pipe *p = arg;

	if (!p->held)
		bufferevent_enable(other(p, b), EV_READ);
}

static void on_end(struct bufferevent *b, short what, void *arg)
{
	(void)b;
	if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT)) != 0)
		pipe_free(arg);
}

static bool pipe_open(struct pipe *p, int fd, const struct door *door)
{
	struct sockaddr_in a = {
	    .sin_family = AF_INET, .sin_port = htons(door->port)};
	const int on = 1;

	p->in =
	    bufferevent_socket_new(p->proxy->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (p->in == NULL) {
		close(fd);
		return false;
	}
	p->out =
	    bufferevent_socket_new(p->proxy->base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (p->out == NULL ||
	    inet_pton(AF_INET, p->proxy->chaos->nodes[p->to].ip, &a.sin_addr) !=
		1 ||
	    bufferevent_socket_connect(
		p->out, (struct sockaddr *)&a, sizeof(a)) != 0)
		return false;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(bufferevent_getfd(p->out), IPPROTO_TCP, TCP_NODELAY, &on,
	    sizeof(on));
	bufferevent_setcb(p->in, on_read, on_written, on_end, p);
	bufferevent_setcb(p->out, on_read, on_written, on_end, p);
	return true;
}

static bool is_cut(const struct proxy *x, const struct pipe *p)
{
	return p->from < NODES && x->chaos->shared->cut[p->from][p->to];
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd,
    struct sockaddr *peer, int len, void *arg)
{
	struct door *door = arg;
	struct proxy *x = door->proxy;
	struct pipe *p = calloc(1, sizeof(*p));

	(void)l;
	(void)len;
	if (p == NULL) {
		close(fd);
		return;
	}
	p->proxy = x;
	p->to = door->to;
	p->from = who_dials(x->chaos, peer);
	if ((p->next = x->pipes) != NULL)
		p->next->prev = p;
	x->pipes = p;
	if (pipe_open(p, fd, door))
		pipe_hold(p, is_cut(x, p));
	else
		pipe_free(p);
}

/* ---- The whole ---- */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct proxy *x = arg;
	struct pipe *p, *next;

	(void)fd;
	(void)what;
	if (worker_told())
		event_base_loopbreak(x->base);
	for (p = x->pipes; p != NULL; p = next) {
		bool cut = is_cut(x, p);

		next = p->next;
		if (p->held && !cut && x->chaos->shared->reset)
			pipe_free(p);
		else if (p->held != cut)
			pipe_hold(p, cut);
	}
}

static bool listen_all(struct proxy *x)
{
	for (size_t i = 0; i < NODES * PORTS; i++) {
		struct door *d = &x->doors[i];
		struct sockaddr_in a = {.sin_family = AF_INET};

		d->proxy = x;
		d->to = i / PORTS;
		d->port = (uint16_t)(MESH_PORT + i % PORTS);
		a.sin_port = htons(d->port);
		if (inet_pton(AF_INET, x->chaos->nodes[d->to].mesh_ip,
			&a.sin_addr) != 1)
			return false;
		d->listener = evconnlistener_new_bind(x->base, on_accept, d,
		    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC |
			LEV_OPT_REUSEABLE,
		    128, (struct sockaddr *)&a, sizeof(a));
		if (d->listener == NULL)
			return false;
	}
	return true;
}

void worker_proxy(struct chaos *c, struct rng *r)
{
	const struct timeval tv = {0, TICK_MS * 1000};
	struct proxy x = {.chaos = c, .base = event_base_new()};
	struct event *tick;

	(void)r;
	signal(SIGPIPE, SIG_IGN);
	if (x.base == NULL || !listen_all(&x))
		return;
	tick = event_new(x.base, -1, EV_PERSIST, on_tick, &x);
	if (tick == NULL || event_add(tick, &tv) != 0)
		return;
	c->shared->proxy_ready = true;
	event_base_dispatch(x.base);
}
