/* seal.h -- one sealed mesh message (ARCHITECTURE, "Mesh").
 * Pure: no clock, randomness, files or sockets; any thread.
 *
 *   offset  bytes  field, big endian
 *        0      1  version, 1
 *        1      1  channel
 *        2      8  first bytes of SHA-256(trust domain)
 *       10      8  from, raft id
 *       18      8  to, raft id
 *       26      8  boot of the sender
 *       34      8  counter within the boot
 *       42     24  nonce
 *       66   n+16  XChaCha20-Poly1305 of the payload; offsets 0 to 65 are
 *                  its associated data
 *
 * The key of one direction is BLAKE2b-256, keyed with the X25519 secret of the
 * two mesh keys, over SEAL_CONTEXT, SHA-256(trust domain), the sender's public
 * key, the recipient's public key.  The random nonce has 192 bits, so no state
 * outlives a restart. */
#ifndef QUORATE_MESH_SEAL_H
#define QUORATE_MESH_SEAL_H

#include <sodium.h>

#include "base/buf.h"

#define SEAL_VERSION 1
#define SEAL_CONTEXT "quorate mesh v1"
#define SEAL_KEY_LEN 32
#define SEAL_HASH_LEN 32
#define SEAL_TRUST_DOMAIN_LEN 8
#define SEAL_NONCE_LEN 24
#define SEAL_HEADER_LEN 66
#define SEAL_TAG_LEN 16
#define SEAL_OVERHEAD (SEAL_HEADER_LEN + SEAL_TAG_LEN)

_Static_assert(SEAL_KEY_LEN == crypto_scalarmult_BYTES, "X25519");
_Static_assert(
    SEAL_NONCE_LEN == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");
_Static_assert(
    SEAL_TAG_LEN == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag");

/* Who we are; the secret is the caller's to wipe. */
struct seal_self {
	uint8_t secret[SEAL_KEY_LEN], public[SEAL_KEY_LEN];
	uint8_t trust_domain[SEAL_HASH_LEN]; /* SHA-256 of its name */
};

/* Both directions between us and one peer. */
struct seal_keys {
	uint8_t send[SEAL_KEY_LEN], receive[SEAL_KEY_LEN];
};

struct seal_header {
	uint8_t channel;
	uint64_t from, to, boot, counter;
};

/* E_INVAL: the secret and public key of self do not belong together. */
enum code mesh_self_make(struct seal_self *out,
    const uint8_t secret[SEAL_KEY_LEN], const uint8_t public[SEAL_KEY_LEN],
    struct span trust_domain, struct err *e) MUST_CHECK;

/* E_INVAL: the peer's key is our own or of low order. */
enum code mesh_keys_make(struct seal_keys *out, const struct seal_self *self,
    const uint8_t peer[SEAL_KEY_LEN], struct err *e) MUST_CHECK;

/* out holds SEAL_OVERHEAD + payload.len bytes and does not overlap payload.
 * The nonce must be fresh random bytes. */
void mesh_seal(uint8_t *out, const struct seal_self *self,
    const struct seal_keys *keys, const struct seal_header *h,
    const uint8_t nonce[SEAL_NONCE_LEN], struct span payload);

/* Everything that can be refused without a key: length, version, trust domain,
 * channel (which the listener knows), recipient.  E_INVAL says which; nothing
 * in *out is authentic before mesh_unseal. */
enum code mesh_header_read(struct seal_header *out,
    const struct seal_self *self, uint8_t channel, uint64_t to,
    struct span sealed, struct err *e) MUST_CHECK;

/* payload holds sealed.len - SEAL_OVERHEAD bytes and does not overlap sealed,
 * whose header has been read.  E_DENIED: not sealed with these keys, or
 * changed; then payload is zeroed. */
enum code mesh_unseal(uint8_t *payload, const struct seal_keys *keys,
    struct span sealed, struct err *e) MUST_CHECK;

#endif
