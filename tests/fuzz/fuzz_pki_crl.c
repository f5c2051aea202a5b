/* A CRL, as an operator may hand it in: where OpenSSL can read it too, it lists
 * the same to both.  The bytes are tried as a trust anchor as well. */
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "fuzz.h"
#include "pki/internal.h"

static bool same_row(const struct ca_revoked *ours, const X509_REVOKED *theirs)
{
	const ASN1_INTEGER *serial = X509_REVOKED_get0_serialNumber(theirs);
	ASN1_ENUMERATED *reason =
	    X509_REVOKED_get_ext_d2i(theirs, NID_crl_reason, NULL, NULL);
	/* OpenSSL leaves out the zero before a first bit that is set. */
	size_t pad = ours->serial[0] == 0;
	bool same =
	    span_eq(span_of(ours->serial + pad, CA_SERIAL_LEN - pad),
		span_of(ASN1_STRING_get0_data(serial),
		    (size_t)ASN1_STRING_length(serial))) &&
	    ASN1_TIME_cmp_time_t(X509_REVOKED_get0_revocationDate(theirs),
		(time_t)ours->revoked_s) == 0 &&
	    (reason == NULL ||
		ASN1_ENUMERATED_get(reason) == (long)ours->reason);

	ASN1_ENUMERATED_free(reason);
	return same;
}

static bool same(const struct ca_revoked *rows, size_t n, X509_CRL *crl)
{
	STACK_OF(X509_REVOKED) *list = X509_CRL_get_REVOKED(crl);

	if (X509_CRL_get_version(crl) != X509_CRL_VERSION_2 ||
	    X509_CRL_get_signature_nid(crl) != NID_ecdsa_with_SHA256 ||
	    X509_CRL_get0_nextUpdate(crl) == NULL ||
	    (list == NULL ? 0 : (size_t)sk_X509_REVOKED_num(list)) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!same_row(&rows[i], sk_X509_REVOKED_value(list, (int)i)))
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ca_crypto crypto = pki_ca_crypto();
	struct ca_revoked *rows;
	const uint8_t *p = data;
	X509_CRL *crl;
	size_t n;

	(void)crypto.anchor(crypto.ctx, span_of(data, size), NULL);
	if (pki_crl_rows(span_of(data, size), &rows, &n, NULL) != E_OK)
		return 0;
	crl = d2i_X509_CRL(NULL, &p, (long)size);
	if (crl != NULL && (p != data + size || !same(rows, n, crl)))
		abort();
	X509_CRL_free(crl);
	ERR_clear_error();
	free(rows);
	return 0;
}
