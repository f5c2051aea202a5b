/* crl_read.c -- a CRL that somebody else's machine signed: the root's. */
#include "pki/internal.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#define CRL_MAX (64 * 1024 * 1024)

static enum code crl_parse(struct span crl, X509_CRL **out, struct err *e)
{
	const uint8_t *p = crl.p;

	*out = NULL;
	if (crl.len > 0 && crl.len <= CRL_MAX)
		*out = d2i_X509_CRL(NULL, &p, (long)crl.len);
	if (*out != NULL && p == crl.p + crl.len)
		return E_OK;
	X509_CRL_free(*out);
	*out = NULL;
	return err_set(e, E_INVAL, "not a CRL in DER");
}

static enum code take_number(const X509_CRL *c, uint64_t *out, struct err *e)
{
	int critical;
	ASN1_INTEGER *n =
	    X509_CRL_get_ext_d2i(c, NID_crl_number, &critical, NULL);
	bool ok = n != NULL && ASN1_INTEGER_get_uint64(out, n) == 1;

	ASN1_INTEGER_free(n);
	return ok ? E_OK : err_set(e, E_INVAL, "it has no CRL number");
}

static enum code take_times(
    const X509_CRL *c, struct pki_crl_facts *out, struct err *e)
{
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(c);

	out->next_s = 0;
	if (!time_to_unix(X509_CRL_get0_lastUpdate(c), &out->this_s) ||
	    (next != NULL && !time_to_unix(next, &out->next_s)))
		return err_set(e, E_INVAL, "its times cannot be read");
	return E_OK;
}

static enum code check_signer(
    X509_CRL *c, const struct ca_cert *issuer, struct err *e)
{
	if (X509_NAME_cmp(
		X509_CRL_get_issuer(c), X509_get_subject_name(issuer->x)) != 0)
		return err_set(e, E_INVAL, "it is another issuer's");
	if (X509_CRL_get_signature_nid(c) != NID_ecdsa_with_SHA256 ||
	    X509_CRL_verify(c, X509_get0_pubkey(issuer->x)) != 1)
		return err_set(e, E_INVAL, "its signature does not hold");
	return E_OK;
}

static enum code check_lists(X509_CRL *c, struct span cert, struct err *e)
{
	struct ca_cert listed;
	X509_REVOKED *row = NULL;
	enum code rc;

	if (cert.len == 0)
		return E_OK;
	if ((rc = ca_cert_read(cert, &listed, e)) != E_OK)
		return rc;
	if (X509_CRL_get0_by_cert(c, &row, listed.x) != 1)
		rc = err_set(e, E_INVAL, "it does not list the certificate");
	ca_cert_free(&listed);
	return rc;
}

enum code pki_crl_read(struct span crl, struct span issuer_cert,
    struct span lists, struct pki_crl_facts *out, struct err *e)
{
	struct ca_cert issuer;
	X509_CRL *c = NULL;
	enum code rc = ca_cert_read(issuer_cert, &issuer, e);

	if (rc != E_OK)
		return rc;
	rc = crl_parse(crl, &c, e);
	if (rc == E_OK)
		rc = check_signer(c, &issuer, e);
	if (rc == E_OK)
		rc = take_number(c, &out->number, e);
	if (rc == E_OK)
		rc = take_times(c, out, e);
	if (rc == E_OK)
		rc = check_lists(c, lists, e);
	if (rc == E_OK) {
		int n = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(c));

		out->entries = n > 0 ? (size_t)n : 0;
	}
	X509_CRL_free(c);
	ca_cert_free(&issuer);
	ERR_clear_error();
	return rc;
}

/* ---- Entries ---- */

/* 16 octets, as all serials of ours. */
static bool take_serial(const ASN1_INTEGER *n, uint8_t out[CA_SERIAL_LEN])
{
	if (ASN1_STRING_length(n) != CA_SERIAL_LEN ||
	    ASN1_STRING_type(n) != V_ASN1_INTEGER)
		return false;
	memcpy(out, ASN1_STRING_get0_data(n), CA_SERIAL_LEN);
	return true;
}

enum code pki_cert_serial(
    struct span cert, uint8_t out[CA_SERIAL_LEN], struct err *e)
{
	struct ca_cert c;
	enum code rc = ca_cert_read(cert, &c, e);

	if (rc != E_OK)
		return rc;
	if (!take_serial(X509_get0_serialNumber(c.x), out))
		rc = err_set(e, E_INVAL, "its serial is not of 16 octets");
	ca_cert_free(&c);
	return rc;
}

static bool take_row(X509_REVOKED *from, struct ca_revoked *out)
{
	ASN1_ENUMERATED *reason =
	    X509_REVOKED_get_ext_d2i(from, NID_crl_reason, NULL, NULL);
	bool ok;

	out->reason = CA_REASON_UNSPECIFIED;
	if (reason != NULL)
		out->reason = (enum ca_reason)ASN1_ENUMERATED_get(reason);
	ASN1_ENUMERATED_free(reason);
	ok = take_serial(X509_REVOKED_get0_serialNumber(from), out->serial);
	return ok && time_to_unix(X509_REVOKED_get0_revocationDate(from),
			 &out->revoked_s);
}

enum code pki_crl_rows(
    struct span crl, struct ca_revoked **rows, size_t *n, struct err *e)
{
	STACK_OF(X509_REVOKED) * list;
	X509_CRL *c;
	enum code rc = crl_parse(crl, &c, e);
	int count;

	*rows = NULL;
	*n = 0;
	if (rc != E_OK)
		return rc;
	list = X509_CRL_get_REVOKED(c);
	count = sk_X509_REVOKED_num(list);
	*rows = calloc(count > 0 ? (size_t)count : 1, sizeof(**rows));
	if (*rows == NULL)
		rc = err_nomem(e);
	for (int i = 0; rc == E_OK && i < count; i++)
		if (take_row(sk_X509_REVOKED_value(list, i), &(*rows)[i]))
			(*n)++;
		else
			rc = err_set(
			    e, E_INVAL, "entry %d of the CRL is not ours", i);
	if (rc != E_OK) {
		free(*rows);
		*rows = NULL;
	}
	X509_CRL_free(c);
	ERR_clear_error();
	return rc;
}
