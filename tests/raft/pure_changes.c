/* pure_changes.c -- changes of membership, applied to a configuration. */
#include <stdlib.h>
#include <string.h>

#include "pure.h"
#include "words.h"

struct changes {
	struct tracker tracker;
	raft_index last; /* as if each command were an entry of the log */
};

struct changes *changes_new(void)
{
	struct changes *c = calloc(1, sizeof(*c));

	if (c == NULL)
		abort();
	c->tracker.max_inflight_msgs = 10;
	return c;
}

void changes_free(struct changes *c)
{
	tracker_free(&c->tracker);
	free(c);
}

static bool leaves_voters(
    const struct raft_conf_state *conf, const struct raft_conf_change *change)
{
	struct raft_conf_state s = *conf;

	for (size_t i = 0; i < change->n; i++) {
		size_t at = 0;

		if (change->changes[i].type == RAFT_NOP ||
		    change->changes[i].id == 0)
			continue;
		while (at < s.voters_n && s.voters[at] != change->changes[i].id)
			at++;
		if (change->changes[i].type == RAFT_ADD_VOTER)
			s.voters_n += at == s.voters_n;
		else if (at < s.voters_n)
			s.voters[at] = s.voters[--s.voters_n];
		if (change->changes[i].type == RAFT_ADD_VOTER)
			s.voters[at] = change->changes[i].id;
	}
	return s.voters_n > 0;
}

/* The core says that a change cannot be; etcd also says why. */
static const char *why_not(const struct raft_conf_state *conf,
    enum conf_way way, const struct raft_conf_change *change)
{
	bool joint = conf->voters_outgoing_n > 0;

	if (way == CONF_LEAVE_JOINT)
		return "can't leave a non-joint config";
	if (joint)
		return way == CONF_SIMPLE
			   ? "can't apply simple config change in joint config"
			   : "config is already joint";
	if (way == CONF_ENTER_JOINT && conf->voters_n == 0)
		return "can't make a zero-voter config joint";
	if (!leaves_voters(conf, change))
		return "removed all voters";
	return "more than one voter changed without entering joint config";
}

void changes_run(void *ctx, const struct command *cmd, struct out *out)
{
	struct changes *c = ctx;
	struct tracker *t = &c->tracker;
	struct raft_conf_change change = {.transition = RAFT_JOINT_EXPLICIT};
	enum conf_way way = CONF_SIMPLE;

	if (strcmp(cmd->name, "enter-joint") == 0)
		way = CONF_ENTER_JOINT;
	else if (strcmp(cmd->name, "leave-joint") == 0)
		way = CONF_LEAVE_JOINT;
	if (cmd->n > 0 && truth(cmd->args[0].values[0]))
		change.transition = RAFT_JOINT_IMPLICIT;
	if (!parse_changes(cmd->input, &change)) {
		say(out, "unknown input");
		return;
	}
	if (conf_apply_as(t, way, &change, c->last++) != RAFT_OK) {
		say(out, "%s", why_not(&t->conf, way, &change));
		return;
	}
	say_conf(out, &t->conf);
	say(out, "\n");
	for (size_t i = 0; i < t->n; i++) {
		say(out, "%llu: ", ULL(t->peers[i].id));
		say_progress(out, &t->peers[i], t);
		say(out, "\n");
	}
}
