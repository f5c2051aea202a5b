/* test_crl.c -- CRLs: frozen, signed, published; the root's; the ends of
 * issuers; trust bundles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

#define WEB "spiffe://td/ns/app/sa/web"
#define HOUR_MS 3600000ULL

static struct world w;
static uint8_t issuer1[CA_KEY_ID_LEN], issuer2[CA_KEY_ID_LEN];

static int setup(void **state)
{
	(void)state;
	world_started(&w);
	fake_key_id(issuer1, fake_key(&w, "issuer1"));
	fake_key_id(issuer2, fake_key(&w, "issuer2"));
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

static struct ca_entry *issue(void)
{
	struct ca_entry *en = world_issue(&w, WEB);

	expect(world_apply(&w, en), CA_OK, "");
	return en;
}

/* A second after the last one. */
static void freeze(uint64_t node)
{
	w.now_ms += CA_CRL_EVERY_MS;
	expect(world_apply(&w, world_freeze(&w, node)), CA_OK, "");
	assert_true(w.result.view_changed);
}

static void sign(uint64_t node)
{
	expect(world_apply(&w, world_sign_crl(&w, node)), CA_OK, "");
	assert_true(w.result.view_changed);
}

/* Without its signature, which the view owns. */
static struct ca_crl row(const uint8_t *issuer)
{
	struct ca_view *v = world_view(&w);
	const struct ca_crl *c = ca_view_crl(v, issuer);
	struct ca_crl out = {0};

	if (c != NULL)
		out = *c;
	out.signature = SPAN_EMPTY;
	ca_view_unref(v);
	return out;
}

/* Do the bytes of that CRL list the certificate?  The fake's are: the issuer,
 * number and times, then 25 bytes an entry. */
static bool lists(uint64_t number, const struct ca_entry *en)
{
	struct span tbs;
	struct err e;

	assert_int_equal(
	    ca_crl_tbs(w.ca, en->u.issue.issuer, number, &tbs, &e), E_OK);
	return memmem(tbs.p, tbs.len, en->u.issue.serial, CA_SERIAL_LEN) !=
	       NULL;
}

static bool has_bytes(const uint8_t *issuer, uint64_t number)
{
	struct span tbs;
	struct err e;

	return ca_crl_tbs(w.ca, issuer, number, &tbs, &e) == E_OK;
}

/* ---- Freeze ---------------------------------------------------------------
 */

static void a_crl_is_frozen_and_signed(void **state)
{
	struct ca_crl c = row(issuer1);

	(void)state;
	assert_int_equal(c.frozen_number, 0);
	freeze(1);
	c = row(issuer1);
	assert_int_equal(c.frozen_number, 1);
	assert_int_equal(c.frozen_index, w.index);
	assert_int_equal(c.frozen_ms, w.now_ms);
	assert_int_equal(c.frozen_this_s, w.now_ms / 1000 - 600);
	assert_int_equal(c.frozen_next_s, w.now_ms / 1000 + 7 * 86400);
	assert_int_equal(c.frozen_entries, 0);
	assert_int_equal(c.number, 0); /* nothing to publish yet */
	sign(1);
	assert_int_equal(row(issuer1).number, 1);
	assert_int_equal(row(issuer1).signed_index, w.index);
	assert_int_equal(row(issuer1).content_index, c.frozen_index);
	assert_int_equal(row(issuer1).next_s, c.frozen_next_s);
	assert_memory_equal(row(issuer1).sha256, c.frozen_sha256, SHA256_LEN);
	assert_true(has_bytes(issuer1, 1));
}

/* What is revoked later, in the same batch, is on the next one. */
static void the_content_is_that_of_its_own_index(void **state)
{
	struct ca_entry *a = issue(), *b = issue();
	struct ca_entry *late;
	uint64_t frozen;

	(void)state;
	must(cmd_revoke(a));
	freeze(1);
	frozen = w.index;
	late = world_sign_crl(&w, 1);
	must(cmd_revoke(b));
	assert_true(row(issuer1).dirty_index > frozen);
	expect(world_apply(&w, late), CA_OK, "");
	assert_true(lists(1, a));
	assert_false(lists(1, b));
	assert_int_equal(row(issuer1).entries, 1);
	assert_int_equal(row(issuer1).content_index, frozen);
	freeze(1);
	sign(1);
	assert_true(lists(2, a) && lists(2, b));
	assert_int_equal(row(issuer1).entries, 2);
}

static void numbers_follow_each_other(void **state)
{
	static const int64_t steps[] = {-1, 1, 2, 1000, INT64_MAX};

	(void)state;
	freeze(1);
	sign(1);
	freeze(1); /* number 2 */
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		struct ca_entry *en = world_freeze(&w, 1);

		en->u.freeze_crl.number += (uint64_t)steps[i];
		expect(world_apply(&w, en), CA_CONFLICT, "number 3");
		assert_false(w.result.view_changed);
	}
	freeze(1);
	assert_int_equal(row(issuer1).frozen_number, 3);
}

static void times_are_checked(void **state)
{
	static const struct {
		const char *why;
		int64_t this_s, next_s; /* from now */
		bool good;
	} rows[] = {
	    {"plain", -600, 7 * 86400, true},
	    {"begins now", 0, 7 * 86400, true},
	    {"from the future", 1, 7 * 86400, false},
	    {"too long", -600, 7 * 86400 + 1, false},
	    {"shortest", -600, 6 * 86400 + 3600, true},
	    {"too short: leaves would outlive it", -600, 6 * 86400 + 3599,
		false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct ca_entry *en;
		enum ca_outcome got;

		w.now_ms += HOUR_MS;
		en = world_freeze(&w, 1);
		en->u.freeze_crl.this_s =
		    w.now_ms / 1000 + (uint64_t)rows[i].this_s;
		en->u.freeze_crl.next_s =
		    w.now_ms / 1000 + (uint64_t)rows[i].next_s;
		got = world_apply(&w, en);
		if (got != (rows[i].good ? CA_OK : CA_BAD_FORMAT))
			fail_msg("%s: %d %s", rows[i].why, got, w.result.why);
	}
}

static void a_crl_is_not_older_than_the_last(void **state)
{
	struct ca_entry *en;

	(void)state;
	freeze(1);
	w.now_ms += CA_CRL_EVERY_MS;
	en = world_freeze(&w, 1);
	en->u.freeze_crl.this_s -= 2;
	expect(world_apply(&w, en), CA_BAD_FORMAT, "begins");
	en->u.freeze_crl.this_s++; /* the same second is fine */
	expect(world_apply(&w, en), CA_OK, "");
}

/* Whoever floods the log with them keeps no CRL from being signed. */
static void a_second_lies_between_two(void **state)
{
	(void)state;
	freeze(1);
	for (int i = 0; i < 2; i++) {
		expect(world_apply(&w, world_freeze(&w, 1)), CA_CONFLICT,
		    "a second");
		w.now_ms += CA_CRL_EVERY_MS - 1;
		expect(world_apply(&w, world_freeze(&w, 1)), CA_CONFLICT,
		    "a second");
		w.now_ms += 1;
		expect(world_apply(&w, world_freeze(&w, 1)), CA_OK, "");
	}
}

static void an_unsigned_crl_is_superseded(void **state)
{
	struct ca_entry *old;

	(void)state;
	freeze(1);
	sign(1);
	freeze(1);
	old = world_sign_crl(&w, 1);
	assert_true(has_bytes(issuer1, 2));
	freeze(1);
	assert_false(has_bytes(issuer1, 2));
	assert_true(has_bytes(issuer1, 1)); /* the last good one stays */
	expect(world_apply(&w, old), CA_CONFLICT, "superseded");
	assert_int_equal(row(issuer1).number, 1);
	sign(1);
	assert_int_equal(row(issuer1).number, 3);
	assert_false(has_bytes(issuer1, 1));
	assert_int_equal(mem_count(&w.mem, CA_T_CRL_BYTES), 1);
}

static void there_is_no_crl_of_a_stranger(void **state)
{
	struct ca_entry *en = world_freeze(&w, 2);

	(void)state;
	expect(world_apply(&w, en), CA_NOT_FOUND, "no such issuer");
	en = world_sign_crl(&w, 2);
	expect(world_apply(&w, en), CA_NOT_FOUND, "no such issuer");
	assert_int_equal(mem_count(&w.mem, CA_T_CRL), 0);
}

/* ---- Sign -----------------------------------------------------------------
 */

static void a_signature_is_of_the_issuer_over_just_that(void **state)
{
	struct ca_entry *en;

	(void)state;
	freeze(1);
	en = world_sign_crl(&w, 1);
	en->u.sign_crl.tbs_sha256[0] ^= 1;
	expect(world_apply(&w, en), CA_BAD_SIGNATURE, "is not this CRL");
	en = world_sign_crl(&w, 1);
	en->u.sign_crl.signature = fake_sign(&w, "issuer1", span_str("else"));
	expect(world_apply(&w, en), CA_BAD_SIGNATURE, "not the issuer's");
	en->u.sign_crl.signature = SPAN_EMPTY;
	expect(world_apply(&w, en), CA_BAD_SIGNATURE, "not the issuer's");
	assert_int_equal(row(issuer1).number, 0);
	sign(1);
	expect(world_apply(&w, world_sign_crl(&w, 1)), CA_REPEATED, "");
	assert_false(w.result.view_changed);
}

/* One node's nonsense must not end the others' processes. */
static void nothing_frozen_is_nothing_to_sign(void **state)
{
	struct ca_entry *en = world_sign_crl(&w, 1);

	(void)state;
	assert_int_equal(en->u.sign_crl.number, 0);
	expect(world_apply(&w, en), CA_CONFLICT, "");
	issue();
	must(cmd_revoke(issue())); /* a row, and number 0 all the same */
	expect(world_apply(&w, en), CA_CONFLICT, "");
	en->u.sign_crl.number = 1;
	expect(world_apply(&w, en), CA_CONFLICT, "");
	freeze(1);
	en->u.sign_crl.number = 0;
	expect(world_apply(&w, en), CA_CONFLICT, "");
	en->u.sign_crl.number = 2;
	expect(world_apply(&w, en), CA_CONFLICT, "");
}

/* ---- Entries come and go --------------------------------------------------
 */

/* RFC 5280 §3.3. */
static void an_entry_stays_on_one_crl_after_it_expired(void **state)
{
	struct ca_entry *a = issue();
	uint64_t end_ms = a->u.issue.not_after_s * 1000;

	(void)state;
	must(cmd_revoke(a));
	freeze(1);
	sign(1);
	assert_true(lists(1, a));
	w.now_ms = end_ms + 300000; /* expired, but thisUpdate is before it */
	freeze(1);
	sign(1);
	assert_true(lists(2, a));
	w.now_ms = end_ms + 601000;
	freeze(1); /* begins after the end: the one that must list it */
	assert_true(lists(3, a));
	freeze(1); /* and that was not signed */
	assert_true(lists(4, a));
	sign(1);
	freeze(1);
	assert_false(lists(5, a));
	assert_int_equal(mem_count(&w.mem, CA_T_REVOKED), 0);
}

static void dirty_marks_are_of_the_issuer(void **state)
{
	struct ca_entry *a = issue(), *b = issue();
	struct ca_admin both[2];
	struct ca_entry *en;

	(void)state;
	must(cmd_node(&w, 2));
	must(cmd_issuer(&w, 2));
	both[0] = cmd_revoke(a);
	both[1] = cmd_revoke(b);
	en = world_envelope(&w, both, 2);
	world_sign(&w, en, "alice");
	expect(world_apply(&w, en), CA_OK, "");
	assert_int_equal(row(issuer1).dirty_index, w.index);
	assert_int_equal(row(issuer2).dirty_index, 0);
	freeze(2);
	sign(2);
	freeze(1);
	sign(1);
	assert_true(row(issuer1).frozen_index > row(issuer1).dirty_index);
	assert_int_equal(row(issuer2).entries, 0);
	assert_int_equal(row(issuer1).entries, 2);
}

/* ---- The ends of issuers ---------------------------------------------------
 */

static void a_retired_issuer_signs_crls_only(void **state)
{
	struct ca_entry *a = issue();

	(void)state;
	must(cmd_retire(&w, 1));
	expect(world_apply(&w, world_issue(&w, WEB)), CA_ISSUER_NOT_ACTIVE,
	    "retired");
	must(cmd_revoke(a));
	freeze(1);
	sign(1);
	assert_true(lists(1, a));
	expect(world_do(&w, cmd_retire(&w, 1)), CA_CONFLICT, "retired already");
	expect(world_do(&w, cmd_retire(&w, 7)), CA_NOT_FOUND, "no such issuer");
	must(cmd_revoke_issuer(&w, 1, fake_root_crl(&w, 1, 1)));
}

static void a_revoked_issuer_signs_nothing_more(void **state)
{
	struct ca_entry *a = issue();
	struct ca_view *v;

	(void)state;
	must(cmd_revoke(a));
	freeze(1);
	sign(1);
	must(cmd_revoke_issuer(&w, 1, fake_root_crl(&w, 5, 1)));
	v = world_view(&w);
	assert_int_equal(ca_view_issuer(v, issuer1)->state, CA_ISSUER_REVOKED);
	assert_true(span_eq(v->root_crl, fake_root_crl(&w, 5, 1)));
	ca_view_unref(v);
	expect(world_apply(&w, world_issue(&w, WEB)), CA_ISSUER_NOT_ACTIVE,
	    "revoked");
	expect(world_apply(&w, world_freeze(&w, 1)), CA_ISSUER_NOT_ACTIVE,
	    "not renewed");
	assert_true(has_bytes(issuer1, 1)); /* the last one is still served */
	expect(world_do(&w, cmd_retire(&w, 1)), CA_CONFLICT, "revoked already");
	expect(world_do(&w, cmd_revoke_issuer(&w, 1, fake_root_crl(&w, 6, 1))),
	    CA_CONFLICT, "revoked already");
}

/* Whoever stole its key cannot renew elsewhere what it may have forged. */
static void nor_is_renewed_what_it_signed(void **state)
{
	struct ca_entry *a = issue(), *child;
	struct ca_admin c = cmd_policy();

	(void)state;
	c.u.set_policy.issuer_settle_ms = 0;
	must(c);
	must(cmd_node(&w, 2));
	must(cmd_issuer(&w, 2));
	child = world_renew(&w, a);
	child->proposer = 2;
	memcpy(child->u.issue.issuer, issuer2, CA_KEY_ID_LEN);
	expect(world_apply(&w, child), CA_OK, "");
	must(cmd_revoke_issuer(&w, 1, fake_root_crl(&w, 5, 1)));
	put_u64be(child->u.issue.serial + 8, 999);
	expect(world_apply(&w, child), CA_PARENT_REVOKED, "with a token");
}

static void the_roots_crl_must_list_the_issuer(void **state)
{
	struct span crl = fake_root_crl(&w, 5, 1), bad;
	uint8_t *p;

	(void)state;
	must(cmd_node(&w, 2));
	must(cmd_issuer(&w, 2));
	expect(world_do(&w, cmd_revoke_issuer(&w, 2, crl)), CA_BAD_SIGNATURE,
	    "does not list");
	p = world_get(&w, crl.len);
	memcpy(p, crl.p, crl.len);
	p[3] ^= 1;
	bad = span_of(p, crl.len);
	expect(world_do(&w, cmd_revoke_issuer(&w, 1, bad)), CA_BAD_SIGNATURE,
	    "bad signature");
	expect(world_do(&w, cmd_revoke_issuer(&w, 1, SPAN_EMPTY)),
	    CA_BAD_SIGNATURE, "not a root CRL");
	expect(world_do(&w, cmd_revoke_issuer(&w, 9, crl)), CA_NOT_FOUND,
	    "no such issuer");
	must(cmd_revoke_issuer(&w, 1, crl));
	must(cmd_revoke_issuer(&w, 2, fake_root_crl(&w, 6, 2)));
}

static void numbers_of_the_roots_crl_only_grow(void **state)
{
	(void)state;
	must(cmd_root_crl(fake_root_crl(&w, 5, 0)));
	for (uint64_t n = 0; n <= 5; n++)
		expect(world_do(&w, cmd_root_crl(fake_root_crl(&w, n, 0))),
		    CA_CONFLICT, "number 5");
	expect(world_do(&w, cmd_revoke_issuer(&w, 1, fake_root_crl(&w, 5, 1))),
	    CA_CONFLICT, "number 5");
	expect(world_apply(&w, world_issue(&w, WEB)), CA_OK, "");
	must(cmd_root_crl(fake_root_crl(&w, 7, 0)));
}

/* A revoked issuer stays on the root's CRL for as long as it would live. */
static void no_later_root_crl_lets_an_issuer_go(void **state)
{
	(void)state;
	must(cmd_node(&w, 2));
	must(cmd_issuer(&w, 2));
	must(cmd_revoke_issuer(&w, 2, fake_root_crl(&w, 5, 2)));
	expect(world_do(&w, cmd_root_crl(fake_root_crl(&w, 6, 1))), CA_CONFLICT,
	    "cluster2");
	expect(world_do(&w, cmd_revoke_issuer(&w, 1, fake_root_crl(&w, 6, 1))),
	    CA_CONFLICT, "cluster2");
	must(cmd_root_crl(fake_root_crl(&w, 6, 2)));
	w.now_ms += 366 * 24 * HOUR_MS; /* both have expired */
	must(cmd_root_crl(fake_root_crl(&w, 7, 0)));
}

/* ---- Trust bundles ---------------------------------------------------------
 */

static size_t bundle(const char *td, uint64_t *sequence)
{
	struct ca_view *v = world_view(&w);
	const struct ca_bundle *b = ca_view_bundle(v, span_str(td));
	size_t n = b == NULL ? 0 : b->certs_n;

	*sequence = b == NULL ? 0 : b->sequence;
	ca_view_unref(v);
	return n;
}

static void sequences_grow_over_removal(void **state)
{
	uint64_t sequence;

	(void)state;
	expect(world_do(&w, cmd_bundle(&w, "other", NULL)), CA_NOT_FOUND,
	    "no bundle");
	must(cmd_bundle(&w, "other", "r1"));
	assert_int_equal(bundle("other", &sequence), 1);
	assert_int_equal(sequence, 1);
	must(cmd_bundle(&w, "other", "r2"));
	must(cmd_bundle(&w, "other", NULL));
	assert_int_equal(bundle("other", &sequence), 0);
	assert_int_equal(sequence, 3);
	expect(world_do(&w, cmd_bundle(&w, "other", NULL)), CA_NOT_FOUND,
	    "no bundle");
	must(cmd_bundle(&w, "other", "r1"));
	assert_int_equal(bundle("other", &sequence), 1);
	assert_int_equal(sequence, 4);
}

static void our_own_roots_need_the_root_key(void **state)
{
	struct ca_admin first = cmd_bundle(&w, "td", "r1"), c;
	uint64_t sequence;

	(void)state;
	c = first;
	c.u.set_trust_bundle.root_sig = SPAN_EMPTY;
	expect(world_do(&w, c), CA_BAD_SIGNATURE, "root key did not");
	c.u.set_trust_bundle.root_sig =
	    fake_sign(&w, "alice", span_str("quorate trust bundle v1"));
	expect(world_do(&w, c), CA_BAD_SIGNATURE, "root key did not");
	c = first;
	c.u.set_trust_bundle.certs[0] = fake_root(&w, "r2");
	expect(world_do(&w, c), CA_BAD_SIGNATURE, "root key did not");
	must(first);
	assert_int_equal(bundle("td", &sequence), 1);
	c = cmd_bundle(&w, "td", NULL);
	c.u.set_trust_bundle.root_sig = SPAN_EMPTY;
	expect(world_do(&w, c), CA_BAD_SIGNATURE, "root key did not");
	must(cmd_bundle(&w, "td", NULL));
	/* What the root key signed once, an operator cannot bring back. */
	expect(world_do(&w, first), CA_BAD_SIGNATURE, "root key did not");
	assert_int_equal(bundle("td", &sequence), 0);
	/* Foreign ones take an operator alone. */
	c = cmd_bundle(&w, "other", "r1");
	c.u.set_trust_bundle.root_sig = SPAN_EMPTY;
	must(c);
}

static void a_bundle_holds_ca_certificates_of_a_trust_domain(void **state)
{
	static const char *const bad[] = {"", "Other", "other domain", "a/b",
	    "a:1", "\xff\xfe", "spiffe://x", "\"", "..", "a\tb"};
	static char name[300];
	struct ca_admin c;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		expect(world_do(&w, cmd_bundle(&w, bad[i], "r1")),
		    CA_BAD_FORMAT, "trust domain");
	memset(name, 'a', 256);
	expect(world_do(&w, cmd_bundle(&w, name, "r1")), CA_BAD_FORMAT,
	    "trust domain");
	name[255] = '\0';
	must(cmd_bundle(&w, name, "r1"));
	must(cmd_bundle(&w, "a_b-c.d9", "r1"));
	c = cmd_bundle(&w, "other", "r1");
	c.u.set_trust_bundle.certs[1] = fake_issuer(&w, "root", "issuer1");
	c.u.set_trust_bundle.certs_n = 2;
	expect(world_do(&w, c), CA_BAD_FORMAT, "certificate 2");
}

/* ---- Restart and snapshot --------------------------------------------------
 */

static void all_kinds(void)
{
	struct ca_entry *a = issue(), *b = issue();

	must(cmd_node(&w, 2));
	must(cmd_issuer(&w, 2));
	must(cmd_revoke(a));
	freeze(1);
	sign(1);
	must(cmd_revoke(b));
	freeze(1); /* not signed */
	freeze(2);
	sign(2);
	must(cmd_revoke_all(CA_REVOKE_POD, "pod-1"));
	must(cmd_bundle(&w, "other", "r1"));
	must(cmd_root_crl(fake_root_crl(&w, 5, 0)));
	must(cmd_retire(&w, 2));
}

static void a_snapshot_carries_all_of_it(void **state)
{
	struct ca_revoked *rows;
	struct world other;
	struct span tbs;
	struct err e = {0};
	size_t n;

	(void)state;
	all_kinds();
	world_reopen(&w);
	if (world_restore(&other, &w.mem, &e) != E_OK)
		fail_msg("%s", e.text);
	assert_int_equal(ca_crl_rows(other.ca, issuer1, &rows, &n, &e), E_OK);
	assert_int_equal(n, 2);
	free(rows);
	assert_int_equal(ca_crl_tbs(other.ca, issuer1, 1, &tbs, &e), E_OK);
	assert_int_equal(ca_crl_tbs(other.ca, issuer1, 2, &tbs, &e), E_OK);
	world_close(&other);
	sign(1);
	freeze(2); /* a retired one goes on */
	sign(2);
}

/* The bytes of CRLs are no part of the digest: their hashes are. */
static void a_snapshot_with_an_altered_crl_is_refused(void **state)
{
	size_t n;

	(void)state;
	all_kinds();
	n = mem_count(&w.mem, CA_T_CRL_BYTES);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++) {
		const struct mem_row *r = mem_row(&w.mem, CA_T_CRL_BYTES, i);
		uint8_t *p = (uint8_t *)(uintptr_t)r->val.p;

		for (size_t at = 0; at < r->val.len; at += 13) {
			struct world other;
			struct err e = {0};

			p[at] ^= 0x20;
			assert_int_equal(
			    world_restore(&other, &w.mem, &e), E_CORRUPT);
			assert_non_null(strstr(e.text, "CRL"));
			world_close(&other);
			p[at] ^= 0x20;
		}
	}
}

static void a_snapshot_without_or_with_more_is_refused(void **state)
{
	struct ca_db db = mem_db(&w.mem);
	const struct mem_row *r;
	struct world other;
	struct err e = {0};

	(void)state;
	all_kinds();
	assert_int_equal(db.ops->put(db.ctx, CA_T_CRL_BYTES, span_str("more"),
			     span_str("bytes"), &e),
	    E_OK);
	assert_int_equal(world_restore(&other, &w.mem, &e), E_CORRUPT);
	assert_non_null(strstr(e.text, "CRL"));
	world_close(&other);
	assert_int_equal(
	    db.ops->del(db.ctx, CA_T_CRL_BYTES, span_str("more"), &e), E_OK);
	r = mem_row(&w.mem, CA_T_CRL_BYTES, 1);
	assert_int_equal(db.ops->del(db.ctx, CA_T_CRL_BYTES, r->key, &e), E_OK);
	assert_int_equal(world_restore(&other, &w.mem, &e), E_CORRUPT);
	assert_non_null(strstr(e.text, "CRL"));
	world_close(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_crl_is_frozen_and_signed),
	    TEST(the_content_is_that_of_its_own_index),
	    TEST(numbers_follow_each_other),
	    TEST(times_are_checked),
	    TEST(a_crl_is_not_older_than_the_last),
	    TEST(a_second_lies_between_two),
	    TEST(an_unsigned_crl_is_superseded),
	    TEST(there_is_no_crl_of_a_stranger),
	    TEST(a_signature_is_of_the_issuer_over_just_that),
	    TEST(nothing_frozen_is_nothing_to_sign),
	    TEST(an_entry_stays_on_one_crl_after_it_expired),
	    TEST(dirty_marks_are_of_the_issuer),
	    TEST(a_retired_issuer_signs_crls_only),
	    TEST(a_revoked_issuer_signs_nothing_more),
	    TEST(nor_is_renewed_what_it_signed),
	    TEST(the_roots_crl_must_list_the_issuer),
	    TEST(numbers_of_the_roots_crl_only_grow),
	    TEST(no_later_root_crl_lets_an_issuer_go),
	    TEST(sequences_grow_over_removal),
	    TEST(our_own_roots_need_the_root_key),
	    TEST(a_bundle_holds_ca_certificates_of_a_trust_domain),
	    TEST(a_snapshot_carries_all_of_it),
	    TEST(a_snapshot_with_an_altered_crl_is_refused),
	    TEST(a_snapshot_without_or_with_more_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
