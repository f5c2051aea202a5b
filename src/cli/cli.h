/* cli.h -- the quorate command: one table of commands, from which dispatch and
 * every --help are made.  Exit status: 0 done, 1 refused or failed, 2 usage,
 * 3 outcome unknown. */
#ifndef QUORATE_CLI_CLI_H
#define QUORATE_CLI_CLI_H

#include <stdio.h>

#include "base/buf.h"

enum cli_exit {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_UNKNOWN = 3
};

struct cli_option {
	const char *name; /* "--cluster" */
	const char *arg;  /* "NAME"; NULL: a flag */
	const char *help;
};

struct cli_args;
typedef enum code cli_run(struct cli_args *a, struct err *e);

#define CLI_OPTIONS_MAX 16
struct cli_command {
	const char *family, *verb; /* verb NULL: the family alone */
	const char *operands;      /* for the usage line: "SERIAL" */
	int least, most;           /* operands */
	const char *help;          /* one line */
	cli_run *run;
	struct cli_option options[CLI_OPTIONS_MAX]; /* ends with a NULL name */
};

/* The families: each array ends with a row without a family. */
extern const struct cli_command cli_init[], cli_token[], cli_join[],
    cli_status[], cli_request[], cli_cert[], cli_bundle[], cli_cluster[],
    cli_issuer[], cli_member[], cli_policy[], cli_operator[], cli_head[],
    cli_revoke[], cli_blocked[], cli_crl[], cli_root[], cli_federate[];

/* The i-th of them, NULL past the last; what every command takes: help and
 * the manual page are made from these. */
const struct cli_command *cli_family(size_t i);
extern const struct cli_option cli_globals[];

#define CLI_VALUES_MAX 128
struct cli_args {
	const struct cli_command *command;
	struct {
		const char *name, *value;
	} options[CLI_VALUES_MAX];
	size_t options_n;
	const char *operands[CLI_VALUES_MAX];
	int operands_n;
	FILE *out, *err;
};

/* Everything main does; argv as main has it. */
int cli_main(int argc, char **argv, FILE *out, FILE *err);
/* Fill in a; E_INVAL: usage. */
enum code cli_parse(
    struct cli_args *a, int argc, char **argv, struct err *e) MUST_CHECK;
int cli_exit_of(enum code rc);

/* The last value of an option; NULL if it was not given. */
const char *cli_value(const struct cli_args *a, const char *name);
/* The i-th value of an option that may be repeated, or NULL. */
const char *cli_nth(const struct cli_args *a, const char *name, size_t i);
bool cli_flag(const struct cli_args *a, const char *name);
/* The value of an option that must be there; E_INVAL (usage). */
enum code cli_need(const struct cli_args *a, const char *name, const char **out,
    struct err *e) MUST_CHECK;
/* Values of a repeatable option, each of which may itself be a list with
 * commas; spans borrow.  E_INVAL past max. */
enum code cli_list(const struct cli_args *a, const char *name, struct span *out,
    size_t max, size_t *n, struct err *e) MUST_CHECK;
/* A usage error: exit status 2.  Returns E_INVAL and marks e. */
enum code cli_usage(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "90s", "15m", "24h", "7d", or seconds; negative is not taken. */
enum code cli_duration(
    const char *text, uint64_t *out_s, struct err *e) MUST_CHECK;
enum code cli_number(const char *text, uint64_t *out, struct err *e) MUST_CHECK;

/* --listen and every --set as rows of node.yaml; how many. */
#define CLI_SETS_MAX 64
size_t cli_sets(
    const struct cli_args *a, const char *set[CLI_SETS_MAX], char listen[64]);

enum cli_form { FORM_TABLE, FORM_JSON, FORM_PEM };
/* What -o says; E_INVAL: not one of table, json (and pem if it may be). */
enum code cli_form(const struct cli_args *a, bool pem, enum cli_form *out,
    struct err *e) MUST_CHECK;

#endif
