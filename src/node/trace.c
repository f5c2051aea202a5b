/* trace.c -- raft's steps in a file, for others to check. */
#include "node/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_event.h"
#include "raft_trace.h"

#define TRACE_BUF (64 * 1024)

struct trace {
	int fd;
	uint64_t last_ns; /* of a line: each has a time of its own */
	size_t n;
	char buf[TRACE_BUF];
};

enum code trace_open(struct node *n, const char *path, struct err *e)
{
	struct trace *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return err_nomem(e);
	t->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (t->fd < 0) {
		enum code rc =
		    err_set(e, E_IO, "--raft-trace %s cannot be written: %s",
			path, strerror(errno));

		free(t);
		return rc;
	}
	n->trace = t;
	return E_OK;
}

/* A trace that cannot be written ends; the node does not. */
static void flush(struct node *n)
{
	struct trace *t = n->trace;
	size_t done = 0;

	while (done < t->n) {
		ssize_t k = write(t->fd, t->buf + done, t->n - done);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0) {
			log_event(
			    EV_raft_trace_ended, "why=\"%s\"", strerror(errno));
			t->n = 0;
			trace_close(n);
			return;
		}
		done += (size_t)k;
	}
	t->n = 0;
}

static uint64_t next_ns(struct trace *t)
{
	uint64_t now = clock_unix_us() * 1000;

	t->last_ns = now > t->last_ns ? now : t->last_ns + 1;
	return t->last_ns;
}

/* Lines are written before anything that follows from them leaves the node: a
 * crash loses none that another node could miss. */
void trace_step(struct node *n, const struct raft_trace *event)
{
	struct trace *t = n->trace;
	struct raft_step s;

	if (t == NULL || !raft_step_of(event, &s))
		return;
	t->n += raft_step_line(&s, next_ns(t), t->buf + t->n);
	if (s.kind == RAFT_STEP_READY || TRACE_BUF - t->n < RAFT_STEP_LINE_MAX)
		flush(n);
}

void trace_close(struct node *n)
{
	struct trace *t = n->trace;

	if (t == NULL)
		return;
	if (t->n > 0)
		flush(n);
	if (n->trace == NULL)
		return;
	close(t->fd);
	free(t);
	n->trace = NULL;
}
