/* message.c -- names, deep copies and queues of messages. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

const char *raft_strerror(int rc)
{
	static const char *const texts[] = {"ok",
	    "proposal dropped: no leader, or it is busy",
	    "index is below the first of the log",
	    "index is past the last of the log", "no snapshot yet",
	    "invalid message or configuration", "no such peer", "out of memory",
	    "storage could not read"};

	return rc <= 0 && -rc < (int)(sizeof(texts) / sizeof(texts[0]))
		   ? texts[-rc]
		   : "unknown";
}

const char *raft_state_name(enum raft_state s)
{
	static const char *const names[] = {
	    "follower", "candidate", "leader", "pre-candidate"};

	return names[s];
}

const char *raft_message_name(enum raft_message_type t)
{
	static const char *const names[RAFT_MSG_TYPES] = {"Hup", "Beat", "Prop",
	    "App", "AppResp", "Vote", "VoteResp", "Snap", "Heartbeat",
	    "HeartbeatResp", "Unreachable", "SnapStatus", "CheckQuorum",
	    "TransferLeader", "TimeoutNow", "ReadIndex", "ReadIndexResp",
	    "PreVote", "PreVoteResp", "StorageAppend", "StorageAppendResp",
	    "StorageApply", "StorageApplyResp", "ForgetLeader"};

	return (unsigned)t < RAFT_MSG_TYPES ? names[t] : "unknown";
}

static size_t aligned(size_t n)
{
	return (n + 15) & ~(size_t)15;
}

static size_t entries_room(const struct raft_entry *e, size_t n)
{
	size_t sum = aligned(n * sizeof(*e));

	for (size_t i = 0; i < n; i++)
		sum += e[i].data.len;
	return aligned(sum);
}

/* Copy into a block that has room for it; returns what follows. */
static uint8_t *entries_place(uint8_t *to, const struct raft_entry *e, size_t n)
{
	struct raft_entry *out = (void *)to;
	uint8_t *data = to + aligned(n * sizeof(*e));

	for (size_t i = 0; i < n; i++) {
		out[i] = e[i];
		out[i].data.p = data;
		if (e[i].data.len > 0)
			memcpy(data, e[i].data.p, e[i].data.len);
		data += e[i].data.len;
	}
	return to + entries_room(e, n);
}

struct raft_entry *raft_entries_copy(const struct raft_entry *e, size_t n)
{
	uint8_t *block = malloc(entries_room(e, n) + 1);

	if (block == NULL)
		return NULL;
	entries_place(block, e, n);
	return (void *)block;
}

static size_t snapshot_room(const struct raft_snapshot *s)
{
	return aligned(sizeof(*s)) + aligned(s->data.len);
}

static uint8_t *snapshot_place(uint8_t *to, const struct raft_snapshot *s)
{
	struct raft_snapshot *out = (void *)to;

	*out = *s;
	out->data.p = to + aligned(sizeof(*s));
	if (s->data.len > 0)
		memcpy(to + aligned(sizeof(*s)), s->data.p, s->data.len);
	return to + snapshot_room(s);
}

struct raft_snapshot *raft_snapshot_copy(const struct raft_snapshot *s)
{
	uint8_t *block = malloc(snapshot_room(s));

	if (block == NULL)
		return NULL;
	snapshot_place(block, s);
	return (void *)block;
}

static size_t message_room(const struct raft_message *m)
{
	size_t sum = entries_room(m->entries, m->entries_n);

	if (m->snapshot != NULL)
		sum += snapshot_room(m->snapshot);
	sum += aligned(m->responses_n * sizeof(*m));
	for (size_t i = 0; i < m->responses_n; i++)
		sum += message_room(&m->responses[i]);
	return sum;
}

static uint8_t *message_place(
    struct raft_message *out, uint8_t *to, const struct raft_message *m)
{
	*out = *m;
	out->entries = (void *)to;
	to = entries_place(to, m->entries, m->entries_n);
	if (m->snapshot != NULL) {
		out->snapshot = (void *)to;
		to = snapshot_place(to, m->snapshot);
	}
	out->responses = (void *)to;
	to += aligned(m->responses_n * sizeof(*m));
	for (size_t i = 0; i < m->responses_n; i++)
		to = message_place(&out->responses[i], to, &m->responses[i]);
	return to;
}

struct raft_message *raft_message_copy(const struct raft_message *m)
{
	uint8_t *block = malloc(aligned(sizeof(*m)) + message_room(m));

	if (block == NULL)
		return NULL;
	message_place((void *)block, block + aligned(sizeof(*m)), m);
	return (void *)block;
}

int queue_add(struct raft_queue *q, const struct raft_message *m)
{
	struct raft_message *copy;

	if (q->n == q->cap) {
		size_t cap = q->cap == 0 ? 16 : q->cap * 2;
		struct raft_message **p =
		    realloc(q->m, cap * sizeof(struct raft_message *));

		if (p == NULL)
			return RAFT_ENOMEM;
		q->m = p;
		q->cap = cap;
	}
	copy = raft_message_copy(m);
	if (copy == NULL)
		return RAFT_ENOMEM;
	q->m[q->n++] = copy;
	return RAFT_OK;
}

void queue_free(struct raft_queue *q)
{
	for (size_t i = 0; i < q->n; i++)
		free(q->m[i]);
	free(q->m);
	*q = (struct raft_queue){0};
}

/* ---- Conf changes as bytes ---- */

static void put_id(uint8_t *p, raft_id id)
{
	for (int i = 7; i >= 0; i--, id >>= 8)
		p[i] = (uint8_t)id;
}

static raft_id get_id(const uint8_t *p)
{
	raft_id id = 0;

	for (int i = 0; i < 8; i++)
		id = id << 8 | p[i];
	return id;
}

size_t raft_conf_change_encode(const struct raft_conf_change *c, uint8_t *out)
{
	size_t len = 2;

	out[0] = (uint8_t)c->transition;
	out[1] = (uint8_t)c->n;
	for (size_t i = 0; i < c->n; i++, len += 9) {
		out[len] = (uint8_t)c->changes[i].type;
		put_id(out + len + 1, c->changes[i].id);
	}
	return len;
}

int raft_conf_change_decode(struct raft_span in, struct raft_conf_change *out)
{
	const uint8_t *p = in.p;

	*out = (struct raft_conf_change){0};
	if (in.len == 0)
		return RAFT_OK; /* the empty change that leaves a joint */
	if (in.len < 2 || p[0] > RAFT_JOINT_EXPLICIT || p[1] > RAFT_PEERS_MAX ||
	    in.len != 2 + (size_t)p[1] * 9)
		return RAFT_EINVAL;
	out->transition = (enum raft_transition)p[0];
	out->n = p[1];
	p += 2;
	for (size_t i = 0; i < out->n; i++, p += 9) {
		if (p[0] > RAFT_ADD_LEARNER)
			return RAFT_EINVAL;
		out->changes[i].type = (enum raft_change_type)p[0];
		out->changes[i].id = get_id(p + 1);
	}
	return RAFT_OK;
}
