/* repair.c -- a start that found state/ or the log damaged, until the node is
 * whole again; and the leader that it asks (ADR 0017).
 *
 * What they say to each other is the core's (raft/repair.c); it goes with each
 * status. */
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
	struct raft_repair own;

	raft_repair_say(n->raft, n->id, &own);
	n->repair.ask = own.ask;
	metric_set(M_repairing, own.ask != 0);
}

void repair_heard(struct node *n, struct peer *p, const struct wire_status *s)
{
	const struct raft_repair m = {
	    s->repair, s->repair_of, s->repair_term, s->repair_upto};

	struct raft_repair answer;

	p->repair = s->repair;
	if (!raft_repair_hear(n->raft, p->id, &m))
		return;
	raft_repair_say(n->raft, p->id, &answer);
	log_event(EV_peer_lost_log, "peer=%llu upto=%llu",
	    (unsigned long long)p->id, (unsigned long long)answer.upto);
}

void repair_tell(
    const struct node *n, const struct peer *p, struct wire_status *s)
{
	struct raft_repair m;

	raft_repair_say(n->raft, p->id, &m);
	s->repair = m.ask;
	s->repair_of = m.of;
	s->repair_term = m.term;
	s->repair_upto = m.upto;
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
	raft_index upto;
	enum code rc;

	if (n->repair.ask == 0)
		return E_OK;
	rc = check_quorum(n, e);
	if (rc != E_OK ||
	    !raft_repair_done(n->raft, store_durable_applied(n->store), &upto))
		return rc;
	if ((rc = store_repaired(n->store, e)) != E_OK)
		return rc;
	raft_repaired(n->raft);
	log_event(EV_log_repaired, "upto=%llu applied=%llu",
	    (unsigned long long)upto,
	    (unsigned long long)store_applied(n->store));
	n->repair.ask = 0;
	metric_set(M_repairing, 0);
	return E_OK;
}
