#include <inttypes.h>

#include "base/text.h"
#include "sample.h"

static void num(struct buf *b, const char *name, uint64_t v)
{
	buf_printf(b, "%s %" PRIu64 "\n", name, v);
}

static void hex(struct buf *b, const char *name, const void *p, size_t len)
{
	buf_printf(b, "%s [%zu] ", name, len);
	if (buf_reserve(b, 2 * len + 1)) {
		hex_encode((char *)b->p + b->len, p, len);
		b->len += 2 * len;
	}
	buf_add_str(b, "\n");
}

static void text(struct buf *b, const char *name, struct span s)
{
	hex(b, name, s.p, s.len);
}

static void list(
    struct buf *b, const char *name, const struct span *v, size_t n)
{
	num(b, name, n);
	for (size_t i = 0; i < n; i++)
		text(b, name, v[i]);
}

void tell_issue(struct buf *b, const struct ca_issue *i)
{
	hex(b, "serial", i->serial, sizeof(i->serial));
	hex(b, "issuer", i->issuer, sizeof(i->issuer));
	num(b, "profile", (uint64_t)i->profile);
	num(b, "encoder", i->encoder);
	text(b, "uri", i->uri);
	list(b, "dns", i->dns, i->dns_n);
	list(b, "ip", i->ip, i->ip_n);
	text(b, "common_name", i->common_name);
	text(b, "spki", i->spki);
	num(b, "not_before_s", i->not_before_s);
	num(b, "not_after_s", i->not_after_s);
	num(b, "via", (uint64_t)i->via);
	text(b, "cluster", i->cluster);
	text(b, "requester", i->requester);
	text(b, "pod_name", i->pod_name);
	text(b, "pod_uid", i->pod_uid);
	num(b, "has_parent", i->has_parent);
	hex(b, "parent", i->parent, sizeof(i->parent));
	num(b, "policy_version", i->policy_version);
	num(b, "signer_boot", i->signer_boot);
	num(b, "signer_seq", i->signer_seq);
	text(b, "signature", i->signature);
	hex(b, "cert_sha256", i->cert_sha256, sizeof(i->cert_sha256));
}

void tell_checkpoint(struct buf *b, const struct ca_checkpoint *c)
{
	num(b, "index", c->index);
	num(b, "tree_size", c->tree_size);
	hex(b, "root", c->root, sizeof(c->root));
	hex(b, "state_digest", c->state_digest, sizeof(c->state_digest));
}

static void keys(struct buf *b, const struct ca_token_key *k, size_t n)
{
	num(b, "keys", n);
	for (size_t i = 0; i < n; i++) {
		text(b, "kid", k[i].kid);
		text(b, "alg", k[i].alg);
		text(b, "spki", k[i].spki);
	}
}

void tell_refresh(struct buf *b, const struct ca_refresh_keys *r)
{
	num(b, "node", r->node);
	text(b, "cluster", r->cluster);
	keys(b, r->keys, r->keys_n);
}

static void cluster(struct buf *b, const struct ca_cluster *c)
{
	text(b, "name", c->name);
	keys(b, c->keys, c->keys_n);
	text(b, "issuer", c->issuer);
	list(b, "audiences", c->audiences, c->audiences_n);
	list(b, "aliases", c->aliases, c->aliases_n);
	text(b, "api_address", c->api_address);
	list(b, "namespaces", c->namespaces, c->namespaces_n);
	num(b, "removed", c->removed);
}

static void node(struct buf *b, const struct ca_node *n)
{
	num(b, "id", n->id);
	text(b, "cluster", n->cluster);
	hex(b, "mesh_key", n->mesh_key, sizeof(n->mesh_key));
	text(b, "mesh_address", n->mesh_address);
	list(b, "api_addresses", n->api_addresses, n->api_addresses_n);
	text(b, "api_spki", n->api_spki);
	hex(b, "log_key", n->log_key, sizeof(n->log_key));
	num(b, "has_issuer", n->has_issuer);
	hex(b, "issuer", n->issuer, sizeof(n->issuer));
	num(b, "removed", n->removed);
}

static void operator(struct buf *b, const struct ca_operator *o)
{
	text(b, "name", o->name);
	text(b, "spki", o->spki);
	num(b, "roles", o->roles);
	num(b, "removed", o->removed);
}

static void policy(struct buf *b, const struct ca_policy *p)
{
	num(b, "version", p->version);
	num(b, "ttl_default_s", p->ttl_default_s);
	num(b, "ttl_max_s", p->ttl_max_s);
	num(b, "renew_max_s", p->renew_max_s);
	num(b, "issuer_settle_ms", p->issuer_settle_ms);
	num(b, "quota_identity_per_h", p->quota_identity_per_h);
	num(b, "quota_cluster_per_h", p->quota_cluster_per_h);
	num(b, "admin_signatures", p->admin_signatures);
	num(b, "name_constraints", p->name_constraints);
}

void tell_genesis(struct buf *b, const struct ca_genesis *g)
{
	text(b, "signature", g->signature);
	text(b, "trust_domain", g->trust_domain);
	text(b, "root_cert", g->root_cert);
	text(b, "root_crl", g->root_crl);
	operator(b, &g->op);
	cluster(b, &g->cluster);
	node(b, &g->node);
	text(b, "issuer_cert", g->issuer_cert);
	policy(b, &g->policy);
}

static void bundle(struct buf *b, const struct ca_bundle *u)
{
	text(b, "trust_domain", u->trust_domain);
	num(b, "certs", u->certs_n);
	for (size_t i = 0; i < u->certs_n; i++)
		text(b, "cert", u->certs[i]);
	text(b, "root_sig", u->root_sig);
}

static void freeze(struct buf *b, const struct ca_freeze_crl *f)
{
	hex(b, "issuer", f->issuer, CA_KEY_ID_LEN);
	num(b, "number", f->number);
	num(b, "this_s", f->this_s);
	num(b, "next_s", f->next_s);
}

static void sign_crl(struct buf *b, const struct ca_sign_crl *s)
{
	hex(b, "issuer", s->issuer, CA_KEY_ID_LEN);
	num(b, "number", s->number);
	hex(b, "tbs_sha256", s->tbs_sha256, SHA256_LEN);
	text(b, "signature", s->signature);
}

static void command(struct buf *b, const struct ca_admin *c)
{
	num(b, "kind", (uint64_t)c->kind);
	switch (c->kind) {
	case CA_ADMIN_SET_NODE: node(b, &c->u.set_node); break;
	case CA_ADMIN_ADD_ISSUER:
		text(b, "cert", c->u.add_issuer.cert);
		num(b, "node", c->u.add_issuer.node);
		break;
	case CA_ADMIN_SET_CLUSTER: cluster(b, &c->u.set_cluster); break;
	case CA_ADMIN_SET_POLICY: policy(b, &c->u.set_policy); break;
	case CA_ADMIN_CREATE_JOIN_TOKEN:
		hex(b, "secret_hash", c->u.create_join_token.secret_hash,
		    SHA256_LEN);
		text(b, "cluster", c->u.create_join_token.cluster);
		num(b, "expires_ms", c->u.create_join_token.expires_ms);
		break;
	case CA_ADMIN_SET_OPERATOR: operator(b, &c->u.set_operator); break;
	case CA_ADMIN_REVOKE:
	case CA_ADMIN_LIFT_BLOCK:
		num(b, "by", (uint64_t)c->u.revoke.by);
		hex(b, "serial", c->u.revoke.serial, CA_SERIAL_LEN);
		text(b, "what", c->u.revoke.what);
		num(b, "reason", (uint64_t)c->u.revoke.reason);
		break;
	case CA_ADMIN_RETIRE_ISSUER:
		hex(b, "issuer", c->u.retire_issuer, CA_KEY_ID_LEN);
		break;
	case CA_ADMIN_REVOKE_ISSUER:
		hex(b, "issuer", c->u.revoke_issuer.issuer, CA_KEY_ID_LEN);
		text(b, "root_crl", c->u.revoke_issuer.root_crl);
		break;
	case CA_ADMIN_SET_TRUST_BUNDLE:
		bundle(b, &c->u.set_trust_bundle);
		break;
	case CA_ADMIN_SET_ROOT_CRL:
		text(b, "root_crl", c->u.set_root_crl);
		break;
	}
}

void tell_envelope(struct buf *b, const struct ca_envelope *v)
{
	text(b, "trust_domain", v->trust_domain);
	hex(b, "nonce", v->nonce, sizeof(v->nonce));
	num(b, "expires_ms", v->expires_ms);
	num(b, "commands", v->commands_n);
	for (size_t i = 0; i < v->commands_n; i++)
		command(b, &v->commands[i]);
	num(b, "signatures", v->signatures_n);
	for (size_t i = 0; i < v->signatures_n; i++) {
		text(b, "spki", v->signatures[i].spki);
		text(b, "sig", v->signatures[i].sig);
	}
}

void tell_entry(struct buf *b, const struct ca_entry *en)
{
	num(b, "format", en->format);
	num(b, "time_ms", en->time_ms);
	num(b, "proposer", en->proposer);
	num(b, "kind", (uint64_t)en->kind);
	switch (en->kind) {
	case CA_GENESIS: tell_genesis(b, &en->u.genesis); break;
	case CA_ISSUE: tell_issue(b, &en->u.issue); break;
	case CA_ADMIN: tell_envelope(b, &en->u.admin); break;
	case CA_CHECKPOINT: tell_checkpoint(b, &en->u.checkpoint); break;
	case CA_REFRESH_KEYS: tell_refresh(b, &en->u.refresh); break;
	case CA_FREEZE_CRL: freeze(b, &en->u.freeze_crl); break;
	case CA_SIGN_CRL: sign_crl(b, &en->u.sign_crl); break;
	}
}

static void ids(struct buf *b, const char *name, const raft_id *v, size_t n)
{
	num(b, name, n);
	for (size_t i = 0; i < n; i++)
		num(b, name, v[i]);
}

void tell_conf(struct buf *b, const struct raft_conf_state *c)
{
	ids(b, "voters", c->voters, c->voters_n);
	ids(b, "learners", c->learners, c->learners_n);
	ids(b, "voters_outgoing", c->voters_outgoing, c->voters_outgoing_n);
	ids(b, "learners_next", c->learners_next, c->learners_next_n);
	num(b, "auto_leave", c->auto_leave);
}

static void message(struct buf *b, const struct raft_message *m)
{
	num(b, "type", (uint64_t)m->type);
	num(b, "to", m->to);
	num(b, "from", m->from);
	num(b, "term", m->term);
	num(b, "log_term", m->log_term);
	num(b, "index", m->index);
	num(b, "commit", m->commit);
	num(b, "vote", m->vote);
	num(b, "reject", m->reject);
	num(b, "reject_hint", m->reject_hint);
	num(b, "context", m->context);
	num(b, "priority", m->priority);
	num(b, "entries", m->entries_n);
	for (size_t i = 0; i < m->entries_n; i++) {
		num(b, "term", m->entries[i].term);
		num(b, "index", m->entries[i].index);
		num(b, "type", (uint64_t)m->entries[i].type);
		hex(b, "data", m->entries[i].data.p, m->entries[i].data.len);
	}
	num(b, "snapshot", m->snapshot != NULL);
	if (m->snapshot == NULL)
		return;
	num(b, "index", m->snapshot->index);
	num(b, "term", m->snapshot->term);
	tell_conf(b, &m->snapshot->conf_state);
	hex(b, "data", m->snapshot->data.p, m->snapshot->data.len);
}

static void status(struct buf *b, const struct wire_status *s)
{
	num(b, "applied", s->applied);
	num(b, "tree_size", s->tree_size);
	num(b, "time_ms", s->time_ms);
	num(b, "sent_ms", s->sent_ms);
	num(b, "echo_ms", s->echo_ms);
	num(b, "held_ms", s->held_ms);
	num(b, "issuing", s->issuing);
	num(b, "checkpoints", s->checkpoints_n);
	for (size_t i = 0; i < s->checkpoints_n; i++)
		tell_checkpoint(b, &s->checkpoints[i]);
	list(b, "crl_published", s->crl_published, s->crl_published_n);
}

static void chunk(struct buf *b, const struct wire_chunk *c)
{
	num(b, "stream", c->stream);
	num(b, "seq", c->seq);
	num(b, "message", c->message != NULL);
	if (c->message != NULL)
		message(b, c->message);
	num(b, "rows", c->rows_n);
	for (size_t i = 0; i < c->rows_n; i++) {
		num(b, "table", c->rows[i].table);
		text(b, "key", c->rows[i].key);
		text(b, "value", c->rows[i].value);
		num(b, "more", c->rows[i].more);
	}
	num(b, "last", c->last);
}

void tell_mesh(struct buf *b, const struct wire_mesh *m)
{
	num(b, "kind", (uint64_t)m->kind);
	switch (m->kind) {
	case WIRE_RAFT: message(b, &m->u.raft); break;
	case WIRE_STATUS: status(b, &m->u.status); break;
	case WIRE_HELLO:
		list(b, "entries", m->u.hello.entries, m->u.hello.n);
		break;
	case WIRE_CHUNK: chunk(b, &m->u.chunk); break;
	case WIRE_ACK:
		num(b, "stream", m->u.ack.stream);
		num(b, "next_seq", m->u.ack.next_seq);
		num(b, "failed", m->u.ack.failed);
		num(b, "have", m->u.ack.have);
		break;
	}
}

void tell_csr(struct buf *b, const struct wire_csr_request *r)
{
	text(b, "csr", r->csr);
	num(b, "validity_s", (uint64_t)r->validity_s);
	text(b, "cert_signer", r->cert_signer);
	text(b, "impersonated", r->impersonated);
}
