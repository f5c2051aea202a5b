/* background.h -- a thread that looks every so often, and when it is nudged. */
#ifndef QUORATE_NODE_BACKGROUND_H
#define QUORATE_NODE_BACKGROUND_H

#include "base/err.h"

struct background;
/* look(arg) on a thread of its own, which takes no signals. */
enum code background_start(struct background **out, unsigned every_ms,
    void (*look)(void *arg), void *arg, struct err *e) MUST_CHECK;
void background_nudge(struct background *b); /* any thread */
void background_stop(struct background *b);  /* joins; NULL is fine */

#endif
