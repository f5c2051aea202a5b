/* front.c -- starts and stops the edge, and holds its certificate. */
#include "front/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log_event.h"
#include "front/http.h"

SSL *front_ssl(struct front *f, enum tls_kind kind)
{
	SSL *ssl;

	pthread_mutex_lock(&f->tls_lock);
	ssl = f->tls[kind] == NULL ? NULL : SSL_new(f->tls[kind]);
	pthread_mutex_unlock(&f->tls_lock);
	return ssl;
}

const char *front_text(enum code rc, const struct err *e)
{
	switch (rc) {
	case E_NOMEM:
	case E_CORRUPT:
	case E_IO:
	case E_INTERNAL:
		log_event(EV_request_failed, "code=%s why=\"%s\"",
		    code_name(rc), e->text);
		return "an internal error; the node's log says more";
	default: return e->text;
	}
}

static unsigned thread_count(const struct front_config *c)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = c->threads;

	if (n == 0)
		n = cores < 1 ? 1 : cores > 4 ? 4 : (unsigned)cores;
	return n > FRONT_GRPC_THREADS_MAX ? FRONT_GRPC_THREADS_MAX : n;
}

enum code front_start(struct front **out, const struct front_config *c,
    const struct front_ops *ops, struct err *e)
{
	struct front *f = calloc(1, sizeof(*f));
	enum code rc;

	*out = NULL;
	if (f == NULL)
		return err_nomem(e);
	f->config = *c;
	snprintf(f->listen, sizeof(f->listen), "%s", c->listen);
	f->config.listen = f->listen;
	f->config.threads = thread_count(c);
	f->ops = *ops;
	pthread_mutex_init(&f->tls_lock, NULL);
	pthread_mutex_init(&f->open_lock, NULL);
	rc = worker_start(&f->worker, e);
	if (rc == E_OK)
		rc = metrics_start(&f->metrics, f, e);
	if (rc == E_OK)
		*out = f;
	else
		front_stop(f, 0);
	return rc;
}

/* The TLS ports, and plain HTTP with them. */
static enum code open_ports(struct front *f, struct err *e)
{
	enum code rc = https_start(&f->https, f, e);

	while (rc == E_OK && f->grpc_n < f->config.threads) {
		rc = grpc_loop_start(&f->grpc[f->grpc_n], f, e);
		if (rc == E_OK)
			f->grpc_n++;
	}
	return rc;
}

static void close_ports(struct front *f, unsigned drain_ms)
{
	for (size_t i = 0; i < f->grpc_n; i++)
		grpc_loop_drain(f->grpc[i], drain_ms);
	if (f->https != NULL)
		http_loop_drain(f->https, drain_ms);
	for (size_t i = 0; i < f->grpc_n; i++)
		grpc_loop_stop(f->grpc[i]);
	f->grpc_n = 0;
	http_loop_stop(f->https);
	f->https = NULL;
}

enum code front_set_tls(
    struct front *f, struct span chain_pem, struct span key_pem, struct err *e)
{
	SSL_CTX *ctx[2] = {NULL, NULL}, *old[2];
	enum code rc;

	rc = tls_context(&ctx[TLS_H2], TLS_H2, chain_pem, key_pem, e);
	if (rc == E_OK)
		rc = tls_context(
		    &ctx[TLS_HTTP1], TLS_HTTP1, chain_pem, key_pem, e);
	if (rc != E_OK) {
		SSL_CTX_free(ctx[TLS_H2]);
		return err_wrap(e, rc, "the API's TLS");
	}
	pthread_mutex_lock(&f->tls_lock);
	for (int i = 0; i < 2; i++) {
		old[i] = f->tls[i];
		f->tls[i] = ctx[i];
	}
	pthread_mutex_unlock(&f->tls_lock);
	SSL_CTX_free(old[0]);
	SSL_CTX_free(old[1]);
	pthread_mutex_lock(&f->open_lock);
	if (f->https == NULL)
		rc = open_ports(f, e);
	if (rc != E_OK)
		close_ports(f, 0);
	pthread_mutex_unlock(&f->open_lock);
	return rc;
}

void front_stop(struct front *f, unsigned drain_ms)
{
	close_ports(f, drain_ms);
	worker_stop(f->worker);
	if (f->metrics != NULL)
		http_loop_drain(f->metrics, 0);
	http_loop_stop(f->metrics);
	SSL_CTX_free(f->tls[0]);
	SSL_CTX_free(f->tls[1]);
	pthread_mutex_destroy(&f->tls_lock);
	pthread_mutex_destroy(&f->open_lock);
	free(f);
}
