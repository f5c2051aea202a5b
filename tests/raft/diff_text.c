/* diff_text.c -- what a step shows, in the form that both sides write. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "diff.h"

#define ULL(x) ((unsigned long long)(x))

void text_add(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->p + t->n, sizeof(t->p) - t->n, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(t->p) - t->n)
		abort();
	t->n += (size_t)n;
}

static void add_change(struct text *t, struct raft_span data)
{
	struct raft_conf_change c;

	if (raft_conf_change_decode(data, &c) != RAFT_OK) {
		text_add(t, " undecoded");
		return;
	}
	text_add(t, " change %d", (int)c.transition);
	for (size_t i = 0; i < c.n; i++)
		text_add(t, " %c%llu", "vrnl"[c.changes[i].type],
		    ULL(c.changes[i].id));
}

static void add_entries(struct text *t, const struct raft_entry *e, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		text_add(t, " (%llu/%llu", ULL(e[i].term), ULL(e[i].index));
		if (e[i].type == RAFT_ENTRY_CONF_CHANGE)
			add_change(t, e[i].data);
		else
			text_add(t, " %zu:%.*s", e[i].data.len,
			    (int)e[i].data.len,
			    e[i].data.len == 0 ? ""
					       : (const char *)e[i].data.p);
		text_add(t, ")");
	}
}

static void add_ids(
    struct text *t, const char *name, const raft_id *ids, size_t n)
{
	text_add(t, " %s", name);
	for (size_t i = 0; i < n; i++)
		text_add(t, " %llu", ULL(ids[i]));
}

static void add_conf(struct text *t, const struct raft_conf_state *c)
{
	add_ids(t, "voters", c->voters, c->voters_n);
	add_ids(t, "outgoing", c->voters_outgoing, c->voters_outgoing_n);
	add_ids(t, "learners", c->learners, c->learners_n);
	add_ids(t, "next", c->learners_next, c->learners_next_n);
	text_add(t, " leave %d", c->auto_leave);
}

static void add_snapshot(struct text *t, const struct raft_snapshot *s)
{
	text_add(t, " snapshot {%llu/%llu", ULL(s->term), ULL(s->index));
	add_conf(t, &s->conf_state);
	text_add(t, "}");
}

/* ADR 15: a request for votes waits for the disk, so it is among the responses
 * of the append; with etcd's it is not.  Both are shown after the others. */
static void add_responses(struct text *t, const struct raft_message *m)
{
	for (int votes = 0; votes < 2; votes++)
		for (size_t i = 0; i < m->responses_n; i++)
			if ((m->responses[i].type == RAFT_MSG_VOTE) == votes) {
				text_add(t, "\n   then");
				text_message(t, &m->responses[i]);
			}
}

void text_message(struct text *t, const struct raft_message *m)
{
	text_add(t, " %s %llu>%llu t%llu", raft_message_name(m->type),
	    ULL(m->from), ULL(m->to), ULL(m->term));
	text_add(t, " log %llu/%llu commit %llu", ULL(m->log_term),
	    ULL(m->index), ULL(m->commit));
	if (m->vote != 0)
		text_add(t, " vote %llu", ULL(m->vote));
	if (m->reject)
		text_add(t, " rejected hint %llu", ULL(m->reject_hint));
	if (m->context != 0)
		text_add(t, " context %llu", ULL(m->context));
	if (m->type == RAFT_MSG_STORAGE_APPLY_RESP)
		text_add(t, " size %zu payload %zu", m->size, m->payload);
	add_entries(t, m->entries, m->entries_n);
	if (m->snapshot != NULL)
		add_snapshot(t, m->snapshot);
	add_responses(t, m);
}

void text_ready(struct text *t, const struct raft_ready *rd)
{
	text_add(t, "ready sync %d", rd->must_sync);
	if (rd->soft_changed)
		text_add(t, " leader %llu %s", ULL(rd->leader),
		    raft_state_name(rd->state));
	if (rd->hard_changed)
		text_add(t, " term %llu vote %llu commit %llu",
		    ULL(rd->hard.term), ULL(rd->hard.vote),
		    ULL(rd->hard.commit));
	for (size_t i = 0; i < rd->read_states_n; i++)
		text_add(t, " read %llu at %llu",
		    ULL(rd->read_states[i].context),
		    ULL(rd->read_states[i].index));
	if (rd->snapshot != NULL)
		add_snapshot(t, rd->snapshot);
	text_add(t, "\n append");
	add_entries(t, rd->entries, rd->entries_n);
	text_add(t, "\n apply");
	add_entries(t, rd->committed, rd->committed_n);
	for (size_t i = 0; i < rd->messages_n; i++) {
		text_add(t, "\n ");
		text_message(t, &rd->messages[i]);
	}
	text_add(t, "\n");
}

static void add_progress(struct text *t, const struct progress *p)
{
	static const char *const states[] = {"probe", "replicate", "snapshot"};

	text_add(t, "\n  %llu %s match %llu next %llu sent %llu", ULL(p->id),
	    states[p->state], ULL(p->match), ULL(p->next), ULL(p->sent_commit));
	text_add(t, " inflight %zu/%zu vote %d", p->inflights.n,
	    p->inflights.bytes, (int)p->vote);
	if (p->pending_snapshot != 0)
		text_add(t, " pending %llu", ULL(p->pending_snapshot));
	text_add(t, "%s%s%s", p->recent_active ? " active" : "",
	    p->flow_paused ? " paused" : "", p->learner ? " learner" : "");
}

void text_status(struct text *t, const struct raft *r)
{
	const struct raft_log *l = &r->log;

	text_add(t,
	    "n%llu %s term %llu vote %llu leader %llu transfer %llu"
	    " elapsed %u/%u",
	    ULL(r->id), raft_state_name(r->state), ULL(r->term), ULL(r->vote),
	    ULL(r->leader), ULL(r->transferee), r->election_elapsed,
	    r->heartbeat_elapsed);
	text_add(t,
	    "\n log %llu+%zu given %llu commit %llu applying %llu (%zu%s)"
	    " applied %llu%s",
	    ULL(l->offset), l->tail_n, ULL(l->offset_in_progress),
	    ULL(l->committed), ULL(l->applying), l->applying_size,
	    l->applying_paused ? " paused" : "", ULL(l->applied),
	    l->snapshot == NULL       ? ""
	    : l->snapshot_in_progress ? " snapshot given"
				      : " snapshot");
	text_add(t, "\n change %llu uncommitted %zu reads %zu waiting %zu%s\n ",
	    ULL(r->pending_conf),
	    r->state == RAFT_LEADER ? r->uncommitted_size : 0, r->reads.n,
	    r->reads.waiting_n, raft_has_ready(r) ? " ready" : "");
	add_conf(t, &r->tracker.conf);
	for (size_t i = 0; i < r->tracker.n; i++)
		add_progress(t, &r->tracker.peers[i]);
	text_add(t, "\n");
}

void text_op(struct text *t, const struct op *op)
{
	static const char *const names[OP_KINDS] = {"tick", "deliver", "disk",
	    "apply", "ready", "propose", "change", "transfer", "read",
	    "campaign", "forget", "unreachable", "report", "snapshot",
	    "compact", "crash", "restart"};

	text_add(t, "n%u %s %u %u %u%s%s%s", op->node, names[op->kind], op->a,
	    op->b, op->c, op->flags & OP_TAKE_READY ? " +ready" : "",
	    op->flags & OP_SKIP_CHANGES ? " without changes" : "",
	    op->flags & OP_TWO_CHANGES ? " twice" : "");
}
