/* jwks.h -- a JSON Web Key Set (RFC 7517) as token keys. */
#ifndef QUORATE_CLI_JWKS_H
#define QUORATE_CLI_JWKS_H

#include "ca/types.h"

/* What the keys' spans point to. */
struct jwks {
	struct ca_token_key keys[CA_LIST_MAX];
	size_t n;
	struct buf bytes[CA_LIST_MAX]; /* kid, alg, spki of each */
};

/* Signing keys of text; encryption keys are skipped.  E_INVAL names the key
 * and what is taken. */
enum code jwks_parse(
    struct span text, struct jwks **out, struct err *e) MUST_CHECK;
void jwks_free(struct jwks *j); /* NULL is fine */

#endif
