/* read.c -- what a CA certificate says, and whether we take it.  OpenSSL
 * decides whether it is one; what we borrow from it is found by position. */
#include "pki/internal.h"

#include <string.h>
#include <time.h>

#include <openssl/err.h>

#define CERT_MAX 16384

/* The Name and key of a certificate that OpenSSL took (RFC 5280 §4.1). */
static bool find_parts(struct span cert, struct ca_cert *c)
{
	struct span all, tbs, skip;

	return der_take(&cert, DER_SEQUENCE, &all, NULL) && cert.len == 0 &&
	       der_take(&all, DER_SEQUENCE, &tbs, NULL) &&
	       der_take(&tbs, DER_CONSTRUCTED_0, &skip, NULL) &&
	       der_take(&tbs, DER_INTEGER, &skip, NULL) &&
	       der_take(&tbs, DER_SEQUENCE, &skip, NULL) && /* signature */
	       der_take(&tbs, DER_SEQUENCE, &skip, NULL) && /* issuer */
	       der_take(&tbs, DER_SEQUENCE, &skip, NULL) && /* validity */
	       der_take(&tbs, DER_SEQUENCE, &skip, &c->subject) &&
	       der_take(&tbs, DER_SEQUENCE, &skip, &c->spki);
}

bool time_to_unix(const ASN1_TIME *t, uint64_t *out)
{
	const struct tm epoch = {.tm_year = 70, .tm_mday = 1};
	struct tm tm;
	int days, s;

	if (ASN1_TIME_to_tm(t, &tm) != 1 ||
	    OPENSSL_gmtime_diff(&days, &s, &epoch, &tm) != 1 || days < 0 ||
	    s < 0)
		return false;
	*out = (uint64_t)days * 86400 + (uint64_t)s;
	return true;
}

/* What issued certificates name as their authority's key: the subject key
 * identifier, or the key id where a foreign root has none. */
static enum code take_key_id(struct ca_cert *c, struct err *e)
{
	const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(c->x);
	enum code rc = pki_key_id(c->spki, c->key_id, e);

	if (rc != E_OK)
		return rc;
	memcpy(c->subject_key_id, c->key_id, CA_KEY_ID_LEN);
	if (ski == NULL)
		return E_OK;
	if (ASN1_STRING_length(ski) != CA_KEY_ID_LEN)
		return err_set(e, E_INVAL,
		    "its subject key identifier is not %d octets long",
		    CA_KEY_ID_LEN);
	memcpy(c->subject_key_id, ASN1_STRING_get0_data(ski), CA_KEY_ID_LEN);
	return E_OK;
}

enum code ca_cert_read(struct span cert, struct ca_cert *out, struct err *e)
{
	const uint8_t *p = cert.p;
	enum code rc;

	*out = (struct ca_cert){0};
	if (cert.len > 0 && cert.len <= CERT_MAX)
		out->x = d2i_X509(NULL, &p, (long)cert.len);
	if (out->x == NULL || p != cert.p + cert.len || !find_parts(cert, out))
		rc = err_set(e, E_INVAL, "not an X.509 v3 certificate in DER");
	else if (!time_to_unix(
		     X509_get0_notBefore(out->x), &out->not_before_s) ||
		 !time_to_unix(X509_get0_notAfter(out->x), &out->not_after_s))
		rc = err_set(e, E_INVAL, "its validity cannot be read");
	else
		rc = take_key_id(out, e);
	if (rc != E_OK)
		ca_cert_free(out);
	return openssl_done(rc, e);
}

void ca_cert_free(struct ca_cert *c)
{
	X509_free(c->x);
	c->x = NULL;
}

enum code pki_issuer_from_cert(
    struct span cert, struct pki_issuer *out, struct err *e)
{
	struct ca_cert c;
	enum code rc = ca_cert_read(cert, &c, e);

	if (rc != E_OK)
		return err_wrap(e, rc, "the issuer certificate");
	out->name = c.subject;
	out->not_after_s = c.not_after_s;
	memcpy(out->key_id, c.subject_key_id, CA_KEY_ID_LEN);
	ca_cert_free(&c);
	return E_OK;
}

/* ---- Do we take it? ---- */

/* What root and issuer have in common. */
static enum code check_ca(const struct ca_cert *c, struct err *e)
{
	const uint32_t usage = KU_KEY_CERT_SIGN | KU_CRL_SIGN;
	uint32_t flags = X509_get_extension_flags(c->x);

	if (X509_get_version(c->x) != X509_VERSION_3)
		return err_set(e, E_INVAL, "not an X.509 v3 certificate");
	if ((flags & (EXFLAG_INVALID | EXFLAG_CRITICAL)) != 0)
		return err_set(e, E_INVAL,
		    "an extension is malformed, or critical and not known");
	if (!spki_is_p256(c->spki))
		return err_set(e, E_INVAL, "its key is not P-256");
	if (X509_get_signature_nid(c->x) != NID_ecdsa_with_SHA256)
		return err_set(
		    e, E_INVAL, "its signature is not ecdsa-with-SHA256");
	if ((flags & EXFLAG_BCONS) == 0 || (flags & EXFLAG_CA) == 0)
		return err_set(e, E_INVAL, "it is not a CA certificate");
	if ((flags & EXFLAG_KUSAGE) == 0 ||
	    (X509_get_key_usage(c->x) & usage) != usage)
		return err_set(
		    e, E_INVAL, "its key usage lacks keyCertSign or cRLSign");
	return E_OK;
}

static void take_facts(const struct ca_cert *c, struct ca_cert_facts *out)
{
	memcpy(out->key_id, c->key_id, CA_KEY_ID_LEN);
	out->spki = c->spki;
	out->not_before_s = c->not_before_s;
	out->not_after_s = c->not_after_s;
}

static enum code check_root(const struct ca_cert *c, struct err *e)
{
	enum code rc = check_ca(c, e);

	if (rc != E_OK)
		return rc;
	if (X509_get_pathlen(c->x) == 0)
		return err_set(e, E_INVAL,
		    "its path length of 0 leaves no room for issuers");
	if (X509_self_signed(c->x, 1) != 1)
		return err_set(e, E_INVAL, "it is not signed by its own key");
	return E_OK;
}

static enum code crypto_root(
    void *ctx, struct span cert, struct ca_cert_facts *out, struct err *e)
{
	struct ca_cert c;
	enum code rc = ca_cert_read(cert, &c, e);

	(void)ctx;
	if (rc == E_OK)
		rc = check_root(&c, e);
	if (rc == E_OK)
		take_facts(&c, out);
	ca_cert_free(&c);
	rc = openssl_done(rc, e);
	return rc == E_OK ? E_OK : err_wrap(e, rc, "the root certificate");
}

static enum code check_issuer(
    const struct ca_cert *c, const struct ca_cert *root, struct err *e)
{
	enum code rc = check_ca(c, e);

	if (rc != E_OK)
		return rc;
	if (X509_get_pathlen(c->x) != 0)
		return err_set(e, E_INVAL, "its path length is not 0");
	if (memcmp(c->subject_key_id, c->key_id, CA_KEY_ID_LEN) != 0)
		return err_set(e, E_INVAL,
		    "its subject key identifier is not that of RFC 7093 §2 "
		    "method 1");
	if (X509_check_issued(root->x, c->x) != X509_V_OK ||
	    X509_verify(c->x, X509_get0_pubkey(root->x)) != 1)
		return err_set(e, E_INVAL, "it is not signed by the root");
	if (c->not_after_s > root->not_after_s)
		return err_set(e, E_INVAL, "it outlives the root");
	return E_OK;
}

static enum code crypto_issuer(void *ctx, struct span cert, struct span root,
    struct ca_cert_facts *out, struct err *e)
{
	struct ca_cert c = {0}, r;
	enum code rc = ca_cert_read(root, &r, e);

	(void)ctx;
	if (rc != E_OK)
		return err_wrap(e, rc, "the root certificate");
	rc = ca_cert_read(cert, &c, e);
	if (rc == E_OK)
		rc = check_issuer(&c, &r, e);
	if (rc == E_OK)
		take_facts(&c, out);
	ca_cert_free(&c);
	ca_cert_free(&r);
	rc = openssl_done(rc, e);
	return rc == E_OK ? E_OK : err_wrap(e, rc, "the issuer certificate");
}

static bool crypto_verify(
    void *ctx, struct span spki, struct span msg, struct span sig)
{
	(void)ctx;
	return pki_verify(spki, msg, sig);
}

static enum code crypto_root_crl(void *ctx, struct span crl, struct span root,
    struct span lists, uint64_t *number, struct err *e)
{
	struct pki_crl_facts f;
	enum code rc = pki_crl_read(crl, root, lists, &f, e);

	(void)ctx;
	if (rc == E_OK)
		*number = f.number;
	return rc == E_OK ? E_OK : err_wrap(e, rc, "the root's CRL");
}

static enum code crypto_anchor(void *ctx, struct span cert, struct err *e)
{
	const uint8_t *p = cert.p;
	X509 *x = cert.len > 0 && cert.len <= CERT_MAX
		      ? d2i_X509(NULL, &p, (long)cert.len)
		      : NULL;
	bool ok = x != NULL && p == cert.p + cert.len &&
		  (X509_get_extension_flags(x) &
		      (EXFLAG_CA | EXFLAG_INVALID)) == EXFLAG_CA;

	(void)ctx;
	X509_free(x);
	ERR_clear_error();
	return ok ? E_OK : err_set(e, E_INVAL, "not a CA certificate in DER");
}

static enum code crypto_crl_tbs(void *ctx, struct buf *out, struct span issuer,
    uint64_t number, uint64_t this_s, uint64_t next_s,
    const struct ca_revoked *rows, size_t n, struct err *e)
{
	(void)ctx;
	return pki_crl_tbs(out, issuer, number, this_s, next_s, rows, n, e);
}

struct ca_crypto pki_ca_crypto(void)
{
	return (struct ca_crypto){
	    .verify = crypto_verify,
	    .root = crypto_root,
	    .issuer = crypto_issuer,
	    .root_crl = crypto_root_crl,
	    .anchor = crypto_anchor,
	    .crl_tbs = crypto_crl_tbs,
	};
}
