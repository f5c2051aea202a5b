/* quorate join: one more node asks to be taken in. */
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fs.h"
#include "cli/output.h"
#include "cli/session.h"
#include "client/join.h"
#include "node/provision.h"

#define POLL_MS 2000
#define REFUSALS 3 /* in a row: a node may not have heard of the token yet */
#define TOKEN_MAX 16384

/* ---- The keys and join.json ---- */

static enum code read_token(
    const struct cli_args *a, struct join_token *t, struct err *e)
{
	const char *text = cli_value(a, "--token");
	const char *file = cli_value(a, "--token-file");
	struct buf b;
	enum code rc = E_OK;

	if ((text == NULL) == (file == NULL))
		return cli_usage(e, "give --token T or --token-file FILE");
	buf_init(&b);
	if (file != NULL)
		rc = fs_read(file, TOKEN_MAX, &b, e);
	if (rc == E_OK)
		rc = join_token_parse(
		    file != NULL ? buf_span(&b) : span_str(text), t, e);
	pki_wipe(&b);
	return rc;
}

static enum code make_node(const struct cli_args *a, const struct join_token *t,
    const char *data, struct err *e)
{
	const char *cluster = cli_value(a, "--cluster");
	const char *set[CLI_SETS_MAX];
	char listen[64];
	struct provision_join p = {
	    .servers = (const char *const *)t->servers,
	    .servers_n = t->servers_n,
	    .root_sha256 = t->root,
	    .trust_domain = t->trust_domain,
	    .cluster = t->cluster,
	    .data_dir = data,
	    .secret = t->secret,
	    .set = set,
	    .set_n = cli_sets(a, set, listen),
	    .witness = cli_flag(a, "--witness"),
	};

	if (cluster != NULL && strcmp(cluster, t->cluster) != 0)
		return err_set(e, E_CONFLICT,
		    "the token is for cluster %s, not %s: ask its operator for "
		    "one made with `quorate token create --cluster %s`",
		    t->cluster, cluster, cluster);
	return provision_join(&p, e);
}

/* A folder that waits already goes on waiting. */
static bool is_waiting(const char *data)
{
	char path[PATH_MAX];
	struct stat st;

	return fs_join(path, sizeof(path), data, PROVISION_JOIN, NULL) ==
		   E_OK &&
	       stat(path, &st) == 0;
}

static enum code prepare(
    const struct cli_args *a, const char *data, struct err *e)
{
	struct join_token t = {0};
	enum code rc;

	if (is_waiting(data)) {
		fprintf(a->err, "%s asked to join before: going on.\n", data);
		return E_OK;
	}
	rc = read_token(a, &t, e);
	if (rc == E_OK)
		rc = make_node(a, &t, data, e);
	join_token_free(&t);
	return rc;
}

/* ---- Waiting ---- */

static enum code keep(
    const char *data, const struct join_answer *said, struct err *e)
{
	const struct provision_approved a = {.id = said->id,
	    .genesis = buf_span(&said->genesis),
	    .api_cert = buf_span(&said->api_cert),
	    .peers = buf_span(&said->peers)};
	enum code rc = provision_approve(data, &a, e);

	/* A second answer, now with the certificate. */
	if (rc == E_OK && said->api_cert.len > 0)
		rc = provision_api_cert(data, buf_span(&said->api_cert), e);
	return rc;
}

static void tell_progress(struct cli_args *a, const char *cluster, int *told,
    int now, const char *why)
{
	if (*told == now)
		return;
	*told = now;
	if (now == 1)
		fprintf(a->err,
		    "Waiting for an operator:  quorate issuer approve %s\n"
		    "(quorated --data may start already, and goes on waiting "
		    "if this command ends)\n",
		    cluster);
	else if (now == 2)
		fprintf(a->err,
		    "Approved; waiting for the API certificate, which an "
		    "existing node issues.\n");
	else
		fprintf(a->err, "Cannot ask now, trying again: %s\n", why);
}

/* Refused for good, or just not reachable now? */
static bool passing(enum code rc)
{
	return rc == E_UNAVAILABLE || rc == E_TIMEOUT || rc == E_IO ||
	       rc == E_NOMEM || rc == E_EXHAUSTED;
}

static enum code wait_approved(struct cli_args *a, const char *data,
    const struct provision *p, struct join *j, uint64_t *id, struct err *e)
{
	const struct timespec pause = {
	    POLL_MS / 1000, POLL_MS % 1000 * 1000000L};
	struct join_answer said;
	int told = 0, refused = 0;

	for (;;) {
		struct err one = {0};
		enum code rc =
		    join_poll(j, buf_span(&p->join_request), &said, &one);
		bool done =
		    rc == E_OK && said.approved && said.api_cert.len > 0;

		if (rc == E_OK && said.approved)
			rc = keep(data, &said, &one);
		*id = said.id;
		if (rc == E_OK)
			tell_progress(a, p->config.cluster, &told,
			    said.approved ? 2 : 1, "");
		join_answer_free(&said);
		if (rc == E_OK && done)
			return E_OK;
		refused = rc == E_OK || passing(rc) ? 0 : refused + 1;
		if (refused == REFUSALS)
			return err_set(e, rc, "%s", one.text);
		if (rc != E_OK && refused == 0)
			tell_progress(a, p->config.cluster, &told, 3, one.text);
		nanosleep(&pause, NULL);
	}
}

static enum code wait_for(
    struct cli_args *a, const char *data, uint64_t *id, struct err *e)
{
	struct join *j = NULL;
	struct provision p;
	enum code rc = provision_open(&p, data, e);

	if (rc != E_OK)
		return rc;
	if (!p.joining) {
		*id = p.config.node_id;
		provision_close(&p);
		return E_OK;
	}
	rc = join_open(&j, (const char *const *)p.servers.v, p.servers.n,
	    p.root_sha256, e);
	if (rc == E_OK)
		rc = wait_approved(a, data, &p, j, id, e);
	join_close(j);
	provision_close(&p);
	return rc;
}

static enum code run(struct cli_args *a, struct err *e)
{
	const char *data;
	enum cli_form form;
	uint64_t id = 0;
	json_t *o;
	enum code rc;

	if ((rc = cli_form(a, false, &form, e)) != E_OK ||
	    (rc = cli_need(a, "--data", &data, e)) != E_OK ||
	    (rc = prepare(a, data, e)) != E_OK)
		return rc;
	if (!cli_flag(a, "--no-wait"))
		rc = wait_for(a, data, &id, e);
	if (rc != E_OK)
		return rc;
	if (form == FORM_JSON) {
		o = json_pack("{s:s, s:s, s:I}", "data", data, "state",
		    id > 0 ? "approved" : "waiting", "id", (json_int_t)id);
		rc = output_json(a->out, o, e);
		json_decref(o);
		return rc;
	}
	if (id > 0)
		fprintf(
		    a->out, "Approved as node %llu.\n", (unsigned long long)id);
	fprintf(a->out, "Next:\n  quorated --data %s\n", data);
	return E_OK;
}

const struct cli_command cli_join[] = {
    {"join", NULL, NULL, 0, 0,
	"make a node's keys and ask to be taken in with a token", run,
	{{"--token", "T", "the token's text (others can see it in `ps`)"},
	    {"--token-file", "FILE", "a file with the token"},
	    {"--cluster", "NAME", "must be the token's (default: the token's)"},
	    {"--data", "DIR",
		"the node's new data directory; one that waits goes on"},
	    {"--listen", "IP", "address of every port (127.0.0.1)"},
	    {"--set", "KEY=VALUE", "a row of node.yaml; may be repeated"},
	    {"--witness", NULL, "votes, but has no issuer"},
	    {"--no-wait", NULL, "do not wait: quorated itself goes on"},
	    {NULL, NULL, NULL}}},
    {0},
};
