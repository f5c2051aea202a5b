/* quorate policy: lifetimes, quotas, how many operators must sign. */
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/session.h"

#define LOOK "quorate policy get"

static const struct column fields[] = {
    {"version", "version"},
    {"ttl default, s", "ttl_default_s"},
    {"ttl max, s", "ttl_max_s"},
    {"renew max, s", "renew_max_s"},
    {"issuer settle, ms", "issuer_settle_ms"},
    {"quota, identity/h", "quota_identity_per_h"},
    {"quota, cluster/h", "quota_cluster_per_h"},
    {"admin signatures", "admin_signatures"},
    {"name constraints", "name_constraints"},
    {NULL, NULL},
};

static uint64_t number_of(const json_t *o, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(o, name));
}

static void policy_from(struct ca_policy *p, const json_t *o)
{
	*p = (struct ca_policy){
	    .version = number_of(o, "version"),
	    .ttl_default_s = number_of(o, "ttl_default_s"),
	    .ttl_max_s = number_of(o, "ttl_max_s"),
	    .renew_max_s = number_of(o, "renew_max_s"),
	    .issuer_settle_ms = number_of(o, "issuer_settle_ms"),
	    .quota_identity_per_h = number_of(o, "quota_identity_per_h"),
	    .quota_cluster_per_h = number_of(o, "quota_cluster_per_h"),
	    .admin_signatures = (uint32_t)number_of(o, "admin_signatures"),
	    .name_constraints =
		json_is_true(json_object_get(o, "name_constraints")),
	};
}

static enum code run_get(struct cli_args *a, struct err *e)
{
	struct session *s;
	enum cli_form form;
	json_t *view = NULL;
	const json_t *o;
	enum code rc;

	if ((rc = cli_form(a, false, &form, e)) != E_OK ||
	    (rc = session_open(&s, a, SESSION_OPERATOR, e)) != E_OK)
		return rc;
	rc = session_view(s, &view, e);
	o = json_object_get(view, "policy");
	if (rc == E_OK && form == FORM_JSON)
		rc = output_json(a->out, o, e);
	else if (rc == E_OK)
		output_fields(a->out, o, fields);
	json_decref(view);
	session_close(s);
	return rc;
}

/* ---- set ---- */

/* With two wanted and no way to add a second to a command, nobody could change
 * anything any more, this number included. */
static enum code check_signatures(const struct ca_policy *p, struct err *e)
{
	if (p->admin_signatures <= 1)
		return E_OK;
	return err_set(e, E_UNSUPPORTED,
	    "--admin-signatures %u: this version cannot collect a second "
	    "operator's signature on a command, so nobody could change "
	    "anything any more; leave it at 1",
	    p->admin_signatures);
}

/* One row an option; returns how many were given, or -1. */
static int take_options(
    const struct cli_args *a, struct ca_policy *p, struct err *e)
{
	uint64_t signatures = p->admin_signatures;
	const struct {
		const char *name;
		uint64_t *field, unit; /* unit 0: a count */
	} rows[] = {
	    {"--ttl-default", &p->ttl_default_s, 1},
	    {"--ttl-max", &p->ttl_max_s, 1},
	    {"--renew-max", &p->renew_max_s, 1},
	    {"--issuer-settle", &p->issuer_settle_ms, 1000},
	    {"--quota-identity", &p->quota_identity_per_h, 0},
	    {"--quota-cluster", &p->quota_cluster_per_h, 0},
	    {"--admin-signatures", &signatures, 0},
	};
	int given = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *v = cli_value(a, rows[i].name);
		enum code rc;

		if (v == NULL)
			continue;
		given++;
		rc = rows[i].unit == 0 ? cli_number(v, rows[i].field, e)
				       : cli_duration(v, rows[i].field, e);
		if (rc != E_OK)
			return -1;
		if (rows[i].unit > 1)
			*rows[i].field *= rows[i].unit;
	}
	if (signatures > 1000)
		signatures = 1000; /* refused: more than there are operators */
	p->admin_signatures = (uint32_t)signatures;
	return given;
}

static enum code set(
    struct cli_args *a, struct session *s, enum cli_form form, struct err *e)
{
	struct ca_admin *cmd = calloc(1, sizeof(*cmd));
	json_t *view = NULL, *after = NULL;
	enum code rc;

	if (cmd == NULL)
		return err_nomem(e);
	cmd->kind = CA_ADMIN_SET_POLICY;
	rc = session_view(s, &view, e);
	if (rc == E_OK) {
		policy_from(
		    &cmd->u.set_policy, json_object_get(view, "policy"));
		if (take_options(a, &cmd->u.set_policy, e) < 0)
			rc = E_INVAL;
	}
	if (rc == E_OK)
		rc = session_submit(s, cmd, 1, LOOK, NULL, e);
	if (rc == E_OK)
		rc = session_view(s, &after, e);
	if (rc == E_OK && form == FORM_JSON)
		rc = output_json(a->out, json_object_get(after, "policy"), e);
	else if (rc == E_OK)
		output_fields(a->out, json_object_get(after, "policy"), fields);
	json_decref(view);
	json_decref(after);
	free(cmd);
	return rc;
}

static enum code run_set(struct cli_args *a, struct err *e)
{
	struct ca_policy probe = {0};
	struct session *s;
	enum cli_form form;
	enum code rc = cli_form(a, false, &form, e);
	int given;

	if (rc != E_OK)
		return rc;
	given = take_options(a, &probe, e);
	if (given < 0)
		return E_INVAL;
	if (given == 0)
		return cli_usage(
		    e, "policy set changes nothing without an option");
	if ((rc = check_signatures(&probe, e)) != E_OK)
		return rc;
	rc = session_open(&s, a, SESSION_OPERATOR, e);
	if (rc != E_OK)
		return rc;
	rc = set(a, s, form, e);
	session_close(s);
	return rc;
}

const struct cli_command cli_policy[] = {
    {"policy", "get", NULL, 0, 0, "the policy in force", run_get,
	{{NULL, NULL, NULL}}},
    {"policy", "set", NULL, 0, 0, "change what is given, keep the rest",
	run_set,
	{{"--ttl-default", "DURATION", "lifetime when a request names none"},
	    {"--ttl-max", "DURATION", "longer requests are shortened (<= 6d)"},
	    {"--renew-max", "DURATION", "longest life without a token (<= 1d)"},
	    {"--issuer-settle", "DURATION",
		"from a new issuer to its first leaf (<= 1h)"},
	    {"--quota-identity", "N",
		"leaves an identity and hour; 0: no limit"},
	    {"--quota-cluster", "N", "leaves a cluster and hour; 0: no limit"},
	    {"--admin-signatures", "N",
		"operators who must sign a command (only 1 yet)"},
	    {NULL, NULL, NULL}}},
    {0},
};
