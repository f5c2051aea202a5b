/* test_election.c -- who leads, and who may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cluster.h"

static void plain(struct raft_config *c)
{
	c->pre_vote = c->check_quorum = false;
}

static void pre_vote_only(struct raft_config *c)
{
	c->check_quorum = false;
}

static void slow_heart(struct raft_config *c)
{
	plain(c);
	c->heartbeat_ticks = 3;
}

static void sync_storage(struct raft_config *c)
{
	c->pre_vote = c->check_quorum = c->async_storage = false;
}

static void the_first_to_time_out_is_elected(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_tick(c, 1, 10);
	cluster_expect(c, "");
	c->tell |= TELL_SENT;
	cluster_tick(c, 1, 1);
	cluster_settle(c);
	cluster_expect(c, "n1 candidate in term 2\n"
			  "n1 campaigns with 1/1\n"
			  "n1 hears yes from n1\n"
			  "1>2 Vote t2 1/1\n"
			  "1>3 Vote t2 1/1\n"
			  "n2 follower in term 2\n"
			  "n2 grants n1 its Vote\n"
			  "2>1 VoteResp t2\n"
			  "n3 follower in term 2\n"
			  "n3 grants n1 its Vote\n"
			  "3>1 VoteResp t2\n"
			  "n1 hears yes from n2\n"
			  "n1 leader in term 2, leader 1\n"
			  "1>2 App t2 1/1 c1 [2/2 -]\n"
			  "1>3 App t2 1/1 c1 [2/2 -]\n"
			  "2>1 AppResp t2 0/2\n"
			  "3>1 AppResp t2 0/2\n"
			  "n1 commits 2\n"
			  "1>2 App t2 2/2 c2\n"
			  "n1 applies 2/2 -\n"
			  "1>3 App t2 2/2 c2\n"
			  "2>1 AppResp t2 0/2\n"
			  "n2 applies 2/2 -\n"
			  "3>1 AppResp t2 0/2\n"
			  "n3 applies 2/2 -\n");
	cluster_free(c);
}

static void sync_storage_elects_alike(void **state)
{
	struct cluster *c = cluster_new(3, sync_storage);

	(void)state;
	cluster_tick(c, 1, 11);
	cluster_settle(c);
	cluster_expect(c, "n1 candidate in term 2\n"
			  "n1 campaigns with 1/1\n"
			  "n1 hears yes from n1\n"
			  "n2 follower in term 2\n"
			  "n2 grants n1 its Vote\n"
			  "n3 follower in term 2\n"
			  "n3 grants n1 its Vote\n"
			  "n1 hears yes from n2\n"
			  "n1 leader in term 2, leader 1\n"
			  "n1 commits 2\n"
			  "n1 applies 2/2 -\n"
			  "n2 applies 2/2 -\n"
			  "n3 applies 2/2 -\n");
	cluster_free(c);
}

static void pre_vote_asks_before_the_term_moves(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_tick(c, 1, 11);
	cluster_settle(c);
	cluster_expect(c, "n1 pre-candidate in term 1\n"
			  "n1 campaigns with 1/1\n"
			  "n2 grants n1 its PreVote\n"
			  "n1 hears yes from n1\n"
			  "n3 grants n1 its PreVote\n"
			  "n1 hears yes from n2\n"
			  "n1 candidate in term 2\n"
			  "n1 campaigns with 1/1\n"
			  "n1 hears yes from n1\n"
			  "n2 follower in term 2\n"
			  "n2 grants n1 its Vote\n"
			  "n3 follower in term 2\n"
			  "n3 grants n1 its Vote\n"
			  "n1 hears yes from n2\n"
			  "n1 leader in term 2, leader 1\n"
			  "n1 commits 2\n"
			  "n1 applies 2/2 -\n"
			  "n2 applies 2/2 -\n"
			  "n3 applies 2/2 -\n");
	cluster_free(c);
}

static void a_lone_voter_elects_itself_once_the_disk_holds_its_vote(
    void **state)
{
	struct cluster *c = cluster_new(1, NULL);

	(void)state;
	c->peer[1].slow_disk = true;
	raft_campaign(node(c, 1));
	cluster_settle(c);
	cluster_expect(c, "n1 pre-candidate in term 1\n"
			  "n1 campaigns with 1/1\n");
	cluster_disk(c, 1);
	cluster_settle(c);
	cluster_expect(c, "n1 hears yes from n1\n"
			  "n1 candidate in term 2\n"
			  "n1 campaigns with 1/1\n");
	cluster_disk_all(c, 1);
	cluster_expect(c, "n1 hears yes from n1\n"
			  "n1 leader in term 2, leader 1\n"
			  "n1 commits 2\n"
			  "n1 applies 2/2 -\n");
	cluster_free(c);
}

static void votes_and_requests_wait_for_the_disk(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	c->tell = TELL_SENT | TELL_DISK;
	c->peer[1].slow_disk = c->peer[2].slow_disk = true;
	raft_campaign(node(c, 1));
	cluster_settle(c);
	cluster_expect(c, ""); /* not even the request has left */
	cluster_disk(c, 1);
	cluster_isolate(c, 3);
	cluster_settle(c);
	cluster_expect(c,
	    "did 1>append StorageAppend t2 v1 c1 then {1>1 VoteResp t2; 1>2 "
	    "Vote t2 1/1; 1>3 Vote t2 1/1}\n"
	    "1>2 Vote t2 1/1\n"
	    "1>3 Vote t2 1/1\n"
	    "did 3>append StorageAppend t2 v1 c1 then {3>1 VoteResp t2}\n"
	    "3>1 VoteResp t2\n");
	cluster_disk(c, 2);
	cluster_expect(c,
	    "did 2>append StorageAppend t2 v1 c1 then {2>1 VoteResp t2}\n"
	    "2>1 VoteResp t2\n");
	cluster_free(c);
}

/* Were the request to leave early, node 1 could lose entry 2 and its term in a
 * crash, ask again in term 2 and be elected without the entry by votes that
 * entry 2 had won for it. */
static void a_candidate_that_crashes_does_not_ask_twice_in_a_term(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	c->tell |= TELL_SENT;
	raft_campaign(node(c, 1));
	cluster_ready(c, 1);
	cluster_disk(c, 1);
	cluster_drop(c);
	cluster_crash(c, 1);
	cluster_start(c, 1);
	cluster_hush(c);
	raft_campaign(node(c, 1));
	cluster_ready(c, 1);
	cluster_disk(c, 1);
	cluster_expect(c, "n1 candidate in term 3\n"
			  "n1 campaigns with 1/1\n"
			  "n1 hears yes from n1\n"
			  "1>2 Vote t3 1/1\n"
			  "1>3 Vote t3 1/1\n");
	cluster_free(c);
}

static void a_vote_is_given_once_a_term(void **state)
{
	struct cluster *c = cluster_new(3, plain);
	struct raft_message vote = {
	    .type = RAFT_MSG_VOTE, .term = 2, .log_term = 1, .index = 1};

	(void)state;
	vote.from = 1;
	cluster_step(c, 3, vote);
	vote.from = 2;
	cluster_step(c, 3, vote);
	cluster_disk_all(c, 3);
	cluster_crash(c, 3);
	cluster_start(c, 3); /* a crash does not make it forget */
	cluster_step(c, 3, vote);
	vote.from = 1;
	cluster_step(c, 3, vote);
	cluster_expect(c, "n3 follower in term 2\n"
			  "n3 grants n1 its Vote\n"
			  "n3 denies n2 its Vote\n"
			  "n3 denies n2 its Vote\n"
			  "n3 grants n1 its Vote\n");
	cluster_free(c);
}

static void a_log_behind_wins_no_vote(void **state)
{
	static const struct {
		raft_term term;
		raft_index index;
	} rows[] = {{1, 9}, {2, 2}, {2, 3}, {2, 4}, {3, 1}};
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1); /* entry 2/2 */
	cluster_propose(c, 1, "x");
	cluster_settle(c); /* 2/3 */
	cluster_hush(c);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cluster_say(c, "%d/%d:", (int)rows[i].term, (int)rows[i].index);
		cluster_step(c, 3,
		    (struct raft_message){.type = RAFT_MSG_VOTE,
			.from = 2,
			.term = 3 + i,
			.log_term = rows[i].term,
			.index = rows[i].index});
	}
	cluster_expect(c, "1/9:\n"
			  "n3 follower in term 3\n"
			  "n3 denies n2 its Vote\n"
			  "2/2:\n"
			  "n3 follower in term 4\n"
			  "n3 denies n2 its Vote\n"
			  "2/3:\n"
			  "n3 follower in term 5\n"
			  "n3 grants n2 its Vote\n"
			  "2/4:\n"
			  "n3 follower in term 6\n"
			  "n3 grants n2 its Vote\n"
			  "3/1:\n"
			  "n3 follower in term 7\n"
			  "n3 grants n2 its Vote\n");
	cluster_free(c);
}

static void heartbeats_come_as_often_as_told(void **state)
{
	struct cluster *c = cluster_new(2, slow_heart);

	(void)state;
	cluster_elect(c, 1);
	c->tell = TELL_SENT;
	for (int i = 1; i <= 7; i++) {
		cluster_say(c, "tick %d", i);
		cluster_tick(c, 1, 1);
	}
	cluster_expect(c, "tick 1\n"
			  "tick 2\n"
			  "tick 3\n"
			  "1>2 Heartbeat t2 c2\n"
			  "tick 4\n"
			  "tick 5\n"
			  "tick 6\n"
			  "1>2 Heartbeat t2 c2\n"
			  "tick 7\n");
	cluster_free(c);
}

/* One to two election timeouts, evenly, so that votes seldom split [3.4]. */
static void election_timeouts_are_spread(void **state)
{
	struct cluster *c = cluster_new(3, plain);
	struct raft_config config = c->peer[1].config;
	unsigned seen[30] = {0}, ticks;
	struct raft_status st;
	struct raft *r;

	(void)state;
	config.trace = NULL;
	for (config.seed = 0; config.seed < 1000; config.seed++) {
		assert_int_equal(raft_init(&r, &config), RAFT_OK);
		for (ticks = 0; ticks < 29; ticks++) {
			raft_status(r, &st);
			if (st.state != RAFT_FOLLOWER)
				break;
			raft_tick(r);
		}
		seen[ticks]++;
		raft_free(r);
	}
	for (ticks = 0; ticks < 30; ticks++)
		if (ticks < 10 || ticks > 19 ? seen[ticks] != 0
					     : seen[ticks] < 50)
			fail_msg(
			    "%u of 1000 after %u ticks", seen[ticks], ticks);
	cluster_free(c);
}

static void a_split_vote_elects_nobody(void **state)
{
	struct cluster *c = cluster_new(2, plain);

	(void)state;
	raft_campaign(node(c, 1));
	raft_campaign(node(c, 2));
	cluster_settle(c);
	cluster_expect(c, "n1 candidate in term 2\n"
			  "n1 campaigns with 1/1\n"
			  "n2 candidate in term 2\n"
			  "n2 campaigns with 1/1\n"
			  "n1 hears yes from n1\n"
			  "n2 hears yes from n2\n"
			  "n2 denies n1 its Vote\n"
			  "n1 denies n2 its Vote\n"
			  "n1 hears no from n2\n"
			  "n1 follower in term 2\n"
			  "n2 hears no from n1\n"
			  "n2 follower in term 2\n");
	cluster_free(c);
}

static void a_cut_off_voter_disturbs_nobody_when_it_returns(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 1);
	cluster_isolate(c, 3);
	cluster_tick(c, 3, 40);
	cluster_heal(c);
	cluster_hush(c);
	cluster_tick(c, 3, 30);
	cluster_settle(c);
	cluster_tick(c, 1, 1);
	cluster_settle(c);
	cluster_expect(c, "n3 pre-candidate in term 2\n"
			  "n3 campaigns with 2/2\n"
			  "n3 pre-candidate in term 2\n"
			  "n3 campaigns with 2/2\n"
			  "n3 pre-candidate in term 2\n"
			  "n3 campaigns with 2/2\n"
			  "n1 ignores PreVote from n3\n"
			  "n3 hears yes from n3\n"
			  "n3 hears yes from n3\n"
			  "n3 hears yes from n3\n"
			  "n3 hears yes from n3\n"
			  "n3 hears yes from n3\n"
			  "n3 hears yes from n3\n"
			  "n2 ignores PreVote from n3\n"
			  "n1 ignores PreVote from n3\n"
			  "n2 ignores PreVote from n3\n"
			  "n1 ignores PreVote from n3\n"
			  "n2 ignores PreVote from n3\n"
			  "n3 follower in term 2, leader 1\n");
	cluster_free(c);
}

/* Without PreVote the same voter comes back with a later term. */
static void without_pre_vote_it_disturbs(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	cluster_isolate(c, 3);
	cluster_tick(c, 3, 25);
	cluster_disk_all(c, 3);
	cluster_heal(c);
	cluster_hush(c);
	cluster_tick(c, 3, 25);
	cluster_settle(c);
	cluster_expect(c, "n3 candidate in term 4\n"
			  "n3 campaigns with 2/2\n"
			  "n3 candidate in term 5\n"
			  "n3 campaigns with 2/2\n"
			  "n3 ignores VoteResp from n3\n"
			  "n3 hears yes from n3\n"
			  "n1 follower in term 4\n"
			  "n1 grants n3 its Vote\n"
			  "n2 follower in term 4\n"
			  "n2 grants n3 its Vote\n"
			  "n1 follower in term 5\n"
			  "n1 grants n3 its Vote\n"
			  "n2 follower in term 5\n"
			  "n2 grants n3 its Vote\n"
			  "n3 ignores VoteResp from n1\n"
			  "n3 ignores VoteResp from n2\n"
			  "n3 hears yes from n1\n"
			  "n3 leader in term 5, leader 3\n"
			  "n3 commits 3\n"
			  "n3 applies 5/3 -\n"
			  "n1 applies 5/3 -\n"
			  "n2 applies 5/3 -\n");
	cluster_free(c);
}

/* Node 3 hears nobody, and everybody hears node 3: PreVote refuses it... */
static void a_deaf_voter_deposes_nobody(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 1);
	cluster_cut(c, 1, 3);
	cluster_cut(c, 2, 3);
	for (int i = 0; i < 40; i++) {
		cluster_tick(c, 1, 1);
		cluster_tick(c, 2, 1);
		cluster_tick(c, 3, 1);
		cluster_settle(c);
	}
	assert_int_equal(cluster_status(c, 1).state, RAFT_LEADER);
	assert_int_equal(cluster_status(c, 1).hard.term, 2);
	cluster_free(c);
}

/* ...and a deaf leader steps down, since CheckQuorum hears no quorum: without
 * it the others would follow its heartbeats for ever. */
static void a_deaf_leader_steps_down(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 1);
	cluster_cut(c, 2, 1);
	cluster_cut(c, 3, 1);
	for (int i = 0; i < 20; i++) {
		cluster_tick(c, 1, 1);
		cluster_settle(c);
	}
	cluster_expect(c, "n1 follower in term 2\n");
	for (int i = 0; i < 25; i++) {
		cluster_tick(c, 2, 1);
		cluster_tick(c, 3, 1);
		cluster_settle(c);
	}
	cluster_expect(c, "n3 pre-candidate in term 2\n"
			  "n3 campaigns with 2/2\n"
			  "n2 grants n3 its PreVote\n"
			  "n3 hears yes from n3\n"
			  "n3 hears yes from n2\n"
			  "n3 candidate in term 3\n"
			  "n3 campaigns with 2/2\n"
			  "n3 hears yes from n3\n"
			  "n2 follower in term 3\n"
			  "n2 grants n3 its Vote\n"
			  "n3 hears yes from n2\n"
			  "n3 leader in term 3, leader 3\n"
			  "n3 commits 3\n"
			  "n3 applies 3/3 -\n"
			  "n2 applies 3/3 -\n");
	cluster_free(c);
}

/* Cloudflare, November 2020: 2 and 3 do not hear each other, 1 hears both. */
static void two_that_are_cut_from_each_other_do_not_fight(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 2);
	cluster_cut(c, 2, 3);
	cluster_cut(c, 3, 2);
	for (int i = 0; i < 60; i++) {
		for (raft_id id = 1; id <= 3; id++)
			cluster_tick(c, id, 1);
		cluster_settle(c);
	}
	assert_int_equal(cluster_status(c, 2).state, RAFT_LEADER);
	assert_int_equal(cluster_status(c, 2).hard.term, 2);
	cluster_free(c);
}

/* A term that a node got to without its leader: the leader hears of it. */
static void a_leader_behind_in_term_is_told(void **state)
{
	struct cluster *c = cluster_new(3, pre_vote_only);

	(void)state;
	cluster_elect(c, 1);
	cluster_step(c, 3,
	    (struct raft_message){.type = RAFT_MSG_VOTE, .from = 2, .term = 5});
	cluster_settle(c);
	cluster_hush(c);
	c->tell |= TELL_SENT;
	cluster_isolate(c, 2);
	cluster_tick(c, 1, 1);
	cluster_settle(c);
	cluster_expect(c, "1>2 Heartbeat t2 c2\n"
			  "1>3 Heartbeat t2 c2\n"
			  "3>1 AppResp t5\n"
			  "n1 follower in term 5\n");
	cluster_free(c);
}

/* etcd #7280, #12359: who votes is not known before changes are applied. */
static void a_candidate_first_applies_committed_changes(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	c->peer[3].slow_apply = true;
	cluster_change(c, 1, RAFT_AUTO, "v4");
	cluster_settle(c);
	cluster_hush(c);
	assert_int_equal(cluster_status(c, 3).hard.commit, 3);
	assert_int_equal(cluster_status(c, 3).applied, 2);
	raft_campaign(node(c, 3));
	cluster_tick(c, 3, 40);
	cluster_expect(c, ""); /* it keeps still */
	c->peer[3].slow_apply = false;
	cluster_settle(c);
	raft_campaign(node(c, 3));
	cluster_expect(c, "n3 applies 2/3 conf(v4)\n"
			  "n3 has 4 voters, 0 learners\n"
			  "n3 candidate in term 3\n"
			  "n3 campaigns with 2/3\n");
	cluster_free(c);
}

static void a_learner_does_not_campaign(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	cluster_change(c, 1, RAFT_AUTO, "l3");
	cluster_settle(c);
	cluster_hush(c);
	raft_campaign(node(c, 3));
	cluster_tick(c, 3, 40);
	cluster_expect(c, "");
	cluster_free(c);
}

/* The first node of a cluster: an empty configuration, and one committed entry
 * that adds the node itself. */
static void the_first_node_starts_from_a_change_in_its_log(void **state)
{
	struct cluster *c = cluster_new(0, NULL);
	struct peer *p = &c->peer[1];
	struct raft_conf_change add = {RAFT_AUTO, 1, {{RAFT_ADD_VOTER, 1}}};

	(void)state;
	p->log[0].term = 1;
	p->log[0].type = RAFT_ENTRY_CONF_CHANGE;
	p->log[0].len =
	    raft_conf_change_encode(&add, (uint8_t *)p->log[0].data);
	p->log_n = 1;
	p->hard = (struct raft_hard_state){1, 0, 1};
	cluster_join(c, 1, NULL);
	raft_campaign(node(c, 1));
	cluster_expect(c, "");
	cluster_settle(c);
	raft_campaign(node(c, 1));
	cluster_settle(c);
	cluster_expect(c, "n1 applies 1/1 conf(v1)\n"
			  "n1 has 1 voters, 0 learners\n"
			  "n1 pre-candidate in term 1\n"
			  "n1 campaigns with 1/1\n"
			  "n1 hears yes from n1\n"
			  "n1 candidate in term 2\n"
			  "n1 campaigns with 1/1\n"
			  "n1 hears yes from n1\n"
			  "n1 leader in term 2, leader 1\n"
			  "n1 commits 2\n"
			  "n1 applies 2/2 -\n");
	cluster_free(c);
}

/* What peers held in an earlier term they may have lost since to another
 * leader: it must not count towards a commit. */
static void a_leader_elected_again_knows_nothing_of_its_peers(void **state)
{
	struct cluster *c = cluster_new(3, plain);

	(void)state;
	cluster_elect(c, 1);
	cluster_propose(c, 1, "x");
	cluster_settle(c);
	cluster_say_progress(c, 1);
	cluster_elect(c, 2);
	raft_campaign(node(c, 1));
	while (cluster_status(c, 1).state != RAFT_LEADER) {
		for (raft_id id = 1; id <= 3; id++)
			cluster_disk_all(c, id);
		cluster_deliver(c);
	}
	cluster_hush(c);
	cluster_say_progress(c, 1);
	cluster_expect(c, "n1 replicate match 4 next 5\n"
			  "n2 probe match 0 next 5 paused inactive\n"
			  "n3 probe match 0 next 5 paused inactive\n");
	cluster_free(c);
}

/* It heard of the term's leader before it was asked. */
static void one_that_knows_the_leader_votes_for_no_other(void **state)
{
	struct cluster *c = cluster_new(3, plain);
	struct raft_message m = {
	    .term = 2, .log_term = 1, .index = 1, .from = 1};

	(void)state;
	m.type = RAFT_MSG_APP;
	cluster_step(c, 3, m);
	m.type = RAFT_MSG_VOTE;
	m.from = 2;
	cluster_step(c, 3, m);
	cluster_expect(c, "n3 follower in term 2, leader 1\n"
			  "n3 denies n2 its Vote\n");
	cluster_free(c);
}

static void a_leader_does_not_campaign(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 1);
	c->tell |= TELL_SENT;
	raft_campaign(node(c, 1));
	cluster_settle(c);
	cluster_expect(c, "");
	cluster_free(c);
}

/* Else it might ask for ever, and never know why nobody answers. */
static void one_that_asks_in_an_earlier_term_hears_of_the_later(void **state)
{
	struct cluster *c = cluster_new(3, NULL);

	(void)state;
	cluster_elect(c, 1);
	c->tell |= TELL_SENT;
	cluster_step(c, 3,
	    (struct raft_message){.type = RAFT_MSG_PRE_VOTE,
		.from = 2,
		.term = 1,
		.log_term = 1,
		.index = 1});
	cluster_disk_all(c, 3);
	cluster_expect(c, "n3 denies n2 its PreVote\n"
			  "3>2 PreVoteResp t2 reject\n");
	cluster_free(c);
}

static void of_two_answers_the_first_counts(void **state)
{
	struct cluster *c = cluster_new(3, plain);
	struct raft_message m = {
	    .type = RAFT_MSG_VOTE_RESP, .from = 2, .term = 2, .reject = true};

	(void)state;
	raft_campaign(node(c, 1));
	cluster_disk_all(c, 1);
	cluster_step(c, 1, m);
	m.reject = false;
	cluster_step(c, 1, m);
	assert_int_equal(cluster_status(c, 1).state, RAFT_CANDIDATE);
	cluster_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_first_to_time_out_is_elected),
	    cmocka_unit_test(sync_storage_elects_alike),
	    cmocka_unit_test(pre_vote_asks_before_the_term_moves),
	    cmocka_unit_test(
		a_lone_voter_elects_itself_once_the_disk_holds_its_vote),
	    cmocka_unit_test(votes_and_requests_wait_for_the_disk),
	    cmocka_unit_test(
		a_candidate_that_crashes_does_not_ask_twice_in_a_term),
	    cmocka_unit_test(a_vote_is_given_once_a_term),
	    cmocka_unit_test(a_log_behind_wins_no_vote),
	    cmocka_unit_test(heartbeats_come_as_often_as_told),
	    cmocka_unit_test(election_timeouts_are_spread),
	    cmocka_unit_test(a_split_vote_elects_nobody),
	    cmocka_unit_test(a_cut_off_voter_disturbs_nobody_when_it_returns),
	    cmocka_unit_test(without_pre_vote_it_disturbs),
	    cmocka_unit_test(a_deaf_voter_deposes_nobody),
	    cmocka_unit_test(a_deaf_leader_steps_down),
	    cmocka_unit_test(two_that_are_cut_from_each_other_do_not_fight),
	    cmocka_unit_test(a_leader_behind_in_term_is_told),
	    cmocka_unit_test(a_candidate_first_applies_committed_changes),
	    cmocka_unit_test(a_learner_does_not_campaign),
	    cmocka_unit_test(the_first_node_starts_from_a_change_in_its_log),
	    cmocka_unit_test(a_leader_elected_again_knows_nothing_of_its_peers),
	    cmocka_unit_test(one_that_knows_the_leader_votes_for_no_other),
	    cmocka_unit_test(a_leader_does_not_campaign),
	    cmocka_unit_test(
		one_that_asks_in_an_earlier_term_hears_of_the_later),
	    cmocka_unit_test(of_two_answers_the_first_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
