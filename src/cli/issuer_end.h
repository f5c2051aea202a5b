/* issuer_end.h -- issuers that sign no more, and roots: what issuer.c and
 * federate.c share with issuer_end.c. */
#ifndef QUORATE_CLI_ISSUER_END_H
#define QUORATE_CLI_ISSUER_END_H

#include "cli/cli.h"

cli_run issuer_retire_run, issuer_revoke_run, root_import_run;

#endif
