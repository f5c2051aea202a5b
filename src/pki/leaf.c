/* leaf.c -- the certificate of a record ▣.  The record is what is logged; every
 * node must rebuild the same bytes from it, for ever: a change here is a new
 * encoder version. */
#include "pki/internal.h"

#include <string.h>

#define ENCODER_VERSION 1

static struct ext_names names_of(const struct ca_issue *i)
{
	return (struct ext_names){
	    .uri = i->uri,
	    .dns = i->dns,
	    .dns_n = i->dns_n,
	    .ip = i->ip,
	    .ip_n = i->ip_n,
	};
}

static enum code check_record(
    const struct ca_issue *i, const struct pki_issuer *issuer, struct err *e)
{
	struct ext_names names = names_of(i);
	enum code rc;

	if (i->encoder != ENCODER_VERSION)
		return err_set(e, E_UNSUPPORTED,
		    "encoder version %u is not known here",
		    (unsigned)i->encoder);
	if ((i->serial[0] & 0xc0) != 0x40)
		return err_set(e, E_INVAL, "the serial's top bits are not 01");
	if (memcmp(i->issuer, issuer->key_id, CA_KEY_ID_LEN) != 0)
		return err_set(
		    e, E_INVAL, "the record names another issuer's key");
	if (i->not_after_s > issuer->not_after_s)
		return err_set(
		    e, E_INVAL, "the certificate would outlive its issuer");
	if (i->uri.len == 0 && i->dns_n == 0 && i->ip_n == 0)
		return err_set(
		    e, E_INVAL, "the certificate would name nothing");
	rc = cert_times_check(i->not_before_s, i->not_after_s, e);
	if (rc == E_OK && i->common_name.len > 0)
		rc = cert_text_check(i->common_name, "common name", e);
	return rc == E_OK ? ext_names_check(&names, e) : rc;
}

static void put_exts(struct buf *b, const struct ca_issue *i, bool rsa,
    const uint8_t key_id[CA_KEY_ID_LEN])
{
	struct ext_names names = names_of(i);
	struct exts x = exts_begin(b);

	ext_leaf_constraints(b);
	ext_key_usage(b, rsa ? KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT
			     : KU_DIGITAL_SIGNATURE);
	ext_key_purposes(b, true);
	ext_subject_key_id(b, key_id);
	ext_authority_key_id(b, span_of(i->issuer, CA_KEY_ID_LEN));
	ext_alt_names(b, &names, i->common_name.len == 0);
	exts_end(b, x, 3);
}

static void put_tbs(struct buf *out, const struct ca_issue *i,
    const struct pki_issuer *issuer, bool rsa,
    const uint8_t key_id[CA_KEY_ID_LEN])
{
	struct buf subject;
	size_t at;

	buf_init(&subject);
	if (i->common_name.len > 0)
		put_rdn(
		    &subject, OID_COMMON_NAME, DER_UTF8_STRING, i->common_name);
	der_end(&subject, 0, DER_SEQUENCE);
	out->failed |= subject.failed;
	at = der_begin(out);
	put_cert_head(out, &(struct cert_head){
			       .serial = span_of(i->serial, CA_SERIAL_LEN),
			       .issuer = issuer->name,
			       .subject = buf_span(&subject),
			       .not_before_s = i->not_before_s,
			       .not_after_s = i->not_after_s,
			       .spki = i->spki,
			   });
	put_exts(out, i, rsa, key_id);
	der_end(out, at, DER_SEQUENCE);
	buf_free(&subject);
}

enum code pki_leaf_tbs(struct buf *out, const struct ca_issue *i,
    const struct pki_issuer *issuer, struct err *e)
{
	uint8_t key_id[CA_KEY_ID_LEN];
	struct spki_parts key = {0};
	enum code rc = check_record(i, issuer, e);

	if (rc == E_OK)
		rc = spki_split(i->spki, &key, e);
	if (rc == E_OK)
		rc = pki_key_id(i->spki, key_id, e);
	if (rc != E_OK)
		return rc;
	put_tbs(out, i, issuer, span_eq(key.algorithm, der_oid_bytes(OID_RSA)),
	    key_id);
	return buf_check(out, e);
}

enum code pki_leaf_der(struct buf *out, const struct ca_issue *i,
    const struct pki_issuer *issuer, struct err *e)
{
	struct buf tbs;
	enum code rc;

	if (i->signature.len == 0 || i->signature.len > CA_SIG_MAX)
		return err_set(e, E_INVAL, "the record has no signature");
	buf_init(&tbs);
	rc = pki_leaf_tbs(&tbs, i, issuer, e);
	if (rc == E_OK) {
		put_signed(out, buf_span(&tbs), i->signature);
		rc = buf_check(out, e);
	}
	buf_free(&tbs);
	return rc;
}
