/* A request, as anybody may send it: OpenSSL takes what we take, and reads the
 * same key and names. */
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "fuzz.h"
#include "pki/internal.h"

static void same_key(X509_REQ *req, const struct pki_csr *csr)
{
	EVP_PKEY *key = X509_REQ_get0_pubkey(req);
	struct buf spki;

	buf_init(&spki);
	if (X509_REQ_verify(req, key) != 1 ||
	    pki_key_spki(&spki, key, NULL) != E_OK ||
	    !span_eq(buf_span(&spki), buf_span(&csr->spki)))
		abort();
	buf_free(&spki);
}

static void same_uri(X509_REQ *req, const struct pki_csr *csr)
{
	STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(req);
	GENERAL_NAMES *names =
	    X509V3_get_d2i(exts, NID_subject_alt_name, NULL, NULL);
	size_t uris = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		const ASN1_STRING *s = n->d.ia5;

		if (n->type != GEN_URI || uris++ > 0)
			continue;
		if (!span_eq(buf_span(&csr->uri),
			span_of(ASN1_STRING_get0_data(s),
			    (size_t)ASN1_STRING_length(s))))
			abort();
	}
	if ((uris > 1) != csr->many_uris || (uris == 0) != (csr->uri.len == 0))
		abort();
	sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
}

static void compare(struct span der)
{
	const uint8_t *p = der.p;
	struct pki_csr csr;
	X509_REQ *req;
	struct buf pem;

	buf_init(&pem);
	if (pki_pem_add(&pem, "CERTIFICATE REQUEST", der, NULL) != E_OK)
		abort();
	if (pki_csr_parse(buf_span(&pem), &csr, NULL) == E_OK) {
		req = d2i_X509_REQ(NULL, &p, (long)der.len);
		if (req == NULL || p != der.p + der.len)
			abort();
		same_key(req, &csr);
		same_uri(req, &csr);
		X509_REQ_free(req);
		pki_csr_free(&csr);
	}
	buf_free(&pem);
	ERR_clear_error();
}

/* Behind a signature that holds: in stands for all attributes. */
static void signed_around(struct span in)
{
	static EVP_PKEY *key;
	struct buf info, sig, der;

	buf_init(&info);
	buf_init(&sig);
	buf_init(&der);
	if (key == NULL && pki_key_new(PKI_P256, &key, NULL) != E_OK)
		abort();
	der_u64(&info, DER_INTEGER, 0);
	der_put(&info, DER_SEQUENCE, SPAN_EMPTY);
	if (pki_key_spki(&info, key, NULL) != E_OK)
		abort();
	der_put(&info, DER_CONSTRUCTED_0, in);
	der_end(&info, 0, DER_SEQUENCE);
	if (pki_sign(&sig, key, buf_span(&info), NULL) != E_OK)
		abort();
	put_signed(&der, buf_span(&info), buf_span(&sig));
	compare(buf_span(&der));
	buf_free(&info);
	buf_free(&sig);
	buf_free(&der);
}

/* The first byte says which. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int nids[] = {NID_ext_req, NID_undef};

	X509_REQ_set_extension_nids(nids); /* not Microsoft's */
	if (size == 0)
		return 0;
	if (data[0] == 'a')
		signed_around(span_of(data + 1, size - 1));
	else
		compare(span_of(data + 1, size - 1));
	return 0;
}
