/* client_internal.h -- what http.c and grpc.c share. */
#ifndef QUORATE_CLIENT_INTERNAL_H
#define QUORATE_CLIENT_INTERNAL_H

#include <curl/curl.h>

#include "client/client.h"

struct server {
	char name[300]; /* as given */
	char host[270]; /* IPv6 in brackets */
	unsigned https_port, grpc_port;
};

struct client {
	CURL *curl;
	struct server *servers;
	size_t servers_n, first; /* who answered last is asked first */
	struct buf root, cert, key;
	bool pinned;
	uint8_t pin[SHA256_LEN];
	long connect_ms, answer_ms;
	char why[CURL_ERROR_SIZE];
};

enum verdict {
	TRY_DONE, /* an answer, good or bad */
	TRY_NEXT, /* was not asked, or may be asked again elsewhere */
	TRY_LOST, /* asked, and no answer: outcome unknown */
};

/* What one attempt sends and collects. */
struct attempt {
	const char *method, *type;
	char url[1200];
	struct span body;
	struct curl_slist *headers; /* owned */
	bool http2, unverified, anonymous;
	size_t (*on_header)(char *p, size_t size, size_t n, void *arg);
	void *arg;
	/* out */
	struct buf answer;
	long status;
};
void attempt_free(struct attempt *a);
enum verdict attempt_run(
    struct client *c, struct attempt *a, struct err *e) MUST_CHECK;

/* Fetch and check the root, if it is only known by its hash. */
enum code client_need_root(
    struct client *c, const struct server *s, struct err *e) MUST_CHECK;

/* Ask the servers in turn until one attempt is not TRY_NEXT. */
typedef enum verdict client_try(struct client *c, const struct server *s,
    void *arg, enum code *rc, struct err *e);
enum code client_each(
    struct client *c, client_try *fn, void *arg, struct err *e) MUST_CHECK;

#endif
