/* quorate cert: certificates as the log holds them. */
#include <ctype.h>
#include <string.h>

#include "cli/output.h"
#include "cli/session.h"

static const struct column rows[] = {
    {"INDEX", "index"},
    {"SERIAL", "serial"},
    {"IDENTITY", "uri"},
    {"NOT AFTER", "not_after"},
    {"CLUSTER", "cluster"},
    {"VIA", "via"},
    {NULL, NULL},
};

static const struct column fields[] = {
    {"serial", "serial"},
    {"identity", "uri"},
    {"names", "dns"},
    {"addresses", "ip"},
    {"profile", "profile"},
    {"not before", "not_before"},
    {"not after", "not_after"},
    {"issuer", "issuer"},
    {"requested by", "requester"},
    {"cluster", "cluster"},
    {"how", "via"},
    {"pod", "pod_name"},
    {"pod uid", "pod_uid"},
    {"renews", "parent"},
    {"log index", "index"},
    {"logged at", "time"},
    {"signer boot", "signer_boot"},
    {"signer number", "signer_seq"},
    {"sha256", "sha256"},
    {NULL, NULL},
};

/* ---- list and find ---- */

static void add_query(struct buf *path, const char *name, const char *value)
{
	buf_printf(path, "&%s=", name);
	for (; *value != '\0'; value++)
		if (isalnum((unsigned char)*value) ||
		    strchr("-._~", *value) != NULL)
			buf_add(path, value, 1);
		else
			buf_printf(path, "%%%02X", (unsigned char)*value);
}

/* One page onto all; *after is 0 at the end. */
static enum code get_page(struct session *s, const char *identity,
    uint64_t limit, uint64_t *after, json_t *all, struct err *e)
{
	json_t *o = NULL, *next;
	struct buf path;
	enum code rc;

	buf_init(&path);
	buf_printf(&path,
	    "/v1/certs?consistency=linearizable&limit=%llu&after=%llu",
	    (unsigned long long)limit, (unsigned long long)*after);
	if (identity != NULL)
		add_query(&path, "identity", identity);
	buf_add_u8(&path, 0);
	rc = buf_check(&path, e);
	if (rc == E_OK)
		rc = client_get_json(s->client, (const char *)path.p, &o, e);
	if (rc == E_OK) {
		json_array_extend(all, json_object_get(o, "certs"));
		next = json_object_get(o, "next");
		*after = (uint64_t)json_integer_value(next);
	}
	json_decref(o);
	buf_free(&path);
	return rc;
}

static enum code get_all(struct cli_args *a, struct session *s,
    const char *identity, uint64_t *after, json_t *all, struct err *e)
{
	const char *limit = cli_value(a, "--limit");
	const char *from = cli_value(a, "--after");
	bool whole = cli_flag(a, "--all");
	uint64_t n = whole ? 1000 : 100;
	enum code rc = E_OK;

	if ((limit != NULL && (rc = cli_number(limit, &n, e)) != E_OK) ||
	    (from != NULL && (rc = cli_number(from, after, e)) != E_OK))
		return rc;
	do
		rc = get_page(s, identity, n, after, all, e);
	while (rc == E_OK && whole && *after > 0);
	return rc;
}

static enum code list(struct cli_args *a, const char *identity, struct err *e)
{
	struct session *s;
	enum cli_form form;
	uint64_t after = 0;
	json_t *all;
	enum code rc;

	if ((rc = cli_form(a, false, &form, e)) != E_OK ||
	    (rc = session_open(&s, a, SESSION_OPERATOR, e)) != E_OK)
		return rc;
	all = json_array();
	rc = get_all(a, s, identity, &after, all, e);
	if (rc == E_OK)
		rc = output_list(a->out, form, all, rows,
		    "No certificate is in the log.", e);
	if (rc == E_OK && after > 0)
		fprintf(a->err, "There are more: --after %llu, or --all\n",
		    (unsigned long long)after);
	json_decref(all);
	session_close(s);
	return rc;
}

static enum code run_list(struct cli_args *a, struct err *e)
{
	return list(a, NULL, e);
}

/* --identity means the identity here too, if it is one. */
static enum code run_find(struct cli_args *a, struct err *e)
{
	const char *v = NULL;

	if (a->operands_n > 0)
		return list(a, a->operands[0], e);
	for (size_t i = 0; (v = cli_nth(a, "--identity", i)) != NULL; i++)
		if (session_is_identity(v))
			return list(a, v, e);
	return cli_usage(
	    e, "cert find needs an identity: spiffe://TD/ns/NS/sa/SA");
}

/* ---- show ---- */

/* Digits as openssl or a browser shows them: colons, upper case, 0x. */
static enum code serial_path(char out[80], const char *text, struct err *e)
{
	size_t n = (size_t)snprintf(out, 80, "/v1/certs/");
	size_t digits = 0;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	for (; *text != '\0'; text++) {
		if (*text == ':')
			continue;
		if (!isxdigit((unsigned char)*text) ||
		    ++digits > (size_t)2 * CA_SERIAL_LEN)
			break;
		out[n++] = (char)tolower((unsigned char)*text);
	}
	out[n] = '\0';
	if (*text != '\0' || digits != (size_t)2 * CA_SERIAL_LEN)
		return cli_usage(e,
		    "a serial has %d hexadecimal digits (quorate cert list "
		    "shows them)",
		    2 * CA_SERIAL_LEN);
	return E_OK;
}

static enum code run_show(struct cli_args *a, struct err *e)
{
	struct session *s;
	enum cli_form form;
	char path[80];
	json_t *o = NULL;
	enum code rc;

	if ((rc = cli_form(a, true, &form, e)) != E_OK ||
	    (rc = serial_path(path, a->operands[0], e)) != E_OK ||
	    (rc = session_open(&s, a, SESSION_OPERATOR, e)) != E_OK)
		return rc;
	rc = client_get_json(s->client, path, &o, e);
	if (rc == E_OK && form == FORM_JSON)
		rc = output_json(a->out, o, e);
	else if (rc == E_OK && form == FORM_PEM)
		fprintf(a->out, "%s%s", output_string(o, "pem"),
		    output_string(o, "issuer_pem"));
	else if (rc == E_OK)
		output_fields(a->out, o, fields);
	json_decref(o);
	session_close(s);
	return rc;
}

#define PAGE_OPTIONS                                                           \
	{"--limit", "N", "at most that many (100)"},                           \
	    {"--after", "INDEX", "only those logged after that index"},        \
	{                                                                      \
		"--all", NULL, "all of them"                                   \
	}

const struct cli_command cli_cert[] = {
    {"cert", "list", NULL, 0, 0, "issued certificates, in log order", run_list,
	{PAGE_OPTIONS, {NULL, NULL, NULL}}},
    {"cert", "show", "SERIAL", 1, 1,
	"one certificate: who asked, when, its log entry (-o pem: the chain)",
	run_show, {{NULL, NULL, NULL}}},
    {"cert", "find", "ID", 0, 1,
	"certificates of one identity (or --identity ID)", run_find,
	{PAGE_OPTIONS, {NULL, NULL, NULL}}},
    {0},
};
