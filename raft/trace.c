/* trace.c -- steps of the specification's trace, and their lines. */
#include "raft_trace.h"

#include <string.h>

#include "internal.h"

const char *const raft_step_names[RAFT_STEP_KINDS] = {
#define X(symbol, name, message) name,
    RAFT_STEPS(X)
#undef X
};
const char *const raft_role_names[4] = {
    "StateFollower", "StateCandidate", "StateLeader", "StatePreCandidate"};

/* ---- What an event is ---- */

static bool message_step(
    enum raft_message_type t, bool sent, enum raft_step_kind *out)
{
	switch (t) {
	case RAFT_MSG_APP:
	case RAFT_MSG_HEARTBEAT:
	case RAFT_MSG_SNAP:
		*out = sent ? RAFT_STEP_SEND_APPEND : RAFT_STEP_RECEIVE_APPEND;
		return true;
	case RAFT_MSG_APP_RESP:
	case RAFT_MSG_HEARTBEAT_RESP:
		*out = sent ? RAFT_STEP_SEND_APPEND_RESP
			    : RAFT_STEP_RECEIVE_APPEND_RESP;
		return true;
	case RAFT_MSG_VOTE:
		*out = sent ? RAFT_STEP_SEND_VOTE : RAFT_STEP_RECEIVE_VOTE;
		return true;
	case RAFT_MSG_VOTE_RESP:
		*out = sent ? RAFT_STEP_SEND_VOTE_RESP
			    : RAFT_STEP_RECEIVE_VOTE_RESP;
		return true;
	default: return false; /* the specification does not know it */
	}
}

static bool state_step(enum raft_state s, enum raft_step_kind *out)
{
	static const enum raft_step_kind kinds[] = {
	    RAFT_STEP_FOLLOWER, RAFT_STEP_CANDIDATE, RAFT_STEP_LEADER};

	if (s == RAFT_PRE_CANDIDATE)
		return false; /* nor PreVote */
	*out = kinds[s];
	return true;
}

static bool kind_of(const struct raft_trace *t, enum raft_step_kind *out)
{
	switch (t->kind) {
	case RAFT_TRACE_INIT: *out = RAFT_STEP_INIT; break;
	case RAFT_TRACE_STATE: return state_step(t->state, out);
	case RAFT_TRACE_COMMIT: *out = RAFT_STEP_COMMIT; break;
	case RAFT_TRACE_REPLICATE:
		*out = t->entry->type == RAFT_ENTRY_CONF_CHANGE
			   ? RAFT_STEP_CHANGE_CONF
			   : RAFT_STEP_REPLICATE;
		break;
	case RAFT_TRACE_CONF: *out = RAFT_STEP_APPLY_CONF; break;
	case RAFT_TRACE_READY: *out = RAFT_STEP_READY; break;
	case RAFT_TRACE_RECEIVE: return message_step(t->type, false, out);
	case RAFT_TRACE_SEND: return message_step(t->type, true, out);
	default: return false;
	}
	return true;
}

static struct raft_step_message message_of(const struct raft_message *m)
{
	struct raft_step_message s = {.type = m->type,
	    .term = m->term,
	    .log_term = m->log_term,
	    .from = m->from,
	    .to = m->to,
	    .vote = m->vote,
	    .index = m->index,
	    .commit = m->commit,
	    .reject_hint = m->reject_hint,
	    .entries = m->entries_n,
	    .reject = m->reject};

	/* A snapshot is an append of everything up to its index. */
	if (m->type == RAFT_MSG_SNAP) {
		s.index = s.log_term = 0;
		s.entries = m->snapshot->index;
	}
	return s;
}

bool raft_step_of(const struct raft_trace *t, struct raft_step *out)
{
	const struct raft *r = t->raft;
	struct raft_entry_id last;

	/* What a node does while it reads its storage is part of INIT; what
	 * it does once it cannot go on leaves it no more. */
	if (!r->begun || r->fatal != RAFT_OK || !kind_of(t, &out->kind) ||
	    log_last(&r->log, &last) != RAFT_OK)
		return false;
	out->id = r->id;
	out->state = raft_hard(r);
	out->role = r->state;
	out->last = last.index;
	out->conf = &r->tracker.conf;
	if (t->kind == RAFT_TRACE_SEND || t->kind == RAFT_TRACE_RECEIVE)
		out->m = message_of(t->m);
	if (out->kind == RAFT_STEP_CHANGE_CONF &&
	    raft_conf_change_decode(t->entry->data, &out->change) != RAFT_OK)
		out->change.n = 0;
	if (out->kind == RAFT_STEP_INIT) {
		out->applied = r->log.applied;
		out->last_term = last.term;
		out->lost = r->config.repairing != 0;
	}
	return true;
}

/* ---- Its line ---- */

static char *put(char *p, const char *text)
{
	while (*text != '\0')
		*p++ = *text++;
	return p;
}

static char *put_number(char *p, uint64_t v)
{
	char digits[20];
	size_t n = 0;

	do
		digits[n++] = (char)('0' + v % 10);
	while ((v /= 10) != 0);
	while (n > 0)
		*p++ = digits[--n];
	return p;
}

static char *put_field(char *p, const char *name, uint64_t v)
{
	return put_number(put(p, name), v);
}

/* Ids are text in the trace. */
static char *put_id(char *p, const char *name, raft_id id)
{
	p = put(put(p, name), "\"");
	return put(put_number(p, id), "\"");
}

static char *put_ids(char *p, const raft_id *ids, size_t n)
{
	*p++ = '[';
	for (size_t i = 0; i < n; i++)
		p = put_id(p, i > 0 ? "," : "", ids[i]);
	*p++ = ']';
	return p;
}

static char *put_message(char *p, const struct raft_step_message *m)
{
	p = put(p, ",\"msg\":{\"type\":\"Msg");
	p = put(p, raft_message_name(m->type));
	p = put_field(p, "\",\"term\":", m->term);
	p = put_id(p, ",\"from\":", m->from);
	p = put_id(p, ",\"to\":", m->to);
	p = put_field(p, ",\"entries\":", m->entries);
	p = put_field(p, ",\"logTerm\":", m->log_term);
	p = put_field(p, ",\"index\":", m->index);
	p = put_field(p, ",\"commit\":", m->commit);
	p = put_id(p, ",\"vote\":", m->vote);
	p = put(p, m->reject ? ",\"reject\":true" : ",\"reject\":false");
	return put(put_field(p, ",\"rejectHint\":", m->reject_hint), "}");
}

static char *put_change(char *p, const struct raft_conf_change *c)
{
	static const char *const actions[] = {
	    "AddNewServer", "RemoveServer", NULL, "AddLearner"};
	const char *before = "\"changes\":[";

	for (size_t i = 0; i < c->n; i++) {
		const char *action = actions[c->changes[i].type];

		if (action == NULL)
			continue;
		p = put_id(put(p, before), "{\"nid\":", c->changes[i].id);
		p = put(put(put(p, ",\"action\":\""), action), "\"}");
		before = ",";
	}
	return before[0] == ',' ? put(p, "]") : p;
}

static char *put_properties(char *p, const struct raft_step *s)
{
	switch (s->kind) {
	case RAFT_STEP_INIT:
		p = put_field(p, ",\"prop\":{\"applied\":", s->applied);
		p = put_field(p, ",\"lastTerm\":", s->last_term);
		return put(p, s->lost ? ",\"lost\":true}" : "}");
	case RAFT_STEP_CHANGE_CONF:
		p = put_change(put(p, ",\"prop\":{\"cc\":{"), &s->change);
		return put(p, "}}");
	case RAFT_STEP_APPLY_CONF:
		p = put(p, ",\"prop\":{\"cc\":{");
		if (s->conf->voters_n > 0)
			p = put_ids(put(p, "\"newconf\":"), s->conf->voters,
			    s->conf->voters_n);
		return put(p, "}}");
	default: return p;
	}
}

/* Seconds, and nine digits of their fraction: lines sort as text. */
static char *put_time(char *p, uint64_t ns)
{
	char digits[20];

	for (size_t i = sizeof(digits); i-- > 0; ns /= 10) {
		if (i == 10)
			digits[i--] = '.';
		digits[i] = (char)('0' + ns % 10);
	}
	memcpy(p, digits, sizeof(digits));
	return p + sizeof(digits);
}

static bool has_message(enum raft_step_kind k)
{
	static const bool has[RAFT_STEP_KINDS] = {
#define X(symbol, name, message) message,
	    RAFT_STEPS(X)
#undef X
	};

	return has[k];
}

size_t raft_step_line(
    const struct raft_step *s, uint64_t at_ns, char out[RAFT_STEP_LINE_MAX])
{
	const struct raft_conf_state *c = s->conf;
	char *p = put(out, "{\"tag\":\"trace\",\"ts\":\"");

	p = put(put_time(p, at_ns), "\",\"event\":{\"name\":\"");
	p = put_id(put(p, raft_step_names[s->kind]), "\",\"nid\":", s->id);
	p = put_field(p, ",\"state\":{\"term\":", s->state.term);
	p = put_id(p, ",\"vote\":", s->state.vote);
	p = put_field(p, ",\"commit\":", s->state.commit);
	p = put(put(p, "},\"role\":\""), raft_role_names[s->role]);
	p = put_field(p, "\",\"log\":", s->last);
	p = put_ids(put(p, ",\"conf\":["), c->voters, c->voters_n);
	p = put_ids(put(p, ","), c->voters_outgoing, c->voters_outgoing_n);
	p = put(p, "]");
	if (has_message(s->kind))
		p = put_message(p, &s->m);
	p = put(put_properties(p, s), "}}\n");
	return (size_t)(p - out);
}
