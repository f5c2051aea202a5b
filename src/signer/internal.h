/* internal.h -- what the files of src/signer share, and nobody else includes
 * but their tests. */
#ifndef QUORATE_SIGNER_INTERNAL_H
#define QUORATE_SIGNER_INTERNAL_H

#include <sys/types.h>

#include "pki/pki.h"
#include "signer/signer.h"

/* ---- keys.c: what the sealed blob holds ---- */

struct signer_keys {
	EVP_PKEY *issuer;
	uint8_t *log_secret; /* Ed25519, 64 bytes in guarded memory */
	struct signer_public public;
};
/* E_CORRUPT: altered, or sealed under another key. */
enum code keys_open(struct signer_keys *k, const char *path,
    const char *seal_key_path, struct err *e) MUST_CHECK;
void keys_close(struct signer_keys *k);

/* ---- trust.c: what operators signed, as the signer checked it ---- */

struct trust_operator {
	uint8_t spki[CA_P256_SPKI_LEN];
	uint32_t roles;
};

struct trust_node {
	uint64_t id;
	bool removed; /* kept: ids are not used twice */
	char cluster[CA_NAME_MAX + 1];
	uint8_t mesh_key[CA_MESH_KEY_LEN];
	bool has_issuer;
	uint8_t issuer[CA_KEY_ID_LEN];
	struct buf api_spki;
	struct buf names; /* API addresses, each with its NUL */
};

struct trust {
	uint8_t own[CA_KEY_ID_LEN]; /* key id of the signer's issuer key */
	bool started;               /* Genesis was taken */
	uint64_t time_ms, last_node_id;
	struct buf trust_domain, root, genesis; /* genesis: what was signed */
	struct trust_operator *operators;       /* removed ones are not here */
	size_t operators_n;
	struct trust_node *nodes;
	size_t nodes_n;
	struct ca_policy policy;
	/* The certificate of the signer's own key. */
	bool has_issuer;
	bool ended; /* retired or revoked: it signs CRLs only */
	struct buf issuer_cert;
	uint64_t node; /* whose issuer it is */
	struct buf issuer_name;
	uint64_t not_before_s, not_after_s;
};

/* Hashes of the envelopes taken, in order of their bytes. */
struct trust_seen {
	uint8_t (*v)[SHA256_LEN];
	size_t n, cap;
};

/* Take one entry; *t is as before unless E_OK.  See signer_feed. */
enum code trust_feed(struct trust *t, struct trust_seen *seen, struct span raw,
    struct err *e) MUST_CHECK;
void trust_free(struct trust *t);
const struct trust_node *trust_node(const struct trust *t, uint64_t id);

/* ---- leaf.c ---- */

/* Check what is asked for, fill what the signer fills but boot and seq, and
 * sign.  sig owns the signature that i borrows.  now_s: Unix time. */
enum code leaf_sign(const struct trust *t, EVP_PKEY *issuer, uint64_t now_s,
    struct ca_issue *i, struct buf *sig, struct err *e) MUST_CHECK;

/* ---- sandbox.c ---- */

#define SANDBOX_FD 3 /* the only descriptor left beside stderr */
/* Close everything but fd (then SANDBOX_FD) and stderr; die with the parent;
 * no core, no ptrace. */
enum code sandbox_isolate(int fd, pid_t parent, struct err *e) MUST_CHECK;
/* From here on: messages on SANDBOX_FD, memory, time, randomness; any other
 * system call ends the process. */
enum code sandbox_lock(struct err *e) MUST_CHECK;

/* ---- child.c ---- */

/* The signer process; does not return. */
_Noreturn void child_main(int fd, pid_t parent, const struct signer_config *c);

/* ---- Messages: one packet each; both ends are the same program ---- */

enum msg_kind { MSG_HELLO = 1, MSG_FEED, MSG_LEAF, MSG_HEAD, MSG_CRL };

/* Followed by uri, common name, key, DNS names, addresses, without gaps. */
struct msg_leaf {
	uint32_t kind;
	uint32_t profile, via;
	uint64_t id, not_after_s;
	uint8_t serial[CA_SERIAL_LEN];
	uint16_t uri_len, common_name_len, spki_len, dns_n, ip_n;
	uint8_t dns_len[CA_LIST_MAX], ip_len[CA_LIST_MAX];
};
#define MSG_DNS_MAX 253
#define MSG_COMMON_NAME_MAX 64

/* Followed by a part of an entry; the last part is answered. */
struct msg_feed {
	uint32_t kind;
	uint32_t total, offset;
};
#define MSG_FEED_MAX (2 * 1024 * 1024)

/* Followed by the text of a tree head. */
struct msg_head {
	uint32_t kind;
};

/* Followed by a part of the rows, struct ca_revoked each; the last part is
 * answered. */
struct msg_crl {
	uint32_t kind;
	uint32_t rows, offset; /* of all, and before this part */
	uint64_t number, this_s, next_s;
};
#define MSG_CRL_ROWS_MAX 2000000

#define MSG_MAX (32 * 1024)

struct msg_reply {
	uint32_t kind;
	union {
		struct signer_answer leaf;
		struct {
			enum code code;
			char why[200];
			uint8_t sig[CA_SIG_MAX]; /* MSG_HEAD 64, MSG_CRL */
			size_t sig_len;
			uint8_t tbs_sha256[SHA256_LEN]; /* MSG_CRL */
			struct signer_public keys;      /* MSG_HELLO */
		} done;
	} u;
};

#endif
