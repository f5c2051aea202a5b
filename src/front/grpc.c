/* grpc.c -- gRPC's framing on HTTP/2 (github.com/grpc/grpc,
 * doc/PROTOCOL-HTTP2.md): one request message, one response message. */
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "front/grpc.h"

#define STREAMS_MAX 128
#define STREAM_WINDOW (128 * 1024)
#define DROP_MAX                                                               \
	(32 * 1024) /* of a refused request's rest; fits the window            \
		     */
#define HEADERS_MAX (40 * 1024)
#define HELD_MAX (1024 * 1024) /* unanswered request bytes, a connection */
#define REQUEST_MS 10000       /* from the headers to the end of the request */
#define ANSWER_MS 3000         /* the node's own bound is 2 s */
#define STATUS_TEXT_MAX 1024

/* ---- Methods --------------------------------------------------------------
 */

/* grpc.health.v1: SERVING is 1, NOT_SERVING 2, in field 1. */
static void health_check(struct grpc_call *call, struct span message)
{
	const struct front_ops *ops = &call->conn->loop->front->ops;
	uint8_t out[2] = {0x08, 1};
	struct buf why;

	(void)message;
	buf_init(&why);
	if (ops->ready(ops->ctx, &why) != E_OK)
		out[1] = 2;
	buf_free(&why);
	grpc_reply(call, span_of(out, sizeof(out)));
}

struct method {
	const char *path;
	void (*handle)(struct grpc_call *call, struct span message);
};

static const struct method methods[] = {
    {"/istio.v1.auth.IstioCertificateService/CreateCertificate",
	istio_create_certificate},
    {"/grpc.health.v1.Health/Check", health_check},
};

#define NO_METHOD "no such service or method here"

static const struct method *find_method(const char *path)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(path, methods[i].path) == 0)
			return &methods[i];
	return NULL;
}

/* ---- Answers --------------------------------------------------------------
 */

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv){.name = (uint8_t *)name,
	    .value = (uint8_t *)value,
	    .namelen = strlen(name),
	    .valuelen = strlen(value)};
}

/* grpc-message is percent-encoded outside printable ASCII. */
static void percent_encode(char *out, size_t size, const char *text)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t n = 0;

	for (; *text != '\0' && n + 4 < size; text++) {
		uint8_t b = (uint8_t)*text;

		if (b >= ' ' && b <= '~' && b != '%') {
			out[n++] = (char)b;
			continue;
		}
		out[n++] = '%';
		out[n++] = digits[b >> 4];
		out[n++] = digits[b & 15];
	}
	out[n] = '\0';
}

static void fail_http(struct grpc_call *call, const char *http_status,
    int status, const char *text)
{
	char number[12], message[STATUS_TEXT_MAX];
	nghttp2_nv nv[4];

	if (call->answered)
		return;
	call->answered = true;
	snprintf(number, sizeof(number), "%d", status);
	percent_encode(message, sizeof(message), text);
	nv[0] = header(":status", http_status);
	nv[1] = header("content-type", "application/grpc");
	nv[2] = header("grpc-status", number);
	nv[3] = header("grpc-message", message);
	if (nghttp2_submit_response(
		call->conn->h2, call->stream, nv, 4, NULL) != 0)
		nghttp2_submit_rst_stream(call->conn->h2, NGHTTP2_FLAG_NONE,
		    call->stream, NGHTTP2_INTERNAL_ERROR);
}

/* Refuse for a reason that is known before the request has ended.  Clients
 * take an answer best when they have said everything, and what they may still
 * say is bounded by the stream's window: so it waits. */
static void refuse_early(struct grpc_call *call, const char *http_status,
    int status, const char *text)
{
	if (call->refuse_http != NULL)
		return;
	call->refuse_http = http_status;
	call->refuse_status = status;
	call->refuse_text = text;
}

static void send_refusal(struct grpc_call *call)
{
	fail_http(
	    call, call->refuse_http, call->refuse_status, call->refuse_text);
}

void grpc_fail(struct grpc_call *call, int status, const char *text)
{
	fail_http(call, "200", status, text);
}

void grpc_fail_err(struct grpc_call *call, enum code rc, const struct err *e)
{
	grpc_fail(call, code_grpc(rc), front_text(rc, e));
}

static ssize_t read_reply(nghttp2_session *h2, int32_t stream, uint8_t *out,
    size_t room, uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct grpc_call *call = source->ptr;
	size_t n = call->reply.len - call->reply_at;
	const nghttp2_nv ok = header("grpc-status", "0");

	(void)user;
	if (n > room)
		n = room;
	memcpy(out, call->reply.p + call->reply_at, n);
	call->reply_at += n;
	if (call->reply_at < call->reply.len)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
	if (nghttp2_submit_trailer(h2, stream, &ok, 1) != 0)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	return (ssize_t)n;
}

void grpc_reply(struct grpc_call *call, struct span message)
{
	const nghttp2_data_provider body = {
	    .source.ptr = call, .read_callback = read_reply};
	nghttp2_nv nv[2];
	struct err err;

	if (call->answered)
		return;
	buf_add_u8(&call->reply, 0); /* not compressed */
	buf_add_u32be(&call->reply, (uint32_t)message.len);
	buf_add_span(&call->reply, message);
	if (buf_check(&call->reply, &err) != E_OK) {
		grpc_fail_err(call, err.code, &err);
		return;
	}
	call->answered = true;
	nv[0] = header(":status", "200");
	nv[1] = header("content-type", "application/grpc");
	if (nghttp2_submit_response(
		call->conn->h2, call->stream, nv, 2, &body) != 0)
		nghttp2_submit_rst_stream(call->conn->h2, NGHTTP2_FLAG_NONE,
		    call->stream, NGHTTP2_INTERNAL_ERROR);
}

/* ---- Calls ----------------------------------------------------------------
 */

static void release_body(struct grpc_call *call)
{
	call->conn->held -= call->body.len;
	buf_free(&call->body);
}

void grpc_call_free(struct grpc_call *call)
{
	struct conn *c = call->conn;

	if (call->prev != NULL)
		call->prev->next = call->next;
	else
		c->calls = call->next;
	if (call->next != NULL)
		call->next->prev = call->prev;
	release_body(call);
	buf_free(&call->authorization);
	buf_free(&call->clusterid);
	buf_free(&call->reply);
	if (call->guard != NULL)
		event_free(call->guard);
	free(call);
}

static void on_guard(evutil_socket_t fd, short what, void *arg)
{
	struct grpc_call *call = arg;

	(void)fd;
	(void)what;
	if (call->answered)
		return;
	if (call->refuse_http != NULL) {
		send_refusal(call);
	} else if (call->ended) {
		metric_inc(M_issue_unknown);
		grpc_fail(call, code_grpc(E_UNAVAILABLE),
		    "the node did not answer in time; the outcome is unknown");
	} else {
		grpc_fail(call, code_grpc(E_TIMEOUT),
		    "the request did not arrive in time");
	}
	conn_pump(call->conn);
}

static bool set_guard(struct grpc_call *call, unsigned ms)
{
	const struct timeval tv = {
	    .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	return evtimer_add(call->guard, &tv) == 0;
}

static struct grpc_call *call_new(struct conn *c, int32_t stream)
{
	struct grpc_call *call = calloc(1, sizeof(*call));

	if (call == NULL)
		return NULL;
	call->conn = c;
	call->stream = stream;
	call->next = c->calls;
	if (c->calls != NULL)
		c->calls->prev = call;
	c->calls = call;
	call->guard = evtimer_new(c->loop->loop.base, on_guard, call);
	if (call->guard != NULL && set_guard(call, REQUEST_MS))
		return call;
	grpc_call_free(call);
	return NULL;
}

/* ---- Requests -------------------------------------------------------------
 */

/* What the headers alone decide. */
static void check_headers(struct grpc_call *call)
{
	if (!call->post)
		refuse_early(
		    call, "405", GRPC_UNIMPLEMENTED, "gRPC calls are POSTs");
	else if (!call->is_grpc)
		refuse_early(call, "415", GRPC_INVALID_ARGUMENT,
		    "the content type is not application/grpc");
	else if (call->repeated)
		refuse_early(call, "200", GRPC_INVALID_ARGUMENT,
		    "authorization or clusterid is repeated, or too long");
	else if (find_method(call->path) == NULL)
		refuse_early(call, "200", GRPC_UNIMPLEMENTED, NO_METHOD);
}

/* What the prefix says, as soon as it is there. */
static void check_prefix(struct grpc_call *call)
{
	uint32_t len;

	if (call->body.len < GRPC_PREFIX)
		return;
	len = get_u32be(call->body.p + 1);
	if (call->body.p[0] != 0)
		refuse_early(call, "200", GRPC_UNIMPLEMENTED,
		    "compressed messages are not supported");
	else if (len > GRPC_MESSAGE_MAX)
		refuse_early(call, "200", GRPC_RESOURCE_EXHAUSTED,
		    "the message is longer than 64 KiB");
	else if (call->body.len > GRPC_PREFIX + (size_t)len)
		refuse_early(call, "200", GRPC_UNIMPLEMENTED,
		    "one call takes one message");
}

static void dispatch(struct grpc_call *call)
{
	const struct method *method = find_method(call->path);
	struct span message;

	if (call->refuse_http != NULL) {
		send_refusal(call);
		return;
	}
	if (method == NULL) {
		grpc_fail(call, GRPC_UNIMPLEMENTED, NO_METHOD);
		return;
	}
	if (call->body.len < GRPC_PREFIX ||
	    call->body.len - GRPC_PREFIX != get_u32be(call->body.p + 1)) {
		grpc_fail(call, GRPC_INTERNAL,
		    "the request ended within its message");
		return;
	}
	message =
	    span_of(call->body.p + GRPC_PREFIX, call->body.len - GRPC_PREFIX);
	set_guard(call, ANSWER_MS);
	method->handle(call, message);
	release_body(call);
}

static void take_body(struct grpc_call *call, const uint8_t *p, size_t len)
{
	struct conn *c = call->conn;

	if (call->answered)
		return;
	if (call->refuse_http != NULL) {
		call->dropped += len;
		if (call->dropped > DROP_MAX)
			send_refusal(call);
		return;
	}
	if (c->held + len > HELD_MAX || !buf_add(&call->body, p, len)) {
		refuse_early(call, "200", GRPC_RESOURCE_EXHAUSTED,
		    "too many requests at once on this connection");
		return;
	}
	c->held += len;
	check_prefix(call);
}

static void take_value(struct grpc_call *call, struct buf *out, size_t max,
    const uint8_t *value, size_t len)
{
	if (out->len > 0 || len > max)
		call->repeated = true;
	else if (!buf_add(out, value, len))
		call->repeated = true;
}

static void take_header(
    struct grpc_call *call, struct span name, const uint8_t *p, size_t len)
{
	static const char grpc[] = "application/grpc";
	const size_t n = sizeof(grpc) - 1;

	if (span_eq_str(name, ":method"))
		call->post = span_eq_str(span_of(p, len), "POST");
	else if (span_eq_str(name, ":path") && len < sizeof(call->path))
		memcpy(call->path, p, len); /* zeroed, so it ends in NUL */
	else if (span_eq_str(name, "content-type"))
		call->is_grpc = len >= n && memcmp(p, grpc, n) == 0 &&
				(len == n || p[n] == '+' || p[n] == ';');
	else if (span_eq_str(name, "authorization"))
		take_value(call, &call->authorization, GRPC_TOKEN_MAX, p, len);
	else if (span_eq_str(name, "clusterid"))
		take_value(call, &call->clusterid, CA_NAME_MAX * 4, p, len);
}

/* ---- nghttp2's callbacks --------------------------------------------------
 */

static bool is_request(const nghttp2_frame *frame)
{
	return frame->hd.type == NGHTTP2_HEADERS &&
	       frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

static int on_begin_headers(
    nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
	struct grpc_call *call;

	if (!is_request(frame))
		return 0;
	call = call_new(user, frame->hd.stream_id);
	if (call == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	nghttp2_session_set_stream_user_data(h2, frame->hd.stream_id, call);
	return 0;
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame,
    const uint8_t *name, size_t namelen, const uint8_t *value, size_t valuelen,
    uint8_t flags, void *user)
{
	struct grpc_call *call =
	    nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);

	(void)flags;
	(void)user;
	if (call != NULL && is_request(frame))
		take_header(call, span_of(name, namelen), value, valuelen);
	return 0;
}

static int on_data_chunk(nghttp2_session *h2, uint8_t flags, int32_t stream,
    const uint8_t *p, size_t len, void *user)
{
	struct grpc_call *call =
	    nghttp2_session_get_stream_user_data(h2, stream);

	(void)flags;
	(void)user;
	/* Given back to the connection only: no stream may send us more than
	 * its first window, which is larger than the longest request. */
	if (nghttp2_session_consume_connection(h2, len) != 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (call != NULL)
		take_body(call, p, len);
	return 0;
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
	struct grpc_call *call =
	    nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);

	(void)user;
	if (call == NULL || (frame->hd.type != NGHTTP2_HEADERS &&
				frame->hd.type != NGHTTP2_DATA))
		return 0;
	call->ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	if (is_request(frame))
		check_headers(call);
	if (call->ended && !call->answered)
		dispatch(call);
	return 0;
}

/* We have said everything and the client has not: it may stop (RFC 9113
 * §8.1). */
static int on_sent(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
	struct grpc_call *call;

	(void)user;
	if ((frame->hd.type != NGHTTP2_HEADERS &&
		frame->hd.type != NGHTTP2_DATA) ||
	    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
		return 0;
	call = nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);
	if (call != NULL && !call->ended)
		nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE,
		    frame->hd.stream_id, NGHTTP2_NO_ERROR);
	return 0;
}

static int on_stream_close(
    nghttp2_session *h2, int32_t stream, uint32_t error, void *user)
{
	struct grpc_call *call =
	    nghttp2_session_get_stream_user_data(h2, stream);

	(void)error;
	(void)user;
	if (call != NULL)
		grpc_call_free(call);
	nghttp2_session_set_stream_user_data(h2, stream, NULL);
	return 0;
}

/* ---- The session ----------------------------------------------------------
 */

static nghttp2_option *make_options(void)
{
	nghttp2_option *o;

	if (nghttp2_option_new(&o) != 0)
		return NULL;
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_no_closed_streams(o, 1);
	nghttp2_option_set_max_outbound_ack(o, 256);
	nghttp2_option_set_max_settings(o, 32);
	nghttp2_option_set_max_continuations(o, 8);
	nghttp2_option_set_stream_reset_rate_limit(o, 256, 32);
	return o;
}

static nghttp2_session_callbacks *make_callbacks(void)
{
	nghttp2_session_callbacks *cb;

	if (nghttp2_session_callbacks_new(&cb) != 0)
		return NULL;
	nghttp2_session_callbacks_set_on_begin_headers_callback(
	    cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
	    cb, on_data_chunk);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(
	    cb, on_stream_close);
	return cb;
}

enum code grpc_session(struct conn *c, struct err *e)
{
	static const nghttp2_settings_entry settings[] = {
	    {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX},
	    {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
	    {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADERS_MAX},
	};
	nghttp2_session_callbacks *cb = make_callbacks();
	nghttp2_option *o = make_options();
	enum code rc = E_OK;

	if (cb == NULL || o == NULL ||
	    nghttp2_session_server_new2(&c->h2, cb, c, o) != 0 ||
	    nghttp2_submit_settings(c->h2, NGHTTP2_FLAG_NONE, settings,
		sizeof(settings) / sizeof(settings[0])) != 0)
		rc = err_nomem(e);
	nghttp2_option_del(o);
	nghttp2_session_callbacks_del(cb);
	return rc;
}
