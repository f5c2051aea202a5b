/* diff_oracle.c -- the Go program at the other end of two pipes.
 *
 * A request: u32 kind (0: hashes, 1: one text), u32 step, the tuning, u32
 * count, the steps; all numbers little endian, as both sides run on one
 * machine.  The answer to 0: a u64 hash for each step; to 1: u32 length and the
 * text. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "diff.h"

int oracle_start(struct oracle *o, const char *program)
{
	int to[2], from[2];

	signal(SIGPIPE, SIG_IGN); /* if it dies, a write says so */
	if (pipe(to) != 0 || pipe(from) != 0)
		return -1;
	o->pid = fork();
	if (o->pid < 0)
		return -1;
	if (o->pid == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		close(to[1]);
		close(from[0]);
		execl(program, program, (char *)NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	o->out = to[1];
	o->in = from[0];
	return 0;
}

void oracle_stop(struct oracle *o)
{
	int status;

	close(o->out);
	close(o->in);
	waitpid((pid_t)o->pid, &status, 0);
}

static int put(struct oracle *o, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t k = write(o->out, at, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return -1;
		at += k;
		n -= (size_t)k;
	}
	return 0;
}

static int get(struct oracle *o, void *p, size_t n)
{
	char *at = p;

	while (n > 0) {
		ssize_t k = read(o->in, at, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return -1;
		at += k;
		n -= (size_t)k;
	}
	return 0;
}

static int ask(struct oracle *o, uint32_t kind, uint32_t step,
    const struct tuning *t, const struct op *ops, uint32_t n)
{
	uint32_t head[2] = {kind, step};

	if (put(o, head, sizeof(head)) != 0 || put(o, t, sizeof(*t)) != 0 ||
	    put(o, &n, sizeof(n)) != 0)
		return -1;
	return put(o, ops, n * sizeof(*ops));
}

int oracle_hashes(struct oracle *o, const struct tuning *t,
    const struct op *ops, uint32_t n, uint64_t *hashes)
{
	if (ask(o, 0, 0, t, ops, n) != 0)
		return -1;
	return get(o, hashes, n * sizeof(*hashes));
}

char *oracle_text(struct oracle *o, const struct tuning *t,
    const struct op *ops, uint32_t n, uint32_t at)
{
	uint32_t len;
	char *text;

	if (ask(o, 1, at, t, ops, n) != 0 || get(o, &len, sizeof(len)) != 0)
		return NULL;
	text = calloc(1, (size_t)len + 1);
	if (text != NULL && get(o, text, len) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
