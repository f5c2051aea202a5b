/* logs.c -- what the nodes said on stderr: how often they elected and installed
 * snapshots, and nothing that sounds like a fault of their own. */
#include <string.h>

#include "chaos.h"

#define LINE_MAX_LEN 1000

/* Levels and events, as src/base/log_event.c writes them. */
static bool take(const char *line, char level[8], char event[40])
{
	return line[0] >= '0' && line[0] <= '9' &&
	       sscanf(line, "%*s %7s %*s %39s", level, event) == 2;
}

static void count_warning(struct chaos *c, const char *event)
{
	json_t *n = json_object_get(c->warnings, event);

	json_object_set_new(
	    c->warnings, event, json_integer(json_integer_value(n) + 1));
}

/* A node that ended said so, and whether it should have is judged elsewhere; it
 * may find its signer dead in the middle of anything.  As it starts, it stamps
 * nothing until a peer has confirmed its clock. */
static bool is_fault(const char *event, const char *line)
{
	return strcmp(event, "ended") != 0 &&
	       strstr(line, "the signer process") == NULL &&
	       strstr(line, "no peer has said yet") == NULL;
}

static void judge(struct chaos *c, const struct node *n, const char *line)
{
	char level[8], event[40];

	if (!take(line, level, event)) {
		report_violation(c, "alarm", "%s: %.300s", n->name, line);
		return;
	}
	c->elections += strcmp(event, "raft_state") == 0 &&
			strstr(line, "role=leader") != NULL;
	c->snapshots += strcmp(event, "snapshot_installed") == 0;
	if (strcmp(level, "warn") == 0 || strcmp(level, "error") == 0)
		count_warning(c, event);
	if (strcmp(level, "error") == 0 && is_fault(event, line))
		report_violation(c, "alarm", "%s: %.300s", n->name, line);
}

void logs_read(struct chaos *c)
{
	c->warnings = json_object();
	for (size_t i = 0; i < NODES; i++) {
		FILE *f = fopen(c->nodes[i].log, "re");
		char line[LINE_MAX_LEN];

		while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
			line[strcspn(line, "\n")] = '\0';
			judge(c, &c->nodes[i], line);
		}
		if (f != NULL)
			fclose(f);
	}
}
