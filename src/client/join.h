/* join.h -- the join token's text, and the joiner's conversation with the
 * nodes (docs/http-api.md, "Joining"). */
#ifndef QUORATE_CLIENT_JOIN_H
#define QUORATE_CLIENT_JOIN_H

#include "client/client.h"

#define JOIN_TOKEN_PREFIX "quorate-join-v1."
#define JOIN_SECRET_LEN 32
#define JOIN_SERVERS_MAX 64

struct join_token {
	char *servers[JOIN_SERVERS_MAX];
	size_t servers_n;
	uint8_t root[SHA256_LEN];
	char trust_domain[256], cluster[64];
	uint8_t secret[JOIN_SECRET_LEN];
};
/* E_INVAL: not a token, or damaged.  Never repeats the secret in e. */
enum code join_token_parse(
    struct span text, struct join_token *out, struct err *e) MUST_CHECK;
enum code join_token_format(
    struct buf *out, const struct join_token *t, struct err *e) MUST_CHECK;
void join_token_free(struct join_token *t); /* wipes the secret */

/* HMAC-SHA-256(secret, "quorate join auth"); the log holds SHA-256 of it. */
void join_auth(uint8_t out[SHA256_LEN], const uint8_t secret[JOIN_SECRET_LEN]);
/* HMAC-SHA-256(secret, body): shows that body came from the token's holder. */
void join_mac(uint8_t out[SHA256_LEN], const uint8_t secret[JOIN_SECRET_LEN],
    struct span body);

struct join;
/* The servers' root is fetched and must have this hash. */
enum code join_open(struct join **out, const char *const *servers, size_t n,
    const uint8_t root_sha256[SHA256_LEN], struct err *e) MUST_CHECK;
void join_close(struct join *j); /* NULL is fine */

struct join_answer {
	bool approved;
	uint64_t id;
	struct buf genesis;     /* entry 1 */
	struct buf issuer_cert; /* PEM; empty for a witness */
	struct buf api_cert;    /* PEM chain; empty: ask again */
	struct buf peers;       /* JSON array of the nodes */
	size_t heard;           /* servers that answered "pending" */
};
void join_answer_free(struct join_answer *a);
/* Post request (the JSON body) to every server once.  Blocks: at most about
 * one second for each that does not answer.  Ask every two seconds until
 * approved with an api_cert.  Errors: what most servers said if none took it:
 * E_UNAVAILABLE, E_UNAUTH (token unknown or expired), E_CONFLICT. */
enum code join_poll(struct join *j, struct span request,
    struct join_answer *out, struct err *e) MUST_CHECK;

#endif
