/* root_key.h -- acts with the root key: opened for one command, in the
 * operator's folder. */
#ifndef QUORATE_CLI_ROOT_KEY_H
#define QUORATE_CLI_ROOT_KEY_H

#include "cli/passphrase.h"
#include "cli/session.h"

enum code root_key_open(const struct cli_args *a, struct session *s,
    EVP_PKEY **out, struct err *e) MUST_CHECK;
/* The root's next CRL: what the last one lists, and cert (DER; empty: nothing
 * more). */
enum code root_crl_next(const struct cli_args *a, struct session *s,
    struct span cert, enum ca_reason reason, struct buf *der,
    struct err *e) MUST_CHECK;

#endif
