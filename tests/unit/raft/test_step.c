/* test_step.c -- what comes in from outside: messages, a caller's wishes, and
 * what storage answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster.h"

static void plain(struct raft_config *c)
{
	c->pre_vote = c->check_quorum = false;
}

static void no_forwarding(struct raft_config *c)
{
	plain(c);
	c->disable_proposal_forwarding = true;
}

/* A peer's bytes are never an assertion: what no correct peer sends is refused
 * and changes nothing. */
static void what_no_peer_could_send_is_refused(void **state)
{
	static struct raft_entry gap = {.term = 2, .index = 5},
				 later = {.term = 9, .index = 4},
				 good = {.term = 2, .index = 4};
	static struct raft_snapshot none = {.index = 0};
	static const struct {
		const char *why;
		struct raft_message m;
		int rc;
	} rows[] = {
	    {"a local type", {.type = RAFT_MSG_HUP}, RAFT_EINVAL},
	    {"another", {.type = RAFT_MSG_CHECK_QUORUM}, RAFT_EINVAL},
	    {"and another", {.type = RAFT_MSG_UNREACHABLE, .from = 2},
		RAFT_EINVAL},
	    {"work for storage", {.type = RAFT_MSG_STORAGE_APPEND, .term = 2},
		RAFT_EINVAL},
	    {"storage's answer, from a peer",
		{.type = RAFT_MSG_STORAGE_APPEND_RESP, .from = 2, .term = 2},
		RAFT_EINVAL},
	    {"an unknown type", {.type = RAFT_MSG_TYPES, .term = 2},
		RAFT_EINVAL},
	    {"no term", {.type = RAFT_MSG_APP, .from = 2}, RAFT_EINVAL},
	    {"a gap",
		{.type = RAFT_MSG_APP,
		    .from = 1,
		    .term = 2,
		    .log_term = 2,
		    .index = 3,
		    .entries = &gap,
		    .entries_n = 1},
		RAFT_EINVAL},
	    {"an entry of a later term than its leader's",
		{.type = RAFT_MSG_APP,
		    .from = 1,
		    .term = 2,
		    .log_term = 2,
		    .index = 3,
		    .entries = &later,
		    .entries_n = 1},
		RAFT_EINVAL},
	    {"a proposal of nothing", {.type = RAFT_MSG_PROP, .from = 2},
		RAFT_EINVAL},
	    {"a proposal with a term",
		{.type = RAFT_MSG_PROP,
		    .from = 2,
		    .term = 2,
		    .entries = &good,
		    .entries_n = 1},
		RAFT_EINVAL},
	    {"a read request with a term",
		{.type = RAFT_MSG_READ_INDEX, .from = 2, .term = 2},
		RAFT_EINVAL},
	    {"no snapshot in a Snap",
		{.type = RAFT_MSG_SNAP, .from = 1, .term = 2}, RAFT_EINVAL},
	    {"a snapshot of nothing",
		{.type = RAFT_MSG_SNAP,
		    .from = 1,
		    .term = 2,
		    .snapshot = &none},
		RAFT_EINVAL},
	    {"a transfer to nobody", {.type = RAFT_MSG_TRANSFER_LEADER},
		RAFT_EINVAL},
	    {"a stranger's answer",
		{.type = RAFT_MSG_APP_RESP, .from = 9, .term = 2},
		RAFT_ENOTFOUND},
	    {"a good one",
		{.type = RAFT_MSG_APP,
		    .from = 1,
		    .term = 2,
		    .log_term = 2,
		    .index = 3,
		    .entries = &good,
		    .entries_n = 1},
		RAFT_OK},
	};
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int rc = raft_step(node(c, 3), &rows[i].m);

		if (rc != rows[i].rc)
			fail_msg("%s: %s", rows[i].why, raft_strerror(rc));
		if (rc != RAFT_OK && raft_has_ready(node(c, 3)))
			fail_msg("%s: it did something", rows[i].why);
	}
	cluster_free(c);
}

/* Nobody holds what was never sent. */
static void an_ack_past_the_log_counts_for_nothing(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	for (raft_id id = 2; id <= 3; id++)
		cluster_step(c, 1,
		    (struct raft_message){.type = RAFT_MSG_APP_RESP,
			.from = id,
			.term = 2,
			.index = 99});
	cluster_say_progress(c, 1);
	cluster_expect(c, "n1 replicate match 2 next 3\n"
			  "n2 replicate match 2 next 3\n"
			  "n3 replicate match 2 next 3\n");
	cluster_free(c);
}

/* Whoever campaigns follows the leader of its term that it hears of. */
static void a_candidate_follows_whoever_has_won(void **state)
{
	static struct raft_snapshot s = {.index = 9,
	    .term = 2,
	    .conf_state = {.voters = {1, 2, 3}, .voters_n = 3}};
	static const struct {
		struct raft_message m;
		const char *story;
	} rows[] = {
	    {{.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 2, .commit = 1},
		"n1 follower in term 2, leader 2\n"
		"1>2 HeartbeatResp t2\n"},
	    {{.type = RAFT_MSG_APP,
		 .from = 2,
		 .term = 2,
		 .log_term = 1,
		 .index = 1},
		"n1 follower in term 2, leader 2\n"
		"1>2 AppResp t2 0/1\n"},
	    {{.type = RAFT_MSG_SNAP, .from = 2, .term = 2, .snapshot = &s},
		"n1 follower in term 2, leader 2\n"
		"n1 has 3 voters, 0 learners\n"
		"n1 restores 2/9\n"
		"1>2 AppResp t2 0/9\n"},
	};
	struct cluster *c;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		c = cluster_new(3, plain);
		c->tell |= TELL_SENT;
		raft_campaign(node(c, 1));
		cluster_disk_all(c, 1);
		cluster_hush(c);
		cluster_step(c, 1, rows[i].m);
		cluster_disk_all(c, 1);
		cluster_expect(c, rows[i].story);
		cluster_free(c);
	}
}

static void a_proposal_goes_nowhere_without_a_leader(void **state)
{
	struct cluster *c = cluster_new(3, no_forwarding);

	(void)state;
	assert_int_equal(cluster_propose(c, 2, "x"), RAFT_EDROPPED);
	raft_campaign(node(c, 2));
	assert_int_equal(cluster_propose(c, 2, "x"), RAFT_EDROPPED);
	cluster_settle(c);
	assert_int_equal(cluster_propose(c, 2, "x"), RAFT_OK);
	assert_int_equal(cluster_propose(c, 1, "x"), RAFT_EDROPPED);
	assert_int_equal(raft_propose(node(c, 2), NULL, 0), RAFT_EINVAL);
	cluster_free(c);
}

/* The leader and the state are news once. */
static void what_is_new_is_told_once(void **state)
{
	struct cluster *c = cluster_new(1, plain);
	struct raft_ready rd;

	(void)state;
	raft_campaign(node(c, 1));
	assert_true(raft_has_ready(node(c, 1)));
	assert_int_equal(raft_ready(node(c, 1), &rd), RAFT_OK);
	assert_true(rd.soft_changed && rd.hard_changed && rd.must_sync);
	assert_int_equal(rd.state, RAFT_CANDIDATE);
	assert_int_equal(rd.hard.term, 2);
	assert_false(raft_has_ready(node(c, 1)));
	assert_int_equal(raft_ready(node(c, 1), &rd), RAFT_OK);
	assert_false(rd.soft_changed || rd.hard_changed || rd.must_sync);
	assert_int_equal(rd.messages_n, 0);
	cluster_free(c);
}

/* A commit index that moves alone need not be synced. */
static void a_commit_index_alone_needs_no_sync(void **state)
{
	struct cluster *c = cluster_new(3, plain);
	struct raft_ready rd;

	(void)state;
	cluster_elect(c, 1);
	cluster_propose(c, 1, "x");
	cluster_ready(c, 1);
	cluster_give(c, cluster_take(c, RAFT_MSG_APP, 3));
	assert_int_equal(raft_ready(node(c, 3), &rd), RAFT_OK);
	assert_true(rd.must_sync);
	cluster_step(c, 3,
	    (struct raft_message){
		.type = RAFT_MSG_HEARTBEAT, .from = 1, .term = 2, .commit = 3});
	assert_int_equal(raft_ready(node(c, 3), &rd), RAFT_OK);
	assert_true(rd.hard_changed && !rd.must_sync);
	assert_int_equal(rd.hard.commit, 3);
	cluster_free(c);
}

/* A term, and a vote in it, are each a reason of their own. */
static void a_term_and_a_vote_need_a_sync(void **state)
{
	struct cluster *c = cluster_new(3, plain);
	struct raft_message vote = {
	    .type = RAFT_MSG_VOTE, .from = 1, .term = 2};
	struct raft_ready rd;

	(void)state;
	cluster_step(c, 3, vote); /* its log is behind */
	assert_int_equal(raft_ready(node(c, 3), &rd), RAFT_OK);
	assert_true(rd.hard_changed && rd.must_sync);
	assert_int_equal(rd.hard.vote, 0);
	vote.index = vote.log_term = 1;
	cluster_step(c, 3, vote);
	assert_int_equal(raft_ready(node(c, 3), &rd), RAFT_OK);
	assert_true(rd.hard_changed && rd.must_sync);
	assert_int_equal(rd.hard.vote, 1);
	cluster_free(c);
}

static void a_configuration_that_cannot_be_is_refused(void **state)
{
	struct cluster *c = cluster_new(1, plain);
	const struct raft_config good = c->peer[1].config;
	struct raft *r;

	(void)state;
	for (int i = 0; i < 9; i++) {
		struct raft_config bad = good;

		switch (i) {
		case 0: bad.id = 0; break;
		case 1: bad.id = RAFT_APPLY_THREAD; break;
		case 2: bad.heartbeat_ticks = 0; break;
		case 3: bad.election_ticks = bad.heartbeat_ticks; break;
		case 4: bad.max_inflight_msgs = 0; break;
		case 5: bad.max_inflight_bytes = 1; break;
		case 6: bad.read_mode = RAFT_READ_LEASE; break;
		case 7: bad.applied = 9; break;
		default: break; /* the good one */
		}
		if (raft_init(&r, &bad) != (i == 8 ? RAFT_OK : RAFT_EINVAL))
			fail_msg("row %d", i);
	}
	raft_free(r);
	cluster_free(c);
}

static void every_code_and_type_has_a_name(void **state)
{
	(void)state;
	for (int rc = RAFT_EIO; rc <= RAFT_OK; rc++)
		assert_string_not_equal(raft_strerror(rc), "unknown");
	assert_string_equal(raft_strerror(RAFT_EIO - 1), "unknown");
	assert_string_equal(raft_strerror(1), "unknown");
	for (int t = 0; t < RAFT_MSG_TYPES; t++)
		assert_string_not_equal(
		    raft_message_name((enum raft_message_type)t), "unknown");
	assert_string_equal(raft_message_name(RAFT_MSG_TYPES), "unknown");
}

/* ---- Storage that cannot read ---- */

static int broken;

static int breaks(void *ctx, struct raft_snapshot *out)
{
	(void)ctx;
	(void)out;
	return broken;
}

/* As after a crash: every later call answers the same, and no work comes. */
static void a_storage_that_cannot_read_stops_the_node(void **state)
{
	struct cluster *c;
	static const int rows[] = {RAFT_EIO, RAFT_ENOMEM};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		broken = rows[i];
		c = cluster_new(3, plain);
		cluster_crash(c, 1);
		c->peer[1].config.storage.snapshot = breaks;
		cluster_start(c, 1);
		cluster_elect(c, 1);
		cluster_isolate(c, 3);
		cluster_propose(c, 1, "x");
		cluster_settle(c);
		cluster_compact(c, 1, 3);
		cluster_heal(c);
		raft_report_unreachable(node(c, 1), 3);
		cluster_tick(c, 1, 1);
		cluster_settle(c);
		assert_int_equal(cluster_propose(c, 1, "y"), broken);
		assert_int_equal(raft_campaign(node(c, 1)), broken);
		assert_int_equal(raft_read_index(node(c, 1), 1), broken);
		assert_false(raft_has_ready(node(c, 1)));
		cluster_free(c);
	}
}

static int (*reads_term)(void *ctx, raft_index i, raft_term *out);

static int term_breaks(void *ctx, raft_index i, raft_term *out)
{
	return broken != RAFT_OK ? broken : reads_term(ctx, i, out);
}

/* Or a follower refuses what it acknowledged, and goes on. */
static void an_entry_that_cannot_be_read_is_no_mismatch(void **state)
{
	static const enum raft_message_type rows[] = {
	    RAFT_MSG_APP, RAFT_MSG_PRE_VOTE, RAFT_MSG_VOTE};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct cluster *c = cluster_new(3, plain);
		struct raft_message m = {
		    .type = rows[i], .from = 1, .to = 2, .context = 1};
		struct raft_status is;

		broken = RAFT_OK;
		cluster_crash(c, 2);
		reads_term = c->peer[2].config.storage.term;
		c->peer[2].config.storage.term = term_breaks;
		cluster_start(c, 2);
		cluster_elect(c, 1);
		cluster_propose(c, 1, "x");
		cluster_settle(c);
		raft_status(node(c, 2), &is);
		m.index = is.last_index;
		m.log_term = is.hard.term;
		m.term = is.hard.term + (rows[i] != RAFT_MSG_APP);
		broken = RAFT_EIO;
		assert_int_equal(raft_step(node(c, 2), &m), RAFT_EIO);
		assert_false(raft_has_ready(node(c, 2)));
		cluster_free(c);
	}
}

static int gives_nothing(void *ctx, raft_index lo, raft_index hi,
    size_t max_size, struct raft_entry **out, size_t *n)
{
	(void)ctx;
	(void)lo;
	(void)hi;
	(void)max_size;
	*out = NULL;
	*n = 0;
	return RAFT_OK;
}

/* Storage that breaks its promise of one entry at the least. */
static void a_storage_that_gives_nothing_stops_the_node(void **state)
{
	struct cluster *c = cluster_new(1, plain);

	(void)state;
	cluster_elect(c, 1);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_crash(c, 1);
	c->peer[1].applied = 2;
	c->peer[1].config.storage.entries = gives_nothing;
	cluster_start(c, 1);
	cluster_hush(c);
	cluster_settle(c);
	assert_int_equal(cluster_propose(c, 1, "y"), RAFT_EIO);
	cluster_expect(c, "n1 stops: storage could not read\n");
	cluster_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_no_peer_could_send_is_refused),
	    cmocka_unit_test(an_ack_past_the_log_counts_for_nothing),
	    cmocka_unit_test(a_candidate_follows_whoever_has_won),
	    cmocka_unit_test(a_proposal_goes_nowhere_without_a_leader),
	    cmocka_unit_test(what_is_new_is_told_once),
	    cmocka_unit_test(a_commit_index_alone_needs_no_sync),
	    cmocka_unit_test(a_configuration_that_cannot_be_is_refused),
	    cmocka_unit_test(every_code_and_type_has_a_name),
	    cmocka_unit_test(a_storage_that_cannot_read_stops_the_node),
	    cmocka_unit_test(an_entry_that_cannot_be_read_is_no_mismatch),
	    cmocka_unit_test(a_storage_that_gives_nothing_stops_the_node),
	    cmocka_unit_test(a_term_and_a_vote_need_a_sync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
