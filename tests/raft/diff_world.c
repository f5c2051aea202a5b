/* diff_world.c -- our side: what each step does to the nodes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff.h"

static void on_trace(void *ctx, const struct raft_trace *t)
{
	struct node *n = ctx;

	if (t->kind == RAFT_TRACE_STATE && t->state == RAFT_LEADER)
		n->w->count[COUNT_ELECTION]++;
	if (t->kind == RAFT_TRACE_CONF_REFUSED)
		n->w->count[COUNT_REFUSED]++;
	if (t->kind == RAFT_TRACE_SNAP_SENT)
		n->w->count[COUNT_SNAP_SENT]++;
}

static void boot(struct node *n)
{
	const struct tuning *t = &n->w->tuning;
	struct raft_config c = {.id = n->id,
	    .seed = n->id + n->w->sent_n,
	    .election_ticks = t->election_ticks,
	    .heartbeat_ticks = t->heartbeat_ticks,
	    .storage = disk_storage(&n->disk),
	    .applied = n->disk.applied,
	    .max_size_per_msg = t->max_size_per_msg,
	    .max_committed_size_per_ready = t->max_committed_size,
	    .max_inflight_msgs = t->max_inflight_msgs,
	    .max_inflight_bytes = t->max_inflight_bytes,
	    .max_uncommitted_size = t->max_uncommitted,
	    .check_quorum = t->check_quorum,
	    .pre_vote = t->pre_vote,
	    .read_mode = t->lease ? RAFT_READ_LEASE : RAFT_READ_SAFE,
	    .disable_proposal_forwarding = t->no_forwarding,
	    .disable_conf_change_validation = t->no_validation,
	    .step_down_on_removal = t->step_down,
	    .async_storage = t->async,
	    .early_vote_requests = t->early_votes,
	    .entry_size = entry_size,
	    .trace = on_trace,
	    .trace_ctx = n};

	if (raft_init(&n->raft, &c) != RAFT_OK)
		abort();
}

/* ---- Queues ---- */

static void enqueue(struct work_queue *q, const struct raft_message *m)
{
	q->m = grown(q->m, &q->cap, q->n + 1, sizeof(struct raft_message *));
	q->m[q->n] = raft_message_copy(m);
	if (q->m[q->n++] == NULL)
		abort();
}

static struct raft_message *dequeue(struct work_queue *q)
{
	struct raft_message *m = q->m[0];

	memmove(q->m, q->m + 1, --q->n * sizeof(struct raft_message *));
	return m;
}

static void forget_work(struct node *n)
{
	for (int i = 0; i < WORKS; i++)
		while (n->work[i].n > 0)
			free(dequeue(&n->work[i]));
	n->taken = false;
}

static void send_message(struct world *w, const struct raft_message *m)
{
	struct work_queue q = {w->sent, w->sent_n, w->sent_cap};

	enqueue(&q, m);
	w->sent = q.m;
	w->sent_n = q.n;
	w->sent_cap = q.cap;
}

void world_start(struct world *w, const struct tuning *t)
{
	struct raft_conf_state conf = {0};

	*w = (struct world){.tuning = *t};
	entry_sizes_forget();
	for (raft_id id = 1; id <= t->voters; id++)
		conf.voters[conf.voters_n++] = id;
	for (raft_id id = t->voters + 1; id <= t->voters + t->learners; id++)
		conf.learners[conf.learners_n++] = id;
	for (raft_id id = 1; id <= DIFF_NODES; id++) {
		struct node *n = &w->node[id];

		n->w = w;
		n->id = id;
		disk_start(
		    &n->disk, id <= t->voters + t->learners ? &conf : NULL);
		boot(n);
	}
	w->count[t->async ? COUNT_ASYNC : COUNT_SYNC]++;
}

void world_free(struct world *w)
{
	for (raft_id id = 1; id <= DIFF_NODES; id++) {
		struct node *n = &w->node[id];

		raft_free(n->raft);
		disk_free(&n->disk);
		forget_work(n);
		for (int i = 0; i < WORKS; i++)
			free(n->work[i].m);
	}
	for (size_t i = 0; i < w->sent_n; i++)
		free(w->sent[i]);
	free(w->sent);
}

/* ---- Taking what is ready ---- */

static void count_ready(struct node *n, const struct raft_ready *rd)
{
	uint64_t *count = n->w->count;
	raft_index last = 0;

	log_last_index(&n->raft->log, &last);
	count[COUNT_READ] += rd->read_states_n;
	for (size_t i = 0; i < rd->messages_n; i++) {
		const struct raft_message *m = &rd->messages[i];

		count[COUNT_PAGED] += m->type == RAFT_MSG_APP &&
				      m->entries_n > 0 &&
				      m->index + m->entries_n < last;
	}
}

static void queue_async(struct node *n, const struct raft_ready *rd)
{
	for (size_t i = 0; i < rd->messages_n; i++) {
		const struct raft_message *m = &rd->messages[i];

		if (m->to == RAFT_APPEND_THREAD)
			enqueue(&n->work[WORK_WRITE], m);
		else if (m->to == RAFT_APPLY_THREAD)
			enqueue(&n->work[WORK_APPLY], m);
		else
			send_message(n->w, m);
	}
}

/* Sync storage: a write that carries what to send after it, and an apply. */
static void queue_sync(struct node *n, const struct raft_ready *rd)
{
	struct raft_message m = {.type = RAFT_MSG_STORAGE_APPEND,
	    .entries = (struct raft_entry *)rd->entries,
	    .entries_n = rd->entries_n,
	    .snapshot = (struct raft_snapshot *)rd->snapshot,
	    .responses = (struct raft_message *)rd->messages,
	    .responses_n = rd->messages_n};

	if (rd->hard_changed) {
		m.term = rd->hard.term;
		m.vote = rd->hard.vote;
		m.commit = rd->hard.commit;
	}
	enqueue(&n->work[WORK_WRITE], &m);
	enqueue(&n->work[WORK_APPLY],
	    &(struct raft_message){.type = RAFT_MSG_STORAGE_APPLY,
		.entries = (struct raft_entry *)rd->committed,
		.entries_n = rd->committed_n});
	n->taken = true;
}

static void take_ready(struct node *n, struct text *out)
{
	struct raft_ready rd;

	if (n->taken || !raft_has_ready(n->raft) ||
	    raft_ready(n->raft, &rd) != RAFT_OK)
		return;
	text_ready(out, &rd);
	count_ready(n, &rd);
	if (n->w->tuning.async)
		queue_async(n, &rd);
	else
		queue_sync(n, &rd);
}

/* ---- Doing the work ---- */

static void respond_one(struct node *n, const struct raft_message *m)
{
	if (m->to == n->id)
		raft_step(n->raft, m);
	else
		send_message(n->w, m);
}

/* In the order of text_message: requests for votes last, if they wait. */
static void respond(struct node *n, const struct raft_message *m)
{
	bool late = n->w->tuning.async && !n->w->tuning.early_votes;

	for (size_t i = 0; i < m->responses_n; i++)
		if (!late || m->responses[i].type != RAFT_MSG_VOTE)
			respond_one(n, &m->responses[i]);
	for (size_t i = 0; i < m->responses_n && late; i++)
		if (m->responses[i].type == RAFT_MSG_VOTE)
			respond_one(n, &m->responses[i]);
}

/* A write, and how the core has moved on since it was given out. */
static void count_write(struct node *n, const struct raft_message *m)
{
	uint64_t *count = n->w->count;
	const struct raft *r = n->raft;
	const struct raft_message *done =
	    m->responses_n == 0 ? m : &m->responses[m->responses_n - 1];
	raft_term now;

	count[COUNT_TRUNCATED] += m->entries_n > 0 && m->snapshot == NULL &&
				  m->entries[0].index <= disk_last(&n->disk);
	if (m->snapshot != NULL) {
		count[COUNT_SNAP_STORED]++;
		count[COUNT_SNAP_TERM] += m->term != 0 && m->term < r->term;
		count[COUNT_SNAP_TWICE] +=
		    r->log.snapshot != NULL &&
		    r->log.snapshot->index != m->snapshot->index;
	}
	if (done->type == RAFT_MSG_STORAGE_APPEND_RESP && done->index != 0 &&
	    done->term == r->term &&
	    log_term(&r->log, done->index, &now) == RAFT_OK)
		count[COUNT_REWRITTEN] += now != done->log_term;
}

static void do_write(struct node *n)
{
	struct raft_message *m = dequeue(&n->work[WORK_WRITE]);

	count_write(n, m);
	disk_write(&n->disk, m);
	respond(n, m);
	free(m);
}

static void count_change(struct node *n, const struct raft_conf_change *c,
    const struct raft_conf_state *before, const struct raft_conf_state *now)
{
	uint64_t *count = n->w->count;

	if (now->voters_outgoing_n > 0)
		count[COUNT_JOINT]++;
	else if (before->voters_outgoing_n > 0)
		count[COUNT_LEAVE]++;
	else
		count[COUNT_SIMPLE]++;
	for (size_t i = 0; i < c->n; i++)
		count[COUNT_LEARNER] += c->changes[i].type == RAFT_ADD_LEARNER;
}

static void apply_entry(
    struct node *n, const struct raft_entry *e, bool changes, struct text *out)
{
	struct raft_conf_state before = *disk_conf(&n->disk), now;
	struct raft_conf_change c;

	if (e->index <= n->disk.applied)
		return; /* a snapshot is further */
	n->w->count[COUNT_COMMITTED]++;
	if (e->type != RAFT_ENTRY_CONF_CHANGE) {
		disk_applied(&n->disk, e->index, NULL);
		return;
	}
	if (raft_conf_change_decode(e->data, &c) != RAFT_OK)
		abort();
	if (!changes) { /* the core knows better; the oracle does nothing */
		n->w->count[COUNT_SNAP_CHANGE]++;
		raft_apply_conf_change(n->raft, &c, NULL);
		disk_applied(&n->disk, e->index, NULL);
	} else if (raft_apply_conf_change(n->raft, &c, &now) == RAFT_OK) {
		count_change(n, &c, &before, &now);
		disk_applied(&n->disk, e->index, &now);
	} else {
		n->w->count[COUNT_IMPOSSIBLE]++;
		text_add(
		    out, "impossible at %llu\n", (unsigned long long)e->index);
		disk_applied(&n->disk, e->index, NULL);
	}
}

static void do_apply(struct node *n, bool changes, struct text *out)
{
	struct raft_message *m = dequeue(&n->work[WORK_APPLY]);

	for (size_t i = 0; i < m->entries_n; i++)
		apply_entry(n, &m->entries[i], changes, out);
	respond(n, m);
	if (!n->w->tuning.async) {
		raft_advance(n->raft);
		n->taken = false;
	}
	free(m);
}

/* ---- Events ---- */

static void deliver(struct node *n, const struct op *op, struct text *out)
{
	const struct raft_message *m = n->w->sent[op->a];
	raft_term before = n->raft->term;

	text_add(out, "rc %d\n", raft_step(n->raft, m));
	n->w->count[COUNT_TRANSFER] += m->type == RAFT_MSG_TIMEOUT_NOW &&
				       n->raft->state == RAFT_CANDIDATE &&
				       n->raft->term == before + 1;
}

static int propose(struct node *n, const struct op *op)
{
	char data[DIFF_DATA + 16];
	struct raft_span spans[8];
	struct raft *r = n->raft;
	int rc;

	memset(data, '.', sizeof(data));
	snprintf(data, sizeof(data), "%u", op->c);
	data[strlen(data)] = '.';
	for (uint32_t i = 0; i < op->a; i++)
		spans[i] = (struct raft_span){data, op->b};
	rc = raft_propose(r, spans, op->a);
	n->w->count[COUNT_DROPPED] += rc == RAFT_EDROPPED;
	n->w->count[COUNT_QUOTA] +=
	    rc == RAFT_EDROPPED && r->state == RAFT_LEADER &&
	    r->transferee == 0 && tracker_find(&r->tracker, r->id) != NULL;
	return rc;
}

static int change(struct node *n, const struct op *op)
{
	struct raft_conf_change c = {
	    .transition = (enum raft_transition)op->a, .n = op->c};
	uint8_t bytes[RAFT_CONF_CHANGE_MAX];
	struct raft_entry e = {.type = RAFT_ENTRY_CONF_CHANGE};
	struct raft_entry two[2];

	for (uint32_t i = 0; i < op->c; i++) {
		uint32_t bits = op->b >> (8 * i) & 0xff;

		c.changes[i].type = (enum raft_change_type)(bits >> 4);
		c.changes[i].id = bits & 15;
	}
	if ((op->flags & OP_TWO_CHANGES) == 0)
		return raft_propose_conf_change(n->raft, &c);
	n->w->count[COUNT_TWO]++;
	if (op->c > 0 || op->a != RAFT_AUTO)
		e.data = (struct raft_span){
		    bytes, raft_conf_change_encode(&c, bytes)};
	two[0] = two[1] = e;
	return raft_step(n->raft, &(struct raft_message){.type = RAFT_MSG_PROP,
				      .from = n->id,
				      .entries = two,
				      .entries_n = 2});
}

static void restart(struct node *n, const struct op *op)
{
	disk_rewind(&n->disk, op->a);
	boot(n);
	n->w->count[COUNT_RESTART]++;
}

static void snapshot(struct node *n, const struct op *op)
{
	n->disk.snapshot_refused = op->b == 0;
	if (op->b != 0)
		disk_snapshot(&n->disk, op->a);
}

static void crash(struct node *n)
{
	forget_work(n);
	raft_free(n->raft);
	n->raft = NULL;
}

/* A new draw of the election timeout ends it: the oracle does not know it. */
static void tick(struct raft *r, struct op *op)
{
	uint64_t rng = r->rng;

	for (uint32_t i = 0; i < op->a; i++) {
		raft_tick(r);
		if (r->rng != rng)
			op->a = i + 1;
	}
}

static void event(struct node *n, struct op *op, struct text *out)
{
	struct raft *r = n->raft;
	uint64_t *count = n->w->count;

	switch ((enum op_kind)op->kind) {
	case OP_TICK: tick(r, op); break;
	case OP_DELIVER: deliver(n, op, out); break;
	case OP_DISK: do_write(n); break;
	case OP_APPLY:
		do_apply(n, (op->flags & OP_SKIP_CHANGES) == 0, out);
		break;
	case OP_PROPOSE: text_add(out, "rc %d\n", propose(n, op)); break;
	case OP_CHANGE: text_add(out, "rc %d\n", change(n, op)); break;
	case OP_TRANSFER: raft_transfer_leader(r, op->a); break;
	case OP_READ: raft_read_index(r, op->a); break;
	case OP_CAMPAIGN: raft_campaign(r); break;
	case OP_FORGET:
		count[COUNT_FORGET] +=
		    r->state == RAFT_FOLLOWER && r->leader != 0;
		raft_forget_leader(r);
		break;
	case OP_UNREACHABLE:
		count[COUNT_UNREACHABLE] += r->state == RAFT_LEADER;
		raft_report_unreachable(r, op->a);
		break;
	case OP_REPORT:
		count[COUNT_REPORT] += r->state == RAFT_LEADER;
		raft_report_snapshot(r, op->a, op->b != 0);
		break;
	case OP_SNAPSHOT: snapshot(n, op); break;
	case OP_COMPACT:
		count[COUNT_COMPACTED]++;
		disk_compact(&n->disk, op->a);
		break;
	case OP_CRASH: crash(n); break;
	case OP_RESTART: restart(n, op); break;
	default: break;
	}
}

static void count_state(struct node *n)
{
	const struct raft *r = n->raft;
	uint64_t *count = n->w->count;

	count[COUNT_PAUSED] += r->log.applying_paused;
	for (size_t i = 0; i < r->tracker.n && r->state == RAFT_LEADER; i++)
		count[COUNT_INFLIGHT] +=
		    inflights_full(&r->tracker.peers[i].inflights, &r->tracker);
}

void world_do(struct world *w, struct op *op, struct text *out)
{
	struct node *n = &w->node[op->node];

	out->n = 0;
	event(n, op, out);
	if (n->raft == NULL) {
		text_add(out, "down\n");
		return;
	}
	if (op->flags & OP_TAKE_READY)
		take_ready(n, out);
	op->timeout = n->raft->election_timeout;
	if (n->raft->fatal != RAFT_OK) {
		w->stopped = true;
		text_add(out, "stopped: %s\n", raft_strerror(n->raft->fatal));
		return;
	}
	count_state(n);
	text_status(out, n->raft);
}
