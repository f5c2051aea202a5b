/* duties.c -- what a node does by the clock: a leader keeps the members as
 * operators signed them and has checkpoints logged; each watches its disk. */
#include "node/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log_event.h"
#include "base/metrics.h"

#define CHECKPOINT_RETRY_MS 2000
#define CLOCK_OFF_MS 5000

void node_diverged(struct node *n, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(n->diverged, sizeof(n->diverged), fmt, ap);
	va_end(ap);
	log_event(EV_diverged, "why=\"%s\"", n->diverged);
}

const struct ca_node *node_self(const struct node *n)
{
	return n->view == NULL ? NULL : ca_view_node(n->view, n->id);
}

/* ---- Members ---- */

static const struct raft_peer_status *progress_of(
    const struct raft_status *st, raft_id id)
{
	for (size_t i = 0; i < st->peers_n; i++)
		if (st->peers[i].id == id)
			return &st->peers[i];
	return NULL;
}

static bool is_learner(const struct raft_status *st, raft_id id)
{
	for (size_t i = 0; i < st->conf.learners_n; i++)
		if (st->conf.learners[i] == id)
			return true;
	return false;
}

static bool caught_up(struct node *n, const struct raft_status *st, raft_id id)
{
	const struct raft_peer_status *r = progress_of(st, id);
	const struct peer *p = peers_find(n, id);

	return r != NULL && r->match > 0 && r->recent_active &&
	       r->match + NODE_LAG_MAX >= st->last_index && p != NULL &&
	       p->status_ms != 0 &&
	       clock_mono_ms() - p->status_ms < NODE_SILENT_MS &&
	       p->applied + NODE_LAG_MAX >= st->hard.commit;
}

/* As far as this node can tell: it would have to hand over again. */
static bool clock_is_off(struct node *n, raft_id id)
{
	const struct peer *p = peers_find(n, id);

	return p != NULL && p->status_ms != 0 &&
	       llabs((long long)(p->clock_offset_ms - n->clock_behind_ms)) >
		   CLOCK_OFF_MS;
}

raft_id duties_successor(struct node *n, const struct raft_status *st)
{
	raft_id best = 0;
	raft_index match = 0;

	for (size_t i = 0; i < st->conf.voters_n; i++) {
		raft_id id = st->conf.voters[i];
		const struct raft_peer_status *r = progress_of(st, id);
		const struct ca_node *who =
		    n->view == NULL ? NULL : ca_view_node(n->view, id);

		if (id == n->id || r == NULL || !r->recent_active ||
		    who == NULL || who->removed || r->match < match ||
		    clock_is_off(n, id))
			continue;
		best = id;
		match = r->match;
	}
	return best;
}

static void remove_member(
    struct node *n, const struct raft_status *st, struct raft_change *c)
{
	raft_id to;

	n->alarm_members[0] = '\0';
	if (c->id != n->id)
		return;
	/* A leader hands over first; the next one removes it. */
	c->type = RAFT_NOP;
	to = duties_successor(n, st);
	if (to != 0)
		(void)raft_transfer_leader(n->raft, to);
	else
		snprintf(n->alarm_members, sizeof(n->alarm_members),
		    "node %llu is to be removed, and no other voter can take "
		    "the lead from it",
		    (unsigned long long)c->id);
}

/* The first difference between the view and the configuration. */
static bool next_change(
    struct node *n, const struct raft_status *st, struct raft_change *c)
{
	for (size_t i = 0; i < n->view->nodes_n; i++) {
		const struct ca_node *one = &n->view->nodes[i];
		bool member = peers_is_member(&st->conf, one->id);

		*c = (struct raft_change){.type = RAFT_NOP, .id = one->id};
		if (one->removed && member) {
			c->type = RAFT_REMOVE;
			remove_member(n, st, c);
		} else if (!one->removed && !member) {
			c->type = RAFT_ADD_LEARNER;
		} else if (!one->removed && is_learner(st, one->id) &&
			   caught_up(n, st, one->id)) {
			c->type = RAFT_ADD_VOTER;
		}
		if (c->type != RAFT_NOP)
			return true;
	}
	return false;
}

static void keep_members(struct node *n, const struct raft_status *st)
{
	struct raft_conf_change change = {.n = 1};

	if (n->view == NULL || st->pending_conf > st->applied ||
	    st->conf.voters_outgoing_n > 0 || n->space_low)
		return;
	if (next_change(n, st, &change.changes[0]) &&
	    raft_propose_conf_change(n->raft, &change) == RAFT_OK)
		log_event(EV_membership_change_proposed, "id=%llu type=%d",
		    (unsigned long long)change.changes[0].id,
		    (int)change.changes[0].type);
}

/* ---- Checkpoints ---- */

static void propose_checkpoint(struct node *n)
{
	uint64_t now = clock_mono_ms();
	struct ca_checkpoint c;
	struct buf entry;
	struct err e = {0};
	bool confirmed;
	enum code rc;

	if (n->space_low || now < n->checkpoint_retry_ms ||
	    ca_checkpoint_newest(n->ca, &c, &confirmed, NULL) != E_OK ||
	    confirmed)
		return;
	buf_init(&entry);
	rc = wire_checkpoint_encode(&entry, clock_unix_ms(), n->id, &c, &e);
	if (rc == E_OK)
		rc = ops_propose(n, &entry, &e);
	if (rc != E_OK)
		log_event(EV_checkpoint_failed, "why=\"%s\"", e.text);
	n->checkpoint_retry_ms = now + CHECKPOINT_RETRY_MS;
	buf_free(&entry);
}

/* ---- Everybody ---- */

static void watch_space(struct node *n)
{
	struct err e = {0};
	bool low = store_space_check(n->store, 0, &e) != E_OK;

	if (low != n->space_low)
		log_event(low ? EV_space_low : EV_space_back, "why=\"%s\"",
		    low ? e.text : "");
	n->space_low = low;
	metric_set(M_space_low, low);
}

static int compare_offsets(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* This node's clock against its peers' median: positive, if it is behind.  Two
 * peers that agree are more than this node; one alone decides nothing.  Of two
 * in the middle the nearer one counts, and none if this node is between them:
 * or one wrong clock of three would stop all. */
static bool median_offset(const struct node *n, int64_t *median)
{
	int64_t offsets[MESH_PEERS_MAX], low, high;
	uint64_t now = clock_mono_ms();
	size_t k = 0;

	for (size_t i = 0; i < n->peers_n; i++)
		if (n->peers[i].status_ms > n->clock_jumped_ms &&
		    now - n->peers[i].status_ms < NODE_SILENT_MS)
			offsets[k++] = n->peers[i].clock_offset_ms;
	if (k < (n->clock_doubted ? 1 : 2))
		return false;
	qsort(offsets, k, sizeof(offsets[0]), compare_offsets);
	low = offsets[(k - 1) / 2];
	high = offsets[k / 2];
	*median = low > 0 ? low : high < 0 ? high : 0;
	return true;
}

/* Somebody set the clock, this machine slept, or the node has just started.
 * What peers said was against the time before; and what is stamped before one
 * of them says anything new may be a day ahead, which the log never forgets. */
static void clock_jump(struct node *n)
{
	uint64_t mono_ms = clock_mono_ms();
	int64_t lead = (int64_t)(clock_unix_ms() - mono_ms),
		by = lead - n->clock_lead_ms;
	struct raft_status st;

	if (llabs((long long)by) > CLOCK_OFF_MS) {
		raft_status(n->raft, &st);
		if (n->clock_jumped_ms != 0)
			mesh_clock_set(n->mesh);
		n->clock_jumped_ms = mono_ms;
		n->clock_doubted = st.conf.voters_n > 1;
		n->clock_behind_ms = 0;
	}
	n->clock_lead_ms = lead;
}

/* Why this node may not stamp; empty: it may. */
static void clock_fault(struct node *n, char *why, size_t size)
{
	uint64_t now_ms = clock_unix_ms(), log_ms = ca_time_ms(n->ca);

	clock_jump(n);
	/* With nobody to ask, what was found out last holds. */
	if (median_offset(n, &n->clock_behind_ms)) {
		n->clock_doubted =
		    n->clock_doubted &&
		    llabs((long long)n->clock_behind_ms) > CLOCK_OFF_MS;
		metric_set(M_clock_offset,
		    (uint64_t)llabs((long long)n->clock_behind_ms));
	}
	why[0] = '\0';
	if (n->clock_doubted && n->clock_behind_ms == 0)
		snprintf(why, size,
		    "no peer has said yet that this node's clock is right: it "
		    "stamps and issues nothing until then");
	else if (llabs((long long)n->clock_behind_ms) > CLOCK_OFF_MS)
		snprintf(why, size,
		    "this node's clock is %lld ms %s its peers' median: it "
		    "stamps and issues nothing until that is set right (NTP)",
		    llabs((long long)n->clock_behind_ms),
		    n->clock_behind_ms > 0 ? "behind" : "ahead of");
	else if (log_ms > now_ms + CLOCK_OFF_MS)
		snprintf(why, size,
		    "this node's clock is %llu s behind the log's time: it "
		    "stamps and issues nothing until that is set right (NTP)",
		    (unsigned long long)(log_ms - now_ms) / 1000);
}

void duties_watch_clock(struct node *n)
{
	clock_fault(n, n->clock_off, sizeof(n->clock_off));
	atomic_store(&n->clock_is_off, n->clock_off[0] != '\0');
	/* A doubt ends by itself soon: each start begins with one. */
	if (n->clock_told == (n->clock_off[0] != '\0') ||
	    (n->clock_doubted && n->clock_behind_ms == 0))
		return;
	log_event(n->clock_told ? EV_clock_right : EV_clock_off, "why=\"%s\"",
	    n->clock_off);
	n->clock_told = !n->clock_told;
}

static size_t reachable(const struct node *n)
{
	uint64_t now = clock_mono_ms();
	size_t k = 0;

	for (size_t i = 0; i < n->peers_n; i++)
		k += n->peers[i].heard_ms != 0 &&
		     now - n->peers[i].heard_ms < NODE_SILENT_MS;
	return k;
}

static void set_gauges(struct node *n, const struct raft_status *st)
{
	struct ca_head head;

	metric_set(M_leader, st->state == RAFT_LEADER);
	metric_set(M_term, st->hard.term);
	metric_set(M_commit_index, st->hard.commit);
	metric_set(M_applied_index, store_applied(n->store));
	metric_set(M_log_entries,
	    store_last_index(n->store) + 1 - store_first_index(n->store));
	metric_set(M_members, st->conf.voters_n + st->conf.learners_n);
	look_head(n, &head);
	metric_set(M_tree_size, head.tree_size);
	metric_set(M_peers_reachable, reachable(n));
	metric_set(M_state_age, look_age_ms(n));
	metric_set(M_reader_age, store_oldest_read_ms(n->store));
}

static void set_crl_gauges(const struct node *n)
{
	uint64_t now_s = clock_unix_ms() / 1000, age = 0, most = 0;
	uint64_t ends = UINT64_MAX;

	for (size_t i = 0; n->view != NULL && i < n->view->issuers_n; i++) {
		const struct ca_issuer *is = &n->view->issuers[i];
		const struct ca_crl *c = ca_view_crl(n->view, is->key_id);

		if (c == NULL || c->number == 0 ||
		    is->state == CA_ISSUER_REVOKED || is->not_after_s < now_s)
			continue;
		if (now_s > c->this_s && now_s - c->this_s > age)
			age = now_s - c->this_s;
		if (c->entries > most)
			most = c->entries;
		if (c->next_s > now_s && c->next_s - now_s < ends)
			ends = c->next_s - now_s;
		else if (c->next_s <= now_s)
			ends = 0;
	}
	metric_set(M_crl_age, age);
	metric_set(M_crl_ends, ends == UINT64_MAX ? 0 : ends);
	metric_set(M_crl_entries, most);
}

void duties_run(struct node *n)
{
	struct raft_status st;
	raft_id to;

	raft_status(n->raft, &st);
	watch_space(n);
	/* A cluster of one has nobody to wait for. */
	if (st.leader == 0 && st.conf.voters_n == 1 &&
	    st.conf.voters[0] == n->id && st.conf.voters_outgoing_n == 0)
		(void)raft_campaign(n->raft);
	if (st.state == RAFT_LEADER) {
		keep_members(n, &st);
		propose_checkpoint(n);
		crl_freeze_due(n);
	}
	duties_watch_clock(n);
	if (st.state == RAFT_LEADER &&
	    (n->diverged[0] != '\0' || n->clock_off[0] != '\0') &&
	    (to = duties_successor(n, &st)) != 0)
		(void)raft_transfer_leader(n->raft, to);
	snapshot_out_tick(n);
	api_cert_check(n);
	set_gauges(n, &st);
	set_crl_gauges(n);
	look_publish(n, &st);
}
