/* CreateCertificate as Istio calls it, over real TLS and HTTP/2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "h2.h"
#include "harness.h"

#define ID "spiffe://" WORLD_TD "/ns/shop/sa/cart"

static struct harness h;

static int setup(void **state)
{
	(void)state;
	return harness_start(&h, true);
}

static int teardown(void **state)
{
	(void)state;
	harness_stop(&h);
	return 0;
}

static void expect(const struct reply *r, int grpc, const char *text)
{
	if (r->curl != CURLE_OK || r->grpc != grpc ||
	    strstr(r->message, text) == NULL)
		fail_msg("curl %d (%s) http %ld grpc %d \"%s\"", r->curl,
		    curl_easy_strerror(r->curl), r->http, r->grpc, r->message);
}

/* A good request; the reply is the caller's. */
static void ask(const char *uri, int64_t validity_s, struct reply *r)
{
	char *token = good_token(&h);
	struct buf msg;

	csr_message(&msg, uri, validity_s, "");
	grpc_do(&h, &(struct call){.token = token, .body = buf_span(&msg)}, r);
	buf_free(&msg);
	free(token);
}

static void the_chain_is_leaf_issuer_and_root_bundle(void **state)
{
	struct span *chain;
	struct wire_memory *mem;
	struct err e = {0};
	struct buf root;
	struct reply r;
	size_t n;

	(void)state;
	ask(ID, 600, &r);
	expect(&r, 0, "");
	assert_int_equal(r.http, 200);
	assert_string_equal(r.type, "application/grpc");
	assert_true(r.body.len > 5);
	assert_int_equal(r.body.p[0], 0);
	assert_int_equal(get_u32be(r.body.p + 1), r.body.len - 5);
	assert_int_equal(
	    wire_csr_response_decode(
		span_of(r.body.p + 5, r.body.len - 5), &chain, &n, &mem, &e),
	    E_OK);
	assert_int_equal(n, 3);
	/* "the leaf" in base64 */
	assert_non_null(memmem(chain[0].p, chain[0].len, "dGhlIGxlYWY=", 12));
	buf_init(&root);
	world_pem(&root, &h.world.issuer);
	assert_true(span_eq(chain[1], buf_span(&root)));
	buf_clear(&root);
	world_pem(&root, &h.world.root);
	assert_true(span_eq(chain[2], buf_span(&root)));
	assert_string_equal(h.seen_uri, ID);
	assert_string_equal(h.seen_cluster, "east");
	assert_string_equal(
	    h.seen_requester, "system:serviceaccount:shop:cart");
	assert_int_equal(h.seen.ttl_s, 600);
	assert_int_equal(h.seen.via, CA_VIA_TOKEN);
	assert_false(h.seen.has_parent);
	buf_free(&root);
	wire_free(mem);
	reply_free(&r);
}

static void a_csr_without_names_gets_the_caller_s_identity(void **state)
{
	struct reply r;

	(void)state;
	ask("", 0, &r);
	expect(&r, 0, "");
	assert_string_equal(h.seen_uri, ID);
	reply_free(&r);
}

static void a_longer_life_than_policy_s_is_counted(void **state)
{
	uint64_t before = metric_get(M_ttl_shortened);
	struct reply r;

	(void)state;
	ask(ID, 10 * 86400, &r);
	expect(&r, 0, "");
	assert_int_equal(metric_get(M_ttl_shortened), before + 1);
	reply_free(&r);
}

static void a_bad_request_is_told_why(void **state)
{
	static const uint8_t empty[5] = {0}, compressed[5] = {1},
			     short_one[7] = {0, 0, 0, 0, 9, 1, 1},
			     huge[5] = {0, 0, 1, 0, 1},
			     garbage[8] = {0, 0, 0, 0, 3, 0xff, 0xff, 0xff};
	char *token = good_token(&h);
	struct buf good, other, imp, negative, two;
	struct {
		const char *what;
		struct call c;
		int grpc;
		const char *text;
	} rows[] = {
	    {"no token", {.token = NULL}, 16, "no token"},
	    {"not a bearer", {.token = "Basic eDp5"}, 16, "no token"},
	    {"garbage token", {.token = "Bearer x.y.z"}, 16, "malformed"},
	    {"wrong cluster", {.token = token, .clusterid = "west"}, 16,
		"clusterid"},
	    {"another's identity", {.token = token}, 3, "another URI"},
	    {"impersonation", {.token = token}, 12, "ImpersonatedIdentity"},
	    {"negative life", {.token = token}, 3, "validity_duration"},
	    {"no CSR", {.token = token, .body = span_of(empty, 5)}, 3, "CSR"},
	    {"not protobuf", {.token = token, .body = span_of(garbage, 8)}, 3,
		""},
	    {"compressed", {.token = token, .body = span_of(compressed, 5)}, 12,
		"compressed"},
	    {"cut short", {.token = token, .body = span_of(short_one, 7)}, 13,
		"ended"},
	    {"over 64 KiB", {.token = token, .body = span_of(huge, 5)}, 8,
		"64 KiB"},
	    {"two messages", {.token = token}, 12, "one message"},
	    {"another method", {.path = "/istio.v1.auth.Other/Create"}, 12,
		"no such"},
	    {"not a POST", {.get = true}, 12, "POST"},
	    {"not gRPC", {.type = "application/json"}, 3, "content type"},
	    {"nearly gRPC", {.type = "application/grpcx"}, 3, "content type"},
	};

	(void)state;
	csr_message(&good, ID, 0, "");
	csr_message(&other, "spiffe://" WORLD_TD "/ns/bank/sa/vault", 0, "");
	csr_message(&imp, ID, 0, ID);
	csr_message(&negative, ID, -1, "");
	buf_init(&two);
	buf_add_span(&two, buf_span(&good));
	buf_add_span(&two, buf_span(&good));
	rows[4].c.body = buf_span(&other);
	rows[5].c.body = buf_span(&imp);
	rows[6].c.body = buf_span(&negative);
	rows[12].c.body = buf_span(&two);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reply r;

		if (rows[i].c.body.len == 0)
			rows[i].c.body = buf_span(&good);
		grpc_do(&h, &rows[i].c, &r);
		if (r.curl != CURLE_OK || r.grpc != rows[i].grpc ||
		    strstr(r.message, rows[i].text) == NULL)
			fail_msg("%s: curl %d http %ld grpc %d \"%s\"",
			    rows[i].what, r.curl, r.http, r.grpc, r.message);
		reply_free(&r);
	}
	buf_free(&good);
	buf_free(&other);
	buf_free(&imp);
	buf_free(&negative);
	buf_free(&two);
	free(token);
}

static void the_node_s_refusals_keep_their_code(void **state)
{
	static const struct {
		enum code code;
		int grpc;
		const char *why, *text;
	} rows[] = {
	    {E_UNAVAILABLE, 14, "no quorum", "no quorum"},
	    {E_EXHAUSTED, 8, "over quota", "over quota"},
	    {E_DENIED, 7, "blocked", "blocked"},
	    {E_CONFLICT, 9, "the issuer settles", "settles"},
	    {E_DENIED, 7, "50% of caf\xc3\xa9", "50%25 of caf%C3%A9"},
	    {E_INTERNAL, 13, "secret path", "internal error"},
	    {E_NOMEM, 8, "malloc", "internal error"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reply r;

		h.issue_code = rows[i].code;
		h.why = rows[i].why;
		ask(ID, 0, &r);
		expect(&r, rows[i].grpc, rows[i].text);
		assert_int_equal(r.http, 200);
		assert_int_equal(r.body.len, 0);
		reply_free(&r);
	}
	h.issue_code = E_OK;
}

static void before_genesis_it_is_unavailable(void **state)
{
	struct reply r;

	(void)state;
	h.no_view = true;
	ask(ID, 0, &r);
	expect(&r, 14, "no state");
	h.no_view = false;
	reply_free(&r);
}

static void a_renewal_shows_the_certificate_instead_of_a_token(void **state)
{
	struct world_cert c = {.names = "URI:" ID,
	    .key = h.world.stranger_key,
	    .by = h.world.issuer_key,
	    .issuer = &h.world.issuer,
	    .life_s = 600,
	    .serial = {0x44, 1}};
	struct ca_issue i = {.profile = CA_PROFILE_WORKLOAD,
	    .encoder = 1,
	    .uri = span_str(ID),
	    .spki = span_str("key"),
	    .not_before_s = h.world.log_s,
	    .not_after_s = h.world.log_s + 600,
	    .via = CA_VIA_TOKEN,
	    .cluster = span_str("west"),
	    .requester = span_str("system:serviceaccount:shop:cart"),
	    .policy_version = h.world.view->policy.version,
	    .signature = span_str("signature")};
	struct buf cert, msg;
	struct reply r;

	(void)state;
	csr_message(&msg, ID, 0, "");
	world_cert(&cert, &c);
	grpc_do(&h,
	    &(struct call){.body = buf_span(&msg), .key = c.key, .cert = &cert},
	    &r);
	expect(&r, 14, "not in this node's log");
	reply_free(&r);
	memcpy(i.serial, c.serial, sizeof(i.serial));
	memcpy(i.issuer, h.world.view->issuers[0].key_id, sizeof(i.issuer));
	assert_int_equal(world_issue(&h.world, &i), CA_OK);
	grpc_do(&h,
	    &(struct call){.body = buf_span(&msg), .key = c.key, .cert = &cert},
	    &r);
	expect(&r, 0, "");
	assert_int_equal(h.seen.via, CA_VIA_CERT);
	assert_true(h.seen.has_parent);
	assert_memory_equal(h.seen.parent, c.serial, 16);
	assert_string_equal(h.seen_cluster, "west");
	reply_free(&r);
	buf_free(&cert);
	buf_free(&msg);
}

static void a_client_that_left_is_no_trouble(void **state)
{
	char *token = good_token(&h);
	struct buf msg;
	struct reply r;

	(void)state;
	csr_message(&msg, ID, 0, "");
	h.hold = true;
	for (int i = 0; i < 5; i++) {
		grpc_do(&h,
		    &(struct call){.token = token,
			.body = buf_span(&msg),
			.timeout_ms = 150},
		    &r);
		assert_int_equal(r.curl, CURLE_OPERATION_TIMEDOUT);
		reply_free(&r);
	}
	harness_release(&h);
	ask(ID, 0, &r);
	expect(&r, 0, "");
	reply_free(&r);
	buf_free(&msg);
	free(token);
}

static void a_node_that_does_not_answer_is_unavailable_after_3_s(void **state)
{
	uint64_t from = clock_mono_ms(), took;
	struct reply r;

	(void)state;
	h.hold = true;
	ask(ID, 0, &r);
	took = clock_mono_ms() - from;
	expect(&r, 14, "unknown");
	assert_in_range(took, 2900, 4500);
	harness_release(&h);
	reply_free(&r);
}

static void only_h2_is_spoken_here(void **state)
{
	struct reply r;

	(void)state;
	grpc_do(&h, &(struct call){.http1 = true, .get = true}, &r);
	assert_int_not_equal(r.curl, CURLE_OK);
	reply_free(&r);
	grpc_do(&h, &(struct call){.no_alpn = true, .get = true}, &r);
	assert_int_not_equal(r.curl, CURLE_OK);
	reply_free(&r);
}

static void garbage_ends_only_its_own_connection(void **state)
{
	uint8_t noise[3000];
	struct reply r;

	(void)state;
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)(i * 7 + 13);
	for (int tls = 0; tls < 2; tls++) {
		int fd = raw_connect(&h, GRPC_PORT);
		SSL *ssl = tls ? h2_tls(fd) : NULL;

		assert_true(fd >= 0);
		if (tls)
			SSL_write(ssl, noise, sizeof(noise));
		else
			assert_true(write(fd, noise, sizeof(noise)) > 0);
		assert_true(raw_wait_close(fd, 3000) >= 0);
		SSL_free(ssl);
		close(fd);
	}
	ask(ID, 0, &r);
	expect(&r, 0, "");
	reply_free(&r);
}

static void a_stalled_handshake_is_closed_after_5_s(void **state)
{
	int fd = raw_connect(&h, GRPC_PORT);
	long ms;

	(void)state;
	assert_int_equal(write(fd, "\x16\x03\x01", 3), 3);
	ms = raw_wait_close(fd, 8000);
	assert_in_range(ms, 4500, 7000);
	close(fd);
}

static void a_new_certificate_serves_new_connections(void **state)
{
	EVP_PKEY *key = world_key("P-256");
	struct buf der, pem, key_pem;
	struct err e = {0};
	struct reply r;
	char names[64];

	(void)state;
	buf_init(&pem);
	buf_init(&key_pem);
	assert_int_equal(front_set_tls(h.front, buf_span(&h.server_cert),
			     span_str("nonsense"), &e),
	    E_INVAL);
	snprintf(names, sizeof(names), "IP:%s", h.address);
	world_cert(&der, &(struct world_cert){.names = names,
			     .key = key,
			     .by = h.world.issuer_key,
			     .issuer = &h.world.issuer,
			     .life_s = 3600});
	world_pem(&pem, &der);
	world_pem(&pem, &h.world.issuer);
	world_key_pem(&key_pem, key);
	assert_int_equal(
	    front_set_tls(h.front, buf_span(&pem), buf_span(&key_pem), &e),
	    E_OK);
	ask(ID, 0, &r);
	expect(&r, 0, "");
	reply_free(&r);
	buf_free(&der);
	buf_free(&pem);
	buf_free(&key_pem);
	EVP_PKEY_free(key);
}

static void health_is_told_over_grpc(void **state)
{
	static const uint8_t empty[5] = {0};
	const struct call c = {
	    .path = "/grpc.health.v1.Health/Check", .body = span_of(empty, 5)};
	struct reply r;

	(void)state;
	grpc_do(&h, &c, &r);
	expect(&r, 0, "");
	assert_int_equal(r.body.len, 7);
	assert_int_equal(r.body.p[6], 1);
	reply_free(&r);
	h.ready_code = E_UNAVAILABLE;
	grpc_do(&h, &c, &r);
	assert_int_equal(r.body.p[6], 2);
	h.ready_code = E_OK;
	reply_free(&r);
}

static bool never(struct h2 *c, void *arg)
{
	(void)c;
	(void)arg;
	return false;
}

/* The first n calls of a connection are over. */
static bool all_done(struct h2 *c, void *arg)
{
	const unsigned *n = arg;

	for (unsigned i = 0; i < *n; i++)
		if (!c->streams[2 * i + 1].done)
			return false;
	return true;
}

static void many_calls_share_a_connection(void **state)
{
	char *token = good_token(&h);
	unsigned n = 120, ok = 0;
	struct buf msg;
	struct h2 c;

	(void)state;
	csr_message(&msg, ID, 0, "");
	h2_open(&c, &h);
	for (unsigned i = 0; i < n; i++)
		h2_call(&c, token, buf_span(&msg));
	assert_true(h2_until(&c, all_done, &n, 10000));
	for (unsigned i = 0; i < n; i++)
		ok += c.streams[2 * i + 1].status == 0 &&
		      c.streams[2 * i + 1].body > 0;
	assert_int_equal(ok, n);
	h2_close(&c);
	buf_free(&msg);
	free(token);
}

static void a_stream_reset_before_its_answer_is_forgotten(void **state)
{
	char *token = good_token(&h);
	unsigned n = 2;
	struct buf msg;
	struct h2 c;
	int32_t first;

	(void)state;
	csr_message(&msg, ID, 0, "");
	h.hold = true;
	h2_open(&c, &h);
	first = h2_call(&c, token, buf_span(&msg));
	h2_flush(&c);
	harness_wait_held(&h, 1);
	h2_reset(&c, first);
	h2_call(&c, token, buf_span(&msg));
	h2_flush(&c);
	harness_release(&h);
	assert_true(h2_until(&c, all_done, &n, 5000));
	assert_int_equal(c.streams[1].body, 0);
	assert_int_equal(c.streams[3].status, 0);
	h2_close(&c);
	buf_free(&msg);
	free(token);
}

static void a_request_too_long_is_refused_and_no_more_is_read(void **state)
{
	char *token = good_token(&h);
	unsigned n = 2;
	struct buf big, msg;
	struct h2 c;

	(void)state;
	csr_message(&msg, ID, 0, "");
	buf_init(&big);
	buf_reserve(&big, 1000000);
	memset(big.p, 0x7f, 1000000);
	big.p[0] = 0;
	big.len = 1000000;
	h2_open(&c, &h);
	h2_call(&c, token, buf_span(&big));
	h2_call(&c, token, buf_span(&msg));
	assert_true(h2_until(&c, all_done, &n, 5000));
	assert_int_equal(c.streams[1].status, 8);
	assert_true(c.streams[1].left.len > 800000);
	assert_int_equal(c.streams[3].status, 0);
	h2_close(&c);
	buf_free(&big);
	buf_free(&msg);
	free(token);
}

static void a_flood_of_resets_ends_the_connection(void **state)
{
	char *token = good_token(&h);
	struct buf msg;
	struct reply r;
	struct h2 c;

	(void)state;
	csr_message(&msg, ID, 0, "");
	h2_open(&c, &h);
	for (unsigned i = 0; i < H2_STREAMS - 1 && !c.closed; i++) {
		int32_t id = h2_call(&c, token, buf_span(&msg));

		h2_flush(&c);
		h2_reset(&c, id);
		h2_flush(&c);
	}
	h2_until(&c, never, NULL, 3000);
	assert_true(c.closed);
	h2_close(&c);
	buf_free(&msg);
	free(token);
	ask(ID, 0, &r);
	expect(&r, 0, "");
	reply_free(&r);
}

static void *stop_in_thread(void *arg)
{
	front_stop(arg, 5000);
	return NULL;
}

static bool two_goaways(struct h2 *c, void *arg)
{
	(void)arg;
	return c->goaways == 2;
}

static void what_is_under_way_is_answered_before_the_end(void **state)
{
	char *token = good_token(&h);
	pthread_t stopping;
	struct buf msg;
	struct h2 c;

	(void)state;
	csr_message(&msg, ID, 0, "");
	h.hold = true;
	h2_open(&c, &h);
	h2_call(&c, token, buf_span(&msg));
	h2_flush(&c);
	harness_wait_held(&h, 1);
	pthread_create(&stopping, NULL, stop_in_thread, h.front);
	h.front = NULL;
	assert_true(h2_until(&c, two_goaways, NULL, 3000));
	assert_int_equal(c.goaway[0], INT32_MAX);
	assert_int_equal(c.goaway[1], 1);
	assert_int_equal(raw_connect(&h, GRPC_PORT), -1);
	harness_release(&h);
	assert_true(h2_until(&c, never, NULL, 3000));
	assert_true(c.closed);
	assert_int_equal(c.streams[1].status, 0);
	assert_int_equal(c.streams[1].error, 0);
	assert_true(c.streams[1].body > 5);
	pthread_join(stopping, NULL);
	h2_close(&c);
	buf_free(&msg);
	free(token);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_chain_is_leaf_issuer_and_root_bundle),
	    cmocka_unit_test(a_csr_without_names_gets_the_caller_s_identity),
	    cmocka_unit_test(a_longer_life_than_policy_s_is_counted),
	    cmocka_unit_test(a_bad_request_is_told_why),
	    cmocka_unit_test(the_node_s_refusals_keep_their_code),
	    cmocka_unit_test(before_genesis_it_is_unavailable),
	    cmocka_unit_test(
		a_renewal_shows_the_certificate_instead_of_a_token),
	    cmocka_unit_test(a_client_that_left_is_no_trouble),
	    cmocka_unit_test(
		a_node_that_does_not_answer_is_unavailable_after_3_s),
	    cmocka_unit_test(only_h2_is_spoken_here),
	    cmocka_unit_test(garbage_ends_only_its_own_connection),
	    cmocka_unit_test(a_stalled_handshake_is_closed_after_5_s),
	    cmocka_unit_test(a_new_certificate_serves_new_connections),
	    cmocka_unit_test(health_is_told_over_grpc),
	    cmocka_unit_test(many_calls_share_a_connection),
	    cmocka_unit_test(a_stream_reset_before_its_answer_is_forgotten),
	    cmocka_unit_test(a_request_too_long_is_refused_and_no_more_is_read),
	    cmocka_unit_test(a_flood_of_resets_ends_the_connection),
	    cmocka_unit_test(what_is_under_way_is_answered_before_the_end),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
