/* approve.h -- `quorate issuer approve`: checking a join request with the
 * token's secret, signing its issuer with the root key. */
#ifndef QUORATE_CLI_APPROVE_H
#define QUORATE_CLI_APPROVE_H

#include "cli/session.h"
#include "client/join.h"

cli_run approve_run;
/* Joins that wait, as every server that can be asked knows them: an array of
 * {cluster, mesh_key, token, body, mac, heard}. */
enum code approve_pending(
    struct session *s, json_t **out, struct err *e) MUST_CHECK;

/* A request that came from the holder of a token of ours. */
struct join_request {
	json_t *body; /* what the spans below borrow from */
	struct ca_node node;
	struct buf api_spki, issuer_spki; /* issuer_spki empty: a witness */
};
/* Read and check the text that the MAC covers.  E_DENIED: MAC or proof is
 * wrong; E_INVAL. */
enum code join_request_read(struct join_request *r, struct span body,
    const uint8_t mac[SHA256_LEN], const uint8_t secret[JOIN_SECRET_LEN],
    struct err *e) MUST_CHECK;
void join_request_free(struct join_request *r);

#endif
