/* heal.c -- what a start finds damaged is set aside, and made again from what
 * is whole: state/ from the log or from peers, the log from peers.
 *
 * Never made again are term and vote: a node that forgot them could vote twice
 * (ADR 0008).  They lie in raft/, and once more in state/, which shows a raft/
 * that is older than it should be. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_event.h"
#include "base/metrics.h"
#include "store/internal.h"

#define RAFT "raft"
#define RAFT_NEW "raft.new"
#define RAFT_BAD "raft.damaged"
#define STATE "state"
#define STATE_BAD "state.damaged"

static enum code check_pages(
    const struct store *s, const char *name, bool *meta_whole, struct err *e)
{
	size_t size = strlen(name) + sizeof("/data.mdb");
	char *file = malloc(size), *path = NULL;
	enum code rc;

	if (file != NULL) {
		snprintf(file, size, "%s/data.mdb", name);
		path = store_path(s, file);
	}
	rc = path == NULL ? err_nomem(e) : pages_check(path, meta_whole, e);
	free(path);
	free(file);
	return rc;
}

/* ---- raft/ ---- */

/* A crash between two renames of begin_anew. */
static enum code recover(const struct store *s, struct err *e)
{
	bool live = false, fresh = false;
	enum code rc = folder_exists(s, RAFT, &live, e);

	if (rc == E_OK)
		rc = folder_exists(s, RAFT_NEW, &fresh, e);
	if (rc != E_OK || !fresh)
		return rc;
	return live ? folder_remove(s, RAFT_NEW, e)
		    : folder_rename(s, RAFT_NEW, RAFT, e);
}

enum code heal_open_raft(struct store *s, struct err *e)
{
	unsigned flags = s->raft_flags;
	bool meta_whole = false;
	enum code rc = recover(s, e);

	if (rc == E_OK)
		rc = check_pages(s, RAFT, &meta_whole, e);
	if (rc == E_CORRUPT && meta_whole && e != NULL) {
		snprintf(s->log_damage, sizeof(s->log_damage), "%s", e->text);
		flags |= MDB_RDONLY; /* its free list is not to be trusted */
		rc = E_OK;
	}
	if (rc == E_CORRUPT)
		return err_wrap(e, rc,
		    "%s/raft is damaged where this node's term and vote are, "
		    "so "
		    "it must not come back under its id; " STORE_REPLACE,
		    s->dir);
	if (rc == E_OK)
		rc = env_open(&s->raft, s, RAFT, ENV_RAFT, flags, e);
	return rc == E_OK ? log_load(s, e) : rc;
}

/* ---- state/ ---- */

static enum code open_state(struct store *s, struct err *e)
{
	struct store_identity id;
	bool meta_whole;
	MDB_txn *txn;
	enum code rc = check_pages(s, STATE, &meta_whole, e);

	if (rc == E_OK)
		rc =
		    env_open(&s->state, s, STATE, ENV_STATE, s->state_flags, e);
	if (rc == E_OK)
		rc = state_load(s, e);
	if (rc == E_OK &&
	    (rc = env_begin(s->state, MDB_RDONLY, &txn, e)) == E_OK) {
		rc = identity_get(s->state, txn, &id, e);
		mdb_txn_abort(txn);
	}
	return rc == E_NOTFOUND ? E_OK : rc; /* not bound yet */
}

/* Before anything is touched. */
static enum code nobody(const struct store *s, const char *why, struct err *e)
{
	return err_set(e, E_CORRUPT,
	    "%.200s; this node has no peer that could send it again, and "
	    "nothing was changed in %s: put back what the disk lost, or begin "
	    "a new trust domain",
	    why, s->dir);
}

static enum code set_state_aside(
    struct store *s, const char *why, struct err *e)
{
	enum code rc;

	if (s->boundary.index > 0 && !s->has_peers)
		return nobody(s, why, e);
	state_drop(s);
	env_unref(s, s->state);
	s->state = NULL;
	s->state_lost = true;
	log_event(
	    EV_state_damaged, "kept=%s/" STATE_BAD " why=\"%s\"", s->dir, why);
	metric_inc(M_damage_found);
	if ((rc = folder_remove(s, STATE_BAD, e)) == E_OK)
		rc = folder_rename(s, STATE, STATE_BAD, e);
	if (rc == E_OK)
		rc = open_state(s, e);
	atomic_store(&s->damaged, false);
	return rc;
}

enum code heal_open_state(struct store *s, struct err *e)
{
	struct err why = {0};
	enum code rc = open_state(s, &why);

	if (rc == E_CORRUPT)
		return set_state_aside(s, why.text, e);
	return rc == E_OK ? E_OK : err_set(e, rc, "%s", why.text);
}

/* ---- The log ---- */

static enum code fill_new(struct store *s, const struct env *v,
    struct log_point *begin, struct err *e)
{
	struct raft_hard_state hard = s->hard;
	MDB_txn *txn;
	enum code rc = env_begin(v, 0, &txn, e);

	if (rc != E_OK)
		return rc;
	if ((rc = log_begin(v, txn, &s->durable, &hard, begin, e)) == E_OK &&
	    (!s->bound ||
		(rc = identity_put(v, txn, &s->identity, e)) == E_OK) &&
	    (rc = meta_put(v, txn, META_REPAIR, span_str(s->log_damage), e)) ==
		E_OK)
		rc = env_commit(v, &txn, e);
	mdb_txn_abort(txn);
	if (rc == E_OK)
		s->hard = hard;
	return rc;
}

/* One that was begun anew and not filled since is worth nothing: what was
 * damaged first is kept. */
static enum code set_raft_aside(struct store *s, struct err *e)
{
	bool kept = false;
	enum code rc = folder_exists(s, RAFT_BAD, &kept, e);

	if (rc == E_OK && kept && s->repairing[0] != '\0')
		return folder_remove(s, RAFT, e);
	if (rc == E_OK)
		rc = folder_remove(s, RAFT_BAD, e);
	return rc == E_OK ? folder_rename(s, RAFT, RAFT_BAD, e) : rc;
}

static enum code begin_anew(struct store *s, struct err *e)
{
	struct log_point begin = {0};
	struct env *fresh;
	enum code rc =
	    env_open(&fresh, s, RAFT_NEW, ENV_RAFT, s->raft_flags, e);

	if (rc != E_OK)
		return rc;
	rc = fill_new(s, fresh, &begin, e);
	env_close(fresh);
	if (rc != E_OK)
		return rc;
	env_unref(s, s->raft);
	s->raft = NULL;
	if ((rc = set_raft_aside(s, e)) != E_OK ||
	    (rc = folder_rename(s, RAFT_NEW, RAFT, e)) != E_OK ||
	    (rc = env_open(&s->raft, s, RAFT, ENV_RAFT, s->raft_flags, e)) !=
		E_OK)
		return rc;
	s->boundary = s->last = begin;
	snprintf(s->repairing, sizeof(s->repairing), "%s", s->log_damage);
	s->log_damage[0] = '\0';
	return E_OK;
}

/* In the same term there is one vote. */
static bool forgot_vote(const struct store *s)
{
	return s->hard.term < s->voted.term ||
	       (s->hard.term == s->voted.term && s->voted.vote != 0 &&
		   s->hard.vote != s->voted.vote);
}

static void find_damage(struct store *s, enum code *rc, struct err *e)
{
	struct err why = {0};

	if (s->log_damage[0] == '\0')
		*rc = log_verify(s, &why);
	if (*rc != E_OK && *rc != E_CORRUPT)
		err_set(e, *rc, "%s", why.text);
	else if (*rc == E_CORRUPT)
		snprintf(s->log_damage, sizeof(s->log_damage), "%s", why.text);
	else if (s->log_damage[0] == '\0' &&
		 s->durable.index < s->boundary.index)
		snprintf(s->log_damage, sizeof(s->log_damage),
		    "%s: state/ has applied entry %llu, but the log begins at "
		    "%llu",
		    s->dir, (unsigned long long)s->durable.index,
		    (unsigned long long)s->boundary.index + 1);
	if (*rc == E_CORRUPT)
		*rc = E_OK;
}

enum code heal_log(struct store *s, struct err *e)
{
	const struct raft_conf_state *c = &s->durable.conf;
	enum code rc = E_OK;

	if (forgot_vote(s))
		return err_set(e, E_CORRUPT,
		    "%s: raft/ says term %llu, and state/ knows of a later "
		    "vote, in term %llu: raft/ is an old one; " STORE_REPLACE,
		    s->dir, (unsigned long long)s->hard.term,
		    (unsigned long long)s->voted.term);
	find_damage(s, &rc, e);
	if (rc != E_OK || s->log_damage[0] == '\0')
		return rc;
	if (!s->has_peers || (c->voters_n == 1 && c->voters_outgoing_n == 0))
		return nobody(s, s->log_damage, e);
	log_event(EV_log_damaged,
	    "kept=%s/" RAFT_BAD " applied=%llu why=\"%s\"", s->dir,
	    (unsigned long long)s->durable.index, s->log_damage);
	metric_inc(M_damage_found);
	rc = begin_anew(s, e);
	atomic_store(&s->damaged, false);
	return rc;
}

/* ---- After the start ---- */

const char *store_repairing(const struct store *s)
{
	return s->repairing;
}

enum code store_repaired(struct store *s, struct err *e)
{
	MDB_txn *txn;
	enum code rc = env_begin(s->raft, 0, &txn, e);

	if (rc != E_OK)
		return rc;
	rc = meta_del(s->raft, txn, META_REPAIR, e);
	if (rc == E_OK)
		rc = env_commit(s->raft, &txn, e);
	mdb_txn_abort(txn);
	if (rc == E_OK)
		s->repairing[0] = '\0';
	return rc;
}

enum code store_state_discard(struct store *s, const char *why, struct err *e)
{
	enum code rc = set_state_aside(s, why, e);

	if (rc == E_OK)
		rc = heal_log(s, e);
	return rc == E_OK && s->bound ? store_bind_state(s, e) : rc;
}

enum code store_damaged(const struct store *s, struct err *e)
{
	if (!atomic_load(&s->damaged))
		return E_OK;
	return err_set(e, E_CORRUPT,
	    "%s: what was read from raft/ or state/ is not what was written: "
	    "this disk is damaged; start again: what can be made again is "
	    "fetched from the peers",
	    s->dir);
}
