/* read_index.c -- linearizable reads without writing [6.4].
 *
 * Each request gets a round number that this leader makes, once in its term, so
 * a late answer to an earlier try cannot confirm a later one (etcd #20418). */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static void waiting_drop(struct reads *s)
{
	s->waiting_n = 0;
}

void reads_reset(struct reads *s)
{
	s->n = 0;
	s->rounds = 0; /* answers of an earlier term are ignored */
	s->beats_n = 0;
	s->lease_off = false;
	waiting_drop(s);
}

void reads_free(struct reads *s)
{
	free(s->queue);
	free(s->waiting);
	*s = (struct reads){0};
}

static bool has_lease(const struct raft *r)
{
	return r->config.read_mode == RAFT_READ_LEASE &&
	       r->config.lease_ms != 0;
}

/* Heartbeats close to each other count as the first of them, so that those
 * that are kept reach back as far as a lease does. */
static void note_beat(struct raft *r)
{
	struct reads *s = &r->reads;
	uint64_t apart = r->config.lease_ms / (LEASE_BEATS - 1);

	if (s->beats_n == 0 ||
	    r->now_ms > s->beats[(s->beats_n - 1) % LEASE_BEATS].at_ms + apart)
		s->beats[s->beats_n++ % LEASE_BEATS] =
		    (struct beat){s->rounds, r->now_ms};
}

uint64_t reads_begin_round(struct raft *r)
{
	struct reads *s = &r->reads;

	if (!has_lease(r))
		return s->n == 0 ? 0 : s->queue[s->n - 1].round;
	s->rounds++;
	note_beat(r);
	return s->rounds;
}

void reads_add_state(struct raft *r, raft_index i, uint64_t context)
{
	if (r->read_states_n == r->read_states_cap) {
		size_t cap =
		    r->read_states_cap == 0 ? 8 : r->read_states_cap * 2;
		struct raft_read_state *p =
		    realloc(r->read_states, cap * sizeof(*p));

		if (p == NULL) {
			raft_fail(r, RAFT_ENOMEM);
			return;
		}
		r->read_states = p;
		r->read_states_cap = cap;
	}
	r->read_states[r->read_states_n++] =
	    (struct raft_read_state){i, context};
}

static void answer(struct raft *r, raft_id to, raft_index i, uint64_t context)
{
	if (to == 0 || to == r->id)
		reads_add_state(r, i, context);
	else
		raft_send(r, (struct raft_message){.to = to,
				 .type = RAFT_MSG_READ_INDEX_RESP,
				 .index = i,
				 .context = context});
}

static void wait_for_commit(struct raft *r, const struct raft_message *m)
{
	struct reads *s = &r->reads;

	if (s->waiting_n == s->waiting_cap) {
		size_t cap = s->waiting_cap == 0 ? 8 : s->waiting_cap * 2;
		struct raft_message *p = realloc(s->waiting, cap * sizeof(*p));

		if (p == NULL) {
			raft_fail(r, RAFT_ENOMEM);
			return;
		}
		s->waiting = p;
		s->waiting_cap = cap;
	}
	s->waiting[s->waiting_n++] = (struct raft_message){
	    .type = m->type, .from = m->from, .context = m->context};
}

static void enqueue(struct raft *r, const struct raft_message *m)
{
	struct reads *s = &r->reads;

	if (s->n == s->cap) {
		size_t cap = s->cap == 0 ? 8 : s->cap * 2;
		struct read_request *p = realloc(s->queue, cap * sizeof(*p));

		if (p == NULL) {
			raft_fail(r, RAFT_ENOMEM);
			return;
		}
		s->queue = p;
		s->cap = cap;
	}
	s->queue[s->n++] = (struct read_request){.round = ++s->rounds,
	    .context = m->context,
	    .from = m->from,
	    .index = r->log.committed};
	leader_broadcast_heartbeat(r);
}

struct asked {
	const struct raft *r;
	uint64_t round;
};

static int says_acked(const void *arg, raft_id id)
{
	const struct asked *a = arg;
	const struct progress *p =
	    tracker_find((struct tracker *)&a->r->tracker, id);

	if (id == a->r->id)
		return VOTE_YES;
	return p != NULL && RAFT_GUARD(READ_ROUND, p->read_round >= a->round)
		   ? VOTE_YES
		   : VOTE_NONE;
}

/* Has a quorum answered a heartbeat that left less than a lease ago [6.4.1]?  A
 * call to take over may come late, and who follows it is held by no promise:
 * a term in which one was sent has no lease. */
static bool lease_stands(struct raft *r)
{
	const struct reads *s = &r->reads;

	if (!has_lease(r))
		return r->config.read_mode == RAFT_READ_LEASE;
	if (RAFT_GUARD(LEASE_TRANSFER, s->lease_off))
		return false;
	for (size_t i = 0; i < LEASE_BEATS && i < s->beats_n; i++) {
		const struct beat *b = &s->beats[i];
		struct asked a = {r, b->round};

		if (RAFT_GUARD(LEASE_ENDS,
			r->now_ms < b->at_ms + r->config.lease_ms) &&
		    RAFT_GUARD(LEASE_QUORUM,
			tracker_tally(&r->tracker, says_acked, &a) == VOTE_WON))
			return true;
	}
	return false;
}

void reads_request(struct raft *r, const struct raft_message *m)
{
	/* Before the term's first commit a leader does not know what is
	 * committed [6.4, step 1]. */
	if (!RAFT_GUARD(READ_OWN_TERM, leader_committed_own_term(r))) {
		wait_for_commit(r, m);
		return;
	}
	/* A leader that was removed and has not noticed is no lone voter. */
	if (tracker_only_voter(&r->tracker, r->id) ||
	    RAFT_GUARD(READ_SAFE, lease_stands(r)))
		answer(r, m->from, r->log.committed, m->context);
	else
		enqueue(r, m);
}

void reads_release(struct raft *r)
{
	struct reads *s = &r->reads;

	for (size_t i = 0, n = s->waiting_n; i < n; i++)
		reads_request(r, &s->waiting[i]);
	waiting_drop(s);
}

/* A heartbeat of round k confirms every request up to k. */
void reads_ack(struct raft *r, struct progress *p, uint64_t round)
{
	struct reads *s = &r->reads;
	size_t at = 0;

	if (p->read_round < round)
		p->read_round = round;
	for (; at < s->n; at++) {
		struct asked a = {r, s->queue[at].round};

		if (!RAFT_GUARD(READ_QUORUM,
			tracker_tally(&r->tracker, says_acked, &a) == VOTE_WON))
			break;
		answer(r, s->queue[at].from, s->queue[at].index,
		    s->queue[at].context);
	}
	if (at == 0)
		return;
	s->n -= at;
	memmove(s->queue, s->queue + at, s->n * sizeof(*s->queue));
}
