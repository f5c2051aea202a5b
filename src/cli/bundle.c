/* quorate bundle: what to trust. */
#include <string.h>

#include "base/fs.h"
#include "cli/output.h"
#include "cli/session.h"

static enum code print_bundle(
    struct cli_args *a, enum cli_form form, struct span text, struct err *e)
{
	const char *file = cli_value(a, "--out");
	enum code rc = E_OK;
	json_t *o;

	if (file != NULL)
		return fs_write(file, text, 0644, e);
	if (form == FORM_JSON) {
		o = json_loadb((const char *)text.p, text.len, 0, NULL);
		if (o == NULL)
			o = json_pack("{s:s%}", "pem", text.p, text.len);
		rc = output_json(a->out, o, e);
		json_decref(o);
	} else {
		fprintf(a->out, "%.*s", (int)text.len, (const char *)text.p);
	}
	return rc;
}

static enum code run(struct cli_args *a, struct err *e)
{
	const char *format = cli_value(a, "--format");
	struct client_request r = {
	    .method = "GET", .path = "/v1/bundle?format=pem"};
	struct client_answer answer = {0};
	struct session *s;
	enum cli_form form;
	enum code rc = cli_form(a, false, &form, e);

	if (format != NULL && strcmp(format, "spiffe") == 0)
		r.path = "/v1/bundle?format=spiffe";
	else if (format != NULL && strcmp(format, "pem") != 0)
		return cli_usage(
		    e, "--format %.20s: expected pem or spiffe", format);
	if (rc == E_OK)
		rc = session_open(&s, a, SESSION_ANYONE, e);
	if (rc != E_OK)
		return rc;
	rc = client_call(s->client, &r, &answer, e);
	if (rc == E_OK)
		rc = print_bundle(a, form, buf_span(&answer.body), e);
	client_answer_free(&answer);
	session_close(s);
	return rc;
}

const struct cli_command cli_bundle[] = {
    {"bundle", NULL, NULL, 0, 0, "the trust bundle of the trust domain", run,
	{{"--out", "FILE", "write it there, not to stdout"},
	    {"--format", "pem|spiffe", "PEM, or a SPIFFE bundle (pem)"},
	    SESSION_ROOT_OPTIONS, {NULL, NULL, NULL}}},
    {0},
};
