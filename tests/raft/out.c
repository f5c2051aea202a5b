/* out.c -- a text that grows. */
#include "out.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const names[] = {
    "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"};

void out_free(struct out *o)
{
	free(o->p);
	*o = (struct out){.level = o->level};
}

void out_clear(struct out *o)
{
	o->n = 0;
	if (o->p != NULL)
		o->p[0] = '\0';
}

static void reserve(struct out *o, size_t more)
{
	if (o->n + more + 1 <= o->cap)
		return;
	o->cap = 2 * (o->n + more + 1);
	o->p = realloc(o->p, o->cap);
	if (o->p == NULL)
		abort();
}

static void vadd(struct out *o, const char *format, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (n < 0)
		abort();
	reserve(o, (size_t)n);
	vsnprintf(o->p + o->n, (size_t)n + 1, format, ap);
	o->n += (size_t)n;
}

void say(struct out *o, const char *format, ...)
{
	va_list ap;

	if (o->level == LEVEL_NONE)
		return;
	va_start(ap, format);
	vadd(o, format, ap);
	va_end(ap);
}

void out_add(struct out *o, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vadd(o, format, ap);
	va_end(ap);
}

void out_indent(struct out *o, size_t from)
{
	char *was;
	char *rest;
	char *line;

	if (o->n == from)
		return;
	was = strdup(o->p + from);
	if (was == NULL)
		abort();
	o->n = from;
	rest = was;
	while (*rest != '\0') {
		line = strsep(&rest, "\n");
		out_add(o, "  %s\n", line);
		if (rest == NULL)
			break;
	}
	free(was);
}

enum level level_named(const char *name)
{
	int i = 0;

	while (i <= LEVEL_NONE && strcasecmp(names[i], name) != 0)
		i++;
	return (enum level)i;
}

const char *level_name(enum level l)
{
	return names[l];
}
