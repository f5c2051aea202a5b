/* crl.c -- CRLs (ARCHITECTURE §4): FreezeCrl fixes the content at its own
 * index, SignCrl brings the signature of the issuer's signer over just that.
 * Every node derives the same bytes, and checks the signature before it takes
 * the CRL for its last good one. */
#include <stdlib.h>
#include <string.h>

#include "ca/internal.h"

#define BYTES_KEY_LEN (CA_KEY_ID_LEN + 8)
#define CRL_LIFE_MIN_S (6 * 86400 + 3600) /* more than any leaf lives */

/* ---- The row ------------------------------------------------------------- */

static enum code crl_get(const struct ca *ca, const uint8_t *issuer,
    struct ca_crl *out, struct err *e)
{
	struct span val;
	enum code rc =
	    state_get(ca, CA_T_CRL, span_of(issuer, CA_KEY_ID_LEN), &val, e);

	*out = (struct ca_crl){0};
	memcpy(out->issuer, issuer, CA_KEY_ID_LEN);
	if (rc == E_NOTFOUND)
		return E_OK; /* none was made yet */
	return rc == E_OK ? row_crl_read(val, out, e) : rc;
}

/* The signature may borrow from the row that is replaced. */
static enum code crl_put(struct ca *ca, const struct ca_crl *c, struct err *e)
{
	struct buf row;
	enum code rc;

	buf_init(&row);
	row_crl(&row, c);
	rc = buf_check(&row, e);
	if (rc == E_OK)
		rc = state_put(ca, CA_T_CRL, span_of(c->issuer, CA_KEY_ID_LEN),
		    buf_span(&row), e);
	buf_free(&row);
	small_changed(ca);
	return rc;
}

enum code crl_dirty(struct ca *ca, struct span issuer, struct err *e)
{
	struct ca_crl c;
	enum code rc = crl_get(ca, issuer.p, &c, e);

	if (rc != E_OK || c.dirty_index == ca->at)
		return rc;
	c.dirty_index = ca->at;
	return crl_put(ca, &c, e);
}

/* ---- The bytes ----------------------------------------------------------- */

static struct span bytes_key(
    uint8_t key[BYTES_KEY_LEN], const uint8_t *issuer, uint64_t number)
{
	memcpy(key, issuer, CA_KEY_ID_LEN);
	put_u64be(key + CA_KEY_ID_LEN, number);
	return span_of(key, BYTES_KEY_LEN);
}

enum code ca_crl_tbs(const struct ca *ca, const uint8_t issuer[CA_KEY_ID_LEN],
    uint64_t number, struct span *tbs, struct err *e)
{
	uint8_t key[BYTES_KEY_LEN];

	return state_get(
	    ca, CA_T_CRL_BYTES, bytes_key(key, issuer, number), tbs, e);
}

static enum code bytes_drop(
    struct ca *ca, const uint8_t *issuer, uint64_t number, struct err *e)
{
	uint8_t key[BYTES_KEY_LEN];

	return number == 0 ? E_OK
			   : state_del(ca, CA_T_CRL_BYTES,
				 bytes_key(key, issuer, number), e);
}

static enum code check_bytes(const struct ca *ca, const uint8_t *issuer,
    uint64_t number, const uint8_t *sha256, struct err *e)
{
	uint8_t sum[SHA256_LEN];
	struct span tbs;
	enum code rc;

	if (number == 0)
		return E_OK;
	rc = ca_crl_tbs(ca, issuer, number, &tbs, e);
	if (rc == E_OK)
		sha256_of(sum, tbs);
	if (rc == E_NOTFOUND ||
	    (rc == E_OK && memcmp(sum, sha256, sizeof(sum)) != 0))
		return err_set(e, E_CORRUPT,
		    "the bytes of CRL %llu are not those of its row",
		    (unsigned long long)number);
	return rc;
}

/* No digest counts the bytes: none must be there that no row names. */
static enum code check_count(const struct ca *ca, size_t want, struct err *e)
{
	uint8_t at[BYTES_KEY_LEN] = {0};
	struct span key, val;
	enum code rc;
	size_t n = 0;

	while ((rc = ca->db.ops->seek(ca->db.ctx, CA_T_CRL_BYTES,
		    span_of(at, sizeof(at)), n > 0, &key, &val, e)) == E_OK) {
		if (key.len != sizeof(at) || n == want)
			return err_set(e, E_CORRUPT,
			    "there are bytes of a CRL that no row names");
		memcpy(at, key.p, sizeof(at));
		n++;
	}
	return rc == E_NOTFOUND ? E_OK : rc;
}

enum code crl_check_bytes(const struct ca *ca, struct err *e)
{
	struct ca_view *v;
	size_t named = 0;
	enum code rc = ca_view_load(ca, &v, e);

	if (rc != E_OK)
		return rc == E_NOTFOUND ? check_count(ca, 0, e) : rc;
	for (size_t i = 0; rc == E_OK && i < v->crls_n; i++) {
		const struct ca_crl *c = &v->crls[i];

		rc = check_bytes(ca, c->issuer, c->number, c->sha256, e);
		if (rc == E_OK)
			rc = check_bytes(ca, c->issuer, c->frozen_number,
			    c->frozen_sha256, e);
		named += c->number != 0;
		named += c->frozen_number != 0 && c->frozen_number != c->number;
	}
	ca_view_unref(v);
	return rc == E_OK ? check_count(ca, named, e) : rc;
}

/* ---- The content --------------------------------------------------------- */

typedef enum code revoked_fn(
    void *arg, struct span key, const struct revoked_row *row, struct err *e);

/* fn may delete the row it is given. */
static enum code each_revoked(const struct ca *ca, const uint8_t *issuer,
    revoked_fn *fn, void *arg, struct err *e)
{
	uint8_t at[REVOKED_KEY_LEN] = {0};
	struct span key, val;
	bool after = false;
	enum code rc;

	memcpy(at, issuer, CA_KEY_ID_LEN);
	while ((rc = ca->db.ops->seek(ca->db.ctx, CA_T_REVOKED,
		    span_of(at, sizeof(at)), after, &key, &val, e)) == E_OK) {
		struct revoked_row row;

		if (key.len != sizeof(at) ||
		    memcmp(key.p, issuer, CA_KEY_ID_LEN) != 0)
			return E_OK;
		memcpy(at, key.p, key.len);
		after = true;
		if ((rc = row_revoked_read(val, &row, e)) != E_OK ||
		    (rc = fn(arg, span_of(at, sizeof(at)), &row, e)) != E_OK)
			return rc;
	}
	return rc == E_NOTFOUND ? E_OK : rc;
}

struct pruning {
	struct ca *ca;
	uint64_t before_s;
};

static enum code prune_row(
    void *arg, struct span key, const struct revoked_row *row, struct err *e)
{
	const struct pruning *p = arg;

	return row->not_after_s < p->before_s
		   ? state_del(p->ca, CA_T_REVOKED, key, e)
		   : E_OK;
}

struct collecting {
	struct ca_revoked *rows;
	size_t n, cap;
};

static enum code collect_row(
    void *arg, struct span key, const struct revoked_row *row, struct err *e)
{
	struct collecting *c = arg;

	if (c->n == c->cap) {
		size_t cap = c->cap == 0 ? 256 : 2 * c->cap;
		void *p = realloc(c->rows, cap * sizeof(*c->rows));

		if (p == NULL)
			return err_nomem(e);
		c->rows = p;
		c->cap = cap;
	}
	c->rows[c->n] = row->revoked;
	memcpy(c->rows[c->n++].serial, key.p + CA_KEY_ID_LEN, CA_SERIAL_LEN);
	return E_OK;
}

enum code ca_crl_rows(const struct ca *ca, const uint8_t issuer[CA_KEY_ID_LEN],
    struct ca_revoked **rows, size_t *n, struct err *e)
{
	struct collecting c = {0};
	enum code rc = each_revoked(ca, issuer, collect_row, &c, e);

	*rows = NULL;
	*n = 0;
	if (rc != E_OK) {
		free(c.rows);
		return rc;
	}
	*rows = c.rows;
	*n = c.n;
	return E_OK;
}

/* ---- Freeze -------------------------------------------------------------- */

static enum code freeze_check(const struct ca *ca, const struct ca_issuer *is,
    const struct ca_crl *c, const struct ca_freeze_crl *f,
    struct ca_result *out)
{
	uint64_t now_s = ca->meta.time_ms / 1000;

	if (is == NULL)
		return refuse(out, CA_NOT_FOUND, "there is no such issuer");
	if (is->state == CA_ISSUER_REVOKED)
		return refuse(out, CA_ISSUER_NOT_ACTIVE,
		    "a revoked issuer's CRL is not renewed");
	if (f->number != c->frozen_number + 1)
		return refuse(out, CA_CONFLICT,
		    "the next CRL of this issuer is number %llu",
		    (unsigned long long)c->frozen_number + 1);
	if (c->frozen_number != 0 &&
	    ca->meta.time_ms < c->frozen_ms + CA_CRL_EVERY_MS)
		return refuse(out, CA_CONFLICT,
		    "the last CRL of this issuer was frozen less than a second "
		    "ago");
	if (f->this_s > now_s || f->this_s < c->frozen_this_s ||
	    f->next_s < now_s + CRL_LIFE_MIN_S ||
	    f->next_s > now_s + CA_CRL_LIFE_S)
		return refuse(out, CA_BAD_FORMAT,
		    "a CRL begins at the latest now and lives for 7 days");
	return E_OK;
}

/* The TBSCertList, and what the row says of it. */
static enum code freeze_bytes(
    struct ca *ca, const struct ca_issuer *is, struct ca_crl *c, struct err *e)
{
	struct ca_revoked *rows;
	uint8_t key[BYTES_KEY_LEN];
	struct buf tbs;
	size_t n;
	enum code rc = ca_crl_rows(ca, c->issuer, &rows, &n, e);

	if (rc != E_OK)
		return rc;
	buf_init(&tbs);
	rc = ca->crypto.crl_tbs(ca->crypto.ctx, &tbs, is->cert,
	    c->frozen_number, c->frozen_this_s, c->frozen_next_s, rows, n, e);
	free(rows);
	if (rc == E_OK) {
		c->frozen_entries = n;
		sha256_of(c->frozen_sha256, buf_span(&tbs));
		rc = state_put(ca, CA_T_CRL_BYTES,
		    bytes_key(key, c->issuer, c->frozen_number), buf_span(&tbs),
		    e);
	}
	buf_free(&tbs);
	return rc;
}

enum code apply_freeze(struct ca *ca, const struct ca_freeze_crl *f,
    struct ca_result *out, struct err *e)
{
	struct pruning prune = {.ca = ca};
	const struct ca_view *v;
	struct ca_view *held;
	const struct ca_issuer *is;
	struct ca_crl c;
	uint8_t signature[CA_SIG_MAX];
	enum code rc;

	if ((rc = ca_small(ca, &v, e)) != E_OK ||
	    (rc = crl_get(ca, f->issuer, &c, e)) != E_OK)
		return rc;
	is = ca_view_issuer(v, f->issuer);
	if (freeze_check(ca, is, &c, f, out) != E_OK || out->outcome != CA_OK)
		return E_OK;
	/* The row's bytes go with the first write. */
	if (c.signature.len > sizeof(signature))
		return err_set(e, E_CORRUPT, "a CRL row's signature");
	if (c.signature.len > 0)
		memcpy(signature, c.signature.p, c.signature.len);
	c.signature = span_of(signature, c.signature.len);
	held = ca_view_ref(ca->view);
	/* RFC 5280 §3.3: an entry stays on one CRL after its expiry. */
	prune.before_s = c.this_s;
	rc = each_revoked(ca, f->issuer, prune_row, &prune, e);
	if (rc == E_OK && c.frozen_number != c.number)
		rc = bytes_drop(ca, c.issuer, c.frozen_number, e);
	c.frozen_index = ca->at;
	c.frozen_number = f->number;
	c.frozen_this_s = f->this_s;
	c.frozen_next_s = f->next_s;
	c.frozen_ms = ca->meta.time_ms;
	if (rc == E_OK)
		rc = freeze_bytes(ca, is, &c, e);
	ca_view_unref(held);
	return rc == E_OK ? crl_put(ca, &c, e) : rc;
}

/* ---- Sign ---------------------------------------------------------------- */

enum code apply_sign_crl(struct ca *ca, const struct ca_sign_crl *s,
    struct ca_result *out, struct err *e)
{
	const struct ca_issuer *is;
	const struct ca_view *v;
	struct err why = {0};
	struct ca_crl c;
	struct span tbs;
	uint64_t old;
	enum code rc;

	if ((rc = ca_small(ca, &v, e)) != E_OK ||
	    (rc = crl_get(ca, s->issuer, &c, e)) != E_OK)
		return rc;
	is = ca_view_issuer(v, s->issuer);
	if (is == NULL)
		return refuse(out, CA_NOT_FOUND, "there is no such issuer");
	if (s->number == 0 || c.frozen_number == 0)
		return refuse(out, CA_CONFLICT, "no such CRL was frozen");
	if (s->number == c.number)
		return refuse(out, CA_REPEATED, "%s", "");
	if (s->number != c.frozen_number)
		return refuse(out, CA_CONFLICT,
		    "CRL %llu was superseded before it was signed",
		    (unsigned long long)s->number);
	rc = ca_crl_tbs(ca, s->issuer, s->number, &tbs, e);
	if (rc != E_OK)
		return rc == E_NOTFOUND
			   ? err_set(e, E_CORRUPT, "a frozen CRL has no bytes")
			   : rc;
	if (memcmp(s->tbs_sha256, c.frozen_sha256, SHA256_LEN) != 0)
		return refuse(
		    out, CA_BAD_SIGNATURE, "what was signed is not this CRL");
	rc = ca->crypto.verify(
	    ca->crypto.ctx, is->spki, tbs, s->signature, &why);
	if (rc == E_INVAL)
		return refuse(out, CA_BAD_SIGNATURE,
		    "the signature is not the issuer's over this CRL");
	if (rc != E_OK)
		return err_set(e, rc, "%s", why.text);
	old = c.number;
	c.number = c.frozen_number;
	c.this_s = c.frozen_this_s;
	c.next_s = c.frozen_next_s;
	c.entries = c.frozen_entries;
	c.signed_index = ca->at;
	c.content_index = c.frozen_index;
	c.signature = s->signature;
	memcpy(c.sha256, c.frozen_sha256, SHA256_LEN);
	rc = crl_put(ca, &c, e);
	return rc == E_OK ? bytes_drop(ca, c.issuer, old, e) : rc;
}
