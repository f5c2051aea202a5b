/* test_membership.c -- who belongs, and who decides about it [4]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cluster.h"

static void plain(struct raft_config *c)
{
	c->pre_vote = c->check_quorum = false;
}

static void step_down(struct raft_config *c)
{
	plain(c);
	c->step_down_on_removal = true;
}

/* Node 1, the leader, proposes it. */
static void change(
    struct cluster *c, enum raft_transition how, const char *what)
{
	cluster_change(c, 1, how, what);
	cluster_settle(c);
}

static void say_conf_everywhere(struct cluster *c)
{
	for (raft_id id = 1; id <= CLUSTER_NODES; id++)
		if (node(c, id) != NULL)
			cluster_say_conf(c, id);
}

/* ---- One voter at a time [4.1] ---- */

static void a_node_that_is_added_gets_the_log_and_a_vote(void **state)
{
	struct cluster *c = cluster_new(1, plain);

	(void)state;
	cluster_join(c, 2, plain);
	cluster_elect(c, 1);
	c->tell |= TELL_SENT;
	change(c, RAFT_AUTO, "v2");
	for (int i = 0; i < 2; i++) {
		cluster_tick(c, 1, 1);
		cluster_settle(c);
	}
	cluster_say_progress(c, 1);
	say_conf_everywhere(c);
	cluster_expect(c, "n1 commits 3\n"
			  "n1 applies 2/3 conf(v2)\n"
			  "n1 has 2 voters, 0 learners\n"
			  "1>2 App t2 2/2 c3 [2/3 conf(v2)]\n"
			  "n2 follower in term 2, leader 1\n"
			  "n2 refuses to append after 2, hint 0\n"
			  "2>1 AppResp t2 0/2 reject\n"
			  "n1 sends snapshot 3 to n2\n"
			  "1>2 Snap t2 snap 2/3\n"
			  "n2 has 2 voters, 0 learners\n"
			  "n2 restores 2/3\n"
			  "2>1 AppResp t2 0/3\n"
			  "1>2 Heartbeat t2 c3\n"
			  "2>1 HeartbeatResp t2\n"
			  "1>2 Heartbeat t2 c3\n"
			  "2>1 HeartbeatResp t2\n"
			  "n1 replicate match 3 next 4\n"
			  "n2 replicate match 3 next 4\n"
			  "n1: voters(1 2)\n"
			  "n2: voters(1 2)\n");
	cluster_free(c);
}

/* CheckQuorum gives a newcomer time to speak, once. */
static void a_newcomer_has_an_election_timeout_to_speak(void **state)
{
	struct cluster *c = cluster_new(1, NULL);

	(void)state;
	cluster_elect(c, 1);
	change(c, RAFT_AUTO, "v2"); /* which never starts */
	for (int i = 1; i <= 20; i++) {
		cluster_tick(c, 1, 1);
		if (i == 10)
			cluster_say(c, "after 10 ticks");
	}
	cluster_expect(c, "n1 commits 3\n"
			  "n1 applies 2/3 conf(v2)\n"
			  "n1 has 2 voters, 0 learners\n"
			  "after 10 ticks\n"
			  "n1 follower in term 2\n");
	cluster_free(c);
}

/* The change counts from when it is applied: before that, the old voters
 * decide, and then at once the new ones. */
static void a_change_counts_once_it_is_applied(void **state)
{
	struct cluster *c = cluster_new(4, plain);

	(void)state;
	cluster_elect(c, 1);
	c->peer[1].slow_apply = true;
	change(c, RAFT_AUTO, "r4");
	cluster_cut(c, 1, 3);
	cluster_cut(c, 1, 4);
	cluster_propose(c, 1, "x"); /* held by 1 and 2 of four */
	cluster_settle(c);
	cluster_hush(c);
	c->peer[1].slow_apply = false;
	cluster_settle(c); /* by 1 and 2 of three */
	cluster_expect(c, "n1 applies 2/3 conf(r4)\n"
			  "n1 has 3 voters, 0 learners\n"
			  "n1 commits 4\n"
			  "n1 applies 2/4 \"x\"\n"
			  "n2 applies 2/4 \"x\"\n");
	cluster_free(c);
}

static void a_removed_node_is_forgotten_by_its_leader(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	change(c, RAFT_AUTO, "r3");
	cluster_hush(c);
	c->tell |= TELL_SENT;
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_say_progress(c, 1);
	cluster_expect(c, "1>2 App t2 2/3 c3 [2/4 \"x\"]\n"
			  "2>1 AppResp t2 0/4\n"
			  "n1 commits 4\n"
			  "1>2 App t2 2/4 c4\n"
			  "n1 applies 2/4 \"x\"\n"
			  "2>1 AppResp t2 0/4\n"
			  "n2 applies 2/4 \"x\"\n"
			  "n1 replicate match 4 next 5\n"
			  "n2 replicate match 4 next 5\n");
	assert_int_equal(raft_step(node(c, 1),
			     &(struct raft_message){
				 .type = RAFT_MSG_APP_RESP,
				 .from = 3,
				 .to = 1,
				 .term = 2,
				 .index = 4,
			     }),
	    RAFT_ENOTFOUND);
	cluster_free(c);
}

/* Ongaro, July 2015: a leader of a new term might not know that a change of
 * another leader is committed.  Whatever its log holds must be applied first,
 * and nothing is before the term's no-op is committed. */
static void a_new_leader_changes_nothing_before_its_log_is_applied(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	cluster_cut(c, 2, 1);
	cluster_cut(c, 3, 1);
	change(c, RAFT_AUTO, "v4"); /* everywhere, and nobody knows it */
	cluster_heal(c);
	cluster_isolate(c, 1);
	cluster_hush(c);
	raft_campaign(node(c, 2));
	while (cluster_status(c, 2).state != RAFT_LEADER) {
		cluster_disk_all(c, 2);
		cluster_disk_all(c, 3);
		cluster_deliver(c);
	}
	cluster_change(c, 2, RAFT_AUTO, "v5");
	cluster_settle(c);
	cluster_say_log(c, 2);
	cluster_expect(c, "n2 candidate in term 3\n"
			  "n2 campaigns with 2/3\n"
			  "n2 hears yes from n2\n"
			  "n3 follower in term 3\n"
			  "n3 grants n2 its Vote\n"
			  "n2 hears yes from n3\n"
			  "n2 leader in term 3, leader 2\n"
			  "n2 refuses a change\n"
			  "n2 commits 4\n"
			  "n2 applies 2/3 conf(v4)\n"
			  "n2 has 4 voters, 0 learners\n"
			  "n2 applies 3/4 -\n"
			  "n3 applies 2/3 conf(v4)\n"
			  "n3 has 4 voters, 0 learners\n"
			  "n3 applies 3/4 -\n"
			  "n2 holds (1/1) 2/2 - 2/3 conf(v4) 3/4 - 3/5 -\n");
	cluster_heal(c);
	cluster_change(c, 2, RAFT_AUTO, "v5"); /* now it may */
	cluster_settle(c);
	cluster_say_conf(c, 2);
	cluster_expect(c, "n2: voters(1 2 3 4)\n");
	cluster_free(c);
}

/* Where nothing is left to apply, the change follows the no-op in the log and
 * cannot be committed without it. */
static void a_change_is_never_committed_before_the_no_op(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	raft_campaign(node(c, 1));
	while (cluster_status(c, 1).state != RAFT_LEADER) {
		for (raft_id id = 1; id <= 3; id++)
			cluster_disk_all(c, id);
		cluster_deliver(c);
	}
	cluster_hush(c);
	assert_int_equal(cluster_status(c, 1).hard.commit, 1);
	change(c, RAFT_AUTO, "v4");
	cluster_say_log(c, 1);
	cluster_expect(c, "n1 commits 2\n"
			  "n1 applies 2/2 -\n"
			  "n2 applies 2/2 -\n"
			  "n3 applies 2/2 -\n"
			  "n1 commits 3\n"
			  "n1 applies 2/3 conf(v4)\n"
			  "n1 has 4 voters, 0 learners\n"
			  "n2 applies 2/3 conf(v4)\n"
			  "n2 has 4 voters, 0 learners\n"
			  "n3 applies 2/3 conf(v4)\n"
			  "n3 has 4 voters, 0 learners\n"
			  "n1 holds (1/1) 2/2 - 2/3 conf(v4)\n");
	cluster_free(c);
}

static void a_change_is_refused_while_another_is_pending(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	c->peer[1].slow_apply = true;
	change(c, RAFT_AUTO, "v4");
	change(c, RAFT_AUTO, "v5"); /* committed is not applied */
	cluster_say_log(c, 1);
	cluster_expect(c, "n1 commits 3\n"
			  "n2 applies 2/3 conf(v4)\n"
			  "n2 has 4 voters, 0 learners\n"
			  "n3 applies 2/3 conf(v4)\n"
			  "n3 has 4 voters, 0 learners\n"
			  "n1 refuses a change\n"
			  "n1 commits 4\n"
			  "n2 applies 2/4 -\n"
			  "n3 applies 2/4 -\n"
			  "n1 holds (1/1) 2/2 - 2/3 conf(v4) 2/4 -\n");
	c->peer[1].slow_apply = false;
	cluster_settle(c);
	change(c, RAFT_AUTO, "v5");
	cluster_hush(c);
	cluster_say_conf(c, 1);
	cluster_expect(c, "n1: voters(1 2 3 4 5)\n");
	cluster_free(c);
}

static void of_two_changes_in_one_proposal_the_second_is_refused(void **state)
{
	static const char add4[] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 4};
	static const char add5[] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 5};
	struct raft_entry e[] = {
	    {.type = RAFT_ENTRY_CONF_CHANGE, .data = {add4, sizeof(add4)}},
	    {.data = {"x", 1}},
	    {.type = RAFT_ENTRY_CONF_CHANGE, .data = {add5, sizeof(add5)}},
	};
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	cluster_step(c, 1,
	    (struct raft_message){.type = RAFT_MSG_PROP,
		.from = 2,
		.entries = e,
		.entries_n = 3});
	cluster_disk_all(c, 1);
	cluster_say_log(c, 1);
	cluster_expect(c,
	    "n1 refuses a change\n"
	    "n1 holds (1/1) 2/2 - 2/3 conf(v4) 2/4 \"x\" 2/5 -\n");
	cluster_free(c);
}

/* A proposal that the quota refuses leaves nothing pending. */
static void a_change_that_was_dropped_is_not_pending(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	raft_transfer_leader(node(c, 1), 2);
	assert_int_equal(cluster_change(c, 1, RAFT_AUTO, "v4"), RAFT_EDROPPED);
	assert_int_equal(cluster_status(c, 1).pending_conf, 1);
	cluster_free(c);
}

static void a_follower_passes_a_change_on(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	cluster_change(c, 2, RAFT_AUTO, "l4");
	cluster_settle(c);
	cluster_expect(c, "n1 commits 3\n"
			  "n1 applies 2/3 conf(l4)\n"
			  "n1 has 3 voters, 1 learners\n"
			  "n2 applies 2/3 conf(l4)\n"
			  "n2 has 3 voters, 1 learners\n"
			  "n3 applies 2/3 conf(l4)\n"
			  "n3 has 3 voters, 1 learners\n");
	cluster_free(c);
}

/* ---- Learners [4.2.1] ---- */

static void a_learner_gets_the_log_and_has_no_say(void **state)
{
	struct cluster *c = cluster_new(2, plain);

	(void)state;
	cluster_join(c, 3, plain);
	cluster_elect(c, 1);
	change(c, RAFT_AUTO, "l3");
	for (int i = 0; i < 3; i++) {
		cluster_tick(c, 1, 1);
		cluster_settle(c);
	}
	cluster_say_progress(c, 1);
	cluster_isolate(c, 2);
	cluster_propose(c, 1, "x"); /* on 1 and 3: one voter of two */
	cluster_settle(c);
	cluster_say_progress(c, 1);
	cluster_expect(c, "n1 commits 3\n"
			  "n1 applies 2/3 conf(l3)\n"
			  "n1 has 2 voters, 1 learners\n"
			  "n2 applies 2/3 conf(l3)\n"
			  "n2 has 2 voters, 1 learners\n"
			  "n3 follower in term 2, leader 1\n"
			  "n3 refuses to append after 2, hint 0\n"
			  "n1 sends snapshot 3 to n3\n"
			  "n3 has 2 voters, 1 learners\n"
			  "n3 restores 2/3\n"
			  "n1 replicate match 3 next 4\n"
			  "n2 replicate match 3 next 4\n"
			  "n3 replicate match 3 next 4 learner\n"
			  "n1 replicate match 4 next 5\n"
			  "n2 replicate match 3 next 5\n"
			  "n3 replicate match 4 next 5 learner\n");
	c->tell |= TELL_SENT;
	raft_forget_leader(node(c, 2));
	raft_campaign(node(c, 2));
	cluster_disk_all(c, 2); /* it does not ask the learner */
	cluster_expect(c, "n2 candidate in term 3\n"
			  "n2 campaigns with 2/3\n"
			  "2>1 Vote t3 2/3\n"
			  "n2 hears yes from n2\n");
	cluster_free(c);
}

/* Whether it is a voter, a learner may be the last to know. */
static void a_learner_that_is_asked_votes(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	change(c, RAFT_AUTO, "l3");
	c->peer[3].slow_apply = true;
	change(c, RAFT_AUTO, "v3");
	cluster_isolate(c, 1);
	cluster_hush(c);
	raft_campaign(node(c, 2));
	cluster_settle(c);
	cluster_expect(c, "n2 candidate in term 3\n"
			  "n2 campaigns with 2/4\n"
			  "n2 hears yes from n2\n"
			  "n3 follower in term 3\n"
			  "n3 grants n2 its Vote\n"
			  "n2 hears yes from n3\n"
			  "n2 leader in term 3, leader 2\n"
			  "n2 commits 5\n"
			  "n2 applies 3/5 -\n");
	cluster_free(c);
}

static void a_learner_that_is_promoted_counts(void **state)
{
	struct cluster *c = cluster_new(2, plain);

	(void)state;
	cluster_join(c, 3, plain);
	cluster_elect(c, 1);
	change(c, RAFT_AUTO, "l3");
	cluster_tick(c, 1, 1);
	cluster_settle(c);
	cluster_tick(c, 1, 1);
	cluster_settle(c);
	change(c, RAFT_AUTO, "v3");
	cluster_isolate(c, 2);
	cluster_hush(c);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_say_conf(c, 3);
	cluster_say_progress(c, 1);
	cluster_expect(c, "n1 commits 5\n"
			  "n1 applies 2/5 \"x\"\n"
			  "n3 applies 2/5 \"x\"\n"
			  "n3: voters(1 2 3)\n"
			  "n1 replicate match 5 next 6\n"
			  "n2 replicate match 4 next 6\n"
			  "n3 replicate match 5 next 6\n");
	cluster_free(c);
}

static void a_learner_is_no_part_of_the_quorum_that_is_checked(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 1);
	change(c, RAFT_AUTO, "l3");
	cluster_isolate(c, 2);
	cluster_hush(c);
	for (int i = 0; i < 20; i++) {
		cluster_tick(c, 1, 1);
		cluster_settle(c);
	}
	cluster_expect(c, "n1 follower in term 2\n"); /* although 3 answers */
	cluster_free(c);
}

/* ---- Leaving ---- */

/* The leader is removed: until the change is committed it counts, afterwards
 * it leads without a vote of its own, until another takes over [4.2.2]. */
static void a_removed_leader_leads_without_counting_itself(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	change(c, RAFT_AUTO, "r1");
	assert_int_equal(cluster_propose(c, 1, "x"), RAFT_EDROPPED);
	cluster_say_progress(c, 1);
	cluster_expect(c, "n1 commits 3\n"
			  "n1 applies 2/3 conf(r1)\n"
			  "n1 has 2 voters, 0 learners\n"
			  "n2 applies 2/3 conf(r1)\n"
			  "n2 has 2 voters, 0 learners\n"
			  "n3 applies 2/3 conf(r1)\n"
			  "n3 has 2 voters, 0 learners\n"
			  "n2 replicate match 3 next 4\n"
			  "n3 replicate match 3 next 4\n");
	raft_campaign(node(c, 2));
	cluster_settle(c);
	cluster_expect(c, "n2 candidate in term 3\n"
			  "n2 campaigns with 2/3\n"
			  "n2 hears yes from n2\n"
			  "n3 follower in term 3\n"
			  "n3 grants n2 its Vote\n"
			  "n2 hears yes from n3\n"
			  "n2 leader in term 3, leader 2\n"
			  "n2 commits 4\n"
			  "n2 applies 3/4 -\n"
			  "n3 applies 3/4 -\n");
	cluster_free(c);
}

static void a_removed_leader_steps_down_if_told_so(void **state)
{
	static const char *const rows[] = {"r1", "l1"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct cluster *c = cluster_new(3, step_down);

		cluster_elect(c, 1);
		change(c, RAFT_AUTO, rows[i]);
		assert_int_equal(cluster_status(c, 1).state, RAFT_FOLLOWER);
		cluster_hush(c);
		cluster_tick(c, 1, 30);
		raft_campaign(node(c, 1));
		cluster_expect(c, ""); /* nor does it campaign */
		cluster_free(c);
	}
}

/* In a joint that it leaves, the leader still belongs to the old half. */
static void a_leader_leaves_by_a_joint(void **state)
{
	struct cluster *c = cluster_new(3, step_down);

	(void)state;
	cluster_elect(c, 1);
	change(c, RAFT_JOINT_IMPLICIT, "r1");
	cluster_say_log(c, 2);
	cluster_expect(c,
	    "n1 commits 3\n"
	    "n1 applies 2/3 conf(joint r1)\n"
	    "n1 has 2 voters, 0 learners\n"
	    "n2 applies 2/3 conf(joint r1)\n"
	    "n2 has 2 voters, 0 learners\n"
	    "n3 applies 2/3 conf(joint r1)\n"
	    "n3 has 2 voters, 0 learners\n"
	    "n1 commits 4\n"
	    "n1 applies 2/4 conf(leave)\n"
	    "n1 has 2 voters, 0 learners\n"
	    "n1 follower in term 2\n"
	    "n2 applies 2/4 conf(leave)\n"
	    "n2 has 2 voters, 0 learners\n"
	    "n3 applies 2/4 conf(leave)\n"
	    "n3 has 2 voters, 0 learners\n"
	    "n2 holds (1/1) 2/2 - 2/3 conf(joint r1) 2/4 conf(leave)\n");
	cluster_free(c);
}

/* It does not know that it is out, hears no leader and asks for votes: with
 * PreVote and CheckQuorum nobody listens [4.2.3]. */
static void a_removed_node_disturbs_nobody(void **state)
{
	struct cluster *c = cluster_new(4, NULL);

	(void)state;
	cluster_elect(c, 1);
	cluster_isolate(c, 4);
	change(c, RAFT_AUTO, "r4");
	cluster_heal(c);
	cluster_hush(c);
	for (int i = 0; i < 20; i++) {
		for (raft_id id = 1; id <= 4; id++)
			cluster_tick(c, id, 1);
		cluster_settle(c);
	}
	cluster_expect(c, "n4 pre-candidate in term 2\n"
			  "n4 campaigns with 2/2\n"
			  "n4 hears yes from n4\n"
			  "n1 ignores PreVote from n4\n"
			  "n2 ignores PreVote from n4\n"
			  "n3 ignores PreVote from n4\n");
	assert_int_equal(cluster_status(c, 1).hard.term, 2);
	cluster_free(c);
}

static void a_transfer_to_one_that_leaves_is_off(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	c->peer[1].slow_apply = true;
	change(c, RAFT_AUTO, "r3");
	cluster_isolate(c, 3);
	cluster_hush(c);
	raft_transfer_leader(node(c, 1), 3);
	c->peer[1].slow_apply = false;
	cluster_settle(c);
	cluster_expect(c, "n1 begins transfer to n3\n"
			  "n1 applies 2/3 conf(r3)\n"
			  "n1 has 2 voters, 0 learners\n"
			  "n1 aborts transfer to n3\n");
	cluster_free(c);
}

static void a_change_that_cannot_be_read_is_refused(void **state)
{
	struct cluster *c = cluster_new(3, plain);
	struct raft_entry e = {.type = RAFT_ENTRY_CONF_CHANGE,
	    .data = {"\0\1\4\0\0\0\0\0\0\0\4", 11}};

	(void)state;
	cluster_elect(c, 1);
	cluster_step(c, 1,
	    (struct raft_message){.type = RAFT_MSG_PROP,
		.from = 2,
		.entries = &e,
		.entries_n = 1});
	cluster_settle(c);
	cluster_expect(c, "n1 refuses a change\n"
			  "n1 commits 3\n"
			  "n1 applies 2/3 -\n"
			  "n2 applies 2/3 -\n"
			  "n3 applies 2/3 -\n");
	cluster_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_node_that_is_added_gets_the_log_and_a_vote),
	    cmocka_unit_test(a_newcomer_has_an_election_timeout_to_speak),
	    cmocka_unit_test(a_change_counts_once_it_is_applied),
	    cmocka_unit_test(a_removed_node_is_forgotten_by_its_leader),
	    cmocka_unit_test(
		a_new_leader_changes_nothing_before_its_log_is_applied),
	    cmocka_unit_test(a_change_is_never_committed_before_the_no_op),
	    cmocka_unit_test(a_change_is_refused_while_another_is_pending),
	    cmocka_unit_test(
		of_two_changes_in_one_proposal_the_second_is_refused),
	    cmocka_unit_test(a_change_that_was_dropped_is_not_pending),
	    cmocka_unit_test(a_follower_passes_a_change_on),
	    cmocka_unit_test(a_learner_gets_the_log_and_has_no_say),
	    cmocka_unit_test(a_learner_that_is_asked_votes),
	    cmocka_unit_test(a_learner_that_is_promoted_counts),
	    cmocka_unit_test(
		a_learner_is_no_part_of_the_quorum_that_is_checked),
	    cmocka_unit_test(a_removed_leader_leads_without_counting_itself),
	    cmocka_unit_test(a_removed_leader_steps_down_if_told_so),
	    cmocka_unit_test(a_leader_leaves_by_a_joint),
	    cmocka_unit_test(a_removed_node_disturbs_nobody),
	    cmocka_unit_test(a_transfer_to_one_that_leaves_is_off),
	    cmocka_unit_test(a_change_that_cannot_be_read_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
