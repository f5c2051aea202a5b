/* ca/types.h -- the vocabulary of the replicated CA: plain structs, no
 * behaviour.  Spans and strings borrow from whatever the struct came from (a
 * decoded entry, a view, a caller's buffers) unless a comment says otherwise.
 * Names are bytes without NUL; the wire rejects anything else. */
#ifndef QUORATE_CA_TYPES_H
#define QUORATE_CA_TYPES_H

#include "base/buf.h"
#include "base/sha256.h"

#define CA_FORMAT_VERSION 1 /* of the log entries and of every row */
#define CA_SERIAL_LEN 16    /* top bits 01: positive, never 17 octets */
#define CA_KEY_ID_LEN                                                          \
	20             /* leftmost 160 bits of SHA-256 of the key's            \
			  subjectPublicKey bits (RFC 7093 §2, method 1) */
#define CA_NAME_MAX 63 /* cluster, operator: a DNS label */
#define CA_URI_MAX 640 /* a SPIFFE ID: td 255, ns 63, sa 253 */
#define CA_TRUST_DOMAIN_MAX 255
#define CA_SPKI_MAX 800 /* SubjectPublicKeyInfo; RSA-4096 takes 550 */
#define CA_SIG_MAX 80   /* ECDSA P-256, DER, takes 72 */
#define CA_LIST_MAX 64  /* keys, audiences, addresses ... of one object */
#define CA_NONCE_LEN 16
#define CA_P256_SPKI_LEN 91 /* uncompressed point, named curve */
/* The longest life of any leaf: a CRL lives for seven days, and a lost node's
 * last one must outlive its leaves (ARCHITECTURE §4). */
#define CA_LEAF_LIFE_MAX_S (6 * 86400)
#define CA_BACKDATE_S 120 /* of notBefore: clocks differ */
#define CA_ENVELOPE_LIFE_MAX_MS (24 * 3600 * 1000ULL)
#define CA_TOKEN_LIFE_MAX_MS (7 * 24 * 3600 * 1000ULL)
#define CA_MESH_KEY_LEN 32 /* X25519 */

/* ---- What a certificate is for ---------------------------------------- */

enum ca_profile {
	CA_PROFILE_WORKLOAD = 1, /* one SPIFFE URI, empty subject */
	CA_PROFILE_NODE = 2, /* a node's API certificate: DNS and IP names */
	CA_PROFILE_ISTIOD = 3,
	CA_PROFILE_GATEWAY = 4,
};

/* How the requester proved who it is. */
enum ca_via { CA_VIA_TOKEN = 1, CA_VIA_CERT = 2, CA_VIA_NODE = 3 };

/* IssueCertificate: everything the certificate is rebuilt from, and who asked.
 * pki/cert.h turns it into DER; SHA-256 of that is cert_sha256. */
struct ca_issue {
	uint8_t serial[CA_SERIAL_LEN];
	uint8_t issuer[CA_KEY_ID_LEN]; /* key id of the issuer, = AKI */
	enum ca_profile profile;
	uint32_t encoder; /* version of the TBS encoder; now 1 */
	struct span uri;  /* the SPIFFE ID; empty only for CA_PROFILE_NODE */
	struct span dns[CA_LIST_MAX]; /* dNSName SANs (not for workloads) */
	size_t dns_n;
	struct span ip[CA_LIST_MAX]; /* iPAddress SANs, 4 or 16 octets */
	size_t ip_n;
	struct span common_name; /* empty: empty subject, critical SAN */
	struct span spki;        /* DER SubjectPublicKeyInfo */
	uint64_t not_before_s, not_after_s; /* Unix seconds, both inclusive */
	/* who asked */
	enum ca_via via;
	struct span cluster;   /* whose key verified the token */
	struct span requester; /* token subject, or the client's SPIFFE ID */
	struct span pod_name, pod_uid;
	bool has_parent; /* a renewal by client certificate */
	uint8_t parent[CA_SERIAL_LEN];
	/* what the signer says */
	uint64_t policy_version;
	uint64_t signer_boot, signer_seq;
	struct span signature; /* ECDSA-Sig-Value over the TBSCertificate */
	uint8_t cert_sha256[SHA256_LEN];
};

/* ---- Administrative objects -------------------------------------------- */

/* Roles of operators: a bit set. */
enum ca_role {
	CA_ROLE_ADMIN = 1,   /* everything */
	CA_ROLE_REVOKER = 2, /* Revoke only */
	CA_ROLE_AUDITOR = 4, /* reads only */
};

struct ca_operator {
	struct span name;
	struct span spki; /* P-256 */
	uint32_t roles;
	bool removed;
};

struct ca_token_key {
	struct span kid;  /* may be empty */
	struct span alg;  /* RS256 RS384 RS512 PS256 ES256 ES384 */
	struct span spki; /* DER SubjectPublicKeyInfo */
};

/* Whose service-account tokens we take, and for which namespaces. */
struct ca_cluster {
	struct span name;
	struct ca_token_key keys[CA_LIST_MAX];
	size_t keys_n;
	struct span issuer;                 /* `iss` to demand; empty: any */
	struct span audiences[CA_LIST_MAX]; /* any one of them; never none */
	size_t audiences_n;
	struct span aliases[CA_LIST_MAX]; /* other values of `clusterid` */
	size_t aliases_n;
	struct span api_address; /* host:port; may be empty */
	/* Namespaces this cluster may ask for.  Empty: all but kube-system and
	 * istio-system.  A row "*" allows all but those two; those two count
	 * only when named. */
	struct span namespaces[CA_LIST_MAX];
	size_t namespaces_n;
	bool removed;
};

struct ca_node {
	uint64_t id; /* the raft id; never used twice */
	struct span cluster;
	uint8_t mesh_key[CA_MESH_KEY_LEN];
	struct span mesh_address; /* host:port of the message channel; the
				     snapshot channel is the next port */
	struct span api_addresses[CA_LIST_MAX]; /* host or IP, the API
						   certificate's names */
	size_t api_addresses_n;
	struct span api_spki; /* key of the API certificate to be issued */
	uint8_t log_key[32];  /* Ed25519: signs tree heads */
	bool has_issuer;
	uint8_t issuer[CA_KEY_ID_LEN]; /* if has_issuer; a witness has none */
	bool removed;
};

enum ca_issuer_state {
	CA_ISSUER_ACTIVE = 1,
	CA_ISSUER_RETIRED = 2, /* signs CRLs only */
	CA_ISSUER_REVOKED = 3,
};

struct ca_issuer {
	uint8_t key_id[CA_KEY_ID_LEN];
	uint64_t node;    /* raft id of the node whose signer holds the key */
	struct span name; /* = cluster name */
	struct span cert; /* DER, signed by the root */
	struct span spki;
	uint64_t not_before_s, not_after_s;
	uint64_t added_ms; /* time stamped into the entry that added it */
	enum ca_issuer_state state;
};

struct ca_policy {
	uint64_t version;          /* assigned in apply: 1, 2, ... */
	uint64_t ttl_default_s;    /* when the request names none; 86400 */
	uint64_t ttl_max_s;        /* longer requests are shortened; 86400 */
	uint64_t renew_max_s;      /* longest life without a token; 86400 */
	uint64_t issuer_settle_ms; /* AddIssuer to first leaf; 120000 */
	uint64_t quota_identity_per_h; /* leaves an identity and hour; 0: off */
	uint64_t quota_cluster_per_h;
	uint32_t admin_signatures; /* an envelope needs; 1 */
	bool name_constraints;     /* see ARCHITECTURE §4 */
};

struct ca_join_token {
	uint8_t secret_hash[SHA256_LEN]; /* SHA-256 of the secret */
	struct span cluster;
	uint64_t expires_ms;
};

/* ---- Log entries -------------------------------------------------------- */

/* ---- Revocation ---------------------------------------------------------- */

/* RFC 5280 §5.3.1, those that a revocation for good may have. */
enum ca_reason {
	CA_REASON_UNSPECIFIED = 0,
	CA_REASON_KEY_COMPROMISE = 1,
	CA_REASON_CA_COMPROMISE = 2,
	CA_REASON_AFFILIATION_CHANGED = 3,
	CA_REASON_SUPERSEDED = 4,
	CA_REASON_CESSATION = 5,
	CA_REASON_PRIVILEGE_WITHDRAWN = 9,
};
/* RFC 5280's own name of it. */
const char *ca_reason_name(enum ca_reason r);

enum ca_revoke_by {
	CA_REVOKE_SERIAL = 1,   /* and what was renewed from it */
	CA_REVOKE_IDENTITY = 2, /* all that live, and no new ones: a block */
	CA_REVOKE_POD = 3,      /* the same by the pod's UID */
};

struct ca_revoke {
	enum ca_revoke_by by;
	uint8_t serial[CA_SERIAL_LEN]; /* CA_REVOKE_SERIAL */
	struct span what;              /* the SPIFFE ID, or the pod's UID */
	enum ca_reason reason;
};

/* One line of a CRL. */
struct ca_revoked {
	uint8_t serial[CA_SERIAL_LEN];
	uint64_t revoked_s;
	enum ca_reason reason;
};

/* The content of a CRL is what the state holds at this entry's own index. */
struct ca_freeze_crl {
	uint8_t issuer[CA_KEY_ID_LEN];
	uint64_t number; /* one more than the last one frozen */
	uint64_t this_s, next_s;
};
#define CA_CRL_BACKDATE_S 600 /* a CRL from the future stops TLS */
#define CA_CRL_LIFE_S (7 * 86400)
/* Between two of one issuer: its node has that long to sign. */
#define CA_CRL_EVERY_MS 1000
/* What Istio's ConfigMap holds, about. */
#define CA_CRL_ENTRIES_MAX 15000

struct ca_sign_crl {
	uint8_t issuer[CA_KEY_ID_LEN];
	uint64_t number;
	uint8_t tbs_sha256[SHA256_LEN];
	struct span signature; /* ECDSA-Sig-Value over the TBSCertList */
};

/* The CRL of one issuer, as far as it is known without its bytes. */
struct ca_crl {
	uint8_t issuer[CA_KEY_ID_LEN];
	uint64_t dirty_index; /* of the last revocation among its leaves */
	/* frozen; number 0: never */
	uint64_t frozen_index, frozen_number, frozen_this_s, frozen_next_s;
	uint64_t frozen_entries, frozen_ms; /* the entry's time */
	uint8_t frozen_sha256[SHA256_LEN];  /* of the TBSCertList */
	/* signed, and published; number 0: none */
	uint64_t number, this_s, next_s, entries;
	uint64_t signed_index;
	uint64_t content_index; /* its content is the state's at that one */
	uint8_t sha256[SHA256_LEN];
	struct span signature;
};

/* An identity or a pod that gets no certificate. */
struct ca_block {
	enum ca_revoke_by by;
	struct span what;
	uint64_t since_ms;
	enum ca_reason reason;
};

/* Whom to trust besides the root: more roots of our own trust domain, or those
 * of another one.  Replaces; no certificates: takes it away. */
struct ca_bundle {
	struct span trust_domain;
	struct span certs[CA_LIST_MAX]; /* DER */
	size_t certs_n;
	uint64_t sequence;    /* 1, 2, ...: apply takes the next one */
	struct span root_sig; /* our own trust domain: by the root key, over
				 ca_bundle_input */
};

enum ca_admin_kind { /* numbers are the proto's field numbers */
	CA_ADMIN_SET_NODE = 1,
	CA_ADMIN_ADD_ISSUER = 2,
	CA_ADMIN_SET_CLUSTER = 3,
	CA_ADMIN_SET_POLICY = 4,
	CA_ADMIN_CREATE_JOIN_TOKEN = 5,
	CA_ADMIN_SET_OPERATOR = 6,
	CA_ADMIN_REVOKE = 7,
	CA_ADMIN_RETIRE_ISSUER = 8,
	CA_ADMIN_REVOKE_ISSUER = 9,
	CA_ADMIN_SET_TRUST_BUNDLE = 10,
	CA_ADMIN_LIFT_BLOCK = 11,
	CA_ADMIN_SET_ROOT_CRL = 12,
};

struct ca_admin {
	enum ca_admin_kind kind;
	union {
		struct ca_node set_node; /* removed=true takes it away */
		struct {
			struct span cert; /* DER */
			uint64_t node;
		} add_issuer;
		struct ca_cluster set_cluster; /* replaces; may be removed */
		struct ca_policy set_policy;
		struct ca_join_token create_join_token;
		struct ca_operator set_operator;
		struct ca_revoke revoke; /* REVOKE; LIFT_BLOCK: by and what */
		uint8_t retire_issuer[CA_KEY_ID_LEN];
		struct {
			uint8_t issuer[CA_KEY_ID_LEN];
			struct span root_crl; /* DER; lists the issuer */
		} revoke_issuer;
		struct ca_bundle set_trust_bundle;
		struct span set_root_crl; /* DER; number above the last */
	} u;
};

struct ca_signature {
	struct span spki; /* the operator's public key */
	struct span sig;  /* ECDSA P-256 SHA-256 over `signed_bytes`, DER */
};

#define CA_BATCH_MAX 16

/* The operator-signed envelope.  All its commands apply, or none. */
struct ca_envelope {
	struct span signed_bytes; /* exactly what was signed: the serialised
				     AdminBatch (domain separation inside) */
	struct span trust_domain;
	uint8_t nonce[CA_NONCE_LEN];
	uint64_t expires_ms;
	struct ca_admin *commands;
	size_t commands_n;
	struct ca_signature *signatures;
	size_t signatures_n;
};

/* Entry 1.  Signed with the root key over signed_bytes. */
struct ca_genesis {
	struct span signed_bytes;
	struct span signature;
	struct span trust_domain;
	struct span root_cert; /* DER */
	struct span root_crl;  /* DER */
	struct ca_operator op;
	struct ca_cluster cluster;
	struct ca_node node;
	struct span issuer_cert; /* DER; the first node's issuer */
	struct ca_policy policy;
};

struct ca_checkpoint {
	uint64_t index; /* of the last entry covered */
	uint64_t tree_size;
	uint8_t root[SHA256_LEN];
	uint8_t state_digest[SHA256_LEN];
};

/* Token keys of a cluster, proposed by the cluster's own node. */
struct ca_refresh_keys {
	uint64_t node;
	struct span cluster;
	struct ca_token_key keys[CA_LIST_MAX];
	size_t keys_n;
};

enum ca_kind { /* numbers are the proto's field numbers */
	CA_GENESIS = 2,
	CA_ISSUE = 3,
	CA_ADMIN = 4,
	CA_CHECKPOINT = 5,
	CA_REFRESH_KEYS = 6,
	CA_FREEZE_CRL = 7,
	CA_SIGN_CRL = 8,
	/* 9 is kept for Prune */
};

struct ca_entry {
	uint32_t format;   /* CA_FORMAT_VERSION */
	uint64_t time_ms;  /* stamped by the proposer; apply makes it
			      monotone by taking the larger of it and the last */
	uint64_t proposer; /* raft id of the node that proposed */
	enum ca_kind kind;
	union {
		struct ca_genesis genesis;
		struct ca_issue issue;
		struct ca_envelope admin;
		struct ca_checkpoint checkpoint;
		struct ca_refresh_keys refresh;
		struct ca_freeze_crl freeze_crl;
		struct ca_sign_crl sign_crl;
	} u;
};

/* ---- Outcomes ------------------------------------------------------------ */

/* In the Merkle leaf: never renumber. */
enum ca_outcome {
	CA_OK = 0,
	CA_REPEATED = 1, /* the same record again: success, no new row */
	CA_BAD_FORMAT = 2,
	CA_NOT_FIRST = 3, /* Genesis not at the start, or before it */
	CA_BAD_SIGNATURE = 4,
	CA_NOT_OPERATOR = 5,
	CA_EXPIRED = 6,
	CA_REPLAYED = 7, /* nonce seen */
	CA_WRONG_DOMAIN = 8,
	CA_CONFLICT = 9, /* state does not allow it */
	CA_NOT_FOUND = 10,
	CA_SERIAL_USED = 11,
	CA_ISSUER_NOT_ACTIVE = 12,
	CA_POLICY_CHANGED = 13,
	CA_NOT_ALLOWED = 14,
	CA_BLOCKED = 15,
	CA_PARENT_REVOKED = 16,
	CA_QUOTA = 17,
	CA_NODE_ID_USED = 18,
	CA_DIVERGED = 19, /* a checkpoint that does not match this state */
};

struct ca_result {
	uint64_t index;
	enum ca_outcome outcome;
	enum code code;    /* what the edge answers; E_OK for OK and REPEATED */
	char why[200];     /* for people; empty when OK */
	bool view_changed; /* an administrative row changed: reload views */
};

#endif
