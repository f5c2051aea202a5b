/* look.c -- how the node is: for operators, for probes, for peers. */
#include "node/internal.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define CRL_ALARM_S (5 * 86400) /* of 7 days: signed hourly, if all is well */
#define STUCK_MS 3000           /* the loop has not come round for that long */

/* ---- The issuer ---- */

static bool settles(
    const struct node *n, const struct ca_issuer *is, char *why, size_t size)
{
	uint64_t now = clock_unix_ms(),
		 settle = n->view->policy.issuer_settle_ms;

	/* The first issuer has nobody to wait for. */
	if (is->added_ms == n->view->genesis_ms || now >= is->added_ms + settle)
		return false;
	snprintf(why, size, "this node's issuer settles for another %llu s",
	    (unsigned long long)(is->added_ms + settle - now + 999) / 1000);
	return true;
}

bool look_not_issuing(struct node *n, char *why, size_t size)
{
	const struct ca_node *self = node_self(n);
	const struct ca_issuer *is = NULL;
	uint64_t now_s = clock_unix_ms() / 1000;

	why[0] = '\0';
	if (n->diverged[0] != '\0')
		snprintf(why, size, "%s", n->diverged);
	else if (self == NULL)
		snprintf(why, size, "this node has not caught up with the log");
	else if (self->removed)
		snprintf(why, size, "this node was removed");
	else if (!self->has_issuer)
		snprintf(why, size, "this node is a witness: it has no issuer");
	else if ((is = ca_view_issuer(n->view, self->issuer)) == NULL)
		snprintf(why, size, "this node's issuer is not registered");
	else if (is->state != CA_ISSUER_ACTIVE)
		snprintf(why, size, "this node's issuer is %s",
		    is->state == CA_ISSUER_RETIRED ? "retired" : "revoked");
	else if (is->not_after_s < now_s + n->view->policy.ttl_max_s)
		snprintf(why, size,
		    "this node's issuer ends within one leaf's life: let a new "
		    "node join for its cluster, then remove this one");
	else if (n->clock_off[0] != '\0')
		snprintf(why, size, "%s", n->clock_off);
	else if (!settles(n, is, why, size))
		crl_awaited(n, is, why, size);
	return why[0] != '\0';
}

/* ---- Status ---- */

void look_head(const struct node *n, struct ca_head *out)
{
	if (ca_applied(n->ca) == 0 || ca_head(n->ca, out, NULL) != E_OK)
		*out = (struct ca_head){0};
}

static const char *role_name(const struct node *n, const struct raft_status *st)
{
	for (size_t i = 0; i < st->conf.learners_n; i++)
		if (st->conf.learners[i] == n->id)
			return "learner";
	return raft_state_name(st->state);
}

static const char *member_state(
    const struct raft_conf_state *c, const struct ca_node *one)
{
	if (one->removed)
		return peers_is_member(c, one->id) ? "leaving" : "removed";
	for (size_t i = 0; i < c->voters_n; i++)
		if (c->voters[i] == one->id)
			return "voter";
	return peers_is_member(c, one->id) ? "learner" : "joining";
}

static void text_of(char *out, size_t size, struct span s)
{
	snprintf(out, size, "%.*s", (int)s.len, (const char *)s.p);
}

static void member_as_heard(
    struct node *n, const struct raft_status *st, struct front_member *m)
{
	struct mesh_peer_status link = {0};
	const struct peer *p = peers_find(n, m->id);
	uint64_t now = clock_mono_ms();

	if (p == NULL)
		return;
	(void)mesh_peer_status(n->mesh, m->id, &link);
	m->heard_ms_ago = link.heard_ms == 0 ? now : now - link.heard_ms;
	m->reachable = link.heard_ms != 0 && m->heard_ms_ago < NODE_SILENT_MS;
	m->applied = m->match = p->applied;
	m->tree_size = p->tree_size;
	m->clock_offset_ms = p->clock_offset_ms;
	m->issuing = p->issuing && m->reachable;
	for (size_t i = 0; i < st->peers_n; i++)
		if (st->peers[i].id == m->id)
			m->match = st->peers[i].match;
}

static void fill_members(
    struct node *n, const struct raft_status *st, struct front_status *out)
{
	const size_t max = sizeof(out->members) / sizeof(out->members[0]);

	for (size_t i = 0; n->view != NULL && i < n->view->nodes_n; i++) {
		const struct ca_node *one = &n->view->nodes[i];
		struct front_member *m = &out->members[out->members_n];

		if (out->members_n == max)
			return;
		m->id = one->id;
		text_of(m->cluster, sizeof(m->cluster), one->cluster);
		text_of(m->mesh_address, sizeof(m->mesh_address),
		    one->mesh_address);
		snprintf(m->state, sizeof(m->state), "%s",
		    member_state(&st->conf, one));
		m->leader = one->id == st->leader;
		m->self = one->id == n->id;
		if (m->self) {
			m->reachable = true;
			m->match = st->last_index;
			m->applied = out->applied;
			m->tree_size = out->head.tree_size;
			m->issuing = out->issuing_why[0] == '\0';
		} else {
			member_as_heard(n, st, m);
		}
		out->members_n++;
	}
}

static void alarm(struct front_status *out, const char *text)
{
	const size_t max = sizeof(out->alarms) / sizeof(out->alarms[0]);

	if (text[0] != '\0' && out->alarms_n < max)
		snprintf(out->alarms[out->alarms_n++], sizeof(out->alarms[0]),
		    "%s", text);
}

static void crl_alarms(const struct node *n, struct front_status *out)
{
	uint64_t now_s = clock_unix_ms() / 1000;
	char text[200];

	for (size_t i = 0; n->view != NULL && i < n->view->issuers_n; i++) {
		const struct ca_issuer *is = &n->view->issuers[i];
		const struct ca_crl *c = ca_view_crl(n->view, is->key_id);

		if (c == NULL || c->number == 0 ||
		    is->state == CA_ISSUER_REVOKED || is->not_after_s < now_s)
			continue;
		if (c->next_s < now_s + CRL_ALARM_S) {
			snprintf(text, sizeof(text),
			    "the CRL of issuer \"%.*s\" ends in %lld h: its "
			    "node must be in reach to sign the next one",
			    (int)is->name.len, (const char *)is->name.p,
			    ((long long)c->next_s - (long long)now_s) / 3600);
			alarm(out, text);
		}
		if (c->entries * 10 > CA_CRL_ENTRIES_MAX * 7ULL) {
			snprintf(text, sizeof(text),
			    "the CRL of issuer \"%.*s\" has %llu entries; "
			    "Istio's ConfigMap holds about %d",
			    (int)is->name.len, (const char *)is->name.p,
			    (unsigned long long)c->entries, CA_CRL_ENTRIES_MAX);
			alarm(out, text);
		}
	}
}

static void fill_crls(const struct node *n, struct front_status *out)
{
	const size_t max = sizeof(out->crls) / sizeof(out->crls[0]);

	for (size_t i = 0; n->view != NULL && i < n->view->issuers_n; i++) {
		const struct ca_issuer *is = &n->view->issuers[i];
		const struct ca_crl *c = ca_view_crl(n->view, is->key_id);
		struct front_crl *to = &out->crls[out->crls_n];

		if (out->crls_n == max)
			return;
		out->crls_n++;
		text_of(to->issuer, sizeof(to->issuer), is->name);
		to->state = is->state;
		if (c == NULL)
			continue;
		to->number = c->number;
		to->this_s = c->this_s;
		to->next_s = c->next_s;
		to->entries = c->entries;
		to->due = c->number == 0 || c->dirty_index > c->content_index;
	}
}

static void fill_alarms(struct node *n, struct front_status *out)
{
	uint64_t bad = atomic_load(&n->bad_record);
	char text[200];

	alarm(out, n->diverged);
	alarm(out, n->alarm_members);
	alarm(out, n->alarm_snapshot);
	alarm(out, n->clock_off);
	if (n->space_low)
		alarm(out, "free disk space is below store.reserve: nothing is "
			   "accepted here");
	if (bad != 0) {
		snprintf(text, sizeof(text),
		    "record %llu carries a signature that does not hold",
		    (unsigned long long)bad);
		alarm(out, text);
	}
	if (n->repair.ask != 0) {
		snprintf(text, sizeof(text),
		    "this node's log was damaged: it does not vote until its "
		    "peers have sent what it lost; found: %.90s",
		    store_repairing(n->store));
		alarm(out, text);
	}
	crl_alarms(n, out);
	if (publish_failing(n, text, sizeof(text)))
		alarm(out, text);
	if (!out->quorum)
		alarm(out, "no leader: fewer than a quorum of voters is in "
			   "reach, nothing is issued");
}

static void fill(struct node *n, void *arg)
{
	struct front_status *out = arg;
	const struct config *c = &n->provision.config;
	struct raft_status st;

	raft_status(n->raft, &st);
	snprintf(out->trust_domain, sizeof(out->trust_domain), "%s",
	    c->trust_domain);
	snprintf(out->cluster, sizeof(out->cluster), "%s", c->cluster);
	snprintf(out->version, sizeof(out->version), "%s", QUORATE_VERSION);
	out->id = n->id;
	out->leader = st.leader;
	out->term = st.hard.term;
	out->commit = st.hard.commit;
	out->applied = store_applied(n->store);
	out->first_index = store_first_index(n->store);
	out->last_index = store_last_index(n->store);
	snprintf(out->role, sizeof(out->role), "%s", role_name(n, &st));
	out->quorum = st.leader != 0;
	look_head(n, &out->head);
	out->issued = n->issued;
	out->uptime_s = (clock_mono_ms() - n->started_ms) / 1000;
	(void)look_not_issuing(n, out->issuing_why, sizeof(out->issuing_why));
	fill_members(n, &st, out);
	fill_crls(n, out);
	fill_alarms(n, out);
}

void look_status(void *ctx, struct front_status *out)
{
	memset(out, 0, sizeof(*out));
	inbox_call(ctx, fill, out);
}

uint64_t look_age_ms(void *ctx)
{
	struct node *n = ctx;

	return clock_mono_ms() - atomic_load(&n->in_touch_ms);
}

bool look_clock_off(void *ctx)
{
	struct node *n = ctx;

	return atomic_load(&n->clock_is_off);
}

uint64_t look_published(void *ctx)
{
	struct node *n = ctx;

	return n->publisher == NULL ? UINT64_MAX : atomic_load(&n->published);
}

/* ---- Readiness ---- */

/* How many entries others have applied and this node has not. */
static uint64_t lag(const struct node *n)
{
	uint64_t applied = store_applied(n->store), most = applied;

	for (size_t i = 0; i < n->peers_n; i++)
		if (n->peers[i].applied > most)
			most = n->peers[i].applied;
	return most - applied;
}

void look_publish(struct node *n, const struct raft_status *st)
{
	const struct ca_node *self = node_self(n);
	uint64_t have, of;
	char issuing[200];
	struct buf why;

	buf_init(&why);
	/* This one first: nothing but a replacement helps. */
	if (n->diverged[0] != '\0')
		buf_printf(&why, "%s\n", n->diverged);
	else if (n->alarm_snapshot[0] != '\0')
		buf_printf(&why, "%s\n", n->alarm_snapshot);
	if (n->repair.ask != 0)
		buf_add_str(&why, "this node's log was damaged: it does not "
				  "vote until its peers have sent what it "
				  "lost\n");
	if (snapshot_in_progress(n, &have, &of))
		buf_printf(&why,
		    "this node receives a snapshot: it has %llu entries of "
		    "%llu\n",
		    (unsigned long long)have, (unsigned long long)of);
	if (self == NULL)
		buf_add_str(&why, "the log has not reached this node yet\n");
	else if (self->removed)
		buf_add_str(&why, "this node was removed by an operator\n");
	else if (strcmp(role_name(n, st), "learner") == 0)
		buf_add_str(&why, "this node is a learner: it still catches "
				  "up before it votes\n");
	if (lag(n) > NODE_LAG_MAX && why.len == 0)
		buf_printf(&why,
		    "this node is %llu entries behind the others and catches "
		    "up\n",
		    (unsigned long long)lag(n));
	if (st->leader == 0)
		buf_add_str(&why, "no leader: fewer than a quorum of voters "
				  "is in reach\n");
	if (!api_cert_there(n))
		buf_add_str(&why, "no API certificate yet\n");
	if (n->space_low)
		buf_add_str(&why, "free disk space is below store.reserve\n");
	if (self != NULL && !self->removed && self->has_issuer &&
	    n->diverged[0] == '\0' &&
	    look_not_issuing(n, issuing, sizeof(issuing)))
		buf_printf(&why, "%s\n", issuing);
	look_set_ready(n, &why);
}

void look_set_ready(struct node *n, struct buf *why)
{
	pthread_mutex_lock(&n->lock);
	buf_free(&n->not_ready);
	n->not_ready = *why;
	n->turned_ms = clock_mono_ms();
	pthread_mutex_unlock(&n->lock);
	buf_init(why);
}

enum code look_ready(void *ctx, struct buf *why)
{
	struct node *n = ctx;
	uint64_t ago;

	pthread_mutex_lock(&n->lock);
	buf_add_span(why, buf_span(&n->not_ready));
	ago = clock_mono_ms() - n->turned_ms;
	pthread_mutex_unlock(&n->lock);
	if (ago > STUCK_MS)
		buf_printf(why,
		    "the node loop has not come round for %llu s: is the disk "
		    "slow or stuck?\n",
		    (unsigned long long)ago / 1000);
	return why->len == 0 ? E_OK : E_UNAVAILABLE;
}
