/* revoke.c -- revocation by serial, identity and pod, with what was renewed
 * from it; and the blocks that keep an identity or a pod from asking again. */
#include <stdlib.h>
#include <string.h>

#include "ca/internal.h"

/* ---- One leaf ------------------------------------------------------------ */

static struct span revoked_key(
    uint8_t key[REVOKED_KEY_LEN], const uint8_t *issuer, const uint8_t *serial)
{
	memcpy(key, issuer, CA_KEY_ID_LEN);
	memcpy(key + CA_KEY_ID_LEN, serial, CA_SERIAL_LEN);
	return span_of(key, REVOKED_KEY_LEN);
}

enum code ca_revoked_get(const struct ca *ca,
    const uint8_t issuer[CA_KEY_ID_LEN], const uint8_t serial[CA_SERIAL_LEN],
    struct ca_revoked *out, struct err *e)
{
	uint8_t key[REVOKED_KEY_LEN];
	struct revoked_row row;
	struct span val;
	enum code rc = state_get(
	    ca, CA_T_REVOKED, revoked_key(key, issuer, serial), &val, e);

	if (rc == E_OK)
		rc = row_revoked_read(val, &row, e);
	if (rc != E_OK)
		return rc;
	*out = row.revoked;
	memcpy(out->serial, serial, CA_SERIAL_LEN);
	return E_OK;
}

/* The certificates whose descendants are still to be looked for. */
struct revoking {
	struct ca *ca;
	enum ca_reason reason;
	uint8_t (*todo)[CA_SERIAL_LEN];
	size_t n, cap;
};

static enum code push(struct revoking *r, const uint8_t *serial, struct err *e)
{
	if (r->n == r->cap) {
		size_t cap = r->cap == 0 ? 64 : 2 * r->cap;
		void *p = realloc(r->todo, cap * sizeof(*r->todo));

		if (p == NULL)
			return err_nomem(e);
		r->todo = p;
		r->cap = cap;
	}
	memcpy(r->todo[r->n++], serial, CA_SERIAL_LEN);
	return E_OK;
}

static enum code put_revoked(struct revoking *r, const uint8_t *issuer,
    const uint8_t *serial, uint64_t not_after_s, struct err *e)
{
	const struct revoked_row row = {
	    .revoked = {.revoked_s = r->ca->meta.time_ms / 1000,
		.reason = r->reason},
	    .not_after_s = not_after_s};
	uint8_t key[REVOKED_KEY_LEN];
	enum code rc;

	buf_clear(&r->ca->row);
	row_revoked(&r->ca->row, &row);
	rc = buf_check(&r->ca->row, e);
	if (rc == E_OK)
		rc = state_put(r->ca, CA_T_REVOKED,
		    revoked_key(key, issuer, serial), buf_span(&r->ca->row), e);
	return rc == E_OK ? crl_dirty(r->ca, span_of(issuer, CA_KEY_ID_LEN), e)
			  : rc;
}

/* The certificate of a record, unless it has expired or is revoked already.
 * Its descendants come later: they may live though it does not. */
static enum code revoke_record(
    struct revoking *r, uint64_t index, struct err *e)
{
	uint8_t issuer[CA_KEY_ID_LEN], serial[CA_SERIAL_LEN];
	struct record_row row;
	struct ca_revoked had;
	enum code rc = record_row_get(r->ca, index, &row, e);

	if (rc != E_OK)
		return rc;
	if (row.issuer.len != sizeof(issuer) ||
	    row.serial.len != sizeof(serial))
		return err_set(e, E_CORRUPT, "record %llu issued nothing",
		    (unsigned long long)index);
	memcpy(issuer, row.issuer.p, sizeof(issuer));
	memcpy(serial, row.serial.p, sizeof(serial));
	rc = ca_revoked_get(r->ca, issuer, serial, &had, e);
	if (rc != E_NOTFOUND)
		return rc;
	if (row.not_after_s >= r->ca->meta.time_ms / 1000)
		rc = put_revoked(r, issuer, serial, row.not_after_s, e);
	else
		rc = E_OK;
	return rc == E_OK ? push(r, serial, e) : rc;
}

/* ---- Indexes ------------------------------------------------------------- */

#define INDEX_KEY_MAX (SHA256_LEN + 8)

/* revoke_record for each row prefix ‖ raft index, from `from` on. */
static enum code revoke_indexed(struct revoking *r, enum ca_table t,
    struct span prefix, uint64_t from, struct err *e)
{
	uint8_t at[INDEX_KEY_MAX];
	struct span key, val;
	bool after = false;
	enum code rc;

	memcpy(at, prefix.p, prefix.len);
	put_u64be(at + prefix.len, from);
	while (
	    (rc = r->ca->db.ops->seek(r->ca->db.ctx, t,
		 span_of(at, prefix.len + 8), after, &key, &val, e)) == E_OK) {
		if (key.len != prefix.len + 8 ||
		    memcmp(key.p, at, prefix.len) != 0)
			return E_OK;
		memcpy(at, key.p, key.len);
		after = true;
		rc = revoke_record(r, get_u64be(at + prefix.len), e);
		if (rc != E_OK)
			return rc;
	}
	return rc == E_NOTFOUND ? E_OK : rc;
}

static enum code revoke_descendants(struct revoking *r, struct err *e)
{
	enum code rc = E_OK;

	while (rc == E_OK && r->n > 0) {
		uint8_t serial[CA_SERIAL_LEN];

		memcpy(serial, r->todo[--r->n], sizeof(serial));
		rc = revoke_indexed(
		    r, CA_T_CHILD, span_of(serial, sizeof(serial)), 0, e);
	}
	return rc;
}

/* The first record that came at ms or later: records' times only grow. */
static enum code index_since(
    const struct ca *ca, uint64_t ms, uint64_t *out, struct err *e)
{
	uint64_t from = 0, to = ca->at;

	while (from < to) {
		uint64_t mid = from + (to - from) / 2;
		struct record_row row = {0};
		struct span key, val;
		uint8_t at[8];
		enum code rc;

		put_u64be(at, mid);
		rc = ca->db.ops->seek(ca->db.ctx, CA_T_RECORD,
		    span_of(at, sizeof(at)), false, &key, &val, e);
		if (rc == E_OK && key.len != 8)
			return err_set(e, E_CORRUPT, "a record's key");
		if (rc == E_OK)
			rc = row_record_read(val, get_u64be(key.p), &row, e);
		if (rc != E_OK && rc != E_NOTFOUND)
			return rc;
		if (rc == E_NOTFOUND || row.record.time_ms >= ms)
			to = mid;
		else
			from = row.record.index + 1;
	}
	*out = from;
	return E_OK;
}

/* No older record can have issued what still lives. */
static enum code oldest_alive(
    const struct ca *ca, uint64_t *index, struct err *e)
{
	const uint64_t life_ms = (CA_LEAF_LIFE_MAX_S + 3600) * 1000ULL;
	uint64_t now = ca->meta.time_ms;

	return index_since(ca, now > life_ms ? now - life_ms : 0, index, e);
}

/* ---- Blocks -------------------------------------------------------------- */

static struct span block_key(
    uint8_t key[CA_BLOCK_KEY_LEN], enum ca_revoke_by by, struct span what)
{
	key[0] = (uint8_t)by;
	sha256_of(key + 1, what);
	return span_of(key, CA_BLOCK_KEY_LEN);
}

static enum code put_block(
    struct ca *ca, const struct ca_revoke *r, struct err *e)
{
	const struct ca_block b = {.by = r->by,
	    .what = r->what,
	    .since_ms = ca->meta.time_ms,
	    .reason = r->reason};
	uint8_t key[CA_BLOCK_KEY_LEN];
	struct span at = block_key(key, r->by, r->what), val;
	enum code rc = state_get(ca, CA_T_BLOCK, at, &val, e);

	if (rc != E_NOTFOUND)
		return rc; /* blocked since then already */
	buf_clear(&ca->row);
	row_block(&ca->row, &b);
	rc = buf_check(&ca->row, e);
	return rc == E_OK ? state_put(ca, CA_T_BLOCK, at, buf_span(&ca->row), e)
			  : rc;
}

const char *ca_reason_name(enum ca_reason r)
{
	switch (r) {
	case CA_REASON_UNSPECIFIED: return "unspecified";
	case CA_REASON_KEY_COMPROMISE: return "keyCompromise";
	case CA_REASON_CA_COMPROMISE: return "cACompromise";
	case CA_REASON_AFFILIATION_CHANGED: return "affiliationChanged";
	case CA_REASON_SUPERSEDED: return "superseded";
	case CA_REASON_CESSATION: return "cessationOfOperation";
	case CA_REASON_PRIVILEGE_WITHDRAWN: return "privilegeWithdrawn";
	}
	return "unknown";
}

static enum code check_one(struct ca *ca, enum ca_revoke_by by,
    struct span what, struct ca_result *out, struct err *e)
{
	uint8_t key[CA_BLOCK_KEY_LEN];
	struct ca_block block;
	struct span val;
	enum code rc;

	if (what.len == 0)
		return E_OK;
	rc = state_get(ca, CA_T_BLOCK, block_key(key, by, what), &val, e);
	if (rc == E_NOTFOUND)
		return E_OK;
	if (rc == E_OK)
		rc = row_block_read(val, &block, e);
	if (rc != E_OK)
		return rc;
	return refuse(out, CA_BLOCKED,
	    "%s is revoked (%s), and gets no certificate until an operator "
	    "lifts that (quorate revoke --lift)",
	    by == CA_REVOKE_IDENTITY ? "the identity" : "the pod",
	    ca_reason_name(block.reason));
}

enum code block_check(struct ca *ca, struct span identity, struct span pod,
    struct ca_result *out, struct err *e)
{
	enum code rc = check_one(ca, CA_REVOKE_IDENTITY, identity, out, e);

	if (rc == E_OK && out->outcome == CA_OK)
		rc = check_one(ca, CA_REVOKE_POD, pod, out, e);
	return rc;
}

enum code ca_block_next(const struct ca *ca, uint8_t key[CA_BLOCK_KEY_LEN],
    struct ca_block *out, struct err *e)
{
	struct span at, val;
	enum code rc = ca->db.ops->seek(ca->db.ctx, CA_T_BLOCK,
	    span_of(key, CA_BLOCK_KEY_LEN), true, &at, &val, e);

	if (rc != E_OK)
		return rc;
	if (at.len != CA_BLOCK_KEY_LEN)
		return err_set(e, E_CORRUPT, "a block's key");
	memcpy(key, at.p, CA_BLOCK_KEY_LEN);
	return row_block_read(val, out, e);
}

/* ---- Commands ------------------------------------------------------------ */

static bool reason_known(enum ca_reason r)
{
	switch (r) {
	case CA_REASON_UNSPECIFIED:
	case CA_REASON_KEY_COMPROMISE:
	case CA_REASON_AFFILIATION_CHANGED:
	case CA_REASON_SUPERSEDED:
	case CA_REASON_CESSATION:
	case CA_REASON_PRIVILEGE_WITHDRAWN: return true;
	case CA_REASON_CA_COMPROMISE: break; /* of issuers, not of leaves */
	}
	return false;
}

static enum code revoke_serial(struct revoking *r, const struct ca_revoke *c,
    struct ca_result *out, struct err *e)
{
	struct ca_record rec;
	enum code rc = ca_record_by_serial(r->ca, c->serial, &rec, e);

	if (rc == E_NOTFOUND)
		return refuse(out, CA_NOT_FOUND,
		    "no certificate with that serial was issued");
	return rc == E_OK ? revoke_record(r, rec.index, e) : rc;
}

static enum code revoke_named(
    struct revoking *r, const struct ca_revoke *c, struct err *e)
{
	uint8_t hash[SHA256_LEN];
	uint64_t from = 0;
	enum code rc = put_block(r->ca, c, e);

	sha256_of(hash, c->what);
	if (rc == E_OK)
		rc = oldest_alive(r->ca, &from, e);
	return rc == E_OK
		   ? revoke_indexed(r,
			 c->by == CA_REVOKE_POD ? CA_T_POD : CA_T_IDENTITY,
			 span_of(hash, sizeof(hash)), from, e)
		   : rc;
}

static bool names_somebody(const struct ca_revoke *c)
{
	return (c->by == CA_REVOKE_IDENTITY || c->by == CA_REVOKE_POD) &&
	       c->what.len != 0 && c->what.len <= CA_URI_MAX;
}

#define NAMES_NOBODY                                                           \
	"a block is of an identity or a pod, and this names neither"

enum code apply_revoke(struct ca *ca, const struct ca_revoke *c,
    struct ca_result *out, struct err *e)
{
	struct revoking r = {.ca = ca, .reason = c->reason};
	enum code rc;

	if (c->by != CA_REVOKE_SERIAL && !names_somebody(c))
		return refuse(out, CA_BAD_FORMAT, NAMES_NOBODY);
	if (!reason_known(c->reason))
		return refuse(out, CA_BAD_FORMAT,
		    "%d is no reason to revoke a leaf for good", c->reason);
	if (c->by == CA_REVOKE_SERIAL)
		rc = revoke_serial(&r, c, out, e);
	else
		rc = revoke_named(&r, c, e);
	if (rc == E_OK)
		rc = revoke_descendants(&r, e);
	free(r.todo);
	return rc;
}

enum code apply_lift(struct ca *ca, const struct ca_revoke *c,
    struct ca_result *out, struct err *e)
{
	uint8_t key[CA_BLOCK_KEY_LEN];
	struct span val, at;
	enum code rc;

	if (c->by == CA_REVOKE_SERIAL)
		return refuse(out, CA_BAD_FORMAT,
		    "a revoked certificate stays revoked; ask for a new one");
	if (!names_somebody(c))
		return refuse(out, CA_BAD_FORMAT, NAMES_NOBODY);
	at = block_key(key, c->by, c->what);
	rc = state_get(ca, CA_T_BLOCK, at, &val, e);
	if (rc == E_NOTFOUND)
		return refuse(out, CA_NOT_FOUND, "%s is not blocked",
		    c->by == CA_REVOKE_POD ? "the pod" : "the identity");
	return rc == E_OK ? state_del(ca, CA_T_BLOCK, at, e) : rc;
}
