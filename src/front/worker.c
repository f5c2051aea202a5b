/* worker.c -- one thread that does, in order, what may block: reads after a
 * quorum has been asked, signatures of tree heads. */
#include <stdlib.h>

#include "base/thread.h"
#include "front/internal.h"

#define WORKER_QUEUE_MAX 256

struct job {
	void (*fn)(void *arg);
	void *arg;
};

struct worker {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct job queue[WORKER_QUEUE_MAX]; /* a ring */
	size_t first, n;
	bool stop;
	pthread_t thread;
};

static bool next_job(struct worker *w, struct job *out)
{
	bool got;

	pthread_mutex_lock(&w->lock);
	while (w->n == 0 && !w->stop)
		pthread_cond_wait(&w->more, &w->lock);
	got = w->n > 0;
	if (got) {
		*out = w->queue[w->first];
		w->first = (w->first + 1) % WORKER_QUEUE_MAX;
		w->n--;
	}
	pthread_mutex_unlock(&w->lock);
	return got;
}

static void *worker_main(void *arg)
{
	struct job j;

	while (next_job(arg, &j))
		j.fn(j.arg);
	return NULL;
}

enum code worker_start(struct worker **out, struct err *e)
{
	struct worker *w = calloc(1, sizeof(*w));
	enum code rc;

	*out = NULL;
	if (w == NULL)
		return err_nomem(e);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->more, NULL);
	rc = thread_start(&w->thread, worker_main, w, e);
	if (rc != E_OK) {
		free(w);
		return rc;
	}
	*out = w;
	return E_OK;
}

enum code worker_do(
    struct worker *w, void (*fn)(void *arg), void *arg, struct err *e)
{
	bool room;

	pthread_mutex_lock(&w->lock);
	room = w->n < WORKER_QUEUE_MAX && !w->stop;
	if (room) {
		w->queue[(w->first + w->n) % WORKER_QUEUE_MAX] =
		    (struct job){fn, arg};
		w->n++;
		pthread_cond_signal(&w->more);
	}
	pthread_mutex_unlock(&w->lock);
	return room ? E_OK : err_set(e, E_EXHAUSTED, "too many requests wait");
}

void worker_stop(struct worker *w)
{
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->more);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->more);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
