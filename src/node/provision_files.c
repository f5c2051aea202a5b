#include "node/provision_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/fs.h"

/* ---- Folders ---- */

enum code provision_put(const char *dir, const char *name, struct span data,
    mode_t mode, struct err *e)
{
	char path[PATH_MAX];
	enum code rc = fs_join(path, sizeof(path), dir, name, e);

	return rc == E_OK ? fs_write(path, data, mode, e) : rc;
}

enum code provision_get(
    const char *dir, const char *name, struct buf *out, struct err *e)
{
	char path[PATH_MAX];
	enum code rc = fs_join(path, sizeof(path), dir, name, e);

	return rc == E_OK ? fs_read(path, PROVISION_FILE_MAX, out, e) : rc;
}

static int remove_one(
    const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void provision_remove_tree(const char *path)
{
	if (path[0] != '\0')
		nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A new folder beside path, to be renamed to it once it is complete. */
enum code provision_stage_begin(
    char tmp[PATH_MAX], const char *path, const char *sub, struct err *e)
{
	char parent[PATH_MAX], inner[PATH_MAX];
	char *slash;
	enum code rc;

	if (snprintf(parent, sizeof(parent), "%s", path) >= PATH_MAX - 32)
		return err_set(e, E_INVAL, "path is too long: %.100s", path);
	slash = strrchr(parent, '/');
	if (slash != NULL && slash != parent) {
		*slash = '\0';
		rc = fs_mkdirs(parent, 0700, e);
		if (rc != E_OK)
			return rc;
	}
	snprintf(tmp, PATH_MAX, "%.*s.new-XXXXXX", PATH_MAX - 32, path);
	if (mkdtemp(tmp) == NULL) {
		rc = err_set(
		    e, E_IO, "cannot make folder %s: %s", tmp, strerror(errno));
		tmp[0] = '\0';
		return rc;
	}
	rc = fs_join(inner, sizeof(inner), tmp, sub, e);
	return rc == E_OK ? fs_mkdirs(inner, 0700, e) : rc;
}

static enum code not_free(const char *path, struct err *e)
{
	return err_set(e, E_EXISTS,
	    "%s is there already and not empty; nothing was changed: choose "
	    "another folder, or remove it if it is no longer needed",
	    path);
}

/* The new name must survive a power cut: it holds keys that exist once. */
static enum code sync_parent(const char *path, struct err *e)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd, rc;

	if (slash == NULL)
		snprintf(parent, sizeof(parent), ".");
	else
		snprintf(parent, sizeof(parent), "%.*s",
		    slash == path ? 1 : (int)(slash - path), path);
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = fd >= 0 ? fsync(fd) : -1;
	if (rc != 0)
		err_set(e, E_IO, "cannot sync %s: %s", parent, strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc == 0 ? E_OK : E_IO;
}

/* rename() takes an empty folder's place and refuses any other. */
enum code provision_stage_end(
    char tmp[PATH_MAX], const char *path, struct err *e)
{
	if (rename(tmp, path) == 0) {
		enum code rc = sync_parent(path, e);

		tmp[0] = '\0';
		if (rc != E_OK)
			provision_remove_tree(path);
		return rc;
	}
	if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR)
		return not_free(path, e);
	return err_set(
	    e, E_IO, "cannot move %s to %s: %s", tmp, path, strerror(errno));
}

/* Look before the work is done; the rename is what decides. */
enum code provision_must_be_free(const char *path, struct err *e)
{
	enum code rc = E_OK;
	struct dirent *row;
	DIR *d = opendir(path);

	if (d == NULL && errno == ENOENT)
		return E_OK;
	if (d == NULL && errno == ENOTDIR)
		return not_free(path, e);
	if (d == NULL)
		return err_set(
		    e, E_IO, "cannot use folder %s: %s", path, strerror(errno));
	while (rc == E_OK && (row = readdir(d)) != NULL)
		if (strcmp(row->d_name, ".") != 0 &&
		    strcmp(row->d_name, "..") != 0)
			rc = not_free(path, e);
	closedir(d);
	return rc;
}

/* ---- A node's keys ---- */

void provision_keys_free(struct node_keys *k)
{
	sodium_memzero(k->mesh_secret, sizeof(k->mesh_secret));
	EVP_PKEY_free(k->api);
	buf_free(&k->api_spki);
}

static enum code keys_symmetric(
    struct node_keys *k, const char *dir, struct err *e)
{
	uint8_t seal[32];
	enum code rc;

	random_bytes(k->mesh_secret, sizeof(k->mesh_secret));
	if (crypto_scalarmult_base(k->mesh_public, k->mesh_secret) != 0)
		return err_set(e, E_INTERNAL, "cannot derive the mesh key");
	rc = provision_put(dir, PROVISION_MESH_KEY,
	    span_of(k->mesh_secret, sizeof(k->mesh_secret)), 0600, e);
	if (rc != E_OK)
		return rc;
	random_bytes(seal, sizeof(seal));
	rc = provision_put(
	    dir, PROVISION_SEAL_KEY, span_of(seal, sizeof(seal)), 0600, e);
	sodium_memzero(seal, sizeof(seal));
	return rc;
}

static enum code keys_api(struct node_keys *k, const char *dir, struct err *e)
{
	struct buf pem;
	enum code rc;

	buf_init(&pem);
	rc = pki_key_new(PKI_P256, &k->api, e);
	if (rc == E_OK)
		rc = pki_key_spki(&k->api_spki, k->api, e);
	if (rc == E_OK)
		rc = pki_key_to_pem(&pem, k->api, e);
	if (rc == E_OK)
		rc = provision_put(
		    dir, PROVISION_API_KEY, buf_span(&pem), 0600, e);
	pki_wipe(&pem);
	return rc;
}

enum code provision_keys_make(
    struct node_keys *k, const char *dir, struct err *e)
{
	enum code rc;

	*k = (struct node_keys){0};
	rc = fs_join(k->signer_path, PATH_MAX, dir, PROVISION_SIGNER, e);
	if (rc == E_OK)
		rc =
		    fs_join(k->seal_path, PATH_MAX, dir, PROVISION_SEAL_KEY, e);
	if (rc == E_OK)
		rc = keys_symmetric(k, dir, e);
	if (rc == E_OK)
		rc = signer_keys_create(
		    k->signer_path, k->seal_path, &k->signer, e);
	return rc == E_OK ? keys_api(k, dir, e) : rc;
}

/* ---- node.yaml ---- */

enum code provision_config_make(struct config *c, const char *td,
    const char *cluster, const char *const *set, size_t n, struct err *e)
{
	enum code rc = config_init(c, e);

	if (rc == E_OK)
		rc = config_set(c, "trust_domain", td, e);
	if (rc == E_OK)
		rc = config_set(c, "cluster", cluster, e);
	for (size_t i = 0; i < n && rc == E_OK; i++) {
		const char *eq = strchr(set[i], '=');
		char name[64];

		if (eq == NULL || eq - set[i] >= (int)sizeof(name)) {
			rc = err_set(
			    e, E_INVAL, "\"%.60s\" is not KEY=VALUE", set[i]);
			break;
		}
		snprintf(
		    name, sizeof(name), "%.*s", (int)(eq - set[i]), set[i]);
		rc = config_set(c, name, eq + 1, e);
	}
	return rc == E_OK ? config_check(c, e) : rc;
}

enum code provision_config_put(
    const struct config *c, const char *dir, struct err *e)
{
	char path[PATH_MAX];
	enum code rc = fs_join(path, sizeof(path), dir, PROVISION_CONFIG, e);

	return rc == E_OK ? config_save(c, path, e) : rc;
}
