/* loop.c -- an event loop on a thread of its own, and its mailbox: a queue
 * under a mutex, with an eventfd that wakes the loop. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "front/internal.h"

struct mailbox {
	_Atomic size_t refs;
	pthread_mutex_t lock;
	struct mail *first, **last;
	bool closed;
	int fd;
	struct event *wake;
	void *owner;
};

struct mailbox *mailbox_ref(struct mailbox *b)
{
	atomic_fetch_add(&b->refs, 1);
	return b;
}

void mailbox_unref(struct mailbox *b)
{
	if (b == NULL || atomic_fetch_sub(&b->refs, 1) != 1)
		return;
	if (b->fd >= 0)
		close(b->fd);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

void mailbox_post(struct mailbox *b, struct mail *m)
{
	static const uint64_t one = 1;
	bool closed, was_empty;

	m->next = NULL;
	pthread_mutex_lock(&b->lock);
	closed = b->closed;
	was_empty = b->first == NULL;
	if (!closed) {
		*b->last = m;
		b->last = &m->next;
	}
	pthread_mutex_unlock(&b->lock);
	if (closed)
		m->run(m, NULL);
	else if (was_empty)
		while (write(b->fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
}

static struct mail *take_all(struct mailbox *b, bool close_it)
{
	struct mail *list;

	pthread_mutex_lock(&b->lock);
	list = b->first;
	b->first = NULL;
	b->last = &b->first;
	b->closed = b->closed || close_it;
	pthread_mutex_unlock(&b->lock);
	return list;
}

static void run_all(struct mail *list, void *owner)
{
	while (list != NULL) {
		struct mail *next = list->next;

		list->run(list, owner);
		list = next;
	}
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct mailbox *b = arg;
	uint64_t count;

	(void)what;
	while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	run_all(take_all(b, false), b->owner);
}

static struct mailbox *mailbox_new(struct event_base *base, void *owner)
{
	struct mailbox *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	atomic_init(&b->refs, 1);
	pthread_mutex_init(&b->lock, NULL);
	b->last = &b->first;
	b->owner = owner;
	b->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (b->fd >= 0)
		b->wake =
		    event_new(base, b->fd, EV_READ | EV_PERSIST, on_wake, b);
	if (b->wake == NULL || event_add(b->wake, NULL) != 0) {
		if (b->wake != NULL)
			event_free(b->wake);
		mailbox_unref(b);
		return NULL;
	}
	return b;
}

enum code loop_init(struct loop *l, void *owner, struct err *e)
{
	*l = (struct loop){0};
	l->base = event_base_new();
	if (l->base != NULL)
		l->box = mailbox_new(l->base, owner);
	if (l->box == NULL) {
		loop_free(l);
		return err_set(
		    e, E_IO, "making an event loop: %s", strerror(errno));
	}
	return E_OK;
}

static void *loop_main(void *arg)
{
	struct loop *l = arg;

	event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

enum code loop_run(struct loop *l, struct err *e)
{
	sigset_t all, old;
	int rc;

	/* SIGPIPE among them: a peer that goes away is an error of write(). */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&l->thread, NULL, loop_main, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		return err_set(
		    e, E_UNAVAILABLE, "starting a thread: %s", strerror(rc));
	l->running = true;
	return E_OK;
}

void loop_join(struct loop *l)
{
	if (l->running)
		pthread_join(l->thread, NULL);
	l->running = false;
}

void loop_close(struct loop *l)
{
	if (l->box == NULL)
		return;
	run_all(take_all(l->box, true), NULL);
	event_free(l->box->wake);
	mailbox_unref(l->box);
	l->box = NULL;
}

void loop_free(struct loop *l)
{
	loop_close(l);
	if (l->base != NULL)
		event_base_free(l->base);
	l->base = NULL;
}
