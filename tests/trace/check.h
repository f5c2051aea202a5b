/* check.h -- replays a trace against the rules of the specification.
 *
 * A step is judged by what all steps before it allow; what a node then is must
 * be what the step says it is.  The rules are those of etcd's etcdraft.tla, and
 * where quorate promises more (votes that wait for the disk, joint
 * configurations) that. */
#ifndef QUORATE_TEST_TRACE_CHECK_H
#define QUORATE_TEST_TRACE_CHECK_H

#include "raft_trace.h"

struct trace_check;

struct trace_check *trace_check_new(void);
void trace_check_free(struct trace_check *c);

/* All that this node does is in the trace: what it did not send was not
 * received. */
void trace_check_whole(struct trace_check *c, raft_id id);
/* Steps of two nodes come in an order that may not be theirs.  A message that
 * was sent twice may then seem to be received too early: what a disk must have
 * kept for others is not judged. */
void trace_check_merged(struct trace_check *c);
/* false: a rule is broken, and trace_check_why says which. */
bool trace_check_step(struct trace_check *c, const struct raft_step *s);
const char *trace_check_why(const struct trace_check *c);
/* Can this step have come about by what was seen so far?  Another file of the
 * same cluster may hold what it follows from. */
bool trace_check_ready(const struct trace_check *c, const struct raft_step *s);

#endif
