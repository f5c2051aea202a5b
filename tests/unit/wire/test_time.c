/* test_time.c -- the time of an entry, found without decoding the rest: it is
 * what the decoder finds, for every kind, and never read past the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sample.h"

static void the_time_is_what_the_decoder_finds(void **state)
{
	static struct ca_entry en;

	(void)state;
	for (uint64_t seed = 0; seed < 300; seed++) {
		enum ca_kind kind = (enum ca_kind)(CA_GENESIS + seed % 7);
		struct wire_memory *mem;
		struct sample s;
		struct buf b;
		uint64_t t = 0;

		sample_init(&s, seed);
		buf_init(&b);
		assert_int_equal(sample_entry(&s, kind, &b, NULL), E_OK);
		assert_int_equal(
		    wire_entry_decode(buf_span(&b), &en, &mem, NULL), E_OK);
		/* A zero is not written. */
		if (en.time_ms != 0) {
			assert_int_equal(
			    wire_entry_time(buf_span(&b), &t, NULL), E_OK);
			assert_true(t == en.time_ms);
		}
		for (size_t cut = 0; cut < b.len && cut < 200; cut++) {
			uint8_t *p = malloc(cut + 1);

			memcpy(p, b.p, cut);
			(void)!wire_entry_time(span_of(p, cut), &t, NULL);
			free(p);
		}
		wire_free(mem);
		buf_free(&b);
		sample_free(&s);
	}
}

static void what_has_no_time_is_refused(void **state)
{
	uint64_t t;
	struct err e = {0};

	(void)state;
	assert_int_equal(wire_entry_time(SPAN_EMPTY, &t, &e), E_INVAL);
	assert_int_equal(
	    wire_entry_time(span_str("\x08\x01"), &t, &e), E_INVAL);
	assert_int_equal(
	    wire_entry_time(span_str("\x12\x7f"), &t, &e), E_INVAL);
	assert_int_equal(
	    wire_entry_time(span_str("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
				     "\xff\x01"),
		&t, &e),
	    E_INVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_time_is_what_the_decoder_finds),
	    cmocka_unit_test(what_has_no_time_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
