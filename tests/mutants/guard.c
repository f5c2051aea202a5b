/* guard.c -- breaks one guard of the core, named by RAFT_BROKEN in the
 * environment, for any program that is linked with it. */
#include "guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	bool broken;
} guards[] = {
#define X(name, broken, judge, what) {#name, broken},
    RAFT_GUARDS(X)
#undef X
};

static enum raft_guard gone = RAFT_GUARD_COUNT;

__attribute__((constructor)) static void choose(void)
{
	const char *name = getenv("RAFT_BROKEN");

	if (name == NULL || *name == '\0')
		return;
	for (gone = 0; gone < RAFT_GUARD_COUNT; gone++)
		if (strcmp(guards[gone].name, name) == 0)
			return;
	fprintf(stderr, "RAFT_BROKEN: no guard is named %s\n", name);
	abort();
}

bool raft_guard_value(enum raft_guard g, bool cond)
{
	return g == gone ? guards[g].broken : cond;
}
