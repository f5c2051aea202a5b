/* words.c -- messages, entries and configurations. */
#include "words.h"

#include <stdlib.h>
#include <string.h>

static const char *const states[] = {
    "StateFollower", "StateCandidate", "StateLeader", "StatePreCandidate"};

const char *say_error(int rc)
{
	switch (rc) {
	case RAFT_EDROPPED: return "raft proposal dropped";
	case RAFT_ENOTFOUND: return "raft: cannot step as peer not found";
	default: return raft_strerror(rc);
	}
}

void say_ids(struct out *o, const raft_id *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		say(o, "%s%llx", i == 0 ? "" : " ", ULL(ids[i]));
}

static void say_set(
    struct out *o, const char *name, const raft_id *ids, size_t n)
{
	say(o, "%s(", name);
	say_ids(o, ids, n);
	say(o, ")");
}

void say_conf(struct out *o, const struct raft_conf_state *c)
{
	say_set(o, "voters=", c->voters, c->voters_n);
	if (c->voters_outgoing_n > 0)
		say_set(o, "&&", c->voters_outgoing, c->voters_outgoing_n);
	if (c->learners_n > 0)
		say_set(o, " learners=", c->learners, c->learners_n);
	if (c->learners_next_n > 0)
		say_set(
		    o, " learners_next=", c->learners_next, c->learners_next_n);
	if (c->auto_leave)
		say(o, " autoleave");
}

void say_progress(
    struct out *o, const struct progress *p, const struct tracker *t)
{
	static const char *const names[] = {
	    "StateProbe", "StateReplicate", "StateSnapshot"};

	say(o, "%s match=%llu next=%llu", names[p->state], ULL(p->match),
	    ULL(p->next));
	if (p->learner)
		say(o, " learner");
	if (progress_paused(p))
		say(o, " paused");
	if (p->pending_snapshot > 0)
		say(o, " pendingSnap=%llu", ULL(p->pending_snapshot));
	if (!p->recent_active)
		say(o, " inactive");
	if (p->inflights.n > 0)
		say(o, " inflight=%zu%s", p->inflights.n,
		    inflights_full(&p->inflights, t) ? "[full]" : "");
}

/* By enum raft_change_type: u, an update, changes nothing. */
static const char letters[] = "vrul";

bool parse_changes(const char *text, struct raft_conf_change *out)
{
	while (*(text += strspn(text, " \n")) != '\0') {
		struct raft_change *change = &out->changes[out->n];
		const char *at = strchr(letters, *text);
		char *end;

		if (at == NULL || out->n == RAFT_PEERS_MAX)
			return false;
		change->type = (enum raft_change_type)(at - letters);
		change->id = strtoull(text + 1, &end, 10);
		out->n++;
		text = end;
	}
	return true;
}

static void say_changes(struct out *o, const struct raft_conf_change *c)
{
	for (size_t i = 0; i < c->n; i++)
		say(o, " %c%llu", letters[c->changes[i].type],
		    ULL(c->changes[i].id));
}

static bool is_v1(const struct v1_changes *v1, const struct raft_entry *e)
{
	for (size_t i = 0; i < v1->n; i++)
		if (v1->ids[i].term == e->term && v1->ids[i].index == e->index)
			return true;
	return false;
}

static void say_quoted(struct out *o, struct raft_span data)
{
	const char *p = data.p;

	say(o, "\"");
	for (size_t i = 0; i < data.len; i++)
		say(o, p[i] == '"' || p[i] == '\\' ? "\\%c" : "%c", p[i]);
	say(o, "\"");
}

static void say_entry(
    struct out *o, const struct v1_changes *v1, const struct raft_entry *e)
{
	struct raft_conf_change c;

	say(o, "%llu/%llu ", ULL(e->term), ULL(e->index));
	if (e->type == RAFT_ENTRY_NORMAL) {
		say(o, "EntryNormal ");
		say_quoted(o, e->data);
		return;
	}
	say(o, is_v1(v1, e) ? "EntryConfChange" : "EntryConfChangeV2");
	if (raft_conf_change_decode(e->data, &c) == RAFT_OK)
		say_changes(o, &c);
}

void say_entries(struct out *o, const struct v1_changes *v1,
    const struct raft_entry *e, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		say_entry(o, v1, &e[i]);
		say(o, "\n");
	}
}

static void say_node(struct out *o, raft_id id)
{
	if (id == 0)
		say(o, "None");
	else if (id == RAFT_APPEND_THREAD)
		say(o, "AppendThread");
	else if (id == RAFT_APPLY_THREAD)
		say(o, "ApplyThread");
	else
		say(o, "%llx", ULL(id));
}

static void say_bracketed(
    struct out *o, const char *name, const raft_id *ids, size_t n)
{
	say(o, "%s:[", name);
	for (size_t i = 0; i < n; i++)
		say(o, "%s%llu", i == 0 ? "" : " ", ULL(ids[i]));
	say(o, "]");
}

static void say_snapshot(struct out *o, const struct raft_snapshot *s)
{
	const struct raft_conf_state *c = &s->conf_state;

	say(o, "Index:%llu Term:%llu ConfState:", ULL(s->index), ULL(s->term));
	say_bracketed(o, "Voters", c->voters, c->voters_n);
	say_bracketed(
	    o, " VotersOutgoing", c->voters_outgoing, c->voters_outgoing_n);
	say_bracketed(o, " Learners", c->learners, c->learners_n);
	say_bracketed(o, " LearnersNext", c->learners_next, c->learners_next_n);
	say(o, " AutoLeave:%s", c->auto_leave ? "true" : "false");
}

static void say_message_entries(struct out *o, const struct v1_changes *v1,
    const struct raft_message *m, const char *indent)
{
	if (m->entries_n == 0)
		return;
	say(o, " Entries:[");
	for (size_t i = 0; i < m->entries_n; i++) {
		if (m->entries_n > 1)
			say(o, "\n%s  ", indent);
		say_entry(o, v1, &m->entries[i]);
	}
	if (m->entries_n > 1)
		say(o, "\n%s", indent);
	say(o, "]");
}

struct raft_message response(const struct raft_message *m, size_t i)
{
	struct raft_message r = m->responses[i];

	if (r.type == RAFT_MSG_STORAGE_APPLY_RESP) {
		r.entries = m->entries;
		r.entries_n = m->entries_n;
	}
	return r;
}

static void say_indented(struct out *o, const struct v1_changes *v1,
    const struct raft_message *m, const char *indent)
{
	bool applied = m->type == RAFT_MSG_STORAGE_APPLY_RESP;
	struct raft_message r;

	say(o, "%s", indent);
	say_node(o, m->from);
	say(o, "->");
	say_node(o, m->to);
	say(o, " Msg%s Term:%llu Log:%llu/%llu", raft_message_name(m->type),
	    ULL(m->term), ULL(m->log_term), ULL(applied ? 0 : m->index));
	if (m->reject)
		say(o, " Rejected (Hint: %llu)", ULL(m->reject_hint));
	if (m->commit != 0)
		say(o, " Commit:%llu", ULL(m->commit));
	if (m->vote != 0)
		say(o, " Vote:%llu", ULL(m->vote));
	say_message_entries(o, v1, m, indent);
	if (m->snapshot != NULL) {
		say(o, "\n%s  Snapshot: ", indent);
		say_snapshot(o, m->snapshot);
	}
	if (m->responses_n == 0)
		return;
	say(o, " Responses:[");
	for (size_t i = 0; i < m->responses_n; i++) {
		say(o, "\n");
		r = response(m, i);
		say_indented(o, v1, &r, "  ");
	}
	say(o, "\n%s]", indent);
}

void say_message(
    struct out *o, const struct v1_changes *v1, const struct raft_message *m)
{
	say_indented(o, v1, m, "");
}

static bool is_empty(const struct raft_ready *rd)
{
	return !rd->soft_changed && !rd->hard_changed &&
	       rd->read_states_n == 0 && rd->entries_n == 0 &&
	       rd->snapshot == NULL && rd->committed_n == 0 &&
	       rd->messages_n == 0;
}

static void say_states(struct out *o, const struct raft_ready *rd)
{
	if (rd->soft_changed)
		say(o, "Lead:%llu State:%s\n", ULL(rd->leader),
		    states[rd->state]);
	if (rd->hard_changed) {
		say(o, "HardState Term:%llu", ULL(rd->hard.term));
		if (rd->hard.vote != 0)
			say(o, " Vote:%llu", ULL(rd->hard.vote));
		say(o, " Commit:%llu\n", ULL(rd->hard.commit));
	}
	for (size_t i = 0; i < rd->read_states_n; i++)
		say(o, "%s{%llu %llu}%s", i == 0 ? "ReadStates [" : " ",
		    ULL(rd->read_states[i].index),
		    ULL(rd->read_states[i].context),
		    i + 1 == rd->read_states_n ? "]\n" : "");
}

void say_ready(
    struct out *o, const struct v1_changes *v1, const struct raft_ready *rd)
{
	if (is_empty(rd)) {
		say(o, "<empty Ready>");
		return;
	}
	say(o, "Ready MustSync=%s:\n", rd->must_sync ? "true" : "false");
	say_states(o, rd);
	if (rd->entries_n > 0)
		say(o, "Entries:\n");
	say_entries(o, v1, rd->entries, rd->entries_n);
	if (rd->snapshot != NULL) {
		say(o, "Snapshot ");
		say_snapshot(o, rd->snapshot);
		say(o, "\n");
	}
	if (rd->committed_n > 0)
		say(o, "CommittedEntries:\n");
	say_entries(o, v1, rd->committed, rd->committed_n);
	if (rd->messages_n > 0)
		say(o, "Messages:\n");
	for (size_t i = 0; i < rd->messages_n; i++) {
		say_message(o, v1, &rd->messages[i]);
		say(o, "\n");
	}
}
