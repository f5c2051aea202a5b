#include "world.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/fs.h"

#define LIFE_S (365 * 86400ULL)

static void ok(enum code rc, const struct err *e)
{
	if (rc != E_OK)
		fail_msg("%s: %s", code_name(rc), e->text);
}

static void new_key(EVP_PKEY **key, struct buf *spki)
{
	struct err e = {0};

	buf_init(spki);
	ok(pki_key_new(PKI_P256, key, &e), &e);
	ok(pki_key_spki(spki, *key, &e), &e);
}

static void make_keys(struct world *w)
{
	uint8_t seal[32];
	EVP_PKEY *key;
	struct err e = {0};

	snprintf(w->dir, sizeof(w->dir), "test-signer-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->keys, sizeof(w->keys), "%s/signer.sealed", w->dir);
	snprintf(w->seal, sizeof(w->seal), "%s/seal.key", w->dir);
	random_bytes(seal, sizeof(seal));
	ok(fs_write(w->seal, span_of(seal, sizeof(seal)), 0600, &e), &e);
	ok(signer_keys_create(w->keys, w->seal, &w->public, &e), &e);
	for (size_t i = 0; i < OPERATORS; i++)
		new_key(&w->op[i], &w->op_spki[i]);
	for (size_t i = 0; i < ROWS(w->api_spki); i++) {
		new_key(&key, &w->api_spki[i]);
		EVP_PKEY_free(key);
	}
	new_key(&w->other, &w->other_spki);
}

static void make_certs(struct world *w)
{
	struct err e = {0};
	struct buf ignored;

	new_key(&w->root_key, &ignored);
	buf_free(&ignored);
	buf_init(&w->root);
	buf_init(&w->issuer);
	ok(pki_root_make(&w->root, w->root_key, span_str(TD), w->now_s, &e),
	    &e);
	ok(pki_issuer_make(&w->issuer, w->root_key, buf_span(&w->root),
	       span_of(w->public.issuer_spki, w->public.issuer_spki_len),
	       span_str(TD), span_str("east"), w->now_s, LIFE_S, false, &e),
	    &e);
}

void world_open(struct world *w)
{
	struct ca_genesis g;

	memset(w, 0, sizeof(*w));
	w->now_s = clock_unix_ms() / 1000;
	make_keys(w);
	make_certs(w);
	world_genesis(w, &g);
	world_sign_genesis(w, &g, w->root_key, &w->genesis);
}

static void remove_dir(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *row;
	char path[512];

	while (d != NULL && (row = readdir(d)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", dir, row->d_name);
		if (row->d_name[0] != '.')
			unlink(path);
	}
	if (d != NULL)
		closedir(d);
	rmdir(dir);
}

void world_close(struct world *w)
{
	remove_dir(w->dir);
	EVP_PKEY_free(w->root_key);
	EVP_PKEY_free(w->other);
	for (size_t i = 0; i < OPERATORS; i++) {
		EVP_PKEY_free(w->op[i]);
		buf_free(&w->op_spki[i]);
	}
	for (size_t i = 0; i < ROWS(w->api_spki); i++)
		buf_free(&w->api_spki[i]);
	buf_free(&w->other_spki);
	buf_free(&w->root);
	buf_free(&w->issuer);
	buf_free(&w->genesis);
}

/* ---- Commands ---- */

struct ca_admin world_set_node(const struct world *w, uint64_t id)
{
	static const char *const names[] = {
	    "n1.example", "n2.example", "n3.example"};
	struct ca_admin c = {.kind = CA_ADMIN_SET_NODE};
	struct ca_node *n = &c.u.set_node;

	n->id = id;
	n->cluster = span_str(id == 1 ? "east" : id == 2 ? "west" : "north");
	memset(n->mesh_key, (int)id, sizeof(n->mesh_key));
	memset(n->log_key, (int)id, sizeof(n->log_key));
	n->mesh_address = span_str("10.0.0.1:7700");
	n->api_addresses[0] = span_str(names[(id - 1) % 3]);
	n->api_addresses[1] = span_str(id == 2 ? "10.0.0.2" : "127.0.0.1");
	n->api_addresses[2] = span_str(id == 2 ? "fd00::2" : "::1");
	n->api_addresses_n = 3;
	n->api_spki = buf_span(&w->api_spki[(id - 1) % 3]);
	return c;
}

struct ca_admin world_remove_node(uint64_t id)
{
	struct ca_admin c = {.kind = CA_ADMIN_SET_NODE};

	c.u.set_node.id = id;
	c.u.set_node.removed = true;
	return c;
}

struct ca_admin world_set_policy(uint64_t ttl_max_s, uint32_t signatures)
{
	struct ca_admin c = {.kind = CA_ADMIN_SET_POLICY};

	c.u.set_policy = (struct ca_policy){
	    .ttl_default_s = 3600,
	    .ttl_max_s = ttl_max_s,
	    .renew_max_s = 86400,
	    .admin_signatures = signatures,
	};
	return c;
}

struct ca_admin world_set_operator(
    const struct world *w, size_t op, uint32_t roles, bool removed)
{
	static const char *const names[] = {"alice", "bob", "carol"};
	struct ca_admin c = {.kind = CA_ADMIN_SET_OPERATOR};

	c.u.set_operator = (struct ca_operator){
	    .name = span_str(names[op]),
	    .spki = buf_span(&w->op_spki[op]),
	    .roles = roles,
	    .removed = removed,
	};
	return c;
}

struct ca_admin world_add_issuer(struct span cert, uint64_t node)
{
	struct ca_admin c = {.kind = CA_ADMIN_ADD_ISSUER};

	c.u.add_issuer.cert = cert;
	c.u.add_issuer.node = node;
	return c;
}

/* ---- Entries ---- */

void world_genesis(const struct world *w, struct ca_genesis *g)
{
	struct err e = {0};

	memset(g, 0, sizeof(*g));
	g->trust_domain = span_str(TD);
	g->root_cert = buf_span(&w->root);
	g->root_crl = span_str("a CRL");
	g->op = world_set_operator(w, 0, CA_ROLE_ADMIN, false).u.set_operator;
	g->cluster.name = span_str("east");
	g->cluster.audiences[0] = span_str("istio-ca");
	g->cluster.audiences_n = 1;
	g->node = world_set_node(w, 1).u.set_node;
	g->node.has_issuer = true;
	ok(pki_key_id(span_of(w->public.issuer_spki, w->public.issuer_spki_len),
	       g->node.issuer, &e),
	    &e);
	g->issuer_cert = buf_span(&w->issuer);
	g->policy = world_set_policy(86400, 1).u.set_policy;
}

void world_sign_genesis(const struct world *w, const struct ca_genesis *g,
    EVP_PKEY *key, struct buf *entry)
{
	struct buf signed_msg;
	struct err e = {0};

	buf_init(&signed_msg);
	buf_init(entry);
	ok(pki_genesis_sign(&signed_msg, key, g, &e), &e);
	ok(wire_signed_entry(entry, CA_GENESIS, w->now_s * 1000, 1,
	       buf_span(&signed_msg), &e),
	    &e);
	buf_free(&signed_msg);
}

/* Signed bytes with as many signatures as the envelope asks for. */
static void sign_all(
    const struct envelope *env, struct span payload, struct buf *out)
{
	struct ca_signature sigs[ROWS(env->signers)];
	struct buf spki[ROWS(env->signers)], sig[ROWS(env->signers)], input;
	struct err e = {0};
	size_t n = 0;

	buf_init(&input);
	ok(wire_signature_input(&input, WIRE_CONTEXT_ADMIN, payload, &e), &e);
	for (; n < ROWS(sigs) && env->signers[n] != NULL; n++) {
		buf_init(&spki[n]);
		buf_init(&sig[n]);
		ok(pki_key_spki(&spki[n], env->signers[n], &e), &e);
		ok(pki_sign(&sig[n], env->signers[n], buf_span(&input), &e),
		    &e);
		sigs[n] = (struct ca_signature){
		    buf_span(&spki[n]), buf_span(&sig[n])};
	}
	if (env->broken_signature)
		sig[n - 1].p[sig[n - 1].len - 1] ^= 1;
	ok(wire_signed_encode(out, payload, sigs, n, &e), &e);
	while (n-- > 0) {
		buf_free(&spki[n]);
		buf_free(&sig[n]);
	}
	buf_free(&input);
}

void world_envelope(
    const struct world *w, const struct envelope *env, struct buf *entry)
{
	uint64_t now_ms = w->now_s * 1000;
	uint8_t nonce[CA_NONCE_LEN];
	struct buf payload, signed_msg;
	struct err e = {0};

	buf_init(&payload);
	buf_init(&signed_msg);
	buf_init(entry);
	random_bytes(nonce, sizeof(nonce));
	ok(wire_admin_payload(&payload,
	       span_str(env->td != NULL ? env->td : TD), nonce,
	       env->expires_ms != 0 ? env->expires_ms : now_ms + 3600000,
	       env->commands, env->n, &e),
	    &e);
	sign_all(env, buf_span(&payload), &signed_msg);
	ok(wire_signed_entry(entry, CA_ADMIN,
	       env->time_ms != 0 ? env->time_ms : now_ms, 1,
	       buf_span(&signed_msg), &e),
	    &e);
	buf_free(&payload);
	buf_free(&signed_msg);
}

/* ---- Leaves ---- */

struct ca_issue world_leaf(const struct world *w, const char *uri)
{
	struct ca_issue i = {
	    .profile = CA_PROFILE_WORKLOAD,
	    .uri = span_str(uri),
	    .spki = buf_span(&w->api_spki[3]),
	    .via = CA_VIA_TOKEN,
	};

	random_bytes(i.serial, sizeof(i.serial));
	i.serial[0] = (uint8_t)((i.serial[0] & 0x3f) | 0x40);
	return i;
}

static X509 *parse(struct span der)
{
	const uint8_t *p = der.p;
	X509 *x = d2i_X509(NULL, &p, (long)der.len);

	assert_non_null(x);
	assert_ptr_equal(p, der.p + der.len);
	return x;
}

/* The whole chain, as a TLS peer checks it. */
static void check_chain(const struct world *w, X509 *leaf)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *root = parse(buf_span(&w->root));
	X509 *issuer = parse(buf_span(&w->issuer));

	sk_X509_push(chain, issuer);
	X509_STORE_add_cert(store, root);
	X509_STORE_CTX_init(ctx, store, leaf, chain);
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_X509_STRICT);
	if (X509_verify_cert(ctx) != 1)
		fail_msg("%s", X509_verify_cert_error_string(
				   X509_STORE_CTX_get_error(ctx)));
	sk_X509_free(chain);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	X509_free(issuer);
	X509_free(root);
}

void world_check_leaf(const struct world *w, const struct ca_issue *i)
{
	uint8_t hash[SHA256_LEN];
	struct pki_issuer from;
	struct err e = {0};
	struct buf der;
	X509 *leaf;

	buf_init(&der);
	ok(pki_issuer_from_cert(buf_span(&w->issuer), &from, &e), &e);
	ok(pki_leaf_der(&der, i, &from, &e), &e);
	sha256_of(hash, buf_span(&der));
	assert_memory_equal(hash, i->cert_sha256, sizeof(hash));
	leaf = parse(buf_span(&der));
	check_chain(w, leaf);
	assert_int_equal(X509_check_ca(leaf), 0);
	X509_free(leaf);
	buf_free(&der);
}
