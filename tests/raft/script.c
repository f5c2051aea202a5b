/* script.c -- reads a script and compares what its commands print. */
#include "script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_file(const char *path)
{
	struct out text = {0};
	FILE *f = fopen(path, "r");
	char buf[4096];
	size_t n;

	if (f == NULL)
		return NULL;
	out_add(&text, "%s", "");
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		out_add(&text, "%.*s", (int)n, buf);
	fclose(f);
	return text.p;
}

uint64_t number(const char *text, uint64_t none)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	return *text == '\0' || *end != '\0' ? none : n;
}

bool truth(const char *text)
{
	return strcmp(text, "true") == 0;
}

/* "(a, b)" or "a" as values; the text is cut in place. */
static bool parse_values(struct arg *a, char *text)
{
	char *v;
	size_t len = strlen(text);

	if (text[0] == '(') {
		if (text[len - 1] != ')')
			return false;
		text[len - 1] = '\0';
		text++;
	}
	while ((v = strsep(&text, ",")) != NULL) {
		while (*v == ' ')
			v++;
		if (a->n == VALUES_MAX)
			return false;
		if (*v != '\0')
			a->values[a->n++] = v;
	}
	return true;
}

/* The next word of a command: spaces count within parentheses. */
static char *next_word(char **at)
{
	char *word = *at + strspn(*at, " "), *p = word;
	bool inside = false;

	for (; *p != '\0' && (inside || *p != ' '); p++)
		inside = *p == '(' || (inside && *p != ')');
	*at = *p == '\0' ? p : p + 1;
	*p = '\0';
	return word;
}

static bool parse_command(struct command *c, char *line)
{
	char *word;

	c->name = next_word(&line);
	while (*(word = next_word(&line)) != '\0') {
		struct arg *a = &c->args[c->n];

		if (c->n == ARGS_MAX)
			return false;
		a->key = strsep(&word, "=");
		if (word != NULL && !parse_values(a, word))
			return false;
		c->n++;
	}
	return true;
}

/* Cut lines off *rest until one that is `end`; they stay together as a text
 * that ends with a newline, or is empty.  NULL: no such line. */
static char *take_until(char **rest, const char *end, int *line)
{
	char *start = *rest, *p = start;
	size_t len = strlen(end);

	for (;;) {
		char *eol = strchrnul(p, '\n');

		++*line;
		if ((size_t)(eol - p) == len && strncmp(p, end, len) == 0) {
			*rest = *eol == '\0' ? eol : eol + 1;
			*p = '\0';
			return start;
		}
		if (*eol == '\0') {
			*rest = eol;
			return len == 0 ? start : NULL;
		}
		p = eol + 1;
	}
}

/* The two texts are cut one byte into the separator lines, so the command's
 * own line, its input and its expected text stay apart. */
static bool parse(struct script *s)
{
	char *rest = s->text;
	int line = 0;

	while (*rest != '\0') {
		struct command c = {.line = line + 1};
		char *first = rest, *eol = strchrnul(rest, '\n');

		line++;
		rest = *eol == '\0' ? eol : eol + 1;
		if (*first == '#' || *first == '\n' || *first == '\0')
			continue;
		*eol = '\0';
		c.input = take_until(&rest, "----", &line);
		if (c.input == NULL || !parse_command(&c, first))
			return false;
		c.expected = take_until(&rest, "", &line);
		s->commands =
		    realloc(s->commands, (s->n + 1) * sizeof(*s->commands));
		if (s->commands == NULL)
			abort();
		s->commands[s->n++] = c;
	}
	return true;
}

bool script_load(struct script *s, const char *path, const char **why)
{
	*s = (struct script){.text = read_file(path)};
	*why = s->text == NULL ? "cannot be read" : "is not a script";
	return s->text != NULL && parse(s);
}

void script_free(struct script *s)
{
	free(s->commands);
	free(s->text);
	*s = (struct script){0};
}

static size_t line_length(const char *p)
{
	return strcspn(p, "\n");
}

/* From the first line that differs, a few of each. */
static void differ(struct out *diff, const struct command *c, const char *got)
{
	const char *want = c->expected;
	const char *const sides[] = {"-", "+"};
	int at = c->line;

	while (*want != '\0' && line_length(want) == line_length(got) &&
	       strncmp(want, got, line_length(want) + 1) == 0) {
		want += line_length(want) + 1;
		got += line_length(got) + 1;
		at++;
	}
	out_add(diff, "#   line %d (%s), line %d of its output\n", c->line,
	    c->name, at - c->line + 1);
	for (int side = 0; side < 2; side++) {
		const char *p = side == 0 ? want : got;

		for (int k = 0; k < 4 && *p != '\0'; k++) {
			size_t n = line_length(p);

			out_add(diff, "#   %s%.*s\n", sides[side], (int)n, p);
			p += n + (p[n] == '\n');
		}
	}
}

size_t script_run(
    const struct script *s, run_command *run, void *ctx, struct out *diff)
{
	struct out out = {0}; /* its level stays from command to command */
	size_t others = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct command *c = &s->commands[i];

		out_clear(&out);
		run(ctx, c, &out);
		out_add(&out, "%s",
		    out.n > 0 && out.p[out.n - 1] != '\n' ? "\n" : "");
		if (strcmp(out.p, c->expected) != 0 && others++ == 0)
			differ(diff, c, out.p);
	}
	out_free(&out);
	return others;
}
