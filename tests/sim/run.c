/* run.c -- runs seeds: the rules must hold, and every kind of fault must have
 * happened. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct options {
	uint64_t seeds, first, one, failures;
	bool replay, trace_only;
	const char *trace;
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
		else if (strcmp(argv[i], "--failures") == 0)
			o->failures = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--trace") == 0)
			o->trace = value;
		else if (strcmp(argv[i], "--judge") == 0 &&
			 strcmp(value, "trace") == 0)
			o->trace_only = true;
		else if (strcmp(argv[i], "--seed") == 0)
			o->one = strtoull(value, NULL, 10), o->replay = true;
		else
			return false;
		i++;
	}
	return o->trace == NULL || o->replay;
}

/* Tells everything that happens; or writes a trace instead. */
static int replay(const struct options *o)
{
	static struct world w;
	struct wish wish = {.trace_only = o->trace_only};
	bool ok;

	if (o->trace == NULL) {
		wish.verbose = true;
	} else if ((wish.trace = fopen(o->trace, "w")) == NULL) {
		perror(o->trace);
		return 2;
	}
	ok = sim_run(&w, o->one, &wish);
	if (wish.trace != NULL && fclose(wish.trace) != 0) {
		perror(o->trace);
		return 2;
	}
	printf("%s seed %llu: %s\n", ok ? "ok" : "not ok",
	    (unsigned long long)o->one, ok ? "every rule held" : w.why);
	sim_free(&w);
	return ok ? 0 : 1;
}

/* Each kind of fault, in one seed of twenty at the least; a few seeds need not
 * have them all. */
static int demand(const struct options *o, const uint64_t *total)
{
	uint64_t least = o->seeds < 100 ? 0 : o->seeds / 20;
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

static void figures(uint64_t seeds, uint64_t events, clock_t began)
{
	double s = (double)(clock() - began) / CLOCKS_PER_SEC;

	printf("# %llu seeds, %llu events in %.1f s of one core: %.0f seeds an "
	       "hour, %.0f events a second\n",
	    (unsigned long long)seeds, (unsigned long long)events, s,
	    (double)seeds * 3600 / s, (double)events / s);
}

static int run(const struct options *o)
{
	static struct world w;
	uint64_t total[SIM_COUNTER_N] = {0}, events = 0, failed = 0, done = 0;
	clock_t began = clock();
	const struct wish wish = {.trace_only = o->trace_only};

	while (done < o->seeds) {
		uint64_t seed = o->first + done++;

		if (!sim_run(&w, seed, &wish)) {
			printf("not ok seed %llu: %s\n  replay: %s SEED=%llu\n",
			    (unsigned long long)seed, w.why, sim_replay,
			    (unsigned long long)seed);
			failed++;
		}
		for (size_t i = 0; i < SIM_COUNTER_N; i++)
			total[i] += w.count[i];
		events += w.events;
		sim_free(&w);
		if (done % 100 == 0 && failed == 0)
			printf("ok seeds %llu to %llu: every rule held\n",
			    (unsigned long long)(seed - 99),
			    (unsigned long long)seed);
		fflush(stdout);
		if (failed == o->failures)
			break;
	}
	figures(done, events, began);
	return failed > 0 ? 1 : o->trace_only ? 0 : demand(o, total);
}

int sim_main(int argc, char **argv)
{
	struct options o = {.seeds = 2000, .first = 1, .failures = 10};

	if (!parse(argc, argv, &o)) {
		fprintf(stderr, "usage: sim [--seeds N] [--first S] "
				"[--failures N] [--judge trace]\n"
				"       sim --seed S [--trace FILE]\n");
		return 2;
	}
	return o.replay ? replay(&o) : run(&o);
}
