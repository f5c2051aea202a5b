/* test_revoke.c -- revocation by serial, identity and pod: what is revoked,
 * what is not, and who gets nothing new until a block is lifted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

#define WEB "spiffe://td/ns/app/sa/web"
#define DB "spiffe://td/ns/app/sa/db"
#define DAY_MS 86400000ULL

static struct world w;

static int setup(void **state)
{
	(void)state;
	world_started(&w);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

static void expect(enum ca_outcome got, enum ca_outcome want, const char *why)
{
	if (got != want || strstr(w.result.why, why) == NULL)
		fail_msg("outcome %d \"%s\", expected %d \"%s\"", (int)got,
		    w.result.why, (int)want, why);
}

static void must(struct ca_admin command)
{
	expect(world_do(&w, command), CA_OK, "");
}

static struct ca_entry *issued(struct ca_entry *en)
{
	expect(world_apply(&w, en), CA_OK, "");
	return en;
}

static struct ca_entry *issue(const char *uri)
{
	return issued(world_issue(&w, uri));
}

static struct ca_entry *issue_pod(const char *uri, const char *pod)
{
	struct ca_entry *en = world_issue(&w, uri);

	en->u.issue.pod_uid = span_str(pod);
	return issued(en);
}

static struct ca_entry *renew(const struct ca_entry *parent)
{
	return issued(world_renew(&w, parent));
}

static bool revoked(const struct ca_entry *en, struct ca_revoked *out)
{
	struct ca_revoked r;
	struct err e;
	enum code rc = ca_revoked_get(
	    w.ca, en->u.issue.issuer, en->u.issue.serial, &r, &e);

	assert_true(rc == E_OK || rc == E_NOTFOUND);
	if (rc == E_OK)
		assert_memory_equal(
		    r.serial, en->u.issue.serial, CA_SERIAL_LEN);
	if (out != NULL)
		*out = r;
	return rc == E_OK;
}

static size_t revoked_count(void)
{
	return mem_count(&w.mem, CA_T_REVOKED);
}

static uint64_t dirty_index(const struct ca_entry *en)
{
	struct ca_view *v = world_view(&w);
	const struct ca_crl *c = ca_view_crl(v, en->u.issue.issuer);
	uint64_t out = c == NULL ? 0 : c->dirty_index;

	ca_view_unref(v);
	return out;
}

/* ---- By serial ----------------------------------------------------------- */

static void a_serial_is_revoked_alone(void **state)
{
	struct ca_entry *a = issue(WEB), *b = issue(WEB);
	struct ca_revoked r;

	(void)state;
	w.now_ms += 5000;
	must(cmd_revoke(a));
	assert_true(w.result.view_changed); /* its CRL is due */
	assert_true(revoked(a, &r));
	assert_int_equal(r.revoked_s, w.now_ms / 1000);
	assert_int_equal(r.reason, CA_REASON_KEY_COMPROMISE);
	assert_int_equal(dirty_index(a), w.index);
	assert_false(revoked(b, NULL));
	assert_int_equal(mem_count(&w.mem, CA_T_BLOCK), 0);
	issue(WEB); /* with a token, its owner gets another one */
}

static void an_unknown_serial_is_refused(void **state)
{
	struct ca_entry *never = world_issue(&w, WEB);

	(void)state;
	expect(world_do(&w, cmd_revoke(never)), CA_NOT_FOUND, "that serial");
	assert_int_equal(revoked_count(), 0);
}

/* The first date and reason stay: that is what a CRL said already. */
static void twice_is_once(void **state)
{
	struct ca_entry *a = issue(WEB);
	struct ca_admin again = cmd_revoke(a);
	struct ca_revoked first, second;
	uint64_t dirty;

	(void)state;
	must(cmd_revoke(a));
	assert_true(revoked(a, &first));
	dirty = dirty_index(a);
	w.now_ms += 60000;
	again.u.revoke.reason = CA_REASON_SUPERSEDED;
	must(again);
	assert_true(revoked(a, &second));
	assert_int_equal(second.revoked_s, first.revoked_s);
	assert_int_equal(second.reason, CA_REASON_KEY_COMPROMISE);
	assert_int_equal(dirty_index(a), dirty);
	must(cmd_revoke_all(CA_REVOKE_IDENTITY, WEB));
	assert_true(revoked(a, &second));
	assert_int_equal(second.reason, CA_REASON_KEY_COMPROMISE);
	assert_int_equal(revoked_count(), 1);
}

static void what_has_expired_needs_no_revocation(void **state)
{
	struct ca_entry *a = issue(WEB);

	(void)state;
	w.now_ms = a->u.issue.not_after_s * 1000 + 999; /* its last moment */
	must(cmd_revoke(a));
	assert_true(revoked(a, NULL));
	a = issue(WEB);
	w.now_ms = a->u.issue.not_after_s * 1000 + 1000;
	must(cmd_revoke(a));
	assert_false(revoked(a, NULL));
	assert_false(w.result.view_changed);
}

/* ---- Descendants --------------------------------------------------------- */

/* a ─ b ─ c ─ d, and off b: e ─ f; x ─ y is another family. */
static void renewals_go_with_their_origin(void **state)
{
	struct ca_entry *a = issue(WEB), *b = renew(a), *c = renew(b),
			*d = renew(c), *e = renew(b), *f = renew(e),
			*x = issue(WEB), *y = renew(x);

	(void)state;
	must(cmd_revoke(b));
	assert_false(revoked(a, NULL));
	assert_true(revoked(b, NULL) && revoked(c, NULL) && revoked(d, NULL));
	assert_true(revoked(e, NULL) && revoked(f, NULL));
	assert_false(revoked(x, NULL) || revoked(y, NULL));
	assert_int_equal(revoked_count(), 5);
	must(cmd_revoke(a));
	assert_true(revoked(a, NULL));
	assert_int_equal(revoked_count(), 6);
}

static void many_renewals_go_too(void **state)
{
	struct ca_entry *root = issue(WEB), *last = root;
	enum { CHAIN = 100, WIDE = 100 };

	(void)state;
	w.quick = true;
	for (int i = 0; i < CHAIN; i++)
		last = renew(last);
	for (int i = 0; i < WIDE; i++)
		renew(last);
	w.quick = false;
	must(cmd_revoke(root));
	assert_int_equal(revoked_count(), 1 + CHAIN + WIDE);
}

/* The grandchild lives though its parent has expired, and though the parent's
 * own row has gone from the CRL since. */
static void also_over_an_expired_link(void **state)
{
	struct ca_entry *a, *b, *c, *other;

	(void)state;
	a = issue(WEB);
	w.now_ms += 1800000;
	b = renew(a);
	w.now_ms += 3000000; /* a has expired, b has not */
	c = renew(b);
	other = issue(WEB);
	w.now_ms += 1000000; /* now b has, too */
	must(cmd_revoke(a));
	assert_false(revoked(a, NULL) || revoked(b, NULL));
	assert_true(revoked(c, NULL));
	assert_false(revoked(other, NULL));
}

static void a_revoked_parent_renews_nothing(void **state)
{
	struct ca_entry *a = issue(WEB), *b = renew(a);

	(void)state;
	must(cmd_revoke(a));
	expect(world_apply(&w, world_renew(&w, a)), CA_PARENT_REVOKED,
	    "ask with a token");
	assert_int_equal(w.result.code, E_DENIED);
	expect(world_apply(&w, world_renew(&w, b)), CA_PARENT_REVOKED,
	    "ask with a token");
}

/* Nor does it once it has expired and is on no CRL any more. */
static void nor_does_it_once_it_has_left_the_crl(void **state)
{
	struct ca_entry *a = issue(WEB);

	(void)state;
	must(cmd_revoke(a));
	w.now_ms = a->u.issue.not_after_s * 1000 + 700000;
	for (int i = 0; i < 2; i++) {
		expect(world_apply(&w, world_freeze(&w, 1)), CA_OK, "");
		expect(world_apply(&w, world_sign_crl(&w, 1)), CA_OK, "");
		w.now_ms += 1000;
	}
	expect(world_apply(&w, world_freeze(&w, 1)), CA_OK, "");
	assert_false(revoked(a, NULL));
	expect(world_apply(&w, world_renew(&w, a)), CA_NOT_ALLOWED, "expired");
	a = issue(WEB);
	w.now_ms = a->u.issue.not_after_s * 1000 + 999;
	renew(a); /* in its last moment */
}

/* ---- By identity --------------------------------------------------------- */

static void an_identity_is_revoked_and_blocked(void **state)
{
	struct ca_entry *a = issue(WEB), *b = issue(WEB), *c = renew(b),
			*other = issue(DB);

	(void)state;
	must(cmd_revoke_all(CA_REVOKE_IDENTITY, WEB));
	assert_true(revoked(a, NULL) && revoked(b, NULL) && revoked(c, NULL));
	assert_false(revoked(other, NULL));
	expect(world_apply(&w, world_issue(&w, WEB)), CA_BLOCKED,
	    "(privilegeWithdrawn)");
	assert_int_equal(w.result.code, E_DENIED);
	expect(world_apply(&w, world_renew(&w, c)), CA_PARENT_REVOKED, "");
	issue(DB);
	issue("spiffe://td/ns/app/sa/web2");
	issue("spiffe://td/ns/app/sa/we");
}

static void a_block_lasts_until_it_is_lifted(void **state)
{
	struct ca_entry *a = issue(WEB);

	(void)state;
	must(cmd_revoke_all(CA_REVOKE_IDENTITY, WEB));
	w.now_ms += 30 * DAY_MS;
	expect(world_apply(&w, world_issue(&w, WEB)), CA_BLOCKED, "identity");
	must(cmd_revoke_all(CA_REVOKE_IDENTITY, WEB)); /* again */
	assert_int_equal(mem_count(&w.mem, CA_T_BLOCK), 1);
	must(cmd_lift(CA_REVOKE_IDENTITY, WEB));
	assert_int_equal(mem_count(&w.mem, CA_T_BLOCK), 0);
	assert_true(revoked(a, NULL)); /* for good */
	issue(WEB);
	expect(world_do(&w, cmd_lift(CA_REVOKE_IDENTITY, WEB)), CA_NOT_FOUND,
	    "not blocked");
}

static void an_identity_without_certificates_is_blocked_too(void **state)
{
	(void)state;
	must(cmd_revoke_all(CA_REVOKE_IDENTITY, WEB));
	assert_int_equal(revoked_count(), 0);
	expect(world_apply(&w, world_issue(&w, WEB)), CA_BLOCKED, "identity");
}

static void the_longest_life_is_looked_back_to(void **state)
{
	struct ca_admin c = cmd_policy();
	struct ca_entry *longest;

	(void)state;
	c.u.set_policy.ttl_max_s = CA_LEAF_LIFE_MAX_S;
	must(c);
	issue(WEB);
	longest = world_issue(&w, WEB);
	longest->u.issue.not_after_s = w.now_ms / 1000 + CA_LEAF_LIFE_MAX_S;
	issued(longest);
	w.now_ms += CA_LEAF_LIFE_MAX_S * 1000ULL;
	must(cmd_revoke_all(CA_REVOKE_IDENTITY, WEB));
	assert_true(revoked(longest, NULL));
	assert_int_equal(revoked_count(), 1);
}

/* Wherever among the records the border falls, what lives is found. */
static void the_border_may_be_anywhere(void **state)
{
	struct ca_entry *live[20];

	(void)state;
	w.quick = true;
	for (int gap = 0; gap < 12; gap++) {
		size_t had;

		for (int i = 0; i < gap; i++)
			issue(i % 3 == 0 ? WEB : DB);
		w.now_ms += 7 * DAY_MS + 3600001;
		for (int i = 0; i < 20; i++) {
			if (i % 4 == 1)
				issue(DB);
			live[i] = issue(WEB);
		}
		had = revoked_count();
		must(cmd_revoke_all(CA_REVOKE_IDENTITY, WEB));
		for (int i = 0; i < 20; i++)
			assert_true(revoked(live[i], NULL));
		assert_int_equal(revoked_count(), had + 20);
		must(cmd_lift(CA_REVOKE_IDENTITY, WEB));
	}
}

/* ---- By pod -------------------------------------------------------------- */

static void a_pod_is_revoked_with_what_it_renewed(void **state)
{
	struct ca_entry *a = issue_pod(WEB, "pod-1"), *b = renew(a),
			*c = renew(b), *d = issue_pod(DB, "pod-1"),
			*other = issue_pod(WEB, "pod-2"), *none = issue(WEB);
	struct ca_entry *again = world_issue(&w, DB);

	(void)state;
	must(cmd_revoke_all(CA_REVOKE_POD, "pod-1"));
	assert_true(revoked(a, NULL) && revoked(b, NULL) && revoked(c, NULL));
	assert_true(revoked(d, NULL));
	assert_false(revoked(other, NULL) || revoked(none, NULL));
	again->u.issue.pod_uid = span_str("pod-1");
	expect(world_apply(&w, again), CA_BLOCKED, "the pod");
	issue_pod(WEB, "pod-2");
	must(cmd_lift(CA_REVOKE_POD, "pod-1"));
	issue_pod(DB, "pod-1");
}

/* A certificate cannot name another pod than the one it goes back to. */
static void a_renewal_keeps_its_pod(void **state)
{
	struct ca_entry *a = issue_pod(WEB, "pod-1"), *b = world_renew(&w, a);

	(void)state;
	b->u.issue.pod_uid = span_str("pod-2");
	issued(b);
	must(cmd_revoke_all(CA_REVOKE_POD, "pod-2"));
	assert_false(revoked(b, NULL));
	must(cmd_revoke_all(CA_REVOKE_POD, "pod-1"));
	assert_true(revoked(b, NULL));
	must(cmd_lift(CA_REVOKE_POD, "pod-2"));
}

/* A pod's UID is no identity, though it may look like one. */
static void kinds_are_kept_apart(void **state)
{
	struct ca_entry *a = issue(WEB);

	(void)state;
	must(cmd_revoke_all(CA_REVOKE_POD, WEB));
	assert_false(revoked(a, NULL));
	issue(WEB);
	expect(world_do(&w, cmd_lift(CA_REVOKE_IDENTITY, WEB)), CA_NOT_FOUND,
	    "the identity is not blocked");
	must(cmd_lift(CA_REVOKE_POD, WEB));
}

static void blocks_are_listed(void **state)
{
	uint8_t key[CA_BLOCK_KEY_LEN] = {0};
	struct ca_block b;
	struct err e;
	size_t n = 0, pods = 0;

	(void)state;
	must(cmd_revoke_all(CA_REVOKE_IDENTITY, WEB));
	must(cmd_revoke_all(CA_REVOKE_POD, "pod-1"));
	must(cmd_revoke_all(CA_REVOKE_IDENTITY, DB));
	for (; ca_block_next(w.ca, key, &b, &e) == E_OK; n++) {
		pods += b.by == CA_REVOKE_POD;
		assert_int_equal(b.reason, CA_REASON_PRIVILEGE_WITHDRAWN);
		assert_int_equal(b.since_ms, w.now_ms);
		if (b.by == CA_REVOKE_POD)
			assert_true(span_eq_str(b.what, "pod-1"));
	}
	assert_int_equal(n, 3);
	assert_int_equal(pods, 1);
}

/* ---- What is not for everybody ------------------------------------------- */

static void reasons_are_those_of_leaves(void **state)
{
	static const struct {
		int reason;
		bool good;
	} rows[] = {{0, true}, {1, true}, {2, false}, {3, true}, {4, true},
	    {5, true}, {6, false}, {7, false}, {8, false}, {9, true},
	    {10, false}, {11, false}, {-1, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct ca_entry *a = issue(WEB);
		struct ca_admin c = cmd_revoke(a);
		struct ca_revoked r;

		c.u.revoke.reason = (enum ca_reason)rows[i].reason;
		expect(world_do(&w, c), rows[i].good ? CA_OK : CA_BAD_FORMAT,
		    rows[i].good ? "" : "no reason");
		assert_int_equal(revoked(a, &r), rows[i].good);
		if (rows[i].good)
			assert_int_equal(r.reason, rows[i].reason);
	}
}

static void what_names_nothing_is_refused(void **state)
{
	struct ca_admin c = cmd_revoke_all(CA_REVOKE_IDENTITY, "");

	(void)state;
	expect(world_do(&w, c), CA_BAD_FORMAT, "identity or a pod");
	c = cmd_revoke_all(CA_REVOKE_POD, "");
	expect(world_do(&w, c), CA_BAD_FORMAT, "identity or a pod");
	c = cmd_revoke_all((enum ca_revoke_by)9, WEB);
	expect(world_do(&w, c), CA_BAD_FORMAT, "identity or a pod");
	c = cmd_lift(CA_REVOKE_SERIAL, "");
	expect(world_do(&w, c), CA_BAD_FORMAT, "stays revoked");
	assert_int_equal(mem_count(&w.mem, CA_T_BLOCK), 0);
}

static enum ca_outcome as(const char *who, struct ca_admin c)
{
	struct ca_entry *en = world_envelope(&w, &c, 1);

	world_sign(&w, en, who);
	return world_apply(&w, en);
}

static void a_revoker_revokes_and_does_nothing_else(void **state)
{
	struct ca_entry *a = issue(WEB), *en;
	struct ca_admin bob = cmd_operator(&w, "bob"),
			eve = cmd_operator(&w, "eve"), both[2];

	(void)state;
	bob.u.set_operator.roles = CA_ROLE_REVOKER;
	eve.u.set_operator.roles = CA_ROLE_AUDITOR;
	must(bob);
	must(eve);
	expect(as("eve", cmd_revoke(a)), CA_NOT_OPERATOR, "may order");
	expect(as("bob", cmd_revoke(a)), CA_OK, "");
	assert_true(revoked(a, NULL));
	expect(as("bob", cmd_revoke_all(CA_REVOKE_IDENTITY, WEB)), CA_OK, "");
	expect(as("bob", cmd_lift(CA_REVOKE_IDENTITY, WEB)), CA_NOT_OPERATOR,
	    "may order");
	expect(as("bob", cmd_retire(&w, 1)), CA_NOT_OPERATOR, "may order");
	expect(as("bob", cmd_policy()), CA_NOT_OPERATOR, "may order");
	/* nor with a revocation in front */
	both[0] = cmd_revoke(a);
	both[1] = cmd_policy();
	en = world_envelope(&w, both, 2);
	world_sign(&w, en, "bob");
	expect(world_apply(&w, en), CA_NOT_OPERATOR, "may order");
}

/* All commands of a batch, or none: blocks and dirty marks included. */
static void a_refused_batch_revokes_nothing(void **state)
{
	struct ca_entry *a = issue_pod(WEB, "pod-1"), *never, *en;
	struct ca_admin batch[3];

	(void)state;
	never = world_issue(&w, WEB);
	batch[0] = cmd_revoke_all(CA_REVOKE_IDENTITY, WEB);
	batch[1] = cmd_revoke_all(CA_REVOKE_POD, "pod-1");
	batch[2] = cmd_revoke(never);
	en = world_envelope(&w, batch, 3);
	world_sign(&w, en, "alice");
	expect(world_apply(&w, en), CA_NOT_FOUND, "that serial");
	assert_false(revoked(a, NULL));
	assert_int_equal(dirty_index(a), 0);
	assert_int_equal(mem_count(&w.mem, CA_T_BLOCK), 0);
	assert_int_equal(mem_count(&w.mem, CA_T_CRL), 0);
	issue(WEB);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_serial_is_revoked_alone),
	    TEST(an_unknown_serial_is_refused),
	    TEST(twice_is_once),
	    TEST(what_has_expired_needs_no_revocation),
	    TEST(renewals_go_with_their_origin),
	    TEST(many_renewals_go_too),
	    TEST(also_over_an_expired_link),
	    TEST(a_revoked_parent_renews_nothing),
	    TEST(nor_does_it_once_it_has_left_the_crl),
	    TEST(an_identity_is_revoked_and_blocked),
	    TEST(a_block_lasts_until_it_is_lifted),
	    TEST(an_identity_without_certificates_is_blocked_too),
	    TEST(the_longest_life_is_looked_back_to),
	    TEST(the_border_may_be_anywhere),
	    TEST(a_pod_is_revoked_with_what_it_renewed),
	    TEST(a_renewal_keeps_its_pod),
	    TEST(kinds_are_kept_apart),
	    TEST(blocks_are_listed),
	    TEST(reasons_are_those_of_leaves),
	    TEST(what_names_nothing_is_refused),
	    TEST(a_revoker_revokes_and_does_nothing_else),
	    TEST(a_refused_batch_revokes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
