/* test_wan.c -- what long distances want: who leads rather, and commits that
 * outlive a place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cluster.h"

/* ---- Priority ---- */

/* The higher the id, the rather it leads. */
static void by_id(struct raft_config *c)
{
	c->pre_vote = c->check_quorum = false;
	c->priority = (uint32_t)c->id;
}

static void a_voter_of_higher_priority_refuses_a_lesser_one(void **state)
{
	struct cluster *c = cluster_new(3, by_id);

	(void)state;
	raft_campaign(node(c, 1));
	cluster_settle(c);
	cluster_expect(c, "n1 candidate in term 2\n"
			  "n1 campaigns with 1/1\n"
			  "n1 hears yes from n1\n"
			  "n2 follower in term 2\n"
			  "n2 denies n1 its Vote\n"
			  "n3 follower in term 2\n"
			  "n3 denies n1 its Vote\n"
			  "n1 hears no from n2\n"
			  "n1 hears no from n3\n"
			  "n1 follower in term 2\n");
	cluster_free(c);
}

static void one_of_higher_priority_is_elected_by_the_others(void **state)
{
	struct cluster *c = cluster_new(3, by_id);

	(void)state;
	cluster_isolate(c, 3);
	cluster_elect(c, 2);
	assert_int_equal(cluster_status(c, 2).state, RAFT_LEADER);
	cluster_free(c);
}

/* A log that is newer holds what may be committed: that comes first. */
static void a_newer_log_comes_before_priority(void **state)
{
	struct cluster *c = cluster_new(3, by_id);

	(void)state;
	cluster_isolate(c, 3);
	cluster_elect(c, 2);
	cluster_heal(c);
	cluster_isolate(c, 2);
	cluster_elect(c, 1);
	assert_int_equal(cluster_status(c, 1).state, RAFT_LEADER);
	cluster_free(c);
}

static void a_leader_may_hand_over_to_a_lesser_one(void **state)
{
	struct cluster *c = cluster_new(3, by_id);

	(void)state;
	cluster_elect(c, 3);
	raft_transfer_leader(node(c, 3), 1);
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 1).state, RAFT_LEADER);
	cluster_free(c);
}

/* A learner votes, and may not lead, whatever its rank. */
static void one_that_may_not_lead_refuses_nobody(void **state)
{
	struct cluster *c = cluster_new(3, by_id);
	struct raft_status s;

	(void)state;
	cluster_elect(c, 3);
	raft_transfer_leader(node(c, 3), 2);
	cluster_settle(c);
	cluster_change(c, 2, RAFT_AUTO, "l3");
	cluster_settle(c);
	s = cluster_status(c, 3);
	cluster_hush(c);
	cluster_step(c, 3,
	    (struct raft_message){.type = RAFT_MSG_VOTE,
		.from = 1,
		.term = 4,
		.log_term = s.hard.term,
		.index = s.last_index,
		.priority = 1});
	cluster_expect(c, "n3 follower in term 4\n"
			  "n3 grants n1 its Vote\n");
	cluster_free(c);
}

/* ---- Groups ---- */

/* Nodes 1 to 3 are one group, 4 another, 5 a third. */
static uint64_t place(void *ctx, raft_id id)
{
	(void)ctx;
	return id <= 3 ? 1 : id;
}

static void two_places(struct raft_config *c)
{
	c->pre_vote = c->check_quorum = false;
	c->commit_groups = 2;
	c->group_of = place;
}

static void many_places(struct raft_config *c)
{
	two_places(c);
	c->commit_groups = 9;
}

static void a_majority_in_one_place_commits_nothing(void **state)
{
	struct cluster *c = cluster_new(5, two_places);
	raft_index before;

	(void)state;
	cluster_elect(c, 1);
	before = cluster_status(c, 1).hard.commit;
	cluster_isolate(c, 4);
	cluster_isolate(c, 5);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 1).hard.commit, before);
	cluster_heal(c);
	for (int i = 0; i < 3; i++) {
		cluster_tick(c, 1, 1);
		cluster_settle(c);
	}
	assert_int_equal(cluster_status(c, 1).hard.commit, before + 1);
	cluster_free(c);
}

static void a_second_place_is_enough(void **state)
{
	struct cluster *c = cluster_new(5, two_places);
	raft_index before;

	(void)state;
	cluster_elect(c, 1);
	before = cluster_status(c, 1).hard.commit;
	cluster_isolate(c, 3);
	cluster_isolate(c, 5);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 1).hard.commit, before + 1);
	cluster_free(c);
}

/* Two places without a majority are none. */
static void a_majority_is_needed_as_ever(void **state)
{
	struct cluster *c = cluster_new(5, two_places);
	raft_index before;

	(void)state;
	cluster_elect(c, 1);
	before = cluster_status(c, 1).hard.commit;
	for (raft_id id = 2; id <= 4; id++)
		cluster_isolate(c, id);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 1).hard.commit, before);
	cluster_free(c);
}

/* More than there are: every place that there is. */
static void no_more_places_are_asked_for_than_there_are(void **state)
{
	struct cluster *c = cluster_new(5, many_places);
	raft_index before;

	(void)state;
	cluster_elect(c, 1);
	before = cluster_status(c, 1).hard.commit;
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 1).hard.commit, before + 1);
	cluster_isolate(c, 4);
	cluster_propose(c, 1, "y");
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 1).hard.commit, before + 1);
	cluster_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_voter_of_higher_priority_refuses_a_lesser_one),
	    cmocka_unit_test(one_of_higher_priority_is_elected_by_the_others),
	    cmocka_unit_test(a_newer_log_comes_before_priority),
	    cmocka_unit_test(a_leader_may_hand_over_to_a_lesser_one),
	    cmocka_unit_test(a_majority_in_one_place_commits_nothing),
	    cmocka_unit_test(a_second_place_is_enough),
	    cmocka_unit_test(a_majority_is_needed_as_ever),
	    cmocka_unit_test(no_more_places_are_asked_for_than_there_are),
	    cmocka_unit_test(one_that_may_not_lead_refuses_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
