/* quorate federate, quorate root import: trust bundles, of other trust domains
 * and of our own. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/text.h"
#include "cli/issuer_end.h"
#include "cli/output.h"
#include "cli/root_key.h"
#include "cli/view.h"

#define LOOK "quorate federate list"

/* ---- A PEM file ---- */

/* The certificates of a PEM text, each decoded into keep. */
static enum code take_certs(struct span pem, struct ca_bundle *b,
    struct buf keep[CA_LIST_MAX], const char *file, struct err *e)
{
	static const char end[] = "-----END CERTIFICATE-----";
	enum code rc = E_OK;

	while (rc == E_OK && pem.len > 0) {
		const uint8_t *stop = memmem(pem.p, pem.len, end, strlen(end));
		size_t len;

		if (stop == NULL)
			break;
		if (b->certs_n == CA_LIST_MAX)
			return err_set(e, E_INVAL,
			    "%s has more than %d certificates", file,
			    CA_LIST_MAX);
		len = (size_t)(stop - pem.p) + strlen(end);
		rc = pki_pem_first(
		    span_of(pem.p, len), "CERTIFICATE", &keep[b->certs_n], e);
		b->certs[b->certs_n] = buf_span(&keep[b->certs_n]);
		b->certs_n++;
		pem = span_of(pem.p + len, pem.len - len);
	}
	if (rc == E_OK && b->certs_n == 0)
		rc = err_set(e, E_INVAL, "%s holds no certificate (PEM)", file);
	return rc;
}

static enum code read_certs(const char *file, struct ca_bundle *b,
    struct buf keep[CA_LIST_MAX], struct err *e)
{
	struct buf text;
	enum code rc;

	buf_init(&text);
	rc = fs_read(file, SESSION_FILE_MAX, &text, e);
	if (rc == E_OK)
		rc = take_certs(buf_span(&text), b, keep, file, e);
	buf_free(&text);
	return rc;
}

/* ---- Submitting ---- */

/* One more than that of the bundle which is there. */
static enum code next_sequence(
    struct session *s, struct ca_bundle *b, struct err *e)
{
	json_t *view = NULL, *row;
	size_t i;
	enum code rc = session_view(s, &view, e);

	b->sequence = 1;
	json_array_foreach(json_object_get(view, "bundles"), i, row)
	{
		if (span_eq_str(
			b->trust_domain, output_string(row, "trust_domain")))
			b->sequence = 1 + (uint64_t)json_integer_value(
					      json_object_get(row, "sequence"));
	}
	json_decref(view);
	return rc;
}

static enum code sign_bundle(struct cli_args *a, struct session *s,
    struct ca_bundle *b, struct buf *sig, struct err *e)
{
	EVP_PKEY *key = NULL;
	struct buf input;
	enum code rc = next_sequence(s, b, e);

	buf_init(&input);
	if (rc == E_OK && !ca_bundle_input(&input, b))
		rc = err_nomem(e);
	if (rc == E_OK)
		rc = root_key_open(a, s, &key, e);
	if (rc == E_OK)
		rc = pki_sign(sig, key, buf_span(&input), e);
	b->root_sig = buf_span(sig);
	EVP_PKEY_free(key);
	buf_free(&input);
	return rc;
}

static enum code print_set(struct cli_args *a, enum cli_form form,
    const struct ca_bundle *b, uint64_t index, struct err *e)
{
	enum code rc = E_OK;
	json_t *o;

	if (form == FORM_JSON) {
		o = json_pack("{s:s%, s:I, s:I}", "trust_domain",
		    (const char *)b->trust_domain.p, b->trust_domain.len,
		    "certificates", (json_int_t)b->certs_n, "index",
		    (json_int_t)index);
		rc = output_json(a->out, o, e);
		json_decref(o);
	} else {
		fprintf(a->out, "%.*s: %zu %s (log index %llu).\n",
		    (int)b->trust_domain.len, (const char *)b->trust_domain.p,
		    b->certs_n,
		    b->certs_n == 1 ? "certificate is trusted"
				    : "certificates are trusted",
		    (unsigned long long)index);
	}
	return rc;
}

struct setting {
	struct ca_admin cmd;
	struct buf keep[CA_LIST_MAX]; /* the certificates' bytes */
	struct buf sig;
};

/* td: NULL for our own, with the root key.  file: NULL takes it away. */
static enum code fill(struct cli_args *a, struct session *s, const char *td,
    const char *file, struct setting *t, struct err *e)
{
	struct ca_bundle *b = &t->cmd.u.set_trust_bundle;
	enum code rc = E_OK;

	t->cmd.kind = CA_ADMIN_SET_TRUST_BUNDLE;
	b->trust_domain =
	    td != NULL ? span_str(td) : buf_span(&s->trust_domain);
	if (file != NULL)
		rc = read_certs(file, b, t->keep, e);
	return rc == E_OK && td == NULL ? sign_bundle(a, s, b, &t->sig, e) : rc;
}

static enum code set_bundle(
    struct cli_args *a, const char *td, const char *file, struct err *e)
{
	struct setting *t = calloc(1, sizeof(*t));
	struct session *s = NULL;
	enum cli_form form;
	uint64_t index = 0;
	enum code rc;

	if (t == NULL)
		return err_nomem(e);
	rc = cli_form(a, false, &form, e);
	if (rc == E_OK)
		rc = session_open(&s, a, SESSION_OPERATOR, e);
	if (rc == E_OK)
		rc = fill(a, s, td, file, t, e);
	if (rc == E_OK)
		rc = session_submit(s, &t->cmd, 1, LOOK, &index, e);
	if (rc == E_OK)
		rc = print_set(a, form, &t->cmd.u.set_trust_bundle, index, e);
	session_close(s);
	for (size_t i = 0; i < CA_LIST_MAX; i++)
		buf_free(&t->keep[i]);
	buf_free(&t->sig);
	free(t);
	return rc;
}

enum code root_import_run(struct cli_args *a, struct err *e)
{
	return set_bundle(a, NULL, a->operands[0], e);
}

static enum code run_add(struct cli_args *a, struct err *e)
{
	const char *file;
	enum code rc = cli_need(a, "--bundle", &file, e);

	return rc == E_OK ? set_bundle(a, a->operands[0], file, e) : rc;
}

static enum code run_remove(struct cli_args *a, struct err *e)
{
	return set_bundle(a, a->operands[0], NULL, e);
}

/* ---- list ---- */

static const struct column rows[] = {
    {"TRUST DOMAIN", "trust_domain"},
    {"CERTIFICATES", "count"},
    {"SEQUENCE", "sequence"},
    {NULL, NULL},
};

static enum code run_list(struct cli_args *a, struct err *e)
{
	json_t *view = NULL, *row, *live = json_array();
	struct session *s;
	enum cli_form form;
	size_t i;
	enum code rc;

	if ((rc = cli_form(a, false, &form, e)) != E_OK ||
	    (rc = session_open(&s, a, SESSION_OPERATOR, e)) != E_OK) {
		json_decref(live);
		return rc;
	}
	rc = session_view(s, &view, e);
	json_array_foreach(json_object_get(view, "bundles"), i, row)
	{
		size_t n = json_array_size(json_object_get(row, "certs"));

		json_object_set_new(row, "count", json_integer((json_int_t)n));
		if (n > 0)
			json_array_append(live, row);
	}
	if (rc == E_OK)
		rc = output_list(a->out, form, live, rows,
		    "Nobody is trusted but the root.", e);
	json_decref(live);
	json_decref(view);
	session_close(s);
	return rc;
}

const struct cli_command cli_federate[] = {
    {"federate", "list", NULL, 0, 0,
	"trust domains whose bundle is trusted, and more roots of our own",
	run_list, {{NULL, NULL, NULL}}},
    {"federate", "add", "TRUST-DOMAIN", 1, 1,
	"trust another trust domain's certificates for its own identities",
	run_add,
	{{"--bundle", "FILE", "its root certificates, PEM"},
	    {NULL, NULL, NULL}}},
    {"federate", "remove", "TRUST-DOMAIN", 1, 1, "trust it no more", run_remove,
	{{NULL, NULL, NULL}}},
    {0},
};
