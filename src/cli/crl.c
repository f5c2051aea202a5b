/* quorate crl: what is revoked, as peers check it. */
#include <string.h>

#include "base/fs.h"
#include "cli/output.h"
#include "cli/session.h"

static enum code print_crl(
    struct cli_args *a, enum cli_form form, struct span body, struct err *e)
{
	const char *file = cli_value(a, "--out");
	enum code rc = E_OK;
	json_t *o;

	if (file != NULL)
		return fs_write(file, body, 0644, e);
	if (form == FORM_JSON) {
		o = json_pack("{s:s%}", "pem", body.p, body.len);
		rc = output_json(a->out, o, e);
		json_decref(o);
	} else if (fwrite(body.p, 1, body.len, a->out) != body.len) {
		rc = err_set(e, E_IO, "cannot write the output");
	}
	return rc;
}

static enum code run(struct cli_args *a, struct err *e)
{
	const char *issuer = cli_value(a, "--issuer");
	const char *format = cli_value(a, "--format");
	struct client_request r = {.method = "GET"};
	struct client_answer answer = {0};
	struct session *s;
	enum cli_form form;
	char path[200];
	enum code rc;

	if (format != NULL && strcmp(format, "pem") != 0 &&
	    (strcmp(format, "der") != 0 || issuer == NULL))
		return cli_usage(
		    e, "--format is pem, or der for one issuer (--issuer)");
	if (issuer != NULL &&
	    strspn(issuer, "abcdefghijklmnopqrstuvwxyz0123456789-") !=
		strlen(issuer))
		return cli_usage(e, "--issuer is a name, a key id, or root");
	if ((rc = cli_form(a, false, &form, e)) != E_OK)
		return rc;
	if (form == FORM_JSON && format != NULL && strcmp(format, "der") == 0)
		return cli_usage(e, "DER does not go into JSON");
	if ((rc = session_open(&s, a, SESSION_ANYONE, e)) != E_OK)
		return rc;
	snprintf(path, sizeof(path), "/v1/crl?format=%s%s%.100s",
	    format != NULL ? format : "pem", issuer != NULL ? "&issuer=" : "",
	    issuer != NULL ? issuer : "");
	r.path = path;
	rc = client_call(s->client, &r, &answer, e);
	if (rc == E_OK)
		rc = print_crl(a, form, buf_span(&answer.body), e);
	client_answer_free(&answer);
	session_close(s);
	return rc;
}

const struct cli_command cli_crl[] = {
    {"crl", NULL, NULL, 0, 0,
	"the CRL of the root and of every issuer, or of one", run,
	{{"--issuer", "NAME", "only this one's: a name, a key id, or root"},
	    {"--format", "pem|der", "PEM, or DER for one issuer (pem)"},
	    {"--out", "FILE", "write it there, not to stdout"},
	    SESSION_ROOT_OPTIONS, {NULL, NULL, NULL}}},
    {0},
};
