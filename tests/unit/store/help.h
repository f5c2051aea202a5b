/* help.h -- what the store's tests share: a folder of their own, entries, and
 * a store that opens or fails the test. */
#ifndef QUORATE_TESTS_STORE_HELP_H
#define QUORATE_TESTS_STORE_HELP_H

#include <limits.h>

#include "store/store.h"

#define TEST_MAP (64ULL << 20)

extern char test_dir[PATH_MAX]; /* removed by test_teardown */

int test_setup(void **state); /* of a cmocka test */
int test_teardown(void **state);
const char *test_path(const char *name); /* under test_dir; static */
void test_remove_tree(const char *path);
bool test_exists(const char *name);

struct store *test_open(void);
struct store_config test_config(void);
enum code test_try_open(struct store **out, struct err *e);

/* Entry `index` of that term; its data tells both. */
struct raft_entry test_entry(uint64_t index, uint64_t term);
enum code test_append_one(struct store *s, uint64_t index, uint64_t term,
    uint64_t commit, struct err *e);
void test_append(struct store *s, uint64_t from, uint64_t to, uint64_t term);
/* Append, and apply with one row an entry in table RECORD and one in META. */
void test_apply(struct store *s, uint64_t from, uint64_t to, uint64_t term);
enum code test_put_rows(struct ca_db db, uint64_t index, struct err *e);
/* E_OK if the rows are those of exactly 1..index. */
enum code test_check_rows(struct ca_db db, uint64_t index, struct err *e);
/* Read [lo, hi) through raft's storage; 0 if all are there and of that term. */
int test_read(struct store *s, uint64_t lo, uint64_t hi, uint64_t term);

#endif
