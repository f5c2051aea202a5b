/* quorate init: a new trust domain and its first node. */
#include <limits.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/passphrase.h"
#include "cli/session.h"
#include "node/provision.h"

static enum code admin_dir(
    const struct cli_args *a, char out[PATH_MAX], struct err *e)
{
	const char *dir = cli_value(a, "--admin");

	if (dir == NULL)
		dir = cli_value(a, "--identity");
	if (dir == NULL)
		return session_default_dir(
		    out, cli_value(a, "--trust-domain"), e);
	if (snprintf(out, PATH_MAX, "%s", dir) >= PATH_MAX)
		return err_set(e, E_INVAL, "--admin is too long");
	return E_OK;
}

static void print_next(struct cli_args *a, const struct provision_init *p,
    const struct provision_made *made, const char *root)
{
	fprintf(a->out,
	    "Trust domain %s is ready; cluster %s has its first node.\n\n"
	    "  node      %s\n"
	    "  operator  %s  (root.key opens with the passphrase: keep a copy "
	    "of this folder offline)\n"
	    "  API       %s\n"
	    "  root      sha256:%s\n\n"
	    "Next:\n"
	    "  quorated --data %s\n"
	    "  quorate --identity %s cluster set-jwks %s --jwks FILE   "
	    "# kubectl get --raw /openid/v1/jwks\n"
	    "  quorate --identity %s token create --cluster NAME   "
	    "# for the next cluster's node\n",
	    p->trust_domain, p->cluster, p->data_dir, p->admin_dir,
	    made->server, root, p->data_dir, p->admin_dir, p->cluster,
	    p->admin_dir);
	fprintf(a->out,
	    "\nOne node survives no failure: three clusters survive the loss "
	    "of any one; two need a\nthird node as a witness "
	    "(quorate join --witness).\n");
}

static enum code print_made(struct cli_args *a, enum cli_form form,
    const struct provision_init *p, const struct provision_made *made,
    struct err *e)
{
	char root[2 * SHA256_LEN + 1];
	enum code rc = E_OK;
	json_t *o;

	hex_encode(root, made->root_sha256, SHA256_LEN);
	if (form == FORM_JSON) {
		o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "trust_domain",
		    p->trust_domain, "cluster", p->cluster, "data", p->data_dir,
		    "admin", p->admin_dir, "server", made->server,
		    "root_sha256", root);
		rc = output_json(a->out, o, e);
		json_decref(o);
	} else {
		print_next(a, p, made, root);
	}
	return rc;
}

/* --settle into *settle_ms, which p then points to. */
static enum code take_settle(const struct cli_args *a, struct provision_init *p,
    uint64_t *settle_ms, struct err *e)
{
	const char *v = cli_value(a, "--settle");
	enum code rc;

	if (v == NULL)
		return E_OK;
	rc = cli_duration(v, settle_ms, e);
	*settle_ms *= 1000;
	p->settle_ms = settle_ms;
	return rc;
}

size_t cli_sets(
    const struct cli_args *a, const char *set[CLI_SETS_MAX], char listen[64])
{
	const char *v = cli_value(a, "--listen");
	size_t n = 0;

	if (v != NULL) {
		snprintf(listen, 64, "listen=%s", v);
		set[n++] = listen;
	}
	for (size_t i = 0; n < CLI_SETS_MAX; i++) {
		v = cli_nth(a, "--set", i);
		if (v == NULL)
			break;
		set[n++] = v;
	}
	return n;
}

static enum code run(struct cli_args *a, struct err *e)
{
	const char *set[CLI_SETS_MAX], *name = cli_value(a, "--operator");
	char listen[64], admin[PATH_MAX];
	struct provision_made made = {0};
	struct provision_init p = {
	    .operator_name = name != NULL ? name : "admin",
	    .admin_dir = admin,
	    .set = set,
	    .cheap = cli_flag(a, "--cheap-sealing"),
	    .name_constraints = cli_flag(a, "--name-constraints"),
	    .now_ms = clock_unix_ms(),
	};
	struct buf passphrase;
	enum cli_form form;
	uint64_t settle_ms;
	enum code rc;

	buf_init(&passphrase);
	p.set_n = cli_sets(a, set, listen);
	if ((rc = cli_form(a, false, &form, e)) != E_OK ||
	    (rc = cli_need(a, "--trust-domain", &p.trust_domain, e)) != E_OK ||
	    (rc = cli_need(a, "--cluster", &p.cluster, e)) != E_OK ||
	    (rc = cli_need(a, "--data", &p.data_dir, e)) != E_OK ||
	    (rc = take_settle(a, &p, &settle_ms, e)) != E_OK ||
	    (rc = admin_dir(a, admin, e)) != E_OK)
		return rc;
	rc = passphrase_get(a, true, &passphrase, e);
	p.passphrase = buf_span(&passphrase);
	if (rc == E_OK)
		rc = provision_init(&p, &made, e);
	pki_wipe(&passphrase);
	return rc == E_OK ? print_made(a, form, &p, &made, e) : rc;
}

const struct cli_command cli_init[] = {
    {"init", NULL, NULL, 0, 0,
	"make a new trust domain: root, operator and the first node", run,
	{{"--trust-domain", "TD", "SPIFFE trust domain, such as corp.example"},
	    {"--cluster", "NAME", "the first cluster; a DNS label"},
	    {"--data", "DIR", "the node's new data directory"},
	    {"--admin", "DIR",
		"the operator's new folder (default: ~/.config/quorate/TD)"},
	    {"--operator", "NAME", "name of the first operator (admin)"},
	    {"--listen", "IP", "address of every port (127.0.0.1)"},
	    {"--set", "KEY=VALUE", "a row of node.yaml; may be repeated"},
	    PASSPHRASE_OPTION,
	    {"--settle", "DURATION",
		"how long a new issuer waits before it signs (2m)"},
	    {"--name-constraints", NULL,
		"limit issuers to the trust domain (not with ztunnel)"},
	    {"--cheap-sealing", NULL,
		"derive the root key's seal with less work: tests only"},
	    {NULL, NULL, NULL}}},
    {0},
};
