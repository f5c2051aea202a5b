/* snapshot_put.c -- the thread that puts a snapshot's rows into the store.
 *
 * A disk may take seconds for what is asked of it here: not on the loop, which
 * owes the leader an answer to each heartbeat.  Jobs are done in the order they
 * are given; after one that failed all others fail, until the putter is begun
 * anew.  What is open in the store belongs to this thread while jobs are on
 * their way, and to the loop when none is. */
#include "node/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "base/thread.h"

#define ROW_MAX (64U << 20) /* bytes of a value: 1.6 million CRL entries */

struct putter {
	struct node *n;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct put_job *todo, **todo_end, *done, **done_end; /* lock */
	bool quit;                                           /* lock */
	/* of whose turn it is */
	enum code broken;
	struct err why;
	struct ca_db db;
	struct ca *ca;         /* on what was received */
	struct buf key, value; /* of a row that comes in pieces */
};

/* ---- Rows ---- */

/* Only what a snapshot carries; the rest is derived here. */
static bool table_travels(uint32_t table)
{
	switch (table) {
#define TRAVELS_SMALL true
#define TRAVELS_LOG true
#define TRAVELS_DERIVED false
#define X(sym, number, cls, what)                                              \
	case number: return TRAVELS_##cls;
		CA_TABLES(X)
#undef X
	}
	return false;
}

static enum code put_row(struct putter *p, enum ca_table t, struct span key,
    struct span value, struct err *e)
{
	enum code rc = p->db.ops->put(p->db.ctx, t, key, value, e);

	return rc == E_OK ? ca_restore_row(p->ca, t, key, value, e) : rc;
}

/* Pieces of one value come one after the other. */
static enum code put_piece(
    struct putter *p, const struct wire_row *r, struct err *e)
{
	enum code rc;

	if (p->value.len == 0) {
		buf_clear(&p->key);
		buf_add_span(&p->key, r->key);
	} else if (!span_eq(buf_span(&p->key), r->key)) {
		return err_set(e, E_INVAL, "a row of which a piece is missing");
	}
	if (p->value.len + r->value.len > ROW_MAX)
		return err_set(
		    e, E_INVAL, "a row of more than %u bytes", ROW_MAX);
	buf_add_span(&p->value, r->value);
	if ((rc = buf_check(&p->key, e)) != E_OK ||
	    (rc = buf_check(&p->value, e)) != E_OK || r->more)
		return rc;
	rc =
	    put_row(p, (enum ca_table)r->table, r->key, buf_span(&p->value), e);
	buf_clear(&p->value);
	return rc;
}

static enum code put_rows(
    struct putter *p, const struct put_job *j, struct err *e)
{
	uint64_t bytes = 0;
	enum code rc = E_OK;

	for (size_t i = 0; i < j->rows_n && rc == E_OK; i++) {
		const struct wire_row *r = &j->rows[i];

		if (!table_travels(r->table))
			return err_set(e, E_INVAL,
			    "a row of table %u, which no snapshot carries",
			    r->table);
		if (r->more || p->value.len > 0)
			rc = put_piece(p, r, e);
		else
			rc = put_row(
			    p, (enum ca_table)r->table, r->key, r->value, e);
		bytes += r->key.len + r->value.len;
	}
	metric_add(M_snapshot_received_bytes, bytes);
	return rc;
}

/* ---- Jobs ---- */

static enum code begin(struct putter *p, struct err *e)
{
	enum code rc;

	buf_clear(&p->value);
	/* Records stay; the tables that change come whole with each stream. */
	if (p->ca != NULL)
		return store_install_clear_small(p->n->store, e);
	rc = store_install_begin(p->n->store, e);
	if (rc == E_OK)
		rc = store_install_db(p->n->store, &p->db, e);
	if (rc == E_OK)
		rc = ca_open(&p->ca, p->db, p->n->crypto, e);
	return rc;
}

static enum code check_all(struct putter *p, struct err *e)
{
	enum code rc = ca_restore_check(p->ca, e);

	if (rc == E_OK && p->value.len > 0)
		rc = err_set(e, E_INVAL, "its last row is not whole");
	return rc == E_OK ? store_install_sync(p->n->store, e) : rc;
}

static void do_job(struct putter *p, struct put_job *j)
{
	if (p->broken == E_OK) {
		p->broken =
		    j->seq == 0 ? begin(p, &p->why) : put_rows(p, j, &p->why);
		if (p->broken == E_OK && j->last)
			p->broken = check_all(p, &p->why);
	}
	j->rc = p->broken;
	j->why = p->why;
	j->have = p->ca == NULL ? 0 : ca_applied(p->ca);
}

static struct put_job *next_job(struct putter *p)
{
	struct put_job *j = NULL;

	pthread_mutex_lock(&p->lock);
	while (p->todo == NULL && !p->quit)
		pthread_cond_wait(&p->wake, &p->lock);
	if (!p->quit) {
		j = p->todo;
		p->todo = j->next;
		if (p->todo == NULL)
			p->todo_end = &p->todo;
	}
	pthread_mutex_unlock(&p->lock);
	return j;
}

static void append(struct put_job ***end, struct put_job *j)
{
	j->next = NULL;
	**end = j;
	*end = &j->next;
}

static void *putter_main(void *arg)
{
	struct putter *p = arg;
	struct put_job *j;

	while ((j = next_job(p)) != NULL) {
		do_job(p, j);
		pthread_mutex_lock(&p->lock);
		append(&p->done_end, j);
		pthread_mutex_unlock(&p->lock);
		inbox_wake(p->n);
	}
	p->broken = store_install_rest(p->n->store, &p->why);
	return NULL;
}

/* ---- The loop's side ---- */

enum code putter_start(struct putter **out, struct node *n, struct err *e)
{
	struct putter *p = calloc(1, sizeof(*p));
	enum code rc;

	*out = NULL;
	if (p == NULL)
		return err_nomem(e);
	p->n = n;
	p->todo_end = &p->todo;
	p->done_end = &p->done;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	rc = thread_start(&p->thread, putter_main, p, e);
	if (rc != E_OK) {
		free(p);
		return err_wrap(e, E_EXHAUSTED, "storing it");
	}
	*out = p;
	return E_OK;
}

/* The job, its rows, and their bytes behind them. */
static struct put_job *job_copy(const struct wire_chunk *c)
{
	size_t bytes = 0;
	struct put_job *j;
	uint8_t *at;

	for (size_t i = 0; i < c->rows_n; i++)
		bytes += c->rows[i].key.len + c->rows[i].value.len;
	j = calloc(1, sizeof(*j) + c->rows_n * sizeof(j->rows[0]) + bytes);
	if (j == NULL)
		return NULL;
	j->stream = c->stream;
	j->seq = c->seq;
	j->last = c->last;
	j->rows_n = c->rows_n;
	at = (uint8_t *)(j->rows + c->rows_n);
	for (size_t i = 0; i < c->rows_n; i++) {
		const struct wire_row *r = &c->rows[i];

		j->rows[i] = *r;
		j->rows[i].key.p = at;
		if (r->key.len > 0)
			memcpy(at, r->key.p, r->key.len);
		at += r->key.len;
		j->rows[i].value.p = at;
		if (r->value.len > 0)
			memcpy(at, r->value.p, r->value.len);
		at += r->value.len;
	}
	return j;
}

enum code putter_give(
    struct putter *p, const struct wire_chunk *c, struct err *e)
{
	struct put_job *j = job_copy(c);

	if (j == NULL)
		return err_nomem(e);
	pthread_mutex_lock(&p->lock);
	append(&p->todo_end, j);
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	return E_OK;
}

struct put_job *putter_done(struct putter *p)
{
	struct put_job *j;

	pthread_mutex_lock(&p->lock);
	j = p->done;
	if (j != NULL && (p->done = j->next) == NULL)
		p->done_end = &p->done;
	pthread_mutex_unlock(&p->lock);
	return j;
}

struct ca *putter_ca(const struct putter *p)
{
	return p->ca;
}

void putter_close_ca(struct putter *p)
{
	ca_close(p->ca);
	p->ca = NULL;
}

static void free_jobs(struct put_job *j)
{
	while (j != NULL) {
		struct put_job *next = j->next;

		free(j);
		j = next;
	}
}

void putter_stop(struct putter *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->quit = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	free_jobs(p->todo);
	free_jobs(p->done);
	putter_close_ca(p);
	buf_free(&p->key);
	buf_free(&p->value);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
