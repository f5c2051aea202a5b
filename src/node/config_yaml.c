#include "node/config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cyaml/cyaml.h>

#include "base/fs.h"

#define FILE_MAX (64 * 1024)
#define TEXT_MAX 1024

/* libcyaml reads every scalar as text, so that all checks, and their messages,
 * come from the table. */
struct raw {
	char *text[CONFIG_KEYS];
	char **list[CONFIG_KEYS];
	unsigned list_n[CONFIG_KEYS];
};

#define SECTIONS_MAX 8

struct schema {
	cyaml_schema_field_t top[CONFIG_KEYS + 1];
	cyaml_schema_field_t sub[SECTIONS_MAX][CONFIG_KEYS + 1];
	cyaml_schema_value_t root;
};

/* What libcyaml said first, and where it was. */
struct complaint {
	char what[160], path[96];
	unsigned long line;
};

static const cyaml_schema_value_t list_row = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, TEXT_MAX)};

static cyaml_schema_field_t schema_field(size_t i)
{
	cyaml_schema_field_t f = {.key = config_keys[i].key};

	if (config_keys[i].kind != KIND_LIST) {
		f.data_offset =
		    (uint32_t)(offsetof(struct raw, text) + i * sizeof(char *));
		f.value = (cyaml_schema_value_t){
		    CYAML_VALUE_STRING(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			char, 0, TEXT_MAX)};
		return f;
	}
	f.data_offset =
	    (uint32_t)(offsetof(struct raw, list) + i * sizeof(char **));
	f.count_offset =
	    (uint32_t)(offsetof(struct raw, list_n) + i * sizeof(unsigned));
	f.count_size = sizeof(unsigned);
	f.value = (cyaml_schema_value_t){.type = CYAML_SEQUENCE,
	    .flags = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
	    .data_size = sizeof(char *),
	    .sequence = {&list_row, 0, (uint32_t)config_keys[i].max}};
	return f;
}

/* The rows of one section; those of "" are at the top. */
static size_t add_section(cyaml_schema_field_t *out, const char *section)
{
	size_t n = 0;

	for (size_t i = 0; i < CONFIG_KEYS; i++)
		if (strcmp(config_keys[i].section, section) == 0)
			out[n++] = schema_field(i);
	return n;
}

static void schema_build(struct schema *s)
{
	size_t n, subs = 0;

	*s = (struct schema){0};
	n = add_section(s->top, "");
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		bool first = config_keys[i].section[0] != '\0';

		for (size_t k = 0; k < i; k++)
			if (strcmp(config_keys[k].section,
				config_keys[i].section) == 0)
				first = false;
		if (!first || subs == SECTIONS_MAX)
			continue;
		add_section(s->sub[subs], config_keys[i].section);
		s->top[n++] =
		    (cyaml_schema_field_t){.key = config_keys[i].section,
			.value = {.type = CYAML_MAPPING,
			    .flags = CYAML_FLAG_OPTIONAL,
			    .data_size = sizeof(struct raw),
			    .mapping = {s->sub[subs]}}};
		subs++;
	}
	s->root = (cyaml_schema_value_t){.type = CYAML_MAPPING,
	    .flags = CYAML_FLAG_POINTER,
	    .data_size = sizeof(struct raw),
	    .mapping = {s->top}};
}

/* Prepend a field to the path: the backtrace runs from the inside out. */
static void path_prepend(char path[96], const char *field)
{
	char old[96];

	memcpy(old, path, sizeof(old));
	snprintf(
	    path, 96, "%.40s%s%.50s", field, old[0] != '\0' ? "." : "", old);
}

/* "(line: N": 0 if it says none. */
static unsigned long line_said(const char *text)
{
	const char *p = strstr(text, "(line: ");

	return p == NULL ? 0 : strtoul(p + strlen("(line: "), NULL, 10);
}

__attribute__((format(printf, 3, 0))) static void on_complaint(
    cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
	struct complaint *c = ctx;
	char line[256], field[64];
	unsigned long at;

	(void)level;
	vsnprintf(line, sizeof(line), fmt, args);
	line[strcspn(line, "\n")] = '\0';
	if (c->what[0] == '\0') {
		const char *p =
		    strncmp(line, "Load: ", 6) == 0 ? line + 6 : line;

		snprintf(c->what, sizeof(c->what), "%.150s", p);
		return;
	}
	at = line_said(line);
	if (at != 0 &&
	    sscanf(line, " in mapping field '%63[^']'", field) == 1) {
		path_prepend(c->path, field);
		if (c->line == 0)
			c->line = at;
	} else if (c->line == 0) {
		c->line = at;
	}
}

/* The line that a key is on, counted from 1; 0 if it cannot be told. */
static unsigned long line_of(
    struct span text, const char *section, const char *key)
{
	unsigned long line = 1;
	bool inside = section[0] == '\0';
	const char *want = inside ? key : section;
	const char *p = (const char *)text.p, *end = p + text.len;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		const char *stop = nl != NULL ? nl : end;
		const char *word = p;
		size_t n = strlen(want);

		while (word < stop && (*word == ' ' || *word == '{'))
			word++;
		if ((size_t)(stop - word) > n && word[n] == ':' &&
		    memcmp(word, want, n) == 0) {
			if (inside)
				return line;
			inside = true;
			want = key;
			/* flow style: the key is on the section's own line */
			if (memmem(word, (size_t)(stop - word), key,
				strlen(key)) != NULL)
				return line;
		}
		p = stop + 1;
		line++;
	}
	return 0;
}

static void where(char out[300], const char *name, unsigned long line)
{
	if (line > 0)
		snprintf(out, 300, "%.200s:%lu", name, line);
	else
		snprintf(out, 300, "%.200s", name);
}

static enum code report(const struct complaint *c, struct span text,
    const char *name, struct err *e)
{
	static const char unknown[] = "Unexpected key: ";
	char at[300], want[128];
	const struct config_key *k = config_find_key(c->path);

	if (strncmp(c->what, unknown, sizeof(unknown) - 1) == 0) {
		const char *key = c->what + sizeof(unknown) - 1;

		where(at, name, line_of(text, c->path, key));
		return err_set(e, E_INVAL,
		    "%s: unknown key \"%s%s%s\"; `quorated --help` lists the "
		    "keys",
		    at, c->path, c->path[0] != '\0' ? "." : "", key);
	}
	where(at, name, c->line);
	if (strstr(c->what, "already seen") != NULL)
		return err_set(
		    e, E_INVAL, "%s: %s is given twice; keep one", at, c->path);
	if (k != NULL)
		return err_set(e, E_INVAL, "%s: %s: %s; expected %s", at,
		    c->path, c->what, config_expect(k, want));
	return err_set(e, E_INVAL,
	    "%s: %s%s%s; expected YAML as `quorated "
	    "--help` shows it",
	    at, c->path, c->path[0] != '\0' ? ": " : "", c->what);
}

static enum code take_raw(struct config *c, const struct raw *raw,
    struct span text, const char *name, struct err *e)
{
	char at[300];
	enum code rc = E_OK;

	for (size_t i = 0; i < CONFIG_KEYS && rc == E_OK; i++) {
		if (raw->text[i] != NULL)
			rc = config_set_value(
			    c, &config_keys[i], raw->text[i], e);
		for (unsigned k = 0; k < raw->list_n[i] && rc == E_OK; k++)
			rc = config_set_value(
			    c, &config_keys[i], raw->list[i][k], e);
		if (rc == E_OK)
			continue;
		where(at, name,
		    line_of(text, config_keys[i].section, config_keys[i].key));
		rc = err_wrap(e, rc, "%s", at);
	}
	return rc;
}

static enum code load_raw(
    struct config *c, struct span text, const char *name, struct err *e)
{
	struct schema schema;
	struct complaint said = {0};
	struct raw *raw = NULL;
	cyaml_config_t cfg = {.log_fn = on_complaint,
	    .log_ctx = &said,
	    .mem_fn = cyaml_mem,
	    .log_level = CYAML_LOG_ERROR,
	    .flags = CYAML_CFG_NO_ALIAS};
	enum code rc = E_OK;
	cyaml_err_t err;

	schema_build(&schema);
	err = cyaml_load_data(
	    text.p, text.len, &cfg, &schema.root, (cyaml_data_t **)&raw, NULL);
	if (err == CYAML_ERR_OOM)
		rc = err_nomem(e);
	else if (err != CYAML_OK)
		rc = report(&said, text, name, e);
	else if (raw != NULL) /* an empty document gives none */
		rc = take_raw(c, raw, text, name, e);
	cyaml_free(&cfg, &schema.root, raw, 0);
	return rc;
}

enum code config_parse(
    struct config *c, struct span text, const char *name, struct err *e)
{
	enum code rc = config_init(c, e);

	if (rc != E_OK)
		return rc;
	if (text.len > 0)
		rc = load_raw(c, text, name, e);
	if (rc == E_OK) {
		rc = config_check(c, e);
		if (rc != E_OK)
			rc = err_wrap(e, rc, "%s", name);
	}
	if (rc != E_OK)
		config_free(c);
	return rc;
}

enum code config_load(struct config *c, const char *path, struct err *e)
{
	struct buf text;
	enum code rc;

	buf_init(&text);
	*c = (struct config){0};
	rc = fs_read(path, FILE_MAX, &text, e);
	if (rc == E_OK)
		rc = config_parse(c, buf_span(&text), path, e);
	buf_free(&text);
	return rc;
}
