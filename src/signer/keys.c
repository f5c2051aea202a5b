/* keys.c -- keys/signer.sealed: made once, opened by the signer process.
 *
 * Format: "QSIGNER1", 24 bytes of nonce, then XChaCha20-Poly1305 of the P-256
 * scalar (32 bytes), its uncompressed point (65) and the Ed25519 seed (32),
 * with the first eight bytes as associated data. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/fs.h"
#include "signer/internal.h"

#define MAGIC_LEN 8
#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_LEN crypto_aead_xchacha20poly1305_ietf_ABYTES
#define SEAL_KEY_LEN crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define POINT_LEN 65

static const uint8_t magic[MAGIC_LEN] = {
    'Q', 'S', 'I', 'G', 'N', 'E', 'R', '1'};

struct secrets {
	uint8_t scalar[32], point[POINT_LEN], seed[crypto_sign_SEEDBYTES];
};
#define SEALED_LEN (MAGIC_LEN + NONCE_LEN + sizeof(struct secrets) + TAG_LEN)

/* ---- The seal key ---- */

static enum code seal_key_check(int fd, const char *path, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return err_set(
		    e, E_IO, "cannot read %s: %s", path, strerror(errno));
	if ((st.st_mode & 077) != 0)
		return err_set(e, E_DENIED,
		    "%s can be read by others (mode %03o): chmod 600 it, and "
		    "replace the node if somebody did",
		    path, (unsigned)st.st_mode & 0777);
	if (st.st_size != SEAL_KEY_LEN)
		return err_set(e, E_CORRUPT, "%s has %lld bytes, expected %d",
		    path, (long long)st.st_size, (int)SEAL_KEY_LEN);
	return E_OK;
}

/* Straight into key: no copy is left behind on the heap. */
static enum code seal_key_read(
    uint8_t key[SEAL_KEY_LEN], const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum code rc;

	if (fd < 0)
		return err_set(e,
		    errno == ENOENT   ? E_NOTFOUND
		    : errno == EACCES ? E_DENIED
				      : E_IO,
		    "cannot open %s: %s", path, strerror(errno));
	rc = seal_key_check(fd, path, e);
	if (rc == E_OK && read(fd, key, SEAL_KEY_LEN) != SEAL_KEY_LEN)
		rc = err_set(e, E_IO, "cannot read %s", path);
	close(fd);
	return rc;
}

/* ---- The blob ---- */

static void secrets_seal(uint8_t out[SEALED_LEN], const struct secrets *s,
    const uint8_t key[SEAL_KEY_LEN])
{
	memcpy(out, magic, MAGIC_LEN);
	random_bytes(out + MAGIC_LEN, NONCE_LEN);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + MAGIC_LEN + NONCE_LEN,
	    NULL, (const uint8_t *)s, sizeof(*s), out, MAGIC_LEN, NULL,
	    out + MAGIC_LEN, key);
}

static enum code secrets_unseal(struct secrets *s, struct span sealed,
    const uint8_t key[SEAL_KEY_LEN], struct err *e)
{
	const uint8_t *p = sealed.p;

	if (sealed.len != SEALED_LEN || memcmp(p, magic, MAGIC_LEN) != 0)
		return err_set(
		    e, E_CORRUPT, "it does not hold a signer's keys");
	if (crypto_aead_xchacha20poly1305_ietf_decrypt((uint8_t *)s, NULL, NULL,
		p + MAGIC_LEN + NONCE_LEN, sizeof(*s) + TAG_LEN, p, MAGIC_LEN,
		p + MAGIC_LEN, key) != 0)
		return err_set(e, E_CORRUPT,
		    "it was altered, or sealed under another seal key");
	return E_OK;
}

static enum code secrets_read(struct secrets *s, const char *path,
    const char *seal_key_path, struct err *e)
{
	uint8_t *key = sodium_malloc(SEAL_KEY_LEN);
	struct buf sealed;
	enum code rc;

	if (key == NULL)
		return err_nomem(e);
	buf_init(&sealed);
	rc = seal_key_read(key, seal_key_path, e);
	if (rc == E_OK)
		rc = fs_read(path, SEALED_LEN, &sealed, e);
	if (rc == E_OK) {
		rc = secrets_unseal(s, buf_span(&sealed), key, e);
		if (rc != E_OK)
			rc = err_wrap(e, rc, "%s", path);
	}
	buf_free(&sealed);
	sodium_free(key);
	return rc;
}

/* ---- The issuer key ---- */

/* OpenSSL keeps the scalar in its secure heap where there is one. */
static OSSL_PARAM *issuer_params(const struct secrets *s, const BIGNUM *scalar)
{
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	OSSL_PARAM *out = NULL;

	if (b != NULL &&
	    OSSL_PARAM_BLD_push_utf8_string(
		b, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(
		b, OSSL_PKEY_PARAM_PUB_KEY, s->point, POINT_LEN) == 1 &&
	    OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_PRIV_KEY, scalar) == 1)
		out = OSSL_PARAM_BLD_to_param(b);
	OSSL_PARAM_BLD_free(b);
	return out;
}

static enum code issuer_load(
    EVP_PKEY **out, const struct secrets *s, struct err *e)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	BIGNUM *scalar = BN_secure_new();
	OSSL_PARAM *params = NULL;
	enum code rc = E_OK;

	if (ctx == NULL || scalar == NULL ||
	    BN_bin2bn(s->scalar, sizeof(s->scalar), scalar) == NULL ||
	    (params = issuer_params(s, scalar)) == NULL) {
		rc = err_nomem(e);
		goto out;
	}
	if (EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, out, EVP_PKEY_KEYPAIR, params) != 1)
		rc = err_set(e, E_CORRUPT, "the issuer key is not on P-256");
out:
	OSSL_PARAM_free(params);
	BN_clear_free(scalar);
	EVP_PKEY_CTX_free(ctx);
	return rc;
}

static enum code issuer_save(struct secrets *s, EVP_PKEY *key, struct err *e)
{
	BIGNUM *scalar = NULL;
	enum code rc = E_OK;

	if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &scalar) !=
		1 ||
	    BN_bn2binpad(scalar, s->scalar, sizeof(s->scalar)) !=
		(int)sizeof(s->scalar))
		rc = err_set(e, E_INTERNAL, "cannot read the new issuer key");
	BN_clear_free(scalar);
	return rc;
}

static enum code public_spki(
    struct signer_public *out, EVP_PKEY *issuer, struct err *e)
{
	struct buf spki;
	enum code rc;

	buf_init(&spki);
	rc = pki_key_spki(&spki, issuer, e);
	if (rc == E_OK && spki.len != CA_P256_SPKI_LEN)
		rc = err_set(e, E_CORRUPT, "the issuer key is not on P-256");
	if (rc == E_OK) {
		memcpy(out->issuer_spki, spki.p, spki.len);
		out->issuer_spki_len = spki.len;
	}
	buf_free(&spki);
	return rc;
}

/* ---- Making them ---- */

static enum code secrets_make(
    struct secrets *s, struct signer_public *out, struct err *e)
{
	uint8_t *log_secret = sodium_malloc(crypto_sign_SECRETKEYBYTES);
	EVP_PKEY *issuer = NULL;
	enum code rc = E_OK;

	if (log_secret == NULL)
		return err_nomem(e);
	random_bytes(s->seed, sizeof(s->seed));
	crypto_sign_seed_keypair(out->log_key, log_secret, s->seed);
	sodium_free(log_secret);
	rc = pki_key_new(PKI_P256, &issuer, e);
	if (rc == E_OK)
		rc = issuer_save(s, issuer, e);
	if (rc == E_OK)
		rc = public_spki(out, issuer, e);
	if (rc == E_OK)
		memcpy(s->point,
		    out->issuer_spki + CA_P256_SPKI_LEN - POINT_LEN, POINT_LEN);
	EVP_PKEY_free(issuer);
	return rc;
}

enum code signer_keys_create(const char *path, const char *seal_key_path,
    struct signer_public *out, struct err *e)
{
	uint8_t sealed[SEALED_LEN], *key;
	struct secrets *s;
	enum code rc;

	*out = (struct signer_public){0};
	if (sodium_init() < 0)
		return err_set(e, E_INTERNAL, "libsodium does not start");
	s = sodium_malloc(sizeof(*s));
	key = sodium_malloc(SEAL_KEY_LEN);
	if (s == NULL || key == NULL) {
		rc = err_nomem(e);
		goto out;
	}
	rc = seal_key_read(key, seal_key_path, e);
	if (rc == E_OK)
		rc = secrets_make(s, out, e);
	if (rc == E_OK) {
		secrets_seal(sealed, s, key);
		rc = fs_create(path, span_of(sealed, SEALED_LEN), 0600, e);
	}
out:
	sodium_free(key);
	sodium_free(s);
	return rc;
}

/* ---- Opening them ---- */

static enum code keys_load(
    struct signer_keys *k, const struct secrets *s, struct err *e)
{
	enum code rc = issuer_load(&k->issuer, s, e);

	if (rc == E_OK)
		rc = public_spki(&k->public, k->issuer, e);
	if (rc != E_OK)
		return rc;
	k->log_secret = sodium_malloc(crypto_sign_SECRETKEYBYTES);
	if (k->log_secret == NULL)
		return err_nomem(e);
	crypto_sign_seed_keypair(k->public.log_key, k->log_secret, s->seed);
	if (sodium_mprotect_readonly(k->log_secret) != 0)
		return err_set(e, E_INTERNAL, "cannot guard the log key");
	return E_OK;
}

enum code keys_open(struct signer_keys *k, const char *path,
    const char *seal_key_path, struct err *e)
{
	struct secrets *s;
	enum code rc;

	*k = (struct signer_keys){0};
	if (sodium_init() < 0)
		return err_set(e, E_INTERNAL, "libsodium does not start");
	if ((s = sodium_malloc(sizeof(*s))) == NULL)
		return err_nomem(e);
	rc = secrets_read(s, path, seal_key_path, e);
	if (rc == E_OK)
		rc = keys_load(k, s, e);
	sodium_free(s);
	if (rc != E_OK)
		keys_close(k);
	return rc;
}

void keys_close(struct signer_keys *k)
{
	EVP_PKEY_free(k->issuer);
	sodium_free(k->log_secret);
	*k = (struct signer_keys){0};
}

enum code signer_keys_prove(const char *path, const char *seal_key_path,
    struct span msg, struct buf *sig, struct err *e)
{
	struct signer_keys k;
	enum code rc = keys_open(&k, path, seal_key_path, e);

	if (rc == E_OK)
		rc = pki_sign(sig, k.issuer, msg, e);
	keys_close(&k);
	return rc;
}
