/* terms.h -- which term each entry of a log has, as runs of one term. */
#ifndef QUORATE_TEST_TERMS_H
#define QUORATE_TEST_TERMS_H

#include "raft.h"

struct terms_run {
	raft_index first;
	raft_term term; /* 0: not known, and equal to any */
};

struct terms {
	struct terms_run *run; /* by first */
	size_t n, cap;
	raft_index last;
};

void terms_free(struct terms *t);
raft_term terms_at(const struct terms *t, raft_index i);
/* Indexes up to `to` become of that term; to > last. */
void terms_extend(struct terms *t, raft_index to, raft_term term);
void terms_cut(struct terms *t, raft_index last);
/* t becomes from's entries up to `to`. */
void terms_copy(struct terms *t, const struct terms *from, raft_index to);
/* Entries lo..hi of both, or of the one that has them, must be equal: the
 * first that is not; hi + 1: there is none. */
raft_index terms_differ(
    const struct terms *a, const struct terms *b, raft_index lo, raft_index hi);
/* Cut t before lo, and continue it with from's entries lo..hi. */
void terms_replace(
    struct terms *t, const struct terms *from, raft_index lo, raft_index hi);

#endif
