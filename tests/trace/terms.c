/* terms.c -- runs of terms. */
#include "terms.h"

#include <stdlib.h>
#include <string.h>

void terms_free(struct terms *t)
{
	free(t->run);
	*t = (struct terms){0};
}

/* The run that holds i; most often it is among the last. */
static size_t run_of(const struct terms *t, raft_index i)
{
	size_t k = t->n;

	while (k > 0 && t->run[k - 1].first > i)
		k--;
	return k - 1;
}

raft_term terms_at(const struct terms *t, raft_index i)
{
	return i == 0 || i > t->last ? 0 : t->run[run_of(t, i)].term;
}

static void reserve(struct terms *t, size_t n)
{
	size_t cap = t->cap == 0 ? 8 : t->cap;

	if (n <= t->cap)
		return;
	while (cap < n)
		cap *= 2;
	t->run = realloc(t->run, cap * sizeof(*t->run));
	if (t->run == NULL)
		abort(); /* a test: there is nothing better to do */
	t->cap = cap;
}

void terms_extend(struct terms *t, raft_index to, raft_term term)
{
	if (to <= t->last)
		return;
	if (t->n == 0 || t->run[t->n - 1].term != term) {
		reserve(t, t->n + 1);
		t->run[t->n++] = (struct terms_run){t->last + 1, term};
	}
	t->last = to;
}

void terms_cut(struct terms *t, raft_index last)
{
	if (last >= t->last)
		return;
	while (t->n > 0 && t->run[t->n - 1].first > last)
		t->n--;
	t->last = last;
}

void terms_copy(struct terms *t, const struct terms *from, raft_index to)
{
	reserve(t, from->n);
	if (from->n > 0)
		memcpy(t->run, from->run, from->n * sizeof(*t->run));
	t->n = from->n;
	t->last = from->last;
	terms_cut(t, to);
	terms_extend(t, to, 0);
}

/* Where the run that holds i ends. */
static raft_index run_end(const struct terms *t, size_t k)
{
	return k + 1 < t->n ? t->run[k + 1].first - 1 : t->last;
}

raft_index terms_differ(
    const struct terms *a, const struct terms *b, raft_index lo, raft_index hi)
{
	while (lo <= hi) {
		size_t x, y;
		raft_index end;

		if (lo > a->last || lo > b->last)
			return lo;
		x = run_of(a, lo);
		y = run_of(b, lo);
		if (a->run[x].term != b->run[y].term && a->run[x].term != 0 &&
		    b->run[y].term != 0)
			return lo;
		end = run_end(a, x) < run_end(b, y) ? run_end(a, x)
						    : run_end(b, y);
		lo = end + 1;
	}
	return hi + 1;
}

void terms_replace(
    struct terms *t, const struct terms *from, raft_index lo, raft_index hi)
{
	terms_cut(t, lo - 1);
	while (lo <= hi) {
		raft_index end = hi;
		raft_term term = 0;

		if (lo <= from->last) {
			size_t k = run_of(from, lo);

			term = from->run[k].term;
			if (run_end(from, k) < end)
				end = run_end(from, k);
		}
		terms_extend(t, end, term);
		lo = end + 1;
	}
}
