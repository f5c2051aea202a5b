/* members.c -- configurations change only by what was committed. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static struct change *add(struct trace_check *c)
{
	if (c->change_n == c->change_cap) {
		c->change_cap = c->change_cap == 0 ? 16 : c->change_cap * 2;
		c->change =
		    realloc(c->change, c->change_cap * sizeof(*c->change));
		if (c->change == NULL)
			abort();
	}
	return &c->change[c->change_n++];
}

/* What one node began with is what another applied. */
void members_began(struct trace_check *c, const struct voters *v)
{
	raft_index at;

	if (v->now.n == 0 || members_known(c, v, UINT64_MAX, &at))
		return;
	*add(c) = (struct change){.after = {*v}, .after_n = 1};
}

static void drop(struct ids *s, raft_id id)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->id[i] == id) {
			memmove(&s->id[i], &s->id[i + 1],
			    (s->n-- - i - 1) * sizeof(*s->id));
			return;
		}
}

static void change_one(struct ids *s, const struct raft_change *one)
{
	if (one->id == 0 || one->type == RAFT_NOP)
		return;
	if (one->type != RAFT_ADD_VOTER)
		drop(s, one->id);
	else if (!ids_have(s, one->id) && s->n < RAFT_PEERS_MAX)
		s->id[s->n++] = one->id;
}

/* A line does not say whether a change is simple or enters a joint
 * configuration: both are noted. */
void members_proposed(struct trace_check *c, const struct voters *v,
    raft_index index, raft_term term, const struct raft_conf_change *change)
{
	struct change *e = add(c);
	struct voters simple = *v;

	*e = (struct change){.index = index, .term = term, .before = *v};
	if (v->outgoing.n > 0) {
		simple.outgoing.n = 0; /* only leaving it is left */
		e->after[e->after_n++] = simple;
		return;
	}
	for (size_t i = 0; i < change->n; i++)
		change_one(&simple.now, &change->changes[i]);
	e->after[e->after_n++] = simple;
	simple.outgoing = v->now;
	e->after[e->after_n++] = simple;
}

static bool leads_to(const struct change *e, const struct voters *v)
{
	for (size_t i = 0; i < e->after_n; i++)
		if (voters_equal(&e->after[i], v))
			return true;
	return false;
}

bool members_known(const struct trace_check *c, const struct voters *v,
    raft_index commit, raft_index *at)
{
	for (size_t k = 0; k < c->change_n; k++) {
		const struct change *e = &c->change[k];
		raft_term term = terms_at(&c->committed, e->index);

		/* Another entry may have been committed at its index. */
		if (e->index <= commit && (term == 0 || term == e->term) &&
		    leads_to(e, v)) {
			*at = e->index;
			return true;
		}
	}
	return false;
}

static bool follows(const struct peer *p, const struct change *e,
    const struct voters *v, raft_index commit)
{
	raft_term term = terms_at(&p->log, e->index);

	return e->index > p->conf_at && e->index <= commit &&
	       (term == 0 || term == e->term) &&
	       voters_equal(&e->before, &p->conf) && leads_to(e, v);
}

bool members_apply(struct trace_check *c, struct peer *p,
    const struct voters *v, raft_index commit)
{
	for (size_t k = 0; k < c->change_n; k++)
		if (c->change[k].index != 0 &&
		    follows(p, &c->change[k], v, commit)) {
			p->conf_at = c->change[k].index;
			p->conf = *v;
			return true;
		}
	/* Learners come and go, and changes are refused when applied. */
	if (voters_equal(v, &p->conf))
		return true;
	if (known_all(c, v) && (!c->before || p->conf_at != 0))
		return trace_fail(c,
		    "takes a configuration that no committed change leads to");
	members_began(c, v);
	p->conf = *v;
	return true;
}
