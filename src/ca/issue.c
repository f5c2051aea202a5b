/* issue.c -- IssueCertificate: what only the log knows. */
#include <arpa/inet.h>
#include <string.h>

#include "ca/internal.h"

struct issuing {
	struct ca *ca;
	const struct ca_entry *en;
	const struct ca_issue *i;
	const struct ca_view *v;
	struct ca_result *out;
	uint64_t now_ms, token_ms;
	struct span pod; /* the UID, the parent's for a renewal */
};

static bool refused(const struct ca_result *out)
{
	return out->outcome != CA_OK;
}

/* The same serial: the same record again, or somebody else's. */
static enum code check_serial(
    const struct issuing *s, struct span raw, struct err *e)
{
	struct ca_record rec;
	enum code rc;

	if ((s->i->serial[0] & 0xc0) != 0x40)
		return refuse(
		    s->out, CA_BAD_FORMAT, "the serial's top bits are not 01");
	rc = ca_record_by_serial(s->ca, s->i->serial, &rec, e);
	if (rc == E_NOTFOUND)
		return E_OK;
	if (rc != E_OK)
		return rc;
	if (span_eq(rec.raw, raw))
		return refuse(s->out, CA_REPEATED, "%s", "");
	return refuse(s->out, CA_SERIAL_USED,
	    "the serial belongs to another certificate; ask again");
}

/* Does the issuer sign now, and is it the proposer's own? */
static enum code check_issuer(const struct issuing *s)
{
	const struct ca_issuer *is = ca_view_issuer(s->v, s->i->issuer);
	const struct ca_node *n = ca_view_node(s->v, s->en->proposer);
	uint64_t settle_ms = s->v->policy.issuer_settle_ms;

	if (is == NULL)
		return refuse(s->out, CA_ISSUER_NOT_ACTIVE,
		    "the issuer is not registered");
	/* Others issue: the client shall go on to them. */
	if (n != NULL && n->removed)
		return refuse(s->out, CA_ISSUER_NOT_ACTIVE,
		    "node %llu was removed by an operator",
		    (unsigned long long)s->en->proposer);
	if (n == NULL || is->node != s->en->proposer)
		return refuse(s->out, CA_NOT_ALLOWED,
		    "node %llu has no right to this issuer",
		    (unsigned long long)s->en->proposer);
	if (is->state != CA_ISSUER_ACTIVE)
		return refuse(s->out, CA_ISSUER_NOT_ACTIVE,
		    "issuer \"%.*s\" is retired or revoked", (int)is->name.len,
		    (const char *)is->name.p);
	/* The first issuer has nobody to wait for. */
	if (is->added_ms != s->v->genesis_ms &&
	    s->now_ms - is->added_ms < settle_ms)
		return refuse(s->out, CA_ISSUER_NOT_ACTIVE,
		    "issuer \"%.*s\" settles for another %llu s",
		    (int)is->name.len, (const char *)is->name.p,
		    (unsigned long long)(settle_ms -
					 (s->now_ms - is->added_ms) + 999) /
			1000);
	if (s->i->not_after_s > is->not_after_s ||
	    s->i->not_before_s < is->not_before_s)
		return refuse(s->out, CA_NOT_ALLOWED,
		    "the certificate would outlive its issuer");
	return E_OK;
}

static enum code check_life(const struct issuing *s)
{
	uint64_t max_s = s->i->profile == CA_PROFILE_WORKLOAD
			     ? s->v->policy.ttl_max_s
			     : CA_LEAF_LIFE_MAX_S;

	if (s->i->not_before_s >= s->i->not_after_s)
		return refuse(s->out, CA_BAD_FORMAT,
		    "notAfter does not come after notBefore");
	if (s->i->not_after_s > s->now_ms / 1000 + max_s + 1)
		return refuse(s->out, CA_NOT_ALLOWED,
		    "the certificate would live longer than %llu s",
		    (unsigned long long)max_s);
	return E_OK;
}

/* The rest of s after prefix; false if it does not begin so. */
static bool skip(struct span *s, struct span prefix)
{
	if (s->len < prefix.len || memcmp(s->p, prefix.p, prefix.len) != 0)
		return false;
	*s = span_of(s->p + prefix.len, s->len - prefix.len);
	return true;
}

/* RFC 1123 §2.1 in lower case: what Kubernetes calls a service account. */
static bool subdomain_valid(struct span s)
{
	if (s.len > 253)
		return false;
	for (;;) {
		const uint8_t *dot =
		    s.len == 0 ? NULL : memchr(s.p, '.', s.len);
		struct span label =
		    span_of(s.p, dot == NULL ? s.len : (size_t)(dot - s.p));

		if (!name_valid(label))
			return false;
		if (dot == NULL)
			return true;
		s = span_of(dot + 1, s.len - label.len - 1);
	}
}

/* spiffe://TD/ns/NS/sa/SA: ns borrows from uri. */
static bool workload_ns(
    struct span uri, struct span trust_domain, struct span *ns)
{
	const uint8_t *slash;

	if (!skip(&uri, span_str("spiffe://")) || !skip(&uri, trust_domain) ||
	    !skip(&uri, span_str("/ns/")))
		return false;
	slash = memchr(uri.p, '/', uri.len);
	if (slash == NULL)
		return false;
	*ns = span_of(uri.p, (size_t)(slash - uri.p));
	uri = span_of(slash, uri.len - ns->len);
	return name_valid(*ns) && skip(&uri, span_str("/sa/")) &&
	       subdomain_valid(uri);
}

static enum code check_workload(const struct issuing *s)
{
	const struct ca_cluster *c = ca_view_cluster(s->v, s->i->cluster);
	struct span ns;

	if (!workload_ns(s->i->uri, s->v->trust_domain, &ns))
		return refuse(s->out, CA_NOT_ALLOWED,
		    "the identity is not a workload of this trust domain");
	if (s->i->dns_n != 0 || s->i->ip_n != 0 || s->i->common_name.len != 0)
		return refuse(s->out, CA_NOT_ALLOWED,
		    "a workload has its SPIFFE ID and no other name");
	if (s->i->via != CA_VIA_TOKEN && s->i->via != CA_VIA_CERT)
		return refuse(s->out, CA_NOT_ALLOWED,
		    "a workload proves itself by token or certificate");
	if (!cluster_serves(c))
		return refuse(s->out, CA_NOT_ALLOWED,
		    "cluster \"%.*s\" is not registered",
		    (int)s->i->cluster.len, (const char *)s->i->cluster.p);
	if (!ca_namespace_allowed(c, ns))
		return refuse(s->out, CA_NOT_ALLOWED,
		    "namespace \"%.*s\" is not cluster \"%.*s\"'s to give",
		    (int)ns.len, (const char *)ns.p, (int)c->name.len,
		    (const char *)c->name.p);
	return E_OK;
}

/* Is ip (4 or 16 octets) among a node's addresses? */
static bool node_has_ip(const struct ca_node *n, struct span ip)
{
	char text[64];
	uint8_t octets[16];

	for (size_t i = 0; i < n->api_addresses_n; i++) {
		struct span a = n->api_addresses[i];

		if (a.len >= sizeof(text))
			continue;
		memcpy(text, a.p, a.len);
		text[a.len] = '\0';
		if (inet_pton(ip.len == 4 ? AF_INET : AF_INET6, text, octets) ==
			1 &&
		    memcmp(octets, ip.p, ip.len) == 0)
			return true;
	}
	return false;
}

static bool node_has_name(const struct ca_node *n, struct span name)
{
	for (size_t i = 0; i < n->api_addresses_n; i++)
		if (span_eq(n->api_addresses[i], name))
			return true;
	return false;
}

/* A node's API certificate: the key and names its SetNode record gave. */
static enum code check_node(const struct issuing *s)
{
	const struct ca_node *n = NULL;

	for (size_t k = 0; k < s->v->nodes_n; k++)
		if (!s->v->nodes[k].removed &&
		    span_eq(s->v->nodes[k].api_spki, s->i->spki))
			n = &s->v->nodes[k];
	if (n == NULL || s->i->via != CA_VIA_NODE || s->i->uri.len != 0)
		return refuse(s->out, CA_NOT_ALLOWED,
		    "no node is registered with this API key");
	if (s->i->common_name.len != 0 &&
	    !node_has_name(n, s->i->common_name) &&
	    !span_eq(s->i->common_name, n->cluster))
		return refuse(s->out, CA_NOT_ALLOWED,
		    "the subject is not a name of node %llu",
		    (unsigned long long)n->id);
	for (size_t k = 0; k < s->i->dns_n; k++)
		if (!node_has_name(n, s->i->dns[k]))
			return refuse(s->out, CA_NOT_ALLOWED,
			    "\"%.*s\" is not a name of node %llu",
			    (int)s->i->dns[k].len, (const char *)s->i->dns[k].p,
			    (unsigned long long)n->id);
	for (size_t k = 0; k < s->i->ip_n; k++)
		if (!node_has_ip(n, s->i->ip[k]))
			return refuse(s->out, CA_NOT_ALLOWED,
			    "an address is not one of node %llu's",
			    (unsigned long long)n->id);
	return E_OK;
}

static enum code check_profile(const struct issuing *s)
{
	switch (s->i->profile) {
	case CA_PROFILE_WORKLOAD: return check_workload(s);
	case CA_PROFILE_NODE: return check_node(s);
	case CA_PROFILE_ISTIOD:
	case CA_PROFILE_GATEWAY: break;
	}
	return refuse(
	    s->out, CA_NOT_ALLOWED, "this kind of certificate is not issued");
}

/* By itself, or with its issuer?  E_NOTFOUND: no. */
static enum code parent_revoked(
    const struct issuing *s, const struct record_row *parent, struct err *e)
{
	const struct ca_issuer *is;
	struct ca_revoked revoked;

	if (parent->issuer.len != CA_KEY_ID_LEN)
		return err_set(e, E_CORRUPT, "a record without its issuer");
	is = ca_view_issuer(s->v, parent->issuer.p);
	if (is != NULL && is->state == CA_ISSUER_REVOKED)
		return E_OK;
	return ca_revoked_get(
	    s->ca, parent->issuer.p, s->i->parent, &revoked, e);
}

/* A renewal: the parent is ours, of the same identity, and goes back to a token
 * not too long ago. */
static enum code check_parent(struct issuing *s, struct err *e)
{
	struct record_row parent;
	struct ca_record rec;
	enum code rc;

	s->token_ms = s->now_ms;
	s->pod = s->i->pod_uid;
	if (s->i->has_parent != (s->i->via == CA_VIA_CERT))
		return refuse(s->out, CA_BAD_FORMAT,
		    "a renewal, and only a renewal, names its parent");
	if (!s->i->has_parent)
		return E_OK;
	rc = ca_record_by_serial(s->ca, s->i->parent, &rec, e);
	if (rc == E_NOTFOUND)
		return refuse(s->out, CA_NOT_FOUND,
		    "the certificate shown was not issued here");
	if (rc != E_OK)
		return rc;
	if ((rc = record_row_get(s->ca, rec.index, &parent, e)) != E_OK)
		return rc;
	rc = parent_revoked(s, &parent, e);
	if (rc == E_OK)
		return refuse(s->out, CA_PARENT_REVOKED,
		    "the certificate shown is revoked: ask with a token");
	if (rc != E_NOTFOUND)
		return rc;
	/* Then its revocation may have left the state again. */
	if (parent.not_after_s < s->now_ms / 1000)
		return refuse(s->out, CA_NOT_ALLOWED,
		    "the certificate shown has expired: ask with a token");
	if (!span_eq(parent.identity, s->i->uri))
		return refuse(s->out, CA_NOT_ALLOWED,
		    "the certificate shown is of another identity");
	if (s->now_ms - parent.token_ms > s->v->policy.renew_max_s * 1000)
		return refuse(s->out, CA_NOT_ALLOWED,
		    "renewed for %llu s without a token: show one",
		    (unsigned long long)s->v->policy.renew_max_s);
	s->token_ms = parent.token_ms;
	/* A row's bytes live until the next write. */
	buf_clear(&s->ca->pod);
	buf_add_span(&s->ca->pod, parent.pod);
	s->pod = buf_span(&s->ca->pod);
	return buf_check(&s->ca->pod, e);
}

#define HOUR_MS 3600000ULL
#define QUOTA_KEY_LEN (8 + SHA256_LEN)

/* Hours that have passed count no more. */
static enum code quota_prune(struct ca *ca, uint64_t hour, struct err *e)
{
	uint8_t at[QUOTA_KEY_LEN];
	struct span key, val;
	enum code rc;

	while ((rc = ca->db.ops->seek(ca->db.ctx, CA_T_QUOTA, SPAN_EMPTY, false,
		    &key, &val, e)) == E_OK) {
		if (key.len != sizeof(at))
			return err_set(e, E_CORRUPT, "a quota row's key");
		memcpy(at, key.p, sizeof(at));
		if (get_u64be(at) >= hour)
			return E_OK;
		rc = state_del(ca, CA_T_QUOTA, span_of(at, sizeof(at)), e);
		if (rc != E_OK)
			return rc;
	}
	return rc == E_NOTFOUND ? E_OK : rc;
}

static enum code quota_take(const struct issuing *s, char scope,
    struct span who, uint64_t limit, struct err *e)
{
	uint8_t key[QUOTA_KEY_LEN], count[8];
	struct sha256 h;
	struct span val;
	uint64_t used = 0;
	enum code rc;

	if (limit == 0 || refused(s->out))
		return E_OK;
	if ((rc = quota_prune(s->ca, s->now_ms / HOUR_MS, e)) != E_OK)
		return rc;
	put_u64be(key, s->now_ms / HOUR_MS);
	sha256_init(&h);
	sha256_add(&h, &scope, 1);
	sha256_add(&h, who.p, who.len);
	sha256_end(&h, key + 8);
	rc = state_get(s->ca, CA_T_QUOTA, span_of(key, sizeof(key)), &val, e);
	if (rc == E_OK && val.len == 8)
		used = get_u64be(val.p);
	else if (rc != E_NOTFOUND)
		return rc == E_OK ? err_set(e, E_CORRUPT, "a quota row") : rc;
	if (used >= limit)
		return refuse(s->out, CA_QUOTA,
		    "%s has had its %llu certificates of this hour",
		    scope == 'c' ? "the cluster" : "the identity",
		    (unsigned long long)limit);
	put_u64be(count, used + 1);
	return state_put(s->ca, CA_T_QUOTA, span_of(key, sizeof(key)),
	    span_of(count, sizeof(count)), e);
}

static enum code take_quotas(const struct issuing *s, struct err *e)
{
	const struct ca_policy *p = &s->v->policy;
	enum code rc;

	if (s->i->profile != CA_PROFILE_WORKLOAD)
		return E_OK;
	rc = quota_take(s, 'c', s->i->cluster, p->quota_cluster_per_h, e);
	if (rc == E_OK)
		rc = quota_take(s, 'i', s->i->uri, p->quota_identity_per_h, e);
	return rc;
}

enum code apply_issue(struct ca *ca, const struct ca_entry *en, struct span raw,
    struct record_row *row, struct ca_result *out, struct err *e)
{
	struct issuing s = {.ca = ca,
	    .en = en,
	    .i = &en->u.issue,
	    .out = out,
	    .now_ms = ca->meta.time_ms};
	enum code rc;

	if ((rc = ca_small(ca, &s.v, e)) != E_OK ||
	    (rc = check_serial(&s, raw, e)) != E_OK || refused(out))
		return rc;
	if (s.i->policy_version != s.v->policy.version)
		return refuse(out, CA_POLICY_CHANGED,
		    "policy has changed to version %llu; ask again",
		    (unsigned long long)s.v->policy.version);
	if ((rc = check_issuer(&s)) != E_OK || refused(out) ||
	    (rc = check_life(&s)) != E_OK || refused(out) ||
	    (rc = check_profile(&s)) != E_OK || refused(out) ||
	    (rc = check_parent(&s, e)) != E_OK || refused(out) ||
	    (rc = block_check(ca, s.i->uri, s.pod, out, e)) != E_OK ||
	    refused(out))
		return rc;
	state_journal(ca); /* one quota may be taken and the next be spent */
	if ((rc = take_quotas(&s, e)) != E_OK)
		return rc;
	if (refused(out))
		return state_undo(ca, e);
	state_keep(ca);
	row->serial = span_of(s.i->serial, CA_SERIAL_LEN);
	row->identity = s.i->uri.len != 0 ? s.i->uri : s.i->common_name;
	row->token_ms = s.token_ms;
	row->issuer = span_of(s.i->issuer, CA_KEY_ID_LEN);
	row->not_after_s = s.i->not_after_s;
	row->pod = s.pod;
	if (s.i->has_parent)
		row->parent = span_of(s.i->parent, CA_SERIAL_LEN);
	return E_OK;
}

/* A row without a value: prefix ‖ raft index. */
static enum code index_put(ca_row_fn *put, void *arg, enum ca_table t,
    struct span prefix, uint64_t index, struct err *e)
{
	uint8_t key[SHA256_LEN + 8];

	memcpy(key, prefix.p, prefix.len);
	put_u64be(key + prefix.len, index);
	return put(arg, t, span_of(key, prefix.len + 8), SPAN_EMPTY, e);
}

enum code derived_rows(
    const struct record_row *row, ca_row_fn *put, void *arg, struct err *e)
{
	uint64_t index = row->record.index;
	uint8_t at[8], hash[SHA256_LEN];
	enum code rc;

	put_u64be(at, index);
	if (row->serial.len == 0)
		return row->record.outcome != CA_OK
			   ? E_OK
			   : put(arg, CA_T_OTHER, span_of(at, sizeof(at)),
				 SPAN_EMPTY, e);
	rc = put(arg, CA_T_SERIAL, row->serial, span_of(at, sizeof(at)), e);
	if (rc == E_OK) {
		sha256_of(hash, row->identity);
		rc = index_put(put, arg, CA_T_IDENTITY,
		    span_of(hash, SHA256_LEN), index, e);
	}
	if (rc == E_OK && row->parent.len == CA_SERIAL_LEN)
		rc = index_put(put, arg, CA_T_CHILD, row->parent, index, e);
	if (rc == E_OK && row->pod.len != 0) {
		sha256_of(hash, row->pod);
		rc = index_put(
		    put, arg, CA_T_POD, span_of(hash, SHA256_LEN), index, e);
	}
	return rc;
}
