/* tokens.h -- the secrets of join tokens, as the operator's folder keeps them:
 * ADMIN/tokens/<SHA-256 of auth, hex>.json, mode 0600. */
#ifndef QUORATE_CLI_TOKENS_H
#define QUORATE_CLI_TOKENS_H

#include "cli/session.h"
#include "client/join.h"

enum code tokens_keep(struct session *s, const struct join_token *t,
    uint64_t expires_ms, struct err *e) MUST_CHECK;
void tokens_drop(struct session *s, const struct join_token *t);
/* Remove those that expired a day ago: a join may still wait for approval. */
void tokens_prune(struct session *s);
/* The secret whose hash is id, and the cluster it was made for.  E_NOTFOUND:
 * not made with this folder. */
enum code tokens_find(struct session *s, const uint8_t id[SHA256_LEN],
    uint8_t secret[JOIN_SECRET_LEN], char cluster[64],
    struct err *e) MUST_CHECK;

#endif
