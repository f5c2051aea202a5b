/* crl.c -- after healing: what was revoked is on its issuer's CRL, on every
 * node, and nothing else; the CRLs are the same bytes everywhere, and signed.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/x509.h>

#include "base/clock.h"
#include "base/text.h"
#include "chaos.h"

#define ISSUERS_MAX 8
#define ASK_AGAIN 3 /* victims that ask every node once more */

struct serials {
	uint8_t (*p)[SERIAL_LEN];
	size_t n, cap;
};

struct victim {
	unsigned number;
	uint64_t index; /* of the revocation */
};

struct wanted {
	struct serials ask, ok;
	struct victim *victims;
	size_t victims_n, victims_cap;
};

struct crls {
	char issuer[ISSUERS_MAX][ISSUER_HEX + 1];
	size_t n;
	struct buf der[NODES][ISSUERS_MAX];
	X509_CRL *crl[NODES][ISSUERS_MAX];
};

/* ---- What was asked for ---- */

static bool add_serial(struct serials *s, const char *hex)
{
	if (s->n == s->cap) {
		size_t cap = s->cap == 0 ? 1024 : 2 * s->cap;
		void *more = realloc(s->p, cap * sizeof(*s->p));

		if (more == NULL)
			return false;
		s->p = more;
		s->cap = cap;
	}
	return hex_decode(s->p[s->n++], SERIAL_LEN, hex, NULL) == E_OK;
}

static bool add_victim(struct wanted *a, const struct victim *v)
{
	if (a->victims_n == a->victims_cap) {
		size_t cap = a->victims_cap == 0 ? 64 : 2 * a->victims_cap;
		void *more = realloc(a->victims, cap * sizeof(*a->victims));

		if (more == NULL)
			return false;
		a->victims = more;
		a->victims_cap = cap;
	}
	a->victims[a->victims_n++] = *v;
	return true;
}

static bool take_line(struct wanted *a, const char *line)
{
	char serial[2 * SERIAL_LEN + 1];
	unsigned long long index;
	struct victim v;

	if (sscanf(line, "ask %32s", serial) == 1)
		return add_serial(&a->ask, serial);
	if (sscanf(line, "ok %32s", serial) == 1)
		return add_serial(&a->ok, serial);
	if (sscanf(line, "victim %u %32s %llu", &v.number, serial, &index) != 3)
		return false;
	v.index = index;
	return add_serial(&a->ok, serial) && add_victim(a, &v);
}

static bool read_asked(struct chaos *c, struct wanted *a)
{
	char path[PATH_MAX], line[200];
	bool ok = true;
	FILE *f;

	world_path(c, path, "revoked");
	if ((f = fopen(path, "re")) == NULL)
		return true;
	while (ok && fgets(line, sizeof(line), f) != NULL)
		ok = take_line(a, line);
	fclose(f);
	if (!ok)
		report_violation(c, "client", "%s: not a line", path);
	return ok;
}

/* ---- CRLs ---- */

static bool fetch(struct chaos *c, size_t node, const char *issuer,
    struct buf *der, X509_CRL **crl)
{
	char path[100];
	const struct client_request r = {.method = "GET", .path = path};
	struct client_answer answer = {0};
	struct err e = {0};
	const unsigned char *p;
	bool ok;

	X509_CRL_free(*crl);
	*crl = NULL;
	buf_clear(der);
	snprintf(path, sizeof(path), "/v1/crl?issuer=%s", issuer);
	ok = client_call(c->client[node], &r, &answer, &e) == E_OK &&
	     buf_add_span(der, buf_span(&answer.body));
	client_answer_free(&answer);
	if (!ok)
		return false;
	p = der->p;
	*crl = d2i_X509_CRL(NULL, &p, (long)der->len);
	return *crl != NULL && p == der->p + der->len;
}

static bool fetch_all(struct chaos *c, struct crls *s)
{
	bool ok = true;

	for (size_t k = 0; k < NODES; k++)
		for (size_t i = 0; i < s->n; i++)
			ok &= fetch(
			    c, k, s->issuer[i], &s->der[k][i], &s->crl[k][i]);
	return ok;
}

static void free_all(struct crls *s)
{
	for (size_t k = 0; k < NODES; k++)
		for (size_t i = 0; i < s->n; i++) {
			X509_CRL_free(s->crl[k][i]);
			buf_free(&s->der[k][i]);
		}
}

/* Of every certificate in the log, and the root. */
static void find_issuers(struct crls *s, const struct rows *rows)
{
	snprintf(s->issuer[s->n++], sizeof(s->issuer[0]), "root");
	for (size_t i = 0; i < rows->n; i++) {
		size_t k = 0;

		while (k < s->n && strcmp(s->issuer[k], rows->p[i].issuer) != 0)
			k++;
		if (k == s->n && k < ISSUERS_MAX)
			memcpy(s->issuer[s->n++], rows->p[i].issuer,
			    sizeof(s->issuer[0]));
	}
}

static bool holds(X509_CRL *crl, const uint8_t serial[SERIAL_LEN])
{
	BIGNUM *n = BN_bin2bn(serial, SERIAL_LEN, NULL);
	ASN1_INTEGER *number = BN_to_ASN1_INTEGER(n, NULL);
	X509_REVOKED *entry = NULL;
	bool found = crl != NULL && number != NULL &&
		     X509_CRL_get0_by_serial(crl, &entry, number) == 1;

	ASN1_INTEGER_free(number);
	BN_free(n);
	return found;
}

/* How many acknowledged revocations some node does not publish. */
static size_t count_missing(struct chaos *c, const struct crls *s,
    const struct wanted *a, const struct rows *rows, bool tell)
{
	size_t missing = 0;

	for (size_t i = 0; i < a->ok.n; i++) {
		const struct row *r = rows_find(rows, a->ok.p[i]);
		char hex[2 * SERIAL_LEN + 1];
		size_t at = 0;

		hex_encode(hex, a->ok.p[i], SERIAL_LEN);
		while (r != NULL && at < s->n &&
		       strcmp(s->issuer[at], r->issuer) != 0)
			at++;
		for (size_t k = 0; k < NODES; k++) {
			if (r != NULL && at < s->n &&
			    holds(s->crl[k][at], a->ok.p[i]))
				continue;
			missing++;
			if (tell)
				report_violation(c, "unrevoked",
				    "serial %s, revoked and acknowledged, is "
				    "not on the CRL of %s",
				    hex, c->nodes[k].name);
		}
	}
	return missing;
}

static size_t count_different(struct chaos *c, const struct crls *s, bool tell)
{
	size_t differ = 0;

	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 1; k < NODES; k++) {
			if (span_eq(buf_span(&s->der[0][i]),
				buf_span(&s->der[k][i])))
				continue;
			differ++;
			if (tell)
				report_violation(c, "differs",
				    "the CRL of issuer %s on %s and on %s",
				    s->issuer[i], c->nodes[0].name,
				    c->nodes[k].name);
		}
	return differ;
}

/* ---- Nothing else, and signed ---- */

static bool was_asked(const struct wanted *a, const struct rows *rows,
    const uint8_t serial[SERIAL_LEN])
{
	const struct row *r = rows_find(rows, serial);

	for (size_t i = 0; i < a->ask.n; i++)
		if (memcmp(a->ask.p[i], serial, SERIAL_LEN) == 0)
			return true;
	return r != NULL && r->victim >= 0;
}

static void check_entries(struct chaos *c, X509_CRL *crl,
    const struct wanted *a, const struct rows *rows)
{
	STACK_OF(X509_REVOKED) *all = X509_CRL_get_REVOKED(crl);

	for (int i = 0; i < sk_X509_REVOKED_num(all); i++) {
		const X509_REVOKED *entry = sk_X509_REVOKED_value(all, i);
		BIGNUM *n = ASN1_INTEGER_to_BN(
		    X509_REVOKED_get0_serialNumber(entry), NULL);
		uint8_t serial[SERIAL_LEN] = {0};
		char hex[2 * SERIAL_LEN + 1];

		if (n != NULL)
			(void)BN_bn2binpad(n, serial, SERIAL_LEN);
		BN_free(n);
		c->on_crls++;
		if (was_asked(a, rows, serial))
			continue;
		hex_encode(hex, serial, SERIAL_LEN);
		report_violation(c, "unasked",
		    "serial %s is on a CRL, and nobody revoked it", hex);
	}
}

static X509 *issuer_cert(const json_t *view, const char *key_id)
{
	json_t *row;
	X509 *cert = NULL;
	size_t i;

	json_array_foreach(json_object_get(view, "issuers"), i, row)
	{
		const char *id =
		    json_string_value(json_object_get(row, "key_id"));
		const char *text =
		    json_string_value(json_object_get(row, "cert"));
		const unsigned char *p;
		struct buf der;

		if (id == NULL || text == NULL || strcmp(id, key_id) != 0)
			continue;
		buf_init(&der);
		if (base64_decode(&der, span_str(text), BASE64_STD, NULL) ==
		    E_OK) {
			p = der.p;
			cert = d2i_X509(NULL, &p, (long)der.len);
		}
		buf_free(&der);
	}
	return cert;
}

static void check_signatures(struct chaos *c, const struct crls *s)
{
	json_t *view = look_json(c, 0, "/v1/view", NULL);

	for (size_t i = 1; i < s->n; i++) {
		X509 *cert = issuer_cert(view, s->issuer[i]);

		if (cert == NULL || s->crl[0][i] == NULL ||
		    X509_CRL_verify(s->crl[0][i], X509_get0_pubkey(cert)) != 1)
			report_violation(c, "unsigned",
			    "the CRL of issuer %s carries no good signature",
			    s->issuer[i]);
		X509_free(cert);
	}
	json_decref(view);
}

/* ---- Blocked identities ---- */

static void ask_again(struct chaos *c, const struct victim *v)
{
	char token[PATH_MAX], key[PATH_MAX], chain[PATH_MAX];
	char server[40], name[64];
	const char *args[] = {"request", "--new-key", key, "--token-file",
	    token, "--out", chain, "--server", server, NULL};

	snprintf(name, sizeof(name), "victim-%u.token", v->number);
	world_path(c, token, name);
	world_path(c, chain, "victim.pem");
	for (size_t k = 0; k < NODES; k++) {
		snprintf(name, sizeof(name), "again-%u-%zu.key", v->number, k);
		world_path(c, key, name);
		snprintf(server, sizeof(server), "%s:8443", c->nodes[k].ip);
		if (world_run(c, "quorate", args, NULL) == 0)
			report_violation(c, "unblocked",
			    "%s issues for identity %u, which is revoked",
			    c->nodes[k].name, v->number);
	}
}

/* After its revocation nothing was logged as issued for it. */
static void check_victims(
    struct chaos *c, const struct wanted *a, const struct rows *rows)
{
	for (size_t i = 0; i < a->victims_n; i++)
		for (size_t k = 0; k < rows->n; k++)
			if (rows->p[k].victim == (long)a->victims[i].number &&
			    rows->p[k].index > a->victims[i].index)
				report_violation(c, "unblocked",
				    "index %llu issues for identity %u, "
				    "revoked at %llu",
				    (unsigned long long)rows->p[k].index,
				    a->victims[i].number,
				    (unsigned long long)a->victims[i].index);
	for (size_t i = 0; i < a->victims_n && i < ASK_AGAIN; i++)
		ask_again(c, &a->victims[i]);
}

/* ---- The whole ---- */

void check_revoked(struct chaos *c, const struct rows *rows)
{
	uint64_t end = clock_mono_ms() + c->patience_s * 1000;
	struct wanted a = {0};
	struct crls s = {0};
	bool good = false;

	find_issuers(&s, rows);
	if (read_asked(c, &a)) {
		while (!good && clock_mono_ms() < end) {
			good = fetch_all(c, &s) &&
			       count_missing(c, &s, &a, rows, false) == 0 &&
			       count_different(c, &s, false) == 0;
			proc_pause_ms(good ? 0 : 200);
		}
		(void)count_missing(c, &s, &a, rows, true);
		(void)count_different(c, &s, true);
		for (size_t i = 1; i < s.n; i++)
			if (s.crl[0][i] != NULL)
				check_entries(c, s.crl[0][i], &a, rows);
		check_signatures(c, &s);
		check_victims(c, &a, rows);
	}
	free_all(&s);
	free(a.ask.p);
	free(a.ok.p);
	free(a.victims);
}
