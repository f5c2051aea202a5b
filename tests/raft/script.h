/* script.h -- etcd's data-driven scripts: a command, the lines of its input,
 * "----", the output that is expected, an empty line. */
#ifndef QUORATE_TESTS_RAFT_SCRIPT_H
#define QUORATE_TESTS_RAFT_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "out.h"

#define ARGS_MAX 16
#define VALUES_MAX 32

struct arg { /* "key", "key=value" or "key=(value,value)" */
	const char *key;
	const char *values[VALUES_MAX];
	size_t n;
};

struct command {
	const char *name;
	struct arg args[ARGS_MAX];
	size_t n;
	const char *input;    /* "" or lines, each with its newline */
	const char *expected; /* in the same form */
	int line;
};

struct script {
	char *text; /* what the commands point into */
	struct command *commands;
	size_t n;
};

/* false: it cannot be read, or is none; *why says so. */
bool script_load(struct script *s, const char *path, const char **why);
void script_free(struct script *s);
/* A number, or what `none` says if it is not one. */
uint64_t number(const char *text, uint64_t none);
bool truth(const char *text);
/* Runs one command; what it prints goes to `out`. */
typedef void run_command(void *ctx, const struct command *c, struct out *out);
/* Replays a script; the first difference goes to `diff`.  The number of
 * commands whose output is another. */
size_t script_run(
    const struct script *s, run_command *run, void *ctx, struct out *diff);

#endif
