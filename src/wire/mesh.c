/* mesh.c -- what travels between nodes: raft messages, status, snapshots. */
#include <string.h>

#include "ca/db.h"
#include "wire/memory.h"

/* ---- Raft, outwards ------------------------------------------------------ */

static uint64_t *give_ids(struct wire_memory *m, const raft_id *in, size_t n)
{
	uint64_t *out = memory_get(m, n, sizeof(*out));

	if (out != NULL && n > 0)
		memcpy(out, in, n * sizeof(*out));
	return out;
}

static Quorate__RaftConfState *give_conf(
    struct wire_memory *m, const struct raft_conf_state *c)
{
	Quorate__RaftConfState *o = memory_get(m, 1, sizeof(*o));

	if (o == NULL)
		return NULL;
	quorate__raft_conf_state__init(o);
	o->n_voters = c->voters_n;
	o->voters = give_ids(m, c->voters, c->voters_n);
	o->n_learners = c->learners_n;
	o->learners = give_ids(m, c->learners, c->learners_n);
	o->n_voters_outgoing = c->voters_outgoing_n;
	o->voters_outgoing =
	    give_ids(m, c->voters_outgoing, c->voters_outgoing_n);
	o->n_learners_next = c->learners_next_n;
	o->learners_next = give_ids(m, c->learners_next, c->learners_next_n);
	o->auto_leave = c->auto_leave;
	return o->voters == NULL || o->learners == NULL ||
		       o->voters_outgoing == NULL || o->learners_next == NULL
		   ? NULL
		   : o;
}

static Quorate__RaftEntry **give_entries(
    struct wire_memory *m, const struct raft_entry *in, size_t n)
{
	Quorate__RaftEntry **list = memory_list(m, n);
	Quorate__RaftEntry *rows = memory_get(m, n, sizeof(*rows));

	if (list == NULL || rows == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		quorate__raft_entry__init(&rows[i]);
		rows[i].term = in[i].term;
		rows[i].index = in[i].index;
		rows[i].type = (uint32_t)in[i].type;
		rows[i].data = bytes_of(span_of(in[i].data.p, in[i].data.len));
		list[i] = &rows[i];
	}
	return list;
}

static Quorate__RaftSnapshot *give_snapshot(
    struct wire_memory *m, const struct raft_snapshot *s)
{
	Quorate__RaftSnapshot *o = memory_get(m, 1, sizeof(*o));

	if (o == NULL)
		return NULL;
	quorate__raft_snapshot__init(o);
	o->index = s->index;
	o->term = s->term;
	o->conf_state = give_conf(m, &s->conf_state);
	o->data = bytes_of(span_of(s->data.p, s->data.len));
	return o->conf_state == NULL ? NULL : o;
}

static Quorate__RaftMessage *give_message(
    struct wire_memory *m, const struct raft_message *in)
{
	Quorate__RaftMessage *o = memory_get(m, 1, sizeof(*o));

	if (o == NULL)
		return NULL;
	quorate__raft_message__init(o);
	o->type = (uint32_t)in->type;
	o->to = in->to;
	o->from = in->from;
	o->term = in->term;
	o->log_term = in->log_term;
	o->index = in->index;
	o->n_entries = in->entries_n;
	o->entries = give_entries(m, in->entries, in->entries_n);
	o->commit = in->commit;
	o->reject = in->reject;
	o->reject_hint = in->reject_hint;
	o->context = in->context;
	o->vote = in->vote;
	o->priority = in->priority;
	if (in->snapshot != NULL) {
		o->snapshot = give_snapshot(m, in->snapshot);
		if (o->snapshot == NULL)
			return NULL;
	}
	return o->entries == NULL ? NULL : o;
}

/* ---- Raft, inwards ------------------------------------------------------- */

static enum code take_ids(
    size_t n, const uint64_t *in, raft_id *out, size_t *out_n, struct err *e)
{
	if (n > RAFT_PEERS_MAX)
		return err_set(e, E_INVAL, "configuration: %zu members", n);
	for (size_t i = 0; i < n; i++)
		out[i] = in[i];
	*out_n = n;
	return E_OK;
}

static enum code take_conf(const Quorate__RaftConfState *in,
    struct raft_conf_state *out, struct err *e)
{
	enum code rc;

	out->auto_leave = in->auto_leave;
	if ((rc = take_ids(in->n_voters, in->voters, out->voters,
		 &out->voters_n, e)) != E_OK ||
	    (rc = take_ids(in->n_learners, in->learners, out->learners,
		 &out->learners_n, e)) != E_OK ||
	    (rc = take_ids(in->n_voters_outgoing, in->voters_outgoing,
		 out->voters_outgoing, &out->voters_outgoing_n, e)) != E_OK)
		return rc;
	return take_ids(in->n_learners_next, in->learners_next,
	    out->learners_next, &out->learners_next_n, e);
}

static enum code take_entries(struct wire_memory *m,
    const Quorate__RaftMessage *in, struct raft_message *out, struct err *e)
{
	out->entries = memory_get(m, in->n_entries, sizeof(*out->entries));
	if (out->entries == NULL)
		return err_nomem(e);
	for (size_t i = 0; i < in->n_entries; i++) {
		const Quorate__RaftEntry *r = in->entries[i];

		if (r->type > RAFT_ENTRY_CONF_CHANGE)
			return err_set(
			    e, E_INVAL, "an entry of a kind not known here");
		out->entries[i] = (struct raft_entry){.term = r->term,
		    .index = r->index,
		    .type = (enum raft_entry_type)r->type,
		    .data = {r->data.data, r->data.len}};
	}
	out->entries_n = in->n_entries;
	return E_OK;
}

static enum code take_snapshot(struct wire_memory *m,
    const Quorate__RaftSnapshot *in, struct raft_message *out, struct err *e)
{
	if (in == NULL)
		return E_OK;
	out->snapshot = memory_get(m, 1, sizeof(*out->snapshot));
	if (out->snapshot == NULL)
		return err_nomem(e);
	out->snapshot->index = in->index;
	out->snapshot->term = in->term;
	out->snapshot->data = (struct raft_span){in->data.data, in->data.len};
	if (in->conf_state == NULL)
		return err_set(e, E_INVAL, "a snapshot without members");
	return take_conf(in->conf_state, &out->snapshot->conf_state, e);
}

static enum code take_message(struct wire_memory *m,
    const Quorate__RaftMessage *in, struct raft_message *out, struct err *e)
{
	enum code rc;

	if (in->type >= RAFT_MSG_TYPES)
		return err_set(e, E_INVAL, "raft message of type %u", in->type);
	*out = (struct raft_message){
	    .type = (enum raft_message_type)in->type,
	    .to = in->to,
	    .from = in->from,
	    .term = in->term,
	    .log_term = in->log_term,
	    .index = in->index,
	    .commit = in->commit,
	    .vote = in->vote,
	    .reject = in->reject,
	    .reject_hint = in->reject_hint,
	    .context = in->context,
	    .priority = in->priority,
	};
	rc = take_entries(m, in, out, e);
	return rc == E_OK ? take_snapshot(m, in->snapshot, out, e) : rc;
}

/* ---- Status, chunks ------------------------------------------------------ */

#define CHECKPOINTS_MAX 64

static enum code take_key_id(
    ProtobufCBinaryData in, struct span *out, struct err *e)
{
	if (in.len != CA_KEY_ID_LEN)
		return err_set(e, E_INVAL, "key id: %zu bytes, not %d", in.len,
		    CA_KEY_ID_LEN);
	*out = span_of(in.data, in.len);
	return E_OK;
}

static enum code take_status(struct wire_memory *m,
    const Quorate__MeshStatus *in, struct wire_status *out, struct err *e)
{
	struct ca_checkpoint *cps;
	struct span *crls;
	enum code rc = E_OK;

	if (in->n_checkpoints > CHECKPOINTS_MAX ||
	    in->n_crl_published > RAFT_PEERS_MAX * 4)
		return err_set(e, E_INVAL, "status: too much of it");
	cps = memory_get(m, in->n_checkpoints, sizeof(*cps));
	crls = memory_get(m, in->n_crl_published, sizeof(*crls));
	if (cps == NULL || crls == NULL)
		return err_nomem(e);
	for (size_t i = 0; rc == E_OK && i < in->n_checkpoints; i++)
		rc = take_checkpoint(in->checkpoints[i], &cps[i], e);
	for (size_t i = 0; rc == E_OK && i < in->n_crl_published; i++)
		rc = take_key_id(in->crl_published[i], &crls[i], e);
	*out = (struct wire_status){.applied = in->applied,
	    .tree_size = in->tree_size,
	    .time_ms = in->time_ms,
	    .sent_ms = in->sent_ms,
	    .echo_ms = in->echo_ms,
	    .held_ms = in->held_ms,
	    .issuing = in->issuing,
	    .checkpoints = cps,
	    .checkpoints_n = in->n_checkpoints,
	    .crl_published = crls,
	    .crl_published_n = in->n_crl_published,
	    .repair = in->repair,
	    .repair_of = in->repair_of,
	    .repair_term = in->repair_term,
	    .repair_upto = in->repair_upto};
	return rc;
}

static enum code take_chunk(struct wire_memory *m,
    const Quorate__SnapshotChunk *in, struct wire_chunk *out, struct err *e)
{
	struct wire_row *rows = memory_get(m, in->n_rows, sizeof(*rows));
	struct raft_message *msg = NULL;
	enum code rc = E_OK;

	if (rows == NULL)
		return err_nomem(e);
	if (in->message != NULL) {
		msg = memory_get(m, 1, sizeof(*msg));
		rc = msg == NULL ? err_nomem(e)
				 : take_message(m, in->message, msg, e);
	}
	for (size_t i = 0; rc == E_OK && i < in->n_rows; i++) {
		rows[i].table = in->rows[i]->table;
		rc = take_bytes(in->rows[i]->key, CA_DB_KEY_MAX, "row key",
		    &rows[i].key, e);
		rows[i].value =
		    span_of(in->rows[i]->value.data, in->rows[i]->value.len);
		rows[i].more = in->rows[i]->more;
	}
	*out = (struct wire_chunk){.stream = in->stream,
	    .seq = in->seq,
	    .message = msg,
	    .rows = rows,
	    .rows_n = in->n_rows,
	    .last = in->last};
	return rc;
}

static enum code take_hello(struct wire_memory *m, const Quorate__MeshHello *in,
    struct wire_mesh *out, struct err *e)
{
	struct span *list = memory_get(m, in->n_entries, sizeof(*list));

	if (list == NULL)
		return err_nomem(e);
	for (size_t i = 0; i < in->n_entries; i++)
		list[i] = span_of(in->entries[i].data, in->entries[i].len);
	out->u.hello.entries = list;
	out->u.hello.n = in->n_entries;
	return E_OK;
}

static enum code take_mesh(struct wire_memory *m,
    const Quorate__MeshMessage *in, struct wire_mesh *out, struct err *e)
{
	out->kind = (enum wire_mesh_kind)in->body_case;
	switch (in->body_case) {
	case QUORATE__MESH_MESSAGE__BODY_RAFT:
		return take_message(m, in->raft, &out->u.raft, e);
	case QUORATE__MESH_MESSAGE__BODY_STATUS:
		return take_status(m, in->status, &out->u.status, e);
	case QUORATE__MESH_MESSAGE__BODY_HELLO:
		return take_hello(m, in->hello, out, e);
	case QUORATE__MESH_MESSAGE__BODY_CHUNK:
		return take_chunk(m, in->chunk, &out->u.chunk, e);
	case QUORATE__MESH_MESSAGE__BODY_ACK:
		out->u.ack = (struct wire_ack){.stream = in->ack->stream,
		    .next_seq = in->ack->next_seq,
		    .failed = in->ack->failed,
		    .have = in->ack->have};
		return E_OK;
	default: break;
	}
	return err_set(e, E_INVAL, "a mesh message of a kind not known here");
}

enum code wire_mesh_decode(struct span in, struct wire_mesh *out,
    struct wire_memory **mem, struct err *e)
{
	struct wire_memory *m = memory_new();
	Quorate__MeshMessage *msg;
	enum code rc;

	*mem = NULL;
	memset(out, 0, sizeof(*out));
	if (m == NULL)
		return err_nomem(e);
	rc = memory_unpack(m, &quorate__mesh_message__descriptor, in,
	    WIRE_LOOSE, "mesh message", &msg, e);
	if (rc == E_OK)
		rc = take_mesh(m, msg, out, e);
	if (rc == E_OK)
		*mem = m;
	else
		wire_free(m);
	return rc;
}

static Quorate__MeshStatus *give_status(
    struct wire_memory *m, const struct wire_status *s)
{
	Quorate__MeshStatus *o = memory_get(m, 1, sizeof(*o));
	Quorate__Checkpoint *rows =
	    memory_get(m, s->checkpoints_n, sizeof(*rows));

	if (o == NULL || rows == NULL)
		return NULL;
	quorate__mesh_status__init(o);
	o->applied = s->applied;
	o->tree_size = s->tree_size;
	o->time_ms = s->time_ms;
	o->sent_ms = s->sent_ms;
	o->echo_ms = s->echo_ms;
	o->held_ms = s->held_ms;
	o->issuing = s->issuing;
	o->repair = s->repair;
	o->repair_of = s->repair_of;
	o->repair_term = s->repair_term;
	o->repair_upto = s->repair_upto;
	o->n_checkpoints = s->checkpoints_n;
	o->checkpoints = memory_list(m, s->checkpoints_n);
	o->n_crl_published = s->crl_published_n;
	o->crl_published = give_names(m, s->crl_published, s->crl_published_n);
	if (o->checkpoints == NULL || o->crl_published == NULL)
		return NULL;
	for (size_t i = 0; i < s->checkpoints_n; i++) {
		const struct ca_checkpoint *c = &s->checkpoints[i];

		quorate__checkpoint__init(&rows[i]);
		rows[i].index = c->index;
		rows[i].tree_size = c->tree_size;
		rows[i].root = bytes_of(span_of(c->root, SHA256_LEN));
		rows[i].state_digest =
		    bytes_of(span_of(c->state_digest, SHA256_LEN));
		o->checkpoints[i] = &rows[i];
	}
	return o;
}

static Quorate__SnapshotChunk *give_chunk(
    struct wire_memory *m, const struct wire_chunk *c)
{
	Quorate__SnapshotChunk *o = memory_get(m, 1, sizeof(*o));
	Quorate__Row *rows = memory_get(m, c->rows_n, sizeof(*rows));

	if (o == NULL || rows == NULL)
		return NULL;
	quorate__snapshot_chunk__init(o);
	o->stream = c->stream;
	o->seq = c->seq;
	o->last = c->last;
	o->n_rows = c->rows_n;
	o->rows = memory_list(m, c->rows_n);
	if (o->rows == NULL)
		return NULL;
	if (c->message != NULL) {
		o->message = give_message(m, c->message);
		if (o->message == NULL)
			return NULL;
	}
	for (size_t i = 0; i < c->rows_n; i++) {
		quorate__row__init(&rows[i]);
		rows[i].table = c->rows[i].table;
		rows[i].key = bytes_of(c->rows[i].key);
		rows[i].value = bytes_of(c->rows[i].value);
		rows[i].more = c->rows[i].more;
		o->rows[i] = &rows[i];
	}
	return o;
}

static bool fill_mesh(
    struct wire_memory *m, Quorate__MeshMessage *o, const struct wire_mesh *in)
{
	o->body_case = (Quorate__MeshMessage__BodyCase)in->kind;
	switch (in->kind) {
	case WIRE_RAFT: return (o->raft = give_message(m, &in->u.raft)) != NULL;
	case WIRE_STATUS:
		return (o->status = give_status(m, &in->u.status)) != NULL;
	case WIRE_HELLO:
		o->hello = memory_get(m, 1, sizeof(*o->hello));
		if (o->hello == NULL)
			return false;
		quorate__mesh_hello__init(o->hello);
		o->hello->n_entries = in->u.hello.n;
		o->hello->entries =
		    give_names(m, in->u.hello.entries, in->u.hello.n);
		return o->hello->entries != NULL;
	case WIRE_CHUNK:
		return (o->chunk = give_chunk(m, &in->u.chunk)) != NULL;
	case WIRE_ACK:
		o->ack = memory_get(m, 1, sizeof(*o->ack));
		if (o->ack == NULL)
			return false;
		quorate__snapshot_ack__init(o->ack);
		o->ack->stream = in->u.ack.stream;
		o->ack->next_seq = in->u.ack.next_seq;
		o->ack->failed = in->u.ack.failed;
		o->ack->have = in->u.ack.have;
		return true;
	}
	return false;
}

enum code wire_mesh_encode(
    struct buf *out, const struct wire_mesh *in, struct err *e)
{
	struct wire_memory *m = memory_new();
	Quorate__MeshMessage o = QUORATE__MESH_MESSAGE__INIT;
	enum code rc;

	if (m == NULL)
		return err_nomem(e);
	if (in->kind < WIRE_RAFT || in->kind > WIRE_ACK)
		rc = err_set(
		    e, E_INVAL, "a mesh message of a kind not known here");
	else
		rc = fill_mesh(m, &o, in) ? memory_pack(out, &o, e)
					  : err_nomem(e);
	wire_free(m);
	return rc;
}

enum code wire_conf_state_encode(
    struct buf *out, const struct raft_conf_state *c, struct err *e)
{
	struct wire_memory *m = memory_new();
	Quorate__RaftConfState *o;
	enum code rc;

	if (m == NULL)
		return err_nomem(e);
	o = give_conf(m, c);
	rc = o == NULL ? err_nomem(e) : memory_pack(out, o, e);
	wire_free(m);
	return rc;
}

enum code wire_conf_state_decode(struct span in, struct raft_conf_state *out,
    struct wire_memory **mem, struct err *e)
{
	struct wire_memory *m = memory_new();
	Quorate__RaftConfState *c;
	enum code rc;

	*mem = NULL;
	memset(out, 0, sizeof(*out));
	if (m == NULL)
		return err_nomem(e);
	rc = memory_unpack(m, &quorate__raft_conf_state__descriptor, in,
	    WIRE_LOOSE, "configuration", &c, e);
	if (rc == E_OK)
		rc = take_conf(c, out, e);
	wire_free(m);
	return rc;
}
