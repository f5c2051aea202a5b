/* main.c -- checks the traces of files.
 *
 *	trace-check FILE	of all nodes: in the order of its lines
 *	trace-check FILE...	each of one node: each alone, by what one node
 *				can be held to; then all together, each message
 *				received after it was sent
 *
 * A file of one node alone is checked in the first way of two. */
#include <stdlib.h>

#include "check.h"
#include "read.h"

#define FILES_MAX 64

struct nodes {
	raft_id id[RAFT_PEERS_MAX];
	size_t n;
};

static int unread(struct trace_file *t)
{
	printf("not ok %s:%lu: %s\n", t->path, t->line, t->why);
	return 1;
}

static int refused(const struct trace_file *t, const char *why)
{
	printf("not ok %s:%lu: n%llu %s: %s\n", t->path, t->line,
	    (unsigned long long)t->step.id, raft_step_names[t->step.kind], why);
	return 1;
}

/* Whose steps a file holds; a file that cannot be read ends it. */
static int nodes_of(const char *path, struct nodes *out)
{
	struct trace_file t;
	int rc = 0;

	if (!trace_file_open(&t, path))
		rc = unread(&t);
	while (rc == 0 && !t.at_end) {
		size_t k = 0;

		while (k < out->n && out->id[k] != t.step.id)
			k++;
		if (k == out->n && k < RAFT_PEERS_MAX)
			out->id[out->n++] = t.step.id;
		if (!trace_file_next(&t))
			rc = unread(&t);
	}
	trace_file_close(&t);
	return rc;
}

/* In the order of the lines.  Of a node alone nobody knows what the others
 * sent. */
static int in_order(const char *path, const struct nodes *nodes)
{
	struct trace_check *c = trace_check_new();
	unsigned long steps = 0;
	struct trace_file t;
	int rc = 0;

	for (size_t i = 0; nodes->n > 1 && i < nodes->n; i++)
		trace_check_whole(c, nodes->id[i]);
	if (!trace_file_open(&t, path))
		rc = unread(&t);
	for (; rc == 0 && !t.at_end; steps++) {
		if (!trace_check_step(c, &t.step))
			rc = refused(&t, trace_check_why(c));
		else if (!trace_file_next(&t))
			rc = unread(&t);
	}
	if (rc == 0 && steps == 0) {
		printf("not ok %s: no step of a trace\n", path);
		rc = 1;
	}
	if (rc == 0)
		printf("ok %s: %lu steps of %zu node%s\n", path, steps,
		    nodes->n, nodes->n > 1 ? "s" : "");
	trace_file_close(&t);
	trace_check_free(c);
	return rc;
}

/* As many steps of one file as what is known allows; -1: it breaks a rule. */
static long advance(struct trace_check *c, struct trace_file *t)
{
	long steps = 0;

	while (!t->at_end && trace_check_ready(c, &t->step)) {
		if (!trace_check_step(c, &t->step)) {
			refused(t, trace_check_why(c));
			return -1;
		}
		steps++;
		if (!trace_file_next(t)) {
			unread(t);
			return -1;
		}
	}
	return steps;
}

static int merge(struct trace_check *c, struct trace_file *t, size_t n)
{
	unsigned long steps = 0;
	long moved = 1;

	while (moved > 0) {
		moved = 0;
		for (size_t i = 0; i < n; i++) {
			long k = advance(c, &t[i]);

			if (k < 0)
				return 1;
			moved += k;
		}
		steps += (unsigned long)moved;
	}
	for (size_t i = 0; i < n; i++)
		if (!t[i].at_end)
			return refused(&t[i], "nothing it follows from is in "
					      "the other files");
	printf("ok together: %lu steps of %zu files\n", steps, n);
	return 0;
}

static int together(char **paths, size_t n, const struct nodes *nodes)
{
	struct trace_check *c = trace_check_new();
	struct trace_file *t = calloc(n, sizeof(*t));
	int rc = t == NULL;

	trace_check_merged(c);
	for (size_t i = 0; i < nodes->n; i++)
		trace_check_whole(c, nodes->id[i]);
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (!trace_file_open(&t[i], paths[i]))
			rc = unread(&t[i]);
	if (rc == 0)
		rc = merge(c, t, n);
	for (size_t i = 0; t != NULL && i < n; i++)
		trace_file_close(&t[i]);
	free(t);
	trace_check_free(c);
	return rc;
}

int main(int argc, char **argv)
{
	struct nodes all = {.n = 0};
	int rc = 0;

	if (argc < 2 || argc > FILES_MAX) {
		fprintf(stderr, "usage: trace-check FILE...\n");
		return 2;
	}
	for (int i = 1; i < argc; i++) {
		struct nodes of = {.n = 0};

		if (nodes_of(argv[i], &all) != 0 || nodes_of(argv[i], &of) != 0)
			return 1;
		rc |= in_order(argv[i], &of);
	}
	if (rc == 0 && argc > 2)
		rc = together(argv + 1, (size_t)argc - 1, &all);
	return rc;
}
