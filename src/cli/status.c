/* quorate status: members, leader, indexes, head, alarms. */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/output.h"
#include "cli/session.h"

static const struct column summary[] = {
    {"trust domain", "trust_domain"},
    {"asked", "id"},
    {"cluster", "cluster"},
    {"role", "role"},
    {"leader", "leader"},
    {"term", "term"},
    {"quorum", "quorum"},
    {"committed", "commit"},
    {"applied", "applied"},
    {"tree size", "head.tree_size"},
    {"tree root", "head.root"},
    {"issued here", "issued"},
    {"up, seconds", "uptime_s"},
    {"version", "version"},
    {NULL, NULL},
};

static const struct column members[] = {
    {"NODE", "id"},
    {"CLUSTER", "cluster"},
    {"STATE", "state"},
    {"LEADER", "leader"},
    {"REACHABLE", "reachable"},
    {"APPLIED", "applied"},
    {"TREE", "tree_size"},
    {"ISSUING", "issuing"},
    {"CLOCK ms", "clock_offset_ms"},
    {"ADDRESS", "mesh_address"},
    {NULL, NULL},
};

static const struct column crls[] = {
    {"ISSUER", "issuer"},
    {"STATE", "state"},
    {"CRL", "number"},
    {"ENTRIES", "entries"},
    {"AGE s", "age_s"},
    {"ENDS IN s", "ends_in_s"},
    {"DUE", "due"},
    {NULL, NULL},
};

static void print_status(FILE *f, const json_t *o)
{
	const json_t *alarms = json_object_get(o, "alarms");
	const char *why = output_string(o, "issuing_why");

	output_fields(f, o, summary);
	if (why[0] != '\0') {
		fprintf(f, "not issuing here: ");
		output_text(f, why);
		fputc('\n', f);
	}
	fputc('\n', f);
	output_table(f, json_object_get(o, "members"), members);
	if (json_array_size(json_object_get(o, "crls")) > 0) {
		fputc('\n', f);
		output_table(f, json_object_get(o, "crls"), crls);
	}
	for (size_t i = 0; i < json_array_size(alarms); i++) {
		const char *s = json_string_value(json_array_get(alarms, i));

		fprintf(f, "%sALARM  ", i == 0 ? "\n" : "");
		output_text(f, s != NULL ? s : "");
		fputc('\n', f);
	}
}

/* The last look, for what has come since. */
struct seen {
	uint64_t at_ms, commit, leaves;
};

static void print_rates(FILE *f, const json_t *o, struct seen *last)
{
	const json_t *head = json_object_get(o, "head");
	struct seen now = {.at_ms = clock_mono_ms(),
	    .commit =
		(uint64_t)json_integer_value(json_object_get(o, "commit")),
	    .leaves = (uint64_t)json_integer_value(
		json_object_get(head, "tree_size"))};
	double s = (double)(now.at_ms - last->at_ms) / 1000;

	if (last->at_ms != 0 && s > 0 && now.commit >= last->commit &&
	    now.leaves >= last->leaves)
		fprintf(f, "committed/s   %.1f\nlogged/s      %.1f\n",
		    (double)(now.commit - last->commit) / s,
		    (double)(now.leaves - last->leaves) / s);
	*last = now;
}

static enum code once(struct cli_args *a, struct session *s, enum cli_form form,
    bool clear, struct seen *last, struct err *e)
{
	json_t *o = NULL;
	enum code rc = client_get_json(s->client, "/v1/status", &o, e);

	if (clear)
		fprintf(a->out, "\033[H\033[2J");
	if (rc == E_OK && form == FORM_JSON)
		rc = output_json(a->out, o, e);
	else if (rc == E_OK && last != NULL)
		print_rates(a->out, o, last);
	if (rc == E_OK && form != FORM_JSON)
		print_status(a->out, o);
	json_decref(o);
	return rc;
}

static enum code watch(
    struct cli_args *a, struct session *s, enum cli_form form, struct err *e)
{
	const struct timespec second = {1, 0};
	bool clear = form == FORM_TABLE && isatty(fileno(a->out));
	struct seen last = {0};
	enum code rc;

	for (;;) {
		rc = once(a, s, form, clear, &last, e);
		if (rc == E_UNAVAILABLE || rc == E_TIMEOUT)
			fprintf(a->err, "%s\n", e->text);
		else if (rc != E_OK)
			return rc;
		if (fflush(a->out) != 0)
			return err_set(e, E_IO, "cannot write the output");
		nanosleep(&second, NULL);
	}
}

static enum code run(struct cli_args *a, struct err *e)
{
	struct session *s;
	enum cli_form form;
	enum code rc;

	if ((rc = cli_form(a, false, &form, e)) != E_OK ||
	    (rc = session_open(&s, a, SESSION_OPERATOR, e)) != E_OK)
		return rc;
	rc = cli_flag(a, "--watch") ? watch(a, s, form, e)
				    : once(a, s, form, false, NULL, e);
	session_close(s);
	return rc;
}

const struct cli_command cli_status[] = {
    {"status", NULL, NULL, 0, 0,
	"members, leader, indexes, tree head and alarms", run,
	{{"--watch", NULL, "again every second, until interrupted"},
	    {NULL, NULL, NULL}}},
    {0},
};
