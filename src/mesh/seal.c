#include "mesh/seal.h"

#include <inttypes.h>
#include <string.h>

#include "base/sha256.h"

enum code mesh_self_make(struct seal_self *out,
    const uint8_t secret[SEAL_KEY_LEN], const uint8_t public[SEAL_KEY_LEN],
    struct span trust_domain, struct err *e)
{
	uint8_t derived[SEAL_KEY_LEN];

	if (trust_domain.len == 0)
		return err_set(e, E_INVAL, "the trust domain has no name");
	if (crypto_scalarmult_base(derived, secret) != 0 ||
	    sodium_memcmp(derived, public, SEAL_KEY_LEN) != 0)
		return err_set(
		    e, E_INVAL, "public mesh key is not the secret's");
	memcpy(out->secret, secret, SEAL_KEY_LEN);
	memcpy(out->public, public, SEAL_KEY_LEN);
	sha256_of(out->trust_domain, trust_domain);
	return E_OK;
}

/* The key of messages from one public key to another. */
static void derive(uint8_t out[SEAL_KEY_LEN],
    const uint8_t shared[SEAL_KEY_LEN], const uint8_t trust_domain[],
    const uint8_t from[SEAL_KEY_LEN], const uint8_t to[SEAL_KEY_LEN])
{
	static const char context[] = SEAL_CONTEXT;
	crypto_generichash_state h;

	/* fails only on lengths out of range: ours are constants */
	(void)crypto_generichash_init(&h, shared, SEAL_KEY_LEN, SEAL_KEY_LEN);
	(void)crypto_generichash_update(
	    &h, (const uint8_t *)context, sizeof(context) - 1);
	(void)crypto_generichash_update(&h, trust_domain, SEAL_HASH_LEN);
	(void)crypto_generichash_update(&h, from, SEAL_KEY_LEN);
	(void)crypto_generichash_update(&h, to, SEAL_KEY_LEN);
	(void)crypto_generichash_final(&h, out, SEAL_KEY_LEN);
	sodium_memzero(&h, sizeof(h));
}

enum code mesh_keys_make(struct seal_keys *out, const struct seal_self *self,
    const uint8_t peer[SEAL_KEY_LEN], struct err *e)
{
	uint8_t shared[SEAL_KEY_LEN];

	if (memcmp(peer, self->public, SEAL_KEY_LEN) == 0)
		return err_set(e, E_INVAL, "the peer's mesh key is our own");
	/* RFC 7748 §6.1: an all-zero secret comes from a low-order point */
	if (crypto_scalarmult(shared, self->secret, peer) != 0)
		return err_set(e, E_INVAL, "mesh key of low order");
	derive(out->send, shared, self->trust_domain, self->public, peer);
	derive(out->receive, shared, self->trust_domain, peer, self->public);
	sodium_memzero(shared, sizeof(shared));
	return E_OK;
}

static void header_write(uint8_t out[SEAL_HEADER_LEN],
    const struct seal_self *self, const struct seal_header *h,
    const uint8_t nonce[SEAL_NONCE_LEN])
{
	out[0] = SEAL_VERSION;
	out[1] = h->channel;
	memcpy(out + 2, self->trust_domain, SEAL_TRUST_DOMAIN_LEN);
	put_u64be(out + 10, h->from);
	put_u64be(out + 18, h->to);
	put_u64be(out + 26, h->boot);
	put_u64be(out + 34, h->counter);
	memcpy(out + 42, nonce, SEAL_NONCE_LEN);
}

void mesh_seal(uint8_t *out, const struct seal_self *self,
    const struct seal_keys *keys, const struct seal_header *h,
    const uint8_t nonce[SEAL_NONCE_LEN], struct span payload)
{
	header_write(out, self, h, nonce);
	/* cannot fail: the length is far below the cipher's bound */
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(out + SEAL_HEADER_LEN,
	    NULL, payload.p, payload.len, out, SEAL_HEADER_LEN, NULL, nonce,
	    keys->send);
}

enum code mesh_header_read(struct seal_header *out,
    const struct seal_self *self, uint8_t channel, uint64_t to,
    struct span sealed, struct err *e)
{
	struct seal_header h;
	struct span td;
	struct reader r;
	uint8_t version;

	if (sealed.len < SEAL_OVERHEAD)
		return err_set(e, E_INVAL, "message of %zu bytes", sealed.len);
	reader_init(&r, sealed);
	version = read_u8(&r);
	if (version != SEAL_VERSION)
		return err_set(e, E_INVAL, "message version %u", version);
	h.channel = read_u8(&r);
	if (h.channel != channel)
		return err_set(e, E_INVAL, "message of channel %u", h.channel);
	td = read_span(&r, SEAL_TRUST_DOMAIN_LEN);
	if (memcmp(td.p, self->trust_domain, td.len) != 0)
		return err_set(e, E_INVAL, "message of another trust domain");
	h.from = read_u64be(&r);
	h.to = read_u64be(&r);
	if (h.to != to || to == 0)
		return err_set(e, E_INVAL, "message to node %" PRIx64, h.to);
	h.boot = read_u64be(&r);
	h.counter = read_u64be(&r);
	*out = h;
	return E_OK;
}

enum code mesh_unseal(uint8_t *payload, const struct seal_keys *keys,
    struct span sealed, struct err *e)
{
	const uint8_t *nonce = sealed.p + SEAL_HEADER_LEN - SEAL_NONCE_LEN;

	if (crypto_aead_xchacha20poly1305_ietf_decrypt(payload, NULL, NULL,
		sealed.p + SEAL_HEADER_LEN, sealed.len - SEAL_HEADER_LEN,
		sealed.p, SEAL_HEADER_LEN, nonce, keys->receive) != 0) {
		if (sealed.len > SEAL_OVERHEAD)
			memset(payload, 0, sealed.len - SEAL_OVERHEAD);
		return err_set(e, E_DENIED, "message did not open");
	}
	return E_OK;
}
