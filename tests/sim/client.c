/* client.c -- who uses the cluster. */
#include "sim.h"

#include <string.h>

int client_propose(struct node *n)
{
	struct world *w = n->w;
	size_t k = sim_chance(w, 60) ? 1 : 1 + sim_below(w, SIM_BURST);
	uint8_t data[SIM_BURST][SIM_DATA] = {{0}};
	struct raft_span span[SIM_BURST];

	for (size_t i = 0; i < k; i++) {
		uint64_t value = w->next_value++;

		memcpy(data[i], &value, sizeof(value));
		span[i] = (struct raft_span){data[i], 8 + sim_below(w, 40)};
	}
	return raft_propose(n->raft, span, k);
}

static void read_index(struct node *n)
{
	struct world *w = n->w;

	w->read =
	    sim_grow(w->read, &w->read_cap, w->read_n + 1, sizeof(*w->read));
	w->read[w->read_n++] =
	    (struct pending_read){w->next_context, w->max_commit};
	raft_read_index(n->raft, w->next_context++);
}

/* Linearizable: nothing that was committed when it was asked is missed. */
void client_read_done(struct node *n, const struct raft_read_state *s)
{
	struct world *w = n->w;

	for (size_t i = 0; i < w->read_n; i++) {
		if (w->read[i].context != s->context)
			continue;
		if (s->index < w->read[i].at_least)
			sim_fail(w, "stale read on n%llu: %llu, committed %llu",
			    (unsigned long long)n->id,
			    (unsigned long long)s->index,
			    (unsigned long long)w->read[i].at_least);
		w->count[SIM_READ]++;
		w->read[i] = w->read[--w->read_n];
		return;
	}
}

void client_act(struct world *w)
{
	struct node *n = sim_chance(w, 60) ? sim_leader(w) : sim_any(w);

	if (w->healing)
		return;
	if (n != NULL && n->up && w->now >= n->paused_until) {
		if (sim_chance(w, w->t.read))
			read_index(n);
		else if (w->now >= n->low_until)
			client_propose(n);
		node_after(n);
	}
	sim_schedule(w,
	    (struct event){.at = w->now + 1 + sim_below(w, 2 * w->t.client_ms),
		.kind = EV_CLIENT});
}
