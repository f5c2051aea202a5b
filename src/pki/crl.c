/* crl.c -- certificate revocation lists (RFC 5280 §5), v2. */
#include "pki/internal.h"

#include <string.h>

/* 7 is not used, 8 is for delta CRLs. */
bool crl_reason_valid(unsigned reason)
{
	return reason <= 10 && reason != 7 && reason != 8;
}

static enum code check_rows(
    const struct ca_revoked *rows, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		if (!crl_reason_valid((unsigned)rows[i].reason))
			return err_set(e, E_INVAL,
			    "%d is not a reason of RFC 5280 §5.3.1",
			    rows[i].reason);
		if (rows[i].revoked_s > DER_TIME_MAX_S)
			return err_set(e, E_INVAL,
			    "a revocation is dated after the year 9999");
	}
	return E_OK;
}

static void put_reason(struct buf *b, enum ca_reason reason)
{
	uint8_t value = (uint8_t)reason;
	size_t at = der_begin(b);
	struct ext x = ext_begin(b, OID_CRL_REASON, false);

	der_uint(b, DER_ENUMERATED, span_of(&value, 1));
	ext_end(b, x);
	der_end(b, at, DER_SEQUENCE);
}

/* revokedCertificates: absent if there are none (§5.1.2.6). */
static void put_rows(struct buf *b, const struct ca_revoked *rows, size_t n)
{
	size_t list = der_begin(b);

	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		size_t at = der_begin(b);

		der_uint(
		    b, DER_INTEGER, span_of(rows[i].serial, CA_SERIAL_LEN));
		der_time(b, rows[i].revoked_s);
		if (rows[i].reason != 0)
			put_reason(b, rows[i].reason);
		der_end(b, at, DER_SEQUENCE);
	}
	der_end(b, list, DER_SEQUENCE);
}

static void put_exts(
    struct buf *b, const uint8_t key_id[CA_KEY_ID_LEN], uint64_t number)
{
	struct exts list = exts_begin(b);
	struct ext x;

	ext_authority_key_id(b, span_of(key_id, CA_KEY_ID_LEN));
	x = ext_begin(b, OID_CRL_NUMBER, false);
	der_u64(b, DER_INTEGER, number);
	ext_end(b, x);
	exts_end(b, list, 0);
}

enum code pki_crl_tbs(struct buf *out, struct span issuer_cert, uint64_t number,
    uint64_t this_s, uint64_t next_s, const struct ca_revoked *rows, size_t n,
    struct err *e)
{
	struct pki_issuer issuer;
	size_t at = der_begin(out);
	enum code rc = pki_issuer_from_cert(issuer_cert, &issuer, e);

	if (rc == E_OK)
		rc = cert_times_check(this_s, next_s, e);
	if (rc == E_OK)
		rc = check_rows(rows, n, e);
	if (rc != E_OK)
		return rc;
	der_u64(out, DER_INTEGER, 1); /* v2 */
	put_algorithm(out);
	buf_add_span(out, issuer.name);
	der_time(out, this_s);
	der_time(out, next_s);
	put_rows(out, rows, n);
	put_exts(out, issuer.key_id, number);
	der_end(out, at, DER_SEQUENCE);
	return buf_check(out, e);
}

enum code pki_crl_der(
    struct buf *out, struct span tbs, struct span sig, struct err *e)
{
	if (tbs.len == 0 || sig.len == 0 || sig.len > CA_SIG_MAX)
		return err_set(e, E_INVAL, "a CRL needs content and signature");
	put_signed(out, tbs, sig);
	return buf_check(out, e);
}
