/* read.c -- JSON lines become steps. */
#include "read.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static bool bad(struct trace_file *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool bad(struct trace_file *t, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(t->why, sizeof(t->why), format, ap);
	va_end(ap);
	return false;
}

static bool number(
    struct trace_file *t, const json_t *o, const char *key, uint64_t *out)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return bad(t, "\"%s\" is no number", key);
	*out = (uint64_t)json_integer_value(v);
	return true;
}

static bool id_of(struct trace_file *t, const json_t *v, raft_id *out)
{
	const char *s = json_string_value(v);
	char *end;

	if (s == NULL || *s < '0' || *s > '9')
		return bad(t, "an id is no number in quotes");
	*out = strtoull(s, &end, 10);
	return *end == '\0' || bad(t, "an id is no number in quotes");
}

static bool id(
    struct trace_file *t, const json_t *o, const char *key, raft_id *out)
{
	return id_of(t, json_object_get(o, key), out);
}

static bool ids(
    struct trace_file *t, const json_t *list, raft_id *out, size_t *n)
{
	if (!json_is_array(list) || json_array_size(list) > RAFT_PEERS_MAX)
		return bad(t, "a list of ids is none, or too long");
	*n = json_array_size(list);
	for (size_t i = 0; i < *n; i++)
		if (!id_of(t, json_array_get(list, i), &out[i]))
			return false;
	return true;
}

/* The place of a name in a table; its size: it is not there. */
static size_t among(
    const json_t *o, const char *key, const char *const *names, size_t n)
{
	const char *s = json_string_value(json_object_get(o, key));
	size_t k = 0;

	while (k < n &&
	       (s == NULL || names[k] == NULL || strcmp(names[k], s) != 0))
		k++;
	return k;
}

static bool message(struct trace_file *t, const json_t *o)
{
	struct raft_step_message *m = &t->step.m;
	const char *type = json_string_value(json_object_get(o, "type"));
	size_t k = 0;

	while (k < RAFT_MSG_TYPES &&
	       (type == NULL || strncmp(type, "Msg", 3) != 0 ||
		   strcmp(raft_message_name((enum raft_message_type)k),
		       type + 3) != 0))
		k++;
	if (k == RAFT_MSG_TYPES)
		return bad(t, "a message of no known type");
	m->type = (enum raft_message_type)k;
	m->reject = json_is_true(json_object_get(o, "reject"));
	return number(t, o, "term", &m->term) && id(t, o, "from", &m->from) &&
	       id(t, o, "to", &m->to) && number(t, o, "entries", &m->entries) &&
	       number(t, o, "logTerm", &m->log_term) &&
	       number(t, o, "index", &m->index) &&
	       number(t, o, "commit", &m->commit) &&
	       id(t, o, "vote", &m->vote) &&
	       number(t, o, "rejectHint", &m->reject_hint);
}

static bool change(struct trace_file *t, const json_t *list)
{
	static const char *const actions[] = {
	    "AddNewServer", "RemoveServer", NULL, "AddLearner"};
	struct raft_conf_change *c = &t->step.change;

	if (json_array_size(list) > RAFT_PEERS_MAX)
		return bad(t, "too many changes");
	c->n = json_array_size(list);
	for (size_t i = 0; i < c->n; i++) {
		const json_t *v = json_array_get(list, i);
		size_t k = among(v, "action", actions, 4);

		if (k == 4)
			return bad(t, "a change of no known action");
		c->changes[i].type = (enum raft_change_type)k;
		if (!id(t, v, "nid", &c->changes[i].id))
			return false;
	}
	return true;
}

/* etcd shows the configuration before a change, and the new one beside it. */
static bool new_conf(struct trace_file *t, const json_t *list)
{
	struct raft_conf_state *c = &t->conf;

	return list == NULL || ids(t, list, c->voters, &c->voters_n);
}

static bool properties(struct trace_file *t, const json_t *prop)
{
	struct raft_step *s = &t->step;
	const json_t *cc = json_object_get(prop, "cc");

	s->applied = RAFT_STEP_UNKNOWN;
	s->last_term = 0;
	s->lost = json_is_true(json_object_get(prop, "lost"));
	if (s->kind == RAFT_STEP_CHANGE_CONF)
		return change(t, json_object_get(cc, "changes"));
	if (s->kind == RAFT_STEP_APPLY_CONF)
		return new_conf(t, json_object_get(cc, "newconf"));
	return s->kind != RAFT_STEP_INIT || prop == NULL ||
	       (number(t, prop, "applied", &s->applied) &&
		   number(t, prop, "lastTerm", &s->last_term));
}

static bool event(struct trace_file *t, const json_t *o)
{
	struct raft_step *s = &t->step;
	const json_t *state = json_object_get(o, "state");
	const json_t *conf = json_object_get(o, "conf");
	const json_t *m = json_object_get(o, "msg");
	size_t kind = among(o, "name", raft_step_names, RAFT_STEP_KINDS);
	size_t role = among(o, "role", raft_role_names, 4);

	if (kind == RAFT_STEP_KINDS || role == 4)
		return bad(t, "no known name, or role");
	s->kind = (enum raft_step_kind)kind;
	s->role = (enum raft_state)role;
	s->conf = &t->conf;
	if ((m != NULL) != (kind >= RAFT_STEP_SEND_APPEND))
		return bad(t, "a message where none belongs, or none");
	return id(t, o, "nid", &s->id) &&
	       number(t, state, "term", &s->state.term) &&
	       id(t, state, "vote", &s->state.vote) &&
	       number(t, state, "commit", &s->state.commit) &&
	       number(t, o, "log", &s->last) &&
	       ids(t, json_array_get(conf, 0), t->conf.voters,
		   &t->conf.voters_n) &&
	       ids(t, json_array_get(conf, 1), t->conf.voters_outgoing,
		   &t->conf.voters_outgoing_n) &&
	       (m == NULL || message(t, m)) &&
	       properties(t, json_object_get(o, "prop"));
}

/* *is: it is a step; other lines of a log are passed over. */
static bool line(struct trace_file *t, bool *is)
{
	json_error_t e;
	json_t *o = json_loads(t->text, 0, &e);
	const char *tag = json_string_value(json_object_get(o, "tag"));
	bool ok = o != NULL || bad(t, "%s", e.text);

	*is = tag != NULL && strcmp(tag, "trace") == 0;
	if (*is)
		ok = event(t, json_object_get(o, "event"));
	json_decref(o);
	return ok;
}

bool trace_file_next(struct trace_file *t)
{
	bool is = false;

	while (!is) {
		ssize_t n = getline(&t->text, &t->size, t->f);

		if (n < 0 || t->text[n - 1] != '\n') {
			t->at_end = true;
			return true;
		}
		t->line++;
		if (!line(t, &is))
			return false;
	}
	return true;
}

bool trace_file_open(struct trace_file *t, const char *path)
{
	*t = (struct trace_file){.path = path, .f = fopen(path, "r")};
	if (t->f == NULL)
		return bad(t, "%s", strerror(errno));
	return trace_file_next(t);
}

void trace_file_close(struct trace_file *t)
{
	if (t->f != NULL)
		fclose(t->f);
	free(t->text);
}
