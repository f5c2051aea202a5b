/* bundle.c -- roots and bundles over HTTP. */
#include <string.h>

#include "front/http.h"
#include "front/trust.h"
#include "pki/pki.h"

enum code bundle_root(struct exchange *x, struct err *e)
{
	x->public = true;
	x->applied = x->view->applied;
	x->type = "application/x-pem-file";
	return pki_pem_add(&x->out, "CERTIFICATE", x->view->root_cert, e);
}

enum code bundle_pem(struct exchange *x, struct err *e)
{
	x->public = true;
	x->applied = x->view->applied;
	x->type = "application/x-pem-file";
	return trust_roots_pem(x->view, &x->out, e);
}

enum code bundle_json(struct exchange *x, struct err *e)
{
	x->public = true;
	x->applied = x->view->applied;
	return trust_bundle_json(x->view, &x->out, e);
}

enum code bundle_federated(struct exchange *x, struct err *e)
{
	x->public = true;
	x->applied = x->view->applied;
	return trust_federated_json(x->view, &x->out, e);
}

enum code bundle_get(struct exchange *x, struct err *e)
{
	const char *format = exchange_query(x, "format");

	if (format == NULL || strcmp(format, "pem") == 0)
		return bundle_pem(x, e);
	if (strcmp(format, "spiffe") == 0)
		return bundle_json(x, e);
	if (strcmp(format, "federated") == 0)
		return bundle_federated(x, e);
	return err_set(e, E_INVAL, "format is pem, spiffe or federated");
}
