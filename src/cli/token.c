/* quorate token create: the secret with which one more node asks to join. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/tokens.h"
#include "cli/view.h"
#include "client/join.h"

#define TTL_DEFAULT_S 3600

/* The servers of a token: those we use, then every other node's. */
static enum code token_servers(
    struct join_token *t, const struct session *s, json_t *view, struct err *e)
{
	json_t *nodes = json_object_get(view, "nodes"), *node;
	size_t i;

	for (i = 0; i < s->servers_n && t->servers_n < JOIN_SERVERS_MAX; i++) {
		t->servers[t->servers_n] = strdup(s->servers[i]);
		if (t->servers[t->servers_n++] == NULL)
			return err_nomem(e);
	}
	json_array_foreach(nodes, i, node)
	{
		char name[300];
		bool known = false;

		if (json_is_true(json_object_get(node, "removed")) ||
		    !view_node_server(node, name, sizeof(name)))
			continue;
		for (size_t k = 0; k < t->servers_n; k++)
			known = known || server_same_host(t->servers[k], name);
		if (known || t->servers_n == JOIN_SERVERS_MAX)
			continue;
		t->servers[t->servers_n] = strdup(name);
		if (t->servers[t->servers_n++] == NULL)
			return err_nomem(e);
	}
	return E_OK;
}

static enum code token_fill(struct join_token *t, const struct session *s,
    json_t *view, const char *cluster, struct err *e)
{
	struct buf der;
	enum code rc;

	if (snprintf(t->cluster, sizeof(t->cluster), "%s", cluster) >=
	    (int)sizeof(t->cluster))
		return cli_usage(
		    e, "--cluster: at most %d characters", CA_NAME_MAX);
	snprintf(t->trust_domain, sizeof(t->trust_domain), "%.*s",
	    (int)s->trust_domain.len, (const char *)s->trust_domain.p);
	random_bytes(t->secret, sizeof(t->secret));
	buf_init(&der);
	rc = pki_pem_first(buf_span(&s->root_pem), "CERTIFICATE", &der, e);
	if (rc == E_OK)
		sha256_of(t->root, buf_span(&der));
	buf_free(&der);
	return rc == E_OK ? token_servers(t, s, view, e) : rc;
}

/* A cluster not known yet is registered in the same envelope. */
static enum code submit(struct session *s, json_t *view,
    const struct join_token *t, uint64_t expires_ms, bool *added, struct err *e)
{
	struct ca_admin *c = calloc(2, sizeof(*c));
	struct ca_join_token *jt;
	uint8_t auth[SHA256_LEN];
	size_t n = 0;
	enum code rc;

	if (c == NULL)
		return err_nomem(e);
	*added = view_cluster(view, t->cluster) == NULL;
	if (*added) {
		c[n].kind = CA_ADMIN_SET_CLUSTER;
		c[n].u.set_cluster.name = span_str(t->cluster);
		c[n].u.set_cluster.audiences[0] = span_str("istio-ca");
		c[n++].u.set_cluster.audiences_n = 1;
	}
	c[n].kind = CA_ADMIN_CREATE_JOIN_TOKEN;
	jt = &c[n++].u.create_join_token;
	jt->cluster = span_str(t->cluster);
	jt->expires_ms = expires_ms;
	join_auth(auth, t->secret);
	sha256_of(jt->secret_hash, span_of(auth, sizeof(auth)));
	sodium_memzero(auth, sizeof(auth));
	rc = session_submit(s, c, n, "quorate cluster list", NULL, e);
	free(c);
	return rc;
}

static enum code print_token(struct cli_args *a, enum cli_form form,
    const struct join_token *t, uint64_t expires_ms, bool added, struct err *e)
{
	const char *file = cli_value(a, "--out");
	enum code rc = E_OK;
	struct buf text;
	char when[32];
	json_t *o;

	buf_init(&text);
	view_time(when, expires_ms / 1000);
	rc = join_token_format(&text, t, e);
	buf_add_str(&text, "\n");
	if (rc == E_OK)
		rc = buf_check(&text, e);
	if (rc == E_OK && file != NULL) {
		rc = fs_write(file, buf_span(&text), 0600, e);
	} else if (rc == E_OK && form == FORM_JSON) {
		o = json_pack("{s:s%, s:s, s:s}", "token", text.p, text.len - 1,
		    "cluster", t->cluster, "expires", when);
		rc = output_json(a->out, o, e);
		json_decref(o);
	} else if (rc == E_OK) {
		fprintf(a->out, "%.*s", (int)text.len, (const char *)text.p);
	}
	pki_wipe(&text);
	if (rc != E_OK || form == FORM_JSON)
		return rc;
	fprintf(a->err,
	    "%sThe token is good until %s for nodes of cluster %s.\nNext, on "
	    "the node's machine:\n  quorate join --token-file FILE --data DIR\n"
	    "then here:\n  quorate issuer approve %s\n",
	    added ? "Cluster registered.  " : "", when, t->cluster, t->cluster);
	return E_OK;
}

static enum code create(struct cli_args *a, struct session *s,
    enum cli_form form, uint64_t ttl_s, struct err *e)
{
	uint64_t expires_ms = clock_unix_ms() + ttl_s * 1000;
	struct join_token t = {0};
	json_t *view = NULL;
	bool added = false;
	enum code rc = session_view(s, &view, e);

	if (rc == E_OK)
		rc = token_fill(&t, s, view, cli_value(a, "--cluster"), e);
	tokens_prune(s);
	/* Kept before it is logged: a token nobody can check is of no use. */
	if (rc == E_OK)
		rc = tokens_keep(s, &t, expires_ms, e);
	if (rc == E_OK) {
		rc = submit(s, view, &t, expires_ms, &added, e);
		if (rc != E_OK && rc != E_TIMEOUT)
			tokens_drop(s, &t);
	}
	if (rc == E_OK)
		rc = print_token(a, form, &t, expires_ms, added, e);
	join_token_free(&t);
	json_decref(view);
	return rc;
}

static enum code run(struct cli_args *a, struct err *e)
{
	const char *ttl = cli_value(a, "--ttl"), *cluster;
	uint64_t ttl_s = TTL_DEFAULT_S;
	struct session *s;
	enum cli_form form;
	enum code rc;

	if ((rc = cli_form(a, false, &form, e)) != E_OK ||
	    (rc = cli_need(a, "--cluster", &cluster, e)) != E_OK ||
	    (ttl != NULL && (rc = cli_duration(ttl, &ttl_s, e)) != E_OK) ||
	    (rc = session_open(&s, a, SESSION_OPERATOR, e)) != E_OK)
		return rc;
	rc = create(a, s, form, ttl_s, e);
	session_close(s);
	return rc;
}

const struct cli_command cli_token[] = {
    {"token", "create", NULL, 0, 0,
	"make a token with which a cluster's node may ask to join", run,
	{{"--cluster", "NAME", "the cluster the node is for"},
	    {"--ttl", "DURATION", "how long it is good (1h; at most 7d)"},
	    {"--out", "FILE", "write it there (mode 600), not to stdout"},
	    {NULL, NULL, NULL}}},
    {0},
};
