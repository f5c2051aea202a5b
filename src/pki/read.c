/* read.c -- what a CA certificate says (RFC 5280 §4).  Every node must come to
 * the same answer, whatever OpenSSL it runs and however short its memory is:
 * so this is our own reader, strict and without allocations. */
#include "pki/internal.h"

#include <string.h>

#define CERT_MAX 16384

/* ---- Extensions, §4.2.1 ---- */

static bool read_constraints(struct ca_cert *c, struct span v)
{
	struct span all, flag, n;

	if (!der_take(&v, DER_SEQUENCE, &all, NULL) || v.len != 0)
		return false;
	if (der_take(&all, DER_BOOLEAN, &flag, NULL)) {
		if (!span_eq(flag, span_of("\xff", 1)))
			return false;
		c->ca = true;
	}
	if (all.len == 0)
		return true;
	if (!c->ca || !der_take_uint(&all, &n) || n.len != 1 || all.len != 0)
		return false;
	c->has_pathlen = true;
	c->pathlen = n.p[0];
	return true;
}

static bool read_usage(struct ca_cert *c, struct span v)
{
	struct span bits;

	if (!der_take(&v, DER_BIT_STRING, &bits, NULL) || v.len != 0 ||
	    bits.len < 2 || bits.p[0] > 7 ||
	    (bits.p[bits.len - 1] & ((1 << bits.p[0]) - 1)) != 0)
		return false;
	c->usage = bits.p[1];
	return true;
}

static bool read_subject_key_id(struct ca_cert *c, struct span v)
{
	return der_take(&v, DER_OCTET_STRING, &c->subject_key_id, NULL) &&
	       v.len == 0 && c->subject_key_id.len > 0;
}

/* RFC 5280 §4.2.1.1: of key identifier, issuer and serial, each of them
 * optional, the first is looked at. */
static bool read_authority_key_id(struct ca_cert *c, struct span v)
{
	struct span all, skipped;

	if (!der_take(&v, DER_SEQUENCE, &all, NULL) || v.len != 0)
		return false;
	(void)der_take(&all, DER_CONTEXT_0, &c->authority_key_id, NULL);
	(void)der_take(&all, DER_CONSTRUCTED_0 + 1, &skipped, NULL);
	(void)der_take(&all, DER_CONTEXT_0 + 2, &skipped, NULL);
	return all.len == 0;
}

/* It binds what is below the issuer, and whoever verifies a chain checks it. */
static bool read_name_constraints(struct ca_cert *c, struct span v)
{
	struct span all;

	(void)c;
	return der_take(&v, DER_SEQUENCE, &all, NULL) && v.len == 0;
}

static const struct {
	enum der_oid oid;
	bool (*read)(struct ca_cert *c, struct span value);
} known[] = {
    {OID_BASIC_CONSTRAINTS, read_constraints},
    {OID_KEY_USAGE, read_usage},
    {OID_SUBJECT_KEY_ID, read_subject_key_id},
    {OID_AUTHORITY_KEY_ID, read_authority_key_id},
    {OID_NAME_CONSTRAINTS, read_name_constraints},
};

/* One extension; seen has a bit for each of those known. */
static bool read_extension(struct ca_cert *c, struct span ext, unsigned *seen)
{
	struct span oid, flag, value;
	bool critical;

	if (!der_take(&ext, DER_OID, &oid, NULL))
		return false;
	critical = der_take(&ext, DER_BOOLEAN, &flag, NULL);
	if ((critical && !span_eq(flag, span_of("\xff", 1))) ||
	    !der_take(&ext, DER_OCTET_STRING, &value, NULL) || ext.len != 0)
		return false;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!span_eq(oid, der_oid_bytes(known[i].oid)))
			continue;
		if ((*seen >> i & 1) != 0)
			return false;
		*seen |= 1U << i;
		return known[i].read(c, value);
	}
	c->critical_unknown |= critical;
	return true;
}

static bool read_extensions(struct ca_cert *c, struct span outer)
{
	struct span list, ext;
	unsigned seen = 0;

	if (outer.len == 0)
		return true;
	if (!der_take(&outer, DER_SEQUENCE, &list, NULL) || outer.len != 0)
		return false;
	while (list.len > 0)
		if (!der_take(&list, DER_SEQUENCE, &ext, NULL) ||
		    !read_extension(c, ext, &seen))
			return false;
	return true;
}

/* ---- The rest ---- */

static bool is_our_algorithm(struct span algorithm)
{
	struct span oid;

	return der_take(&algorithm, DER_OID, &oid, NULL) &&
	       algorithm.len == 0 &&
	       span_eq(oid, der_oid_bytes(OID_ECDSA_SHA256));
}

/* Name: a SEQUENCE of SETs of pairs that begin with an OID. */
static bool is_name(struct span rdns)
{
	struct span set, pair, oid;

	while (rdns.len > 0) {
		if (!der_take(&rdns, DER_SET, &set, NULL) || set.len == 0)
			return false;
		while (set.len > 0)
			if (!der_take(&set, DER_SEQUENCE, &pair, NULL) ||
			    !der_take(&pair, DER_OID, &oid, NULL) ||
			    pair.len == 0)
				return false;
	}
	return true;
}

static bool read_outer(struct span cert, struct ca_cert *c, struct span *tbs,
    struct span *algorithm)
{
	struct span all;

	if (cert.len > CERT_MAX || !der_take(&cert, DER_SEQUENCE, &all, NULL) ||
	    cert.len != 0 || !der_take(&all, DER_SEQUENCE, tbs, &c->tbs) ||
	    !der_take(&all, DER_SEQUENCE, algorithm, NULL) ||
	    !der_take(&all, DER_BIT_STRING, &c->signature, NULL) ||
	    all.len != 0 || c->signature.len < 2 || c->signature.p[0] != 0)
		return false;
	c->signature = span_of(c->signature.p + 1, c->signature.len - 1);
	return true;
}

static bool read_names_and_key(
    struct span *tbs, struct ca_cert *c, struct span *validity)
{
	struct span issuer, subject, spki;

	return der_take(tbs, DER_SEQUENCE, &issuer, &c->issuer) &&
	       der_take(tbs, DER_SEQUENCE, validity, NULL) &&
	       der_take(tbs, DER_SEQUENCE, &subject, &c->subject) &&
	       der_take(tbs, DER_SEQUENCE, &spki, &c->spki) &&
	       is_name(issuer) && is_name(subject) && subject.len > 0;
}

enum code ca_cert_read(struct span cert, struct ca_cert *out, struct err *e)
{
	struct span tbs, outer, inner, version, n, validity, exts = SPAN_EMPTY;

	*out = (struct ca_cert){0};
	if (!read_outer(cert, out, &tbs, &outer) ||
	    !der_take(&tbs, DER_CONSTRUCTED_0, &version, NULL) ||
	    !der_take_uint(&version, &n) || !span_eq(n, span_of("\x02", 1)) ||
	    version.len != 0 || !der_take(&tbs, DER_INTEGER, &n, NULL) ||
	    !der_take(&tbs, DER_SEQUENCE, &inner, NULL))
		return err_set(
		    e, E_INVAL, "not an X.509 v3 certificate in DER");
	if (!is_our_algorithm(inner) || !is_our_algorithm(outer))
		return err_set(
		    e, E_INVAL, "its signature is not ecdsa-with-SHA256");
	if (!read_names_and_key(&tbs, out, &validity))
		return err_set(e, E_INVAL, "its names or key are malformed");
	if (!der_take_time(&validity, &out->not_before_s) ||
	    !der_take_time(&validity, &out->not_after_s) || validity.len != 0)
		return err_set(e, E_INVAL, "its validity is malformed");
	if (tbs.len > 0 &&
	    (!der_take(&tbs, DER_CONSTRUCTED_0 + 3, &exts, NULL) ||
		tbs.len != 0))
		return err_set(e, E_INVAL, "it has unique identifiers");
	if (!read_extensions(out, exts))
		return err_set(e, E_INVAL, "an extension is malformed");
	return pki_key_id(out->spki, out->key_id, e);
}

struct span ca_cert_authority(const struct ca_cert *c)
{
	return c->subject_key_id.len > 0 ? c->subject_key_id
					 : span_of(c->key_id, CA_KEY_ID_LEN);
}

enum code pki_issuer_from_cert(
    struct span cert, struct pki_issuer *out, struct err *e)
{
	struct ca_cert c;
	enum code rc = ca_cert_read(cert, &c, e);

	if (rc == E_OK && ca_cert_authority(&c).len != CA_KEY_ID_LEN)
		rc = err_set(e, E_INVAL,
		    "its subject key identifier is not %d octets long",
		    CA_KEY_ID_LEN);
	if (rc != E_OK)
		return err_wrap(e, rc, "the issuer certificate");
	out->name = c.subject;
	out->not_after_s = c.not_after_s;
	memcpy(out->key_id, ca_cert_authority(&c).p, CA_KEY_ID_LEN);
	return E_OK;
}
