/* wire.h -- protobuf to plain structs and back.  Generated types never leave
 * this module.  Decoders bound every length and count, reject NUL in names and
 * unknown enum values, and never trust a byte: E_INVAL says which field.
 * No global state; any thread. */
#ifndef QUORATE_WIRE_WIRE_H
#define QUORATE_WIRE_WIRE_H

#include "ca/types.h"
#include "raft.h"

#define WIRE_CONTEXT_GENESIS "quorate genesis v1"
#define WIRE_CONTEXT_ADMIN "quorate admin v1"

/* A decoded message owns what its spans point to (it copies the input);
 * free it with wire_free, which takes NULL. */
struct wire_memory;
void wire_free(struct wire_memory *m);

/* ---- Log entries ---- */

/* *out borrows from *mem. */
enum code wire_entry_decode(struct span in, struct ca_entry *out,
    struct wire_memory **mem, struct err *e) MUST_CHECK;

/* The time stamped into an entry, without decoding the rest.  E_INVAL: there is
 * none. */
enum code wire_entry_time(
    struct span in, uint64_t *time_ms, struct err *e) MUST_CHECK;

/* Encoders append to out. */
enum code wire_issue_encode(struct buf *out, uint64_t time_ms,
    uint64_t proposer, const struct ca_issue *i, struct err *e) MUST_CHECK;
enum code wire_checkpoint_encode(struct buf *out, uint64_t time_ms,
    uint64_t proposer, const struct ca_checkpoint *c, struct err *e) MUST_CHECK;
enum code wire_refresh_encode(struct buf *out, uint64_t time_ms,
    uint64_t proposer, const struct ca_refresh_keys *k,
    struct err *e) MUST_CHECK;

enum code wire_freeze_encode(struct buf *out, uint64_t time_ms,
    uint64_t proposer, const struct ca_freeze_crl *f, struct err *e) MUST_CHECK;
enum code wire_sign_crl_encode(struct buf *out, uint64_t time_ms,
    uint64_t proposer, const struct ca_sign_crl *s, struct err *e) MUST_CHECK;

/* The payload of a signed message, its signature input (context, zero byte,
 * payload), and the Signed message around payload and signatures. */
enum code wire_genesis_payload(
    struct buf *out, const struct ca_genesis *g, struct err *e) MUST_CHECK;
enum code wire_admin_payload(struct buf *out, struct span trust_domain,
    const uint8_t nonce[CA_NONCE_LEN], uint64_t expires_ms,
    const struct ca_admin *commands, size_t n, struct err *e) MUST_CHECK;
enum code wire_signature_input(struct buf *out, const char *context,
    struct span payload, struct err *e) MUST_CHECK;
enum code wire_signed_encode(struct buf *out, struct span payload,
    const struct ca_signature *sigs, size_t n, struct err *e) MUST_CHECK;
/* Wrap Signed bytes (as an operator sent them) into an Entry; the bytes stay
 * as they are.  kind is CA_GENESIS or CA_ADMIN. */
enum code wire_signed_entry(struct buf *out, enum ca_kind kind,
    uint64_t time_ms, uint64_t proposer, struct span signed_msg,
    struct err *e) MUST_CHECK;
/* Check an envelope as a front does before it proposes it: decodes like
 * wire_entry_decode of the entry it would become.  out->signed_bytes is the
 * signature input in both. */
enum code wire_envelope_decode(struct span signed_msg, struct ca_envelope *out,
    struct wire_memory **mem, struct err *e) MUST_CHECK;

/* ---- Raft on the mesh and on disk ---- */

enum wire_mesh_kind {
	WIRE_RAFT = 1,
	WIRE_STATUS = 2,
	WIRE_HELLO = 3,
	WIRE_CHUNK = 4,
	WIRE_ACK = 5,
};

struct wire_status {
	uint64_t applied, tree_size, time_ms;
	bool issuing;
	const struct ca_checkpoint *checkpoints;
	size_t checkpoints_n;
	const struct span *crl_published;
	size_t crl_published_n;
	uint64_t sent_ms, echo_ms, held_ms; /* for the round trip */
	uint64_t repair; /* random: the sender lost its log; 0: it did not */
	/* A leader's answer to that: its term, and its last index then. */
	uint64_t repair_of, repair_term, repair_upto;
};

struct wire_row {
	uint32_t table;
	struct span key, value;
	bool more; /* of the value comes in the next row */
};

struct wire_chunk {
	uint64_t stream, seq;
	const struct raft_message *message; /* NULL but in the first; that one
					       has no rows */
	const struct wire_row *rows;
	size_t rows_n;
	bool last;
};

struct wire_ack {
	uint64_t stream, next_seq;
	bool failed;
	uint64_t have; /* the last record of the receiver's */
};

struct wire_mesh {
	enum wire_mesh_kind kind;
	union {
		struct raft_message raft;
		struct wire_status status;
		struct {
			const struct span *entries;
			size_t n;
		} hello;
		struct wire_chunk chunk;
		struct wire_ack ack;
	} u;
};
enum code wire_mesh_decode(struct span in, struct wire_mesh *out,
    struct wire_memory **mem, struct err *e) MUST_CHECK;
enum code wire_mesh_encode(
    struct buf *out, const struct wire_mesh *m, struct err *e) MUST_CHECK;

enum code wire_conf_state_encode(
    struct buf *out, const struct raft_conf_state *c, struct err *e) MUST_CHECK;
enum code wire_conf_state_decode(struct span in, struct raft_conf_state *out,
    struct wire_memory **mem, struct err *e) MUST_CHECK;

/* ---- Istio's CSR service ---- */

struct wire_csr_request {
	struct span csr; /* PEM, no NUL */
	int64_t validity_s;
	struct span cert_signer;  /* metadata CertSigner; often empty */
	struct span impersonated; /* metadata ImpersonatedIdentity */
};
enum code wire_csr_request_decode(struct span in, struct wire_csr_request *out,
    struct wire_memory **mem, struct err *e) MUST_CHECK;
enum code wire_csr_request_encode(struct buf *out,
    const struct wire_csr_request *r, struct err *e) MUST_CHECK;
/* chain[i]: PEM strings, leaf first. */
enum code wire_csr_response_encode(struct buf *out, const struct span *chain,
    size_t n, struct err *e) MUST_CHECK;
/* *chain borrows from *mem. */
enum code wire_csr_response_decode(struct span in, struct span **chain,
    size_t *n, struct wire_memory **mem, struct err *e) MUST_CHECK;

#endif
