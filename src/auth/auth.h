/* auth.h -- who is asking: service-account tokens checked offline against the
 * keys of every cluster, and client certificates.  Reentrant; any thread. */
#ifndef QUORATE_AUTH_AUTH_H
#define QUORATE_AUTH_AUTH_H

#include <openssl/ssl.h>

#include "ca/ca.h"

/* The token keys of a view, parsed once.  Immutable; references the view. */
struct auth_keys;
enum code auth_keys_make(
    struct ca_view *view, struct auth_keys **out, struct err *e) MUST_CHECK;
struct auth_keys *auth_keys_ref(struct auth_keys *k);
void auth_keys_unref(struct auth_keys *k); /* NULL is fine */

struct auth_identity {
	enum ca_via via;
	char cluster[CA_NAME_MAX + 1];
	char ns[64], sa[254];
	char uri[CA_URI_MAX + 1]; /* the SPIFFE ID */
	char requester[CA_URI_MAX + 1];
	char pod_name[254], pod_uid[64];
	uint8_t parent[CA_SERIAL_LEN]; /* CA_VIA_CERT */
};

/* A bearer token (RFC 7519), checked as ARCHITECTURE §5 says: the key that
 * verifies decides the cluster; clusterid (may be empty) must agree; fixed
 * algorithms; exp, nbf, aud, kubernetes.io claims.  E_UNAUTH with a reason fit
 * for the caller; E_DENIED if the namespace is not the cluster's to give. */
enum code auth_token(const struct auth_keys *k, struct span token,
    struct span clusterid, uint64_t now_s, struct auth_identity *out,
    struct err *e) MUST_CHECK;

/* A workload's client certificate: verified chain to the root of the view, one
 * SPIFFE URI.  E_UNAUTH. */
enum code auth_client_cert(const struct ca_view *view, SSL *ssl,
    struct auth_identity *out, struct err *e) MUST_CHECK;

/* The operator whose registered key the peer's certificate carries; the
 * certificate itself may be self-signed.  E_UNAUTH: no certificate; E_DENIED:
 * not registered, or none of the roles.  *out borrows from view. */
enum code auth_operator(const struct ca_view *view, SSL *ssl, uint32_t roles,
    const struct ca_operator **out, struct err *e) MUST_CHECK;

#endif
