/* node.c -- a simulated process: the core between its disk and the network. */
#include "sim.h"

#include <stdlib.h>

#include "../unit/raft/describe.h"

static void say_message(
    struct node *n, const char *verb, const struct raft_message *m)
{
	char text[512];

	if (!n->w->verbose)
		return;
	describe_message(m, text, sizeof(text));
	sim_say(n->w, "n%llu %s %s", (unsigned long long)n->id, verb, text);
}

static void on_trace(void *ctx, const struct raft_trace *t)
{
	struct node *n = ctx;
	char text[256];

	if (!n->w->verbose)
		return;
	describe_trace(t, text, sizeof(text));
	sim_say(n->w, "%s", text);
}

void node_boot(struct node *n)
{
	struct world *w = n->w;
	const struct tuning *t = &w->t;
	struct raft_config c = {.id = n->id,
	    .seed = sim_random(w),
	    .election_ticks = SIM_ELECTION_TICKS,
	    .heartbeat_ticks = 3,
	    .storage = disk_storage(n),
	    .applied = n->machine.applied,
	    .max_size_per_msg = t->max_size,
	    .max_committed_size_per_ready = t->max_committed,
	    .max_inflight_msgs = t->inflight,
	    .max_uncommitted_size = t->max_uncommitted,
	    .check_quorum = t->check_quorum,
	    .pre_vote = t->pre_vote,
	    .step_down_on_removal = t->step_down,
	    .async_storage = true,
	    .trace = on_trace,
	    .trace_ctx = n};
	int rc;

	if (n->up)
		return;
	n->incarnation++;
	rc = raft_init(&n->raft, &c);
	if (rc != RAFT_OK) {
		sim_fail(w, "n%llu does not start: %s",
		    (unsigned long long)n->id, raft_strerror(rc));
		return;
	}
	n->up = true;
	n->disk_busy = n->ready_due = false;
	n->paused_until = 0;
	sim_say(w, "n%llu starts: term %llu, applied %llu, last %llu",
	    (unsigned long long)n->id, (unsigned long long)n->disk.hard.term,
	    (unsigned long long)n->machine.applied,
	    (unsigned long long)disk_last(&n->disk));
	check_booted(n);
	sim_schedule(
	    w, (struct event){.at = w->now + 1 + sim_below(w, SIM_TICK_MS),
		   .kind = EV_TICK,
		   .node = n->id,
		   .incarnation = n->incarnation});
	node_after(n);
}

static void op_drop(struct node *n)
{
	free(n->op[0]);
	n->op_n--;
	for (size_t i = 0; i < n->op_n; i++)
		n->op[i] = n->op[i + 1];
}

/* The disk may have got further than anybody was told. */
static void sync_some(struct node *n)
{
	size_t done = 0, appends = 0, keep;

	for (size_t i = 0; i < n->op_n; i++)
		appends += n->op[i]->type == RAFT_MSG_STORAGE_APPEND;
	keep = appends == 0 || sim_chance(n->w, 60)
		   ? 0
		   : sim_below(n->w, (unsigned)appends + 1);
	while (done < keep && n->op_n > 0) {
		if (n->op[0]->type == RAFT_MSG_STORAGE_APPEND) {
			disk_append(n, n->op[0]);
			done++;
		}
		op_drop(n);
	}
	n->w->count[SIM_SYNCED_UNSAID] += done > 0;
	n->w->count[SIM_LOST_WRITE] += done < appends;
	while (n->op_n > 0)
		op_drop(n);
}

void node_crash(struct node *n)
{
	if (!n->up)
		return;
	sim_say(n->w, "n%llu crashes", (unsigned long long)n->id);
	if (!n->w->healing)
		n->w->count[SIM_CRASH]++;
	n->up = false;
	n->missed_ticks = 0;
	raft_free(n->raft);
	n->raft = NULL;
	sync_some(n);
	disk_crash(n);
}

void node_step(struct node *n, const struct raft_message *m)
{
	say_message(n, "<-", m);
	raft_step(n->raft, m);
}

static void op_add(struct node *n, const struct raft_message *m)
{
	n->op = sim_grow(n->op, &n->op_cap, n->op_n + 1, sizeof(*n->op));
	n->op[n->op_n] = raft_message_copy(m);
	if (n->op[n->op_n++] == NULL)
		abort();
}

static void disk_start(struct node *n)
{
	struct world *w = n->w;
	unsigned ms = sim_below(w, w->t.disk_max + 1);

	if (n->disk_busy || n->op_n == 0)
		return;
	if (w->now < n->slow_until)
		ms += 50 + sim_below(w, 300);
	n->disk_busy = true;
	sim_schedule(w, (struct event){.at = w->now + ms,
			    .kind = EV_DISK,
			    .node = n->id,
			    .incarnation = n->incarnation});
}

void node_ready(struct node *n)
{
	struct raft_ready rd;

	n->ready_due = false;
	while (raft_has_ready(n->raft) && !n->w->failed) {
		if (raft_ready(n->raft, &rd) != RAFT_OK)
			break;
		for (size_t i = 0; i < rd.read_states_n; i++)
			client_read_done(n, &rd.read_states[i]);
		for (size_t i = 0; i < rd.messages_n; i++) {
			const struct raft_message *m = &rd.messages[i];

			say_message(n, "->", m);
			if (m->to == RAFT_APPEND_THREAD ||
			    m->to == RAFT_APPLY_THREAD)
				op_add(n, m);
			else
				net_send(n, m);
		}
	}
	disk_start(n);
}

void node_after(struct node *n)
{
	if (!n->up || n->w->failed)
		return;
	check_node(n);
	/* Several events may pass before the work is fetched. */
	if (n->ready_due || !sim_chance(n->w, n->w->t.lazy_ready))
		node_ready(n);
	else
		n->ready_due = true;
	if (!n->w->failed)
		check_node(n);
}

static bool snapshot_waits(const struct node *n)
{
	for (size_t i = 1; i < n->op_n; i++)
		if (n->op[i]->snapshot != NULL)
			return true;
	return n->raft->log.snapshot != NULL;
}

/* The first waiting storage message is done, durably. */
void node_disk_done(struct node *n)
{
	struct raft_message *m;
	struct world *w = n->w;

	n->disk_busy = false;
	if (n->op_n == 0)
		return;
	m = n->op[0];
	say_message(n, "did", m);
	if (m->type == RAFT_MSG_STORAGE_APPEND) {
		disk_append(n, m);
	} else if (!snapshot_waits(n)) {
		for (size_t i = 0; i < m->entries_n && !w->failed; i++)
			machine_apply(n, &m->entries[i]);
		if (sim_chance(w, w->t.flush))
			n->disk.machine = n->machine;
	}
	for (size_t i = 0; i < m->responses_n && !w->failed; i++) {
		const struct raft_message *r = &m->responses[i];

		check_send(n, r);
		if (r->to == n->id) {
			node_step(n, r);
			check_node(n);
		} else {
			say_message(n, "->", r);
			net_send(n, r);
		}
	}
	op_drop(n);
	node_after(n);
	if (n->up && !w->failed)
		disk_start(n);
}
