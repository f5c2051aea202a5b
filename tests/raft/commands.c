/* commands.c -- the commands of an interaction script. */
#include "env.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- Arguments ---- */

static const struct arg *find_arg(const struct command *c, const char *key)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->args[i].n > 0 && strcmp(c->args[i].key, key) == 0)
			return &c->args[i];
	return NULL;
}

static const char *value(const struct command *c, const char *key)
{
	const struct arg *a = find_arg(c, key);

	return a == NULL ? "" : a->values[0];
}

/* Argument i as a node; NULL: it is none. */
static struct node *node_arg(struct env *e, const struct command *c, size_t i)
{
	return i < c->n ? env_node(e, number(c->args[i].key, 0)) : NULL;
}

/* All arguments that are nodes, in their order. */
static size_t node_args(
    struct env *e, const struct command *c, struct node **nodes)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		if (c->args[i].n == 0 && node_arg(e, c, i) != NULL)
			nodes[n++] = node_arg(e, c, i);
	return n;
}

static void say_result(struct env *e, int rc)
{
	/* An error is told even where all else is silent. */
	if (rc != RAFT_OK)
		out_add(e->out, "%s", say_error(rc));
}

/* ---- Nodes ---- */

static void ids_arg(const struct arg *a, raft_id *ids, size_t *n)
{
	for (size_t i = 0; i < a->n; i++)
		ids[(*n)++] = number(a->values[i], 0);
}

static void configure(
    const struct arg *a, struct raft_config *config, struct raft_snapshot *s)
{
	const char *key = a->key, *v = a->values[0];

	if (strcmp(key, "voters") == 0)
		ids_arg(a, s->conf_state.voters, &s->conf_state.voters_n);
	else if (strcmp(key, "learners") == 0)
		ids_arg(a, s->conf_state.learners, &s->conf_state.learners_n);
	else if (strcmp(key, "index") == 0)
		s->index = config->applied = number(v, 0);
	else if (strcmp(key, "inflight") == 0)
		config->max_inflight_msgs = number(v, 0);
	else if (strcmp(key, "max-committed-size-per-ready") == 0)
		config->max_committed_size_per_ready = number(v, 0);
	else if (strcmp(key, "async-storage-writes") == 0)
		config->async_storage = truth(v);
	else if (strcmp(key, "prevote") == 0)
		config->pre_vote = truth(v);
	else if (strcmp(key, "checkquorum") == 0)
		config->check_quorum = truth(v);
	else if (strcmp(key, "disable-conf-change-validation") == 0)
		config->disable_conf_change_validation = truth(v);
	else if (strcmp(key, "step-down-on-removal") == 0)
		config->step_down_on_removal = truth(v);
	else if (strcmp(key, "read-only") == 0)
		config->read_mode = strcmp(v, "lease-based") == 0
					? RAFT_READ_LEASE
					: RAFT_READ_SAFE;
}

static void add_nodes(struct env *e, const struct command *c)
{
	struct raft_config config = {.election_ticks = 3,
	    .heartbeat_ticks = 1,
	    .max_size_per_msg = SIZE_MAX,
	    .max_inflight_msgs = INT32_MAX,
	    .early_vote_requests = true};
	struct raft_snapshot s = {0};
	const char *why = NULL;

	for (size_t i = 1; i < c->n; i++)
		if (c->args[i].n > 0)
			configure(&c->args[i], &config, &s);
	for (uint64_t k = 0; why == NULL && k < number(c->args[0].key, 0); k++)
		why = env_add_node(e, &config, &s);
	if (why != NULL)
		out_add(e->out, "%s", why);
}

static void campaign(struct env *e, const struct command *c)
{
	say_result(e, raft_campaign(node_arg(e, c, 0)->raft));
}

static void forget_leader(struct env *e, const struct command *c)
{
	raft_forget_leader(node_arg(e, c, 0)->raft);
}

static void transfer_leadership(struct env *e, const struct command *c)
{
	raft_transfer_leader(env_node(e, number(value(c, "from"), 0))->raft,
	    number(value(c, "to"), 0));
}

static void report_unreachable(struct env *e, const struct command *c)
{
	raft_report_unreachable(node_arg(e, c, 0)->raft, node_arg(e, c, 1)->id);
}

static void set_timeout(struct env *e, const struct command *c)
{
	raft_set_election_timeout(
	    node_arg(e, c, 0)->raft, (unsigned)number(value(c, "timeout"), 0));
}

static void tick(struct node *n, unsigned times)
{
	while (times-- > 0)
		raft_tick(n->raft);
}

static void tick_election(struct env *e, const struct command *c)
{
	struct node *n = node_arg(e, c, 0);

	tick(n, n->config.election_ticks);
}

static void tick_heartbeat(struct env *e, const struct command *c)
{
	struct node *n = node_arg(e, c, 0);

	tick(n, n->config.heartbeat_ticks);
}

/* ---- Proposals ---- */

static void propose(struct env *e, const struct command *c)
{
	struct raft_span data = {c->args[1].key, strlen(c->args[1].key)};

	say_result(e, raft_propose(node_arg(e, c, 0)->raft, &data, 1));
}

static void propose_conf_change(struct env *e, const struct command *c)
{
	struct raft *r = node_arg(e, c, 0)->raft;
	struct raft_conf_change change = {.transition = RAFT_AUTO};
	struct raft_status s;
	int rc;

	if (strcmp(value(c, "transition"), "implicit") == 0)
		change.transition = RAFT_JOINT_IMPLICIT;
	else if (strcmp(value(c, "transition"), "explicit") == 0)
		change.transition = RAFT_JOINT_EXPLICIT;
	if (!parse_changes(c->input, &change)) {
		out_add(e->out, "unknown input");
		return;
	}
	rc = raft_propose_conf_change(r, &change);
	raft_status(r, &s);
	/* A leader's: what is forwarded gets its index elsewhere. */
	if (rc == RAFT_OK && truth(value(c, "v1")) && e->v1.n < V1_MAX)
		e->v1.ids[e->v1.n++] =
		    (struct raft_entry_id){s.hard.term, s.last_index};
	say_result(e, rc);
}

/* ---- Work ---- */

static void for_each(struct env *e, const struct command *c, const char *what,
    void (*process)(struct env *e, struct node *n))
{
	struct node *nodes[ARGS_MAX];
	size_t n = node_args(e, c, nodes), mark;

	for (size_t i = 0; i < n; i++) {
		if (n > 1)
			say(e->out, "> %llu %s\n", ULL(nodes[i]->id), what);
		mark = e->out->n;
		process(e, nodes[i]);
		if (n > 1)
			out_indent(e->out, mark);
	}
}

static void process_ready(struct env *e, const struct command *c)
{
	for_each(e, c, "handling Ready", env_process_ready);
}

static void process_append(struct env *e, const struct command *c)
{
	for_each(e, c, "processing append thread", env_process_append);
}

static void process_apply(struct env *e, const struct command *c)
{
	for_each(e, c, "processing apply thread", env_process_apply);
}

static void stabilize(struct env *e, const struct command *c)
{
	struct node *nodes[NODES_MAX];
	size_t n = node_args(e, c, nodes);
	enum level was = e->out->level;

	if (find_arg(c, "log-level") != NULL)
		e->out->level = level_named(value(c, "log-level"));
	for (size_t i = 0; n == 0 && i < e->n; i++)
		nodes[i] = &e->nodes[i];
	env_stabilize(e, nodes, n == 0 ? e->n : n);
	e->out->level = was;
}

static enum raft_message_type type_named(const char *name)
{
	int t = 0;

	while (t < RAFT_MSG_TYPES &&
	       strcmp(raft_message_name((enum raft_message_type)t), name) != 0)
		t++;
	return (enum raft_message_type)t;
}

static void deliver_msgs(struct env *e, const struct command *c)
{
	enum raft_message_type type = RAFT_MSG_TYPES;
	size_t n = 0;

	if (find_arg(c, "type") != NULL)
		type = type_named(value(c, "type") + strlen("Msg"));
	for (size_t i = 0; i < c->n; i++) {
		const struct arg *a = &c->args[i];

		if (a->n == 0)
			n += env_deliver(e, number(a->key, 0), type, false);
		for (size_t k = 0; k < a->n && strcmp(a->key, "drop") == 0; k++)
			n +=
			    env_deliver(e, number(a->values[k], 0), type, true);
	}
	if (n == 0)
		say(e->out, "no messages\n");
}

static void send_snapshot(struct env *e, const struct command *c)
{
	struct node *from = node_arg(e, c, 0);
	struct raft_snapshot s = *disk_newest(&from->disk);
	struct raft_message m = {.type = RAFT_MSG_SNAP,
	    .term = from->raft->term,
	    .from = from->id,
	    .to = node_arg(e, c, 1)->id,
	    .snapshot = &s};

	if (queue_add(&e->messages, &m) != RAFT_OK)
		abort();
	say_message(e->out, &e->v1, &m);
}

/* ---- Looking ---- */

static void log_level(struct env *e, const struct command *c)
{
	e->out->level = level_named(c->args[0].key);
}

static void raft_state(struct env *e, const struct command *c)
{
	static const char *const names[] = {"StateFollower", "StateCandidate",
	    "StateLeader", "StatePreCandidate"};

	(void)c;
	for (size_t i = 0; i < e->n; i++) {
		const struct raft *r = e->nodes[i].raft;

		say(e->out, "%llu: %s (%s) Term:%llu Lead:%llu\n", ULL(r->id),
		    names[r->state],
		    tracker_is_voter(&r->tracker, r->id) ? "Voter"
							 : "Non-Voter",
		    ULL(r->term), ULL(r->leader));
	}
}

static void status(struct env *e, const struct command *c)
{
	const struct raft *r = node_arg(e, c, 0)->raft;

	for (size_t i = 0; r->state == RAFT_LEADER && i < r->tracker.n; i++) {
		const struct progress *p = &r->tracker.peers[i];

		say(e->out, "%llu: ", ULL(p->id));
		say_progress(e->out, p, &r->tracker);
		say(e->out, "\n");
	}
}

static void raft_log(struct env *e, const struct command *c)
{
	struct disk *d = &node_arg(e, c, 0)->disk;

	if (d->n == 0)
		say(e->out, "log is empty: first index=%llu, last index=%llu",
		    ULL(d->before.index + 1), ULL(disk_last(d)));
	for (size_t i = 0; i < d->n; i++)
		say_entries(e->out, &e->v1, d->entries[i], 1);
}

static void compact(struct env *e, const struct command *c)
{
	int rc =
	    disk_compact(&node_arg(e, c, 0)->disk, number(c->args[1].key, 0));

	say_result(e, rc);
	if (rc == RAFT_OK)
		raft_log(e, c);
}

/* ---- The table ---- */

static const struct {
	const char *name;
	void (*run)(struct env *e, const struct command *c);
	size_t nodes; /* so many first arguments are nodes */
} commands[] = {
    {"add-nodes", add_nodes, 0},
    {"campaign", campaign, 1},
    {"compact", compact, 1},
    {"deliver-msgs", deliver_msgs, 0},
    {"forget-leader", forget_leader, 1},
    {"log-level", log_level, 0},
    {"process-append-thread", process_append, 1},
    {"process-apply-thread", process_apply, 1},
    {"process-ready", process_ready, 1},
    {"propose", propose, 1},
    {"propose-conf-change", propose_conf_change, 1},
    {"raft-log", raft_log, 1},
    {"raft-state", raft_state, 0},
    {"report-unreachable", report_unreachable, 2},
    {"send-snapshot", send_snapshot, 2},
    {"set-randomized-election-timeout", set_timeout, 1},
    {"stabilize", stabilize, 0},
    {"status", status, 1},
    {"tick-election", tick_election, 1},
    {"tick-heartbeat", tick_heartbeat, 1},
    {"transfer-leadership", transfer_leadership, 0},
};

void env_run(void *ctx, const struct command *c, struct out *out)
{
	struct env *e = ctx;

	e->out = out;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		size_t k = 0;

		if (strcmp(commands[i].name, c->name) != 0)
			continue;
		while (k < commands[i].nodes && node_arg(e, c, k) != NULL)
			k++;
		if (k < commands[i].nodes)
			out_add(out, "no such node");
		else
			commands[i].run(e, c);
		if (out->n == 0)
			out_add(out, "ok");
		return;
	}
	out_add(out, "unknown command");
}
