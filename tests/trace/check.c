/* check.c -- a node from step to step. */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool trace_fail(struct trace_check *c, const char *format, ...)
{
	va_list ap;

	if (c->failed)
		return false;
	c->failed = true;
	va_start(ap, format);
	vsnprintf(c->why, sizeof(c->why), format, ap);
	va_end(ap);
	return false;
}

struct trace_check *trace_check_new(void)
{
	struct trace_check *c = calloc(1, sizeof(*c));

	if (c == NULL)
		abort();
	return c;
}

void trace_check_free(struct trace_check *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->peer_n; i++) {
		terms_free(&c->peer[i]->log);
		free(c->peer[i]->grant);
		free(c->peer[i]);
	}
	for (size_t i = 0; i < c->reign_n; i++)
		terms_free(&c->reign[i].log);
	free(c->peer);
	free(c->reign);
	free(c->change);
	free(c->sent);
	terms_free(&c->committed);
	terms_free(&c->committed_in);
	free(c);
}

void trace_check_merged(struct trace_check *c)
{
	c->merged = true;
}

void trace_check_whole(struct trace_check *c, raft_id id)
{
	known_peer(c, id)->whole = true;
}

const char *trace_check_why(const struct trace_check *c)
{
	return c->why;
}

/* ---- Commits ---- */

bool commit_to(struct trace_check *c, struct peer *p, raft_index i)
{
	raft_index known = i < c->committed.last ? i : c->committed.last, at;

	if (i > p->log.last)
		return trace_fail(
		    c, "commits %llu of %llu", ULL(i), ULL(p->log.last));
	at = terms_differ(&p->log, &c->committed, p->state.commit + 1, known);
	if (at <= known)
		return trace_fail(c,
		    "commits %llu/%llu, and %llu/%llu was committed",
		    ULL(terms_at(&p->log, at)), ULL(at),
		    ULL(terms_at(&c->committed, at)), ULL(at));
	if (i > c->committed.last) {
		terms_replace(&c->committed, &p->log, c->committed.last + 1, i);
		terms_extend(&c->committed_in, i, p->state.term);
	}
	p->state.commit = i;
	return true;
}

static size_t holders(const struct peer *p, const struct ids *of, raft_index i)
{
	size_t yes = 0;

	for (size_t k = 0; k < p->match_n; k++)
		yes += p->match[k].index >= i && ids_have(of, p->match[k].id);
	return yes;
}

/* Only an entry of the own term, which a quorum acknowledged. */
static bool committed(
    struct trace_check *c, struct peer *p, const struct raft_step *s)
{
	const struct voters *v = &p->conf;
	const struct reign *r = known_reign(c, p->state.term);
	raft_index i = s->state.commit;
	size_t a = holders(p, &v->now, i), b = holders(p, &v->outgoing, i);

	if (i == p->state.commit)
		return true;
	if (p->role != RAFT_LEADER || r == NULL || i < p->state.commit)
		return trace_fail(c, "commits %llu, and does not lead", ULL(i));
	if (i < r->first_own)
		return trace_fail(
		    c, "counts %llu, an entry of an earlier term", ULL(i));
	if (a <= v->now.n / 2 || (v->outgoing.n > 0 && b <= v->outgoing.n / 2))
		return trace_fail(c,
		    "commits %llu, which %zu of %zu and %zu of %zu hold",
		    ULL(i), a, v->now.n, b, v->outgoing.n);
	return commit_to(c, p, i);
}

/* ---- A node begins ---- */

/* What it had promised is on its disk. */
static bool kept_promises(
    struct trace_check *c, struct peer *p, const struct raft_step *s)
{
	if (s->state.term < p->left_term)
		return trace_fail(c, "forgot term %llu", ULL(p->left_term));
	while (p->grant_n > 0) {
		const struct grant *g = &p->grant[p->grant_n - 1];

		if (g->term < s->state.term ||
		    (g->term == s->state.term && g->to == s->state.vote))
			break;
		if (g->left)
			return trace_fail(c,
			    "forgot its vote for n%llu in term %llu",
			    ULL(g->to), ULL(g->term));
		p->grant_n--;
	}
	if (s->last < p->acked)
		return trace_fail(c,
		    "forgot entries to %llu, which it acknowledged",
		    ULL(p->acked));
	if (s->state.commit > p->state.commit)
		return trace_fail(c, "committed %llu while it was away",
		    ULL(s->state.commit));
	return true;
}

/* The log that ends with this entry: a term and an index name it whole. */
static void log_that_ends(const struct trace_check *c, const struct peer *p,
    raft_index last, raft_term term, struct terms *out)
{
	const struct reign *r = known_reign(c, term);
	raft_term mine = terms_at(&p->log, last);

	if (last <= p->log.last && (mine == term || term == 0))
		terms_copy(out, &p->log, last);
	else if (r != NULL && r->leader != 0 && r->log.last >= last)
		terms_copy(out, &r->log, last);
	else if (last > 0) {
		terms_extend(out, last - 1, 0);
		terms_extend(out, last, term);
	}
}

static bool restarted(
    struct trace_check *c, struct peer *p, const struct raft_step *s)
{
	struct voters v;
	struct terms log = {0};

	voters_of(s->conf, &v);
	p->lost = s->lost;
	if (p->lost)
		p->acked = 0;
	if (!kept_promises(c, p, s))
		return false;
	log_that_ends(c, p, s->last, s->last_term, &log);
	if (terms_differ(&log, &p->log, 1, p->acked) <= p->acked) {
		terms_free(&log);
		return trace_fail(c, "forgot entries that it acknowledged");
	}
	terms_free(&p->log);
	p->log = log;
	p->conf_at = 0;
	if (v.now.n > 0 &&
	    !members_known(c, &v, s->state.commit, &p->conf_at) &&
	    known_all(c, &v))
		return trace_fail(c, "begins with unknown members");
	p->conf = v;
	return true;
}

static void began(
    struct trace_check *c, struct peer *p, const struct raft_step *s)
{
	p->begun = true;
	p->settled = s->applied != RAFT_STEP_UNKNOWN;
	c->before |= !p->settled || s->applied < s->last;
	log_that_ends(c, p, s->last, s->last_term, &p->log);
	voters_of(s->conf, &p->conf);
	members_began(c, &p->conf);
	terms_extend(&c->committed, s->state.commit, 0);
	terms_extend(&c->committed_in, s->state.commit, 0);
	if (s->state.term > c->first_term)
		c->first_term = s->state.term;
}

static bool begin(
    struct trace_check *c, struct peer *p, const struct raft_step *s)
{
	if (s->role != RAFT_FOLLOWER || s->state.commit > s->last)
		return trace_fail(c, "begins as what no node begins as");
	if (!p->begun)
		began(c, p, s);
	else if (!restarted(c, p, s))
		return false;
	p->state = s->state;
	p->role = RAFT_FOLLOWER;
	p->handling = false;
	p->granted.n = p->match_n = 0;
	p->replicated = 0;
	return true;
}

/* Before its first own act a node is what it says (etcd's begin by applying
 * the members of a cluster that nobody voted for). */
static bool settle(
    struct trace_check *c, struct peer *p, const struct raft_step *s)
{
	p->settled =
	    s->kind != RAFT_STEP_FOLLOWER && s->kind != RAFT_STEP_APPLY_CONF;
	if (p->settled)
		return false;
	p->state = s->state;
	terms_cut(&p->log, s->last);
	terms_extend(&p->log, s->last, 0);
	terms_extend(&c->committed, s->state.commit, 0);
	terms_extend(&c->committed_in, s->state.commit, 0);
	voters_of(s->conf, &p->conf);
	members_began(c, &p->conf);
	if (s->state.term > c->first_term)
		c->first_term = s->state.term;
	return true;
}

/* ---- Elections ---- */

static bool candidate(
    struct trace_check *c, struct peer *p, const struct raft_step *s)
{
	if (p->role == RAFT_LEADER || s->state.term != p->state.term + 1)
		return trace_fail(c, "campaigns for term %llu after %llu",
		    ULL(s->state.term), ULL(p->state.term));
	if (!ids_have(&p->conf.now, p->id) &&
	    !ids_have(&p->conf.outgoing, p->id))
		return trace_fail(c, "campaigns, and is no voter");
	p->state.term++;
	p->state.vote = p->id;
	p->role = RAFT_CANDIDATE;
	p->handling = false;
	p->granted.n = 0;
	known_campaign(c, p->state.term);
	return true;
}

/* Leader completeness: what was committed in an earlier term. */
static bool complete(struct trace_check *c, const struct peer *p)
{
	const struct terms *in = &c->committed_in;

	for (size_t k = 0; k < in->n; k++) {
		raft_index lo = in->run[k].first, at;
		raft_index hi =
		    k + 1 < in->n ? in->run[k + 1].first - 1 : in->last;

		if (in->run[k].term >= p->state.term)
			continue;
		at = terms_differ(&p->log, &c->committed, lo, hi);
		if (at <= hi)
			return trace_fail(c,
			    "leads term %llu without the committed %llu/%llu",
			    ULL(p->state.term),
			    ULL(terms_at(&c->committed, at)), ULL(at));
	}
	return true;
}

static bool leader(struct trace_check *c, struct peer *p)
{
	struct reign *r = known_campaign(c, p->state.term);

	if (p->role != RAFT_CANDIDATE)
		return trace_fail(c, "leads, and was no candidate");
	if (r->leader != 0)
		return trace_fail(c, "leads term %llu, and so does n%llu",
		    ULL(r->term), ULL(r->leader));
	if (!ids_majority(&p->conf.now, &p->granted) ||
	    !ids_majority(&p->conf.outgoing, &p->granted))
		return trace_fail(c, "leads with %zu votes", p->granted.n);
	r->leader = p->id;
	r->first_own = p->log.last + 1;
	terms_copy(&r->log, &p->log, p->log.last);
	p->role = RAFT_LEADER;
	p->match[0] = (struct match){p->id, p->log.last};
	p->match_n = 1;
	return complete(c, p);
}

/* A later term comes with a message, and somebody campaigned for it.  Without
 * all voters' traces the campaign may be in another. */
static bool term_came(
    const struct trace_check *c, const struct peer *p, raft_term term)
{
	if (p->handling && p->request.term == term)
		return true;
	return p->conf.now.n == 0 || term <= c->first_term ||
	       !known_all(c, &p->conf) || known_reign(c, term) != NULL;
}

static bool follower(
    struct trace_check *c, struct peer *p, const struct raft_step *s)
{
	raft_term term = s->state.term;

	if (term < p->state.term ||
	    (term > p->state.term && !term_came(c, p, term)))
		return trace_fail(c, "follows in term %llu after %llu",
		    ULL(term), ULL(p->state.term));
	if (term > p->state.term)
		p->state.vote = 0;
	p->state.term = term;
	p->role = RAFT_FOLLOWER;
	return true;
}

/* ---- Entries and members ---- */

static bool replicate(
    struct trace_check *c, struct peer *p, const struct raft_step *s)
{
	struct reign *r = known_reign(c, p->state.term);
	raft_index at = p->log.last + 1;

	if (p->role != RAFT_LEADER || r == NULL || r->leader != p->id)
		return trace_fail(c, "appends, and does not lead");
	terms_extend(&p->log, at, p->state.term);
	terms_extend(&r->log, at, p->state.term);
	if (s->kind == RAFT_STEP_CHANGE_CONF)
		members_proposed(c, &p->conf, at, p->state.term, &s->change);
	p->replicated++;
	return true;
}

static bool apply_conf(
    struct trace_check *c, struct peer *p, const struct raft_step *s)
{
	struct voters v;

	voters_of(s->conf, &v);
	if (!p->handling || p->request.type != RAFT_MSG_SNAP ||
	    s->state.commit == p->state.commit)
		return members_apply(c, p, &v, p->state.commit);
	if (p->request.term != p->state.term || p->role != RAFT_FOLLOWER)
		return trace_fail(c, "restores, and is no follower");
	if (!members_known(c, &v, p->request.entries, &p->conf_at) &&
	    !c->before && known_all(c, &v))
		return trace_fail(c, "restores unknown members");
	p->conf = v;
	return messages_restore(c, p);
}

/* ---- Steps ---- */

/* What the step says the node is now. */
static bool is_so(
    struct trace_check *c, struct peer *p, const struct raft_step *s)
{
	struct voters v;
	raft_index last = p->log.last - p->replicated;

	if (s->role == RAFT_PRE_CANDIDATE && p->role != RAFT_LEADER)
		p->role = s->role; /* of which the trace says nothing else */
	/* etcd notes a vote when it has answered. */
	if (s->state.term != p->state.term ||
	    (s->state.vote != p->state.vote &&
		(s->state.vote != 0 || s->kind != RAFT_STEP_SEND_VOTE_RESP)))
		return trace_fail(c,
		    "is in term %llu, vote %llu, not %llu and %llu",
		    ULL(s->state.term), ULL(s->state.vote), ULL(p->state.term),
		    ULL(p->state.vote));
	if (s->role != p->role)
		return trace_fail(c, "is %s, not %s", raft_role_names[s->role],
		    raft_role_names[p->role]);
	if (s->state.commit != p->state.commit)
		return trace_fail(c, "has committed %llu, not %llu",
		    ULL(s->state.commit), ULL(p->state.commit));
	if (s->last != last)
		return trace_fail(
		    c, "has a log of %llu, not %llu", ULL(s->last), ULL(last));
	voters_of(s->conf, &v);
	if (!voters_equal(&v, &p->conf))
		return trace_fail(c, "has members that it did not apply");
	return true;
}

/* A step that shows the log before an entry is appended. */
static bool appends(enum raft_step_kind k)
{
	return k == RAFT_STEP_REPLICATE || k == RAFT_STEP_CHANGE_CONF;
}

static bool act(
    struct trace_check *c, struct peer *p, const struct raft_step *s)
{
	switch (s->kind) {
	case RAFT_STEP_INIT: return begin(c, p, s);
	case RAFT_STEP_CANDIDATE: return candidate(c, p, s);
	case RAFT_STEP_FOLLOWER: return follower(c, p, s);
	case RAFT_STEP_LEADER: return leader(c, p);
	case RAFT_STEP_COMMIT: return committed(c, p, s);
	case RAFT_STEP_REPLICATE:
	case RAFT_STEP_CHANGE_CONF: return replicate(c, p, s);
	case RAFT_STEP_APPLY_CONF: return apply_conf(c, p, s);
	case RAFT_STEP_READY: p->handling = false; return true;
	case RAFT_STEP_SEND_APPEND:
	case RAFT_STEP_SEND_APPEND_RESP:
	case RAFT_STEP_SEND_VOTE:
	case RAFT_STEP_SEND_VOTE_RESP:
	case RAFT_STEP_SEND_SNAPSHOT: return messages_send(c, p, s);
	case RAFT_STEP_RECEIVE_APPEND:
	case RAFT_STEP_RECEIVE_APPEND_RESP:
	case RAFT_STEP_RECEIVE_VOTE:
	case RAFT_STEP_RECEIVE_VOTE_RESP:
	case RAFT_STEP_RECEIVE_SNAPSHOT: return messages_receive(c, p, s);
	case RAFT_STEP_KINDS: break;
	}
	return trace_fail(c, "does what is not in the trace");
}

bool trace_check_step(struct trace_check *c, const struct raft_step *s)
{
	struct peer *p = known_peer(c, s->id);

	if (c->failed)
		return false;
	if (!p->begun && s->kind != RAFT_STEP_INIT)
		return trace_fail(c, "acts before its InitState");
	if (!p->settled && p->begun && s->kind != RAFT_STEP_INIT &&
	    settle(c, p, s))
		return true;
	if (!appends(s->kind))
		p->replicated = 0;
	else if (!is_so(c, p, s))
		return false;
	return act(c, p, s) && (appends(s->kind) || is_so(c, p, s));
}

static bool received(enum raft_step_kind k)
{
	return k == RAFT_STEP_RECEIVE_APPEND ||
	       k == RAFT_STEP_RECEIVE_APPEND_RESP ||
	       k == RAFT_STEP_RECEIVE_VOTE ||
	       k == RAFT_STEP_RECEIVE_VOTE_RESP ||
	       k == RAFT_STEP_RECEIVE_SNAPSHOT;
}

bool trace_check_ready(const struct trace_check *c, const struct raft_step *s)
{
	const struct peer *p = known_whole(c, s->id);

	if (received(s->kind))
		return known_whole(c, s->m.from) == NULL ||
		       known_was_sent(c, &s->m);
	return p == NULL || s->kind != RAFT_STEP_FOLLOWER ||
	       s->state.term <= p->state.term || term_came(c, p, s->state.term);
}
