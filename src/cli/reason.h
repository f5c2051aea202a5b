/* reason.h -- reasons of RFC 5280 §5.3.1, as people write them. */
#ifndef QUORATE_CLI_REASON_H
#define QUORATE_CLI_REASON_H

#include "ca/types.h"
#include "cli/cli.h"

#define REASON_HELP                                                            \
	"keyCompromise, superseded, cessationOfOperation, "                    \
	"affiliationChanged, privilegeWithdrawn (unspecified)"

/* Letter case and hyphens do not count.  E_INVAL (usage). */
enum code reason_parse(
    const char *text, enum ca_reason *out, struct err *e) MUST_CHECK;
/* "32 digits", also as openssl shows them: colons, 0x.  E_INVAL (usage). */
enum code revoke_serial_parse(
    uint8_t out[CA_SERIAL_LEN], const char *text, struct err *e) MUST_CHECK;

#endif
