/* seal.c -- a secret under a passphrase ▣:
 *
 *   8  magic "quorseal"
 *   1  format version, 1
 *   8  Argon2id operations   } big-endian
 *   8  Argon2id memory bytes }
 *  16  salt
 *  24  nonce
 *   1  length of the label, then the label
 *   n  XChaCha20-Poly1305 of the secret, and 16 octets of tag
 *
 * Everything before the ciphertext is the associated data. */
#include "pki/internal.h"

#include <string.h>

#include <sodium.h>

#include "base/clock.h"

#define MAGIC "quorseal"
#define SEAL_VERSION 1
#define SALT_LEN crypto_pwhash_argon2id_SALTBYTES
#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define KEY_LEN crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define TAG_LEN crypto_aead_xchacha20poly1305_ietf_ABYTES
/* An altered header must not make us spend more than our own would. */
#define OPS_MAX crypto_pwhash_argon2id_OPSLIMIT_MODERATE
#define MEMORY_MAX crypto_pwhash_argon2id_MEMLIMIT_MODERATE

struct seal_head {
	uint64_t ops, memory;
	struct span salt, nonce, label;
};

static enum code derive(uint8_t key[KEY_LEN], struct span passphrase,
    const struct seal_head *h, struct err *e)
{
	if (crypto_pwhash_argon2id(key, KEY_LEN,
		passphrase.len > 0 ? (const char *)passphrase.p : "",
		passphrase.len, h->salt.p, h->ops, (size_t)h->memory,
		crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0)
		return err_set(e, E_NOMEM,
		    "not enough memory for Argon2id (%llu MiB)",
		    (unsigned long long)(h->memory >> 20));
	return E_OK;
}

static void put_head(
    struct buf *out, bool cheap, struct span salt_nonce, const char *label)
{
	size_t len = strlen(label);

	buf_add_str(out, MAGIC);
	buf_add_u8(out, SEAL_VERSION);
	buf_add_u64be(out, cheap ? crypto_pwhash_argon2id_OPSLIMIT_INTERACTIVE
				 : crypto_pwhash_argon2id_OPSLIMIT_MODERATE);
	buf_add_u64be(out, cheap ? crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE
				 : crypto_pwhash_argon2id_MEMLIMIT_MODERATE);
	buf_add_span(out, salt_nonce);
	buf_add_u8(out, (uint8_t)len);
	buf_add(out, label, len);
}

/* The header at the front of in, which moves past it. */
static bool read_head(struct span *in, struct seal_head *h, struct span *whole)
{
	struct reader r;
	struct span magic;

	reader_init(&r, *in);
	magic = read_span(&r, sizeof(MAGIC) - 1);
	if (!span_eq_str(magic, MAGIC) || read_u8(&r) != SEAL_VERSION)
		return false;
	h->ops = read_u64be(&r);
	h->memory = read_u64be(&r);
	h->salt = read_span(&r, SALT_LEN);
	h->nonce = read_span(&r, NONCE_LEN);
	h->label = read_span(&r, read_u8(&r));
	if (r.bad || h->ops < crypto_pwhash_argon2id_OPSLIMIT_MIN ||
	    h->ops > OPS_MAX ||
	    h->memory < crypto_pwhash_argon2id_MEMLIMIT_MIN ||
	    h->memory > MEMORY_MAX)
		return false;
	*whole = span_of(in->p, in->len - r.left);
	*in = span_of(r.p, r.left);
	return true;
}

enum code pki_seal(struct buf *out, const char *label, struct span secret,
    struct span passphrase, bool cheap, struct err *e)
{
	uint8_t random[SALT_LEN + NONCE_LEN], key[KEY_LEN];
	size_t start = out->len, len;
	struct seal_head h;
	struct span rest, head;
	enum code rc;

	if (sodium_init() < 0 || strlen(label) > UINT8_MAX)
		return err_set(e, E_INTERNAL, "could not seal a secret");
	random_bytes(random, sizeof(random));
	put_head(out, cheap, span_of(random, sizeof(random)), label);
	if (!buf_reserve(out, secret.len + TAG_LEN))
		return err_nomem(e);
	rest = span_of(out->p + start, out->len - start);
	if (!read_head(&rest, &h, &head))
		return err_set(e, E_INTERNAL, "could not seal a secret");
	rc = derive(key, passphrase, &h, e);
	if (rc == E_OK) {
		len = out->len;
		crypto_aead_xchacha20poly1305_ietf_encrypt(out->p + len, NULL,
		    secret.p, secret.len, head.p, head.len, NULL, h.nonce.p,
		    key);
		out->len = len + secret.len + TAG_LEN;
	}
	sodium_memzero(key, sizeof(key));
	return rc;
}

static enum code open_sealed(struct buf *out, const struct seal_head *h,
    struct span head, struct span box, struct span passphrase, struct err *e)
{
	uint8_t key[KEY_LEN];
	enum code rc;

	if (!buf_reserve(out, box.len))
		return err_nomem(e);
	rc = derive(key, passphrase, h, e);
	if (rc == E_OK &&
	    crypto_aead_xchacha20poly1305_ietf_decrypt(out->p + out->len, NULL,
		NULL, box.p, box.len, head.p, head.len, h->nonce.p, key) != 0)
		rc = err_set(
		    e, E_DENIED, "wrong passphrase, or an altered file");
	if (rc == E_OK)
		out->len += box.len - TAG_LEN;
	sodium_memzero(key, sizeof(key));
	return rc;
}

enum code pki_unseal(struct buf *out, const char *label, struct span sealed,
    struct span passphrase, struct err *e)
{
	struct seal_head h;
	struct span head;

	if (sodium_init() < 0)
		return err_set(e, E_INTERNAL, "could not open a sealed secret");
	if (!read_head(&sealed, &h, &head) || sealed.len < TAG_LEN)
		return err_set(
		    e, E_DENIED, "not a sealed file, or an altered one");
	if (!span_eq_str(h.label, label))
		return err_set(
		    e, E_DENIED, "the sealed file does not hold the %s", label);
	return open_sealed(out, &h, head, sealed, passphrase, e);
}

void pki_wipe(struct buf *b)
{
	if (b == NULL)
		return;
	if (b->p != NULL)
		sodium_memzero(b->p, b->cap);
	buf_free(b);
}
