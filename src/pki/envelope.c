/* envelope.c -- what operators and the root key sign. */
#include "pki/internal.h"

#include "base/clock.h"

/* Signed bytes around a payload. */
static enum code sign_payload(struct buf *out, EVP_PKEY *key,
    const char *context, struct span payload, struct err *e)
{
	struct buf spki, input, sig;
	enum code rc;

	buf_init(&spki);
	buf_init(&input);
	buf_init(&sig);
	rc = pki_key_spki(&spki, key, e);
	if (rc == E_OK)
		rc = wire_signature_input(&input, context, payload, e);
	if (rc == E_OK)
		rc = pki_sign(&sig, key, buf_span(&input), e);
	if (rc == E_OK) {
		struct ca_signature s = {
		    .spki = buf_span(&spki),
		    .sig = buf_span(&sig),
		};

		rc = wire_signed_encode(out, payload, &s, 1, e);
	}
	buf_free(&spki);
	buf_free(&input);
	buf_free(&sig);
	return rc;
}

enum code pki_envelope_sign(struct buf *out, EVP_PKEY *operator_key,
    struct span trust_domain, uint64_t expires_ms, const struct ca_admin *cmds,
    size_t n, struct err *e)
{
	uint8_t nonce[CA_NONCE_LEN];
	struct buf payload;
	enum code rc;

	buf_init(&payload);
	random_bytes(nonce, sizeof(nonce));
	rc = wire_admin_payload(
	    &payload, trust_domain, nonce, expires_ms, cmds, n, e);
	if (rc == E_OK)
		rc = sign_payload(out, operator_key, WIRE_CONTEXT_ADMIN,
		    buf_span(&payload), e);
	buf_free(&payload);
	return rc;
}

enum code pki_genesis_sign(struct buf *out, EVP_PKEY *root_key,
    const struct ca_genesis *g, struct err *e)
{
	struct buf payload;
	enum code rc;

	buf_init(&payload);
	rc = wire_genesis_payload(&payload, g, e);
	if (rc == E_OK)
		rc = sign_payload(
		    out, root_key, WIRE_CONTEXT_GENESIS, buf_span(&payload), e);
	buf_free(&payload);
	return rc;
}
