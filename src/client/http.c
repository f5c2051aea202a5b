#include "client/client_internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "pki/pki.h"

static void global_init(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- Life ---- */

static enum code server_parse(struct server *s, const char *text, struct err *e)
{
	const char *host = text, *colon = strrchr(text, ':');
	const char *bracket = strrchr(text, ']');
	size_t len = strlen(text);
	unsigned long port = 0;
	char *end;

	if (colon != NULL && (bracket == NULL || colon > bracket)) {
		port = strtoul(colon + 1, &end, 10);
		len = (size_t)(colon - text);
		if (colon[1] == '\0' || *end != '\0' || port < 1 ||
		    port > 65535)
			len = 0;
	}
	if (len == 0 || len > 260 ||
	    strcspn(host, " /?#@\t\r\n\"") < strlen(host) ||
	    (memchr(text, ':', len) != NULL && text[0] != '['))
		return err_set(e, E_INVAL,
		    "\"%.100s\" is not a server; expected HOST:PORT (an IPv6 "
		    "address in brackets)",
		    text);
	snprintf(s->name, sizeof(s->name), "%s", text);
	snprintf(s->host, sizeof(s->host), "%.*s", (int)len, host);
	s->https_port = port == 0 || port == CLIENT_GRPC_PORT
			    ? CLIENT_HTTPS_PORT
			    : (unsigned)port;
	s->grpc_port = port == 0 || port == CLIENT_HTTPS_PORT ? CLIENT_GRPC_PORT
							      : (unsigned)port;
	return E_OK;
}

static enum code servers_take(
    struct client *c, const struct client_options *o, struct err *e)
{
	enum code rc = E_OK;

	if (o->servers_n == 0)
		return err_set(e, E_INVAL,
		    "no server is known: give --server HOST:PORT or set "
		    "QUORATE_SERVER");
	c->servers = calloc(o->servers_n, sizeof(*c->servers));
	if (c->servers == NULL)
		return err_nomem(e);
	for (size_t i = 0; i < o->servers_n && rc == E_OK; i++)
		rc = server_parse(&c->servers[i], o->servers[i], e);
	c->servers_n = o->servers_n;
	return rc;
}

enum code client_open(
    struct client **out, const struct client_options *o, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct client *c;
	enum code rc;

	pthread_once(&once, global_init);
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return err_nomem(e);
	c->connect_ms = o->connect_ms > 0 ? o->connect_ms : CLIENT_CONNECT_MS;
	c->answer_ms = o->answer_ms > 0 ? o->answer_ms : CLIENT_ANSWER_MS;
	c->pinned = o->root_sha256 != NULL;
	if (c->pinned)
		memcpy(c->pin, o->root_sha256, sizeof(c->pin));
	c->curl = curl_easy_init();
	rc = servers_take(c, o, e);
	if (rc == E_OK &&
	    (c->curl == NULL || !buf_add_span(&c->root, o->root_pem) ||
		!buf_add_span(&c->cert, o->cert_pem) ||
		!buf_add_span(&c->key, o->key_pem)))
		rc = err_nomem(e);
	if (rc != E_OK) {
		client_close(c);
		return rc;
	}
	*out = c;
	return E_OK;
}

void client_close(struct client *c)
{
	if (c == NULL)
		return;
	curl_easy_cleanup(c->curl);
	free(c->servers);
	buf_free(&c->root);
	buf_free(&c->cert);
	pki_wipe(&c->key);
	free(c);
}

size_t client_servers(const struct client *c)
{
	return c->servers_n;
}

const char *client_server_name(const struct client *c, size_t server)
{
	return c->servers[server].name;
}

void client_answer_free(struct client_answer *a)
{
	buf_free(&a->body);
}

/* ---- One attempt at one server ---- */

void attempt_free(struct attempt *a)
{
	curl_slist_free_all(a->headers);
	buf_free(&a->answer);
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct attempt *a = arg;

	if (a->answer.len + size * n > CLIENT_BODY_MAX ||
	    !buf_add(&a->answer, p, size * n))
		return 0; /* curl ends the transfer */
	return size * n;
}

static struct curl_blob blob_of(const struct buf *b)
{
	return (struct curl_blob){b->p, b->len, CURL_BLOB_COPY};
}

static void set_tls(struct client *c, const struct attempt *a)
{
	struct curl_blob root = blob_of(&c->root), cert = blob_of(&c->cert),
			 key = blob_of(&c->key);
	CURL *h = c->curl;

	curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, a->unverified ? 0L : 1L);
	curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, a->unverified ? 0L : 2L);
	if (a->unverified)
		return;
	/* Only our root counts, never the system's. */
	curl_easy_setopt(h, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(h, CURLOPT_CAINFO_BLOB, &root);
	if (c->cert.len == 0 || a->anonymous)
		return;
	curl_easy_setopt(h, CURLOPT_SSLCERTTYPE, "PEM");
	curl_easy_setopt(h, CURLOPT_SSLCERT_BLOB, &cert);
	curl_easy_setopt(h, CURLOPT_SSLKEYTYPE, "PEM");
	curl_easy_setopt(h, CURLOPT_SSLKEY_BLOB, &key);
}

static void set_request(struct client *c, struct attempt *a)
{
	CURL *h = c->curl;

	curl_easy_setopt(h, CURLOPT_URL, a->url);
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(h, CURLOPT_PROXY, "");
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->why);
	curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, c->connect_ms);
	curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, c->answer_ms);
	curl_easy_setopt(h, CURLOPT_USERAGENT, "quorate/" QUORATE_VERSION);
	curl_easy_setopt(h, CURLOPT_HTTP_VERSION,
	    a->http2 ? (long)CURL_HTTP_VERSION_2TLS
		     : (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, a);
	if (a->on_header != NULL) {
		curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, a->on_header);
		curl_easy_setopt(h, CURLOPT_HEADERDATA, a->arg);
	}
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, a->headers);
	if (strcmp(a->method, "POST") == 0) {
		curl_easy_setopt(h, CURLOPT_POST, 1L);
		curl_easy_setopt(
		    h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)a->body.len);
		curl_easy_setopt(h, CURLOPT_POSTFIELDS,
		    a->body.len > 0 ? (const char *)a->body.p : "");
	}
}

/* Nothing of a request leaves before the handshake is done. */
static bool was_sent(CURL *h)
{
	long sent = 0;

	curl_easy_getinfo(h, CURLINFO_REQUEST_SIZE, &sent);
	return sent > 0;
}

static enum verdict failed(struct client *c, CURLcode rc, struct err *e)
{
	const char *why = c->why[0] != '\0' ? c->why : curl_easy_strerror(rc);

	switch (rc) {
	case CURLE_OUT_OF_MEMORY: err_nomem(e); return TRY_NEXT;
	case CURLE_PEER_FAILED_VERIFICATION:
		err_set(e, E_UNAVAILABLE,
		    "its certificate is not one of this trust domain for this "
		    "address (%s)",
		    why);
		return TRY_NEXT;
	case CURLE_OPERATION_TIMEDOUT:
		if (was_sent(c->curl)) {
			err_set(
			    e, E_TIMEOUT, "no answer in %ld ms", c->answer_ms);
			return TRY_LOST;
		}
		err_set(e, E_UNAVAILABLE, "no TLS handshake in %ld ms",
		    c->connect_ms);
		return TRY_NEXT;
	default:
		err_set(e, E_UNAVAILABLE, "%s", why);
		return was_sent(c->curl) ? TRY_LOST : TRY_NEXT;
	}
}

enum verdict attempt_run(struct client *c, struct attempt *a, struct err *e)
{
	CURLcode rc;

	curl_easy_reset(c->curl); /* keeps connections */
	c->why[0] = '\0';
	buf_clear(&a->answer);
	set_request(c, a);
	set_tls(c, a);
	rc = curl_easy_perform(c->curl);
	if (rc != CURLE_OK)
		return failed(c, rc, e);
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &a->status);
	return TRY_DONE;
}

/* ---- Roots known by their hash ---- */

enum code client_need_root(
    struct client *c, const struct server *s, struct err *e)
{
	struct attempt a = {.method = "GET", .unverified = true};
	uint8_t sum[SHA256_LEN];
	struct buf der;
	enum code rc = E_OK;

	if (c->root.len > 0 || !c->pinned)
		return E_OK;
	buf_init(&der);
	snprintf(a.url, sizeof(a.url), "https://%s:%u/v1/root", s->host,
	    s->https_port);
	if (attempt_run(c, &a, e) != TRY_DONE)
		rc = E_UNAVAILABLE;
	else if (a.status != 200)
		rc = err_set(e, E_UNAVAILABLE,
		    "asked for its root, it answered HTTP %ld", a.status);
	if (rc == E_OK)
		rc = pki_pem_first(buf_span(&a.answer), "CERTIFICATE", &der, e);
	if (rc == E_OK) {
		sha256_of(sum, buf_span(&der));
		if (sodium_memcmp(sum, c->pin, sizeof(sum)) != 0)
			rc = err_set(e, E_DENIED,
			    "its root is not the one that was pinned (by the "
			    "join token): another trust domain, or somebody "
			    "in between");
	}
	if (rc == E_OK)
		rc = pki_pem_add(&c->root, "CERTIFICATE", buf_span(&der), e);
	buf_free(&der);
	attempt_free(&a);
	return rc;
}

/* ---- Failover ---- */

enum code client_each(
    struct client *c, client_try *fn, void *arg, struct err *e)
{
	enum verdict v = TRY_NEXT;
	enum code rc = E_UNAVAILABLE;
	struct buf all; /* each server's reason */

	buf_init(&all);
	for (size_t i = 0; i < c->servers_n && v == TRY_NEXT; i++) {
		size_t at = (c->first + i) % c->servers_n;
		const struct server *s = &c->servers[at];
		struct err one = {0};

		if (client_need_root(c, s, &one) == E_OK)
			v = fn(c, s, arg, &rc, &one);
		if (v == TRY_DONE) {
			c->first = at;
			if (rc != E_OK)
				err_set(e, rc, "%s", one.text);
		} else if (v == TRY_LOST) {
			rc = err_set(e, E_TIMEOUT, "%s: %s", s->name, one.text);
		} else {
			buf_printf(&all, "%s%s: %s", i > 0 ? "; " : "", s->name,
			    one.text);
		}
	}
	if (v == TRY_NEXT)
		rc = err_set(e, E_UNAVAILABLE, "no server could answer: %.*s",
		    (int)all.len, all.len > 0 ? (const char *)all.p : "");
	buf_free(&all);
	return rc;
}

/* ---- Calls ---- */

/* {"error": code, "why": text} as a node answers. */
static enum code node_error(const struct attempt *a, struct err *e)
{
	json_t *o =
	    json_loadb((const char *)a->answer.p, a->answer.len, 0, NULL);
	const char *name = json_string_value(json_object_get(o, "error"));
	const char *why = json_string_value(json_object_get(o, "why"));
	enum code rc;

	if (name != NULL)
		rc = err_set(
		    e, code_from_name(name), "%s", why != NULL ? why : name);
	else
		rc = err_set(e, a->status >= 500 ? E_UNAVAILABLE : E_INTERNAL,
		    "answered HTTP %ld; is that a quorate node's HTTPS port?",
		    a->status);
	json_decref(o);
	return rc;
}

struct call {
	const struct client_request *r;
	struct client_answer *out;
};

static enum verdict call_done(const struct server *s, struct attempt *a,
    struct call *call, enum code *rc, struct err *e)
{
	if (a->status >= 200 && a->status < 300) {
		buf_free(&call->out->body);
		call->out->body = a->answer;
		buf_init(&a->answer);
		snprintf(call->out->server, sizeof(call->out->server), "%s",
		    s->name);
		*rc = E_OK;
		return TRY_DONE;
	}
	*rc = node_error(a, e);
	if (*rc == E_EXHAUSTED) /* refused here before anything was proposed */
		return TRY_NEXT;
	if (*rc != E_UNAVAILABLE && *rc != E_TIMEOUT)
		return TRY_DONE;
	return call->r->once ? TRY_LOST : TRY_NEXT;
}

static enum verdict call_try(struct client *c, const struct server *s,
    void *arg, enum code *rc, struct err *e)
{
	struct call *call = arg;
	struct attempt a = {.method = call->r->method, .body = call->r->body};
	char type[100];
	enum verdict v;

	snprintf(a.url, sizeof(a.url), "https://%s:%u%.800s", s->host,
	    s->https_port, call->r->path);
	if (call->r->type != NULL) {
		snprintf(type, sizeof(type), "Content-Type: %s", call->r->type);
		a.headers = curl_slist_append(NULL, type);
		if (a.headers != NULL)
			curl_slist_append(a.headers, "Expect:");
	}
	v = attempt_run(c, &a, e);
	if (v == TRY_DONE)
		v = call_done(s, &a, call, rc, e);
	else if (v == TRY_LOST && !call->r->once)
		v = TRY_NEXT;
	attempt_free(&a);
	return v;
}

enum code client_call(struct client *c, const struct client_request *r,
    struct client_answer *out, struct err *e)
{
	struct call call = {r, out};

	*out = (struct client_answer){0};
	return client_each(c, call_try, &call, e);
}

enum code client_call_at(struct client *c, size_t server,
    const struct client_request *r, struct client_answer *out, struct err *e)
{
	struct call call = {r, out};
	const struct server *s = &c->servers[server];
	enum code rc;

	*out = (struct client_answer){0};
	rc = client_need_root(c, s, e);
	if (rc == E_OK)
		switch (call_try(c, s, &call, &rc, e)) {
		case TRY_DONE: break;
		case TRY_LOST: rc = E_TIMEOUT; break;
		case TRY_NEXT: rc = E_UNAVAILABLE; break;
		}
	return rc == E_OK ? rc : err_wrap(e, rc, "%s", s->name);
}

enum code client_json(
    struct span body, const char *from, json_t **out, struct err *e)
{
	json_error_t why;

	*out = json_loadb((const char *)body.p, body.len, 0, &why);
	if (*out == NULL)
		return err_set(e, E_INTERNAL,
		    "%s answered what is not JSON (%s); is it a quorate node "
		    "of this version?",
		    from, why.text);
	return E_OK;
}

enum code client_get_json(
    struct client *c, const char *path, json_t **out, struct err *e)
{
	struct client_request r = {.method = "GET", .path = path};
	struct client_answer a;
	enum code rc = client_call(c, &r, &a, e);

	if (rc == E_OK)
		rc = client_json(buf_span(&a.body), a.server, out, e);
	client_answer_free(&a);
	return rc;
}
