/* ops.c -- requests that end in a log entry: to the signer, to raft, and back
 * to whoever waits once the entry is applied. */
#include "node/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/metrics.h"

#define BATCH_MAX 512
#define BATCH_BYTES (1U << 20)
#define NODE_CERT_LIFE_S CA_LEAF_LIFE_MAX_S

/* ---- The table ---- */

static size_t bucket_of(const uint8_t hash[SHA256_LEN])
{
	return (size_t)(get_u64be(hash) % OP_BUCKETS);
}

/* NULL: the table is full. */
static struct op *op_add(struct node *n, struct op *op)
{
	uint64_t slot = 0;

	if (n->ops_n == NODE_OPS_MAX)
		return NULL;
	do {
		op->id = ++n->next_op;
		slot = op->id % NODE_OPS_MAX;
	} while (n->slots[slot] != NULL);
	n->slots[slot] = op;
	op->prev = n->newest;
	op->next = NULL;
	if (n->newest != NULL)
		n->newest->next = op;
	else
		n->oldest = op;
	n->newest = op;
	n->ops_n++;
	op->deadline_ms = clock_mono_ms() + NODE_ANSWER_MS;
	return op;
}

static struct op *op_by_id(const struct node *n, uint64_t id)
{
	struct op *op = n->slots[id % NODE_OPS_MAX];

	return op != NULL && op->id == id ? op : NULL;
}

static void set_state(struct node *n, struct op *op, enum op_state to)
{
	n->to_sign_n -= op->state == OP_TO_SIGN;
	n->to_propose_n -= op->state == OP_TO_PROPOSE;
	op->state = to;
	n->to_sign_n += to == OP_TO_SIGN;
	n->to_propose_n += to == OP_TO_PROPOSE;
}

static void op_free(struct op *op)
{
	free(op->request);
	buf_free(&op->memory);
	buf_free(&op->entry);
	free(op);
}

static void op_remove(struct node *n, struct op *op)
{
	struct op **at;

	set_state(n, op, OP_PROPOSED);
	n->slots[op->id % NODE_OPS_MAX] = NULL;
	*(op->prev != NULL ? &op->prev->next : &n->oldest) = op->next;
	*(op->next != NULL ? &op->next->prev : &n->newest) = op->prev;
	n->ops_n--;
	for (at = &n->buckets[bucket_of(op->hash)]; *at != NULL;
	     at = &(*at)->chain)
		if (*at == op) {
			*at = op->chain;
			break;
		}
}

/* ---- Answers ---- */

static void answer(struct op *op, enum code rc, const char *why)
{
	if (op->kind == OP_ISSUE) {
		struct front_issued r = {.code = rc, .why = why};

		op->issued(op->arg, &r);
	} else if (op->kind == OP_ADMIN) {
		struct front_applied r = {.code = rc, .why = why};

		op->applied(op->arg, &r);
	}
}

static void fail(struct node *n, struct op *op, enum code rc, const char *why)
{
	op_remove(n, op);
	answer(op, rc, why);
	op_free(op);
}

/* Not in the table yet. */
static void refuse(struct op *op, enum code rc, const char *why)
{
	answer(op, rc, why);
	op_free(op);
}

/* The certificate, as whoever reads the log would rebuild it. */
static enum code deliver(
    struct node *n, struct op *op, const struct ca_issue *i, struct err *e)
{
	const struct ca_issuer *is = ca_view_issuer(n->view, i->issuer);
	struct pki_issuer from;
	struct buf der;
	enum code rc;

	if (is == NULL)
		return err_set(e, E_INTERNAL, "the issuer is not in the view");
	buf_init(&der);
	rc = issuers_read(&n->issuers, is->cert, &from, e);
	if (rc == E_OK)
		rc = pki_leaf_der(&der, i, &from, e);
	if (rc == E_OK) {
		struct front_issued r = {.code = E_OK,
		    .why = "",
		    .cert = buf_span(&der),
		    .issuer_cert = is->cert,
		    .root_bundle = buf_span(&n->root_bundle)};

		n->issued++;
		op->issued(op->arg, &r);
	}
	buf_free(&der);
	return rc;
}

void ops_applied(struct node *n, struct span raw, const struct ca_entry *entry,
    const struct ca_result *r)
{
	uint8_t hash[SHA256_LEN];
	struct err e = {0};
	struct op *op;

	if (n->ops_n == 0)
		return;
	sha256_of(hash, raw);
	op = n->buckets[bucket_of(hash)];
	while (op != NULL && memcmp(op->hash, hash, sizeof(hash)) != 0)
		op = op->chain;
	if (op == NULL)
		return;
	op_remove(n, op);
	if (op->kind == OP_ADMIN) {
		struct front_applied a = {.code = r->code,
		    .why = r->why,
		    .index = r->index,
		    .outcome = r->outcome};

		op->applied(op->arg, &a);
	} else if (op->kind == OP_ISSUE) {
		enum code rc = r->code;

		if (rc == E_OK)
			rc = deliver(n, op, &entry->u.issue, &e);
		if (rc != E_OK)
			answer(op, rc, r->code == E_OK ? e.text : r->why);
	}
	op_free(op);
}

/* ---- Coming in ---- */

/* A reason why nothing can be proposed here. */
static enum code cannot_serve(struct node *n, const char **why)
{
	const struct ca_node *self = node_self(n);

	duties_watch_clock(n);
	if (n->diverged[0] != '\0') {
		*why = n->diverged;
		return E_UNAVAILABLE;
	}
	if (n->space_low) {
		*why = "free disk space on this node is below store.reserve: "
		       "nothing is accepted until there is more";
		return E_EXHAUSTED; /* here: clients go on to the next node */
	}
	if (n->clock_off[0] != '\0') {
		*why = n->clock_off;
		return E_UNAVAILABLE;
	}
	if (n->view == NULL || self == NULL) {
		*why = "this node has not caught up with the log yet; its "
		       "/readyz says why";
		return E_UNAVAILABLE;
	}
	if (self->removed) {
		*why = "this node was removed from the trust domain";
		return E_UNAVAILABLE;
	}
	*why = "";
	return E_OK;
}

static void to_propose(struct node *n, struct op *op)
{
	struct op **bucket;

	sha256_of(op->hash, buf_span(&op->entry));
	bucket = &n->buckets[bucket_of(op->hash)];
	op->chain = *bucket;
	*bucket = op;
	set_state(n, op, OP_TO_PROPOSE);
}

static void issue_fill(struct node *n, struct op *op)
{
	struct ca_issue *i = &op->request->issue;
	const struct ca_policy *p = &n->view->policy;
	uint64_t now_s = clock_unix_ms() / 1000, max_s = NODE_CERT_LIFE_S;
	uint64_t ttl_s = i->not_after_s; /* as asked for */

	if (i->profile == CA_PROFILE_WORKLOAD) {
		max_s = p->ttl_max_s;
		if (ttl_s == 0)
			ttl_s = p->ttl_default_s;
	}
	if (ttl_s == 0 || ttl_s > max_s)
		ttl_s = max_s;
	random_bytes(i->serial, sizeof(i->serial));
	i->serial[0] = (uint8_t)((i->serial[0] & 0x3f) | 0x40);
	i->not_before_s = now_s - CA_BACKDATE_S;
	i->not_after_s = now_s + ttl_s;
}

/* False: the signer takes no more now. */
static bool ask_signer(struct node *n, struct op *op)
{
	struct err e = {0};
	enum code rc = signer_ask(n->signer, op->request, &e);

	if (rc == E_OK)
		set_state(n, op, OP_SIGNING);
	else if (rc == E_UNAVAILABLE)
		set_state(n, op, OP_TO_SIGN);
	else
		fail(n, op, rc, e.text);
	return rc != E_UNAVAILABLE;
}

static void issue_run(struct node *n, struct task *t)
{
	struct op *op = (struct op *)(void *)t;
	const char *why;
	char issuer_why[200];
	enum code rc = cannot_serve(n, &why);

	if (rc != E_OK) {
		refuse(op, rc, why);
		return;
	}
	if (look_not_issuing(n, issuer_why, sizeof(issuer_why))) {
		refuse(op, E_UNAVAILABLE, issuer_why);
		return;
	}
	if (op_add(n, op) == NULL) {
		refuse(op, E_EXHAUSTED, "too many requests are under way");
		return;
	}
	issue_fill(n, op);
	op->request->id = op->id;
	ask_signer(n, op);
}

static struct span keep(struct buf *memory, struct span s)
{
	struct span kept = span_of(memory->p + memory->len, s.len);

	buf_add_span(memory, s);
	return kept;
}

static size_t issue_bytes(const struct front_issue *req)
{
	size_t n = req->uri.len + req->common_name.len + req->spki.len +
		   req->cluster.len + req->requester.len + req->pod_name.len +
		   req->pod_uid.len;

	for (size_t i = 0; i < req->dns_n; i++)
		n += req->dns[i].len;
	for (size_t i = 0; i < req->ip_n; i++)
		n += req->ip[i].len;
	return n;
}

static bool issue_copy(struct op *op, const struct front_issue *req)
{
	struct ca_issue *i;

	op->request = calloc(1, sizeof(*op->request));
	if (op->request == NULL ||
	    !buf_reserve(&op->memory, issue_bytes(req) + 1))
		return false;
	i = &op->request->issue;
	i->profile = req->profile;
	i->uri = keep(&op->memory, req->uri);
	for (; i->dns_n < req->dns_n && i->dns_n < CA_LIST_MAX; i->dns_n++)
		i->dns[i->dns_n] = keep(&op->memory, req->dns[i->dns_n]);
	for (; i->ip_n < req->ip_n && i->ip_n < CA_LIST_MAX; i->ip_n++)
		i->ip[i->ip_n] = keep(&op->memory, req->ip[i->ip_n]);
	i->common_name = keep(&op->memory, req->common_name);
	i->spki = keep(&op->memory, req->spki);
	i->not_after_s = req->ttl_s; /* issue_fill makes a time of it */
	i->via = req->via;
	i->cluster = keep(&op->memory, req->cluster);
	i->requester = keep(&op->memory, req->requester);
	i->pod_name = keep(&op->memory, req->pod_name);
	i->pod_uid = keep(&op->memory, req->pod_uid);
	i->has_parent = req->has_parent;
	memcpy(i->parent, req->parent, sizeof(i->parent));
	return true;
}

static struct op *op_new(
    enum op_kind kind, void *arg, void (*run)(struct node *n, struct task *t))
{
	struct op *op = calloc(1, sizeof(*op));

	if (op == NULL)
		return NULL;
	op->kind = kind;
	op->state = OP_PROPOSED; /* counted nowhere */
	op->arg = arg;
	op->task.run = run;
	buf_init(&op->memory);
	buf_init(&op->entry);
	return op;
}

void ops_issue(
    void *ctx, const struct front_issue *req, front_issue_done *done, void *arg)
{
	struct front_issued nomem = {.code = E_NOMEM, .why = "out of memory"};
	struct op *op = op_new(OP_ISSUE, arg, issue_run);

	if (op == NULL || !issue_copy(op, req)) {
		if (op != NULL)
			op_free(op);
		done(arg, &nomem);
		return;
	}
	op->issued = done;
	inbox_post(ctx, &op->task);
}

static void admin_run(struct node *n, struct task *t)
{
	struct op *op = (struct op *)(void *)t;
	struct err e = {0};
	const char *why;
	enum code rc = cannot_serve(n, &why);

	if (rc != E_OK) {
		refuse(op, rc, why);
		return;
	}
	rc = wire_signed_entry(&op->entry, CA_ADMIN, clock_unix_ms(), n->id,
	    buf_span(&op->memory), &e);
	if (rc != E_OK)
		refuse(op, rc, e.text);
	else if (op_add(n, op) == NULL)
		refuse(op, E_EXHAUSTED, "too many requests are under way");
	else
		to_propose(n, op);
}

void ops_admin(
    void *ctx, struct span signed_msg, front_admin_done *done, void *arg)
{
	struct front_applied nomem = {.code = E_NOMEM, .why = "out of memory"};
	struct op *op = op_new(OP_ADMIN, arg, admin_run);

	if (op == NULL || !buf_add_span(&op->memory, signed_msg)) {
		if (op != NULL)
			op_free(op);
		done(arg, &nomem);
		return;
	}
	op->applied = done;
	inbox_post(ctx, &op->task);
}

enum code ops_propose(struct node *n, struct buf *entry, struct err *e)
{
	struct op *op;

	duties_watch_clock(n);
	if (n->clock_off[0] != '\0')
		return err_set(e, E_UNAVAILABLE, "%s", n->clock_off);
	op = op_new(OP_OWN, NULL, NULL);
	if (op == NULL)
		return err_nomem(e);
	if (op_add(n, op) == NULL) {
		op_free(op);
		return err_set(
		    e, E_EXHAUSTED, "too many requests are under way");
	}
	op->entry = *entry;
	buf_init(entry);
	to_propose(n, op);
	return E_OK;
}

/* ---- The signer ---- */

static void on_signed(
    struct node *n, struct op *op, const struct signer_answer *a)
{
	struct ca_issue *i = &op->request->issue;
	struct err e = {0};
	enum code rc = a->code;

	if (rc != E_OK) {
		fail(n, op, rc, a->why);
		return;
	}
	memcpy(i->issuer, a->issuer, sizeof(i->issuer));
	i->encoder = a->encoder;
	i->not_before_s = a->not_before_s;
	i->not_after_s = a->not_after_s;
	i->policy_version = a->policy_version;
	i->signer_boot = a->signer_boot;
	i->signer_seq = a->signer_seq;
	i->signature = span_of(a->signature, a->signature_len);
	memcpy(i->cert_sha256, a->cert_sha256, sizeof(i->cert_sha256));
	rc = wire_issue_encode(&op->entry, clock_unix_ms(), n->id, i, &e);
	duties_watch_clock(n);
	if (rc == E_OK && n->clock_off[0] != '\0')
		rc = err_set(&e, E_UNAVAILABLE, "%s", n->clock_off);
	if (rc != E_OK) {
		fail(n, op, rc, e.text);
		return;
	}
	free(op->request);
	op->request = NULL;
	buf_free(&op->memory);
	to_propose(n, op);
}

enum code ops_sign(struct node *n, struct err *e)
{
	struct signer_answer a;
	struct op *op, *next;
	enum code rc;

	while ((rc = signer_receive(n->signer, &a, e)) == E_OK) {
		op = op_by_id(n, a.id);
		if (op != NULL && op->state == OP_SIGNING)
			on_signed(n, op, &a);
	}
	if (rc != E_NOTFOUND)
		return err_wrap(e, rc, "the signer");
	for (op = n->oldest; op != NULL && n->to_sign_n > 0; op = next) {
		next = op->next;
		if (op->state == OP_TO_SIGN && !ask_signer(n, op))
			break;
	}
	return E_OK;
}

/* ---- Raft ---- */

static bool submit_batch(struct node *n, struct op **ops, size_t count)
{
	struct raft_span spans[BATCH_MAX];
	uint64_t now = clock_mono_ms();

	for (size_t i = 0; i < count; i++)
		spans[i] =
		    (struct raft_span){ops[i]->entry.p, ops[i]->entry.len};
	if (count == 0 || raft_propose(n->raft, spans, count) != RAFT_OK)
		return false;
	for (size_t i = 0; i < count; i++) {
		set_state(n, ops[i], OP_PROPOSED);
		ops[i]->proposed_ms = now;
		ops[i]->was_proposed = true;
	}
	return true;
}

void ops_submit(struct node *n)
{
	struct op *batch[BATCH_MAX];
	bool more = true;

	while (more && n->to_propose_n > 0 && n->leader != 0) {
		size_t count = 0, bytes = 0;

		for (struct op *op = n->oldest; op != NULL && count < BATCH_MAX;
		     op = op->next) {
			if (op->state != OP_TO_PROPOSE)
				continue;
			if (count > 0 && bytes + op->entry.len > BATCH_BYTES)
				break;
			batch[count++] = op;
			bytes += op->entry.len;
		}
		more = submit_batch(n, batch, count);
	}
}

void ops_resubmit(struct node *n)
{
	for (struct op *op = n->oldest; op != NULL; op = op->next)
		if (op->state == OP_PROPOSED && op->was_proposed)
			set_state(n, op, OP_TO_PROPOSE);
}

static void expire(struct node *n, struct op *op)
{
	if (op->was_proposed)
		fail(n, op, E_UNAVAILABLE,
		    "no quorum confirmed this within 2 s; it may still be "
		    "logged, and is then not delivered");
	else if (n->leader == 0)
		fail(n, op, E_UNAVAILABLE,
		    "no quorum: no leader was found within 2 s, and nothing "
		    "was logged");
	else
		fail(n, op, E_UNAVAILABLE,
		    "the node did not get to this within 2 s, and nothing was "
		    "logged");
}

void ops_expire(struct node *n)
{
	uint64_t now = clock_mono_ms();

	while (n->oldest != NULL && n->oldest->deadline_ms <= now)
		expire(n, n->oldest);
	if (n->role == RAFT_LEADER)
		return;
	/* A forwarded proposal may be lost on its way. */
	for (struct op *op = n->oldest; op != NULL; op = op->next)
		if (op->state == OP_PROPOSED && op->was_proposed &&
		    now - op->proposed_ms > NODE_RESEND_MS)
			set_state(n, op, OP_TO_PROPOSE);
}

void ops_close(struct node *n)
{
	for (struct op *op = n->oldest, *next; op != NULL; op = next) {
		next = op->next;
		fail(n, op, E_UNAVAILABLE,
		    op->was_proposed
			? "the node stops; this may still be logged"
			: "the node stops, and nothing was logged");
	}
}
