/* entry.c -- log entries: bytes to struct ca_entry. */
#include <string.h>

#include "wire/memory.h"

#define SIGNATURES_MAX 16

static enum code take_issue(
    const Quorate__Issue *in, struct ca_issue *out, struct err *e)
{
	enum code rc;

	out->profile = (enum ca_profile)in->profile;
	out->encoder = in->encoder;
	out->not_before_s = in->not_before_s;
	out->not_after_s = in->not_after_s;
	out->via = (enum ca_via)in->via;
	out->policy_version = in->policy_version;
	out->signer_boot = in->signer_boot;
	out->signer_seq = in->signer_seq;
	out->has_parent = in->parent.len != 0;
	if (in->profile < CA_PROFILE_WORKLOAD ||
	    in->profile > CA_PROFILE_GATEWAY || in->encoder != 1 ||
	    in->via < CA_VIA_TOKEN || in->via > CA_VIA_NODE)
		return err_set(e, E_INVAL,
		    "issue: a profile, encoder or proof not known here");
	if ((rc = take_exact(in->serial, CA_SERIAL_LEN, "serial", out->serial,
		 e)) != E_OK ||
	    (rc = take_exact(in->issuer, CA_KEY_ID_LEN, "issuer", out->issuer,
		 e)) != E_OK ||
	    (rc = take_name(in->uri, CA_URI_MAX, "uri", &out->uri, e)) !=
		E_OK ||
	    (rc = take_names(in->n_dns, in->dns, 253, "dns", out->dns,
		 &out->dns_n, e)) != E_OK ||
	    (rc = take_name(in->common_name, 64, "common name",
		 &out->common_name, e)) != E_OK ||
	    (rc = take_bytes(in->spki, CA_SPKI_MAX, "spki", &out->spki, e)) !=
		E_OK ||
	    (rc = take_name(in->cluster, CA_NAME_MAX, "cluster", &out->cluster,
		 e)) != E_OK ||
	    (rc = take_name(in->requester, CA_URI_MAX, "requester",
		 &out->requester, e)) != E_OK ||
	    (rc = take_name(
		 in->pod_name, 253, "pod name", &out->pod_name, e)) != E_OK ||
	    (rc = take_name(in->pod_uid, 63, "pod uid", &out->pod_uid, e)) !=
		E_OK ||
	    (rc = take_bytes(in->signature, CA_SIG_MAX, "signature",
		 &out->signature, e)) != E_OK ||
	    (rc = take_exact(in->cert_sha256, SHA256_LEN, "certificate hash",
		 out->cert_sha256, e)) != E_OK)
		return rc;
	if (in->n_ip > CA_LIST_MAX)
		return err_set(e, E_INVAL, "issue: too many addresses");
	for (out->ip_n = 0; out->ip_n < in->n_ip; out->ip_n++) {
		ProtobufCBinaryData a = in->ip[out->ip_n];

		if (a.len != 4 && a.len != 16)
			return err_set(e, E_INVAL,
			    "issue: an address of %zu bytes", a.len);
		out->ip[out->ip_n] = span_of(a.data, a.len);
	}
	return out->has_parent ? take_exact(in->parent, CA_SERIAL_LEN, "parent",
				     out->parent, e)
			       : E_OK;
}

/* What the signature is over: context, NUL, payload.  In m. */
static enum code signature_input(struct wire_memory *m, const char *context,
    ProtobufCBinaryData payload, struct span *out, struct err *e)
{
	size_t n = strlen(context) + 1;
	uint8_t *p = memory_get(m, n + payload.len, 1);

	if (p == NULL)
		return err_nomem(e);
	memcpy(p, context, n);
	if (payload.len > 0)
		memcpy(p + n, payload.data, payload.len);
	*out = span_of(p, n + payload.len);
	return E_OK;
}

static enum code take_batch(struct wire_memory *m, const Quorate__AdminBatch *b,
    struct ca_envelope *out, struct err *e)
{
	enum code rc;

	out->expires_ms = b->expires_ms;
	if ((rc = take_name(b->trust_domain, 255, "trust domain",
		 &out->trust_domain, e)) != E_OK ||
	    (rc = take_exact(b->nonce, CA_NONCE_LEN, "nonce", out->nonce, e)) !=
		E_OK)
		return rc;
	if (b->n_commands > CA_BATCH_MAX)
		return err_set(e, E_INVAL,
		    "%zu commands in one envelope, at "
		    "most %d",
		    b->n_commands, CA_BATCH_MAX);
	out->commands = memory_get(m, b->n_commands, sizeof(*out->commands));
	if (out->commands == NULL)
		return err_nomem(e);
	for (size_t i = 0; i < b->n_commands; i++)
		if ((rc = take_command(b->commands[i], &out->commands[i], e)) !=
		    E_OK)
			return rc;
	out->commands_n = b->n_commands;
	return E_OK;
}

static enum code take_signatures(struct wire_memory *m,
    const Quorate__Signed *in, struct ca_envelope *out, struct err *e)
{
	enum code rc = E_OK;

	if (in->n_signatures > SIGNATURES_MAX)
		return err_set(e, E_INVAL, "too many signatures");
	out->signatures =
	    memory_get(m, in->n_signatures, sizeof(*out->signatures));
	if (out->signatures == NULL)
		return err_nomem(e);
	for (size_t i = 0; rc == E_OK && i < in->n_signatures; i++) {
		const Quorate__Signature *s = in->signatures[i];

		rc = take_bytes(s->spki, CA_SPKI_MAX, "signer's key",
		    &out->signatures[i].spki, e);
		if (rc == E_OK)
			rc = take_bytes(s->sig, CA_SIG_MAX, "signature",
			    &out->signatures[i].sig, e);
	}
	out->signatures_n = in->n_signatures;
	return rc;
}

static enum code take_envelope(struct wire_memory *m, const Quorate__Signed *in,
    struct ca_envelope *out, struct err *e)
{
	Quorate__AdminBatch *batch;
	enum code rc;

	if ((rc = memory_unpack(m, &quorate__admin_batch__descriptor,
		 span_of(in->payload.data, in->payload.len), WIRE_STRICT,
		 "command", &batch, e)) != E_OK ||
	    (rc = signature_input(m, WIRE_CONTEXT_ADMIN, in->payload,
		 &out->signed_bytes, e)) != E_OK ||
	    (rc = take_batch(m, batch, out, e)) != E_OK)
		return rc;
	return take_signatures(m, in, out, e);
}

static enum code take_genesis(struct wire_memory *m, const Quorate__Signed *in,
    struct ca_genesis *out, struct err *e)
{
	Quorate__Genesis *g;
	enum code rc;

	rc = memory_unpack(m, &quorate__genesis__descriptor,
	    span_of(in->payload.data, in->payload.len), WIRE_STRICT, "Genesis",
	    &g, e);
	if (rc != E_OK)
		return rc;
	if (in->n_signatures != 1 || g->operator_ == NULL ||
	    g->cluster == NULL || g->node == NULL || g->policy == NULL)
		return err_set(e, E_INVAL, "Genesis: a part is missing");
	take_policy(g->policy, &out->policy);
	if ((rc = signature_input(m, WIRE_CONTEXT_GENESIS, in->payload,
		 &out->signed_bytes, e)) != E_OK ||
	    (rc = take_bytes(in->signatures[0]->sig, CA_SIG_MAX, "signature",
		 &out->signature, e)) != E_OK ||
	    (rc = take_name(g->trust_domain, 255, "trust domain",
		 &out->trust_domain, e)) != E_OK ||
	    (rc = take_bytes(g->root_cert, 8192, "root", &out->root_cert, e)) !=
		E_OK ||
	    (rc = take_bytes(
		 g->root_crl, 65536, "root CRL", &out->root_crl, e)) != E_OK ||
	    (rc = take_operator(g->operator_, &out->op, e)) != E_OK ||
	    (rc = take_cluster(g->cluster, &out->cluster, e)) != E_OK ||
	    (rc = take_node(g->node, &out->node, e)) != E_OK)
		return rc;
	return take_bytes(g->issuer_cert, 8192, "issuer", &out->issuer_cert, e);
}

enum code take_checkpoint(
    const Quorate__Checkpoint *in, struct ca_checkpoint *out, struct err *e)
{
	enum code rc;

	out->index = in->index;
	out->tree_size = in->tree_size;
	rc = take_exact(in->root, SHA256_LEN, "tree root", out->root, e);
	return rc != E_OK ? rc
			  : take_exact(in->state_digest, SHA256_LEN,
				"state digest", out->state_digest, e);
}

static enum code take_freeze(
    const Quorate__FreezeCrl *in, struct ca_freeze_crl *out, struct err *e)
{
	out->number = in->number;
	out->this_s = in->this_s;
	out->next_s = in->next_s;
	return take_exact(in->issuer, CA_KEY_ID_LEN, "issuer", out->issuer, e);
}

static enum code take_sign_crl(
    const Quorate__SignCrl *in, struct ca_sign_crl *out, struct err *e)
{
	enum code rc;

	out->number = in->number;
	if ((rc = take_exact(in->issuer, CA_KEY_ID_LEN, "issuer", out->issuer,
		 e)) != E_OK ||
	    (rc = take_exact(in->tbs_sha256, SHA256_LEN, "CRL hash",
		 out->tbs_sha256, e)) != E_OK)
		return rc;
	return take_bytes(
	    in->signature, CA_SIG_MAX, "signature", &out->signature, e);
}

static enum code take_body(struct wire_memory *m, const Quorate__Entry *in,
    struct ca_entry *out, struct err *e)
{
	out->kind = (enum ca_kind)in->body_case;
	switch (in->body_case) {
	case QUORATE__ENTRY__BODY_GENESIS:
		return take_genesis(m, in->genesis, &out->u.genesis, e);
	case QUORATE__ENTRY__BODY_ISSUE:
		return take_issue(in->issue, &out->u.issue, e);
	case QUORATE__ENTRY__BODY_ADMIN:
		return take_envelope(m, in->admin, &out->u.admin, e);
	case QUORATE__ENTRY__BODY_CHECKPOINT:
		return take_checkpoint(in->checkpoint, &out->u.checkpoint, e);
	case QUORATE__ENTRY__BODY_FREEZE_CRL:
		return take_freeze(in->freeze_crl, &out->u.freeze_crl, e);
	case QUORATE__ENTRY__BODY_SIGN_CRL:
		return take_sign_crl(in->sign_crl, &out->u.sign_crl, e);
	case QUORATE__ENTRY__BODY_REFRESH_KEYS: {
		struct ca_refresh_keys *r = &out->u.refresh;
		enum code rc;

		r->node = in->refresh_keys->node;
		rc = take_name(in->refresh_keys->cluster, CA_NAME_MAX,
		    "cluster", &r->cluster, e);
		return rc != E_OK ? rc
				  : take_token_keys(in->refresh_keys->n_keys,
					in->refresh_keys->keys, r->keys,
					&r->keys_n, e);
	}
	default: break;
	}
	return err_set(e, E_INVAL, "an entry of a kind not known here");
}

enum code wire_entry_decode(struct span in, struct ca_entry *out,
    struct wire_memory **mem, struct err *e)
{
	struct wire_memory *m = memory_new();
	Quorate__Entry *entry;
	enum code rc;

	*mem = NULL;
	memset(out, 0, sizeof(*out));
	if (m == NULL)
		return err_nomem(e);
	rc = memory_unpack(m, &quorate__entry__descriptor, in, WIRE_STRICT,
	    "log entry", &entry, e);
	if (rc == E_OK) {
		out->format = entry->format;
		out->time_ms = entry->time_ms;
		out->proposer = entry->proposer;
		rc = take_body(m, entry, out, e);
	}
	if (rc == E_OK)
		*mem = m;
	else
		wire_free(m);
	return rc;
}

enum code wire_envelope_decode(struct span signed_msg, struct ca_envelope *out,
    struct wire_memory **mem, struct err *e)
{
	struct wire_memory *m = memory_new();
	Quorate__Signed *s;
	enum code rc;

	*mem = NULL;
	memset(out, 0, sizeof(*out));
	if (m == NULL)
		return err_nomem(e);
	rc = memory_unpack(m, &quorate__signed__descriptor, signed_msg,
	    WIRE_STRICT, "signed command", &s, e);
	if (rc == E_OK)
		rc = take_envelope(m, s, out, e);
	if (rc == E_OK)
		*mem = m;
	else
		wire_free(m);
	return rc;
}

/* ---- Only the time ------------------------------------------------------- */

/* Base-128 varint. */
static bool take_varint(struct span *in, uint64_t *out)
{
	*out = 0;
	for (unsigned shift = 0; in->len > 0 && shift < 64; shift += 7) {
		uint8_t b = in->p[0];

		*in = span_of(in->p + 1, in->len - 1);
		*out |= (uint64_t)(b & 0x7f) << shift;
		if (b < 0x80)
			return true;
	}
	return false;
}

#define FIELD_TIME 16
#define WIRE_VARINT 0
#define WIRE_BYTES 2

enum code wire_entry_time(struct span in, uint64_t *time_ms, struct err *e)
{
	uint64_t tag, value;

	while (take_varint(&in, &tag) && take_varint(&in, &value)) {
		if (tag == (FIELD_TIME << 3 | WIRE_VARINT)) {
			*time_ms = value;
			return E_OK;
		}
		if ((tag & 7) == WIRE_BYTES && value <= in.len)
			in = span_of(in.p + value, in.len - value);
		else if ((tag & 7) != WIRE_VARINT)
			break;
	}
	return err_set(e, E_INVAL, "log entry: no time is stamped into it");
}
