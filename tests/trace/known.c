/* known.c -- what a trace has shown so far. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static void *grow(void *p, size_t *cap, size_t want, size_t size)
{
	size_t next = *cap == 0 ? 16 : *cap;

	if (want <= *cap)
		return p;
	while (next < want)
		next *= 2;
	p = realloc(p, next * size);
	if (p == NULL)
		abort(); /* a test: there is nothing better to do */
	memset((char *)p + *cap * size, 0, (next - *cap) * size);
	*cap = next;
	return p;
}

/* ---- Sets of ids ---- */

bool ids_have(const struct ids *s, raft_id id)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->id[i] == id)
			return true;
	return false;
}

/* Of an empty set anything is a majority. */
bool ids_majority(const struct ids *of, const struct ids *in)
{
	size_t yes = 0;

	for (size_t i = 0; i < of->n; i++)
		yes += ids_have(in, of->id[i]);
	return of->n == 0 || yes > of->n / 2;
}

static bool ids_equal(const struct ids *a, const struct ids *b)
{
	if (a->n != b->n)
		return false;
	if (memcmp(a->id, b->id, a->n * sizeof(*a->id)) == 0)
		return true;
	for (size_t i = 0; i < a->n; i++)
		if (!ids_have(b, a->id[i]))
			return false;
	return true;
}

bool voters_equal(const struct voters *a, const struct voters *b)
{
	return ids_equal(&a->now, &b->now) &&
	       ids_equal(&a->outgoing, &b->outgoing);
}

static void ids_from(struct ids *s, const raft_id *id, size_t n)
{
	s->n = n;
	memcpy(s->id, id, n * sizeof(*id));
}

void voters_of(const struct raft_conf_state *c, struct voters *out)
{
	ids_from(&out->now, c->voters, c->voters_n);
	ids_from(&out->outgoing, c->voters_outgoing, c->voters_outgoing_n);
}

/* ---- Nodes ---- */

struct peer *known_peer(struct trace_check *c, raft_id id)
{
	for (size_t i = 0; i < c->peer_n; i++)
		if (c->peer[i]->id == id)
			return c->peer[i];
	c->peer = realloc(c->peer, (c->peer_n + 1) * sizeof(struct peer *));
	if (c->peer == NULL)
		abort();
	c->peer[c->peer_n] = calloc(1, sizeof(struct peer));
	if (c->peer[c->peer_n] == NULL)
		abort();
	c->peer[c->peer_n]->id = id;
	return c->peer[c->peer_n++];
}

const struct peer *known_whole(const struct trace_check *c, raft_id id)
{
	for (size_t i = 0; i < c->peer_n; i++)
		if (c->peer[i]->id == id && c->peer[i]->whole)
			return c->peer[i];
	return NULL;
}

bool known_all(const struct trace_check *c, const struct voters *v)
{
	for (size_t i = 0; i < v->now.n; i++)
		if (known_whole(c, v->now.id[i]) == NULL)
			return false;
	for (size_t i = 0; i < v->outgoing.n; i++)
		if (known_whole(c, v->outgoing.id[i]) == NULL)
			return false;
	return true;
}

/* ---- Terms ---- */

/* Where a term is, or would be; most often at the end. */
static size_t reign_at(const struct trace_check *c, raft_term term)
{
	size_t k = c->reign_n;

	while (k > 0 && c->reign[k - 1].term >= term)
		k--;
	return k;
}

struct reign *known_reign(const struct trace_check *c, raft_term term)
{
	size_t k = reign_at(c, term);

	return k < c->reign_n && c->reign[k].term == term ? &c->reign[k] : NULL;
}

struct reign *known_campaign(struct trace_check *c, raft_term term)
{
	size_t k = reign_at(c, term);

	if (k < c->reign_n && c->reign[k].term == term)
		return &c->reign[k];
	c->reign =
	    grow(c->reign, &c->reign_cap, c->reign_n + 1, sizeof(*c->reign));
	memmove(&c->reign[k + 1], &c->reign[k],
	    (c->reign_n++ - k) * sizeof(*c->reign));
	c->reign[k] = (struct reign){.term = term};
	return &c->reign[k];
}

/* ---- Messages: a network may double what was sent ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15u;
	return h ^ (h >> 32);
}

static uint64_t hash(const struct raft_step_message *m)
{
	uint64_t h = mix((uint64_t)m->type << 1 | m->reject, m->term);

	h = mix(mix(h, m->from), m->to);
	h = mix(mix(h, m->index), m->log_term);
	h = mix(mix(mix(h, m->entries), m->commit), m->reject_hint);
	return h == 0 ? 1 : h;
}

static size_t slot(const struct trace_check *c, uint64_t h)
{
	size_t i = (size_t)h & (c->sent_cap - 1);

	while (c->sent[i] != 0 && c->sent[i] != h)
		i = (i + 1) & (c->sent_cap - 1);
	return i;
}

static void sent_grow(struct trace_check *c)
{
	uint64_t *old = c->sent;
	size_t n = c->sent_cap;

	c->sent_cap = n == 0 ? 4096 : n * 4;
	c->sent = calloc(c->sent_cap, sizeof(*c->sent));
	if (c->sent == NULL)
		abort();
	for (size_t i = 0; i < n; i++)
		if (old[i] != 0)
			c->sent[slot(c, old[i])] = old[i];
	free(old);
}

void known_sent(struct trace_check *c, const struct raft_step_message *m)
{
	uint64_t h = hash(m);
	size_t i;

	if (c->sent_n * 2 >= c->sent_cap)
		sent_grow(c);
	i = slot(c, h);
	c->sent_n += c->sent[i] == 0;
	c->sent[i] = h;
}

bool known_was_sent(
    const struct trace_check *c, const struct raft_step_message *m)
{
	uint64_t h = hash(m);

	return c->sent_cap > 0 && c->sent[slot(c, h)] == h;
}
