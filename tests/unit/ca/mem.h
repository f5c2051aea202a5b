/* mem.h -- struct ca_db in memory: rows in order.  Spans that get and seek lend
 * are freed at the next put or del, so that a sanitizer sees a late reader. */
#ifndef TESTS_CA_MEM_H
#define TESTS_CA_MEM_H

#include "ca/db.h"

struct mem_row {
	enum ca_table table;
	struct span key, val; /* owned */
};

struct mem {
	struct mem_row *rows;
	size_t n, cap;
	uint8_t **loans;
	size_t loans_n, loans_cap;
};

void mem_init(struct mem *m);
void mem_free(struct mem *m);
struct ca_db mem_db(struct mem *m);
enum ca_table_class mem_class(enum ca_table t);
size_t mem_count(const struct mem *m, enum ca_table t);
/* The nth row of a table; NULL past the last. */
const struct mem_row *mem_row(const struct mem *m, enum ca_table t, size_t nth);
/* The first row that differs, as text in why; true if none does. */
bool mem_same(const struct mem *a, const struct mem *b, struct buf *why);

#endif
