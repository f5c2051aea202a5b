/* crl.c -- CRLs over HTTP: of the root, of each issuer, and all in one. */
#include <string.h>

#include "base/text.h"
#include "front/http.h"
#include "front/trust.h"
#include "pki/pki.h"

/* By key id, or by name: then the newest of that name. */
static const struct ca_issuer *find(const struct ca_view *v, const char *name)
{
	const struct ca_issuer *best = NULL;
	uint8_t key_id[CA_KEY_ID_LEN];

	if (hex_decode(key_id, sizeof(key_id), name, NULL) == E_OK)
		return ca_view_issuer(v, key_id);
	for (size_t i = 0; i < v->issuers_n; i++)
		if (span_eq_str(v->issuers[i].name, name) &&
		    (best == NULL || v->issuers[i].added_ms > best->added_ms))
			best = &v->issuers[i];
	return best;
}

static enum code der_of(struct exchange *x, const struct ca *ca,
    const struct ca_view *v, const char *name, struct err *e)
{
	const struct ca_issuer *is;

	if (strcmp(name, "root") == 0)
		return buf_add_span(&x->out, v->root_crl) ? E_OK : err_nomem(e);
	is = find(v, name);
	return is == NULL ? err_set(e, E_NOTFOUND, "there is no such issuer")
			  : trust_crl_der(ca, v, is->key_id, &x->out, e);
}

static enum code to_pem(struct exchange *x, struct err *e)
{
	struct buf der = x->out;
	enum code rc;

	buf_init(&x->out);
	rc = pki_pem_add(&x->out, "X509 CRL", buf_span(&der), e);
	buf_free(&der);
	return rc;
}

/* name: NULL for all. */
static enum code answer(
    struct exchange *x, const char *name, bool pem, struct err *e)
{
	struct ca_view *v = NULL;
	struct read r;
	enum code rc = read_open(&r, x, e);

	if (rc != E_OK)
		return rc;
	rc = ca_view_load(r.ca, &v, e);
	if (rc == E_OK)
		rc = name == NULL ? trust_crls_pem(r.ca, v, &x->out, e)
				  : der_of(x, r.ca, v, name, e);
	read_close(&r);
	ca_view_unref(v);
	if (rc == E_OK && name != NULL && pem)
		rc = to_pem(x, e);
	x->public = true;
	x->type = pem || name == NULL ? "application/x-pem-file"
				      : "application/pkix-crl";
	return rc;
}

enum code crl_get(struct exchange *x, struct err *e)
{
	const char *format = exchange_query(x, "format");
	bool pem = format != NULL && strcmp(format, "pem") == 0;

	if (format != NULL && !pem && strcmp(format, "der") != 0)
		return err_set(e, E_INVAL, "format is der or pem");
	return answer(x, exchange_query(x, "issuer"), pem, e);
}

enum code crl_root(struct exchange *x, struct err *e)
{
	return answer(x, "root", false, e);
}

enum code crl_all(struct exchange *x, struct err *e)
{
	return answer(x, NULL, true, e);
}

/* /crl/NAME.crl or /crl/NAME.pem */
enum code crl_file(struct exchange *x, struct err *e)
{
	char name[2 * CA_NAME_MAX + 1];
	const char *dot = strrchr(x->rest, '.');
	size_t len = dot == NULL ? 0 : (size_t)(dot - x->rest);
	bool pem = dot != NULL && strcmp(dot, ".pem") == 0;

	if (len == 0 || len >= sizeof(name) ||
	    (!pem && strcmp(dot, ".crl") != 0))
		return err_set(e, E_NOTFOUND,
		    "CRLs are here as /crl/ISSUER.crl (DER) and "
		    "/crl/ISSUER.pem");
	memcpy(name, x->rest, len);
	name[len] = '\0';
	return answer(x, name, pem, e);
}
