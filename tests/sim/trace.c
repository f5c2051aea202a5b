/* trace.c -- the trace of a run: each step judged by the specification's
 * rules (tests/trace), and written if asked for. */
#include "sim.h"

#include <stdio.h>

#include "../trace/check.h"

void trace_open(struct world *w)
{
	w->trace = trace_check_new();
	/* A store sends a newer snapshot than its core asked it to. */
	if (sim_store != NULL)
		return;
	for (raft_id id = 1; id <= SIM_NODES; id++)
		trace_check_whole(w->trace, id);
}

void trace_close(struct world *w)
{
	trace_check_free(w->trace);
	w->trace = NULL;
}

/* Virtual time in milliseconds, then the number of the step: no two lines have
 * one time. */
static void write_line(struct world *w, const struct raft_step *s)
{
	char line[RAFT_STEP_LINE_MAX];
	uint64_t ns = w->now * 1000000 + w->steps % 1000000;

	fwrite(line, 1, raft_step_line(s, ns, line), w->wish.trace);
}

void trace_event(struct node *n, const struct raft_trace *t)
{
	struct world *w = n->w;
	struct raft_step s;

	if (w->trace_failed || !raft_step_of(t, &s))
		return;
	w->steps++;
	if (w->wish.trace != NULL)
		write_line(w, &s);
	if (trace_check_step(w->trace, &s))
		return;
	w->trace_failed = true;
	sim_fail(w, "trace, step %llu: n%llu %s: %s",
	    (unsigned long long)w->steps, (unsigned long long)n->id,
	    raft_step_names[s.kind], trace_check_why(w->trace));
}
