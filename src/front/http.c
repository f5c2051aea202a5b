/* http.c -- exchanges on evhttp: routing, limits, answers, drain. */
#include "base/text.h"
#include "front/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>

#include "auth/auth.h"
#include "base/log_event.h"
#include "base/metrics.h"

#define HTTP_TIMEOUT_S 15
#define HTTP_HEADERS_MAX (16 * 1024)
#define HTTP_CONNECTIONS_MAX 512 /* TLS connections a site */
#define SITES_MAX 2

struct site {
	struct http_loop *loop;
	struct evhttp *http;
	struct evhttp_bound_socket *bound;
	bool tls;
	size_t connections; /* if tls */
	const struct route *routes;
	size_t routes_n;
};

struct http_loop {
	struct loop loop;
	struct front *front;
	struct site sites[SITES_MAX];
	size_t sites_n;
	struct exchange *first; /* not answered yet */
	struct joins *joins;
	bool draining;
	struct event *drain_timer;
};

struct front *http_loop_front(const struct http_loop *h)
{
	return h->front;
}

struct joins *http_loop_joins(struct http_loop *h)
{
	return h->joins;
}

/* ---- Exchanges ------------------------------------------------------------
 */

static void exchange_free(struct exchange *x)
{
	mailbox_unref(x->box);
	ca_view_unref(x->view);
	buf_free(&x->in);
	buf_free(&x->out);
	free(x->rest);
	evhttp_clear_headers(&x->query);
	free(x);
}

static void link_exchange(struct http_loop *h, struct exchange *x)
{
	x->loop = h;
	x->next = h->first;
	if (h->first != NULL)
		h->first->prev = x;
	h->first = x;
}

static void unlink_exchange(struct http_loop *h, struct exchange *x)
{
	if (x->prev != NULL)
		x->prev->next = x->next;
	else
		h->first = x->next;
	if (x->next != NULL)
		x->next->prev = x->prev;
}

const char *exchange_query(const struct exchange *x, const char *name)
{
	return evhttp_find_header(&x->query, name);
}

/* {"error": code, "why": text} */
static void write_error(struct exchange *x)
{
	struct err ignored;
	json_t *o = json_object();

	buf_clear(&x->out);
	json_set(o, "error", json_string(code_name(x->rc)));
	json_set(o, "why", json_span(span_str(front_text(x->rc, &x->err))));
	if (json_finish(x, o, &ignored) != E_OK)
		buf_clear(&x->out);
}

static void add_headers(struct exchange *x)
{
	struct evkeyvalq *h = evhttp_request_get_output_headers(x->req);
	char number[24];

	evhttp_add_header(h, "Content-Type", x->type);
	evhttp_add_header(h, "Cache-Control",
	    x->public && x->rc == E_OK ? "public, max-age=10" : "no-store");
	evhttp_add_header(h, "X-Content-Type-Options", "nosniff");
	if (x->loop->draining)
		evhttp_add_header(h, "Connection", "close");
	if (x->applied == 0)
		return;
	snprintf(
	    number, sizeof(number), "%llu", (unsigned long long)x->applied);
	evhttp_add_header(h, "Quorate-Applied", number);
	snprintf(number, sizeof(number), "%llu",
	    (unsigned long long)x->front->ops.age_ms(x->front->ops.ctx));
	evhttp_add_header(h, "Quorate-State-Age-Ms", number);
}

/* RFC 9110 §8.8.3 and §13.1.2: the tag is the body's hash. */
static void tag(struct exchange *x)
{
	uint8_t sum[SHA256_LEN];
	char etag[2 + 32 + 1];
	const char *known;

	if (!x->public || x->rc != E_OK)
		return;
	sha256_of(sum, buf_span(&x->out));
	etag[0] = '"';
	hex_encode(etag + 1, sum, 16);
	etag[33] = '"';
	etag[34] = '\0';
	evhttp_add_header(
	    evhttp_request_get_output_headers(x->req), "ETag", etag);
	known = evhttp_find_header(
	    evhttp_request_get_input_headers(x->req), "If-None-Match");
	if (known != NULL && strstr(known, etag) != NULL) {
		x->status = HTTP_NOTMODIFIED;
		buf_clear(&x->out);
	}
}

/* The last answer gets a moment to leave. */
static void check_drained(struct http_loop *h)
{
	static const struct timeval moment = {.tv_usec = 50000};

	if (h->draining && h->first == NULL)
		event_base_loopexit(h->loop.base, &moment);
}

/* Send the answer; x is gone afterwards.  evhttp frees the request, also when
 * its connection has gone. */
static void exchange_send(struct exchange *x)
{
	struct http_loop *h = x->loop;
	struct evbuffer *body = evbuffer_new();

	if (x->rc == E_OK && x->out.failed)
		x->rc = err_nomem(&x->err);
	if (x->rc != E_OK)
		write_error(x);
	tag(x);
	if (body != NULL)
		evbuffer_add(body, x->out.p, x->out.len);
	add_headers(x);
	evhttp_send_reply(
	    x->req, x->status != 0 ? x->status : code_http(x->rc), NULL, body);
	if (body != NULL)
		evbuffer_free(body);
	unlink_exchange(h, x);
	exchange_free(x);
	check_drained(h);
}

static void on_return(struct mail *m, void *owner)
{
	struct exchange *x = (struct exchange *)(void *)m;

	if (owner == NULL) {
		exchange_free(x); /* the loop has let go of the request */
		return;
	}
	if (x->resume != NULL)
		x->resume(x);
	exchange_send(x);
}

void exchange_return(struct exchange *x)
{
	x->mail.run = on_return;
	mailbox_post(x->box, &x->mail);
}

static void on_worker(void *arg)
{
	struct exchange *x = arg;

	x->rc = x->route->handle(x, &x->err);
	exchange_return(x);
}

/* A read of the view, or of what the loop holds, which asked for everything
 * acknowledged before: it waits on the worker, and goes on on the loop. */
static void on_current(struct exchange *x)
{
	struct ca_view *now;

	if (x->rc != E_OK)
		return;
	now = x->front->ops.view(x->front->ops.ctx);
	if (now != NULL) {
		ca_view_unref(x->view);
		x->view = now;
	}
	x->rc = x->route->handle(x, &x->err);
}

static void wait_current(void *arg)
{
	struct exchange *x = arg;
	struct read r;

	x->rc = read_open(&r, x, &x->err);
	if (x->rc == E_OK)
		read_close(&r);
	x->resume = on_current;
	exchange_return(x);
}

/* ---- Routing --------------------------------------------------------------
 */

static const struct route *find_route(const struct site *s,
    enum evhttp_cmd_type method, const char *path, enum code *why)
{
	*why = E_NOTFOUND;
	for (size_t i = 0; i < s->routes_n; i++) {
		const struct route *r = &s->routes[i];
		size_t n = strlen(r->path);

		if ((r->flags & ROUTE_PREFIX) != 0
			? strncmp(path, r->path, n) != 0
			: strcmp(path, r->path) != 0)
			continue;
		if (r->method == method)
			return r;
		*why = E_UNSUPPORTED;
	}
	return NULL;
}

static bool is_json(struct evhttp_request *req)
{
	static const char json[] = "application/json";
	const char *type = evhttp_find_header(
	    evhttp_request_get_input_headers(req), "Content-Type");

	return type != NULL && strncmp(type, json, sizeof(json) - 1) == 0;
}

static enum code read_body(struct exchange *x, struct err *e)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(x->req);
	size_t len = evbuffer_get_length(in);

	if (len > HTTP_BODY_MAX)
		return err_set(e, E_INVAL, "the body is too long");
	if (!buf_reserve(&x->in, len))
		return err_nomem(e);
	evbuffer_remove(in, x->in.p, len);
	x->in.len = len;
	return E_OK;
}

static enum code read_query(
    struct exchange *x, const struct evhttp_uri *uri, struct err *e)
{
	const char *query = evhttp_uri_get_query(uri), *level;

	if (query != NULL && evhttp_parse_query_str(query, &x->query) != 0)
		return err_set(e, E_INVAL, "the query is malformed");
	level = exchange_query(x, "consistency");
	x->linearizable = level != NULL && strcmp(level, "linearizable") == 0;
	if (level != NULL && !x->linearizable && strcmp(level, "local") != 0)
		return err_set(
		    e, E_INVAL, "consistency is linearizable or local");
	return E_OK;
}

/* Whether the peer may use the route. */
static enum code admit(struct exchange *x, SSL *ssl, struct err *e)
{
	const struct ca_operator *op;
	enum code rc;

	if (((x->route->flags & ROUTE_VIEW) != 0 || x->route->roles != 0) &&
	    x->view == NULL)
		return err_set(e, E_UNAVAILABLE,
		    "this node holds no state yet; /readyz says why");
	if ((x->route->flags & ROUTE_JSON) != 0 && !is_json(x->req))
		return err_set(e, E_INVAL, "the body must be application/json");
	if (x->route->roles == 0)
		return E_OK;
	if (ssl == NULL)
		return err_set(e, E_UNAUTH, "this needs TLS");
	rc = auth_operator(x->view, ssl, x->route->roles, &op, e);
	if (rc != E_OK)
		metric_inc(M_auth_failed);
	return rc;
}

static enum code route_request(
    struct exchange *x, const struct site *s, SSL *ssl, struct err *e)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(x->req);
	const char *path = uri == NULL ? NULL : evhttp_uri_get_path(uri);
	enum code rc;

	if (path == NULL)
		return err_set(e, E_INVAL, "the request names no path");
	x->route = find_route(s, evhttp_request_get_command(x->req), path, &rc);
	if (x->route == NULL) {
		x->status = rc == E_UNSUPPORTED ? HTTP_BADMETHOD : 0;
		return err_set(e, rc, "%s",
		    rc == E_UNSUPPORTED ? "not with this method"
					: "there is nothing here");
	}
	if ((rc = admit(x, ssl, e)) != E_OK ||
	    (rc = read_query(x, uri, e)) != E_OK ||
	    (rc = read_body(x, e)) != E_OK)
		return rc;
	if ((x->route->flags & ROUTE_PREFIX) != 0) {
		x->rest = strdup(path + strlen(x->route->path));
		if (x->rest == NULL)
			return err_nomem(e);
	}
	if ((x->route->flags & ROUTE_BLOCKS) != 0)
		rc = worker_do(x->front->worker, on_worker, x, e);
	else if (x->linearizable && x->route->method == EVHTTP_REQ_GET)
		rc = worker_do(x->front->worker, wait_current, x, e);
	else
		return x->route->handle(x, e);
	x->later = rc == E_OK;
	return rc;
}

static void on_request(struct evhttp_request *req, void *arg)
{
	struct site *s = arg;
	struct http_loop *h = s->loop;
	struct bufferevent *bev = evhttp_connection_get_bufferevent(
	    evhttp_request_get_connection(req));
	SSL *ssl = s->tls ? bufferevent_openssl_get_ssl(bev) : NULL;
	struct exchange *x;
	struct err err = {0};
	enum code rc;

	/* evhttp falls back to plain text where on_tls gives it nothing. */
	if (s->tls && ssl == NULL) {
		evhttp_send_error(req, HTTP_SERVUNAVAIL, NULL);
		return;
	}
	x = calloc(1, sizeof(*x));
	if (x == NULL) {
		evhttp_send_error(req, HTTP_SERVUNAVAIL, NULL);
		return;
	}
	TAILQ_INIT(&x->query);
	x->box = mailbox_ref(h->loop.box);
	x->front = h->front;
	x->req = req;
	x->type = "application/json";
	x->view = h->front->ops.view(h->front->ops.ctx);
	link_exchange(h, x);
	rc = route_request(x, s, ssl, &err);
	if (rc == E_OK && x->later)
		return; /* x belongs to whoever answers */
	x->rc = rc;
	x->err = err;
	exchange_send(x);
}

/* ---- TLS connections, counted ---------------------------------------------
 */

static int site_index = -1;
static pthread_once_t site_once = PTHREAD_ONCE_INIT;

/* Called when an SSL dies: on the loop's thread. */
static void on_ssl_free(
    void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
	struct site *s = ptr;

	(void)parent;
	(void)ad;
	(void)idx;
	(void)argl;
	(void)argp;
	if (s == NULL)
		return;
	if (s->connections-- == HTTP_CONNECTIONS_MAX && s->bound != NULL)
		evconnlistener_enable(
		    evhttp_bound_socket_get_listener(s->bound));
}

static void make_site_index(void)
{
	site_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, on_ssl_free);
}

static struct bufferevent *on_tls(struct event_base *base, void *arg)
{
	struct site *s = arg;
	SSL *ssl = front_ssl(s->loop->front, TLS_HTTP1);
	struct bufferevent *bev;

	if (ssl == NULL || SSL_set_ex_data(ssl, site_index, s) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	if (++s->connections == HTTP_CONNECTIONS_MAX)
		evconnlistener_disable(
		    evhttp_bound_socket_get_listener(s->bound));
	bev = bufferevent_openssl_socket_new(
	    base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL) {
		SSL_free(ssl);
		return NULL;
	}
	bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	return bev;
}

/* ---- The loop -------------------------------------------------------------
 */

enum code http_loop_new(struct http_loop **out, struct front *f, struct err *e)
{
	struct http_loop *h = calloc(1, sizeof(*h));
	enum code rc;

	*out = NULL;
	if (h == NULL)
		return err_nomem(e);
	h->front = f;
	h->joins = joins_new();
	rc = h->joins == NULL ? err_nomem(e) : loop_init(&h->loop, h, e);
	if (rc == E_OK)
		*out = h;
	else
		http_loop_stop(h);
	pthread_once(&site_once, make_site_index);
	return rc;
}

/* As gRPC's listener does: out of descriptors, it waits rather than spin. */
static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
	struct site *s = arg;

	(void)fd;
	(void)what;
	if (s->bound != NULL && s->connections < HTTP_CONNECTIONS_MAX)
		evconnlistener_enable(
		    evhttp_bound_socket_get_listener(s->bound));
}

/* The loop of this thread: evhttp keeps the listener's argument to itself. */
static _Thread_local struct http_loop *running;

static void on_started(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	running = arg;
}

static void on_accept_error(struct evconnlistener *l, void *arg)
{
	static const struct timeval pause = {.tv_usec = 100000};

	(void)arg;
	log_event(EV_accept_failed, "why=\"%s\"", strerror(errno));
	for (size_t i = 0; running != NULL && i < running->sites_n; i++) {
		struct site *s = &running->sites[i];

		if (s->bound == NULL ||
		    evhttp_bound_socket_get_listener(s->bound) != l)
			continue;
		evconnlistener_disable(l);
		event_base_once(running->loop.base, -1, EV_TIMEOUT,
		    on_accept_again, s, &pause);
	}
}

static void configure(struct site *s)
{
	evhttp_set_timeout(s->http, HTTP_TIMEOUT_S);
	evhttp_set_max_headers_size(s->http, HTTP_HEADERS_MAX);
	evhttp_set_max_body_size(s->http, HTTP_BODY_MAX);
	evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST);
	evhttp_set_gencb(s->http, on_request, s);
	if (s->tls)
		evhttp_set_bevcb(s->http, on_tls, s);
}

enum code http_loop_listen(struct http_loop *h, uint16_t port, bool tls,
    const struct route *routes, size_t n, struct err *e)
{
	struct site *s = &h->sites[h->sites_n];
	enum code rc;
	int fd;

	rc = listen_on(h->front->config.listen, port, false, &fd, e);
	if (rc != E_OK)
		return rc;
	*s = (struct site){
	    .loop = h, .tls = tls, .routes = routes, .routes_n = n};
	s->http = evhttp_new(h->loop.base);
	if (s->http == NULL) {
		close(fd);
		return err_nomem(e);
	}
	h->sites_n++;
	configure(s);
	s->bound = evhttp_accept_socket_with_handle(s->http, fd);
	if (s->bound == NULL) {
		close(fd);
		return err_set(e, E_IO, "listening on port %u", (unsigned)port);
	}
	evconnlistener_set_error_cb(
	    evhttp_bound_socket_get_listener(s->bound), on_accept_error);
	return E_OK;
}

enum code http_loop_run(struct http_loop *h, struct err *e)
{
	static const struct timeval now = {0};

	event_base_once(h->loop.base, -1, EV_TIMEOUT, on_started, h, &now);
	return loop_run(&h->loop, e);
}

/* ---- Drain ----------------------------------------------------------------
 */

struct drain {
	struct mail mail;
	unsigned ms;
};

static void on_drain_end(evutil_socket_t fd, short what, void *arg)
{
	struct http_loop *h = arg;

	(void)fd;
	(void)what;
	event_base_loopbreak(h->loop.base);
}

static void on_drain(struct mail *m, void *owner)
{
	struct drain *d = (struct drain *)(void *)m;
	struct http_loop *h = owner;
	struct timeval after = {
	    .tv_sec = d->ms / 1000, .tv_usec = d->ms % 1000 * 1000};

	free(d);
	if (h == NULL)
		return;
	h->draining = true;
	for (size_t i = 0; i < h->sites_n; i++) {
		struct site *s = &h->sites[i];

		if (s->bound != NULL)
			evhttp_del_accept_socket(s->http, s->bound);
		s->bound = NULL;
	}
	h->drain_timer = evtimer_new(h->loop.base, on_drain_end, h);
	if (h->drain_timer == NULL || evtimer_add(h->drain_timer, &after) != 0)
		event_base_loopbreak(h->loop.base);
	check_drained(h);
}

void http_loop_drain(struct http_loop *h, unsigned drain_ms)
{
	struct drain *d;

	/* Short of memory we wait rather than leave a thread behind. */
	while ((d = calloc(1, sizeof(*d))) == NULL)
		usleep(1000);
	d->ms = drain_ms;
	d->mail.run = on_drain;
	mailbox_post(h->loop.box, &d->mail);
}

/* Let go of requests nobody will answer: evhttp frees those that still have a
 * connection, we the others. */
static void abandon(struct http_loop *h)
{
	for (struct exchange *x = h->first; x != NULL; x = x->next) {
		if (evhttp_request_get_connection(x->req) == NULL)
			evhttp_request_free(x->req);
		x->req = NULL;
	}
	h->first = NULL;
}

void http_loop_stop(struct http_loop *h)
{
	if (h == NULL)
		return;
	loop_join(&h->loop);
	abandon(h);
	loop_close(&h->loop);
	for (size_t i = 0; i < h->sites_n; i++) {
		h->sites[i].bound = NULL;
		evhttp_free(h->sites[i].http);
	}
	if (h->drain_timer != NULL)
		event_free(h->drain_timer);
	joins_free(h->joins);
	loop_free(&h->loop);
	free(h);
}
