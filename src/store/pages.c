/* pages.c -- data.mdb as it lies on the disk, looked at before LMDB trusts it.
 *
 * LMDB's pages carry no checksum: it follows whatever they say, into a wrong
 * page, past the end of the file (SIGBUS), or onto a page in use that it takes
 * for a free one.  So at start every page that the newest meta page reaches is
 * read with pread and must be what it is reached as: its own number, its kind,
 * nodes within the page, keys in order and as many as their table says, reached
 * once, and not on the free list.  What the rows hold is for their CRCs.
 *
 * The format is that of LMDB 0.9 (MDB_DATA_VERSION 1), which is the machine's
 * own: its byte order and its size of a pointer. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/internal.h"

#define MAGIC 0xBEEFC0DEU
#define DATA_VERSION 1U
#define PAGE_HEAD 16 /* number, pad, flags, lower and upper or a count */
#define PAGE_MIN 512
#define PAGE_MAX 65536
#define NODE_HEAD 8U /* u16 each: low, high, flags, key size */
#define KEY_MAX 511
#define DEPTH_MAX 32
#define SPLIT_DEPTH 3 /* a deeper table's subtrees there are for threads */
#define THREADS_MAX 16
#define NO_PAGE SIZE_MAX /* the root of an empty table */
/* Pages that a transaction took and gave back are never written: so many may
 * lie past the end of the file. */
#define UNWRITTEN (1U << 20)

#define P_BRANCH 0x01
#define P_LEAF 0x02
#define P_OVERFLOW 0x04
#define P_META 0x08
#define N_BIG 0x01 /* the data is the number of an overflow page */
#define N_TABLE 0x02
#define T_INTEGER 0x08 /* keys are the machine's integers */

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOW 0
#define HIGH 2
#else
#define LOW 2
#define HIGH 0
#endif

struct table { /* MDB_db, as it is on disk */
	uint32_t pad;
	uint16_t flags, depth;
	size_t branch_pages, leaf_pages, overflow_pages, entries, root;
};

struct meta { /* MDB_meta */
	uint32_t magic, version;
	void *address;
	size_t map_size;
	struct table free, main;
	size_t last_page, txn;
};

struct walk {
	const char *path; /* of data.mdb */
	int fd;
	size_t page_size, pages; /* whole pages in the file */
	struct meta meta;
	_Atomic uint8_t *seen; /* a bit a page */
	struct err *e;
	/* the table being walked */
	const char *name;
	struct table table, rows, named;
	size_t entries;
	bool has_rows, has_meta;
	uint8_t key[KEY_MAX]; /* the last one */
	size_t key_len;
	bool any_key, may_equal; /* it was a branch's: a leaf may repeat it */
	struct subtrees *split;  /* subtrees at SPLIT_DEPTH go there; or NULL */
};

/* A large table's subtrees, which threads walk. */
struct subtree {
	size_t page;
	uint8_t *low; /* the key before it, which its first one may repeat */
	size_t low_len;
	uint8_t *last; /* its last key, once it was walked */
	size_t last_len, entries;
};

struct subtrees {
	const struct walk *table;
	struct subtree *all;
	size_t n, cap;
	atomic_size_t next; /* one that nobody has taken */
	pthread_mutex_t lock;
	enum code rc; /* the first that is not E_OK */
	struct err why;
};

static enum code bad(const struct walk *w, size_t page, const char *what)
{
	return err_set(w->e, E_CORRUPT, "%s: page %zu (%s) %s", w->path, page,
	    w->name, what);
}

static enum code read_at(
    const struct walk *w, void *out, size_t len, size_t page)
{
	off_t at = (off_t)(page * w->page_size);
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(
		    w->fd, (uint8_t *)out + done, len - done, at + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EIO)
			return bad(w, page, "cannot be read: the disk failed");
		if (n < 0)
			return err_set(w->e, E_IO, "reading %s: %s", w->path,
			    strerror(errno));
		if (n == 0)
			return bad(w, page, "is past the end of the file");
		done += (size_t)n;
	}
	return E_OK;
}

static uint16_t u16_at(const uint8_t *p, size_t at)
{
	uint16_t v;

	memcpy(&v, p + at, sizeof(v));
	return v;
}

static size_t word_at(const uint8_t *p, size_t at)
{
	size_t v;

	memcpy(&v, p + at, sizeof(v));
	return v;
}

/* Each page has one use. */
static enum code use(struct walk *w, size_t page, size_t n)
{
	for (size_t i = page; i - page < n; i++) {
		uint8_t bit = (uint8_t)(1U << i % 8);

		if (i < 2 || i > w->meta.last_page)
			return bad(w, i, "is not one of the file's");
		if ((atomic_fetch_or(&w->seen[i / 8], bit) & bit) != 0)
			return bad(w, i, "is used twice");
	}
	return E_OK;
}

/* ---- Keys ---- */

static int compare(const struct walk *w, const uint8_t *key, size_t len)
{
	size_t least = len < w->key_len ? len : w->key_len, a, b;
	int c;

	if ((w->table.flags & T_INTEGER) != 0) {
		a = word_at(key, 0);
		b = word_at(w->key, 0);
		return (a > b) - (a < b);
	}
	c = memcmp(key, w->key, least);
	return c != 0 ? c : (len > w->key_len) - (len < w->key_len);
}

static enum code next_key(
    struct walk *w, size_t page, const uint8_t *key, size_t len, bool branch)
{
	int c;

	if (len == 0 || len > KEY_MAX ||
	    ((w->table.flags & T_INTEGER) != 0 && len != sizeof(size_t)))
		return bad(w, page, "has a key of a wrong length");
	c = w->any_key ? compare(w, key, len) : 1;
	if (c < 0 || (c == 0 && (branch || !w->may_equal)))
		return bad(w, page, "has its keys out of order");
	memcpy(w->key, key, len);
	w->key_len = len;
	w->any_key = true;
	w->may_equal = branch;
	return E_OK;
}

/* ---- Data of a leaf ---- */

static enum code free_pages(
    struct walk *w, size_t page, const uint8_t *data, size_t len)
{
	size_t n = len < sizeof(n) ? SIZE_MAX : word_at(data, 0);
	enum code rc = E_OK;

	if (n > len / sizeof(n) - 1)
		return bad(w, page, "lists more free pages than it holds");
	for (size_t i = 1; i <= n && rc == E_OK; i++)
		rc = use(w, word_at(data, i * sizeof(n)), 1);
	return rc;
}

static enum code named_table(
    struct walk *w, size_t page, const uint8_t *data, size_t len)
{
	struct table t;

	if (len != sizeof(t))
		return bad(w, page, "does not name a table");
	memcpy(&t, data, sizeof(t));
	if (w->key_len == 4 && memcmp(w->key, "rows", 4) == 0) {
		w->rows = t;
		w->has_rows = true;
	} else if (w->key_len == 4 && memcmp(w->key, "meta", 4) == 0) {
		w->named = t;
		w->has_meta = true;
	} else {
		return bad(w, page, "names a table that is not ours");
	}
	return E_OK;
}

static enum code data_of(struct walk *w, size_t page, uint16_t flags,
    const uint8_t *data, size_t len)
{
	bool main = strcmp(w->name, "tables") == 0;

	if (main != (flags == N_TABLE) || (!main && (flags & ~N_BIG) != 0))
		return bad(w, page, "has a node of an unknown kind");
	if (main)
		return named_table(w, page, data, len);
	return strcmp(w->name, "free list") == 0
		   ? free_pages(w, page, data, len)
		   : E_OK;
}

/* A value of its own pages; the free list's are read. */
static enum code overflow(struct walk *w, size_t page, size_t len)
{
	uint8_t head[PAGE_HEAD], *all = NULL;
	size_t need = (PAGE_HEAD - 1 + len) / w->page_size + 1;
	uint32_t n;
	enum code rc = read_at(w, head, sizeof(head), page);

	if (rc != E_OK)
		return rc;
	memcpy(&n, head + 12, sizeof(n));
	if (word_at(head, 0) != page || u16_at(head, 10) != P_OVERFLOW ||
	    n < need)
		return bad(w, page, "is not the value's that points to it");
	if (page + n > w->pages)
		return bad(w, page, "goes on past the end of the file");
	if ((rc = use(w, page, n)) != E_OK || strcmp(w->name, "free list") != 0)
		return rc;
	if ((all = malloc(PAGE_HEAD + len)) == NULL)
		return err_nomem(w->e);
	rc = read_at(w, all, PAGE_HEAD + len, page);
	if (rc == E_OK)
		rc = free_pages(w, page, all + PAGE_HEAD, len);
	free(all);
	return rc;
}

static enum code leaf_node(
    struct walk *w, size_t page, const uint8_t *node, size_t room)
{
	size_t len = u16_at(node, LOW) | (size_t)u16_at(node, HIGH) << 16;
	uint16_t flags = u16_at(node, 4), key_len = u16_at(node, 6);
	const uint8_t *key = node + NODE_HEAD, *data = key + key_len;
	size_t here = (flags & N_BIG) != 0 ? sizeof(size_t) : len;
	enum code rc;

	if (NODE_HEAD + key_len > room || here > room - NODE_HEAD - key_len)
		return bad(w, page, "has a node that leaves the page");
	w->entries++;
	if ((rc = next_key(w, page, key, key_len, false)) != E_OK)
		return rc;
	if ((flags & N_BIG) != 0 && (flags & N_TABLE) == 0)
		return overflow(w, word_at(data, 0), len);
	return data_of(w, page, flags, data, len);
}

/* ---- A tree ---- */

static enum code walk_page(struct walk *w, size_t page, unsigned depth);

static enum code split_off(struct walk *w, size_t page)
{
	struct subtrees *t = w->split;
	struct subtree *s;

	if (t->n == t->cap) {
		size_t cap = t->cap == 0 ? 64 : t->cap * 2;
		void *p = realloc(t->all, cap * sizeof(*t->all));

		if (p == NULL)
			return err_nomem(w->e);
		t->all = p;
		t->cap = cap;
	}
	s = &t->all[t->n];
	*s = (struct subtree){
	    .page = page, .low_len = w->any_key ? w->key_len : 0};
	if ((s->low = malloc(s->low_len + 1)) == NULL)
		return err_nomem(w->e);
	memcpy(s->low, w->key, s->low_len);
	t->n++;
	return E_OK;
}

static enum code branch_node(struct walk *w, size_t page, const uint8_t *node,
    size_t room, size_t i, unsigned depth)
{
	size_t child = u16_at(node, LOW) | (size_t)u16_at(node, HIGH) << 16;
	uint16_t key_len = u16_at(node, 6);
	enum code rc = E_OK;

	if (sizeof(size_t) > 4)
		child |= (size_t)u16_at(node, 4) << 16 << 16;
	if (NODE_HEAD + key_len > room)
		return bad(w, page, "has a node that leaves the page");
	if (i > 0) /* the first one's key is not used */
		rc = next_key(w, page, node + NODE_HEAD, key_len, true);
	if (rc == E_OK && w->split != NULL && depth + 1 == SPLIT_DEPTH)
		return split_off(w, child);
	return rc == E_OK ? walk_page(w, child, depth + 1) : rc;
}

static enum code walk_nodes(
    struct walk *w, size_t page, const uint8_t *p, unsigned depth)
{
	uint16_t lower = u16_at(p, 12), upper = u16_at(p, 14);
	bool leaf = u16_at(p, 10) == P_LEAF;
	enum code rc = E_OK;

	if (lower < PAGE_HEAD || lower > upper || upper > w->page_size ||
	    lower % 2 != 0)
		return bad(w, page, "has a damaged head");
	if (lower == PAGE_HEAD || (!leaf && lower < PAGE_HEAD + 4))
		return bad(w, page, "has too few nodes");
	for (size_t i = 0; i < (lower - PAGE_HEAD) / 2U && rc == E_OK; i++) {
		size_t at = u16_at(p, PAGE_HEAD + 2 * i);

		if (at < upper || at > w->page_size - NODE_HEAD)
			return bad(w, page, "has a node that leaves the page");
		rc = leaf ? leaf_node(w, page, p + at, w->page_size - at)
			  : branch_node(
				w, page, p + at, w->page_size - at, i, depth);
	}
	return rc;
}

static enum code walk_page(struct walk *w, size_t page, unsigned depth)
{
	uint8_t *p;
	bool leaf;
	enum code rc;

	if (depth > w->table.depth || depth > DEPTH_MAX)
		return bad(w, page, "lies too deep");
	if ((rc = use(w, page, 1)) != E_OK)
		return rc;
	if ((p = malloc(w->page_size)) == NULL)
		return err_nomem(w->e);
	rc = read_at(w, p, w->page_size, page);
	leaf = rc == E_OK && u16_at(p, 10) == P_LEAF;
	if (rc == E_OK && word_at(p, 0) != page)
		rc = bad(w, page, "holds another page, or nothing");
	if (rc == E_OK && !leaf && u16_at(p, 10) != P_BRANCH)
		rc = bad(w, page, "is of another kind");
	if (rc == E_OK && leaf != (depth == w->table.depth))
		rc = bad(w, page, "is not as deep as its table");
	if (rc == E_OK)
		rc = walk_nodes(w, page, p, depth);
	free(p);
	return rc;
}

/* ---- A large table, by several threads ---- */

static enum code walk_subtree(struct walk *w, struct subtree *s)
{
	enum code rc;

	memcpy(w->key, s->low, s->low_len);
	w->key_len = s->low_len;
	w->any_key = w->may_equal = s->low_len > 0;
	w->entries = 0;
	if ((rc = walk_page(w, s->page, SPLIT_DEPTH)) != E_OK)
		return rc;
	s->entries = w->entries;
	s->last_len = w->key_len;
	if ((s->last = malloc(w->key_len + 1)) == NULL)
		return err_nomem(w->e);
	memcpy(s->last, w->key, w->key_len);
	return E_OK;
}

static void *walk_some(void *arg)
{
	struct subtrees *t = arg;
	struct walk w = *t->table;
	struct err e = {0};
	enum code rc = E_OK;
	size_t i;

	w.e = &e;
	w.split = NULL;
	while (rc == E_OK && (i = atomic_fetch_add(&t->next, 1)) < t->n)
		rc = walk_subtree(&w, &t->all[i]);
	if (rc == E_OK)
		return NULL;
	atomic_store(&t->next, t->n); /* the others need not go on */
	pthread_mutex_lock(&t->lock);
	if (t->rc == E_OK) {
		t->rc = rc;
		t->why = e;
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* What one thread would have seen between two subtrees. */
static enum code join_subtrees(struct walk *w, const struct subtrees *t)
{
	enum code rc = E_OK;

	if (t->rc != E_OK)
		return err_set(w->e, t->rc, "%s", t->why.text);
	w->any_key = w->may_equal = false;
	w->entries = 0;
	for (size_t i = 0; i < t->n && rc == E_OK; i++) {
		const struct subtree *s = &t->all[i];

		if (i > 0)
			rc = next_key(w, s->page, s->low, s->low_len, true);
		if (rc == E_OK)
			rc = next_key(w, s->page, s->last, s->last_len, false);
		w->entries += s->entries;
	}
	return rc;
}

static void walk_subtrees(struct subtrees *t)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t threads[THREADS_MAX];
	int n = 0;

	pthread_mutex_init(&t->lock, NULL);
	while (n < THREADS_MAX && n + 1 < cores &&
	       pthread_create(&threads[n], NULL, walk_some, t) == 0)
		n++;
	walk_some(t);
	while (n > 0)
		pthread_join(threads[--n], NULL);
	pthread_mutex_destroy(&t->lock);
}

static enum code walk_large(struct walk *w)
{
	struct subtrees t = {.table = w};
	enum code rc;

	w->split = &t;
	rc = walk_page(w, w->table.root, 1);
	w->split = NULL;
	if (rc == E_OK) {
		walk_subtrees(&t);
		rc = join_subtrees(w, &t);
	}
	for (size_t i = 0; i < t.n; i++) {
		free(t.all[i].low);
		free(t.all[i].last);
	}
	free(t.all);
	return rc;
}

static enum code walk_table(
    struct walk *w, const char *name, const struct table *t)
{
	enum code rc;

	w->name = name;
	w->table = *t;
	w->entries = 0;
	w->any_key = w->may_equal = false;
	if (t->root == NO_PAGE)
		return t->entries == 0 ? E_OK
				       : bad(w, 0, "lost the table's root");
	rc = t->depth > SPLIT_DEPTH ? walk_large(w) : walk_page(w, t->root, 1);
	if (rc != E_OK)
		return rc;
	if (w->entries != t->entries)
		return err_set(w->e, E_CORRUPT,
		    "%s: %s has %zu entries, expected %zu: one of its pages is "
		    "an old one",
		    w->path, name, w->entries, t->entries);
	return E_OK;
}

/* ---- The two meta pages, of which the newer one counts ---- */

static enum code read_meta(struct walk *w, size_t page, struct meta *out)
{
	uint8_t p[PAGE_HEAD + sizeof(*out)];
	enum code rc = read_at(w, p, sizeof(p), page);

	if (rc != E_OK)
		return rc;
	memcpy(out, p + PAGE_HEAD, sizeof(*out));
	if (word_at(p, 0) != page || (u16_at(p, 10) & P_META) == 0 ||
	    out->magic != MAGIC)
		return bad(w, page, "is no meta page");
	if (out->version != DATA_VERSION)
		return err_set(w->e, E_UNSUPPORTED,
		    "%s was written by another LMDB; use that version",
		    w->path);
	if (out->free.pad < PAGE_MIN || out->free.pad > PAGE_MAX ||
	    (out->free.pad & (out->free.pad - 1)) != 0 ||
	    (out->free.flags & T_INTEGER) == 0)
		return bad(w, page, "is a damaged meta page");
	return E_OK;
}

/* Transactions write them by turns.  A power cut may take the older one's last
 * turns back: the newer one does not need it. */
static enum code read_metas(struct walk *w, off_t file_size)
{
	struct meta a, b;
	enum code rc;

	w->name = "meta";
	w->page_size = PAGE_MIN; /* page 0 does not need it */
	if ((rc = read_meta(w, 0, &a)) != E_OK)
		return rc;
	w->page_size = a.free.pad;
	w->pages = (size_t)file_size / w->page_size;
	if ((rc = read_meta(w, 1, &b)) != E_OK)
		return rc;
	if (a.free.pad != b.free.pad)
		return bad(w, 1, "is a damaged meta page");
	if ((a.txn != 0 || b.txn != 0) && (a.txn % 2 != 0 || b.txn % 2 != 1))
		return bad(w, a.txn % 2 != 0 ? 0 : 1,
		    "is a damaged meta page: another's transaction");
	w->meta = a.txn < b.txn ? b : a;
	if (w->meta.last_page < 1 || w->meta.last_page > w->pages + UNWRITTEN)
		return bad(w, w->meta.txn % 2, "is a damaged meta page");
	return E_OK;
}

/* ---- The file ---- */

static enum code walk_all(struct walk *w, bool *meta_whole)
{
	enum code rc = walk_table(w, "tables", &w->meta.main);

	if (rc == E_OK && w->has_meta)
		rc = walk_table(w, "meta", &w->named);
	if (rc != E_OK)
		return rc;
	*meta_whole = w->has_meta;
	if (w->has_rows)
		rc = walk_table(w, "rows", &w->rows);
	return rc == E_OK ? walk_table(w, "free list", &w->meta.free) : rc;
}

/* Pages are read in the order of the keys, which on a cold file is any order:
 * once through it, in the file's, is faster.  If it fits into memory. */
static void read_ahead(const struct walk *w, off_t size)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	if (pages > 0 && page > 0 && size / page < pages / 2)
		(void)posix_fadvise(w->fd, 0, size, POSIX_FADV_WILLNEED);
}

enum code pages_check(const char *path, bool *meta_whole, struct err *e)
{
	struct walk w = {.path = path, .e = e, .name = "file"};
	struct stat st;
	enum code rc = E_OK;

	*meta_whole = false;
	w.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (w.fd < 0 && errno == ENOENT)
		return E_OK;
	if (w.fd < 0 || fstat(w.fd, &st) != 0)
		rc = err_set(e, errno == EACCES ? E_DENIED : E_IO,
		    "opening %s: %s", path, strerror(errno));
	else if (st.st_size > 0 && (rc = read_metas(&w, st.st_size)) == E_OK) {
		read_ahead(&w, st.st_size);
		w.seen = calloc(w.meta.last_page / 8 + 1, 1);
		rc = w.seen == NULL ? err_nomem(e) : walk_all(&w, meta_whole);
	}
	free((void *)w.seen);
	if (w.fd >= 0)
		close(w.fd);
	return rc;
}
