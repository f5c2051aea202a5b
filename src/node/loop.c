/* loop.c -- the node loop: one thread that owns raft, the writes of the store
 * and the replicated state.  Each turn gathers what came in, writes once,
 * sends, applies, and answers. */
#include "node/internal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/log_event.h"
#include "base/metrics.h"

#define EXPIRE_MS 50
#define COMPACT_PATIENCE 10 /* times what is kept, for a peer that needs it */
#define READER_CHECK_MS 60000

/* ---- Raft's work ---- */

static void on_trace(void *ctx, const struct raft_trace *t)
{
	trace_step(ctx, t);
	if (t->kind == RAFT_TRACE_CAMPAIGN)
		metric_inc(M_elections);
}

static enum code raft_error(struct node *n, int rc, struct err *e)
{
	const struct err *fault = store_fault(n->store);

	if (rc == RAFT_EINVAL)
		return err_set(e, E_CORRUPT,
		    "raft: the leader knows of entries that this node "
		    "acknowledged, and its log does not hold them: the disk "
		    "lost what it had written, without a trace; remove this "
		    "node and join a new one");
	return rc == RAFT_EIO && fault->code != E_OK
		   ? err_set(e, fault->code, "the raft log: %s", fault->text)
		   : err_set(e, rc == RAFT_ENOMEM ? E_NOMEM : E_IO, "raft: %s",
			 raft_strerror(rc));
}

static void note_state(struct node *n, const struct raft_ready *rd)
{
	bool new_term = rd->hard_changed && rd->hard.term != n->term;

	if (rd->hard_changed)
		n->term = rd->hard.term;
	if (!rd->soft_changed && !new_term)
		return;
	n->leader = rd->leader;
	n->role = rd->state;
	log_event(EV_raft_state, "role=%s term=%llu leader=%llu",
	    raft_state_name(n->role), (unsigned long long)n->term,
	    (unsigned long long)n->leader);
	if (n->leader != 0)
		ops_resubmit(n);
}

/* Sends first: followers write to their disks while this one does [10.2.1]. */
static enum code work(
    struct node *n, const struct raft_ready *rd, struct err *e)
{
	enum code rc = E_OK;

	for (size_t i = 0; i < rd->messages_n; i++)
		if (rd->messages[i].to != RAFT_APPEND_THREAD &&
		    rd->messages[i].to != RAFT_APPLY_THREAD)
			peers_send(n, &rd->messages[i]);
	for (size_t i = 0; i < rd->messages_n && rc == E_OK; i++) {
		const struct raft_message *m = &rd->messages[i];

		if (m->to == RAFT_APPEND_THREAD)
			rc = apply_append(n, m, e);
		else if (m->to == RAFT_APPLY_THREAD)
			rc = apply_entries(n, m, e);
	}
	return rc;
}

static enum code ready(struct node *n, struct err *e)
{
	struct raft_ready rd;
	enum code rc = E_OK;
	int failed;

	while (rc == E_OK && raft_has_ready(n->raft)) {
		failed = raft_ready(n->raft, &rd);
		if (failed != RAFT_OK)
			return raft_error(n, failed, e);
		note_state(n, &rd);
		for (size_t i = 0; i < rd.read_states_n; i++)
			reads_heard(n, &rd.read_states[i]);
		rc = work(n, &rd, e);
	}
	if (rc == E_OK && raft_fatal(n->raft) != RAFT_OK)
		rc = raft_error(n, raft_fatal(n->raft), e);
	snapshot_in_settle(n);
	return rc;
}

/* ---- State ---- */

/* The log may be cut up to here: not what follows the snapshot that a peer is
 * just getting, for that would call for the next one, and the next. */
static uint64_t compact_upto(const struct node *n, uint64_t keep)
{
	uint64_t upto = store_durable_applied(n->store);
	uint64_t most = keep * COMPACT_PATIENCE;
	uint64_t least = upto > most ? upto - most : 0;
	uint64_t needed;

	upto = upto > keep ? upto - keep : 0;
	needed = peers_need_after(n);
	if (needed < upto)
		upto = needed;
	return upto > least ? upto : least;
}

static enum code compact(struct node *n, struct err *e)
{
	uint64_t keep = n->provision.config.compact_after;
	uint64_t first = store_first_index(n->store);
	uint64_t upto;

	/* In steps, not entry by entry. */
	if (first + keep + keep / 8 >= store_durable_applied(n->store))
		return E_OK;
	upto = compact_upto(n, keep);
	return upto < first ? E_OK : store_compact(n->store, upto, e);
}

static enum code commit(struct node *n, struct err *e)
{
	uint64_t pending = store_state_pending(n->store);
	enum code rc;

	if (!reads_wait_commit(n) && pending < NODE_COMMIT_COUNT &&
	    (n->commit_due_ms == 0 || clock_mono_ms() < n->commit_due_ms))
		return E_OK;
	n->commit_due_ms = 0;
	rc = store_state_commit(n->store, e);
	return rc == E_OK ? compact(n, e) : err_wrap(e, rc, "the state");
}

/* ---- The clock ---- */

static void tick(struct node *n, uint64_t now)
{
	for (int i = 0; i < PACE_TICKS_AT_ONCE && now >= n->next_tick_ms; i++) {
		raft_tick(n->raft);
		n->next_tick_ms += n->tick_ms;
	}
	if (now >= n->next_tick_ms)
		n->next_tick_ms = now + n->tick_ms;
}

static bool due(uint64_t *at, uint64_t now, uint64_t every_ms)
{
	if (now < *at)
		return false;
	*at = now + every_ms;
	return true;
}

static void check_readers(struct node *n)
{
	unsigned freed = 0;
	struct err e = {0};

	if (store_reader_check(n->store, &freed, &e) != E_OK)
		log_event(EV_reader_check_failed, "why=\"%s\"", e.text);
}

static void by_clock(struct node *n)
{
	uint64_t now = clock_mono_ms();

	gone_campaign(n);
	if (due(&n->next_expiry_ms, now, EXPIRE_MS))
		ops_expire(n);
	if (due(&n->next_status_ms, now, NODE_STATUS_MS)) {
		peers_status(n);
		peers_set_pace(n);
	}
	if (due(&n->next_duty_ms, now, NODE_DUTY_MS))
		duties_run(n);
	if (due(&n->next_reader_check_ms, now, READER_CHECK_MS))
		check_readers(n);
}

static int wait_ms(const struct node *n)
{
	uint64_t now = clock_mono_ms(), at = n->next_tick_ms;

	if (raft_has_ready(n->raft))
		return 0;
	if (n->commit_due_ms != 0 && n->commit_due_ms < at)
		at = n->commit_due_ms;
	return at <= now ? 0 : (int)(at - now);
}

static enum code turn(struct node *n, struct err *e)
{
	struct pollfd fds[] = {
	    {.fd = n->wake_fd, .events = POLLIN},
	    {.fd = mesh_fd(n->mesh), .events = POLLIN},
	    {.fd = signer_fd(n->signer), .events = POLLIN},
	};
	enum code rc;

	if (poll(fds, 3, wait_ms(n)) < 0 && errno != EINTR)
		return err_set(e, E_IO, "poll: %s", strerror(errno));
	if (n->leader != 0)
		atomic_store(&n->in_touch_ms, clock_mono_ms());
	inbox_run(n);
	tick(n, clock_mono_ms());
	if ((rc = ops_sign(n, e)) != E_OK ||
	    (rc = peers_receive(n, e)) != E_OK ||
	    (rc = snapshot_in_run(n, e)) != E_OK)
		return rc;
	raft_clock(n->raft, clock_boot_ms());
	reads_ask(n);
	ops_submit(n);
	if ((rc = ready(n, e)) != E_OK || (rc = commit(n, e)) != E_OK)
		return rc;
	reads_settle(n);
	by_clock(n);
	rc = repair_run(n, e);
	return rc == E_OK ? store_damaged(n->store, e) : rc;
}

/* ---- Start ---- */

static bool knows_peers(const struct node *n)
{
	for (size_t i = 0; i < n->provision.peers_n; i++)
		if (n->provision.peers[i].id != n->id)
			return true;
	return false;
}

static enum code start_store(struct node *n, struct err *e)
{
	const struct config *c = &n->provision.config;
	const struct store_config sc = {.dir = n->dir,
	    .map_size = c->store_map_size,
	    .reserve = c->store_reserve,
	    .has_peers = knows_peers(n)};
	struct store_identity id = {.node_id = n->id};
	enum code rc = store_open(&n->store, &sc, e);

	sha256_of(id.trust_domain, span_str(c->trust_domain));
	if (rc == E_OK)
		rc = store_bind(n->store, &id, e);
	if (rc == E_OK)
		rc = repair_check_state(n, e);
	if (rc == E_OK)
		rc = apply_open(n, e);
	return rc;
}

/* The first node of the same cluster stands for it.  One that no operator has
 * named yet is in a cluster of its own. */
static uint64_t cluster_of(void *ctx, raft_id id)
{
	const struct node *n = ctx;
	const struct ca_node *who =
	    n->view == NULL ? NULL : ca_view_node(n->view, id);

	for (size_t i = 0; who != NULL && i < n->view->nodes_n; i++)
		if (span_eq(n->view->nodes[i].cluster, who->cluster))
			return n->view->nodes[i].id;
	return id;
}

static enum code start_raft(struct node *n, struct err *e)
{
	const struct config *c = &n->provision.config;
	struct raft_config r = {.id = n->id,
	    .seed = random_u64(),
	    .applied = store_durable_applied(n->store),
	    .max_size_per_msg = 512 * 1024,
	    .max_committed_size_per_ready = 4 * 1024 * 1024,
	    .max_inflight_msgs = MESH_SEND_MESSAGES / 2,
	    .max_uncommitted_size = 64 * 1024 * 1024,
	    .check_quorum = true,
	    .pre_vote = true,
	    .step_down_on_removal = true,
	    .async_storage = true,
	    .priority = (uint32_t)c->priority,
	    .commit_groups = (unsigned)c->commit_min_clusters,
	    .group_of = cluster_of,
	    .group_ctx = n,
	    .trace = on_trace,
	    .trace_ctx = n};
	struct raft_status st;
	int rc;

	n->tick_ms = (unsigned)(c->heartbeat_ms / NODE_BEAT_TICKS);
	if (n->tick_ms == 0)
		n->tick_ms = 1;
	n->configured_tick_ms = n->tick_ms;
	r.heartbeat_ticks = (unsigned)(c->heartbeat_ms / n->tick_ms);
	r.election_ticks = (unsigned)(c->election_ms / n->tick_ms);
	if (c->reads == READS_LEASE) {
		r.read_mode = RAFT_READ_LEASE;
		r.lease_ms = pace_lease_ms(r.election_ticks, n->tick_ms);
	}
	store_raft_storage(n->store, &r.storage);
	while (store_repairing(n->store)[0] != '\0' && r.repairing == 0)
		r.repairing = random_u64();
	rc = raft_init(&n->raft, &r);
	if (rc != RAFT_OK)
		return raft_error(n, rc, e);
	raft_status(n->raft, &st);
	n->term = st.hard.term;
	n->next_tick_ms = clock_mono_ms() + n->tick_ms;
	n->next_read = random_u64();
	repair_start(n);
	return E_OK;
}

/* The directory's keys and configuration against what operators signed. */
static enum code check_identity(const struct node *n, struct err *e)
{
	const struct ca_node *self = node_self(n);
	const struct provision *p = &n->provision;

	if (self == NULL)
		return E_OK; /* the log has not reached this node yet */
	if (!span_eq_str(self->cluster, p->config.cluster))
		return err_set(e, E_CONFLICT,
		    "%s/" PROVISION_CONFIG " says cluster %s, but node %llu is "
		    "registered for cluster %.*s: put that name back; a node "
		    "for another cluster joins anew, into a directory of its "
		    "own",
		    n->dir, p->config.cluster, (unsigned long long)n->id,
		    (int)self->cluster.len, (const char *)self->cluster.p);
	if (memcmp(self->mesh_key, p->mesh_public, CA_MESH_KEY_LEN) != 0)
		return err_set(e, E_CONFLICT,
		    "%s/" PROVISION_MESH_KEY " is not the key that node %llu "
		    "is registered with: put that node's own keys back",
		    n->dir, (unsigned long long)n->id);
	return E_OK;
}

static enum code start(struct node *n, struct err *e)
{
	enum code rc;

	n->id = n->provision.config.node_id;
	if ((rc = start_store(n, e)) != E_OK ||
	    (rc = check_identity(n, e)) != E_OK ||
	    (rc = start_raft(n, e)) != E_OK ||
	    (rc = peers_start(n, e)) != E_OK ||
	    (rc = api_cert_start(n, e)) != E_OK ||
	    (rc = verify_start(n, e)) != E_OK ||
	    (rc = publish_start(n, e)) != E_OK)
		return rc;
	log_event(EV_started,
	    "trust_domain=%s cluster=%s id=%llu applied=%llu last=%llu",
	    n->provision.config.trust_domain, n->provision.config.cluster,
	    (unsigned long long)n->id,
	    (unsigned long long)store_applied(n->store),
	    (unsigned long long)store_last_index(n->store));
	return E_OK;
}

/* ---- Stop ---- */

/* Whoever leads hands over: nobody then waits for an election. */
static enum code hand_over(struct node *n, struct err *e)
{
	uint64_t until = clock_mono_ms() + HAND_OVER_MS;
	struct raft_status st;
	raft_id to;
	enum code rc = E_OK;

	raft_status(n->raft, &st);
	to = st.state == RAFT_LEADER ? duties_successor(n, &st) : 0;
	if (to == 0 || raft_transfer_leader(n->raft, to) != RAFT_OK)
		return E_OK;
	while (rc == E_OK && n->role == RAFT_LEADER && clock_mono_ms() < until)
		rc = turn(n, e);
	return rc;
}

static void *drain_main(void *arg)
{
	struct node *n = arg;

	front_stop(n->front, DRAIN_MS);
	atomic_store(&n->drained, true);
	node_stop(n); /* wakes the loop */
	return NULL;
}

/* Requests under way are still answered: so the loop goes on meanwhile. */
static enum code drain(struct node *n, struct err *e)
{
	pthread_t thread;
	enum code rc = E_OK;

	if (pthread_create(&thread, NULL, drain_main, n) != 0)
		return err_set(e, E_UNAVAILABLE, "starting a thread failed");
	while (rc == E_OK && !atomic_load(&n->drained))
		rc = turn(n, e);
	/* A loop that cannot go on still answers, with what went wrong. */
	while (!atomic_load(&n->drained)) {
		ops_close(n);
		reads_close(n);
		(void)inbox_wait(n, 100);
		inbox_run(n);
	}
	pthread_join(thread, NULL);
	n->front = NULL;
	return rc;
}

enum code node_run(struct node *n, struct err *e)
{
	enum code rc = E_OK, stopped;

	if (n->provision.joining)
		rc = joining_wait(n, e);
	if (rc != E_OK || atomic_load(&n->stop))
		return rc;
	rc = start(n, e);
	while (rc == E_OK && !atomic_load(&n->stop))
		rc = turn(n, e);
	if (rc != E_OK)
		return rc; /* as after a crash: nothing more is promised */
	log_event(EV_stopping, "id=%llu", (unsigned long long)n->id);
	rc = hand_over(n, e);
	stopped = drain(n, rc == E_OK ? e : NULL);
	if (rc == E_OK)
		rc = stopped;
	if (rc == E_OK)
		rc = store_state_commit(n->store, e);
	return rc;
}
