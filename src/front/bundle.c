/* bundle.c -- what makes a peer trust us: the root, the bundle as PEM or as a
 * SPIFFE bundle (SPIFFE Trust Domain and Bundle §4), and the root's CRL. */
#include <string.h>

#include "base/text.h"
#include "front/http.h"
#include "pki/pki.h"

#define REFRESH_HINT_S 300

static enum code put_pem(struct exchange *x, struct err *e)
{
	x->applied = x->view->applied;
	x->type = "application/x-pem-file";
	return pki_pem_add(&x->out, "CERTIFICATE", x->view->root_cert, e);
}

static json_t *json_base64url(struct span s)
{
	struct buf text;
	json_t *out = NULL;

	buf_init(&text);
	if (base64_encode(&text, s, BASE64_URL))
		out = json_span(buf_span(&text));
	buf_free(&text);
	return out;
}

/* RFC 7517, RFC 7518 §6.2.1.  A P-256 SPKI ends in the point: 04, x, y. */
static json_t *jwk_of(struct span cert, struct span spki)
{
	const uint8_t *point = spki.p + spki.len - 64;
	json_t *o = json_object(), *chain = json_array();

	json_set(o, "kty", json_string("EC"));
	json_set(o, "crv", json_string("P-256"));
	json_set(o, "x", json_base64url(span_of(point, 32)));
	json_set(o, "y", json_base64url(span_of(point + 32, 32)));
	json_set(o, "use", json_string("x509-svid"));
	json_array_append_new(chain, json_base64(cert));
	json_set(o, "x5c", chain);
	return o;
}

static enum code put_spiffe(struct exchange *x, struct err *e)
{
	const struct ca_view *v = x->view;
	json_t *o, *keys;

	if (v->root.spki.len != CA_P256_SPKI_LEN)
		return err_set(e, E_UNSUPPORTED,
		    "only a P-256 root has a JWK here: take the PEM bundle");
	o = json_object();
	keys = json_array();
	json_array_append_new(keys, jwk_of(v->root_cert, v->root.spki));
	json_set(o, "keys", keys);
	json_set(o, "spiffe_refresh_hint", json_integer(REFRESH_HINT_S));
	x->applied = v->applied;
	return json_finish(x, o, e);
}

enum code bundle_root(struct exchange *x, struct err *e)
{
	return put_pem(x, e);
}

enum code bundle_get(struct exchange *x, struct err *e)
{
	const char *format = exchange_query(x, "format");

	if (format == NULL || strcmp(format, "pem") == 0)
		return put_pem(x, e);
	if (strcmp(format, "spiffe") == 0)
		return put_spiffe(x, e);
	return err_set(e, E_INVAL, "format is pem or spiffe");
}

enum code bundle_pem(struct exchange *x, struct err *e)
{
	return put_pem(x, e);
}

enum code bundle_json(struct exchange *x, struct err *e)
{
	return put_spiffe(x, e);
}

enum code bundle_crl(struct exchange *x, struct err *e)
{
	x->applied = x->view->applied;
	x->type = "application/pkix-crl";
	return buf_add_span(&x->out, x->view->root_crl) ? E_OK : err_nomem(e);
}
