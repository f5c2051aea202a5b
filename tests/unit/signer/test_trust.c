/* What the signer takes from the log: only what the right keys signed, and
 * then the same as the state machine. */
#include "world.h"

#include <stdio.h>

#include "applied.h"

static struct world w;
static struct trust t;
static struct trust_seen seen;

/* ---- Allocations that fail ---- */

static int allocations_left = -1; /* negative: all succeed */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool fails(void)
{
	return allocations_left >= 0 && allocations_left-- == 0;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

/* ---- A fresh signer's view ---- */

static int setup(void **state)
{
	(void)state;
	world_open(&w);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

static int begin(void **state)
{
	(void)state;
	return pki_key_id(
		   span_of(w.public.issuer_spki, w.public.issuer_spki_len),
		   t.own, NULL) != E_OK;
}

static int end(void **state)
{
	(void)state;
	trust_free(&t);
	free(seen.v);
	seen = (struct trust_seen){0};
	return 0;
}

static enum code feed(struct span raw, struct err *e)
{
	e->text[0] = '\0';
	return trust_feed(&t, &seen, raw, e);
}

static void feed_genesis(void)
{
	struct err e;

	if (feed(buf_span(&w.genesis), &e) != E_OK)
		fail_msg("%s", e.text);
}

/* Sign and feed; returns the code. */
static enum code feed_env(const struct envelope *env, struct err *e)
{
	struct buf entry;
	enum code rc;

	world_envelope(&w, env, &entry);
	rc = feed(buf_span(&entry), e);
	buf_free(&entry);
	return rc;
}

static void must(
    const struct ca_admin *commands, size_t n, EVP_PKEY *op1, EVP_PKEY *op2)
{
	const struct envelope env = {
	    .signers = {op1, op2}, .commands = commands, .n = n};
	struct err e;

	if (feed_env(&env, &e) != E_OK)
		fail_msg("%s", e.text);
}

/* ---- Genesis ---- */

static void genesis_gives_the_first_of_everything(void **state)
{
	(void)state;
	feed_genesis();
	assert_true(t.started && t.has_issuer);
	assert_int_equal(t.policy.version, 1);
	assert_int_equal(t.operators_n, 1);
	assert_int_equal(t.nodes_n, 1);
	assert_int_equal(t.node, 1);
	assert_int_equal(t.last_node_id, 1);
	assert_true(span_eq_str(buf_span(&t.trust_domain), TD));
}

static void genesis_is_the_roots(void **state)
{
	struct ca_genesis g;
	struct buf entry;
	struct err e;

	(void)state;
	world_genesis(&w, &g);
	world_sign_genesis(&w, &g, w.op[0], &entry);
	assert_int_equal(feed(buf_span(&entry), &e), E_DENIED);
	assert_non_null(strstr(e.text, "root key"));
	assert_false(t.started);
	buf_free(&entry);
}

static void there_is_one_genesis(void **state)
{
	struct ca_genesis g;
	struct buf entry;
	struct err e;

	(void)state;
	feed_genesis();
	feed_genesis();
	world_genesis(&w, &g);
	g.trust_domain = span_str("other.example");
	world_sign_genesis(&w, &g, w.root_key, &entry);
	assert_int_equal(feed(buf_span(&entry), &e), E_DENIED);
	assert_true(span_eq_str(buf_span(&t.trust_domain), TD));
	buf_free(&entry);
}

static void a_genesis_that_cannot_be_is_refused(void **state)
{
	static const char *const rows[] = {"no trust domain", "node 2",
	    "no administrator", "two signatures, one administrator",
	    "leaves that outlive a CRL", "no default lifetime",
	    "an issuer of another root", "another key's issuer",
	    "a root that is an issuer", "no API key"};
	struct ca_genesis g;
	struct buf entry;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		world_genesis(&w, &g);
		switch (i) {
		case 0: g.trust_domain = SPAN_EMPTY; break;
		case 1: g.node.id = 2; break;
		case 2: g.op.roles = CA_ROLE_REVOKER; break;
		case 3: g.policy.admin_signatures = 2; break;
		case 4: g.policy.ttl_max_s = CA_LEAF_LIFE_MAX_S + 1; break;
		case 5: g.policy.ttl_default_s = 0; break;
		case 6: g.issuer_cert = buf_span(&w.root); break;
		case 7: g.node.issuer[0] ^= 1; break;
		case 8: g.root_cert = buf_span(&w.issuer); break;
		default: g.node.api_spki = SPAN_EMPTY; break;
		}
		world_sign_genesis(&w, &g, w.root_key, &entry);
		if (feed(buf_span(&entry), &e) != E_DENIED || t.started)
			fail_msg("%s: %s", rows[i], e.text);
		buf_free(&entry);
	}
}

/* ---- Envelopes ---- */

static void only_administrators_of_this_domain_are_heard(void **state)
{
	const struct ca_admin policy = world_set_policy(7200, 1);
	const struct ca_admin ops[] = {
	    world_set_operator(&w, 1, CA_ROLE_REVOKER, false),
	    world_set_operator(&w, 2, CA_ROLE_ADMIN, false)};
	const struct ca_admin gone =
	    world_set_operator(&w, 2, CA_ROLE_ADMIN, true);
	const struct {
		const char *why;
		struct envelope env;
	} rows[] = {
	    {"a stranger", {.signers = {w.other}}},
	    {"a revoker", {.signers = {w.op[1]}}},
	    {"one who was removed", {.signers = {w.op[2]}}},
	    {"the root", {.signers = {w.root_key}}},
	    {"nobody", {.signers = {NULL}}},
	    {"a broken signature",
		{.signers = {w.op[0]}, .broken_signature = true}},
	    {"one of two is broken",
		{.signers = {w.op[0], w.op[2]}, .broken_signature = true}},
	    {"the same twice", {.signers = {w.op[0], w.op[0]}}},
	    {"an administrator and a stranger",
		{.signers = {w.op[0], w.other}}},
	    {"another trust domain",
		{.signers = {w.op[0]}, .td = "other.example"}},
	    {"expired", {.signers = {w.op[0]}, .expires_ms = 1}},
	};
	struct err e;

	(void)state;
	feed_genesis();
	must(ops, 2, w.op[0], NULL);
	must(&gone, 1, w.op[0], w.op[2]);
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct envelope env = rows[i].env;

		env.commands = &policy;
		env.n = 1;
		if (feed_env(&env, &e) != E_DENIED)
			fail_msg("%s: %s", rows[i].why, e.text);
		assert_int_equal(t.policy.version, 1);
	}
	must(&policy, 1, w.op[0], NULL);
	assert_int_equal(t.policy.version, 2);
}

static void two_signatures_where_policy_wants_two(void **state)
{
	const struct ca_admin both[] = {
	    world_set_operator(&w, 1, CA_ROLE_ADMIN, false),
	    world_set_policy(7200, 2)};
	const struct ca_admin policy = world_set_policy(7200, 2);
	const struct envelope one = {
	    .signers = {w.op[0]}, .commands = &policy, .n = 1};
	struct err e;

	(void)state;
	feed_genesis();
	must(both, 2, w.op[0], NULL);
	assert_int_equal(feed_env(&one, &e), E_DENIED);
	assert_non_null(strstr(e.text, "1 of 2"));
	must(&policy, 1, w.op[1], w.op[0]);
	assert_int_equal(t.policy.version, 3);
}

static void before_genesis_nothing_is_taken(void **state)
{
	const struct ca_admin policy = world_set_policy(7200, 1);
	const struct envelope env = {
	    .signers = {w.op[0]}, .commands = &policy, .n = 1};
	struct err e;

	(void)state;
	assert_int_equal(feed_env(&env, &e), E_CONFLICT);
}

static void all_commands_or_none(void **state)
{
	const struct ca_admin batch[] = {world_set_policy(7200, 1),
	    world_set_operator(&w, 1, CA_ROLE_ADMIN, false),
	    world_set_node(&w, 2), world_remove_node(9)};
	const struct envelope env = {
	    .signers = {w.op[0]}, .commands = batch, .n = ROWS(batch)};
	struct err e;

	(void)state;
	feed_genesis();
	assert_int_equal(feed_env(&env, &e), E_DENIED);
	assert_int_equal(t.policy.version, 1);
	assert_int_equal(t.operators_n, 1);
	assert_null(trust_node(&t, 2));
	assert_int_equal(t.last_node_id, 1);
	must(batch, ROWS(batch) - 1, w.op[0], NULL);
	assert_int_equal(t.operators_n, 2);
	assert_non_null(trust_node(&t, 2));
}

/* An old policy must not come back, fed twice or held back for later. */
static void history_is_not_replayed(void **state)
{
	const struct ca_admin lax = world_set_policy(86400, 1),
			      strict = world_set_policy(3600, 1);
	uint64_t now_ms = w.now_s * 1000;
	const struct envelope old = {.signers = {w.op[0]},
	    .commands = &lax,
	    .n = 1,
	    .expires_ms = now_ms + 1000};
	const struct envelope later = {.signers = {w.op[0]},
	    .commands = &strict,
	    .n = 1,
	    .time_ms = now_ms + 2000};
	struct buf first, held;
	struct err e;

	(void)state;
	feed_genesis();
	world_envelope(&w, &old, &first);
	world_envelope(&w, &old, &held);
	assert_int_equal(feed(buf_span(&first), &e), E_OK);
	assert_int_equal(feed_env(&later, &e), E_OK);
	assert_int_equal(feed(buf_span(&first), &e), E_OK);
	assert_int_equal(feed(buf_span(&held), &e), E_DENIED);
	assert_int_equal(t.policy.ttl_max_s, 3600);
	assert_int_equal(t.policy.version, 3);
	buf_free(&first);
	buf_free(&held);
}

static void thousands_of_envelopes_are_remembered(void **state)
{
	const struct ca_admin policy = world_set_policy(7200, 1);
	const struct envelope env = {
	    .signers = {w.op[0]}, .commands = &policy, .n = 1};
	static struct buf entries[500];
	struct err e;

	(void)state;
	feed_genesis();
	for (size_t i = 0; i < ROWS(entries); i++) {
		world_envelope(&w, &env, &entries[i]);
		assert_int_equal(feed(buf_span(&entries[i]), &e), E_OK);
	}
	assert_int_equal(t.policy.version, 1 + ROWS(entries));
	for (size_t i = 0; i < ROWS(entries); i++) {
		assert_int_equal(feed(buf_span(&entries[i]), &e), E_OK);
		buf_free(&entries[i]);
	}
	assert_int_equal(t.policy.version, 1 + ROWS(entries));
	assert_int_equal(seen.n, ROWS(entries));
}

/* ---- The signer's own issuer ---- */

/* A node that joined: its issuer comes by AddIssuer. */
static void an_issuer_is_taken_once_and_from_the_root_only(void **state)
{
	struct ca_admin batch[] = {
	    world_set_node(&w, 2), world_add_issuer(buf_span(&w.issuer), 2)};
	struct ca_admin add = batch[1];
	const struct envelope env = {
	    .signers = {w.op[0]}, .commands = &add, .n = 1};
	struct ca_genesis g;
	struct buf entry, others, forged;
	struct err e;

	(void)state;
	buf_init(&others);
	buf_init(&forged);
	assert_int_equal(pki_issuer_make(&others, w.root_key, buf_span(&w.root),
			     buf_span(&w.other_spki), span_str(TD),
			     span_str("east"), w.now_s, 86400 * 30, false, &e),
	    E_OK);
	world_genesis(&w, &g);
	g.issuer_cert = buf_span(&others);
	assert_int_equal(
	    pki_key_id(buf_span(&w.other_spki), g.node.issuer, &e), E_OK);
	world_sign_genesis(&w, &g, w.root_key, &entry);
	assert_int_equal(feed(buf_span(&entry), &e), E_OK);
	assert_false(t.has_issuer);
	/* node 2 is not registered with this issuer */
	assert_int_equal(feed_env(&env, &e), E_DENIED);
	batch[0].u.set_node.has_issuer = true;
	memcpy(batch[0].u.set_node.issuer, t.own, CA_KEY_ID_LEN);
	/* one byte of the root's signature */
	buf_add_span(&forged, buf_span(&w.issuer));
	forged.p[forged.len - 1] ^= 1;
	add.u.add_issuer.cert = buf_span(&forged);
	assert_int_equal(feed_env(&env, &e), E_DENIED);
	must(batch, 2, w.op[0], NULL);
	assert_true(t.has_issuer);
	assert_int_equal(t.node, 2);
	add.u.add_issuer.cert = buf_span(&w.issuer);
	assert_int_equal(feed_env(&env, &e), E_DENIED);
	buf_free(&entry);
	buf_free(&others);
	buf_free(&forged);
}

/* ---- The same as the state machine ---- */

static uint64_t seed;

static uint32_t draw(uint32_t n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(seed >> 33) % n;
}

static struct ca_admin random_command(void)
{
	static const uint32_t roles[] = {CA_ROLE_ADMIN, CA_ROLE_ADMIN,
	    CA_ROLE_ADMIN | CA_ROLE_AUDITOR, CA_ROLE_REVOKER};
	static const uint64_t ttls[] = {
	    59, 3600, 86400, CA_LEAF_LIFE_MAX_S, CA_LEAF_LIFE_MAX_S + 1};
	uint64_t id = 1 + draw((uint32_t)t.last_node_id + 2);
	struct ca_admin c;

	switch (draw(5)) {
	case 0:
		c = world_set_node(&w, id);
		if (draw(4) == 0)
			c.u.set_node.mesh_key[0] ^= 0x80;
		c.u.set_node.has_issuer = draw(2) == 0;
		memcpy(c.u.set_node.issuer, t.own, CA_KEY_ID_LEN);
		return c;
	case 1: return world_remove_node(id);
	case 2: return world_set_policy(ttls[draw(5)], draw(4));
	case 3:
		return world_set_operator(
		    &w, draw(OPERATORS), roles[draw(4)], draw(3) == 0);
	default:
		return world_add_issuer(
		    buf_span(draw(2) ? &w.issuer : &w.root), id);
	}
}

static bool is_admin(size_t op)
{
	for (size_t i = 0; i < t.operators_n; i++)
		if (memcmp(t.operators[i].spki, w.op_spki[op].p,
			sizeof(t.operators[i].spki)) == 0)
			return (t.operators[i].roles & CA_ROLE_ADMIN) != 0;
	return false;
}

static void random_envelope(uint64_t *time_ms, struct buf *entry)
{
	struct ca_admin commands[3];
	struct envelope env = {
	    .commands = commands, .n = draw(2) == 0 ? 1 : 1 + draw(3)};
	bool honest = draw(4) != 0; /* whoever may sign does, nobody else */
	size_t signers = 0;

	for (size_t i = 0; i < env.n; i++)
		commands[i] = random_command();
	for (size_t i = 0; i < OPERATORS; i++)
		if (honest ? is_admin(i) : draw(2) == 0)
			env.signers[signers++] = w.op[i];
	if (signers > 0 && draw(20) == 0)
		env.broken_signature = true;
	*time_ms += draw(1000);
	env.time_ms = *time_ms - draw(500);
	env.expires_ms = *time_ms + draw(20000);
	world_envelope(&w, &env, entry);
}

static void compare(const struct ca_view *v)
{
	size_t operators = 0;

	assert_int_equal(t.policy.version, v->policy.version);
	assert_int_equal(t.policy.ttl_max_s, v->policy.ttl_max_s);
	assert_int_equal(t.policy.ttl_default_s, v->policy.ttl_default_s);
	assert_int_equal(t.policy.admin_signatures, v->policy.admin_signatures);
	for (size_t i = 0; i < v->operators_n; i++)
		operators += !v->operators[i].removed;
	assert_int_equal(t.operators_n, operators);
	assert_int_equal(t.nodes_n, v->nodes_n);
	for (size_t i = 0; i < v->nodes_n; i++) {
		const struct trust_node *n = trust_node(&t, v->nodes[i].id);

		assert_non_null(n);
		assert_int_equal(n->removed, v->nodes[i].removed);
		assert_int_equal(n->has_issuer, v->nodes[i].has_issuer);
		assert_true(
		    span_eq(buf_span(&n->api_spki), v->nodes[i].api_spki));
	}
	assert_int_equal(t.has_issuer, ca_view_issuer(v, t.own) != NULL);
}

/* Envelopes at random: what is applied is taken, what is refused is refused,
 * and both views stay the same.  Returns how many were taken. */
static unsigned story(unsigned length)
{
	struct applied *a = applied_open();
	uint64_t time_ms = w.now_s * 1000;
	unsigned taken = 0;
	char why[200];
	struct err e;

	feed_genesis();
	assert_int_equal(applied_next(a, buf_span(&w.genesis), why), CA_OK);
	for (unsigned i = 0; i < length; i++) {
		enum ca_outcome outcome;
		struct ca_view *v;
		struct buf entry;
		enum code rc;

		random_envelope(&time_ms, &entry);
		outcome = applied_next(a, buf_span(&entry), why);
		/* the signer's time is that of what it took */
		if (outcome != CA_EXPIRED) {
			rc = feed(buf_span(&entry), &e);
			if (rc != (outcome == CA_OK ? E_OK : E_DENIED))
				fail_msg("apply: %d %s; signer: %s %s", outcome,
				    why, code_name(rc), e.text);
		}
		v = applied_view(a);
		compare(v);
		ca_view_unref(v);
		buf_free(&entry);
		taken += outcome == CA_OK;
	}
	applied_close(a);
	return taken;
}

static void it_decides_as_apply_does(void **state)
{
	const unsigned stories = SANITIZED ? 5 : 30, length = 100;
	unsigned taken = 0;

	const char *again = getenv("SEED");

	seed = again != NULL ? strtoull(again, NULL, 10) : w.now_s;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (unsigned i = 0; i < stories; i++) {
		taken += story(length);
		end(state);
		begin(state);
	}
	print_message("%u of %u taken\n", taken, stories * length);
	assert_in_range(
	    taken, stories * length / 10, stories * length * 9 / 10);
}

/* ---- Memory ---- */

static void short_memory_changes_nothing(void **state)
{
	const struct ca_admin batch[] = {world_set_policy(7200, 1),
	    world_set_node(&w, 2),
	    world_set_operator(&w, 1, CA_ROLE_ADMIN, false)};
	const struct envelope env = {
	    .signers = {w.op[0]}, .commands = batch, .n = ROWS(batch)};
	const struct span raw[2] = {buf_span(&w.genesis)};
	struct buf entry;
	struct err e;

	(void)state;
	world_envelope(&w, &env, &entry);
	for (size_t i = 0; i < 2; i++) {
		enum code rc = E_NOMEM;
		int n = 0;

		for (; rc != E_OK; n++) {
			allocations_left = n;
			rc = feed(i == 0 ? raw[0] : buf_span(&entry), &e);
			allocations_left = -1;
			if (rc != E_OK && rc != E_NOMEM)
				fail_msg("allocation %d: %s", n, e.text);
			if (rc == E_NOMEM) {
				assert_int_equal(t.started, i == 1);
				assert_int_equal(t.policy.version, i);
				assert_int_equal(t.nodes_n, i);
				assert_int_equal(seen.n, 0);
			}
		}
		assert_true(n > 5);
	}
	assert_int_equal(t.policy.version, 2);
	buf_free(&entry);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(genesis_gives_the_first_of_everything),
	    T(genesis_is_the_roots),
	    T(there_is_one_genesis),
	    T(a_genesis_that_cannot_be_is_refused),
	    T(only_administrators_of_this_domain_are_heard),
	    T(two_signatures_where_policy_wants_two),
	    T(before_genesis_nothing_is_taken),
	    T(all_commands_or_none),
	    T(history_is_not_replayed),
	    T(thousands_of_envelopes_are_remembered),
	    T(an_issuer_is_taken_once_and_from_the_root_only),
	    T(it_decides_as_apply_does),
	    T(short_memory_changes_nothing),
	};

	return cmocka_run_group_tests_name(
	    "signer trust", tests, setup, teardown);
}
