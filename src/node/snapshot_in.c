/* snapshot_in.c -- a snapshot that a leader sends: rows go into a fresh
 * environment, are checked as a whole, and only then does raft hear of it. */
#include "node/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_event.h"
#include "ca/tlog.h"

struct snapshot_in {
	uint64_t from, stream;
	uint64_t next; /* the chunk that is due */
	struct raft_message *message;
	struct ca_db db;
	struct ca *ca; /* on what was received */
	bool whole;    /* checked, and given to raft */
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
	free(s->message);
	free(s);
	n->receiving = NULL;
}

void snapshot_in_settle(struct node *n)
{
	/* Raft has had its turn: it was installed, or not wanted. */
	if (n->receiving != NULL && n->receiving->whole)
		snapshot_in_drop(n);
}

static void acknowledge(
    struct node *n, uint64_t to, uint64_t stream, uint64_t next, bool failed)
{
	struct wire_mesh w = {.kind = WIRE_ACK,
	    .u.ack = {.stream = stream, .next_seq = next, .failed = failed}};

	(void)peers_tell(n, to, MESH_MESSAGES, &w);
}

/* ---- One stream ---- */

static bool message_ok(
    const struct node *n, uint64_t from, const struct raft_message *m)
{
	return m != NULL && m->type == RAFT_MSG_SNAP && m->from == from &&
	       m->to == n->id && m->snapshot != NULL && m->snapshot->index > 0;
}

static enum code begin(
    struct node *n, uint64_t from, const struct wire_chunk *c, struct err *e)
{
	struct snapshot_in *s;
	enum code rc;

	snapshot_in_drop(n);
	if (!message_ok(n, from, c->message))
		return err_set(e, E_INVAL, "its first chunk names no snapshot");
	if (n->space_low)
		return err_set(e, E_EXHAUSTED, "too little free disk space");
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return err_nomem(e);
	n->receiving = s;
	s->from = from;
	s->stream = c->stream;
	s->message = raft_message_copy(c->message);
	if (s->message == NULL)
		return err_nomem(e);
	rc = store_install_begin(n->store, e);
	if (rc == E_OK)
		rc = store_install_db(n->store, &s->db, e);
	if (rc == E_OK)
		rc = ca_open(&s->ca, s->db, n->crypto, e);
	if (rc == E_OK)
		log_event(EV_snapshot_arrives, "peer=%llu index=%llu",
		    (unsigned long long)from,
		    (unsigned long long)s->message->snapshot->index);
	return rc;
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

static enum code put_rows(
    struct snapshot_in *s, const struct wire_chunk *c, struct err *e)
{
	enum code rc = E_OK;

	if (s->db.ops == NULL) /* begin gives it */
		return err_set(e, E_INTERNAL, "a snapshot without tables");
	for (size_t i = 0; i < c->rows_n && rc == E_OK; i++) {
		const struct wire_row *r = &c->rows[i];

		if (!table_travels(r->table))
			return err_set(e, E_INVAL,
			    "a row of table %u, which no snapshot carries",
			    r->table);
		rc = s->db.ops->put(
		    s->db.ctx, (enum ca_table)r->table, r->key, r->value, e);
		if (rc == E_OK)
			rc = ca_restore_row(s->ca, (enum ca_table)r->table,
			    r->key, r->value, e);
	}
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
	acknowledge(n, from, c->stream, s->next, false);
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
	log_event(EV_snapshot_refused, "peer=%llu why=\"%s\"",
	    (unsigned long long)from, why.text);
	if (n->receiving != NULL && n->receiving->stream == c->stream)
		snapshot_in_drop(n);
	acknowledge(n, from, c->stream, 0, true);
	return E_OK;
}
