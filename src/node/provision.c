#include "node/provision.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "node/provision_internal.h"
#include "store/store.h"

#define CRL_BACKDATE_S 600 /* a CRL from the future stops TLS */

/* ---- A new trust domain ---- */

struct first {
	const struct provision_init *p;
	struct config config;
	char data[PATH_MAX], admin[PATH_MAX]; /* staged; empty: none */
	struct node_keys keys;
	EVP_PKEY *root_key, *operator_key;
	struct buf root, crl, issuer, operator_spki, operator_cert;
	struct buf signed_msg, entry;
};

static void first_free(struct first *f)
{
	provision_remove_tree(f->data);
	provision_remove_tree(f->admin);
	config_free(&f->config);
	provision_keys_free(&f->keys);
	EVP_PKEY_free(f->root_key);
	EVP_PKEY_free(f->operator_key);
	buf_free(&f->root);
	buf_free(&f->crl);
	buf_free(&f->issuer);
	buf_free(&f->operator_spki);
	buf_free(&f->operator_cert);
	buf_free(&f->signed_msg);
	buf_free(&f->entry);
	free(f);
}

/* The root's CRL lives as long as the root and is superseded by number. */
static enum code make_root_crl(struct first *f, struct err *e)
{
	struct ca_crypto crypto = pki_ca_crypto();
	struct ca_cert_facts facts;
	struct buf tbs, sig;
	enum code rc;

	buf_init(&tbs);
	buf_init(&sig);
	rc = crypto.root(crypto.ctx, buf_span(&f->root), &facts, e);
	if (rc == E_OK)
		rc = pki_crl_tbs(&tbs, buf_span(&f->root), 1,
		    f->p->now_ms / 1000 - CRL_BACKDATE_S, facts.not_after_s,
		    NULL, 0, e);
	if (rc == E_OK)
		rc = pki_sign(&sig, f->root_key, buf_span(&tbs), e);
	if (rc == E_OK)
		rc = pki_crl_der(&f->crl, buf_span(&tbs), buf_span(&sig), e);
	buf_free(&tbs);
	buf_free(&sig);
	return rc;
}

static enum code make_certs(struct first *f, struct err *e)
{
	struct span td = span_str(f->p->trust_domain);
	uint64_t now_s = f->p->now_ms / 1000;
	enum code rc = pki_key_new(PKI_P256, &f->root_key, e);

	if (rc == E_OK)
		rc = pki_root_make(&f->root, f->root_key, td, now_s, e);
	if (rc == E_OK)
		rc = make_root_crl(f, e);
	if (rc == E_OK)
		rc =
		    pki_issuer_make(&f->issuer, f->root_key, buf_span(&f->root),
			span_of(f->keys.signer.issuer_spki,
			    f->keys.signer.issuer_spki_len),
			td, span_str(f->p->cluster), now_s,
			PROVISION_ISSUER_LIFE_S, f->p->name_constraints, e);
	if (rc == E_OK)
		rc = pki_key_new(PKI_P256, &f->operator_key, e);
	if (rc == E_OK)
		rc = pki_key_spki(&f->operator_spki, f->operator_key, e);
	if (rc == E_OK)
		rc = pki_operator_cert(&f->operator_cert, f->operator_key,
		    span_str(f->p->operator_name), now_s, e);
	return rc;
}

static struct ca_policy first_policy(const struct provision_init *p)
{
	return (struct ca_policy){
	    .version = 1,
	    .ttl_default_s = 86400,
	    .ttl_max_s = 86400,
	    .renew_max_s = 86400,
	    .issuer_settle_ms = p->settle_ms != NULL ? *p->settle_ms : 120000,
	    .admin_signatures = 1,
	    .name_constraints = p->name_constraints,
	};
}

static enum code first_node(
    const struct first *f, struct ca_node *n, struct err *e)
{
	*n = (struct ca_node){
	    .id = 1,
	    .cluster = span_str(f->p->cluster),
	    .mesh_address = span_str(f->config.mesh_address),
	    .api_spki = buf_span(&f->keys.api_spki),
	    .has_issuer = true,
	};
	memcpy(n->mesh_key, f->keys.mesh_public, sizeof(n->mesh_key));
	memcpy(n->log_key, f->keys.signer.log_key, sizeof(n->log_key));
	for (size_t i = 0; i < f->config.api_addresses.n; i++)
		n->api_addresses[n->api_addresses_n++] =
		    span_str(f->config.api_addresses.v[i]);
	return pki_key_id(
	    span_of(f->keys.signer.issuer_spki, f->keys.signer.issuer_spki_len),
	    n->issuer, e);
}

static enum code make_genesis(struct first *f, struct err *e)
{
	struct ca_genesis *g = calloc(1, sizeof(*g));
	enum code rc;

	if (g == NULL)
		return err_nomem(e);
	g->trust_domain = span_str(f->p->trust_domain);
	g->root_cert = buf_span(&f->root);
	g->root_crl = buf_span(&f->crl);
	g->op = (struct ca_operator){
	    .name = span_str(f->p->operator_name),
	    .spki = buf_span(&f->operator_spki),
	    .roles = CA_ROLE_ADMIN,
	};
	g->cluster.name = span_str(f->p->cluster);
	g->cluster.audiences[0] = span_str("istio-ca");
	g->cluster.audiences_n = 1;
	g->issuer_cert = buf_span(&f->issuer);
	g->policy = first_policy(f->p);
	rc = first_node(f, &g->node, e);
	if (rc == E_OK)
		rc = pki_genesis_sign(&f->signed_msg, f->root_key, g, e);
	if (rc == E_OK)
		rc = wire_signed_entry(&f->entry, CA_GENESIS, f->p->now_ms, 1,
		    buf_span(&f->signed_msg), e);
	free(g);
	return rc;
}

static enum code put_pem(const char *dir, const char *name, const char *label,
    struct span der, struct err *e)
{
	struct buf pem;
	enum code rc;

	buf_init(&pem);
	rc = pki_pem_add(&pem, label, der, e);
	if (rc == E_OK)
		rc = provision_put(dir, name, buf_span(&pem), 0644, e);
	buf_free(&pem);
	return rc;
}

static enum code write_root_key(struct first *f, struct err *e)
{
	struct buf pem, sealed;
	enum code rc;

	buf_init(&pem);
	buf_init(&sealed);
	rc = pki_key_to_pem(&pem, f->root_key, e);
	if (rc == E_OK)
		rc = pki_seal(&sealed, "root key", buf_span(&pem),
		    f->p->passphrase, f->p->cheap, e);
	if (rc == E_OK)
		rc = provision_put(
		    f->admin, "root.key", buf_span(&sealed), 0600, e);
	pki_wipe(&pem);
	buf_free(&sealed);
	return rc;
}

static void server_name(const struct config *c, char out[300])
{
	const char *host = c->api_addresses.v[0];

	snprintf(out, 300, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u",
	    host, (unsigned)c->port_https);
}

static enum code write_admin(struct first *f, struct err *e)
{
	char servers[302];
	struct buf pem;
	enum code rc;

	buf_init(&pem);
	server_name(&f->config, servers);
	servers[strlen(servers) + 1] = '\0';
	servers[strlen(servers)] = '\n';
	rc = write_root_key(f, e);
	if (rc == E_OK)
		rc = pki_key_to_pem(&pem, f->operator_key, e);
	if (rc == E_OK)
		rc = provision_put(
		    f->admin, "operator.key", buf_span(&pem), 0600, e);
	pki_wipe(&pem);
	if (rc == E_OK)
		rc = put_pem(f->admin, "operator.pem", "CERTIFICATE",
		    buf_span(&f->operator_cert), e);
	if (rc == E_OK)
		rc = put_pem(f->admin, PROVISION_ROOT, "CERTIFICATE",
		    buf_span(&f->root), e);
	if (rc == E_OK)
		rc = provision_put(f->admin, "trust-domain",
		    span_str(f->p->trust_domain), 0644, e);
	if (rc == E_OK)
		rc = provision_put(
		    f->admin, "servers", span_str(servers), 0644, e);
	return rc;
}

/* The log of a cluster of one: Genesis, then the change that adds node 1. */
static enum code write_log(struct first *f, struct err *e)
{
	const struct store_config config = {
	    .dir = f->data, .map_size = f->config.store_map_size};
	const struct raft_conf_change change = {
	    .n = 1, .changes = {{RAFT_ADD_VOTER, 1}}};
	const struct raft_hard_state hard = {.term = 1, .commit = 2};
	struct store_identity id = {.node_id = 1};
	uint8_t data[RAFT_CONF_CHANGE_MAX];
	struct raft_entry entries[2] = {
	    {.term = 1, .index = 1, .data = {f->entry.p, f->entry.len}},
	    {.term = 1, .index = 2, .type = RAFT_ENTRY_CONF_CHANGE},
	};

	entries[1].data.p = data;
	entries[1].data.len = raft_conf_change_encode(&change, data);
	sha256_of(id.trust_domain, span_str(f->p->trust_domain));
	return store_bootstrap(&config, &id, &hard, entries, 2, e);
}

static enum code write_data(struct first *f, struct err *e)
{
	enum code rc;

	f->config.node_id = 1;
	rc = provision_config_put(&f->config, f->data, e);
	if (rc == E_OK)
		rc = put_pem(f->data, PROVISION_ROOT, "CERTIFICATE",
		    buf_span(&f->root), e);
	if (rc == E_OK)
		rc = provision_put(
		    f->data, PROVISION_GENESIS, buf_span(&f->entry), 0644, e);
	return rc == E_OK ? write_log(f, e) : rc;
}

static enum code init_check(const struct provision_init *p, struct err *e)
{
	enum code rc = E_OK;

	if (p->passphrase.len < PROVISION_PASSPHRASE_MIN)
		return err_set(e, E_INVAL,
		    "the root passphrase has %zu characters, expected at "
		    "least %d",
		    p->passphrase.len, PROVISION_PASSPHRASE_MIN);
	if (p->operator_name[0] == '\0' ||
	    strlen(p->operator_name) > CA_NAME_MAX)
		return err_set(e, E_INVAL,
		    "the operator's name must have 1 to %d characters",
		    CA_NAME_MAX);
	rc = provision_must_be_free(p->data_dir, e);
	return rc == E_OK ? provision_must_be_free(p->admin_dir, e) : rc;
}

static enum code init_stage(struct first *f, struct err *e)
{
	enum code rc =
	    provision_stage_begin(f->data, f->p->data_dir, "keys", e);

	if (rc == E_OK)
		rc = provision_stage_begin(
		    f->admin, f->p->admin_dir, "tokens", e);
	if (rc == E_OK)
		rc = provision_keys_make(&f->keys, f->data, e);
	if (rc == E_OK)
		rc = make_certs(f, e);
	if (rc == E_OK)
		rc = make_genesis(f, e);
	if (rc == E_OK)
		rc = write_admin(f, e);
	return rc == E_OK ? write_data(f, e) : rc;
}

enum code provision_init(
    const struct provision_init *p, struct provision_made *out, struct err *e)
{
	struct first *f;
	enum code rc = init_check(p, e);

	if (rc != E_OK)
		return rc;
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return err_nomem(e);
	f->p = p;
	rc = provision_config_make(
	    &f->config, p->trust_domain, p->cluster, p->set, p->set_n, e);
	if (rc == E_OK)
		rc = init_stage(f, e);
	/* The operator's folder first: a node without it is of no use. */
	if (rc == E_OK)
		rc = provision_stage_end(f->admin, p->admin_dir, e);
	if (rc == E_OK) {
		rc = provision_stage_end(f->data, p->data_dir, e);
		if (rc != E_OK)
			provision_remove_tree(p->admin_dir);
	}
	if (rc == E_OK) {
		sha256_of(out->root_sha256, buf_span(&f->root));
		server_name(&f->config, out->server);
	}
	first_free(f);
	return rc;
}
