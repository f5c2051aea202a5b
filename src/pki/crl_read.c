/* crl_read.c -- a CRL that somebody else's machine signed, the root's: read by
 * our own reader, strictly and without allocations, so that every node comes to
 * the same answer (RFC 5280 §5.1). */
#include "pki/internal.h"

#include <stdlib.h>
#include <string.h>

#define CRL_MAX (16 * 1024 * 1024)

struct crl {
	struct span tbs, signature, issuer;
	struct span entries; /* content of revokedCertificates */
	uint64_t this_s, next_s, number;
	bool has_number;
};

/* ---- The parts ---- */

static bool is_ecdsa_sha256(struct span algorithm)
{
	struct span oid;

	return der_take(&algorithm, DER_OID, &oid, NULL) &&
	       algorithm.len == 0 &&
	       span_eq(oid, der_oid_bytes(OID_ECDSA_SHA256));
}

static bool read_number(struct crl *c, struct span value)
{
	struct span n;

	if (c->has_number || !der_take_uint(&value, &n) || value.len != 0)
		return false;
	if (n.p[0] == 0) /* the sign's */
		n = span_of(n.p + 1, n.len - 1);
	if (n.len > 8)
		return false;
	for (size_t i = 0; i < n.len; i++)
		c->number = c->number << 8 | n.p[i];
	c->has_number = true;
	return true;
}

/* Those that are not known must not be critical (§5.2). */
static bool read_extension(struct crl *c, struct span ext)
{
	struct span oid, flag, value;
	bool critical;

	if (!der_take(&ext, DER_OID, &oid, NULL))
		return false;
	critical = der_take(&ext, DER_BOOLEAN, &flag, NULL);
	if ((critical && !span_eq(flag, span_of("\xff", 1))) ||
	    !der_take(&ext, DER_OCTET_STRING, &value, NULL) || ext.len != 0)
		return false;
	if (span_eq(oid, der_oid_bytes(OID_CRL_NUMBER)))
		return !critical && read_number(c, value);
	return !critical;
}

static bool read_extensions(struct crl *c, struct span outer)
{
	struct span list, ext;

	if (!der_take(&outer, DER_SEQUENCE, &list, NULL) || outer.len != 0)
		return false;
	while (list.len > 0)
		if (!der_take(&list, DER_SEQUENCE, &ext, NULL) ||
		    !read_extension(c, ext))
			return false;
	return true;
}

static bool read_tbs(struct crl *c, struct span tbs)
{
	struct span version, algorithm, issuer, exts;

	c->entries = SPAN_EMPTY;
	return der_take_uint(&tbs, &version) &&
	       span_eq(version, span_of("\x01", 1)) &&
	       der_take(&tbs, DER_SEQUENCE, &algorithm, NULL) &&
	       is_ecdsa_sha256(algorithm) &&
	       der_take(&tbs, DER_SEQUENCE, &issuer, &c->issuer) &&
	       der_take_time(&tbs, &c->this_s) &&
	       der_take_time(&tbs, &c->next_s) &&
	       (der_take(&tbs, DER_SEQUENCE, &c->entries, NULL) || true) &&
	       der_take(&tbs, DER_CONSTRUCTED_0, &exts, NULL) && tbs.len == 0 &&
	       read_extensions(c, exts) && c->has_number;
}

static bool read_crl(struct crl *c, struct span crl)
{
	struct span all, tbs, algorithm, bits;

	*c = (struct crl){0};
	if (crl.len > CRL_MAX || !der_take(&crl, DER_SEQUENCE, &all, NULL) ||
	    crl.len != 0 || !der_take(&all, DER_SEQUENCE, &tbs, &c->tbs) ||
	    !der_take(&all, DER_SEQUENCE, &algorithm, NULL) ||
	    !is_ecdsa_sha256(algorithm) ||
	    !der_take(&all, DER_BIT_STRING, &bits, NULL) || all.len != 0 ||
	    bits.len < 2 || bits.p[0] != 0)
		return false;
	c->signature = span_of(bits.p + 1, bits.len - 1);
	return read_tbs(c, tbs);
}

/* ---- Entries ---- */

static bool read_reason(struct span exts, struct ca_revoked *row)
{
	struct span ext, oid, value, n;

	while (exts.len > 0) {
		if (!der_take(&exts, DER_SEQUENCE, &ext, NULL) ||
		    !der_take(&ext, DER_OID, &oid, NULL) ||
		    !der_take(&ext, DER_OCTET_STRING, &value, NULL) ||
		    ext.len != 0)
			return false;
		if (!span_eq(oid, der_oid_bytes(OID_CRL_REASON)))
			continue;
		if (!der_take(&value, DER_ENUMERATED, &n, NULL) || n.len != 1 ||
		    !crl_reason_valid(n.p[0]))
			return false;
		row->reason = (enum ca_reason)n.p[0];
	}
	return true;
}

/* One entry off the front; serials of ours have 16 octets. */
static bool take_entry(struct span *list, struct ca_revoked *row)
{
	struct span entry, serial, exts = SPAN_EMPTY;

	*row = (struct ca_revoked){0};
	if (!der_take(list, DER_SEQUENCE, &entry, NULL) ||
	    !der_take_uint(&entry, &serial) || serial.len != CA_SERIAL_LEN ||
	    !der_take_time(&entry, &row->revoked_s))
		return false;
	memcpy(row->serial, serial.p, CA_SERIAL_LEN);
	if (entry.len > 0 && !der_take(&entry, DER_SEQUENCE, &exts, NULL))
		return false;
	return entry.len == 0 && read_reason(exts, row);
}

static enum code check_entries(
    const struct crl *c, struct span listed, size_t *count, struct err *e)
{
	uint8_t serial[CA_SERIAL_LEN] = {0};
	struct span list = c->entries;
	struct ca_revoked row;
	bool found = listed.len == 0;

	if (!found) {
		enum code rc = pki_cert_serial(listed, serial, e);

		if (rc != E_OK)
			return rc;
	}
	for (*count = 0; list.len > 0; (*count)++) {
		if (!take_entry(&list, &row))
			return err_set(
			    e, E_INVAL, "entry %zu is malformed", *count + 1);
		found =
		    found || memcmp(row.serial, serial, sizeof(serial)) == 0;
	}
	return found ? E_OK
		     : err_set(e, E_INVAL, "it does not list the certificate");
}

/* ---- The whole ---- */

enum code pki_crl_read(struct span crl, struct span issuer_cert,
    struct span lists, struct pki_crl_facts *out, struct err *e)
{
	struct ca_crypto crypto = pki_ca_crypto();
	struct ca_cert issuer;
	struct crl c;
	enum code rc = ca_cert_read(issuer_cert, &issuer, e);

	if (rc != E_OK)
		return rc;
	if (!read_crl(&c, crl))
		return err_set(e, E_INVAL,
		    "not a v2 CRL in DER with number and next update, signed "
		    "with ecdsa-with-SHA256");
	if (!span_eq(c.issuer, issuer.subject))
		return err_set(e, E_INVAL, "it is another issuer's");
	if (c.next_s < c.this_s)
		return err_set(e, E_INVAL, "it ends before it begins");
	rc = crypto.verify(crypto.ctx, issuer.spki, c.tbs, c.signature, e);
	if (rc != E_OK)
		return rc;
	out->number = c.number;
	out->this_s = c.this_s;
	out->next_s = c.next_s;
	return check_entries(&c, lists, &out->entries, e);
}

enum code pki_cert_serial(
    struct span cert, uint8_t out[CA_SERIAL_LEN], struct err *e)
{
	struct span all, tbs, version, n;

	if (!der_take(&cert, DER_SEQUENCE, &all, NULL) ||
	    !der_take(&all, DER_SEQUENCE, &tbs, NULL) ||
	    !der_take(&tbs, DER_CONSTRUCTED_0, &version, NULL) ||
	    !der_take_uint(&tbs, &n) || n.len != CA_SERIAL_LEN)
		return err_set(e, E_INVAL,
		    "not a certificate with a serial of %d octets",
		    CA_SERIAL_LEN);
	memcpy(out, n.p, CA_SERIAL_LEN);
	return E_OK;
}

enum code pki_crl_rows(
    struct span crl, struct ca_revoked **rows, size_t *n, struct err *e)
{
	struct span list;
	struct ca_revoked row;
	size_t count;
	struct crl c;
	enum code rc;

	*rows = NULL;
	*n = 0;
	if (!read_crl(&c, crl))
		return err_set(e, E_INVAL, "not a v2 CRL in DER");
	rc = check_entries(&c, SPAN_EMPTY, &count, e);
	if (rc != E_OK)
		return rc;
	*rows = calloc(count + 1, sizeof(**rows));
	if (*rows == NULL)
		return err_nomem(e);
	for (list = c.entries; list.len > 0 && take_entry(&list, &row);)
		(*rows)[(*n)++] = row;
	return E_OK;
}

/* ---- A trust anchor of another trust domain, whatever its key ---- */

static bool says_ca(struct span value)
{
	struct span all, flag;

	return der_take(&value, DER_SEQUENCE, &all, NULL) && value.len == 0 &&
	       der_take(&all, DER_BOOLEAN, &flag, NULL) &&
	       span_eq(flag, span_of("\xff", 1));
}

static bool has_ca_extension(struct span outer)
{
	struct span list, ext, oid, flag, value;
	bool ca = false;

	if (!der_take(&outer, DER_SEQUENCE, &list, NULL))
		return false;
	while (list.len > 0) {
		if (!der_take(&list, DER_SEQUENCE, &ext, NULL) ||
		    !der_take(&ext, DER_OID, &oid, NULL))
			return false;
		(void)der_take(&ext, DER_BOOLEAN, &flag, NULL);
		if (!der_take(&ext, DER_OCTET_STRING, &value, NULL))
			return false;
		if (span_eq(oid, der_oid_bytes(OID_BASIC_CONSTRAINTS)))
			ca = says_ca(value);
	}
	return ca;
}

enum code anchor_check(struct span cert, struct err *e)
{
	struct span all, tbs, skip, exts;

	if (!der_take(&cert, DER_SEQUENCE, &all, NULL) || cert.len != 0 ||
	    !der_take(&all, DER_SEQUENCE, &tbs, NULL) ||
	    !der_take(&all, DER_SEQUENCE, &skip, NULL) ||
	    !der_take(&all, DER_BIT_STRING, &skip, NULL) || all.len != 0 ||
	    !der_take(&tbs, DER_CONSTRUCTED_0, &skip, NULL) ||
	    !der_take(&tbs, DER_INTEGER, &skip, NULL) ||
	    !der_take(&tbs, DER_SEQUENCE, &skip, NULL) || /* signature */
	    !der_take(&tbs, DER_SEQUENCE, &skip, NULL) || /* issuer */
	    !der_take(&tbs, DER_SEQUENCE, &skip, NULL) || /* validity */
	    !der_take(&tbs, DER_SEQUENCE, &skip, NULL) || /* subject */
	    !der_take(&tbs, DER_SEQUENCE, &skip, NULL) || /* key */
	    !der_take(&tbs, DER_CONSTRUCTED_0 + 3, &exts, NULL) ||
	    tbs.len != 0 || !has_ca_extension(exts))
		return err_set(e, E_INVAL, "not a v3 CA certificate in DER");
	return E_OK;
}
