/* receive.c -- the receiving side: a PULL listener and a thread for each
 * channel, which opens what arrives and queues it for the owner. */
#include "mesh/internal.h"

#include <inttypes.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/supplemental/util/platform.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log_event.h"
#include "base/metrics.h"

#define REJECT_LOG_MS 10000
#define NOMEM_PAUSE_MS 10

/* ---- What does not open ---- */

/* One line in ten seconds, with how many there were. */
static void reject(struct mesh *m, const struct err *why, uint64_t claimed)
{
	uint64_t now = clock_mono_ms(), n = 0;

	metric_inc(M_mesh_rejected);
	pthread_mutex_lock(&m->lock);
	m->stats.rejected++;
	m->reject_unlogged++;
	if (m->reject_logged_ms == 0 ||
	    now - m->reject_logged_ms >= REJECT_LOG_MS) {
		m->reject_logged_ms = now;
		n = m->reject_unlogged;
		m->reject_unlogged = 0;
	}
	pthread_mutex_unlock(&m->lock);
	if (n > 0)
		log_event(EV_mesh_rejected,
		    "claimed_from=%" PRIx64 " why=\"%s\" count=%" PRIu64,
		    claimed, why->text, n);
}

/* ---- Opening ---- */

/* Copy the sender's keys; E_NOTFOUND: we know no such peer. */
static enum code keys_of(
    struct mesh *m, uint64_t from, struct seal_keys *out, struct err *e)
{
	enum code rc = E_OK;
	struct peer *p;

	pthread_mutex_lock(&m->lock);
	p = mesh_peer_find(m, from);
	if (p != NULL)
		*out = p->keys;
	else
		rc = err_set(e, E_NOTFOUND, "message of an unknown node");
	pthread_mutex_unlock(&m->lock);
	return rc;
}

static struct item *item_new(uint64_t peer, size_t len)
{
	struct item *it = calloc(1, sizeof(*it));

	if (it == NULL)
		return NULL;
	it->peer = peer;
	if (!buf_reserve(&it->payload, len)) {
		free(it);
		return NULL;
	}
	it->payload.len = len;
	return it;
}

static void item_free(struct item *it)
{
	if (it == NULL)
		return;
	buf_free(&it->payload);
	free(it);
}

/* With the lock held: count and queue an opened message.  False: dropped. */
static bool enqueue(struct inlet *in, struct peer *p,
    const struct seal_header *h, struct item *it)
{
	struct mesh *m = in->mesh;

	if (!mesh_window_accept(
		&p->windows[in->channel], h->boot, h->counter)) {
		m->stats.duplicates++;
		return false;
	}
	p->heard_ms = clock_mono_ms();
	if (in->count >= m->queue_count ||
	    in->bytes + it->payload.len > m->queue_bytes) {
		m->stats.receive_dropped++;
		metric_inc(M_mesh_dropped);
		return false;
	}
	in->count++;
	in->bytes += it->payload.len;
	*in->last = it;
	in->last = &it->next;
	m->stats.received++;
	metric_inc(M_mesh_received);
	mesh_signal(m);
	return true;
}

/* Queue what opened, if its sender still has the keys it opened with. */
static void deliver(struct inlet *in, const struct seal_header *h,
    const struct seal_keys *keys, struct item *it)
{
	struct mesh *m = in->mesh;
	bool queued = false;
	struct peer *p;

	pthread_mutex_lock(&m->lock);
	p = mesh_peer_find(m, h->from);
	if (p != NULL && m->self_id == h->to &&
	    sodium_memcmp(&p->keys, keys, sizeof(*keys)) == 0)
		queued = enqueue(in, p, h, it);
	pthread_mutex_unlock(&m->lock);
	if (!queued)
		item_free(it);
}

static void receive_one(struct inlet *in, struct span sealed)
{
	struct mesh *m = in->mesh;
	struct seal_header h = {0};
	struct seal_keys keys;
	struct item *it = NULL;
	struct err e;
	uint64_t self;

	pthread_mutex_lock(&m->lock);
	self = m->self_id;
	pthread_mutex_unlock(&m->lock);
	if (mesh_header_read(
		&h, &m->self, (uint8_t)in->channel, self, sealed, &e) != E_OK ||
	    keys_of(m, h.from, &keys, &e) != E_OK) {
		reject(m, &e, h.from);
		return;
	}
	it = item_new(h.from, sealed.len - SEAL_OVERHEAD);
	if (it != NULL &&
	    mesh_unseal(it->payload.p, &keys, sealed, &e) != E_OK) {
		reject(m, &e, h.from);
		item_free(it);
	} else if (it != NULL) {
		deliver(in, &h, &keys, it);
	} else {
		metric_inc(M_mesh_dropped);
	}
	sodium_memzero(&keys, sizeof(keys));
}

static bool stopping(struct mesh *m)
{
	bool s;

	pthread_mutex_lock(&m->lock);
	s = m->stopping;
	pthread_mutex_unlock(&m->lock);
	return s;
}

static void *receive_loop(void *arg)
{
	struct inlet *in = arg;
	nng_msg *msg;
	int rv;

	while ((rv = nng_recvmsg(in->socket, &msg, 0)) != NNG_ECLOSED) {
		if (rv == 0) {
			receive_one(
			    in, span_of(nng_msg_body(msg), nng_msg_len(msg)));
			nng_msg_free(msg);
		} else if (stopping(in->mesh)) {
			break;
		} else {
			nng_msleep(NOMEM_PAUSE_MS);
		}
	}
	return NULL;
}

/* ---- Life ---- */

enum code mesh_inlet_open(struct inlet *in, const char *ip, uint16_t port,
    size_t payload_max, struct err *e)
{
	bool v6 = strchr(ip, ':') != NULL && ip[0] != '[';
	char url[128];
	int rv;

	snprintf(url, sizeof(url), "tcp://%s%s%s:%d", v6 ? "[" : "", ip,
	    v6 ? "]" : "", port + (int)in->channel);
	if ((rv = nng_pull0_open(&in->socket)) != 0)
		return mesh_nng_error(e, rv, url);
	in->open = true;
	if ((rv = nng_socket_set_size(in->socket, NNG_OPT_RECVMAXSZ,
		 payload_max + SEAL_OVERHEAD)) != 0 ||
	    (rv = nng_listen(in->socket, url, NULL, 0)) != 0)
		return mesh_nng_error(e, rv, url);
	return E_OK;
}

enum code mesh_inlet_start(struct inlet *in, struct err *e)
{
	if (pthread_create(&in->thread, NULL, receive_loop, in) != 0)
		return err_set(e, E_NOMEM, "no thread for the mesh");
	in->running = true;
	return E_OK;
}

void mesh_inlet_stop(struct inlet *in)
{
	if (in->open)
		nng_close(in->socket);
	if (in->running)
		pthread_join(in->thread, NULL);
	while (in->first != NULL) {
		struct item *it = in->first;

		in->first = it->next;
		item_free(it);
	}
}
