/* apply.c -- the two kinds of storage work that raft hands out: make it
 * durable, and apply what is committed. */
#include "node/internal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log_event.h"
#include "base/metrics.h"
#include "front/trust.h"

/* ---- The view ---- */

static void take_view(struct node *n, struct ca_view *v)
{
	struct ca_view *old;

	ca_view_unref(n->view);
	n->view = v;
	pthread_mutex_lock(&n->lock);
	old = n->view_out;
	n->view_out = ca_view_ref(v);
	pthread_mutex_unlock(&n->lock);
	ca_view_unref(old);
}

enum code apply_refresh_view(struct node *n, struct err *e)
{
	struct ca_view *v;
	enum code rc;

	if (!n->view_dirty)
		return E_OK;
	n->view_dirty = false;
	if ((rc = ca_view_load(n->ca, &v, e)) != E_OK)
		return err_wrap(e, rc, "reading the state");
	take_view(n, v);
	buf_clear(&n->root_bundle);
	rc = trust_roots_pem(v, &n->root_bundle, e);
	peers_sync(n);
	publish_view(n);
	return rc;
}

/* ---- The signer ---- */

static bool signer_wants(const struct ca_entry *entry)
{
	return entry->kind == CA_GENESIS || entry->kind == CA_ADMIN;
}

/* It checks for itself what it is told.  What it does not take, though it was
 * applied, is a fault of ours: it signs by what it knew. */
static void feed(struct node *n, uint64_t index, struct span raw)
{
	struct err e = {0};
	enum code rc = signer_feed(n->signer, raw, &e);

	if (rc != E_OK)
		log_event(EV_signer_refused_entry,
		    "index=%llu code=%s why=\"%s\"", (unsigned long long)index,
		    code_name(rc), e.text);
	n->signer_fed = index;
}

static enum code feed_missed(
    struct node *n, struct ca_entry *entry, struct err *e)
{
	struct wire_memory *mem;
	struct ca_record rec;
	enum code rc;

	while ((rc = ca_record_next_other(n->ca, n->signer_fed, &rec, e)) ==
	       E_OK) {
		rc = wire_entry_decode(rec.raw, entry, &mem, e);
		if (rc != E_OK)
			return err_wrap(e, E_CORRUPT, "record %llu",
			    (unsigned long long)rec.index);
		if (signer_wants(entry))
			feed(n, rec.index, rec.raw);
		n->signer_fed = rec.index;
		wire_free(mem);
	}
	return rc == E_NOTFOUND ? E_OK : rc;
}

enum code apply_open(struct node *n, struct err *e)
{
	struct ca_entry *entry = calloc(1, sizeof(*entry));
	enum code rc;

	if (entry == NULL)
		return err_nomem(e);
	ca_close(n->ca);
	n->ca = NULL;
	store_state_db(n->store, &n->db);
	rc = ca_open(&n->ca, n->db, n->crypto, e);
	if (rc == E_OK && ca_applied(n->ca) > 0) {
		n->view_dirty = true;
		rc = apply_refresh_view(n, e);
		if (rc == E_OK)
			rc = feed_missed(n, entry, e);
	}
	free(entry);
	return rc;
}

/* ---- Append ---- */

static enum code respond(
    struct node *n, const struct raft_message *m, struct err *e)
{
	for (size_t i = 0; i < m->responses_n; i++) {
		const struct raft_message *r = &m->responses[i];
		int rc = RAFT_OK;

		if (r->to == n->id)
			rc = raft_step(n->raft, r);
		else
			peers_send(n, r);
		if (rc == RAFT_ENOMEM || rc == RAFT_EIO)
			return err_set(e, E_IO, "raft: %s", raft_strerror(rc));
	}
	return E_OK;
}

static enum code install(struct node *n, const struct raft_message *m,
    const struct raft_hard_state *hs, struct err *e)
{
	enum code rc;

	if (!snapshot_in_is_whole(n, m->snapshot->index))
		return err_set(e, E_INTERNAL,
		    "the snapshot of entry %llu is not what was received",
		    (unsigned long long)m->snapshot->index);
	ca_close(n->ca);
	n->ca = NULL;
	snapshot_in_close_ca(n);
	rc = store_install_finish(n->store, m->snapshot, hs, e);
	if (rc == E_OK)
		rc = apply_open(n, e);
	if (rc != E_OK)
		return err_wrap(e, rc, "installing a snapshot");
	log_event(EV_snapshot_installed, "index=%llu term=%llu",
	    (unsigned long long)m->snapshot->index,
	    (unsigned long long)m->snapshot->term);
	n->commit_due_ms = clock_mono_ms();
	return E_OK;
}

enum code apply_append(
    struct node *n, const struct raft_message *m, struct err *e)
{
	struct raft_hard_state hs = {
	    .term = m->term, .vote = m->vote, .commit = m->commit};
	const struct raft_hard_state *new_hs = m->term != 0 ? &hs : NULL;
	enum code rc = E_OK;

	if (m->snapshot != NULL)
		rc = install(n, m, new_hs, e);
	if (rc == E_OK)
		rc =
		    store_append(n->store, new_hs, m->entries, m->entries_n, e);
	if (rc != E_OK)
		return err_wrap(e, rc, "the raft log");
	if (m->entries_n > 0)
		metric_inc(M_log_synced);
	/* The state keeps a copy of term and vote. */
	if (new_hs != NULL && n->commit_due_ms == 0)
		n->commit_due_ms = clock_mono_ms() + NODE_COMMIT_MS;
	return respond(n, m, e);
}

/* ---- Apply ---- */

/* Who is a member follows from what operators signed: a change that does not
 * is refused by every node alike. */
static bool change_allowed(
    const struct node *n, const struct raft_conf_change *c)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct ca_node *who =
		    n->view == NULL ? NULL
				    : ca_view_node(n->view, c->changes[i].id);

		if (c->changes[i].type == RAFT_NOP)
			continue;
		if (who == NULL ||
		    who->removed != (c->changes[i].type == RAFT_REMOVE))
			return false;
	}
	return true;
}

static enum code apply_change(
    struct node *n, const struct raft_entry *in, struct err *e)
{
	struct raft_conf_change c, nop = {.n = 1, .changes = {{RAFT_NOP, 0}}};
	struct raft_conf_state cs;
	bool allowed;
	enum code rc = apply_refresh_view(n, e);
	int changed;

	if (rc != E_OK)
		return rc;
	allowed = raft_conf_change_decode(in->data, &c) == RAFT_OK &&
		  change_allowed(n, &c);
	if (!allowed)
		log_event(EV_membership_change_refused,
		    "index=%llu why=\"no operator signed it\"",
		    (unsigned long long)in->index);
	changed = raft_apply_conf_change(n->raft, allowed ? &c : &nop, &cs);
	if (changed != RAFT_OK && changed != RAFT_EINVAL)
		return err_set(e, E_IO, "raft: %s", raft_strerror(changed));
	rc = store_state_set_applied(
	    n->store, in->index, in->term, changed == RAFT_OK ? &cs : NULL, e);
	if (rc == E_OK && changed == RAFT_OK && allowed) {
		log_event(EV_membership,
		    "index=%llu voters=%zu learners=%zu joint=%d",
		    (unsigned long long)in->index, cs.voters_n, cs.learners_n,
		    cs.voters_outgoing_n > 0);
		peers_sync(n);
	}
	return rc;
}

static enum code applied(struct node *n, struct span raw,
    const struct ca_entry *entry, const struct ca_result *r, struct err *e)
{
	enum code rc = E_OK;

	if (r->outcome == CA_DIVERGED) {
		log_event(EV_checkpoint_differs, "index=%llu why=\"%s\"",
		    (unsigned long long)r->index, r->why);
		peers_compare(n);
	}
	if (r->view_changed) {
		n->view_dirty = true;
		rc = apply_refresh_view(n, e);
	}
	if (entry == NULL || rc != E_OK)
		return rc;
	if (signer_wants(entry) && r->outcome == CA_OK)
		feed(n, r->index, raw);
	if (entry->kind == CA_FREEZE_CRL && r->outcome == CA_OK)
		crl_frozen(n, &entry->u.freeze_crl);
	if (r->view_changed)
		n->next_duty_ms = 0; /* a revocation wants its CRL at once */
	if (entry->proposer == n->id)
		ops_applied(n, raw, entry, r);
	return E_OK;
}

static enum code apply_normal(struct node *n, const struct raft_entry *in,
    struct ca_entry *entry, struct err *e)
{
	struct span raw = span_of(in->data.p, in->data.len);
	struct wire_memory *mem = NULL;
	const struct ca_entry *decoded = entry;
	struct ca_result r;
	enum code rc;

	if (raw.len > 0) {
		rc = wire_entry_decode(raw, entry, &mem, e);
		if (rc == E_NOMEM)
			return rc;
		if (rc != E_OK)
			decoded = NULL;
		rc = ca_apply(n->ca, in->index, decoded, raw, &r, e);
		if (rc == E_OK)
			rc = applied(n, raw, decoded, &r, e);
		wire_free(mem);
		if (rc != E_OK)
			return rc;
	}
	return store_state_set_applied(n->store, in->index, in->term, NULL, e);
}

enum code apply_entries(
    struct node *n, const struct raft_message *m, struct err *e)
{
	struct ca_entry *entry = calloc(1, sizeof(*entry));
	enum code rc = E_OK;

	if (entry == NULL)
		return err_nomem(e);
	for (size_t i = 0; i < m->entries_n && rc == E_OK; i++) {
		const struct raft_entry *in = &m->entries[i];

		if (in->index <= store_applied(n->store))
			continue; /* a snapshot brought it */
		if (in->type == RAFT_ENTRY_CONF_CHANGE)
			rc = apply_change(n, in, e);
		else
			rc = apply_normal(n, in, entry, e);
		/* LMDB holds each page that a transaction changes. */
		if (rc == E_OK &&
		    store_state_pending(n->store) >= NODE_COMMIT_COUNT)
			rc = store_state_commit(n->store, e);
		if (rc != E_OK)
			rc = err_wrap(e, rc, "applying entry %llu",
			    (unsigned long long)in->index);
	}
	free(entry);
	if (rc == E_OK && n->commit_due_ms == 0)
		n->commit_due_ms = clock_mono_ms() + NODE_COMMIT_MS;
	return rc == E_OK ? respond(n, m, e) : rc;
}
