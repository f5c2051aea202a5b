#include "cli/output.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 16

static void add_escaped(struct buf *out, const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e)
			buf_printf(out, "\\x%02x", (unsigned char)*s);
		else
			buf_add(out, s, 1);
}

static void add_value(struct buf *out, const json_t *v)
{
	switch (v == NULL ? JSON_NULL : json_typeof(v)) {
	case JSON_STRING:
		add_escaped(out,
		    json_string_length(v) > 0 ? json_string_value(v) : "-");
		break;
	case JSON_INTEGER:
		buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		break;
	case JSON_TRUE: buf_add_str(out, "yes"); break;
	case JSON_FALSE: buf_add_str(out, "no"); break;
	case JSON_ARRAY:
		for (size_t i = 0; i < json_array_size(v); i++) {
			const json_t *row = json_array_get(v, i);

			buf_add_str(out, i > 0 ? "," : "");
			if (json_is_string(row))
				add_value(out, row);
		}
		if (json_array_size(v) == 0)
			buf_add_str(out, "-");
		break;
	default: buf_add_str(out, "-"); break;
	}
}

/* "head.root": a member of a member. */
static const json_t *field_of(const json_t *o, const char *field)
{
	const char *dot = strchr(field, '.');
	char name[40];

	if (dot == NULL)
		return json_object_get(o, field);
	snprintf(name, sizeof(name), "%.*s", (int)(dot - field), field);
	return field_of(json_object_get(o, name), dot + 1);
}

static size_t width_of(const json_t *rows, const struct column *c)
{
	size_t width = strlen(c->title);
	struct buf cell;

	buf_init(&cell);
	for (size_t i = 0; i < json_array_size(rows); i++) {
		buf_clear(&cell);
		add_value(&cell, field_of(json_array_get(rows, i), c->field));
		if (cell.len > width)
			width = cell.len;
	}
	buf_free(&cell);
	return width;
}

static void print_cell(FILE *f, const struct buf *cell, size_t width, bool last)
{
	fprintf(f, "%.*s", (int)cell->len,
	    cell->len > 0 ? (const char *)cell->p : "");
	if (last)
		fputc('\n', f);
	else
		fprintf(f, "%*s", (int)(width - cell->len) + 2, "");
}

void output_table(FILE *f, const json_t *rows, const struct column *columns)
{
	size_t widths[COLUMNS_MAX], n = 0;
	struct buf cell;

	buf_init(&cell);
	for (; n < COLUMNS_MAX && columns[n].title != NULL; n++)
		widths[n] = width_of(rows, &columns[n]);
	for (size_t c = 0; c < n; c++) {
		buf_clear(&cell);
		buf_add_str(&cell, columns[c].title);
		print_cell(f, &cell, widths[c], c + 1 == n);
	}
	for (size_t i = 0; i < json_array_size(rows); i++)
		for (size_t c = 0; c < n; c++) {
			buf_clear(&cell);
			add_value(&cell, field_of(json_array_get(rows, i),
					     columns[c].field));
			print_cell(f, &cell, widths[c], c + 1 == n);
		}
	buf_free(&cell);
}

void output_fields(FILE *f, const json_t *o, const struct column *columns)
{
	size_t width = 0;
	struct buf cell;

	buf_init(&cell);
	for (const struct column *c = columns; c->title != NULL; c++)
		if (strlen(c->title) > width)
			width = strlen(c->title);
	for (const struct column *c = columns; c->title != NULL; c++) {
		buf_clear(&cell);
		add_value(&cell, field_of(o, c->field));
		fprintf(f, "%-*s  ", (int)width, c->title);
		print_cell(f, &cell, 0, true);
	}
	buf_free(&cell);
}

void output_text(FILE *f, const char *s)
{
	struct buf text;

	buf_init(&text);
	add_escaped(&text, s);
	fprintf(
	    f, "%.*s", (int)text.len, text.len > 0 ? (const char *)text.p : "");
	buf_free(&text);
}

enum code output_json(FILE *f, const json_t *o, struct err *e)
{
	char *text = json_dumps(o, JSON_INDENT(2) | JSON_ENCODE_ANY);

	if (text == NULL)
		return err_nomem(e);
	fprintf(f, "%s\n", text);
	free(text);
	return E_OK;
}

enum code output_list(FILE *f, enum cli_form form, const json_t *rows,
    const struct column *columns, const char *none, struct err *e)
{
	if (form == FORM_JSON)
		return output_json(f, rows, e);
	if (json_array_size(rows) > 0)
		output_table(f, rows, columns);
	else
		fprintf(f, "%s\n", none);
	return E_OK;
}

const char *output_string(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s != NULL ? s : "";
}

json_t *output_find(const json_t *rows, const char *field, const char *text)
{
	for (size_t i = 0; i < json_array_size(rows); i++)
		if (strcmp(output_string(json_array_get(rows, i), field),
			text) == 0)
			return json_array_get(rows, i);
	return NULL;
}
