/* The duplicate window: once within a boot, whatever the order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/window.h"

static struct window w;

static int empty(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	return 0;
}

static void each_counter_is_accepted_once(void **state)
{
	(void)state;
	for (uint64_t n = 0; n < 3 * WINDOW_COUNTERS; n++) {
		assert_true(mesh_window_accept(&w, 5, n));
		assert_false(mesh_window_accept(&w, 5, n));
		assert_false(mesh_window_accept(&w, 5, n / 2));
	}
}

static void order_within_the_window_does_not_matter(void **state)
{
	const uint64_t base = 1000000;

	(void)state;
	/* 7 is coprime to the size: each counter once, far out of order */
	assert_true(mesh_window_accept(&w, 5, base));
	for (uint64_t i = 1; i < WINDOW_COUNTERS; i++)
		assert_true(
		    mesh_window_accept(&w, 5, base - i * 7 % WINDOW_COUNTERS));
	for (uint64_t i = 0; i < WINDOW_COUNTERS; i++)
		assert_false(mesh_window_accept(&w, 5, base - i));
}

static void edges_of_the_window(void **state)
{
	static const struct {
		const char *why;
		uint64_t boot, counter;
		bool want;
	} rows[] = {
	    {"first", 1, 10000, true},
	    {"oldest inside", 1, 10000 - WINDOW_COUNTERS + 1, true},
	    {"the same again", 1, 10000 - WINDOW_COUNTERS + 1, false},
	    {"just too old", 1, 10000 - WINDOW_COUNTERS, false},
	    {"one ahead", 1, 10001, true},
	    {"now too old, and seen", 1, 10000 - WINDOW_COUNTERS + 1, false},
	    {"a whole window ahead", 1, 10001 + WINDOW_COUNTERS, true},
	    {"a gap left behind", 1, 10002, true},
	    {"outside, seen", 1, 10001, false},
	    {"the greatest", 1, UINT64_MAX, true},
	    {"the greatest again", 1, UINT64_MAX, false},
	    {"zero after it", 1, 0, false},
	    {"zero of a new boot", 2, 0, true},
	    {"zero again", 2, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(
		    mesh_window_accept(&w, rows[i].boot, rows[i].counter),
		    rows[i].want);
}

static void a_late_message_of_an_old_boot_changes_nothing(void **state)
{
	(void)state;
	assert_true(mesh_window_accept(&w, 1, 100));
	assert_true(mesh_window_accept(&w, 2, 1));
	/* one that was still on its way, and a replay */
	assert_true(mesh_window_accept(&w, 1, 101));
	assert_false(mesh_window_accept(&w, 1, 100));
	/* the present boot remembers */
	assert_false(mesh_window_accept(&w, 2, 1));
	assert_true(mesh_window_accept(&w, 2, 2));
}

/* By design: what a forgotten boot sent is accepted once more, then dropped,
 * and the boot that is talking stays remembered throughout. */
static void replays_of_forgotten_boots_are_accepted_once(void **state)
{
	(void)state;
	for (uint64_t boot = 1; boot <= 3 * WINDOW_BOOTS; boot++) {
		assert_true(mesh_window_accept(&w, 1000, boot));
		assert_true(mesh_window_accept(&w, boot, 1));
	}
	assert_true(mesh_window_accept(&w, 1, 1));
	assert_false(mesh_window_accept(&w, 1, 1));
	for (uint64_t n = 1; n <= 3 * WINDOW_BOOTS; n++)
		assert_false(mesh_window_accept(&w, 1000, n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(each_counter_is_accepted_once, empty),
	    cmocka_unit_test_setup(
		order_within_the_window_does_not_matter, empty),
	    cmocka_unit_test_setup(edges_of_the_window, empty),
	    cmocka_unit_test_setup(
		a_late_message_of_an_old_boot_changes_nothing, empty),
	    cmocka_unit_test_setup(
		replays_of_forgotten_boots_are_accepted_once, empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
