/* check.c -- what must hold after every event. */
#include "sim.h"

#include <stdlib.h>

#define ULL(x) ((unsigned long long)(x))

uint64_t check_entry_hash(enum raft_entry_type type, const void *p, size_t len)
{
	const uint8_t *b = p;
	uint64_t h = 0xcbf29ce484222325u + type;

	for (size_t i = 0; i < len; i++)
		h = (h ^ b[i]) * 0x100000001b3u;
	return h;
}

/* A term that no fault of a disk hides: the check is not the node. */
static int term_of(const struct node *n, raft_index i, raft_term *out)
{
	int rc;

	n->w->checking = true;
	rc = log_term(&n->raft->log, i, out);
	n->w->checking = false;
	return rc;
}

static struct position *position(struct world *w, raft_index i)
{
	w->pos = sim_grow(w->pos, &w->pos_cap, (size_t)i + 1, sizeof(*w->pos));
	return &w->pos[i];
}

/* The entry of a node's log as the core sees it; false: not there any more. */
static bool look(const struct node *n, raft_index i, raft_term *term,
    uint64_t *hash, enum raft_entry_type *type)
{
	const struct raft_log *l = &n->raft->log;
	const struct sim_entry *s;

	if (i >= l->offset && i - l->offset < l->tail_n) {
		const struct raft_entry *e = &l->tail[i - l->offset];

		*term = e->term;
		*type = e->type;
		*hash = check_entry_hash(e->type, e->data.p, e->data.len);
		return true;
	}
	if (l->snapshot != NULL || i >= l->offset)
		return false;
	s = disk_entry(&n->disk, i);
	if (s == NULL)
		return false;
	*term = s->term;
	*type = s->type;
	*hash = check_entry_hash(s->type, s->data, s->len);
	return true;
}

/* Log matching: a term and an index name one entry, and so one predecessor,
 * whose own term and index do the same. */
static void check_matching(struct node *n, raft_index i, raft_term term,
    uint64_t hash, raft_term prev_term)
{
	struct world *w = n->w;
	struct position *p = position(w, i);

	for (size_t k = 0; k < p->n; k++) {
		const struct variant *v = &p->v[k];

		if (v->term != term)
			continue;
		if (v->hash != hash || v->prev_term != prev_term)
			sim_fail(w,
			    "log matching: n%llu has another entry %llu/%llu",
			    ULL(n->id), ULL(term), ULL(i));
		return;
	}
	p->v = sim_grow(p->v, &p->cap, p->n + 1, sizeof(*p->v));
	p->v[p->n++] = (struct variant){term, prev_term, hash};
}

/* ---- Commits ---- */

/* Who lost it must not vote, and so it counts as before. */
bool check_holds(const struct node *n, raft_index i, raft_term term)
{
	return disk_holds(&n->disk, i, term) || i <= n->disk.lost_upto;
}

static size_t durable(
    struct world *w, const raft_id *ids, size_t n, raft_index i, raft_term term)
{
	size_t yes = 0;

	for (size_t k = 0; k < n; k++)
		yes += check_holds(&w->node[ids[k]], i, term);
	return yes;
}

/* A leader commits what the disks of a quorum hold. */
static void check_durable(struct node *n, raft_index i, raft_term term)
{
	const struct raft_conf_state *c = &n->raft->tracker.conf;
	size_t a = durable(n->w, c->voters, c->voters_n, i, term);
	size_t b =
	    durable(n->w, c->voters_outgoing, c->voters_outgoing_n, i, term);

	if (a <= c->voters_n / 2 ||
	    (c->voters_outgoing_n > 0 && b <= c->voters_outgoing_n / 2))
		sim_fail(n->w,
		    "n%llu commits %llu/%llu, durable on %zu of %zu and %zu of "
		    "%zu",
		    ULL(n->id), ULL(term), ULL(i), a, c->voters_n, b,
		    c->voters_outgoing_n);
	far_check_commit(n, c->voters, c->voters_n, i, term);
	far_check_commit(n, c->voters_outgoing, c->voters_outgoing_n, i, term);
}

static void check_commit(struct node *n, raft_index from, raft_index to)
{
	struct world *w = n->w;
	raft_term term;
	uint64_t hash;
	enum raft_entry_type type;

	for (raft_index i = from + 1; i <= to && !w->failed; i++) {
		struct position *p = position(w, i);

		if (!look(n, i, &term, &hash, &type))
			continue;
		if (p->committed) {
			if (p->term != term || p->hash != hash)
				sim_fail(w,
				    "state machine safety: n%llu commits "
				    "%llu/%llu, but %llu/%llu was committed",
				    ULL(n->id), ULL(term), ULL(i), ULL(p->term),
				    ULL(i));
			continue;
		}
		p->committed = true;
		p->term = term;
		p->in_term = n->raft->term;
		p->hash = hash;
		w->count[SIM_COMMIT]++;
		w->max_commit = i > w->max_commit ? i : w->max_commit;
		if (n->raft->state == RAFT_LEADER)
			check_durable(n, i, term);
	}
}

void check_applied(struct node *n, const struct raft_entry *e)
{
	struct world *w = n->w;
	struct position *p = position(w, e->index);
	uint64_t h = check_entry_hash(e->type, e->data.p, e->data.len);

	n->machine.is.hash =
	    (n->machine.is.hash ^ h ^ e->term) * 0x100000001b3u;
	if (!p->committed || p->term != e->term || p->hash != h)
		sim_fail(w, "n%llu applies %llu/%llu, which was not committed",
		    ULL(n->id), ULL(e->term), ULL(e->index));
	if (p->applied && p->chain != n->machine.is.hash)
		sim_fail(w, "state machines differ at %llu on n%llu",
		    ULL(e->index), ULL(n->id));
	p->applied = true;
	p->chain = n->machine.is.hash;
}

static uint64_t hash_ids(uint64_t h, const raft_id *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ ids[i]) * 0x100000001b3u;
	return (h ^ n << 32) * 0x100000001b3u;
}

/* At one index there is one configuration. */
void check_conf(struct node *n)
{
	const struct raft_conf_state *c = &n->machine.conf;
	struct position *p = position(n->w, n->machine.applied);
	uint64_t h = 0xcbf29ce484222325u + c->auto_leave;

	h = hash_ids(h, c->voters, c->voters_n);
	h = hash_ids(h, c->voters_outgoing, c->voters_outgoing_n);
	h = hash_ids(h, c->learners, c->learners_n);
	h = hash_ids(h, c->learners_next, c->learners_next_n);
	if (p->conf != 0 && p->conf != h)
		sim_fail(n->w, "configurations differ at %llu on n%llu",
		    ULL(n->machine.applied), ULL(n->id));
	p->conf = h;
}

void check_installed(struct node *n)
{
	check_conf(n);
	struct position *p = position(n->w, n->machine.applied);

	if (p->chain != n->machine.is.hash)
		sim_fail(n->w, "n%llu installed another's state at %llu",
		    ULL(n->id), ULL(n->machine.applied));
}

bool check_is_committed(struct world *w, raft_index i,
    enum raft_entry_type type, const void *p, size_t len)
{
	const struct position *at = position(w, i);

	return at->committed && at->hash == check_entry_hash(type, p, len);
}

/* ---- Leaders ---- */

static void check_elected(struct node *n)
{
	struct world *w = n->w;
	struct raft *r = n->raft;
	raft_index first = 0;
	raft_term term;
	uint64_t hash;
	enum raft_entry_type type;

	w->count[SIM_ELECTION]++;
	w->leader_of = sim_grow(w->leader_of, &w->terms_cap,
	    (size_t)r->term + 1, sizeof(*w->leader_of));
	if (w->leader_of[r->term] != 0)
		sim_fail(w, "election safety: n%llu and n%llu lead term %llu",
		    ULL(w->leader_of[r->term]), ULL(n->id), ULL(r->term));
	w->leader_of[r->term] = n->id;
	log_first_index(&r->log, &first);
	for (raft_index i = first; i <= w->max_commit && !w->failed; i++) {
		const struct position *p = position(w, i);

		if (!p->committed || p->in_term >= r->term)
			continue;
		if (!look(n, i, &term, &hash, &type) || term != p->term)
			sim_fail(w,
			    "leader completeness: n%llu leads term %llu "
			    "without the committed %llu/%llu",
			    ULL(n->id), ULL(r->term), ULL(p->term), ULL(i));
	}
}

/* One membership change at a time: a leader's new one follows none that it
 * has not applied. */
static void check_conf_pending(struct node *n, raft_index from, raft_index last)
{
	struct raft *r = n->raft;
	raft_index other = 0;
	raft_term term;
	uint64_t hash;
	enum raft_entry_type type;

	if (from > last)
		return;
	for (raft_index i = r->log.applied + 1; i <= last; i++) {
		if (!look(n, i, &term, &hash, &type) ||
		    type != RAFT_ENTRY_CONF_CHANGE)
			continue;
		if (other != 0 && i >= from && term == r->term)
			sim_fail(n->w, "changes %llu and %llu are both pending",
			    ULL(other), ULL(i));
		other = i;
	}
}

static void check_leader(struct node *n, raft_index last)
{
	struct raft *r = n->raft;
	raft_term term = 0;

	if (n->seen_state != RAFT_LEADER || n->seen_term != r->term) {
		check_elected(n);
		return;
	}
	if (last < n->seen_last || term_of(n, n->seen_last, &term) != RAFT_OK ||
	    term != n->seen_last_term)
		sim_fail(n->w, "n%llu leads and cuts its own log at %llu",
		    ULL(n->id), ULL(n->seen_last));
	check_conf_pending(n, n->seen_last + 1, last);
}

/* ---- A node ---- */

static void check_log(struct node *n, raft_index from, raft_index to)
{
	raft_term term, prev = 0;
	uint64_t hash;
	enum raft_entry_type type;

	term_of(n, from - 1, &prev);
	for (raft_index i = from; i <= to && !n->w->failed; i++) {
		if (!look(n, i, &term, &hash, &type)) {
			sim_fail(
			    n->w, "n%llu: no entry %llu", ULL(n->id), ULL(i));
			return;
		}
		check_matching(n, i, term, hash, prev);
		if (term < prev)
			sim_fail(n->w, "n%llu: terms go back at %llu",
			    ULL(n->id), ULL(i));
		prev = term;
	}
}

/* What the core tracks is its configuration, no more and no less. */
static void check_tracker(struct node *n)
{
	const struct tracker *t = &n->raft->tracker;
	const struct raft_conf_state *c = &t->conf;
	size_t others = 0;

	for (size_t i = 0; i < t->n; i++) {
		const struct progress *p = &t->peers[i];
		bool learner = id_in(c->learners, c->learners_n, p->id);

		if (learner == tracker_is_voter(t, p->id) ||
		    learner != p->learner)
			sim_fail(n->w, "n%llu tracks n%llu as what it is not",
			    ULL(n->id), ULL(p->id));
	}
	for (size_t i = 0; i < c->voters_outgoing_n; i++)
		others += !id_in(c->voters, c->voters_n, c->voters_outgoing[i]);
	if (t->n != c->voters_n + c->learners_n + others)
		sim_fail(n->w, "n%llu tracks %zu of %zu members", ULL(n->id),
		    t->n, c->voters_n + c->learners_n + others);
}

static void remember(struct node *n, raft_index last)
{
	n->seen_term = n->raft->term;
	n->seen_commit = n->raft->log.committed;
	n->seen_applied = n->raft->log.applied;
	n->seen_state = n->raft->state;
	n->seen_last = last;
	term_of(n, last, &n->seen_last_term);
	n->tail_offset = n->raft->log.offset;
	n->tail_n = n->raft->log.tail_n;
}

void check_booted(struct node *n)
{
	raft_index last = 0;

	log_last_index(&n->raft->log, &last);
	remember(n, last);
}

void check_node(struct node *n)
{
	struct raft *r = n->raft;
	struct world *w = n->w;
	raft_index last = 0;
	raft_term term = 0;

	if (w->failed || !n->up)
		return;
	if (n->must_stop) {
		if (n->read_failed && r->fatal == RAFT_OK)
			sim_fail(w, "n%llu goes on after a read that failed",
			    ULL(n->id));
		return;
	}
	if (r->fatal != RAFT_OK) {
		sim_fail(w, "n%llu gives up: %s", ULL(n->id),
		    raft_strerror(r->fatal));
		return;
	}
	log_last_index(&r->log, &last);
	if (r->term < n->seen_term || r->log.committed < n->seen_commit ||
	    r->log.applied < n->seen_applied)
		sim_fail(
		    w, "n%llu: term, commit or applied goes back", ULL(n->id));
	if (r->log.committed > last || r->log.applied > r->log.committed)
		sim_fail(w, "n%llu: applied %llu, commit %llu, last %llu",
		    ULL(n->id), ULL(r->log.applied), ULL(r->log.committed),
		    ULL(last));
	check_tracker(n);
	term_of(n, last, &term);
	if (last != n->seen_last || term != n->seen_last_term ||
	    r->log.offset != n->tail_offset || r->log.tail_n != n->tail_n)
		check_log(n, r->log.offset, last);
	check_commit(n, n->seen_commit, r->log.committed);
	if (r->state == RAFT_LEADER) {
		check_leader(n, last);
		far_check_waits(n, last);
	}
	remember(n, last);
}

/* Everything, now and then: whole logs, and whole commits. */
void check_all(struct world *w)
{
	for (raft_id id = 1; id <= w->nodes && !w->failed; id++) {
		struct node *n = &w->node[id];
		raft_index first = 0, last = 0;

		if (!n->up)
			continue;
		check_node(n);
		if (n->must_stop)
			continue;
		log_first_index(&n->raft->log, &first);
		log_last_index(&n->raft->log, &last);
		check_log(n, first, last);
		check_commit(n, first - 1, n->raft->log.committed);
	}
}

/* ---- Persisted before acknowledged ---- */

static bool acked_is_leaders(struct node *n, const struct raft_message *m)
{
	struct world *w = n->w;
	struct node *l;
	raft_term term;

	if (m->term >= w->terms_cap || w->leader_of[m->term] == 0)
		return true;
	l = &w->node[w->leader_of[m->term]];
	if (!l->up || l->raft->term != m->term ||
	    term_of(l, m->index, &term) != RAFT_OK)
		return true;
	return disk_holds(&n->disk, m->index, term);
}

void check_send(struct node *n, const struct raft_message *m)
{
	const struct disk *d = &n->disk;
	bool ok = true;

	switch (m->type) {
	case RAFT_MSG_APP_RESP:
		/* An ack of an earlier term may be for entries that a later
		 * leader replaced on their way to the disk: that leader's
		 * voters knew of them, so nothing is lost. */
		ok = d->hard.term > m->term ||
		     (d->hard.term == m->term &&
			 (m->reject || (disk_last(d) >= m->index &&
					   acked_is_leaders(n, m))));
		break;
	case RAFT_MSG_VOTE_RESP:
		ok = m->reject || d->hard.term > m->term ||
		     (d->hard.term == m->term && d->hard.vote == m->to);
		break;
	case RAFT_MSG_VOTE:
		/* One that follows by now asks for nothing: the leader of the
		 * term may have replaced its log on the way to the disk. */
		ok = d->hard.term > m->term ||
		     (n->raft->state == RAFT_FOLLOWER && n->raft->leader != 0 &&
			 n->raft->term == m->term) ||
		     (d->hard.term == m->term && d->hard.vote == n->id &&
			 disk_holds(d, m->index, m->log_term));
		break;
	default: break;
	}
	if (!ok)
		sim_fail(n->w,
		    "n%llu: %s term %llu index %llu to n%llu leaves "
		    "before the disk",
		    ULL(n->id), raft_message_name(m->type), ULL(m->term),
		    ULL(m->index), ULL(m->to));
}

void check_free(struct world *w)
{
	for (size_t i = 0; i < w->pos_cap; i++)
		free(w->pos[i].v);
	free(w->pos);
	free(w->leader_of);
}
