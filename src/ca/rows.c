/* rows.c -- the rows ▣: numbers big-endian and of fixed width, texts with a
 * u16 length before them, lists with a u8 count.  A row that does not decode is
 * corrupt: nothing but this file wrote it. */
#include <string.h>

#include "ca/internal.h"

static void put_text(struct buf *b, struct span s)
{
	buf_add_u16be(b, (uint16_t)s.len);
	buf_add_span(b, s);
}

static struct span get_text(struct reader *r)
{
	return read_span(r, read_u16be(r));
}

static void put_list(struct buf *b, const struct span *v, size_t n)
{
	buf_add_u8(b, (uint8_t)n);
	for (size_t i = 0; i < n; i++)
		put_text(b, v[i]);
}

static size_t get_list(struct reader *r, struct span v[CA_LIST_MAX])
{
	size_t n = read_u8(r);

	if (n > CA_LIST_MAX) {
		r->bad = true;
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		v[i] = get_text(r);
	return r->bad ? 0 : n;
}

static enum code row_end(
    const struct reader *r, const char *kind, struct err *e)
{
	if (r->bad || r->left != 0)
		return err_set(e, E_CORRUPT,
		    "a row of the %s table does not decode", kind);
	return E_OK;
}

void row_operator(struct buf *out, const struct ca_operator *o)
{
	put_text(out, o->name);
	put_text(out, o->spki);
	buf_add_u32be(out, o->roles);
	buf_add_u8(out, o->removed);
}

enum code row_operator_read(
    struct span val, struct ca_operator *o, struct err *e)
{
	struct reader r;

	reader_init(&r, val);
	o->name = get_text(&r);
	o->spki = get_text(&r);
	o->roles = read_u32be(&r);
	o->removed = read_u8(&r) != 0;
	return row_end(&r, "operator", e);
}

void row_cluster(struct buf *out, const struct ca_cluster *c)
{
	put_text(out, c->name);
	buf_add_u8(out, (uint8_t)c->keys_n);
	for (size_t i = 0; i < c->keys_n; i++) {
		put_text(out, c->keys[i].kid);
		put_text(out, c->keys[i].alg);
		put_text(out, c->keys[i].spki);
	}
	put_text(out, c->issuer);
	put_list(out, c->audiences, c->audiences_n);
	put_list(out, c->aliases, c->aliases_n);
	put_text(out, c->api_address);
	put_list(out, c->namespaces, c->namespaces_n);
	buf_add_u8(out, c->removed);
}

enum code row_cluster_read(struct span val, struct ca_cluster *c, struct err *e)
{
	struct reader r;

	reader_init(&r, val);
	c->name = get_text(&r);
	c->keys_n = read_u8(&r);
	if (c->keys_n > CA_LIST_MAX)
		return err_set(e, E_CORRUPT, "cluster row: too many keys");
	for (size_t i = 0; i < c->keys_n; i++) {
		c->keys[i].kid = get_text(&r);
		c->keys[i].alg = get_text(&r);
		c->keys[i].spki = get_text(&r);
	}
	c->issuer = get_text(&r);
	c->audiences_n = get_list(&r, c->audiences);
	c->aliases_n = get_list(&r, c->aliases);
	c->api_address = get_text(&r);
	c->namespaces_n = get_list(&r, c->namespaces);
	c->removed = read_u8(&r) != 0;
	return row_end(&r, "cluster", e);
}

void row_node(struct buf *out, const struct ca_node *n)
{
	buf_add_u64be(out, n->id);
	put_text(out, n->cluster);
	buf_add(out, n->mesh_key, sizeof(n->mesh_key));
	put_text(out, n->mesh_address);
	put_list(out, n->api_addresses, n->api_addresses_n);
	put_text(out, n->api_spki);
	buf_add(out, n->log_key, sizeof(n->log_key));
	buf_add_u8(out, n->has_issuer);
	buf_add(out, n->issuer, sizeof(n->issuer));
	buf_add_u8(out, n->removed);
}

enum code row_node_read(struct span val, struct ca_node *n, struct err *e)
{
	struct reader r;

	reader_init(&r, val);
	n->id = read_u64be(&r);
	n->cluster = get_text(&r);
	read_bytes(&r, n->mesh_key, sizeof(n->mesh_key));
	n->mesh_address = get_text(&r);
	n->api_addresses_n = get_list(&r, n->api_addresses);
	n->api_spki = get_text(&r);
	read_bytes(&r, n->log_key, sizeof(n->log_key));
	n->has_issuer = read_u8(&r) != 0;
	read_bytes(&r, n->issuer, sizeof(n->issuer));
	n->removed = read_u8(&r) != 0;
	return row_end(&r, "node", e);
}

void row_issuer(struct buf *out, const struct ca_issuer *i)
{
	buf_add(out, i->key_id, sizeof(i->key_id));
	buf_add_u64be(out, i->node);
	put_text(out, i->name);
	put_text(out, i->cert);
	put_text(out, i->spki);
	buf_add_u64be(out, i->not_before_s);
	buf_add_u64be(out, i->not_after_s);
	buf_add_u64be(out, i->added_ms);
	buf_add_u8(out, (uint8_t)i->state);
}

enum code row_issuer_read(struct span val, struct ca_issuer *i, struct err *e)
{
	struct reader r;

	reader_init(&r, val);
	read_bytes(&r, i->key_id, sizeof(i->key_id));
	i->node = read_u64be(&r);
	i->name = get_text(&r);
	i->cert = get_text(&r);
	i->spki = get_text(&r);
	i->not_before_s = read_u64be(&r);
	i->not_after_s = read_u64be(&r);
	i->added_ms = read_u64be(&r);
	i->state = (enum ca_issuer_state)read_u8(&r);
	return row_end(&r, "issuer", e);
}

void row_policy(struct buf *out, const struct ca_policy *p)
{
	buf_add_u64be(out, p->version);
	buf_add_u64be(out, p->ttl_default_s);
	buf_add_u64be(out, p->ttl_max_s);
	buf_add_u64be(out, p->renew_max_s);
	buf_add_u64be(out, p->issuer_settle_ms);
	buf_add_u64be(out, p->quota_identity_per_h);
	buf_add_u64be(out, p->quota_cluster_per_h);
	buf_add_u32be(out, p->admin_signatures);
	buf_add_u8(out, p->name_constraints);
}

enum code row_policy_read(struct span val, struct ca_policy *p, struct err *e)
{
	struct reader r;

	reader_init(&r, val);
	p->version = read_u64be(&r);
	p->ttl_default_s = read_u64be(&r);
	p->ttl_max_s = read_u64be(&r);
	p->renew_max_s = read_u64be(&r);
	p->issuer_settle_ms = read_u64be(&r);
	p->quota_identity_per_h = read_u64be(&r);
	p->quota_cluster_per_h = read_u64be(&r);
	p->admin_signatures = read_u32be(&r);
	p->name_constraints = read_u8(&r) != 0;
	return row_end(&r, "policy", e);
}

void row_token(struct buf *out, const struct ca_join_token *t)
{
	buf_add(out, t->secret_hash, sizeof(t->secret_hash));
	put_text(out, t->cluster);
	buf_add_u64be(out, t->expires_ms);
}

enum code row_token_read(
    struct span val, struct ca_join_token *t, struct err *e)
{
	struct reader r;

	reader_init(&r, val);
	read_bytes(&r, t->secret_hash, sizeof(t->secret_hash));
	t->cluster = get_text(&r);
	t->expires_ms = read_u64be(&r);
	return row_end(&r, "token", e);
}

void row_meta(struct buf *out, const struct ca_meta *m)
{
	buf_add_u8(out, CA_FORMAT_VERSION);
	buf_add_u64be(out, m->applied);
	buf_add_u64be(out, m->time_ms);
	buf_add_u64be(out, m->genesis_ms);
	buf_add_u64be(out, m->tree_size);
	buf_add_u64be(out, m->last_node_id);
	buf_add_u64be(out, m->policy_version);
	buf_add(out, m->digest, sizeof(m->digest));
}

enum code row_meta_read(struct span val, struct ca_meta *m, struct err *e)
{
	struct reader r;

	reader_init(&r, val);
	if (read_u8(&r) != CA_FORMAT_VERSION)
		return err_set(e, E_CORRUPT,
		    "the state was written in a format this program does not "
		    "know; run the version that wrote it, or a later one");
	m->applied = read_u64be(&r);
	m->time_ms = read_u64be(&r);
	m->genesis_ms = read_u64be(&r);
	m->tree_size = read_u64be(&r);
	m->last_node_id = read_u64be(&r);
	m->policy_version = read_u64be(&r);
	read_bytes(&r, m->digest, sizeof(m->digest));
	return row_end(&r, "meta", e);
}

void row_record(struct buf *out, const struct record_row *w)
{
	buf_add_u64be(out, w->record.leaf);
	buf_add_u64be(out, w->record.time_ms);
	buf_add_u8(out, (uint8_t)w->record.outcome);
	buf_add(out, w->record.effect, SHA256_LEN);
	put_text(out, w->serial);
	if (w->serial.len != 0) {
		put_text(out, w->issuer);
		put_text(out, w->identity);
		put_text(out, w->parent);
		put_text(out, w->pod);
		buf_add_u64be(out, w->token_ms);
		buf_add_u64be(out, w->not_after_s);
	}
	buf_add_u32be(out, (uint32_t)w->record.raw.len);
	buf_add_span(out, w->record.raw);
}

enum code row_record_read(
    struct span val, uint64_t index, struct record_row *w, struct err *e)
{
	struct reader r;

	reader_init(&r, val);
	w->record.index = index;
	w->record.leaf = read_u64be(&r);
	w->record.time_ms = read_u64be(&r);
	w->record.outcome = (enum ca_outcome)read_u8(&r);
	read_bytes(&r, w->record.effect, SHA256_LEN);
	w->serial = get_text(&r);
	if (w->serial.len != 0) {
		w->issuer = get_text(&r);
		w->identity = get_text(&r);
		w->parent = get_text(&r);
		w->pod = get_text(&r);
		w->token_ms = read_u64be(&r);
		w->not_after_s = read_u64be(&r);
	}
	w->record.raw = read_span(&r, read_u32be(&r));
	return row_end(&r, "record", e);
}

void row_revoked(struct buf *out, const struct revoked_row *r)
{
	buf_add_u64be(out, r->revoked.revoked_s);
	buf_add_u8(out, (uint8_t)r->revoked.reason);
	buf_add_u64be(out, r->not_after_s);
}

enum code row_revoked_read(
    struct span val, struct revoked_row *r, struct err *e)
{
	struct reader in;

	reader_init(&in, val);
	r->revoked.revoked_s = read_u64be(&in);
	r->revoked.reason = (enum ca_reason)read_u8(&in);
	r->not_after_s = read_u64be(&in);
	return row_end(&in, "revoked", e);
}

void row_block(struct buf *out, const struct ca_block *b)
{
	buf_add_u8(out, (uint8_t)b->by);
	put_text(out, b->what);
	buf_add_u64be(out, b->since_ms);
	buf_add_u8(out, (uint8_t)b->reason);
}

enum code row_block_read(struct span val, struct ca_block *b, struct err *e)
{
	struct reader r;

	reader_init(&r, val);
	b->by = (enum ca_revoke_by)read_u8(&r);
	b->what = get_text(&r);
	b->since_ms = read_u64be(&r);
	b->reason = (enum ca_reason)read_u8(&r);
	return row_end(&r, "block", e);
}

void row_crl(struct buf *out, const struct ca_crl *c)
{
	buf_add(out, c->issuer, sizeof(c->issuer));
	buf_add_u64be(out, c->dirty_index);
	buf_add_u64be(out, c->frozen_index);
	buf_add_u64be(out, c->frozen_number);
	buf_add_u64be(out, c->frozen_this_s);
	buf_add_u64be(out, c->frozen_next_s);
	buf_add_u64be(out, c->frozen_entries);
	buf_add_u64be(out, c->frozen_ms);
	buf_add(out, c->frozen_sha256, SHA256_LEN);
	buf_add_u64be(out, c->number);
	buf_add_u64be(out, c->this_s);
	buf_add_u64be(out, c->next_s);
	buf_add_u64be(out, c->entries);
	buf_add_u64be(out, c->signed_index);
	buf_add_u64be(out, c->content_index);
	buf_add(out, c->sha256, SHA256_LEN);
	put_text(out, c->signature);
}

enum code row_crl_read(struct span val, struct ca_crl *c, struct err *e)
{
	struct reader r;

	reader_init(&r, val);
	read_bytes(&r, c->issuer, sizeof(c->issuer));
	c->dirty_index = read_u64be(&r);
	c->frozen_index = read_u64be(&r);
	c->frozen_number = read_u64be(&r);
	c->frozen_this_s = read_u64be(&r);
	c->frozen_next_s = read_u64be(&r);
	c->frozen_entries = read_u64be(&r);
	c->frozen_ms = read_u64be(&r);
	read_bytes(&r, c->frozen_sha256, SHA256_LEN);
	c->number = read_u64be(&r);
	c->this_s = read_u64be(&r);
	c->next_s = read_u64be(&r);
	c->entries = read_u64be(&r);
	c->signed_index = read_u64be(&r);
	c->content_index = read_u64be(&r);
	read_bytes(&r, c->sha256, SHA256_LEN);
	c->signature = get_text(&r);
	return row_end(&r, "CRL", e);
}

void row_bundle(struct buf *out, const struct ca_bundle *b)
{
	put_text(out, b->trust_domain);
	put_list(out, b->certs, b->certs_n);
	buf_add_u64be(out, b->sequence);
}

enum code row_bundle_read(struct span val, struct ca_bundle *b, struct err *e)
{
	struct reader r;

	reader_init(&r, val);
	b->trust_domain = get_text(&r);
	b->certs_n = get_list(&r, b->certs);
	b->sequence = read_u64be(&r);
	return row_end(&r, "bundle", e);
}
