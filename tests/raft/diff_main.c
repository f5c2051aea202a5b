/* diff_main.c -- runs seeds; on a difference tells what led to it, and how to
 * see it again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff.h"

enum { TAIL = 12 }; /* steps told before a difference */

struct options {
	const char *oracle;
	uint64_t seeds, first, one;
	uint32_t steps;
	bool replay;
};

static bool parse(int argc, char **argv, struct options *o)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		const char *name = argv[i], *value = argv[i + 1];

		if (strcmp(name, "--oracle") == 0)
			o->oracle = value;
		else if (strcmp(name, "--seeds") == 0)
			o->seeds = strtoull(value, NULL, 10);
		else if (strcmp(name, "--first") == 0)
			o->first = strtoull(value, NULL, 10);
		else if (strcmp(name, "--steps") == 0)
			o->steps = (uint32_t)strtoul(value, NULL, 10);
		else if (strcmp(name, "--seed") == 0)
			o->one = strtoull(value, NULL, 10), o->replay = true;
		else
			return false;
	}
	return argc % 2 == 1 && o->oracle != NULL && o->seeds > 0 &&
	       o->steps > 0 && o->steps <= DIFF_STEPS / 3;
}

static uint64_t hash(const struct text *t) /* FNV-1a */
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < t->n; i++)
		h = (h ^ (uint8_t)t->p[i]) * 0x100000001b3u;
	return h;
}

struct run {
	struct plan plan;
	struct world world;
	struct tuning tuning;
	struct op ops[DIFF_STEPS];
	uint64_t ours[DIFF_STEPS], theirs[DIFF_STEPS];
	uint32_t n; /* steps done */
	struct text text;
};

/* A seed on our side, up to `end` at the most; tell: from which step on. */
static void run_ours(struct run *r, uint64_t seed, const struct options *opt,
    uint32_t end, uint32_t tell)
{
	uint32_t steps;

	static struct text line;

	plan_draw(seed, &r->plan, &r->tuning);
	world_start(&r->world, &r->tuning);
	r->plan.w = &r->world;
	steps = plan_length(&r->plan, opt->steps);
	if (steps > end)
		steps = end;
	for (r->n = 0; r->n < steps && !r->world.stopped; r->n++) {
		struct op *op = &r->ops[r->n];

		*op = plan_next(&r->plan);
		if (r->n >= tell) {
			line.n = 0;
			text_op(&line, op);
			if (op->kind == OP_DELIVER)
				text_message(&line, r->world.sent[op->a]);
			printf("  step %u: %.*s\n", r->n, (int)line.n, line.p);
		}
		world_do(&r->world, op, &r->text);
		r->ours[r->n] = hash(&r->text);
	}
	plan_free(&r->plan);
}

static bool has_line(const char *text, const char *line, size_t n)
{
	for (; *text != '\0'; text = strchrnul(text, '\n') + 1)
		if (strncmp(text, line, n) == 0 && text[n] == '\n')
			return true;
	return false;
}

/* The lines that the other side has not are marked. */
static void show(const char *who, const char *text, const char *other)
{
	printf("  %s:\n", who);
	for (const char *end; *text != '\0'; text = end + (*end != '\0')) {
		end = strchrnul(text, '\n');
		printf("%c   %.*s\n",
		    has_line(other, text, (size_t)(end - text)) ? ' ' : '*',
		    (int)(end - text), text);
	}
}

static void show_tuning(const struct tuning *t)
{
	printf("  voters %u learners %u election %u heartbeat %u size %u "
	       "committed %u inflight %u/%u uncommitted %u\n ",
	    t->voters, t->learners, t->election_ticks, t->heartbeat_ticks,
	    t->max_size_per_msg, t->max_committed_size, t->max_inflight_msgs,
	    t->max_inflight_bytes, t->max_uncommitted);
	printf(" check-quorum %u pre-vote %u lease %u no-forwarding %u "
	       "no-validation %u step-down %u async %u early-votes %u\n",
	    t->check_quorum, t->pre_vote, t->lease, t->no_forwarding,
	    t->no_validation, t->step_down, t->async, t->early_votes);
}

static void explain(struct oracle *o, struct run *r, const struct options *opt,
    uint64_t seed, uint32_t at)
{
	char *theirs;

	printf("not ok seed %llu: different after step %u\n  replay: make "
	       "raft-diff SEED=%llu STEPS=%u\n",
	    (unsigned long long)seed, at, (unsigned long long)seed, opt->steps);
	show_tuning(&r->tuning);
	world_free(&r->world);
	run_ours(r, seed, opt, at + 1, at < TAIL ? 0 : at - TAIL);
	theirs = oracle_text(o, &r->tuning, r->ops, at + 1, at);
	r->text.p[r->text.n] = '\0';
	if (theirs == NULL) {
		printf("  no answer\n");
		return;
	}
	show("ours", r->text.p, theirs);
	show("etcd's", theirs, r->text.p);
	free(theirs);
}

static bool one_seed(struct oracle *o, struct run *r, const struct options *opt,
    uint64_t seed, uint64_t *count)
{
	bool same = true;

	run_ours(r, seed, opt, UINT32_MAX, UINT32_MAX);
	for (int i = 0; i < COUNTS; i++)
		count[i] += r->world.count[i];
	if (oracle_hashes(o, &r->tuning, r->ops, r->n, r->theirs) != 0) {
		printf("not ok seed %llu: the oracle is gone\n",
		    (unsigned long long)seed);
		exit(1);
	}
	for (uint32_t i = 0; same && i < r->n; i++)
		if (r->ours[i] != r->theirs[i]) {
			same = false;
			explain(o, r, opt, seed, i);
		}
	world_free(&r->world);
	return same;
}

/* Too few schedules show nothing about chances. */
static int demand(const struct options *opt, const uint64_t *count)
{
	static const struct {
		uint64_t least;
		const char *text;
	} rows[] = {
#define X(name, least, what) {least, what},
	    DIFF_COUNTS(X)
#undef X
	};
	int rc = 0;

	for (int i = 0; i < COUNTS; i++) {
		uint64_t least =
		    opt->seeds < 100 ? 0 : opt->seeds * rows[i].least / 1000;
		bool ok = count[i] >= least;

		printf("%s %s: %llu (at least %llu)\n", ok ? "ok" : "not ok",
		    rows[i].text, (unsigned long long)count[i],
		    (unsigned long long)least);
		rc |= !ok;
	}
	return rc;
}

static int run_seeds(struct oracle *o, struct run *r, const struct options *opt)
{
	uint64_t count[COUNTS] = {0}, failed = 0;

	for (uint64_t k = 0; k < opt->seeds && failed < 5; k++) {
		failed += !one_seed(o, r, opt, opt->first + k, count);
		if ((k + 1) % 100 == 0 && failed == 0)
			printf("ok seeds %llu to %llu: no difference\n",
			    (unsigned long long)(opt->first + k - 99),
			    (unsigned long long)(opt->first + k));
		fflush(stdout);
	}
	return failed > 0 ? 1 : demand(opt, count);
}

int main(int argc, char **argv)
{
	static struct run r;
	struct options opt = {.seeds = 300, .first = 1, .steps = 500};
	struct oracle o;
	uint64_t count[COUNTS] = {0};
	int rc;

	if (!parse(argc, argv, &opt)) {
		fprintf(stderr, "usage: raft-diff --oracle PROGRAM [--seeds N] "
				"[--first S] [--seed S] [--steps N]\n");
		return 2;
	}
	if (oracle_start(&o, opt.oracle) != 0) {
		perror(opt.oracle);
		return 1;
	}
	if (opt.replay) {
		rc = !one_seed(&o, &r, &opt, opt.one, count);
		if (rc == 0)
			printf("ok seed %llu: no difference\n",
			    (unsigned long long)opt.one);
	} else {
		rc = run_seeds(&o, &r, &opt);
	}
	oracle_stop(&o);
	return rc;
}
