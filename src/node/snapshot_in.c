/* snapshot_in.c -- a snapshot that a leader sends: rows go into a fresh
 * environment, are checked as a whole, and only then does raft hear of it.
 * Records are the same whoever sends them, and never change: a stream that
 * breaks leaves those that came, and the next one goes on behind them. */
#include "node/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_event.h"
#include "ca/tlog.h"

struct snapshot_in {
	uint64_t from, stream;
	uint64_t next;  /* the chunk that is due */
	uint64_t acked; /* chunks that were put */
	uint64_t have;  /* the last record that was put */
	size_t jobs;    /* on their way */
	struct raft_message *message;
	struct putter *putter;
	bool ends;  /* the last chunk came */
	bool whole; /* checked, and given to raft */
};

bool snapshot_in_is_whole(const struct node *n, uint64_t index)
{
	return n->receiving != NULL && n->receiving->whole &&
	       n->receiving->message->snapshot->index == index;
}

void snapshot_in_close_ca(struct node *n)
{
	if (n->receiving != NULL)
		putter_close_ca(n->receiving->putter);
}

void snapshot_in_drop(struct node *n)
{
	struct snapshot_in *s = n->receiving;

	if (s == NULL)
		return;
	putter_stop(s->putter);
	store_install_abort(n->store);
	free(s->message);
	free(s);
	n->receiving = NULL;
}

void snapshot_in_settle(struct node *n)
{
	struct snapshot_in *s = n->receiving;

	if (s == NULL || s->jobs > 0)
		return;
	/* Installed, or the log brought all that it was to bring.  One that
	 * raft did not want, for its leader is none any more, is as good as a
	 * stream that broke at its end. */
	if (store_applied(n->store) >= s->message->snapshot->index)
		snapshot_in_drop(n);
	else if (s->whole)
		s->whole = s->ends = false;
}

bool snapshot_in_progress(const struct node *n, uint64_t *have, uint64_t *of)
{
	const struct snapshot_in *s = n->receiving;

	if (s == NULL)
		return false;
	*have = s->have;
	*of = s->message->snapshot->index;
	return true;
}

static void acknowledge(struct node *n, const struct snapshot_in *s)
{
	struct wire_mesh w = {.kind = WIRE_ACK,
	    .u.ack = {
		.stream = s->stream, .next_seq = s->acked, .have = s->have}};

	(void)peers_tell(n, s->from, MESH_MESSAGES, &w);
}

/* What a peer sent; and what our disk or memory did. */
static bool peers_fault(enum code rc)
{
	return rc == E_INVAL || rc == E_CORRUPT || rc == E_EXHAUSTED ||
	       rc == E_NOTFOUND;
}

static enum code refuse(struct node *n, uint64_t from, uint64_t stream,
    enum code rc, const struct err *why, struct err *e)
{
	struct wire_mesh w = {
	    .kind = WIRE_ACK, .u.ack = {.stream = stream, .failed = true}};

	if (!peers_fault(rc))
		return err_set(e, rc, "receiving a snapshot: %s", why->text);
	/* Of one that broke off some chunks come late. */
	if (stream != n->stale_stream)
		log_event(EV_snapshot_refused, "peer=%llu why=\"%s\"",
		    (unsigned long long)from, why->text);
	n->stale_stream = stream;
	if (n->receiving != NULL && n->receiving->stream == stream)
		snapshot_in_drop(n);
	(void)peers_tell(n, from, MESH_MESSAGES, &w);
	return E_OK;
}

/* ---- Chunks ---- */

static bool message_ok(
    const struct node *n, uint64_t from, const struct raft_message *m)
{
	return m != NULL && m->type == RAFT_MSG_SNAP && m->from == from &&
	       m->to == n->id && m->snapshot != NULL && m->snapshot->index > 0;
}

static struct snapshot_in *begin_fresh(
    struct node *n, enum code *rc, struct err *e)
{
	struct snapshot_in *s = calloc(1, sizeof(*s));

	*rc = s == NULL ? err_nomem(e) : putter_start(&s->putter, n, e);
	if (*rc != E_OK) {
		free(s);
		return NULL;
	}
	return s;
}

static enum code begin(
    struct node *n, uint64_t from, const struct wire_chunk *c, struct err *e)
{
	struct raft_message *message;
	struct snapshot_in *s;
	enum code rc = E_OK;

	if (!message_ok(n, from, c->message) || c->rows_n > 0)
		return err_set(e, E_INVAL, "its first chunk names no snapshot");
	if (n->space_low)
		return err_set(e, E_EXHAUSTED, "too little free disk space");
	if (n->receiving != NULL &&
	    n->receiving->have > c->message->snapshot->index)
		snapshot_in_drop(n);
	if ((message = raft_message_copy(c->message)) == NULL)
		return err_nomem(e);
	s = n->receiving != NULL ? n->receiving : begin_fresh(n, &rc, e);
	if (s == NULL) {
		free(message);
		return rc;
	}
	n->receiving = s;
	n->stale_stream = s->stream;
	free(s->message);
	s->message = message;
	s->from = from;
	s->stream = c->stream;
	s->next = s->acked = 0;
	return E_OK;
}

static enum code take(
    struct node *n, uint64_t from, const struct wire_chunk *c, struct err *e)
{
	struct snapshot_in *s = n->receiving;
	enum code rc;

	/* A whole one waits to be installed, and another would take its place
	 * in the store: whoever sends that will send it again. */
	if (s != NULL && s->ends && s->stream != c->stream)
		return E_OK;
	if (c->seq == 0 && (s == NULL || s->stream != c->stream)) {
		if ((rc = begin(n, from, c, e)) != E_OK)
			return rc;
		s = n->receiving;
	}
	if (s == NULL || s->stream != c->stream || s->from != from)
		return err_set(e, E_NOTFOUND, "its beginning is not here");
	if (c->seq != s->next || s->ends) {
		acknowledge(n, s); /* once more */
		return E_OK;
	}
	if (s->jobs == MESH_SEND_CHUNKS)
		return E_OK; /* of a peer that does not wait for answers */
	if ((rc = putter_give(s->putter, c, e)) != E_OK)
		return rc;
	s->jobs++;
	s->next++;
	s->ends = c->last;
	return E_OK;
}

enum code snapshot_in_chunk(
    struct node *n, uint64_t from, const struct wire_chunk *c, struct err *e)
{
	struct err why = {0};
	enum code rc = take(n, from, c, &why);

	return rc == E_OK ? E_OK : refuse(n, from, c->stream, rc, &why, e);
}

/* ---- The whole ---- */

static enum code old_root(struct node *n, const struct ca *fresh,
    struct ca_head *old, uint8_t root[SHA256_LEN], struct err *e)
{
	enum code rc = ca_head(n->ca, old, e);

	return rc == E_OK ? tlog_root(fresh, old->tree_size, root, e) : rc;
}

/* The same trust domain, and this node's own past in it. */
static enum code check_past(struct node *n, struct ca *fresh, struct err *e)
{
	struct ca_view *v;
	struct ca_head old;
	uint8_t root[SHA256_LEN];
	bool same;
	enum code rc = ca_view_load(fresh, &v, e);

	if (rc != E_OK)
		return rc;
	same = span_eq(v->genesis_raw, buf_span(&n->provision.genesis));
	ca_view_unref(v);
	if (!same)
		return err_set(e, E_CORRUPT, "its Genesis is not ours");
	if (ca_applied(n->ca) == 0)
		return E_OK;
	if ((rc = old_root(n, fresh, &old, root, e)) != E_OK)
		return rc;
	if (memcmp(root, old.root, sizeof(root)) != 0) {
		snprintf(n->alarm_snapshot, sizeof(n->alarm_snapshot),
		    "this node's state of %llu leaves is not that of the "
		    "leader, whose snapshot does not continue it: replace this "
		    "node (quorate member remove, then join a new one)",
		    (unsigned long long)old.tree_size);
		return err_set(e, E_CORRUPT,
		    "its tree does not continue this node's own of %llu leaves",
		    (unsigned long long)old.tree_size);
	}
	n->alarm_snapshot[0] = '\0';
	return E_OK;
}

static enum code finish(struct node *n, struct snapshot_in *s, struct err *e)
{
	struct err rest = {0};
	enum code rc = check_past(n, putter_ca(s->putter), e);
	int stepped;

	/* What was read began a transaction, and the putter may go on. */
	if (store_install_rest(n->store, &rest) != E_OK && rc == E_OK)
		rc = err_set(e, E_IO, "%s", rest.text);
	if (rc != E_OK)
		return rc;
	s->whole = true;
	stepped = raft_step(n->raft, s->message);
	if (stepped != RAFT_OK)
		return err_set(e, E_IO, "raft: %s", raft_strerror(stepped));
	return E_OK;
}

/* ---- What was put ---- */

static enum code done(struct node *n, const struct put_job *j, struct err *e)
{
	struct snapshot_in *s = n->receiving;
	struct err why = j->why;
	enum code rc = j->rc;

	s->jobs--;
	s->have = j->have;
	if (s->stream != j->stream)
		return E_OK; /* that one is broken off, the next one hears */
	if (rc == E_OK && j->seq == 0)
		log_event(EV_snapshot_arrives, "peer=%llu index=%llu have=%llu",
		    (unsigned long long)s->from,
		    (unsigned long long)s->message->snapshot->index,
		    (unsigned long long)s->have);
	if (rc == E_OK && j->last)
		rc = finish(n, s, &why);
	if (rc != E_OK)
		return refuse(n, s->from, s->stream, rc, &why, e);
	s->acked = j->seq + 1;
	acknowledge(n, s);
	return E_OK;
}

enum code snapshot_in_run(struct node *n, struct err *e)
{
	struct put_job *j;
	enum code rc = E_OK;

	while (rc == E_OK && n->receiving != NULL &&
	       (j = putter_done(n->receiving->putter)) != NULL) {
		rc = done(n, j, e);
		free(j);
	}
	return rc;
}
