/* passphrase.h -- the root key's passphrase, from a file or the terminal. */
#ifndef QUORATE_CLI_PASSPHRASE_H
#define QUORATE_CLI_PASSPHRASE_H

#include "cli/cli.h"

#define PASSPHRASE_OPTION                                                      \
	{                                                                      \
		"--passphrase-file", "FILE",                                   \
		    "root passphrase, first line (default: the terminal)"      \
	}

/* Into out, which the caller wipes (pki_wipe).  twice: a new one, typed twice.
 * E_NOTFOUND: neither --passphrase-file nor a terminal. */
enum code passphrase_get(const struct cli_args *a, bool twice, struct buf *out,
    struct err *e) MUST_CHECK;

#endif
