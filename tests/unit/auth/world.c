#include "world.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "pki/pki.h"

/* ---- Tables in memory: a sorted array ---- */

struct row {
	enum ca_table t;
	struct buf key, val;
};

struct memdb {
	struct row *rows;
	size_t n, cap;
};

static int row_cmp(const struct row *r, enum ca_table t, struct span key)
{
	size_t n = r->key.len < key.len ? r->key.len : key.len;
	int c;

	if (r->t != t)
		return r->t < t ? -1 : 1;
	c = n == 0 ? 0 : memcmp(r->key.p, key.p, n);
	if (c != 0)
		return c;
	return r->key.len == key.len ? 0 : r->key.len < key.len ? -1 : 1;
}

/* The first row not before key. */
static size_t place(const struct memdb *d, enum ca_table t, struct span key)
{
	size_t i = 0;

	while (i < d->n && row_cmp(&d->rows[i], t, key) < 0)
		i++;
	return i;
}

static enum code db_get(
    void *db, enum ca_table t, struct span key, struct span *val, struct err *e)
{
	struct memdb *d = db;
	size_t i = place(d, t, key);

	(void)e;
	if (i == d->n || row_cmp(&d->rows[i], t, key) != 0)
		return E_NOTFOUND;
	*val = buf_span(&d->rows[i].val);
	return E_OK;
}

static enum code db_put(
    void *db, enum ca_table t, struct span key, struct span val, struct err *e)
{
	struct memdb *d = db;
	size_t i = place(d, t, key);
	struct buf copy;

	(void)e;
	buf_init(&copy);
	buf_add_span(&copy, val);
	if (i == d->n || row_cmp(&d->rows[i], t, key) != 0) {
		if (d->n == d->cap) {
			d->cap = d->cap == 0 ? 64 : d->cap * 2;
			d->rows = realloc(d->rows, d->cap * sizeof(*d->rows));
			assert(d->rows != NULL);
		}
		memmove(&d->rows[i + 1], &d->rows[i],
		    (d->n - i) * sizeof(*d->rows));
		d->n++;
		d->rows[i] = (struct row){.t = t};
		buf_add_span(&d->rows[i].key, key);
	}
	buf_free(&d->rows[i].val);
	d->rows[i].val = copy;
	return E_OK;
}

static enum code db_del(
    void *db, enum ca_table t, struct span key, struct err *e)
{
	struct memdb *d = db;
	size_t i = place(d, t, key);

	(void)e;
	if (i == d->n || row_cmp(&d->rows[i], t, key) != 0)
		return E_OK;
	buf_free(&d->rows[i].key);
	buf_free(&d->rows[i].val);
	d->n--;
	memmove(&d->rows[i], &d->rows[i + 1], (d->n - i) * sizeof(*d->rows));
	return E_OK;
}

static enum code db_seek(void *db, enum ca_table t, struct span from,
    bool after, struct span *key, struct span *val, struct err *e)
{
	struct memdb *d = db;
	size_t i = place(d, t, from);

	(void)e;
	if (after && i < d->n && row_cmp(&d->rows[i], t, from) == 0)
		i++;
	if (i == d->n || d->rows[i].t != t)
		return E_NOTFOUND;
	*key = buf_span(&d->rows[i].key);
	*val = buf_span(&d->rows[i].val);
	return E_OK;
}

static const struct ca_db_ops db_ops = {
    .get = db_get, .put = db_put, .del = db_del, .seek = db_seek};

/* ---- Keys and certificates ---- */

EVP_PKEY *world_key(const char *kind)
{
	EVP_PKEY *k =
	    strcmp(kind, "RSA") == 0 ? EVP_RSA_gen(2048) : EVP_EC_gen(kind);

	assert(k != NULL);
	return k;
}

void world_spki(struct buf *out, EVP_PKEY *key)
{
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(key, &der);

	assert(len > 0);
	buf_init(out);
	buf_add(out, der, (size_t)len);
	OPENSSL_free(der);
}

static void add_ext(X509 *x, X509V3_CTX *v3, int nid, const char *value)
{
	X509_EXTENSION *ext;

	if (value == NULL)
		return;
	ext = X509V3_EXT_conf_nid(NULL, v3, nid, value);
	assert(ext != NULL && X509_add_ext(x, ext, -1) == 1);
	X509_EXTENSION_free(ext);
}

void world_cert(struct buf *der, const struct world_cert *c)
{
	X509 *x = X509_new(), *issuer = NULL;
	BIGNUM *serial = BN_bin2bn(c->serial, 16, NULL);
	const uint8_t *p;
	uint8_t *out = NULL;
	X509V3_CTX v3;
	X509_NAME *name = X509_get_subject_name(x);
	int len;

	if (c->issuer != NULL) {
		p = c->issuer->p;
		issuer = d2i_X509(NULL, &p, (long)c->issuer->len);
	}
	X509_set_version(x, 2);
	if (BN_is_zero(serial))
		BN_set_word(serial, 1);
	BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x));
	BN_free(serial);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), c->life_s);
	if (c->cn != NULL)
		X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
		    (const uint8_t *)c->cn, -1, -1, 0);
	X509_set_issuer_name(
	    x, issuer != NULL ? X509_get_subject_name(issuer) : name);
	X509_set_pubkey(x, c->key);
	X509V3_set_ctx(&v3, issuer != NULL ? issuer : x, x, NULL, NULL, 0);
	add_ext(x, &v3, NID_basic_constraints, c->constraints);
	add_ext(x, &v3, NID_key_usage, c->usage);
	add_ext(x, &v3, NID_subject_alt_name, c->names);
	assert(X509_sign(x, c->by,
		   EVP_PKEY_get_base_id(c->by) == EVP_PKEY_ED25519
		       ? NULL
		       : EVP_sha256()) > 0);
	len = i2d_X509(x, &out);
	buf_init(der);
	buf_add(der, out, (size_t)len);
	OPENSSL_free(out);
	X509_free(issuer);
	X509_free(x);
}

static void take_bio(struct buf *out, BIO *bio)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	buf_add(out, p, (size_t)n);
	BIO_free(bio);
}

void world_pem(struct buf *out, const struct buf *der)
{
	BIO *bio = BIO_new(BIO_s_mem());

	PEM_write_bio(bio, "CERTIFICATE", "", der->p, (long)der->len);
	take_bio(out, bio);
}

void world_key_pem(struct buf *out, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());

	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	take_bio(out, bio);
}

/* ---- What src/ca asks of cryptography: certificates are read, signatures are
 * taken as good (they are other modules' tests) ---- */

static enum code yes(void *ctx, struct span spki, struct span msg,
    struct span sig, struct err *e)
{
	(void)ctx;
	(void)spki;
	(void)msg;
	(void)sig;
	(void)e;
	return E_OK;
}

static const uint8_t *find_bytes(struct span in, const struct buf *what)
{
	return memmem(in.p, in.len, what->p, what->len);
}

static enum code facts(struct span cert, struct ca_cert_facts *out)
{
	const uint8_t *p = cert.p;
	X509 *x = d2i_X509(NULL, &p, (long)cert.len);
	struct buf spki;

	assert(x != NULL);
	world_spki(&spki, X509_get0_pubkey(x));
	out->spki = span_of(find_bytes(cert, &spki), spki.len);
	assert(pki_key_id(out->spki, out->key_id, NULL) == E_OK);
	out->not_before_s = 1000;
	out->not_after_s = 4000000000ULL;
	buf_free(&spki);
	X509_free(x);
	return E_OK;
}

static enum code root_facts(
    void *ctx, struct span cert, struct ca_cert_facts *out, struct err *e)
{
	(void)ctx;
	(void)e;
	return facts(cert, out);
}

static enum code issuer_facts(void *ctx, struct span cert, struct span root,
    struct ca_cert_facts *out, struct err *e)
{
	(void)ctx;
	(void)root;
	(void)e;
	return facts(cert, out);
}

/* ---- The state ---- */

static void reload(struct world *w)
{
	struct err e = {0};

	ca_view_unref(w->view);
	w->view = NULL;
	assert(ca_view_load(w->ca, &w->view, &e) == E_OK);
}

static enum ca_outcome apply(
    struct world *w, const struct ca_entry *en, struct span raw)
{
	struct ca_result r = {0};
	struct err e = {0};

	if (ca_apply(w->ca, ++w->index, en, raw, &r, &e) != E_OK)
		fprintf(stderr, "apply: %s\n", e.text);
	if (r.outcome != CA_OK)
		fprintf(stderr, "refused: %s\n", r.why);
	return r.outcome;
}

void world_admin(struct world *w, const struct ca_admin *c)
{
	struct ca_entry *en = calloc(1, sizeof(*en));
	struct ca_signature sig = {0};
	struct buf spki;

	assert(en != NULL);
	world_spki(&spki, w->operator_key);
	sig.spki = buf_span(&spki);
	sig.sig = span_str("signature");
	en->format = CA_FORMAT_VERSION;
	en->time_ms = w->log_s * 1000 + w->index;
	en->proposer = 1;
	en->kind = CA_ADMIN;
	en->u.admin.signed_bytes = span_str("signed");
	en->u.admin.trust_domain = span_str(WORLD_TD);
	en->u.admin.nonce[0] = (uint8_t)w->index;
	en->u.admin.expires_ms = en->time_ms + 1000;
	en->u.admin.commands = (struct ca_admin *)c;
	en->u.admin.commands_n = 1;
	en->u.admin.signatures = &sig;
	en->u.admin.signatures_n = 1;
	assert(apply(w, en, span_str("admin")) == CA_OK);
	buf_free(&spki);
	free(en);
	reload(w);
}

enum ca_outcome world_issue(struct world *w, const struct ca_issue *i)
{
	struct ca_entry *en = calloc(1, sizeof(*en));
	struct wire_memory *mem = NULL;
	struct err e = {0};
	struct buf raw;
	enum ca_outcome out;

	assert(en != NULL);
	buf_init(&raw);
	assert(wire_issue_encode(&raw, w->log_s * 1000 + w->index, 1, i, &e) ==
	       E_OK);
	assert(wire_entry_decode(buf_span(&raw), en, &mem, &e) == E_OK);
	out = apply(w, en, buf_span(&raw));
	wire_free(mem);
	buf_free(&raw);
	free(en);
	return out;
}

static void apply_entry(struct world *w, struct buf *raw)
{
	struct ca_entry *en = calloc(1, sizeof(*en));
	struct wire_memory *mem = NULL;
	struct err e = {0};

	assert(en != NULL);
	assert(wire_entry_decode(buf_span(raw), en, &mem, &e) == E_OK);
	assert(apply(w, en, buf_span(raw)) == CA_OK);
	wire_free(mem);
	free(en);
	buf_clear(raw);
	reload(w);
}

void world_crl(struct world *w)
{
	const struct ca_issuer *is = &w->view->issuers[0];
	const struct ca_crl *had = ca_view_crl(w->view, is->key_id);
	struct ca_freeze_crl f = {
	    .number = had == NULL ? 1 : had->frozen_number + 1,
	    .this_s = w->log_s - 600,
	    .next_s = w->log_s + CA_CRL_LIFE_S};
	struct ca_sign_crl s = {.number = f.number};
	struct span tbs;
	struct buf raw, sig;
	struct err e = {0};

	buf_init(&raw);
	buf_init(&sig);
	w->log_s++;
	memcpy(f.issuer, is->key_id, CA_KEY_ID_LEN);
	memcpy(s.issuer, is->key_id, CA_KEY_ID_LEN);
	assert(wire_freeze_encode(
		   &raw, w->log_s * 1000 + w->index, 1, &f, &e) == E_OK);
	apply_entry(w, &raw);
	assert(ca_crl_tbs(w->ca, f.issuer, f.number, &tbs, &e) == E_OK);
	sha256_of(s.tbs_sha256, tbs);
	assert(pki_sign(&sig, w->issuer_key, tbs, &e) == E_OK);
	s.signature = buf_span(&sig);
	assert(wire_sign_crl_encode(
		   &raw, w->log_s * 1000 + w->index, 1, &s, &e) == E_OK);
	apply_entry(w, &raw);
	buf_free(&raw);
	buf_free(&sig);
}

static void add_key(struct ca_cluster *c, const char *kid, const char *alg,
    const struct buf *spki)
{
	c->keys[c->keys_n++] =
	    (struct ca_token_key){span_str(kid), span_str(alg), buf_span(spki)};
}

static void genesis(struct world *w)
{
	struct ca_entry *en = calloc(1, sizeof(*en));
	struct ca_genesis *g = &en->u.genesis;
	struct ca_cert_facts f;
	struct buf op, rsa, p256, p384;

	world_spki(&op, w->operator_key);
	world_spki(&rsa, w->rsa);
	world_spki(&p256, w->p256);
	world_spki(&p384, w->p384);
	facts(buf_span(&w->issuer), &f);
	en->format = CA_FORMAT_VERSION;
	en->time_ms = w->log_s * 1000;
	en->proposer = 1;
	en->kind = CA_GENESIS;
	g->trust_domain = span_str(WORLD_TD);
	g->root_cert = buf_span(&w->root);
	g->root_crl = span_str("a CRL");
	g->issuer_cert = buf_span(&w->issuer);
	g->op.name = span_str("alice");
	g->op.spki = buf_span(&op);
	g->op.roles = CA_ROLE_ADMIN;
	g->cluster.name = span_str("east");
	add_key(&g->cluster, "one", "RS256", &rsa);
	add_key(&g->cluster, "two", "ES256", &p256);
	add_key(&g->cluster, "three", "ES384", &p384);
	add_key(&g->cluster, "four", "PS256", &rsa);
	g->cluster.audiences[g->cluster.audiences_n++] = span_str("istio-ca");
	g->node.id = 1;
	g->node.cluster = span_str("east");
	g->node.mesh_key[0] = 1;
	g->node.log_key[0] = 1;
	g->node.mesh_address = span_str("127.0.0.1:7700");
	g->node.api_addresses[g->node.api_addresses_n++] =
	    span_str("127.0.0.1");
	g->node.api_spki = buf_span(&op);
	g->node.has_issuer = true;
	memcpy(g->node.issuer, f.key_id, CA_KEY_ID_LEN);
	g->policy = (struct ca_policy){.version = 1,
	    .ttl_default_s = 86400,
	    .ttl_max_s = 86400,
	    .renew_max_s = 86400,
	    .admin_signatures = 1};
	assert(apply(w, en, span_str("genesis")) == CA_OK);
	buf_free(&op);
	buf_free(&rsa);
	buf_free(&p256);
	buf_free(&p384);
	free(en);
	reload(w);
}

static void second_cluster(struct world *w)
{
	struct ca_admin *c = calloc(1, sizeof(*c));
	struct ca_cluster *cl = &c->u.set_cluster;
	struct buf spki;

	world_spki(&spki, w->west);
	c->kind = CA_ADMIN_SET_CLUSTER;
	cl->name = span_str("west");
	add_key(cl, "two", "ES256", &spki); /* a kid that east has too */
	cl->issuer = span_str("https://west.example");
	cl->audiences[cl->audiences_n++] = span_str("other");
	cl->audiences[cl->audiences_n++] = span_str("istio-ca");
	cl->aliases[cl->aliases_n++] = span_str("Kubernetes");
	cl->namespaces[cl->namespaces_n++] = span_str("shop");
	cl->namespaces[cl->namespaces_n++] = span_str("istio-system");
	world_admin(w, c);
	buf_free(&spki);
	free(c);
}

void world_make(struct world *w)
{
	struct ca_crypto crypto = pki_ca_crypto();
	struct err e = {0};

	crypto.verify = yes;
	crypto.root = root_facts;
	crypto.issuer = issuer_facts;
	*w = (struct world){.log_s = (uint64_t)time(NULL) - 3600};
	w->root_key = world_key("P-256");
	w->issuer_key = world_key("P-256");
	w->operator_key = world_key("P-256");
	w->stranger_key = world_key("P-256");
	w->rsa = world_key("RSA");
	w->p256 = world_key("P-256");
	w->p384 = world_key("P-384");
	w->west = world_key("P-256");
	world_cert(&w->root, &(struct world_cert){.cn = "root",
				 .constraints = "critical,CA:TRUE,pathlen:1",
				 .usage = "critical,keyCertSign,cRLSign",
				 .key = w->root_key,
				 .by = w->root_key,
				 .life_s = 864000});
	world_cert(&w->issuer, &(struct world_cert){.cn = "issuer",
				   .constraints = "critical,CA:TRUE,pathlen:0",
				   .usage = "critical,keyCertSign,cRLSign",
				   .key = w->issuer_key,
				   .by = w->root_key,
				   .issuer = &w->root,
				   .life_s = 432000});
	w->db = calloc(1, sizeof(*w->db));
	assert(w->db != NULL);
	assert(ca_open(&w->ca, (struct ca_db){&db_ops, w->db}, crypto, &e) ==
	       E_OK);
	genesis(w);
	second_cluster(w);
}

void world_free(struct world *w)
{
	ca_view_unref(w->view);
	ca_close(w->ca);
	for (size_t i = 0; i < w->db->n; i++) {
		buf_free(&w->db->rows[i].key);
		buf_free(&w->db->rows[i].val);
	}
	free(w->db->rows);
	free(w->db);
	buf_free(&w->root);
	buf_free(&w->issuer);
	EVP_PKEY_free(w->root_key);
	EVP_PKEY_free(w->issuer_key);
	EVP_PKEY_free(w->operator_key);
	EVP_PKEY_free(w->stranger_key);
	EVP_PKEY_free(w->rsa);
	EVP_PKEY_free(w->p256);
	EVP_PKEY_free(w->p384);
	EVP_PKEY_free(w->west);
}

/* ---- Tokens ---- */

/* ECDSA in JOSE is r and s, not DER. */
static void add_ecdsa(struct buf *out, const uint8_t *der, size_t len, int half)
{
	const uint8_t *p = der;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)len);

	buf_reserve(out, 2 * (size_t)half);
	BN_bn2binpad(ECDSA_SIG_get0_r(sig), out->p, half);
	BN_bn2binpad(ECDSA_SIG_get0_s(sig), out->p + half, half);
	out->len = 2 * (size_t)half;
	ECDSA_SIG_free(sig);
}

static void sign(
    struct buf *out, EVP_PKEY *key, const char *alg, struct span input)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *ctx = NULL;
	char digest[8] = "SHA";
	uint8_t sig[1024];
	size_t len = sizeof(sig);

	memcpy(digest + 3, alg + 2, 3);
	assert(EVP_DigestSignInit_ex(md, &ctx, digest, NULL, NULL, key, NULL) ==
	       1);
	if (alg[0] == 'P') {
		EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST);
	}
	assert(EVP_DigestSign(md, sig, &len, input.p, input.len) == 1);
	if (alg[0] == 'E')
		add_ecdsa(out, sig, len, strcmp(alg, "ES384") == 0 ? 48 : 32);
	else
		buf_add(out, sig, len);
	EVP_MD_CTX_free(md);
}

char *world_token(
    EVP_PKEY *key, const char *alg, const char *header, const char *claims)
{
	struct buf token, sig;
	char *out;

	buf_init(&token);
	buf_init(&sig);
	base64_encode(&token, span_str(header), BASE64_URL);
	buf_add_u8(&token, '.');
	base64_encode(&token, span_str(claims), BASE64_URL);
	if (key != NULL)
		sign(&sig, key, alg, buf_span(&token));
	buf_add_u8(&token, '.');
	base64_encode(&token, buf_span(&sig), BASE64_URL);
	out = span_dup_str(buf_span(&token));
	buf_free(&token);
	buf_free(&sig);
	return out;
}

char *world_claims(uint64_t exp_s, const char *ns, const char *sa,
    const char *from, const char *to)
{
	struct buf all;
	char *text, *at, *out;

	buf_init(&all);
	buf_printf(&all,
	    "{\"iss\":\"https://west.example\",\"aud\":[\"istio-ca\"],"
	    "\"sub\":\"system:serviceaccount:%s:%s\",\"exp\":%llu,"
	    "\"nbf\":%llu,\"iat\":%llu,\"kubernetes.io\":{"
	    "\"namespace\":\"%s\",\"serviceaccount\":{\"name\":\"%s\","
	    "\"uid\":\"u-1\"},\"pod\":{\"name\":\"pod-1\",\"uid\":\"p-1\"}}}",
	    ns, sa, (unsigned long long)exp_s, (unsigned long long)exp_s - 3600,
	    (unsigned long long)exp_s - 3600, ns, sa);
	text = span_dup_str(buf_span(&all));
	buf_free(&all);
	if (from == NULL)
		return text;
	at = strstr(text, from);
	assert(at != NULL);
	buf_add(&all, text, (size_t)(at - text));
	buf_add_str(&all, to);
	buf_add_str(&all, at + strlen(from));
	out = span_dup_str(buf_span(&all));
	buf_free(&all);
	free(text);
	return out;
}
