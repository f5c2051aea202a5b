/* test_read.c -- linearizable reads [6.4]: never an index too low. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cluster.h"

static void leases(struct raft_config *c)
{
	c->read_mode = RAFT_READ_LEASE;
}

static void a_round_of_heartbeats_confirms_the_leader(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 1);
	c->tell = TELL_SENT;
	raft_read_index(node(c, 1), 77);
	cluster_settle(c);
	cluster_expect(c, "1>2 Heartbeat t2 c2 x1\n"
			  "1>3 Heartbeat t2 c2 x1\n"
			  "2>1 HeartbeatResp t2 x1\n"
			  "3>1 HeartbeatResp t2 x1\n"
			  "n1 read 77 at 2\n");
	cluster_free(c);
}

static void a_follower_asks_its_leader(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	raft_read_index(node(c, 2), 76); /* nobody to ask: lost */
	cluster_settle(c);
	cluster_elect(c, 1);
	c->tell = TELL_SENT;
	raft_read_index(node(c, 2), 77);
	cluster_settle(c);
	cluster_expect(c, "2>1 ReadIndex x77\n"
			  "1>2 Heartbeat t2 c2 x1\n"
			  "1>3 Heartbeat t2 c2 x1\n"
			  "2>1 HeartbeatResp t2 x1\n"
			  "3>1 HeartbeatResp t2 x1\n"
			  "1>2 ReadIndexResp t2 0/2 x77\n"
			  "n2 read 77 at 2\n");
	cluster_free(c);
}

/* etcd #7331: before its no-op is committed a leader does not know what is. */
static void a_read_waits_for_the_terms_first_commit(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 1);
	cluster_cut(c, 2, 1); /* 2 and 3 hold x, and 1 commits it with 3 */
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 1).hard.commit, 3);
	cluster_heal(c);
	cluster_isolate(c, 1);
	c->peer[2].slow_disk = false;
	raft_forget_leader(node(c, 2));
	raft_forget_leader(node(c, 3));
	raft_campaign(node(c, 2));
	while (cluster_status(c, 2).state != RAFT_LEADER) {
		cluster_disk_all(c, 2);
		cluster_disk_all(c, 3);
		cluster_deliver(c);
	}
	cluster_hush(c);
	raft_read_index(node(c, 2), 5);
	cluster_tick(c, 2, 1);
	cluster_expect(c, "");
	cluster_settle(c);
	cluster_expect(c, "n2 commits 4\n"
			  "n2 applies 3/4 -\n"
			  "n3 applies 3/4 -\n"
			  "n2 read 5 at 4\n");
	cluster_free(c);
}

/* etcd #20418: the same context asked again, and the answer to the first try
 * comes after the second was made. */
static void a_late_answer_confirms_only_its_own_round(void **state)
{
	struct cluster *c = cluster_new(3, NULL);
	struct raft_message *late;

	(void)state;
	cluster_elect(c, 1);
	cluster_isolate(c, 3);
	raft_read_index(node(c, 1), 9);
	cluster_ready(c, 1);
	cluster_give(c, cluster_take(c, RAFT_MSG_HEARTBEAT, 2));
	cluster_ready(c, 2);
	late = cluster_take(c, RAFT_MSG_HEARTBEAT_RESP, 1);
	cluster_isolate(c, 2);
	cluster_propose(c, 1, "x");
	raft_read_index(node(c, 1), 9);
	cluster_settle(c);
	cluster_hush(c);
	cluster_give(c, late);
	cluster_settle(c);
	cluster_expect(c, "n1 read 9 at 2\n"); /* once, and at the first's */
	cluster_free(c);
}

/* Node 3's answer to a round that node 2 confirmed is no answer to the next. */
static void an_answer_says_nothing_of_a_later_round(void **state)
{
	struct cluster *c = cluster_new(3, NULL);
	struct raft_message *late;

	(void)state;
	cluster_elect(c, 1);
	raft_read_index(node(c, 1), 8);
	cluster_ready(c, 1);
	cluster_give(c, cluster_take(c, RAFT_MSG_HEARTBEAT, 3));
	cluster_ready(c, 3);
	late = cluster_take(c, RAFT_MSG_HEARTBEAT_RESP, 1);
	cluster_settle(c);
	cluster_expect(c, "n1 read 8 at 2\n");
	cluster_isolate(c, 1);
	raft_read_index(node(c, 1), 9);
	cluster_settle(c);
	cluster_give(c, late);
	cluster_settle(c);
	cluster_expect(c, "");
	cluster_free(c);
}

/* The answer of `id` to the round of heartbeats that n1 has begun. */
static struct raft_message *answer_of(struct cluster *c, raft_id id)
{
	struct raft_message *m;

	cluster_ready(c, 1);
	cluster_give(c, cluster_take(c, RAFT_MSG_HEARTBEAT, id));
	cluster_ready(c, id);
	m = cluster_take(c, RAFT_MSG_HEARTBEAT_RESP, 1);
	cluster_drop(c);
	return m;
}

/* Whoever follows the leader now did so when the earlier read was asked. */
static void an_answer_confirms_the_rounds_before_it(void **state)
{
	struct cluster *c = cluster_new(5, NULL);
	struct raft_message *first, *second;

	(void)state;
	cluster_elect(c, 1);
	raft_read_index(node(c, 1), 7);
	first = answer_of(c, 2);
	raft_read_index(node(c, 1), 8);
	second = answer_of(c, 3);
	cluster_give(c, second);
	cluster_ready(c, 1);
	cluster_expect(c, "");
	cluster_give(c, first); /* with 3's, a quorum for 7 and not for 8 */
	cluster_ready(c, 1);
	cluster_expect(c, "n1 read 7 at 2\n");
	cluster_free(c);
}

static void an_answer_from_a_stranger_is_refused(void **state)
{
	struct cluster *c = cluster_new(3, NULL);
	struct raft_message m = {.type = RAFT_MSG_READ_INDEX_RESP,
	    .from = 7,
	    .to = 2,
	    .term = 2,
	    .index = 9,
	    .context = 5};

	(void)state;
	cluster_elect(c, 1);
	assert_int_equal(raft_step(node(c, 2), &m), RAFT_ENOTFOUND);
	cluster_settle(c);
	cluster_expect(c, "");
	cluster_free(c);
}

/* The rounds of a leader that comes back in a later term are its own. */
static void an_answer_of_an_earlier_term_confirms_nothing(void **state)
{
	struct cluster *c = cluster_new(3, NULL);
	struct raft_message *late;

	(void)state;
	cluster_elect(c, 1);
	raft_read_index(node(c, 1), 9);
	cluster_ready(c, 1);
	cluster_give(c, cluster_take(c, RAFT_MSG_HEARTBEAT, 2));
	cluster_ready(c, 2);
	late = cluster_take(c, RAFT_MSG_HEARTBEAT_RESP, 1);
	cluster_drop(c);
	raft_transfer_leader(node(c, 1), 2);
	cluster_settle(c);
	raft_transfer_leader(node(c, 2), 1);
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 1).state, RAFT_LEADER);
	cluster_hush(c);
	cluster_isolate(c, 1);
	raft_read_index(node(c, 1), 10);
	cluster_settle(c);
	cluster_give(c, late);
	cluster_settle(c);
	cluster_expect(c, "n1 ignores HeartbeatResp from n2\n");
	cluster_free(c);
}

/* It counts its rounds anew in each term, and what others answered too. */
static void a_leader_elected_again_has_no_answers_yet(void **state)
{
	struct cluster *c = cluster_new(3, NULL);
	struct raft_message *late;

	(void)state;
	cluster_elect(c, 1);
	raft_read_index(node(c, 1), 7);
	cluster_settle(c);
	raft_read_index(node(c, 1), 8);
	cluster_settle(c);
	cluster_expect(c, "n1 read 7 at 2\n"
			  "n1 read 8 at 2\n");
	raft_transfer_leader(node(c, 1), 2);
	cluster_settle(c);
	raft_transfer_leader(node(c, 2), 1);
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 1).state, RAFT_LEADER);
	cluster_hush(c);
	raft_read_index(node(c, 1), 9);
	cluster_ready(c, 1);
	cluster_give(c, cluster_take(c, RAFT_MSG_HEARTBEAT, 3));
	cluster_ready(c, 3);
	late = cluster_take(c, RAFT_MSG_HEARTBEAT_RESP, 1); /* to round 1 */
	cluster_settle(c);
	cluster_expect(c, "n1 read 9 at 4\n");
	cluster_isolate(c, 1);
	raft_read_index(node(c, 1), 10);
	cluster_settle(c);
	cluster_give(c, late);
	cluster_settle(c);
	cluster_expect(c, "");
	cluster_free(c);
}

static void a_leader_cut_off_answers_nothing(void **state)
{
	struct cluster *c = cluster_new(5, NULL);

	(void)state;
	cluster_elect(c, 1);
	for (raft_id id = 3; id <= 5; id++) {
		cluster_cut(c, 1, id);
		cluster_cut(c, id, 1);
		cluster_cut(c, 2, id);
		cluster_cut(c, id, 2);
	}
	raft_read_index(node(c, 1), 5);
	raft_read_index(node(c, 2), 6);
	cluster_settle(c);
	cluster_tick(c, 1, 1);
	cluster_settle(c);
	cluster_expect(c, ""); /* 1 and 2 are no quorum of five */
	cluster_heal(c);
	cluster_tick(c, 1, 1);
	cluster_settle(c);
	cluster_expect(c, "n1 read 5 at 2\n"
			  "n2 read 6 at 2\n");
	cluster_free(c);
}

/* tikv #9239: what was asked before a transfer is not answered after it. */
static void a_transfer_forgets_what_was_asked(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 1);
	raft_read_index(node(c, 1), 5);
	cluster_ready(c, 1);
	cluster_drop(c);
	raft_transfer_leader(node(c, 1), 2);
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 2).state, RAFT_LEADER);
	cluster_hush(c);
	cluster_tick(c, 2, 1);
	cluster_settle(c);
	cluster_expect(c, "");
	raft_read_index(node(c, 1), 6); /* asked again: of the new leader */
	cluster_settle(c);
	cluster_expect(c, "n1 read 6 at 3\n");
	cluster_free(c);
}

/* Asked of a leader that had been deposed without knowing: when it leads again
 * a round of its new term must not confirm the old request. */
static void a_request_does_not_outlive_its_term(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 1);
	cluster_isolate(c, 1);
	raft_forget_leader(node(c, 3));
	cluster_elect(c, 2);
	cluster_propose(c, 2, "x");
	cluster_settle(c);
	raft_read_index(node(c, 1), 5); /* at 2, and 4 is committed */
	cluster_settle(c);
	cluster_heal(c);
	cluster_tick(c, 2, 1);
	cluster_settle(c);
	raft_transfer_leader(node(c, 2), 1);
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 1).state, RAFT_LEADER);
	cluster_hush(c);
	raft_read_index(node(c, 1), 6);
	cluster_settle(c);
	cluster_expect(c, "n1 read 6 at 5\n");
	cluster_free(c);
}

static void a_lone_voter_needs_no_confirmation(void **state)
{
	struct cluster *c = cluster_new(1, NULL);

	(void)state;
	cluster_elect(c, 1);
	raft_read_index(node(c, 1), 5);
	cluster_settle(c);
	cluster_expect(c, "n1 read 5 at 2\n");
	cluster_free(c);
}

/* After a crash even a lone voter first commits its no-op. */
static void a_lone_voter_that_crashed_waits_for_its_commit(void **state)
{
	struct cluster *c = cluster_new(1, NULL);

	(void)state;
	cluster_elect(c, 1);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_crash(c, 1);
	c->peer[1].hard.commit = c->peer[1].applied = 2; /* lost: not synced */
	cluster_start(c, 1);
	raft_campaign(node(c, 1));
	while (cluster_status(c, 1).state != RAFT_LEADER) {
		cluster_ready(c, 1);
		cluster_disk(c, 1);
	}
	cluster_hush(c);
	raft_read_index(node(c, 1), 5);
	cluster_ready(c, 1);
	cluster_expect(c, ""); /* not at 2: x was answered for */
	cluster_settle(c);
	cluster_expect(c, "n1 commits 4\n"
			  "n1 read 5 at 4\n"
			  "n1 applies 2/3 \"x\"\n"
			  "n1 applies 3/4 -\n");
	cluster_free(c);
}

/* One voter is left, and it is not the leader, who took itself for it. */
static void a_removed_leader_is_no_lone_voter(void **state)
{
	struct cluster *c = cluster_new(2, NULL);

	(void)state;
	cluster_elect(c, 1);
	cluster_change(c, 1, RAFT_AUTO, "r1");
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 1).state, RAFT_LEADER);
	cluster_isolate(c, 1);
	raft_forget_leader(node(c, 2));
	cluster_elect(c, 2); /* and moves on */
	cluster_propose(c, 2, "x");
	cluster_settle(c);
	cluster_hush(c);
	raft_read_index(node(c, 1), 5);
	cluster_settle(c);
	cluster_expect(c, "");
	cluster_free(c);
}

/* The new half is node 1 alone, but the old half has a say until it ends. */
static void a_voter_in_a_joint_is_no_lone_voter(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 1);
	cluster_change(c, 1, RAFT_JOINT_EXPLICIT, "r2 r3");
	cluster_settle(c);
	cluster_isolate(c, 1);
	cluster_hush(c);
	raft_read_index(node(c, 1), 9);
	cluster_settle(c);
	cluster_expect(c, "");
	cluster_free(c);
}

/* Leases break on pause: the leader's clock stood still while others moved on.
 * The default does not. */
static void a_lease_trusts_the_clock_and_a_round_does_not(void **state)
{
	static const struct {
		void (*tune)(struct raft_config *c);
		const char *story;
	} rows[] = {
	    {leases, "n1 read 5 at 2\n"}, /* stale: 3 is committed */
	    {NULL, ""},
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct cluster *c = cluster_new(3, rows[i].tune);

		cluster_elect(c, 1);
		cluster_isolate(c, 1);
		for (int t = 0; t < 30; t++) {
			cluster_tick(c, 2, 1);
			cluster_tick(c, 3, 1);
			cluster_settle(c);
		}
		assert_int_equal(cluster_status(c, 2).hard.commit, 3);
		cluster_hush(c);
		raft_read_index(node(c, 1), 5);
		cluster_settle(c);
		cluster_expect(c, rows[i].story);
		cluster_free(c);
	}
}

static void a_lease_ends_when_no_quorum_is_heard(void **state)
{
	struct cluster *c = cluster_new(3, leases);

	(void)state;
	cluster_elect(c, 1);
	cluster_isolate(c, 1);
	cluster_tick(c, 1, 20);
	cluster_hush(c);
	raft_read_index(node(c, 1), 5);
	cluster_settle(c);
	cluster_expect(c, "");
	cluster_free(c);
}

#define LEASE_MS 100

static void timed_leases(struct raft_config *c)
{
	c->read_mode = RAFT_READ_LEASE;
	c->lease_ms = LEASE_MS;
}

/* Nobody elects anyone within an election timeout of its start. */
static struct cluster *cluster_with_leases(void)
{
	struct cluster *c = cluster_new(3, timed_leases);

	for (raft_id id = 1; id <= 3; id++) {
		raft_set_election_timeout(node(c, id), 20);
		cluster_tick(c, id, 10);
	}
	cluster_elect(c, 1);
	return c;
}

static void beat(struct cluster *c, uint64_t at_ms)
{
	raft_clock(node(c, 1), at_ms);
	cluster_tick(c, 1, 1);
}

static void read_at(struct cluster *c, uint64_t at_ms, uint64_t context)
{
	cluster_hush(c);
	raft_clock(node(c, 1), at_ms);
	raft_read_index(node(c, 1), context);
	cluster_settle(c);
}

static void a_lease_is_as_long_as_its_heartbeat_is_old(void **state)
{
	struct cluster *c = cluster_with_leases();

	(void)state;
	c->tell = TELL_SENT;
	beat(c, 1000);
	raft_clock(node(c, 1), 1050); /* the answers come then */
	cluster_settle(c);
	read_at(c, 1099, 5);
	cluster_expect(c, "n1 read 5 at 2\n");
	cluster_isolate(c, 1);
	read_at(c, 1100, 6);
	cluster_expect(c, "1>2 Heartbeat t2 c2 x3\n"
			  "1>3 Heartbeat t2 c2 x3\n");
	cluster_free(c);
}

static void a_heartbeat_that_no_quorum_answers_grants_no_lease(void **state)
{
	struct cluster *c = cluster_with_leases();

	(void)state;
	cluster_isolate(c, 1);
	beat(c, 1000);
	cluster_settle(c);
	read_at(c, 1001, 5);
	cluster_expect(c, "");
	cluster_heal(c);
	cluster_cut(c, 1, 2);
	beat(c, 1010);
	cluster_settle(c);
	read_at(c, 1011, 6); /* what was asked before is confirmed too */
	cluster_expect(c, "n1 read 6 at 2\n");
	cluster_free(c);
}

static void a_read_without_a_lease_brings_one(void **state)
{
	struct cluster *c = cluster_with_leases();

	(void)state;
	c->tell = TELL_SENT;
	read_at(c, 1000, 5);
	cluster_expect(c, "1>2 Heartbeat t2 c2 x2\n"
			  "1>3 Heartbeat t2 c2 x2\n"
			  "2>1 HeartbeatResp t2 x2\n"
			  "3>1 HeartbeatResp t2 x2\n"
			  "n1 read 5 at 2\n");
	read_at(c, 1099, 6);
	cluster_expect(c, "n1 read 6 at 2\n");
	cluster_free(c);
}

/* A crash does not end what was promised, for nobody remembers it. */
static void who_answered_a_heartbeat_elects_nobody(void **state)
{
	struct cluster *c = cluster_with_leases();

	(void)state;
	cluster_isolate(c, 3);
	beat(c, 1000);
	cluster_settle(c);
	cluster_isolate(c, 1);
	cluster_cut(c, 3, 1);
	cluster_crash(c, 2);
	cluster_start(c, 2);
	raft_set_election_timeout(node(c, 2), 20);
	cluster_tick(c, 2, 9);
	cluster_hush(c);
	cluster_step(c, 2,
	    (struct raft_message){.type = RAFT_MSG_VOTE,
		.from = 3,
		.to = 2,
		.term = 3,
		.index = 2,
		.log_term = 2});
	raft_campaign(node(c, 2));
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 2).hard.term, 2);
	assert_int_equal(cluster_status(c, 2).state, RAFT_FOLLOWER);
	cluster_tick(c, 2, 1);
	cluster_step(c, 2,
	    (struct raft_message){.type = RAFT_MSG_VOTE,
		.from = 3,
		.to = 2,
		.term = 3,
		.index = 2,
		.log_term = 2});
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 2).hard.vote, 3);
	cluster_free(c);
}

/* The call to take over may come late, and its votes wait for nothing. */
static void a_term_with_a_transfer_has_no_lease(void **state)
{
	struct cluster *c = cluster_with_leases();

	(void)state;
	raft_transfer_leader(node(c, 1), 2);
	cluster_ready(c, 1);
	cluster_drop(c);
	for (uint64_t t = 0; t < 12; t++) { /* it is off */
		beat(c, 1000 + t);
		cluster_settle(c);
	}
	assert_int_equal(cluster_status(c, 1).transferee, 0);
	c->tell = TELL_SENT;
	cluster_isolate(c, 1);
	read_at(c, 1012, 5);
	cluster_expect(c, "1>2 Heartbeat t2 c2 x14\n"
			  "1>3 Heartbeat t2 c2 x14\n");
	cluster_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_round_of_heartbeats_confirms_the_leader),
	    cmocka_unit_test(a_follower_asks_its_leader),
	    cmocka_unit_test(a_read_waits_for_the_terms_first_commit),
	    cmocka_unit_test(a_late_answer_confirms_only_its_own_round),
	    cmocka_unit_test(an_answer_confirms_the_rounds_before_it),
	    cmocka_unit_test(an_answer_from_a_stranger_is_refused),
	    cmocka_unit_test(an_answer_of_an_earlier_term_confirms_nothing),
	    cmocka_unit_test(a_leader_cut_off_answers_nothing),
	    cmocka_unit_test(a_transfer_forgets_what_was_asked),
	    cmocka_unit_test(a_request_does_not_outlive_its_term),
	    cmocka_unit_test(a_lone_voter_needs_no_confirmation),
	    cmocka_unit_test(a_lone_voter_that_crashed_waits_for_its_commit),
	    cmocka_unit_test(a_removed_leader_is_no_lone_voter),
	    cmocka_unit_test(a_lease_trusts_the_clock_and_a_round_does_not),
	    cmocka_unit_test(a_lease_ends_when_no_quorum_is_heard),
	    cmocka_unit_test(a_lease_is_as_long_as_its_heartbeat_is_old),
	    cmocka_unit_test(
		a_heartbeat_that_no_quorum_answers_grants_no_lease),
	    cmocka_unit_test(a_read_without_a_lease_brings_one),
	    cmocka_unit_test(who_answered_a_heartbeat_elects_nobody),
	    cmocka_unit_test(a_term_with_a_transfer_has_no_lease),
	    cmocka_unit_test(an_answer_says_nothing_of_a_later_round),
	    cmocka_unit_test(a_voter_in_a_joint_is_no_lone_voter),
	    cmocka_unit_test(a_leader_elected_again_has_no_answers_yet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
