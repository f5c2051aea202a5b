/* trust.c -- what operators and the root signed, checked once more.
 *
 * The node feeds what its state machine applied; the signer takes nobody's word
 * for who may order what.  It follows src/ca's rules as far as they decide whom
 * it signs for; clusters and join tokens do not. */
#include <stdlib.h>
#include <string.h>

#include "signer/internal.h"

/* ---- Memory -------------------------------------------------------------- */

static void node_free(struct trust_node *n)
{
	buf_free(&n->api_spki);
	buf_free(&n->names);
}

void trust_free(struct trust *t)
{
	for (size_t i = 0; i < t->nodes_n; i++)
		node_free(&t->nodes[i]);
	free(t->nodes);
	free(t->operators);
	buf_free(&t->trust_domain);
	buf_free(&t->root);
	buf_free(&t->genesis);
	buf_free(&t->issuer_name);
	buf_free(&t->issuer_cert);
	*t = (struct trust){0};
}

static bool copy_buf(struct buf *out, const struct buf *in)
{
	buf_init(out);
	return buf_add_span(out, buf_span(in));
}

static bool copy_nodes(struct trust *out, const struct trust *in)
{
	out->nodes = calloc(in->nodes_n + CA_BATCH_MAX, sizeof(*out->nodes));
	if (out->nodes == NULL)
		return false;
	for (size_t i = 0; i < in->nodes_n; i++) {
		struct trust_node *n = &out->nodes[out->nodes_n++];

		*n = in->nodes[i];
		buf_init(&n->api_spki);
		buf_init(&n->names);
		if (!buf_add_span(
			&n->api_spki, buf_span(&in->nodes[i].api_spki)) ||
		    !buf_add_span(&n->names, buf_span(&in->nodes[i].names)))
			return false;
	}
	return true;
}

static bool copy_operators(struct trust *out, const struct trust *in)
{
	out->operators =
	    calloc(in->operators_n + CA_BATCH_MAX, sizeof(*out->operators));
	if (out->operators == NULL)
		return false;
	for (size_t i = 0; i < in->operators_n; i++)
		out->operators[i] = in->operators[i];
	out->operators_n = in->operators_n;
	return true;
}

/* A copy that one envelope's commands may change: there is room for what they
 * add.  To be freed whether or not this succeeds. */
static enum code trust_copy(
    struct trust *out, const struct trust *in, struct err *e)
{
	bool ok;

	*out = *in;
	out->nodes_n = out->operators_n = 0;
	ok = copy_buf(&out->trust_domain, &in->trust_domain);
	ok = copy_buf(&out->root, &in->root) && ok;
	ok = copy_buf(&out->genesis, &in->genesis) && ok;
	ok = copy_buf(&out->issuer_name, &in->issuer_name) && ok;
	ok = copy_buf(&out->issuer_cert, &in->issuer_cert) && ok;
	ok = copy_nodes(out, in) && ok;
	ok = copy_operators(out, in) && ok;
	if (!ok)
		(void)err_nomem(e);
	return ok ? E_OK : E_NOMEM;
}

/* ---- Envelopes seen ------------------------------------------------------ */

/* Where hash is, or would be. */
static size_t seen_at(
    const struct trust_seen *s, const uint8_t hash[SHA256_LEN], bool *found)
{
	size_t from = 0, to = s->n;

	*found = false;
	while (from < to && !*found) {
		size_t mid = from + (to - from) / 2;
		int order = memcmp(hash, s->v[mid], SHA256_LEN);

		if (order > 0)
			from = mid + 1;
		else
			to = mid;
		*found = order == 0;
	}
	return *found ? to : from;
}

/* Room for one more. */
static enum code seen_reserve(struct trust_seen *s, struct err *e)
{
	size_t cap = s->cap == 0 ? 64 : 2 * s->cap;
	void *p;

	if (s->n < s->cap)
		return E_OK;
	p = realloc(s->v, cap * sizeof(*s->v));
	if (p == NULL)
		return err_nomem(e);
	s->v = p;
	s->cap = cap;
	return E_OK;
}

static void seen_add(struct trust_seen *s, const uint8_t hash[SHA256_LEN])
{
	bool found;
	size_t at = seen_at(s, hash, &found);

	memmove(s->v[at + 1], s->v[at], (s->n - at) * sizeof(*s->v));
	memcpy(s->v[at], hash, SHA256_LEN);
	s->n++;
}

/* ---- Rows ---------------------------------------------------------------- */

static struct trust_node *node_of(const struct trust *t, uint64_t id)
{
	for (size_t i = 0; i < t->nodes_n; i++)
		if (t->nodes[i].id == id)
			return &t->nodes[i];
	return NULL;
}

const struct trust_node *trust_node(const struct trust *t, uint64_t id)
{
	return node_of(t, id);
}

static struct trust_operator *operator_of(
    const struct trust *t, struct span spki)
{
	for (size_t i = 0; i < t->operators_n; i++)
		if (span_eq(spki, span_of(t->operators[i].spki,
				      sizeof(t->operators[i].spki))))
			return &t->operators[i];
	return NULL;
}

static size_t admins_of(const struct trust *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->operators_n; i++)
		n += (t->operators[i].roles & CA_ROLE_ADMIN) != 0;
	return n;
}

/* The row of a node, new or not; t is a trust_copy. */
static enum code put_node(
    struct trust *t, const struct ca_node *in, struct err *e)
{
	struct trust_node *n = node_of(t, in->id);
	bool ok = true;

	if (n == NULL) {
		n = &t->nodes[t->nodes_n++];
		n->id = in->id;
		memcpy(n->mesh_key, in->mesh_key, CA_MESH_KEY_LEN);
	}
	memcpy(n->cluster, in->cluster.p, in->cluster.len);
	n->cluster[in->cluster.len] = '\0';
	n->has_issuer = in->has_issuer;
	memcpy(n->issuer, in->issuer, CA_KEY_ID_LEN);
	buf_clear(&n->api_spki);
	buf_clear(&n->names);
	ok = buf_add_span(&n->api_spki, in->api_spki);
	for (size_t i = 0; i < in->api_addresses_n; i++)
		ok = ok && buf_add_span(&n->names, in->api_addresses[i]) &&
		     buf_add_u8(&n->names, 0);
	if (in->id > t->last_node_id)
		t->last_node_id = in->id;
	return ok ? E_OK : err_nomem(e);
}

/* The row of an operator, new or not; t is a trust_copy. */
static void put_operator(struct trust *t, const struct ca_operator *in)
{
	struct trust_operator *had = operator_of(t, in->spki);
	struct trust_operator row = {.roles = in->roles};

	memcpy(row.spki, in->spki.p, sizeof(row.spki));
	if (had != NULL)
		*had = row;
	else
		t->operators[t->operators_n++] = row;
}

/* ---- What cannot be ------------------------------------------------------ */

static enum code node_check(const struct ca_node *n, struct err *e)
{
	if (n->id == 0 || n->cluster.len == 0 || n->cluster.len > CA_NAME_MAX)
		return err_set(e, E_DENIED, "a node has an id and a cluster");
	if (n->api_spki.len == 0)
		return err_set(e, E_DENIED, "a node has an API key");
	return E_OK;
}

static enum code operator_check(const struct ca_operator *o, struct err *e)
{
	if (o->spki.len != CA_P256_SPKI_LEN)
		return err_set(e, E_DENIED, "an operator's key is on P-256");
	return E_OK;
}

static enum code policy_check(
    const struct ca_policy *p, size_t admins, struct err *e)
{
	if (p->ttl_max_s < 60 || p->ttl_max_s > CA_LEAF_LIFE_MAX_S)
		return err_set(e, E_DENIED, "ttl_max must be from 60 s to %d s",
		    CA_LEAF_LIFE_MAX_S);
	if (p->ttl_default_s < 60 || p->ttl_default_s > p->ttl_max_s)
		return err_set(
		    e, E_DENIED, "ttl_default must be from 60 s to ttl_max");
	if (p->admin_signatures < 1 || p->admin_signatures > admins)
		return err_set(e, E_DENIED,
		    "admin_signatures must be from 1 to %zu, the number of "
		    "administrators",
		    admins);
	return E_OK;
}

/* ---- The issuer's certificate -------------------------------------------- */

/* A certificate that the root signed: the signer's own is kept. */
static enum code take_issuer(struct trust *t, struct span cert,
    const struct trust_node *n, struct err *e)
{
	struct ca_crypto crypto = pki_ca_crypto();
	struct ca_cert_facts f;
	struct pki_issuer is;
	enum code rc;

	rc = crypto.issuer(crypto.ctx, cert, buf_span(&t->root), &f, e);
	if (rc != E_OK)
		return rc == E_INVAL ? E_DENIED : rc;
	if (n == NULL || n->removed || !n->has_issuer ||
	    memcmp(n->issuer, f.key_id, CA_KEY_ID_LEN) != 0)
		return err_set(
		    e, E_DENIED, "no node is registered with this issuer");
	if (memcmp(t->own, f.key_id, CA_KEY_ID_LEN) != 0)
		return E_OK;
	if (t->has_issuer)
		return err_set(
		    e, E_DENIED, "this issuer has a certificate already");
	if ((rc = pki_issuer_from_cert(cert, &is, e)) != E_OK)
		return rc;
	if (!buf_add_span(&t->issuer_name, is.name) ||
	    !buf_add_span(&t->issuer_cert, cert))
		return err_nomem(e);
	t->not_before_s = f.not_before_s;
	t->not_after_s = f.not_after_s;
	t->node = n->id;
	t->has_issuer = true;
	return E_OK;
}

/* ---- Commands ------------------------------------------------------------ */

static enum code remove_node(
    struct trust *t, struct trust_node *n, struct err *e)
{
	size_t live = 0;

	for (size_t i = 0; i < t->nodes_n; i++)
		live += !t->nodes[i].removed;
	if (n == NULL || n->removed || live == 1)
		return err_set(e, E_DENIED,
		    "there is no such node, or it is the last one");
	n->removed = true;
	return E_OK;
}

static enum code set_node(
    struct trust *t, const struct ca_admin *c, struct err *e)
{
	const struct ca_node *n = &c->u.set_node;
	struct trust_node *had = node_of(t, n->id);
	enum code rc;

	if (n->removed)
		return remove_node(t, had, e);
	if ((rc = node_check(n, e)) != E_OK)
		return rc;
	if (had == NULL ? n->id <= t->last_node_id
			: had->removed || memcmp(had->mesh_key, n->mesh_key,
					      CA_MESH_KEY_LEN) != 0)
		return err_set(e, E_DENIED, "node %llu is another node",
		    (unsigned long long)n->id);
	return put_node(t, n, e);
}

static enum code add_issuer(
    struct trust *t, const struct ca_admin *c, struct err *e)
{
	return take_issuer(
	    t, c->u.add_issuer.cert, node_of(t, c->u.add_issuer.node), e);
}

static enum code set_policy(
    struct trust *t, const struct ca_admin *c, struct err *e)
{
	uint64_t version = t->policy.version + 1;
	enum code rc = policy_check(&c->u.set_policy, admins_of(t), e);

	if (rc != E_OK)
		return rc;
	t->policy = c->u.set_policy;
	t->policy.version = version;
	return E_OK;
}

static enum code set_operator(
    struct trust *t, const struct ca_admin *c, struct err *e)
{
	const struct ca_operator *o = &c->u.set_operator;
	struct trust_operator *had = operator_of(t, o->spki);
	enum code rc = operator_check(o, e);

	if (rc != E_OK)
		return rc;
	if (!o->removed)
		put_operator(t, o);
	else if (had != NULL)
		*had = t->operators[--t->operators_n];
	else
		return err_set(e, E_DENIED, "there is no such operator");
	if (admins_of(t) < t->policy.admin_signatures)
		return err_set(
		    e, E_DENIED, "too few administrators would be left");
	return E_OK;
}

/* It signs no leaf any more. */
static enum code end_issuer(struct trust *t, const uint8_t *key_id)
{
	if (memcmp(t->own, key_id, CA_KEY_ID_LEN) == 0)
		t->ended = true;
	return E_OK;
}

/* Clusters, join tokens and what is revoked are the node's to keep. */
static enum code run_command(
    struct trust *t, const struct ca_admin *c, struct err *e)
{
	switch (c->kind) {
	case CA_ADMIN_SET_NODE: return set_node(t, c, e);
	case CA_ADMIN_ADD_ISSUER: return add_issuer(t, c, e);
	case CA_ADMIN_SET_POLICY: return set_policy(t, c, e);
	case CA_ADMIN_SET_OPERATOR: return set_operator(t, c, e);
	case CA_ADMIN_RETIRE_ISSUER: return end_issuer(t, c->u.retire_issuer);
	case CA_ADMIN_REVOKE_ISSUER:
		return end_issuer(t, c->u.revoke_issuer.issuer);
	case CA_ADMIN_SET_CLUSTER:
	case CA_ADMIN_CREATE_JOIN_TOKEN:
	case CA_ADMIN_REVOKE:
	case CA_ADMIN_LIFT_BLOCK:
	case CA_ADMIN_SET_TRUST_BUNDLE:
	case CA_ADMIN_SET_ROOT_CRL: return E_OK;
	}
	return err_set(e, E_DENIED, "a command of a kind not known here");
}

/* ---- The envelope -------------------------------------------------------- */

static enum code check_signatures(
    const struct trust *t, const struct ca_envelope *env, struct err *e)
{
	uint32_t roles = ca_roles_for(env);

	for (size_t i = 0; i < env->signatures_n; i++) {
		const struct ca_signature *s = &env->signatures[i];
		const struct trust_operator *o = operator_of(t, s->spki);

		for (size_t k = 0; k < i; k++)
			if (span_eq(env->signatures[k].spki, s->spki))
				return err_set(
				    e, E_DENIED, "one operator signed twice");
		if (o == NULL || (o->roles & roles) == 0)
			return err_set(e, E_DENIED,
			    "signature %zu is not of an operator who may order "
			    "this",
			    i + 1);
		if (!pki_verify(s->spki, env->signed_bytes, s->sig))
			return err_set(e, E_DENIED,
			    "signature %zu does not verify", i + 1);
	}
	if (env->signatures_n < t->policy.admin_signatures)
		return err_set(e, E_DENIED,
		    "%zu of %u signatures that policy wants", env->signatures_n,
		    t->policy.admin_signatures);
	return E_OK;
}

/* Time is the entries' own, made monotone: an envelope that was held back is
 * refused once a later one was taken that came after its expiry. */
static enum code check_envelope(const struct trust *t,
    const struct ca_envelope *env, uint64_t time_ms, struct err *e)
{
	if (!span_eq(env->trust_domain, buf_span(&t->trust_domain)))
		return err_set(
		    e, E_DENIED, "the command is for another trust domain");
	if (env->expires_ms < time_ms)
		return err_set(e, E_DENIED, "the command has expired");
	if (env->commands_n == 0)
		return err_set(e, E_DENIED, "no command is in it");
	return check_signatures(t, env, e);
}

/* All commands on a copy, which becomes *t if none is refused. */
static enum code run_commands(struct trust *t, const struct ca_envelope *env,
    uint64_t time_ms, struct err *e)
{
	struct trust next = {0}, had;
	enum code rc = trust_copy(&next, t, e);

	for (size_t i = 0; rc == E_OK && i < env->commands_n; i++)
		rc = run_command(&next, &env->commands[i], e);
	if (rc == E_OK) {
		next.time_ms = time_ms;
		had = *t;
		*t = next;
		next = had;
	}
	trust_free(&next);
	return rc;
}

static enum code take_envelope(struct trust *t, struct trust_seen *seen,
    const struct ca_envelope *env, uint64_t time_ms, struct err *e)
{
	uint8_t hash[SHA256_LEN];
	bool found;
	enum code rc;

	if (!t->started)
		return err_set(e, E_CONFLICT, "Genesis comes first");
	sha256_of(hash, env->signed_bytes);
	(void)seen_at(seen, hash, &found);
	if (found)
		return E_OK;
	if (time_ms < t->time_ms)
		time_ms = t->time_ms;
	if ((rc = check_envelope(t, env, time_ms, e)) != E_OK ||
	    (rc = seen_reserve(seen, e)) != E_OK ||
	    (rc = run_commands(t, env, time_ms, e)) != E_OK)
		return rc;
	seen_add(seen, hash);
	return E_OK;
}

/* ---- Genesis ------------------------------------------------------------- */

static enum code check_genesis(const struct ca_genesis *g, struct err *e)
{
	struct ca_crypto crypto = pki_ca_crypto();
	struct ca_cert_facts root;
	enum code rc = crypto.root(crypto.ctx, g->root_cert, &root, e);

	if (rc != E_OK)
		return rc == E_INVAL ? E_DENIED : rc;
	if (!pki_verify(root.spki, g->signed_bytes, g->signature))
		return err_set(
		    e, E_DENIED, "Genesis is not signed with the root key");
	if (g->trust_domain.len == 0 || g->node.id != 1 ||
	    (g->op.roles & CA_ROLE_ADMIN) == 0)
		return err_set(e, E_DENIED,
		    "Genesis needs a trust domain, node 1 and an "
		    "administrator");
	if ((rc = node_check(&g->node, e)) != E_OK ||
	    (rc = operator_check(&g->op, e)) != E_OK)
		return rc;
	return policy_check(&g->policy, 1, e);
}

static enum code fill_genesis(
    struct trust *t, const struct ca_genesis *g, struct err *e)
{
	enum code rc = put_node(t, &g->node, e);

	if (rc != E_OK)
		return rc;
	if (!buf_add_span(&t->trust_domain, g->trust_domain) ||
	    !buf_add_span(&t->root, g->root_cert) ||
	    !buf_add_span(&t->genesis, g->signed_bytes))
		return err_nomem(e);
	put_operator(t, &g->op);
	t->policy = g->policy;
	t->policy.version = 1;
	t->started = true;
	return take_issuer(t, g->issuer_cert, node_of(t, g->node.id), e);
}

static enum code take_genesis(struct trust *t, const struct ca_genesis *g,
    uint64_t time_ms, struct err *e)
{
	struct trust next = {0};
	enum code rc;

	if (t->started && span_eq(g->signed_bytes, buf_span(&t->genesis)))
		return E_OK;
	if (t->started)
		return err_set(e, E_DENIED, "this is another Genesis");
	if ((rc = check_genesis(g, e)) != E_OK)
		return rc;
	rc = trust_copy(&next, t, e);
	if (rc == E_OK)
		rc = fill_genesis(&next, g, e);
	if (rc != E_OK) {
		trust_free(&next);
		return rc;
	}
	trust_free(t);
	*t = next;
	t->time_ms = time_ms;
	return E_OK;
}

/* ---- One entry ----------------------------------------------------------- */

enum code trust_feed(
    struct trust *t, struct trust_seen *seen, struct span raw, struct err *e)
{
	struct ca_entry *en = calloc(1, sizeof(*en));
	struct wire_memory *mem = NULL;
	enum code rc;

	if (en == NULL)
		return err_nomem(e);
	rc = wire_entry_decode(raw, en, &mem, e);
	if (rc == E_OK && en->format != CA_FORMAT_VERSION)
		rc = err_set(e, E_INVAL, "entry format %u is not known here",
		    en->format);
	else if (rc == E_OK && en->kind == CA_GENESIS)
		rc = take_genesis(t, &en->u.genesis, en->time_ms, e);
	else if (rc == E_OK && en->kind == CA_ADMIN)
		rc = take_envelope(t, seen, &en->u.admin, en->time_ms, e);
	else if (rc == E_OK)
		rc = err_set(e, E_INVAL, "not an administrative entry");
	wire_free(mem);
	free(en);
	return rc;
}
