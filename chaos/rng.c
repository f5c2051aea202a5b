/* rng.c -- dice that fall alike for the same seed (splitmix64). */
#include "chaos.h"

uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->s += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
	return rng_next(r) % n;
}

bool rng_percent(struct rng *r, unsigned percent)
{
	return rng_below(r, 100) < percent;
}

unsigned rng_span_ms(struct rng *r, unsigned from, unsigned to)
{
	unsigned steps = 0, x = from;

	for (unsigned y = from; y * 2 <= to; y *= 2)
		steps++;
	for (uint64_t k = rng_below(r, steps + 1); k > 0; k--)
		x *= 2;
	x += (unsigned)rng_below(r, x);
	return x < to ? x : to;
}
