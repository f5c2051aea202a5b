/* peers.c -- the other nodes: whom the mesh knows, what they say, and how they
 * are. */
#include "node/internal.h"

#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/log_event.h"
#include "base/metrics.h"

#define STAMP_OFF_MS 10000 /* a clock may be 5 s off, and a proposal late */
#define RECEIVE_MAX 512    /* events in one turn */
#define LEAD_MS 15000
#define IN_TOUCH_MS 10000
#define CRL_PUBLISHED_MAX 256

struct peer *peers_find(struct node *n, uint64_t id)
{
	for (size_t i = 0; i < n->peers_n; i++)
		if (n->peers[i].id == id)
			return &n->peers[i];
	return NULL;
}

static struct peer *find_or_add(struct node *n, uint64_t id)
{
	struct peer *p = peers_find(n, id);

	if (p != NULL || n->peers_n == MESH_PEERS_MAX)
		return p;
	p = &n->peers[n->peers_n++];
	*p = (struct peer){.id = id};
	return p;
}

static bool among(const raft_id *ids, size_t count, raft_id id)
{
	for (size_t i = 0; i < count; i++)
		if (ids[i] == id)
			return true;
	return false;
}

bool peers_is_member(const struct raft_conf_state *c, raft_id id)
{
	return among(c->voters, c->voters_n, id) ||
	       among(c->learners, c->learners_n, id) ||
	       among(c->voters_outgoing, c->voters_outgoing_n, id) ||
	       among(c->learners_next, c->learners_next_n, id);
}

static void set_peer(struct node *n, uint64_t id,
    const uint8_t key[MESH_KEY_LEN], struct span address)
{
	struct peer *p = find_or_add(n, id);
	struct err e = {0};
	enum code rc;

	if (p == NULL)
		return;
	rc = mesh_peer_set(n->mesh, id, key, address, &e);
	p->in_mesh = rc == E_OK;
	if (rc != E_OK)
		log_event(EV_peer_refused, "id=%llu why=\"%s\"",
		    (unsigned long long)id, e.text);
}

static void remove_peer(struct node *n, uint64_t id)
{
	struct peer *p = peers_find(n, id);

	if (p == NULL)
		return;
	snapshot_out_stop(n, p, false);
	mesh_peer_remove(n->mesh, id);
	*p = n->peers[--n->peers_n];
}

/* What a start reads that finds the state lost. */
static void keep(struct node *n)
{
	struct err e = {0};

	if (provision_peers(n->dir, n->view, &e) != E_OK)
		log_event(EV_peers_not_kept, "why=\"%s\"", e.text);
}

void peers_sync(struct node *n)
{
	struct raft_conf_state conf;

	if (n->mesh == NULL || n->view == NULL)
		return;
	keep(n);
	store_state_conf(n->store, &conf);
	for (size_t i = 0; i < n->view->nodes_n; i++) {
		const struct ca_node *one = &n->view->nodes[i];

		if (one->id == n->id)
			continue;
		/* Who is being removed must still hear of it. */
		if (one->removed && !peers_is_member(&conf, one->id))
			remove_peer(n, one->id);
		else
			set_peer(n, one->id, one->mesh_key, one->mesh_address);
	}
}

enum code peers_start(struct node *n, struct err *e)
{
	const struct provision *p = &n->provision;
	struct mesh_config c = {
	    .listen_ip = p->config.listen,
	    .port = p->config.port_mesh,
	    .trust_domain = span_str(p->config.trust_domain),
	    .self = n->id,
	};
	enum code rc;

	memcpy(c.secret, p->mesh_secret, sizeof(c.secret));
	memcpy(c.public, p->mesh_public, sizeof(c.public));
	rc = mesh_start(&n->mesh, &c, e);
	sodium_memzero(c.secret, sizeof(c.secret));
	if (rc != E_OK)
		return err_wrap(e, rc, "the mesh");
	for (size_t i = 0; i < p->peers_n && n->view == NULL; i++)
		if (p->peers[i].id != n->id)
			set_peer(n, p->peers[i].id, p->peers[i].mesh_key,
			    span_str(p->peers[i].mesh_address));
	peers_sync(n);
	return E_OK;
}

void peers_close(struct node *n)
{
	for (size_t i = 0; i < n->peers_n; i++)
		snapshot_out_stop(n, &n->peers[i], false);
	mesh_stop(n->mesh);
	n->mesh = NULL;
}

/* ---- Sending ---- */

void peers_send(struct node *n, const struct raft_message *m)
{
	struct wire_mesh w = {.kind = WIRE_RAFT, .u.raft = *m};

	if (m->type == RAFT_MSG_SNAP)
		snapshot_out_start(n, m);
	else
		(void)peers_tell(n, m->to, MESH_MESSAGES, &w);
}

enum code peers_tell(struct node *n, uint64_t to, enum mesh_channel channel,
    const struct wire_mesh *w)
{
	struct err e = {0};
	struct buf b;
	enum code rc;

	buf_init(&b);
	rc = wire_mesh_encode(&b, w, &e);
	if (rc == E_OK)
		rc = mesh_send(n->mesh, to, channel, buf_span(&b));
	else
		log_event(EV_mesh_encode_failed, "why=\"%s\"", e.text);
	buf_free(&b);
	return rc;
}

void peers_status(struct node *n)
{
	struct ca_checkpoint newest;
	struct ca_head head;
	struct wire_mesh w = {.kind = WIRE_STATUS};
	struct span published[CRL_PUBLISHED_MAX];
	char why[200];
	bool confirmed;

	look_head(n, &head);
	w.u.status.applied = store_applied(n->store);
	w.u.status.tree_size = head.tree_size;
	w.u.status.time_ms = clock_unix_ms();
	w.u.status.issuing = !look_not_issuing(n, why, sizeof(why));
	w.u.status.crl_published = published;
	w.u.status.crl_published_n =
	    crl_published(n, published, CRL_PUBLISHED_MAX);
	if (ca_checkpoint_newest(n->ca, &newest, &confirmed, NULL) == E_OK) {
		w.u.status.checkpoints = &newest;
		w.u.status.checkpoints_n = 1;
	}
	for (size_t i = 0; i < n->peers_n; i++) {
		const struct peer *p = &n->peers[i];

		if (!p->in_mesh)
			continue;
		w.u.status.sent_ms = clock_mono_ms();
		w.u.status.echo_ms = p->sent_ms;
		w.u.status.held_ms =
		    p->sent_ms == 0 ? 0 : w.u.status.sent_ms - p->status_ms;
		repair_tell(n, p, &w.u.status);
		(void)peers_tell(n, p->id, MESH_MESSAGES, &w);
	}
}

uint64_t peers_need_after(const struct node *n)
{
	uint64_t now = clock_mono_ms(), least = UINT64_MAX;
	struct raft_status st;

	if (n->role != RAFT_LEADER)
		return least;
	raft_status(n->raft, &st);
	for (size_t i = 0; i < n->peers_n; i++) {
		const struct peer *p = &n->peers[i];
		uint64_t has = UINT64_MAX;

		if (p->heard_ms == 0 || now - p->heard_ms > IN_TOUCH_MS)
			continue;
		for (size_t k = 0; k < st.peers_n; k++)
			if (st.peers[k].id == p->id)
				has = st.peers[k].match;
		if (p->sending != NULL)
			has = snapshot_out_index(p);
		if (has < least)
			least = has;
	}
	return least;
}

void peers_set_pace(struct node *n)
{
	const struct config *c = &n->provision.config;
	uint64_t now = clock_mono_ms(), farthest = 0;
	struct raft_status st;
	unsigned tick_ms;

	raft_status(n->raft, &st);
	for (size_t i = 0; i < n->peers_n; i++) {
		const struct peer *p = &n->peers[i];

		if (p->status_ms != 0 && now - p->status_ms < IN_TOUCH_MS &&
		    peers_is_member(&st.conf, p->id) &&
		    rtt_ms(&p->rtt) > farthest)
			farthest = rtt_ms(&p->rtt);
	}
	tick_ms = pace_tick_ms(n->configured_tick_ms, c->election_ms, farthest);
	metric_set(
	    M_election_ms, c->election_ms * tick_ms / n->configured_tick_ms);
	metric_set(M_farthest_rtt, farthest);
	if (tick_ms == n->tick_ms)
		return;
	log_event(EV_raft_pace, "rtt_ms=%llu election_ms=%llu",
	    (unsigned long long)farthest,
	    (unsigned long long)c->election_ms * tick_ms /
		n->configured_tick_ms);
	n->tick_ms = tick_ms;
}

/* ---- Receiving ---- */

static void note_checkpoint(struct peer *p, const struct ca_checkpoint *c)
{
	for (size_t i = 0; i < p->checkpoints_n; i++)
		if (p->checkpoints[i].index == c->index)
			return;
	if (p->checkpoints_n == PEER_CHECKPOINTS) {
		memmove(p->checkpoints, p->checkpoints + 1,
		    (PEER_CHECKPOINTS - 1) * sizeof(*c));
		p->checkpoints_n--;
	}
	p->checkpoints[p->checkpoints_n++] = *c;
}

/* A status that was held up on its way tells an old time, and never one that is
 * too new: what counts is the most that was heard in the last half minute,
 * against the clock that nobody sets. */
static void note_time(struct peer *p, uint64_t time_ms)
{
	uint64_t now = clock_mono_ms();
	int64_t lead = (int64_t)(time_ms - now);

	if (p->lead_since_ms == 0) {
		p->lead_ms[0] = p->lead_ms[1] = lead;
		p->lead_since_ms = now;
	} else if (now - p->lead_since_ms > LEAD_MS) {
		p->lead_ms[1] = p->lead_ms[0];
		p->lead_ms[0] = lead;
		p->lead_since_ms = now;
	} else if (lead > p->lead_ms[0]) {
		p->lead_ms[0] = lead;
	}
	if (p->lead_ms[1] > p->lead_ms[0])
		lead = p->lead_ms[1];
	else
		lead = p->lead_ms[0];
	p->clock_offset_ms = lead - (int64_t)(clock_unix_ms() - now);
}

static void on_status(
    struct node *n, struct peer *p, const struct wire_status *s)
{
	p->status_ms = clock_mono_ms();
	p->sent_ms = s->sent_ms;
	if (s->echo_ms != 0 && s->echo_ms + s->held_ms <= p->status_ms)
		rtt_note(&p->rtt, p->status_ms,
		    p->status_ms - s->echo_ms - s->held_ms);
	p->applied = s->applied;
	p->tree_size = s->tree_size;
	note_time(p, s->time_ms);
	p->issuing = s->issuing;
	repair_heard(n, p, s);
	crl_note_published(n, p, s);
	for (size_t i = 0; i < s->checkpoints_n; i++)
		note_checkpoint(p, &s->checkpoints[i]);
	if (s->checkpoints_n > 0)
		peers_compare(n);
}

/* No room for what a leader sends: it is dropped before anything is
 * acknowledged, and the leader tries again. */
static bool no_room(const struct node *n, const struct raft_message *m)
{
	return n->space_low && m->type == RAFT_MSG_APP && m->entries_n > 0;
}

/* Time in the log only goes forward: one entry stamped far ahead would make
 * every later command look expired.  So a leader takes none that is far from
 * its own clock. */
static bool time_is_off(const struct node *n, const struct raft_message *m)
{
	uint64_t now = clock_unix_ms(), t;

	if (m->type != RAFT_MSG_PROP || n->role != RAFT_LEADER)
		return false;
	for (size_t i = 0; i < m->entries_n; i++) {
		struct span raw =
		    span_of(m->entries[i].data.p, m->entries[i].data.len);

		if (m->entries[i].type != RAFT_ENTRY_NORMAL || raw.len == 0)
			continue;
		if (wire_entry_time(raw, &t, NULL) != E_OK ||
		    t > now + STAMP_OFF_MS || t + STAMP_OFF_MS < now) {
			log_event(EV_proposal_time_refused, "peer=%llu",
			    (unsigned long long)m->from);
			return true;
		}
	}
	return false;
}

static enum code on_raft(
    struct node *n, struct peer *p, const struct raft_message *m, struct err *e)
{
	int rc;

	if (m->from != p->id || m->to != n->id || m->type == RAFT_MSG_SNAP) {
		metric_inc(M_mesh_rejected);
		return E_OK;
	}
	if (no_room(n, m) || time_is_off(n, m))
		return E_OK;
	raft_clock(n->raft, clock_boot_ms());
	rc = raft_step(n->raft, m);
	if (rc == RAFT_ENOMEM || rc == RAFT_EIO)
		return err_set(e, E_IO, "raft: %s", raft_strerror(rc));
	if (rc == RAFT_EINVAL)
		metric_inc(M_mesh_rejected);
	return E_OK;
}

static enum code on_message(
    struct node *n, const struct mesh_event *ev, struct peer *p, struct err *e)
{
	struct wire_memory *mem = NULL;
	struct wire_mesh w;
	struct err bad = {0};
	enum code rc = wire_mesh_decode(buf_span(&ev->payload), &w, &mem, &bad);

	p->heard_ms = clock_mono_ms();
	if (rc == E_NOMEM)
		return E_OK; /* as if it were lost */
	if (rc != E_OK) {
		metric_inc(M_mesh_rejected);
		log_event(EV_mesh_message_invalid, "peer=%llu why=\"%s\"",
		    (unsigned long long)p->id, bad.text);
		return E_OK;
	}
	switch (w.kind) {
	case WIRE_RAFT: rc = on_raft(n, p, &w.u.raft, e); break;
	case WIRE_STATUS: on_status(n, p, &w.u.status); break;
	case WIRE_HELLO: break; /* not spoken in this version */
	case WIRE_CHUNK: rc = snapshot_in_chunk(n, p->id, &w.u.chunk, e); break;
	case WIRE_ACK: snapshot_out_ack(n, p, &w.u.ack); break;
	}
	wire_free(mem);
	return rc;
}

enum code peers_receive(struct node *n, struct err *e)
{
	struct mesh_event ev;
	enum code rc = E_OK;

	for (int i = 0; i < RECEIVE_MAX && rc == E_OK; i++) {
		struct peer *p;

		if (!mesh_receive(n->mesh, &ev))
			break;
		p = peers_find(n, ev.peer);
		if (p != NULL && ev.kind == MESH_MESSAGE)
			rc = on_message(n, &ev, p, e);
		else if (ev.kind == MESH_UNREACHABLE &&
			 ev.channel == MESH_MESSAGES)
			raft_report_unreachable(n->raft, ev.peer);
		else if (ev.kind == MESH_GONE && ev.channel == MESH_MESSAGES)
			gone_heard(n, ev.peer);
		buf_free(&ev.payload);
	}
	return rc;
}

/* ---- Checkpoints ---- */

static bool same(const struct ca_checkpoint *a, const struct ca_checkpoint *b)
{
	return a->index == b->index &&
	       memcmp(a->root, b->root, SHA256_LEN) == 0 &&
	       memcmp(a->state_digest, b->state_digest, SHA256_LEN) == 0;
}

void peers_compare(struct node *n)
{
	struct ca_checkpoint own;
	size_t agree = 1, differ = 0;
	bool confirmed;

	if (n->diverged[0] != '\0' ||
	    ca_checkpoint_newest(n->ca, &own, &confirmed, NULL) != E_OK)
		return;
	for (size_t i = 0; i < n->peers_n; i++)
		for (size_t k = 0; k < n->peers[i].checkpoints_n; k++) {
			const struct ca_checkpoint *c =
			    &n->peers[i].checkpoints[k];

			/* Whoever lost a leaf, or has one more, is at another
			 * index by then. */
			if (c->tree_size != own.tree_size)
				continue;
			agree += same(c, &own);
			differ += !same(c, &own);
		}
	if (differ > agree)
		node_diverged(n,
		    "the state at index %llu is not that of %zu other nodes: "
		    "this node stops serving; replace it (quorate member "
		    "remove, then join a new one) and keep its data directory "
		    "for a look",
		    (unsigned long long)own.index, differ);
}
