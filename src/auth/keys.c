/* keys.c -- the token-signing keys of every cluster, parsed once a view. */
#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/err.h>

#include "auth/internal.h"
#include "base/log_event.h"
#include "pki/pki.h"

struct auth_keys {
	_Atomic size_t refs;
	struct ca_view *view;
	struct auth_key *rows;
	size_t n;
};

/* Apply refuses a key of two clusters; should one get through all the same, it
 * cannot say which cluster a token is from, and so verifies nothing. */
static bool shared_key(
    const struct ca_view *v, const struct ca_cluster *own, struct span spki)
{
	for (size_t i = 0; i < v->clusters_n; i++) {
		const struct ca_cluster *c = &v->clusters[i];

		if (c == own || c->removed)
			continue;
		for (size_t k = 0; k < c->keys_n; k++)
			if (span_eq(c->keys[k].spki, spki))
				return true;
	}
	return false;
}

static const char *take_key(struct auth_keys *k, const struct ca_cluster *c,
    const struct ca_token_key *in)
{
	struct auth_key *out = &k->rows[k->n];

	out->cluster = c;
	out->kid = in->kid;
	out->alg = jwt_alg_find(in->alg);
	if (out->alg == NULL)
		return "algorithm not taken";
	if (shared_key(k->view, c, in->spki))
		return "registered to two clusters";
	if (pki_key_from_spki(in->spki, &out->pkey, NULL) != E_OK)
		return "not a key";
	if (!jwt_alg_fits(out->alg, out->pkey)) {
		EVP_PKEY_free(out->pkey);
		return "of another kind than its algorithm";
	}
	k->n++;
	return NULL;
}

static void take_cluster_keys(struct auth_keys *k, const struct ca_cluster *c)
{
	for (size_t i = 0; i < c->keys_n; i++) {
		const char *why = take_key(k, c, &c->keys[i]);

		if (why != NULL)
			log_event(EV_token_key_unusable,
			    "cluster=%.*s key=%zu why=\"%s\"", (int)c->name.len,
			    (const char *)c->name.p, i, why);
	}
}

enum code auth_keys_make(
    struct ca_view *view, struct auth_keys **out, struct err *e)
{
	struct auth_keys *k = calloc(1, sizeof(*k));
	size_t n = 0;

	*out = NULL;
	if (k == NULL)
		return err_nomem(e);
	for (size_t i = 0; i < view->clusters_n; i++)
		n += view->clusters[i].keys_n;
	k->rows = calloc(n + 1, sizeof(*k->rows));
	if (k->rows == NULL) {
		free(k);
		return err_nomem(e);
	}
	atomic_init(&k->refs, 1);
	k->view = ca_view_ref(view);
	for (size_t i = 0; i < view->clusters_n; i++)
		if (!view->clusters[i].removed)
			take_cluster_keys(k, &view->clusters[i]);
	ERR_clear_error(); /* of keys that did not parse */
	*out = k;
	return E_OK;
}

struct auth_keys *auth_keys_ref(struct auth_keys *k)
{
	atomic_fetch_add(&k->refs, 1);
	return k;
}

void auth_keys_unref(struct auth_keys *k)
{
	if (k == NULL || atomic_fetch_sub(&k->refs, 1) != 1)
		return;
	for (size_t i = 0; i < k->n; i++)
		EVP_PKEY_free(k->rows[i].pkey);
	free(k->rows);
	ca_view_unref(k->view);
	free(k);
}

const struct ca_view *keys_view(const struct auth_keys *k)
{
	return k->view;
}

/* kid (RFC 7515 §4.1.4) narrows the search where both sides have one. */
static bool may_verify(const struct auth_key *k, const struct jwt *j)
{
	return k->alg == j->alg &&
	       (k->kid.len == 0 || j->kid.len == 0 || span_eq(k->kid, j->kid));
}

const struct ca_cluster *keys_verify(
    const struct auth_keys *k, const struct jwt *j)
{
	for (size_t i = 0; i < k->n; i++)
		if (may_verify(&k->rows[i], j) &&
		    jwt_verify(j, k->rows[i].pkey))
			return k->rows[i].cluster;
	return NULL;
}
