/* load.h -- quorate-load: many certificate requests at once, and exact books
 * on what came of them.  One thread, one libevent loop. */
#ifndef QUORATE_TESTS_LOAD_H
#define QUORATE_TESTS_LOAD_H

#include <stdio.h>

#include <event2/event.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/sha256.h"

/* ---- Options ---- */

#define SERVERS_MAX 16
#define TOKENS_MAX 4096

struct options {
	struct server {
		char host[256], port[6];
	} servers[SERVERS_MAX];
	size_t servers_n;
	const char *root;         /* PEM file */
	char *tokens[TOKENS_MAX]; /* "Bearer TOKEN", owned */
	size_t tokens_n;
	const char *cluster; /* header clusterid; NULL: none */
	const char *ack;     /* file; NULL: none */
	uint64_t connections, streams;
	uint64_t seconds, count; /* one of them is 0 */
	uint64_t csrs, ttl_s;
	uint64_t retry_ms; /* 0: a request is tried once */
	uint64_t pause_ms; /* between two requests of one stream */
	uint64_t connect_ms, answer_ms;
	bool fresh, rsa, json;
};
/* False, and a text on stderr, if they make no sense. */
bool options_take(struct options *o, int argc, char **argv);
void options_free(struct options *o);

/* ---- CSRs, made beforehand ---- */

struct csr {
	struct buf frame; /* gRPC message: prefix and IstioCertificateRequest */
	struct buf spki;  /* must come back in the certificate */
};
/* n of them; NULL if memory is short or OpenSSL refuses. */
struct csr *csrs_make(size_t n, bool rsa, uint64_t ttl_s);
void csrs_free(struct csr *c, size_t n);

/* What a response holds: serial and hash of its first certificate. */
struct leaf {
	uint8_t serial[24];
	size_t serial_len;
	uint8_t sha256[SHA256_LEN];
};
/* From a whole gRPC response.  False: not a chain, or not for that key. */
bool leaf_take(struct leaf *out, struct span response, const struct csr *c);

/* ---- The books ---- */

#define STATUSES 17 /* gRPC's codes, 0-16 */
#define SECONDS_MAX 86400

struct books {
	FILE *ack;
	uint64_t acknowledged, started;
	uint64_t errors[STATUSES + 1]; /* by status; the last: any other */
	uint64_t unknown;              /* sent, and no answer came */
	uint64_t refused;              /* sent, and surely not processed */
	uint64_t unreachable;          /* connections that did not come up */
	uint64_t wrong;                /* OK, but not a chain for our key */
	uint64_t given_up;             /* requests that ended without one */
	uint32_t *latency_us;          /* of each acknowledged request */
	size_t latency_cap;
	uint32_t *per_second;
	uint64_t begin_us, end_us;  /* monotonic */
	uint64_t last_us;           /* of the last acknowledgement; 0: none */
	uint64_t gap_us, gap_at_us; /* the longest; Unix time of its start */
};
/* The line goes to the ack file before anything counts it. */
void books_acknowledge(struct books *b, const struct leaf *l,
    const struct server *s, uint64_t asked_us);
void books_status(struct books *b, int status);
void books_report(struct books *b, const struct options *o);

uint64_t unix_us(void);

/* ---- Connections and calls ---- */

enum call_state {
	CALL_IDLE,    /* nothing more to do */
	CALL_WAITING, /* its timer runs */
	CALL_READY,   /* wants a connection */
	CALL_FLYING,  /* on a stream */
};

/* One stream's worth of work: one request at a time. */
struct call {
	struct conn *conn;
	enum call_state state;
	bool open;          /* a request that is not done yet */
	uint64_t begun_us;  /* when that was first wanted */
	uint64_t flying_us; /* when this attempt left */
	int32_t stream;
	int status; /* grpc-status; -1: none came */
	const struct csr *csr;
	const char *token;
	size_t sent; /* bytes of the frame */
	struct buf answer;
	struct event *timer;
};

enum conn_state { CONN_CLOSED, CONN_DIALLING, CONN_SHAKING, CONN_OPEN };

struct conn {
	struct load *load;
	enum conn_state state;
	bool leaving; /* no new calls: close once none is flying */
	bool failed;  /* the next server, after a pause */
	bool broken;  /* failed, and close now */
	size_t server;
	int fd;
	SSL *ssl;
	nghttp2_session *h2;
	struct event *readable, *writable, *timer;
	struct buf out;
	size_t out_at;
	struct call *calls;
	size_t calls_n, flying;
};

struct load {
	struct options o;
	struct event_base *base;
	SSL_CTX *tls;
	nghttp2_session_callbacks *callbacks;
	struct csr *csrs;
	struct conn *conns;
	size_t conns_n, open_calls; /* requests begun and not done */
	struct event *tick, *interrupt, *terminate;
	bool stopping;
	struct books books;
};

/* conn.c: moves bytes and frames.  Nothing is sent from within a callback. */
nghttp2_session_callbacks *conn_callbacks(void);
/* Dial conn->server: drive_ready or drive_closed follows. */
void conn_open(struct conn *c);
/* Tears the connection down and tells drive_closed. */
void conn_close(struct conn *c);
/* Put a ready call on a stream; conn_flush sends it. */
bool conn_submit(struct conn *c, struct call *call);
void conn_flush(struct conn *c);

/* drive.c: what to ask next. */
bool drive_prepare(struct load *l);
void drive_start(struct load *l);
void drive_stop(struct load *l); /* as soon as what flies has landed */
void drive_free(struct load *l);
void drive_ready(struct conn *c);
/* Calls that fly still have no answer, and will get none. */
void drive_closed(struct conn *c, bool was_open);
/* A stream ended; refused: the server says that it did not look at it. */
void drive_answered(struct call *call, bool refused);

#endif
