/* istio.c -- istio.v1.auth.IstioCertificateService/CreateCertificate, as
 * unmodified Istio agents call it: who asks, what for, and the chain. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/err.h>

#include "base/clock.h"
#include "base/log_event.h"
#include "base/metrics.h"
#include "front/grpc.h"
#include "pki/pki.h"

/* ---- The answer -----------------------------------------------------------
 */

/* What comes back from the node loop, on its way to the loop that asked. */
struct issued {
	struct mail mail;
	struct grpc_ticket to;
	enum code code;
	struct err err;
	struct buf cert, issuer_cert, root_bundle;
};

static void issued_free(struct issued *i)
{
	mailbox_unref(i->to.box);
	buf_free(&i->cert);
	buf_free(&i->issuer_cert);
	buf_free(&i->root_bundle);
	free(i);
}

/* Leaf, issuer, and all roots as the last element (ARCHITECTURE §7). */
static enum code encode_chain(
    const struct issued *i, struct buf *out, struct err *e)
{
	struct buf leaf, issuer;
	struct span chain[3];
	enum code rc;

	buf_init(&leaf);
	buf_init(&issuer);
	rc = pki_pem_add(&leaf, "CERTIFICATE", buf_span(&i->cert), e);
	if (rc == E_OK)
		rc = pki_pem_add(
		    &issuer, "CERTIFICATE", buf_span(&i->issuer_cert), e);
	chain[0] = buf_span(&leaf);
	chain[1] = buf_span(&issuer);
	chain[2] = buf_span(&i->root_bundle);
	if (rc == E_OK)
		rc = wire_csr_response_encode(out, chain, 3, e);
	buf_free(&leaf);
	buf_free(&issuer);
	return rc;
}

static void refuse(struct grpc_call *call, enum code rc, const struct err *e)
{
	metric_inc(rc == E_UNAUTH ? M_auth_failed : M_issue_refused);
	log_event(rc == E_UNAUTH ? EV_auth_failed : EV_issue_refused,
	    "code=%s why=\"%s\"", code_name(rc), e->text);
	grpc_fail_err(call, rc, e);
}

static void answer(struct grpc_call *call, struct issued *i)
{
	struct buf message;

	buf_init(&message);
	if (i->code == E_OK)
		i->code = encode_chain(i, &message, &i->err);
	if (i->code == E_OK) {
		metric_inc(M_issue_ok);
		if (call->ttl_shortened)
			metric_inc(M_ttl_shortened);
		grpc_reply(call, buf_span(&message));
	} else if (i->code == E_UNAVAILABLE) {
		metric_inc(M_issue_unknown);
		grpc_fail_err(call, i->code, &i->err);
	} else {
		refuse(call, i->code, &i->err);
	}
	buf_free(&message);
}

static void on_mail(struct mail *m, void *owner)
{
	struct issued *i = (struct issued *)(void *)m;
	struct grpc_loop *g = owner;
	struct grpc_call *call = g == NULL ? NULL : grpc_call_of(g, &i->to);

	if (call != NULL) {
		answer(call, i);
		conn_pump(call->conn);
	}
	issued_free(i);
}

/* On the node loop's thread. */
static void on_issued(void *arg, const struct front_issued *r)
{
	struct issued *i = arg;

	i->code = r->code;
	if (r->code != E_OK)
		err_set(&i->err, r->code, "%s", r->why);
	else if (!buf_add_span(&i->cert, r->cert) ||
		 !buf_add_span(&i->issuer_cert, r->issuer_cert) ||
		 !buf_add_span(&i->root_bundle, r->root_bundle))
		i->code = err_nomem(&i->err);
	mailbox_post(i->to.box, &i->mail);
}

/* ---- Who asks -------------------------------------------------------------
 */

/* Authorization: Bearer TOKEN (RFC 6750 §2.1); empty if it is not that. */
static struct span bearer(const struct grpc_call *call)
{
	static const char scheme[] = "Bearer ";
	const size_t n = sizeof(scheme) - 1;
	struct span s = buf_span(&call->authorization);

	if (s.len < n || strncasecmp((const char *)s.p, scheme, n) != 0)
		return SPAN_EMPTY;
	s = span_of(s.p + n, s.len - n);
	while (s.len > 0 && s.p[0] == ' ')
		s = span_of(s.p + 1, s.len - 1);
	return s;
}

/* A renewal is its parent's cluster's to answer for; only the log knows it. */
static enum code parent_cluster(
    const struct front_ops *ops, struct auth_identity *id, struct err *e)
{
	struct ca_entry *en = calloc(1, sizeof(*en));
	struct wire_memory *mem = NULL;
	struct ca_record rec;
	struct ca *ca;
	void *token;
	enum code rc;

	if (en == NULL)
		return err_nomem(e);
	if ((rc = ops->read_begin(ops->ctx, false, &ca, &token, e)) != E_OK)
		goto out;
	rc = ca_record_by_serial(ca, id->parent, &rec, e);
	if (rc == E_NOTFOUND)
		rc = err_set(e, E_UNAVAILABLE,
		    "the client certificate is not in this node's log yet");
	else if (rc == E_OK)
		rc = wire_entry_decode(rec.raw, en, &mem, e);
	if (rc == E_OK && en->kind == CA_ISSUE)
		snprintf(id->cluster, sizeof(id->cluster), "%.*s",
		    (int)en->u.issue.cluster.len,
		    (const char *)en->u.issue.cluster.p);
	ops->read_end(ops->ctx, token);
out:
	wire_free(mem);
	free(en);
	return rc;
}

/* The first proof that holds, the token before the certificate: it is the
 * fresher one.  If neither does, the token's fault is the one to tell. */
static enum code authenticate(
    const struct grpc_call *call, struct auth_identity *id, struct err *e)
{
	struct grpc_loop *g = call->conn->loop;
	struct span token = bearer(call);
	struct err ignored = {0};
	enum code rc = E_UNAUTH;

	if (token.len > 0)
		rc = auth_token(g->keys, token, buf_span(&call->clusterid),
		    clock_unix_ms() / 1000, id, e);
	if (rc == E_UNAUTH && token.len > 0 &&
	    g->front->ops.clock_off(g->front->ops.ctx)) {
		err_set(e, E_UNAVAILABLE,
		    "this node's clock is wrong, so it cannot judge a token: "
		    "ask another node");
		return E_UNAVAILABLE;
	}
	if (rc != E_UNAUTH ||
	    SSL_get0_peer_certificate(call->conn->ssl) == NULL) {
		if (token.len == 0)
			err_set(e, E_UNAUTH,
			    "no token (authorization: Bearer ...) and no "
			    "client certificate");
		return rc;
	}
	rc = auth_client_cert(
	    g->view, call->conn->ssl, id, token.len > 0 ? &ignored : e);
	return rc == E_OK ? parent_cluster(&g->front->ops, id, e) : rc;
}

/* ---- What for -------------------------------------------------------------
 */

static enum code check_csr(const struct wire_csr_request *r,
    const struct auth_identity *id, struct pki_csr *csr, struct err *e)
{
	enum code rc = pki_csr_parse(r->csr, csr, e);

	ERR_clear_error(); /* of a CSR that did not parse */
	if (rc != E_OK)
		return err_wrap(e, rc, "the CSR");
	if (csr->many_uris ||
	    (csr->uri.len > 0 && !span_eq_str(buf_span(&csr->uri), id->uri))) {
		pki_csr_free(csr);
		return err_set(e, E_INVAL,
		    "the CSR asks for another URI than the caller's own, %s",
		    id->uri);
	}
	return E_OK;
}

static enum code ask(struct grpc_call *call, const struct wire_csr_request *r,
    const struct auth_identity *id, const struct pki_csr *csr, struct err *e)
{
	struct grpc_loop *g = call->conn->loop;
	const struct front_ops *ops = &g->front->ops;
	struct issued *i = calloc(1, sizeof(*i));
	struct front_issue req = {.profile = CA_PROFILE_WORKLOAD,
	    .uri = span_str(id->uri),
	    .spki = buf_span(&csr->spki),
	    .ttl_s = (uint64_t)r->validity_s,
	    .via = id->via,
	    .cluster = span_str(id->cluster),
	    .requester = span_str(id->requester),
	    .pod_name = span_str(id->pod_name),
	    .pod_uid = span_str(id->pod_uid),
	    .has_parent = id->via == CA_VIA_CERT};

	if (i == NULL)
		return err_nomem(e);
	memcpy(req.parent, id->parent, sizeof(req.parent));
	call->ttl_shortened = req.ttl_s > g->view->policy.ttl_max_s;
	i->mail.run = on_mail;
	i->to = grpc_ticket(call);
	ops->issue(ops->ctx, &req, on_issued, i);
	return E_OK;
}

static enum code check_request(const struct wire_csr_request *r, struct err *e)
{
	if (r->impersonated.len > 0)
		return err_set(e, E_UNSUPPORTED,
		    "ImpersonatedIdentity (ztunnel) is not supported yet");
	if (r->validity_s < 0)
		return err_set(e, E_INVAL, "validity_duration is negative");
	if (r->csr.len == 0)
		return err_set(e, E_INVAL, "there is no CSR");
	return E_OK;
}

static enum code create(
    struct grpc_call *call, const struct wire_csr_request *r, struct err *e)
{
	struct auth_identity id;
	struct pki_csr csr;
	enum code rc;

	if (grpc_view(call->conn->loop) == NULL)
		return err_set(e, E_UNAVAILABLE,
		    "this node holds no state yet; its /readyz says why");
	if ((rc = authenticate(call, &id, e)) != E_OK ||
	    (rc = check_request(r, e)) != E_OK ||
	    (rc = check_csr(r, &id, &csr, e)) != E_OK)
		return rc;
	rc = ask(call, r, &id, &csr, e);
	pki_csr_free(&csr);
	return rc;
}

void istio_create_certificate(struct grpc_call *call, struct span message)
{
	struct wire_memory *mem = NULL;
	struct wire_csr_request r;
	struct err err = {0};
	enum code rc = wire_csr_request_decode(message, &r, &mem, &err);

	if (rc == E_OK)
		rc = create(call, &r, &err);
	if (rc != E_OK)
		refuse(call, rc, &err);
	wire_free(mem);
}
