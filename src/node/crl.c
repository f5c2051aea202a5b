/* crl.c -- CRLs by the clock: the leader has the content of each issuer's next
 * one fixed in the log, and the issuer's own node has it signed. */
#include "node/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log_event.h"

#define REFRESH_S 3600    /* though nothing was revoked */
#define UNSIGNED_MS 10000 /* then it is frozen anew */
#define PROPOSED_AGAIN_MS 2000

/* ---- The leader ---- */

static bool node_heard(struct node *n, uint64_t id)
{
	const struct peer *p = peers_find(n, id);

	return id == n->id ||
	       (p != NULL && p->heard_ms != 0 &&
		   clock_mono_ms() - p->heard_ms < NODE_SILENT_MS);
}

static bool due(struct node *n, const struct ca_issuer *is,
    const struct ca_crl *c, uint64_t now_ms)
{
	if (is->state == CA_ISSUER_REVOKED || is->not_after_s < now_ms / 1000)
		return false;
	if (c == NULL || c->frozen_number == 0)
		return true;
	if (c->dirty_index > c->frozen_index)
		return now_ms >= c->frozen_ms + CA_CRL_EVERY_MS;
	if (c->number != c->frozen_number)
		return now_ms >= c->frozen_ms + UNSIGNED_MS &&
		       node_heard(n, is->node);
	return now_ms >= c->frozen_ms + REFRESH_S * 1000ULL;
}

static enum code propose_freeze(struct node *n, const struct ca_issuer *is,
    const struct ca_crl *c, uint64_t now_ms, struct err *e)
{
	struct ca_freeze_crl f = {.number = 1,
	    .this_s = now_ms / 1000 - CA_CRL_BACKDATE_S,
	    .next_s = now_ms / 1000 + CA_CRL_LIFE_S};
	struct buf entry;
	enum code rc;

	memcpy(f.issuer, is->key_id, CA_KEY_ID_LEN);
	if (c != NULL) {
		f.number = c->frozen_number + 1;
		if (f.this_s < c->frozen_this_s)
			f.this_s = c->frozen_this_s;
	}
	buf_init(&entry);
	rc = wire_freeze_encode(&entry, now_ms, n->id, &f, e);
	if (rc == E_OK)
		rc = ops_propose(n, &entry, e);
	buf_free(&entry);
	return rc;
}

void crl_freeze_due(struct node *n)
{
	uint64_t now_ms = clock_unix_ms(), mono = clock_mono_ms();
	struct err e = {0};

	if (n->role != RAFT_LEADER || n->view == NULL || n->space_low ||
	    n->diverged[0] != '\0' || n->clock_off[0] != '\0')
		return;
	for (size_t i = 0; i < n->view->issuers_n; i++) {
		const struct ca_issuer *is = &n->view->issuers[i];
		const struct ca_crl *c = ca_view_crl(n->view, is->key_id);
		uint64_t number = c == NULL ? 1 : c->frozen_number + 1;
		struct crl_proposed *last =
		    &n->crl_proposed[i % NODE_CRL_PROPOSED];

		if (!due(n, is, c, now_ms) ||
		    (memcmp(last->issuer, is->key_id, CA_KEY_ID_LEN) == 0 &&
			last->number == number &&
			mono < last->at_ms + PROPOSED_AGAIN_MS))
			continue;
		if (propose_freeze(n, is, c, now_ms, &e) != E_OK) {
			log_event(EV_crl_freeze_failed, "why=\"%s\"", e.text);
			return;
		}
		memcpy(last->issuer, is->key_id, CA_KEY_ID_LEN);
		last->number = number;
		last->at_ms = mono;
	}
}

/* ---- The issuer's node ---- */

static enum code sign(struct node *n, const struct ca_freeze_crl *f,
    struct ca_revoked *rows, size_t rows_n, struct err *e)
{
	const struct signer_crl c = {.number = f->number,
	    .this_s = f->this_s,
	    .next_s = f->next_s,
	    .rows = rows,
	    .n = rows_n};
	struct ca_sign_crl s = {.number = f->number};
	uint8_t sig[CA_SIG_MAX];
	size_t sig_len = 0;
	struct buf entry;
	enum code rc =
	    signer_sign_crl(n->signer, &c, sig, &sig_len, s.tbs_sha256, e);

	if (rc != E_OK)
		return rc;
	memcpy(s.issuer, f->issuer, CA_KEY_ID_LEN);
	s.signature = span_of(sig, sig_len);
	buf_init(&entry);
	rc = wire_sign_crl_encode(&entry, clock_unix_ms(), n->id, &s, e);
	if (rc == E_OK)
		rc = ops_propose(n, &entry, e);
	buf_free(&entry);
	return rc;
}

void crl_frozen(struct node *n, const struct ca_freeze_crl *f)
{
	const struct ca_node *self = node_self(n);
	struct ca_revoked *rows = NULL;
	size_t rows_n = 0;
	struct err e = {0};
	enum code rc;

	if (self == NULL || !self->has_issuer ||
	    memcmp(self->issuer, f->issuer, CA_KEY_ID_LEN) != 0)
		return;
	if (n->clock_off[0] != '\0')
		rc = err_set(&e, E_CONFLICT, "%s", n->clock_off);
	else
		rc = ca_crl_rows(n->ca, f->issuer, &rows, &rows_n, &e);
	if (rc == E_OK)
		rc = sign(n, f, rows, rows_n, &e);
	free(rows);
	/* A conflict: at a start the log is gone through once more, or time is
	 * in doubt.  The leader has the next one made. */
	if (rc != E_OK)
		log_event(
		    rc == E_CONFLICT ? EV_crl_sign_skipped : EV_crl_sign_failed,
		    "number=%llu code=%s why=\"%s\"",
		    (unsigned long long)f->number, code_name(rc), e.text);
}

/* ---- Who has which ---- */

size_t crl_published(const struct node *n, struct span *out, size_t max)
{
	size_t k = 0;

	if (n->view == NULL)
		return 0;
	for (size_t i = 0; i < n->view->crls_n && k < max; i++)
		if (n->view->crls[i].number != 0 &&
		    (n->publisher == NULL || n->view->crls[i].signed_index <=
						 atomic_load(&n->published)))
			out[k++] =
			    span_of(n->view->crls[i].issuer, CA_KEY_ID_LEN);
	return k;
}

/* Envoy refuses every peer whose issuer's CRL it does not hold: so nobody gets
 * a leaf before every node in reach publishes the CRL. */
bool crl_awaited(
    struct node *n, const struct ca_issuer *is, char *why, size_t size)
{
	const struct ca_crl *c = ca_view_crl(n->view, is->key_id);
	uint64_t now = clock_mono_ms();

	if (c == NULL || c->number == 0) {
		snprintf(why, size, "this node's issuer has no CRL yet");
		return true;
	}
	if (n->crl_everywhere)
		return false;
	for (size_t i = 0; i < n->peers_n; i++) {
		const struct peer *p = &n->peers[i];

		if (p->in_mesh && !p->has_my_crl && p->heard_ms != 0 &&
		    now - p->heard_ms < NODE_CRL_HEARD_MS) {
			snprintf(why, size,
			    "node %llu does not publish the CRL of this node's "
			    "issuer yet",
			    (unsigned long long)p->id);
			return true;
		}
	}
	n->crl_everywhere = true; /* from here on who comes later gets it */
	return false;
}

void crl_note_published(
    struct node *n, struct peer *p, const struct wire_status *s)
{
	const struct ca_node *self = node_self(n);

	p->has_my_crl = self == NULL || !self->has_issuer;
	for (size_t i = 0; i < s->crl_published_n && !p->has_my_crl; i++)
		p->has_my_crl = span_eq(
		    s->crl_published[i], span_of(self->issuer, CA_KEY_ID_LEN));
}
