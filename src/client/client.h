/* client.h -- talking to the nodes of a trust domain: server failover, root
 * pinning, HTTPS with JSON, and gRPC for certificates.
 * A struct client belongs to one thread at a time. */
#ifndef QUORATE_CLIENT_CLIENT_H
#define QUORATE_CLIENT_CLIENT_H

#include <jansson.h>

#include "base/buf.h"
#include "base/sha256.h"

#define CLIENT_HTTPS_PORT 8444
#define CLIENT_GRPC_PORT 8443
#define CLIENT_CONNECT_MS 1000 /* without a TLS handshake: the next server */
#define CLIENT_ANSWER_MS 10000
#define CLIENT_BODY_MAX (16 * 1024 * 1024)

struct client_options {
	/* HOST or HOST:PORT.  8443 and 8444 are each taken for the other where
	 * a call needs the other of a node's two TLS ports. */
	const char *const *servers;
	size_t servers_n;
	struct span root_pem;       /* trusted roots; or */
	const uint8_t *root_sha256; /* fetch the root, and demand this hash */
	struct span cert_pem, key_pem;  /* client certificate; may be empty */
	unsigned connect_ms, answer_ms; /* 0: as above */
};

struct client;
/* Everything is copied.  E_INVAL: a server name that cannot be; E_NOMEM. */
enum code client_open(struct client **out, const struct client_options *o,
    struct err *e) MUST_CHECK;
void client_close(struct client *c); /* NULL is fine; wipes the key */

struct client_request {
	const char *method, *path; /* "GET", "/v1/status" */
	const char *type;          /* content type of body */
	struct span body;
	bool once; /* not to be repeated elsewhere once it may have arrived */
};
struct client_answer {
	struct buf body;
	char server[300]; /* who answered */
};
void client_answer_free(struct client_answer *a);

/* One exchange, with failover.  A server that refuses the connection, or does
 * not finish the TLS handshake in connect_ms, gives way to the next; so does,
 * unless once is set, one that breaks off or says it is unavailable.
 * E_UNAVAILABLE: nobody could be asked; the text has each one's reason.
 * E_TIMEOUT: it was asked and no answer came (or, with once, the node could
 * not confirm): outcome unknown.  Otherwise the node's own code and text. */
enum code client_call(struct client *c, const struct client_request *r,
    struct client_answer *out, struct err *e) MUST_CHECK;
/* The same, of one server only: 0 .. client_servers() - 1. */
enum code client_call_at(struct client *c, size_t server,
    const struct client_request *r, struct client_answer *out,
    struct err *e) MUST_CHECK;
size_t client_servers(const struct client *c);
const char *client_server_name(const struct client *c, size_t server);

/* GET path and parse the JSON answer; the caller drops its reference. */
enum code client_get_json(
    struct client *c, const char *path, json_t **out, struct err *e) MUST_CHECK;
/* Parse what a node answered; from names it in errors. */
enum code client_json(
    struct span body, const char *from, json_t **out, struct err *e) MUST_CHECK;

/* ---- Certificates over gRPC ---- */
struct client_cert_request {
	struct span csr;     /* PEM */
	const char *token;   /* service-account token, or NULL */
	const char *cluster; /* clusterid header, or NULL */
	int64_t ttl_s;       /* 0: the policy's default */
};
/* chain: PEM certificates, the leaf first, the roots last. */
enum code client_certificate(struct client *c,
    const struct client_cert_request *r, struct buf *chain, char server[300],
    struct err *e) MUST_CHECK;

#endif
