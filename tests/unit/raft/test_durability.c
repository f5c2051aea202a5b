/* test_durability.c -- what the disk must hold before anybody is told. */
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

/* ---- What leaves before the disk, and what after [3.8, 10.2.1] ---- */

/* Only APPs may leave before the disk. */
static void the_leader_writes_while_its_followers_do(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	c->tell = TELL_SENT | TELL_DISK | TELL_EVENTS;
	c->peer[1].slow_disk = true;
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_expect(c,
	    "1>2 App t2 2/2 c2 [2/3 \"x\"]\n"
	    "1>3 App t2 2/2 c2 [2/3 \"x\"]\n"
	    "did 2>append StorageAppend [2/3 \"x\"] then {2>1 AppResp t2 0/3; "
	    "append>2 StorageAppendResp t2 2/3}\n"
	    "2>1 AppResp t2 0/3\n"
	    "did 3>append StorageAppend [2/3 \"x\"] then {3>1 AppResp t2 0/3; "
	    "append>3 StorageAppendResp t2 2/3}\n"
	    "3>1 AppResp t2 0/3\n"
	    "n1 commits 3\n"
	    "1>2 App t2 2/3 c3\n"
	    "1>3 App t2 2/3 c3\n"
	    "did 2>append StorageAppend t2 v1 c3 then {2>1 AppResp t2 0/3}\n"
	    "2>1 AppResp t2 0/3\n"
	    "did 2>apply StorageApply [2/3 \"x\"] then {apply>2 "
	    "StorageApplyResp 0/3}\n"
	    "did 3>append StorageAppend t2 v1 c3 then {3>1 AppResp t2 0/3}\n"
	    "3>1 AppResp t2 0/3\n"
	    "did 3>apply StorageApply [2/3 \"x\"] then {apply>3 "
	    "StorageApplyResp 0/3}\n");
	cluster_disk_all(c, 1);
	cluster_expect(c, "did 1>append StorageAppend [2/3 \"x\"] then {1>1 "
			  "AppResp t2 0/3; append>1 StorageAppendResp t2 2/3}\n"
			  "did 1>append StorageAppend t2 v1 c3 then {append>1 "
			  "StorageAppendResp t2 2/3}\n"
			  "did 1>apply StorageApply [2/3 \"x\"] then {apply>1 "
			  "StorageApplyResp 0/3}\n");
	cluster_free(c);
}

static void the_leaders_own_copy_counts_when_it_is_durable(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	c->peer[1].slow_disk = true;
	cluster_isolate(c, 3);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_expect(c, ""); /* on one disk of three */
	cluster_disk_all(c, 1);
	cluster_settle(c);
	cluster_expect(c, "n1 commits 3\n"
			  "n1 applies 2/3 \"x\"\n"
			  "n2 applies 2/3 \"x\"\n");
	cluster_free(c);
}

static void a_follower_acknowledges_what_its_disk_holds(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	c->tell = TELL_SENT | TELL_DISK;
	c->peer[2].slow_disk = true;
	cluster_isolate(c, 3);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_expect(c,
	    "1>2 App t2 2/2 c2 [2/3 \"x\"]\n"
	    "1>3 App t2 2/2 c2 [2/3 \"x\"]\n"
	    "did 1>append StorageAppend [2/3 \"x\"] then {1>1 AppResp t2 0/3; "
	    "append>1 StorageAppendResp t2 2/3}\n");
	cluster_crash(c, 2); /* and then the entry was never there */
	cluster_start(c, 2);
	c->peer[2].slow_disk = false;
	cluster_tick(c, 1, 1);
	cluster_settle(c);
	cluster_expect(c,
	    "1>2 Heartbeat t2 c2\n"
	    "1>3 Heartbeat t2 c2\n"
	    "2>1 HeartbeatResp t2\n"
	    "1>2 App t2 2/3 c2\n"
	    "did 2>append StorageAppend then {2>1 AppResp t2 2/3 reject hint "
	    "2}\n"
	    "2>1 AppResp t2 2/3 reject hint 2\n"
	    "1>2 App t2 2/2 c2 [2/3 \"x\"]\n"
	    "did 2>append StorageAppend [2/3 \"x\"] then {2>1 AppResp t2 0/3; "
	    "append>2 StorageAppendResp t2 2/3}\n"
	    "2>1 AppResp t2 0/3\n"
	    "1>2 App t2 2/3 c3\n"
	    "1>3 App t2 2/3 c3\n"
	    "did 1>append StorageAppend t2 v1 c3\n"
	    "did 1>apply StorageApply [2/3 \"x\"] then {apply>1 "
	    "StorageApplyResp 0/3}\n"
	    "did 2>append StorageAppend t2 v1 c3 then {2>1 AppResp t2 0/3}\n"
	    "2>1 AppResp t2 0/3\n"
	    "did 2>apply StorageApply [2/3 \"x\"] then {apply>2 "
	    "StorageApplyResp 0/3}\n");
	cluster_free(c);
}

/* The write fails, and so does the process: nobody has counted on it.  The
 * index is used again, but never in the same term. */
static void a_write_that_failed_is_no_entry(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	c->peer[1].slow_disk = true;
	cluster_propose(c, 1, "lost");
	cluster_ready(c, 1);
	cluster_drop(c);
	cluster_crash(c, 1);
	cluster_start(c, 1);
	c->peer[1].slow_disk = false;
	cluster_hush(c);
	raft_campaign(node(c, 1));
	cluster_settle(c);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_say_log(c, 1);
	cluster_expect(c, "n1 candidate in term 3\n"
			  "n1 campaigns with 2/2\n"
			  "n1 hears yes from n1\n"
			  "n2 follower in term 3\n"
			  "n2 grants n1 its Vote\n"
			  "n3 follower in term 3\n"
			  "n3 grants n1 its Vote\n"
			  "n1 hears yes from n2\n"
			  "n1 leader in term 3, leader 1\n"
			  "n1 commits 3\n"
			  "n1 applies 3/3 -\n"
			  "n2 applies 3/3 -\n"
			  "n3 applies 3/3 -\n"
			  "n1 commits 4\n"
			  "n1 applies 3/4 \"x\"\n"
			  "n2 applies 3/4 \"x\"\n"
			  "n3 applies 3/4 \"x\"\n"
			  "n1 holds (1/1) 2/2 - 3/3 - 3/4 \"x\"\n");
	cluster_free(c);
}

/* The leader's disk loses what its followers' hold: they made it a commit,
 * and its successor keeps it. */
static void what_followers_hold_survives_the_leaders_disk(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	c->peer[1].slow_disk = true;
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_crash(c, 1);
	cluster_start(c, 1);
	c->peer[1].slow_disk = false;
	cluster_say_log(c, 1);
	cluster_expect(c, "n1 commits 3\n"
			  "n2 applies 2/3 \"x\"\n"
			  "n3 applies 2/3 \"x\"\n"
			  "n1 holds (1/1) 2/2 -\n");
	raft_campaign(node(c, 1)); /* its log is behind now */
	cluster_settle(c);
	raft_campaign(node(c, 2));
	cluster_settle(c);
	cluster_say_log(c, 1);
	cluster_expect(c, "n1 candidate in term 3\n"
			  "n1 campaigns with 2/2\n"
			  "n1 hears yes from n1\n"
			  "n2 follower in term 3\n"
			  "n2 denies n1 its Vote\n"
			  "n3 follower in term 3\n"
			  "n3 denies n1 its Vote\n"
			  "n1 hears no from n2\n"
			  "n1 hears no from n3\n"
			  "n1 follower in term 3\n"
			  "n2 candidate in term 4\n"
			  "n2 campaigns with 2/3\n"
			  "n2 hears yes from n2\n"
			  "n1 follower in term 4\n"
			  "n1 grants n2 its Vote\n"
			  "n3 follower in term 4\n"
			  "n3 grants n2 its Vote\n"
			  "n2 hears yes from n1\n"
			  "n2 leader in term 4, leader 2\n"
			  "n1 refuses to append after 3, hint 2\n"
			  "n2 commits 4\n"
			  "n2 applies 4/4 -\n"
			  "n1 applies 2/3 \"x\"\n"
			  "n3 applies 4/4 -\n"
			  "n1 applies 4/4 -\n"
			  "n1 holds (1/1) 2/2 - 2/3 \"x\" 4/4 -\n");
	cluster_free(c);
}

/* Async storage applies only what the local disk holds too: otherwise the
 * state machine could be ahead of the log after a crash. */
static void nothing_is_applied_before_the_disk_holds_it(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	c->peer[1].slow_disk = true;
	cluster_propose(c, 1, "x");
	cluster_settle(c); /* committed by the other two */
	for (size_t i = 0; i < c->peer[1].op_n; i++)
		cluster_say(c, "n1 has yet to %s",
		    raft_message_name(c->peer[1].op[i]->type));
	cluster_expect(c, "n1 commits 3\n"
			  "n2 applies 2/3 \"x\"\n"
			  "n3 applies 2/3 \"x\"\n"
			  "n1 has yet to StorageAppend\n"
			  "n1 has yet to StorageAppend\n");
	cluster_disk_all(c, 1);
	cluster_expect(c, "n1 applies 2/3 \"x\"\n");
	cluster_free(c);
}

/* ---- Late acknowledgements of the disk (etcd #1690) ---- */

/* Node 3 has 2/3 on its way to the disk when a leader of term 3, elected
 * without it, replaces that entry. */
static struct cluster *replaced_on_its_way(bool heartbeat_first)
{
	struct cluster *c = cluster_new(5, plain);

	cluster_elect(c, 1);
	c->peer[3].slow_disk = true;
	for (raft_id id = 2; id <= 5; id++)
		if (id != 3)
			cluster_cut(c, 1, id);
	cluster_propose(c, 1, "old");
	cluster_settle(c);
	cluster_isolate(c, 1);
	c->cut[2][3] = true;
	raft_campaign(node(c, 2));
	cluster_settle(c);
	c->cut[2][3] = false;
	cluster_hush(c);
	c->tell |= TELL_DISK | TELL_SENT;
	if (heartbeat_first) {
		cluster_tick(c, 2, 1);
		cluster_give(c, cluster_take(c, RAFT_MSG_HEARTBEAT, 3));
		cluster_ready(c, 3);
		cluster_drop(c);
		cluster_hush(c);
	}
	return c;
}

static struct raft_message replacement(struct raft_entry *e)
{
	*e = (struct raft_entry){.term = 3, .index = 3};
	return (struct raft_message){.type = RAFT_MSG_APP,
	    .from = 2,
	    .term = 3,
	    .log_term = 2,
	    .index = 2,
	    .commit = 3,
	    .entries = e,
	    .entries_n = 1};
}

static void an_ack_of_an_earlier_term_proves_nothing(void **state)
{
	struct cluster *c = replaced_on_its_way(false);
	struct raft_entry e;

	(void)state;
	cluster_step(c, 3, replacement(&e));
	cluster_ready(c, 3);
	cluster_expect(c, "n3 follower in term 3, leader 2\n");
	cluster_disk(c, 3);
	cluster_ready(c, 3);
	cluster_expect(c, "did 3>append StorageAppend [2/3 \"old\"] then {3>1 "
			  "AppResp t2 0/3; append>3 StorageAppendResp t2 2/3}\n"
			  "3>1 AppResp t2 0/3\n");
	cluster_disk_all(c, 3);
	cluster_say_log(c, 3);
	cluster_expect(c, "did 3>append StorageAppend t3 c3 [3/3 -] then {3>2 "
			  "AppResp t3 0/3; append>3 StorageAppendResp t3 3/3}\n"
			  "3>2 AppResp t3 0/3\n"
			  "did 3>apply StorageApply [3/3 -] then {apply>3 "
			  "StorageApplyResp 0/3}\n"
			  "n3 applies 3/3 -\n"
			  "n3 holds (1/1) 2/2 - 3/3 -\n");
	cluster_free(c);
}

/* Here the ack is of this term, but for an entry of another: believed, the
 * replacement would never be written. */
static void an_ack_names_the_term_of_its_entry(void **state)
{
	struct cluster *c = replaced_on_its_way(true);
	struct raft_entry e;

	(void)state;
	cluster_step(c, 3, replacement(&e));
	cluster_disk(c, 3);
	cluster_disk(c, 3);
	cluster_expect(c, "did 3>append StorageAppend [2/3 \"old\"] then {3>1 "
			  "AppResp t2 0/3; append>3 StorageAppendResp t2 2/3}\n"
			  "3>1 AppResp t2 0/3\n"
			  "did 3>append StorageAppend t3 c2 then {append>3 "
			  "StorageAppendResp t3 2/3}\n");
	cluster_disk_all(c, 3);
	cluster_say_log(c, 3);
	cluster_expect(c, "did 3>append StorageAppend t3 c3 [3/3 -] then {3>2 "
			  "AppResp t3 0/3; append>3 StorageAppendResp t3 3/3}\n"
			  "3>2 AppResp t3 0/3\n"
			  "did 3>apply StorageApply [3/3 -] then {apply>3 "
			  "StorageApplyResp 0/3}\n"
			  "n3 applies 3/3 -\n"
			  "n3 holds (1/1) 2/2 - 3/3 -\n");
	cluster_free(c);
}

/* 2/4 is on its way to the disk when 3/4 takes its place: that one is handed
 * out as well, and 2/3 not again. */
static void what_replaces_an_entry_on_its_way_is_written(void **state)
{
	struct cluster *c = cluster_new(3, plain);
	struct raft_entry old[] = {{.term = 2, .index = 3},
	    {.term = 2, .index = 4}},
			  new = {.term = 3, .index = 4};
	struct raft_message m = {.type = RAFT_MSG_APP,
	    .from = 1,
	    .term = 2,
	    .log_term = 2,
	    .index = 2,
	    .entries = old,
	    .entries_n = 2};

	(void)state;
	cluster_elect(c, 1);
	c->tell = TELL_DISK;
	cluster_step(c, 3, m);
	cluster_ready(c, 3);
	m.from = 2;
	m.term = 3;
	m.index = 3;
	m.entries = &new;
	m.entries_n = 1;
	cluster_step(c, 3, m);
	cluster_disk_all(c, 3);
	cluster_say_log(c, 3);
	cluster_expect(c,
	    "did 3>append StorageAppend [2/3 -, 2/4 -] then {3>1 AppResp t2 "
	    "0/4; append>3 StorageAppendResp t2 2/4}\n"
	    "did 3>append StorageAppend t3 c2 [3/4 -] then {3>2 AppResp t3 "
	    "0/4; append>3 StorageAppendResp t3 3/4}\n"
	    "n3 holds (1/1) 2/2 - 2/3 - 3/4 -\n");
	cluster_free(c);
}

/* ---- Restart ---- */

static void a_restart_continues_where_it_was(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	for (raft_id id = 1; id <= 3; id++) {
		cluster_crash(c, id);
		cluster_start(c, id);
	}
	cluster_hush(c);
	cluster_elect(c, 2);
	cluster_propose(c, 2, "y");
	cluster_settle(c);
	cluster_say_log(c, 1);
	cluster_expect(c, "n2 commits 5\n"
			  "n2 applies 3/5 \"y\"\n"
			  "n1 applies 3/5 \"y\"\n"
			  "n3 applies 3/5 \"y\"\n"
			  "n1 holds (1/1) 2/2 - 2/3 \"x\" 3/4 - 3/5 \"y\"\n");
	cluster_free(c);
}

/* The commit index need not be synced, and may be behind what was applied. */
static void a_lost_commit_index_is_no_loss(void **state)
{
	static const struct {
		const char *why;
		raft_index commit, applied;
		int rc;
	} rows[] = {
	    {"as it was", 3, 3, RAFT_OK},
	    {"behind applied", 2, 3, RAFT_OK},
	    {"behind the first entry", 1, 3, RAFT_OK},
	    {"nothing applied yet", 3, 2, RAFT_OK},
	    {"past the log", 4, 3, RAFT_EINVAL},
	    {"applied past the log", 3, 4, RAFT_EINVAL},
	    {"applied behind the log", 3, 1, RAFT_EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cluster *c = cluster_new(1, plain);
		struct peer *p = &c->peer[1];

		cluster_elect(c, 1);
		cluster_propose(c, 1, "x");
		cluster_settle(c);
		cluster_compact(c, 1, 2);
		cluster_crash(c, 1);
		p->hard.commit = rows[i].commit;
		p->config.applied = rows[i].applied;
		assert_int_equal(raft_init(&p->raft, &p->config), rows[i].rc);
		if (rows[i].rc == RAFT_OK)
			assert_int_equal(cluster_status(c, 1).hard.commit, 3);
		cluster_free(c);
	}
}

/* The state machine says how far it got: what follows is applied, once. */
static void a_restart_applies_from_where_the_machine_was(void **state)
{
	struct cluster *c = cluster_new(1, plain);

	(void)state;
	cluster_elect(c, 1);
	cluster_propose(c, 1, "x");
	cluster_propose(c, 1, "y");
	cluster_settle(c);
	cluster_crash(c, 1);
	c->peer[1].applied = 3;
	cluster_start(c, 1);
	cluster_hush(c);
	cluster_settle(c);
	cluster_expect(c, "n1 applies 2/4 \"y\"\n");
	cluster_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_leader_writes_while_its_followers_do),
	    cmocka_unit_test(the_leaders_own_copy_counts_when_it_is_durable),
	    cmocka_unit_test(a_follower_acknowledges_what_its_disk_holds),
	    cmocka_unit_test(a_write_that_failed_is_no_entry),
	    cmocka_unit_test(what_followers_hold_survives_the_leaders_disk),
	    cmocka_unit_test(nothing_is_applied_before_the_disk_holds_it),
	    cmocka_unit_test(an_ack_of_an_earlier_term_proves_nothing),
	    cmocka_unit_test(an_ack_names_the_term_of_its_entry),
	    cmocka_unit_test(a_restart_continues_where_it_was),
	    cmocka_unit_test(a_lost_commit_index_is_no_loss),
	    cmocka_unit_test(a_restart_applies_from_where_the_machine_was),
	    cmocka_unit_test(what_replaces_an_entry_on_its_way_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
