/* store.c -- opening and closing, whose directory it is, and space. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log_event.h"
#include "base/metrics.h"
#include "base/text.h"
#include "store/internal.h"

char *store_path(const struct store *s, const char *name)
{
	size_t size = strlen(s->dir) + strlen(name) + 2;
	char *path = malloc(size);

	if (path != NULL)
		snprintf(path, size, "%s/%s", s->dir, name);
	return path;
}

static enum code lock_dir(struct store *s, struct err *e)
{
	char *path = store_path(s, "store.lock");
	enum code rc = E_OK;

	if (path == NULL)
		return err_nomem(e);
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		rc = err_set(e,
		    errno == EACCES || errno == EROFS ? E_DENIED : E_IO,
		    "opening %s: %s (the data directory must belong to the "
		    "user quorated runs as)",
		    path, strerror(errno));
	else if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
		rc = errno == EWOULDBLOCK
			 ? err_set(e, E_CONFLICT,
			       "%s is in use by another process: stop that "
			       "quorated first",
			       s->dir)
			 : err_set(e, E_IO, "locking %s: %s", path,
			       strerror(errno));
	free(path);
	return rc;
}

/* DIR/store.lock is not empty once the directory was bound: then a raft/ that
 * is not is one that was lost, and its node must not vote again under its id.
 */
static enum code mark_bound(const struct store *s, struct err *e)
{
	static const char text[] = "bound\n";
	struct stat st;

	if (fstat(s->lock_fd, &st) == 0 && st.st_size > 0)
		return E_OK;
	if (pwrite(s->lock_fd, text, sizeof(text) - 1, 0) !=
		(ssize_t)sizeof(text) - 1 ||
	    fsync(s->lock_fd) != 0)
		return err_set(e, E_IO, "writing %s/store.lock: %s", s->dir,
		    strerror(errno));
	return E_OK;
}

static enum code check_mark(const struct store *s, struct err *e)
{
	struct stat st;

	if (s->bound || fstat(s->lock_fd, &st) != 0 || st.st_size == 0)
		return E_OK;
	return err_set(e, E_CORRUPT,
	    "%s: raft/ was lost: a node without its log must not come back "
	    "under its id; " STORE_REPLACE,
	    s->dir);
}

/* ---- Identity ---- */

static enum code identity_load(
    const struct env *v, struct store_identity *out, bool *bound, struct err *e)
{
	MDB_txn *txn;
	enum code rc = env_begin(v, MDB_RDONLY, &txn, e);

	if (rc != E_OK)
		return rc;
	rc = identity_get(v, txn, out, e);
	*bound = rc == E_OK;
	mdb_txn_abort(txn);
	return rc == E_NOTFOUND ? E_OK : rc;
}

static enum code identity_save(
    const struct env *v, const struct store_identity *id, struct err *e)
{
	MDB_txn *txn;
	enum code rc = env_begin(v, 0, &txn, e);

	if (rc != E_OK)
		return rc;
	rc = identity_put(v, txn, id, e);
	if (rc == E_OK)
		rc = env_commit(v, &txn, e);
	mdb_txn_abort(txn);
	return rc;
}

static bool same_identity(
    const struct store_identity *a, const struct store_identity *b)
{
	return a->node_id == b->node_id &&
	       memcmp(a->trust_domain, b->trust_domain,
		   sizeof(a->trust_domain)) == 0;
}

/* "node 3 of trust domain 0a1b2c3d" */
static const char *identity_name(
    const struct store_identity *id, char *out, size_t size)
{
	char hex[9];

	hex_encode(hex, id->trust_domain, 4);
	snprintf(out, size, "node %llu of trust domain %s...",
	    (unsigned long long)id->node_id, hex);
	return out;
}

enum code store_bind_state(struct store *s, struct err *e)
{
	return identity_save(s->state, &s->identity, e);
}

/* raft/ is bound first: an unbound state/ beside it is one that was lost or
 * never begun, and becomes raft's. */
static enum code identity_check(struct store *s, struct err *e)
{
	struct store_identity state;
	bool state_bound;
	char a[80], b[80];
	enum code rc = identity_load(s->raft, &s->identity, &s->bound, e);

	if (rc == E_OK)
		rc = check_mark(s, e);
	if (rc == E_OK)
		rc = identity_load(s->state, &state, &state_bound, e);
	if (rc != E_OK)
		return rc;
	if (!state_bound && !s->bound)
		return E_OK;
	if (!state_bound && s->hard.term != 0 && !s->state_lost) {
		log_event(
		    EV_state_damaged, "why=\"%s is empty\"", s->state->path);
		metric_inc(M_damage_found);
	}
	if (!state_bound)
		return store_bind_state(s, e);
	if (s->bound && same_identity(&s->identity, &state))
		return E_OK;
	return err_set(e, E_CONFLICT,
	    "in %s, raft/ is of %s and state/ of %s: put back the folder that "
	    "belongs there",
	    s->dir,
	    s->bound ? identity_name(&s->identity, a, sizeof(a)) : "no node",
	    identity_name(&state, b, sizeof(b)));
}

enum code store_bind(
    struct store *s, const struct store_identity *id, struct err *e)
{
	char is[80], want[80];
	enum code rc;

	if (s->bound && same_identity(&s->identity, id))
		return mark_bound(s, e);
	if (s->bound)
		return err_set(e, E_CONFLICT,
		    "%s belongs to %s, not to %s: start quorated with that "
		    "node's data directory",
		    s->dir, identity_name(&s->identity, is, sizeof(is)),
		    identity_name(id, want, sizeof(want)));
	state_drop(s);
	if ((rc = identity_save(s->raft, id, e)) != E_OK ||
	    (rc = identity_save(s->state, id, e)) != E_OK)
		return rc;
	s->identity = *id;
	s->bound = true;
	return mark_bound(s, e);
}

enum code store_identity(
    const struct store *s, struct store_identity *out, struct err *e)
{
	if (!s->bound)
		return err_set(
		    e, E_NOTFOUND, "%s is not bound to a node yet", s->dir);
	*out = s->identity;
	return E_OK;
}

/* ---- Open ---- */

/* The log must reach from the state's applied index on (ARCHITECTURE §8). */
static enum code check_applied(struct store *s, struct err *e)
{
	const unsigned long long applied = s->durable.index,
				 last = s->last.index;
	struct log_point p;
	MDB_txn *txn;
	enum code rc;

	if (applied > last)
		return err_set(e, E_CORRUPT,
		    "%s: state/ has applied entry %llu, but the log ends at "
		    "%llu: the log lost entries; " STORE_REPLACE,
		    s->dir, applied, last);
	if ((rc = env_begin(s->raft, MDB_RDONLY, &txn, e)) != E_OK)
		return rc;
	rc = log_point_at(s, txn, applied, &p, e);
	mdb_txn_abort(txn);
	if (rc == E_OK && p.term != s->durable.term)
		rc = err_set(e, E_CORRUPT,
		    "%s: entry %llu has term %llu in the log and %llu in "
		    "state/: they are not of the same node; put back the "
		    "right one",
		    s->dir, applied, (unsigned long long)p.term,
		    (unsigned long long)s->durable.term);
	return rc;
}

static enum code open_all(struct store *s, struct err *e)
{
	enum code rc;

	if ((rc = fs_mkdirs(s->dir, 0700, e)) != E_OK ||
	    (rc = lock_dir(s, e)) != E_OK ||
	    (rc = heal_open_raft(s, e)) != E_OK ||
	    (rc = install_recover(s, e)) != E_OK ||
	    (rc = heal_open_state(s, e)) != E_OK ||
	    (rc = identity_check(s, e)) != E_OK ||
	    (rc = heal_log(s, e)) != E_OK ||
	    (rc = install_settle(s, e)) != E_OK ||
	    (rc = check_applied(s, e)) != E_OK)
		return rc;
	/* What is applied was committed: store_append may leave commit behind.
	 */
	if (s->hard.commit < s->durable.index)
		s->hard.commit = s->durable.index;
	return E_OK;
}

enum code store_open(
    struct store **out, const struct store_config *config, struct err *e)
{
	struct store *s = calloc(1, sizeof(*s));
	enum code rc;

	*out = NULL;
	if (s == NULL) {
		err_nomem(e);
		return E_NOMEM;
	}
	s->lock_fd = -1;
	s->map_size =
	    config->map_size != 0 ? config->map_size : STORE_MAP_SIZE_DEFAULT;
	s->reserve = config->reserve;
	s->raft_flags = config->raft_flags;
	s->state_flags = config->state_flags;
	s->has_peers = config->has_peers;
	pthread_mutex_init(&s->lock, NULL);
	s->dir = strdup(config->dir);
	rc = s->dir == NULL ? err_nomem(e) : open_all(s, e);
	if (rc == E_OK) {
		*out = s;
		return E_OK;
	}
	store_close(s);
	return rc;
}

void store_close(struct store *s)
{
	if (s == NULL)
		return;
	store_install_abort(s);
	state_drop(s);
	mdb_txn_abort(s->log_read);
	env_unref(s, s->state);
	env_unref(s, s->raft);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	buf_free(&s->scratch);
	pthread_mutex_destroy(&s->lock);
	free(s->dir);
	free(s);
}

enum code store_bootstrap(const struct store_config *config,
    const struct store_identity *id, const struct raft_hard_state *hs,
    const struct raft_entry *entries, size_t n, struct err *e)
{
	struct store *s;
	enum code rc = store_open(&s, config, e);

	if (rc != E_OK)
		return rc;
	if (s->last.index != 0 || s->bound)
		rc = err_set(e, E_EXISTS,
		    "%s holds a node's log already: choose another directory",
		    s->dir);
	if (rc == E_OK)
		rc = store_bind(s, id, e);
	if (rc == E_OK)
		rc = store_append(s, hs, entries, n, e);
	store_close(s);
	return rc;
}

/* ---- Space ---- */

static enum code map_free(
    const struct store *s, const struct env *v, uint64_t *least, struct err *e)
{
	MDB_envinfo info;
	MDB_stat st;
	uint64_t used;
	int rc;

	if ((rc = mdb_env_info(v->mdb, &info)) != 0 ||
	    (rc = mdb_env_stat(v->mdb, &st)) != 0)
		return env_fail(v, rc, "measuring", e);
	used = (uint64_t)(info.me_last_pgno + 1) * st.ms_psize;
	if (used >= s->map_size)
		*least = 0;
	else if (s->map_size - used < *least)
		*least = s->map_size - used;
	return E_OK;
}

enum code store_space(
    const struct store *s, uint64_t *free_bytes, struct err *e)
{
	struct statvfs fs;
	enum code rc;

	*free_bytes = 0;
	if (statvfs(s->dir, &fs) != 0)
		return err_set(e, E_IO, "measuring the disk under %s: %s",
		    s->dir, strerror(errno));
	*free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	rc = map_free(s, s->raft, free_bytes, e);
	return rc == E_OK ? map_free(s, s->state, free_bytes, e) : rc;
}

enum code store_space_check(const struct store *s, uint64_t want, struct err *e)
{
	uint64_t have;
	enum code rc = store_space(s, &have, e);

	if (rc != E_OK)
		return rc;
	if (have >= s->reserve && have - s->reserve >= want)
		return E_OK;
	return err_set(e, E_EXHAUSTED,
	    "%s has %llu MiB left, of which %llu MiB are kept in reserve: "
	    "free some disk space, or raise store.map_size",
	    s->dir, (unsigned long long)(have >> 20),
	    (unsigned long long)(s->reserve >> 20));
}

enum code store_reader_check(struct store *s, unsigned *freed, struct err *e)
{
	const struct env *envs[] = {s->raft, s->state};

	*freed = 0;
	for (size_t i = 0; i < 2; i++) {
		int dead, rc = mdb_reader_check(envs[i]->mdb, &dead);

		if (rc != 0)
			return env_fail(
			    envs[i], rc, "checking the readers of", e);
		*freed += (unsigned)dead;
	}
	return E_OK;
}
