/* out.h -- what a script's command prints, by etcd's rules of log levels. */
#ifndef QUORATE_TESTS_RAFT_OUT_H
#define QUORATE_TESTS_RAFT_OUT_H

#include <stddef.h>

enum level {
	LEVEL_DEBUG,
	LEVEL_INFO,
	LEVEL_WARN,
	LEVEL_ERROR,
	LEVEL_FATAL,
	LEVEL_NONE, /* silences everything, not only the log */
};

struct out {
	char *p; /* NULL, or n bytes and a NUL */
	size_t n, cap;
	enum level level;
};

void out_free(struct out *o);
void out_clear(struct out *o);
void say(struct out *o, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A part of an output, whatever the level. */
void out_add(struct out *o, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Indent every line from offset `from` on; the last gets a newline. */
void out_indent(struct out *o, size_t from);
/* LEVEL_NONE + 1 if there is no such level. */
enum level level_named(const char *name);
const char *level_name(enum level l);

#endif
