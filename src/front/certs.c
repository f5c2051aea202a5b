/* certs.c -- certificates as the log holds them: a list, and one in full. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "front/http.h"
#include "pki/pki.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX 1000

static const char *profile_name(enum ca_profile p)
{
	switch (p) {
	case CA_PROFILE_WORKLOAD: return "workload";
	case CA_PROFILE_NODE: return "node";
	case CA_PROFILE_ISTIOD: return "istiod";
	case CA_PROFILE_GATEWAY: return "gateway";
	}
	return "unknown";
}

static const char *via_name(enum ca_via v)
{
	switch (v) {
	case CA_VIA_TOKEN: return "token";
	case CA_VIA_CERT: return "cert";
	case CA_VIA_NODE: return "node";
	}
	return "unknown";
}

static json_t *ips_json(const struct ca_issue *i)
{
	json_t *list = json_array();

	for (size_t k = 0; k < i->ip_n; k++) {
		int family = i->ip[k].len == 4 ? AF_INET : AF_INET6;
		char text[INET6_ADDRSTRLEN] = "";

		if (i->ip[k].len == 4 || i->ip[k].len == 16)
			inet_ntop(family, i->ip[k].p, text, sizeof(text));
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static void requester_json(json_t *o, const struct ca_issue *i)
{
	json_set(o, "via", json_string(via_name(i->via)));
	json_set(o, "cluster", json_span(i->cluster));
	json_set(o, "requester", json_span(i->requester));
	json_set(o, "pod_name", json_span(i->pod_name));
	json_set(o, "pod_uid", json_span(i->pod_uid));
	json_set(o, "parent",
	    i->has_parent ? json_hex(i->parent, sizeof(i->parent))
			  : json_null());
}

static json_t *revoked_json(const struct ca *ca, const struct ca_issue *i)
{
	struct ca_revoked r;
	json_t *o;

	if (ca_revoked_get(ca, i->issuer, i->serial, &r, NULL) != E_OK)
		return json_null();
	o = json_object();
	json_set(o, "time", json_time_s(r.revoked_s));
	json_set(o, "reason", json_string(ca_reason_name(r.reason)));
	return o;
}

static json_t *cert_json(
    const struct ca *ca, const struct ca_record *rec, const struct ca_issue *i)
{
	json_t *o = json_object();
	uint8_t boot[8];

	put_u64be(boot, i->signer_boot); /* random: more than a JSON number */
	json_set(o, "index", json_u64(rec->index));
	json_set(o, "time", json_time_ms(rec->time_ms));
	json_set(o, "serial", json_hex(i->serial, sizeof(i->serial)));
	json_set(o, "issuer", json_hex(i->issuer, sizeof(i->issuer)));
	json_set(o, "profile", json_string(profile_name(i->profile)));
	json_set(o, "uri", json_span(i->uri));
	json_set(o, "dns", json_spans(i->dns, i->dns_n));
	json_set(o, "ip", ips_json(i));
	json_set(o, "not_before", json_time_s(i->not_before_s));
	json_set(o, "not_after", json_time_s(i->not_after_s));
	requester_json(o, i);
	json_set(o, "signer_boot", json_hex(boot, sizeof(boot)));
	json_set(o, "signer_seq", json_u64(i->signer_seq));
	json_set(o, "sha256", json_hex(i->cert_sha256, sizeof(i->cert_sha256)));
	json_set(o, "revoked", revoked_json(ca, i));
	json_set(o, "outcome",
	    json_string(rec->outcome == CA_OK ? "ok" : "refused"));
	return o;
}

/* A record decoded; NULL with *rc set.  Freed with free(), *mem with
 * wire_free. */
static struct ca_entry *decode(const struct ca_record *rec,
    struct wire_memory **mem, enum code *rc, struct err *e)
{
	struct ca_entry *en = calloc(1, sizeof(*en));

	*mem = NULL;
	if (en == NULL) {
		*rc = err_nomem(e);
		return NULL;
	}
	*rc = wire_entry_decode(rec->raw, en, mem, e);
	if (*rc == E_OK && en->kind == CA_ISSUE)
		return en;
	wire_free(*mem);
	*mem = NULL;
	free(en);
	*rc = err_set(e, E_CORRUPT, "record %llu does not decode",
	    (unsigned long long)rec->index);
	return NULL;
}

static enum code add_cert(json_t *list, const struct ca *ca,
    const struct ca_record *rec, struct err *e)
{
	struct wire_memory *mem;
	enum code rc;
	struct ca_entry *en = decode(rec, &mem, &rc, e);

	if (en == NULL)
		return rc;
	if (json_array_append_new(list, cert_json(ca, rec, &en->u.issue)) != 0)
		rc = err_nomem(e);
	wire_free(mem);
	free(en);
	return rc;
}

static enum code query_u64(const struct exchange *x, const char *name,
    uint64_t max, uint64_t *out, struct err *e)
{
	const char *s = exchange_query(x, name);
	char *end;

	if (s == NULL)
		return E_OK;
	errno = 0;
	*out = strtoull(s, &end, 10);
	if (s[0] < '0' || s[0] > '9' || *end != '\0' || errno != 0)
		return err_set(e, E_INVAL, "%s is not a number", name);
	if (*out > max)
		*out = max;
	return E_OK;
}

enum code certs_list(struct exchange *x, struct err *e)
{
	const char *identity = exchange_query(x, "identity");
	struct span id = identity == NULL ? SPAN_EMPTY : span_str(identity);
	uint64_t after = 0, limit = LIMIT_DEFAULT, n = 0;
	struct ca_record rec;
	struct read r;
	json_t *o, *list;
	enum code rc;

	if ((rc = query_u64(x, "after", UINT64_MAX, &after, e)) != E_OK ||
	    (rc = query_u64(x, "limit", LIMIT_MAX, &limit, e)) != E_OK ||
	    (rc = read_open(&r, x, e)) != E_OK)
		return rc;
	o = json_object();
	list = json_array();
	while (rc == E_OK && n < limit &&
	       (rc = ca_record_next(r.ca, id, after, &rec, e)) == E_OK) {
		rc = add_cert(list, r.ca, &rec, e);
		after = rec.index;
		n++;
	}
	read_close(&r);
	json_set(o, "certs", list);
	json_set(
	    o, "next", rc == E_OK && n > 0 ? json_u64(after) : json_null());
	if (rc == E_OK || rc == E_NOTFOUND)
		return json_finish(x, o, e);
	json_decref(o);
	return rc;
}

/* The certificate as it was handed out: rebuilt from its record. */
static enum code add_pems(
    json_t *o, const struct ca_view *v, const struct ca_issue *i, struct err *e)
{
	const struct ca_issuer *is = ca_view_issuer(v, i->issuer);
	struct buf der, pem, issuer_pem;
	struct pki_issuer from;
	enum code rc;

	if (is == NULL)
		return err_set(e, E_CORRUPT, "the record's issuer is unknown");
	buf_init(&der);
	buf_init(&pem);
	buf_init(&issuer_pem);
	rc = pki_issuer_from_cert(is->cert, &from, e);
	if (rc == E_OK)
		rc = pki_leaf_der(&der, i, &from, e);
	if (rc == E_INVAL) /* the log's fault, not the caller's */
		rc = err_wrap(e, E_CORRUPT, "rebuilding the certificate");
	if (rc == E_OK)
		rc = pki_pem_add(&pem, "CERTIFICATE", buf_span(&der), e);
	if (rc == E_OK)
		rc = pki_pem_add(&issuer_pem, "CERTIFICATE", is->cert, e);
	if (rc == E_OK) {
		json_set(o, "pem", json_span(buf_span(&pem)));
		json_set(o, "issuer_pem", json_span(buf_span(&issuer_pem)));
	}
	buf_free(&der);
	buf_free(&pem);
	buf_free(&issuer_pem);
	return rc;
}

static enum code show(struct exchange *x, const struct ca *ca,
    const uint8_t serial[CA_SERIAL_LEN], struct err *e)
{
	struct wire_memory *mem = NULL;
	struct ca_entry *en = NULL;
	struct ca_view *v = NULL;
	struct ca_record rec;
	json_t *o;
	enum code rc;

	rc = ca_record_by_serial(ca, serial, &rec, e);
	if (rc == E_NOTFOUND)
		return err_set(
		    e, rc, "no certificate with this serial is in the log");
	if (rc == E_OK)
		en = decode(&rec, &mem, &rc, e);
	if (en == NULL)
		return rc;
	o = cert_json(ca, &rec, &en->u.issue);
	json_set(o, "entry", json_base64(rec.raw));
	rc = ca_view_load(ca, &v, e);
	if (rc == E_OK)
		rc = add_pems(o, v, &en->u.issue, e);
	if (rc == E_OK)
		rc = json_finish(x, o, e);
	else
		json_decref(o);
	ca_view_unref(v);
	wire_free(mem);
	free(en);
	return rc;
}

enum code certs_show(struct exchange *x, struct err *e)
{
	uint8_t serial[CA_SERIAL_LEN];
	struct read r;
	enum code rc;

	if (hex_decode(serial, sizeof(serial), x->rest, NULL) != E_OK)
		return err_set(e, E_INVAL, "a serial is %d hexadecimal digits",
		    2 * CA_SERIAL_LEN);
	rc = read_open(&r, x, e);
	if (rc == E_OK)
		rc = show(x, r.ca, serial, e);
	read_close(&r);
	return rc;
}
