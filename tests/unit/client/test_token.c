/* The join token's text, and what libquorate says without a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/text.h"
#include "client/join.h"
#include "quorate.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))

static void a_token_reads_back_as_it_was_written(void **state)
{
	struct join_token t = {
	    .servers = {strdup("10.0.0.1:8444"), strdup("[::1]:8444")},
	    .servers_n = 2,
	    .trust_domain = "corp.example",
	    .cluster = "west"};
	struct join_token back;
	struct buf text;

	(void)state;
	for (size_t i = 0; i < 32; i++) {
		t.root[i] = (uint8_t)i;
		t.secret[i] = (uint8_t)(200 + i);
	}
	buf_init(&text);
	assert_int_equal(join_token_format(&text, &t, NULL), E_OK);
	buf_add_str(&text, "\n"); /* as a file has it */
	assert_int_equal(join_token_parse(buf_span(&text), &back, NULL), E_OK);
	assert_int_equal(back.servers_n, 2);
	assert_string_equal(back.servers[1], "[::1]:8444");
	assert_string_equal(back.trust_domain, "corp.example");
	assert_string_equal(back.cluster, "west");
	assert_memory_equal(back.root, t.root, 32);
	assert_memory_equal(back.secret, t.secret, 32);
	join_token_free(&t);
	join_token_free(&back);
	buf_free(&text);
}

static void a_damaged_token_is_refused_without_repeating_it(void **state)
{
#define ROOT "0000000000000000000000000000000000000000000000000000000000000000"
#define SECRET "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U"
	static const char *const inner[] = {
	    "not json",
	    "{}",
	    "{\"servers\":[],\"root\":\"" ROOT "\",\"trust_domain\":\"td\","
	    "\"cluster\":\"c\",\"secret\":\"" SECRET "\"}",
	    "{\"servers\":[7],\"root\":\"" ROOT "\",\"trust_domain\":\"td\","
	    "\"cluster\":\"c\",\"secret\":\"" SECRET "\"}",
	    "{\"servers\":[\"a\"],\"root\":\"00\",\"trust_domain\":\"td\","
	    "\"cluster\":\"c\",\"secret\":\"" SECRET "\"}",
	    "{\"servers\":[\"a\"],\"root\":\"" ROOT "\",\"trust_domain\":\"\","
	    "\"cluster\":\"c\",\"secret\":\"" SECRET "\"}",
	    "{\"servers\":[\"a\"],\"root\":\"" ROOT
	    "\",\"trust_domain\":\"td\","
	    "\"cluster\":\"c\",\"secret\":\"c2hvcnQ\"}",
	};

	(void)state;
	for (size_t i = 0; i < ROWS(inner); i++) {
		struct join_token t;
		struct buf text;
		struct err e = {0};

		buf_init(&text);
		buf_add_str(&text, JOIN_TOKEN_PREFIX);
		base64_encode(&text, span_str(inner[i]), BASE64_URL);
		assert_int_equal(
		    join_token_parse(buf_span(&text), &t, &e), E_INVAL);
		assert_non_null(strstr(e.text, "the join token is damaged"));
		assert_null(strstr(e.text, "c2Vj"));
		buf_free(&text);
	}
}

static void what_is_no_token_is_told_from_a_damaged_one(void **state)
{
	static const char *const rows[] = {"", "hello", "quorate-join-v2.e30",
	    "quorate-join-v1.", "Bearer quorate-join-v1.e30"};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct join_token t;
		struct err e = {0};

		assert_int_equal(
		    join_token_parse(span_str(rows[i]), &t, &e), E_INVAL);
		assert_non_null(strstr(e.text, "not a join token"));
	}
}

/* RFC 4231 has no 32-byte key; the definition is checked against itself. */
static void auth_and_mac_are_of_the_secret(void **state)
{
	uint8_t secret[JOIN_SECRET_LEN] = {1}, a[SHA256_LEN], b[SHA256_LEN];

	(void)state;
	join_auth(a, secret);
	join_mac(b, secret, span_str("quorate join auth"));
	assert_memory_equal(a, b, sizeof(a));
	secret[0] = 2;
	join_auth(b, secret);
	assert_memory_not_equal(a, b, sizeof(a));
}

static void libquorate_says_what_is_missing(void **state)
{
	static const uint8_t pin[32];
	const struct {
		struct quorate_options o;
		enum quorate_status want;
		const char *text;
	} rows[] = {
	    {{.servers = NULL}, QUORATE_INVALID, "no server is given"},
	    {{.servers = "a:1"}, QUORATE_INVALID, "no root is trusted"},
	    {{.servers = "a:x", .root_sha256 = pin}, QUORATE_INVALID,
		"expected HOST:PORT"},
	    {{.servers = "a, b:9", .root_sha256 = pin}, QUORATE_OK, ""},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct quorate_certificate c;
		struct quorate *q;

		assert_int_equal(quorate_open(&q, &rows[i].o), rows[i].want);
		assert_non_null(strstr(quorate_error(q), rows[i].text));
		if (rows[i].want != QUORATE_OK)
			assert_int_equal(
			    quorate_request(q, "csr", "token", 0, &c),
			    QUORATE_INVALID);
		else
			assert_int_equal(
			    quorate_request(q, "csr", "two\nlines", 0, &c),
			    QUORATE_INVALID);
		assert_null(c.chain_pem);
		quorate_close(q);
	}
	assert_string_equal(quorate_error(NULL), "out of memory");
	assert_string_equal(quorate_version(), QUORATE_VERSION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_token_reads_back_as_it_was_written),
	    cmocka_unit_test(a_damaged_token_is_refused_without_repeating_it),
	    cmocka_unit_test(what_is_no_token_is_told_from_a_damaged_one),
	    cmocka_unit_test(auth_and_mac_are_of_the_secret),
	    cmocka_unit_test(libquorate_says_what_is_missing),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
