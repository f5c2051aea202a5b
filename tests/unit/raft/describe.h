/* describe.h -- the core's messages and events as text. */
#ifndef QUORATE_TEST_DESCRIBE_H
#define QUORATE_TEST_DESCRIBE_H

#include "raft.h"

/* "1>2 App t2 1/3 c3 [2/4 \"x\"]": from, to, term, previous term and index,
 * commit, entries.  Fields that are zero are left out. */
void describe_message(const struct raft_message *m, char *out, size_t size);
/* Empty: it is a step of another, which has a text. */
void describe_trace(const struct raft_trace *t, char *out, size_t size);
/* "2/4 \"x\"", or "2/4 -" (empty), or "2/4 conf(v4)". */
void describe_entry(const struct raft_entry *e, char *out, size_t size);
void describe_conf(const struct raft_conf_state *c, char *out, size_t size);

#endif
