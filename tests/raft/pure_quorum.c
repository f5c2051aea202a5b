/* pure_quorum.c -- what a quorum, or two, has committed or decided. */
#include <stdlib.h>
#include <string.h>

#include "pure.h"
#include "words.h"

struct question {
	struct tracker t;
	bool joint;
	const struct arg *answers; /* of each voter, in the order of the halves;
				      NULL: nobody votes */
	size_t n;                  /* how many voters have been given theirs */
};

static const char *answer(const struct question *q, size_t i)
{
	return q->answers == NULL || i >= q->answers->n ? "_"
							: q->answers->values[i];
}

/* An index for match, a vote for y or n; no peer for a voter not heard. */
static void add_voter(struct question *q, raft_id id, raft_id *half, size_t *n)
{
	const char *said;
	struct progress *p;
	bool known = tracker_is_voter(&q->t, id);

	half[(*n)++] = id;
	if (known)
		return;
	said = answer(q, q->n++);
	if (strcmp(said, "_") == 0)
		return;
	p = tracker_add(&q->t, id);
	p->match = number(said, 0);
	p->vote = *said == 'y' ? VOTE_YES : VOTE_NO;
}

static void read_half(
    struct question *q, const struct arg *a, raft_id *half, size_t *n)
{
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->values[i], "zero") != 0)
			add_voter(q, number(a->values[i], 0), half, n);
}

static void read_question(struct question *q, const struct command *c)
{
	struct raft_conf_state *s = &q->t.conf;

	for (size_t i = 0; i < c->n; i++)
		if (strncmp(c->args[i].key, "cfg", 3) != 0)
			q->answers = &c->args[i];
	for (size_t i = 0; i < c->n; i++) {
		if (strcmp(c->args[i].key, "cfg") == 0)
			read_half(q, &c->args[i], s->voters, &s->voters_n);
		if (strcmp(c->args[i].key, "cfgj") == 0) {
			q->joint = true;
			read_half(q, &c->args[i], s->voters_outgoing,
			    &s->voters_outgoing_n);
		}
	}
}

static void say_index(struct out *out, raft_index i)
{
	if (i == UINT64_MAX)
		say(out, "∞\n");
	else
		say(out, "%llu\n", ULL(i));
}

/* How many voters are behind this index: the length of its bar. */
static size_t behind(
    struct tracker *t, const raft_id *ids, size_t n, raft_index i)
{
	size_t sum = 0;

	for (size_t k = 0; k < n; k++) {
		const struct progress *p = tracker_find(t, ids[k]);

		sum += (p == NULL ? 0 : p->match) < i;
	}
	return sum;
}

static int by_id(const void *a, const void *b)
{
	const raft_id *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* A picture of who has what. */
static void say_picture(struct out *out, struct tracker *t)
{
	raft_id ids[2 * RAFT_PEERS_MAX];
	size_t n = 0;
	const struct raft_conf_state *s = &t->conf;

	for (size_t i = 0; i < s->voters_n; i++)
		ids[n++] = s->voters[i];
	for (size_t i = 0; i < s->voters_outgoing_n; i++)
		if (!id_in(s->voters, s->voters_n, s->voters_outgoing[i]))
			ids[n++] = s->voters_outgoing[i];
	if (n == 0) {
		say(out, "<empty majority quorum>");
		return;
	}
	qsort(ids, n, sizeof(ids[0]), by_id);
	say(out, "%*s    idx\n", (int)n, "");
	for (size_t i = 0; i < n; i++) {
		const struct progress *p = tracker_find(t, ids[i]);
		raft_index match = p == NULL ? 0 : p->match;
		size_t bar = behind(t, ids, n, match);

		for (size_t k = 0; p != NULL && k < bar; k++)
			say(out, "x");
		say(out, "%c%*s %5llu    (id=%llx)\n", p == NULL ? '?' : '>',
		    (int)(p == NULL ? n : n - bar), "", ULL(match),
		    ULL(ids[i]));
	}
}

/* The same question with the halves exchanged. */
static void exchange(struct raft_conf_state *s)
{
	struct raft_conf_state was = *s;

	memcpy(s->voters, was.voters_outgoing, sizeof(s->voters));
	s->voters_n = was.voters_outgoing_n;
	memcpy(s->voters_outgoing, was.voters, sizeof(s->voters_outgoing));
	s->voters_outgoing_n = was.voters_n;
}

static void committed(struct question *q, struct out *out)
{
	raft_index i;

	say_picture(out, &q->t);
	i = tracker_committed(&q->t);
	exchange(&q->t.conf);
	if (tracker_committed(&q->t) != i)
		say(out, "differs when the halves are exchanged\n");
	say_index(out, i);
}

static void vote(struct question *q, struct out *out)
{
	static const char *const names[] = {"Pending", "Lost", "Won"};
	enum vote_result v = tracker_votes(&q->t);

	exchange(&q->t.conf);
	if (tracker_votes(&q->t) != v)
		say(out, "differs when the halves are exchanged\n");
	say(out, "Vote%s\n", names[v]);
}

void quorum_run(void *ctx, const struct command *c, struct out *out)
{
	struct question *q = calloc(1, sizeof(*q));

	(void)ctx;
	if (q == NULL)
		abort();
	read_question(q, c);
	if (strcmp(c->name, "committed") == 0)
		committed(q, out);
	else
		vote(q, out);
	tracker_free(&q->t);
	free(q);
}
