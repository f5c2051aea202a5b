/* describe.c -- the core's messages and events as text. */
#include "describe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ULL(x) ((unsigned long long)(x))

struct text {
	char *p;
	size_t n, size;
};

static void add(struct text *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *format, ...)
{
	va_list ap;
	int n;

	if (t->n + 1 >= t->size)
		return;
	va_start(ap, format);
	n = vsnprintf(t->p + t->n, t->size - t->n, format, ap);
	va_end(ap);
	if (n > 0)
		t->n += (size_t)n;
	if (t->n >= t->size)
		t->n = t->size - 1;
}

static void add_change(struct text *t, struct raft_span data)
{
	static const char letters[] = {'v', 'r', 'n', 'l'};
	static const char *const modes[] = {"", "joint ", "explicit "};
	struct raft_conf_change c;

	if (raft_conf_change_decode(data, &c) != RAFT_OK) {
		add(t, "conf(?)");
		return;
	}
	add(t, "conf(%s", modes[c.transition]);
	for (size_t i = 0; i < c.n; i++)
		add(t, "%s%c%llu", i > 0 ? " " : "", letters[c.changes[i].type],
		    ULL(c.changes[i].id));
	add(t, "%s)", c.n == 0 ? "leave" : "");
}

static bool printable(struct raft_span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (((const char *)s.p)[i] < ' ' ||
		    ((const char *)s.p)[i] > '~')
			return false;
	return true;
}

static void add_entry(struct text *t, const struct raft_entry *e)
{
	add(t, "%llu/%llu ", ULL(e->term), ULL(e->index));
	if (e->type == RAFT_ENTRY_CONF_CHANGE)
		add_change(t, e->data);
	else if (e->data.len == 0)
		add(t, "-");
	else if (printable(e->data))
		add(t, "\"%.*s\"", (int)e->data.len, (const char *)e->data.p);
	else
		add(t, "%zu bytes", e->data.len);
}

void describe_entry(const struct raft_entry *e, char *out, size_t size)
{
	add_entry(&(struct text){out, 0, size}, e);
}

static void add_ids(
    struct text *t, const char *name, const raft_id *ids, size_t n)
{
	if (n == 0)
		return;
	add(t, "%s%s(", t->n > 0 ? " " : "", name);
	for (size_t i = 0; i < n; i++)
		add(t, "%s%llu", i > 0 ? " " : "", ULL(ids[i]));
	add(t, ")");
}

void describe_conf(const struct raft_conf_state *c, char *out, size_t size)
{
	struct text t = {out, 0, size};

	if (size > 0)
		out[0] = '\0';
	add_ids(&t, "voters", c->voters, c->voters_n);
	add_ids(&t, "outgoing", c->voters_outgoing, c->voters_outgoing_n);
	add_ids(&t, "learners", c->learners, c->learners_n);
	add_ids(&t, "next", c->learners_next, c->learners_next_n);
	if (c->auto_leave)
		add(&t, " auto");
}

static void add_id(struct text *t, raft_id id)
{
	if (id == RAFT_APPEND_THREAD)
		add(t, "append");
	else if (id == RAFT_APPLY_THREAD)
		add(t, "apply");
	else
		add(t, "%llu", ULL(id));
}

static void add_message(struct text *t, const struct raft_message *m)
{
	add_id(t, m->from);
	add(t, ">");
	add_id(t, m->to);
	add(t, " %s", raft_message_name(m->type));
	if (m->term != 0)
		add(t, " t%llu", ULL(m->term));
	if (m->vote != 0)
		add(t, " v%llu", ULL(m->vote));
	if (m->log_term != 0 || m->index != 0)
		add(t, " %llu/%llu", ULL(m->log_term), ULL(m->index));
	if (m->commit != 0)
		add(t, " c%llu", ULL(m->commit));
	if (m->reject)
		add(t, " reject");
	if (m->reject_hint != 0)
		add(t, " hint %llu", ULL(m->reject_hint));
	if (m->context != 0)
		add(t, " x%llu", ULL(m->context));
	if (m->snapshot != NULL)
		add(t, " snap %llu/%llu", ULL(m->snapshot->term),
		    ULL(m->snapshot->index));
	for (size_t i = 0; i < m->entries_n; i++) {
		add(t, i == 0 ? " [" : ", ");
		add_entry(t, &m->entries[i]);
	}
	if (m->entries_n > 0)
		add(t, "]");
	for (size_t i = 0; i < m->responses_n; i++) {
		add(t, i == 0 ? " then {" : "; ");
		add_message(t, &m->responses[i]);
	}
	if (m->responses_n > 0)
		add(t, "}");
}

void describe_message(const struct raft_message *m, char *out, size_t size)
{
	if (size > 0)
		out[0] = '\0';
	add_message(&(struct text){out, 0, size}, m);
}

void describe_trace(const struct raft_trace *e, char *out, size_t size)
{
	struct text t = {out, 0, size};

	add(&t, "n%llu ", ULL(e->id));
	switch (e->kind) {
	case RAFT_TRACE_STATE:
		add(&t, "%s in term %llu", raft_state_name(e->state),
		    ULL(e->term));
		if (e->peer != 0)
			add(&t, ", leader %llu", ULL(e->peer));
		break;
	case RAFT_TRACE_CAMPAIGN:
		add(&t, "campaigns with %llu/%llu", ULL(e->b), ULL(e->a));
		break;
	case RAFT_TRACE_VOTE:
		add(&t, "%s n%llu its %s", e->a ? "grants" : "denies",
		    ULL(e->peer), raft_message_name(e->type));
		break;
	case RAFT_TRACE_POLL:
		add(&t, "hears %s from n%llu", e->a ? "yes" : "no",
		    ULL(e->peer));
		break;
	case RAFT_TRACE_IGNORED:
		add(&t, "ignores %s from n%llu", raft_message_name(e->type),
		    ULL(e->peer));
		break;
	case RAFT_TRACE_COMMIT: add(&t, "commits %llu", ULL(e->a)); break;
	case RAFT_TRACE_REJECT:
		add(&t, "refuses to append after %llu, hint %llu", ULL(e->a),
		    ULL(e->b));
		break;
	case RAFT_TRACE_CONF:
		add(&t, "has %llu voters, %llu learners", ULL(e->a), ULL(e->b));
		break;
	case RAFT_TRACE_SNAPSHOT:
		add(&t, "restores %llu/%llu", ULL(e->b), ULL(e->a));
		break;
	case RAFT_TRACE_SNAP_SENT:
		add(&t, "sends snapshot %llu to n%llu", ULL(e->a),
		    ULL(e->peer));
		break;
	case RAFT_TRACE_TRANSFER:
		add(&t, "%s transfer to n%llu", e->a ? "aborts" : "begins",
		    ULL(e->peer));
		break;
	case RAFT_TRACE_CONF_REFUSED: add(&t, "refuses a change"); break;
	default: out[0] = '\0'; break; /* a step of one of these */
	}
}
