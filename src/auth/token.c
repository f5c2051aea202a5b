/* token.c -- service-account tokens: what the claims must say. */
#include <string.h>

#include <openssl/err.h>

#include "auth/internal.h"
#include "pki/pki.h"

#define LEEWAY_S 60 /* nbf and iat only: clocks differ */
#define SUB_PREFIX "system:serviceaccount:"

/* A claim that is text; SPAN_EMPTY if it is not there. */
static struct span text_of(const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);

	if (!json_is_string(v))
		return SPAN_EMPTY;
	return span_of(json_string_value(v), json_string_length(v));
}

/* A NumericDate (RFC 7519 §2) that is not negative. */
static bool date_of(const json_t *claims, const char *name, double *out)
{
	const json_t *v = json_object_get(claims, name);

	if (!json_is_number(v))
		return false;
	*out = json_number_value(v);
	return *out >= 0;
}

static enum code check_times(
    const json_t *claims, uint64_t now_s, struct err *e)
{
	double now = (double)now_s, at;

	if (!date_of(claims, "exp", &at))
		return err_set(e, E_UNAUTH, "the token has no expiry (exp)");
	if (at <= now)
		return err_set(e, E_UNAUTH, "the token has expired");
	if (json_object_get(claims, "nbf") != NULL &&
	    (!date_of(claims, "nbf", &at) || at > now + LEEWAY_S))
		return err_set(e, E_UNAUTH, "the token is not valid yet (nbf)");
	if (json_object_get(claims, "iat") != NULL &&
	    (!date_of(claims, "iat", &at) || at > now + LEEWAY_S))
		return err_set(
		    e, E_UNAUTH, "the token was issued in the future (iat)");
	return E_OK;
}

static bool audience_known(const struct ca_cluster *c, const json_t *aud)
{
	struct span s;

	if (!json_is_string(aud))
		return false;
	s = span_of(json_string_value(aud), json_string_length(aud));
	for (size_t i = 0; i < c->audiences_n; i++)
		if (span_eq(c->audiences[i], s))
			return true;
	return false;
}

/* RFC 7519 §4.1.3: text, or a list of which one is enough. */
static enum code check_audience(
    const struct ca_cluster *c, const json_t *claims, struct err *e)
{
	const json_t *aud = json_object_get(claims, "aud");
	bool ok = audience_known(c, aud);

	for (size_t i = 0; !ok && i < json_array_size(aud); i++)
		ok = audience_known(c, json_array_get(aud, i));
	if (ok)
		return E_OK;
	return err_set(e, E_UNAUTH,
	    "the token's audience is not one that cluster \"%.*s\" registered",
	    (int)c->name.len, (const char *)c->name.p);
}

static enum code check_cluster(const struct ca_cluster *c, const json_t *claims,
    struct span clusterid, struct err *e)
{
	bool ok = clusterid.len == 0 || span_eq(clusterid, c->name);

	for (size_t i = 0; !ok && i < c->aliases_n; i++)
		ok = span_eq(clusterid, c->aliases[i]);
	if (!ok)
		return err_set(e, E_UNAUTH,
		    "the token is of cluster \"%.*s\", and the clusterid "
		    "header names another",
		    (int)c->name.len, (const char *)c->name.p);
	if (c->issuer.len != 0 && !span_eq(text_of(claims, "iss"), c->issuer))
		return err_set(e, E_UNAUTH,
		    "the token's issuer (iss) is not the one that cluster "
		    "\"%.*s\" registered",
		    (int)c->name.len, (const char *)c->name.p);
	return E_OK;
}

static bool label_byte(uint8_t b)
{
	return (b >= 'a' && b <= 'z') || (b >= '0' && b <= '9') || b == '-';
}

/* RFC 1123 label, as Kubernetes restricts it: lower case. */
static bool label_valid(struct span s)
{
	if (s.len == 0 || s.len > 63 || s.p[0] == '-' || s.p[s.len - 1] == '-')
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!label_byte(s.p[i]))
			return false;
	return true;
}

/* RFC 1123 subdomain: labels with dots between. */
static bool subdomain_valid(struct span s)
{
	if (s.len > 253)
		return false;
	for (;;) {
		const uint8_t *dot =
		    s.len == 0 ? NULL : memchr(s.p, '.', s.len);
		size_t n = dot == NULL ? s.len : (size_t)(dot - s.p);

		if (!label_valid(span_of(s.p, n)))
			return false;
		if (dot == NULL)
			return true;
		s = span_of(s.p + n + 1, s.len - n - 1);
	}
}

/* A pod's UID: opaque, but short and printable. */
static bool uid_valid(struct span s)
{
	if (s.len == 0 || s.len > 63)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return true;
}

/* system:serviceaccount:NS:SA */
static bool parse_subject(struct span sub, struct span *ns, struct span *sa)
{
	const size_t skip = sizeof(SUB_PREFIX) - 1;
	const uint8_t *colon;

	if (sub.len <= skip || memcmp(sub.p, SUB_PREFIX, skip) != 0)
		return false;
	sub = span_of(sub.p + skip, sub.len - skip);
	colon = memchr(sub.p, ':', sub.len);
	if (colon == NULL)
		return false;
	*ns = span_of(sub.p, (size_t)(colon - sub.p));
	*sa = span_of(colon + 1, sub.len - ns->len - 1);
	return label_valid(*ns) && subdomain_valid(*sa);
}

static void put_text(char *out, size_t size, struct span s)
{
	size_t n = s.len < size ? s.len : size - 1;

	if (n > 0)
		memcpy(out, s.p, n);
	out[n] = '\0';
}

/* sub, and the private claims a bound token has (ARCHITECTURE §5). */
static enum code take_subject(
    const json_t *claims, struct auth_identity *out, struct err *e)
{
	const json_t *k8s = json_object_get(claims, "kubernetes.io");
	const json_t *pod = json_object_get(k8s, "pod");
	struct span sub = text_of(claims, "sub"), ns, sa;
	struct span pod_name = text_of(pod, "name");
	struct span pod_uid = text_of(pod, "uid");

	if (!parse_subject(sub, &ns, &sa))
		return err_set(e, E_UNAUTH,
		    "the token's subject is not " SUB_PREFIX "NAMESPACE:NAME");
	if (!span_eq(text_of(k8s, "namespace"), ns) ||
	    !span_eq(
		text_of(json_object_get(k8s, "serviceaccount"), "name"), sa))
		return err_set(e, E_UNAUTH,
		    "the token's kubernetes.io claims do not agree with its "
		    "subject");
	if (!subdomain_valid(pod_name) || !uid_valid(pod_uid))
		return err_set(e, E_UNAUTH,
		    "the token is not bound to a pod (kubernetes.io/pod): use "
		    "a projected service-account token");
	put_text(out->ns, sizeof(out->ns), ns);
	put_text(out->sa, sizeof(out->sa), sa);
	put_text(out->requester, sizeof(out->requester), sub);
	put_text(out->pod_name, sizeof(out->pod_name), pod_name);
	put_text(out->pod_uid, sizeof(out->pod_uid), pod_uid);
	return E_OK;
}

static enum code take_uri(
    const struct ca_view *v, struct auth_identity *out, struct err *e)
{
	struct buf uri;
	enum code rc;

	buf_init(&uri);
	rc = pki_spiffe_format(
	    &uri, v->trust_domain, span_str(out->ns), span_str(out->sa), e);
	if (rc == E_OK && uri.len > CA_URI_MAX)
		rc = err_set(e, E_UNAUTH, "the identity is too long");
	if (rc == E_OK)
		put_text(out->uri, sizeof(out->uri), buf_span(&uri));
	buf_free(&uri);
	return rc;
}

static enum code check_claims(const struct auth_keys *k,
    const struct ca_cluster *c, const json_t *claims, struct span clusterid,
    uint64_t now_s, struct auth_identity *out, struct err *e)
{
	enum code rc;

	if ((rc = check_times(claims, now_s, e)) != E_OK ||
	    (rc = check_cluster(c, claims, clusterid, e)) != E_OK ||
	    (rc = check_audience(c, claims, e)) != E_OK ||
	    (rc = take_subject(claims, out, e)) != E_OK ||
	    (rc = take_uri(keys_view(k), out, e)) != E_OK)
		return rc;
	out->via = CA_VIA_TOKEN;
	put_text(out->cluster, sizeof(out->cluster), c->name);
	if (!ca_namespace_allowed(c, span_str(out->ns)))
		return err_set(e, E_DENIED,
		    "namespace \"%s\" is not cluster \"%s\"'s to give", out->ns,
		    out->cluster);
	return E_OK;
}

enum code auth_token(const struct auth_keys *k, struct span token,
    struct span clusterid, uint64_t now_s, struct auth_identity *out,
    struct err *e)
{
	const struct ca_cluster *c;
	json_t *claims = NULL;
	struct jwt j;
	enum code rc;

	*out = (struct auth_identity){0};
	if ((rc = jwt_parse(token, &j, e)) != E_OK)
		return rc;
	c = keys_verify(k, &j);
	if (c == NULL) {
		rc = err_set(e, E_UNAUTH,
		    "no registered key of any cluster verifies the token");
	} else {
		rc = jwt_claims(&j, &claims, e);
		if (rc == E_OK)
			rc = check_claims(
			    k, c, claims, clusterid, now_s, out, e);
	}
	json_decref(claims);
	jwt_free(&j);
	ERR_clear_error(); /* of keys that did not verify */
	return rc;
}
