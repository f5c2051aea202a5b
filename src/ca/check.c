/* check.c -- is a state whole?  Rows may be sound one by one and yet be those
 * of another time: what a disk did not write, or wrote elsewhere.
 *
 * Every row is read once, in parts that need nothing of each other: ranges of
 * records, the SMALL tables, and each DERIVED one.  What parts find is joined
 * at the end: sums are sums in any order, and the Merkle tree of a range of
 * leaves is a few complete subtrees, which join those of the ranges beside. */
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "ca/internal.h"

#define RANGES 32 /* of records */
#define SUBTREES 128

/* Rows of DERIVED tables, added up.  Against chance, not against an enemy: who
 * can write to this disk can write the sums as well. */
struct sum {
	uint64_t high, low, rows;
};

struct subtree { /* as tlog.c's nodes */
	unsigned level;
	uint64_t at;
	uint8_t hash[SHA256_LEN];
};

struct part {
	enum ca_table table; /* RECORD, or DERIVED; META: all SMALL ones */
	uint64_t from, until;
	uint8_t digest[SHA256_LEN]; /* of rows that count */
	struct sum made, found;     /* DERIVED rows */
	/* of records */
	bool any, took; /* there is one; one took effect */
	uint64_t first_leaf, leaves, last_index, last_ms, took_ms;
	struct subtree trees[SUBTREES]; /* from left to right */
	size_t trees_n;
};

struct ca_check {
	uint64_t applied;
	bool empty; /* no scalars: then there must be no row */
	struct part *parts;
	size_t parts_n;
};

static bool is_derived(enum ca_table t)
{
	return table_class(t) == CA_TABLE_DERIVED;
}

/* ---- Sums ---- */

static enum code sum_row(
    void *arg, enum ca_table t, struct span key, struct span val, struct err *e)
{
	struct sum *s = arg;
	uint8_t h[SIPHASH_LEN] = {(uint8_t)t};
	uint64_t low;

	(void)e;
	siphash(h, h, key);
	siphash(h, h, val);
	low = get_u64be(h + 8);
	s->low += low;
	s->high += get_u64be(h) + (s->low < low);
	s->rows++;
	return E_OK;
}

static void sum_join(struct sum *s, const struct sum *other)
{
	s->low += other->low;
	s->high += other->high + (s->low < other->low);
	s->rows += other->rows;
}

static bool sum_same(const struct sum *a, const struct sum *b)
{
	return a->low == b->low && a->high == b->high && a->rows == b->rows;
}

/* ---- The tree ---- */

static enum code add_subtree(
    struct part *p, const struct subtree *t, struct err *e)
{
	if (p->trees_n == SUBTREES)
		return err_set(e, E_INTERNAL, "a tree of too many subtrees");
	p->trees[p->trees_n++] = *t;
	while (p->trees_n > 1) {
		struct subtree *right = &p->trees[p->trees_n - 1];
		struct subtree *left = right - 1;
		uint8_t key[TREE_KEY_LEN];
		enum code rc;

		if (left->level != right->level || left->at % 2 != 0 ||
		    left->at + 1 != right->at)
			break;
		tlog_node(left->hash, left->hash, right->hash);
		left->level++;
		left->at /= 2;
		p->trees_n--;
		rc = sum_row(&p->made, CA_T_TREE,
		    tlog_key(key, left->level, left->at),
		    span_of(left->hash, SHA256_LEN), e);
		if (rc != E_OK)
			return rc;
	}
	return E_OK;
}

static enum code add_leaf(
    struct part *p, const struct ca_record *rec, struct err *e)
{
	struct subtree t = {.at = rec->leaf};
	uint8_t key[TREE_KEY_LEN];
	enum code rc;

	record_leaf(t.hash, rec);
	rc = sum_row(&p->made, CA_T_TREE, tlog_key(key, 0, t.at),
	    span_of(t.hash, SHA256_LEN), e);
	return rc == E_OK ? add_subtree(p, &t, e) : rc;
}

/* ---- Records ---- */

static enum code not_leaf(uint64_t index, uint64_t leaf, struct err *e)
{
	return err_set(e, E_CORRUPT, "record %llu is not leaf %llu",
	    (unsigned long long)index, (unsigned long long)leaf);
}

static enum code take_record(
    void *arg, enum ca_table t, struct span key, struct span val, struct err *e)
{
	struct part *p = arg;
	struct record_row row = {0};
	enum code rc;

	if (key.len != 8)
		return err_set(e, E_CORRUPT, "a record's key is not an index");
	if (get_u64be(key.p) >= p->until)
		return E_NOTFOUND;
	rc = row_record_read(val, get_u64be(key.p), &row, e);
	if (rc != E_OK)
		return rc;
	if (!p->any)
		p->first_leaf = row.record.leaf;
	p->any = true;
	if (row.record.leaf != p->first_leaf + p->leaves)
		return not_leaf(row.record.index, p->first_leaf + p->leaves, e);
	p->leaves++;
	p->last_index = row.record.index;
	p->last_ms = row.record.time_ms;
	/* The first entry that took effect is Genesis. */
	if (!p->took && row.record.outcome == CA_OK) {
		p->took = true;
		p->took_ms = row.record.time_ms;
	}
	digest_add(p->digest, t, key, val);
	rc = derived_rows(&row, sum_row, &p->made, e);
	return rc == E_OK ? add_leaf(p, &row.record, e) : rc;
}

static enum code take_small(
    void *arg, enum ca_table t, struct span key, struct span val, struct err *e)
{
	struct part *p = arg;

	(void)e;
	if (state_counts(t, key))
		digest_add(p->digest, t, key, val);
	return E_OK;
}

/* ---- Parts ---- */

static enum code check_empty(struct ca_db db, struct err *e)
{
	struct span key, val;

	for (size_t i = 0; i < all_tables_n; i++) {
		enum code rc = db.ops->seek(
		    db.ctx, all_tables[i], SPAN_EMPTY, false, &key, &val, e);

		if (rc == E_OK)
			return err_set(
			    e, E_CORRUPT, "the state has rows, and no scalars");
		if (rc != E_NOTFOUND)
			return rc;
	}
	return E_OK;
}

/* The largest first: the last one keeps others waiting. */
static void divide(struct ca_check *c)
{
	uint64_t step = c->applied / RANGES + 1;
	struct part *p = c->parts;

	for (size_t i = 0; i < all_tables_n; i++)
		if (is_derived(all_tables[i]))
			(p++)->table = all_tables[i];
	for (uint64_t i = 0; i < RANGES; i++, p++) {
		p->table = CA_T_RECORD;
		p->from = i * step;
		p->until = i == RANGES - 1 ? UINT64_MAX : p->from + step;
	}
	p->table = CA_T_META;
	c->parts_n = (size_t)(p + 1 - c->parts);
}

enum code ca_check_begin(struct ca_check **out, struct ca_db db, struct err *e)
{
	struct ca_check *c = calloc(1, sizeof(*c));
	struct ca_meta meta;
	struct span val;
	enum code rc;

	*out = NULL;
	if (c == NULL) {
		err_nomem(e);
		return E_NOMEM;
	}
	rc = db.ops->get(db.ctx, CA_T_META, span_str(META_SCALARS), &val, e);
	c->empty = rc == E_NOTFOUND;
	if (c->empty) {
		rc = check_empty(db, e);
	} else if (rc == E_OK && (rc = row_meta_read(val, &meta, e)) == E_OK) {
		c->applied = meta.applied;
		c->parts = calloc(all_tables_n + RANGES + 1, sizeof(*c->parts));
		if (c->parts == NULL)
			rc = err_nomem(e);
		else
			divide(c);
	}
	if (rc == E_OK)
		*out = c;
	else
		ca_check_free(c);
	return rc;
}

void ca_check_free(struct ca_check *c)
{
	if (c == NULL)
		return;
	free(c->parts);
	free(c);
}

size_t ca_check_parts(const struct ca_check *c)
{
	return c->parts_n;
}

enum code ca_check_part(
    struct ca_check *c, size_t i, struct ca_db db, struct err *e)
{
	struct part *p = &c->parts[i];
	uint8_t from[8];
	enum code rc = E_OK;

	put_u64be(from, p->from);
	if (p->table == CA_T_RECORD)
		return each_row(db, p->table, span_of(from, sizeof(from)),
		    take_record, p, e);
	if (p->table != CA_T_META)
		return each_row(
		    db, p->table, SPAN_EMPTY, sum_row, &p->found, e);
	for (size_t k = 0; k < all_tables_n && rc == E_OK; k++)
		if (table_class(all_tables[k]) == CA_TABLE_SMALL)
			rc = each_row(
			    db, all_tables[k], SPAN_EMPTY, take_small, p, e);
	return rc;
}

/* ---- The whole ---- */

static enum code join(struct part *all, const struct part *p, struct err *e)
{
	enum code rc = E_OK;

	digest_join(all->digest, p->digest);
	sum_join(&all->made, &p->made);
	sum_join(&all->found, &p->found);
	if (!p->any)
		return E_OK;
	if (p->first_leaf != all->leaves)
		return not_leaf(p->last_index - p->leaves + 1, all->leaves, e);
	all->leaves += p->leaves;
	all->last_index = p->last_index;
	all->last_ms = p->last_ms;
	if (!all->took && p->took) {
		all->took = true;
		all->took_ms = p->took_ms;
	}
	for (size_t i = 0; i < p->trees_n && rc == E_OK; i++)
		rc = add_subtree(all, &p->trees[i], e);
	return rc;
}

enum code ca_check_end(const struct ca_check *c, struct ca_db db,
    struct ca_crypto crypto, struct err *e)
{
	struct part all = {0};
	struct ca_meta built = {0};
	struct ca *ca;
	enum code rc = E_OK;

	if (c->empty)
		return E_OK;
	for (size_t i = 0; i < c->parts_n && rc == E_OK; i++)
		rc = join(&all, &c->parts[i], e);
	if (rc != E_OK || (rc = ca_open(&ca, db, crypto, e)) != E_OK)
		return rc;
	built.applied = all.last_index;
	built.time_ms = all.last_ms;
	built.genesis_ms = all.took_ms;
	built.tree_size = all.leaves;
	rc = state_agrees(ca, &built, all.took, all.digest, e);
	if (rc == E_OK && !sum_same(&all.made, &all.found))
		rc = err_set(e, E_CORRUPT,
		    "the tree and the indexes are not those of the records");
	ca_close(ca);
	return rc;
}

enum code ca_check(struct ca_db db, struct ca_crypto crypto, struct err *e)
{
	struct ca_check *c;
	enum code rc = ca_check_begin(&c, db, e);

	if (rc != E_OK)
		return rc;
	for (size_t i = 0; i < c->parts_n && rc == E_OK; i++)
		rc = ca_check_part(c, i, db, e);
	if (rc == E_OK)
		rc = ca_check_end(c, db, crypto, e);
	ca_check_free(c);
	return rc;
}
