/* test_replay.c -- the same entries give the same state: on a node that never
 * stops, on one that restarts between any two, and on one that began with a
 * snapshot.  Sequences are random, from a seed; SEED=n repeats one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

#ifdef QUORATE_SANITIZED
#define SEQUENCES 100
#else
#define SEQUENCES 300
#endif
#define STEPS_MAX 120
#define LONG_STEPS 2200 /* two checkpoints */

static uint64_t rnd_state;

static uint64_t rnd(void)
{
	uint64_t z = rnd_state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static unsigned below(unsigned n)
{
	return (unsigned)(rnd() % n);
}

static bool one_in(unsigned n)
{
	return below(n) == 0;
}

/* What was applied, and what came of it on the first node. */
struct step {
	uint64_t index;
	const struct ca_entry *en; /* NULL: does not decode */
	struct span raw;
	enum ca_outcome outcome;
	struct ca_head head;
};

/* The sequence so far. */
static const struct step *made;
static size_t made_n;

static const char *pick_name(void)
{
	static const char *const names[] = {
	    "alice", "bob", "carol", "dave", "mallory"};

	return names[below(5)];
}

static const char *pick_cluster(void)
{
	static const char *const names[] = {
	    "east", "east", "east", "west", "cluster2", "cluster3", "Bad"};

	return names[below(7)];
}

/* ---- Entries: mostly those that could be, some that could not ---------------
 */

static struct ca_admin any_node(struct world *w)
{
	struct ca_admin c = cmd_node(w, 1 + below(6));

	c.u.set_node.removed = one_in(5);
	if (one_in(6))
		c.u.set_node.mesh_key[0] ^= 1;
	if (one_in(6))
		c.u.set_node.has_issuer = false;
	if (one_in(10))
		c.u.set_node.api_addresses_n = 0;
	return c;
}

static struct ca_admin any_cluster(struct world *w)
{
	struct ca_admin c = cmd_cluster(w, pick_cluster());
	struct ca_cluster *cl = &c.u.set_cluster;

	cl->removed = one_in(6);
	if (one_in(4))
		cl->keys[0].spki = span_str("a shared key");
	if (one_in(4)) {
		cl->aliases[0] = span_str(pick_cluster());
		cl->aliases_n = 1;
	}
	if (one_in(3)) {
		cl->namespaces[0] = span_str("*");
		cl->namespaces[1] = span_str("kube-system");
		cl->namespaces_n = 1 + below(2);
	}
	if (one_in(10))
		cl->keys[0].alg = span_str("none");
	return c;
}

static struct ca_admin any_policy(void)
{
	struct ca_admin c = cmd_policy();
	struct ca_policy *p = &c.u.set_policy;

	p->admin_signatures = one_in(8) ? 2 : 1;
	p->quota_identity_per_h = below(4);
	p->quota_cluster_per_h = one_in(2) ? 0 : 3 + below(5);
	p->issuer_settle_ms = one_in(2) ? 0 : 60000;
	p->renew_max_s = 3600 * below(26);
	return c;
}

static struct ca_admin any_operator(struct world *w)
{
	struct ca_admin c = cmd_operator(w, pick_name());

	c.u.set_operator.removed = one_in(4);
	c.u.set_operator.roles = one_in(3) ? below(10) : CA_ROLE_ADMIN;
	return c;
}

static const char *pick_uri(void)
{
	static const char *const uris[] = {"spiffe://td/ns/app/sa/web",
	    "spiffe://td/ns/app/sa/db", "spiffe://td/ns/kube-system/sa/x",
	    "spiffe://td/ns/other/sa/y", "spiffe://td2/ns/app/sa/web"};

	return uris[below(5)];
}

static const char *pick_pod(void)
{
	static const char *const pods[] = {"pod-1", "pod-2", "pod-3", ""};

	return pods[below(4)];
}

/* An issuance, if luck has it; rather one that still lives. */
static const struct ca_entry *pick_issued(void)
{
	for (unsigned i = 0; i < 8; i++) {
		unsigned back = one_in(3) ? (unsigned)made_n : 12;
		const struct step *s =
		    &made[made_n - 1 -
			  below(back < made_n ? back : (unsigned)made_n)];

		if (s->en != NULL && s->en->kind == CA_ISSUE)
			return s->en;
	}
	return NULL;
}

static struct ca_admin any_revoke(struct world *w)
{
	const struct ca_entry *of = pick_issued();
	struct ca_admin c;

	if (of != NULL && !one_in(5))
		c = cmd_revoke(of);
	else if (one_in(3))
		c = cmd_revoke_all(CA_REVOKE_POD, pick_pod());
	else
		c = cmd_revoke_all(CA_REVOKE_IDENTITY, pick_uri());
	if (one_in(8))
		c.u.revoke.reason = (enum ca_reason)below(12);
	if (one_in(30))
		c.u.revoke.by = (enum ca_revoke_by)below(5);
	(void)w;
	return c;
}

static struct ca_admin any_lift(void)
{
	return one_in(3) ? cmd_lift(CA_REVOKE_POD, pick_pod())
			 : cmd_lift(CA_REVOKE_IDENTITY, pick_uri());
}

static uint64_t last_root_crl; /* of what was made, taken or not */

static struct ca_admin any_end(struct world *w)
{
	uint64_t node = one_in(12) ? 1 : 2 + below(5);
	uint64_t number = one_in(4) ? below(9) : ++last_root_crl;
	struct span crl = fake_root_crl(w, number, below(7));

	switch (below(3)) {
	case 0: return cmd_retire(w, node);
	case 1: return cmd_revoke_issuer(w, node, crl);
	default: return cmd_root_crl(crl);
	}
}

static struct ca_admin any_bundle(struct world *w)
{
	static const char *const domains[] = {"td", "other", "third", "Bad"};
	struct ca_admin c =
	    cmd_bundle(w, domains[below(4)], one_in(3) ? NULL : pick_name());

	if (one_in(4))
		c.u.set_trust_bundle.root_sig = SPAN_EMPTY;
	return c;
}

static struct ca_admin any_trust_command(struct world *w)
{
	switch (below(10)) {
	case 0: return any_bundle(w);
	case 1: return any_end(w);
	case 2:
	case 3: return any_lift();
	default: return any_revoke(w);
	}
}

static struct ca_admin any_command(struct world *w)
{
	char secret[2] = {(char)('a' + below(6)), '\0'};
	struct ca_admin c;

	if (!one_in(3))
		return any_trust_command(w);
	switch (below(7)) {
	case 0: return any_node(w);
	case 1: return cmd_issuer(w, 1 + below(6));
	case 2: return any_cluster(w);
	case 3: return any_policy();
	case 4:
		c = cmd_token(w, secret);
		if (one_in(4))
			c.u.create_join_token.expires_ms = w->now_ms - 1;
		return c;
	case 5: return any_operator(w);
	default: break;
	}
	return (struct ca_admin){.kind = (enum ca_admin_kind)below(15)};
}

static struct ca_entry *any_envelope(struct world *w)
{
	struct ca_admin *batch = world_get(w, 3 * sizeof(*batch));
	struct ca_entry *en;
	size_t n = one_in(3) ? 1 + below(3) : 1;

	for (size_t i = 0; i < n; i++)
		batch[i] = any_command(w);
	en = world_envelope(w, batch, one_in(30) ? 0 : n);
	if (!one_in(20))
		world_sign(w, en, "alice");
	if (one_in(3))
		world_sign(w, en, pick_name());
	if (one_in(20))
		en->u.admin.signed_bytes = span_str("others");
	if (one_in(20))
		en->u.admin.trust_domain = span_str("other");
	if (one_in(10))
		en->u.admin.expires_ms = w->now_ms + below(3) - 1;
	return en;
}

/* A serial that was issued before, or one that was not. */
static void any_parent(struct ca_issue *i)
{
	const struct ca_entry *of = pick_issued();

	i->has_parent = true;
	i->via = one_in(12) ? CA_VIA_TOKEN : CA_VIA_CERT;
	if (of == NULL)
		return;
	memcpy(i->parent, of->u.issue.serial, CA_SERIAL_LEN);
	if (!one_in(5))
		i->uri = of->u.issue.uri;
}

static struct ca_entry *any_issue(struct world *w)
{
	struct ca_entry *en = world_issue(w, pick_uri());
	struct ca_issue *i = &en->u.issue;
	const struct ca_entry *of = pick_issued();

	i->pod_uid = span_str(pick_pod());
	if (!one_in(3))
		i->not_after_s += 80000;
	if (one_in(4))
		i->cluster = span_str(pick_cluster());
	if (one_in(6)) {
		struct ca_node node;

		en->proposer = 1 + below(5);
		fill_node(w, &node, 1 + below(5));
		memcpy(i->issuer, node.issuer, CA_KEY_ID_LEN);
	}
	if (one_in(12)) {
		i->profile = (enum ca_profile)(1 + below(5));
		i->via = CA_VIA_NODE;
		i->uri = SPAN_EMPTY;
		i->spki = fake_key(w, "api1");
	}
	if (one_in(12))
		i->policy_version++;
	if (one_in(12))
		i->not_after_s += 86400 * below(10);
	if (one_in(20))
		i->serial[0] = (uint8_t)rnd();
	if (one_in(12) && of != NULL)
		memcpy(i->serial, of->u.issue.serial, CA_SERIAL_LEN);
	if (one_in(3))
		any_parent(i);
	return en;
}

static struct ca_entry *any_refresh(struct world *w)
{
	struct ca_entry *en = world_entry(w, CA_REFRESH_KEYS);
	struct ca_refresh_keys *r = &en->u.refresh;

	r->node = 1 + below(3);
	en->proposer = one_in(4) ? 1 : r->node;
	r->cluster =
	    one_in(3)
		? span_str(pick_cluster())
		: (r->node == 1 ? span_str("east")
				: world_text(w, "cluster%d", (int)r->node));
	r->keys_n = below(3);
	for (size_t i = 0; i < r->keys_n; i++)
		r->keys[i] = (struct ca_token_key){span_str("k"),
		    span_str(one_in(8) ? "HS256" : "ES256"),
		    world_text(w, "refreshed %d", (int)below(8))};
	return en;
}

static struct ca_entry *any_checkpoint(struct world *w)
{
	struct ca_entry *en = world_entry(w, CA_CHECKPOINT);
	struct ca_checkpoint *c = &en->u.checkpoint;
	bool confirmed;
	struct err e;

	if (ca_checkpoint_newest(w->ca, c, &confirmed, &e) != E_OK)
		c->tree_size = 1024 * below(3);
	if (one_in(4))
		c->root[below(SHA256_LEN)] ^= 1;
	return en;
}

static struct ca_entry *any_freeze(struct world *w)
{
	struct ca_entry *en = world_freeze(w, one_in(3) ? 1 + below(6) : 1);

	if (one_in(8))
		en->u.freeze_crl.number += below(3) - 1;
	if (one_in(8))
		en->u.freeze_crl.this_s += 600 * below(3);
	if (one_in(12))
		en->u.freeze_crl.next_s -= 86400ULL * below(3);
	return en;
}

static struct ca_entry *any_sign_crl(struct world *w)
{
	struct ca_entry *en = world_sign_crl(w, one_in(3) ? 1 + below(6) : 1);

	if (one_in(8))
		en->u.sign_crl.number -= below(3) - 1;
	if (one_in(12))
		en->u.sign_crl.tbs_sha256[0] ^= 1;
	if (one_in(12))
		en->u.sign_crl.signature = SPAN_EMPTY;
	return en;
}

static struct ca_entry *any_entry(struct world *w, size_t n)
{
	struct ca_entry *en;

	if (n == 0)
		return one_in(8) ? NULL : world_genesis(w);
	if (one_in(60))
		return world_genesis(w);
	switch (below(16)) {
	case 0: return NULL;
	case 1: en = any_refresh(w); break;
	case 2: en = any_checkpoint(w); break;
	case 3:
	case 4:
	case 5: en = any_envelope(w); break;
	case 6:
	case 7: en = any_freeze(w); break;
	case 8:
	case 9: en = any_sign_crl(w); break;
	default: en = any_issue(w); break;
	}
	if (one_in(40))
		en->format = 2;
	if (one_in(15))
		en->time_ms -= 5000; /* another proposer's clock */
	return en;
}

/* ---- Three nodes
 * -------------------------------------------------------------- */

static bool started(struct world *w)
{
	struct ca_view *v;
	struct err e;

	if (ca_view_load(w->ca, &v, &e) != E_OK)
		return false;
	ca_view_unref(v);
	return true;
}

static void note(struct world *w, struct step *s)
{
	struct err e;

	s->index = w->index;
	s->outcome = w->result.outcome;
	assert_int_equal(ca_head(w->ca, &s->head, &e), E_OK);
}

static unsigned crls, listed; /* signed, and their entries */

static void count_crl(struct world *w, const uint8_t *issuer)
{
	struct ca_view *v;
	struct err e;

	assert_int_equal(ca_view_load(w->ca, &v, &e), E_OK);
	crls++;
	listed += (unsigned)ca_view_crl(v, issuer)->entries;
	ca_view_unref(v);
}

/* Make the sequence while the first node applies it. */
static void make(struct world *w, struct step *steps, size_t n)
{
	made = steps;
	last_root_crl = 0;
	for (size_t i = 0; i < n; i++) {
		struct step *s = &steps[i];

		made_n = i;

		w->now_ms += one_in(8) ? below(4000000) : below(3000);
		if (i > 2 && one_in(10)) { /* again, exactly */
			*s = steps[below((unsigned)i)];
		} else {
			s->en = i > 0 && !started(w)
				    ? (one_in(6) ? world_entry(w, CA_ADMIN)
						 : world_genesis(w))
				    : any_entry(w, i);
			s->raw = world_text(w, "bytes %d", (int)i);
		}
		world_apply_raw(w, s->en, s->raw);
		note(w, s);
		if (s->en != NULL && s->en->kind == CA_SIGN_CRL &&
		    s->outcome == CA_OK)
			count_crl(w, s->en->u.sign_crl.issuer);
	}
}

static void follow(struct world *w, const struct step *s)
{
	struct ca_head head;
	struct err e = {0};

	if (ca_apply(w->ca, s->index, s->en, s->raw, &w->result, &e) != E_OK)
		fail_msg("entry %d: %s", (int)s->index, e.text);
	assert_int_equal(w->result.outcome, s->outcome);
	assert_int_equal(ca_head(w->ca, &head, &e), E_OK);
	assert_int_equal(head.index, s->head.index);
	assert_int_equal(head.tree_size, s->head.tree_size);
	assert_memory_equal(head.root, s->head.root, SHA256_LEN);
	assert_memory_equal(
	    head.state_digest, s->head.state_digest, SHA256_LEN);
}

static void same(const struct world *a, const struct world *b)
{
	struct buf why;

	buf_init(&why);
	if (!mem_same(&a->mem, &b->mem, &why))
		fail_msg("%.*s", (int)why.len, (const char *)why.p);
	buf_free(&why);
}

static void replay(
    const struct world *first, const struct step *steps, size_t n)
{
	size_t cut = 1 + below((unsigned)n);
	struct world second, third;
	struct err e = {0};

	world_open(&second);
	for (size_t i = 0; i < cut; i++) {
		if (one_in(7))
			world_reopen(&second);
		follow(&second, &steps[i]);
	}
	if (world_restore(&third, &second.mem, &e) != E_OK)
		fail_msg("restoring %zu of %zu entries: %s", cut, n, e.text);
	same(&second, &third);
	for (size_t i = cut; i < n; i++) {
		if (one_in(7))
			world_reopen(&second);
		follow(&second, &steps[i]);
		follow(&third, &steps[i]);
	}
	same(first, &second);
	same(first, &third);
	world_close(&second);
	world_close(&third);
}

static unsigned seen[32]; /* outcomes */

static void sequence(uint64_t seed, size_t n, bool quick)
{
	struct step *steps = calloc(n, sizeof(*steps));
	struct world w;

	assert_non_null(steps);
	rnd_state = seed;
	world_open(&w);
	w.quick = quick;
	make(&w, steps, n);
	replay(&w, steps, n);
	for (size_t i = 0; i < n; i++)
		seen[steps[i].outcome]++;
	world_close(&w);
	free(steps);
}

static void the_same_entries_give_the_same_state(void **state)
{
	const char *one = getenv("SEED");

	(void)state;
	if (one != NULL) {
		sequence(strtoull(one, NULL, 10), STEPS_MAX, false);
		return;
	}
	for (uint64_t seed = 1; seed <= SEQUENCES; seed++) {
		rnd_state = seed;
		sequence(seed, 1 + below(STEPS_MAX), false);
	}
}

static void also_over_checkpoints(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++)
		sequence(seed, LONG_STEPS, true);
}

/* The sequences reach what there is to reach. */
static void every_outcome_was_seen(void **state)
{
	(void)state;
	if (getenv("SEED") != NULL)
		skip();
	for (int o = CA_OK; o <= CA_DIVERGED; o++)
		if (seen[o] == 0)
			fail_msg("outcome %d never came", o);
	print_message("%u CRLs with %u entries\n", crls, listed);
	assert_true(crls > 100 && listed > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_same_entries_give_the_same_state),
	    cmocka_unit_test(also_over_checkpoints),
	    cmocka_unit_test(every_outcome_was_seen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
