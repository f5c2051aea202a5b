/* damage.c -- rows of the raft log that are not what was written. */
#include "real.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"

#define HEAD 45 /* of a row, before its data: CRC, term, type, chain */

struct file {
	int fd;
	uint8_t *p;
	size_t len;
};

static struct file slurp(const char *dir)
{
	struct file f = {0};
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/raft/data.mdb", dir);
	f.fd = open(path, O_RDWR | O_CLOEXEC);
	if (f.fd < 0 || fstat(f.fd, &st) != 0)
		abort();
	f.len = (size_t)st.st_size;
	f.p = malloc(f.len);
	if (f.p == NULL || pread(f.fd, f.p, f.len, 0) != (ssize_t)f.len)
		abort();
	return f;
}

static bool is_row(const uint8_t *p, raft_index i, size_t len)
{
	uint8_t key[8];

	put_u64be(key, i);
	return get_u32be(p) == crc32c(crc32c(0, key, 8), p + 4, len - 4);
}

/* Where entry i's row begins, from `from` on: its page may have been copied.
 * NULL: nowhere. */
static uint8_t *find(const struct file *f, uint8_t *from, raft_index i,
    const struct sim_entry *e)
{
	uint8_t *p = from + HEAD, *end = f->p + f->len;

	while (p < end &&
	       (p = memmem(p, (size_t)(end - p), e->data, e->len)) != NULL) {
		if (is_row(p - HEAD, i, HEAD + e->len))
			return p - HEAD;
		p++;
	}
	return NULL;
}

void real_damage(struct node *n, raft_index i, raft_index from)
{
	const struct sim_entry *e = disk_entry(&n->disk, i),
			       *other = disk_entry(&n->disk, from);
	struct real *r = real_of(n);
	struct file f = slurp(r->dir);
	uint8_t *row = NULL, *with = NULL, *at = f.p;
	size_t len = HEAD + e->len;

	if (e->len > 0 && other != NULL && other->len > 0 &&
	    (with = find(&f, f.p, from, other)) != NULL && other->len < e->len)
		len = HEAD + other->len;
	real_begin(r);
	while (e->len > 0 && (row = find(&f, at, i, e)) != NULL) {
		if (with != NULL && with != row)
			memmove(row, with, len);
		else
			row[sim_below(n->w, (unsigned)len)] ^=
			    (uint8_t)(1U << sim_below(n->w, 8));
		if (pwrite(f.fd, row, HEAD + e->len, row - f.p) < 0)
			abort();
		at = row + HEAD + e->len;
	}
	if (fdatasync(f.fd) != 0)
		abort();
	real_end();
	close(f.fd);
	free(f.p);
}
