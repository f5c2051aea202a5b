/* test_raft.c -- the consensus core on real stores: a small node loop without
 * network or clock.  What a node may rely on is what is used here: the order
 * append, respond, apply; the state behind the log; a snapshot for a node that
 * the log no longer reaches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "help.h"

#define NODES 3

/* Three nodes in one thread hold their writers' locks in any order. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "detect_deadlocks=0";
}

struct node {
	uint64_t id;
	struct store *store; /* NULL: down */
	struct raft *raft;
};

static struct node nodes[NODES];
static struct raft_message *queue[4096]; /* between nodes, in order */
static size_t queue_n;
static int snapshots; /* installed */

static struct store_config config_of(uint64_t id)
{
	static char dir[NODES + 1][PATH_MAX + 16];
	struct store_config c = test_config();

	snprintf(dir[id], sizeof(dir[id]), "%s/n%d", test_dir, (int)id);
	c.dir = dir[id];
	return c;
}

static void start(struct node *n)
{
	struct store_config c = config_of(n->id);
	struct raft_config r = {.id = n->id,
	    .seed = n->id,
	    .election_ticks = 10,
	    .heartbeat_ticks = 1,
	    .max_size_per_msg = 4096,
	    .max_inflight_msgs = 16,
	    .check_quorum = true,
	    .pre_vote = true,
	    .async_storage = true};
	struct err e = {0};

	if (store_open(&n->store, &c, &e) != E_OK)
		fail_msg("node %d: %s", (int)n->id, e.text);
	store_raft_storage(n->store, &r.storage);
	r.applied = store_durable_applied(n->store);
	assert_int_equal(raft_init(&n->raft, &r), RAFT_OK);
}

static void crash(struct node *n)
{
	raft_free(n->raft);
	store_close(n->store);
	n->raft = NULL;
	n->store = NULL;
}

static void bootstrap(void)
{
	struct store_config c = config_of(1);
	struct store_identity id = {.trust_domain = "d", .node_id = 1};
	struct raft_conf_change add = {
	    .n = 1, .changes = {{RAFT_ADD_VOTER, 1}}};
	uint8_t change[RAFT_CONF_CHANGE_MAX];
	struct raft_entry entries[2] = {test_entry(1, 1),
	    {.term = 1, .index = 2, .type = RAFT_ENTRY_CONF_CHANGE}};
	struct raft_hard_state hs = {.term = 1, .vote = 1, .commit = 2};
	struct err e = {0};

	entries[1].data = (struct raft_span){
	    .p = change, .len = raft_conf_change_encode(&add, change)};
	assert_int_equal(store_bootstrap(&c, &id, &hs, entries, 2, &e), E_OK);
}

/* ---- The loop ---- */

static void send(const struct raft_message *m)
{
	assert_true(queue_n < sizeof(queue) / sizeof(queue[0]));
	queue[queue_n] = raft_message_copy(m);
	assert_non_null(queue[queue_n++]);
}

static void respond(struct node *n, const struct raft_message *m)
{
	for (size_t i = 0; i < m->responses_n; i++) {
		if (m->responses[i].to == n->id)
			assert_int_equal(
			    raft_step(n->raft, &m->responses[i]), RAFT_OK);
		else
			send(&m->responses[i]);
	}
}

static void do_append(struct node *n, const struct raft_message *m)
{
	struct raft_hard_state hs = {
	    .term = m->term, .vote = m->vote, .commit = m->commit};
	const struct raft_hard_state *new_hs = m->term != 0 ? &hs : NULL;
	struct err e = {0};

	if (m->snapshot != NULL) {
		if (store_install_finish(n->store, m->snapshot, new_hs, &e) !=
		    E_OK)
			fail_msg("node %d: %s", (int)n->id, e.text);
		snapshots++;
	}
	if (store_append(n->store, new_hs, m->entries, m->entries_n, &e) !=
	    E_OK)
		fail_msg("node %d: %s", (int)n->id, e.text);
	respond(n, m);
}

static void do_apply(struct node *n, const struct raft_message *m)
{
	struct raft_conf_change change;
	struct raft_conf_state cs;
	struct ca_db db;
	struct err e = {0};

	store_state_db(n->store, &db);
	for (size_t i = 0; i < m->entries_n; i++) {
		const struct raft_entry *in = &m->entries[i];
		bool conf = in->type == RAFT_ENTRY_CONF_CHANGE;

		assert_int_equal(in->index, store_applied(n->store) + 1);
		if (conf) {
			assert_int_equal(
			    raft_conf_change_decode(in->data, &change),
			    RAFT_OK);
			assert_int_equal(
			    raft_apply_conf_change(n->raft, &change, &cs),
			    RAFT_OK);
		}
		if (test_put_rows(db, in->index, &e) != E_OK ||
		    store_state_set_applied(n->store, in->index, in->term,
			conf ? &cs : NULL, &e) != E_OK)
			fail_msg("node %d: %s", (int)n->id, e.text);
	}
	respond(n, m);
}

static void work(struct node *n)
{
	struct raft_ready rd;

	while (n->raft != NULL && raft_has_ready(n->raft)) {
		struct raft_message *owned[256];
		size_t owned_n = 0;

		assert_int_equal(raft_ready(n->raft, &rd), RAFT_OK);
		/* Steps may change what rd borrows. */
		for (size_t i = 0; i < rd.messages_n; i++) {
			owned[owned_n] = raft_message_copy(&rd.messages[i]);
			assert_non_null(owned[owned_n++]);
		}
		for (size_t i = 0; i < owned_n; i++) {
			if (owned[i]->to == RAFT_APPEND_THREAD)
				do_append(n, owned[i]);
			else if (owned[i]->to == RAFT_APPLY_THREAD)
				do_apply(n, owned[i]);
			else
				send(owned[i]);
			free(owned[i]);
		}
	}
}

/* Stream the rows first, then let raft take the message. */
static void deliver_snapshot(
    struct node *from, struct node *to, struct raft_message *m)
{
	struct store_snapshot *n;
	struct store_snapshot_pos pos = {0};
	const struct store_row *rows;
	size_t rows_n;
	struct ca_db db;
	struct err e = {0};

	assert_int_equal(
	    store_snapshot_open(from->store, m->snapshot->index, &n, &e), E_OK);
	assert_int_equal(store_install_begin(to->store, &e), E_OK);
	assert_int_equal(store_install_db(to->store, &db, &e), E_OK);
	do {
		assert_int_equal(
		    store_snapshot_next(n, &pos, 1000, &rows, &rows_n, &e),
		    E_OK);
		for (size_t i = 0; i < rows_n; i++)
			assert_int_equal(db.ops->put(db.ctx, rows[i].table,
					     rows[i].key, rows[i].val, &e),
			    E_OK);
	} while (rows_n > 0);
	store_snapshot_meta(n, m->snapshot);
	store_snapshot_close(n);
	assert_int_equal(raft_step(to->raft, m), RAFT_OK);
	work(to);
	store_install_abort(to->store); /* if raft did not want it */
	raft_report_snapshot(from->raft, to->id, true);
}

static struct node *node_of(uint64_t id)
{
	return &nodes[id - 1];
}

static void settle(void)
{
	for (size_t i = 0; i < NODES; i++)
		work(&nodes[i]);
	for (size_t at = 0; at < queue_n; at++) {
		struct raft_message *m = queue[at];
		struct node *from = node_of(m->from), *to = node_of(m->to);

		if (to->raft != NULL && m->type == RAFT_MSG_SNAP &&
		    from->raft != NULL)
			deliver_snapshot(from, to, m);
		else if (to->raft != NULL && m->type != RAFT_MSG_SNAP)
			raft_step(to->raft, m);
		free(m);
		queue[at] = NULL;
		for (size_t i = 0; i < NODES; i++)
			work(&nodes[i]);
	}
	queue_n = 0;
}

static void ticks(int n)
{
	while (n-- > 0) {
		for (size_t i = 0; i < NODES; i++) {
			if (nodes[i].raft != NULL)
				raft_tick(nodes[i].raft);
		}
		settle();
	}
}

static struct node *leader(void)
{
	for (int i = 0; i < 200; i++) {
		for (size_t k = 0; k < NODES; k++) {
			struct raft_status st;

			if (nodes[k].raft == NULL)
				continue;
			raft_status(nodes[k].raft, &st);
			if (st.state == RAFT_LEADER)
				return &nodes[k];
		}
		ticks(1);
	}
	fail_msg("no leader");
	return NULL;
}

static void propose(int n)
{
	struct node *l = leader();
	char text[64];

	for (int i = 0; i < n; i++) {
		struct raft_span data = {.p = text};

		data.len = (size_t)snprintf(
		    text, sizeof(text), "proposal %d of %d", i, n);
		assert_int_equal(raft_propose(l->raft, &data, 1), RAFT_OK);
		settle();
	}
}

static void add(uint64_t id, enum raft_change_type type)
{
	struct raft_conf_change c = {.n = 1, .changes = {{type, id}}};

	assert_int_equal(raft_propose_conf_change(leader()->raft, &c), RAFT_OK);
	settle();
}

static void commit(struct node *n)
{
	struct err e = {0};

	assert_int_equal(store_state_commit(n->store, &e), E_OK);
}

static void cut(struct node *n)
{
	struct err e = {0};

	commit(n);
	assert_int_equal(
	    store_compact(n->store, store_applied(n->store), &e), E_OK);
}

static void check_equal(void)
{
	struct node *l = leader();

	ticks(20);
	for (size_t i = 0; i < NODES; i++) {
		struct ca_db db;
		struct err e = {0};

		if (nodes[i].raft == NULL)
			continue;
		if (store_applied(nodes[i].store) != store_applied(l->store))
			fail_msg("node %d applied %d, the leader %d",
			    (int)nodes[i].id,
			    (int)store_applied(nodes[i].store),
			    (int)store_applied(l->store));
		store_state_db(nodes[i].store, &db);
		if (test_check_rows(db, store_applied(l->store), &e) != E_OK)
			fail_msg("node %d: %s", (int)nodes[i].id, e.text);
	}
}

/* ---- The tests ---- */

static int cluster_setup(void **state)
{
	memset(nodes, 0, sizeof(nodes));
	for (size_t i = 0; i < NODES; i++)
		nodes[i].id = i + 1;
	queue_n = 0;
	snapshots = 0;
	return test_setup(state);
}

static int cluster_teardown(void **state)
{
	for (size_t i = 0; i < queue_n; i++)
		free(queue[i]);
	for (size_t i = 0; i < NODES; i++)
		crash(&nodes[i]);
	return test_teardown(state);
}

static void a_first_node_starts_from_its_bootstrap(void **state)
{
	struct raft_status st;

	(void)state;
	bootstrap();
	start(&nodes[0]);
	propose(20);
	raft_status(nodes[0].raft, &st);
	assert_int_equal(st.conf.voters_n, 1);
	assert_int_equal(store_applied(nodes[0].store), 23); /* and a no-op */
	check_equal();
}

/* Everything is replayed, or half, or nothing: it is the same. */
static void a_restart_replays_what_the_state_lacks(void **state)
{
	(void)state;
	bootstrap();
	for (int round = 0; round < 6; round++) {
		uint64_t applied;

		start(&nodes[0]);
		propose(10);
		if (round % 3 == 1)
			commit(&nodes[0]);
		if (round % 3 == 2)
			cut(&nodes[0]);
		propose(5);
		applied = store_applied(nodes[0].store);
		crash(&nodes[0]);
		start(&nodes[0]);
		leader();
		assert_true(store_applied(nodes[0].store) > applied);
		check_equal();
		crash(&nodes[0]);
	}
}

static void three_nodes(void)
{
	bootstrap();
	for (size_t i = 0; i < NODES; i++)
		start(&nodes[i]);
	propose(1);
	for (uint64_t id = 2; id <= NODES; id++) {
		add(id, RAFT_ADD_LEARNER);
		ticks(3);
		add(id, RAFT_ADD_VOTER);
		ticks(3);
	}
}

static void a_node_that_the_log_does_not_reach_gets_a_snapshot(void **state)
{
	struct raft_status st;

	(void)state;
	bootstrap();
	start(&nodes[0]);
	propose(200);
	cut(&nodes[0]);
	start(&nodes[1]);
	add(2, RAFT_ADD_LEARNER);
	ticks(5);
	assert_int_equal(snapshots, 1);
	assert_true(store_first_index(nodes[1].store) > 200);
	propose(10);
	check_equal();
	/* It comes back from what it installed, with its configuration. */
	crash(&nodes[1]);
	start(&nodes[1]);
	raft_status(nodes[1].raft, &st);
	assert_int_equal(st.conf.learners_n, 1);
	propose(10);
	check_equal();
	assert_int_equal(snapshots, 1);
}

static void crashes_and_cuts_leave_three_equal_nodes(void **state)
{
	(void)state;
	three_nodes();
	for (int round = 0; round < 12; round++) {
		struct node *victim = &nodes[round % NODES];

		propose(7);
		crash(victim);
		if (round % 4 == 3)
			cut(leader());
		propose(9);
		if (round % 4 == 3)
			cut(leader());
		start(victim);
		ticks(15);
		if (round % 2 == 0)
			commit(victim);
		check_equal();
	}
	assert_true(snapshots >= 1);
	print_message("12 crashes, %d snapshots, %d entries applied\n",
	    snapshots, (int)store_applied(nodes[0].store));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, cluster_setup, cluster_teardown)
	const struct CMUnitTest tests[] = {
	    T(a_first_node_starts_from_its_bootstrap),
	    T(a_restart_replays_what_the_state_lacks),
	    T(a_node_that_the_log_does_not_reach_gets_a_snapshot),
	    T(crashes_and_cuts_leave_three_equal_nodes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
