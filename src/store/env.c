/* env.c -- an LMDB environment: opened with what must hold, closed by whoever
 * lets go last, its errors in an operator's words. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "store/internal.h"

#define MAX_READERS 512

static const struct fault {
	int rc;
	enum code code;
	const char *next; /* what to do */
} faults[] = {
    {ENOMEM, E_NOMEM, "free some memory and start again"},
    {EACCES, E_DENIED, "give it to the user quorated runs as"},
    {EPERM, E_DENIED, "give it to the user quorated runs as"},
    {EROFS, E_DENIED, "mount its file system for writing"},
    {ENOSPC, E_EXHAUSTED, "free some disk space and start again"},
    {EDQUOT, E_EXHAUSTED, "raise the disk quota and start again"},
    {MDB_MAP_FULL, E_EXHAUSTED, "raise store.map_size and start again"},
    {MDB_READERS_FULL, E_EXHAUSTED, "too many readers at once; try again"},
    {MDB_TXN_FULL, E_EXHAUSTED, "too much in one transaction"},
    {MDB_INVALID, E_CORRUPT, "data.mdb is not a database; " STORE_REPLACE},
    {MDB_CORRUPTED, E_CORRUPT, "data.mdb is damaged; " STORE_REPLACE},
    {MDB_PAGE_NOTFOUND, E_CORRUPT, "data.mdb is damaged; " STORE_REPLACE},
    {MDB_INCOMPATIBLE, E_CORRUPT,
	"data.mdb is of another kind; " STORE_REPLACE},
    {MDB_VERSION_MISMATCH, E_UNSUPPORTED,
	"it was written by another LMDB; use that version"},
};

enum code env_fail(const struct env *v, int rc, const char *what, struct err *e)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		if (faults[i].rc != rc)
			continue;
		if (faults[i].code == E_CORRUPT)
			atomic_store(v->damaged, true);
		return err_set(e, faults[i].code, "%s %s: %s (%s)", what,
		    v->path, mdb_strerror(rc), faults[i].next);
	}
	return err_set(e, E_IO,
	    "%s %s: %s (look at the disk, then start again)", what, v->path,
	    mdb_strerror(rc));
}

enum code env_sync_dir(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum code rc = E_OK;

	if (fd < 0 || fsync(fd) != 0)
		rc = err_set(e, E_IO, "syncing %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}

enum code env_begin(
    const struct env *v, unsigned flags, MDB_txn **out, struct err *e)
{
	int rc = mdb_txn_begin(v->mdb, NULL, flags, out);

	if (rc == 0)
		return E_OK;
	*out = NULL;
	return env_fail(v, rc, "beginning a transaction on", e);
}

enum code env_commit(const struct env *v, MDB_txn **txn, struct err *e)
{
	int rc = mdb_txn_commit(*txn);

	*txn = NULL;
	return rc == 0 ? E_OK : env_fail(v, rc, "writing", e);
}

/* Pages that were freed before they were ever written may lie past the end of
 * the file.  Make it whole: then a file that was cut short is MDB_CORRUPTED
 * where it would be a SIGBUS. */
static int fill(MDB_env *mdb)
{
	MDB_envinfo info;
	MDB_stat st;
	struct stat file;
	int fd, rc;
	off_t want;

	if ((rc = mdb_env_info(mdb, &info)) != 0 ||
	    (rc = mdb_env_stat(mdb, &st)) != 0 ||
	    (rc = mdb_env_get_fd(mdb, &fd)) != 0)
		return rc;
	want = (off_t)(info.me_last_pgno + 1) * (off_t)st.ms_psize;
	if (fstat(fd, &file) != 0 ||
	    (file.st_size < want && ftruncate(fd, want) != 0))
		return errno;
	return 0;
}

static enum code check_format(
    const struct env *v, MDB_txn *txn, enum env_kind kind, struct err *e)
{
	uint8_t want[5] = {[4] = (uint8_t)kind};
	struct span have;
	struct reader r;
	uint32_t format;
	enum code rc = meta_get(v, txn, META_FORMAT, &have, e);

	put_u32be(want, STORE_FORMAT);
	if (rc == E_NOTFOUND)
		return meta_put(
		    v, txn, META_FORMAT, span_of(want, sizeof(want)), e);
	if (rc != E_OK)
		return rc;
	reader_init(&r, have);
	format = read_u32be(&r);
	if (format > STORE_FORMAT)
		return err_set(e, E_UNSUPPORTED,
		    "%s has format %u, and this quorated knows %d: install a "
		    "newer quorated",
		    v->path, format, STORE_FORMAT);
	if (!span_eq(have, span_of(want, sizeof(want))))
		return err_set(e, E_CORRUPT,
		    "%s is not what its name says: put the data directory "
		    "back as it was",
		    v->path);
	return E_OK;
}

/* Of a damaged raft/: what its named rows say. */
static enum code open_meta(struct env *v, enum env_kind kind, struct err *e)
{
	MDB_txn *txn;
	int lrc;
	enum code rc = env_begin(v, MDB_RDONLY, &txn, e);

	if (rc != E_OK)
		return rc;
	if ((lrc = mdb_dbi_open(txn, "meta", 0, &v->meta)) != 0)
		rc = env_fail(v, lrc, "opening the tables of", e);
	else
		rc = check_format(v, txn, kind, e);
	if (rc == E_OK) /* the table's handle lasts */
		rc = env_commit(v, &txn, e);
	mdb_txn_abort(txn);
	return rc;
}

static enum code open_tables(struct env *v, enum env_kind kind, struct err *e)
{
	unsigned flags =
	    kind == ENV_RAFT ? MDB_CREATE | MDB_INTEGERKEY : MDB_CREATE;
	MDB_txn *txn;
	int lrc;
	enum code rc = env_begin(v, 0, &txn, e);

	if (rc != E_OK)
		return rc;
	if ((lrc = mdb_dbi_open(txn, "meta", MDB_CREATE, &v->meta)) != 0 ||
	    (lrc = mdb_dbi_open(txn, "rows", flags, &v->rows)) != 0)
		rc = env_fail(v, lrc, "opening the tables of", e);
	else
		rc = check_format(v, txn, kind, e);
	if (rc == E_OK)
		rc = env_commit(v, &txn, e);
	mdb_txn_abort(txn);
	return rc;
}

static enum code open_files(
    struct env *v, uint64_t map_size, unsigned flags, struct err *e)
{
	int dead, rc;

	if ((rc = mdb_env_create(&v->mdb)) != 0) {
		v->mdb = NULL;
		return env_fail(v, rc, "opening", e);
	}
	if ((rc = mdb_env_set_mapsize(v->mdb, map_size)) != 0 ||
	    (rc = mdb_env_set_maxreaders(v->mdb, MAX_READERS)) != 0 ||
	    (rc = mdb_env_set_maxdbs(v->mdb, 2)) != 0 ||
	    (rc = mdb_env_open(v->mdb, v->path, flags | MDB_NOTLS, 0600)) !=
		0 ||
	    (rc = (flags & MDB_RDONLY) != 0 ? 0 : fill(v->mdb)) != 0 ||
	    (rc = mdb_reader_check(v->mdb, &dead)) != 0)
		return env_fail(v, rc, "opening", e);
	return E_OK;
}

enum code env_open(struct env **out, struct store *s, const char *name,
    enum env_kind kind, unsigned flags, struct err *e)
{
	struct env *v = calloc(1, sizeof(*v));
	enum code rc;

	*out = NULL;
	if (v == NULL || (v->path = store_path(s, name)) == NULL) {
		rc = err_nomem(e);
		goto out;
	}
	v->refs = 1;
	v->damaged = &s->damaged;
	if ((rc = fs_mkdirs(v->path, 0700, e)) != E_OK ||
	    (rc = open_files(v, s->map_size, flags, e)) != E_OK ||
	    (rc = (flags & MDB_RDONLY) != 0
		      ? open_meta(v, kind, e)
		      : open_tables(v, kind, e)) != E_OK ||
	    (rc = env_sync_dir(v->path, e)) != E_OK ||
	    (rc = env_sync_dir(s->dir, e)) != E_OK)
		goto out;
	*out = v;
	v = NULL;
out:
	env_close(v);
	return rc;
}

void env_close(struct env *v)
{
	if (v == NULL)
		return;
	if (v->mdb != NULL)
		mdb_env_close(v->mdb);
	free(v->path);
	free(v);
}

struct env *env_ref(struct store *s, struct env *v)
{
	pthread_mutex_lock(&s->lock);
	v->refs++;
	pthread_mutex_unlock(&s->lock);
	return v;
}

void env_unref(struct store *s, struct env *v)
{
	bool last;

	if (v == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	last = --v->refs == 0;
	pthread_mutex_unlock(&s->lock);
	if (last)
		env_close(v);
}
