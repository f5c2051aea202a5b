/* window.h -- drops what one sender sent twice within a boot.
 * Pure; not thread-safe.  Ask only about authenticated messages.
 *
 * Counters within a boot may arrive in any order up to WINDOW_COUNTERS behind
 * the highest; older ones count as seen.  A boot not remembered starts empty:
 * a replay from a forgotten boot is accepted once, which its users tolerate by
 * design.  The last WINDOW_BOOTS boots heard are remembered, so late messages
 * of an old boot do not make the present one forget. */
#ifndef QUORATE_MESH_WINDOW_H
#define QUORATE_MESH_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_COUNTERS 4096
#define WINDOW_BOOTS 4

struct window_boot {
	bool used;
	uint64_t boot, highest;
	uint64_t heard; /* the window's clock when it was last heard */
	uint64_t seen[WINDOW_COUNTERS / 64]; /* bit: counter mod size */
};

/* All zero is a window that has seen nothing. */
struct window {
	uint64_t clock;
	struct window_boot boots[WINDOW_BOOTS];
};

/* True, and remembered, if this is the first time. */
bool mesh_window_accept(struct window *w, uint64_t boot, uint64_t counter);

#endif
