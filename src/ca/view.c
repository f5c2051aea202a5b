/* view.c -- the small rows as one immutable object, shared by count. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ca/internal.h"

/* The view with its memory: copied rows, which the spans point into. */
struct view_box {
	struct ca_view view; /* first: the two addresses are one */
	_Atomic size_t refs;
	uint8_t **rows;
	size_t rows_n, rows_cap;
};

static struct view_box *box_of(struct ca_view *v)
{
	return (struct view_box *)(void *)v;
}

struct ca_view *ca_view_ref(struct ca_view *v)
{
	if (v != NULL)
		atomic_fetch_add(&box_of(v)->refs, 1);
	return v;
}

void ca_view_unref(struct ca_view *v)
{
	struct view_box *b;

	if (v == NULL)
		return;
	b = box_of(v);
	if (atomic_fetch_sub(&b->refs, 1) != 1)
		return;
	for (size_t i = 0; i < b->rows_n; i++)
		free(b->rows[i]);
	free(b->rows);
	free(v->clusters);
	free(v->nodes);
	free(v->issuers);
	free(v->operators);
	free(v->tokens);
	free(v->crls);
	free(v->bundles);
	free(b);
}

/* A copy of a row that lives as long as the view. */
static enum code keep(
    struct view_box *b, struct span in, struct span *out, struct err *e)
{
	uint8_t *p;

	if (b->rows_n == b->rows_cap) {
		size_t cap = b->rows_cap == 0 ? 32 : b->rows_cap * 2;
		uint8_t **rows = realloc(b->rows, cap * sizeof(*rows));

		if (rows == NULL)
			return err_nomem(e);
		b->rows = rows;
		b->rows_cap = cap;
	}
	p = malloc(in.len + 1);
	if (p == NULL)
		return err_nomem(e);
	if (in.len > 0)
		memcpy(p, in.p, in.len);
	b->rows[b->rows_n++] = p;
	*out = span_of(p, in.len);
	return E_OK;
}

static enum code meta_text(const struct ca *ca, struct view_box *b,
    const char *name, struct span *out, struct err *e)
{
	struct span val;
	enum code rc = state_get(ca, CA_T_META, span_str(name), &val, e);

	if (rc == E_NOTFOUND)
		return err_set(e, E_CORRUPT, "the state has no %s", name);
	return rc == E_OK ? keep(b, val, out, e) : rc;
}

/* One kind of row into one array. */
struct loader {
	enum ca_table table;
	void **array;
	size_t *n;
	size_t size;
	enum code (*read)(struct span val, void *out, struct err *e);
};

#define READER(kind, type)                                                     \
	static enum code read_##kind(                                          \
	    struct span val, void *out, struct err *e)                         \
	{                                                                      \
		return row_##kind##_read(val, (type *)out, e);                 \
	}
READER(cluster, struct ca_cluster)
READER(node, struct ca_node)
READER(issuer, struct ca_issuer)
READER(operator, struct ca_operator)
READER(token, struct ca_join_token)
READER(crl, struct ca_crl)
READER(bundle, struct ca_bundle)
#undef READER

static enum code load_row(
    struct view_box *b, const struct loader *l, struct span val, struct err *e)
{
	struct span kept = SPAN_EMPTY;
	uint8_t *grown;
	enum code rc = keep(b, val, &kept, e);

	if (rc != E_OK)
		return rc;
	grown = realloc(*l->array, (*l->n + 1) * l->size);
	if (grown == NULL)
		return err_nomem(e);
	*l->array = grown;
	memset(grown + *l->n * l->size, 0, l->size);
	rc = l->read(kept, grown + *l->n * l->size, e);
	if (rc == E_OK)
		(*l->n)++;
	return rc;
}

static enum code load_table(const struct ca *ca, struct view_box *b,
    const struct loader *l, struct err *e)
{
	uint8_t at[CA_DB_KEY_MAX];
	struct span key = SPAN_EMPTY, val, from = SPAN_EMPTY;
	bool after = false;
	enum code rc;

	while ((rc = ca->db.ops->seek(ca->db.ctx, l->table, from, after, &key,
		    &val, e)) == E_OK) {
		if (key.len > sizeof(at))
			return err_set(e, E_CORRUPT, "a key is too long");
		memcpy(at, key.p, key.len);
		from = span_of(at, key.len);
		after = true;
		if ((rc = load_row(b, l, val, e)) != E_OK)
			return rc;
	}
	return rc == E_NOTFOUND ? E_OK : rc;
}

static enum code load_policy(
    const struct ca *ca, struct ca_view *v, struct err *e)
{
	uint8_t key[8];
	struct span val;
	enum code rc;

	put_u64be(key, ca->meta.policy_version);
	rc = state_get(ca, CA_T_POLICY, span_of(key, sizeof(key)), &val, e);
	if (rc == E_NOTFOUND)
		return err_set(e, E_CORRUPT, "the state has no policy");
	return rc == E_OK ? row_policy_read(val, &v->policy, e) : rc;
}

static enum code fill(const struct ca *ca, struct view_box *b, struct err *e)
{
	struct ca_view *v = &b->view;
	const struct loader loaders[] = {
	    {CA_T_CLUSTER, (void **)&v->clusters, &v->clusters_n,
		sizeof(*v->clusters), read_cluster},
	    {CA_T_NODE, (void **)&v->nodes, &v->nodes_n, sizeof(*v->nodes),
		read_node},
	    {CA_T_ISSUER, (void **)&v->issuers, &v->issuers_n,
		sizeof(*v->issuers), read_issuer},
	    {CA_T_OPERATOR, (void **)&v->operators, &v->operators_n,
		sizeof(*v->operators), read_operator},
	    {CA_T_TOKEN, (void **)&v->tokens, &v->tokens_n, sizeof(*v->tokens),
		read_token},
	    {CA_T_CRL, (void **)&v->crls, &v->crls_n, sizeof(*v->crls),
		read_crl},
	    {CA_T_BUNDLE, (void **)&v->bundles, &v->bundles_n,
		sizeof(*v->bundles), read_bundle},
	};
	enum code rc;

	v->applied = ca->meta.applied;
	v->genesis_ms = ca->meta.genesis_ms;
	if ((rc = meta_text(ca, b, META_TRUST_DOMAIN, &v->trust_domain, e)) !=
		E_OK ||
	    (rc = meta_text(ca, b, META_ROOT_CERT, &v->root_cert, e)) != E_OK ||
	    (rc = meta_text(ca, b, META_ROOT_CRL, &v->root_crl, e)) != E_OK ||
	    (rc = meta_text(ca, b, META_GENESIS, &v->genesis_raw, e)) != E_OK ||
	    (rc = load_policy(ca, v, e)) != E_OK ||
	    (rc = ca->crypto.root(ca->crypto.ctx, v->root_cert, &v->root, e)) !=
		E_OK)
		return rc;
	for (size_t i = 0; i < sizeof(loaders) / sizeof(loaders[0]); i++)
		if ((rc = load_table(ca, b, &loaders[i], e)) != E_OK)
			return rc;
	return E_OK;
}

enum code ca_view_load(const struct ca *ca, struct ca_view **out, struct err *e)
{
	struct view_box *b;
	enum code rc;

	*out = NULL;
	if (!ca->started)
		return err_set(e, E_NOTFOUND, "Genesis is not applied yet");
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return err_nomem(e);
	atomic_init(&b->refs, 1);
	rc = fill(ca, b, e);
	if (rc == E_OK)
		*out = &b->view;
	else
		ca_view_unref(&b->view);
	return rc;
}

const struct ca_cluster *ca_view_cluster(
    const struct ca_view *v, struct span name)
{
	for (size_t i = 0; i < v->clusters_n; i++)
		if (span_eq(v->clusters[i].name, name))
			return &v->clusters[i];
	return NULL;
}

const struct ca_node *ca_view_node(const struct ca_view *v, uint64_t id)
{
	for (size_t i = 0; i < v->nodes_n; i++)
		if (v->nodes[i].id == id)
			return &v->nodes[i];
	return NULL;
}

const struct ca_issuer *ca_view_issuer(
    const struct ca_view *v, const uint8_t key_id[CA_KEY_ID_LEN])
{
	for (size_t i = 0; i < v->issuers_n; i++)
		if (memcmp(v->issuers[i].key_id, key_id, CA_KEY_ID_LEN) == 0)
			return &v->issuers[i];
	return NULL;
}

const struct ca_operator *ca_view_operator(
    const struct ca_view *v, struct span spki)
{
	for (size_t i = 0; i < v->operators_n; i++)
		if (span_eq(v->operators[i].spki, spki))
			return &v->operators[i];
	return NULL;
}

const struct ca_crl *ca_view_crl(
    const struct ca_view *v, const uint8_t key_id[CA_KEY_ID_LEN])
{
	for (size_t i = 0; i < v->crls_n; i++)
		if (memcmp(v->crls[i].issuer, key_id, CA_KEY_ID_LEN) == 0)
			return &v->crls[i];
	return NULL;
}

const struct ca_bundle *ca_view_bundle(
    const struct ca_view *v, struct span trust_domain)
{
	for (size_t i = 0; i < v->bundles_n; i++)
		if (span_eq(v->bundles[i].trust_domain, trust_domain))
			return &v->bundles[i];
	return NULL;
}

bool ca_namespace_allowed(const struct ca_cluster *c, struct span ns)
{
	bool system =
	    span_eq_str(ns, "kube-system") || span_eq_str(ns, "istio-system");

	if (c->namespaces_n == 0)
		return !system;
	for (size_t i = 0; i < c->namespaces_n; i++)
		if (span_eq(c->namespaces[i], ns) ||
		    (!system && span_eq_str(c->namespaces[i], "*")))
			return true;
	return false;
}

bool cluster_serves(const struct ca_cluster *c)
{
	return c != NULL && !c->removed;
}
