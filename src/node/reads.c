/* reads.c -- other threads' reads of the state: each sees what this node had
 * applied when it asked, and a linearizable one what anybody had acknowledged
 * [6.4]. */
#include "node/internal.h"

#include <stdlib.h>

#include "base/clock.h"

#define ASK_AGAIN_MS 300

struct read_op {
	struct task task;
	struct read_op *next;
	bool linearizable;
	uint64_t context; /* of the read index asked for; 0: not yet */
	uint64_t index;   /* wait until this is durable; 0: not known */
	uint64_t asked_ms, deadline_ms;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool done;
	enum code rc;
	const char *why;
};

static void finish(struct read_op *r, enum code rc, const char *why)
{
	pthread_mutex_lock(&r->lock);
	r->rc = rc;
	r->why = why;
	r->done = true;
	pthread_cond_signal(&r->ended);
	pthread_mutex_unlock(&r->lock);
}

static void read_run(struct node *n, struct task *t)
{
	struct read_op *r = (struct read_op *)(void *)t;

	r->deadline_ms = clock_mono_ms() + NODE_ANSWER_MS;
	if (!r->linearizable)
		r->index = store_applied(n->store);
	r->next = n->reads;
	n->reads = r;
}

void reads_ask(struct node *n)
{
	uint64_t now = clock_mono_ms(), context = 0;

	for (struct read_op *r = n->reads; r != NULL; r = r->next) {
		if (r->index != 0 ||
		    (r->context != 0 && now - r->asked_ms < ASK_AGAIN_MS))
			continue;
		if (context == 0)
			context = ++n->next_read;
		r->context = context;
		r->asked_ms = now;
	}
	/* Without a leader it is lost: then it is asked again. */
	if (context != 0)
		(void)raft_read_index(n->raft, context);
}

void reads_heard(struct node *n, const struct raft_read_state *s)
{
	for (struct read_op *r = n->reads; r != NULL; r = r->next)
		if (r->index == 0 && r->context == s->context)
			r->index = s->index;
}

bool reads_wait_commit(const struct node *n)
{
	uint64_t applied = store_applied(n->store);
	uint64_t durable = store_durable_applied(n->store);

	for (const struct read_op *r = n->reads; r != NULL; r = r->next)
		if (r->index > durable && r->index <= applied)
			return true;
	return false;
}

void reads_settle(struct node *n)
{
	uint64_t now, durable = store_durable_applied(n->store);
	struct read_op **at = &n->reads;

	if (n->reads == NULL)
		return;
	now = clock_mono_ms();
	while (*at != NULL) {
		struct read_op *r = *at;
		bool here = durable > 0 && r->index != 0 && r->index <= durable;

		if (!here && now < r->deadline_ms) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		if (here)
			finish(r, E_OK, "");
		else
			finish(r, E_UNAVAILABLE,
			    r->linearizable
				? "no quorum confirmed this read within 2 s; "
				  "without ?consistency=linearizable this "
				  "node's own state is read"
				: "this node holds no state yet");
	}
}

void reads_close(struct node *n)
{
	while (n->reads != NULL) {
		struct read_op *r = n->reads;

		n->reads = r->next;
		finish(r, E_UNAVAILABLE, "the node stops");
	}
}

/* ---- On the reader's thread ---- */

struct reader_token {
	struct store_read *read;
	struct ca *ca;
};

static enum code wait_turn(struct node *n, bool linearizable, struct err *e)
{
	struct read_op r = {.task.run = read_run, .linearizable = linearizable};

	pthread_mutex_init(&r.lock, NULL);
	pthread_cond_init(&r.ended, NULL);
	inbox_post(n, &r.task);
	pthread_mutex_lock(&r.lock);
	while (!r.done)
		pthread_cond_wait(&r.ended, &r.lock);
	pthread_mutex_unlock(&r.lock);
	pthread_cond_destroy(&r.ended);
	pthread_mutex_destroy(&r.lock);
	return r.rc == E_OK ? E_OK : err_set(e, r.rc, "%s", r.why);
}

enum code reads_begin(
    void *ctx, bool linearizable, struct ca **ca, void **token, struct err *e)
{
	struct node *n = ctx;
	struct reader_token *t = calloc(1, sizeof(*t));
	struct ca_db db;
	enum code rc;

	*ca = NULL;
	*token = NULL;
	if (t == NULL)
		return err_nomem(e);
	rc = wait_turn(n, linearizable, e);
	if (rc == E_OK)
		rc = store_read_begin(n->store, &t->read, &db, e);
	if (rc == E_OK)
		rc = ca_open(&t->ca, db, n->crypto, e);
	if (rc != E_OK) {
		store_read_end(t->read);
		free(t);
		return rc;
	}
	*ca = t->ca;
	*token = t;
	return E_OK;
}

void reads_end(void *ctx, void *token)
{
	struct reader_token *t = token;

	(void)ctx;
	ca_close(t->ca);
	store_read_end(t->read);
	free(t);
}
