/* signer.h -- the signer process and its client (ARCHITECTURE §3).
 *
 * The signer is forked before any thread or socket exists.  It holds the issuer
 * key and the Ed25519 log key, builds every TBS itself from a fixed struct,
 * parses no DER from the front, and checks names against what operators signed.
 * After start seccomp leaves it neither network nor files. */
#ifndef QUORATE_SIGNER_SIGNER_H
#define QUORATE_SIGNER_SIGNER_H

#include "ca/types.h"

/* ---- The sealed blob: keys/signer.sealed ---- */
struct signer_public {
	uint8_t issuer_spki[CA_SPKI_MAX]; /* P-256 */
	size_t issuer_spki_len;
	uint8_t log_key[32]; /* Ed25519 */
};
/* Make fresh keys and seal them into path (mode 0600) under the key in
 * seal_key_path, which must be there: 32 bytes, nobody else's to read
 * (E_DENIED).  E_EXISTS rather than overwrite. */
enum code signer_keys_create(const char *path, const char *seal_key_path,
    struct signer_public *out, struct err *e) MUST_CHECK;
/* A CSR (DER signed with the issuer key) is not needed: possession is shown by
 * a signature over the join request.  E_CORRUPT: altered, or the wrong seal
 * key. */
enum code signer_keys_prove(const char *path, const char *seal_key_path,
    struct span msg, struct buf *sig, struct err *e) MUST_CHECK;

/* ---- The process ---- */
struct signer; /* the parent's handle */
struct signer_config {
	const char *keys_path;
	const char *seal_key_path;
	bool no_seccomp; /* sanitizer builds only */
};
/* Fork.  Call before any thread, socket or TLS context exists, on a thread that
 * lives as long as the process: the child dies with it.  The child answers over
 * a SEQPACKET socketpair and exits when it closes; it ignores SIGINT, SIGTERM
 * and SIGHUP.  Its reason comes back if it cannot start. */
enum code signer_start(struct signer **out, const struct signer_config *c,
    struct err *e) MUST_CHECK;
void signer_stop(struct signer *s); /* NULL is fine; waits for the child */
/* For poll: readable while an answer waits, also one that a synchronous call
 * came across, and when the signer is gone.  It is an epoll descriptor: poll
 * it, do not read it. */
int signer_fd(const struct signer *s);
int signer_pid(const struct signer *s);
void signer_public_keys(const struct signer *s, struct signer_public *out);

/* What signer and node must agree on, as operators signed it.  raw is entry 1
 * (Genesis, root-signed) first, then every CA_ADMIN entry that was applied and
 * not refused, in order: the signer checks signatures itself and keeps
 * operators, nodes and policy of its own, and its issuer certificate.
 * Synchronous; at start and after each administrative entry.  The same entry
 * again is E_OK and changes nothing.  E_DENIED if the signer does not accept
 * it, E_CONFLICT before Genesis, E_INVAL if it does not decode; in all three
 * nothing has changed.  E_UNAVAILABLE if the signer is gone. */
enum code signer_feed(
    struct signer *s, struct span raw, struct err *e) MUST_CHECK;

/* Ask for a leaf.  Of issue the caller fills serial (top bits 01), profile,
 * uri, dns, ip, common_name, spki, via, and not_after_s with the end it asks
 * for (0: policy's default); the signer fills issuer, encoder, validity by its
 * own clock (back-dated, shortened to policy and issuer), signer_boot,
 * signer_seq, policy_version, signature, cert_sha256, and does not read the
 * rest.  A node's common_name is empty, its cluster or one of its API
 * addresses.  Returns at once (E_UNAVAILABLE if the socket is full, or the
 * signer gone); the answer comes through signer_receive with the same id.  One
 * thread, for this and all that follows. */
struct signer_request {
	uint64_t id;
	struct ca_issue issue; /* spans are copied into the message */
};
enum code signer_ask(
    struct signer *s, const struct signer_request *r, struct err *e) MUST_CHECK;

struct signer_answer {
	uint64_t id;
	/* E_OK; E_DENIED: this leaf never; E_CONFLICT: no issuer (yet), or less
	 * than a leaf's lifetime of it is left; E_INVAL; E_NOMEM */
	enum code code;
	char why[160];
	uint8_t issuer[CA_KEY_ID_LEN];
	uint32_t encoder;
	uint64_t not_before_s, not_after_s;
	uint64_t policy_version, signer_boot, signer_seq;
	uint8_t signature[CA_SIG_MAX];
	size_t signature_len;
	uint8_t cert_sha256[SHA256_LEN];
};
/* One answer that is waiting; E_NOTFOUND if none; E_UNAVAILABLE if the signer
 * is gone (the node must end). */
enum code signer_receive(
    struct signer *s, struct signer_answer *out, struct err *e) MUST_CHECK;

/* Sign a CRL of the signer's own issuer: it builds the TBSCertList of these
 * rows itself (pki_crl_tbs), so that nothing else can be signed in this way.
 * Synchronous.  Numbers only grow while the process lives: E_CONFLICT.  sig
 * holds CA_SIG_MAX bytes, tbs_sha256 the hash of what was signed. */
struct signer_crl {
	uint64_t number, this_s, next_s;
	const struct ca_revoked *rows;
	size_t n;
};
enum code signer_sign_crl(struct signer *s, const struct signer_crl *c,
    uint8_t sig[CA_SIG_MAX], size_t *sig_len, uint8_t tbs_sha256[SHA256_LEN],
    struct err *e) MUST_CHECK;

/* Sign a tree head with the log key: synchronous, rare.  E_DENIED unless it
 * begins with SIGNER_HEAD_PREFIX. */
#define SIGNER_HEAD_PREFIX "quorate tree head v1\n"
#define SIGNER_HEAD_MAX 4096
enum code signer_sign_head(struct signer *s, struct span head, uint8_t sig[64],
    struct err *e) MUST_CHECK;

#endif
