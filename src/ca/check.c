/* check.c -- is a state whole?  Rows may be sound one by one and yet be those
 * of another time: what a disk did not write, or wrote elsewhere. */
#include <string.h>

#include "ca/internal.h"

#define LEVELS 64

/* The tables as the rows of class LOG make them: what is put into a DERIVED one
 * is only added up, but for the nodes of the tree that the next leaves need. */
struct made {
	struct ca_db under; /* the state that is checked */
	uint8_t sum[SHA256_LEN];
	struct {
		bool there;
		uint64_t at;
		uint8_t hash[SHA256_LEN];
	} node[LEVELS][2]; /* the last two of each level */
};

static bool is_derived(enum ca_table t)
{
	return table_class(t) == CA_TABLE_DERIVED;
}

static enum code made_get(
    void *db, enum ca_table t, struct span key, struct span *val, struct err *e)
{
	struct made *m = db;
	uint64_t at;

	if (!is_derived(t))
		return m->under.ops->get(m->under.ctx, t, key, val, e);
	if (t != CA_T_TREE || key.len != 9 || key.p[0] >= LEVELS)
		return E_NOTFOUND;
	at = get_u64be(key.p + 1);
	if (!m->node[key.p[0]][at % 2].there ||
	    m->node[key.p[0]][at % 2].at != at)
		return E_NOTFOUND;
	*val = span_of(m->node[key.p[0]][at % 2].hash, SHA256_LEN);
	return E_OK;
}

static enum code made_put(
    void *db, enum ca_table t, struct span key, struct span val, struct err *e)
{
	struct made *m = db;
	uint64_t at;

	if (!is_derived(t))
		return err_set(e, E_INTERNAL, "a check writes to table %d", t);
	digest_add(m->sum, t, key, val);
	if (t == CA_T_TREE && key.len == 9 && key.p[0] < LEVELS &&
	    val.len == SHA256_LEN) {
		at = get_u64be(key.p + 1);
		m->node[key.p[0]][at % 2].there = true;
		m->node[key.p[0]][at % 2].at = at;
		memcpy(m->node[key.p[0]][at % 2].hash, val.p, SHA256_LEN);
	}
	return E_OK;
}

static enum code made_del(
    void *db, enum ca_table t, struct span key, struct err *e)
{
	(void)db;
	(void)key;
	return err_set(e, E_INTERNAL, "a check deletes from table %d", t);
}

static enum code made_seek(void *db, enum ca_table t, struct span from,
    bool after, struct span *key, struct span *val, struct err *e)
{
	struct made *m = db;

	return m->under.ops->seek(m->under.ctx, t, from, after, key, val, e);
}

static const struct ca_db_ops made_ops = {
    .get = made_get,
    .put = made_put,
    .del = made_del,
    .seek = made_seek,
};

static enum code restore(
    void *arg, enum ca_table t, struct span key, struct span val, struct err *e)
{
	return ca_restore_row(arg, t, key, val, e);
}

static enum code add(
    void *arg, enum ca_table t, struct span key, struct span val, struct err *e)
{
	(void)e;
	digest_add(arg, t, key, val);
	return E_OK;
}

static enum code check_derived(
    struct ca *ca, const struct made *m, struct err *e)
{
	uint8_t sum[SHA256_LEN] = {0};
	enum code rc = E_OK;

	for (size_t i = 0; rc == E_OK && i < all_tables_n; i++)
		if (is_derived(all_tables[i]))
			rc = each_row(ca, all_tables[i], add, sum, e);
	if (rc == E_OK && memcmp(sum, m->sum, SHA256_LEN) != 0)
		rc = err_set(e, E_CORRUPT,
		    "the tree and the indexes are not those of the records");
	return rc;
}

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

enum code ca_check(struct ca_db db, struct ca_crypto crypto, struct err *e)
{
	struct made m = {.under = db};
	struct span val;
	struct ca *ca;
	enum code rc =
	    db.ops->get(db.ctx, CA_T_META, span_str(META_SCALARS), &val, e);

	if (rc == E_NOTFOUND)
		return check_empty(db, e);
	if (rc == E_OK)
		rc = ca_open(&ca, (struct ca_db){.ops = &made_ops, .ctx = &m},
		    crypto, e);
	if (rc != E_OK)
		return rc;
	ca->meta = (struct ca_meta){0}; /* the records tell */
	ca->started = false;
	if ((rc = each_row(ca, CA_T_RECORD, restore, ca, e)) == E_OK &&
	    (rc = ca_restore_check(ca, e)) == E_OK)
		rc = check_derived(ca, &m, e);
	ca_close(ca);
	return rc;
}
