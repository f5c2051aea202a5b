/* test_memory.c -- when memory is short, at any allocation, the answer is
 * E_NOMEM, nothing leaks, and what was durable still opens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "help.h"

static int fail_at; /* allocations until one fails; 0: never */

static bool out_of_memory(void)
{
	return fail_at != 0 && --fail_at == 0;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t n)
{
	return out_of_memory() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return out_of_memory() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return out_of_memory() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
	return out_of_memory() ? NULL : __real_strdup(s);
}

static enum code use_log(struct store *s, struct err *e)
{
	struct raft_storage st;
	struct raft_entry *out;
	struct store_read *read;
	struct ca_db db;
	size_t n;
	uint64_t next = store_last_index(s) + 1;
	enum code rc = test_append_one(s, next, 1, 0, e);

	if (rc != E_OK)
		return rc;
	store_raft_storage(s, &st);
	if (st.entries(st.ctx, next, next + 1, 1000, &out, &n) != RAFT_OK)
		return store_fault(s)->code;
	free(out);
	store_state_db(s, &db);
	if ((rc = test_put_rows(db, next, e)) != E_OK ||
	    (rc = store_state_set_applied(s, next, 1, NULL, e)) != E_OK ||
	    (rc = store_state_commit(s, e)) != E_OK ||
	    (rc = store_read_begin(s, &read, &db, e)) != E_OK)
		return rc;
	store_read_end(read);
	return E_OK;
}

static enum code copy_rows(
    struct store *s, struct store_snapshot *n, struct ca_db db, struct err *e)
{
	struct store_snapshot_pos pos = {0};
	const struct store_row *rows;
	size_t rows_n;
	enum code rc;

	(void)s;
	do {
		rc = store_snapshot_next(n, &pos, 100, &rows, &rows_n, e);
		for (size_t i = 0; i < rows_n && rc == E_OK; i++)
			rc = db.ops->put(
			    db.ctx, rows[i].table, rows[i].key, rows[i].val, e);
	} while (rc == E_OK && rows_n > 0);
	return rc;
}

static enum code use_snapshot(struct store *s, struct err *e)
{
	struct store_snapshot *n;
	struct raft_snapshot meta;
	struct ca_db db;
	enum code rc = store_snapshot_open(s, 1, &n, e);

	if (rc != E_OK)
		return rc;
	store_snapshot_meta(n, &meta);
	meta.index++; /* as if another had gone on */
	if ((rc = store_install_begin(s, e)) == E_OK &&
	    (rc = store_install_db(s, &db, e)) == E_OK &&
	    (rc = copy_rows(s, n, db, e)) == E_OK &&
	    (rc = test_put_rows(db, meta.index, e)) == E_OK)
		rc = store_install_finish(s, &meta, NULL, e);
	store_snapshot_close(n);
	return rc;
}

static enum code use_store(struct err *e)
{
	struct store_identity id = {.trust_domain = "d", .node_id = 1};
	struct store *s;
	enum code rc = test_try_open(&s, e);

	if (rc != E_OK)
		return rc;
	if ((rc = store_bind(s, &id, e)) == E_OK &&
	    (rc = use_log(s, e)) == E_OK)
		rc = use_snapshot(s, e);
	store_close(s);
	return rc;
}

static void every_allocation_may_fail(void **state)
{
	int at = 0;
	enum code rc;

	(void)state;
	do {
		struct err e = {0};

		fail_at = ++at;
		rc = use_store(&e);
		if (rc != E_OK && rc != E_NOMEM)
			fail_msg(
			    "allocation %d: %s: %s", at, code_name(rc), e.text);
		fail_at = fail_at > 0 ? fail_at : -1;
	} while (rc != E_OK || fail_at == -1);
	fail_at = 0;
	print_message("%d allocations failed in turn\n", at - 1);
	assert_true(at > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		every_allocation_may_fail, test_setup, test_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
