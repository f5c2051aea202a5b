/* test_joint.c -- what a change makes of a configuration, and the joint of two
 * configurations, which decides by both [4.3]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cluster.h"
#include "describe.h"

static void plain(struct raft_config *c)
{
	c->pre_vote = c->check_quorum = false;
}

static void unchecked(struct raft_config *c)
{
	plain(c);
	c->disable_conf_change_validation = true;
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

/* ---- What a change makes of a configuration ---- */

static void apply_directly(
    struct cluster *c, enum raft_transition how, const char *what, char *out)
{
	struct raft_conf_change cc = {.transition = how};
	struct raft_conf_state cs;

	for (const char *s = what; *s != '\0'; s++) {
		if (*s == ' ')
			continue;
		cc.changes[cc.n].type = *s == 'v'   ? RAFT_ADD_VOTER
					: *s == 'l' ? RAFT_ADD_LEARNER
						    : RAFT_REMOVE;
		cc.changes[cc.n++].id = (raft_id)(*++s - '0');
	}
	if (raft_apply_conf_change(node(c, 1), &cc, &cs) == RAFT_EINVAL)
		strcpy(out, "invalid");
	else
		describe_conf(&cs, out, 200);
}

/* What cannot be is found when it is applied, and alike on every node, since
 * all of them apply it to the same configuration. */
static void each_change_has_one_outcome(void **state)
{
	enum { AUTO = RAFT_AUTO, IMPL = RAFT_JOINT_IMPLICIT, EXPL };
	static const struct {
		const char *why;
		int how[2];
		const char *what[2];
		const char *after;
	} rows[] = {
	    {"a voter joins", {AUTO}, {"v4"}, "voters(1 2 3 4)"},
	    {"a voter is one", {AUTO}, {"v3"}, "voters(1 2 3)"},
	    {"a voter leaves", {AUTO}, {"r3"}, "voters(1 2)"},
	    {"a stranger leaves", {AUTO}, {"r9"}, "voters(1 2 3)"},
	    {"a learner joins", {AUTO}, {"l4"}, "voters(1 2 3) learners(4)"},
	    {"and becomes a voter", {AUTO, AUTO}, {"l4", "v4"},
		"voters(1 2 3 4)"},
	    {"and leaves", {AUTO, AUTO}, {"l4", "r4"}, "voters(1 2 3)"},
	    {"a voter becomes a learner", {AUTO}, {"l3"},
		"voters(1 2) learners(3)"},
	    {"two changes go through a joint", {AUTO}, {"v4 r3"},
		"voters(1 2 4) outgoing(1 2 3) auto"},
	    {"one change too, if asked to", {IMPL}, {"v4"},
		"voters(1 2 3 4) outgoing(1 2 3) auto"},
	    {"a joint that waits", {EXPL}, {"v4"},
		"voters(1 2 3 4) outgoing(1 2 3)"},
	    {"and is left", {EXPL, AUTO}, {"v4 r1", ""}, "voters(2 3 4)"},
	    {"an old voter is a learner after the joint", {IMPL}, {"l3 v4"},
		"voters(1 2 4) outgoing(1 2 3) next(3) auto"},
	    {"and then", {IMPL, AUTO}, {"l3 v4", ""},
		"voters(1 2 4) learners(3)"},
	    {"in one change the last word counts", {IMPL, AUTO},
		{"r3 v3 l4 r4", ""}, "voters(1 2 3)"},
	    {"all are replaced", {IMPL, AUTO}, {"r1 r2 r3 v4 v5", ""},
		"voters(4 5)"},
	    {"a joint within a joint", {EXPL, IMPL}, {"v4", "v5"}, "invalid"},
	    {"a simple change within a joint", {EXPL, AUTO}, {"v4", "v5"},
		"invalid"},
	    {"there is no joint to leave", {AUTO}, {""}, "invalid"},
	    {"it was left already", {EXPL, AUTO}, {"", ""}, "voters(1 2 3)"},
	    {"nobody is left", {IMPL}, {"r1 r2 r3"}, "invalid"},
	};
	char text[200];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cluster *c = cluster_new(3, plain);

		for (size_t k = 0; k < 2 && rows[i].what[k] != NULL; k++)
			apply_directly(c, (enum raft_transition)rows[i].how[k],
			    rows[i].what[k], text);
		if (strcmp(text, rows[i].after) != 0)
			fail_msg("%s: %s", rows[i].why, text);
		cluster_free(c);
	}
}

/* An invalid change is an entry like others: it is applied, and changes
 * nothing on any node. */
static void an_impossible_change_leaves_all_as_they_were(void **state)
{
	struct cluster *c = cluster_new(3, unchecked);

	(void)state;
	cluster_elect(c, 1);
	change(c, RAFT_AUTO, "");
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	say_conf_everywhere(c);
	cluster_expect(c, "n1 commits 3\n"
			  "n1 applies 2/3 conf(leave)\n"
			  "n2 applies 2/3 conf(leave)\n"
			  "n3 applies 2/3 conf(leave)\n"
			  "n1 commits 4\n"
			  "n1 applies 2/4 \"x\"\n"
			  "n2 applies 2/4 \"x\"\n"
			  "n3 applies 2/4 \"x\"\n"
			  "n1: voters(1 2 3)\n"
			  "n2: voters(1 2 3)\n"
			  "n3: voters(1 2 3)\n");
	cluster_free(c);
}

static void bytes_that_are_no_change_do_not_decode(void **state)
{
	static const struct {
		const char *why;
		size_t len;
		const char *bytes;
		int rc;
	} rows[] = {
	    {"the one that leaves", 0, "", RAFT_OK},
	    {"cut short", 1, "\0", RAFT_EINVAL},
	    {"one change", 11, "\0\1\0\0\0\0\0\0\0\0\4", RAFT_OK},
	    {"a byte missing", 10, "\0\1\0\0\0\0\0\0\0\4", RAFT_EINVAL},
	    {"a byte too many", 12, "\0\1\0\0\0\0\0\0\0\0\4\0", RAFT_EINVAL},
	    {"an unknown transition", 2, "\3\0", RAFT_EINVAL},
	    {"an unknown type", 11, "\0\1\4\0\0\0\0\0\0\0\4", RAFT_EINVAL},
	    {"more than there can be", 2, "\0\x41", RAFT_EINVAL},
	};
	struct raft_conf_change cc;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (raft_conf_change_decode(
			(struct raft_span){rows[i].bytes, rows[i].len}, &cc) !=
		    rows[i].rc)
			fail_msg("%s", rows[i].why);
}

/* A node that waits to be added has no half that could decide. */
static void nobody_is_no_half_of_a_joint(void **state)
{
	struct cluster *c = cluster_new(1, plain);
	struct raft_conf_change cc = {
	    RAFT_AUTO, 2, {{RAFT_ADD_VOTER, 4}, {RAFT_ADD_VOTER, 5}}};

	(void)state;
	cluster_join(c, 4, plain);
	assert_int_equal(
	    raft_apply_conf_change(node(c, 4), &cc, NULL), RAFT_EINVAL);
	cluster_free(c);
}

/* ---- Joint consensus [4.3] ---- */

static void a_joint_is_entered_and_left_by_the_leader(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_join(c, 4, plain);
	cluster_join(c, 5, plain);
	cluster_elect(c, 1);
	change(c, RAFT_JOINT_IMPLICIT, "v4 v5 r2 r3");
	for (int i = 0; i < 3; i++) {
		cluster_tick(c, 1, 1);
		cluster_settle(c);
	}
	cluster_say_log(c, 1);
	say_conf_everywhere(c);
	cluster_expect(c,
	    "n1 commits 3\n"
	    "n1 applies 2/3 conf(joint v4 v5 r2 r3)\n"
	    "n1 has 3 voters, 0 learners\n"
	    "n2 applies 2/3 conf(joint v4 v5 r2 r3)\n"
	    "n2 has 3 voters, 0 learners\n"
	    "n3 applies 2/3 conf(joint v4 v5 r2 r3)\n"
	    "n3 has 3 voters, 0 learners\n"
	    "n4 follower in term 2, leader 1\n"
	    "n4 refuses to append after 2, hint 0\n"
	    "n5 follower in term 2, leader 1\n"
	    "n5 refuses to append after 2, hint 0\n"
	    "n1 sends snapshot 3 to n4\n"
	    "n1 sends snapshot 3 to n5\n"
	    "n4 has 3 voters, 0 learners\n"
	    "n4 restores 2/3\n"
	    "n5 has 3 voters, 0 learners\n"
	    "n5 restores 2/3\n"
	    "n1 commits 4\n"
	    "n1 applies 2/4 conf(leave)\n"
	    "n1 has 3 voters, 0 learners\n"
	    "n2 applies 2/4 conf(leave)\n"
	    "n2 has 3 voters, 0 learners\n"
	    "n3 applies 2/4 conf(leave)\n"
	    "n3 has 3 voters, 0 learners\n"
	    "n4 applies 2/4 conf(leave)\n"
	    "n4 has 3 voters, 0 learners\n"
	    "n5 applies 2/4 conf(leave)\n"
	    "n5 has 3 voters, 0 learners\n"
	    "n1 holds (1/1) 2/2 - 2/3 conf(joint v4 v5 r2 r3) 2/4 conf(leave)\n"
	    "n1: voters(1 4 5)\n"
	    "n2: voters(1 4 5)\n"
	    "n3: voters(1 4 5)\n"
	    "n4: voters(1 4 5)\n"
	    "n5: voters(1 4 5)\n");
	cluster_free(c);
}

static void an_explicit_joint_lasts_until_it_is_left(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	change(c, RAFT_JOINT_EXPLICIT, "v4 r3");
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_hush(c);
	change(c, RAFT_AUTO, "v5");           /* one after the other */
	change(c, RAFT_JOINT_IMPLICIT, "v5"); /* the same */
	cluster_say_conf(c, 1);
	change(c, RAFT_AUTO, "");
	change(c, RAFT_AUTO, ""); /* there is no joint any more */
	cluster_say_conf(c, 1);
	cluster_expect(c, "n1 refuses a change\n"
			  "n1 commits 5\n"
			  "n1 applies 2/5 -\n"
			  "n2 applies 2/5 -\n"
			  "n3 applies 2/5 -\n"
			  "n1 refuses a change\n"
			  "n1 commits 6\n"
			  "n1 applies 2/6 -\n"
			  "n2 applies 2/6 -\n"
			  "n3 applies 2/6 -\n"
			  "n1: voters(1 2 4) outgoing(1 2 3)\n"
			  "n1 commits 7\n"
			  "n1 applies 2/7 conf(leave)\n"
			  "n1 has 3 voters, 0 learners\n"
			  "n2 applies 2/7 conf(leave)\n"
			  "n2 has 3 voters, 0 learners\n"
			  "n3 applies 2/7 conf(leave)\n"
			  "n3 has 3 voters, 0 learners\n"
			  "n1 refuses a change\n"
			  "n1 commits 8\n"
			  "n1 applies 2/8 -\n"
			  "n2 applies 2/8 -\n"
			  "n1: voters(1 2 4)\n");
	cluster_free(c);
}

/* Voters 1 2 3 become 1 4 5, and the joint of both waits. */
static struct cluster *in_a_joint(void)
{
	struct cluster *c = cluster_new(3, plain);

	cluster_join(c, 4, plain);
	cluster_join(c, 5, plain);
	cluster_elect(c, 1);
	change(c, RAFT_JOINT_EXPLICIT, "v4 v5 r2 r3");
	for (int i = 0; i < 3; i++) {
		cluster_tick(c, 1, 1);
		cluster_settle(c);
	}
	cluster_hush(c);
	return c;
}

static void a_joint_commits_by_both_majorities(void **state)
{
	static const struct {
		const char *why;
		raft_id away[2];
		const char *story;
	} rows[] = {
	    {"the old half is no majority", {2, 3}, ""},
	    {"the new half is none", {4, 5}, ""},
	    {"each is one", {2, 4}, "n1 commits 4\n"},
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct cluster *c = in_a_joint();

		c->tell = TELL_EVENTS;
		cluster_isolate(c, rows[i].away[0]);
		cluster_isolate(c, rows[i].away[1]);
		cluster_propose(c, 1, "x");
		cluster_settle(c);
		cluster_expect(c, rows[i].story);
		cluster_free(c);
	}
}

static void a_joint_elects_by_both_majorities(void **state)
{
	static const struct {
		const char *why;
		raft_id candidate, away[2];
		const char *story;
	} rows[] = {
	    {"the old half is no majority", 4, {2, 3},
		"n4 candidate in term 3\n"
		"n4 campaigns with 2/3\n"
		"n4 hears yes from n4\n"
		"n1 follower in term 3\n"
		"n1 grants n4 its Vote\n"
		"n5 follower in term 3\n"
		"n5 grants n4 its Vote\n"
		"n4 hears yes from n1\n"
		"n4 hears yes from n5\n"},
	    {"the new half is none", 2, {4, 5},
		"n2 candidate in term 3\n"
		"n2 campaigns with 2/3\n"
		"n2 hears yes from n2\n"
		"n1 follower in term 3\n"
		"n1 grants n2 its Vote\n"
		"n3 follower in term 3\n"
		"n3 grants n2 its Vote\n"
		"n2 hears yes from n1\n"
		"n2 hears yes from n3\n"},
	    {"each is one", 4, {3, 5},
		"n4 candidate in term 3\n"
		"n4 campaigns with 2/3\n"
		"n4 hears yes from n4\n"
		"n1 follower in term 3\n"
		"n1 grants n4 its Vote\n"
		"n2 follower in term 3\n"
		"n2 grants n4 its Vote\n"
		"n4 hears yes from n1\n"
		"n4 hears yes from n2\n"
		"n4 leader in term 3, leader 4\n"
		"n4 commits 4\n"},
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct cluster *c = in_a_joint();

		c->tell = TELL_EVENTS;
		cluster_isolate(c, rows[i].away[0]);
		cluster_isolate(c, rows[i].away[1]);
		raft_campaign(node(c, rows[i].candidate));
		cluster_settle(c);
		cluster_expect(c, rows[i].story);
		cluster_free(c);
	}
}

/* While leadership is handed over nothing is proposed, not even the end of a
 * joint: if the transfer fails, the leader still owes it. */
static void a_joint_is_left_after_a_transfer_that_failed(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	c->peer[1].slow_apply = true;
	change(c, RAFT_JOINT_IMPLICIT, "l3");
	cluster_isolate(c, 2);
	raft_transfer_leader(node(c, 1), 2);
	c->peer[1].slow_apply = false;
	cluster_settle(c);
	cluster_heal(c);
	cluster_hush(c);
	cluster_tick(c, 1, 10);
	cluster_settle(c);
	cluster_say_conf(c, 1);
	cluster_expect(c, "n1 aborts transfer to n2\n"
			  "n1 commits 4\n"
			  "n1 applies 2/4 conf(leave)\n"
			  "n1 has 2 voters, 1 learners\n"
			  "n2 applies 2/4 conf(leave)\n"
			  "n2 has 2 voters, 1 learners\n"
			  "n3 applies 2/4 conf(leave)\n"
			  "n3 has 2 voters, 1 learners\n"
			  "n1: voters(1 2) learners(3)\n");
	cluster_free(c);
}

/* Only a transfer that is given up for it lets the leader leave: the no-op of a
 * new leader, which tells that the joint was entered, is not applied yet. */
static void a_transfer_to_the_leader_itself_leaves_no_joint(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	c->peer[1].slow_apply = true; /* and so it does not leave */
	change(c, RAFT_JOINT_IMPLICIT, "l3");
	cluster_tick(c, 1, 1);
	cluster_settle(c);
	cluster_crash(c, 1);
	cluster_start(c, 1);
	raft_campaign(node(c, 2));
	while (cluster_status(c, 2).state != RAFT_LEADER) {
		for (raft_id id = 1; id <= 3; id++)
			cluster_disk_all(c, id);
		cluster_deliver(c);
	}
	cluster_hush(c);
	raft_transfer_leader(node(c, 2), 2);
	cluster_say_log(c, 2);
	assert_int_equal(cluster_status(c, 2).last_index, 4);
	cluster_free(c);
}

/* A voter of the old half is a learner once the joint is left, and tracked as
 * one; until then it votes. */
static void a_voter_becomes_a_learner_when_the_joint_ends(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	change(c, RAFT_JOINT_EXPLICIT, "l3");
	cluster_hush(c);
	cluster_say_conf(c, 1);
	cluster_say_progress(c, 1);
	cluster_expect(c, "n1: voters(1 2) outgoing(1 2 3) next(3)\n"
			  "n1 replicate match 3 next 4\n"
			  "n2 replicate match 3 next 4\n"
			  "n3 replicate match 3 next 4\n");
	change(c, RAFT_AUTO, "");
	cluster_hush(c);
	cluster_say_conf(c, 1);
	cluster_say_progress(c, 1);
	cluster_expect(c, "n1: voters(1 2) learners(3)\n"
			  "n1 replicate match 4 next 5\n"
			  "n2 replicate match 4 next 5\n"
			  "n3 replicate match 4 next 5 learner\n");
	cluster_free(c);
}

/* The leader falls before it leaves the joint: the next one does. */
static void a_new_leader_leaves_the_joint_of_the_old(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	c->peer[1].slow_apply = true; /* and so it does not leave */
	change(c, RAFT_JOINT_IMPLICIT, "v4");
	cluster_tick(c, 1, 1);
	cluster_settle(c);
	cluster_crash(c, 1);
	cluster_say_conf(c, 2);
	cluster_expect(c, "n1 commits 3\n"
			  "n2 applies 2/3 conf(joint v4)\n"
			  "n2 has 4 voters, 0 learners\n"
			  "n3 applies 2/3 conf(joint v4)\n"
			  "n3 has 4 voters, 0 learners\n"
			  "n2: voters(1 2 3 4) outgoing(1 2 3) auto\n");
	raft_campaign(node(c, 2));
	cluster_settle(c); /* 2 and 3 of four are too few */
	cluster_start(c, 1);
	c->peer[1].slow_apply = false;
	cluster_settle(c);
	cluster_tick(c, 2, 1);
	raft_campaign(node(c, 2));
	cluster_settle(c);
	cluster_say_log(c, 2);
	say_conf_everywhere(c);
	cluster_expect(c,
	    "n2 candidate in term 3\n"
	    "n2 campaigns with 2/3\n"
	    "n2 hears yes from n2\n"
	    "n3 follower in term 3\n"
	    "n3 grants n2 its Vote\n"
	    "n2 hears yes from n3\n"
	    "n1 applies 2/3 conf(joint v4)\n"
	    "n1 has 4 voters, 0 learners\n"
	    "n2 candidate in term 4\n"
	    "n2 campaigns with 2/3\n"
	    "n2 hears yes from n2\n"
	    "n1 follower in term 4\n"
	    "n1 grants n2 its Vote\n"
	    "n3 follower in term 4\n"
	    "n3 grants n2 its Vote\n"
	    "n2 hears yes from n1\n"
	    "n2 hears yes from n3\n"
	    "n2 leader in term 4, leader 2\n"
	    "n2 commits 4\n"
	    "n2 applies 4/4 -\n"
	    "n1 applies 4/4 -\n"
	    "n3 applies 4/4 -\n"
	    "n2 commits 5\n"
	    "n2 applies 4/5 conf(leave)\n"
	    "n2 has 4 voters, 0 learners\n"
	    "n1 applies 4/5 conf(leave)\n"
	    "n1 has 4 voters, 0 learners\n"
	    "n3 applies 4/5 conf(leave)\n"
	    "n3 has 4 voters, 0 learners\n"
	    "n2 holds (1/1) 2/2 - 2/3 conf(joint v4) 4/4 - 4/5 conf(leave)\n"
	    "n1: voters(1 2 3 4)\n"
	    "n2: voters(1 2 3 4)\n"
	    "n3: voters(1 2 3 4)\n");
	cluster_free(c);
}

static void one_entry_at_a_time(struct raft_config *c)
{
	plain(c);
	c->max_committed_size_per_ready = 1;
}

/* Entries are applied between the change and the one that leaves it. */
static void a_joint_is_left_once(void **state)
{
	struct cluster *c = cluster_new(1, one_entry_at_a_time);

	(void)state;
	cluster_elect(c, 1);
	c->peer[1].slow_apply = true;
	cluster_change(c, 1, RAFT_JOINT_IMPLICIT, "l4");
	cluster_propose(c, 1, "a");
	cluster_propose(c, 1, "b");
	cluster_settle(c);
	cluster_hush(c);
	c->peer[1].slow_apply = false;
	cluster_settle(c);
	cluster_say_log(c, 1);
	cluster_expect(c, "n1 applies 2/3 conf(joint l4)\n"
			  "n1 has 1 voters, 1 learners\n"
			  "n1 commits 6\n"
			  "n1 applies 2/4 \"a\"\n"
			  "n1 applies 2/5 \"b\"\n"
			  "n1 applies 2/6 conf(leave)\n"
			  "n1 has 1 voters, 1 learners\n"
			  "n1 holds (1/1) 2/2 - 2/3 conf(joint l4) 2/4 \"a\" "
			  "2/5 \"b\" 2/6 conf(leave)\n");
	cluster_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_change_has_one_outcome),
	    cmocka_unit_test(an_impossible_change_leaves_all_as_they_were),
	    cmocka_unit_test(bytes_that_are_no_change_do_not_decode),
	    cmocka_unit_test(a_joint_is_entered_and_left_by_the_leader),
	    cmocka_unit_test(an_explicit_joint_lasts_until_it_is_left),
	    cmocka_unit_test(a_joint_commits_by_both_majorities),
	    cmocka_unit_test(a_joint_elects_by_both_majorities),
	    cmocka_unit_test(a_joint_is_left_after_a_transfer_that_failed),
	    cmocka_unit_test(a_transfer_to_the_leader_itself_leaves_no_joint),
	    cmocka_unit_test(a_voter_becomes_a_learner_when_the_joint_ends),
	    cmocka_unit_test(a_new_leader_leaves_the_joint_of_the_old),
	    cmocka_unit_test(nobody_is_no_half_of_a_joint),
	    cmocka_unit_test(a_joint_is_left_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
