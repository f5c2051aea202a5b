/* conn.c -- one TLS connection that speaks HTTP/2 as a gRPC client. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "load.h"

#define METHOD "/istio.v1.auth.IstioCertificateService/CreateCertificate"
#define OUT_MAX 65536

static struct call *call_of(nghttp2_session *h2, int32_t stream)
{
	return nghttp2_session_get_stream_user_data(h2, stream);
}

/* ---- nghttp2's callbacks ---- */

static int on_header(nghttp2_session *h2, const nghttp2_frame *f,
    const uint8_t *name, size_t namelen, const uint8_t *value, size_t valuelen,
    uint8_t flags, void *user)
{
	struct call *call = call_of(h2, f->hd.stream_id);

	(void)flags;
	(void)valuelen; /* nghttp2 ends values in NUL */
	(void)user;
	if (call != NULL && span_eq_str(span_of(name, namelen), "grpc-status"))
		call->status = atoi((const char *)value);
	return 0;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t stream,
    const uint8_t *p, size_t len, void *user)
{
	struct call *call = call_of(h2, stream);

	(void)flags;
	(void)user;
	if (call != NULL)
		buf_add(&call->answer, p, len);
	return 0;
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *f, void *user)
{
	struct conn *c = user;

	(void)h2;
	if (f->hd.type == NGHTTP2_GOAWAY)
		c->leaving = c->failed = true;
	return 0;
}

static int on_stream_close(
    nghttp2_session *h2, int32_t stream, uint32_t error, void *user)
{
	struct call *call = call_of(h2, stream);
	struct conn *c = user;

	if (call == NULL)
		return 0;
	c->flying--;
	drive_answered(call, error == NGHTTP2_REFUSED_STREAM);
	return 0;
}

nghttp2_session_callbacks *conn_callbacks(void)
{
	nghttp2_session_callbacks *cb;

	if (nghttp2_session_callbacks_new(&cb) != 0)
		return NULL;
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(
	    cb, on_stream_close);
	return cb;
}

/* ---- Sending ---- */

static void write_out(struct conn *c)
{
	while (c->out_at < c->out.len) {
		int n = SSL_write(c->ssl, c->out.p + c->out_at,
		    (int)(c->out.len - c->out_at));

		if (n <= 0) {
			int why = SSL_get_error(c->ssl, n);

			if (why == SSL_ERROR_WANT_WRITE)
				event_add(c->writable, NULL);
			else if (why != SSL_ERROR_WANT_READ)
				c->broken = true;
			return;
		}
		c->out_at += (size_t)n;
	}
	buf_clear(&c->out);
	c->out_at = 0;
}

/* Frames go out in few writes: one small record each would cost more than
 * what they carry. */
static void send_frames(struct conn *c)
{
	const uint8_t *p;
	ssize_t n = 0;

	do {
		while (c->out.len < OUT_MAX &&
		       (n = nghttp2_session_mem_send(c->h2, &p)) > 0)
			buf_add(&c->out, p, (size_t)n);
		if (n < 0 || c->out.failed)
			c->broken = true;
		if (!c->broken)
			write_out(c);
	} while (!c->broken && c->out.len == 0 && n > 0);
}

static bool is_done(const struct conn *c)
{
	return c->broken || (c->leaving && c->flying == 0) ||
	       (c->h2 != NULL && nghttp2_session_want_read(c->h2) == 0 &&
		   nghttp2_session_want_write(c->h2) == 0);
}

void conn_flush(struct conn *c)
{
	if (c->state != CONN_OPEN)
		return;
	send_frames(c);
	if (is_done(c))
		conn_close(c);
}

static ssize_t read_body(nghttp2_session *h2, int32_t stream, uint8_t *out,
    size_t room, uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct call *call = source->ptr;
	size_t n = call->csr->frame.len - call->sent;

	(void)h2;
	(void)stream;
	(void)user;
	n = n < room ? n : room;
	memcpy(out, call->csr->frame.p + call->sent, n);
	call->sent += n;
	if (call->sent == call->csr->frame.len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv){.name = (uint8_t *)name,
	    .value = (uint8_t *)value,
	    .namelen = strlen(name),
	    .valuelen = strlen(value)};
}

bool conn_submit(struct conn *c, struct call *call)
{
	const struct options *o = &c->load->o;
	const nghttp2_data_provider body = {
	    .source.ptr = call, .read_callback = read_body};
	const nghttp2_nv nv[] = {header(":method", "POST"),
	    header(":scheme", "https"), header(":path", METHOD),
	    header(":authority", o->servers[c->server].host),
	    header("content-type", "application/grpc"),
	    header("te", "trailers"), header("authorization", call->token),
	    header("clusterid", o->cluster != NULL ? o->cluster : "")};
	size_t n = sizeof(nv) / sizeof(nv[0]) - (o->cluster == NULL);

	call->status = -1;
	call->sent = 0;
	buf_clear(&call->answer);
	call->stream = nghttp2_submit_request(c->h2, NULL, nv, n, &body, call);
	if (call->stream < 0)
		return false;
	call->state = CALL_FLYING;
	call->flying_us = clock_mono_us();
	c->flying++;
	return true;
}

/* ---- Receiving ---- */

static void read_in(struct conn *c)
{
	uint8_t in[16384];
	int n = 0;

	while (!c->broken && (n = SSL_read(c->ssl, in, sizeof(in))) > 0)
		if (nghttp2_session_mem_recv(c->h2, in, (size_t)n) < 0)
			c->broken = true;
	if (!c->broken && SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ)
		c->broken = true;
}

static void become_open(struct conn *c)
{
	const nghttp2_settings_entry no_push = {
	    NGHTTP2_SETTINGS_ENABLE_PUSH, 0};

	if (nghttp2_session_client_new(&c->h2, c->load->callbacks, c) != 0 ||
	    nghttp2_submit_settings(c->h2, NGHTTP2_FLAG_NONE, &no_push, 1) !=
		0) {
		c->broken = true;
		return;
	}
	event_del(c->timer);
	c->state = CONN_OPEN;
	drive_ready(c);
}

static void shake(struct conn *c)
{
	int n = SSL_do_handshake(c->ssl), why;

	if (n == 1) {
		become_open(c);
		return;
	}
	why = SSL_get_error(c->ssl, n);
	if (why == SSL_ERROR_WANT_WRITE)
		event_add(c->writable, NULL);
	else if (why != SSL_ERROR_WANT_READ)
		c->broken = true;
}

static void finish_dialling(struct conn *c)
{
	int why = 0;
	socklen_t len = sizeof(why);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &why, &len) != 0 ||
	    why != 0)
		c->broken = true;
	else
		c->state = CONN_SHAKING;
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	(void)what;
	ERR_clear_error();
	if (c->state == CONN_DIALLING)
		finish_dialling(c);
	if (c->state == CONN_SHAKING && !c->broken)
		shake(c);
	if (c->state == CONN_OPEN && !c->broken)
		read_in(c);
	if (c->state == CONN_OPEN && !c->broken)
		send_frames(c);
	if (is_done(c))
		conn_close(c);
}

/* ---- Opening and closing ---- */

static bool dial(struct conn *c)
{
	const struct server *s = &c->load->o.servers[c->server];
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *a = NULL;
	const int on = 1;
	bool ok;

	if (getaddrinfo(s->host, s->port, &hints, &a) != 0)
		return false;
	c->fd =
	    socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ok =
	    c->fd >= 0 &&
	    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
	    (connect(c->fd, a->ai_addr, a->ai_addrlen) == 0 ||
		errno == EINPROGRESS);
	freeaddrinfo(a);
	return ok;
}

static bool prepare_tls(struct conn *c)
{
	const char *host = c->load->o.servers[c->server].host;
	X509_VERIFY_PARAM *p;

	c->ssl = SSL_new(c->load->tls);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1)
		return false;
	SSL_set_connect_state(c->ssl);
	p = SSL_get0_param(c->ssl);
	return X509_VERIFY_PARAM_set1_ip_asc(p, host) == 1 ||
	       (SSL_set_tlsext_host_name(c->ssl, host) == 1 &&
		   X509_VERIFY_PARAM_set1_host(p, host, 0) == 1);
}

static bool watch(struct conn *c)
{
	struct event_base *base = c->load->base;
	const uint64_t ms = c->load->o.connect_ms;
	const struct timeval tv = {
	    (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};

	c->readable =
	    event_new(base, c->fd, EV_READ | EV_PERSIST, on_socket, c);
	c->writable = event_new(base, c->fd, EV_WRITE, on_socket, c);
	return c->readable != NULL && c->writable != NULL &&
	       event_add(c->readable, NULL) == 0 &&
	       event_add(c->writable, NULL) == 0 &&
	       event_add(c->timer, &tv) == 0;
}

void conn_open(struct conn *c)
{
	c->broken = c->failed = c->leaving = false;
	c->state = CONN_DIALLING;
	if (!dial(c) || !prepare_tls(c) || !watch(c))
		conn_close(c);
}

void conn_close(struct conn *c)
{
	bool was_open = c->state == CONN_OPEN;

	event_del(c->timer);
	if (c->readable != NULL)
		event_free(c->readable);
	if (c->writable != NULL)
		event_free(c->writable);
	c->readable = c->writable = NULL;
	if (was_open && !c->broken)
		SSL_shutdown(c->ssl);
	/* Its callbacks are not called by this. */
	nghttp2_session_del(c->h2);
	c->h2 = NULL;
	SSL_free(c->ssl);
	c->ssl = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	buf_clear(&c->out);
	c->out_at = 0;
	c->flying = 0;
	c->state = CONN_CLOSED;
	drive_closed(c, was_open);
}
