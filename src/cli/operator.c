/* quorate operator: whose signatures count. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/view.h"

#define LOOK "quorate operator list"

static const struct column rows[] = {
    {"OPERATOR", "name"},
    {"ROLES", "roles"},
    {"KEY", "spki"},
    {NULL, NULL},
};

static enum code run_list(struct cli_args *a, struct err *e)
{
	struct session *s;
	enum cli_form form;
	json_t *view = NULL, *live;
	enum code rc;

	if ((rc = cli_form(a, false, &form, e)) != E_OK ||
	    (rc = session_open(&s, a, SESSION_OPERATOR, e)) != E_OK)
		return rc;
	rc = session_view(s, &view, e);
	if (rc == E_OK) {
		live = view_live(view, "operators");
		rc = output_list(
		    a->out, form, live, rows, "No operator is registered.", e);
		json_decref(live);
	}
	json_decref(view);
	session_close(s);
	return rc;
}

/* ---- Roles ---- */

static enum code role_bit(struct span name, uint32_t *roles, struct err *e)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} table[] = {{"admin", CA_ROLE_ADMIN}, {"revoker", CA_ROLE_REVOKER},
	    {"auditor", CA_ROLE_AUDITOR}};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (span_eq_str(name, table[i].name)) {
			*roles |= table[i].bit;
			return E_OK;
		}
	return cli_usage(e, "--role %.*s: expected admin, revoker or auditor",
	    (int)(name.len > 40 ? 40 : name.len), (const char *)name.p);
}

static enum code take_roles(
    const struct cli_args *a, uint32_t *roles, struct err *e)
{
	struct span names[8];
	size_t n;
	enum code rc = cli_list(a, "--role", names, 8, &n, e);

	*roles = 0;
	for (size_t i = 0; i < n && rc == E_OK; i++)
		rc = role_bit(names[i], roles, e);
	if (*roles == 0)
		*roles = CA_ROLE_ADMIN;
	return rc;
}

/* ---- add ---- */

/* The public key of a certificate, PEM. */
static enum code spki_of_cert(const char *file, struct buf *spki, struct err *e)
{
	EVP_PKEY *key = NULL;
	struct buf pem;
	enum code rc;

	buf_init(&pem);
	rc = fs_read(file, SESSION_FILE_MAX, &pem, e);
	if (rc == E_OK)
		rc = pki_pem_first(buf_span(&pem), "PUBLIC KEY", spki, e);
	if (rc == E_OK)
		rc = pki_key_from_spki(buf_span(spki), &key, e);
	EVP_PKEY_free(key);
	buf_free(&pem);
	return rc == E_OK
		   ? rc
		   : err_wrap(e, rc,
			 "--pubkey %s (openssl pkey -pubout makes it)", file);
}

static enum code put(const char *dir, const char *name, struct span data,
    mode_t mode, struct err *e)
{
	char path[PATH_MAX];
	enum code rc = fs_join(path, sizeof(path), dir, name, e);

	return rc == E_OK ? fs_create(path, data, mode, e) : rc;
}

static enum code write_folder(const struct session *s, const char *dir,
    struct span key, struct span cert, struct err *e)
{
	struct buf servers;
	enum code rc;

	buf_init(&servers);
	for (size_t i = 0; i < s->servers_n; i++)
		buf_printf(&servers, "%s\n", s->servers[i]);
	rc = buf_check(&servers, e);
	if (rc == E_OK)
		rc = put(dir, "operator.key", key, 0600, e);
	if (rc == E_OK)
		rc = put(dir, "operator.pem", cert, 0644, e);
	if (rc == E_OK)
		rc = put(dir, "root.pem", buf_span(&s->root_pem), 0644, e);
	if (rc == E_OK)
		rc = put(
		    dir, "trust-domain", buf_span(&s->trust_domain), 0644, e);
	if (rc == E_OK)
		rc = put(dir, "servers", buf_span(&servers), 0644, e);
	buf_free(&servers);
	return rc;
}

/* A new operator's folder: everything but the root key. */
static enum code make_folder(const struct session *s, const char *dir,
    const char *name, struct buf *spki, struct err *e)
{
	struct buf key_pem, der, cert;
	EVP_PKEY *key = NULL;
	enum code rc;

	buf_init(&key_pem);
	buf_init(&der);
	buf_init(&cert);
	rc = fs_mkdirs(dir, 0700, e);
	if (rc == E_OK && chmod(dir, 0700) != 0)
		rc = err_set(e, E_IO, "cannot set the mode of %s", dir);
	if (rc == E_OK)
		rc = pki_key_new(PKI_P256, &key, e);
	if (rc == E_OK)
		rc = pki_key_spki(spki, key, e);
	if (rc == E_OK)
		rc = pki_key_to_pem(&key_pem, key, e);
	if (rc == E_OK)
		rc = pki_operator_cert(
		    &der, key, span_str(name), clock_unix_ms() / 1000, e);
	if (rc == E_OK)
		rc = pki_pem_add(&cert, "CERTIFICATE", buf_span(&der), e);
	if (rc == E_OK)
		rc = write_folder(
		    s, dir, buf_span(&key_pem), buf_span(&cert), e);
	EVP_PKEY_free(key);
	pki_wipe(&key_pem);
	buf_free(&der);
	buf_free(&cert);
	return rc;
}

static enum code print_change(struct cli_args *a, enum cli_form form,
    const char *name, bool removed, uint64_t index, struct err *e)
{
	enum code rc;
	json_t *o;

	if (form == FORM_TABLE) {
		fprintf(a->out, "Operator %s is %s (log index %llu).\n", name,
		    removed ? "removed" : "registered",
		    (unsigned long long)index);
		return E_OK;
	}
	o = json_pack("{s:s, s:b, s:I}", "operator", name, "removed", removed,
	    "index", (json_int_t)index);
	rc = output_json(a->out, o, e);
	json_decref(o);
	return rc;
}

static enum code submit(struct cli_args *a, struct session *s,
    enum cli_form form, const struct ca_operator *op, struct err *e)
{
	struct ca_admin *cmd = calloc(1, sizeof(*cmd));
	uint64_t index = 0;
	enum code rc;

	if (cmd == NULL)
		return err_nomem(e);
	cmd->kind = CA_ADMIN_SET_OPERATOR;
	cmd->u.set_operator = *op;
	rc = session_submit(s, cmd, 1, LOOK, &index, e);
	free(cmd);
	return rc == E_OK ? print_change(
				a, form, a->operands[0], op->removed, index, e)
			  : rc;
}

static enum code run_add(struct cli_args *a, struct err *e)
{
	const char *file = cli_value(a, "--pubkey");
	const char *dir = cli_value(a, "--new");
	struct ca_operator op = {.name = span_str(a->operands[0])};
	struct session *s;
	enum cli_form form;
	struct buf spki;
	enum code rc;

	if ((file == NULL) == (dir == NULL))
		return cli_usage(e, "give --pubkey FILE or --new DIR");
	if ((rc = cli_form(a, false, &form, e)) != E_OK ||
	    (rc = take_roles(a, &op.roles, e)) != E_OK ||
	    (rc = session_open(&s, a, SESSION_OPERATOR, e)) != E_OK)
		return rc;
	buf_init(&spki);
	rc = file != NULL ? spki_of_cert(file, &spki, e)
			  : make_folder(s, dir, a->operands[0], &spki, e);
	op.spki = buf_span(&spki);
	if (rc == E_OK)
		rc = submit(a, s, form, &op, e);
	buf_free(&spki);
	session_close(s);
	return rc;
}

/* ---- remove ---- */

static uint32_t roles_from(const json_t *row)
{
	struct span names[8];
	struct err ignored;
	uint32_t roles = 0;
	size_t n = view_spans(json_object_get(row, "roles"), names, 8);

	for (size_t i = 0; i < n; i++)
		if (role_bit(names[i], &roles, &ignored) != E_OK)
			continue;
	return roles;
}

static enum code remove_operator(
    struct cli_args *a, struct session *s, enum cli_form form, struct err *e)
{
	struct ca_operator op = {
	    .name = span_str(a->operands[0]), .removed = true};
	json_t *view = NULL, *row;
	struct buf spki;
	enum code rc = session_view(s, &view, e);

	buf_init(&spki);
	row = rc == E_OK ? view_operator(view, a->operands[0]) : NULL;
	if (rc == E_OK && row == NULL)
		rc = err_set(e, E_NOTFOUND,
		    "there is no operator %s: `" LOOK "` shows them",
		    a->operands[0]);
	if (rc == E_OK)
		rc = base64_decode(
		    &spki, span_str(output_string(row, "spki")), BASE64_STD, e);
	op.spki = buf_span(&spki);
	op.roles = roles_from(row);
	if (rc == E_OK)
		rc = submit(a, s, form, &op, e);
	buf_free(&spki);
	json_decref(view);
	return rc;
}

static enum code run_remove(struct cli_args *a, struct err *e)
{
	struct session *s;
	enum cli_form form;
	enum code rc;

	if ((rc = cli_form(a, false, &form, e)) != E_OK ||
	    (rc = session_open(&s, a, SESSION_OPERATOR, e)) != E_OK)
		return rc;
	rc = remove_operator(a, s, form, e);
	session_close(s);
	return rc;
}

const struct cli_command cli_operator[] = {
    {"operator", "list", NULL, 0, 0, "registered operators", run_list,
	{{NULL, NULL, NULL}}},
    {"operator", "add", "NAME", 1, 1, "register an operator's key", run_add,
	{{"--pubkey", "FILE", "an existing P-256 public key, PEM"},
	    {"--new", "DIR", "make a key and an operator's folder here"},
	    {"--role", "R[,...]", "admin, revoker, auditor (admin)"},
	    {NULL, NULL, NULL}}},
    {"operator", "remove", "NAME", 1, 1, "no longer take an operator's word",
	run_remove, {{NULL, NULL, NULL}}},
    {0},
};
