/* inbox.c -- what other threads want of the loop. */
#include <poll.h>
#include <unistd.h>

#include "node/internal.h"

void inbox_wake(struct node *n)
{
	const uint64_t one = 1;

	/* It fails only where the count is full: then it wakes as well. */
	(void)!write(n->wake_fd, &one, sizeof(one));
}

void node_stop(struct node *n)
{
	atomic_store(&n->stop, true);
	inbox_wake(n);
}

void inbox_post(struct node *n, struct task *t)
{
	t->next = NULL;
	pthread_mutex_lock(&n->lock);
	*n->inbox_end = t;
	n->inbox_end = &t->next;
	pthread_mutex_unlock(&n->lock);
	inbox_wake(n);
}

bool inbox_wait(struct node *n, int ms)
{
	struct pollfd p = {.fd = n->wake_fd, .events = POLLIN};

	return poll(&p, 1, ms) > 0;
}

void inbox_run(struct node *n)
{
	struct task *t;
	uint64_t count;

	(void)!read(n->wake_fd, &count, sizeof(count));
	pthread_mutex_lock(&n->lock);
	t = n->inbox;
	n->inbox = NULL;
	n->inbox_end = &n->inbox;
	pthread_mutex_unlock(&n->lock);
	while (t != NULL) {
		struct task *next = t->next;

		t->run(n, t);
		t = next;
	}
}

/* ---- Calls ---- */

struct call {
	struct task task;
	void (*fn)(struct node *n, void *arg);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool done;
};

static void call_run(struct node *n, struct task *t)
{
	struct call *c = (struct call *)(void *)t;

	c->fn(n, c->arg);
	pthread_mutex_lock(&c->lock);
	c->done = true;
	pthread_cond_signal(&c->ended);
	pthread_mutex_unlock(&c->lock);
}

void inbox_call(
    struct node *n, void (*fn)(struct node *n, void *arg), void *arg)
{
	struct call c = {.task.run = call_run, .fn = fn, .arg = arg};

	pthread_mutex_init(&c.lock, NULL);
	pthread_cond_init(&c.ended, NULL);
	inbox_post(n, &c.task);
	pthread_mutex_lock(&c.lock);
	while (!c.done)
		pthread_cond_wait(&c.ended, &c.lock);
	pthread_mutex_unlock(&c.lock);
	pthread_cond_destroy(&c.ended);
	pthread_mutex_destroy(&c.lock);
}
