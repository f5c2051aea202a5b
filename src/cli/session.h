/* session.h -- who asks and whom: the operator's folder, the servers and the
 * trusted root, as options, environment and ADMIN say; commands are signed
 * here. */
#ifndef QUORATE_CLI_SESSION_H
#define QUORATE_CLI_SESSION_H

#include <limits.h>

#include "ca/types.h"
#include "cli/cli.h"
#include "client/client.h"
#include "pki/pki.h"

#define SESSION_SERVERS_MAX 64
#define SESSION_FILE_MAX (1024 * 1024)

struct session {
	char dir[PATH_MAX]; /* the operator's folder; "" if there is none */
	struct buf trust_domain, root_pem, cert_pem, key_pem;
	EVP_PKEY *key;
	char *servers[SESSION_SERVERS_MAX];
	size_t servers_n;
	struct client *client;
};

enum session_who {
	SESSION_ANYONE,  /* the root is enough: --root, --root-sha256, ADMIN */
	SESSION_OPERATOR /* key, certificate, root and servers */
};

/* Options of the commands that anybody may use. */
#define SESSION_ROOT_OPTIONS                                                   \
	{"--root", "FILE", "trusted root, PEM (default: the operator's)"},     \
	{                                                                      \
		"--root-sha256", "HEX",                                        \
		    "fetch the root, and demand this SHA-256 of its DER"       \
	}

/* Free with session_close, which takes NULL. */
enum code session_open(struct session **out, const struct cli_args *a,
    enum session_who who, struct err *e) MUST_CHECK;
void session_close(struct session *s);

/* The state of administration, everything acknowledged included. */
enum code session_view(
    struct session *s, json_t **out, struct err *e) MUST_CHECK;

/* Sign the commands as one envelope and have it applied.  look: the command
 * that shows whether it was ("quorate cluster list").  *index may be NULL.
 * E_TIMEOUT: nobody knows yet; the text says how to find out. */
enum code session_submit(struct session *s, const struct ca_admin *commands,
    size_t n, const char *look, uint64_t *index, struct err *e) MUST_CHECK;

/* `cert find --identity spiffe://...` is not a folder. */
bool session_is_identity(const char *value);

/* ---- The operator's folder ---- */

/* Where init puts it: ~/.config/quorate/TD.  E_NOTFOUND: no home. */
enum code session_default_dir(
    char out[PATH_MAX], const char *trust_domain, struct err *e) MUST_CHECK;
enum code session_read(struct session *s, const char *name, struct buf *out,
    struct err *e) MUST_CHECK;
/* A file others may not read; E_DENIED with what to do. */
enum code session_read_private(struct session *s, const char *name,
    struct buf *out, struct err *e) MUST_CHECK;
enum code session_write(struct session *s, const char *name, struct span data,
    mode_t mode, struct err *e) MUST_CHECK;

#endif
