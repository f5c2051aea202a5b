/* quorate issuer retire and revoke, quorate root: acts on who may sign. */
#include "cli/issuer_end.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/output.h"
#include "cli/reason.h"
#include "cli/root_key.h"
#include "cli/view.h"

#define LOOK "quorate issuer list"

/* By key id, or by name: then there must be one that is not revoked. */
static enum code find_issuer(
    json_t *view, const char *name, json_t **out, struct err *e)
{
	json_t *row, *issuers = json_object_get(view, "issuers");
	size_t i, n = 0;

	json_array_foreach(issuers, i, row)
	{
		bool by_name =
		    strcmp(output_string(row, "name"), name) == 0 &&
		    strcmp(output_string(row, "state"), "revoked") != 0;

		if (!by_name && strcmp(output_string(row, "key_id"), name) != 0)
			continue;
		*out = row;
		n++;
	}
	if (n == 1)
		return E_OK;
	return n == 0 ? err_set(e, E_NOTFOUND,
			    "there is no issuer %.80s: `" LOOK "` shows them",
			    name)
		      : err_set(e, E_CONFLICT,
			    "%zu issuers are named %.63s: give the key id "
			    "(`" LOOK "` shows it)",
			    n, name);
}

static enum code key_of(
    const json_t *row, uint8_t out[CA_KEY_ID_LEN], struct err *e)
{
	if (hex_decode(
		out, CA_KEY_ID_LEN, output_string(row, "key_id"), NULL) == E_OK)
		return E_OK;
	return err_set(e, E_INTERNAL, "the issuer's record has no key id");
}

static enum code print_done(struct cli_args *a, enum cli_form form,
    const json_t *row, const char *state, uint64_t index, struct err *e)
{
	enum code rc = E_OK;
	json_t *o;

	if (form == FORM_JSON) {
		o = json_pack("{s:s, s:s, s:s, s:I}", "issuer",
		    output_string(row, "name"), "key_id",
		    output_string(row, "key_id"), "state", state, "index",
		    (json_int_t)index);
		rc = output_json(a->out, o, e);
		json_decref(o);
	} else {
		fprintf(a->out, "Issuer %s (%s) is %s (log index %llu).\n",
		    output_string(row, "name"), output_string(row, "key_id"),
		    state, (unsigned long long)index);
	}
	return rc;
}

/* Fill cmd in for that issuer; what it borrows from lives in keep. */
typedef enum code fill_fn(struct cli_args *a, struct session *s, json_t *row,
    struct ca_admin *cmd, struct buf *keep, struct err *e);

static enum code end_issuer(
    struct cli_args *a, fill_fn *fill, const char *state, struct err *e)
{
	struct ca_admin *cmd = calloc(1, sizeof(*cmd));
	json_t *view = NULL, *row = NULL;
	struct session *s = NULL;
	enum cli_form form;
	uint64_t index = 0;
	struct buf keep;
	enum code rc;

	if (cmd == NULL)
		return err_nomem(e);
	buf_init(&keep);
	rc = cli_form(a, false, &form, e);
	if (rc == E_OK)
		rc = session_open(&s, a, SESSION_OPERATOR, e);
	if (rc == E_OK)
		rc = session_view(s, &view, e);
	if (rc == E_OK)
		rc = find_issuer(view, a->operands[0], &row, e);
	if (rc == E_OK)
		rc = fill(a, s, row, cmd, &keep, e);
	if (rc == E_OK)
		rc = session_submit(s, cmd, 1, LOOK, &index, e);
	if (rc == E_OK)
		rc = print_done(a, form, row, state, index, e);
	json_decref(view);
	session_close(s);
	buf_free(&keep);
	free(cmd);
	return rc;
}

static enum code fill_retire(struct cli_args *a, struct session *s, json_t *row,
    struct ca_admin *cmd, struct buf *keep, struct err *e)
{
	(void)a;
	(void)s;
	(void)keep;
	cmd->kind = CA_ADMIN_RETIRE_ISSUER;
	return key_of(row, cmd->u.retire_issuer, e);
}

enum code issuer_retire_run(struct cli_args *a, struct err *e)
{
	return end_issuer(a, fill_retire, "retired", e);
}

static enum code fill_revoke(struct cli_args *a, struct session *s, json_t *row,
    struct ca_admin *cmd, struct buf *keep, struct err *e)
{
	const char *reason = cli_value(a, "--reason");
	enum ca_reason why = CA_REASON_CA_COMPROMISE;
	struct buf cert;
	enum code rc = key_of(row, cmd->u.revoke_issuer.issuer, e);

	cmd->kind = CA_ADMIN_REVOKE_ISSUER;
	buf_init(&cert);
	if (rc == E_OK && reason != NULL)
		rc = reason_parse(reason, &why, e);
	if (rc == E_OK)
		rc = base64_decode(
		    &cert, span_str(output_string(row, "cert")), BASE64_STD, e);
	if (rc == E_OK)
		rc = root_crl_next(a, s, buf_span(&cert), why, keep, e);
	cmd->u.revoke_issuer.root_crl = buf_span(keep);
	buf_free(&cert);
	return rc;
}

enum code issuer_revoke_run(struct cli_args *a, struct err *e)
{
	return end_issuer(a, fill_revoke, "revoked", e);
}

/* ---- quorate root ---- */

static enum code run_sign_crl(struct cli_args *a, struct err *e)
{
	struct ca_admin *cmd = calloc(1, sizeof(*cmd));
	struct session *s = NULL;
	enum cli_form form;
	uint64_t index = 0;
	struct buf crl;
	json_t *o;
	enum code rc;

	if (cmd == NULL)
		return err_nomem(e);
	buf_init(&crl);
	cmd->kind = CA_ADMIN_SET_ROOT_CRL;
	rc = cli_form(a, false, &form, e);
	if (rc == E_OK)
		rc = session_open(&s, a, SESSION_OPERATOR, e);
	if (rc == E_OK)
		rc = root_crl_next(
		    a, s, SPAN_EMPTY, CA_REASON_UNSPECIFIED, &crl, e);
	cmd->u.set_root_crl = buf_span(&crl);
	if (rc == E_OK)
		rc = session_submit(
		    s, cmd, 1, "quorate crl --issuer root", &index, e);
	if (rc == E_OK && form == FORM_JSON) {
		o = json_pack("{s:I}", "index", (json_int_t)index);
		rc = output_json(a->out, o, e);
		json_decref(o);
	} else if (rc == E_OK) {
		fprintf(a->out,
		    "The root's CRL is signed anew (log index %llu).\n",
		    (unsigned long long)index);
	}
	session_close(s);
	buf_free(&crl);
	free(cmd);
	return rc;
}

const struct cli_command cli_root[] = {
    {"root", "sign-crl", NULL, 0, 0,
	"sign the root's CRL anew, with the next number", run_sign_crl,
	{PASSPHRASE_OPTION, {NULL, NULL, NULL}}},
    {"root", "import", "FILE", 1, 1,
	"trust more roots of our own trust domain (PEM); the root key signs "
	"that",
	root_import_run, {PASSPHRASE_OPTION, {NULL, NULL, NULL}}},
    {0},
};
