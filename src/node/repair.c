/* repair.c -- a start that found state/ or the log damaged, until the node is
 * whole again; and the leader that it asks (ADR 0017).
 *
 * The node says in its status that it lost its log, with a random number.  A
 * leader stops counting what the node had acknowledged, sends what it lacks,
 * and answers with its last index.  What a leader of the node's own term, or of
 * a later one, held when it was asked covers whatever the node had acknowledged
 * and a quorum had committed: once it is applied here, the node votes. */
#include "node/internal.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log_event.h"
#include "base/metrics.h"

/* Rows may be sound one by one and not belong together. */
enum code repair_check_state(struct node *n, struct err *e)
{
	struct err why = {0};
	enum code rc = whole_check(n, &why);

	if (rc == E_OK)
		return E_OK;
	if (rc == E_CORRUPT)
		return store_state_discard(n->store, why.text, e);
	return err_set(e, rc, "checking the state: %s", why.text);
}

void repair_start(struct node *n)
{
	if (store_repairing(n->store)[0] == '\0')
		return;
	while (n->repair.ask == 0)
		n->repair.ask = random_u64();
	metric_set(M_repairing, 1);
}

/* ---- The leader ---- */

void repair_asked(struct node *n, struct peer *p, uint64_t ask)
{
	struct raft_status st;

	p->repair = ask;
	if (ask == 0)
		return;
	raft_status(n->raft, &st);
	if (st.state != RAFT_LEADER ||
	    (p->repair_of == ask && p->repair_term == st.hard.term))
		return;
	raft_peer_lost(n->raft, p->id);
	p->repair_of = ask;
	p->repair_term = st.hard.term;
	p->repair_upto = st.last_index;
	log_event(EV_peer_lost_log, "peer=%llu upto=%llu",
	    (unsigned long long)p->id, (unsigned long long)p->repair_upto);
}

void repair_tell(
    const struct node *n, const struct peer *p, struct wire_status *s)
{
	bool asked = p->repair != 0 && p->repair == p->repair_of &&
		     n->role == RAFT_LEADER && p->repair_term == n->term;

	s->repair = n->repair.ask;
	s->repair_of = asked ? p->repair_of : 0;
	s->repair_term = asked ? p->repair_term : 0;
	s->repair_upto = asked ? p->repair_upto : 0;
}

/* ---- The node that asks ---- */

void repair_answered(struct node *n, const struct wire_status *s)
{
	if (n->repair.ask == 0 || s->repair_of != n->repair.ask ||
	    s->repair_term < n->term)
		return;
	n->repair.answered = true;
	n->repair.upto = s->repair_upto;
}

/* Voters, and those of them that can still vote; without a state, the nodes
 * that this one was told of when it joined. */
static void count(struct node *n, size_t *all, size_t *whole)
{
	const struct provision *pr = &n->provision;
	struct raft_status st;
	const struct peer *p;

	raft_status(n->raft, &st);
	*all = *whole = 0;
	for (size_t i = 0; i < st.conf.voters_n; i++) {
		p = peers_find(n, st.conf.voters[i]);
		++*all;
		*whole +=
		    st.conf.voters[i] != n->id && (p == NULL || p->repair == 0);
	}
	for (size_t i = 0; st.conf.voters_n == 0 && i < pr->peers_n; i++) {
		p = peers_find(n, pr->peers[i].id);
		++*all;
		*whole +=
		    pr->peers[i].id != n->id && (p == NULL || p->repair == 0);
	}
}

/* A leader that goes on can still send what is needed; and who ends at once
 * does not tell the others why. */
static enum code check_quorum(struct node *n, struct err *e)
{
	uint64_t now = clock_mono_ms();
	size_t all, whole;

	count(n, &all, &whole);
	if (whole >= all / 2 + 1 || n->leader != 0) {
		n->repair.hopeless_ms = 0;
		return E_OK;
	}
	if (n->repair.hopeless_ms == 0)
		n->repair.hopeless_ms = now;
	if (now - n->repair.hopeless_ms < NODE_SILENT_MS)
		return E_OK;
	return err_set(e, E_CORRUPT,
	    "of %zu voters only %zu have their log, and %zu are needed to mend "
	    "this one: put back what the disks lost (the damaged folders are "
	    "kept in %s), or begin a new trust domain; found here: %s",
	    all, whole, all / 2 + 1, n->dir, store_repairing(n->store));
}

enum code repair_run(struct node *n, struct err *e)
{
	enum code rc;

	if (n->repair.ask == 0)
		return E_OK;
	rc = check_quorum(n, e);
	if (rc != E_OK || !n->repair.answered ||
	    store_durable_applied(n->store) < n->repair.upto)
		return rc;
	if ((rc = store_repaired(n->store, e)) != E_OK)
		return rc;
	raft_repaired(n->raft);
	log_event(EV_log_repaired, "upto=%llu applied=%llu",
	    (unsigned long long)n->repair.upto,
	    (unsigned long long)store_applied(n->store));
	n->repair.ask = 0;
	metric_set(M_repairing, 0);
	return E_OK;
}
