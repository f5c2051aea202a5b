/* client.c -- who uses the cluster. */
#include "sim.h"

#include <string.h>

int client_propose(struct node *n)
{
	struct world *w = n->w;
	size_t k = sim_chance(w, 60) ? 1 : 1 + sim_below(w, SIM_BURST);
	uint8_t data[SIM_BURST][SIM_DATA] = {{0}};
	struct raft_span span[SIM_BURST];
	uint64_t value[SIM_BURST];
	int rc;

	for (size_t i = 0; i < k; i++) {
		value[i] = history_write(n);
		memcpy(data[i], &value[i], sizeof(value[i]));
		span[i] = (struct raft_span){data[i], 8 + sim_below(w, 40)};
	}
	rc = raft_propose(n->raft, span, k);
	for (size_t i = 0; i < k && rc != RAFT_OK; i++)
		history_refused(w, value[i]);
	return rc;
}

void client_read(struct node *n)
{
	struct world *w = n->w;
	struct read r = {
	    .context = w->next_context++, .at_least = w->max_commit};

	history_read(n, &r);
	w->read =
	    sim_grow(w->read, &w->read_cap, w->read_n + 1, sizeof(*w->read));
	w->read[w->read_n++] = r;
	raft_clock(n->raft, w->now);
	raft_read_index(n->raft, r.context);
}

/* Nothing that was committed when it was asked is missed. */
void client_read_done(struct node *n, const struct raft_read_state *s)
{
	struct world *w = n->w;

	for (size_t i = 0; i < w->read_n; i++) {
		struct read *r = &w->read[i];

		if (r->context != s->context)
			continue;
		if (s->index < r->at_least)
			sim_fail(w, "stale read on n%llu: %llu, committed %llu",
			    (unsigned long long)n->id,
			    (unsigned long long)s->index,
			    (unsigned long long)r->at_least);
		r->index = s->index;
		n->reads_due++;
		client_answer(n);
		return;
	}
}

/* The reads of a node that has applied something. */
void client_answer(struct node *n)
{
	struct world *w = n->w;

	if (n->reads_due == 0)
		return;
	for (size_t i = 0; i < w->read_n; i++) {
		const struct read *r = &w->read[i];

		if (r->node != n->id || r->incarnation != n->incarnation ||
		    r->index == 0 || r->index > n->machine.applied)
			continue;
		history_answer(n, r);
		n->reads_due--;
		w->read[i--] = w->read[--w->read_n];
	}
}

/* Some still ask a leader that has been replaced and does not know it. */
static struct node *whom(struct world *w)
{
	struct node *first = NULL;

	if (w->t.story == STORY_PLACE && sim_chance(w, 50))
		for (raft_id id = 1; id <= w->nodes; id++) {
			struct node *n = &w->node[id];

			if (n->up && n->raft->state == RAFT_LEADER &&
			    (first == NULL ||
				n->raft->term < first->raft->term))
				first = n;
		}
	if (first != NULL)
		return first;
	return sim_chance(w, 60) ? sim_leader(w) : sim_any(w);
}

void client_act(struct world *w)
{
	struct node *n = whom(w);

	if (w->healing)
		return;
	if (n != NULL && n->up && w->now >= n->paused_until) {
		if (sim_chance(w, w->t.read))
			client_read(n);
		else if (w->now >= n->low_until)
			client_propose(n);
		node_after(n);
	}
	sim_schedule(w,
	    (struct event){.at = w->now + 1 + sim_below(w, 2 * w->t.client_ms),
		.kind = EV_CLIENT});
}
