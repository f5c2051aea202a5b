/* csr.c -- certificate requests (PKCS #10, RFC 2986): read and made. */
#include "pki/internal.h"

#include <string.h>

#include <openssl/pem.h>

#define CSR_MAX 16384
#define KINDS "P-256, P-384 or RSA with 2048, 3072 or 4096 bits"

/* ---- Read ---- */

static size_t count_of(struct span s, const char *what)
{
	size_t n = 0, len = strlen(what);
	const uint8_t *at;

	while (s.len > 0 && (at = memmem(s.p, s.len, what, len)) != NULL) {
		n++;
		s = span_of(at + len, s.len - (size_t)(at + len - s.p));
	}
	return n;
}

static enum code pem_check(struct span pem, struct err *e)
{
	size_t blocks;

	if (pem.len > CSR_MAX)
		return err_set(e, E_INVAL,
		    "a certificate request of %zu bytes, at most %d", pem.len,
		    CSR_MAX);
	if (pem.len > 0 && memchr(pem.p, 0, pem.len) != NULL)
		return err_set(e, E_INVAL, "a NUL in the certificate request");
	blocks = count_of(pem, "-----BEGIN ");
	if (blocks != 1)
		return err_set(e, E_INVAL,
		    "%zu PEM blocks where exactly one certificate request is "
		    "expected",
		    blocks);
	return E_OK;
}

/* The bytes of the request, under either of its labels. */
static enum code pem_take(struct span pem, struct buf *der, struct err *e)
{
	enum code rc = pem_check(pem, e);

	if (rc != E_OK)
		return rc;
	rc = pki_pem_first(pem, "CERTIFICATE REQUEST", der, e);
	if (rc == E_NOTFOUND)
		rc = pki_pem_first(pem, "NEW CERTIFICATE REQUEST", der, e);
	return rc == E_NOTFOUND
		   ? err_set(e, E_INVAL,
			 "not a PEM block CERTIFICATE REQUEST, or a broken one")
		   : rc;
}

/* CertificationRequest (RFC 2986 §4), its parts borrowed.  OpenSSL's own parser
 * would decode the key on the way, which costs more than all the rest. */
struct request {
	struct span info; /* what is signed */
	struct span version, subject, spki;
	struct span attributes; /* empty if there are none */
	struct span algorithm;  /* of the signature: the identifier's content */
	struct span signature;
};

static bool split(struct span der, struct request *r)
{
	struct span all, info, skip;

	*r = (struct request){0};
	if (!der_take(&der, DER_SEQUENCE, &all, NULL) || der.len != 0 ||
	    !der_take(&all, DER_SEQUENCE, &info, &r->info) ||
	    !der_take(&all, DER_SEQUENCE, &r->algorithm, NULL) ||
	    !der_take(&all, DER_BIT_STRING, &r->signature, NULL) ||
	    all.len != 0 || r->signature.len < 2 || r->signature.p[0] != 0)
		return false;
	r->signature = span_of(r->signature.p + 1, r->signature.len - 1);
	return der_take(&info, DER_INTEGER, &r->version, NULL) &&
	       der_take(&info, DER_SEQUENCE, &skip, &r->subject) &&
	       der_take(&info, DER_SEQUENCE, &skip, &r->spki) &&
	       (info.len == 0 ||
		   (der_take(&info, DER_CONSTRUCTED_0, &r->attributes, NULL) &&
		       info.len == 0));
}

static enum code take_key(
    const struct request *r, struct pki_csr *out, EVP_PKEY **key, struct err *e)
{
	int bits;

	*key = spki_import(r->spki);
	if (*key == NULL)
		return err_set(e, E_INVAL,
		    "a key of another kind (or a compressed point); "
		    "take " KINDS);
	bits = EVP_PKEY_get_bits(*key);
	out->rsa = EVP_PKEY_is_a(*key, "RSA") == 1;
	if (out->rsa && bits != 2048 && bits != 3072 && bits != 4096)
		return err_set(
		    e, E_INVAL, "an RSA key of %d bits; take " KINDS, bits);
	buf_add_span(&out->spki, r->spki);
	return buf_check(&out->spki, e);
}

/* RFC 5758 §3.2 without parameters, RFC 4055 §5 with NULL. */
static const EVP_MD *digest_of(struct span algorithm, bool rsa)
{
	static const struct {
		bool rsa;
		uint8_t len;
		const char *id;
		const EVP_MD *(*md)(void);
	} rows[] = {
	    {false, 10, "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02", EVP_sha256},
	    {false, 10, "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03", EVP_sha384},
	    {false, 10, "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04", EVP_sha512},
	    {true, 13, "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00",
		EVP_sha256},
	    {true, 13, "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00",
		EVP_sha384},
	    {true, 13, "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00",
		EVP_sha512},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].rsa == rsa &&
		    span_eq(algorithm, span_of(rows[i].id, rows[i].len)))
			return rows[i].md();
	return NULL;
}

static enum code check_signature(
    const struct request *r, EVP_PKEY *key, bool rsa, struct err *e)
{
	const EVP_MD *md = digest_of(r->algorithm, rsa);
	EVP_MD_CTX *ctx;
	bool ok;

	if (md == NULL)
		return err_set(e, E_INVAL,
		    "its signature is not ECDSA or RSA (PKCS #1 v1.5) with "
		    "SHA-256, SHA-384 or SHA-512, or not of its key's kind");
	ctx = EVP_MD_CTX_new();
	ok = ctx != NULL &&
	     EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1 &&
	     EVP_DigestVerify(ctx, r->signature.p, r->signature.len, r->info.p,
		 r->info.len) == 1;
	EVP_MD_CTX_free(ctx);
	return ok ? E_OK
		  : err_set(e, E_INVAL, "it is not signed with its own key");
}

static enum code take_uri(
    const ASN1_IA5STRING *s, struct pki_csr *out, struct err *e)
{
	struct span uri =
	    span_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));

	if (uri.len == 0 || memchr(uri.p, 0, uri.len) != NULL)
		return err_set(
		    e, E_INVAL, "its URI name is empty or holds a NUL");
	if (out->uri.len > 0) {
		out->many_uris = true;
		return E_OK;
	}
	buf_add_span(&out->uri, uri);
	return buf_check(&out->uri, e);
}

static enum code take_uris(
    const GENERAL_NAMES *names, struct pki_csr *out, struct err *e)
{
	enum code rc = E_OK;

	for (int i = 0; rc == E_OK && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);

		if (n->type == GEN_URI)
			rc = take_uri(n->d.uniformResourceIdentifier, out, e);
	}
	return rc;
}

/* Extensions (RFC 2985 §5.4.2): only the alternative names are looked at. */
static enum code take_extensions(
    struct span der, struct pki_csr *out, struct err *e)
{
	const uint8_t *p = der.p;
	STACK_OF(X509_EXTENSION) * exts;
	GENERAL_NAMES *names = NULL;
	enum code rc = E_OK;
	int found = -1;

	exts = d2i_X509_EXTENSIONS(NULL, &p, (long)der.len);
	if (exts == NULL || p != der.p + der.len)
		rc = err_set(e, E_INVAL, "its extensions are malformed");
	else
		names =
		    X509V3_get_d2i(exts, NID_subject_alt_name, &found, NULL);
	if (names != NULL)
		rc = take_uris(names, out, e);
	else if (rc == E_OK && found != -1)
		rc = err_set(e, E_INVAL, "its alternative names are malformed");
	sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	return rc;
}

/* What we do not look into is well formed at least. */
static bool is_name(struct span der)
{
	const uint8_t *p = der.p;
	X509_NAME *name = d2i_X509_NAME(NULL, &p, (long)der.len);

	X509_NAME_free(name);
	return name != NULL;
}

static bool is_attribute(struct span der)
{
	const uint8_t *p = der.p;
	X509_ATTRIBUTE *a = d2i_X509_ATTRIBUTE(NULL, &p, (long)der.len);

	X509_ATTRIBUTE_free(a);
	return a != NULL;
}

/* Attributes (RFC 2986 §4.1): of an extensionRequest, its one value. */
static enum code take_names(
    struct span attributes, struct pki_csr *out, struct err *e)
{
	struct span one, whole, type, values, exts = SPAN_EMPTY, skip;
	enum code rc = E_OK;

	while (rc == E_OK && attributes.len > 0) {
		if (!der_take(&attributes, DER_SEQUENCE, &one, &whole) ||
		    !der_take(&one, DER_OID, &type, NULL) ||
		    !der_take(&one, DER_SET, &values, NULL) || one.len != 0 ||
		    !is_attribute(whole))
			return err_set(
			    e, E_INVAL, "its attributes are malformed");
		if (!span_eq(type, der_oid_bytes(OID_EXTENSION_REQUEST)))
			continue;
		if (exts.len > 0 ||
		    !der_take(&values, DER_SEQUENCE, &skip, &exts) ||
		    values.len != 0)
			return err_set(
			    e, E_INVAL, "its extensions are malformed");
		rc = take_extensions(exts, out, e);
	}
	return rc;
}

static enum code take_request(
    const struct request *r, struct pki_csr *out, struct err *e)
{
	EVP_PKEY *key = NULL;
	enum code rc;

	if (!span_eq(r->version, span_of("\0", 1)))
		return err_set(e, E_INVAL, "its version is not 1");
	if (!is_name(r->subject))
		return err_set(e, E_INVAL, "its subject is malformed");
	rc = take_key(r, out, &key, e);
	if (rc == E_OK)
		rc = check_signature(r, key, out->rsa, e);
	if (rc == E_OK)
		rc = take_names(r->attributes, out, e);
	EVP_PKEY_free(key);
	return rc;
}

enum code pki_csr_parse(struct span pem, struct pki_csr *out, struct err *e)
{
	struct request r;
	struct buf der;
	enum code rc;

	*out = (struct pki_csr){0};
	buf_init(&der);
	rc = pem_take(pem, &der, e);
	if (rc == E_OK && !split(buf_span(&der), &r))
		rc = err_set(e, E_INVAL, "not a PKCS #10 request in DER");
	if (rc == E_OK)
		rc = take_request(&r, out, e);
	if (rc != E_OK)
		pki_csr_free(out);
	buf_free(&der);
	return openssl_done(rc, e);
}

void pki_csr_free(struct pki_csr *c)
{
	if (c == NULL)
		return;
	buf_free(&c->spki);
	buf_free(&c->uri);
}

/* ---- Made ---- */

/* attributes [0] (RFC 2986 §4.1), with extensionRequest if names are asked for
 * (RFC 2985 §5.4.2). */
static void put_attributes(struct buf *b, const struct ext_names *names)
{
	size_t attributes = der_begin(b), attribute = attributes, values, list;

	if (names->uri.len > 0 || names->dns_n > 0) {
		der_oid(b, OID_EXTENSION_REQUEST);
		values = list = der_begin(b);
		ext_alt_names(b, names, true);
		der_end(b, list, DER_SEQUENCE);
		der_end(b, values, DER_SET);
		der_end(b, attribute, DER_SEQUENCE);
	}
	der_end(b, attributes, DER_CONSTRUCTED_0);
}

static enum code put_info(struct buf *info, EVP_PKEY *key,
    const struct ext_names *names, struct err *e)
{
	struct buf spki;
	enum code rc;

	buf_init(&spki);
	rc = pki_key_spki(&spki, key, e);
	if (rc == E_OK) {
		der_u64(info, DER_INTEGER, 0);
		der_put(info, DER_SEQUENCE, SPAN_EMPTY); /* subject */
		buf_add_span(info, buf_span(&spki));
		put_attributes(info, names);
		der_end(info, 0, DER_SEQUENCE);
		rc = buf_check(info, e);
	}
	buf_free(&spki);
	return rc;
}

/* CertificationRequest: the signature's algorithm goes by the key. */
static void put_request(
    struct buf *der, bool rsa, struct span info, struct span sig)
{
	size_t at;

	if (!rsa) {
		put_signed(der, info, sig);
		return;
	}
	buf_add_span(der, info);
	at = der_begin(der);
	der_oid(der, OID_RSA_SHA256);
	der_put(der, DER_NULL, SPAN_EMPTY); /* RFC 4055 §5 */
	der_end(der, at, DER_SEQUENCE);
	der_bits(der, sig);
	der_end(der, 0, DER_SEQUENCE);
}

enum code pki_csr_make(struct buf *pem, EVP_PKEY *key, struct span uri,
    const struct span *dns, size_t dns_n, struct err *e)
{
	struct ext_names names = {.uri = uri, .dns = dns, .dns_n = dns_n};
	struct buf info, sig, der;
	enum code rc = ext_names_check(&names, e);

	buf_init(&info);
	buf_init(&sig);
	buf_init(&der);
	if (rc == E_OK)
		rc = put_info(&info, key, &names, e);
	if (rc == E_OK)
		rc = sign_sha256(&sig, key, buf_span(&info), e);
	if (rc == E_OK) {
		put_request(&der, EVP_PKEY_is_a(key, "RSA") == 1,
		    buf_span(&info), buf_span(&sig));
		rc = buf_check(&der, e);
	}
	if (rc == E_OK)
		rc = pki_pem_add(pem, "CERTIFICATE REQUEST", buf_span(&der), e);
	buf_free(&info);
	buf_free(&sig);
	buf_free(&der);
	return rc;
}
