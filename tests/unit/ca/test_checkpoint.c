/* test_checkpoint.c -- checkpoints, snapshots and reads of the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "ca/internal.h"
#include "ca/tlog.h"
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

/* Entries that do not decode are leaves too. */
static void leaves_until(uint64_t n)
{
	w.quick = true;
	while (w.leaves < n)
		assert_int_equal(world_apply(&w, NULL), CA_BAD_FORMAT);
	w.quick = false;
}

/* ---- Checkpoints
 * ------------------------------------------------------------- */

static void a_node_notes_its_head_each_1024_leaves(void **state)
{
	struct ca_checkpoint cp, old;
	struct ca_head head;
	bool confirmed;
	struct err e;

	(void)state;
	leaves_until(1023);
	assert_int_equal(
	    ca_checkpoint_newest(w.ca, &cp, &confirmed, &e), E_NOTFOUND);
	assert_int_equal(ca_checkpoint_at(w.ca, 5, &cp, &e), E_NOTFOUND);
	assert_int_equal(world_apply(&w, world_issue(&w, URI)), CA_OK);
	assert_int_equal(ca_checkpoint_newest(w.ca, &cp, &confirmed, &e), E_OK);
	assert_false(confirmed);
	assert_int_equal(ca_head(w.ca, &head, &e), E_OK);
	assert_int_equal(cp.tree_size, 1024);
	assert_int_equal(cp.index, w.index);
	assert_memory_equal(cp.root, head.root, SHA256_LEN);
	assert_int_equal(ca_checkpoint_at(w.ca, w.index, &old, &e), E_OK);
	assert_memory_equal(&old, &cp, sizeof(cp));
	assert_int_equal(
	    ca_checkpoint_at(w.ca, w.index - 1, &old, &e), E_NOTFOUND);
	world_reopen(&w);
	assert_int_equal(world_apply(&w, NULL), CA_BAD_FORMAT);
	assert_int_equal(
	    ca_checkpoint_newest(w.ca, &old, &confirmed, &e), E_OK);
	assert_memory_equal(&old, &cp, sizeof(cp));
}

static void the_last_eight_are_kept(void **state)
{
	struct ca_checkpoint cp[10];
	bool confirmed;
	struct err e;

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		leaves_until(1024 * (i + 1));
		assert_int_equal(
		    ca_checkpoint_newest(w.ca, &cp[i], &confirmed, &e), E_OK);
	}
	assert_int_equal(mem_count(&w.mem, CA_T_CHECKPOINT), 8);
	for (unsigned i = 0; i < 10; i++) {
		struct ca_checkpoint out;
		enum code rc = ca_checkpoint_at(w.ca, cp[i].index, &out, &e);

		assert_int_equal(rc, i < 2 ? E_NOTFOUND : E_OK);
		if (rc == E_OK)
			assert_memory_equal(&out, &cp[i], sizeof(out));
	}
	/* one more entry checks digests over all that happened */
	assert_int_equal(world_apply(&w, world_issue(&w, URI)), CA_OK);
}

static enum ca_outcome checkpoint(const struct ca_checkpoint *c)
{
	struct ca_entry *en = world_entry(&w, CA_CHECKPOINT);

	en->u.checkpoint = *c;
	return world_apply(&w, en);
}

static void a_logged_checkpoint_is_compared(void **state)
{
	struct ca_checkpoint own, c;
	bool confirmed;
	struct err e;

	(void)state;
	c = (struct ca_checkpoint){.tree_size = 1024};
	assert_int_equal(checkpoint(&c), CA_NOT_FOUND);
	leaves_until(1024);
	assert_int_equal(
	    ca_checkpoint_newest(w.ca, &own, &confirmed, &e), E_OK);
	for (int confirm = 0; confirm < 2; confirm++) {
		c = own;
		c.index++;
		assert_int_equal(checkpoint(&c), CA_DIVERGED);
		assert_int_equal(w.result.code, E_CORRUPT);
		c = own;
		c.tree_size++;
		assert_int_equal(checkpoint(&c), CA_DIVERGED);
		c = own;
		c.root[31] ^= 1;
		assert_int_equal(checkpoint(&c), CA_DIVERGED);
		c = own;
		c.state_digest[0] ^= 1;
		assert_int_equal(checkpoint(&c), CA_DIVERGED);
		assert_int_equal(
		    ca_checkpoint_newest(w.ca, &c, &confirmed, &e), E_OK);
		assert_int_equal(confirmed, confirm == 1);
		/* the first confirms, the second says nothing new */
		assert_int_equal(
		    checkpoint(&own), confirm == 0 ? CA_OK : CA_REPEATED);
	}
	c = own;
	c.tree_size = 4096;
	assert_int_equal(checkpoint(&c), CA_NOT_FOUND);
}

/* ---- Snapshots
 * --------------------------------------------------------------- */

static void some_history(void)
{
	struct ca_admin c = cmd_policy();
	struct ca_entry *en;

	c.u.set_policy.quota_identity_per_h = 3;
	assert_int_equal(world_apply(&w, NULL), CA_BAD_FORMAT);
	assert_int_equal(world_do(&w, c), CA_OK);
	assert_int_equal(world_apply(&w, world_issue(&w, URI)), CA_OK);
	assert_int_equal(world_do(&w, cmd_node(&w, 2)), CA_OK);
	assert_int_equal(world_do(&w, cmd_token(&w, "s")), CA_OK);
	w.now_ms += 1234;
	en = world_issue(&w, "spiffe://td/ns/app/sa/other");
	assert_int_equal(world_apply_raw(&w, en, span_str("one")), CA_OK);
	assert_int_equal(world_apply_raw(&w, en, span_str("one")), CA_REPEATED);
	assert_int_equal(world_do(&w, cmd_node(&w, 2)), CA_OK);
}

static void a_snapshot_is_the_whole_state(void **state)
{
	struct world to;
	struct err e = {0};
	struct buf why;

	(void)state;
	some_history();
	if (world_restore(&to, &w.mem, &e) != E_OK)
		fail_msg("%s", e.text);
	buf_init(&why);
	if (!mem_same(&w.mem, &to.mem, &why))
		fail_msg("%.*s", (int)why.len, (const char *)why.p);
	/* and goes on as the original would */
	to.index = w.index;
	to.leaves = w.leaves;
	to.made = w.made;
	to.now_ms = w.now_ms;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(world_apply(&w, world_issue(&w, URI)),
		    world_apply(&to, world_issue(&to, URI)));
		assert_true(mem_same(&w.mem, &to.mem, &why));
	}
	assert_int_equal(w.result.outcome, CA_QUOTA);
	buf_free(&why);
	world_close(&to);
}

static void an_empty_snapshot_has_no_scalars(void **state)
{
	struct mem none;
	struct world to;
	struct err e = {0};

	(void)state;
	mem_init(&none);
	assert_int_equal(world_restore(&to, &none, &e), E_CORRUPT);
	assert_non_null(strstr(e.text, "scalars"));
	world_close(&to);
}

static void expect_corrupt(const char *what, size_t row)
{
	struct world to;
	struct err e = {0};
	enum code rc = world_restore(&to, &w.mem, &e);

	if (rc != E_CORRUPT)
		fail_msg("%s of row %zu of table %d: %s", what, row,
		    (int)w.mem.rows[row].table, code_name(rc));
	assert_true(e.text[0] != '\0');
	world_close(&to);
}

static void an_altered_row_is_noticed(void **state)
{
	(void)state;
	some_history();
	for (size_t i = 0; i < w.mem.n; i++) {
		struct mem_row *r = &w.mem.rows[i];
		uint8_t *val = (uint8_t *)(uintptr_t)r->val.p;
		uint8_t *key = (uint8_t *)(uintptr_t)r->key.p;
		struct mem_row kept = *r;

		if (mem_class(r->table) == CA_TABLE_DERIVED)
			continue;
		for (size_t k = 0; k < r->val.len; k++) {
			uint8_t bit = (uint8_t)(1 << (i + k) % 8);

			val[k] ^= bit;
			expect_corrupt("a bit of the value", i);
			val[k] ^= bit;
		}
		for (size_t k = 0; k < r->key.len; k++) {
			key[k] ^= 0x10;
			expect_corrupt("a bit of the key", i);
			key[k] ^= 0x10;
		}
		if (r->val.len > 0) {
			r->val.len--;
			expect_corrupt("the length", i);
			r->val.len++;
		}
		r->table = CA_T_TREE; /* not sent */
		expect_corrupt("the absence", i);
		*r = kept;
	}
}

/* ---- A state as it lies on a disk ---- */

static void expect_unsound(const char *what, size_t row)
{
	struct err e = {0};
	enum code rc = ca_check(mem_db(&w.mem), fake_crypto(), &e);

	if (rc != E_CORRUPT)
		fail_msg("%s of row %zu of table %d: %s (%s)", what, row,
		    (int)w.mem.rows[row].table, code_name(rc), e.text);
	assert_true(e.text[0] != '\0');
}

static void a_state_is_one_whole(void **state)
{
	struct mem none;
	struct err e = {0};

	(void)state;
	mem_init(&none);
	assert_int_equal(ca_check(mem_db(&none), fake_crypto(), &e), E_OK);
	some_history();
	if (ca_check(mem_db(&w.mem), fake_crypto(), &e) != E_OK)
		fail_msg("%s", e.text);
	for (size_t i = 0; i < w.mem.n; i++) {
		struct mem_row *r = &w.mem.rows[i], kept = *r;
		uint8_t *val = (uint8_t *)(uintptr_t)r->val.p;

		for (size_t k = 0; k < r->val.len; k += 3) {
			val[k] ^= 4;
			expect_unsound("a bit", i);
			val[k] ^= 4;
		}
		memmove(r, r + 1, (w.mem.n - i - 1) * sizeof(*r));
		w.mem.n--;
		expect_unsound("the absence", i);
		memmove(r + 1, r, (w.mem.n - i) * sizeof(*r));
		w.mem.n++;
		*r = kept;
	}
	assert_int_equal(ca_check(mem_db(&w.mem), fake_crypto(), &e), E_OK);
}

static void records_come_in_order(void **state)
{
	struct mem_row kept;
	struct mem_row *rows;
	size_t at = 0;

	(void)state;
	some_history();
	rows = w.mem.rows;
	while (rows[at].table != CA_T_RECORD)
		at++;
	kept = rows[at + 1];
	rows[at + 1] = rows[at + 2];
	rows[at + 2] = kept;
	expect_corrupt("the order", at);
	rows[at + 2] = rows[at + 1];
	rows[at + 1] = kept;
}

/* ---- Reads
 * -------------------------------------------------------------------- */

static void records_are_found(void **state)
{
	uint64_t at[6], index;
	struct ca_record rec;
	struct err e = {0};

	(void)state;
	for (int i = 0; i < 6; i++) {
		const struct ca_entry *en = world_issue(
		    &w, i % 2 == 0 ? URI : "spiffe://td/ns/app/sa/other");

		assert_int_equal(world_apply(&w, en), CA_OK);
		at[i] = w.index;
		assert_int_equal(world_apply(&w, NULL), CA_BAD_FORMAT);
	}
	index = 0;
	for (int i = 0; i < 6; i++) { /* anybody's */
		assert_int_equal(
		    ca_record_next(w.ca, SPAN_EMPTY, index, &rec, &e), E_OK);
		assert_int_equal(rec.index, at[i]);
		index = rec.index;
	}
	assert_int_equal(
	    ca_record_next(w.ca, SPAN_EMPTY, index, &rec, &e), E_NOTFOUND);
	index = 0;
	for (int i = 0; i < 6; i += 2) {
		assert_int_equal(
		    ca_record_next(w.ca, span_str(URI), index, &rec, &e), E_OK);
		assert_int_equal(rec.index, at[i]);
		index = rec.index;
	}
	assert_int_equal(
	    ca_record_next(w.ca, span_str(URI), index, &rec, &e), E_NOTFOUND);
	assert_int_equal(
	    ca_record_next(w.ca, span_str("nobody"), 0, &rec, &e), E_NOTFOUND);
	assert_int_equal(ca_record_get(w.ca, 1, &rec, &e), E_OK);
	assert_int_equal(ca_record_get(w.ca, 2, &rec, &e), E_NOTFOUND);
	assert_int_equal(ca_record_get(w.ca, 9999, &rec, &e), E_NOTFOUND);
	/* Genesis took effect and issued nothing; refusals had no effect */
	assert_int_equal(ca_record_next_other(w.ca, 0, &rec, &e), E_OK);
	assert_int_equal(rec.index, 1);
	assert_int_equal(ca_record_next_other(w.ca, 1, &rec, &e), E_NOTFOUND);
	assert_int_equal(world_do(&w, cmd_policy()), CA_OK);
	assert_int_equal(ca_record_next_other(w.ca, 1, &rec, &e), E_OK);
	assert_int_equal(rec.index, w.index);
}

/* An index must grow; anything else is a caller's fault that ends it. */
static void entries_come_in_order(void **state)
{
	struct ca_result out;
	struct err e = {0};

	(void)state;
	assert_int_equal(
	    ca_apply(w.ca, w.index, NULL, SPAN_EMPTY, &out, &e), E_CORRUPT);
	assert_int_equal(
	    ca_apply(w.ca, 0, NULL, SPAN_EMPTY, &out, &e), E_CORRUPT);
}

static void a_leaf_is_what_the_formats_say(void **state)
{
	struct ca_record rec;
	uint8_t leaf[1 + 8 + 32 + 1 + 32], hash[SHA256_LEN];
	struct tlog_proof p;
	struct ca_head head;
	struct err e;

	(void)state;
	some_history();
	assert_int_equal(ca_head(w.ca, &head, &e), E_OK);
	assert_int_equal(ca_record_get(w.ca, w.index, &rec, &e), E_OK);
	leaf[0] = 1;
	put_u64be(leaf + 1, w.index);
	sha256_of(leaf + 9, rec.raw);
	leaf[41] = (uint8_t)rec.outcome;
	memcpy(leaf + 42, rec.effect, 32);
	tlog_leaf(hash, span_of(leaf, sizeof(leaf)));
	assert_int_equal(
	    tlog_inclusion(w.ca, rec.leaf, head.tree_size, &p, &e), E_OK);
	assert_true(tlog_verify_inclusion(
	    hash, rec.leaf, head.tree_size, &p, head.root));
}

static void the_digest_is_what_the_formats_say(void **state)
{
	uint8_t sum[SHA256_LEN] = {0};
	struct ca_head head;
	struct err e;

	(void)state;
	some_history();
	for (size_t i = 0; i < w.mem.n; i++) {
		const struct mem_row *r = &w.mem.rows[i];
		uint8_t hash[SHA256_LEN];
		unsigned carry = 0;
		struct buf b;

		if (mem_class(r->table) == CA_TABLE_DERIVED ||
		    span_eq_str(r->key, "scalars"))
			continue;
		buf_init(&b);
		buf_add_u8(&b, (uint8_t)r->table);
		buf_add_u32be(&b, (uint32_t)r->key.len);
		buf_add_span(&b, r->key);
		buf_add_span(&b, r->val);
		sha256_of(hash, buf_span(&b));
		buf_free(&b);
		for (int k = SHA256_LEN - 1; k >= 0; k--) {
			carry += (unsigned)sum[k] + hash[k];
			sum[k] = (uint8_t)carry;
			carry >>= 8;
		}
	}
	assert_int_equal(ca_head(w.ca, &head, &e), E_OK);
	assert_memory_equal(head.state_digest, sum, SHA256_LEN);
}

static void add_write(struct buf *b, const struct mem_row *r)
{
	assert_non_null(r);
	buf_add_u8(b, '+');
	buf_add_u8(b, (uint8_t)r->table);
	buf_add_u32be(b, (uint32_t)r->key.len);
	buf_add_u32be(b, (uint32_t)r->val.len);
	buf_add_span(b, r->key);
	buf_add_span(b, r->val);
}

static void an_effect_is_what_the_formats_say(void **state)
{
	uint8_t hash[SHA256_LEN];
	struct ca_record rec;
	struct err e;
	struct buf b;

	(void)state;
	assert_int_equal(world_do(&w, cmd_token(&w, "s")), CA_OK);
	assert_int_equal(ca_record_get(w.ca, w.index, &rec, &e), E_OK);
	buf_init(&b);
	add_write(&b, mem_row(&w.mem, CA_T_TOKEN, 0));
	add_write(&b, mem_row(&w.mem, CA_T_NONCE, 0));
	sha256_of(hash, buf_span(&b));
	assert_memory_equal(rec.effect, hash, SHA256_LEN);
	/* a refusal without one */
	assert_int_equal(world_apply(&w, NULL), CA_BAD_FORMAT);
	assert_int_equal(ca_record_get(w.ca, w.index, &rec, &e), E_OK);
	sha256_of(hash, SPAN_EMPTY);
	assert_memory_equal(rec.effect, hash, SHA256_LEN);
	buf_free(&b);
}

/* Rows, effects and leaves are a contract: this history has these hashes. */
static void the_formats_have_not_changed(void **state)
{
	char root[2 * SHA256_LEN + 1], digest[2 * SHA256_LEN + 1];
	struct ca_head head;
	struct err e;

	(void)state;
	some_history();
	assert_int_equal(ca_head(w.ca, &head, &e), E_OK);
	hex_encode(root, head.root, SHA256_LEN);
	hex_encode(digest, head.state_digest, SHA256_LEN);
	assert_string_equal(root, "a75cfb6a0c7c770947bce6d185ca6d12"
				  "6f3b68d5ea9e8ff20b253915ce658c4f");
	assert_string_equal(digest, "ab4d8fade1961b3473376cbfa79adf5f"
				    "97af45bc73123b1989393f13347fbe6d");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_node_notes_its_head_each_1024_leaves),
	    T(the_last_eight_are_kept),
	    T(a_logged_checkpoint_is_compared),
	    T(a_snapshot_is_the_whole_state),
	    T(an_empty_snapshot_has_no_scalars),
	    T(an_altered_row_is_noticed),
	    T(a_state_is_one_whole),
	    T(records_come_in_order),
	    T(records_are_found),
	    T(entries_come_in_order),
	    T(a_leaf_is_what_the_formats_say),
	    T(the_digest_is_what_the_formats_say),
	    T(an_effect_is_what_the_formats_say),
	    T(the_formats_have_not_changed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
