#include "node/background.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
	sigset_t all, old;
	int rc;

	*out = NULL;
	if (b == NULL)
		return err_nomem(e);
	b->every_ms = every_ms;
	b->look = look;
	b->arg = arg;
	init(b);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&b->thread, NULL, background_main, b);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		free(b);
		return err_set(
		    e, E_UNAVAILABLE, "starting a thread: %s", strerror(rc));
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
