/* report.c -- what is printed: each fault, each violation, and the sums. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "chaos.h"

void report_event(struct chaos *c, const char *fmt, ...)
{
	uint64_t ms = clock_mono_ms() - c->begin_ms;
	va_list ap;

	printf("[%4llu.%03llu] ", (unsigned long long)(ms / 1000),
	    (unsigned long long)(ms % 1000));
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

/* Of each kind the first few are printed, and all are counted. */
void report_violation(struct chaos *c, const char *kind, const char *fmt, ...)
{
	size_t i = 0;
	va_list ap;

	c->violations++;
	while (i < KINDS - 1 && c->kinds[i].name != NULL &&
	       strcmp(c->kinds[i].name, kind) != 0)
		i++;
	c->kinds[i].name = kind;
	if (++c->kinds[i].n > VIOLATIONS)
		return;
	printf("VIOLATION %s: ", kind);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static void report_verdict(const struct chaos *c)
{
	const char *sep = " (";

	if (c->violations == 0) {
		puts("verdict: nothing acknowledged was lost");
		return;
	}
	printf("verdict: FAILED");
	for (size_t i = 0; i < KINDS && c->kinds[i].name != NULL; i++) {
		printf("%s%zu %s", sep, c->kinds[i].n, c->kinds[i].name);
		sep = ", ";
	}
	puts(")");
}

/* ---- Unavailability ---- */

struct windows {
	uint64_t *us; /* lengths */
	size_t n;
	uint64_t total_us;
};

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The moments of all acknowledgements while there were faults. */
static uint64_t *moments(const struct chaos *c, size_t *n)
{
	uint64_t *all = calloc(c->books.acks_n + 2, sizeof(*all));

	*n = 0;
	if (all == NULL)
		return NULL;
	all[(*n)++] = c->begin_us;
	for (size_t i = 0; i < c->books.acks_n; i++)
		if (c->books.acks[i].unix_us > c->begin_us &&
		    c->books.acks[i].unix_us < c->healed_us)
			all[(*n)++] = c->books.acks[i].unix_us;
	all[(*n)++] = c->healed_us;
	qsort(all, *n, sizeof(*all), by_size);
	return all;
}

static void find_windows(const struct chaos *c, struct windows *w)
{
	size_t n;
	uint64_t *all = moments(c, &n);

	*w = (struct windows){.us = calloc(n + 1, sizeof(*w->us))};
	for (size_t i = 1; all != NULL && w->us != NULL && i < n; i++) {
		uint64_t us = all[i] - all[i - 1];

		if (us <= WINDOW_MS * 1000)
			continue;
		w->us[w->n++] = us;
		w->total_us += us;
	}
	if (w->n > 0)
		qsort(w->us, w->n, sizeof(*w->us), by_size);
	free(all);
}

static void report_windows(const struct chaos *c)
{
	struct windows w;

	find_windows(c, &w);
	printf("unavailable: %zu windows over %d ms", w.n, WINDOW_MS);
	if (w.n > 0)
		printf(", median %.2f s, longest %.2f s, %.1f s of %.1f s",
		    (double)w.us[(w.n - 1) / 2] / 1e6,
		    (double)w.us[w.n - 1] / 1e6, (double)w.total_us / 1e6,
		    (double)(c->healed_us - c->begin_us) / 1e6);
	putchar('\n');
	free(w.us);
}

/* ---- Sums ---- */

static uint64_t sum_of(const struct chaos *c, const char *name)
{
	uint64_t n = 0;

	for (size_t i = 0; i < LOADS; i++)
		n += (uint64_t)json_integer_value(
		    json_object_get(c->books.load[i], name));
	return n;
}

static void report_faults(const struct chaos *c)
{
	const char *sep = " ";

	printf("faults:");
	for (size_t i = 0; i < FAULT_COUNT; i++)
		if (c->faults[i] > 0) {
			printf("%s%u %s", sep, c->faults[i], fault_names[i]);
			sep = ", ";
		}
	printf("; %u restarts\n", c->restarts);
}

static void report_errors(const struct chaos *c)
{
	json_t *all = json_object(), *v;
	const char *name;

	for (size_t i = 0; i < LOADS; i++)
		json_object_foreach(
		    json_object_get(c->books.load[i], "errors"), name, v)
		{
			json_t *old = json_object_get(all, name);

			json_object_set_new(all, name,
			    json_integer(json_integer_value(old) +
					 json_integer_value(v)));
		}
	json_object_foreach(all, name, v)
	    printf(", %lld %s", (long long)json_integer_value(v), name);
	json_decref(all);
}

static void report_nodes(const struct chaos *c)
{
	const char *name;
	json_t *v;

	printf("nodes: %u times a leader, %u snapshots installed", c->elections,
	    c->snapshots);
	json_object_foreach(c->warnings, name, v)
	    printf(", %lld %s", (long long)json_integer_value(v), name);
	putchar('\n');
}

static void report_outcomes(const char *what, const uint64_t sums[3])
{
	printf("%s: %llu acknowledged, %llu failed, %llu unknown\n", what,
	    (unsigned long long)sums[OUTCOME_OK],
	    (unsigned long long)sums[OUTCOME_FAILED],
	    (unsigned long long)sums[OUTCOME_UNKNOWN]);
}

void report_all(struct chaos *c)
{
	printf("seed: %llu\n", (unsigned long long)c->o.seed);
	report_faults(c);
	printf("issue: %llu acknowledged",
	    (unsigned long long)sum_of(c, "acknowledged"));
	report_errors(c);
	printf(", %llu refused streams, %llu unknown, %llu unreachable\n",
	    (unsigned long long)sum_of(c, "refused"),
	    (unsigned long long)sum_of(c, "unknown"),
	    (unsigned long long)sum_of(c, "unreachable"));
	report_outcomes("revoke a certificate", c->shared->revoked);
	report_outcomes("revoke an identity", c->shared->blocked);
	printf("read: %llu found, %llu unavailable, %llu stale\n",
	    (unsigned long long)c->shared->read_ok,
	    (unsigned long long)c->shared->read_failed,
	    (unsigned long long)c->shared->read_stale);
	printf(
	    "log: %llu certificates of workloads, %llu of them "
	    "acknowledged to nobody; %zu rebuilt on every node; %zu on CRLs\n",
	    (unsigned long long)c->logged, (unsigned long long)c->untold,
	    c->rebuilt, c->on_crls);
	report_windows(c);
	report_nodes(c);
	report_verdict(c);
	printf("again: make %s MINUTES=%llu SEED=%llu\n",
	    c->o.planted ? "chaos-planted" : "chaos",
	    (unsigned long long)(c->o.seconds + 59) / 60,
	    (unsigned long long)c->o.seed);
}
