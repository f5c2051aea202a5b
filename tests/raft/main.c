/* main.c -- etcd's scripts through our core.
 *
 *	raft-conformance MODULE-FOLDER [NAME-PART...]
 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "env.h"
#include "pure.h"

static void interaction(const struct script *s, struct out *diff, size_t *bad)
{
	struct env *e = env_new();

	*bad = script_run(s, env_run, e, diff);
	env_free(e);
}

static void quorum(const struct script *s, struct out *diff, size_t *bad)
{
	*bad = script_run(s, quorum_run, NULL, diff);
}

static void confchange(const struct script *s, struct out *diff, size_t *bad)
{
	struct changes *c = changes_new();

	*bad = script_run(s, changes_run, c, diff);
	changes_free(c);
}

static const struct {
	const char *folder;
	void (*replay)(const struct script *s, struct out *diff, size_t *bad);
} kinds[] = {
    {"testdata", interaction},
    {"quorum/testdata", quorum},
    {"confchange/testdata", confchange},
};

static size_t scripts, identical;

/* Replays one script and prints its line. */
static void one(size_t kind, const char *path, const char *name)
{
	struct script s;
	struct out diff = {0};
	const char *why;
	size_t bad = 1;

	out_add(&diff, "%s", "");
	scripts++;
	if (!script_load(&s, path, &why))
		out_add(&diff, "#   %s\n", why);
	else
		kinds[kind].replay(&s, &diff, &bad);
	if (bad == 0 && s.n > 0) {
		printf("ok %s: %zu commands\n", name, s.n);
		identical++;
	} else {
		printf("not ok %s: %zu of %zu commands differ\n%s", name, bad,
		    s.n, diff.p);
	}
	fflush(stdout);
	out_free(&diff);
	script_free(&s);
}

static bool wanted(const char *name, char **parts)
{
	bool any = *parts == NULL;

	for (; *parts != NULL; parts++)
		any |= strstr(name, *parts) != NULL;
	return any;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s MODULE-FOLDER [NAME-PART...]\n",
		    argv[0]);
		return 2;
	}
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct out pattern = {0};
		glob_t found;

		out_add(&pattern, "%s/%s/*.txt", argv[1], kinds[k].folder);
		if (glob(pattern.p, 0, NULL, &found) != 0) {
			printf("not ok %s: no scripts\n", pattern.p);
			return 1;
		}
		for (size_t i = 0; i < found.gl_pathc; i++) {
			const char *name =
			    found.gl_pathv[i] + strlen(argv[1]) + 1;

			if (wanted(name, argv + 2))
				one(k, found.gl_pathv[i], name);
		}
		globfree(&found);
		out_free(&pattern);
	}
	printf("%zu scripts, %zu identical\n", scripts, identical);
	return scripts > 0 && identical == scripts ? 0 : 1;
}
