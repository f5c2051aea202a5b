/* harness.h -- a front over a trust domain in memory, with a node loop that
 * does as the test says, and clients to talk to it. */
#ifndef QUORATE_TESTS_HARNESS_H
#define QUORATE_TESTS_HARNESS_H

#include <pthread.h>
#include <stdatomic.h>

#include <curl/curl.h>

#include "../auth/world.h"
#include "front/front.h"

#define GRPC_PORT 18443
#define HTTPS_PORT 18444
#define HTTP_PORT 18080
#define METRICS_PORT 19090
#define CREATE "/istio.v1.auth.IstioCertificateService/CreateCertificate"

struct worker;

struct harness {
	struct world world;
	struct front *front;
	struct worker *node; /* answers as the node loop does */
	char address[32];    /* of this process's own */
	struct buf server_cert, server_key, ca_pem;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* How the fake node behaves. */
	enum code issue_code, read_code, ready_code;
	const char *why;
	bool hold; /* answers wait for harness_release */
	bool no_view;
	unsigned held;
	/* What it saw last. */
	struct front_issue seen;
	char seen_uri[700], seen_cluster[64], seen_requester[700];
	unsigned issues;
};
int harness_start(struct harness *h, bool tls);
void harness_stop(struct harness *h);
void harness_release(struct harness *h);
/* Until n requests are held. */
void harness_wait_held(struct harness *h, unsigned n);

/* ---- Clients ---- */

struct reply {
	CURLcode curl;
	long http;
	int grpc; /* -1: none */
	char message[1024], type[80], applied[40], age[40], etag[80], cache[80];
	struct buf body;
};
void reply_free(struct reply *r);

struct call {
	const char *path, *type, *token, *clusterid, *if_none_match;
	struct span body; /* gRPC: with its prefix */
	bool get, http1, no_alpn;
	EVP_PKEY *key; /* client certificate */
	const struct buf *cert;
	long timeout_ms;
};
void grpc_do(struct harness *h, const struct call *c, struct reply *r);
/* An HTTPS (or plain: port) request. */
void http_do(struct harness *h, const char *scheme, unsigned port,
    const struct call *c, struct reply *r);

/* A framed CreateCertificate request for a fresh key. */
void csr_message(
    struct buf *out, const char *uri, int64_t validity_s, const char *imp);
/* A token of cluster east for shop/cart, good for an hour. */
char *good_token(struct harness *h);
/* A connected TCP socket. */
int raw_connect(struct harness *h, unsigned port);
/* Milliseconds until the peer closes fd; -1 if not within limit_ms. */
long raw_wait_close(int fd, long limit_ms);

#endif
