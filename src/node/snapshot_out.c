/* snapshot_out.c -- a snapshot on its way to a peer: numbered chunks of rows on
 * a channel of their own, a window of them under way, sent again from the last
 * acknowledged one when nothing is heard.  The first has no rows: the answer
 * says up to which record the peer has them of an earlier stream that broke. */
#include "node/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log_event.h"
#include "base/metrics.h"

#define WINDOW MESH_SEND_CHUNKS
#define CHUNK_BYTES (128 * 1024)
#define QUIET_MS 1000    /* then send again what is not acknowledged */
#define GIVE_UP_MS 30000 /* without any answer */
#define AGAIN_MS 1000    /* after the peer refused one */

struct snapshot_out {
	struct store_snapshot *rows;
	struct raft_message *message; /* goes with the first chunk */
	struct raft_snapshot meta;
	uint64_t asked; /* index that raft knows of; meta's may be later */
	uint64_t stream;
	uint64_t acked, next; /* chunks */
	uint64_t bytes;       /* of rows, each time they are sent */
	uint64_t last;        /* the last one's number, once known */
	bool end;             /* it is */
	/* where each chunk of the window begins, and the one after it */
	struct store_snapshot_pos at[WINDOW + 1];
	uint64_t begun_ms, sent_ms, progress_ms, heard_ms;
};

static void end_out(struct peer *p, bool ok)
{
	struct snapshot_out *s = p->sending;

	p->sending = NULL;
	log_event(ok ? EV_snapshot_sent : EV_snapshot_not_sent,
	    "peer=%llu index=%llu chunks=%llu bytes=%llu ms=%llu",
	    (unsigned long long)p->id, (unsigned long long)s->meta.index,
	    (unsigned long long)s->acked, (unsigned long long)s->bytes,
	    (unsigned long long)(clock_mono_ms() - s->begun_ms));
	store_snapshot_close(s->rows);
	free(s->message);
	free(s);
}

void snapshot_out_stop(struct node *n, struct peer *p, bool ok)
{
	if (p->sending == NULL)
		return;
	end_out(p, ok);
	if (n->raft != NULL)
		raft_report_snapshot(n->raft, p->id, ok);
}

static enum code send_rows(
    struct node *n, struct peer *p, const struct store_row *rows, size_t rows_n)
{
	struct snapshot_out *s = p->sending;
	struct wire_row *out = calloc(rows_n + 1, sizeof(*out));
	struct wire_mesh w = {.kind = WIRE_CHUNK};
	uint64_t bytes = 0;
	enum code rc;

	if (out == NULL)
		return E_NOMEM;
	for (size_t i = 0; i < rows_n; i++) {
		out[i] = (struct wire_row){.table = (uint32_t)rows[i].table,
		    .key = rows[i].key,
		    .value = rows[i].val,
		    .more = rows[i].more};
		bytes += rows[i].key.len + rows[i].val.len;
	}
	w.u.chunk = (struct wire_chunk){.stream = s->stream,
	    .seq = s->next,
	    .message = s->next == 0 ? s->message : NULL,
	    .rows = out,
	    .rows_n = rows_n,
	    .last = s->next > 0 && rows_n == 0};
	rc = peers_tell(n, p->id, MESH_SNAPSHOTS, &w);
	free(out);
	if (rc == E_OK) {
		s->bytes += bytes;
		metric_add(M_snapshot_sent_bytes, bytes);
	}
	return rc;
}

/* Where the rows begin is known when the first is acknowledged. */
static uint64_t window_end(const struct snapshot_out *s)
{
	return s->acked == 0 ? 1 : s->acked + WINDOW;
}

/* As many chunks as the window and the mesh take. */
static enum code send_more(struct node *n, struct peer *p, struct err *e)
{
	struct snapshot_out *s = p->sending;

	while (s->next < window_end(s) && !(s->end && s->next > s->last)) {
		struct store_snapshot_pos pos = s->at[s->next % (WINDOW + 1)];
		const struct store_row *rows = NULL;
		size_t rows_n = 0;
		enum code rc = E_OK;

		if (s->next > 0)
			rc = store_snapshot_next(
			    s->rows, &pos, CHUNK_BYTES, &rows, &rows_n, e);
		if (rc != E_OK)
			return rc;
		if (send_rows(n, p, rows, rows_n) != E_OK)
			return E_OK; /* the clock tries again */
		if (s->next > 0 && rows_n == 0) {
			s->end = true;
			s->last = s->next;
		}
		s->next++;
		s->at[s->next % (WINDOW + 1)] = pos;
		s->sent_ms = clock_mono_ms();
	}
	return E_OK;
}

static void go_on(struct node *n, struct peer *p)
{
	struct err e = {0};

	if (send_more(n, p, &e) == E_OK)
		return;
	log_event(EV_snapshot_read_failed, "peer=%llu why=\"%s\"",
	    (unsigned long long)p->id, e.text);
	snapshot_out_stop(n, p, false);
}

static struct snapshot_out *open_out(
    struct node *n, const struct raft_message *m, struct err *e)
{
	struct snapshot_out *s = calloc(1, sizeof(*s));
	struct raft_message copy = *m;
	enum code rc;

	if (s == NULL) {
		err_nomem(e);
		return NULL;
	}
	rc = store_snapshot_open(n->store, m->snapshot->index, &s->rows, e);
	if (rc == E_OK) {
		store_snapshot_meta(s->rows, &s->meta);
		copy.snapshot = &s->meta;
		s->message = raft_message_copy(&copy);
		if (s->message == NULL)
			rc = err_nomem(e);
	}
	if (rc != E_OK) {
		store_snapshot_close(s->rows);
		free(s);
		return NULL;
	}
	s->asked = m->snapshot->index;
	s->stream = random_u64();
	s->begun_ms = s->sent_ms = clock_mono_ms();
	s->progress_ms = s->heard_ms = s->begun_ms;
	return s;
}

void snapshot_out_start(struct node *n, const struct raft_message *m)
{
	struct peer *p = peers_find(n, m->to);
	struct err e = {0};

	if (p == NULL) {
		raft_report_snapshot(n->raft, m->to, false);
		return;
	}
	/* Each costs the peer all its rows before it can say no. */
	if (p->refused_ms != 0 && clock_mono_ms() - p->refused_ms < AGAIN_MS) {
		raft_report_snapshot(n->raft, m->to, false);
		return;
	}
	/* One of an earlier term: raft knows of it no more, and would take what
	 * is said of it for this one's fate. */
	if (p->sending != NULL)
		end_out(p, false);
	p->sending = open_out(n, m, &e);
	if (p->sending == NULL) {
		log_event(EV_snapshot_open_failed, "peer=%llu why=\"%s\"",
		    (unsigned long long)p->id, e.text);
		raft_report_snapshot(n->raft, m->to, false);
		return;
	}
	log_event(EV_snapshot_begins, "peer=%llu index=%llu",
	    (unsigned long long)p->id,
	    (unsigned long long)p->sending->meta.index);
	go_on(n, p);
}

void snapshot_out_ack(struct node *n, struct peer *p, const struct wire_ack *a)
{
	struct snapshot_out *s = p->sending;

	if (s == NULL || a->stream != s->stream)
		return;
	if (a->failed) {
		p->refused_ms = clock_mono_ms();
		snapshot_out_stop(n, p, false);
		return;
	}
	if (a->next_seq > s->next)
		return; /* of chunks that were never sent */
	s->heard_ms = clock_mono_ms();
	if (s->acked == 0 && a->next_seq == 1)
		s->at[1].log = a->have == 0 ? 0 : a->have + 1;
	if (a->next_seq > s->acked) {
		s->acked = a->next_seq;
		s->progress_ms = s->heard_ms;
	}
	if (s->end && s->acked > s->last)
		snapshot_out_stop(n, p, true);
	else
		go_on(n, p);
}

uint64_t snapshot_out_index(const struct peer *p)
{
	return p->sending->asked;
}

void snapshot_out_tick(struct node *n)
{
	uint64_t now = clock_mono_ms();

	for (size_t i = 0; i < n->peers_n; i++) {
		struct peer *p = &n->peers[i];
		struct snapshot_out *s = p->sending;

		if (s == NULL)
			continue;
		/* The next leader sends its own. */
		if (n->role != RAFT_LEADER || now - s->heard_ms > GIVE_UP_MS) {
			snapshot_out_stop(n, p, false);
			continue;
		}
		if (now - s->progress_ms > QUIET_MS &&
		    now - s->sent_ms > QUIET_MS)
			s->next = s->acked; /* its place is still known */
		go_on(n, p);
	}
}
