#include "sample.h"

#include <stdlib.h>
#include <string.h>

struct sample_block {
	struct sample_block *next;
	_Alignas(16) uint8_t data[];
};

void sample_init(struct sample *s, uint64_t seed)
{
	*s = (struct sample){.state = seed};
}

void sample_free(struct sample *s)
{
	struct sample_block *next;

	for (struct sample_block *b = s->blocks; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	s->blocks = NULL;
}

/* SplitMix64: any seed will do. */
static uint64_t next(struct sample *s)
{
	uint64_t z = s->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t sample_u64(struct sample *s)
{
	unsigned bits = (unsigned)(next(s) % 65);

	return bits == 0 ? 0 : next(s) >> (64 - bits);
}

size_t sample_below(struct sample *s, size_t n)
{
	return (size_t)(next(s) % n);
}

static bool coin(struct sample *s)
{
	return (next(s) & 1) != 0;
}

void *sample_get(struct sample *s, size_t n, size_t size)
{
	struct sample_block *b = calloc(1, sizeof(*b) + n * size + 1);

	if (b == NULL)
		abort();
	b->next = s->blocks;
	s->blocks = b;
	return b->data;
}

void sample_fill(struct sample *s, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)next(s);
}

/* Short more often than long, sometimes as long as it may be. */
static size_t length(struct sample *s, size_t max)
{
	switch (sample_below(s, 8)) {
	case 0: return 0;
	case 1: return max;
	case 2: return sample_below(s, max + 1);
	default: return sample_below(s, (max < 20 ? max : 20) + 1);
	}
}

struct span sample_bytes(struct sample *s, size_t max)
{
	size_t len = length(s, max);
	uint8_t *p = sample_get(s, len, 1);

	sample_fill(s, p, len);
	return span_of(p, len);
}

struct span sample_name(struct sample *s, size_t max)
{
	size_t len = length(s, max);
	uint8_t *p = sample_get(s, len, 1);

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(1 + sample_below(s, 255));
	return span_of(p, len);
}

static size_t names(struct sample *s, size_t max, struct span out[CA_LIST_MAX])
{
	size_t n = length(s, CA_LIST_MAX);

	for (size_t i = 0; i < n; i++)
		out[i] = sample_name(s, max);
	return n;
}

static size_t keys(struct sample *s, struct ca_token_key out[CA_LIST_MAX])
{
	size_t n = length(s, CA_LIST_MAX);

	for (size_t i = 0; i < n; i++)
		out[i] = (struct ca_token_key){sample_name(s, 255),
		    sample_name(s, 16), sample_bytes(s, CA_SPKI_MAX)};
	return n;
}

void sample_issue(struct sample *s, struct ca_issue *out)
{
	memset(out, 0, sizeof(*out));
	sample_fill(s, out->serial, sizeof(out->serial));
	sample_fill(s, out->issuer, sizeof(out->issuer));
	out->profile = (enum ca_profile)(1 + sample_below(s, 4));
	out->encoder = 1;
	out->uri = sample_name(s, CA_URI_MAX);
	out->dns_n = names(s, 253, out->dns);
	out->ip_n = length(s, CA_LIST_MAX);
	for (size_t i = 0; i < out->ip_n; i++) {
		size_t len = coin(s) ? 4 : 16;
		uint8_t *p = sample_get(s, len, 1);

		sample_fill(s, p, len);
		out->ip[i] = span_of(p, len);
	}
	out->common_name = sample_name(s, 64);
	out->spki = sample_bytes(s, CA_SPKI_MAX);
	out->not_before_s = sample_u64(s);
	out->not_after_s = sample_u64(s);
	out->via = (enum ca_via)(1 + sample_below(s, 3));
	out->cluster = sample_name(s, CA_NAME_MAX);
	out->requester = sample_name(s, CA_URI_MAX);
	out->pod_name = sample_name(s, 253);
	out->pod_uid = sample_name(s, 63);
	out->has_parent = coin(s);
	if (out->has_parent)
		sample_fill(s, out->parent, sizeof(out->parent));
	out->policy_version = sample_u64(s);
	out->signer_boot = sample_u64(s);
	out->signer_seq = sample_u64(s);
	out->signature = sample_bytes(s, CA_SIG_MAX);
	sample_fill(s, out->cert_sha256, sizeof(out->cert_sha256));
}

void sample_checkpoint(struct sample *s, struct ca_checkpoint *out)
{
	out->index = sample_u64(s);
	out->tree_size = sample_u64(s);
	sample_fill(s, out->root, sizeof(out->root));
	sample_fill(s, out->state_digest, sizeof(out->state_digest));
}

void sample_refresh(struct sample *s, struct ca_refresh_keys *out)
{
	out->node = sample_u64(s);
	out->cluster = sample_name(s, CA_NAME_MAX);
	out->keys_n = keys(s, out->keys);
}

static void cluster(struct sample *s, struct ca_cluster *out)
{
	memset(out, 0, sizeof(*out));
	out->name = sample_name(s, CA_NAME_MAX);
	out->keys_n = keys(s, out->keys);
	out->issuer = sample_name(s, 511);
	out->audiences_n = names(s, 255, out->audiences);
	out->aliases_n = names(s, 255, out->aliases);
	out->api_address = sample_name(s, 299);
	out->namespaces_n = names(s, CA_NAME_MAX, out->namespaces);
	out->removed = coin(s);
}

static void node(struct sample *s, struct ca_node *out)
{
	memset(out, 0, sizeof(*out));
	out->id = sample_u64(s);
	out->cluster = sample_name(s, CA_NAME_MAX);
	sample_fill(s, out->mesh_key, sizeof(out->mesh_key));
	out->mesh_address = sample_name(s, 299);
	out->api_addresses_n = names(s, 255, out->api_addresses);
	out->api_spki = sample_bytes(s, CA_SPKI_MAX);
	sample_fill(s, out->log_key, sizeof(out->log_key));
	out->has_issuer = coin(s);
	if (out->has_issuer)
		sample_fill(s, out->issuer, sizeof(out->issuer));
	out->removed = coin(s);
}

static void operator(struct sample *s, struct ca_operator *out)
{
	*out = (struct ca_operator){.name = sample_name(s, CA_NAME_MAX),
	    .spki = sample_bytes(s, CA_SPKI_MAX),
	    .roles = (uint32_t)sample_u64(s),
	    .removed = coin(s)};
}

static void policy(struct sample *s, struct ca_policy *out)
{
	*out = (struct ca_policy){.version = sample_u64(s),
	    .ttl_default_s = sample_u64(s),
	    .ttl_max_s = sample_u64(s),
	    .renew_max_s = sample_u64(s),
	    .issuer_settle_ms = sample_u64(s),
	    .quota_identity_per_h = sample_u64(s),
	    .quota_cluster_per_h = sample_u64(s),
	    .admin_signatures = (uint32_t)sample_u64(s),
	    .name_constraints = coin(s)};
}

void sample_genesis(struct sample *s, struct ca_genesis *out)
{
	memset(out, 0, sizeof(*out));
	out->signature = sample_bytes(s, CA_SIG_MAX);
	out->trust_domain = sample_name(s, 255);
	out->root_cert = sample_bytes(s, 8192);
	out->root_crl = sample_bytes(s, 65536);
	operator(s, &out->op);
	cluster(s, &out->cluster);
	node(s, &out->node);
	out->issuer_cert = sample_bytes(s, 8192);
	policy(s, &out->policy);
}

static void revocation(struct sample *s, struct ca_revoke *out)
{
	out->by = (enum ca_revoke_by)(1 + sample_below(s, 3));
	out->reason = (enum ca_reason)sample_below(s, 10);
	if (out->by == CA_REVOKE_SERIAL)
		sample_fill(s, out->serial, CA_SERIAL_LEN);
	while (out->by != CA_REVOKE_SERIAL && out->what.len == 0)
		out->what = sample_name(s, CA_URI_MAX);
}

static void bundle(struct sample *s, struct ca_bundle *out)
{
	out->trust_domain = sample_name(s, 255);
	out->certs_n = length(s, CA_LIST_MAX);
	for (size_t i = 0; i < out->certs_n; i++)
		out->certs[i] = sample_bytes(s, 300);
	out->root_sig = sample_bytes(s, CA_SIG_MAX);
}

void sample_freeze(struct sample *s, struct ca_freeze_crl *out)
{
	sample_fill(s, out->issuer, CA_KEY_ID_LEN);
	out->number = sample_u64(s);
	out->this_s = sample_u64(s);
	out->next_s = sample_u64(s);
}

void sample_sign_crl(struct sample *s, struct ca_sign_crl *out)
{
	sample_fill(s, out->issuer, CA_KEY_ID_LEN);
	out->number = sample_u64(s);
	sample_fill(s, out->tbs_sha256, SHA256_LEN);
	out->signature = sample_bytes(s, CA_SIG_MAX);
}

void sample_command(struct sample *s, struct ca_admin *out)
{
	memset(out, 0, sizeof(*out));
	out->kind = (enum ca_admin_kind)(1 + sample_below(s, 12));
	switch (out->kind) {
	case CA_ADMIN_SET_NODE: node(s, &out->u.set_node); break;
	case CA_ADMIN_ADD_ISSUER:
		out->u.add_issuer.cert = sample_bytes(s, 8192);
		out->u.add_issuer.node = sample_u64(s);
		break;
	case CA_ADMIN_SET_CLUSTER: cluster(s, &out->u.set_cluster); break;
	case CA_ADMIN_SET_POLICY: policy(s, &out->u.set_policy); break;
	case CA_ADMIN_CREATE_JOIN_TOKEN:
		sample_fill(
		    s, out->u.create_join_token.secret_hash, SHA256_LEN);
		out->u.create_join_token.cluster = sample_name(s, CA_NAME_MAX);
		out->u.create_join_token.expires_ms = sample_u64(s);
		break;
	case CA_ADMIN_SET_OPERATOR: operator(s, &out->u.set_operator); break;
	case CA_ADMIN_REVOKE:
	case CA_ADMIN_LIFT_BLOCK: revocation(s, &out->u.revoke); break;
	case CA_ADMIN_RETIRE_ISSUER:
		sample_fill(s, out->u.retire_issuer, CA_KEY_ID_LEN);
		break;
	case CA_ADMIN_REVOKE_ISSUER:
		sample_fill(s, out->u.revoke_issuer.issuer, CA_KEY_ID_LEN);
		out->u.revoke_issuer.root_crl = sample_bytes(s, 65536);
		break;
	case CA_ADMIN_SET_TRUST_BUNDLE:
		bundle(s, &out->u.set_trust_bundle);
		break;
	case CA_ADMIN_SET_ROOT_CRL:
		out->u.set_root_crl = sample_bytes(s, 65536);
		break;
	}
}

void sample_envelope(struct sample *s, struct ca_envelope *out)
{
	memset(out, 0, sizeof(*out));
	out->trust_domain = sample_name(s, 255);
	sample_fill(s, out->nonce, sizeof(out->nonce));
	out->expires_ms = sample_u64(s);
	out->commands_n = length(s, CA_BATCH_MAX);
	out->commands = sample_get(s, out->commands_n, sizeof(*out->commands));
	for (size_t i = 0; i < out->commands_n; i++)
		sample_command(s, &out->commands[i]);
	out->signatures_n = length(s, 16);
	out->signatures =
	    sample_get(s, out->signatures_n, sizeof(*out->signatures));
	for (size_t i = 0; i < out->signatures_n; i++)
		out->signatures[i] = (struct ca_signature){
		    sample_bytes(s, CA_SPKI_MAX), sample_bytes(s, CA_SIG_MAX)};
}

static size_t ids(struct sample *s, raft_id out[RAFT_PEERS_MAX])
{
	size_t n = length(s, RAFT_PEERS_MAX);

	for (size_t i = 0; i < n; i++)
		out[i] = sample_u64(s);
	return n;
}

void sample_conf(struct sample *s, struct raft_conf_state *out)
{
	memset(out, 0, sizeof(*out));
	out->voters_n = ids(s, out->voters);
	out->learners_n = ids(s, out->learners);
	out->voters_outgoing_n = ids(s, out->voters_outgoing);
	out->learners_next_n = ids(s, out->learners_next);
	out->auto_leave = coin(s);
}

static struct raft_span raft_bytes(struct sample *s, size_t max)
{
	struct span b = sample_bytes(s, max);

	return (struct raft_span){b.p, b.len};
}

static void message(struct sample *s, struct raft_message *out)
{
	memset(out, 0, sizeof(*out));
	out->type = (enum raft_message_type)sample_below(s, RAFT_MSG_TYPES);
	out->to = sample_u64(s);
	out->from = sample_u64(s);
	out->term = sample_u64(s);
	out->log_term = sample_u64(s);
	out->index = sample_u64(s);
	out->commit = sample_u64(s);
	out->vote = sample_u64(s);
	out->reject = coin(s);
	out->reject_hint = sample_u64(s);
	out->context = sample_u64(s);
	out->priority = (uint32_t)sample_u64(s);
	out->entries_n = length(s, 40);
	out->entries = sample_get(s, out->entries_n, sizeof(*out->entries));
	for (size_t i = 0; i < out->entries_n; i++)
		out->entries[i] = (struct raft_entry){.term = sample_u64(s),
		    .index = sample_u64(s),
		    .type =
			coin(s) ? RAFT_ENTRY_NORMAL : RAFT_ENTRY_CONF_CHANGE,
		    .data = raft_bytes(s, 600)};
	if (coin(s)) {
		out->snapshot = sample_get(s, 1, sizeof(*out->snapshot));
		out->snapshot->index = sample_u64(s);
		out->snapshot->term = sample_u64(s);
		sample_conf(s, &out->snapshot->conf_state);
		out->snapshot->data = raft_bytes(s, 1000);
	}
}

static void status(struct sample *s, struct wire_status *out)
{
	struct ca_checkpoint *cps;
	struct span *crls;

	out->applied = sample_u64(s);
	out->tree_size = sample_u64(s);
	out->time_ms = sample_u64(s);
	out->sent_ms = sample_u64(s);
	out->echo_ms = sample_u64(s);
	out->held_ms = sample_u64(s);
	out->issuing = coin(s);
	out->checkpoints_n = length(s, 8);
	cps = sample_get(s, out->checkpoints_n, sizeof(*cps));
	for (size_t i = 0; i < out->checkpoints_n; i++)
		sample_checkpoint(s, &cps[i]);
	out->checkpoints = cps;
	out->crl_published_n = length(s, 64);
	crls = sample_get(s, out->crl_published_n, sizeof(*crls));
	for (size_t i = 0; i < out->crl_published_n; i++) {
		uint8_t *p = sample_get(s, CA_KEY_ID_LEN, 1);

		sample_fill(s, p, CA_KEY_ID_LEN);
		crls[i] = span_of(p, CA_KEY_ID_LEN);
	}
	out->crl_published = crls;
}

static void chunk(struct sample *s, struct wire_chunk *out)
{
	struct wire_row *rows;

	out->stream = sample_u64(s);
	out->seq = sample_u64(s);
	if (coin(s)) {
		struct raft_message *m = sample_get(s, 1, sizeof(*m));

		message(s, m);
		out->message = m;
	}
	out->rows_n = length(s, 100);
	rows = sample_get(s, out->rows_n, sizeof(*rows));
	for (size_t i = 0; i < out->rows_n; i++)
		rows[i] = (struct wire_row){(uint32_t)sample_u64(s),
		    sample_bytes(s, 500), sample_bytes(s, 2000), coin(s)};
	out->rows = rows;
	out->last = coin(s);
}

void sample_mesh(
    struct sample *s, enum wire_mesh_kind kind, struct wire_mesh *out)
{
	struct span *list;

	memset(out, 0, sizeof(*out));
	out->kind = kind;
	switch (kind) {
	case WIRE_RAFT: message(s, &out->u.raft); break;
	case WIRE_STATUS: status(s, &out->u.status); break;
	case WIRE_HELLO:
		out->u.hello.n = length(s, 64);
		list = sample_get(s, out->u.hello.n, sizeof(*list));
		for (size_t i = 0; i < out->u.hello.n; i++)
			list[i] = sample_bytes(s, 900);
		out->u.hello.entries = list;
		break;
	case WIRE_CHUNK: chunk(s, &out->u.chunk); break;
	case WIRE_ACK:
		out->u.ack.stream = sample_u64(s);
		out->u.ack.next_seq = sample_u64(s);
		out->u.ack.failed = coin(s);
		out->u.ack.have = sample_u64(s);
		break;
	}
}

void sample_csr(struct sample *s, struct wire_csr_request *out)
{
	*out = (struct wire_csr_request){.csr = sample_name(s, 16384),
	    .validity_s = (int64_t)sample_u64(s),
	    .cert_signer = sample_name(s, 255),
	    .impersonated = sample_name(s, CA_URI_MAX)};
}

enum code sample_signed(
    struct buf *out, const struct ca_envelope *env, struct err *e)
{
	struct buf payload;
	enum code rc;

	buf_init(&payload);
	rc = wire_admin_payload(&payload, env->trust_domain, env->nonce,
	    env->expires_ms, env->commands, env->commands_n, e);
	if (rc == E_OK)
		rc = wire_signed_encode(out, buf_span(&payload),
		    env->signatures, env->signatures_n, e);
	buf_free(&payload);
	return rc;
}

enum code sample_signed_genesis(
    struct buf *out, const struct ca_genesis *g, struct err *e)
{
	struct ca_signature sig = {.sig = g->signature};
	struct buf payload;
	enum code rc;

	buf_init(&payload);
	rc = wire_genesis_payload(&payload, g, e);
	if (rc == E_OK)
		rc = wire_signed_encode(out, buf_span(&payload), &sig, 1, e);
	buf_free(&payload);
	return rc;
}

enum code sample_entry(
    struct sample *s, enum ca_kind kind, struct buf *out, struct err *e)
{
	uint64_t time_ms = sample_u64(s), proposer = sample_u64(s);
	struct ca_entry *en = sample_get(s, 1, sizeof(*en));
	struct buf msg;
	enum code rc = E_INTERNAL;

	buf_init(&msg);
	switch (kind) {
	case CA_ISSUE:
		sample_issue(s, &en->u.issue);
		return wire_issue_encode(
		    out, time_ms, proposer, &en->u.issue, e);
	case CA_CHECKPOINT:
		sample_checkpoint(s, &en->u.checkpoint);
		return wire_checkpoint_encode(
		    out, time_ms, proposer, &en->u.checkpoint, e);
	case CA_REFRESH_KEYS:
		sample_refresh(s, &en->u.refresh);
		return wire_refresh_encode(
		    out, time_ms, proposer, &en->u.refresh, e);
	case CA_FREEZE_CRL:
		sample_freeze(s, &en->u.freeze_crl);
		return wire_freeze_encode(
		    out, time_ms, proposer, &en->u.freeze_crl, e);
	case CA_SIGN_CRL:
		sample_sign_crl(s, &en->u.sign_crl);
		return wire_sign_crl_encode(
		    out, time_ms, proposer, &en->u.sign_crl, e);
	case CA_GENESIS:
		sample_genesis(s, &en->u.genesis);
		rc = sample_signed_genesis(&msg, &en->u.genesis, e);
		break;
	case CA_ADMIN:
		sample_envelope(s, &en->u.admin);
		rc = sample_signed(&msg, &en->u.admin, e);
		break;
	}
	if (rc == E_OK)
		rc = wire_signed_entry(
		    out, kind, time_ms, proposer, buf_span(&msg), e);
	buf_free(&msg);
	return rc;
}
