/* server.c -- port 8443: connections, TLS handshakes, and the pump between a
 * socket and its nghttp2 session.
 *
 * nghttp2_session_mem_send and mem_recv are called from here only, never from
 * inside one of nghttp2's callbacks. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>

#include "base/log_event.h"
#include "front/grpc.h"

#define GRPC_CONNS_MAX 2048 /* a thread */
#define HANDSHAKE_S 5
#define IDLE_S 600
#define WRITE_STALL_S 30
#define OUTPUT_MAX (256 * 1024) /* then we neither read nor produce */
#define INPUT_MAX (64 * 1024)
#define DRAIN_NOTICE_MS 200
#define CREST_MIN 64 /* connections whose memory is worth giving back */

/* ---- Connections ----------------------------------------------------------
 */

static void maybe_finish(struct grpc_loop *g)
{
	if (g->draining != 0 && g->free_n == GRPC_CONNS_MAX)
		event_base_loopbreak(g->loop.base);
}

/* After a crowd has gone: the allocator would keep what it took for it. */
static void on_crowd_gone(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	malloc_trim(0);
}

static void maybe_trim(struct grpc_loop *g)
{
	/* libevent frees connections a little later. */
	static const struct timeval soon = {.tv_sec = 1};
	size_t open = GRPC_CONNS_MAX - g->free_n;

	if (g->crest < CREST_MIN || open > g->crest / 4)
		return;
	g->crest = open;
	event_base_once(
	    g->loop.base, -1, EV_TIMEOUT, on_crowd_gone, NULL, &soon);
}

static void conn_close(struct conn *c)
{
	struct grpc_loop *g = c->loop;

	if (c->h2 != NULL)
		nghttp2_session_del(c->h2);
	while (c->calls != NULL)
		grpc_call_free(c->calls);
	if (c->deadline != NULL)
		event_free(c->deadline);
	if (c->ssl != NULL && SSL_is_init_finished(c->ssl)) {
		SSL_set_shutdown(c->ssl, SSL_RECEIVED_SHUTDOWN);
		SSL_shutdown(c->ssl);
	}
	ERR_clear_error();
	bufferevent_free(c->bev);
	g->slots[c->slot] = NULL;
	if (g->free_n == 0 && g->listener != NULL)
		evconnlistener_enable(g->listener);
	g->free[g->free_n++] = c->slot;
	free(c);
	maybe_trim(g);
	maybe_finish(g);
}

static void set_deadline(struct conn *c, unsigned seconds)
{
	const struct timeval tv = {.tv_sec = seconds};

	evtimer_add(c->deadline, &tv);
}

bool conn_pump(struct conn *c)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	const uint8_t *p;
	ssize_t n = 1;

	while (evbuffer_get_length(out) < OUTPUT_MAX &&
	       (n = nghttp2_session_mem_send(c->h2, &p)) > 0)
		if (evbuffer_add(out, p, (size_t)n) != 0) {
			n = NGHTTP2_ERR_NOMEM;
			break;
		}
	if (n < 0 ||
	    (evbuffer_get_length(out) == 0 &&
		!nghttp2_session_want_read(c->h2) &&
		!nghttp2_session_want_write(c->h2)) ||
	    (c->loop->draining == 2 && c->calls == NULL &&
		evbuffer_get_length(out) == 0)) {
		conn_close(c);
		return false;
	}
	if (evbuffer_get_length(out) >= OUTPUT_MAX)
		bufferevent_disable(c->bev, EV_READ);
	return true;
}

static void conn_consume(struct conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct evbuffer *out = bufferevent_get_output(c->bev);

	while (evbuffer_get_length(in) > 0 &&
	       evbuffer_get_length(out) < OUTPUT_MAX) {
		size_t n = evbuffer_get_contiguous_space(in);
		ssize_t used = nghttp2_session_mem_recv(
		    c->h2, evbuffer_pullup(in, (ssize_t)n), n);

		if (used < 0) {
			conn_close(c);
			return;
		}
		evbuffer_drain(in, (size_t)used);
		if (!conn_pump(c))
			return;
	}
}

static void on_readable(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	if (c->h2 == NULL)
		return;
	set_deadline(c, IDLE_S);
	conn_consume(c);
}

/* The output has drained. */
static void on_writable(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;

	if (c->h2 == NULL || !conn_pump(c))
		return;
	if (evbuffer_get_length(bufferevent_get_output(bev)) < OUTPUT_MAX) {
		bufferevent_enable(bev, EV_READ);
		conn_consume(c);
	}
}

static bool speaks_h2(const SSL *ssl)
{
	const unsigned char *name = NULL;
	unsigned len = 0;

	SSL_get0_alpn_selected(ssl, &name, &len);
	return len == 2 && memcmp(name, "h2", 2) == 0;
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	const struct timeval stall = {.tv_sec = WRITE_STALL_S};
	struct conn *c = arg;
	struct err ignored;

	if ((what & BEV_EVENT_CONNECTED) == 0 || !speaks_h2(c->ssl) ||
	    grpc_session(c, &ignored) != E_OK) {
		conn_close(c);
		return;
	}
	set_deadline(c, IDLE_S);
	bufferevent_set_timeouts(bev, NULL, &stall);
	if (c->loop->draining != 0)
		nghttp2_submit_shutdown_notice(c->h2);
	if (conn_pump(c))
		conn_consume(c);
}

/* Before the handshake is done: give up.  After: nobody has said anything for
 * long; answers under way have guards of their own. */
static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	(void)what;
	conn_close(c);
}

static struct conn *conn_new(struct grpc_loop *g, evutil_socket_t fd)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->loop = g;
	c->ssl = front_ssl(g->front, TLS_H2);
	c->deadline = evtimer_new(g->loop.base, on_deadline, c);
	if (c->ssl != NULL && c->deadline != NULL)
		c->bev = bufferevent_openssl_socket_new(g->loop.base, fd,
		    c->ssl, BUFFEREVENT_SSL_ACCEPTING,
		    BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (c->bev != NULL)
		return c;
	SSL_free(c->ssl);
	if (c->deadline != NULL)
		event_free(c->deadline);
	free(c);
	return NULL;
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd,
    struct sockaddr *sa, int len, void *arg)
{
	struct grpc_loop *g = arg;
	const int on = 1;
	struct conn *c = g->free_n == 0 ? NULL : conn_new(g, fd);

	(void)sa;
	(void)len;
	if (c == NULL) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->slot = g->free[--g->free_n];
	c->generation = ++g->generation;
	g->slots[c->slot] = c;
	if (GRPC_CONNS_MAX - g->free_n > g->crest)
		g->crest = GRPC_CONNS_MAX - g->free_n;
	if (g->free_n == 0)
		evconnlistener_disable(l);
	bufferevent_setcb(c->bev, on_readable, on_writable, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, INPUT_MAX);
	set_deadline(c, HANDSHAKE_S);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

/* Out of descriptors, most likely: wait a moment rather than spin. */
static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
	struct grpc_loop *g = arg;

	(void)fd;
	(void)what;
	if (g->listener != NULL && g->free_n > 0)
		evconnlistener_enable(g->listener);
}

static void on_accept_error(struct evconnlistener *l, void *arg)
{
	static const struct timeval pause = {.tv_usec = 100000};
	struct grpc_loop *g = arg;

	log_event(EV_accept_failed, "why=\"%s\"", strerror(errno));
	evconnlistener_disable(l);
	event_base_once(
	    g->loop.base, -1, EV_TIMEOUT, on_accept_again, g, &pause);
}

/* ---- Answers from other threads -------------------------------------------
 */

struct grpc_ticket grpc_ticket(const struct grpc_call *call)
{
	const struct conn *c = call->conn;

	return (struct grpc_ticket){.box = mailbox_ref(c->loop->loop.box),
	    .slot = c->slot,
	    .generation = c->generation,
	    .stream = call->stream};
}

static struct conn *conn_of(struct grpc_loop *g, const struct grpc_ticket *t)
{
	struct conn *c = g->slots[t->slot];

	return c != NULL && c->generation == t->generation ? c : NULL;
}

struct grpc_call *grpc_call_of(struct grpc_loop *g, const struct grpc_ticket *t)
{
	struct conn *c = conn_of(g, t);
	struct grpc_call *call = NULL;

	if (c != NULL && c->h2 != NULL)
		call = nghttp2_session_get_stream_user_data(c->h2, t->stream);
	return call != NULL && !call->answered ? call : NULL;
}

const struct ca_view *grpc_view(struct grpc_loop *g)
{
	struct ca_view *v = g->front->ops.view(g->front->ops.ctx);
	struct auth_keys *keys;
	struct err err = {0};

	if (v == g->view) {
		ca_view_unref(v);
		return g->view;
	}
	if (v == NULL || auth_keys_make(v, &keys, &err) != E_OK) {
		ca_view_unref(v);
		return NULL;
	}
	ca_view_unref(g->view);
	auth_keys_unref(g->keys);
	g->view = v;
	g->keys = keys;
	return v;
}

/* ---- The loop -------------------------------------------------------------
 */

static enum code listen_grpc(struct grpc_loop *g, struct err *e)
{
	const struct front_config *c = &g->front->config;
	enum code rc;
	int fd;

	rc = listen_on(c->listen, c->grpc_port, true, &fd, e);
	if (rc != E_OK)
		return rc;
	g->listener = evconnlistener_new(g->loop.base, on_accept, g,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1, fd);
	if (g->listener == NULL) {
		close(fd);
		return err_nomem(e);
	}
	evconnlistener_set_error_cb(g->listener, on_accept_error);
	return E_OK;
}

enum code grpc_loop_start(
    struct grpc_loop **out, struct front *f, struct err *e)
{
	struct grpc_loop *g = calloc(1, sizeof(*g));
	enum code rc;

	*out = NULL;
	if (g == NULL)
		return err_nomem(e);
	g->front = f;
	g->slots = calloc(GRPC_CONNS_MAX, sizeof(struct conn *));
	g->free = calloc(GRPC_CONNS_MAX, sizeof(*g->free));
	if (g->slots == NULL || g->free == NULL) {
		grpc_loop_stop(g);
		return err_nomem(e);
	}
	while (g->free_n < GRPC_CONNS_MAX) {
		g->free[g->free_n] = GRPC_CONNS_MAX - 1 - (uint32_t)g->free_n;
		g->free_n++;
	}
	rc = loop_init(&g->loop, g, e);
	if (rc == E_OK)
		rc = listen_grpc(g, e);
	if (rc == E_OK)
		rc = loop_run(&g->loop, e);
	if (rc == E_OK)
		*out = g;
	else
		grpc_loop_stop(g);
	return rc;
}

void grpc_loop_stop(struct grpc_loop *g)
{
	if (g == NULL)
		return;
	loop_join(&g->loop);
	g->draining = 0;
	for (uint32_t i = 0; g->slots != NULL && i < GRPC_CONNS_MAX; i++)
		if (g->slots[i] != NULL)
			conn_close(g->slots[i]);
	if (g->listener != NULL)
		evconnlistener_free(g->listener);
	if (g->drain_step != NULL)
		event_free(g->drain_step);
	if (g->drain_end != NULL)
		event_free(g->drain_end);
	loop_free(&g->loop);
	auth_keys_unref(g->keys);
	ca_view_unref(g->view);
	free(g->slots);
	free(g->free);
	free(g);
}

/* ---- Drain: two-step GOAWAY (RFC 9113 §6.8) --------------------------------
 */

struct drain {
	struct mail mail;
	unsigned ms;
};

/* From the notice on, clients have had time to stop opening streams. */
static void on_drain_step(evutil_socket_t fd, short what, void *arg)
{
	struct grpc_loop *g = arg;

	(void)fd;
	(void)what;
	g->draining = 2;
	for (uint32_t i = 0; i < GRPC_CONNS_MAX; i++) {
		struct conn *c = g->slots[i];

		if (c == NULL)
			continue;
		if (c->h2 == NULL) {
			conn_close(c);
			continue;
		}
		nghttp2_submit_goaway(c->h2, NGHTTP2_FLAG_NONE,
		    nghttp2_session_get_last_proc_stream_id(c->h2),
		    NGHTTP2_NO_ERROR, NULL, 0);
		conn_pump(c);
	}
}

static void on_drain_end(evutil_socket_t fd, short what, void *arg)
{
	struct grpc_loop *g = arg;

	(void)fd;
	(void)what;
	event_base_loopbreak(g->loop.base);
}

static bool drain_timers(struct grpc_loop *g, unsigned ms)
{
	unsigned notice = ms / 2 < DRAIN_NOTICE_MS ? ms / 2 : DRAIN_NOTICE_MS;
	const struct timeval step = {.tv_usec = notice * 1000};
	const struct timeval end = {
	    .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	g->drain_step = evtimer_new(g->loop.base, on_drain_step, g);
	g->drain_end = evtimer_new(g->loop.base, on_drain_end, g);
	return g->drain_step != NULL && g->drain_end != NULL &&
	       evtimer_add(g->drain_step, &step) == 0 &&
	       evtimer_add(g->drain_end, &end) == 0;
}

static void on_drain(struct mail *m, void *owner)
{
	struct drain *d = (struct drain *)(void *)m;
	struct grpc_loop *g = owner;
	unsigned ms = d->ms;

	free(d);
	if (g == NULL)
		return;
	g->draining = 1;
	evconnlistener_free(g->listener);
	g->listener = NULL;
	for (uint32_t i = 0; i < GRPC_CONNS_MAX; i++) {
		struct conn *c = g->slots[i];

		if (c != NULL && c->h2 != NULL) {
			nghttp2_submit_shutdown_notice(c->h2);
			conn_pump(c);
		}
	}
	if (!drain_timers(g, ms))
		event_base_loopbreak(g->loop.base);
	maybe_finish(g);
}

void grpc_loop_drain(struct grpc_loop *g, unsigned drain_ms)
{
	struct drain *d;

	/* Short of memory we wait rather than leave a thread behind. */
	while ((d = calloc(1, sizeof(*d))) == NULL)
		usleep(1000);
	d->ms = drain_ms;
	d->mail.run = on_drain;
	mailbox_post(g->loop.box, &d->mail);
}
