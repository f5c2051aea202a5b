/* tracker.c -- a leader's view of its peers, and what a quorum of them says.
 * A joint configuration decides by both of its halves [4.3]. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

bool id_in(const raft_id *ids, size_t n, raft_id id)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

struct progress *tracker_find(struct tracker *t, raft_id id)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->peers[i].id == id)
			return &t->peers[i];
	return NULL;
}

struct progress *tracker_add(struct tracker *t, raft_id id)
{
	size_t at = 0;

	if (t->n == RAFT_PEERS_MAX)
		return NULL;
	while (at < t->n && t->peers[at].id < id)
		at++;
	memmove(&t->peers[at + 1], &t->peers[at],
	    (t->n - at) * sizeof(t->peers[0]));
	t->n++;
	t->peers[at] = (struct progress){.id = id};
	return &t->peers[at];
}

void tracker_drop(struct tracker *t, raft_id id)
{
	struct progress *p = tracker_find(t, id);

	if (p == NULL)
		return;
	free(p->inflights.ring);
	t->n--;
	memmove(p, p + 1, (size_t)(&t->peers[t->n] - p) * sizeof(*p));
}

void tracker_free(struct tracker *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->peers[i].inflights.ring);
	t->n = 0;
}

bool tracker_only_voter(const struct tracker *t, raft_id id)
{
	return t->conf.voters_n == 1 &&
	       RAFT_GUARD(LONE_IN_JOINT, t->conf.voters_outgoing_n == 0) &&
	       RAFT_GUARD(LONE_ITSELF, t->conf.voters[0] == id);
}

bool tracker_is_voter(const struct tracker *t, raft_id id)
{
	return id_in(t->conf.voters, t->conf.voters_n, id) ||
	       id_in(t->conf.voters_outgoing, t->conf.voters_outgoing_n, id);
}

/* The highest index that a majority of these voters holds [3.5]. */
static raft_index majority_committed(
    struct tracker *t, const raft_id *ids, size_t n)
{
	raft_index match[RAFT_PEERS_MAX];

	if (n == 0)
		return UINT64_MAX; /* an empty half agrees to anything */
	for (size_t i = 0; i < n; i++) {
		const struct progress *p = tracker_find(t, ids[i]);
		raft_index m = p == NULL ? 0 : p->match;
		size_t k = i;

		for (; k > 0 && match[k - 1] < m; k--)
			match[k] = match[k - 1];
		match[k] = m;
	}
	/* descending: n/2 + 1 voters have at least match[n/2] */
	return RAFT_GUARD(COMMIT_QUORUM, true) ? match[n / 2] : match[0];
}

struct group {
	uint64_t id;
	raft_index match; /* of the member that holds most */
};

static size_t groups_of(
    struct tracker *t, const raft_id *ids, size_t n, struct group *g)
{
	const struct raft_config *c = t->config;
	size_t groups = 0;

	for (size_t i = 0; i < n; i++) {
		const struct progress *p = tracker_find(t, ids[i]);
		raft_index m = p == NULL ? 0 : p->match;
		uint64_t id = c->group_of(c->group_ctx, ids[i]);
		size_t k = 0;

		while (k < groups && g[k].id != id)
			k++;
		if (k == groups)
			g[groups++] = (struct group){id, m};
		else if (g[k].match < m)
			g[k].match = m;
	}
	return groups;
}

/* The highest index that config.commit_groups groups of these voters hold. */
static raft_index groups_committed(
    struct tracker *t, const raft_id *ids, size_t n)
{
	struct group g[RAFT_PEERS_MAX];
	size_t want = t->config == NULL ? 0 : t->config->commit_groups;
	size_t groups;

	if (want < 2 || n == 0)
		return UINT64_MAX;
	groups = groups_of(t, ids, n, g);
	if (want > groups)
		want = groups;
	for (size_t i = 0; i < want; i++) /* the best come first */
		for (size_t k = i + 1; k < groups; k++)
			if (g[k].match > g[i].match) {
				struct group swap = g[i];

				g[i] = g[k];
				g[k] = swap;
			}
	return g[want - 1].match;
}

static raft_index half_committed(
    struct tracker *t, const raft_id *ids, size_t n)
{
	raft_index majority = majority_committed(t, ids, n);
	raft_index groups = groups_committed(t, ids, n);

	return RAFT_GUARD(COMMIT_GROUPS, groups < majority) ? groups : majority;
}

raft_index tracker_committed(struct tracker *t)
{
	raft_index a = half_committed(t, t->conf.voters, t->conf.voters_n);
	raft_index b = half_committed(
	    t, t->conf.voters_outgoing, t->conf.voters_outgoing_n);

	return RAFT_GUARD(JOINT_COMMITS, true) && b < a ? b : a;
}

static enum vote_result majority_tally(const raft_id *ids, size_t n,
    int (*says)(const void *arg, raft_id id), const void *arg)
{
	size_t yes = 0, missing = 0, need = n / 2 + 1;

	if (n == 0)
		return VOTE_WON;
	for (size_t i = 0; i < n; i++) {
		int v = says(arg, ids[i]);

		yes += v == VOTE_YES;
		missing += v == VOTE_NONE;
	}
	if (yes >= need)
		return VOTE_WON;
	return yes + missing >= need ? VOTE_PENDING : VOTE_LOST;
}

enum vote_result tracker_tally(const struct tracker *t,
    int (*says)(const void *arg, raft_id id), const void *arg)
{
	enum vote_result a =
	    majority_tally(t->conf.voters, t->conf.voters_n, says, arg);
	enum vote_result b = majority_tally(
	    t->conf.voters_outgoing, t->conf.voters_outgoing_n, says, arg);

	if (a == b || !RAFT_GUARD(JOINT_ELECTS, true))
		return a;
	return a == VOTE_LOST || b == VOTE_LOST ? VOTE_LOST : VOTE_PENDING;
}

static int says_vote(const void *arg, raft_id id)
{
	const struct tracker *t = arg;

	for (size_t i = 0; i < t->n; i++)
		if (t->peers[i].id == id)
			return (int)t->peers[i].vote;
	return VOTE_NONE;
}

enum vote_result tracker_votes(struct tracker *t)
{
	return tracker_tally(t, says_vote, t);
}

static int says_active(const void *arg, raft_id id)
{
	const struct tracker *t = arg;

	for (size_t i = 0; i < t->n; i++)
		if (t->peers[i].id == id)
			return t->peers[i].recent_active ? VOTE_YES : VOTE_NO;
	return VOTE_NO;
}

bool tracker_quorum_active(struct tracker *t)
{
	return tracker_tally(t, says_active, t) == VOTE_WON;
}

/* ---- In-flight window [10.2.1] ---- */

bool inflights_full(const struct inflights *f, const struct tracker *t)
{
	return RAFT_GUARD(WINDOW_MSGS, f->n >= t->max_inflight_msgs) ||
	       (t->max_inflight_bytes != 0 &&
		   RAFT_GUARD(WINDOW_BYTES, f->bytes >= t->max_inflight_bytes));
}

static int inflights_grow(struct inflights *f, size_t limit)
{
	size_t cap = f->cap == 0 ? 8 : f->cap * 2;
	struct inflight *ring;

	if (cap > limit)
		cap = limit;
	ring = malloc(cap * sizeof(*ring));
	if (ring == NULL)
		return RAFT_ENOMEM;
	for (size_t i = 0; i < f->n; i++)
		ring[i] = f->ring[(f->start + i) % f->cap];
	free(f->ring);
	f->ring = ring;
	f->start = 0;
	f->cap = cap;
	return RAFT_OK;
}

int inflights_add(
    struct inflights *f, raft_index last, size_t bytes, const struct tracker *t)
{
	if (f->n == f->cap && inflights_grow(f, t->max_inflight_msgs) != 0)
		return RAFT_ENOMEM;
	f->ring[(f->start + f->n) % f->cap] = (struct inflight){last, bytes};
	f->n++;
	f->bytes += bytes;
	return RAFT_OK;
}

void inflights_free_to(struct inflights *f, raft_index to)
{
	while (f->n > 0 && f->ring[f->start].last <= to) {
		f->bytes -= f->ring[f->start].bytes;
		f->start = (f->start + 1) % f->cap;
		f->n--;
	}
	if (f->n == 0)
		f->start = 0;
}

void inflights_reset(struct inflights *f)
{
	f->start = f->n = f->bytes = 0;
}

/* ---- Progress: probe, replicate, snapshot ---- */

static void reset_state(struct progress *p, enum raft_progress_state s)
{
	p->flow_paused = false;
	p->pending_snapshot = 0;
	p->state = s;
	inflights_reset(&p->inflights);
}

static void clamp_sent_commit(struct progress *p)
{
	if (p->sent_commit > p->next - 1)
		p->sent_commit = p->next - 1;
}

void progress_become_probe(struct progress *p)
{
	raft_index pending = p->pending_snapshot;
	bool was_snapshot = p->state == RAFT_SNAPSHOTTING;

	reset_state(p, RAFT_PROBE);
	p->next = p->match + 1;
	/* A snapshot that arrived is probed for just past it. */
	if (RAFT_GUARD(SNAP_PROBED_PAST, was_snapshot) && pending + 1 > p->next)
		p->next = pending + 1;
	clamp_sent_commit(p);
}

void progress_become_replicate(struct progress *p)
{
	reset_state(p, RAFT_REPLICATE);
	p->next = p->match + 1;
}

void progress_become_snapshot(struct progress *p, raft_index i)
{
	reset_state(p, RAFT_SNAPSHOTTING);
	p->pending_snapshot = i;
	p->next = i + 1;
	p->sent_commit = i;
}

bool progress_maybe_update(struct progress *p, raft_index i)
{
	if (RAFT_GUARD(MATCH_FORWARD, i <= p->match))
		return false;
	p->match = i;
	if (RAFT_GUARD(NEXT_FOLLOWS, p->next <= i))
		p->next = i + 1;
	p->flow_paused = false;
	return true;
}

bool progress_maybe_decrement(
    struct progress *p, raft_index rejected, raft_index hint)
{
	raft_index next;

	if (p->state == RAFT_REPLICATE) {
		if (RAFT_GUARD(REJECT_OLD, rejected <= p->match))
			return false; /* stale */
		p->next = p->match + 1;
		clamp_sent_commit(p);
		return true;
	}
	if (RAFT_GUARD(REJECT_PROBED, p->next - 1 != rejected))
		return false; /* stale */
	next = rejected < hint + 1 ? rejected : hint + 1;
	p->next =
	    RAFT_GUARD(NEXT_PAST_MATCH, next > p->match) ? next : p->match + 1;
	clamp_sent_commit(p);
	p->flow_paused = false;
	return true;
}

bool progress_paused(const struct progress *p)
{
	return p->state == RAFT_SNAPSHOTTING || p->flow_paused;
}

int progress_sent(
    struct progress *p, size_t entries, size_t bytes, const struct tracker *t)
{
	int rc = RAFT_OK;

	if (p->state == RAFT_REPLICATE) {
		if (entries > 0) {
			p->next += entries;
			rc =
			    inflights_add(&p->inflights, p->next - 1, bytes, t);
		}
		p->flow_paused = inflights_full(&p->inflights, t);
	} else if (entries > 0 &&
		   RAFT_GUARD(PROBE_ONE, p->state == RAFT_PROBE)) {
		p->flow_paused = true;
	}
	return rc;
}
