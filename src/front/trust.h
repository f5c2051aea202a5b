/* trust.h -- what others need to trust us, as they read it: roots, SPIFFE
 * bundles, CRLs.  The same bytes for HTTP and for files. */
#ifndef QUORATE_FRONT_TRUST_H
#define QUORATE_FRONT_TRUST_H

#include "ca/ca.h"

#define TRUST_REFRESH_HINT_S 300

/* All roots of our own trust domain, PEM: the root, then those that a trust
 * bundle adds.  Appends to out. */
enum code trust_roots_pem(
    const struct ca_view *v, struct buf *out, struct err *e) MUST_CHECK;
/* Our own SPIFFE bundle (SPIFFE Trust Domain and Bundle §4), JSON. */
enum code trust_bundle_json(
    const struct ca_view *v, struct buf *out, struct err *e) MUST_CHECK;
/* Bundles of the foreign trust domains:
 * {"trust_domains": {"TD": BUNDLE, ...}}. */
enum code trust_federated_json(
    const struct ca_view *v, struct buf *out, struct err *e) MUST_CHECK;
/* The last good CRL of one issuer, DER.  E_NOTFOUND: it has none yet. */
enum code trust_crl_der(const struct ca *ca, const struct ca_view *v,
    const uint8_t issuer[CA_KEY_ID_LEN], struct buf *out,
    struct err *e) MUST_CHECK;
/* The root's CRL and that of each issuer, PEM, one after the other. */
enum code trust_crls_pem(const struct ca *ca, const struct ca_view *v,
    struct buf *out, struct err *e) MUST_CHECK;

#endif
