/* test_bulk.c -- index rows wait, and each arrives once and in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/internal.h"

#define ROWS 1000000U /* three batches */

struct seen {
	uint8_t *rows; /* how often each came */
	size_t n, falls;
	uint8_t last[1 + 16];
	size_t refuse_at; /* 0: never */
};

/* Numbers in no order, each once. */
static void key_of(uint32_t i, uint8_t out[16])
{
	memset(out, 0, 16);
	put_u32be(out, i * 2654435761U);
	put_u32be(out + 12, i);
}

static enum code put(
    void *ctx, enum ca_table t, struct span key, struct span val, struct err *e)
{
	struct seen *s = ctx;
	uint8_t now[1 + 16] = {(uint8_t)t}, want[16];
	uint32_t i;

	if (++s->n == s->refuse_at)
		return err_set(e, E_IO, "the disk");
	assert_int_equal(key.len, 16);
	assert_int_equal(val.len, 4);
	i = get_u32be(val.p);
	assert_true(i < ROWS);
	key_of(i, want);
	assert_memory_equal(key.p, want, 16);
	assert_int_equal(t, i % 3 == 0 ? CA_T_POD : CA_T_SERIAL);
	s->rows[i]++;
	memcpy(now + 1, key.p, 16);
	s->falls += memcmp(now, s->last, sizeof(now)) < 0;
	memcpy(s->last, now, sizeof(now));
	return E_OK;
}

static enum code add(struct bulk *b, uint32_t i, struct err *e)
{
	uint8_t key[16], val[4];

	key_of(i, key);
	put_u32be(val, i);
	return bulk_add(b, i % 3 == 0 ? CA_T_POD : CA_T_SERIAL,
	    span_of(key, 16), span_of(val, 4), e);
}

static void each_row_comes_once_and_in_order(void **state)
{
	struct seen s = {.rows = calloc(ROWS, 1)};
	struct bulk b = {.put = put, .ctx = &s};
	struct err e = {0};

	(void)state;
	assert_non_null(s.rows);
	for (uint32_t i = 0; i < ROWS; i++)
		assert_int_equal(add(&b, i, &e), E_OK);
	assert_true(s.n > 0 && s.n < ROWS); /* some wait */
	assert_int_equal(bulk_flush(&b, &e), E_OK);
	assert_int_equal(s.n, ROWS);
	for (uint32_t i = 0; i < ROWS; i++)
		assert_int_equal(s.rows[i], 1);
	assert_true(s.falls < 4);
	assert_int_equal(bulk_flush(&b, &e), E_OK);
	assert_int_equal(s.n, ROWS);
	bulk_free(&b);
	free(s.rows);
}

static void an_error_of_a_row_is_told(void **state)
{
	struct seen s = {.rows = calloc(ROWS, 1), .refuse_at = 5};
	struct bulk b = {.put = put, .ctx = &s};
	struct err e = {0};

	(void)state;
	assert_non_null(s.rows);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(add(&b, i, &e), E_OK);
	assert_int_equal(bulk_flush(&b, &e), E_IO);
	assert_string_equal(e.text, "the disk");
	bulk_free(&b);
	free(s.rows);
}

static void only_indexes_wait(void **state)
{
	(void)state;
	assert_true(bulk_takes(CA_T_SERIAL, 16, 8));
	assert_true(bulk_takes(CA_T_IDENTITY, 40, 0));
	assert_false(bulk_takes(CA_T_TREE, 9, 32)); /* is read back */
	assert_false(bulk_takes(CA_T_RECORD, 8, 700));
	assert_false(bulk_takes(CA_T_META, 7, 80));
	assert_false(bulk_takes(CA_T_SERIAL, 255, 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_row_comes_once_and_in_order),
	    cmocka_unit_test(an_error_of_a_row_is_told),
	    cmocka_unit_test(only_indexes_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
