/* env.c -- what nodes do with their work, and messages between them. */
#include "env.h"

#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 100 /* no script needs as many to come to rest */

struct env *env_new(void)
{
	struct env *e = calloc(1, sizeof(*e));

	if (e == NULL)
		abort();
	return e;
}

void env_free(struct env *e)
{
	for (size_t i = 0; i < e->n; i++) {
		raft_free(e->nodes[i].raft);
		disk_free(&e->nodes[i].disk);
		queue_free(&e->nodes[i].append_work);
		queue_free(&e->nodes[i].apply_work);
	}
	queue_free(&e->messages);
	free(e);
}

struct node *env_node(struct env *e, raft_id id)
{
	return id == 0 || id > e->n ? NULL : &e->nodes[id - 1];
}

/* ---- Starting ---- */

static void say_start(struct env *e, struct node *n)
{
	struct raft_entry_id last = {0, 0};
	struct raft_status s;

	raft_status(n->raft, &s);
	log_last(&n->raft->log, &last);
	if (e->out->level > LEVEL_INFO)
		return;
	say(e->out, "INFO newRaft %llx [peers: [", ULL(n->id));
	for (size_t i = 0; i < s.conf.voters_n; i++)
		say(e->out, "%s%llx", i == 0 ? "" : ",", ULL(s.conf.voters[i]));
	say(e->out,
	    "], term: %llu, commit: %llu, applied: %llu, lastindex: %llu, "
	    "lastterm: %llu]\n",
	    ULL(s.hard.term), ULL(s.hard.commit), ULL(s.applied),
	    ULL(s.last_index), ULL(last.term));
}

const char *env_add_node(struct env *e, const struct raft_config *config,
    const struct raft_snapshot *s)
{
	struct node *n = &e->nodes[e->n];
	struct raft_snapshot first = *s;
	int rc;

	if (e->n == NODES_MAX)
		return "too many nodes";
	*n = (struct node){.id = e->n + 1, .config = *config};
	if (s->index > 0) {
		first.term = 1;
		disk_append(&n->disk, NULL, NULL, 0, &first);
	}
	disk_remember(&n->disk, &first);
	n->config.id = n->config.seed = n->id;
	n->config.storage = disk_storage(&n->disk);
	n->config.trace = say_trace;
	n->config.trace_ctx = e->out;
	e->n++;
	rc = raft_init(&n->raft, &n->config);
	if (rc != RAFT_OK)
		return raft_strerror(rc);
	say_start(e, n);
	return NULL;
}

/* ---- Work ---- */

static struct raft_message *take(struct raft_queue *q, size_t at)
{
	struct raft_message *m = q->m[at];

	q->n--;
	memmove(&q->m[at], &q->m[at + 1], (q->n - at) * sizeof(*q->m));
	return m;
}

static void put(struct raft_queue *q, const struct raft_message *m)
{
	if (queue_add(q, m) != RAFT_OK)
		abort();
}

static void apply(struct node *n, const struct raft_entry *e, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct raft_snapshot s = *disk_newest(&n->disk);
		struct raft_conf_change c;

		if (e[i].type == RAFT_ENTRY_CONF_CHANGE &&
		    raft_conf_change_decode(e[i].data, &c) == RAFT_OK)
			raft_apply_conf_change(n->raft, &c, &s.conf_state);
		s.index = e[i].index;
		s.term = e[i].term;
		disk_remember(&n->disk, &s);
	}
}

static void send(struct env *e, struct node *n, const struct raft_message *m)
{
	switch (m->to) {
	case RAFT_APPEND_THREAD: put(&n->append_work, m); break;
	case RAFT_APPLY_THREAD: put(&n->apply_work, m); break;
	default: put(&e->messages, m); break;
	}
}

void env_process_ready(struct env *e, struct node *n)
{
	struct raft_ready rd;

	if (raft_ready(n->raft, &rd) != RAFT_OK) {
		say(e->out, "the node has stopped\n");
		return;
	}
	say_ready(e->out, &e->v1, &rd);
	for (size_t i = 0; i < rd.messages_n; i++)
		send(e, n, &rd.messages[i]);
	if (n->config.async_storage)
		return;
	disk_append(&n->disk, rd.hard_changed ? &rd.hard : NULL, rd.entries,
	    rd.entries_n, rd.snapshot);
	if (rd.snapshot != NULL)
		disk_remember(&n->disk, rd.snapshot);
	apply(n, rd.committed, rd.committed_n);
	raft_advance(n->raft);
}

/* Take one piece of work, tell of it, and of what answers it. */
static struct raft_message *begin_work(
    struct env *e, struct raft_queue *q, const char *kind)
{
	struct raft_message *m;
	size_t responses;

	if (q->n == 0) {
		say(e->out, "no %s work to perform", kind);
		return NULL;
	}
	m = take(q, 0);
	responses = m->responses_n;
	m->responses_n = 0;
	say(e->out, "Processing:\n");
	say_message(e->out, &e->v1, m);
	say(e->out, "\n");
	m->responses_n = responses;
	return m;
}

static void end_work(struct env *e, struct raft_message *m)
{
	say(e->out, "Responses:\n");
	for (size_t i = 0; i < m->responses_n; i++) {
		struct raft_message r = response(m, i);

		say_message(e->out, &e->v1, &r);
		say(e->out, "\n");
		put(&e->messages, &r);
	}
	free(m);
}

void env_process_append(struct env *e, struct node *n)
{
	struct raft_message *m = begin_work(e, &n->append_work, "append");

	if (m == NULL)
		return;
	disk_append(&n->disk,
	    m->term == 0
		? NULL
		: &(struct raft_hard_state){m->term, m->vote, m->commit},
	    m->entries, m->entries_n, m->snapshot);
	if (m->snapshot != NULL)
		disk_remember(&n->disk, m->snapshot);
	end_work(e, m);
}

void env_process_apply(struct env *e, struct node *n)
{
	struct raft_message *m = begin_work(e, &n->apply_work, "apply");

	if (m == NULL)
		return;
	apply(n, m->entries, m->entries_n);
	end_work(e, m);
}

/* ---- The network ---- */

static bool is_local(const struct raft_message *m)
{
	return m->from == m->to || m->from == RAFT_APPEND_THREAD ||
	       m->from == RAFT_APPLY_THREAD;
}

static bool is_for(const struct raft_message *m, raft_id to,
    enum raft_message_type type, bool drop)
{
	/* What a node tells itself cannot be lost. */
	return m->to == to && !(drop && is_local(m)) &&
	       (type == RAFT_MSG_TYPES || m->type == type);
}

size_t env_deliver(
    struct env *e, raft_id to, enum raft_message_type type, bool drop)
{
	struct node *n = env_node(e, to);
	struct raft_queue mine = {0};
	int rc;

	for (size_t i = 0; i < e->messages.n;) {
		if (!is_for(e->messages.m[i], to, type, drop)) {
			i++;
			continue;
		}
		put(&mine, e->messages.m[i]);
		free(take(&e->messages, i));
	}
	for (size_t i = 0; i < mine.n; i++) {
		say(e->out, "%s", drop ? "dropped: " : "");
		say_message(e->out, &e->v1, mine.m[i]);
		say(e->out, "\n");
		if (drop || n == NULL)
			continue;
		rc = raft_step(n->raft, mine.m[i]);
		if (rc != RAFT_OK)
			say(e->out, "%s\n", say_error(rc));
	}
	to = mine.n;
	queue_free(&mine);
	return (size_t)to;
}

/* ---- Until nothing moves ---- */

static bool ready_all(struct env *e, struct node **nodes, size_t n)
{
	bool moved = false;

	for (size_t i = 0; i < n; i++) {
		size_t mark;

		if (!raft_has_ready(nodes[i]->raft))
			continue;
		say(e->out, "> %llu handling Ready\n", ULL(nodes[i]->id));
		mark = e->out->n;
		env_process_ready(e, nodes[i]);
		out_indent(e->out, mark);
		moved = true;
	}
	return moved;
}

static bool deliver_all(struct env *e, struct node **nodes, size_t n)
{
	bool moved = false;

	for (size_t i = 0; i < n; i++) {
		bool any = false;
		size_t mark;

		for (size_t k = 0; k < e->messages.n; k++)
			any |= e->messages.m[k]->to == nodes[i]->id;
		if (!any)
			continue;
		say(e->out, "> %llu receiving messages\n", ULL(nodes[i]->id));
		mark = e->out->n;
		env_deliver(e, nodes[i]->id, RAFT_MSG_TYPES, false);
		out_indent(e->out, mark);
		moved = true;
	}
	return moved;
}

static bool work_all(struct env *e, struct node **nodes, size_t n, bool append)
{
	bool moved = false;

	for (size_t i = 0; i < n; i++) {
		struct raft_queue *q =
		    append ? &nodes[i]->append_work : &nodes[i]->apply_work;
		size_t mark;

		if (q->n == 0)
			continue;
		say(e->out, "> %llu processing %s thread\n", ULL(nodes[i]->id),
		    append ? "append" : "apply");
		mark = e->out->n;
		while (q->n > 0)
			(append ? env_process_append : env_process_apply)(
			    e, nodes[i]);
		out_indent(e->out, mark);
		moved = true;
	}
	return moved;
}

void env_stabilize(struct env *e, struct node **nodes, size_t n)
{
	for (int rounds = 0; rounds < ROUNDS_MAX; rounds++) {
		bool moved = ready_all(e, nodes, n);

		moved |= deliver_all(e, nodes, n);
		moved |= work_all(e, nodes, n, true);
		moved |= work_all(e, nodes, n, false);
		if (!moved)
			return;
	}
	out_add(e->out, "does not come to rest\n");
}
