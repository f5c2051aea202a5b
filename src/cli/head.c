/* quorate head: the signed tree head of the log. */
#include <string.h>

#include <sodium.h>

#include "base/text.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/view.h"

static const struct column fields[] = {
    {"node", "node"},
    {"index", "index"},
    {"tree size", "tree_size"},
    {"tree root", "root"},
    {"state digest", "state_digest"},
    {"time", "time"},
    {"signature", "checked"},
    {NULL, NULL},
};

static const struct column rows[] = {
    {"SERVER", "server"},
    {"NODE", "node"},
    {"INDEX", "index"},
    {"TREE", "tree_size"},
    {"ROOT", "root"},
    {"SIGNATURE", "checked"},
    {NULL, NULL},
};

/* The node's log key as operators registered it. */
static bool log_key_of(json_t *view, const json_t *head, uint8_t key[32])
{
	json_t *node = view_node(
	    view, (uint64_t)json_integer_value(json_object_get(head, "node")));

	return node != NULL &&
	       hex_decode(key, 32, output_string(node, "log_key"), NULL) ==
		   E_OK;
}

/* docs/http-api.md, GET /v1/head. */
static const char *check(
    const struct session *s, json_t *view, const json_t *head)
{
	const char *td = output_string(view, "trust_domain");
	uint8_t key[crypto_sign_PUBLICKEYBYTES];
	struct buf text, sig;
	bool good;

	(void)s;
	if (view == NULL)
		return "not checked (needs --identity)";
	if (!log_key_of(view, head, key))
		return "BAD: its node is not registered";
	buf_init(&text);
	buf_init(&sig);
	buf_printf(&text,
	    "quorate tree head v1\n%s\n%" JSON_INTEGER_FORMAT
	    "\n%" JSON_INTEGER_FORMAT "\n%s\n%s\n",
	    td, json_integer_value(json_object_get(head, "index")),
	    json_integer_value(json_object_get(head, "tree_size")),
	    output_string(head, "root"), output_string(head, "time"));
	good = base64_decode(&sig, span_str(output_string(head, "signature")),
		   BASE64_STD, NULL) == E_OK &&
	       sig.len == crypto_sign_BYTES && !text.failed &&
	       crypto_sign_verify_detached(sig.p, text.p, text.len, key) == 0;
	buf_free(&text);
	buf_free(&sig);
	return good ? "good" : "BAD";
}

static enum code get_head(
    struct session *s, size_t server, json_t *view, json_t **out, struct err *e)
{
	const struct client_request r = {.method = "GET", .path = "/v1/head"};
	struct client_answer answer = {0};
	enum code rc;

	if (server == SIZE_MAX)
		rc = client_call(s->client, &r, &answer, e);
	else
		rc = client_call_at(s->client, server, &r, &answer, e);
	if (rc == E_OK)
		rc = client_json(buf_span(&answer.body), answer.server, out, e);
	if (rc == E_OK) {
		json_object_set_new(*out, "server", json_string(answer.server));
		json_object_set_new(
		    *out, "checked", json_string(check(s, view, *out)));
	}
	client_answer_free(&answer);
	return rc;
}

static enum code one(struct cli_args *a, struct session *s, enum cli_form form,
    json_t *view, struct err *e)
{
	json_t *head = NULL;
	enum code rc = get_head(s, SIZE_MAX, view, &head, e);

	if (rc == E_OK && form == FORM_JSON)
		rc = output_json(a->out, head, e);
	else if (rc == E_OK)
		output_fields(a->out, head, fields);
	if (rc == E_OK &&
	    strncmp(output_string(head, "checked"), "BAD", 3) == 0)
		rc = err_set(e, E_DENIED,
		    "the head's signature is not good: do not trust this "
		    "node's log");
	json_decref(head);
	return rc;
}

/* Two heads of one size must have one root. */
static enum code compare(const json_t *heads, struct err *e)
{
	for (size_t i = 0; i < json_array_size(heads); i++)
		for (size_t k = 0; k < i; k++) {
			const json_t *x = json_array_get(heads, i),
				     *y = json_array_get(heads, k);

			if (json_equal(json_object_get(x, "tree_size"),
				json_object_get(y, "tree_size")) &&
			    !json_equal(json_object_get(x, "root"),
				json_object_get(y, "root")))
				return err_set(e, E_CORRUPT,
				    "%s and %s show different logs of the same "
				    "size: stop issuing and look into it",
				    output_string(x, "server"),
				    output_string(y, "server"));
		}
	return E_OK;
}

static enum code every(struct cli_args *a, struct session *s,
    enum cli_form form, json_t *view, struct err *e)
{
	json_t *heads = json_array();
	enum code rc = E_OK;
	size_t away = 0;

	for (size_t i = 0; i < client_servers(s->client); i++) {
		json_t *head = NULL;
		struct err why = {0};

		if (get_head(s, i, view, &head, &why) == E_OK) {
			json_array_append_new(heads, head);
		} else {
			fprintf(a->err, "quorate: %s\n", why.text);
			away++;
		}
	}
	rc = output_list(a->out, form, heads, rows, "Nobody answered.", e);
	if (rc == E_OK)
		rc = compare(heads, e);
	if (rc == E_OK && away > 0)
		rc = err_set(e, E_UNAVAILABLE,
		    "%zu of %zu servers did not "
		    "answer",
		    away, client_servers(s->client));
	json_decref(heads);
	return rc;
}

static enum code run(struct cli_args *a, struct err *e)
{
	enum session_who who = SESSION_OPERATOR;
	struct session *s;
	json_t *view = NULL;
	enum cli_form form;
	enum code rc;

	if (cli_value(a, "--root") != NULL ||
	    cli_value(a, "--root-sha256") != NULL)
		who = SESSION_ANYONE;
	if ((rc = cli_form(a, false, &form, e)) != E_OK ||
	    (rc = session_open(&s, a, who, e)) != E_OK)
		return rc;
	if (who == SESSION_OPERATOR)
		rc = client_get_json(s->client, "/v1/view", &view, e);
	if (rc == E_OK)
		rc = cli_flag(a, "--all") ? every(a, s, form, view, e)
					  : one(a, s, form, view, e);
	json_decref(view);
	session_close(s);
	return rc;
}

const struct cli_command cli_head[] = {
    {"head", NULL, NULL, 0, 0,
	"the log's signed tree head, its signature checked", run,
	{{"--all", NULL, "of every server, compared"}, SESSION_ROOT_OPTIONS,
	    {NULL, NULL, NULL}}},
    {0},
};
