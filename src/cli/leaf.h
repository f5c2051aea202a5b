/* leaf.h -- what people want to know of a certificate. */
#ifndef QUORATE_CLI_LEAF_H
#define QUORATE_CLI_LEAF_H

#include "base/buf.h"

struct leaf {
	char serial[64], identity[700], issuer[300];
	char not_before[32], not_after[32];
};
/* Of the first certificate of a PEM chain. */
enum code leaf_read(
    struct span chain, struct leaf *out, struct err *e) MUST_CHECK;

#endif
