/* real.c -- see real.h. */
#include "real.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Folders ---- */

static char root[48];

static int remove_one(
    const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void remove_root(void)
{
	remove_tree(root);
}

/* In memory, if that can be had: what is durable is the simulator's business.
 */
static void make_root(void)
{
	const char *tmp = getenv("TMPDIR");

	if (tmp == NULL)
		tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(root, sizeof(root), "%s/quorate-sim-XXXXXX", tmp);
	if (mkdtemp(root) == NULL) {
		perror(root);
		exit(2);
	}
	atexit(remove_root);
}

struct real *real_of(struct node *n)
{
	struct real *r = n->real;

	if (r != NULL)
		return r;
	if (root[0] == '\0')
		make_root();
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		abort();
	snprintf(r->dir, sizeof(r->dir), "%s/n%u", root, (unsigned)n->id);
	r->power.all = true;
	r->power.rng = sim_random(n->w) | 1;
	n->real = r;
	return r;
}

void real_begin(struct real *r)
{
	power_on = &r->power;
}

void real_end(void)
{
	power_on = NULL;
}

static void must(struct node *n, enum code rc, const struct err *e)
{
	real_end();
	if (rc != E_OK)
		sim_fail(n->w, "n%llu: %s", (unsigned long long)n->id, e->text);
}

/* The same, but a damaged row may be in the way. */
static bool done(struct node *n, enum code rc, const struct err *e)
{
	if (rc == E_OK || !n->disk.damaged) {
		must(n, rc, e);
		return true;
	}
	real_end();
	sim_say(n->w, "n%llu: %s", (unsigned long long)n->id, e->text);
	return false;
}

/* ---- What a node writes ---- */

static enum code install(struct real *r, const struct raft_snapshot *s,
    const struct raft_hard_state *hs, struct err *e)
{
	struct ca_db db;
	enum code rc;

	if ((rc = store_install_begin(r->store, e)) != E_OK ||
	    (rc = store_install_db(r->store, &db, e)) != E_OK ||
	    (rc = rows_unpack(db, s->data, e)) != E_OK)
		return rc;
	return store_install_finish(r->store, s, hs, e);
}

/* As the node does it (src/node/apply.c). */
static enum code append(
    struct real *r, const struct raft_message *m, struct err *e)
{
	struct raft_hard_state hs = {m->term, m->vote, m->commit};
	const struct raft_hard_state *new_hs = m->term != 0 ? &hs : NULL;
	enum code rc = E_OK;

	if (m->snapshot != NULL)
		rc = install(r, m->snapshot, new_hs, e);
	if (rc == E_OK)
		rc =
		    store_append(r->store, new_hs, m->entries, m->entries_n, e);
	return rc;
}

static bool real_append(struct node *n, const struct raft_message *m)
{
	struct real *r = real_of(n);
	struct err e = {0};

	real_begin(r);
	return done(n, append(r, m, &e), &e);
}

static void real_apply(struct node *n, const struct raft_entry *entry)
{
	struct real *r = real_of(n);
	struct ca_db db;
	struct err e = {0};
	enum code rc;

	real_begin(r);
	store_state_db(r->store, &db);
	rc = rows_apply(db, entry, &n->machine.is, &e);
	if (rc == E_OK)
		rc =
		    store_state_set_applied(r->store, entry->index, entry->term,
			entry->type == RAFT_ENTRY_CONF_CHANGE ? &n->machine.conf
							      : NULL,
			&e);
	must(n, rc, &e);
}

static void real_flush(struct node *n)
{
	struct real *r = real_of(n);
	struct err e = {0};

	real_begin(r);
	must(n, store_state_commit(r->store, &e), &e);
}

static bool real_compact(struct node *n, raft_index upto)
{
	struct real *r = real_of(n);
	struct err e = {0};

	real_begin(r);
	return done(n, store_compact(r->store, upto, &e), &e);
}

/* A member from the first: as if it had installed the founding snapshot. */
static void real_found(struct node *n)
{
	struct real *r = real_of(n);
	struct store_config c = {.dir = r->dir, .map_size = 16U << 20};
	struct raft_snapshot s = {
	    .index = 1, .term = 1, .conf_state = n->machine.conf};
	struct ca_db db;
	struct err e = {0};
	enum code rc;

	real_begin(r);
	rc = store_open(&r->store, &c, &e);
	if (rc == E_OK)
		rc = store_install_begin(r->store, &e);
	if (rc == E_OK)
		rc = store_install_db(r->store, &db, &e);
	if (rc == E_OK)
		rc = store_install_finish(r->store, &s, &n->disk.hard, &e);
	store_close(r->store);
	r->store = NULL;
	must(n, rc, &e);
}

static struct raft_snapshot *real_snapshot(struct node *n, raft_index least)
{
	struct real *r = real_of(n);
	struct raft_snapshot *out = NULL, meta;
	struct store_snapshot *from;
	struct buf rows;
	struct err e = {0};
	enum code rc;

	buf_init(&rows);
	real_begin(r);
	rc = store_snapshot_open(r->store, least, &from, &e);
	if (rc == E_OK) {
		n->disk.machine = n->machine;
		store_snapshot_meta(from, &meta);
		rc = rows_pack(from, &n->machine.is, &rows, &e);
		store_snapshot_close(from);
	}
	must(n, rc, &e);
	out = calloc(1, sizeof(*out) + rows.len);
	if (out == NULL)
		abort();
	if (rc == E_OK) {
		*out = meta;
		memcpy(out + 1, rows.p, rows.len);
		out->data =
		    (struct raft_span){(const uint8_t *)(out + 1), rows.len};
	}
	buf_free(&rows);
	return out;
}

/* ---- Crashes ---- */

/* An installation takes about ten times the writes of an append. */
static void arm(struct node *n, struct power *p, bool installs)
{
	unsigned times = installs ? 8 : 1;

	if (n->fault == FAULT_POWER) {
		p->cut_in = 1 + sim_below(n->w, 12 * times);
	} else {
		p->fail_in = 1 + sim_below(n->w, 5 * times);
		p->fail_with = n->fault == FAULT_EIO ? EIO : ENOSPC;
	}
}

/* What else a node writes. */
static enum code write_other(struct node *n, struct err *e)
{
	struct real *r = real_of(n);

	if (sim_chance(n->w, 60)) {
		r->flushed = n->machine.applied;
		return store_state_commit(r->store, e);
	}
	if (n->disk.machine.applied <= n->disk.base ||
	    n->disk.machine.applied > disk_last(&n->disk))
		return E_OK;
	r->cut =
	    n->disk.base + 1 +
	    sim_below(n->w, (unsigned)(n->disk.machine.applied - n->disk.base));
	return store_compact(r->store, r->cut, e);
}

static void real_crash(struct node *n, const struct raft_message *m)
{
	struct real *r = real_of(n);
	struct err e = {0};
	enum code rc;

	arm(n, &r->power, m != NULL && m->snapshot != NULL);
	real_begin(r);
	if (m != NULL) {
		r->torn = raft_message_copy(m);
		if (r->torn == NULL)
			abort();
		if (m->snapshot != NULL)
			r->flushed = m->snapshot->index;
		rc = append(r, m, &e);
	} else {
		rc = write_other(n, &e);
	}
	r->power.cut_in = r->power.fail_in = 0;
	if (rc != E_OK) {
		n->w->count[SIM_TORN]++;
		sim_say(n->w, "n%llu: %s", (unsigned long long)n->id, e.text);
	}
	store_close(r->store);
	r->store = NULL;
	real_end();
	/* After an error of the disk its cache may live on. */
	if (r->power.off || sim_chance(n->w, 60))
		power_cut(&r->power);
}

static void real_repaired(struct node *n)
{
	struct real *r = real_of(n);
	struct err e = {0};

	real_begin(r);
	must(n, store_repaired(r->store, &e), &e);
}

static void real_free(struct node *n)
{
	struct real *r = n->real;

	if (r == NULL)
		return;
	store_close(r->store);
	power_free(&r->power);
	remove_tree(r->dir);
	free(r->torn);
	free(r);
	n->real = NULL;
}

/* ---- What the core reads ---- */

static int on_initial_state(
    void *ctx, struct raft_hard_state *hs, struct raft_conf_state *cs)
{
	struct real *r = real_of(ctx);

	return r->inner.initial_state(r->inner.ctx, hs, cs);
}

/* The node sees that its disk cannot be read, and must stop. */
static int noticed(struct node *n, int rc)
{
	if (rc == RAFT_EIO)
		n->must_stop = n->read_failed = true;
	return rc;
}

static int on_entries(void *ctx, raft_index lo, raft_index hi, size_t max_size,
    struct raft_entry **out, size_t *count)
{
	struct node *n = ctx;
	struct real *r = real_of(n);

	if (disk_read_fails(n))
		return RAFT_EIO;
	return noticed(
	    n, r->inner.entries(r->inner.ctx, lo, hi, max_size, out, count));
}

static int on_term(void *ctx, raft_index i, raft_term *out)
{
	struct node *n = ctx;
	struct real *r = real_of(n);
	struct raft_storage model;

	if (n->w->checking) {
		model = disk_storage(n);
		return model.term(n, i, out);
	}
	return noticed(n, r->inner.term(r->inner.ctx, i, out));
}

static int on_first_index(void *ctx, raft_index *out)
{
	struct real *r = real_of(ctx);

	return r->inner.first_index(r->inner.ctx, out);
}

static int on_last_index(void *ctx, raft_index *out)
{
	struct real *r = real_of(ctx);

	return r->inner.last_index(r->inner.ctx, out);
}

static int on_snapshot(void *ctx, struct raft_snapshot *out)
{
	struct node *n = ctx;
	struct real *r = real_of(n);

	if (!n->w->healing && sim_chance(n->w, 10))
		return RAFT_ESNAP_NOT_READY;
	return r->inner.snapshot(r->inner.ctx, out);
}

static struct raft_storage real_storage(struct node *n)
{
	return (struct raft_storage){n, on_initial_state, on_entries, on_term,
	    on_first_index, on_last_index, on_snapshot};
}

const struct sim_store real_store = {
    .found = real_found,
    .open = real_open,
    .storage = real_storage,
    .append = real_append,
    .apply = real_apply,
    .flush = real_flush,
    .compact = real_compact,
    .snapshot = real_snapshot,
    .crash = real_crash,
    .damage = real_damage,
    .repaired = real_repaired,
    .free = real_free,
};
