#include "cli/root_key.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum code root_key_open(
    const struct cli_args *a, struct session *s, EVP_PKEY **out, struct err *e)
{
	struct buf sealed, phrase, pem;
	enum code rc;

	buf_init(&sealed);
	buf_init(&phrase);
	buf_init(&pem);
	rc = session_read_private(s, "root.key", &sealed, e);
	if (rc == E_NOTFOUND)
		err_set(e, rc,
		    "%s/root.key is not there: this needs the root key; use "
		    "the folder that quorate init made",
		    s->dir);
	if (rc == E_OK)
		rc = passphrase_get(a, false, &phrase, e);
	if (rc == E_OK) {
		rc = pki_unseal(
		    &pem, "root key", buf_span(&sealed), buf_span(&phrase), e);
		if (rc != E_OK)
			rc = err_wrap(e, rc, "opening %s/root.key", s->dir);
	}
	if (rc == E_OK)
		rc = pki_key_from_pem(buf_span(&pem), out, e);
	buf_free(&sealed);
	pki_wipe(&phrase);
	pki_wipe(&pem);
	return rc;
}

/* ---- The root's CRL ---- */

static enum code fetch_crl(struct session *s, struct buf *out, struct err *e)
{
	const struct client_request r = {.method = "GET",
	    .path = "/v1/crl?issuer=root"
		    "&consistency=linearizable"};
	struct client_answer answer = {0};
	enum code rc = client_call(s->client, &r, &answer, e);

	if (rc == E_OK && !buf_add_span(out, buf_span(&answer.body)))
		rc = err_nomem(e);
	client_answer_free(&answer);
	return rc;
}

/* The rows of the last one and room for one more; *rows is for free(). */
static enum code last_rows(
    struct span crl, struct ca_revoked **rows, size_t *n, struct err *e)
{
	struct ca_revoked *grown;
	enum code rc = pki_crl_rows(crl, rows, n, e);

	if (rc != E_OK)
		return rc;
	grown = realloc(*rows, (*n + 1) * sizeof(**rows));
	if (grown == NULL) {
		free(*rows);
		*rows = NULL;
		return err_nomem(e);
	}
	*rows = grown;
	return E_OK;
}

static enum code sign_crl(EVP_PKEY *key, struct span root, uint64_t number,
    const struct ca_revoked *rows, size_t n, struct buf *der, struct err *e)
{
	struct ca_crypto crypto = pki_ca_crypto();
	uint64_t now_s = clock_unix_ms() / 1000;
	struct ca_cert_facts f;
	struct buf tbs, sig;
	enum code rc = crypto.root(crypto.ctx, root, &f, e);

	buf_init(&tbs);
	buf_init(&sig);
	if (rc == E_OK) /* it lives as long as the root */
		rc = pki_crl_tbs(&tbs, root, number, now_s - CA_CRL_BACKDATE_S,
		    f.not_after_s, rows, n, e);
	if (rc == E_OK)
		rc = pki_sign(&sig, key, buf_span(&tbs), e);
	if (rc == E_OK)
		rc = pki_crl_der(der, buf_span(&tbs), buf_span(&sig), e);
	buf_free(&tbs);
	buf_free(&sig);
	return rc;
}

static enum code next_crl(EVP_PKEY *key, struct span root, struct span last,
    struct span cert, enum ca_reason reason, struct buf *der, struct err *e)
{
	struct pki_crl_facts f;
	struct ca_revoked *rows = NULL;
	size_t n = 0;
	enum code rc = pki_crl_read(last, root, SPAN_EMPTY, &f, e);

	if (rc == E_OK)
		rc = last_rows(last, &rows, &n, e);
	if (rc == E_OK && rows != NULL && cert.len > 0) {
		rows[n].revoked_s = clock_unix_ms() / 1000;
		rows[n].reason = reason;
		rc = pki_cert_serial(cert, rows[n].serial, e);
		n++;
	}
	if (rc == E_OK)
		rc = sign_crl(key, root, f.number + 1, rows, n, der, e);
	free(rows);
	return rc;
}

enum code root_crl_next(const struct cli_args *a, struct session *s,
    struct span cert, enum ca_reason reason, struct buf *der, struct err *e)
{
	EVP_PKEY *key = NULL;
	struct buf last, root;
	enum code rc;

	buf_init(&last);
	buf_init(&root);
	rc = fetch_crl(s, &last, e);
	if (rc == E_OK)
		rc = pki_pem_first(
		    buf_span(&s->root_pem), "CERTIFICATE", &root, e);
	if (rc == E_OK)
		rc = root_key_open(a, s, &key, e);
	if (rc == E_OK)
		rc = next_crl(key, buf_span(&root), buf_span(&last), cert,
		    reason, der, e);
	EVP_PKEY_free(key);
	buf_free(&last);
	buf_free(&root);
	return rc == E_OK ? E_OK : err_wrap(e, rc, "the root's next CRL");
}
