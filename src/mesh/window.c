#include "mesh/window.h"

#include <string.h>

static struct window_boot *boot_of(struct window *w, uint64_t boot)
{
	for (size_t i = 0; i < WINDOW_BOOTS; i++)
		if (w->boots[i].used && w->boots[i].boot == boot)
			return &w->boots[i];
	return NULL;
}

/* The one heard longest ago gives way; a free one was never heard. */
static struct window_boot *boot_new(
    struct window *w, uint64_t boot, uint64_t counter)
{
	struct window_boot *b = &w->boots[0];

	for (size_t i = 1; i < WINDOW_BOOTS; i++)
		if (w->boots[i].heard < b->heard)
			b = &w->boots[i];
	*b = (struct window_boot){
	    .used = true, .boot = boot, .highest = counter};
	return b;
}

static void slide(struct window_boot *b, uint64_t counter)
{
	if (counter - b->highest >= WINDOW_COUNTERS) {
		memset(b->seen, 0, sizeof(b->seen));
		b->highest = counter;
		return;
	}
	while (b->highest < counter) {
		uint64_t bit = ++b->highest % WINDOW_COUNTERS;

		b->seen[bit / 64] &= ~(1ULL << (bit % 64));
	}
}

bool mesh_window_accept(struct window *w, uint64_t boot, uint64_t counter)
{
	struct window_boot *b = boot_of(w, boot);
	uint64_t bit = counter % WINDOW_COUNTERS;

	if (b == NULL)
		b = boot_new(w, boot, counter);
	b->heard = ++w->clock;
	if (counter > b->highest)
		slide(b, counter);
	if (b->highest - counter >= WINDOW_COUNTERS ||
	    (b->seen[bit / 64] & 1ULL << (bit % 64)) != 0)
		return false;
	b->seen[bit / 64] |= 1ULL << (bit % 64);
	return true;
}
