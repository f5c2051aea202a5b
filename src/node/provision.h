/* provision.h -- a node's data directory: made whole or not at all, read at
 * start.
 *
 *   DIR (0700)        node.yaml  root.pem  genesis.bin (entry 1, exact bytes)
 *                     api.pem (chain, once issued)  peers.json (from the join)
 *                     join.json (while the node waits to be approved)
 *   DIR/keys (0700)   mesh.key  seal.key  signer.sealed  api.key  (all 0600)
 *   DIR/raft, state   the raft log and the state (src/store)
 *   ADMIN (0700)      root.key (sealed)  root.pem  operator.key  operator.pem
 *                     servers  trust-domain  tokens/ */
#ifndef QUORATE_NODE_PROVISION_H
#define QUORATE_NODE_PROVISION_H

#include "ca/ca.h"
#include "node/config.h"

#define PROVISION_PASSPHRASE_MIN 8
#define PROVISION_SECRET_LEN 32
#define PROVISION_ISSUER_LIFE_S (365ULL * 86400)

/* What the file and folder names are; joined to DIR with fs_join. */
#define PROVISION_CONFIG "node.yaml"
#define PROVISION_GENESIS "genesis.bin"
#define PROVISION_ROOT "root.pem"
#define PROVISION_API_CERT "api.pem"
#define PROVISION_PEERS "peers.json"
#define PROVISION_JOIN "join.json"
#define PROVISION_MESH_KEY "keys/mesh.key"
#define PROVISION_SEAL_KEY "keys/seal.key"
#define PROVISION_SIGNER "keys/signer.sealed"
#define PROVISION_API_KEY "keys/api.key"

/* ---- A new trust domain ---- */

struct provision_init {
	const char *trust_domain, *cluster, *data_dir, *admin_dir;
	const char *operator_name;
	const char *const *set; /* "key=value" rows for node.yaml */
	size_t set_n;
	struct span passphrase;    /* seals the root key */
	bool cheap;                /* less work to derive the key: tests */
	const uint64_t *settle_ms; /* NULL: policy's default */
	bool name_constraints;
	uint64_t now_ms;
};
struct provision_made {
	uint8_t root_sha256[SHA256_LEN];
	char server[300]; /* host:port of the HTTPS API */
};
/* Everything of a first node: root, issuer, operator, Genesis, raft log.  On an
 * error neither folder is left behind.  E_EXISTS: one of them is there and not
 * empty; E_INVAL names what is wrong. */
enum code provision_init(const struct provision_init *p,
    struct provision_made *out, struct err *e) MUST_CHECK;

/* ---- Joining ---- */

struct provision_join {
	const char *const *servers;
	size_t servers_n;
	const uint8_t *root_sha256;
	const char *trust_domain, *cluster, *data_dir;
	const uint8_t *secret; /* PROVISION_SECRET_LEN */
	const char *const *set;
	size_t set_n;
	bool witness; /* no issuer */
};
/* Keys and join.json of a node that asks to join.  The secret itself is not
 * written: only the MACs made with it. */
enum code provision_join(
    const struct provision_join *p, struct err *e) MUST_CHECK;

struct provision_approved {
	uint64_t id;
	struct span genesis;  /* entry 1 */
	struct span api_cert; /* PEM chain; empty: not issued yet */
	struct span peers;    /* JSON array of nodes */
};
/* Keep what the join answered.  The root in Genesis must be the pinned one, its
 * signature valid and the trust domain ours (E_DENIED).  node_id is written
 * last: a crash before leaves a node that still joins. */
enum code provision_approve(const char *dir, const struct provision_approved *a,
    struct err *e) MUST_CHECK;
/* Replace the API certificate chain. */
enum code provision_api_cert(
    const char *dir, struct span pem, struct err *e) MUST_CHECK;
/* Keep peers.json as v says, for a start that finds the state lost. */
enum code provision_peers(
    const char *dir, const struct ca_view *v, struct err *e) MUST_CHECK;

/* ---- Start-up ---- */

struct provision_peer {
	uint64_t id;
	char cluster[CA_NAME_MAX + 1];
	uint8_t mesh_key[CA_MESH_KEY_LEN];
	char mesh_address[300];
};

struct provision {
	struct config config;
	bool joining; /* node_id is still 0 */
	uint8_t mesh_secret[32], mesh_public[CA_MESH_KEY_LEN];
	struct buf genesis;           /* entry 1; empty while joining */
	struct buf root_pem;          /* empty while joining */
	struct buf api_key, api_cert; /* PEM; api_cert empty: not issued yet */
	struct provision_peer *peers;
	size_t peers_n;
	/* join.json, of a node that joins or joined: it shows who the node is
	 * to those who sign its API certificate */
	struct config_list servers;
	uint8_t root_sha256[SHA256_LEN];
	struct buf join_request; /* the body of POST /v1/join */
};
/* Read a data directory.  E_NOTFOUND: no such folder, with what to do;
 * E_DENIED: a key file others may read.  Free with provision_close. */
enum code provision_open(
    struct provision *p, const char *dir, struct err *e) MUST_CHECK;
void provision_close(struct provision *p); /* wipes the keys */

#endif
