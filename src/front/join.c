/* join.c -- nodes that ask to be taken in (docs/http-api.md, "Joining").
 *
 * A post is kept in memory until an operator has approved it or ten minutes
 * have passed since the last one; the log is asked for nothing but the API
 * certificate of a node that operators have registered.  All of it belongs to
 * the loop's thread. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log_event.h"
#include "base/text.h"
#include "front/http.h"
#include "pki/pki.h"

#define JOINS_MAX 64
#define JOIN_KEEP_MS (10 * 60 * 1000ULL)
#define JOIN_TEXT_MAX 253
#define PROOF_CONTEXT "quorate issuer proof v1" /* with its NUL */

struct pending {
	struct pending *next;
	uint8_t mesh_key[CA_MESH_KEY_LEN];
	uint8_t token[SHA256_LEN]; /* SHA-256 of auth, as the log has it */
	char cluster[CA_NAME_MAX + 1];
	struct buf body;
	uint8_t mac[SHA256_LEN];
	uint64_t heard_ms;   /* CLOCK_MONOTONIC */
	bool asking;         /* for the API certificate */
	struct buf api_cert; /* PEM chain, once issued */
};

struct joins {
	struct pending *first;
	size_t n;
};

struct joins *joins_new(void)
{
	return calloc(1, sizeof(struct joins));
}

static void pending_free(struct pending *p)
{
	buf_free(&p->body);
	buf_free(&p->api_cert);
	free(p);
}

void joins_free(struct joins *j)
{
	while (j != NULL && j->first != NULL) {
		struct pending *p = j->first;

		j->first = p->next;
		pending_free(p);
	}
	free(j);
}

static void forget_old(struct joins *j, uint64_t now_ms)
{
	struct pending **at = &j->first;

	while (*at != NULL) {
		struct pending *p = *at;

		if (p->asking || now_ms - p->heard_ms < JOIN_KEEP_MS) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		pending_free(p);
		j->n--;
	}
}

static struct pending *find(
    const struct joins *j, const uint8_t mesh_key[CA_MESH_KEY_LEN])
{
	for (struct pending *p = j->first; p != NULL; p = p->next)
		if (memcmp(p->mesh_key, mesh_key, CA_MESH_KEY_LEN) == 0)
			return p;
	return NULL;
}

/* ---- The request ---- */

struct request {
	json_t *outer, *inner;
	uint8_t token[SHA256_LEN], mac[SHA256_LEN], mesh_key[CA_MESH_KEY_LEN];
	struct buf body, api_spki, issuer_spki;
	const char *cluster; /* borrows from inner */
};

static void request_free(struct request *r)
{
	json_decref(r->outer);
	json_decref(r->inner);
	buf_free(&r->body);
	buf_free(&r->api_spki);
	buf_free(&r->issuer_spki);
}

static enum code text_field(const json_t *o, const char *name, size_t max,
    const char **out, struct err *e)
{
	const json_t *v = json_object_get(o, name);

	*out = json_string_value(v);
	if (*out == NULL || json_string_length(v) > max)
		return err_set(e, E_INVAL,
		    "%s is missing, or longer than %zu bytes", name, max);
	return E_OK;
}

static enum code hex_field(
    const json_t *o, const char *name, uint8_t *out, size_t len, struct err *e)
{
	const char *text;
	enum code rc = text_field(o, name, 2 * len, &text, e);

	if (rc == E_OK)
		rc = hex_decode(out, len, text, e);
	return rc == E_OK ? rc : err_wrap(e, rc, "%s", name);
}

static enum code base64_field(const json_t *o, const char *name, size_t max,
    struct buf *out, struct err *e)
{
	const char *text;
	enum code rc = text_field(o, name, max * 4 / 3 + 8, &text, e);

	if (rc == E_OK)
		rc = base64_decode(out, span_str(text), BASE64_STD, e);
	return rc == E_OK ? rc : err_wrap(e, rc, "%s", name);
}

static enum code parse_object(struct span text, json_t **out, struct err *e)
{
	*out = json_loadb(
	    (const char *)text.p, text.len, JSON_REJECT_DUPLICATES, NULL);
	return json_is_object(*out) ? E_OK
				    : err_set(e, E_INVAL, "not a JSON object");
}

/* The key that will serve the API is the joiner's: its CSR is signed. */
static enum code check_api_key(struct request *r, struct err *e)
{
	struct pki_csr csr;
	const char *pem;
	enum code rc = text_field(r->inner, "api_csr", 16384, &pem, e);

	if (rc != E_OK)
		return rc;
	rc = pki_csr_parse(span_str(pem), &csr, e);
	if (rc != E_OK)
		return err_wrap(e, rc, "api_csr");
	if (!span_eq(buf_span(&csr.spki), buf_span(&r->api_spki)))
		rc = err_set(e, E_INVAL, "api_spki is not api_csr's key");
	pki_csr_free(&csr);
	return rc;
}

/* Possession of the issuer key, bound to this mesh key. */
static enum code check_issuer_key(struct request *r, struct err *e)
{
	uint8_t msg[sizeof(PROOF_CONTEXT) + CA_MESH_KEY_LEN] = PROOF_CONTEXT;
	struct buf proof;
	enum code rc;

	buf_init(&proof);
	rc = base64_field(
	    r->inner, "issuer_spki", CA_SPKI_MAX, &r->issuer_spki, e);
	if (rc == E_OK && r->issuer_spki.len > 0)
		rc = base64_field(
		    r->inner, "issuer_proof", CA_SIG_MAX, &proof, e);
	memcpy(msg + sizeof(PROOF_CONTEXT), r->mesh_key, CA_MESH_KEY_LEN);
	if (rc == E_OK && r->issuer_spki.len > 0 &&
	    !pki_verify(buf_span(&r->issuer_spki), span_of(msg, sizeof(msg)),
		buf_span(&proof)))
		rc = err_set(e, E_INVAL,
		    "issuer_proof was not made with the issuer key");
	buf_free(&proof);
	return rc;
}

static enum code check_addresses(const struct request *r, struct err *e)
{
	const json_t *list = json_object_get(r->inner, "api_addresses");
	const char *text;
	enum code rc = text_field(r->inner, "mesh_address", 299, &text, e);

	if (rc != E_OK)
		return rc;
	if (!json_is_array(list) || json_array_size(list) == 0 ||
	    json_array_size(list) > CA_LIST_MAX)
		return err_set(e, E_INVAL,
		    "api_addresses is not a list of 1 to %d", CA_LIST_MAX);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);

		if (json_string_length(v) == 0 ||
		    json_string_length(v) > JOIN_TEXT_MAX)
			return err_set(
			    e, E_INVAL, "api_addresses has a bad name");
	}
	return E_OK;
}

static enum code parse_request(
    struct span text, struct request *r, struct err *e)
{
	uint8_t auth[SHA256_LEN], log_key[32];
	enum code rc;

	if ((rc = parse_object(text, &r->outer, e)) != E_OK ||
	    (rc = hex_field(r->outer, "auth", auth, sizeof(auth), e)) != E_OK ||
	    (rc = hex_field(r->outer, "mac", r->mac, sizeof(r->mac), e)) !=
		E_OK ||
	    (rc = base64_field(r->outer, "body", 65536, &r->body, e)) != E_OK)
		return rc;
	sha256_of(r->token, span_of(auth, sizeof(auth)));
	if ((rc = parse_object(buf_span(&r->body), &r->inner, e)) != E_OK ||
	    (rc = text_field(
		 r->inner, "cluster", CA_NAME_MAX, &r->cluster, e)) != E_OK ||
	    (rc = hex_field(r->inner, "mesh_key", r->mesh_key,
		 sizeof(r->mesh_key), e)) != E_OK ||
	    (rc = hex_field(
		 r->inner, "log_key", log_key, sizeof(log_key), e)) != E_OK ||
	    (rc = base64_field(
		 r->inner, "api_spki", CA_SPKI_MAX, &r->api_spki, e)) != E_OK ||
	    (rc = check_addresses(r, e)) != E_OK)
		return err_wrap(e, rc, "body");
	return E_OK;
}

static const struct ca_join_token *find_token(
    const struct ca_view *v, const struct request *r)
{
	for (size_t i = 0; i < v->tokens_n; i++)
		if (memcmp(v->tokens[i].secret_hash, r->token, SHA256_LEN) == 0)
			return &v->tokens[i];
	return NULL;
}

static const struct ca_node *find_with(const struct ca_view *v,
    const uint8_t mesh_key[CA_MESH_KEY_LEN], bool removed)
{
	for (size_t i = 0; i < v->nodes_n; i++)
		if (v->nodes[i].removed == removed &&
		    memcmp(v->nodes[i].mesh_key, mesh_key, CA_MESH_KEY_LEN) ==
			0)
			return &v->nodes[i];
	return NULL;
}

static const struct ca_node *find_node(
    const struct ca_view *v, const uint8_t mesh_key[CA_MESH_KEY_LEN])
{
	return find_with(v, mesh_key, false);
}

/* A removed node's keys never come back: it would be a second life of its id.
 */
static enum code check_removed(
    const struct ca_view *v, const struct request *r, struct err *e)
{
	const struct ca_node *n = find_with(v, r->mesh_key, true);

	if (n == NULL || find_node(v, r->mesh_key) != NULL)
		return E_OK;
	return err_set(e, E_CONFLICT,
	    "this node joined as node %llu, which was removed: join again from "
	    "a new data directory",
	    (unsigned long long)n->id);
}

/* A node already taken in may go on asking when its token has expired or gone:
 * it is known by the API key that operators registered. */
static enum code check_token(const struct ca_view *v, const struct request *r,
    const struct ca_node *n, struct err *e)
{
	const struct ca_join_token *t = find_token(v, r);

	if (n != NULL)
		return span_eq(buf_span(&r->api_spki), n->api_spki)
			   ? E_OK
			   : err_set(e, E_CONFLICT,
				 "this node is registered with another API "
				 "key");
	if (t == NULL)
		return err_set(e, E_UNAUTH,
		    "no such join token: ask whoever made it for another");
	if (t->expires_ms <= clock_unix_ms())
		return err_set(e, E_UNAUTH,
		    "the join token has expired: quorate token create makes "
		    "another");
	if (!span_eq_str(t->cluster, r->cluster))
		return err_set(e, E_CONFLICT,
		    "the join token is for cluster \"%.*s\"",
		    (int)t->cluster.len, (const char *)t->cluster.p);
	return E_OK;
}

/* ---- Keeping it ---- */

/* NULL with *rc set. */
static struct pending *keep(
    struct joins *j, const struct request *r, enum code *rc, struct err *e)
{
	uint64_t now = clock_mono_ms();
	struct pending *p;

	forget_old(j, now);
	p = find(j, r->mesh_key);
	if (p == NULL) {
		if (j->n >= JOINS_MAX) {
			*rc = err_set(e, E_EXHAUSTED,
			    "%d nodes are waiting to be approved", JOINS_MAX);
			return NULL;
		}
		p = calloc(1, sizeof(*p));
		if (p == NULL) {
			*rc = err_nomem(e);
			return NULL;
		}
		memcpy(p->mesh_key, r->mesh_key, CA_MESH_KEY_LEN);
		p->next = j->first;
		j->first = p;
		j->n++;
		log_event(EV_join_asked, "cluster=%s", r->cluster);
	}
	p->heard_ms = now;
	memcpy(p->token, r->token, SHA256_LEN);
	memcpy(p->mac, r->mac, SHA256_LEN);
	memcpy(p->cluster, r->cluster, strlen(r->cluster) + 1);
	buf_clear(&p->body);
	if (buf_add_span(&p->body, buf_span(&r->body)))
		return p;
	*rc = err_nomem(e);
	return NULL;
}

/* ---- The answer ---- */

static json_t *nodes_json(const struct ca_view *v)
{
	json_t *list = json_array();

	for (size_t i = 0; i < v->nodes_n; i++) {
		const struct ca_node *n = &v->nodes[i];
		json_t *o;

		if (n->removed)
			continue;
		o = json_object();
		json_set(o, "id", json_u64(n->id));
		json_set(o, "cluster", json_span(n->cluster));
		json_set(
		    o, "mesh_key", json_hex(n->mesh_key, sizeof(n->mesh_key)));
		json_set(o, "mesh_address", json_span(n->mesh_address));
		json_array_append_new(list, o);
	}
	return list;
}

static enum code add_issuer_cert(
    json_t *o, const struct ca_view *v, const struct ca_node *n, struct err *e)
{
	const struct ca_issuer *is =
	    n->has_issuer ? ca_view_issuer(v, n->issuer) : NULL;
	struct buf pem;
	enum code rc;

	if (is == NULL)
		return E_OK;
	buf_init(&pem);
	rc = pki_pem_add(&pem, "CERTIFICATE", is->cert, e);
	if (rc == E_OK)
		json_set(o, "issuer_cert", json_span(buf_span(&pem)));
	buf_free(&pem);
	return rc;
}

static enum code write_approval(struct exchange *x, const struct ca_node *n,
    const struct pending *p, struct err *e)
{
	json_t *o = json_object();
	enum code rc;

	json_set(o, "state", json_string("approved"));
	json_set(o, "id", json_u64(n->id));
	json_set(o, "genesis", json_base64(x->view->genesis_raw));
	json_set(o, "nodes", nodes_json(x->view));
	if (p->api_cert.len > 0)
		json_set(o, "api_cert", json_span(buf_span(&p->api_cert)));
	rc = add_issuer_cert(o, x->view, n, e);
	if (rc == E_OK)
		return json_finish(x, o, e);
	json_decref(o);
	return rc;
}

/* ---- The API certificate ---- */

/* On the loop's thread, with the certificate (or none) in x->in. */
static void on_api_cert(struct exchange *x)
{
	struct pending *p = find(http_loop_joins(x->loop), x->key);
	const struct ca_node *n = find_node(x->view, x->key);

	if (p == NULL || n == NULL) {
		x->rc = err_set(&x->err, E_INTERNAL, "the joiner is forgotten");
		return;
	}
	p->asking = false;
	buf_clear(&p->api_cert);
	buf_add_span(&p->api_cert, buf_span(&x->in));
	x->rc = write_approval(x, n, p, &x->err);
}

/* On the node loop's thread. */
static void on_issued(void *arg, const struct front_issued *r)
{
	struct exchange *x = arg;
	enum code rc = r->code;

	buf_clear(&x->in);
	if (rc == E_OK)
		rc = pki_pem_add(&x->in, "CERTIFICATE", r->cert, NULL);
	if (rc == E_OK)
		rc = pki_pem_add(&x->in, "CERTIFICATE", r->issuer_cert, NULL);
	if (rc != E_OK) {
		buf_clear(&x->in);
		log_event(EV_api_certificate_waits, "code=%s why=\"%s\"",
		    code_name(rc), r->why == NULL ? "" : r->why);
	}
	exchange_return(x);
}

void front_node_issue(struct front_node_issue *out, const struct ca_node *n)
{
	struct front_issue *req = &out->req;

	*req = (struct front_issue){.profile = CA_PROFILE_NODE,
	    .dns = out->dns,
	    .ip = out->ip,
	    .spki = n->api_spki,
	    .via = CA_VIA_NODE,
	    .cluster = n->cluster};
	for (size_t i = 0; i < n->api_addresses_n; i++) {
		struct span a = n->api_addresses[i];
		char text[JOIN_TEXT_MAX + 1];

		if (a.len >= sizeof(text))
			continue;
		memcpy(text, a.p, a.len);
		text[a.len] = '\0';
		if (inet_pton(AF_INET, text, out->octets[i]) == 1)
			out->ip[req->ip_n++] = span_of(out->octets[i], 4);
		else if (inet_pton(AF_INET6, text, out->octets[i]) == 1)
			out->ip[req->ip_n++] = span_of(out->octets[i], 16);
		else
			out->dns[req->dns_n++] = a;
	}
}

static void ask_api_cert(struct exchange *x, const struct ca_node *n)
{
	const struct front_ops *ops = &x->front->ops;
	struct front_node_issue ask;

	front_node_issue(&ask, n);
	x->resume = on_api_cert;
	x->later = true;
	ops->issue(ops->ctx, &ask.req, on_issued, x);
}

enum code join_post(struct exchange *x, struct err *e)
{
	struct request r = {0};
	const struct ca_node *n = NULL;
	struct pending *p = NULL;
	enum code rc;

	if ((rc = parse_request(buf_span(&x->in), &r, e)) != E_OK)
		goto out;
	n = find_node(x->view, r.mesh_key);
	if ((rc = check_removed(x->view, &r, e)) != E_OK ||
	    (rc = check_token(x->view, &r, n, e)) != E_OK ||
	    (rc = check_api_key(&r, e)) != E_OK ||
	    (rc = check_issuer_key(&r, e)) != E_OK)
		goto out;
	p = keep(http_loop_joins(x->loop), &r, &rc, e);
	if (p == NULL)
		goto out;
	if (n == NULL) {
		json_t *o = json_object();

		json_set(o, "state", json_string("pending"));
		rc = json_finish(x, o, e);
	} else if (p->asking || p->api_cert.len > 0) {
		rc = write_approval(x, n, p, e);
	} else {
		p->asking = true;
		memcpy(x->key, r.mesh_key, CA_MESH_KEY_LEN);
		ask_api_cert(x, n);
	}
out:
	request_free(&r);
	return rc;
}

enum code join_list(struct exchange *x, struct err *e)
{
	struct joins *j = http_loop_joins(x->loop);
	uint64_t now = clock_mono_ms(), unix_ms = clock_unix_ms();
	json_t *o = json_object(), *list = json_array();

	forget_old(j, now);
	for (const struct pending *p = j->first; p != NULL; p = p->next) {
		json_t *one;

		if (find_with(x->view, p->mesh_key, false) != NULL ||
		    find_with(x->view, p->mesh_key, true) != NULL)
			continue; /* taken in, perhaps removed since */
		one = json_object();
		json_set(one, "cluster", json_span(span_str(p->cluster)));
		json_set(one, "mesh_key",
		    json_hex(p->mesh_key, sizeof(p->mesh_key)));
		json_set(one, "token", json_hex(p->token, sizeof(p->token)));
		json_set(one, "body", json_base64(buf_span(&p->body)));
		json_set(one, "mac", json_hex(p->mac, sizeof(p->mac)));
		json_set(
		    one, "heard", json_time_ms(unix_ms - (now - p->heard_ms)));
		json_array_append_new(list, one);
	}
	json_set(o, "pending", list);
	return json_finish(x, o, e);
}
