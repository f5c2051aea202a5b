/* cert.c -- what every certificate is made of (RFC 5280 §4.1). */
#include "pki/internal.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"

#define X520_TEXT_MAX 64 /* RFC 5280 Appendix A: ub-common-name and others */

void put_algorithm(struct buf *b)
{
	size_t at = der_begin(b);

	der_oid(b, OID_ECDSA_SHA256);
	der_end(b, at, DER_SEQUENCE);
}

void put_signed(struct buf *b, struct span part, struct span sig)
{
	size_t at = der_begin(b);

	buf_add_span(b, part);
	put_algorithm(b);
	der_bits(b, sig);
	der_end(b, at, DER_SEQUENCE);
}

void put_rdn(struct buf *b, enum der_oid oid, unsigned tag, struct span text)
{
	size_t set = der_begin(b), pair = der_begin(b);

	der_oid(b, oid);
	der_put(b, tag, text);
	der_end(b, pair, DER_SEQUENCE);
	der_end(b, set, DER_SET);
}

static struct span cut(struct span s, size_t max)
{
	return span_of(s.p, s.len < max ? s.len : max);
}

void put_ca_name(struct buf *b, struct span td, struct span first,
    const char *second, const uint8_t key_id[CA_KEY_ID_LEN])
{
	char hex[2 * CA_KEY_ID_LEN + 1];
	struct span tail = span_str(second);
	size_t at = der_begin(b);
	struct buf cn;

	buf_init(&cn);
	buf_add_span(&cn, cut(first, X520_TEXT_MAX - tail.len));
	buf_add_span(&cn, tail);
	b->failed |= cn.failed;
	hex_encode(hex, key_id, CA_KEY_ID_LEN);
	put_rdn(b, OID_ORGANIZATION, DER_UTF8_STRING, cut(td, X520_TEXT_MAX));
	put_rdn(b, OID_COMMON_NAME, DER_UTF8_STRING, buf_span(&cn));
	put_rdn(b, OID_SERIAL_NUMBER, DER_PRINTABLE_STRING, span_str(hex));
	der_end(b, at, DER_SEQUENCE);
	buf_free(&cn);
}

void put_cert_head(struct buf *b, const struct cert_head *h)
{
	size_t at = der_begin(b);

	der_u64(b, DER_INTEGER, 2); /* v3 */
	der_end(b, at, DER_CONSTRUCTED_0);
	der_uint(b, DER_INTEGER, h->serial);
	put_algorithm(b);
	buf_add_span(b, h->issuer);
	at = der_begin(b);
	der_time(b, h->not_before_s);
	der_time(b, h->not_after_s);
	der_end(b, at, DER_SEQUENCE);
	buf_add_span(b, h->subject);
	buf_add_span(b, h->spki);
}

enum code cert_times_check(
    uint64_t not_before_s, uint64_t not_after_s, struct err *e)
{
	if (not_before_s > not_after_s)
		return err_set(
		    e, E_INVAL, "the validity ends before it begins");
	if (not_after_s > DER_TIME_MAX_S)
		return err_set(
		    e, E_INVAL, "the validity ends after the year 9999");
	return E_OK;
}

enum code cert_text_check(struct span text, const char *what, struct err *e)
{
	if (text.len == 0 || text.len > X520_TEXT_MAX)
		return err_set(e, E_INVAL,
		    "the %s has %zu characters, not 1 to %d", what, text.len,
		    X520_TEXT_MAX);
	for (size_t i = 0; i < text.len; i++)
		if (text.p[i] < ' ' || text.p[i] > '~')
			return err_set(e, E_INVAL,
			    "the %s holds more than printable ASCII", what);
	return E_OK;
}

void serial_make(uint8_t out[CA_SERIAL_LEN])
{
	random_bytes(out, CA_SERIAL_LEN);
	out[0] = (uint8_t)((out[0] & 0x3f) | 0x40);
}

enum code cert_sign(
    struct buf *der, const struct buf *tbs, EVP_PKEY *key, struct err *e)
{
	struct buf sig;
	enum code rc = buf_check(tbs, e);

	buf_init(&sig);
	if (rc == E_OK)
		rc = pki_sign(&sig, key, buf_span(tbs), e);
	if (rc == E_OK) {
		put_signed(der, buf_span(tbs), buf_span(&sig));
		rc = buf_check(der, e);
	}
	buf_free(&sig);
	return rc;
}
