/* test_issue.c -- IssueCertificate: what only the log can decide. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

#define URI "spiffe://td/ns/app/sa/web"

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

static void expect(
    const struct ca_entry *en, enum ca_outcome want, const char *why)
{
	size_t serials = mem_count(&w.mem, CA_T_SERIAL);
	size_t quotas = mem_count(&w.mem, CA_T_QUOTA);

	if (world_apply(&w, en) != want || strstr(w.result.why, why) == NULL)
		fail_msg("outcome %d \"%s\", expected %d \"%s\"",
		    (int)w.result.outcome, w.result.why, (int)want, why);
	assert_false(w.result.view_changed);
	assert_int_equal(
	    mem_count(&w.mem, CA_T_SERIAL), serials + (want == CA_OK));
	if (want != CA_OK)
		assert_int_equal(mem_count(&w.mem, CA_T_QUOTA), quotas);
}

static void a_certificate_is_issued(void **state)
{
	struct ca_entry *en = world_issue(&w, URI);
	struct ca_record rec;
	struct err e;

	(void)state;
	assert_int_equal(
	    ca_record_by_serial(w.ca, en->u.issue.serial, &rec, &e),
	    E_NOTFOUND);
	expect(en, CA_OK, "");
	assert_int_equal(
	    ca_record_by_serial(w.ca, en->u.issue.serial, &rec, &e), E_OK);
	assert_int_equal(rec.index, w.index);
}

static void a_serial_is_used_once(void **state)
{
	struct ca_entry *en = world_issue(&w, URI), *other;
	struct ca_record rec;
	struct err e;
	uint64_t first;

	(void)state;
	assert_int_equal(
	    world_apply_raw(&w, en, span_str("the record")), CA_OK);
	first = w.index;
	/* the same again is success, and no new certificate */
	assert_int_equal(
	    world_apply_raw(&w, en, span_str("the record")), CA_REPEATED);
	assert_int_equal(w.result.code, E_OK);
	assert_string_equal(w.result.why, "");
	assert_int_equal(
	    ca_record_by_serial(w.ca, en->u.issue.serial, &rec, &e), E_OK);
	assert_int_equal(rec.index, first);
	assert_int_equal(
	    ca_record_next(w.ca, span_str(URI), first, &rec, &e), E_NOTFOUND);
	/* also when it would not be issued now */
	w.now_ms += 48 * 3600000ULL;
	assert_int_equal(world_do(&w, cmd_policy()), CA_OK);
	assert_int_equal(
	    world_apply_raw(&w, en, span_str("the record")), CA_REPEATED);
	other = world_issue(&w, "spiffe://td/ns/app/sa/db");
	memcpy(other->u.issue.serial, en->u.issue.serial, CA_SERIAL_LEN);
	expect(other, CA_SERIAL_USED, "another certificate");
	assert_int_equal(w.result.code, E_UNAVAILABLE);
}

static void serials_begin_with_01(void **state)
{
	static const uint8_t bad[] = {0x00, 0x3f, 0x80, 0xc0, 0xff};

	(void)state;
	for (size_t i = 0; i < sizeof(bad); i++) {
		struct ca_entry *en = world_issue(&w, URI);

		en->u.issue.serial[0] = bad[i];
		expect(en, CA_BAD_FORMAT, "top bits");
	}
}

static void policy_may_change_meanwhile(void **state)
{
	struct ca_entry *en = world_issue(&w, URI);

	(void)state;
	assert_int_equal(world_do(&w, cmd_policy()), CA_OK);
	expect(en, CA_POLICY_CHANGED, "version 2");
	en->u.issue.policy_version = 3;
	expect(en, CA_POLICY_CHANGED, "version 2");
	expect(world_issue(&w, URI), CA_OK, "");
}

static void node_issues_with_its_own(void **state)
{
	struct ca_entry *en = world_issue(&w, URI);

	(void)state;
	en->u.issue.issuer[0] ^= 1;
	expect(en, CA_ISSUER_NOT_ACTIVE, "not registered");
	en = world_issue(&w, URI);
	en->proposer = 2;
	expect(en, CA_NOT_ALLOWED, "no right");
	assert_int_equal(world_do(&w, cmd_node(&w, 2)), CA_OK);
	expect(en, CA_NOT_ALLOWED, "no right");
}

static struct ca_entry *issue_of_node(uint64_t node)
{
	struct ca_entry *en = world_issue(&w, URI);

	en->proposer = node;
	memcpy(en->u.issue.issuer, cmd_node(&w, node).u.set_node.issuer,
	    CA_KEY_ID_LEN);
	return en;
}

static void a_new_issuer_settles_first(void **state)
{
	struct ca_admin gone = cmd_node(&w, 2);

	(void)state;
	w.now_ms += 5000;
	assert_int_equal(world_do(&w, cmd_node(&w, 2)), CA_OK);
	assert_int_equal(world_do(&w, cmd_issuer(&w, 2)), CA_OK);
	expect(issue_of_node(2), CA_ISSUER_NOT_ACTIVE, "another 120 s");
	w.now_ms += 119999;
	expect(issue_of_node(2), CA_ISSUER_NOT_ACTIVE, "another 1 s");
	expect(issue_of_node(1), CA_OK, ""); /* the first never waits */
	w.now_ms += 1;
	expect(issue_of_node(2), CA_OK, "");
	gone.u.set_node.removed = true;
	assert_int_equal(world_do(&w, gone), CA_OK);
	expect(issue_of_node(2), CA_ISSUER_NOT_ACTIVE, "was removed");
}

static void a_certificate_has_a_life(void **state)
{
	struct ca_entry *en = world_issue(&w, URI);
	struct ca_issue *i = &en->u.issue;

	(void)state;
	i->not_after_s = w.now_ms / 1000 + 86400 + 2;
	expect(en, CA_NOT_ALLOWED, "longer than 86400 s");
	i->not_after_s--;
	i->not_before_s = i->not_after_s;
	expect(en, CA_BAD_FORMAT, "notBefore");
	i->not_before_s = 0;
	expect(en, CA_NOT_ALLOWED, "outlive its issuer");
	i->not_before_s = UINT64_MAX;
	i->not_after_s = UINT64_MAX;
	expect(en, CA_NOT_ALLOWED, "outlive its issuer");
	w.now_ms = T0 + 365 * 86400000ULL - 1000;
	en = world_issue(&w, URI);
	expect(en, CA_NOT_ALLOWED, "outlive its issuer");
	en->u.issue.not_after_s = T0 / 1000 + 365 * 86400;
	expect(en, CA_OK, "");
}

static void the_longest_life_is_allowed(void **state)
{
	struct ca_entry *en = world_issue(&w, URI);

	(void)state;
	en->u.issue.not_after_s = w.now_ms / 1000 + 86400 + 1;
	en->u.issue.not_before_s = T0 / 1000 - 86400; /* the issuer's own */
	expect(en, CA_OK, "");
	en = world_issue(&w, URI);
	en->u.issue.not_before_s = T0 / 1000 - 86400 - 1;
	expect(en, CA_NOT_ALLOWED, "outlive its issuer");
}

static void only_workloads_of_this_trust_domain(void **state)
{
	static const struct {
		const char *uri;
		enum ca_outcome want;
	} rows[] = {
	    {"spiffe://td/ns/app/sa/web", CA_OK},
	    {"spiffe://td/ns/app/sa/a.b-c", CA_OK},
	    {"spiffe://td2/ns/app/sa/web", CA_NOT_ALLOWED},
	    {"spiffe://t/ns/app/sa/web", CA_NOT_ALLOWED},
	    {"spiffe://td.evil/ns/app/sa/web", CA_NOT_ALLOWED},
	    {"SPIFFE://td/ns/app/sa/web", CA_NOT_ALLOWED},
	    {"spiffe://td/ns/app/sa/", CA_NOT_ALLOWED},
	    {"spiffe://td/ns/app/sa", CA_NOT_ALLOWED},
	    {"spiffe://td/ns//sa/web", CA_NOT_ALLOWED},
	    {"spiffe://td/ns/App/sa/web", CA_NOT_ALLOWED},
	    {"spiffe://td/ns/app", CA_NOT_ALLOWED},
	    {"spiffe://td/ns/app/sa/web/x", CA_NOT_ALLOWED},
	    {"spiffe://td/ns/app/sa/web?x", CA_NOT_ALLOWED},
	    {"spiffe://td/ns/app/sa/..", CA_NOT_ALLOWED},
	    {"spiffe://td/ns/app/sa/a.", CA_NOT_ALLOWED},
	    {"spiffe://td/ns/app/sa/-a", CA_NOT_ALLOWED},
	    {"spiffe://td/ns/app/sa/.", CA_NOT_ALLOWED},
	    {"spiffe://td/ns/app/sa/we b", CA_NOT_ALLOWED},
	    {"spiffe://td/ns/app/sa/w%65b", CA_NOT_ALLOWED},
	    {"spiffe://td/ns/app/sa/Web", CA_NOT_ALLOWED},
	    {"spiffe://td/ns/kube-system/sa/x", CA_NOT_ALLOWED},
	    {"spiffe://td/ns/istio-system/sa/x", CA_NOT_ALLOWED},
	    {"spiffe://td", CA_NOT_ALLOWED},
	    {"", CA_NOT_ALLOWED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (world_apply(&w, world_issue(&w, rows[i].uri)) !=
		    rows[i].want)
			fail_msg("%s: %d \"%s\"", rows[i].uri,
			    (int)w.result.outcome, w.result.why);
}

static void a_workload_has_one_name_and_a_proof(void **state)
{
	struct ca_entry *en = world_issue(&w, URI);

	(void)state;
	en->u.issue.dns_n = 1;
	en->u.issue.dns[0] = span_str("web.app");
	expect(en, CA_NOT_ALLOWED, "no other name");
	en = world_issue(&w, URI);
	en->u.issue.ip_n = 1;
	en->u.issue.ip[0] = span_str("1234");
	expect(en, CA_NOT_ALLOWED, "no other name");
	en = world_issue(&w, URI);
	en->u.issue.common_name = span_str("web");
	expect(en, CA_NOT_ALLOWED, "no other name");
	en = world_issue(&w, URI);
	en->u.issue.via = CA_VIA_NODE;
	expect(en, CA_NOT_ALLOWED, "token or certificate");
	en = world_issue(&w, URI);
	en->u.issue.cluster = span_str("west");
	expect(en, CA_NOT_ALLOWED, "\"west\" is not registered");
	en = world_issue(&w, URI);
	en->u.issue.profile = CA_PROFILE_ISTIOD;
	expect(en, CA_NOT_ALLOWED, "not issued");
	en->u.issue.profile = CA_PROFILE_GATEWAY;
	expect(en, CA_NOT_ALLOWED, "not issued");
}

static void namespaces_are_a_clusters_to_give(void **state)
{
	static const struct {
		const char *listed[2], *ns;
		bool allowed;
	} rows[] = {
	    {{NULL}, "app", true},
	    {{NULL}, "kube-system", false},
	    {{NULL}, "istio-system", false},
	    {{"*"}, "app", true},
	    {{"*"}, "kube-system", false},
	    {{"*"}, "istio-system", false},
	    {{"app"}, "app", true},
	    {{"app"}, "other", false},
	    {{"app"}, "ap", false},
	    {{"istio-system"}, "istio-system", true},
	    {{"istio-system"}, "kube-system", false},
	    {{"istio-system"}, "app", false},
	    {{"*", "kube-system"}, "kube-system", true},
	    {{"*", "kube-system"}, "istio-system", false},
	    {{"*", "kube-system"}, "app", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct ca_admin c = cmd_cluster(&w, "east");
		struct ca_cluster *cl = &c.u.set_cluster;
		const struct ca_entry *en;

		for (size_t k = 0; k < 2 && rows[i].listed[k] != NULL; k++)
			cl->namespaces[cl->namespaces_n++] =
			    span_str(rows[i].listed[k]);
		assert_int_equal(ca_namespace_allowed(cl, span_str(rows[i].ns)),
		    rows[i].allowed);
		assert_int_equal(world_do(&w, c), CA_OK);
		en = world_issue(&w, (const char *)world_text(&w,
					 "spiffe://td/ns/%s/sa/x", rows[i].ns)
					 .p);
		assert_int_equal(world_apply(&w, en),
		    rows[i].allowed ? CA_OK : CA_NOT_ALLOWED);
	}
}

static void a_removed_cluster_gets_nothing(void **state)
{
	struct ca_admin c = cmd_cluster(&w, "west");
	struct ca_entry *en;

	(void)state;
	assert_int_equal(world_do(&w, c), CA_OK);
	en = world_issue(&w, URI);
	en->u.issue.cluster = span_str("west");
	expect(en, CA_OK, "");
	c.u.set_cluster.removed = true;
	assert_int_equal(world_do(&w, c), CA_OK);
	en = world_issue(&w, URI);
	en->u.issue.cluster = span_str("west");
	expect(en, CA_NOT_ALLOWED, "not registered");
}

/* ---- Node certificates ------------------------------------------------------
 */

static struct ca_entry *node_issue(uint64_t node)
{
	struct ca_entry *en = world_issue(&w, "");
	struct ca_issue *i = &en->u.issue;

	i->profile = CA_PROFILE_NODE;
	i->via = CA_VIA_NODE;
	i->cluster = SPAN_EMPTY;
	i->spki = cmd_node(&w, node).u.set_node.api_spki;
	i->dns[0] = world_text(&w, "node%d.example", (int)node);
	i->dns_n = 1;
	i->ip[0] = world_text(&w, "%c%c%c%c", 10, 0, 0, (int)node);
	i->ip[1] = span_of("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	i->ip_n = 2;
	i->not_after_s = w.now_ms / 1000 + CA_LEAF_LIFE_MAX_S;
	return en;
}

static void a_node_gets_the_names_it_was_registered_with(void **state)
{
	struct ca_entry *en;

	(void)state;
	expect(node_issue(1), CA_OK, "");
	expect(node_issue(2), CA_NOT_ALLOWED, "no node");
	assert_int_equal(world_do(&w, cmd_node(&w, 2)), CA_OK);
	expect(node_issue(2), CA_OK, ""); /* by node 1 */
	en = node_issue(2);
	en->u.issue.dns[0] = span_str("node1.example");
	expect(en, CA_NOT_ALLOWED, "not a name of node 2");
	en = node_issue(2);
	en->u.issue.ip[0] = span_of("\x0a\0\0\1", 4);
	expect(en, CA_NOT_ALLOWED, "not one of node 2's");
	en = node_issue(2);
	en->u.issue.ip[1] =
	    span_of("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2", 16);
	expect(en, CA_NOT_ALLOWED, "not one of node 2's");
	en = node_issue(2);
	en->u.issue.uri = span_str(URI);
	expect(en, CA_NOT_ALLOWED, "no node");
	en = node_issue(2);
	en->u.issue.via = CA_VIA_TOKEN;
	expect(en, CA_NOT_ALLOWED, "no node");
	en = node_issue(2);
	en->u.issue.common_name = span_str("node2.example");
	expect(en, CA_OK, "");
	en = node_issue(2);
	en->u.issue.common_name = span_str("cluster2");
	expect(en, CA_OK, "");
	en = node_issue(2);
	en->u.issue.common_name = span_str("anything");
	expect(en, CA_NOT_ALLOWED, "subject is not a name of node 2");
	en = node_issue(2);
	en->u.issue.not_after_s = w.now_ms / 1000 + CA_LEAF_LIFE_MAX_S + 2;
	expect(en, CA_NOT_ALLOWED, "longer");
}

/* ---- Renewals
 * ---------------------------------------------------------------- */

static struct ca_entry *renewal(const struct ca_entry *of)
{
	struct ca_entry *en = world_issue(&w, URI);

	en->u.issue.via = CA_VIA_CERT;
	en->u.issue.has_parent = true;
	memcpy(en->u.issue.parent, of->u.issue.serial, CA_SERIAL_LEN);
	return en;
}

static void a_renewal_goes_back_to_a_token(void **state)
{
	struct ca_admin c = cmd_policy();
	struct ca_entry *first, *second, *en;

	(void)state;
	c.u.set_policy.ttl_max_s = 2 * 86400;
	assert_int_equal(world_do(&w, c), CA_OK);
	first = world_issue(&w, URI);
	first->u.issue.not_after_s += 86400;
	expect(renewal(first), CA_NOT_FOUND, "not issued here");
	expect(first, CA_OK, "");
	second = renewal(first);
	second->u.issue.not_after_s += 86400;
	expect(second, CA_OK, "");
	en = renewal(second);
	en->u.issue.uri = span_str("spiffe://td/ns/app/sa/other");
	expect(en, CA_NOT_ALLOWED, "another identity");
	en = renewal(second);
	en->u.issue.via = CA_VIA_TOKEN;
	expect(en, CA_BAD_FORMAT, "only a renewal");
	en = renewal(second);
	en->u.issue.has_parent = false;
	expect(en, CA_BAD_FORMAT, "only a renewal");
	w.now_ms += 86400000;
	expect(renewal(second), CA_OK, "");
	w.now_ms += 1; /* a day since the token, whatever was renewed */
	expect(renewal(second), CA_NOT_ALLOWED, "show one");
	expect(renewal(first), CA_NOT_ALLOWED, "show one");
}

/* ---- Quotas
 * ------------------------------------------------------------------- */

static void quotas_are_by_identity_and_cluster(void **state)
{
	struct ca_admin c = cmd_policy();
	struct ca_entry *en;

	(void)state;
	c.u.set_policy.quota_identity_per_h = 2;
	c.u.set_policy.quota_cluster_per_h = 4;
	assert_int_equal(world_do(&w, c), CA_OK);
	assert_int_equal(world_do(&w, cmd_cluster(&w, "west")), CA_OK);
	expect(world_issue(&w, URI), CA_OK, "");
	expect(world_issue(&w, URI), CA_OK, "");
	/* what the cluster's quota counted is taken back */
	for (int i = 0; i < 3; i++)
		expect(world_issue(&w, URI), CA_QUOTA, "the identity");
	assert_int_equal(w.result.code, E_EXHAUSTED);
	expect(world_issue(&w, "spiffe://td/ns/app/sa/b"), CA_OK, "");
	expect(world_issue(&w, "spiffe://td/ns/app/sa/c"), CA_OK, "");
	expect(world_issue(&w, "spiffe://td/ns/app/sa/d"), CA_QUOTA,
	    "the cluster");
	en = world_issue(&w, "spiffe://td/ns/app/sa/d");
	en->u.issue.cluster = span_str("west");
	expect(en, CA_OK, "");
	/* nodes' own certificates count for nothing */
	expect(node_issue(1), CA_OK, "");
	world_reopen(&w);
	expect(world_issue(&w, URI), CA_QUOTA, "the cluster");
	assert_int_equal(mem_count(&w.mem, CA_T_QUOTA), 6);
	w.now_ms += 3600000; /* another hour; the last one's counts go */
	expect(world_issue(&w, URI), CA_OK, "");
	assert_int_equal(mem_count(&w.mem, CA_T_QUOTA), 2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_certificate_is_issued),
	    T(a_serial_is_used_once),
	    T(serials_begin_with_01),
	    T(policy_may_change_meanwhile),
	    T(node_issues_with_its_own),
	    T(a_new_issuer_settles_first),
	    T(a_certificate_has_a_life),
	    T(the_longest_life_is_allowed),
	    T(only_workloads_of_this_trust_domain),
	    T(a_workload_has_one_name_and_a_proof),
	    T(namespaces_are_a_clusters_to_give),
	    T(a_removed_cluster_gets_nothing),
	    T(a_node_gets_the_names_it_was_registered_with),
	    T(a_renewal_goes_back_to_a_token),
	    T(quotas_are_by_identity_and_cluster),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
