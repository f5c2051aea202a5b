/* power.c -- see power.h. */
#include "power.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR 512

struct power_file {
	dev_t dev;
	ino_t ino;
	int fd; /* of our own: so its inode is nobody else's */
	uint8_t *durable;
	size_t len, cap;
	struct {
		off_t at;
		size_t len;
	} * unsynced;
	size_t unsynced_n, unsynced_cap;
};

struct power *power_on;

uint64_t power_draw(struct power *p, uint64_t below)
{
	p->rng ^= p->rng << 13;
	p->rng ^= p->rng >> 7;
	p->rng ^= p->rng << 17;
	return (p->rng >> 11) % below;
}

/* A test: when memory is short there is nothing better to do. */
static void *grow(void *p, size_t size)
{
	p = realloc(p, size);
	if (p == NULL)
		abort();
	return p;
}

/* The bytes of [at, at + len) as they are in the page cache become durable. */
static void settle(struct power_file *f, off_t at, size_t len)
{
	size_t end = (size_t)at + len;

	if (end > f->cap) {
		f->cap = end * 2;
		f->durable = grow(f->durable, f->cap);
	}
	if (end > f->len) {
		memset(f->durable + f->len, 0, end - f->len);
		f->len = end;
	}
	if (pread(f->fd, f->durable + at, len, at) < 0)
		abort();
}

static void settle_all(struct power_file *f)
{
	for (size_t i = 0; i < f->unsynced_n; i++)
		settle(f, f->unsynced[i].at, f->unsynced[i].len);
	f->unsynced_n = 0;
}

static void unsynced(struct power_file *f, off_t at, size_t len)
{
	if (f->unsynced_n == f->unsynced_cap) {
		f->unsynced_cap = f->unsynced_cap * 2 + 64;
		f->unsynced =
		    grow(f->unsynced, f->unsynced_cap * sizeof(*f->unsynced));
	}
	f->unsynced[f->unsynced_n].at = at;
	f->unsynced[f->unsynced_n++].len = len;
}

static struct power_file *add(struct power *p, const char *path)
{
	struct power_file *f;
	struct stat st;

	p->files = grow(p->files, (p->files_n + 1) * sizeof(*f));
	f = &p->files[p->files_n++];
	*f = (struct power_file){.fd = open(path, O_RDWR | O_CLOEXEC)};
	if (f->fd < 0 || fstat(f->fd, &st) != 0)
		abort();
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	return f;
}

void power_watch(struct power *p, const char *path, bool durable)
{
	struct power_file *f = add(p, path);
	struct stat st;

	if (fstat(f->fd, &st) != 0)
		abort();
	if (durable)
		settle(f, 0, (size_t)st.st_size);
	else
		unsynced(f, 0, (size_t)st.st_size);
}

/* NULL: not watched.  *counts: calls on it are events all the same. */
static struct power_file *watched(int fd, bool *counts)
{
	struct power *p = power_on;
	struct stat st;
	char path[32];

	*counts = false;
	if (p == NULL || fstat(fd, &st) != 0)
		return NULL;
	*counts = true;
	for (size_t i = 0; i < p->files_n; i++) {
		struct power_file *f = &p->files[i];

		if (f->dev == st.st_dev && f->ino == st.st_ino)
			return f;
	}
	*counts = p->all;
	if (!p->all || !S_ISREG(st.st_mode))
		return NULL;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return add(p, path);
}

/* Each sector of what was not synced survives with a chance of n in 4. */
static void cut_file(struct power *p, struct power_file *f, uint64_t n)
{
	for (size_t i = 0; i < f->unsynced_n; i++) {
		off_t at = f->unsynced[i].at & ~(off_t)(SECTOR - 1);
		off_t end = f->unsynced[i].at + (off_t)f->unsynced[i].len;

		for (; at < end; at += SECTOR) {
			if (power_draw(p, 4) < n)
				settle(f, at, SECTOR);
		}
	}
	f->unsynced_n = 0;
	if (syscall(SYS_ftruncate, f->fd, f->len) != 0 ||
	    syscall(SYS_pwrite64, f->fd, f->durable, f->len, 0) != (long)f->len)
		abort();
}

static void forget(struct power_file *f)
{
	close(f->fd);
	free(f->durable);
	free(f->unsynced);
}

void power_cut(struct power *p)
{
	uint64_t n = power_draw(p, 5);
	struct stat st;
	size_t kept = 0;

	for (size_t i = 0; i < p->files_n; i++) {
		struct power_file *f = &p->files[i];

		if (fstat(f->fd, &st) == 0 && st.st_nlink == 0) {
			forget(f);
			continue;
		}
		cut_file(p, f, n);
		p->files[kept++] = *f;
	}
	p->files_n = kept;
	p->off = false;
}

void power_free(struct power *p)
{
	for (size_t i = 0; i < p->files_n; i++)
		forget(&p->files[i]);
	free(p->files);
	*p = (struct power){0};
}

/* ---- What a program calls ---- */

static void event(struct power *p)
{
	if (p->cut_in == 0 || --p->cut_in != 0)
		return;
	if (p->on_cut != NULL)
		p->on_cut(p);
	else
		p->off = true;
}

/* Before a call: does it fail? */
static bool fails(bool counts)
{
	struct power *p = power_on;

	if (!counts)
		return false;
	errno = EIO;
	if (p->off)
		return true;
	if (p->fail_in != 0 && --p->fail_in == 0) {
		errno = p->fail_with;
		return true;
	}
	event(p);
	return p->off;
}

static void wrote(struct power_file *f, int fd, off_t at, size_t len)
{
	if ((fcntl(fd, F_GETFL) & O_DSYNC) != 0)
		settle(f, at, len);
	else
		unsynced(f, at, len);
	event(power_on);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t at)
{
	bool counts;
	struct power_file *f = watched(fd, &counts);
	ssize_t n;

	if (fails(counts))
		return -1;
	n = syscall(SYS_pwrite64, fd, buf, len, at);
	if (f != NULL && n > 0)
		wrote(f, fd, at, (size_t)n);
	return n;
}

ssize_t writev(int fd, const struct iovec *iov, int iov_n)
{
	bool counts;
	struct power_file *f = watched(fd, &counts);
	off_t at = f != NULL ? lseek(fd, 0, SEEK_CUR) : 0;
	ssize_t n;

	if (fails(counts))
		return -1;
	n = syscall(SYS_writev, fd, iov, iov_n);
	if (f != NULL && n > 0)
		wrote(f, fd, at, (size_t)n);
	return n;
}

static int sync_with(long call, int fd)
{
	bool counts;
	struct power_file *f = watched(fd, &counts);
	int rc = 0;

	if (fails(counts))
		return -1;
	if (power_on == NULL || !power_on->all)
		rc = (int)syscall(call, fd);
	if (f != NULL && rc == 0)
		settle_all(f);
	if (counts && rc == 0)
		event(power_on);
	return rc;
}

int fdatasync(int fd)
{
	return sync_with(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	return sync_with(SYS_fsync, fd);
}

int ftruncate(int fd, off_t len)
{
	struct power *p = power_on;
	int rc = (int)syscall(SYS_ftruncate, fd, len);
	struct stat st;

	if (p == NULL || rc != 0 || fstat(fd, &st) != 0)
		return rc;
	for (size_t i = 0; i < p->files_n; i++) {
		struct power_file *f = &p->files[i];

		if (f->dev == st.st_dev && f->ino == st.st_ino &&
		    (size_t)len < f->len)
			f->len = (size_t)len;
	}
	return rc;
}
