#include "cli/cli.h"

#include <string.h>

static const struct cli_command *const families[] = {cli_init, cli_token,
    cli_join, cli_status, cli_request, cli_cert, cli_bundle, cli_cluster,
    cli_issuer, cli_member, cli_policy, cli_operator, cli_head, cli_revoke,
    cli_blocked, cli_crl, cli_root, cli_federate};

#define FAMILIES (sizeof(families) / sizeof(families[0]))

const struct cli_command *cli_family(size_t i)
{
	return i < FAMILIES ? families[i] : NULL;
}

/* ---- Help ---- */

static void print_name(FILE *f, const struct cli_command *c)
{
	fprintf(f, "quorate %s", c->family);
	if (c->verb != NULL)
		fprintf(f, " %s", c->verb);
	if (c->operands != NULL)
		fprintf(f, " %s", c->operands);
}

static void print_options(FILE *f, const struct cli_option *o)
{
	for (; o->name != NULL; o++) {
		int n = fprintf(f, "  %s%s%s", o->name,
		    o->arg != NULL ? " " : "", o->arg != NULL ? o->arg : "");

		fprintf(f, "%*s %s\n", n < 30 ? 30 - n : 0, "", o->help);
	}
}

static void help_command(FILE *f, const struct cli_command *c)
{
	fprintf(f, "usage: ");
	print_name(f, c);
	fprintf(f, "%s\n\n%s\n\n",
	    c->options[0].name != NULL ? " [options]" : "", c->help);
	print_options(f, c->options);
	fprintf(f, "\nEvery command:\n");
	print_options(f, cli_globals);
}

static void help_family(FILE *f, const struct cli_command *c)
{
	for (; c->family != NULL; c++) {
		fprintf(f, "  ");
		print_name(f, c);
		fprintf(f, "\n      %s\n", c->help);
	}
}

static void help_all(FILE *f)
{
	fprintf(f, "usage: quorate COMMAND [options]\n\n");
	for (size_t i = 0; i < FAMILIES; i++)
		help_family(f, families[i]);
	fprintf(f, "\nEvery command:\n");
	print_options(f, cli_globals);
	fprintf(f, "\nExit status: 0 done, 1 refused or failed, 2 usage, "
		   "3 outcome unknown.\n");
}

/* ---- Dispatch ---- */

static const struct cli_command *find_family(const char *name)
{
	for (size_t i = 0; i < FAMILIES; i++)
		if (strcmp(families[i]->family, name) == 0)
			return families[i];
	return NULL;
}

static const struct cli_command *find_verb(
    const struct cli_command *c, const char *verb)
{
	for (; c->family != NULL; c++)
		if (c->verb == NULL ||
		    (verb != NULL && strcmp(c->verb, verb) == 0))
			return c;
	return NULL;
}

/* Words before the command may only be global options. */
static enum code find_command(struct cli_args *a, int argc, char **argv,
    int *used, const struct cli_command **family, struct err *e)
{
	int i = 1;
	enum code rc = E_OK;

	*family = NULL;
	while (i < argc && argv[i][0] == '-' && rc == E_OK) {
		int take = strchr(argv[i], '=') == NULL &&
				   strcmp(argv[i], "--help") != 0 &&
				   i + 1 < argc
			       ? 2
			       : 1;

		rc = cli_parse(a, take, argv + i, e);
		i += take;
	}
	if (rc != E_OK)
		return rc;
	if (i >= argc)
		return cli_flag(a, "--help")
			   ? E_OK
			   : cli_usage(e, "a command is missing");
	*family = find_family(argv[i]);
	if (*family == NULL)
		return cli_usage(e, "unknown command \"%.40s\"", argv[i]);
	i++;
	a->command = find_verb(*family, i < argc ? argv[i] : NULL);
	if (a->command == NULL && i < argc && strcmp(argv[i], "--help") != 0)
		return cli_usage(e, "unknown command \"%s %.40s\"",
		    (*family)->family, argv[i]);
	if (a->command != NULL && a->command->verb != NULL)
		i++;
	*used = i;
	return E_OK;
}

int cli_exit_of(enum code rc)
{
	return rc == E_OK        ? EXIT_DONE
	       : rc == E_TIMEOUT ? EXIT_UNKNOWN
				 : EXIT_FAILED;
}

static int usage_error(
    struct cli_args *a, const struct cli_command *family, const struct err *e)
{
	fprintf(a->err, "quorate: %s\n", e->text + strlen("usage: "));
	if (a->command != NULL) {
		fprintf(a->err, "usage: ");
		print_name(a->err, a->command);
		fprintf(a->err, " [options]; --help says more\n");
	} else if (family != NULL) {
		fprintf(a->err, "usage:\n");
		help_family(a->err, family);
	} else {
		fprintf(a->err, "`quorate --help` lists the commands\n");
	}
	return EXIT_USAGE;
}

int cli_main(int argc, char **argv, FILE *out, FILE *errf)
{
	struct cli_args a = {.out = out, .err = errf};
	const struct cli_command *family = NULL;
	struct err e = {0};
	int used = argc;
	enum code rc = find_command(&a, argc, argv, &used, &family, &e);

	if (rc == E_OK && family == NULL) {
		help_all(out);
		return EXIT_DONE;
	}
	if (rc == E_OK && a.command == NULL) {
		bool asked = used < argc; /* only --help gets here */

		fprintf(asked ? out : errf, "usage:\n");
		help_family(asked ? out : errf, family);
		return asked ? EXIT_DONE : EXIT_USAGE;
	}
	if (rc == E_OK)
		rc = cli_parse(&a, argc - used, argv + used, &e);
	if (rc == E_OK && cli_flag(&a, "--help")) {
		help_command(out, a.command);
		return EXIT_DONE;
	}
	if (rc == E_OK)
		rc = a.command->run(&a, &e);
	if (rc == E_INVAL && strncmp(e.text, "usage: ", 7) == 0)
		return usage_error(&a, family, &e);
	if (rc != E_OK)
		fprintf(errf, "quorate: %s\n", e.text);
	if (rc == E_OK && fflush(out) != 0) {
		fprintf(errf, "quorate: cannot write the output\n");
		return EXIT_FAILED;
	}
	return cli_exit_of(rc);
}
