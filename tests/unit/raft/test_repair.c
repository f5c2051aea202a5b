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
	c->peer[2].config.repairing = repairing ? 7 : 0;
	cluster_start(c, 2);
	cluster_drop(c);
	cluster_heal(c);
	cluster_hush(c);
	return c;
}

/* What each says to the other, in both directions. */
static void say(struct cluster *c, raft_id from, raft_id to)
{
	struct raft_repair said;

	raft_repair_say(node(c, from), to, &said);
	raft_repair_hear(node(c, to), from, &said);
	cluster_settle(c);
}

static void ask(struct cluster *c, raft_id leader)
{
	say(c, 2, leader);
	say(c, leader, 2);
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
	cluster_step(c, 2,
	    (struct raft_message){
		.type = RAFT_MSG_TIMEOUT_NOW, .from = 1, .to = 2, .term = 2});
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
	raft_index upto;

	(void)state;
	ask(c, 1);
	assert_true(raft_repair_done(node(c, 2), 3, &upto));
	assert_int_equal(upto, 3);
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

static raft_index match_of_2(struct cluster *c)
{
	struct raft_status st = cluster_status(c, 1);

	for (size_t i = 0; i < st.peers_n; i++)
		if (st.peers[i].id == 2)
			return st.peers[i].match;
	return UINT64_MAX;
}

static void what_it_had_acknowledged_does_not_count(void **state)
{
	struct cluster *c = cluster_new(3, plain);
	const struct raft_repair asks = {.ask = 7};

	(void)state;
	cluster_elect(c, 1);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_isolate(c, 1);
	assert_int_equal(match_of_2(c), 3);
	assert_true(raft_repair_hear(node(c, 1), 2, &asks));
	assert_int_equal(match_of_2(c), 0);
	assert_int_equal(cluster_status(c, 1).hard.commit, 3);
	assert_false(raft_repair_hear(node(c, 1), 2, &asks)); /* once */
	assert_false(raft_repair_hear(node(c, 2), 1, &asks)); /* no leader */
	assert_false(raft_repair_hear(node(c, 1), 9, &asks)); /* nobody */
	cluster_free(c);
}

static struct raft_message late(void)
{
	return (struct raft_message){.type = RAFT_MSG_APP_RESP,
	    .from = 2,
	    .to = 1,
	    .term = 2,
	    .index = 3};
}

/* A leader that was stopped finds what two connections brought, in any order.
 */
static void a_late_acknowledgement_is_found_out_by_an_append(void **state)
{
	struct cluster *c = lost(true);

	(void)state;
	cluster_cut(c, 1, 2);
	say(c, 2, 1);
	cluster_step(c, 1, late());
	assert_int_equal(match_of_2(c), 3);
	cluster_drop(c);
	cluster_heal(c);
	cluster_propose(c, 1, "y");
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 2).hard.commit, 4);
	cluster_free(c);
}

static void and_by_a_heartbeat_where_nothing_is_proposed(void **state)
{
	struct cluster *c = lost(true);

	(void)state;
	cluster_cut(c, 1, 2);
	say(c, 2, 1);
	cluster_step(c, 1, late());
	cluster_drop(c);
	cluster_heal(c);
	cluster_tick(c, 1, 10);
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 2).hard.commit, 3);
	cluster_free(c);
}

/* Asked in advance, it refuses too: who asks is not sent into a campaign that
 * it loses. */
static void it_does_not_answer_who_asks_in_advance(void **state)
{
	struct cluster *c = lost(true);

	(void)state;
	cluster_step(c, 2,
	    (struct raft_message){.type = RAFT_MSG_PRE_VOTE,
		.from = 3,
		.to = 2,
		.term = 3,
		.log_term = 2,
		.index = 2});
	cluster_settle(c);
	cluster_expect(c, "n2 denies n3 its PreVote\n");
	cluster_free(c);
}

static void it_believes_no_earlier_leader_and_no_earlier_answer(void **state)
{
	static const struct {
		const char *why;
		struct raft_repair m;
		bool believed;
	} rows[] = {
	    {"of its own term", {0, 7, 2, 3}, true},
	    {"of a later one", {0, 7, 3, 3}, true},
	    {"of an earlier one", {0, 7, 1, 3}, false},
	    {"to another question", {0, 8, 2, 3}, false},
	    {"to nobody's", {0, 0, 2, 3}, false},
	};
	raft_index upto;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cluster *c = lost(true);

		raft_repair_hear(node(c, 2), 1, &rows[i].m);
		if (raft_repair_done(node(c, 2), 3, &upto) != rows[i].believed)
			fail_msg("%s", rows[i].why);
		assert_false(raft_repair_done(node(c, 2), 2, &upto));
		raft_repaired(node(c, 2));
		assert_false(raft_repair_done(node(c, 2), 3, &upto));
		cluster_free(c);
	}
}

/* Also what is not committed yet: node 2 may have acknowledged it. */
static void it_is_told_the_end_of_the_log(void **state)
{
	struct cluster *c = lost(true);
	raft_index upto;

	(void)state;
	cluster_isolate(c, 1);
	cluster_propose(c, 1, "y");
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 1).hard.commit, 3);
	ask(c, 1);
	raft_repair_done(node(c, 2), 0, &upto);
	assert_int_equal(upto, 4);
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
	    cmocka_unit_test(a_late_acknowledgement_is_found_out_by_an_append),
	    cmocka_unit_test(and_by_a_heartbeat_where_nothing_is_proposed),
	    cmocka_unit_test(it_does_not_answer_who_asks_in_advance),
	    cmocka_unit_test(
		it_believes_no_earlier_leader_and_no_earlier_answer),
	    cmocka_unit_test(it_is_told_the_end_of_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
