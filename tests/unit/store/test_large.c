/* test_large.c -- a table so deep that its pages are checked by several
 * threads: nothing that one thread would find passes. */
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
#define ROWS 2400
#define COMMIT 200  /* rows in a transaction */
#define KEY_LEN 400 /* nine keys fill a page: four levels */
#define STEP 5      /* of the pages that are tried */
#define FILE_MAX (8U << 20)
#define STATE "state/data.mdb"

struct file {
	uint8_t *p;
	size_t len;
};
static struct file now, old;

static struct file get(void)
{
	FILE *f = fopen(test_path(STATE), "rb");
	struct file out = {.p = malloc(FILE_MAX)};

	assert_non_null(f);
	assert_non_null(out.p);
	out.len = fread(out.p, 1, FILE_MAX, f);
	assert_true(out.len < FILE_MAX);
	assert_int_equal(fclose(f), 0);
	return out;
}

static void put(const uint8_t *p, size_t len)
{
	FILE *f;

	test_remove_tree(test_path("state"));
	test_remove_tree(test_path("state.damaged"));
	assert_int_equal(mkdir(test_path("state"), 0700), 0);
	f = fopen(test_path(STATE), "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

/* Not in order: pages are split everywhere. */
static void key_of(uint8_t key[KEY_LEN], uint64_t i)
{
	memset(key, 'k', KEY_LEN);
	put_u64be(key, i * 7919 % ROWS);
}

static int make_rows(void **state)
{
	const struct store_identity id = {.node_id = 3};
	uint8_t key[KEY_LEN], val[8];
	struct store *s;
	struct ca_db db;
	struct err e = {0};

	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	if (test_setup(state) != 0)
		return -1;
	s = test_open();
	assert_int_equal(store_bind(s, &id, &e), E_OK);
	store_state_db(s, &db);
	for (uint64_t i = 0; i < ROWS; i++) {
		key_of(key, i);
		put_u64be(val, i);
		assert_int_equal(
		    db.ops->put(db.ctx, CA_T_CLUSTER, span_of(key, KEY_LEN),
			span_of(val, 8), &e),
		    E_OK);
		if (i % COMMIT == COMMIT - 1)
			assert_int_equal(store_state_commit(s, &e), E_OK);
		if (i == ROWS - 2 * COMMIT)
			old = get();
	}
	store_close(s);
	now = get();
	return 0;
}

static int drop_rows(void **state)
{
	free(now.p);
	free(old.p);
	return test_teardown(state);
}

static enum code count(
    void *arg, enum ca_table t, struct span key, struct span val, struct err *e)
{
	uint8_t want[KEY_LEN];

	(void)t;
	key_of(want, get_u64be(val.p));
	if (!span_eq(key, span_of(want, KEY_LEN)))
		return err_set(e, E_INTERNAL, "a wrong row");
	++*(size_t *)arg;
	return E_OK;
}

/* Set aside, or as it was. */
static bool noticed(const char *how, size_t page)
{
	struct store_config c = test_config();
	struct store_read *r;
	struct store *s;
	struct ca_db db;
	struct err e = {0};
	size_t rows = 0;
	enum code rc;
	bool aside;

	c.has_peers = true;
	if (store_open(&s, &c, &e) != E_OK)
		fail_msg("%s page %zu: %s", how, page, e.text);
	aside = test_exists("state.damaged");
	assert_int_equal(store_read_begin(s, &r, &db, &e), E_OK);
	rc = db.ops->scan(db.ctx, CA_T_CLUSTER, SPAN_EMPTY, count, &rows, &e);
	if (rc != E_NOTFOUND && rc != E_CORRUPT)
		fail_msg("%s page %zu: %s", how, page, e.text);
	if (rc == E_NOTFOUND && rows != (aside ? 0 : ROWS))
		fail_msg("%s page %zu: %zu rows", how, page, rows);
	store_read_end(r);
	store_close(s);
	return aside || rc == E_CORRUPT;
}

static unsigned sweep(const char *how, bool (*damage)(uint8_t *, size_t))
{
	uint8_t *p = malloc(now.len);
	unsigned found = 0;

	assert_non_null(p);
	for (size_t page = 2; page + 1 < now.len / PAGE; page += STEP) {
		memcpy(p, now.p, now.len);
		if (!damage(p + page * PAGE, page))
			continue;
		put(p, now.len);
		found += noticed(how, page);
	}
	free(p);
	return found;
}

static bool lose(uint8_t *p, size_t page)
{
	(void)page;
	memset(p, 0, PAGE);
	return true;
}

static bool age(uint8_t *p, size_t page)
{
	if ((page + 1) * PAGE > old.len)
		return false;
	memcpy(p, old.p + page * PAGE, PAGE);
	return true;
}

/* The next page's, with this one's number. */
static bool exchange(uint8_t *p, size_t page)
{
	memcpy(p + sizeof(page), p + PAGE + sizeof(page), PAGE - sizeof(page));
	memcpy(p, &page, sizeof(page));
	return true;
}

static void no_damage_to_a_deep_table_passes(void **state)
{
	(void)state;
	put(now.p, now.len);
	assert_false(noticed("no", 0));
	assert_true(sweep("a lost", lose) > 50);
	assert_true(sweep("an old", age) > 10);
	assert_true(sweep("an exchanged", exchange) > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		no_damage_to_a_deep_table_passes, make_rows, drop_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
