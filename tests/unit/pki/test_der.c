/* The DER encoder: shortest forms, and nothing else is read back. */
#include "help.h"

#include "base/text.h"
#include "pki/der.h"

static void expect_hex(struct buf *b, const char *want)
{
	char *hex = calloc(2 * b->len + 1, 1);

	assert_non_null(hex);
	hex_encode(hex, b->p, b->len);
	assert_string_equal(hex, want);
	free(hex);
	buf_free(b);
}

static void integers_take_the_fewest_octets(void **state)
{
	static const struct {
		uint64_t v;
		const char *want;
	} rows[] = {
	    {0, "020100"},
	    {1, "020101"},
	    {127, "02017f"},
	    {128, "02020080"},
	    {255, "020200ff"},
	    {256, "02020100"},
	    {0x8000000000000000, "0209008000000000000000"},
	    {UINT64_MAX, "020900ffffffffffffffff"},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct buf b = {0};

		der_u64(&b, DER_INTEGER, rows[i].v);
		expect_hex(&b, rows[i].want);
	}
}

static void lengths_take_the_fewest_octets(void **state)
{
	static const struct {
		size_t len;
		const char *head;
		size_t head_len;
	} rows[] = {
	    {0, "\x30\x00", 2},
	    {127, "\x30\x7f", 2},
	    {128, "\x30\x81\x80", 3},
	    {255, "\x30\x81\xff", 3},
	    {256, "\x30\x82\x01\x00", 4},
	    {65535, "\x30\x82\xff\xff", 4},
	    {65536, "\x30\x83\x01\x00\x00", 5},
	};
	uint8_t *zeros = calloc(65536, 1);

	(void)state;
	assert_non_null(zeros);
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct buf put = {0}, ended = {0};
		struct span in, content, whole;

		der_put(&put, DER_SEQUENCE, span_of(zeros, rows[i].len));
		assert_int_equal(put.len, rows[i].head_len + rows[i].len);
		assert_memory_equal(put.p, rows[i].head, rows[i].head_len);
		buf_add(&ended, zeros, rows[i].len);
		der_end(&ended, 0, DER_SEQUENCE);
		assert_true(span_eq(buf_span(&put), buf_span(&ended)));
		in = buf_span(&put);
		assert_true(der_take(&in, DER_SEQUENCE, &content, &whole));
		assert_int_equal(content.len, rows[i].len);
		assert_int_equal(whole.len, put.len);
		assert_int_equal(in.len, 0);
		buf_free(&put);
		buf_free(&ended);
	}
	free(zeros);
}

static void named_bits_drop_trailing_zeros(void **state)
{
	static const struct {
		uint8_t bits;
		const char *want;
	} rows[] = {
	    {0x80, "03020780"},
	    {0xa0, "030205a0"},
	    {0x06, "03020106"},
	    {0x01, "03020001"},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct buf b = {0};

		der_named_bits(&b, rows[i].bits);
		expect_hex(&b, rows[i].want);
	}
}

static void years_from_2050_are_generalized(void **state)
{
	static const struct {
		uint64_t unix_s;
		unsigned tag;
		const char *want;
	} rows[] = {
	    {0, DER_UTC_TIME, "700101000000Z"},
	    {951782400, DER_UTC_TIME, "000229000000Z"},
	    {1795600000, DER_UTC_TIME, "261125094640Z"},
	    {2524607999, DER_UTC_TIME, "491231235959Z"},
	    {2524608000, DER_GENERALIZED_TIME, "20500101000000Z"},
	    {4107542399, DER_GENERALIZED_TIME, "21000228235959Z"},
	    {4107542400, DER_GENERALIZED_TIME, "21000301000000Z"},
	    {DER_TIME_MAX_S, DER_GENERALIZED_TIME, "99991231235959Z"},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct buf b = {0};
		struct span in, text;

		der_time(&b, rows[i].unix_s);
		in = buf_span(&b);
		assert_true(der_take(&in, rows[i].tag, &text, NULL));
		assert_true(span_eq_str(text, rows[i].want));
		buf_free(&b);
	}
}

static void times_are_read_as_written(void **state)
{
	uint64_t t = 0, got;

	(void)state;
	for (int i = 0; i < 100000; i++, t += 2534123 * (uint64_t)(i % 3)) {
		struct buf b = {0};
		struct span in;

		if (t > DER_TIME_MAX_S)
			t = DER_TIME_MAX_S;
		der_time(&b, t);
		in = buf_span(&b);
		assert_true(der_take_time(&in, &got));
		assert_true(got == t);
		assert_int_equal(in.len, 0);
		buf_free(&b);
	}
	assert_true(t >= DER_TIME_MAX_S);
}

static void times_that_are_none_are_refused(void **state)
{
	static const struct {
		unsigned tag;
		const char *text;
		uint64_t want; /* 0: refused */
	} rows[] = {
	    {DER_UTC_TIME, "000229000000Z", 951782400},
	    {DER_UTC_TIME, "700101000001Z", 1},
	    {DER_GENERALIZED_TIME, "20000229000000Z", 951782400},
	    {DER_GENERALIZED_TIME, "21000229000000Z", 0},
	    {DER_GENERALIZED_TIME, "19691231235959Z", 0},
	    {DER_UTC_TIME, "691231235959Z", 0},
	    {DER_UTC_TIME, "010229000000Z", 0},
	    {DER_UTC_TIME, "000001000000Z", 0},
	    {DER_UTC_TIME, "001301000000Z", 0},
	    {DER_UTC_TIME, "000100000000Z", 0},
	    {DER_UTC_TIME, "000132000000Z", 0},
	    {DER_UTC_TIME, "000101240000Z", 0},
	    {DER_UTC_TIME, "000101006000Z", 0},
	    {DER_UTC_TIME, "000101000060Z", 0},
	    {DER_UTC_TIME, "0001010000Z", 0},
	    {DER_UTC_TIME, "000101000000z", 0},
	    {DER_UTC_TIME, "00010100000-Z", 0},
	    {DER_UTC_TIME, "000101000000+0000", 0},
	    {DER_UTC_TIME, "20000101000000Z", 0},
	    {DER_GENERALIZED_TIME, "200001010000Z", 0},
	    {DER_GENERALIZED_TIME, "20000101000000.5Z", 0},
	    {DER_UTC_TIME, "", 0},
	    {DER_INTEGER, "000101000000Z", 0},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct buf b = {0};
		struct span in;
		uint64_t got = 0;

		der_put(&b, rows[i].tag, span_str(rows[i].text));
		in = buf_span(&b);
		if (der_take_time(&in, &got) != (rows[i].want != 0) ||
		    (rows[i].want != 0 && got != rows[i].want))
			fail_msg(
			    "%s: %llu", rows[i].text, (unsigned long long)got);
		buf_free(&b);
	}
}

static void integers_are_positive_and_short(void **state)
{
	static const struct {
		const char *hex;
		bool ok;
	} rows[] = {
	    {"020100", true},
	    {"02017f", true},
	    {"02020080", true},
	    {"0200", false},
	    {"020180", false},
	    {"02020001", false},
	    {"0202007f", false},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		uint8_t bytes[8];
		size_t len = strlen(rows[i].hex) / 2;
		struct span in = span_of(bytes, len), be;

		MUST(hex_decode(bytes, len, rows[i].hex, &err));
		if (der_take_uint(&in, &be) != rows[i].ok)
			fail_msg("%s", rows[i].hex);
	}
}

static void only_der_is_taken(void **state)
{
	static const struct {
		const char *why, *hex;
		bool ok;
	} rows[] = {
	    {"empty", "3000", true},
	    {"followed by more", "30010005", true},
	    {"nothing", "", false},
	    {"no length", "30", false},
	    {"another tag", "3100", false},
	    {"content is cut", "300200", false},
	    {"indefinite length", "30800000", false},
	    {"long form of a short length", "30810100", false},
	    {"length with a leading zero", "3082008000", false},
	    {"length is cut", "3082", false},
	    {"five octets of length", "30850000000001", false},
	    {"longer than memory", "3084ffffffff00", false},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		uint8_t bytes[16];
		size_t len = strlen(rows[i].hex) / 2;
		struct span in = span_of(bytes, len), content;

		MUST(hex_decode(bytes, len, rows[i].hex, &err));
		if (der_take(&in, DER_SEQUENCE, &content, NULL) != rows[i].ok)
			fail_msg("%s", rows[i].why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(integers_take_the_fewest_octets),
	    cmocka_unit_test(lengths_take_the_fewest_octets),
	    cmocka_unit_test(named_bits_drop_trailing_zeros),
	    cmocka_unit_test(years_from_2050_are_generalized),
	    cmocka_unit_test(times_are_read_as_written),
	    cmocka_unit_test(times_that_are_none_are_refused),
	    cmocka_unit_test(integers_are_positive_and_short),
	    cmocka_unit_test(only_der_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
