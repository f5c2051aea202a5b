/* csr.c -- requests made beforehand, and what their answers hold. */
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>

#include "base/text.h"
#include "load.h"
#include "wire/wire.h"

/* ---- Requests ---- */

static bool make_pem(struct buf *pem, struct buf *spki, EVP_PKEY *key)
{
	X509_REQ *req = X509_REQ_new();
	BIO *out = BIO_new(BIO_s_mem());
	unsigned char *der = NULL;
	char *p;
	int len;
	bool ok;

	ok = req != NULL && out != NULL && X509_REQ_set_version(req, 0) == 1 &&
	     X509_REQ_set_pubkey(req, key) == 1 &&
	     X509_REQ_sign(req, key, EVP_sha256()) > 0 &&
	     PEM_write_bio_X509_REQ(out, req) == 1 &&
	     (len = i2d_PUBKEY(key, &der)) > 0 &&
	     buf_add(spki, der, (size_t)len) &&
	     buf_add(pem, p, (size_t)BIO_get_mem_data(out, &p));
	OPENSSL_free(der);
	X509_REQ_free(req);
	BIO_free(out);
	return ok;
}

static bool make_frame(struct csr *c, struct span pem, uint64_t ttl_s)
{
	const struct wire_csr_request r = {
	    .csr = pem, .validity_s = (int64_t)ttl_s};
	struct buf body;
	struct err e;
	bool ok;

	buf_init(&body);
	ok = wire_csr_request_encode(&body, &r, &e) == E_OK &&
	     buf_add_u8(&c->frame, 0) && /* not compressed */
	     buf_add_u32be(&c->frame, (uint32_t)body.len) &&
	     buf_add_span(&c->frame, buf_span(&body));
	buf_free(&body);
	return ok;
}

struct csr *csrs_make(size_t n, bool rsa, uint64_t ttl_s)
{
	struct csr *all = calloc(n, sizeof(*all));
	bool ok = all != NULL;

	for (size_t i = 0; ok && i < n; i++) {
		EVP_PKEY *key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
		struct buf pem;

		buf_init(&pem);
		ok = key != NULL && make_pem(&pem, &all[i].spki, key) &&
		     make_frame(&all[i], buf_span(&pem), ttl_s);
		buf_free(&pem);
		EVP_PKEY_free(key);
	}
	if (ok)
		return all;
	csrs_free(all, n);
	return NULL;
}

void csrs_free(struct csr *c, size_t n)
{
	for (size_t i = 0; c != NULL && i < n; i++) {
		buf_free(&c[i].frame);
		buf_free(&c[i].spki);
	}
	free(c);
}

/* ---- Answers ---- */

static bool pem_der(struct buf *out, struct span pem)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	const uint8_t *from, *end;
	struct err e;

	from = memmem(pem.p, pem.len, begin, sizeof(begin) - 1);
	if (from == NULL)
		return false;
	from += sizeof(begin) - 1;
	end = memmem(from, pem.len - (size_t)(from - pem.p), "-----END", 8);
	return end != NULL &&
	       base64_decode(out, span_of(from, (size_t)(end - from)),
		   BASE64_STD, &e) == E_OK;
}

/* The content of the next DER element if it has that tag. */
static struct span der_take(struct reader *r, uint8_t tag)
{
	uint8_t got = read_u8(r);
	size_t len = read_u8(r);

	if (len == 0x81)
		len = read_u8(r);
	else if (len == 0x82)
		len = read_u16be(r);
	else if (len > 0x80)
		r->bad = true;
	if (got != tag)
		r->bad = true;
	return read_span(r, len);
}

/* Certificate, TBSCertificate, [0] version, serialNumber (RFC 5280 §4.1). */
static bool take_serial(struct leaf *out, struct span der)
{
	struct reader r;
	struct span serial, in;

	reader_init(&r, der);
	in = der_take(&r, 0x30);
	if (r.bad)
		return false;
	reader_init(&r, in);
	in = der_take(&r, 0x30);
	if (r.bad)
		return false;
	reader_init(&r, in);
	der_take(&r, 0xa0);
	serial = der_take(&r, 0x02);
	if (r.bad || serial.len > sizeof(out->serial))
		return false;
	memcpy(out->serial, serial.p, serial.len);
	out->serial_len = serial.len;
	return true;
}

static bool take_leaf(struct leaf *out, struct span pem, const struct csr *c)
{
	struct buf der;
	bool ok;

	buf_init(&der);
	ok = pem_der(&der, pem) && take_serial(out, buf_span(&der)) &&
	     memmem(der.p, der.len, c->spki.p, c->spki.len) != NULL;
	sha256_of(out->sha256, buf_span(&der));
	buf_free(&der);
	return ok;
}

bool leaf_take(struct leaf *out, struct span response, const struct csr *c)
{
	struct wire_memory *mem = NULL;
	struct span *chain;
	struct reader r;
	struct span msg;
	struct err e;
	size_t n;
	bool ok;

	reader_init(&r, response);
	if (read_u8(&r) != 0)
		return false;
	msg = read_span(&r, read_u32be(&r));
	if (r.bad || r.left > 0 ||
	    wire_csr_response_decode(msg, &chain, &n, &mem, &e) != E_OK)
		return false;
	ok = n >= 2 && take_leaf(out, chain[0], c);
	wire_free(mem);
	return ok;
}
