/* joining.c -- a node that nobody has approved yet asks, every two seconds. */
#include "node/internal.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log_event.h"
#include "client/join.h"

#define ASK_MS 2000

static void say(struct node *n, const char *text)
{
	struct buf why;

	buf_init(&why);
	buf_printf(&why, "%s\n", text);
	look_set_ready(n, &why);
}

/* Keep the answer; the data directory is then a node's. */
static enum code approve(
    struct node *n, const struct join_answer *said, struct err *e)
{
	const struct provision_approved a = {.id = said->id,
	    .genesis = buf_span(&said->genesis),
	    .api_cert = buf_span(&said->api_cert),
	    .peers = buf_span(&said->peers)};
	enum code rc = provision_approve(n->dir, &a, e);

	if (rc != E_OK)
		return rc;
	provision_close(&n->provision);
	return provision_open(&n->provision, n->dir, e);
}

/* One round.  *done: approved. */
static enum code ask(struct node *n, struct join *j, bool *done, struct err *e)
{
	struct join_answer said;
	struct err one = {0};
	char text[600];
	enum code rc =
	    join_poll(j, buf_span(&n->provision.join_request), &said, &one);

	if (rc != E_OK) {
		log_event(EV_join_failed, "code=%s why=\"%s\"", code_name(rc),
		    one.text);
		snprintf(
		    text, sizeof(text), "cannot ask to join: %s", one.text);
		say(n, text);
		rc = E_OK; /* servers come back, tokens arrive late */
	} else if (said.approved) {
		rc = approve(n, &said, e);
		*done = rc == E_OK;
	} else {
		snprintf(text, sizeof(text),
		    "waiting for an operator: quorate issuer approve %s",
		    n->provision.config.cluster);
		say(n, text);
	}
	join_answer_free(&said);
	return rc;
}

enum code joining_wait(struct node *n, struct err *e)
{
	struct provision *p = &n->provision;
	struct join *j = NULL;
	bool done = false;
	enum code rc = join_open(&j, (const char *const *)p->servers.v,
	    p->servers.n, p->root_sha256, e);

	if (rc == E_OK)
		log_event(EV_joining, "trust_domain=%s cluster=%s servers=%zu",
		    p->config.trust_domain, p->config.cluster, p->servers.n);
	while (rc == E_OK && !done && !atomic_load(&n->stop)) {
		rc = ask(n, j, &done, e);
		if (!done && inbox_wait(n, ASK_MS))
			inbox_run(n);
	}
	join_close(j);
	if (rc != E_OK)
		return err_wrap(e, rc, "joining");
	if (done)
		log_event(EV_approved, "id=%llu",
		    (unsigned long long)p->config.node_id);
	return E_OK;
}
