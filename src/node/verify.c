/* verify.c -- checks the signature of each record that another node's issuer
 * made, off the commit path: a signer whose signatures do not hold, or an
 * encoder that differs from ours, is noticed here. */
#include "node/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/log_event.h"
#include "base/metrics.h"
#include "node/background.h"

#define LOOK_MS 200
#define AT_ONCE 256 /* records in one read transaction */

struct verifier {
	struct node *n;
	struct background *background;
	uint64_t at; /* raft index of the last record looked at */
	struct ca_entry *entry;
	struct ca_view *view;
	struct issuers issuers;
};

static bool signature_holds(
    struct verifier *v, const struct ca_issue *i, struct err *e)
{
	const struct ca_issuer *is = ca_view_issuer(v->view, i->issuer);
	uint8_t sum[SHA256_LEN];
	struct pki_issuer from;
	struct buf tbs, der;
	bool ok;

	buf_init(&tbs);
	buf_init(&der);
	if (is == NULL)
		err_set(e, E_NOTFOUND, "the issuer is unknown");
	ok = is != NULL &&
	     issuers_read(&v->issuers, is->cert, &from, e) == E_OK &&
	     pki_leaf_tbs(&tbs, i, &from, e) == E_OK &&
	     pki_leaf_der(&der, i, &from, e) == E_OK;
	if (ok) {
		sha256_of(sum, buf_span(&der));
		ok = memcmp(sum, i->cert_sha256, sizeof(sum)) == 0 &&
		     pki_verify(is->spki, buf_span(&tbs), i->signature);
		if (!ok)
			err_set(e, E_CORRUPT, "the signature does not hold");
	}
	buf_free(&tbs);
	buf_free(&der);
	return ok;
}

static void check(struct verifier *v, const struct ca_record *rec)
{
	struct wire_memory *mem = NULL;
	struct err e = {0};

	if (wire_entry_decode(rec->raw, v->entry, &mem, &e) != E_OK)
		return;
	if (v->entry->kind == CA_ISSUE && v->entry->proposer != v->n->id &&
	    !signature_holds(v, &v->entry->u.issue, &e)) {
		metric_inc(M_record_bad);
		atomic_store(&v->n->bad_record, rec->index);
		log_event(EV_record_signature_bad,
		    "index=%llu proposer=%llu why=\"%s\"",
		    (unsigned long long)rec->index,
		    (unsigned long long)v->entry->proposer, e.text);
	}
	wire_free(mem);
}

/* False: there is nothing more now. */
static bool look(struct verifier *v)
{
	struct store_read *read = NULL;
	struct ca *ca = NULL;
	struct ca_db db;
	struct ca_record rec;
	struct err e;
	int seen = 0;

	if (store_read_begin(v->n->store, &read, &db, &e) == E_OK &&
	    ca_open(&ca, db, v->n->crypto, &e) == E_OK &&
	    ca_applied(ca) > v->at && ca_view_load(ca, &v->view, &e) == E_OK) {
		while (seen < AT_ONCE && ca_record_next(ca, SPAN_EMPTY, v->at,
					     &rec, &e) == E_OK) {
			check(v, &rec);
			v->at = rec.index;
			seen++;
		}
		ca_view_unref(v->view);
	}
	ca_close(ca);
	store_read_end(read);
	return seen == AT_ONCE;
}

static void look_all(void *arg)
{
	struct verifier *v = arg;

	while (look(v) && !atomic_load(&v->n->stop))
		continue;
}

enum code verify_start(struct node *n, struct err *e)
{
	struct verifier *v = calloc(1, sizeof(*v));
	enum code rc;

	if (v == NULL)
		return err_nomem(e);
	v->n = n;
	v->at = ca_applied(n->ca);
	v->entry = calloc(1, sizeof(*v->entry));
	rc = v->entry == NULL
		 ? err_nomem(e)
		 : background_start(&v->background, LOOK_MS, look_all, v, e);
	if (rc != E_OK) {
		free(v->entry);
		free(v);
		return rc;
	}
	n->verifier = v;
	return E_OK;
}

void verify_stop(struct node *n)
{
	struct verifier *v = n->verifier;

	if (v == NULL)
		return;
	background_stop(v->background);
	issuers_free(&v->issuers);
	free(v->entry);
	free(v);
	n->verifier = NULL;
}
