#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define USAGE_MARK "usage: "

/* Taken by every command. */
const struct cli_option cli_globals[] = {
    {"--server", "HOST:PORT[,...]", "nodes to ask, in turn (QUORATE_SERVER)"},
    {"--identity", "DIR",
	"operator's folder (QUORATE_IDENTITY; default: the only one in "
	"~/.config/quorate)"},
    {"-o", "table|json", "form of the output"},
    {"--help", NULL, "this text"},
    {NULL, NULL, NULL},
};

enum code cli_usage(struct err *e, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(e, E_INVAL, USAGE_MARK "%s", text);
}

static const struct cli_option *find_option(
    const struct cli_option *rows, const char *name, size_t len)
{
	for (; rows->name != NULL; rows++)
		if (strlen(rows->name) == len &&
		    strncmp(rows->name, name, len) == 0)
			return rows;
	return NULL;
}

static enum code take_option(
    struct cli_args *a, int argc, char **argv, int *i, struct err *e)
{
	const char *word = argv[*i], *eq = strchr(word, '=');
	size_t len = eq != NULL ? (size_t)(eq - word) : strlen(word);
	const struct cli_option *o = find_option(cli_globals, word, len);
	const char *value = eq != NULL ? eq + 1 : NULL;

	if (o == NULL && a->command != NULL)
		o = find_option(a->command->options, word, len);
	if (o == NULL)
		return cli_usage(e, "unknown option %.60s", word);
	if (o->arg == NULL && value != NULL)
		return cli_usage(e, "%s takes no value", o->name);
	if (o->arg != NULL && value == NULL) {
		if (*i + 1 >= argc)
			return cli_usage(
			    e, "%s needs a value: %s", o->name, o->arg);
		value = argv[++*i];
	}
	if (a->options_n == CLI_VALUES_MAX)
		return cli_usage(e, "too many options");
	a->options[a->options_n].name = o->name;
	a->options[a->options_n++].value = value;
	return E_OK;
}

static enum code check_operands(const struct cli_args *a, struct err *e)
{
	const struct cli_command *c = a->command;

	if (a->operands_n < c->least)
		return cli_usage(e, "%s%s%s needs %s", c->family,
		    c->verb != NULL ? " " : "", c->verb != NULL ? c->verb : "",
		    c->operands);
	if (a->operands_n > c->most)
		return cli_usage(
		    e, "unexpected argument \"%.60s\"", a->operands[c->most]);
	return E_OK;
}

/* argv[0] is the first word after those that named the command. */
enum code cli_parse(struct cli_args *a, int argc, char **argv, struct err *e)
{
	enum code rc = E_OK;
	bool only_operands = false;

	for (int i = 0; i < argc && rc == E_OK; i++) {
		if (!only_operands && strcmp(argv[i], "--") == 0)
			only_operands = true;
		else if (!only_operands && argv[i][0] == '-' &&
			 argv[i][1] != '\0')
			rc = take_option(a, argc, argv, &i, e);
		else if (a->operands_n == CLI_VALUES_MAX)
			rc = cli_usage(e, "too many arguments");
		else
			a->operands[a->operands_n++] = argv[i];
	}
	if (rc == E_OK && a->command != NULL && !cli_flag(a, "--help"))
		rc = check_operands(a, e);
	return rc;
}

const char *cli_value(const struct cli_args *a, const char *name)
{
	for (size_t i = a->options_n; i > 0; i--)
		if (strcmp(a->options[i - 1].name, name) == 0)
			return a->options[i - 1].value;
	return NULL;
}

const char *cli_nth(const struct cli_args *a, const char *name, size_t nth)
{
	for (size_t i = 0; i < a->options_n; i++)
		if (strcmp(a->options[i].name, name) == 0 && nth-- == 0)
			return a->options[i].value;
	return NULL;
}

bool cli_flag(const struct cli_args *a, const char *name)
{
	for (size_t i = 0; i < a->options_n; i++)
		if (strcmp(a->options[i].name, name) == 0)
			return true;
	return false;
}

enum code cli_need(
    const struct cli_args *a, const char *name, const char **out, struct err *e)
{
	*out = cli_value(a, name);
	if (*out == NULL)
		return cli_usage(e, "%s is missing", name);
	return E_OK;
}

enum code cli_list(const struct cli_args *a, const char *name, struct span *out,
    size_t max, size_t *n, struct err *e)
{
	const char *v;

	*n = 0;
	for (size_t i = 0; (v = cli_nth(a, name, i)) != NULL; i++)
		for (;;) {
			size_t len = strcspn(v, ",");

			if (len > 0) {
				if (*n == max)
					return cli_usage(e,
					    "%s: more than %zu values", name,
					    max);
				out[(*n)++] = span_of(v, len);
			}
			if (v[len] == '\0')
				break;
			v += len + 1;
		}
	return E_OK;
}

enum code cli_number(const char *text, uint64_t *out, struct err *e)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0)
		return cli_usage(e, "\"%.40s\" is not a whole number", text);
	return E_OK;
}

enum code cli_duration(const char *text, uint64_t *out_s, struct err *e)
{
	static const struct {
		char unit;
		uint64_t s;
	} units[] = {{'\0', 1}, {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	char *end;

	errno = 0;
	*out_s = strtoull(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && errno == 0 &&
	    (*end == '\0' || end[1] == '\0'))
		for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
			if (*end == units[i].unit &&
			    *out_s <= UINT64_MAX / 1000 / units[i].s) {
				*out_s *= units[i].s;
				return E_OK;
			}
	return cli_usage(e,
	    "\"%.40s\" is not a duration; expected such as 90s, 15m, 24h, 7d",
	    text);
}

enum code cli_form(
    const struct cli_args *a, bool pem, enum cli_form *out, struct err *e)
{
	const char *v = cli_value(a, "-o");

	*out = FORM_TABLE;
	if (v == NULL || strcmp(v, "table") == 0)
		return E_OK;
	*out = FORM_JSON;
	if (strcmp(v, "json") == 0)
		return E_OK;
	*out = FORM_PEM;
	if (pem && strcmp(v, "pem") == 0)
		return E_OK;
	return cli_usage(
	    e, "-o %.20s: expected table%s json", v, pem ? ", pem or" : " or");
}
