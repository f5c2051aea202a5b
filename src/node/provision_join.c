#include "node/provision_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "base/fs.h"
#include "base/text.h"

/* ---- Joining ---- */

/* Set obj[name] to a value that may be NULL (memory). */
static bool json_put(json_t *obj, const char *name, json_t *value)
{
	return value != NULL && json_object_set_new(obj, name, value) == 0;
}

static json_t *json_hex(const uint8_t *p, size_t len)
{
	char hex[2 * 64 + 1];

	hex_encode(hex, p, len);
	return json_string(hex);
}

static json_t *json_base64(struct span s)
{
	struct buf b;
	json_t *j = NULL;

	buf_init(&b);
	if (base64_encode(&b, s, BASE64_STD))
		j = json_stringn((const char *)b.p, b.len);
	buf_free(&b);
	return j;
}

static json_t *json_strings(const char *const *v, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n && a != NULL; i++)
		if (json_array_append_new(a, json_string(v[i])) != 0) {
			json_decref(a);
			return NULL;
		}
	return a;
}

/* Takes obj. */
static enum code json_text(struct buf *out, json_t *obj, bool ok, struct err *e)
{
	char *text = ok ? json_dumps(obj, JSON_INDENT(1)) : NULL;
	bool done = text != NULL && buf_add_str(out, text);

	free(text);
	json_decref(obj);
	return done ? E_OK : err_nomem(e);
}

/* The issuer key's signature over the mesh key: possession. */
static enum code issuer_proof(
    const struct node_keys *k, struct buf *sig, struct err *e)
{
	struct buf msg;
	enum code rc;

	buf_init(&msg);
	buf_add_str(&msg, "quorate issuer proof v1");
	buf_add_u8(&msg, 0);
	buf_add(&msg, k->mesh_public, sizeof(k->mesh_public));
	rc = buf_check(&msg, e);
	if (rc == E_OK)
		rc = signer_keys_prove(
		    k->signer_path, k->seal_path, buf_span(&msg), sig, e);
	buf_free(&msg);
	return rc;
}

static enum code api_csr(const struct config *c, const struct node_keys *k,
    struct buf *pem, struct err *e)
{
	struct span dns[CA_LIST_MAX];
	uint8_t ip[16];
	size_t n = 0;

	for (size_t i = 0; i < c->api_addresses.n; i++) {
		const char *a = c->api_addresses.v[i];

		if (inet_pton(AF_INET, a, ip) != 1 &&
		    inet_pton(AF_INET6, a, ip) != 1)
			dns[n++] = span_str(a);
	}
	return pki_csr_make(pem, k->api, SPAN_EMPTY, dns, n, e);
}

/* The text that the MAC covers (docs/http-api.md, "Joining"). */
static enum code join_body(struct buf *out, const struct config *c,
    const struct node_keys *k, bool witness, struct err *e)
{
	struct span spki =
	    witness ? SPAN_EMPTY
		    : span_of(k->signer.issuer_spki, k->signer.issuer_spki_len);
	json_t *o = json_object();
	struct buf proof, csr;
	enum code rc = E_OK;
	bool ok;

	buf_init(&proof);
	buf_init(&csr);
	if (!witness)
		rc = issuer_proof(k, &proof, e);
	if (rc == E_OK)
		rc = api_csr(c, k, &csr, e);
	ok = rc == E_OK && json_put(o, "cluster", json_string(c->cluster)) &&
	     json_put(o, "mesh_key", json_hex(k->mesh_public, 32)) &&
	     json_put(o, "mesh_address", json_string(c->mesh_address)) &&
	     json_put(o, "api_addresses",
		 json_strings((const char *const *)c->api_addresses.v,
		     c->api_addresses.n)) &&
	     json_put(
		 o, "api_csr", json_stringn((const char *)csr.p, csr.len)) &&
	     json_put(o, "api_spki", json_base64(buf_span(&k->api_spki))) &&
	     json_put(o, "log_key", json_hex(k->signer.log_key, 32)) &&
	     json_put(o, "issuer_spki", json_base64(spki)) &&
	     json_put(o, "issuer_proof", json_base64(buf_span(&proof)));
	if (rc == E_OK)
		rc = json_text(out, o, ok, e);
	else
		json_decref(o);
	buf_free(&proof);
	buf_free(&csr);
	return rc;
}

/* join.json: the request, ready to be posted, and to whom. */
static enum code join_file(struct buf *out, const struct provision_join *p,
    struct span body, struct err *e)
{
	static const char what[] = "quorate join auth";
	uint8_t auth[crypto_auth_hmacsha256_BYTES];
	uint8_t mac[crypto_auth_hmacsha256_BYTES];
	json_t *o = json_object();
	bool ok;

	crypto_auth_hmacsha256(
	    auth, (const uint8_t *)what, sizeof(what) - 1, p->secret);
	crypto_auth_hmacsha256(mac, body.p, body.len, p->secret);
	ok = json_put(o, "servers", json_strings(p->servers, p->servers_n)) &&
	     json_put(o, "root", json_hex(p->root_sha256, SHA256_LEN)) &&
	     json_put(o, "trust_domain", json_string(p->trust_domain)) &&
	     json_put(o, "cluster", json_string(p->cluster)) &&
	     json_put(o, "auth", json_hex(auth, sizeof(auth))) &&
	     json_put(o, "body", json_base64(body)) &&
	     json_put(o, "mac", json_hex(mac, sizeof(mac)));
	return json_text(out, o, ok, e);
}

static enum code join_stage(const struct provision_join *p,
    const struct config *c, const char *dir, struct err *e)
{
	struct node_keys *k = calloc(1, sizeof(*k));
	struct buf body, file;
	enum code rc;

	if (k == NULL)
		return err_nomem(e);
	buf_init(&body);
	buf_init(&file);
	rc = provision_keys_make(k, dir, e);
	if (rc == E_OK)
		rc = join_body(&body, c, k, p->witness, e);
	if (rc == E_OK)
		rc = join_file(&file, p, buf_span(&body), e);
	if (rc == E_OK)
		rc = provision_put(
		    dir, PROVISION_JOIN, buf_span(&file), 0600, e);
	if (rc == E_OK)
		rc = provision_config_put(c, dir, e);
	buf_free(&body);
	buf_free(&file);
	provision_keys_free(k);
	free(k);
	return rc;
}

enum code provision_join(const struct provision_join *p, struct err *e)
{
	char dir[PATH_MAX] = "";
	struct config c;
	enum code rc = provision_must_be_free(p->data_dir, e);

	if (rc != E_OK)
		return rc;
	rc = provision_config_make(
	    &c, p->trust_domain, p->cluster, p->set, p->set_n, e);
	if (rc == E_OK)
		rc = provision_stage_begin(dir, p->data_dir, "keys", e);
	if (rc == E_OK)
		rc = join_stage(p, &c, dir, e);
	if (rc == E_OK)
		rc = provision_stage_end(dir, p->data_dir, e);
	provision_remove_tree(dir);
	config_free(&c);
	return rc;
}

/* ---- Approved ---- */

/* The Genesis that a server sent must be that of the pinned root. */
static enum code check_genesis(const struct provision *p, struct span raw,
    struct buf *root_pem, struct err *e)
{
	struct ca_crypto crypto = pki_ca_crypto();
	struct wire_memory *mem = NULL;
	struct ca_entry *entry = calloc(1, sizeof(*entry));
	const struct ca_genesis *g;
	struct ca_cert_facts facts = {0};
	uint8_t sum[SHA256_LEN];
	enum code rc;

	if (entry == NULL)
		return err_nomem(e);
	rc = wire_entry_decode(raw, entry, &mem, e);
	if (rc == E_OK && entry->kind != CA_GENESIS)
		rc = err_set(e, E_DENIED, "not a Genesis entry");
	if (rc != E_OK)
		goto out;
	g = &entry->u.genesis;
	sha256_of(sum, g->root_cert);
	if (sodium_memcmp(sum, p->root_sha256, sizeof(sum)) != 0)
		rc = err_set(e, E_DENIED,
		    "the server's root is not the one in the join token");
	else if (!span_eq_str(g->trust_domain, p->config.trust_domain))
		rc = err_set(e, E_DENIED, "another trust domain");
	else
		rc = crypto.root(crypto.ctx, g->root_cert, &facts, e);
	if (rc == E_OK) {
		rc = crypto.verify(
		    crypto.ctx, facts.spki, g->signed_bytes, g->signature, e);
		if (rc == E_INVAL)
			rc = err_set(e, E_DENIED,
			    "Genesis is not signed with the root key");
	}
	if (rc == E_OK)
		rc = pki_pem_add(root_pem, "CERTIFICATE", g->root_cert, e);
out:
	wire_free(mem);
	free(entry);
	return rc;
}

enum code provision_api_cert(const char *dir, struct span pem, struct err *e)
{
	return provision_put(dir, PROVISION_API_CERT, pem, 0644, e);
}

enum code provision_approve(
    const char *dir, const struct provision_approved *a, struct err *e)
{
	struct provision p;
	struct buf root;
	enum code rc = provision_open(&p, dir, e);

	buf_init(&root);
	if (rc == E_OK && !p.joining && p.config.node_id != a->id)
		rc = err_set(e, E_CONFLICT, "%s is already node %llu", dir,
		    (unsigned long long)p.config.node_id);
	if (rc == E_OK && !p.joining)
		goto out; /* done before */
	if (rc == E_OK)
		rc = check_genesis(&p, a->genesis, &root, e);
	if (rc == E_OK)
		rc = provision_put(
		    dir, PROVISION_ROOT, buf_span(&root), 0644, e);
	if (rc == E_OK)
		rc = provision_put(dir, PROVISION_GENESIS, a->genesis, 0644, e);
	if (rc == E_OK)
		rc = provision_put(dir, PROVISION_PEERS, a->peers, 0644, e);
	if (rc == E_OK && a->api_cert.len > 0)
		rc = provision_api_cert(dir, a->api_cert, e);
	if (rc == E_OK) {
		p.config.node_id = a->id;
		rc = provision_config_put(&p.config, dir, e);
	}
out:
	if (rc != E_OK)
		rc = err_wrap(e, rc, "keeping what the join answered");
	buf_free(&root);
	provision_close(&p);
	return rc;
}
