/* leaf.c -- one leaf: is it this signer's to give, and then its signature.
 * Nothing that comes from the front is parsed as DER: a key must begin, byte by
 * byte, like one of the kinds that are signed for. */
#include <arpa/inet.h>
#include <string.h>

#include "signer/internal.h"

#define LEAF_ENCODER 1

/* ---- Keys ---------------------------------------------------------------- */

#define RSA_ALGORITHM                                                          \
	0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01,      \
	    0x01, 0x01, 0x05, 0x00

static const uint8_t p256_prefix[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
static const uint8_t p384_prefix[] = {0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22, 0x03, 0x62, 0x00, 0x04};
static const uint8_t rsa2048_prefix[] = {0x30, 0x82, 0x01, 0x22, RSA_ALGORITHM,
    0x03, 0x82, 0x01, 0x0f, 0x00, 0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01,
    0x01, 0x00};
static const uint8_t rsa3072_prefix[] = {0x30, 0x82, 0x01, 0xa2, RSA_ALGORITHM,
    0x03, 0x82, 0x01, 0x8f, 0x00, 0x30, 0x82, 0x01, 0x8a, 0x02, 0x82, 0x01,
    0x81, 0x00};
static const uint8_t rsa4096_prefix[] = {0x30, 0x82, 0x02, 0x22, RSA_ALGORITHM,
    0x03, 0x82, 0x02, 0x0f, 0x00, 0x30, 0x82, 0x02, 0x0a, 0x02, 0x82, 0x02,
    0x01, 0x00};
/* publicExponent 65537, the only one whose key has these lengths. */
static const uint8_t rsa_suffix[] = {0x02, 0x03, 0x01, 0x00, 0x01};

static const struct {
	struct span prefix, suffix;
	size_t len;
} kinds[] = {
    {{p256_prefix, sizeof(p256_prefix)}, {NULL, 0}, CA_P256_SPKI_LEN},
    {{p384_prefix, sizeof(p384_prefix)}, {NULL, 0}, 120},
    {{rsa2048_prefix, sizeof(rsa2048_prefix)}, {rsa_suffix, 5}, 294},
    {{rsa3072_prefix, sizeof(rsa3072_prefix)}, {rsa_suffix, 5}, 422},
    {{rsa4096_prefix, sizeof(rsa4096_prefix)}, {rsa_suffix, 5}, 550},
};

static enum code check_key(struct span spki, struct err *e)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct span prefix = kinds[i].prefix, suffix = kinds[i].suffix;

		if (spki.len != kinds[i].len)
			continue;
		if (span_eq(span_of(spki.p, prefix.len), prefix) &&
		    span_eq(span_of(spki.p + spki.len - suffix.len, suffix.len),
			suffix))
			return E_OK;
	}
	return err_set(e, E_DENIED,
	    "the key is not P-256, P-384 or RSA of 2048, 3072 or 4096 bits "
	    "with exponent 65537");
}

/* ---- Names --------------------------------------------------------------- */

static enum code check_workload(
    const struct trust *t, const struct ca_issue *i, struct err *e)
{
	struct pki_spiffe id;

	if (i->via != CA_VIA_TOKEN && i->via != CA_VIA_CERT)
		return err_set(e, E_DENIED,
		    "a workload proves itself by token or certificate");
	if (i->dns_n != 0 || i->ip_n != 0 || i->common_name.len != 0)
		return err_set(e, E_DENIED,
		    "a workload has its SPIFFE ID and no other name");
	if (pki_spiffe_parse(i->uri, &id, e) != E_OK)
		return err_wrap(e, E_DENIED, "the workload's identity");
	if (!span_eq(id.trust_domain, buf_span(&t->trust_domain)))
		return err_set(e, E_DENIED,
		    "the identity is of another trust domain than %.*s",
		    (int)t->trust_domain.len, (const char *)t->trust_domain.p);
	return E_OK;
}

/* The next of a node's names after at; NULL past the last. */
static const char *next_name(const struct trust_node *n, const char *at)
{
	const char *end = (const char *)n->names.p + n->names.len;

	at = at == NULL ? (const char *)n->names.p : at + strlen(at) + 1;
	return at == NULL || at == end ? NULL : at;
}

static bool has_name(const struct trust_node *n, struct span name)
{
	const char *s = NULL;

	while ((s = next_name(n, s)) != NULL)
		if (span_eq_str(name, s))
			return true;
	return false;
}

static bool has_ip(const struct trust_node *n, struct span ip)
{
	int family = ip.len == 4 ? AF_INET : AF_INET6;
	uint8_t octets[16];
	const char *s = NULL;

	while ((s = next_name(n, s)) != NULL)
		if (inet_pton(family, s, octets) == 1 &&
		    memcmp(octets, ip.p, ip.len) == 0)
			return true;
	return false;
}

static const struct trust_node *node_with_key(
    const struct trust *t, struct span spki)
{
	const struct trust_node *n = NULL;

	for (size_t k = 0; k < t->nodes_n; k++)
		if (!t->nodes[k].removed &&
		    span_eq(buf_span(&t->nodes[k].api_spki), spki))
			n = &t->nodes[k];
	return n;
}

/* A node's API certificate: the key and names its SetNode record gave. */
static enum code check_node(
    const struct trust *t, const struct ca_issue *i, struct err *e)
{
	const struct trust_node *n = node_with_key(t, i->spki);

	if (n == NULL || i->via != CA_VIA_NODE || i->uri.len != 0)
		return err_set(
		    e, E_DENIED, "no node is registered with this API key");
	if (i->common_name.len != 0 && !has_name(n, i->common_name) &&
	    !span_eq_str(i->common_name, n->cluster))
		return err_set(e, E_DENIED,
		    "the subject is not a name of node %llu",
		    (unsigned long long)n->id);
	for (size_t k = 0; k < i->dns_n; k++)
		if (!has_name(n, i->dns[k]))
			return err_set(e, E_DENIED,
			    "\"%.*s\" is not a name of node %llu",
			    (int)i->dns[k].len, (const char *)i->dns[k].p,
			    (unsigned long long)n->id);
	for (size_t k = 0; k < i->ip_n; k++)
		if (!has_ip(n, i->ip[k]))
			return err_set(e, E_DENIED,
			    "an address is not one of node %llu's",
			    (unsigned long long)n->id);
	if (i->dns_n + i->ip_n == 0)
		return err_set(
		    e, E_DENIED, "a node's certificate names an address");
	return E_OK;
}

static enum code check_names(
    const struct trust *t, const struct ca_issue *i, struct err *e)
{
	switch (i->profile) {
	case CA_PROFILE_WORKLOAD: return check_workload(t, i, e);
	case CA_PROFILE_NODE: return check_node(t, i, e);
	case CA_PROFILE_ISTIOD:
	case CA_PROFILE_GATEWAY: break;
	}
	return err_set(e, E_DENIED, "this kind of certificate is not issued");
}

/* ---- Validity ------------------------------------------------------------ */

static enum code check_issuer(
    const struct trust *t, uint64_t now_s, struct err *e)
{
	const struct trust_node *n = trust_node(t, t->node);

	if (t->ended)
		return err_set(e, E_CONFLICT,
		    "this issuer is retired or revoked: it signs no leaf");
	if (!t->has_issuer)
		return err_set(e, E_CONFLICT,
		    "the root has not signed this node's issuer yet");
	if (n == NULL || n->removed)
		return err_set(
		    e, E_CONFLICT, "this node was removed from the cluster");
	if (now_s < t->not_before_s)
		return err_set(e, E_CONFLICT,
		    "the issuer is not valid yet: look at this machine's "
		    "clock");
	if (now_s + t->policy.ttl_default_s > t->not_after_s)
		return err_set(e, E_CONFLICT,
		    "less than one leaf's lifetime, %llu s, is left of this "
		    "issuer: renew it",
		    (unsigned long long)t->policy.ttl_default_s);
	return E_OK;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* i->not_after_s is what was asked for. */
static enum code set_validity(
    const struct trust *t, uint64_t now_s, struct ca_issue *i, struct err *e)
{
	uint64_t max_s = i->profile == CA_PROFILE_WORKLOAD ? t->policy.ttl_max_s
							   : CA_LEAF_LIFE_MAX_S;

	if (i->not_after_s == 0)
		i->not_after_s = now_s + t->policy.ttl_default_s;
	if (i->not_after_s <= now_s)
		return err_set(e, E_INVAL, "it would have expired already");
	i->not_after_s = smaller(i->not_after_s, now_s + max_s);
	i->not_after_s = smaller(i->not_after_s, t->not_after_s);
	i->not_before_s = now_s - CA_BACKDATE_S;
	if (i->not_before_s < t->not_before_s)
		i->not_before_s = t->not_before_s;
	return E_OK;
}

/* ---- The signature ------------------------------------------------------- */

static enum code sign(const struct trust *t, EVP_PKEY *key, struct ca_issue *i,
    struct buf *sig, struct err *e)
{
	struct pki_issuer from = {
	    .name = buf_span(&t->issuer_name), .not_after_s = t->not_after_s};
	struct buf out;
	enum code rc;

	memcpy(from.key_id, t->own, CA_KEY_ID_LEN);
	buf_init(&out);
	rc = pki_leaf_tbs(&out, i, &from, e);
	if (rc == E_OK)
		rc = pki_sign(sig, key, buf_span(&out), e);
	if (rc == E_OK && sig->len > CA_SIG_MAX)
		rc = err_set(
		    e, E_INTERNAL, "a signature of %zu bytes", sig->len);
	if (rc == E_OK) {
		i->signature = buf_span(sig);
		buf_clear(&out);
		rc = pki_leaf_der(&out, i, &from, e);
	}
	if (rc == E_OK)
		sha256_of(i->cert_sha256, buf_span(&out));
	buf_free(&out);
	return rc;
}

enum code leaf_sign(const struct trust *t, EVP_PKEY *issuer, uint64_t now_s,
    struct ca_issue *i, struct buf *sig, struct err *e)
{
	enum code rc;

	if ((i->serial[0] & 0xc0) != 0x40)
		return err_set(e, E_INVAL, "the serial's top bits are not 01");
	if ((rc = check_issuer(t, now_s, e)) != E_OK ||
	    (rc = check_key(i->spki, e)) != E_OK ||
	    (rc = check_names(t, i, e)) != E_OK ||
	    (rc = set_validity(t, now_s, i, e)) != E_OK)
		return rc;
	memcpy(i->issuer, t->own, CA_KEY_ID_LEN);
	i->encoder = LEAF_ENCODER;
	i->policy_version = t->policy.version;
	return sign(t, issuer, i, sig, e);
}
