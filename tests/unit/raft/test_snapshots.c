/* test_snapshots.c -- compaction, and what it takes to catch up after it [5].
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cluster.h"

static void plain(struct raft_config *c)
{
	c->pre_vote = c->check_quorum = false;
}

/* Node 3 has missed 2/3 and 2/4, and its leader has cut them off. */
static struct cluster *left_behind(size_t voters)
{
	struct cluster *c = cluster_new(voters, plain);

	cluster_elect(c, 1);
	cluster_isolate(c, 3);
	cluster_propose(c, 1, "x");
	cluster_propose(c, 1, "y");
	cluster_settle(c);
	cluster_compact(c, 1, 4);
	cluster_heal(c);
	raft_report_unreachable(node(c, 1), 3);
	cluster_hush(c);
	c->tell |= TELL_SENT;
	return c;
}

/* The leader finds that node 3 lives, and sends what it has. */
static void sends(struct cluster *c)
{
	cluster_tick(c, 1, 1);
	cluster_give(c, cluster_take(c, RAFT_MSG_HEARTBEAT, 3));
	cluster_ready(c, 3);
	cluster_give(c, cluster_take(c, RAFT_MSG_HEARTBEAT_RESP, 1));
	cluster_ready(c, 1);
	cluster_hush(c);
}

static struct raft_message snapshot_at(struct raft_snapshot *s, raft_index i,
    raft_term term, const struct raft_conf_state *conf)
{
	*s = (struct raft_snapshot){
	    .index = i, .term = term, .conf_state = *conf, .data = {"s", 1}};
	return (struct raft_message){
	    .type = RAFT_MSG_SNAP, .from = 1, .term = 2, .snapshot = s};
}

/* ---- The leader's side: probe, replicate, snapshot ---- */

static void a_follower_behind_the_log_gets_a_snapshot(void **state)
{
	struct cluster *c = left_behind(3);

	(void)state;
	cluster_tick(c, 1, 1);
	cluster_settle(c);
	cluster_propose(c, 1, "z");
	cluster_settle(c);
	cluster_say_log(c, 3);
	cluster_say_progress(c, 1);
	cluster_expect(c, "1>2 Heartbeat t2 c4\n"
			  "1>3 Heartbeat t2 c2\n"
			  "2>1 HeartbeatResp t2\n"
			  "3>1 HeartbeatResp t2\n"
			  "n1 sends snapshot 4 to n3\n"
			  "1>3 Snap t2 snap 2/4\n"
			  "n3 has 3 voters, 0 learners\n"
			  "n3 restores 2/4\n"
			  "3>1 AppResp t2 0/4\n"
			  "1>2 App t2 2/4 c4 [2/5 \"z\"]\n"
			  "1>3 App t2 2/4 c4 [2/5 \"z\"]\n"
			  "2>1 AppResp t2 0/5\n"
			  "3>1 AppResp t2 0/5\n"
			  "n1 commits 5\n"
			  "1>2 App t2 2/5 c5\n"
			  "1>3 App t2 2/5 c5\n"
			  "n1 applies 2/5 \"z\"\n"
			  "2>1 AppResp t2 0/5\n"
			  "n2 applies 2/5 \"z\"\n"
			  "3>1 AppResp t2 0/5\n"
			  "n3 applies 2/5 \"z\"\n"
			  "n3 holds (2/4) 2/5 \"z\"\n"
			  "n1 replicate match 5 next 6\n"
			  "n2 replicate match 5 next 6\n"
			  "n3 replicate match 5 next 6\n");
	cluster_free(c);
}

/* Nothing is sent behind a snapshot until it has arrived. */
static void entries_wait_for_the_snapshot_before_them(void **state)
{
	struct cluster *c = left_behind(3);
	struct raft_message *snap;

	(void)state;
	sends(c);
	snap = cluster_take(c, RAFT_MSG_SNAP, 3);
	c->tell = 0;
	cluster_propose(c, 1, "z");
	cluster_tick(c, 1, 2);
	cluster_settle(c);
	cluster_say_progress(c, 1);
	cluster_say_log(c, 3);
	cluster_give(c, snap);
	cluster_settle(c);
	cluster_say_progress(c, 1);
	cluster_say_log(c, 3);
	cluster_expect(c, "n1 replicate match 5 next 6\n"
			  "n2 replicate match 5 next 6\n"
			  "n3 snapshot match 2 next 5 paused\n"
			  "n3 holds (1/1) 2/2 -\n"
			  "n1 replicate match 5 next 6\n"
			  "n2 replicate match 5 next 6\n"
			  "n3 replicate match 5 next 6\n"
			  "n3 holds (2/4) 2/5 \"z\"\n");
	cluster_free(c);
}

static void a_snapshot_that_failed_is_sent_again(void **state)
{
	struct cluster *c = left_behind(3);

	(void)state;
	sends(c);
	cluster_drop(c);
	raft_report_unreachable(node(c, 1), 3); /* says nothing about it */
	cluster_say_progress(c, 1);
	raft_report_snapshot(node(c, 1), 3, false);
	cluster_say_progress(c, 1);
	cluster_ready(c, 1); /* not at once: after a sign of life */
	cluster_expect(c, "n1 replicate match 4 next 5\n"
			  "n2 replicate match 4 next 5\n"
			  "n3 snapshot match 2 next 5 paused\n"
			  "n1 replicate match 4 next 5\n"
			  "n2 replicate match 4 next 5\n"
			  "n3 probe match 2 next 3 paused\n");
	cluster_tick(c, 1, 1);
	cluster_settle(c);
	cluster_say_progress(c, 1);
	cluster_expect(c, "1>2 Heartbeat t2 c4\n"
			  "1>3 Heartbeat t2 c2\n"
			  "2>1 HeartbeatResp t2\n"
			  "3>1 HeartbeatResp t2\n"
			  "n1 sends snapshot 4 to n3\n"
			  "1>3 Snap t2 snap 2/4\n"
			  "n3 has 3 voters, 0 learners\n"
			  "n3 restores 2/4\n"
			  "3>1 AppResp t2 0/4\n"
			  "n1 replicate match 4 next 5\n"
			  "n2 replicate match 4 next 5\n"
			  "n3 replicate match 4 next 5\n");
	cluster_free(c);
}

/* The report may come before the answer, and the answer may be lost. */
static void a_snapshot_that_arrived_is_probed_behind(void **state)
{
	struct cluster *c = left_behind(3);

	(void)state;
	sends(c);
	cluster_cut(c, 3, 1);
	cluster_settle(c);
	cluster_heal(c);
	cluster_hush(c);
	raft_report_snapshot(node(c, 1), 3, true);
	cluster_say_progress(c, 1);
	cluster_propose(c, 1, "z");
	cluster_settle(c);
	cluster_tick(c, 1, 1);
	cluster_settle(c);
	cluster_say_progress(c, 1);
	cluster_expect(c, "n1 replicate match 4 next 5\n"
			  "n2 replicate match 4 next 5\n"
			  "n3 probe match 2 next 5 paused\n"
			  "1>2 App t2 2/4 c4 [2/5 \"z\"]\n"
			  "2>1 AppResp t2 0/5\n"
			  "n1 commits 5\n"
			  "1>2 App t2 2/5 c5\n"
			  "n1 applies 2/5 \"z\"\n"
			  "2>1 AppResp t2 0/5\n"
			  "n2 applies 2/5 \"z\"\n"
			  "1>2 Heartbeat t2 c5\n"
			  "1>3 Heartbeat t2 c2\n"
			  "2>1 HeartbeatResp t2\n"
			  "3>1 HeartbeatResp t2\n"
			  "1>3 App t2 2/4 c5 [2/5 \"z\"]\n"
			  "3>1 AppResp t2 0/5\n"
			  "n3 applies 2/5 \"z\"\n"
			  "n1 replicate match 5 next 6\n"
			  "n2 replicate match 5 next 6\n"
			  "n3 replicate match 5 next 6\n");
	raft_report_snapshot(node(c, 1), 3, false); /* late, and of no use */
	cluster_say_progress(c, 1);
	cluster_expect(c, "n1 replicate match 5 next 6\n"
			  "n2 replicate match 5 next 6\n"
			  "n3 replicate match 5 next 6\n");
	cluster_free(c);
}

/* APPs that were on their way arrive after all: no snapshot is needed. */
static void a_follower_that_catches_up_needs_no_snapshot(void **state)
{
	struct cluster *c = cluster_new(3, plain);
	struct raft_message *late;

	(void)state;
	cluster_elect(c, 1);
	cluster_propose(c, 1, "x");
	cluster_ready(c, 1);
	late = cluster_take(c, RAFT_MSG_APP, 3);
	cluster_isolate(c, 3);
	cluster_settle(c);
	cluster_compact(c, 1, 3);
	cluster_heal(c);
	raft_report_unreachable(node(c, 1), 3);
	sends(c);
	cluster_drop(c);
	cluster_say_progress(c, 1);
	cluster_give(c, late);
	cluster_settle(c);
	cluster_say_progress(c, 1);
	cluster_expect(c, "n1 replicate match 3 next 4\n"
			  "n2 replicate match 3 next 4\n"
			  "n3 snapshot match 2 next 4 paused\n"
			  "n1 replicate match 3 next 4\n"
			  "n2 replicate match 3 next 4\n"
			  "n3 replicate match 3 next 4\n");
	cluster_free(c);
}

/* What it acknowledges meanwhile is still cut off: no second snapshot. */
static void a_peer_that_moves_is_sent_no_second_snapshot(void **state)
{
	struct cluster *c = left_behind(3);

	(void)state;
	sends(c);
	cluster_step(c, 1,
	    (struct raft_message){
		.type = RAFT_MSG_APP_RESP, .from = 3, .term = 2, .index = 3});
	cluster_ready(c, 1);
	cluster_say_progress(c, 1);
	cluster_expect(c, "n1 replicate match 4 next 5\n"
			  "n2 replicate match 4 next 5\n"
			  "n3 snapshot match 3 next 5 paused\n");
	cluster_free(c);
}

static void storage_may_have_no_snapshot_yet(void **state)
{
	struct cluster *c = left_behind(3);

	(void)state;
	c->peer[1].snapshot_refused = true;
	cluster_tick(c, 1, 1);
	cluster_settle(c);
	cluster_say_progress(c, 1);
	c->peer[1].snapshot_refused = false;
	cluster_tick(c, 1, 1);
	cluster_settle(c);
	cluster_say_progress(c, 1);
	cluster_expect(c, "1>2 Heartbeat t2 c4\n"
			  "1>3 Heartbeat t2 c2\n"
			  "2>1 HeartbeatResp t2\n"
			  "3>1 HeartbeatResp t2\n"
			  "n1 replicate match 4 next 5\n"
			  "n2 replicate match 4 next 5\n"
			  "n3 probe match 2 next 3\n"
			  "1>2 Heartbeat t2 c4\n"
			  "1>3 Heartbeat t2 c2\n"
			  "2>1 HeartbeatResp t2\n"
			  "3>1 HeartbeatResp t2\n"
			  "n1 sends snapshot 4 to n3\n"
			  "1>3 Snap t2 snap 2/4\n"
			  "n3 has 3 voters, 0 learners\n"
			  "n3 restores 2/4\n"
			  "3>1 AppResp t2 0/4\n"
			  "n1 replicate match 4 next 5\n"
			  "n2 replicate match 4 next 5\n"
			  "n3 replicate match 4 next 5\n");
	cluster_free(c);
}

static void a_silent_peer_is_sent_no_snapshot(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 1);
	cluster_isolate(c, 3);
	cluster_propose(c, 1, "x");
	for (int i = 0; i < 20; i++) { /* CheckQuorum has not heard it */
		cluster_tick(c, 1, 1);
		cluster_settle(c);
	}
	cluster_compact(c, 1, 3);
	raft_report_unreachable(node(c, 1), 3);
	cluster_hush(c);
	c->tell |= TELL_SENT;
	cluster_propose(c, 1, "y");
	cluster_settle(c);
	cluster_say_progress(c, 1);
	cluster_expect(c, "1>2 App t2 2/3 c3 [2/4 \"y\"]\n"
			  "2>1 AppResp t2 0/4\n"
			  "n1 commits 4\n"
			  "1>2 App t2 2/4 c4\n"
			  "n1 applies 2/4 \"y\"\n"
			  "2>1 AppResp t2 0/4\n"
			  "n2 applies 2/4 \"y\"\n"
			  "n1 replicate match 4 next 5\n"
			  "n2 replicate match 4 next 5\n"
			  "n3 probe match 2 next 3 inactive\n");
	cluster_free(c);
}

/* The log is cut while entries are on their way: what was lost is no longer
 * there to be sent again. */
static void the_log_is_cut_while_entries_are_on_their_way(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	cluster_isolate(c, 3);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_compact(c, 1, 3);
	cluster_heal(c); /* the APP with x was lost */
	cluster_propose(c, 1, "y");
	cluster_hush(c);
	c->tell |= TELL_SENT;
	cluster_settle(c);
	cluster_say_log(c, 3);
	cluster_expect(c, "1>2 App t2 2/3 c3 [2/4 \"y\"]\n"
			  "1>3 App t2 2/3 c3 [2/4 \"y\"]\n"
			  "2>1 AppResp t2 0/4\n"
			  "n3 refuses to append after 3, hint 2\n"
			  "3>1 AppResp t2 2/3 reject hint 2\n"
			  "n1 commits 4\n"
			  "1>2 App t2 2/4 c4\n"
			  "1>3 App t2 2/4 c4\n"
			  "n1 applies 2/4 \"y\"\n"
			  "n1 sends snapshot 4 to n3\n"
			  "1>3 Snap t2 snap 2/4\n"
			  "2>1 AppResp t2 0/4\n"
			  "n2 applies 2/4 \"y\"\n"
			  "n3 refuses to append after 4, hint 2\n"
			  "3>1 AppResp t2 2/4 reject hint 2\n"
			  "n3 has 3 voters, 0 learners\n"
			  "n3 restores 2/4\n"
			  "3>1 AppResp t2 0/4\n"
			  "1>3 App t2 2/4 c4\n"
			  "3>1 AppResp t2 0/4\n"
			  "n3 holds (2/4)\n");
	cluster_free(c);
}

/* ---- The follower's side ---- */

static void a_snapshot_brings_the_configuration(void **state)
{
	struct cluster *c = cluster_new(3, plain);
	struct raft_conf_state conf = {.voters = {1, 3, 4},
	    .voters_n = 3,
	    .voters_outgoing = {1, 2, 3},
	    .voters_outgoing_n = 3,
	    .learners = {5},
	    .learners_n = 1,
	    .learners_next = {2},
	    .learners_next_n = 1,
	    .auto_leave = true};
	struct raft_snapshot s;

	(void)state;
	cluster_elect(c, 1);
	cluster_step(c, 3, snapshot_at(&s, 9, 2, &conf));
	cluster_disk_all(c, 3);
	cluster_crash(c, 3);
	cluster_start(c, 3);
	cluster_say_conf(c, 3);
	cluster_say_log(c, 3);
	cluster_expect(c,
	    "n3 has 3 voters, 1 learners\n"
	    "n3 restores 2/9\n"
	    "n3: voters(1 3 4) outgoing(1 2 3) learners(5) next(2) auto\n"
	    "n3 holds (2/9)\n");
	cluster_free(c);
}

static void a_stale_snapshot_is_answered_with_the_commit_index(void **state)
{
	struct cluster *c = cluster_new(3, plain);
	struct raft_snapshot s;

	(void)state;
	cluster_elect(c, 1);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_hush(c);
	c->tell |= TELL_SENT;
	cluster_step(c, 3, snapshot_at(&s, 3, 2, &c->peer[1].conf));
	cluster_disk_all(c, 3);
	cluster_compact(c, 3, 3);
	cluster_step(c, 3, snapshot_at(&s, 2, 2, &c->peer[1].conf));
	cluster_disk_all(c, 3);
	cluster_say_log(c, 3);
	cluster_expect(c, "3>1 AppResp t2 0/3\n"
			  "3>1 AppResp t2 0/3\n"
			  "n3 holds (2/3)\n");
	cluster_free(c);
}

/* It holds the entry already: only its commit index was behind. */
static void a_snapshot_of_what_one_holds_moves_the_commit_index(void **state)
{
	struct cluster *c = cluster_new(3, plain);
	struct raft_snapshot s;

	(void)state;
	cluster_elect(c, 1);
	cluster_propose(c, 1, "x");
	cluster_ready(c, 1);
	cluster_give(c, cluster_take(c, RAFT_MSG_APP, 3));
	cluster_disk_all(c, 3);
	cluster_hush(c);
	c->tell |= TELL_SENT;
	cluster_step(c, 3, snapshot_at(&s, 3, 2, &c->peer[1].conf));
	cluster_disk_all(c, 3);
	cluster_say_log(c, 3);
	cluster_expect(c, "3>1 AppResp t2 0/3\n"
			  "n3 applies 2/3 \"x\"\n"
			  "n3 holds (1/1) 2/2 - 2/3 \"x\"\n");
	cluster_free(c);
}

/* A node is not moved to a configuration that it is no part of. */
static void a_snapshot_for_others_is_refused(void **state)
{
	static const struct {
		const char *why;
		struct raft_conf_state conf;
		raft_index commit;
	} rows[] = {
	    {"not in it", {.voters = {1, 2}, .voters_n = 2}, 2},
	    {"a voter", {.voters = {1, 3}, .voters_n = 2}, 9},
	    {"a learner",
		{.voters = {1},
		    .voters_n = 1,
		    .learners = {3},
		    .learners_n = 1},
		9},
	    {"about to leave",
		{.voters = {1},
		    .voters_n = 1,
		    .voters_outgoing = {1, 3},
		    .voters_outgoing_n = 2},
		9},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cluster *c = cluster_new(3, plain);
		struct raft_snapshot s;

		cluster_elect(c, 1);
		cluster_step(c, 3, snapshot_at(&s, 9, 2, &rows[i].conf));
		if (cluster_status(c, 3).hard.commit != rows[i].commit)
			fail_msg("%s", rows[i].why);
		cluster_free(c);
	}
}

/* ---- Snapshots and the disk (canonical/raft #355, #450, #478) ---- */

/* One storage message installs the snapshot and appends what follows it; the
 * acknowledgements of both leave after it. */
static void a_snapshot_and_what_follows_are_written_in_order(void **state)
{
	struct cluster *c = left_behind(3);
	struct raft_entry e = {.term = 2, .index = 5, .data = {"z", 1}};

	(void)state;
	sends(c);
	c->peer[3].slow_disk = true;
	c->tell |= TELL_DISK;
	cluster_give(c, cluster_take(c, RAFT_MSG_SNAP, 3));
	cluster_step(c, 3,
	    (struct raft_message){.type = RAFT_MSG_APP,
		.from = 1,
		.term = 2,
		.log_term = 2,
		.index = 4,
		.commit = 5,
		.entries = &e,
		.entries_n = 1});
	cluster_settle(c);
	cluster_expect(c, "n3 has 3 voters, 0 learners\n"
			  "n3 restores 2/4\n"
			  "2>1 HeartbeatResp t2\n");
	cluster_disk_all(c, 3);
	cluster_say_log(c, 3);
	cluster_expect(c, "did 3>append StorageAppend t2 v1 c5 snap 2/4 [2/5 "
			  "\"z\"] then {3>1 AppResp t2 0/4; 3>1 AppResp t2 "
			  "0/5; append>3 StorageAppendResp t2 2/5 snap 2/4}\n"
			  "3>1 AppResp t2 0/4\n"
			  "3>1 AppResp t2 0/5\n"
			  "did 3>apply StorageApply [2/5 \"z\"] then {apply>3 "
			  "StorageApplyResp 0/5}\n"
			  "n3 applies 2/5 \"z\"\n"
			  "n3 holds (2/4) 2/5 \"z\"\n");
	cluster_free(c);
}

/* The snapshot is on its way to the disk: what it contains is not applied
 * again, and what follows it not yet. */
static void nothing_is_applied_across_a_snapshot(void **state)
{
	struct cluster *c = left_behind(3);

	(void)state;
	sends(c);
	c->peer[3].slow_disk = true;
	cluster_give(c, cluster_take(c, RAFT_MSG_SNAP, 3));
	cluster_ready(c, 3);
	assert_int_equal(cluster_status(c, 3).hard.commit, 4);
	assert_int_equal(cluster_status(c, 3).applied, 2);
	raft_campaign(node(c, 3)); /* nor does it ask for votes */
	cluster_tick(c, 3, 40);
	cluster_expect(c, "n3 has 3 voters, 0 learners\n"
			  "n3 restores 2/4\n");
	cluster_disk_all(c, 3);
	assert_int_equal(cluster_status(c, 3).applied, 4);
	cluster_hush(c);
	raft_campaign(node(c, 3));
	cluster_expect(c, "n3 candidate in term 3\n"
			  "n3 campaigns with 2/4\n");
	cluster_free(c);
}

/* A change from before the snapshot is applied late: the snapshot's
 * configuration is the newer one. */
static void a_change_from_before_a_snapshot_changes_nothing(void **state)
{
	struct cluster *c = left_behind(3);
	struct raft_conf_change add = {RAFT_AUTO, 1, {{RAFT_ADD_VOTER, 7}}};
	struct raft_conf_state out;

	(void)state;
	sends(c);
	c->peer[3].slow_disk = true;
	cluster_give(c, cluster_take(c, RAFT_MSG_SNAP, 3));
	assert_int_equal(
	    raft_apply_conf_change(node(c, 3), &add, &out), RAFT_OK);
	assert_int_equal(out.voters_n, 3);
	cluster_hush(c);
	cluster_say_conf(c, 3);
	cluster_expect(c, "n3: voters(1 2 3)\n");
	cluster_free(c);
}

/* What was given to the state machine before the snapshot is done after it. */
static void an_apply_that_ends_after_a_snapshot_is_late(void **state)
{
	struct cluster *c = cluster_new(3, plain);
	struct raft_snapshot s;

	(void)state;
	cluster_elect(c, 1);
	c->peer[3].slow_apply = true;
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 3).applied, 2);
	cluster_step(c, 3, snapshot_at(&s, 9, 2, &c->peer[1].conf));
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 3).applied, 9);
	c->peer[3].slow_apply = false;
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 3).applied, 9);
	cluster_free(c);
}

/* The disk answers for entries that a snapshot has replaced since. */
static void an_ack_of_entries_before_a_snapshot_is_late(void **state)
{
	struct cluster *c = cluster_new(3, plain);
	struct raft_snapshot s;

	(void)state;
	cluster_elect(c, 1);
	c->peer[3].slow_disk = true;
	cluster_isolate(c, 2);
	cluster_propose(c, 1, "x");
	cluster_settle(c); /* 2/3 is on its way to the disk of 3 */
	cluster_hush(c);
	c->tell |= TELL_SENT | TELL_DISK;
	cluster_step(c, 3, snapshot_at(&s, 7, 2, &c->peer[1].conf));
	cluster_ready(c, 3);
	cluster_disk(c, 3);
	cluster_ready(c, 3);
	cluster_say_log(c, 3);
	cluster_expect(c, "n3 has 3 voters, 0 learners\n"
			  "n3 restores 2/7\n"
			  "did 3>append StorageAppend [2/3 \"x\"] then {3>1 "
			  "AppResp t2 0/3; append>3 StorageAppendResp t2 2/3}\n"
			  "3>1 AppResp t2 0/3\n"
			  "n3 holds (1/1) 2/2 - 2/3 \"x\"\n");
	assert_int_equal(cluster_status(c, 3).last_index, 7);
	cluster_disk_all(c, 3);
	cluster_say_log(c, 3);
	cluster_expect(c,
	    "did 3>append StorageAppend t2 v1 c7 snap 2/7 then {3>1 AppResp t2 "
	    "0/7; append>3 StorageAppendResp t2 snap 2/7}\n"
	    "3>1 AppResp t2 0/7\n"
	    "n3 holds (2/7)\n");
	cluster_free(c);
}

/* The term moves on while the snapshot is written: entries of the earlier term
 * may be gone, but what is committed stays, and the node goes on. */
static void a_snapshot_counts_as_stored_in_a_later_term(void **state)
{
	struct cluster *c = left_behind(3);

	(void)state;
	sends(c);
	c->peer[3].slow_disk = true;
	cluster_give(c, cluster_take(c, RAFT_MSG_SNAP, 3));
	cluster_ready(c, 3);
	cluster_step(c, 3,
	    (struct raft_message){
		.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 3});
	cluster_disk_all(c, 3);
	assert_int_equal(cluster_status(c, 3).applied, 4);
	cluster_expect(c, "n3 has 3 voters, 0 learners\n"
			  "n3 restores 2/4\n"
			  "n3 follower in term 3, leader 2\n"
			  "3>2 HeartbeatResp t3\n"
			  "3>1 AppResp t2 0/4\n");
	cluster_free(c);
}

/* A second snapshot overtakes the first on its way to the disk. */
static void of_two_snapshots_the_later_stays(void **state)
{
	struct cluster *c = left_behind(3);
	struct raft_snapshot s;

	(void)state;
	sends(c);
	c->peer[3].slow_disk = true;
	cluster_give(c, cluster_take(c, RAFT_MSG_SNAP, 3));
	cluster_ready(c, 3);
	cluster_step(c, 3, snapshot_at(&s, 9, 2, &c->peer[1].conf));
	cluster_ready(c, 3);
	c->tell |= TELL_DISK;
	cluster_disk(c, 3);
	assert_int_equal(cluster_status(c, 3).applied, 4);
	raft_campaign(node(c, 3)); /* the later one is not stored yet */
	cluster_disk(c, 3);
	assert_int_equal(cluster_status(c, 3).applied, 9);
	cluster_say_log(c, 3);
	cluster_expect(c,
	    "n3 has 3 voters, 0 learners\n"
	    "n3 restores 2/4\n"
	    "n3 has 3 voters, 0 learners\n"
	    "n3 restores 2/9\n"
	    "did 3>append StorageAppend t2 v1 c4 snap 2/4 then {3>1 AppResp t2 "
	    "0/4; append>3 StorageAppendResp t2 snap 2/4}\n"
	    "3>1 AppResp t2 0/4\n"
	    "did 3>append StorageAppend t2 v1 c9 snap 2/9 then {3>1 AppResp t2 "
	    "0/9; append>3 StorageAppendResp t2 snap 2/9}\n"
	    "3>1 AppResp t2 0/9\n"
	    "n3 holds (2/9)\n");
	cluster_free(c);
}

/* A tail that conflicts is gone with the log that the snapshot replaces. */
static void a_snapshot_replaces_a_tail_nobody_else_has(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 3);
	cluster_isolate(c, 3);
	cluster_propose(c, 3, "lost");
	cluster_propose(c, 3, "too");
	cluster_settle(c);
	cluster_elect(c, 1);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_compact(c, 1, 4);
	cluster_heal(c);
	cluster_hush(c);
	for (int i = 0; i < 3; i++) {
		cluster_tick(c, 1, 1);
		cluster_settle(c);
	}
	cluster_say_log(c, 1);
	cluster_say_log(c, 3);
	cluster_expect(c, "n3 follower in term 3, leader 1\n"
			  "n1 sends snapshot 4 to n3\n"
			  "n3 has 3 voters, 0 learners\n"
			  "n3 restores 3/4\n"
			  "n1 holds (3/4)\n"
			  "n3 holds (3/4)\n");
	cluster_free(c);
}

static void after_a_snapshot_a_restart_continues_behind_it(void **state)
{
	struct cluster *c = left_behind(3);

	(void)state;
	cluster_tick(c, 1, 1);
	cluster_settle(c);
	cluster_propose(c, 1, "z");
	cluster_settle(c);
	cluster_crash(c, 3);
	cluster_start(c, 3);
	c->tell = TELL_EVENTS | TELL_APPLIED;
	cluster_hush(c);
	raft_campaign(node(c, 3));
	cluster_settle(c);
	cluster_say_log(c, 3);
	cluster_expect(c, "n3 candidate in term 3\n"
			  "n3 campaigns with 2/5\n"
			  "n3 hears yes from n3\n"
			  "n1 follower in term 3\n"
			  "n1 grants n3 its Vote\n"
			  "n2 follower in term 3\n"
			  "n2 grants n3 its Vote\n"
			  "n3 hears yes from n1\n"
			  "n3 leader in term 3, leader 3\n"
			  "n3 commits 6\n"
			  "n3 applies 3/6 -\n"
			  "n1 applies 3/6 -\n"
			  "n2 applies 3/6 -\n"
			  "n3 holds (2/4) 2/5 \"z\" 3/6 -\n");
	cluster_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_follower_behind_the_log_gets_a_snapshot),
	    cmocka_unit_test(entries_wait_for_the_snapshot_before_them),
	    cmocka_unit_test(a_snapshot_that_failed_is_sent_again),
	    cmocka_unit_test(a_snapshot_that_arrived_is_probed_behind),
	    cmocka_unit_test(a_follower_that_catches_up_needs_no_snapshot),
	    cmocka_unit_test(storage_may_have_no_snapshot_yet),
	    cmocka_unit_test(a_silent_peer_is_sent_no_snapshot),
	    cmocka_unit_test(the_log_is_cut_while_entries_are_on_their_way),
	    cmocka_unit_test(a_snapshot_brings_the_configuration),
	    cmocka_unit_test(
		a_stale_snapshot_is_answered_with_the_commit_index),
	    cmocka_unit_test(
		a_snapshot_of_what_one_holds_moves_the_commit_index),
	    cmocka_unit_test(a_snapshot_for_others_is_refused),
	    cmocka_unit_test(a_snapshot_and_what_follows_are_written_in_order),
	    cmocka_unit_test(nothing_is_applied_across_a_snapshot),
	    cmocka_unit_test(a_change_from_before_a_snapshot_changes_nothing),
	    cmocka_unit_test(an_ack_of_entries_before_a_snapshot_is_late),
	    cmocka_unit_test(a_snapshot_counts_as_stored_in_a_later_term),
	    cmocka_unit_test(of_two_snapshots_the_later_stays),
	    cmocka_unit_test(a_snapshot_replaces_a_tail_nobody_else_has),
	    cmocka_unit_test(after_a_snapshot_a_restart_continues_behind_it),
	    cmocka_unit_test(a_peer_that_moves_is_sent_no_second_snapshot),
	    cmocka_unit_test(an_apply_that_ends_after_a_snapshot_is_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
