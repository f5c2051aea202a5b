/* bulk.c -- index rows on their way into a fresh environment.
 *
 * Their keys are hashes and random serials: each would touch a page of its own,
 * and of millions of rows almost every page is written as often as there are
 * rows in it.  So they wait, are sorted by the hundred thousand, and go in in
 * order: a page then is written once for all of its rows in a batch.  While one
 * batch waits, the one before goes in, a few rows at each put: nothing here
 * takes long at once. */
#include <stdlib.h>
#include <string.h>

#include "store/internal.h"

#define BATCH_BYTES (12U << 20)
#define DRAIN 2 /* rows of the sorted batch for one that comes */

/* A row in a batch: length of the key with its table byte, length of the value,
 * table, key, value. */
#define HEAD 2

/* The tree is written in order, and read back meanwhile. */
bool bulk_takes(enum ca_table t, size_t key_len, size_t val_len)
{
	if (t == CA_T_TREE || key_len >= UINT8_MAX || val_len > UINT8_MAX)
		return false;
	for (size_t i = 0; i < store_tables_n; i++)
		if (store_tables[i].table == t)
			return store_tables[i].cls == CA_TABLE_DERIVED;
	return false;
}

static int by_key(const void *x, const void *y)
{
	const uint8_t *a = *(const uint8_t *const *)x;
	const uint8_t *b = *(const uint8_t *const *)y;
	size_t n = a[0] < b[0] ? a[0] : b[0];
	int c = memcmp(a + HEAD, b + HEAD, n);

	return c != 0 ? c : (int)a[0] - (int)b[0];
}

/* The batch that waited becomes the one that goes in, which is empty. */
static enum code turn(struct bulk *b, struct err *e)
{
	struct buf empty = b->sorted_bytes;
	const uint8_t *p = b->waiting.p;

	if (b->waiting_n == 0)
		return E_OK;
	free(b->sorted);
	b->sorted = malloc(b->waiting_n * sizeof(*b->sorted));
	b->sorted_n = b->sorted_at = 0;
	if (b->sorted == NULL)
		return err_nomem(e);
	for (size_t i = 0; i < b->waiting_n; i++) {
		b->sorted[i] = p;
		p += HEAD + p[0] + p[1];
	}
	qsort(b->sorted, b->waiting_n, sizeof(*b->sorted), by_key);
	b->sorted_n = b->waiting_n;
	b->sorted_bytes = b->waiting;
	b->waiting = empty;
	buf_clear(&b->waiting);
	b->waiting_n = 0;
	return E_OK;
}

static enum code drain(struct bulk *b, size_t rows, struct err *e)
{
	enum code rc = E_OK;

	for (; rows > 0 && b->sorted_at < b->sorted_n && rc == E_OK; rows--) {
		const uint8_t *p = b->sorted[b->sorted_at++];

		rc = b->put(b->ctx, (enum ca_table)p[HEAD],
		    span_of(p + HEAD + 1, p[0] - 1U),
		    span_of(p + HEAD + p[0], p[1]), e);
	}
	return rc;
}

enum code bulk_add(struct bulk *b, enum ca_table t, struct span key,
    struct span val, struct err *e)
{
	enum code rc;

	buf_add_u8(&b->waiting, (uint8_t)(key.len + 1));
	buf_add_u8(&b->waiting, (uint8_t)val.len);
	buf_add_u8(&b->waiting, (uint8_t)t);
	buf_add_span(&b->waiting, key);
	if (val.len > 0)
		buf_add_span(&b->waiting, val);
	if ((rc = buf_check(&b->waiting, e)) != E_OK)
		return rc;
	b->waiting_n++;
	if ((rc = drain(b, DRAIN, e)) != E_OK)
		return rc;
	if (b->waiting.len < BATCH_BYTES)
		return E_OK;
	rc = drain(b, SIZE_MAX, e);
	return rc == E_OK ? turn(b, e) : rc;
}

enum code bulk_flush(struct bulk *b, struct err *e)
{
	enum code rc = drain(b, SIZE_MAX, e);

	if (rc == E_OK)
		rc = turn(b, e);
	return rc == E_OK ? drain(b, SIZE_MAX, e) : rc;
}

void bulk_free(struct bulk *b)
{
	buf_free(&b->waiting);
	buf_free(&b->sorted_bytes);
	free(b->sorted);
	*b = (struct bulk){0};
}
