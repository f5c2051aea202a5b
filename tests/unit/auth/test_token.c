/* Service-account tokens: which are taken, and why the others are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auth/auth.h"
#include "world.h"

static struct world w;
static struct auth_keys *keys;

static int setup(void **state)
{
	struct err e = {0};

	(void)state;
	world_make(&w);
	return auth_keys_make(w.view, &keys, &e) == E_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	auth_keys_unref(keys);
	world_free(&w);
	return 0;
}

static enum code check(const char *token, const char *clusterid,
    struct auth_identity *id, struct err *e)
{
	*e = (struct err){0};
	return auth_token(
	    keys, span_str(token), span_str(clusterid), WORLD_NOW_S, id, e);
}

#define GOOD_EXP (WORLD_NOW_S + 600)

static void every_algorithm_of_the_list_is_taken(void **state)
{
	const struct {
		EVP_PKEY *key;
		const char *alg, *header, *cluster;
	} rows[] = {
	    {w.rsa, "RS256", "{\"alg\":\"RS256\",\"kid\":\"one\"}", "east"},
	    {w.rsa, "PS256", "{\"alg\":\"PS256\",\"kid\":\"four\"}", "east"},
	    {w.p256, "ES256", "{\"alg\":\"ES256\",\"kid\":\"two\"}", "east"},
	    {w.p384, "ES384", "{\"alg\":\"ES384\",\"kid\":\"three\"}", "east"},
	    {w.p384, "ES384", "{\"alg\":\"ES384\",\"typ\":\"JWT\"}", "east"},
	    {w.west, "ES256", "{\"alg\":\"ES256\",\"kid\":\"two\"}", "west"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *claims =
		    world_claims(GOOD_EXP, "shop", "cart", NULL, NULL);
		char *token = world_token(
		    rows[i].key, rows[i].alg, rows[i].header, claims);
		struct auth_identity id;
		struct err e;

		if (check(token, "", &id, &e) != E_OK)
			fail_msg("row %zu: %s", i, e.text);
		assert_string_equal(id.cluster, rows[i].cluster);
		assert_string_equal(
		    id.uri, "spiffe://" WORLD_TD "/ns/shop/sa/cart");
		assert_string_equal(
		    id.requester, "system:serviceaccount:shop:cart");
		assert_string_equal(id.pod_name, "pod-1");
		assert_string_equal(id.pod_uid, "p-1");
		assert_int_equal(id.via, CA_VIA_TOKEN);
		free(token);
		free(claims);
	}
}

static void a_claim_that_is_wrong_is_named(void **state)
{
	static const struct {
		const char *why, *from, *to;
		uint64_t exp;
		enum code code;
	} rows[] = {
	    {"has expired", NULL, NULL, WORLD_NOW_S, E_UNAUTH},
	    {"has expired", NULL, NULL, WORLD_NOW_S - 30, E_UNAUTH},
	    {"no expiry", "\"exp\"", "\"xxp\"", GOOD_EXP, E_UNAUTH},
	    {"no expiry", "\"exp\":", "\"exp\":\"1\",\"x\":", GOOD_EXP,
		E_UNAUTH},
	    {"not valid yet", "\"nbf\":", "\"nbf\":9999999999,\"x\":", GOOD_EXP,
		E_UNAUTH},
	    {"in the future", "\"iat\":", "\"iat\":9999999999,\"x\":", GOOD_EXP,
		E_UNAUTH},
	    {"audience", "istio-ca", "kubernetes", GOOD_EXP, E_UNAUTH},
	    {"audience", "\"aud\"", "\"bud\"", GOOD_EXP, E_UNAUTH},
	    {"audience", "[\"istio-ca\"]", "[7]", GOOD_EXP, E_UNAUTH},
	    {"subject", "system:serviceaccount:", "system:node:", GOOD_EXP,
		E_UNAUTH},
	    {"subject", "shop:cart", "shop:", GOOD_EXP, E_UNAUTH},
	    {"subject", "shop:cart", "Shop:cart", GOOD_EXP, E_UNAUTH},
	    {"subject", "shop:cart", "shop/x:cart", GOOD_EXP, E_UNAUTH},
	    {"subject", "shop:cart", "shop:cart/../x", GOOD_EXP, E_UNAUTH},
	    {"subject", "shop:cart", "shop:cart:x", GOOD_EXP, E_UNAUTH},
	    {"do not agree", "\"namespace\":\"shop", "\"namespace\":\"bank",
		GOOD_EXP, E_UNAUTH},
	    {"do not agree", "{\"name\":\"cart", "{\"name\":\"till", GOOD_EXP,
		E_UNAUTH},
	    {"do not agree", "kubernetes.io", "kubernetes.xx", GOOD_EXP,
		E_UNAUTH},
	    {"not bound to a pod", "\"pod\"", "\"node\"", GOOD_EXP, E_UNAUTH},
	    {"not bound to a pod", "\"uid\":\"p-1\"", "\"vid\":\"p-1\"",
		GOOD_EXP, E_UNAUTH},
	    {"malformed", "{\"iss\"", "[\"iss\"", GOOD_EXP, E_UNAUTH},
	    {"malformed", "\"exp\":", "\"exp\":9999999999,\"exp\":", GOOD_EXP,
		E_UNAUTH},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *claims = world_claims(
		    rows[i].exp, "shop", "cart", rows[i].from, rows[i].to);
		char *token =
		    world_token(w.p256, "ES256", "{\"alg\":\"ES256\"}", claims);
		struct auth_identity id;
		struct err e;

		assert_int_equal(check(token, "", &id, &e), rows[i].code);
		if (strstr(e.text, rows[i].why) == NULL)
			fail_msg("row %zu: %s", i, e.text);
		assert_null(strstr(e.text, token));
		free(token);
		free(claims);
	}
}

static void clocks_may_differ_by_a_minute_but_not_for_expiry(void **state)
{
	static const struct {
		const char *from, *to;
		bool ok;
	} rows[] = {
	    {"\"nbf\":", "\"nbf\":1800000059,\"x\":", true},
	    {"\"nbf\":", "\"nbf\":1800000061,\"x\":", false},
	    {"\"iat\":", "\"iat\":1800000059,\"x\":", true},
	    {"\"iat\":", "\"iat\":1800000061,\"x\":", false},
	    {"\"exp\":", "\"exp\":1800000001,\"x\":", true},
	    {"\"exp\":", "\"exp\":1800000000,\"x\":", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *claims = world_claims(
		    GOOD_EXP, "shop", "cart", rows[i].from, rows[i].to);
		char *token =
		    world_token(w.p256, "ES256", "{\"alg\":\"ES256\"}", claims);
		struct auth_identity id;
		struct err e;

		assert_int_equal(check(token, "", &id, &e) == E_OK, rows[i].ok);
		free(token);
		free(claims);
	}
}

static void only_a_registered_key_verifies(void **state)
{
	const struct {
		const char *what;
		EVP_PKEY *key;
		const char *alg, *header, *why;
	} rows[] = {
	    {"none", NULL, "", "{\"alg\":\"none\"}", "algorithm"},
	    {"None", NULL, "", "{\"alg\":\"None\"}", "algorithm"},
	    {"HMAC", w.p256, "ES256", "{\"alg\":\"HS256\"}", "algorithm"},
	    {"PS512", w.rsa, "PS512", "{\"alg\":\"PS512\"}", "algorithm"},
	    {"alg is no text", NULL, "", "{\"alg\":[\"ES256\"]}", "alg"},
	    {"no alg", NULL, "", "{}", "alg"},
	    {"crit", w.p256, "ES256", "{\"alg\":\"ES256\",\"crit\":[\"b64\"]}",
		"critical"},
	    {"no signature", NULL, "", "{\"alg\":\"ES256\"}", "no registered"},
	    {"stranger", w.stranger_key, "ES256", "{\"alg\":\"ES256\"}",
		"no registered"},
	    {"unknown kid", w.p256, "ES256",
		"{\"alg\":\"ES256\",\"kid\":\"nine\"}", "no registered"},
	    {"another alg than the key's", w.rsa, "RS512",
		"{\"alg\":\"RS512\",\"kid\":\"one\"}", "no registered"},
	    {"signed otherwise", w.rsa, "RS256",
		"{\"alg\":\"PS256\",\"kid\":\"four\"}", "no registered"},
	    {"kid is no text", w.p256, "ES256", "{\"alg\":\"ES256\",\"kid\":7}",
		"kid"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *claims =
		    world_claims(GOOD_EXP, "shop", "cart", NULL, NULL);
		char *token = world_token(
		    rows[i].key, rows[i].alg, rows[i].header, claims);
		struct auth_identity id;
		struct err e;

		assert_int_equal(check(token, "", &id, &e), E_UNAUTH);
		if (strstr(e.text, rows[i].why) == NULL)
			fail_msg("%s: %s", rows[i].what, e.text);
		free(token);
		free(claims);
	}
}

static void the_key_decides_the_cluster_and_clusterid_must_agree(void **state)
{
	const struct {
		const char *what;
		EVP_PKEY *key;
		const char *clusterid, *ns, *from, *to;
		enum code code;
	} rows[] = {
	    {"its name", w.west, "west", "shop", NULL, NULL, E_OK},
	    {"an alias", w.west, "Kubernetes", "shop", NULL, NULL, E_OK},
	    {"none", w.west, "", "shop", NULL, NULL, E_OK},
	    {"another cluster", w.west, "east", "shop", NULL, NULL, E_UNAUTH},
	    {"another's alias", w.p256, "Kubernetes", "shop", NULL, NULL,
		E_UNAUTH},
	    {"west's other audience", w.west, "", "shop", "[\"istio-ca\"]",
		"\"other\"", E_OK},
	    {"not east's audience", w.p256, "", "shop", "istio-ca", "other",
		E_UNAUTH},
	    {"west demands iss", w.west, "", "shop", "west.example",
		"east.example", E_UNAUTH},
	    {"east does not", w.p256, "", "shop", "west.example",
		"east.example", E_OK},
	    {"not west's namespace", w.west, "", "bank", NULL, NULL, E_DENIED},
	    {"west may istio-system", w.west, "", "istio-system", NULL, NULL,
		E_OK},
	    {"east may not", w.p256, "", "istio-system", NULL, NULL, E_DENIED},
	    {"nor kube-system", w.p256, "", "kube-system", NULL, NULL,
		E_DENIED},
	    {"east may bank", w.p256, "", "bank", NULL, NULL, E_OK},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *claims = world_claims(
		    GOOD_EXP, rows[i].ns, "cart", rows[i].from, rows[i].to);
		char *token = world_token(rows[i].key, "ES256",
		    "{\"alg\":\"ES256\",\"kid\":\"two\"}", claims);
		struct auth_identity id;
		struct err e;

		if (check(token, rows[i].clusterid, &id, &e) != rows[i].code)
			fail_msg("%s: %s", rows[i].what, e.text);
		free(token);
		free(claims);
	}
}

static void garbage_is_refused(void **state)
{
	static const char *const rows[] = {"", ".", "..", "...", "a.b.c", "a.b",
	    "e30.e30.", "e30.e30.!!", "\xff\xfe.\xff.\xff",
	    "eyJhbGciOiJFUzI1NiJ9..AAAA", "eyJhbGciOiJFUzI1NiJ9.e30.AAAA"};
	struct auth_identity id;
	struct err e;
	char *big;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(check(rows[i], "", &id, &e), E_UNAUTH);
	big = malloc(40001);
	assert_non_null(big);
	memset(big, 'a', 40000);
	big[40000] = '\0';
	assert_int_equal(check(big, "", &id, &e), E_UNAUTH);
	free(big);
}

static void one_changed_byte_breaks_a_token(void **state)
{
	char *claims = world_claims(GOOD_EXP, "shop", "cart", NULL, NULL);
	char *token =
	    world_token(w.p256, "ES256", "{\"alg\":\"ES256\"}", claims);
	size_t len = strlen(token);
	struct auth_identity id;
	struct err e;

	(void)state;
	assert_int_equal(check(token, "", &id, &e), E_OK);
	for (size_t i = 0; i < len; i++) {
		char was = token[i];

		token[i] = was == 'A' ? 'B' : 'A';
		assert_int_not_equal(check(token, "", &id, &e), E_OK);
		token[i] = was;
	}
	free(token);
	free(claims);
}

static void a_removed_cluster_s_tokens_are_refused(void **state)
{
	struct ca_admin *c = calloc(1, sizeof(*c));
	char *claims = world_claims(GOOD_EXP, "shop", "cart", NULL, NULL);
	char *token =
	    world_token(w.west, "ES256", "{\"alg\":\"ES256\"}", claims);
	struct auth_identity id;
	struct err e;

	(void)state;
	assert_non_null(c);
	assert_int_equal(check(token, "", &id, &e), E_OK);
	c->kind = CA_ADMIN_SET_CLUSTER;
	c->u.set_cluster = *ca_view_cluster(w.view, span_str("west"));
	c->u.set_cluster.removed = true;
	world_admin(&w, c);
	auth_keys_unref(keys);
	assert_int_equal(auth_keys_make(w.view, &keys, &e), E_OK);
	assert_int_equal(check(token, "", &id, &e), E_UNAUTH);
	free(c);
	free(token);
	free(claims);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_algorithm_of_the_list_is_taken),
	    cmocka_unit_test(a_claim_that_is_wrong_is_named),
	    cmocka_unit_test(clocks_may_differ_by_a_minute_but_not_for_expiry),
	    cmocka_unit_test(only_a_registered_key_verifies),
	    cmocka_unit_test(
		the_key_decides_the_cluster_and_clusterid_must_agree),
	    cmocka_unit_test(garbage_is_refused),
	    cmocka_unit_test(one_changed_byte_breaks_a_token),
	    cmocka_unit_test(a_removed_cluster_s_tokens_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
