/* test_repair.c -- a node whose disk lost entries that it had acknowledged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cluster.h"

static void plain(struct raft_config *c)
{
	c->pre_vote = c->check_quorum = false;
}

/* Nodes 1 and 2 hold "x", committed with the word of both; node 2 lost it. */
static struct cluster *lost(bool repairing)
{
	struct cluster *c = cluster_new(3, plain);

	cluster_elect(c, 1);
	cluster_isolate(c, 3);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 1).hard.commit, 3);
	cluster_crash(c, 2);
	cluster_write_log(c, 2, "");
	c->peer[2].hard.commit = c->peer[2].applied = 1;
	c->peer[2].config.repairing = repairing;
	cluster_start(c, 2);
	cluster_drop(c);
	cluster_heal(c);
	cluster_hush(c);
	return c;
}

static void it_elects_nobody_who_lacks_them(void **state)
{
	struct cluster *c = lost(true);

	(void)state;
	cluster_isolate(c, 1);
	raft_campaign(node(c, 3));
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 3).state, RAFT_CANDIDATE);
	cluster_expect(c, "n3 candidate in term 3\n"
			  "n3 campaigns with 2/2\n"
			  "n3 hears yes from n3\n"
			  "n2 follower in term 3\n"
			  "n2 denies n3 its Vote\n"
			  "n3 hears no from n2\n");
	cluster_free(c);
}

/* What the rule is for. */
static void without_the_rule_an_entry_is_lost(void **state)
{
	struct cluster *c = lost(false);

	(void)state;
	cluster_isolate(c, 1);
	cluster_elect(c, 3);
	assert_int_equal(cluster_status(c, 3).state, RAFT_LEADER);
	cluster_free(c);
}

static void it_does_not_campaign(void **state)
{
	struct cluster *c = lost(true);

	(void)state;
	raft_campaign(node(c, 2));
	cluster_tick(c, 2, 100);
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 2).state, RAFT_FOLLOWER);
	assert_int_equal(cluster_status(c, 2).hard.term, 2);
	cluster_free(c);
}

/* A leader that does not know yet tells it a commit index it cannot have. */
static void it_survives_a_leader_that_does_not_know(void **state)
{
	struct cluster *c = lost(true);

	(void)state;
	cluster_tick(c, 1, 10);
	cluster_settle(c);
	assert_int_equal(raft_fatal(node(c, 2)), RAFT_OK);
	assert_int_equal(cluster_status(c, 2).hard.commit, 1);
	cluster_free(c);
}

static void a_leader_that_is_told_sends_them_again(void **state)
{
	struct cluster *c = lost(true);

	(void)state;
	raft_peer_lost(node(c, 1), 2);
	cluster_tick(c, 1, 10);
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 2).last_index, 3);
	assert_int_equal(cluster_status(c, 2).hard.commit, 3);
	raft_repaired(node(c, 2));
	cluster_isolate(c, 1);
	cluster_elect(c, 2);
	assert_int_equal(cluster_status(c, 2).state, RAFT_LEADER);
	cluster_free(c);
}

static void what_it_had_acknowledged_does_not_count(void **state)
{
	struct cluster *c = cluster_new(3, plain);
	struct raft_status st;

	(void)state;
	cluster_elect(c, 1);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_isolate(c, 1);
	raft_peer_lost(node(c, 1), 2);
	st = cluster_status(c, 1);
	assert_int_equal(st.hard.commit, 3);
	for (size_t i = 0; i < st.peers_n; i++)
		assert_int_equal(
		    st.peers[i].match, st.peers[i].id == 2 ? 0 : 3);
	raft_peer_lost(node(c, 2), 1); /* no leader: nothing */
	cluster_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_elects_nobody_who_lacks_them),
	    cmocka_unit_test(without_the_rule_an_entry_is_lost),
	    cmocka_unit_test(it_does_not_campaign),
	    cmocka_unit_test(it_survives_a_leader_that_does_not_know),
	    cmocka_unit_test(a_leader_that_is_told_sends_them_again),
	    cmocka_unit_test(what_it_had_acknowledged_does_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
