#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct world_block {
	struct world_block *next;
	_Alignas(16) uint8_t data[];
};

void *world_get(struct world *w, size_t n)
{
	struct world_block *b = calloc(1, sizeof(*b) + n + 1);

	if (b == NULL)
		abort();
	b->next = w->blocks;
	w->blocks = b;
	return b->data;
}

struct span world_text(struct world *w, const char *fmt, ...)
{
	char text[800];
	uint8_t *p;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	assert_true(n >= 0 && (size_t)n < sizeof(text));
	p = world_get(w, (size_t)n);
	memcpy(p, text, (size_t)n);
	return span_of(p, (size_t)n);
}

/* ---- Made-up cryptography -------------------------------------------------
 */

struct span fake_key(struct world *w, const char *name)
{
	uint8_t *p = world_get(w, CA_P256_SPKI_LEN), hash[SHA256_LEN];

	for (size_t at = 0; at < CA_P256_SPKI_LEN; at += SHA256_LEN) {
		struct span in = world_text(w, "key %s %zu", name, at);
		size_t left = CA_P256_SPKI_LEN - at;

		sha256_of(hash, in);
		memcpy(p + at, hash, left < SHA256_LEN ? left : SHA256_LEN);
	}
	return span_of(p, CA_P256_SPKI_LEN);
}

static void signature(
    uint8_t out[SHA256_LEN], struct span spki, struct span msg)
{
	struct sha256 h;

	sha256_init(&h);
	sha256_add(&h, spki.p, spki.len);
	sha256_add(&h, msg.p, msg.len);
	sha256_end(&h, out);
}

struct span fake_sign(struct world *w, const char *name, struct span msg)
{
	uint8_t *p = world_get(w, SHA256_LEN);

	signature(p, fake_key(w, name), msg);
	return span_of(p, SHA256_LEN);
}

static enum code fake_verify(void *ctx, struct span spki, struct span msg,
    struct span sig, struct err *e)
{
	uint8_t want[SHA256_LEN];

	(void)ctx;
	signature(want, spki, msg);
	return span_eq(sig, span_of(want, sizeof(want)))
		   ? E_OK
		   : err_set(e, E_INVAL, "bad signature");
}

void fake_key_id(uint8_t out[CA_KEY_ID_LEN], struct span spki)
{
	uint8_t hash[SHA256_LEN];

	sha256_of(hash, spki);
	memcpy(out, hash, CA_KEY_ID_LEN);
}

#define CERT_BODY (1 + CA_P256_SPKI_LEN)
#define CERT_LEN (CERT_BODY + SHA256_LEN)

static struct span cert_make(
    struct world *w, char kind, const char *signer, const char *name)
{
	uint8_t *p = world_get(w, CERT_LEN);

	p[0] = (uint8_t)kind;
	memcpy(p + 1, fake_key(w, name).p, CA_P256_SPKI_LEN);
	signature(p + CERT_BODY, fake_key(w, signer), span_of(p, CERT_BODY));
	return span_of(p, CERT_LEN);
}

struct span fake_root(struct world *w, const char *name)
{
	return cert_make(w, 'R', name, name);
}

struct span fake_issuer(struct world *w, const char *root, const char *name)
{
	return cert_make(w, 'I', root, name);
}

static enum code facts(struct span cert, char kind, struct span signer,
    struct ca_cert_facts *out, struct err *e)
{
	if (cert.len != CERT_LEN || cert.p[0] != (uint8_t)kind)
		return err_set(e, E_INVAL, "not such a certificate");
	out->spki = span_of(cert.p + 1, CA_P256_SPKI_LEN);
	if (fake_verify(NULL, signer.len != 0 ? signer : out->spki,
		span_of(cert.p, CERT_BODY),
		span_of(cert.p + CERT_BODY, SHA256_LEN), NULL) != E_OK)
		return err_set(e, E_INVAL, "not signed by the root");
	fake_key_id(out->key_id, out->spki);
	out->not_before_s = T0 / 1000 - 86400;
	out->not_after_s = T0 / 1000 + 365 * 86400;
	return E_OK;
}

static enum code fake_root_facts(
    void *ctx, struct span cert, struct ca_cert_facts *out, struct err *e)
{
	(void)ctx;
	return facts(cert, 'R', SPAN_EMPTY, out, e);
}

static enum code fake_issuer_facts(void *ctx, struct span cert,
    struct span root, struct ca_cert_facts *out, struct err *e)
{
	(void)ctx;
	if (root.len != CERT_LEN)
		return err_set(e, E_INVAL, "no root");
	return facts(cert, 'I', span_of(root.p + 1, CA_P256_SPKI_LEN), out, e);
}

/* 'C', u64 number, the certificates listed, SHA-256 as fake_verify has it. */
static enum code fake_root_crl_read(void *ctx, struct span crl,
    struct span root, struct span lists, uint64_t *number, struct err *e)
{
	size_t body = crl.len - SHA256_LEN, at = 1 + 8;
	bool found = lists.len == 0;

	if (crl.len < 1 + 8 + SHA256_LEN || crl.p[0] != 'C' ||
	    root.len != CERT_LEN)
		return err_set(e, E_INVAL, "not a root CRL");
	for (; at + CERT_LEN <= body; at += CERT_LEN)
		found = found || span_eq(lists, span_of(crl.p + at, CERT_LEN));
	if (!found)
		return err_set(e, E_INVAL, "it does not list the certificate");
	*number = get_u64be(crl.p + 1);
	return fake_verify(ctx, span_of(root.p + 1, CA_P256_SPKI_LEN),
	    span_of(crl.p, body), span_of(crl.p + body, SHA256_LEN), e);
}

static enum code fake_anchor(void *ctx, struct span cert, struct err *e)
{
	(void)ctx;
	return cert.len > 0 && cert.p[0] == 'R'
		   ? E_OK
		   : err_set(e, E_INVAL, "not a CA certificate");
}

/* The rows as they are. */
static enum code fake_crl_tbs(void *ctx, struct buf *out, struct span issuer,
    uint64_t number, uint64_t this_s, uint64_t next_s,
    const struct ca_revoked *rows, size_t n, struct err *e)
{
	(void)ctx;
	buf_add_span(out, issuer);
	buf_add_u64be(out, number);
	buf_add_u64be(out, this_s);
	buf_add_u64be(out, next_s);
	for (size_t i = 0; i < n; i++) {
		buf_add(out, rows[i].serial, CA_SERIAL_LEN);
		buf_add_u64be(out, rows[i].revoked_s);
		buf_add_u8(out, (uint8_t)rows[i].reason);
	}
	return buf_check(out, e);
}

struct ca_crypto fake_crypto(void)
{
	return (struct ca_crypto){
	    .verify = fake_verify,
	    .root = fake_root_facts,
	    .issuer = fake_issuer_facts,
	    .root_crl = fake_root_crl_read,
	    .anchor = fake_anchor,
	    .crl_tbs = fake_crl_tbs,
	};
}

/* ---- Worlds ----------------------------------------------------------------
 */

void world_open(struct world *w)
{
	struct err e;

	*w = (struct world){.now_ms = T0};
	mem_init(&w->mem);
	assert_int_equal(
	    ca_open(&w->ca, mem_db(&w->mem), fake_crypto(), &e), E_OK);
}

void world_started(struct world *w)
{
	world_open(w);
	assert_int_equal(world_apply(w, world_genesis(w)), CA_OK);
}

void world_reopen(struct world *w)
{
	struct err e;

	ca_close(w->ca);
	assert_int_equal(
	    ca_open(&w->ca, mem_db(&w->mem), fake_crypto(), &e), E_OK);
}

enum code world_restore(struct world *to, const struct mem *from, struct err *e)
{
	struct ca_db db;

	world_open(to);
	db = mem_db(&to->mem);
	for (size_t i = 0; i < from->n; i++) {
		const struct mem_row *r = &from->rows[i];
		enum code rc;

		if (mem_class(r->table) == CA_TABLE_DERIVED)
			continue;
		rc = db.ops->put(db.ctx, r->table, r->key, r->val, e);
		if (rc == E_OK && mem_class(r->table) == CA_TABLE_LOG)
			rc =
			    ca_restore_row(to->ca, r->table, r->key, r->val, e);
		if (rc != E_OK)
			return rc;
	}
	return ca_restore_check(to->ca, e);
}

void world_close(struct world *w)
{
	struct world_block *next;

	ca_close(w->ca);
	mem_free(&w->mem);
	for (struct world_block *b = w->blocks; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
}

struct ca_view *world_view(struct world *w)
{
	struct ca_view *v;
	struct err e = {0};

	if (ca_view_load(w->ca, &v, &e) != E_OK)
		fail_msg("the view: %s", e.text);
	return v;
}

/* ---- Entries ----------------------------------------------------------------
 */

struct ca_entry *world_entry(struct world *w, enum ca_kind kind)
{
	struct ca_entry *en = world_get(w, sizeof(*en));

	en->format = CA_FORMAT_VERSION;
	en->time_ms = w->now_ms;
	en->proposer = 1;
	en->kind = kind;
	return en;
}

void fill_node(struct world *w, struct ca_node *n, uint64_t id)
{
	const char *issuer = (const char *)world_text(w, "issuer%d", (int)id).p;

	memset(n, 0, sizeof(*n));
	n->id = id;
	n->cluster =
	    id == 1 ? span_str("east") : world_text(w, "cluster%d", (int)id);
	memset(n->mesh_key, (int)(id % 255 + 1), sizeof(n->mesh_key));
	memset(n->log_key, (int)(id % 255 + 1), sizeof(n->log_key));
	n->mesh_address = world_text(w, "10.0.0.%d:7700", (int)id);
	n->api_addresses[0] = world_text(w, "10.0.0.%d", (int)id);
	n->api_addresses[1] = world_text(w, "node%d.example", (int)id);
	n->api_addresses[2] = span_str("2001:db8::1");
	n->api_addresses_n = 3;
	n->api_spki =
	    fake_key(w, (const char *)world_text(w, "api%d", (int)id).p);
	n->has_issuer = true;
	fake_key_id(n->issuer, fake_key(w, issuer));
}

void fill_cluster(struct world *w, struct ca_cluster *c, const char *name)
{
	memset(c, 0, sizeof(*c));
	c->name = world_text(w, "%s", name);
	c->keys[0] = (struct ca_token_key){.kid = span_str("k1"),
	    .alg = span_str("RS256"),
	    .spki = world_text(w, "token key of %s", name)};
	c->keys_n = 1;
	c->audiences[0] = span_str("istio-ca");
	c->audiences_n = 1;
}

void fill_operator(struct world *w, struct ca_operator *o, const char *name)
{
	*o = (struct ca_operator){.name = world_text(w, "%s", name),
	    .spki = fake_key(w, name),
	    .roles = CA_ROLE_ADMIN};
}

void fill_policy(struct ca_policy *p)
{
	*p = (struct ca_policy){.ttl_default_s = 3600,
	    .ttl_max_s = 86400,
	    .renew_max_s = 86400,
	    .issuer_settle_ms = 120000,
	    .admin_signatures = 1};
}

struct ca_entry *world_genesis(struct world *w)
{
	struct ca_entry *en = world_entry(w, CA_GENESIS);
	struct ca_genesis *g = &en->u.genesis;

	g->signed_bytes = span_str("genesis of td");
	g->signature = fake_sign(w, "root", g->signed_bytes);
	g->trust_domain = span_str("td");
	g->root_cert = fake_root(w, "root");
	g->root_crl = span_str("crl");
	fill_operator(w, &g->op, "alice");
	fill_cluster(w, &g->cluster, "east");
	fill_node(w, &g->node, 1);
	g->issuer_cert = fake_issuer(w, "root", "issuer1");
	fill_policy(&g->policy);
	return en;
}

struct ca_entry *world_issue(struct world *w, const char *uri)
{
	struct ca_entry *en = world_entry(w, CA_ISSUE);
	struct ca_issue *i = &en->u.issue;
	struct ca_view *v = world_view(w);

	i->serial[0] = 0x41;
	put_u64be(i->serial + 8, ++w->made);
	fake_key_id(i->issuer, fake_key(w, "issuer1"));
	i->profile = CA_PROFILE_WORKLOAD;
	i->encoder = 1;
	i->uri = world_text(w, "%s", uri);
	i->spki = span_str("a key");
	i->not_before_s = w->now_ms / 1000 - CA_BACKDATE_S;
	i->not_after_s = w->now_ms / 1000 + 3600;
	i->via = CA_VIA_TOKEN;
	i->cluster = span_str("east");
	i->requester = span_str("system:serviceaccount:app:web");
	i->policy_version = v->policy.version;
	ca_view_unref(v);
	return en;
}

struct ca_entry *world_envelope(
    struct world *w, const struct ca_admin *commands, size_t n)
{
	struct ca_entry *en = world_entry(w, CA_ADMIN);
	struct ca_envelope *env = &en->u.admin;

	env->trust_domain = span_str("td");
	put_u64be(env->nonce, ++w->made);
	env->expires_ms = w->now_ms + 600000;
	env->signed_bytes = world_text(w, "envelope %d", (int)w->made);
	env->commands = world_get(w, n * sizeof(*commands));
	memcpy(env->commands, commands, n * sizeof(*commands));
	env->commands_n = n;
	env->signatures = world_get(w, 16 * sizeof(*env->signatures));
	return en;
}

void world_sign(struct world *w, struct ca_entry *en, const char *operator)
{
	struct ca_envelope *env = &en->u.admin;

	env->signatures[env->signatures_n++] =
	    (struct ca_signature){.spki = fake_key(w, operator),
		.sig = fake_sign(w, operator, env->signed_bytes)};
}

struct ca_entry *world_admin(struct world *w, const struct ca_admin *command)
{
	struct ca_entry *en = world_envelope(w, command, 1);

	world_sign(w, en, "alice");
	return en;
}

struct ca_admin cmd_node(struct world *w, uint64_t id)
{
	struct ca_admin c = {.kind = CA_ADMIN_SET_NODE};

	fill_node(w, &c.u.set_node, id);
	return c;
}

struct ca_admin cmd_issuer(struct world *w, uint64_t node)
{
	struct ca_admin c = {.kind = CA_ADMIN_ADD_ISSUER};

	c.u.add_issuer.cert = fake_issuer(
	    w, "root", (const char *)world_text(w, "issuer%d", (int)node).p);
	c.u.add_issuer.node = node;
	return c;
}

struct ca_admin cmd_cluster(struct world *w, const char *name)
{
	struct ca_admin c = {.kind = CA_ADMIN_SET_CLUSTER};

	fill_cluster(w, &c.u.set_cluster, name);
	return c;
}

struct ca_admin cmd_policy(void)
{
	struct ca_admin c = {.kind = CA_ADMIN_SET_POLICY};

	fill_policy(&c.u.set_policy);
	return c;
}

struct ca_admin cmd_token(struct world *w, const char *secret)
{
	struct ca_admin c = {.kind = CA_ADMIN_CREATE_JOIN_TOKEN};
	struct ca_join_token *t = &c.u.create_join_token;

	sha256_of(t->secret_hash, span_str(secret));
	t->cluster = span_str("west");
	t->expires_ms = w->now_ms + 3600000;
	return c;
}

struct ca_admin cmd_operator(struct world *w, const char *name)
{
	struct ca_admin c = {.kind = CA_ADMIN_SET_OPERATOR};

	fill_operator(w, &c.u.set_operator, name);
	return c;
}

/* ---- Revocation -------------------------------------------------------------
 */

struct ca_entry *world_renew(struct world *w, const struct ca_entry *parent)
{
	const char *uri = (const char *)world_text(w, "%.*s",
	    (int)parent->u.issue.uri.len, (const char *)parent->u.issue.uri.p)
			      .p;
	struct ca_entry *en = world_issue(w, uri);

	en->u.issue.via = CA_VIA_CERT;
	en->u.issue.has_parent = true;
	memcpy(en->u.issue.parent, parent->u.issue.serial, CA_SERIAL_LEN);
	return en;
}

static const char *issuer_name(struct world *w, uint64_t node)
{
	return (const char *)world_text(w, "issuer%d", (int)node).p;
}

static struct ca_crl crl_row(struct world *w, const uint8_t *issuer)
{
	struct ca_view *v = world_view(w);
	const struct ca_crl *c = ca_view_crl(v, issuer);
	struct ca_crl out = {0};

	if (c != NULL)
		out = *c;
	ca_view_unref(v);
	return out;
}

struct ca_entry *world_freeze(struct world *w, uint64_t node)
{
	struct ca_entry *en = world_entry(w, CA_FREEZE_CRL);
	struct ca_freeze_crl *f = &en->u.freeze_crl;

	fake_key_id(f->issuer, fake_key(w, issuer_name(w, node)));
	f->number = crl_row(w, f->issuer).frozen_number + 1;
	f->this_s = w->now_ms / 1000 - CA_CRL_BACKDATE_S;
	f->next_s = w->now_ms / 1000 + CA_CRL_LIFE_S;
	return en;
}

struct ca_entry *world_sign_crl(struct world *w, uint64_t node)
{
	struct ca_entry *en = world_entry(w, CA_SIGN_CRL);
	struct ca_sign_crl *s = &en->u.sign_crl;
	struct span tbs = SPAN_EMPTY;
	struct err e;

	fake_key_id(s->issuer, fake_key(w, issuer_name(w, node)));
	s->number = crl_row(w, s->issuer).frozen_number;
	if (ca_crl_tbs(w->ca, s->issuer, s->number, &tbs, &e) != E_OK)
		tbs = SPAN_EMPTY;
	sha256_of(s->tbs_sha256, tbs);
	s->signature = fake_sign(w, issuer_name(w, node), tbs);
	return en;
}

struct ca_admin cmd_revoke(const struct ca_entry *issued)
{
	struct ca_admin c = {.kind = CA_ADMIN_REVOKE};

	c.u.revoke.by = CA_REVOKE_SERIAL;
	c.u.revoke.reason = CA_REASON_KEY_COMPROMISE;
	memcpy(c.u.revoke.serial, issued->u.issue.serial, CA_SERIAL_LEN);
	return c;
}

struct ca_admin cmd_revoke_all(enum ca_revoke_by by, const char *what)
{
	struct ca_admin c = {.kind = CA_ADMIN_REVOKE};

	c.u.revoke.by = by;
	c.u.revoke.what = span_str(what);
	c.u.revoke.reason = CA_REASON_PRIVILEGE_WITHDRAWN;
	return c;
}

struct ca_admin cmd_lift(enum ca_revoke_by by, const char *what)
{
	struct ca_admin c = cmd_revoke_all(by, what);

	c.kind = CA_ADMIN_LIFT_BLOCK;
	return c;
}

struct ca_admin cmd_retire(struct world *w, uint64_t node)
{
	struct ca_admin c = {.kind = CA_ADMIN_RETIRE_ISSUER};

	fake_key_id(c.u.retire_issuer, fake_key(w, issuer_name(w, node)));
	return c;
}

struct span fake_root_crl(struct world *w, uint64_t number, unsigned n)
{
	size_t body = 1 + 8 + n * CERT_LEN;
	uint8_t *p = world_get(w, body + SHA256_LEN);

	p[0] = 'C';
	put_u64be(p + 1, number);
	for (unsigned i = 0; i < n; i++)
		memcpy(p + 1 + 8 + i * CERT_LEN,
		    fake_issuer(w, "root", issuer_name(w, i + 1)).p, CERT_LEN);
	signature(p + body, fake_key(w, "root"), span_of(p, body));
	return span_of(p, body + SHA256_LEN);
}

struct ca_admin cmd_revoke_issuer(
    struct world *w, uint64_t node, struct span root_crl)
{
	struct ca_admin c = {.kind = CA_ADMIN_REVOKE_ISSUER};

	fake_key_id(
	    c.u.revoke_issuer.issuer, fake_key(w, issuer_name(w, node)));
	c.u.revoke_issuer.root_crl = root_crl;
	return c;
}

struct ca_admin cmd_root_crl(struct span root_crl)
{
	struct ca_admin c = {.kind = CA_ADMIN_SET_ROOT_CRL};

	c.u.set_root_crl = root_crl;
	return c;
}

struct ca_admin cmd_bundle(
    struct world *w, const char *trust_domain, const char *root)
{
	struct ca_admin c = {.kind = CA_ADMIN_SET_TRUST_BUNDLE};
	struct ca_bundle *b = &c.u.set_trust_bundle;
	struct ca_view *v = world_view(w);
	const struct ca_bundle *had;
	struct buf input;

	b->trust_domain = world_text(w, "%s", trust_domain);
	if (root != NULL)
		b->certs[b->certs_n++] = fake_root(w, root);
	had = ca_view_bundle(v, b->trust_domain);
	b->sequence = had == NULL ? 1 : had->sequence + 1;
	buf_init(&input);
	assert_true(ca_bundle_input(&input, b));
	b->root_sig = fake_sign(w, "root", buf_span(&input));
	buf_free(&input);
	ca_view_unref(v);
	return c;
}

/* ---- Applying ---------------------------------------------------------------
 */

/* What holds after every entry. */
static void check_all(struct world *w, struct span raw)
{
	uint8_t rows[SHA256_LEN];
	struct ca_record rec;
	struct ca_head head;
	struct err e;

	assert_int_equal(w->result.index, w->index);
	assert_int_equal(ca_applied(w->ca), w->index);
	assert_int_equal(ca_head(w->ca, &head, &e), E_OK);
	assert_int_equal(head.index, w->index);
	assert_int_equal(head.tree_size, w->leaves);
	if (!w->quick) {
		assert_int_equal(ca_digest_rows(w->ca, rows, &e), E_OK);
		assert_memory_equal(rows, head.state_digest, SHA256_LEN);
	}
	assert_int_equal(ca_record_get(w->ca, w->index, &rec, &e), E_OK);
	assert_int_equal(rec.index, w->index);
	assert_int_equal(rec.leaf, w->leaves - 1);
	assert_int_equal(rec.outcome, w->result.outcome);
	assert_true(span_eq(rec.raw, raw));
	assert_true(w->result.outcome == CA_OK ||
		    w->result.outcome == CA_REPEATED ||
		    (w->result.why[0] != '\0' && w->result.code != E_OK &&
			!w->result.view_changed));
}

enum ca_outcome world_apply_raw(
    struct world *w, const struct ca_entry *en, struct span raw)
{
	struct err e = {0};

	w->index += 1 + w->index % 2; /* raft has entries of its own */
	w->leaves++;
	if (ca_apply(w->ca, w->index, en, raw, &w->result, &e) != E_OK)
		fail_msg("entry %d: %s", (int)w->index, e.text);
	check_all(w, raw);
	return w->result.outcome;
}

enum ca_outcome world_apply(struct world *w, const struct ca_entry *en)
{
	return world_apply_raw(
	    w, en, world_text(w, "entry %d", (int)++w->made));
}

enum ca_outcome world_do(struct world *w, struct ca_admin command)
{
	return world_apply(w, world_admin(w, &command));
}
