#include "cli/approve.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/root_key.h"
#include "cli/tokens.h"
#include "cli/view.h"
#include "node/provision.h"

#define LOOK "quorate issuer list"

/* ---- Who waits ---- */

static void add_new(json_t *all, json_t *rows)
{
	json_t *row;
	size_t i;

	json_array_foreach(
	    rows, i, row) if (output_find(all, "mesh_key",
				  output_string(row, "mesh_key")) == NULL)
	    json_array_append(all, row);
}

enum code approve_pending(struct session *s, json_t **out, struct err *e)
{
	const struct client_request r = {.method = "GET", .path = "/v1/join"};
	json_t *all = json_array();
	size_t heard = 0;
	enum code rc = E_OK;

	for (size_t i = 0; i < client_servers(s->client); i++) {
		struct client_answer answer = {0};
		json_t *o = NULL;

		rc = client_call_at(s->client, i, &r, &answer, e);
		if (rc == E_OK)
			rc = client_json(
			    buf_span(&answer.body), answer.server, &o, e);
		if (rc == E_OK) {
			heard++;
			add_new(all, json_object_get(o, "pending"));
		}
		json_decref(o);
		client_answer_free(&answer);
	}
	if (heard == 0 && rc != E_OK) {
		json_decref(all);
		return rc;
	}
	*out = all;
	return E_OK;
}

/* ---- Reading a request ---- */

void join_request_free(struct join_request *r)
{
	json_decref(r->body);
	buf_free(&r->api_spki);
	buf_free(&r->issuer_spki);
	*r = (struct join_request){0};
}

static enum code need_text(
    const json_t *o, const char *name, struct span *out, struct err *e)
{
	const char *s = output_string(o, name);

	if (s[0] == '\0')
		return err_set(e, E_INVAL, "the join has no %s", name);
	*out = span_str(s);
	return E_OK;
}

static enum code take_node(struct join_request *r, struct err *e)
{
	struct ca_node *n = &r->node;
	const json_t *o = r->body;
	enum code rc = need_text(o, "cluster", &n->cluster, e);

	if (rc == E_OK)
		rc = need_text(o, "mesh_address", &n->mesh_address, e);
	if (rc == E_OK)
		rc = hex_decode(n->mesh_key, sizeof(n->mesh_key),
		    output_string(o, "mesh_key"), e);
	if (rc == E_OK)
		rc = hex_decode(n->log_key, sizeof(n->log_key),
		    output_string(o, "log_key"), e);
	if (rc == E_OK)
		rc = base64_decode(&r->api_spki,
		    span_str(output_string(o, "api_spki")), BASE64_STD, e);
	if (rc == E_OK)
		rc = base64_decode(&r->issuer_spki,
		    span_str(output_string(o, "issuer_spki")), BASE64_STD, e);
	n->api_spki = buf_span(&r->api_spki);
	n->api_addresses_n = view_spans(
	    json_object_get(o, "api_addresses"), n->api_addresses, CA_LIST_MAX);
	if (rc == E_OK && n->api_addresses_n == 0)
		rc = err_set(e, E_INVAL, "the join names no API address");
	return rc;
}

/* The issuer key's signature over the mesh key: whoever asks has the key. */
static enum code check_proof(struct join_request *r, struct err *e)
{
	struct buf msg, sig;
	enum code rc;

	if (r->issuer_spki.len == 0)
		return E_OK;
	buf_init(&msg);
	buf_init(&sig);
	buf_add_str(&msg, "quorate issuer proof v1");
	buf_add_u8(&msg, 0);
	buf_add(&msg, r->node.mesh_key, sizeof(r->node.mesh_key));
	rc = base64_decode(&sig,
	    span_str(output_string(r->body, "issuer_proof")), BASE64_STD, e);
	if (rc == E_OK)
		rc = buf_check(&msg, e);
	if (rc == E_OK && !pki_verify(buf_span(&r->issuer_spki), buf_span(&msg),
			      buf_span(&sig)))
		rc = err_set(e, E_DENIED,
		    "the joiner did not show that it holds its issuer key");
	if (rc == E_OK)
		rc = pki_key_id(buf_span(&r->issuer_spki), r->node.issuer, e);
	r->node.has_issuer = rc == E_OK;
	buf_free(&msg);
	buf_free(&sig);
	return rc;
}

enum code join_request_read(struct join_request *r, struct span body,
    const uint8_t mac[SHA256_LEN], const uint8_t secret[JOIN_SECRET_LEN],
    struct err *e)
{
	uint8_t want[SHA256_LEN];
	enum code rc;

	*r = (struct join_request){0};
	join_mac(want, secret, body);
	if (sodium_memcmp(want, mac, sizeof(want)) != 0)
		return err_set(e, E_DENIED,
		    "the join was not made with the token: somebody changed it "
		    "on the way; approve nothing and look into it");
	r->body = json_loadb(
	    (const char *)body.p, body.len, JSON_REJECT_DUPLICATES, NULL);
	rc = r->body == NULL ? err_set(e, E_INVAL, "the join is not JSON")
			     : take_node(r, e);
	if (rc == E_OK)
		rc = check_proof(r, e);
	if (rc != E_OK)
		join_request_free(r);
	return rc;
}

/* ---- Choosing one ---- */

static enum code read_row(struct session *s, const json_t *row,
    const char *cluster, struct join_request *out, struct err *e)
{
	uint8_t token[SHA256_LEN], mac[SHA256_LEN], secret[JOIN_SECRET_LEN];
	char made_for[64] = "";
	struct buf body;
	enum code rc;

	buf_init(&body);
	rc = hex_decode(token, sizeof(token), output_string(row, "token"), e);
	if (rc == E_OK)
		rc = hex_decode(mac, sizeof(mac), output_string(row, "mac"), e);
	if (rc == E_OK)
		rc = base64_decode(
		    &body, span_str(output_string(row, "body")), BASE64_STD, e);
	if (rc == E_OK)
		rc = tokens_find(s, token, secret, made_for, e);
	if (rc == E_NOTFOUND)
		err_set(e, rc,
		    "the join was made with a token that is not in %s/tokens: "
		    "whoever made the token approves it",
		    s->dir);
	if (rc == E_OK)
		rc = join_request_read(out, buf_span(&body), mac, secret, e);
	if (rc == E_OK && (strcmp(made_for, cluster) != 0 ||
			      !span_eq_str(out->node.cluster, cluster))) {
		join_request_free(out);
		rc = err_set(e, E_DENIED,
		    "the token was made for cluster %s, and the join names "
		    "another",
		    made_for);
	}
	sodium_memzero(secret, sizeof(secret));
	buf_free(&body);
	return rc;
}

/* The row to approve: the only one of the cluster, or the one named. */
static enum code choose(const struct cli_args *a, json_t *pending, json_t *view,
    json_t **out, struct err *e)
{
	const char *cluster = a->operands[0], *key = cli_value(a, "--mesh-key");
	json_t *row, *nodes = json_object_get(view, "nodes");
	size_t i, n = 0;

	json_array_foreach(pending, i, row)
	{
		const char *has = output_string(row, "mesh_key");

		if (strcmp(output_string(row, "cluster"), cluster) != 0 ||
		    (key != NULL && strncmp(has, key, strlen(key)) != 0) ||
		    output_find(nodes, "mesh_key", has) != NULL)
			continue;
		*out = row;
		n++;
	}
	if (n == 0)
		return err_set(e, E_NOTFOUND,
		    "no node of cluster %s waits for approval: is `quorate "
		    "join` or quorated running there, and can it reach these "
		    "servers? (`" LOOK "` shows who waits)",
		    cluster);
	if (n > 1)
		return err_set(e, E_CONFLICT,
		    "%zu nodes of cluster %s wait: choose one with --mesh-key "
		    "(`" LOOK "` shows them)",
		    n, cluster);
	return E_OK;
}

/* ---- Signing ---- */

static enum code make_issuer(const struct cli_args *a, struct session *s,
    const struct join_request *r, const json_t *policy, struct buf *der,
    struct err *e)
{
	EVP_PKEY *key = NULL;
	struct buf root;
	enum code rc;

	buf_init(&root);
	rc = root_key_open(a, s, &key, e);
	if (rc == E_OK)
		rc = pki_pem_first(
		    buf_span(&s->root_pem), "CERTIFICATE", &root, e);
	if (rc == E_OK)
		rc = pki_issuer_make(der, key, buf_span(&root),
		    buf_span(&r->issuer_spki), buf_span(&s->trust_domain),
		    r->node.cluster, clock_unix_ms() / 1000,
		    PROVISION_ISSUER_LIFE_S,
		    json_is_true(json_object_get(policy, "name_constraints")),
		    e);
	EVP_PKEY_free(key);
	buf_free(&root);
	return rc;
}

static enum code submit(const struct cli_args *a, struct session *s,
    json_t *view, struct join_request *r, struct err *e)
{
	struct ca_admin *c = calloc(2, sizeof(*c));
	struct buf der;
	size_t n = 1;
	enum code rc = E_OK;

	if (c == NULL)
		return err_nomem(e);
	buf_init(&der);
	r->node.id = view_next_node(view);
	c[0].kind = CA_ADMIN_SET_NODE;
	c[0].u.set_node = r->node;
	if (r->node.has_issuer) {
		rc = make_issuer(
		    a, s, r, json_object_get(view, "policy"), &der, e);
		c[1].kind = CA_ADMIN_ADD_ISSUER;
		c[1].u.add_issuer.cert = buf_span(&der);
		c[1].u.add_issuer.node = r->node.id;
		n = 2;
	}
	if (rc == E_OK)
		rc = session_submit(s, c, n, LOOK, NULL, e);
	buf_free(&der);
	free(c);
	return rc;
}

/* The operator's next command may ask the new node too. */
static void remember_server(struct session *s, json_t *node)
{
	struct err ignored;
	struct buf text;
	char name[300];

	buf_init(&text);
	if (view_node_server(node, name, sizeof(name)) &&
	    session_read(s, "servers", &text, &ignored) == E_OK) {
		for (size_t i = 0; i < s->servers_n; i++)
			if (server_same_host(s->servers[i], name))
				name[0] = '\0';
		if (text.len > 0 && text.p[text.len - 1] != '\n')
			buf_add_str(&text, "\n");
		buf_printf(&text, "%s\n", name);
		if (name[0] != '\0' && !text.failed &&
		    session_write(
			s, "servers", buf_span(&text), 0644, &ignored) != E_OK)
			name[0] = '\0';
	}
	buf_free(&text);
}

static enum code print_approved(struct cli_args *a, enum cli_form form,
    const struct join_request *r, struct err *e)
{
	char key[2 * CA_KEY_ID_LEN + 1] = "";
	enum code rc = E_OK;
	json_t *o;

	if (r->node.has_issuer)
		hex_encode(key, r->node.issuer, CA_KEY_ID_LEN);
	if (form == FORM_JSON) {
		o = json_pack("{s:I, s:s, s:s, s:b}", "id",
		    (json_int_t)r->node.id, "cluster", a->operands[0], "issuer",
		    key, "witness", !r->node.has_issuer);
		rc = output_json(a->out, o, e);
		json_decref(o);
		return rc;
	}
	fprintf(a->out, "Node %llu of cluster %s (%.*s) is approved%s%s.\n",
	    (unsigned long long)r->node.id, a->operands[0],
	    (int)r->node.mesh_address.len, (const char *)r->node.mesh_address.p,
	    r->node.has_issuer ? "; its issuer is " : " as a witness", key);
	fprintf(a->out, "It votes once it has caught up%s: quorate status\n",
	    r->node.has_issuer ? ", and issues once its issuer has settled"
			       : "");
	return E_OK;
}

static enum code approve(
    struct cli_args *a, struct session *s, enum cli_form form, struct err *e)
{
	json_t *view = NULL, *pending = NULL, *row = NULL;
	struct join_request r = {0};
	enum code rc = session_view(s, &view, e);

	if (rc == E_OK)
		rc = approve_pending(s, &pending, e);
	if (rc == E_OK)
		rc = choose(a, pending, view, &row, e);
	if (rc == E_OK)
		rc = read_row(s, row, a->operands[0], &r, e);
	if (rc == E_OK)
		rc = submit(a, s, view, &r, e);
	if (rc == E_OK) {
		remember_server(s, r.body);
		rc = print_approved(a, form, &r, e);
	}
	join_request_free(&r);
	json_decref(pending);
	json_decref(view);
	return rc;
}

enum code approve_run(struct cli_args *a, struct err *e)
{
	struct session *s;
	enum cli_form form;
	enum code rc;

	if ((rc = cli_form(a, false, &form, e)) != E_OK ||
	    (rc = session_open(&s, a, SESSION_OPERATOR, e)) != E_OK)
		return rc;
	rc = approve(a, s, form, e);
	session_close(s);
	return rc;
}
