#include "mem.h"

#include <stdlib.h>
#include <string.h>

void mem_init(struct mem *m)
{
	*m = (struct mem){0};
}

static void loans_end(struct mem *m)
{
	for (size_t i = 0; i < m->loans_n; i++)
		free(m->loans[i]);
	m->loans_n = 0;
}

static void row_free(struct mem_row *r)
{
	free((void *)(uintptr_t)r->key.p);
	free((void *)(uintptr_t)r->val.p);
}

void mem_free(struct mem *m)
{
	loans_end(m);
	for (size_t i = 0; i < m->n; i++)
		row_free(&m->rows[i]);
	free(m->rows);
	free(m->loans);
	mem_init(m);
}

enum ca_table_class mem_class(enum ca_table t)
{
	switch (t) {
#define X(sym, n, cls, what)                                                   \
	case CA_T_##sym: return CA_TABLE_##cls;
		CA_TABLES(X)
#undef X
	}
	abort();
}

static int order(const struct mem_row *r, enum ca_table t, struct span key)
{
	size_t n = r->key.len < key.len ? r->key.len : key.len;
	int c;

	if (r->table != t)
		return r->table < t ? -1 : 1;
	c = n == 0 ? 0 : memcmp(r->key.p, key.p, n);
	if (c != 0 || r->key.len == key.len)
		return c;
	return r->key.len < key.len ? -1 : 1;
}

/* Position of the first row that is not before (t, key). */
static size_t find(const struct mem *m, enum ca_table t, struct span key)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (order(&m->rows[mid], t, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool is_at(
    const struct mem *m, size_t at, enum ca_table t, struct span key)
{
	return at < m->n && order(&m->rows[at], t, key) == 0;
}

static struct span copy(struct span in)
{
	uint8_t *p = malloc(in.len + 1);

	if (p == NULL)
		return SPAN_EMPTY;
	if (in.len > 0)
		memcpy(p, in.p, in.len);
	return span_of(p, in.len);
}

static enum code lend(
    struct mem *m, struct span in, struct span *out, struct err *e)
{
	uint8_t **grown;

	if (m->loans_n == m->loans_cap) {
		size_t cap = m->loans_cap == 0 ? 64 : m->loans_cap * 2;

		grown = realloc(m->loans, cap * sizeof(*grown));
		if (grown == NULL)
			return err_nomem(e);
		m->loans = grown;
		m->loans_cap = cap;
	}
	*out = copy(in);
	if (out->p == NULL)
		return err_nomem(e);
	m->loans[m->loans_n++] = (uint8_t *)(uintptr_t)out->p;
	return E_OK;
}

static enum code mem_get(
    void *db, enum ca_table t, struct span key, struct span *val, struct err *e)
{
	struct mem *m = db;
	size_t at = find(m, t, key);

	return is_at(m, at, t, key) ? lend(m, m->rows[at].val, val, e)
				    : E_NOTFOUND;
}

static enum code mem_put(
    void *db, enum ca_table t, struct span key, struct span val, struct err *e)
{
	struct mem *m = db;
	size_t at = find(m, t, key);
	struct mem_row r;

	if (key.len > CA_DB_KEY_MAX)
		return err_set(e, E_INTERNAL, "a key of %zu bytes", key.len);
	r = (struct mem_row){t, copy(key), copy(val)};
	if (m->n == m->cap) {
		size_t cap = m->cap == 0 ? 64 : m->cap * 2;
		struct mem_row *grown = realloc(m->rows, cap * sizeof(*grown));

		if (grown != NULL) {
			m->rows = grown;
			m->cap = cap;
		}
	}
	if (r.key.p == NULL || r.val.p == NULL || m->n == m->cap) {
		row_free(&r);
		return err_nomem(e);
	}
	loans_end(m);
	if (is_at(m, at, t, r.key)) {
		row_free(&m->rows[at]);
	} else {
		memmove(&m->rows[at + 1], &m->rows[at],
		    (m->n - at) * sizeof(*m->rows));
		m->n++;
	}
	m->rows[at] = r;
	return E_OK;
}

static enum code mem_del(
    void *db, enum ca_table t, struct span key, struct err *e)
{
	struct mem *m = db;
	size_t at = find(m, t, key);

	(void)e;
	if (is_at(m, at, t, key)) {
		row_free(&m->rows[at]);
		m->n--;
		memmove(&m->rows[at], &m->rows[at + 1],
		    (m->n - at) * sizeof(*m->rows));
	}
	loans_end(m);
	return E_OK;
}

static enum code mem_seek(void *db, enum ca_table t, struct span from,
    bool after, struct span *key, struct span *val, struct err *e)
{
	struct mem *m = db;
	size_t at = find(m, t, from);
	enum code rc;

	if (after && is_at(m, at, t, from))
		at++;
	if (at >= m->n || m->rows[at].table != t)
		return E_NOTFOUND;
	rc = lend(m, m->rows[at].key, key, e);
	return rc == E_OK ? lend(m, m->rows[at].val, val, e) : rc;
}

struct ca_db mem_db(struct mem *m)
{
	static const struct ca_db_ops ops = {
	    .get = mem_get,
	    .put = mem_put,
	    .del = mem_del,
	    .seek = mem_seek,
	};

	return (struct ca_db){&ops, m};
}

size_t mem_count(const struct mem *m, enum ca_table t)
{
	size_t n = 0;

	while (mem_row(m, t, n) != NULL)
		n++;
	return n;
}

const struct mem_row *mem_row(const struct mem *m, enum ca_table t, size_t nth)
{
	size_t at = find(m, t, SPAN_EMPTY) + nth;

	return at < m->n && m->rows[at].table == t ? &m->rows[at] : NULL;
}

bool mem_same(const struct mem *a, const struct mem *b, struct buf *why)
{
	size_t n = a->n < b->n ? a->n : b->n;

	for (size_t i = 0; i < n; i++)
		if (a->rows[i].table != b->rows[i].table ||
		    !span_eq(a->rows[i].key, b->rows[i].key) ||
		    !span_eq(a->rows[i].val, b->rows[i].val)) {
			buf_printf(why, "row %zu: tables %d and %d", i,
			    (int)a->rows[i].table, (int)b->rows[i].table);
			return false;
		}
	if (a->n != b->n)
		buf_printf(why, "%zu rows and %zu", a->n, b->n);
	return a->n == b->n;
}
