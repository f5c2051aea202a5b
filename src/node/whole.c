/* whole.c -- a start reads all of the state, on all cores: until that is done
 * nothing is served, and it is most of what a start takes. */
#include "node/internal.h"

#include <stdlib.h>
#include <unistd.h>

#define THREADS_MAX 16

struct checking {
	struct store *store;
	struct ca_check *check;
	atomic_size_t next; /* part that nobody has taken */
	pthread_mutex_t lock;
	enum code rc; /* the first that is not E_OK */
	struct err why;
};

static void *take_parts(void *arg)
{
	struct checking *c = arg;
	size_t part, n = ca_check_parts(c->check);
	struct store_read *read;
	struct err e = {0};
	struct ca_db db;
	enum code rc = store_read_begin(c->store, &read, &db, &e);

	while (rc == E_OK && (part = atomic_fetch_add(&c->next, 1)) < n)
		rc = ca_check_part(c->check, part, db, &e);
	store_read_end(read);
	if (rc == E_OK)
		return NULL;
	atomic_store(&c->next, n); /* the others need not go on */
	pthread_mutex_lock(&c->lock);
	if (c->rc == E_OK) {
		c->rc = rc;
		c->why = e;
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static void run_parts(struct checking *c)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t threads[THREADS_MAX];
	int n = 0;

	while (n < THREADS_MAX && n + 1 < cores &&
	       pthread_create(&threads[n], NULL, take_parts, c) == 0)
		n++;
	take_parts(c);
	while (n > 0)
		pthread_join(threads[--n], NULL);
}

enum code whole_check(struct node *n, struct err *e)
{
	struct checking c = {.store = n->store};
	struct store_read *read;
	struct ca_db db;
	enum code rc = store_read_begin(n->store, &read, &db, e);

	if (rc != E_OK)
		return rc;
	rc = ca_check_begin(&c.check, db, e);
	if (rc == E_OK) {
		pthread_mutex_init(&c.lock, NULL);
		run_parts(&c);
		pthread_mutex_destroy(&c.lock);
		rc = c.rc == E_OK ? ca_check_end(c.check, db, n->crypto, e)
				  : err_set(e, c.rc, "%s", c.why.text);
		ca_check_free(c.check);
	}
	store_read_end(read);
	return rc;
}
