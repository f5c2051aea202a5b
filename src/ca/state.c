/* state.c -- writes of rows, with the digest and the effect kept alongside. */
#include <stdlib.h>
#include <string.h>

#include "ca/internal.h"

const enum ca_table all_tables[] = {
#define X(sym, n, cls, what) CA_T_##sym,
    CA_TABLES(X)
#undef X
};
const size_t all_tables_n = sizeof(all_tables) / sizeof(all_tables[0]);

enum ca_table_class table_class(enum ca_table t)
{
	switch (t) {
#define X(sym, n, cls, what)                                                   \
	case CA_T_##sym: return CA_TABLE_##cls;
		CA_TABLES(X)
#undef X
	}
	return CA_TABLE_DERIVED;
}

/* DERIVED rows follow from the others, and the tree's root is compared by
 * itself; the scalars hold the digest, and the CRL rows the hash of each CRL's
 * bytes. */
bool state_counts(enum ca_table t, struct span key)
{
	return table_class(t) != CA_TABLE_DERIVED && t != CA_T_CRL_BYTES &&
	       !(t == CA_T_META && span_eq_str(key, META_SCALARS));
}

static void row_hash(
    uint8_t out[SHA256_LEN], enum ca_table t, struct span key, struct span val)
{
	uint8_t head[5] = {(uint8_t)t};
	struct sha256 h;

	put_u32be(head + 1, (uint32_t)key.len);
	sha256_init(&h);
	sha256_add(&h, head, sizeof(head));
	sha256_add(&h, key.p, key.len);
	sha256_add(&h, val.p, val.len);
	sha256_end(&h, out);
}

/* Big-endian numbers modulo 2^256. */
void digest_join(uint8_t sum[SHA256_LEN], const uint8_t other[SHA256_LEN])
{
	uint64_t carry = 0;

	for (int i = SHA256_LEN - 8; i >= 0; i -= 8) {
		uint64_t a = get_u64be(sum + i), b = get_u64be(other + i);
		uint64_t ab = a + b, all = ab + carry;

		put_u64be(sum + i, all);
		carry = (uint64_t)(ab < a) + (uint64_t)(all < ab);
	}
}

void digest_add(
    uint8_t sum[SHA256_LEN], enum ca_table t, struct span key, struct span val)
{
	uint8_t h[SHA256_LEN];

	row_hash(h, t, key, val);
	digest_join(sum, h);
}

void digest_sub(
    uint8_t sum[SHA256_LEN], enum ca_table t, struct span key, struct span val)
{
	uint8_t h[SHA256_LEN];
	uint64_t borrow = 0;

	row_hash(h, t, key, val);
	for (int i = SHA256_LEN - 8; i >= 0; i -= 8) {
		uint64_t a = get_u64be(sum + i), b = get_u64be(h + i);
		uint64_t ab = a - b, all = ab - borrow;

		put_u64be(sum + i, all);
		borrow = (uint64_t)(ab > a) + (uint64_t)(all > ab);
	}
}

/* For a db that cannot scan. */
static enum code seek_each(struct ca_db db, enum ca_table t, struct span from,
    ca_row_fn *fn, void *arg, struct err *e)
{
	uint8_t at[CA_DB_KEY_MAX];
	struct span key, val;
	bool after = false;
	enum code rc;

	while ((rc = db.ops->seek(db.ctx, t, from, after, &key, &val, e)) ==
	       E_OK) {
		if (key.len > sizeof(at))
			return err_set(e, E_CORRUPT, "a key is too long");
		if (key.len > 0)
			memcpy(at, key.p, key.len);
		if ((rc = fn(arg, t, key, val, e)) != E_OK)
			return rc;
		from = span_of(at, key.len);
		after = true;
	}
	return rc;
}

enum code each_row(struct ca_db db, enum ca_table t, struct span from,
    ca_row_fn *fn, void *arg, struct err *e)
{
	enum code rc = db.ops->scan != NULL
			   ? db.ops->scan(db.ctx, t, from, fn, arg, e)
			   : seek_each(db, t, from, fn, arg, e);

	return rc == E_NOTFOUND ? E_OK : rc;
}

enum code state_get(const struct ca *ca, enum ca_table t, struct span key,
    struct span *val, struct err *e)
{
	return ca->db.ops->get(ca->db.ctx, t, key, val, e);
}

/* RECORD rows hold the effect, so they are no part of it. */
static void effect_add(
    struct ca *ca, char op, enum ca_table t, struct span key, struct span val)
{
	uint8_t head[10] = {(uint8_t)op, (uint8_t)t};

	if (!state_counts(t, key) || t == CA_T_RECORD)
		return;
	put_u32be(head + 2, (uint32_t)key.len);
	put_u32be(head + 6, (uint32_t)val.len);
	sha256_add(&ca->effect, head, sizeof(head));
	sha256_add(&ca->effect, key.p, key.len);
	sha256_add(&ca->effect, val.p, val.len);
}

void state_begin(struct ca *ca)
{
	sha256_init(&ca->effect);
	ca->admin_changed = false;
}

static enum code journal_row(struct ca *ca, enum ca_table t, struct span key,
    const struct span *old, struct err *e)
{
	struct undo *u;

	if (!ca->journaling)
		return E_OK;
	if (ca->undo_n == ca->undo_cap) {
		size_t cap = ca->undo_cap == 0 ? 16 : ca->undo_cap * 2;
		struct undo *p = realloc(ca->undo, cap * sizeof(*p));

		if (p == NULL)
			return err_nomem(e);
		ca->undo = p;
		ca->undo_cap = cap;
	}
	u = &ca->undo[ca->undo_n++];
	*u = (struct undo){.table = t, .had = old != NULL};
	buf_add_span(&u->key, key);
	if (old != NULL)
		buf_add_span(&u->val, *old);
	return u->key.failed || u->val.failed ? err_nomem(e) : E_OK;
}

void state_journal(struct ca *ca)
{
	ca->journaling = true;
}

void state_keep(struct ca *ca)
{
	for (size_t i = 0; i < ca->undo_n; i++) {
		buf_free(&ca->undo[i].key);
		buf_free(&ca->undo[i].val);
	}
	ca->undo_n = 0;
	ca->journaling = false;
}

/* Take a row's old value out of the digest, and note it for undoing. */
static enum code forget_old(
    struct ca *ca, enum ca_table t, struct span key, bool *had, struct err *e)
{
	struct span old;
	enum code rc = state_get(ca, t, key, &old, e);

	*had = rc == E_OK;
	if (rc != E_OK && rc != E_NOTFOUND)
		return rc;
	if (*had && state_counts(t, key))
		digest_sub(ca->meta.digest, t, key, old);
	return journal_row(ca, t, key, *had ? &old : NULL, e);
}

enum code state_put(struct ca *ca, enum ca_table t, struct span key,
    struct span val, struct err *e)
{
	bool had, counts = state_counts(t, key);
	enum code rc;

	/* Rows that no digest counts and no batch undoes need no old value. */
	if (counts || ca->journaling) {
		if ((rc = forget_old(ca, t, key, &had, e)) != E_OK)
			return rc;
		if (counts)
			digest_add(ca->meta.digest, t, key, val);
	}
	effect_add(ca, '+', t, key, val);
	return ca->db.ops->put(ca->db.ctx, t, key, val, e);
}

enum code state_del(
    struct ca *ca, enum ca_table t, struct span key, struct err *e)
{
	bool had;
	enum code rc = forget_old(ca, t, key, &had, e);

	if (rc != E_OK || !had)
		return rc;
	effect_add(ca, '-', t, key, SPAN_EMPTY);
	return ca->db.ops->del(ca->db.ctx, t, key, e);
}

enum code state_undo(struct ca *ca, struct err *e)
{
	enum code rc = E_OK;

	ca->journaling = false;
	for (size_t i = ca->undo_n; rc == E_OK && i-- > 0;) {
		struct undo *u = &ca->undo[i];
		struct span key = buf_span(&u->key);

		rc = u->had ? state_put(ca, u->table, key, buf_span(&u->val), e)
			    : state_del(ca, u->table, key, e);
	}
	state_keep(ca);
	sha256_init(&ca->effect); /* a refusal has no effect */
	return rc;
}
