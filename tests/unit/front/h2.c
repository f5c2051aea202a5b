#include "h2.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

SSL *h2_tls(int fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;

	assert(SSL_CTX_set_alpn_protos(ctx, (const uint8_t *)"\2h2", 3) == 0);
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	SSL_set_fd(ssl, fd);
	assert(SSL_connect(ssl) == 1);
	return ssl;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f,
    const uint8_t *name, size_t namelen, const uint8_t *value, size_t valuelen,
    uint8_t flags, void *user)
{
	struct h2 *c = user;

	(void)s;
	(void)flags;
	(void)valuelen;
	if (span_eq_str(span_of(name, namelen), "grpc-status"))
		c->streams[f->hd.stream_id].status = atoi((const char *)value);
	return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t stream,
    const uint8_t *p, size_t len, void *user)
{
	struct h2 *c = user;

	(void)s;
	(void)flags;
	(void)p;
	c->streams[stream].body += len;
	return 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
	struct h2 *c = user;

	(void)s;
	if (f->hd.type == NGHTTP2_GOAWAY && c->goaways < 4)
		c->goaway[c->goaways++] = f->goaway.last_stream_id;
	return 0;
}

static int on_close(
    nghttp2_session *s, int32_t stream, uint32_t error, void *user)
{
	struct h2 *c = user;

	(void)s;
	c->streams[stream].done = true;
	c->streams[stream].error = error;
	return 0;
}

void h2_open(struct h2 *c, struct harness *h)
{
	nghttp2_session_callbacks *cb;

	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < 2 * H2_STREAMS; i++)
		c->streams[i].status = -1;
	c->fd = raw_connect(h, GRPC_PORT);
	assert(c->fd >= 0);
	c->ssl = h2_tls(c->fd);
	nghttp2_session_callbacks_new(&cb);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_session_client_new(&c->session, cb, c);
	nghttp2_session_callbacks_del(cb);
	nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, NULL, 0);
	h2_flush(c);
}

void h2_close(struct h2 *c)
{
	nghttp2_session_del(c->session);
	SSL_free(c->ssl);
	close(c->fd);
}

void h2_flush(struct h2 *c)
{
	const uint8_t *p;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(c->session, &p)) > 0)
		if (SSL_write(c->ssl, p, (int)n) <= 0) {
			c->closed = true;
			return;
		}
}

static ssize_t read_body(nghttp2_session *s, int32_t stream, uint8_t *out,
    size_t room, uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct span *left = &((struct h2 *)user)->streams[stream].left;
	size_t n = left->len < room ? left->len : room;

	(void)s;
	(void)source;
	memcpy(out, left->p, n);
	*left = span_of(left->p + n, left->len - n);
	if (left->len == 0)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

#define NV(n, v)                                                               \
	{                                                                      \
		(uint8_t *)(n), (uint8_t *)(v), strlen(n), strlen(v),          \
		    NGHTTP2_NV_FLAG_NONE                                       \
	}

int32_t h2_call(struct h2 *c, const char *token, struct span body)
{
	const nghttp2_nv nv[] = {NV(":method", "POST"), NV(":scheme", "https"),
	    NV(":path", CREATE), NV(":authority", "quorate.test"),
	    NV("content-type", "application/grpc"), NV("te", "trailers"),
	    NV("authorization", token)};
	const nghttp2_data_provider data = {.read_callback = read_body};
	int32_t id = nghttp2_submit_request(
	    c->session, NULL, nv, sizeof(nv) / sizeof(nv[0]), &data, NULL);

	assert(id > 0 && id < 2 * H2_STREAMS);
	c->streams[id].left = body;
	return id;
}

void h2_reset(struct h2 *c, int32_t stream)
{
	nghttp2_submit_rst_stream(
	    c->session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
}

bool h2_until(struct h2 *c, bool (*done)(struct h2 *c, void *arg), void *arg,
    long limit_ms)
{
	uint64_t end = clock_mono_ms() + (uint64_t)limit_ms;
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	uint8_t in[16384];

	h2_flush(c);
	while (!done(c, arg) && !c->closed) {
		uint64_t now = clock_mono_ms();
		int n;

		if (now >= end)
			return false;
		if (SSL_pending(c->ssl) == 0 &&
		    poll(&p, 1, (int)(end - now)) <= 0)
			continue;
		n = SSL_read(c->ssl, in, sizeof(in));
		if (n <= 0 ||
		    nghttp2_session_mem_recv(c->session, in, (size_t)n) < 0)
			c->closed = true;
		h2_flush(c);
	}
	return true;
}
