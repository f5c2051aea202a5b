#include "node/background.h"

#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/thread.h"

struct background {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned every_ms;
	bool nudged, stop;
	void (*look)(void *arg);
	void *arg;
};

static bool wait_turn(struct background *b)
{
	struct timespec until;
	bool stop;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += b->every_ms / 1000;
	until.tv_nsec += b->every_ms % 1000 * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&b->lock);
	while (!b->stop && !b->nudged &&
	       pthread_cond_timedwait(&b->wake, &b->lock, &until) == 0)
		continue;
	b->nudged = false;
	stop = b->stop;
	pthread_mutex_unlock(&b->lock);
	return !stop;
}

static void *background_main(void *arg)
{
	struct background *b = arg;

	while (wait_turn(b))
		b->look(b->arg);
	return NULL;
}

/* The clock may be set while somebody waits: the monotonic one is not. */
static void init(struct background *b)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&b->wake, &attr);
	pthread_condattr_destroy(&attr);
}

enum code background_start(struct background **out, unsigned every_ms,
    void (*look)(void *arg), void *arg, struct err *e)
{
	struct background *b = calloc(1, sizeof(*b));
	enum code rc;

	*out = NULL;
	if (b == NULL)
		return err_nomem(e);
	b->every_ms = every_ms;
	b->look = look;
	b->arg = arg;
	init(b);
	rc = thread_start(&b->thread, background_main, b, e);
	if (rc != E_OK) {
		free(b);
		return rc;
	}
	*out = b;
	return E_OK;
}

void background_nudge(struct background *b)
{
	pthread_mutex_lock(&b->lock);
	b->nudged = true;
	pthread_cond_signal(&b->wake);
	pthread_mutex_unlock(&b->lock);
}

void background_stop(struct background *b)
{
	if (b == NULL)
		return;
	pthread_mutex_lock(&b->lock);
	b->stop = true;
	pthread_cond_signal(&b->wake);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	pthread_cond_destroy(&b->wake);
	pthread_mutex_destroy(&b->lock);
	free(b);
}
