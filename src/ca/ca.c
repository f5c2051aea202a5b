/* ca.c -- one entry at a time: dispatch, record, leaf, scalars. */
#include "ca/ca.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ca/internal.h"
#include "ca/tlog.h"

/* What the edge answers for each outcome. */
static const enum code outcome_codes[] = {
    [CA_OK] = E_OK,
    [CA_REPEATED] = E_OK,
    [CA_BAD_FORMAT] = E_INVAL,
    [CA_NOT_FIRST] = E_CONFLICT,
    [CA_BAD_SIGNATURE] = E_DENIED,
    [CA_NOT_OPERATOR] = E_DENIED,
    [CA_EXPIRED] = E_DENIED,
    [CA_REPLAYED] = E_CONFLICT,
    [CA_WRONG_DOMAIN] = E_DENIED,
    [CA_CONFLICT] = E_CONFLICT,
    [CA_NOT_FOUND] = E_NOTFOUND,
    [CA_SERIAL_USED] = E_UNAVAILABLE,
    [CA_ISSUER_NOT_ACTIVE] = E_UNAVAILABLE,
    [CA_POLICY_CHANGED] = E_UNAVAILABLE,
    [CA_NOT_ALLOWED] = E_DENIED,
    [CA_BLOCKED] = E_DENIED,
    [CA_PARENT_REVOKED] = E_DENIED,
    [CA_QUOTA] = E_EXHAUSTED,
    [CA_NODE_ID_USED] = E_CONFLICT,
    [CA_DIVERGED] = E_CORRUPT,
};

enum code refuse(struct ca_result *out, enum ca_outcome o, const char *fmt, ...)
{
	va_list ap;

	out->outcome = o;
	out->code = outcome_codes[o];
	va_start(ap, fmt);
	vsnprintf(out->why, sizeof(out->why), fmt, ap);
	va_end(ap);
	return E_OK;
}

enum code ca_open(
    struct ca **out, struct ca_db db, struct ca_crypto crypto, struct err *e)
{
	struct ca *ca = calloc(1, sizeof(*ca));
	struct span val;
	enum code rc;

	*out = NULL;
	if (ca == NULL)
		return err_nomem(e);
	ca->db = db;
	ca->crypto = crypto;
	buf_init(&ca->row);
	buf_init(&ca->pod);
	rc = state_get(ca, CA_T_META, span_str(META_SCALARS), &val, e);
	if (rc == E_OK) {
		rc = row_meta_read(val, &ca->meta, e);
		ca->started = ca->meta.policy_version != 0;
	} else if (rc == E_NOTFOUND) {
		rc = E_OK;
	}
	if (rc == E_OK)
		*out = ca;
	else
		ca_close(ca);
	return rc;
}

void ca_close(struct ca *ca)
{
	if (ca == NULL)
		return;
	state_keep(ca);
	free(ca->undo);
	ca_view_unref(ca->view);
	buf_free(&ca->row);
	buf_free(&ca->pod);
	free(ca);
}

uint64_t ca_time_ms(const struct ca *ca)
{
	return ca->meta.time_ms;
}

uint64_t ca_applied(const struct ca *ca)
{
	return ca->meta.applied;
}

enum code ca_small(struct ca *ca, const struct ca_view **out, struct err *e)
{
	enum code rc = E_OK;

	if (ca->view == NULL)
		rc = ca_view_load(ca, &ca->view, e);
	*out = ca->view;
	return rc;
}

void small_changed(struct ca *ca)
{
	ca_view_unref(ca->view);
	ca->view = NULL;
	ca->admin_changed = true;
}

/* RFC 1123 §2.1, lower case. */
bool name_valid(struct span name)
{
	if (name.len == 0 || name.len > CA_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.p[i];
		bool edge = i == 0 || i == name.len - 1;

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			(c == '-' && !edge)))
			return false;
	}
	return true;
}

static enum code dispatch(struct ca *ca, const struct ca_entry *en,
    struct span raw, struct record_row *row, struct ca_result *out,
    struct err *e)
{
	if (en == NULL)
		return refuse(out, CA_BAD_FORMAT, "the entry does not decode");
	if (en->format != CA_FORMAT_VERSION)
		return refuse(out, CA_BAD_FORMAT,
		    "entry format %u is not known here", en->format);
	if ((en->kind == CA_GENESIS) == ca->started)
		return refuse(out, CA_NOT_FIRST, "%s",
		    ca->started ? "Genesis is applied already"
				: "the log must begin with Genesis");
	if (en->time_ms > ca->meta.time_ms)
		ca->meta.time_ms = en->time_ms;
	switch (en->kind) {
	case CA_GENESIS: return apply_genesis(ca, &en->u.genesis, raw, out, e);
	case CA_ISSUE: return apply_issue(ca, en, raw, row, out, e);
	case CA_ADMIN: return apply_admin(ca, &en->u.admin, out, e);
	case CA_CHECKPOINT:
		return apply_checkpoint(ca, &en->u.checkpoint, out, e);
	case CA_REFRESH_KEYS: return apply_refresh(ca, en, out, e);
	case CA_FREEZE_CRL: return apply_freeze(ca, &en->u.freeze_crl, out, e);
	case CA_SIGN_CRL: return apply_sign_crl(ca, &en->u.sign_crl, out, e);
	}
	return refuse(out, CA_BAD_FORMAT, "unknown kind of entry");
}

/* Leaf ▣: u8 version, u64 index, SHA-256(entry), u8 outcome, SHA-256(effect).
 */
#define LEAF_LEN (1 + 8 + SHA256_LEN + 1 + SHA256_LEN)
void record_leaf(uint8_t out[SHA256_LEN], const struct ca_record *rec)
{
	uint8_t leaf[LEAF_LEN];

	leaf[0] = CA_FORMAT_VERSION;
	put_u64be(leaf + 1, rec->index);
	sha256_of(leaf + 9, rec->raw);
	leaf[9 + SHA256_LEN] = (uint8_t)rec->outcome;
	memcpy(leaf + 10 + SHA256_LEN, rec->effect, SHA256_LEN);
	tlog_leaf(out, span_of(leaf, sizeof(leaf)));
}

static enum code append_leaf(
    struct ca *ca, const struct ca_record *rec, struct err *e)
{
	uint8_t hash[SHA256_LEN];

	record_leaf(hash, rec);
	return tlog_append(ca, hash, e);
}

static enum code put_scalars(struct ca *ca, struct err *e)
{
	enum code rc;

	buf_clear(&ca->row);
	row_meta(&ca->row, &ca->meta);
	if ((rc = buf_check(&ca->row, e)) != E_OK)
		return rc;
	return state_put(
	    ca, CA_T_META, span_str(META_SCALARS), buf_span(&ca->row), e);
}

static enum code put_record(
    struct ca *ca, const struct record_row *row, struct err *e)
{
	uint8_t key[8];
	enum code rc;

	put_u64be(key, row->record.index);
	buf_clear(&ca->row);
	row_record(&ca->row, row);
	if ((rc = buf_check(&ca->row, e)) != E_OK)
		return rc;
	return state_put(
	    ca, CA_T_RECORD, span_of(key, sizeof(key)), buf_span(&ca->row), e);
}

static enum code put_derived(
    void *arg, enum ca_table t, struct span key, struct span val, struct err *e)
{
	return state_put(arg, t, key, val, e);
}

enum code ca_apply(struct ca *ca, uint64_t index, const struct ca_entry *entry,
    struct span raw, struct ca_result *out, struct err *e)
{
	struct record_row row = {0};
	enum code rc;

	if (index <= ca->meta.applied)
		return err_set(e, E_CORRUPT,
		    "entry %llu comes after entry %llu was applied",
		    (unsigned long long)index,
		    (unsigned long long)ca->meta.applied);
	memset(out, 0, sizeof(*out));
	out->index = index;
	ca->at = index;
	state_begin(ca);
	if ((rc = dispatch(ca, entry, raw, &row, out, e)) != E_OK)
		return rc;
	row.record.index = index;
	row.record.leaf = ca->meta.tree_size;
	row.record.time_ms = ca->meta.time_ms;
	row.record.outcome = out->outcome;
	row.record.raw = raw;
	sha256_end(&ca->effect, row.record.effect);
	sha256_init(&ca->effect);
	if ((rc = put_record(ca, &row, e)) != E_OK ||
	    (rc = derived_rows(&row, put_derived, ca, e)) != E_OK ||
	    (rc = append_leaf(ca, &row.record, e)) != E_OK)
		return rc;
	ca->meta.applied = index;
	if ((rc = checkpoint_take(ca, index, e)) != E_OK ||
	    (rc = put_scalars(ca, e)) != E_OK)
		return rc;
	out->view_changed = ca->admin_changed;
	return E_OK;
}

enum code ca_head(const struct ca *ca, struct ca_head *out, struct err *e)
{
	out->index = ca->meta.applied;
	out->tree_size = ca->meta.tree_size;
	memcpy(out->state_digest, ca->meta.digest, SHA256_LEN);
	return tlog_root(ca, ca->meta.tree_size, out->root, e);
}

static enum code sum_row(
    void *arg, enum ca_table t, struct span key, struct span val, struct err *e)
{
	(void)e;
	if (state_counts(t, key))
		digest_add(arg, t, key, val);
	return E_OK;
}

enum code ca_digest_rows(
    const struct ca *ca, uint8_t out[SHA256_LEN], struct err *e)
{
	enum code rc = E_OK;

	memset(out, 0, SHA256_LEN);
	for (size_t i = 0; rc == E_OK && i < all_tables_n; i++)
		if (state_counts(all_tables[i], SPAN_EMPTY))
			rc = each_row(
			    ca->db, all_tables[i], SPAN_EMPTY, sum_row, out, e);
	return rc;
}

/* ---- Snapshots ---------------------------------------------------------- */

enum code ca_restore_row(struct ca *ca, enum ca_table t, struct span key,
    struct span val, struct err *e)
{
	struct record_row row = {0};
	enum code rc;

	if (t != CA_T_RECORD)
		return E_OK;
	if (key.len != 8)
		return err_set(e, E_CORRUPT, "a record's key is not an index");
	rc = row_record_read(val, get_u64be(key.p), &row, e);
	if (rc != E_OK)
		return rc;
	if (row.record.index <= ca->meta.applied)
		return err_set(e, E_CORRUPT,
		    "record %llu comes after record %llu",
		    (unsigned long long)row.record.index,
		    (unsigned long long)ca->meta.applied);
	if (row.record.leaf != ca->meta.tree_size)
		return err_set(e, E_CORRUPT,
		    "record %llu is leaf %llu, expected leaf %llu",
		    (unsigned long long)row.record.index,
		    (unsigned long long)row.record.leaf,
		    (unsigned long long)ca->meta.tree_size);
	/* What the scalars must turn out to be.  The first entry that took
	 * effect is Genesis: nothing else can before it. */
	ca->meta.applied = row.record.index;
	ca->meta.time_ms = row.record.time_ms;
	if (!ca->started && row.record.outcome == CA_OK) {
		ca->meta.genesis_ms = row.record.time_ms;
		ca->started = true;
	}
	if ((rc = derived_rows(&row, put_derived, ca, e)) != E_OK)
		return rc;
	return append_leaf(ca, &row.record, e);
}

/* Is n the largest key of a table whose keys are numbers? */
static enum code check_last(
    struct ca *ca, enum ca_table t, uint64_t n, struct err *e)
{
	struct span key, val;
	uint8_t at[8];
	enum code rc;

	put_u64be(at, n);
	rc = state_get(ca, t, span_of(at, sizeof(at)), &val, e);
	if (rc == E_OK)
		rc = ca->db.ops->seek(ca->db.ctx, t, span_of(at, sizeof(at)),
		    true, &key, &val, e);
	else if (rc == E_NOTFOUND)
		rc = E_OK;
	if (rc != E_OK)
		return rc == E_NOTFOUND ? E_OK : rc;
	return err_set(
	    e, E_CORRUPT, "the state's scalars do not follow from its rows");
}

/* The scalars are no part of the digest, but all of them follow from rows that
 * are. */
static enum code check_scalars(
    struct ca *ca, const struct ca_meta *built, struct err *e)
{
	const struct ca_meta *m = &ca->meta;
	enum code rc;

	if (built->applied != m->applied || built->time_ms != m->time_ms ||
	    built->genesis_ms != m->genesis_ms)
		return err_set(e, E_CORRUPT,
		    "the state's scalars do not follow from its records");
	if (!ca->started)
		return E_OK;
	rc = check_last(ca, CA_T_NODE, m->last_node_id, e);
	return rc == E_OK ? check_last(ca, CA_T_POLICY, m->policy_version, e)
			  : rc;
}

enum code state_agrees(struct ca *ca, const struct ca_meta *built, bool started,
    const uint8_t digest[SHA256_LEN], struct err *e)
{
	enum code rc;

	if (built->tree_size != ca->meta.tree_size)
		return err_set(e, E_CORRUPT,
		    "the state has %llu records, its tree %llu leaves",
		    (unsigned long long)built->tree_size,
		    (unsigned long long)ca->meta.tree_size);
	if (memcmp(digest, ca->meta.digest, SHA256_LEN) != 0)
		return err_set(e, E_CORRUPT,
		    "the state's rows do not add up to its state digest");
	if (started != ca->started)
		return err_set(e, E_CORRUPT,
		    "the state's records and its policy disagree");
	if ((rc = crl_check_bytes(ca, e)) != E_OK)
		return rc;
	return check_scalars(ca, built, e);
}

enum code ca_restore_check(struct ca *ca, struct err *e)
{
	struct ca_meta built = ca->meta;
	bool started = ca->started;
	uint8_t digest[SHA256_LEN];
	struct span val;
	enum code rc;

	rc = state_get(ca, CA_T_META, span_str(META_SCALARS), &val, e);
	if (rc == E_NOTFOUND)
		return err_set(e, E_CORRUPT, "the state has no scalars");
	if (rc != E_OK || (rc = row_meta_read(val, &ca->meta, e)) != E_OK ||
	    (rc = ca_digest_rows(ca, digest, e)) != E_OK)
		return rc;
	ca->started = ca->meta.policy_version != 0;
	small_changed(ca);
	return state_agrees(ca, &built, started, digest, e);
}

/* ---- Reads -------------------------------------------------------------- */

enum code record_row_get(
    const struct ca *ca, uint64_t index, struct record_row *out, struct err *e)
{
	uint8_t key[8];
	struct span val;
	enum code rc;

	*out = (struct record_row){0};
	put_u64be(key, index);
	rc = state_get(ca, CA_T_RECORD, span_of(key, sizeof(key)), &val, e);
	if (rc == E_NOTFOUND)
		return err_set(e, E_NOTFOUND, "there is no record %llu",
		    (unsigned long long)index);
	return rc == E_OK ? row_record_read(val, index, out, e) : rc;
}

enum code ca_record_get(
    const struct ca *ca, uint64_t index, struct ca_record *out, struct err *e)
{
	struct record_row row;
	enum code rc = record_row_get(ca, index, &row, e);

	*out = row.record;
	return rc;
}

enum code ca_record_by_serial(const struct ca *ca,
    const uint8_t serial[CA_SERIAL_LEN], struct ca_record *out, struct err *e)
{
	struct span val;
	enum code rc =
	    state_get(ca, CA_T_SERIAL, span_of(serial, CA_SERIAL_LEN), &val, e);

	if (rc == E_NOTFOUND)
		return err_set(e, E_NOTFOUND,
		    "no certificate with that serial was issued");
	if (rc != E_OK)
		return rc;
	if (val.len != 8)
		return err_set(e, E_CORRUPT, "a row of the serial table");
	return ca_record_get(ca, get_u64be(val.p), out, e);
}

/* The next record of anybody that issued a certificate. */
static enum code next_issued(
    const struct ca *ca, uint64_t after, struct ca_record *out, struct err *e)
{
	uint8_t at[8];
	struct span key, val;
	enum code rc;

	for (;;) {
		struct record_row row = {0};

		put_u64be(at, after);
		rc = ca->db.ops->seek(ca->db.ctx, CA_T_RECORD,
		    span_of(at, sizeof(at)), true, &key, &val, e);
		if (rc != E_OK)
			return rc;
		after = key.len == 8 ? get_u64be(key.p) : UINT64_MAX;
		rc = row_record_read(val, after, &row, e);
		if (rc != E_OK)
			return rc;
		if (row.serial.len != 0) {
			*out = row.record;
			return E_OK;
		}
	}
}

enum code ca_record_next_other(
    const struct ca *ca, uint64_t after, struct ca_record *out, struct err *e)
{
	uint8_t at[8];
	struct span key, val;
	enum code rc;

	put_u64be(at, after);
	rc = ca->db.ops->seek(ca->db.ctx, CA_T_OTHER, span_of(at, sizeof(at)),
	    true, &key, &val, e);
	if (rc != E_OK)
		return rc;
	if (key.len != 8)
		return err_set(e, E_CORRUPT, "a row of the other table");
	return ca_record_get(ca, get_u64be(key.p), out, e);
}

enum code ca_record_next(const struct ca *ca, struct span identity,
    uint64_t after, struct ca_record *out, struct err *e)
{
	uint8_t at[SHA256_LEN + 8];
	struct span key, val;
	enum code rc;

	if (identity.len == 0)
		return next_issued(ca, after, out, e);
	sha256_of(at, identity);
	put_u64be(at + SHA256_LEN, after);
	rc = ca->db.ops->seek(ca->db.ctx, CA_T_IDENTITY,
	    span_of(at, sizeof(at)), true, &key, &val, e);
	if (rc != E_OK)
		return rc;
	if (key.len != sizeof(at) || memcmp(key.p, at, SHA256_LEN) != 0)
		return E_NOTFOUND;
	return ca_record_get(ca, get_u64be(key.p + SHA256_LEN), out, e);
}
