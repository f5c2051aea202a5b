/* quorate member: the nodes of the mesh. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/view.h"

#define LOOK "quorate member list"
#define TRANSFER_MS 5000
#define LEAVE_MS 10000

static const struct column rows[] = {
    {"NODE", "id"},
    {"CLUSTER", "cluster"},
    {"STATE", "state"},
    {"LEADER", "leader"},
    {"REACHABLE", "reachable"},
    {"APPLIED", "applied"},
    {"HEARD ms", "heard_ms_ago"},
    {"ISSUING", "issuing"},
    {"ADDRESS", "mesh_address"},
    {NULL, NULL},
};

static enum code run_list(struct cli_args *a, struct err *e)
{
	struct session *s;
	enum cli_form form;
	json_t *o = NULL;
	enum code rc;

	if ((rc = cli_form(a, false, &form, e)) != E_OK ||
	    (rc = session_open(&s, a, SESSION_OPERATOR, e)) != E_OK)
		return rc;
	rc = client_get_json(s->client, "/v1/status", &o, e);
	if (rc == E_OK)
		rc = output_list(a->out, form, json_object_get(o, "members"),
		    rows, "No member is known.", e);
	json_decref(o);
	session_close(s);
	return rc;
}

/* ---- remove ---- */

/* The registered record again, now removed; spans borrow from row. */
static enum code node_from(struct ca_node *n, const json_t *row, struct err *e)
{
	n->id = (uint64_t)json_integer_value(json_object_get(row, "id"));
	n->cluster = span_str(output_string(row, "cluster"));
	n->mesh_address = span_str(output_string(row, "mesh_address"));
	n->removed = true;
	if (hex_decode(n->mesh_key, sizeof(n->mesh_key),
		output_string(row, "mesh_key"), NULL) != E_OK ||
	    hex_decode(n->log_key, sizeof(n->log_key),
		output_string(row, "log_key"), NULL) != E_OK)
		return err_set(e, E_INTERNAL, "the node's record has no keys");
	return E_OK;
}

/* Does another live node answer at that address? */
static bool served_by_another(json_t *view, uint64_t id, const char *server)
{
	json_t *nodes = view_live(view, "nodes"), *node;
	char name[300];
	bool found = false;
	size_t i;

	json_array_foreach(nodes, i, node)
	{
		if ((uint64_t)json_integer_value(json_object_get(node, "id")) !=
			id &&
		    view_node_server(node, name, sizeof(name)))
			found = found || server_same_host(server, name);
	}
	json_decref(nodes);
	return found;
}

/* The operator's next command need not ask a node that has gone: it would tell
 * an old story.  If it is the only one known, it stays. */
static void forget_server(const struct cli_args *a, struct session *s,
    json_t *view, json_t *node, uint64_t id)
{
	struct err why;
	struct buf text, kept;
	char gone[300], *at, *line;

	buf_init(&text);
	buf_init(&kept);
	if (view_node_server(node, gone, sizeof(gone)) &&
	    !served_by_another(view, id, gone) &&
	    session_read(s, "servers", &text, &why) == E_OK &&
	    buf_add_u8(&text, 0))
		for (line = strtok_r((char *)text.p, ", \t\r\n", &at);
		     line != NULL; line = strtok_r(NULL, ", \t\r\n", &at))
			if (!server_same_host(line, gone))
				buf_printf(&kept, "%s\n", line);
	if (kept.len > 0 && !kept.failed &&
	    session_write(s, "servers", buf_span(&kept), 0644, &why) != E_OK)
		fprintf(a->err, "quorate: %s\n", why.text);
	buf_free(&text);
	buf_free(&kept);
}

/* Does a node that has a quorum, or the one that left, say so? */
static bool says_removed(const json_t *status, uint64_t id)
{
	json_t *members = json_object_get(status, "members"), *row;
	size_t i;

	if (!json_is_true(json_object_get(status, "quorum")) &&
	    (uint64_t)json_integer_value(json_object_get(status, "id")) != id)
		return false;
	json_array_foreach(members, i, row)
	{
		if ((uint64_t)json_integer_value(json_object_get(row, "id")) ==
		    id)
			return strcmp(output_string(row, "state"), "removed") ==
			       0;
	}
	return true;
}

static bool has_left(struct session *s, uint64_t id)
{
	const struct client_request r = {.method = "GET", .path = "/v1/status"};
	bool left = false;

	for (size_t i = 0; i < client_servers(s->client) && !left; i++) {
		struct client_answer answer = {0};
		struct err ignored;
		json_t *o = NULL;

		if (client_call_at(s->client, i, &r, &answer, &ignored) ==
			E_OK &&
		    client_json(buf_span(&answer.body), answer.server, &o,
			&ignored) == E_OK)
			left = says_removed(o, id);
		json_decref(o);
		client_answer_free(&answer);
	}
	return left;
}

/* A removed node votes until the members without it are agreed on, and its own
 * vote may be needed for that. */
static bool wait_left(struct session *s, uint64_t id)
{
	const struct timespec pause = {0, 100000000};
	uint64_t until = clock_mono_ms() + LEAVE_MS;

	while (!has_left(s, id)) {
		if (clock_mono_ms() > until)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

static enum code print_removed(struct cli_args *a, enum cli_form form,
    uint64_t id, json_t *row, uint64_t index, bool left, struct err *e)
{
	enum code rc = E_OK;
	json_t *o;

	if (form == FORM_JSON) {
		o = json_pack("{s:I, s:b, s:b, s:I}", "id", (json_int_t)id,
		    "removed", 1, "left", left, "index", (json_int_t)index);
		rc = output_json(a->out, o, e);
		json_decref(o);
		return rc;
	}
	fprintf(a->out, "Node %llu of cluster %s is removed (log index %llu)",
	    (unsigned long long)id, output_string(row, "cluster"),
	    (unsigned long long)index);
	if (left)
		fprintf(a->out,
		    " and votes no more; its data directory is of no more "
		    "use.\n");
	else
		fprintf(a->out, ", but still votes: let it run until `" LOOK
				"` shows it as removed.\n");
	fprintf(a->out, "A removed id never comes back: quorate token create "
			"lets a new node join.\n");
	return rc;
}

static enum code remove_node(struct cli_args *a, struct session *s,
    enum cli_form form, uint64_t id, struct err *e)
{
	struct ca_admin *cmd = calloc(1, sizeof(*cmd));
	json_t *view = NULL, *row;
	uint64_t index = 0;
	enum code rc;

	if (cmd == NULL)
		return err_nomem(e);
	cmd->kind = CA_ADMIN_SET_NODE;
	rc = session_view(s, &view, e);
	row = rc == E_OK ? view_node(view, id) : NULL;
	if (rc == E_OK && row == NULL)
		rc = err_set(e, E_NOTFOUND,
		    "there is no node %llu: `" LOOK "` shows them",
		    (unsigned long long)id);
	if (rc == E_OK)
		rc = node_from(&cmd->u.set_node, row, e);
	if (rc == E_OK)
		rc = session_submit(s, cmd, 1, LOOK, &index, e);
	if (rc == E_OK) {
		forget_server(a, s, view, row, id);
		rc =
		    print_removed(a, form, id, row, index, wait_left(s, id), e);
	}
	json_decref(view);
	free(cmd);
	return rc;
}

static enum code run_remove(struct cli_args *a, struct err *e)
{
	struct session *s;
	enum cli_form form;
	uint64_t id;
	enum code rc;

	if ((rc = cli_form(a, false, &form, e)) != E_OK ||
	    (rc = cli_number(a->operands[0], &id, e)) != E_OK ||
	    (rc = session_open(&s, a, SESSION_OPERATOR, e)) != E_OK)
		return rc;
	rc = remove_node(a, s, form, id, e);
	session_close(s);
	return rc;
}

/* ---- transfer ---- */

/* The node that leads, as somebody with a quorum sees it; 0: nobody. */
static uint64_t leader_now(struct session *s)
{
	struct err ignored;
	json_t *o = NULL;
	uint64_t id = 0;

	if (client_get_json(s->client, "/v1/status", &o, &ignored) == E_OK &&
	    json_is_true(json_object_get(o, "quorum")))
		id = (uint64_t)json_integer_value(json_object_get(o, "leader"));
	json_decref(o);
	return id;
}

static enum code post_transfer(struct session *s, uint64_t to, struct err *e)
{
	char body[60];
	struct client_request r = {.method = "POST",
	    .path = "/v1/transfer",
	    .type = "application/json"};
	struct client_answer answer = {0};
	enum code rc;

	snprintf(body, sizeof(body), "{\"to\": %llu}", (unsigned long long)to);
	r.body = span_str(body);
	rc = client_call(s->client, &r, &answer, e);
	client_answer_free(&answer);
	return rc;
}

static enum code transfer(
    struct session *s, uint64_t to, uint64_t *now, struct err *e)
{
	const struct timespec pause = {0, 100000000};
	uint64_t was = leader_now(s);
	uint64_t until = clock_mono_ms() + TRANSFER_MS;
	enum code rc = post_transfer(s, to, e);

	while (rc == E_OK) {
		*now = leader_now(s);
		if (*now != 0 && (to != 0 ? *now == to : *now != was))
			return E_OK;
		if (clock_mono_ms() > until)
			return err_set(e, E_TIMEOUT,
			    "leadership was asked to move, and after %d s node "
			    "%llu leads: `quorate status` shows who does",
			    TRANSFER_MS / 1000, (unsigned long long)*now);
		nanosleep(&pause, NULL);
	}
	return rc;
}

static enum code run_transfer(struct cli_args *a, struct err *e)
{
	struct session *s;
	enum cli_form form;
	uint64_t to = 0, now = 0;
	json_t *o;
	enum code rc;

	if ((rc = cli_form(a, false, &form, e)) != E_OK ||
	    (a->operands_n > 0 &&
		(rc = cli_number(a->operands[0], &to, e)) != E_OK) ||
	    (rc = session_open(&s, a, SESSION_OPERATOR, e)) != E_OK)
		return rc;
	rc = transfer(s, to, &now, e);
	if (rc == E_OK && form == FORM_JSON) {
		o = json_pack("{s:I}", "leader", (json_int_t)now);
		rc = output_json(a->out, o, e);
		json_decref(o);
	} else if (rc == E_OK) {
		fprintf(a->out, "Node %llu leads.\n", (unsigned long long)now);
	}
	session_close(s);
	return rc;
}

const struct cli_command cli_member[] = {
    {"member", "list", NULL, 0, 0, "nodes, and how they are", run_list,
	{{NULL, NULL, NULL}}},
    {"member", "remove", "ID", 1, 1,
	"take a node away: it no longer votes and nothing is sent to it",
	run_remove, {{NULL, NULL, NULL}}},
    {"member", "transfer", "[ID]", 0, 1,
	"hand leadership over, to any node or to this one", run_transfer,
	{{NULL, NULL, NULL}}},
    {0},
};
