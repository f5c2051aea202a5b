/* quorate request: a certificate, as a workload gets it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "cli/leaf.h"
#include "cli/output.h"
#include "cli/session.h"

#define TOKEN_MAX 65536

static enum code take_token(const struct cli_args *a, char **out, struct err *e)
{
	const char *file;
	struct buf text;
	enum code rc = cli_need(a, "--token-file", &file, e);

	*out = NULL;
	if (rc != E_OK)
		return rc;
	if (strcmp(file, "-") == 0)
		file = "/dev/stdin";
	buf_init(&text);
	rc = fs_read(file, TOKEN_MAX, &text, e);
	while (text.len > 0 && strchr(" \t\r\n", text.p[text.len - 1]) != NULL)
		text.len--;
	if (rc == E_OK && (text.len == 0 || memchr(text.p, '\n', text.len)))
		rc = err_set(e, E_INVAL,
		    "%s does not hold a token; inside a pod it is "
		    "/var/run/secrets/tokens/istio-token",
		    file);
	if (rc == E_OK) {
		*out = span_dup_str(buf_span(&text));
		if (*out == NULL)
			rc = err_set(e, E_INVAL, "%s is not text", file);
	}
	pki_wipe(&text);
	return rc;
}

/* ---- The key and its CSR ---- */

static enum code key_kind(
    const struct cli_args *a, enum pki_key_kind *out, struct err *e)
{
	static const struct {
		const char *name;
		enum pki_key_kind kind;
	} rows[] = {{"p256", PKI_P256}, {"p384", PKI_P384},
	    {"rsa2048", PKI_RSA2048}, {"rsa3072", PKI_RSA3072},
	    {"rsa4096", PKI_RSA4096}};
	const char *v = cli_value(a, "--type");

	*out = PKI_P256;
	if (v == NULL)
		return E_OK;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(v, rows[i].name) == 0) {
			*out = rows[i].kind;
			return E_OK;
		}
	return cli_usage(e,
	    "--type %.20s: expected p256, p384, rsa2048, rsa3072 or rsa4096",
	    v);
}

/* The key is on disk before anybody certifies it. */
static enum code new_key(
    const struct cli_args *a, const char *file, struct buf *csr, struct err *e)
{
	enum pki_key_kind kind;
	EVP_PKEY *key = NULL;
	struct buf pem;
	enum code rc = key_kind(a, &kind, e);

	buf_init(&pem);
	if (rc == E_OK)
		rc = pki_key_new(kind, &key, e);
	if (rc == E_OK)
		rc = pki_key_to_pem(&pem, key, e);
	if (rc == E_OK)
		rc = pki_csr_make(csr, key, SPAN_EMPTY, NULL, 0, e);
	if (rc == E_OK) {
		rc = fs_create(file, buf_span(&pem), 0600, e);
		if (rc == E_EXISTS)
			err_set(e, rc,
			    "%s is there already, and no key is overwritten: "
			    "give another name to --new-key",
			    file);
	}
	EVP_PKEY_free(key);
	pki_wipe(&pem);
	return rc;
}

static enum code take_csr(
    const struct cli_args *a, struct buf *csr, const char **made, struct err *e)
{
	const char *file = cli_value(a, "--csr");
	const char *key = cli_value(a, "--new-key");
	enum code rc;

	*made = NULL;
	if ((file == NULL) == (key == NULL))
		return cli_usage(e, "give --csr FILE or --new-key FILE");
	if (file != NULL)
		return fs_read(file, SESSION_FILE_MAX, csr, e);
	rc = new_key(a, key, csr, e);
	if (rc == E_OK)
		*made = key;
	return rc;
}

/* ---- The answer ---- */

static enum code print_json(struct cli_args *a, const struct leaf *l,
    const char *server, struct span chain, struct err *e)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s%}", "serial",
	    l->serial, "identity", l->identity, "not_before", l->not_before,
	    "not_after", l->not_after, "issuer", l->issuer, "server", server,
	    "chain", chain.p, chain.len);
	enum code rc = output_json(a->out, o, e);

	json_decref(o);
	return rc;
}

static enum code print_leaf(struct cli_args *a, enum cli_form form,
    struct span chain, const char *server, struct err *e)
{
	const char *file = cli_value(a, "--out");
	FILE *f = file != NULL ? a->out : a->err;
	struct leaf l;
	enum code rc = leaf_read(chain, &l, e);

	if (rc == E_OK && file != NULL)
		rc = fs_write(file, chain, 0644, e);
	if (rc != E_OK)
		return rc;
	if (form == FORM_JSON)
		return print_json(a, &l, server, chain, e);
	fprintf(f, "serial    %s\nidentity  ", l.serial);
	output_text(f, l.identity);
	fprintf(
	    f, "\nvalid     %s to %s\nissuer    ", l.not_before, l.not_after);
	output_text(f, l.issuer);
	fprintf(f, "\nfrom      %s\n", server);
	if (file == NULL)
		fprintf(a->out, "%.*s", (int)chain.len, (const char *)chain.p);
	return E_OK;
}

/* Whether anything was issued is not known, but nobody has it. */
static enum code explain(enum code rc, struct err *e)
{
	char was[sizeof(e->text)];

	if (rc != E_UNAVAILABLE && rc != E_TIMEOUT)
		return rc;
	snprintf(was, sizeof(was), "%s", e->text);
	return err_set(e, rc,
	    "%.250s (a certificate may be logged that nobody received: asking "
	    "again is safe)",
	    was);
}

static enum code ask(struct cli_args *a, struct session *s, enum cli_form form,
    struct client_cert_request *r, struct err *e)
{
	const char *made = NULL;
	char server[300];
	struct buf csr, chain;
	enum code rc;

	buf_init(&csr);
	buf_init(&chain);
	rc = take_csr(a, &csr, &made, e);
	r->csr = buf_span(&csr);
	if (rc == E_OK)
		rc = explain(
		    client_certificate(s->client, r, &chain, server, e), e);
	if (rc == E_OK)
		rc = print_leaf(a, form, buf_span(&chain), server, e);
	if (rc != E_OK && made != NULL)
		unlink(made);
	buf_free(&csr);
	buf_free(&chain);
	return rc;
}

static enum code run(struct cli_args *a, struct err *e)
{
	const char *ttl = cli_value(a, "--ttl");
	struct client_cert_request r = {.cluster = cli_value(a, "--cluster")};
	struct session *s = NULL;
	enum cli_form form;
	uint64_t ttl_s = 0;
	char *token = NULL;
	enum code rc;

	if ((rc = cli_form(a, false, &form, e)) != E_OK ||
	    (ttl != NULL && (rc = cli_duration(ttl, &ttl_s, e)) != E_OK) ||
	    (rc = take_token(a, &token, e)) != E_OK)
		return rc;
	r.token = token;
	r.ttl_s = (int64_t)ttl_s;
	rc = session_open(&s, a, SESSION_ANYONE, e);
	if (rc == E_OK)
		rc = ask(a, s, form, &r, e);
	session_close(s);
	free(token);
	return rc;
}

const struct cli_command cli_request[] = {
    {"request", NULL, NULL, 0, 0,
	"get a workload certificate for a service-account token", run,
	{{"--csr", "FILE", "an existing request, PEM"},
	    {"--new-key", "FILE", "make a key there (mode 600) and request"},
	    {"--type", "KIND", "p256, p384, rsa2048, rsa3072, rsa4096 (p256)"},
	    {"--token-file", "FILE", "service-account token; - is stdin"},
	    {"--cluster", "NAME",
		"the token's cluster (default: its key says)"},
	    {"--out", "FILE", "the chain goes there, not to stdout"},
	    {"--ttl", "DURATION", "lifetime; policy may shorten it"},
	    SESSION_ROOT_OPTIONS, {NULL, NULL, NULL}}},
    {0},
};
