/* test_transfer.c -- leadership that is handed over [3.10]. */
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

static void leadership_moves_to_one_that_is_up_to_date(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 1);
	raft_transfer_leader(node(c, 1), 2);
	cluster_settle(c);
	cluster_expect(c, "n1 begins transfer to n2\n"
			  "n2 candidate in term 3\n"
			  "n2 campaigns with 2/2\n"
			  "n2 hears yes from n2\n"
			  "n1 follower in term 3\n"
			  "n1 grants n2 its Vote\n"
			  "n3 follower in term 3\n"
			  "n3 grants n2 its Vote\n"
			  "n2 hears yes from n1\n"
			  "n2 leader in term 3, leader 2\n"
			  "n2 commits 3\n"
			  "n2 applies 3/3 -\n"
			  "n1 applies 3/3 -\n"
			  "n3 applies 3/3 -\n");
	cluster_free(c);
}

static void one_that_is_behind_catches_up_first(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 1);
	cluster_isolate(c, 3);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_heal(c);
	cluster_hush(c);
	c->tell = TELL_EVENTS | TELL_SENT;
	raft_transfer_leader(node(c, 1), 3);
	assert_int_equal(cluster_propose(c, 1, "y"), RAFT_EDROPPED);
	for (int i = 0; i < 2; i++) {
		cluster_tick(c, 1, 1);
		cluster_settle(c);
	}
	cluster_expect(c, "n1 begins transfer to n3\n"
			  "1>3 App t2 2/3 c3\n"
			  "1>2 Heartbeat t2 c3\n"
			  "1>3 Heartbeat t2 c2\n"
			  "n3 refuses to append after 3, hint 2\n"
			  "3>1 AppResp t2 2/3 reject hint 2\n"
			  "2>1 HeartbeatResp t2\n"
			  "3>1 HeartbeatResp t2\n"
			  "1>3 App t2 2/2 c3 [2/3 \"x\"]\n"
			  "1>3 App t2 2/2 c3 [2/3 \"x\"]\n"
			  "3>1 AppResp t2 0/3\n"
			  "3>1 AppResp t2 0/3\n"
			  "1>3 TimeoutNow t2\n"
			  "n3 candidate in term 3\n"
			  "n3 campaigns with 2/3\n"
			  "3>1 Vote t3 2/3 x1\n"
			  "3>2 Vote t3 2/3 x1\n"
			  "n3 hears yes from n3\n"
			  "n1 follower in term 3\n"
			  "n1 grants n3 its Vote\n"
			  "1>3 VoteResp t3\n"
			  "n2 follower in term 3\n"
			  "n2 grants n3 its Vote\n"
			  "2>3 VoteResp t3\n"
			  "n3 hears yes from n1\n"
			  "n3 leader in term 3, leader 3\n"
			  "3>1 App t3 2/3 c3 [3/4 -]\n"
			  "3>2 App t3 2/3 c3 [3/4 -]\n"
			  "1>3 AppResp t3 0/4\n"
			  "2>3 AppResp t3 0/4\n"
			  "n3 commits 4\n"
			  "3>1 App t3 3/4 c4\n"
			  "3>2 App t3 3/4 c4\n"
			  "1>3 AppResp t3 0/4\n"
			  "2>3 AppResp t3 0/4\n");
	cluster_free(c);
}

static void a_transfer_is_over_after_an_election_timeout(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 1);
	cluster_isolate(c, 3);
	raft_transfer_leader(node(c, 1), 3);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(cluster_propose(c, 1, "y"), RAFT_EDROPPED);
		cluster_tick(c, 1, 1);
		cluster_settle(c);
	}
	assert_int_equal(cluster_propose(c, 1, "y"), RAFT_OK);
	cluster_expect(c, "n1 begins transfer to n3\n"
			  "n1 aborts transfer to n3\n");
	cluster_free(c);
}

static void leadership_goes_to_no_stranger_or_learner(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 1);
	assert_int_equal(raft_transfer_leader(node(c, 1), 9), RAFT_ENOTFOUND);
	cluster_change(c, 1, RAFT_AUTO, "l3");
	cluster_settle(c);
	cluster_hush(c);
	raft_transfer_leader(node(c, 1), 3);
	raft_transfer_leader(node(c, 1), 1);
	cluster_settle(c);
	cluster_expect(c, "");
	cluster_free(c);
}

static void a_follower_passes_a_transfer_on(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 1);
	raft_transfer_leader(node(c, 2), 3);
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 3).state, RAFT_LEADER);
	cluster_free(c);
}

/* The commands of two operators: the later one stands. */
static void a_second_transfer_takes_the_place_of_the_first(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 1);
	cluster_isolate(c, 3);
	raft_transfer_leader(node(c, 1), 3);
	raft_transfer_leader(node(c, 1), 3); /* once more is not once more */
	cluster_tick(c, 1, 5);
	cluster_settle(c);
	raft_transfer_leader(node(c, 1), 2);
	cluster_settle(c);
	cluster_expect(c, "n1 begins transfer to n3\n"
			  "n1 aborts transfer to n3\n"
			  "n1 begins transfer to n2\n"
			  "n2 candidate in term 3\n"
			  "n2 campaigns with 2/2\n"
			  "n2 hears yes from n2\n"
			  "n1 follower in term 3\n"
			  "n1 grants n2 its Vote\n"
			  "n2 hears yes from n1\n"
			  "n2 leader in term 3, leader 2\n"
			  "n2 commits 3\n"
			  "n2 applies 3/3 -\n"
			  "n1 applies 3/3 -\n");
	cluster_free(c);
}

/* To itself means: stay. */
static void a_transfer_to_the_leader_calls_it_off(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 1);
	cluster_isolate(c, 3);
	raft_transfer_leader(node(c, 1), 3);
	raft_transfer_leader(node(c, 1), 1);
	assert_int_equal(cluster_propose(c, 1, "x"), RAFT_OK);
	cluster_settle(c);
	cluster_expect(c, "n1 begins transfer to n3\n"
			  "n1 aborts transfer to n3\n"
			  "n1 commits 3\n"
			  "n1 applies 2/3 \"x\"\n"
			  "n2 applies 2/3 \"x\"\n");
	cluster_free(c);
}

/* Whoever leads next has promised nobody anything. */
static void a_transfer_ends_with_the_term(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	cluster_isolate(c, 3);
	raft_transfer_leader(node(c, 1), 3);
	cluster_elect(c, 2);
	assert_int_equal(cluster_status(c, 1).transferee, 0);
	cluster_elect(c, 1);
	assert_int_equal(cluster_propose(c, 1, "x"), RAFT_OK);
	cluster_settle(c);
	cluster_heal(c);
	for (int i = 0; i < 2; i++) {
		cluster_tick(c, 1, 1);
		cluster_settle(c);
	}
	cluster_expect(c,
	    "n1 commits 5\n"
	    "n1 applies 4/5 \"x\"\n"
	    "n2 applies 4/5 \"x\"\n"
	    "n3 follower in term 4, leader 1\n"
	    "n3 refuses to append after 3, hint 2\n"
	    "n3 applies 3/3 -\n"
	    "n3 applies 4/4 -\n"
	    "n3 applies 4/5 \"x\"\n"); /* and 3 is not told to campaign */
	cluster_free(c);
}

static void a_late_call_to_campaign_is_ignored(void **state)
{
	struct cluster *c = cluster_new(3, plain);
	struct raft_message *late;

	(void)state;
	cluster_elect(c, 1);
	raft_transfer_leader(node(c, 1), 3);
	cluster_ready(c, 1);
	late = cluster_take(c, RAFT_MSG_TIMEOUT_NOW, 3);
	cluster_elect(c, 2);
	cluster_give(c, late);
	cluster_settle(c);
	cluster_expect(c, "n3 ignores TimeoutNow from n1\n");
	cluster_free(c);
}

/* It has not applied that it is a voter, or not the snapshot that says so. */
static void one_that_may_not_campaign_does_not_when_called(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	cluster_change(c, 1, RAFT_AUTO, "l3");
	cluster_settle(c);
	c->peer[3].slow_apply = true;
	cluster_change(c, 1, RAFT_AUTO, "v3");
	cluster_settle(c);
	cluster_hush(c);
	raft_transfer_leader(node(c, 1), 3);
	cluster_settle(c);
	cluster_expect(c, "n1 begins transfer to n3\n");
	cluster_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(leadership_moves_to_one_that_is_up_to_date),
	    cmocka_unit_test(one_that_is_behind_catches_up_first),
	    cmocka_unit_test(a_transfer_is_over_after_an_election_timeout),
	    cmocka_unit_test(leadership_goes_to_no_stranger_or_learner),
	    cmocka_unit_test(a_follower_passes_a_transfer_on),
	    cmocka_unit_test(a_second_transfer_takes_the_place_of_the_first),
	    cmocka_unit_test(a_transfer_to_the_leader_calls_it_off),
	    cmocka_unit_test(a_transfer_ends_with_the_term),
	    cmocka_unit_test(a_late_call_to_campaign_is_ignored),
	    cmocka_unit_test(one_that_may_not_campaign_does_not_when_called),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
