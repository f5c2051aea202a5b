/* The HTTP side: docs/http-api.md, over real TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/err.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/text.h"
#include "harness.h"
#include "pki/pki.h"

static struct harness h;
static struct buf operator_cert, stranger_cert;

static int setup(void **state)
{
	(void)state;
	if (harness_start(&h, true) != 0)
		return -1;
	world_cert(&operator_cert, &(struct world_cert){.cn = "alice",
				       .key = h.world.operator_key,
				       .by = h.world.operator_key,
				       .life_s = 3600});
	world_cert(&stranger_cert, &(struct world_cert){.cn = "alice",
				       .key = h.world.stranger_key,
				       .by = h.world.stranger_key,
				       .life_s = 3600});
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_free(&operator_cert);
	buf_free(&stranger_cert);
	harness_stop(&h);
	return 0;
}

enum who { NOBODY, OPERATOR, STRANGER };

static void https(enum who who, const char *path, const char *type,
    struct span body, struct reply *r)
{
	struct call c = {
	    .path = path, .type = type, .body = body, .get = type == NULL};

	if (who != NOBODY) {
		c.key = who == OPERATOR ? h.world.operator_key
					: h.world.stranger_key;
		c.cert = who == OPERATOR ? &operator_cert : &stranger_cert;
	}
	http_do(&h, "https", HTTPS_PORT, &c, r);
}

static json_t *json_of(const struct reply *r)
{
	json_t *o = json_loadb((const char *)r->body.p, r->body.len, 0, NULL);

	if (o == NULL)
		fail_msg("curl %d http %ld: not JSON: %.*s", r->curl, r->http,
		    (int)r->body.len, (const char *)r->body.p);
	return o;
}

static json_t *get_json(enum who who, const char *path, long status)
{
	struct reply r;
	json_t *o;

	https(who, path, NULL, SPAN_EMPTY, &r);
	o = json_of(&r);
	if (r.http != status)
		fail_msg("%s: http %ld: %.*s", path, r.http, (int)r.body.len,
		    (const char *)r.body.p);
	reply_free(&r);
	return o;
}

static void who_may_ask_for_what(void **state)
{
	static const struct {
		const char *path, *type;
		long nobody, stranger, op;
	} rows[] = {
	    {"/v1/root", NULL, 200, 200, 200},
	    {"/v1/bundle", NULL, 200, 200, 200},
	    {"/v1/bundle?format=spiffe", NULL, 200, 200, 200},
	    {"/v1/bundle?format=der", NULL, 400, 400, 400},
	    {"/v1/head", NULL, 200, 200, 200},
	    {"/v1/status", NULL, 401, 403, 200},
	    {"/v1/view", NULL, 401, 403, 200},
	    {"/v1/view?consistency=linearizable", NULL, 401, 403, 200},
	    {"/v1/view?consistency=eventually", NULL, 401, 403, 400},
	    {"/v1/certs", NULL, 401, 403, 200},
	    {"/v1/certs?limit=x", NULL, 401, 403, 400},
	    {"/v1/certs/00", NULL, 401, 403, 400},
	    {"/v1/certs/40000000000000000000000000000000", NULL, 401, 403, 404},
	    {"/v1/join", NULL, 401, 403, 200},
	    {"/v1/admin", "application/octet-stream", 401, 403, 400},
	    {"/v1/transfer", "application/json", 401, 403, 400},
	    {"/v1/transfer", "text/plain", 400, 400, 400},
	    {"/v1/join", "application/json", 400, 400, 400},
	    {"/v1/admin", NULL, 405, 405, 405},
	    {"/v1/view", "application/json", 405, 405, 405},
	    {"/v1/nothing", NULL, 404, 404, 404},
	    {"/", NULL, 404, 404, 404},
	    {"/metrics", NULL, 404, 404, 404},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const long want[] = {
		    rows[i].nobody, rows[i].op, rows[i].stranger};

		for (int who = NOBODY; who <= STRANGER; who++) {
			struct reply r;

			https((enum who)who, rows[i].path, rows[i].type,
			    span_str("?"), &r);
			if (r.http != want[who])
				fail_msg("%s as %d: curl %d http %ld: %.*s",
				    rows[i].path, who, r.curl, r.http,
				    (int)r.body.len, (const char *)r.body.p);
			if (r.http >= 400) {
				json_t *o = json_of(&r);

				assert_non_null(json_object_get(o, "error"));
				assert_non_null(json_object_get(o, "why"));
				json_decref(o);
			}
			reply_free(&r);
		}
	}
}

static void the_bundle_is_the_root_in_two_forms(void **state)
{
	json_t *o = get_json(NOBODY, "/v1/bundle?format=spiffe", 200);
	json_t *key = json_array_get(json_object_get(o, "keys"), 0);
	const char *x5c =
	    json_string_value(json_array_get(json_object_get(key, "x5c"), 0));
	struct buf der, pem;
	struct reply r;
	struct err e;

	(void)state;
	assert_string_equal(
	    json_string_value(json_object_get(key, "use")), "x509-svid");
	buf_init(&der);
	buf_init(&pem);
	assert_int_equal(
	    base64_decode(&der, span_str(x5c), BASE64_STD, &e), E_OK);
	assert_true(span_eq(buf_span(&der), buf_span(&h.world.root)));
	https(NOBODY, "/v1/root", NULL, SPAN_EMPTY, &r);
	world_pem(&pem, &h.world.root);
	assert_true(span_eq(buf_span(&r.body), buf_span(&pem)));
	assert_true(r.applied[0] != '\0');
	reply_free(&r);
	buf_free(&der);
	buf_free(&pem);
	json_decref(o);
}

static void plain_http_serves_bundle_and_crl_only(void **state)
{
	static const struct {
		const char *path, *type;
		long status;
	} rows[] = {
	    {"/bundle.pem", "application/x-pem-file", 200},
	    {"/bundle.json", "application/json", 200},
	    {"/root.crl", "application/pkix-crl", 200},
	    {"/v1/view", "application/json", 404},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reply r;

		http_do(&h, "http", HTTP_PORT,
		    &(struct call){.path = rows[i].path, .get = true}, &r);
		assert_int_equal(r.http, rows[i].status);
		assert_string_equal(r.type, rows[i].type);
		reply_free(&r);
	}
}

static void a_read_without_a_quorum_is_unavailable(void **state)
{
	json_t *o;

	(void)state;
	h.read_code = E_UNAVAILABLE;
	o = get_json(OPERATOR, "/v1/view?consistency=linearizable", 503);
	assert_string_equal(
	    json_string_value(json_object_get(o, "error")), "unavailable");
	json_decref(o);
	o = get_json(OPERATOR, "/v1/view", 200);
	json_decref(o);
	h.read_code = E_OK;
}

static void the_view_has_the_names_of_types_h(void **state)
{
	json_t *o = get_json(OPERATOR, "/v1/view", 200), *c, *n, *is;

	(void)state;
	assert_string_equal(
	    json_string_value(json_object_get(o, "trust_domain")), WORLD_TD);
	c = json_array_get(json_object_get(o, "clusters"), 1);
	assert_string_equal(
	    json_string_value(json_object_get(c, "name")), "west");
	assert_string_equal(
	    json_string_value(json_array_get(json_object_get(c, "aliases"), 0)),
	    "Kubernetes");
	n = json_array_get(json_object_get(o, "nodes"), 0);
	assert_int_equal(json_integer_value(json_object_get(n, "id")), 1);
	is = json_array_get(json_object_get(o, "issuers"), 0);
	assert_string_equal(
	    json_string_value(json_object_get(is, "state")), "active");
	assert_string_equal(json_string_value(json_object_get(is, "key_id")),
	    json_string_value(json_object_get(n, "issuer")));
	json_decref(o);
}

static void issue(uint8_t n, const char *uri)
{
	struct buf spki;
	struct ca_issue i = {.serial = {0x42, n},
	    .profile = CA_PROFILE_WORKLOAD,
	    .encoder = 1,
	    .uri = span_str(uri),
	    .not_before_s = h.world.log_s,
	    .not_after_s = h.world.log_s + 600,
	    .via = CA_VIA_TOKEN,
	    .cluster = span_str("east"),
	    .requester = span_str("system:serviceaccount:shop:cart"),
	    .pod_name = span_str("pod-1"),
	    .pod_uid = span_str("p-1"),
	    .policy_version = h.world.view->policy.version,
	    .signature = span_str("signature")};

	world_spki(&spki, h.world.p256);
	i.spki = buf_span(&spki);
	memcpy(i.issuer, h.world.view->issuers[0].key_id, sizeof(i.issuer));
	assert_int_equal(world_issue(&h.world, &i), CA_OK);
	buf_free(&spki);
}

#define ID1 "spiffe://" WORLD_TD "/ns/shop/sa/cart"
#define ID2 "spiffe://" WORLD_TD "/ns/shop/sa/till"

static void certificates_are_listed_in_log_order(void **state)
{
	json_t *o, *list;
	char path[128];
	long long next;

	(void)state;
	for (uint8_t i = 0; i < 5; i++)
		issue(i, i == 3 ? ID2 : ID1);
	o = get_json(OPERATOR, "/v1/certs?limit=2", 200);
	list = json_object_get(o, "certs");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_string_value(json_object_get(
				json_array_get(list, 1), "serial")),
	    "42010000000000000000000000000000");
	next = json_integer_value(json_object_get(o, "next"));
	assert_true(next > 0);
	json_decref(o);
	snprintf(path, sizeof(path), "/v1/certs?limit=9&after=%lld", next);
	o = get_json(OPERATOR, path, 200);
	assert_int_equal(json_array_size(json_object_get(o, "certs")), 3);
	assert_true(json_is_null(json_object_get(o, "next")));
	json_decref(o);
	o = get_json(OPERATOR,
	    "/v1/certs?identity=spiffe%3A%2F%2F" WORLD_TD
	    "%2Fns%2Fshop%2Fsa%2Ftill",
	    200);
	list = json_object_get(o, "certs");
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(list, 0), "uri")),
	    ID2);
	json_decref(o);
}

static void one_certificate_is_shown_with_its_log_entry(void **state)
{
	json_t *o = get_json(
	    OPERATOR, "/v1/certs/42020000000000000000000000000000", 200);
	struct ca_entry *en = calloc(1, sizeof(*en));
	struct wire_memory *mem;
	struct buf raw;
	struct err e;

	(void)state;
	assert_non_null(en);
	assert_string_equal(
	    json_string_value(json_object_get(o, "via")), "token");
	assert_int_equal(
	    strlen(json_string_value(json_object_get(o, "not_before"))),
	    strlen("2027-01-15T08:00:00Z"));
	assert_non_null(
	    strstr(json_string_value(json_object_get(o, "pem")), "BEGIN CERT"));
	assert_non_null(strstr(
	    json_string_value(json_object_get(o, "issuer_pem")), "BEGIN CERT"));
	buf_init(&raw);
	assert_int_equal(
	    base64_decode(&raw,
		span_str(json_string_value(json_object_get(o, "entry"))),
		BASE64_STD, &e),
	    E_OK);
	assert_int_equal(wire_entry_decode(buf_span(&raw), en, &mem, &e), E_OK);
	assert_int_equal(en->u.issue.serial[1], 2);
	wire_free(mem);
	free(en);
	buf_free(&raw);
	json_decref(o);
}

static void the_head_is_signed(void **state)
{
	json_t *o = get_json(NOBODY, "/v1/head", 200);

	(void)state;
	assert_int_equal(
	    strlen(json_string_value(json_object_get(o, "root"))), 64);
	assert_int_equal(
	    strlen(json_string_value(json_object_get(o, "signature"))), 88);
	assert_int_equal(json_integer_value(json_object_get(o, "node")), 1);
	json_decref(o);
}

static void an_envelope_is_answered_when_it_is_applied(void **state)
{
	struct ca_signature sig = {
	    .spki = span_str("key"), .sig = span_str("signature")};
	struct ca_admin c = {.kind = CA_ADMIN_CREATE_JOIN_TOKEN};
	const uint8_t nonce[CA_NONCE_LEN] = {1};
	struct buf payload, msg;
	struct reply r;
	struct err e = {0};
	json_t *o;

	(void)state;
	buf_init(&payload);
	buf_init(&msg);
	c.u.create_join_token.cluster = span_str("south");
	c.u.create_join_token.expires_ms = 1;
	assert_int_equal(wire_admin_payload(
			     &payload, span_str(WORLD_TD), nonce, 1, &c, 1, &e),
	    E_OK);
	assert_int_equal(
	    wire_signed_encode(&msg, buf_span(&payload), &sig, 1, &e), E_OK);
	https(OPERATOR, "/v1/admin", "application/octet-stream", buf_span(&msg),
	    &r);
	o = json_of(&r);
	assert_int_equal(r.http, 200);
	assert_int_equal(json_integer_value(json_object_get(o, "index")), 42);
	json_decref(o);
	reply_free(&r);
	h.issue_code = E_CONFLICT;
	h.why = "there is such a token";
	https(OPERATOR, "/v1/admin", "application/octet-stream", buf_span(&msg),
	    &r);
	h.issue_code = E_OK;
	o = json_of(&r);
	assert_int_equal(r.http, 409);
	assert_string_equal(
	    json_string_value(json_object_get(o, "why")), h.why);
	json_decref(o);
	reply_free(&r);
	buf_free(&payload);
	buf_free(&msg);
}

static void leadership_is_handed_over_by_json(void **state)
{
	static const struct {
		const char *body;
		long status;
	} rows[] = {
	    {"{\"to\": 2}", 200},
	    {"{\"to\": 3}", 404},
	    {"{\"to\": -1}", 400},
	    {"{\"to\": \"2\"}", 400},
	    {"{}", 400},
	    {"[]", 400},
	    {"", 400},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reply r;

		https(OPERATOR, "/v1/transfer", "application/json",
		    span_str(rows[i].body), &r);
		assert_int_equal(r.http, rows[i].status);
		reply_free(&r);
	}
}

static void a_body_over_1_mib_is_refused(void **state)
{
	struct buf big;
	struct reply r;

	(void)state;
	buf_init(&big);
	assert_true(buf_reserve(&big, 2 << 20));
	memset(big.p, 'x', 2 << 20);
	big.len = 2 << 20;
	https(NOBODY, "/v1/join", "application/json", buf_span(&big), &r);
	assert_true(r.curl != CURLE_OK || r.http >= 400);
	reply_free(&r);
	buf_free(&big);
	json_decref(get_json(NOBODY, "/v1/head", 200));
}

static void garbage_ends_only_its_own_connection(void **state)
{
	static const unsigned ports[] = {HTTPS_PORT, HTTP_PORT, METRICS_PORT};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		int fd = raw_connect(&h, ports[i]);

		assert_true(fd >= 0);
		assert_int_equal(write(fd, "\x01\x02 \xff\r\n\r\n", 8), 8);
		assert_true(raw_wait_close(fd, 3000) >= 0);
		close(fd);
	}
	json_decref(get_json(NOBODY, "/v1/head", 200));
}

static void metrics_and_health_are_told_in_plain_text(void **state)
{
	static const struct {
		const char *path;
		enum code ready;
		long status;
		const char *text;
	} rows[] = {
	    {"/healthz", E_UNAVAILABLE, 200, "ok\n"},
	    {"/readyz", E_OK, 200, "ready\n"},
	    {"/readyz", E_UNAVAILABLE, 503, "no quorum\n"},
	    {"/metrics", E_OK, 200, "quorate_issue_total"},
	    {"/bundle.pem", E_OK, 404, "not-found"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reply r;

		h.ready_code = rows[i].ready;
		http_do(&h, "http", METRICS_PORT,
		    &(struct call){.path = rows[i].path, .get = true}, &r);
		assert_int_equal(r.http, rows[i].status);
		assert_non_null(memmem(
		    r.body.p, r.body.len, rows[i].text, strlen(rows[i].text)));
		reply_free(&r);
	}
	h.ready_code = E_OK;
}

/* ---- Joining ---- */

struct joiner {
	EVP_PKEY *api, *issuer;
	uint8_t secret[32], mesh_key[32];
	struct buf request;
};

static void sign_proof(struct buf *sig, const struct joiner *j)
{
	uint8_t all[24 + 32], out[80];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	size_t len = sizeof(out);

	memcpy(all, "quorate issuer proof v1", 24);
	memcpy(all + 24, j->mesh_key, 32);
	assert_int_equal(
	    EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, j->issuer), 1);
	assert_int_equal(EVP_DigestSign(md, out, &len, all, sizeof(all)), 1);
	buf_add(sig, out, len);
	EVP_MD_CTX_free(md);
}

static void set_base64(json_t *o, const char *name, struct span s)
{
	struct buf b;

	buf_init(&b);
	base64_encode(&b, s, BASE64_STD);
	json_object_set_new(o, name, json_stringn((const char *)b.p, b.len));
	buf_free(&b);
}

static void set_hex(json_t *o, const char *name, const uint8_t *p, size_t len)
{
	char hex[129];

	hex_encode(hex, p, len);
	json_object_set_new(o, name, json_string(hex));
}

static json_t *join_body(const struct joiner *j)
{
	json_t *o = json_pack("{s:s, s:s, s:[s]}", "cluster", "south",
	    "mesh_address", "127.0.3.1:7700", "api_addresses", "127.0.3.1");
	struct buf csr, spki, proof;
	struct err e;

	buf_init(&csr);
	buf_init(&proof);
	set_hex(o, "mesh_key", j->mesh_key, 32);
	set_hex(o, "log_key", j->mesh_key, 32);
	assert_int_equal(
	    pki_csr_make(&csr, j->api, SPAN_EMPTY, NULL, 0, &e), E_OK);
	json_object_set_new(
	    o, "api_csr", json_stringn((const char *)csr.p, csr.len));
	world_spki(&spki, j->api);
	set_base64(o, "api_spki", buf_span(&spki));
	buf_free(&spki);
	world_spki(&spki, j->issuer);
	set_base64(o, "issuer_spki", buf_span(&spki));
	sign_proof(&proof, j);
	set_base64(o, "issuer_proof", buf_span(&proof));
	buf_free(&spki);
	buf_free(&csr);
	buf_free(&proof);
	return o;
}

/* Takes body. */
static void join_request(struct joiner *j, json_t *body)
{
	char *text = json_dumps(body, 0), *outer;
	uint8_t mac[32];
	json_t *o = json_object();

	json_decref(body);
	crypto_auth_hmacsha256(
	    mac, (const uint8_t *)"quorate join auth", 17, j->secret);
	set_hex(o, "auth", mac, 32);
	crypto_auth_hmacsha256(
	    mac, (const uint8_t *)text, strlen(text), j->secret);
	set_hex(o, "mac", mac, 32);
	set_base64(o, "body", span_str(text));
	outer = json_dumps(o, 0);
	buf_clear(&j->request);
	buf_add_str(&j->request, outer);
	free(outer);
	free(text);
	json_decref(o);
}

static void joiner_make(struct joiner *j, uint8_t n)
{
	memset(j, 0, sizeof(*j));
	j->api = world_key("P-256");
	j->issuer = world_key("P-256");
	j->secret[0] = j->mesh_key[0] = n;
	join_request(j, join_body(j));
}

static void joiner_free(struct joiner *j)
{
	EVP_PKEY_free(j->api);
	EVP_PKEY_free(j->issuer);
	buf_free(&j->request);
}

static void create_token(const struct joiner *j, uint64_t expires_ms)
{
	struct ca_admin *c = calloc(1, sizeof(*c));
	uint8_t auth[32];

	assert_non_null(c);
	crypto_auth_hmacsha256(
	    auth, (const uint8_t *)"quorate join auth", 17, j->secret);
	c->kind = CA_ADMIN_CREATE_JOIN_TOKEN;
	c->u.create_join_token.cluster = span_str("south");
	c->u.create_join_token.expires_ms = expires_ms;
	sha256_of(
	    c->u.create_join_token.secret_hash, span_of(auth, sizeof(auth)));
	world_admin(&h.world, c);
	free(c);
}

static void set_node(const struct joiner *j, bool removed)
{
	struct ca_admin *c = calloc(1, sizeof(*c));
	struct ca_node *n = &c->u.set_node;
	struct buf spki;

	assert_non_null(c);
	world_spki(&spki, j->api);
	c->kind = CA_ADMIN_SET_NODE;
	n->id = 2;
	n->cluster = span_str("west"); /* registered; tokens may name others */
	memcpy(n->mesh_key, j->mesh_key, 32);
	n->log_key[0] = 2;
	n->mesh_address = span_str("127.0.3.1:7700");
	n->api_addresses[n->api_addresses_n++] = span_str("127.0.3.1");
	n->api_addresses[n->api_addresses_n++] = span_str("south.test");
	n->api_spki = buf_span(&spki);
	n->removed = removed;
	world_admin(&h.world, c);
	buf_free(&spki);
	free(c);
}

static json_t *post_join(const struct joiner *j, long status)
{
	struct reply r;
	json_t *o;

	https(
	    NOBODY, "/v1/join", "application/json", buf_span(&j->request), &r);
	o = json_of(&r);
	if (r.http != status)
		fail_msg("http %ld: %.*s", r.http, (int)r.body.len,
		    (const char *)r.body.p);
	reply_free(&r);
	return o;
}

static const char *text_at(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

static void a_joiner_waits_until_operators_took_it_in(void **state)
{
	struct joiner j;
	json_t *o, *one;

	(void)state;
	joiner_make(&j, 8);
	create_token(&j, clock_unix_ms() - 60000);
	json_decref(post_join(&j, 401)); /* expired */
	joiner_free(&j);
	joiner_make(&j, 9);
	json_decref(post_join(&j, 401)); /* no such token */
	create_token(&j, clock_unix_ms() + 3600000);
	o = post_join(&j, 200);
	assert_string_equal(text_at(o, "state"), "pending");
	json_decref(o);
	json_decref(post_join(&j, 200)); /* again: still one */
	o = get_json(OPERATOR, "/v1/join", 200);
	assert_int_equal(json_array_size(json_object_get(o, "pending")), 1);
	one = json_array_get(json_object_get(o, "pending"), 0);
	assert_string_equal(text_at(one, "cluster"), "south");
	assert_int_equal(strlen(text_at(one, "mac")), 64);
	assert_non_null(text_at(one, "body"));
	json_decref(o);

	set_node(&j, false);
	h.issue_code = E_CONFLICT; /* this node's issuer settles */
	h.why = "settles";
	o = post_join(&j, 200);
	assert_string_equal(text_at(o, "state"), "approved");
	assert_int_equal(json_integer_value(json_object_get(o, "id")), 2);
	assert_null(json_object_get(o, "api_cert"));
	assert_int_equal(json_array_size(json_object_get(o, "nodes")), 2);
	json_decref(o);
	h.issue_code = E_OK;
	o = post_join(&j, 200);
	assert_non_null(strstr(text_at(o, "api_cert"), "BEGIN CERT"));
	assert_int_equal(h.seen.profile, CA_PROFILE_NODE);
	assert_int_equal(h.seen.via, CA_VIA_NODE);
	assert_int_equal(h.seen.dns_n, 1);
	assert_int_equal(h.seen.ip_n, 1);
	json_decref(o);
	o = get_json(OPERATOR, "/v1/join", 200);
	assert_int_equal(json_array_size(json_object_get(o, "pending")), 0);
	json_decref(o);
	/* Asked for once only. */
	h.issues = 0;
	json_decref(post_join(&j, 200));
	assert_int_equal(h.issues, 0);

	/* Removed, it waits for nobody and cannot come back. */
	set_node(&j, true);
	o = post_join(&j, 409);
	assert_non_null(strstr(text_at(o, "why"), "node 2, which was removed"));
	json_decref(o);
	o = get_json(OPERATOR, "/v1/join", 200);
	assert_int_equal(json_array_size(json_object_get(o, "pending")), 0);
	json_decref(o);
	joiner_free(&j);
}

static void a_join_request_that_does_not_hold_is_refused(void **state)
{
	static const struct {
		const char *field, *value;
		long status;
	} rows[] = {
	    {"cluster", "elsewhere", 409},
	    {"cluster", NULL, 400},
	    {"mesh_key", "00", 400},
	    {"mesh_key", "zz", 400},
	    {"mesh_address", NULL, 400},
	    {"api_addresses", "none", 400},
	    {"api_csr", "none", 400},
	    {"api_spki", "AAAA", 400},
	    {"issuer_proof", "AAAA", 400},
	    {"issuer_spki", "AAAA", 400},
	    {"log_key", NULL, 400},
	};
	struct joiner j;

	(void)state;
	joiner_make(&j, 11);
	create_token(&j, clock_unix_ms() + 3600000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *body = join_body(&j);

		if (rows[i].value == NULL)
			json_object_del(body, rows[i].field);
		else
			json_object_set_new(
			    body, rows[i].field, json_string(rows[i].value));
		join_request(&j, body);
		json_decref(post_join(&j, rows[i].status));
	}
	joiner_free(&j);
}

static void nothing_but_metrics_before_there_is_a_certificate(void **state)
{
	struct harness *w = *state;
	struct reply r;

	assert_int_equal(raw_connect(w, GRPC_PORT), -1);
	assert_int_equal(raw_connect(w, HTTPS_PORT), -1);
	assert_int_equal(raw_connect(w, HTTP_PORT), -1);
	http_do(w, "http", METRICS_PORT,
	    &(struct call){.path = "/healthz", .get = true}, &r);
	assert_int_equal(r.http, 200);
	reply_free(&r);
}

static int bare_setup(void **state)
{
	*state = calloc(1, sizeof(struct harness));
	return *state == NULL ? -1 : harness_start(*state, false);
}

static int bare_teardown(void **state)
{
	harness_stop(*state);
	free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest bare[] = {
	    cmocka_unit_test_setup_teardown(
		nothing_but_metrics_before_there_is_a_certificate, bare_setup,
		bare_teardown),
	};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_may_ask_for_what),
	    cmocka_unit_test(the_bundle_is_the_root_in_two_forms),
	    cmocka_unit_test(plain_http_serves_bundle_and_crl_only),
	    cmocka_unit_test(a_read_without_a_quorum_is_unavailable),
	    cmocka_unit_test(the_view_has_the_names_of_types_h),
	    cmocka_unit_test(certificates_are_listed_in_log_order),
	    cmocka_unit_test(one_certificate_is_shown_with_its_log_entry),
	    cmocka_unit_test(the_head_is_signed),
	    cmocka_unit_test(an_envelope_is_answered_when_it_is_applied),
	    cmocka_unit_test(leadership_is_handed_over_by_json),
	    cmocka_unit_test(a_body_over_1_mib_is_refused),
	    cmocka_unit_test(garbage_ends_only_its_own_connection),
	    cmocka_unit_test(metrics_and_health_are_told_in_plain_text),
	    cmocka_unit_test(a_joiner_waits_until_operators_took_it_in),
	    cmocka_unit_test(a_join_request_that_does_not_hold_is_refused),
	};
	int bad = cmocka_run_group_tests(bare, NULL, NULL);

	return bad + cmocka_run_group_tests(tests, setup, teardown);
}
