/* trust.c -- who may sign no more, what the root says of them, and whom to
 * trust besides: acts on issuers, the root's CRL, trust bundles. */
#include <string.h>

#include "ca/internal.h"

static bool refused(const struct ca_result *out)
{
	return out->outcome != CA_OK;
}

/* ---- Issuers ------------------------------------------------------------- */

static enum code set_issuer_state(struct ca *ca, const struct ca_view *v,
    const uint8_t *key_id, enum ca_issuer_state state, struct ca_result *out,
    struct err *e)
{
	const struct ca_issuer *is = ca_view_issuer(v, key_id);
	struct ca_issuer next;

	if (is == NULL)
		return refuse(out, CA_NOT_FOUND, "there is no such issuer");
	if (is->state >= state)
		return refuse(out, CA_CONFLICT, "issuer \"%.*s\" is %s already",
		    (int)is->name.len, (const char *)is->name.p,
		    is->state == CA_ISSUER_RETIRED ? "retired" : "revoked");
	next = *is;
	next.state = state;
	return put_issuer(ca, &next, e);
}

enum code trust_retire_issuer(struct ca *ca, const struct ca_view *v,
    const struct ca_admin *c, struct ca_result *out, struct err *e)
{
	return set_issuer_state(
	    ca, v, c->u.retire_issuer, CA_ISSUER_RETIRED, out, e);
}

/* ---- The root's CRL ------------------------------------------------------ */

/* Does the CRL list each issuer that was revoked and would live? */
static enum code check_revoked(const struct ca *ca, const struct ca_view *v,
    struct span crl, struct ca_result *out, struct err *e)
{
	struct err why = {0};
	uint64_t number;

	for (size_t i = 0; i < v->issuers_n; i++) {
		const struct ca_issuer *is = &v->issuers[i];
		enum code rc;

		if (is->state != CA_ISSUER_REVOKED ||
		    is->not_after_s < ca->meta.time_ms / 1000)
			continue;
		rc = ca->crypto.root_crl(
		    ca->crypto.ctx, crl, v->root_cert, is->cert, &number, &why);
		if (rc == E_INVAL)
			return refuse(out, CA_CONFLICT,
			    "the root's CRL must go on listing issuer "
			    "\"%.*s\", which is revoked",
			    (int)is->name.len, (const char *)is->name.p);
		if (rc != E_OK)
			return err_set(e, rc, "%s", why.text);
	}
	return E_OK;
}

/* Numbers only grow; lists: what must stand on it. */
static enum code take_root_crl(struct ca *ca, const struct ca_view *v,
    struct span crl, struct span lists, struct ca_result *out, struct err *e)
{
	struct err why = {0};
	uint64_t number, last;
	enum code rc;

	rc = ca->crypto.root_crl(
	    ca->crypto.ctx, v->root_crl, v->root_cert, SPAN_EMPTY, &last, &why);
	if (rc == E_INVAL)
		last = 0; /* Genesis took any: whatever comes is better */
	else if (rc != E_OK)
		return err_set(e, rc, "%s", why.text);
	rc = ca->crypto.root_crl(
	    ca->crypto.ctx, crl, v->root_cert, lists, &number, &why);
	if (rc == E_INVAL)
		return refuse(out, CA_BAD_SIGNATURE, "%.180s", why.text);
	if (rc != E_OK)
		return err_set(e, rc, "%s", why.text);
	if (number <= last)
		return refuse(out, CA_CONFLICT,
		    "the root's CRL has number %llu, the next one must have "
		    "more: fetch it and sign again",
		    (unsigned long long)last);
	if ((rc = check_revoked(ca, v, crl, out, e)) != E_OK || refused(out))
		return rc;
	small_changed(ca);
	return state_put(ca, CA_T_META, span_str(META_ROOT_CRL), crl, e);
}

enum code trust_revoke_issuer(struct ca *ca, const struct ca_view *v,
    const struct ca_admin *c, struct ca_result *out, struct err *e)
{
	const struct ca_issuer *is =
	    ca_view_issuer(v, c->u.revoke_issuer.issuer);
	enum code rc;

	if (is == NULL)
		return refuse(out, CA_NOT_FOUND, "there is no such issuer");
	rc =
	    take_root_crl(ca, v, c->u.revoke_issuer.root_crl, is->cert, out, e);
	if (rc != E_OK || refused(out))
		return rc;
	return set_issuer_state(
	    ca, v, c->u.revoke_issuer.issuer, CA_ISSUER_REVOKED, out, e);
}

enum code trust_set_root_crl(struct ca *ca, const struct ca_view *v,
    const struct ca_admin *c, struct ca_result *out, struct err *e)
{
	struct span none = SPAN_EMPTY;

	return take_root_crl(ca, v, c->u.set_root_crl, none, out, e);
}

/* ---- Trust bundles ------------------------------------------------------- */

/* SPIFFE ID §2.1; the name is a key of JSON objects, too. */
static bool trust_domain_valid(struct span td)
{
	bool other = false; /* than dots */

	for (size_t i = 0; i < td.len; i++) {
		uint8_t c = td.p[i];

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		    c == '-' || c == '_')
			other = true;
		else if (c != '.')
			return false;
	}
	return other && td.len <= CA_TRUST_DOMAIN_MAX;
}

bool ca_bundle_input(struct buf *out, const struct ca_bundle *b)
{
	bool ok = buf_add_str(out, "quorate trust bundle v1") &&
		  buf_add_u8(out, 0) &&
		  buf_add_u16be(out, (uint16_t)b->trust_domain.len) &&
		  buf_add_span(out, b->trust_domain) &&
		  buf_add_u64be(out, b->sequence);

	for (size_t i = 0; i < b->certs_n; i++)
		ok = ok && buf_add_u32be(out, (uint32_t)b->certs[i].len) &&
		     buf_add_span(out, b->certs[i]);
	return ok;
}

static enum code bundle_check(struct ca *ca, const struct ca_view *v,
    const struct ca_bundle *b, struct ca_result *out, struct err *e)
{
	struct err why = {0};
	struct buf input;
	enum code rc = E_OK;

	if (!trust_domain_valid(b->trust_domain))
		return refuse(out, CA_BAD_FORMAT,
		    "a bundle is of a trust domain: lower-case letters, "
		    "digits, dots, dashes, underscores");
	for (size_t i = 0; i < b->certs_n; i++) {
		rc = ca->crypto.anchor(ca->crypto.ctx, b->certs[i], &why);
		if (rc == E_INVAL)
			return refuse(out, CA_BAD_FORMAT,
			    "certificate %zu: %.150s", i + 1, why.text);
		if (rc != E_OK)
			return err_set(e, rc, "%s", why.text);
	}
	if (!span_eq(b->trust_domain, v->trust_domain))
		return E_OK;
	/* More roots of our own need more than an operator. */
	buf_init(&input);
	rc = ca_bundle_input(&input, b)
		 ? ca->crypto.verify(ca->crypto.ctx, v->root.spki,
		       buf_span(&input), b->root_sig, &why)
		 : err_nomem(&why);
	buf_free(&input);
	if (rc == E_INVAL)
		return refuse(out, CA_BAD_SIGNATURE,
		    "the root key did not sign these roots");
	return rc == E_OK ? E_OK : err_set(e, rc, "%s", why.text);
}

enum code trust_set_bundle(struct ca *ca, const struct ca_view *v,
    const struct ca_admin *c, struct ca_result *out, struct err *e)
{
	struct ca_bundle next = c->u.set_trust_bundle;
	const struct ca_bundle *had = ca_view_bundle(v, next.trust_domain);
	enum code rc;

	/* The root key signs it, too: an old bundle cannot come back. */
	next.sequence = had == NULL ? 1 : had->sequence + 1;
	if ((rc = bundle_check(ca, v, &next, out, e)) != E_OK || refused(out))
		return rc;
	if (next.certs_n == 0 && (had == NULL || had->certs_n == 0))
		return refuse(out, CA_NOT_FOUND,
		    "there is no bundle of that trust domain");
	return put_bundle(ca, &next, e);
}
