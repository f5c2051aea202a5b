/* quorate issuer list: who signs leaves, and who waits for approval. */
#include <string.h>

#include "cli/approve.h"
#include "cli/issuer_end.h"
#include "cli/output.h"
#include "cli/passphrase.h"
#include "cli/session.h"

static const struct column rows[] = {
    {"ISSUER", "name"},
    {"NODE", "node"},
    {"STATE", "state"},
    {"NOT AFTER", "not_after"},
    {"KEY ID", "key_id"},
    {NULL, NULL},
};

static const struct column waiting[] = {
    {"CLUSTER", "cluster"},
    {"HEARD", "heard"},
    {"MESH KEY", "mesh_key"},
    {NULL, NULL},
};

static enum code print_all(struct cli_args *a, enum cli_form form, json_t *view,
    json_t *pending, struct err *e)
{
	json_t *issuers = json_object_get(view, "issuers");
	enum code rc;
	json_t *o;

	if (form == FORM_JSON) {
		o = json_pack(
		    "{s:O, s:O}", "issuers", issuers, "pending", pending);
		rc = output_json(a->out, o, e);
		json_decref(o);
		return rc;
	}
	output_table(a->out, issuers, rows);
	if (json_array_size(pending) > 0) {
		fprintf(a->out,
		    "\nWaiting for `quorate issuer approve CLUSTER`:\n");
		output_table(a->out, pending, waiting);
	}
	return E_OK;
}

static enum code run_list(struct cli_args *a, struct err *e)
{
	struct session *s;
	enum cli_form form;
	json_t *view = NULL, *pending = NULL;
	enum code rc;

	if ((rc = cli_form(a, false, &form, e)) != E_OK ||
	    (rc = session_open(&s, a, SESSION_OPERATOR, e)) != E_OK)
		return rc;
	rc = session_view(s, &view, e);
	if (rc == E_OK)
		rc = approve_pending(s, &pending, e);
	if (rc == E_OK)
		rc = print_all(a, form, view, pending, e);
	json_decref(view);
	json_decref(pending);
	session_close(s);
	return rc;
}

const struct cli_command cli_issuer[] = {
    {"issuer", "list", NULL, 0, 0, "issuers, and nodes that wait for approval",
	run_list, {{NULL, NULL, NULL}}},
    {"issuer", "approve", "CLUSTER", 1, 1,
	"take a node in that asked to join, and sign its issuer", approve_run,
	{PASSPHRASE_OPTION,
	    {"--mesh-key", "HEX", "which one, if several nodes ask"},
	    {NULL, NULL, NULL}}},
    {"issuer", "retire", "NAME", 1, 1,
	"it signs no leaf any more; its CRL goes on", issuer_retire_run,
	{{NULL, NULL, NULL}}},
    {"issuer", "revoke", "NAME", 1, 1,
	"put it on the root's CRL: all its leaves are refused",
	issuer_revoke_run,
	{PASSPHRASE_OPTION,
	    {"--reason", "R", "cACompromise, superseded, ... (cACompromise)"},
	    {NULL, NULL, NULL}}},
    {0},
};
