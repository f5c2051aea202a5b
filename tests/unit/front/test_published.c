/* What peers fetch to check us: CRLs, bundles; and what operators see of
 * revocation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "harness.h"
#include "pki/pki.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define ID "spiffe://" WORLD_TD "/ns/shop/sa/cart"
#define SERIAL "42010000000000000000000000000000"

static struct harness h;
static struct buf operator_cert;

static int setup(void **state)
{
	(void)state;
	if (harness_start(&h, true) != 0)
		return -1;
	world_cert(&operator_cert, &(struct world_cert){.cn = "alice",
				       .key = h.world.operator_key,
				       .by = h.world.operator_key,
				       .life_s = 3600});
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_free(&operator_cert);
	harness_stop(&h);
	return 0;
}

static void plain(const char *path, const char *tag, struct reply *r)
{
	http_do(&h, "http", HTTP_PORT,
	    &(struct call){.path = path, .get = true, .if_none_match = tag}, r);
	assert_int_equal(r->curl, 0);
}

static void https(bool op, const char *path, struct reply *r)
{
	struct call c = {.path = path, .get = true};

	if (op) {
		c.key = h.world.operator_key;
		c.cert = &operator_cert;
	}
	http_do(&h, "https", HTTPS_PORT, &c, r);
	assert_int_equal(r->curl, 0);
}

static json_t *json_of(struct reply *r, long status)
{
	json_t *o = json_loadb((const char *)r->body.p, r->body.len, 0, NULL);

	if (o == NULL || r->http != status)
		fail_msg("http %ld: %.*s", r->http, (int)r->body.len,
		    (const char *)r->body.p);
	assert_string_equal(r->type, "application/json");
	reply_free(r);
	return o;
}

static const char *text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	assert_non_null(s);
	return s;
}

static long long number(const json_t *o, const char *name)
{
	assert_true(json_is_integer(json_object_get(o, name)));
	return json_integer_value(json_object_get(o, name));
}

/* ---- CRLs ------------------------------------------------------------------
 */

/* The CRL's number, after the issuer's signature over it was checked. */
static long crl_number(struct span der)
{
	const uint8_t *p = der.p;
	X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)der.len);
	ASN1_INTEGER *n;
	long out;

	assert_non_null(crl);
	assert_ptr_equal(p, der.p + der.len);
	assert_int_equal(X509_CRL_verify(crl, h.world.issuer_key), 1);
	n = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
	assert_non_null(n);
	out = ASN1_INTEGER_get(n);
	ASN1_INTEGER_free(n);
	X509_CRL_free(crl);
	return out;
}

static size_t count(struct span in, const char *word)
{
	const uint8_t *p = in.p, *end = in.p + in.len;
	size_t n = 0;

	while ((p = memmem(p, (size_t)(end - p), word, strlen(word))) != NULL) {
		p += strlen(word);
		n++;
	}
	return n;
}

static void before_the_first_crl_there_is_the_roots(void **state)
{
	struct reply r;
	json_t *o;

	(void)state;
	plain("/crl/east.crl", NULL, &r);
	assert_string_equal(r.cache, "no-store");
	assert_string_equal(r.etag, "");
	o = json_of(&r, 404);
	assert_non_null(strstr(text(o, "why"), "no CRL yet"));
	json_decref(o);
	plain("/crl.pem", NULL, &r);
	assert_int_equal(r.http, 200);
	assert_int_equal(count(buf_span(&r.body), "BEGIN X509 CRL"), 1);
	reply_free(&r);
}

static void check_crl(struct reply *r, bool pem, const char *path)
{
	struct buf der;
	struct err e = {0};

	if (r->http != 200 ||
	    strcmp(r->type,
		pem ? "application/x-pem-file" : "application/pkix-crl") != 0)
		fail_msg("%s: http %ld, %s", path, r->http, r->type);
	assert_string_equal(r->cache, "public, max-age=10");
	assert_string_equal(r->age, "7");
	assert_true(r->applied[0] > '0');
	assert_int_equal(strlen(r->etag), 34);
	buf_init(&der);
	if (pem)
		assert_int_equal(
		    pki_pem_first(buf_span(&r->body), "X509 CRL", &der, &e),
		    E_OK);
	assert_int_equal(
	    crl_number(pem ? buf_span(&der) : buf_span(&r->body)), 1);
	buf_free(&der);
	reply_free(r);
}

static void an_issuers_crl_has_several_names(void **state)
{
	static const struct {
		const char *before, *after;
		bool tls, by_key, pem;
	} rows[] = {
	    {"/crl/east", ".crl", false, false, false},
	    {"/crl/east", ".pem", false, false, true},
	    {"/crl/", ".crl", false, true, false},
	    {"/crl/", ".pem", false, true, true},
	    {"/v1/crl?issuer=east", "", true, false, false},
	    {"/v1/crl?issuer=east", "&format=der", true, false, false},
	    {"/v1/crl?issuer=east", "&format=pem", true, false, true},
	    {"/v1/crl?issuer=", "&format=pem", true, true, true},
	    {"/v1/crl?issuer=", "&consistency=linearizable", true, true, false},
	};
	char key[2 * CA_KEY_ID_LEN + 1], path[200];
	struct reply r;

	(void)state;
	world_crl(&h.world);
	hex_encode(key, h.world.view->issuers[0].key_id, CA_KEY_ID_LEN);
	for (size_t i = 0; i < ROWS(rows); i++) {
		snprintf(path, sizeof(path), "%s%s%s", rows[i].before,
		    rows[i].by_key ? key : "", rows[i].after);
		if (rows[i].tls)
			https(false, path, &r);
		else
			plain(path, NULL, &r);
		check_crl(&r, rows[i].pem, path);
	}
	plain("/crl.pem", NULL, &r);
	assert_int_equal(count(buf_span(&r.body), "BEGIN X509 CRL"), 2);
	reply_free(&r);
	https(false, "/v1/crl", &r);
	assert_string_equal(r.type, "application/x-pem-file");
	assert_int_equal(count(buf_span(&r.body), "BEGIN X509 CRL"), 2);
	reply_free(&r);
	https(false, "/v1/crl?issuer=root", &r);
	assert_true(span_eq(buf_span(&r.body), h.world.view->root_crl));
	reply_free(&r);
	plain("/crl/root.crl", NULL, &r);
	assert_true(span_eq(buf_span(&r.body), h.world.view->root_crl));
	reply_free(&r);
}

static void what_is_no_crl_is_said_so(void **state)
{
	static const struct {
		const char *path;
		bool tls;
		long status;
	} rows[] = {
	    {"/crl/west.crl", false, 404},
	    {"/crl/0000000000000000000000000000000000000000.crl", false, 404},
	    {"/crl/.crl", false, 404},
	    {"/crl/", false, 404},
	    {"/crl/east", false, 404},
	    {"/crl/east.der", false, 404},
	    {"/crl/east.crl/", false, 404},
	    {"/crl/eas%74.crl", false, 404},
	    {"/crl/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	     "aaaaaaaaaaaaaaaaaaaaaaaa.crl",
		false, 404},
	    {"/crl", false, 404},
	    {"/v1/crl?issuer=west", true, 404},
	    {"/v1/crl?issuer=", true, 404},
	    {"/v1/crl?issuer=east&format=xml", true, 400},
	    {"/v1/crl?issuer=east&consistency=maybe", true, 400},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct reply r;

		if (rows[i].tls)
			https(false, rows[i].path, &r);
		else
			plain(rows[i].path, NULL, &r);
		assert_string_equal(r.cache, "no-store");
		json_decref(json_of(&r, rows[i].status));
	}
}

static void what_is_known_is_not_sent_again(void **state)
{
	static const char *const paths[] = {"/crl/east.crl", "/crl.pem",
	    "/bundle.pem", "/bundle.json", "/federated.json"};
	char known[200];
	struct reply r;

	(void)state;
	for (size_t i = 0; i < ROWS(paths); i++) {
		char tag[80];

		plain(paths[i], NULL, &r);
		assert_int_equal(r.http, 200);
		snprintf(tag, sizeof(tag), "%s", r.etag);
		reply_free(&r);
		for (int form = 0; form < 3; form++) {
			snprintf(known, sizeof(known), "%s%s",
			    form == 1   ? "\"other\", "
			    : form == 2 ? "W/"
					: "",
			    tag);
			plain(paths[i], known, &r);
			assert_int_equal(r.http, 304);
			assert_int_equal(r.body.len, 0);
			assert_string_equal(r.etag, tag);
			assert_string_equal(r.cache, "public, max-age=10");
			reply_free(&r);
		}
		plain(paths[i], "\"00000000000000000000000000000000\"", &r);
		assert_int_equal(r.http, 200);
		reply_free(&r);
		if (i == 0) { /* the next CRL is another one */
			world_crl(&h.world);
			plain(paths[i], tag, &r);
			assert_int_equal(r.http, 200);
			assert_int_equal(crl_number(buf_span(&r.body)), 2);
			assert_string_not_equal(r.etag, tag);
			reply_free(&r);
		}
	}
}

/* ---- Bundles ---------------------------------------------------------------
 */

static void set_bundle(
    const char *td, const struct buf *certs, size_t n, bool foreign)
{
	struct ca_admin *c = calloc(1, sizeof(*c));
	struct ca_bundle *b = &c->u.set_trust_bundle;

	assert_non_null(c);
	c->kind = CA_ADMIN_SET_TRUST_BUNDLE;
	b->trust_domain = span_str(td);
	for (size_t i = 0; i < n; i++)
		b->certs[b->certs_n++] = buf_span(&certs[i]);
	if (!foreign)
		b->root_sig = span_str("signature");
	world_admin(&h.world, c);
	free(c);
}

static void a_root(struct buf *out, EVP_PKEY *key)
{
	world_cert(out, &(struct world_cert){.cn = "foreign root",
			    .constraints = "critical,CA:TRUE",
			    .usage = "critical,keyCertSign,cRLSign",
			    .key = key,
			    .by = key,
			    .life_s = 86400});
}

static json_t *get_json(const char *path)
{
	struct reply r;

	plain(path, NULL, &r);
	return json_of(&r, 200);
}

static void the_bundle_counts_its_changes(void **state)
{
	json_t *o = get_json("/bundle.json");
	EVP_PKEY *key = world_key("P-384");
	struct buf more;
	struct reply r;

	(void)state;
	assert_int_equal(number(o, "spiffe_sequence"), 1);
	assert_int_equal(number(o, "spiffe_refresh_hint"), 300);
	assert_int_equal(json_array_size(json_object_get(o, "keys")), 1);
	json_decref(o);
	a_root(&more, key);
	set_bundle(WORLD_TD, &more, 1, false);
	o = get_json("/bundle.json");
	assert_int_equal(number(o, "spiffe_sequence"), 2);
	assert_int_equal(json_array_size(json_object_get(o, "keys")), 2);
	json_decref(o);
	plain("/bundle.pem", NULL, &r);
	assert_int_equal(count(buf_span(&r.body), "BEGIN CERT"), 2);
	reply_free(&r);
	https(false, "/v1/bundle", &r);
	assert_int_equal(count(buf_span(&r.body), "BEGIN CERT"), 2);
	reply_free(&r);
	set_bundle(WORLD_TD, NULL, 0, false);
	o = get_json("/bundle.json");
	assert_int_equal(number(o, "spiffe_sequence"), 3);
	assert_int_equal(json_array_size(json_object_get(o, "keys")), 1);
	json_decref(o);
	buf_free(&more);
	EVP_PKEY_free(key);
}

static void expect_number(
    const json_t *jwk, const char *name, EVP_PKEY *key, const char *param)
{
	BIGNUM *want = NULL, *got;
	struct buf b;
	struct err e;

	buf_init(&b);
	assert_int_equal(
	    base64_decode(&b, span_str(text(jwk, name)), BASE64_URL, &e), E_OK);
	assert_int_equal(EVP_PKEY_get_bn_param(key, param, &want), 1);
	got = BN_bin2bn(b.p, (int)b.len, NULL);
	assert_int_equal(BN_cmp(want, got), 0);
	BN_free(want);
	BN_free(got);
	buf_free(&b);
}

/* Whatever keys others have: a root that has no JWK is left out, and nothing
 * else is. */
static void foreign_roots_are_jwks(void **state)
{
	EVP_PKEY *keys[] = {world_key("RSA"), world_key("P-384"),
	    EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), EVP_EC_gen("secp256k1")};
	static const char *const kty[] = {"RSA", "EC", "OKP"};
	struct buf roots[4];
	json_t *o, *domains, *other, *list, *jwk;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		a_root(&roots[i], keys[i]);
	set_bundle("other.example", roots, 4, true);
	set_bundle("gone.example", roots, 1, true);
	set_bundle("gone.example", NULL, 0, true);
	o = get_json("/federated.json");
	domains = json_object_get(o, "trust_domains");
	assert_int_equal(json_object_size(domains), 1);
	other = json_object_get(domains, "other.example");
	assert_int_equal(number(other, "spiffe_sequence"), 1);
	assert_int_equal(number(other, "spiffe_refresh_hint"), 300);
	list = json_object_get(other, "keys");
	assert_int_equal(json_array_size(list), 3);
	for (size_t i = 0; i < 3; i++) {
		jwk = json_array_get(list, i);
		assert_string_equal(text(jwk, "use"), "x509-svid");
		assert_string_equal(text(jwk, "kty"), kty[i]);
		assert_int_equal(
		    json_array_size(json_object_get(jwk, "x5c")), 1);
	}
	expect_number(
	    json_array_get(list, 0), "n", keys[0], OSSL_PKEY_PARAM_RSA_N);
	expect_number(
	    json_array_get(list, 0), "e", keys[0], OSSL_PKEY_PARAM_RSA_E);
	jwk = json_array_get(list, 1);
	assert_string_equal(text(jwk, "crv"), "P-384");
	assert_int_equal(strlen(text(jwk, "x")), 64);
	expect_number(jwk, "y", keys[1], OSSL_PKEY_PARAM_EC_PUB_Y);
	jwk = json_array_get(list, 2);
	assert_string_equal(text(jwk, "crv"), "Ed25519");
	assert_int_equal(strlen(text(jwk, "x")), 43);
	json_decref(o);
	for (size_t i = 0; i < 4; i++) {
		buf_free(&roots[i]);
		EVP_PKEY_free(keys[i]);
	}
}

/* ---- What operators see ----------------------------------------------------
 */

static void issue(void)
{
	struct buf spki;
	struct ca_issue i = {.serial = {0x42, 1},
	    .profile = CA_PROFILE_WORKLOAD,
	    .encoder = 1,
	    .uri = span_str(ID),
	    .not_before_s = h.world.log_s,
	    .not_after_s = h.world.log_s + 600,
	    .via = CA_VIA_TOKEN,
	    .cluster = span_str("east"),
	    .requester = span_str("system:serviceaccount:shop:cart"),
	    .pod_uid = span_str("p-1"),
	    .policy_version = h.world.view->policy.version,
	    .signature = span_str("signature")};

	world_spki(&spki, h.world.p256);
	i.spki = buf_span(&spki);
	memcpy(i.issuer, h.world.view->issuers[0].key_id, sizeof(i.issuer));
	assert_int_equal(world_issue(&h.world, &i), CA_OK);
	buf_free(&spki);
}

static void revoke(enum ca_revoke_by by, const char *what, enum ca_reason why)
{
	struct ca_admin *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->kind = CA_ADMIN_REVOKE;
	c->u.revoke.by = by;
	c->u.revoke.what = span_str(what);
	c->u.revoke.reason = why;
	world_admin(&h.world, c);
	free(c);
}

static json_t *op_json(const char *path)
{
	struct reply r;

	https(true, path, &r);
	return json_of(&r, 200);
}

static void blocks_are_for_operators(void **state)
{
	json_t *o = op_json("/v1/blocks"), *list;
	struct reply r;

	(void)state;
	assert_int_equal(json_array_size(json_object_get(o, "blocks")), 0);
	json_decref(o);
	https(false, "/v1/blocks", &r);
	json_decref(json_of(&r, 401));
	issue();
	revoke(CA_REVOKE_IDENTITY, ID, CA_REASON_KEY_COMPROMISE);
	revoke(CA_REVOKE_POD, "p-9", CA_REASON_UNSPECIFIED);
	o = op_json("/v1/blocks?consistency=linearizable");
	list = json_object_get(o, "blocks");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(text(json_array_get(list, 0), "kind"), "identity");
	assert_string_equal(text(json_array_get(list, 0), "what"), ID);
	assert_string_equal(
	    text(json_array_get(list, 0), "reason"), "keyCompromise");
	assert_int_equal(strlen(text(json_array_get(list, 0), "since")),
	    strlen("2027-01-15T08:00:00.000Z"));
	assert_string_equal(text(json_array_get(list, 1), "kind"), "pod");
	assert_string_equal(text(json_array_get(list, 1), "what"), "p-9");
	assert_string_equal(
	    text(json_array_get(list, 1), "reason"), "unspecified");
	json_decref(o);
	h.read_code = E_UNAVAILABLE;
	https(true, "/v1/blocks?consistency=linearizable", &r);
	json_decref(json_of(&r, 503));
	h.read_code = E_OK;
}

static void a_certificate_says_that_it_is_revoked(void **state)
{
	json_t *o = op_json("/v1/certs/" SERIAL), *row;

	(void)state;
	row = json_object_get(o, "revoked");
	assert_string_equal(text(row, "reason"), "keyCompromise");
	assert_int_equal(
	    strlen(text(row, "time")), strlen("2027-01-15T08:00:00Z"));
	json_decref(o);
	o = op_json("/v1/certs");
	row = json_array_get(json_object_get(o, "certs"), 0);
	assert_true(json_is_object(json_object_get(row, "revoked")));
	json_decref(o);
}

static void the_view_shows_crls_and_bundles(void **state)
{
	json_t *o, *crl, *list;

	(void)state;
	world_crl(&h.world);
	o = op_json("/v1/view");
	crl = json_array_get(json_object_get(o, "crls"), 0);
	assert_int_equal(number(crl, "number"), 3);
	assert_int_equal(number(crl, "frozen_number"), 3);
	assert_int_equal(number(crl, "entries"), 1);
	assert_true(number(crl, "signed_index") > number(crl, "content_index"));
	assert_true(number(crl, "content_index") > number(crl, "dirty_index"));
	assert_true(json_is_false(json_object_get(crl, "dirty")));
	assert_int_equal(strlen(text(crl, "issuer")), 2 * CA_KEY_ID_LEN);
	assert_non_null(text(crl, "this_update"));
	assert_non_null(text(crl, "next_update"));
	list = json_object_get(o, "bundles");
	assert_int_equal(json_array_size(list), 3); /* taken away: empty */
	json_decref(o);
}

/* Every GET of state knows the question, whoever answers it. */
static void linearizable_is_no_word_that_some_routes_pass_over(void **state)
{
	static const char *const paths[] = {"/v1/root", "/v1/bundle",
	    "/v1/bundle?format=spiffe", "/v1/crl?issuer=root", "/v1/blocks",
	    "/v1/head", "/v1/status", "/v1/view", "/v1/certs", "/v1/join"};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		char path[128];
		struct reply r;

		snprintf(path, sizeof(path), "%s%cconsistency=linearizable",
		    paths[i], strchr(paths[i], '?') != NULL ? '&' : '?');
		h.read_code = E_UNAVAILABLE;
		https(true, path, &r);
		if (r.http != 503)
			fail_msg("%s without a quorum: %ld", path, r.http);
		reply_free(&r);
		h.read_code = E_OK;
		https(true, path, &r);
		if (r.http != 200)
			fail_msg("%s: %ld", path, r.http);
		reply_free(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(before_the_first_crl_there_is_the_roots),
	    cmocka_unit_test(an_issuers_crl_has_several_names),
	    cmocka_unit_test(what_is_no_crl_is_said_so),
	    cmocka_unit_test(what_is_known_is_not_sent_again),
	    cmocka_unit_test(the_bundle_counts_its_changes),
	    cmocka_unit_test(foreign_roots_are_jwks),
	    cmocka_unit_test(blocks_are_for_operators),
	    cmocka_unit_test(a_certificate_says_that_it_is_revoked),
	    cmocka_unit_test(the_view_shows_crls_and_bundles),
	    cmocka_unit_test(
		linearizable_is_no_word_that_some_routes_pass_over),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
