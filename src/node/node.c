/* node.c -- what a node is made of, and in which order it comes and goes. */
#include "node/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log_event.h"

/* ---- What the front asks for ---- */

static struct ca_view *view(void *ctx)
{
	struct node *n = ctx;
	struct ca_view *v;

	pthread_mutex_lock(&n->lock);
	v = n->view_out == NULL ? NULL : ca_view_ref(n->view_out);
	pthread_mutex_unlock(&n->lock);
	return v;
}

struct transfer {
	uint64_t to;
	enum code rc;
	struct err *e;
};

static raft_id any_other_voter(const struct raft_status *st)
{
	for (size_t i = 0; i < st->conf.voters_n; i++)
		if (st->conf.voters[i] != st->leader)
			return st->conf.voters[i];
	return 0;
}

static bool is_voter(const struct raft_status *st, raft_id id)
{
	for (size_t i = 0; i < st->conf.voters_n; i++)
		if (st->conf.voters[i] == id)
			return true;
	return false;
}

static void transfer_run(struct node *n, void *arg)
{
	struct transfer *t = arg;
	struct raft_status st;
	raft_id to = t->to;

	raft_status(n->raft, &st);
	if (to == 0)
		to = st.state == RAFT_LEADER ? duties_successor(n, &st)
					     : any_other_voter(&st);
	if (st.leader == 0)
		t->rc = err_set(t->e, E_UNAVAILABLE,
		    "there is no leader to hand over: quorate status shows "
		    "who is in reach");
	else if (to == 0)
		t->rc = err_set(t->e, E_CONFLICT,
		    "there is no other voter in reach to take the lead");
	else if (!is_voter(&st, to))
		t->rc = err_set(t->e, E_NOTFOUND,
		    "node %llu is not a voter: quorate member list shows them",
		    (unsigned long long)to);
	else if (raft_transfer_leader(n->raft, to) != RAFT_OK)
		t->rc = err_set(t->e, E_UNAVAILABLE,
		    "leadership cannot be handed over now; try again");
}

static enum code transfer(void *ctx, uint64_t to, struct err *e)
{
	struct transfer t = {.to = to, .rc = E_OK, .e = e};

	inbox_call(ctx, transfer_run, &t);
	return t.rc;
}

struct signing {
	struct span head;
	uint8_t *sig;
	enum code rc;
	struct err *e;
};

static void sign_run(struct node *n, void *arg)
{
	struct signing *s = arg;

	s->rc = signer_sign_head(n->signer, s->head, s->sig, s->e);
}

static enum code sign_head(
    void *ctx, struct span head, uint8_t sig[64], struct err *e)
{
	struct signing s = {.head = head, .sig = sig, .e = e};

	inbox_call(ctx, sign_run, &s);
	return s.rc;
}

/* ---- Life ---- */

static enum code start_signer(struct node *n, struct err *e)
{
	char keys[PATH_MAX], seal[PATH_MAX];
	struct signer_config c = {.keys_path = keys, .seal_key_path = seal};
	enum code rc;

#ifdef QUORATE_SANITIZED
	c.no_seccomp = true; /* their run-time needs more than a signer does */
#endif
	rc = fs_join(keys, sizeof(keys), n->dir, PROVISION_SIGNER, e);
	if (rc == E_OK)
		rc = fs_join(seal, sizeof(seal), n->dir, PROVISION_SEAL_KEY, e);
	if (rc == E_OK)
		rc = signer_start(&n->signer, &c, e);
	return rc == E_OK ? E_OK : err_wrap(e, rc, "the signer");
}

static enum code start_front(struct node *n, struct err *e)
{
	const struct config *c = &n->provision.config;
	const struct front_config fc = {.listen = c->listen,
	    .grpc_port = c->port_grpc,
	    .https_port = c->port_https,
	    .http_port = c->port_http,
	    .metrics_port = c->port_metrics};
	const struct front_ops ops = {.ctx = n,
	    .view = view,
	    .issue = ops_issue,
	    .admin = ops_admin,
	    .transfer = transfer,
	    .read_begin = reads_begin,
	    .read_end = reads_end,
	    .status = look_status,
	    .age_ms = look_age_ms,
	    .published = look_published,
	    .clock_off = look_clock_off,
	    .ready = look_ready,
	    .sign_head = sign_head};

	return front_start(&n->front, &fc, &ops, e);
}

static enum code open_parts(struct node *n, struct err *e)
{
	struct buf starting;
	/* Looked at, and wiped, before the signer is forked: its memory holds
	 * no key but its own. */
	enum code rc = provision_open(&n->provision, n->dir, e);

	provision_close(&n->provision);
	if (rc == E_OK)
		rc = start_signer(n, e);
	if (rc == E_OK)
		rc = provision_open(&n->provision, n->dir, e);
	if (rc != E_OK)
		return rc;
	log_setup(n->provision.config.log_level, "quorated");
	n->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (n->wake_fd < 0)
		return err_set(e, E_IO, "eventfd: %s", strerror(errno));
	buf_init(&starting);
	buf_add_str(&starting, "starting\n");
	look_set_ready(n, &starting);
	return start_front(n, e);
}

enum code node_open(
    struct node **out, const char *dir, const char *raft_trace, struct err *e)
{
	struct node *n = calloc(1, sizeof(*n));
	enum code rc;

	*out = NULL;
	if (n == NULL)
		return err_nomem(e);
	n->wake_fd = -1;
	n->started_ms = clock_mono_ms();
	atomic_store(&n->in_touch_ms, n->started_ms);
	n->crypto = pki_ca_crypto();
	n->inbox_end = &n->inbox;
	pthread_mutex_init(&n->lock, NULL);
	buf_init(&n->not_ready);
	buf_init(&n->root_bundle);
	if (snprintf(n->dir, sizeof(n->dir), "%s", dir) >= (int)sizeof(n->dir))
		rc = err_set(
		    e, E_INVAL, "the data directory's name is too long");
	else
		rc = open_parts(n, e);
	if (rc == E_OK && raft_trace != NULL)
		rc = trace_open(n, raft_trace, e);
	if (rc != E_OK)
		node_close(n);
	else
		*out = n;
	return rc;
}

void node_close(struct node *n)
{
	if (n == NULL)
		return;
	if (n->front != NULL)
		front_stop(n->front, 0);
	api_cert_close(n);
	ops_close(n);
	verify_stop(n);
	publish_stop(n);
	snapshot_in_drop(n);
	peers_close(n);
	raft_free(n->raft);
	trace_close(n);
	ca_close(n->ca);
	store_close(n->store);
	signer_stop(n->signer);
	ca_view_unref(n->view);
	ca_view_unref(n->view_out);
	provision_close(&n->provision);
	buf_free(&n->not_ready);
	buf_free(&n->root_bundle);
	issuers_free(&n->issuers);
	pthread_mutex_destroy(&n->lock);
	if (n->wake_fd >= 0)
		close(n->wake_fd);
	free(n);
}
