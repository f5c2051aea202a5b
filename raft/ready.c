/* ready.c -- the work that the core hands to its caller. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

void ready_free(struct raft *r)
{
	queue_free(&r->given_owned);
	free(r->given);
	free(r->given_entries);
	free(r->given_committed);
	free(r->given_snapshot);
	free(r->given_reads);
	r->given = NULL;
	r->given_entries = r->given_committed = NULL;
	r->given_snapshot = NULL;
	r->given_reads = NULL;
}

void raft_applied_to(struct raft *r, raft_index i, size_t size)
{
	log_applied_to(&r->log,
	    RAFT_GUARD(APPLIED_FORWARD, i > r->log.applied) ? i
							    : r->log.applied,
	    size);
	leader_leave_joint(r);
}

static bool hard_differs(
    const struct raft_hard_state *a, const struct raft_hard_state *b)
{
	return RAFT_GUARD(HARD_TERM, a->term != b->term) ||
	       RAFT_GUARD(HARD_VOTE, a->vote != b->vote) ||
	       RAFT_GUARD(HARD_COMMIT, a->commit != b->commit);
}

static bool entries_to_give(const struct raft *r)
{
	return r->log.offset_in_progress < r->log.offset + r->log.tail_n;
}

static bool snapshot_to_give(const struct raft *r)
{
	return r->log.snapshot != NULL && !r->log.snapshot_in_progress;
}

bool raft_has_ready(const struct raft *r)
{
	struct raft_hard_state now = raft_hard(r);

	if (r->fatal != RAFT_OK)
		return false;
	return r->leader != r->prev_leader || r->state != r->prev_state ||
	       hard_differs(&now, &r->prev_hard) || snapshot_to_give(r) ||
	       r->out.n > 0 || r->after_append.n > 0 || entries_to_give(r) ||
	       log_has_committed(&r->log, !r->config.async_storage) ||
	       r->read_states_n > 0;
}

/* ---- Storage messages (async) ---- */

/* What steps back in when the append is durable: it names the last entry of
 * the log as it is now, and this term (no ABA). */
static struct raft_message append_done(
    struct raft *r, const struct raft_ready *rd)
{
	struct raft_message m = {.type = RAFT_MSG_STORAGE_APPEND_RESP,
	    .to = r->id,
	    .from = RAFT_APPEND_THREAD,
	    .term = r->term};

	if (r->log.tail_n > 0) {
		const struct raft_entry *e = &r->log.tail[r->log.tail_n - 1];

		m.index = e->index;
		m.log_term = e->term;
	}
	m.snapshot = (struct raft_snapshot *)rd->snapshot;
	return m;
}

static bool append_needs_response(
    const struct raft *r, const struct raft_ready *rd)
{
	return r->log.tail_n > 0 || rd->snapshot != NULL;
}

static void add_storage_append(struct raft *r, const struct raft_ready *rd)
{
	struct raft_message m = {.type = RAFT_MSG_STORAGE_APPEND,
	    .to = RAFT_APPEND_THREAD,
	    .from = r->id,
	    .entries = (struct raft_entry *)rd->entries,
	    .entries_n = rd->entries_n,
	    .snapshot = (struct raft_snapshot *)rd->snapshot};
	struct raft_queue *q = &r->after_append;

	if (rd->entries_n == 0 && !rd->hard_changed && rd->snapshot == NULL &&
	    RAFT_GUARD(ANSWERS_KEPT, q->n == 0))
		return;
	if (rd->hard_changed) {
		m.term = rd->hard.term;
		m.vote = rd->hard.vote;
		m.commit = rd->hard.commit;
	}
	m.responses = calloc(q->n + 1, sizeof(*m.responses));
	if (m.responses == NULL) {
		raft_fail(r, RAFT_ENOMEM);
		return;
	}
	for (size_t i = 0; i < q->n; i++)
		m.responses[m.responses_n++] = *q->m[i];
	if (append_needs_response(r, rd))
		m.responses[m.responses_n++] = append_done(r, rd);
	raft_fail(r, queue_add(&r->given_owned, &m));
	free(m.responses);
}

static struct raft_message apply_done(
    struct raft *r, const struct raft_ready *rd)
{
	return (struct raft_message){.type = RAFT_MSG_STORAGE_APPLY_RESP,
	    .to = r->id,
	    .from = RAFT_APPLY_THREAD,
	    .index = rd->committed[rd->committed_n - 1].index,
	    .size =
		raft_entries_bytes(&r->config, rd->committed, rd->committed_n),
	    .payload = raft_payload(rd->committed, rd->committed_n)};
}

static void add_storage_apply(struct raft *r, const struct raft_ready *rd)
{
	struct raft_message done,
	    m = {.type = RAFT_MSG_STORAGE_APPLY,
		.to = RAFT_APPLY_THREAD,
		.from = r->id,
		.entries = (struct raft_entry *)rd->committed,
		.entries_n = rd->committed_n};

	if (rd->committed == NULL)
		return;
	done = apply_done(r, rd);
	m.responses = &done;
	m.responses_n = 1;
	raft_fail(r, queue_add(&r->given_owned, &m));
}

/* ---- Messages of one raft_ready ---- */

static void take_messages(struct raft *r, const struct raft_ready *rd)
{
	struct raft_queue *q = &r->after_append;

	r->given_owned = r->out;
	r->out = (struct raft_queue){0};
	if (r->config.async_storage) {
		add_storage_append(r, rd);
		add_storage_apply(r, rd);
		queue_free(q);
		return;
	}
	/* Sync: to others with the rest, to itself at raft_advance. */
	for (size_t i = 0; i < q->n; i++)
		raft_fail(r, queue_add(q->m[i]->to == r->id ? &r->on_advance
							    : &r->given_owned,
				 q->m[i]));
	queue_free(q);
	if (append_needs_response(r, rd)) {
		struct raft_message m = append_done(r, rd);

		raft_fail(r, queue_add(&r->on_advance, &m));
	}
	if (rd->committed != NULL) {
		struct raft_message m = apply_done(r, rd);

		raft_fail(r, queue_add(&r->on_advance, &m));
	}
}

static int give_messages(struct raft *r, struct raft_ready *rd)
{
	size_t n;

	take_messages(r, rd);
	n = r->given_owned.n;
	r->given = calloc(n + 1, sizeof(*r->given));
	if (r->given == NULL)
		return raft_fail(r, RAFT_ENOMEM);
	for (size_t i = 0; i < n; i++)
		r->given[i] = *r->given_owned.m[i];
	rd->messages = r->given;
	rd->messages_n = n;
	return RAFT_OK;
}

static int give_entries(struct raft *r, struct raft_ready *rd)
{
	struct raft_log *l = &r->log;
	size_t from = (size_t)(l->offset_in_progress - l->offset);

	if (snapshot_to_give(r)) {
		r->given_snapshot = raft_snapshot_copy(l->snapshot);
		if (r->given_snapshot == NULL)
			return RAFT_ENOMEM;
		rd->snapshot = r->given_snapshot;
	}
	if (entries_to_give(r)) {
		r->given_entries =
		    raft_entries_copy(l->tail + from, l->tail_n - from);
		if (r->given_entries == NULL)
			return RAFT_ENOMEM;
		rd->entries = r->given_entries;
		rd->entries_n = l->tail_n - from;
	}
	return log_next_committed(
	    l, !r->config.async_storage, &r->given_committed, &rd->committed_n);
}

/* What is handed out now is not handed out again. */
static void accept(struct raft *r, const struct raft_ready *rd)
{
	struct raft_log *l = &r->log;

	r->prev_leader = r->leader;
	r->prev_state = r->state;
	if (rd->hard_changed)
		r->prev_hard = rd->hard;
	l->offset_in_progress = l->offset + l->tail_n;
	l->snapshot_in_progress = l->snapshot != NULL;
	if (rd->committed != NULL)
		log_accept_applying(l, rd->committed[rd->committed_n - 1].index,
		    raft_entries_bytes(
			&r->config, rd->committed, rd->committed_n),
		    !r->config.async_storage);
}

int raft_ready(struct raft *r, struct raft_ready *out)
{
	int rc;

	if (r->fatal != RAFT_OK)
		return r->fatal;
	ready_free(r);
	*out = (struct raft_ready){
	    .leader = r->leader, .state = r->state, .hard = raft_hard(r)};
	out->soft_changed =
	    r->leader != r->prev_leader || r->state != r->prev_state;
	out->hard_changed = hard_differs(&out->hard, &r->prev_hard);
	if ((rc = give_entries(r, out)) != RAFT_OK)
		return raft_fail(r, rc);
	out->committed = r->given_committed;
	out->must_sync =
	    RAFT_GUARD(SYNC_ENTRIES, out->entries_n > 0) ||
	    RAFT_GUARD(SYNC_VOTE, out->hard.vote != r->prev_hard.vote) ||
	    RAFT_GUARD(SYNC_TERM, out->hard.term != r->prev_hard.term);
	out->read_states = r->given_reads = r->read_states;
	out->read_states_n = r->read_states_n;
	r->read_states = NULL;
	r->read_states_n = r->read_states_cap = 0;
	if ((rc = give_messages(r, out)) != RAFT_OK)
		return rc;
	accept(r, out);
	raft_tell(r, RAFT_TRACE_READY, 0, 0, 0);
	return r->fatal;
}

int raft_advance(struct raft *r)
{
	struct raft_queue todo = r->on_advance;

	if (r->fatal != RAFT_OK)
		return r->fatal;
	ready_free(r);
	r->on_advance = (struct raft_queue){0};
	for (size_t i = 0; i < todo.n; i++)
		raft_step_any(r, todo.m[i]);
	queue_free(&todo);
	return r->fatal;
}
