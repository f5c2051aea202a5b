/* confchange.c -- membership changes: one voter at a time, or joint [4]. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static void ids_add(raft_id *ids, size_t *n, raft_id id)
{
	size_t at = 0;

	if (id_in(ids, *n, id) || *n == RAFT_PEERS_MAX)
		return;
	while (at < *n && ids[at] < id)
		at++;
	memmove(&ids[at + 1], &ids[at], (*n - at) * sizeof(*ids));
	ids[at] = id;
	(*n)++;
}

static void ids_drop(raft_id *ids, size_t *n, raft_id id)
{
	for (size_t i = 0; i < *n; i++)
		if (ids[i] == id) {
			memmove(
			    &ids[i], &ids[i + 1], (*n - i - 1) * sizeof(*ids));
			(*n)--;
			return;
		}
}

/* A new peer: probed from the end of the log, and taken as alive so that
 * CheckQuorum gives it time to speak. */
static struct progress *add_progress(
    struct tracker *t, raft_id id, bool learner, raft_index last)
{
	struct progress *p = tracker_add(t, id);

	if (p == NULL)
		return NULL;
	p->next = last > 1 ? last : 1;
	p->learner = learner;
	p->recent_active = true;
	return p;
}

static int make_voter(struct tracker *t, raft_id id, raft_index last)
{
	struct raft_conf_state *c = &t->conf;
	struct progress *p = tracker_find(t, id);

	if (p == NULL && (p = add_progress(t, id, false, last)) == NULL)
		return RAFT_EINVAL;
	p->learner = false;
	ids_drop(c->learners, &c->learners_n, id);
	ids_drop(c->learners_next, &c->learners_next_n, id);
	ids_add(c->voters, &c->voters_n, id);
	return RAFT_OK;
}

static int make_learner(struct tracker *t, raft_id id, raft_index last)
{
	struct raft_conf_state *c = &t->conf;
	struct progress *p = tracker_find(t, id);

	if (p == NULL) {
		if (add_progress(t, id, true, last) == NULL)
			return RAFT_EINVAL;
		ids_add(c->learners, &c->learners_n, id);
		return RAFT_OK;
	}
	if (p->learner)
		return RAFT_OK;
	ids_drop(c->voters, &c->voters_n, id);
	ids_drop(c->learners, &c->learners_n, id);
	ids_drop(c->learners_next, &c->learners_next_n, id);
	/* A voter of the outgoing half becomes a learner when that ends. */
	if (RAFT_GUARD(LEARNERS_NEXT,
		id_in(c->voters_outgoing, c->voters_outgoing_n, id))) {
		ids_add(c->learners_next, &c->learners_next_n, id);
	} else {
		p->learner = true;
		ids_add(c->learners, &c->learners_n, id);
	}
	return RAFT_OK;
}

static void remove_peer(struct tracker *t, raft_id id)
{
	struct raft_conf_state *c = &t->conf;

	ids_drop(c->voters, &c->voters_n, id);
	ids_drop(c->learners, &c->learners_n, id);
	ids_drop(c->learners_next, &c->learners_next_n, id);
	if (RAFT_GUARD(OUTGOING_STAYS,
		!id_in(c->voters_outgoing, c->voters_outgoing_n, id)))
		tracker_drop(t, id);
}

static int apply_changes(
    struct tracker *t, const struct raft_conf_change *c, raft_index last)
{
	int rc = RAFT_OK;

	for (size_t i = 0; rc == RAFT_OK && i < c->n; i++) {
		raft_id id = c->changes[i].id;

		if (id == 0)
			continue; /* a change refused when it was applied */
		switch (c->changes[i].type) {
		case RAFT_ADD_VOTER: rc = make_voter(t, id, last); break;
		case RAFT_ADD_LEARNER: rc = make_learner(t, id, last); break;
		case RAFT_REMOVE: remove_peer(t, id); break;
		case RAFT_NOP: break;
		}
	}
	if (rc == RAFT_OK && RAFT_GUARD(SOMEBODY_VOTES, t->conf.voters_n == 0))
		return RAFT_EINVAL; /* nobody would be left to vote */
	return rc;
}

static int enter_joint(
    struct tracker *t, const struct raft_conf_change *c, raft_index last)
{
	struct raft_conf_state *s = &t->conf;
	int rc;

	if (RAFT_GUARD(JOINT_ONCE, s->voters_outgoing_n > 0) ||
	    RAFT_GUARD(JOINT_OF_NOBODY, s->voters_n == 0))
		return RAFT_EINVAL;
	memcpy(s->voters_outgoing, s->voters, sizeof(s->voters));
	s->voters_outgoing_n = s->voters_n;
	rc = apply_changes(t, c, last);
	s->auto_leave = c->transition != RAFT_JOINT_EXPLICIT;
	return rc;
}

static int leave_joint(struct tracker *t)
{
	struct raft_conf_state *s = &t->conf;
	struct raft_conf_state old = *s;

	if (RAFT_GUARD(LEAVE_WHAT, s->voters_outgoing_n == 0))
		return RAFT_EINVAL;
	for (size_t i = 0; i < old.learners_next_n; i++) {
		struct progress *p = tracker_find(t, old.learners_next[i]);

		ids_add(s->learners, &s->learners_n, old.learners_next[i]);
		if (p != NULL)
			p->learner = true;
	}
	s->learners_next_n = s->voters_outgoing_n = 0;
	s->auto_leave = false;
	for (size_t i = 0; i < old.voters_outgoing_n; i++) {
		raft_id id = old.voters_outgoing[i];

		if (RAFT_GUARD(LEAVE_KEEPS_VOTERS,
			!id_in(s->voters, s->voters_n, id)) &&
		    RAFT_GUARD(LEAVE_KEEPS_LEARNERS,
			!id_in(s->learners, s->learners_n, id)))
			tracker_drop(t, id);
	}
	return RAFT_OK;
}

/* Voters that are in one list and not in the other. */
static size_t difference(
    const struct raft_conf_state *a, const struct raft_conf_state *b)
{
	size_t n = 0;

	for (size_t i = 0; i < a->voters_n; i++)
		n += !id_in(b->voters, b->voters_n, a->voters[i]);
	for (size_t i = 0; i < b->voters_n; i++)
		n += !id_in(a->voters, a->voters_n, b->voters[i]);
	return n;
}

static int simple(
    struct tracker *t, const struct raft_conf_change *c, raft_index last)
{
	struct raft_conf_state before = t->conf;
	int rc;

	if (RAFT_GUARD(SIMPLE_IN_JOINT, t->conf.voters_outgoing_n > 0))
		return RAFT_EINVAL;
	rc = apply_changes(t, c, last);
	/* Two majorities that differ in one voter share one [4.1]. */
	if (rc == RAFT_OK && difference(&before, &t->conf) > 1)
		rc = RAFT_EINVAL;
	return rc;
}

/* The rings of in-flight messages belong to the tracker that lives on. */
static void adopt(struct tracker *t, struct tracker *next)
{
	for (size_t i = 0; i < t->n; i++)
		if (tracker_find(next, t->peers[i].id) == NULL)
			free(t->peers[i].inflights.ring);
	*t = *next;
}

int conf_apply_as(struct tracker *t, enum conf_way way,
    const struct raft_conf_change *c, raft_index last)
{
	struct tracker *next = malloc(sizeof(*next));
	int rc = RAFT_OK;

	if (next == NULL)
		return RAFT_ENOMEM;
	*next = *t;
	/* Work on a copy without rings: dropping a peer frees nothing yet. */
	for (size_t i = 0; i < next->n; i++)
		next->peers[i].inflights.ring = NULL;
	switch (way) {
	case CONF_SIMPLE: rc = simple(next, c, last); break;
	case CONF_ENTER_JOINT: rc = enter_joint(next, c, last); break;
	case CONF_LEAVE_JOINT: rc = leave_joint(next); break;
	}
	if (rc == RAFT_OK) {
		for (size_t i = 0; i < t->n; i++) {
			const struct inflights *old = &t->peers[i].inflights;
			struct progress *p = tracker_find(next, t->peers[i].id);

			if (p == NULL)
				continue;
			/* What is in flight to one that was removed and added
			 * again is forgotten: only the room is kept. */
			p->inflights.ring = old->ring;
			p->inflights.cap = old->cap;
		}
		adopt(t, next);
	}
	free(next);
	return rc;
}

int conf_apply(
    struct tracker *t, const struct raft_conf_change *c, raft_index last)
{
	enum conf_way way = CONF_SIMPLE;

	if (c->n == 0 && c->transition == RAFT_AUTO)
		way = CONF_LEAVE_JOINT;
	else if (c->transition != RAFT_AUTO || c->n > 1)
		way = CONF_ENTER_JOINT;
	return conf_apply_as(t, way, c, last);
}

int conf_restore(
    struct tracker *t, const struct raft_conf_state *cs, raft_index last)
{
	const raft_id *lists[] = {
	    cs->voters, cs->voters_outgoing, cs->learners, cs->learners_next};
	const size_t counts[] = {cs->voters_n, cs->voters_outgoing_n,
	    cs->learners_n, cs->learners_next_n};

	for (size_t k = 0; k < 4; k++)
		if (counts[k] > RAFT_PEERS_MAX)
			return RAFT_EINVAL;
	tracker_free(t);
	t->conf = *cs;
	for (size_t k = 0; k < 4; k++)
		for (size_t i = 0; i < counts[k]; i++)
			if (tracker_find(t, lists[k][i]) == NULL &&
			    add_progress(t, lists[k][i], k == 2, last) == NULL)
				return RAFT_EINVAL;
	return RAFT_OK;
}
