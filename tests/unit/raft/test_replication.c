/* test_replication.c -- entries get to every log, in order, and stay. */
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

static void sync_storage(struct raft_config *c)
{
	plain(c);
	c->async_storage = false;
}

static void narrow(struct raft_config *c)
{
	plain(c);
	c->max_size_per_msg = 1;
	c->max_inflight_msgs = 1;
}

static void what_is_proposed_is_applied_everywhere(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	c->tell |= TELL_SENT;
	assert_int_equal(cluster_propose(c, 1, "x"), RAFT_OK);
	cluster_settle(c);
	cluster_expect(c, "1>2 App t2 2/2 c2 [2/3 \"x\"]\n"
			  "1>3 App t2 2/2 c2 [2/3 \"x\"]\n"
			  "2>1 AppResp t2 0/3\n"
			  "3>1 AppResp t2 0/3\n"
			  "n1 commits 3\n"
			  "1>2 App t2 2/3 c3\n"
			  "1>3 App t2 2/3 c3\n"
			  "n1 applies 2/3 \"x\"\n"
			  "2>1 AppResp t2 0/3\n"
			  "n2 applies 2/3 \"x\"\n"
			  "3>1 AppResp t2 0/3\n"
			  "n3 applies 2/3 \"x\"\n");
	cluster_free(c);
}

static void sync_storage_replicates_alike(void **state)
{
	struct cluster *c = cluster_new(3, sync_storage);

	(void)state;
	cluster_elect(c, 1);
	c->tell |= TELL_SENT;
	assert_int_equal(cluster_propose(c, 1, "x"), RAFT_OK);
	cluster_settle(c);
	cluster_expect(c, "1>2 App t2 2/2 c2 [2/3 \"x\"]\n"
			  "1>3 App t2 2/2 c2 [2/3 \"x\"]\n"
			  "2>1 AppResp t2 0/3\n"
			  "3>1 AppResp t2 0/3\n"
			  "n1 commits 3\n"
			  "1>2 App t2 2/3 c3\n"
			  "1>3 App t2 2/3 c3\n"
			  "n1 applies 2/3 \"x\"\n"
			  "2>1 AppResp t2 0/3\n"
			  "n2 applies 2/3 \"x\"\n"
			  "3>1 AppResp t2 0/3\n"
			  "n3 applies 2/3 \"x\"\n");
	cluster_free(c);
}

static void a_follower_forwards_what_it_is_given(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	assert_int_equal(cluster_propose(c, 2, "x"), RAFT_EDROPPED);
	cluster_elect(c, 1);
	c->tell = TELL_SENT;
	assert_int_equal(cluster_propose(c, 2, "x"), RAFT_OK);
	cluster_ready(c, 2);
	cluster_expect(c, "2>1 Prop [0/0 \"x\"]\n");
	cluster_settle(c);
	cluster_hush(c);
	cluster_say_log(c, 3);
	cluster_expect(c, "n3 holds (1/1) 2/2 - 2/3 \"x\"\n");
	cluster_free(c);
}

/* ---- Conflicts ---- */

static void a_tail_nobody_else_has_is_replaced(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	cluster_isolate(c, 1);
	cluster_propose(c, 1, "lost");
	cluster_propose(c, 1, "too");
	cluster_settle(c);
	cluster_elect(c, 2);
	cluster_propose(c, 2, "kept");
	cluster_settle(c);
	cluster_say_log(c, 1);
	cluster_heal(c);
	cluster_tick(c, 2, 1);
	cluster_settle(c);
	cluster_say_log(c, 1);
	cluster_say_log(c, 2);
	cluster_expect(c, "n2 commits 4\n"
			  "n2 applies 3/4 \"kept\"\n"
			  "n3 applies 3/4 \"kept\"\n"
			  "n1 holds (1/1) 2/2 - 2/3 \"lost\" 2/4 \"too\"\n"
			  "n1 follower in term 3, leader 2\n"
			  "n1 applies 3/3 -\n"
			  "n1 applies 3/4 \"kept\"\n"
			  "n1 holds (1/1) 2/2 - 3/3 - 3/4 \"kept\"\n"
			  "n2 holds (1/1) 2/2 - 3/3 - 3/4 \"kept\"\n");
	cluster_free(c);
}

/* Nodes 1 and 3 hold these terms, node 2 those; 1 leads and finds out. */
static struct cluster *diverged(const char *leader, const char *follower)
{
	struct cluster *c = cluster_new(3, plain);

	for (raft_id id = 1; id <= 3; id++) {
		cluster_crash(c, id);
		cluster_write_log(c, id, id == 2 ? follower : leader);
		cluster_start(c, id);
	}
	cluster_isolate(c, 2);
	cluster_elect(c, 1);
	cluster_heal(c);
	c->tell = TELL_SENT;
	cluster_isolate(c, 3);
	raft_report_unreachable(node(c, 1), 2);
	cluster_tick(c, 1, 1);
	cluster_settle(c);
	return c;
}

/* Raft's figure 7, and how many refusals it takes. */
static void refusals_skip_whole_terms(void **state)
{
	struct cluster *c;

	(void)state;
	c = diverged("333444", "3"); /* a short log */
	cluster_expect(c,
	    "1>2 Heartbeat t5\n"
	    "1>3 Heartbeat t5 c8\n"
	    "2>1 HeartbeatResp t5\n"
	    "1>2 App t5 4/7 c8 [5/8 -]\n"
	    "2>1 AppResp t5 3/7 reject hint 2\n"
	    "1>2 App t5 3/2 c8 [3/3 -, 3/4 -, 4/5 -, 4/6 -, 4/7 -, 5/8 -]\n"
	    "2>1 AppResp t5 0/8\n");
	cluster_free(c);
	c = diverged("333", "222222222"); /* longer, of an earlier term */
	cluster_expect(c, "1>2 Heartbeat t4\n"
			  "1>3 Heartbeat t4 c5\n"
			  "2>1 HeartbeatResp t4\n"
			  "1>2 App t4 3/4 c5 [4/5 -]\n"
			  "2>1 AppResp t4 2/4 reject hint 4\n"
			  "1>2 App t4 1/1 c5 [3/2 -, 3/3 -, 3/4 -, 4/5 -]\n"
			  "2>1 AppResp t4 0/5\n");
	cluster_free(c);
	c = diverged("3333333", "2222"); /* all of an earlier term */
	cluster_expect(c, "1>2 Heartbeat t4\n"
			  "1>3 Heartbeat t4 c9\n"
			  "2>1 HeartbeatResp t4\n"
			  "1>2 App t4 3/8 c9 [4/9 -]\n"
			  "2>1 AppResp t4 2/8 reject hint 5\n"
			  "1>2 App t4 1/1 c9 [3/2 -, 3/3 -, 3/4 -, 3/5 -, 3/6 "
			  "-, 3/7 -, 3/8 -, 4/9 -]\n"
			  "2>1 AppResp t4 0/9\n");
	cluster_free(c);
	c = diverged("2233566", "2244"); /* interleaved */
	cluster_expect(c,
	    "1>2 Heartbeat t7\n"
	    "1>3 Heartbeat t7 c9\n"
	    "2>1 HeartbeatResp t7\n"
	    "1>2 App t7 6/8 c9 [7/9 -]\n"
	    "2>1 AppResp t7 4/8 reject hint 5\n"
	    "1>2 App t7 3/5 c9 [5/6 -, 6/7 -, 6/8 -, 7/9 -]\n"
	    "2>1 AppResp t7 2/5 reject hint 3\n"
	    "1>2 App t7 2/3 c9 [3/4 -, 3/5 -, 5/6 -, 6/7 -, 6/8 -, 7/9 -]\n"
	    "2>1 AppResp t7 0/9\n");
	cluster_free(c);
}

static void a_contradicted_commit_stops_the_node(void **state)
{
	struct cluster *c = cluster_new(3, plain);
	struct raft_entry e = {.term = 5, .index = 2};
	struct raft_message m = {.type = RAFT_MSG_APP,
	    .from = 2,
	    .to = 3,
	    .term = 5,
	    .log_term = 1,
	    .index = 1,
	    .entries = &e,
	    .entries_n = 1};
	struct raft_message beat = {.type = RAFT_MSG_HEARTBEAT,
	    .from = 2,
	    .to = 3,
	    .term = 5,
	    .commit = 99};

	(void)state;
	cluster_elect(c, 1);
	assert_int_equal(raft_step(node(c, 3), &m), RAFT_OK); /* below commit */
	assert_int_equal(raft_step(node(c, 3), &beat), RAFT_EINVAL);
	assert_false(raft_has_ready(node(c, 3)));
	assert_int_equal(cluster_propose(c, 3, "x"), RAFT_EINVAL);
	cluster_free(c);
}

/* Raft's figure 8: 2/3 is on three disks of five, and still not committed. */
static void entries_of_earlier_terms_are_not_counted(void **state)
{
	struct cluster *c = cluster_new(5, narrow);

	(void)state;
	cluster_elect(c, 1);
	for (raft_id id = 3; id <= 5; id++)
		cluster_cut(c, 1, id);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_crash(c, 1);
	cluster_start(c, 1);
	cluster_heal(c);
	raft_campaign(node(c, 1));
	while (cluster_status(c, 1).state != RAFT_LEADER) {
		cluster_disk_all(c, 1);
		cluster_disk_all(c, 2);
		cluster_disk_all(c, 3);
		cluster_deliver(c);
	}
	cluster_drop(c);
	cluster_isolate(c, 2);
	cluster_cut(c, 1, 4);
	cluster_cut(c, 1, 5);
	cluster_disk_all(c, 1);
	raft_report_unreachable(node(c, 1), 3);
	c->tell = TELL_SENT | TELL_EVENTS;
	cluster_hush(c);
	cluster_tick(c, 1, 1);
	for (int i = 0; i < 3; i++) { /* heartbeat, refusal, and 2/3 itself */
		cluster_deliver(c);
		cluster_disk_all(c, 3);
		cluster_disk_all(c, 1);
		cluster_deliver(c);
		cluster_disk_all(c, 1);
	}
	cluster_give(c, cluster_take(c, RAFT_MSG_APP_RESP, 1));
	cluster_step(c, 1,
	    (struct raft_message){
		.type = RAFT_MSG_APP_RESP, .from = 2, .term = 3, .index = 3});
	cluster_say_log(c, 1);
	cluster_say_log(c, 2);
	cluster_say_log(c, 3);
	assert_int_equal(cluster_status(c, 1).hard.commit, 2);
	cluster_expect(c, "1>2 Heartbeat t3\n"
			  "1>3 Heartbeat t3\n"
			  "1>4 Heartbeat t3\n"
			  "1>5 Heartbeat t3\n"
			  "n3 refuses to append after 3, hint 2\n"
			  "3>1 AppResp t3 2/3 reject hint 2\n"
			  "3>1 HeartbeatResp t3\n"
			  "1>3 App t3 2/2 c2 [2/3 \"x\"]\n"
			  "1>3 App t3 2/2 c2 [2/3 \"x\"]\n"
			  "3>1 AppResp t3 0/3\n"
			  "n1 holds (1/1) 2/2 - 2/3 \"x\" 3/4 -\n"
			  "n2 holds (1/1) 2/2 - 2/3 \"x\"\n"
			  "n3 holds (1/1) 2/2 - 2/3 \"x\"\n");
	cluster_free(c);
}

/* What follows the entries of an APP in a follower's log may be another's: the
 * APP vouches for nothing behind it, whatever is committed elsewhere. */
static void an_append_commits_only_what_it_vouches_for(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	cluster_isolate(c, 1);
	cluster_propose(c, 1, "mine");
	cluster_settle(c);
	cluster_hush(c);
	cluster_step(c, 1,
	    (struct raft_message){.type = RAFT_MSG_APP,
		.from = 2,
		.term = 3,
		.log_term = 1,
		.index = 1,
		.commit = 3});
	cluster_step(c, 1,
	    (struct raft_message){.type = RAFT_MSG_APP,
		.from = 2,
		.term = 3,
		.log_term = 2,
		.index = 2,
		.commit = 3});
	assert_int_equal(cluster_status(c, 1).hard.commit, 2);
	assert_int_equal(cluster_status(c, 1).last_index, 3);
	cluster_free(c);
}

/* A refusal that comes late, of something accepted since. */
static void a_late_refusal_changes_nothing(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_hush(c);
	c->tell |= TELL_SENT;
	cluster_step(c, 1,
	    (struct raft_message){.type = RAFT_MSG_APP_RESP,
		.from = 2,
		.term = 2,
		.index = 3,
		.reject = true,
		.reject_hint = 1,
		.log_term = 1});
	raft_report_unreachable(node(c, 1), 3); /* 3 is probed after 3 */
	cluster_step(c, 1,
	    (struct raft_message){.type = RAFT_MSG_APP_RESP,
		.from = 3,
		.term = 2,
		.index = 2,
		.reject = true,
		.reject_hint = 1,
		.log_term = 1});
	cluster_settle(c);
	cluster_say_progress(c, 1);
	cluster_expect(c, "n1 replicate match 3 next 4\n"
			  "n2 replicate match 3 next 4\n"
			  "n3 probe match 3 next 4\n");
	cluster_free(c);
}

/* Node 3 is probed after 3, which it acknowledged once and now refuses. */
static void a_refusal_does_not_undo_an_acknowledgement(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	raft_report_unreachable(node(c, 1), 3);
	cluster_hush(c);
	c->tell |= TELL_SENT;
	cluster_step(c, 1,
	    (struct raft_message){.type = RAFT_MSG_APP_RESP,
		.from = 3,
		.term = 2,
		.index = 3,
		.reject = true,
		.reject_hint = 1,
		.log_term = 1});
	cluster_ready(c, 1);
	cluster_say_progress(c, 1);
	cluster_expect(c, "1>3 App t2 2/3 c3\n"
			  "n1 replicate match 3 next 4\n"
			  "n2 replicate match 3 next 4\n"
			  "n3 probe match 3 next 4\n");
	cluster_free(c);
}

/* ---- Flow ---- */

static void two_messages_in_flight(struct raft_config *c)
{
	plain(c);
	c->max_inflight_msgs = 2;
}

static void forty_bytes_in_flight(struct raft_config *c)
{
	plain(c);
	c->max_size_per_msg = 40;
	c->max_inflight_bytes = 40;
}

static void five_proposals(struct cluster *c)
{
	static const char *const texts[] = {"aaaaaaaaaaaaaaaaaaaaaaaa",
	    "bbbbbbbbbbbbbbbbbbbbbbbb", "c", "d", "e"};

	cluster_elect(c, 1);
	c->tell = TELL_SENT;
	cluster_isolate(c, 3);
	for (size_t i = 0; i < 5; i++) {
		cluster_propose(c, 1, texts[i]);
		cluster_disk_all(c, 1);
	}
}

static void the_window_bounds_messages_in_flight(void **state)
{
	struct cluster *c = cluster_new(3, two_messages_in_flight);

	(void)state;
	five_proposals(c);
	cluster_say_progress(c, 1);
	cluster_expect(c,
	    "1>2 App t2 2/2 c2 [2/3 \"aaaaaaaaaaaaaaaaaaaaaaaa\"]\n"
	    "1>3 App t2 2/2 c2 [2/3 \"aaaaaaaaaaaaaaaaaaaaaaaa\"]\n"
	    "1>2 App t2 2/3 c2 [2/4 \"bbbbbbbbbbbbbbbbbbbbbbbb\"]\n"
	    "1>3 App t2 2/3 c2 [2/4 \"bbbbbbbbbbbbbbbbbbbbbbbb\"]\n"
	    "n1 replicate match 7 next 8\n"
	    "n2 replicate match 2 next 5 paused\n"
	    "n3 replicate match 2 next 5 paused\n");
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 2).last_index, 7);
	cluster_free(c);
}

static void the_window_bounds_bytes_in_flight(void **state)
{
	struct cluster *c = cluster_new(3, forty_bytes_in_flight);

	(void)state;
	five_proposals(c);
	cluster_say_progress(c, 1);
	cluster_expect(c,
	    "1>2 App t2 2/2 c2 [2/3 \"aaaaaaaaaaaaaaaaaaaaaaaa\"]\n"
	    "1>3 App t2 2/2 c2 [2/3 \"aaaaaaaaaaaaaaaaaaaaaaaa\"]\n"
	    "1>2 App t2 2/3 c2 [2/4 \"bbbbbbbbbbbbbbbbbbbbbbbb\"]\n"
	    "1>3 App t2 2/3 c2 [2/4 \"bbbbbbbbbbbbbbbbbbbbbbbb\"]\n"
	    "n1 replicate match 7 next 8\n"
	    "n2 replicate match 2 next 5 paused\n"
	    "n3 replicate match 2 next 5 paused\n");
	cluster_settle(c);
	assert_int_equal(cluster_status(c, 2).last_index, 7);
	cluster_free(c);
}

static void what_was_lost_is_sent_again(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	cluster_isolate(c, 3);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_heal(c);
	cluster_hush(c);
	raft_report_unreachable(node(c, 1), 3);
	cluster_say_progress(c, 1);
	c->tell |= TELL_SENT;
	cluster_tick(c, 1, 1);
	cluster_settle(c);
	cluster_say_progress(c, 1);
	cluster_expect(c, "n1 replicate match 3 next 4\n"
			  "n2 replicate match 3 next 4\n"
			  "n3 probe match 2 next 3\n"
			  "1>2 Heartbeat t2 c3\n"
			  "1>3 Heartbeat t2 c2\n"
			  "2>1 HeartbeatResp t2\n"
			  "3>1 HeartbeatResp t2\n"
			  "1>3 App t2 2/2 c3 [2/3 \"x\"]\n"
			  "3>1 AppResp t2 0/3\n"
			  "n3 applies 2/3 \"x\"\n"
			  "n1 replicate match 3 next 4\n"
			  "n2 replicate match 3 next 4\n"
			  "n3 replicate match 3 next 4\n");
	cluster_free(c);
}

/* A heartbeat to one that is behind says less than the append before it, and
 * that may be lost: the next acknowledgement is met with the commit index. */
static void a_commit_index_that_was_held_back_is_sent_again(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	c->peer[3].slow_disk = true;
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_hush(c);
	c->tell = TELL_SENT;
	cluster_tick(c, 1, 1);
	cluster_drop(c);
	cluster_disk(c, 3);
	cluster_deliver(c);
	cluster_ready(c, 1);
	cluster_expect(c, "1>2 Heartbeat t2 c3\n"
			  "1>3 Heartbeat t2 c2\n"
			  "3>1 AppResp t2 0/3\n"
			  "1>3 App t2 2/3 c3\n");
	cluster_free(c);
}

static void duplicates_and_old_messages_change_nothing(void **state)
{
	struct cluster *c = cluster_new(3, plain);
	struct raft_message *app, *copy, *ack;

	(void)state;
	cluster_elect(c, 1);
	cluster_propose(c, 1, "x");
	cluster_ready(c, 1);
	app = cluster_take(c, RAFT_MSG_APP, 2);
	copy = raft_message_copy(app);
	cluster_give(c, app);
	cluster_disk_all(c, 2);
	ack = raft_message_copy(c->net[c->net_n - 1]);
	cluster_propose(c, 1, "y");
	cluster_settle(c);
	cluster_hush(c);
	cluster_give(c, copy);
	cluster_give(c, ack);
	cluster_settle(c);
	cluster_say_log(c, 2);
	cluster_say_progress(c, 1);
	cluster_expect(c, "n2 holds (1/1) 2/2 - 2/3 \"x\" 2/4 \"y\"\n"
			  "n1 replicate match 4 next 5\n"
			  "n2 replicate match 4 next 5\n"
			  "n3 replicate match 4 next 5\n");
	cluster_free(c);
}

/* ---- The quota ---- */

static void eight_bytes_uncommitted(struct raft_config *c)
{
	plain(c);
	c->max_uncommitted_size = 8;
	c->max_committed_size_per_ready = 1;
}

static void proposals_past_the_quota_are_dropped(void **state)
{
	struct cluster *c = cluster_new(1, eight_bytes_uncommitted);

	(void)state;
	cluster_elect(c, 1);
	c->peer[1].slow_apply = true;
	assert_int_equal(cluster_propose(c, 1, "aaaa"), RAFT_OK);
	assert_int_equal(cluster_propose(c, 1, "bbbb"), RAFT_OK);
	assert_int_equal(cluster_propose(c, 1, "c"), RAFT_EDROPPED);
	assert_int_equal(cluster_propose(c, 1, ""), RAFT_OK);
	cluster_settle(c);
	assert_int_equal(cluster_propose(c, 1, "c"), RAFT_EDROPPED);
	cluster_disk(c, 1); /* one is applied, and frees what it took */
	cluster_expect(c, "n1 commits 3\n"
			  "n1 commits 4\n"
			  "n1 commits 5\n"
			  "n1 applies 2/3 \"aaaa\"\n");
	assert_int_equal(cluster_propose(c, 1, "ccccc"), RAFT_EDROPPED);
	assert_int_equal(cluster_propose(c, 1, "cccc"), RAFT_OK);
	assert_int_equal(cluster_propose(c, 1, "d"), RAFT_EDROPPED);
	cluster_free(c);
}

static void one_proposal_may_be_larger_than_the_quota(void **state)
{
	struct cluster *c = cluster_new(1, eight_bytes_uncommitted);

	(void)state;
	cluster_elect(c, 1);
	assert_int_equal(cluster_propose(c, 1, "aaaaaaaaaaaa"), RAFT_OK);
	assert_int_equal(cluster_propose(c, 1, "b"), RAFT_EDROPPED);
	assert_int_equal(cluster_propose(c, 1, ""), RAFT_OK);
	cluster_free(c);
}

/* What is on its way to the state machine is bounded too: the next part comes
 * when the last is done. */
static void what_is_being_applied_is_bounded(void **state)
{
	struct cluster *c = cluster_new(1, eight_bytes_uncommitted);

	(void)state;
	cluster_elect(c, 1);
	c->peer[1].slow_apply = true;
	cluster_propose(c, 1, "a");
	cluster_propose(c, 1, "b");
	cluster_settle(c);
	assert_int_equal(c->peer[1].op_n, 1);
	assert_int_equal(c->peer[1].op[0]->entries_n, 1);
	cluster_hush(c);
	cluster_disk_all(c, 1);
	cluster_expect(c, "n1 applies 2/3 \"a\"\n"
			  "n1 applies 2/4 \"b\"\n");
	cluster_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_proposed_is_applied_everywhere),
	    cmocka_unit_test(sync_storage_replicates_alike),
	    cmocka_unit_test(a_follower_forwards_what_it_is_given),
	    cmocka_unit_test(a_tail_nobody_else_has_is_replaced),
	    cmocka_unit_test(refusals_skip_whole_terms),
	    cmocka_unit_test(a_contradicted_commit_stops_the_node),
	    cmocka_unit_test(entries_of_earlier_terms_are_not_counted),
	    cmocka_unit_test(an_append_commits_only_what_it_vouches_for),
	    cmocka_unit_test(a_late_refusal_changes_nothing),
	    cmocka_unit_test(the_window_bounds_messages_in_flight),
	    cmocka_unit_test(the_window_bounds_bytes_in_flight),
	    cmocka_unit_test(what_was_lost_is_sent_again),
	    cmocka_unit_test(a_commit_index_that_was_held_back_is_sent_again),
	    cmocka_unit_test(duplicates_and_old_messages_change_nothing),
	    cmocka_unit_test(proposals_past_the_quota_are_dropped),
	    cmocka_unit_test(one_proposal_may_be_larger_than_the_quota),
	    cmocka_unit_test(a_refusal_does_not_undo_an_acknowledgement),
	    cmocka_unit_test(what_is_being_applied_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
