#include "applied.h"

#include "world.h"

struct row {
	enum ca_table t;
	struct buf key, val;
};

struct applied {
	struct ca *ca;
	uint64_t index;
	struct row *rows; /* sorted */
	size_t n, cap;
};

static int row_cmp(const struct row *r, enum ca_table t, struct span key)
{
	size_t n = r->key.len < key.len ? r->key.len : key.len;
	int order = n == 0 ? 0 : memcmp(r->key.p, key.p, n);

	if (r->t != t)
		return r->t < t ? -1 : 1;
	if (order != 0)
		return order;
	return (r->key.len > key.len) - (r->key.len < key.len);
}

/* The first row that is not before key. */
static size_t place(
    const struct applied *a, enum ca_table t, struct span key, bool *there)
{
	size_t from = 0, to = a->n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (row_cmp(&a->rows[mid], t, key) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	*there = from < a->n && row_cmp(&a->rows[from], t, key) == 0;
	return from;
}

static enum code db_get(
    void *db, enum ca_table t, struct span key, struct span *val, struct err *e)
{
	const struct applied *a = db;
	bool there;
	size_t at = place(a, t, key, &there);

	(void)e;
	if (!there)
		return E_NOTFOUND;
	*val = buf_span(&a->rows[at].val);
	return E_OK;
}

static enum code db_put(
    void *db, enum ca_table t, struct span key, struct span val, struct err *e)
{
	struct applied *a = db;
	bool there;
	size_t at = place(a, t, key, &there);
	struct buf copy;

	(void)e;
	if (a->n == a->cap) {
		a->cap = a->cap == 0 ? 64 : 2 * a->cap;
		a->rows = realloc(a->rows, a->cap * sizeof(*a->rows));
		assert_non_null(a->rows);
	}
	buf_init(&copy);
	assert_true(buf_add_span(&copy, val));
	if (!there) {
		memmove(&a->rows[at + 1], &a->rows[at],
		    (a->n++ - at) * sizeof(*a->rows));
		a->rows[at] = (struct row){.t = t};
		assert_true(buf_add_span(&a->rows[at].key, key));
	}
	buf_free(&a->rows[at].val);
	a->rows[at].val = copy;
	return E_OK;
}

static enum code db_del(
    void *db, enum ca_table t, struct span key, struct err *e)
{
	struct applied *a = db;
	bool there;
	size_t at = place(a, t, key, &there);

	(void)e;
	if (!there)
		return E_OK;
	buf_free(&a->rows[at].key);
	buf_free(&a->rows[at].val);
	memmove(
	    &a->rows[at], &a->rows[at + 1], (--a->n - at) * sizeof(*a->rows));
	return E_OK;
}

static enum code db_seek(void *db, enum ca_table t, struct span from,
    bool after, struct span *key, struct span *val, struct err *e)
{
	const struct applied *a = db;
	bool there;
	size_t at = place(a, t, from, &there);

	(void)e;
	at += after && there;
	if (at == a->n || a->rows[at].t != t)
		return E_NOTFOUND;
	*key = buf_span(&a->rows[at].key);
	*val = buf_span(&a->rows[at].val);
	return E_OK;
}

static const struct ca_db_ops ops = {
    .get = db_get, .put = db_put, .del = db_del, .seek = db_seek};

struct applied *applied_open(void)
{
	struct applied *a = calloc(1, sizeof(*a));
	struct err e = {0};

	assert_non_null(a);
	assert_int_equal(
	    ca_open(&a->ca, (struct ca_db){&ops, a}, pki_ca_crypto(), &e),
	    E_OK);
	return a;
}

void applied_close(struct applied *a)
{
	ca_close(a->ca);
	while (a->n-- > 0) {
		buf_free(&a->rows[a->n].key);
		buf_free(&a->rows[a->n].val);
	}
	free(a->rows);
	free(a);
}

enum ca_outcome applied_next(struct applied *a, struct span raw, char why[200])
{
	struct ca_entry *en = calloc(1, sizeof(*en));
	struct wire_memory *mem;
	struct ca_result r;
	struct err e = {0};

	assert_non_null(en);
	assert_int_equal(wire_entry_decode(raw, en, &mem, &e), E_OK);
	if (ca_apply(a->ca, ++a->index, en, raw, &r, &e) != E_OK)
		fail_msg("%s", e.text);
	memcpy(why, r.why, sizeof(r.why));
	wire_free(mem);
	free(en);
	return r.outcome;
}

struct ca_view *applied_view(struct applied *a)
{
	struct ca_view *v;
	struct err e = {0};

	assert_int_equal(ca_view_load(a->ca, &v, &e), E_OK);
	return v;
}
