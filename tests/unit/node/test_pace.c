/* test_pace.c -- raft's clock where peers are far. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "node/pace.h"

static void the_least_round_trip_counts(void **state)
{
	struct rtt r = {0};

	(void)state;
	assert_int_equal(rtt_ms(&r), 0);
	rtt_note(&r, 1000, 180);
	rtt_note(&r, 2000, 3000); /* somebody was asleep */
	assert_int_equal(rtt_ms(&r), 180);
	rtt_note(&r, 3000, 150);
	assert_int_equal(rtt_ms(&r), 150);
}

static void a_way_that_became_longer_is_noticed_in_half_a_minute(void **state)
{
	struct rtt r = {0};

	(void)state;
	for (uint64_t now = 1000; now <= 20000; now += 1000)
		rtt_note(&r, now, 20);
	for (uint64_t now = 21000; now <= 36000; now += 1000)
		rtt_note(&r, now, 200);
	assert_int_equal(rtt_ms(&r), 20);
	for (uint64_t now = 37000; now <= 53000; now += 1000)
		rtt_note(&r, now, 200);
	assert_int_equal(rtt_ms(&r), 200);
}

static void ten_round_trips_fit_before_an_election(void **state)
{
	static const struct {
		unsigned configured;
		uint64_t election, rtt;
		unsigned want;
	} rows[] = {
	    {20, 1000, 0, 20},     /* not known */
	    {20, 1000, 100, 20},   /* what is configured is enough */
	    {20, 1000, 101, 21},   /* rounded up */
	    {20, 1000, 200, 40},   /* half the world */
	    {20, 1000, 5000, 200}, /* not more than ten times */
	    {1, 50, 40, 8},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(pace_tick_ms(rows[i].configured,
				     rows[i].election, rows[i].rtt),
		    rows[i].want);
}

/* By a clock that is a tenth slow, and less the ticks that come at once. */
static void a_lease_ends_before_an_election_can(void **state)
{
	(void)state;
	assert_int_equal(pace_lease_ms(50, 20), 828);
	assert_int_equal(pace_lease_ms(15, 2), 19);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_least_round_trip_counts),
	    cmocka_unit_test(
		a_way_that_became_longer_is_noticed_in_half_a_minute),
	    cmocka_unit_test(ten_round_trips_fit_before_an_election),
	    cmocka_unit_test(a_lease_ends_before_an_election_can),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
