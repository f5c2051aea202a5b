/* admin.c -- what operators register: clusters, nodes, operators, policy. */
#include "wire/memory.h"

#define ADDRESS_MAX 299

enum code take_token_keys(size_t n, Quorate__TokenKey *const *in,
    struct ca_token_key out[CA_LIST_MAX], size_t *out_n, struct err *e)
{
	enum code rc = E_OK;

	if (n > CA_LIST_MAX)
		return err_set(
		    e, E_INVAL, "token keys: %zu, at most %d", n, CA_LIST_MAX);
	for (size_t i = 0; rc == E_OK && i < n; i++) {
		rc = take_name(in[i]->kid, 255, "kid", &out[i].kid, e);
		if (rc == E_OK)
			rc = take_name(in[i]->alg, 16, "alg", &out[i].alg, e);
		if (rc == E_OK)
			rc = take_bytes(in[i]->spki, CA_SPKI_MAX, "token key",
			    &out[i].spki, e);
	}
	*out_n = n;
	return rc;
}

enum code take_cluster(
    const Quorate__Cluster *in, struct ca_cluster *out, struct err *e)
{
	enum code rc;

	out->removed = in->removed;
	if ((rc = take_name(in->name, CA_NAME_MAX, "cluster", &out->name, e)) !=
		E_OK ||
	    (rc = take_token_keys(
		 in->n_keys, in->keys, out->keys, &out->keys_n, e)) != E_OK ||
	    (rc = take_name(
		 in->issuer, 511, "token issuer", &out->issuer, e)) != E_OK ||
	    (rc = take_names(in->n_audiences, in->audiences, 255, "audience",
		 out->audiences, &out->audiences_n, e)) != E_OK ||
	    (rc = take_names(in->n_aliases, in->aliases, 255, "alias",
		 out->aliases, &out->aliases_n, e)) != E_OK ||
	    (rc = take_name(in->api_address, ADDRESS_MAX, "api address",
		 &out->api_address, e)) != E_OK)
		return rc;
	return take_names(in->n_namespaces, in->namespaces, CA_NAME_MAX,
	    "namespace", out->namespaces, &out->namespaces_n, e);
}

enum code take_node(const Quorate__Node *in, struct ca_node *out, struct err *e)
{
	enum code rc;

	out->id = in->id;
	out->removed = in->removed;
	out->has_issuer = in->issuer.len != 0;
	if (in->removed && in->mesh_key.len == 0)
		return E_OK; /* only the id counts */
	if ((rc = take_name(in->cluster, CA_NAME_MAX, "cluster", &out->cluster,
		 e)) != E_OK ||
	    (rc = take_exact(in->mesh_key, CA_MESH_KEY_LEN, "mesh key",
		 out->mesh_key, e)) != E_OK ||
	    (rc = take_name(in->mesh_address, ADDRESS_MAX, "mesh address",
		 &out->mesh_address, e)) != E_OK ||
	    (rc = take_names(in->n_api_addresses, in->api_addresses, 255,
		 "api address", out->api_addresses, &out->api_addresses_n,
		 e)) != E_OK ||
	    (rc = take_bytes(in->api_spki, CA_SPKI_MAX, "api key",
		 &out->api_spki, e)) != E_OK ||
	    (rc = take_exact(in->log_key, sizeof(out->log_key), "log key",
		 out->log_key, e)) != E_OK)
		return rc;
	return out->has_issuer ? take_exact(in->issuer, CA_KEY_ID_LEN, "issuer",
				     out->issuer, e)
			       : E_OK;
}

enum code take_operator(
    const Quorate__Operator *in, struct ca_operator *out, struct err *e)
{
	enum code rc;

	out->roles = in->roles;
	out->removed = in->removed;
	rc = take_name(in->name, CA_NAME_MAX, "operator", &out->name, e);
	return rc != E_OK ? rc
			  : take_bytes(in->spki, CA_SPKI_MAX, "operator key",
				&out->spki, e);
}

void take_policy(const Quorate__Policy *in, struct ca_policy *out)
{
	*out = (struct ca_policy){
	    .version = in->version,
	    .ttl_default_s = in->ttl_default_s,
	    .ttl_max_s = in->ttl_max_s,
	    .renew_max_s = in->renew_max_s,
	    .issuer_settle_ms = in->issuer_settle_ms,
	    .quota_identity_per_h = in->quota_identity_per_h,
	    .quota_cluster_per_h = in->quota_cluster_per_h,
	    .admin_signatures = in->admin_signatures,
	    .name_constraints = in->name_constraints,
	};
}

static enum code take_revoke(
    const Quorate__Revoke *in, struct ca_revoke *out, struct err *e)
{
	out->by = (enum ca_revoke_by)in->by;
	out->reason = (enum ca_reason)in->reason;
	if (in->by < CA_REVOKE_SERIAL || in->by > CA_REVOKE_POD)
		return err_set(
		    e, E_INVAL, "a revocation of a kind not known here");
	if (in->reason > CA_REASON_PRIVILEGE_WITHDRAWN)
		return err_set(e, E_INVAL, "a reason not known here");
	if (out->by == CA_REVOKE_SERIAL)
		return take_exact(
		    in->serial, CA_SERIAL_LEN, "serial", out->serial, e);
	if (in->what.len == 0)
		return err_set(
		    e, E_INVAL, "a revocation without identity or pod");
	return take_name(in->what, CA_URI_MAX, "the identity or pod to revoke",
	    &out->what, e);
}

static enum code take_bundle(
    const Quorate__TrustBundle *in, struct ca_bundle *out, struct err *e)
{
	enum code rc = take_name(
	    in->trust_domain, 255, "trust domain", &out->trust_domain, e);

	if (rc == E_OK)
		rc = take_bytes(in->root_sig, CA_SIG_MAX, "root's signature",
		    &out->root_sig, e);
	if (rc == E_OK && in->n_certs > CA_LIST_MAX)
		rc = err_set(
		    e, E_INVAL, "trust bundle: %zu certificates", in->n_certs);
	for (; rc == E_OK && out->certs_n < in->n_certs; out->certs_n++)
		rc = take_bytes(in->certs[out->certs_n], 8192, "certificate",
		    &out->certs[out->certs_n], e);
	return rc;
}

#define ROOT_CRL_MAX 65536

/* Commands of revocation and trust. */
static enum code take_trust_command(
    const Quorate__AdminCommand *in, struct ca_admin *out, struct err *e)
{
	enum code rc;

	switch (in->command_case) {
	case QUORATE__ADMIN_COMMAND__COMMAND_REVOKE:
		return take_revoke(in->revoke, &out->u.revoke, e);
	case QUORATE__ADMIN_COMMAND__COMMAND_LIFT_BLOCK:
		return take_revoke(in->lift_block, &out->u.revoke, e);
	case QUORATE__ADMIN_COMMAND__COMMAND_RETIRE_ISSUER:
		return take_exact(in->retire_issuer->issuer, CA_KEY_ID_LEN,
		    "issuer", out->u.retire_issuer, e);
	case QUORATE__ADMIN_COMMAND__COMMAND_REVOKE_ISSUER:
		rc = take_exact(in->revoke_issuer->issuer, CA_KEY_ID_LEN,
		    "issuer", out->u.revoke_issuer.issuer, e);
		return rc != E_OK ? rc
				  : take_bytes(in->revoke_issuer->root_crl,
					ROOT_CRL_MAX, "root CRL",
					&out->u.revoke_issuer.root_crl, e);
	case QUORATE__ADMIN_COMMAND__COMMAND_SET_TRUST_BUNDLE:
		return take_bundle(
		    in->set_trust_bundle, &out->u.set_trust_bundle, e);
	case QUORATE__ADMIN_COMMAND__COMMAND_SET_ROOT_CRL:
		return take_bytes(in->set_root_crl->crl, ROOT_CRL_MAX,
		    "root CRL", &out->u.set_root_crl, e);
	default: break;
	}
	return err_set(e, E_INVAL, "a command of a kind not known here");
}

enum code take_command(
    const Quorate__AdminCommand *in, struct ca_admin *out, struct err *e)
{
	enum code rc;

	out->kind = (enum ca_admin_kind)in->command_case;
	switch (in->command_case) {
	case QUORATE__ADMIN_COMMAND__COMMAND_SET_NODE:
		return take_node(in->set_node, &out->u.set_node, e);
	case QUORATE__ADMIN_COMMAND__COMMAND_ADD_ISSUER:
		out->u.add_issuer.node = in->add_issuer->node;
		return take_bytes(in->add_issuer->cert, 8192, "issuer",
		    &out->u.add_issuer.cert, e);
	case QUORATE__ADMIN_COMMAND__COMMAND_SET_CLUSTER:
		return take_cluster(in->set_cluster, &out->u.set_cluster, e);
	case QUORATE__ADMIN_COMMAND__COMMAND_SET_POLICY:
		take_policy(in->set_policy, &out->u.set_policy);
		return E_OK;
	case QUORATE__ADMIN_COMMAND__COMMAND_CREATE_JOIN_TOKEN:
		out->u.create_join_token.expires_ms =
		    in->create_join_token->expires_ms;
		rc = take_exact(in->create_join_token->secret_hash, SHA256_LEN,
		    "secret hash", out->u.create_join_token.secret_hash, e);
		return rc != E_OK ? rc
				  : take_name(in->create_join_token->cluster,
					CA_NAME_MAX, "cluster",
					&out->u.create_join_token.cluster, e);
	case QUORATE__ADMIN_COMMAND__COMMAND_SET_OPERATOR:
		return take_operator(in->set_operator, &out->u.set_operator, e);
	default: return take_trust_command(in, out, e);
	}
}

/* ---- The other way: NULL if memory is short ------------------------------ */

Quorate__TokenKey **give_token_keys(
    struct wire_memory *m, const struct ca_token_key *k, size_t n)
{
	Quorate__TokenKey **list = memory_list(m, n);
	Quorate__TokenKey *row = memory_get(m, n, sizeof(*row));

	if (list == NULL || row == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		quorate__token_key__init(&row[i]);
		row[i].kid = bytes_of(k[i].kid);
		row[i].alg = bytes_of(k[i].alg);
		row[i].spki = bytes_of(k[i].spki);
		list[i] = &row[i];
	}
	return list;
}

Quorate__Cluster *give_cluster(
    struct wire_memory *m, const struct ca_cluster *c)
{
	Quorate__Cluster *out = memory_get(m, 1, sizeof(*out));

	if (out == NULL)
		return NULL;
	quorate__cluster__init(out);
	out->name = bytes_of(c->name);
	out->n_keys = c->keys_n;
	out->keys = give_token_keys(m, c->keys, c->keys_n);
	out->issuer = bytes_of(c->issuer);
	out->n_audiences = c->audiences_n;
	out->audiences = give_names(m, c->audiences, c->audiences_n);
	out->n_aliases = c->aliases_n;
	out->aliases = give_names(m, c->aliases, c->aliases_n);
	out->api_address = bytes_of(c->api_address);
	out->n_namespaces = c->namespaces_n;
	out->namespaces = give_names(m, c->namespaces, c->namespaces_n);
	out->removed = c->removed;
	return out->keys == NULL || out->audiences == NULL ||
		       out->aliases == NULL || out->namespaces == NULL
		   ? NULL
		   : out;
}

Quorate__Node *give_node(struct wire_memory *m, const struct ca_node *n)
{
	Quorate__Node *out = memory_get(m, 1, sizeof(*out));

	if (out == NULL)
		return NULL;
	quorate__node__init(out);
	out->id = n->id;
	out->cluster = bytes_of(n->cluster);
	out->mesh_key = bytes_of(span_of(n->mesh_key, CA_MESH_KEY_LEN));
	out->mesh_address = bytes_of(n->mesh_address);
	out->n_api_addresses = n->api_addresses_n;
	out->api_addresses =
	    give_names(m, n->api_addresses, n->api_addresses_n);
	out->api_spki = bytes_of(n->api_spki);
	out->log_key = bytes_of(span_of(n->log_key, sizeof(n->log_key)));
	if (n->has_issuer)
		out->issuer = bytes_of(span_of(n->issuer, CA_KEY_ID_LEN));
	out->removed = n->removed;
	return out->api_addresses == NULL ? NULL : out;
}

Quorate__Operator *give_operator(
    struct wire_memory *m, const struct ca_operator *o)
{
	Quorate__Operator *out = memory_get(m, 1, sizeof(*out));

	if (out == NULL)
		return NULL;
	quorate__operator__init(out);
	out->name = bytes_of(o->name);
	out->spki = bytes_of(o->spki);
	out->roles = o->roles;
	out->removed = o->removed;
	return out;
}

Quorate__Policy *give_policy(struct wire_memory *m, const struct ca_policy *p)
{
	Quorate__Policy *out = memory_get(m, 1, sizeof(*out));

	if (out == NULL)
		return NULL;
	quorate__policy__init(out);
	out->version = p->version;
	out->ttl_default_s = p->ttl_default_s;
	out->ttl_max_s = p->ttl_max_s;
	out->renew_max_s = p->renew_max_s;
	out->issuer_settle_ms = p->issuer_settle_ms;
	out->quota_identity_per_h = p->quota_identity_per_h;
	out->quota_cluster_per_h = p->quota_cluster_per_h;
	out->admin_signatures = p->admin_signatures;
	out->name_constraints = p->name_constraints;
	return out;
}

Quorate__Revoke *give_revoke(struct wire_memory *m, const struct ca_revoke *r)
{
	Quorate__Revoke *out = memory_get(m, 1, sizeof(*out));

	if (out == NULL)
		return NULL;
	quorate__revoke__init(out);
	out->by = (uint32_t)r->by;
	if (r->by == CA_REVOKE_SERIAL)
		out->serial = bytes_of(span_of(r->serial, CA_SERIAL_LEN));
	else
		out->what = bytes_of(r->what);
	out->reason = (uint32_t)r->reason;
	return out;
}

Quorate__TrustBundle *give_bundle(
    struct wire_memory *m, const struct ca_bundle *b)
{
	Quorate__TrustBundle *out = memory_get(m, 1, sizeof(*out));

	if (out == NULL)
		return NULL;
	quorate__trust_bundle__init(out);
	out->trust_domain = bytes_of(b->trust_domain);
	out->n_certs = b->certs_n;
	out->certs = give_names(m, b->certs, b->certs_n);
	out->root_sig = bytes_of(b->root_sig);
	return out->certs == NULL ? NULL : out;
}
