/* http.h -- HTTP/1.1 on evhttp: sites (a port and its routes), exchanges, and
 * JSON.  An exchange is one request with its answer. */
#ifndef QUORATE_FRONT_HTTP_H
#define QUORATE_FRONT_HTTP_H

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>

#include "front/internal.h"

#define HTTP_BODY_MAX (1024 * 1024)

struct exchange;
/* Fill x->out and x->type, or return why not.  On the loop's thread, or on the
 * worker's for ROUTE_BLOCKS. */
typedef enum code http_handler(struct exchange *x, struct err *e);

enum route_flags {
	ROUTE_PREFIX = 1, /* path is a prefix; x->rest is what follows */
	ROUTE_BLOCKS = 2, /* runs on the worker */
	ROUTE_VIEW = 4,   /* needs a view: 503 before there is one */
	ROUTE_JSON = 8,   /* body must be application/json */
};

struct route {
	enum evhttp_cmd_type method;
	const char *path;
	unsigned flags;
	uint32_t roles; /* an operator with one of them; 0: anyone */
	http_handler *handle;
};

struct http_loop;
struct joins;

struct exchange {
	struct mail mail; /* the way back to the loop */
	struct mailbox *box;
	struct front *front; /* not once the loop has closed */
	struct http_loop *loop;
	struct exchange *prev, *next;
	struct evhttp_request *req; /* loop's thread only */
	const struct route *route;
	struct ca_view *view;
	struct buf in;
	char *rest;
	struct evkeyvalq query;
	bool linearizable;
	/* The answer */
	bool later; /* the handler has arranged for exchange_return */
	enum code rc;
	struct err err;
	const char *type;
	struct buf out;
	uint64_t applied; /* 0: say nothing */
	bool public;      /* may be kept by others: ETag, Cache-Control */
	int status;       /* 0: by rc */
	/* What answers through ops->issue (join.c) */
	void (*resume)(struct exchange *x);
	uint8_t key[CA_MESH_KEY_LEN];
};

/* Back to the loop's thread: x->resume there if set, and then the answer.  Any
 * thread; x is not the caller's any more. */
void exchange_return(struct exchange *x);
/* A query parameter; NULL if it is not there. */
const char *exchange_query(const struct exchange *x, const char *name);

/* A loop with one site; its thread is not started yet. */
enum code http_loop_new(
    struct http_loop **out, struct front *f, struct err *e) MUST_CHECK;
/* Before http_loop_run. */
enum code http_loop_listen(struct http_loop *h, uint16_t port, bool tls,
    const struct route *routes, size_t n, struct err *e) MUST_CHECK;
enum code http_loop_run(struct http_loop *h, struct err *e) MUST_CHECK;
void http_loop_drain(struct http_loop *h, unsigned drain_ms); /* any thread */
void http_loop_stop(struct http_loop *h); /* joins and frees; NULL is fine */
struct front *http_loop_front(const struct http_loop *h);
struct joins *http_loop_joins(struct http_loop *h); /* loop's thread */

/* ---- read.c: reads of the state ---- */

struct read {
	struct front *front;
	struct ca *ca;
	void *token;
};
enum code read_open(
    struct read *r, struct exchange *x, struct err *e) MUST_CHECK;
void read_close(struct read *r);

/* ---- json.c: setters fail together: look once, at json_finish ---- */

void json_set(json_t *o, const char *name, json_t *value); /* takes value */
bool json_failed(const json_t *o); /* a set failed, or it is NULL */
json_t *json_span(struct span s);  /* text; bytes that are not UTF-8: hex */
json_t *json_hex(const uint8_t *p, size_t len);
json_t *json_base64(struct span s);
json_t *json_u64(uint64_t v);
json_t *json_spans(const struct span *s, size_t n);
json_t *json_time_s(uint64_t unix_s); /* RFC 3339, UTC */
json_t *json_time_ms(uint64_t unix_ms);
void time_text_s(char out[32], uint64_t unix_s);
const char *issuer_state_name(enum ca_issuer_state s);
/* Dump o into x->out; takes o, which may be NULL.  E_NOMEM. */
enum code json_finish(struct exchange *x, json_t *o, struct err *e) MUST_CHECK;

/* ---- The services ---- */

http_handler bundle_root, bundle_get, bundle_pem, bundle_json, bundle_federated;
http_handler crl_get, crl_root, crl_all, crl_file;
http_handler blocks_list;
http_handler head_get, status_get, view_get;
http_handler certs_list, certs_show;
http_handler admin_post, admin_transfer;
http_handler join_post, join_list;

struct joins *joins_new(void);
void joins_free(struct joins *j); /* NULL is fine */

#endif
