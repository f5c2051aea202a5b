/* list.c -- the guards of the core, one a line: its name, and its rule. */
#include "guard.h"

#include <stdio.h>

int main(void)
{
#define X(name, broken, what) puts(#name "\t" what);
	RAFT_GUARDS(X)
#undef X
	return 0;
}
