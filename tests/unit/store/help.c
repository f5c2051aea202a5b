/* help.c -- see help.h. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "help.h"

char test_dir[PATH_MAX];

int test_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(test_dir, sizeof(test_dir), "%s/quorate-store-XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	return mkdtemp(test_dir) != NULL ? 0 : -1;
}

static int remove_one(
    const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void test_remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int test_teardown(void **state)
{
	(void)state;
	test_remove_tree(test_dir);
	return 0;
}

const char *test_path(const char *name)
{
	static char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", test_dir, name);
	return path;
}

bool test_exists(const char *name)
{
	struct stat st;

	return stat(test_path(name), &st) == 0;
}

struct store_config test_config(void)
{
	return (struct store_config){.dir = test_dir, .map_size = TEST_MAP};
}

enum code test_try_open(struct store **out, struct err *e)
{
	struct store_config c = test_config();

	return store_open(out, &c, e);
}

struct store *test_open(void)
{
	struct store *s;
	struct err e = {0};

	if (test_try_open(&s, &e) != E_OK)
		fail_msg("opening: %s", e.text);
	return s;
}

struct raft_entry test_entry(uint64_t index, uint64_t term)
{
	static char data[512][64];
	char *p = data[index % 512];

	snprintf(p, sizeof(data[0]), "entry %llu of term %llu",
	    (unsigned long long)index, (unsigned long long)term);
	return (struct raft_entry){.term = term,
	    .index = index,
	    .type = RAFT_ENTRY_NORMAL,
	    .data = {.p = p, .len = strlen(p)}};
}

enum code test_append_one(struct store *s, uint64_t index, uint64_t term,
    uint64_t commit, struct err *e)
{
	struct raft_hard_state hs = {.term = term, .commit = commit};
	struct raft_entry entry = test_entry(index, term);

	return store_append(s, &hs, &entry, 1, e);
}

void test_append(struct store *s, uint64_t from, uint64_t to, uint64_t term)
{
	struct raft_entry entries[512];
	struct raft_hard_state hs = {.term = term, .commit = from - 1};
	struct err e = {0};
	size_t n = 0;

	for (uint64_t i = from; i <= to; i++)
		entries[n++] = test_entry(i, term);
	if (store_append(s, &hs, entries, n, &e) != E_OK)
		fail_msg("appending: %s", e.text);
}

enum code test_put_rows(struct ca_db db, uint64_t index, struct err *e)
{
	uint8_t key[8];
	char val[64];
	enum code rc;

	put_u64be(key, index);
	snprintf(val, sizeof(val), "record %llu", (unsigned long long)index);
	rc =
	    db.ops->put(db.ctx, CA_T_RECORD, span_of(key, 8), span_str(val), e);
	if (rc == E_OK)
		rc = db.ops->put(
		    db.ctx, CA_T_META, span_str("count"), span_of(key, 8), e);
	return rc;
}

void test_apply(struct store *s, uint64_t from, uint64_t to, uint64_t term)
{
	struct raft_conf_state cs = {.voters = {1, 2, 3}, .voters_n = 3};
	struct err e = {0};
	struct ca_db db;

	test_append(s, from, to, term);
	store_state_db(s, &db);
	for (uint64_t i = from; i <= to; i++) {
		if (test_put_rows(db, i, &e) != E_OK ||
		    store_state_set_applied(s, i, term, &cs, &e) != E_OK)
			fail_msg("applying: %s", e.text);
	}
}

enum code test_check_rows(struct ca_db db, uint64_t index, struct err *e)
{
	uint64_t seen = 0;
	struct span key, val, from = SPAN_EMPTY;
	uint8_t at[8];
	char want[64];
	enum code rc;

	rc = db.ops->get(db.ctx, CA_T_META, span_str("count"), &val, e);
	if (rc == E_NOTFOUND && index == 0)
		return E_OK;
	if (rc != E_OK)
		return err_set(e, rc, "no count, expected %llu",
		    (unsigned long long)index);
	if (val.len != 8 || get_u64be(val.p) != index)
		return err_set(e, E_CORRUPT, "the count is wrong");
	while (db.ops->seek(db.ctx, CA_T_RECORD, from, seen > 0, &key, &val,
		   e) == E_OK) {
		seen++;
		snprintf(want, sizeof(want), "record %llu",
		    (unsigned long long)seen);
		if (key.len != 8 || get_u64be(key.p) != seen ||
		    !span_eq_str(val, want))
			return err_set(e, E_CORRUPT, "row %llu is wrong",
			    (unsigned long long)seen);
		memcpy(at, key.p, 8);
		from = span_of(at, 8);
	}
	return seen == index
		   ? E_OK
		   : err_set(e, E_CORRUPT, "%llu rows, expected %llu",
			 (unsigned long long)seen, (unsigned long long)index);
}

int test_read(struct store *s, uint64_t lo, uint64_t hi, uint64_t term)
{
	struct raft_storage st;
	struct raft_entry *out;
	size_t n;
	int rc, bad = 0;

	store_raft_storage(s, &st);
	rc = st.entries(st.ctx, lo, hi, SIZE_MAX, &out, &n);
	if (rc != RAFT_OK)
		return rc;
	bad = n != hi - lo;
	for (size_t i = 0; i < n; i++) {
		struct raft_entry want = test_entry(lo + i, term);

		bad |= out[i].index != lo + i || out[i].term != term ||
		       out[i].data.len != want.data.len ||
		       memcmp(out[i].data.p, want.data.p, want.data.len) != 0;
	}
	free(out);
	return bad;
}
