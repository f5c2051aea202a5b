#include "cli/leaf.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/x509v3.h>

#include "base/text.h"
#include "cli/view.h"
#include "pki/pki.h"

static void read_serial(struct leaf *out, const X509 *x)
{
	const ASN1_INTEGER *n = X509_get0_serialNumber(x);
	const ASN1_STRING *s = n;
	int len = ASN1_STRING_length(s);

	out->serial[0] = '\0';
	if (len > 0 && 2 * len < (int)sizeof(out->serial))
		hex_encode(out->serial, ASN1_STRING_get0_data(s), (size_t)len);
}

static void read_time(char out[32], const ASN1_TIME *t)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		snprintf(out, 32, "-");
	else
		view_time(out, (uint64_t)timegm(&tm));
}

static void read_identity(struct leaf *out, const X509 *x)
{
	GENERAL_NAMES *names =
	    X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);

	out->identity[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);

		if (g->type != GEN_URI)
			continue;
		snprintf(out->identity, sizeof(out->identity), "%.*s",
		    ASN1_STRING_length(g->d.uniformResourceIdentifier),
		    (const char *)ASN1_STRING_get0_data(
			g->d.uniformResourceIdentifier));
		break;
	}
	GENERAL_NAMES_free(names);
}

enum code leaf_read(struct span chain, struct leaf *out, struct err *e)
{
	const unsigned char *p;
	struct buf der;
	X509 *x = NULL;
	enum code rc;

	buf_init(&der);
	rc = pki_pem_first(chain, "CERTIFICATE", &der, e);
	p = der.p;
	if (rc == E_OK)
		x = d2i_X509(NULL, &p, (long)der.len);
	if (rc == E_OK && x == NULL)
		rc = err_set(e, E_INVAL, "not a certificate");
	if (rc == E_OK) {
		read_serial(out, x);
		read_identity(out, x);
		read_time(out->not_before, X509_get0_notBefore(x));
		read_time(out->not_after, X509_get0_notAfter(x));
		X509_NAME_oneline(X509_get_issuer_name(x), out->issuer,
		    (int)sizeof(out->issuer));
	}
	X509_free(x);
	buf_free(&der);
	return rc;
}
