/* admin.c -- what operators and the root key sign, and the one thing a node may
 * do by itself: refresh its own cluster's token keys. */
#include <string.h>

#include "ca/internal.h"

static bool refused(const struct ca_result *out)
{
	return out->outcome != CA_OK;
}

/* ---- One row each -------------------------------------------------------- */

static enum code put_row(
    struct ca *ca, enum ca_table t, struct span key, struct err *e)
{
	enum code rc = buf_check(&ca->row, e);

	if (rc == E_OK)
		rc = state_put(ca, t, key, buf_span(&ca->row), e);
	small_changed(ca);
	return rc;
}

enum code put_cluster(struct ca *ca, const struct ca_cluster *c, struct err *e)
{
	buf_clear(&ca->row);
	row_cluster(&ca->row, c);
	return put_row(ca, CA_T_CLUSTER, c->name, e);
}

enum code put_node(struct ca *ca, const struct ca_node *n, struct err *e)
{
	uint8_t key[8];

	put_u64be(key, n->id);
	buf_clear(&ca->row);
	row_node(&ca->row, n);
	return put_row(ca, CA_T_NODE, span_of(key, sizeof(key)), e);
}

enum code put_operator(
    struct ca *ca, const struct ca_operator *o, struct err *e)
{
	uint8_t key[SHA256_LEN];

	sha256_of(key, o->spki);
	buf_clear(&ca->row);
	row_operator(&ca->row, o);
	return put_row(ca, CA_T_OPERATOR, span_of(key, sizeof(key)), e);
}

enum code put_policy(struct ca *ca, const struct ca_policy *p, struct err *e)
{
	struct ca_policy next = *p;
	uint8_t key[8];

	next.version = ++ca->meta.policy_version;
	put_u64be(key, next.version);
	buf_clear(&ca->row);
	row_policy(&ca->row, &next);
	return put_row(ca, CA_T_POLICY, span_of(key, sizeof(key)), e);
}

enum code put_issuer(struct ca *ca, const struct ca_issuer *i, struct err *e)
{
	buf_clear(&ca->row);
	row_issuer(&ca->row, i);
	return put_row(ca, CA_T_ISSUER, span_of(i->key_id, CA_KEY_ID_LEN), e);
}

enum code put_bundle(struct ca *ca, const struct ca_bundle *b, struct err *e)
{
	buf_clear(&ca->row);
	row_bundle(&ca->row, b);
	return put_row(ca, CA_T_BUNDLE, b->trust_domain, e);
}

/* ---- What cannot be ------------------------------------------------------ */

static enum code check_key(
    const struct ca_cluster *c, size_t i, struct ca_result *out)
{
	static const char *const algs[] = {
	    "RS256", "RS384", "RS512", "PS256", "ES256", "ES384"};
	const struct ca_token_key *k = &c->keys[i];
	bool known = false;

	for (size_t a = 0; a < sizeof(algs) / sizeof(*algs); a++)
		known = known || span_eq_str(k->alg, algs[a]);
	if (!known)
		return refuse(out, CA_BAD_FORMAT,
		    "token key %zu: algorithm \"%.*s\" is not taken", i + 1,
		    (int)(k->alg.len > 20 ? 20 : k->alg.len),
		    (const char *)k->alg.p);
	if (k->spki.len == 0 || k->spki.len > CA_SPKI_MAX)
		return refuse(out, CA_BAD_FORMAT,
		    "token key %zu has no public key", i + 1);
	return E_OK;
}

static bool answers_to(const struct ca_cluster *c, struct span name)
{
	if (span_eq(c->name, name))
		return true;
	for (size_t i = 0; i < c->aliases_n; i++)
		if (span_eq(c->aliases[i], name))
			return true;
	return false;
}

/* A key or a name that two clusters claim decides nothing. */
static enum code check_overlap(const struct ca_cluster *c,
    const struct ca_cluster *other, struct ca_result *out)
{
	for (size_t i = 0; i < c->keys_n; i++)
		for (size_t k = 0; k < other->keys_n; k++)
			if (span_eq(c->keys[i].spki, other->keys[k].spki))
				return refuse(out, CA_CONFLICT,
				    "token key %zu is cluster \"%.*s\"'s",
				    i + 1, (int)other->name.len,
				    (const char *)other->name.p);
	if (answers_to(other, c->name))
		return refuse(out, CA_CONFLICT,
		    "cluster \"%.*s\" has that name as an alias",
		    (int)other->name.len, (const char *)other->name.p);
	for (size_t i = 0; i < c->aliases_n; i++)
		if (answers_to(other, c->aliases[i]))
			return refuse(out, CA_CONFLICT,
			    "alias %zu is a name of cluster \"%.*s\"", i + 1,
			    (int)other->name.len, (const char *)other->name.p);
	return E_OK;
}

/* An empty text among them would match whatever is absent. */
static bool has_empty(const struct span *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].len == 0)
			return true;
	return false;
}

enum code cluster_check(
    const struct ca_view *v, const struct ca_cluster *c, struct ca_result *out)
{
	if (!name_valid(c->name))
		return refuse(out, CA_BAD_FORMAT,
		    "a cluster's name is a DNS label in lower case");
	if (c->audiences_n == 0 || has_empty(c->audiences, c->audiences_n))
		return refuse(out, CA_BAD_FORMAT,
		    "a cluster has at least one audience, and none is empty");
	if (has_empty(c->aliases, c->aliases_n))
		return refuse(out, CA_BAD_FORMAT, "an alias is not empty");
	for (size_t i = 0; i < c->keys_n && !refused(out); i++)
		(void)check_key(c, i, out);
	for (size_t i = 0; i < c->namespaces_n && !refused(out); i++)
		if (!name_valid(c->namespaces[i]) &&
		    !span_eq_str(c->namespaces[i], "*"))
			(void)refuse(out, CA_BAD_FORMAT,
			    "namespace %zu is not a DNS label or *", i + 1);
	for (size_t i = 0; v != NULL && i < v->clusters_n && !refused(out); i++)
		if (!v->clusters[i].removed && !c->removed &&
		    !span_eq(v->clusters[i].name, c->name))
			(void)check_overlap(c, &v->clusters[i], out);
	return E_OK;
}

enum code node_check(const struct ca_node *n, struct ca_result *out)
{
	static const uint8_t zero[CA_MESH_KEY_LEN];

	/* Raft keeps the largest numbers for itself. */
	if (n->id == 0 || n->id > UINT32_MAX || !name_valid(n->cluster))
		return refuse(out, CA_BAD_FORMAT,
		    "a node has an id of 32 bits and a cluster");
	if (memcmp(n->mesh_key, zero, sizeof(zero)) == 0 ||
	    memcmp(n->log_key, zero, sizeof(zero)) == 0)
		return refuse(
		    out, CA_BAD_FORMAT, "a node has a mesh key and a log key");
	if (n->mesh_address.len == 0 || n->mesh_address.len > 299 ||
	    n->api_addresses_n == 0 ||
	    has_empty(n->api_addresses, n->api_addresses_n))
		return refuse(out, CA_BAD_FORMAT,
		    "a node has a mesh address and API addresses");
	if (n->api_spki.len == 0 || n->api_spki.len > CA_SPKI_MAX)
		return refuse(out, CA_BAD_FORMAT, "a node has an API key");
	return E_OK;
}

enum code operator_check(const struct ca_operator *o, struct ca_result *out)
{
	if (!name_valid(o->name))
		return refuse(out, CA_BAD_FORMAT,
		    "an operator's name is a DNS label in lower case");
	if (o->spki.len != CA_P256_SPKI_LEN)
		return refuse(
		    out, CA_BAD_FORMAT, "an operator's key is on P-256");
	if (o->roles == 0 ||
	    (o->roles & ~(uint32_t)(CA_ROLE_ADMIN | CA_ROLE_REVOKER |
				    CA_ROLE_AUDITOR)) != 0)
		return refuse(out, CA_BAD_FORMAT,
		    "an operator has one of the known roles");
	return E_OK;
}

enum code policy_check(
    const struct ca_policy *p, size_t admins, struct ca_result *out)
{
	if (p->ttl_max_s < 60 || p->ttl_max_s > CA_LEAF_LIFE_MAX_S)
		return refuse(out, CA_BAD_FORMAT,
		    "ttl_max must be from 60 s to %d s: a CRL lives for seven "
		    "days and must outlive the leaves",
		    CA_LEAF_LIFE_MAX_S);
	if (p->ttl_default_s < 60 || p->ttl_default_s > p->ttl_max_s)
		return refuse(out, CA_BAD_FORMAT,
		    "ttl_default must be from 60 s to ttl_max");
	if (p->renew_max_s > 86400)
		return refuse(out, CA_BAD_FORMAT,
		    "renew_max is at most 86400 s without a token");
	if (p->issuer_settle_ms > 3600000)
		return refuse(
		    out, CA_BAD_FORMAT, "issuer_settle is at most an hour");
	if (p->admin_signatures < 1 || p->admin_signatures > admins)
		return refuse(out, CA_BAD_FORMAT,
		    "admin_signatures must be from 1 to the number of "
		    "administrators, %zu",
		    admins);
	return E_OK;
}

static size_t admins_of(const struct ca_view *v)
{
	size_t n = 0;

	for (size_t i = 0; i < v->operators_n; i++)
		n += !v->operators[i].removed &&
		     (v->operators[i].roles & CA_ROLE_ADMIN) != 0;
	return n;
}

/* ---- Commands ------------------------------------------------------------ */

static enum code remove_node(struct ca *ca, const struct ca_view *v,
    const struct ca_node *had, struct ca_result *out, struct err *e)
{
	struct ca_node gone = *had;
	size_t live = 0;

	for (size_t i = 0; i < v->nodes_n; i++)
		live += !v->nodes[i].removed;
	if (had->removed)
		return refuse(out, CA_CONFLICT, "node %llu is removed already",
		    (unsigned long long)had->id);
	if (live == 1)
		return refuse(out, CA_CONFLICT, "node %llu is the last one",
		    (unsigned long long)had->id);
	gone.removed = true;
	return put_node(ca, &gone, e);
}

static enum code set_node(struct ca *ca, const struct ca_view *v,
    const struct ca_admin *c, struct ca_result *out, struct err *e)
{
	const struct ca_node *n = &c->u.set_node;
	const struct ca_node *had = ca_view_node(v, n->id);

	if (n->removed && had == NULL)
		return refuse(out, CA_NOT_FOUND, "there is no node %llu",
		    (unsigned long long)n->id);
	if (n->removed)
		return remove_node(ca, v, had, out, e);
	if (node_check(n, out) != E_OK || refused(out))
		return E_OK;
	if (had == NULL && n->id <= ca->meta.last_node_id)
		return refuse(out, CA_NODE_ID_USED,
		    "node ids are never used twice; the next is %llu",
		    (unsigned long long)ca->meta.last_node_id + 1);
	if (had != NULL && (had->removed || memcmp(had->mesh_key, n->mesh_key,
						CA_MESH_KEY_LEN) != 0))
		return refuse(out, CA_NODE_ID_USED,
		    "node %llu is another node; the next id is %llu",
		    (unsigned long long)n->id,
		    (unsigned long long)ca->meta.last_node_id + 1);
	for (size_t i = 0; i < v->nodes_n; i++)
		if (v->nodes[i].id != n->id &&
		    memcmp(v->nodes[i].mesh_key, n->mesh_key,
			CA_MESH_KEY_LEN) == 0)
			return refuse(out, CA_CONFLICT,
			    "node %llu has that mesh key",
			    (unsigned long long)v->nodes[i].id);
	if (n->id > ca->meta.last_node_id)
		ca->meta.last_node_id = n->id;
	return put_node(ca, n, e);
}

static enum code enter_issuer(struct ca *ca, struct span cert,
    const struct ca_cert_facts *f, const struct ca_node *n, struct err *e)
{
	struct ca_issuer is = {.node = n->id,
	    .name = n->cluster,
	    .cert = cert,
	    .spki = f->spki,
	    .not_before_s = f->not_before_s,
	    .not_after_s = f->not_after_s,
	    .added_ms = ca->meta.time_ms,
	    .state = CA_ISSUER_ACTIVE};

	memcpy(is.key_id, f->key_id, CA_KEY_ID_LEN);
	return put_issuer(ca, &is, e);
}

static enum code add_issuer(struct ca *ca, const struct ca_view *v,
    const struct ca_admin *c, struct ca_result *out, struct err *e)
{
	struct span cert = c->u.add_issuer.cert;
	const struct ca_node *n = ca_view_node(v, c->u.add_issuer.node);
	struct ca_cert_facts f = {0};
	struct err why = {0};
	enum code rc;

	rc = ca->crypto.issuer(ca->crypto.ctx, cert, v->root_cert, &f, &why);
	if (rc == E_INVAL)
		return refuse(out, CA_BAD_SIGNATURE, "%.180s", why.text);
	if (rc != E_OK)
		return err_set(e, rc, "%s", why.text);
	if (n == NULL || n->removed)
		return refuse(out, CA_NOT_FOUND, "there is no node %llu",
		    (unsigned long long)c->u.add_issuer.node);
	if (!n->has_issuer || memcmp(n->issuer, f.key_id, CA_KEY_ID_LEN) != 0)
		return refuse(out, CA_CONFLICT,
		    "node %llu is not registered with this issuer's key",
		    (unsigned long long)n->id);
	if (ca_view_issuer(v, f.key_id) != NULL)
		return refuse(
		    out, CA_CONFLICT, "this issuer is registered already");
	return enter_issuer(ca, cert, &f, n, e);
}

static enum code set_cluster(struct ca *ca, const struct ca_view *v,
    const struct ca_admin *c, struct ca_result *out, struct err *e)
{
	const struct ca_cluster *cl = &c->u.set_cluster;

	if (cl->removed && !cluster_serves(ca_view_cluster(v, cl->name)))
		return refuse(out, CA_NOT_FOUND, "there is no such cluster");
	if (cluster_check(v, cl, out) != E_OK || refused(out))
		return E_OK;
	return put_cluster(ca, cl, e);
}

static enum code set_policy(struct ca *ca, const struct ca_view *v,
    const struct ca_admin *c, struct ca_result *out, struct err *e)
{
	const struct ca_policy *p = &c->u.set_policy;

	if (policy_check(p, admins_of(v), out) != E_OK || refused(out))
		return E_OK;
	return put_policy(ca, p, e);
}

static enum code prune_tokens(
    struct ca *ca, const struct ca_view *v, struct err *e)
{
	enum code rc = E_OK;

	for (size_t i = 0; rc == E_OK && i < v->tokens_n; i++)
		if (v->tokens[i].expires_ms < ca->meta.time_ms)
			rc = state_del(ca, CA_T_TOKEN,
			    span_of(v->tokens[i].secret_hash, SHA256_LEN), e);
	return rc;
}

static enum code create_token(struct ca *ca, const struct ca_view *v,
    const struct ca_admin *c, struct ca_result *out, struct err *e)
{
	const struct ca_join_token *t = &c->u.create_join_token;
	enum code rc;

	if (!name_valid(t->cluster))
		return refuse(out, CA_BAD_FORMAT,
		    "a cluster's name is a DNS label in lower case");
	if (t->expires_ms <= ca->meta.time_ms)
		return refuse(out, CA_EXPIRED, "the token has expired");
	if (t->expires_ms - ca->meta.time_ms > CA_TOKEN_LIFE_MAX_MS)
		return refuse(
		    out, CA_BAD_FORMAT, "a token lives for seven days at most");
	for (size_t i = 0; i < v->tokens_n; i++)
		if (memcmp(v->tokens[i].secret_hash, t->secret_hash,
			SHA256_LEN) == 0)
			return refuse(
			    out, CA_CONFLICT, "there is such a token");
	if ((rc = prune_tokens(ca, v, e)) != E_OK)
		return rc;
	buf_clear(&ca->row);
	row_token(&ca->row, t);
	return put_row(ca, CA_T_TOKEN, span_of(t->secret_hash, SHA256_LEN), e);
}

static enum code set_operator(struct ca *ca, const struct ca_view *v,
    const struct ca_admin *c, struct ca_result *out, struct err *e)
{
	const struct ca_operator *o = &c->u.set_operator;
	const struct ca_operator *had = ca_view_operator(v, o->spki);
	const struct ca_view *after;
	enum code rc;

	if (operator_check(o, out) != E_OK || refused(out))
		return E_OK;
	if (o->removed && (had == NULL || had->removed))
		return refuse(out, CA_NOT_FOUND, "there is no such operator");
	for (size_t i = 0; i < v->operators_n; i++)
		if (!o->removed && !v->operators[i].removed &&
		    span_eq(v->operators[i].name, o->name) &&
		    !span_eq(v->operators[i].spki, o->spki))
			return refuse(
			    out, CA_CONFLICT, "another operator has that name");
	if ((rc = put_operator(ca, o, e)) != E_OK ||
	    (rc = ca_small(ca, &after, e)) != E_OK)
		return rc;
	if (admins_of(after) < after->policy.admin_signatures)
		return refuse(out, CA_CONFLICT,
		    "too few administrators would be left: policy wants %u "
		    "signatures",
		    after->policy.admin_signatures);
	return E_OK;
}

/* ---- Revocation ---------------------------------------------------------- */

static enum code revoke(struct ca *ca, const struct ca_view *v,
    const struct ca_admin *c, struct ca_result *out, struct err *e)
{
	(void)v;
	return apply_revoke(ca, &c->u.revoke, out, e);
}

static enum code lift_block(struct ca *ca, const struct ca_view *v,
    const struct ca_admin *c, struct ca_result *out, struct err *e)
{
	(void)v;
	return apply_lift(ca, &c->u.revoke, out, e);
}

static admin_fn *const admin_table[] = {
    [CA_ADMIN_SET_NODE] = set_node,
    [CA_ADMIN_ADD_ISSUER] = add_issuer,
    [CA_ADMIN_SET_CLUSTER] = set_cluster,
    [CA_ADMIN_SET_POLICY] = set_policy,
    [CA_ADMIN_CREATE_JOIN_TOKEN] = create_token,
    [CA_ADMIN_SET_OPERATOR] = set_operator,
    [CA_ADMIN_REVOKE] = revoke,
    [CA_ADMIN_RETIRE_ISSUER] = trust_retire_issuer,
    [CA_ADMIN_REVOKE_ISSUER] = trust_revoke_issuer,
    [CA_ADMIN_SET_TRUST_BUNDLE] = trust_set_bundle,
    [CA_ADMIN_LIFT_BLOCK] = lift_block,
    [CA_ADMIN_SET_ROOT_CRL] = trust_set_root_crl,
};
#define ADMIN_TABLE_LEN (sizeof(admin_table) / sizeof(*admin_table))

/* ---- The envelope -------------------------------------------------------- */

#define NONCE_KEY_LEN (8 + CA_NONCE_LEN)
static struct span nonce_key(
    uint8_t key[NONCE_KEY_LEN], const struct ca_envelope *env)
{
	put_u64be(key, env->expires_ms);
	memcpy(key + 8, env->nonce, CA_NONCE_LEN);
	return span_of(key, NONCE_KEY_LEN);
}

/* Nonces are kept for as long as their envelopes could be replayed. */
static enum code prune_nonces(struct ca *ca, struct err *e)
{
	uint8_t at[NONCE_KEY_LEN];
	struct span key, val;
	enum code rc;

	while ((rc = ca->db.ops->seek(ca->db.ctx, CA_T_NONCE, SPAN_EMPTY, false,
		    &key, &val, e)) == E_OK) {
		if (key.len != sizeof(at))
			return err_set(e, E_CORRUPT, "a nonce row's key");
		memcpy(at, key.p, sizeof(at));
		if (get_u64be(at) >= ca->meta.time_ms)
			return E_OK;
		rc = state_del(ca, CA_T_NONCE, span_of(at, sizeof(at)), e);
		if (rc != E_OK)
			return rc;
	}
	return rc == E_NOTFOUND ? E_OK : rc;
}

static enum code check_fresh(const struct ca *ca, const struct ca_view *v,
    const struct ca_envelope *env, struct ca_result *out, struct err *e)
{
	uint8_t key[NONCE_KEY_LEN];
	struct span val;
	enum code rc;

	if (!span_eq(env->trust_domain, v->trust_domain))
		return refuse(out, CA_WRONG_DOMAIN,
		    "the command is for another trust domain");
	if (env->expires_ms < ca->meta.time_ms)
		return refuse(out, CA_EXPIRED,
		    "the command has expired; sign it again, and compare this "
		    "machine's clock with the nodes'");
	if (env->expires_ms - ca->meta.time_ms > CA_ENVELOPE_LIFE_MAX_MS)
		return refuse(out, CA_BAD_FORMAT,
		    "a command is signed for a day at most; compare this "
		    "machine's clock with the nodes'");
	if (env->commands_n == 0)
		return refuse(out, CA_BAD_FORMAT, "no command is in it");
	rc = state_get(ca, CA_T_NONCE, nonce_key(key, env), &val, e);
	if (rc == E_OK)
		return refuse(
		    out, CA_REPLAYED, "this command was applied before");
	return rc == E_NOTFOUND ? E_OK : rc;
}

uint32_t ca_roles_for(const struct ca_envelope *env)
{
	for (size_t i = 0; i < env->commands_n; i++)
		if (env->commands[i].kind != CA_ADMIN_REVOKE)
			return CA_ROLE_ADMIN;
	return CA_ROLE_ADMIN | CA_ROLE_REVOKER;
}

static enum code check_signatures(const struct ca *ca, const struct ca_view *v,
    const struct ca_envelope *env, struct ca_result *out, struct err *e)
{
	uint32_t roles = ca_roles_for(env);
	struct err why = {0};
	enum code rc;

	for (size_t i = 0; i < env->signatures_n; i++) {
		const struct ca_signature *s = &env->signatures[i];
		const struct ca_operator *o = ca_view_operator(v, s->spki);

		for (size_t k = 0; k < i; k++)
			if (span_eq(env->signatures[k].spki, s->spki))
				return refuse(out, CA_BAD_SIGNATURE,
				    "one operator signed twice");
		if (o == NULL || o->removed || (o->roles & roles) == 0)
			return refuse(out, CA_NOT_OPERATOR,
			    "signature %zu is not of an operator who may order "
			    "this",
			    i + 1);
		rc = ca->crypto.verify(
		    ca->crypto.ctx, s->spki, env->signed_bytes, s->sig, &why);
		if (rc == E_INVAL)
			return refuse(out, CA_BAD_SIGNATURE,
			    "signature %zu does not verify", i + 1);
		if (rc != E_OK)
			return err_set(e, rc, "%s", why.text);
	}
	if (env->signatures_n < v->policy.admin_signatures)
		return refuse(out, CA_NOT_OPERATOR,
		    "%zu of %u signatures that policy wants", env->signatures_n,
		    v->policy.admin_signatures);
	return E_OK;
}

static enum code run_commands(struct ca *ca, const struct ca_envelope *env,
    struct ca_result *out, struct err *e)
{
	enum code rc = E_OK;

	for (size_t i = 0; rc == E_OK && !refused(out) && i < env->commands_n;
	     i++) {
		const struct ca_admin *c = &env->commands[i];
		struct ca_view *held;
		const struct ca_view *v;

		if ((unsigned)c->kind >= ADMIN_TABLE_LEN ||
		    admin_table[c->kind] == NULL)
			return refuse(out, CA_BAD_FORMAT,
			    "command %zu is of a kind not known here", i + 1);
		if ((rc = ca_small(ca, &v, e)) != E_OK)
			return rc;
		/* The command may replace the view that it reads. */
		held = ca_view_ref(ca->view);
		rc = admin_table[c->kind](ca, v, c, out, e);
		ca_view_unref(held);
	}
	return rc;
}

enum code apply_admin(struct ca *ca, const struct ca_envelope *env,
    struct ca_result *out, struct err *e)
{
	uint64_t last_node_id = ca->meta.last_node_id,
		 policy_version = ca->meta.policy_version;
	uint8_t key[NONCE_KEY_LEN];
	const struct ca_view *v;
	enum code rc;

	if ((rc = ca_small(ca, &v, e)) != E_OK ||
	    (rc = check_fresh(ca, v, env, out, e)) != E_OK || refused(out) ||
	    (rc = check_signatures(ca, v, env, out, e)) != E_OK || refused(out))
		return rc;
	state_journal(ca);
	if ((rc = run_commands(ca, env, out, e)) != E_OK)
		return rc;
	if (refused(out)) {
		rc = state_undo(ca, e);
		ca->meta.last_node_id = last_node_id;
		ca->meta.policy_version = policy_version;
		small_changed(ca);
		ca->admin_changed = false;
	} else {
		state_keep(ca);
	}
	/* Refused or not, it is not to be tried again. */
	if (rc == E_OK)
		rc = prune_nonces(ca, e);
	if (rc == E_OK)
		rc = state_put(
		    ca, CA_T_NONCE, nonce_key(key, env), SPAN_EMPTY, e);
	return rc;
}

/* ---- Genesis and refresh ------------------------------------------------- */

static enum code genesis_check(struct ca *ca, const struct ca_genesis *g,
    struct ca_cert_facts *root, struct ca_cert_facts *issuer,
    struct ca_result *out, struct err *e)
{
	struct err why = {0};
	enum code rc;

	rc = ca->crypto.root(ca->crypto.ctx, g->root_cert, root, &why);
	if (rc == E_OK)
		rc = ca->crypto.issuer(
		    ca->crypto.ctx, g->issuer_cert, g->root_cert, issuer, &why);
	if (rc == E_INVAL)
		return refuse(out, CA_BAD_SIGNATURE, "%.180s", why.text);
	if (rc != E_OK)
		return err_set(e, rc, "%s", why.text);
	rc = ca->crypto.verify(
	    ca->crypto.ctx, root->spki, g->signed_bytes, g->signature, &why);
	if (rc == E_INVAL)
		return refuse(out, CA_BAD_SIGNATURE,
		    "Genesis is not signed with the root key");
	if (rc != E_OK)
		return err_set(e, rc, "%s", why.text);
	if (g->trust_domain.len == 0 || g->node.id != 1 ||
	    !g->node.has_issuer ||
	    memcmp(g->node.issuer, issuer->key_id, CA_KEY_ID_LEN) != 0 ||
	    (g->op.roles & CA_ROLE_ADMIN) == 0 || g->op.removed ||
	    g->node.removed || g->cluster.removed)
		return refuse(out, CA_BAD_FORMAT,
		    "Genesis needs a trust domain, node 1 with the issuer, and "
		    "an administrator");
	if (node_check(&g->node, out) != E_OK || refused(out) ||
	    operator_check(&g->op, out) != E_OK || refused(out) ||
	    cluster_check(NULL, &g->cluster, out) != E_OK || refused(out))
		return E_OK;
	return policy_check(&g->policy, 1, out);
}

static enum code put_meta(
    struct ca *ca, const char *name, struct span val, struct err *e)
{
	return state_put(ca, CA_T_META, span_str(name), val, e);
}

enum code apply_genesis(struct ca *ca, const struct ca_genesis *g,
    struct span raw, struct ca_result *out, struct err *e)
{
	struct ca_cert_facts root = {0}, issuer = {0};
	enum code rc = genesis_check(ca, g, &root, &issuer, out, e);

	if (rc != E_OK || refused(out))
		return rc;
	ca->meta.genesis_ms = ca->meta.time_ms;
	ca->meta.last_node_id = g->node.id;
	if ((rc = put_meta(ca, META_TRUST_DOMAIN, g->trust_domain, e)) !=
		E_OK ||
	    (rc = put_meta(ca, META_ROOT_CERT, g->root_cert, e)) != E_OK ||
	    (rc = put_meta(ca, META_ROOT_CRL, g->root_crl, e)) != E_OK ||
	    (rc = put_meta(ca, META_GENESIS, raw, e)) != E_OK ||
	    (rc = put_operator(ca, &g->op, e)) != E_OK ||
	    (rc = put_cluster(ca, &g->cluster, e)) != E_OK ||
	    (rc = put_node(ca, &g->node, e)) != E_OK ||
	    (rc = put_policy(ca, &g->policy, e)) != E_OK ||
	    (rc = enter_issuer(ca, g->issuer_cert, &issuer, &g->node, e)) !=
		E_OK)
		return rc;
	ca->started = true;
	return E_OK;
}

enum code apply_refresh(struct ca *ca, const struct ca_entry *en,
    struct ca_result *out, struct err *e)
{
	const struct ca_refresh_keys *r = &en->u.refresh;
	const struct ca_cluster *had;
	const struct ca_node *n;
	const struct ca_view *v;
	struct ca_cluster next;
	enum code rc = ca_small(ca, &v, e);

	if (rc != E_OK)
		return rc;
	n = ca_view_node(v, r->node);
	had = ca_view_cluster(v, r->cluster);
	if (n == NULL || n->removed || en->proposer != r->node ||
	    !span_eq(n->cluster, r->cluster))
		return refuse(out, CA_NOT_ALLOWED,
		    "a node refreshes the keys of its own cluster only");
	if (!cluster_serves(had))
		return refuse(
		    out, CA_NOT_FOUND, "the cluster is not registered");
	next = *had;
	memcpy(next.keys, r->keys, sizeof(next.keys));
	next.keys_n = r->keys_n;
	if (cluster_check(v, &next, out) != E_OK || refused(out))
		return E_OK;
	return put_cluster(ca, &next, e);
}
