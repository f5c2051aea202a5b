/* test_admin.c -- Genesis, envelopes, and each command accepted and refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

static struct world w;

static int setup_empty(void **state)
{
	(void)state;
	world_open(&w);
	return 0;
}

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

/* A refusal: the outcome, and nothing else than record, tree and nonce. */
static void refused(struct ca_admin c, enum ca_outcome want, const char *why)
{
	size_t rows = w.mem.n, tree = mem_count(&w.mem, CA_T_TREE);
	size_t nonces = mem_count(&w.mem, CA_T_NONCE);
	enum ca_outcome got = world_do(&w, c);

	if (got != want || strstr(w.result.why, why) == NULL)
		fail_msg("outcome %d \"%s\", expected %d \"%s\"", (int)got,
		    w.result.why, (int)want, why);
	rows += mem_count(&w.mem, CA_T_TREE) - tree;
	rows += mem_count(&w.mem, CA_T_NONCE) - nonces;
	assert_int_equal(w.mem.n, rows + 1); /* the record */
}

/* ---- Genesis ---------------------------------------------------------------
 */

static void the_log_begins_with_genesis(void **state)
{
	struct ca_entry *en;
	struct ca_view *v;
	struct err e;

	(void)state;
	assert_int_equal(ca_view_load(w.ca, &v, &e), E_NOTFOUND);
	assert_int_equal(world_apply(&w, NULL), CA_BAD_FORMAT);
	en = world_entry(&w, CA_CHECKPOINT);
	assert_int_equal(world_apply(&w, en), CA_NOT_FIRST);
	en = world_entry(&w, CA_ADMIN);
	assert_int_equal(world_apply(&w, en), CA_NOT_FIRST);
	assert_int_equal(w.result.code, E_CONFLICT);
	en = world_genesis(&w);
	en->format = 2;
	assert_int_equal(world_apply(&w, en), CA_BAD_FORMAT);
	world_reopen(&w);
	assert_int_equal(
	    world_apply_raw(&w, world_genesis(&w), span_str("genesis bytes")),
	    CA_OK);
	assert_true(w.result.view_changed);
	assert_int_equal(world_apply(&w, world_genesis(&w)), CA_NOT_FIRST);
	world_reopen(&w);
	assert_int_equal(world_apply(&w, world_genesis(&w)), CA_NOT_FIRST);

	v = world_view(&w);
	assert_true(span_eq_str(v->trust_domain, "td"));
	assert_true(span_eq_str(v->genesis_raw, "genesis bytes"));
	assert_true(span_eq(v->root_cert, fake_root(&w, "root")));
	assert_int_equal(v->genesis_ms, T0);
	assert_int_equal(v->policy.version, 1);
	assert_int_equal(v->clusters_n, 1);
	assert_int_equal(v->nodes_n, 1);
	assert_int_equal(v->issuers_n, 1);
	assert_int_equal(v->operators_n, 1);
	assert_non_null(ca_view_cluster(v, span_str("east")));
	assert_non_null(ca_view_node(v, 1));
	assert_non_null(ca_view_operator(v, fake_key(&w, "alice")));
	assert_null(ca_view_operator(v, fake_key(&w, "bob")));
	assert_int_equal(ca_view_issuer(v, v->nodes[0].issuer)->node, 1);
	ca_view_unref(v);
}

static void spoil_root(struct ca_genesis *g)
{
	g->root_cert = fake_issuer(&w, "root", "root");
}
static void spoil_issuer(struct ca_genesis *g)
{
	g->issuer_cert = fake_issuer(&w, "mallory", "issuer1");
}
static void spoil_signature(struct ca_genesis *g)
{
	g->signature = fake_sign(&w, "alice", g->signed_bytes);
}
static void spoil_domain(struct ca_genesis *g)
{
	g->trust_domain = SPAN_EMPTY;
}
static void spoil_node_id(struct ca_genesis *g)
{
	g->node.id = 2;
}
static void spoil_node_issuer(struct ca_genesis *g)
{
	g->node.issuer[3] ^= 1;
}
static void spoil_witness(struct ca_genesis *g)
{
	g->node.has_issuer = false;
}
static void spoil_role(struct ca_genesis *g)
{
	g->op.roles = CA_ROLE_REVOKER;
}
static void spoil_operator(struct ca_genesis *g)
{
	g->op.removed = true;
}
static void spoil_removed_node(struct ca_genesis *g)
{
	g->node.removed = true;
}
static void spoil_removed_cluster(struct ca_genesis *g)
{
	g->cluster.removed = true;
}
static void spoil_key(struct ca_genesis *g)
{
	g->op.spki.len--;
}
static void spoil_cluster(struct ca_genesis *g)
{
	g->cluster.name = span_str("East");
}
static void spoil_signatures(struct ca_genesis *g)
{
	g->policy.admin_signatures = 2;
}
static void spoil_mesh_key(struct ca_genesis *g)
{
	memset(g->node.mesh_key, 0, CA_MESH_KEY_LEN);
}

static void genesis_is_checked(void **state)
{
	static const struct {
		void (*spoil)(struct ca_genesis *g);
		enum ca_outcome want;
		const char *why;
	} rows[] = {
	    {spoil_root, CA_BAD_SIGNATURE, "not such a certificate"},
	    {spoil_issuer, CA_BAD_SIGNATURE, "not signed by the root"},
	    {spoil_signature, CA_BAD_SIGNATURE, "root key"},
	    {spoil_domain, CA_BAD_FORMAT, "Genesis needs"},
	    {spoil_node_id, CA_BAD_FORMAT, "Genesis needs"},
	    {spoil_node_issuer, CA_BAD_FORMAT, "Genesis needs"},
	    {spoil_witness, CA_BAD_FORMAT, "Genesis needs"},
	    {spoil_role, CA_BAD_FORMAT, "Genesis needs"},
	    {spoil_operator, CA_BAD_FORMAT, "Genesis needs"},
	    {spoil_removed_node, CA_BAD_FORMAT, "Genesis needs"},
	    {spoil_removed_cluster, CA_BAD_FORMAT, "Genesis needs"},
	    {spoil_key, CA_BAD_FORMAT, "P-256"},
	    {spoil_cluster, CA_BAD_FORMAT, "DNS label"},
	    {spoil_signatures, CA_BAD_FORMAT, "admin_signatures"},
	    {spoil_mesh_key, CA_BAD_FORMAT, "mesh key"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct ca_entry *en = world_genesis(&w);

		rows[i].spoil(&en->u.genesis);
		if (world_apply(&w, en) != rows[i].want ||
		    strstr(w.result.why, rows[i].why) == NULL)
			fail_msg("row %zu: %d \"%s\"", i, (int)w.result.outcome,
			    w.result.why);
	}
	assert_int_equal(world_apply(&w, world_genesis(&w)), CA_OK);
}

/* ---- Envelopes --------------------------------------------------------------
 */

static void expect(
    const struct ca_entry *en, enum ca_outcome want, const char *why)
{
	if (world_apply(&w, en) != want || strstr(w.result.why, why) == NULL)
		fail_msg("outcome %d \"%s\", expected %d \"%s\"",
		    (int)w.result.outcome, w.result.why, (int)want, why);
}

static void an_envelope_is_checked(void **state)
{
	struct ca_admin c = cmd_cluster(&w, "west");
	struct ca_entry *en;

	(void)state;
	en = world_envelope(&w, &c, 1);
	expect(en, CA_NOT_OPERATOR, "0 of 1 signatures");
	world_sign(&w, en, "mallory");
	expect(en, CA_NOT_OPERATOR, "operator who may order");
	en = world_envelope(&w, &c, 1);
	world_sign(&w, en, "alice");
	en->u.admin.signed_bytes = span_str("other bytes");
	expect(en, CA_BAD_SIGNATURE, "does not verify");
	en = world_envelope(&w, &c, 1);
	world_sign(&w, en, "alice");
	world_sign(&w, en, "alice");
	expect(en, CA_BAD_SIGNATURE, "twice");
	en = world_admin(&w, &c);
	en->u.admin.trust_domain = span_str("td2");
	expect(en, CA_WRONG_DOMAIN, "another trust domain");
	en = world_admin(&w, &c);
	en->u.admin.expires_ms = w.now_ms - 1;
	expect(en, CA_EXPIRED, "clock");
	en->u.admin.expires_ms = w.now_ms + CA_ENVELOPE_LIFE_MAX_MS + 1;
	expect(en, CA_BAD_FORMAT, "a day");
	en = world_admin(&w, &c);
	en->u.admin.commands_n = 0;
	expect(en, CA_BAD_FORMAT, "no command");
	assert_int_equal(mem_count(&w.mem, CA_T_NONCE), 0);
	assert_int_equal(mem_count(&w.mem, CA_T_CLUSTER), 1);

	en = world_admin(&w, &c);
	en->u.admin.expires_ms = w.now_ms; /* in the last moment */
	expect(en, CA_OK, "");
	assert_true(w.result.view_changed);
	expect(en, CA_REPLAYED, "before");
	assert_int_equal(w.result.code, E_CONFLICT);
	assert_int_equal(mem_count(&w.mem, CA_T_CLUSTER), 2);
}

static void a_refused_command_is_not_tried_again(void **state)
{
	struct ca_admin c = cmd_cluster(&w, "Not-A-Label");
	struct ca_entry *en = world_admin(&w, &c);

	(void)state;
	expect(en, CA_BAD_FORMAT, "DNS label");
	expect(en, CA_REPLAYED, "before");
}

/* Time comes from the entries and does not go back. */
static void nonces_are_kept_until_their_expiry(void **state)
{
	struct ca_admin c = cmd_policy();
	struct ca_entry *first = world_admin(&w, &c), *en;

	(void)state;
	first->u.admin.expires_ms = w.now_ms + 1000;
	expect(first, CA_OK, "");
	w.now_ms += 1000;
	expect(world_admin(&w, &c), CA_OK, "");
	assert_int_equal(mem_count(&w.mem, CA_T_NONCE), 2);
	w.now_ms++;
	expect(world_admin(&w, &c), CA_OK, "");
	assert_int_equal(mem_count(&w.mem, CA_T_NONCE), 2);
	first->time_ms = 0; /* a proposer whose clock is behind */
	expect(first, CA_EXPIRED, "");
	en = world_admin(&w, &c);
	en->time_ms = 0;
	expect(en, CA_OK, "");
}

static void as_many_signatures_as_policy_wants(void **state)
{
	struct ca_admin two = cmd_policy(), c = cmd_cluster(&w, "west");
	struct ca_admin bob = cmd_operator(&w, "bob");
	struct ca_entry *en;

	(void)state;
	two.u.set_policy.admin_signatures = 2;
	refused(two, CA_BAD_FORMAT, "number of administrators, 1");
	bob.u.set_operator.roles = CA_ROLE_REVOKER;
	assert_int_equal(world_do(&w, bob), CA_OK);
	refused(two, CA_BAD_FORMAT, "number of administrators, 1");
	bob.u.set_operator.roles = CA_ROLE_ADMIN | CA_ROLE_AUDITOR;
	assert_int_equal(world_do(&w, bob), CA_OK);
	assert_int_equal(world_do(&w, two), CA_OK);

	en = world_admin(&w, &c);
	expect(en, CA_NOT_OPERATOR, "1 of 2 signatures");
	world_sign(&w, en, "alice");
	expect(en, CA_BAD_SIGNATURE, "twice");
	en->u.admin.signatures_n = 1;
	world_sign(&w, en, "bob");
	en->u.admin.signatures[1].sig.len--;
	expect(en, CA_BAD_SIGNATURE, "signature 2");
	en->u.admin.signatures[1].sig.len++;
	expect(en, CA_OK, "");

	/* neither can go now */
	bob.u.set_operator.removed = true;
	en = world_admin(&w, &bob);
	world_sign(&w, en, "bob");
	expect(en, CA_CONFLICT, "too few administrators");
	bob.u.set_operator.removed = false;
	bob.u.set_operator.roles = CA_ROLE_AUDITOR;
	en = world_admin(&w, &bob);
	world_sign(&w, en, "bob");
	expect(en, CA_CONFLICT, "too few administrators");
}

static void only_administrators_sign(void **state)
{
	struct ca_admin bob = cmd_operator(&w, "bob");
	struct ca_admin c = cmd_cluster(&w, "west");
	struct ca_entry *en;

	(void)state;
	bob.u.set_operator.roles = CA_ROLE_REVOKER | CA_ROLE_AUDITOR;
	assert_int_equal(world_do(&w, bob), CA_OK);
	en = world_envelope(&w, &c, 1);
	world_sign(&w, en, "bob");
	expect(en, CA_NOT_OPERATOR, "operator who may order");
	bob.u.set_operator.roles = CA_ROLE_ADMIN;
	assert_int_equal(world_do(&w, bob), CA_OK);
	bob.u.set_operator.removed = true;
	assert_int_equal(world_do(&w, bob), CA_OK);
	en = world_envelope(&w, &c, 1);
	world_sign(&w, en, "bob");
	expect(en, CA_NOT_OPERATOR, "operator who may order");
	/* one such signature spoils a good one */
	world_sign(&w, en, "alice");
	expect(en, CA_NOT_OPERATOR, "signature 1");
}

/* All commands of a batch, or none: rows, ids and versions. */
static void a_batch_applies_whole_or_not_at_all(void **state)
{
	struct ca_admin batch[5] = {cmd_cluster(&w, "west"), cmd_node(&w, 2),
	    cmd_issuer(&w, 2), cmd_policy(), cmd_cluster(&w, "Bad-Name")};
	struct ca_view *before = world_view(&w), *v;
	size_t nodes = mem_count(&w.mem, CA_T_NODE);
	struct ca_entry *en = world_envelope(&w, batch, 5);

	(void)state;
	world_sign(&w, en, "alice");
	expect(en, CA_BAD_FORMAT, "DNS label");
	assert_false(w.result.view_changed);
	v = world_view(&w);
	assert_int_equal(v->policy.version, before->policy.version);
	assert_int_equal(v->clusters_n, 1);
	assert_int_equal(v->issuers_n, 1);
	assert_int_equal(mem_count(&w.mem, CA_T_NODE), nodes);
	ca_view_unref(v);

	/* the same without the last; each sees what the one before did */
	en = world_envelope(&w, batch, 4);
	world_sign(&w, en, "alice");
	expect(en, CA_OK, "");
	v = world_view(&w);
	assert_int_equal(v->policy.version, 2);
	assert_int_equal(v->clusters_n, 2);
	assert_int_equal(v->issuers_n, 2);
	assert_int_equal(v->nodes_n, 2);
	ca_view_unref(v);
	ca_view_unref(before);

	/* a row that was there comes back as it was */
	batch[0].u.set_cluster.api_address = span_str("api:443");
	batch[1] = batch[4];
	en = world_envelope(&w, batch, 2);
	world_sign(&w, en, "alice");
	expect(en, CA_BAD_FORMAT, "");
	v = world_view(&w);
	assert_int_equal(
	    ca_view_cluster(v, span_str("west"))->api_address.len, 0);
	ca_view_unref(v);
}

static void a_command_of_no_kind(void **state)
{
	struct ca_admin c = {.kind = (enum ca_admin_kind)13};

	(void)state;
	refused(c, CA_BAD_FORMAT, "kind not known");
	c.kind = (enum ca_admin_kind)0;
	refused(c, CA_BAD_FORMAT, "kind not known");
}

/* ---- Nodes ------------------------------------------------------------------
 */

static void node_ids_are_never_used_twice(void **state)
{
	struct ca_admin two = cmd_node(&w, 2), c;

	(void)state;
	assert_int_equal(world_do(&w, two), CA_OK);
	two.u.set_node.mesh_address = span_str("moved:7700");
	assert_int_equal(world_do(&w, two), CA_OK); /* the same key */
	c = two;
	c.u.set_node.mesh_key[0] ^= 1;
	refused(c, CA_NODE_ID_USED, "another node");
	c = two;
	c.u.set_node.removed = true;
	assert_int_equal(world_do(&w, c), CA_OK);
	refused(c, CA_CONFLICT, "removed already");
	refused(two, CA_NODE_ID_USED, "next id is 3");
	c = cmd_node(&w, 5);
	assert_int_equal(world_do(&w, c), CA_OK);
	refused(cmd_node(&w, 4), CA_NODE_ID_USED, "the next is 6");
	world_reopen(&w);
	refused(cmd_node(&w, 4), CA_NODE_ID_USED, "the next is 6");
	c = cmd_node(&w, 6);
	memcpy(c.u.set_node.mesh_key, cmd_node(&w, 5).u.set_node.mesh_key,
	    CA_MESH_KEY_LEN);
	refused(c, CA_CONFLICT, "node 5 has that mesh key");
	/* also the key of a node that is gone */
	memcpy(c.u.set_node.mesh_key, two.u.set_node.mesh_key, CA_MESH_KEY_LEN);
	refused(c, CA_CONFLICT, "node 2 has that mesh key");
	/* raft keeps the largest ids for itself */
	refused(cmd_node(&w, UINT64_MAX), CA_BAD_FORMAT, "id");
	refused(cmd_node(&w, 1ULL << 32), CA_BAD_FORMAT, "id");
}

static void the_last_node_stays(void **state)
{
	struct ca_admin c = {.kind = CA_ADMIN_SET_NODE};

	(void)state;
	c.u.set_node.id = 1;
	c.u.set_node.removed = true;
	refused(c, CA_CONFLICT, "the last one");
	c.u.set_node.id = 9;
	refused(c, CA_NOT_FOUND, "no node 9");
}

static void nodes_are_whole(void **state)
{
	struct ca_admin c;

	(void)state;
	c = cmd_node(&w, 2);
	c.u.set_node.cluster = SPAN_EMPTY;
	refused(c, CA_BAD_FORMAT, "a cluster");
	c = cmd_node(&w, 2);
	memset(c.u.set_node.log_key, 0, 32);
	refused(c, CA_BAD_FORMAT, "log key");
	c = cmd_node(&w, 2);
	c.u.set_node.mesh_address = SPAN_EMPTY;
	refused(c, CA_BAD_FORMAT, "mesh address");
	c = cmd_node(&w, 2);
	c.u.set_node.api_addresses_n = 0;
	refused(c, CA_BAD_FORMAT, "API addresses");
	c = cmd_node(&w, 2);
	c.u.set_node.api_spki = SPAN_EMPTY;
	refused(c, CA_BAD_FORMAT, "API key");
}

static void issuers_belong_to_nodes(void **state)
{
	struct ca_admin c = cmd_issuer(&w, 2);

	(void)state;
	refused(c, CA_NOT_FOUND, "no node 2");
	assert_int_equal(world_do(&w, cmd_node(&w, 2)), CA_OK);
	c.u.add_issuer.node = 1;
	refused(c, CA_CONFLICT, "not registered with this issuer's key");
	c.u.add_issuer.node = 2;
	c.u.add_issuer.cert = fake_issuer(&w, "mallory", "issuer2");
	refused(c, CA_BAD_SIGNATURE, "not signed by the root");
	c = cmd_issuer(&w, 2);
	assert_int_equal(world_do(&w, c), CA_OK);
	refused(c, CA_CONFLICT, "registered already");
	refused(cmd_issuer(&w, 1), CA_CONFLICT, "registered already");
}

/* ---- Clusters ---------------------------------------------------------------
 */

static void clusters_are_whole(void **state)
{
	struct ca_admin c;

	(void)state;
	c = cmd_cluster(&w, "west");
	c.u.set_cluster.audiences_n = 0;
	refused(c, CA_BAD_FORMAT, "audience");
	c = cmd_cluster(&w, "west");
	c.u.set_cluster.audiences[0] = SPAN_EMPTY;
	refused(c, CA_BAD_FORMAT, "audience");
	c = cmd_cluster(&w, "west");
	c.u.set_cluster.aliases_n = 1;
	refused(c, CA_BAD_FORMAT, "alias");
	c = cmd_cluster(&w, "west");
	c.u.set_cluster.keys[0].alg = span_str("HS256");
	refused(c, CA_BAD_FORMAT, "\"HS256\" is not taken");
	c = cmd_cluster(&w, "west");
	c.u.set_cluster.keys[0].spki = SPAN_EMPTY;
	refused(c, CA_BAD_FORMAT, "no public key");
	c = cmd_cluster(&w, "west");
	c.u.set_cluster.namespaces[0] = span_str("a/b");
	c.u.set_cluster.namespaces_n = 1;
	refused(c, CA_BAD_FORMAT, "namespace 1");
	c = cmd_cluster(&w, "west");
	c.u.set_cluster.removed = true;
	refused(c, CA_NOT_FOUND, "no such cluster");
	c.u.set_cluster.removed = false;
	assert_int_equal(world_do(&w, c), CA_OK);
	c.u.set_cluster.removed = true;
	assert_int_equal(world_do(&w, c), CA_OK);
	refused(c, CA_NOT_FOUND, "no such cluster");
}

static void a_key_or_name_is_one_clusters(void **state)
{
	struct ca_admin west = cmd_cluster(&w, "west"), c;

	(void)state;
	west.u.set_cluster.aliases[0] = span_str("occident");
	west.u.set_cluster.aliases_n = 1;
	assert_int_equal(world_do(&w, west), CA_OK);
	assert_int_equal(world_do(&w, west), CA_OK); /* replaces itself */
	c = cmd_cluster(&w, "third");
	c.u.set_cluster.keys[0].spki = west.u.set_cluster.keys[0].spki;
	refused(c, CA_CONFLICT, "token key 1 is cluster \"west\"'s");
	refused(cmd_cluster(&w, "occident"), CA_CONFLICT, "as an alias");
	c = cmd_cluster(&w, "third");
	c.u.set_cluster.aliases[0] = span_str("west");
	c.u.set_cluster.aliases_n = 1;
	refused(c, CA_CONFLICT, "alias 1");
	/* what a removed cluster had is free */
	west.u.set_cluster.removed = true;
	assert_int_equal(world_do(&w, west), CA_OK);
	assert_int_equal(world_do(&w, c), CA_OK);
}

static void a_node_refreshes_its_own_cluster(void **state)
{
	struct ca_entry *en = world_entry(&w, CA_REFRESH_KEYS);
	struct ca_refresh_keys *r = &en->u.refresh;
	struct ca_view *v;

	(void)state;
	r->node = 1;
	r->cluster = span_str("east");
	r->keys[0] = (struct ca_token_key){
	    span_str("k2"), span_str("ES256"), span_str("new key")};
	r->keys_n = 1;
	expect(en, CA_OK, "");
	assert_true(w.result.view_changed);
	v = world_view(&w);
	assert_true(span_eq_str(v->clusters[0].keys[0].kid, "k2"));
	assert_true(span_eq_str(v->clusters[0].audiences[0], "istio-ca"));
	ca_view_unref(v);

	en->proposer = 2;
	expect(en, CA_NOT_ALLOWED, "own cluster");
	r->node = 2;
	expect(en, CA_NOT_ALLOWED, "own cluster");
	assert_int_equal(world_do(&w, cmd_node(&w, 2)), CA_OK);
	expect(en, CA_NOT_ALLOWED, "own cluster");
	r->cluster = span_str("cluster2");
	expect(en, CA_NOT_FOUND, "not registered");
	assert_int_equal(world_do(&w, cmd_cluster(&w, "cluster2")), CA_OK);
	expect(en, CA_CONFLICT, "token key 1 is cluster \"east\"'s");
	r->keys[0].alg = span_str("none");
	expect(en, CA_BAD_FORMAT, "not taken");
}

/* ---- Policy, tokens, operators ----------------------------------------------
 */

static void policy_has_bounds(void **state)
{
	struct ca_admin c;

	(void)state;
	c = cmd_policy();
	c.u.set_policy.ttl_max_s = CA_LEAF_LIFE_MAX_S + 1;
	refused(c, CA_BAD_FORMAT, "ttl_max");
	c.u.set_policy.ttl_max_s = 59;
	refused(c, CA_BAD_FORMAT, "ttl_max");
	c = cmd_policy();
	c.u.set_policy.ttl_default_s = 86401;
	refused(c, CA_BAD_FORMAT, "ttl_default");
	c.u.set_policy.ttl_default_s = 59;
	refused(c, CA_BAD_FORMAT, "ttl_default");
	c = cmd_policy();
	c.u.set_policy.renew_max_s = 86401;
	refused(c, CA_BAD_FORMAT, "renew_max");
	c = cmd_policy();
	c.u.set_policy.issuer_settle_ms = 3600001;
	refused(c, CA_BAD_FORMAT, "issuer_settle");
	c = cmd_policy();
	c.u.set_policy.admin_signatures = 0;
	refused(c, CA_BAD_FORMAT, "admin_signatures");
	c = cmd_policy();
	c.u.set_policy.version = 77; /* apply gives the number */
	assert_int_equal(world_do(&w, c), CA_OK);
	assert_int_equal(mem_count(&w.mem, CA_T_POLICY), 2);
	assert_int_equal(get_u64be(mem_row(&w.mem, CA_T_POLICY, 1)->key.p), 2);
}

static void tokens_expire(void **state)
{
	struct ca_admin c = cmd_token(&w, "s1");

	(void)state;
	assert_int_equal(world_do(&w, c), CA_OK);
	refused(c, CA_CONFLICT, "such a token");
	c = cmd_token(&w, "s2");
	c.u.create_join_token.expires_ms = w.now_ms;
	refused(c, CA_EXPIRED, "expired");
	c.u.create_join_token.expires_ms = w.now_ms + CA_TOKEN_LIFE_MAX_MS + 1;
	refused(c, CA_BAD_FORMAT, "seven days");
	c.u.create_join_token.expires_ms--;
	c.u.create_join_token.cluster = span_str("-");
	refused(c, CA_BAD_FORMAT, "DNS label");
	c.u.create_join_token.cluster = span_str("west");
	assert_int_equal(world_do(&w, c), CA_OK);
	assert_int_equal(mem_count(&w.mem, CA_T_TOKEN), 2);
	w.now_ms += 3600001; /* s1 has expired: the next takes it away */
	assert_int_equal(world_do(&w, cmd_token(&w, "s3")), CA_OK);
	assert_int_equal(mem_count(&w.mem, CA_T_TOKEN), 2);
}

static void operators_have_one_name_and_one_key(void **state)
{
	struct ca_admin c = cmd_operator(&w, "bob");

	(void)state;
	c.u.set_operator.roles = 0;
	refused(c, CA_BAD_FORMAT, "roles");
	c.u.set_operator.roles = 8;
	refused(c, CA_BAD_FORMAT, "roles");
	c = cmd_operator(&w, "bob");
	c.u.set_operator.spki.len--;
	refused(c, CA_BAD_FORMAT, "P-256");
	c = cmd_operator(&w, "bob");
	c.u.set_operator.name = span_str("alice");
	refused(c, CA_CONFLICT, "has that name");
	c = cmd_operator(&w, "bob");
	c.u.set_operator.removed = true;
	refused(c, CA_NOT_FOUND, "no such operator");
	c = cmd_operator(&w, "alice");
	c.u.set_operator.removed = true;
	refused(c, CA_CONFLICT, "too few administrators");
	assert_int_equal(world_do(&w, cmd_operator(&w, "bob")), CA_OK);
	assert_int_equal(world_do(&w, c), CA_OK); /* alice goes, by alice */
	refused(c, CA_NOT_OPERATOR, "operator who may order");
}

/* What is just allowed is allowed: the refusals above begin one further. */
static void bounds_are_inclusive(void **state)
{
	static uint8_t key[CA_SPKI_MAX] = {1};
	struct ca_admin c = cmd_policy();
	struct ca_entry *en;

	(void)state;
	c.u.set_policy.ttl_default_s = 60;
	c.u.set_policy.ttl_max_s = 60;
	assert_int_equal(world_do(&w, c), CA_OK);
	c.u.set_policy.ttl_default_s = CA_LEAF_LIFE_MAX_S;
	c.u.set_policy.ttl_max_s = CA_LEAF_LIFE_MAX_S;
	c.u.set_policy.issuer_settle_ms = 3600000;
	assert_int_equal(world_do(&w, c), CA_OK);
	c = cmd_cluster(&w, "a");
	c.u.set_cluster.name = world_text(&w, "%s",
	    "az-09-a234567890123456789012345678901234567890123456789012345z9");
	assert_int_equal(c.u.set_cluster.name.len, CA_NAME_MAX);
	c.u.set_cluster.keys[0].spki = span_of(key, CA_SPKI_MAX);
	assert_int_equal(world_do(&w, c), CA_OK);
	c = cmd_cluster(&w, "a");
	en = world_admin(&w, &c);
	en->u.admin.expires_ms = w.now_ms + CA_ENVELOPE_LIFE_MAX_MS;
	expect(en, CA_OK, "");
	c = cmd_node(&w, UINT32_MAX);
	c.u.set_node.mesh_address = world_text(&w, "%0299d", 1);
	c.u.set_node.api_spki = span_of(key, CA_SPKI_MAX);
	assert_int_equal(world_do(&w, c), CA_OK);
	c.u.set_node.mesh_address = world_text(&w, "%0300d", 1);
	refused(c, CA_BAD_FORMAT, "mesh address");
}

/* A token is kept to its last moment. */
static void tokens_live_until_they_expire(void **state)
{
	(void)state;
	assert_int_equal(world_do(&w, cmd_token(&w, "s1")), CA_OK);
	w.now_ms += 3600000;
	assert_int_equal(world_do(&w, cmd_token(&w, "s2")), CA_OK);
	assert_int_equal(mem_count(&w.mem, CA_T_TOKEN), 2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define EMPTY(f) cmocka_unit_test_setup_teardown(f, setup_empty, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    EMPTY(the_log_begins_with_genesis),
	    EMPTY(genesis_is_checked),
	    T(an_envelope_is_checked),
	    T(a_refused_command_is_not_tried_again),
	    T(nonces_are_kept_until_their_expiry),
	    T(as_many_signatures_as_policy_wants),
	    T(only_administrators_sign),
	    T(a_batch_applies_whole_or_not_at_all),
	    T(a_command_of_no_kind),
	    T(node_ids_are_never_used_twice),
	    T(the_last_node_stays),
	    T(nodes_are_whole),
	    T(issuers_belong_to_nodes),
	    T(clusters_are_whole),
	    T(a_key_or_name_is_one_clusters),
	    T(a_node_refreshes_its_own_cluster),
	    T(policy_has_bounds),
	    T(tokens_expire),
	    T(operators_have_one_name_and_one_key),
	    T(bounds_are_inclusive),
	    T(tokens_live_until_they_expire),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
