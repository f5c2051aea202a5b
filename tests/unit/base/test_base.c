/* The ground floor: buffers, text, checksums, errors, files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/fs.h"
#include "base/metrics.h"
#include "base/sha256.h"
#include "base/text.h"

static void crc32c_agrees_with_rfc_3720(void **state)
{
	/* RFC 3720 appendix B.4 */
	static const struct {
		const char *why;
		uint8_t fill;
		bool count_up;
		uint32_t want;
	} rows[] = {
	    {"32 zeroes", 0x00, false, 0x8a9136aa},
	    {"32 ones", 0xff, false, 0x62a8ab43},
	    {"counting up", 0x00, true, 0x46dd794e},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t b[32];

		memset(b, rows[i].fill, sizeof(b));
		for (size_t k = 0; rows[i].count_up && k < sizeof(b); k++)
			b[k] = (uint8_t)k;
		assert_int_equal(crc32c(0, b, sizeof(b)), rows[i].want);
		assert_int_equal(
		    crc32c(crc32c(0, b, 13), b + 13, 19), rows[i].want);
	}
}

static void sha256_agrees_with_fips_180(void **state)
{
	uint8_t got[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1];

	(void)state;
	sha256_of(got, span_str("abc"));
	hex_encode(hex, got, sizeof(got));
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223"
				 "b00361a396177a9cb410ff61f20015ad");
}

static void base64_agrees_with_rfc_4648(void **state)
{
	static const char *const rows[][3] = {
	    {"", "", ""},
	    {"f", "Zg==", "Zg"},
	    {"fo", "Zm8=", "Zm8"},
	    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
	    {"\xfb\xff", "+/8=", "-_8"},
	};
	struct buf b;
	struct err e;

	(void)state;
	buf_init(&b);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int kind = 0; kind < 2; kind++) {
			buf_clear(&b);
			assert_true(base64_encode(
			    &b, span_str(rows[i][0]), (enum base64_kind)kind));
			assert_true(
			    span_eq_str(buf_span(&b), rows[i][1 + kind]));
			buf_clear(&b);
			assert_int_equal(
			    base64_decode(&b, span_str(rows[i][1 + kind]),
				(enum base64_kind)kind, &e),
			    E_OK);
			assert_true(span_eq_str(buf_span(&b), rows[i][0]));
		}
	assert_int_equal(
	    base64_decode(&b, span_str("Zg="), BASE64_STD, &e), E_INVAL);
	assert_int_equal(
	    base64_decode(&b, span_str("Z g"), BASE64_URL, &e), E_INVAL);
	buf_free(&b);
}

static void hex_refuses_what_is_not_hex(void **state)
{
	uint8_t out[2];
	struct err e;

	(void)state;
	assert_int_equal(hex_decode(out, 2, "0Aff", &e), E_OK);
	assert_int_equal(out[0], 0x0a);
	assert_int_equal(out[1], 0xff);
	assert_int_equal(hex_decode(out, 2, "0Af", &e), E_INVAL);
	assert_int_equal(hex_decode(out, 2, "0Afg", &e), E_INVAL);
}

static void a_reader_never_passes_the_end(void **state)
{
	static const uint8_t in[] = {1, 2, 3, 4, 5};
	struct reader r;

	(void)state;
	reader_init(&r, span_of(in, sizeof(in)));
	assert_int_equal(read_u32be(&r), 0x01020304);
	assert_false(r.bad);
	assert_int_equal(read_u16be(&r), 0);
	assert_true(r.bad);
	assert_int_equal(read_u8(&r), 0); /* bad stays bad */
	assert_int_equal(read_span(&r, 1).len, 0);
}

static void a_wrapped_error_says_the_outer_first(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(err_set(&e, E_IO, "disk %d", 7), E_IO);
	assert_int_equal(err_wrap(&e, E_IO, "writing %s", "x"), E_IO);
	assert_string_equal(e.text, "writing x: disk 7");
	assert_int_equal(err_set(NULL, E_INVAL, "nobody listens"), E_INVAL);
	for (int c = E_OK; c <= E_INTERNAL; c++)
		assert_int_equal(code_from_name(code_name((enum code)c)), c);
}

static void files_are_replaced_whole(void **state)
{
	char dir[] = "/tmp/quorate-base-XXXXXX", path[64];
	struct stat st;
	struct buf b;
	struct err e;

	(void)state;
	buf_init(&b);
	assert_non_null(mkdtemp(dir));
	assert_int_equal(fs_join(path, sizeof(path), dir, "f", &e), E_OK);
	assert_int_equal(fs_create(path, span_str("one"), 0600, &e), E_OK);
	assert_int_equal(fs_create(path, span_str("two"), 0600, &e), E_EXISTS);
	assert_int_equal(fs_write(path, span_str("three"), 0640, &e), E_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(fs_read(path, 100, &b, &e), E_OK);
	assert_true(span_eq_str(buf_span(&b), "three"));
	assert_int_equal(fs_read(path, 4, &b, &e), E_INVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(fs_read(path, 4, &b, &e), E_NOTFOUND);
	assert_int_equal(rmdir(dir), 0); /* no temporary file is left */
	buf_free(&b);
}

static void each_metric_is_exported_once(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	metric_add(M_issue_ok, 3);
	assert_true(metrics_write(&b));
	assert_true(buf_add_u8(&b, 0));
	assert_non_null(strstr((char *)b.p, "\nquorate_issue_total 3\n"));
	assert_non_null(strstr((char *)b.p, "# TYPE quorate_leader gauge\n"));
	buf_free(&b);
}

static void text_longer_than_the_buffer_grows_it(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	for (int i = 0; i < 1000; i++)
		assert_true(buf_printf(&b, "%04d", i));
	assert_int_equal(b.len, 4000);
	assert_memory_equal(b.p + 3996, "0999", 4);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(crc32c_agrees_with_rfc_3720),
	    cmocka_unit_test(sha256_agrees_with_fips_180),
	    cmocka_unit_test(base64_agrees_with_rfc_4648),
	    cmocka_unit_test(hex_refuses_what_is_not_hex),
	    cmocka_unit_test(a_reader_never_passes_the_end),
	    cmocka_unit_test(a_wrapped_error_says_the_outer_first),
	    cmocka_unit_test(files_are_replaced_whole),
	    cmocka_unit_test(each_metric_is_exported_once),
	    cmocka_unit_test(text_longer_than_the_buffer_grows_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
