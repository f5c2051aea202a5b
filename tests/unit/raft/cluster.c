/* cluster.c -- a few nodes, a network and disks in memory. */
#include "cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "describe.h"

#define ULL(x) ((unsigned long long)(x))

/* ---- The story ---- */

void cluster_say(struct cluster *c, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(
	    c->text + c->text_n, sizeof(c->text) - c->text_n, format, ap);
	va_end(ap);
	assert_true(n >= 0 && c->text_n + (size_t)n + 2 < sizeof(c->text));
	c->text_n += (size_t)n;
	c->text[c->text_n++] = '\n';
	c->text[c->text_n] = '\0';
}

void cluster_hush(struct cluster *c)
{
	c->text_n = 0;
	c->text[0] = '\0';
}

void cluster_expect_at(
    struct cluster *c, const char *story, const char *file, int line)
{
	if (strcmp(c->text, story) != 0) {
		print_error(
		    "%s:%d: expected:\n%sgot:\n%s", file, line, story, c->text);
		_fail(file, line);
	}
	cluster_hush(c);
}

static void on_trace(void *ctx, const struct raft_trace *t)
{
	struct peer *p = ctx;
	char text[200];

	if ((p->c->tell & TELL_EVENTS) == 0)
		return;
	describe_trace(t, text, sizeof(text));
	if (text[0] != '\0')
		cluster_say(p->c, "%s", text);
}

static void say_message(
    struct peer *p, const char *what, const struct raft_message *m)
{
	char text[1000];

	describe_message(m, text, sizeof(text));
	cluster_say(p->c, "%s%s", what, text);
}

/* ---- The disk ---- */

static raft_index last_of(const struct peer *p)
{
	return p->snapshot.index + p->log_n;
}

static int on_initial_state(
    void *ctx, struct raft_hard_state *hs, struct raft_conf_state *cs)
{
	const struct peer *p = ctx;

	*hs = p->hard;
	*cs = p->conf;
	return RAFT_OK;
}

static int on_entries(void *ctx, raft_index lo, raft_index hi, size_t max_size,
    struct raft_entry **out, size_t *n)
{
	struct peer *p = ctx;
	struct raft_entry *e;
	size_t size = 0, k;

	if (lo <= p->snapshot.index)
		return RAFT_ECOMPACTED;
	if (hi > last_of(p) + 1)
		return RAFT_EUNAVAILABLE;
	e = malloc((size_t)(hi - lo) * sizeof(*e));
	if (e == NULL)
		return RAFT_ENOMEM;
	for (k = 0; k < hi - lo; k++) {
		struct stored *s = &p->log[lo + k - p->snapshot.index - 1];

		size += s->len + 16;
		if (k > 0 && size > max_size)
			break;
		e[k] = (struct raft_entry){
		    s->term, lo + k, s->type, {s->data, s->len}};
	}
	*out = e;
	*n = k;
	return RAFT_OK;
}

static int on_term(void *ctx, raft_index i, raft_term *out)
{
	const struct peer *p = ctx;

	if (i < p->snapshot.index)
		return RAFT_ECOMPACTED;
	if (i > last_of(p))
		return RAFT_EUNAVAILABLE;
	*out = i == p->snapshot.index ? p->snapshot.term
				      : p->log[i - p->snapshot.index - 1].term;
	return RAFT_OK;
}

static int on_first_index(void *ctx, raft_index *out)
{
	*out = ((const struct peer *)ctx)->snapshot.index + 1;
	return RAFT_OK;
}

static int on_last_index(void *ctx, raft_index *out)
{
	*out = last_of(ctx);
	return RAFT_OK;
}

static int on_snapshot(void *ctx, struct raft_snapshot *out)
{
	struct peer *p = ctx;

	if (p->snapshot_refused)
		return RAFT_ESNAP_NOT_READY;
	*out = (struct raft_snapshot){
	    .index = p->applied, .conf_state = p->conf, .data = {"state", 5}};
	return on_term(p, p->applied, &out->term);
}

static void write_log(struct peer *p, const struct raft_message *m)
{
	if (m->snapshot != NULL) {
		p->snapshot = *m->snapshot;
		p->snapshot.data = (struct raft_span){NULL, 0};
		p->log_n = 0;
		p->applied = m->snapshot->index;
		p->conf = m->snapshot->conf_state;
	}
	for (size_t i = 0; i < m->entries_n; i++) {
		const struct raft_entry *e = &m->entries[i];
		struct stored *s;

		assert_true(
		    e->index > p->snapshot.index && e->index <= last_of(p) + 1);
		p->log_n = (size_t)(e->index - p->snapshot.index);
		s = &p->log[p->log_n - 1];
		s->term = e->term;
		s->type = e->type;
		s->len = e->data.len;
		assert_true(s->len <= sizeof(s->data));
		if (s->len > 0)
			memcpy(s->data, e->data.p, s->len);
	}
	if (m->term != 0)
		p->hard = (struct raft_hard_state){m->term, m->vote, m->commit};
}

static void apply(struct peer *p, const struct raft_entry *e, size_t n)
{
	struct raft_conf_change change;
	struct raft_conf_state conf;
	char text[700];

	for (size_t i = 0; i < n; i++) {
		if (e[i].index <= p->applied)
			continue;
		assert_int_equal(e[i].index, p->applied + 1);
		describe_entry(&e[i], text, sizeof(text));
		if (p->c->tell & TELL_APPLIED)
			cluster_say(p->c, "n%llu applies %s", ULL(p->id), text);
		/* A snapshot asked for meanwhile is of before this entry. */
		conf = p->conf;
		if (e[i].type == RAFT_ENTRY_CONF_CHANGE &&
		    raft_conf_change_decode(e[i].data, &change) == RAFT_OK)
			raft_apply_conf_change(p->raft, &change, &conf);
		p->conf = conf;
		p->applied = e[i].index;
	}
}

/* ---- Nodes ---- */

struct raft *node(struct cluster *c, raft_id id)
{
	return c->peer[id].raft;
}

struct raft_status cluster_status(struct cluster *c, raft_id id)
{
	struct raft_status s;

	raft_status(node(c, id), &s);
	return s;
}

static void configure(
    struct cluster *c, raft_id id, void (*tune)(struct raft_config *config))
{
	struct peer *p = &c->peer[id];

	p->c = c;
	p->id = id;
	p->config = (struct raft_config){.id = id,
	    .seed = id,
	    .election_ticks = 10,
	    .heartbeat_ticks = 1,
	    .storage = {p, on_initial_state, on_entries, on_term,
		on_first_index, on_last_index, on_snapshot},
	    .max_size_per_msg = 1 << 20,
	    .max_inflight_msgs = 256,
	    .pre_vote = true,
	    .check_quorum = true,
	    .async_storage = true,
	    .trace = on_trace,
	    .trace_ctx = p};
	if (tune != NULL)
		tune(&p->config);
}

void cluster_start(struct cluster *c, raft_id id)
{
	struct peer *p = &c->peer[id];
	unsigned tell = c->tell;

	c->tell = 0;
	p->config.applied = p->applied;
	assert_int_equal(raft_init(&p->raft, &p->config), RAFT_OK);
	raft_set_election_timeout(p->raft, 10 + (unsigned)id);
	c->tell = tell;
}

struct cluster *cluster_new(
    size_t voters, void (*tune)(struct raft_config *config))
{
	struct cluster *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	for (raft_id id = 1; id <= voters; id++) {
		struct peer *p = &c->peer[id];

		configure(c, id, tune);
		p->snapshot.index = p->snapshot.term = p->applied = 1;
		p->hard = (struct raft_hard_state){1, 0, 1};
		for (raft_id v = 1; v <= voters; v++)
			p->conf.voters[p->conf.voters_n++] = v;
		cluster_start(c, id);
	}
	c->tell = TELL_EVENTS | TELL_APPLIED;
	return c;
}

void cluster_join(
    struct cluster *c, raft_id id, void (*tune)(struct raft_config *config))
{
	configure(c, id, tune);
	cluster_start(c, id);
}

static struct raft_message *take_at(
    struct raft_message **queue, size_t *n, size_t at)
{
	struct raft_message *m = queue[at];

	memmove(queue + at, queue + at + 1, (--*n - at) * sizeof(*queue));
	return m;
}

static struct raft_message *take(struct raft_message **queue, size_t *n)
{
	return take_at(queue, n, 0);
}

void cluster_crash(struct cluster *c, raft_id id)
{
	struct peer *p = &c->peer[id];

	raft_free(p->raft);
	p->raft = NULL;
	while (p->op_n > 0)
		free(take(p->op, &p->op_n));
}

void cluster_free(struct cluster *c)
{
	for (raft_id id = 1; id <= CLUSTER_NODES; id++)
		cluster_crash(c, id);
	cluster_drop(c);
	free(c);
}

/* ---- Work ---- */

static void put(struct raft_message **queue, size_t *n, size_t cap,
    const struct raft_message *m)
{
	assert_true(*n < cap);
	queue[*n] = raft_message_copy(m);
	assert_non_null(queue[*n]);
	(*n)++;
}

static void emit(struct peer *p, const struct raft_message *m)
{
	struct cluster *c = p->c;

	if (c->tell & TELL_SENT)
		say_message(p, "", m);
	assert_true(m->to > 0 && m->to <= CLUSTER_NODES);
	if (!c->cut[p->id][m->to])
		put(c->net, &c->net_n, 2000, m);
}

static void work_sync(struct peer *p, const struct raft_ready *rd)
{
	struct raft_message m = {.entries = (struct raft_entry *)rd->entries,
	    .entries_n = rd->entries_n,
	    .snapshot = (struct raft_snapshot *)rd->snapshot};

	if (rd->hard_changed) {
		m.term = rd->hard.term;
		m.vote = rd->hard.vote;
		m.commit = rd->hard.commit;
	}
	write_log(p, &m);
	for (size_t i = 0; i < rd->messages_n; i++)
		emit(p, &rd->messages[i]);
	apply(p, rd->committed, rd->committed_n);
	raft_advance(p->raft);
}

void cluster_ready(struct cluster *c, raft_id id)
{
	struct peer *p = &c->peer[id];
	struct raft_ready rd;
	int rc;

	if (p->raft == NULL || !raft_has_ready(p->raft))
		return;
	rc = raft_ready(p->raft, &rd);
	if (rc != RAFT_OK) {
		cluster_say(c, "n%llu stops: %s", ULL(id), raft_strerror(rc));
		return;
	}
	for (size_t i = 0; i < rd.read_states_n; i++)
		cluster_say(c, "n%llu read %llu at %llu", ULL(id),
		    ULL(rd.read_states[i].context),
		    ULL(rd.read_states[i].index));
	if (!p->config.async_storage) {
		work_sync(p, &rd);
		return;
	}
	for (size_t i = 0; i < rd.messages_n; i++) {
		const struct raft_message *m = &rd.messages[i];

		if (m->to == RAFT_APPEND_THREAD || m->to == RAFT_APPLY_THREAD)
			put(p->op, &p->op_n, 200, m);
		else
			emit(p, m);
	}
}

static void do_op(struct peer *p, size_t at)
{
	struct cluster *c = p->c;
	struct raft_message *m = take_at(p->op, &p->op_n, at);

	if (c->tell & TELL_DISK)
		say_message(p, "did ", m);
	if (m->type == RAFT_MSG_STORAGE_APPEND)
		write_log(p, m);
	else
		apply(p, m->entries, m->entries_n);
	for (size_t i = 0; i < m->responses_n; i++)
		if (m->responses[i].to == p->id)
			raft_step(p->raft, &m->responses[i]);
		else
			emit(p, &m->responses[i]);
	free(m);
}

bool cluster_disk(struct cluster *c, raft_id id)
{
	if (c->peer[id].op_n == 0)
		return false;
	do_op(&c->peer[id], 0);
	return true;
}

void cluster_disk_all(struct cluster *c, raft_id id)
{
	do
		cluster_ready(c, id);
	while (cluster_disk(c, id));
}

/* The disk and the state machine each work in order; either may be slow. */
static bool work_one(struct peer *p)
{
	for (size_t i = 0; i < p->op_n; i++) {
		bool apply = p->op[i]->type == RAFT_MSG_STORAGE_APPLY;

		if (p->slow_disk || (apply && p->slow_apply))
			continue;
		do_op(p, i);
		return true;
	}
	return false;
}

bool cluster_deliver(struct cluster *c)
{
	struct raft_message *m;

	if (c->net_n == 0)
		return false;
	m = take(c->net, &c->net_n);
	if (node(c, m->to) != NULL)
		raft_step(node(c, m->to), m);
	free(m);
	return true;
}

void cluster_settle(struct cluster *c)
{
	bool moved;

	do {
		moved = cluster_deliver(c);
		for (raft_id id = 1; id <= CLUSTER_NODES; id++) {
			struct peer *p = &c->peer[id];

			if (p->raft == NULL)
				continue;
			moved |= raft_has_ready(p->raft);
			cluster_ready(c, id);
			while (work_one(p)) {
				moved = true;
				cluster_ready(c, id);
			}
		}
	} while (moved);
}

void cluster_drop(struct cluster *c)
{
	while (c->net_n > 0)
		free(take(c->net, &c->net_n));
}

/* ---- What a test does ---- */

void cluster_cut(struct cluster *c, raft_id from, raft_id to)
{
	c->cut[from][to] = true;
}

void cluster_isolate(struct cluster *c, raft_id id)
{
	for (raft_id other = 1; other <= CLUSTER_NODES; other++)
		c->cut[id][other] = c->cut[other][id] = other != id;
}

void cluster_heal(struct cluster *c)
{
	memset(c->cut, 0, sizeof(c->cut));
}

void cluster_tick(struct cluster *c, raft_id id, unsigned n)
{
	while (n-- > 0) {
		raft_tick(node(c, id));
		cluster_ready(c, id);
	}
}

void cluster_elect(struct cluster *c, raft_id id)
{
	raft_campaign(node(c, id));
	cluster_settle(c);
	assert_int_equal(cluster_status(c, id).state, RAFT_LEADER);
	cluster_hush(c);
}

int cluster_propose(struct cluster *c, raft_id id, const char *text)
{
	struct raft_span span = {text, strlen(text)};

	return raft_propose(node(c, id), &span, 1);
}

int cluster_change(struct cluster *c, raft_id id, enum raft_transition how,
    const char *changes)
{
	struct raft_conf_change cc = {.transition = how};

	for (const char *s = changes; *s != '\0'; s++) {
		if (*s == ' ')
			continue;
		cc.changes[cc.n].type = *s == 'v'   ? RAFT_ADD_VOTER
					: *s == 'l' ? RAFT_ADD_LEARNER
						    : RAFT_REMOVE;
		cc.changes[cc.n++].id = (raft_id)(*++s - '0');
	}
	return raft_propose_conf_change(node(c, id), &cc);
}

void cluster_compact(struct cluster *c, raft_id id, raft_index to)
{
	struct peer *p = &c->peer[id];
	size_t gone = (size_t)(to - p->snapshot.index);

	assert_true(to > p->snapshot.index && to <= p->applied);
	assert_int_equal(on_term(p, to, &p->snapshot.term), RAFT_OK);
	p->snapshot.index = to;
	p->log_n -= gone;
	memmove(p->log, p->log + gone, p->log_n * sizeof(*p->log));
}

void cluster_step(struct cluster *c, raft_id to, struct raft_message m)
{
	m.to = to;
	raft_step(node(c, to), &m);
}

struct raft_message *cluster_take(
    struct cluster *c, enum raft_message_type type, raft_id to)
{
	for (size_t i = 0; i < c->net_n; i++) {
		struct raft_message *m = c->net[i];

		if (m->type != type || m->to != to)
			continue;
		memmove(&c->net[i], &c->net[i + 1],
		    (--c->net_n - i) * sizeof(c->net[0]));
		return m;
	}
	fail_msg("no %s for n%llu", raft_message_name(type), ULL(to));
	return NULL;
}

void cluster_give(struct cluster *c, struct raft_message *m)
{
	raft_step(node(c, m->to), m);
	free(m);
}

void cluster_write_log(struct cluster *c, raft_id id, const char *terms)
{
	struct peer *p = &c->peer[id];

	assert_null(p->raft);
	for (p->log_n = 0; terms[p->log_n] != '\0'; p->log_n++)
		p->log[p->log_n] =
		    (struct stored){.term = (raft_term)(terms[p->log_n] - '0')};
	if (p->log_n > 0)
		p->hard.term = p->log[p->log_n - 1].term;
}

/* ---- Looking ---- */

void cluster_say_log(struct cluster *c, raft_id id)
{
	const struct peer *p = &c->peer[id];
	char text[2000];
	size_t n;

	n = (size_t)snprintf(text, sizeof(text), "n%llu holds (%llu/%llu)",
	    ULL(id), ULL(p->snapshot.term), ULL(p->snapshot.index));
	for (size_t i = 0; i < p->log_n; i++) {
		struct raft_entry e = {p->log[i].term,
		    p->snapshot.index + 1 + i, p->log[i].type,
		    {p->log[i].data, p->log[i].len}};

		n += (size_t)snprintf(text + n, sizeof(text) - n, " ");
		describe_entry(&e, text + n, sizeof(text) - n);
		n = strlen(text);
	}
	cluster_say(c, "%s", text);
}

void cluster_say_conf(struct cluster *c, raft_id id)
{
	struct raft_status s = cluster_status(c, id);
	char text[500];

	describe_conf(&s.conf, text, sizeof(text));
	cluster_say(c, "n%llu: %s", ULL(id), text);
}

void cluster_say_progress(struct cluster *c, raft_id leader)
{
	static const char *const names[] = {"probe", "replicate", "snapshot"};
	struct raft_status s = cluster_status(c, leader);

	for (size_t i = 0; i < s.peers_n; i++)
		cluster_say(c, "n%llu %s match %llu next %llu%s%s%s",
		    ULL(s.peers[i].id), names[s.peers[i].state],
		    ULL(s.peers[i].match), ULL(s.peers[i].next),
		    s.peers[i].paused ? " paused" : "",
		    s.peers[i].learner ? " learner" : "",
		    s.peers[i].recent_active ? "" : " inactive");
}
