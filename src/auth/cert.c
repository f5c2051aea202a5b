/* cert.c -- client certificates: of workloads that renew, and of operators. */
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "auth/internal.h"
#include "pki/pki.h"

/* ---- Workloads ---- */

/* What one verification needs; everything is freed by trust_free. */
struct trust {
	X509_STORE *store;
	STACK_OF(X509) * issuers; /* ours, and none the peer sent */
	X509_STORE_CTX *ctx;
};

static void trust_free(struct trust *t)
{
	X509_STORE_CTX_free(t->ctx);
	sk_X509_pop_free(t->issuers, X509_free);
	X509_STORE_free(t->store);
}

static X509 *read_cert(struct span der)
{
	const uint8_t *p = der.p;

	return d2i_X509(NULL, &p, (long)der.len);
}

static bool add_issuers(struct trust *t, const struct ca_view *v)
{
	for (size_t i = 0; i < v->issuers_n; i++) {
		X509 *x;

		if (v->issuers[i].state == CA_ISSUER_REVOKED)
			continue;
		x = read_cert(v->issuers[i].cert);
		if (x == NULL || sk_X509_push(t->issuers, x) == 0) {
			X509_free(x);
			return false;
		}
	}
	return true;
}

static bool trust_make(struct trust *t, const struct ca_view *v)
{
	X509 *root = read_cert(v->root_cert);
	bool ok;

	t->store = X509_STORE_new();
	t->issuers = sk_X509_new_null();
	t->ctx = X509_STORE_CTX_new();
	ok = root != NULL && t->store != NULL && t->issuers != NULL &&
	     t->ctx != NULL && X509_STORE_add_cert(t->store, root) == 1 &&
	     add_issuers(t, v);
	X509_free(root);
	return ok;
}

/* A chain over one of the log's issuers to the root. */
static enum code verify_chain(
    const struct ca_view *v, X509 *leaf, struct err *e)
{
	struct trust t = {0};
	enum code rc = E_OK;

	if (!trust_make(&t, v) ||
	    X509_STORE_CTX_init(t.ctx, t.store, leaf, t.issuers) != 1 ||
	    X509_STORE_CTX_set_purpose(t.ctx, X509_PURPOSE_SSL_CLIENT) != 1)
		rc = err_set(
		    e, E_INTERNAL, "could not check the client certificate");
	else if (X509_verify_cert(t.ctx) != 1)
		rc = err_set(e, E_UNAUTH, "the client certificate: %s",
		    X509_verify_cert_error_string(
			X509_STORE_CTX_get_error(t.ctx)));
	trust_free(&t);
	return rc;
}

/* The one URI among the names (X509-SVID §2); SPAN_EMPTY otherwise. */
static struct span one_uri(const GENERAL_NAMES *names)
{
	struct span uri = SPAN_EMPTY;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		const ASN1_STRING *s;

		if (n->type != GEN_URI)
			continue;
		if (uri.len != 0)
			return SPAN_EMPTY;
		s = n->d.uniformResourceIdentifier;
		uri = span_of(
		    ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
	}
	return uri;
}

static void put_text(char *out, struct span s)
{
	memcpy(out, s.p, s.len);
	out[s.len] = '\0';
}

static enum code take_uri(const struct ca_view *v, struct span uri,
    struct auth_identity *out, struct err *e)
{
	struct pki_spiffe id;

	if (uri.len == 0 || uri.len > CA_URI_MAX ||
	    pki_spiffe_parse(uri, &id, NULL) != E_OK ||
	    !span_eq(id.trust_domain, v->trust_domain) ||
	    id.ns.len >= sizeof(out->ns) || id.sa.len >= sizeof(out->sa))
		return err_set(e, E_UNAUTH,
		    "the client certificate is not a workload's of this trust "
		    "domain");
	put_text(out->uri, uri);
	put_text(out->requester, uri);
	put_text(out->ns, id.ns);
	put_text(out->sa, id.sa);
	out->via = CA_VIA_CERT;
	return E_OK;
}

static enum code take_names(const struct ca_view *v, X509 *leaf,
    struct auth_identity *out, struct err *e)
{
	GENERAL_NAMES *names =
	    X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	const ASN1_INTEGER *serial = X509_get0_serialNumber(leaf);
	enum code rc = take_uri(v, one_uri(names), out, e);

	sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
	if (rc != E_OK)
		return rc;
	if (ASN1_STRING_type(serial) != V_ASN1_INTEGER ||
	    ASN1_STRING_length(serial) != CA_SERIAL_LEN)
		return err_set(e, E_UNAUTH,
		    "the client certificate's serial is not one of ours");
	memcpy(out->parent, ASN1_STRING_get0_data(serial), CA_SERIAL_LEN);
	return E_OK;
}

enum code auth_client_cert(const struct ca_view *view, SSL *ssl,
    struct auth_identity *out, struct err *e)
{
	X509 *leaf = SSL_get0_peer_certificate(ssl);
	enum code rc;

	*out = (struct auth_identity){0};
	if (leaf == NULL)
		return err_set(e, E_UNAUTH, "no client certificate");
	rc = verify_chain(view, leaf, e);
	if (rc == E_OK)
		rc = take_names(view, leaf, out, e);
	ERR_clear_error();
	return rc;
}

/* ---- Operators ---- */

enum code auth_operator(const struct ca_view *view, SSL *ssl, uint32_t roles,
    const struct ca_operator **out, struct err *e)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	const struct ca_operator *op;
	uint8_t *der = NULL;
	int len;

	*out = NULL;
	if (cert == NULL)
		return err_set(e, E_UNAUTH,
		    "this is for operators: show a client certificate "
		    "(--identity DIR)");
	len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	op =
	    len <= 0 ? NULL : ca_view_operator(view, span_of(der, (size_t)len));
	OPENSSL_free(der);
	ERR_clear_error();
	if (op == NULL || op->removed)
		return err_set(e, E_DENIED,
		    "the client certificate's key is not an operator's");
	if ((op->roles & (roles | CA_ROLE_ADMIN)) == 0)
		return err_set(e, E_DENIED,
		    "operator \"%.*s\" does not have the role for this",
		    (int)op->name.len, (const char *)op->name.p);
	*out = op;
	return E_OK;
}
