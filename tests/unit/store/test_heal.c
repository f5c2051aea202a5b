/* test_heal.c -- whatever a disk does to a page of either file: a start finds
 * it, and makes anew what can be made anew; or it changed nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "help.h"

#define PAGE 4096
#define LAST 400 /* entries; all applied but the last APART */
#define APART 20
#define FILE_MAX (1024 * 1024)
#define RAFT "raft/data.mdb"
#define STATE "state/data.mdb"

/* ---- Files ---- */

struct file {
	uint8_t *p;
	size_t len;
};
/* Of both: as they are, and as they were some transactions before. */
static struct file raft_now, raft_old, state_now, state_old;

static struct file get(const char *name)
{
	FILE *f = fopen(test_path(name), "rb");
	struct file out = {.p = malloc(FILE_MAX)};

	assert_non_null(f);
	assert_non_null(out.p);
	out.len = fread(out.p, 1, FILE_MAX, f);
	assert_true(out.len < FILE_MAX);
	assert_int_equal(fclose(f), 0);
	return out;
}

static void put(const char *name, const uint8_t *p, size_t len)
{
	FILE *f = fopen(test_path(name), "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

/* ---- A store with a history ---- */

static enum code try_open(struct store **out, bool has_peers, struct err *e)
{
	struct store_config c = test_config();

	c.has_peers = has_peers;
	return store_open(out, &c, e);
}

static void vote(struct store *s, uint64_t term, uint64_t whom)
{
	struct raft_hard_state hs = {.term = term, .vote = whom, .commit = 1};
	struct err e = {0};

	assert_int_equal(store_append(s, &hs, NULL, 0, &e), E_OK);
	assert_int_equal(store_state_commit(s, &e), E_OK);
}

static int make_history(void **state)
{
	const struct store_identity id = {.node_id = 3};
	struct store *s;
	struct err e = {0};

	/* Thousands of starts: no disk is needed for what is asked here. */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	if (test_setup(state) != 0)
		return -1;
	s = test_open();
	assert_int_equal(store_bind(s, &id, &e), E_OK);
	for (uint64_t i = 1; i <= LAST - APART; i += 20) {
		test_apply(s, i, i + 19, 1);
		assert_int_equal(store_state_commit(s, &e), E_OK);
		if (i == LAST / 2 + 1) {
			vote(s, 2, 1);
			raft_old = get(RAFT);
			state_old = get(STATE);
			vote(s, 3, 2);
		}
	}
	for (uint64_t i = LAST - APART + 1; i <= LAST; i++)
		assert_int_equal(test_append_one(s, i, 3, 1, &e), E_OK);
	vote(s, 4, 5);
	store_close(s);
	raft_now = get(RAFT);
	state_now = get(STATE);
	return 0;
}

static int drop_history(void **state)
{
	free(raft_now.p);
	free(raft_old.p);
	free(state_now.p);
	free(state_old.p);
	return test_teardown(state);
}

static void put_back(void)
{
	test_remove_tree(test_path("raft"));
	test_remove_tree(test_path("state"));
	test_remove_tree(test_path("raft.damaged"));
	test_remove_tree(test_path("state.damaged"));
	assert_int_equal(mkdir(test_path("raft"), 0700), 0);
	assert_int_equal(mkdir(test_path("state"), 0700), 0);
	put(RAFT, raft_now.p, raft_now.len);
	put(STATE, state_now.p, state_now.len);
}

/* ---- What may come of it ---- */

static struct { /* of a sweep */
	unsigned same, begun_anew, refused;
} outcome;

static void check_hard(struct store *s)
{
	struct raft_hard_state hs;
	struct raft_conf_state cs;
	struct raft_storage st;

	store_raft_storage(s, &st);
	assert_int_equal(st.initial_state(st.ctx, &hs, &cs), RAFT_OK);
	assert_int_equal(hs.term, 4);
	assert_int_equal(hs.vote, 5);
}

static void check_state(struct store *s, uint64_t index)
{
	struct store_read *r;
	struct ca_db db;
	struct err e = {0};

	assert_int_equal(store_applied(s), index);
	assert_int_equal(store_read_begin(s, &r, &db, &e), E_OK);
	if (test_check_rows(db, index, &e) != E_OK)
		fail_msg("%s", e.text);
	store_read_end(r);
}

/* raft/ was damaged. */
static void open_damaged_log(const char *how, size_t page)
{
	struct store *s;
	struct err e = {0};
	enum code rc = try_open(&s, true, &e);

	if (rc != E_OK) {
		if (rc != E_CORRUPT ||
		    strstr(e.text, "remove this node and join") == NULL)
			fail_msg("%s page %zu: %s: %s", how, page,
			    code_name(rc), e.text);
		assert_false(test_exists("raft.damaged"));
		outcome.refused++;
		return;
	}
	check_hard(s);
	check_state(s, LAST - APART);
	if (store_repairing(s)[0] != '\0') {
		assert_int_equal(store_first_index(s), LAST - APART + 1);
		assert_int_equal(store_last_index(s), LAST - APART);
		assert_true(test_exists("raft.damaged"));
		outcome.begun_anew++;
	} else {
		assert_int_equal(store_last_index(s), LAST);
		assert_int_equal(test_read(s, 1, LAST - APART + 1, 1), 0);
		assert_int_equal(
		    test_read(s, LAST - APART + 1, LAST + 1, 3), 0);
		outcome.same++;
	}
	store_close(s);
}

/* state/ was: the rows that are there are sound, or a read says so. */
static void open_damaged_state(const char *how, size_t page)
{
	struct store *s;
	struct store_read *r;
	struct ca_db db;
	struct err e = {0};
	enum code rc = try_open(&s, true, &e);

	if (rc != E_OK)
		fail_msg("%s page %zu: %s", how, page, e.text);
	assert_int_equal(store_last_index(s), LAST);
	check_hard(s);
	if (test_exists("state.damaged")) {
		check_state(s, 0);
		outcome.begun_anew++;
	} else {
		assert_int_equal(store_read_begin(s, &r, &db, &e), E_OK);
		rc = test_check_rows(db, LAST - APART, &e);
		store_read_end(r);
		if (rc == E_OK) {
			outcome.same++;
		} else {
			assert_int_equal(rc, E_CORRUPT);
			assert_int_equal(store_damaged(s, &e), E_CORRUPT);
			assert_int_equal(
			    store_state_discard(s, "a row", &e), E_OK);
			check_state(s, 0);
			outcome.refused++;
		}
	}
	store_close(s);
}

/* ---- Sweeps: each page, each kind of damage ---- */

typedef void open_fn(const char *how, size_t page);

static void try_page(const char *name, const struct file *now, size_t page,
    const uint8_t *with, const char *how, open_fn *fn)
{
	uint8_t *p = malloc(now->len);

	assert_non_null(p);
	put_back();
	memcpy(p, now->p, now->len);
	memcpy(p + page * PAGE, with, PAGE);
	put(name, p, now->len);
	fn(how, page);
	free(p);
}

static void flips(const char *name, const struct file *now, open_fn *fn)
{
	static const size_t at[] = {0, 8, 10, 12, 14, 16, 18, 24, 32, 40, 48,
	    56, 64, 72, 80, 96, 120, 136, 144, 600, 2048, 3000, 3900, 4090};
	uint8_t p[PAGE];

	for (size_t page = 0; page < now->len / PAGE; page++)
		for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
			memcpy(p, now->p + page * PAGE, PAGE);
			p[at[i] + page % 2] ^= (uint8_t)(1 << (page + i) % 8);
			try_page(name, now, page, p, "a bit of", fn);
		}
}

static void lost(const char *name, const struct file *now,
    const struct file *old, open_fn *fn)
{
	const uint8_t zeroes[PAGE] = {0};

	for (size_t page = 0; page < now->len / PAGE; page++) {
		try_page(name, now, page, zeroes, "zeroes in", fn);
		if (page < old->len / PAGE)
			try_page(name, now, page, old->p + page * PAGE,
			    "the old", fn);
	}
}

static void misdirected(const char *name, const struct file *now, open_fn *fn)
{
	size_t n = now->len / PAGE;

	for (size_t page = 0; page < n; page++)
		for (size_t i = 1; i < 5; i++)
			try_page(name, now, page,
			    now->p + (page + i) % n * PAGE, "another on", fn);
}

static void cut(const char *name, const struct file *now, open_fn *fn)
{
	for (size_t len = 100; len < now->len; len += PAGE * 3 / 2) {
		put_back();
		put(name, now->p, len);
		fn("cut at", len / PAGE);
	}
}

static void tell(const char *what)
{
	printf("%s: %u changed nothing, %u begun anew, %u refused\n", what,
	    outcome.same, outcome.begun_anew, outcome.refused);
	assert_true(outcome.begun_anew > 0);
	memset(&outcome, 0, sizeof(outcome));
}

static void no_damage_to_the_log_passes(void **state)
{
	(void)state;
	flips(RAFT, &raft_now, open_damaged_log);
	tell("a bit of a page of raft/");
	lost(RAFT, &raft_now, &raft_old, open_damaged_log);
	tell("a lost page of raft/");
	misdirected(RAFT, &raft_now, open_damaged_log);
	tell("a misdirected page of raft/");
	cut(RAFT, &raft_now, open_damaged_log);
	assert_true(outcome.refused > 0);
}

static void no_damage_to_the_state_passes(void **state)
{
	(void)state;
	flips(STATE, &state_now, open_damaged_state);
	tell("a bit of a page of state/");
	misdirected(STATE, &state_now, open_damaged_state);
	tell("a misdirected page of state/");
	cut(STATE, &state_now, open_damaged_state);
	tell("a cut state/");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_history, drop_history)
	const struct CMUnitTest tests[] = {
	    T(no_damage_to_the_log_passes),
	    T(no_damage_to_the_state_passes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
