/* output.h -- what commands print: tables for people, JSON for programs.
 * Whatever a node sent is escaped before it reaches a terminal. */
#ifndef QUORATE_CLI_OUTPUT_H
#define QUORATE_CLI_OUTPUT_H

#include <jansson.h>

#include "cli/cli.h"

struct column {
	const char *title, *field;
};

/* One line a row; columns ends with a NULL title. */
void output_table(FILE *f, const json_t *rows, const struct column *columns);
/* One line a field: "title   value". */
void output_fields(FILE *f, const json_t *o, const struct column *columns);
/* Text with control and non-ASCII bytes as \xNN. */
void output_text(FILE *f, const char *s);
enum code output_json(FILE *f, const json_t *o, struct err *e) MUST_CHECK;
/* The table or the JSON of a list, as form says; takes no reference. */
enum code output_list(FILE *f, enum cli_form form, const json_t *rows,
    const struct column *columns, const char *none, struct err *e) MUST_CHECK;

/* The member of o with that name as text; "" if it is none. */
const char *output_string(const json_t *o, const char *name);
/* The first row whose field has that text; NULL. */
json_t *output_find(const json_t *rows, const char *field, const char *text);

#endif
