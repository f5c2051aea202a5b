/* test_state.c -- the open transaction, the readers beside it, and whose
 * directory it is. */
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "help.h"

static void check_state(struct store *s, uint64_t index)
{
	struct ca_db db;
	struct err e = {0};

	store_state_db(s, &db);
	if (test_check_rows(db, index, &e) != E_OK)
		fail_msg("%s", e.text);
	assert_int_equal(store_applied(s), index);
}

static void rows_are_seen_before_they_are_committed(void **state)
{
	struct store *s = test_open();
	struct err e = {0};

	(void)state;
	test_apply(s, 1, 10, 1);
	check_state(s, 10);
	assert_int_equal(store_durable_applied(s), 0);
	assert_int_equal(store_state_pending(s), 10);
	assert_int_equal(store_state_commit(s, &e), E_OK);
	assert_int_equal(store_durable_applied(s), 10);
	assert_int_equal(store_state_pending(s), 0);
	check_state(s, 10);
	assert_int_equal(store_state_commit(s, &e), E_OK); /* no work */
	test_apply(s, 11, 20, 1);
	check_state(s, 20);
	store_close(s);
}

static void without_a_commit_only_the_last_turns_are_replayed(void **state)
{
	struct store *s = test_open();
	struct raft_conf_state cs;
	struct err e = {0};

	(void)state;
	test_apply(s, 1, 10, 1);
	assert_int_equal(store_state_commit(s, &e), E_OK);
	test_apply(s, 11, 20, 1);
	store_close(s); /* as a crash */
	s = test_open();
	check_state(s, 10); /* rows and index together */
	assert_int_equal(store_last_index(s), 20);
	store_state_conf(s, &cs);
	assert_int_equal(cs.voters_n, 3);
	assert_int_equal(cs.voters[2], 3);
	store_close(s);
}

static void every_configuration_comes_back(void **state)
{
	struct store *s = test_open();
	struct raft_conf_state cs = {.auto_leave = true}, got;
	struct raft_storage st;
	struct raft_hard_state hs;
	struct err e = {0};

	(void)state;
	for (size_t i = 0; i < RAFT_PEERS_MAX; i++) {
		cs.voters[i] = i + 1;
		cs.learners[i] = i + 101;
		cs.voters_outgoing[i] = i + 201;
		cs.learners_next[i] = UINT64_MAX - i;
	}
	cs.voters_n = cs.learners_n = cs.voters_outgoing_n =
	    cs.learners_next_n = RAFT_PEERS_MAX;
	test_append(s, 1, 1, 1);
	assert_int_equal(store_state_set_applied(s, 1, 1, &cs, &e), E_OK);
	/* raft starts from what is durable, not from what is open */
	store_raft_storage(s, &st);
	assert_int_equal(st.initial_state(st.ctx, &hs, &got), RAFT_OK);
	assert_int_equal(got.voters_n, 0);
	assert_int_equal(store_state_commit(s, &e), E_OK);
	store_close(s);
	s = test_open();
	store_raft_storage(s, &st);
	assert_int_equal(st.initial_state(st.ctx, &hs, &got), RAFT_OK);
	assert_memory_equal(&got, &cs, sizeof(cs));
	store_close(s);
}

static void an_applied_index_only_grows_within_the_log(void **state)
{
	struct store *s = test_open();
	struct err e = {0};

	(void)state;
	test_apply(s, 1, 5, 1);
	assert_int_equal(
	    store_state_set_applied(s, 5, 1, NULL, &e), E_INTERNAL);
	assert_int_equal(
	    store_state_set_applied(s, 6, 1, NULL, &e), E_INTERNAL);
	store_close(s);
}

static void tables_do_not_run_into_each_other(void **state)
{
	struct store *s = test_open();
	struct span key, val;
	struct ca_db db;
	struct err e = {0};
	uint8_t long_key[CA_DB_KEY_MAX + 1] = {0};

	(void)state;
	store_state_db(s, &db);
	assert_int_equal(
	    db.ops->put(db.ctx, CA_T_META, span_str("b"), span_str("1"), &e),
	    E_OK);
	assert_int_equal(
	    db.ops->put(db.ctx, CA_T_RECORD, SPAN_EMPTY, SPAN_EMPTY, &e), E_OK);
	assert_int_equal(db.ops->seek(db.ctx, CA_T_META, span_str("b"), false,
			     &key, &val, &e),
	    E_OK);
	assert_true(span_eq_str(key, "b") && span_eq_str(val, "1"));
	assert_int_equal(db.ops->seek(db.ctx, CA_T_META, span_str("b"), true,
			     &key, &val, &e),
	    E_NOTFOUND);
	assert_int_equal(db.ops->seek(db.ctx, CA_T_META, span_str("a"), true,
			     &key, &val, &e),
	    E_OK);
	assert_int_equal(db.ops->seek(db.ctx, CA_T_RECORD, SPAN_EMPTY, false,
			     &key, &val, &e),
	    E_OK);
	assert_int_equal(key.len + val.len, 0);
	assert_int_equal(
	    db.ops->del(db.ctx, CA_T_META, span_str("b"), &e), E_OK);
	assert_int_equal(
	    db.ops->del(db.ctx, CA_T_META, span_str("b"), &e), E_OK);
	assert_int_equal(
	    db.ops->get(db.ctx, CA_T_META, span_str("b"), &val, &e),
	    E_NOTFOUND);
	assert_int_equal(db.ops->put(db.ctx, CA_T_META,
			     span_of(long_key, CA_DB_KEY_MAX), SPAN_EMPTY, &e),
	    E_OK);
	assert_int_equal(
	    db.ops->put(db.ctx, CA_T_META, span_of(long_key, CA_DB_KEY_MAX + 1),
		SPAN_EMPTY, &e),
	    E_INTERNAL);
	store_close(s);
}

static void a_borrowed_value_may_be_put_again(void **state)
{
	struct store *s = test_open();
	struct span val;
	struct ca_db db;
	struct err e = {0};
	uint8_t key[4];

	(void)state;
	store_state_db(s, &db);
	assert_int_equal(db.ops->put(db.ctx, CA_T_META, span_str("a"),
			     span_str("a value that moves"), &e),
	    E_OK);
	for (uint32_t i = 0; i < 500; i++) {
		assert_int_equal(
		    db.ops->get(db.ctx, CA_T_META, span_str("a"), &val, &e),
		    E_OK);
		put_u32be(key, 500 - i);
		assert_int_equal(
		    db.ops->put(db.ctx, CA_T_META, span_of(key, 4), val, &e),
		    E_OK);
	}
	for (uint32_t i = 1; i <= 500; i++) {
		put_u32be(key, i);
		assert_int_equal(
		    db.ops->get(db.ctx, CA_T_META, span_of(key, 4), &val, &e),
		    E_OK);
		assert_true(span_eq_str(val, "a value that moves"));
	}
	store_close(s);
}

/* ---- Readers ---- */

static void a_reader_sees_one_committed_state(void **state)
{
	struct store *s = test_open();
	struct store_read *before, *after;
	struct ca_db db, then;
	struct err e = {0};

	(void)state;
	test_apply(s, 1, 10, 1);
	assert_int_equal(store_state_commit(s, &e), E_OK);
	test_apply(s, 11, 20, 1);
	assert_int_equal(store_read_begin(s, &before, &db, &e), E_OK);
	assert_int_equal(store_read_applied(before), 10);
	assert_int_equal(test_check_rows(db, 10, &e), E_OK);
	assert_int_equal(store_state_commit(s, &e), E_OK);
	assert_int_equal(store_read_begin(s, &after, &then, &e), E_OK);
	assert_int_equal(store_read_applied(after), 20);
	assert_int_equal(test_check_rows(then, 20, &e), E_OK);
	assert_int_equal(test_check_rows(db, 10, &e), E_OK);
	assert_int_equal(
	    db.ops->put(db.ctx, CA_T_META, span_str("x"), SPAN_EMPTY, &e),
	    E_INTERNAL);
	assert_int_equal(
	    db.ops->del(db.ctx, CA_T_META, span_str("x"), &e), E_INTERNAL);
	store_read_end(before);
	store_read_end(after);
	store_read_end(NULL);
	store_close(s);
}

struct reading {
	struct store *store;
	bool stop;
	int wrong, reads;
	pthread_mutex_t lock;
};

static bool stopped(struct reading *r)
{
	bool stop;

	pthread_mutex_lock(&r->lock);
	stop = r->stop;
	pthread_mutex_unlock(&r->lock);
	return stop;
}

static void *read_on(void *arg)
{
	struct reading *r = arg;
	struct store_read *read;
	struct ca_db db;
	struct err e;
	int wrong = 0, reads = 0;

	do {
		if (store_read_begin(r->store, &read, &db, &e) != E_OK) {
			wrong++;
			continue;
		}
		if (test_check_rows(db, store_read_applied(read), &e) != E_OK)
			wrong++;
		store_read_end(read);
		reads++;
	} while (!stopped(r));
	pthread_mutex_lock(&r->lock);
	r->wrong += wrong;
	r->reads += reads;
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* Readers on other threads, while the state grows and is then replaced. */
static void readers_on_threads_see_whole_states(void **state)
{
	struct store *s = test_open();
	struct reading r = {.store = s, .lock = PTHREAD_MUTEX_INITIALIZER};
	struct raft_snapshot meta = {.index = 500, .term = 2};
	pthread_t threads[3];
	struct ca_db db;
	struct err e = {0};

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, read_on, &r), 0);
	for (uint64_t i = 1; i <= 50; i++) {
		test_apply(s, i * 2 - 1, i * 2, 1);
		assert_int_equal(store_state_commit(s, &e), E_OK);
	}
	assert_int_equal(store_install_begin(s, &e), E_OK);
	assert_int_equal(store_install_db(s, &db, &e), E_OK);
	for (uint64_t i = 1; i <= 500; i++)
		assert_int_equal(test_put_rows(db, i, &e), E_OK);
	if (store_install_finish(s, &meta, NULL, &e) != E_OK)
		fail_msg("%s", e.text);
	test_apply(s, 501, 510, 2);
	assert_int_equal(store_state_commit(s, &e), E_OK);
	pthread_mutex_lock(&r.lock);
	r.stop = true;
	pthread_mutex_unlock(&r.lock);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(r.wrong, 0);
	assert_true(r.reads >= 3);
	store_close(s);
}

/* ---- Whose directory it is ---- */

static void a_directory_belongs_to_one_node(void **state)
{
	static const struct {
		const char *why;
		uint64_t node;
		uint8_t domain;
		enum code want;
	} rows[] = {
	    {"itself", 3, 'd', E_OK},
	    {"another node", 4, 'd', E_CONFLICT},
	    {"another trust domain", 3, 'e', E_CONFLICT},
	};
	struct store *s = test_open();
	struct store_identity id = {.trust_domain = "d", .node_id = 3}, got;
	struct err e = {0};

	(void)state;
	assert_int_equal(store_identity(s, &got, &e), E_NOTFOUND);
	assert_int_equal(store_bind(s, &id, &e), E_OK);
	store_close(s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		s = test_open();
		assert_int_equal(store_identity(s, &got, &e), E_OK);
		assert_memory_equal(&got, &id, sizeof(id));
		got.node_id = rows[i].node;
		got.trust_domain[0] = rows[i].domain;
		if (store_bind(s, &got, &e) != rows[i].want)
			fail_msg("%s: %s", rows[i].why, e.text);
		store_close(s);
	}
	assert_non_null(strstr(e.text, "belongs to node 3"));
}

static void parts_of_two_nodes_are_refused(void **state)
{
	struct store *s;
	struct store_identity id = {.trust_domain = "d"};
	struct err e = {0};

	(void)state;
	for (id.node_id = 1; id.node_id <= 2; id.node_id++) {
		s = test_open();
		assert_int_equal(store_bind(s, &id, &e), E_OK);
		store_close(s);
		if (id.node_id == 1) {
			char kept[PATH_MAX + 64];

			snprintf(kept, sizeof(kept), "%s/kept", test_dir);
			assert_int_equal(rename(test_path("state"), kept), 0);
			test_remove_tree(test_path("raft"));
			test_remove_tree(test_path("store.lock"));
		}
	}
	{
		char state_dir[PATH_MAX + 64];

		snprintf(state_dir, sizeof(state_dir), "%s/state", test_dir);
		test_remove_tree(state_dir);
		assert_int_equal(rename(test_path("kept"), state_dir), 0);
	}
	assert_int_equal(test_try_open(&s, &e), E_CONFLICT);
	assert_non_null(strstr(e.text, "raft/ is of node 2"));
	assert_non_null(strstr(e.text, "state/ of node 1"));
}

/* A raft id is never used twice: its votes are in the log that is gone. */
static void a_node_that_lost_its_log_does_not_start(void **state)
{
	static const char *const gone[][2] = {
	    {"raft", "raft"}, {"raft", "state"}};
	struct store_identity id = {.trust_domain = "d", .node_id = 3};
	struct err e = {0};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct store *s = test_open();

		assert_int_equal(store_bind(s, &id, &e), E_OK);
		store_close(s);
		test_remove_tree(test_path(gone[i][0]));
		test_remove_tree(test_path(gone[i][1]));
		assert_int_equal(test_try_open(&s, &e), E_CORRUPT);
		assert_non_null(strstr(e.text, "raft/ was lost"));
		test_remove_tree(test_dir);
	}
}

static void the_default_map_can_be_had(void **state)
{
	struct store_config c = {.dir = test_dir};
	struct store *s;
	struct err e = {0};

	(void)state;
	assert_int_equal(store_open(&s, &c, &e), E_OK);
	test_apply(s, 1, 10, 1);
	assert_int_equal(store_state_commit(s, &e), E_OK);
	store_close(s);
}

static void one_process_at_a_time(void **state)
{
	struct store *s = test_open(), *second;
	struct err e = {0};

	(void)state;
	assert_int_equal(test_try_open(&second, &e), E_CONFLICT);
	assert_non_null(strstr(e.text, "in use by another process"));
	store_close(s);
	s = test_open();
	store_close(s);
}

static void bootstrap_writes_the_first_entries_once(void **state)
{
	struct store_config c = test_config();
	struct store_identity id = {.trust_domain = "d", .node_id = 1}, got;
	struct raft_entry entries[2] = {test_entry(1, 1), test_entry(2, 1)};
	struct raft_hard_state hs = {.term = 1, .vote = 1, .commit = 2};
	struct raft_conf_state cs;
	struct raft_storage st;
	struct store *s;
	struct err e = {0};

	(void)state;
	assert_int_equal(store_bootstrap(&c, &id, &hs, entries, 2, &e), E_OK);
	assert_int_equal(
	    store_bootstrap(&c, &id, &hs, entries, 2, &e), E_EXISTS);
	s = test_open();
	assert_int_equal(store_identity(s, &got, &e), E_OK);
	assert_int_equal(store_applied(s), 0);
	assert_int_equal(test_read(s, 1, 3, 1), 0);
	store_raft_storage(s, &st);
	assert_int_equal(st.initial_state(st.ctx, &hs, &cs), RAFT_OK);
	assert_int_equal(hs.commit, 2);
	store_close(s);
}

/* ---- What cannot be opened ---- */

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	for (int i = 0; i < 2000; i++)
		fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void what_is_not_a_database_is_noticed(void **state)
{
	struct store *s = test_open();
	struct err e = {0};

	(void)state;
	store_close(s);
	write_file(test_path("state/data.mdb"), "not a database ");
	store_close(test_open());
	assert_true(test_exists("state.damaged"));
	write_file(test_path("raft/data.mdb"), "not a database ");
	assert_int_equal(test_try_open(&s, &e), E_CORRUPT);
	assert_non_null(strstr(e.text, "is no meta page"));
	assert_non_null(strstr(e.text, "remove this node and join a new one"));
}

static void a_file_that_was_cut_is_refused(void **state)
{
	struct store *s = test_open();
	struct err e = {0};

	(void)state;
	for (uint64_t i = 1; i < 400; i += 100)
		test_append(s, i, i + 99, 1);
	store_close(s);
	assert_int_equal(truncate(test_path("raft/data.mdb"), 3 * 4096), 0);
	assert_int_equal(test_try_open(&s, &e), E_CORRUPT);
}

static void the_two_folders_cannot_be_exchanged(void **state)
{
	char a[PATH_MAX + 64], b[PATH_MAX + 64], c[PATH_MAX + 64];
	struct store *s = test_open();
	struct err e = {0};

	(void)state;
	store_close(s);
	snprintf(a, sizeof(a), "%s/raft", test_dir);
	snprintf(b, sizeof(b), "%s/state", test_dir);
	snprintf(c, sizeof(c), "%s/between", test_dir);
	assert_int_equal(rename(a, c), 0);
	assert_int_equal(rename(b, a), 0);
	assert_int_equal(rename(c, b), 0);
	assert_int_equal(test_try_open(&s, &e), E_CORRUPT);
	assert_non_null(strstr(e.text, "is not what its name says"));
}

static void a_newer_format_is_not_touched(void **state)
{
	/* CRC-32C of "format", u32 2, u8 1; then these bytes. */
	static uint8_t row[9] = {0, 0, 0, 0, 0, 0, 0, 2, 1};
	struct store *s = test_open();
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi meta;
	MDB_val key = {.mv_size = 6, .mv_data = (void *)"format"},
		val = {.mv_size = sizeof(row), .mv_data = row};
	struct err e = {0};

	(void)state;
	store_close(s);
	put_u32be(row, crc32c(crc32c(0, "format", 6), row + 4, 5));
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 2), 0);
	assert_int_equal(mdb_env_open(env, test_path("raft"), 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
	assert_int_equal(mdb_put(txn, meta, &key, &val, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	assert_int_equal(test_try_open(&s, &e), E_UNSUPPORTED);
	assert_non_null(strstr(e.text, "install a newer quorated"));
}

static void a_folder_of_another_user_is_refused(void **state)
{
	struct store *s = test_open();
	int status;
	pid_t child;

	(void)state;
	store_close(s);
	if (getuid() != 0)
		skip();
	assert_int_equal(chmod(test_dir, 0755), 0);
	child = fork();
	if (child == 0) {
		struct err e = {0};

		if (setuid(65534) != 0)
			_exit(2);
		_exit(test_try_open(&s, &e) == E_DENIED ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* ---- Space ---- */

static void space_below_the_reserve_is_refused_before_a_write(void **state)
{
	struct store_config c = test_config();
	struct store *s;
	uint64_t have;
	struct err e = {0};

	(void)state;
	c.reserve = 32ULL << 20;
	assert_int_equal(store_open(&s, &c, &e), E_OK);
	assert_int_equal(store_space(s, &have, &e), E_OK);
	assert_true(have <= TEST_MAP);
	assert_true(have > (48ULL << 20));
	assert_int_equal(store_space_check(s, 1 << 20, &e), E_OK);
	assert_int_equal(store_space_check(s, 33ULL << 20, &e), E_EXHAUSTED);
	assert_non_null(strstr(e.text, "kept in reserve"));
	store_close(s);
	c.reserve = UINT64_MAX;
	assert_int_equal(store_open(&s, &c, &e), E_OK);
	assert_int_equal(store_space_check(s, 0, &e), E_EXHAUSTED);
	store_close(s);
}

static void a_full_map_is_an_error_and_changes_nothing(void **state)
{
	static uint8_t big[100000];
	struct store_config c = test_config();
	struct raft_entry entry = {
	    .term = 1, .data = {.p = big, .len = sizeof(big)}};
	struct store *s;
	struct err e = {0};
	uint64_t last;
	enum code rc;

	(void)state;
	c.map_size = 2 << 20;
	assert_int_equal(store_open(&s, &c, &e), E_OK);
	do {
		entry.index = store_last_index(s) + 1;
		rc = store_append(s, NULL, &entry, 1, &e);
	} while (rc == E_OK && entry.index < 100);
	assert_int_equal(rc, E_IO);
	assert_non_null(strstr(e.text, "raise store.map_size"));
	last = store_last_index(s);
	assert_int_equal(last, entry.index - 1);
	store_close(s);
	c.map_size = 8 << 20;
	assert_int_equal(store_open(&s, &c, &e), E_OK);
	assert_int_equal(store_last_index(s), last);
	entry.index = last + 1;
	assert_int_equal(store_append(s, NULL, &entry, 1, &e), E_OK);
	store_close(s);
}

static void a_cut_log_gives_its_space_back(void **state)
{
	struct store *s = test_open();
	struct stat st;
	struct err e = {0};
	off_t early = 0;

	(void)state;
	for (uint64_t i = 1; i <= 200; i++) {
		test_apply(s, i * 50 - 49, i * 50, 1);
		assert_int_equal(store_state_commit(s, &e), E_OK);
		assert_int_equal(store_compact(s, i * 50, &e), E_OK);
		assert_int_equal(stat(test_path("raft/data.mdb"), &st), 0);
		if (i == 20)
			early = st.st_size;
	}
	assert_true(st.st_size <= 2 * early);
	store_close(s);
}

/* Rows that are written again and again: the same pages serve, as long as
 * nobody reads what was; and again once they have ended. */
static off_t rewrite(struct store *s, uint64_t *index, int turns)
{
	uint8_t key[8] = {0}, val[2000] = {0};
	struct stat st;
	struct ca_db db;
	struct err e = {0};

	store_state_db(s, &db);
	for (int i = 0; i < turns; i++) {
		++*index;
		test_append(s, *index, *index, 1);
		for (uint8_t k = 0; k < 50; k++) {
			key[7] = k;
			val[0]++;
			assert_int_equal(
			    db.ops->put(db.ctx, CA_T_NODE, span_of(key, 8),
				span_of(val, sizeof(val)), &e),
			    E_OK);
		}
		assert_int_equal(
		    store_state_set_applied(s, *index, 1, NULL, &e), E_OK);
		assert_int_equal(store_state_commit(s, &e), E_OK);
	}
	assert_int_equal(stat(test_path("state/data.mdb"), &st), 0);
	return st.st_size;
}

static void pages_are_used_again_once_no_reader_sees_them(void **state)
{
	struct store *s = test_open();
	struct store_read *r;
	struct ca_db db;
	struct err e = {0};
	uint64_t index = 0;
	off_t alone, with_short, with_long;

	(void)state;
	alone = rewrite(s, &index, 20);
	assert_int_equal(store_oldest_read_ms(s), 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(store_read_begin(s, &r, &db, &e), E_OK);
		with_short = rewrite(s, &index, 1);
		store_read_end(r);
	}
	assert_true(with_short < 2 * alone);
	assert_int_equal(store_read_begin(s, &r, &db, &e), E_OK);
	with_long = rewrite(s, &index, 100);
	assert_true(with_long > 5 * with_short); /* what a long one costs */
	assert_true(store_oldest_read_ms(s) > 0);
	store_read_end(r);
	assert_int_equal(store_oldest_read_ms(s), 0);
	assert_true(rewrite(s, &index, 300) <= with_long + with_long / 10);
	store_close(s);
}

static void dead_readers_are_cleared(void **state)
{
	struct store *s = test_open();
	unsigned freed = 99;
	struct err e = {0};

	(void)state;
	assert_int_equal(store_reader_check(s, &freed, &e), E_OK);
	assert_int_equal(freed, 0);
	store_close(s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, test_setup, test_teardown)
	const struct CMUnitTest tests[] = {
	    T(rows_are_seen_before_they_are_committed),
	    T(without_a_commit_only_the_last_turns_are_replayed),
	    T(every_configuration_comes_back),
	    T(an_applied_index_only_grows_within_the_log),
	    T(tables_do_not_run_into_each_other),
	    T(a_borrowed_value_may_be_put_again),
	    T(a_reader_sees_one_committed_state),
	    T(readers_on_threads_see_whole_states),
	    T(a_directory_belongs_to_one_node),
	    T(parts_of_two_nodes_are_refused),
	    T(a_node_that_lost_its_log_does_not_start),
	    T(the_default_map_can_be_had),
	    T(one_process_at_a_time),
	    T(bootstrap_writes_the_first_entries_once),
	    T(what_is_not_a_database_is_noticed),
	    T(a_file_that_was_cut_is_refused),
	    T(the_two_folders_cannot_be_exchanged),
	    T(a_newer_format_is_not_touched),
	    T(a_folder_of_another_user_is_refused),
	    T(space_below_the_reserve_is_refused_before_a_write),
	    T(a_full_map_is_an_error_and_changes_nothing),
	    T(a_cut_log_gives_its_space_back),
	    T(pages_are_used_again_once_no_reader_sees_them),
	    T(dead_readers_are_cleared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
