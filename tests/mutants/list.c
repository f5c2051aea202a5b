/* list.c -- the guards of the core, one a line: its name, who must notice that
 * it is gone, and its rule. */
#include "guard.h"

#include <stdio.h>

int main(void)
{
#define X(name, broken, judge, what) puts(#name "\t" #judge "\t" what);
	RAFT_GUARDS(X)
#undef X
	return 0;
}
