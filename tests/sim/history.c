/* history.c -- what clients see is linearizable.
 *
 * The state is a list; a write appends its value, a read returns the whole
 * list.  So a write is worth the length of the list with its value, and a read
 * the length it returned, and a history is linearizable if
 *
 *   an operation is worth no less than any that was answered before it began,
 *   and a write more than that;
 *   a read returned the values that are at these places in the end;
 *   what was acknowledged is there, what was refused is not, and nothing is
 *   there more often than the network made copies of it.
 *
 * A write nobody was told about may be there or not, but never before what was
 * known when it began.  An entry that comes again is ignored, as a state
 * machine does that knows its clients' requests [6.3]. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#define ULL(x) ((unsigned long long)(x))

static uint64_t add(uint64_t hash, uint64_t value)
{
	return (hash ^ value) * 0x100000001b3u;
}

static void answered(struct world *w, uint64_t len)
{
	if (len > w->known_len)
		w->known_len = len;
}

uint64_t history_write(struct node *n)
{
	struct world *w = n->w;
	uint64_t value = w->next_value++;

	w->write = sim_grow(
	    w->write, &w->write_cap, (size_t)value + 1, sizeof(*w->write));
	w->write[value] = (struct write){.after = w->known_len,
	    .node = n->id,
	    .incarnation = n->incarnation};
	return value;
}

void history_refused(struct world *w, uint64_t value)
{
	w->write[value].refused = true;
	w->count[SIM_WRITE_REFUSED]++;
}

static uint64_t value_of(const struct raft_entry *e)
{
	uint64_t value = 0;

	if (e->type == RAFT_ENTRY_NORMAL && e->data.len >= sizeof(value))
		memcpy(&value, e->data.p, sizeof(value));
	return value;
}

/* A message comes once more than it was sent. */
void history_copied(struct world *w, const struct raft_message *m)
{
	for (size_t i = 0; i < m->entries_n && m->type == RAFT_MSG_PROP; i++) {
		uint64_t value = value_of(&m->entries[i]);

		if (value != 0)
			w->write[value].copies++;
	}
}

/* The first node that applies it decides where it is: all others apply the
 * same (check_applied). */
static void settle(struct node *n, struct write *op, raft_index i, uint64_t v)
{
	struct world *w = n->w;

	if (op->refused)
		sim_fail(w, "value %llu was refused, and is at %llu", ULL(v),
		    ULL(i));
	if (op->in_log++ > op->copies)
		sim_fail(w, "value %llu is at %llu and %llu", ULL(v),
		    ULL(op->index), ULL(i));
	if (op->len != 0) {
		w->count[SIM_WRITE_TWICE]++;
		return;
	}
	op->index = i;
	op->len = ++w->list_len;
	if (op->len <= op->after)
		sim_fail(w, "value %llu comes before what was known", ULL(v));
	w->list = sim_grow(
	    w->list, &w->list_cap, (size_t)op->len + 1, sizeof(*w->list));
	w->list[op->len] = add(w->list[op->len - 1], v);
}

void history_applied(struct node *n, const struct raft_entry *e)
{
	struct world *w = n->w;
	uint64_t value = value_of(e);
	struct write *op;

	if (value == 0)
		return;
	op = &w->write[value];
	if (e->index > w->list_index) {
		settle(n, op, e->index, value);
		w->list_index = e->index;
	}
	if (op->index == e->index) {
		n->machine.is.len++;
		n->machine.is.values = add(n->machine.is.values, value);
	}
	if (op->node == n->id && op->incarnation == n->incarnation &&
	    !op->acked) {
		op->acked = true;
		w->count[SIM_WRITE]++;
		answered(w, op->len);
	}
}

void history_read(struct node *n, struct read *r)
{
	r->after = n->w->known_len;
	r->node = n->id;
	r->incarnation = n->incarnation;
}

/* From its own state, once that is where the read index is. */
void history_answer(struct node *n, const struct read *r)
{
	struct world *w = n->w;
	const struct content *is = &n->machine.is;

	if (is->len < r->after)
		sim_fail(w,
		    "stale read on n%llu: a list of %llu values, %llu were "
		    "known when it was asked",
		    ULL(n->id), ULL(is->len), ULL(r->after));
	if (is->len > w->list_len ||
	    (is->len > 0 && is->values != w->list[is->len]))
		sim_fail(w, "n%llu reads what was never written", ULL(n->id));
	answered(w, is->len);
	w->count[SIM_READ]++;
	w->count[SIM_READ_FOLLOWER] += n->raft->state != RAFT_LEADER;
	n->healed_read |= w->healing;
}

void history_end(struct world *w)
{
	for (uint64_t v = 1; v < w->next_value; v++) {
		const struct write *op = &w->write[v];

		if (op->acked && op->len == 0)
			sim_fail(w, "value %llu was acknowledged and is gone",
			    ULL(v));
		if (!op->acked && !op->refused) {
			w->count[SIM_WRITE_UNKNOWN]++;
			w->count[SIM_WRITE_SILENT] += op->len != 0;
		}
	}
	w->count[SIM_READ_LOST] += w->read_n;
}

void history_free(struct world *w)
{
	free(w->read);
	free(w->write);
	free(w->list);
}
