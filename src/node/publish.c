/* publish.c -- publish.dir: what an istiod mounts, kept up to date by a thread
 * of its own.  Each file is replaced as a whole, and only by one that is there
 * and holds together. */
#include "node/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log_event.h"
#include "front/trust.h"
#include "node/background.h"

#define LOOK_MS 100
#define RETRY_MS 5000 /* after a failed write */

enum { FILE_ROOTS, FILE_CRLS, FILE_BUNDLE, FILE_FEDERATED, FILES };
static const char *const names[FILES] = {
    "root-cert.pem", "ca-crl.pem", "bundle.json", "federated.json"};

struct publisher {
	struct node *n;
	const char *dir;
	struct background *background;
	pthread_mutex_t lock;
	uint64_t wanted; /* index of the newest view; under lock */
	char why[160];   /* the last attempt failed; under lock */
	uint64_t done;   /* what was published last */
	uint64_t retry_ms;
	uint8_t sum[FILES][SHA256_LEN]; /* of what the files hold */
	bool known[FILES];
};

/* ---- Writing ---- */

static enum code put(
    struct publisher *p, int file, const struct buf *data, struct err *e)
{
	uint8_t sum[SHA256_LEN];
	char path[PATH_MAX];
	enum code rc;

	sha256_of(sum, buf_span(data));
	rc = fs_join(path, sizeof(path), p->dir, names[file], e);
	if (rc == E_OK && p->known[file] &&
	    memcmp(p->sum[file], sum, sizeof(sum)) == 0 &&
	    access(path, F_OK) == 0)
		return E_OK;
	if (rc == E_OK)
		rc = fs_write(path, buf_span(data), 0644, e);
	if (rc != E_OK)
		return rc;
	memcpy(p->sum[file], sum, sizeof(sum));
	p->known[file] = true;
	log_event(EV_published, "file=%s bytes=%zu", names[file], data->len);
	return E_OK;
}

static enum code render(
    const struct ca *ca, struct buf out[FILES], uint64_t *index, struct err *e)
{
	struct ca_view *v;
	enum code rc = ca_view_load(ca, &v, e);

	if (rc != E_OK)
		return rc;
	*index = v->applied;
	rc = trust_roots_pem(v, &out[FILE_ROOTS], e);
	if (rc == E_OK)
		rc = trust_crls_pem(ca, v, &out[FILE_CRLS], e);
	if (rc == E_OK)
		rc = trust_bundle_json(v, &out[FILE_BUNDLE], e);
	if (rc == E_OK)
		rc = trust_federated_json(v, &out[FILE_FEDERATED], e);
	ca_view_unref(v);
	return rc;
}

/* The state is read as it is durable, and let go before anything is written. */
static enum code read_state(
    struct node *n, struct buf out[FILES], uint64_t *index, struct err *e)
{
	struct store_read *read = NULL;
	struct ca *ca = NULL;
	struct ca_db db;
	enum code rc = store_read_begin(n->store, &read, &db, e);

	if (rc == E_OK)
		rc = ca_open(&ca, db, n->crypto, e);
	if (rc == E_OK)
		rc = render(ca, out, index, e);
	ca_close(ca);
	store_read_end(read);
	return rc;
}

static void set_why(struct publisher *p, const char *why)
{
	pthread_mutex_lock(&p->lock);
	snprintf(p->why, sizeof(p->why), "%.150s", why);
	pthread_mutex_unlock(&p->lock);
}

static void publish(struct publisher *p)
{
	struct buf out[FILES];
	uint64_t index = 0;
	struct err e = {0};
	enum code rc;

	for (int i = 0; i < FILES; i++)
		buf_init(&out[i]);
	rc = read_state(p->n, out, &index, &e);
	if (rc == E_NOTFOUND) /* no Genesis yet */
		goto out;
	for (int i = 0; i < FILES && rc == E_OK; i++)
		rc = put(p, i, &out[i], &e);
	if (rc == E_OK) {
		p->done = index;
		atomic_store(&p->n->published, index);
		set_why(p, "");
	} else {
		p->retry_ms = clock_mono_ms() + RETRY_MS;
		set_why(p, e.text);
		log_event(EV_publish_failed, "dir=%s code=%s why=\"%s\"",
		    p->dir, code_name(rc), e.text);
	}
out:
	for (int i = 0; i < FILES; i++)
		buf_free(&out[i]);
}

/* ---- The thread ---- */

static void look(void *arg)
{
	struct publisher *p = arg;
	uint64_t wanted;

	pthread_mutex_lock(&p->lock);
	wanted = p->wanted;
	pthread_mutex_unlock(&p->lock);
	if (wanted > p->done && clock_mono_ms() >= p->retry_ms)
		publish(p);
}

void publish_view(struct node *n)
{
	struct publisher *p = n->publisher;

	if (p == NULL || n->view == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->wanted = n->view->applied;
	pthread_mutex_unlock(&p->lock);
	background_nudge(p->background);
}

bool publish_failing(struct node *n, char *why, size_t size)
{
	struct publisher *p = n->publisher;
	bool failing;

	if (p == NULL)
		return false;
	pthread_mutex_lock(&p->lock);
	failing = p->why[0] != '\0';
	snprintf(why, size, "publish.dir is not up to date: %.150s", p->why);
	pthread_mutex_unlock(&p->lock);
	return failing;
}

enum code publish_start(struct node *n, struct err *e)
{
	const char *dir = n->provision.config.publish_dir;
	struct publisher *p;
	enum code rc;

	if (dir[0] == '\0')
		return E_OK;
	if ((rc = fs_mkdirs(dir, 0755, e)) != E_OK)
		return err_wrap(e, rc, "publish.dir");
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return err_nomem(e);
	p->n = n;
	p->dir = dir;
	pthread_mutex_init(&p->lock, NULL);
	rc = background_start(&p->background, LOOK_MS, look, p, e);
	if (rc != E_OK) {
		free(p);
		return rc;
	}
	n->publisher = p;
	publish_view(n);
	return E_OK;
}

void publish_stop(struct node *n)
{
	struct publisher *p = n->publisher;

	if (p == NULL)
		return;
	background_stop(p->background);
	pthread_mutex_destroy(&p->lock);
	free(p);
	n->publisher = NULL;
}
