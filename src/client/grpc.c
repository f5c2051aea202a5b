/* A unary gRPC call over libcurl (gRPC over HTTP2, "Length-Prefixed-Message"
 * and "Trailers").  curl hands trailers to the header callback. */
#include "client/client_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wire/wire.h"

#define METHOD "/istio.v1.auth.IstioCertificateService/CreateCertificate"
#define STATUS_NONE (-1)

struct grpc {
	const struct client_cert_request *r;
	struct buf frame;
	struct buf *chain;
	char *server; /* 300 bytes */
	/* from headers or trailers; Trailers-Only answers have them first */
	int status;
	char message[300];
};

/* grpc-message is percent-encoded. */
static void decode_message(char *out, size_t size, const char *p, size_t n)
{
	size_t len = 0;
	char hex[3] = "";

	for (size_t i = 0; i < n && len + 1 < size; i++) {
		if (p[i] == '%' && i + 2 < n) {
			memcpy(hex, p + i + 1, 2);
			out[len++] = (char)strtoul(hex, NULL, 16);
			i += 2;
		} else {
			out[len++] = p[i];
		}
	}
	out[len] = '\0';
}

static bool header_is(
    const char *line, size_t n, const char *name, const char **v, size_t *vn)
{
	size_t len = strlen(name);

	if (n <= len || strncasecmp(line, name, len) != 0 || line[len] != ':')
		return false;
	line += len + 1;
	n -= len + 1;
	while (n > 0 && *line == ' ') {
		line++;
		n--;
	}
	while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == '\n'))
		n--;
	*v = line;
	*vn = n;
	return true;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct grpc *g = arg;
	const char *v;
	char number[12];
	size_t vn;

	if (header_is(p, size * n, "grpc-status", &v, &vn)) {
		snprintf(number, sizeof(number), "%.*s", (int)vn, v);
		g->status = (int)strtol(number, NULL, 10);
	} else if (header_is(p, size * n, "grpc-message", &v, &vn)) {
		decode_message(g->message, sizeof(g->message), v, vn);
	}
	return size * n;
}

/* The first of our codes with that gRPC status. */
static enum code code_of(int status)
{
	static const enum code order[] = {E_OK, E_INVAL, E_UNAUTH, E_DENIED,
	    E_NOTFOUND, E_EXISTS, E_CONFLICT, E_EXHAUSTED, E_UNAVAILABLE,
	    E_TIMEOUT, E_UNSUPPORTED, E_CORRUPT};

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (code_grpc(order[i]) == status)
			return order[i];
	return E_INTERNAL;
}

static enum code take_chain(
    struct grpc *g, const struct attempt *a, struct err *e)
{
	struct wire_memory *mem = NULL;
	struct span *chain;
	struct reader r;
	struct span msg;
	size_t n;
	enum code rc;

	reader_init(&r, buf_span(&a->answer));
	if (read_u8(&r) != 0)
		return err_set(e, E_INTERNAL, "answered a compressed message");
	msg = read_span(&r, read_u32be(&r));
	if (r.bad || r.left > 0)
		return err_set(e, E_INTERNAL, "answered a broken gRPC frame");
	rc = wire_csr_response_decode(msg, &chain, &n, &mem, e);
	for (size_t i = 0; i < n && rc == E_OK; i++) {
		buf_add_span(g->chain, chain[i]);
		if (chain[i].len > 0 && chain[i].p[chain[i].len - 1] != '\n')
			buf_add_str(g->chain, "\n");
	}
	wire_free(mem);
	if (rc == E_OK && n < 2)
		rc = err_set(e, E_INTERNAL,
		    "answered %zu certificates, expected a leaf and its roots",
		    n);
	return rc == E_OK ? buf_check(g->chain, e) : rc;
}

static bool add_headers(struct attempt *a, const struct client_cert_request *r)
{
	struct curl_slist *next;
	struct buf line;
	bool ok = true;
	const char *rows[3] = {
	    "Content-Type: application/grpc", "TE: trailers", "Expect:"};

	for (size_t i = 0; i < 3 && ok; i++) {
		next = curl_slist_append(a->headers, rows[i]);
		ok = next != NULL;
		a->headers = ok ? next : a->headers;
	}
	for (int i = 0; i < 2 && ok; i++) {
		const char *v = i == 0 ? r->token : r->cluster;

		if (v == NULL)
			continue;
		buf_init(&line);
		buf_printf(&line, "%s%s%c",
		    i == 0 ? "Authorization: Bearer " : "clusterid: ", v, 0);
		next = line.failed ? NULL
				   : curl_slist_append(
					 a->headers, (const char *)line.p);
		ok = next != NULL;
		a->headers = ok ? next : a->headers;
		buf_free(&line);
	}
	return ok;
}

static enum verdict judge(struct client *c, struct grpc *g, struct attempt *a,
    enum code *rc, struct err *e)
{
	long version = 0;

	curl_easy_getinfo(c->curl, CURLINFO_HTTP_VERSION, &version);
	if (version != CURL_HTTP_VERSION_2_0 || a->status != 200) {
		err_set(e, E_UNAVAILABLE,
		    "answered HTTP status %ld without gRPC; is that the gRPC "
		    "port (%d by default)?",
		    a->status, CLIENT_GRPC_PORT);
		return TRY_NEXT;
	}
	if (g->status == STATUS_NONE) {
		err_set(e, E_UNAVAILABLE, "broke off before its gRPC status");
		return TRY_NEXT;
	}
	*rc = code_of(g->status);
	if (*rc == E_OK)
		*rc = take_chain(g, a, e);
	else
		err_set(e, *rc, "%s",
		    g->message[0] != '\0' ? g->message : code_name(*rc));
	/* Exhausted: that node's disk may be full, another's is not. */
	return *rc == E_UNAVAILABLE || *rc == E_EXHAUSTED ? TRY_NEXT : TRY_DONE;
}

static enum verdict grpc_try(struct client *c, const struct server *s,
    void *arg, enum code *rc, struct err *e)
{
	struct grpc *g = arg;
	struct attempt a = {
	    .method = "POST",
	    .body = buf_span(&g->frame),
	    .http2 = true,
	    .on_header = on_header,
	    .arg = g,
	};
	enum verdict v;

	*rc = E_OK;
	g->status = STATUS_NONE;
	g->message[0] = '\0';
	buf_clear(g->chain);
	snprintf(a.url, sizeof(a.url), "https://%s:%u" METHOD, s->host,
	    s->grpc_port);
	if (!add_headers(&a, g->r)) {
		*rc = err_nomem(e);
		v = TRY_DONE;
	} else {
		v = attempt_run(c, &a, e);
	}
	/* No answer: to ask another node is safe, what may have been issued
	 * was not delivered. */
	if (v == TRY_LOST)
		v = TRY_NEXT;
	if (v == TRY_DONE && *rc == E_OK)
		v = judge(c, g, &a, rc, e);
	if (v == TRY_DONE)
		snprintf(g->server, 300, "%s", s->name);
	attempt_free(&a);
	return v;
}

/* One header value: nothing else may come in with it. */
static bool printable(const char *s)
{
	for (; s != NULL && *s != '\0'; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

enum code client_certificate(struct client *c,
    const struct client_cert_request *r, struct buf *chain, char server[300],
    struct err *e)
{
	struct wire_csr_request msg = {.csr = r->csr, .validity_s = r->ttl_s};
	struct grpc g = {.r = r, .chain = chain, .server = server};
	struct buf body;
	enum code rc;

	server[0] = '\0';
	if (!printable(r->token) || !printable(r->cluster))
		return err_set(e, E_INVAL,
		    "the token or the cluster holds blanks or control "
		    "characters");
	buf_init(&body);
	rc = wire_csr_request_encode(&body, &msg, e);
	buf_add_u8(&g.frame, 0); /* not compressed */
	buf_add_u32be(&g.frame, (uint32_t)body.len);
	buf_add_span(&g.frame, buf_span(&body));
	if (rc == E_OK)
		rc = buf_check(&g.frame, e);
	if (rc == E_OK)
		rc = client_each(c, grpc_try, &g, e);
	buf_free(&body);
	buf_free(&g.frame);
	return rc;
}
