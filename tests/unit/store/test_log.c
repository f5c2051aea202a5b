/* test_log.c -- the raft log: what was appended is read back, what was changed
 * behind our back is noticed, what was cut leaves its boundary. */
#include <lmdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "help.h"

static void appended_entries_are_read_back(void **state)
{
	struct store *s = test_open();

	(void)state;
	assert_int_equal(store_first_index(s), 1);
	assert_int_equal(store_last_index(s), 0);
	test_append(s, 1, 100, 1);
	assert_int_equal(test_read(s, 1, 101, 1), 0);
	store_close(s);
	s = test_open();
	assert_int_equal(store_last_index(s), 100);
	assert_int_equal(test_read(s, 1, 101, 1), 0);
	store_close(s);
}

static void a_conflicting_suffix_is_replaced(void **state)
{
	struct store *s = test_open();

	(void)state;
	test_append(s, 1, 50, 1);
	test_append(s, 21, 30, 2);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(store_last_index(s), 30);
		assert_int_equal(test_read(s, 1, 21, 1), 0);
		assert_int_equal(test_read(s, 21, 31, 2), 0);
		store_close(s);
		s = test_open();
	}
	store_close(s);
}

static void entries_that_do_not_fit_are_refused(void **state)
{
	static const struct {
		const char *why;
		uint64_t index, commit;
	} rows[] = {
	    {"a gap", 12, 0},
	    {"applied already", 5, 0},
	    {"commit past the end", 11, 12},
	};
	struct store *s = test_open();
	struct err e = {0};

	(void)state;
	test_apply(s, 1, 5, 1);
	test_append(s, 6, 10, 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (test_append_one(s, rows[i].index, 1, rows[i].commit, &e) !=
		    E_INTERNAL)
			fail_msg("%s was taken", rows[i].why);
	}
	assert_int_equal(test_read(s, 1, 11, 1), 0);
	store_close(s);
}

static void storage_answers_as_raft_asks(void **state)
{
	struct store *s = test_open();
	struct raft_storage st;
	struct raft_entry *out;
	raft_term t;
	raft_index i;
	size_t n;
	struct err e = {0};

	(void)state;
	test_apply(s, 1, 20, 3);
	assert_int_equal(store_state_commit(s, &e), E_OK);
	assert_int_equal(store_compact(s, 10, &e), E_OK);
	store_raft_storage(s, &st);
	assert_int_equal(st.first_index(st.ctx, &i), RAFT_OK);
	assert_int_equal(i, 11);
	assert_int_equal(st.last_index(st.ctx, &i), RAFT_OK);
	assert_int_equal(i, 20);
	assert_int_equal(st.term(st.ctx, 9, &t), RAFT_ECOMPACTED);
	assert_int_equal(st.term(st.ctx, 10, &t), RAFT_OK);
	assert_int_equal(t, 3);
	assert_int_equal(st.term(st.ctx, 21, &t), RAFT_EUNAVAILABLE);
	assert_int_equal(
	    st.entries(st.ctx, 10, 12, 1, &out, &n), RAFT_ECOMPACTED);
	assert_int_equal(
	    st.entries(st.ctx, 20, 22, 1, &out, &n), RAFT_EUNAVAILABLE);
	/* One always comes, however small the limit. */
	assert_int_equal(st.entries(st.ctx, 11, 21, 0, &out, &n), RAFT_OK);
	assert_int_equal(n, 1);
	free(out);
	/* "entry 11 of term 3" is 18 bytes, and 16 for each. */
	assert_int_equal(
	    st.entries(st.ctx, 11, 21, 3 * 34 + 33, &out, &n), RAFT_OK);
	assert_int_equal(n, 3);
	free(out);
	store_close(s);
}

static void an_entry_without_data_is_one(void **state)
{
	struct store *s = test_open();
	struct raft_entry noop = {.term = 1, .index = 1},
			  conf = {.term = 1,
			      .index = 2,
			      .type = RAFT_ENTRY_CONF_CHANGE,
			      .data = {.p = "\0\0", .len = 2}},
			  both[] = {noop, conf}, *out;
	struct raft_storage st;
	struct err e = {0};
	size_t n;

	(void)state;
	assert_int_equal(store_append(s, NULL, both, 2, &e), E_OK);
	store_raft_storage(s, &st);
	assert_int_equal(st.entries(st.ctx, 1, 3, SIZE_MAX, &out, &n), RAFT_OK);
	assert_int_equal(n, 2);
	assert_int_equal(out[0].data.len, 0);
	assert_int_equal(out[1].type, RAFT_ENTRY_CONF_CHANGE);
	free(out);
	store_close(s);
}

static void the_hard_state_is_kept(void **state)
{
	struct store *s = test_open();
	struct raft_hard_state hs = {.term = 7, .vote = 3, .commit = 0}, got;
	struct raft_conf_state cs;
	struct raft_storage st;
	struct err e = {0};

	(void)state;
	assert_int_equal(store_append(s, &hs, NULL, 0, &e), E_OK);
	store_close(s);
	s = test_open();
	store_raft_storage(s, &st);
	assert_int_equal(st.initial_state(st.ctx, &got, &cs), RAFT_OK);
	assert_int_equal(got.term, 7);
	assert_int_equal(got.vote, 3);
	assert_int_equal(cs.voters_n, 0);
	store_close(s);
}

static void commit_is_never_behind_what_is_applied(void **state)
{
	struct store *s = test_open();
	struct raft_hard_state hs = {.term = 1, .commit = 10}, got;
	struct raft_conf_state cs;
	struct raft_storage st;
	struct err e = {0};

	(void)state;
	test_apply(s, 1, 10, 1); /* with commit 0 */
	assert_int_equal(store_append(s, &hs, NULL, 0, &e), E_OK);
	assert_int_equal(store_state_commit(s, &e), E_OK);
	store_close(s);
	s = test_open();
	store_raft_storage(s, &st);
	assert_int_equal(st.initial_state(st.ctx, &got, &cs), RAFT_OK);
	assert_int_equal(got.commit, 10);
	assert_int_equal(cs.voters_n, 3);
	store_close(s);
}

static void only_what_is_durably_applied_is_cut(void **state)
{
	struct store *s = test_open();
	struct err e = {0};

	(void)state;
	test_apply(s, 1, 10, 1);
	assert_int_equal(store_compact(s, 10, &e), E_OK);
	assert_int_equal(store_first_index(s), 1);
	assert_int_equal(store_state_commit(s, &e), E_OK);
	test_append(s, 11, 20, 2);
	assert_int_equal(store_compact(s, 15, &e), E_OK);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(store_first_index(s), 11);
		assert_int_equal(store_last_index(s), 20);
		assert_int_equal(test_read(s, 11, 21, 2), 0);
		store_close(s);
		s = test_open();
	}
	/* The whole log may go, and it goes on. */
	test_apply(s, 21, 30, 2);
	store_close(s);
	s = test_open();
	assert_int_equal(store_applied(s), 10);
	store_close(s);
}

static void a_log_that_is_cut_whole_goes_on(void **state)
{
	struct store *s = test_open();
	struct raft_storage st;
	raft_term t;
	struct err e = {0};

	(void)state;
	test_apply(s, 1, 10, 4);
	assert_int_equal(store_state_commit(s, &e), E_OK);
	assert_int_equal(store_compact(s, 10, &e), E_OK);
	store_close(s);
	s = test_open();
	assert_int_equal(store_first_index(s), 11);
	assert_int_equal(store_last_index(s), 10);
	store_raft_storage(s, &st);
	assert_int_equal(st.term(st.ctx, 10, &t), RAFT_OK);
	assert_int_equal(t, 4);
	test_append(s, 11, 12, 5);
	store_close(s);
	s = test_open();
	assert_int_equal(test_read(s, 11, 13, 5), 0);
	store_close(s);
}

/* ---- What another hand changed ---- */

struct raw {
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi rows, meta;
};

static void raw_open(struct raw *r, const char *name)
{
	unsigned flags = strcmp(name, "raft") == 0 ? MDB_INTEGERKEY : 0;

	assert_int_equal(mdb_env_create(&r->env), 0);
	assert_int_equal(mdb_env_set_mapsize(r->env, TEST_MAP), 0);
	assert_int_equal(mdb_env_set_maxdbs(r->env, 2), 0);
	assert_int_equal(mdb_env_open(r->env, test_path(name), 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(r->env, NULL, 0, &r->txn), 0);
	assert_int_equal(mdb_dbi_open(r->txn, "rows", flags, &r->rows), 0);
	assert_int_equal(mdb_dbi_open(r->txn, "meta", 0, &r->meta), 0);
}

static void raw_close(struct raw *r)
{
	assert_int_equal(mdb_txn_commit(r->txn), 0);
	mdb_env_close(r->env);
}

/* Change one byte of an entry's row; remove it if at is negative. */
static void damage(uint64_t index, int at)
{
	struct raw r;
	MDB_val key = {.mv_size = sizeof(index), .mv_data = &index}, val;
	uint8_t copy[256];

	raw_open(&r, "raft");
	assert_int_equal(mdb_get(r.txn, r.rows, &key, &val), 0);
	assert_true(val.mv_size <= sizeof(copy));
	memcpy(copy, val.mv_data, val.mv_size);
	val.mv_data = copy;
	if (at < 0) {
		assert_int_equal(mdb_del(r.txn, r.rows, &key, NULL), 0);
	} else {
		copy[(size_t)at % val.mv_size] ^= 1;
		assert_int_equal(mdb_put(r.txn, r.rows, &key, &val, 0), 0);
	}
	raw_close(&r);
}

/* A whole and sound row, taken from another place. */
static void copy_row(uint64_t from, uint64_t to)
{
	struct raw r;
	MDB_val key = {.mv_size = sizeof(from), .mv_data = &from}, val;
	uint8_t copy[256];

	raw_open(&r, "raft");
	assert_int_equal(mdb_get(r.txn, r.rows, &key, &val), 0);
	memcpy(copy, val.mv_data, val.mv_size);
	val.mv_data = copy;
	key.mv_data = &to;
	assert_int_equal(mdb_put(r.txn, r.rows, &key, &val, 0), 0);
	raw_close(&r);
}

static void expect_refused(enum code want, const char *text)
{
	struct store *s;
	struct err e = {0};
	enum code rc = test_try_open(&s, &e);

	if (rc != want || strstr(e.text, text) == NULL)
		fail_msg("%s (%s), expected %s with \"%s\"", code_name(rc),
		    e.text, code_name(want), text);
	assert_null(s);
}

static void a_flipped_bit_is_found(void **state)
{
	static const int bytes[] = {0, 5, 12, 20, 44, 45, 60};

	(void)state;
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		struct store *s = test_open();

		test_append(s, 1, 10, 1);
		store_close(s);
		damage(7, bytes[i]);
		expect_refused(E_CORRUPT, "entry 7 of the raft log fails its");
		test_remove_tree(test_path("raft"));
		test_remove_tree(test_path("state"));
	}
}

static void a_missing_or_moved_row_is_found(void **state)
{
	struct store *s = test_open();

	(void)state;
	test_append(s, 1, 10, 1);
	store_close(s);
	copy_row(3, 7); /* the CRC covers the index */
	expect_refused(E_CORRUPT, "entry 7 of the raft log fails its CRC");
	damage(7, -1);
	expect_refused(E_CORRUPT, "entry 7 of the raft log is missing");
}

/* Row n of one history put into another: sound by itself. */
static void a_broken_chain_is_found(void **state)
{
	struct store *s = test_open();
	struct raft_entry a = {
	    .term = 1, .index = 1, .data = {.p = "one", .len = 3}};
	struct raw r;
	uint64_t two = 2;
	MDB_val key = {.mv_size = sizeof(two), .mv_data = &two}, val;
	uint8_t copy[256];
	struct err e = {0};

	(void)state;
	assert_int_equal(store_append(s, NULL, &a, 1, &e), E_OK);
	test_append(s, 2, 2, 1);
	store_close(s);
	raw_open(&r, "raft");
	assert_int_equal(mdb_get(r.txn, r.rows, &key, &val), 0);
	memcpy(copy, val.mv_data, val.mv_size);
	raw_close(&r);
	test_remove_tree(test_path("raft"));

	s = test_open();
	test_append(s, 1, 10, 1);
	store_close(s);
	raw_open(&r, "raft");
	val.mv_data = copy;
	assert_int_equal(mdb_put(r.txn, r.rows, &key, &val, 0), 0);
	raw_close(&r);
	expect_refused(E_CORRUPT, "entry 2 of the raft log breaks the hash");
}

static void damage_under_a_running_node_is_found_on_read(void **state)
{
	struct store *s = test_open();
	struct raft_storage st;
	struct raft_entry *out;
	raft_term t;
	size_t n;

	(void)state;
	test_append(s, 1, 10, 1);
	damage(7, 50);
	store_raft_storage(s, &st);
	assert_int_equal(test_read(s, 1, 7, 1), 0);
	assert_int_equal(
	    st.entries(st.ctx, 5, 9, SIZE_MAX, &out, &n), RAFT_EIO);
	assert_non_null(strstr(store_fault(s)->text, "entry 7"));
	assert_int_equal(st.term(st.ctx, 7, &t), RAFT_EIO);
	assert_int_equal(store_fault(s)->code, E_CORRUPT);
	store_close(s);
}

static void a_log_that_lost_entries_is_refused(void **state)
{
	struct store *s = test_open();
	struct err e = {0};

	(void)state;
	test_apply(s, 1, 10, 1);
	assert_int_equal(store_state_commit(s, &e), E_OK);
	store_close(s);
	damage(10, -1);
	expect_refused(E_CORRUPT, "the log ends at 9");
}

static void a_committed_entry_that_is_gone_is_noticed(void **state)
{
	struct store *s = test_open();
	struct err e = {0};

	(void)state;
	test_append(s, 1, 10, 1);
	assert_int_equal(test_append_one(s, 11, 1, 11, &e), E_OK);
	store_close(s);
	damage(11, -1);
	expect_refused(E_CORRUPT, "entry 11 of the raft log is committed");
}

static void a_state_that_is_too_old_is_refused(void **state)
{
	struct store *s = test_open();
	struct err e = {0};

	(void)state;
	test_apply(s, 1, 10, 1);
	assert_int_equal(store_state_commit(s, &e), E_OK);
	assert_int_equal(store_compact(s, 10, &e), E_OK);
	store_close(s);
	test_remove_tree(test_path("state"));
	expect_refused(E_CORRUPT, "the log begins at 11");
}

static void a_lost_state_is_replayed_from_a_whole_log(void **state)
{
	struct store *s = test_open();
	struct err e = {0};

	(void)state;
	test_apply(s, 1, 10, 1);
	assert_int_equal(store_state_commit(s, &e), E_OK);
	store_close(s);
	test_remove_tree(test_path("state"));
	s = test_open();
	assert_int_equal(store_applied(s), 0);
	assert_int_equal(test_read(s, 1, 11, 1), 0);
	store_close(s);
}

static void a_meta_row_has_a_crc(void **state)
{
	static const char *const names[] = {"hard", "boundary", "format"};
	struct store *s = test_open();
	struct err e = {0};

	(void)state;
	test_apply(s, 1, 10, 1);
	assert_int_equal(store_state_commit(s, &e), E_OK);
	assert_int_equal(store_compact(s, 5, &e), E_OK);
	store_close(s);
	for (size_t i = 0; i < 3; i++) {
		struct raw r;
		MDB_val key = {
		    .mv_size = strlen(names[i]), .mv_data = (void *)names[i]};
		MDB_val val;
		uint8_t copy[256];

		for (int twice = 0; twice < 2; twice++) {
			raw_open(&r, "raft");
			assert_int_equal(mdb_get(r.txn, r.meta, &key, &val), 0);
			memcpy(copy, val.mv_data, val.mv_size);
			copy[val.mv_size - 1] ^= 1;
			val.mv_data = copy;
			assert_int_equal(
			    mdb_put(r.txn, r.meta, &key, &val, 0), 0);
			raw_close(&r);
			if (twice == 0)
				expect_refused(E_CORRUPT, names[i]);
		}
	}
	s = test_open();
	store_close(s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, test_setup, test_teardown)
	const struct CMUnitTest tests[] = {
	    T(appended_entries_are_read_back),
	    T(a_conflicting_suffix_is_replaced),
	    T(entries_that_do_not_fit_are_refused),
	    T(storage_answers_as_raft_asks),
	    T(an_entry_without_data_is_one),
	    T(the_hard_state_is_kept),
	    T(commit_is_never_behind_what_is_applied),
	    T(only_what_is_durably_applied_is_cut),
	    T(a_log_that_is_cut_whole_goes_on),
	    T(a_flipped_bit_is_found),
	    T(a_missing_or_moved_row_is_found),
	    T(a_broken_chain_is_found),
	    T(damage_under_a_running_node_is_found_on_read),
	    T(a_log_that_lost_entries_is_refused),
	    T(a_committed_entry_that_is_gone_is_noticed),
	    T(a_state_that_is_too_old_is_refused),
	    T(a_lost_state_is_replayed_from_a_whole_log),
	    T(a_meta_row_has_a_crc),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
