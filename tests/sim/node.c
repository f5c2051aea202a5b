/* node.c -- a simulated process: the core between its disk and the network. */
#include "sim.h"

#include <stdlib.h>

#include "../unit/raft/describe.h"

static void say_message(
    struct node *n, const char *verb, const struct raft_message *m)
{
	char text[512];

	if (!n->w->wish.verbose)
		return;
	describe_message(m, text, sizeof(text));
	sim_say(n->w, "n%llu %s %s", (unsigned long long)n->id, verb, text);
}

static void on_trace(void *ctx, const struct raft_trace *t)
{
	struct node *n = ctx;
	char text[256];

	trace_event(n, t);
	far_check_vote(n, t);
	if (!n->w->wish.verbose)
		return;
	describe_trace(t, text, sizeof(text));
	if (text[0] != '\0')
		sim_say(n->w, "%s", text);
}

static struct raft_config settings(struct node *n)
{
	struct world *w = n->w;
	const struct tuning *t = &w->t;

	return (struct raft_config){.id = n->id,
	    .seed = sim_random(w),
	    .election_ticks = SIM_ELECTION_TICKS,
	    .heartbeat_ticks = 3,
	    .storage = disk_storage(n),
	    .max_size_per_msg = t->max_size,
	    .max_committed_size_per_ready = t->max_committed,
	    .max_inflight_msgs = t->inflight,
	    .max_inflight_bytes = t->inflight_bytes,
	    .max_uncommitted_size = t->max_uncommitted,
	    .check_quorum = t->check_quorum,
	    .pre_vote = t->pre_vote,
	    .read_mode = t->lease_ms != 0 ? RAFT_READ_LEASE : RAFT_READ_SAFE,
	    .lease_ms = t->lease_ms,
	    .step_down_on_removal = t->step_down,
	    .async_storage = true,
	    .priority = t->priority[t->place[n->id]],
	    .commit_groups = t->far ? 2 : 0,
	    .group_of = far_place,
	    .group_ctx = w,
	    .trace = on_trace,
	    .trace_ctx = n};
}

void node_boot(struct node *n)
{
	struct world *w = n->w;
	struct raft_config c = settings(n);
	int rc;

	if (n->up || n->lost)
		return;
	if (sim_store != NULL && !sim_store->open(n)) {
		node_restart_in(n, 5 + sim_below(w, 200));
		return;
	}
	/* The whole log is read at a start: nothing is served from a damaged
	 * one, and no vote comes out of it; it is fetched again, or lost. */
	if (n->disk.damaged) {
		if (!w->t.repairs) {
			w->count[SIM_DAMAGE_FOUND]++;
			loss_take(n);
			return;
		}
		repair_found(n);
	}
	if (w->failed)
		return;
	mixed_config(n, &c);
	c.applied = n->machine.applied;
	if (n->disk.repairing)
		c.repairing = sim_random(w) | 1;
	if (sim_store != NULL)
		c.storage = sim_store->storage(n);
	n->incarnation++;
	n->write_fails = n->read_fails = n->write_cut = false;
	n->must_stop = n->read_failed = false;
	rc = raft_init(&n->raft, &c);
	if (rc != RAFT_OK) {
		sim_fail(w, "n%llu does not start: %s",
		    (unsigned long long)n->id, raft_strerror(rc));
		return;
	}
	n->up = true;
	n->ready_due = false;
	n->reads_due = 0;
	n->paused_until = 0;
	far_boot(n);
	sim_say(w, "n%llu starts: term %llu, applied %llu, last %llu",
	    (unsigned long long)n->id, (unsigned long long)n->disk.hard.term,
	    (unsigned long long)n->machine.applied,
	    (unsigned long long)disk_last(&n->disk));
	check_booted(n);
	repair_booted(n);
	sim_schedule(
	    w, (struct event){.at = w->now + 1 + sim_below(w, SIM_TICK_MS),
		   .kind = EV_TICK,
		   .node = n->id,
		   .incarnation = n->incarnation});
	node_after(n);
}

static struct raft_message *lane_take(struct lane *l)
{
	struct raft_message *m = l->op[0];

	l->n--;
	for (size_t i = 0; i < l->n; i++)
		l->op[i] = l->op[i + 1];
	return m;
}

static void lane_add(struct lane *l, const struct raft_message *m)
{
	l->op = sim_grow(l->op, &l->cap, l->n + 1, sizeof(*l->op));
	l->op[l->n] = raft_message_copy(m);
	if (l->op[l->n++] == NULL)
		abort();
}

static void lane_start(struct node *n, struct lane *l, enum sim_event_kind done)
{
	struct world *w = n->w;
	unsigned ms = sim_below(w, w->t.disk_max + 1);

	if (l->busy || l->n == 0)
		return;
	if (w->now < l->slow_until)
		ms += 50 + sim_below(w, 300);
	l->busy = true;
	sim_schedule(w, (struct event){.at = w->now + ms,
			    .kind = done,
			    .node = n->id,
			    .incarnation = n->incarnation});
}

static void lane_clear(struct lane *l)
{
	while (l->n > 0)
		free(lane_take(l));
	l->busy = false;
}

/* Part of a write that was not synced is there all the same. */
static void tear(struct node *n, const struct raft_message *m)
{
	if (m->entries_n < 2 || m->snapshot != NULL)
		return;
	disk_append_part(n, m, 1 + sim_below(n->w, (unsigned)m->entries_n - 1));
	n->w->count[SIM_TORN]++;
}

/* A crash: the disk may have got further than anybody was told. */
static void sync_some(struct node *n)
{
	const struct raft_message *m = NULL;
	size_t appends = n->append.n, done = 0, keep;

	keep = appends == 0 || sim_chance(n->w, 60)
		   ? 0
		   : sim_below(n->w, (unsigned)appends + 1);
	for (; done < keep; done++) {
		struct raft_message *whole = lane_take(&n->append);

		bool did = disk_append(n, whole);

		free(whole);
		if (!did)
			break;
	}
	if (n->append.n > 0 && sim_chance(n->w, 80))
		m = n->append.op[0];
	if (sim_store != NULL)
		sim_store->crash(n, m);
	else if (m != NULL)
		tear(n, m);
	n->w->count[SIM_SYNCED_UNSAID] += done > 0;
	n->w->count[SIM_LOST_WRITE] += done < appends;
	lane_clear(&n->append);
	lane_clear(&n->apply);
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
	n->fault = FAULT_POWER;
}

void node_restart_in(struct node *n, unsigned ms)
{
	sim_schedule(
	    n->w, (struct event){
		      .at = n->w->now + ms, .kind = EV_RESTART, .node = n->id});
}

/* An error of the disk ends the process: what reached it is unknown. */
static void stop(struct node *n)
{
	node_crash(n);
	node_restart_in(n, 5 + sim_below(n->w, 1000));
}

static bool write_fails(struct node *n)
{
	struct world *w = n->w;
	bool full = w->now < n->full_until;

	if (!full && !n->write_fails && !n->write_cut)
		return false;
	/* Rather in a write that can be torn. */
	if (n->write_cut && n->append.op[0]->entries_n < 2 && sim_chance(w, 80))
		return false;
	n->fault = full             ? FAULT_ENOSPC
		   : n->write_fails ? FAULT_EIO
				    : FAULT_POWER;
	w->count[full             ? SIM_ENOSPC
		 : n->write_fails ? SIM_EIO_WRITE
				  : SIM_CRASH_WRITE]++;
	sim_say(w, "n%llu: a write fails", (unsigned long long)n->id);
	return true;
}

void node_free(struct node *n)
{
	raft_free(n->raft);
	lane_clear(&n->append);
	lane_clear(&n->apply);
	free(n->append.op);
	free(n->apply.op);
}

void node_step(struct node *n, const struct raft_message *m)
{
	say_message(n, "<-", m);
	raft_clock(n->raft, n->w->now);
	raft_step(n->raft, m);
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
			if (m->to == RAFT_APPEND_THREAD)
				lane_add(&n->append, m);
			else if (m->to == RAFT_APPLY_THREAD)
				lane_add(&n->apply, m);
			else
				net_send(n, m);
		}
	}
	lane_start(n, &n->append, EV_APPEND);
	lane_start(n, &n->apply, EV_APPLY);
}

void node_after(struct node *n)
{
	if (!n->up || n->w->failed)
		return;
	check_node(n);
	if (n->must_stop) {
		stop(n);
		return;
	}
	/* Several events may pass before the work is fetched. */
	if (n->ready_due || !sim_chance(n->w, n->w->t.lazy_ready))
		node_ready(n);
	else
		n->ready_due = true;
	if (n->w->failed)
		return;
	check_node(n);
	if (n->must_stop)
		stop(n);
}

/* What a snapshot on its way to the disk contains need not be applied. */
static bool snapshot_waits(const struct node *n)
{
	for (size_t i = 0; i < n->append.n; i++)
		if (n->append.op[i]->snapshot != NULL)
			return true;
	return n->raft->log.snapshot != NULL;
}

static void respond(struct node *n, const struct raft_message *m)
{
	for (size_t i = 0; i < m->responses_n && !n->w->failed; i++) {
		const struct raft_message *r = &m->responses[i];

		if (r->to == n->id) {
			check_send(n, r);
			node_step(n, r);
			check_node(n);
		} else {
			say_message(n, "->", r);
			net_send(n, r);
		}
	}
}

static void done(struct node *n, struct lane *l, enum sim_event_kind kind,
    struct raft_message *m)
{
	respond(n, m);
	free(m);
	node_after(n);
	if (n->up && !n->w->failed)
		lane_start(n, l, kind);
}

/* The first storage message that waits is done, durably. */
void node_append_done(struct node *n)
{
	struct raft_message *m;

	n->append.busy = false;
	if (write_fails(n)) {
		stop(n);
		return;
	}
	m = lane_take(&n->append);
	say_message(n, "did", m);
	if (!disk_append(n, m)) {
		free(m);
		stop(n);
		return;
	}
	client_answer(n);
	done(n, &n->append, EV_APPEND, m);
}

void node_apply_done(struct node *n)
{
	struct raft_message *m = lane_take(&n->apply);

	n->apply.busy = false;
	say_message(n, "did", m);
	if (!snapshot_waits(n))
		for (size_t i = 0; i < m->entries_n && !n->w->failed; i++)
			machine_apply(n, &m->entries[i]);
	client_answer(n);
	if (sim_chance(n->w, n->w->t.flush))
		disk_flush(n);
	done(n, &n->apply, EV_APPLY, m);
}
