/* link.c -- the sending side: PUSH sockets, their dialers, their pipes. */
#include "mesh/internal.h"

#include <ctype.h>
#include <nng/protocol/pipeline0/push.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECONNECT_MIN_MS 50
#define RECONNECT_MAX_MS 500
#define PARKED_MS 5000
/* A PULL peer sends nothing; bound what a false one makes us allocate. */
#define PUSH_RECEIVE_MAX 64

static const int queue_len[MESH_CHANNELS] = {
    [MESH_MESSAGES] = MESH_SEND_MESSAGES,
    [MESH_SNAPSHOTS] = MESH_SEND_CHUNKS,
};

/* The port after the last colon, or 0. */
static uint16_t port_of(struct span address, size_t *host_len)
{
	uint32_t port = 0;
	size_t i = address.len;

	while (i > 0 && isdigit(address.p[i - 1]))
		i--;
	if (i < 2 || address.p[i - 1] != ':' || address.len - i > 5)
		return 0;
	*host_len = i - 1;
	for (; i < address.len; i++)
		port = port * 10 + (uint32_t)(address.p[i] - '0');
	return port < 65535 ? (uint16_t)port : 0;
}

enum code mesh_address_check(struct span address, struct err *e)
{
	size_t host_len;

	if (address.len > MESH_ADDRESS_MAX || port_of(address, &host_len) == 0)
		return err_set(e, E_INVAL, "a mesh address is host:port");
	for (size_t i = 0; i < host_len; i++)
		if (!isalnum(address.p[i]) &&
		    memchr("-._:[]", address.p[i], 6) == NULL)
			return err_set(
			    e, E_INVAL, "a mesh address has no such host");
	return E_OK;
}

/* ---- Pipe events, on nng's threads ---- */

static void pipe_up(struct lane *lane, int pipe)
{
	if (pipe == lane->gone)
		return;
	lane->pipe = pipe;
	lane->up = true;
}

static void pipe_down(struct lane *lane, int pipe)
{
	lane->gone = pipe;
	if (pipe != lane->pipe)
		return;
	lane->pipe = 0;
	lane->down = true;
	lane->up = false;
}

/* No calls into nng from here but reading the pipe's id (nng #1665). */
static void on_pipe(nng_pipe p, nng_pipe_ev ev, void *arg)
{
	struct lane *lane = arg;
	struct mesh *m = lane->link->mesh;

	pthread_mutex_lock(&m->lock);
	if (ev == NNG_PIPE_EV_ADD_POST)
		pipe_up(lane, nng_pipe_id(p));
	else
		pipe_down(lane, nng_pipe_id(p));
	m->link_events = true;
	mesh_signal(m);
	pthread_mutex_unlock(&m->lock);
}

/* ---- Opening ---- */

static int lane_options(struct lane *lane)
{
	nng_socket s = lane->socket;
	int rv;

	if ((rv = nng_socket_set_int(
		 s, NNG_OPT_SENDBUF, queue_len[lane->channel])) != 0 ||
	    (rv = nng_socket_set_size(
		 s, NNG_OPT_RECVMAXSZ, PUSH_RECEIVE_MAX)) != 0 ||
	    (rv = nng_socket_set_ms(s, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS)) !=
		0 ||
	    (rv = nng_socket_set_ms(s, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS)) !=
		0 ||
	    (rv = nng_pipe_notify(s, NNG_PIPE_EV_ADD_POST, on_pipe, lane)) != 0)
		return rv;
	return nng_pipe_notify(s, NNG_PIPE_EV_REM_POST, on_pipe, lane);
}

static int lane_dial(struct lane *lane)
{
	struct span address = span_str(lane->link->address);
	char url[MESH_ADDRESS_MAX + sizeof("tcp://:65535")];
	size_t host_len = 0;
	uint16_t port = port_of(address, &host_len);
	int rv;

	snprintf(url, sizeof(url), "tcp://%.*s:%d", (int)host_len,
	    lane->link->address, port + (int)lane->channel);
	if ((rv = nng_dialer_create(&lane->dialer, lane->socket, url)) != 0 ||
	    (rv = nng_dialer_set_bool(
		 lane->dialer, NNG_OPT_TCP_KEEPALIVE, true)) != 0)
		return rv;
	return nng_dialer_start(lane->dialer, NNG_FLAG_NONBLOCK);
}

static enum code lane_open(struct lane *lane, struct err *e)
{
	int rv;

	if ((rv = nng_push0_open(&lane->socket)) != 0)
		return mesh_nng_error(e, rv, "opening a link");
	lane->open = true;
	if ((rv = lane_options(lane)) != 0 || (rv = lane_dial(lane)) != 0)
		return mesh_nng_error(e, rv, lane->link->address);
	return E_OK;
}

static void link_close(struct link *l)
{
	for (int c = 0; c < MESH_CHANNELS; c++)
		if (l->lanes[c].open)
			nng_close(l->lanes[c].socket);
	free(l);
}

static enum code link_open(struct mesh *m, uint64_t peer, struct span address,
    struct link **out, struct err *e)
{
	struct link *l;
	enum code rc;

	if (m->links_n >= MESH_PEERS_MAX)
		return err_set(e, E_EXHAUSTED,
		    "%u mesh addresses dialled since the start: restart",
		    MESH_PEERS_MAX);
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return err_nomem(e);
	l->mesh = m;
	l->peer = peer;
	memcpy(l->address, address.p, address.len);
	for (int c = 0; c < MESH_CHANNELS; c++) {
		l->lanes[c].link = l;
		l->lanes[c].channel = (enum mesh_channel)c;
		if ((rc = lane_open(&l->lanes[c], e)) != E_OK) {
			link_close(l);
			return rc;
		}
	}
	l->next = m->links;
	m->links = l;
	m->links_n++;
	*out = l;
	return E_OK;
}

/* ---- Owners ---- */

static void link_pace(struct link *l, nng_duration least, nng_duration most)
{
	for (int c = 0; c < MESH_CHANNELS; c++) {
		nng_dialer d = l->lanes[c].dialer;

		/* only a slower or faster redial is at stake */
		(void)nng_dialer_set_ms(d, NNG_OPT_RECONNMINT, least);
		(void)nng_dialer_set_ms(d, NNG_OPT_RECONNMAXT, most);
	}
}

/* Give the link to a peer; what happened under the last owner is no news. */
static void link_assign(struct link *l, uint64_t peer)
{
	struct mesh *m = l->mesh;

	pthread_mutex_lock(&m->lock);
	l->peer = peer;
	for (int c = 0; c < MESH_CHANNELS; c++) {
		struct lane *lane = &l->lanes[c];

		lane->down = false;
		lane->up = peer != 0 && lane->pipe != 0;
		if (lane->up) {
			m->link_events = true;
			mesh_signal(m);
		}
	}
	pthread_mutex_unlock(&m->lock);
}

enum code mesh_link_take(struct mesh *m, uint64_t peer, struct span address,
    struct link **out, struct err *e)
{
	struct link *l = m->links;

	while (l != NULL && (l->peer != 0 || !span_eq_str(address, l->address)))
		l = l->next;
	if (l == NULL)
		return link_open(m, peer, address, out, e);
	link_pace(l, RECONNECT_MIN_MS, RECONNECT_MAX_MS);
	link_assign(l, peer);
	*out = l;
	return E_OK;
}

void mesh_link_park(struct link *l)
{
	if (l == NULL)
		return;
	link_assign(l, 0);
	link_pace(l, PARKED_MS, PARKED_MS);
}

void mesh_links_close(struct mesh *m)
{
	while (m->links != NULL) {
		struct link *l = m->links;

		m->links = l->next;
		link_close(l);
	}
}

/* ---- Sending ---- */

static void lane_overflow(struct lane *lane)
{
	struct mesh *m = lane->link->mesh;

	pthread_mutex_lock(&m->lock);
	lane->down = true;
	m->link_events = true;
	mesh_signal(m);
	pthread_mutex_unlock(&m->lock);
}

enum code mesh_lane_send(struct lane *lane, nng_msg *msg)
{
	int rv = nng_sendmsg(lane->socket, msg, NNG_FLAG_NONBLOCK);

	if (rv == 0)
		return E_OK;
	nng_msg_free(msg);
	if (rv == NNG_ENOMEM)
		return E_NOMEM;
	lane_overflow(lane);
	return E_EXHAUSTED;
}
