/* Which server is asked, when the next one is, and what is said if none
 * answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/clock.h"
#include "client/client_internal.h"
#include "fake.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define OK_ANSWER 200, "{\"a\":1}\n"
#define BUSY_ANSWER 503, "{\"error\":\"unavailable\",\"why\":\"no quorum\"}\n"
#define DENIED_ANSWER                                                          \
	403, "{\"error\":\"denied\",\"why\":\"not an operator\"}\n"
#define NO_ANSWER 0, NULL

/* ---- Server names ---- */

static void a_server_is_a_host_and_perhaps_a_port(void **state)
{
	static const struct {
		const char *text, *host; /* host NULL: refused */
		unsigned https, grpc;
	} rows[] = {
	    {"node.example", "node.example", 8444, 8443},
	    {"10.0.0.1:8443", "10.0.0.1", 8444, 8443},
	    {"10.0.0.1:8444", "10.0.0.1", 8444, 8443},
	    {"10.0.0.1:9000", "10.0.0.1", 9000, 9000},
	    {"[::1]", "[::1]", 8444, 8443},
	    {"[::1]:9000", "[::1]", 9000, 9000},
	    {"", NULL, 0, 0},
	    {":8444", NULL, 0, 0},
	    {"::1", NULL, 0, 0},
	    {"h:0", NULL, 0, 0},
	    {"h:65536", NULL, 0, 0},
	    {"h:8444x", NULL, 0, 0},
	    {"h:", NULL, 0, 0},
	    {"https://h", NULL, 0, 0},
	    {"h/path", NULL, 0, 0},
	    {"user@h", NULL, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct client_options o = {
		    .servers = &rows[i].text, .servers_n = 1};
		struct client *c = NULL;
		struct err e = {0};
		enum code rc = client_open(&c, &o, &e);

		if (rows[i].host == NULL) {
			assert_int_equal(rc, E_INVAL);
			assert_non_null(strstr(e.text, "expected HOST:PORT"));
			continue;
		}
		assert_int_equal(rc, E_OK);
		assert_string_equal(c->servers[0].host, rows[i].host);
		assert_int_equal(c->servers[0].https_port, rows[i].https);
		assert_int_equal(c->servers[0].grpc_port, rows[i].grpc);
		client_close(c);
	}
}

static void without_a_server_the_error_says_how_to_name_one(void **state)
{
	struct client_options o = {0};
	struct client *c;
	struct err e;

	(void)state;
	assert_int_equal(client_open(&c, &o, &e), E_INVAL);
	assert_string_equal(e.text, "no server is known: give --server "
				    "HOST:PORT or set QUORATE_SERVER");
}

/* ---- Failover ---- */

struct setup {
	struct fake *a, *b;
	struct client *c;
};

static struct setup begin(enum fake_kind first, int first_status,
    const char *first_body, enum fake_kind second, int second_status,
    const char *second_body)
{
	struct setup s = {.a = fake_start(first, first_status, first_body),
	    .b = fake_start(second, second_status, second_body)};
	const char *names[2] = {fake_name(s.a), fake_name(s.b)};
	struct client_options o = {.servers = names,
	    .servers_n = 2,
	    .root_pem = fake_root_pem(),
	    .connect_ms = 400,
	    .answer_ms = 800};

	assert_int_equal(client_open(&s.c, &o, NULL), E_OK);
	return s;
}

static void end(struct setup *s)
{
	client_close(s->c);
	fake_stop(s->a);
	fake_stop(s->b);
}

static enum code get(struct setup *s, struct client_answer *out, struct err *e)
{
	const struct client_request r = {.method = "GET", .path = "/v1/x"};

	return client_call(s->c, &r, out, e);
}

static enum code post_once(
    struct setup *s, struct client_answer *out, struct err *e)
{
	const struct client_request r = {.method = "POST",
	    .path = "/v1/admin",
	    .type = "application/octet-stream",
	    .body = span_str("command"),
	    .once = true};

	return client_call(s->c, &r, out, e);
}

static void a_refused_connection_gives_way_at_once(void **state)
{
	struct setup s =
	    begin(FAKE_REFUSES, NO_ANSWER, FAKE_ANSWERS, OK_ANSWER);
	uint64_t at = clock_mono_ms();
	struct client_answer a;
	struct err e = {0};

	(void)state;
	assert_int_equal(get(&s, &a, &e), E_OK);
	assert_true(clock_mono_ms() - at < 350);
	assert_string_equal(a.server, fake_name(s.b));
	client_answer_free(&a);
	end(&s);
}

static void no_handshake_gives_way_after_the_limit(void **state)
{
	struct setup s = begin(FAKE_SILENT, NO_ANSWER, FAKE_ANSWERS, OK_ANSWER);
	uint64_t at = clock_mono_ms(), took;
	struct client_answer a;
	struct err e = {0};

	(void)state;
	assert_int_equal(get(&s, &a, &e), E_OK);
	took = clock_mono_ms() - at;
	assert_true(took >= 390 && took < 1500);
	assert_string_equal(a.server, fake_name(s.b));
	client_answer_free(&a);
	end(&s);
}

static void who_answered_is_asked_first_next_time(void **state)
{
	struct setup s = begin(FAKE_SILENT, NO_ANSWER, FAKE_ANSWERS, OK_ANSWER);
	struct client_answer a;
	uint64_t at;

	(void)state;
	assert_int_equal(get(&s, &a, NULL), E_OK);
	client_answer_free(&a);
	at = clock_mono_ms();
	assert_int_equal(get(&s, &a, NULL), E_OK);
	assert_true(clock_mono_ms() - at < 350);
	client_answer_free(&a);
	end(&s);
}

static void what_may_be_repeated_goes_on(void **state)
{
	static const struct {
		enum fake_kind kind;
		int status;
		const char *body;
	} rows[] = {{FAKE_BREAKS, NO_ANSWER}, {FAKE_HANGS, NO_ANSWER},
	    {FAKE_ANSWERS, BUSY_ANSWER}};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct setup s = begin(rows[i].kind, rows[i].status,
		    rows[i].body, FAKE_ANSWERS, OK_ANSWER);
		struct client_answer a;
		struct err e = {0};

		assert_int_equal(get(&s, &a, &e), E_OK);
		assert_int_equal(fake_asked(s.a), 1);
		assert_string_equal(a.server, fake_name(s.b));
		client_answer_free(&a);
		end(&s);
	}
}

static void what_must_not_be_repeated_is_unknown(void **state)
{
	static const struct {
		enum fake_kind kind;
		int status;
		const char *body;
	} rows[] = {{FAKE_BREAKS, NO_ANSWER}, {FAKE_HANGS, NO_ANSWER},
	    {FAKE_ANSWERS, BUSY_ANSWER}};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct setup s = begin(rows[i].kind, rows[i].status,
		    rows[i].body, FAKE_ANSWERS, OK_ANSWER);
		struct client_answer a;
		struct err e = {0};

		assert_int_equal(post_once(&s, &a, &e), E_TIMEOUT);
		assert_int_equal(fake_asked(s.a), 1);
		assert_int_equal(fake_asked(s.b), 0);
		assert_non_null(strstr(e.text, fake_name(s.a)));
		end(&s);
	}
}

/* The handshake of a connection that is used again was long ago. */
static void a_second_command_on_a_connection_is_unknown_too(void **state)
{
	struct setup s = begin(FAKE_ONCE, OK_ANSWER, FAKE_ANSWERS, OK_ANSWER);
	struct client_answer a;
	struct err e = {0};

	(void)state;
	assert_int_equal(post_once(&s, &a, &e), E_OK);
	client_answer_free(&a);
	assert_int_equal(post_once(&s, &a, &e), E_TIMEOUT);
	assert_int_equal(fake_asked(s.a), 2);
	assert_int_equal(fake_asked(s.b), 0);
	end(&s);
}

static void a_command_nobody_took_may_go_to_the_next(void **state)
{
	struct setup s =
	    begin(FAKE_REFUSES, NO_ANSWER, FAKE_ANSWERS, OK_ANSWER);
	struct client_answer a;

	(void)state;
	assert_int_equal(post_once(&s, &a, NULL), E_OK);
	assert_int_equal(fake_asked(s.b), 1);
	client_answer_free(&a);
	end(&s);
}

static void a_refusal_is_an_answer(void **state)
{
	struct setup s =
	    begin(FAKE_ANSWERS, DENIED_ANSWER, FAKE_ANSWERS, OK_ANSWER);
	struct client_answer a;
	struct err e = {0};

	(void)state;
	assert_int_equal(get(&s, &a, &e), E_DENIED);
	assert_string_equal(e.text, "not an operator");
	assert_int_equal(fake_asked(s.b), 0);
	end(&s);
}

static void if_nobody_answers_each_reason_is_given(void **state)
{
	struct setup s = begin(FAKE_REFUSES, NO_ANSWER, FAKE_SILENT, NO_ANSWER);
	struct client_answer a;
	struct err e = {0};

	(void)state;
	assert_int_equal(get(&s, &a, &e), E_UNAVAILABLE);
	assert_non_null(strstr(e.text, "no server could answer: "));
	assert_non_null(strstr(e.text, fake_name(s.a)));
	assert_non_null(strstr(e.text, fake_name(s.b)));
	assert_non_null(strstr(e.text, "no TLS handshake in 400 ms"));
	end(&s);
}

/* ---- Roots ---- */

static void another_root_is_no_answer(void **state)
{
	static const char other[] =
	    "-----BEGIN CERTIFICATE-----\n"
	    "MIIBZTCCAQugAwIBAgIUNYCz8qdJ7uqJ6ZfL9dh2PmPlYRkwCgYIKoZIzj0EAwIw\n"
	    "-----END CERTIFICATE-----\n";
	struct fake *f = fake_start(FAKE_ANSWERS, OK_ANSWER);
	const char *name = fake_name(f);
	struct client_options o = {
	    .servers = &name, .servers_n = 1, .root_pem = span_str(other)};
	const struct client_request r = {.method = "GET", .path = "/v1/x"};
	struct client_answer a;
	struct client *c;

	(void)state;
	assert_int_equal(client_open(&c, &o, NULL), E_OK);
	assert_int_equal(client_call(c, &r, &a, NULL), E_UNAVAILABLE);
	assert_int_equal(fake_asked(f), 0);
	client_close(c);
	fake_stop(f);
}

static void a_root_is_fetched_only_with_the_right_hash(void **state)
{
	char *pem = span_dup_str(fake_root_pem());
	uint8_t sum[SHA256_LEN];

	(void)state;
	assert_non_null(pem);
	sha256_of(sum, fake_root_der());
	for (int good = 1; good >= 0; good--) {
		struct fake *f = fake_start(FAKE_ANSWERS, 200, pem);
		const char *name = fake_name(f);
		struct client_options o = {
		    .servers = &name, .servers_n = 1, .root_sha256 = sum};
		const struct client_request r = {
		    .method = "GET", .path = "/v1/x"};
		struct client_answer a;
		struct client *c;
		struct err e = {0};

		if (!good)
			sum[5] ^= 1;
		assert_int_equal(client_open(&c, &o, NULL), E_OK);
		assert_int_equal(
		    client_call(c, &r, &a, &e), good ? E_OK : E_UNAVAILABLE);
		/* The root, then the question; with a wrong root only that. */
		assert_int_equal(fake_asked(f), good ? 2 : 1);
		if (!good)
			assert_non_null(strstr(
			    e.text, "its root is not the one that was pinned"));
		client_answer_free(&a);
		client_close(c);
		fake_stop(f);
	}
	free(pem);
}

static void what_is_not_json_is_said_to_be(void **state)
{
	struct setup s =
	    begin(FAKE_ANSWERS, 200, "<html>\n", FAKE_REFUSES, NO_ANSWER);
	struct err e = {0};
	json_t *o;

	(void)state;
	assert_int_equal(client_get_json(s.c, "/v1/x", &o, &e), E_INTERNAL);
	assert_non_null(strstr(e.text, "is it a quorate node"));
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_server_is_a_host_and_perhaps_a_port),
	    cmocka_unit_test(without_a_server_the_error_says_how_to_name_one),
	    cmocka_unit_test(a_refused_connection_gives_way_at_once),
	    cmocka_unit_test(no_handshake_gives_way_after_the_limit),
	    cmocka_unit_test(who_answered_is_asked_first_next_time),
	    cmocka_unit_test(what_may_be_repeated_goes_on),
	    cmocka_unit_test(what_must_not_be_repeated_is_unknown),
	    cmocka_unit_test(a_second_command_on_a_connection_is_unknown_too),
	    cmocka_unit_test(a_command_nobody_took_may_go_to_the_next),
	    cmocka_unit_test(a_refusal_is_an_answer),
	    cmocka_unit_test(if_nobody_answers_each_reason_is_given),
	    cmocka_unit_test(another_root_is_no_answer),
	    cmocka_unit_test(a_root_is_fetched_only_with_the_right_hash),
	    cmocka_unit_test(what_is_not_json_is_said_to_be),
	};

	if (sodium_init() < 0)
		return 1;
	fake_global_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
