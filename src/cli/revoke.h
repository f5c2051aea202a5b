/* revoke.h -- is a revocation out? */
#ifndef QUORATE_CLI_REVOKE_H
#define QUORATE_CLI_REVOKE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

/* Does every CRL that the entry at index changed hold it, on a node and in its
 * publish.dir, by the node's view?  That of a revoked issuer is made no more:
 * the root's lists the issuer. */
bool revoke_is_out(json_t *view, uint64_t index);

#endif
