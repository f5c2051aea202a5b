/* grpc.h -- gRPC over HTTP/2, server side, unary calls only.  Everything here
 * belongs to one loop's thread, but for grpc_ticket. */
#ifndef QUORATE_FRONT_GRPC_H
#define QUORATE_FRONT_GRPC_H

#include <event2/bufferevent.h>
#include <nghttp2/nghttp2.h>

#include "auth/auth.h"
#include "front/internal.h"

#define GRPC_MESSAGE_MAX (64 * 1024)
#define GRPC_PREFIX 5 /* compressed flag, length */
#define GRPC_TOKEN_MAX (24 * 1024)

#define GRPC_INVALID_ARGUMENT 3
#define GRPC_RESOURCE_EXHAUSTED 8
#define GRPC_UNIMPLEMENTED 12
#define GRPC_INTERNAL 13

struct conn;

/* One stream.  Freed when the stream closes. */
struct grpc_call {
	struct conn *conn;
	struct grpc_call *prev, *next;
	int32_t stream;
	/* The request's headers; what is not a known name is dropped. */
	bool post, is_grpc, repeated;
	char path[128]; /* cut to "" if longer */
	struct buf authorization, clusterid;
	struct buf body; /* prefix and message, as received */
	bool ended;      /* the client has sent everything */
	bool answered;
	/* Refused before it has ended; literals. */
	const char *refuse_http, *refuse_text;
	int refuse_status;
	size_t dropped; /* bytes received since */
	/* The answer */
	struct buf reply;
	size_t reply_at;
	struct event *guard;
	/* What a handler keeps until it answers. */
	bool ttl_shortened;
};

/* ---- server.c ---- */

struct grpc_loop {
	struct loop loop;
	struct front *front;
	struct evconnlistener *listener;
	struct conn **slots; /* GRPC_CONNS_MAX, NULL where free */
	uint32_t *free;
	size_t free_n;
	size_t crest; /* most connections at once since memory went back */
	uint64_t generation;
	/* The keys of the newest view, parsed. */
	struct ca_view *view;
	struct auth_keys *keys;
	int draining; /* 0, 1: notice given, 2: last stream named */
	struct event *drain_step, *drain_end;
};

struct conn {
	struct grpc_loop *loop;
	uint32_t slot;
	uint64_t generation;
	struct bufferevent *bev;
	SSL *ssl;
	nghttp2_session *h2; /* NULL until the handshake is done */
	struct event *deadline;
	struct grpc_call *calls;
	size_t held; /* bytes of requests not answered yet */
};

/* The newest view and its keys; NULL before there is one. */
const struct ca_view *grpc_view(struct grpc_loop *g);

/* Where an answer from another thread goes; the stream may be gone by then. */
struct grpc_ticket {
	struct mailbox *box; /* a reference */
	uint32_t slot;
	uint64_t generation;
	int32_t stream;
};
struct grpc_ticket grpc_ticket(const struct grpc_call *call);
/* The call, if it is still there and not answered. */
struct grpc_call *grpc_call_of(
    struct grpc_loop *g, const struct grpc_ticket *t);
/* Move what the session wants to say into the output, as far as it has room:
 * after every answer that does not come out of the connection's own event, and
 * never inside a callback of nghttp2.  false: the connection is over, and c and
 * its calls are gone. */
bool conn_pump(struct conn *c);

/* ---- grpc.c ---- */

enum code grpc_session(struct conn *c, struct err *e) MUST_CHECK;
void grpc_call_free(struct grpc_call *call);
/* Send the message, or a status (Trailers-Only).  Once a call. */
void grpc_reply(struct grpc_call *call, struct span message);
void grpc_fail(struct grpc_call *call, int status, const char *text);
void grpc_fail_err(struct grpc_call *call, enum code rc, const struct err *e);

/* ---- istio.c ---- */
void istio_create_certificate(struct grpc_call *call, struct span message);

#endif
