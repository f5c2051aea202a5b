/* snapshot_in.c -- a snapshot that a leader sends: rows go into a fresh
 * environment, are checked as a whole, and only then does raft hear of it.
 * Records are the same whoever sends them, and never change: a stream that
 * breaks leaves those that came, and the next one goes on behind them. */
#include "node/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_event.h"
#include "base/metrics.h"
#include "ca/tlog.h"

#define ROW_MAX                                                                \
	(64U << 20) /* bytes of a value: a CRL of 1.6 million entries          \
		     */

struct snapshot_in {
	uint64_t from, stream;
	uint64_t next; /* the chunk that is due */
	struct raft_message *message;
	struct ca_db db;
	struct ca *ca;         /* on what was received */
	bool whole;            /* checked, and given to raft */
	struct buf key, value; /* of a row that comes in pieces */
};

bool snapshot_in_is_whole(const struct node *n, uint64_t index)
{
	return n->receiving != NULL && n->receiving->whole &&
	       n->receiving->message->snapshot->index == index;
}

void snapshot_in_close_ca(struct node *n)
{
	if (n->receiving == NULL)
		return;
	ca_close(n->receiving->ca);
	n->receiving->ca = NULL;
}

void snapshot_in_drop(struct node *n)
{
	struct snapshot_in *s = n->receiving;

	if (s == NULL)
		return;
	snapshot_in_close_ca(n);
	store_install_abort(n->store);
	buf_free(&s->key);
	buf_free(&s->value);
	free(s->message);
	free(s);
	n->receiving = NULL;
}

void snapshot_in_settle(struct node *n)
{
	struct snapshot_in *s = n->receiving;

	if (s == NULL)
		return;
	/* Installed, or the log brought all that it was to bring.  One that
	 * raft did not want, for its leader is none any more, is as good as a
	 * stream that broke at its end. */
	if (store_applied(n->store) >= s->message->snapshot->index)
		snapshot_in_drop(n);
	else
		s->whole = false;
}

bool snapshot_in_progress(const struct node *n, uint64_t *have, uint64_t *of)
{
	const struct snapshot_in *s = n->receiving;

	if (s == NULL || s->ca == NULL)
		return false;
	*have = ca_applied(s->ca);
	*of = s->message->snapshot->index;
	return true;
}

static void acknowledge(struct node *n, uint64_t to, const struct wire_ack *ack)
{
	struct wire_mesh w = {.kind = WIRE_ACK, .u.ack = *ack};

	(void)peers_tell(n, to, MESH_MESSAGES, &w);
}

/* ---- One stream ---- */

static bool message_ok(
    const struct node *n, uint64_t from, const struct raft_message *m)
{
	return m != NULL && m->type == RAFT_MSG_SNAP && m->from == from &&
	       m->to == n->id && m->snapshot != NULL && m->snapshot->index > 0;
}

static enum code begin_fresh(struct node *n, struct err *e)
{
	struct snapshot_in *s = calloc(1, sizeof(*s));
	enum code rc;

	if (s == NULL)
		return err_nomem(e);
	n->receiving = s;
	rc = store_install_begin(n->store, e);
	if (rc == E_OK)
		rc = store_install_db(n->store, &s->db, e);
	if (rc == E_OK)
		rc = ca_open(&s->ca, s->db, n->crypto, e);
	return rc;
}

/* The tables that change come whole with each stream. */
static enum code begin_again(struct node *n, struct err *e)
{
	n->stale_stream = n->receiving->stream;
	buf_clear(&n->receiving->value);
	free(n->receiving->message);
	n->receiving->message = NULL;
	return store_install_clear_small(n->store, e);
}

static enum code begin(
    struct node *n, uint64_t from, const struct wire_chunk *c, struct err *e)
{
	struct snapshot_in *s = n->receiving;
	enum code rc;

	if (!message_ok(n, from, c->message))
		return err_set(e, E_INVAL, "its first chunk names no snapshot");
	if (n->space_low)
		return err_set(e, E_EXHAUSTED, "too little free disk space");
	if (s != NULL && (s->ca == NULL ||
			     ca_applied(s->ca) > c->message->snapshot->index)) {
		snapshot_in_drop(n);
		s = NULL;
	}
	rc = s == NULL ? begin_fresh(n, e) : begin_again(n, e);
	if (rc != E_OK) {
		snapshot_in_drop(n);
		return rc;
	}
	s = n->receiving;
	s->from = from;
	s->stream = c->stream;
	s->next = 0;
	s->message = raft_message_copy(c->message);
	if (s->message == NULL) {
		snapshot_in_drop(n);
		return err_nomem(e);
	}
	log_event(EV_snapshot_arrives, "peer=%llu index=%llu have=%llu",
	    (unsigned long long)from,
	    (unsigned long long)s->message->snapshot->index,
	    (unsigned long long)ca_applied(s->ca));
	return E_OK;
}

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

static enum code put_row(struct snapshot_in *s, enum ca_table t,
    struct span key, struct span value, struct err *e)
{
	enum code rc = s->db.ops->put(s->db.ctx, t, key, value, e);

	return rc == E_OK ? ca_restore_row(s->ca, t, key, value, e) : rc;
}

/* Pieces of one value come one after the other. */
static enum code put_piece(
    struct snapshot_in *s, const struct wire_row *r, struct err *e)
{
	enum code rc;

	if (s->value.len == 0) {
		buf_clear(&s->key);
		buf_add_span(&s->key, r->key);
	} else if (!span_eq(buf_span(&s->key), r->key)) {
		return err_set(e, E_INVAL, "a row of which a piece is missing");
	}
	if (s->value.len + r->value.len > ROW_MAX)
		return err_set(
		    e, E_INVAL, "a row of more than %u bytes", ROW_MAX);
	buf_add_span(&s->value, r->value);
	if ((rc = buf_check(&s->key, e)) != E_OK ||
	    (rc = buf_check(&s->value, e)) != E_OK || r->more)
		return rc;
	rc =
	    put_row(s, (enum ca_table)r->table, r->key, buf_span(&s->value), e);
	buf_clear(&s->value);
	return rc;
}

static enum code put_rows(
    struct snapshot_in *s, const struct wire_chunk *c, struct err *e)
{
	uint64_t bytes = 0;
	enum code rc = E_OK;

	for (size_t i = 0; i < c->rows_n && rc == E_OK; i++) {
		const struct wire_row *r = &c->rows[i];

		if (!table_travels(r->table))
			return err_set(e, E_INVAL,
			    "a row of table %u, which no snapshot carries",
			    r->table);
		if (r->more || s->value.len > 0)
			rc = put_piece(s, r, e);
		else
			rc = put_row(
			    s, (enum ca_table)r->table, r->key, r->value, e);
		bytes += r->key.len + r->value.len;
	}
	metric_add(M_snapshot_received_bytes, bytes);
	return rc;
}

/* ---- The whole ---- */

/* The same trust domain, and this node's own past in it. */
static enum code check_past(
    struct node *n, const struct snapshot_in *s, struct err *e)
{
	struct ca_view *v;
	struct ca_head old;
	uint8_t root[SHA256_LEN];
	bool same;
	enum code rc = ca_view_load(s->ca, &v, e);

	if (rc != E_OK)
		return rc;
	same = span_eq(v->genesis_raw, buf_span(&n->provision.genesis));
	ca_view_unref(v);
	if (!same)
		return err_set(e, E_CORRUPT, "its Genesis is not ours");
	if (ca_applied(n->ca) == 0)
		return E_OK;
	if ((rc = ca_head(n->ca, &old, e)) != E_OK ||
	    (rc = tlog_root(s->ca, old.tree_size, root, e)) != E_OK)
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
	enum code rc = ca_restore_check(s->ca, e);
	int stepped;

	if (rc == E_OK)
		rc = check_past(n, s, e);
	if (rc != E_OK)
		return rc;
	if (s->value.len > 0)
		return err_set(e, E_INVAL, "its last row is not whole");
	s->whole = true;
	stepped = raft_step(n->raft, s->message);
	if (stepped != RAFT_OK)
		return err_set(e, E_IO, "raft: %s", raft_strerror(stepped));
	return E_OK;
}

/* What a peer sent, and what our disk or memory did. */
static bool peers_fault(enum code rc)
{
	return rc == E_INVAL || rc == E_CORRUPT || rc == E_EXHAUSTED ||
	       rc == E_NOTFOUND;
}

static enum code take(
    struct node *n, uint64_t from, const struct wire_chunk *c, struct err *e)
{
	struct snapshot_in *s = n->receiving;
	enum code rc = E_OK;

	/* A whole one waits to be installed, and another would take its place
	 * in the store: whoever sends that will send it again. */
	if (s != NULL && s->whole && s->stream != c->stream)
		return E_OK;
	if (c->seq == 0 && (s == NULL || s->stream != c->stream)) {
		rc = begin(n, from, c, e);
		s = n->receiving;
	}
	if (rc != E_OK)
		return rc;
	if (s == NULL || s->stream != c->stream || s->from != from)
		return err_set(e, E_NOTFOUND, "its beginning is not here");
	if (c->seq == s->next && !s->whole) {
		rc = put_rows(s, c, e);
		if (rc == E_OK && c->last)
			rc = finish(n, s, e);
		if (rc != E_OK)
			return rc;
		s->next++;
	}
	acknowledge(n, from,
	    &(struct wire_ack){.stream = c->stream,
		.next_seq = s->next,
		.have = ca_applied(s->ca)});
	return E_OK;
}

enum code snapshot_in_chunk(
    struct node *n, uint64_t from, const struct wire_chunk *c, struct err *e)
{
	struct err why = {0};
	enum code rc = take(n, from, c, &why);

	if (rc == E_OK)
		return E_OK;
	if (!peers_fault(rc))
		return err_set(e, rc, "receiving a snapshot: %s", why.text);
	/* Of one that broke off some chunks come late. */
	if (c->stream != n->stale_stream)
		log_event(EV_snapshot_refused, "peer=%llu why=\"%s\"",
		    (unsigned long long)from, why.text);
	n->stale_stream = c->stream;
	if (n->receiving != NULL && n->receiving->stream == c->stream)
		snapshot_in_drop(n);
	acknowledge(
	    n, from, &(struct wire_ack){.stream = c->stream, .failed = true});
	return E_OK;
}
