/* main.c -- runs seeds: the rules must hold, and every kind of fault must have
 * happened.  Built with -DRAFT_MUTATE it deletes one guard of the core after
 * the other, and then a rule must break. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
	uint64_t seeds, first, one;
	bool replay;
	const char *guard;
};

static bool parse(int argc, char **argv, struct options *o)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (value == NULL)
			return false;
		if (strcmp(argv[i], "--seeds") == 0)
			o->seeds = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--first") == 0)
			o->first = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--guard") == 0)
			o->guard = value;
		else if (strcmp(argv[i], "--seed") == 0)
			o->one = strtoull(value, NULL, 10), o->replay = true;
		else
			return false;
		i++;
	}
	return true;
}

static int replay(uint64_t seed)
{
	static struct world w;
	bool ok = sim_run(&w, seed, true);

	printf("%s seed %llu: %s\n", ok ? "ok" : "not ok",
	    (unsigned long long)seed, ok ? "every rule held" : w.why);
	sim_free(&w);
	return ok ? 0 : 1;
}

#ifdef RAFT_MUTATE

static const struct {
	const char *name, *what;
} guards[] = {
#define X(name, broken, what) {#name, what},
    RAFT_GUARDS(X)
#undef X
};

static bool find(enum raft_guard g, const struct options *o)
{
	static struct world w;

	raft_broken = g;
	for (uint64_t s = o->first; s < o->first + o->seeds; s++) {
		bool held = sim_run(&w, s, false);

		sim_free(&w);
		if (held)
			continue;
		printf("ok guard %s found at seed %llu (%s): %s\n",
		    guards[g].name, (unsigned long long)s, guards[g].what,
		    w.why);
		return true;
	}
	printf("not ok guard %s: %llu seeds do not notice it is gone (%s)\n",
	    guards[g].name, (unsigned long long)o->seeds, guards[g].what);
	return false;
}

int main(int argc, char **argv)
{
	struct options o = {.seeds = 5000, .first = 1};
	int rc = 0, known = 0;

	if (!parse(argc, argv, &o)) {
		fprintf(stderr, "usage: sim-mutants [--guard NAME] [--seeds N] "
				"[--first S] [--seed S]\n");
		return 2;
	}
	for (size_t g = 0; g < RAFT_GUARD_COUNT; g++) {
		if (o.guard != NULL && strcmp(o.guard, guards[g].name) != 0)
			continue;
		known = 1;
		raft_broken = (enum raft_guard)g;
		if (o.replay && o.guard != NULL)
			rc |= replay(o.one);
		else
			rc |= !find((enum raft_guard)g, &o);
		fflush(stdout);
	}
	return known ? rc : 2;
}

#else

/* Each kind of fault, in one seed of ten at the least. */
static int demand(const struct options *o, const uint64_t *total)
{
	uint64_t least = o->seeds / 10;
	int rc = 0;

	for (size_t i = 0; i < SIM_COUNTER_N; i++) {
		bool ok = total[i] >= least;

		printf("%s %s: %llu (at least %llu)\n", ok ? "ok" : "not ok",
		    sim_counter_text[i], (unsigned long long)total[i],
		    (unsigned long long)least);
		rc |= !ok;
	}
	return rc;
}

static int run(const struct options *o)
{
	static struct world w;
	uint64_t total[SIM_COUNTER_N] = {0}, events = 0, failed = 0;

	for (uint64_t k = 0; k < o->seeds; k++) {
		uint64_t seed = o->first + k;

		if (!sim_run(&w, seed, false)) {
			printf("not ok seed %llu: %s\n  replay: make sim "
			       "SEED=%llu\n",
			    (unsigned long long)seed, w.why,
			    (unsigned long long)seed);
			failed++;
		}
		for (size_t i = 0; i < SIM_COUNTER_N; i++)
			total[i] += w.count[i];
		events += w.events;
		sim_free(&w);
		if ((k + 1) % 100 == 0 && failed == 0)
			printf("ok seeds %llu to %llu: every rule held\n",
			    (unsigned long long)(seed - 99),
			    (unsigned long long)seed);
		fflush(stdout);
		if (failed == 10)
			break;
	}
	printf("%llu events\n", (unsigned long long)events);
	return failed > 0 ? 1 : demand(o, total);
}

int main(int argc, char **argv)
{
	struct options o = {.seeds = 2000, .first = 1};

	if (!parse(argc, argv, &o) || o.guard != NULL) {
		fprintf(
		    stderr, "usage: sim [--seeds N] [--first S] | --seed S\n");
		return 2;
	}
	return o.replay ? replay(o.one) : run(&o);
}

#endif
