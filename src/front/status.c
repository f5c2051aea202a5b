/* status.c -- how the node is: members and alarms for operators, the signed
 * tree head for anyone. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "front/http.h"

/* ---- GET /v1/status ---- */

static json_t *member_json(const struct front_member *m)
{
	json_t *o = json_object();

	json_set(o, "id", json_u64(m->id));
	json_set(o, "cluster", json_span(span_str(m->cluster)));
	json_set(o, "mesh_address", json_span(span_str(m->mesh_address)));
	json_set(o, "state", json_span(span_str(m->state)));
	json_set(o, "self", json_boolean(m->self));
	json_set(o, "leader", json_boolean(m->leader));
	json_set(o, "reachable", json_boolean(m->reachable));
	json_set(o, "match", json_u64(m->match));
	json_set(o, "applied", json_u64(m->applied));
	json_set(o, "tree_size", json_u64(m->tree_size));
	json_set(o, "clock_offset_ms", json_integer(m->clock_offset_ms));
	json_set(o, "heard_ms_ago", json_u64(m->heard_ms_ago));
	json_set(o, "issuing", json_boolean(m->issuing));
	return o;
}

static json_t *head_json(const struct ca_head *h)
{
	json_t *o = json_object();

	json_set(o, "index", json_u64(h->index));
	json_set(o, "tree_size", json_u64(h->tree_size));
	json_set(o, "root", json_hex(h->root, sizeof(h->root)));
	json_set(o, "state_digest",
	    json_hex(h->state_digest, sizeof(h->state_digest)));
	return o;
}

static json_t *crl_json(const struct front_crl *c)
{
	uint64_t now_s = clock_unix_ms() / 1000;
	json_t *o = json_object();

	json_set(o, "issuer", json_span(span_str(c->issuer)));
	json_set(o, "state", json_string(issuer_state_name(c->state)));
	json_set(o, "number", json_u64(c->number));
	json_set(o, "age_s",
	    json_u64(
		now_s > c->this_s && c->number != 0 ? now_s - c->this_s : 0));
	json_set(o, "ends_in_s",
	    json_integer(c->number != 0
			     ? (json_int_t)c->next_s - (json_int_t)now_s
			     : 0));
	json_set(o, "entries", json_u64(c->entries));
	json_set(o, "due", json_boolean(c->due));
	return o;
}

static json_t *lists_json(json_t *o, const struct front_status *s)
{
	json_t *members = json_array(), *alarms = json_array();
	json_t *crls = json_array();

	for (size_t i = 0; i < s->members_n; i++)
		json_array_append_new(members, member_json(&s->members[i]));
	for (size_t i = 0; i < s->crls_n; i++)
		json_array_append_new(crls, crl_json(&s->crls[i]));
	for (size_t i = 0; i < s->alarms_n; i++)
		json_array_append_new(
		    alarms, json_span(span_str(s->alarms[i])));
	json_set(o, "members", members);
	json_set(o, "crls", crls);
	json_set(o, "alarms", alarms);
	return o;
}

static json_t *status_json(const struct front_status *s)
{
	json_t *o = json_object();

	json_set(o, "trust_domain", json_span(span_str(s->trust_domain)));
	json_set(o, "cluster", json_span(span_str(s->cluster)));
	json_set(o, "version", json_span(span_str(s->version)));
	json_set(o, "id", json_u64(s->id));
	json_set(o, "leader", json_u64(s->leader));
	json_set(o, "term", json_u64(s->term));
	json_set(o, "commit", json_u64(s->commit));
	json_set(o, "applied", json_u64(s->applied));
	json_set(o, "first_index", json_u64(s->first_index));
	json_set(o, "last_index", json_u64(s->last_index));
	json_set(o, "role", json_span(span_str(s->role)));
	json_set(o, "quorum", json_boolean(s->quorum));
	json_set(o, "head", head_json(&s->head));
	json_set(o, "issued", json_u64(s->issued));
	json_set(o, "uptime_s", json_u64(s->uptime_s));
	json_set(o, "issuing_why", json_span(span_str(s->issuing_why)));
	return lists_json(o, s);
}

enum code status_get(struct exchange *x, struct err *e)
{
	struct front_status *s = calloc(1, sizeof(*s));
	enum code rc = E_OK;
	struct read r;

	if (s == NULL)
		return err_nomem(e);
	if (x->linearizable && (rc = read_open(&r, x, e)) == E_OK)
		read_close(&r);
	if (rc == E_OK) {
		x->front->ops.status(x->front->ops.ctx, s);
		x->applied = s->applied;
		rc = json_finish(x, status_json(s), e);
	}
	free(s);
	return rc;
}

/* ---- GET /v1/head ---- */

static enum code sign_head(struct exchange *x, struct span trust_domain,
    const struct ca_head *h, const char *when, uint8_t sig[64], struct err *e)
{
	const struct front_ops *ops = &x->front->ops;
	char root[2 * SHA256_LEN + 1];
	struct buf text;
	enum code rc;

	hex_encode(root, h->root, sizeof(h->root));
	buf_init(&text);
	buf_printf(&text, "quorate tree head v1\n%.*s\n%llu\n%llu\n%s\n%s\n",
	    (int)trust_domain.len, (const char *)trust_domain.p,
	    (unsigned long long)h->index, (unsigned long long)h->tree_size,
	    root, when);
	rc = buf_check(&text, e);
	if (rc == E_OK)
		rc = ops->sign_head(ops->ctx, buf_span(&text), sig, e);
	buf_free(&text);
	return rc;
}

enum code head_get(struct exchange *x, struct err *e)
{
	struct front_status *s = calloc(1, sizeof(*s));
	struct ca_head h;
	struct read r;
	uint8_t sig[64];
	char when[32];
	json_t *o;
	enum code rc;

	if (s == NULL)
		return err_nomem(e);
	rc = read_open(&r, x, e);
	if (rc == E_OK)
		rc = ca_head(r.ca, &h, e);
	read_close(&r);
	time_text_s(when, clock_unix_ms() / 1000);
	if (rc == E_OK)
		rc = sign_head(x, x->view->trust_domain, &h, when, sig, e);
	if (rc == E_OK) {
		x->front->ops.status(x->front->ops.ctx, s);
		o = head_json(&h);
		json_set(o, "node", json_u64(s->id));
		json_set(o, "time", json_string(when));
		json_set(o, "signature", json_base64(span_of(sig, 64)));
		rc = json_finish(x, o, e);
	}
	free(s);
	return rc;
}
