/* judge.c -- which CA certificates we take, and what src/ca asks of
 * cryptography. */
#include "pki/internal.h"

#include <string.h>

/* What root and issuer have in common. */
static enum code check_ca(const struct ca_cert *c, struct err *e)
{
	const unsigned usage = KU_KEY_CERT_SIGN | KU_CRL_SIGN;

	if (c->critical_unknown)
		return err_set(
		    e, E_INVAL, "an extension is critical and not known here");
	if (!spki_is_p256(c->spki))
		return err_set(e, E_INVAL, "its key is not P-256");
	if (!c->ca)
		return err_set(e, E_INVAL, "it is not a CA certificate");
	if ((c->usage & usage) != usage)
		return err_set(
		    e, E_INVAL, "its key usage lacks keyCertSign or cRLSign");
	if (c->not_before_s > c->not_after_s)
		return err_set(
		    e, E_INVAL, "its validity ends before it begins");
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
	if (c->has_pathlen && c->pathlen == 0)
		return err_set(e, E_INVAL,
		    "its path length of 0 leaves no room for issuers");
	if (!span_eq(c->issuer, c->subject) ||
	    (c->authority_key_id.len > 0 &&
		!span_eq(c->authority_key_id, ca_cert_authority(c))))
		return err_set(e, E_INVAL, "it is not its own issuer");
	rc = verify_sha256(c->spki, c->tbs, c->signature, e);
	return rc == E_INVAL
		   ? err_set(e, rc, "it is not signed with its own key")
		   : rc;
}

static enum code crypto_root(
    void *ctx, struct span cert, struct ca_cert_facts *out, struct err *e)
{
	struct ca_cert c;
	enum code rc = ca_cert_read(cert, &c, e);

	(void)ctx;
	if (rc == E_OK)
		rc = check_root(&c, e);
	if (rc != E_OK)
		return err_wrap(e, rc, "the root certificate");
	take_facts(&c, out);
	return E_OK;
}

/* RFC 5280 §6.1: the issuer's name and key identifier are the root's. */
static enum code check_issuer(
    const struct ca_cert *c, const struct ca_cert *root, struct err *e)
{
	enum code rc = check_ca(c, e);

	if (rc != E_OK)
		return rc;
	if (!c->has_pathlen || c->pathlen != 0)
		return err_set(e, E_INVAL, "its path length is not 0");
	if (!span_eq(c->subject_key_id, span_of(c->key_id, CA_KEY_ID_LEN)))
		return err_set(e, E_INVAL,
		    "its subject key identifier is not that of RFC 7093 §2 "
		    "method 1");
	if (!span_eq(c->issuer, root->subject) ||
	    !span_eq(c->authority_key_id, ca_cert_authority(root)))
		return err_set(
		    e, E_INVAL, "it does not name the root as its issuer");
	if (c->not_after_s > root->not_after_s)
		return err_set(e, E_INVAL, "it outlives the root");
	rc = verify_sha256(root->spki, c->tbs, c->signature, e);
	return rc == E_INVAL ? err_set(e, rc, "it is not signed by the root")
			     : rc;
}

static enum code crypto_issuer(void *ctx, struct span cert, struct span root,
    struct ca_cert_facts *out, struct err *e)
{
	struct ca_cert c, r;
	enum code rc = ca_cert_read(root, &r, e);

	(void)ctx;
	if (rc != E_OK)
		return err_wrap(e, rc, "the root certificate");
	rc = ca_cert_read(cert, &c, e);
	if (rc == E_OK)
		rc = check_issuer(&c, &r, e);
	if (rc != E_OK)
		return err_wrap(e, rc, "the issuer certificate");
	take_facts(&c, out);
	return E_OK;
}

static enum code crypto_verify(void *ctx, struct span spki, struct span msg,
    struct span sig, struct err *e)
{
	(void)ctx;
	return verify_sha256(spki, msg, sig, e);
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
	(void)ctx;
	return anchor_check(cert, e);
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
