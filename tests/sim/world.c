/* world.c -- virtual time: a heap of events, and the run of one seed. */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct sim_store *sim_store;
const char *sim_replay = "make sim";

const char *const sim_counter_text[SIM_COUNTER_N] = {
#define X(name, what) what,
    SIM_COUNTERS(X)
#undef X
};

uint64_t sim_random(struct world *w)
{
	uint64_t z = (w->rng += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

unsigned sim_below(struct world *w, unsigned n)
{
	return n == 0 ? 0 : (unsigned)(sim_random(w) % n);
}

bool sim_chance(struct world *w, unsigned per_cent)
{
	return sim_below(w, 100) < per_cent;
}

void sim_fail(struct world *w, const char *format, ...)
{
	va_list ap;
	int n;

	if (w->failed || (w->wish.trace_only && !w->trace_failed))
		return;
	w->failed = true;
	n = snprintf(
	    w->why, sizeof(w->why), "at %llu ms: ", (unsigned long long)w->now);
	va_start(ap, format);
	vsnprintf(w->why + n, sizeof(w->why) - (size_t)n, format, ap);
	va_end(ap);
	if (w->wish.verbose)
		printf("BROKEN %s\n", w->why);
}

void sim_say(struct world *w, const char *format, ...)
{
	va_list ap;

	if (!w->wish.verbose)
		return;
	printf("[%6llu] ", (unsigned long long)w->now);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
}

void *sim_grow(void *p, size_t *cap, size_t want, size_t size)
{
	size_t next = *cap == 0 ? 16 : *cap;

	if (want <= *cap)
		return p;
	while (next < want)
		next *= 2;
	p = realloc(p, next * size);
	if (p == NULL)
		abort(); /* a test: there is nothing better to do */
	memset((char *)p + *cap * size, 0, (next - *cap) * size);
	*cap = next;
	return p;
}

static bool sooner(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

void sim_schedule(struct world *w, struct event e)
{
	size_t i;

	e.seq = w->seq++;
	w->heap =
	    sim_grow(w->heap, &w->heap_cap, w->heap_n + 1, sizeof(*w->heap));
	for (i = w->heap_n++; i > 0; i = (i - 1) / 2) {
		if (!sooner(&e, &w->heap[(i - 1) / 2]))
			break;
		w->heap[i] = w->heap[(i - 1) / 2];
	}
	w->heap[i] = e;
}

static struct event pop(struct world *w)
{
	struct event top = w->heap[0], last = w->heap[--w->heap_n];
	size_t i = 0, k;

	while ((k = 2 * i + 1) < w->heap_n) {
		if (k + 1 < w->heap_n && sooner(&w->heap[k + 1], &w->heap[k]))
			k++;
		if (!sooner(&w->heap[k], &last))
			break;
		w->heap[i] = w->heap[k];
		i = k;
	}
	w->heap[i] = last;
	return top;
}

static void tick(struct world *w, struct event *e)
{
	struct node *n = &w->node[e->node];

	if (!n->up || e->incarnation != n->incarnation)
		return;
	raft_clock(n->raft, w->now);
	for (; n->missed_ticks > 0; n->missed_ticks--)
		raft_tick(n->raft);
	raft_tick(n->raft);
	n->ready_due = true;
	node_after(n);
	sim_schedule(w, (struct event){.at = w->now + far_tick_ms(n),
			    .kind = EV_TICK,
			    .node = n->id,
			    .incarnation = e->incarnation});
}

static void reported(struct world *w, const struct event *e)
{
	struct node *n = &w->node[e->node];

	if (!n->up)
		return;
	if (e->snapshot)
		raft_report_snapshot(n->raft, e->src, e->ok);
	else
		raft_report_unreachable(n->raft, e->src);
	node_after(n);
}

/* What happens to a paused process happens when it wakes. */
static bool asleep(struct world *w, struct event *e)
{
	struct node *n = &w->node[e->node];
	bool own = e->kind == EV_PACKET || e->kind == EV_TICK ||
		   e->kind == EV_APPEND || e->kind == EV_APPLY ||
		   e->kind == EV_REPORT || e->kind == EV_COMPACT ||
		   e->kind == EV_SAY || e->kind == EV_SAID;

	if (!own || !n->up || w->now >= n->paused_until)
		return false;
	e->at = n->paused_until;
	sim_schedule(w, *e);
	e->m = NULL;
	e->said = NULL;
	return true;
}

static void dispatch(struct world *w, struct event *e)
{
	struct node *n = &w->node[e->node];

	if (asleep(w, e))
		return;
	switch (e->kind) {
	case EV_PACKET: net_deliver(w, e); break;
	case EV_TICK: tick(w, e); break;
	case EV_APPEND:
		if (n->up && e->incarnation == n->incarnation)
			node_append_done(n);
		break;
	case EV_APPLY:
		if (n->up && e->incarnation == n->incarnation)
			node_apply_done(n);
		break;
	case EV_CLIENT: client_act(w); break;
	case EV_NEMESIS: nemesis_act(w); break;
	case EV_RESTART: node_boot(n); break;
	case EV_HEAL: heal_act(w); break;
	case EV_COMPACT:
		if (n->up) {
			w->count[SIM_COMPACTION_MID]++;
			disk_compact(n);
			node_after(n);
		}
		break;
	case EV_REPORT: reported(w, e); break;
	case EV_SAY: repair_say(n, e->incarnation); break;
	case EV_SAID: repair_said(w, e); break;
	}
}

static void run_until(struct world *w, uint64_t end)
{
	while (w->heap_n > 0 && w->heap[0].at <= end && !w->failed) {
		struct event e = pop(w);

		w->now = e.at;
		dispatch(w, &e);
		free(e.m);
		free(e.said);
		if (++w->events % 64 == 0 && !w->failed)
			check_all(w);
		if (w->healing && heal_done(w))
			break;
	}
}

void sim_new_node(struct world *w)
{
	struct node *n = &w->node[++w->nodes];

	n->w = w;
	n->id = w->nodes;
	n->tick_ms = SIM_TICK_MS;
	if (w->t.skew && sim_chance(w, 70)) {
		n->tick_ms = SIM_TICK_LEAST_MS + sim_below(w, 15);
		w->count[SIM_SKEW]++;
	}
}

/* Every voter begins with the same configuration, at index 1. */
static void found(struct world *w)
{
	struct machine m = {.applied = 1};

	for (raft_id id = 1; id <= w->t.voters; id++)
		m.conf.voters[m.conf.voters_n++] = id;
	for (raft_id id = 1; id <= w->t.nodes; id++) {
		struct node *n = &w->node[id];

		sim_new_node(w);
		if (id <= w->t.voters) {
			n->machine = n->disk.machine = m;
			n->disk.base = n->disk.base_term = 1;
			n->disk.hard = (struct raft_hard_state){1, 0, 1};
			n->disk.commit_synced = 1;
			if (sim_store != NULL)
				sim_store->found(n);
		}
		node_boot(n);
	}
}

/* Does a disk still have what came before the faults were over?  Where messages
 * come twice and windows are wide, refused appends are sent again and again. */
static bool disk_busy(const struct world *w)
{
	for (raft_id id = 1; id <= w->nodes; id++)
		if (w->node[id].up && w->node[id].append.n > 1000)
			return true;
	return false;
}

/* Without PreVote a member that is behind may ask for votes in ever higher
 * terms, and who could lead and is no member to it never hears of them: chance
 * alone ends that [9.6].  An operator turns PreVote on. */
static void turn_prevote_on(struct world *w)
{
	sim_say(w, "PreVote is turned on");
	w->t.pre_vote = true;
	w->t.mixed = false;
	for (raft_id id = 1; id <= w->nodes; id++) {
		if (!w->node[id].up)
			continue;
		node_crash(&w->node[id]);
		node_boot(&w->node[id]);
	}
}

static void heal(struct world *w)
{
	uint64_t patience = 60000 * (uint64_t)w->t.slower;

	run_until(w, w->now + patience);
	for (int i = 0; i < 10 && !w->failed && disk_busy(w); i++)
		run_until(w, w->now + patience);
	if (!w->failed && !heal_done(w) && (!w->t.pre_vote || w->t.mixed)) {
		turn_prevote_on(w);
		run_until(w, w->now + patience);
	}
	if (!w->failed && !heal_done(w))
		sim_fail(w, "healed, but the cluster does not converge");
}

bool sim_run(struct world *w, uint64_t seed, const struct wish *wish)
{
	*w = (struct world){.seed = seed,
	    .rng = seed * 0x2545f4914f6cdd1du,
	    .wish = *wish,
	    .next_context = 1,
	    .next_value = 1};
	nemesis_tune(w);
	trace_open(w);
	found(w);
	sim_schedule(w, (struct event){.at = 100, .kind = EV_CLIENT});
	sim_schedule(w, (struct event){.at = 300, .kind = EV_NEMESIS});
	run_until(w, w->t.run_ms);
	sim_say(w, "healing");
	w->healing = true;
	net_heal(w);
	/* In order, as the mesh delivers: a wide window over a network that
	 * reorders is refused and sent again faster than a slow disk takes
	 * it, and the backlog outlives any patience. */
	w->t.delay_max = 1;
	w->t.disk_max = 2;
	/* Nor do clocks differ: without PreVote one that is twice as fast as
	 * the others asks again before their turn comes, and each new term
	 * makes them wait anew, though it is behind and cannot lead. */
	w->t.skew = false;
	for (raft_id id = 1; id <= w->nodes; id++)
		w->node[id].tick_ms = SIM_TICK_MS;
	sim_schedule(w, (struct event){.at = w->now + 1, .kind = EV_HEAL});
	heal(w);
	if (!w->failed)
		check_all(w);
	history_end(w);
	return !w->failed;
}

void sim_free(struct world *w)
{
	for (raft_id id = 1; id <= SIM_NODES; id++) {
		struct node *n = &w->node[id];

		if (sim_store != NULL)
			sim_store->free(n);
		node_free(n);
		disk_free(&n->disk);
	}
	for (size_t i = 0; i < w->heap_n; i++) {
		free(w->heap[i].m);
		free(w->heap[i].said);
	}
	free(w->heap);
	history_free(w);
	check_free(w);
	trace_close(w);
}
