/* internal.h -- what the files of the trace's checker share. */
#ifndef QUORATE_TEST_TRACE_INTERNAL_H
#define QUORATE_TEST_TRACE_INTERNAL_H

#include "check.h"
#include "terms.h"

#define ULL(x) ((unsigned long long)(x))

struct ids {
	raft_id id[RAFT_PEERS_MAX];
	size_t n;
};

struct voters { /* as the trace has them: without learners */
	struct ids now, outgoing;
};

struct grant { /* of one's vote; `left`: somebody has it */
	raft_term term;
	raft_id to;
	bool left;
};

struct match {
	raft_id id;
	raft_index index;
};

struct peer {
	raft_id id;
	bool begun;   /* its InitState was seen */
	bool settled; /* what it does is judged */
	bool whole;
	struct raft_hard_state state;
	enum raft_state role;
	struct terms log;
	struct voters conf;
	raft_index conf_at;  /* of the change that made it; 0: not known */
	unsigned replicated; /* steps of one batch show the log before it */
	/* The request that is being handled. */
	bool handling;
	struct raft_step_message request;
	/* Of a candidate, and of a leader. */
	struct ids granted;
	struct match match[RAFT_PEERS_MAX];
	size_t match_n;
	/* What left it is on its disk. */
	struct grant *grant;
	size_t grant_n, grant_cap;
	raft_term left_term;
	raft_index acked;
	bool lost; /* from acked on the disk lost it, and it began so */
};

struct reign { /* a term that somebody campaigned for */
	raft_term term;
	raft_id leader;       /* 0: not known */
	raft_index first_own; /* the first entry of the term */
	struct terms log;     /* only grows */
};

struct change { /* of the membership; index 0: what a node began with */
	raft_index index;
	raft_term term;
	struct voters before, after[2]; /* simple, joint */
	size_t after_n;
};

struct trace_check {
	struct peer **peer;
	size_t peer_n;
	struct reign *reign; /* by term */
	size_t reign_n, reign_cap;
	struct change *change;
	size_t change_n, change_cap;
	uint64_t *sent; /* hashes of messages; 0: free */
	size_t sent_n, sent_cap;
	/* Committed entries, and the term in which each was. */
	struct terms committed, committed_in;
	bool merged;          /* the order of two nodes' steps is not known */
	bool before;          /* a log began with changes that nobody saw */
	raft_term first_term; /* the latest that a node began in */
	bool failed;
	char why[400];
};

bool trace_fail(struct trace_check *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* known.c: what was seen */
bool ids_have(const struct ids *s, raft_id id);
bool ids_majority(const struct ids *of, const struct ids *in);
bool voters_equal(const struct voters *a, const struct voters *b);
void voters_of(const struct raft_conf_state *c, struct voters *out);
struct peer *known_peer(struct trace_check *c, raft_id id);
const struct peer *known_whole(const struct trace_check *c, raft_id id);
bool known_all(const struct trace_check *c, const struct voters *v);
struct reign *known_reign(const struct trace_check *c, raft_term term);
struct reign *known_campaign(struct trace_check *c, raft_term term);
void known_sent(struct trace_check *c, const struct raft_step_message *m);
bool known_was_sent(
    const struct trace_check *c, const struct raft_step_message *m);

/* members.c */
void members_began(struct trace_check *c, const struct voters *v);
/* A leader of conf `v` appends a change at index. */
void members_proposed(struct trace_check *c, const struct voters *v,
    raft_index index, raft_term term, const struct raft_conf_change *change);
/* The change up to `commit` that leads from p's configuration to v. */
bool members_apply(struct trace_check *c, struct peer *p,
    const struct voters *v, raft_index commit);
/* Is v one that was in force at an index up to `commit`?  *at: since when. */
bool members_known(const struct trace_check *c, const struct voters *v,
    raft_index commit, raft_index *at);

/* messages.c: false, a rule is broken */
bool messages_send(
    struct trace_check *c, struct peer *p, const struct raft_step *s);
bool messages_receive(
    struct trace_check *c, struct peer *p, const struct raft_step *s);
/* The snapshot that p is handling takes the place of its log. */
bool messages_restore(struct trace_check *c, struct peer *p);

/* check.c: commit moves to i, if p's log allows it */
bool commit_to(struct trace_check *c, struct peer *p, raft_index i);

#endif
