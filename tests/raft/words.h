/* words.h -- the core's values in the words of etcd's scripts. */
#ifndef QUORATE_TESTS_RAFT_WORDS_H
#define QUORATE_TESTS_RAFT_WORDS_H

#include "internal.h"
#include "out.h"

#define ULL(x) ((unsigned long long)(x))

#define V1_MAX 16

/* Entries that etcd would hold as changes of its first version: ours have one
 * encoding.  By term and index, which name an entry everywhere. */
struct v1_changes {
	struct raft_entry_id ids[V1_MAX];
	size_t n;
};

const char *say_error(int rc); /* what etcd calls it */
void say_ids(struct out *o, const raft_id *ids, size_t n); /* "1 2 3" */
/* "voters=(1 2)&&(1 2 3) autoleave" */
void say_conf(struct out *o, const struct raft_conf_state *c);
void say_progress(
    struct out *o, const struct progress *p, const struct tracker *t);
/* "v1 l2 r3 u4"; false: it is something else. */
bool parse_changes(const char *text, struct raft_conf_change *out);
void say_entries(struct out *o, const struct v1_changes *v1,
    const struct raft_entry *e, size_t n);
/* Response i of a storage message as etcd has it: that of an apply carries the
 * entries, of which ours names the last. */
struct raft_message response(const struct raft_message *m, size_t i);
void say_message(
    struct out *o, const struct v1_changes *v1, const struct raft_message *m);
void say_ready(
    struct out *o, const struct v1_changes *v1, const struct raft_ready *rd);

/* config.trace: etcd's log lines; ctx is a struct out. */
void say_trace(void *ctx, const struct raft_trace *t);

#endif
