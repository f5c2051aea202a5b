/* read.h -- the lines of a trace, one after the other. */
#ifndef QUORATE_TEST_TRACE_READ_H
#define QUORATE_TEST_TRACE_READ_H

#include <stdio.h>

#include "raft_trace.h"

struct trace_file {
	const char *path;
	FILE *f;
	unsigned long line;
	char *text; /* of the line */
	size_t size;
	bool at_end;
	struct raft_step step; /* of the line */
	struct raft_conf_state conf;
	char why[200]; /* not empty: the line cannot be read */
};

/* The first step; false: why says what is wrong. */
bool trace_file_open(struct trace_file *t, const char *path);
/* The next; at_end if there is none.  A last line without its end was being
 * written, and is left out. */
bool trace_file_next(struct trace_file *t);
void trace_file_close(struct trace_file *t);

#endif
