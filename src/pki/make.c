/* make.c -- the certificates that are made once: root, issuers, operators. */
#include "pki/internal.h"

#include <string.h>

#define LONG_LIFE_S (3652 * 86400ULL) /* ten years */

static uint64_t backdated(uint64_t now_s)
{
	return now_s > CA_BACKDATE_S ? now_s - CA_BACKDATE_S : 0;
}

/* The last extensions and the signature. */
static enum code finish(struct buf *der, struct buf *tbs, EVP_PKEY *key,
    struct exts x, struct err *e)
{
	exts_end(tbs, x, 3);
	der_end(tbs, 0, DER_SEQUENCE);
	return cert_sign(der, tbs, key, e);
}

/* ---- Root ---- */

static enum code root_write(struct buf *der, EVP_PKEY *key,
    const struct cert_head *h, const uint8_t key_id[CA_KEY_ID_LEN],
    struct err *e)
{
	struct buf tbs;
	struct exts x;
	enum code rc;

	buf_init(&tbs);
	put_cert_head(&tbs, h);
	x = exts_begin(&tbs);
	ext_ca_constraints(&tbs, 1);
	ext_key_usage(&tbs, KU_KEY_CERT_SIGN | KU_CRL_SIGN);
	ext_subject_key_id(&tbs, key_id);
	ext_authority_key_id(&tbs, span_of(key_id, CA_KEY_ID_LEN));
	rc = finish(der, &tbs, key, x, e);
	buf_free(&tbs);
	return rc;
}

enum code pki_root_make(struct buf *der, EVP_PKEY *key, struct span td,
    uint64_t now_s, struct err *e)
{
	uint8_t key_id[CA_KEY_ID_LEN], serial[CA_SERIAL_LEN];
	struct cert_head h = {
	    .not_before_s = backdated(now_s),
	    .not_after_s = now_s + LONG_LIFE_S,
	};
	struct buf name, spki;
	enum code rc = pki_trust_domain_check(td, e);

	buf_init(&name);
	buf_init(&spki);
	if (rc == E_OK)
		rc = cert_times_check(h.not_before_s, h.not_after_s, e);
	if (rc == E_OK)
		rc = pki_key_spki(&spki, key, e);
	if (rc == E_OK)
		rc = pki_key_id(buf_span(&spki), key_id, e);
	if (rc != E_OK)
		goto out;
	put_ca_name(&name, td, td, " root", key_id);
	rc = buf_check(&name, e);
	if (rc != E_OK)
		goto out;
	serial_make(serial);
	h.serial = span_of(serial, sizeof(serial));
	h.issuer = h.subject = buf_span(&name);
	h.spki = buf_span(&spki);
	rc = root_write(der, key, &h, key_id, e);
out:
	buf_free(&name);
	buf_free(&spki);
	return rc;
}

/* ---- Issuers ---- */

/* Everything an issuer's certificate is written from. */
struct issuer_plan {
	EVP_PKEY *root_key;
	struct span spki, td, cluster;
	uint64_t now_s, life_s;
	bool name_constraints;
	uint8_t key_id[CA_KEY_ID_LEN];
};

static enum code issuer_check(
    struct issuer_plan *p, const struct ca_cert *root, struct err *e)
{
	struct buf spki;
	enum code rc = pki_trust_domain_check(p->td, e);

	buf_init(&spki);
	if (rc == E_OK)
		rc = cert_text_check(p->cluster, "cluster name", e);
	if (rc == E_OK && !spki_is_p256(p->spki))
		rc = err_set(e, E_INVAL, "the issuer's key is not P-256");
	if (rc == E_OK && root->not_after_s <= p->now_s)
		rc = err_set(e, E_INVAL, "the root certificate has expired");
	if (rc == E_OK)
		rc = pki_key_spki(&spki, p->root_key, e);
	if (rc == E_OK && !span_eq(buf_span(&spki), root->spki))
		rc = err_set(e, E_INVAL,
		    "the root key is not that of the root certificate");
	if (rc == E_OK)
		rc = pki_key_id(p->spki, p->key_id, e);
	buf_free(&spki);
	return rc;
}

static enum code issuer_write(struct buf *der, const struct issuer_plan *p,
    const struct ca_cert *root, const struct cert_head *h, struct err *e)
{
	struct buf tbs;
	struct exts x;
	enum code rc;

	buf_init(&tbs);
	put_cert_head(&tbs, h);
	x = exts_begin(&tbs);
	ext_ca_constraints(&tbs, 0);
	ext_key_usage(&tbs, KU_KEY_CERT_SIGN | KU_CRL_SIGN);
	ext_subject_key_id(&tbs, p->key_id);
	ext_authority_key_id(&tbs, ca_cert_authority(root));
	if (p->name_constraints)
		ext_name_constraints(&tbs, p->td);
	rc = finish(der, &tbs, p->root_key, x, e);
	buf_free(&tbs);
	return rc;
}

static enum code issuer_make(struct buf *der, struct issuer_plan *p,
    const struct ca_cert *root, struct err *e)
{
	uint8_t serial[CA_SERIAL_LEN];
	uint64_t end_s = p->now_s + p->life_s;
	struct buf name;
	enum code rc = issuer_check(p, root, e);

	if (rc != E_OK)
		return rc;
	if (end_s > root->not_after_s)
		end_s = root->not_after_s;
	buf_init(&name);
	put_ca_name(&name, p->td, p->cluster, " issuer", p->key_id);
	serial_make(serial);
	rc = buf_check(&name, e);
	if (rc == E_OK)
		rc = cert_times_check(p->now_s, end_s, e);
	if (rc == E_OK)
		rc = issuer_write(der, p, root,
		    &(struct cert_head){
			.serial = span_of(serial, sizeof(serial)),
			.issuer = root->subject,
			.subject = buf_span(&name),
			.not_before_s = backdated(p->now_s),
			.not_after_s = end_s,
			.spki = p->spki,
		    },
		    e);
	buf_free(&name);
	return rc;
}

enum code pki_issuer_make(struct buf *der, EVP_PKEY *root_key,
    struct span root_cert, struct span spki, struct span td,
    struct span cluster, uint64_t now_s, uint64_t life_s, bool name_constraints,
    struct err *e)
{
	struct issuer_plan p = {
	    .root_key = root_key,
	    .spki = spki,
	    .td = td,
	    .cluster = cluster,
	    .now_s = now_s,
	    .life_s = life_s,
	    .name_constraints = name_constraints,
	};
	struct ca_cert root;
	enum code rc = ca_cert_read(root_cert, &root, e);

	if (rc != E_OK)
		return err_wrap(e, rc, "the root certificate");
	return issuer_make(der, &p, &root, e);
}

/* ---- Operators ---- */

static enum code operator_write(
    struct buf *der, EVP_PKEY *key, const struct cert_head *h, struct err *e)
{
	uint8_t key_id[CA_KEY_ID_LEN];
	enum code rc = pki_key_id(h->spki, key_id, e);
	struct buf tbs;
	struct exts x;

	if (rc != E_OK)
		return rc;
	buf_init(&tbs);
	put_cert_head(&tbs, h);
	x = exts_begin(&tbs);
	ext_leaf_constraints(&tbs);
	ext_key_usage(&tbs, KU_DIGITAL_SIGNATURE);
	ext_key_purposes(&tbs, false);
	ext_subject_key_id(&tbs, key_id);
	ext_authority_key_id(&tbs, span_of(key_id, CA_KEY_ID_LEN));
	rc = finish(der, &tbs, key, x, e);
	buf_free(&tbs);
	return rc;
}

enum code pki_operator_cert(struct buf *der, EVP_PKEY *key, struct span name,
    uint64_t now_s, struct err *e)
{
	uint8_t serial[CA_SERIAL_LEN];
	struct cert_head h = {
	    .not_before_s = backdated(now_s),
	    .not_after_s = now_s + LONG_LIFE_S,
	};
	struct buf dn, spki;
	enum code rc = cert_text_check(name, "operator's name", e);

	if (rc != E_OK)
		return rc;
	buf_init(&dn);
	buf_init(&spki);
	put_rdn(&dn, OID_COMMON_NAME, DER_UTF8_STRING, name);
	der_end(&dn, 0, DER_SEQUENCE);
	serial_make(serial);
	h.serial = span_of(serial, sizeof(serial));
	rc = buf_check(&dn, e);
	if (rc == E_OK)
		rc = cert_times_check(h.not_before_s, h.not_after_s, e);
	if (rc == E_OK)
		rc = pki_key_spki(&spki, key, e);
	h.issuer = h.subject = buf_span(&dn);
	h.spki = buf_span(&spki);
	if (rc == E_OK)
		rc = operator_write(der, key, &h, e);
	buf_free(&dn);
	buf_free(&spki);
	return rc;
}
