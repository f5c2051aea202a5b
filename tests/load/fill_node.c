/* fill_node.c -- one node's directory: the same steps a node takes, without
 * its peers. */
#include "fill.h"

#include <fcntl.h>
#include <lmdb.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "node/provision.h"
#include "pki/pki.h"

#define COPY_BYTES (4U << 20)
#define START_AGAIN                                                            \
	"start the nodes, wait until `quorate status` shows all of them at "   \
	"one index, and stop them again"

void fill_fail(const char *where, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "quorate-fill: %s: ", where);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

void fill_must(enum code rc, const char *where, const struct err *e)
{
	if (rc != E_OK)
		fill_fail(where, "%s (%s)", e->text, code_name(rc));
}

static void raft_must(const struct fill_node *n, int rc)
{
	if (rc == RAFT_ECOMPACTED)
		fill_fail(n->dir, "its log begins after what another node "
				  "lacks; " START_AGAIN);
	if (rc != RAFT_OK)
		fill_fail(n->dir, "its log: %s %s", raft_strerror(rc),
		    store_fault(n->store)->text);
}

/* ---- Opening ---- */

void node_start_signer(struct fill_node *n)
{
	char keys[4096], seal[4096];
	const struct signer_config c = {
	    .keys_path = keys, .seal_key_path = seal};
	struct err e = {0};

	fill_must(fs_join(keys, sizeof(keys), n->dir, PROVISION_SIGNER, &e),
	    n->dir, &e);
	fill_must(fs_join(seal, sizeof(seal), n->dir, PROVISION_SEAL_KEY, &e),
	    n->dir, &e);
	fill_must(signer_start(&n->signer, &c, &e), n->dir, &e);
}

void node_open(struct fill_node *n)
{
	/* Without peers nothing that is damaged is set aside.  What is written
	 * is synced once, at the end. */
	const struct store_config c = {
	    .dir = n->dir, .raft_flags = MDB_NOSYNC, .state_flags = MDB_NOSYNC};
	struct store_identity id;
	struct err e = {0};

	fill_must(store_open(&n->store, &c, &e), n->dir, &e);
	fill_must(store_identity(n->store, &id, &e), n->dir, &e);
	if (store_repairing(n->store)[0] != '\0')
		fill_fail(n->dir, "its log is being repaired; " START_AGAIN);
	n->id = id.node_id;
	store_raft_storage(n->store, &n->log);
	store_state_db(n->store, &n->db);
	fill_must(ca_open(&n->ca, n->db, pki_ca_crypto(), &e), n->dir, &e);
}

void node_feed_signer(struct fill_node *n)
{
	struct ca_entry *entry = malloc(sizeof(*entry));
	struct wire_memory *mem;
	struct ca_record rec;
	struct err e = {0};
	uint64_t at = 0;

	if (entry == NULL)
		fill_fail(n->dir, "out of memory");
	while (ca_record_next_other(n->ca, at, &rec, &e) == E_OK) {
		fill_must(
		    wire_entry_decode(rec.raw, entry, &mem, &e), n->dir, &e);
		if (entry->kind == CA_GENESIS || entry->kind == CA_ADMIN)
			fill_must(
			    signer_feed(n->signer, rec.raw, &e), n->dir, &e);
		at = rec.index;
		wire_free(mem);
	}
	free(entry);
}

static void sync_file(const struct fill_node *n, const char *name)
{
	char path[4096];
	struct err e = {0};
	int fd;

	fill_must(fs_join(path, sizeof(path), n->dir, name, &e), n->dir, &e);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		fill_fail(path, "it cannot be synced");
	close(fd);
}

void node_close(struct fill_node *n)
{
	node_rest(n);
	ca_close(n->ca);
	store_close(n->store);
	signer_stop(n->signer);
	sync_file(n, "raft/data.mdb");
	sync_file(n, "state/data.mdb");
}

/* ---- Applying ---- */

static void apply(
    struct fill_node *n, const struct raft_entry *in, struct ca_entry *entry)
{
	struct span raw = span_of(in->data.p, in->data.len);
	struct wire_memory *mem = NULL;
	struct ca_result r = {.outcome = CA_OK};
	struct err e = {0};
	bool decodes;

	if (in->type != RAFT_ENTRY_NORMAL)
		fill_fail(
		    n->dir, "its members are about to change; " START_AGAIN);
	if (raw.len > 0) {
		decodes = wire_entry_decode(raw, entry, &mem, &e) == E_OK;
		fill_must(ca_apply(n->ca, in->index, decodes ? entry : NULL,
			      raw, &r, &e),
		    n->dir, &e);
		wire_free(mem);
	}
	if (r.outcome != CA_OK)
		snprintf(n->refused, sizeof(n->refused), "entry %llu: %s",
		    (unsigned long long)in->index, r.why);
	fill_must(
	    store_state_set_applied(n->store, in->index, in->term, NULL, &e),
	    n->dir, &e);
}

static void apply_all(
    struct fill_node *n, const struct raft_entry *entries, size_t count)
{
	struct ca_entry *entry = malloc(sizeof(*entry));
	struct err e = {0};

	if (entry == NULL)
		fill_fail(n->dir, "out of memory");
	for (size_t i = 0; i < count; i++)
		apply(n, &entries[i], entry);
	free(entry);
	fill_must(store_state_commit(n->store, &e), n->dir, &e);
}

static void append(
    struct fill_node *n, const struct raft_entry *entries, size_t count)
{
	const struct raft_entry *last = &entries[count - 1];
	struct raft_hard_state hs;
	struct raft_conf_state cs;
	struct err e = {0};

	raft_must(n, n->log.initial_state(n->log.ctx, &hs, &cs));
	hs.commit = last->index;
	if (hs.term < last->term) {
		hs.term = last->term;
		hs.vote = 0;
	}
	fill_must(store_append(n->store, &hs, entries, count, &e), n->dir, &e);
}

/* The transaction that reads began goes: who begins one must end it. */
void node_rest(struct fill_node *n)
{
	struct err e = {0};

	fill_must(store_state_commit(n->store, &e), n->dir, &e);
}

void node_take(struct fill_node *n, const struct batch *b)
{
	struct err e = {0};

	n->refused[0] = '\0'; /* what nodes refused before is theirs */
	append(n, b->entries, b->n);
	apply_all(n, b->entries, b->n);
	if (n->refused[0] != '\0')
		fill_fail(n->dir, "%s", n->refused);
	fill_must(store_compact(n->store, UINT64_MAX, &e), n->dir, &e);
	node_rest(n);
}

/* ---- One state for all ---- */

static uint64_t term_at(const struct fill_node *n, uint64_t index)
{
	raft_term t;

	raft_must(n, n->log.term(n->log.ctx, index, &t));
	return t;
}

static void copy(
    struct fill_node *to, const struct fill_node *from, uint64_t next)
{
	uint64_t last = store_last_index(from->store);
	struct raft_entry *entries;
	size_t n;

	while (next <= last) {
		raft_must(from, from->log.entries(from->log.ctx, next, last + 1,
				    COPY_BYTES, &entries, &n));
		append(to, entries, n);
		next += n;
		free(entries);
	}
}

/* Entries of the same index and term are the same, and so is what is before
 * them [3.5]. */
static void catch_up(struct fill_node *n, const struct fill_node *longest)
{
	uint64_t at = store_last_index(n->store);

	if (at > store_last_index(longest->store))
		at = store_last_index(longest->store);
	while (at > 0 && term_at(n, at) != term_at(longest, at))
		at--;
	if (at < store_applied(n->store))
		fill_fail(n->dir,
		    "it applied what %s does not have: they are not nodes of "
		    "one cluster",
		    longest->dir);
	copy(n, longest, at + 1);
}

static void apply_rest(struct fill_node *n)
{
	uint64_t last = store_last_index(n->store);
	struct raft_entry *entries;
	size_t count;

	while (store_applied(n->store) < last) {
		raft_must(
		    n, n->log.entries(n->log.ctx, store_applied(n->store) + 1,
			   last + 1, COPY_BYTES, &entries, &count));
		apply_all(n, entries, count);
		free(entries);
	}
}

/* All voters, and nobody else: what all of them hold is committed. */
static void check_members(const struct fill_node *nodes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct raft_conf_state c;
		size_t known = 0;

		store_state_conf(nodes[i].store, &c);
		for (size_t k = 0; k < c.voters_n; k++)
			for (size_t j = 0; j < n; j++)
				known += c.voters[k] == nodes[j].id;
		if (known != n || c.voters_n != n || c.voters_outgoing_n != 0 ||
		    c.learners_n != 0)
			fill_fail(nodes[i].dir,
			    "it has %zu voters and %zu learners: give the "
			    "directories of all members, once all are voters",
			    c.voters_n, c.learners_n);
	}
}

void nodes_level(struct fill_node *nodes, size_t n)
{
	struct fill_node *longest = &nodes[0];
	struct ca_head first, head;
	struct err e = {0};

	for (size_t i = 1; i < n; i++) {
		uint64_t a = store_last_index(nodes[i].store);
		uint64_t b = store_last_index(longest->store);
		uint64_t at = term_at(&nodes[i], a), bt = term_at(longest, b);

		if (at > bt || (at == bt && a > b))
			longest = &nodes[i];
	}
	for (size_t i = 0; i < n; i++) {
		if (&nodes[i] != longest)
			catch_up(&nodes[i], longest);
	}
	for (size_t i = 0; i < n; i++)
		apply_rest(&nodes[i]);
	check_members(nodes, n);
	fill_must(ca_head(nodes[0].ca, &first, &e), nodes[0].dir, &e);
	for (size_t i = 1; i < n; i++) {
		fill_must(ca_head(nodes[i].ca, &head, &e), nodes[i].dir, &e);
		if (memcmp(&head, &first, sizeof(head)) != 0)
			fill_fail(nodes[i].dir,
			    "its state is not that of %s: they are not nodes "
			    "of one cluster",
			    nodes[0].dir);
	}
}
