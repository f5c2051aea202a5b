#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum code io_error(struct err *e, const char *doing, const char *path)
{
	int saved = errno;

	return err_set(e,
	    saved == ENOENT   ? E_NOTFOUND
	    : saved == ENOSPC ? E_EXHAUSTED
	    : saved == EEXIST ? E_EXISTS
	    : saved == EACCES ? E_DENIED
			      : E_IO,
	    "%s %s: %s", doing, path, strerror(saved));
}

enum code fs_read(const char *path, size_t max, struct buf *out, struct err *e)
{
	enum code rc = E_OK;
	size_t total = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return io_error(e, "cannot open", path);
	for (;;) {
		if (!buf_reserve(out, 4096)) {
			rc = err_nomem(e);
			break;
		}
		n = read(fd, out->p + out->len, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			rc = io_error(e, "cannot read", path);
			break;
		}
		if (n == 0)
			break;
		out->len += (size_t)n;
		total += (size_t)n;
		if (total > max) {
			rc = err_set(e, E_INVAL, "%s is larger than %zu bytes",
			    path, max);
			break;
		}
	}
	close(fd);
	return rc;
}

static enum code write_all(
    int fd, struct span data, const char *path, struct err *e)
{
	while (data.len > 0) {
		ssize_t n = write(fd, data.p, data.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return io_error(e, "cannot write", path);
		data.p += n;
		data.len -= (size_t)n;
	}
	if (fsync(fd) != 0)
		return io_error(e, "cannot sync", path);
	return E_OK;
}

static enum code sync_folder(const char *path, struct err *e)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd, rc;

	if (slash == NULL)
		snprintf(dir, sizeof(dir), ".");
	else
		snprintf(dir, sizeof(dir), "%.*s",
		    slash == path ? 1 : (int)(slash - path), path);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return io_error(e, "cannot open", dir);
	rc = fsync(fd);
	if (rc != 0)
		io_error(e, "cannot sync", dir);
	close(fd);
	return rc == 0 ? E_OK : E_IO;
}

/* Write a temporary file beside path, then put it in place with move(). */
static enum code place(const char *path, struct span data, mode_t mode,
    int (*move)(const char *, const char *), struct err *e)
{
	char tmp[PATH_MAX];
	enum code rc;
	int fd;

	if (snprintf(tmp, sizeof(tmp), "%s.XXXXXX", path) >= (int)sizeof(tmp))
		return err_set(e, E_INVAL, "path is too long: %s", path);
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return io_error(e, "cannot create", tmp);
	rc = write_all(fd, data, tmp, e);
	if (rc == E_OK && fchmod(fd, mode) != 0)
		rc = io_error(e, "cannot set the mode of", tmp);
	close(fd);
	if (rc == E_OK && move(tmp, path) != 0)
		rc = io_error(e, "cannot create", path);
	if (rc != E_OK || move == link)
		unlink(tmp);
	return rc == E_OK ? sync_folder(path, e) : rc;
}

enum code fs_write(
    const char *path, struct span data, mode_t mode, struct err *e)
{
	return place(path, data, mode, rename, e);
}

enum code fs_create(
    const char *path, struct span data, mode_t mode, struct err *e)
{
	return place(path, data, mode, link, e);
}

enum code fs_mkdirs(const char *path, mode_t mode, struct err *e)
{
	char part[PATH_MAX];
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(part))
		return err_set(e, E_INVAL, "not a usable path: \"%s\"", path);
	memcpy(part, path, len + 1);
	for (size_t i = 1; i <= len; i++) {
		if (part[i] != '/' && part[i] != '\0')
			continue;
		part[i] = '\0';
		if (mkdir(part, mode) != 0 && errno != EEXIST)
			return io_error(e, "cannot make folder", part);
		if (i < len)
			part[i] = '/';
	}
	return E_OK;
}

enum code fs_join(
    char *out, size_t size, const char *dir, const char *name, struct err *e)
{
	if (snprintf(out, size, "%s/%s", dir, name) >= (int)size)
		return err_set(
		    e, E_INVAL, "path is too long: %s/%s", dir, name);
	return E_OK;
}
