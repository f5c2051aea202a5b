/* test_power.c -- what is acknowledged survives: a process killed at any
 * moment, and a power cut at any write.
 *
 * kill -9 leaves the page cache alone, so it shows only that transactions are
 * whole.  For power, tests/power stands between LMDB and the kernel.
 *
 * The same run with MDB_NOSYNC must lose data, else the layer would prove
 * nothing. */
#include <errno.h>
#include <lmdb.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../power/power.h"
#include "help.h"

static void gone(struct power *p)
{
	power_cut(p);
	_exit(77);
}

static struct power power = {.on_cut = gone};

static uint64_t draw(uint64_t below)
{
	return power_draw(&power, below);
}

/* ---- The load -------------------------------------------------------------
 */

#define WINDOW 4096 /* terms remembered, by index */
#define LOG_MAX 300 /* entries; beyond it the load applies and cuts */

/* What must be on disk.  Memory shared with the child: it writes what it is
 * about to do into the other slot, does it, and then names that one. */
struct slot {
	uint64_t first, last, applied, term, vote;
	uint64_t terms[WINDOW];
};
struct shared {
	struct slot slots[2];
	atomic_int acked;  /* the slot that is acknowledged */
	atomic_int ops;    /* operations acknowledged since the start */
	struct slot found; /* by the check */
	char why[700];
};
static struct shared *shared;

static struct raft_entry load_entry(uint64_t index, uint64_t term)
{
	static uint8_t data[64][2600];
	uint8_t *p = data[index % 64];
	size_t len = (index * 7919 + term * 104729) % sizeof(data[0]);

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(index * 31 + term * 17 + i * (i >> 3));
	return (struct raft_entry){
	    .term = term, .index = index, .data = {.p = p, .len = len}};
}

static enum code load_append(
    struct store *s, struct slot *next, uint64_t from, size_t n, struct err *e)
{
	struct raft_entry entries[16];
	struct raft_hard_state hs = {
	    .term = next->term, .vote = next->vote, .commit = next->applied};

	for (size_t i = 0; i < n; i++) {
		entries[i] = load_entry(from + i, next->term);
		next->terms[(from + i) % WINDOW] = next->term;
	}
	if (n > 0)
		next->last = from + n - 1;
	return store_append(s, &hs, entries, n, e);
}

static enum code load_apply(struct store *s, struct slot *next, struct err *e)
{
	uint64_t to = next->applied + 1 + draw(20);
	struct ca_db db;
	enum code rc = E_OK;

	store_state_db(s, &db);
	while (next->applied < to && next->applied < next->last && rc == E_OK) {
		next->applied++;
		rc = test_put_rows(db, next->applied, e);
		if (rc == E_OK)
			rc = store_state_set_applied(s, next->applied,
			    next->terms[next->applied % WINDOW], NULL, e);
	}
	return rc == E_OK ? store_state_commit(s, e) : rc;
}

static enum code one_operation(
    struct store *s, struct slot *next, struct err *e)
{
	uint64_t what = draw(100), from;

	if (next->last + 1 - next->first > LOG_MAX)
		what = draw(2) == 0 ? 75 : 95;
	if (what < 65)
		return load_append(s, next, next->last + 1, 1 + draw(16), e);
	if (what < 72) { /* a new leader replaces a suffix */
		next->term++;
		next->vote = draw(5);
		from = next->last > next->applied + 6 ? next->last - 5
						      : next->applied + 1;
		return load_append(s, next, from, 1 + draw(4), e);
	}
	if (what < 88)
		return load_apply(s, next, e);
	if (what < 94) {
		next->term++;
		next->vote = draw(5);
		return load_append(s, next, 0, 0, e);
	}
	if (next->applied > next->first + 10)
		next->first = next->applied - draw(10);
	return store_compact(s, next->first - 1, e);
}

static struct slot *intend(void)
{
	int acked = atomic_load(&shared->acked);

	shared->slots[!acked] = shared->slots[acked];
	return &shared->slots[!acked];
}

static void load(unsigned raft_flags, long cut)
{
	struct store_config c = test_config();
	struct store *s;
	struct err e = {0};

	c.raft_flags = raft_flags;
	if (cut != 0 || power.fail_in != 0) {
		power_watch(&power, test_path("raft/data.mdb"), true);
		power_watch(&power, test_path("state/data.mdb"), true);
	}
	power.cut_in = cut;
	power_on = &power;
	if (store_open(&s, &c, &e) != E_OK) {
		fprintf(stderr, "load: %s\n", e.text);
		_exit(1);
	}
	for (;;) {
		if (one_operation(s, intend(), &e) != E_OK) {
			if (power.fail_with != 0 && e.code == E_IO)
				_exit(78);
			fprintf(stderr, "load: %s\n", e.text);
			_exit(2);
		}
		atomic_store(&shared->acked, !atomic_load(&shared->acked));
		atomic_fetch_add(&shared->ops, 1);
	}
}

/* ---- The check, in a child: a damaged database may kill it ----------------
 */

static bool same_log(
    const struct slot *want, struct store *s, const struct raft_hard_state *hs)
{
	return want->first == store_first_index(s) &&
	       want->last == store_last_index(s) &&
	       want->applied == store_applied(s) && want->term == hs->term &&
	       want->vote == hs->vote;
}

static bool same_entries(const struct slot *want, struct store *s)
{
	struct raft_storage st;
	struct raft_entry *out;
	uint64_t i = want->first;
	size_t n, k;
	bool same = true;

	store_raft_storage(s, &st);
	while (same && i <= want->last) {
		if (st.entries(st.ctx, i, want->last + 1, 65536, &out, &n) !=
		    RAFT_OK)
			return false;
		for (k = 0; k < n && same; k++, i++) {
			struct raft_entry e =
			    load_entry(i, want->terms[i % WINDOW]);

			same =
			    out[k].term == e.term &&
			    out[k].data.len == e.data.len &&
			    (e.data.len == 0 || memcmp(out[k].data.p, e.data.p,
						    e.data.len) == 0);
		}
		free(out);
	}
	return same;
}

static void check(void)
{
	struct raft_hard_state hs;
	struct raft_conf_state cs;
	struct raft_storage st;
	struct store *s;
	struct err e = {0};
	struct ca_db db;

	if (test_try_open(&s, &e) != E_OK) {
		snprintf(shared->why, sizeof(shared->why), "%s", e.text);
		_exit(1);
	}
	store_raft_storage(s, &st);
	if (st.initial_state(st.ctx, &hs, &cs) != RAFT_OK)
		_exit(1);
	for (int i = 0; i < 2; i++) {
		const struct slot *want = &shared->slots[i];

		if (!same_log(want, s, &hs) || !same_entries(want, s))
			continue;
		store_state_db(s, &db);
		if (test_check_rows(db, want->applied, &e) != E_OK)
			break;
		shared->found = *want;
		store_close(s);
		_exit(0);
	}
	snprintf(shared->why, sizeof(shared->why),
	    "the log is %d..%d, applied %d, term %d; acknowledged: %d..%d, "
	    "%d, %d. %s",
	    (int)store_first_index(s), (int)store_last_index(s),
	    (int)store_applied(s), (int)hs.term,
	    (int)shared->slots[shared->acked].first,
	    (int)shared->slots[shared->acked].last,
	    (int)shared->slots[shared->acked].applied,
	    (int)shared->slots[shared->acked].term, e.text);
	_exit(1);
}

/* True if everything acknowledged is there. */
static bool survived(void)
{
	int status;
	pid_t child;

	shared->why[0] = '\0';
	child = fork();
	if (child == 0)
		check();
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return false;
	shared->slots[0] = shared->slots[1] = shared->found;
	return true;
}

static void begin_anew(void)
{
	struct store *s;

	test_remove_tree(test_path("raft"));
	test_remove_tree(test_path("state"));
	s = test_open();
	store_close(s);
	memset(shared, 0, sizeof(*shared));
	shared->slots[0].first = shared->slots[1].first = 1;
	shared->slots[0].term = shared->slots[1].term = 1;
	power.rng = 88172645463325252ULL;
	for (int i = 0; i < 2; i++) { /* term 1 is in the hard state */
		struct err e = {0};
		struct raft_hard_state hs = {.term = 1};

		s = test_open();
		assert_int_equal(store_append(s, &hs, NULL, 0, &e), E_OK);
		store_close(s);
	}
}

/* Cuts in which something was lost. */
static int cut_the_power(unsigned raft_flags, int cuts, int *acked)
{
	int lost = 0, status;

	begin_anew();
	*acked = 0;
	for (int i = 0; i < cuts; i++) {
		long cut = 1 + (long)draw(300);
		pid_t child;

		atomic_store(&shared->ops, 0);
		child = fork();
		if (child == 0) {
			power.rng += (uint64_t)i * 7919;
			load(raft_flags, cut);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 77)
			fail_msg("cut %d: the load ended with %d", i, status);
		*acked += atomic_load(&shared->ops);
		if (survived())
			continue;
		lost++;
		if (raft_flags == 0)
			fail_msg(
			    "cut %d after %ld events: %s", i, cut, shared->why);
		begin_anew();
		power.rng += (uint64_t)i * 104729 + 1;
	}
	return lost;
}

static void a_power_cut_loses_nothing_acknowledged(void **state)
{
	int acked, lost = cut_the_power(0, 200, &acked);

	(void)state;
	print_message("synced: 200 power cuts, %d operations acknowledged, %d "
		      "cuts lost one\n",
	    acked, lost);
	assert_int_equal(lost, 0);
	assert_true(acked > 1000);
}

static void without_sync_a_power_cut_loses_data(void **state)
{
	int acked, lost = cut_the_power(MDB_NOSYNC, 40, &acked);

	(void)state;
	print_message("MDB_NOSYNC: 40 power cuts, %d operations acknowledged, "
		      "%d cuts lost some: as it must be\n",
	    acked, lost);
	assert_true(lost >= 20);
}

/* ---- A snapshot ---- */

static void install(long cut)
{
	struct raft_snapshot meta = {.index = 20, .term = 1};
	struct store *s;
	struct ca_db db;
	struct err e = {0};

	power_watch(&power, test_path("raft/data.mdb"), true);
	power_on = &power;
	if (test_try_open(&s, &e) != E_OK ||
	    store_install_begin(s, &e) != E_OK ||
	    store_install_db(s, &db, &e) != E_OK)
		_exit(1);
	power_watch(&power, test_path("state.new/data.mdb"), false);
	for (uint64_t i = 1; i <= 20; i++) {
		if (test_put_rows(db, i, &e) != E_OK)
			_exit(2);
	}
	power.cut_in = cut;
	_exit(store_install_finish(s, &meta, NULL, &e) == E_OK ? 0 : 3);
}

/* Ten entries, applied; beside them what an installation would make of it. */
static void ten_entries(void)
{
	struct slot *is = &shared->slots[0];
	struct store *s;
	struct err e = {0};

	begin_anew();
	s = test_open();
	assert_int_equal(load_append(s, is, 1, 10, &e), E_OK);
	while (is->applied < 10)
		assert_int_equal(load_apply(s, is, &e), E_OK);
	store_close(s);
	shared->slots[1] =
	    (struct slot){.first = 21, .last = 20, .applied = 20, .term = 1};
}

static void a_power_cut_in_an_installation_leaves_one_state(void **state)
{
	int cuts = 0, old = 0;

	(void)state;
	for (long cut = 1;; cut++) {
		for (int again = 0; again < 5; again++) {
			int status;
			pid_t child;

			ten_entries();
			child = fork();
			if (child == 0) {
				power.rng += (uint64_t)(cut * 31 + again);
				install(cut);
			}
			assert_int_equal(waitpid(child, &status, 0), child);
			assert_true(WIFEXITED(status));
			if (WEXITSTATUS(status) == 0)
				goto out;
			assert_int_equal(WEXITSTATUS(status), 77);
			if (!survived())
				fail_msg("cut %ld: %s", cut, shared->why);
			cuts++;
			old += shared->found.applied == 10;
		}
	}
out:
	print_message(
	    "installing: %d power cuts, %d before the swap\n", cuts, old);
	assert_true(old >= 5 && cuts - old >= 5);
}

/* The process ends at the first error of a write; nothing that was
 * acknowledged before is lost. */
static void an_error_of_the_disk_ends_the_run(void **state)
{
	static const int errors[] = {EIO, ENOSPC};
	int status;

	(void)state;
	begin_anew();
	for (int i = 0; i < 60; i++) {
		pid_t child;

		draw(2);
		child = fork();
		if (child == 0) {
			power.fail_in = 5 + (long)draw(60);
			power.fail_with = errors[i % 2];
			load(0, 0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 78)
			fail_msg("error %d: the load ended with %d", i, status);
		if (!survived())
			fail_msg("error %d: %s", i, shared->why);
	}
}

static void kill_9_loses_nothing_acknowledged(void **state)
{
	int acked = 0, status;

	(void)state;
	begin_anew();
	for (int i = 0; i < 200; i++) {
		useconds_t after = (useconds_t)draw(8000);
		pid_t child;

		atomic_store(&shared->ops, 0);
		child = fork();
		if (child == 0) {
			power.rng += (uint64_t)i * 7919;
			load(0, 0);
		}
		while (atomic_load(&shared->ops) == 0 &&
		       waitpid(child, &status, WNOHANG) == 0)
			usleep(100);
		usleep(after);
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		acked += atomic_load(&shared->ops);
		if (!survived())
			fail_msg("kill %d: %s", i, shared->why);
	}
	print_message("kill -9: 200 kills, %d operations acknowledged, none "
		      "lost\n",
	    acked);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, test_setup, test_teardown)
	const struct CMUnitTest tests[] = {
	    T(a_power_cut_loses_nothing_acknowledged),
	    T(without_sync_a_power_cut_loses_data),
	    T(a_power_cut_in_an_installation_leaves_one_state),
	    T(an_error_of_the_disk_ends_the_run),
	    T(kill_9_loses_nothing_acknowledged),
	};

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
