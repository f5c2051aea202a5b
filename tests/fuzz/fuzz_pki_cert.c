/* A CA certificate, as an operator may sign a command about it: where OpenSSL
 * can read it too, it says the same to both. */
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "fuzz.h"
#include "pki/internal.h"

static bool same_octets(struct span ours, const ASN1_STRING *theirs)
{
	return theirs == NULL
		   ? ours.len == 0
		   : span_eq(ours, span_of(ASN1_STRING_get0_data(theirs),
				       (size_t)ASN1_STRING_length(theirs)));
}

static bool same_name(struct span ours, const X509_NAME *theirs)
{
	const uint8_t *der;
	size_t len;

	return X509_NAME_get0_der(theirs, &der, &len) == 1 &&
	       span_eq(ours, span_of(der, len));
}

static bool same_extensions(const struct ca_cert *c, X509 *x)
{
	uint32_t flags = X509_get_extension_flags(x);

	if ((flags & EXFLAG_INVALID) != 0)
		return true;
	return c->ca ==
		   ((flags & EXFLAG_CA) != 0 && (flags & EXFLAG_BCONS) != 0) &&
	       X509_get_pathlen(x) ==
		   (c->has_pathlen ? (long)c->pathlen : -1) &&
	       ((flags & EXFLAG_KUSAGE) == 0 ||
		   (X509_get_key_usage(x) & 0xff) == c->usage) &&
	       same_octets(c->subject_key_id, X509_get0_subject_key_id(x)) &&
	       same_octets(c->authority_key_id, X509_get0_authority_key_id(x));
}

static bool same(const struct ca_cert *c, X509 *x)
{
	return X509_get_version(x) == X509_VERSION_3 &&
	       X509_get_signature_nid(x) == NID_ecdsa_with_SHA256 &&
	       ASN1_TIME_cmp_time_t(
		   X509_get0_notBefore(x), (time_t)c->not_before_s) == 0 &&
	       ASN1_TIME_cmp_time_t(
		   X509_get0_notAfter(x), (time_t)c->not_after_s) == 0 &&
	       same_name(c->issuer, X509_get_issuer_name(x)) &&
	       same_name(c->subject, X509_get_subject_name(x)) &&
	       same_extensions(c, x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *p = data;
	struct ca_cert c;
	X509 *x;

	if (ca_cert_read(span_of(data, size), &c, NULL) != E_OK)
		return 0;
	x = d2i_X509(NULL, &p, (long)size);
	if (x != NULL && (p != data + size || !same(&c, x)))
		abort();
	X509_free(x);
	ERR_clear_error();
	return 0;
}
