/* quorate-docgen: the tables of the reference pages, from the tables of the
 * code.  Reads a page on stdin and writes it to stdout; what stands between
 * the lines "made from TABLE" and "end of TABLE" is replaced.  Not installed.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/log_event.h"
#include "cli/cli.h"
#include "node/config.h"

#define BEGIN "made from "
#define END "end of "

/* ---- Manual pages ---- */

/* One sentence of a table as text of a manual page. */
static void man_sentence(const char *s)
{
	if (s[0] == '.' || s[0] == '\'')
		fputs("\\&", stdout);
	putchar(toupper((unsigned char)s[0]));
	for (const char *p = s + 1; s[0] != '\0' && *p != '\0'; p++)
		if (*p == '\\')
			fputs("\\e", stdout);
		else
			putchar(*p);
	puts(".");
}

static void man_options(const struct cli_option *o)
{
	if (o->name == NULL)
		return;
	puts(".Bl -tag -width Ds -compact");
	for (; o->name != NULL; o++) {
		printf(".It Fl %s", o->name + 1);
		if (o->arg != NULL)
			printf(" Ar %s", o->arg);
		printf("\n%s\n", o->help);
	}
	puts(".El");
}

static void man_commands(void)
{
	for (size_t i = 0; cli_family(i) != NULL; i++)
		for (const struct cli_command *c = cli_family(i);
		     c->family != NULL; c++) {
			printf(".It Ic %s%s%s", c->family,
			    c->verb != NULL ? " " : "",
			    c->verb != NULL ? c->verb : "");
			if (c->operands != NULL)
				printf(" Ar %s", c->operands);
			putchar('\n');
			man_sentence(c->help);
			man_options(c->options);
		}
}

static void man_globals(void)
{
	man_options(cli_globals);
}

static void man_config(void)
{
	struct buf b;

	buf_init(&b);
	if (config_print(&b, CONFIG_FORM_MAN))
		fwrite(b.p, 1, b.len, stdout);
	buf_free(&b);
}

/* ---- Markdown ---- */

static void md_metrics(void)
{
	puts("\n| metric | kind | meaning |\n|---|---|---|");
#define COUNTER(sym, name, help)                                               \
	puts("| `quorate_" name "` | counter | " help " |");
#define GAUGE(sym, name, help)                                                 \
	puts("| `quorate_" name "` | gauge | " help " |");
#include "base/metrics.def"
#undef COUNTER
#undef GAUGE
	putchar('\n');
}

static void md_events(void)
{
	static const struct {
		const char *name;
		enum log_level level;
		const char *meaning;
	} rows[] = {
#define EVENT(name, level, meaning) {#name, level, meaning},
#include "base/events.def"
#undef EVENT
	};
	static const char *const levels[] = {"debug", "info", "warn", "error"};

	puts("\n| event | level | what it means, and what to do "
	     "|\n|---|---|---|");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		printf("| `%s` | %s | %s |\n", rows[i].name,
		    levels[rows[i].level], rows[i].meaning);
	putchar('\n');
}

/* ---- A page ---- */

static const struct table {
	const char *name;
	void (*print)(void);
} tables[] = {
    {"commands", man_commands},
    {"globals", man_globals},
    {"config", man_config},
    {"metrics", md_metrics},
    {"events", md_events},
};

/* The table that a line names after that mark, or NULL. */
static const struct table *named(const char *line, const char *mark)
{
	const char *at = strstr(line, mark);
	size_t len;

	if (at == NULL)
		return NULL;
	at += strlen(mark);
	len = strcspn(at, " \n");
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if (strlen(tables[i].name) == len &&
		    strncmp(tables[i].name, at, len) == 0)
			return &tables[i];
	return NULL;
}

int main(void)
{
	const struct table *inside = NULL, *begins;
	char line[4096];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (inside != NULL && named(line, END) == inside)
			inside = NULL;
		if (inside != NULL)
			continue;
		fputs(line, stdout);
		if ((begins = named(line, BEGIN)) != NULL) {
			begins->print();
			inside = begins;
		}
	}
	if (inside != NULL) {
		fprintf(stderr, "quorate-docgen: \"" END "%s\" is missing\n",
		    inside->name);
		return 1;
	}
	return fflush(stdout) != 0 || ferror(stdin);
}
