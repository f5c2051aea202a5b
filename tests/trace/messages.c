/* messages.c -- what may be sent, and what an answer does to a log. */
#include "internal.h"

#include <stdlib.h>

/* ---- Requests ---- */

static raft_index match_of(const struct peer *p, raft_id id)
{
	for (size_t i = 0; i < p->match_n; i++)
		if (p->match[i].id == id)
			return p->match[i].index;
	return 0;
}

static bool sends_entries(struct trace_check *c, const struct peer *p,
    const struct raft_step_message *m)
{
	raft_term before = terms_at(&p->log, m->index);

	if (m->index + m->entries > p->log.last)
		return trace_fail(c, "sends entries %llu to %llu of %llu",
		    ULL(m->index + 1), ULL(m->index + m->entries),
		    ULL(p->log.last));
	if (m->log_term != before && (before != 0 || m->index == 0))
		return trace_fail(c, "says that entry %llu is of term %llu",
		    ULL(m->index), ULL(m->log_term));
	if (m->commit > p->state.commit)
		return trace_fail(c, "sends commit %llu", ULL(m->commit));
	return true;
}

static bool send_append(struct trace_check *c, const struct peer *p,
    const struct raft_step_message *m)
{
	raft_index match = match_of(p, m->to);

	if (p->role != RAFT_LEADER || m->term != p->state.term ||
	    m->to == p->id)
		return trace_fail(c, "sends what only a leader sends");
	if (m->type == RAFT_MSG_APP)
		return sends_entries(c, p, m);
	if (m->type == RAFT_MSG_HEARTBEAT &&
	    (m->commit > match || m->commit > p->state.commit))
		return trace_fail(c,
		    "tells n%llu to commit %llu, which acknowledged %llu",
		    ULL(m->to), ULL(m->commit), ULL(match));
	if (m->type == RAFT_MSG_SNAP && m->entries > p->state.commit)
		return trace_fail(c, "sends a snapshot past its commit");
	return true;
}

static bool send_vote(struct trace_check *c, const struct peer *p,
    const struct raft_step_message *m)
{
	raft_term term = terms_at(&p->log, p->log.last);

	if (p->role != RAFT_CANDIDATE || m->term != p->state.term ||
	    p->state.vote != p->id)
		return trace_fail(c, "asks for votes and is no candidate");
	if (m->index != p->log.last || (term != 0 && m->log_term != term))
		return trace_fail(c,
		    "asks for votes with %llu/%llu, its log ends with "
		    "%llu/%llu",
		    ULL(m->log_term), ULL(m->index), ULL(term),
		    ULL(p->log.last));
	return true;
}

/* ---- A vote ---- */

static bool grant(
    struct trace_check *c, struct peer *p, const struct raft_step_message *m)
{
	const struct grant *last =
	    p->grant_n == 0 ? NULL : &p->grant[p->grant_n - 1];

	if (last != NULL && last->term >= m->term) {
		if (last->term == m->term && last->to == m->to)
			return true;
		return trace_fail(c,
		    "votes for n%llu in term %llu, and for n%llu in term %llu",
		    ULL(last->to), ULL(last->term), ULL(m->to), ULL(m->term));
	}
	if (p->grant_n == p->grant_cap) {
		p->grant_cap = p->grant_cap == 0 ? 8 : p->grant_cap * 2;
		p->grant = realloc(p->grant, p->grant_cap * sizeof(*p->grant));
		if (p->grant == NULL)
			abort();
	}
	p->grant[p->grant_n++] = (struct grant){.term = m->term, .to = m->to};
	return true;
}

static bool up_to_date(
    const struct peer *p, const struct raft_step_message *request)
{
	raft_term mine = terms_at(&p->log, p->log.last);

	if (mine == 0 && p->log.last > 0)
		return true; /* not known */
	return request->log_term > mine ||
	       (request->log_term == mine && request->index >= p->log.last);
}

static bool send_vote_resp(
    struct trace_check *c, struct peer *p, const struct raft_step_message *m)
{
	const struct raft_step_message *q = &p->request;

	if (m->term != p->state.term)
		return trace_fail(c, "answers for term %llu", ULL(m->term));
	if (m->to == p->id) {
		if (p->role != RAFT_CANDIDATE || m->reject)
			return trace_fail(c, "votes for itself, no candidate");
		return grant(c, p, m);
	}
	if (!p->handling || q->type != RAFT_MSG_VOTE || q->from != m->to)
		return trace_fail(c, "answers what nobody asked");
	p->handling = false;
	if (m->reject)
		return true;
	if (q->term != m->term || !up_to_date(p, q))
		return trace_fail(c,
		    "votes for a log that ends with %llu/%llu, its own with "
		    "%llu/%llu",
		    ULL(q->log_term), ULL(q->index),
		    ULL(terms_at(&p->log, p->log.last)), ULL(p->log.last));
	if (p->state.vote != 0 && p->state.vote != m->to)
		return trace_fail(c,
		    "votes for n%llu in term %llu, and had voted for n%llu",
		    ULL(m->to), ULL(m->term), ULL(p->state.vote));
	p->state.vote = m->to;
	return grant(c, p, m);
}

/* ---- An append ---- */

static void cut(struct peer *p, raft_index last)
{
	if (p->acked > last)
		p->acked = last; /* the disk may have either */
}

/* The log after the entries of q, which follows on one of its own. */
static bool take_entries(struct trace_check *c, struct peer *p,
    const struct raft_step_message *q, raft_index last)
{
	static const struct terms none;
	const struct reign *r = known_reign(c, q->term);
	const struct terms *from =
	    r != NULL && r->leader == q->from ? &r->log : &none;
	raft_index end = q->index + q->entries, lo = q->index + 1;
	raft_index have = end < p->log.last ? end : p->log.last, at;

	at = from->last >= end ? terms_differ(&p->log, from, lo, have) : lo;
	/* Entries that are not known may be equal or not: a log that is longer
	 * was not cut. */
	if (from->last < end && last == p->log.last && end < last)
		return true;
	if (at > end)
		return true; /* it had them all */
	if (at <= p->state.commit && from->last >= end)
		return trace_fail(c, "cuts its log at %llu, and committed %llu",
		    ULL(at), ULL(p->state.commit));
	if (at <= p->log.last)
		cut(p, at - 1);
	terms_replace(&p->log, from, at, end);
	return true;
}

static bool answer_append(struct trace_check *c, struct peer *p,
    const struct raft_step *s, const struct raft_step_message *q)
{
	const struct raft_step_message *m = &s->m;
	raft_term before = terms_at(&p->log, q->index);
	bool known = q->index == 0 || before != 0;
	bool matches = q->index <= p->log.last && before == q->log_term;
	raft_index end = q->index + q->entries, commit;

	if (q->index < p->state.commit) {
		if (m->reject || m->index != p->state.commit)
			return trace_fail(c, "answers %llu, and committed %llu",
			    ULL(m->index), ULL(p->state.commit));
		return true;
	}
	if (q->index > p->log.last)
		known = true;
	if (known && matches == m->reject)
		return trace_fail(c,
		    "%s what follows %llu/%llu, its own is %llu/%llu",
		    m->reject ? "refuses" : "takes", ULL(q->log_term),
		    ULL(q->index), ULL(before), ULL(q->index));
	if (m->reject)
		return m->index == q->index ||
		       trace_fail(c, "refuses another index");
	if (m->index != end)
		return trace_fail(
		    c, "acknowledges %llu of %llu", ULL(m->index), ULL(end));
	if (!take_entries(c, p, q, s->last))
		return false;
	commit = q->commit < end ? q->commit : end;
	return commit <= p->state.commit || commit_to(c, p, commit);
}

static bool answer_heartbeat(struct trace_check *c, struct peer *p,
    const struct raft_step_message *m, const struct raft_step_message *q)
{
	/* What was acknowledged before the loss may come to be committed. */
	if (p->lost && q->commit > p->log.last)
		return true;
	if (m->reject)
		return trace_fail(c, "refuses a heartbeat");
	return q->commit <= p->state.commit || commit_to(c, p, q->commit);
}

/* The leader's log, up to a committed entry. */
static const struct terms *snapshot_log(
    const struct trace_check *c, const struct raft_step_message *q)
{
	static const struct terms none;
	const struct reign *r = known_reign(c, q->term);

	return r != NULL && r->leader == q->from ? &r->log : &none;
}

/* What it had, or had restored, or finds in its log. */
static bool answer_snapshot(struct trace_check *c, struct peer *p,
    const struct raft_step *s, const struct raft_step_message *q)
{
	const struct terms *from = snapshot_log(c, q);

	if (s->m.reject || s->m.index != s->state.commit)
		return trace_fail(c, "answers %llu to a snapshot at %llu",
		    ULL(s->m.index), ULL(q->entries));
	if (s->state.commit == p->state.commit)
		return true;
	if (s->state.commit != q->entries ||
	    (from->last >= q->entries && terms_differ(&p->log, from, q->entries,
					     q->entries) == q->entries))
		return trace_fail(c, "commits without the snapshot's entry");
	return commit_to(c, p, q->entries);
}

bool messages_restore(struct trace_check *c, struct peer *p)
{
	const struct raft_step_message *q = &p->request;

	if (q->entries <= p->state.commit)
		return trace_fail(c, "restores %llu, and committed %llu",
		    ULL(q->entries), ULL(p->state.commit));
	cut(p, p->state.commit);
	terms_copy(&p->log, snapshot_log(c, q), q->entries);
	return commit_to(c, p, q->entries);
}

static bool send_append_resp(
    struct trace_check *c, struct peer *p, const struct raft_step *s)
{
	const struct raft_step_message *m = &s->m, *q = &p->request;

	if (m->term != p->state.term)
		return trace_fail(c, "answers for term %llu", ULL(m->term));
	if (m->to == p->id)
		return (p->role == RAFT_LEADER && !m->reject &&
			   m->index == p->log.last) ||
		       trace_fail(c, "acknowledges to itself %llu of %llu",
			   ULL(m->index), ULL(p->log.last));
	if (!p->handling || q->from != m->to || q->type == RAFT_MSG_VOTE)
		return trace_fail(c, "answers what nobody asked");
	p->handling = false;
	if (q->term < p->state.term) /* tells of its term */
		return m->index == 0 ||
		       trace_fail(c, "acknowledges to an earlier term");
	if (p->role != RAFT_FOLLOWER || q->term != p->state.term)
		return trace_fail(c, "answers, and is no follower");
	if ((q->type == RAFT_MSG_HEARTBEAT) !=
	    (m->type == RAFT_MSG_HEARTBEAT_RESP))
		return trace_fail(c, "gives another kind of answer");
	if (q->type == RAFT_MSG_HEARTBEAT)
		return answer_heartbeat(c, p, m, q);
	return q->type == RAFT_MSG_SNAP ? answer_snapshot(c, p, s, q)
					: answer_append(c, p, s, q);
}

bool messages_send(
    struct trace_check *c, struct peer *p, const struct raft_step *s)
{
	const struct raft_step_message *m = &s->m;
	bool ok = m->from == p->id || trace_fail(c, "sends for another");

	if (ok && m->type == RAFT_MSG_VOTE)
		ok = send_vote(c, p, m);
	else if (ok && m->type == RAFT_MSG_VOTE_RESP)
		ok = send_vote_resp(c, p, m);
	else if (ok && (m->type == RAFT_MSG_APP_RESP ||
			   m->type == RAFT_MSG_HEARTBEAT_RESP))
		ok = send_append_resp(c, p, s);
	else if (ok)
		ok = send_append(c, p, m);
	known_sent(c, m);
	return ok;
}

/* ---- What is received ---- */

/* Whoever hears of a term, a vote or an entry hears it from a disk. */
static bool promised(
    struct trace_check *c, struct peer *from, const struct raft_step_message *m)
{
	if (m->term > from->left_term)
		from->left_term = m->term;
	/* One may come that was sent before the loss. */
	if (m->type == RAFT_MSG_APP_RESP && !m->reject && !from->lost &&
	    m->term == from->state.term && m->index > from->acked)
		from->acked = m->index;
	if (m->type != RAFT_MSG_VOTE_RESP || m->reject)
		return true;
	for (size_t i = from->grant_n; i-- > 0;)
		if (from->grant[i].term == m->term &&
		    from->grant[i].to == m->to) {
			from->grant[i].left = true;
			return true;
		}
	return trace_fail(c,
	    "has a vote of n%llu in term %llu, which forgot it", ULL(m->from),
	    ULL(m->term));
}

static void acknowledged(struct peer *p, const struct raft_step_message *m)
{
	size_t i = 0;

	if (m->index > p->log.last)
		return; /* nobody holds what was never sent */
	while (i < p->match_n && p->match[i].id != m->from)
		i++;
	if (i == p->match_n) {
		if (i == RAFT_PEERS_MAX)
			return;
		p->match[p->match_n++] = (struct match){.id = m->from};
	}
	if (m->index > p->match[i].index)
		p->match[i].index = m->index;
}

static bool request(enum raft_message_type t)
{
	return t == RAFT_MSG_APP || t == RAFT_MSG_HEARTBEAT ||
	       t == RAFT_MSG_SNAP || t == RAFT_MSG_VOTE;
}

bool messages_receive(
    struct trace_check *c, struct peer *p, const struct raft_step *s)
{
	const struct raft_step_message *m = &s->m;
	struct peer *from = known_peer(c, m->from);
	bool disk = m->type == RAFT_MSG_VOTE || m->type == RAFT_MSG_VOTE_RESP ||
		    m->type == RAFT_MSG_APP_RESP;

	if (m->to != p->id)
		return trace_fail(c, "receives what is for n%llu", ULL(m->to));
	if (from->whole && !known_was_sent(c, m))
		return trace_fail(c, "receives Msg%s, which n%llu never sent",
		    raft_message_name(m->type), ULL(m->from));
	if (from->begun && disk && (!c->merged || from == p) &&
	    !promised(c, from, m))
		return false;
	p->handling = request(m->type);
	p->request = *m;
	if (m->term != p->state.term || m->reject)
		return true;
	if (m->type == RAFT_MSG_APP_RESP && p->role == RAFT_LEADER)
		acknowledged(p, m);
	if (m->type == RAFT_MSG_VOTE_RESP && p->role == RAFT_CANDIDATE &&
	    !ids_have(&p->granted, m->from) && p->granted.n < RAFT_PEERS_MAX)
		p->granted.id[p->granted.n++] = m->from;
	return true;
}
