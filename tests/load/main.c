/* quorate-load: a gRPC load generator for tests and figures.  Not installed.
 * Exit status: 0 certificates came; 1 none, or a wrong one; 2 usage. */
#include <signal.h>
#include <stdlib.h>

#include <sodium.h>

#include "base/clock.h"
#include "load.h"

static SSL_CTX *make_tls(const char *root)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	    SSL_CTX_load_verify_file(ctx, root) == 1 &&
	    SSL_CTX_set_alpn_protos(ctx, (const uint8_t *)"\2h2", 3) == 0)
		return ctx;
	fprintf(stderr, "quorate-load: --root: no certificate in %s\n", root);
	SSL_CTX_free(ctx);
	return NULL;
}

static bool prepare(struct load *l)
{
	const struct options *o = &l->o;

	if ((l->tls = make_tls(o->root)) == NULL)
		return false;
	if (o->ack != NULL) {
		l->books.ack = fopen(o->ack, "ae");
		if (l->books.ack == NULL) {
			perror("quorate-load: --ack");
			return false;
		}
		setvbuf(l->books.ack, NULL, _IOLBF, 0);
	}
	l->base = event_base_new();
	l->csrs = csrs_make(o->csrs, o->rsa, o->ttl_s);
	l->books.per_second = calloc(SECONDS_MAX, sizeof(uint32_t));
	if (l->base != NULL && l->csrs != NULL && l->books.per_second != NULL &&
	    drive_prepare(l))
		return true;
	fputs("quorate-load: out of memory\n", stderr);
	return false;
}

static void run(struct load *l)
{
	uint64_t now;

	drive_start(l);
	event_base_dispatch(l->base);
	now = clock_mono_us();
	if (l->books.end_us == 0)
		l->books.end_us = now;
	else if (l->books.last_us > l->books.end_us)
		l->books.end_us = l->books.last_us;
	books_report(&l->books, &l->o);
}

static void load_free(struct load *l)
{
	drive_free(l);
	csrs_free(l->csrs, l->o.csrs);
	if (l->base != NULL)
		event_base_free(l->base);
	SSL_CTX_free(l->tls);
	if (l->books.ack != NULL)
		fclose(l->books.ack);
	free(l->books.latency_us);
	free(l->books.per_second);
	options_free(&l->o);
}

int main(int argc, char **argv)
{
	static struct load l;
	int rc = 1;

	if (sodium_init() < 0)
		return 1;
	if (!options_take(&l.o, argc, argv)) {
		options_free(&l.o);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (prepare(&l)) {
		run(&l);
		rc = l.books.acknowledged > 0 && l.books.wrong == 0 ? 0 : 1;
	}
	load_free(&l);
	return rc;
}
