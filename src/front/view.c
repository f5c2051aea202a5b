/* view.c -- GET /v1/view: the small state, by the names of ca/types.h. */
#include "front/http.h"

static json_t *key_json(const struct ca_token_key *k)
{
	json_t *o = json_object();

	json_set(o, "kid", json_span(k->kid));
	json_set(o, "alg", json_span(k->alg));
	json_set(o, "spki", json_base64(k->spki));
	return o;
}

static json_t *cluster_json(const struct ca_cluster *c)
{
	json_t *o = json_object(), *keys = json_array();

	for (size_t i = 0; i < c->keys_n; i++)
		json_array_append_new(keys, key_json(&c->keys[i]));
	json_set(o, "name", json_span(c->name));
	json_set(o, "keys", keys);
	json_set(o, "issuer", json_span(c->issuer));
	json_set(o, "audiences", json_spans(c->audiences, c->audiences_n));
	json_set(o, "aliases", json_spans(c->aliases, c->aliases_n));
	json_set(o, "api_address", json_span(c->api_address));
	json_set(o, "namespaces", json_spans(c->namespaces, c->namespaces_n));
	json_set(o, "removed", json_boolean(c->removed));
	return o;
}

static json_t *node_json(const struct ca_node *n)
{
	json_t *o = json_object();

	json_set(o, "id", json_u64(n->id));
	json_set(o, "cluster", json_span(n->cluster));
	json_set(o, "mesh_key", json_hex(n->mesh_key, sizeof(n->mesh_key)));
	json_set(o, "mesh_address", json_span(n->mesh_address));
	json_set(o, "api_addresses",
	    json_spans(n->api_addresses, n->api_addresses_n));
	json_set(o, "api_spki", json_base64(n->api_spki));
	json_set(o, "log_key", json_hex(n->log_key, sizeof(n->log_key)));
	json_set(o, "has_issuer", json_boolean(n->has_issuer));
	json_set(o, "issuer",
	    n->has_issuer ? json_hex(n->issuer, sizeof(n->issuer))
			  : json_null());
	json_set(o, "removed", json_boolean(n->removed));
	return o;
}

const char *issuer_state_name(enum ca_issuer_state s)
{
	switch (s) {
	case CA_ISSUER_ACTIVE: return "active";
	case CA_ISSUER_RETIRED: return "retired";
	case CA_ISSUER_REVOKED: return "revoked";
	}
	return "unknown";
}

static json_t *issuer_json(const struct ca_issuer *i)
{
	json_t *o = json_object();

	json_set(o, "key_id", json_hex(i->key_id, sizeof(i->key_id)));
	json_set(o, "node", json_u64(i->node));
	json_set(o, "name", json_span(i->name));
	json_set(o, "cert", json_base64(i->cert));
	json_set(o, "spki", json_base64(i->spki));
	json_set(o, "not_before", json_time_s(i->not_before_s));
	json_set(o, "not_after", json_time_s(i->not_after_s));
	json_set(o, "added", json_time_ms(i->added_ms));
	json_set(o, "state", json_string(issuer_state_name(i->state)));
	return o;
}

static json_t *operator_json(const struct ca_operator *p)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} roles[] = {{CA_ROLE_ADMIN, "admin"}, {CA_ROLE_REVOKER, "revoker"},
	    {CA_ROLE_AUDITOR, "auditor"}};
	json_t *o = json_object(), *names = json_array();

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if ((p->roles & roles[i].bit) != 0)
			json_array_append_new(
			    names, json_string(roles[i].name));
	json_set(o, "name", json_span(p->name));
	json_set(o, "spki", json_base64(p->spki));
	json_set(o, "roles", names);
	json_set(o, "removed", json_boolean(p->removed));
	return o;
}

static json_t *policy_json(const struct ca_policy *p)
{
	json_t *o = json_object();

	json_set(o, "version", json_u64(p->version));
	json_set(o, "ttl_default_s", json_u64(p->ttl_default_s));
	json_set(o, "ttl_max_s", json_u64(p->ttl_max_s));
	json_set(o, "renew_max_s", json_u64(p->renew_max_s));
	json_set(o, "issuer_settle_ms", json_u64(p->issuer_settle_ms));
	json_set(o, "quota_identity_per_h", json_u64(p->quota_identity_per_h));
	json_set(o, "quota_cluster_per_h", json_u64(p->quota_cluster_per_h));
	json_set(o, "admin_signatures", json_u64(p->admin_signatures));
	json_set(o, "name_constraints", json_boolean(p->name_constraints));
	return o;
}

static json_t *crl_json(const struct ca_crl *c)
{
	json_t *o = json_object();

	json_set(o, "issuer", json_hex(c->issuer, sizeof(c->issuer)));
	json_set(o, "number", json_u64(c->number));
	json_set(o, "this_update", json_time_s(c->this_s));
	json_set(o, "next_update", json_time_s(c->next_s));
	json_set(o, "entries", json_u64(c->entries));
	json_set(o, "signed_index", json_u64(c->signed_index));
	json_set(o, "content_index", json_u64(c->content_index));
	json_set(o, "dirty_index", json_u64(c->dirty_index));
	json_set(o, "frozen_number", json_u64(c->frozen_number));
	json_set(o, "dirty",
	    json_boolean(c->number == 0 || c->dirty_index > c->frozen_index ||
			 c->number != c->frozen_number));
	return o;
}

static json_t *bundle_json_of(const struct ca_bundle *b)
{
	json_t *o = json_object(), *certs = json_array();

	for (size_t i = 0; i < b->certs_n; i++)
		json_array_append_new(certs, json_base64(b->certs[i]));
	json_set(o, "trust_domain", json_span(b->trust_domain));
	json_set(o, "certs", certs);
	json_set(o, "sequence", json_u64(b->sequence));
	return o;
}

#define LIST(o, v, name, one)                                                  \
	do {                                                                   \
		json_t *list_ = json_array();                                  \
		for (size_t i_ = 0; i_ < (v)->name##_n; i_++)                  \
			json_array_append_new(list_, one(&(v)->name[i_]));     \
		json_set(o, #name, list_);                                     \
	} while (0)

static json_t *view_json(const struct ca_view *v)
{
	json_t *o = json_object();

	json_set(o, "trust_domain", json_span(v->trust_domain));
	json_set(o, "applied", json_u64(v->applied));
	json_set(o, "root", json_base64(v->root_cert));
	json_set(o, "root_crl", json_base64(v->root_crl));
	json_set(o, "genesis", json_base64(v->genesis_raw));
	json_set(o, "genesis_time", json_time_ms(v->genesis_ms));
	json_set(o, "policy", policy_json(&v->policy));
	LIST(o, v, clusters, cluster_json);
	LIST(o, v, nodes, node_json);
	LIST(o, v, issuers, issuer_json);
	LIST(o, v, operators, operator_json);
	LIST(o, v, crls, crl_json);
	LIST(o, v, bundles, bundle_json_of);
	return o;
}

static json_t *published(const struct exchange *x)
{
	uint64_t index = x->front->ops.published(x->front->ops.ctx);

	return index == UINT64_MAX ? json_null() : json_u64(index);
}

enum code view_get(struct exchange *x, struct err *e)
{
	struct ca_view *v = NULL;
	struct read r;
	enum code rc = read_open(&r, x, e);

	if (rc != E_OK)
		return rc;
	rc = ca_view_load(r.ca, &v, e);
	read_close(&r);
	if (rc == E_OK) {
		json_t *o = view_json(v);

		json_set(o, "published", published(x));
		rc = json_finish(x, o, e);
	}
	ca_view_unref(v);
	return rc;
}

/* ---- GET /v1/blocks ---- */

static json_t *block_json(const struct ca_block *b)
{
	json_t *o = json_object();

	json_set(o, "kind",
	    json_string(b->by == CA_REVOKE_POD ? "pod" : "identity"));
	json_set(o, "what", json_span(b->what));
	json_set(o, "since", json_time_ms(b->since_ms));
	json_set(o, "reason", json_string(ca_reason_name(b->reason)));
	return o;
}

enum code blocks_list(struct exchange *x, struct err *e)
{
	uint8_t key[CA_BLOCK_KEY_LEN] = {0};
	json_t *o, *list;
	struct ca_block b;
	struct read r;
	enum code rc = read_open(&r, x, e);

	if (rc != E_OK)
		return rc;
	o = json_object();
	list = json_array();
	while ((rc = ca_block_next(r.ca, key, &b, e)) == E_OK)
		json_array_append_new(list, block_json(&b));
	read_close(&r);
	json_set(o, "blocks", list);
	if (rc == E_NOTFOUND)
		return json_finish(x, o, e);
	json_decref(o);
	return rc;
}
