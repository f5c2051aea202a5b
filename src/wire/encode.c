/* encode.c -- plain structs to the bytes of the log and of signed messages. */
#include <string.h>

#include "wire/memory.h"

static void entry_init(Quorate__Entry *en, uint64_t time_ms, uint64_t proposer)
{
	quorate__entry__init(en);
	en->format = CA_FORMAT_VERSION;
	en->time_ms = time_ms;
	en->proposer = proposer;
}

static void fill_issue(Quorate__Issue *o, const struct ca_issue *i)
{
	quorate__issue__init(o);
	o->serial = bytes_of(span_of(i->serial, CA_SERIAL_LEN));
	o->issuer = bytes_of(span_of(i->issuer, CA_KEY_ID_LEN));
	o->profile = (uint32_t)i->profile;
	o->encoder = i->encoder;
	o->uri = bytes_of(i->uri);
	o->common_name = bytes_of(i->common_name);
	o->spki = bytes_of(i->spki);
	o->not_before_s = i->not_before_s;
	o->not_after_s = i->not_after_s;
	o->via = (uint32_t)i->via;
	o->cluster = bytes_of(i->cluster);
	o->requester = bytes_of(i->requester);
	o->pod_name = bytes_of(i->pod_name);
	o->pod_uid = bytes_of(i->pod_uid);
	if (i->has_parent)
		o->parent = bytes_of(span_of(i->parent, CA_SERIAL_LEN));
	o->policy_version = i->policy_version;
	o->signer_boot = i->signer_boot;
	o->signer_seq = i->signer_seq;
	o->signature = bytes_of(i->signature);
	o->cert_sha256 = bytes_of(span_of(i->cert_sha256, SHA256_LEN));
}

enum code wire_issue_encode(struct buf *out, uint64_t time_ms,
    uint64_t proposer, const struct ca_issue *i, struct err *e)
{
	struct wire_memory *m = memory_new();
	Quorate__Issue issue;
	Quorate__Entry en;
	enum code rc;

	if (m == NULL)
		return err_nomem(e);
	entry_init(&en, time_ms, proposer);
	fill_issue(&issue, i);
	issue.n_dns = i->dns_n;
	issue.dns = give_names(m, i->dns, i->dns_n);
	issue.n_ip = i->ip_n;
	issue.ip = give_names(m, i->ip, i->ip_n);
	en.body_case = QUORATE__ENTRY__BODY_ISSUE;
	en.issue = &issue;
	rc = issue.dns == NULL || issue.ip == NULL ? err_nomem(e)
						   : memory_pack(out, &en, e);
	wire_free(m);
	return rc;
}

static void fill_checkpoint(
    Quorate__Checkpoint *o, const struct ca_checkpoint *c)
{
	quorate__checkpoint__init(o);
	o->index = c->index;
	o->tree_size = c->tree_size;
	o->root = bytes_of(span_of(c->root, SHA256_LEN));
	o->state_digest = bytes_of(span_of(c->state_digest, SHA256_LEN));
}

enum code wire_checkpoint_encode(struct buf *out, uint64_t time_ms,
    uint64_t proposer, const struct ca_checkpoint *c, struct err *e)
{
	Quorate__Checkpoint cp;
	Quorate__Entry en;

	entry_init(&en, time_ms, proposer);
	fill_checkpoint(&cp, c);
	en.body_case = QUORATE__ENTRY__BODY_CHECKPOINT;
	en.checkpoint = &cp;
	return memory_pack(out, &en, e);
}

enum code wire_refresh_encode(struct buf *out, uint64_t time_ms,
    uint64_t proposer, const struct ca_refresh_keys *k, struct err *e)
{
	struct wire_memory *m = memory_new();
	Quorate__RefreshKeys r = QUORATE__REFRESH_KEYS__INIT;
	Quorate__Entry en;
	enum code rc;

	if (m == NULL)
		return err_nomem(e);
	entry_init(&en, time_ms, proposer);
	r.node = k->node;
	r.cluster = bytes_of(k->cluster);
	r.n_keys = k->keys_n;
	r.keys = give_token_keys(m, k->keys, k->keys_n);
	en.body_case = QUORATE__ENTRY__BODY_REFRESH_KEYS;
	en.refresh_keys = &r;
	rc = r.keys == NULL ? err_nomem(e) : memory_pack(out, &en, e);
	wire_free(m);
	return rc;
}

enum code wire_freeze_encode(struct buf *out, uint64_t time_ms,
    uint64_t proposer, const struct ca_freeze_crl *f, struct err *e)
{
	Quorate__FreezeCrl o = QUORATE__FREEZE_CRL__INIT;
	Quorate__Entry en;

	entry_init(&en, time_ms, proposer);
	o.issuer = bytes_of(span_of(f->issuer, CA_KEY_ID_LEN));
	o.number = f->number;
	o.this_s = f->this_s;
	o.next_s = f->next_s;
	en.body_case = QUORATE__ENTRY__BODY_FREEZE_CRL;
	en.freeze_crl = &o;
	return memory_pack(out, &en, e);
}

enum code wire_sign_crl_encode(struct buf *out, uint64_t time_ms,
    uint64_t proposer, const struct ca_sign_crl *s, struct err *e)
{
	Quorate__SignCrl o = QUORATE__SIGN_CRL__INIT;
	Quorate__Entry en;

	entry_init(&en, time_ms, proposer);
	o.issuer = bytes_of(span_of(s->issuer, CA_KEY_ID_LEN));
	o.number = s->number;
	o.tbs_sha256 = bytes_of(span_of(s->tbs_sha256, SHA256_LEN));
	o.signature = bytes_of(s->signature);
	en.body_case = QUORATE__ENTRY__BODY_SIGN_CRL;
	en.sign_crl = &o;
	return memory_pack(out, &en, e);
}

enum code wire_genesis_payload(
    struct buf *out, const struct ca_genesis *g, struct err *e)
{
	struct wire_memory *m = memory_new();
	Quorate__Genesis o = QUORATE__GENESIS__INIT;
	enum code rc;

	if (m == NULL)
		return err_nomem(e);
	o.trust_domain = bytes_of(g->trust_domain);
	o.root_cert = bytes_of(g->root_cert);
	o.root_crl = bytes_of(g->root_crl);
	o.operator_ = give_operator(m, &g->op);
	o.cluster = give_cluster(m, &g->cluster);
	o.node = give_node(m, &g->node);
	o.issuer_cert = bytes_of(g->issuer_cert);
	o.policy = give_policy(m, &g->policy);
	rc = o.operator_ == NULL || o.cluster == NULL || o.node == NULL ||
		     o.policy == NULL
		 ? err_nomem(e)
		 : memory_pack(out, &o, e);
	wire_free(m);
	return rc;
}

/* Commands of revocation and trust. */
static bool fill_trust_command(
    struct wire_memory *m, Quorate__AdminCommand *o, const struct ca_admin *c)
{
	switch (c->kind) {
	case CA_ADMIN_REVOKE:
		return (o->revoke = give_revoke(m, &c->u.revoke)) != NULL;
	case CA_ADMIN_LIFT_BLOCK:
		return (o->lift_block = give_revoke(m, &c->u.revoke)) != NULL;
	case CA_ADMIN_RETIRE_ISSUER:
		o->retire_issuer = memory_get(m, 1, sizeof(*o->retire_issuer));
		if (o->retire_issuer == NULL)
			return false;
		quorate__retire_issuer__init(o->retire_issuer);
		o->retire_issuer->issuer =
		    bytes_of(span_of(c->u.retire_issuer, CA_KEY_ID_LEN));
		return true;
	case CA_ADMIN_REVOKE_ISSUER:
		o->revoke_issuer = memory_get(m, 1, sizeof(*o->revoke_issuer));
		if (o->revoke_issuer == NULL)
			return false;
		quorate__revoke_issuer__init(o->revoke_issuer);
		o->revoke_issuer->issuer =
		    bytes_of(span_of(c->u.revoke_issuer.issuer, CA_KEY_ID_LEN));
		o->revoke_issuer->root_crl =
		    bytes_of(c->u.revoke_issuer.root_crl);
		return true;
	case CA_ADMIN_SET_TRUST_BUNDLE:
		return (o->set_trust_bundle =
			       give_bundle(m, &c->u.set_trust_bundle)) != NULL;
	case CA_ADMIN_SET_ROOT_CRL:
		o->set_root_crl = memory_get(m, 1, sizeof(*o->set_root_crl));
		if (o->set_root_crl == NULL)
			return false;
		quorate__root_crl__init(o->set_root_crl);
		o->set_root_crl->crl = bytes_of(c->u.set_root_crl);
		return true;
	default: return false;
	}
}

static bool fill_command(
    struct wire_memory *m, Quorate__AdminCommand *o, const struct ca_admin *c)
{
	quorate__admin_command__init(o);
	o->command_case = (Quorate__AdminCommand__CommandCase)c->kind;
	switch (c->kind) {
	case CA_ADMIN_SET_NODE:
		return (o->set_node = give_node(m, &c->u.set_node)) != NULL;
	case CA_ADMIN_ADD_ISSUER:
		o->add_issuer = memory_get(m, 1, sizeof(*o->add_issuer));
		if (o->add_issuer == NULL)
			return false;
		quorate__add_issuer__init(o->add_issuer);
		o->add_issuer->cert = bytes_of(c->u.add_issuer.cert);
		o->add_issuer->node = c->u.add_issuer.node;
		return true;
	case CA_ADMIN_SET_CLUSTER:
		return (o->set_cluster = give_cluster(m, &c->u.set_cluster)) !=
		       NULL;
	case CA_ADMIN_SET_POLICY:
		return (o->set_policy = give_policy(m, &c->u.set_policy)) !=
		       NULL;
	case CA_ADMIN_CREATE_JOIN_TOKEN: {
		const struct ca_join_token *t = &c->u.create_join_token;
		Quorate__JoinToken *w = memory_get(m, 1, sizeof(*w));

		if (w == NULL)
			return false;
		quorate__join_token__init(w);
		w->secret_hash = bytes_of(span_of(t->secret_hash, SHA256_LEN));
		w->cluster = bytes_of(t->cluster);
		w->expires_ms = t->expires_ms;
		o->create_join_token = w;
		return true;
	}
	case CA_ADMIN_SET_OPERATOR:
		return (o->set_operator =
			       give_operator(m, &c->u.set_operator)) != NULL;
	default: return fill_trust_command(m, o, c);
	}
}

enum code wire_admin_payload(struct buf *out, struct span trust_domain,
    const uint8_t nonce[CA_NONCE_LEN], uint64_t expires_ms,
    const struct ca_admin *commands, size_t n, struct err *e)
{
	struct wire_memory *m = memory_new();
	Quorate__AdminBatch b = QUORATE__ADMIN_BATCH__INIT;
	Quorate__AdminCommand *rows;
	enum code rc = E_OK;

	if (m == NULL)
		return err_nomem(e);
	b.trust_domain = bytes_of(trust_domain);
	b.nonce = bytes_of(span_of(nonce, CA_NONCE_LEN));
	b.expires_ms = expires_ms;
	b.n_commands = n;
	b.commands = memory_list(m, n);
	rows = memory_get(m, n, sizeof(*rows));
	if (b.commands == NULL || rows == NULL) {
		wire_free(m);
		return err_nomem(e);
	}
	for (size_t i = 0; rc == E_OK && i < n; i++) {
		if (commands[i].kind < CA_ADMIN_SET_NODE ||
		    commands[i].kind > CA_ADMIN_SET_ROOT_CRL)
			rc = err_set(e, E_INVAL,
			    "command %zu is of a kind not known here", i + 1);
		else if (!fill_command(m, &rows[i], &commands[i]))
			rc = err_nomem(e);
		b.commands[i] = &rows[i];
	}
	if (rc == E_OK)
		rc = memory_pack(out, &b, e);
	wire_free(m);
	return rc;
}

enum code wire_signature_input(
    struct buf *out, const char *context, struct span payload, struct err *e)
{
	buf_add(out, context, strlen(context) + 1);
	buf_add_span(out, payload);
	return buf_check(out, e);
}

enum code wire_signed_encode(struct buf *out, struct span payload,
    const struct ca_signature *sigs, size_t n, struct err *e)
{
	struct wire_memory *m = memory_new();
	Quorate__Signed s = QUORATE__SIGNED__INIT;
	Quorate__Signature *rows;
	enum code rc = E_OK;

	if (m == NULL)
		return err_nomem(e);
	s.payload = bytes_of(payload);
	s.n_signatures = n;
	s.signatures = memory_list(m, n);
	rows = memory_get(m, n, sizeof(*rows));
	if (s.signatures == NULL || rows == NULL) {
		wire_free(m);
		return err_nomem(e);
	}
	for (size_t i = 0; rc == E_OK && i < n; i++) {
		quorate__signature__init(&rows[i]);
		rows[i].spki = bytes_of(sigs[i].spki);
		rows[i].sig = bytes_of(sigs[i].sig);
		s.signatures[i] = &rows[i];
	}
	if (rc == E_OK)
		rc = memory_pack(out, &s, e);
	wire_free(m);
	return rc;
}

/* Base-128 varint. */
static void put_varint(struct buf *out, uint64_t v)
{
	while (v >= 0x80) {
		buf_add_u8(out, (uint8_t)(v | 0x80));
		v >>= 7;
	}
	buf_add_u8(out, (uint8_t)v);
}

/* Written by hand, so that the operator's bytes stay exactly as they came:
 * field 1 varint, field `kind` length-delimited, fields 16 and 17 varints. */
enum code wire_signed_entry(struct buf *out, enum ca_kind kind,
    uint64_t time_ms, uint64_t proposer, struct span signed_msg, struct err *e)
{
	if (kind != CA_GENESIS && kind != CA_ADMIN)
		return err_set(e, E_INVAL, "nobody signs entries of that kind");
	put_varint(out, 1 << 3);
	put_varint(out, CA_FORMAT_VERSION);
	put_varint(out, (uint64_t)kind << 3 | 2);
	put_varint(out, signed_msg.len);
	buf_add_span(out, signed_msg);
	put_varint(out, 16 << 3);
	put_varint(out, time_ms);
	put_varint(out, 17 << 3);
	put_varint(out, proposer);
	return buf_check(out, e);
}
