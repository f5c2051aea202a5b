/* pure.h -- the scripts about quorums and membership alone. */
#ifndef QUORATE_TESTS_RAFT_PURE_H
#define QUORATE_TESTS_RAFT_PURE_H

#include "script.h"

run_command quorum_run; /* ctx: NULL */

struct changes; /* a configuration that is changed */
struct changes *changes_new(void);
void changes_free(struct changes *c);
run_command changes_run; /* ctx: a struct changes */

#endif
