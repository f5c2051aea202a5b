/* front.h -- the edge of a node: gRPC for Istio, HTTPS for people and joiners,
 * plain HTTP for bundles, metrics and health.  docs/http-api.md is the contract
 * of the HTTP side.  What it needs of signer and node loop comes in as
 * callbacks (struct front_ops). */
#ifndef QUORATE_FRONT_FRONT_H
#define QUORATE_FRONT_FRONT_H

#include "ca/ca.h"

/* A leaf somebody is entitled to: the front has authenticated and checked the
 * CSR; spans borrow until issue() returns. */
struct front_issue {
	enum ca_profile profile;
	struct span uri;
	const struct span *dns, *ip; /* CA_PROFILE_NODE */
	size_t dns_n, ip_n;
	struct span common_name;
	struct span spki;
	uint64_t ttl_s; /* asked for; 0: policy's default; policy shortens it */
	enum ca_via via;
	struct span cluster, requester, pod_name, pod_uid;
	bool has_parent;
	uint8_t parent[CA_SERIAL_LEN];
};

/* A request for the API certificate of a registered node, and what its spans
 * borrow from besides n. */
struct front_node_issue {
	struct front_issue req;
	struct span dns[CA_LIST_MAX], ip[CA_LIST_MAX];
	uint8_t octets[CA_LIST_MAX][16];
};
void front_node_issue(struct front_node_issue *out, const struct ca_node *n);

struct front_issued {
	enum code code;          /* E_OK: the record is committed and applied.
				    E_UNAVAILABLE: not within 2 s; may still commit */
	const char *why;         /* empty when E_OK */
	struct span cert;        /* DER */
	struct span issuer_cert; /* DER */
	struct span root_bundle; /* PEM, one or more roots */
};
/* Called exactly once a request, on the node loop's thread: must not block. */
typedef void front_issue_done(void *arg, const struct front_issued *r);

struct front_applied {
	enum code code; /* E_OK, the refusal's code, E_UNAVAILABLE (unknown) */
	const char *why;
	uint64_t index;
	enum ca_outcome outcome;
};
typedef void front_admin_done(void *arg, const struct front_applied *r);

struct front_member {
	uint64_t id;
	char cluster[CA_NAME_MAX + 1];
	char mesh_address[300];
	char state[16]; /* voter, learner, leaving, joining, removed */
	bool self, leader, reachable;
	uint64_t match, applied, tree_size; /* as last heard */
	int64_t clock_offset_ms;            /* peer minus self */
	uint64_t heard_ms_ago;
	bool issuing; /* its issuer signs */
};

struct front_crl { /* the last good one of an issuer */
	char issuer[CA_NAME_MAX + 1];
	enum ca_issuer_state state;
	uint64_t number; /* 0: none yet */
	uint64_t this_s, next_s, entries;
	bool due; /* there is something that it does not list yet */
};

struct front_status {
	char trust_domain[256], cluster[CA_NAME_MAX + 1], version[32];
	uint64_t id, leader, term, commit, applied, first_index, last_index;
	char role[16]; /* leader, follower, candidate, pre-candidate, learner */
	bool quorum;   /* a leader is known and heard from */
	struct ca_head head;
	uint64_t issued; /* certificates released by this process */
	uint64_t uptime_s;
	char issuing_why[200]; /* empty if this node's issuer signs */
	struct front_member members[64];
	size_t members_n;
	struct front_crl crls[64];
	size_t crls_n;
	char alarms[8][200];
	size_t alarms_n;
};

struct front_ops {
	void *ctx;
	/* The newest view, referenced for the caller; NULL before Genesis is
	 * applied here.  Any thread. */
	struct ca_view *(*view)(void *ctx);
	/* Any thread; does not block. */
	void (*issue)(void *ctx, const struct front_issue *req,
	    front_issue_done *done, void *arg);
	/* signed_msg: Signed bytes as the operator sent them, decoded once
	 * already.  Any thread; does not block. */
	void (*admin)(void *ctx, struct span signed_msg, front_admin_done *done,
	    void *arg);
	enum code (*transfer)(void *ctx, uint64_t to, struct err *e);
	/* A short read transaction: *ca lives until read_end on the same
	 * thread.  linearizable: after everything acknowledged before the call
	 * (blocks up to 2 s; E_UNAVAILABLE without a quorum). */
	enum code (*read_begin)(void *ctx, bool linearizable, struct ca **ca,
	    void **token, struct err *e);
	void (*read_end)(void *ctx, void *token);
	void (*status)(void *ctx, struct front_status *out);
	/* How long this node has not been in touch with a quorum, milliseconds:
	 * what it serves may be that old.  Any thread. */
	uint64_t (*age_ms)(void *ctx);
	/* publish.dir shows the state up to this index; UINT64_MAX: there is
	 * none.  Any thread. */
	uint64_t (*published)(void *ctx);
	/* This node's clock is wrong, as far as it knows: whether a token has
	 * expired is not for it to say.  Any thread. */
	bool (*clock_off)(void *ctx);
	/* E_OK, or the reason this node is not ready, one per line. */
	enum code (*ready)(void *ctx, struct buf *why);
	/* Ed25519 signature of a tree head by this node's log key; 64 bytes. */
	enum code (*sign_head)(
	    void *ctx, struct span head, uint8_t sig[64], struct err *e);
};

struct front_config {
	const char *listen; /* an IP address */
	uint16_t grpc_port, https_port, http_port, metrics_port;
	unsigned threads; /* gRPC threads; 0: one a core, at most 4 */
};

struct front;
/* Listens on the metrics port at once (healthz, readyz, metrics), on the others
 * when a certificate is there (front_set_tls).  Starts its threads. */
enum code front_start(struct front **out, const struct front_config *c,
    const struct front_ops *ops, struct err *e) MUST_CHECK;
/* Certificate chain and key of the API, PEM; the first call opens the TLS
 * ports, later ones are used for new connections.  Any thread. */
enum code front_set_tls(struct front *f, struct span chain_pem,
    struct span key_pem, struct err *e) MUST_CHECK;
/* Two-step GOAWAY, at most drain_ms for requests under way, then the threads
 * end.  Frees f. */
void front_stop(struct front *f, unsigned drain_ms);

#endif
