/* rows.c -- a node's state in the store's tables: each entry in RECORD under
 * its index, as its type and its data; the content in META. */
#include <string.h>

#include "real.h"

static const char content_key[] = "content";

static struct span content_span(const struct content *is)
{
	return span_of((const uint8_t *)is, sizeof(*is));
}

enum code rows_apply(struct ca_db db, const struct raft_entry *entry,
    const struct content *is, struct err *e)
{
	uint8_t key[8], val[1 + RAFT_CONF_CHANGE_MAX];
	enum code rc;

	if (entry->data.len >= sizeof(val))
		return err_set(e, E_INTERNAL, "an entry that does not fit");
	put_u64be(key, entry->index);
	val[0] = (uint8_t)entry->type;
	if (entry->data.len > 0)
		memcpy(val + 1, entry->data.p, entry->data.len);
	rc = db.ops->put(db.ctx, CA_T_RECORD, span_of(key, sizeof(key)),
	    span_of(val, 1 + entry->data.len), e);
	if (rc != E_OK)
		return rc;
	return db.ops->put(
	    db.ctx, CA_T_META, span_str(content_key), content_span(is), e);
}

enum code rows_pack(struct store_snapshot *from, const struct content *is,
    struct buf *out, struct err *e)
{
	struct store_snapshot_pos pos = {0};
	const struct store_row *rows;
	size_t n;
	enum code rc;

	buf_add(out, is, sizeof(*is));
	while (
	    (rc = store_snapshot_next(from, &pos, 512, &rows, &n, e)) == E_OK &&
	    n > 0) {
		for (size_t i = 0; i < n; i++) {
			buf_add_u8(out, (uint8_t)rows[i].table);
			buf_add_u16be(out, (uint16_t)rows[i].key.len);
			buf_add_u16be(out, (uint16_t)rows[i].val.len);
			buf_add_span(out, rows[i].key);
			buf_add_span(out, rows[i].val);
		}
	}
	return rc == E_OK ? buf_check(out, e) : rc;
}

enum code rows_unpack(struct ca_db db, struct raft_span data, struct err *e)
{
	struct reader r;
	enum code rc = E_OK;

	reader_init(&r, span_of(data.p, data.len));
	read_span(&r, sizeof(struct content));
	while (r.left > 0 && rc == E_OK) {
		enum ca_table t = read_u8(&r);
		size_t key_len = read_u16be(&r), val_len = read_u16be(&r);
		struct span key = read_span(&r, key_len);
		struct span val = read_span(&r, val_len);

		rc = r.bad ? err_set(e, E_INTERNAL, "a snapshot cut short")
			   : db.ops->put(db.ctx, t, key, val, e);
	}
	return rc;
}

static enum code check_record(struct world *w, raft_index want, struct span key,
    struct span val, struct err *e)
{
	if (key.len == 8 && val.len > 0 && get_u64be(key.p) == want &&
	    check_is_committed(w, want, val.p[0], val.p + 1, val.len - 1))
		return E_OK;
	return err_set(e, E_CORRUPT, "row %llu is not what was applied",
	    (unsigned long long)want);
}

/* Index 1 founds the cluster and has no row. */
enum code rows_check(struct ca_db db, struct world *w, raft_index applied,
    struct content *is, struct err *e)
{
	raft_index next = 2;
	struct span key, val, from = SPAN_EMPTY;
	uint8_t at[8];
	enum code rc;

	*is = (struct content){0};
	while ((rc = db.ops->seek(db.ctx, CA_T_RECORD, from, next > 2, &key,
		    &val, e)) == E_OK) {
		if ((rc = check_record(w, next, key, val, e)) != E_OK)
			return rc;
		put_u64be(at, next++);
		from = span_of(at, sizeof(at));
	}
	if (rc != E_NOTFOUND)
		return rc;
	if (applied < 2)
		return next == 2 ? E_OK
				 : err_set(e, E_CORRUPT, "rows of nothing");
	if (next != applied + 1)
		return err_set(e, E_CORRUPT, "rows up to %llu, applied %llu",
		    (unsigned long long)next - 1, (unsigned long long)applied);
	rc = db.ops->get(db.ctx, CA_T_META, span_str(content_key), &val, e);
	if (rc == E_OK && val.len == sizeof(*is))
		memcpy(is, val.p, sizeof(*is));
	return rc;
}
