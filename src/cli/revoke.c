/* quorate revoke: a certificate, an identity or a pod, for good; and the
 * lifting of what keeps an identity or a pod from asking again. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/reason.h"
#include "cli/revoke.h"
#include "cli/session.h"
#include "cli/view.h"

#define LOOK "quorate cert show SERIAL"
#define WAIT_MS 10000
#define POLL_MS 50

/* ---- What is meant ---- */

enum code revoke_serial_parse(
    uint8_t out[CA_SERIAL_LEN], const char *text, struct err *e)
{
	char hex[2 * CA_SERIAL_LEN + 1];
	size_t n = 0;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	for (; *text != '\0' && n < sizeof(hex) - 1; text++)
		if (*text != ':')
			hex[n++] = *text;
	hex[n] = '\0';
	if (*text != '\0' || n != sizeof(hex) - 1 ||
	    hex_decode(out, CA_SERIAL_LEN, hex, NULL) != E_OK)
		return cli_usage(e,
		    "a serial has %d hexadecimal digits (quorate cert list "
		    "shows them)",
		    2 * CA_SERIAL_LEN);
	return E_OK;
}

static const char *identity_of(const struct cli_args *a)
{
	const char *v;

	for (size_t i = 0; (v = cli_nth(a, "--identity", i)) != NULL; i++)
		if (session_is_identity(v))
			return v;
	return NULL;
}

static enum code take_target(
    const struct cli_args *a, struct ca_revoke *r, struct err *e)
{
	const char *identity = identity_of(a), *pod = cli_value(a, "--pod");

	if ((a->operands_n > 0) + (identity != NULL) + (pod != NULL) != 1)
		return cli_usage(e, "say what to revoke: a SERIAL, --identity "
				    "spiffe://TD/ns/NS/sa/SA, or --pod UID");
	if (a->operands_n > 0) {
		r->by = CA_REVOKE_SERIAL;
		return revoke_serial_parse(r->serial, a->operands[0], e);
	}
	r->by = identity != NULL ? CA_REVOKE_IDENTITY : CA_REVOKE_POD;
	r->what = span_str(identity != NULL ? identity : pod);
	return E_OK;
}

/* ---- Waiting until it is out ---- */

/* A client of every node that is not removed. */
static enum code open_all(struct session *s, struct client **out, struct err *e)
{
	struct client_options o = {.root_pem = buf_span(&s->root_pem),
	    .cert_pem = buf_span(&s->cert_pem),
	    .key_pem = buf_span(&s->key_pem)};
	static char names[SESSION_SERVERS_MAX][300];
	const char *servers[SESSION_SERVERS_MAX];
	json_t *view = NULL, *nodes, *row;
	size_t i;
	enum code rc = session_view(s, &view, e);

	if (rc != E_OK)
		return rc;
	nodes = view_live(view, "nodes");
	json_array_foreach(nodes, i, row)
	{
		if (o.servers_n == SESSION_SERVERS_MAX)
			break;
		if (view_node_server(
			row, names[o.servers_n], sizeof(names[0]))) {
			servers[o.servers_n] = names[o.servers_n];
			o.servers_n++;
		}
	}
	o.servers = servers;
	rc = client_open(out, &o, e);
	json_decref(nodes);
	json_decref(view);
	return rc;
}

static uint64_t number_of(const json_t *row, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(row, name));
}

static bool issuer_revoked(json_t *view, const char *key_id)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(view, "issuers"), i, row)
	{
		if (strcmp(output_string(row, "key_id"), key_id) == 0)
			return strcmp(output_string(row, "state"), "revoked") ==
			       0;
	}
	return false;
}

bool revoke_is_out(json_t *view, uint64_t index)
{
	bool has_dir = json_is_integer(json_object_get(view, "published"));
	json_t *row;
	size_t i;

	if (number_of(view, "applied") < index)
		return false;
	json_array_foreach(json_object_get(view, "crls"), i, row)
	{
		if (number_of(row, "dirty_index") < index ||
		    issuer_revoked(view, output_string(row, "issuer")))
			continue;
		if (number_of(row, "content_index") < index ||
		    (has_dir && number_of(view, "published") <
				    number_of(row, "signed_index")))
			return false;
	}
	return true;
}

static bool node_is_out(struct client *c, size_t server, uint64_t index)
{
	const struct client_request r = {.method = "GET", .path = "/v1/view"};
	struct client_answer answer = {0};
	struct err ignored;
	json_t *view = NULL;
	bool out = false;

	if (client_call_at(c, server, &r, &answer, &ignored) == E_OK &&
	    client_json(
		buf_span(&answer.body), answer.server, &view, &ignored) == E_OK)
		out = revoke_is_out(view, index);
	json_decref(view);
	client_answer_free(&answer);
	return out;
}

static enum code name_missing(struct client *c, const bool *done, struct err *e)
{
	struct buf names;
	enum code rc;

	buf_init(&names);
	for (size_t i = 0; i < client_servers(c); i++)
		if (!done[i])
			buf_printf(&names, "%s%s", names.len > 0 ? ", " : "",
			    client_server_name(c, i));
	rc = err_set(e, E_UNAVAILABLE,
	    "revoked and logged, but after %d s these nodes do not publish it, "
	    "or do not answer: %.*s; they will once they are in reach (quorate "
	    "status)",
	    WAIT_MS / 1000, (int)names.len, (const char *)names.p);
	buf_free(&names);
	return rc;
}

static enum code wait_all(struct session *s, uint64_t index, struct err *e)
{
	const struct timespec pause = {0, POLL_MS * 1000000L};
	uint64_t until = clock_mono_ms() + WAIT_MS;
	bool done[SESSION_SERVERS_MAX] = {false};
	struct client *c = NULL;
	size_t missing;
	enum code rc = open_all(s, &c, e);

	if (rc != E_OK)
		return rc;
	do {
		missing = 0;
		for (size_t i = 0; i < client_servers(c); i++) {
			done[i] = done[i] || node_is_out(c, i, index);
			missing += !done[i];
		}
		if (missing > 0 && clock_mono_ms() < until)
			nanosleep(&pause, NULL);
	} while (missing > 0 && clock_mono_ms() < until);
	if (missing > 0)
		rc = name_missing(c, done, e);
	client_close(c);
	return rc;
}

/* ---- The command ---- */

static void tell(struct cli_args *a, const struct ca_revoke *r, bool lift,
    bool waited, uint64_t index)
{
	const char *name =
	    a->operands_n > 0 ? a->operands[0] : (const char *)r->what.p;

	if (lift)
		fprintf(a->out,
		    "%s may ask for certificates again (log index %llu); what "
		    "was revoked stays revoked.\n",
		    name, (unsigned long long)index);
	else if (r->by == CA_REVOKE_SERIAL)
		fprintf(a->out,
		    "%s is revoked, and what was renewed from it (log index "
		    "%llu).\n",
		    name, (unsigned long long)index);
	else
		fprintf(a->out,
		    "%s: its certificates are revoked, and it gets no new one "
		    "until that is lifted (log index %llu).\n",
		    name, (unsigned long long)index);
	if (waited)
		fprintf(a->out, "Every node publishes it.\n");
}

static enum code submit(struct cli_args *a, struct session *s,
    const struct ca_admin *cmd, enum cli_form form, struct err *e)
{
	bool lift = cmd->kind == CA_ADMIN_LIFT_BLOCK;
	bool wait = cli_value(a, "--wait") != NULL;
	uint64_t index = 0;
	json_t *o;
	enum code rc = session_submit(s, cmd, 1, LOOK, &index, e);

	if (rc == E_OK && wait)
		rc = wait_all(s, index, e);
	if (rc != E_OK)
		return rc;
	if (form != FORM_JSON) {
		tell(a, &cmd->u.revoke, lift, wait, index);
		return E_OK;
	}
	o = json_pack("{s:I, s:b, s:b}", "index", (json_int_t)index, "lifted",
	    lift, "published_everywhere", wait);
	rc = output_json(a->out, o, e);
	json_decref(o);
	return rc;
}

static enum code run(struct cli_args *a, struct err *e)
{
	const char *reason = cli_value(a, "--reason");
	const char *wait = cli_value(a, "--wait");
	bool lift = cli_flag(a, "--lift");
	struct ca_admin *cmd;
	struct session *s = NULL;
	enum cli_form form;
	enum code rc;

	if (wait != NULL && strcmp(wait, "all") != 0)
		return cli_usage(e, "--wait %.20s: only all is known", wait);
	if (lift && (reason != NULL || wait != NULL))
		return cli_usage(e, "--lift goes alone with what to lift");
	cmd = calloc(1, sizeof(*cmd));
	if (cmd == NULL)
		return err_nomem(e);
	cmd->kind = lift ? CA_ADMIN_LIFT_BLOCK : CA_ADMIN_REVOKE;
	rc = cli_form(a, false, &form, e);
	if (rc == E_OK)
		rc = take_target(a, &cmd->u.revoke, e);
	if (rc == E_OK && reason != NULL)
		rc = reason_parse(reason, &cmd->u.revoke.reason, e);
	if (rc == E_OK)
		rc = session_open(&s, a, SESSION_OPERATOR, e);
	if (rc == E_OK)
		rc = submit(a, s, cmd, form, e);
	session_close(s);
	free(cmd);
	return rc;
}

/* ---- What is blocked ---- */

static const struct column rows[] = {
    {"KIND", "kind"},
    {"WHO", "what"},
    {"SINCE", "since"},
    {"REASON", "reason"},
    {NULL, NULL},
};

static enum code run_list(struct cli_args *a, struct err *e)
{
	struct session *s;
	enum cli_form form;
	json_t *o = NULL;
	enum code rc;

	if ((rc = cli_form(a, false, &form, e)) != E_OK ||
	    (rc = session_open(&s, a, SESSION_OPERATOR, e)) != E_OK)
		return rc;
	rc = client_get_json(
	    s->client, "/v1/blocks?consistency=linearizable", &o, e);
	if (rc == E_OK)
		rc = output_list(a->out, form, json_object_get(o, "blocks"),
		    rows, "No identity and no pod is revoked.", e);
	json_decref(o);
	session_close(s);
	return rc;
}

const struct cli_command cli_revoke[] = {
    {"revoke", NULL, "[SERIAL]", 0, 1,
	"a certificate, an identity (--identity ID) or a pod, for good", run,
	{{"--pod", "UID", "all certificates of a pod, and no new ones"},
	    {"--reason", "R", REASON_HELP},
	    {"--wait", "all", "return when every node publishes it"},
	    {"--lift", NULL,
		"let an identity or a pod ask again; no certificate comes "
		"back"},
	    {NULL, NULL, NULL}}},
    {0},
};

const struct cli_command cli_blocked[] = {
    {"blocked", NULL, NULL, 0, 0,
	"identities and pods that are revoked and get nothing new", run_list,
	{{NULL, NULL, NULL}}},
    {0},
};
