/* test_ca_faults.c -- when memory is short, at any allocation, apply says
 * E_NOMEM: it never turns into an outcome, which would differ between nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

#define WEB "spiffe://td/ns/app/sa/web"

static int fail_at; /* allocations until one fails; 0: never */

static bool out_of_memory(void)
{
	return fail_at > 0 && --fail_at == 0;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
	return out_of_memory() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return out_of_memory() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return out_of_memory() ? NULL : __real_realloc(p, n);
}

static struct ca_entry *quota_policy(struct world *w)
{
	struct ca_admin c = cmd_policy();

	c.u.set_policy.quota_identity_per_h = 1;
	c.u.set_policy.quota_cluster_per_h = 10;
	return world_admin(w, &c);
}

static struct ca_entry *batch(struct world *w, bool bad)
{
	struct ca_admin list[4] = {cmd_node(w, 2), cmd_issuer(w, 2),
	    cmd_operator(w, "bob"), cmd_cluster(w, bad ? "Bad" : "west")};
	struct ca_entry *en = world_envelope(w, list, 4);

	world_sign(w, en, "alice");
	return en;
}

static struct ca_entry *refresh(struct world *w)
{
	struct ca_entry *en = world_entry(w, CA_REFRESH_KEYS);

	en->u.refresh.node = 1;
	en->u.refresh.cluster = span_str("east");
	return en;
}

static struct ca_entry *revoke(struct world *w, int serial)
{
	struct ca_admin list[4] = {cmd_revoke(world_issue(w, WEB)),
	    cmd_revoke_all(CA_REVOKE_IDENTITY, WEB),
	    cmd_revoke_all(CA_REVOKE_POD, "pod"),
	    cmd_lift(CA_REVOKE_POD, "pod")};
	struct ca_entry *en = world_envelope(w, list, 4);

	put_u64be(
	    en->u.admin.commands[0].u.revoke.serial + 8, (uint64_t)serial);
	world_sign(w, en, "alice");
	return en;
}

static struct ca_entry *trust(struct world *w)
{
	struct ca_admin list[4] = {cmd_bundle(w, "td", "r1"),
	    cmd_bundle(w, "other", "r2"),
	    cmd_revoke_issuer(w, 2, fake_root_crl(w, 5, 2)),
	    cmd_root_crl(fake_root_crl(w, 6, 2))};
	struct ca_entry *en = world_envelope(w, list, 4);

	world_sign(w, en, "alice");
	return en;
}

#define ENTRIES 13

/* The nth entry of a short history. */
static struct ca_entry *make(struct world *w, int n)
{
	struct ca_admin token = cmd_token(w, "s");

	switch (n) {
	case 0: return world_genesis(w);
	case 1: return quota_policy(w);
	case 2: return world_issue(w, WEB);
	case 3: return world_issue(w, WEB); /* quota */
	case 4: return batch(w, true);
	case 5: return batch(w, false);
	case 6: return world_admin(w, &token);
	case 7: return refresh(w);
	case 9: return revoke(w, 4); /* what entry 2 got */
	case 10: return world_freeze(w, 1);
	case 11: return world_sign_crl(w, 1);
	case 12: return trust(w);
	default: return NULL;
	}
}

static void apply_notices(void **state)
{
	static const enum ca_outcome want[ENTRIES] = {CA_OK, CA_OK, CA_OK,
	    CA_QUOTA, CA_BAD_FORMAT, CA_OK, CA_OK, CA_OK, CA_BAD_FORMAT, CA_OK,
	    CA_OK, CA_OK, CA_OK};
	int tried = 0;

	(void)state;
	for (int k = 0; k < ENTRIES; k++) {
		int at = 0, left;

		do {
			const struct ca_entry *en;
			struct world w;
			struct err e = {0};
			enum code rc;

			world_open(&w);
			for (int i = 0; i < k; i++)
				assert_int_equal(
				    world_apply(&w, make(&w, i)), want[i]);
			en = make(&w, k);
			fail_at = ++at;
			rc = ca_apply(w.ca, w.index + 1, en, span_str("raw"),
			    &w.result, &e);
			left = fail_at;
			fail_at = 0;
			if (rc != (left == 0 ? E_NOMEM : E_OK))
				fail_msg("entry %d, allocation %d: %s: %s", k,
				    at, code_name(rc), e.text);
			if (rc == E_OK)
				assert_int_equal(w.result.outcome, want[k]);
			world_close(&w);
			tried++;
			if (left > 0)
				break;
		} while (true);
	}
	print_message("%d allocations failed in turn\n", tried - ENTRIES);
	assert_true(tried > 100);
}

static enum code restore(
    struct ca *ca, struct ca_db db, const struct mem *from, struct err *e)
{
	enum code rc = E_OK;

	for (size_t i = 0; rc == E_OK && i < from->n; i++) {
		const struct mem_row *r = &from->rows[i];

		if (mem_class(r->table) == CA_TABLE_DERIVED)
			continue;
		rc = db.ops->put(db.ctx, r->table, r->key, r->val, e);
		if (rc == E_OK && mem_class(r->table) == CA_TABLE_LOG)
			rc = ca_restore_row(ca, r->table, r->key, r->val, e);
	}
	return rc == E_OK ? ca_restore_check(ca, e) : rc;
}

/* Open, restore and view, with what is there to be freed at each point. */
static enum code open_restore_view(const struct mem *from, struct err *e)
{
	struct ca_view *v = NULL;
	struct ca *ca = NULL;
	struct mem m;
	enum code rc;

	mem_init(&m);
	if ((rc = ca_open(&ca, mem_db(&m), fake_crypto(), e)) == E_OK &&
	    (rc = restore(ca, mem_db(&m), from, e)) == E_OK)
		rc = ca_view_load(ca, &v, e);
	assert_true((v != NULL) == (rc == E_OK));
	ca_view_unref(v);
	ca_close(ca);
	mem_free(&m);
	return rc;
}

static void opening_and_restoring_notice(void **state)
{
	struct world w;
	int at = 0, left;
	enum code rc;

	(void)state;
	world_open(&w);
	for (int i = 0; i < ENTRIES; i++)
		world_apply(&w, make(&w, i));
	do {
		struct err e = {0};

		fail_at = ++at;
		rc = open_restore_view(&w.mem, &e);
		left = fail_at;
		fail_at = 0;
		if (rc != (left == 0 ? E_NOMEM : E_OK))
			fail_msg(
			    "allocation %d: %s: %s", at, code_name(rc), e.text);
	} while (left == 0);
	assert_true(at > 50);
	world_close(&w);
}

/* ---- Cryptography that cannot answer
 * ----------------------------------------- */

static int answer_at; /* calls until one cannot be answered */

static enum code answer(struct err *e)
{
	return --answer_at == 0 ? err_nomem(e) : E_OK;
}

static enum code weak_verify(void *ctx, struct span spki, struct span msg,
    struct span sig, struct err *e)
{
	struct ca_crypto c = fake_crypto();
	enum code rc = answer(e);

	(void)ctx;
	return rc == E_OK ? c.verify(NULL, spki, msg, sig, e) : rc;
}

static enum code weak_root(
    void *ctx, struct span cert, struct ca_cert_facts *out, struct err *e)
{
	struct ca_crypto c = fake_crypto();
	enum code rc = answer(e);

	(void)ctx;
	return rc == E_OK ? c.root(NULL, cert, out, e) : rc;
}

static enum code weak_issuer(void *ctx, struct span cert, struct span root,
    struct ca_cert_facts *out, struct err *e)
{
	struct ca_crypto c = fake_crypto();
	enum code rc = answer(e);

	(void)ctx;
	return rc == E_OK ? c.issuer(NULL, cert, root, out, e) : rc;
}

static enum code weak_root_crl(void *ctx, struct span crl, struct span root,
    struct span lists, uint64_t *number, struct err *e)
{
	struct ca_crypto c = fake_crypto();
	enum code rc = answer(e);

	(void)ctx;
	return rc == E_OK ? c.root_crl(NULL, crl, root, lists, number, e) : rc;
}

static enum code weak_anchor(void *ctx, struct span cert, struct err *e)
{
	struct ca_crypto c = fake_crypto();
	enum code rc = answer(e);

	(void)ctx;
	return rc == E_OK ? c.anchor(NULL, cert, e) : rc;
}

static enum code weak_crl_tbs(void *ctx, struct buf *out, struct span issuer,
    uint64_t number, uint64_t this_s, uint64_t next_s,
    const struct ca_revoked *rows, size_t n, struct err *e)
{
	struct ca_crypto c = fake_crypto();
	enum code rc = answer(e);

	(void)ctx;
	return rc == E_OK ? c.crl_tbs(NULL, out, issuer, number, this_s, next_s,
				rows, n, e)
			  : rc;
}

/* A check that could not be made is no refusal: another node can make it. */
static void no_answer_is_no_outcome(void **state)
{
	static const struct ca_crypto weak = {.verify = weak_verify,
	    .root = weak_root,
	    .issuer = weak_issuer,
	    .root_crl = weak_root_crl,
	    .anchor = weak_anchor,
	    .crl_tbs = weak_crl_tbs};
	static const int entries[] = {0, 4, 5, 9, 10, 11, 12};

	(void)state;
	for (size_t k = 0; k < sizeof(entries) / sizeof(*entries); k++) {
		bool answered = false;

		for (int at = 1; !answered; at++) {
			const struct ca_entry *en;
			struct world w;
			struct err e = {0};
			enum code rc;

			world_open(&w);
			for (int i = 0; i < entries[k]; i++)
				world_apply(&w, make(&w, i));
			en = make(&w, entries[k]);
			ca_close(w.ca);
			assert_int_equal(
			    ca_open(&w.ca, mem_db(&w.mem), weak, &e), E_OK);
			answer_at = at;
			rc = ca_apply(w.ca, w.index + 1, en, span_str("raw"),
			    &w.result, &e);
			answered = answer_at > 0;
			if (rc != (answered ? E_OK : E_NOMEM))
				fail_msg("entry %d, call %d: %s", entries[k],
				    at, code_name(rc));
			assert_true(!answered || at > 1);
			world_close(&w);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(apply_notices),
	    cmocka_unit_test(opening_and_restoring_notice),
	    cmocka_unit_test(no_answer_is_no_outcome),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
