/* meta.c -- the named rows of both environments.  A row is the CRC-32C of its
 * name and payload, then the payload; numbers are big endian. */
#include <string.h>

#include "base/crc32c.h"
#include "store/internal.h"

#define META_MAX (1 + 8 + 8 + 4 * (1 + 8 * RAFT_PEERS_MAX) + 1)

static MDB_val key_of(const char *name)
{
	return (MDB_val){.mv_size = strlen(name), .mv_data = (void *)name};
}

static uint32_t crc_of(const char *name, const uint8_t *p, size_t len)
{
	return crc32c(crc32c(0, name, strlen(name)), p, len);
}

static enum code damaged(const struct env *v, const char *name, struct err *e)
{
	return err_set(e, E_CORRUPT,
	    "%s: the row '%s' is damaged; " STORE_REPLACE, v->path, name);
}

enum code meta_get(const struct env *v, MDB_txn *txn, const char *name,
    struct span *out, struct err *e)
{
	MDB_val key = key_of(name), val;
	const uint8_t *p;
	int rc = mdb_get(txn, v->meta, &key, &val);

	*out = SPAN_EMPTY;
	if (rc == MDB_NOTFOUND)
		return E_NOTFOUND;
	if (rc != 0)
		return env_fail(v, rc, "reading", e);
	p = val.mv_data;
	if (val.mv_size < 4 ||
	    get_u32be(p) != crc_of(name, p + 4, val.mv_size - 4))
		return damaged(v, name, e);
	*out = span_of(p + 4, val.mv_size - 4);
	return E_OK;
}

enum code meta_put(const struct env *v, MDB_txn *txn, const char *name,
    struct span payload, struct err *e)
{
	MDB_val key = key_of(name), val = {.mv_size = payload.len + 4};
	uint8_t *p;
	int rc = mdb_put(txn, v->meta, &key, &val, MDB_RESERVE);

	if (rc != 0)
		return env_fail(v, rc, "writing", e);
	p = val.mv_data;
	put_u32be(p, crc_of(name, payload.p, payload.len));
	memcpy(p + 4, payload.p, payload.len);
	return E_OK;
}

enum code meta_del(
    const struct env *v, MDB_txn *txn, const char *name, struct err *e)
{
	MDB_val key = key_of(name);
	int rc = mdb_del(txn, v->meta, &key, NULL);

	return rc == 0 || rc == MDB_NOTFOUND ? E_OK
					     : env_fail(v, rc, "writing", e);
}

static uint8_t *ids_put(uint8_t *p, const raft_id *ids, size_t n)
{
	*p++ = (uint8_t)n;
	for (size_t i = 0; i < n; i++, p += 8)
		put_u64be(p, ids[i]);
	return p;
}

static void ids_read(struct reader *r, raft_id *ids, size_t *n)
{
	*n = read_u8(r);
	if (*n > RAFT_PEERS_MAX) {
		r->bad = true;
		*n = 0;
	}
	for (size_t i = 0; i < *n; i++)
		ids[i] = read_u64be(r);
}

enum code applied_put(const struct env *v, MDB_txn *txn, const char *name,
    const struct applied *a, struct err *e)
{
	const struct raft_conf_state *c = &a->conf;
	uint8_t row[META_MAX], *p = row + 16;

	put_u64be(row, a->index);
	put_u64be(row + 8, a->term);
	p = ids_put(p, c->voters, c->voters_n);
	p = ids_put(p, c->learners, c->learners_n);
	p = ids_put(p, c->voters_outgoing, c->voters_outgoing_n);
	p = ids_put(p, c->learners_next, c->learners_next_n);
	*p++ = c->auto_leave;
	return meta_put(v, txn, name, span_of(row, (size_t)(p - row)), e);
}

enum code applied_get(const struct env *v, MDB_txn *txn, const char *name,
    struct applied *out, struct err *e)
{
	struct raft_conf_state *c = &out->conf;
	struct span row;
	struct reader r;
	enum code rc = meta_get(v, txn, name, &row, e);

	*out = (struct applied){0};
	if (rc != E_OK)
		return rc == E_NOTFOUND ? E_OK : rc;
	reader_init(&r, row);
	out->index = read_u64be(&r);
	out->term = read_u64be(&r);
	ids_read(&r, c->voters, &c->voters_n);
	ids_read(&r, c->learners, &c->learners_n);
	ids_read(&r, c->voters_outgoing, &c->voters_outgoing_n);
	ids_read(&r, c->learners_next, &c->learners_next_n);
	c->auto_leave = read_u8(&r) != 0;
	return r.bad || r.left != 0 ? damaged(v, name, e) : E_OK;
}

enum code identity_put(const struct env *v, MDB_txn *txn,
    const struct store_identity *id, struct err *e)
{
	uint8_t row[sizeof(id->trust_domain) + 8];

	memcpy(row, id->trust_domain, sizeof(id->trust_domain));
	put_u64be(row + sizeof(id->trust_domain), id->node_id);
	return meta_put(v, txn, META_IDENTITY, span_of(row, sizeof(row)), e);
}

enum code identity_get(const struct env *v, MDB_txn *txn,
    struct store_identity *out, struct err *e)
{
	struct span row;
	struct reader r;
	enum code rc = meta_get(v, txn, META_IDENTITY, &row, e);

	if (rc != E_OK)
		return rc;
	reader_init(&r, row);
	read_bytes(&r, out->trust_domain, sizeof(out->trust_domain));
	out->node_id = read_u64be(&r);
	return r.bad || r.left != 0 ? damaged(v, META_IDENTITY, e) : E_OK;
}

enum code hard_put(const struct env *v, MDB_txn *txn, const char *name,
    const struct raft_hard_state *hs, struct err *e)
{
	uint8_t row[24];

	put_u64be(row, hs->term);
	put_u64be(row + 8, hs->vote);
	put_u64be(row + 16, hs->commit);
	return meta_put(v, txn, name, span_of(row, sizeof(row)), e);
}

enum code hard_get(const struct env *v, MDB_txn *txn, const char *name,
    struct raft_hard_state *out, struct err *e)
{
	struct span row;
	struct reader r;
	enum code rc = meta_get(v, txn, name, &row, e);

	*out = (struct raft_hard_state){0};
	if (rc != E_OK)
		return rc == E_NOTFOUND ? E_OK : rc;
	reader_init(&r, row);
	out->term = read_u64be(&r);
	out->vote = read_u64be(&r);
	out->commit = read_u64be(&r);
	return r.bad || r.left != 0 ? damaged(v, name, e) : E_OK;
}
