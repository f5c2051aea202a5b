/* csr.c -- certificate requests (PKCS #10, RFC 2986): read and made. */
#include "pki/internal.h"

#include <string.h>

#include <openssl/err.h>
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

static bool signature_taken(int nid)
{
	static const int taken[] = {
	    NID_ecdsa_with_SHA256,
	    NID_ecdsa_with_SHA384,
	    NID_ecdsa_with_SHA512,
	    NID_sha256WithRSAEncryption,
	    NID_sha384WithRSAEncryption,
	    NID_sha512WithRSAEncryption,
	};

	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (taken[i] == nid)
			return true;
	return false;
}

static enum code take_key(X509_REQ *req, struct pki_csr *out, struct err *e)
{
	EVP_PKEY *key = X509_REQ_get0_pubkey(req);
	int bits;
	enum code rc;

	if (key == NULL)
		return err_set(e, E_INVAL, "its key cannot be read");
	bits = EVP_PKEY_get_bits(key);
	out->rsa = EVP_PKEY_is_a(key, "RSA") == 1;
	if (out->rsa && bits != 2048 && bits != 3072 && bits != 4096)
		return err_set(
		    e, E_INVAL, "an RSA key of %d bits; take " KINDS, bits);
	rc = pki_key_spki(&out->spki, key, e);
	if (rc != E_OK || out->rsa)
		return rc;
	if (!spki_is_p256(buf_span(&out->spki)) &&
	    !spki_is_p384(buf_span(&out->spki)))
		return err_set(e, E_INVAL,
		    "a key of another kind (or a compressed point); "
		    "take " KINDS);
	return E_OK;
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

static enum code take_names(X509_REQ *req, struct pki_csr *out, struct err *e)
{
	STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(req);
	GENERAL_NAMES *names = NULL;
	enum code rc = E_OK;
	int found = -1;

	if (exts == NULL && X509_REQ_get_attr_by_NID(req, NID_ext_req, -1) >= 0)
		return err_set(e, E_INVAL, "its extensions are malformed");
	if (exts != NULL)
		names =
		    X509V3_get_d2i(exts, NID_subject_alt_name, &found, NULL);
	if (names != NULL)
		rc = take_uris(names, out, e);
	else if (found != -1)
		rc = err_set(e, E_INVAL, "its alternative names are malformed");
	sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	return rc;
}

static enum code take_request(X509_REQ *req, struct pki_csr *out, struct err *e)
{
	enum code rc;

	if (X509_REQ_get_version(req) != X509_REQ_VERSION_1)
		return err_set(e, E_INVAL, "its version is not 1");
	rc = take_key(req, out, e);
	if (rc != E_OK)
		return rc;
	if (!signature_taken(X509_REQ_get_signature_nid(req)))
		return err_set(e, E_INVAL,
		    "its signature is not ECDSA or RSA (PKCS #1 v1.5) with "
		    "SHA-256, SHA-384 or SHA-512");
	if (X509_REQ_verify(req, X509_REQ_get0_pubkey(req)) != 1)
		return err_set(e, E_INVAL, "it is not signed with its own key");
	return take_names(req, out, e);
}

enum code pki_csr_parse(struct span pem, struct pki_csr *out, struct err *e)
{
	X509_REQ *req = NULL;
	struct buf der;
	const uint8_t *p;
	enum code rc;

	*out = (struct pki_csr){0};
	buf_init(&der);
	rc = pem_take(pem, &der, e);
	if (rc != E_OK)
		goto out;
	p = der.p;
	if (der.len > 0)
		req = d2i_X509_REQ(NULL, &p, (long)der.len);
	if (req == NULL || p != der.p + der.len)
		rc = err_set(e, E_INVAL, "not a PKCS #10 request in DER");
	else
		rc = take_request(req, out, e);
out:
	if (rc != E_OK)
		pki_csr_free(out);
	X509_REQ_free(req);
	buf_free(&der);
	ERR_clear_error();
	return rc;
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
