/* quorate.c -- libquorate's public face over client.h. */
#include "quorate.h"

#include <stdlib.h>
#include <string.h>

#include "client/client.h"

#define SERVERS_MAX 64

struct quorate {
	struct client *client;
	char *cluster;
	struct err err;
};

static enum quorate_status status_of(enum code rc)
{
	switch (rc) {
	case E_OK: return QUORATE_OK;
	case E_NOMEM: return QUORATE_NO_MEMORY;
	case E_UNAVAILABLE:
	case E_EXHAUSTED:
	case E_IO: return QUORATE_UNAVAILABLE;
	case E_TIMEOUT: return QUORATE_UNKNOWN;
	case E_UNAUTH:
	case E_DENIED:
	case E_CONFLICT:
	case E_UNSUPPORTED: return QUORATE_REFUSED;
	default: return QUORATE_INVALID;
	}
}

/* Cut list at its commas, in place. */
static size_t split(char *list, const char *out[SERVERS_MAX])
{
	size_t n = 0;
	char *save = NULL;

	for (char *s = strtok_r(list, ", ", &save);
	     s != NULL && n < SERVERS_MAX; s = strtok_r(NULL, ", ", &save))
		out[n++] = s;
	return n;
}

static enum code open_client(
    struct quorate *q, const struct quorate_options *o, char *list)
{
	const char *servers[SERVERS_MAX];
	struct client_options c = {
	    .servers = servers,
	    .servers_n = split(list, servers),
	    .root_pem =
		o->root_pem != NULL ? span_str(o->root_pem) : SPAN_EMPTY,
	    .root_sha256 = o->root_pem == NULL ? o->root_sha256 : NULL,
	    .connect_ms = o->connect_ms,
	    .answer_ms = o->answer_ms,
	};

	if (c.servers_n == 0)
		return err_set(&q->err, E_INVAL, "no server is given");
	if (o->root_pem == NULL && o->root_sha256 == NULL)
		return err_set(&q->err, E_INVAL,
		    "no root is trusted: give root_pem or root_sha256");
	return client_open(&q->client, &c, &q->err);
}

enum quorate_status quorate_open(
    struct quorate **out, const struct quorate_options *o)
{
	struct quorate *q = calloc(1, sizeof(*q));
	char *list = strdup(o->servers != NULL ? o->servers : "");
	enum code rc = E_NOMEM;

	*out = q;
	if (q == NULL || list == NULL) {
		if (q != NULL)
			rc = err_nomem(&q->err);
		goto out;
	}
	if (o->cluster != NULL) {
		q->cluster = strdup(o->cluster);
		if (q->cluster == NULL) {
			rc = err_nomem(&q->err);
			goto out;
		}
	}
	rc = open_client(q, o, list);
out:
	free(list);
	return status_of(rc);
}

void quorate_close(struct quorate *q)
{
	if (q == NULL)
		return;
	client_close(q->client);
	free(q->cluster);
	free(q);
}

enum quorate_status quorate_request(struct quorate *q, const char *csr_pem,
    const char *token, uint64_t ttl_s, struct quorate_certificate *out)
{
	struct client_cert_request r = {.csr = span_str(csr_pem),
	    .token = token,
	    .cluster = q->cluster,
	    .ttl_s = (int64_t)ttl_s};
	struct buf chain;
	enum code rc;

	*out = (struct quorate_certificate){0};
	q->err = (struct err){0};
	if (q->client == NULL)
		return status_of(
		    err_set(&q->err, E_INVAL, "the handle was not opened"));
	if (token == NULL || token[0] == '\0' || ttl_s > INT64_MAX)
		return status_of(err_set(
		    &q->err, E_INVAL, "not a token, or not a lifetime"));
	buf_init(&chain);
	rc = client_certificate(q->client, &r, &chain, out->server, &q->err);
	if (rc == E_OK) {
		out->chain_pem = span_dup_str(buf_span(&chain));
		if (out->chain_pem == NULL)
			rc = err_nomem(&q->err);
	}
	buf_free(&chain);
	return status_of(rc);
}

void quorate_certificate_free(struct quorate_certificate *c)
{
	free(c->chain_pem);
	*c = (struct quorate_certificate){0};
}

const char *quorate_error(const struct quorate *q)
{
	return q != NULL ? q->err.text : "out of memory";
}

const char *quorate_version(void)
{
	return QUORATE_VERSION;
}
