/* folder.c -- the folders of a data directory that environments live in. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/internal.h"

static enum code folder_fail(const char *doing, const char *path, struct err *e)
{
	return err_set(e, errno == EACCES ? E_DENIED : E_IO, "%s %s: %s", doing,
	    path, strerror(errno));
}

enum code folder_exists(
    const struct store *s, const char *name, bool *out, struct err *e)
{
	char *path = store_path(s, name);
	struct stat st;
	enum code rc = E_OK;

	if (path == NULL)
		return err_nomem(e);
	*out = stat(path, &st) == 0;
	if (!*out && errno != ENOENT)
		rc = folder_fail("looking at", path, e);
	free(path);
	return rc;
}

enum code folder_remove(const struct store *s, const char *name, struct err *e)
{
	static const char *const inside[] = {"/data.mdb", "/lock.mdb", ""};
	char *path = store_path(s, name), file[PATH_MAX];
	enum code rc = path == NULL ? err_nomem(e) : E_OK;

	for (size_t i = 0; i < 3 && rc == E_OK; i++) {
		snprintf(file, sizeof(file), "%s%s", path, inside[i]);
		if (remove(file) != 0 && errno != ENOENT)
			rc = folder_fail("removing", file, e);
	}
	free(path);
	return rc;
}

enum code folder_rename(
    const struct store *s, const char *from, const char *to, struct err *e)
{
	char *a = store_path(s, from), *b = store_path(s, to);
	enum code rc = E_OK;

	if (a == NULL || b == NULL)
		rc = err_nomem(e);
	else if (rename(a, b) != 0)
		rc = folder_fail("renaming", a, e);
	else
		rc = env_sync_dir(s->dir, e);
	free(a);
	free(b);
	return rc;
}
