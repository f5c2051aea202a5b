/* quorate cluster: whose service-account tokens are taken. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "cli/jwks.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/view.h"

#define LOOK "quorate cluster list"

static const struct column rows[] = {
    {"CLUSTER", "name"},
    {"KEYS", "kids"},
    {"AUDIENCES", "audiences"},
    {"ISSUER", "issuer"},
    {"NAMESPACES", "namespaces"},
    {"ALIASES", "aliases"},
    {NULL, NULL},
};

/* ---- list ---- */

/* Key ids in place of whole keys, for the table. */
static void add_kids(json_t *cluster)
{
	json_t *kids = json_array(), *row;
	json_t *keys = json_object_get(cluster, "keys");
	size_t i;

	json_array_foreach(keys, i, row)
	{
		const char *kid = output_string(row, "kid");
		char text[40];

		snprintf(text, sizeof(text), "%s%s%.12s",
		    output_string(row, "alg"), kid[0] != '\0' ? ":" : "", kid);
		json_array_append_new(kids, json_string(text));
	}
	json_object_set_new(cluster, "kids", kids);
}

static enum code run_list(struct cli_args *a, struct err *e)
{
	struct session *s;
	enum cli_form form;
	json_t *view = NULL, *live;
	size_t i;
	enum code rc;

	if ((rc = cli_form(a, false, &form, e)) != E_OK ||
	    (rc = session_open(&s, a, SESSION_OPERATOR, e)) != E_OK)
		return rc;
	rc = session_view(s, &view, e);
	if (rc == E_OK) {
		live = view_live(view, "clusters");
		for (i = 0; form == FORM_TABLE && i < json_array_size(live);
		     i++)
			add_kids(json_array_get(live, i));
		rc = output_list(
		    a->out, form, live, rows, "No cluster is registered.", e);
		json_decref(live);
	}
	json_decref(view);
	session_close(s);
	return rc;
}

/* ---- add, set-jwks, remove ---- */

/* What is registered, without the keys; spans borrow from row. */
static void cluster_from(struct ca_cluster *c, const json_t *row)
{
	c->name = span_str(output_string(row, "name"));
	c->issuer = span_str(output_string(row, "issuer"));
	c->api_address = span_str(output_string(row, "api_address"));
	c->audiences_n = view_spans(
	    json_object_get(row, "audiences"), c->audiences, CA_LIST_MAX);
	c->aliases_n = view_spans(
	    json_object_get(row, "aliases"), c->aliases, CA_LIST_MAX);
	c->namespaces_n = view_spans(
	    json_object_get(row, "namespaces"), c->namespaces, CA_LIST_MAX);
}

/* An option that is given replaces what is registered. */
static enum code list_option(const struct cli_args *a, const char *name,
    struct span out[CA_LIST_MAX], size_t *n, struct err *e)
{
	if (cli_value(a, name) == NULL)
		return E_OK;
	return cli_list(a, name, out, CA_LIST_MAX, n, e);
}

static enum code take_options(
    const struct cli_args *a, struct ca_cluster *c, struct err *e)
{
	const char *issuer = cli_value(a, "--issuer");
	const char *api = cli_value(a, "--api");
	enum code rc;

	if (issuer != NULL)
		c->issuer = span_str(issuer);
	if (api != NULL)
		c->api_address = span_str(api);
	rc = list_option(a, "--audience", c->audiences, &c->audiences_n, e);
	if (rc == E_OK)
		rc = list_option(
		    a, "--namespaces", c->namespaces, &c->namespaces_n, e);
	if (rc == E_OK)
		rc = list_option(a, "--alias", c->aliases, &c->aliases_n, e);
	if (c->audiences_n == 0) {
		c->audiences[0] = span_str("istio-ca");
		c->audiences_n = 1;
	}
	return rc;
}

static enum code take_jwks(const struct cli_args *a, struct ca_cluster *c,
    struct jwks **j, struct err *e)
{
	const char *file = cli_value(a, "--jwks");
	struct buf text;
	enum code rc;

	if (file == NULL)
		return E_OK;
	buf_init(&text);
	rc = fs_read(file, SESSION_FILE_MAX, &text, e);
	if (rc == E_OK)
		rc = jwks_parse(buf_span(&text), j, e);
	if (rc == E_INVAL)
		rc = err_wrap(e, rc, "%s", file);
	if (rc == E_OK && *j != NULL) {
		memcpy(c->keys, (*j)->keys, sizeof(c->keys));
		c->keys_n = (*j)->n;
	}
	buf_free(&text);
	return rc;
}

enum change { CHANGE_ADD, CHANGE_JWKS, CHANGE_REMOVE };

/* Does the registry allow the change?  Fills in what stays. */
static enum code start_from(struct ca_cluster *c, json_t *view,
    const char *name, enum change change, struct err *e)
{
	const json_t *had = view_cluster(view, name);

	c->name = span_str(name);
	if (change == CHANGE_ADD && had != NULL)
		return err_set(e, E_EXISTS,
		    "cluster %s is registered already: `quorate cluster "
		    "set-jwks %s` replaces its keys",
		    name, name);
	if (change != CHANGE_ADD && had == NULL)
		return err_set(e, E_NOTFOUND,
		    "no cluster %s is registered: `quorate cluster list` shows "
		    "them, `quorate cluster add %s` registers it",
		    name, name);
	if (had != NULL)
		cluster_from(c, had);
	c->removed = change == CHANGE_REMOVE;
	return E_OK;
}

static enum code print_change(struct cli_args *a, enum cli_form form,
    const struct ca_cluster *c, uint64_t index, struct err *e)
{
	enum code rc = E_OK;
	json_t *o;

	if (form == FORM_JSON) {
		o = json_pack("{s:s%, s:b, s:I, s:I}", "cluster", c->name.p,
		    c->name.len, "removed", c->removed, "keys",
		    (json_int_t)c->keys_n, "index", (json_int_t)index);
		rc = output_json(a->out, o, e);
		json_decref(o);
		return rc;
	}
	fprintf(a->out, "Cluster %.*s %s", (int)c->name.len,
	    (const char *)c->name.p, c->removed ? "is removed" : "has");
	if (!c->removed)
		fprintf(a->out, " %zu token key%s", c->keys_n,
		    c->keys_n == 1 ? "" : "s");
	fprintf(a->out, " (log index %llu).\n", (unsigned long long)index);
	if (!c->removed && c->keys_n == 0)
		fprintf(a->err,
		    "Next: quorate cluster set-jwks %.*s --jwks FILE\n",
		    (int)c->name.len, (const char *)c->name.p);
	return E_OK;
}

static enum code submit_change(struct cli_args *a, struct session *s,
    enum cli_form form, enum change change, struct err *e)
{
	struct ca_admin *cmd = calloc(1, sizeof(*cmd));
	struct ca_cluster *c;
	struct jwks *j = NULL;
	json_t *view = NULL;
	uint64_t index = 0;
	enum code rc;

	if (cmd == NULL)
		return err_nomem(e);
	cmd->kind = CA_ADMIN_SET_CLUSTER;
	c = &cmd->u.set_cluster;
	rc = session_view(s, &view, e);
	if (rc == E_OK)
		rc = start_from(c, view, a->operands[0], change, e);
	if (rc == E_OK && change != CHANGE_REMOVE)
		rc = take_options(a, c, e);
	if (rc == E_OK && change != CHANGE_REMOVE)
		rc = take_jwks(a, c, &j, e);
	if (rc == E_OK)
		rc = session_submit(s, cmd, 1, LOOK, &index, e);
	if (rc == E_OK)
		rc = print_change(a, form, c, index, e);
	jwks_free(j);
	json_decref(view);
	free(cmd);
	return rc;
}

static enum code run_change(
    struct cli_args *a, enum change change, struct err *e)
{
	const char *file;
	struct session *s;
	enum cli_form form;
	enum code rc = cli_form(a, false, &form, e);

	if (rc == E_OK && change == CHANGE_JWKS)
		rc = cli_need(a, "--jwks", &file, e);
	if (rc == E_OK)
		rc = session_open(&s, a, SESSION_OPERATOR, e);
	if (rc != E_OK)
		return rc;
	rc = submit_change(a, s, form, change, e);
	session_close(s);
	return rc;
}

static enum code run_add(struct cli_args *a, struct err *e)
{
	return run_change(a, CHANGE_ADD, e);
}

static enum code run_jwks(struct cli_args *a, struct err *e)
{
	return run_change(a, CHANGE_JWKS, e);
}

static enum code run_remove(struct cli_args *a, struct err *e)
{
	return run_change(a, CHANGE_REMOVE, e);
}

#define CLUSTER_OPTIONS                                                        \
	{"--jwks", "FILE", "who signs its tokens: a JSON Web Key Set"},        \
	    {"--issuer", "URL", "demand this `iss` (default: any)"},           \
	    {"--audience", "A[,...]", "audiences to take (istio-ca)"},         \
	    {"--namespaces", "NS[,...]",                                       \
		"namespaces it may ask for; kube-system and istio-system "     \
		"count only when named (default: all others)"},                \
	    {"--alias", "NAME[,...]", "other values of Istio's clusterid"},    \
	{                                                                      \
		"--api", "HOST:PORT", "its API server"                         \
	}

const struct cli_command cli_cluster[] = {
    {"cluster", "list", NULL, 0, 0, "registered clusters and their token keys",
	run_list, {{NULL, NULL, NULL}}},
    {"cluster", "add", "NAME", 1, 1, "register a cluster", run_add,
	{CLUSTER_OPTIONS, {NULL, NULL, NULL}}},
    {"cluster", "set-jwks", "NAME", 1, 1,
	"replace the keys that sign a cluster's tokens", run_jwks,
	{CLUSTER_OPTIONS, {NULL, NULL, NULL}}},
    {"cluster", "remove", "NAME", 1, 1, "take no more tokens of a cluster",
	run_remove, {{NULL, NULL, NULL}}},
    {0},
};
