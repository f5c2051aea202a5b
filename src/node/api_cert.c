/* api_cert.c -- the certificate of this node's own API: from its own issuer,
 * or, while that does not sign, from another node, asked as in joining. */
#include "node/internal.h"

#include <stdlib.h>
#include <time.h>

#include <openssl/pem.h>

#include "base/clock.h"
#include "base/log_event.h"
#include "client/join.h"

#define RETRY_MS 2000

struct api_cert {
	uint64_t not_before_s, not_after_s; /* 0: there is none */
	bool asking;
	uint64_t retry_ms;
	struct join *join; /* NULL, or to those who may sign it */
	pthread_t thread;
	bool thread_runs; /* and ends by itself, then wants to be joined */
};

bool api_cert_there(const struct node *n)
{
	return n->api_cert != NULL && n->api_cert->not_after_s != 0;
}

static uint64_t unix_of(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? (uint64_t)timegm(&tm) : 0;
}

/* Use it; E_INVAL: it is none. */
static enum code use(struct node *n, struct span chain, struct err *e)
{
	struct api_cert *a = n->api_cert;
	BIO *in = BIO_new_mem_buf(chain.p, (int)chain.len);
	X509 *leaf =
	    in == NULL ? NULL : PEM_read_bio_X509(in, NULL, NULL, NULL);
	enum code rc = E_OK;

	if (leaf == NULL)
		rc = err_set(e, E_INVAL, "the API certificate does not parse");
	if (rc == E_OK)
		rc = front_set_tls(
		    n->front, chain, buf_span(&n->provision.api_key), e);
	if (rc == E_OK) {
		a->not_before_s = unix_of(X509_get0_notBefore(leaf));
		a->not_after_s = unix_of(X509_get0_notAfter(leaf));
		log_event(EV_api_certificate, "until=%llu",
		    (unsigned long long)a->not_after_s);
	}
	X509_free(leaf);
	BIO_free(in);
	return rc;
}

static void keep(struct node *n, struct span chain)
{
	struct err e = {0};
	enum code rc = provision_api_cert(n->dir, chain, &e);

	if (rc == E_OK)
		rc = use(n, chain, &e);
	if (rc != E_OK)
		log_event(EV_api_certificate_failed, "code=%s why=\"%s\"",
		    code_name(rc), e.text);
}

/* ---- From this node's issuer ---- */

/* On the loop's thread. */
static void on_issued(void *arg, const struct front_issued *r)
{
	struct node *n = arg;
	struct err e = {0};
	struct buf chain;
	enum code rc = r->code;

	n->api_cert->asking = false;
	buf_init(&chain);
	if (rc != E_OK)
		err_set(&e, rc, "%s", r->why);
	if (rc == E_OK)
		rc = pki_pem_add(&chain, "CERTIFICATE", r->cert, &e);
	if (rc == E_OK)
		rc = pki_pem_add(&chain, "CERTIFICATE", r->issuer_cert, &e);
	if (rc == E_OK)
		keep(n, buf_span(&chain));
	else
		log_event(EV_api_certificate_waits, "code=%s why=\"%s\"",
		    code_name(rc), e.text);
	buf_free(&chain);
}

static void ask_own(struct node *n)
{
	struct front_node_issue ask;

	n->api_cert->asking = true;
	front_node_issue(&ask, node_self(n));
	ops_issue(n, &ask.req, on_issued, n);
}

/* ---- From another's ---- */

struct heard {
	struct task task;
	struct node *n;
	struct join_answer answer;
	enum code rc;
	struct err err;
};

static void heard_run(struct node *n, struct task *t)
{
	struct heard *h = (struct heard *)(void *)t;
	struct api_cert *a = n->api_cert;

	pthread_join(a->thread, NULL);
	a->thread_runs = false;
	a->asking = false;
	if (h->rc == E_OK && h->answer.api_cert.len > 0)
		keep(n, buf_span(&h->answer.api_cert));
	else if (h->rc != E_OK)
		log_event(EV_api_certificate_waits, "code=%s why=\"%s\"",
		    code_name(h->rc), h->err.text);
	join_answer_free(&h->answer);
	free(h);
}

static void *ask_main(void *arg)
{
	struct heard *h = arg;
	struct node *n = h->n;

	h->rc = join_poll(n->api_cert->join,
	    buf_span(&n->provision.join_request), &h->answer, &h->err);
	inbox_post(n, &h->task);
	return NULL;
}

static void ask_others(struct node *n)
{
	struct api_cert *a = n->api_cert;
	struct provision *p = &n->provision;
	struct heard *h;
	struct err e = {0};

	if (a->join == NULL &&
	    join_open(&a->join, (const char *const *)p->servers.v, p->servers.n,
		p->root_sha256, &e) != E_OK) {
		log_event(EV_api_certificate_failed, "why=\"%s\"", e.text);
		return;
	}
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return;
	h->task.run = heard_run;
	h->n = n;
	a->asking = a->thread_runs =
	    pthread_create(&a->thread, NULL, ask_main, h) == 0;
	if (!a->asking)
		free(h);
}

/* ---- By the clock ---- */

void api_cert_check(struct node *n)
{
	struct api_cert *a = n->api_cert;
	const struct ca_node *self = node_self(n);
	uint64_t now = clock_mono_ms(), now_s = clock_unix_ms() / 1000;
	char why[200];
	bool own;

	/* Half its life: the rest is there to notice that it is not renewed. */
	if (a->asking || now < a->retry_ms || self == NULL || self->removed ||
	    (a->not_after_s != 0 &&
		now_s <
		    a->not_before_s + (a->not_after_s - a->not_before_s) / 2))
		return;
	own = !look_not_issuing(n, why, sizeof(why));
	/* The first node has nobody else to ask. */
	if (!own && n->provision.join_request.len == 0)
		return;
	a->retry_ms = now + RETRY_MS;
	if (own)
		ask_own(n);
	else
		ask_others(n);
}

enum code api_cert_start(struct node *n, struct err *e)
{
	struct span chain = buf_span(&n->provision.api_cert);

	n->api_cert = calloc(1, sizeof(*n->api_cert));
	if (n->api_cert == NULL)
		return err_nomem(e);
	return chain.len > 0 ? use(n, chain, e) : E_OK;
}

void api_cert_close(struct node *n)
{
	struct api_cert *a = n->api_cert;

	if (a == NULL)
		return;
	while (a->thread_runs) { /* a few seconds at most */
		(void)inbox_wait(n, 100);
		inbox_run(n);
	}
	join_close(a->join);
	free(a);
	n->api_cert = NULL;
}
