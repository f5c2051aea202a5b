/* test_snapshot.c -- a state travels as records: there and back, in pieces,
 * and a crash at any call of an installation leaves one whole state. */
#include <lmdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "help.h"

/* ---- The sender's and the receiver's folder ---- */

static struct store *open_in(const char *name)
{
	static char dir[PATH_MAX + 64];
	struct store_config c = test_config();
	struct store *s;
	struct err e = {0};

	snprintf(dir, sizeof(dir), "%s/%s", test_dir, name);
	c.dir = dir;
	if (store_open(&s, &c, &e) != E_OK)
		fail_msg("opening %s: %s", name, e.text);
	return s;
}

static struct store *sender(uint64_t rows)
{
	struct store *s = open_in("sender");
	struct err e = {0};

	for (uint64_t i = 1; i <= rows; i += 100)
		test_apply(s, i, i + 99, 2);
	assert_int_equal(store_state_commit(s, &e), E_OK);
	return s;
}

/* One chunk into the receiver; the number of rows. */
static size_t pass(struct store_snapshot *n, struct store_snapshot_pos *pos,
    size_t max, struct ca_db to)
{
	const struct store_row *rows;
	size_t rows_n;
	struct err e = {0};

	if (store_snapshot_next(n, pos, max, &rows, &rows_n, &e) != E_OK)
		fail_msg("%s", e.text);
	for (size_t i = 0; i < rows_n; i++)
		assert_int_equal(to.ops->put(to.ctx, rows[i].table, rows[i].key,
				     rows[i].val, &e),
		    E_OK);
	return rows_n;
}

static void check_whole(struct store *s, uint64_t index)
{
	struct ca_db db;
	struct err e = {0};

	store_state_db(s, &db);
	if (test_check_rows(db, index, &e) != E_OK)
		fail_msg("%s", e.text);
	assert_int_equal(store_applied(s), index);
	assert_int_equal(store_durable_applied(s), index);
}

static void a_state_arrives_whole(void **state)
{
	static const size_t sizes[] = {0, 100, 5000, SIZE_MAX};
	struct store *from = sender(1000), *to;
	struct raft_storage st;
	struct err e = {0};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct store_snapshot_pos pos = {0};
		struct store_snapshot *n;
		struct raft_snapshot meta;
		raft_term t;
		size_t rows, all = 0;
		struct ca_db db;

		to = open_in("receiver");
		test_append(to, 1, 5, 1); /* a log that is superseded */
		assert_int_equal(store_snapshot_open(from, 1000, &n, &e), E_OK);
		assert_int_equal(store_install_begin(to, &e), E_OK);
		assert_int_equal(store_install_db(to, &db, &e), E_OK);
		while ((rows = pass(n, &pos, sizes[i], db)) > 0)
			all += rows;
		assert_int_equal(all, 1001);
		store_snapshot_meta(n, &meta);
		assert_int_equal(meta.index, 1000);
		assert_int_equal(meta.term, 2);
		assert_int_equal(meta.conf_state.voters_n, 3);
		if (store_install_finish(to, &meta, NULL, &e) != E_OK)
			fail_msg("%s", e.text);
		store_snapshot_close(n);
		for (int again = 0; again < 2; again++) {
			check_whole(to, 1000);
			assert_int_equal(store_first_index(to), 1001);
			assert_int_equal(store_last_index(to), 1000);
			store_raft_storage(to, &st);
			assert_int_equal(st.term(st.ctx, 1000, &t), RAFT_OK);
			assert_int_equal(t, 2);
			store_close(to);
			to = open_in("receiver");
		}
		test_apply(to, 1001, 1010, 2);
		assert_int_equal(store_state_commit(to, &e), E_OK);
		check_whole(to, 1010);
		store_close(to);
		test_remove_tree(test_path("receiver"));
	}
	store_close(from);
}

static void a_snapshot_stays_at_its_index(void **state)
{
	struct store *from = sender(300);
	struct store_snapshot_pos pos = {0};
	struct store_snapshot *n, *late;
	struct raft_snapshot meta;
	struct ca_db db;
	struct err e = {0};

	(void)state;
	assert_int_equal(store_snapshot_open(from, 301, &n, &e), E_UNAVAILABLE);
	assert_int_equal(store_snapshot_open(from, 1, &n, &e), E_OK);
	assert_int_equal(store_install_begin(from, &e), E_OK);
	assert_int_equal(store_install_db(from, &db, &e), E_OK);
	for (int i = 0; i < 3; i++) {
		assert_true(pass(n, &pos, 1000, db) > 0);
		/* the sender goes on between two chunks */
		test_apply(
		    from, store_applied(from) + 1, store_applied(from) + 50, 2);
		assert_int_equal(store_state_commit(from, &e), E_OK);
	}
	while (pass(n, &pos, 1000, db) > 0)
		;
	store_snapshot_meta(n, &meta);
	assert_int_equal(meta.index, 300);
	assert_int_equal(test_check_rows(db, 300, &e), E_OK);
	assert_int_equal(store_snapshot_open(from, 450, &late, &e), E_OK);
	store_snapshot_close(late);
	store_snapshot_close(n);
	store_close(from);
}

/* A CRL of many entries is one row. */
static void a_large_value_comes_in_pieces(void **state)
{
	static const size_t sizes[] = {STORE_PIECE_MAX, STORE_PIECE_MAX + 1,
	    3 * STORE_PIECE_MAX, 3 * STORE_PIECE_MAX + 7};
	static uint8_t large[3 * STORE_PIECE_MAX + 7];
	struct store *from = sender(100);
	struct store_snapshot_pos pos = {0};
	const struct store_row *rows;
	struct store_snapshot *n;
	size_t rows_n, found = 0;
	struct buf whole;
	struct ca_db db;
	struct err e = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = (uint8_t)(i * 7 + (i >> 9));
	store_state_db(from, &db);
	for (size_t i = 0; i < 4; i++) {
		uint8_t key = (uint8_t)i;

		assert_int_equal(
		    db.ops->put(db.ctx, CA_T_CRL_BYTES, span_of(&key, 1),
			span_of(large, sizes[i]), &e),
		    E_OK);
	}
	assert_int_equal(store_snapshot_open(from, 1, &n, &e), E_OK);
	buf_init(&whole);
	do {
		assert_int_equal(
		    store_snapshot_next(n, &pos, 1000, &rows, &rows_n, &e),
		    E_OK);
		for (size_t i = 0; i < rows_n; i++) {
			assert_true(rows[i].val.len <= STORE_PIECE_MAX);
			if (rows[i].table != CA_T_CRL_BYTES)
				continue;
			assert_int_equal(rows[i].key.len, 1);
			assert_int_equal(rows[i].key.p[0], found);
			assert_true(buf_add_span(&whole, rows[i].val));
			if (rows[i].more)
				continue;
			assert_int_equal(whole.len, sizes[found]);
			assert_memory_equal(whole.p, large, whole.len);
			buf_clear(&whole);
			found++;
		}
	} while (rows_n > 0);
	assert_int_equal(found, 4);
	buf_free(&whole);
	store_snapshot_close(n);
	store_close(from);
}

/* The sender loses its stream, and the next one goes on from the position. */
static void a_stream_resumes(void **state)
{
	struct store *from = sender(500), *to = open_in("receiver");
	struct store_snapshot_pos pos = {0};
	struct store_snapshot *n;
	struct raft_snapshot meta;
	struct ca_db db;
	struct err e = {0};

	(void)state;
	assert_int_equal(store_install_begin(to, &e), E_OK);
	assert_int_equal(store_install_db(to, &db, &e), E_OK);
	assert_int_equal(store_snapshot_open(from, 1, &n, &e), E_OK);
	for (int i = 0; i < 4; i++)
		assert_true(pass(n, &pos, 2000, db) > 0);
	store_snapshot_close(n);
	assert_int_equal(pos.small, 1);
	assert_true(pos.log > 100 && pos.log < 400);

	/* the same index: as if nothing had happened */
	assert_int_equal(store_snapshot_open(from, 1, &n, &e), E_OK);
	assert_true(pass(n, &pos, 2000, db) > 0);
	store_snapshot_close(n);

	/* a later one: small rows again, records from where they were */
	test_apply(from, 501, 600, 2);
	assert_int_equal(store_state_commit(from, &e), E_OK);
	assert_int_equal(store_install_clear_small(to, &e), E_OK);
	pos.small = 0;
	assert_int_equal(store_snapshot_open(from, 600, &n, &e), E_OK);
	while (pass(n, &pos, 2000, db) > 0)
		;
	store_snapshot_meta(n, &meta);
	store_snapshot_close(n);
	if (store_install_finish(to, &meta, NULL, &e) != E_OK)
		fail_msg("%s", e.text);
	check_whole(to, 600);
	store_close(to);
	store_close(from);
}

static void clearing_small_tables_leaves_records(void **state)
{
	struct store *s = test_open();
	struct span val;
	struct ca_db db;
	struct err e = {0};
	uint8_t key[8] = {[7] = 1};

	(void)state;
	assert_int_equal(store_install_begin(s, &e), E_OK);
	assert_int_equal(store_install_db(s, &db, &e), E_OK);
	assert_int_equal(test_put_rows(db, 1, &e), E_OK);
	assert_int_equal(
	    db.ops->put(db.ctx, CA_T_QUOTA, span_str("q"), span_str("1"), &e),
	    E_OK);
	assert_int_equal(store_install_clear_small(s, &e), E_OK);
	assert_int_equal(
	    db.ops->get(db.ctx, CA_T_META, span_str("count"), &val, &e),
	    E_NOTFOUND);
	assert_int_equal(
	    db.ops->get(db.ctx, CA_T_QUOTA, span_str("q"), &val, &e),
	    E_NOTFOUND);
	assert_int_equal(
	    db.ops->get(db.ctx, CA_T_RECORD, span_of(key, 8), &val, &e), E_OK);
	store_close(s);
}

static void an_installation_that_is_given_up_leaves_nothing(void **state)
{
	struct store *s = test_open();
	struct raft_snapshot meta = {.index = 5, .term = 1};
	struct ca_db db;
	struct err e = {0};

	(void)state;
	test_apply(s, 1, 10, 1);
	assert_int_equal(store_state_commit(s, &e), E_OK);
	assert_int_equal(store_install_finish(s, &meta, NULL, &e), E_INTERNAL);
	assert_int_equal(store_install_begin(s, &e), E_OK);
	assert_int_equal(store_install_db(s, &db, &e), E_OK);
	assert_int_equal(test_put_rows(db, 1, &e), E_OK);
	assert_int_equal(/* it is behind */
	    store_install_finish(s, &meta, NULL, &e), E_CONFLICT);
	assert_true(test_exists("state.new"));
	assert_int_equal(store_install_begin(s, &e), E_OK); /* anew */
	assert_int_equal(store_install_db(s, &db, &e), E_OK);
	assert_int_equal(test_check_rows(db, 0, &e), E_OK);
	store_install_abort(s);
	store_install_abort(s);
	assert_false(test_exists("state.new"));
	assert_int_equal(store_install_db(s, &db, &e), E_INTERNAL);
	check_whole(s, 10);
	assert_int_equal(test_read(s, 1, 11, 1), 0);
	store_close(s);
}

static void an_installation_sets_the_hard_state(void **state)
{
	static const struct {
		const char *why;
		struct raft_hard_state was, given;
		bool some;
		struct raft_hard_state want;
	} rows[] = {
	    {"commit is capped", {3, 2, 0}, {5, 1, 60}, true, {5, 1, 50}},
	    {"none: commit is raised", {7, 2, 0}, {0}, false, {7, 2, 50}},
	    {"none: an older term", {3, 2, 0}, {0}, false, {4, 0, 50}},
	    {"commit too low", {3, 2, 0}, {5, 1, 7}, true, {5, 1, 50}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct store *s = open_in("one");
		struct raft_snapshot meta = {.index = 50, .term = 4};
		struct raft_hard_state got;
		struct raft_conf_state cs;
		struct raft_storage st;
		struct err e = {0};
		enum code rc;

		assert_int_equal(
		    store_append(s, &rows[i].was, NULL, 0, &e), E_OK);
		assert_int_equal(store_install_begin(s, &e), E_OK);
		rc = store_install_finish(
		    s, &meta, rows[i].some ? &rows[i].given : NULL, &e);
		assert_int_equal(rc, E_OK);
		store_close(s);
		s = open_in("one");
		store_raft_storage(s, &st);
		assert_int_equal(st.initial_state(st.ctx, &got, &cs), RAFT_OK);
		if (memcmp(&got, &rows[i].want, sizeof(got)) != 0)
			fail_msg("%s: term %d vote %d commit %d", rows[i].why,
			    (int)got.term, (int)got.vote, (int)got.commit);
		store_close(s);
		test_remove_tree(test_path("one"));
	}
}

static void readers_keep_the_state_they_began_with(void **state)
{
	struct store *s = test_open();
	struct raft_snapshot meta = {.index = 20, .term = 1};
	struct store_read *read;
	struct store_snapshot *n;
	struct store_snapshot_pos pos = {0};
	const struct store_row *out;
	struct ca_db old, db;
	struct err e = {0};
	size_t rows;

	(void)state;
	test_apply(s, 1, 10, 1);
	assert_int_equal(store_state_commit(s, &e), E_OK);
	assert_int_equal(store_read_begin(s, &read, &old, &e), E_OK);
	assert_int_equal(store_snapshot_open(s, 10, &n, &e), E_OK);
	assert_int_equal(store_install_begin(s, &e), E_OK);
	assert_int_equal(store_install_db(s, &db, &e), E_OK);
	for (uint64_t i = 1; i <= 20; i++)
		assert_int_equal(test_put_rows(db, i, &e), E_OK);
	assert_int_equal(store_install_finish(s, &meta, NULL, &e), E_OK);
	assert_false(test_exists("state.old"));
	check_whole(s, 20);
	assert_int_equal(test_check_rows(old, 10, &e), E_OK);
	pos.small = 1;
	assert_int_equal(
	    store_snapshot_next(n, &pos, SIZE_MAX, &out, &rows, &e), E_OK);
	assert_int_equal(rows, 10);
	store_snapshot_close(n);
	store_read_end(read);
	store_close(s);
}

/* ---- A crash at each call -------------------------------------------------
 */

static int crash_at; /* calls until the process is gone; 0: never */
static int calls;

static void maybe_crash(void)
{
	if (crash_at != 0 && ++calls == crash_at)
		_exit(77);
}

#define WRAP(ret, name, params, args)                                          \
	ret __real_##name params;                                              \
	ret __wrap_##name params;                                              \
	ret __wrap_##name params                                               \
	{                                                                      \
		ret rc;                                                        \
		maybe_crash();                                                 \
		rc = __real_##name args;                                       \
		maybe_crash();                                                 \
		return rc;                                                     \
	}

WRAP(int, mdb_txn_commit, (MDB_txn * txn), (txn))
WRAP(int, mdb_env_sync, (MDB_env * env, int force), (env, force))
WRAP(int, rename, (const char *from, const char *to), (from, to))
WRAP(int, remove, (const char *path), (path))
WRAP(int, fsync, (int fd), (fd))

static struct store_identity id = {.trust_domain = "d", .node_id = 9};

/* In a child: from 10 entries of its own to a snapshot of 20. */
static void install_until_crash(int at)
{
	struct raft_snapshot meta = {.index = 20, .term = 3};
	struct store *s;
	struct ca_db db;
	struct err e = {0};

	if (test_try_open(&s, &e) != E_OK ||
	    store_install_begin(s, &e) != E_OK ||
	    store_install_db(s, &db, &e) != E_OK)
		_exit(1);
	for (uint64_t i = 1; i <= 20; i++) {
		if (test_put_rows(db, i, &e) != E_OK)
			_exit(2);
	}
	crash_at = at;
	calls = 0;
	if (store_install_finish(s, &meta, NULL, &e) != E_OK)
		_exit(3);
	crash_at = 0;
	store_close(s);
	_exit(0);
}

/* In a child: open what a crash left, and crash in that. */
static void open_until_crash(int at)
{
	struct store *s;
	struct err e = {0};

	crash_at = at;
	calls = 0;
	if (test_try_open(&s, &e) != E_OK)
		_exit(4);
	crash_at = 0;
	store_close(s);
	_exit(0);
}

static int run_child(void (*what)(int), int at)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		what(at);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void prepare(void)
{
	struct store *s = test_open();
	struct err e = {0};

	assert_int_equal(store_bind(s, &id, &e), E_OK);
	test_apply(s, 1, 10, 3);
	assert_int_equal(store_state_commit(s, &e), E_OK);
	store_close(s);
}

/* 10 or 20, whole, with a log that fits. */
static uint64_t check_one_state(int at)
{
	struct store *s = test_open();
	uint64_t is = store_applied(s);

	if (is != 10 && is != 20)
		fail_msg("crash %d: applied %d", at, (int)is);
	check_whole(s, is);
	if (is == 10)
		assert_int_equal(test_read(s, 1, 11, 3), 0);
	assert_int_equal(store_first_index(s), is == 10 ? 1 : 21);
	assert_int_equal(store_last_index(s), is);
	assert_false(test_exists("state.new"));
	assert_false(test_exists("state.old"));
	test_apply(s, is + 1, is + 3, 3);
	store_close(s);
	return is;
}

static void clean(void)
{
	test_remove_tree(test_path("raft"));
	test_remove_tree(test_path("state"));
	test_remove_tree(test_path("store.lock"));
}

static void a_crash_at_any_call_leaves_one_state(void **state)
{
	int points = 0, old = 0;

	(void)state;
	for (int at = 1;; at++) {
		int rc;

		prepare();
		rc = run_child(install_until_crash, at);
		if (rc == 0)
			break;
		assert_int_equal(rc, 77);
		points++;
		old += check_one_state(at) == 10;
		clean();
	}
	assert_int_equal(check_one_state(0), 20);
	print_message(
	    "%d points to crash at; %d of them before the swap\n", points, old);
	assert_true(points >= 20 && old >= 4 && points - old >= 10);
}

static void a_crash_in_the_recovery_does_too(void **state)
{
	(void)state;
	for (int at = 1;; at += 3) {
		int rc, again = 1;

		prepare();
		rc = run_child(install_until_crash, at);
		clean();
		if (rc == 0)
			break;
		do {
			prepare();
			assert_int_equal(
			    run_child(install_until_crash, at), 77);
			rc = run_child(open_until_crash, again++);
			check_one_state(at);
			clean();
		} while (rc == 77);
		assert_int_equal(rc, 0);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, test_setup, test_teardown)
	const struct CMUnitTest tests[] = {
	    T(a_state_arrives_whole),
	    T(a_snapshot_stays_at_its_index),
	    T(a_large_value_comes_in_pieces),
	    T(a_stream_resumes),
	    T(clearing_small_tables_leaves_records),
	    T(an_installation_that_is_given_up_leaves_nothing),
	    T(an_installation_sets_the_hard_state),
	    T(readers_keep_the_state_they_began_with),
	    T(a_crash_at_any_call_leaves_one_state),
	    T(a_crash_in_the_recovery_does_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
