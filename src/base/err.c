#include "base/err.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int grpc, http;
} rows[] = {
#define X(sym, name, grpc, http) {name, grpc, http},
    ERR_CODES(X)
#undef X
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

const char *code_name(enum code c)
{
	return (size_t)c < ROWS ? rows[c].name : "internal";
}

enum code code_from_name(const char *name)
{
	for (size_t i = 0; i < ROWS; i++)
		if (strcmp(rows[i].name, name) == 0)
			return (enum code)i;
	return E_INTERNAL;
}

int code_grpc(enum code c)
{
	return (size_t)c < ROWS ? rows[c].grpc : 13;
}

int code_http(enum code c)
{
	return (size_t)c < ROWS ? rows[c].http : 500;
}

enum code err_set(struct err *e, enum code c, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return c;
	e->code = c;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return c;
}

enum code err_wrap(struct err *e, enum code c, const char *fmt, ...)
{
	char inner[sizeof(e->text)];
	size_t n;
	va_list ap;

	if (e == NULL)
		return c;
	memcpy(inner, e->text, sizeof(inner));
	inner[sizeof(inner) - 1] = '\0';
	e->code = c;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	n = strlen(e->text);
	snprintf(e->text + n, sizeof(e->text) - n, ": %s", inner);
	return c;
}

enum code err_nomem(struct err *e)
{
	return err_set(e, E_NOMEM, "out of memory");
}
