#include "mesh/mesh.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "mesh/internal.h"

#define FRAME_LEN_LEN 8
#define CLOSE_S 2 /* until what nng still holds is left to it */

void mesh_signal(struct mesh *m)
{
	if (m->signalled)
		return;
	m->signalled = eventfd_write(m->event_fd, 1) == 0;
}

struct peer *mesh_peer_find(const struct mesh *m, uint64_t id)
{
	for (size_t i = 0; i < m->peers_n; i++)
		if (m->peers[i]->id == id)
			return m->peers[i];
	return NULL;
}

enum code mesh_nng_error(struct err *e, int rv, const char *what)
{
	enum code rc = E_IO;

	if (rv == NNG_ENOMEM)
		rc = E_NOMEM;
	else if (rv == NNG_EADDRINUSE || rv == NNG_EADDRINVAL ||
		 rv == NNG_EPERM)
		rc = E_CONFLICT;
	else if (rv == NNG_EINVAL)
		rc = E_INVAL;
	return err_set(e, rc, "mesh: %s: %s", what, nng_strerror(rv));
}

/* ---- Start and stop ---- */

static size_t or_default(size_t v, size_t dflt)
{
	return v == 0 ? dflt : v;
}

/* NULL if memory is short. */
static struct mesh *mesh_new(const struct mesh_config *c)
{
	struct mesh *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->event_fd = -1;
	m->boot = random_u64();
	m->self_id = c->self;
	m->payload_max[MESH_MESSAGES] =
	    or_default(c->message_max, MESH_MESSAGE_MAX_DEFAULT);
	m->payload_max[MESH_SNAPSHOTS] =
	    or_default(c->chunk_max, MESH_CHUNK_MAX_DEFAULT);
	m->queue_count = or_default(c->queue_count, MESH_QUEUE_COUNT_DEFAULT);
	m->queue_bytes = or_default(c->queue_bytes, MESH_QUEUE_BYTES_DEFAULT);
	for (int i = 0; i < MESH_CHANNELS; i++) {
		m->inlets[i].mesh = m;
		m->inlets[i].channel = (enum mesh_channel)i;
		m->inlets[i].last = &m->inlets[i].first;
	}
	if (pthread_mutex_init(&m->lock, NULL) != 0) {
		free(m);
		return NULL;
	}
	return m;
}

static enum code inlets_start(
    struct mesh *m, const struct mesh_config *c, struct err *e)
{
	enum code rc;

	for (int i = 0; i < MESH_CHANNELS; i++)
		if ((rc = mesh_inlet_open(&m->inlets[i], c->listen_ip, c->port,
			 m->payload_max[i], e)) != E_OK)
			return rc;
	for (int i = 0; i < MESH_CHANNELS; i++)
		if ((rc = mesh_inlet_start(&m->inlets[i], e)) != E_OK)
			return rc;
	return E_OK;
}

enum code mesh_start(
    struct mesh **out, const struct mesh_config *c, struct err *e)
{
	struct mesh *m = NULL;
	sigset_t all, before;
	enum code rc;

	if (sodium_init() < 0)
		return err_set(e, E_INTERNAL, "libsodium does not start");
	if (c->port == 0 || c->port == UINT16_MAX || c->listen_ip == NULL)
		return err_set(e, E_INVAL, "the mesh needs an address");
	if ((m = mesh_new(c)) == NULL)
		return err_nomem(e);
	/* our threads and nng's leave signals to the others */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	rc = mesh_self_make(&m->self, c->secret, c->public, c->trust_domain, e);
	if (rc != E_OK)
		goto out;
	m->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->event_fd < 0) {
		rc = err_set(e, E_IO, "no eventfd for the mesh");
		goto out;
	}
	if ((rc = inlets_start(m, c, e)) != E_OK)
		goto out;
	*out = m;
	m = NULL;
out:
	mesh_stop(m);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

static void peer_free(struct peer *p)
{
	sodium_memzero(&p->keys, sizeof(p->keys));
	free(p);
}

static void *close_main(void *arg)
{
	struct mesh *m = arg;

	for (int i = 0; i < MESH_CHANNELS; i++)
		mesh_inlet_stop(&m->inlets[i]);
	while (m->links != NULL)
		mesh_link_close(m->links);
	return NULL;
}

/* nng before 1.6 can wait for ever in nng_close for a connection from which it
 * was receiving (nanomsg/nng #1636): a node that is told to stop still has to
 * end.  False: it does wait. */
static bool close_all(struct mesh *m)
{
	struct timespec until;
	pthread_t thread;

	if (pthread_create(&thread, NULL, close_main, m) != 0) {
		close_main(m);
		return true;
	}
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CLOSE_S;
	if (pthread_timedjoin_np(thread, NULL, &until) == 0)
		return true;
	pthread_detach(thread);
	return false;
}

void mesh_stop(struct mesh *m)
{
	if (m == NULL)
		return;
	pthread_mutex_lock(&m->lock);
	m->stopping = true;
	pthread_mutex_unlock(&m->lock);
	if (!close_all(m))
		return; /* its threads may still look at it */
	for (size_t i = 0; i < m->peers_n; i++)
		peer_free(m->peers[i]);
	if (m->event_fd >= 0)
		close(m->event_fd);
	pthread_mutex_destroy(&m->lock);
	sodium_memzero(&m->self, sizeof(m->self));
	free(m);
}

/* ---- Peers ---- */

void mesh_set_self(struct mesh *m, uint64_t self)
{
	pthread_mutex_lock(&m->lock);
	m->self_id = self;
	pthread_mutex_unlock(&m->lock);
}

/* A peer with its keys, in no table yet; NULL: *rc says why not. */
static struct peer *peer_new(struct mesh *m, uint64_t id,
    const uint8_t public[MESH_KEY_LEN], enum code *rc, struct err *e)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		*rc = err_nomem(e);
		return NULL;
	}
	p->id = id;
	memcpy(p->public, public, MESH_KEY_LEN);
	*rc = mesh_keys_make(&p->keys, &m->self, public, e);
	if (*rc != E_OK) {
		peer_free(p);
		return NULL;
	}
	return p;
}

/* Put p where old is (NULL: at the end). */
static void peer_install(struct mesh *m, struct peer *old, struct peer *p)
{
	size_t i = 0;

	pthread_mutex_lock(&m->lock);
	while (i < m->peers_n && m->peers[i] != old)
		i++;
	m->peers[i] = p;
	if (i == m->peers_n)
		m->peers_n++;
	pthread_mutex_unlock(&m->lock);
}

static bool same_address(const struct peer *p, struct span address)
{
	return p->link != NULL ? span_eq_str(address, p->link->address)
			       : address.len == 0;
}

static enum code peer_redial(
    struct mesh *m, struct peer *p, struct span address, struct err *e)
{
	struct link *l = NULL;
	enum code rc;

	if (same_address(p, address))
		return E_OK;
	if (address.len > 0 &&
	    (rc = mesh_link_open(m, p->id, address, &l, e)) != E_OK)
		return rc;
	mesh_link_close(p->link);
	p->link = l;
	return E_OK;
}

static enum code peer_add(struct mesh *m, uint64_t id,
    const uint8_t public[MESH_KEY_LEN], struct span address, struct err *e)
{
	struct peer *p;
	enum code rc;

	if (m->peers_n >= MESH_PEERS_MAX)
		return err_set(
		    e, E_EXHAUSTED, "more than %u mesh peers", MESH_PEERS_MAX);
	if ((p = peer_new(m, id, public, &rc, e)) == NULL)
		return rc;
	if ((rc = peer_redial(m, p, address, e)) != E_OK) {
		peer_free(p);
		return rc;
	}
	peer_install(m, NULL, p);
	return E_OK;
}

/* A key is replaced by a new peer: windows and silence start over. */
static enum code peer_change(struct mesh *m, struct peer *old,
    const uint8_t public[MESH_KEY_LEN], struct span address, struct err *e)
{
	struct peer *p;
	enum code rc;

	if (memcmp(old->public, public, MESH_KEY_LEN) == 0)
		return peer_redial(m, old, address, e);
	if ((p = peer_new(m, old->id, public, &rc, e)) == NULL)
		return rc;
	if ((rc = peer_redial(m, old, address, e)) != E_OK) {
		peer_free(p);
		return rc;
	}
	p->link = old->link;
	peer_install(m, old, p);
	peer_free(old);
	return E_OK;
}

enum code mesh_peer_set(struct mesh *m, uint64_t id,
    const uint8_t public[MESH_KEY_LEN], struct span address, struct err *e)
{
	struct peer *p = mesh_peer_find(m, id);
	enum code rc;

	if (id == 0)
		return err_set(e, E_INVAL, "a mesh peer needs an id");
	if (address.len > 0 && (rc = mesh_address_check(address, e)) != E_OK)
		return rc;
	return p == NULL ? peer_add(m, id, public, address, e)
			 : peer_change(m, p, public, address, e);
}

void mesh_peer_remove(struct mesh *m, uint64_t id)
{
	struct peer *p = NULL;

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < m->peers_n && p == NULL; i++)
		if (m->peers[i]->id == id) {
			p = m->peers[i];
			m->peers[i] = m->peers[--m->peers_n];
		}
	pthread_mutex_unlock(&m->lock);
	if (p == NULL)
		return;
	mesh_link_close(p->link);
	peer_free(p);
}

/* ---- Sending ---- */

static enum code seal_and_send(struct mesh *m, const struct peer *p,
    enum mesh_channel channel, struct span payload, uint64_t heard_ms)
{
	struct seal_header h = {.channel = (uint8_t)channel,
	    .from = m->self_id,
	    .to = p->id,
	    .boot = m->boot,
	    .counter = ++m->counter};
	struct frame f = {.len = FRAME_LEN_LEN + SEAL_OVERHEAD + payload.len};
	uint8_t nonce[SEAL_NONCE_LEN];

	f.p = malloc(f.len);
	if (f.p == NULL)
		return E_NOMEM;
	random_bytes(nonce, sizeof(nonce));
	put_u64be(f.p, f.len - FRAME_LEN_LEN);
	mesh_seal(f.p + FRAME_LEN_LEN, &m->self, &p->keys, &h, nonce, payload);
	return mesh_lane_send(&p->link->lanes[channel], f, heard_ms);
}

static bool lane_up(struct mesh *m, const struct peer *p,
    enum mesh_channel channel, uint64_t *heard_ms)
{
	bool up;

	pthread_mutex_lock(&m->lock);
	up = p->link->lanes[channel].up;
	*heard_ms = p->heard_ms;
	pthread_mutex_unlock(&m->lock);
	return up;
}

static enum code send_to(
    struct mesh *m, uint64_t to, enum mesh_channel channel, struct span payload)
{
	const struct peer *p = mesh_peer_find(m, to);
	uint64_t heard_ms;

	if (p == NULL || m->self_id == 0)
		return E_NOTFOUND;
	if (payload.len > m->payload_max[channel])
		return E_INVAL;
	if (p->link == NULL || !lane_up(m, p, channel, &heard_ms))
		return E_UNAVAILABLE;
	return seal_and_send(m, p, channel, payload, heard_ms);
}

enum code mesh_send(
    struct mesh *m, uint64_t to, enum mesh_channel channel, struct span payload)
{
	enum code rc = send_to(m, to, channel, payload);

	metric_inc(rc == E_OK ? M_mesh_sent : M_mesh_dropped);
	pthread_mutex_lock(&m->lock);
	if (rc == E_OK)
		m->stats.sent++;
	else
		m->stats.send_dropped++;
	pthread_mutex_unlock(&m->lock);
	return rc;
}

/* ---- Receiving ---- */

int mesh_fd(const struct mesh *m)
{
	return m->event_fd;
}

static bool lane_event(struct lane *lane, struct mesh_event *out)
{
	*out = (struct mesh_event){
	    .channel = lane->channel, .peer = lane->link->peer};
	if (lane->told_down) {
		out->kind = MESH_UNREACHABLE;
		lane->told_down = false;
	} else if (lane->told_gone) {
		out->kind = MESH_GONE;
		lane->told_gone = false;
	} else if (lane->told_up) {
		out->kind = MESH_REACHABLE;
		lane->told_up = false;
	} else {
		return false;
	}
	return true;
}

/* With the lock held. */
static bool link_event(struct mesh *m, struct mesh_event *out)
{
	if (!m->link_events)
		return false;
	for (struct link *l = m->links; l != NULL; l = l->next)
		for (int c = 0; c < MESH_CHANNELS; c++)
			if (lane_event(&l->lanes[c], out))
				return true;
	m->link_events = false;
	return false;
}

/* With the lock held: the oldest message of the channel, or NULL. */
static struct item *dequeue(struct inlet *in)
{
	struct item *it = in->first;

	if (it == NULL)
		return NULL;
	in->first = it->next;
	if (in->first == NULL)
		in->last = &in->first;
	in->count--;
	in->bytes -= it->payload.len;
	return it;
}

bool mesh_receive(struct mesh *m, struct mesh_event *out)
{
	struct item *it = NULL;
	eventfd_t drained;
	bool got;

	pthread_mutex_lock(&m->lock);
	got = link_event(m, out);
	for (int c = 0; c < MESH_CHANNELS && !got && it == NULL; c++)
		if ((it = dequeue(&m->inlets[c])) != NULL)
			*out = (struct mesh_event){.kind = MESH_MESSAGE,
			    .channel = (enum mesh_channel)c,
			    .peer = it->peer,
			    .payload = it->payload};
	if (!got && it == NULL && m->signalled)
		m->signalled = eventfd_read(m->event_fd, &drained) != 0;
	pthread_mutex_unlock(&m->lock);
	got = got || it != NULL;
	free(it);
	return got;
}

/* ---- Watching ---- */

bool mesh_peer_status(struct mesh *m, uint64_t id, struct mesh_peer_status *out)
{
	const struct peer *p;

	pthread_mutex_lock(&m->lock);
	p = mesh_peer_find(m, id);
	*out = (struct mesh_peer_status){0};
	if (p != NULL) {
		out->heard_ms = p->heard_ms;
		for (int c = 0; c < MESH_CHANNELS && p->link != NULL; c++)
			out->connected[c] = p->link->lanes[c].up;
	}
	pthread_mutex_unlock(&m->lock);
	return p != NULL;
}

void mesh_clock_set(struct mesh *m)
{
	for (size_t i = 0; i < m->peers_n; i++)
		for (int c = 0; c < MESH_CHANNELS; c++)
			mesh_lane_hurry(&m->peers[i]->link->lanes[c]);
}

void mesh_stats(struct mesh *m, struct mesh_stats *out)
{

	pthread_mutex_lock(&m->lock);
	*out = m->stats;
	pthread_mutex_unlock(&m->lock);
}
