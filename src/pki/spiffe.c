/* spiffe.c -- SPIFFE IDs of workloads: spiffe://TD/ns/NS/sa/SA. */
#include "pki/pki.h"

#include <string.h>

#define TRUST_DOMAIN_MAX 255 /* SPIFFE-ID §2.3 */
#define LABEL_MAX 63         /* RFC 1035 §2.3.4 */
#define SUBDOMAIN_MAX 253

static bool is_lower_or_digit(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* SPIFFE-ID §2.1: lower-case letters, digits, dots, dashes, underscores. */
enum code pki_trust_domain_check(struct span td, struct err *e)
{
	if (td.len == 0)
		return err_set(e, E_INVAL, "the trust domain is empty");
	if (td.len > TRUST_DOMAIN_MAX)
		return err_set(e, E_INVAL,
		    "the trust domain has %zu characters, at most %d", td.len,
		    TRUST_DOMAIN_MAX);
	for (size_t i = 0; i < td.len; i++)
		if (!is_lower_or_digit(td.p[i]) && td.p[i] != '.' &&
		    td.p[i] != '-' && td.p[i] != '_')
			return err_set(e, E_INVAL,
			    "the trust domain may hold a-z, 0-9, '.', '-' and "
			    "'_' only");
	return E_OK;
}

/* A DNS label in lower case (RFC 1123 §2.1). */
static bool is_label(struct span s)
{
	if (s.len == 0 || s.len > LABEL_MAX || s.p[0] == '-' ||
	    s.p[s.len - 1] == '-')
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!is_lower_or_digit(s.p[i]) && s.p[i] != '-')
			return false;
	return true;
}

/* Take what stands before the next separator (or all) off the front. */
static struct span next_part(struct span *s, char separator)
{
	const uint8_t *end =
	    s->len > 0 ? memchr(s->p, separator, s->len) : NULL;
	struct span part = *s;

	if (end == NULL) {
		*s = SPAN_EMPTY;
		return part;
	}
	part.len = (size_t)(end - s->p);
	*s = span_of(end + 1, s->len - part.len - 1);
	return part;
}

/* Labels with dots between them: the name of a service account. */
static bool is_subdomain(struct span s)
{
	if (s.len == 0 || s.len > SUBDOMAIN_MAX || s.p[s.len - 1] == '.')
		return false;
	while (s.len > 0)
		if (!is_label(next_part(&s, '.')))
			return false;
	return true;
}

static enum code check_account(struct span ns, struct span sa, struct err *e)
{
	if (!is_label(ns))
		return err_set(e, E_INVAL,
		    "the namespace of a SPIFFE ID must be a DNS label");
	if (!is_subdomain(sa))
		return err_set(e, E_INVAL,
		    "the service account of a SPIFFE ID must be a DNS name in "
		    "lower case");
	return E_OK;
}

enum code pki_spiffe_parse(
    struct span uri, struct pki_spiffe *out, struct err *e)
{
	static const char scheme[] = "spiffe://";
	const size_t n = sizeof(scheme) - 1;
	struct span rest, ns_word, sa_word;
	enum code rc;

	if (uri.len < n || memcmp(uri.p, scheme, n) != 0)
		return err_set(
		    e, E_INVAL, "a SPIFFE ID begins with %s", scheme);
	if (uri.len > CA_URI_MAX)
		return err_set(e, E_INVAL,
		    "the SPIFFE ID has %zu characters, at most %d", uri.len,
		    CA_URI_MAX);
	rest = span_of(uri.p + n, uri.len - n);
	out->trust_domain = next_part(&rest, '/');
	ns_word = next_part(&rest, '/');
	out->ns = next_part(&rest, '/');
	sa_word = next_part(&rest, '/');
	out->sa = rest; /* a further slash is no part of a DNS name */
	rc = pki_trust_domain_check(out->trust_domain, e);
	if (rc == E_OK &&
	    (!span_eq_str(ns_word, "ns") || !span_eq_str(sa_word, "sa")))
		rc = err_set(e, E_INVAL,
		    "the SPIFFE ID is not spiffe://TRUST-DOMAIN/ns/NAMESPACE/"
		    "sa/SERVICE-ACCOUNT");
	return rc == E_OK ? check_account(out->ns, out->sa, e) : rc;
}

enum code pki_spiffe_format(struct buf *out, struct span td, struct span ns,
    struct span sa, struct err *e)
{
	enum code rc = pki_trust_domain_check(td, e);

	if (rc == E_OK)
		rc = check_account(ns, sa, e);
	if (rc != E_OK)
		return rc;
	buf_add_str(out, "spiffe://");
	buf_add_span(out, td);
	buf_add_str(out, "/ns/");
	buf_add_span(out, ns);
	buf_add_str(out, "/sa/");
	buf_add_span(out, sa);
	return buf_check(out, e);
}
